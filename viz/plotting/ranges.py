"""Ranges of axes: around numbers, in equal steps, in bins, and checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tinygrad_edu.engine.primitives import number, short_repr

# what is larger is left out of pictures like an infinity: squares and spans of it are beyond
# floats
LARGEST = 1e100

Range = tuple[float, float]
Plane = tuple[tuple[float, ...], ...]  # plane[row][column], rows by y and columns by x


def padded_range(numbers: Iterable[float], margin: float = 0.1) -> Range:
    """A range around the drawable ``numbers``, wider by ``margin`` times their span on either side;
    never empty."""
    drawn = [x for x in numbers if drawable(x)]
    low = min(drawn, default=0.0)
    high = max(drawn, default=0.0)
    is_wide = high - low > 1e-9 * max(abs(low), abs(high))
    pad = margin * (high - low) if is_wide else 0.5 * max(1.0, abs(low))
    return low - pad, high + pad


def drawable(x: float) -> bool:
    """Whether ``x`` is finite, and not above `LARGEST` in magnitude."""
    return -LARGEST <= x <= LARGEST  # false for nan


def spaced(low: float, high: float, n: int) -> tuple[float, ...]:
    """``n`` numbers from ``low`` to ``high``, both included, at equal distances."""
    return (*[low + (high - low) * (i / (n - 1)) for i in range(n - 1)], high)


def check_range(limits: Range, what: str) -> Range:
    """``limits`` as two floats; ValueError unless they are finite and the first one is the smaller
    one."""
    try:
        low, high = (number(limit, what) for limit in limits)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (drawable(low) and drawable(high) and low < high):
        raise ValueError(
            f"{what} is {short_repr(limits)}; give two finite numbers, the smaller one first"
        )
    return low, high


def check_resolution(resolution: int) -> None:
    """Raises ValueError unless ``resolution`` is a whole number of at least 2."""
    if isinstance(resolution, bool) or not isinstance(resolution, int) or resolution < 2:
        raise ValueError(
            f"resolution is {resolution!r}; it must be a whole number of at least 2, the points "
            "along an axis"
        )


def histogram(numbers: Iterable[float], edges: Sequence[float]) -> list[int]:
    """How many numbers lie in each of the bins between ``edges``, which are in order; the last bin
    has both its ends.

    Numbers outside, and nan, are in none.
    """
    counts = [0] * (len(edges) - 1)
    low = edges[0]
    high = edges[-1]
    for x in numbers:
        if low <= x <= high:
            counts[min(int((x - low) / (high - low) * len(counts)), len(counts) - 1)] += 1
    return counts
