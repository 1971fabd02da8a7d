"""An ODE loss: Lotka and Volterra's hares and lynxes, 1,000 steps of explicit Euler, squared error
at 10 times.

dx/dt = x (a - b y), dy/dt = y (d x - c). Results are the loss and its derivatives with respect to
a, b, c and d.
"""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.races import ours, theirs
from tests.benchmarks.races.race import EAGER, OURS, Contestant, Program

STEP, TIMES = 0.01, 10


@dataclass(frozen=True)
class Measured:
    """The states (x, y) measured at 10 times, the steps between them, and the point (a, b, c, d) at
    which to differentiate."""

    states: list[tuple[float, float]]
    steps: int
    point: tuple[float, ...] = (1.4, 0.9, 2.8, 1.1)

    def loss(self, parameters: Sequence[Any]) -> Any:
        """The sum of squared errors, of scalars."""
        total = 0.0
        for (x, y), (u, v) in zip(states(parameters, self.steps), self.states):
            total = total + ((x - u) * (x - u) + (y - v) * (y - v))
        return total


def states(parameters: Sequence[Any], steps: int) -> list[tuple[Any, Any]]:
    """(x, y) at 10 times, ``steps`` steps apart, from (1, 1) on."""
    a, b, c, d = parameters
    x, y = 1.0, 1.0
    reached = []
    for _ in range(TIMES):
        for _ in range(steps):
            x, y = x + STEP * x * (a - b * y), y + STEP * y * (d * x - c)
        reached.append((x, y))
    return reached


def measured(quick: bool) -> Measured:
    """What (1.5, 1, 3, 1) gives, 100 steps apart; if ``quick``, 3."""
    steps = 3 if quick else 100
    return Measured(states((1.5, 1.0, 3.0, 1.0), steps), steps)


def compiled(problem: Measured) -> Callable[[], Any]:
    """This engine, compiled."""
    return ours.gradient(problem.loss, problem.point)


def eager(problem: Measured) -> Callable[[], Any]:
    """This engine, eager."""
    return ours.gradient_eagerly(problem.loss, problem.point)


def with_torch(problem: Measured) -> Callable[[], Any]:
    """torch eager, on vectors (x, y): less than half the time of scalars."""
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    target = torch.tensor(problem.states)

    def run() -> Any:
        parameters = torch.tensor(problem.point, requires_grad=True)
        a, b, c, d = parameters.unbind()
        growth, meeting = 1 + STEP * torch.stack([a, -c]), STEP * torch.stack([-b, d])
        state, reached = torch.ones(2), []
        for _ in range(TIMES):
            for _ in range(problem.steps):
                state = state * torch.addcmul(growth, meeting, state.flip(0))
            reached.append(state)
        value = (torch.stack(reached) - target).square().sum()
        return value.detach(), torch.autograd.grad(value, parameters)

    return run


def with_autograd(problem: Measured) -> Callable[[], Any]:
    """autograd on numpy's vectors (x, y): less than half the time of scalars."""
    from autograd import numpy as np
    from autograd import value_and_grad

    target = np.array(problem.states)

    def loss(parameters: Any) -> Any:
        growth = 1 + STEP * np.array([parameters[0], -parameters[2]])
        meeting = STEP * np.array([-parameters[1], parameters[3]])
        state, total = np.ones(2), 0.0
        for row in target:
            for _ in range(problem.steps):
                state = state * (growth + meeting * state[::-1])
            total = total + np.sum((state - row) ** 2)
        return total

    differentiate, point = value_and_grad(loss), np.array(problem.point)
    return lambda: differentiate(point)


def _jax(problem: Measured, reverse: bool) -> Callable[[], Any]:
    import jax
    from jax import numpy as jnp

    target, point = jnp.array(problem.states), jnp.array(problem.point)

    def loss(parameters: Any) -> Any:
        a, b, c, d = parameters

        def euler(state: Any, _: None) -> tuple[Any, None]:
            x, y = state
            return (x + STEP * x * (a - b * y), y + STEP * y * (d * x - c)), None

        def stretch(state: Any, row: Any) -> tuple[Any, Any]:
            (x, y), _ = jax.lax.scan(euler, state, None, length=problem.steps)
            return (x, y), (x - row[0]) ** 2 + (y - row[1]) ** 2

        return jax.lax.scan(stretch, (1.0, 1.0), target)[1].sum()

    def forward(parameters: Any) -> Any:
        return jax.vmap(
            lambda tangent: jax.jvp(loss, (parameters,), (tangent,)), out_axes=(None, 0)
        )(jnp.eye(len(parameters)))

    differentiate = jax.jit(jax.value_and_grad(loss) if reverse else forward)
    return lambda: jax.block_until_ready(differentiate(point))


def with_jax_reverse(problem: Measured) -> Callable[[], Any]:
    """jax, compiled, `lax.scan` in reverse mode; unrolling it made it slower."""
    return _jax(problem, reverse=True)


def with_jax_forward(problem: Measured) -> Callable[[], Any]:
    """jax, compiled, `lax.scan` in forward mode with four tangents at once; unrolling it made it
    slower."""
    return _jax(problem, reverse=False)


def with_casadi(problem: Measured) -> Callable[[], Any]:
    """casadi's virtual machine on scalar operations, through its buffers.

    Forward mode took twice as long, `mapaccum` six times.
    """
    import casadi

    parameters = casadi.SX.sym("p", 4)
    return theirs.casadi_gradient(
        problem.loss(casadi.vertsplit(parameters)), parameters, problem.point
    )


def with_ddx(problem: Measured) -> Callable[[], Any]:
    """ddx-ad, compiled, through its buffers."""
    return theirs.ddx_gradient(problem.loss, problem.point)


PROGRAM = Program(
    module=__name__,
    title="ODE loss: Lotka-Volterra, 1,000 steps of explicit Euler, 4 parameters",
    problem=measured,
    unit="µs",
    rate=("gradients", lambda problem: 1),
    contestants=(
        Contestant(OURS, compiled, tolerance=1e-9),
        Contestant(EAGER, eager),
        Contestant("torch eager", with_torch, "torch"),
        Contestant("autograd", with_autograd, "autograd"),
        Contestant("jax.jit, reverse mode", with_jax_reverse, "jax"),
        Contestant("jax.jit, forward mode", with_jax_forward, "jax"),
        Contestant("casadi", with_casadi, "casadi"),
        Contestant("ddx-ad, compiled", with_ddx, "ddx"),
    ),
)
