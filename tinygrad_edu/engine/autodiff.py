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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import Any, ParamSpec

from ..errors import check_function, check_int, counted, number, short_repr, wrong_type
from .accumulation import accumulate, propagate, stored_edges, symbolic_edges
from .arrays import (
    array_of,
    as_list,
    entries_of,
    is_array,
    like,
    listed,
    plain_numbers,
    remedy,
)
from .calls import Call, argument_of, called, name_of, straight, transform
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
    roots, seeds = _roots_and_seeds(roots, seeds, "backward: roots")
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
    roots, seeds = _roots_and_seeds(y, seeds, "gradients: y")
    if isinstance(xs, Value):
        raise wrong_type("gradients: xs", "a list", xs, "write gradients(y, [x])")
    xs = as_list(xs, "gradients: xs", "Values")
    for i, x in enumerate(xs):
        _check_value(x, f"gradients: xs[{i}]")
    straight.clear()  # a derivative may be constant
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
is_inside_transform = _inside.get
# whether the graph that the code makes that runs now is swept afterwards, as in `fit`
_training: ContextVar[bool] = ContextVar("_training", default=False)
is_training = _training.get


@contextmanager
def training() -> Iterator[None]:
    """Compiled functions that are called in the block run uncompiled, so that there is a graph."""
    token = _training.set(True)
    try:
        yield
    finally:
        _training.reset(token)


def inside_transform(on: bool) -> AbstractContextManager[None]:
    """Sets whether the code in the block counts as the function of a transform."""
    return temporarily(_inside, on, (inside_transform, (on,)))


@interpreted
def _is_value(x: Any) -> bool:
    return isinstance(x, Value)


@interpreted
def _number_of(x: Value) -> Any:
    return x.data


def _record_call(
    f: Callable[..., Any], primals: Sequence[Any], others: bool = False
) -> tuple[Call, Any, bool]:
    """Returns the call of ``f`` on new leaves for ``primals``, what ``f`` returned, and whether
    results become Values.

    A primal that is a Value gets a new node (`identity`), so that its derivative counts the uses of
    the argument, and not other uses of the same Value inside ``f``.
    """
    as_values = is_inside_transform() or any(map(_is_value, primals))
    with recording(True), inside_transform(True):
        leaves = [identity(x) if _is_value(x) else Value(x) for x in primals]
        call = Call(f, leaves, others)
        return call, call.run(*leaves), as_values


def _outputs(result: Any, f: Callable[..., Any]) -> list[Value]:
    """Returns the outputs of ``f`` as a list of Values; numbers become leaves."""
    several = listed(result)
    outputs = [result] if several is None else several
    try:
        return [y if isinstance(y, Value) else Value(y) for y in outputs]
    except TypeError:
        raise TypeError(
            f"{name_of(f)} must return a number, a Value or a list of them, "
            f"not {short_repr(result)}; {remedy(result) or 'return what is to be differentiated'}"
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
    check_function(f, "vjp: f")
    _check_scalars(f, primals, range(len(primals)))
    return _vjp(f, primals)


def _vjp(
    f: Callable[..., Any], primals: Sequence[Any], others: bool = False
) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
    call, result, as_values = _record_call(f, primals, others)
    outputs = _outputs(result, f)
    several = listed(result) is not None
    values = [y if as_values else _number_of(y) for y in outputs]
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
    check_function(f, "jvp: f")
    primals = as_list(primals, "jvp: primals")
    tangents = as_list(tangents, "jvp: tangents")
    if len(primals) != len(tangents):
        raise ValueError(
            f"jvp: tangents must be a list of {len(primals)}, one for each of the primals, not of "
            f"{len(tangents)}"
        )
    _check_scalars(f, primals, range(len(primals)))
    call, result, as_values = _record_call(f, primals)
    as_values = as_values or any(map(_is_value, tangents))
    outputs = _outputs(result, f)
    numbers = [t if isinstance(t, Value) else number(t, f"jvp: tangents[{i}]")
               for i, t in enumerate(tangents)]
    values = [y if as_values else _number_of(y) for y in outputs]
    output_tangents = _tangents(outputs, call.leaves, numbers, as_values)
    call.check(outputs, output_tangents)
    if listed(result) is not None:
        return like(result, values), like(result, output_tangents)
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
    chosen = [check_int(i, "argnum", remedy="pass a position or a list of them") for i in argnums]

    def value_and_gradient(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        for i in chosen:
            if not -len(args) <= i < len(args):
                raise IndexError(
                    f"argnum {i} of {name_of(f)}: it was called with "
                    f"{counted(len(args), 'argument')}, counted from 0; pass it, as in grad(f)(2.0)"
                )
        primals: tuple[Any, ...] = args
        positions = [i % len(args) for i in chosen]
        if len(set(positions)) < len(positions):
            raise ValueError(
                f"argnum {list(chosen)} of {name_of(f)} names an argument twice; name each once"
            )
        _check_scalars(f, args, positions)

        def of_chosen(*xs: Any) -> Any:
            full = list(map(plain_numbers, primals))
            for i, x in zip(positions, xs):
                full[i] = x
            named = {name: plain_numbers(x) for name, x in kwargs.items()}
            return f(*full, **named) if named else called(f, *full)

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

        >>> square = lambda x: x * x
        >>> grad(square)(3.0)
        6.0

    The derivative is with respect to the first argument alone, unless ``argnum`` says otherwise:
    an optimiser of three numbers, such as scipy's, needs ``grad(f, argnum=(0, 1, 2))``.  See
    `value_and_grad` for the arguments.
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
            return called(f, like(xs, args))

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
        nested = is_inside_transform() or any(isinstance(x, Value) for x in inputs)
        return recorded(xs) if nested else compiled(like(xs, inputs))

    return matrix


# ---- checks --------------------------------------------------------------------------------------


def _roots_and_seeds(roots: Any, seeds: Any, what: str) -> tuple[list[Value], list[Any]]:
    """Returns the roots, which a message calls ``what``, and their seeds as lists."""
    is_single = isinstance(roots, Value) or not isinstance(roots, Iterable)
    roots = [roots] if is_single else as_list(roots, what, "Values")
    for i, root in enumerate(roots):
        _check_value(root, what if is_single else f"{what}[{i}]")
    user = what.partition(":")[0]
    if seeds is None:
        seeds = [1.0] * len(roots)
    elif isinstance(seeds, Value) or not isinstance(seeds, Iterable):
        seeds = [seeds]
    else:
        seeds = as_list(seeds, f"{user}: seeds")
    if len(seeds) != len(roots):
        raise ValueError(
            f"{user}: seeds must be {counted(len(roots), 'number')}, one for each root, "
            f"not {len(seeds)}"
        )
    for i, seed in enumerate(seeds):
        if _is_value(seed):
            raise wrong_type(f"{user}: seeds[{i}]", "a number", seed,
                             "multiply the root by it instead")
    return roots, [
        seed if isinstance(seed, Value) else number(seed, f"{user}: seeds[{i}]")
        for i, seed in enumerate(seeds)
    ]


def _check_scalars(f: Callable[..., Any], args: Sequence[Any], positions: Iterable[int]) -> None:
    """Checks that the arguments of ``f`` at these positions are numbers or Values."""
    for i in positions:
        x = args[i]
        if listed(x) is not None or remedy(x):
            raise wrong_type(
                argument_of(f, i), "a number", x,
                "grad, vjp and jvp are for functions of scalars; for a function of one list or one "
                "numpy array use jacobian(f)(xs) or hessian(f)(xs), and for other arguments "
                "jit(f).value_and_grad"
            )
        if x.__class__ is not float and not isinstance(x, Value):
            number(x, argument_of(f, i))


def _entries(xs: Any) -> list[Any]:
    """Returns the entries of the argument of a function of one list or array."""
    what = "jacobian and hessian: the argument"
    if isinstance(xs, list) and type(xs) is not list:
        raise TypeError(
            f"{what} is {short_repr(xs)}, of type {type(xs).__name__}: the function would get a "
            "plain list, without the methods of its class; pass list(x)"
        )
    entries = entries_of(xs) if is_array(xs) else as_list(xs, what)
    for i, x in enumerate(entries):
        if listed(x) is not None or remedy(x):
            raise wrong_type(
                f"{what}, entry {i},", "a number", x, "pass one flat list or one array, or use "
                "jit(f).value_and_grad and jit(f).hessian"
            )
        if x.__class__ is not float and not isinstance(x, Value):
            number(x, f"{what}, entry {i},")
    return entries


def _check_value(x: Any, what: str) -> None:
    if not _is_value(x):
        raise wrong_type(what, "a Value", x, "compute it with operations on Values")
