"""The operations that traces and tapes have beyond the rows of the table.

    >>> dot(1.0, 2.0, 3.0, 4.0, 5.0)  # 1 + 2 * 3 + 4 * 5
    27.0
    >>> from tinygrad_edu.symbolic.formulas import Name
    >>> print(spelled("take", [Name("i"), Name("x"), Name("y")]))
    take([x, y], i)

Nothing is differentiated with respect to a condition or an index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ... import math
from ...engine.primitives import lookup
from ...symbolic.formulas import Name

Ref = int  # a node of a trace, by its position; an operand that is a float is a constant
Node = tuple[str, tuple[Any, ...]]

SOURCES = ("input", "parameter", "draw")  # the nodes of a trace that are read when it runs

# In traces and tapes
LESS = "less"  # (x, y): 1.0 or 0.0
LESS_EQUAL = "less_equal"  # (x, y): 1.0 or 0.0
TAKE = "take"  # (index, entry, entry, ...): the entry at that index

# In traces only
SUMPROD = "sumprod"  # (x, y, x, y, ...): the sum of products from the left
DETACH = "detach"  # (x,): x as a constant, without derivatives: the shift of a softmax

# In tapes only
DOT = "dot"  # (start, x, y, x, y, ...): start + x*y + x*y + ..., from the left
EQUAL = "equal"  # (x, y): 1.0 or 0.0
IF_EQUAL = "when"  # (index, i, x): x if index is i, else 0.0


class LabeledNodes(Protocol):
    """The part of a `Trace` that a tape is made from: its nodes, and labels of some nodes."""

    nodes: list[Node]
    labels: dict[Ref, str]

    def label(self, ref: Ref) -> str:
        """Returns the label of a node, or an empty text."""


def take_at(index: float, *entries: float) -> float:
    """Returns the entry at an index, like `math.take`; raises IndexError like it, too."""
    return math.take(entries, index)  # type: ignore[no-any-return]


def dot(start: float, *factors: float) -> float:
    """Returns start + x * y + x * y + ..., added from the left."""
    for x, y in zip(factors[::2], factors[1::2]):
        start += x * y
    return start


# The instructions that are not rows of the table, on floats
EXTRA: dict[str, Callable[..., float]] = {
    LESS: lambda x, y: 1.0 if x < y else 0.0,
    LESS_EQUAL: lambda x, y: 1.0 if x <= y else 0.0,
    EQUAL: lambda x, y: 1.0 if x == y else 0.0,
    IF_EQUAL: lambda index, i, x: x if index == i else 0.0,
    TAKE: take_at,
    DOT: dot,
}


def forward(op: str) -> Callable[..., float]:
    """Returns the function that computes an operation on floats."""
    return EXTRA.get(op) or lookup(op).forward


def operand_count(op: str, args: Sequence[Any]) -> int:
    """Returns the number of operands of a ``dot`` or ``take``, without the first; otherwise 1."""
    return len(args) - 1 if op in (DOT, TAKE) else 1


def spelled(op: str, names: list[Name]) -> Name:
    """Returns an operation of a trace or a tape, applied to names, as text."""
    if op in (LESS, LESS_EQUAL):
        return names[0].compare("<" if op == LESS else "<=", names[1])
    if op == TAKE:
        return Name(f"take([{', '.join(map(str, names[1:]))}], {names[0]})")
    if op == SUMPROD:
        products: Name = sum([x * y for x, y in zip(names[2::2], names[3::2])], names[0] * names[1])
        return products
    if op == DETACH:
        return Name(f"detach({names[0]})")
    return Name.apply_primitive(lookup(op), tuple(names))
