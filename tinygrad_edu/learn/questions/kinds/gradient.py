"""Questions about the gradient of a small graph: what is dy/da?"""

from __future__ import annotations

import random

from ....debug.recording import record
from ....debug.sentences import gradient
from ....engine.value import Value
from ....errors import counted
from ...misconceptions import BACKWARD, sweep
from ..answers import distinct
from ..graphs import graph, leaves, on_paths, program
from ..question import Question

ATTEMPTS = 30  # graphs among which one with enough wrong answers is looked for


def make(draw: random.Random, level: int) -> Question:
    """Returns the question for the leaf that most misconceptions get wrong."""
    y, leaf, wrong = _candidate(draw, level)
    wanted = 3 if level > 2 else 2
    for _ in range(ATTEMPTS):
        if len(wrong) >= wanted:
            break
        other = _candidate(draw, level)
        if len(other[2]) > len(wrong):
            y, leaf, wrong = other
    name = gradient("y", leaf)
    recording = record(y)
    steps = recording[recording.forward:]
    users = [step.words for step in steps if step.name == leaf]
    each = "It is" if len(users) == 1 else "Each is"
    return Question(
        text=f"{program(y)}\nWhat is {name}, the gradient of y with respect to {leaf}?",
        answer=next(node.grad for node in leaves(y) if node.label == leaf),
        wrong=wrong,
        solution=tuple([step.sentence for step in recording]),
        hints=(
            "Compute the numbers first, from top to bottom. Then go backwards from dy/dy = 1.",
            f"{leaf} gets a gradient in {counted(len(users), 'step')}. {each} the gradient that "
            "arrives from above, times a local derivative.",
            f"The last step to {leaf} is: {users[-1]}",
        ),
        root=y,
        involved=on_paths(recording, leaf),
    )


def _candidate(draw: random.Random, level: int) -> tuple[Value, str, dict[float | str, str]]:
    """Returns a graph, the leaf to ask for, and its wrong answers."""
    y = graph(level, draw)
    swept = {name: sweep(y, name) for name in BACKWARD}
    found = {
        str(leaf.label): distinct(
            leaf.grad, [(swept[name][str(leaf.label)], name) for name in BACKWARD]
        )
        for leaf in leaves(y)
    }
    leaf = max(found, key=lambda leaf: len(found[leaf]))
    return y, leaf, found[leaf]
