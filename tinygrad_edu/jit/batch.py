"""Compiled functions over columns: one call for many samples.

    >>> from tinygrad_edu import jit
    >>> f = jit(lambda x, k: k * x**2)
    >>> f.batch([1.0, 2.0, 3.0], 10.0).tolist()
    [10.0, 40.0, 90.0]
    >>> values, (dx, dk) = f.batch_value_and_grad([1.0, 2.0, 3.0], 10.0)
    >>> dx.tolist(), dk
    ([20.0, 40.0, 60.0], 14.0)
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import prod
from typing import Any

from ..data.summation import BLOCK, LANES, BlockSum
from ..engine.arrays import as_array, is_array, is_table, remedy
from ..errors import exact_number, wrong_type
from .running.backend import Kernel
from .running.columns import Column, column, is_column, is_plain
from .running.memory import AlignedBuffer, address, pointers
from .structure import (
    ARRAY,
    NUMBER,
    StaticValue,
    Structure,
    container,
    is_number,
    is_static,
)

PIECE = 32768  # samples of a column that are copied at once, which the processor's cache can hold


def flatten_columns(x: Any, name: str, leaves: list[Any]) -> Structure:
    """Takes arguments apart like `structure.flatten`, with columns in place of numbers.

    The innermost lists, arrays and buffers are the columns, and the last dimension of a numpy array
    counts the samples.  Columns may hold booleans.  Appends to ``leaves`` a buffer of doubles
    (`memory.column`) for each column, and a float for each number that all samples share.
    """
    if is_number(x):
        leaves.append(exact_number(x, f"argument {name}"))
        return NUMBER
    if is_static(x):
        return "=", StaticValue(x)
    parts = _chunks(x) if is_table(x) else [x]
    if parts and all(map(is_column, parts)):
        _check_missing(x, name)
        if len(parts) > 1 and all(map(is_plain, parts)):
            leaves.append(Column(parts, name))
        else:
            leaves.append(column(parts[0] if len(parts) == 1 else as_array(x), name))
        return NUMBER
    is_one = getattr(x, "shape", None) == ()
    if is_one or not hasattr(x, "__len__") or not hasattr(x, "__getitem__"):
        raise wrong_type(
            f"batch: argument {name}", "a column of numbers, a number that is the same for all "
            "samples, or a list, tuple or dict of them", x, "pass a list or an array"
        )
    if is_array(x):
        *shape, length = x.shape
        rows = x.reshape(prod(shape), length)
        return ARRAY, tuple(shape), tuple([flatten_columns(row, name, leaves) for row in rows])
    if isinstance(x, memoryview):
        return flatten_columns(x.tolist(), name, leaves)
    if other := remedy(x):
        raise TypeError(
            f"batch: argument {name} must be a list, tuple or dict of columns, or a numpy array "
            f"whose last dimension is the samples, not {type(x).__name__}; {other}, transposed if "
            "the samples are its rows"
        )
    return container(x, name, leaves, flatten_columns)


def _chunks(table: Any) -> list[Any]:
    """Returns the pieces of memory that a column of a table consists of, as arrays."""
    chunks = getattr(table, "chunks", None)  # of pyarrow
    if hasattr(table, "get_chunks"):  # of polars
        chunks = table.get_chunks()
    return [as_array(table)] if not chunks or len(chunks) == 1 else [*map(as_array, chunks)]


def _check_missing(x: Any, name: str) -> None:
    """Raises TypeError if a number is missing in a column of pandas, polars or pyarrow."""
    count = getattr(x, "null_count", 0)
    if hasattr(x, "hasnans") and not hasattr(x.dtype, "newbyteorder"):  # not a dtype of numpy
        count = x.hasnans
    if count() if callable(count) else count:
        i = as_array(x.isna() if hasattr(x, "isna") else x.is_null()).tolist().index(True)
        raise TypeError(
            f"batch: column {name} must be made of numbers, but entry {i} is missing; leave out "
            "samples with missing numbers, or fill them"
        )


@dataclass
class Batched:
    """A function of numbers for columns, sample by sample: it returns columns, or sums over them.

    kernel: the function, from the list of its inputs to the list of its outputs.
    count: the number of its outputs.
    varying: the inputs that are columns.
    summed: the outputs that are summed over the samples.
    """

    kernel: Callable[[list[Any]], Sequence[float]]
    count: int
    varying: Sequence[int]
    summed: Sequence[int]

    def __post_init__(self) -> None:
        summed = set(self.summed)
        self.columns = [i for i in range(self.count) if i not in summed]

    def run(self, inputs: Sequence[Any], count: int, threads: int = 1) -> list[Any]:
        """Returns the outputs: an array for each column, a float for each sum.

        ``inputs`` are numbers that are the same for all samples, and buffers of ``count`` doubles.
        """
        results = [array("d", bytes(8 * count)) for _ in self.columns]
        totals = [0.0] * len(self.summed)
        if count:
            totals = self._run(inputs, results, count, threads)
        found = dict(zip([*self.columns, *self.summed], [*results, *totals]))
        return [found[i] for i in range(len(found))]

    def _run(self, inputs: Sequence[Any], results: Sequence[array[float]], count: int, threads: int
             ) -> list[float]:
        """Computes the samples, and returns the sums."""
        inputs = [x.numbers(0, count) if isinstance(x, Column) else x for x in inputs]
        size = -(-count // threads)
        parts = [self._rows(inputs, results, start, min(start + size, count))
                 for start in range(0, count, size)]
        totals = BlockSum(len(self.summed))
        rows = parts if len(parts) == 1 else _spread([partial(list, part) for part in parts])
        for row in chain(*rows):
            totals.add(row)
        return totals.result()

    def _rows(self, inputs: Sequence[Any], results: Sequence[array[float]], start: int, stop: int
              ) -> Iterator[array[float]]:
        """Computes the samples from ``start`` to ``stop``, and yields what is summed of each."""
        sample = [*inputs]
        for k in range(start, stop):
            for i in self.varying:
                sample[i] = inputs[i][k]
            outputs = self.kernel(sample)
            for result, i in zip(results, self.columns):
                result[k] = outputs[i]
            yield array("d", [outputs[i] for i in self.summed])


class CompiledBatch(Batched):
    """A tape for columns, compiled: it runs vectors of samples."""

    def __init__(self, kernel: Kernel, varying: Sequence[int], summed: Sequence[int]) -> None:
        from .running import straight_line

        super().__init__(kernel, len(kernel.tape.outputs), varying, summed)
        self._batch = straight_line.Batch(kernel.tape, varying, summed)

    def _run(self, inputs: Sequence[Any], results: Sequence[array[float]], count: int, threads: int
             ) -> list[float]:
        blocks = -(-count // (BLOCK * threads))  # for each thread
        starts = range(0, count, BLOCK * blocks)
        rows = blocks if len(starts) > 1 else 0
        parts = _spread([
            partial(self._part, inputs, results, start, min(start + BLOCK * blocks, count), rows)
            for start in starts
        ])
        total = parts[0]
        if rows:
            total = type(total)(len(self.summed))
            for part in parts:
                total.add(part, rows)
        return total.totals.read(0, len(self.summed))  # type: ignore[no-any-return]

    def _part(self, inputs: Sequence[Any], results: Sequence[array[float]], start: int, stop: int,
              rows: int) -> Any:
        """Computes the samples from ``start`` to ``stop``, and returns `BlockSums`."""
        from .running.sums import BlockSums

        batch = self._batch
        columns = [inputs[i] for i in self.varying]
        copies = [AlignedBuffer(PIECE) if isinstance(x, Column) else None for x in columns]
        places = [address(x) if copy is None else copy.address for x, copy in zip(columns, copies)]
        targets = [*map(address, results)]
        memory = AlignedBuffer(batch.slots)
        memory.write(0, [x for i, x in enumerate(inputs) if i not in self.varying])
        scratch = AlignedBuffer(batch.scratch)
        error = AlignedBuffer(1)
        sums = BlockSums(len(self.summed), rows)

        def run(inputs: Sequence[int], outputs: Sequence[int], vectors: int, mask: int) -> None:
            pair = [pointers(inputs), pointers(outputs)]
            addresses = [memory.address, *map(ctypes.addressof, pair), scratch.address]
            if mask:
                sums.run_part(batch, addresses, mask, error.address)
            else:
                sums.run(batch, addresses, vectors, error.address)

        rest = (stop - start) % LANES
        size = PIECE if any(copies) else max(stop - start, 1)
        for at in range(start, stop - rest, size):
            end = min(at + size, stop - rest)
            for x, copy in zip(columns, copies):
                if copy is not None:
                    x.copy(copy, at, end)
            run([place + 8 * at * (copy is None) for place, copy in zip(places, copies)],
                [target + 8 * at for target in targets], (end - at) // LANES, 0)
        if rest:  # a vector of the last samples, filled up with copies of the last one
            tails = [AlignedBuffer(LANES) for _ in columns]
            for tail, x in zip(tails, columns):
                is_copied = isinstance(x, Column)
                last = x.numbers(stop - rest, stop) if is_copied else x[stop - rest:stop]
                tail.write(0, [*last, *[last[-1]] * (LANES - rest)])
            found = [AlignedBuffer(LANES) for _ in results]
            run([tail.address for tail in tails], [buffer.address for buffer in found], 1,
                (1 << rest) - 1)
            for result, buffer in zip(results, found):
                result[stop - rest:stop] = array("d", buffer.read(0, rest))
        batch.check(error.address)
        sums.close()
        return sums


def batched(kernel: Kernel, varying: Sequence[int], summed: Sequence[int]) -> Batched:
    """Returns a kernel for columns; for the arguments see `Batched`."""
    if kernel.kind == "compiled":
        return CompiledBatch(kernel, varying, summed)
    return Batched(kernel, len(kernel.tape.outputs), varying, summed)


def _spread(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """Returns the results of several calls, each made in its own thread."""
    if len(work) == 1:
        return [work[0]()]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(work)) as pool:
        try:
            found = [pool.submit(piece) for piece in work]
        except RuntimeError:  # Python is shutting down and starts no threads
            return [piece() for piece in work]
        return [piece.result() for piece in found]


def drawn(draws: Sequence[Callable[[], float]], count: int) -> list[array[float]]:
    """Returns a column for each of the draws, drawn sample by sample."""
    columns = [array("d", bytes(8 * count)) for _ in draws]
    for k in range(count if draws else 0):
        for column_, draw in zip(columns, draws):
            column_[k] = draw()
    return columns
