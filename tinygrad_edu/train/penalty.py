"""The penalty of `fit` and its gradient, compiled for the compiled engine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from ..engine.value import Value
from ..jit.running.backend import is_compiled
from ..jit.running.machine import Machine
from ..jit.running.memory import AlignedBuffer
from ..jit.running.straight_line import Scalar
from .samples import Program


class Penalty(Program):
    """The penalty and its gradient, compiled; ``penalty`` returns it in a pair with None."""

    def __init__(self, penalty: Callable[[], tuple[Any, None]], trained: Sequence[Value]) -> None:
        super().__init__(penalty, [], lambda values: ((), {}), trained, "the penalty")
        graph = self.lay_out()
        self.buffer_size = self.first + len(self.fixed) + self.varying
        tape = graph.tape([graph.register(self.root), *graph.gradient(self.root, self.places)])
        self._count = len(trained)
        # It runs once a step, not once a sample, so a short compile time matters more than speed.
        self._straight = Scalar(tape, level=0) if is_compiled(tape) else None
        self._machine = None if self._straight else Machine(tape)
        self.out = AlignedBuffer(1 + self._count)
        self.is_plain = self._straight is not None and not self.fixed and not self.draws
        self.address = self._straight.address if self._straight is not None else 0

    def run(self, parameters: AlignedBuffer, totals: AlignedBuffer) -> float:
        """Returns the penalty, and sets the gradient in ``totals``."""
        if self.fixed or self.draws:
            numbers = [float(leaf.data) for leaf in self.fixed]
            numbers += [draw() for draw in self.draws]
            parameters.write(self.first, numbers)
        if self._straight is not None:
            self._straight.fill(parameters.address, self.out.address)
        else:
            assert self._machine is not None
            ctypes.memset(self.out.address, 0, 8 * (1 + self._count))
            self._machine.fill(parameters.address, self.out.address)
        ctypes.memmove(totals.address + 8, self.out.address + 8, 8 * self._count)
        return self.out[0]
