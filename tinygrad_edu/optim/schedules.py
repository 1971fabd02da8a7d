"""Learning-rate schedules: functions from the number of steps done to the next learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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


@dataclass(frozen=True, eq=False, repr=False)
class _Planned(Schedule):
    """A schedule of this module: the call that makes it, as text, and the function of the step."""

    call: str
    rate: Callable[[int], float]

    def _rate(self, step: int) -> float:
        return self.rate(step)

    def __repr__(self) -> str:
        return self.call


def step_decay(lr: Number, drop: Number = 0.1, *, every: int) -> Schedule:
    """Returns the schedule ``lr * drop ** (step // every)``, constant for ``every`` steps each."""
    lr = in_range(lr, "step_decay: lr")
    drop = in_range(drop, "step_decay: drop", "usual: 0.1")
    every = check_int(every, "step_decay: every", 1)
    call = f"step_decay({lr!r}, drop={drop!r}, every={every})"
    return _Planned(call, partial(_step_decay, lr, drop, every))


def _step_decay(lr: float, drop: float, every: int, step: int) -> float:
    return lr * power(drop, step // every)  # IEEE 754: no OverflowError for a drop > 1


def cosine(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """Returns a schedule that falls from ``lr`` to ``final`` along a half cosine.

    It is ``final + (lr - final) * (1 + cos(pi * step / steps)) / 2``, and ``final`` from step
    ``steps`` on.  Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm
    restarts, 2017, equation 5.
    """
    return _to_final("cosine", _cosine, lr, steps, final)


def _cosine(lr: float, steps: int, final: float, step: int) -> float:
    rate = final + (lr - final) * (1 + math.cos(math.pi * step / steps)) / 2
    # rounding may lead beyond an end
    return min(max(rate, min(lr, final)), max(lr, final))


def linear(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """Returns a schedule that changes linearly from ``lr`` to ``final``.

    It is ``lr - (lr - final) * step / steps``, and ``final`` from step ``steps`` on.
    ``linear(1.0, 100, final=0.1)`` is the schedule of micrograd's demo.
    """
    return _to_final("linear", _linear, lr, steps, final)


def _linear(lr: float, steps: int, final: float, step: int) -> float:
    return lr - (lr - final) * step / steps


def _to_final(
    name: str, curve: Callable[..., float], lr: Number, steps: int, final: Number
) -> Schedule:
    """Returns the schedule ``name`` that follows ``curve`` and, after it, stays at ``final``."""
    lr = in_range(lr, f"{name}: lr")
    final = in_range(final, f"{name}: final")
    steps = check_int(steps, f"{name}: steps", 1)
    call = f"{name}({lr!r}, steps={steps}, final={final!r})"
    return _Planned(call, partial(_until_final, curve, lr, steps, final))


def _until_final(
    curve: Callable[..., float], lr: float, steps: int, final: float, step: int
) -> float:
    return curve(lr, steps, final, step) if step < steps else final


def warmup(schedule: Rate, steps: int) -> Schedule:
    """Returns a schedule that rises from ``peak / steps`` to the peak, then follows ``schedule``.

    It is ``peak * (step + 1) / steps`` for ``step < steps``, and ``schedule(step - steps)``
    afterwards; the peak is ``schedule(0)``.  ``schedule`` may be a number, for a constant one.
    """
    if not callable(schedule):
        schedule = in_range(schedule, "warmup: the learning rate")
    steps = check_int(steps, "warmup: steps", 1)
    return _Planned(f"warmup({schedule!r}, steps={steps})", partial(_warmup, schedule, steps))


def _warmup(schedule: Rate, steps: int, step: int) -> float:
    rate = schedule(max(0, step - steps)) if callable(schedule) else schedule
    return rate * (step + 1) / steps if step < steps else rate
