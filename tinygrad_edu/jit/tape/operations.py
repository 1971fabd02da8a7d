"""The operations that traces and tapes have beyond the rows of the table.

    >>> dot(1.0, 2.0, 3.0, 4.0, 5.0)  # 1 + 2 * 3 + 4 * 5
    27.0
    >>> from tinygrad_edu.symbolic.formulas import Name
    >>> print(spelled("take", [Name("i"), Name("x"), Name("y")]))
    take([x, y], i)

None of them has a derivative by its condition or index.
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

# In traces only: tapes have other instructions for them
SUMPROD = "sumprod"  # (x, y, x, y, ...): the sum of products from the left
DETACH = "detach"  # (x,): x, of which nothing is to be differentiated: the shift of a softmax

# In tapes only
DOT = "dot"  # (start, x, y, x, y, ...): start + x*y + x*y + ..., from the left
EQUAL = "equal"  # (x, y): 1.0 or 0.0
WHEN = "when"  # (index, i, x): x if index is i, else 0.0


class LabeledNodes(Protocol):
    """What is read of a `Trace` to make a tape of it: its nodes, and the labels of some."""

    nodes: list[Node]
    labels: dict[Ref, str]

    def label(self, ref: Ref) -> str:
        """The label of a node."""


def take_at(index: float, *entries: float) -> float:
    """What the instruction ``take`` does; raises IndexError as `math.take`."""
    return math.take(entries, index)  # type: ignore[no-any-return]


def dot(start: float, *factors: float) -> float:
    """What the instruction ``dot`` does."""
    for x, y in zip(factors[::2], factors[1::2]):
        start += x * y
    return start


# What is no row of the table, on floats.
EXTRA: dict[str, Callable[..., float]] = {
    LESS: lambda x, y: 1.0 if x < y else 0.0,
    LESS_EQUAL: lambda x, y: 1.0 if x <= y else 0.0,
    EQUAL: lambda x, y: 1.0 if x == y else 0.0,
    WHEN: lambda index, i, x: x if index == i else 0.0,
    TAKE: take_at,
    DOT: dot,
}


def forward(op: str) -> Callable[..., float]:
    """An operation on floats."""
    return EXTRA.get(op) or lookup(op).forward


def _count(op: str, args: Sequence[Any]) -> int:
    """How much there is in an instruction."""
    return len(args) - 1 if op in (DOT, TAKE) else 1


def spelled(op: str, names: list[Name]) -> Name:
    """An operation on names, as text; of a trace or of a tape."""
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
