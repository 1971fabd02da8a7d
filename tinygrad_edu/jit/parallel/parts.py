"""A batch in parts of whole blocks: chunk after chunk, here or on the workers of an executor.

A part is a piece of memory: the columns, then the results, and then the sums of each block.
Workers on this machine share it; others are sent the columns, and return the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from math import inf
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
from .sharing import Doubles, Place, Slot, Slots, claimed, slots_of
from .tasks import Shared

PART_BYTES = 4 * 2**20  # of a part, if a block is not larger
SHARED_BYTES = 32 * 2**20  # the same in shared memory, so that Dask has fewer tasks
PENDING_BYTES = 256 * 2**20  # of the parts that are on their way to workers and back
MOST_PIECES = 64  # of small chunks, from which on a part ends with the next whole block
SMALL_BYTES = 2**20  # of a batch for which shared memory does not pay
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

    def pack(self, view: Doubles, room: int, at: int, piece: Piece) -> None:
        """Copies the columns of a piece to a part with room for so many samples, from ``at`` on."""
        chunk, start, stop = piece
        for k, column in enumerate(chunk.columns):
            first = k * room + at
            with view[first:first + stop - start] as target:  # released, also after an error
                if isinstance(column, Column):
                    column.copy(target, start, stop)
                else:
                    target[:] = column[start:stop]
            for buffer in column.parts if isinstance(column, Column) else [column]:
                give_back(buffer)

    def close_up(self, view: Doubles, room: int, count: int) -> None:
        """Moves the columns of a part that did not get so many samples as it has room for."""
        for k in range(1, self.columns if count < room else 0):
            view[k * count:(k + 1) * count] = view[k * room:k * room + count]

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


def packed(
    chunks: Iterable[Chunk],
    layout: Layout,
    size: Callable[[], int],
    make: Callable[[int], Doubles],
) -> Iterator[list[Piece]]:
    """Copies the columns of chunks to parts, and yields the pieces of each part.

    A chunk is copied before the next one is taken, which may be in the same memory.  Parts have
    ``size()`` samples, or fewer whole blocks if the chunks are small.  What the chunks raise is
    raised after the part that was begun.

    make: returns memory for a part with so many samples.
    """
    pieces: list[Piece] = []
    at = room = end = 0
    view: Doubles = None
    failures: list[Exception] = []
    for chunk in _before_failure(chunks, failures):
        start = 0
        while start < chunk.count:
            if not pieces:
                room = end = size()
                view = make(room)
            stop = min(chunk.count, start + end - at)
            layout.pack(view, room, at, (chunk, start, stop))
            pieces.append((chunk, start, stop))
            at += stop - start
            start = stop
            if len(pieces) == MOST_PIECES:
                end = -(-at // BLOCK) * BLOCK
            if at == end:
                layout.close_up(view, room, at)
                yield pieces
                pieces = []
                at = 0
        chunk.columns = ()
    if pieces:
        layout.close_up(view, room, at)
        yield pieces
    for failure in failures:
        raise failure


def _before_failure(chunks: Iterable[Chunk], failures: list[Exception]) -> Iterator[Chunk]:
    """Yields chunks, and appends to ``failures`` what they raise."""
    try:
        yield from chunks
    except Exception as error:
        failures.append(error)


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
) -> bytearray | bool:
    """Computes a part in a worker, and returns results and sums.

    place: the columns, or where they are in shared memory; then this returns whether the worker can
        use that memory.
    """
    if isinstance(place, bytearray):
        memory = bytearray(8 * layout.size(count))
        memory[:len(place)] = place
        compute(recipe.batched, layout, memoryview(memory).cast("d"), count, numbers)
        return memory[len(place):]
    with claimed(place, layout.size(count)) as view:
        if view is not None:
            compute(recipe.batched, layout, view, count, numbers)
        return view is not None


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
        for pieces in packed(chunks, layout, lambda: most, lambda room: memory):
            count = length(pieces)
            view = memory[:layout.size(count)]
            compute(self._function, layout, view, count, self._numbers)
            yield pieces, view[layout.columns * count:]


@dataclass
class Part:
    """A part on its way to a worker and back.

    place: its columns, or where they are in shared memory.
    view: that memory.
    slot: the slot of shared memory, or None if the columns are sent.
    pieces: the samples, when all are there.
    """

    place: bytearray | Place
    view: Doubles
    slot: Slot | None = None
    pieces: list[Piece] = field(default_factory=list)


class There:
    """Runs parts on an executor.

    total: the number of samples, if it is known, and else 0.
    """

    def __init__(self, kernel: Kernel, recipe: Shared, layout: Layout, numbers: Sequence[float],
                 executor: Executor, total: int) -> None:
        self._recipe = recipe
        self._layout = layout
        self._numbers = numbers
        self._workers = Workers(executor, "batch")
        seconds = EXPECTED[kernel.kind] * max(1, kernel.tape.operations)
        self._first = FIRST_SECONDS / seconds
        self._pace = inf  # seconds for a sample, in the fastest part
        self._slots: Slots | None = None  # without them, the numbers are sent to the workers
        self._is_small = 0 < 8 * layout.size(total) < SMALL_BYTES

    def _limit_parts(self, size: int) -> None:
        """Limits parts to so many bytes; the next one is small, and shows how long one takes."""
        self._most = self._layout.most(size)
        self._size = self._whole_blocks(self._first)

    def _stop_sharing(self) -> None:
        """Has the numbers sent from now on."""
        if self._slots is not None:
            self._slots = None
            self._limit_parts(PART_BYTES)

    def _most_pending(self) -> int:
        """Returns how many parts are on their way to workers and back."""
        if self._slots is not None:
            seen = self._workers.seen
            usable = self._slots.usable
            return max(1, min(usable, 2 * seen + 1) if seen else usable)
        sent = PENDING_BYTES // (8 * self._layout.size(self._most))
        return min(max(2, sent), 1024)

    def run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Piece], Doubles]]:
        """Yields parts, and the memory of their results and sums."""
        is_sent = self._is_small or self._workers.are_threads
        count = 0 if is_sent else 2 * self._workers.count + 1
        size = min(SHARED_BYTES, PENDING_BYTES // max(1, count))
        most = self._layout.most(size)
        with slots_of(8 * self._layout.size(most), count) as self._slots:
            self._limit_parts(PART_BYTES if self._slots is None else size)
            yield from self._run(chunks)

    def _run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Piece], Doubles]]:
        layout = self._layout
        parts: deque[Part] = deque()  # the last one may not be whole yet

        def make(room: int) -> Doubles:
            parts.append(self._part(room))
            return parts[-1].view

        def tasks() -> Iterator[Task]:
            for pieces in packed(chunks, layout, lambda: self._size, make):
                part = parts[-1]
                part.pieces = pieces
                count = length(pieces)
                if isinstance(part.place, bytearray):
                    part.view.release()
                    del part.place[8 * layout.columns * count:]
                yield self._task(part.place, count)

        with closing(self._workers.results(tasks(), self._most_pending)) as results:
            for result in results:
                yield from self._completed(result, parts[0])
                part = parts.popleft()
                part.view.release()
                if self._slots is not None and part.slot is not None:
                    self._slots.end(part.slot)

    def _part(self, room: int) -> Part:
        """Returns a part with room for so many samples, in shared memory if there is any."""
        if self._slots is not None and (begun := self._slots.begin(self._layout.size(room))):
            return Part(*begun)
        self._stop_sharing()
        sent = bytearray(8 * self._layout.columns * room)
        return Part(sent, memoryview(sent).cast("d"))

    def _completed(self, result: Any, part: Part) -> Iterator[tuple[list[Piece], Doubles]]:
        """Yields the samples of a part, and the memory of its results and sums.

        result: what `run_part` returned.
        """
        count = length(part.pieces)
        if result is False:  # the worker cannot open the memory
            self._stop_sharing()
            result = self._sent(part.view, count)
        self._adapt(count)
        if result is True:
            with part.view[self._layout.columns * count:self._layout.size(count)] as found:
                yield part.pieces, found
        else:
            yield part.pieces, memoryview(result).cast("d")

    def _sent(self, view: Doubles, count: int) -> bytearray:
        """Returns what a worker computes that is sent the columns of a part in shared memory."""
        with view[:self._layout.columns * count] as columns:
            task = self._task(bytearray(columns), count)
        with closing(self._workers.results([task], lambda: 1)) as results:
            return next(results)  # type: ignore[no-any-return]

    def _task(self, place: bytearray | Place, count: int) -> Task:
        return Task(run_part, [self._recipe], [self._layout, place, count, self._numbers])

    def _adapt(self, count: int) -> None:
        """Chooses the size of the next part, after one of ``count`` samples."""
        # the first part of a worker may take long, since the function is compiled there
        self._pace = min(self._pace, max(self._workers.seconds, 1e-6) / count)
        self._size = self._whole_blocks(min(PART_SECONDS / self._pace, 4 * self._size))

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
    except Exception as error:
        if isinstance(error, WorkerError):
            error.samples = done
            error.args = (f"{error}. Call it again with a new executor; no gradient was changed",)
        if done:
            error.add_note(f"batch: the first {counted(done, 'sample')} have their results")
        raise
    yield from begun
