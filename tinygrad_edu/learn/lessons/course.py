"""All lessons, in the order in which they build on each other."""

from __future__ import annotations

from ...errors import check_name
from ..evidence import CLAIMS
from .descent import batches, optimisers, rate, start
from .descent import descent as gradient_descent
from .gradients import backward, chain, cost, forward
from .lesson import Lesson
from .networks import depth, generalise, uses

LESSONS: dict[str, Lesson] = {
    module.LESSON.name: module.LESSON
    for module in (
        forward,
        chain,
        backward,
        cost,
        gradient_descent,
        rate,
        start,
        batches,
        optimisers,
        depth,
        generalise,
        uses,
    )
}
CLAIMS.arrange(LESSONS)  # which modules are imported first depends on the sorting of imports


def lesson(name: str) -> Lesson:
    """Returns a lesson by its name: "forward", "chain", ..., "rate", ...

    Raises:
        TypeError: ``name`` is not text.
        ValueError: there is no lesson of this name.
    """
    return LESSONS[check_name(name, "lesson: name", LESSONS)]
