"""Questions about ideas, which the lessons bring, with answers to choose from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from textwrap import fill
from typing import overload

from ..evidence import Claim
from ..lessons import LESSONS, IdeaQuestion
from .question import WIDTH, Question

IDEAS: dict[str, IdeaQuestion] = {
    name: idea for lesson in LESSONS.values() for name, idea in lesson.ideas.items()
}


@dataclass(frozen=True, eq=False)
class Shown(Sequence[str]):
    """What the experiment of a claim shows, which runs when this is first read."""

    claim: Claim

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The sentence of the evidence."""
        return (self.claim.run().sentence,)

    def __len__(self) -> int:
        return len(self.sentences)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.sentences[index]


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
        text=fill(idea.text, WIDTH),
        answer=idea.right,
        wrong=idea.wrong,
        solution=Shown(idea.claim),
        hints=(f"Lesson {idea.claim.lesson!r} has an experiment on it.",),
        choices=tuple(choices),
    )
