"""The functions of the standard `math` module, for floats and Values.

    >>> from tinygrad_edu import Value, math
    >>> def wave(x):
    ...     return math.exp(-x) * math.sin(x)
    >>> wave(1.0) == wave(Value(1.0)).data
    True

Numbers give a number; if an argument is a Value, the result is a new node.  There are two
differences from the standard module:

* Arithmetic follows IEEE 754: ``exp(1000)`` is inf, ``log(0)`` is -inf and ``sqrt(-1)`` is nan,
  where the standard functions raise.
* Every row of the table is here under its name (``math.relu``, ``math.sigmoid``,
  ...), including rows that you define.

These functions combine several rows: `log` with a base, `hypot`, `dist`, `norm`, `prod`, `fsum`,
`sumprod`, `logsumexp`, `softmax`, `log_softmax`.  Functions of whole numbers (`comb`, `factorial`,
`gcd`, ...) are the standard ones.  So are `isnan`, `isinf`, `isfinite` and `isclose`, which read
the data of a Value.
"""

from __future__ import annotations

import math as _math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, reduce, wraps
from inspect import signature
from itertools import accumulate
from math import e, inf, nan, pi, tau
from typing import Any, TypeVar

from .engine import table as _t
from .engine.arrays import as_list, remedy
from .engine.calls import called, straight
from .engine.interpreter import interpreted
from .engine.primitive import TABLE
from .engine.value import Value
from .errors import counted, is_number, number, plain, short_repr, wrong_type

T = TypeVar("T", Value, float)  # a number; one Value among the arguments makes the result a Value

absolute = fabs = _t.absolute
gelu = _t.gelu_erf
# Every row is a name of this module, except those that would hide a built-in function
_ROWS = {name: row for name, row in TABLE.items() if name not in ("abs", "round")}
globals().update(_ROWS)

_OF_WHOLE_NUMBERS = (
    "comb", "factorial", "frexp", "gcd", "isqrt", "lcm", "ldexp", "nextafter", "perm", "ulp",
)

__all__ = [
    "absolute", "cond", "degrees", "dist", "e", "fabs", "fsum", "gelu", "inf", "isclose",
    "isfinite", "isinf", "isnan", "log_softmax", "logsumexp", "modf", "nan", "norm", "pi", "prod",
    "radians", "softmax", "sumprod", "take", "tau", "total", *_OF_WHOLE_NUMBERS, *_ROWS,
]


def __getattr__(name: str) -> Any:
    """Returns another row of the table, or a function of the standard module that has no row."""
    if name in TABLE:
        return TABLE[name]
    if hasattr(_math, name) and not name.startswith("_"):
        return _numbers_only(name)
    instead = {
        "max": "; use maximum",
        "min": "; use minimum",
        "sum": "; use total, or the built-in",
    }.get(name, "")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: neither a row of the table nor a name of "
        f"math{instead}"
    )


def __dir__() -> list[str]:
    return sorted({*__all__, *TABLE})


@cache
def _numbers_only(name: str) -> Callable[..., Any]:
    standard = getattr(_math, name)

    def function(*args: Any, **options: Any) -> Any:
        if any(isinstance(arg, Value) for arg in args):
            raise TypeError(
                f"math.{name} has no row in the table of primitives, so it cannot be "
                "differentiated; pass a number (.data), or define a row with "
                f"define({name!r}, ...)"
            )
        return standard(*args, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = standard.__doc__
    return function


def _numbers(xs: Any, what: str) -> list[Any]:
    """Returns a list of ``xs``, each as `plain` returns it.

    what: begins the message of an error.
    """
    xs = list(xs) if xs.__class__ in (list, tuple) else as_list(xs, what)
    kinds = set(map(type, xs)) - _PLAIN
    if all(hasattr(kind, "apply_primitive") for kind in kinds):
        return xs
    return [
        plain(x) if is_number(x) else number(x, f"{what}[{i}]") for i, x in enumerate(xs)
    ]


_PLAIN = {Value, float, int}


def _asking(f: Callable[..., bool]) -> Callable[..., bool]:
    """Returns a function that compares numbers, after which a result may be constant."""

    @wraps(f)
    def asks(*args: Any, **options: Any) -> bool:
        straight.clear()
        try:
            return f(*args, **options)
        except (TypeError, ValueError, OverflowError):
            for name, x in (*zip(signature(f).parameters, args), *options.items()):
                number(x, f"argument {name} of {f.__name__}")
            raise

    asks.__module__ = __name__  # where pickle finds it
    return asks


isclose = _asking(_math.isclose)
isfinite = _asking(_math.isfinite)
isinf = _asking(_math.isinf)
isnan = _asking(_math.isnan)


def log(x: T, base: T | None = None) -> T:
    """Returns the natural logarithm of ``x``, or the logarithm to ``base``: log(x) / log(base)."""
    return _t.log(x) if base is None else _t.div(_t.log(x), _t.log(base))


def floor(x: T) -> T:
    """Returns the largest whole number <= x: a Value for a Value, an int for a finite number."""
    return _as_int(_t.floor(x))


def ceil(x: T) -> T:
    """Returns the smallest whole number >= x, of the same type as for `floor`."""
    return _as_int(_t.ceil(x))


def trunc(x: T) -> T:
    """Returns ``x`` without its fraction, of the same type as for `floor`."""
    return _as_int(_t.trunc(x))


def _as_int(x: Any) -> Any:
    return int(x) if isinstance(x, float) and _math.isfinite(x) else x


def modf(x: T) -> tuple[T, T]:
    """Returns ``(fraction, whole)``, both with the sign of ``x``."""
    if isinstance(x, Value):
        return _t.where(isfinite(x), _t.fmod(x, 1.0), _t.copysign(0.0, x)), _t.trunc(x)
    return _math.modf(number(x, "modf: x"))


def remainder(x: T, y: T) -> T:
    """Returns the IEEE 754 remainder x - n y, where n is the whole number nearest to x / y.

    The operator ``%`` is another function, the row `remainder` of the table.
    """
    return _t.ieee_remainder(x, y)


def degrees(x: T) -> T:
    """Returns the angle ``x``, given in radians, in degrees."""
    return _t.mul(x, 180 / pi)  # type: ignore[no-any-return]


def radians(x: T) -> T:
    """Returns the angle ``x``, given in degrees, in radians."""
    return _t.mul(x, pi / 180)  # type: ignore[no-any-return]


def hypot(*coordinates: T) -> T:
    """Returns the Euclidean norm of any number of coordinates, without overflow.

    The gradient at the origin is 0.
    """
    if len(coordinates) == 2:
        return _t.hypot(*coordinates)
    if not any(isinstance(x, Value) for x in coordinates):
        return reduce(_t.hypot, coordinates, 0.0)  # the bits that Values have
    return reduce(_t.hypot, coordinates[1:], abs(plain(coordinates[0])))


def norm(xs: Iterable[T]) -> T:
    """Returns `hypot` of the numbers in ``xs``."""
    return hypot(*_numbers(xs, "norm: xs"))


def dist(p: Sequence[T], q: Sequence[T]) -> T:
    """Returns the Euclidean distance of two points; ValueError if their dimensions differ."""
    xs = _numbers(p, "dist: p")
    ys = _numbers(q, "dist: q")
    _check_lengths("dist: p and q", xs, ys)
    return hypot(*map(operator.sub, xs, ys))


def _check_lengths(what: str, xs: list[Any], ys: list[Any]) -> None:
    if len(xs) != len(ys):
        raise ValueError(
            f"{what} must have equal lengths, not {len(xs)} and {len(ys)}; give each entry its pair"
        )


def prod(xs: Iterable[T], *, start: T = 1) -> T:
    """Returns the product of ``start`` and ``xs``, from the left."""
    return reduce(operator.mul, _numbers(xs, "prod: xs"), *_numbers([start], "prod: start"))


def total(xs: Iterable[T]) -> T:
    """Returns the sum of ``xs`` from the left, or 0.0 if there are none.

    Unlike the built-in `sum`, it does not start with ``0 +``, which would be a node.
    """
    xs = _numbers(xs, "total: xs")
    return reduce(operator.add, xs) if xs else 0.0


def fsum(xs: Iterable[T]) -> T:
    """Returns the sum of ``xs``: exactly rounded for floats, from the left if one is a Value."""
    xs = _numbers(xs, "fsum: xs")
    return total(xs) if any(isinstance(x, Value) for x in xs) else _math.fsum(xs)


def sumprod(xs: Iterable[T], ys: Iterable[T]) -> T:
    """Returns the sum of products of two lists, from the left; raises ValueError if their lengths
    differ."""
    xs = _numbers(xs, "sumprod: xs")
    ys = _numbers(ys, "sumprod: ys")
    _check_lengths("sumprod: xs and ys", xs, ys)
    return _sumprod(list(zip(xs, ys))) if xs else 0.0


@interpreted
def _sumprod(pairs: list[tuple[Any, Any]]) -> Any:
    return reduce(operator.add, [x * y for x, y in pairs])


# ---- choices -------------------------------------------------------------------------------------


def cond(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Returns ``then()`` if the condition holds, and ``otherwise()`` if not.

        >>> cond(2 > 1, lambda: "larger", lambda: "not larger")
        'larger'

    Only the chosen function is called, unlike in `where`.  While a function is compiled, both are
    called, if the condition is not known, and the program chooses.

    Raises:
        TypeError: ``then`` or ``otherwise`` is not a function.
    """
    if not (callable(then) and callable(otherwise)):
        name, x = ("otherwise", otherwise) if callable(then) else ("then", then)
        instead = f"write lambda: {short_repr(x)}, or use where(condition, x, y)"
        raise wrong_type(f"cond: {name}", "a function", x, instead)
    return _cond(condition, then, otherwise)


@interpreted
def _cond(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    name, f = ("then", then) if condition else ("otherwise", otherwise)
    return called(f, name=f"cond: {name}", remedy="write lambda: f(x, y)")


def take(sequence: Sequence[Any], index: Any) -> Any:
    """Returns ``sequence[index]``, where the index may also be a float, a Value or a traced value.

    The result is the entry itself, so gradients flow to the entry; the index receives none.  (A
    numpy scalar becomes a Python number.)
    Indices count from 0.  In a compiled function the entries are numbers and Values, or rows of
    numbers and Values of equal length.

    Raises:
        TypeError: ``sequence`` is not a sequence.
        IndexError: the index is not a whole number from 0 to ``len(sequence) - 1``.
    """
    other = remedy(sequence)  # of pandas, which would look the index up among its labels
    if other or isinstance(sequence, Mapping) or not (
        hasattr(sequence, "__getitem__") and hasattr(sequence, "__len__")
    ) or getattr(sequence, "shape", None) == ():
        other = other or "for a dict, pass list(x.values())"
        raise wrong_type("take: sequence", "a list, a tuple or an array", sequence, other)
    if not len(sequence):
        raise IndexError(
            f"take: sequence must have entries, not {short_repr(sequence)}; give it at least one"
        )
    return _entry(sequence, index)


@interpreted
def _entry(sequence: Sequence[Any], index: Any) -> Any:
    i = _position(index, len(sequence), "take: index")
    straight.clear()
    return plain(sequence[i])


def _position(index: Any, count: int, what: str) -> int:
    """Returns an index of ``count`` entries as an int.  ``what`` begins the message of an error."""
    i = number(index, what)
    if not 0 <= i < count or not i.is_integer():
        raise IndexError(
            f"{what} {i!r} of {counted(count, 'entry', 'entries')}; it must be a whole number, "
            f"0 to {count - 1}"
        )
    return int(i)


# ---- functions of lists --------------------------------------------------------------------------


@interpreted
def _shift(xs: Sequence[Any]) -> float:
    # Exponents are shifted by their maximum, and exp cannot overflow.  It is a number, not a node,
    # because the results do not depend on it: its derivative cancels.
    largest = max(map(float, xs), default=-inf)
    return largest if _math.isfinite(largest) else 0.0


def logsumexp(xs: Iterable[T]) -> T:
    """Returns log(sum(exp(x))) without overflow, or -inf for an empty list."""
    xs = _numbers(xs, "logsumexp: xs")
    shift = _shift(xs)
    return shift + _t.log(total(_t.exp(x - shift) for x in xs)) if xs else -inf


def softmax(xs: Iterable[T]) -> list[T]:
    """Returns the list of exp(x_i) / sum(exp(x_j)), which are positive and sum to 1.

    If a probability p is within 1e-16 of 1, its derivative p (1 - p) is lost to rounding;
    `log_softmax` and `nn.cross_entropy` keep their derivatives.
    """
    xs = _numbers(xs, "softmax: xs")
    shift = _shift(xs)
    exponentials = [_t.exp(x - shift) for x in xs]
    denominator = total(exponentials)
    return [_t.div(x, denominator) for x in exponentials]


def log_softmax(xs: Iterable[T]) -> list[T]:
    """Returns the logarithms of `softmax`, as a list, with all digits for probabilities near 0 or
    1."""
    return [-x for x in surprisals(_numbers(xs, "log_softmax: xs"))]


def surprisals(xs: Sequence[T]) -> list[T]:
    """Returns `surprisal` of every position, made of at most 14 nodes for each number."""
    index = _index_of_largest(xs)
    are_largest = [1 - ((index < i) | (index > i)) for i in range(len(xs))]
    shift = _shift(xs)
    sums = _sums(xs, shift)
    # Where the others of the largest number have exponentials of 0, its sum needs another shift.
    rest = list(map(_unless, are_largest, xs))
    shift_of_rest = _shift(rest)
    sums_of_rest = _sums(rest, shift_of_rest)

    def at(i: int) -> Any:
        is_largest = are_largest[i]
        others = cond(is_largest, lambda: _sum(*sums_of_rest[i]), lambda: _sum(*sums[i]))
        difference = xs[i] - cond(is_largest, lambda: shift_of_rest, lambda: shift)
        return _t.softplus(_t.log(others) - difference)

    return list(map(at, range(len(xs))))


@interpreted
def surprisal(xs: Sequence[T], i: Any) -> T:
    """Returns -log(softmax(xs)[i]), computed as softplus(logsumexp(the others) - x_i).

    This form has no cancellation, and neither has its derivative with respect to x_i,
    softmax_i - 1.  The exponentials of the others are added from both ends of the list towards i,
    so that `surprisals` can have the same sums for all positions.
    """
    xs = _numbers(xs, "surprisal: xs")
    i = _position(i, len(xs), "surprisal: i")
    x = xs[i]
    xs[i] = -inf
    shift = _shift(xs)
    terms = _terms(xs, shift)
    others = _sum(reduce(_sum, terms[:i], 0.0), reduce(_sum, terms[:i:-1], 0.0))
    return _t.softplus(_t.log(others) - (x - shift))


def _terms(xs: Sequence[Any], shift: Any) -> list[Any]:
    """Returns the list of exp(x - shift); an entry of -inf adds nothing to `_sum`, not even a node.
    """
    return [0.0 if _is_nothing(x) else _exponential(x, shift) for x in xs]


def _sums(xs: Sequence[Any], shift: Any) -> list[tuple[Any, Any]]:
    """Returns for each position the sum of the `_terms` before it, and of those after it."""
    terms = _terms(xs, shift)
    before = accumulate(terms, _sum, initial=0.0)
    after = list(accumulate(reversed(terms), _sum, initial=0.0))
    return list(zip(before, after[-2::-1]))


def _sum(x: Any, y: Any) -> Any:
    """Returns x + y, or one of them if the other one is the number 0."""
    if x.__class__ is float and x == 0:
        return y
    return x if y.__class__ is float and y == 0 else x + y


@interpreted
def _index_of_largest(xs: Sequence[Any]) -> int:
    return max(range(len(xs)), key=lambda i: float(xs[i]), default=0)


@interpreted
def _unless(condition: Any, x: Any) -> Any:
    return -inf if condition else x


@interpreted
def _exponential(x: Any, shift: Any) -> Any:
    return _t.exp(x - shift)


@interpreted
def _is_nothing(x: Any) -> bool:
    return float(x) == -inf
