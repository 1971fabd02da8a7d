"""The numbers of the compiled engine: parameters, gradients and the optimiser's state, in buffers.

Parameters and state exist twice.  A step reads one copy and writes the other; counting the step
makes the new copy valid.  An interrupt therefore finds either the old numbers or the new ones.
"""

from __future__ import annotations

import ctypes

from ...data.summation import LANES
from ...jit.running.memory import AlignedBuffer, pointers
from ...jit.running.sums import BlockSums, native
from ...optim import Optimizer


def whole_vectors(count: int) -> int:
    """Returns ``count``, rounded up to whole vectors of `LANES` numbers."""
    return -(-count // LANES) * LANES


class Buffers:
    """Buffers for the parameters of an optimiser.

    count: the number of parameters
    vectors: the number of vectors that they fill
    data: two copies of their data, and behind each the other inputs of a program
    state: two copies of the optimiser's state, with a buffer for each slot
    sums: the loss and the gradient, summed over samples
    added: the penalty and its gradient
    before: the totals of the step before
    totals: the loss and the gradient, after `finish`
    error: of the last run of a program; behind it, numbers that are finite only if all totals are
    done: the number of steps; counting a step is what makes it valid
    columns: for each copy, the addresses of pointers to what a step reads, and to what it writes
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.count = len(optimizer.params)
        padded = whole_vectors(self.count)
        self.vectors = padded // LANES
        self.sums = BlockSums(1 + padded)
        self.totals = self.sums.totals
        self.added = AlignedBuffer(1 + padded + LANES)
        self.before = AlignedBuffer(1 + padded)
        self.error = AlignedBuffer(1 + LANES)
        self.done = AlignedBuffer(1)
        self.data = [AlignedBuffer(padded) for _ in range(2)]
        self.state = [[AlignedBuffer(padded) for _ in optimizer.state] for _ in range(2)]
        self._reserved = 0
        self.reserve(padded)

    @property
    def now(self) -> int:
        """Which of the two copies has the present numbers, 0 or 1."""
        return int(self.done[0]) % 2

    @property
    def parameters(self) -> AlignedBuffer:
        """The present data of the parameters, and the inputs behind them."""
        return self.data[self.now]

    def reserve(self, count: int) -> None:
        """Makes the buffers of parameters long enough for a program with so many inputs."""
        if count > self._reserved:
            self._reserved = count
            for i, old in enumerate(self.data):
                self.data[i] = AlignedBuffer(count + LANES)
                self.data[i].write(0, old.read(0, self.count))
            gradient = self.totals.address + 8
            copies = [[buffer.address for buffer in (self.data[i], *self.state[i])] for i in (0, 1)]
            self._pointers = [
                (pointers([gradient, *copies[i]]), pointers(copies[1 - i])) for i in (0, 1)
            ]
            self.columns = [tuple(map(ctypes.addressof, pair)) for pair in self._pointers]

    def keep(self, back: bool = False) -> None:
        """Copies the totals to ``before``, or back."""
        target, source = (self.totals, self.before) if back else (self.before, self.totals)
        ctypes.memmove(target.address, source.address, 8 * self.sums.count)

    def finish(self, samples: int) -> None:
        """Divides the sums by the number of samples, and adds the penalty: loss and gradient."""
        self.sums.close()
        self.error.write(1, [0.0] * LANES)
        check = self.error.address + 8
        addresses = self.totals.address, self.added.address, check
        native().functions["finish"](*addresses, self.sums.count, samples)
