"""The operations that traces and tapes have beyond the rows of the table: one small table.

    >>> OPERATIONS["dot"].forward(1.0, 2.0, 3.0, 4.0, 5.0)  # 1 + 2 * 3 + 4 * 5
    27.0
    >>> from tinygrad_edu.symbolic.formulas import Name
    >>> print(spelled("take", [Name("i"), Name("x"), Name("y")]))
    take([x, y], i)

Tracing, lowering, the languages, the tape machine, and drawings read from it what an operation is.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ... import math
from ...engine.primitive import lookup
from ...symbolic.formulas import Name

Ref = int  # a node of a trace, by its position; an operand that is a float is a constant
Node = tuple[str, tuple[Any, ...]]

SOURCES = ("input", "parameter", "draw")  # the nodes of a trace that are read when it runs

# In traces and tapes
LESS = "less"
LESS_EQUAL = "less_equal"
EQUAL = "equal"
TAKE = "take"
# In traces only
SUMPROD = "sumprod"
DETACH = "detach"
GATE = "gate"
# In tapes only
DOT = "dot"
IF_EQUAL = "when"


class LabeledNodes(Protocol):
    """The part of a `Trace` that a tape is made from: its nodes, and labels of some nodes."""

    nodes: list[Node]
    labels: dict[Ref, str]

    def label(self, ref: Ref) -> str:
        """Returns the label of a node, or an empty text."""


@dataclass(frozen=True)
class Operation:
    """An operation that is not a row of the table.

    arity: the number of operands; None if there can be any number.
    forward: the function on floats.
    text: the function from names to a name, the text of the operation.
    comparison: the symbol of a comparison, whose result is a condition, 1.0 or 0.0.

    Nothing is differentiated with respect to a condition or an index.
    """

    arity: int | None
    forward: Callable[..., float]
    text: Callable[..., Name]
    comparison: str = ""


def _comparison(symbol: str, holds: Callable[[float, float], bool]) -> Operation:
    return Operation(
        2,
        lambda x, y: float(holds(x, y)),
        lambda x, y: x.compare(symbol, y),
        symbol,
    )


def _dot(start: Any, *factors: Any) -> Any:
    """Returns start + x * y + x * y + ..., added from the left."""
    for x, y in zip(factors[::2], factors[1::2]):
        start += x * y
    return start


def _sumprod(x: Any, y: Any, *factors: Any) -> Any:
    return _dot(x * y, *factors)


OPERATIONS = {
    LESS: _comparison("<", operator.lt),
    LESS_EQUAL: _comparison("<=", operator.le),
    EQUAL: _comparison("==", operator.eq),
    # (index, entry, entry, ...): the entry at that index
    TAKE: Operation(
        None,
        lambda index, *entries: math.take(entries, index),
        lambda index, *entries: Name(f"take([{', '.join(map(str, entries))}], {index})"),
    ),
    # (index, i, x): x if index is i, else 0.0
    IF_EQUAL: Operation(
        3,
        lambda index, i, x: x if index == i else 0.0,
        lambda index, i, x: Name(f"{x} if {index} == {i} else 0", 1),
    ),
    # (start, x, y, x, y, ...): start + x * y + x * y + ..., from the left
    DOT: Operation(None, _dot, _dot),
    # (x, y, x, y, ...): x * y + x * y + ..., from the left
    SUMPROD: Operation(None, _sumprod, _sumprod),
    # (condition, x, y): x or y; gradients flow to it as if it stood in the place of the gate
    GATE: Operation(
        3,
        lambda condition, x, y: x if condition else y,
        lambda condition, x, y: Name(f"{x} if {condition} else {y}", 1),
    ),
    # (x,): x as a constant, without derivatives
    DETACH: Operation(1, lambda x: x, lambda x: Name(f"detach({x})")),
}
VARIADIC = {name for name, operation in OPERATIONS.items() if operation.arity is None}
CONDITIONS = {name for name, operation in OPERATIONS.items() if operation.comparison}
# Operations whose result is one of their operands, and the position of the first one
CHOICES = {"where": 1, TAKE: 1, GATE: 1, IF_EQUAL: 2}
PASSING = (TAKE, GATE)  # of these, those in whose place the eager graph has the operand itself


def ordered(symbol: str, x: Any, y: Any) -> tuple[str, tuple[Any, Any]]:
    """Returns the operation and the operands of ``x < y``, for the comparison ``symbol``."""
    operands = (y, x) if symbol in (">", ">=") else (x, y)
    return (LESS_EQUAL if "=" in symbol else LESS), operands


def forward(op: str) -> Callable[..., float]:
    """Returns the function that computes an operation, or a row, on floats."""
    return OPERATIONS[op].forward if op in OPERATIONS else lookup(op).forward


def operand_count(op: str, args: Sequence[Any]) -> int:
    """Returns the number of operands of a ``dot`` or ``take``, without the first; otherwise 1."""
    return len(args) - 1 if op in VARIADIC else 1


def spelled(op: str, names: list[Name]) -> Name:
    """Returns an operation of a trace or a tape, applied to names, as text."""
    if op in OPERATIONS:
        return OPERATIONS[op].text(*names)
    return Name.apply_primitive(lookup(op), tuple(names))
