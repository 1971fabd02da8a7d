"""What a lesson is: predictions that experiments check, questions about ideas, and cards.

A lesson asks before it shows.  Each `Part` asks for a prediction, runs the experiment of a claim,
shows what was measured, and says what the prediction meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...errors import check_int
from ..evidence import FAILED, Claim, Evidence


class Part(NamedTuple):
    """One prediction of a lesson.

    ask: the question, complete in itself.
    choices: the predictions to choose from, the right one first; they are shown in another order.
    meant: what each choice means, in the order of ``choices``; said after the experiment.
    claim: the claim whose experiment answers.
    explain: why it is so; ``{name}`` stands for a number of the evidence, as in `str.format`.
    """

    ask: str
    choices: tuple[str, ...]
    meant: tuple[str, ...]
    claim: Claim
    explain: str


class IdeaQuestion(NamedTuple):
    """A question about an idea, with answers to choose from.

    text: the question.
    right: the right answer.
    wrong: from each wrong answer to the name of its misconception.
    claim: the claim whose experiment shows the answer.
    """

    text: str
    right: str
    wrong: Mapping[str, str]
    claim: Claim


class Card(NamedTuple):
    """A flashcard: a question, new at each review, and what it should remind of.

    kind: a kind of question; or "idea", with the name of the idea in ``idea``.
    level: the level of the question.
    back: one or two sentences to remember, without numbers.
    """

    kind: str
    back: str
    level: int = 2
    idea: str = ""


class Cover(NamedTuple):
    """What covers a point of the course, by names.

    question: a kind of question, or the name of an idea; `learn.question` takes both.
    """

    claim: str
    card: str
    question: str


@dataclass(frozen=True, eq=False)
class Lesson:
    """A lesson.

    name: its name, as in ``tinygrad-edu learn NAME``.
    title: what it is about.
    intro: the text before the first prediction; paragraphs without line breaks.
    parts: its predictions, each with an experiment.
    remember: the sentences to take away.
    question: the kind and level of the question at the end.
    exercise: the name of the exercise in code that belongs to it, "" for none.
    ideas: questions about ideas, by name.
    cards: flashcards, by name.
    covers: what covers each point of the course that the lesson teaches.
    """

    name: str
    title: str
    intro: str
    parts: tuple[Part, ...]
    remember: str
    question: tuple[str, int]
    exercise: str = ""
    ideas: Mapping[str, IdeaQuestion] = field(default_factory=dict)
    cards: Mapping[str, Card] = field(default_factory=dict)
    covers: Mapping[str, Cover] = field(default_factory=dict)

    def run(self, seed: int = 0) -> Reading:
        """Runs the experiments of the lesson, and returns the lesson as a text with their numbers.

        Raises:
            TypeError: ``seed`` is not an int.
            ValueError: ``seed`` is negative.
        """
        seed = check_int(seed, "run: seed", 0)
        return Reading(self, tuple([part.claim.run(seed) for part in self.parts]))

    def __repr__(self) -> str:
        return f"<Lesson {self.name}: {self.title}>"


@dataclass(frozen=True, eq=False)
class Reading:
    """A lesson with what its experiments showed.

    lesson: the lesson.
    evidence: the evidence of each of its parts.
    """

    lesson: Lesson
    evidence: tuple[Evidence, ...]

    @property
    def markdown(self) -> str:
        """The whole lesson as Markdown."""
        pieces = [f"# {self.lesson.title}", self.lesson.intro]
        for part, evidence in zip(self.lesson.parts, self.evidence):
            failed = [] if evidence.holds else [FAILED]
            pieces += [f"**{part.ask}**", *failed, evidence.sentence, *_tables([evidence])]
            pieces.append(explained(part, evidence))
        return "\n\n".join([*pieces, f"*{self.lesson.remember}*"]) + "\n"

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


def explained(part: Part, evidence: Evidence) -> str:
    """Returns the explanation of a part, with the numbers of the evidence filled in."""
    return part.explain.format(**evidence.numbers)


def _tables(evidence: Sequence[Evidence]) -> list[str]:
    return ["\n".join(_markdown_rows(found.table)) for found in evidence if found.table]


def _markdown_rows(table: tuple[tuple[str, ...], ...]) -> list[str]:
    rows = ["| " + " | ".join(row) + " |" for row in table]
    return [rows[0], "|" + "---|" * len(table[0]), *rows[1:]]
