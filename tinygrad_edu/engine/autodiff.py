"""Derivatives of graphs and of functions; each is a few lines on top of the previous ones.

::

    of a graph       backward    stored local derivatives, swept backwards into .grad
                     gradients   the same sweep, with the table's rules run on Values: graphs
    of a function    vjp         run f on new leaves, sweep backwards:  v -> v J
                     jvp         run f on new leaves, sweep forwards:   t -> J t
                     value_and_grad, grad
                     jacobian    a vjp for each output
                     hessian     gradients once, then a sweep for each row

A primal is the value of an argument, and a tangent is its forward-mode derivative.  A cotangent is
the weight of an output; a pullback maps cotangents of the outputs to cotangents of the arguments.
J is the matrix d output_i / d argument_j.

The function transforms return numbers for numbers.  Called with Values, or inside the function of
another transform, they return Values, so they can be nested: ``grad(grad(f))`` is the second
derivative.  If it is certain that a result depends on no argument, they warn (`GraphWarning`).

Source of the method and its names: Griewank and Walther, Evaluating Derivatives, 2nd ed. (2008),
chapter 3.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from itertools import chain
from math import isfinite
from operator import index
from typing import Any, ParamSpec

from ..errors import StaleGraphError, counted, number, plain, short_repr
from .arrays import array_of, as_list, entries_of, is_array, kind_of, like, listed, remedy
from .calls import Call, straight
from .derived import name_of, transform
from .graph import backpropagate, topological_order
from .interpreter import active, current, recording
from .primitive import Primitive, lookup
from .table import Ieee, identity
from .value import Number, Value

P = ParamSpec("P")
Edges = Sequence[tuple[Any, Any]]  # operands and local derivatives; None for a constant

__all__ = ["backward", "grad", "gradients", "hessian", "jacobian", "jvp", "value_and_grad", "vjp"]


def backward(
    roots: Value | Iterable[Value], seeds: Number | Iterable[Number] | None = None
) -> None:
    """Adds d(sum of seed * root)/d(leaf) to ``.grad`` of every leaf, in one sweep.

    roots: a Value, or several.
    seeds: one number for each root, by default 1.

    Raises:
        TypeError: a root is not a Value, or a seed is not a number.
        ValueError: there are more roots than seeds, or more seeds than roots.
    """
    roots, seeds = _roots_and_seeds(roots, seeds)
    backpropagate(roots, seeds)


def gradients(
    y: Value | Iterable[Value], xs: Iterable[Value], seeds: Number | Iterable[Number] | None = None
) -> list[Value]:
    """Returns d y / d x for each x in ``xs``, as Values.

    They are graphs and can be differentiated again, to any order.  No ``.grad`` changes.

    y: a Value, or several; then their sum, weighted by ``seeds``, is differentiated.
    xs: any nodes, not only leaves.  If ``y`` does not depend on a node, its derivative is 0.
    seeds: one number for each root, by default 1.

    Raises:
        TypeError: a root or an x is not a Value, or a seed is not a number.
        ValueError: there are more roots than seeds, or more seeds than roots.
        StaleGraphError: data was assigned after ``y`` was computed, and a node between ``xs`` and
            ``y`` no longer follows from its operands.
    """
    roots, seeds = _roots_and_seeds(y, seeds)
    if isinstance(xs, Value):
        raise TypeError("gradients: xs must be a list, not a Value; write gradients(y, [x])")
    xs = list(xs)
    for x in xs:
        _check_value(x, "gradients: each x")
    straight.clear()  # a derivative may be constant
    with recording(True):
        adjoints = accumulate(roots, seeds, xs, _symbolic_edges)
        existing = set(topological_order(*roots))
        results = []
        for x in xs:
            adjoint = adjoints.get(x, 0.0)
            if not isinstance(adjoint, Value):
                adjoint = Value(adjoint)
            elif adjoint in existing:  # a new node, so that labelling it does not label one of y
                adjoint = identity(adjoint)
            results.append(adjoint)
        return results


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
                term = _times(partial, adjoint)
                adjoints[arg] = total = adjoints[arg] + term if arg in adjoints else term
                if active:
                    current().flowed(node, arg, partial, adjoint, total)
    return adjoints


def _times(partial: Any, adjoint: Any) -> Any:
    # A factor of exactly 1 is left out: graphs of gradients are then as short as on paper.
    if adjoint.__class__ is float and adjoint == 1.0:
        return partial
    if partial.__class__ is float and partial == 1.0:
        return adjoint
    return partial * adjoint


def _symbolic_edges(node: Value) -> Edges:
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


# ---- function transforms -------------------------------------------------------------------------

# how many transforms are nested around the code that runs now
_depth: ContextVar[int] = ContextVar("_depth", default=0)


def _record_call(
    f: Callable[..., Any], primals: Sequence[Any], others: bool = False
) -> tuple[Call, Any, bool]:
    """Returns the call of ``f`` on new leaves for ``primals``, what ``f`` returned, and whether
    results become Values.

    A primal that is a Value gets a new node (`identity`), so that its derivative counts the uses of
    the argument, and not other uses of the same Value inside ``f``.
    """
    if not callable(f):
        raise TypeError(f"f must be a function, not {short_repr(f)}")
    for x in primals:
        if listed(x) is not None or remedy(x):
            raise TypeError(
                f"{name_of(f)} was called with {kind_of(x)}, but grad, vjp and jvp are for "
                "functions of scalars; for a function of one list or one numpy array use "
                "jacobian(f)(xs) or hessian(f)(xs), and for other arguments jit(f).value_and_grad"
            )
    as_values = _depth.get() > 0 or any(isinstance(x, Value) for x in primals)
    with recording(True):
        leaves = [identity(x) if isinstance(x, Value) else Value(x) for x in primals]
        token = _depth.set(_depth.get() + 1)
        try:
            call = Call(f, leaves, others)
            return call, call.run(*leaves), as_values
        finally:
            _depth.reset(token)


def _outputs(result: Any, f: Callable[..., Any]) -> list[Value]:
    """Returns the outputs of ``f`` as a list of Values; numbers become leaves."""
    several = listed(result)
    outputs = [result] if several is None else several
    try:
        return [y if isinstance(y, Value) else Value(y) for y in outputs]
    except TypeError:
        raise TypeError(
            f"{name_of(f)} must return a number, a Value or a list of them, "
            f"not {short_repr(result)}{remedy(result)}"
        ) from None


def _pullback(
    outputs: list[Value], cotangents: Sequence[Any], leaves: list[Value], as_values: bool
) -> list[Any]:
    """Returns the cotangents of the leaves.

    They are Values if ``as_values`` or if a cotangent is a Value, and otherwise numbers.
    """
    if any(isinstance(ct, Value) for ct in cotangents):
        with recording(True):
            return gradients([y * ct for y, ct in zip(outputs, cotangents)], leaves)
    seeds = [number(ct, "a cotangent") for ct in cotangents]
    if as_values:
        return gradients(outputs, leaves, seeds)
    adjoints = accumulate(outputs, seeds, leaves)
    return [adjoints.get(x, 0.0) for x in leaves]


def vjp(
    f: Callable[..., Any], *primals: Number | Value
) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    """Returns ``(value, pullback)``: the value ``f(*primals)``, and the function v -> v J.

    ``f`` returns a scalar or a list of m scalars.  The cotangent v is a number or a list of m
    numbers to match; v J has one entry for each argument.  The pullback can be called any number of
    times.

    Raises:
        TypeError: ``f`` is not a function, or returns something other than numbers and Values.
        ValueError: the cotangent does not match the value (raised by the pullback).
    """
    return _vjp(f, primals)


def _vjp(
    f: Callable[..., Any], primals: Sequence[Any], others: bool = False
) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    call, result, as_values = _record_call(f, primals, others)
    outputs = _outputs(result, f)
    several = listed(result) is not None
    values = [y if as_values else y.data for y in outputs]
    pullback = functools.partial(_checked_pullback, call, several, outputs, as_values)
    return (like(result, values) if several else values[0]), pullback


def _checked_pullback(
    call: Call,
    several: bool,
    outputs: list[Value],
    as_values: bool,
    cotangent: Any = 1.0,
) -> tuple[Any, ...]:
    cotangents = listed(cotangent)
    if several is (cotangents is None) or (cotangents and len(cotangents) != len(outputs)):
        wanted = f"a list of {len(outputs)} cotangents" if several else "one cotangent"
        name = name_of(call.f)
        raise ValueError(f"the pullback of {name} takes {wanted}, not {short_repr(cotangent)}")
    cotangents = [cotangent] if cotangents is None else cotangents
    derivatives = _pullback(outputs, cotangents, call.leaves, as_values)
    call.check(outputs, derivatives)
    return tuple(derivatives)


def jvp(
    f: Callable[..., Any], primals: Sequence[Number | Value], tangents: Sequence[Number | Value]
) -> tuple[Any, Any]:
    """Returns ``(value, tangent)``, ``f(*primals)`` and J t, by one forward sweep.

    Both are lists if ``f`` returns a list.

    Raises:
        TypeError: ``f`` is not a function, or returns something other than numbers and Values.
        ValueError: the numbers of primals and tangents differ.
    """
    primals = as_list(primals, "jvp: primals")
    tangents = as_list(tangents, "jvp: tangents")
    if len(primals) != len(tangents):
        raise ValueError(
            f"jvp: {len(primals)} primals but {len(tangents)} tangents; "
            "give one tangent for each primal"
        )
    call, result, as_values = _record_call(f, primals)
    as_values = as_values or any(isinstance(t, Value) for t in tangents)
    outputs = _outputs(result, f)
    edges_of = _symbolic_edges if as_values else stored_edges
    numbers = [t if isinstance(t, Value) else number(t, "a tangent") for t in tangents]
    tangent_of: dict[Value, Any] = dict(zip(call.leaves, numbers))
    with recording(True):
        for node in topological_order(*outputs, constants=False):
            if node in tangent_of or not any(arg in tangent_of for arg, _ in node.edges):
                continue
            terms = [
                _times(partial, tangent_of[arg])
                for arg, partial in edges_of(node)
                if partial is not None and arg in tangent_of
            ]
            tangent_of[node] = tangent = sum(terms[1:], terms[0])
            if active:
                current().tangent(node, tangent)
    values = [y if as_values else y.data for y in outputs]
    output_tangents = [tangent_of.get(y, 0.0) for y in outputs]
    call.check(outputs, output_tangents)
    if as_values:
        output_tangents = [t if isinstance(t, Value) else Value(t) for t in output_tangents]
    if listed(result) is not None:
        return like(result, values), like(result, output_tangents)
    return values[0], output_tangents[0]


@transform
def value_and_grad(
    f: Callable[P, Any], argnum: int | Sequence[int] = 0
) -> Callable[P, tuple[Any, Any]]:
    """Returns the function ``(*args) -> (f(*args), d f / d args[argnum])``.

    Keyword arguments are passed on to ``f``; nothing is differentiated with respect to them.

    f: a function that takes scalars and returns a scalar.
    argnum: the position of the argument; with a list of positions, the derivative is a tuple.

    Raises (when the returned function is called):
        IndexError: there is no argument at a position.
        ValueError: a list of positions names an argument twice.
        TypeError: ``f`` does not return one scalar.
    """
    single = not isinstance(argnum, Sequence)
    argnums = argnum if isinstance(argnum, Sequence) else [argnum]
    chosen = [index(i) for i in argnums]

    def value_and_gradient(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        for i in chosen:
            if not -len(args) <= i < len(args):
                raise IndexError(
                    f"argnum {i} of {name_of(f)}: it was called with "
                    f"{counted(len(args), 'argument')}, counted from 0"
                )
        primals: tuple[Any, ...] = args
        positions = [i % len(args) for i in chosen]
        if len(set(positions)) < len(positions):
            raise ValueError(
                f"argnum {list(chosen)} of {name_of(f)} names an argument twice; name each once"
            )

        def of_chosen(*xs: Any) -> Any:
            full = [plain(x, whole=True) for x in primals]
            for i, x in zip(positions, xs):
                full[i] = x
            return f(*full, **kwargs)

        of_chosen.__name__ = name_of(f)
        others = bool(kwargs) or len(positions) < len(args)
        value, pullback = _vjp(of_chosen, [primals[i] for i in positions], others)
        if (values := listed(value)) is not None:
            raise TypeError(
                f"{name_of(f)} must return one number for its gradient, not {len(values)}; "
                "use jacobian() or vjp()"
            )
        derivatives = pullback(1.0)
        return value, derivatives[0] if single else derivatives

    return value_and_gradient


@transform
def grad(f: Callable[P, Any], argnum: int | Sequence[int] = 0) -> Callable[P, Any]:
    """Returns the derivative of ``f`` with respect to one of its arguments, as a function of all.

    See `value_and_grad` for the arguments.

        >>> square = lambda x: x * x
        >>> grad(square)(3.0)
        6.0
    """
    both = value_and_grad(f, argnum)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


@transform
def jacobian(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns the function from a list of n numbers to the m x n matrix d f_i / d x_j.

    ``f`` takes one list and returns a list of m scalars, or one scalar (then m = 1).

    The list may be a numpy array: ``f`` gets an array of Values of its shape, and the matrix is an
    array.  Its rows and columns are the entries in their order, the last index running fastest.

    Raises (when the returned function is called):
        TypeError: the argument is not a list or a numpy array of numbers.
    """

    def matrix(xs: Any) -> Any:
        primals = _entries(xs)
        call, result, as_values = _record_call(of_entries(xs), primals)
        outputs = _outputs(result, f)
        rows = [_pullback([y], [1.0], call.leaves, as_values) for y in outputs]
        call.check(outputs, chain(*rows))
        if not is_array(xs):
            return rows
        return array_of([x for row in rows for x in row], (len(rows), len(primals)))

    def of_entries(xs: Any) -> Callable[..., Any]:
        def of_list(*args: Value) -> Any:
            return f(like(xs, args))

        of_list.__name__ = name_of(f)
        return of_list

    return matrix


@transform
def hessian(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns the function from a list of n numbers to the n x n matrix of second derivatives.

    ``f`` takes one list and returns one scalar.  For a numpy array see `jacobian`.
    """

    def gradient(xs: Any) -> list[Value]:
        inputs = _entries(xs)
        call = Call(f, inputs)
        outputs = _outputs(call.run(like(xs, inputs)), f)  # a copy, because f may change its list
        if len(outputs) != 1:
            raise TypeError(f"hessian: {name_of(f)} must return one number, not {len(outputs)}")
        first = gradients(outputs, inputs)
        call.check(outputs, first)
        return first

    recorded = jacobian(gradient)
    compiled = getattr(f, "hessian", None)  # a function that `jit` compiled has one
    if compiled is None:
        return recorded

    def matrix(xs: Any) -> Any:
        inputs = _entries(xs)
        nested = _depth.get() or any(isinstance(x, Value) for x in inputs)
        return recorded(xs) if nested else compiled(like(xs, inputs))

    return matrix


# ---- checks --------------------------------------------------------------------------------------


def _roots_and_seeds(roots: Any, seeds: Any) -> tuple[list[Value], list[float]]:
    roots = [roots] if isinstance(roots, Value) or not isinstance(roots, Iterable) else list(roots)
    for root in roots:
        _check_value(root, "a root")
    if seeds is None:
        seeds = [1.0] * len(roots)
    elif isinstance(seeds, Value) or not isinstance(seeds, Iterable):
        seeds = [seeds]
    else:
        seeds = list(seeds)
    if len(seeds) != len(roots):
        raise ValueError(f"{len(roots)} roots but {len(seeds)} seeds; give one seed for each root")
    for seed in seeds:
        if isinstance(seed, Value):
            raise TypeError(
                f"a seed must be a number, not a Value ({seed!r}); multiply the root by it instead"
            )
    return roots, [number(seed, "a seed") for seed in seeds]


def _entries(xs: Any) -> list[Any]:
    """Returns the entries of the argument of a function of one list or array."""
    what = "jacobian and hessian: the argument"
    entries = entries_of(xs) if is_array(xs) else as_list(xs, what)
    for x in entries:
        if listed(x) is not None or remedy(x):
            raise TypeError(
                f"{what} must be one list of numbers, not a list with {kind_of(x)} in it; pass one "
                "flat list or one array, or use jit(f).value_and_grad and jit(f).hessian"
            )
    return entries


def _check_value(x: Any, what: str) -> None:
    if not isinstance(x, Value):
        raise TypeError(f"{what} must be a Value, not {type(x).__name__} ({short_repr(x)})")
