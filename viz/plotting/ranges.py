"""Ranges of axes, equally spaced points, histogram bins, and checks of ranges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tinygrad_edu.errors import number, short_repr

# Larger numbers are left out of pictures, as inf is: their squares and differences overflow.
LARGEST = 1e100
MAX_POINTS = 100_000  # of a curve; more cannot be told apart
MAX_GRID_POINTS = 1_000  # along an axis of a plane, which has the square of it

Range = tuple[float, float]
Plane = tuple[tuple[float, ...], ...]  # plane[row][column], rows by y and columns by x


def padded_range(numbers: Iterable[float], margin: float = 0.1) -> Range:
    """Returns a range around the drawable ``numbers``.

    It is never empty.  ``margin`` times their span is added on either side.
    """
    shown = list(filter(drawable, numbers)) or [0.0]
    low = min(shown)
    high = max(shown)
    is_wide = high - low > 1e-9 * max(abs(low), abs(high))
    pad = margin * (high - low) if is_wide else 0.5 * max(1.0, abs(low))
    return low - pad, high + pad


def drawable(x: float) -> bool:
    """Returns whether ``x`` is finite and at most `LARGEST` in magnitude."""
    return -LARGEST <= x <= LARGEST  # false for nan


def drawn(x: float) -> float:
    """Returns ``x`` if it is `drawable`, else nan, which matplotlib leaves out."""
    return x if drawable(x) else math.nan


def spaced(low: float, high: float, n: int) -> tuple[float, ...]:
    """Returns ``n`` equally spaced numbers from ``low`` to ``high``, both included."""
    return (*[low + (high - low) * (i / (n - 1)) for i in range(n - 1)], high)


def check_range(limits: Range, what: str) -> Range:
    """Returns ``limits`` as two floats.

    Raises:
        ValueError: they are not two finite numbers, or the first is not smaller than the second.
    """
    try:
        low, high = (number(limit, what) for limit in limits)
    except (ArithmeticError, TypeError, ValueError):
        low = high = math.nan
    if not -LARGEST <= low < high <= LARGEST:
        raise ValueError(
            f"{what} must be two finite numbers, the smaller one first, not {short_repr(limits)}"
        )
    return low, high


def histogram(numbers: Iterable[float], edges: Sequence[float]) -> list[int]:
    """Counts the numbers in each of the equal bins between ``edges``, which are in order.

    The last bin includes both its ends.  Numbers outside, and nan, are not counted.
    """
    counts = [0] * (len(edges) - 1)
    low, *_, high = edges
    for x in numbers:
        if low <= x <= high:
            counts[min(int((x - low) / (high - low) * len(counts)), len(counts) - 1)] += 1
    return counts
