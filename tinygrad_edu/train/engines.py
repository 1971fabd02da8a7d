"""Decides which engine makes the steps of `fit`, and says why if it is not the one asked for.

"auto" compiles a run that is long enough (`is_worth_compiling`), and only if both engines agree
on a step.  Whatever goes wrong in machine code, the eager engine can take over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..debug.anomaly import is_watched
from ..engine.interpreter import is_recording
from .compiled.samples import is_plain, structures
from .eager import EagerEngine
from .task import Runner, Task

# nodes that the eager engine computes in a second or two; below it compiling takes longer
MIN_NODES_TO_COMPILE = 300_000
# eager computations of a sample that take as long as compiling it: below LONG_SAMPLE nodes, above
COMPILE_COST_IN_RUNS = (100, 5)
LONG_SAMPLE = 10_000
MAX_COUNTED_SAMPLES = 1_000  # samples whose structures are counted


class Engines:
    """The engines of a task.

    runner: the one that makes the next step.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.eager = EagerEngine(task)
        self.runner: Runner = self.eager
        self._candidate: Runner = self.eager  # makes the steps after this one

    def start(self) -> None:
        """Chooses the engine of the first step.

        Raises:
            ImportError: llvmlite is not installed.
            TraceError: the model, the loss or the penalty cannot be compiled.
        """
        if self.task.epochs and self.task.engine == "jit":
            self._switch(*self._compiled())
        else:
            self._switch(self.eager)

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Returns the loss and predictions of some samples, on the engine that can find them."""
        if self.runner is not self.eager:
            found = self._differentiate_or_none(indices)
            if found is not None:
                return found
        # compiled before the model runs, which may keep a result
        candidate, reason = self._compiled_or_eager(indices)
        found = self.eager.differentiate(indices)
        try:
            agrees = candidate.agrees(indices, found[0])
        except Exception:
            agrees = False
        if not agrees:
            candidate = self.eager
            reason = "in step 1 both engines had different losses or gradients"
        if reason:
            self._switch(self.eager, reason)
        self._candidate = candidate
        return found

    def end_step(self) -> None:
        """Continues with the compiled engine, if the task was compiled in this step."""
        if self._candidate is not self.eager:
            self._switch(self.eager, "before the model was compiled")
            self._switch(self._candidate)
            self.runner.refresh()
            self._candidate = self.eager

    def reread(self) -> None:
        """Reads again what ``on_epoch`` may have changed, and compiles again if necessary."""
        if self.runner.is_current():
            self.runner.refresh()
        elif self.task.engine == "jit":
            self._switch(*self._compiled())
        else:
            self._switch(
                self.eager,
                "on_epoch changed the model, the loss or the penalty after epoch "
                f"{self.task.history.epochs}",
            )

    def _switch(self, engine: Runner, reason: str = "") -> None:
        """Runs the next steps on this engine."""
        self.runner = engine
        self.task.history._runs_on(engine.name, reason)

    def _compiled(self) -> tuple[Runner, str]:
        """Returns the compiled engine and "", or the eager engine and why.

        Raises:
            Others: see `start`.
        """
        if is_watched():
            return self.eager, "inside detect_anomaly"
        if not is_recording():
            return self.eager, "inside no_grad"
        from ..jit.running import objects

        if not objects.available():
            raise ImportError(
                'fit(engine="jit") needs llvmlite: pip install "tinygrad_edu[fast]", or pass '
                'engine="eager"'
            )
        from .compiled import Engine

        engine = Engine(self.task)
        engine.verify()
        return engine, ""

    def _differentiate_or_none(self, indices: Sequence[int]) -> tuple[float, list[Any]] | None:
        """Returns the loss and predictions of the compiled engine, or None, and switches.

        The step must then be repeated eagerly: either the eager engine finds out what is wrong, or
        nothing is wrong outside of machine code.
        """
        try:
            found = self.runner.differentiate(indices)
            if self.runner.is_sound(found[0]):
                return found
            reason = "loss or gradient was inf or nan in machine code"
        except Exception as error:
            if self.task.engine == "jit":
                raise
            reason = _reason(error)
        self.runner.sync()
        self._switch(self.eager, reason)
        return None

    def _compiled_or_eager(self, indices: Sequence[int]) -> tuple[Runner, str]:
        """Returns the engine for the steps after this one and, if compiling failed, why."""
        is_asked = self.task.engine == "auto" and len(self.task.history) == 1
        try:
            if is_asked and is_worth_compiling(self.eager, indices):
                return self._compiled()
        except Exception as error:
            return self.eager, _reason(error)
        return self.eager, ""


def is_worth_compiling(eager: EagerEngine, indices: Sequence[int]) -> bool:
    """Returns whether the steps after the second one take clearly longer than compiling.

    ``indices`` are the samples of a step.  Nodes are counted and no time is measured, so the same
    run is always made on the same engine.
    """
    task = eager.task
    nodes = eager.nodes * (task.steps - 2)
    if nodes <= MIN_NODES_TO_COMPILE:
        return False
    if not (is_plain(task.X) and is_plain(task.y)):
        return False  # its samples may change from step to step
    nodes_per_sample = eager.nodes / len(indices)
    kinds = structures(task.X, task.y, MAX_COUNTED_SAMPLES)
    runs = COMPILE_COST_IN_RUNS[nodes_per_sample > LONG_SAMPLE]
    return nodes > MIN_NODES_TO_COMPILE + kinds * nodes_per_sample * runs


def _reason(error: Exception) -> str:
    """Returns the first line of an error without its remedy."""
    return str(error).partition("\n")[0].partition("; ")[0] or type(error).__name__
