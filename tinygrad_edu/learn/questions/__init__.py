"""Questions with their answers: drawn from a random seed, marked with what a wrong answer means.

    >>> from tinygrad_edu import learn
    >>> question = learn.question("gradient", seed=7)
    >>> question.mark("hello").is_read
    False

============  =====================================================================================
`asking`      the kinds of questions, and `question`, which makes one
`kinds`       a file for each kind, with a function ``make``
`question`    `Question` and `Mark`
`answers`     answers as people write them, and whether two of them agree
`steps`       the step of a pass that a wrong idea does differently
`graphs`      small random graphs that are nice to compute by hand
`candidates`  the choice of the one that most misconceptions get wrong
`ideas`       the questions about ideas, which the lessons bring
============  =====================================================================================
"""

from .asking import KINDS, LEVELS, Kind, question
from .question import Mark, Question

__all__ = ["KINDS", "LEVELS", "Kind", "Mark", "Question", "question"]
