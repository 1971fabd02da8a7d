"""The eager engine of `fit`: each step runs the model, calls `backward` and steps the optimiser.

    loss = sum(nn.hinge(model(x), y) for x, y in batch) / len(batch) + penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

The graph of a sample is swept backwards, and freed, before the next sample is computed.
`summation` has the order in which losses and gradients of samples are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from operator import add
from typing import Any

from ..data.checks import returned_loss
from ..data.summation import BlockSum
from ..debug.anomaly import keeping_lines
from ..debug.explain import explain_nonfinite
from ..engine.autodiff import training
from ..engine.graph import assign_grads, backpropagate
from ..engine.value import Value
from ..errors import NonFiniteError, number, short_repr
from ..optim import clip_grad_norm
from ..optim.parameters import read_numbers
from .task import Runner, Task


class EagerEngine(Runner):
    """The steps of `fit`, computed with Values.

    read: returns a sample and its target; by default they are read from the task.
    """

    name = "eager"

    def __init__(
        self, task: Task, read: Callable[[int], tuple[Any, Any]] | None = None
    ) -> None:
        self.task = task
        self._read = read or task.sample
        self._reaches = False  # whether a loss depends on a parameter
        self._number: Any = None  # a loss that is a plain number
        # the leaves of the last graph, what was trained, and the positions of the other leaves
        self._leaves: list[Value] = []
        self._trained: Sequence[Value] = ()
        self._others: list[int] = []

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Sets the gradients, and returns the loss of some samples and their predictions."""
        history = self.task.history
        try:
            return self._differentiate(indices)
        except NonFiniteError as error:  # raised below, or by `detect_anomaly`
            remedy = (
                "  A smaller learning rate, gradient clipping or scaled inputs usually help; "
                "diagnose(error.history) says more."
            )
            error.args = (
                f"step {len(history)}, epoch {history.epochs}: {error}\n"
                f"No parameter was changed by this step.{remedy if history.loss else ''}",
            )
            error.history = history
            raise

    def _differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        optimizer = self.task.optimizer
        params = tuple(optimizer.params)
        sums = BlockSum(1 + len(params))
        predictions: list[Any] = []
        for i in indices:
            numbers, prediction = self.sample(i)
            sums.add(numbers)
            if self.task.metrics:
                predictions.append(prediction)
        means = [total / len(indices) for total in sums.result()]
        value, *gradient = map(add, means, self.penalty())
        if not self._reaches:
            if self._number is not None:
                raise TypeError(
                    f"fit: the loss must be a Value, not {self._number!r}, which depends on no "
                    "Value; use the prediction in the loss function"
                )
            raise ValueError(
                "fit: the loss depends on none of the optimiser's parameters; make the optimiser "
                "with the parameters of this model"
            )
        self._check_finite(value, gradient)
        optimizer.zero_grad()
        assign_grads(params, [*map(add, read_numbers(params, "grad"), gradient)])
        return value, predictions

    def sample(self, i: int) -> tuple[list[float], Any]:
        """Returns the loss of a sample with the gradient of the parameters, and its prediction."""
        task = self.task
        x, target = self._read(i)
        prediction: Any = None

        def loss() -> Any:
            nonlocal prediction
            prediction = task.model(x)
            return task.loss(prediction, target)

        try:
            return self._swept(loss, "loss", f" in sample {i}"), prediction
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            where = f"fit: sample {i}, X[{i}] = {short_repr(x)} and y[{i}] = {short_repr(target)}"
            error.add_note(where)
            raise

    def penalty(self) -> list[float]:
        """Returns the penalty with the gradient of the parameters, or zeros without a penalty."""
        if self.task.penalty is None:
            return [0.0] * (1 + len(self.task.optimizer.params))
        return self._swept(self.task.penalty, "penalty")

    def _swept(self, compute: Callable[[], Any], what: str, where: str = "") -> list[float]:
        """Returns a number and its gradient.  ``.grad`` of parameters is as before.

        what, where: begin and end the message of an error.
        """
        with training():
            root = returned_loss(compute(), f"fit: what the {what} returns")
        params = tuple(self.task.optimizer.params)  # a list may be changed in place
        if not isinstance(root, Value):
            self._number = root
            return [number(root), *repeat(0.0, len(params))]
        if not math.isfinite(root.data):
            raise self._nonfinite(f"the {what} is {root.data}{where}", root, compute)
        before = [parameter.grad for parameter in params]
        try:
            assign_grads(params, repeat(0.0))
            leaves, grads = backpropagate([root], [1.0])
            gradient = [parameter.grad for parameter in params]
            if leaves != self._leaves or params != self._trained:
                trained = set(params)
                self._leaves = leaves
                self._trained = params
                self._others = [k for k, leaf in enumerate(leaves) if leaf not in trained]
                self._reaches = self._reaches or len(self._others) < len(leaves)
            for k in self._others:
                leaves[k].grad = grads[k]
        finally:
            assign_grads(params, before)
        self._check_finite(root.data, gradient, root, compute, where)
        return [root.data, *gradient]

    def _check_finite(
        self,
        value: float,
        gradient: Sequence[float],
        root: Value | None = None,
        compute: Callable[[], Any] | None = None,
        where: str = "",
    ) -> None:
        """Raises NonFiniteError if a loss or its gradient is inf or nan."""
        if math.isfinite(value) and math.isfinite(sum(gradient)):
            return
        if not math.isfinite(value):
            raise self._nonfinite(f"the loss is {value}", root, compute)
        for i, (parameter, slope) in enumerate(zip(self.task.optimizer.params, gradient)):
            if not math.isfinite(slope):
                name = str(parameter.label) or f"number {i} of the optimiser's list"
                what = f"the gradient of parameter {name} is {slope}{where}"
                raise self._nonfinite(what, root, compute)

    @staticmethod
    def _nonfinite(
        what: str, root: Value | None, compute: Callable[[], Any] | None
    ) -> NonFiniteError:
        """Returns the error for a loss or a gradient that is inf or nan.

        root, compute: the graph in which it arose, and a function that makes it; both None if it
            arose in a sum over samples.  Recording source lines is slow, so it is off during
            training; the graph is made again to find the line.
        """
        explanation = None if root is None else explain_nonfinite(root)
        try:
            with keeping_lines():
                again = compute and explain_nonfinite(compute())
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
