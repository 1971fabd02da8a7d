"""A question, and the mark of an answer.

    >>> from tinygrad_edu import learn
    >>> question = learn.question("gradient", seed=7, level=2)
    >>> question.mark(str(question.answer)).right
    True

A question is data: a text, perhaps a graph, the answer, the wrong answers that a known wrong idea
gives, and a solution.  Terminal, page and worksheet write it each in their own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import fill
from typing import Any

from ...debug.recording import record
from ...debug.stepper import Stepper
from ...debug.text import short_number
from ...engine.value import Value
from ...errors import RenderError, check_text, shortened
from ..misconceptions import MISCONCEPTIONS
from .answers import LETTERS, UnreadableError, as_choice, as_formula, as_number, is_close
from .steps import first_wrong_step

Answer = float | str  # a number, a formula, or one of the choices
WIDTH = 80  # columns of a text
MOST_SHOWN = 60  # characters of an answer that a mark repeats
_TEXT_STYLE = "white-space: pre-wrap; font-family: ui-monospace, Menlo, Consolas, monospace"


@dataclass(frozen=True, eq=False)
class Question:
    """A question with its answer.

    text: what is asked, complete in itself; lines of at most 80 characters.
    answer: a number, or one of ``choices``, or a formula.
    wrong: from wrong answers to the name of the misconception that gives each of them.
    solution: sentences that lead to the answer; an idea runs its experiment for them.
    hints: help before the answer, the first one the least.
    choices: the answers to choose from, in the order in which they are shown; () for a number or a
        formula.
    variables: the names that occur in a formula; () if the answer is no formula.
    root: the root of the graph of the question, with gradients; None if there is none.
    involved: the names of the nodes of the graph that the answer depends on; () for all.
    hide: what the picture of the graph leaves blank, as in `viz.draw`.
    diagnosis: how the mark of a known wrong answer begins, with the fields ``{given}`` and
        ``{title}`` (of the misconception); "" for the usual words.
    near: what else to say about wrong answers, by the answer.
    base: the number that the answer is a small change of, as the weight before a step; an answer
        must agree in its distance from it, too. None if there is no such number.
    kind, seed, level: which question it is: `question` makes the same one from them.
    """

    text: str
    answer: Answer
    wrong: Mapping[Any, str]
    solution: Sequence[str]
    hints: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    root: Value | None = None
    involved: tuple[str, ...] = ()
    hide: tuple[str, ...] = ("grad", "derivative")
    diagnosis: str = ""
    near: Mapping[float, str] = field(default_factory=dict)
    base: float | None = None
    kind: str = ""
    seed: int = 0
    level: int = 1

    @property
    def shown(self) -> str:
        """The answer as a person would write it."""
        return self.answer if isinstance(self.answer, str) else short_number(self.answer)

    @property
    def drawing(self) -> Any:
        """The picture of the graph without what is asked, a `viz.Drawing`.

        None if the question has no graph.
        """
        if self.root is None:
            return None
        from ... import viz

        return viz.draw(self.root, hide=self.hide)

    def mark(self, text: str) -> Mark:
        """Returns the mark of an answer as a person writes it: "-9", "-18/2", "1e1", "b".

        Raises:
            TypeError: ``text`` is not text.
        """
        check_text(text, "mark: text", 'write mark("-9")')
        try:
            given = self._read(text)
        except UnreadableError as error:
            return Mark(False, str(error), is_read=False, question=self)
        if self._is(given, self.answer):
            return Mark(True, f"Yes: {self._lettered(self.answer)}.", question=self)
        for number, name in self.wrong.items():
            if self._is(given, number):
                return self._diagnosed(given, name)
        sentence = f"Not yet: {self._lettered(given)} is not the answer."
        return Mark(False, " ".join([sentence, *self._remarks(given)]), question=self)

    def _remarks(self, given: Answer) -> list[str]:
        """Returns what there is to say about a wrong answer that no misconception gives."""
        if not isinstance(given, str) and self._is(-given, self.answer):
            return ["Its size is right: look at the signs."]
        return self._near(given)

    def _near(self, given: Answer) -> list[str]:
        return [remark for number, remark in self.near.items() if self._is(given, number)]

    def _read(self, text: str) -> Answer:
        if self.choices:
            return as_choice(text, self.choices)
        if self.variables:
            return as_formula(text, self.variables)
        return as_number(text)

    def _is(self, given: Answer, answer: Any) -> bool:
        if is_close(given, answer, self.variables, self.base):
            return True
        # rounded as it is shown, although the change is no longer the same in four digits
        return self.base is not None and given == float(short_number(answer))

    def _shown(self, answer: Answer) -> str:
        if isinstance(answer, str):
            return shortened(answer, MOST_SHOWN)
        return short_number(answer)

    def _lettered(self, answer: Answer) -> str:
        """Returns an answer as it is shown, a choice with its letter."""
        letter = f"{LETTERS[self.choices.index(str(answer))]}) " if self.choices else ""
        return letter + self._shown(answer)

    def _diagnosed(self, given: Answer, name: str) -> Mark:
        title, truth = MISCONCEPTIONS[name]
        begins = self.diagnosis or "{given} is what comes out if {title}"
        if self.choices and not self.diagnosis:
            sentence = f"Not quite: \"{self._shown(given)}\" is not it. {truth}"
        else:
            begins = begins.format(given=self._shown(given), title=title)
            sentence = " ".join([f"Not quite: {begins}. {truth}", *self._near(given)])
        return Mark(False, sentence, name, self._first_wrong_step(name), question=self)

    def _first_wrong_step(self, name: str) -> int | None:
        if self.root is None:
            return None
        return first_wrong_step(self.root, name, self.involved)

    def __str__(self) -> str:
        lines = [f"  {letter}) {choice}" for letter, choice in zip(LETTERS, self.choices)]
        return "\n".join([self.text, *lines])

    def __repr__(self) -> str:
        return f"<Question {self.kind}, seed {self.seed}, level {self.level}>\n{self}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        drawing = self.drawing
        picture = "" if drawing is None else drawing._repr_mimebundle_().get("text/html", "")
        return _bundle(str(self), picture)


@dataclass(frozen=True, eq=False)
class Mark:
    """The mark of an answer.

    right: whether the answer is right.
    sentence: what to say to the learner.
    misconception: the name of the wrong idea that gives this answer, one of
        `learn.misconceptions.MISCONCEPTIONS`; None if the answer is right or none is known.
    step: the number of the first step of `record` that this idea gets wrong, None if the question
        has no graph or the idea is about something else.
    is_read: whether the answer could be read; if not, it does not count.
    question: the question that was answered.
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
    def stepper(self) -> Stepper | None:
        """A stepper after the step that the idea gets wrong, done right; None if there is none."""
        if self.step is None or self.question is None or self.question.root is None:
            return None
        return Stepper(record(self.question.root)).goto(self.step)

    @property
    def drawing(self) -> Any:
        """The picture of the graph after that step, a `viz.Drawing`; None if there is none.

        It has the gradients that have arrived so far, or the numbers if it is a step forward; its
        title is the sentence of the step.
        """
        if (stepper := self.stepper) is None:
            return None
        from ... import viz

        nodes = stepper.recording.values()
        for i, node in enumerate(nodes):
            node.grad = stepper.numbers(i)[1]
        title = f"step {stepper.position}: {stepper.step.words}"
        if stepper.step.phase == "backward":
            return viz.draw(nodes[-1], title=title)
        made = nodes[stepper.recording.events[stepper.position - 1].node]
        return viz.draw(made, title=title, hide=("grad", "derivative"))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return _bundle(self.sentence, "" if (step := self.stepper) is None else _moment(step))


def worded(given: str, asked: str) -> str:
    """Returns the text of a question: what is given, in lines of at most 80, and what is asked."""
    joined = given.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
    lines = fill(joined, WIDTH, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")
    return f"{lines}\n{asked}"


def _moment(stepper: Stepper) -> str:
    """Returns the graph at a step as HTML, in which the step glows; "" without a layout engine."""
    from ... import viz

    try:
        scene = viz.drawing.scene.Scene(stepper.recording)
    except RenderError:
        return ""
    return str(viz.drawing.render.in_box(scene.frame(stepper)))


def _bundle(text: str, picture: str) -> dict[str, str]:
    """Returns what a notebook shows: the text, with the picture below it if there is one."""
    return {
        "text/plain": text,
        "text/html": f'<pre style="{_TEXT_STYLE}">{escape(text)}</pre>\n{picture}',
    }
