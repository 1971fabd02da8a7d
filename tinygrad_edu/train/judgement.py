"""Judges the losses of a training run: they diverge, jump, oscillate or stand still.

`fit` warns with this judgement, and `diagnose` begins with it.  Only what is certain is said: noise
of batches and dropout, and a loss that is at its minimum, are no faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, sqrt
from statistics import median
from typing import Any

from ..engine.value import Value
from ..errors import counted
from ..nn.layers import Dropout
from ..nn.module import Module
from ..optim.parameters import UsedGradient, read_numbers
from .history import History

# A run has diverged if its last loss, a mean over all samples, is this many times its first loss.
DIVERGED_RATIO = 2.0
# The same for losses of single batches, and for few epochs of batches, which are noisy.
DIVERGED_BATCH_RATIO = 10.0
MAX_RELAPSE = 0.5  # a run has diverged if it loses again more than this fraction of its gain
MIN_GAIN = 0.1  # relative fall of the loss; a smaller gain is not examined for a relapse
MIN_FALL = 0.01  # relative fall of the loss over the whole run; below it the loss stands still
MIN_STEPS = 10  # a shorter run is too short to tell that its loss stands still
MIN_WARNED_STEPS = 20  # `fit` does not warn about shorter runs, unless their loss explodes
# A loss below this is taken to be near its minimum.  Losses of `nn` are of the order of 1 for an
# untrained model: log 2 = 0.69, 1, or the variance of the targets.
NEAR_ZERO_LOSS = 0.05
# A run whose last loss is this many times its first one has diverged, even if both are near 0, and
# so has a run that was so high in between and ended above half of its first loss.
EXPLODED_RATIO = 1e3
# The same if the loss ended above its start; the first batch may have a small loss by chance.
RUINED_RATIO = 20.0
RUINED_LOSS = 0.2
CONVERGED_RATIO = 0.1  # a run has converged if its last loss is this fraction of its first loss
MAX_PROGRESS = 0.05  # relative fall of the loss from the third quarter of the run to the last
# Random losses change direction at 2 of 3 steps.  At the limit of stability the loss changes
# direction at almost every step, by much, and gets no lower.
MIN_TURNS = 0.9  # fraction of the steps at which the loss changes direction
MIN_SWING = 0.1  # mean change of the loss in a step, as a fraction of the loss
MIN_LEVELS = 20  # levels in the second half of the run; with fewer, turns prove nothing
# Full batches without dropout have no noise, and at a good learning rate their loss hardly rises.
MIN_JUMP = 0.25  # mean change of the loss in a step, as a fraction of the loss
MIN_UNKNOWN_JUMP = 0.5  # the same if it is not known whether the model has dropout
MAX_JUMP_PROGRESS = 0.25  # relative fall as above; a loss that jumps may fall a little by chance
MIN_JUMP_LEVELS = 10  # levels in the second half of the run
JUMP_RATIO = 1.5  # a loss that was below the first one jumps if it rises above this many times it
# A parameter hardly moves if it does so by less than this fraction of the one that moves most.
STILL_FRACTION = 0.01
MAX_STILL = 0.6  # fraction of such parameters, above which a flat loss is no minimum
SMALL_MOVE = 1e-3  # largest move, as a fraction of the size of the parameters
MIN_SMALL_FALL = 0.1  # relative fall of the loss; below it such a move is too small


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
    if curve.last > curve.first / EXPLODED_RATIO:
        if _oscillates(curve):
            return "loss oscillates"
        if _jumps(curve):
            return "loss jumps"
    has_converged = curve.last <= CONVERGED_RATIO * curve.first
    if not has_converged and curve.fall < MIN_FALL and curve.steps >= MIN_STEPS:
        return "loss stands still"
    return ""


def _diverges(curve: Curve) -> bool:
    """Returns whether the loss is higher at the end than it was before."""
    gain = curve.first - curve.lowest
    relapsed = (
        gain > MIN_GAIN * curve.first
        and curve.last > curve.lowest + MAX_RELAPSE * gain
        and curve.last > DIVERGED_RATIO * curve.lowest
        and curve.exact
    )
    is_sure = curve.exact and (curve.every == 1 or len(curve.levels) >= MIN_STEPS)
    limit = DIVERGED_RATIO if is_sure else DIVERGED_BATCH_RATIO
    if curve.last > limit * curve.first or relapsed:
        return curve.last > NEAR_ZERO_LOSS or curve.last > EXPLODED_RATIO * curve.first
    if not has_exploded(curve):
        return False
    start = max(curve.first_loss, NEAR_ZERO_LOSS)
    return curve.last > (start / 2 if curve.peak > EXPLODED_RATIO * start else JUMP_RATIO * start)


def has_exploded(curve: Curve) -> bool:
    """Returns whether the loss was far above its start, whatever it was at the end."""
    if curve.peak > EXPLODED_RATIO * max(curve.first_loss, NEAR_ZERO_LOSS):
        return True
    limit = RUINED_RATIO * max(curve.first_loss, RUINED_LOSS)
    return curve.steps >= MIN_STEPS and curve.peak > limit


def _oscillates(curve: Curve) -> bool:
    """Returns whether the loss rises and falls by turns in the second half of the run."""
    half = curve.half
    if curve.every > 1 or len(half) < MIN_LEVELS:
        return False
    moves = [b - a for a, b in pairwise(half)]
    turns = sum(a * b < 0 for a, b in pairwise(moves))
    alternates = turns >= MIN_TURNS * (len(moves) - 1) and curve.swing > MIN_SWING
    return alternates and curve.progress < MAX_PROGRESS


def _jumps(curve: Curve) -> bool:
    """Returns whether the loss jumps up and down to the end, by more than noise.

    Either its steps are large, or it rises above its start again and again.  It is no fault if they
    leave the loss below where it was before.
    """
    half = curve.half
    quarter = len(half) // 2
    if not curve.exact or not quarter or max(half[quarter:]) < median(half[:quarter]):
        return False
    if curve.progress > MAX_JUMP_PROGRESS and max(half) < curve.first:
        return False
    is_long = curve.every == 1 and len(half) >= MIN_JUMP_LEVELS
    swing = curve.swing if is_long else 0.0
    if swing > MIN_JUMP or _returns(curve):
        has_dropout = curve.has_dropout
        return not has_dropout and not (has_dropout is None and MIN_JUMP < swing < MIN_UNKNOWN_JUMP)
    return False


def _returns(curve: Curve) -> bool:
    """Returns whether the loss rises far above its start at least twice, and again at the end."""
    rises = []
    is_below = True
    for k, level in enumerate(curve.levels):
        if level <= curve.first:
            is_below = True
        elif is_below and level > JUMP_RATIO * curve.first:
            is_below = False
            rises.append(k)
    return len(rises) >= 2 and 2 * rises[-1] >= len(curve.levels)


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
        end = f" and was {last:.4g} at the end" if is_over else ""
        return f"the loss rose from {low:.4g} to {high:.4g}{end}"
    if kind == "loss jumps":
        half = curve.half
        return (
            f"the loss jumped to the end, between {min(half):.4g} and {max(half):.4g} in the "
            "second half"
        )
    still = "stood still" if last < (1 + MAX_PROGRESS) * first else "did not fall"
    return {
        "loss not finite": f"the loss went from {first:.4g} to {curve.last_loss:.4g}",
        "loss oscillates": f"the loss rose and fell by turns around {last:.4g} and got no lower",
        "loss stands still":
            f"the loss {still}: {first:.4g} at first, {best:.4g} at best and {last:.4g} at the "
            "end",
    }[kind]


class Start:
    """The parameters at the start of a run, to see at its end which of them moved."""

    def __init__(self, params: Sequence[Value], steps: int) -> None:
        self._params = tuple(params)
        self._data = read_numbers(params, "data")
        # whether a step used the gradients before, so that the loss may be at its minimum
        self._is_new = not steps and not any(
            parameter.grad.__class__ is UsedGradient for parameter in params
        )

    def warning(self, history: History, model: Any) -> str:
        """Returns what went wrong in the run that ended, in a sentence, or "" if nothing did."""
        if not history.loss:
            return ""
        curve = curve_of(history, model)
        if curve.steps < MIN_WARNED_STEPS and not has_exploded(curve):
            return ""
        kind = verdict(curve)
        if kind in ("", "loss stands still"):
            kind = "loss stands still" if self._stands_still(curve) else ""
        if not kind:
            return ""
        steps = counted(curve.steps, "step")
        return f"{sentence(curve, kind)}, in {steps} at {curve.rates}"

    def _stands_still(self, curve: Curve) -> bool:
        """Returns whether the loss stands still where it is probably not at its minimum.

        It is taken to be there if the parameters were trained before, or if the loss fell and most
        parameters took part.
        """
        is_high = curve.last > max(NEAR_ZERO_LOSS, CONVERGED_RATIO * curve.first)
        is_flat = is_high and curve.progress < MAX_PROGRESS and curve.swing < MIN_SWING
        if not (self._is_new and curve.rate and is_flat):
            return False
        if curve.fall < MIN_FALL / 2:
            return True
        moves = [abs(a - b) for a, b in zip(read_numbers(self._params, "data"), self._data)]
        largest = max(moves)
        size = sqrt(sum(x * x for x in self._data) / len(moves))
        if 0 < largest < SMALL_MOVE * size and curve.fall < MIN_SMALL_FALL:
            return True
        still = sum(move <= STILL_FRACTION * largest for move in moves)
        return still > MAX_STILL * len(moves)
