"""Lessons, claims, questions, exercises and cards on backpropagation and gradient descent.

    >>> from tinygrad_edu import learn
    >>> question = learn.question("gradient", seed=7)
    >>> question.mark("-9").right
    False
    >>> learn.claims["too large a rate diverges"].run().holds
    True

The same from a terminal: ``tinygrad-edu learn``.
"""

from . import coverage, misconceptions
from .evidence import CLAIMS as claims  # noqa: N811
from .evidence import Claim, Evidence, claim
from .exercises import Exercise, Result, exercise
from .lessons import Lesson, lesson
from .questions import Mark, Question, question

__all__ = [
    "Claim", "Evidence", "Exercise", "Lesson", "Mark", "Question", "Result", "claim", "claims",
    "coverage", "exercise", "lesson", "misconceptions", "question",
]
