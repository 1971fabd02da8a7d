"""Verdicts on the losses of a training run: it diverges, stands still or oscillates.

The growth of a diverging loss determines a curvature.  Along the direction in which a quadratic
loss is curved by lambda, a step of gradient descent multiplies the distance from the minimum by 1 -
lr * lambda, and the loss above its minimum by the square of that, r.  If it grows, lr * lambda - 1
= sqrt(r), and so:

    curvature           lambda = (1 + sqrt(r)) / lr
    largest stable rate      2 / lambda = 2 lr / (1 + sqrt(r))
    rate that does best      1 / lambda =   lr / (1 + sqrt(r))

(Goodfellow, Bengio and Courville, Deep Learning, 2016, section 4.3.1, equations 4.8 to 4.10; LeCun,
Bottou, Orr and Müller, Efficient BackProp, 1998, section 5.1.)  It is an estimate: losses of
networks are quadratic only nearby, other optimisers have other rules, and it is the best rate for
the steepest direction alone.  Trials are better (`trials`), if there is something to try with.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise

from ..errors import counted
from ..train import History
from .findings import Finding, rounded

# A training that ends at twice the loss that it began with has diverged, if it is a mean over the
# samples; a loss of single batches is noisy, and has to rise tenfold.
DIVERGED = 2.0
DIVERGED_BATCHES = 10.0
MAX_RELAPSE = 0.5  # the part of its gain that a loss may lose again without having diverged
MIN_GAIN = 0.1  # relative fall of the loss; a smaller gain is not examined for a relapse
MIN_FALL = 0.01  # relative fall of the loss over the whole run; below it the loss stands still
FEWEST_STEPS = 10  # with fewer steps, nothing can be said to stand still
# The losses of `nn` are of the order of 1 for a model that knows nothing: log 2 = 0.69, 1, or the
# variance of the targets.
NEAR_ZERO = 0.05  # a loss below it is taken for its minimum, if nothing else is known
EXPLODED = 1e3  # times the first loss: also where all losses are near 0, it has diverged
CONVERGED = 0.1  # of the first loss
# Noise goes up and down by turns for 2 of 3 steps; a rate at the limit of stability for every one,
# and without progress.
ALTERNATION = 0.9
SWING = 0.1
PROGRESS = 0.05
FEWEST_SWINGS = 20


@dataclass(frozen=True)
class Curve:
    """The losses of a training run, smoothed enough to be compared.

    levels      the mean loss of every epoch; where there are not two of them, of about ten equal
                stretches of steps
    every       how many steps a level is the mean of
    exact       whether every level is a mean over all samples
    steps       how many steps there were
    last_loss   the loss of the last step
    rate        the learning rate; of a schedule the largest
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
        """The last level: the median of the last tenth, so one outlier does not decide."""
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
        levels = [sum(losses[start:end]) / (end - start) for start, end in zip([0, *ends], ends)]
        every = ends[0]
        exact = True
        tail = losses[ends[-1]:]
        # it blew up in the last epoch
        if tail and not sum(tail) / len(tail) <= DIVERGED_BATCHES * abs(levels[-1]):
            levels.append(sum(tail) / len(tail))
    else:
        every = max(1, len(losses) // 10)
        exact = ends == [1]
        stretches = [losses[i:i + every] for i in range(0, len(losses), every)]
        levels = [sum(stretch) / len(stretch) for stretch in stretches]
    return Curve(tuple(levels), every, exact, len(losses), losses[-1], max(history.learning_rates))


def verdict(curve: Curve) -> str:
    """Returns what the curve shows: a kind of finding, or "" for none."""
    if not math.isfinite(curve.last_loss) or not all(map(math.isfinite, curve.levels)):
        return "loss not finite"
    if min(curve.levels) < 0:
        return ""  # ratios mean nothing
    relapsed = (
        curve.fall > MIN_GAIN
        and curve.last > curve.best + MAX_RELAPSE * (curve.first - curve.best)
        and curve.last > DIVERGED * curve.best
        and curve.exact
    )
    limit = DIVERGED if curve.exact else DIVERGED_BATCHES
    if curve.last > limit * curve.first or relapsed:
        is_large = curve.last > NEAR_ZERO or curve.last > EXPLODED * curve.first
        return "loss diverges" if is_large else ""
    if curve.last <= NEAR_ZERO or curve.last <= CONVERGED * curve.first:
        return ""
    if _oscillates(curve):
        return "loss oscillates"
    if curve.fall < MIN_FALL and curve.steps >= FEWEST_STEPS:
        return "loss stands still"
    return ""


def _oscillates(curve: Curve) -> bool:
    half = curve.levels[len(curve.levels) // 2:]
    if curve.every > 1 or len(half) < FEWEST_SWINGS:
        return False
    moves = [b - a for a, b in pairwise(half)]
    turns = sum(a * b < 0 for a, b in pairwise(moves))
    middle = len(half) // 2
    early = sum(half[:middle]) / middle
    late = sum(half[middle:]) / (len(half) - middle)
    return (
        turns >= ALTERNATION * (len(moves) - 1)
        and late > (1 - PROGRESS) * early
        and sum(map(abs, moves)) / len(moves) > SWING * (early + late) / 2
    )


def growth(curve: Curve) -> float:
    """Returns the factor by which the loss grew in one step when it began to rise from its lowest
    level; nan if it did not rise.

    Later on it says less: units saturate or die, and the loss is flat; or products of weights make
    it steeper and steeper.
    """
    lowest = curve.levels.index(min(curve.levels))
    a, b = (*curve.levels[lowest:lowest + 2], math.nan)[:2]
    return (b / a) ** (1 / curve.every) if a > 0 and b < math.inf else math.nan


def looked_at(curve: Curve) -> str:
    """Returns the curve in words."""
    batches = " in full batches" if curve.exact and curve.every == 1 else ""
    return (
        f"the loss of {counted(curve.steps, 'step')}{batches}: {curve.first:.4g} at first, "
        f"{curve.best:.4g} at best, {curve.last:.4g} in the end; learning rate {curve.rate:.3g}"
    )


UNKNOWN = (
    "The losses alone do not say whether it is at a minimum, or whether the learning rate is too "
    "small, or so large that the model broke in the first steps."
)
RECORD = (
    "Train again with fit(..., record_every=1): diagnose can then try learning rates, and look "
    "into the model."
)
RESTART = "Begin with other parameters (init=, rng=), or change the model or its loss."
TAME = (
    "Scale inputs and targets to about 1 (data.Standardiser), start with smaller weights, and "
    "begin with a hundredth of the learning rate."
)


def of_curve(curve: Curve, kind: str, suggested: float | None = None, tried: str = "") -> Finding:
    """Returns the finding of that kind about the loss.  ``suggested`` is the learning rate that
    trials found, ``tried`` the sentence about the trials."""
    numbers = {
        "first": curve.first,
        "best": curve.best,
        "last": curve.last,
        "steps": curve.steps,
        "learning_rate": curve.rate,
    }
    ratio = growth(curve)
    if suggested is not None or tried:
        advice = RESTART if kind == "loss stands still" else TAME
    elif kind == "loss stands still":
        tried = UNKNOWN
        advice = RECORD
    elif kind == "loss oscillates":
        suggested = rounded(curve.rate / 2)
        tried = (
            "Under gradient descent that is the limit of stability, 2 / curvature; half of it "
            "would do best, an estimate."
        )
    elif ratio > 1:
        numbers["growth"] = ratio
        suggested = rounded(curve.rate / (1 + math.sqrt(ratio)))
        tried = (
            f"It began to grow {ratio:.3g} times a step; under gradient descent the curvature is "
            f"then about (1 + sqrt({ratio:.3g})) / {curve.rate:.3g}, and one over it would do "
            "best, an estimate."
        )
    else:
        advice = TAME
    if suggested is not None:
        numbers["suggested_rate"] = suggested
        advice = f"Begin again with a learning rate of {suggested:g}."
    return Finding(kind, "loss", numbers, f"{_sentence(curve, kind)} {tried}".strip(), advice)


def _sentence(curve: Curve, kind: str) -> str:
    """Returns the sentence of a finding of that kind."""
    if kind == "loss not finite":
        what = f"The loss was {curve.first:.4g} at first and is {curve.last_loss:.4g} in the end"
    elif kind == "loss diverges":
        what = f"The loss rose from {curve.best:.4g} to {curve.last:.4g}"
    elif kind == "loss oscillates":
        what = (
            f"The loss goes up and down with every step around {curve.last:.4g} and gets no lower"
        )
    else:
        what = (
            f"The loss was {curve.first:.4g} at first, {curve.best:.4g} at best, "
            f"{curve.last:.4g} in the end"
        )
    return f"{what}, in {counted(curve.steps, 'step')} at a learning rate of {curve.rate:.3g}."
