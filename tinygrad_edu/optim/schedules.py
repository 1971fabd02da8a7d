"""Learning-rate schedules: functions from the number of steps done to the next learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..engine.numerics import power
from ..engine.value import Number
from ..errors import check_int
from .parameters import in_range

# A learning rate, or a schedule: a function from the number of steps done to the learning rate.
Rate = Number | Callable[[int], float]


class Schedule:
    """A learning rate that depends on the number of steps done: ``schedule(step)`` for 0, 1, 2, ...

    Its repr is the call that makes it.  Any other function of one number is a schedule as well.
    """

    def __call__(self, step: int) -> float:
        if step < 0:
            raise ValueError(
                f"{self!r}: the step must be >= 0, not {step!r}; count steps from 0"
            )
        return self._rate(step)

    def _rate(self, step: int) -> float:
        raise NotImplementedError


class _StepDecay(Schedule):
    def __init__(self, lr: Number, drop: Number, every: int) -> None:
        self.lr = in_range(lr, "step_decay: lr")
        self.drop = in_range(drop, "step_decay: drop", "usual: 0.1")
        self.every = check_int(every, "step_decay: every", 1)

    def _rate(self, step: int) -> float:
        # IEEE 754: no OverflowError for a drop > 1
        return self.lr * power(self.drop, step // self.every)

    def __repr__(self) -> str:
        return f"step_decay({self.lr!r}, drop={self.drop!r}, every={self.every})"


class _Cosine(Schedule):
    def __init__(self, lr: Number, steps: int, final: Number) -> None:
        self.lr = in_range(lr, "cosine: lr")
        self.final = in_range(final, "cosine: final")
        self.steps = check_int(steps, "cosine: steps", 1)

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.final
        rate = self.final + (self.lr - self.final) * (1 + math.cos(math.pi * step / self.steps)) / 2
        # rounding may lead beyond an end
        return min(max(rate, min(self.lr, self.final)), max(self.lr, self.final))

    def __repr__(self) -> str:
        return f"cosine({self.lr!r}, steps={self.steps}, final={self.final!r})"


class _Linear(Schedule):
    def __init__(self, lr: Number, steps: int, final: Number) -> None:
        self.lr = in_range(lr, "linear: lr")
        self.final = in_range(final, "linear: final")
        self.steps = check_int(steps, "linear: steps", 1)

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.final
        return self.lr - (self.lr - self.final) * step / self.steps

    def __repr__(self) -> str:
        return f"linear({self.lr!r}, steps={self.steps}, final={self.final!r})"


class _Warmup(Schedule):
    def __init__(self, schedule: Rate, steps: int) -> None:
        if not callable(schedule):
            schedule = in_range(schedule, "warmup: the learning rate")
        self.schedule: Rate = schedule
        self.steps = check_int(steps, "warmup: steps", 1)

    def _rate(self, step: int) -> float:
        rate = self.schedule
        if callable(rate):
            rate = rate(max(0, step - self.steps))
        return rate * (step + 1) / self.steps if step < self.steps else rate

    def __repr__(self) -> str:
        return f"warmup({self.schedule!r}, steps={self.steps})"


def step_decay(lr: Number, drop: Number = 0.1, *, every: int) -> Schedule:
    """Returns the schedule ``lr * drop ** (step // every)``, constant for ``every`` steps each."""
    return _StepDecay(lr, drop, every)


def cosine(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """Returns a schedule that falls from ``lr`` to ``final`` along a half cosine.

    It is ``final + (lr - final) * (1 + cos(pi * step / steps)) / 2``, and ``final`` from step
    ``steps`` on.  Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm
    restarts, 2017, equation 5.
    """
    return _Cosine(lr, steps, final)


def linear(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """Returns a schedule that changes linearly from ``lr`` to ``final``.

    It is ``lr - (lr - final) * step / steps``, and ``final`` from step ``steps`` on.
    ``linear(1.0, 100, final=0.1)`` is the schedule of micrograd's demo.
    """
    return _Linear(lr, steps, final)


def warmup(schedule: Rate, steps: int) -> Schedule:
    """Returns a schedule that rises from ``peak / steps`` to the peak, then follows ``schedule``.

    It is ``peak * (step + 1) / steps`` for ``step < steps``, and ``schedule(step - steps)``
    afterwards; the peak is ``schedule(0)``.  ``schedule`` may be a number, for a constant one.
    """
    return _Warmup(schedule, steps)
