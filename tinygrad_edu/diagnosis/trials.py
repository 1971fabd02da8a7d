"""Trials of learning rates on a few samples, and the measurements of loss and gradient they need.

All data and gradients are restored afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from math import hypot, inf, sqrt
from typing import Any

from ..data.checks import returned_loss, sample
from ..engine.graph import topological_order
from ..engine.interpreter import no_grad
from ..engine.value import Value
from ..errors import NonFiniteError, plain
from ..nn.module import mode
from ..optim.optimizer import Optimizer, State
from ..optim.parameters import temporarily
from .inspection import recording_model

MAX_TRIAL_SAMPLES = 32
MIN_TRIAL_SAMPLES = 8
# Samples times parameters, which limits the time of a trial: large models get fewer samples.
MAX_TRIAL_WORK = 50_000
# Steps of a trial.  These are enough for a learning rate of twice the stable limit to diverge,
# because each step then multiplies the loss by (1 - 4)**2 = 9.
TRIAL_STEPS = 10
RATE_FACTOR = sqrt(10)  # ratio of each learning rate to the next smaller one
MAX_RATES = 30  # learning rates that are tried
FALLBACK_RATE = 0.01  # the first learning rate of the trials if the one in use is 0
DIVERGENCE_RATIO = 2.0  # a trial has diverged if its loss is this many times its first loss
# A model is better than a constant prediction if the inputs explain this fraction of the loss.
BASELINE_MARGIN = 0.1
# A stable learning rate is this many times smaller than the smallest one that diverges, which is
# about one `RATE_FACTOR`.
STABILITY_FACTOR = 3.0


def choose_samples(count: int, most: int, targets: Sequence[Any] | None = None) -> list[int]:
    """Returns the positions of at most ``most`` of ``count`` samples, in order.

    They are chosen at random with a fixed random seed.

    The choice is random because samples at equal distances could all belong to one class.  With
    ``targets``, every class keeps its share of the samples, and so does every range of numbers.
    """
    if count <= most:
        return list(range(count))
    places = random.Random(0).sample(range(count), count)
    if targets is not None:
        numbers = all(isinstance(plain(target), (int, float)) for target in targets)
        places.sort(key=lambda i: targets[i] if numbers else repr(targets[i]))
    return sorted(places[(2 * k + 1) * count // (2 * most)] for k in range(most))


@dataclass(frozen=True)
class Problem:
    """A model with its parameters by name, and a loss to be averaged over samples and targets."""

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    parameters: Mapping[str, Value]
    X: Sequence[Any]
    y: Sequence[Any]

    def reduced(self, most: int) -> Problem:
        """Returns the same problem with at most ``most`` samples."""
        places = choose_samples(len(self.X), most, self.y)
        X = [sample(self.X[i]) for i in places]
        return replace(self, X=X, y=[sample(self.y[i]) for i in places])

    def loss_and_gradient(self) -> tuple[float, list[float]]:
        """Returns the mean loss, and its derivative with respect to each parameter.

        The model is in evaluation mode, and ``.grad`` is not changed.

        If a loss is a plain number, as ``max(0, 1 - t * p)`` may be, its derivatives are 0.
        """
        with recording_model(self.model):
            total = sum(self.losses()) * (1.0 / len(self.X))
        leaves = self._derivatives(total) if isinstance(total, Value) else {}
        return float(total), [leaves.get(p, 0.0) for p in self.parameters.values()]

    def loss_and_rms_gradients(self) -> tuple[float, dict[str, float], tuple[str, ...]]:
        """Returns the mean loss, the size of each parameter's gradient, and the unused parameters.

        The size is the root mean square of the derivatives of the samples' losses.  Unused
        parameters, given by name, occur in no graph of a loss.  The model is in evaluation mode,
        and ``.grad`` is not changed.

        In the derivative of the mean loss, samples of two classes may cancel each other.  In a root
        mean square they cannot.

        Raises:
            TypeError: no loss is a Value.
        """
        total = 0.0
        sizes = dict.fromkeys(self.parameters, 0.0)
        unused = dict(self.parameters)
        has_graph = False
        share = 1.0 / len(self.X)
        with recording_model(self.model):
            for loss in self.losses():
                leaves = {}
                if isinstance(loss, Value):
                    leaves = self._derivatives(loss)
                    has_graph = True
                for name, parameter in self.parameters.items():
                    if parameter in leaves:
                        sizes[name] = hypot(sizes[name], leaves[parameter])
                        unused.pop(name, None)
                total += float(loss)
        if not has_graph:
            raise TypeError(
                "diagnose: loss must return a Value for at least one sample, not only plain "
                f"numbers (mean {total * share!r}); compute it from the prediction"
            )
        rms = {name: size * sqrt(share) for name, size in sizes.items()}
        return total * share, rms, tuple(unused)

    def _derivatives(self, root: Value) -> dict[Value, float]:
        """Returns the derivative of ``root`` with respect to each leaf of its graph."""
        leaves = [node for node in topological_order(root, constants=False) if not node.op]
        with temporarily(leaves, "grad", repeat(0.0), None):
            root.backward()
            return {leaf: leaf.grad for leaf in leaves}

    def losses(self) -> Iterator[Any]:
        """Yields the loss of each sample, computed when it is requested.

        Iterate over it inside `recording_model`.
        """
        return (
            returned_loss(self.loss(self.model(x), t), "diagnose: what the loss returns")
            for x, t in zip(self.X, self.y)
        )

    def beats_constant(self, loss: float) -> bool:
        """Returns whether a mean loss is clearly lower than the loss of a constant prediction.

        Returns True if this is not known.  If all targets are equal, for example, a constant may be
        all there is to learn.
        """
        constant = self.constant_loss() if len(set(map(repr, self.y))) > 1 else None
        return constant is None or loss <= (1 - BASELINE_MARGIN) * constant

    def constant_loss(self) -> float | None:
        """Returns the mean loss of the best constant prediction.

        The constants are 0, the mean prediction and the mean target.

        The loss of a model that has learned is far lower: 1 - loss / constant_loss is the fraction
        of the loss that the inputs explain.  (For the squared error, this is the coefficient of
        determination.)

        Returns None if the predictions are neither numbers nor lists of numbers of equal length, or
        if no loss is positive and finite.
        """
        with mode(self.model, training=False), no_grad():
            middle = _mean([self.model(x) for x in self.X])
            if middle is None:
                return None
            zero: Any = [Value(0.0) for _ in middle] if isinstance(middle, list) else Value(0.0)
            constants = [zero, middle]
            target = _mean(self.y)
            if target is not None and _length(target) == _length(middle):
                constants.append(target)
            losses = [sum(float(self.loss(p, t)) for t in self.y) / len(self.y) for p in constants]
        return min([loss for loss in losses if 0 < loss < inf], default=None)


def _mean(entries: Sequence[Any]) -> Any:
    """Returns the mean of numbers, or the entry-by-entry mean of lists of equal length.

    Returns None for anything else.
    """
    lists = [entry if isinstance(entry, (list, tuple)) else [entry] for entry in entries]
    numbers = chain.from_iterable(lists)
    is_uniform = len(set(map(_length, entries))) == 1
    if not is_uniform or not all(isinstance(x, (Value, float, int)) for x in numbers):
        return None
    means = [Value(sum(map(float, column)) / len(lists)) for column in zip(*lists)]
    return means[0] if _length(entries[0]) is None else means


def _length(entry: Any) -> int | None:
    """Returns the length of a list or a tuple, or None for anything else."""
    return len(entry) if isinstance(entry, (list, tuple)) else None


@dataclass(frozen=True, slots=True)
class Trials:
    """The outcome of trials at several learning rates.

    rate: the learning rate in use.
    before: the loss before the first step.
    losses: for each learning rate that was tried, the loss after the last step; inf if the trial
        diverged.
    best: the best learning rate; None if no learning rate makes the model better than a constant
        prediction.
    samples: the number of samples in the loss.
    """

    rate: float
    before: float
    losses: Mapping[float, float]
    best: float | None
    samples: int

    def fall(self, rate: float) -> float:
        """Returns the relative fall of the loss in the trial of a learning rate.

        It is negative if the loss rises.
        """
        return (self.before - self.losses[rate]) / abs(self.before) if self.before else 0.0


def try_rates(problem: Problem, optimizer: Optimizer, rate: float) -> Trials:
    """Tries ``rate`` and other learning rates, and returns the `Trials`.

    Each trial takes `TRIAL_STEPS` steps from the present parameters, with a new optimiser of the
    same kind.  Learning rates increase by factors of sqrt(10) until one diverges: its loss is not
    finite, or twice the first loss.  Then they decrease from ``rate`` until two in a row are no
    better than the best one.  This is a learning-rate range test (Smith, Cyclical learning rates
    for training neural networks, 2017, section 3.3), except that each learning rate starts from
    the same parameters.

    The best learning rate is the one with the lowest loss after its last step, on two conditions:

    - It is at least a factor of 3 below the smallest learning rate that diverges.
    - The model becomes better than a constant prediction, by `BASELINE_MARGIN` of the loss.  The
      loss also falls if the model only learns which class is more frequent.

    At most `MAX_RATES` * `TRIAL_STEPS` + 1 = 301 evaluations of the loss and its gradient are
    needed, usually about 100, on at most `MAX_TRIAL_SAMPLES` samples.  All data and gradients are
    restored.
    """
    affordable = min(MAX_TRIAL_SAMPLES, MAX_TRIAL_WORK // len(problem.parameters))
    few = problem.reduced(max(MIN_TRIAL_SAMPLES, affordable))
    parameters = list(few.parameters.values())
    start = few.loss_and_gradient()
    losses = {} if rate else {0.0: start[0]}
    learning: set[float] = set()

    def try_one(lr: float) -> None:
        with temporarily(parameters, "data", [p.data for p in parameters], None):
            losses[lr] = loss = _loss_after(few, optimizer, lr, start)
            if loss < start[0] and few.beats_constant(loss):
                learning.add(lr)

    first = lr = rate or FALLBACK_RATE
    while len(losses) < MAX_RATES // 2 and inf not in losses.values():
        try_one(lr)
        lr *= RATE_FACTOR
    lr = first / RATE_FACTOR
    worse = 0
    while len(losses) < MAX_RATES and worse < 2:
        lowest = min(losses.values())
        try_one(lr)
        if losses[lr] < lowest:
            worse = 0
        elif lowest < inf:
            worse += 1
        lr /= RATE_FACTOR
    diverging = [lr for lr, loss in losses.items() if loss == inf]
    limit = min(diverging, default=inf) / STABILITY_FACTOR
    safe = [lr for lr in learning if lr <= limit]
    best = min(safe, key=losses.__getitem__, default=None)
    return Trials(rate, start[0], losses, best, len(few.X))


def _loss_after(
    problem: Problem, optimizer: Optimizer, lr: float, start: tuple[float, list[float]]
) -> float:
    """Returns the loss after a trial at the learning rate ``lr``, or inf if it diverges.

    ``start`` is the loss and the gradient before the trial.  The parameters are changed.
    """
    parameters = problem.parameters.values()
    states: list[State] = [(0.0,) * len(optimizer.state)] * len(parameters)
    loss, gradients = start
    limit = loss + (DIVERGENCE_RATIO - 1) * abs(loss)
    for t in range(1, TRIAL_STEPS + 1):
        try:
            for i, (parameter, gradient) in enumerate(zip(parameters, gradients)):
                parameter.data, states[i] = optimizer.update(
                    parameter.data, gradient, states[i], lr, t
                )
        except ArithmeticError:  # plain floats of the update rule overflow or are divided by 0
            return inf
        try:
            loss, gradients = problem.loss_and_gradient()
        except NonFiniteError:  # inside `detect_anomaly`
            return inf
        if not loss <= limit:  # also if it is nan
            return inf
    return loss
