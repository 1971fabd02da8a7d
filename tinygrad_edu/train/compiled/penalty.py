"""The penalty of `fit` and its gradient, compiled for the compiled engine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from ...engine.value import Value
from ...jit.running.backend import is_compiled
from ...jit.running.machine import Machine
from ...jit.running.straight_line import Scalar
from ...jit.state import State
from ...optim.parameters import read_numbers
from .buffers import Buffers
from .samples import Program


class Penalty(Program):
    """The penalty and its gradient, compiled.

    penalty: returns it, in a pair with None.
    address: the address of its function, or 0 if this needs something from Python.
    """

    def __init__(
        self, penalty: Callable[[], tuple[Any, None]], trained: Sequence[Value], state: State
    ) -> None:
        super().__init__(penalty, [], lambda values: ((), {}), trained, "the penalty", state)
        tape = self.tape()
        # It runs once a step, not once a sample, so a short compile time matters more than speed.
        self._run = Scalar(tape, level=0) if is_compiled(tape) else Machine(tape)
        self.address = 0
        if isinstance(self._run, Scalar) and not self.fixed and not self.draws:
            self.address = self._run.address
        self._size = 8 * (1 + len(trained))

    def run(self, buffers: Buffers, drawn: Sequence[float] = ()) -> None:
        """Sets the penalty and its gradient, in ``added``.

        Random numbers are drawn, unless they are given.
        """
        parameters = buffers.parameters
        drawn = drawn or [draw() for draw in self.draws]
        parameters.write(self.first, [*read_numbers(self.fixed, "data"), *drawn])
        ctypes.memset(buffers.added.address, 0, self._size)  # the tape machine adds to it
        self._run.fill(parameters.address, buffers.added.address)
