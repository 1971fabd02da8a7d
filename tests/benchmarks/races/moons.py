"""micrograd's demo: 100 steps of gradient descent over 100 points, with a network of 2, 16, 16 and
1 neurons.

Points, first weights, loss (hinge, and 1e-4 of the sum of squares of all parameters) and learning
rates are those of the demo.  The other engines have all points in one matrix, as is usual for them;
micrograd and this engine are scalar.
"""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

from tests.benchmarks.races import ours
from tests.benchmarks.races.race import EAGER, OURS, Contestant, Program
from tinygrad_edu import nn, optim

SIZES, ALPHA, STEPS = [2, 16, 16, 1], 1e-4, 100
SLICE = 13  # steps that the eager engine does in a call


@dataclass(frozen=True)
class Moons:
    """Points with labels -1 and 1, the parameters to start from, neuron by neuron with the bias
    last, and how many steps."""

    X: list[list[float]]
    y: list[int]
    weights: list[float]
    steps: int

    @property
    def layers(self) -> list[tuple[list[list[float]], list[float]]]:
        """For every layer the rows of its weight matrix, one a neuron, and its biases."""
        numbers, layers = iter(self.weights), []
        for nin, nout in pairwise(SIZES):
            neurons = [[next(numbers) for _ in range(nin + 1)] for _ in range(nout)]
            layers.append(([w for *w, _ in neurons], [b for *_, b in neurons]))
        return layers

    @property
    def arrays(self) -> list[Any]:
        """The same without pairs: weights, biases, weights, biases, ..."""
        return [part for layer in self.layers for part in layer]


def moons(quick: bool) -> Moons:
    """The demo's points and weights; if ``quick``, ten points and five steps."""
    kept = json.loads((Path(__file__).parent / "moons.json").read_text(encoding="utf-8"))
    weights = [p.data for p in nn.MLP(2, SIZES[1:], rng=random.Random(1337)).parameters()]
    few = slice(None, None, 10 if quick else 1)
    return Moons(kept["X"][few], kept["y"][few], weights, 5 if quick else STEPS)


def rate(step: int) -> float:
    """The learning rate of the demo."""
    return 1.0 - 0.9 * step / STEPS


# ---- this engine ---------------------------------------------------------------------------------


def compiled(problem: Moons) -> Callable[[], Any]:
    """`fit` with the compiled engine; timed is what its history has from the end of the first step
    to that of the last."""
    model, options = _model(problem)

    def seconds(ends: list[float]) -> float:
        return (ends[-1] - ends[0]) * problem.steps / (problem.steps - 1)

    return ours.training(
        model,
        nn.hinge,
        problem.X,
        problem.y,
        lambda: optimizer(model),
        seconds,
        epochs=problem.steps,
        **options,
    )


def eager(problem: Moons) -> Callable[[], Any]:
    """`fit` with the eager engine, some steps a call."""
    model, options = _model(problem)
    return ours.continued_eagerly(
        model, nn.hinge, repeat((problem.X, problem.y)), optimizer(model), epochs=SLICE, **options
    )


def _model(problem: Moons) -> tuple[Any, dict[str, Any]]:
    model = nn.MLP(2, SIZES[1:])
    for p, x in zip(model.parameters(), problem.weights):
        p.data = x
    return model, {"penalty": lambda: ALPHA * nn.l2(model.parameters())}


def optimizer(model: Any) -> optim.Optimizer:
    return optim.SGD(model.parameters(), lr=optim.linear(1.0, STEPS, final=0.1))


# ---- the others ----------------------------------------------------------------------------------


def with_micrograd(problem: Moons) -> Callable[[], Any]:
    """The demo's own lines; one step a call."""
    from micrograd.engine import Value
    from micrograd.nn import MLP

    model = MLP(2, SIZES[1:])
    for p, x in zip(model.parameters(), problem.weights):
        p.data = x
    losses: list[float] = []

    def run() -> list[float]:
        inputs = [list(map(Value, x)) for x in problem.X]
        scores = list(map(model, inputs))
        terms = [(1 + -y * score).relu() for y, score in zip(problem.y, scores)]
        total = sum(terms) * (1.0 / len(terms)) + ALPHA * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        learning_rate = rate(len(losses))
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        losses.append(total.data)
        return losses

    return run


def with_torch(problem: Moons) -> Callable[[], Any]:
    """torch eager, all parameters in one tensor.

    Penalty and update are one operation each then; six tensors and `optim.SGD`, fused or not, took
    a third more time.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812 (its usual name)

    torch.set_num_threads(1)
    X, y = (
        torch.tensor(problem.X, dtype=torch.float64),
        torch.tensor(problem.y, dtype=torch.float64),
    )
    parts = [torch.tensor(part, dtype=torch.float64) for part in problem.arrays]
    sizes, shapes = [part.numel() for part in parts], [part.shape for part in parts]
    initial = torch.cat([part.flatten() for part in parts])

    def run() -> list[Any]:
        w = initial.clone().requires_grad_()
        losses = []
        for step in range(problem.steps):
            w1, b1, w2, b2, w3, b3 = [
                part.view(shape) for part, shape in zip(w.split(sizes), shapes)
            ]
            hidden = F.relu(F.linear(F.relu(F.linear(X, w1, b1)), w2, b2))
            loss = F.relu(1 - y * F.linear(hidden, w3, b3).squeeze(1)).mean() + ALPHA * w.dot(w)
            slope, = torch.autograd.grad(loss, w)
            with torch.no_grad():
                w.add_(slope, alpha=-rate(step))
            losses.append(loss.detach())
        return losses

    return run


def with_autograd(problem: Moons) -> Callable[[], Any]:
    """autograd on numpy, all parameters in one array; with a list of six it took half as long
    again."""
    import numpy
    from autograd import numpy as np
    from autograd import value_and_grad

    X, y = np.array(problem.X), np.array(problem.y, dtype=float)
    parts = [np.array(part) for part in problem.arrays]
    ends = numpy.cumsum([part.size for part in parts])
    initial = np.concatenate([part.ravel() for part in parts])

    def loss(w: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = [
            np.reshape(w[end - part.size : end], part.shape) for part, end in zip(parts, ends)
        ]
        hidden = np.maximum(np.dot(np.maximum(np.dot(X, w1.T) + b1, 0), w2.T) + b2, 0)
        return np.mean(np.maximum(1 - y * (np.dot(hidden, w3.T) + b3)[:, 0], 0)) + ALPHA * np.dot(
            w, w
        )

    differentiate = value_and_grad(loss)

    def run() -> list[float]:
        w, losses = initial, []
        for step in range(problem.steps):
            value, slope = differentiate(w)
            w = w - rate(step) * slope
            losses.append(value)
        return losses

    return run


def _jax_loss(problem: Moons) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The parameters, and the loss as a function of them."""
    import jax
    from jax import numpy as jnp

    X, y = jnp.array(problem.X), jnp.array(problem.y, dtype=float)

    def loss(parts: list[Any]) -> Any:
        w1, b1, w2, b2, w3, b3 = parts
        hidden = jax.nn.relu(jax.nn.relu(X @ w1.T + b1) @ w2.T + b2)
        return jax.nn.relu(1 - y * (hidden @ w3.T + b3)[:, 0]).mean() + ALPHA * sum(
            (part * part).sum() for part in parts
        )

    return [jnp.array(part) for part in problem.arrays], loss


def with_jax_steps(problem: Moons) -> Callable[[], Any]:
    """jax, the whole step compiled; the loop is Python's, as in `fit`.

    All parameters are in one array; with six it took twice as long.
    """
    import jax
    from jax.flatten_util import ravel_pytree

    parts, loss = _jax_loss(problem)
    initial, unravel = ravel_pytree(parts)

    @jax.jit
    def step(w: Any, learning_rate: float) -> tuple[Any, Any]:
        value, slope = jax.value_and_grad(lambda w: loss(unravel(w)))(w)
        return w - learning_rate * slope, value

    def run() -> Any:
        w, losses = initial, []
        for k in range(problem.steps):
            w, value = step(w, rate(k))
            losses.append(value)
        return jax.block_until_ready(losses)

    return run


def with_jax_scan(problem: Moons) -> Callable[[], Any]:
    """jax, the whole training compiled as one `lax.scan`; nobody sees a step before the last one is
    done."""
    import jax
    from jax import numpy as jnp

    initial, loss = _jax_loss(problem)

    def step(parts: list[Any], learning_rate: Any) -> tuple[list[Any], Any]:
        value, slopes = jax.value_and_grad(loss)(parts)
        return [part - learning_rate * slope for part, slope in zip(parts, slopes)], value

    train = jax.jit(lambda parts, rates: jax.lax.scan(step, parts, rates))
    rates = jnp.array([rate(k) for k in range(problem.steps)])

    def run() -> Any:
        return jax.block_until_ready(train(initial, rates))[1]

    return run


def with_ddx(problem: Moons) -> Callable[[], Any]:
    """ddx-ad, one sample's loss compiled and called on all of them at once, through its buffers;
    the rest is numpy's.

    It uses scalars, because vectors are interpreted. `max` was faster than `select`, a product with
    a column of 1/n was faster than a mean, and no option except `points` made it faster.
    """
    import ddx
    import numpy as np

    def sample() -> Any:
        outputs, parameters = [ddx.param("x0"), ddx.param("x1")], iter(symbols)
        target = ddx.param("target")
        for layer, (nin, nout) in enumerate(pairwise(SIZES)):
            inputs, outputs = outputs, []
            for _ in range(nout):
                *weights, total = [ddx.var(next(parameters)) for _ in range(nin + 1)]
                for w, x in zip(weights, inputs):
                    total = total + w * x
                outputs.append(ddx.max(total, 0.0) if layer < len(SIZES) - 2 else total)
        return ddx.max(1 - target * outputs[0], 0.0)

    symbols = [f"w{i}" for i in range(len(problem.weights))]
    count, initial = len(problem.y), np.array(problem.weights)
    equation = ddx.equation(sample)
    equation.compile(points=count)
    columns = [
        np.repeat(initial[:, None], count, axis=1),
        np.array(problem.X).T,
        np.array([problem.y]),
    ]
    call = equation.buffer(np.concatenate(columns))
    share = np.full(count, 1 / count)

    def run() -> list[float]:
        w, losses = initial.copy(), []
        for step in range(problem.steps):
            np.copyto(call.x[:len(w)], w[:, None])
            call()
            losses.append(call.value @ share + ALPHA * w.dot(w))
            w -= rate(step) * (call.jacobian @ share + 2 * ALPHA * w)
        return losses

    return run


PROGRAM = Program(
    module=__name__, title="moons: 100 full-batch steps of MLP(2, [16, 16, 1]), hinge and l2",
    problem=moons, work="100 steps",
    first_limit=0.5,
    note="* a part of the work, extrapolated: micrograd one step a round, the eager engine 13.\n"
         "`fit` traces the model again at every call; the 100 steps exclude this, as those of the "
         "others exclude compiling.",
    contestants=(
        Contestant(OURS, compiled, calls=1, tolerance=1e-9),
        Contestant(EAGER, eager, share=lambda problem: SLICE / problem.steps, calls=1),
        Contestant(
            "micrograd",
            with_micrograd,
            "micrograd",
            share=lambda problem: 1 / problem.steps,
            calls=1,
        ),
        Contestant("torch eager", with_torch, "torch", target=0.05),
        Contestant("autograd", with_autograd, "autograd"),
        Contestant("jax.jit, a step a call", with_jax_steps, "jax", target=0.35),
        Contestant("jax.jit, lax.scan", with_jax_scan, "jax"),
        Contestant("ddx-ad, compiled", with_ddx, "ddx", target=0.5),
    ))
