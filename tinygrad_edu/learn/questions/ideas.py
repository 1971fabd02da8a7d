"""Questions about ideas, which the lessons bring, with answers to choose from."""

from __future__ import annotations

import random
from dataclasses import replace

from ..lessons import LESSONS, IdeaQuestion
from .question import Question

IDEAS: dict[str, IdeaQuestion] = {
    name: idea for lesson in LESSONS.values() for name, idea in lesson.ideas.items()
}


def make(draw: random.Random, level: int) -> Question:
    """Returns the question about any idea; ``level`` changes nothing."""
    return _asked(draw.choice(list(IDEAS)), draw)


def about(name: str, seed: int = 0) -> Question:
    """Returns the question about an idea.

    seed: decides the order of the choices.
    """
    return replace(_asked(name, random.Random(seed)), kind="idea", seed=seed)


def _asked(name: str, draw: random.Random) -> Question:
    idea = IDEAS[name]
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
