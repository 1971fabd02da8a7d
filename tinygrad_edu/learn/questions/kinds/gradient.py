"""Questions about the gradient of a small graph: what is dy/da?"""

from __future__ import annotations

import random
from itertools import combinations

from ....debug.recording import Recording, record
from ....debug.sentences import gradient
from ....debug.text import short_number
from ....engine.value import Value
from ....errors import counted
from ...misconceptions import BACKWARD, sweep
from ..answers import distinct
from ..candidates import best_of
from ..graphs import contribution, graph, leaves, on_paths, paths, program
from ..question import Question

MOST_PATHS = 6  # of which sums are formed
ATTEMPTS = 30  # graphs among which one with enough wrong answers is looked for


def make(draw: random.Random, level: int) -> Question:
    """Returns the question for the leaf that most misconceptions get wrong."""
    wanted = 3 if level > 2 else 2
    y, leaf, _ = best_of(lambda: _candidate(draw, level), ATTEMPTS, wanted)
    return about(y, leaf)


def about(y: Value, leaf: str) -> Question:
    """Returns the question about the gradient of a leaf of a graph, after ``backward()``."""
    root = str(y.label)
    name = gradient(root, leaf)
    recording = record(y)
    steps = recording[recording.forward:]
    users = [step.words for step in steps if step.name == leaf]
    each = "It is" if len(users) == 1 else "Each is"
    return Question(
        text=f"{program(y)}\nWhat is {name}, the gradient of {root} with respect to {leaf}?",
        answer=next(node.grad for node in leaves(y) if node.label == leaf),
        wrong=_wrong_answers(y)[leaf],
        solution=tuple([step.sentence for step in recording]),
        hints=(
            "Compute the numbers first, from top to bottom. Then go backwards, from "
            f"{gradient(root, root)} = 1.",
            f"{leaf} gets a gradient in {counted(len(users), 'step')}. {each} the gradient that "
            "arrives from above, times a local derivative.",
            f"The last step to {leaf} is: {users[-1]}",
        ),
        root=y,
        near={**_partial_sums(recording, leaf), **_local(recording, leaf)},
        involved=on_paths(recording, leaf),
    )


def _local(recording: Recording, leaf: str) -> dict[float, str]:
    """Returns what there is to say about the local derivative of a leaf that is used once."""
    position = recording.positions[leaf]
    events = [event for event in recording.events[recording.forward:] if event.node == position]
    user = events[0].user
    if len(events) > 1 or user is None:
        return {}
    name = recording.nodes[user].name
    arrives = gradient(recording.nodes[recording.root].name, name)
    number = recording.partial(user, events[0].operand)
    return {
        number: f"{short_number(number)} is ∂{name}/∂{leaf}; what arrives from above is {arrives} "
        f"= {short_number(events[0].adjoint)}."
    }


def _partial_sums(recording: Recording, leaf: str) -> dict[float, str]:
    """Returns what there is to say about a sum over some of the paths from the leaf."""
    found = paths(recording, leaf)
    remark = (
        f"It is only a part: {leaf} reaches {recording.nodes[recording.root].name} along "
        f"{len(found)} paths, whose contributions are added."
    )
    each = [contribution(recording, path) for path in found[:MOST_PATHS]]
    return {
        sum(some): remark for count in range(1, len(found)) for some in combinations(each, count)
    }


def _candidate(draw: random.Random, level: int) -> tuple[Value, str, dict[float | str, str]]:
    """Returns a graph, the leaf to ask for, and its wrong answers."""
    y = graph(level, draw)
    found = _wrong_answers(y)
    leaf = max(found, key=lambda leaf: len(found[leaf]))
    return y, leaf, found[leaf]


def _wrong_answers(y: Value) -> dict[str, dict[float | str, str]]:
    """Returns for each leaf the wrong gradients, with the misconception that gives each."""
    swept = {name: sweep(y, name) for name in BACKWARD}
    return {
        str(leaf.label): distinct(
            leaf.grad, [(swept[name][str(leaf.label)], name) for name in BACKWARD]
        )
        for leaf in leaves(y)
    }
