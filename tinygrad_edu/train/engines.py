"""Decides which engine makes the steps of `fit`, and says why if it is not the one asked for.

"auto" compiles a run that is long enough (`is_worth_compiling`), and only if both engines agree
on a step (`agrees`).  Whatever goes wrong in machine code, the eager engine can take over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..debug.anomaly import is_watched
from ..engine.interpreter import is_recording
from .eager import EagerEngine
from .samples import is_plain, structures

# nodes that the eager engine computes in a second or two; below it compiling takes longer
MIN_NODES_TO_COMPILE = 300_000
# eager computations of a sample that take as long as compiling it: below LONG_SAMPLE nodes, above
COMPILE_COST_IN_RUNS = (100, 5)
LONG_SAMPLE = 10_000
MAX_COUNTED_SAMPLES = 1_000  # samples whose structures are counted


def is_worth_compiling(eager: EagerEngine, steps: int, indices: Sequence[int]) -> bool:
    """Returns whether ``steps`` more steps like the first take clearly longer than compiling.

    ``indices`` are the samples of a step.  Nodes are counted and no time is measured, so the same
    run is always made on the same engine.
    """
    nodes = eager.nodes * steps
    if nodes <= MIN_NODES_TO_COMPILE:
        return False
    if not (is_plain(eager.X) and is_plain(eager.y)):
        return False  # its samples may change from step to step
    nodes_per_sample = eager.nodes / len(indices)
    kinds = structures(eager.X, eager.y, MAX_COUNTED_SAMPLES)
    runs = COMPILE_COST_IN_RUNS[nodes_per_sample > LONG_SAMPLE]
    return nodes > MIN_NODES_TO_COMPILE + kinds * nodes_per_sample * runs


def compiled(eager: EagerEngine, with_predictions: bool) -> tuple[Any, str]:
    """Returns the compiled engine and "", or the eager engine and why.

    Raises:
        ImportError: llvmlite is not installed.
        TraceError: the model, the loss or the penalty cannot be compiled.
    """
    if is_watched():
        return eager, "inside detect_anomaly"
    if not is_recording():
        return eager, "inside no_grad"
    from ..jit.running import objects

    if not objects.available():
        raise ImportError(
            'fit(engine="jit") needs llvmlite: pip install "tinygrad_edu[fast]", or pass '
            'engine="eager"'
        )
    from .compiled import Engine

    engine = Engine(eager, with_predictions)
    engine.verify()
    return engine, ""


def compiled_or_eager(eager: EagerEngine, with_predictions: bool) -> tuple[Any, str]:
    """Returns the compiled engine and "", or the eager engine and why, whatever went wrong."""
    try:
        return compiled(eager, with_predictions)
    except Exception as error:
        return eager, _reason(error)


def agrees(engine: Any, indices: Sequence[int], loss: float) -> bool:
    """Returns whether the compiled engine finds what the eager one has found for these samples."""
    try:
        return bool(engine.agrees(indices, loss))
    except Exception:
        return False


def differentiate_or_none(
    engine: Any, indices: Sequence[int], is_first: bool, must_compile: bool
) -> tuple[tuple[float, list[Any]] | None, str]:
    """Returns the loss and predictions of the compiled engine, or None and why.

    If it is None, the step must be repeated eagerly: either the eager engine finds out what is
    wrong, or nothing is wrong outside of machine code.  If the run ``must_compile``, errors of
    the compiled engine are raised.
    """
    try:
        found: tuple[float, list[Any]] = engine.differentiate(indices)
        if engine.is_sound(found[0], is_first):
            return found, ""
        return None, "loss or gradient was inf or nan in machine code"
    except Exception as error:
        if must_compile:
            raise
        return None, _reason(error)


def _reason(error: Exception) -> str:
    """Returns the first line of an error without its remedy."""
    return str(error).partition("\n")[0].partition("; ")[0] or type(error).__name__
