"""Questions about one path of a graph: what does it contribute to the gradient of its leaf?"""

from __future__ import annotations

import random
from math import prod

from ....debug.recording import Edge, Recording, record
from ....debug.sentences import factor, gradient
from ....debug.text import short_number
from ....engine.value import Value
from ...misconceptions import BACKWARD, LOCAL
from ..answers import distinct, listed
from ..candidates import best_of
from ..graphs import graph, leaves, paths, program
from ..products import Term
from ..question import Question
from ..steps import wrong_partial

ATTEMPTS = 30  # graphs among which one with enough wrong answers is looked for
WANTED = 3  # wrong answers
LARGEST = 1e5  # size of a wrong answer; nobody multiplies further by hand

Path = list[Edge]


def make(draw: random.Random, level: int) -> Question:
    """Returns the question about the path that most misconceptions get wrong."""
    y, recording, path, wrong = best_of(lambda: _candidate(draw, level), ATTEMPTS, WANTED)
    nodes = [recording.nodes[position] for position in (path[0][2], *[edge[0] for edge in path])]
    names = [node.name for node in nodes]
    leaf = names[0]
    partials = [recording.partial(user, operand) for user, operand, _ in path]
    rules = [
        f"∂{user}/∂{arg} = {Term.of(recording.rule(*edge[:2]))}"
        for user, arg, edge in zip(names[1:], names, path)
    ]
    with_numbers = [
        " = ".join(dict.fromkeys([*rule.split(" = "), short_number(partial)]))
        for rule, partial in zip(rules, partials)
    ]
    numbers = [*map(short_number, partials)]
    product = " × ".join([numbers[0], *map(factor, numbers[1:])])
    answer = prod(partials)
    count = len(paths(recording, leaf))
    all_paths = "both paths" if count == 2 else f"all {count} paths"
    whole = short_number(next(node.grad for node in leaves(y) if node.label == leaf))
    return Question(
        text=f"{program(y)}\nWhat does the path {' → '.join(names)} contribute to "
             f"{gradient('y', leaf)}?\n"
             "(This is the product of the local derivatives along the path.)",
        answer=answer,
        wrong=wrong,
        solution=(
            *[step.sentence for step in recording[:recording.forward]],
            f"The local derivatives are {listed(with_numbers)}.",
            f"Their product along the path is {product} = {short_number(answer)}.",
            f"The gradient {gradient('y', leaf)} = {whole} is the sum over {all_paths}.",
        ),
        hints=(
            f"Compute the numbers first. Then find one local derivative for each of the "
            f"{len(path)} arrows.",
            f"The local derivatives are {listed(rules)}.",
            f"With numbers the product is {product}.",
        ),
        root=y,
        involved=tuple(names),
    )


def _candidate(
    draw: random.Random, level: int
) -> tuple[Value, Recording, Path, dict[float | str, str]]:
    """Returns a graph, its recording, the path to ask for, and the wrong answers."""
    while True:
        y = graph(level, draw, fan_out=True)
        recording = record(y)
        found: list[tuple[Path, dict[float | str, str]]] = []
        for leaf in leaves(y):
            all_paths = paths(recording, str(leaf.label))
            for path in all_paths:
                if len(all_paths) > 1 < len(path) and _is_plain(recording, path):
                    found.append((path, _wrong(recording, path, leaf.grad)))
        if found:
            path, wrong = max(found, key=lambda pair: len(pair[1]))
            return y, recording, path, wrong


def _is_plain(recording: Recording, path: Path) -> bool:
    """Returns whether the names of its nodes say which path it is: no operation uses one twice."""
    return all(recording.nodes[user].args.count(arg) == 1 for user, _, arg in path)


def _wrong(recording: Recording, path: Path, whole: float) -> dict[float | str, str]:
    """Returns the wrong answers; ``whole`` is the gradient of the leaf."""
    partials = [recording.partial(user, operand) for user, operand, _ in path]
    numbers = [recording.nodes[arg].data for _, _, arg in path]
    candidates: list[tuple[float, str]] = [
        (sum(partials), "sum of factors"),
        (whole, "all paths"),
    ]
    for name in (*BACKWARD, *LOCAL):
        wrong = [wrong_partial(recording, user, operand, name) for user, operand, _ in path]
        candidates.append((prod(wrong), name))
    candidates += [
        (prod(partials[1:]), "inner left out"),
        (prod(partials[:-1]), "outer left out"),
        (partials[0], "local"),
        (prod(numbers), "own size"),
    ]
    plain = [(wrong, name) for wrong, name in candidates if abs(float(wrong)) <= LARGEST]
    return distinct(prod(partials), plain)
