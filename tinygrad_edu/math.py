"""The names of the standard library's `math` module, for floats and Values alike, so that one
function runs on both.

    >>> from tinygrad_edu import Value, math
    >>> def wave(x):
    ...     return math.exp(-x) * math.sin(x)
    >>> wave(1.0) == wave(Value(1.0)).data
    True

Numbers in, a number out; a Value among the arguments, a new node out.  Two things differ from the
standard module, on purpose: arithmetic follows IEEE 754 (``exp(1000)`` is inf, ``log(0)`` -inf,
``sqrt(-1)`` nan, where `math` raises), and every row of the table of `primitives` is here too,
under its name: ``math.relu``, ``math.sigmoid``, ``math.softplus``, ... and rows that you define
yourself.

Beyond one row each: `log` with a base, `hypot`, `dist`, `norm`, `prod`, `fsum`, `sumprod`,
`logsumexp`, `softmax`, `log_softmax`.  Functions of whole numbers (`comb`, `factorial`, `gcd`, ...)
are the standard ones.
"""

from __future__ import annotations

import math as _math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from math import e, inf, nan, pi, tau
from typing import Any

from .engine import modes
from .engine import primitives as _p
from .engine.primitives import (
    absolute,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cbrt,
    clip,
    copysign,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    fmod,
    gelu_erf,
    gelu_tanh,
    hardtanh,
    leaky_relu,
    log1p,
    log2,
    log10,
    logaddexp,
    logsigmoid,
    maximum,
    minimum,
    pow,
    reciprocal,
    relu,
    rsqrt,
    sigmoid,
    sign,
    silu,
    sin,
    sinh,
    softplus,
    softsign,
    sqrt,
    square,
    step,
    tan,
    tanh,
    where,
    xlogy,
)
from .engine.value import Value

fabs = absolute
gelu = gelu_erf

__all__ = [
    "absolute", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clip",
    "comb", "copysign", "cos", "cosh", "degrees", "dist", "e", "erf", "erfc", "exp", "exp2",
    "expm1", "fabs", "factorial", "floor", "fmod", "frexp", "fsum", "gcd", "gelu", "gelu_erf",
    "gelu_tanh", "hardtanh", "hypot", "inf", "isclose", "isfinite", "isinf", "isnan", "isqrt",
    "lcm", "ldexp", "leaky_relu", "log", "log1p", "log2", "log10", "log_softmax", "logaddexp",
    "logsigmoid", "logsumexp", "maximum", "minimum", "modf", "nan", "nextafter", "norm", "perm",
    "pi", "pow", "prod", "radians", "reciprocal", "relu", "remainder", "rsqrt", "sigmoid", "sign",
    "silu", "sin", "sinh", "softmax", "softplus", "softsign", "sqrt", "square", "step", "sumprod",
    "tan", "tanh", "tau", "total", "trunc", "ulp", "where", "xlogy",
]


def __getattr__(name: str) -> Any:
    """Every other row of the table, by its name; then what the standard module has and this one
    does not know."""
    if name in _p.TABLE:
        return _p.TABLE[name]
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
    return sorted({*__all__, *_p.TABLE})


def _numbers_only(name: str) -> Callable[..., Any]:
    standard = getattr(_math, name)

    def function(*args: Any, **options: Any) -> Any:
        if any(isinstance(arg, Value) for arg in args):
            raise TypeError(
                f"math.{name} has no row in the table of primitives, so it cannot be "
                "differentiated; pass a number (.data), or define a row with "
                f"primitives.define({name!r}, ...)"
            )
        return standard(*args, **options)

    function.__name__ = name
    function.__doc__ = standard.__doc__
    return function


comb, factorial, frexp, gcd, isqrt, lcm, ldexp, nextafter, perm, ulp = map(
    _numbers_only,
    ("comb", "factorial", "frexp", "gcd", "isqrt", "lcm", "ldexp", "nextafter", "perm", "ulp"),
)


def log(x: Any, base: Any = None) -> Any:
    """The natural logarithm of ``x``, or the logarithm to ``base``: log(x) / log(base)."""
    return _p.log(x) if base is None else _p.div(_p.log(x), _p.log(base))


def floor(x: Any) -> Any:
    """The largest whole number <= x: a Value for a Value; an int for a finite number, as in the
    standard module."""
    return _as_int(_p.floor(x))


def ceil(x: Any) -> Any:
    """The smallest whole number >= x; see `floor` for its type."""
    return _as_int(_p.ceil(x))


def trunc(x: Any) -> Any:
    """``x`` without its fraction; see `floor` for its type."""
    return _as_int(_p.trunc(x))


def _as_int(x: Any) -> Any:
    return int(x) if isinstance(x, float) and _math.isfinite(x) else x


def modf(x: Any) -> tuple[Any, Any]:
    """``(fraction, whole)``, both with the sign of ``x``."""
    if isinstance(x, Value):
        return where(isfinite(x), fmod(x, 1.0), copysign(0.0, x)), _p.trunc(x)
    return _math.modf(x)


def remainder(x: Any, y: Any) -> Any:
    """The IEEE 754 remainder, as the standard module's: x - n y with n the whole number nearest to
    x / y.

    The operator ``%`` is another function, the row `primitives.remainder`.
    """
    return _p.ieee_remainder(x, y)


def degrees(x: Any) -> Any:
    """``x`` radians in degrees."""
    return x * (180 / pi)


def radians(x: Any) -> Any:
    """``x`` degrees in radians."""
    return x * (pi / 180)


def hypot(*coordinates: Any) -> Any:
    """The Euclidean norm of any number of coordinates, without overflow; gradient 0 at the origin.
    """
    if len(coordinates) == 2:
        return _p.hypot(*coordinates)
    if not any(isinstance(x, Value) for x in coordinates):
        return _math.hypot(*coordinates)
    return reduce(_p.hypot, coordinates[1:], absolute(coordinates[0]))


def norm(xs: Iterable[Any]) -> Any:
    """`hypot` of a list."""
    return hypot(*xs)


def dist(p: Sequence[Any], q: Sequence[Any]) -> Any:
    """The Euclidean distance of two points.  Raises ValueError if their dimensions differ."""
    if len(p) != len(q):
        raise ValueError(
            f"both points must have the same number of dimensions, not {len(p)} and {len(q)}"
        )
    return hypot(*(x - y for x, y in zip(p, q)))


def prod(xs: Iterable[Any], *, start: Any = 1) -> Any:
    """The product of ``xs``, from the left."""
    for x in xs:
        start = start * x
    return start


def total(xs: Iterable[Any]) -> Any:
    """The sum of ``xs`` from the left, without the built-in's ``0 +`` in front, which would be a
    node; 0.0 of nothing."""
    xs = list(xs)
    return reduce(lambda x, y: x + y, xs) if xs else 0.0


def fsum(xs: Iterable[Any]) -> Any:
    """The sum of ``xs``; of floats exactly rounded, as in the standard module; of Values from the
    left."""
    xs = list(xs)
    return total(xs) if any(isinstance(x, Value) for x in xs) else _math.fsum(xs)


def sumprod(xs: Iterable[Any], ys: Iterable[Any]) -> Any:
    """The sum of products of two lists of the same length, from the left; ValueError if the lengths
    differ."""
    pairs = list(zip(xs, ys, strict=True))
    if pairs and modes.active and (trace := modes.tracer()) is not None:
        return trace.sumprod(*zip(*pairs))
    return total([x * y for x, y in pairs])


def isnan(x: Any) -> bool:
    """Whether the number, or the Value's data, is nan."""
    return _math.isnan(x)


def isinf(x: Any) -> bool:
    """Whether the number, or the Value's data, is infinite."""
    return _math.isinf(x)


def isfinite(x: Any) -> bool:
    """Whether the number, or the Value's data, is neither infinite nor nan."""
    return _math.isfinite(x)


def isclose(x: Any, y: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> bool:
    """Whether two numbers, or the data of Values, are close; as the standard function."""
    return _math.isclose(x, y, rel_tol=rel_tol, abs_tol=abs_tol)


def is_traced(x: Any) -> bool:
    """Whether ``x`` stands for a number that is not known yet, because the function that has it is
    being compiled."""
    return (trace := modes.tracer()) is not None and isinstance(x, Value) and not trace.is_known(x)


def take(sequence: Sequence[Any], index: Any) -> Any:
    """``sequence[index]`` for an index that is a number of the program: a float, a Value, an
    argument of a compiled function.

    It is the very entry of the sequence, so that gradients flow to that one; the index has none.
    Indices count from 0.  In a compiled function the entries are numbers and Values, or rows of
    such, all of one length.  Raises IndexError unless the index is a whole number from 0 to
    ``len(sequence) - 1``, TypeError for what is no sequence.
    """
    if isinstance(sequence, Mapping) or not (
        hasattr(sequence, "__getitem__") and hasattr(sequence, "__len__")
    ):
        raise TypeError(
            f"take: {_p.short_repr(sequence)}, of type {type(sequence).__name__}, is no sequence; "
            "pass a list, a tuple or an array, of a dict one of its values"
        )
    if not len(sequence):
        raise IndexError("take: the sequence has no entries")
    if is_traced(index):
        return modes.tracer().take(sequence, index)
    i = float(index)
    if not 0 <= i < len(sequence) or not i.is_integer():
        raise IndexError(
            f"take: index {i!r} of {len(sequence)} entries; it must be a whole number, 0 to "
            f"{len(sequence) - 1}"
        )
    return sequence[int(i)]


# ---- of lists: shifted by the maximum, so that nothing overflows ---------------------------------


def _shift(xs: Sequence[Any]) -> float:
    # A number, not a node: all three functions are invariant under it, so that its derivative
    # cancels.
    if modes.active and (trace := modes.tracer()) is not None and any(map(is_traced, xs)):
        return trace.shift(xs)  # type: ignore[no-any-return]
    largest = max(map(float, xs), default=-inf)
    return largest if _math.isfinite(largest) else 0.0


def logsumexp(xs: Iterable[Any]) -> Any:
    """log(sum(exp(x))) without overflow; -inf for an empty list."""
    xs = list(xs)
    shift = _shift(xs)
    return shift + _p.log(total(exp(x - shift) for x in xs)) if xs else -inf


def softmax(xs: Iterable[Any]) -> list[Any]:
    """exp(x_i) / sum(exp(x_j)), as a list; positive and summing to 1.

    Where a probability is within 1e-16 of 1, its own gradient, p (1 - p), is lost to rounding;
    `log_softmax` and `nn.cross_entropy` keep theirs.
    """
    xs = list(xs)
    shift = _shift(xs)
    exponentials = [exp(x - shift) for x in xs]
    whole = total(exponentials)
    return [_p.div(x, whole) for x in exponentials]


def log_softmax(xs: Iterable[Any]) -> list[Any]:
    """The logarithms of `softmax`, as a list, without losing the digits of probabilities near 1 (or
    near 0)."""
    xs = list(xs)
    return [log_softmax_at(xs, i) for i in range(len(xs))]


def log_softmax_at(xs: Sequence[Any], i: int) -> Any:
    """The logarithm of the i-th softmax probability."""
    return -surprisal(xs, i)


def surprisal(xs: Sequence[Any], i: int) -> Any:
    """-log(softmax(xs)[i]), computed as softplus(logsumexp(the others) - x_i).

    That has no cancellation, neither in itself nor in its gradient by x_i, softmax_i - 1.
    """
    # -inf has no share
    others = [x for j, x in enumerate(xs) if j != i and (is_traced(x) or float(x) != -inf)]
    if not others:
        return softplus(-inf - xs[i])
    shift = _shift(others)
    return softplus(_p.log(total(exp(x - shift) for x in others)) - (xs[i] - shift))
