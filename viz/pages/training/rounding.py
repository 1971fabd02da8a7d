"""Numbers for a page, rounded to a few digits or None where they are not finite; and an even choice
of a few items out of many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .records import Number

COARSE_DIGITS = 4  # significant digits of scores and gradients: only their magnitude is shown
FINE_DIGITS = 7  # significant digits of all other numbers


def evenly(items: Sequence[Any], n: int) -> list[Any]:
    """Returns at most ``n`` items, evenly chosen, including the first and the last if ``n`` > 1."""
    if len(items) <= n:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, n - 1))] for i in range(n)]


def rounded_rows(
    rows: Iterable[Iterable[float]], digits: int = FINE_DIGITS
) -> tuple[tuple[Number, ...], ...]:
    """Returns `rounded_row` of each row."""
    return tuple([rounded_row(row, digits) for row in rows])


def rounded_row(numbers: Iterable[float], digits: int = FINE_DIGITS) -> tuple[Number, ...]:
    """Returns `rounded` of each number."""
    return tuple([rounded(x, digits) for x in numbers])


def rounded(x: float, digits: int = FINE_DIGITS) -> Number:
    """Returns ``x`` with so many significant digits, or None if it is inf or nan."""
    return float(f"{x:.{digits}g}") if math.isfinite(x) else None
