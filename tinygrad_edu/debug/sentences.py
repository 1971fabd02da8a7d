"""The sentences of a recording: templates, which `recording` fills in, and a page as well.

    >>> gradient("y", "a"), gradient("loss", "layers.0.w")
    ('dy/da', 'd(loss)/d(layers.0.w)')
    >>> TEMPLATES["adds"]
    '{gradient} += {arrives} · {local} = {adjoint} × {partial} = {flow}'

A gradient, the derivative of the root with respect to a node, is written with d.  A local
derivative, of an operation with respect to its operand, is written with ∂.  For ``y = a + a`` both
local derivatives ∂y/∂a are 1, and the gradient dy/da is 2.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ..engine.primitive import Primitive
from ..engine.table import UNARY
from ..symbolic.formulas import Name

TEMPLATES = {
    "given": "given: {leaves}",
    "seed": "{gradient} = 1",
    "adds": "{gradient} += {arrives} · {local} = {adjoint} × {partial} = {flow}",
    "replaces": "{gradient} = {arrives} · {local} = {adjoint} × {partial} = {flow}",
    "sum": "{operand}sum: {before} + {flow} = {after}",
    "replaced": "{operand}{flow} replaces {before}",
    "which": "{ordinal} {name}, ",  # of several operands that are the same node
    "rule": "{local} = {formula}",
}
ORDINALS = ("first", "second", "third")
_FIELD = re.compile(r"\{(\w+)\}")
_SIMPLE = re.compile(r"[^\W\d_]\d*")  # a letter, perhaps with a number


class Written(NamedTuple):
    """How a row is written: ``text`` with the fields {0}, {1}, ... for its operands.

    in_brackets: for each operand, whether a negative number needs brackets: 1 - (-2).
    """

    text: str
    in_brackets: tuple[bool, ...]

    def of(self, numbers: list[str]) -> str:
        """Returns the text of the row for numbers, given as texts."""
        fields = {
            str(i): f"({x})" if negative and x.startswith("-") else x
            for i, (x, negative) in enumerate(zip(numbers, self.in_brackets))
        }
        return filled(self.text, fields)


@cache
def written(row: Primitive) -> Written:
    """Returns how a row is written with numbers; products have the sign ×."""
    plain = Name.apply_primitive(row, tuple([Name(f"{{{i}}}") for i in range(row.arity)]))
    negative = Name.apply_primitive(row, tuple([Name(f"-{i}", UNARY) for i in range(row.arity)]))
    in_brackets = tuple([
        re.search(rf"(?<!\w)\(-{i}\)", negative.text) is not None for i in range(row.arity)
    ])
    return Written(plain.text.replace(" * ", " × "), in_brackets)


def filled(template: str, fields: dict[str, str]) -> str:
    """Returns a template with its fields filled in; a field may contain braces."""
    return _FIELD.sub(lambda match: fields[match[1]], template)


def differential(name: str) -> str:
    """Returns ``da`` for a, and ``d(loss)`` for a name that would not stand out from the d."""
    return f"d{name}" if _SIMPLE.fullmatch(name) else f"d({name})"


def gradient(root: str, name: str) -> str:
    """Returns the gradient of a node as it is written: the derivative of the root by it."""
    return f"{differential(root)}/{differential(name)}"


def factor(number: str) -> str:
    """Returns a number behind a sign of multiplication or addition, in brackets if negative."""
    return f"({number})" if number.startswith("-") else number
