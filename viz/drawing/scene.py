"""A drawing whose numbers move while everything else stays still: the stage of pages, animations
and notebooks.

    >>> from tinygrad_edu import Stepper, record
    >>> from tinygrad_edu.examples import lecture_neuron
    >>> recording = record(lecture_neuron())
    >>> scene = Scene(recording)                                   # laid out once, by the layout engine
    >>> frame = scene.frame(Stepper(recording).run_to("backward"))   # the picture of one moment, as SVG text

A `Scene` is laid out for the widest numbers that a recording ever shows, so that no number leaves
its box and no box moves.  Each part of its SVG can then be found: nodes are groups with the ids n0,
n1, ... and the class of their role, edges e0, e1, ..., frames of modules c0, c1, ...; the texts
with a node's data and gradient have the classes ``data`` and ``grad``.
"""

from __future__ import annotations

import copy
import html
import math
import xml.etree.ElementTree as ET
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from tinygrad_edu import Stepper, Value
from tinygrad_edu.debug.recording import Event, Recording
from tinygrad_edu.debug.stepper import recording_of

from ..animation.frame import SVG as SVG
from ..animation.frame import Caption, EdgeLook, NodeLook, draw_edge, draw_node
from .dot import brief, number_text
from .model import MAX_NODES, Graph, Node, build
from .render import Drawing
from .style import EDGE_LINE, FAINT, NEGATIVE, POSITIVE, UNDEFINED

UNKNOWN = "?"  # what stands for a number that is not computed yet
# of Helvetica, in units of the font size; and of what else numbers are written with:
DIGIT_WIDTH = 0.556
OTHER_WIDTHS = {".": 0.278, "-": 0.333, "i": 0.222, "f": 0.278}

ET.register_namespace("", SVG[1:-1])
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


class Scene:
    """The drawing of a recording, laid out once.

    recording    the `Recording`
    graph        the records that are drawn (see `viz.model`)
    svg          the annotated SVG text, with the numbers of the end of the recording
    nodes        for each position in ``recording.nodes`` the index in ``graph.nodes`` of where it
                 is drawn; None if it is left out
    edges        for each ``(user, operand)`` the index in ``graph.edges``; edges within a box are
                 not there
    hidden       whether each step of the recording changes nothing that is drawn

    collapse, max_nodes, expand    as in `viz.draw`
    widest       data and gradient to make room for, by position, where more is to be shown than the
                 recording has
    slopes       whether the local derivatives stand on the edges

    Raises what `viz.draw` raises, RenderError without a layout engine included.
    """

    def __init__(
        self,
        recording: Recording | Value | Stepper,
        collapse: str | Iterable[str] | None = None,
        max_nodes: int | None = MAX_NODES,
        widest: Mapping[int, tuple[float, float]] | None = None,
        expand: str | Iterable[str] = (),
        slopes: bool = True,
    ) -> None:
        self.recording = recording_of(recording, "Scene()")
        roots = self.recording.values()[-1:]
        self._slopes = slopes
        self.graph: Graph = self._with_widest_numbers(
            build(roots, collapse, max_nodes, expand), widest or {}
        )
        self.nodes: list[int | None] = [None] * len(self.recording.nodes)
        self.edges: dict[tuple[int, int], int] = {}
        for i, node in enumerate(self.graph.nodes):
            for position in node.members:
                self.nodes[position] = i
        for i, edge in enumerate(self.graph.edges):
            self.edges.update(dict.fromkeys(edge.links, i))
        shown = {node.shows for node in self.graph.nodes}
        self.hidden = [
            event.node not in shown
            and (event.user is None or (event.user, event.operand) not in self.edges)
            for event in self.recording.events
        ]
        self._done = self._completed()
        self._flowed = self._flows()
        self._root = self._annotated(Drawing(self._to_lay_out(), legend=False).svg())
        # the text of each part as last drawn
        self._drawn: dict[str, tuple[NodeLook | EdgeLook | None, str]] = {}

    @property
    def svg(self) -> str:
        """The annotated SVG text, with the numbers of the end of the recording."""
        return self._text(self._at(Stepper(self.recording).finish()))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        _, _, width, height = map(float, self._root.attrib["viewBox"].split())
        return width, height

    @property
    def frame_size(self) -> tuple[float, float]:
        """Width and height in points of a frame with its caption, the same for all of them."""
        return self._caption.width, self._caption.height

    def frame(self, stepper: Stepper, caption: bool = True) -> str:
        """The picture of the moment that ``stepper`` is at, as SVG text.

        What is not computed yet is faint.  The node and the edges of the last step glow; edges
        along which a gradient has flowed point to where it went, coloured by its sign and as wide
        as its magnitude.  ``caption``: the step's sentence below, and how far the recording has
        come.
        """
        looks = self._looks(stepper)
        group = next(self._root.iter(f"{SVG}g"))
        parts = "\n".join(
            [
                self._part(part, looks.get(part.get("id", "")))
                for part in group
                if part.tag == f"{SVG}g"
            ]
        )
        (width, height), left, below = self.size, 0.0, ""
        if caption:
            (width, height), left, below = (
                self.frame_size,
                self._caption.left,
                self._caption.svg(stepper.position),
            )
        name = html.escape(self._root.get("aria-label", ""))
        return (
            f'<svg xmlns="{SVG[1:-1]}" role="img" aria-label="{name}" width="{width:.0f}pt" '
            f'height="{height:.0f}pt" '
            f'viewBox="{left:.2f} 0.00 {width:.2f} {height:.2f}">\n<title>{name}</title>\n'
            f'<g id="graph0" class="graph" transform="{group.get("transform")}">\n{parts}\n</g>\n'
            f'{below}\n</svg>\n'
        )

    def flows(self, stepper: Stepper) -> dict[int, float]:
        """For each drawn edge along which a gradient has flowed so far the sum of what did."""
        return {edge: sums[count - 1] for edge, (positions, sums) in self._flowed.items()
                if (count := bisect_right(positions, stepper.position))}

    def _flows(self) -> dict[int, tuple[list[int], list[float]]]:
        """For each drawn edge the numbers of the steps in which a gradient flows along it, and the
        sums after them."""
        flows: dict[int, tuple[list[int], list[float]]] = {}
        start = self.recording.forward + 1  # after the seed, which comes along no edge
        for number, event in enumerate(self.recording.events[start:], start + 1):
            if (
                event.user is not None
                and (edge := self.edges.get((event.user, event.operand))) is not None
            ):
                positions, sums = flows.setdefault(edge, ([], []))
                positions.append(number)
                sums.append((sums[-1] if sums else 0.0) + self.recording.flow(event))
        return flows

    def name_of(self, node: Node) -> str:
        """What the sentences call a drawn node; of a box its path."""
        return (
            node.label
            if node.shows is None or node.role == "module"
            else self.recording.nodes[node.shows].name
        )

    def _completed(self) -> list[int]:
        """For each drawn node the number of the step after which it is computed: its output, or all
        that is in it."""
        done = [0] * len(self.graph.nodes)
        rest = next((i for i, node in enumerate(self.graph.nodes) if node.role == "rest"), None)
        for number, event in enumerate(self.recording.events[:self.recording.forward], 1):
            i = self.nodes[event.node] if self.nodes[event.node] is not None else rest
            if i is not None and self.graph.nodes[i].shows in (None, event.node):
                done[i] = number
        return done

    def _with_widest_numbers(self, graph: Graph, given: Mapping[int, tuple[float, float]]) -> Graph:
        events, forward = self.recording.events, self.recording.forward
        widest: dict[int, float] = {}
        for event in events[forward:]:
            if len(number_text(event.after)) > len(number_text(widest.get(event.node, 0.0))):
                widest[event.node] = event.after
        room = {
            **{
                position: (self.recording.nodes[position].data, grad)
                for position, grad in widest.items()
            },
            **given,
        }
        return replace(
            graph,
            nodes=tuple(
                [
                    node
                    if node.shows not in room
                    else replace(
                        node,
                        data=room[node.shows][0],
                        grad=None if node.grad is None else room[node.shows][1],
                    )
                    for node in graph.nodes
                ]
            ),
        )

    @cached_property
    def _caption(self) -> Caption:
        return Caption(self.recording, *self.size)

    def _to_lay_out(self) -> Graph:
        """The records with the names that the sentences use, so that ``v6`` can be found in the
        picture."""
        edges = self.graph.edges
        if not self._slopes:
            edges = tuple([replace(edge, derivative=None, of="") for edge in edges])
        return replace(
            self.graph,
            notes=(),
            nodes=tuple(
                [
                    node
                    if node.role == "constant" or not node.label.isprintable()
                    else replace(node, label=self.name_of(node))
                    for node in self.graph.nodes
                ]
            ),
            edges=edges,
        )

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
                if node.role == "constant":
                    texts[-1].set("class", "data")
                elif node.shows is not None:
                    _mark(texts[-3], "data")
                    _mark(texts[-1], "grad")
                    for text in (texts[-3], texts[-1]):
                        text.set("x", max(texts[-3].attrib["x"], texts[-1].attrib["x"], key=float))
                    if node.role != "module" and not node.label:
                        texts[-5].set("fill", FAINT)  # a name made up for the sentences
                        texts[-5].attrib.pop("font-weight", None)
        return root

    def _at(self, stepper: Stepper) -> ET.Element:
        """A copy with the numbers of a moment."""
        root = copy.deepcopy(self._root)
        shows = {node.name: node.shows for node in self.graph.nodes if node.role != "constant"}
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

    def _looks(self, stepper: Stepper) -> dict[str, NodeLook | EdgeLook]:
        """How each part is drawn at a moment, by its id."""
        position = stepper.position
        event = self.recording.events[position - 1] if position else None
        looks: dict[str, NodeLook | EdgeLook] = {}
        for i, node in enumerate(self.graph.nodes):
            lit = ""
            if event is not None and self.nodes[event.node] == i:
                lit = (
                    "box"
                    if node.shows != event.node
                    else "data"
                    if position <= self.recording.forward
                    else "grad"
                )
            data, grad = (None, 0.0) if node.shows is None else stepper.numbers(node.shows)
            text = (
                brief(node.data)
                if node.role == "constant"
                else UNKNOWN
                if data is None
                else number_text(data)
            )
            looks[f"n{i}"] = NodeLook(
                text, number_text(grad), position < self._done[i] and not lit, lit
            )
        done = {node.name: position >= number for node, number in zip(self.graph.nodes, self._done)}
        flows, lit_edges = self.flows(stepper), self._lit_edges(event)
        for i, edge in enumerate(self.graph.edges):
            color, width = EDGE_LINE, 2.0 if i in lit_edges else 1.0
            if i in flows:
                color = (
                    POSITIVE
                    if flows[i] > 0
                    else NEGATIVE
                    if flows[i] < 0
                    else EDGE_LINE
                    if flows[i] == 0
                    else UNDEFINED
                )
                width = flow_width(flows[i])
            faint = not done[edge.target] and i not in lit_edges
            looks[f"e{i}"] = EdgeLook(faint, color, width, i in flows, i in lit_edges)
        return looks

    def _lit_edges(self, event: Event | None) -> set[int]:
        if event is None:
            return set()
        if event.user is not None:
            links = [(event.user, event.operand)]
        else:
            is_seed = event.before is not None
            links = [
                (event.node, operand)
                for operand in range(0 if is_seed else len(self.recording.nodes[event.node].args))
            ]
        return {self.edges[link] for link in links if link in self.edges}

    def _part(self, element: ET.Element, look: NodeLook | EdgeLook | None) -> str:
        """The SVG text of a part; what looks as it did last time is not written again."""
        name = element.get("id", "")
        if name and (drawn := self._drawn.get(name)) and drawn[0] == look:
            return drawn[1]
        if look is not None:
            element = copy.deepcopy(element)
            if isinstance(look, NodeLook):
                draw_node(element, look)
            else:
                draw_edge(element, look)
        text = self._text(element).strip().replace(f' xmlns="{SVG[1:-1]}"', "")
        if name:
            self._drawn[name] = look, text
        return text

    def _text(self, root: ET.Element) -> str:
        return ET.tostring(root, encoding="unicode")


def flow_width(flow: float) -> float:
    """The width of a line along which this gradient flowed, in points: 1 at 1e-4 and below, 4 at 1,
    6 at most."""
    if not flow or math.isnan(flow):
        return 1.0
    return min(max(4 + 0.75 * math.log10(min(abs(flow), 1e300)), 1.0), 6.0)


def _mark(text: ET.Element, name: str) -> None:
    """Gives a number its class, and its right end its place, which is what stays where it is."""
    size = float(text.attrib["font-size"])
    width = sum(OTHER_WIDTHS.get(character, DIGIT_WIDTH) for character in text.text or "")
    text.set("class", name)
    text.set("x", f"{float(text.attrib['x']) + width * size:.2f}")
    text.set("text-anchor", "end")
