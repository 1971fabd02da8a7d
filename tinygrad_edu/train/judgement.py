"""Judges the losses of a training run: they diverge, jump, oscillate or stand still.

The losses are averaged over epochs, which leaves *levels* (`Curve`), and three questions are asked:

* Is the last level far above the lowest one, and halfway back to the first?  The loss diverges.
* Do the levels of the second half change by a fifth from one to the next, and get no lower?  The
  loss jumps.  It oscillates if it rises and falls by turns, below its start.
* Did the loss fall by less than a hundredth, and falls at the end as slowly as at first?  Or do
  most parameters hardly move?  Or is the loss flat, although its gradient is large, or exactly 0?
  The loss stands still.

`fit` warns with this judgement and stores it in the history, and `diagnose` begins with it.  Only
what is certain is said: noise of batches and dropout, and a loss that is at its minimum, are no
faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from statistics import median
from typing import Any

from ..engine.value import Value
from ..errors import counted
from ..nn.layers import Dropout
from ..nn.module import Module
from ..optim.parameters import UsedGradient, read_numbers
from .history import History

# A run has diverged if its last level is this many times its lowest level, and it has lost again
# more than this fraction of its gain.
DIVERGED_RATIO = 2.0
MAX_RELAPSE = 0.5
# The ratio for losses of single batches, and for few epochs of batches, which are noisy.
DIVERGED_BATCH_RATIO = 10.0
# A run has exploded if the loss of a step is this many times the loss that it began with.
EXPLODED_RATIO = 1e3
CONVERGED_RATIO = 0.1  # a run has converged if its last level is this fraction of its first level
# A loss below this is taken to be near its minimum.  Losses of `nn` are of the order of 1 for an
# untrained model: log 2 = 0.69, 1, or the variance of the targets.
NEAR_ZERO_LOSS = 0.05
MIN_FALL = 0.01  # relative fall of the loss over the whole run; below it the loss stands still
MIN_STEPS = 10  # a shorter run is too short to tell that its loss stands still
MIN_WARNED_STEPS = 20  # `fit` does not warn about shorter runs, unless their loss explodes
# Without dropout, losses of full batches hardly rise at a good learning rate.  Those of batches do,
# but only by a small part of the loss that the run began with.
MIN_JUMP = 0.2  # mean change from level to level, as a fraction of the level, or of that loss
MIN_UNKNOWN_JUMP = 0.5  # the same if it is not known whether the model has dropout
MIN_LEVELS = 10  # levels in the second half of the run, and twice as many for turns, to prove it
# The loss gets no lower if it falls by a smaller fraction from the third quarter to the last.
MAX_PROGRESS = 0.2
# Random losses change direction at 2 of 3 steps.  At the limit of stability the loss changes
# direction at almost every step.
MIN_TURNS = 0.9  # fraction of the steps at which the loss changes direction
MAX_FLAT = 0.05  # relative change of a loss that is flat
# A parameter hardly moves if it does so by less than this fraction of the one that moves most.
STILL_FRACTION = 0.01
MAX_STILL = 0.6  # fraction of such parameters, above which a flat loss is no minimum
MIN_ZERO = 10  # parameters whose gradients are all exactly 0 by a dead unit, and not at a minimum
# A flat loss of full batches is not at its minimum if by its gradient a step of gradient descent
# would lower it by more than this fraction: the steps are so large that they pass the minimum.
MAX_PROMISE = 0.2


@dataclass(frozen=True)
class Curve:
    """The losses of a training run, averaged over epochs, so that noise is small.

    levels: the mean loss of each epoch.  A run with fewer than two epochs is divided into about ten
        equal stretches of steps instead.
    every: the number of steps averaged in a level.
    exact: whether every level is a mean over all samples.
    steps: the number of steps of the run.
    first_loss, peak, last_loss: the first, the largest and the last loss of a step.
    rate: the learning rate; the largest one of a schedule.
    rates: the learning rate in words.
    model: the model that was trained; None if it is not known.
    """

    levels: tuple[float, ...]
    every: int
    exact: bool
    steps: int
    first_loss: float
    peak: float
    last_loss: float
    rate: float
    rates: str
    model: Any = None

    @property
    def has_dropout(self) -> bool | None:
        """Whether losses are random; None if this is not known."""
        if not isinstance(self.model, Module):
            return None
        return any(isinstance(each, Dropout) and each.p for each in self.model.modules())

    @property
    def first(self) -> float:
        """The first level."""
        return self.levels[0]

    @property
    def best(self) -> float:
        """The lowest level."""
        return min(self.levels)

    @property
    def last(self) -> float:
        """The level at the end.

        It is the median of the last tenth of the levels, so that one outlier does not decide.
        """
        return median(self.levels[-self._tenth:])

    @property
    def lowest(self) -> float:
        """The lowest median of a tenth of the levels."""
        tenth = self._tenth
        count = len(self.levels)
        return min(median(self.levels[i:i + tenth]) for i in range(0, count - tenth + 1, tenth))

    @property
    def fall(self) -> float:
        """The fall of the loss from the first level to the best, as a fraction of the first."""
        return (self.first - self.best) / abs(self.first) if self.first else 0.0

    @property
    def swing(self) -> float:
        """The mean change between levels of the second half, as a fraction of their mean."""
        half = self.half
        middle = abs(_mean(half))
        changes = [abs(b - a) for a, b in pairwise(half)]
        return _mean(changes) / middle if changes and middle else 0.0

    @property
    def progress(self) -> float:
        """The relative fall of the mean loss from the third quarter of the run to the last."""
        half = self.half
        middle = len(half) // 2
        early = _mean(half[:middle]) if middle else 0.0
        return (early - _mean(half[middle:])) / early if early else 0.0

    @property
    def is_slow(self) -> bool:
        """Whether the loss falls at the end of the run as it did at first, and not by chance."""
        third = len(self.levels) // 3
        if not third:
            return False
        first, middle, end = [_mean(self.levels[i * third:(i + 1) * third]) for i in range(3)]
        change = _mean([abs(b - a) for a, b in pairwise(self.levels)])
        return first - end > 2 * change and middle - end > (first - middle) / 2

    @property
    def half(self) -> tuple[float, ...]:
        """The second half of the levels."""
        return self.levels[len(self.levels) // 2:]

    @property
    def _tenth(self) -> int:
        return max(1, len(self.levels) // 10)


def curve_of(history: History, model: Any = None) -> Curve:
    """Returns the `Curve` of a history with at least one step.

    model: the model, to see whether it has dropout.
    """
    losses = history.loss
    ends = history.epoch_ends
    if len(ends) >= 2:
        every = ends[0]
        levels = losses[:ends[-1]]
        if every > 1 or ends[-1] > len(ends):
            levels = [_mean(losses[start:end]) for start, end in pairwise([0, *ends])]
        exact = True
        tail = losses[ends[-1]:]
        # the loss exploded in the last, unfinished epoch
        if tail and not _mean(tail) <= DIVERGED_BATCH_RATIO * abs(levels[-1]):
            levels.append(_mean(tail))
    else:
        every = max(1, len(losses) // 10)
        exact = ends == [1]
        levels = [_mean(losses[i:i + every]) for i in range(0, len(losses), every)]
    rate = max(history.learning_rates)
    is_constant = min(history.learning_rates) == rate
    rates = f"{'a learning rate of' if is_constant else 'learning rates up to'} {rate:.3g}"
    return Curve(
        tuple(levels), every, exact, len(losses), losses[0], max(losses), losses[-1], rate, rates,
        model,
    )


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)


def verdict(curve: Curve) -> str:
    """Returns the kind of finding that the curve shows, or "" if it shows none."""
    if not isfinite(curve.last_loss) or not all(map(isfinite, curve.levels)):
        return "loss not finite"
    if curve.best < 0:  # ratios of losses have no meaning
        gain = abs(curve.first) + curve.first - curve.best
        return "loss diverges" if curve.last - curve.first > DIVERGED_BATCH_RATIO * gain else ""
    if _diverges(curve):
        return "loss diverges"
    if curve.last <= NEAR_ZERO_LOSS:
        return ""
    if _jumps(curve):
        is_regular = _turns(curve) and max(curve.half) <= curve.first
        return "loss oscillates" if is_regular else "loss jumps"
    has_converged = curve.last <= CONVERGED_RATIO * curve.first
    if not has_converged and curve.fall < MIN_FALL and curve.steps >= MIN_STEPS:
        return "loss stands still"
    return ""


def _diverges(curve: Curve) -> bool:
    """Returns whether the loss is higher at the end than it was before."""
    if has_exploded(curve) and 2 * curve.last > max(curve.first_loss, NEAR_ZERO_LOSS):
        return True
    is_sure = curve.exact and (curve.every == 1 or len(curve.levels) >= MIN_STEPS)
    ratio = DIVERGED_RATIO if is_sure else DIVERGED_BATCH_RATIO
    lowest = min(curve.first, curve.lowest)
    if curve.last > max(ratio * lowest, lowest + MAX_RELAPSE * (curve.first - lowest)):
        return curve.last > NEAR_ZERO_LOSS or curve.last > EXPLODED_RATIO * curve.first
    return False


def has_exploded(curve: Curve) -> bool:
    """Returns whether the loss was far above its start, whatever it was at the end.

    The first batch may have a small loss by chance; no epoch has.
    """
    return curve.peak > EXPLODED_RATIO * max(curve.first_loss, curve.lowest, NEAR_ZERO_LOSS)


def _jumps(curve: Curve) -> bool:
    """Returns whether the loss changes much to the end, by more than noise, and gets no lower."""
    half = curve.half
    if not curve.exact or len(half) < MIN_LEVELS or curve.has_dropout:
        return False
    limit = MIN_UNKNOWN_JUMP if curve.has_dropout is None else MIN_JUMP
    size = curve.swing
    if curve.every > 1 and curve.first_loss > _mean(half):  # batches are noisy
        size *= _mean(half) / curve.first_loss
    if size < (limit / 2 if _turns(curve) else limit):
        return False
    return curve.progress < MAX_PROGRESS or max(half) > curve.first


def _turns(curve: Curve) -> bool:
    """Returns whether the loss rises and falls by turns in the second half, in full batches."""
    half = curve.half
    if curve.every > 1 or len(half) < 2 * MIN_LEVELS:
        return False
    moves = [b - a for a, b in pairwise(half)]
    turns = sum(a * b < 0 for a, b in pairwise(moves))
    return turns >= MIN_TURNS * (len(moves) - 1)


# what the losses did; a page has these texts, too
ROSE = "the loss rose from {low:.4g} to {high:.4g}"
FELL = " and was {last:.4g} at the end"
WENT = "the loss went from {first:.4g} to {last:.4g}"


def sentence(curve: Curve, kind: str) -> str:
    """Returns what the losses did, with numbers."""
    first = curve.first
    best = curve.best
    last = curve.last
    if kind == "loss diverges":
        low = best
        high = max(curve.levels[curve.levels.index(best):])
        if has_exploded(curve):
            low = curve.first_loss
            high = curve.peak
        is_over = high > DIVERGED_RATIO * max(last, curve.last_loss)
        end = FELL.format(last=last) if is_over else ""
        return ROSE.format(low=low, high=high) + end
    if kind == "loss jumps":
        half = curve.half
        return (
            f"the loss jumped to the end, between {min(half):.4g} and {max(half):.4g} in the "
            "second half"
        )
    still = "stood still" if last < (1 + MAX_FLAT) * first else "did not fall"
    return {
        "loss not finite": WENT.format(first=first, last=curve.last_loss),
        "loss oscillates": f"the loss rose and fell by turns around {last:.4g} and got no lower",
        "loss stands still":
            f"the loss {still}: {first:.4g} at first, {best:.4g} at best and {last:.4g} at the "
            "end",
    }[kind]


_is_unwarned: ContextVar[bool] = ContextVar("is_unwarned", default=False)


@contextmanager
def unwarned() -> Iterator[None]:
    """A ``with`` block in which `fit` does not warn, because its caller reads `History.warning`.

    Filters of warnings are no means to do this: all threads share them.
    """
    token = _is_unwarned.set(True)
    try:
        yield
    finally:
        _is_unwarned.reset(token)


def is_unwarned() -> bool:
    """Returns whether `fit` is called in such a block."""
    return _is_unwarned.get()


class Start:
    """The parameters at the start of a run, to see at its end which of them moved."""

    def __init__(self, params: Sequence[Value], steps: int) -> None:
        self._params = tuple(params)
        self._data = read_numbers(params, "data")
        # whether a step used the gradients before, so that the loss may be at its minimum
        self._is_new = not steps and not any(
            parameter.grad.__class__ is UsedGradient for parameter in params
        )

    def judge(self, history: History, model: Any) -> None:
        """Sets `History.warning` and `History.finding` of the run that ended, if it went wrong."""
        if not history.loss:
            return
        curve = curve_of(history, model)
        if curve.steps < MIN_WARNED_STEPS and not has_exploded(curve):
            return
        kind = verdict(curve)
        if kind in ("", "loss stands still"):
            last_rate = history.learning_rates[-1]
            kind = "loss stands still" if self._stands_still(curve, last_rate) else ""
        history.finding = kind
        if kind:
            steps = counted(curve.steps, "step")
            history.warning = f"{sentence(curve, kind)}, in {steps} at {curve.rates}"

    def _stands_still(self, curve: Curve, last_rate: float) -> bool:
        """Returns whether the loss stands still where it is probably not at its minimum.

        It is taken to be there if the parameters were trained before, or if most parameters took
        part, the loss falls no more, and the last gradient is small, but not 0.
        """
        is_high = curve.last > max(NEAR_ZERO_LOSS, CONVERGED_RATIO * curve.first)
        is_flat = is_high and curve.progress < MAX_FLAT and curve.swing < MAX_FLAT
        if not (self._is_new and is_flat):
            return False
        if not curve.rate or (curve.fall < MIN_FALL and curve.is_slow):
            return True
        gradients = read_numbers(self._params, "grad")
        if curve.exact and curve.every == 1 and not curve.has_dropout:
            is_dead = not any(gradients) and len(gradients) >= MIN_ZERO
            promise = last_rate * sum(gradient * gradient for gradient in gradients)
            is_even = max(curve.half) <= (1 + 2 * MAX_FLAT) * min(curve.half)
            if is_dead or (is_even and promise > MAX_PROMISE * curve.last):
                return True
        moves = [abs(a - b) for a, b in zip(read_numbers(self._params, "data"), self._data)]
        if not any(moves):  # at a minimum, gradients are not exactly 0
            moves = [abs(gradient) for gradient in gradients]
        most = STILL_FRACTION * max(moves)
        still = sum(move <= most for move in moves)
        return still > MAX_STILL * len(moves)
