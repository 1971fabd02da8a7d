"""The two sweeps over a graph: reverse accumulation and forward accumulation.

    >>> from tinygrad_edu.engine.value import Value
    >>> x = Value(3.0)
    >>> y = x * x
    >>> accumulate([y], [1.0], [x])[x]
    6.0
    >>> propagate([y], tangent_of := {x: 1.0})
    >>> tangent_of[y]
    6.0

They run on the local derivatives that nodes store, which are floats, or on Values, by the rules of
the table; then what they compute is a graph, too.  `autodiff` has the functions for users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from ..errors import StaleGraphError
from .graph import topological_order
from .interpreter import active, current
from .primitive import Primitive, lookup
from .table import Ieee
from .value import Value

Edges = Sequence[tuple[Any, Any]]  # operands and local derivatives; None for a constant


def stored_edges(node: Value) -> Edges:
    """Returns the operands of a node, and the local derivatives that it stores."""
    return node.edges


def accumulate(
    roots: Sequence[Value],
    seeds: Sequence[Any],
    xs: Sequence[Value],
    edges_of: Callable[[Value], Edges] = stored_edges,
) -> dict[Value, Any]:
    """Returns the adjoints of ``xs`` and of all nodes between them and ``roots``.

    This is reverse accumulation, on floats or on Values; no ``.grad`` changes.  ``edges_of``
    returns the operands of a node and its local derivatives.
    """
    order = topological_order(*roots, constants=False)
    varied = set(xs)  # the nodes that depend on some x
    for node in order:
        if any(arg in varied for arg, _ in node.edges):
            varied.add(node)
    adjoints: dict[Value, Any] = {}
    for root, seed in zip(roots, seeds):
        adjoints[root] = adjoints[root] + seed if root in adjoints else seed
    for node in reversed(order):
        if node not in adjoints or node not in varied or not node.op:
            continue
        adjoint = adjoints[node]
        for arg, partial in edges_of(node):
            if partial is not None and arg in varied:
                term = times(partial, adjoint)
                adjoints[arg] = total = adjoints[arg] + term if arg in adjoints else term
                if active:
                    current().flowed(node, arg, partial, adjoint, total)
    return adjoints


def propagate(
    outputs: Sequence[Value], tangent_of: dict[Value, Any],
    edges_of: Callable[[Value], Edges] = stored_edges,
) -> None:
    """Adds the tangents of all nodes between the keys of ``tangent_of`` and ``outputs`` to it.

    This is forward accumulation, on floats or on Values; see `accumulate`.
    """
    for node in topological_order(*outputs, constants=False):
        if node in tangent_of or not any(arg in tangent_of for arg, _ in node.edges):
            continue
        terms = [
            times(partial, tangent_of[arg])
            for arg, partial in edges_of(node)
            if partial is not None and arg in tangent_of
        ]
        tangent_of[node] = tangent = sum(terms[1:], terms[0])
        if active:
            current().tangent(node, tangent)


def times(partial: Any, adjoint: Any) -> Any:
    """Returns the product, but leaves out a factor of exactly 1: graphs of gradients are then as
    short as on paper."""
    if adjoint.__class__ is float and adjoint == 1.0:
        return partial
    if partial.__class__ is float and partial == 1.0:
        return adjoint
    return partial * adjoint


def symbolic_edges(node: Value) -> Edges:
    """Returns the edges of ``node`` with local derivatives as Values, by the table's rules."""
    row = lookup(node.op)
    edges = node.edges
    data = tuple([float(arg) if partial is None else arg.data for arg, partial in edges])
    if _is_other_number(row.forward(*data), node.data):
        raise _stale_error(node, data)
    # Constants become IEEE numbers, so that a 0 in a denominator does not raise.
    args = tuple([Ieee(arg) if partial is None else arg for arg, partial in edges])
    return [
        (arg, None if stored is None else _partial_as_graph(row, i, args, data, node, stored))
        for i, (arg, stored) in enumerate(edges)
    ]


def _partial_as_graph(
    row: Primitive,
    i: int,
    args: tuple[Any, ...],
    data: tuple[float, ...],
    node: Value,
    stored: float,
) -> Any:
    d = row.partials[i](*args, node)
    partial = float(d)
    if not isfinite(partial) or node.data != node.data:
        limit = row.limit_at(i, data, node.data, partial)
        if _is_other_number(limit, partial):
            partial = d = limit  # a convention, which is not differentiated further
    if _is_other_number(partial, stored):
        raise _stale_error(node, data)
    return d if isinstance(d, Value) else partial


def _stale_error(node: Value, data: tuple[float, ...]) -> StaleGraphError:
    return StaleGraphError(
        f"stale graph: {node!r} no longer follows from its operands "
        f"({_operands_text(node, data)}), because data was "
        "assigned after the graph was recorded; compute the expression again "
        "before you differentiate it to a higher order"
    )


def _operands_text(node: Value, data: tuple[float, ...]) -> str:
    return ", ".join(
        f"{arg.label or arg.op or 'a number'} is {x!r}" for arg, x in zip(node.args, data)
    )


def _is_other_number(x: float, y: float) -> bool:
    return x != y and not (x != x and y != y)
