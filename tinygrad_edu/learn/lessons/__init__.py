"""The lessons: a file for each, with its claims, its prose, questions about ideas and cards.

=============  ====================================================================================
`gradients`    forward, chain, backward, cost: what a derivative is, and how all of them are found
`descent`      descent, rate, start, batches, optimisers: gradient descent
`networks`     depth, generalise, uses: networks
`lesson`       what a lesson is
`course`       all lessons in their order
=============  ====================================================================================
"""

from .course import LESSONS, lesson
from .lesson import Card, Cover, IdeaQuestion, Lesson, Part, Reading, explained

__all__ = [
    "LESSONS", "Card", "Cover", "IdeaQuestion", "Lesson", "Part", "Reading", "explained", "lesson",
]
