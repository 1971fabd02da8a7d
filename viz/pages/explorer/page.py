"""The explorer: an HTML page that steps through a graph forwards and backwards, with mouse or keys.

    >>> from tinygrad_edu.examples import lecture_neuron
    >>> explore(lecture_neuron())                             # doctest: +ELLIPSIS
    <Page 'computation graph of o': ... kB; .save("y.html") writes it>

This file makes the data of the page, which computes its graph itself (see `live`).  Its looks are
in ``explorer.html``, ``theme.css`` and ``explorer.css``, its behaviour in ``explorer.js``, which
says what each of its modules is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from tinygrad_edu import Stepper, Value
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.errors import check_choice
from tinygrad_edu.nn.structure import enclosing

from ...drawing.dot import contents, symbol
from ...drawing.model import Cluster, Edge, Node
from ...drawing.scene import Scene
from ...drawing.selection import READABLE_NODES, node_limit
from ...drawing.style import DIRECTIONS
from ..collapse import collapse_if_large, collapsed_scenes
from ..live.program import is_alive, program, rows
from ..page import Page, assemble, themed

# a browser steps through a drawing of this size at 30 frames per second
MAX_NODES = 2000
MAX_EDGES = 4000
LEAVES = ("input", "parameter", "constant")


def explore(
    y: Value | Recording | Stepper,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | Literal["readable"] | None = "readable",
    expand: str | Iterable[str] = (),
    direction: str = "LR",
    title: str = "",
) -> Page:
    """Returns a `Page` that steps through the graph of ``y``.

    The page starts before the first step, or at the position of a Stepper.

    y: a Value, a Recording (also in the naive order) or a Stepper; it is not changed
    collapse: modules to draw as one box each, as in `viz.draw`.  They cannot be expanded on the
        page; all other modules can be collapsed and expanded by a click
    max_nodes: above this many nodes, neurons are collapsed before layout if that is enough, else
        larger modules as in `viz.draw`.  Steps inside them are left out, and the page says so.  The
        default, "readable", is 2,000.  If ``collapse`` is not given either, a page of more than 25
        nodes opens with its neurons collapsed; they are expanded on the page
    expand: paths of modules to draw as a whole, whatever else is collapsed
    direction: "LR" draws from left to right, "TB" from top to bottom, which suits a phone
    title: title of the page, by default "computation graph of" and the name of the root

    Raises:
        TypeError: ``y`` is of another type.
        ValueError: ``direction`` is neither of these.
        RenderError: there is no layout engine.
        Others: see `viz.draw` for ``collapse``, ``expand`` and ``max_nodes``.
    """
    recording = recording_of(y, "explore: y")
    check_choice(direction, "explore: direction", DIRECTIONS)
    notes = []
    is_free = isinstance(max_nodes, str) and max_nodes == "readable"
    limit: Any = MAX_NODES if is_free else max_nodes
    is_free = is_free and collapse is None and not expand
    if collapse is None:
        node_limit(limit)
        collapse = collapse_if_large(recording.values()[-1], limit, MAX_EDGES)
        if collapse:
            size = len(recording.nodes)
            notes.append(f"Neurons are collapsed, because the graph has {size:,} nodes.")
    scene = Scene(recording, collapse, limit, expand=expand, direction=direction)
    title = title or f"computation graph of {recording.nodes[recording.root].name}"
    others = collapsed_scenes(scene)
    data = {
        "title": title,
        **page_data(scene, notes),
        "others": {name: drawing_data(other) for name, other in others.items()},
        "open": y.position if isinstance(y, Stepper) else 0,
        "level": _first_level(scene, others) if is_free else "",
    }
    ops = data["program"]["rows"] if data["program"]["isAlive"] else []
    templates = "\n".join(
        f'<template id="drawing-{name}">{themed(other.svg)}</template>'
        for name, other in others.items()
    )
    parts = {"svg": themed(scene.svg), "others": templates}
    return assemble("explorer", title, data, {"live/rows.js": rows(ops)}, **parts)


def _first_level(scene: Scene, others: Mapping[str, Scene]) -> str:
    """Returns which modules are collapsed when the page opens: "neurons", "layers" or ""."""
    clusters = scene.graph.clusters
    if not clusters or len(scene.graph.nodes) <= READABLE_NODES:
        return ""
    if others:
        return next(iter(others))
    return "neurons" if any(cluster.parent for cluster in clusters) else "layers"


def page_data(scene: Scene, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the data that the modules of the page read.

    notes: what is not shown, and why
    calls: for the maker of the page: the calls that show more
    nodes, edges, frames: see `drawing_data`
    program: the recorded graph, see `live.program`
    """
    fields = _Fields(scene)
    drawn = {node.shows for node in scene.graph.nodes if node.shows is not None}
    users = {user for user, _ in scene.edges if user is not None}
    return {
        "notes": [*notes, *fields.notes],
        "calls": fields.calls,
        **fields.drawing(),
        "program": program(scene.recording, sorted(drawn | users)),
    }


def drawing_data(scene: Scene) -> dict[str, Any]:
    """Returns the data of one drawing of the page.

    nodes: one for each drawn node, see `_Fields.node`
    edges: one for each drawn edge, see `_Fields.edge`
    frames: one for each module that is drawn as a frame, see `_Fields.frame`
    """
    return _Fields(scene).drawing()


class _Fields:
    """The fields of the data, and what several of them need.

    index: the index of each drawn node, by its name
    frame_of: the index of each frame, by the path of its module
    inside: the nodes in each frame, by their names
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.graph = scene.graph
        self.recording = scene.recording
        self.index = {node.name: i for i, node in enumerate(self.graph.nodes)}
        self.frame_of = {cluster.path: i for i, cluster in enumerate(self.graph.clusters)}
        self.inside: dict[str, dict[str, Node]] = {path: {} for path in self.frame_of}
        for node in self.graph.nodes:
            for path in enclosing(node.cluster):
                self.inside[path][node.name] = node
        self.notes = [*self.graph.notes, *self._left_out()]

    @property
    def calls(self) -> list[str]:
        """The call that shows the inside of the first collapsed module, if there is one."""
        boxes = [node.label for node in self.graph.nodes if node.role == "module"]
        return [_call_to_open(path) for path in boxes[:1]]

    def drawing(self) -> dict[str, Any]:
        """Returns the nodes, edges and frames, see `drawing_data`."""
        return {
            "nodes": list(map(self.node, self.graph.nodes)),
            "edges": list(map(self.edge, self.graph.edges)),
            "frames": list(map(self.frame, self.graph.clusters)),
        }

    def _left_out(self) -> Iterator[str]:
        """Yields what the page leaves out, and how to see it."""
        count = self.scene.hidden.count(False)
        if count < len(self.recording):
            yield (
                f"The page has {count:,} of the {len(self.recording):,} steps: the "
                "others change nothing that is drawn."
            )
        python = [node.op for node in self.recording.nodes if node.op and not is_alive(node.op)]
        if python:
            yield (
                f"The numbers of this page cannot be changed, because {python[0]} is computed in "
                "Python only; define it with an expansion."
            )

    def node(self, node: Node) -> dict[str, Any]:
        """Returns one drawn node.

        label, role, op: as in `viz.drawing.model`; ``symbol`` is the operation as it is shown
        name: its name in sentences
        frame: the index of the innermost frame around it, -1 for none
        contents: of a box: "7 operations, 3 parameters"
        shows: the position in the recording of the node whose numbers it shows, -1 for none
        members: the positions of all nodes that it stands for
        grad: whether there is a gradient
        opens: of a module, the call that makes a page of its inside; else ""
        """
        is_module = node.role == "module"
        return {
            "label": node.label,
            "role": node.role,
            "op": node.op,
            "symbol": symbol(node.op) if node.op else "",
            "name": self.scene.name_of(node),
            "frame": self.frame_of.get(node.cluster, -1),
            "contents": contents(node) if node.role in ("module", "rest") else "",
            "shows": -1 if node.shows is None else node.shows,
            "members": node.members,
            "grad": node.grad is not None,
            "opens": _call_to_open(node.label) if is_module else "",
        }

    def edge(self, edge: Edge) -> dict[str, Any]:
        """Returns one drawn edge.

        source, target: the indices of its ends
        derivative: whether it has a local derivative
        constant: whether it comes from a constant
        count: the number of edges that it stands for
        links: these edges, each as the position of the user and the index of the operand
        """
        return {
            "source": self.index[edge.source],
            "target": self.index[edge.target],
            "derivative": edge.derivative is not None,
            "constant": edge.constant,
            "count": edge.count,
            "links": edge.links,
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


def _call_to_open(path: str) -> str:
    return f"viz.explore(y, expand={path!r})"
