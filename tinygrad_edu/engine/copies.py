"""deepcopy and pickle of whole graphs of any depth, without recursion.

    >>> import copy, pickle
    >>> from tinygrad_edu import Value
    >>> y = Value(2.0, "x") * 3
    >>> copy.deepcopy(y), pickle.loads(pickle.dumps(y))
    (Value(data=6.0, grad=0.0, op='mul'), Value(data=6.0, grad=0.0, op='mul'))

A deep copy or a pickle of a node contains everything that it depends on.  Operands are written down
as positions in the order of execution, so saving one node never descends into another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from .graph import Node, next_serial, topological_order
from .primitive import expect_rows, rows_of


def blank(cls: type[Node]) -> Any:
    """Returns an uninitialised node, for `fill` to give it a state."""
    return cls.__new__(cls)


def node_states(nodes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Returns data, gradient, label, op and edges of each node.

    Operands are positions in ``nodes`` (ints) or constants (floats).
    """
    position = {node: i for i, node in enumerate(nodes)}
    states = []
    for node in nodes:
        edges = [
            (float(arg), None) if partial is None or arg.constant else (position[arg], partial)
            for arg, partial in node.edges
        ]
        states.append((node.data, node.grad, node.label, node.op, edges))
    return states


def restore(nodes: Sequence[Any], states: Sequence[tuple[Any, ...]]) -> None:
    """Gives blank nodes the states from `node_states`, and new serial numbers in their order."""
    for node, (data, grad, label, op, edges) in zip(nodes, states):
        if hasattr(node, "op"):
            continue  # another root of the same pickle has filled it
        operands = [(nodes[x] if x.__class__ is int else x, partial) for x, partial in edges]
        fill(node, data, grad, label, op, operands)


def fill(node: Any, data: float, grad: float, label: str, op: str, edges: Sequence[Any]) -> Any:
    """Gives a blank node its state and a new serial number, and returns it."""
    node.data = data
    node.grad = grad
    node.label = label
    node.op = op
    node.edges = edges
    node.serial = next_serial()
    return node


def copy_node(node: Node) -> Any:
    """Returns a new node with the same operands."""
    return fill(blank(type(node)), node.data, node.grad, node.label, node.op, node.edges)


def deepcopy(root: Node, memo: dict[int, Any]) -> Any:
    """Returns a copy of ``root`` and of all nodes that it depends on.

    Nodes in ``memo`` are not copied again.
    """
    order = topological_order(root, constants=False)
    copies = [memo[id(node)] if id(node) in memo else blank(type(node)) for node in order]
    memo.update(zip(map(id, order), copies))
    restore(copies, node_states(order))
    return copies[-1]


_in_progress: ContextVar[frozenset[int]] = ContextVar("_in_progress", default=frozenset())


class GraphState:
    """The state that a node pickles: all nodes of its graph in order, its rows, and the states.

    `pickle` draws the items one by one while it writes.  During this time `_in_progress` has the
    ids of these nodes, so that each saves itself as a blank.  The states follow when all nodes are
    in the pickle's memo.
    """

    def __init__(self, root: Node) -> None:
        self.root = root

    def _items(self) -> Iterator[Any]:
        order = topological_order(self.root, constants=False)
        token = _in_progress.set(_in_progress.get() | frozenset(map(id, order)))
        try:
            yield from order
            yield rows_of([node.op for node in order])
            yield node_states(order)
        finally:
            _in_progress.reset(token)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, self._items()


def reduce_node(node: Node) -> tuple[Any, ...]:
    """Returns the instructions by which `pickle` saves a node; see `GraphState`."""
    if id(node) in _in_progress.get():
        return blank, (type(node),)
    return blank, (type(node),), GraphState(node), None, None, _unpickle


def _unpickle(root: Node, state: list[Any]) -> None:
    *nodes, rows, states = state
    expect_rows(rows)
    restore(nodes, states)
