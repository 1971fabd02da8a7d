"""`Scene`: a drawing whose numbers change from step to step while everything keeps its place.

Pages, animations and notebooks show it.

    >>> from tinygrad_edu import Stepper, record
    >>> from tinygrad_edu.examples import lecture_neuron
    >>> recording = record(lecture_neuron())
    >>> scene = Scene(recording)  # laid out once, by the layout engine
    >>> stepper = Stepper(recording).run_to("backward")
    >>> frame = scene.frame(stepper)  # the picture of this moment, as SVG text

A `Scene` is laid out for the widest numbers that a recording ever shows, so no number leaves its
box and no box moves.  The parts of its SVG have names:

* nodes are groups with the ids n0, n1, ... and the class of their role;
* edges are groups with the ids e0, e1, ..., and frames of modules c0, c1, ...;
* the texts with a node's data and gradient have the classes ``data`` and ``grad``.
"""

from __future__ import annotations

import copy
import html
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from tinygrad_edu import Stepper
from tinygrad_edu.debug.recording import Recording

from .frame import SVG, Caption, EdgeLook, NodeLook
from .model import MAX_NODES, Graph, Node, build
from .render import Drawing
from .style import EDGE_LINE, FAINT, NEGATIVE, POSITIVE, UNDEFINED
from .text import DIGIT_WIDTH, label_number, number_text

UNKNOWN = "?"  # in place of a number that is not computed yet
# widths of other characters of numbers in Helvetica, in font sizes
OTHER_WIDTHS = {".": 0.278, "-": 0.333, "i": 0.222, "f": 0.278}

ET.register_namespace("", SVG[1:-1])
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


class Scene:
    """The drawing of a recording, laid out once.

    recording: the `Recording`.
    graph: the records that are drawn (see `drawing.model`).
    svg: the annotated SVG text, with the numbers of the end of the recording.
    nodes: for each position in ``recording.nodes``, the index in ``graph.nodes`` of the box that
        shows it; None if it is left out.
    edges: the index in ``graph.edges`` of each ``(user, operand)``; edges inside a box are missing.
    hidden: for each step of the recording, whether it changes nothing that is drawn.

    collapse, max_nodes, expand: as in `viz.draw`.
    widest: data and gradient to leave space for, by position, if wider numbers will be shown than
        the recording has.
    slopes: whether the local derivatives are written on the edges.

    Raises:
        RenderError: no layout engine is installed, or it fails.
        TypeError, ValueError: as in `viz.draw`.
    """

    def __init__(
        self,
        recording: Recording,
        collapse: str | Iterable[str] | None = None,
        max_nodes: int | None = MAX_NODES,
        widest: Mapping[int, tuple[float, float]] | None = None,
        expand: str | Iterable[str] = (),
        slopes: bool = True,
    ) -> None:
        self.recording = recording
        roots = self.recording.values()[-1:]
        self.graph: Graph = self._with_widest_numbers(
            build(roots, collapse, max_nodes, expand), widest or {}
        )
        self.nodes: list[int | None] = [None] * len(self.recording.nodes)
        self.edges: dict[tuple[int | None, int], int] = {}
        for i, node in enumerate(self.graph.nodes):
            for position in node.members:
                self.nodes[position] = i
        for i, edge in enumerate(self.graph.edges):
            for link in edge.links:
                self.edges[link] = i
        shown = {node.shows for node in self.graph.nodes}
        self.hidden = [
            event.node not in shown and (event.user, event.operand) not in self.edges
            for event in self.recording.events
        ]
        self._completed_at = self._completed()
        self._root = self._annotated(Drawing(self._named_records(slopes), legend=False).svg())
        # the text of each part as last drawn
        self._drawn: dict[str, tuple[NodeLook | EdgeLook | None, str]] = {}

    @property
    def svg(self) -> str:
        """The annotated SVG text, with the numbers of the end of the recording."""
        root = copy.deepcopy(self._root)
        looks = self._looks(Stepper(self.recording).finish())
        for group in root.iter(f"{SVG}g"):
            look = looks.get(group.get("id", ""))
            if isinstance(look, NodeLook):
                NodeLook(look.data, look.grad).draw(group)
        return ET.tostring(root, encoding="unicode")

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        _, _, width, height = map(float, self._root.attrib["viewBox"].split())
        return width, height

    @property
    def frame_size(self) -> tuple[float, float]:
        """Width and height in points of every frame, with its caption."""
        return self._caption.width, self._caption.height

    def frame(self, stepper: Stepper, caption: bool = True) -> str:
        """Returns the picture at the position of ``stepper``, as SVG text.

        Nodes that are not computed yet are faint.  The node and the edges of the last step glow.
        An edge along which a gradient has flowed points to the operand; its colour shows the sign
        of the gradient, and its width the magnitude.  ``caption`` adds the step's sentence and a
        progress bar below.
        """
        return self.view(
            self.parts(stepper).values(), self.caption(stepper.position) if caption else None
        )

    def parts(self, stepper: Stepper) -> dict[str, str]:
        """Returns the SVG text of every part at the position of ``stepper``, by its id."""
        looks = self._looks(stepper)
        group = next(self._root.iter(f"{SVG}g"))
        return {part.attrib["id"]: self._part(part, looks) for part in group.findall(f"{SVG}g")}

    def caption(self, position: int) -> str:
        """Returns the SVG text of the caption after ``position`` steps."""
        return self._caption.svg(position)

    @property
    def left(self) -> float:
        """The left end of every frame in points; the drawing begins at 0, and may be narrower."""
        return self._caption.left

    @property
    def transform(self) -> str:
        """The SVG transform of the parts."""
        return next(self._root.iter(f"{SVG}g")).attrib["transform"]

    def view(self, parts: Iterable[str], caption: str | None) -> str:
        """Returns the picture with these parts and this caption, or without one, as SVG text."""
        width, height = self.size if caption is None else self.frame_size
        left = 0.0 if caption is None else self.left
        name = html.escape(self._root.findtext(f"{SVG}title", ""))
        description = html.escape(self._root.get("aria-label", ""))
        text = "\n".join(parts)
        return (
            f'<svg xmlns="{SVG[1:-1]}" role="img" aria-label="{description}" '
            f'width="{width:.0f}pt" height="{height:.0f}pt" '
            f'viewBox="{left:.2f} 0.00 {width:.2f} {height:.2f}">\n<title>{name}</title>\n'
            f'<g id="graph0" class="graph" transform="{self.transform}">\n{text}\n</g>\n'
            f'{caption or ""}\n</svg>\n'
        )

    def flows(self, stepper: Stepper) -> dict[int, float]:
        """Returns the sum of the gradients that have flowed so far along each drawn edge."""
        flows: dict[int, float] = {}
        for event in self.recording.events[self.recording.forward:stepper.position]:
            edge = self.edges.get((event.user, event.operand))
            if edge is not None:
                flows[edge] = flows.get(edge, 0.0) + self.recording.flow(event)
        return flows

    def name_of(self, node: Node) -> str:
        """Returns the name of a drawn node in the sentences, or the path of a box."""
        if node.shows is None or node.role == "module":
            return node.label
        return self.recording.nodes[node.shows].name

    def _completed(self) -> dict[str, int]:
        """Returns after which step each drawn operation is computed, by its name.

        A box is computed when its output is, or everything in it if it has several outputs.
        """
        rest = next((node for node in self.graph.nodes if node.role == "rest"), None)
        done = {}
        for number, event in enumerate(self.recording.events[:self.recording.forward], 1):
            i = self.nodes[event.node]
            node = rest if i is None else self.graph.nodes[i]
            if node and node.shows in (None, event.node):
                done[node.name] = number
        return done

    def _with_widest_numbers(self, graph: Graph, given: Mapping[int, tuple[float, float]]) -> Graph:
        room: dict[int, tuple[float, float]] = {}
        for event in self.recording.events[self.recording.forward:]:
            data, widest = room.get(event.node, (self.recording.nodes[event.node].data, 0.0))
            room[event.node] = data, max(widest, event.after, key=lambda x: len(number_text(x)))
        room.update(given)

        def widened(node: Node) -> Node:
            if node.shows not in room:
                return node
            data, grad = room[node.shows]
            return replace(node, data=data, grad=None if node.grad is None else grad)

        return replace(graph, nodes=tuple(map(widened, graph.nodes)))

    @cached_property
    def _caption(self) -> Caption:
        return Caption(self.recording, *self.size)

    def _named_records(self, slopes: bool) -> Graph:
        """Returns the records with the names in the sentences, so that readers find ``v6``."""
        edges = self.graph.edges
        if not slopes:
            edges = tuple([replace(edge, derivative=None, parameter="") for edge in edges])

        def named(node: Node) -> Node:
            if node.role == "constant" or not node.label.isprintable():
                return node
            return replace(node, label=self.name_of(node))

        return replace(self.graph, notes=(), nodes=tuple(map(named, self.graph.nodes)), edges=edges)

    def _annotated(self, svg: str) -> ET.Element:
        root = ET.fromstring(svg)
        root.attrib.pop("style")  # the page decides the size
        for group in root.iter(f"{SVG}g"):
            kind = group.get("class")
            if kind == "graph":
                background = group.find(f"{SVG}polygon")
                group.remove(background)  # type: ignore[arg-type]  # every picture has one
            if kind not in ("node", "edge"):
                continue
            for title in group.findall(f"{SVG}title"):
                group.remove(title)
            if kind == "node":
                _annotate_node(group, self.graph.by_name[group.attrib["id"]])
        return root

    def _looks(self, stepper: Stepper) -> dict[str, NodeLook | EdgeLook]:
        """Returns how each part is drawn at the position of ``stepper``, by its id."""
        position = stepper.position
        waiting = {name for name, number in self._completed_at.items() if position < number}
        lit, lit_edges = self._lit(position)
        looks: dict[str, NodeLook | EdgeLook] = {}
        for node in self.graph.nodes:
            data, grad = (None, 0.0) if node.shows is None else stepper.numbers(node.shows)
            text = UNKNOWN if data is None else number_text(data)
            if node.role == "constant":
                text = label_number(node.data)
            faint = node.name in waiting and node.name not in lit
            looks[node.name] = NodeLook(text, number_text(grad), faint, lit.get(node.name, ""))
        flows = self.flows(stepper)
        for i, edge in enumerate(self.graph.edges):
            color = EDGE_LINE
            width = 2.0 if i in lit_edges else 1.0
            if i in flows:
                color = _flow_color(flows[i])
                width = flow_width(flows[i])
            faint = edge.target in waiting and i not in lit_edges
            looks[f"e{i}"] = EdgeLook(faint, color, width, i in flows, i in lit_edges)
        return looks

    def _lit(self, position: int) -> tuple[dict[str, str], set[int]]:
        """Returns what the last step changed and used.

        This is the name of the drawn node with the number that it changed (`NodeLook.lit`), and the
        indices of the edges.
        """
        if not position:
            return {}, set()
        event = self.recording.events[position - 1]
        kind = "grad"
        links: list[tuple[int | None, int]] = [(event.user, event.operand)]
        if event.before is None:  # a step forward, which uses all operands
            kind = "data"
            operands = self.recording.nodes[event.node].args
            links = [(event.node, operand) for operand in range(len(operands))]
        edges = {self.edges[link] for link in links if link in self.edges}
        i = self.nodes[event.node]
        if i is None:
            return {}, edges
        node = self.graph.nodes[i]
        return {node.name: kind if node.shows == event.node else "box"}, edges

    def _part(self, element: ET.Element, looks: dict[str, NodeLook | EdgeLook]) -> str:
        """Returns the SVG text of a part, the same as before if its look has not changed."""
        name = element.attrib["id"]
        look = looks.get(name)
        drawn_look, text = self._drawn.get(name, (None, ""))
        if not text or drawn_look != look:
            if look is not None:
                element = copy.deepcopy(element)
                look.draw(element)
            text = ET.tostring(element, encoding="unicode").strip()
            text = text.replace(f' xmlns="{SVG[1:-1]}"', "")
            self._drawn[name] = look, text
        return text


def _flow_color(flow: float) -> str:
    """Returns the colour of an edge along which this gradient flowed."""
    if flow > 0:
        return POSITIVE
    if flow < 0:
        return NEGATIVE
    return EDGE_LINE if flow == 0 else UNDEFINED


def flow_width(flow: float) -> float:
    """Returns the width in points of an edge along which this gradient flowed.

    It is 1 at 1e-4 and below, 4 at 1, and 6 at most.
    """
    if not flow or math.isnan(flow):
        return 1.0
    return min(max(4 + 0.75 * math.log10(min(abs(flow), 1e300)), 1.0), 6.0)


def _annotate_node(group: ET.Element, node: Node) -> None:
    """Gives the group of a node, and the texts with its numbers, their classes.

    Numbers are anchored at their right ends, which keeps their places.
    """
    group.set("class", f"node {node.role}")
    texts = group.findall(f".//{SVG}text")
    if node.role == "constant":
        texts[-1].set("class", "data")
    elif node.shows is not None:
        numbers = {"data": texts[-3], "grad": texts[-1]}
        right_end = max(map(_right_end, numbers.values()))
        for name, text in numbers.items():
            text.set("class", name)
            text.set("x", f"{right_end:.2f}")
            text.set("text-anchor", "end")
        if node.role != "module" and not node.label:
            texts[-5].set("fill", FAINT)  # a name made for the sentences
            texts[-5].attrib.pop("font-weight", None)


def _right_end(number: ET.Element) -> float:
    widths = [OTHER_WIDTHS.get(character, DIGIT_WIDTH) for character in number.text or ""]
    return float(number.attrib["x"]) + sum(widths) * float(number.attrib["font-size"])
