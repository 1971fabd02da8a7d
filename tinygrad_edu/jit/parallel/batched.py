"""Functions of numbers for columns of samples: in vectors, in threads, and in parts.

Sums over samples have one order (`summation`), however the samples are divided.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any

from ...data.summation import BLOCK, LANES, BlockSum
from ..running.backend import Kernel
from ..running.columns import Column
from ..running.memory import AlignedBuffer, address, pointers
from ..running.recall import check_rows
from ..tape.tape import Tape

PIECE = 32768  # samples of a column that are copied at once, which the processor's cache can hold


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

    def run(self, inputs: Sequence[Any], results: Sequence[Any], count: int, threads: int = 1
            ) -> list[float]:
        """Writes the columns of the outputs to ``results``, and returns the sums.

        ``inputs`` are numbers that are the same for all samples, and buffers of ``count`` doubles,
        as are ``results``.
        """
        return self._run(inputs, results, count, threads) if count else [0.0] * len(self.summed)

    def block_sums(self, inputs: Sequence[Any], results: Sequence[Any], count: int) -> Any:
        """Does what `run` does, but returns a buffer with the sums of each block, row after row."""
        rows = array("d")
        samples = self._rows(inputs, results, 0, count)
        for _ in range(0, count, BLOCK):
            block = BlockSum(len(self.summed))
            for numbers in islice(samples, BLOCK):
                block.add(numbers)
            rows.extend(block.result())
        return rows

    def outputs(self, results: Sequence[Any], sums: Sequence[Any]) -> list[Any]:
        """Returns columns and sums in the order of the outputs."""
        found = dict(zip([*self.columns, *self.summed], [*results, *sums]))
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
        from ..running import straight_line

        super().__init__(kernel, len(kernel.tape.outputs), varying, summed)
        self._batch = straight_line.Batch(kernel.tape, varying, summed)

    def block_sums(self, inputs: Sequence[Any], results: Sequence[Any], count: int) -> Any:
        """Does what `run` does, but returns a buffer with the sums of each block, row after row."""
        rows = -(-count // BLOCK)
        sums = self._part(inputs, results, 0, count, rows)
        return sums.totals.view[:rows * len(self.summed)]

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
        from ..running.sums import BlockSums

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
                    x.copy(copy.view[:end - at], at, end)
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


@dataclass
class Recipe:
    """What a worker makes a `Batched` of.

    tape, varying, summed: see `Batched`.
    rows: what tells this recipe from others with the same tape (`recall.own_rows`).
    """

    tape: Tape
    varying: Sequence[int]
    summed: Sequence[int]
    rows: list[str] = field(default_factory=list)

    @cached_property
    def batched(self) -> Batched:
        """The function for columns, compiled when it is first used."""
        check_rows(self.tape, self.rows)
        return batched(Kernel(self.tape), self.varying, self.summed)

    def __reduce__(self) -> tuple[Any, ...]:
        return Recipe, (self.tape, self.varying, self.summed, self.rows)


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
