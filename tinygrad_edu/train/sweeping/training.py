"""One training of a sweep: what a worker runs, and what it sends back.

Only the row travels.  Models, gradients and whatever else ``make`` made stay where it ran, and
trainings do not see each other: a ``make`` that trains a model from outside is refused.
"""

from __future__ import annotations

import platform
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import getclosurevars, ismethod
from math import inf, isnan
from pkgutil import resolve_name
from statistics import fmean
from time import perf_counter
from types import FunctionType, ModuleType
from typing import Any

from ...engine.value import Value
from ...errors import first_line, number, short_repr
from ...jit.parallel.tasks import arithmetic
from ...nn.module import Module
from ...optim import Optimizer
from ...optim.parameters import read_numbers
from ..history import History
from ..judgement import unwarned
from .jobs import name_of
from .rows import Row


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    row: its row; None if Ctrl-C ended it, or it was refused.
    refused: why ``make`` cannot be used in a sweep, else "".
    machine: where it ran.
    arithmetic: of the worker (`tasks.arithmetic`).
    """

    row: Row | None = None
    refused: str = ""
    machine: str = field(default_factory=platform.node)
    arithmetic: str = field(default_factory=arithmetic)


def run(make: Callable[..., Any], seed: int, settings: dict[str, Any]) -> Outcome:
    """Trains once, and returns the outcome; an error of the training is a row, too."""
    outside = _parameters_outside(make)
    before = {name: read_numbers(params, "data") for name, params in outside.items()}
    own = _ModuleRandom(seed)
    start = perf_counter()
    with unwarned(), own:
        try:
            outcome = _outcome(make(seed, **settings), name_of(make))
        except (Exception, SystemExit) as error:
            outcome = Outcome(_row_of_error(error))
    seconds = perf_counter() - start
    for name, params in outside.items():
        if read_numbers(params, "data") != before[name]:
            return Outcome(refused=(
                f"changes {name}, which was made outside of it: each training must begin with a "
                "model of its own, and what a worker trains stays in the worker; make it inside "
                f"{name_of(make)}"
            ))
    if own.was_disturbed:
        return Outcome(refused=(
            "draws numbers from the module random, which trainings in several threads share; pass "
            "rng=seed, or a random.Random(seed), to nn, data and fit, or use processes"
        ))
    if outcome.row is not None:
        row = replace(outcome.row, settings=settings, seed=seed, seconds=seconds)
        return Outcome(row)
    return outcome


def run_named(made: str, seed: int, settings: dict[str, Any]) -> Outcome:
    """Does the same with ``make`` by its name, so that a missing one does not end the worker."""
    return run(resolve_name(made), seed, settings)


def probe(made: Any) -> str:
    """Imports ``make`` in a worker, and returns "" or why it cannot be imported there."""
    if not isinstance(made, str):
        return ""
    try:
        resolve_name(made)
    except Exception as error:
        return first_line(error)
    return ""


def _outcome(result: Any, name: str) -> Outcome:
    """Returns the outcome of what ``make`` returned."""
    figures: Any = {}
    history = result
    if isinstance(result, tuple) and len(result) == 2:
        history, figures = result
    if not isinstance(history, History) or not isinstance(figures, Mapping):
        hint = " (a function without `return` gives None)" if result is None else ""
        return Outcome(refused=(
            "must return the History of fit, or a pair of it and a dict of figures, not "
            f"{type(result).__name__} ({short_repr(result)}){hint}; return the history, and save "
            f"whatever else {name} makes, as with nn.save(model, path)"
        ))
    if history.interrupted:
        return Outcome()
    metrics = {metric: values[-1] for metric, values in history.metrics.items() if values}
    for figure, value in figures.items():
        try:
            metrics[str(figure)] = number(value, f"the figure {figure!r} that {name} returns")
        except (TypeError, OverflowError) as error:
            return Outcome(refused=f"must return figures that are numbers: {error}")
    return Outcome(_row_of(history, metrics))


def _row_of(history: History, metrics: dict[str, float], error: str = "") -> Row:
    """Returns the row of a history, without settings, seed and seconds."""
    losses = _losses(history)
    # nan is larger than every number here, so that a loss that became nan is not the best one
    best = min(losses, key=lambda x: inf if isnan(x) else x, default=None)
    return Row(
        {}, 0,
        first_loss=history.loss[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        best_loss=best,
        metrics=metrics,
        steps=len(history),
        engine=history.engine,
        finding=history.finding,
        warning=history.warning,
        error=error,
    )


def _losses(history: History) -> list[float]:
    """Returns the mean loss of each epoch; of each step, if the run ended before an epoch did."""
    ends = history.epoch_ends
    if not ends:
        return history.loss
    return [fmean(history.loss[start:end]) for start, end in zip([0, *ends], ends)]


def _row_of_error(error: BaseException) -> Row:
    """Returns the row of a training that raised, with the steps before it if `fit` raised."""
    history = getattr(error, "history", None)
    if not isinstance(history, History):
        history = History()
    metrics = {name: values[-1] for name, values in history.metrics.items() if values}
    return _row_of(history, metrics, first_line(error))


def _parameters_outside(make: Any) -> dict[str, list[Value]]:
    """Returns the parameters that ``make`` reaches by its variables, by the name of each variable.

    Functions and objects of its own module that it reaches are searched, too.
    """
    found: dict[str, list[Value]] = {}
    waiting: list[tuple[str, Any]] = [("make", make)]
    seen: set[int] = set()
    home = getattr(getattr(make, "func", make), "__module__", None)
    while waiting:
        name, x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if params := _parameters(x):
            found[name] = params
        else:
            waiting += _parts(name, x, home)
    return found


def _parts(name: str, x: Any, home: str | None) -> list[tuple[str, Any]]:
    """Returns the variables of a function or an object of the module ``home``, with their names."""
    if isinstance(x, partial):
        return [(name, part) for part in (x.func, *x.args, *x.keywords.values())]
    if ismethod(x):
        return [(name, x.__self__), (name, x.__func__)]
    if isinstance(x, (type, ModuleType)) or getattr(x, "__module__", None) != home:
        return []
    if not isinstance(x, FunctionType):
        called = [("__call__", type(x).__call__)] if callable(x) else []
        return [*called, *getattr(x, "__dict__", {}).items()]
    parts = [("a default of make", part) for part in x.__defaults__ or ()]
    with suppress(ValueError):  # a variable of a closure that has no value yet
        used = getclosurevars(x)
        parts += [*used.nonlocals.items(), *used.globals.items()]
    return parts


def _parameters(x: Any) -> list[Value]:
    if isinstance(x, Module):
        return x.parameters()
    if isinstance(x, Optimizer):
        return list(x.params)
    entries = x if type(x) in (list, tuple) else [x]
    return [entry for entry in entries[:10_000] if isinstance(entry, Value)]


class _ModuleRandom:
    """The module `random` for one training: seeded with its seed, and put back afterwards.

    Threads of one process share the module.  If trainings at the same time drew from it, its
    numbers depended on the clock: ``was_disturbed`` is then True.
    """

    _lock = threading.Lock()
    _running: list[_ModuleRandom] = []  # noqa: RUF012
    _kept: Any = None  # the state before the first of those that are running
    _first: Any = None  # the state that it began with

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._is_shared = False
        self.was_disturbed = False

    def __enter__(self) -> None:
        kind = _ModuleRandom
        with kind._lock:
            if not kind._running:
                kind._kept = random.getstate()
                random.seed(self._seed)
                kind._first = random.getstate()
            kind._running.append(self)
            for each in kind._running:
                each._is_shared = len(kind._running) > 1 or each._is_shared

    def __exit__(self, *_: object) -> None:
        kind = _ModuleRandom
        with kind._lock:
            self.was_disturbed = self._is_shared and random.getstate() != kind._first
            kind._running.remove(self)
            if not kind._running:
                random.setstate(kind._kept)
