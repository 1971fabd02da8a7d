"""Measures losses and tries learning rates on a few samples, and restores all data afterwards."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..engine.graph import topological_order
from ..engine.interpreter import no_grad, recording
from ..engine.value import Value
from ..errors import NonFiniteError
from ..nn.module import mode
from ..optim.optimizer import Optimizer, State

TRIAL_SAMPLES = 32
TRIAL_NUMBERS = 50_000  # samples times parameters; above it fewer samples, but `FEWEST_SAMPLES`
FEWEST_SAMPLES = 8
# enough for a rate that is twice too large to show it, at (1 - 4)**2 = 9 times the loss a step
TRIAL_STEPS = 10
FACTOR = math.sqrt(10)  # from one rate to the next
MOST_RATES = 30
FALLBACK_RATE = 0.01  # where trials begin if the present rate is 0
DIVERGENCE_RATIO = 2.0  # a trial has diverged if its loss is this many times its first loss
# A model is better than a constant prediction if the inputs explain this part of the loss.
BASELINE_MARGIN = 0.1
# A stable rate is this many times smaller than the smallest rate that diverges: one `FACTOR`.
STABILITY_FACTOR = 3.0


def chosen(count: int, most: int, targets: Sequence[Any] | None = None) -> list[int]:
    """Returns the positions of at most ``most`` of ``count`` samples, chosen at random with a fixed
    random seed, in order.

    Samples at equal distances could all be of one class, where classes take turns.  With
    ``targets`` every class has its share, as in the whole, and so has every range of numbers.
    """
    if count <= most:
        return list(range(count))
    places = random.Random(0).sample(range(count), count)
    if targets is not None:
        numbers = all(isinstance(target, (int, float)) for target in targets)
        places.sort(key=lambda i: targets[i] if numbers else repr(targets[i]))
    return sorted(places[(2 * k + 1) * count // (2 * most)] for k in range(most))


@contextmanager
def recorded(model: Any) -> Iterator[None]:
    """Sets the model to evaluation mode and records graphs, inside a with block."""
    with mode(model, training=False), recording(True):
        yield


@dataclass(frozen=True)
class Problem:
    """A model, a loss, and samples with targets to take its mean over; ``parameters`` by name."""

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    parameters: Mapping[str, Value]
    X: Sequence[Any]
    y: Sequence[Any]

    def few(self, most: int) -> Problem:
        """Returns the same problem with at most ``most`` samples."""
        places = chosen(len(self.X), most, self.y)
        X = [self.X[i] for i in places]
        y = [self.y[i] for i in places]
        return Problem(self.model, self.loss, self.parameters, X, y)

    def measured(self) -> tuple[float, list[float]]:
        """Returns the mean loss in evaluation mode, and its derivative with respect to each
        parameter.  ``.grad`` is not changed.

        If a loss is not a Value, as ``max(0, 1 - t * p)`` may be, its derivatives are 0.
        """
        with recorded(self.model):
            total = sum(self.losses()) * (1.0 / len(self.X))
        if not isinstance(total, Value):
            return float(total), [0.0] * len(self.parameters)
        return total.data, self._derivatives(total)

    def measured_singly(self) -> tuple[float, list[float]]:
        """Returns the mean loss, and for each parameter the root mean square of the derivatives of
        the samples' losses.

        In the derivative of the mean loss, the samples of two classes of equal size may cancel.  A
        root mean square does not cancel.  Evaluation mode and ``.grad`` as in
        `measured`.

        Raises TypeError if the loss of no sample is a Value.
        """
        total = 0.0
        sizes = [0.0] * len(self.parameters)
        has_graph = False
        share = 1.0 / len(self.X)
        with recorded(self.model):
            for loss in self.losses():
                if isinstance(loss, Value):
                    sizes = list(map(math.hypot, sizes, self._derivatives(loss)))
                    has_graph = True
                total += loss.data if isinstance(loss, Value) else loss
        if not has_graph:
            raise TypeError(
                f"the loss is {total * share!r}, which depends on no Value; the loss function must "
                "use the prediction"
            )
        return total * share, [size * math.sqrt(share) for size in sizes]

    def _derivatives(self, root: Value) -> list[float]:
        order = topological_order(root, constants=False)
        leaves = dict.fromkeys([node for node in order if not node.op], 0.0)
        with _kept(leaves, "grad"):
            for leaf in leaves:
                leaf.grad = 0.0
            root.backward()
            leaves = {leaf: leaf.grad for leaf in leaves}
        return [leaves.get(parameter, 0.0) for parameter in self.parameters.values()]

    def losses(self) -> Iterator[Any]:
        """The loss of each sample, as its graph is made; to be asked for within `recorded`."""
        return (self.loss(self.model(x), t) for x, t in zip(self.X, self.y))

    def learns(self, loss: float) -> bool:
        """Whether the model, whose mean loss is given, is clearly better than a constant
        prediction, its own mean included.

        True if that cannot be told: where all targets are the same, a constant may be all there is
        to learn.
        """
        constant = self.constant_loss() if len(set(map(repr, self.y))) > 1 else None
        return constant is None or loss <= (1 - BASELINE_MARGIN) * constant

    def constant_loss(self) -> float | None:
        """The mean loss of the best constant prediction among three: 0, the mean prediction, and
        the mean target.

        A model that has learned is far below it: 1 - loss / constant loss is how much of the loss
        the inputs explain.  (For the squared error that is the coefficient of determination.)  None
        if predictions are not numbers or lists of equally many numbers, or no such loss is positive
        and finite.
        """
        with mode(self.model, training=False), no_grad():
            middle = _mean([self.model(x) for x in self.X])
            if middle is None:
                return None
            zero: Any = [Value(0.0) for _ in middle] if isinstance(middle, list) else Value(0.0)
            constants = [zero, middle]
            target = _mean(self.y)
            if _shape(target) == _shape(middle):
                constants.append(target)
            losses = [sum(float(self.loss(p, t)) for t in self.y) / len(self.y) for p in constants]
        return min([loss for loss in losses if 0 < loss < math.inf], default=None)


def _mean(entries: Sequence[Any]) -> Any:
    """The mean of numbers, or of lists of equally many numbers, entry by entry; None of anything
    else."""
    lists = [entry if isinstance(entry, (list, tuple)) else [entry] for entry in entries]
    shapes = {(type(entry) in (list, tuple), len(xs)) for entry, xs in zip(entries, lists)}
    numbers = itertools.chain.from_iterable(lists)
    if len(shapes) != 1 or not all(isinstance(x, (Value, float, int)) for x in numbers):
        return None
    means = [Value(sum(map(float, column)) / len(lists)) for column in zip(*lists)]
    return means if isinstance(entries[0], (list, tuple)) else means[0]


def _shape(mean: Any) -> int | None:
    if isinstance(mean, list):
        return len(mean)
    return None if mean is None else -1


@contextmanager
def _kept(values: Sequence[Value] | Mapping[Value, Any], attribute: str) -> Iterator[None]:
    before = [getattr(value, attribute) for value in values]
    try:
        yield
    finally:
        for value, x in zip(values, before):
            setattr(value, attribute, x)


@dataclass(frozen=True, slots=True)
class Trials:
    """What became of the loss at several learning rates.

    rate         the rate that is in use
    before       the loss before the first step
    losses       for each rate that was tried the loss after the last step; inf if it diverged
    best         the rate that would do; None if with none the loss falls, and below that of a
                 constant prediction
    samples      how many samples the loss is averaged over
    """

    rate: float
    before: float
    losses: Mapping[float, float]
    best: float | None
    samples: int

    def fall(self, rate: float) -> float:
        """Returns the relative fall of the loss in the trial of that learning rate; negative if it
        rises.
        """
        return (self.before - self.losses[rate]) / abs(self.before) if self.before else 0.0


def try_rates(problem: Problem, optimizer: Optimizer, rate: float) -> Trials:
    """From the present parameters, `TRIAL_STEPS` steps of a fresh optimiser of the same kind at
    ``rate``, and at others.

    Rates are tried upwards by factors of sqrt(10) until one diverges, which is when its loss is not
    finite or twice what it was; then downwards from ``rate``, until two in a row do no better than
    the best.  That is a learning-rate range test (Smith, Cyclical learning rates for training
    neural networks, 2017, section 3.3), but with a fresh start for each rate.  The best rate is the
    one with the lowest loss after its last step, among those that are at least a factor of 3 below
    the smallest one that diverges, and that make the model better than a constant by
    `BASELINE_MARGIN` of the loss.  A loss that falls to the loss of a constant prediction, because
    one class is more frequent, does not show that the model has begun to learn.

    The cost: at most `MOST_RATES` * `TRIAL_STEPS` + 1 = 301 evaluations of the loss and its
    gradient, mostly some 100, over at most `TRIAL_SAMPLES` samples.  All data and gradients are put
    back.
    """
    affordable = min(TRIAL_SAMPLES, TRIAL_NUMBERS // len(problem.parameters))
    few = problem.few(max(FEWEST_SAMPLES, affordable))
    start = few.measured()
    learning: set[float] = set()

    def try_one(lr: float) -> float:
        with _kept(list(few.parameters.values()), "data"):
            loss = _loss_after(few, optimizer, lr, start)
            if loss < start[0] and few.learns(loss):
                learning.add(lr)
        return loss

    losses = {} if rate else {0.0: start[0]}
    first = lr = rate or FALLBACK_RATE
    while len(losses) < MOST_RATES // 2 and math.inf not in losses.values():
        losses[lr] = try_one(lr)
        lr *= FACTOR
    lr = first / FACTOR
    worse = 0
    while len(losses) < MOST_RATES and worse < 2:
        lowest = min(losses.values())
        losses[lr] = try_one(lr)
        if losses[lr] < lowest:
            worse = 0
        elif lowest < math.inf:
            worse += 1
        lr /= FACTOR
    diverging = [lr for lr, loss in losses.items() if loss == math.inf]
    limit = min(diverging, default=math.inf) / STABILITY_FACTOR
    safe = {lr: losses[lr] for lr in learning if lr <= limit}
    best = min(safe, key=safe.__getitem__) if safe else None
    return Trials(rate, start[0], losses, best, len(few.X))


def _loss_after(
    problem: Problem, optimizer: Optimizer, lr: float, start: tuple[float, list[float]]
) -> float:
    """The loss after a trial at the rate ``lr``, where ``start`` is loss and gradient before it;
    inf if it diverges.

    The parameters are left as the trial leaves them.
    """
    parameters = list(problem.parameters.values())
    states: list[State] = [(0.0,) * len(optimizer.state)] * len(parameters)
    loss, gradients = start
    limit = loss + (DIVERGENCE_RATIO - 1) * abs(loss)
    for t in range(1, TRIAL_STEPS + 1):
        try:
            for i, (parameter, gradient) in enumerate(zip(parameters, gradients)):
                parameter.data, states[i] = optimizer.update(
                    parameter.data, gradient, states[i], lr, t
                )
        except ArithmeticError:  # of plain floats in the rule
            return math.inf
        try:
            loss, gradients = problem.measured()
        except NonFiniteError:  # within `detect_anomaly`
            return math.inf
        if not loss <= limit:  # nan included
            return math.inf
    return loss
