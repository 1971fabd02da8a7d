"""Sums over samples in machine code, with the bits of `summation.BlockSum`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from ...data.summation import BLOCK, LANES
from .memory import AlignedBuffer
from .straight_line import Batch, Compiled

if TYPE_CHECKING:
    from ..languages.emitter import Module

VECTORS = BLOCK // LANES  # in a block


@cache
def native() -> Compiled:
    """Returns the functions of `languages.sums`, compiled."""
    def write() -> Module:
        from ..languages.emitter import Module
        from ..languages.sums import SUMS

        return Module([SUMS])

    return Compiled(write, ["fold", "merge", "put", "add", "finish"], "sums")


class BlockSums:
    """Sums of ``count`` numbers over samples.

    totals: the sums over the blocks that are complete.  With ``rows``, every block has a row of
        totals of its own.
    """

    def __init__(self, count: int, rows: int = 0) -> None:
        self.count = count
        padded = count + LANES
        self.totals = AlignedBuffer(count * max(1, rows) + LANES)
        self.lanes = AlignedBuffer(LANES * padded)
        self.vector = AlignedBuffer(LANES * padded)  # all 0, except while a part of it is added
        self._rows = rows
        self._stride = count if rows else 0
        self._position = 0  # vectors that were added, or the first one of the next block
        self._is_open = False  # whether the last block is not complete

    def clear(self) -> None:
        """Sets all sums to 0."""
        ctypes.memset(self.totals.address, 0, 8 * self.count)
        if self._is_open:  # an error left it open
            for buffer in (self.lanes, self.vector):
                ctypes.memset(buffer.address, 0, 8 * LANES * self.count)
        self._position = 0
        self._is_open = False

    def run(self, batch: Batch, addresses: Iterable[int], vectors: int, error: int) -> None:
        """Runs a batch for whole vectors, and adds its sums.

        ``addresses``: of the batch's uniform registers, columns, results and scratch buffer.
        """
        self._is_open = True
        block, position = divmod(self._position, VECTORS)
        totals = self.totals.address + 8 * self._stride * block
        self._position += vectors
        batch.run(*addresses, self.lanes.address, totals, vectors, position, self._stride, error)
        self._is_open = self._position % VECTORS > 0

    def run_part(self, batch: Batch, addresses: Iterable[int], mask: int, error: int) -> None:
        """Runs a batch for one vector, of which the samples in the bits of ``mask`` are added."""
        self._is_open = True
        vector = self.vector.address
        batch.run(*addresses, vector, 0, 1, 0, 0, error)
        native().functions["merge"](self.lanes.address, vector, self.count, mask)

    def put(self, numbers: int, count: int, lane: int) -> None:
        """Adds the numbers of a sample, at an address, to a lane, and sets them to 0."""
        self._is_open = True
        native().functions["put"](self.lanes.address, numbers, count, lane)

    def close(self) -> None:
        """Completes the last block."""
        if self._is_open:
            block = self._position // VECTORS
            totals = self.totals.address + 8 * self._stride * block
            native().functions["fold"](self.lanes.address, totals, self.count)
            self._position = VECTORS * (block + 1)
            self._is_open = False

    @property
    def rows(self) -> bytes:
        """The bytes of the rows of totals."""
        return self.totals.view[:self.count * self._rows].tobytes()

    def add(self, other: BlockSums, rows: int) -> None:
        """Adds rows of totals, one after the other."""
        self._add(other.totals.address, rows * self.count)

    def add_bytes(self, rows: bytes) -> None:
        """Adds rows of totals that are the bytes of doubles, one after the other."""
        self._add(rows, len(rows) // 8)

    def _add(self, rows: int | bytes, entries: int) -> None:
        if entries:
            native().functions["add"](self.totals.address, rows, self.count, entries)
