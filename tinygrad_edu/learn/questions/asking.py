"""`question`: a question of a kind, drawn from a random seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from ...errors import check_int, check_name
from . import ideas
from .kinds import classify, count, gradient, line, optimiser, path, rule, update, value
from .question import Question

LEVELS = 5


class Kind(NamedTuple):
    """A kind of question.

    what: what is asked, in a few words.
    make: called as ``make(draw, level)`` with a `random.Random`; returns the question.
    """

    what: str
    make: Callable[[random.Random, int], Question]


KINDS: dict[str, Kind] = {
    "value": Kind("the value of a small graph", value.make),
    "gradient": Kind("a gradient of a small graph", gradient.make),
    "path": Kind("what one path contributes to a gradient", path.make),
    "rule": Kind("a derivative as a formula", rule.make),
    "line": Kind("the first wrong line of a backward pass", line.make),
    "update": Kind("a weight after a step of an optimiser", update.make),
    "count": Kind("how many updates, parameters or paths there are", count.make),
    "classify": Kind("a minimum, a maximum or a saddle point", classify.make),
    "optimiser": Kind("which optimiser took these steps", optimiser.make),
    "idea": Kind("what a word or a rule means", ideas.make),
}


def question(kind: str = "gradient", seed: int = 0, level: int = 2) -> Question:
    """Returns a question.

    The same arguments give the same question in every process.

        >>> question("what a gradient says").kind
        'idea'

    kind: one of `KINDS`: "gradient", "value", "path", ...; or the name of an idea of a lesson, for
        the question about it, of which the seed shuffles the choices.
    seed: the random seed of its numbers.
    level: from 1, easy, to 5.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: ``kind`` is unknown, ``seed`` negative, or ``level`` not from 1 to 5.
    """
    check_name(kind, "question: kind", [*KINDS, *ideas.IDEAS])
    seed = check_int(seed, "question: seed", 0)
    level = check_int(level, "question: level", 1, most=LEVELS)
    if kind in ideas.IDEAS:
        return replace(ideas.about(kind, seed), level=level)
    made = KINDS[kind].make(random.Random(f"{kind} {level} {seed}"), level)
    answer = made.answer if isinstance(made.answer, str) else made.answer + 0.0  # -0.0 is 0
    return replace(made, answer=answer, kind=kind, seed=seed, level=level)
