"""A bank of questions from a seed: each with its choices, its picture, and what to say to answers.

    >>> item = bank(seed=7, count=1, kinds=["gradient"])[0]
    >>> item.question.mark(item.shown).right, len(item.feedback) > 0
    (True, True)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice

from ...errors import RenderError, check_int, check_name
from ..lessons import LESSONS
from ..questions import KINDS, LEVELS, Question, question
from ..questions.answers import LETTERS, TOLERANCE
from ..questions.ideas import about

FORMULAS = 4  # of these a question about a formula has to choose from, at most
MOST_IN_BANK = 10_000  # questions
ATTEMPTS = 50  # seeds among which a question is looked for that is not in the bank yet


@dataclass(frozen=True, eq=False)
class Item:
    """A question with all that a writer needs.

    topic: the kind of question, or the name of an idea.
    question: the question.
    choices: the answers to choose from; () if a number is asked for.  A question about a formula
        has its answer and what wrong ideas give, because other programs do not compare formulas.
    """

    topic: str
    question: Question
    choices: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that no other question has: "gradient-2-17", of level 2 and seed 17."""
        asked = self.question
        return f"{self.topic.replace(' ', '_')}-{asked.level}-{asked.seed}"

    @property
    def shown(self) -> str:
        """The answer as a person writes it."""
        return self.question.shown

    @property
    def letter(self) -> str:
        """The letter of the answer; "" if there are no choices."""
        return LETTERS[self.choices.index(str(self.question.answer))] if self.choices else ""

    @property
    def lettered(self) -> str:
        """The answer, with its letter if it is one of the choices."""
        return f"{self.letter}) {self.shown}" if self.choices else self.shown

    @property
    def text(self) -> str:
        """What is asked.  A formula is chosen, not written."""
        text = self.question.text
        if self.question.variables:
            return text.partition(" Write a formula of ")[0]
        return text

    @property
    def solution(self) -> tuple[str, ...]:
        """The sentences that lead to the answer."""
        return tuple(self.question.solution)

    @cached_property
    def feedback(self) -> dict[str, str]:
        """What to say to each known wrong answer, as a person writes it."""
        found: dict[str, str] = {}
        for wrong in self.question.wrong:
            text = wrong if isinstance(wrong, str) else repr(float(wrong))
            if self.choices and text not in self.choices:
                continue
            mark = self.question.mark(text)
            if mark.is_read and not mark.right:
                found[text] = mark.sentence
        return found

    def tolerance(self, number: float) -> float:
        """Returns how far an answer may be from a number to count as that number."""
        base = self.question.base
        sizes = [abs(number)] if base is None else [abs(number), abs(number - base)]
        return TOLERANCE * min(sizes)

    @cached_property
    def picture(self) -> str:
        """The picture of the graph without what is asked, as SVG.

        It is "" if the question has no graph, or no layout engine is installed.
        """
        drawing = self.question.drawing
        if drawing is None:
            return ""
        try:
            return str(drawing.svg())
        except RenderError:
            return ""


def bank(
    seed: int,
    count: int,
    *,
    lessons: Sequence[str] = (),
    kinds: Sequence[str] = (),
    level: int | None = None,
) -> list[Item]:
    """Returns different questions, the same ones for the same arguments, in every process.

    seed: the random seed.
    count: how many.
    lessons: the lessons that they are about; () for all twelve.  A lesson has few ideas, each with
        one question; the others are of the kinds that belong to it, or of all kinds if none does.
    kinds: the kinds of questions, of `questions.KINDS`; () for those of the lessons.
    level: from 1, easy, to 5; None for all, from easy to hard.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: a lesson or a kind is unknown, or a number is out of range; or there are not so
            many different questions.
    """
    seed = check_int(seed, "bank: seed", 0)
    count = check_int(count, "bank: count", 1, most=MOST_IN_BANK)
    if level is not None:
        level = check_int(level, "bank: level", 1, most=LEVELS)
    for lesson in lessons:
        check_name(lesson, "bank: lessons", [*LESSONS])
    for kind in kinds:
        check_name(kind, "bank: kinds", [*KINDS])
    draw = random.Random(f"bank {seed}")
    wanted_topics = topics(list(kinds) or names_of(lessons or [*LESSONS]), draw)
    made: dict[str, Item] = {}
    for i, topic in enumerate(islice(wanted_topics, count)):
        wanted = level or 1 + i * LEVELS // count
        for _ in range(ATTEMPTS):
            item = drawn(topic, wanted, draw)
            if item is not None and item.question.text not in made:
                made[item.question.text] = item
                break
        else:
            raise too_many(count, topic)
    return [*made.values()]


def too_many(count: int, topic: str) -> ValueError:
    """Returns the error for more questions than there are of a topic."""
    return ValueError(
        f"there are not {count} different questions of the kind {topic!r}; ask for fewer, or for "
        "more kinds or lessons"
    )


def names_of(lessons: Sequence[str]) -> list[str]:
    """Returns the kinds and ideas that questions about some lessons are made from."""
    found: list[str] = []
    for name in lessons:
        lesson = LESSONS[name]
        cards = [card.kind for card in lesson.cards.values() if card.kind != "idea"]
        found += [cover.question for cover in lesson.covers.values()]
        found += [*cards, lesson.question[0]]
    return [name for name in dict.fromkeys(found) if name != "idea"]


def lessons_of(topic: str) -> list[str]:
    """Returns the lessons that a kind or an idea belongs to."""
    return [name for name in LESSONS if topic in names_of([name])]


def in_order(lessons: Sequence[str], name: str) -> tuple[str, ...]:
    """Returns lessons in the order of the course, each once.

    name: begins the message of the error for an unknown one.
    """
    for lesson in lessons:
        check_name(lesson, name, [*LESSONS])
    return tuple([lesson for lesson in LESSONS if lesson in lessons])


def topics(names: list[str], draw: random.Random) -> Iterator[str]:
    """Yields kinds of questions with numbers, and between them each idea once.

    names: kinds and ideas, which are shuffled.
    """
    draw.shuffle(names)
    ideas = iter([name for name in names if name not in KINDS])
    numbers = [name for name in names if name in KINDS] or [*KINDS.keys() - {"idea"}]
    for kind in cycle(sorted(numbers)):
        yield kind
        yield from islice(ideas, 1)


def drawn(name: str, level: int, draw: random.Random) -> Item | None:
    """Returns a question of a kind, or about an idea; None if a formula has too few wrong ones."""
    seed = draw.randrange(100_000)
    if name not in KINDS:
        asked = about(name, seed)
        return Item(name, asked, asked.choices)
    asked = question(name, seed, level)
    if not asked.variables:
        return Item(name, asked, asked.choices)
    choices = [str(asked.answer), *list(map(str, asked.wrong))[:FORMULAS - 1]]
    if len(choices) < FORMULAS - 1:
        return None
    random.Random(seed).shuffle(choices)
    return Item(name, asked, tuple(choices))
