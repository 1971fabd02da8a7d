"""Verdicts on the losses of a training run: it diverges, stands still or oscillates.

The growth of a diverging loss determines a curvature.  Take a quadratic loss whose curvature along
some direction is lambda.  A step of gradient descent multiplies the distance from the minimum by
1 - lr * lambda, so it multiplies the loss (less its minimum) by r = (1 - lr * lambda)**2.  If the
loss grows, then lr * lambda - 1 = sqrt(r), and therefore:

    curvature                        lambda = (1 + sqrt(r)) / lr
    largest stable learning rate     2 / lambda = 2 lr / (1 + sqrt(r))
    best learning rate               1 / lambda = lr / (1 + sqrt(r))

(Goodfellow, Bengio and Courville, Deep Learning, 2016, section 4.3.1, equations 4.8 to 4.10; LeCun,
Bottou, Orr and Müller, Efficient BackProp, 1998, section 5.1.)

This is an estimate: losses of networks are only locally quadratic, other optimisers have other
rules, and the learning rate is the best one for the steepest direction only.  Trials (`trials`) are
more reliable, but they need the model and its samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite, nan, sqrt

from ..errors import counted
from ..train import History
from .findings import Finding, rounded_rate

# A run has diverged if its last loss, a mean over all samples, is this many times its first loss.
DIVERGED_RATIO = 2.0
# The same for losses of single batches, which are noisy.
DIVERGED_BATCH_RATIO = 10.0
MAX_RELAPSE = 0.5  # a run has diverged if it loses again more than this fraction of its gain
MIN_GAIN = 0.1  # relative fall of the loss; a smaller gain is not examined for a relapse
MIN_FALL = 0.01  # relative fall of the loss over the whole run; below it the loss stands still
MIN_STEPS = 10  # a shorter run is too short to tell that its loss stands still
# A loss below this is taken to be near its minimum.  Losses of `nn` are of the order of 1 for an
# untrained model: log 2 = 0.69, 1, or the variance of the targets.
NEAR_ZERO_LOSS = 0.05
# A run whose last loss is this many times its first one has diverged, even if both are near 0.
EXPLODED_RATIO = 1e3
CONVERGED_RATIO = 0.1  # a run has converged if its last loss is this fraction of its first loss
# Random losses change direction at 2 of 3 steps.  At the limit of stability the loss changes
# direction at almost every step, by much, and gets no lower.
MIN_TURNS = 0.9  # fraction of the steps at which the loss changes direction
MIN_SWING = 0.1  # mean change of the loss in a step, as a fraction of the loss
MAX_PROGRESS = 0.05  # relative fall of the loss from the third quarter of the run to the last
MIN_LEVELS = 20  # levels in the second half of the run; with fewer, turns prove nothing


@dataclass(frozen=True)
class Curve:
    """The losses of a training run, averaged over epochs, so that noise is small.

    levels: the mean loss of each epoch.  A run with fewer than two epochs is divided into about ten
        equal stretches of steps instead.
    every: the number of steps averaged in a level.
    exact: whether every level is a mean over all samples.
    steps: the number of steps of the run.
    last_loss: the loss of the last step.
    rate: the learning rate; the largest one of a schedule.
    """

    levels: tuple[float, ...]
    every: int
    exact: bool
    steps: int
    last_loss: float
    rate: float

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
        return statistics.median(self.levels[-max(1, len(self.levels) // 10):])

    @property
    def fall(self) -> float:
        """The fall of the loss from the first level to the best, as a fraction of the first."""
        return (self.first - self.best) / abs(self.first) if self.first else 0.0


def curve_of(history: History) -> Curve:
    """Returns the `Curve` of a history with at least one step."""
    losses = history.loss
    ends = history.epoch_ends
    if len(ends) >= 2:
        levels = [_mean(losses[start:end]) for start, end in pairwise([0, *ends])]
        every = ends[0]
        exact = True
        tail = losses[ends[-1]:]
        # the loss exploded in the last, unfinished epoch
        if tail and not _mean(tail) <= DIVERGED_BATCH_RATIO * abs(levels[-1]):
            levels.append(_mean(tail))
    else:
        every = max(1, len(losses) // 10)
        exact = ends == [1]
        levels = [_mean(losses[i:i + every]) for i in range(0, len(losses), every)]
    return Curve(tuple(levels), every, exact, len(losses), losses[-1], max(history.learning_rates))


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)


def verdict(curve: Curve) -> str:
    """Returns the kind of finding that the curve shows, or "" if it shows none."""
    if not isfinite(curve.last_loss) or not all(map(isfinite, curve.levels)):
        return "loss not finite"
    if curve.best < 0:
        return ""  # ratios of losses have no meaning
    relapsed = (
        curve.fall > MIN_GAIN
        and curve.last > curve.best + MAX_RELAPSE * (curve.first - curve.best)
        and curve.last > DIVERGED_RATIO * curve.best
        and curve.exact
    )
    limit = DIVERGED_RATIO if curve.exact else DIVERGED_BATCH_RATIO
    if curve.last > limit * curve.first or relapsed:
        is_large = curve.last > NEAR_ZERO_LOSS or curve.last > EXPLODED_RATIO * curve.first
        return "loss diverges" if is_large else ""
    if curve.last <= NEAR_ZERO_LOSS or curve.last <= CONVERGED_RATIO * curve.first:
        return ""
    if _oscillates(curve):
        return "loss oscillates"
    if curve.fall < MIN_FALL and curve.steps >= MIN_STEPS:
        return "loss stands still"
    return ""


def _oscillates(curve: Curve) -> bool:
    """Returns whether the loss rises and falls by turns in the second half of the run."""
    half = curve.levels[len(curve.levels) // 2:]
    if curve.every > 1 or len(half) < MIN_LEVELS:
        return False
    moves = [b - a for a, b in pairwise(half)]
    turns = sum(a * b < 0 for a, b in pairwise(moves))
    middle = len(half) // 2
    early = _mean(half[:middle])
    late = _mean(half[middle:])
    return (
        turns >= MIN_TURNS * (len(moves) - 1)
        and late > (1 - MAX_PROGRESS) * early
        and _mean([*map(abs, moves)]) > MIN_SWING * (early + late) / 2
    )


def growth(curve: Curve) -> float:
    """Returns the factor by which the loss grew in each step just after its lowest level.

    Returns nan if it did not grow.

    Later growth says less about the curvature at the minimum: the loss becomes flat if units
    saturate or die, and steeper if weights are multiplied with each other.
    """
    lowest = curve.levels.index(curve.best)
    a, b = (*curve.levels, nan)[lowest:lowest + 2]
    return (b / a) ** (1 / curve.every) if a > 0 and b < inf else nan


def curve_text(curve: Curve) -> str:
    """Returns the curve in words."""
    batches = " in full batches" if curve.exact and curve.every == 1 else ""
    return (
        f"the loss of {counted(curve.steps, 'step')}{batches}: {curve.first:.4g} at first, "
        f"{curve.best:.4g} at best, {curve.last:.4g} at the end; learning rate {curve.rate:.3g}"
    )


UNKNOWN_CAUSE = (
    "The losses alone do not say why. The loss may be at a minimum. The learning rate may be too "
    "small, or so large that the first steps ruined the model."
)
RECORD_ADVICE = (
    "Train again with fit(..., record_every=1); diagnose can then try learning rates and examine "
    "the layers."
)
RESTART_ADVICE = "Start again with other parameters (init=, rng=), or change the model or its loss."
SCALE_ADVICE = (
    "Scale inputs and targets to about 1 (data.Standardiser), and start again with smaller weights "
    "and a hundredth of the learning rate."
)


def loss_finding(
    curve: Curve, kind: str, suggested: float | None = None, tried: str = ""
) -> Finding:
    """Returns the finding of that kind about the loss.

    suggested: the learning rate that trials found; None if there is none.
    tried: the sentence about the trials; "" if there were none.
    """
    sentences = {
        "loss not finite": f"the loss went from {curve.first:.4g} to {curve.last_loss:.4g}",
        "loss diverges": f"the loss rose from {curve.best:.4g} to {curve.last:.4g}",
        "loss oscillates":
            f"the loss rose and fell by turns around {curve.last:.4g} and got no lower",
        "loss stands still":
            f"the loss was {curve.first:.4g} at first, {curve.best:.4g} at best and "
            f"{curve.last:.4g} at the end",
    }
    numbers = {
        "first": curve.first,
        "best": curve.best,
        "last": curve.last,
        "steps": curve.steps,
        "learning_rate": curve.rate,
    }
    ratio = growth(curve)
    advice = SCALE_ADVICE
    if suggested is not None or tried:
        if kind == "loss stands still":
            advice = RESTART_ADVICE
    elif kind == "loss stands still":
        tried = UNKNOWN_CAUSE
        advice = RECORD_ADVICE
    elif kind == "loss oscillates":
        suggested = curve.rate / 2
        tried = (
            "With gradient descent, the learning rate is then at the limit of stability, "
            "2 / curvature; half of it is best, as an estimate."
        )
    elif ratio > 1:
        numbers["growth"] = ratio
        suggested = curve.rate / (1 + sqrt(ratio))
        tried = (
            f"At first it grew by a factor of {ratio:.3g} in each step. With gradient descent, the "
            f"curvature is then about (1 + sqrt({ratio:.3g})) / {curve.rate:.3g}, and its inverse "
            "is an estimate of the best learning rate."
        )
    if suggested is not None:
        numbers["suggested_rate"] = suggested = rounded_rate(suggested)
        advice = f"Start again with a learning rate of {suggested:g}."
    where = f"In {counted(curve.steps, 'step')} at a learning rate of {curve.rate:.3g}"
    sentence = f"{where}, {sentences[kind]}. {tried}".strip()
    return Finding(kind, "loss", numbers, sentence, advice)
