"""Questions about ideas, which the lessons bring, with answers to choose from."""

from __future__ import annotations

import random

from ..lessons import LESSONS, IdeaQuestion
from .question import Question

IDEAS: dict[str, IdeaQuestion] = {
    name: idea for lesson in LESSONS.values() for name, idea in lesson.ideas.items()
}


def make(draw: random.Random, level: int, name: str = "") -> Question:
    """Returns the question about an idea, or about any of them; ``level`` changes nothing."""
    idea = IDEAS[name or draw.choice(list(IDEAS))]
    choices = [idea.right, *idea.wrong]
    draw.shuffle(choices)
    return Question(
        text=idea.text,
        answer=idea.right,
        wrong=idea.wrong,
        solution=(idea.claim.run().sentence,),
        hints=(f"Lesson {idea.claim.lesson!r} has an experiment on it.",),
        choices=tuple(choices),
    )
