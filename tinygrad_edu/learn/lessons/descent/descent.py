"""Gradient descent: steps against the gradient, and the update rule that makes them."""

from __future__ import annotations

import ast
import operator
import random
from collections.abc import Callable, Sequence
from math import atan2, cos, degrees, hypot, radians, sin
from typing import Annotated, Any, Literal, NamedTuple

from .... import data, optim
from ....engine.value import Value
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part

SAMPLES = 20
STEPS = 200
LONG = 500  # steps, to tell learning rates near their limit apart
CODE_STEPS = 100  # of the printed program
ALPHA = 0.01  # the learning rate of the update with a sum over 20 samples
LENGTH = 0.01  # of the steps in several directions
BLOWN_UP = 1e15  # a weight at which a run ends
# The update of w0 as a study text prints it: a sign has got lost after alpha.
PRINTED = "w0 += alpha  sum(y - h(x) for x, y in samples)"
# what may have stood there
SIGNS: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "+": operator.add}

SIGN_PAIRS = ((1, 1), (-1, -1), (-1, 1), (1, -1))  # of the updates of w0 and w1
Samples = Sequence[Sequence[float]]


def mean_square(w: Sequence[Any], samples: Samples, targets: Sequence[float]) -> Any:
    """Returns the mean squared error of the line w[0] + w[1] x."""
    errors = [w[0] + w[1] * x - t for (x,), t in zip(samples, targets)]
    return sum(error**2 for error in errors) / len(errors)


def best_line(samples: Samples, targets: Sequence[float]) -> tuple[float, float]:
    """Returns the intercept and slope of least squares, for samples around 0 as `data.line` has."""
    slope = sum(x * t for (x,), t in zip(samples, targets)) / sum(x * x for (x,) in samples)
    return sum(targets) / len(targets), slope


def rounded(x: float, digits: int = 3) -> str:
    """Returns a number with a few digits, as people write it: 0.0081, 4.1e8."""
    return f"{x:.{digits}g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


class Line(NamedTuple):
    """A line after some steps: its weights, its mean squared error, and the number of steps."""

    w0: float
    w1: float
    loss: float
    steps: int


def updated(
    samples: Samples,
    targets: Sequence[float],
    alpha: float,
    steps: int = STEPS,
    signs: tuple[int, int] = (1, 1),
) -> Line:
    """Fits a line by the update w0 += alpha Σ(y - h), w1 += alpha Σ(y - h) x, from 0.

    Ends early if a weight is above `BLOWN_UP`.

    signs: 1 or -1 for the update of w0 and of w1; -1 subtracts instead.
    """
    w0 = 0.0
    w1 = 0.0
    done = 0
    while done < steps and abs(w0) + abs(w1) < BLOWN_UP:
        errors = [t - (w0 + w1 * x) for (x,), t in zip(samples, targets)]
        w0 += signs[0] * alpha * sum(errors)
        w1 += signs[1] * alpha * sum(e * x for e, (x,) in zip(errors, samples))
        done += 1
    return Line(w0, w1, mean_square([w0, w1], samples, targets), done)


@claim("against the gradient the loss falls fastest", lesson="descent", negation={"turn": 0})
def fastest(seed: int, turn: Annotated[int, Range(0, 359)] = 180) -> Evidence:
    """Of short steps in all directions, the step opposite to the gradient lowers the loss most.

    turn: the angle between the step and the gradient, in degrees.
    """
    draw = random.Random(seed)
    samples, targets = data.line(SAMPLES, rng=draw)
    w = [Value(draw.uniform(-3.0, 0.0), "w0"), Value(draw.uniform(-3.0, 0.0), "w1")]
    loss: Value = mean_square(w, samples, targets)
    loss.backward()
    g0, g1 = [p.grad for p in w]
    uphill = atan2(g1, g0)
    changes = {}
    for angle in sorted({turn, *range(0, 360, 15)}):
        direction = uphill + radians(angle)
        moved = [w[0].data + LENGTH * cos(direction), w[1].data + LENGTH * sin(direction)]
        changes[angle] = mean_square(moved, samples, targets) - loss.data
    lowest = min(changes, key=lambda angle: changes[angle])
    best = best_line(samples, targets)
    to_best = atan2(best[1] - w[1].data, best[0] - w[0].data)
    off = abs((degrees(to_best - uphill)) % 360 - 180)
    shown = sorted({turn, 0, 45, 90, 135, 180})
    rows = [(f"{angle}°", f"{changes[angle]:+.4f}") for angle in shown]
    return Evidence(
        lowest == turn,
        {"g0": g0, "g1": g1, "size": hypot(g0, g1), "fall": -changes[180], "off": off},
        f"At w0 = {w[0].data:.2f}, w1 = {w[1].data:.2f} the gradient is ({g0:.2f}, {g1:.2f}). "
        f"A step of length {LENGTH} at {turn}° to it changes the loss by {changes[turn]:+.4f}. Of "
        f"{len(changes)} such steps, in directions all around, the one at {lowest}° lowers the "
        f"loss most.",
        (("angle to the gradient", "change of the loss"), *rows),
    )


@claim(
    "the update with both signs plus fits the line",
    lesson="descent",
    negation={"signs": (-1, -1)},
)
def both_plus(seed: int, signs: Annotated[tuple[int, int], SIGN_PAIRS] = (1, 1)) -> Evidence:
    """With + in both updates the line is found; every other choice of signs blows up.

    signs: the signs in the updates of w0 and w1: plus (1) or minus (-1).
    """
    samples, targets = data.line(SAMPLES, rng=seed)
    runs = {s: updated(samples, targets, ALPHA, STEPS, s) for s in SIGN_PAIRS}
    first = mean_square([0.0, 0.0], samples, targets)
    found = runs[signs]
    best = best_line(samples, targets)
    least = mean_square(best, samples, targets)
    others = min(run.loss for s, run in runs.items() if s != signs)
    with_sgd = _by_sgd(samples, targets)
    rows = [
        ("  ".join("+" if s > 0 else "-" for s in pair), rounded(run.loss, 2))
        for pair, run in runs.items()
    ]
    chosen = " and ".join("+" if s > 0 else "-" for s in signs)
    return Evidence(
        found.loss < 1.01 * least and others > 1e6,
        {
            "first": first, "last": found.loss, "w0": found.w0, "w1": found.w1, "steps": STEPS,
            "before": first**0.5, "after": found.loss**0.5, "alpha": ALPHA,
            "difference": max(abs(found.w0 - with_sgd[0]), abs(found.w1 - with_sgd[1])),
        },
        f"{SAMPLES} points, alpha = {ALPHA}, {STEPS} steps from w0 = w1 = 0: with {chosen}, the "
        f"mean squared error goes from {first:.2f} to {rounded(found.loss)}. With any other signs "
        f"it goes to {rounded(others, 2)} or more.",
        (("signs for w0, w1", f"error after {STEPS} steps"), *rows),
    )


def _by_sgd(samples: Samples, targets: Sequence[float]) -> list[float]:
    """Fits the line with backpropagation and `optim.SGD`, on half the sum of squares."""
    w = [Value(0.0, "w0"), Value(0.0, "w1")]
    optimizer = optim.SGD(w, lr=ALPHA)
    for _ in range(STEPS):
        loss: Any = sum(0.5 * (t - (w[0] + w[1] * x))**2 for (x,), t in zip(samples, targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [p.data for p in w]


@claim(
    "a sum over more samples needs a smaller learning rate",
    lesson="descent",
    negation={"is_mean": True},
)
def more_samples(seed: int, is_mean: bool = False) -> Evidence:
    """With a sum the limit of the learning rate is 2/n; a mean divides the steps by n.

    is_mean: whether an update takes the mean over the samples, or else the sum.
    """
    rows = []
    losses = {}
    for n, alpha in ((20, 0.05), (20, 0.099), (20, 0.101), (200, 0.05), (200, 0.0099)):
        samples, targets = data.line(n, rng=seed)
        run = updated(samples, targets, alpha / n if is_mean else alpha, LONG)
        losses[n, alpha] = run.loss
        rows.append((f"{n}", f"{2 / n:g}", f"{alpha:g}", f"{run.steps}", rounded(run.loss, 2)))
    few = losses[20, 0.05]
    many = losses[200, 0.05]
    blow_up = min(many, losses[20, 0.101])
    kind = "mean" if is_mean else "sum"
    return Evidence(
        max(few, losses[20, 0.099], losses[200, 0.0099]) < 0.1 and blow_up > 1e6,
        {"few": few, "many": many},
        f"With alpha = 0.05 and a {kind} over the samples, the error of 20 samples goes to "
        f"{rounded(few, 2)}, and the error of 200 samples to {rounded(many, 2)}.",
        (("samples n", "2/n", "alpha", "steps", "error"), *rows),
    )


@claim("an update without its * does not run", lesson="descent", negation={"repair": "+"})
def lost_star(seed: int, repair: Literal["*", "+"] = "*") -> Evidence:
    """Python rejects the printed line; with * it fits the line, with + it runs and blows up.

    repair: the operator that is put after alpha in the printed line.
    """
    try:
        ast.parse(PRINTED)
        message = ""
    except SyntaxError as error:
        message = error.msg
    samples, targets = data.line(SAMPLES, rng=seed)
    losses = {sign: _run(sign, samples, targets) for sign in SIGNS}
    last = losses[repair]
    return Evidence(
        bool(message) and last < 0.1,
        {"message": message, "star": losses["*"], "plus": losses["+"]},
        f"Python answers SyntaxError: {message}. With {repair} after alpha the program runs, and "
        f"its error after {CODE_STEPS} steps is {rounded(last, 2)}.",
        (
            ("after alpha", f"error after {CODE_STEPS} steps"),
            ("nothing", "does not run"),
            *[(sign, rounded(loss, 2)) for sign, loss in losses.items()],
        ),
    )


def _run(sign: str, samples: Samples, targets: Sequence[float]) -> float:
    """Runs the update with a sign after alpha, and returns the mean squared error at the end."""
    join = SIGNS[sign]
    w0 = w1 = 0.0
    for _ in range(CODE_STEPS):
        errors = [t - (w0 + w1 * x) for (x,), t in zip(samples, targets)]
        w0 += join(ALPHA, sum(errors))
        w1 += join(ALPHA, sum([e * x for e, (x,) in zip(errors, samples)]))
    return float(mean_square([w0, w1], samples, targets))


LESSON = Lesson(
    name="descent",
    title="Gradient descent",
    intro="To learn from data is to change weights until predictions come close to their targets. "
          "How far off the predictions are is the loss, one number. Gradient descent makes it "
          "small in steps: compute the gradient of the loss, move every weight a little in the "
          "opposite direction, repeat. Backpropagation does the computing and nothing else; "
          "the moving is the job of an update rule, and this lesson is about that rule. We fit a "
          "line h(x) = w0 + w1 x, so that you can check every step by hand.",
    parts=(
        Part(
            "You know the gradient of the loss at the weights you have, and may take one short "
            "step. In which direction does the loss fall most?",
            (
                "Opposite to the gradient",
                "Along the gradient",
                "Straight towards the minimum",
            ),
            (
                "The gradient points to where the loss grows fastest, so its opposite is the "
                "steepest way down.",
                "The gradient points uphill: along it the loss grows fastest.",
                "That is the shortest way in the end, but not the steepest way here. And the "
                "gradient cannot tell where the minimum is: it knows only the slope at this point.",
            ),
            fastest,
            "The gradient has one number for each weight: how the loss changes with that weight. "
            "Backpropagation finds all of them in one backward pass. Along the gradient the loss "
            "grows, at right angles it hardly changes, and opposite to it the loss falls fastest. "
            "The minimum lies elsewhere, {off:.0f}° off that direction. This is why one step is "
            "never enough: after each step the gradient is computed again.",
        ),
        Part(
            "For a line the update is written w0 <- w0 ? alpha Σ(y - h(x)) and "
            "w1 <- w1 ? alpha Σ(y - h(x)) x. Descent goes against the gradient. Which signs "
            "belong in place of the question marks?",
            ("+ in both", "- in both", "- for w0, + for w1"),
            (
                "The minus of descent is there, but it is hidden in y - h(x).",
                "Against the gradient does mean a minus. But y - h(x) already has one: minus the "
                "gradient is +Σ(y - h(x)).",
                "Both weights go against their gradients, so both have the same sign.",
            ),
            both_plus,
            "The loss is half of Σ(y - h)², and h stands in it with a minus. Its derivative with "
            "respect to w0 is therefore -Σ(y - h). Going against it, the two minus signs make a "
            "plus. With the difference the other way round the same rule reads "
            "w0 <- w0 - alpha Σ(h - y). The optimiser SGD, which subtracts learning rate times "
            "gradient, ends at the same weights (difference {difference:.1g}). A typical "
            "prediction was off by {before:.2f} at first and by {after:.2f} in the end, which is "
            "the noise of the data: this is what was learned.",
        ),
        Part(
            "That update sums over all samples. With 20 samples alpha = 0.05 works well. Now you "
            "have 200 samples of the same line. What happens with the same alpha?",
            (
                "It diverges",
                "It finds the same line in the same way",
                "It finds the line faster, without trouble",
            ),
            (
                "Ten times as many terms make every step ten times as long, and that is too far.",
                "It would if the rule had a mean. A sum of ten times as many terms makes every "
                "step ten times as long.",
                "The steps are ten times as long, and longer steps can be too long.",
            ),
            more_samples,
            "A step multiplies the distance of w0 from its best value by 1 - alpha × n. That "
            "shrinks the distance only if alpha is below 2/n: just below the limit the run "
            "converges, just above it blows up. The slope w1 allows larger steps here, because "
            "all x are between -1 and 1. If you divide the sum by n, the limit no longer depends "
            "on n. Libraries usually take the mean.",
        ),
        Part(
            "A study text prints the update as w0 += alpha sum(...), with nothing between alpha "
            "and sum. What does Python do with that line?",
            (
                "It does not run it",
                "It multiplies, as a formula would",
                "It takes alpha for a function and calls it",
            ),
            (
                "A program needs the * that a formula may leave out.",
                "In a formula two things side by side are multiplied. In Python nothing is "
                "implied: write the *.",
                "For that, brackets would have to follow: alpha(...). Two names side by side are "
                "nothing that Python knows.",
            ),
            lost_star,
            "An error that Python reports is the friendly kind. The dangerous repair is one that "
            "runs: with + the weights move by alpha plus the whole sum, as if the learning rate "
            "were 1, and the error explodes without a word of warning. After a repair, look at the "
            "loss: it should fall, here to {star:.4f}.",
        ),
    ),
    remember="Compute the gradient, move every weight a little against it, repeat. "
             "Backpropagation computes; the update rule moves.",
    question=("update", 2),
    exercise="update-rule",
    ideas={
        "which direction": IdeaQuestion(
            "The derivative of the loss with respect to a weight is positive. What does gradient "
            "descent do to that weight?",
            "It makes the weight smaller",
            {
                "It makes the weight larger": "climbs",
                "That depends on whether the weight is positive": "sign of the weight",
            },
            fastest,
        ),
        "signs of the update": IdeaQuestion(
            "With h(x) = w0 + w1 x, which update makes the squared error smaller?",
            "w0 + alpha Σ(y - h(x)) and w1 + alpha Σ(y - h(x)) x",
            {
                "w0 - alpha Σ(y - h(x)) and w1 - alpha Σ(y - h(x)) x": "minus twice",
                "w0 - alpha Σ(y - h(x)) and w1 + alpha Σ(y - h(x)) x": "opposite signs",
            },
            both_plus,
        ),
        "ten times the data": IdeaQuestion(
            "An update adds alpha times a sum over all samples, and alpha is just small enough. "
            "You get ten times as many samples. What must become of alpha?",
            "It must be ten times smaller",
            {
                "It can stay as it is": "a sum like a mean",
                "It may be ten times larger": "more samples allow more",
            },
            more_samples,
        ),
        "the star in code": IdeaQuestion(
            "A formula reads w0 <- w0 + alpha Σ(y - h(x)). How is it written in Python?",
            "w0 += alpha * sum(y - h(x) for x, y in samples)",
            {
                "w0 += alpha sum(y - h(x) for x, y in samples)": "a formula is a program",
                "w0 += alpha + sum(y - h(x) for x, y in samples)": "plus for times",
                "w0 = alpha * sum(y - h(x) for x, y in samples)": "change alone",
            },
            lost_star,
        ),
        "what learning is for": IdeaQuestion(
            "A model learns from data by gradient descent. What is made small?",
            "The errors of its predictions",
            {
                "Its weights": "weights made small",
                "Its gradient, whatever the loss is": "gradient made small",
            },
            both_plus,
        ),
    },
    cards={
        "gradient descent": Card(
            "update",
            "Gradient descent is iterative: compute the gradient, move every weight a little in "
            "the opposite direction, repeat. So the loss becomes small.",
            level=1,
        ),
        "against the gradient": Card(
            "idea",
            "Backpropagation computes the gradient of the loss with respect to every weight. It "
            "points uphill, so updates subtract it.",
            idea="which direction",
        ),
        "plus y minus h": Card(
            "idea",
            "Add alpha Σ(y - h(x)) to w0 and alpha Σ(y - h(x)) x to w1: the minus of descent is "
            "the minus in y - h(x).",
            idea="signs of the update",
        ),
        "sum or mean": Card(
            "idea",
            "A sum over samples makes steps longer with every sample; the learning rate must stay "
            "below 2/n. With a mean the limit does not depend on n.",
            idea="ten times the data",
        ),
        "the update in code": Card(
            "idea",
            "In code the * has to be written: w0 += alpha * sum(...). After a repair, see whether "
            "the loss falls.",
            idea="the star in code",
        ),
        "what learning is for": Card(
            "idea",
            "Learning from data means changing weights so that the errors of predictions become "
            "small.",
            idea="what learning is for",
        ),
    },
    covers={
        "000.c2": Cover(
            "the update with both signs plus fits the line", "gradient descent", "update"
        ),
        "000.c3": Cover(
            "the update with both signs plus fits the line", "what learning is for",
            "what learning is for",
        ),
        "001.def": Cover(
            "against the gradient the loss falls fastest", "against the gradient",
            "which direction",
        ),
        "002.c2": Cover(
            "against the gradient the loss falls fastest", "gradient descent", "update"
        ),
        "002.k3": Cover(
            "against the gradient the loss falls fastest", "against the gradient",
            "which direction",
        ),
        "002.k4": Cover(
            "the update with both signs plus fits the line", "plus y minus h",
            "signs of the update",
        ),
        "002.k4 (sum or mean)": Cover(
            "a sum over more samples needs a smaller learning rate", "sum or mean",
            "ten times the data",
        ),
        "002.code": Cover(
            "an update without its * does not run", "the update in code", "the star in code"
        ),
        "002.q2": Cover(
            "the update with both signs plus fits the line", "plus y minus h",
            "signs of the update",
        ),
    },
)
