"""THE TABLE: one row for every primitive, from which everything else in the project follows.

One row defines a primitive completely::

    tanh = define("tanh", forward, lambda x, o: square(1 / cosh(x)))

It has a name, a forward function on floats, and one rule for each argument: the partial derivative,
written with operators and other rows only.  The same rule therefore runs

* on floats: the local derivative that a node stores (`Primitive.partial_at`);
* on Values: the gradient as a graph, which can be differentiated again (`autodiff.gradients`);
* on names: the text of the derivative (`formula`).

``o`` in a rule is the primitive's output.  A rule must not use ``.data``, the standard ``math``
module, ``if`` or ``==``.  To branch, use `where`.  To test for zero, write ``abs(y) <= 0``, because
``==`` compares Values by identity; ``x <= y`` after both strict cases means that x and y are equal,
and neither is nan.  The rule of a constant operand is never run: ``x ** 3`` at x = -2 is
differentiated with respect to x without computing ``log(-2)``.

Floats, Values and names are *languages*: kinds of operands.  The static method
``apply_primitive(primitive, args)`` of a language runs a row on its operands (see `Operand`).

To add a primitive, add a row.  The rows below show every feature; `define` explains the fields.

Arithmetic is IEEE 754: a forward function returns inf or nan where CPython's `math` would raise.
"""

import builtins
import math
import operator
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

from ..errors import TinygradEduError

inf = math.inf
nan = math.nan
pi = math.pi
LN2 = math.log(2)
LOG2E = math.log2(math.e)
LOG10E = math.log10(math.e)
SQRT_HALF = math.sqrt(0.5)
INV_SQRT_TAU = 1 / math.sqrt(math.tau)
TWO_OVER_SQRT_PI = 2 / math.sqrt(pi)
SQRT_TWO_OVER_PI = math.sqrt(2 / pi)
GELU_CUBIC = 0.044715  # Hendrycks and Gimpel, 2016, arXiv 1606.08415

Rule = Callable[..., Any]
Interval = tuple[float, float]
REALS: tuple[Interval, ...] = ((-inf, inf),)
POSITIVE: tuple[Interval, ...] = ((0.0, inf),)
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def number(x: object, what: str = "a number") -> float:
    """Returns ``x`` as a float.

    x: an int, float, bool, numpy scalar, or another object with ``__float__`` and no shape.
    what: the name of ``x`` in an error message.

    Raises:
        TypeError: ``x`` is not a real number, such as text, a complex number, None or an array.
        OverflowError: ``x`` is an int too large for a float.
    """
    if x.__class__ is float:
        return x
    if hasattr(type(x), "__float__") and getattr(x, "shape", ()) == () and _dtype_kind(x) in "fiub":
        try:
            return float(x)  # type: ignore[arg-type]
        except OverflowError:
            size = f"an int of {x.bit_length()} bits" if isinstance(x, int) else short_repr(x)
            raise OverflowError(f"{what}: {size} is too large for a float") from None
    raise TypeError(f"{what} must be a real number, not {type(x).__name__} ({short_repr(x)})")


def _dtype_kind(x: object) -> str:
    # numpy's complex scalars have __float__ too, but it drops the imaginary part
    return str(getattr(getattr(x, "dtype", None), "kind", "f"))


def short_repr(x: object) -> str:
    """Returns `repr` of ``x`` for an error message, cut to 40 characters."""
    text = repr(x)
    return text if len(text) <= 40 else text[:37] + "..."


class Primitive:
    """One row of the table.  It can be called in every language.

    ``sin(0.5)`` is a float, ``sin(Value(0.5))`` is a new node of the graph, and ``sin(Name("x"))``
    is the text ``sin(x)``.
    """

    __slots__ = (
        "associativity", "defaults", "domain", "forward", "limits", "name", "note", "parameters",
        "partials", "piece", "precedence", "sample", "specials", "spelling", "symbol",
    )

    def __init__(
        self,
        name: str,
        forward: Callable[..., float],
        partials: tuple[Rule, ...],
        *,
        limits: tuple[Rule, ...] = (),
        parameters: str = "",
        defaults: tuple[float, ...] = (),
        symbol: str = "",
        precedence: int = 0,
        associativity: str = "left",
        spelling: Rule | None = None,
        domain: Rule | None = None,
        sample: tuple[tuple[Interval, ...], ...] = (),
        piece: Rule | None = None,
        specials: Mapping[tuple[float, ...], tuple[float, ...]] | None = None,
        note: str = "",
    ) -> None:
        self.name = name
        self.forward = forward
        self.partials = partials
        self.limits = limits
        names = tuple(parameters.split()) if parameters else ("x", "y", "z")[: len(partials)]
        if len(names) != len(partials):
            raise ValueError(
                f"{name}: parameters must be {len(partials)} names, not {names}; "
                "give one name for each rule"
            )
        self.parameters: tuple[str, ...] = names
        self.defaults = defaults
        self.symbol = symbol
        self.precedence = precedence
        self.associativity = associativity
        self.spelling = spelling
        self.domain = domain
        self.sample: tuple[tuple[Interval, ...], ...] = sample or (REALS,) * len(partials)
        self.piece = piece
        self.specials: Mapping[tuple[float, ...], tuple[float, ...]] = specials or {}
        self.note = note

    @property
    def arity(self) -> int:
        """The number of arguments, including those with defaults."""
        return len(self.partials)

    def __call__(self, *args: Any) -> Any:
        if len(args) != len(self.partials):
            args = self._with_defaults(args)
        for arg in args:
            if arg.__class__ is not float:
                return self._dispatch(args)
        return self.forward(*args)

    def _with_defaults(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        missing = self.arity - len(args)
        if not 0 < missing <= len(self.defaults):
            raise TypeError(
                f"{self.name}({', '.join(self.parameters)}) was called with {len(args)} arguments"
            )
        return args + self.defaults[len(self.defaults) - missing:]

    def _dispatch(self, args: tuple[Any, ...]) -> Any:
        """Runs the row in the language of the first argument that has one, else on numbers."""
        for arg in args:
            apply = getattr(type(arg), "apply_primitive", None)
            if apply is not None:
                return apply(self, args)
        numbers = [
            number(arg, f"argument {name} of {self.name}")
            for name, arg in zip(self.parameters, args)
        ]
        return self.forward(*numbers)

    def partial_at(self, i: int, args: tuple[float, ...], out: float) -> float:
        """Returns d(output)/d(argument ``i``) at the floats ``args``, with ``out`` the output.

        Never raises: at the edge of the domain the result is inf or nan.
        """
        try:
            d = self.partials[i](*args, out)
        except ArithmeticError:
            d = 0j  # handled like (-8.0) ** 0.5, which is complex
        if d.__class__ is complex:
            d = self.partials[i](*map(Ieee, args), Ieee(out))
        d = float(d)
        return d if -inf < d < inf else self.limit_at(i, args, out, d)

    def limit_at(self, i: int, args: tuple[float, ...], out: float, d: float) -> float:
        """Returns the partial to use where the rule for argument ``i`` gives ``d``, inf or nan."""
        return float(self.limits[i](*args, out, d)) if self.limits else d

    def __repr__(self) -> str:
        return f"<primitive {self.name}({', '.join(self.parameters)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return lookup, (self.name,)


class Operand:
    """Base class of a language.  Each operator runs its row; a subclass defines two methods,
    `apply_primitive` and `compare`."""

    __slots__ = ()

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """Runs ``primitive`` on ``args`` in this language."""
        raise TypeError(f"{primitive.name} has no meaning for {short_repr(args)}")

    def compare(self, symbol: str, y: Any) -> Any:
        """Returns ``self < y`` (``symbol`` is "<", "<=", ">" or ">="), a condition for `where`."""
        raise TypeError(f"{symbol} has no meaning for {short_repr(self)}")

    def __add__(self, y: Any) -> Any:
        return self.apply_primitive(add, (self, y))

    def __radd__(self, x: Any) -> Any:
        return self.apply_primitive(add, (x, self))

    def __sub__(self, y: Any) -> Any:
        return self.apply_primitive(sub, (self, y))

    def __rsub__(self, x: Any) -> Any:
        return self.apply_primitive(sub, (x, self))

    def __mul__(self, y: Any) -> Any:
        return self.apply_primitive(mul, (self, y))

    def __rmul__(self, x: Any) -> Any:
        return self.apply_primitive(mul, (x, self))

    def __truediv__(self, y: Any) -> Any:
        return self.apply_primitive(div, (self, y))

    def __rtruediv__(self, x: Any) -> Any:
        return self.apply_primitive(div, (x, self))

    def __floordiv__(self, y: Any) -> Any:
        return self.apply_primitive(floordiv, (self, y))

    def __rfloordiv__(self, x: Any) -> Any:
        return self.apply_primitive(floordiv, (x, self))

    def __mod__(self, y: Any) -> Any:
        return self.apply_primitive(remainder, (self, y))

    def __rmod__(self, x: Any) -> Any:
        return self.apply_primitive(remainder, (x, self))

    def __pow__(self, y: Any) -> Any:
        return self.apply_primitive(pow, (self, y))

    def __rpow__(self, x: Any) -> Any:
        return self.apply_primitive(pow, (x, self))

    def __neg__(self) -> Any:
        return self.apply_primitive(neg, (self,))

    def __abs__(self) -> Any:
        return self.apply_primitive(absolute, (self,))

    def __lt__(self, y: Any) -> Any:
        return self.compare("<", y)

    def __le__(self, y: Any) -> Any:
        return self.compare("<=", y)

    def __gt__(self, y: Any) -> Any:
        return self.compare(">", y)

    def __ge__(self, y: Any) -> Any:
        return self.compare(">=", y)


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
        """Runs a row on floats and returns an `Ieee`, or runs it in the language of another
        argument."""
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


TABLE: dict[str, Primitive] = {}


def define(
    name: str, forward: Callable[..., float], *partials: Rule, replace: bool = False, **fields: Any
) -> Primitive:
    """Adds a primitive to the table and returns it, callable on floats, Values and names.

        >>> from tinygrad_edu import math
        >>> bump = define("bump", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)
        >>> bump(0.0)
        1.0

    The derivative of the result with respect to argument i is given by rule i,
    ``rule(*args, o)``, where ``o`` is the output.  Write rules with operators and other rows only:
    the same rule runs on floats, Values and names.

    name: the ``op`` of the nodes, and the name in `math` and `parse`.
    forward: a function from floats to a float.  It returns inf or nan instead of raising; write it
        with this package's `math`, because the standard one raises.
    partials: one rule for each argument.

    limits: one function for each argument, ``limit(*args, o, d)``: the partial to use where the
        rule gives ``d``, an inf or nan.  Written like a rule.
    symbol, precedence, associativity: how an operator is printed.
    parameters: the names of the arguments, by default ``"x y z"``.
    defaults: the values of the last arguments, if they may be omitted.
    domain: a condition on the arguments, written like a rule: where the value is a finite real.
    sample: for each argument, the intervals from which tests draw it.
    piece: for a function with kinks or jumps, which smooth piece the floats ``args`` lie in (for
        `gradcheck`).
    specials: arguments at an edge or kink, mapped to the partials expected there (for tests).
    spelling: the expression of other rows that is printed for a row that computes it more
        accurately.
    note: one line for readers, the last line of `formula`.
    replace: whether an existing row of the same name is replaced.

    Raises:
        ValueError: ``name`` is taken (and ``replace`` is False) or is not an identifier.
        TypeError: a rule is not a function, or uses what rules may not use.  Each rule is tried
            once, on an operand that stands for any number.
    """
    if name in TABLE and not replace:
        raise ValueError(
            f"primitive {name!r} is in the table already: {TABLE[name]!r}; "
            "choose another name or pass replace=True"
        )
    if not name.isidentifier() or iskeyword(name):
        raise ValueError(
            f"define: primitive name {name!r} is not an identifier; choose a name such as 'bump'"
        )
    if not partials or not all(map(callable, (forward, *partials))):
        raise TypeError(
            f"define: {name!r} takes a forward function and one rule for each argument, "
            f"not {short_repr(forward)} and {short_repr(partials)}"
        )
    row = Primitive(name, forward, partials, **fields)
    if _table_is_complete:
        _try_rules(row)
    TABLE[name] = row
    return row


def _try_rules(row: Primitive) -> None:
    operands = [AnyNumber() for _ in range(row.arity + 1)]
    for parameter, rule in zip(row.parameters, row.partials):
        try:
            rule(*operands)
        except (TypeError, AttributeError, ValueError) as error:
            raise TypeError(
                f"the rule of {row.name} for {parameter} cannot be used: {error}.  A rule is "
                f"called with ({', '.join((*row.parameters, 'o'))}), where o is the output; write "
                "it in operators and rows of the table"
            ) from None


# False while this module is imported: its rules name rows further down, so they are tried last
_table_is_complete = False


def lookup(name: str) -> Primitive:
    """Returns the row of that name; raises TinygradEduError if the table has none."""
    try:
        return TABLE[name]
    except KeyError:
        raise TinygradEduError(
            f"no primitive {name!r} in the table; import the module that defines it"
        ) from None


# ---- forward functions on floats -----------------------------------------------------------------


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
            return f(math.copysign(inf, x))

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


def sigmoid_difference_of(x: float, y: float) -> float:
    """Returns sigmoid(x - y) with the digits that rounding x - y would lose where it is large and
    negative."""
    s, lost = exact_difference(x, y)
    result = sigmoid_of(s)
    return result + lost * (result * (1 - result))


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
        return float(builtins.round(x, int(n)))
    except OverflowError:  # n is infinite, or the result is above the largest float
        if n > 0:
            return x
        return math.copysign(0.0 if n == -inf else inf, x)
    except ValueError:
        return nan


def compare(x: float, y: float) -> int:
    """Returns -1 for x < y, 0 for x = y, 1 for x > y, 2 if one is nan: the piece of a function with
    a kink at x = y."""
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


def logaddexp_of(x: float, y: float) -> float:
    """Returns log(exp(x) + exp(y)) without overflow, also for equal infinities."""
    if not x < y:
        x, y = y, x
    s, lost = exact_difference(x, y)
    if s < 0:
        small = math.exp(s)
    elif x == y:
        small = 1.0
    else:  # nan
        small = s
    return y + math.log1p(small + small * lost)


def hypot_of(x: float, y: float) -> float:
    """Returns sqrt(x**2 + y**2) without overflow, by the C library's hypot.

    `math.hypot` uses another method, which compiled code cannot call.
    """
    if x != x or y != y:  # abs() would report an error that another C function left in errno
        return math.hypot(x, y)
    try:
        return builtins.abs(complex(x, y))
    except OverflowError:
        return inf


def maximum_of(x: float, y: float) -> float:
    """Returns the larger one, or nan if either is nan (the built-in depends on the order)."""
    return x if x > y or x != x else y


def minimum_of(x: float, y: float) -> float:
    """Returns the smaller one, or nan if either is nan."""
    return x if x < y or x != x else y


def fmax_of(x: float, y: float) -> float:
    """Returns the larger one; if one is nan, the other one."""
    if x != x:
        return y
    return x if x > y or y != y else y


def fmin_of(x: float, y: float) -> float:
    """Returns the smaller one; if one is nan, the other one."""
    if x != x:
        return y
    return x if x < y or y != y else y


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


def gelu_tanh_argument(x: Any) -> Any:
    """Returns 2 sqrt(2/pi) (x + 0.044715 x**3), in any language."""
    return 2 * SQRT_TWO_OVER_PI * (x + GELU_CUBIC * x * square(x))


def gelu_tanh_argument_slope(x: Any) -> Any:
    """Returns the derivative of `gelu_tanh_argument` with respect to x, in any language."""
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
)

sub = define(
    "sub", lambda x, y: x - y,
    lambda x, y, o: 1.0,
    lambda x, y, o: -1.0,
    symbol="-", precedence=ADDITIVE,
)

mul = define(
    "mul", lambda x, y: x * y,
    lambda x, y, o: y,
    lambda x, y, o: x,
    symbol="*", precedence=MULTIPLICATIVE,
)

div = define(
    "div", divide,
    lambda x, y, o: 1 / y,
    lambda x, y, o: -(o / y),  # x / y**2 would overflow
    symbol="/", precedence=MULTIPLICATIVE,
    domain=lambda x, y: abs(y) > 0,
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
    note="used in the derivative of pow; keeps the digits that rounding y - 1 would lose",
)

neg = define("neg", lambda x: -x, lambda x, o: -1.0, symbol="-", precedence=UNARY)

identity = define(
    "identity", lambda x: x,
    lambda x, o: 1.0,
    note="a new node with the same value",
)

remainder = define(
    "remainder", remainder_of,
    lambda x, y, o: 1.0,
    lambda x, y, o: -(x // y),
    symbol="%", precedence=MULTIPLICATIVE,
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: floordiv(x, y),
    note="the result has the sign of y",
)

floordiv: Primitive = define(
    "floordiv", floordiv_of,
    lambda x, y, o: 0.0,
    lambda x, y, o: 0.0,
    symbol="//", precedence=MULTIPLICATIVE,
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: floordiv(x, y),
)

fmod: Primitive = define(
    "fmod", nan_where_undefined(math.fmod),
    lambda x, y, o: 1.0,
    lambda x, y, o: -round((x - o) / y),
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: round(divide(x - fmod(x, y), y)),
    note="the result has the sign of x",
)

ieee_remainder: Primitive = define(
    "ieee_remainder", nan_where_undefined(math.remainder),
    lambda x, y, o: 1.0,
    lambda x, y, o: -round((x - o) / y),
    domain=lambda x, y: abs(y) > 0,
    piece=lambda x, y: round(divide(x - ieee_remainder(x, y), y)),
    note="the same as the standard library's math.remainder",
)

reciprocal = define(
    "reciprocal", lambda x: divide(1.0, x),
    lambda x, o: -square(o),
    domain=lambda x: abs(x) > 0,
)

square: Primitive = define("square", lambda x: x * x, lambda x, o: 2 * x)

# ---- choices and rounding ------------------------------------------------------------------------


def share_if_greater(x: Any, y: Any) -> Any:
    """Returns 1 where x > y, 0 where x < y, one half at a tie, nan at nan."""
    return where(x > y, 1.0, where(x < y, 0.0, where(x <= y, 0.5, nan)))


def share_if_less(x: Any, y: Any) -> Any:
    """Returns 1 where x < y, 0 where x > y, one half at a tie, nan at nan."""
    return where(x < y, 1.0, where(x > y, 0.0, where(x <= y, 0.5, nan)))


where: Primitive = define(
    "where", lambda c, x, y: x if c else y,
    lambda c, x, y, o: 0.0,
    lambda c, x, y, o: where(c, 1.0, 0.0),
    lambda c, x, y, o: where(c, 0.0, 1.0),
    parameters="condition x y",
    note="the branch not taken is kept as a number, so its nan cannot reach a gradient",
)

step = define("step", step_of, lambda x, o: 0.0, piece=lambda x: compare(x, 0.0))

sign = define("sign", sign_of, lambda x, o: 0.0, piece=lambda x: compare(x, 0.0))

absolute = define(
    "abs", math.fabs,
    lambda x, o: sign(x),
    piece=lambda x: compare(x, 0.0),
    specials={(0.0,): (0.0,)},
)

maximum = define(
    "maximum", maximum_of,
    lambda x, y, o: share_if_greater(x, y),
    lambda x, y, o: share_if_less(x, y),
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5)},
)

minimum = define(
    "minimum", minimum_of,
    lambda x, y, o: share_if_less(x, y),
    lambda x, y, o: share_if_greater(x, y),
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5)},
)


def one_at_nan(x: Any) -> Any:
    """Returns 1 where x is nan, else 0."""
    return where(x <= x, 0.0, 1.0)


def zero_at_nan(x: Any) -> Any:
    """Returns 0 where x is nan, else 1."""
    return where(x <= x, 1.0, 0.0)


fmax = define(
    "fmax", fmax_of,
    lambda x, y, o: where(x > y, 1.0, where(x < y, 0.0, where(x <= y, 0.5, one_at_nan(y)))),
    lambda x, y, o: where(x < y, 1.0, where(x > y, 0.0, where(x <= y, 0.5, zero_at_nan(y)))),
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5), (nan, 1.0): (0.0, 1.0)},
    note="ignores a nan",
)

fmin = define(
    "fmin", fmin_of,
    lambda x, y, o: where(x < y, 1.0, where(x > y, 0.0, where(x <= y, 0.5, one_at_nan(y)))),
    lambda x, y, o: where(x > y, 1.0, where(x < y, 0.0, where(x <= y, 0.5, zero_at_nan(y)))),
    piece=compare,
    specials={(1.0, 1.0): (0.5, 0.5), (1.0, nan): (1.0, 0.0)},
    note="ignores a nan",
)

clip = define(
    "clip", lambda x, low, high: minimum_of(maximum_of(x, low), high),
    lambda x, low, high, o: where(x < low, 0.0, where(x > high, 0.0, where(x <= high, 1.0, nan))),
    lambda x, low, high, o: where(x < low, where(low <= high, 1.0, 0.0), 0.0),
    lambda x, low, high, o: where(x > high, 1.0, where(low > high, 1.0, 0.0)),
    parameters="x low high", defaults=(-inf, inf),
    piece=lambda x, low, high: (compare(x, low), compare(x, high), compare(low, high)),
    specials={(1.0, -1.0, 1.0): (1.0, 0.0, 0.0)},
    note="at a bound the gradient flows to x",
)

copysign: Primitive = define(
    "copysign", math.copysign,
    lambda x, y, o: sign(x) * copysign(1.0, y),
    lambda x, y, o: 0.0,
    piece=lambda x, y: (compare(x, 0.0), math.copysign(1.0, y)),
)

# In a piece, -0.0 + 0.0 is 0.0: zeros of both signs are one piece.
floor: Primitive = define(
    "floor", rounding(math.floor),
    lambda x, o: 0.0,
    piece=lambda x: (floor(x) + 0.0, x == floor(x)),
)

ceil: Primitive = define(
    "ceil", rounding(math.ceil),
    lambda x, o: 0.0,
    piece=lambda x: (ceil(x) + 0.0, x == ceil(x)),
)

round: Primitive = define(
    "round", rounding(builtins.round),
    lambda x, o: 0.0,
    piece=lambda x: (round(x) + 0.0, abs(x - round(x)) == 0.5),
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
)

# ---- exponentials, logarithms and roots ----------------------------------------------------------

exp = define("exp", guarded(math.exp), lambda x, o: o, sample=(((-708.0, 709.0),),))
exp2 = define("exp2", guarded(math.exp2), lambda x, o: o * LN2, sample=(((-1022.0, 1023.0),),))

expm1 = define(
    "expm1", guarded(math.expm1),
    lambda x, o: exp(x),  # o + 1 would lose the digits of a small exp(x)
    sample=(((-708.0, 709.0),),),
)

log: Primitive = define(
    "log", guarded(math.log, 0.0, -inf),
    lambda x, o: 1 / x,
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
)

log1p = define(
    "log1p", guarded(lambda x: math.log1p(x) if x != -1 else -inf),
    lambda x, o: 1 / (1 + x),
    domain=lambda x: x > -1,
    sample=(((-1.0, inf),),),
)

log2 = define(
    "log2", guarded(math.log2, 0.0, -inf),
    lambda x, o: LOG2E / x,
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
)

log10 = define(
    "log10", guarded(math.log10, 0.0, -inf),
    lambda x, o: LOG10E / x,
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
)

sqrt = define(
    "sqrt", guarded(math.sqrt),
    lambda x, o: 0.5 / o,
    domain=lambda x: x >= 0,
    sample=(POSITIVE,),
    specials={(0.0,): (inf,)},
)

rsqrt = define(
    "rsqrt", lambda x: divide(1.0, sqrt.forward(x)),
    lambda x, o: -o / (2 * x),
    domain=lambda x: x > 0,
    sample=(POSITIVE,),
)

cbrt = define(
    "cbrt", math.cbrt,  # up to 3 ulp off, in the C library
    lambda x, o: o / x / 3,  # 1 / (3 * o**2) would double the error of o
    limits=(lambda x, o, d: where(abs(x) <= 0, inf, where(abs(x) > 0, 0.0, d)),),
    specials={(0.0,): (inf,)},
)

xlogy = define(
    "xlogy", lambda x, y: 0.0 if x == 0 and y == y else x * log.forward(y),
    lambda x, y, o: log(y),
    lambda x, y, o: x / y,
    domain=lambda x, y: y > 0,
    sample=(REALS, POSITIVE),
    note="0 at x = 0",
)

logaddexp = define(
    "logaddexp", logaddexp_of,
    lambda x, y, o: sigmoid_difference(x, y),
    lambda x, y, o: sigmoid_difference(y, x),
)

sigmoid_difference: Primitive = define(
    "sigmoid_difference", sigmoid_difference_of,
    lambda x, y, o: 0.25 * sech_squared((x - y) / 2),
    lambda x, y, o: -0.25 * sech_squared((x - y) / 2),
    spelling=lambda x, y: sigmoid(x - y),
    note="used in the derivatives of logaddexp; keeps the digits that rounding x - y would lose",
)

hypot = define(
    "hypot", hypot_of,
    lambda x, y, o: x / o,
    lambda x, y, o: y / o,
    limits=(lambda x, y, o, d: where(o <= 0, 0.0, d),) * 2,
    specials={(0.0, 0.0): (0.0, 0.0)},
)

# ---- trigonometric and hyperbolic functions ------------------------------------------------------

sin = define("sin", guarded(math.sin), lambda x, o: cos(x))
cos: Primitive = define("cos", guarded(math.cos), lambda x, o: -sin(x))
tan = define("tan", guarded(math.tan), lambda x, o: 1 + square(o))

asin = define(
    "asin", guarded(math.asin),
    lambda x, o: 1 / sqrt((1 - x) * (1 + x)),
    domain=lambda x: abs(x) <= 1,
    sample=(((-1.0, 1.0),),),
    specials={(1.0,): (inf,), (-1.0,): (inf,)},
)

acos = define(
    "acos", guarded(math.acos),
    lambda x, o: -(1 / sqrt((1 - x) * (1 + x))),
    domain=lambda x: abs(x) <= 1,
    sample=(((-1.0, 1.0),),),
    specials={(1.0,): (-inf,), (-1.0,): (-inf,)},
)

atan = define(
    "atan", math.atan,
    lambda x, o: square(1 / hypot(1.0, x)),  # 1 / (1 + x**2) without its overflow
)

atan2 = define(
    "atan2", math.atan2,
    lambda y, x, o: x / hypot(x, y) / hypot(x, y),
    lambda y, x, o: -(y / hypot(x, y) / hypot(x, y)),
    limits=(lambda y, x, o, d: where(hypot(x, y) <= 0, 0.0, d),) * 2,
    parameters="y x",
    piece=lambda y, x: (math.copysign(1.0, y), y == 0) if x < 0 else 0,
    specials={(0.0, 0.0): (0.0, 0.0)},
)

sinh = define("sinh", guarded(math.sinh), lambda x, o: cosh(x), sample=(((-710.0, 710.0),),))

cosh: Primitive = define(
    "cosh", guarded(math.cosh),
    lambda x, o: sinh(x),
    sample=(((-710.0, 710.0),),),
)

sech_squared: Primitive = define(
    "sech_squared", sech_squared_of,
    lambda x, o: -2 * o * tanh(x),
    spelling=lambda x: square(1 / cosh(x)),
    note="used in the derivatives of tanh and sigmoid; 0, not nan, where cosh overflows",
)

tanh: Primitive = define(
    "tanh", math.tanh,
    lambda x, o: sech_squared(x),  # 1 - o**2 would lose all digits where tanh saturates
)

asinh = define("asinh", math.asinh, lambda x, o: 1 / hypot(1.0, x))

acosh = define(
    "acosh", guarded(math.acosh),
    lambda x, o: 1 / (sqrt(x - 1) * sqrt(x + 1)),  # the product under one root would overflow
    domain=lambda x: x >= 1,
    sample=(((1.0, inf),),),
    specials={(1.0,): (inf,)},
)

atanh = define(
    "atanh", guarded(math.atanh, 1.0, inf),
    lambda x, o: 1 / ((1 - x) * (1 + x)),
    domain=lambda x: abs(x) < 1,
    sample=(((-1.0, 1.0),),),
    specials={(1.0,): (inf,), (-1.0,): (inf,)},
)

# ---- activations and the error function ----------------------------------------------------------

relu = define(
    "relu", relu_of,
    lambda x, o: step(x),
    piece=lambda x: compare(x, 0.0),
    specials={(0.0,): (0.0,)},
)

leaky_relu = define(
    "leaky_relu", lambda x, slope: x if x > 0 else slope * x,
    lambda x, slope, o: where(x > 0, 1.0, where(x <= 0, slope, nan)),
    lambda x, slope, o: where(x > 0, 0.0, x),
    parameters="x slope", defaults=(0.01,),
    piece=lambda x, slope: compare(x, 0.0),
    specials={(0.0, 0.01): (0.01, 0.0)},
)

elu = define(
    "elu", lambda x, alpha: x if x > 0 else alpha * math.expm1(x),
    lambda x, alpha, o: where(x > 0, 1.0, alpha * exp(x)),
    lambda x, alpha, o: where(x > 0, 0.0, expm1(x)),
    parameters="x alpha", defaults=(1.0,),
    piece=lambda x, alpha: compare(x, 0.0),
    specials={(0.0, 1.0): (1.0, 0.0), (0.0, 0.5): (0.5, 0.0)},
)

sigmoid: Primitive = define(
    "sigmoid", sigmoid_of,
    lambda x, o: 0.25 * sech_squared(x / 2),  # o * (1 - o) would lose its digits where o is near 1
)

logsigmoid = define("logsigmoid", lambda x: -softplus_of(-x), lambda x, o: sigmoid(-x))
softplus = define("softplus", softplus_of, lambda x, o: sigmoid(x), note="log(1 + exp(x))")
silu = define("silu", lambda x: x * sigmoid_of(x), lambda x, o: sigmoid(x) * (1 + x * sigmoid(-x)))

gelu_erf = define(
    "gelu_erf", lambda x: x * (0.5 * math.erfc(-x * SQRT_HALF)),
    lambda x, o: 0.5 * erfc(-x * SQRT_HALF) + x * (INV_SQRT_TAU * exp(-0.5 * square(x))),
)

gelu_tanh = define(
    "gelu_tanh", lambda x: x * sigmoid_of(gelu_tanh_argument(x)),
    lambda x, o: (
        sigmoid(gelu_tanh_argument(x))
        + x * (0.25 * sech_squared(gelu_tanh_argument(x) / 2)) * gelu_tanh_argument_slope(x)
    ),
    limits=(lambda x, o, d: where(abs(x) > 100, step(x), d),),  # there it is relu to the last digit
    note="the tanh approximation of gelu",
)

softsign = define("softsign", lambda x: x / (1 + abs(x)), lambda x, o: square(1 / (1 + abs(x))))

hardtanh = define(
    "hardtanh", lambda x: minimum_of(maximum_of(x, -1.0), 1.0),
    lambda x, o: where(abs(x) < 1, 1.0, where(abs(x) >= 1, 0.0, nan)),
    piece=lambda x: (compare(x, -1.0), compare(x, 1.0)),
    specials={(1.0,): (0.0,), (-1.0,): (0.0,)},
)

erf = define("erf", math.erf, lambda x, o: TWO_OVER_SQRT_PI * exp(-square(x)))
erfc: Primitive = define("erfc", math.erfc, lambda x, o: -(TWO_OVER_SQRT_PI * exp(-square(x))))

_table_is_complete = True
for _row in TABLE.values():
    _try_rules(_row)
