"""The explorer: an HTML page that steps through a graph forwards and backwards, with mouse or keys.

    >>> from tinygrad_edu.examples import lecture_neuron
    >>> explore(lecture_neuron())                             # doctest: +ELLIPSIS
    <Page 'computation graph of o': ... kB; .save("y.html") writes it>

This file makes the data of the page: its numbers and sentences, as text.  Its looks are in
``explorer.html``, ``theme.css`` and ``explorer.css``, its behaviour in ``explorer.js``, which says
what each of its modules is for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tinygrad_edu import Stepper, Value, compare_orders
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.sentences import gradient
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.nn.structure import enclosing

from ...drawing.dot import contents, symbol
from ...drawing.model import Cluster, Edge, Node
from ...drawing.scene import Scene
from ...drawing.text import label_number, number_text
from ..collapse import collapse_if_large
from ..page import Page, assemble, themed

# a browser steps through a drawing of this size at 30 frames per second
MAX_NODES = 2000
MAX_EDGES = 4000
LEAVES = ("input", "parameter", "constant")


def explore(
    y: Value | Recording | Stepper,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
    title: str = "",
) -> Page:
    """Returns a `Page` that steps through the graph of ``y``.

    The page starts before the first step, or at the position of a Stepper.

    y: a Value, a Recording (also in the naive order) or a Stepper; it is not changed
    collapse: modules to draw as one box each, as in `viz.draw`.  They cannot be expanded on the
        page; all other modules can be collapsed and expanded by a click
    max_nodes: above this many nodes, neurons are collapsed before layout if that is enough, else
        larger modules as in `viz.draw`.  Steps inside them are left out, and the page says so
    expand: paths of modules to draw as a whole, whatever else is collapsed
    title: title of the page, by default "computation graph of" and the name of the root

    Raises:
        TypeError: ``y`` is of another type.
        RenderError: there is no layout engine.
        Others: see `viz.draw` for ``collapse``, ``expand`` and ``max_nodes``.
    """
    recording = recording_of(y, "explore: y")
    notes = []
    if collapse is None:
        collapse = collapse_if_large(recording.values()[-1], max_nodes, MAX_EDGES)
        if collapse:
            notes.append(
                f"Neurons are collapsed: the {len(recording.nodes):,} nodes are more than "
                f"max_nodes={max_nodes}."
            )
    scene = Scene(recording, collapse, max_nodes, expand=expand)
    title = title or f"computation graph of {recording.nodes[recording.root].name}"
    data = {
        "title": title,
        **page_data(scene, notes),
        "open": y.position if isinstance(y, Stepper) else 0,
    }
    return assemble("explorer", title, data, svg=themed(scene.svg))


def page_data(scene: Scene, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the data that the page reads; ``types.js`` has their types.

    A "count" is the number of steps of the page that are done, 0 before the first one.

    total: number of steps of the recording; the page has those that change something drawn
    forward: number of forward steps of the page
    given: the sentence before the first step
    order: the order of the backward pass, "topological" or "naive"
    notes: what is not shown, and why
    marks: for some steps, by their number in the recording, what is wrong with them: in a few
        words, and as a sentence
    nodes: one for each drawn node, see `_Fields.node`
    edges: one for each drawn edge, see `_Fields.edge`
    frames: one for each module that is drawn as a frame, see `_Fields.frame`
    steps: a column for each field, see `_Fields.steps`
    """
    fields = _Fields(scene)
    return {
        "total": len(scene.recording),
        "forward": bisect_right(fields.numbers, scene.recording.forward),
        "order": scene.recording.order,
        "given": scene.recording.start().sentence,
        "notes": [*notes, *fields.notes],
        "marks": fields.marks,
        "nodes": list(map(fields.node, scene.graph.nodes)),
        "edges": list(map(fields.edge, scene.graph.edges)),
        "frames": list(map(fields.frame, scene.graph.clusters)),
        "steps": fields.steps(),
    }


class _Fields:
    """The fields of the data, and what several of them need.

    root: the name of the root
    numbers: the numbers, in the recording, of the steps of the page
    computed: for each operation, by its position, the count from which on it is computed
    index: the index of each drawn node, by its name
    frame_of: the index of each frame, by the path of its module
    inside: the nodes in each frame, by their names
    marks: see `page_data`
    right: by name, the right gradients where the naive order gives wrong ones
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.graph = scene.graph
        self.recording = scene.recording
        self.root = self.recording.nodes[self.recording.root].name
        self.numbers = [number for number, hidden in enumerate(scene.hidden, 1) if not hidden]
        forward = enumerate(self.recording.events[: self.recording.forward], 1)
        self.computed = {
            event.node: bisect_left(self.numbers, number) + 1 for number, event in forward
        }
        self.index = {node.name: i for i, node in enumerate(self.graph.nodes)}
        self.frame_of = {cluster.path: i for i, cluster in enumerate(self.graph.clusters)}
        self.inside: dict[str, dict[str, Node]] = {path: {} for path in self.frame_of}
        for node in self.graph.nodes:
            for path in enclosing(node.cluster):
                self.inside[path][node.name] = node
        self.marks: dict[int, tuple[str, str]] = {}
        self.right: dict[str, float] = {}
        self.notes = [*self.graph.notes, *self._left_out()]
        if self.recording.order == "naive":
            self.notes.append(f"This is the naive recursive order. It is {self._verdict()}")

    def _left_out(self) -> Iterator[str]:
        """Yields what the page leaves out, and how to see it."""
        if len(self.numbers) < len(self.recording):
            yield (
                f"The page has {len(self.numbers):,} of the {len(self.recording):,} steps: the "
                "others change nothing that is drawn."
            )
        boxes = [node.label for node in self.graph.nodes if node.role == "module"]
        if boxes:
            yield f"To see inside a collapsed module, run: {_call_to_open(boxes[0])}."

    def _verdict(self) -> str:
        """Returns in words whether the naive order is right.

        If it is wrong, sets ``marks`` and ``right``.
        """
        comparison = compare_orders(self.recording.values()[-1])
        early = comparison.early
        late = comparison.late
        if early is None or late is None:
            return "right here, because no operation is used twice."
        event = self.recording.events[early - 1]
        passed = gradient(self.root, self.recording.nodes[event.user or 0].name)
        self.marks[early] = (
            "too early",
            f"Too early: this step passes on {passed} = {label_number(event.adjoint)}, but step "
            f"{late} still adds to it.",
        )
        self.marks[late] = (
            "too late",
            f"Too late: this step adds to {passed}, which step {early} already passed on. The "
            "whole sum is passed on next, so its first part is counted twice.",
        )
        wrong = []
        for name, (right, naive) in comparison.gradients.items():
            texts = label_number(right), label_number(naive)
            if texts[0] != texts[1]:
                self.right[name] = right
                wrong.append(f"{gradient(self.root, name)} is {texts[0]}, here {texts[1]}")
        verdict = f"wrong here: step {early} passes a gradient on before it is complete."
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return f"{verdict} {'; '.join(wrong[:3])}{more}." if wrong else verdict

    def node(self, node: Node) -> dict[str, Any]:
        """Returns one drawn node.

        label, role, op: as in `viz.drawing.model`; ``symbol`` is the operation as it is shown
        name: its name in sentences
        frame: the index of the innermost frame around it, -1 for none
        contents: of a box: "7 operations, 3 parameters"
        given: the number of a leaf, short and with all digits; else null
        grad: whether there is a gradient
        since: the count from which on it is computed
        right: the right gradient, if the last step leaves a wrong one (see `compare_orders`); else
            null
        opens: of a module, the call that makes a page of its inside; else ""
        """
        is_module = node.role == "module"
        name = self.scene.name_of(node)
        members = node.members if node.shows is None else [node.shows]
        given = None
        if node.data is not None and not self.recording.nodes[members[0]].op:
            short = label_number if node.role == "constant" else number_text
            given = [short(node.data), repr(node.data)]
        return {
            "label": node.label,
            "role": node.role,
            "op": node.op,
            "symbol": symbol(node.op) if node.op else "",
            "name": name,
            "frame": self.frame_of.get(node.cluster, -1),
            "contents": contents(node) if node.role in ("module", "rest") else "",
            "given": given,
            "grad": node.grad is not None,
            "since": max([self.computed.get(i, 0) for i in members], default=0),
            "right": None if is_module or name not in self.right else number_text(self.right[name]),
            "opens": _call_to_open(node.label) if is_module else "",
        }

    def edge(self, edge: Edge) -> dict[str, Any]:
        """Returns one drawn edge.

        source, target: the indices of its ends
        derivative: the local derivative, short and with all digits; or null
        constant: whether it comes from a constant
        links: the number of edges that it stands for
        since: the count from which on the forward pass has used it
        """
        derivative = None
        if edge.derivative is not None:
            derivative = [label_number(edge.derivative), repr(edge.derivative)]
        return {
            "source": self.index[edge.source],
            "target": self.index[edge.target],
            "derivative": derivative,
            "constant": edge.constant,
            "links": edge.count,
            "since": min([self.computed[user] for user, _ in edge.links], default=0),
        }

    def frame(self, cluster: Cluster) -> dict[str, Any]:
        """Returns one drawn frame.

        path: the path of the module
        parent: the index of the frame around it, -1 for none
        contents: what it contains, in words
        output: the index of the node that is its only output, -1 if there are several, or if the
            node shows no numbers
        """
        inside = self.inside[cluster.path]
        outputs = {name for name, node in inside.items() if node.output}
        for edge in self.graph.edges:
            if edge.source in inside and edge.target not in inside:
                outputs.add(edge.source)
        outputs = {name for name in outputs if inside[name].role not in LEAVES}
        has_one = len(outputs) == 1 and inside[min(outputs)].shows is not None
        whole = replace(
            self.graph.nodes[0],
            operations=sum([node.operations for node in inside.values()]),
            parameters=sum([node.parameters for node in inside.values()]),
        )
        return {
            "path": cluster.path,
            "parent": self.frame_of.get(cluster.parent, -1),
            "contents": contents(whole),
            "output": self.index[min(outputs)] if has_one else -1,
        }

    def steps(self) -> dict[str, list[Any]]:
        """Returns the steps of the page as one list for each field.

        This is shorter than one object for each step.

        number: number of the step in the recording
        node: the index of the drawn node whose number it sets, -1 for none
        text: the node's number after it (data in the forward phase, else gradient), short; null if
            the node shows another number, as boxes do
        exact: the same number with all digits
        edge: the index of the edge along which the gradient flows, -1 for none
        flow: the gradient that flows, short; "" in the forward phase
        flowed: the sum that has flowed along this edge so far, short
        lead: the beginning of the sentence, ``dy/da += ``; the sum over users leaves it out
        rest: the rest of the sentence: ``dy/dd · ∂d/∂a = 0.5 × (-3) = -1.5``
        formula: the rule that gave the local derivative, or ""
        """
        columns: defaultdict[str, list[Any]] = defaultdict(list)
        sums: defaultdict[int, float] = defaultdict(float)
        for number in self.numbers:
            event = self.recording.events[number - 1]
            step = self.recording[number - 1]
            drawn = self.scene.nodes[event.node]
            shown = drawn is not None and self.graph.nodes[drawn].shows == event.node
            edge = -1
            lead = flow = flowed = ""
            if event.user is not None:
                edge = self.scene.edges.get((event.user, event.operand), -1)
                sums[edge] += self.recording.flow(event)
                flow = label_number(self.recording.flow(event))
                flowed = label_number(sums[edge])
                lead = step.words[:step.words.index("= ") + 2]
            row = {
                "number": number,
                "node": -1 if drawn is None else drawn,
                "text": number_text(event.after) if shown else None,
                "exact": repr(event.after),
                "edge": edge,
                "flow": flow,
                "flowed": flowed,
                "lead": lead,
                "rest": step.words.removeprefix(lead) + (step.growth and f"   ({step.growth})"),
                "formula": step.formula,
            }
            for name, entry in row.items():
                columns[name].append(entry)
        return columns


def _call_to_open(path: str) -> str:
    return f"viz.explore(y, expand={path!r})"
