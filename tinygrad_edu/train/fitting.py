"""`fit`: gradient descent on a model, by mini-batches or full batches, and `History`: what
happened.

One step is what one writes by hand::

    loss = sum(nn.hinge(model(x), y) for x, y in batch) * (1 / len(batch)) + penalty()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from .. import data
from ..debug.explain import explain_nonfinite
from ..engine import modes
from ..engine.graph import topological_order
from ..engine.modes import keeping_lines
from ..engine.value import Value
from ..errors import DataError, NonFiniteError, counted
from ..files import from_json, to_json, write_atomically
from ..nn.module import mode
from ..optim import Optimizer, clip_grad_norm
from ..optim.clipping import checked_limit
from ..randomness import Rng, generator
from .snapshots import Recorder, TrainingRecord

Metric = Callable[[Any, Any], Any]
FORMAT, VERSION = "tinygrad_edu history", 1


class History:
    """What happened in a run of `fit`.

    loss             the loss of every step, penalty included, taken before the step's update
    learning_rates   the learning rate of every step
    seconds          the time from the start of the run to the end of every step
    metrics          for each metric its mean over the samples of every epoch, taken as they were
                     trained on
    epochs           the number of whole epochs done
    epoch_ends       the number of steps done at the end of each of them
    interrupted      whether Ctrl-C ended the run
    engine           which engine made how many steps, and why if it was not the one asked for:
                     ``"eager, 320 steps"``, ``"jit, 998 of 1,000 steps; eager, 2: before the model
                     was compiled"``; "" before the first step
    training         with ``record_every=``, the model and snapshots of its parameters, a
                     `snapshots.TrainingRecord`; else None.  It is for this process only: equality,
                     `to_json`, `save` and pickle leave it out
    """

    def __init__(self, metrics: Iterable[str] = ()) -> None:
        self.loss: list[float] = []
        self.learning_rates: list[float] = []
        self.seconds: list[float] = []
        self.metrics: dict[str, list[float]] = {name: [] for name in metrics}
        self.epoch_ends: list[int] = []
        self.interrupted = False
        self.training: TrainingRecord | None = None
        # from which step on which engine ran, and why
        self._engines: list[tuple[int, str, str]] = []
        self._read_engine = ""  # of a history that was read from a file

    @property
    def engine(self) -> str:
        """Which engine made how many steps, and why if it was not the one asked for."""
        if not self._engines:
            return self._read_engine
        steps: dict[str, int] = {}
        reasons: dict[str, str] = {}
        ends = [*[start for start, _, _ in self._engines[1:]], len(self)]
        for (start, name, reason), end in zip(self._engines, ends):
            if reason:
                reasons[name] = f": {reason}"
            if made := max(0, min(end, len(self)) - start):
                steps[name] = steps.get(name, 0) + made
        most, *others = sorted(steps, key=lambda name: -steps[name]) or [""]
        if not most:
            return ""
        count = f"{steps[most]:,} of " if others else ""
        count += "1 step" if len(self) == 1 else f"{len(self):,} steps"
        return "; ".join([f"{most}, {count}{reasons.get(most, '')}",
                          *[f"{name}, {steps[name]:,}{reasons.get(name, '')}" for name in others]])

    def _runs_on(self, engine: str, reason: str = "") -> None:
        """Notes that the next steps run on this engine."""
        self._engines.append((len(self), engine, reason))

    @property
    def epochs(self) -> int:
        """The number of whole epochs done."""
        return len(self.epoch_ends)

    def __len__(self) -> int:
        return len(self.loss)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if not self.loss:
            return f"History(no steps{', interrupted' if self.interrupted else ''})"
        metrics = "".join(
            f", {name} {values[-1]:.4g}" for name, values in self.metrics.items() if values
        )
        done = f"{counted(len(self), 'step')}, {counted(self.epochs, 'epoch')}"
        return (
            f"History({done} in {self.seconds[-1]:.3g} s: "
            f"loss {self.loss[0]:.4g} -> "
            f"{self.loss[-1]:.4g}{metrics}{', interrupted' if self.interrupted else ''}"
            f"{f'; {self.engine}' if self.engine else ''})"
        )

    def to_json(self) -> str:
        """The history as JSON text; inf and nan, which JSON does not know, as text inside it."""
        return json.dumps(
            {
                "format": FORMAT,
                "version": VERSION,
                "engine": self.engine,
                "epoch_ends": self.epoch_ends,
                "interrupted": self.interrupted,
                "loss": _encoded(self.loss),
                "learning_rates": _encoded(self.learning_rates),
                "seconds": _encoded(self.seconds),
                "metrics": {name: _encoded(values) for name, values in self.metrics.items()},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> History:
        """The history that `to_json` wrote; raises DataError if ``text`` is anything else."""
        try:
            content = json.loads(text)
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(
                    f"it says format {content['format']!r}, version {content['version']!r}"
                )
            history = cls()
            history.epoch_ends, history.interrupted = content["epoch_ends"], content["interrupted"]
            history._read_engine = content.get("engine", "")
            history.loss, history.seconds = _decoded(content["loss"]), _decoded(content["seconds"])
            history.learning_rates = _decoded(content["learning_rates"])
            history.metrics = {
                name: _decoded(values) for name, values in content["metrics"].items()
            }
            ends = [n for n in history.epoch_ends if type(n) is int and 0 < n <= len(history)]
            if (
                not len(history.loss) == len(history.seconds) == len(history.learning_rates)
                or history.epoch_ends != sorted(ends)
                or not isinstance(history.interrupted, bool)
                or not isinstance(history.engine, str)
            ):
                raise ValueError("its parts do not fit together")
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"not a history of tinygrad_edu, version {VERSION}, or damaged: {error}"
            ) from None
        return history

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes `to_json` to a file and returns its path; OSError if that is not possible."""
        return write_atomically(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """The history in a file that `save` wrote; raises DataError for any other content, OSError
        without a file."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (DataError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: {error}") from None


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
    """Trains ``model`` on the samples ``X`` with targets ``y`` and returns the `History`.

    model        ``model(X[i])`` is a prediction; a `Module` is in training mode meanwhile
    loss         ``loss(prediction, target)`` of one sample; it is averaged over the batch
    optimizer    steps after every batch
    epochs       how often every sample is used
    batch_size   samples a step; None: all of them, one step an epoch.  The last batch of an epoch
                 may be smaller
    shuffle      whether every epoch has a new order; a full batch has none
    penalty      ``penalty()`` is added to the loss once a step: ``lambda: 1e-4 *
                 nn.l2(model.parameters())``
    metrics      functions ``metric(prediction, target)``, such as `nn.accuracy`; or a dict with
                 names for them
    engine       "eager": the program as it stands, the default; "jit": machine code, often a
                 hundred times as fast, see below; "auto": eager at first, then machine code if
                 llvmlite is installed, the training is long and both give the same in a step.
                 `History.engine` says what ran
    progress     whether to show a progress bar on the terminal
    rng          a `random.Random` or a seed for the shuffles; by default the module `random`
    max_norm     the gradient's norm is clipped to it before every step (`optim.clip_grad_norm`);
                 None: it is not
    on_epoch     called with the history after every epoch; training ends when it returns something
                 true
    record_every keep snapshots of the parameters and gradients in ``history.training``: of step 1,
                 of every multiple of this number of steps, and of the last step; in a long training
                 fewer, so that memory stays bounded (`snapshots.TrainingRecord`).  None: keep none

    **When to ask for "jit"** (with the extra `fast`): if model, loss and penalty compute their
    results from parameters, samples, targets and plain numbers that stay what they are, and change
    nothing.  Then the losses are the eager ones but for the rounding of sums, some 1e-16 a step.
    That is magnified where a relu or a hinge is met exactly at its kink, and by Adam and RMSprop
    where a gradient is exactly 0.

    * TraceError, which names the cause: for what changes an attribute or a variable when it is
      called (running means, counters, the last output), draws random numbers other than by
      `nn.Dropout`, or branches on a traced number.  Model and random generators are then as they
      were.
    * Computations with ``optimizer.steps`` are repeated at every step, and leaves that are not
      trained are read again: keep in one what changes often.  Other plain numbers are read before
      the first step, and again after ``on_epoch``, when model, loss, penalty, parameters and
      samples are compared with what was compiled, and compiled again if they differ ("auto" goes on
      eagerly).  What changes at other times is not noticed.
    * Metrics see the parameters and gradients of the step, and change none; a learning-rate
      schedule does not see them.  Division by zero gives inf or nan, for plain numbers, too.
      Leaves that the optimizer does not have get no gradient.

    Ctrl-C ends the training; the history then says so and has all finished steps, and snapshots of
    no other ones.  The parameters are those after the last finished step.

    Raises NonFiniteError, before any parameter is spoilt, when the loss or a gradient is inf or
    nan.  It says in which step, and what `explain_nonfinite` finds, with the line of the program,
    for which the batch is computed once more; and it has the history in ``.history``.  Within
    `detect_anomaly` it is that one's error.  Raises ValueError for lists of different lengths, no
    samples, sizes below 1, and an optimizer whose parameters the loss does not use; TypeError for
    what cannot be called, and for a loss that is no Value; with engine="jit" ImportError if
    llvmlite is not installed, and TraceError (a TypeError) for what cannot be compiled.
    """
    if engine not in ("auto", "eager", "jit"):
        raise ValueError(f"unknown engine {engine!r}; choose 'eager', 'jit' or 'auto'")
    if len(X) != len(y):
        raise ValueError(f"{len(X)} samples but {len(y)} targets; give one target for each sample")
    if len(X) == 0:
        raise ValueError("there are no samples to train on")
    if not isinstance(epochs, int) or epochs < 0:
        raise ValueError(f"epochs is {epochs!r}; it must be a whole number, 0 or more")
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise ValueError(
            f"batch_size is {batch_size!r}; it must be a whole number of at least 1, or None for "
            "full batches"
        )
    if record_every is not None and (
        not isinstance(record_every, int) or isinstance(record_every, bool) or record_every < 1
    ):
        raise ValueError(
            f"record_every is {record_every!r}; it must be a whole number of steps, at least 1, "
            "or None for no snapshots"
        )
    for name, function in (
        ("model", model),
        ("loss", loss),
        ("penalty", penalty),
        ("on_epoch", on_epoch),
    ):
        if not callable(function) and (function is not None or name in ("model", "loss")):
            raise TypeError(f"{name} is {function!r}, which cannot be called; give a function")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer is {optimizer!r}; make one of optim, such as optim.Adam(model.parameters())"
        )
    named = _named_metrics(metrics)
    history = History(named)
    source = generator(rng)
    steps_per_epoch = 1 if batch_size is None else -(-len(X) // batch_size)
    done_before = optimizer.steps
    recorder = None
    if record_every is not None:
        history.training = TrainingRecord(
            model, loss, X, y, optimizer.params, record_every, optimizer
        )
        recorder = Recorder(history.training)

    if max_norm is not None:
        max_norm = checked_limit(max_norm, "max_norm")
    eager = _Eager(model, loss, X, y, optimizer, penalty, history)
    steps: Any = eager
    began = time.perf_counter()

    def switch(to: Any, reason: str = "") -> None:
        nonlocal steps
        steps = to
        history._runs_on(to.name, reason)

    # a function of its own: CPython 3.13 leaves the jump back of a loop out of a `try` around it
    def run() -> None:
        start, order = began, range(len(X))
        everything = [(order, order)] if batch_size is None else []
        unwatched = (
            batch_size is None
            and not named
            and max_norm is None
            and recorder is None
            and on_epoch is None
        )
        with mode(model, training=True), _bar(progress, epochs * steps_per_epoch, epochs) as show:
            switch(*_compiled(eager, bool(named)) if epochs and engine == "jit" else (eager,))
            while history.epochs < epochs:
                if (
                    unwatched
                    and steps is not eager
                    and steps.several(epochs - history.epochs, history, start)
                ):
                    show(history)
                    continue
                totals = dict.fromkeys(named, 0.0)
                for indices, _ in everything or data.batches(
                    order, order, batch_size, shuffle=shuffle, rng=source
                ):
                    rate, first = optimizer.lr, not history.loss
                    found, reason = (
                        _tried(steps, indices, first, engine) if steps is not eager else (None, "")
                    )
                    if found is None and steps is not eager:
                        steps.sync()
                        switch(eager, reason)
                    candidate, refusal = eager, ""
                    if engine == "auto" and len(history) == 1 and \
                            eager.is_worth_compiling(epochs * steps_per_epoch - 2, indices):
                        # before the model runs, which may keep a result
                        candidate, refusal = _attempted(eager, bool(named))
                    value, predictions = found or eager.differentiate(indices)
                    if candidate is not eager and not _agrees(candidate, indices, value):
                        candidate, refusal = (
                            eager,
                            "loss or gradient of step 1 was not that of the eager engine",
                        )
                    if refusal:
                        switch(eager, refusal)
                    if named:
                        steps.sync()
                    for name, metric in named.items():
                        totals[name] += sum(
                            float(metric(p, y[i])) for p, i in zip(predictions, indices)
                        )
                    if max_norm is not None:
                        steps.clip(max_norm)
                    history.loss.append(value)
                    history.learning_rates.append(rate)
                    history.seconds.append(time.perf_counter() - start)
                    if recorder is not None:
                        steps.sync()
                        recorder.before_update(len(history))
                    steps.step()
                    if recorder is not None:
                        steps.sync(stepped=True)
                        recorder.after_update()
                    if candidate is not eager:
                        switch(eager, "before the model was compiled")
                        switch(candidate)
                        steps.refresh()
                    show(history)
                for name, total in totals.items():
                    history.metrics[name].append(total / len(X))
                history.epoch_ends.append(len(history))
                show(history)
                if on_epoch is not None:
                    steps.sync(stepped=True)
                    if on_epoch(history):
                        break
                    if steps.is_current():
                        steps.refresh()
                    elif engine == "jit":
                        switch(*_compiled(eager, bool(named)))
                    else:
                        switch(
                            eager,
                            "on_epoch changed the model, the loss or the penalty after epoch "
                            f"{history.epochs}",
                        )

    try:
        try:
            run()
        finally:
            if steps is not eager:
                steps.settle(history, began)
            steps.sync(stepped=True)
    except KeyboardInterrupt:
        history.interrupted = True
        _cut(history, optimizer.steps - done_before)
        if recorder is not None:
            recorder.settle(len(history))
    if progress and engine == "eager" and history.seconds and history.seconds[-1] > LONG:
        from rich.console import Console

        Console().print(
            f'{history.seconds[-1]:.0f} s on the eager engine; engine="jit" may be much faster: '
            'see fit',
            markup=False,
            highlight=False,
        )
    return history


class _Eager:
    """The steps of `fit`, as one writes them by hand.  `jit.training.Engine` does the same,
    compiled."""

    name = "eager"

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss: Callable[[Any, Any], Any],
        X: Sequence[Any],
        y: Sequence[Any],
        optimizer: Optimizer,
        penalty: Callable[[], Any] | None,
        history: History,
    ) -> None:
        self.model, self.loss, self.X, self.y = model, loss, X, y
        self.optimizer, self.penalty, self.history = optimizer, penalty, history
        self.nodes = 0  # of the first step's graph

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """The loss of some samples and their predictions; the parameters then have its gradients.
        """
        optimizer, penalty, history = self.optimizer, self.penalty, self.history

        def forward() -> tuple[Value, list[Any]]:
            predictions = [self.model(self.X[i]) for i in indices]
            total = sum(self.loss(p, self.y[i]) for p, i in zip(predictions, indices)) * (
                1.0 / len(indices)
            )
            if not isinstance(total, Value):
                raise TypeError(
                    f"the loss is {total!r}, which depends on no Value; the loss function must use "
                    "the prediction"
                )
            return (total if penalty is None else total + penalty()), predictions

        try:
            total, predictions = forward()
            if not math.isfinite(total.data):
                raise _nonfinite(f"the loss is {total.data}", total, forward)
            if not len(history):
                self.nodes = len(order := topological_order(total, constants=False))
            if not len(history) and set(optimizer.params).isdisjoint(order):
                raise ValueError(
                    "the loss depends on none of the optimizer's parameters; make the optimizer "
                    "with those of "
                    "this model"
                )
            optimizer.zero_grad()
            total.backward()
            for i, parameter in enumerate(optimizer.params):
                if not math.isfinite(parameter.grad):
                    name = str(parameter.label) or f"number {i} of the optimiser's list"
                    raise _nonfinite(
                        f"the gradient of parameter {name} is {parameter.grad}", total, forward
                    )
        except NonFiniteError as error:  # of those above, or within `detect_anomaly`
            remedy = (
                "  A smaller learning rate, gradient clipping or scaled inputs usually help."
                if history.loss
                else ""
            )
            error.args = (f"step {len(history)}, epoch {history.epochs}: {error}\n"
                          f"No parameter was changed by this step.{remedy}",)
            error.history = history
            raise
        return total.data, predictions

    def clip(self, max_norm: float) -> None:
        """Clips the gradient's norm."""
        clip_grad_norm(self.optimizer.params, max_norm)

    def step(self) -> None:
        """The optimiser's step."""
        self.optimizer.step()

    def sync(self, stepped: bool = False) -> None:
        """The parameters are Values anyway."""

    def refresh(self) -> None:
        """The parameters are Values anyway."""

    def is_current(self) -> bool:
        """It has kept nothing that could have changed."""
        return True

    def is_worth_compiling(self, steps: int, indices: Sequence[int]) -> bool:
        """Whether so many more steps like the first one, of these samples, take clearly longer than
        to compile them.

        Decided by counting, so that the same training is always run in the same way.
        """
        if self.nodes * steps <= WORTH:
            return False
        from .samples import is_plain, structures

        if not (is_plain(self.X) and is_plain(self.y)):
            return False  # its samples may be others each time
        nodes, kinds = self.nodes / len(indices), structures(self.X, self.y, LOOKED_AT)
        return self.nodes * steps > WORTH + kinds * nodes * COMPILING[nodes > SHORT]


# nodes that the eager engine computes in a second or two: below that it is not worth while to
# compile
WORTH = 300_000
# eager computations of a sample that take as long as compiling it, below SHORT nodes and above
COMPILING = 100, 5
SHORT = 10_000
LONG = 10.0  # seconds of an eager training, after which the compiled engine is mentioned
LOOKED_AT = 1_000  # samples whose structures are counted


def _compiled(eager: _Eager, with_predictions: bool) -> tuple[Any, str]:
    """The compiled engine, or the eager one and why.  Raises TraceError for what cannot be
    compiled."""
    for bit, name in ((modes.ANOMALY, "detect_anomaly"), (modes.NO_GRAD, "no_grad")):
        if modes.current() & bit:
            return eager, f"inside {name}"
    from ..jit.running import objects

    if not objects.available():
        raise ImportError(
            'fit(engine="jit") needs llvmlite: pip install "tinygrad_edu[fast]", or say '
            'engine="eager"'
        )
    from .compiled import Engine

    engine = Engine(
        eager.model, eager.loss, eager.X, eager.y, eager.optimizer, eager.penalty, with_predictions
    )
    engine.verify()
    return engine, ""


def _attempted(eager: _Eager, with_predictions: bool) -> tuple[Any, str]:
    """The compiled engine, or the eager one and why that cannot be."""
    try:
        return _compiled(eager, with_predictions)
    except Exception as error:  # whatever it is, the eager engine goes on
        return eager, _reason(error)


def _reason(error: Exception) -> str:
    """The first line of an error, without its remedy, as the reason for going on eagerly."""
    return str(error).partition("\n")[0].partition("; ")[0] or type(error).__name__


def _agrees(engine: Any, indices: Sequence[int], loss: float) -> bool:
    """Whether the compiled engine finds the same as the eager one, which has just differentiated
    this batch."""
    try:
        return bool(engine.agrees(indices, loss))
    except Exception:
        return False


def _tried(steps: Any, indices: Sequence[int], first: bool, engine: str
           ) -> tuple[tuple[float, list[Any]] | None, str]:
    """What the compiled engine finds; or None, and why the eager one has to look: it says what is
    wrong, or knows better."""
    try:
        found: tuple[float, list[Any]] = steps.differentiate(indices)
        if steps.is_sound(found[0], first):
            return found, ""
        return None, "loss or gradient was inf or nan in machine code"
    except Exception as error:
        if engine == "jit":
            raise
        return None, _reason(error)


def _nonfinite(what: str, total: Value, forward: Callable[[], tuple[Value, Any]]) -> NonFiniteError:
    """The error for a loss, or a gradient of it, that is inf or nan.

    To keep the line of every operation costs time, so that the batch is computed once more for it.
    """
    explanation = explain_nonfinite(total)
    try:
        with keeping_lines():
            again = explain_nonfinite(forward()[0])
    except Exception:  # the model cannot be run twice: then there is no line to tell
        again = None
    if explanation and again and again.operation == explanation.operation:
        explanation = replace(explanation, line=again.line)
    error = NonFiniteError(f"{what}\n{explanation}" if explanation else what)
    error.explanation, error.line = explanation, explanation.line if explanation else None
    return error


def _cut(history: History, steps: int) -> None:
    """Leaves of an interrupted run the steps that the optimiser finished, and whole epochs."""
    for entries in (history.loss, history.learning_rates, history.seconds):
        del entries[steps:]
    for values in history.metrics.values():
        del values[history.epochs:]


def _named_metrics(metrics: Mapping[str, Metric] | Iterable[Metric] | None) -> dict[str, Metric]:
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
                f"a metric is {metric!r}, which cannot be called; give functions such as "
                "nn.accuracy"
            )
    names = [getattr(metric, "__name__", "metric") for metric in functions]
    return {name if names.count(name) == 1 else f"{name} {i}": metric
            for i, (name, metric) in enumerate(zip(names, functions), 1)}


class _Show(Protocol):
    def __call__(self, history: History) -> None: ...


@contextmanager
def _bar(wanted: bool, steps: int, epochs: int) -> Iterator[_Show]:
    """A function that shows the latest loss and metrics; on a terminal, in a progress bar."""
    if not wanted:
        yield lambda history: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    ) as progress:  # names of metrics may have brackets
        def count(epoch: int) -> str:
            return f"epoch {epoch}/{epochs}" if epochs > 1 else "steps"

        task = progress.add_task(count(0), total=steps, figures="")

        def show(history: History) -> None:
            figures = [f"loss {history.loss[-1]:.4g}"] if history.loss else []
            figures += [
                f"{name} {values[-1]:.3g}" for name, values in history.metrics.items() if values
            ]
            figures += [history.engine.partition(": ")[0]] if history.engine else []
            progress.update(
                task,
                completed=len(history),
                description=count(history.epochs),
                figures="  ".join(figures),
            )

        yield show


def _encoded(numbers: Sequence[float]) -> list[float | str]:
    return [to_json(x) for x in numbers]


def _decoded(entries: Any) -> list[float]:
    if not isinstance(entries, list):
        raise ValueError(f"{entries!r} is not a list")
    return [from_json(entry) for entry in entries]
