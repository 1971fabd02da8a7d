"""The price of a call option by Black and Scholes with its greeks, all five first derivatives, for
100,000 samples.

Sources: F. Black and M. Scholes, The pricing of options and corporate liabilities, Journal of
Political Economy 81 (1973).
"""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.races import ours
from tests.benchmarks.races.race import EAGER, OURS, ROUNDS, Contestant, Program
from tinygrad_edu import math

# Spot price, strike price, interest rate a year, volatility, years to expiry: between which
# numbers.
RANGES = ((80.0, 120.0), (80.0, 120.0), (0.0, 0.1), (0.1, 0.5), (0.1, 2.0))
SAMPLES, QUICK_SAMPLES = 100_000, 16
BLOCK = 1_000  # samples at a time in casadi

Columns = list[Any]  # one array of floats for each argument


def options(quick: bool) -> Columns:
    """Random arguments of `price`, uniform between the bounds."""
    rng = random.Random(0)
    return [
        array("d", [rng.uniform(*bounds) for _ in range(QUICK_SAMPLES if quick else SAMPLES)])
        for bounds in RANGES
    ]


def price(
    spot: Any, strike: Any, rate: Any, volatility: Any, years: Any, *, functions: Any = math
) -> Any:
    """The price of a European call option; ``functions`` has log, sqrt, exp and erf."""
    deviation = volatility * functions.sqrt(years)
    d1 = (functions.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / deviation
    d2 = d1 - deviation

    def normal(x: Any) -> Any:
        return 0.5 * (1.0 + functions.erf(x * 0.7071067811865476))

    return spot * normal(d1) - strike * functions.exp(-rate * years) * normal(d2)


def by_sample(results: Any) -> Sequence[float]:
    """The price and the five derivatives of the first sample, of the second one, ..."""
    values, slopes = results
    columns = [
        column.tolist() if hasattr(column, "tolist") else column for column in (values, *slopes)
    ]
    return [*chain.from_iterable(zip(*columns, strict=True))]


def compiled(problem: Columns) -> Callable[[], Any]:
    """This engine, compiled for a batch."""
    return ours.gradients(price, problem)


def eager(problem: Columns) -> Callable[[], Any]:
    """This engine, eager, some samples a call."""
    return ours.gradients_eagerly(price, problem, _eager_samples(problem))


def _eager_samples(problem: Columns) -> int:
    return len(problem[0]) // (1 + ROUNDS)


def with_torch(problem: Columns) -> Callable[[], Any]:
    """torch eager, tensors of all samples; chunks that fit into a cache made it slower."""
    import torch

    torch.set_num_threads(1)
    columns = [torch.tensor(column, dtype=torch.float64) for column in problem]

    def run() -> Any:
        xs = [column.detach().requires_grad_() for column in columns]
        values = price(*xs, functions=torch)
        return values.detach(), torch.autograd.grad(values, xs, torch.ones_like(values))

    return run


def with_autograd(problem: Columns) -> Callable[[], Any]:
    """autograd on numpy's arrays of all samples; a tuple of five took half the time of one array.
    """
    from autograd import make_vjp
    from autograd import numpy as np
    from autograd.scipy.special import erf

    functions = SimpleNamespace(log=np.log, sqrt=np.sqrt, exp=np.exp, erf=erf)
    columns = tuple(np.array(column) for column in problem)
    ones = np.ones(len(problem[0]))

    def run() -> Any:
        pullback, values = make_vjp(lambda xs: price(*xs, functions=functions))(columns)
        return values, pullback(ones)

    return run


def with_jax(problem: Columns) -> Callable[[], Any]:
    """jax, compiled; `vmap` of `value_and_grad` took as long."""
    import jax
    from jax import numpy as jnp

    functions = SimpleNamespace(log=jnp.log, sqrt=jnp.sqrt, exp=jnp.exp, erf=jax.lax.erf)
    columns = [jnp.array(column) for column in problem]

    @jax.jit
    def differentiate(*xs: Any) -> Any:
        values, pullback = jax.vjp(lambda *xs: price(*xs, functions=functions), *xs)
        return values, pullback(jnp.ones_like(values))

    return lambda: jax.block_until_ready(differentiate(*columns))


def with_casadi(problem: Columns) -> Callable[[], Any]:
    """casadi's virtual machine on vectors of 1,000 samples, through its buffers: a sixth of the
    time of single samples."""
    import casadi
    import numpy as np

    count = len(problem[0])
    block = min(BLOCK, count)
    xs = [casadi.MX.sym(f"x{i}", block) for i in range(len(problem))]
    values = price(*xs, functions=casadi)
    slopes = casadi.vertsplit(
        casadi.jtimes(values, casadi.vertcat(*xs), casadi.DM.ones(block), True), block
    )
    buffer, trigger = (
        casadi.Function("f", xs, [values, *slopes], {"cse": True}).map(count // block).buffer()
    )
    results: list[Any] = [np.empty(count) for _ in range(1 + len(problem))]
    inside, outside = (
        [memoryview(column) for column in problem],
        [memoryview(result) for result in results],
    )
    for i, view in enumerate(inside):
        buffer.set_arg(i, view)
    for i, view in enumerate(outside):
        buffer.set_res(i, view)

    # which have to live as long as the trigger
    def run(keep: Any = (buffer, inside, outside)) -> Any:
        trigger()
        return results[0], results[1:]

    return run


def with_ddx(problem: Columns) -> Callable[[], Any]:
    """ddx-ad, compiled for the batch, through its buffers, with the vector functions of the C
    library: a third faster."""
    import ddx
    import numpy as np

    equation = ddx.equation(
        lambda: price(
            *[ddx.var(name) for name in ("spot", "strike", "rate", "volatility", "years")],
            functions=ddx,
        )
    )
    equation.compile(points=len(problem[0]), veclib=ddx.VecLib.AUTO)
    call = equation.buffer(np.array(problem))

    def run() -> Any:
        call()
        return call.value, call.jacobian

    return run


PROGRAM = Program(
    module=__name__, title="Black-Scholes: the price of a call and its five greeks, 100,000 "
                           "samples", problem=options,
    work="all samples", read=by_sample, rate=("gradients", lambda problem: len(problem[0])),
    note="* a part of the work, extrapolated: the eager engine an eighth.",
    contestants=(
        Contestant(OURS, compiled, tolerance=1e-9),
        Contestant(
            EAGER, eager, share=lambda problem: _eager_samples(problem) / len(problem[0]), calls=1
        ),
        Contestant("torch eager", with_torch, "torch"),
        Contestant("autograd", with_autograd, "autograd"),
        Contestant("jax.jit", with_jax, "jax"),
        Contestant("casadi", with_casadi, "casadi"),
        Contestant("ddx-ad, compiled", with_ddx, "ddx"),
    ))
