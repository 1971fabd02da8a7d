"""A graph as plain records: what is to be drawn, and nothing about drawing.

    >>> from tinygrad_edu import Value
    >>> a = Value(3.0, "a")
    >>> graph = build([a + a])
    >>> [(node.name, node.role, node.label, node.op) for node in graph.nodes]
    [('n0', 'input', 'a', ''), ('n1', 'output', '', 'add')]
    >>> [(edge.source, edge.target, edge.derivative) for edge in graph.edges]
    [('n0', 'n1', 1.0), ('n0', 'n1', 1.0)]

`build` returns the records of a whole graph, `build_path` the records along one path.  Which nodes
are drawn one by one, which modules are collapsed into a box, and what is left out is decided in
`drawing.selection`.  Modules are found from the labels of the parameters (see `nn.structure`) when
a graph is drawn; the forward pass does nothing for it.  Records are copies: later changes of the
graph do not change them.  `drawing.tapes` makes the same records from the tapes of `jit`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinygrad_edu import Value
from tinygrad_edu.engine.graph import topological_order
from tinygrad_edu.errors import counted
from tinygrad_edu.nn.module import ParameterName
from tinygrad_edu.nn.structure import enclosing, find_modules

from .selection import check_max_nodes, choose_boxes, nearest

MAX_NODES = 300
_REST = ""  # the key of the box for everything left out; boxes of modules have their paths as keys


@dataclass(frozen=True, slots=True)
class Node:
    """One box of the drawing: a node of the graph, a collapsed module, or everything left out.

    name        n0, n1, ... in order of execution
    role        input, parameter, constant, operation, output, module or rest
    label       the label as typed; of a module its path
    op          the name of the primitive, "" for leaves and boxes
    data, grad  None if the number does not exist: a constant has no gradient, and a box has numbers
                only if it stands for a module with one output; they are the output's numbers
    cluster     the path of the innermost cluster around it, "" for none
    output      whether it is, or contains, a root
    operations, parameters, nodes    how many of them it stands for
    members     the positions of these nodes in the order of execution; () for everything left out
    shows       the position of the node whose data and grad it shows; None if it shows no numbers
    terms       what an instruction of a tape computes, as the terms of a sum; most have one term
    returned    the names under which the program returns it, if its label does not say so
    """

    name: str
    role: str
    label: str
    op: str
    data: float | None
    grad: float | None
    cluster: str
    output: bool = False
    operations: int = 0
    parameters: int = 0
    nodes: int = 1
    members: tuple[int, ...] = ()
    shows: int | None = None
    terms: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from an operand to its user.  ``a + a`` has two of them.

    derivative  the local derivative d(target)/d(source) that the node stored.  For an edge into a
                collapsed module with one output: the derivative of this output with respect to the
                source, summed over all paths inside.  None for a constant, because no gradient
                flows to it.  None also if several edges were merged, and in a tape
    count       how many edges of the graph this one stands for
    constant    whether the source is a constant
    parameter   the label of the parameter that it comes from, if this is hidden in a box
    links       the edges of the graph that this one stands for: the position of the user in the
                order of execution, and the index of the operand; () into everything left out
    """

    source: str
    target: str
    derivative: float | None
    count: int = 1
    constant: bool = False
    parameter: str = ""
    links: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A module drawn as a frame around its nodes; ``parent`` is the path of the frame around it, or
    ""."""

    path: str
    parent: str


@dataclass(frozen=True, slots=True)
class Graph:
    """All records of a drawing.  Clusters come after their parents; ``notes`` say what is not shown
    and why."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...]
    notes: tuple[str, ...] = ()


def build_path(
    root: Value, path: Sequence[Value], note: str, max_nodes: int | None = MAX_NODES
) -> Graph:
    """Returns the records of the nodes on a path to ``root`` and of their operands; all other nodes
    are one box.

    If these are more than ``max_nodes`` nodes, only the beginning and the end of the path are kept,
    and at least the first node with its operands.  ``note`` is the first note.

    Raises:
        TypeError: ``max_nodes`` is not a whole number or None.
        ValueError: ``max_nodes`` is less than 1.
    """
    check_max_nodes(max_nodes)
    shown: list[Value] = []
    kept: set[Value | str] = set()
    for node in itertools.chain.from_iterable(zip(path, reversed(path))):  # from both ends
        more = kept.union(node.args, [node])
        if shown and max_nodes is not None and len(more) >= max_nodes:
            break  # the last place is for the box of all the others
        shown.append(node)
        kept = more
    shown = list(dict.fromkeys(shown))
    notes = [note] if note else []
    if len(shown) < len(path):
        notes.append(f"{len(path) - len(shown):,} nodes in the middle of the path are left out.")
    order = topological_order(root)
    return Builder([root], order, find_modules(order), {}, kept, notes).graph()


def build(
    roots: Sequence[Value],
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
) -> Graph:
    """Returns the records of the graph of ``roots``.

    collapse    None; "neurons", the innermost modules; "layers", the outermost ones; or paths of
                modules
    max_nodes   how many nodes to draw at most; None for no limit.  Above it, neurons are collapsed.
                If this is not enough, or more than `selection.MAX_EDGES` edges lead to neurons,
                layers are collapsed.  If this is not enough, only the nodes nearest to the roots
                are kept
    expand      paths of modules to show whole, whatever else is collapsed

    Raises:
        TypeError: ``max_nodes`` is not a whole number or None; ``collapse`` or ``expand`` is not
            one of the words above or paths of modules.
        ValueError: ``max_nodes`` is less than 1; the graph has no module with one of the paths.
    """
    order = topological_order(*roots)
    return records(Builder, roots, order, find_modules(order), collapse, max_nodes, expand)


def records(
    builder: Callable[..., Builder],
    roots: Sequence[Value],
    order: Sequence[Value],
    modules: dict[Value, str],
    collapse: str | Iterable[str] | None,
    max_nodes: int | None,
    expand: str | Iterable[str],
) -> Graph:
    """Returns the records that ``builder`` makes of the nodes in ``order``; options as in `build`.

    builder    a function with the parameters of `Builder`
    modules    the path of the innermost module of each node that is in a module
    """
    check_max_nodes(max_nodes)
    boxes, size, notes = choose_boxes(order, modules, collapse, max_nodes, expand)
    if max_nodes is None or size <= max_nodes:
        return builder(roots, order, modules, boxes, None, notes).graph()
    kept = nearest(roots, order, boxes, max(1, max_nodes - 1))  # 1 place is for all the others
    return builder(roots, order, modules, boxes, kept, notes).graph()


class Builder:
    """Turns nodes and boxes into records, in two passes: first their places, then the records."""

    def __init__(
        self,
        roots: Sequence[Value],
        order: Sequence[Value],
        modules: dict[Value, str],
        boxes: dict[Value, str],
        kept: set[Value | str] | None,
        notes: Sequence[str],
    ) -> None:
        self.roots = dict.fromkeys(roots)
        self.order = order
        self.modules = modules
        self.boxes = boxes
        self.kept = kept
        self.notes = tuple(notes)
        self.members: dict[str, list[Value]] = {}  # of every box that is drawn
        self.outputs: dict[str, dict[Value, None]] = {}
        self.names: dict[Value | str, str] = {}
        # for operands of nodes that are left out: how many edges lead from them to such nodes
        self.into_rest: dict[Value, int] = {}
        self.positions: dict[Value, int] = {}  # of all nodes except those left out

    def place(self, node: Value) -> Value | str:
        """Returns where ``node`` is drawn: the node itself, or the key of a box."""
        key = self.boxes.get(node, node)
        return key if self.kept is None or key in self.kept else _REST

    def graph(self) -> Graph:
        """Returns all records."""
        for i, node in enumerate(self.order):
            key = self.place(node)
            if key.__class__ is str:
                self.members.setdefault(key, []).append(node)
            if key != _REST:
                self.positions[node] = i
            if key not in self.names:
                self.names[key] = f"n{len(self.names)}"
        crossing = list(self.crossing_edges())
        for key in self.members:
            self.outputs[key] = {}
        for _, _, arg in crossing:
            key = self.place(arg)
            if isinstance(key, str) and arg.op:
                self.outputs[key][arg] = None
        for root in self.roots:
            if isinstance(key := self.place(root), str):
                self.outputs[key][root] = None
        nodes = [self.box(key) if isinstance(key, str) else self.node(key) for key in self.names]
        edges = tuple(self.edges(crossing))
        return Graph(tuple(nodes), edges, tuple(_clusters(nodes)), self.notes)

    def crossing_edges(self) -> Iterator[tuple[Value, int, Value]]:
        """Yields ``(user, i, user.args[i])`` for all edges except those inside a box.

        Of the edges from one operand to nodes that are left out, only the first is yielded.
        """
        boxes = self.boxes
        kept = self.kept
        into_rest = self.into_rest
        for user in self.order:
            # true for nearly all nodes of a very large graph
            if kept is not None and boxes.get(user, user) not in kept:
                for i, arg in enumerate(user.args):
                    if arg in into_rest:
                        into_rest[arg] += 1
                    elif boxes.get(arg, arg) in kept:
                        into_rest[arg] = 1
                        yield user, i, arg
                continue
            box = boxes.get(user)
            for i, arg in enumerate(user.args):
                if box is None or boxes.get(arg) != box:
                    yield user, i, arg

    def node(self, node: Value) -> Node:
        """Returns the record of a node that is drawn by itself."""
        role = self.role(node)
        position = self.positions[node]
        return Node(
            name=self.names[node],
            role=role,
            label=str(node.label),
            op=node.op,
            data=node.data,
            grad=None if node.constant else node.grad,
            cluster=self.modules.get(node, ""),
            output=node in self.roots,
            operations=int(bool(node.op)),
            parameters=int(role == "parameter"),
            members=(position,),
            shows=position,
        )

    def role(self, node: Value) -> str:
        """Returns the role of a node that is drawn by itself."""
        if node in self.roots:
            return "output"
        if node.op:
            return "operation"
        if node.constant:
            return "constant"
        return "parameter" if isinstance(node.label, ParameterName) else "input"

    def derivative(self, user: Value, i: int) -> float | None:
        """Returns the number on an edge whose operand is not a constant."""
        return user.partials[i]

    def slopes(self) -> dict[str, dict[Value, float]]:
        """Returns, for each box with one output, the derivatives of the output with respect to the
        members of the box and their operands."""
        slopes = {}
        for key, outputs in self.outputs.items():
            if key != _REST and len(outputs) == 1:
                slopes[key] = _slopes(self.members[key], next(iter(outputs)))
        return slopes

    def box(self, key: str) -> Node:
        """Returns the record of a collapsed module, or of everything left out."""
        members = self.members[key]
        outputs = list(self.outputs[key])
        operations = sum(bool(node.op) for node in members)
        parameters = sum(isinstance(node.label, ParameterName) and not node.op for node in members)
        data = grad = shows = None
        if key != _REST and len(outputs) == 1:
            data = outputs[0].data
            grad = outputs[0].grad
            shows = self.positions[outputs[0]]
        around = enclosing(key)
        return Node(
            name=self.names[key],
            role="rest" if key == _REST else "module",
            label=key if key != _REST else f"... {counted(len(members), 'more node')}",
            op="",
            data=data,
            grad=grad,
            cluster=around[-2] if len(around) > 1 else "",
            output=any(root in self.outputs[key] for root in self.roots),
            operations=operations,
            parameters=parameters,
            nodes=len(members),
            members=() if key == _REST else tuple([self.positions[node] for node in members]),
            shows=shows,
        )

    def edges(self, crossing: Sequence[tuple[Value, int, Value]]) -> Iterator[Edge]:
        """Yields the records of the edges that `crossing_edges` found.

        Edges from one source into one box are merged.
        """
        merged: dict[tuple[Value | str, str], list[tuple[Value, int, Value]]] = {}
        for user, i, arg in crossing:
            if isinstance(target := self.place(user), str):
                merged.setdefault((self.place(arg), target), []).append((user, i, arg))
        slopes = self.slopes()
        for user, i, arg in crossing:
            source, target = self.place(arg), self.place(user)
            is_hidden = isinstance(source, str) and source != _REST and not arg.op
            hidden = str(arg.label) if is_hidden else ""
            if not isinstance(target, str):
                yield Edge(
                    self.names[source],
                    self.names[target],
                    derivative=None if arg.constant else self.derivative(user, i),
                    constant=arg.constant,
                    parameter=hidden,
                    links=((self.positions[user], i),),
                )
            elif links := merged.pop((source, target), None):
                args = [link[2] for link in links]
                one_source = len(set(args)) == 1
                has_slope = one_source and target in slopes
                count = len(args)
                ends: list[tuple[int, int]] = []
                if target == _REST:
                    count = sum(self.into_rest[arg] for arg in args)
                else:
                    ends = [(self.positions[to], operand) for to, operand, _ in links]
                yield Edge(
                    self.names[source],
                    self.names[target],
                    derivative=slopes[target].get(arg, 0.0) if has_slope else None,
                    count=count,
                    constant=arg.constant,
                    parameter=hidden if one_source else "",
                    links=tuple(ends),
                )


def _slopes(members: Sequence[Value], output: Value) -> dict[Value, float]:
    """Returns d(output)/d(node) for all nodes that ``members`` use, by a backward sweep over the
    members."""
    slopes = {output: 1.0}
    for node in reversed(members):
        if node in slopes:
            for arg, partial in zip(node.args, node.partials):
                slopes[arg] = slopes.get(arg, 0.0) + partial * slopes[node]
    return slopes


def _clusters(nodes: Sequence[Node]) -> Iterator[Cluster]:
    seen = set()
    for cluster in dict.fromkeys(node.cluster for node in nodes):
        parent = ""
        for path in enclosing(cluster):
            if path not in seen:
                seen.add(path)
                yield Cluster(path, parent)
            parent = path
