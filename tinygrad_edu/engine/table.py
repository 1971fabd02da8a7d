"""THE TABLE: all primitives, one row each.

One row defines a primitive completely::

    tan = define("tan", guarded(math.tan), lambda x, o: 1 + square(o), library="tan")

It has a name, a forward function on floats, and one rule for each argument: the partial derivative,
written with operators and other rows only.  The same rule therefore runs

* on floats: the local derivative that a node stores (`Primitive.partial_at`);
* on Values: the gradient as a graph, which can be differentiated again (`autodiff.gradients`);
* on names: the text of the derivative (`formula`);
* on registers and source text: compiled gradients (`jit`).

``o`` in a rule is the primitive's output.  A rule must not use ``.data``, the standard ``math``
module, ``if`` or ``==``.  To branch, use `where`.  To test for zero, write ``abs(y) <= 0``, because
``==`` compares Values by identity; after ``x > y`` and ``x < y`` have both failed, ``x <= y`` means
that they are equal, and ``nan`` fails all three.  (A ``piece`` runs on floats only, so it may use
``if`` and ``==``.)  The rule of a constant operand is never run: ``x ** 3`` at x = -2 is
differentiated with respect to x without computing ``log(-2)``.

To add a primitive, add a row.  The rows below show every feature; `Primitive` explains the fields.
"""

import builtins
import math
import sys
from collections.abc import Callable, Iterable
from functools import partial
from keyword import iskeyword
from math import inf, nan, pi
from operator import attrgetter, is_
from time import time_ns
from typing import Any

from ..errors import check_function, check_text
from .numerics import (
    compare,
    copysign_of,
    divide,
    floordiv_of,
    guarded,
    hypot_of,
    maximum_of,
    minimum_of,
    nan_where_undefined,
    pow_lower_of,
    power,
    relu_of,
    remainder_of,
    round_to_digits,
    rounding,
    sech_squared_of,
    sigmoid_of,
    sign_of,
    softplus_of,
    step_of,
)
from .primitive import (
    COMPARISONS,
    MAIN,
    PACKAGE,
    POSITIVE,
    REALS,
    TABLE,
    Operand,
    Primitive,
    Rule,
    listeners,
)

LN2 = math.log(2)
LOG2E = math.log2(math.e)
LOG10E = math.log10(math.e)
SQRT_HALF = math.sqrt(0.5)
INV_SQRT_TAU = 1 / math.sqrt(math.tau)
TWO_OVER_SQRT_PI = 2 / math.sqrt(pi)
SQRT_TWO_OVER_PI = math.sqrt(2 / pi)
GELU_CUBIC = 0.044715  # Hendrycks and Gimpel, 2016, arXiv 1606.08415


class Ieee(Operand):
    """A number whose operators follow IEEE 754 instead of raising: the language of edge cases.

    Rules run on plain floats first, because floats are fast.  Where CPython raises or gives a
    complex number (``1 / 0.0``, ``0.0 ** -1``, ``(-8.0) ** 0.5``), they run again on this class.
    """

    __slots__ = ("number",)

    def __init__(self, x: float) -> None:
        self.number = float(x)

    def __float__(self) -> float:
        return self.number

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """Returns an `Ieee`, or the result in the language of another argument."""
        for arg in args:
            apply = getattr(type(arg), "apply_primitive", None)
            if apply is not None and not isinstance(arg, Ieee):
                return apply(primitive, args)
        return Ieee(primitive.forward(*[float(arg) for arg in args]))

    def compare(self, symbol: str, y: Any) -> Any:
        """Returns True or False."""
        if not isinstance(y, (Ieee, float, int)):
            return NotImplemented
        return COMPARISONS[symbol](self.number, float(y))


Primitive.at_edges = Ieee


def on_floats(rule: Rule, *args: float) -> float:
    """Evaluates a rule on floats; where Python would raise, the result is inf or nan."""
    try:
        result = rule(*args)
    except ArithmeticError:
        result = 0j  # handled like (-8.0) ** 0.5, which is complex
    if result.__class__ is complex:
        result = rule(*map(Ieee, args))
    return float(result)


class AnyNumber(Operand):
    """An operand that stands for any number and supports operators and rows only.

    Running a rule on it shows whether the rule uses only what all languages have in common.
    """

    __slots__ = ()

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> "AnyNumber":
        """Returns an operand that stands for any number."""
        return AnyNumber()

    def compare(self, symbol: str, y: Any) -> "AnyNumber":
        """Returns an operand that stands for any condition."""
        return self

    def __eq__(self, y: object) -> bool:
        raise TypeError("it compares with ==, which is identity for Values; write abs(x - y) <= 0")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError(
            "it asks whether a condition is true; choose with where(condition, x, y), not with if, "
            "and, or, max"
        )

    def __float__(self) -> float:
        raise TypeError(
            "it converts its argument to a plain number, as the standard math module does; use "
            "this package's math"
        )


def define(
    name: str,
    forward: Callable[..., float] | None,
    *partials: Rule,
    replace: bool = False,
    parameters: str = "",
    **fields: Any,
) -> Primitive:
    """Adds a primitive to the table and returns it, callable on floats, Values and names.

        >>> from tinygrad_edu import math
        >>> bump = define("bump", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)
        >>> bump(0.0)
        1.0

    forward: a function from floats to a float, or None if the ``expansion`` is to compute it.
    partials: one rule for each argument: ``rule(*args, o)`` is the derivative with respect to it,
        where ``o`` is the output.  Write rules with operators and other rows only.
    replace: whether an existing row of the same name is replaced.
    parameters: the names of the arguments, by default ``"x y z"``.
    fields: the other fields of `Primitive`, which explains them all.  A row with an ``expansion``
        or a ``library`` is compiled by `jit`; others are called back in Python.

    Raises:
        ValueError: ``name`` is taken (and ``replace`` is False) or is not an identifier.
        TypeError: a rule is not a function, or uses what rules may not use.  Each rule is tried
            once, on an operand that stands for any number.
    """
    check_text(name, "define: name", "choose a name such as 'bump'")
    check_text(parameters, "define: parameters", "write names with spaces, such as 'x y'")
    if name in TABLE and not replace:
        raise ValueError(
            f"primitive {name!r} is in the table already: {TABLE[name]!r}; "
            "choose another name or pass replace=True"
        )
    if not name.isidentifier() or iskeyword(name):
        raise ValueError(
            f"define: primitive name {name!r} is not an identifier; choose a name such as 'bump'"
        )
    expansion = fields.get("expansion")
    if forward is None and expansion is not None:
        forward = partial(on_floats, expansion)
    signature = f"write define({name!r}, forward, one rule for each argument)"
    check_function(forward, "define: forward", signature)
    for i, rule in enumerate(partials):
        check_function(rule, f"define: partials[{i}]", signature)
    if forward is None or not partials:
        raise TypeError(f"define: partials must be at least one rule, not none; {signature}")
    names = tuple(parameters.split())
    fields.setdefault("module", _module_of(sys._getframe(1).f_globals.get("__name__", MAIN)))
    row = Primitive(name, forward, partials, parameters=names, **fields)
    if _table_is_complete:
        _try_rules(row)
    TABLE[name] = row
    for listener in listeners:
        listener(row)
    return row


def _module_of(caller: str) -> str:
    """Returns the module of a row, given the name of the module that calls `define`."""
    if caller == "__mp_main__":  # the program itself, as `multiprocessing` calls it in a worker
        return MAIN
    return PACKAGE if caller == __name__ else caller


def _try_rules(row: Primitive) -> None:
    n = row.arity
    names = ", ".join(row.parameters)
    tried = [
        (f"the rule of {row.name} for {name}", rule, n + 1, f"({names}, o), where o is the output")
        for rules in (row.partials, row.textbook)
        for name, rule in zip(row.parameters, rules)
    ]
    if row.expansion is not None:
        tried.append((f"the expansion of {row.name}", row.expansion, n, f"({names})"))
    for what, rule, count, signature in tried:
        try:
            rule(*[AnyNumber() for _ in range(count)])
        except (TypeError, AttributeError, ValueError) as error:
            raise TypeError(
                f"{what} cannot be used: {error}.  It is called with {signature}; write it in "
                "operators and rows of the table"
            ) from None


# False while this module is imported: its rules name rows further down, so they are tried last
_table_is_complete = False


# ---- functions in any language -------------------------------------------------------------------


def difference(x: Any, y: Any) -> tuple[Any, Any]:
    """Returns x - y and its rounding error; see `numerics.exact_difference`."""
    s = x - y
    back = s - x
    lost = (x - (s - back)) - (y + back)
    return s, where(lost <= lost, lost, 0.0)  # nan after an overflow: no error


def stable_sigmoid(x: Any) -> Any:
    """Returns 1 / (1 + exp(-x)) without overflow."""
    e = exp(-abs(x))
    return where(x >= 0, 1 / (1 + e), e / (1 + e))


def stable_sech_squared(x: Any) -> Any:
    """Returns 1 / cosh(x)**2 without overflow."""
    e = exp(-2 * abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def corrected_power(x: Any, y: Any) -> Any:
    """Returns x ** (y - 1) with the digits that rounding y - 1 would lose."""
    exponent, lost = difference(y, 1.0)
    result = x ** exponent
    if lost.__class__ is float and lost == 0:  # the usual case, if the exponent is known
        return result
    corrected = result + result * (lost * log(x))
    return where(
        abs(lost) > 0,
        where(x > 0, where(x < inf, where(result < inf, corrected, result), result), result),
        result,
    )


def corrected_sigmoid(x: Any, y: Any) -> Any:
    """Returns sigmoid(x - y) with the digits that rounding x - y would lose."""
    s, lost = difference(x, y)
    result = sigmoid(s)
    return result + lost * (result * (1 - result))


def stable_logaddexp(x: Any, y: Any) -> Any:
    """Returns log(exp(x) + exp(y)) without overflow, also for equal infinities."""
    x, y = where(x < y, x, y), where(x < y, y, x)
    s, lost = difference(x, y)
    small = where(s < 0, exp(s), where(x <= y, where(x >= y, 1.0, s), s))
    return y + log1p(small + small * lost)


def signs_differ(rest: Any, y: Any) -> Any:
    """Returns whether ``rest`` and ``y`` have opposite signs; y = 0 counts as positive."""
    return ((rest < 0) * (y >= 0) + (rest > 0) * (y < 0)) > 0


def python_remainder(x: Any, y: Any) -> Any:
    """Returns x % y as Python computes it, from fmod."""
    rest = fmod(x, y)
    moved = where(signs_differ(rest, y), rest + y, rest)
    return where(abs(y) > 0, where(abs(rest) <= 0, copysign(0.0, y), moved), div(y, y) * x)


def python_floordiv(x: Any, y: Any) -> Any:
    """Returns x // y as Python computes it, from fmod."""
    rest = fmod(x, y)
    whole = (x - rest) / y
    whole = where(signs_differ(rest, y), whole - 1.0, whole)
    below = floor(whole)
    rounded = where(whole - below > 0.5, below + 1.0, below)
    return where(
        abs(y) > 0, where(abs(whole) <= 0, copysign(0.0, x / y), rounded), div(y, y) * x
    )


def gelu_tanh_argument(x: Any) -> Any:
    """Returns 2 sqrt(2/pi) (x + 0.044715 x**3)."""
    return 2 * SQRT_TWO_OVER_PI * (x + GELU_CUBIC * x * square(x))


def gelu_tanh_argument_slope(x: Any) -> Any:
    """Returns the derivative of `gelu_tanh_argument` with respect to x."""
    return 2 * SQRT_TWO_OVER_PI * (1 + 3 * GELU_CUBIC * square(x))


# ---- arithmetic ----------------------------------------------------------------------------------

# precedences, as in Python
ADDITIVE = 10
MULTIPLICATIVE = 20
UNARY = 30
POWER = 40

add = define(
    "add", lambda x, y: x + y,
    lambda x, y, o: 1.0,
    lambda x, y, o: 1.0,
    symbol="+", precedence=ADDITIVE,
    library="+",
)

sub = define(
    "sub", lambda x, y: x - y,
    lambda x, y, o: 1.0,
    lambda x, y, o: -1.0,
    symbol="-", precedence=ADDITIVE,
    library="-",
)

mul = define(
    "mul", lambda x, y: x * y,
    lambda x, y, o: y,
    lambda x, y, o: x,
    symbol="*", precedence=MULTIPLICATIVE,
    library="*",
)

div = define(
    "div", divide,
    lambda x, y, o: 1 / y,
    lambda x, y, o: -(o / y),  # x / y**2 would overflow
    symbol="/", precedence=MULTIPLICATIVE,
    domain=lambda x, y: abs(y) > 0,
    textbook=(lambda x, y, o: 1 / y, lambda x, y, o: -(x / y**2)),
    library="/",
)

pow = define(
    "pow", power,
    lambda x, y, o: y * pow_lower(x, y),
    lambda x, y, o: o * log(x),
    limits=(
        lambda x, y, o, d: where(abs(y) <= 0, 0.0, d),  # x**0 is the constant 1
        lambda x, y, o, d: where(abs(x) <= 0, where(y >= 0, 0.0, d), d),  # 0**y is flat in y >= 0
    ),
    symbol="**", precedence=POWER, associativity="right",
    domain=lambda x, y: x > 0,
    sample=(POSITIVE, REALS),
    specials={(0.0, 0.0): (0.0, 0.0), (0.0, 2.0): (0.0, 0.0), (0.0, 0.5): (inf, 0.0)},
    library="pow",
    note="x**0 is the constant 1, also at x = 0 and nan",
)

pow_lower: Primitive = define(
    "pow_lower", pow_lower_of,
    lambda x, y, o: (y - 1) * pow_lower(x, y - 1),
    lambda x, y, o: o * log(x),
    limits=(
        lambda x, y, o, d: where(abs(y - 1) <= 0, 0.0, d),
        lambda x, y, o, d: where(abs(x) <= 0, where(y >= 1, 0.0, d), d),
    ),
    domain=lambda x, y: x > 0,
    sample=(POSITIVE, REALS),
    spelling=lambda x, y: x ** (y - 1),
    expansion=corrected_power,
    note="used in the derivative of pow; keeps the digits that rounding y - 1 would lose",
)

neg = define("neg", lambda x: -x, lambda x, o: -1.0, symbol="-", precedence=UNARY, library="-")

identity = define(
    "identity", lambda x: x,
    lambda x, o: 1.0,
    expansion=lambda x: x,
    note="a new node with the same value",
)

remainder = define(
    "remainder", remainder_of,
    lambda x, y, o: 1.0,
    lambda x, y, o: -(x // y),
    symbol="%", precedence=MULTIPLICATIVE,
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: floordiv(x, y),
    expansion=python_remainder,
    note="the result has the sign of y",
)

floordiv: Primitive = define(
    "floordiv", floordiv_of,
    lambda x, y, o: 0.0,
    lambda x, y, o: 0.0,
    symbol="//", precedence=MULTIPLICATIVE,
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: floordiv(x, y),
    expansion=python_floordiv,
)

fmod: Primitive = define(
    "fmod", nan_where_undefined(math.fmod),
    lambda x, y, o: 1.0,
    lambda x, y, o: -round((x - o) / y),
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: round(divide(x - fmod(x, y), y)),
    library="fmod",
    note="the result has the sign of x",
)

ieee_remainder: Primitive = define(
    "ieee_remainder", nan_where_undefined(math.remainder),
    lambda x, y, o: 1.0,
    lambda x, y, o: -round((x - o) / y),
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: round(divide(x - ieee_remainder(x, y), y)),
    library="remainder",
    note="the same as the standard library's math.remainder",
)

reciprocal = define(
    "reciprocal", None,
    lambda x, o: -square(o),
    textbook=(lambda x, o: -(1 / x**2),),
    domain=lambda x: abs(x) > 0,
    expansion=lambda x: 1.0 / x,
)

square: Primitive = define("square", lambda x: x * x, lambda x, o: 2 * x, expansion=lambda x: x * x)

# ---- choices and rounding ------------------------------------------------------------------------


def side_of_zero(x: float, *rest: float) -> int:
    """Returns the piece of a function with a kink at x = 0."""
    return compare(x, 0.0)


def share_if_greater(x: Any, y: Any) -> Any:
    """Returns 1 where x > y, 0 where x < y, one half at a tie."""
    return where(x > y, 1.0, where(x < y, 0.0, 0.5))


def share_if_less(x: Any, y: Any) -> Any:
    """Returns 1 where x < y, 0 where x > y, one half at a tie."""
    return where(x < y, 1.0, where(x > y, 0.0, 0.5))


where: Primitive = define(
    "where", lambda c, x, y: x if c else y,
    lambda c, x, y, o: 0.0,
    lambda c, x, y, o: where(c, 1.0, 0.0),
    lambda c, x, y, o: where(c, 0.0, 1.0),
    parameters="condition x y",
    library="?:",
    note="the branch not taken is kept as a number, so its nan cannot reach a gradient",
)

step = define(
    "step", step_of,
    lambda x, o: 0.0,
    piece=side_of_zero,
    expansion=lambda x: where(x > 0, 1.0, where(x <= 0, 0.0, x)),
)

sign = define(
    "sign", sign_of,
    lambda x, o: 0.0,
    piece=side_of_zero,
    expansion=lambda x: where(x > 0, 1.0, where(x < 0, -1.0, x)),
)

absolute = define(
    "abs", math.fabs,
    lambda x, o: sign(x),
    piece=side_of_zero,
    specials={(0.0,): (0.0,)},
    library="fabs",
)

maximum = define(
    "maximum", maximum_of,
    lambda x, y, o: share_if_greater(x, y),
    lambda x, y, o: share_if_less(x, y),
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5)},
    expansion=lambda x, y: where(x > y, x, where(x <= x, y, x)),
)

minimum = define(
    "minimum", minimum_of,
    lambda x, y, o: share_if_less(x, y),
    lambda x, y, o: share_if_greater(x, y),
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5)},
    expansion=lambda x, y: where(x < y, x, where(x <= x, y, x)),
)


def one_at_nan(x: Any) -> Any:
    """Returns 1 where x is nan, else 0."""
    return where(x <= x, 0.0, 1.0)


def zero_at_nan(x: Any) -> Any:
    """Returns 0 where x is nan, else 1."""
    return where(x <= x, 1.0, 0.0)


fmax = define(
    "fmax", None,
    lambda x, y, o: where(x > y, 1.0, where(x < y, 0.0, where(x <= y, 0.5, one_at_nan(y)))),
    lambda x, y, o: where(x < y, 1.0, where(x > y, 0.0, where(x <= y, 0.5, zero_at_nan(y)))),
    limits=(lambda x, y, o, d: 1.0, lambda x, y, o, d: 0.0),  # of two nans
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5), (nan, 1.0): (0.0, 1.0)},
    expansion=lambda x, y: where(x <= x, where(x > y, x, where(y <= y, y, x)), y),
    note="ignores a nan",
)

fmin = define(
    "fmin", None,
    lambda x, y, o: where(x < y, 1.0, where(x > y, 0.0, where(x <= y, 0.5, one_at_nan(y)))),
    lambda x, y, o: where(x > y, 1.0, where(x < y, 0.0, where(x <= y, 0.5, zero_at_nan(y)))),
    limits=(lambda x, y, o, d: 1.0, lambda x, y, o, d: 0.0),  # of two nans
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5), (1.0, nan): (1.0, 0.0)},
    expansion=lambda x, y: where(x <= x, where(x < y, x, where(y <= y, y, x)), y),
    note="ignores a nan",
)

clip = define(
    "clip", None,
    lambda x, low, high, o: where(x < low, 0.0, where(x > high, 0.0, 1.0)),
    lambda x, low, high, o: where(x < low, where(low <= high, 1.0, 0.0), 0.0),
    lambda x, low, high, o: where(x > high, 1.0, where(low > high, 1.0, 0.0)),
    parameters="x low high", defaults=(-inf, inf),
    piece=lambda x, low, high: (compare(x, low), compare(x, high), compare(low, high)),
    specials={(1.0, -1.0, 1.0): (1.0, 0.0, 0.0)},
    expansion=lambda x, low, high: minimum(maximum(x, low), high),
    note="at a bound the gradient flows to x",
)

copysign: Primitive = define(
    "copysign", copysign_of,
    lambda x, y, o: sign(x) * copysign(1.0, y),
    lambda x, y, o: 0.0,
    piece=lambda x, y: (compare(x, 0.0), math.copysign(1.0, y)),
    expansion=lambda x, y: where(where(abs(y) > 0, y, div(1.0, y)) < 0, -abs(x), abs(x)),
    note="the sign of a nan, which IEEE 754 leaves open, counts as +",
)

# In a piece, + 0.0 turns -0.0 into 0.0, so that both zeros are one piece.
floor: Primitive = define(
    "floor", rounding(math.floor),
    lambda x, o: 0.0,
    piece=lambda x: (floor(x) + 0.0, x == floor(x)),
    library="floor",
)

ceil: Primitive = define(
    "ceil", rounding(math.ceil),
    lambda x, o: 0.0,
    piece=lambda x: (ceil(x) + 0.0, x == ceil(x)),
    library="ceil",
)

round: Primitive = define(
    "round", rounding(builtins.round),
    lambda x, o: 0.0,
    piece=lambda x: (round(x) + 0.0, abs(x - round(x)) == 0.5),
    library="rint",
    note="half to even",
)

round_digits = define(
    "round_digits", round_to_digits,
    lambda x, n, o: 0.0,
    lambda x, n, o: 0.0,
    parameters="x digits",
    sample=(REALS, ((-5.0, 12.0),)),
    piece=lambda x, n: round_to_digits(x, n) + 0.0,
)

trunc: Primitive = define(
    "trunc", rounding(math.trunc),
    lambda x, o: 0.0,
    piece=lambda x: (trunc(x) + 0.0, x == trunc(x)),
    library="trunc",
)

# ---- exponentials, logarithms and roots ----------------------------------------------------------

exp = define(
    "exp", guarded(math.exp),
    lambda x, o: o,
    sample=(((-708.0, 709.0),),),
    library="exp",
)

exp2 = define(
    "exp2", guarded(math.exp2),
    lambda x, o: o * LN2,
    sample=(((-1022.0, 1023.0),),),
    library="exp2",
)

expm1 = define(
    "expm1", guarded(math.expm1),
    lambda x, o: exp(x),  # o + 1 would lose the digits of a small exp(x)
    sample=(((-708.0, 709.0),),),
    library="expm1",
)

log: Primitive = define(
    "log", guarded(math.log, 0.0, -inf),
    lambda x, o: 1 / x,
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
    library="log",
)

log1p = define(
    "log1p", guarded(math.log1p, -1.0, -inf),
    lambda x, o: 1 / (1 + x),
    domain=lambda x: x > -1,
    sample=(((-1.0, inf),),),
    library="log1p",
)

log2 = define(
    "log2", guarded(math.log2, 0.0, -inf),
    lambda x, o: LOG2E / x,
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
    library="log2",
)

log10 = define(
    "log10", guarded(math.log10, 0.0, -inf),
    lambda x, o: LOG10E / x,
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
    library="log10",
)

sqrt = define(
    "sqrt", guarded(math.sqrt),
    lambda x, o: 0.5 / o,
    domain=lambda x: x >= 0,
    sample=(POSITIVE,),
    specials={(0.0,): (inf,)},
    library="sqrt",
)

rsqrt = define(
    "rsqrt", None,
    lambda x, o: -o / (2 * x),
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
    expansion=lambda x: 1.0 / sqrt(x),
)

cbrt = define(
    "cbrt", math.cbrt,  # up to 3 ulp off, in the C library
    lambda x, o: o / x / 3,  # 1 / (3 * o**2) would double the error of o
    textbook=(lambda x, o: 1 / (3 * o**2),),
    limits=(lambda x, o, d: where(abs(x) <= 0, inf, where(abs(x) > 0, 0.0, d)),),
    specials={(0.0,): (inf,)},
    library="cbrt",
)

xlogy = define(
    "xlogy", lambda x, y: 0.0 if x == 0 and y == y else x * log.forward(y),
    lambda x, y, o: log(y),
    lambda x, y, o: x / y,
    domain=lambda x, y: y > 0,
    sample=(REALS, POSITIVE),
    expansion=lambda x, y: where(abs(x) <= 0, where(y <= y, 0.0, x * log(y)), x * log(y)),
    note="0 at x = 0",
)

logaddexp = define(
    "logaddexp", None,
    lambda x, y, o: sigmoid_difference(x, y),
    lambda x, y, o: sigmoid_difference(y, x),
    expansion=stable_logaddexp,
)

sigmoid_difference: Primitive = define(
    "sigmoid_difference", None,
    lambda x, y, o: 0.25 * sech_squared((x - y) / 2),
    lambda x, y, o: -0.25 * sech_squared((x - y) / 2),
    spelling=lambda x, y: sigmoid(x - y),
    textbook=(lambda x, y, o: o * (1 - o), lambda x, y, o: -o * (1 - o)),
    expansion=corrected_sigmoid,
    note="used in the derivatives of logaddexp; keeps the digits that rounding x - y would lose",
)

hypot = define(
    "hypot", hypot_of,
    lambda x, y, o: x / o,
    lambda x, y, o: y / o,
    limits=(lambda x, y, o, d: where(o <= 0, 0.0, d),) * 2,
    specials={(0.0, 0.0): (0.0, 0.0)},
    library="hypot",
)

# ---- trigonometric and hyperbolic functions ------------------------------------------------------

sin = define("sin", guarded(math.sin), lambda x, o: cos(x), library="sin")
cos: Primitive = define("cos", guarded(math.cos), lambda x, o: -sin(x), library="cos")
tan = define("tan", guarded(math.tan), lambda x, o: 1 + square(o), library="tan")

asin = define(
    "asin", guarded(math.asin),
    lambda x, o: 1 / sqrt((1 - x) * (1 + x)),
    domain=lambda x: abs(x) <= 1,
    sample=(((-1.0, 1.0),),),
    specials={(1.0,): (inf,), (-1.0,): (inf,)},
    textbook=(lambda x, o: 1 / sqrt(1 - x**2),),
    library="asin",
)

acos = define(
    "acos", guarded(math.acos),
    lambda x, o: -(1 / sqrt((1 - x) * (1 + x))),
    domain=lambda x: abs(x) <= 1,
    sample=(((-1.0, 1.0),),),
    specials={(1.0,): (-inf,), (-1.0,): (-inf,)},
    textbook=(lambda x, o: -(1 / sqrt(1 - x**2)),),
    library="acos",
)

atan = define(
    "atan", math.atan,
    lambda x, o: square(1 / hypot(1.0, x)),  # 1 / (1 + x**2) without its overflow
    textbook=(lambda x, o: 1 / (1 + x**2),),
    library="atan",
)

atan2 = define(
    "atan2", math.atan2,
    lambda y, x, o: x / hypot(x, y) / hypot(x, y),
    lambda y, x, o: -(y / hypot(x, y) / hypot(x, y)),
    limits=(lambda y, x, o, d: where(hypot(x, y) <= 0, 0.0, d),) * 2,
    parameters="y x",
    piece=lambda y, x: (math.copysign(1.0, y), y == 0) if x < 0 else 0,
    specials={(0.0, 0.0): (0.0, 0.0)},
    library="atan2",
)

sinh = define(
    "sinh", guarded(math.sinh),
    lambda x, o: cosh(x),
    sample=(((-710.0, 710.0),),),
    library="sinh",
)

cosh: Primitive = define(
    "cosh", guarded(math.cosh),
    lambda x, o: sinh(x),
    sample=(((-710.0, 710.0),),),
    library="cosh",
)

sech_squared: Primitive = define(
    "sech_squared", sech_squared_of,
    lambda x, o: -2 * o * tanh(x),
    spelling=lambda x: square(1 / cosh(x)),
    expansion=stable_sech_squared,
    note="used in the derivatives of tanh and sigmoid; 0, not nan, where cosh overflows",
)

tanh: Primitive = define(
    "tanh", math.tanh,
    lambda x, o: sech_squared(x),  # 1 - o**2 would lose all digits where tanh saturates
    textbook=(lambda x, o: 1 - o**2,),
    library="tanh",
)

asinh = define(
    "asinh", math.asinh, lambda x, o: 1 / hypot(1.0, x),
    textbook=(lambda x, o: 1 / sqrt(1 + x**2),),
    library="asinh",
)

acosh = define(
    "acosh", guarded(math.acosh),
    lambda x, o: 1 / (sqrt(x - 1) * sqrt(x + 1)),  # the product under one root would overflow
    domain=lambda x: x >= 1,
    sample=(((1.0, inf),),),
    specials={(1.0,): (inf,)},
    textbook=(lambda x, o: 1 / sqrt(x**2 - 1),),
    library="acosh",
)

atanh = define(
    "atanh", guarded(math.atanh, 1.0, inf),
    lambda x, o: 1 / ((1 - x) * (1 + x)),
    domain=lambda x: abs(x) < 1,
    sample=(((-1.0, 1.0),),),
    specials={(1.0,): (inf,), (-1.0,): (inf,)},
    textbook=(lambda x, o: 1 / (1 - x**2),),
    library="atanh",
)

# ---- activations and the error function ----------------------------------------------------------

relu = define(
    "relu", relu_of,
    lambda x, o: step(x),
    piece=side_of_zero,
    specials={(0.0,): (0.0,)},
    expansion=lambda x: where(x <= 0, 0.0, x),
)

leaky_relu = define(
    "leaky_relu", lambda x, slope: x if x > 0 and slope == slope else slope * x,
    lambda x, slope, o: where(x > 0, 1.0, slope),
    lambda x, slope, o: where(x > 0, 0.0, x),
    parameters="x slope", defaults=(0.01,),
    piece=side_of_zero,
    specials={(0.0, 0.01): (0.01, 0.0)},
    expansion=lambda x, slope: where(x > 0, where(slope <= slope, x, slope), slope * x),
)

elu = define(
    "elu", lambda x, alpha: x if x > 0 and alpha == alpha else alpha * expm1.forward(x),
    lambda x, alpha, o: where(x > 0, 1.0, alpha * exp(x)),
    lambda x, alpha, o: where(x > 0, 0.0, expm1(x)),
    parameters="x alpha", defaults=(1.0,),
    piece=side_of_zero,
    specials={(0.0, 1.0): (1.0, 0.0), (0.0, 0.5): (0.5, 0.0)},
    expansion=lambda x, alpha: where(x > 0, where(alpha <= alpha, x, alpha), alpha * expm1(x)),
)

sigmoid: Primitive = define(
    "sigmoid", sigmoid_of,
    lambda x, o: 0.25 * sech_squared(x / 2),  # o * (1 - o) would lose its digits where o is near 1
    textbook=(lambda x, o: o * (1 - o),),
    expansion=stable_sigmoid,
)

logsigmoid = define("logsigmoid", None, lambda x, o: sigmoid(-x), expansion=lambda x: -softplus(-x))

softplus: Primitive = define(
    "softplus", softplus_of,
    lambda x, o: sigmoid(x),
    expansion=lambda x: relu(x) + log1p(exp(-abs(x))),
    note="log(1 + exp(x))",
)

silu = define(
    "silu", None,
    lambda x, o: sigmoid(x) * (1 + x * sigmoid(-x)),
    expansion=lambda x: x * sigmoid(x),
)

gelu_erf = define(
    "gelu_erf", None,
    lambda x, o: 0.5 * erfc(-x * SQRT_HALF) + x * (INV_SQRT_TAU * exp(-0.5 * square(x))),
    expansion=lambda x: x * (0.5 * erfc(-x * SQRT_HALF)),
)

gelu_tanh = define(
    "gelu_tanh", None,
    lambda x, o: (
        sigmoid(gelu_tanh_argument(x))
        + x * (0.25 * sech_squared(gelu_tanh_argument(x) / 2)) * gelu_tanh_argument_slope(x)
    ),
    limits=(lambda x, o, d: where(abs(x) > 100, step(x), d),),  # there it is relu to the last digit
    expansion=lambda x: x * sigmoid(gelu_tanh_argument(x)),
    note="the tanh approximation of gelu",
)

softsign = define(
    "softsign", None,
    lambda x, o: square(1 / (1 + abs(x))),
    expansion=lambda x: x / (1 + abs(x)),
)

hardtanh = define(
    "hardtanh", None,
    lambda x, o: where(abs(x) < 1, 1.0, 0.0),
    piece=lambda x: (compare(x, -1.0), compare(x, 1.0)),
    specials={(1.0,): (0.0,), (-1.0,): (0.0,)},
    expansion=lambda x: minimum(maximum(x, -1.0), 1.0),
)

erf = define("erf", math.erf, lambda x, o: TWO_OVER_SQRT_PI * exp(-square(x)), library="erf")

erfc: Primitive = define(
    "erfc", math.erfc,
    lambda x, o: -(TWO_OVER_SQRT_PI * exp(-square(x))),
    library="erfc",
)

LOADED_AT = time_ns()  # files of the package that are newer are not those that run
_table_is_complete = True
_fields = attrgetter(*Primitive.__slots__)
_BUILT_IN = dict(TABLE)
_BUILT_IN_FIELDS = [*map(_fields, TABLE.values())]


def are_built_in(names: Iterable[str]) -> bool:
    """Returns whether these rows are those of this package, and none of its rows was changed."""
    rows = _BUILT_IN.values()
    is_same = all(map(is_, rows, map(TABLE.get, _BUILT_IN)))
    return is_same and _BUILT_IN.keys() >= {*names} and [*map(_fields, rows)] == _BUILT_IN_FIELDS


for _row in TABLE.values():
    _try_rules(_row)
