"""Compares the compiled engine of `fit` with the eager one, in every bit.

Tracing does not see everything: a function may ask for the class of an argument, or read a counter
in an extension module.  So several samples of each kind are compared before they are first used,
and one sample again at steps that grow geometrically, for at most a tenth of the time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from random import Random
from typing import Any

from ...engine.interpreter import Interpreter, using
from ...errors import NonFiniteError
from ...jit.running.memory import AlignedBuffer
from ...randomness import drawn
from ..task import Task
from .programs import Programs
from .rule import is_same
from .samples import EAGER, Plan, Program

SAMPLES = 3  # of each kind, with a gradient that is not 0: a loss of 0 may hide a wrong branch
MAX_TRIES = 12  # samples of a kind that are compared to find so many
LONG_SAMPLE = 2_000  # nodes; of longer samples, one is compared
FIRST_REPEAT = 8  # the step of the first repeated comparison
SHARE = 10  # repeated comparisons after the first one take at most this fraction of the time


DRAWN: Any = drawn.__wrapped__  # type: ignore[attr-defined]


class _Drawing(Interpreter):
    """Hands out given numbers instead of random ones, so that no generator is used."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._numbers = iter(numbers)

    def call(self, usual: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if usual is DRAWN:
            return next(self._numbers, 0.0)
        return usual(*args)


class Comparison:
    """The comparisons of compiled programs with the eager engine.

    last: the last step before which both were equal.
    """

    def __init__(self, task: Task, programs: Programs) -> None:
        self._task = task
        self._programs = programs
        self._eager = programs.eager
        self._tries: defaultdict[Hashable, int] = defaultdict(int)
        self._hits: defaultdict[Hashable, int] = defaultdict(int)
        self._compares_all = True  # the penalty, too
        self._next_step = FIRST_REPEAT
        self._next_time = 0.0
        self.last = 0

    def is_due(self) -> bool:
        """Returns whether there is something to compare."""
        return bool(self._programs.new or self._compares_all or self._is_repeated())

    def _is_repeated(self) -> bool:
        task = self._task
        return len(task.history) >= self._next_step and task.seconds >= self._next_time

    def run(self, batch: Sequence[int]) -> str:
        """Makes the comparisons that are due, and returns what differs; "" if nothing does.

        The Values must have the present numbers.  A repeated comparison takes a sample of the
        ``batch``.
        """
        began = time.perf_counter()
        step = len(self._task.history)
        is_repeated = self._is_repeated()
        message = self._compare_new()
        if is_repeated or self._compares_all:
            self._compares_all = False
            message = message or self._compare_penalty()
        if is_repeated:
            message = message or self._compare_sample(batch[step % len(batch)])[0]
            rule = self._programs.rule
            if not message and rule and not rule.is_right():
                message = f"the optimiser's rule differs, compiled{self._reason()}"
            self._next_step = 2 * step
            self._next_time = self._task.seconds + SHARE * (time.perf_counter() - began)
        self.last = step
        return message

    def _compare_new(self) -> str:
        """Compares some samples of each kind that was read since the last comparison."""
        new = self._programs.new
        known = self._programs.known
        while new:
            kind, i = new.pop(0)
            if kind in known:
                continue
            message, is_hit = self._compare_sample(i)
            if message:
                return message
            self._tries[kind] += 1
            self._hits[kind] += is_hit
            program, _ = self._programs.sample(i)
            most = SAMPLES if len(program.trace.nodes) < LONG_SAMPLE else 1
            if self._hits[kind] == most or self._tries[kind] == MAX_TRIES:
                known.add(kind)
        return ""

    def _compare_sample(self, i: int) -> tuple[str, bool]:
        """Compares a sample; returns what differs, and whether the gradient is not 0."""
        buffers = self._programs.buffers
        program, _ = sample = self._programs.sample(i)
        drawn = self._drawn(program)
        Plan((i,), [sample]).run(buffers, [drawn])
        buffers.sums.close()
        return self._compare(
            program, f"loss of sample {i}", buffers.totals, drawn, lambda: self._eager.sample(i)[0]
        )

    def _compare_penalty(self) -> str:
        penalty = self._programs.penalty
        if penalty is None:
            return ""
        drawn = self._drawn(penalty)
        buffers = self._programs.buffers
        penalty.run(buffers, drawn)
        return self._compare(penalty, "penalty", buffers.added, drawn, self._eager.penalty)[0]

    def _drawn(self, program: Program) -> list[float]:
        random = Random(len(self._task.history))
        return [random.random() for _ in program.draws]

    def _compare(
        self,
        program: Program,
        what: str,
        buffer: AlignedBuffer,
        drawn: Sequence[float],
        compute: Callable[[], list[float]],
    ) -> tuple[str, bool]:
        found = buffer.read(0, 1 + self._programs.buffers.count)
        try:
            with using(_Drawing(drawn)) if drawn else nullcontext():  # it makes operations slower
                wanted = compute()
        except NonFiniteError:  # the step with this sample raises it
            return "", True
        if message := self.difference(what, found, wanted):
            program.explain()
        return message, any(wanted[1:])

    def difference(self, what: str, found: Sequence[float], wanted: Sequence[float]) -> str:
        """Returns the first difference between a number with its gradient and the wanted ones.

        It is "" if they are equal.
        """
        for k, (x, y) in enumerate(zip(found, wanted)):
            if not is_same(x, y):
                name = f"the {what}"
                if k:
                    label = self._programs.trained[k - 1].label or f"number {k - 1}"
                    name = f"the derivative of {name} by parameter {label}"
                return f"{name} is {y!r}, and compiled {x!r}{self._reason()}"
        return ""

    def _reason(self) -> str:
        since = f"; both were equal before step {self.last}" if self.last else ""
        return (
            f"{since}\na function reads something that tracing cannot see, such as isinstance(), "
            f"text or a counter; use math.where, {EAGER}"
        )
