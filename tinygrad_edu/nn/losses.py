"""Losses of one sample, penalties on parameters, and accuracy.

    loss = cross_entropy(model(x), target) + 1e-4 * l2(model.parameters())

A loss is a function ``loss(prediction, target)`` that returns a Value; `fit` averages it over a
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import math
from ..engine.interpreter import interpreted
from ..engine.value import Value
from ..errors import counted, plain


def mse(prediction: Any, target: Any) -> Any:
    """Returns the squared error (p - t)**2, or for two lists its mean over the entries.

    Raises:
        ValueError: the lists differ in length or are empty.
    """
    if not isinstance(prediction, (list, tuple)):
        return _squared(prediction, target)
    if not isinstance(target, (list, tuple)) or len(target) != len(prediction):
        raise ValueError(
            f"mse: the target must be a list of {counted(len(prediction), 'number')}, "
            f"as the prediction is, not {target!r}"
        )
    if not prediction:
        raise ValueError(
            "mse: the prediction must have at least one number, not []; "
            "give one output for each target"
        )
    return math.total(map(_squared, prediction, target)) * (1 / len(prediction))


def hinge(score: Any, target: float) -> Any:
    """Returns relu(1 - target * score), the loss of a support vector machine.

    Raises:
        ValueError: ``target`` is not -1 or 1.
    """
    _require(
        target,
        lambda t: t in (-1, 1),
        "hinge: the target must be -1 or 1",
        "; for targets 0 and 1 use binary_cross_entropy",
    )
    return math.relu(1 - plain(target) * plain(score))


def binary_cross_entropy(logit: Any, target: float) -> Any:
    """Returns -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) for the logit x and the target t.

    It is computed as t softplus(-x) + (1 - t) softplus(x), which neither overflows nor cancels.

    Raises:
        ValueError: ``target`` is not a probability, a number from 0 to 1.
    """
    _require(
        target,
        lambda t: 0 <= t <= 1,
        "binary_cross_entropy: the target must be a probability, 0 to 1",
    )
    logit = plain(logit)
    t = target.detach() if isinstance(target, Value) else plain(target)

    def zero() -> Any:
        return math.softplus(logit)

    def one() -> Any:
        return math.softplus(-logit)

    def between() -> Any:
        return t * one() + (1 - t) * zero()

    return math.cond(t >= 1, one, lambda: math.cond(t <= 0, zero, between))


def cross_entropy(logits: Any, target: int) -> Any:
    """Returns -log(softmax(logits)[target]), where ``target`` is the index of the right class.

    Raises:
        ValueError: there are fewer than two logits, or ``target`` is not one of their indices.
    """
    if not isinstance(logits, (list, tuple)) or len(logits) < 2:
        raise ValueError(
            "cross_entropy: logits must be a list of at least two logits; "
            "for one logit use binary_cross_entropy"
        )
    _require(
        target,
        lambda t: t.is_integer() and 0 <= t < len(logits),
        f"cross_entropy: the target must be the index of a class, 0 to {len(logits) - 1}",
    )
    return math.surprisal(logits, target)


@interpreted
def _require(x: Any, holds: Callable[[float], bool], message: str, remedy: str = "") -> None:
    if not holds(float(x)):
        raise ValueError(f"{message}, not {x!r}{remedy}")


def l1(parameters: Iterable[Value]) -> Any:
    """Returns the sum of absolute values, a penalty that drives parameters to exactly 0 (lasso)."""
    return math.total(abs(plain(p)) for p in parameters)


def l2(parameters: Iterable[Value]) -> Any:
    """Returns the sum of squares, a penalty with gradient 2 w for each parameter w (ridge)."""
    parameters = list(parameters)
    return math.sumprod(parameters, parameters)


def accuracy(prediction: Any, target: float) -> float:
    """Returns 1.0 if the prediction of one sample is right, else 0.0: a metric for `fit`.

    A list of logits is right if the largest one has the index ``target``.  A single score or logit
    is right if it is positive exactly if the target is (targets -1 and 1, or 0 and 1).
    """
    if isinstance(prediction, (list, tuple)):
        scores = list(map(float, prediction))
        return float(scores.index(max(scores)) == float(target))
    return float((float(prediction) > 0) == (target > 0))


def _squared(p: Any, t: Any) -> Any:
    """Returns (p - t)**2, which is inf where Python's power of floats raises OverflowError."""
    difference = plain(p) - plain(t)
    return math.pow(difference, 2) if isinstance(difference, float) else difference**2
