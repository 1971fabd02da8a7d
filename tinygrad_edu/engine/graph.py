"""Operations on whole graphs: topological order, the backward sweep, copying and pickling.

Nothing here recurses, so a chain of a million nodes is handled like one of three.

`topological_order` is the only walk over a graph in the whole project.  Every node has a serial
number, and operands are always older than their users.  Sorting the reachable nodes by serial
number therefore gives the order of execution; its reverse is the order of backpropagation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from . import anomaly, modes

if TYPE_CHECKING:
    from .value import Value

_serial = attrgetter("_serial")
_grad = attrgetter("grad")


def topological_order(*roots: Value, constants: bool = True) -> list[Value]:
    """Returns the roots and all nodes that they depend on, each once, in the order of execution.

    Every node comes after its operands.  Leaves stand where they were created, constants just
    before the node that uses them; ``constants=False`` leaves constants out.

    Raises:
        TypeError: a root is not a Value.
        TraceError: it is called inside a function that `jit` is tracing.
    """
    _reject_traced("a walk over a graph")
    for root in roots:
        if not hasattr(root, "_serial"):
            raise TypeError(
                f"topological_order: each root must be a Value, not {type(root).__name__}; "
                "pass several roots as topological_order(x, y)"
            )
    operations, leaves = _reachable(roots)
    nodes = operations + leaves
    if constants:
        nodes = list(dict.fromkeys(nodes + [arg for node in operations for arg in node.args]))
    else:  # a constant is among them if it was taken from `args` and computed with
        nodes = [node for node in nodes if not node.constant or node in roots]
    nodes.sort(key=_serial)
    return nodes


def _reject_traced(what: str) -> None:
    """Raises TraceError in a function that is being traced, because there is no graph yet."""
    if modes.active and (trace := modes.tracer()) is not None:
        raise trace.derivative(what)


def _reachable(roots: Iterable[Value]) -> tuple[list[Value], list[Value]]:
    """Returns the operations and the leaves among the roots and all nodes that they depend on.

    The search goes depth first.  A chain of operations, such as a dot product, is then found in one
    piece, from its latest node to its first: lists that are nearly in order are sorted fast.
    """
    waiting = list(dict.fromkeys(roots))
    seen: set[Any] = set(waiting)
    operations: list[Value] = []
    leaves: list[Value] = []
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


def backpropagate(roots: Sequence[Value], seeds: Sequence[float]) -> None:
    """Adds d(sum of seed * root)/d(leaf) to ``.grad`` of every leaf; sets ``.grad`` of every other
    node.

    This is reverse accumulation: in reverse order of execution, each node passes its adjoint, times
    the stored local derivative, to each of its operands.  The order ensures that a node with two
    users has both contributions before it is visited itself.

    If anything interrupts the sweep, such as Ctrl-C or `detect_anomaly`, all gradients get their
    values from before.
    """
    _reject_traced("backward()")
    operations, leaves = _reachable(roots)
    operations.sort(key=_serial, reverse=True)
    nodes = operations + leaves
    before = list(map(_grad, nodes))
    try:
        if any(before[:len(operations)]):
            assign_grads(operations, repeat(0.0))
        sweep = anomaly.sweep if modes.active and modes.current() & modes.ANOMALY else _sweep
        sweep(operations, roots, seeds)
        # constants that the user took from `args` and computed with
        assign_grads([leaf for leaf in leaves if leaf.constant], repeat(0.0))
    except BaseException:
        assign_grads(nodes, before)
        raise


def _sweep(operations: Sequence[Value], roots: Sequence[Value], seeds: Sequence[float]) -> None:
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


def assign_grads(nodes: Sequence[Value], grads: Any) -> None:
    """Sets ``.grad`` of each node to the number in ``grads`` at its position."""
    # No bytecode runs between the assignments, therefore no signal handler: all or none happen.
    deque(map(setattr, nodes, repeat("grad"), grads), maxlen=0)


# ---- copies --------------------------------------------------------------------------------------
# deepcopy and pickle of whole graphs, without recursion.  Skip this at a first reading.

NodeState = tuple[Any, ...]


def node_states(nodes: Sequence[Value]) -> list[NodeState]:
    """Returns the state of each node; operands are positions in ``nodes`` (ints) or constants
    (floats)."""
    position = {node: i for i, node in enumerate(nodes)}
    states = []
    for node in nodes:
        constant = [arg.__class__ is float or arg.constant for arg in node._args]
        args = [float(arg) if c else position[arg] for arg, c in zip(node._args, constant)]
        partials = [None if c else partial for partial, c in zip(node._partials, constant)]
        states.append((node.data, node.grad, node.label, node.op, tuple(args), tuple(partials)))
    return states


def restore(nodes: Sequence[Value], states: Sequence[NodeState]) -> None:
    """Gives blank nodes the states from `node_states`, and new serial numbers in their order."""
    for node, (data, grad, label, op, args, partials) in zip(nodes, states):
        if hasattr(node, "op"):
            continue  # another root of the same pickle has restored it
        operands = tuple([nodes[arg] if arg.__class__ is int else arg for arg in args])
        node._set_state(data, grad, label, op, operands, partials)


def deepcopy(root: Value, memo: dict[int, Any]) -> Value:
    """Returns a copy of ``root`` and of all nodes that it depends on; nodes in ``memo`` are not
    copied again."""
    order = topological_order(root, constants=False)
    copies = [memo[id(node)] if id(node) in memo else blank(type(node)) for node in order]
    missing = [i for i, node in enumerate(order) if id(node) not in memo]
    memo.update(zip(map(id, order), copies))
    states = node_states(order)
    for i in missing:
        data, grad, label, op, args, partials = states[i]
        operands = tuple([copies[arg] if arg.__class__ is int else arg for arg in args])
        copies[i]._set_state(data, grad, label, op, operands, partials)
    return copies[-1]


def blank(cls: type[Value]) -> Value:
    """Returns a node without a state, for `restore` to fill."""
    return cls.__new__(cls)


_in_progress: ContextVar[frozenset[int]] = ContextVar("_in_progress", default=frozenset())


class GraphState:
    """The state that a node pickles: a list of every node of its graph, in order, and their states.

    Each node is saved as a blank, so saving one never descends into another.  The states follow
    when all nodes are in the pickle's memo.  `pickle` reads the list item by item while it writes;
    during this time `_in_progress` tells the nodes of this graph to save themselves as blanks.
    """

    def __init__(self, root: Value) -> None:
        self.root = root

    def _items(self) -> Iterator[Any]:
        order = topological_order(self.root, constants=False)
        token = _in_progress.set(_in_progress.get() | frozenset(map(id, order)))
        try:
            yield from order
            yield node_states(order)
        finally:
            _in_progress.reset(token)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, self._items()


def reduce_node(node: Value) -> tuple[Any, ...]:
    """Returns the instructions by which `pickle` saves a node; see `GraphState`."""
    if id(node) in _in_progress.get():
        return blank, (type(node),)
    return blank, (type(node),), GraphState(node), None, None, _unpickle


def _unpickle(root: Value, state: list[Any]) -> None:
    *nodes, states = state
    restore(nodes, states)
