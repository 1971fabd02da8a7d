"""The penalty of `fit` and its gradient, compiled for the compiled engine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..engine.value import Value
from ..jit.running.backend import is_compiled
from ..jit.running.machine import Machine
from ..jit.running.memory import AlignedBuffer
from ..jit.running.straight_line import Scalar
from ..jit.tape.gradient import Graph
from ..jit.tracing import record_trace
from .samples import advising_eager, operands_of, parameter_nodes, untrained_nodes, whole_blocks


class Penalty:
    """The penalty and its gradient, compiled."""

    def __init__(self, penalty: Callable[[], Any], trained: Sequence[Value]) -> None:
        self._record = partial(
            record_trace, penalty, [], lambda values: ((), {}), unchanged="the penalty"
        )
        with advising_eager():
            trace, result = self._record()
        self._trace = trace
        root = trace.operand(result)
        inner = operands_of(trace)
        places = parameter_nodes(trace, trained)
        self.depends = root.__class__ is int and not inner.isdisjoint(places)
        fixed = untrained_nodes(trace, places)
        draws = [i for i, (op, _) in enumerate(trace.nodes) if op == "draw"]
        self._fixed = [trace.parameters[trace.nodes[i][1][0]] for i in fixed]
        self.draws = trace.draws
        padded = [*places, *[None] * (whole_blocks(len(places)) - len(places))]
        self._first = len(padded)
        self.buffer_size = self._first + len(fixed) + len(draws)
        graph = Graph(trace, [*padded, *fixed, *draws])
        tape = graph.tape([graph.register(root), *graph.gradient(root, places)])
        self._trained = trained
        self._count = len(trained)
        # It runs once a step, not once a sample, so a short compile time matters more than speed.
        self._straight = Scalar(tape, level=0) if is_compiled(tape) else None
        self._machine = None if self._straight else Machine(tape)
        self.out = AlignedBuffer(1 + self._count)
        self.is_plain = self._straight is not None and not self._fixed and not self.draws
        self.address = self._straight.address if self._straight is not None else 0

    def is_current(self) -> bool:
        """Whether the penalty still is the compiled program."""
        trace, _ = self._record(check=False)
        parameter_nodes(trace, self._trained)  # makes nodes of unused parameters, as in __init__
        return self._trace.difference(trace) is None

    def run(self, parameters: AlignedBuffer, totals: AlignedBuffer) -> float:
        """Returns the penalty, and sets the gradient in ``totals``."""
        if self._fixed or self.draws:
            numbers = [float(leaf.data) for leaf in self._fixed]
            numbers += [draw() for draw in self.draws]
            parameters.write(self._first, numbers)
        if self._straight is not None:
            self._straight.fill(parameters.address, self.out.address)
        else:
            assert self._machine is not None
            ctypes.memset(self.out.address, 0, 8 * (1 + self._count))
            self._machine.fill(parameters.address, self.out.address)
        ctypes.memmove(totals.address + 8, self.out.address + 8, 8 * self._count)
        return self.out[0]
