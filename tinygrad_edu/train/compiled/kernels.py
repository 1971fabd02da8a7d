"""Samples and the programs that compute them, without the user's functions: what workers run, too.

A `Kernel` is the program of samples of one structure.  `Samples` are the numbers of some blocks of
a batch, and a `Part` runs the kernels on them::

    part = Part(kernels, samples)
    part.run(memory, fixed, drawn)  # adds the losses and gradients to memory.sums

Kernels run on all samples at once or, if they are long, on one sample after the other by the tape
machine.
"""

from __future__ import annotations

import ctypes
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from ...data.summation import BLOCK, LANES
from ...jit.parallel.tasks import Shared
from ...jit.running.backend import is_compiled
from ...jit.running.machine import Machine
from ...jit.running.memory import AlignedBuffer, pointers
from ...jit.running.recall import check_rows, own_rows
from ...jit.running.straight_line import Batch
from ...jit.running.sums import BlockSums
from ...jit.tape.tape import Tape


@dataclass(eq=False)
class Kernel:
    """The loss of a sample with its gradient, as a program that can be sent to other processes.

    It is compiled where it is first run.

    tape: the program.
    first: the position of the first input behind the parameters: of the other leaves.
    varying: how many inputs vary; they are the last ones: numbers of a sample, then random numbers.
    draws: how many of them are random numbers.
    returned: how many of the outputs, the last ones, are the prediction.
    """

    tape: Tape
    first: int
    varying: int
    draws: int
    returned: int

    def __post_init__(self) -> None:
        self.is_batch = is_compiled(self.tape)
        self.rows = own_rows(self.tape)  # another kernel, although the tape is the same

    def __getstate__(self) -> dict[str, Any]:
        made = "batch", "machine", "numbers_at", "shared", "summed"
        return {name: x for name, x in vars(self).items() if name not in made}

    @cached_property
    def shared(self) -> Shared:
        """The kernel as something that is sent to each worker once."""
        return Shared(self)

    @cached_property
    def numbers_at(self) -> int:
        """The position of the first input that varies."""
        return len(self.tape.names) - self.varying

    @cached_property
    def summed(self) -> int:
        """How many of the outputs are summed: the loss and its gradient."""
        return len(self.tape.outputs) - self.returned

    @cached_property
    def batch(self) -> Batch:
        """The program for vectors of samples."""
        check_rows(self.tape, self.rows)
        columns = list(range(self.numbers_at, len(self.tape.names)))
        return Batch(self.tape, columns, list(range(self.summed)))

    @cached_property
    def machine(self) -> Machine:
        """The program for one sample, if it is too long for vectors."""
        check_rows(self.tape, self.rows)
        return Machine(self.tape)

    @property
    def buffer_size(self) -> int:
        """The size of the buffer of its inputs."""
        return self.batch.slots if self.is_batch else len(self.tape.names)


class Memory(Protocol):
    """What a run of kernels reads, and where it adds its results."""

    @property
    def parameters(self) -> AlignedBuffer:
        """The parameters, and room for the other inputs."""

    @property
    def sums(self) -> BlockSums:
        """The sums of losses and gradients."""

    @property
    def error(self) -> AlignedBuffer:
        """The error of the last run."""


@dataclass
class NumberRows:
    """Rows of numbers, one after the other.  There are a few kinds, of different lengths.

    numbers: the bytes of the numbers.
    widths: the length of the rows of each kind.
    kinds: the kind of each row.
    """

    numbers: bytes
    widths: Sequence[int]
    kinds: Sequence[int]

    @property
    def view(self) -> memoryview[float]:
        """All numbers."""
        return memoryview(self.numbers).cast("d")

    def rows(self) -> list[memoryview[float]]:
        """Returns the rows."""
        view = self.view
        found = []
        start = 0
        for kind in self.kinds:
            stop = start + self.widths[kind]
            found.append(view[start:stop])
            start = stop
        return found

    def chosen(self, members: Sequence[int] | None) -> memoryview[float]:
        """Returns the numbers of some rows, one after the other; all for None."""
        if members is None:
            return self.view
        rows = self.rows()
        return memoryview(b"".join([rows[i] for i in members])).cast("d")


def write_columns(
    buffer: AlignedBuffer, height: int, numbers: memoryview[float], width: int
) -> None:
    """Writes rows of numbers as columns of a height, filled up with copies of the last row."""
    view = buffer.view
    for k in range(width):
        column = numbers[k::width]
        start = height * k
        stop = start + len(column)
        view[start:stop] = column
        for i in range(stop, start + height):
            buffer[i] = column[-1]


class Layout:
    """The samples of one kernel, in vectors and columns.

    A lane without a sample is filled with a copy of another one.

    vectors: for each vector, the sample in each lane; None if that is of another kernel, or
        missing.  It is empty if all samples are of this kernel.
    members: the samples in all lanes, copies included; None for all samples in their order.
    height: how many lanes there are.
    columns: the numbers of the samples.
    """

    def __init__(
        self, samples: Samples, kind: int, vectors: Sequence[Sequence[int | None]] = ()
    ) -> None:
        self.vectors = vectors
        self.members: list[int] | None = None
        self.height = -(-samples.count // LANES) * LANES
        if vectors:
            self.members = []
            for vector in vectors:
                some = next(i for i in vector if i is not None)
                self.members += [some if i is None else i for i in vector]
            self.height = len(self.members)
        width = samples.rows.widths[kind]
        self.columns = AlignedBuffer(self.height * width)
        write_columns(self.columns, self.height, samples.rows.chosen(self.members), width)


class Samples:
    """The numbers of samples in whole blocks of a batch, of which only the last may be smaller.

    rows: the numbers of each sample.  Their kinds are positions in a list of kernels.
    """

    def __init__(self, rows: NumberRows) -> None:
        self.rows = rows

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self.rows}

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(self.rows.kinds)

    @cached_property
    def used(self) -> list[int]:
        """The kinds that occur."""
        return [0] if len(self.rows.widths) == 1 else sorted(set(self.rows.kinds))

    @cached_property
    def order(self) -> list[tuple[int, int] | None]:
        """What is run, in order: a kind, and which of its vectors; None at the end of a block."""
        return self._vectors[0]

    @cached_property
    def _vectors(self) -> tuple[list[tuple[int, int] | None], dict[int, list[list[int | None]]]]:
        """The samples, divided into vectors of one kind such that each lane keeps its order."""
        kinds = self.rows.kinds
        order: list[tuple[int, int] | None] = []
        found: dict[int, list[list[int | None]]] = {kind: [] for kind in kinds}
        for start in range(0, self.count, BLOCK):
            stop = min(start + BLOCK, self.count)
            lanes = [deque(range(start + lane, stop, LANES)) for lane in range(LANES)]
            while any(lanes):
                heads = [kinds[lane[0]] if lane else None for lane in lanes]
                here = Counter([head for head in heads if head is not None])
                kind = here.most_common(1)[0][0]
                order.append((kind, len(found[kind])))
                found[kind].append([
                    lane.popleft() if head == kind else None for lane, head in zip(lanes, heads)
                ])
            order.append(None)
        return order, found

    @cached_property
    def layout(self) -> Layout:
        """The layout of samples of one kernel, which runs on vectors."""
        return Layout(self, self.rows.kinds[0])

    @cached_property
    def layouts(self) -> dict[int, Layout]:
        """The layout for each kernel, in the order in which they run."""
        return {kind: Layout(self, kind, vectors) for kind, vectors in self._vectors[1].items()}


class Group:
    """The samples of one kernel, and the memory of a run."""

    def __init__(self, kernel: Kernel, layout: Layout, samples: Samples) -> None:
        self.kernel = kernel
        self.layout = layout
        self.samples = samples

    def draw(self, drawn: NumberRows) -> None:
        """Sets the random numbers of all samples."""
        raise NotImplementedError

    def run(self, memory: Memory, vector: int) -> None:
        """Adds the losses and gradients of the samples of a vector."""
        raise NotImplementedError

    def outputs(self, found: list[Sequence[float]]) -> None:
        """Sets the numbers of the prediction of each of its samples."""
        raise NotImplementedError


class BatchGroup(Group):
    """A group for a compiled batch, which runs on vectors.

    The columns of results follow those of random numbers.

    whole: the number of vectors without an empty lane, if there is no other group.
    tail: the mask of the vector behind them, or 0.
    """

    def __init__(self, kernel: Kernel, layout: Layout, samples: Samples) -> None:
        super().__init__(kernel, layout, samples)
        self.whole, rest = divmod(samples.count, LANES)
        self.tail = (1 << rest) - 1
        self.scratch = AlignedBuffer(kernel.batch.scratch)
        self._columns = AlignedBuffer(layout.height * (kernel.draws + kernel.returned))
        self._pointers: dict[int, Any] = {}

    def draw(self, drawn: NumberRows) -> None:
        numbers = drawn.chosen(self.layout.members)
        write_columns(self._columns, self.layout.height, numbers, self.kernel.draws)

    def addresses(self, vector: int) -> list[int]:
        """Returns the addresses of the pointers to the columns, and to the results, of a vector."""
        kernel = self.kernel
        if vector not in self._pointers:
            size = 8 * self.layout.height
            offset = 8 * LANES * vector
            inputs = kernel.varying - kernel.draws
            ends = [self.layout.columns.address + offset + k * size for k in range(inputs)]
            ends += [self._columns.address + offset + k * size
                     for k in range(kernel.draws + kernel.returned)]
            self._pointers[vector] = pointers(ends)
        at = ctypes.addressof(self._pointers[vector])
        return [at, at + 8 * kernel.varying]

    def run(self, memory: Memory, vector: int) -> None:
        lanes = enumerate(self.layout.vectors[vector])
        self._run(memory, vector, mask=sum(1 << lane for lane, i in lanes if i is not None))

    def run_all(self, memory: Memory) -> None:
        """Adds the losses and gradients of all samples, if there is no other group."""
        if self.whole:
            self._run(memory, 0, self.whole)
        if self.tail:
            self._run(memory, self.whole, mask=self.tail)

    def _run(self, memory: Memory, start: int, count: int = 1, mask: int = 0) -> None:
        batch = self.kernel.batch
        addresses = [memory.parameters.address, *self.addresses(start), self.scratch.address]
        error = memory.error.address
        if mask:
            memory.sums.run_part(batch, addresses, mask, error)
        else:
            memory.sums.run(batch, addresses, count, error)
        batch.check(error)

    def outputs(self, found: list[Sequence[float]]) -> None:
        height = self.layout.height
        starts = [height * (self.kernel.draws + k) for k in range(self.kernel.returned)]
        columns = [self._columns.read(at, at + height) for at in starts]
        members = range(self.samples.count) if self.layout.members is None else self.layout.members
        for i, row in zip(members, zip(*columns)):
            found[i] = row


class MachineGroup(Group):
    """A group for the tape machine, which runs sample after sample."""

    def __init__(self, kernel: Kernel, layout: Layout, samples: Samples) -> None:
        super().__init__(kernel, layout, samples)
        self._results = AlignedBuffer(len(kernel.tape.outputs))
        self._numbers = samples.rows.rows()
        self._drawn: Sequence[memoryview[float]] = [memoryview(b"").cast("d")] * samples.count
        self._found: dict[int, list[float]] = {}

    def draw(self, drawn: NumberRows) -> None:
        self._drawn = drawn.rows()

    def run(self, memory: Memory, vector: int) -> None:
        for lane, i in enumerate(self.layout.vectors[vector]):
            if i is not None:
                self._run(memory, lane, i)

    def _run(self, memory: Memory, lane: int, i: int) -> None:
        kernel = self.kernel
        results = self._results
        parameters = memory.parameters
        parameters.write(kernel.numbers_at, [*self._numbers[i], *self._drawn[i]])
        ctypes.memset(results.address, 0, 8 * len(kernel.tape.outputs))
        kernel.machine.fill(parameters.address, results.address)  # which adds
        if self.samples.count == 1:
            ctypes.memmove(memory.sums.totals.address, results.address, 8 * kernel.summed)
        else:
            memory.sums.put(results.address, kernel.summed, lane)
        if kernel.returned:
            self._found[i] = results.read(kernel.summed, kernel.summed + kernel.returned)

    def outputs(self, found: list[Sequence[float]]) -> None:
        for i, row in self._found.items():
            found[i] = row


class Part:
    """Samples of a batch in groups, with their kernels, and the memory of a run.

    only: the group, if there is just one, of a compiled batch.
    """

    def __init__(self, kernels: Sequence[Kernel], samples: Samples) -> None:
        self.samples = samples
        self.only: BatchGroup | None = None
        self._kernels = kernels
        self._groups: dict[int, Group] = {}
        kind = samples.used[0]
        if len(samples.used) == 1 and kernels[kind].is_batch:
            self.only = BatchGroup(kernels[kind], samples.layout, samples)
            self._groups[kind] = self.only
            return
        for kind, layout in samples.layouts.items():
            made = BatchGroup if kernels[kind].is_batch else MachineGroup
            self._groups[kind] = made(kernels[kind], layout, samples)

    def prepare(self, parameters: AlignedBuffer, fixed: Sequence[Sequence[float]]) -> None:
        """Writes the other inputs of the only group behind the parameters."""
        (kind,) = self._groups
        parameters.write(self._kernels[kind].first, fixed[kind])

    def run(
        self, memory: Memory, fixed: Sequence[Sequence[float]], drawn: NumberRows | None = None
    ) -> None:
        """Adds losses and gradients.

        fixed: the numbers of the other leaves, for each kernel.
        drawn: the random numbers of each sample.
        """
        for kind, group in self._groups.items():
            if drawn is not None and self._kernels[kind].draws:
                group.draw(drawn)
        if self.only:
            self.prepare(memory.parameters, fixed)
            self.only.run_all(memory)
            return
        before = -1
        for entry in self.samples.order:
            if entry is None:
                memory.sums.close()
                continue
            kind, vector = entry
            if kind != before:
                memory.parameters.write(self._kernels[kind].first, fixed[kind])
                before = kind
            self._groups[kind].run(memory, vector)

    def outputs(self) -> list[Sequence[float]]:
        """Returns the numbers of each sample's prediction."""
        found: list[Sequence[float]] = [()] * self.samples.count
        for kind, group in self._groups.items():
            if self._kernels[kind].returned:
                group.outputs(found)
        return found
