"""`Task`, what `fit` was asked to do, and `Runner`, the protocol of the engines that do it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..data.checks import sample
from ..optim import Optimizer
from .history import History

Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """The arguments of `fit`, checked, and the history of the run, which began at ``start``."""

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    X: Sequence[Any]
    y: Sequence[Any]
    optimizer: Optimizer
    epochs: int
    batch_size: int | None
    shuffle: bool
    penalty: Callable[[], Any] | None
    metrics: dict[str, Metric]
    engine: str
    progress: bool
    rng: random.Random
    max_norm: float | None
    on_epoch: Callable[[History], Any] | None
    record_every: int | None
    history: History
    executor: Executor | None = None
    start: float = field(default_factory=lambda: time.perf_counter())

    def sample(self, i: int) -> tuple[Any, Any]:
        """Returns a sample and its target, with Python's numbers."""
        return sample(self.X[i]), sample(self.y[i])

    @property
    def steps(self) -> int:
        """The number of steps in all epochs."""
        batches = 1 if self.batch_size is None else -(-len(self.X) // self.batch_size)
        return self.epochs * batches

    @property
    def seconds(self) -> float:
        """The time since the start of the run."""
        return time.perf_counter() - self.start


class Runner(Protocol):
    """An engine: it makes the steps of a task.

    The methods with a default are for an engine that has copies of the numbers of Values.
    """

    name: str

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Returns the mean loss of some samples, with the penalty, and their predictions.

        The engine then has the gradients.  The predictions are for metrics, and may be left out if
        there are none.
        """

    def clip(self, max_norm: float) -> None:
        """Clips the norm of the gradient, as `optim.clip_grad_norm` does."""

    def step(self) -> None:
        """Makes a step of the optimiser."""

    def run_steps(self, count: int) -> int:
        """Makes up to ``count`` steps of the full batch in one call, and returns how many.

        It is 0 if the next step must be made by itself.  The steps are added to the history.
        """
        return 0

    def sync(self) -> None:
        """Writes parameters, gradients and the optimiser's state to the Values, all at once."""
        return

    def refresh(self) -> None:
        """Reads again what a metric may have changed, after `sync`."""
        return

    def reread(self) -> None:
        """Reads again what ``on_epoch`` may have changed."""
        return
