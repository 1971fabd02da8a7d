"""All exercises by name, and the check of a file that says itself which exercise it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ...debug.text import printable
from ...errors import MOST, check_int, check_name, near_names, shortened
from ...files import FilePath
from . import backward, derivative, evaluation, gradient_descent, network, rate, update_rule
from .exercise import Exercise, NotYet, Result, name_in, text_of
from .running import LIMITS, Limits

EXAMPLE = "# exercise: rate, seed 7"


class Kind(NamedTuple):
    """A kind of exercise.

    title: what is to be done, in a few words.
    lesson: the name of the lesson that it belongs to.
    make: called with a random seed; returns the exercise.
    """

    title: str
    lesson: str
    make: Callable[[int], Exercise]


EXERCISES: dict[str, Kind] = {
    "derivative": Kind("write a local derivative", "cost", derivative.make),
    "backward": Kind("write the inner line of a backward pass", "backward", backward.make),
    "update-rule": Kind("repair a printed update rule", "descent", update_rule.make),
    "rate": Kind("choose the learning rate", "rate", rate.make),
    "gradient-descent": Kind(
        "find the mistake in a training loop", "optimisers", gradient_descent.make
    ),
    "network": Kind("repair a network that does not learn", "depth", network.make),
    "evaluation": Kind(
        "find the mistake in switching dropout off", "generalise", evaluation.make
    ),
}


def exercise(name: str, seed: int = 0) -> Exercise:
    """Returns an exercise in code.

        >>> exercise("rate", seed=7).title
        'choose the learning rate'

    The same arguments give the same exercise in every process.

    name: one of `EXERCISES`.
    seed: the random seed that chooses its numbers and its mistake.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: ``name`` is unknown, or ``seed`` is negative.
    """
    check_name(name, "exercise: name", EXERCISES)
    return EXERCISES[name].make(check_int(seed, "exercise: seed", 0))


def check(path: FilePath, limits: Limits = LIMITS) -> Result:
    """Checks a learner's file, whose first line says which exercise it is.

    The file runs as in `Exercise.check`, which is no sandbox.

    Raises:
        TypeError: ``path`` is not a path.
        OSError: no process could be started.
    """
    try:
        text = text_of(path)
        found = named_in(text)
    except NotYet as reason:
        return Result(None, False, str(reason))
    return found.check_text(text, limits)


def named_in(text: str) -> Exercise:
    """Returns the exercise that one of the first lines of a file names.

    Raises:
        NotYet: there is no such line, or it names no exercise.
    """
    found = name_in(text)
    if found is None:
        first = text.split("\n", 1)[0].strip()
        shown = f" It is {shortened(printable(first), 40)!r}." if first else ""
        raise NotYet(
            f"The first line must say which exercise the file is, as in {EXAMPLE!r}.{shown} Put "
            "it back."
        )
    name, seed = found
    if name not in EXERCISES:
        near = near_names(name, EXERCISES) or list(EXERCISES)
        raise NotYet(
            f"The first line names the exercise {shortened(name, 30)!r}, which does not exist. Put "
            f"the name back: {' or '.join(near)}."
        )
    if seed > MOST:
        raise NotYet(f"The first line has the seed {shortened(str(seed), 20)}; a seed is at most "
                     f"{MOST:,}. Put it back.")
    return EXERCISES[name].make(seed)
