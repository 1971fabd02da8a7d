"""`fit`: gradient descent on a model, with mini-batches or full batches.

One step of it is::

    loss = sum(nn.hinge(model(x), y) for x, y in batch) * (1 / len(batch)) + penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

`EagerEngine` and the compiled `Engine` make such steps; `engines` decides between them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import data
from ..data.checks import matched
from ..errors import check_int
from ..nn.module import mode
from ..optim import Optimizer
from ..optim.clipping import checked_limit
from ..randomness import Rng, generator
from . import engines
from .eager import EagerEngine
from .history import History
from .progress import progress_bar, suggest_compiled
from .snapshots import Recorder, TrainingRecord

Metric = Callable[[Any, Any], Any]


def fit(
    model: Callable[[Any], Any],
    loss: Callable[[Any, Any], Any],
    X: Sequence[Any],
    y: Sequence[Any],
    *,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | None = None,
    shuffle: bool = True,
    penalty: Callable[[], Any] | None = None,
    metrics: Mapping[str, Metric] | Iterable[Metric] | None = None,
    engine: str = "eager",
    progress: bool = False,
    rng: Rng = None,
    max_norm: float | None = None,
    on_epoch: Callable[[History], Any] | None = None,
    record_every: int | None = None,
) -> History:
    """Trains ``model`` and returns the `History` of the run.

    One step takes a batch of samples, computes the mean loss and its gradient, and lets
    ``optimizer`` update the parameters.

        history = fit(model, nn.hinge, X, y, optimizer=optim.SGD(model.parameters(), lr=0.1),
                      epochs=20, batch_size=16, metrics=[nn.accuracy])

    model: called as ``model(X[i])``.  A `Module` is in training mode during the run.
    loss: called as ``loss(prediction, target)`` for one sample; averaged over the batch.
    X, y: samples and targets, of equal length.
    optimizer: an `Optimizer` of the parameters to train.
    epochs: number of passes over the samples.

    batch_size: samples per step; None for one step per epoch.  The last batch may be smaller.
    shuffle: whether each epoch has a new random order; a full batch is never shuffled.
    rng: a `random.Random` or a random seed for the shuffles; by default the module `random`.
    penalty: called as ``penalty()`` once per step and added to the loss, such as
        ``lambda: 1e-4 * nn.l2(model.parameters())``.
    max_norm: clips the norm of the gradient before each step (`optim.clip_grad_norm`).
    metrics: functions ``metric(prediction, target)``, such as `nn.accuracy`, or a dict from names
        to such functions.
    on_epoch: called with the history after each epoch; the run ends if it returns a true value.
    progress: whether to show a progress bar in the terminal.
    record_every: keeps snapshots of parameters and gradients in ``history.training``, for step 1,
        every multiple of this number, and the last step; fewer in a long run, so that memory
        stays bounded (`snapshots.TrainingRecord`).
    engine: "eager" (the default) runs the model as it is; "jit" compiles it and is often a
        hundred times as fast; "auto" compiles it after two eager steps if llvmlite is
        installed, the run is long, and both engines have the same loss and gradient in the
        second step.  `History.engine` says what ran.

    Ctrl-C ends the run: ``history.interrupted`` is then True, and the history, its snapshots and
    the parameters are those after the last finished step.

    Raises:
        TypeError: ``model``, ``loss`` or another function cannot be called, a count is not a
            whole number, or ``loss`` does not return a Value.
        ValueError: ``X`` and ``y`` differ in length or are empty, a number is out of range, or
            the loss does not depend on the optimiser's parameters.
        NonFiniteError: the loss or a gradient is inf or nan.  Parameters keep their values from
            before the step.  The message has the step, the explanation of `explain_nonfinite`
            and the source line; ``error.history`` has the finished steps.  Inside
            `detect_anomaly`, the error raised by `detect_anomaly` is passed on.
        ImportError: engine="jit" and llvmlite is not installed (the extra `fast`).
        TraceError: engine="jit" and the model, the loss or the penalty cannot be compiled.  The
            message names the cause; model and random generators are as they were.

    **The compiled engine** is for a model, loss and penalty that compute their results from
    parameters, samples, targets and plain numbers that do not change.  Its losses equal the eager
    ones up to rounding of sums, about 1e-16 per step.  The difference grows where a relu or hinge
    is evaluated exactly at its kink, and with Adam and RMSprop where a gradient is exactly 0.

    * TraceError is raised for a function that changes an attribute or a variable when it is
      called, such as a running mean, a counter or the last output.  It is also raised for a
      function that draws random numbers other than by `nn.Dropout`, or that branches on a traced
      number.
    * Computations with ``optimizer.steps`` are repeated at every step, and leaves that are not
      trained are read again: a number that changes often must be one of these.  Other plain
      numbers are read before the first step and after ``on_epoch``.
    * After ``on_epoch``, model, loss, penalty, parameters and samples are compared with what was
      compiled.  If they differ, "jit" compiles them again and "auto" continues eagerly.  Changes
      at other times are not noticed.
    * Metrics see the parameters and gradients of the step but cannot change them; a learning-rate
      schedule does not see them.  Division by zero gives inf or nan, for plain numbers too.
      Leaves that the optimiser does not have get no gradient.
    """
    if engine not in ("auto", "eager", "jit"):
        raise ValueError(f"fit: engine must be 'eager', 'jit' or 'auto', not {engine!r}")
    matched(X, y, "fit")
    _check_functions(model, loss, penalty, on_epoch, optimizer)
    named = _named_metrics(metrics)
    run = _Run(
        eager=EagerEngine(model, loss, X, y, optimizer, penalty, History(named)),
        epochs=check_int(epochs, "fit: epochs", 0),
        batch_size=_positive_or_none(batch_size, "batch_size", "full batches"),
        shuffle=shuffle,
        metrics=named,
        engine=engine,
        progress=progress,
        rng=generator(rng),
        max_norm=None if max_norm is None else checked_limit(max_norm, "max_norm"),
        on_epoch=on_epoch,
        record_every=_positive_or_none(record_every, "record_every", "no snapshots"),
    )
    history = run.run()
    if progress and engine == "eager" and history.seconds:
        suggest_compiled(history.seconds[-1])
    return history


def _positive_or_none(x: int | None, name: str, meaning_of_none: str) -> int | None:
    return x if x is None else check_int(x, f"fit: {name}", 1, f"pass None for {meaning_of_none}")


def _check_functions(model: Any, loss: Any, penalty: Any, on_epoch: Any, optimizer: Any) -> None:
    """Raises TypeError if a function cannot be called, or ``optimizer`` is not an Optimizer."""
    functions = {"model": model, "loss": loss, "penalty": penalty, "on_epoch": on_epoch}
    for name, function in functions.items():
        if not callable(function) and (function is not None or name in ("model", "loss")):
            raise TypeError(f"fit: {name} must be a function, not {function!r}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: optimizer must be an Optimizer, not {optimizer!r}; pass one of optim, such as "
            "optim.Adam(model.parameters())"
        )


def _named_metrics(metrics: Mapping[str, Metric] | Iterable[Metric] | None) -> dict[str, Metric]:
    """Returns the metrics by name; functions of the same name are numbered."""
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        return dict(metrics)
    functions: list[Any] = (
        [metrics] if callable(metrics) or isinstance(metrics, str) else list(metrics)
    )
    for metric in functions:
        if not callable(metric):
            raise TypeError(
                f"fit: metrics must be functions, not {metric!r}; pass functions such as "
                "nn.accuracy"
            )
    names = [getattr(metric, "__name__", "metric") for metric in functions]
    return {name if names.count(name) == 1 else f"{name} {i}": metric
            for i, (name, metric) in enumerate(zip(names, functions), 1)}


@dataclass
class _Run:
    """One call of `fit`: its arguments, its history, and the engine that makes the next step."""

    eager: EagerEngine
    epochs: int
    batch_size: int | None
    shuffle: bool
    metrics: dict[str, Metric]
    engine: str
    progress: bool
    rng: random.Random
    max_norm: float | None
    on_epoch: Callable[[History], Any] | None
    record_every: int | None

    def __post_init__(self) -> None:
        eager = self.eager
        self.runner: Any = eager
        self.history = eager.history
        self.optimizer = optimizer = eager.optimizer
        self.steps_before = optimizer.steps
        batches = 1 if self.batch_size is None else -(-len(eager.X) // self.batch_size)
        self.total_steps = self.epochs * batches
        self.recorder: Recorder | None = None
        if self.record_every is not None:
            self.history.training = record = TrainingRecord(
                eager.model, eager.loss, eager.X, eager.y, optimizer.params, self.record_every,
                optimizer,
            )
            self.recorder = Recorder(record)
        self.show: Callable[[History], None] = lambda history: None
        self.start = time.perf_counter()

    def run(self) -> History:
        """Makes all steps and returns the history.  Ctrl-C ends the run after a finished step."""
        try:
            try:
                self._run_all()
            finally:
                if self.runner is not self.eager:
                    self.runner.settle(self.history, self.start)
                self.runner.sync(stepped=True)
        except KeyboardInterrupt:
            self.history.interrupted = True
            _truncate(self.history, self.optimizer.steps - self.steps_before)
            if self.recorder is not None:
                self.recorder.settle(len(self.history))
        return self.history

    def _run_all(self) -> None:
        bar = progress_bar(self.progress, self.total_steps, self.epochs)
        with mode(self.eager.model, training=True), bar as self.show:
            if self.epochs and self.engine == "jit":
                self._switch(*engines.compiled(self.eager, bool(self.metrics)))
            else:
                self._switch(self.eager)
            self._run_epochs()

    # a function of its own: CPython 3.13 leaves the jump back of a loop out of a `try` around it
    def _run_epochs(self) -> None:
        is_unwatched = (
            self.batch_size is None
            and not self.metrics
            and self.max_norm is None
            and self.recorder is None
            and self.on_epoch is None
        )
        while self.history.epochs < self.epochs:
            if is_unwatched and self._run_compiled_steps():
                self.show(self.history)
                continue
            self._epoch()
            if self.on_epoch is not None and self._is_ended_by(self.on_epoch):
                break

    def _run_compiled_steps(self) -> bool:
        """Makes several steps in one call, if the engine can do that; returns whether it did."""
        if self.runner is self.eager:
            return False
        remaining = self.epochs - self.history.epochs
        return bool(self.runner.run_steps(remaining, self.history, self.start))

    def _epoch(self) -> None:
        history = self.history
        totals = dict.fromkeys(self.metrics, 0.0)
        order = range(len(self.eager.X))
        batches: Iterable[tuple[Sequence[int], Sequence[int]]] = [(order, order)]
        if self.batch_size is not None:
            batches = data.batches(
                order, order, self.batch_size, shuffle=self.shuffle, rng=self.rng
            )
        for indices, _ in batches:
            self._step(indices, totals)
        for name, total in totals.items():
            history.metrics[name].append(total / len(order))
        history.epoch_ends.append(len(history))
        self.show(history)

    def _step(self, indices: Sequence[int], totals: dict[str, float]) -> None:
        """Makes one step, and adds its metrics to ``totals``."""
        history = self.history
        rate = self.optimizer.lr
        found = None if self.runner is self.eager else self._differentiate_compiled(indices)
        # compiled before the model runs, which may keep a result
        candidate, reason = self._candidate(indices)
        value, predictions = found or self.eager.differentiate(indices)
        if candidate is not self.eager and not engines.agrees(candidate, indices, value):
            candidate = self.eager
            reason = "in step 1 both engines had different losses or gradients"
        if reason:
            self._switch(self.eager, reason)
        if self.metrics:
            self.runner.sync()
            for name, metric in self.metrics.items():
                totals[name] += sum(
                    float(metric(p, self.eager.y[i])) for p, i in zip(predictions, indices)
                )
        if self.max_norm is not None:
            self.runner.clip(self.max_norm)
        history.loss.append(value)
        history.learning_rates.append(rate)
        history.seconds.append(time.perf_counter() - self.start)
        self._update()
        if candidate is not self.eager:
            self._switch(self.eager, "before the model was compiled")
            self._switch(candidate)
            self.runner.refresh()
        self.show(history)

    def _differentiate_compiled(self, indices: Sequence[int]) -> tuple[float, list[Any]] | None:
        """Returns loss and predictions; if the eager engine must find them, None, and switches."""
        found, reason = engines.differentiate_or_none(
            self.runner, indices, not self.history.loss, self.engine == "jit"
        )
        if found is None:
            self.runner.sync()
            self._switch(self.eager, reason)
        return found

    def _candidate(self, indices: Sequence[int]) -> tuple[Any, str]:
        """Returns the engine for the steps after this one and, if compiling failed, why."""
        is_asked = self.engine == "auto" and len(self.history) == 1
        if is_asked and engines.is_worth_compiling(self.eager, self.total_steps - 2, indices):
            return engines.compiled_or_eager(self.eager, bool(self.metrics))
        return self.eager, ""

    def _update(self) -> None:
        """Lets the optimiser make its step, between the two halves of a snapshot."""
        if self.recorder is None:
            self.runner.step()
            return
        self.runner.sync()
        self.recorder.before_update(len(self.history))
        self.runner.step()
        self.runner.sync(stepped=True)
        self.recorder.after_update()

    def _is_ended_by(self, on_epoch: Callable[[History], Any]) -> bool:
        """Calls ``on_epoch`` and returns whether it ends the run; if not, reads what it changed."""
        self.runner.sync(stepped=True)
        if on_epoch(self.history):
            return True
        if self.runner.is_current():
            self.runner.refresh()
        elif self.engine == "jit":
            self._switch(*engines.compiled(self.eager, bool(self.metrics)))
        else:
            self._switch(
                self.eager,
                "on_epoch changed the model, the loss or the penalty after epoch "
                f"{self.history.epochs}",
            )
        return False

    def _switch(self, engine: Any, reason: str = "") -> None:
        """Runs the next steps on this engine."""
        self.runner = engine
        self.history._runs_on(engine.name, reason)


def _truncate(history: History, steps: int) -> None:
    """Drops all but the first ``steps`` steps, and the metrics of an unfinished epoch."""
    for entries in (history.loss, history.learning_rates, history.seconds):
        del entries[steps:]
    for values in history.metrics.values():
        del values[history.epochs:]
