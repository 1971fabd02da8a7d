"""The exercise rate: choose the learning rate with which gradient descent arrives in time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import ceil, hypot, inf, log
from typing import NamedTuple

from ... import data
from ...debug.text import short_number
from ..evidence import aligned
from .exercise import Exercise, NotYet, file_text, number_of, value_of
from .running import Answer, Read

SAMPLES = 20
SHOWN = (0, 1, 2, 3, 5, 10)  # steps in the table, and the last one


class Problem(NamedTuple):
    """A bowl to descend: a quadratic loss.

    what: the loss in words, for the task.
    code: its functions loss and gradient of the list w, and START, as Python.
    gradient: the same gradient: matrix times w, minus a vector.
    matrix, vector: of the gradient.
    start: where the weights begin.
    steps: how many there are.
    target: the part of the loss above the minimum that may be left.
    """

    what: str
    code: str
    matrix: tuple[tuple[float, ...], ...]
    vector: tuple[float, ...]
    start: tuple[float, ...]
    steps: int
    target: float

    @property
    def curvatures(self) -> tuple[float, float]:
        """The smallest and the largest eigenvalue of the Hessian."""
        if len(self.start) == 1:
            return self.matrix[0][0], self.matrix[0][0]
        (a, b), (_, c) = self.matrix
        half = hypot((a - c) / 2, b)
        return (a + c) / 2 - half, (a + c) / 2 + half

    @property
    def minimum(self) -> list[float]:
        """The weights with the smallest loss."""
        if len(self.start) == 1:
            return [self.vector[0] / self.matrix[0][0]]
        (a, b), (_, c) = self.matrix
        p, q = self.vector
        determinant = a * c - b * b
        return [(c * p - b * q) / determinant, (a * q - b * p) / determinant]

    def excess(self, w: Sequence[float]) -> float:
        """Returns how much the loss at w lies above the minimum."""
        off = [x - least for x, least in zip(w, self.minimum)]
        rows = [sum([m * d for m, d in zip(row, off)]) for row in self.matrix]
        return sum([d * row for d, row in zip(off, rows)]) / 2

    def descend(self, rate: float) -> list[float]:
        """Returns the excess before the first step, and after each."""
        w = list(self.start)
        found = [self.excess(w)]
        for _ in range(self.steps):
            slopes = [
                sum([m * x for m, x in zip(row, w)]) - v for row, v in zip(self.matrix, self.vector)
            ]
            w = [x - rate * slope for x, slope in zip(w, slopes)]
            found.append(self.excess(w))
        return found


def make(seed: int) -> Exercise:
    """Returns the exercise for the bowl that this random seed chooses."""
    draw = random.Random(f"rate {seed}")
    problem = (_parabola, _bowl, _line)[seed % 3](draw, seed)
    _, largest = problem.curvatures
    wrong = draw.choice((0.004, 0.01, 2.0, 2.4, 3.0)) / largest
    task = f"""Choose the learning rate.

Gradient descent minimises {problem.what}.
Choose RATE such that after {problem.steps} steps the loss above its minimum is less than
{problem.target:g} of what it was at the start.  Change that number only.

To see the steps:  python rate-{seed}.py"""
    return Exercise(
        name="rate",
        seed=seed,
        lesson="rate",
        title="choose the learning rate",
        starter=file_text("rate", seed, task, _code(problem, wrong)),
        solution=file_text("rate", seed, task, _code(problem, 1.2 / largest)),
        hints=(
            "If the loss grows, the rate is too large. If it falls slowly, it is too small.",
            "In a direction with curvature c, a step multiplies the distance to the minimum by "
            "1 - RATE * c. Below -1 the distance grows.",
            "The curvature is the derivative of the gradient. A good rate is a little more than 1 "
            "over the largest curvature.",
        ),
        steps=(Read("RATE"),),
        marker=lambda answers: _mark(problem, answers),
    )


def _parabola(draw: random.Random, _: int) -> Problem:
    c = draw.choice((0.2, 0.5, 3.0, 7.0, 20.0, 60.0))
    m = float(draw.randint(-4, 4))
    start = m + draw.choice((-5.0, 5.0))
    code = f"""
START = [{start}]


def loss(w):
    return {c / 2} * (w[0] - {m}) ** 2


def gradient(w):
    return [{c} * (w[0] - {m})]
"""
    return Problem("a parabola", code, ((c,),), (c * m,), (start,), 20, 1e-3)


def _bowl(draw: random.Random, _: int) -> Problem:
    steep = draw.choice((2.0, 8.0, 30.0))
    flat = steep / draw.choice((4, 5, 8))
    a, c = (steep, flat) if draw.random() < 0.5 else (flat, steep)
    start = (draw.choice((-3.0, 3.0)), draw.choice((-2.0, 2.0)))
    code = f"""
START = {list(start)}


def loss(w):
    return {a / 2} * w[0] ** 2 + {c / 2} * w[1] ** 2


def gradient(w):
    return [{a} * w[0], {c} * w[1]]
"""
    what = "a bowl that is steeper in one direction"
    return Problem(what, code, ((a, 0.0), (0.0, c)), (0.0, 0.0), start, 40, 1e-3)


def _line(_: random.Random, seed: int) -> Problem:
    samples, ys = data.line(SAMPLES, rng=seed)
    xs = [round(x, 2) for (x,) in samples]
    ys = [round(y, 2) for y in ys]
    n = len(xs)
    mean = sum(xs) / n
    matrix = ((2.0, 2 * mean), (2 * mean, 2 * sum([x * x for x in xs]) / n))
    vector = (2 * sum(ys) / n, 2 * sum([x * y for x, y in zip(xs, ys)]) / n)
    code = f"""
START = [0.0, 0.0]
XS = {_wrapped(xs)}
YS = {_wrapped(ys)}


def errors(w):
    return [w[0] + w[1] * x - y for x, y in zip(XS, YS)]


def loss(w):
    return sum(e * e for e in errors(w)) / len(XS)


def gradient(w):
    sums = [sum(errors(w)), sum(e * x for e, x in zip(errors(w), XS))]
    return [2 * total / len(XS) for total in sums]
"""
    what = "the mean squared error of the line w[0] + w[1] x"
    return Problem(what, code, matrix, vector, (0.0, 0.0), 60, 1e-3)


def _wrapped(numbers: Sequence[float]) -> str:
    """Returns a list as lines of ten numbers."""
    texts = list(map(str, numbers))
    lines = [", ".join(texts[i : i + 10]) for i in range(0, len(texts), 10)]
    return "[\n    " + ",\n    ".join(lines) + ",\n]"


def _code(problem: Problem, rate: float) -> str:
    return f"""
RATE = {rate:.2g}  # choose this number
STEPS = {problem.steps}
{problem.code.strip()}


if __name__ == "__main__":
    w = START
    for step in range(STEPS + 1):
        print(step, loss(w), w)
        w = [x - RATE * slope for x, slope in zip(w, gradient(w))]
"""


def _mark(problem: Problem, answers: Sequence[Answer]) -> str:
    rate = number_of(value_of(answers[0]), "RATE")
    found = problem.descend(rate)
    left = found[-1] / found[0]
    details = _table(found)
    if left < problem.target:
        steps = next(i for i, excess in enumerate(found) if excess / found[0] < problem.target)
        return (
            f"With RATE = {short_number(rate)} the loss above its minimum is below "
            f"{problem.target:g} of the start after {steps} of {problem.steps} steps."
        )
    raise NotYet(_diagnosis(problem, rate, left), details)


def _diagnosis(problem: Problem, rate: float, left: float) -> str:
    """Returns a sentence on a rate with which descent does not arrive."""
    smallest, largest = problem.curvatures
    shown = short_number(rate)
    if rate < 0:
        return f"RATE = {shown} is negative: every step goes uphill. A rate is a positive number."
    if rate == 0:
        return "With RATE = 0 no weight moves. A rate is a positive number."
    factor = 1 - rate * largest
    if factor < -1 - 1e-9:
        return (
            f"RATE = {shown} is too large: the loss grows. In the steepest direction each step "
            f"multiplies the distance to the minimum by {factor:.4g}."
        )
    if factor < -0.9:
        return (
            f"RATE = {shown} is a little too large: each step jumps over the minimum and lands "
            f"just as far, or nearly as far, on the other side (a factor of {factor:.3g})."
        )
    shrinks = 1 - rate * smallest
    needed = log(problem.target) / (2 * log(shrinks)) if 0 < shrinks < 1 else inf
    count = f"about {ceil(needed):,} steps" if needed < 1e7 else "millions of steps"
    return (
        f"RATE = {shown} is too small: after {problem.steps} steps {left:.2g} of the loss is left. "
        f"With this rate it takes {count}."
    )


def _table(found: Sequence[float]) -> list[str]:
    steps = [*SHOWN, len(found) - 1]
    rows = [(str(i), f"{found[i]:.3g}") for i in steps if i < len(found)]
    return aligned((("step", "loss above the minimum"), *rows))
