"""Questions about the gradient of a small graph: what is dy/da?"""

from __future__ import annotations

import random

from ...debug.recording import record
from ...debug.sentences import gradient
from ...engine.value import Value
from ...errors import counted
from ..misconceptions import BACKWARD, sweep
from .graphs import given, graph, leaves, statements
from .question import Question

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
    return about(y, leaf)


def about(y: Value, leaf: str) -> Question:
    """Returns the question about the gradient of a leaf of a graph after ``backward()``."""
    name = gradient(str(y.label), leaf)
    text = "\n".join([
        f"Given {given(y)}, this program computes {y.label}:",
        *[f"    {line}" for line in statements(y)],
        f"What is {name}, the gradient of {y.label} with respect to {leaf}?",
    ])
    recording = record(y)
    users = [step.words for step in recording[recording.forward:] if step.name == leaf]
    return Question(
        text=text,
        answer=next(node.grad for node in leaves(y) if node.label == leaf),
        wrong=wrong_answers(y)[leaf],
        solution=tuple([step.sentence for step in recording]),
        hints=(
            "Compute the numbers first, from top to bottom. Then go backwards, from "
            f"{gradient(str(y.label), str(y.label))} = 1.",
            f"{leaf} gets a gradient in {counted(len(users), 'step')}; each is the gradient that "
            "arrives times a local derivative.",
            f"The last of them: {users[-1]}",
        ),
        root=y,
    )


def wrong_answers(y: Value) -> dict[str, dict[float, str]]:
    """Returns for each leaf the wrong gradients, with the first misconception that gives each."""
    right = {str(leaf.label): leaf.grad for leaf in leaves(y)}
    found: dict[str, dict[float, str]] = {leaf: {} for leaf in right}
    for name in BACKWARD:
        for leaf, number in sweep(y, name).items():
            if leaf in right and number != right[leaf]:
                found[leaf].setdefault(number, name)
    return found


def _candidate(draw: random.Random, level: int) -> tuple[Value, str, dict[float, str]]:
    """Returns a graph, the leaf to ask for, and its wrong answers."""
    y = graph(level, draw)
    found = wrong_answers(y)
    leaf = max(found, key=lambda leaf: len(found[leaf]))
    return y, leaf, found[leaf]
