"""Learning-rate schedules: functions from the number of steps done to the next learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..engine.numerics import power
from ..engine.value import Number
from ..errors import check_int, check_number, plain

# A learning rate, or a schedule: a function from the number of steps done to the learning rate.
Rate = Number | Callable[[int], float]


class Schedule:
    """A learning rate that depends on the number of steps done: ``schedule(step)`` for 0, 1, 2, ...

    Its repr is the call that makes it.  Any other function of one number is a schedule as well.

    Raises:
        ValueError: the step is negative.
    """

    def __call__(self, step: int) -> float:
        check_number(step, f"{self!r}: step", 0, "count steps from 0")
        return self._rate(plain(step))

    def _rate(self, step: int) -> float:
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class _Planned(Schedule):
    """A schedule of this module: the function of the step, and its other arguments."""

    curve: Callable[..., float]  # its name is the name of the schedule, after "_"
    lr: Rate
    options: dict[str, float]

    def _rate(self, step: int) -> float:
        return self.curve(step, self.lr, **self.options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={x!r}" for name, x in self.options.items())
        return f"{self.curve.__name__[1:]}({self.lr!r}{options})"


def step_decay(lr: Number, drop: Number = 0.1, *, every: int) -> Schedule:
    """Returns the schedule ``lr * drop ** (step // every)``, constant for ``every`` steps each.

    Raises:
        TypeError: a number is not a real number, or a count of steps is not a whole number.
        ValueError: a number is negative, inf or nan, or a count of steps is below 1.
    """
    lr = check_number(lr, "step_decay: lr", 0)
    drop = check_number(drop, "step_decay: drop", 0, "usual: 0.1")
    every = check_int(every, "step_decay: every", 1, most=math.inf)
    return _Planned(_step_decay, lr, {"drop": drop, "every": every})


def _step_decay(step: int, lr: float, drop: float, every: int) -> float:
    return lr * power(drop, step // every)  # IEEE 754: no OverflowError for a drop > 1


def cosine(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """Returns a schedule that falls from ``lr`` to ``final`` along a half cosine.

    It is ``final + (lr - final) * (1 + cos(pi * step / steps)) / 2``, and ``final`` from step
    ``steps`` on.  Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm
    restarts, 2017, equation 5.

    Raises:
        TypeError: a number is not a real number, or a count of steps is not a whole number.
        ValueError: a number is negative, inf or nan, or a count of steps is below 1.
    """
    return _to_final(_cosine, lr, steps, final)


def _cosine(step: int, lr: float, steps: int, final: float) -> float:
    if step >= steps:
        return final
    rate = final + (lr - final) * (1 + math.cos(math.pi * step / steps)) / 2
    # rounding may lead beyond an end
    return min(max(rate, min(lr, final)), max(lr, final))


def linear(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """Returns a schedule that changes linearly from ``lr`` to ``final``.

    It is ``lr - (lr - final) * step / steps``, and ``final`` from step ``steps`` on.
    ``linear(1.0, 100, final=0.1)`` is the schedule of micrograd's demo.

    Raises:
        TypeError: a number is not a real number, or a count of steps is not a whole number.
        ValueError: a number is negative, inf or nan, or a count of steps is below 1.
    """
    return _to_final(_linear, lr, steps, final)


def _linear(step: int, lr: float, steps: int, final: float) -> float:
    return lr - (lr - final) * step / steps if step < steps else final


def _to_final(curve: Callable[..., float], lr: Number, steps: int, final: Number) -> Schedule:
    name = curve.__name__[1:]
    lr = check_number(lr, f"{name}: lr", 0)
    final = check_number(final, f"{name}: final", 0)
    return _Planned(curve, lr, {"steps": check_int(steps, f"{name}: steps", 1), "final": final})


def warmup(schedule: Rate, steps: int) -> Schedule:
    """Returns a schedule that rises from ``peak / steps`` to the peak, then follows ``schedule``.

    It is ``peak * (step + 1) / steps`` for ``step < steps``, and ``schedule(step - steps)``
    afterwards; the peak is ``schedule(0)``.  ``schedule`` may be a number, for a constant one.

    Raises:
        TypeError: a number is not a real number, or a count of steps is not a whole number.
        ValueError: a number is negative, inf or nan, or a count of steps is below 1.
    """
    if not callable(schedule):
        remedy = "write a rate such as 0.1, or a function of the step"
        schedule = check_number(schedule, "warmup: schedule", 0, remedy)
    steps = check_int(steps, "warmup: steps", 1, most=math.inf)
    return _Planned(_warmup, schedule, {"steps": steps})


def _warmup(step: int, schedule: Rate, steps: int) -> float:
    at = max(0, step - steps)
    what = f"warmup: what schedule returns for step {at}"
    rate = check_number(schedule(at), what, 0) if callable(schedule) else schedule
    return rate * (step + 1) / steps if step < steps else rate
