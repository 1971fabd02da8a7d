"""Derivatives as people write them: sums of products, without factors of 1.

    >>> str(Term.of("2 * (b * a)") * Term.of("-b"))
    '-2 * a * b**2'
    >>> total([Term.of("a / b"), Term.of("a / b")])
    '2 * a / b'
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ...symbolic.formulas import Name


@dataclass(frozen=True)
class Term:
    """A product: a number times powers of names and other expressions.

    factors: from each expression to its exponent.
    """

    number: float = 1.0
    factors: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str | Name | float) -> Term:
        """Returns an expression as a product; a sum is one factor."""
        return _read(str(text))

    def __mul__(self, other: Term) -> Term:
        factors = dict(self.factors)
        for base, exponent in other.factors.items():
            factors[base] = factors.get(base, 0.0) + exponent
        return Term(self.number * other.number, _without_ones(factors))

    def power(self, exponent: float) -> Term:
        """Returns the term to a power."""
        factors = {base: n * exponent for base, n in self.factors.items()}
        return Term(self.number**exponent, _without_ones(factors))

    def __str__(self) -> str:
        above = [_power(base, n) for base, n in sorted(self.factors.items()) if n > 0]
        below = [_power(base, -n) for base, n in sorted(self.factors.items()) if n < 0]
        sign = "-" if self.number < 0 else ""
        if abs(self.number) != 1 or not above:
            above.insert(0, f"{abs(self.number):g}")
        divisor = " * ".join(below)
        if len(below) > 1:
            divisor = f"({divisor})"
        return sign + " * ".join(above) + (f" / {divisor}" if below else "")


def total(terms: Iterable[Term]) -> str:
    """Returns the sum of products; those with the same factors are added."""
    numbers: dict[str, Term] = {}
    for term in terms:
        key = str(Term(1.0, term.factors))
        number = numbers[key].number if key in numbers else 0.0
        numbers[key] = Term(number + term.number, term.factors)
    text = ""
    for term in numbers.values():
        if term.number:
            text += f" + {term}" if term.number > 0 else f" - {Term(-term.number, term.factors)}"
    return text.removeprefix(" + ").replace(" - ", "-", 1 if text.startswith(" - ") else 0) or "0"


@lru_cache(maxsize=1024)
def _read(text: str) -> Term:
    return _term(ast.parse(text, mode="eval").body)


def _term(node: ast.expr) -> Term:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Term(float(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Term(-1.0) * _term(operand)
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return _term(left) * _term(right)
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            return _term(left) * _term(right).power(-1.0)
        case ast.BinOp(op=ast.Pow(), left=left, right=right) if (n := _number(right)) is not None:
            return _term(left).power(n)
        case ast.BinOp(op=ast.Add() | ast.Sub()) if (n := _number(node)) is not None:
            return Term(n)
    return Term(1.0, {ast.unparse(node).replace(" ** ", "**"): 1.0})


def _number(node: ast.expr) -> float | None:
    """Returns the value of an expression of numbers such as 3 - 1, None if it has names."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return None if inner is None else -inner
        case ast.BinOp(op=ast.Add() | ast.Sub() as op, left=left, right=right):
            x, z = _number(left), _number(right)
            if x is None or z is None:
                return None
            return x + z if isinstance(op, ast.Add) else x - z
    return None


def _without_ones(factors: Mapping[str, float]) -> dict[str, float]:
    return {base: exponent for base, exponent in factors.items() if exponent}


def _power(base: str, exponent: float) -> str:
    is_simple = base.isalnum() or (base.endswith(")") and base[:base.index("(")].isalpha())
    base = base if is_simple else f"({base})"
    return base if exponent == 1 else f"{base}**{exponent:g}"
