"""Choosing among random candidates the one that most misconceptions get wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .question import Question

Candidate = TypeVar("Candidate", bound=tuple[Any, ...])


def best_of(draw: Callable[[], Candidate], attempts: int, wanted: int) -> Candidate:
    """Returns the candidate with the most wrong answers, or the first one that has enough.

    draw: draws a candidate, a tuple whose last item has its wrong answers.
    attempts: how often another one is drawn at most.
    wanted: how many wrong answers are enough.
    """
    best = draw()
    for _ in range(attempts):
        if len(best[-1]) >= wanted:
            break
        other = draw()
        if len(other[-1]) > len(best[-1]):
            best = other
    return best


def first_of(
    makers: Sequence[Callable[[random.Random], Question]], draw: random.Random, wanted: int
) -> Question:
    """Returns the first question that has enough wrong answers.

    makers: one of them, drawn each time, makes a question.
    wanted: how many wrong answers are enough.
    """
    while True:
        made = draw.choice(makers)(draw)
        if len(made.wrong) >= wanted:
            return made
