"""The structure of a graph, its order of execution, and the sweep backwards.

Nothing here recurses, so a chain of a million nodes is handled like one of three.

`_reachable` is the only walk over a graph in the whole project.  Every node has a serial number,
and operands are always older than their users.  Sorting the reachable nodes by serial number
therefore gives the order of execution, and its reverse is the order of backpropagation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count, repeat
from operator import attrgetter
from typing import Any, TypeVar

from ..errors import wrong_type
from .interpreter import current

next_serial = count().__next__  # returns a new serial number, larger than all before it
serial_of = attrgetter("serial")


class Node:
    """The structure of a `Value`: a number, its gradient, and edges to its operands.

    serial: the position in the order of execution, larger than those of all older nodes: an int,
        or for a `Constant` 0.5 less than its first user's.
    source: where the program made the node; set inside `detect_anomaly` only.

    An edge is an operand and the local derivative with respect to it.
    """

    __slots__ = (
        "_dx", "_dy", "_rest", "_x", "_y", "data", "grad", "label", "op", "serial", "source",
    )

    data: float
    grad: float
    label: str
    op: str
    serial: float
    source: Any
    # The first operand and its local derivative, the second operand and its local derivative, and
    # pairs of further ones, which are rare.  Slots are faster than tuples, and leave the garbage
    # collector less to visit.  A constant is a plain float until `Value.args` is read, and its
    # local derivative is None; a missing operand is None.
    _x: Any
    _dx: float | None
    _y: Any
    _dy: float | None
    _rest: tuple[tuple[Any, float | None], ...]

    constant = False

    @property
    def edges(self) -> list[tuple[Any, float | None]]:
        """Pairs of an operand and the local derivative with respect to it.

        A constant is a float, or a `Constant` once `Value.args` was read: then all are nodes.  Its
        derivative is None here, and 0.0 in `Value.partials`.
        """
        if self._y is None:
            return [] if self._x is None else [(self._x, self._dx)]
        return [(self._x, self._dx), (self._y, self._dy), *self._rest]

    @edges.setter
    def edges(self, edges: Sequence[tuple[Any, float | None]]) -> None:
        (self._x, self._dx), (self._y, self._dy) = [*edges[:2], (None, None), (None, None)][:2]
        self._rest = tuple(edges[2:])

    def forget(self) -> Node:
        """Drops the edges and the op, so that the node is a leaf, and returns it."""
        self.op = ""
        self._x = self._dx = self._y = self._dy = None
        self._rest = ()
        return self


N = TypeVar("N", bound=Node)


def topological_order(*roots: N, constants: bool = True) -> list[N]:
    """Returns the roots and all nodes that they depend on, each once, in the order of execution.

    Every node comes after its operands.  Leaves stand where they were created, constants just
    before the node that uses them; ``constants=False`` leaves constants out.

    Raises:
        TypeError: a root is not a Value.
        TraceError: it is called inside a function that `jit` is tracing.
    """
    current().walk("a walk over a graph")
    for root in roots:
        if not isinstance(root, Node):
            raise wrong_type("topological_order: each of roots", "a Value", root,
                             "pass several as topological_order(x, y)")
    operations, leaves = _reachable(roots)
    nodes = operations + leaves
    if constants:
        nodes = list(dict.fromkeys(nodes + [arg for node in operations for arg in node.args]))
    else:  # a constant is among them if the user took it from `args` and computed with it
        nodes = [node for node in nodes if not node.constant or node in roots]
    nodes.sort(key=serial_of)
    return nodes


def _reachable(roots: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Returns the operations and the leaves among the roots and all nodes that they depend on.

    The search goes depth first.  A chain of operations, such as a dot product, is then found in one
    piece, from its latest node to its first: Python sorts lists fast that are nearly in order.
    """
    waiting = list(dict.fromkeys(roots))
    seen = set(waiting)
    operations = []
    leaves = []
    while waiting:
        node = waiting.pop()
        if node._x is None:
            leaves.append(node)
            continue
        operations.append(node)
        if node._dx is not None and (x := node._x) not in seen:
            seen.add(x)
            waiting.append(x)
        if node._dy is not None and (y := node._y) not in seen:
            seen.add(y)
            waiting.append(y)
        if node._rest:  # a test is faster than a loop over an empty tuple
            for arg, partial in node._rest:
                if partial is not None and arg not in seen:
                    seen.add(arg)
                    waiting.append(arg)
    return operations, leaves


def backpropagate(roots: Sequence[Any], seeds: Sequence[float]) -> tuple[list[Any], list[float]]:
    """Adds d(sum of seed * root)/d(leaf) to ``.grad`` of every leaf; sets ``.grad`` of every other
    node.  Returns the leaves, and the gradients that they had before.

    This is reverse accumulation: in reverse order of execution, each node passes its adjoint, times
    the stored local derivative, to each of its operands.  The order ensures that a node with two
    users has both contributions before it is visited itself.

    If Ctrl-C, `detect_anomaly` or anything else interrupts it, all gradients are restored.
    """
    current().walk("backward()")
    operations, leaves = _reachable(roots)
    operations.sort(key=serial_of, reverse=True)
    nodes = operations + leaves
    before = [node.grad for node in nodes]
    try:
        if any(before[:len(operations)]):  # new graphs have zeros already
            assign_grads(operations, repeat(0.0))
        current().sweep(_sweep, operations, leaves, roots, seeds)
        # constants that the user took from `args` and computed with
        assign_grads([leaf for leaf in leaves if leaf.constant], repeat(0.0))
    except BaseException:
        assign_grads(nodes, before)
        raise
    return leaves, before[len(operations):]


def _sweep(operations: Sequence[Any], roots: Sequence[Any], seeds: Sequence[float]) -> None:
    # A separate function, because in CPython 3.13 the backward jump of a loop is not covered by a
    # `try` around the loop.
    for root, seed in zip(roots, seeds):
        root.grad += seed
    for node in operations:
        adjoint = node.grad
        if (dx := node._dx) is not None:  # None: a constant, which receives no gradient
            node._x.grad += dx * adjoint
        if (dy := node._dy) is not None:
            node._y.grad += dy * adjoint
        if node._rest:
            for arg, partial in node._rest:
                if partial is not None:
                    arg.grad += partial * adjoint


def assign_grads(nodes: Sequence[Any], grads: Iterable[float]) -> None:
    """Sets ``.grad`` of each node to the number in ``grads`` at its position."""
    # No bytecode runs between the assignments, therefore no signal handler: all or none happen.
    deque(map(setattr, nodes, repeat("grad"), grads), maxlen=0)
