"""The order in which the numbers of samples are added up, the same in every engine.

Samples form blocks of `BLOCK`, in the order of the batch.  Within a block, sample i is added to
lane i mod `LANES`.  The lanes of a block are added as (0 + 1) + (2 + 3), and blocks from the first
to the last.  Additions of floats are rounded, so their order decides the last digits of a sum.

    >>> total = BlockSum(2)
    >>> for numbers in [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]:
    ...     total.add(numbers)
    >>> total.result()
    [6.0, 0.6000000000000001]
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add

LANES = 4  # samples in a vector: the registers of AVX2; LLVM splits it for other processors
BLOCK = 64  # samples


class BlockSum:
    """Sums of ``count`` numbers over samples, which are added one by one."""

    def __init__(self, count: int) -> None:
        self._zeros = [0.0] * count
        self._total = self._zeros
        self._lanes = [self._zeros] * LANES
        self._added = 0  # samples in this block

    def add(self, numbers: Sequence[float]) -> None:
        """Adds the numbers of the next sample."""
        lane = self._added % LANES
        self._lanes[lane] = [*map(add, self._lanes[lane], numbers)]
        self._added += 1
        if self._added == BLOCK:
            self._close()

    def result(self) -> list[float]:
        """Returns the sums over all samples that were added."""
        if self._added:
            self._close()
        return self._total

    def _close(self) -> None:
        """Adds the block to the total and begins the next one."""
        first, second, third, fourth = self._lanes
        block = map(add, map(add, first, second), map(add, third, fourth))
        self._total = [*map(add, self._total, block)]
        self._lanes = [self._zeros] * LANES
        self._added = 0
