"""Questions about the value of a small graph: what is y?"""

from __future__ import annotations

import random

from ....debug.recording import record
from ....engine.value import Value
from ...misconceptions import FORWARD, forward
from ..answers import distinct
from ..candidates import best_of
from ..graphs import graph, program
from ..question import Question

ATTEMPTS = 30  # graphs among which one with enough wrong answers is looked for
WANTED = 3  # wrong answers


def make(draw: random.Random, level: int) -> Question:
    """Returns the question about a graph whose value many misconceptions get wrong."""
    y, wrong = best_of(lambda: _candidate(draw, level), ATTEMPTS, WANTED)
    recording = record(y)
    steps = recording[:recording.forward]
    return Question(
        text=f"{program(y)}\nWhat is y?",
        answer=y.data,
        wrong=wrong,
        solution=tuple([step.sentence for step in steps]),
        hints=(
            "Go from top to bottom, and write the number of each line behind it.",
            f"The first line is: {steps[0].words}.",
            f"The last line is: {steps[-1].words.rpartition(' = ')[0]}.",
        ),
        root=y,
        hide=("data", "grad", "derivative"),
    )


def _candidate(draw: random.Random, level: int) -> tuple[Value, dict[float | str, str]]:
    """Returns a graph, and the wrong values of its root."""
    y = graph(level, draw, every_gradient=False)
    recording = record(y)
    return y, distinct(y.data, [(forward(recording, name)["y"], name) for name in FORWARD])
