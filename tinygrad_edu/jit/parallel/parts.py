"""A batch in parts of whole blocks: chunk after chunk, here or on the workers of an executor.

A part is a piece of memory: the columns, then the results, and then the sums of each block.
Workers on this machine share it; others are sent the columns, and return the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ...data.summation import BLOCK
from ...errors import WorkerError, counted
from ..running import objects
from ..running.backend import Kernel
from ..running.columns import Column
from ..running.memory import AlignedBuffer, address, give_back
from ..running.sums import native
from .batched import Batched, Recipe
from .executors import Task, Workers
from .sharing import HEAD, Doubles, Place, Ring, attached, doubles, is_attached, ring
from .tasks import Shared

PART_BYTES = 4 * 2**20  # of a part, if a block is not larger
SHARED_BYTES = 16 * 2**20  # the same in shared memory, so that Dask has fewer tasks
PENDING_BYTES = 256 * 2**20  # of the parts that are on their way to workers and back
PART_SECONDS = 0.05  # that a part should take
FIRST_SECONDS = 0.005  # the same for the first part, which shows how long one takes
# seconds that an instruction is expected to take, until then
EXPECTED = {"compiled": 2e-9, "tape machine": 5e-9, "replayed": 2e-6}


@dataclass
class Chunk:
    """Samples that came together.

    columns: their columns, in the order of the inputs.
    count: how many there are.
    results: buffers for the columns of the results; None for one that is not kept.
    left: how many have no results yet.
    """

    columns: Sequence[Any]
    count: int
    results: Sequence[Any]

    def __post_init__(self) -> None:
        self.left = self.count
        self.views = [None if x is None else memoryview(x) for x in self.results]


Piece = tuple[Chunk, int, int]  # the samples of a chunk from a start to a stop


def cut(chunks: Iterable[Chunk], size: Callable[[], int]) -> Iterator[list[Piece]]:
    """Yields the samples of chunks in parts of ``size()``, of which the last may be smaller."""
    pieces: list[Piece] = []
    room = size()
    for chunk in chunks:
        start = 0
        while start < chunk.count:
            stop = min(chunk.count, start + room)
            pieces.append((chunk, start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield pieces
                pieces = []
                room = size()
    if pieces:
        yield pieces


def length(pieces: Sequence[Piece]) -> int:
    """Returns the number of samples in pieces."""
    return sum(stop - start for _, start, stop in pieces)


class Layout:
    """The memory of a part.

    columns, results, sums: how many there are.
    """

    def __init__(self, columns: int, results: int, sums: int) -> None:
        self.columns = columns
        self.results = results
        self.sums = sums

    def most(self, size: int) -> int:
        """Returns how many samples a part of ``size`` bytes has; at least a block."""
        block = 8 * (BLOCK * (self.columns + self.results) + self.sums)
        return BLOCK * max(1, size // max(1, block))

    def size(self, count: int) -> int:
        """Returns the number of doubles of a part with so many samples."""
        return (self.columns + self.results) * count + self.sums * -(-count // BLOCK)

    def views(self, view: Doubles, count: int) -> tuple[list[Doubles], list[Doubles]]:
        """Returns the columns and the results of a part."""
        ends = range(0, (self.columns + self.results) * count, count)
        columns = [view[start:start + count] for start in ends]
        return columns[:self.columns], columns[self.columns:]

    def pack(self, view: Doubles, pieces: Sequence[Piece]) -> None:
        """Copies the columns of some pieces to a part."""
        columns, _ = self.views(view, length(pieces))
        at = 0
        for chunk, start, stop in pieces:
            end = at + stop - start
            for target, column in zip(columns, chunk.columns):
                if isinstance(column, Column):
                    column.copy(target[at:end], start, stop)
                else:
                    target[at:end] = column[start:stop]
                for buffer in column.parts if isinstance(column, Column) else [column]:
                    give_back(buffer)
            at = end

    def deliver(self, view: Doubles, pieces: Sequence[Piece]) -> None:
        """Copies the results, with which ``view`` begins, to their chunks."""
        count = length(pieces)
        at = 0
        for chunk, start, stop in pieces:
            end = at + stop - start
            for k, target in enumerate(chunk.views):
                if target is not None:
                    target[start:stop] = view[k * count + at:k * count + end]
                    give_back(target)
            chunk.left -= stop - start
            at = end


# ---- in a worker ---------------------------------------------------------------------------------


def compute(
    function: Batched, layout: Layout, view: Doubles, count: int, numbers: Sequence[float]
) -> None:
    """Computes a part in its memory.

    numbers: the inputs that all samples share.
    """
    columns, results = layout.views(view, count)
    inputs: list[Any] = [*numbers]
    for i, column in zip(function.varying, columns):
        inputs.insert(i, column)
    sums = function.block_sums(inputs, results, count)
    view[(layout.columns + layout.results) * count:] = memoryview(sums)


def run_part(
    recipe: Recipe,
    layout: Layout,
    place: bytearray | Place,
    count: int,
    numbers: Sequence[float],
) -> bytes | bool:
    """Computes a part in a worker, and returns results and sums.

    place: the columns, or where they are in shared memory; then this returns whether the worker has
        that memory.
    """
    if isinstance(place, bytearray):
        memory = bytearray(8 * layout.size(count))
        memory[:len(place)] = place
        compute(recipe.batched, layout, memoryview(memory).cast("d"), count, numbers)
        return bytes(memoryview(memory)[len(place):])
    name, token, start, _ = place
    if (buffer := attached(name, token)) is None:
        return False
    with doubles(buffer, start, layout.size(count)) as view:
        compute(recipe.batched, layout, view, count, numbers)
    return True


# ---- where parts run -----------------------------------------------------------------------------


class Here:
    """Runs parts in this process."""

    def __init__(self, function: Batched, layout: Layout, numbers: Sequence[float]) -> None:
        self._function = function
        self._layout = layout
        self._numbers = numbers

    def run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Piece], Doubles]]:
        """Yields parts, and the memory of their results and sums."""
        layout = self._layout
        most = layout.most(PART_BYTES)
        memory = AlignedBuffer(layout.size(most)).view
        for pieces in cut(chunks, lambda: most):
            count = length(pieces)
            view = memory[:layout.size(count)]
            layout.pack(view, pieces)
            compute(self._function, layout, view, count, self._numbers)
            yield pieces, view[layout.columns * count:]


class There:
    """Runs parts on an executor."""

    def __init__(self, kernel: Kernel, recipe: Shared, layout: Layout, numbers: Sequence[float],
                 executor: Executor) -> None:
        self._recipe = recipe
        self._layout = layout
        self._numbers = numbers
        self._workers = Workers(executor, "batch")
        seconds = EXPECTED[kernel.kind] * max(1, kernel.tape.operations)
        self._first = FIRST_SECONDS / seconds
        self._limit(PART_BYTES)

    def run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Piece], Doubles]]:
        """Yields parts, and the memory of their results and sums."""
        parts = cut(chunks, lambda: self._size)
        if self._shares_memory():
            slots = 2 * self._workers.count + 2
            self._limit(min(SHARED_BYTES, PENDING_BYTES // slots))
            with ring(slots, 8 * self._layout.size(self._most)) as found:
                if found is not None:
                    yield from self._run_shared(parts, found, slots)
        self._limit(PART_BYTES)
        yield from self._run_sent(parts)

    def _limit(self, size: int) -> None:
        """Sets the largest size of a part, in bytes."""
        self._most = self._layout.most(size)
        self._size = self._whole_blocks(self._first)

    def _shares_memory(self) -> bool:
        """Returns whether workers are processes of this machine."""
        if isinstance(self._workers.executor, ThreadPoolExecutor):
            return False  # they have it all
        with ring(1, HEAD) as found:
            if found is None:
                return False
            tried = Task(is_attached, [], found.place(0))
            with closing(self._workers.results([tried], 1)) as results:
                return next(results)  # type: ignore[no-any-return]

    def _run_shared(self, parts: Iterator[list[Piece]], memory: Ring, slots: int
                    ) -> Iterator[tuple[list[Piece], Doubles]]:
        pending: deque[tuple[list[Piece], Doubles]] = deque()

        def tasks() -> Iterator[Task]:
            for k, pieces in enumerate(parts):
                count = length(pieces)
                with memory.view(k, self._layout.size(count)) as view:
                    self._layout.pack(view, pieces)
                    pending.append((pieces, view[self._layout.columns * count:]))
                yield self._task(memory.place(k), count)

        try:
            with closing(self._workers.results(tasks(), slots)) as results:
                for is_done in results:
                    pieces, view = pending[0]
                    self._adapt(length(pieces))
                    if is_done:
                        yield pieces, view
                    else:  # one of the workers is on another machine
                        yield from self._run_sent(iter([pieces]))
                    pending.popleft()[1].release()
        finally:
            for _, view in pending:
                view.release()

    def _run_sent(self, parts: Iterator[list[Piece]]) -> Iterator[tuple[list[Piece], Doubles]]:
        pending: deque[list[Piece]] = deque()

        def tasks() -> Iterator[Task]:
            for pieces in parts:
                count = length(pieces)
                columns = bytearray(8 * self._layout.columns * count)
                self._layout.pack(memoryview(columns).cast("d"), pieces)
                pending.append(pieces)
                yield self._task(columns, count)

        most = max(2, PENDING_BYTES // (8 * self._layout.size(self._most)))
        with closing(self._workers.results(tasks(), min(most, 1024))) as results:
            for result in results:
                pieces = pending.popleft()
                self._adapt(length(pieces))
                yield pieces, memoryview(result).cast("d")

    def _task(self, place: bytearray | Place, count: int) -> Task:
        return Task(run_part, [self._recipe], [self._layout, place, count, self._numbers])

    def _adapt(self, count: int) -> None:
        """Chooses the size of the next part, after one of ``count`` samples."""
        wanted = count * PART_SECONDS / max(self._workers.seconds, 1e-6)
        self._size = self._whole_blocks(min(wanted, 4 * self._size))

    def _whole_blocks(self, samples: float) -> int:
        return max(1, min(int(samples), self._most) // BLOCK) * BLOCK


class Totals:
    """Sums over all samples, to which those of blocks are added in order."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sums = AlignedBuffer(count)

    def add(self, rows: Doubles) -> None:
        """Adds rows of sums, the sums of a block each."""
        if self._count and objects.available():
            add = native().functions["add"]
            add(self._sums.address, address(rows), self._count, len(rows))
        elif self._count:
            for i, x in enumerate(rows):
                self._sums[i % self._count] += x

    def result(self) -> list[float]:
        """Returns the sums."""
        return self._sums.read(0, self._count)


def completed(
    place: Here | There, layout: Layout, chunks: Iterable[Chunk], totals: Totals
) -> Iterator[Chunk]:
    """Yields chunks when they have their results; the sums are complete after the last of them."""
    begun: deque[Chunk] = deque()

    def noted() -> Iterator[Chunk]:
        for chunk in chunks:
            begun.append(chunk)
            yield chunk

    done = 0
    try:
        for pieces, view in place.run(noted()):
            layout.deliver(view, pieces)
            totals.add(view[layout.results * length(pieces):])
            done += length(pieces)
            while begun and not begun[0].left:
                yield begun.popleft()
    except WorkerError as error:
        error.samples = done
        error.args = (
            f"{error}. The first {counted(done, 'sample')} have their results, and no gradient was "
            "changed: call it again with a new executor",
        )
        raise
    yield from begun
