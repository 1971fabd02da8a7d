"""Questions about an update: what is the weight after a step?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import sqrt

from .... import optim
from ....debug.recording import record
from ....debug.sentences import factor
from ....debug.text import short_number
from ....engine.value import Value
from ...misconceptions import BACKWARD, sweep
from ..answers import distinct, listed
from ..candidates import first_of
from ..question import Question, worded

RATES = (0.1, 0.2, 0.5)
WEIGHTS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0)
GRADIENTS = (-8.0, -6.0, -5.0, -4.0, -3.0, -2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
MOMENTUM = 0.9
BETA1 = 0.9  # of Adam, as `optim.Adam` has them
BETA2 = 0.999
LEAST_CHANGE = 0.004  # of the weight, relative: a smaller change could be lost in rounding
DIGITS = 9  # of answers behind the point: 0 is not to be 1.1e-16
WANTED = 2  # wrong answers

Candidates = list[tuple[float, str]]


def make(draw: random.Random, level: int) -> Question:
    """Returns the question: one step, with the gradient to compute, decay or batch, momentum, Adam.
    """
    makers = {1: (_plain,), 2: (_computed,), 3: (_decayed, _batch), 4: (_momentum,), 5: (_adam,)}
    return first_of(makers[level], draw, WANTED)


def stepped(optimizer: optim.Optimizer, weight: Value, gradients: Sequence[float]) -> float:
    """Returns the weight after a step of an optimiser for each of the gradients."""
    for gradient in gradients:
        weight.grad = gradient
        optimizer.step()
    return round(weight.data, DIGITS)


def _about(
    text: str,
    answer: float,
    w: float,
    candidates: Candidates,
    solution: tuple[str, ...],
    hints: tuple[str, ...],
    root: Value | None = None,
) -> Question:
    """Returns the question about a weight w after a step.

    It has no wrong answers if the weight hardly changes: then another one is drawn.
    """
    wrong: dict[float | str, str] = {}
    if abs(answer - w) >= LEAST_CHANGE * abs(w):
        wrong = distinct(answer, [(round(number, DIGITS), name) for number, name in candidates])
    return Question(
        text=text, answer=answer, base=w, wrong=wrong, solution=solution, hints=hints, root=root
    )


def _times(x: float, y: float) -> str:
    return f"{short_number(x)} × {factor(short_number(y))}"


def _plain(draw: random.Random) -> Question:
    w, g = draw.choice(WEIGHTS), draw.choice(GRADIENTS)
    rate = draw.choice(RATES)
    weight = Value(w)
    answer = stepped(optim.SGD([weight], rate), weight, [g])
    return _about(
        worded(
            f"A weight w is {short_number(w)}. The gradient of the loss with respect to w is "
            f"{short_number(g)}, and the learning rate is {short_number(rate)}.",
            "What is w after one step of gradient descent?",
        ),
        answer,
        w,
        _slips(w, g, rate),
        solution=(
            "A step of gradient descent subtracts the rate times the gradient.",
            f"The rate times the gradient is {_times(rate, g)} = {short_number(rate * g)}.",
            f"The new weight is {short_number(w)} - {factor(short_number(rate * g))} = "
            f"{short_number(answer)}.",
        ),
        hints=(
            "Which way does the loss fall: along the gradient, or against it?",
            "The new weight is the old one, minus the rate times the gradient.",
            f"The new weight is {short_number(w)} - {_times(rate, g)}.",
        ),
    )


def _slips(w: float, g: float, rate: float) -> Candidates:
    """Returns what a step gives if one of its parts is wrong."""
    return [
        (w + rate * g, "uphill"),
        (w - g, "no rate"),
        (-rate * g, "change alone"),
        (w - rate, "rate alone"),
    ]


def _computed(draw: random.Random) -> Question:
    """Returns the question about a squared error, whose gradient is to be computed."""
    w = draw.choice(WEIGHTS)
    x, t = draw.choice((-2, -1, 2, 3, 4)), draw.choice((-3, -1, 1, 2, 4, 5, 6))
    rate = draw.choice((0.1, 0.01, 0.05))
    turned = draw.random() < 0.5
    weight = Value(w, "w")
    output = weight * x
    output.label = "h"
    error = t - output if turned else output - t
    error.label = "e"
    loss = error**2
    loss.label = "loss"
    loss.backward()
    g = weight.grad
    moved = Value(w)  # the graph keeps its weight
    answer = stepped(optim.SGD([moved], rate), moved, [g])
    slips = [(w - rate * sweep(loss, name)["w"], name) for name in BACKWARD]
    recording = record(loss)
    formula = "(t - w*x)**2" if turned else "(w*x - t)**2"
    return _about(
        worded(
            f"The loss is {formula} with the input x = {x} and the target t = {t}. The weight w "
            f"is {short_number(w)}, and the learning rate is {short_number(rate)}.",
            "What is w after one step of gradient descent?",
        ),
        answer,
        w,
        [*slips, *_slips(w, g, rate)],
        solution=(
            *[step.sentence for step in recording],
            f"The gradient is {short_number(g)}, so the step is -{short_number(rate)} × "
            f"{factor(short_number(g))}.",
            f"The new weight is {short_number(w)} - {_times(rate, g)} = {short_number(answer)}.",
        ),
        hints=(
            "First the forward pass: the output w*x, the error, and its square. Then the "
            "gradient of the loss with respect to w.",
            "The gradient of a squared error is 2 times the error, times the derivative of the "
            "error with respect to w.",
            f"The gradient is {short_number(g)}. The new weight is the old one, minus the rate "
            "times this.",
        ),
        root=loss,
    )


def _decayed(draw: random.Random) -> Question:
    w, g = draw.choice(WEIGHTS), draw.choice(GRADIENTS)
    rate, decay = draw.choice(RATES), draw.choice((0.1, 0.5))
    weight = Value(w)
    answer = stepped(optim.SGD([weight], rate, weight_decay=decay), weight, [g])
    whole = g + decay * w
    candidates: Candidates = [
        (w - rate * g, "no decay"),
        (w - rate * (g - decay * w), "growing decay"),
        (w - rate * g - decay * w, "decay without rate"),
        *_slips(w, whole, rate),
    ]
    return _about(
        worded(
            f"A weight w is {short_number(w)}, the gradient of the loss with respect to w is "
            f"{short_number(g)}, and the learning rate is {short_number(rate)}. A weight decay of "
            f"{short_number(decay)} adds {short_number(decay)} * w to the gradient.",
            "What is w after one step of gradient descent?",
        ),
        answer,
        w,
        candidates,
        solution=(
            f"Weight decay adds {_times(decay, w)} = {short_number(decay * w)} to the gradient: "
            f"{short_number(g)} + {factor(short_number(decay * w))} = {short_number(whole)}.",
            f"The new weight is {short_number(w)} - {_times(rate, whole)} = "
            f"{short_number(answer)}.",
        ),
        hints=(
            "Find the whole gradient first, with the part of the weight decay.",
            f"The whole gradient is {short_number(g)} + {_times(decay, w)}.",
            f"The new weight is {short_number(w)} - {_times(rate, whole)}.",
        ),
    )


def _batch(draw: random.Random) -> Question:
    w, rate = draw.choice(WEIGHTS), draw.choice(RATES)
    gradients = [draw.choice(GRADIENTS) for _ in range(draw.choice((2, 4)))]
    is_mean = draw.random() < 0.5
    total = sum(gradients)
    mean = total / len(gradients)
    g = mean if is_mean else total
    weight = Value(w)
    answer = stepped(optim.SGD([weight], rate), weight, [g])
    candidates: Candidates = [
        (w - rate * total, "sum for mean"),
        (w - rate * mean, "mean for sum"),
        (w - rate * gradients[-1], "last sample"),
        *_slips(w, g, rate),
    ]
    of = "mean" if is_mean else "sum"
    shown = listed([*map(short_number, gradients)])
    first, *others = map(short_number, gradients)
    summed = " + ".join([first, *map(factor, others)])
    gradient = f"({summed}) / {len(gradients)}" if is_mean else summed
    return _about(
        worded(
            f"A batch has {len(gradients)} samples. The gradients of their losses with respect to "
            f"a weight w are {shown}. The loss of the batch is the {of} of these losses. The "
            f"weight is {short_number(w)}, and the learning rate is {short_number(rate)}.",
            "What is w after one step of gradient descent?",
        ),
        answer,
        w,
        candidates,
        solution=(
            f"The gradient of a {of} is the {of} of the gradients: {gradient} = {short_number(g)}.",
            f"The new weight is {short_number(w)} - {_times(rate, g)} = {short_number(answer)}.",
        ),
        hints=(
            "A batch makes one step, with one gradient. How do the gradients of the samples give "
            "it?",
            f"The gradient of the batch is {gradient}.",
            f"The new weight is {short_number(w)} - {_times(rate, g)}.",
        ),
    )


def _momentum(draw: random.Random) -> Question:
    w, rate = draw.choice(WEIGHTS), draw.choice(RATES)
    g1, g2 = draw.choice(GRADIENTS), draw.choice(GRADIENTS)
    weight = Value(w)
    answer = stepped(optim.SGD([weight], rate, momentum=MOMENTUM), weight, [g1, g2])
    between = w - rate * g1
    velocity = MOMENTUM * g1 + g2
    candidates: Candidates = [
        (between - rate * g2, "no momentum"),
        (between - rate * (MOMENTUM * g1 + (1 - MOMENTUM) * g2), "damped gradient"),
        (between - rate * (g1 + g2), "full velocity"),
        (w + rate * (g1 + velocity), "uphill"),
        (w - g1 - velocity, "no rate"),
    ]
    return _about(
        worded(
            f"SGD with momentum {short_number(MOMENTUM)} and the learning rate "
            f"{short_number(rate)} starts at w = {short_number(w)}, with the velocity 0. The "
            f"gradient is {short_number(g1)} at the first step and {short_number(g2)} at the "
            "second. (The velocity becomes momentum * velocity + gradient; then the rate times "
            "the velocity is subtracted from w.)",
            "What is w after the second step?",
        ),
        answer,
        w,
        candidates,
        solution=(
            f"After the first step the velocity is {short_number(g1)}, and w is {short_number(w)} "
            f"- {_times(rate, g1)} = {short_number(between)}.",
            f"At the second step the velocity is {_times(MOMENTUM, g1)} + "
            f"{factor(short_number(g2))} = {short_number(velocity)}.",
            f"The new weight is {short_number(between)} - {_times(rate, velocity)} = "
            f"{short_number(answer)}.",
        ),
        hints=(
            "Write down two numbers for each step: the velocity, and then the weight.",
            "The first step is like plain gradient descent; its velocity is the gradient.",
            f"At the second step the velocity is {_times(MOMENTUM, g1)} + "
            f"{factor(short_number(g2))}, and w comes from {short_number(between)}.",
        ),
    )


def _adam(draw: random.Random) -> Question:
    w, g = draw.choice(WEIGHTS), draw.choice(GRADIENTS)
    rate = draw.choice(RATES)
    weight = Value(w)
    answer = stepped(optim.Adam([weight], rate), weight, [g])
    mean, mean_square = (1 - BETA1) * g, (1 - BETA2) * g * g
    candidates: Candidates = [
        (w - rate * mean / sqrt(mean_square), "no correction"),
        (w - rate * g, "plain step"),
        (w - rate * g / g**2, "no root"),
        (2 * w - answer, "uphill"),
        (w - g / abs(g), "no rate"),
    ]
    return _about(
        worded(
            f"Adam with the learning rate {short_number(rate)}, betas {BETA1} and {BETA2}, and a "
            f"negligible eps makes its first step. The weight w is {short_number(w)}, and its "
            f"gradient is {short_number(g)}.",
            "What is w after this step?",
        ),
        answer,
        w,
        candidates,
        solution=(
            f"The running mean is 0.1 × {factor(short_number(g))} = {short_number(mean)}; "
            f"corrected for its start at 0, it is {short_number(mean)} / 0.1 = {short_number(g)}.",
            f"The running mean square is 0.001 × {short_number(g * g)} = "
            f"{short_number(mean_square)}; corrected, it is {short_number(g * g)}, and its root "
            f"is {short_number(abs(g))}.",
            f"The step is -{short_number(rate)} × {factor(short_number(g))} / "
            f"{short_number(abs(g))}: as long as the rate.",
            f"The new weight is {short_number(w)} - {_times(rate, g / abs(g))} = "
            f"{short_number(answer)}.",
        ),
        hints=(
            "Adam divides a running mean of the gradient by the root of a running mean of its "
            "square. Both begin at 0 and are corrected for that.",
            f"At the first step the corrected mean is the gradient, {short_number(g)}. What is "
            "the corrected mean square, and its root?",
            f"The step is -{short_number(rate)} × {factor(short_number(g))} / "
            f"{short_number(abs(g))}.",
        ),
    )
