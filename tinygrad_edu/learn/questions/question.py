"""A question, and the mark of an answer.

    >>> from tinygrad_edu import learn
    >>> question = learn.question("gradient", seed=7, level=2)
    >>> question.mark(str(question.answer)).right
    True

A question is data: a text, perhaps a graph, the answer, the wrong answers that a known wrong idea
gives, and a solution.  Terminal, page and worksheet write it each in their own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...debug.recording import record
from ...debug.text import short_number
from ...engine.value import Value
from ...errors import check_text
from ..misconceptions import BACKWARD, MISCONCEPTIONS
from .answers import Unreadable, as_choice, as_formula, as_number, is_close

Answer = float | str  # a number, a formula, or one of the choices


@dataclass(frozen=True, eq=False)
class Question:
    """A question with its answer.

    text: what is asked, complete in itself; lines of at most 80 characters.
    answer: a number, or one of ``choices``, or a formula.
    wrong: from wrong answers to the name of the misconception that gives each of them.
    solution: sentences that lead to the answer.
    hints: help before the answer, the first one the least.
    choices: the answers to choose from, in the order in which they are shown; () for a number or a
        formula.
    variables: the names that occur in a formula; () if the answer is no formula.
    root: the root of the graph of the question, with gradients; None if there is none.
    kind, seed, level: which question it is: `question` makes the same one from them.
    """

    text: str
    answer: Answer
    wrong: Mapping[Any, str]
    solution: tuple[str, ...]
    hints: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    root: Value | None = None
    kind: str = ""
    seed: int = 0
    level: int = 1

    @property
    def shown_answer(self) -> str:
        """The answer as it is printed; a choice with its letter."""
        return self._shown(self.answer)

    @property
    def drawing(self) -> Any:
        """The picture of the graph without gradients, None if the question has no graph."""
        return None if self.root is None else _drawn(self.root, hide=("grad",))

    def mark(self, text: str) -> Mark:
        """Returns the mark of an answer as a person writes it: "-9", "-18/2", "1e1", "b".

        Raises:
            TypeError: ``text`` is not text.
        """
        check_text(text, "mark: text", f'write mark("{self._shown(self.answer)}")')
        try:
            given = self._read(text)
        except Unreadable as error:
            return Mark(False, str(error), is_read=False, question=self)
        if self._is(given, self.answer):
            return Mark(True, f"Yes: {self._shown(self.answer)}.", question=self)
        for number, name in self.wrong.items():
            if self._is(given, number):
                return self._diagnosed(given, name)
        sentence = f"Not yet: {self._shown(given)} is not the answer."
        return Mark(False, sentence, question=self)

    def _read(self, text: str) -> Answer:
        if self.choices:
            return as_choice(text, self.choices)
        if self.variables:
            return as_formula(text, self.variables)
        return as_number(text)

    def _is(self, given: Answer, answer: Any) -> bool:
        return is_close(given, answer, self.variables)

    def _shown(self, answer: Answer) -> str:
        if isinstance(answer, str):
            letter = f"{'abcdefgh'[self.choices.index(answer)]}) " if self.choices else ""
            return f"{letter}{answer}"
        return short_number(answer)

    def _diagnosed(self, given: Answer, name: str) -> Mark:
        title, truth = MISCONCEPTIONS[name]
        sentence = f"Not quite: {self._shown(given)} is what comes out if {title}. {truth}"
        if self.choices:
            sentence = f"Not quite, not {self._shown(given)[:1]}: {truth}"
        return Mark(False, sentence, name, self._first_wrong_step(name), question=self)

    def _first_wrong_step(self, name: str) -> int | None:
        """Returns the number of the first step that a misconception does in another way."""
        if self.root is None or name not in BACKWARD:
            return None
        right, wrong = record(self.root), record(self.root, misconception=name)
        for i, (event, other) in enumerate(zip(right.events, wrong.events), 1):
            if event != other:
                return i
        return None

    def __str__(self) -> str:
        lines = [f"  {letter}) {choice}" for letter, choice in zip("abcdefgh", self.choices)]
        return "\n".join([self.text, *lines])

    def __repr__(self) -> str:
        return f"<Question {self.kind}, seed {self.seed}, level {self.level}>\n{self}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return _bundle(str(self), self.drawing)


@dataclass(frozen=True, eq=False)
class Mark:
    """The mark of an answer.

    right: whether the answer is right.
    sentence: what to say to the learner.
    misconception: the name of the wrong idea that gives this answer, one of
        `learn.misconceptions.MISCONCEPTIONS`; None if the answer is right or none is known.
    step: the number of the first step of the right backward pass that this idea gets wrong, None if
        the question has no graph or the idea is about something else.
    is_read: whether the answer could be read; if not, it does not count.
    """

    right: bool
    sentence: str
    misconception: str | None = None
    step: int | None = None
    is_read: bool = True
    question: Question | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.sentence

    def __bool__(self) -> bool:
        return self.right

    @property
    def drawing(self) -> Any:
        """The picture of the graph at the wrong step, None if there is none."""
        if self.step is None or self.question is None or self.question.root is None:
            return None
        from ... import viz

        return viz.draw(record(self.question.root), step=self.step)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return _bundle(self.sentence, self.drawing)


def _drawn(root: Value, **options: Any) -> Any:
    from ... import viz

    return viz.draw(root, **options)


def _bundle(text: str, drawing: Any) -> dict[str, str]:
    """Returns what a notebook shows: the text, with the picture below it if there is one."""
    from html import escape

    picture = ""
    if drawing is not None:
        picture = drawing._repr_mimebundle_().get("image/svg+xml", "")
    return {
        "text/plain": text,
        "text/html": f'<pre style="white-space: pre-wrap">{escape(text)}</pre>{picture}',
    }
