"""The explorer: an HTML page that steps through a graph forwards and backwards, with mouse or keys.

    >>> from tinygrad_edu.examples import lecture_neuron
    >>> explore(lecture_neuron())                             # doctest: +ELLIPSIS
    <Page 'computation graph of o': ... kB; .save("y.html") writes it>
    >>> path = explore(lecture_neuron(), "o.html")            # doctest: +SKIP

This file makes the data of the page: its numbers and sentences, as text.  Its looks are in
``explorer.html``, ``theme.css`` and ``explorer.css``, its behaviour in `SCRIPTS`; the last of them,
``explorer.js``, says what each is for.
"""

from __future__ import annotations

import html
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

from tinygrad_edu import Stepper, Value, compare_orders
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.nn.structure import enclosing

from ...drawing.dot import contents, symbol
from ...drawing.model import Edge, Node, build
from ...drawing.scene import Scene
from ...drawing.text import check_title, label_number, number_text
from ..page import Page, assemble, page_path, read, themed

# a browser steps through a drawing of this size at 30 frames per second
MAX_NODES = 2000
MAX_EDGES = 4000
LEAVES = ("input", "parameter", "constant")
STYLES = ("theme.css", "explorer/explorer.css")
SCRIPTS = (
    "stage.js",
    *(
        f"explorer/{name}.js"
        for name in ("cursor", "modules", "picture", "details", "lists", "explorer")
    ),
)
COLUMNS = ("number", "node", "text", "exact", "edge", "flow", "flowed", "lead", "rest", "formula")


def explore(
    y: Value | Recording | Stepper,
    path: str | os.PathLike[str] | None = None,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
    title: str = "",
) -> Page | Path:
    """Returns a `Page` that steps through the graph of ``y``, or writes it to ``path`` and returns
    the path.

    The page starts before the first step, or at the position of a Stepper.

    y            a Value, a Recording (also in the naive order) or a Stepper; it is not changed
    path         a file name that ends in .html or .htm; a missing suffix becomes ".html"
    collapse     modules to draw as one box each, as in `viz.draw`.  They cannot be expanded on the
                 page; all other modules can be collapsed and expanded by a click
    max_nodes    above this many nodes, neurons are collapsed before layout if that is enough, else
                 larger modules as in `viz.draw`.  Steps inside them are left out, and the page
                 says so
    expand       paths of modules to draw as a whole, whatever else is collapsed
    title        title of the page, by default "computation graph of" and the name of the root

    Raises:
        TypeError: ``y`` or ``title`` is of another type.
        RenderError: there is no layout engine.
        Others: see `viz.draw` for ``collapse``, ``expand`` and ``max_nodes``, and `Page.save` for
            ``path``.
    """
    recording = recording_of(y, "explore()")
    check_title("explore", title)
    target = None if path is None else page_path(path)
    notes = []
    if collapse is None and (collapse := _collapse(recording, max_nodes)):
        notes.append(
            f"Neurons are collapsed: the {len(recording.nodes):,} nodes are more than "
            f"max_nodes={max_nodes}."
        )
    scene = Scene(recording, collapse, max_nodes, expand=expand)
    title = title or f"computation graph of {recording.nodes[recording.root].name}"
    body = Template(read("explorer/explorer.html")).substitute(
        title=html.escape(title), svg=themed(scene.svg)
    )
    data = {
        "title": title,
        **page_data(scene, notes),
        "open": y.position if isinstance(y, Stepper) else 0,
    }
    page = Page(assemble(title, body, data, styles=STYLES, scripts=SCRIPTS), title)
    return page if target is None else page.save(target)


def _collapse(recording: Recording, max_nodes: int | None) -> str | None:
    """Returns "neurons" if the graph is too large and its neurons are few enough, else None.

    Neurons are preferred to layers because each of them shows its numbers.
    """
    if max_nodes is None or len(recording.nodes) <= max_nodes:
        return None
    neurons = build(recording.values()[-1:], "neurons", None)
    few = len(neurons.nodes) <= max_nodes and len(neurons.edges) <= MAX_EDGES
    return "neurons" if few and any(node.role == "module" for node in neurons.nodes) else None


def _notes(scene: Scene, steps: int) -> list[str]:
    """Returns what the page leaves out, and how to see it."""
    notes = list(scene.graph.notes)
    recording = scene.recording
    boxes = [node.label for node in scene.graph.nodes if node.role == "module"]
    if steps < len(recording):
        notes.append(
            f"The page has {steps:,} of the {len(recording):,} steps: the others change nothing "
            "that is drawn."
        )
    if boxes:
        notes.append(
            f"To see inside a collapsed module, run: viz.explore(y, expand={boxes[0]!r})."
        )
    return notes


def _naive_order_notes(
    recording: Recording,
) -> tuple[list[str], dict[int, tuple[str, str]], dict[str, float]]:
    """Returns what the page says about a naive order.

    These are notes; for each marked step, a short text and a sentence; and, by name, the right
    gradients where the naive order gives wrong ones.
    """
    if recording.order != "naive":
        return [], {}, {}
    comparison = compare_orders(recording.values()[-1])
    early = comparison.early
    late = comparison.late
    if early is None or late is None:
        note = (
            "This is the naive recursive order. It is right here, because no operation is used "
            "twice."
        )
        return [note], {}, {}
    root = recording.nodes[recording.root].name
    event = recording.events[early - 1]
    gradient = f"∂{root}/∂{recording.nodes[event.user or 0].name}"
    marks = {
        early: (
            "too early",
            f"Too early: this step passes on {gradient} = {label_number(event.adjoint)}, "
            f"but step {late} still adds to it.",
        ),
        late: (
            "too late",
            f"Too late: this step adds to {gradient}, which step {early} already passed on. "
            "The whole sum is passed on next, so its first part is counted twice.",
        ),
    }
    wrong = {
        name: pair
        for name, pair in comparison.gradients.items()
        if label_number(pair[0]) != label_number(pair[1])
    }
    shown = "; ".join(
        f"∂{root}/∂{name} is {label_number(right)}, here {label_number(naive)}"
        for name, (right, naive) in list(wrong.items())[:3]
    )
    note = (
        f"This is the naive recursive order. It is wrong here: step {early} passes a gradient on "
        "before it is complete."
    )
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    if shown:
        note += f" {shown}{more}."
    return [note], marks, {name: right for name, (right, _) in wrong.items()}


def page_data(scene: Scene, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the data that ``cursor.js`` reads.

    A "count" is the number of steps of the page that are done, 0 before the first one.

    total      number of steps of the recording; the page has those that change something drawn
    forward    number of forward steps of the page
    given      the sentence before the first step
    order      the order of the backward pass, "topological" or "naive"
    notes      what is not shown, and why
    marks      for some steps, by their number in the recording, what is wrong with them: in a few
               words, and as a sentence
    nodes      one for each drawn node, see `_node`
    edges      one for each drawn edge, see `_edge`
    frames     one for each module that is drawn as a frame, see `_frames`
    steps      a column for each field, see `_steps`
    """
    recording = scene.recording
    numbers = [number for number, hidden in enumerate(scene.hidden, 1) if not hidden]
    computed = {
        event.node: bisect_left(numbers, number) + 1
        for number, event in enumerate(recording.events[: recording.forward], 1)
    }
    frame_of = {cluster.path: i for i, cluster in enumerate(scene.graph.clusters)}
    index = {node.name: i for i, node in enumerate(scene.graph.nodes)}
    order_notes, marks, right = _naive_order_notes(recording)
    return {
        "total": len(recording),
        "forward": bisect_right(numbers, recording.forward),
        "order": recording.order,
        "given": recording.start().sentence,
        "notes": [*notes, *_notes(scene, len(numbers)), *order_notes],
        "marks": marks,
        "nodes": [_node(scene, node, frame_of, computed, right) for node in scene.graph.nodes],
        "edges": [_edge(edge, index, computed) for edge in scene.graph.edges],
        "frames": _frames(scene, frame_of, index),
        "steps": _steps(scene, numbers),
    }


def _node(
    scene: Scene,
    node: Node,
    frame_of: dict[str, int],
    computed: dict[int, int],
    right: dict[str, float],
) -> dict[str, Any]:
    """Returns one drawn node.

    label, role, op    as in `viz.drawing.model`; ``symbol`` is the operation as it is shown
    name               its name in sentences
    frame              the index of the innermost frame around it, -1 for none
    contents           of a box: "7 operations, 3 parameters"
    given              the number of a leaf, short and with all digits; else null
    grad               whether there is a gradient
    since              the count from which on it is computed
    right              the right gradient, if the last step leaves a wrong one (see
                       `compare_orders`); else null
    opens              of a module, the call that makes a page of its inside; else ""
    """
    members = node.members if node.shows is None else [node.shows]
    operations = [computed[i] for i in members if i in computed]
    name = node.label
    given = None
    if node.shows is not None:
        shown = scene.recording.nodes[node.shows]
        if node.role != "module":
            name = shown.name
        if not shown.op and node.data is not None:
            short = label_number(node.data) if node.role == "constant" else number_text(node.data)
            given = [short, repr(node.data)]
    return {
        "label": node.label,
        "role": node.role,
        "op": node.op,
        "symbol": symbol(node.op) if node.op else "",
        "name": name,
        "frame": frame_of.get(node.cluster, -1),
        "contents": contents(node) if node.role in ("module", "rest") else "",
        "given": given,
        "grad": node.grad is not None,
        "since": max(operations, default=0),
        "right": number_text(right[name]) if node.role != "module" and name in right else None,
        "opens": f"viz.explore(y, expand={node.label!r})" if node.role == "module" else "",
    }


def _edge(edge: Edge, index: dict[str, int], computed: dict[int, int]) -> dict[str, Any]:
    """Returns one drawn edge.

    source, target    the indices of its ends
    derivative        the local derivative, short and with all digits; or null
    constant          whether it comes from a constant
    links             the number of edges that it stands for
    since             the count from which on the forward pass has used it
    """
    used = [computed[user] for user, _ in edge.links if user in computed]
    derivative = None
    if edge.derivative is not None:
        derivative = [label_number(edge.derivative), repr(edge.derivative)]
    return {
        "source": index[edge.source],
        "target": index[edge.target],
        "derivative": derivative,
        "constant": edge.constant,
        "links": edge.count,
        "since": min(used, default=0),
    }


def _frames(scene: Scene, frame_of: dict[str, int], index: dict[str, int]) -> list[dict[str, Any]]:
    """Returns each drawn frame.

    path        the path of the module
    parent      the index of the frame around it, -1 for none
    contents    what it contains, in words
    output      the index of the node that is its only output, -1 if there are several
    """
    inside: list[set[int]] = [set() for _ in frame_of]
    for i, node in enumerate(scene.graph.nodes):
        for path in enclosing(node.cluster):
            if path in frame_of:
                inside[frame_of[path]].add(i)
    leading_out: list[set[int]] = [set() for _ in frame_of]
    for edge in scene.graph.edges:
        source = index[edge.source]
        target = index[edge.target]
        if scene.graph.nodes[source].role in LEAVES:
            continue
        for i, members in enumerate(inside):
            if source in members and target not in members:
                leading_out[i].add(source)
    frames = []
    for i, cluster in enumerate(scene.graph.clusters):
        nodes = [scene.graph.nodes[k] for k in sorted(inside[i])]
        outputs = leading_out[i] | {index[node.name] for node in nodes if node.output}
        whole = replace(
            nodes[0],
            operations=sum(node.operations for node in nodes),
            parameters=sum(node.parameters for node in nodes),
        )
        output = next(iter(outputs)) if len(outputs) == 1 else -1
        if output >= 0 and scene.graph.nodes[output].shows is None:
            output = -1
        frames.append(
            {
                "path": cluster.path,
                "parent": frame_of.get(cluster.parent, -1),
                "contents": contents(whole),
                "output": output,
            }
        )
    return frames


def _steps(scene: Scene, numbers: list[int]) -> dict[str, list[Any]]:
    """Returns the steps of the page as one list for each field, which is shorter than one object
    for each step.

    number      number of the step in the recording
    node        the index of the drawn node whose number it sets, -1 for none
    text        the node's number after it (data in the forward phase, else gradient), short; null
                if the node shows another number, as boxes do
    exact       the same number with all digits
    edge        the index of the edge along which the gradient flows, -1 for none
    flow        the gradient that flows, short; "" in the forward phase
    flowed      the sum that has flowed along this edge so far, short
    lead        the beginning of the sentence, ``∂y/∂a += ``; the sum over users leaves it out
    rest        the rest of the sentence: ``∂y/∂d · ∂d/∂a = 0.5 × -3 = -1.5``
    formula     the rule that gave the local derivative, or ""
    """
    recording = scene.recording
    root = recording.nodes[recording.root].name
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    flowed: dict[int, float] = {}
    for number in numbers:
        event = recording.events[number - 1]
        step = recording[number - 1]
        drawn = scene.nodes[event.node]
        shown = drawn is not None and scene.graph.nodes[drawn].shows == event.node
        lead = ""
        edge = -1
        flow = ""
        so_far = ""
        if event.user is not None:
            edge = scene.edges.get((event.user, event.operand), -1)
            flow = label_number(recording.flow(event))
            flowed[edge] = flowed.get(edge, 0.0) + recording.flow(event)
            so_far = label_number(flowed[edge])
            lead = f"∂{root}/∂{step.name} += "
        row = {
            "number": number,
            "node": -1 if drawn is None else drawn,
            "text": number_text(event.after) if shown else None,
            "exact": repr(event.after),
            "edge": edge,
            "flow": flow,
            "flowed": so_far,
            "lead": lead,
            "rest": step.words.removeprefix(lead),
            "formula": step.formula,
        }
        for name, entry in row.items():
            columns[name].append(entry)
    return columns
