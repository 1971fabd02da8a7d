"""Numbers for a page, rounded to a few digits, and an even choice of a few items out of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

COARSE_DIGITS = 4  # significant digits of scores and gradients: only their magnitude is shown
FINE_DIGITS = 7  # significant digits of all other numbers


def evenly(items: Sequence[Any], n: int) -> list[Any]:
    """Returns at most ``n`` items, evenly chosen, including the first and the last if ``n`` > 1."""
    if len(items) <= n:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, n - 1))] for i in range(n)]


def rounded(x: Any, digits: int = FINE_DIGITS) -> Any:
    """Returns a number with so many significant digits, or None if it is inf or nan.

    Of rows, which may be nested, it returns a tuple of their rounded entries.
    """
    if hasattr(x, "__iter__"):
        return tuple([rounded(entry, digits) for entry in x])
    return float(f"{x:.{digits}g}") if math.isfinite(x) else None
