"""Questions with their answers: drawn from a random seed, marked with what a wrong answer means.

    >>> from tinygrad_edu import learn
    >>> question = learn.question("gradient", seed=7)
    >>> question.mark("hello").is_read
    False
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from ...errors import check_int, check_name
from . import gradient, ideas
from .question import Mark, Question

__all__ = ["KINDS", "LEVELS", "Kind", "Mark", "Question", "question"]

LEVELS = 5


class Kind(NamedTuple):
    """A kind of question.

    what: what is asked, in a few words.
    make: called as ``make(draw, level)`` with a `random.Random`; returns the question.
    """

    what: str
    make: Callable[[random.Random, int], Question]


KINDS: dict[str, Kind] = {
    "gradient": Kind("a gradient of a small graph", gradient.make),
    "idea": Kind("what a word or a rule means", ideas.make),
}


def question(kind: str = "gradient", seed: int = 0, level: int = 2) -> Question:
    """Returns a question.

    The same arguments give the same question in every process.

    kind: one of `KINDS`: "gradient", "value", "path", ...
    seed: the random seed of its numbers.
    level: from 1, easy, to 5.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: ``kind`` is unknown, ``seed`` negative, or ``level`` not from 1 to 5.
    """
    check_name(kind, "question: kind", KINDS)
    seed = check_int(seed, "question: seed", 0)
    level = check_int(level, "question: level", 1, most=LEVELS)
    made = KINDS[kind].make(random.Random(f"{kind} {level} {seed}"), level)
    return replace(made, kind=kind, seed=seed, level=level)
