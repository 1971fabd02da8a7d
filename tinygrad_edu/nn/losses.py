"""Losses of one sample, penalties on parameters, and accuracy.

    loss = cross_entropy(model(x), target) + 1e-4 * l2(model.parameters())

A loss is a function ``loss(prediction, target)`` that returns a Value; `fit` averages it over a
batch.  Predictions and targets are numbers, or lists or arrays of them; a list of one number counts
as this number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import math
from ..data.checks import numbers
from ..engine.interpreter import interpreted
from ..engine.value import Value
from ..errors import (
    check_list,
    counted,
    is_number,
    number,
    plain,
    short_repr,
    wrong_entry,
)


def mse(prediction: Any, target: Any) -> Any:
    """Returns the squared error (p - t)**2, or for two lists its mean over the entries.

    Raises:
        TypeError: the prediction is not made of numbers.
        ValueError: the lists differ in length or are empty, or the target is not made of numbers.
    """
    p = numbers(prediction, "mse: the prediction")
    t = numbers(target, "mse: the target", ValueError)
    counts = [len(x) if isinstance(x, list) else 1 for x in (p, t)]
    if not counts[0]:
        raise ValueError(
            f"mse: the prediction must have at least one number, not {short_repr(prediction)}; "
            "give one output for each target"
        )
    if counts[0] != counts[1]:
        is_list = hasattr(prediction, "__len__")
        wanted = f"a list of {counted(counts[0], 'number')}" if is_list else "one number"
        raise ValueError(
            f"mse: the target must be {wanted}, as the prediction {short_repr(prediction)} is, "
            f"not {short_repr(target)}"
        )
    if not isinstance(p, list):
        return _squared(p, t)
    return math.total(map(_squared, p, t)) * (1 / len(p))


def hinge(score: Any, target: float) -> Any:
    """Returns relu(1 - target * score), the loss of a support vector machine.

    Raises:
        TypeError: ``score`` is not a number.
        ValueError: ``target`` is not -1 or 1.
    """
    score = _one(score, "hinge: the score")
    t = _label(
        target,
        lambda t: t in (-1, 1),
        "hinge",
        "-1 or 1",
        "; for targets 0 and 1 use binary_cross_entropy",
    )
    return math.relu(1 - t * score)


def binary_cross_entropy(logit: Any, target: float) -> Any:
    """Returns -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) for the logit x and the target t.

    It is computed as t softplus(-x) + (1 - t) softplus(x), which neither overflows nor cancels.

    Raises:
        TypeError: ``logit`` is not a number.
        ValueError: ``target`` is not a probability, a number from 0 to 1.
    """
    logit = _one(logit, "binary_cross_entropy: the logit")
    t = _label(
        target,
        lambda t: 0 <= t <= 1,
        "binary_cross_entropy",
        "a probability, 0 to 1",
    )
    if isinstance(t, Value):
        t = t.detach()

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
        TypeError: the logits are not numbers.
        ValueError: there are fewer than two logits, or ``target`` is not one of their indices.
    """
    xs = numbers(logits, "cross_entropy: logits")
    if not isinstance(xs, list) or not xs:
        raise ValueError(
            f"cross_entropy: logits must be a list of at least two, not {short_repr(logits)}; "
            "for one logit use binary_cross_entropy"
        )
    return math.surprisal(xs, _class(target, len(xs), "cross_entropy"))


def _one(x: Any, what: str) -> Any:
    """Returns a prediction of one number.  Raises TypeError if it is something else."""
    found = numbers(x, what)
    if isinstance(found, list):
        raise TypeError(
            f"{what} must be one number, not a list of {len(found)}; let the model return one "
            "number, or use cross_entropy or mse"
        )
    return found


def _label(
    target: Any, holds: Callable[[float], bool], user: str, wanted: str, remedy: str = ""
) -> Any:
    """Returns a target of one number.  Raises ValueError if it is something else."""
    t = numbers(target, f"{user}: the target", ValueError)
    message = f"{user}: the target must be {wanted}"
    if isinstance(t, list):
        raise ValueError(f"{message}, not {short_repr(target)}{remedy}")
    _require(t, holds, message, remedy)
    return t


def _class(target: Any, classes: int, user: str) -> Any:
    """Returns the index of a class.  Raises ValueError if the target is something else."""
    return _label(
        target,
        lambda t: t.is_integer() and 0 <= t < classes,
        user,
        f"the index of a class, 0 to {classes - 1}",
        "; of a list with 1 for the right class pass its position",
    )


@interpreted
def _require(x: Any, holds: Callable[[float], bool], message: str, remedy: str) -> None:
    if not holds(float(x)):
        raise ValueError(f"{message}, not {x!r}{remedy}")


def l1(parameters: Iterable[Value]) -> Any:
    """Returns the sum of absolute values, a penalty that drives parameters to exactly 0 (lasso)."""
    return math.total(map(abs, _checked(parameters, "l1")))


def l2(parameters: Iterable[Value]) -> Any:
    """Returns the sum of squares, a penalty with gradient 2 w for each parameter w (ridge)."""
    parameters = _checked(parameters, "l2")
    return math.sumprod(parameters, parameters)


def _checked(parameters: Iterable[Value], user: str) -> list[Any]:
    """Returns a list of parameters, each a Value or a float."""
    name = f"{user}: parameters"
    wanted = "a list of Values"
    remedy = "pass model.parameters()"
    found = check_list(parameters, name, wanted, remedy)
    for i, p in enumerate(found):
        if not isinstance(p, Value) and not is_number(p):
            raise wrong_entry(name, wanted, parameters, i, p, remedy)
    return [p if isinstance(p, Value) else number(p, name) for p in found]


def accuracy(prediction: Any, target: float) -> float:
    """Returns 1.0 if the prediction of one sample is right, else 0.0: a metric for `fit`.

    A list of logits is right if the largest one has the index ``target``.  A single score or logit
    is right if it is positive exactly if the target is (targets -1 and 1, or 0 and 1).

    Raises:
        TypeError: the prediction is not made of numbers.
        ValueError: the prediction is empty, or the target is not the index of a logit; for a
            single score, if it is not -1, 0 or 1.
    """
    scores = numbers(prediction, "accuracy: the prediction")
    if not isinstance(scores, list):
        remedy = "; round probabilities, and let the model return one logit for each class"
        t = _label(target, lambda t: t in (-1, 0, 1), "accuracy", "-1, 0 or 1", remedy)
        return float((float(scores) > 0) == (t > 0))
    if not scores:
        raise ValueError(
            f"accuracy: the prediction must have at least one number, not "
            f"{short_repr(prediction)}; let the model return one logit for each class"
        )
    t = _class(target, len(scores), "accuracy")
    scores = list(map(float, scores))
    return float(scores.index(max(scores)) == float(t))


def _squared(p: Any, t: Any) -> Any:
    """Returns (p - t)**2, which is inf where Python's power of floats raises OverflowError."""
    difference = plain(p) - plain(t)
    return math.pow(difference, 2) if isinstance(difference, float) else difference**2
