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
derivative.

Source of the method and its names: Griewank and Walther, Evaluating Derivatives, 2nd ed. (2008),
chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from operator import index
from typing import Any, ParamSpec

from ..errors import counted, number, short_repr
from .accumulation import accumulate, propagate, stored_edges, symbolic_edges
from .graph import backpropagate, topological_order
from .interpreter import interpreted, recording, temporarily
from .table import identity
from .value import Number, Value

P = ParamSpec("P")

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
    return _adjoints(roots, seeds, xs, True)


@interpreted
def _adjoints(
    roots: Sequence[Value], seeds: Sequence[float], xs: Sequence[Value], as_values: bool
) -> list[Any]:
    """Returns d(sum of seed * root)/d x for each x: as new Values, or as numbers."""
    if not as_values:
        adjoints = accumulate(roots, seeds, xs)
        return [adjoints.get(x, 0.0) for x in xs]
    with recording(True):
        adjoints = accumulate(roots, seeds, xs, symbolic_edges)
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


# ---- function transforms -------------------------------------------------------------------------

# whether the code that runs now is inside the function of a transform
_inside: ContextVar[bool] = ContextVar("_inside", default=False)


def inside_transform(on: bool) -> AbstractContextManager[None]:
    """Sets whether the code in the block counts as the function of a transform."""
    return temporarily(_inside, on)


@interpreted
def _is_value(x: Any) -> bool:
    return isinstance(x, Value)


@interpreted
def _number_of(x: Value) -> Any:
    return x.data


def _record_call(f: Callable[..., Any], primals: Sequence[Any]) -> tuple[list[Value], Any, bool]:
    """Returns new leaves for ``primals``, ``f`` of the leaves, and whether results become Values.

    A primal that is a Value gets a new node (`identity`), so that its derivative counts the uses of
    the argument, and not other uses of the same Value inside ``f``.
    """
    if not callable(f):
        raise TypeError(f"f must be a function, not {short_repr(f)}")
    for x in primals:
        if isinstance(x, (list, tuple)):
            raise TypeError(
                f"{_name_of(f)} was called with a list, but grad, vjp and jvp are for functions of "
                "scalars; for a function of one list use jacobian(f)(xs) or hessian(f)(xs)"
            )
    as_values = _inside.get() or any(map(_is_value, primals))
    with recording(True), inside_transform(True):
        leaves = [identity(x) if _is_value(x) else Value(x) for x in primals]
        return leaves, f(*leaves), as_values


def _outputs(result: Any, f: Callable[..., Any]) -> list[Value]:
    """Returns the outputs of ``f`` as a list of Values; numbers become leaves."""
    outputs = list(result) if isinstance(result, (list, tuple)) else [result]
    try:
        return [y if isinstance(y, Value) else Value(y) for y in outputs]
    except TypeError:
        raise TypeError(
            f"{_name_of(f)} must return a number, a Value or a list of them, "
            f"not {short_repr(result)}"
        ) from None


def _pullback(
    outputs: list[Value], cotangents: Sequence[Any], leaves: list[Value], as_values: bool
) -> list[Any]:
    """Returns the cotangents of the leaves.

    They are Values if ``as_values`` or if a cotangent is a Value, and otherwise numbers.
    """
    if any(isinstance(ct, Value) for ct in cotangents):
        as_values = as_values or any(map(_is_value, cotangents))
        with recording(True):
            outputs = [y * ct for y, ct in zip(outputs, cotangents)]
        cotangents = [1.0] * len(outputs)
    seeds = [number(ct, "a cotangent") for ct in cotangents]
    return _adjoints(outputs, seeds, leaves, as_values)


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
    leaves, result, as_values = _record_call(f, primals)
    outputs = _outputs(result, f)
    several = isinstance(result, (list, tuple))

    def pullback(cotangent: Any = 1.0) -> tuple[Any, ...]:
        cotangents = list(cotangent) if isinstance(cotangent, (list, tuple)) else [cotangent]
        if len(cotangents) != len(outputs) or several is not isinstance(cotangent, (list, tuple)):
            wanted = f"a list of {len(outputs)} cotangents" if several else "one cotangent"
            raise ValueError(
                f"the pullback of {_name_of(f)} takes {wanted}, not {short_repr(cotangent)}"
            )
        return tuple(_pullback(outputs, cotangents, leaves, as_values))

    values = [y if as_values else _number_of(y) for y in outputs]
    return (values if several else values[0]), pullback


def jvp(
    f: Callable[..., Any], primals: Sequence[Number | Value], tangents: Sequence[Number | Value]
) -> tuple[Any, Any]:
    """Returns ``(value, tangent)``, ``f(*primals)`` and J t, by one forward sweep.

    Both are lists if ``f`` returns a list.

    Raises:
        TypeError: ``f`` is not a function, or returns something other than numbers and Values.
        ValueError: the numbers of primals and tangents differ.
    """
    primals = _as_list(primals, "jvp: primals")
    tangents = _as_list(tangents, "jvp: tangents")
    if len(primals) != len(tangents):
        raise ValueError(
            f"jvp: {len(primals)} primals but {len(tangents)} tangents; "
            "give one tangent for each primal"
        )
    leaves, result, as_values = _record_call(f, primals)
    as_values = as_values or any(map(_is_value, tangents))
    outputs = _outputs(result, f)
    numbers = [t if isinstance(t, Value) else number(t, "a tangent") for t in tangents]
    values = [y if as_values else _number_of(y) for y in outputs]
    output_tangents = _tangents(outputs, leaves, numbers, as_values)
    if isinstance(result, (list, tuple)):
        return values, output_tangents
    return values[0], output_tangents[0]


@interpreted
def _tangents(
    outputs: Sequence[Value], leaves: Sequence[Value], tangents: Sequence[Any], as_values: bool
) -> list[Any]:
    """Returns J t for the tangents t of the leaves, as Values or as numbers."""
    tangent_of: dict[Value, Any] = dict(zip(leaves, tangents))
    with recording(True):
        propagate(outputs, tangent_of, symbolic_edges if as_values else stored_edges)
    found = [tangent_of.get(y, 0.0) for y in outputs]
    if not as_values:
        return found
    return [t if isinstance(t, Value) else Value(t) for t in found]


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
                    f"argnum {i} of {_name_of(f)}: it was called with "
                    f"{counted(len(args), 'argument')}, counted from 0"
                )
        primals: tuple[Any, ...] = args
        positions = [i % len(args) for i in chosen]
        if len(set(positions)) < len(positions):
            raise ValueError(
                f"argnum {list(chosen)} of {_name_of(f)} names an argument twice; name each once"
            )

        def of_chosen(*xs: Any) -> Any:
            full = list(primals)
            for i, x in zip(positions, xs):
                full[i] = x
            return f(*full, **kwargs)

        of_chosen.__name__ = _name_of(f)
        value, pullback = vjp(of_chosen, *[primals[i] for i in positions])
        if isinstance(value, list):
            raise TypeError(
                f"{_name_of(f)} must return one number for its gradient, not {len(value)}; "
                "use jacobian() or vjp()"
            )
        derivatives = pullback(1.0)
        return value, derivatives[0] if single else derivatives

    return value_and_gradient


def grad(f: Callable[P, Any], argnum: int | Sequence[int] = 0) -> Callable[P, Any]:
    """Returns the derivative of ``f`` with respect to one of its arguments, as a function of all.

    See `value_and_grad` for the arguments.

        >>> square = lambda x: x * x
        >>> grad(square)(3.0)
        6.0
    """
    both = value_and_grad(f, argnum)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


def jacobian(f: Callable[[list[Value]], Any]) -> Callable[[Sequence[Number]], list[list[Any]]]:
    """Returns the function from a list of n numbers to the m x n matrix d f_i / d x_j.

    ``f`` takes one list and returns a list of m scalars, or one scalar (then m = 1).
    """

    def matrix(xs: Sequence[Number]) -> list[list[Any]]:
        primals = _as_list(xs, "jacobian and hessian: the argument")
        leaves, result, as_values = _record_call(lambda *args: f(list(args)), primals)
        return [_pullback([y], [1.0], leaves, as_values) for y in _outputs(result, f)]

    return matrix


def hessian(f: Callable[[list[Value]], Any]) -> Callable[[Sequence[Number]], list[list[Any]]]:
    """Returns the function from a list of n numbers to the n x n matrix of second derivatives.

    ``f`` takes one list and returns one scalar.
    """

    def gradient(xs: list[Value]) -> list[Value]:
        outputs = _outputs(f(list(xs)), f)  # a copy, because f may change its list
        if len(outputs) != 1:
            raise TypeError(f"hessian: {_name_of(f)} must return one number, not {len(outputs)}")
        return gradients(outputs, xs)

    recorded = jacobian(gradient)
    compiled = getattr(f, "hessian", None)  # a function that `jit` compiled has one
    if compiled is None:
        return recorded

    def matrix(xs: Sequence[Number]) -> list[list[Any]]:
        nested = _inside.get() or any(isinstance(x, Value) for x in xs)
        return recorded(xs) if nested else compiled(list(xs))

    return matrix


# ---- checks --------------------------------------------------------------------------------------


def _roots_and_seeds(roots: Any, seeds: Any) -> tuple[list[Value], list[Any]]:
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
        if _is_value(seed):
            raise TypeError(
                f"a seed must be a number, not a Value ({seed!r}); multiply the root by it instead"
            )
    return roots, [seed if isinstance(seed, Value) else number(seed, "a seed") for seed in seeds]


def _as_list(xs: Any, what: str) -> list[Any]:
    if isinstance(xs, Value) or not isinstance(xs, Iterable):
        raise TypeError(f"{what} must be a list of numbers, not {short_repr(xs)}")
    return list(xs)


def _check_value(x: Any, what: str) -> None:
    if not _is_value(x):
        raise TypeError(f"{what} must be a Value, not {type(x).__name__} ({short_repr(x)})")


def _name_of(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)
