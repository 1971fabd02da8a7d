"""Questions about a path: which optimiser took these steps?"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from .... import optim
from ....debug.text import short_number
from ....engine.value import Value
from ....symbolic.expressions import parse
from ...evidence import aligned
from ..question import Question, worded

STEPS = 5


class Optimiser(NamedTuple):
    """An optimiser to choose from.

    make: makes it from parameters and a rate.
    misconception: the name of the idea that takes another path for its path.
    first: what its first step is.
    """

    make: Callable[[list[Value], float], optim.Optimizer]
    misconception: str
    first: str


OPTIMISERS: dict[str, Optimiser] = {
    "plain SGD": Optimiser(
        lambda w, rate: optim.SGD(w, rate),
        "sgd path",
        "Every change is -rate * gradient, from the first step to the last.",
    ),
    "SGD with momentum 0.9": Optimiser(
        lambda w, rate: optim.SGD(w, rate, momentum=0.9),
        "momentum path",
        "The first change is -rate * gradient; each later one adds 0.9 times the change before.",
    ),
    "RMSprop": Optimiser(
        lambda w, rate: optim.RMSprop(w, rate),
        "rmsprop path",
        "The first change has the length of 10 rates, whatever the gradient is: RMSprop divides by "
        "the root of 0.01 * gradient**2. Later changes are shorter.",
    ),
    "Adam": Optimiser(
        lambda w, rate: optim.Adam(w, rate),
        "adam path",
        "The first change has the length of the rate, whatever the gradient is, and the next one "
        "is nearly as long.",
    ),
}


class Setting(NamedTuple):
    """What is minimised: a function of x, or of x and y, from a start, with a rate."""

    formula: str
    start: tuple[float, ...]
    rate: float


def make(draw: random.Random, level: int) -> Question:
    """Returns the question; from level 3 on the gradients are not shown, from 4 on it is a valley.
    """
    while True:
        setting = _setting(draw, level)
        tables = {name: _table(setting, one, level) for name, one in OPTIMISERS.items()}
        if len(set(tables.values())) == len(OPTIMISERS):
            break
    answer = draw.choice([*OPTIMISERS])
    choices = [*OPTIMISERS]
    draw.shuffle(choices)
    names = ["x", "y"][:len(setting.start)]
    start = ", ".join([f"{name} = {short_number(x)}" for name, x in zip(names, setting.start)])
    place = names[0] if len(names) == 1 else "x, y"
    given = (
        f"An optimiser minimises f({place}) = {setting.formula} from {start} with the rate "
        f"{short_number(setting.rate)}. The first row is the start, each other row a step."
    )
    changes = _changes(setting, OPTIMISERS[answer])
    table = "\n".join([f"    {row}" for row in aligned(tables[answer])])
    return Question(
        text=worded(given, f"{table}\nWhich optimiser is it?"),
        answer=answer,
        wrong={name: one.misconception for name, one in OPTIMISERS.items() if name != answer},
        solution=(
            f"It is {answer}. {OPTIMISERS[answer].first}",
            *changes,
        ),
        hints=(
            "Compare the first change with the rate, and with the rate times the gradient.",
            "Plain SGD and momentum begin with -rate * gradient, and momentum goes on with longer "
            "steps. Adam begins with a step as long as the rate, RMSprop with one ten times as "
            "long.",
            changes[0],
        ),
        choices=tuple(choices),
        diagnosis="this is not a path of {given}",
    )


def path(setting: Setting, make: Callable[[list[Value], float], optim.Optimizer]
         ) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Returns the points of a run, from the start, each with its gradient."""
    weights = [Value(x, name) for x, name in zip(setting.start, "xy")]
    optimizer = make(weights, setting.rate)
    points = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        parse(setting.formula, {str(w.label): w for w in weights}).backward()
        points.append((
            tuple([float(w.data) for w in weights]), tuple([float(w.grad) for w in weights])
        ))
        optimizer.step()
    return points


def _setting(draw: random.Random, level: int) -> Setting:
    sign = draw.choice((1, -1))
    if level < 4:
        k = draw.choice((1, 2, 3))
        formula = "x**2" if k == 1 else f"{k} * x**2"
        start = sign * draw.choice((2.0, 3.0, 4.0, 5.0))
        return Setting(formula, (start,), draw.choice((0.1, 0.05)))
    k = draw.choice((4, 5, 8, 10) if level == 4 else (12, 15, 20))
    x = sign * draw.choice((3.0, 4.0, 5.0))
    y = draw.choice((1, -1)) * draw.choice((1.0, 2.0))
    return Setting(f"x**2 + {k} * y**2", (x, y), draw.choice((0.02, 0.03)))


def _table(setting: Setting, optimiser: Optimiser, level: int) -> tuple[tuple[str, ...], ...]:
    """Returns the rows that are shown of a run, below their head."""
    points = path(setting, optimiser.make)
    names = ["x", "y"][:len(setting.start)]
    rows = [("step", *names)]
    if level < 3:
        rows = [("step", *names, "gradient")]
    for i, (place, gradient) in enumerate(points):
        numbers = [*place, *gradient] if level < 3 else [*place]
        rows.append((str(i), *map(_rounded, numbers)))
    return tuple(rows)


def _changes(setting: Setting, optimiser: Optimiser) -> list[str]:
    """Returns sentences that compare the first two changes of x with the rate and the gradient."""
    points = path(setting, optimiser.make)
    sentences = []
    for word, (place, gradient), (then, _) in zip(("first", "second"), points, points[1:]):
        change = then[0] - place[0]
        plain = -setting.rate * gradient[0]
        sentences.append(
            f"The {word} change of x is {_rounded(change)}; -rate * gradient is {_rounded(plain)}, "
            f"and the rate is {short_number(setting.rate)}."
        )
    return sentences


def _rounded(x: float) -> str:
    """Returns a number with four digits behind the point at most."""
    return f"{x:.4f}".rstrip("0").rstrip(".").replace("-0", "0", int(f"{x:.4f}" == "-0.0000"))
