"""A physics-informed network: 300 full-batch steps of u'' + u = 0 at 11 points.

The loss contains the first and second derivative of the network by its input, so its gradient is
a third derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from math import pi
from typing import Any

from tests.benchmarks.races import ours
from tests.benchmarks.races.race import EAGER, OURS, Contestant, Program
from tinygrad_edu import Value, gradients, nn, optim

STEPS, SLICE = 300, 15  # of these the eager engine does so many in a call


@dataclass(frozen=True)
class Oscillator:
    """The points, and how many steps."""

    points: list[list[float]]
    steps: int


def oscillator(quick: bool) -> Oscillator:
    """Points from 0 to pi; if ``quick``, three of them and fifteen steps."""
    count = 3 if quick else 11
    return Oscillator([[pi * k / (count - 1)] for k in range(count)], SLICE if quick else STEPS)


class Residual(nn.Module):
    """u'' + u at a point, of a network u of eight hidden neurons."""

    def __init__(self) -> None:
        self.net = nn.MLP(1, [8, 1], activation="tanh", rng=0)

    def at(self, t: Value) -> tuple[Value, Value]:
        """Returns u and its derivative."""
        u: Any = self.net([t])
        return u, gradients(u, [t])[0]

    def __call__(self, x: Any) -> Value:
        t = Value(x[0])
        u, slope = self.at(t)
        return gradients(slope, [t])[0] + u

    def start(self) -> Value:
        """Returns how far the network is from u(0) = 0 and u'(0) = 1, squared."""
        u, slope = self.at(Value(0.0))
        return u**2 + (slope - 1.0) ** 2


def compiled(problem: Oscillator) -> Callable[[], Any]:
    """`fit` with the compiled engine; timed are all steps but the first, as for the moons."""
    model = Residual()

    def seconds(ends: list[float]) -> float:
        return (ends[-1] - ends[0]) * problem.steps / (problem.steps - 1)

    return ours.training(
        model,
        nn.mse,
        problem.points,
        [0.0] * len(problem.points),
        lambda: optim.Adam(model.parameters(), lr=0.01),
        seconds,
        epochs=problem.steps,
        penalty=model.start,
    )


def eager(problem: Oscillator) -> Callable[[], Any]:
    """`fit` with the eager engine, some steps a call."""
    model = Residual()
    data = problem.points, [0.0] * len(problem.points)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    return ours.continued_eagerly(
        model, nn.mse, repeat(data), optimizer, epochs=SLICE, penalty=model.start
    )


PROGRAM = Program(
    module=__name__,
    title="Physics-informed network: 300 steps of u'' + u = 0 at 11 points, MLP(1, [8, 1])",
    problem=oscillator, work="300 steps",
    note="* a part of the work, extrapolated: the eager engine 15 steps a round.\n"
         "The 300 steps exclude tracing and compiling, which the first call includes.",
    contestants=(
        Contestant(OURS, compiled, calls=1, tolerance=0.0),
        Contestant(
            EAGER, eager, share=lambda problem: SLICE / problem.steps, calls=1, target=1 / 20
        ),
    ),
)
