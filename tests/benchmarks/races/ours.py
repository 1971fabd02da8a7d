"""This engine's side of the comparisons, compiled and eager. All calls of this engine are here."""

from __future__ import annotations

import warnings
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

from tests.benchmarks.races.race import Timed
from tinygrad_edu import Value, fit, jit, optim
from tinygrad_edu.errors import TrainingWarning

Function = Callable[[list[Any]], Any]  # of a list of numbers or Values


def gradient(f: Function, point: Sequence[float]) -> Callable[[], Any]:
    """Value and gradient of ``f`` at a point, compiled."""
    compiled, xs = jit(f), list(point)
    return lambda: compiled.value_and_grad(xs)


def gradient_eagerly(f: Function, point: Sequence[float]) -> Callable[[], Any]:
    """Value and gradient of ``f`` at a point."""
    def run() -> Any:
        xs = [Value(x) for x in point]
        y = f(xs)
        y.backward()
        return y.data, [x.grad for x in xs]

    return run


def gradients(f: Callable[..., Any], columns: Sequence[Any]) -> Callable[[], Any]:
    """Values and gradients of ``f`` at every sample, as columns, compiled for a batch; of each
    argument an array."""
    compiled = jit(f)
    return lambda: compiled.batch_value_and_grad(*columns)


def gradients_eagerly(
    f: Callable[..., Any], columns: Sequence[Sequence[float]], samples: int
) -> Callable[[], Any]:
    """Values and gradients of ``f``: each call does so many samples more, and returns the columns
    of all that are done."""
    rows = iter(zip(*columns))
    done: list[tuple[float, ...]] = []

    def run() -> Any:
        for row in islice(rows, samples):
            xs = [Value(x) for x in row]
            y = f(*xs)
            y.backward()
            done.append((y.data, *[x.grad for x in xs]))
        values, *slopes = zip(*done)
        return values, slopes

    return run


def training(
    model: Any,
    loss: Callable[[Any, Any], Any],
    X: Sequence[Any],
    y: Sequence[Any],
    optimizer: Callable[[], optim.Optimizer],
    seconds: Callable[[list[float]], float],
    **options: Any,
) -> Callable[[], Timed]:
    """Trains with compiled `fit`, each time from the model's present parameters.

    ``seconds`` computes the time of the work from the ends of all steps. Each `fit` traces the
    model again, because it may have changed; that cost is part of the first call.
    """
    initial = [p.data for p in model.parameters()]

    def run() -> Timed:
        for p, x in zip(model.parameters(), initial):
            p.data = x
        # the processor's time, and the clock's; the first time by `fit` as it starts
        read: list[tuple[float, float]] = []

        def clock() -> float:
            read.append((process_time(), perf_counter()))
            return read[-1][0]

        with patch("time.perf_counter", clock):  # with which `fit` takes the time
            history = fit(model, loss, X, y, optimizer=optimizer(), engine="jit", **options)
        ends = [read[0][0] + end for end in history.seconds]
        return Timed(
            history.loss, (seconds(ends), seconds([_by_the_clock(end, read) for end in ends]))
        )

    return run


def _by_the_clock(time: float, read: Sequence[tuple[float, float]]) -> float:
    """The clock's time at a time of the processor, on a line between the moments before and after
    at which both were read."""
    i = min(max(bisect(read, (time,)), 1), len(read) - 1)
    (before, earlier), (after, later) = read[i - 1], read[i]
    return (
        earlier + (later - earlier) * (time - before) / (after - before)
        if after > before
        else later
    )


def continued_eagerly(
    model: Any,
    loss: Callable[[Any, Any], Any],
    parts: Iterator[tuple[Sequence[Any], Sequence[Any]]],
    optimizer: optim.Optimizer,
    **options: Any,
) -> Callable[[], list[float]]:
    """`fit`, eager, each call on the next part ``(X, y)`` of the data with the same optimizer;
    returns all losses so far."""
    losses: list[list[float]] = []

    def run() -> list[float]:
        X, y = next(parts)
        with warnings.catch_warnings():  # a part is too short to judge the training
            warnings.simplefilter("ignore", TrainingWarning)
            history = fit(model, loss, X, y, optimizer=optimizer, engine="eager", **options)
        losses.append(history.loss)
        return [*chain(*losses)]

    return run
