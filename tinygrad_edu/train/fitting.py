"""`fit`: gradient descent on a model, with mini-batches or full batches.

One step of it is::

    loss = sum(nn.hinge(model(x), y) for x, y in batch) / len(batch) + penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

`EagerEngine` and the compiled `Engine` make such steps, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import repeat
from math import inf
from typing import Any

from ..data.checks import Rows, Table, matched, sample
from ..data.handling import batches_of_indices
from ..debug.anomaly import is_watched
from ..engine.arrays import is_table
from ..engine.interpreter import is_recording
from ..errors import (
    TrainingWarning,
    WorkerError,
    check_bool,
    check_choice,
    check_function,
    check_int,
    check_list,
    counted,
    number,
    warn,
)
from ..jit.parallel.executors import checked_executor
from ..nn.module import mode
from ..optim import Optimizer
from ..optim.clipping import checked_limit
from ..optim.parameters import assign_all, read_numbers
from ..randomness import Rng, generator
from .eager import EagerEngine
from .history import History
from .judgement import Start, is_unwarned
from .progress import progress_bar, suggest_compiled
from .snapshots import TrainingRecord
from .task import Metric, Runner, Task


def fit(
    model: Callable[[Any], Any],
    loss: Callable[[Any, Any], Any],
    X: Sequence[Any] | Table,
    y: Sequence[Any] | Table,
    *,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int | None = None,
    shuffle: bool = True,
    penalty: Callable[[], Any] | None = None,
    metrics: Mapping[str, Metric] | Iterable[Metric] | None = None,
    engine: str | None = None,
    executor: Executor | None = None,
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
    X, y: samples and targets, of equal length, by position: lists, arrays or other sequences, or
        tables with labels, such as a DataFrame and a Series, whose rows become arrays.  A table is
        read at the start, and again after each call of ``on_epoch``.
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
    engine: "eager" runs the model as it is; "jit" compiles it, and is often a hundred times as
        fast.  None is "jit" with an executor, and else "eager".  `History.engine` says what ran.
    executor: any `concurrent.futures.Executor`: threads, processes, or that of a Dask client,
        ``client.get_executor()``.  Its workers compute the samples of each step, in blocks of 64.
        It is not shut down.

    Warns (`TrainingWarning`) at the end if the loss rose, jumped, oscillated or stood still, and
    not because it was at its minimum; ``history.warning`` has the sentence.  Noise of batches and
    dropout is no reason.

    Ctrl-C ends the run: ``history.interrupted`` is then True, and the history, its snapshots and
    the parameters are those after the last finished step.

    Raises:
        TypeError: ``model``, ``loss`` or another function cannot be called, ``X`` or ``y`` is not
            taken by position (see `data.batches`), a count is not a whole number, or ``loss`` does
            not return a Value.
        ValueError: ``X`` and ``y`` differ in length or are empty, a number is out of range, or
            the loss does not depend on the optimiser's parameters, or engine is "eager" with an
            executor.
        NonFiniteError: the loss or a gradient is inf or nan.  Parameters keep their values from
            before the step.  The message has the step, the explanation of `explain_nonfinite`
            and the source line; ``error.history`` has the finished steps.  Inside
            `detect_anomaly`, the error raised by `detect_anomaly` is passed on.
        ImportError: engine is "jit" and llvmlite is not installed (the extra `fast`).
        TraceError: engine is "jit" and the model, the loss or the penalty cannot be compiled.  The
            message names the cause; model and random generators are as they were.
        WorkerError: a worker died, or the executor failed.  Parameters, the optimiser's state and
            random generators are those after the last finished step.

    Whatever is raised once the training has begun, also by the model or the loss, has the steps
    before it in ``error.history``.

    **Sums** over samples have one order (`summation`), so both engines have the same bits, with any
    executor and any number of workers.  Leaves that the optimiser does not have keep their
    gradients.

    **Workers** get the compiled program, the numbers of samples, and in each step the parameters.
    They need this package, but not the functions, which run in this process, as metrics, penalty
    and optimiser do.  Batches of at most 64 samples are not divided.  Executors that start dead
    workers again, such as Dask's, finish with the same bits.

    **The compiled engine** is for a model, loss and penalty that compute their results from
    parameters, samples, targets and plain numbers.

    * TraceError is raised for a function that changes an attribute or a variable when it is
      called, such as a running mean, a counter or the last output.  It is also raised for a
      function that draws random numbers other than by `nn.Dropout`, or that branches on a traced
      number.
    * Computations with ``optimizer.steps`` are repeated at every step, and leaves that are not
      trained are read again: a number that changes often must be one of these.  What ``on_epoch``
      changes is read again, too, and if the program is then another one it is compiled again.
      TraceError is raised if anything else changes what the functions can read.
    * Losses, gradients and the optimiser's rule are compared with eager ones, in every bit, for
      several samples before the first step, and again at later steps, at most a tenth of the time.
      If they differ, TraceError says since when.  Parameters and history are then those after the
      last step that was made.
    * Arithmetic with the numbers of samples is IEEE 754: where Python raises ZeroDivisionError or
      OverflowError, the result is inf or nan.
    """
    engine = _checked_engine(engine, checked_executor(executor, "fit"))
    samples, targets = matched(
        Rows(X, "fit: X") if is_table(X) else X, Rows(y, "fit: y") if is_table(y) else y, "fit"
    )
    _check_functions(model=model, loss=loss, penalty=penalty, on_epoch=on_epoch)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: optimizer must be an Optimizer, not {optimizer!r}; pass one of optim, such as "
            "optim.Adam(model.parameters())"
        )
    named = _named_metrics(metrics)
    task = Task(
        model,
        loss,
        samples,
        targets,
        optimizer,
        epochs=check_int(epochs, "fit: epochs", 0),
        batch_size=_positive_or_none(batch_size, "batch_size", "full batches"),
        shuffle=check_bool(shuffle, "fit: shuffle"),
        penalty=penalty,
        metrics=named,
        engine=engine,
        progress=check_bool(progress, "fit: progress"),
        rng=generator(rng),
        max_norm=None if max_norm is None else checked_limit(max_norm, "max_norm"),
        on_epoch=on_epoch,
        record_every=_positive_or_none(record_every, "record_every", "no snapshots"),
        history=History(list(named)),
        executor=executor,
    )
    _Run(task).run()
    if task.history.warning and not is_unwarned():
        warn(f"fit: {task.history.warning}; diagnose(history) says why", TrainingWarning)
    if progress and engine == "eager" and task.history.seconds:
        suggest_compiled(task.history.seconds[-1])
    return task.history


def _checked_engine(engine: str | None, executor: Executor | None) -> str:
    """Returns the engine, "eager" or "jit".

    Raises:
        ValueError: it is another one, or cannot use the executor.
    """
    if engine is None:
        return "eager" if executor is None else "jit"
    check_choice(engine, "fit: engine", ("eager", "jit"))
    if engine == "eager" and executor is not None:
        raise ValueError(
            'fit: executor needs engine="jit", not engine="eager", because workers run compiled '
            "programs; leave out engine, or leave out executor to train eagerly in this process"
        )
    return engine


def _advise(error: Exception, task: Task) -> None:
    """Adds to an error of a run with an executor what can be done."""
    if task.executor is None:
        return
    text = str(error)
    if isinstance(error, WorkerError):
        history = task.history
        left = task.epochs - history.epochs
        text += (
            f". Model and optimiser are those after {counted(len(history), 'step')}, in "
            f"{counted(history.epochs, 'whole epoch')}: to go on, call fit again with a new "
            f"executor, the same optimizer and epochs={left}"
        )
        error.args = (text,)
    elif (advice := 'engine="eager"') in text:
        error.args = (text.replace(advice, f"{advice} and without executor"),)


def _positive_or_none(x: int | None, name: str, meaning_of_none: str) -> int | None:
    remedy = f"pass None for {meaning_of_none}"
    return x if x is None else check_int(x, f"fit: {name}", 1, remedy, most=inf)


# what to pass, and the number of arguments that it is called with
_FUNCTIONS = {
    "model": ("pass a Module such as nn.MLP(2, [8, 1]), or a function of a sample", 1),
    "loss": ("pass a function of a prediction and a target, such as nn.mse", 2),
    "penalty": ("pass a function without arguments, lambda: nn.l2(model.parameters())", 0),
    "on_epoch": ("pass a function of the history, lambda history: history.loss[-1] < 0.1", 1),
}


def _check_functions(**functions: Any) -> None:
    """Checks that each argument can be called, or is None if it is optional.

    Raises:
        TypeError: one of them cannot be called, or not with the arguments that it is called with.
    """
    for name, function in functions.items():
        if function is not None or name not in ("penalty", "on_epoch"):
            check_function(function, f"fit: {name}", *_FUNCTIONS[name])


def _named_metrics(metrics: Mapping[str, Metric] | Iterable[Metric] | None) -> dict[str, Metric]:
    """Returns the metrics by name, with numbers for functions of the same name."""
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        for name, metric in metrics.items():
            remedy = "pass a function such as nn.accuracy"
            check_function(metric, f"fit: metrics[{name!r}]", remedy, 2)
        return dict(metrics)
    remedy = "pass functions such as nn.accuracy"
    functions: list[Any] = [metrics]
    if not callable(metrics):
        functions = check_list(metrics, "fit: metrics", "a list of functions", remedy)
    for i, metric in enumerate(functions):
        check_function(metric, f"fit: metrics[{i}]", remedy, 2)
    names = [getattr(metric, "__name__", "metric") for metric in functions]
    return {name if names.count(name) == 1 else f"{name} {i}": metric
            for i, (name, metric) in enumerate(zip(names, functions), 1)}


class _Run:
    """The loops of `fit`, over the epochs of a task and the steps of an epoch."""

    show: Callable[[History], None]  # draws the progress bar

    def __init__(self, task: Task) -> None:
        self.task = task
        self.history = task.history
        self.runner: Runner = EagerEngine(task)
        # the optimiser's steps before the step in progress, and whether one is in progress
        self._steps = task.optimizer.steps
        self._is_stepping = False
        if task.record_every is not None:
            self.history.training = TrainingRecord(
                task.model, task.loss, task.X, task.y, task.optimizer.params, task.record_every,
                task.optimizer, task.batch_size, task.penalty is not None, task.max_norm,
            )

    def run(self) -> None:
        """Makes all steps, or fewer if Ctrl-C ends the run."""
        task = self.task
        self._make_plain()
        start = Start(task.optimizer.params, task.optimizer.steps)
        try:
            try:
                bar = progress_bar(task.progress, task.steps, task.epochs)
                with mode(task.model, training=True), bar as self.show:
                    self._choose_engine()
                    self._run_epochs()
            finally:
                self.runner.sync()
        except Exception as error:
            start.judge(self.history, task.model)
            _advise(error, task)
            error.history = self.history  # type: ignore[attr-defined]
            if len(self.history):
                error.add_note(f"fit: {counted(len(self.history), 'step')} came before this error; "
                               "error.history has them")
            raise
        except KeyboardInterrupt:
            self.history.interrupted = True
            is_undone = self._is_stepping and task.optimizer.steps == self._steps
            self.history._truncate(len(self.history) - is_undone)
            if self.history.training is not None:
                self.history.training._settle(len(self.history))
        start.judge(self.history, task.model)

    def _choose_engine(self) -> None:
        """Compiles the task, if this was asked for and operations are not watched.

        Raises:
            ImportError: llvmlite is not installed.
            TraceError: the model, the loss or the penalty cannot be compiled.
        """
        reason = ""
        if self.task.engine == "jit" and self.task.epochs:
            if is_watched():
                reason = "inside detect_anomaly"
            elif not is_recording():
                reason = "inside no_grad"
            else:
                from .compiled import Engine

                self.runner = engine = Engine(self.task)
                reason = engine.reason
        self.history._runner = self.runner.name, reason

    # a function of its own: CPython 3.13 leaves the jump back of a loop out of a `try` around it
    def _run_epochs(self) -> None:
        task = self.task
        history = self.history
        is_unwatched = (
            task.batch_size is None
            and not task.metrics
            and task.max_norm is None
            and history.training is None
            and task.on_epoch is None
        )
        while history.epochs < task.epochs:
            if is_unwatched and self.runner.run_steps(task.epochs - history.epochs):
                self.show(history)
                continue
            self._epoch()
            if task.on_epoch is not None:
                self.runner.sync()
                if task.on_epoch(history):
                    break
                self._make_plain()
                for given in (task.X, task.y):
                    if isinstance(given, Rows):
                        given.read()
                self.runner.reread()

    def _make_plain(self) -> None:
        """Makes a float of every parameter's number, which may be a float32 of numpy."""
        params = self.task.optimizer.params
        assign_all(params, repeat("data"), read_numbers(params, "data"))

    def _epoch(self) -> None:
        task = self.task
        history = self.history
        totals = dict.fromkeys(task.metrics, 0.0)
        samples = len(task.X)
        for indices in batches_of_indices(samples, task.batch_size, task.shuffle, task.rng):
            self._step(indices, totals)
        for name, total in totals.items():
            history.metrics[name].append(total / samples)
        history.epoch_ends.append(len(history))
        self.show(history)

    def _step(self, indices: Sequence[int], totals: dict[str, float]) -> None:
        """Makes one step, and adds its metrics to ``totals``."""
        task = self.task
        history = self.history
        runner = self.runner
        value, predictions = runner.differentiate(indices)
        if task.metrics:
            runner.sync()
            for name, metric in task.metrics.items():
                totals[name] += sum(
                    number(metric(p, sample(task.y[i])), f"fit: what the metric {name} returns")
                    for p, i in zip(predictions, indices)
                )
            runner.refresh()
        if task.max_norm is not None:
            runner.clip(task.max_norm)
        rate = task.optimizer.lr
        self._steps = task.optimizer.steps
        self._is_stepping = True
        history.loss.append(value)
        history.learning_rates.append(rate)
        history.seconds.append(task.seconds)
        if history.training is None:
            runner.step()
        else:
            runner.sync()
            history.training._before_update(len(history))
            runner.step()
            runner.sync()
            history.training._after_update()
        self._is_stepping = False
        self.show(history)
