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
from ..misconceptions import MISCONCEPTIONS
from .question import WIDTH, Question

IDEAS: dict[str, IdeaQuestion] = {
    name: idea for lesson in LESSONS.values() for name, idea in lesson.ideas.items()
}


@dataclass(frozen=True, eq=False)
class Shown(Sequence[str]):
    """A claim, and what its experiment shows, which runs when this is first read."""

    claim: Claim

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The claim, and the sentence of the evidence."""
        evidence = self.claim.run().sentence
        begin = f"Lesson {self.claim.lesson} shows: {self.claim.name}."
        return (begin, f"Its experiment: {evidence}")

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
        hints=_hints(idea),
        choices=tuple(choices),
    )


def _hints(idea: IdeaQuestion) -> tuple[str, ...]:
    """Returns a hint that leads to the lesson, and one that says why a wrong answer is wrong."""
    answer, name = next(iter(idea.wrong.items()))
    return (
        f"Lesson {idea.claim.lesson} has an experiment on it.",
        f"It is not \"{answer}\": {MISCONCEPTIONS[name].truth}",
    )
