"""A batch in parts of whole blocks: chunk after chunk, here or on the workers of an executor.

A part is a piece of memory: the columns, then the results, and then the sums of each block.  For
processes of this machine, that is memory which they share.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from ...data.summation import BLOCK
from ...errors import WorkerError, counted
from ..running import objects
from ..running.columns import Column
from ..running.memory import AlignedBuffer, address, give_back
from ..running.sums import native
from .batched import Batched, Recipe
from .executors import Task, Workers
from .tasks import Shared

Doubles = Any  # a view of memory with doubles

PART_BYTES = 4 * 2**20  # of a part, if a block is not larger
PENDING_BYTES = 256 * 2**20  # of the parts that are on their way to workers and back
FIRST_SAMPLES = 256  # in the first part, which shows how long one takes
PART_SECONDS = 0.05  # that a part should take


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
        block = 8 * (BLOCK * (columns + results) + sums)
        self.most = BLOCK * max(1, PART_BYTES // max(1, block))  # samples

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


_last: list[SharedMemory] = []  # what a worker has attached, at most one


def _attached(name: str) -> SharedMemory:
    """Returns the shared memory of this name.

    It is kept, because a process that attaches it must be given all of its pages again, which takes
    half as long as computing a short function on them.
    """
    if not _last or _last[0].name != name:
        while _last:
            _last.pop().close()
        _last.append(SharedMemory(name))
    return _last[0]


def run_part(
    recipe: Recipe,
    layout: Layout,
    place: bytearray | tuple[str, int],
    count: int,
    numbers: Sequence[float],
) -> bytes | None:
    """Computes a part in a worker, and returns results and sums, unless memory is shared.

    place: the columns, or the name of shared memory and the position in it.
    """
    if isinstance(place, bytearray):
        memory = bytearray(8 * layout.size(count))
        memory[:len(place)] = place
        compute(recipe.batched, layout, memoryview(memory).cast("d"), count, numbers)
        return bytes(memoryview(memory)[len(place):])
    name, start = place
    with _doubles(_attached(name), start, layout.size(count)) as view:
        compute(recipe.batched, layout, view, count, numbers)
    return None


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
        memory = AlignedBuffer(layout.size(layout.most)).view
        for pieces in cut(chunks, lambda: layout.most):
            count = length(pieces)
            view = memory[:layout.size(count)]
            layout.pack(view, pieces)
            compute(self._function, layout, view, count, self._numbers)
            yield pieces, view[layout.columns * count:]


class There:
    """Runs parts on an executor."""

    def __init__(self, recipe: Shared, layout: Layout, numbers: Sequence[float],
                 executor: Executor) -> None:
        self._recipe = recipe
        self._layout = layout
        self._numbers = numbers
        self._workers = Workers(executor, "batch")
        self._size = min(FIRST_SAMPLES, layout.most)

    def run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Piece], Doubles]]:
        """Yields parts, and the memory of their results and sums."""
        layout = self._layout
        bytes_ = 8 * layout.size(layout.most)
        pending: deque[tuple[list[Piece], Doubles | None]] = deque()
        with ExitStack() as stack:
            ring = None
            most = min(1024, max(2, PENDING_BYTES // bytes_))
            if isinstance(self._workers.executor, ProcessPoolExecutor):
                most = min(most, 2 * self._workers.count + 2)
                ring = _shared_memory(most * bytes_, stack)
            parts = cut(chunks, lambda: self._size)
            tasks = (self._task(pieces, k % most * bytes_, ring, pending)
                     for k, pieces in enumerate(parts))
            stack.callback(_release, pending)
            for result in self._workers.results(tasks, most):
                pieces, view = pending[0]
                count = length(pieces)
                self._adapt(count)
                yield pieces, memoryview(result).cast("d") if view is None else view
                _release([pending.popleft()])

    def _task(self, pieces: list[Piece], start: int, ring: SharedMemory | None,
              pending: deque[tuple[list[Piece], Doubles | None]]) -> Task:
        """Returns the task of a part, whose columns are now in memory."""
        layout = self._layout
        count = length(pieces)
        place: Any
        view: Doubles | None = None
        if ring is None:
            place = bytearray(8 * layout.columns * count)
            layout.pack(memoryview(place).cast("d"), pieces)
        else:
            place = ring.name, start
            with _doubles(ring, start, layout.size(count)) as part:
                layout.pack(part, pieces)
                view = part[layout.columns * count:]
        pending.append((pieces, view))
        return Task(run_part, [self._recipe], [layout, place, count, self._numbers])

    def _adapt(self, count: int) -> None:
        """Chooses the size of the next part, after one of ``count`` samples."""
        wanted = int(count * PART_SECONDS / max(self._workers.seconds, 1e-6))
        wanted = min(wanted, 4 * self._size, self._layout.most)
        self._size = max(BLOCK, wanted // BLOCK * BLOCK)


def _doubles(shared: SharedMemory, start: int, count: int) -> Doubles:
    """Returns so many doubles from a position on."""
    assert shared.buf is not None
    with shared.buf[start:start + 8 * count] as part:
        return part.cast("d")


def _release(parts: Iterable[tuple[list[Piece], Doubles | None]]) -> None:
    """Releases the views of shared memory, which could not be closed otherwise."""
    for _, view in parts:
        if view is not None:
            view.release()


def _shared_memory(size: int, stack: ExitStack) -> SharedMemory | None:
    """Returns memory that processes share, until the end of the block; None if there is not enough.
    """
    try:
        memory = SharedMemory(create=True, size=size)
        stack.callback(memory.unlink)
        stack.callback(memory.close)
        if os.path.exists(path := f"/dev/shm/{memory.name}"):  # of Linux
            with open(path, "r+b") as file:  # pages that the system cannot give later end a process
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return None
    return memory


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
