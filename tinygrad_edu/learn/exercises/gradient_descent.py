"""The exercise gradient-descent: find the mistake in the order of a training loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from ...debug.text import short_number
from ..evidence import aligned
from .exercise import Exercise, NotYet, file_text, is_close, numbers_of, value_of
from .running import Answer, Call

STEPS = 8
SAMPLES = 5
RATE = 0.05
SHOWN = 4  # steps in the table

ZERO = "optimizer.zero_grad()"
STEP = "optimizer.step()"
BACKWARD = "loss.backward()"


class Loop(NamedTuple):
    """The order in which a loop calls zero_grad (z), backward (b) and step (s).

    before: in each pass through the data, before the samples.
    each: for each sample.
    after: after the samples; b is then about the last sample alone.
    sentence: what is wrong; "" for the right loop.
    """

    before: str
    each: str
    after: str
    sentence: str = ""


RIGHT = Loop("z", "b", "s")
WRONG = (
    Loop("", "b", "s", "zero_grad is missing: backward adds to the gradients of all steps before, "
         "so old gradients count again and again."),
    Loop("z", "zb", "s", "The gradient of the last sample is all that is left for the step: "
         "zero_grad stands inside the loop over the samples, or backward outside of it."),
    Loop("z", "b", "zs", "No weight moves: when step is called, all gradients are 0. zero_grad "
         "stands between backward and step, or step comes too early, or not at all."),
    Loop("sz", "b", "", "step comes before backward: each step uses the gradient of the weights "
         "before the last step, and the first one uses none."),
    Loop("z", "bs", "", "step is called for every sample, with the gradients of those before it, "
         "too. The task is one step for all samples."),
    Loop("", "zbs", "", "zero_grad, backward and step are called for every sample. That is "
         "stochastic gradient descent; the task is one step for all samples."),
    Loop("", "bs", "", "step is called for every sample, and the gradients are never set to 0."),
    Loop("z", "b", "ss", "step is called twice."),
)
PLANTED = WRONG[:6]


def make(seed: int) -> Exercise:
    """Returns the exercise: a loop with the mistake that this random seed chooses."""
    draw = random.Random(f"gradient-descent {seed}")
    example = _example(random.Random(f"example {seed}"))
    task = """Find the mistake in a training loop.

train fits the line w0 + w1 x by batch gradient descent on the mean squared
error: every step uses the gradient of all samples.  It returns the weights
after each step.  Lines are missing or in the wrong place: zero_grad
sets the gradients to 0, backward adds to them, and step moves the weights."""
    cases = [_case(draw) for _ in range(2)]
    return Exercise(
        name="gradient-descent",
        seed=seed,
        lesson="optimisers",
        title="find the mistake in a training loop",
        starter=file_text(
            "gradient-descent", seed, task, _code(PLANTED[seed % len(PLANTED)], example)
        ),
        solution=file_text("gradient-descent", seed, task, _code(RIGHT, example)),
        hints=(
            "Say for each of the three calls how often it must run: once for all samples, or once "
            "for each sample?",
            "Follow w0.grad through two steps: print it after each of the three calls.",
            "Gradients are set to 0, then collected over all samples, then used.",
        ),
        steps=tuple([Call("train", case) for case in cases]),
        marker=lambda answers: _mark(cases, answers),
    )


def _example(draw: random.Random) -> str:
    """Returns the arguments of train, as Python, with which the file tries itself: a line."""
    xs = sorted(map(float, draw.sample(range(-2, 3), 3)))
    slope, height = draw.choice((-3, -2, 2, 3)), draw.randint(-2, 2)
    return f"[0.0, 0.0], {xs}, {[slope * x + height for x in xs]}, {RATE}, {STEPS}"


def _code(loop: Loop, example: str) -> str:
    """Returns the file with the calls of a loop, tried with the arguments of an example."""
    calls = {"z": ZERO, "s": STEP, "b": BACKWARD}
    before = "".join([f"        {calls[letter]}\n" for letter in loop.before])
    zero = f"            {ZERO}\n" if "z" in loop.each else ""
    step = f"            {STEP}\n" if "s" in loop.each else ""
    after = "".join([f"        {calls[letter]}\n" for letter in loop.after])
    return f"""
from tinygrad_edu import Value, optim


def train(start, xs, ys, rate, steps):
    w0 = Value(start[0], "w0")
    w1 = Value(start[1], "w1")
    optimizer = optim.SGD([w0, w1], lr=rate)
    path = []
    for _ in range(steps):
{before}        for x, y in zip(xs, ys):
{zero}            loss = (w0 + w1 * x - y) ** 2 / len(xs)
            loss.backward()
{step}{after}        path.append([w0.data, w1.data])
    return path


if __name__ == "__main__":
    for w in train({example}):
        print(w)
"""


Case = tuple[list[float], list[float], list[float], float, int]


def _case(draw: random.Random) -> Case:
    """Returns arguments of train."""
    xs = [round(draw.uniform(-2, 2), 2) for _ in range(SAMPLES)]
    slope = draw.choice((-2.0, 1.5, 3.0))
    ys = [round(slope * x + 1 + draw.gauss(0, 0.3), 2) for x in xs]
    return [0.5, -0.5], xs, ys, RATE, STEPS


def followed(loop: Loop, case: Case) -> list[list[float]]:
    """Returns the weights after each step of a loop."""
    start, xs, ys, rate, steps = case
    w = list(start)
    grads = [0.0, 0.0]
    path = []
    for _ in range(steps):
        calls = [(letter, 0) for letter in loop.before]
        calls += [(letter, i) for i in range(len(xs)) for letter in loop.each]
        calls += [(letter, len(xs) - 1) for letter in loop.after]
        for letter, i in calls:
            if letter == "z":
                grads = [0.0, 0.0]
            elif letter == "s":
                w = [x - rate * grad for x, grad in zip(w, grads)]
            else:
                slope = 2 * (w[0] + w[1] * xs[i] - ys[i]) / len(xs)
                grads = [grads[0] + slope, grads[1] + slope * xs[i]]
        path.append(w)
    return path


def _mark(cases: Sequence[Case], answers: Sequence[Answer]) -> str:
    given = [_path(value_of(answer)) for answer in answers]
    right = [followed(RIGHT, case) for case in cases]
    first, last = _loss(cases[0], cases[0][0]), _loss(cases[0], right[0][-1])
    if _same(given, right):
        return (
            f"All {STEPS} steps are right: the loss falls from {short_number(first)} to "
            f"{short_number(last)}."
        )
    details = _table(given[0], right[0])
    yours = _loss(cases[0], given[0][-1])
    end = (
        f" Your loss goes from {short_number(first)} to {short_number(yours)}, "
        f"the right one to {short_number(last)}."
    )
    for loop in WRONG:
        if _same(given, [followed(loop, case) for case in cases]):
            raise NotYet(loop.sentence + end, details)
    raise NotYet(f"The weights are not those of batch gradient descent.{end}", details)


def _path(value: object) -> list[list[float]]:
    """Returns the weights after each step, as train returned them.

    Raises:
        NotYet: it returned anything else.
    """
    if not isinstance(value, list):
        numbers_of(value, STEPS, "what train returns")
        raise NotYet("train must return the weights after each step.")
    if len(value) != STEPS:
        raise NotYet(f"train must return the weights after {STEPS} steps, not {len(value)}.")
    return [numbers_of(entry, 2, f"the weights after step {i}") for i, entry in enumerate(value, 1)]


def _same(given: Sequence[Sequence[Sequence[float]]], other: Sequence[list[list[float]]]) -> bool:
    return all(
        is_close(x, y)
        for path, wanted in zip(given, other)
        for w, v in zip(path, wanted)
        for x, y in zip(w, v)
    )


def _loss(case: Case, w: Sequence[float]) -> float:
    _, xs, ys, _, _ = case
    errors = [w[0] + w[1] * x - y for x, y in zip(xs, ys)]
    return sum([error * error for error in errors]) / len(errors)


def _table(given: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> list[str]:
    rows = [
        (
            f"step {i}",
            ", ".join(map(short_number, yours)),
            ", ".join(map(short_number, wanted)),
        )
        for i, (yours, wanted) in enumerate(zip(given[:SHOWN], right), 1)
    ]
    return aligned((("w0, w1", "yours", "right"), *rows))
