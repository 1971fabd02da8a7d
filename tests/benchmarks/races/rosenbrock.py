"""Rosenbrock's valley in 100 dimensions: value and gradient at a point."""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from tests.benchmarks.races import ours, theirs
from tests.benchmarks.races.race import EAGER, OURS, Contestant, Program

Point = list[float]


def point(quick: bool) -> Point:
    """A point to start from, in 100 dimensions; if ``quick``, in 10."""
    rng = random.Random(0)
    return [rng.uniform(-2.0, 2.0) for _ in range(10 if quick else 100)]


def valley(xs: Sequence[Any]) -> Any:
    """The sum over i of 100 (x_(i+1) - x_i^2)^2 + (1 - x_i)^2, of scalars."""
    total = 0.0
    for x, after in pairwise(xs):
        a, b = after - x * x, 1 - x
        total = total + (100 * a * a + b * b)
    return total


def valley_of_array(x: Any) -> Any:
    """The same of an array: numpy's, torch's, jax's or casadi's."""
    before = x[:-1]
    a, b = x[1:] - before * before, 1 - before
    return (100 * a * a + b * b).sum()


def compiled(problem: Point) -> Callable[[], Any]:
    """This engine, compiled: a list in, lists out."""
    return ours.gradient(valley, problem)


def eager(problem: Point) -> Callable[[], Any]:
    """This engine, eager."""
    return ours.gradient_eagerly(valley, problem)


def with_torch(problem: Point) -> Callable[[], Any]:
    """torch eager, tensors."""
    import torch

    torch.set_num_threads(1)
    x = torch.tensor(problem, dtype=torch.float64, requires_grad=True)

    def run() -> Any:
        value = valley_of_array(x)
        return value.detach(), torch.autograd.grad(value, x)

    return run


def with_autograd(problem: Point) -> Callable[[], Any]:
    """autograd on numpy; the method `sum` of its arrays is that of `numpy.sum`."""
    import numpy as np
    from autograd import value_and_grad

    x, differentiate = np.array(problem), value_and_grad(valley_of_array)
    return lambda: differentiate(x)


def with_jax(problem: Point) -> Callable[[], Any]:
    """jax, compiled, with its array as argument (a numpy array took a tenth longer)."""
    import jax
    from jax import numpy as jnp

    x, differentiate = jnp.array(problem), jax.jit(jax.value_and_grad(valley_of_array))
    return lambda: jax.block_until_ready(differentiate(x))


def with_casadi(problem: Point) -> Callable[[], Any]:
    """casadi's virtual machine on vector operations, through its buffers: a fifth of the time of
    scalar operations (SX) and a twentieth of that of calling the Function with an array.
    """
    import casadi

    x = casadi.MX.sym("x", len(problem))
    before = x[:-1]
    a, b = x[1:] - before * before, 1 - before
    return theirs.casadi_gradient(100 * casadi.dot(a, a) + casadi.dot(b, b), x, problem)


def with_ddx(problem: Point) -> Callable[[], Any]:
    """ddx-ad, compiled, through its buffers."""
    return theirs.ddx_gradient(valley, problem)


PROGRAM = Program(
    module=__name__,
    title="Rosenbrock in 100 dimensions, value and gradient",
    problem=point,
    unit="µs",
    rate=("gradients", lambda problem: 1),
    contestants=(
        Contestant(OURS, compiled, tolerance=1e-9),
        Contestant(EAGER, eager),
        Contestant("torch eager", with_torch, "torch"),
        Contestant("autograd", with_autograd, "autograd"),
        Contestant("jax.jit", with_jax, "jax"),
        Contestant("casadi", with_casadi, "casadi"),
        Contestant("ddx-ad, compiled", with_ddx, "ddx"),
    ),
)
