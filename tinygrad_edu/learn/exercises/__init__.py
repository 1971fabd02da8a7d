"""Exercises in code: a starter file that a learner edits, and a check that says what is wrong.

    >>> from tinygrad_edu import learn
    >>> rate = learn.exercise("rate", seed=7)
    >>> rate.starter.splitlines()[0]
    '# exercise: rate, seed 7'
    >>> rate.check_text(rate.solution).right
    True

From a terminal: ``tinygrad-edu practice rate --seed 7`` writes the starter file, and
``tinygrad-edu practice check rate-7.py`` checks it.  A learner's file runs in a process of its own,
with limits of time and memory.  That is no sandbox: it keeps a mistake from doing harm, but a file
that wants to do harm can do what its user can.
"""

from .exercise import Exercise, Result
from .kinds import EXERCISES, Kind, check, exercise
from .running import Limits

__all__ = ["EXERCISES", "Exercise", "Kind", "Limits", "Result", "check", "exercise"]
