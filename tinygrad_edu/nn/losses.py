"""Losses of one sample, penalties on parameters, and accuracy.

A loss is ``loss(prediction, target)``: a Value for what the model returned and what it should have.
`fit` averages it over a batch.  All are ordinary functions: their digits survive composition, so
they need no row of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import math
from ..engine.value import Value


def mse(prediction: Any, target: Any) -> Any:
    """The squared error (p - t)**2; of two lists, its mean over the entries.  ValueError if their
    lengths differ."""
    if not isinstance(prediction, (list, tuple)):
        return _squared(prediction - target)
    if not isinstance(target, (list, tuple)) or len(target) != len(prediction):
        raise ValueError(
            f"mse: {len(prediction)} predictions, but the target is {target!r}; "
            "give a list of as many numbers"
        )
    if not prediction:
        raise ValueError(
            "mse: the prediction must have at least one number, not []; "
            "give one output for each target"
        )
    return math.total(_squared(p - t) for p, t in zip(prediction, target)) * (1 / len(prediction))


def hinge(score: Any, target: float) -> Any:
    """relu(1 - target * score), the loss of a support vector machine; ``target`` is -1 or 1."""
    if not math.is_traced(target) and float(target) not in (-1.0, 1.0):
        raise ValueError(f"hinge: the target is {target!r}; it must be -1 or 1")
    return math.relu(1 - target * score)


def binary_cross_entropy(logit: Any, target: float) -> Any:
    """-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), from the logit x; ``target`` t is a
    probability, mostly 0 or 1.

    Computed as t softplus(-x) + (1 - t) softplus(x), which neither overflows nor cancels.
    """
    if math.is_traced(target):
        mixed = target * math.softplus(-logit) + (1 - target) * math.softplus(logit)
        below_one = math.where(target <= 0, math.softplus(logit), mixed)
        return math.where(target >= 1, math.softplus(-logit), below_one)
    t = float(target)
    if not 0 <= t <= 1:
        raise ValueError(
            f"binary_cross_entropy: the target is {target!r}; it must be a probability, 0 to 1"
        )
    if t in (0.0, 1.0):
        return math.softplus(-logit if t else logit)
    return t * math.softplus(-logit) + (1 - t) * math.softplus(logit)


def cross_entropy(logits: Sequence[Any], target: int) -> Any:
    """-log(softmax(logits)[target]), from a list of logits; ``target`` is the index of the right
    class.

    Raises ValueError unless there are at least two logits and ``target`` is one of their indices.
    """
    if not isinstance(logits, (list, tuple)) or len(logits) < 2:
        raise ValueError(
            "cross_entropy takes a list of at least two logits; for one, use binary_cross_entropy"
        )
    if math.is_traced(target):
        return math.take([math.surprisal(logits, i) for i in range(len(logits))], target)
    if not (float(target).is_integer() and 0 <= target < len(logits)):
        raise ValueError(
            f"cross_entropy: the target is {target!r}; "
            f"it must be the index of a class, 0 to {len(logits) - 1}"
        )
    return math.surprisal(logits, int(target))


def l1(parameters: Iterable[Value]) -> Any:
    """The sum of absolute values: a penalty that drives parameters to exactly 0 (lasso)."""
    return math.total(abs(p) for p in parameters)


def l2(parameters: Iterable[Value]) -> Any:
    """The sum of squares: weight decay; its gradient by each parameter w is 2 w (ridge)."""
    return math.total(p * p for p in parameters)


def accuracy(prediction: Any, target: float) -> float:
    """1.0 if the prediction of one sample is right, else 0.0: a metric for `fit`.

    A list of logits is right if the largest is at index ``target``; one score or logit is right if
    it is positive exactly when the target is (so -1 and 1 serve, and 0 and 1).
    """
    if isinstance(prediction, (list, tuple)):
        scores = list(map(float, prediction))
        return float(scores.index(max(scores)) == target)
    return float((float(prediction) > 0) == (target > 0))


def _squared(x: Any) -> Any:
    """Returns x**2, which is inf where Python's power of floats raises OverflowError."""
    return math.pow(x, 2) if isinstance(x, float) else x**2
