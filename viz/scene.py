"""A drawing whose numbers move while everything else stays still: the stage of pages, animations and notebooks.

    >>> from tinygrad_edu import Stepper, record
    >>> from tinygrad_edu.examples import lecture_neuron
    >>> recording = record(lecture_neuron())
    >>> scene = Scene(recording)                                   # laid out once, by the layout engine
    >>> frame = scene.frame(Stepper(recording).run_to("backward"))   # the picture of one moment, as SVG text

A `Scene` is laid out for the widest numbers that a recording ever shows, so that no number leaves its box and no box
moves.  Each part of its SVG can then be found: nodes are groups with the ids n0, n1, ... and the class of their role, edges
e0, e1, ..., frames of modules c0, c1, ...; the texts with a node's data and gradient have the classes ``data`` and ``grad``.
"""

from __future__ import annotations

import copy
import math
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace

from tinygrad_edu import Stepper, Value, record
from tinygrad_edu.stepper import Recording

from .dot import number_text
from .model import MAX_NODES, Graph, build
from .render import Drawing
from .style import FAINT, FONT, NEGATIVE, POSITIVE, SMALL, SPOTLIGHT, TEXT

SVG = "{http://www.w3.org/2000/svg}"
UNKNOWN = "?"  # what stands for a number that is not computed yet
DIGIT_WIDTH, POINT_WIDTH, MINUS_WIDTH = 0.556, 0.278, 0.333  # of Helvetica, in units of the font size
CAPTION_SIZE, CAPTION_LINE, CAPTION_WIDTH = 13, 18, 0.52  # points; the last is that of a letter, in font sizes

ET.register_namespace("", SVG[1:-1])
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


class Scene:
    """The drawing of a recording, laid out once.

    recording    the `Recording`
    graph        the records that are drawn (see `viz.model`)
    svg          the annotated SVG text, with the numbers of the end of the recording
    nodes        for each position in ``recording.nodes`` the index in ``graph.nodes`` of where it is drawn; None if it
                 is left out
    edges        for each ``(user, operand)`` the index in ``graph.edges``; edges within a box are not there
    hidden       whether each step of the recording changes nothing that is drawn

    Raises what `viz.draw` raises, RenderError without a layout engine included.
    """

    def __init__(self, recording: Recording | Value, collapse: str | Iterable[str] | None = None,
                 max_nodes: int | None = MAX_NODES) -> None:
        self.recording = record(recording) if isinstance(recording, Value) else recording
        roots = self.recording.values()[-1:]
        self.graph: Graph = self._with_widest_numbers(build(roots, collapse, max_nodes))
        self.nodes: list[int | None] = [None] * len(self.recording.nodes)
        self.edges: dict[tuple[int, int], int] = {}
        for i, node in enumerate(self.graph.nodes):
            for position in node.members:
                self.nodes[position] = i
        for i, edge in enumerate(self.graph.edges):
            self.edges.update(dict.fromkeys(edge.links, i))
        shown = {node.shows for node in self.graph.nodes}
        self.hidden = [event.node not in shown and (event.user is None or (event.user, event.operand) not in self.edges)
                       for event in self.recording.events]
        self._root = self._annotated(Drawing(replace(self.graph, notes=()), legend=False).svg())

    @property
    def svg(self) -> str:
        """The annotated SVG text, with the numbers of the end of the recording."""
        return self._text(self._at(Stepper(self.recording).finish()))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        _, _, width, height = map(float, self._root.attrib["viewBox"].split())
        return width, height

    def frame(self, stepper: Stepper, caption: bool = True) -> str:
        """The picture of the moment that ``stepper`` is at, as SVG text.

        What is not computed yet is faint.  The node and the edge of the last step are lit; edges along which a gradient
        has flowed are coloured by its sign and as wide as its magnitude.  ``caption``: the step's sentence below.
        """
        root = self._at(stepper)
        parts = {group.get("id"): group for group in root.iter(f"{SVG}g")}
        for i, node in enumerate(self.graph.nodes):
            if node.shows is not None and stepper.numbers(node.shows)[0] is None:
                parts[f"n{i}"].set("opacity", "0.3")
        reached = {self.graph.nodes[self.nodes[event.node] or 0].name
                   for event in self.recording.events[:min(stepper.position, self.recording.forward)]
                   if self.nodes[event.node] is not None}
        for i, edge in enumerate(self.graph.edges):
            if edge.target not in reached:
                parts[f"e{i}"].set("opacity", "0.25")
        for i, flow in self.flows(stepper).items():
            _stroke(parts[f"e{i}"], POSITIVE if flow >= 0 else NEGATIVE, flow_width(flow))
        self._light(parts, stepper)
        if caption:
            self._write_caption(root, stepper)
        return self._text(root)

    def flows(self, stepper: Stepper) -> dict[int, float]:
        """For each drawn edge along which a gradient has flowed so far the sum of what did."""
        flows: dict[int, float] = {}
        start = self.recording.forward + 1  # after the seed, which comes along no edge
        for event in self.recording.events[start:stepper.position]:
            if event.user is not None and (edge := self.edges.get((event.user, event.operand))) is not None:
                flows[edge] = flows.get(edge, 0.0) + event.after - (event.before or 0.0)
        return flows

    def _with_widest_numbers(self, graph: Graph) -> Graph:
        events, forward = self.recording.events, self.recording.forward
        widest: dict[int, float] = {}
        for event in events[forward:]:
            if len(number_text(event.after)) > len(number_text(widest.get(event.node, 0.0))):
                widest[event.node] = event.after
        return replace(graph, nodes=tuple([
            node if node.shows is None or node.grad is None else replace(node, grad=widest.get(node.shows, 0.0))
            for node in graph.nodes]))

    def _annotated(self, svg: str) -> ET.Element:
        root = ET.fromstring(svg)
        root.attrib.pop("style")  # what the size is, the place where it is shown decides
        nodes = {node.name: node for node in self.graph.nodes}
        for group in root.iter(f"{SVG}g"):
            kind = group.get("class", "")
            if kind == "graph":
                group.remove(group.find(f"{SVG}polygon"))  # type: ignore[arg-type]  # the white background
            if kind not in ("node", "edge"):
                continue
            for title in group.findall(f"{SVG}title"):
                group.remove(title)
            if kind == "node" and (node := nodes[group.attrib["id"]]):
                group.set("class", f"node {node.role}")
                texts = group.findall(f".//{SVG}text")
                if node.shows is not None and node.role != "constant":
                    _mark(texts[-3], "data")
                    _mark(texts[-1], "grad")
        return root

    def _at(self, stepper: Stepper) -> ET.Element:
        """A copy with the numbers of a moment."""
        root = copy.deepcopy(self._root)
        shows = {node.name: node.shows for node in self.graph.nodes}
        for group in root.iter(f"{SVG}g"):
            position = shows.get(group.get("id", ""))
            if position is None:
                continue
            data, grad = stepper.numbers(position)
            for text in group.iter(f"{SVG}text"):
                if text.get("class") == "data":
                    text.text = UNKNOWN if data is None else number_text(data)
                elif text.get("class") == "grad":
                    text.text = number_text(grad)
        return root

    def _light(self, parts: dict[str | None, ET.Element], stepper: Stepper) -> None:
        if not stepper.position:
            return
        event = self.recording.events[stepper.position - 1]
        drawn = self.nodes[event.node]
        if drawn is not None:
            for shape in list(parts[f"n{drawn}"])[:1]:
                shape.set("stroke", SPOTLIGHT)
                shape.set("stroke-width", "4")
        if event.user is not None and (edge := self.edges.get((event.user, event.operand))) is not None:
            _stroke(parts[f"e{edge}"], SPOTLIGHT, 4.0)
        elif stepper.position <= self.recording.forward:
            for operand in range(len(self.recording.nodes[event.node].args)):
                if (edge := self.edges.get((event.node, operand))) is not None:
                    _stroke(parts[f"e{edge}"], SPOTLIGHT, 2.5)

    def _write_caption(self, root: ET.Element, stepper: Stepper) -> None:
        """Two lines of text below the drawing, in room that every frame has."""
        width, height = self.size
        step = stepper.step
        sentence = step.sentence.removesuffix(f"   [{step.formula}]") if step.formula else step.sentence
        room = max(int((width - 20) / (CAPTION_SIZE * CAPTION_WIDTH)), 30)
        lines = [*textwrap.wrap(sentence, room)[:2], f"because {step.formula}" if step.formula else ""]
        full = height + CAPTION_ROOM
        wide = max(width, 20 + CAPTION_SIZE * CAPTION_WIDTH * 30)
        root.set("viewBox", f"0.00 0.00 {wide:.2f} {full:.2f}")
        root.set("width", f"{wide:.0f}pt")
        root.set("height", f"{full:.0f}pt")
        head = f"step {stepper.position} of {len(self.recording)}, {step.phase}"
        for i, (text, size, color) in enumerate([(head, SMALL, FAINT), *[(line, CAPTION_SIZE, TEXT) for line in lines if line]]):
            element = ET.SubElement(root, f"{SVG}text", {
                "class": "caption", "x": "12", "y": f"{height + 12 + i * CAPTION_LINE:.2f}", "font-family": FONT,
                "font-size": str(size), "fill": color, "{http://www.w3.org/XML/1998/namespace}space": "preserve"})
            element.text = text[:room] + ("..." if len(text) > room else "")

    def _text(self, root: ET.Element) -> str:
        return ET.tostring(root, encoding="unicode")


CAPTION_ROOM = 4 * CAPTION_LINE + 8  # below every frame, in points


def flow_width(flow: float) -> float:
    """The width of a line along which this gradient flowed, in points: 1 at 1e-4 and below, 4 at 1, 6 at most."""
    if not flow or math.isnan(flow):
        return 1.0
    return min(max(4 + 0.75 * math.log10(min(abs(flow), 1e300)), 1.0), 6.0)


def _mark(text: ET.Element, name: str) -> None:
    """Gives a number its class, and its right end its place, which is what stays where it is."""
    size = float(text.attrib["font-size"])
    width = sum(POINT_WIDTH if c == "." else MINUS_WIDTH if c == "-" else DIGIT_WIDTH for c in text.text or "")
    text.set("class", name)
    text.set("x", f"{float(text.attrib['x']) + width * size:.2f}")
    text.set("text-anchor", "end")


def _stroke(group: ET.Element, color: str, width: float) -> None:
    for shape in group.iter():
        if shape.tag in (f"{SVG}path", f"{SVG}polygon", f"{SVG}polyline"):
            shape.set("stroke", color)
            if shape.tag == f"{SVG}path":
                shape.set("stroke-width", f"{width:.2f}")
            if shape.get("fill") not in (None, "none"):
                shape.set("fill", color)
