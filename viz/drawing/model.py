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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from tinygrad_edu import Value
from tinygrad_edu.engine.graph import topological_order
from tinygrad_edu.errors import counted
from tinygrad_edu.nn.module import ParameterName
from tinygrad_edu.nn.structure import enclosing, find_modules, module_path

from .selection import Place, node_limit, select

MAX_NODES = 300
_REST = ""  # the key of the box for everything left out; boxes of modules have their paths as keys
Link = tuple[Value, int, Value]  # user, i, user.args[i]


@dataclass(frozen=True, slots=True)
class Node:
    """One box of the drawing: a node of the graph, a collapsed module, or everything left out.

    name: n0, n1, ... in order of execution.
    role: input, parameter, constant, operation, output, module or rest.
    label: the label as typed; of a module its path.
    op: the name of the primitive, "" for leaves and boxes.
    cluster: the path of the innermost cluster around it, "" for none.
    output: whether it is, or contains, a root.
    operations, parameters: how many of them it stands for.
    members: the positions of all nodes that it stands for, in the order of execution; () for
        everything left out.
    data, grad: None if there is no such number.  A constant has no gradient.  A box has numbers
        only if it stands for a module with one output, and they are the output's numbers.
    shows: the position of the node whose data and grad it shows; None if it shows no numbers.
    terms: what an instruction of a tape computes, as the terms of a sum; most have one term.
    returned: the names under which the program returns it, if its label does not say so.
    """

    name: str
    role: str
    label: str
    op: str
    cluster: str
    output: bool
    operations: int
    parameters: int
    members: tuple[int, ...]
    data: float | None = None
    grad: float | None = None
    shows: int | None = None
    terms: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()

    @property
    def numbers(self) -> dict[str, float]:
        """``data`` and ``grad`` by name, if they exist."""
        numbers = {"data": self.data, "grad": self.grad}
        return {name: number for name, number in numbers.items() if number is not None}


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from an operand to its user.

    ``a + a`` has two of them.

    derivative: the local derivative d(target)/d(source) that the node stored.  For an edge into a
        collapsed module with one output: the derivative of this output with respect to the source,
        summed over all paths inside.  None for a constant, because no gradient flows to it; also
        None for several edges that were merged, and in a tape.
    count: how many edges of the graph this one stands for.
    constant: whether the source is a constant.
    parameter: the label of the parameter that it comes from, if this is hidden in a box.
    links: the edges of the graph that this one stands for, each as the position of the user in the
        order of execution and the index of the operand; () into everything left out.
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
    """A module drawn as a frame around its nodes.

    path: the module.
    parent: the path of the frame around it; "" for none.
    """

    path: str
    parent: str


@dataclass(frozen=True)
class Graph:
    """All records of a drawing.

    Clusters come after their parents.  ``notes`` say what is not shown and why.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The nodes by their names."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def boxes(self) -> frozenset[str]:
        """The names of the collapsed modules."""
        return frozenset(node.name for node in self.nodes if node.role == "module")


def build_path(
    root: Value, path: Sequence[Value], note: str, max_nodes: int | None = MAX_NODES
) -> Graph:
    """Returns the records of the nodes on a path to ``root`` and of their operands.

    All other nodes are one box.  If there are more than ``max_nodes`` nodes on the path, only its
    beginning and its end are kept, but at least the first node with its operands.

    note: the first note; "" for none.

    Raises:
        TypeError: ``max_nodes`` is not a whole number or None.
        ValueError: ``max_nodes`` is less than 1.
    """
    limit = node_limit(max_nodes)
    shown: dict[Value, None] = {}
    kept: set[Place] = set()
    for node in itertools.chain.from_iterable(zip(path, reversed(path))):  # from both ends
        more = kept.union(node.args, [node])
        if shown and len(more) >= limit:
            break  # the last place is for the box of all the others
        shown[node] = None
        kept = more
    notes = [note] if note else []
    if len(shown) < len(path):
        notes.append(f"{len(path) - len(shown):,} nodes in the middle of the path are left out.")
    order = topological_order(root)
    return Builder([root], order, find_modules(order), notes, kept=kept).graph()


def build(
    roots: Sequence[Value],
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
    readable: bool = False,
) -> Graph:
    """Returns the records of the graph of ``roots``.

    collapse: None; "neurons", the innermost modules; "layers", the outermost ones; or paths of
        modules.
    max_nodes: how many nodes to draw at most; None for no limit.  Above it, neurons are collapsed.
        If this is not enough, or more than `selection.MAX_EDGES` edges lead to neurons, layers are
        collapsed.  If this is not enough, only the nodes nearest to the roots are kept.
    expand: paths of modules to show whole, whatever else is collapsed.
    readable: whether to collapse modules above `selection.READABLE_NODES` nodes already.

    Raises:
        TypeError: ``max_nodes`` is not a whole number or None; ``collapse`` or ``expand`` is not
            one of the words above or paths of modules.
        ValueError: ``max_nodes`` is less than 1; the graph has no module with one of the paths.
    """
    order = topological_order(*roots)
    return Builder(roots, order, find_modules(order)).select(collapse, max_nodes, expand, readable)


@dataclass
class Builder:
    """Turns nodes into records, in two passes: first their places, then the records.

    roots: the nodes that the drawing is of.
    order: all nodes, in the order of execution.
    modules: the path of the innermost module of each node that is in a module.
    notes: the notes of the graph; `select` adds more.
    boxes: the path of the collapsed module of each node that is in one.
    kept: the places that are drawn; None if all are.  All other nodes are one box.
    """

    has_numbers: ClassVar[bool] = True
    roots: Sequence[Value]
    order: Sequence[Value]
    modules: dict[Value, str]
    notes: list[str] = field(default_factory=list)
    boxes: dict[Value, str] = field(default_factory=dict)
    kept: set[Place] | None = None
    members: dict[Place, list[Value]] = field(default_factory=dict)
    outputs: dict[Place, set[Value]] = field(default_factory=dict)
    root_places: set[Place] = field(default_factory=set)
    names: dict[Place, str] = field(default_factory=dict)
    # for operands of nodes that are left out: how many edges lead from them to such nodes
    into_rest: dict[Value, int] = field(default_factory=dict)
    positions: dict[Value, int] = field(default_factory=dict)  # of all nodes except those left out

    def select(
        self,
        collapse: str | Iterable[str] | None,
        max_nodes: int | None,
        expand: str | Iterable[str],
        readable: bool = False,
    ) -> Graph:
        """Returns the records of what these options draw (see `build`)."""
        self.boxes, self.kept, notes = select(
            self.roots, self.order, self.modules, collapse, max_nodes, expand, readable
        )
        self.notes += notes
        return self.graph()

    def graph(self) -> Graph:
        """Returns all records."""
        for i, node in enumerate(self.order):
            place = self.place(node)
            if place not in self.members:
                self.members[place] = []
                self.outputs[place] = set()
                self.names[place] = f"n{len(self.names)}"
            self.members[place].append(node)
            if place != _REST:
                self.positions[node] = i
        self.root_places.update(map(self.place, self.roots))
        links = list(self.links())
        for node in [*self.roots, *[arg for _, _, arg in links if arg.op]]:
            self.outputs[self.place(node)].add(node)
        nodes = tuple(map(self.node, self.members))
        paths = dict.fromkeys(path for node in nodes for path in enclosing(node.cluster))
        clusters = tuple([Cluster(path, module_path(path)) for path in paths])
        return Graph(nodes, tuple(self.edges(links)), clusters, tuple(self.notes))

    def place(self, node: Value) -> Place:
        """Returns where ``node`` is drawn."""
        place = self.boxes.get(node, node)
        return place if self.kept is None or place in self.kept else _REST

    def links(self) -> Iterator[Link]:
        """Yields all edges except those inside a box.

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

    def node(self, place: Place) -> Node:
        """Returns the record of a node, a collapsed module, or everything left out."""
        members = self.members[place]
        if isinstance(place, str):
            role = "module" if place else "rest"
            label = place or f"... {counted(len(members), 'more node')}"
            op = ""
            cluster = module_path(place)
        else:
            role = self.role(place)
            label = str(place.label)
            op = place.op
            cluster = self.modules.get(place, "")
        data = grad = shows = None
        if (shown := self.shown(place)) is not None:
            data = shown.data
            grad = None if shown.constant else shown.grad
            shows = self.positions[shown]
        return Node(
            self.names[place],
            role,
            label,
            op,
            cluster,
            output=place in self.root_places,
            operations=sum(bool(node.op) for node in members),
            parameters=sum(map(_is_parameter, members)),
            members=() if place == _REST else tuple([self.positions[node] for node in members]),
            data=data,
            grad=grad,
            shows=shows,
        )

    def shown(self, place: Place) -> Value | None:
        """Returns the node whose numbers are shown at ``place``: of a module, its only output."""
        if not self.has_numbers:
            return None
        if not isinstance(place, str):
            return place
        outputs = self.outputs[place]
        return next(iter(outputs)) if place != _REST and len(outputs) == 1 else None

    def role(self, node: Value) -> str:
        """Returns the role of a node that is drawn by itself."""
        if node in self.root_places:
            return "output"
        if node.op:
            return "operation"
        if node.constant:
            return "constant"
        return "parameter" if _is_parameter(node) else "input"

    def edges(self, links: Sequence[Link]) -> Iterator[Edge]:
        """Yields the records of ``links``.

        Links from one place into one box are one edge.  Without numbers, so are links from one box
        to one node.
        """
        slopes: dict[Place, dict[Value, float]] = {}
        for place, members in self.members.items():
            output = self.shown(place)
            if isinstance(place, str) and output is not None:
                slopes[place] = _slopes(members, output)
        groups: dict[tuple[Any, ...], list[Link]] = {}
        for user, i, arg in links:
            source, target = self.place(arg), self.place(user)
            is_merged = isinstance(target, str) or (
                isinstance(source, str) and not self.has_numbers
            )
            key = (source, target) if is_merged else (source, target, user, i)
            groups.setdefault(key, []).append((user, i, arg))
        for (source, target, *_), group in groups.items():
            user, i, arg = group[0]
            args = [arg for _, _, arg in group]
            is_single = len(set(args) if isinstance(target, str) else args) == 1
            is_hidden = isinstance(source, str) and source != _REST and not arg.op
            derivative = None
            if isinstance(target, str):
                if is_single and target in slopes:
                    derivative = slopes[target].get(arg, 0.0)
            elif self.has_numbers and not arg.constant:
                derivative = user.partials[i]
            yield Edge(
                self.names[source],
                self.names[target],
                derivative,
                count=sum(self.into_rest[arg] for arg in args) if target == _REST else len(args),
                constant=arg.constant,
                parameter=str(arg.label) if is_hidden and is_single else "",
                links=tuple(
                    [(self.positions[user], i) for user, i, _ in group if target != _REST]
                ),
            )


def _is_parameter(node: Value) -> bool:
    return isinstance(node.label, ParameterName) and not node.op


def _slopes(members: Sequence[Value], output: Value) -> dict[Value, float]:
    """Returns d(output)/d(node) for all nodes that ``members`` use: a sweep back over them."""
    slopes = {output: 1.0}
    for node in reversed(members):
        if node in slopes:
            for arg, partial in zip(node.args, node.partials):
                slopes[arg] = slopes.get(arg, 0.0) + partial * slopes[node]
    return slopes
