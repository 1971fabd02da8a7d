"""The exercise update-rule: repair the update of a line's weights, as a study sheet prints it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from ... import data
from ...debug.text import short_number
from ..evidence import aligned
from .exercise import Exercise, NotYet, file_text, is_close, numbers_of, value_of
from .running import Answer, Call

RATE = 0.01
STEPS = 50  # of the descent that shows what a wrong rule does
SAMPLES = 20
CASES = 8  # steps that are compared, each with other data
Weights = tuple[float, float]
Case = tuple[float, float, list[float], list[float], float]
Update = Callable[[float, float, Sequence[float], Sequence[float], float], Weights]


class Fault(NamedTuple):
    """What is wrong with a printed rule: how each of its two lines is damaged."""

    first: str
    second: str


# "star": the * is lost; "sign": the sign is wrong; "x": the factor x is lost; "": nothing
FAULTS = (
    Fault("star", ""),
    Fault("", "sign"),
    Fault("star", "sign"),
    Fault("sign", "sign"),
    Fault("", "star"),
    Fault("sign", ""),
    Fault("", "x"),
    Fault("sign", "star"),
    Fault("star", "x"),
)


class Wrong(NamedTuple):
    """A wrong update, and what is wrong with it."""

    update: Update
    sentence: str


def step(
    w0: float,
    w1: float,
    xs: Sequence[float],
    ys: Sequence[float],
    alpha: float,
    signs: Weights = (1, 1),
    has_x: bool = True,
) -> Weights:
    """Returns the weights after one step of batch gradient descent.

    signs: -1 for a line whose sign is wrong.
    has_x: False if the factor x of the second line is lost.
    """
    errors = [y - (w0 + w1 * x) for x, y in zip(xs, ys)]
    second = sum([error * (x if has_x else 1) for error, x in zip(errors, xs)])
    return w0 + signs[0] * alpha * sum(errors), w1 + signs[1] * alpha * second


def _added(w0: float, w1: float, xs: Sequence[float], ys: Sequence[float], alpha: float) -> Weights:
    first, second = _change(w0, w1, xs, ys)
    return w0 + alpha + first, w1 + alpha + second


def _averaged(
    w0: float, w1: float, xs: Sequence[float], ys: Sequence[float], alpha: float
) -> Weights:
    return step(w0, w1, xs, ys, alpha / len(xs))


def _in_turn(
    w0: float, w1: float, xs: Sequence[float], ys: Sequence[float], alpha: float
) -> Weights:
    first, _ = step(w0, w1, xs, ys, alpha)
    return first, step(first, w1, xs, ys, alpha)[1]


def _change(w0: float, w1: float, xs: Sequence[float], ys: Sequence[float]) -> Weights:
    """Returns the two sums, which are the negative gradient."""
    first, second = step(w0, w1, xs, ys, 1.0)
    return first - w0, second - w1


WRONG = (
    Wrong(partial(step, signs=(-1, -1)), "Both signs are wrong: the weights climb."),
    Wrong(partial(step, signs=(-1, 1)), "The sign of the line for w0 is wrong."),
    Wrong(partial(step, signs=(1, -1)), "The sign of the line for w1 is wrong."),
    Wrong(partial(step, has_x=False),
          "The line for w1 lacks the factor x: w1 is multiplied by x in the line, so each error "
          "counts as often as its x says."),
    Wrong(partial(step, signs=(1, -1), has_x=False),
          "The line for w1 lacks the factor x, and its sign is wrong."),
    Wrong(partial(step, signs=(-1, 1), has_x=False),
          "The line for w1 lacks the factor x, and the sign of the line for w0 is wrong."),
    Wrong(_averaged, "The rule of the task has the sum over the samples; yours divides it by "
          "their number."),
    Wrong(lambda w0, w1, xs, ys, alpha: step(w0, w1, xs, ys, 2 * alpha),
          "Your steps are twice as long. The 1/2 of the loss cancels the 2 of its derivative."),
    Wrong(lambda w0, w1, xs, ys, alpha: step(w0, w1, xs, ys, 1.0),
          "The rate alpha is lost: it multiplies the sum."),
    Wrong(_added, "The rate alpha is added to the sum; it multiplies the sum."),
    Wrong(_in_turn, "The line for w1 uses the new w0. Both weights move at once: compute the "
          "errors before either changes."),
    Wrong(lambda *given: _exchanged(step(*given)), "The two new weights are exchanged."),
    Wrong(lambda w0, w1, *given: (w0, w1), "Your update returns the weights as they were."),
    Wrong(lambda w0, w1, xs, ys, alpha: step(0.0, 0.0, *_moved(w0, w1, xs, ys), alpha),
          "Your update returns the changes alone; add them to the weights."),
)


class Line(NamedTuple):
    """A line of the rule for one weight, right or wrong.

    change: called with the right sum over the samples, alpha, the errors and the xs; returns by how
        much the weight changes.
    sentence: what is wrong, with {} for the name of the weight; "" for the right line.
    """

    change: Callable[[float, float, Sequence[float], Sequence[float]], float]
    sentence: str = ""


UPHILL = ", and its sign is wrong"
MEAN = "The line for {} divides the sum by the number of samples; the task has the sum alone"
TWICE = (
    "The line for {} has a factor 2 too much: the 1/2 of the loss cancels the 2 of its derivative"
)
TWO_SUMS = (
    "The line for {} multiplies two sums; multiply each error by its x, and add the products"
)
HALF = "The line for {} has a factor 1/2 too much"
LINES = (
    Line(lambda total, alpha, errors, xs: alpha * total),
    Line(lambda total, alpha, errors, xs: -alpha * total,
         "The sign of the line for {} is wrong."),
    Line(lambda total, alpha, errors, xs: alpha * total / len(xs), f"{MEAN}."),
    Line(lambda total, alpha, errors, xs: -alpha * total / len(xs), f"{MEAN}{UPHILL}."),
    Line(lambda total, alpha, errors, xs: 2 * alpha * total, f"{TWICE}."),
    Line(lambda total, alpha, errors, xs: -2 * alpha * total, f"{TWICE}{UPHILL}."),
    Line(lambda total, alpha, errors, xs: 2 * alpha * total / len(xs),
         "The line for {} has the derivative of the mean squared error: 2 over the number of "
         "samples, times the sum. The loss of the task has 1/2 of the sum."),
    Line(lambda total, alpha, errors, xs: alpha * total / 2, f"{HALF}."),
    Line(lambda total, alpha, errors, xs: total, "The line for {} lacks alpha."),
    Line(lambda total, alpha, errors, xs: -total, f"The line for {{}} lacks alpha{UPHILL}."),
    Line(lambda total, alpha, errors, xs: alpha + total,
         "The line for {} adds alpha to the sum; it multiplies the sum."),
    Line(lambda total, alpha, errors, xs: 0.0, "The line for {} leaves the weight as it was."),
    Line(lambda total, alpha, errors, xs: alpha * errors[0],
         "The line for {} uses the first sample alone; the sum is over all samples."),
    Line(lambda total, alpha, errors, xs: alpha * errors[-1],
         "The line for {} uses the last sample alone; the sum is over all samples."),
)
LINES_OF_W0 = (*LINES, Line(
    lambda total, alpha, errors, xs: alpha * _product(errors, xs),
    "The line for {} has a factor x too much: w0 is not multiplied by x in the line.",
))
LINES_OF_W1 = (
    *LINES,
    Line(lambda total, alpha, errors, xs: alpha * sum(errors), "The line for {} lacks the factor "
         "x."),
    Line(lambda total, alpha, errors, xs: -alpha * sum(errors),
         f"The line for {{}} lacks the factor x{UPHILL}."),
    Line(lambda total, alpha, errors, xs: alpha * sum(errors) / len(xs),
         "The line for {} has the mean of the errors; the task has the sum of errors times x."),
    Line(lambda total, alpha, errors, xs: alpha * sum(errors) * sum(xs),
         f"{TWO_SUMS}."),
    Line(lambda total, alpha, errors, xs: -alpha * sum(errors) * sum(xs),
         f"{TWO_SUMS}. Its sign is wrong, too."),
)


def _product(errors: Sequence[float], xs: Sequence[float]) -> float:
    return sum([error * x for error, x in zip(errors, xs)])


def stepped(lines: tuple[Line, Line], case: Case) -> Weights:
    """Returns the new weights, as two lines compute them."""
    w0, w1, xs, ys, alpha = case
    errors = [y - (w0 + w1 * x) for x, y in zip(xs, ys)]
    first, second = lines
    return (
        w0 + first.change(sum(errors), alpha, errors, xs),
        w1 + second.change(_product(errors, xs), alpha, errors, xs),
    )


def _exchanged(weights: Weights) -> Weights:
    return weights[1], weights[0]


def _moved(
    w0: float, w1: float, xs: Sequence[float], ys: Sequence[float]
) -> tuple[Sequence[float], list[float]]:
    """Returns the data whose errors at weights of 0 are those of w0 and w1."""
    return xs, [y - (w0 + w1 * x) for x, y in zip(xs, ys)]


def make(seed: int) -> Exercise:
    """Returns the exercise: the two lines have the faults that this random seed chooses."""
    draw = random.Random(f"update-rule {seed}")
    is_reversed = seed // len(FAULTS) % 2 == 1  # errors are h - y, and the rule subtracts
    task = """Repair an update rule.

A study sheet prints batch gradient descent for the line h(x) = w0 + w1 x.  The
print has mistakes: Python may not read it, and the loss may grow.

update makes one step on the loss 1/2 * (sum of (h(x) - y)**2 over all samples)
with the learning rate alpha, and returns the new weights.  Change the two
lines below "the rule"."""
    cases = [_case(draw, count) for count in (1, 2, *[5] * (CASES - 2))]
    return Exercise(
        name="update-rule",
        seed=seed,
        lesson="descent",
        title="repair a printed update rule",
        starter=file_text(
            "update-rule", seed, task, _code(FAULTS[seed % len(FAULTS)], is_reversed)
        ),
        solution=file_text("update-rule", seed, task, _code(Fault("", ""), is_reversed)),
        hints=(
            "If Python cannot read a line, look for an operator that was lost in print.",
            "Weights move against the gradient. Take one sample with x = 1 that lies above the "
            "line: should w0 grow or fall, and w1?",
            "The derivative of 1/2 * (h(x) - y)**2 is (h(x) - y) with respect to w0, and "
            "(h(x) - y) * x with respect to w1.",
        ),
        steps=tuple([Call("update", case) for case in cases]),
        marker=lambda answers: _mark(cases, answers, seed),
    )


def _code(fault: Fault, is_reversed: bool) -> str:
    """Returns the function update with a fault."""
    errors = "h - y" if is_reversed else "y - h"
    products = {"x": "sum(errors)"}
    lines = [
        _line("w0", fault.first, is_reversed, "sum(errors)"),
        _line("w1", fault.second, is_reversed, products.get(fault.second, PRODUCT)),
    ]
    return f"""
def update(w0, w1, xs, ys, alpha):
    outputs = [w0 + w1 * x for x in xs]
    errors = [{errors} for h, y in zip(outputs, ys)]
    # the rule
    {lines[0]}
    {lines[1]}
    return new_w0, new_w1
"""


PRODUCT = "sum(e * x for e, x in zip(errors, xs))"


def _line(weight: str, fault: str, is_reversed: bool, total: str) -> str:
    is_minus = is_reversed != (fault == "sign")
    star = "  " if fault == "star" else " * "
    return f"new_{weight} = {weight} {'-' if is_minus else '+'} alpha{star}{total}"


def _case(draw: random.Random, count: int) -> Case:
    """Returns arguments of update."""
    numbers = [round(draw.uniform(-3, 3), 2) for _ in range(2 * count + 2)]
    w0, w1, *rest = numbers
    return w0, w1, rest[:count], rest[count:], draw.choice((0.01, 0.1, 0.25))


def _mark(cases: Sequence[Case], answers: Sequence[Answer], seed: int) -> str:
    given = [numbers_of(value_of(answer), 2, "what update returns") for answer in answers]
    right = [step(*case) for case in cases]
    if _same(given, right):
        first, last = _losses(step, seed)
        return (
            f"All {len(cases)} steps agree with gradient descent. On {SAMPLES} points, {STEPS} "
            f"such steps lower the loss from {short_number(first)} to {short_number(last)}."
        )
    details = aligned((
        ("", "yours", "right"),
        *[
            (f"new w{i}, step {n}", short_number(found[i]), short_number(wanted[i]))
            for n, (found, wanted) in enumerate(zip(given[:2], right), 1)
            for i in (0, 1)
        ],
    ))
    for update, sentence in WRONG:
        if _same(given, [update(*case) for case in cases]):
            raise NotYet(f"{sentence} {_effect(update, seed)}", details)
    raise NotYet(_of_lines(cases, given, seed), details)


def _of_lines(cases: Sequence[Case], given: Sequence[Sequence[float]], seed: int) -> str:
    """Returns a sentence on each of the two lines that is recognised."""
    found: list[Line | None] = []
    for i, lines in enumerate((LINES_OF_W0, LINES_OF_W1)):
        wanted = [[stepped((line, line), case)[i] for case in cases] for line in lines]
        mine = [weights[i] for weights in given]
        found.append(next(
            (line for line, ws in zip(lines, wanted) if all(map(is_close, mine, ws))), None
        ))
    first, second = found
    if first is None and second is None:
        return "The new weights are not those of gradient descent."
    told = []
    for name, line in (("w0", first), ("w1", second)):
        if line is None:
            told.append(f"The line for {name} is not that of gradient descent.")
        elif line.sentence:
            told.append(line.sentence.format(name))
        elif None in found:
            told.append(f"The line for {name} is right.")
    if first is not None and second is not None:
        told.append(_effect(lambda *case: stepped((first, second), case), seed))
    return " ".join(told)


def _effect(update: Update, seed: int) -> str:
    """Returns a sentence on the loss, as a wrong rule changes it."""
    first, last = _losses(update, seed)
    return (
        f"With your rule the loss goes from {short_number(first)} to {short_number(last)} in "
        f"{STEPS} steps on {SAMPLES} points."
    )


def _same(given: Sequence[Sequence[float]], others: Sequence[Weights]) -> bool:
    pairs = [pair for found, wanted in zip(given, others) for pair in zip(found, wanted)]
    return all(is_close(x, y) for x, y in pairs)


def _losses(update: Update, seed: int) -> tuple[float, float]:
    """Returns the loss on a line of points before and after some steps of an update."""
    samples, ys = data.line(SAMPLES, rng=seed)
    xs = [x for (x,) in samples]
    w0, w1 = 0.0, 0.0
    losses = []
    for _ in range(STEPS + 1):
        losses.append(sum([(w0 + w1 * x - y) * (w0 + w1 * x - y) for x, y in zip(xs, ys)]) / 2)
        w0, w1 = update(w0, w1, xs, ys, RATE)
    return losses[0], losses[-1]
