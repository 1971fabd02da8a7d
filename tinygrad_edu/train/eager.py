"""The eager engine of `fit`: each step runs the model, calls `backward` and steps the optimiser.

    loss = sum(nn.hinge(model(x), y) for x, y in batch) * (1 / len(batch)) + penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..data.checks import plain_sample
from ..debug.anomaly import keeping_lines
from ..debug.explain import explain_nonfinite
from ..engine.graph import topological_order
from ..engine.value import Value
from ..errors import NonFiniteError
from ..optim import clip_grad_norm
from .task import Runner, Task


class EagerEngine(Runner):
    """The steps of `fit`, computed with Values."""

    name = "eager"

    def __init__(self, task: Task) -> None:
        self.task = task
        self.nodes = 0  # in the graph of the first step

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Sets the gradients, and returns the loss of some samples and their predictions."""
        history = self.task.history
        try:
            return self._differentiate(indices)
        except NonFiniteError as error:  # raised below, or by `detect_anomaly`
            remedy = "  A smaller learning rate, gradient clipping or scaled inputs usually help."
            error.args = (
                f"step {len(history)}, epoch {history.epochs}: {error}\n"
                f"No parameter was changed by this step.{remedy if history.loss else ''}",
            )
            error.history = history
            raise

    def _differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        optimizer = self.task.optimizer
        total, predictions = self._forward(indices)
        if not math.isfinite(total.data):
            raise self._nonfinite(f"the loss is {total.data}", total, indices)
        if not self.task.history.loss:
            order = topological_order(total, constants=False)
            self.nodes = len(order)
            if set(optimizer.params).isdisjoint(order):
                raise ValueError(
                    "fit: the loss depends on none of the optimiser's parameters; make the "
                    "optimiser with the parameters of this model"
                )
        optimizer.zero_grad()
        total.backward()
        for i, parameter in enumerate(optimizer.params):
            if not math.isfinite(parameter.grad):
                name = str(parameter.label) or f"number {i} of the optimiser's list"
                what = f"the gradient of parameter {name} is {parameter.grad}"
                raise self._nonfinite(what, total, indices)
        return total.data, predictions

    def _forward(self, indices: Sequence[int]) -> tuple[Value, list[Any]]:
        """Returns the mean loss of some samples, with the penalty, and their predictions."""
        task = self.task
        predictions = [task.model(plain_sample(task.X[i])) for i in indices]
        losses = sum(task.loss(p, plain_sample(task.y[i])) for p, i in zip(predictions, indices))
        total = losses * (1.0 / len(indices))
        if not isinstance(total, Value):
            raise TypeError(
                f"fit: the loss must be a Value, not {total!r}, which depends on no Value; use the "
                "prediction in the loss function"
            )
        return (total if task.penalty is None else total + task.penalty()), predictions

    def _nonfinite(self, what: str, total: Value, indices: Sequence[int]) -> NonFiniteError:
        """Returns the error for a loss or a gradient that is inf or nan.

        Recording source lines is slow, so it is off during training; the batch is computed again to
        find the line.
        """
        explanation = explain_nonfinite(total)
        try:
            with keeping_lines():
                again = explain_nonfinite(self._forward(indices)[0])
        except Exception:  # the model cannot be run twice: the error has no line
            again = None
        if explanation and again and again.operation == explanation.operation:
            explanation = replace(explanation, line=again.line)
        error = NonFiniteError(f"{what}\n{explanation}" if explanation else what)
        error.explanation = explanation
        error.line = explanation.line if explanation else None
        return error

    def clip(self, max_norm: float) -> None:
        """Clips the norm of the gradient."""
        clip_grad_norm(self.task.optimizer.params, max_norm)

    def step(self) -> None:
        """Makes a step of the optimiser."""
        self.task.optimizer.step()
