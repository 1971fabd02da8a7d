"""The explorer: a graph as one HTML file in which it is stepped through, forwards and backwards,
with a mouse or keys.

    >>> from tinygrad_edu.examples import lecture_neuron
    >>> explore(lecture_neuron())                             # in a notebook, the page itself  # doctest: +ELLIPSIS
    <Page 'computation graph of o': ... kB; .save("y.html") writes it>
    >>> path = explore(lecture_neuron(), "o.html")            # doctest: +SKIP

This file makes the data: every number and sentence of the page is text that comes from here.  How
the page looks is in ``explorer.html``, ``theme.css`` and ``explorer.css``, what it does in
``stage.js`` and ``explorer.js``.
"""

from __future__ import annotations

import html
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any, overload

from tinygrad_edu import Stepper, Value, compare_orders
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.nn.structure import enclosing

from ..drawing.dot import brief, contents, number_text, symbol
from ..drawing.model import Edge, Node, build
from ..drawing.scene import Scene
from .page import Page, assemble, page_path, read, themed

MAX_NODES, MAX_EDGES = 2000, 4000  # drawn; what a browser steps at 30 frames a second
LEAVES = ("input", "parameter", "constant")


@overload
def explore(y: Value | Recording | Stepper, path: None = None, *, collapse: str | Iterable[str] | None = None,
            max_nodes: int | None = MAX_NODES, expand: str | Iterable[str] = (), title: str = "") -> Page: ...
@overload
def explore(y: Value | Recording | Stepper, path: str | os.PathLike[str], *, collapse: str | Iterable[str] | None = None,
            max_nodes: int | None = MAX_NODES, expand: str | Iterable[str] = (), title: str = "") -> Path: ...
def explore(
    y: Value | Recording | Stepper,
    path: str | os.PathLike[str] | None = None,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
    title: str = "",
) -> Page | Path:
    """A page that steps through the graph of ``y``: a `Page`, or if a ``path`` is given the path
    that it was written to.

    The page is one HTML file that needs no network.  It starts before the first step; for a
    Stepper, where that is.

    y            a Value, a Recording (also one in the naive order) or a Stepper; nothing of it is
                 changed
    path         a file name that ends in .html or .htm; without a suffix, ".html" is added
    collapse     modules to draw as one box each, as in `viz.draw`.  They cannot be opened on the
                 page, where every other module can be collapsed and expanded by a click
    max_nodes    above this many nodes modules are collapsed before the layout, as in `viz.draw`
                 (but neurons, as long as they are few enough), and steps within them are left out;
                 the page says so
    expand       paths of modules to draw whole, whatever else is collapsed
    title        of the page; without one it is "computation graph of" and the name of the root

    Raises TypeError for another ``y``, RenderError without a layout engine, what `viz.draw` raises
    for ``collapse``, ``expand`` and ``max_nodes``, and what `Page.save` raises for ``path``.
    """
    recording = recording_of(y, "explore()")
    if not isinstance(title, str):
        raise TypeError(f"title must be text, not {type(title).__name__} ({short_repr(title)})")
    target = None if path is None else page_path(path)
    notes = []
    if collapse is None and (collapse := _collapse(recording, max_nodes)):
        notes.append(
            f"Neurons are collapsed: the {len(recording.nodes):,} nodes are more than "
            f"max_nodes={max_nodes}."
        )
    scene = Scene(recording, collapse, max_nodes, expand=expand)
    title = title or f"computation graph of {recording.nodes[recording.root].name}"
    body = Template(read("explorer.html")).substitute(
        title=html.escape(title), svg=themed(scene.svg)
    )
    data = {
        "title": title,
        **page_data(scene, notes),
        "open": y.position if isinstance(y, Stepper) else 0,
    }
    page = Page(
        assemble(
            title,
            body,
            data,
            styles=["theme.css", "explorer.css"],
            scripts=["stage.js", "explorer.js"],
        ),
        title,
    )
    return page if target is None else page.save(target)


def _collapse(recording: Recording, max_nodes: int | None) -> str | None:
    """ "neurons" for a graph that is too large if they are few enough: each of them shows its
    numbers, which layers do not."""
    if max_nodes is None or len(recording.nodes) <= max_nodes:
        return None
    neurons = build(recording.values()[-1:], "neurons", None)
    few = len(neurons.nodes) <= max_nodes and len(neurons.edges) <= MAX_EDGES
    return "neurons" if few and any(node.role == "module" for node in neurons.nodes) else None


def _notes(scene: Scene, steps: int) -> list[str]:
    """What is not on the page, or not as it should be."""
    notes, recording = list(scene.graph.notes), scene.recording
    boxes = [node.label for node in scene.graph.nodes if node.role == "module"]
    if steps < len(recording):
        notes.append(
            f"The page has {steps:,} of the {len(recording):,} steps: the others change nothing "
            "that is drawn."
        )
    if boxes:
        notes.append(
            f"To see the inside of a collapsed module: viz.explore(y, expand={boxes[0]!r})."
        )
    return notes


def _wrong_order(
    recording: Recording,
) -> tuple[list[str], dict[int, tuple[str, str]], dict[str, float]]:
    """What to say of a naive order: a note; by step a mark and a sentence; by name the right
    gradients where its are wrong."""
    if recording.order != "naive":
        return [], {}, {}
    comparison = compare_orders(recording.values()[-1])
    if comparison.early is None or comparison.late is None:
        return (
            [
                "This is the naive recursive order, which is right here, since no operation is "
                "used twice."
            ],
            {},
            {},
        )
    early, late, root = comparison.early, comparison.late, recording.nodes[recording.root].name
    event = recording.events[early - 1]
    gradient = f"∂{root}/∂{recording.nodes[event.user or 0].name}"
    marks = {
        early: (
            "too early",
            f"Too early: {gradient} is passed on when it is {brief(event.adjoint)}; "
            f"the rest of it arrives in step {late}.",
        ),
        late: (
            "the rest of it",
            f"The rest of {gradient}, a part of which was passed on in step {early}; "
            "now all of it is, and so that part a second time.",
        ),
    }
    wrong = {
        name: pair
        for name, pair in comparison.gradients.items()
        if brief(pair[0]) != brief(pair[1])
    }
    shown = "; ".join(f"∂{root}/∂{name} is {brief(right)}, here {brief(naive)}"
                      for name, (right, naive) in list(wrong.items())[:3])
    note = f"This is the naive recursive order, which goes wrong: step {early} passes a gradient on before it is complete."
    if shown:
        note += f" {shown}{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}."
    return [note], marks, {name: right for name, (right, _) in wrong.items()}


def page_data(scene: Scene, notes: Sequence[str] = ()) -> dict[str, Any]:
    """What ``explorer.js`` reads.  A "count" is a number of steps of the page done, 0 before the
    first one.

    total      how many steps the recording has; of these the page has those that change something
               drawn
    forward    how many steps of the page are forward ones
    given      the sentence before the first step
    order      the order of the backward pass, "topological" or "naive"
    notes      what is not shown, and why
    marks      by the number of a step in the recording what is wrong with it, in a few words and as
               a sentence
    nodes      one for each drawn node, see `_node`
    edges      one for each drawn edge, see `_edge`
    frames     one for each module that is drawn as a frame, see `_frames`
    steps      a column for each field, see `_steps`
    """
    recording = scene.recording
    numbers = [number for number, hidden in enumerate(scene.hidden, 1) if not hidden]
    computed = {event.node: bisect_left(numbers, number) + 1
                for number, event in enumerate(recording.events[:recording.forward], 1)}
    frame_of = {cluster.path: i for i, cluster in enumerate(scene.graph.clusters)}
    index = {node.name: i for i, node in enumerate(scene.graph.nodes)}
    order_notes, marks, right = _wrong_order(recording)
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
    """One drawn node.

    label, role, op    as in `viz.model`; ``symbol`` is how the operation is shown
    name               what sentences call it
    frame              the index of the innermost frame around it, -1 for none
    contents           of a box: "7 operations, 3 parameters"
    given              of a leaf its number, short and with all digits; null where it is computed,
                       or where there is none
    grad               whether there is a gradient
    since              the count from which on it is computed
    right              the right gradient, if the last step leaves another one (see
                       `compare_orders`); else null
    opens              of a module the call that makes a page with its inside, else ""
    """
    operations = [
        computed[i]
        for i in ([node.shows] if node.shows is not None else node.members)
        if i in computed
    ]
    name = (
        scene.recording.nodes[node.shows].name
        if node.shows is not None and node.role != "module"
        else node.label
    )
    given = None
    if (
        node.shows is not None
        and not scene.recording.nodes[node.shows].op
        and node.data is not None
    ):
        given = [
            brief(node.data) if node.role == "constant" else number_text(node.data),
            repr(node.data),
        ]
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
    """One drawn edge: the indices of its ends, the local derivative (short and with all digits, or
    null), whether it comes from a constant, how many edges it stands for, and the count from which
    on it has been used in the forward pass."""
    used = [computed[user] for user, _ in edge.links if user in computed]
    derivative = (
        None if edge.derivative is None else [brief(edge.derivative), repr(edge.derivative)]
    )
    return {
        "source": index[edge.source],
        "target": index[edge.target],
        "derivative": derivative,
        "constant": edge.constant,
        "links": edge.count,
        "since": min(used, default=0),
    }


def _frames(scene: Scene, frame_of: dict[str, int], index: dict[str, int]) -> list[dict[str, Any]]:
    """For each frame its path, the index of the frame around it (-1 for none), what is in it in
    words, and the index of the node that is its one output (-1 if there are several)."""
    inside: list[set[int]] = [set() for _ in frame_of]
    for i, node in enumerate(scene.graph.nodes):
        for path in enclosing(node.cluster):
            if path in frame_of:
                inside[frame_of[path]].add(i)
    leading_out: list[set[int]] = [set() for _ in frame_of]
    for edge in scene.graph.edges:
        source, target = index[edge.source], index[edge.target]
        for i, members in enumerate(inside):
            if (
                source in members
                and target not in members
                and scene.graph.nodes[source].role not in LEAVES
            ):
                leading_out[i].add(source)
    frames = []
    for i, cluster in enumerate(scene.graph.clusters):
        nodes = [scene.graph.nodes[k] for k in sorted(inside[i])]
        outputs = leading_out[i] | {index[node.name] for node in nodes if node.output}
        whole = replace(nodes[0], operations=sum(node.operations for node in nodes),
                        parameters=sum(node.parameters for node in nodes))
        one = next(iter(outputs)) if len(outputs) == 1 else -1
        frames.append(
            {
                "path": cluster.path,
                "parent": frame_of.get(cluster.parent, -1),
                "contents": contents(whole),
                "output": one if one >= 0 and scene.graph.nodes[one].shows is not None else -1,
            }
        )
    return frames


def _steps(scene: Scene, numbers: list[int]) -> dict[str, list[Any]]:
    """The steps of the page, one list for each field, since thousands of steps would repeat the
    names.

    number      of the step in the recording
    node        the index of the drawn node that it is about, -1 for none
    text        the number that this node shows after it (its data in the forward phase, else its
                gradient), short; null if the node shows another number, which happens in boxes
    exact       the same number with all digits
    edge        the index of the edge along which the gradient flows, -1 for none
    flow        how much flows, short; "" in the forward phase
    flowed      how much has flowed along this edge so far, short
    lead        the beginning of the sentence: ``∂y/∂a += ``, which the sum over users leaves out
    rest        what follows: ``∂y/∂d · ∂d/∂a = 0.5 × -3 = -1.5``
    formula     the rule that gave the local derivative, "" where there is none
    """
    recording = scene.recording
    rows, flowed = [], dict[int, float]()
    for number in numbers:
        event, step = recording.events[number - 1], recording[number - 1]
        drawn = scene.nodes[event.node]
        shown = drawn is not None and scene.graph.nodes[drawn].shows == event.node
        lead, edge, flow, so_far = "", -1, "", ""
        if event.user is not None:
            edge, flow = (
                scene.edges.get((event.user, event.operand), -1),
                brief(recording.flow(event)),
            )
            flowed[edge] = flowed.get(edge, 0.0) + recording.flow(event)
            so_far = brief(flowed[edge])
            lead = f"∂{recording.nodes[recording.root].name}/∂{step.name} += "
        rows.append(
            (
                number,
                -1 if drawn is None else drawn,
                number_text(event.after) if shown else None,
                repr(event.after),
                edge,
                flow,
                so_far,
                lead,
                step.words.removeprefix(lead),
                step.formula,
            )
        )
    names = ("number", "node", "text", "exact", "edge", "flow", "flowed", "lead", "rest", "formula")
    return (
        {name: list(column) for name, column in zip(names, zip(*rows))}
        if rows
        else {name: [] for name in names}
    )
