"""The learning rate: how far a step goes, and when it goes too far."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile
from math import hypot, isfinite
from typing import NamedTuple

from .... import data, optim
from ....engine.autodiff import hessian
from ....engine.value import Value
from ....errors import counted
from ...evidence import Evidence, claim
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .descent import Samples, best_line, mean_square, rounded

SAMPLES = 20
MANY = 200  # samples, to compare with
STEPS = 100
SHOWN = (0, 1, 2, 3, 4, 10)  # steps in a table
ROUNDING = 1e-12  # a distance that is smaller, relative to the first one, is a rounding error


class Run(NamedTuple):
    """A line that was fitted in `STEPS` steps.

    first, last: the loss at the start and at the end.
    L: the largest curvature of the loss, the larger eigenvalue of its Hessian.
    distances: how far w0 is from its best value, before each step and at the end.
    """

    first: float
    last: float
    L: float
    distances: tuple[float, ...]


def curvature(samples: Samples, targets: Sequence[float]) -> float:
    """Returns the larger eigenvalue of the Hessian of the loss, which is the same everywhere."""
    (a, b), (_, c) = hessian(lambda w: mean_square(w, samples, targets))([0.0, 0.0])
    return float((a + c) / 2 + hypot((a - c) / 2, b))


def fitted(seed: int, factor: float) -> Run:
    """Fits a line by gradient descent from 0 with the learning rate factor / L."""
    samples, targets = data.line(SAMPLES, rng=seed)
    largest = curvature(samples, targets)
    best = best_line(samples, targets)[0]
    w = [Value(0.0, "w0"), Value(0.0, "w1")]
    optimizer = optim.SGD(w, lr=factor / largest)
    losses = []
    distances = []
    for _ in range(STEPS):
        loss = mean_square(w, samples, targets)
        losses.append(loss.data)
        distances.append(w[0].data - best)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    last = mean_square([p.data for p in w], samples, targets)
    return Run(losses[0], last, largest, (*distances, w[0].data - best))


def first_step(seed: int, n: int, rate: float, away: float, is_mean: bool = True) -> float:
    """Returns the length of the first step of a line that starts away from the best one.

    n: the number of samples.
    away: the distance of both weights from 1 and 2, the weights that the data were made with.
    is_mean: whether the loss is the mean of the squared errors, or else their sum.
    """
    samples, targets = data.line(n, rng=seed)
    w = [Value(1.0 + away, "w0"), Value(2.0 + away, "w1")]
    loss = mean_square(w, samples, targets) * (1 if is_mean else n)
    loss.backward()
    before = [p.data for p in w]
    optim.SGD(w, lr=rate).step()
    return hypot(*[p.data - x for p, x in zip(w, before)])


@claim("twice the learning rate is twice the step", lesson="rate", negation={"is_mean": False})
def scales(seed: int, is_mean: bool = True) -> Evidence:
    """The step doubles with the learning rate; more samples leave it nearly as it is.

    is_mean: whether the loss is the mean of the squared errors, or else their sum.
    """
    settings = ((0.1, SAMPLES, 2.0), (0.2, SAMPLES, 2.0), (0.1, MANY, 2.0), (0.1, SAMPLES, 4.0))
    steps = [first_step(seed, n, rate, away, is_mean) for rate, n, away in settings]
    base, doubled, many, far = steps
    rows = [
        (f"{rate}", f"{n}", f"{away:g}", f"{step:.3f}")
        for (rate, n, away), step in zip(settings, steps)
    ]
    return Evidence(
        abs(doubled / base - 2) < 1e-9 and abs(many / base - 1) < 0.2,
        {"base": base, "doubled": doubled / base, "many": many / base, "far": far / base},
        f"The first step is {base:.3f} long. With twice the learning rate it is "
        f"{doubled / base:.3f} times as long, with ten times the samples {many / base:.3f} times.",
        (("learning rate", "samples", "start off by", "first step"), *rows),
    )


@claim("too small a rate is slow", lesson="rate", negation={"factor": 0.5})
def slow(seed: int, factor: float = 0.02) -> Evidence:
    """A hundred small steps leave a good part of the loss; larger ones leave the noise only.

    factor: the learning rate, in units of 1/L.
    """
    run = fitted(seed, factor)
    best = fitted(seed, 1.0).last
    return Evidence(
        run.first > run.last > 5 * best,
        {"first": run.first, "last": run.last, "best": best, "steps": STEPS, "factor": factor},
        f"After {STEPS} steps with a learning rate of {factor:g}/L the loss has gone from "
        f"{run.first:.3f} to {rounded(run.last)}; with 1/L it falls to {rounded(best)}.",
    )


@claim(
    "between 1/L and 2/L descent oscillates and converges",
    lesson="rate",
    negation={"factor": 2.1},
)
def oscillates(seed: int, factor: float = 1.9) -> Evidence:
    """Each step jumps over the minimum, and lands nearer to it than before.

    factor: the learning rate, in units of 1/L.
    """
    columns = {f: fitted(seed, f).distances for f in sorted({0.5, 1.9, 2.1, factor})}
    path = columns[factor]
    first = list(pairwise(path))[:STEPS // 2]
    pairs = [*takewhile(lambda pair: abs(pair[0]) > ROUNDING * abs(path[0]), first)]
    jumps = sum(x * z < 0 for x, z in pairs)
    nearer = sum(abs(z) < abs(x) for x, z in pairs)
    rows = [
        (f"{step}", *[_signed(column[step]) for column in columns.values()])
        for step in SHOWN
    ]
    end = " Then w0 is at its best value, up to rounding." * (len(pairs) < len(first))
    return Evidence(
        jumps == nearer == len(pairs),
        {"jumps": jumps, "nearer": nearer, "steps": len(pairs), "ratio": abs(path[1] / path[0])},
        f"With {factor:g}/L, {jumps} of the first {counted(len(pairs), 'step')} jump over the best "
        f"w0, and {nearer} land nearer to it than before.{end} The table has w0 minus its best "
        "value.",
        (("step", *[f"{f:g}/L" for f in columns]), *rows),
    )


def _signed(x: float) -> str:
    """Returns a distance as text, a large one with an exponent."""
    return f"{x:+.3f}" if abs(x) < 1000 else f"{x:+.1e}"


@claim("too large a rate diverges", lesson="rate", negation={"factor": 1.9})
def diverges(seed: int, factor: float = 2.1) -> Evidence:
    """Above 2 / L each step overshoots by more than it corrects.

    factor: the learning rate, in units of 1/L.
    """
    runs = {f: fitted(seed, f) for f in (0.02, 0.5, 1.0, 1.9, 1.99, 2.01, factor)}
    run = runs[factor]
    rows = [(f"{f:g}/L", rounded(other.last)) for f, other in runs.items()]
    return Evidence(
        run.last > 1000 * run.first or not isfinite(run.last),
        {
            "first": run.first, "last": run.last, "L": run.L, "limit": 2 / run.L,
            "factor": factor,
        },
        f"The largest curvature is L = {run.L:.2f}, so 2/L = {2 / run.L:.2f}. After {STEPS} "
        f"steps with {factor:g}/L the loss has gone from {run.first:.2f} to "
        f"{rounded(run.last, 2)}.",
        (("learning rate", f"loss after {STEPS} steps"), *rows),
    )


LESSON = Lesson(
    name="rate",
    title="The learning rate",
    intro="The gradient says in which direction the loss grows, and how steeply. It does not say "
          "how far to go. That is the learning rate, a positive number: a step changes each "
          "weight by the learning rate times its gradient. We fit a line to twenty points, with "
          "one learning rate after the other, and the mean squared error as loss. L is the "
          "largest curvature of the loss: how fast its slope changes in the direction in which it "
          "changes fastest (the largest eigenvalue of the Hessian). It will turn out to decide how "
          "large a learning rate may be.",
    parts=(
        Part(
            "You double the learning rate and change nothing else. The first step is then",
            (
                "twice as long",
                "just as long: the gradient sets the length",
                "longer, but by how much depends on the loss",
            ),
            (
                "A step is learning rate times gradient, and the gradient is the same.",
                "The gradient is only one of two factors; the learning rate is the other.",
                "The gradient is computed before the step, so it does not change. The step grows "
                "exactly as the learning rate.",
            ),
            scales,
            "Doubling the learning rate doubled the step. Ten times as many samples hardly changed "
            "it, because this loss is a mean. A start twice as far away has a larger gradient and "
            "made the first step {far:.2f} times as long: the step is a product, and the gradient "
            "is its other factor. But the gradient comes out as it does. The size that "
            "you set is the learning rate.",
        ),
        Part(
            "What happens with a learning rate far below 1/L, say 0.02/L?",
            ("It converges, but slowly", "It ends at another minimum", "It diverges"),
            (
                "Small steps are safe and slow.",
                "This loss is a bowl and has one minimum; small steps only need longer to get "
                "there.",
                "Small steps cannot overshoot.",
            ),
            slow,
            "Nothing goes wrong with a small learning rate; it wastes steps. After {steps} steps "
            "the loss is {last:.3f}, where a good learning rate has reached {best:.3f}, which is "
            "the noise of the data.",
        ),
        Part(
            "With a learning rate of 1/L a step can land exactly at the bottom of the bowl. What "
            "happens with 1.9/L?",
            (
                "It jumps from side to side and still converges",
                "It diverges, because it jumps over the minimum",
                "It gets there in about half the steps",
            ),
            (
                "Every step goes too far, but lands nearer than it started.",
                "Jumping over is not the same as diverging: it matters how far away a step lands.",
                "Beyond 1/L a larger step lands further on the other side. It is slower again.",
            ),
            oscillates,
            "In a direction with curvature L a step multiplies the distance to the minimum by "
            "1 - learning rate × L. For 0.5/L that is 0.5, which comes closer from one side. "
            "For 1.9/L it is -0.9: the sign changes with every step, and the distance becomes "
            "{ratio:.2f} times as large. The loss falls all the while; only the weights show the "
            "zigzag.",
        ),
        Part(
            "And with a learning rate a little above 2/L?",
            (
                "The loss grows without end",
                "The loss swings around the minimum, but comes no closer",
                "Learning is faster, with some noise",
            ),
            (
                "Above 2/L each step overshoots by more than it corrects.",
                "That is what happens at exactly 2/L; above it the swings grow.",
                "That holds below 1/L: a larger learning rate is faster there. Above 2/L it is "
                "not.",
            ),
            diverges,
            "With {factor}/L the factor 1 - learning rate × L is below -1: the weight jumps over "
            "the minimum and lands further away, every time. The limit is 2/L = {limit:.2f} here. "
            "A good learning rate is a compromise: large enough to be fast, and far enough below "
            "the limit to be safe. For a network L is not known and changes on the way, so one "
            "tries learning rates, each about three times the last, and watches the loss.",
        ),
    ),
    remember="The learning rate sets the size of a step. Above 2 over the largest curvature "
             "gradient descent diverges; far below it wastes steps.",
    question=("update", 2),
    exercise="rate",
    ideas={
        "what sets the step": IdeaQuestion(
            "Which of these do you change to make the steps of gradient descent longer or shorter?",
            "The learning rate",
            {
                "The number of training examples": "examples set the step",
                "The initial values of the weights": "start sets the step",
            },
            scales,
        ),
        "zigzag": IdeaQuestion(
            "A weight jumps from one side of its best value to the other, a little closer each "
            "time. What does that say about the learning rate?",
            "It is larger than it should be, but below the limit",
            {
                "It is above the limit, so the run will diverge": "jumping is diverging",
                "It is too small to reach the minimum": "zigzag from small steps",
            },
            oscillates,
        ),
        "still falling": IdeaQuestion(
            "After all steps the loss is still falling, slowly and smoothly, and is far above what "
            "others reach. What do you try first?",
            "A larger learning rate",
            {
                "A smaller learning rate": "smaller is always better",
                "Another model, because this one has converged": "slow is converged",
            },
            slow,
        ),
        "loss grows": IdeaQuestion(
            "The loss doubles with every step. What do you try first?",
            "A smaller learning rate",
            {
                "More steps, until it comes down": "waits for divergence to end",
                "A larger learning rate, to get over the hill": "faster out of divergence",
            },
            diverges,
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
            "Above 2 over the largest curvature every step lands further away: the loss grows "
            "without end. Take a smaller learning rate.",
            idea="loss grows",
        ),
        "too small a rate": Card(
            "idea",
            "Too small a learning rate converges, but slowly: the loss falls smoothly and is still "
            "high in the end.",
            idea="still falling",
        ),
        "overshooting": Card(
            "idea",
            "Between 1/L and 2/L steps jump over the minimum and land nearer: the run oscillates "
            "and converges.",
            idea="zigzag",
        ),
    },
    covers={
        "000.n3": Cover("too large a rate diverges", "too large a rate", "loss grows"),
        "001.f3": Cover("too small a rate is slow", "too small a rate", "still falling"),
        "001.r2": Cover(
            "between 1/L and 2/L descent oscillates and converges", "overshooting", "zigzag"
        ),
        "002.c3": Cover("twice the learning rate is twice the step", "learning rate", "update"),
        "002.k5": Cover("twice the learning rate is twice the step", "learning rate", "update"),
        "002.q3": Cover(
            "twice the learning rate is twice the step", "learning rate", "what sets the step"
        ),
    },
)
