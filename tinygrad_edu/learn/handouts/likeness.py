"""Two questions of equal difficulty: of one kind, level and structure, with other numbers.

    >>> from tinygrad_edu.learn.handouts import bank
    >>> first = bank(seed=7, count=1, kinds=["optimiser"])[0]
    >>> second = like(first, random.Random(1))
    >>> first.text == second.text, first.shown == second.shown
    (False, True)
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection

from ...debug.recording import record
from ...engine.graph import topological_order
from ...engine.value import Value
from ..questions import KINDS, Question
from ..questions.graphs import paths
from .bank import Item, drawn, too_many

ATTEMPTS = 400  # questions among which one of the same structure is looked for
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_OPERATION = re.compile(r"\*\*|[-+*/]|[a-z]{3,}")  # of a formula
_VARIABLE = re.compile(r"\b(d?)[abc]\b")


def like(item: Item, draw: random.Random, taken: Collection[str] = ()) -> Item:
    """Returns a question like another one, with other numbers.

    It has the same kind and level, and the same structure if one is found among `ATTEMPTS`; else it
    is the nearest of them.  There is one question about an idea: its choices get another order.

    taken: texts of questions that it is not to be.

    Raises ValueError if there is no other question.
    """
    wanted = structure(item)
    best: Item | None = None
    least = float("inf")
    for _ in range(ATTEMPTS):
        other = drawn(item.topic, item.question.level, draw)
        if other is None or not _is_other(other, item, taken):
            continue
        found = structure(other)
        distance = ((wanted - found) + (found - wanted)).total()
        if distance < least:
            best, least = other, distance
        if distance == 0:
            break
    if best is None:
        raise too_many(2, item.topic)
    return best


def structure(item: Item) -> Counter[str]:
    """Returns what makes a question easy or hard apart from its numbers, as often as it occurs.

    These are the operations, the paths and the mistake of a graph.  Other questions have their text
    and their answer without numbers, and the operations of a formula.
    """
    asked = item.question
    if asked.root is not None and item.topic != "update":  # whose graph is in the text
        return _of_graph(asked, asked.root)
    answer = "".join(sorted(_shape(asked.shown))) if item.choices else ""
    found = Counter({_shape(item.text): 1, f"answer {answer}": 2})
    if asked.variables:
        found.update(_OPERATION.findall(item.text.partition("\n")[0]))
    return found


def _of_graph(asked: Question, root: Value) -> Counter[str]:
    nodes = [node for node in topological_order(root) if node.op]
    found = Counter([f"{node.op}, {node.op == 'relu' and node.data > 0}" for node in nodes])
    if asked.involved:  # the names of the nodes, from the leaf on
        found["nodes on the way"] = 3 * len(asked.involved)  # first of all paths are as long
        found["paths"] = len(paths(record(root), asked.involved[0]))
    if asked.kind == "line":
        found[asked.hints[1]] = 2  # which mistake it is
    return found


def _shape(text: str) -> str:
    """Returns a text without its numbers and the names of its variables."""
    return " ".join(_VARIABLE.sub(r"\1v", _NUMBER.sub("#", text)).split())


def _is_other(other: Item, item: Item, taken: Collection[str]) -> bool:
    if item.topic in KINDS:
        return other.question.text not in (item.question.text, *taken)
    return other.choices != item.choices
