"""Choosing among random candidates the one that most misconceptions get wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

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
