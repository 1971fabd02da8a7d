"""Derivatives as text, made by running the table's rules on names instead of numbers.

    >>> print(formula("pow"))
    d/dx x**y = y * x ** (y - 1)
    d/dy x**y = x ** y * log(x)
    note: x**0 is the constant 1, also at x = 0 and nan

A `Name` is a text with the precedence of its outermost operator.  Operators and primitives combine
names, with only the brackets that Python needs to read the same expression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..engine.primitive import TABLE, Operand, Primitive, lookup
from ..engine.table import (
    INV_SQRT_TAU,
    LN2,
    LOG2E,
    LOG10E,
    MULTIPLICATIVE,
    SQRT_HALF,
    SQRT_TWO_OVER_PI,
    TWO_OVER_SQRT_PI,
    UNARY,
)
from ..errors import PrimitiveError, check_choice, check_type, near_names, short_repr

# precedences of texts, next to the table's
COMPARISON = 5
ATOM = 100
KNOWN_NUMBERS = {
    math.pi: "pi",
    LN2: "log(2)",
    LOG2E: "log2(e)",
    LOG10E: "log10(e)",
    SQRT_HALF: "sqrt(0.5)",
    INV_SQRT_TAU: "rsqrt(2 * pi)",
    TWO_OVER_SQRT_PI: "2 * rsqrt(pi)",
    SQRT_TWO_OVER_PI: "sqrt(2 / pi)",
    2 * SQRT_TWO_OVER_PI: "2 * sqrt(2 / pi)",
}


class Name(Operand):
    """A text as an operand of the table's rules.

    Its truth value raises, because a rule must branch with `where`, not with ``if``.
    """

    __slots__ = ("precedence", "text")

    def __init__(self, text: str, precedence: int = ATOM) -> None:
        self.text = text
        self.precedence = precedence

    def __repr__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        raise TypeError(
            f"the truth of `{self.text}` is not known, because {self.text!r} is a name and not a "
            "number; rules choose with where(condition, x, y), never with if, and, or, max or min"
        )

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Name:
        """Returns the text of ``primitive`` applied to names and numbers."""
        if primitive.spelling:
            return as_name(primitive.spelling(*map(as_name, args)))
        if not primitive.symbol:
            for default in reversed(primitive.defaults):  # which need not be written
                if args[-1].__class__ is not float or args[-1] != default:
                    break
                args = args[:-1]
            return Name(f"{primitive.name}({', '.join(map(str, map(as_name, args)))})")
        names = [as_name(arg) for arg in args]
        if primitive.arity == 1:
            return Name(primitive.symbol + _unsigned(_bracketed(names[0], UNARY)), UNARY)
        return _infix(
            primitive.symbol, names[0], names[1], primitive.precedence, primitive.associativity
        )

    def compare(self, symbol: str, y: Any) -> Name:
        """Returns the text of a comparison."""
        return _infix(symbol, self, as_name(y), COMPARISON, "none")


def as_name(x: Any) -> Name:
    """Returns ``x`` as a `Name`.

    A number becomes its shortest exact form, a known constant its formula.
    """
    if isinstance(x, Name):
        return x
    x = float(x)
    if x in KNOWN_NUMBERS:
        text = KNOWN_NUMBERS[x]
        is_product = " * " in text and not text.startswith("rsqrt")
        return Name(text, MULTIPLICATIVE if is_product else ATOM)
    text = repr(int(x)) if x.is_integer() and abs(x) < 1e16 and repr(x) != "-0.0" else repr(x)
    return number_name(text)


def number_name(text: str) -> Name:
    """Returns the text of a number as a `Name`.

    A minus sign is an operator.
    """
    return Name(text, UNARY if text.startswith("-") else ATOM)


def derivative(
    primitive: Primitive | str,
    i: int,
    args: tuple[Name, ...] | None = None,
    out: Name | None = None,
    *,
    computed: bool = False,
) -> Name:
    """Returns the derivative of a row with respect to argument ``i``, as text.

    It is as courses write it, such as ``1 - tanh(x) ** 2``.

    primitive: a row of the table, or its name.
    args: the names of the arguments, by default the parameters of the row.
    out: the name of the output, by default the row written in terms of ``args``.
    computed: whether to return what is computed instead, which keeps all digits.
    """
    row = primitive if isinstance(primitive, Primitive) else lookup(primitive)
    names = args or tuple(map(Name, row.parameters))
    output = Name.apply_primitive(row, names) if out is None else out
    rules = row.partials if computed or not row.textbook else row.textbook
    return as_name(rules[i](*names, output))


def row_of(primitive: Primitive | str, name: str) -> Primitive:
    """Returns a row that is given as a row, or by its name or symbol ("-" is subtraction).

    name: begins the message of an error.

    Raises:
        TypeError: ``primitive`` is neither text nor a row.
        PrimitiveError: the table has no such row; the message has similar names.
    """
    if isinstance(primitive, Primitive):
        return primitive
    wanted = "the name of a primitive or a row of the table"
    check_type(primitive, name, str, wanted, 'write, for example, "tanh"')
    for row in TABLE.values():
        if primitive in (row.name, row.symbol or row.name):
            return row
    near = near_names(primitive, TABLE)
    end = f"did you mean {' or '.join(map(repr, near))}?" if near else f"use {', '.join(TABLE)}"
    name = name.removesuffix(": primitive")
    raise PrimitiveError(f"{name}: no primitive {short_repr(primitive)} in the table; {end}")


def position_of(argument: int | str, row: Primitive, name: str) -> int:
    """Returns the position of an argument of a row, which is given by position or by name.

    name: begins the message of an error.

    Raises:
        ValueError: the row has no such argument.
    """
    choices = [*range(row.arity), *row.parameters]
    check_choice(argument, f"{name} of {row.name}", choices)
    return choices.index(argument) % row.arity


def formula(primitive: Primitive | str, argument: int | str | None = None) -> str:
    """Returns the derivatives of a row as text, one line for each argument, and then its note.

        >>> print(formula("sin"))
        d/dx sin(x) = cos(x)

    primitive: a row of the table, its name, or its symbol: "mul" or "*"; "-" is subtraction.
    argument: the position or the name of one argument; then only its line is returned.

    Raises:
        TypeError: ``primitive`` is neither text nor a row.
        PrimitiveError: the table has no row of this name.
        ValueError: the row has no such argument.
    """
    row = row_of(primitive, "formula: primitive")
    function = row.symbol.join(row.parameters)
    if not row.symbol or row.arity != 2:
        function = Name.apply_primitive(row, tuple(map(Name, row.parameters))).text
    chosen: Sequence[int] = range(row.arity)
    if argument is not None:
        chosen = [position_of(argument, row, "formula: argument")]
    lines = []
    for i in chosen:
        text = str(derivative(row, i))
        lines.append(f"d/d{row.parameters[i]} {function} = {text}")
        if (computed := str(derivative(row, i, computed=True))) != text:
            lines.append(f"    computed as {computed}, which keeps all digits")
    if row.note and argument is None:
        lines.append(f"note: {row.note}")
    return "\n".join(lines)


def _infix(symbol: str, x: Name, y: Name, precedence: int, associativity: str) -> Name:
    left = _bracketed(x, precedence if associativity == "left" else precedence + 1)
    right = _bracketed(y, precedence if associativity == "right" else precedence + 1)
    if precedence > COMPARISON:
        right = _unsigned(right)
    return Name(f"{left} {symbol} {right}", precedence)


def _bracketed(name: Name, precedence: int) -> str:
    return name.text if name.precedence >= precedence else f"({name.text})"


def _unsigned(text: str) -> str:
    """Returns an operand as it stands behind an operator: 1 - (-x), because two signs confuse."""
    return f"({text})" if text.startswith("-") else text
