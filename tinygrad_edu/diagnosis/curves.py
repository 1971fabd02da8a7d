"""Findings about the losses of a training run, and the learning rate that they determine.

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

from math import inf, nan, sqrt

from ..errors import counted
from ..train.judgement import Curve, has_exploded, sentence
from .findings import Finding, rounded_rate


def growth(curve: Curve) -> float:
    """Returns the factor by which the loss grew in each step just after its lowest level.

    Returns nan if it did not grow, or if it did so within the first epoch of batches.

    Later growth says less about the curvature at the minimum: the loss becomes flat if units
    saturate or die, and steeper if weights are multiplied with each other.
    """
    if curve.every > 1 and has_exploded(curve):
        return nan
    lowest = curve.levels.index(curve.best)
    a, b = (*curve.levels, nan)[lowest:lowest + 2]
    return (b / a) ** (1 / curve.every) if a > 0 and b < inf else nan


def curve_text(curve: Curve) -> str:
    """Returns the curve in words, with how its numbers are made of those of the history."""
    numbers = "the numbers of history.loss"
    if curve.every > 1:
        numbers = f"means of {curve.every} steps" + (", an epoch" if curve.exact else "")
    elif curve.exact and curve.steps > 1:
        numbers += ", in full batches"
    return (
        f"the loss of {counted(curve.steps, 'step')}: {curve.first:.4g} at first, "
        f"{curve.best:.4g} at best, {curve.last:.4g} at the end ({numbers}; the end is the median "
        f"of the last tenth), at {curve.rates}"
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


# what a page of a training run says, too
FOUND = "In {steps} at {rates}, {found}. {tried}"
GREW = (
    "At first it grew by a factor of {ratio:.3g} in each step. With gradient descent, the "
    "curvature is then about (1 + sqrt({ratio:.3g})) / {rate:.3g}, and its inverse is an estimate "
    "of the best learning rate."
)
RATE_ADVICE = "Start again with a learning rate of {rate:g}."


def loss_finding(
    curve: Curve, kind: str, suggested: float | None = None, tried: str = ""
) -> Finding:
    """Returns the finding of that kind about the loss.

    suggested: the learning rate that trials found; None if there is none.
    tried: the sentence about the trials; "" if there were none.
    """
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
        elif suggested is None:
            advice = (
                "Let the learning rate fall towards the end: "
                f"lr=optim.cosine({curve.rate:.3g}, {curve.steps})."
            )
    elif kind == "loss stands still":
        tried = UNKNOWN_CAUSE
        advice = RECORD_ADVICE
    elif kind == "loss jumps":
        suggested = curve.rate / 3
        tried = (
            "At a suitable learning rate it would fall, apart from noise; a third of this one is a "
            "guess."
        )
    elif kind == "loss oscillates":
        suggested = curve.rate / 2
        tried = (
            "With gradient descent, the learning rate is then at the limit of stability, "
            "2 / curvature; half of it is best, as an estimate."
        )
    elif ratio > 1:
        numbers["growth"] = ratio
        suggested = curve.rate / (1 + sqrt(ratio))
        tried = GREW.format(ratio=ratio, rate=curve.rate)
    if suggested is not None:
        numbers["suggested_rate"] = suggested = rounded_rate(suggested)
        advice = RATE_ADVICE.format(rate=suggested)
    steps = counted(curve.steps, "step")
    found = FOUND.format(steps=steps, rates=curve.rates, found=sentence(curve, kind), tried=tried)
    found = found.strip()
    return Finding(kind, "loss", numbers, found, advice)
