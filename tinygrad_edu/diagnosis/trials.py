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
from ..data.summation import BlockSum
from ..debug.anomaly import is_watched
from ..engine.graph import topological_order
from ..engine.interpreter import no_grad
from ..engine.value import Value
from ..errors import NonFiniteError, plain
from ..nn.module import mode
from ..optim import SGD
from ..optim.optimizer import Optimizer, State
from ..optim.parameters import read_numbers, temporarily
from ..train.history import History
from ..train.task import Task
from .inspection import recording_model

MAX_TRIAL_SAMPLES = 32
MIN_TRIAL_SAMPLES = 8
# Nodes times samples times steps, which limits the time of the short trials, and again of the long
# ones: models with large graphs get fewer samples, and then fewer learning rates.  It is a count,
# so that findings do not depend on the clock.  Compiled trials may do more.
EAGER_WORK = 600_000
COMPILED_WORK = 6_000_000
USUAL_STEPS = 100  # steps of all trials together
MIN_COMPILED_WORK = 1_000  # nodes times samples; compiling takes longer than smaller trials
# Steps of a trial.  These are enough for a learning rate of twice the stable limit to diverge,
# because each step then multiplies the loss by (1 - 4)**2 = 9.
TRIAL_STEPS = 10
RATE_FACTOR = sqrt(10)  # ratio of each learning rate to the next smaller one
MIN_CHANGE = 0.01  # relative change of the loss; below it the next learning rate is 10 times larger
MIN_RATES = 4  # learning rates that are tried
MAX_RATES = 30
LONGER_STEPS = 300  # of longer trials
LONGER_TRIALS = 3  # the best learning rates of the short trials are tried for longer
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
        sums = BlockSum(1 + len(self.parameters))
        with recording_model(self.model):
            for loss in self.losses():
                leaves = self._derivatives(loss) if isinstance(loss, Value) else {}
                sums.add([float(loss), *[leaves.get(p, 0.0) for p in self.parameters.values()]])
        loss, *gradient = [total / len(self.X) for total in sums.result()]
        return loss, gradient

    def nodes(self) -> int:
        """Returns the number of nodes in the graph of the first sample's loss."""
        with recording_model(self.model):
            loss = next(self.losses())
        return len(topological_order(loss)) if isinstance(loss, Value) else 1

    def compiled(self) -> Callable[[], tuple[float, list[float]]] | None:
        """Returns `loss_and_gradient` as machine code, or None if there is none.

        It has the same bits.
        """
        from ..train.compiled import Engine

        parameters = list(self.parameters.values())
        task = Task(
            self.model, self.loss, self.X, self.y, SGD(parameters, 0.0), epochs=0, batch_size=None,
            shuffle=False, penalty=None, metrics={}, engine="jit", progress=False,
            rng=random.Random(0), max_norm=None, on_epoch=None, record_every=None,
            history=History(),
        )
        indices = range(len(self.X))

        def compute() -> tuple[float, list[float]]:
            with recording_model(self.model), temporarily(parameters, "grad", repeat(0.0), None):
                engine.reread()
                loss, _ = engine.differentiate(indices)
                engine.sync()
                return loss, read_numbers(parameters, "grad")

        try:
            with recording_model(self.model):
                engine = Engine(task)
            compute()
        except (ImportError, TypeError, ValueError, ArithmeticError):
            return None  # the eager engine raises the error again, if there is one
        return compute

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
    steps, longer: the steps of a longer trial of the best learning rate, and the loss at its end;
        without such a trial, those of the short one.
    """

    rate: float
    before: float
    losses: Mapping[float, float]
    best: float | None
    samples: int
    steps: int
    longer: float

    def fall(self, rate: float) -> float:
        """Returns the relative fall of the loss in the trial of a learning rate.

        It is negative if the loss rises.
        """
        return (self.before - self.losses[rate]) / abs(self.before) if self.before else 0.0


def try_rates(problem: Problem, optimizer: Optimizer, rate: float, steps: int = 0) -> Trials:
    """Tries ``rate`` and other learning rates, and returns the `Trials`.

    Each trial takes `TRIAL_STEPS` steps from the present parameters, with a new optimiser of the
    same kind.  Learning rates increase by factors of sqrt(10), or 10 while the loss hardly changes,
    until one diverges: its loss is not finite, or twice the first loss; or until three in a row are
    no better than the best one.  Then they decrease from ``rate``, until two are no better.  This
    is a learning-rate range test (Smith, Cyclical learning rates for training neural networks,
    2017, section 3.3), except that each learning rate starts from the same parameters.

    The best learning rate is the one with the lowest loss after its last step, on two conditions:

    - It is at least a factor of 3 below the smallest learning rate that diverges.
    - The model becomes better than a constant prediction, by `BASELINE_MARGIN` of the loss.  The
      loss also falls if the model only learns which class is more frequent.

    With ``steps``, the best `LONGER_TRIALS` of these are tried for so many steps, at most
    `LONGER_STEPS`, and the best of them is the one with the lowest loss in the last tenth.

    Usually about 100 evaluations of the loss and its gradient are needed, on at most
    `MAX_TRIAL_SAMPLES` samples; `EAGER_WORK` limits both.  If llvmlite is installed and the model
    can be compiled, the limit is `COMPILED_WORK`.  All data and gradients are restored.
    """
    nodes = problem.nodes()
    budget = COMPILED_WORK
    few = problem.reduced(_affordable(budget, nodes))
    evaluate = None
    if nodes * len(few.X) >= MIN_COMPILED_WORK and not is_watched():
        evaluate = few.compiled()
    if evaluate is None:
        budget = EAGER_WORK
        few = problem.reduced(_affordable(budget, nodes))
        evaluate = few.loss_and_gradient
    most = max(budget // (nodes * len(few.X)), MIN_RATES * TRIAL_STEPS)  # steps
    trial = _Trial(few, optimizer, evaluate)
    before = trial.start[0]
    if not any(trial.start[1]):  # no learning rate changes anything
        return Trials(rate, before, {rate: before}, None, len(few.X), TRIAL_STEPS, before)
    losses = trial.losses
    if not rate:
        losses[0.0] = before
    first = rate or FALLBACK_RATE
    trial.search(first, RATE_FACTOR, most - 2 * TRIAL_STEPS, 3)
    trial.search(first / RATE_FACTOR, 1 / RATE_FACTOR, most, 2)
    limit = min((lr for lr in losses if losses[lr] == inf), default=inf) / STABILITY_FACTOR
    safe = sorted((lr for lr in trial.learning if lr <= limit), key=losses.__getitem__)
    steps = min(steps, LONGER_STEPS, most // LONGER_TRIALS)
    if steps <= TRIAL_STEPS:
        steps = TRIAL_STEPS
        longer = {lr: losses[lr] for lr in safe}
    else:
        longer = {lr: trial.loss_after(lr, steps) for lr in safe[:LONGER_TRIALS]}
    best = min(longer, key=longer.__getitem__) if safe else None
    after = longer[best] if best else before
    return Trials(rate, before, losses, best, len(few.X), steps, after)


def _affordable(budget: int, nodes: int) -> int:
    """Returns how many samples of so many nodes the trials can have."""
    return max(MIN_TRIAL_SAMPLES, min(MAX_TRIAL_SAMPLES, budget // (USUAL_STEPS * nodes)))


class _Trial:
    """Steps at some learning rate, from the present parameters.

    start: the loss and the gradient before them.
    losses: the losses of the learning rates that `search` tried.
    steps: the number of steps that were taken.
    learning: the learning rates at which the model became better than a constant prediction.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer,
        evaluate: Callable[[], tuple[float, list[float]]],
    ) -> None:
        self._problem = problem
        self._optimizer = optimizer
        self._evaluate = evaluate
        self.start = evaluate()
        self.losses: dict[float, float] = {}
        self.steps = 0
        self.learning: set[float] = set()

    def search(self, lr: float, factor: float, most: int, enough: int) -> None:
        """Tries ``lr`` and others, each ``factor`` times the one before or its square.

        It ends before it takes more than ``most`` steps; with ``enough`` in a row that are no
        better; or, if learning rates increase, with the first that diverges.
        """
        before = self.start[0]
        worse = 0
        while self.steps + TRIAL_STEPS <= most and len(self.losses) < MAX_RATES and worse < enough:
            lowest = min(self.losses.values(), default=inf)
            self.losses[lr] = loss = self.loss_after(lr)
            if loss == inf and factor > 1:
                return
            worse = 0 if loss < lowest or lowest == inf else worse + 1
            is_far = loss == inf or abs(loss - before) < MIN_CHANGE * abs(before)
            lr *= factor**2 if is_far else factor

    def loss_after(self, lr: float, steps: int = TRIAL_STEPS) -> float:
        """Returns the mean loss in the last tenth of some steps, or inf if it diverges.

        Parameters are restored.
        """
        parameters = list(self._problem.parameters.values())
        with temporarily(parameters, "data", [p.data for p in parameters], None):
            loss = self._descend(parameters, lr, steps)
            is_better = steps == TRIAL_STEPS and loss < self.start[0]
            if is_better and self._problem.beats_constant(loss):
                self.learning.add(lr)
        return loss

    def _descend(self, parameters: Sequence[Value], lr: float, steps: int) -> float:
        update = self._optimizer.update
        states: list[State] = [(0.0,) * len(self._optimizer.state)] * len(parameters)
        loss, gradients = self.start
        limit = loss + (DIVERGENCE_RATIO - 1) * abs(loss)
        found = []
        for t in range(1, steps + 1):
            self.steps += 1
            try:
                for i, (parameter, gradient) in enumerate(zip(parameters, gradients)):
                    parameter.data, states[i] = update(parameter.data, gradient, states[i], lr, t)
            except ArithmeticError:  # plain floats of the rule overflow or are divided by 0
                return inf
            try:
                loss, gradients = self._evaluate()
            except NonFiniteError:  # of the compiled engine, or inside `detect_anomaly`
                return inf
            if not loss <= limit:  # also if it is nan
                return inf
            found.append(loss)
        tenth = found[-max(1, steps // 10):]
        return sum(tenth) / len(tenth)
