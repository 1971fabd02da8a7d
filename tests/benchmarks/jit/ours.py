"""This engine's side of the comparisons, compiled and eager: all that they use of it is called here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from tinygrad_edu import Value, fit, jit, optim

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
    """Values and gradients of ``f`` at every sample, as columns, compiled for a batch; ``columns``: an array for an argument."""
    compiled = jit(f)
    return lambda: compiled.batch_value_and_grad(*columns)


def gradients_eagerly(f: Callable[..., Any], columns: Sequence[Sequence[float]], samples: int) -> Callable[[], Any]:
    """Values and gradients of ``f``: each call does so many samples more, and returns the columns of all that are done."""
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


def training(model: Any, loss: Callable[[Any, Any], Any], X: Sequence[Any], y: Sequence[Any], epochs: int,
             optimizer: Callable[[], optim.Optimizer], **options: Any) -> Callable[[], list[float]]:
    """`fit`, from the parameters that the model has now on, each time; returns the losses."""
    initial = [p.data for p in model.parameters()]

    def run() -> list[float]:
        for p, x in zip(model.parameters(), initial):
            p.data = x
        return fit(model, loss, X, y, epochs=epochs, optimizer=optimizer(), **options).loss

    return run


def continued(model: Any, loss: Callable[[Any, Any], Any], parts: Iterator[tuple[Sequence[Any], Sequence[Any]]], epochs: int,
              optimizer: optim.Optimizer, **options: Any) -> Callable[[], list[float]]:
    """`fit`, each call on the next part ``(X, y)`` of the data, with the same optimizer; returns the losses of all calls."""
    losses: list[list[float]] = []

    def run() -> list[float]:
        X, y = next(parts)
        losses.append(fit(model, loss, X, y, epochs=epochs, optimizer=optimizer, **options).loss)
        return [*chain(*losses)]

    return run
