"""Questions about a stationary point: is it a minimum, a maximum or a saddle point?"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ....debug.sentences import factor
from ....debug.text import short_number
from ....engine.autodiff import hessian
from ....symbolic.expressions import parse
from ..answers import distinct
from ..candidates import best_of
from ..question import Question, worded

MINIMUM = "minimum"
MAXIMUM = "maximum"
SADDLE = "saddle point"
ATTEMPTS = 20  # points among which one with two wrong answers is looked for
ENTRIES = (1, 2, 3, 4, 5, 6)


class Hessian(NamedTuple):
    """The second derivatives of a function of x and y."""

    xx: float
    xy: float
    yy: float

    @property
    def determinant(self) -> float:
        """The product of the two curvatures."""
        return self.xx * self.yy - self.xy**2


class Point(NamedTuple):
    """A stationary point: its Hessian; the function and the place, "" if they are not given."""

    hessian: Hessian
    formula: str = ""
    place: str = ""


# wrong tests, from the one that is tried first; each returns a kind of point, "" if it is undecided
TESTS: dict[str, Callable[[Hessian], str]] = {
    "diagonal": lambda h: _by_signs(h.xx, h.yy),
    "mixed signs": lambda h: _by_signs(*[x for x in h if x]),
    "first entry": lambda h: _by_sign(h.xx),
    "determinant": lambda h: _by_sign(h.determinant),
    "trace": lambda h: _by_sign(h.xx + h.yy),
    "always a minimum": lambda h: MINIMUM,
    "flat direction": lambda h: "" if h.xy else SADDLE,
    "reversed": lambda h: {MINIMUM: MAXIMUM, MAXIMUM: MINIMUM}.get(kind_of(h), ""),
}


def make(draw: random.Random, level: int) -> Question:
    """Returns the question: without and with a mixed derivative, and with the Hessian to compute.
    """
    kind = draw.choice((MINIMUM, MAXIMUM, SADDLE, SADDLE))
    point, wrong = best_of(lambda: _candidate(draw, level, kind), ATTEMPTS, 2)
    choices = [MINIMUM, MAXIMUM, SADDLE]
    draw.shuffle(choices)
    shown = _derivatives(point.hessian)
    given = f"At a point the gradient of f(x, y) is 0, and the second derivatives are {shown}."
    first = "Look at the curvature along both axes, and at the mixed derivative."
    solution = _solution(point.hessian)
    if point.formula:
        given = f"The gradient of f(x, y) = {point.formula} is 0 at {point.place}."
        first = "Compute the second derivatives f_xx, f_xy and f_yy, and put the point in."
        solution = (f"The second derivatives at {point.place} are {shown}.", *solution)
    return Question(
        text=worded(given, "Is the point a minimum, a maximum or a saddle point?"),
        answer=kind,
        wrong=wrong,
        solution=solution,
        hints=(
            first,
            "The sign of f_xx * f_yy - f_xy**2 says whether all directions curve the same way.",
            f"With {shown} it is {_product(point.hessian)} = "
            f"{short_number(point.hessian.determinant)}.",
        ),
        choices=tuple(choices),
        diagnosis="a {given} is what comes out if {title}",
    )


def kind_of(h: Hessian) -> str:
    """Returns the kind of a stationary point, "" if the determinant is 0."""
    if h.determinant == 0:
        return ""
    return SADDLE if h.determinant < 0 else _by_sign(h.xx)


def hessian_at(formula: str, x: float, y: float) -> Hessian:
    """Returns the second derivatives of a formula of x and y."""
    (xx, xy), (_, yy) = hessian(lambda at: parse(formula, x=at[0], y=at[1]))([x, y])
    return Hessian(xx, xy, yy)


def _candidate(draw: random.Random, level: int, kind: str) -> tuple[Point, dict[float | str, str]]:
    """Returns a point of a kind, and the wrong answers."""
    makers = {1: _axes, 2: _mixed, 3: _mixed, 4: _quadratic, 5: _cubic}
    while True:
        point = makers[level](draw)
        h = point.hessian
        # at level 3 the mixed derivative makes the saddle
        is_plain = level == 3 and kind == SADDLE == _by_signs(h.xx, h.yy)
        if kind_of(h) == kind and not is_plain:
            break
    candidates: list[tuple[float | str, str]] = [(test(h), name) for name, test in TESTS.items()]
    if level == 4:
        half = Hessian(h.xx / 2, h.xy, h.yy / 2)
        candidates.insert(0, (kind_of(half), "half diagonal"))
    return point, distinct(kind, [candidate for candidate in candidates if candidate[0]])


def _entry(draw: random.Random) -> int:
    return draw.choice(ENTRIES) * draw.choice((1, -1))


def _axes(draw: random.Random) -> Point:
    return Point(Hessian(_entry(draw), 0, _entry(draw)))


def _mixed(draw: random.Random) -> Point:
    return Point(Hessian(_entry(draw), _entry(draw), _entry(draw)))


def _quadratic(draw: random.Random) -> Point:
    first = _entry(draw)
    terms = [_term(first, "x**2"), _term(_entry(draw), "x*y"), _term(_entry(draw), "y**2")]
    formula = "".join(terms).removeprefix(" + ")
    formula = formula.replace(" - ", "-", 1) if first < 0 else formula
    return Point(hessian_at(formula, 0.0, 0.0), formula, "(0, 0)")


def _cubic(draw: random.Random) -> Point:
    k = draw.choice((1, 2, 3)) * draw.choice((1, -1))
    if draw.random() < 0.5:
        square = _entry(draw)
        formula = f"x**3 - {3 * k * k}*x" + _term(square, "y**2")
        x, y = k, 0
    else:
        formula = "x**3 + y**3" + _term(-3 * k, "x*y")
        x = y = draw.choice((0, k, k))
    return Point(hessian_at(formula, x, y), formula, f"({x}, {y})")


def _term(number: int, power: str) -> str:
    size = "" if abs(number) == 1 else f"{abs(number)}*"
    return f" {'-' if number < 0 else '+'} {size}{power}"


def _by_sign(x: float) -> str:
    """Returns what the sign of a single second derivative says."""
    if x == 0:
        return ""
    return MINIMUM if x > 0 else MAXIMUM


def _by_signs(*numbers: float) -> str:
    """Returns a saddle point for numbers of both signs, and else what their sign says."""
    kinds = {_by_sign(x) for x in numbers}
    return kinds.pop() if len(kinds) == 1 else SADDLE


def _derivatives(h: Hessian) -> str:
    names: Sequence[str] = ("f_xx", "f_xy", "f_yy")
    shown = [f"{name} = {short_number(x)}" for name, x in zip(names, h)]
    return f"{shown[0]}, {shown[1]} and {shown[2]}"


def _product(h: Hessian) -> str:
    numbers = [short_number(h.xx), factor(short_number(h.yy)), factor(short_number(h.xy))]
    return f"{numbers[0]} × {numbers[1]} - {numbers[2]}**2"


def _solution(h: Hessian) -> tuple[str, ...]:
    determinant = f"f_xx * f_yy - f_xy**2 = {_product(h)} = {short_number(h.determinant)}"
    if h.determinant < 0:
        return (
            f"The determinant is negative: {determinant}.",
            "So f curves upwards in one direction and downwards in another: a saddle point.",
        )
    way, kind = ("upwards", MINIMUM) if h.xx > 0 else ("downwards", MAXIMUM)
    return (
        f"The determinant is positive: {determinant}. All directions curve the same way.",
        f"Because f_xx = {short_number(h.xx)}, they curve {way}: a {kind}.",
    )
