# Written by `python tests/stubs.py`: change math.py or the table, and run it again.
# mypy: disable-error-code="overload-overlap, override, overload-cannot-match"
# pyright: reportOverlappingOverload=false, reportIncompatibleMethodOverride=false
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
the data of a Value."""

from collections.abc import Callable, Iterable, Sequence
from math import (
    comb as comb,
    factorial as factorial,
    frexp as frexp,
    gcd as gcd,
    isclose as isclose,
    isfinite as isfinite,
    isinf as isinf,
    isnan as isnan,
    isqrt as isqrt,
    lcm as lcm,
    ldexp as ldexp,
    nextafter as nextafter,
    perm as perm,
    ulp as ulp,
)
from typing import Any, TypeAlias, overload

from .engine.primitive import Primitive
from .engine.value import Value

Number: TypeAlias = Value | float

e: float
inf: float
nan: float
pi: float
tau: float

class Row1(Primitive):
    @overload
    def __call__(self, x: Value, /) -> Value: ...
    @overload
    def __call__(self, x: float, /) -> float: ...

class Row2(Primitive):
    @overload
    def __call__(self, x: Value, y: Number, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: Value, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: float, /) -> float: ...

class Row2Optional1(Primitive):
    @overload
    def __call__(self, x: Value, y: Number = ..., /) -> Value: ...
    @overload
    def __call__(self, x: float, y: Value, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: float = ..., /) -> float: ...

class Row3(Primitive):
    @overload
    def __call__(self, x: Value, y: Number, z: Number, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: Value, z: Number, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: float, z: Value, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: float, z: float, /) -> float: ...

class Row3Optional2(Primitive):
    @overload
    def __call__(self, x: Value, y: Number = ..., z: Number = ..., /) -> Value: ...
    @overload
    def __call__(self, x: float, y: Value, z: Number = ..., /) -> Value: ...
    @overload
    def __call__(self, x: float, y: float, z: Value, /) -> Value: ...
    @overload
    def __call__(self, x: float, y: float = ..., z: float = ..., /) -> float: ...

absolute: Row1
"""
d/dx abs(x) = sign(x)
"""

fabs: Row1
"""
d/dx abs(x) = sign(x)
"""

gelu: Row1
"""
d/dx gelu_erf(x) = 0.5 * erfc(-x * sqrt(0.5)) + x * (rsqrt(2 * pi) * exp(-0.5 * square(x)))
"""

add: Row2
"""
d/dx x+y = 1

d/dy x+y = 1
"""

sub: Row2
"""
d/dx x-y = 1

d/dy x-y = -1
"""

mul: Row2
"""
d/dx x*y = y

d/dy x*y = x
"""

div: Row2
"""
d/dx x/y = 1 / y

d/dy x/y = -(x / y ** 2)

    computed as -(x / y / y), which keeps all digits
"""

pow: Row2
"""
d/dx x**y = y * x ** (y - 1)

d/dy x**y = x ** y * log(x)

note: x**0 is the constant 1, also at x = 0 and nan
"""

pow_lower: Row2
"""
d/dx x ** (y - 1) = (y - 1) * x ** (y - 1 - 1)

d/dy x ** (y - 1) = x ** (y - 1) * log(x)

note: used in the derivative of pow; keeps the digits that rounding y - 1 would lose
"""

neg: Row1
"""
d/dx -x = -1
"""

identity: Row1
"""
d/dx identity(x) = 1

note: a new node with the same value
"""

floordiv: Row2
"""
d/dx x//y = 0

d/dy x//y = 0
"""

fmod: Row2
"""
d/dx fmod(x, y) = 1

d/dy fmod(x, y) = -round((x - fmod(x, y)) / y)

note: the result has the sign of x
"""

ieee_remainder: Row2
"""
d/dx ieee_remainder(x, y) = 1

d/dy ieee_remainder(x, y) = -round((x - ieee_remainder(x, y)) / y)

note: the same as the standard library's math.remainder
"""

reciprocal: Row1
"""
d/dx reciprocal(x) = -(1 / x ** 2)

    computed as -square(reciprocal(x)), which keeps all digits
"""

square: Row1
"""
d/dx square(x) = 2 * x
"""

where: Row3
"""
d/dcondition where(condition, x, y) = 0

d/dx where(condition, x, y) = where(condition, 1, 0)

d/dy where(condition, x, y) = where(condition, 0, 1)

note: the branch not taken is kept as a number, so its nan cannot reach a gradient
"""

step: Row1
"""
d/dx step(x) = 0
"""

sign: Row1
"""
d/dx sign(x) = 0
"""

maximum: Row2
"""
d/dx maximum(x, y) = where(x > y, 1, where(x < y, 0, 0.5))

d/dy maximum(x, y) = where(x < y, 1, where(x > y, 0, 0.5))
"""

minimum: Row2
"""
d/dx minimum(x, y) = where(x < y, 1, where(x > y, 0, 0.5))

d/dy minimum(x, y) = where(x > y, 1, where(x < y, 0, 0.5))
"""

fmax: Row2
"""
d/dx fmax(x, y) = where(x > y, 1, where(x < y, 0, where(x <= y, 0.5, where(y <= y, 0, 1))))

d/dy fmax(x, y) = where(x < y, 1, where(x > y, 0, where(x <= y, 0.5, where(y <= y, 1, 0))))

note: ignores a nan
"""

fmin: Row2
"""
d/dx fmin(x, y) = where(x < y, 1, where(x > y, 0, where(x <= y, 0.5, where(y <= y, 0, 1))))

d/dy fmin(x, y) = where(x > y, 1, where(x < y, 0, where(x <= y, 0.5, where(y <= y, 1, 0))))

note: ignores a nan
"""

clip: Row3Optional2
"""
d/dx clip(x, low, high) = where(x < low, 0, where(x > high, 0, 1))

d/dlow clip(x, low, high) = where(x < low, where(low <= high, 1, 0), 0)

d/dhigh clip(x, low, high) = where(x > high, 1, where(low > high, 1, 0))

note: at a bound the gradient flows to x
"""

copysign: Row2
"""
d/dx copysign(x, y) = sign(x) * copysign(1, y)

d/dy copysign(x, y) = 0

note: the sign of a nan, which IEEE 754 leaves open, counts as +
"""

round_digits: Row2
"""
d/dx round_digits(x, digits) = 0

d/ddigits round_digits(x, digits) = 0
"""

exp: Row1
"""
d/dx exp(x) = exp(x)
"""

exp2: Row1
"""
d/dx exp2(x) = exp2(x) * log(2)
"""

expm1: Row1
"""
d/dx expm1(x) = exp(x)
"""

log1p: Row1
"""
d/dx log1p(x) = 1 / (1 + x)
"""

log2: Row1
"""
d/dx log2(x) = log2(e) / x
"""

log10: Row1
"""
d/dx log10(x) = log10(e) / x
"""

sqrt: Row1
"""
d/dx sqrt(x) = 0.5 / sqrt(x)
"""

rsqrt: Row1
"""
d/dx rsqrt(x) = -rsqrt(x) / (2 * x)
"""

cbrt: Row1
"""
d/dx cbrt(x) = 1 / (3 * cbrt(x) ** 2)

    computed as cbrt(x) / x / 3, which keeps all digits
"""

xlogy: Row2
"""
d/dx xlogy(x, y) = log(y)

d/dy xlogy(x, y) = x / y

note: 0 at x = 0
"""

logaddexp: Row2
"""
d/dx logaddexp(x, y) = sigmoid(x - y)

d/dy logaddexp(x, y) = sigmoid(y - x)
"""

sigmoid_difference: Row2
"""
d/dx sigmoid(x - y) = sigmoid(x - y) * (1 - sigmoid(x - y))

    computed as 0.25 * square(1 / cosh((x - y) / 2)), which keeps all digits

d/dy sigmoid(x - y) = -sigmoid(x - y) * (1 - sigmoid(x - y))

    computed as -0.25 * square(1 / cosh((x - y) / 2)), which keeps all digits

note: used in the derivatives of logaddexp; keeps the digits that rounding x - y would lose
"""

sin: Row1
"""
d/dx sin(x) = cos(x)
"""

cos: Row1
"""
d/dx cos(x) = -sin(x)
"""

tan: Row1
"""
d/dx tan(x) = 1 + square(tan(x))
"""

asin: Row1
"""
d/dx asin(x) = 1 / sqrt(1 - x ** 2)

    computed as 1 / sqrt((1 - x) * (1 + x)), which keeps all digits
"""

acos: Row1
"""
d/dx acos(x) = -(1 / sqrt(1 - x ** 2))

    computed as -(1 / sqrt((1 - x) * (1 + x))), which keeps all digits
"""

atan: Row1
"""
d/dx atan(x) = 1 / (1 + x ** 2)

    computed as square(1 / hypot(1, x)), which keeps all digits
"""

atan2: Row2
"""
d/dy atan2(y, x) = x / hypot(x, y) / hypot(x, y)

d/dx atan2(y, x) = -(y / hypot(x, y) / hypot(x, y))
"""

sinh: Row1
"""
d/dx sinh(x) = cosh(x)
"""

cosh: Row1
"""
d/dx cosh(x) = sinh(x)
"""

sech_squared: Row1
"""
d/dx square(1 / cosh(x)) = -2 * square(1 / cosh(x)) * tanh(x)

note: used in the derivatives of tanh and sigmoid; 0, not nan, where cosh overflows
"""

tanh: Row1
"""
d/dx tanh(x) = 1 - tanh(x) ** 2

    computed as square(1 / cosh(x)), which keeps all digits
"""

asinh: Row1
"""
d/dx asinh(x) = 1 / sqrt(1 + x ** 2)

    computed as 1 / hypot(1, x), which keeps all digits
"""

acosh: Row1
"""
d/dx acosh(x) = 1 / sqrt(x ** 2 - 1)

    computed as 1 / (sqrt(x - 1) * sqrt(x + 1)), which keeps all digits
"""

atanh: Row1
"""
d/dx atanh(x) = 1 / (1 - x ** 2)

    computed as 1 / ((1 - x) * (1 + x)), which keeps all digits
"""

relu: Row1
"""
d/dx relu(x) = step(x)
"""

leaky_relu: Row2Optional1
"""
d/dx leaky_relu(x, slope) = where(x > 0, 1, slope)

d/dslope leaky_relu(x, slope) = where(x > 0, 0, x)
"""

elu: Row2Optional1
"""
d/dx elu(x, alpha) = where(x > 0, 1, alpha * exp(x))

d/dalpha elu(x, alpha) = where(x > 0, 0, expm1(x))
"""

sigmoid: Row1
"""
d/dx sigmoid(x) = sigmoid(x) * (1 - sigmoid(x))

    computed as 0.25 * square(1 / cosh(x / 2)), which keeps all digits
"""

logsigmoid: Row1
"""
d/dx logsigmoid(x) = sigmoid(-x)
"""

softplus: Row1
"""
d/dx softplus(x) = sigmoid(x)

note: log(1 + exp(x))
"""

silu: Row1
"""
d/dx silu(x) = sigmoid(x) * (1 + x * sigmoid(-x))
"""

gelu_erf: Row1
"""
d/dx gelu_erf(x) = 0.5 * erfc(-x * sqrt(0.5)) + x * (rsqrt(2 * pi) * exp(-0.5 * square(x)))
"""

gelu_tanh: Row1
"""
d/dx gelu_tanh(x) = sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x * square(x))) + x * (0.25 * square(1 / cosh(2 * sqrt(2 / pi) * (x + 0.044715 * x * square(x)) / 2))) * (2 * sqrt(2 / pi) * (1 + 0.134145 * square(x)))

note: the tanh approximation of gelu
"""

softsign: Row1
"""
d/dx softsign(x) = square(1 / (1 + abs(x)))
"""

hardtanh: Row1
"""
d/dx hardtanh(x) = where(abs(x) < 1, 1, 0)
"""

erf: Row1
"""
d/dx erf(x) = 2 * rsqrt(pi) * exp(-square(x))
"""

erfc: Row1
"""
d/dx erfc(x) = -(2 * rsqrt(pi) * exp(-square(x)))
"""

@overload
def log(x: float, base: float | None=None) -> float:
    """Returns the natural logarithm of ``x``, or the logarithm to ``base``: log(x) / log(base)."""

@overload
def log(x: Number, base: Number | None=None) -> Value:
    """Returns the natural logarithm of ``x``, or the logarithm to ``base``: log(x) / log(base)."""

@overload
def floor(x: float) -> float:
    """Returns the largest whole number <= x: a Value for a Value, an int for a finite number."""

@overload
def floor(x: Number) -> Value:
    """Returns the largest whole number <= x: a Value for a Value, an int for a finite number."""

@overload
def ceil(x: float) -> float:
    """Returns the smallest whole number >= x, of the same type as for `floor`."""

@overload
def ceil(x: Number) -> Value:
    """Returns the smallest whole number >= x, of the same type as for `floor`."""

@overload
def trunc(x: float) -> float:
    """Returns ``x`` without its fraction, of the same type as for `floor`."""

@overload
def trunc(x: Number) -> Value:
    """Returns ``x`` without its fraction, of the same type as for `floor`."""

@overload
def modf(x: float) -> tuple[float, float]:
    """Returns ``(fraction, whole)``, both with the sign of ``x``."""

@overload
def modf(x: Number) -> tuple[Value, Value]:
    """Returns ``(fraction, whole)``, both with the sign of ``x``."""

@overload
def remainder(x: float, y: float) -> float:
    """Returns the IEEE 754 remainder x - n y, where n is the whole number nearest to x / y.

    The operator ``%`` is another function, the row `remainder` of the table.
    """

@overload
def remainder(x: Number, y: Number) -> Value:
    """Returns the IEEE 754 remainder x - n y, where n is the whole number nearest to x / y.

    The operator ``%`` is another function, the row `remainder` of the table.
    """

@overload
def degrees(x: float) -> float:
    """Returns the angle ``x``, given in radians, in degrees."""

@overload
def degrees(x: Number) -> Value:
    """Returns the angle ``x``, given in radians, in degrees."""

@overload
def radians(x: float) -> float:
    """Returns the angle ``x``, given in degrees, in radians."""

@overload
def radians(x: Number) -> Value:
    """Returns the angle ``x``, given in degrees, in radians."""

@overload
def hypot(*coordinates: float) -> float:
    """Returns the Euclidean norm of any number of coordinates, without overflow.

    The gradient at the origin is 0.
    """

@overload
def hypot(*coordinates: Number) -> Value:
    """Returns the Euclidean norm of any number of coordinates, without overflow.

    The gradient at the origin is 0.
    """

@overload
def norm(xs: Iterable[float]) -> float:
    """Returns `hypot` of the numbers in ``xs``."""

@overload
def norm(xs: Iterable[Number]) -> Value:
    """Returns `hypot` of the numbers in ``xs``."""

@overload
def dist(p: Sequence[float], q: Sequence[float]) -> float:
    """Returns the Euclidean distance of two points; ValueError if their dimensions differ."""

@overload
def dist(p: Sequence[Number], q: Sequence[Number]) -> Value:
    """Returns the Euclidean distance of two points; ValueError if their dimensions differ."""

@overload
def prod(xs: Iterable[float], *, start: float=1) -> float:
    """Returns the product of ``start`` and ``xs``, from the left."""

@overload
def prod(xs: Iterable[Number], *, start: Number=1) -> Value:
    """Returns the product of ``start`` and ``xs``, from the left."""

@overload
def total(xs: Iterable[float]) -> float:
    """Returns the sum of ``xs`` from the left, or 0.0 if there are none.

    Unlike the built-in `sum`, it does not start with ``0 +``, which would be a node.
    """

@overload
def total(xs: Iterable[Number]) -> Value:
    """Returns the sum of ``xs`` from the left, or 0.0 if there are none.

    Unlike the built-in `sum`, it does not start with ``0 +``, which would be a node.
    """

@overload
def fsum(xs: Iterable[float]) -> float:
    """Returns the sum of ``xs``: exactly rounded for floats, from the left if one is a Value."""

@overload
def fsum(xs: Iterable[Number]) -> Value:
    """Returns the sum of ``xs``: exactly rounded for floats, from the left if one is a Value."""

@overload
def sumprod(xs: Iterable[float], ys: Iterable[float]) -> float:
    """Returns the sum of products of two lists, from the left; raises ValueError if their lengths
    differ."""

@overload
def sumprod(xs: Iterable[Number], ys: Iterable[Number]) -> Value:
    """Returns the sum of products of two lists, from the left; raises ValueError if their lengths
    differ."""

def cond(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """Returns ``then()`` if the condition holds, and ``otherwise()`` if not.

        >>> cond(2 > 1, lambda: "larger", lambda: "not larger")
        'larger'

    Only the chosen function is called, unlike in `where`.  While a function is compiled, both are
    called, if the condition is not known, and the program chooses.

    Raises:
        TypeError: ``then`` or ``otherwise`` is not a function.
    """

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

@overload
def logsumexp(xs: Iterable[float]) -> float:
    """Returns log(sum(exp(x))) without overflow, or -inf for an empty list."""

@overload
def logsumexp(xs: Iterable[Number]) -> Value:
    """Returns log(sum(exp(x))) without overflow, or -inf for an empty list."""

@overload
def softmax(xs: Iterable[float]) -> list[float]:
    """Returns the list of exp(x_i) / sum(exp(x_j)), which are positive and sum to 1.

    If a probability p is within 1e-16 of 1, its derivative p (1 - p) is lost to rounding;
    `log_softmax` and `nn.cross_entropy` keep their derivatives.
    """

@overload
def softmax(xs: Iterable[Number]) -> list[Value]:
    """Returns the list of exp(x_i) / sum(exp(x_j)), which are positive and sum to 1.

    If a probability p is within 1e-16 of 1, its derivative p (1 - p) is lost to rounding;
    `log_softmax` and `nn.cross_entropy` keep their derivatives.
    """

@overload
def log_softmax(xs: Iterable[float]) -> list[float]:
    """Returns the logarithms of `softmax`, as a list, with all digits for probabilities near 0 or
    1."""

@overload
def log_softmax(xs: Iterable[Number]) -> list[Value]:
    """Returns the logarithms of `softmax`, as a list, with all digits for probabilities near 0 or
    1."""

@overload
def surprisals(xs: Sequence[float]) -> list[float]:
    """Returns `surprisal` of every position, made of at most 14 nodes for each number."""

@overload
def surprisals(xs: Sequence[Number]) -> list[Value]:
    """Returns `surprisal` of every position, made of at most 14 nodes for each number."""

@overload
def surprisal(xs: Sequence[float], i: Any) -> float:
    """Returns -log(softmax(xs)[i]), computed as softplus(logsumexp(the others) - x_i).

    This form has no cancellation, and neither has its derivative with respect to x_i,
    softmax_i - 1.  The exponentials of the others are added from both ends of the list towards i,
    so that `surprisals` can have the same sums for all positions.
    """

@overload
def surprisal(xs: Sequence[Number], i: Any) -> Value:
    """Returns -log(softmax(xs)[i]), computed as softplus(logsumexp(the others) - x_i).

    This form has no cancellation, and neither has its derivative with respect to x_i,
    softmax_i - 1.  The exponentials of the others are added from both ends of the list towards i,
    so that `surprisals` can have the same sums for all positions.
    """

def __getattr__(name: str) -> Primitive: ...  # a row that you define
