"""The learning rate: how far a step goes, and when it goes too far."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Any

from .... import data, optim
from ....engine.autodiff import hessian
from ....engine.value import Value
from ...claims import Evidence, claim
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part

SAMPLES = 20
STEPS = 100


def mean_square(
    w: Sequence[Any], samples: Sequence[Sequence[float]], targets: Sequence[float]
) -> Any:
    """Returns the mean squared error of the line w[0] + w[1] x."""
    errors = [w[0] + w[1] * x - t for (x,), t in zip(samples, targets)]
    return sum(error**2 for error in errors) / len(errors)


def fitted(seed: int, factor: float) -> tuple[float, float, float]:
    """Fits a line by gradient descent from 0, in `STEPS` steps with the rate factor / L.

    L is the largest curvature of the loss, the larger eigenvalue of its Hessian.

    Returns the loss at the start, the loss at the end, and L.
    """
    samples, targets = data.line(SAMPLES, rng=seed)
    (a, b), (_, c) = hessian(lambda w: mean_square(w, samples, targets))([0.0, 0.0])
    largest = (a + c) / 2 + hypot((a - c) / 2, b)
    w = [Value(0.0, "w0"), Value(0.0, "w1")]
    optimizer = optim.SGD(w, lr=factor / largest)
    losses = []
    for _ in range(STEPS):
        loss = mean_square(w, samples, targets)
        losses.append(loss.data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses[0], mean_square([p.data for p in w], samples, targets), largest


@claim("too small a rate is slow", lesson="rate", negation={"factor": 0.5})
def slow(seed: int, factor: float = 0.02) -> Evidence:
    """A hundred small steps leave a good part of the loss; larger ones leave the noise only."""
    first, last, _ = fitted(seed, factor)
    best = fitted(seed, 1.0)[1]
    return Evidence(
        last > 5 * best,
        {"first": first, "last": last, "best": best, "steps": STEPS, "factor": factor},
        f"After {STEPS} steps with the rate {factor}/L the loss has fallen from {first:.3f} to "
        f"{last:.3f}; with 1/L it falls to {best:.3f}.",
    )


@claim("too large a rate diverges", lesson="rate", negation={"factor": 1.9})
def diverges(seed: int, factor: float = 2.1) -> Evidence:
    """Above 2 / L each step overshoots by more than it corrects."""
    runs = {f: fitted(seed, f) for f in (0.02, 0.5, 1.0, 1.9, 1.99, 2.01, factor)}
    first, last, largest = runs[factor]
    rows = [(f"{f:g}/L", f"{run[1]:.3g}") for f, run in runs.items()]
    return Evidence(
        last > 1000 * first,
        {"first": first, "last": last, "L": largest, "limit": 2 / largest, "factor": factor},
        f"The largest curvature is L = {largest:.2f}, so 2/L = {2 / largest:.3f}. After {STEPS} "
        f"steps with {factor}/L the loss has gone from {first:.3f} to {last:.2g}.",
        (("rate", f"loss after {STEPS} steps"), *rows),
    )


LESSON = Lesson(
    name="rate",
    title="The learning rate",
    intro="The gradient says in which direction the loss grows, and how steeply. It does not say "
          "how far to go. That is the learning rate: each step changes a weight by the rate times "
          "its gradient. We fit a line to twenty points, again and again, with one rate after the "
          "other. L is the largest curvature of the loss, an eigenvalue of its Hessian; it is "
          "what decides how large a rate may be.",
    parts=(
        Part(
            "The loss is a bowl with curvature L. What happens with a rate a little above 2/L?",
            (
                "The loss grows without end",
                "The loss swings around the minimum, but comes no closer",
                "Learning is faster, with some noise",
            ),
            (
                "Above 2/L each step overshoots by more than it corrects.",
                "That is what happens at exactly 2/L; above it the swings grow.",
                "That holds below 1/L: a larger rate is faster there. Above 2/L it is not.",
            ),
            diverges,
            "In a direction with curvature L a step multiplies the distance to the minimum by "
            "1 - rate × L. With {factor}/L that factor is below -1: the weight jumps over the "
            "minimum and lands further away than it was, every time. Between 1/L and 2/L it "
            "jumps over, too, but lands closer: it oscillates and converges.",
        ),
        Part(
            "And with a rate far below 1/L, say 0.02/L?",
            ("It converges, but slowly", "It ends at another minimum", "It diverges"),
            (
                "Small steps are safe and slow.",
                "A bowl has one minimum; small steps only need longer to get there.",
                "Small steps cannot overshoot.",
            ),
            slow,
            "Nothing goes wrong with a small rate; it wastes steps. After {steps} steps the loss "
            "is {last:.3f}, where a good rate has reached {best:.3f}, which is the noise of the "
            "data. A good rate is as large as it may be, with some room for safety.",
        ),
    ),
    remember="The rate sets the size of a step. Above 2 over the largest curvature gradient "
             "descent diverges; far below it wastes steps.",
    question=("update", 2),
    exercise="rate",
    ideas={
        "what sets the step": IdeaQuestion(
            "What sets the size of a step of gradient descent?",
            "The learning rate",
            {
                "The number of training examples": "examples set the step",
                "The initial values of the weights": "start sets the step",
            },
            slow,
        ),
    },
    cards={
        "learning rate": Card(
            "update",
            "The learning rate is a positive number that multiplies the gradient: it sets how far "
            "the weights move in a step.",
        ),
        "too large a rate": Card(
            "idea",
            "Too large a rate overshoots and diverges; too small a rate converges slowly.",
            idea="what sets the step",
        ),
    },
    covers={
        "000.n3": Cover("too large a rate diverges", "learning rate", "what sets the step"),
        "001.f3": Cover("too small a rate is slow", "too large a rate", "update"),
    },
)
