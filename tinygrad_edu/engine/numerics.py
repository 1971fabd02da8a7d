"""Float functions for the table, which keep their digits and follow IEEE 754 at all edges.

    >>> math.log1p(-1.0)
    Traceback (most recent call last):
        ...
    ValueError: math domain error
    >>> guarded(math.log1p, -1.0, -inf)(-1.0)
    -inf

They return inf or nan where CPython's `math` would raise.  ``f_of`` is the fast forward of row
``f``; its expansion in `table` states the same steps for all languages, with the same bits.
"""

import math
from collections.abc import Callable
from math import inf, nan


def guarded(
    f: Callable[[float], float], pole: float = nan, at_pole: float = nan
) -> Callable[[float], float]:
    """Returns ``f`` with IEEE 754 results where it raises.

    The result is nan outside the domain, ``at_pole`` at x = ``pole``, and -``at_pole`` at
    x = -``pole``.
    """

    def forward(x: float) -> float:
        try:
            return f(x)
        except ValueError:
            if x == pole:
                return at_pole
            return -at_pole if x == -pole else nan
        except OverflowError:
            return f(math.copysign(inf, x))  # the limit: these functions are monotone or even

    return forward


def divide(x: float, y: float) -> float:
    """Returns x / y; a zero divisor gives an infinity of the right sign, or nan for 0/0."""
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0 or x != x else math.copysign(inf, x) * math.copysign(1.0, y)


def power(x: float, y: float) -> float:
    """Returns x**y as C99 does: nan for a negative base with a fractional exponent, inf for 0 to a
    negative power."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -inf if x < 0 and math.fmod(y, 2) else inf
    except ValueError:
        if x != 0:
            return nan
        return math.copysign(inf, x) if math.fmod(y, 2) in (1.0, -1.0) else inf


def exact_difference(x: float, y: float) -> tuple[float, float]:
    """Returns x - y, rounded, and its rounding error.

    Source: Knuth, The Art of Computer Programming, vol. 2 (1969), 4.2.2, theorem B.
    """
    s = x - y
    back = s - x
    lost = (x - (s - back)) - (y + back)
    return s, lost if lost == lost else 0.0


def pow_lower_of(x: float, y: float) -> float:
    """Returns x ** (y - 1) with the digits that rounding y - 1 would lose where log x is large."""
    exponent, lost = exact_difference(y, 1.0)
    result = power(x, exponent)
    if lost and 0 < x < inf and result < inf:
        result += result * (lost * math.log(x))
    return result


def nan_where_undefined(f: Callable[[float, float], float]) -> Callable[[float, float], float]:
    """Returns ``f`` with the result nan where it raises ValueError."""

    def forward(x: float, y: float) -> float:
        try:
            return f(x, y)
        except ValueError:
            return nan

    return forward


def floordiv_of(x: float, y: float) -> float:
    """Returns x // y, or nan for a zero divisor."""
    return x // y if y else nan


def remainder_of(x: float, y: float) -> float:
    """Returns x % y, with the sign of y, or nan for a zero divisor."""
    return x % y if y else nan


def rounding(f: Callable[[float], int]) -> Callable[[float], float]:
    """Returns an int-valued rounding function as a function from float to float.

    A result of zero has the sign of ``x``; infinities and nan are returned unchanged.
    """
    return lambda x: math.copysign(float(f(x)), x) if math.isfinite(x) else x


def round_to_digits(x: float, n: float) -> float:
    """Returns x rounded to int(n) decimals, half to even, as the built-in `round` does."""
    try:
        return float(round(x, int(n)))
    except OverflowError:  # n is infinite, or the result is above the largest float
        if n > 0 or x != x:
            return x
        return math.copysign(0.0 if n == -inf else inf, x)
    except ValueError:
        return nan


def copysign_of(x: float, y: float) -> float:
    """Returns abs(x) with the sign of y; the sign of a nan counts as +."""
    return math.copysign(x, y) if y == y else math.fabs(x)


def compare(x: float, y: float) -> int:
    """Returns -1 for x < y, 0 for x = y, 1 for x > y, 2 if one is nan.

    This is the piece of a function with a kink at x = y.
    """
    if x < y:
        return -1
    if x > y:
        return 1
    return 0 if x == y else 2


def sigmoid_of(x: float) -> float:
    """Returns 1 / (1 + exp(-x)) without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    e = math.exp(x)
    return e / (1 + e)


def sech_squared_of(x: float) -> float:
    """Returns 1 / cosh(x)**2 without overflow."""
    e = math.exp(-2 * abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def softplus_of(x: float) -> float:
    """Returns log(1 + exp(x)) without overflow and without a threshold."""
    return relu_of(x) + math.log1p(math.exp(-abs(x)))


def hypot_of(x: float, y: float) -> float:
    """Returns sqrt(x**2 + y**2) without overflow, by the C library's hypot.

    `math.hypot` uses another method, which compiled code cannot call.
    """
    if x != x or y != y:  # here abs() does not reset errno, so it could report an older error
        return math.hypot(x, y)
    try:
        return abs(complex(x, y))
    except OverflowError:
        return inf


def maximum_of(x: float, y: float) -> float:
    """Returns the larger number, or nan if either is nan (the built-in depends on the order)."""
    return x if x > y or x != x else y


def minimum_of(x: float, y: float) -> float:
    """Returns the smaller number, or nan if either is nan."""
    return x if x < y or x != x else y


def step_of(x: float) -> float:
    """Returns 1 for x > 0, 0 for x <= 0, nan for nan."""
    if x > 0:
        return 1.0
    return 0.0 if x <= 0 else x


def sign_of(x: float) -> float:
    """Returns 1 for x > 0 and -1 for x < 0; a zero or nan is returned unchanged."""
    if x > 0:
        return 1.0
    return -1.0 if x < 0 else x


def relu_of(x: float) -> float:
    """Returns max(0, x), or nan for nan."""
    if x > 0:
        return x
    return 0.0 if x <= 0 else x
