"""A conversation with a learner on a terminal or over a pipe: texts, questions, answers."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from io import UnsupportedOperation
from typing import TYPE_CHECKING

from ...debug.text import encodable, printable

if TYPE_CHECKING:
    from ...learn.questions import Mark, Question

WIDTH = 80  # of a line at most
KEYS = "h for a hint, s for the solution, q to leave"


class LeftError(Exception):
    """The learner has left, or the input has ended.

    is_wrong: whether the last answer to a question was wrong.
    """

    is_wrong = False


class Outcome:
    """How a question was answered.

    right: whether the answer was right in the end.
    tries: the number of wrong answers before.
    helped: whether there was a hint.
    """

    def __init__(self) -> None:
        self.right = False
        self.tries = 0
        self.helped = False

    @property
    def at_once(self) -> bool:
        """Whether the first answer was right, without a hint."""
        return self.right and not self.tries and not self.helped


def say(text: str = "", indent: str = "") -> None:
    """Prints a text with lines of at most `WIDTH` characters; lines that begin with a space stay.

    Signs that the terminal cannot show are replaced.
    """
    width = min(WIDTH, max(40, shutil.get_terminal_size((WIDTH, 24)).columns)) - len(indent)
    for line in text.split("\n"):
        lines = [line]
        if not line.startswith(" "):
            lines = textwrap.wrap(line, width, break_on_hyphens=False) or [""]
        for part in lines:
            print(encodable(f"{indent}{part}".rstrip()))


def read(prompt: str) -> str:
    """Returns what the learner types.

    Raises:
        LeftError: it is q, or the input has ended.
    """
    print(encodable(prompt), end=" ", flush=True)
    if sys.stdin is None:  # it was closed before the program began
        raise LeftError
    # What cannot be decoded is an answer to ask for again.  After the first line this is refused.
    with suppress(AttributeError, UnsupportedOperation):
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    line = sys.stdin.readline()
    if not sys.stdin.isatty():
        print(printable(line.strip()))  # a log of a pipe shows the answers, too
    if not line or line.strip().lower() in ("q", "quit", "exit"):
        if not line:
            print()
        raise LeftError
    return line.strip()


def choose(choices: Sequence[str], hint: str) -> str:
    """Shows choices and returns the one that the learner takes.

    Raises:
        LeftError: the learner has left.
    """
    from ...learn.questions.answers import LETTERS, UnreadableError, as_choice

    for letter, choice in zip(LETTERS, choices):
        say(f"{letter}) {choice}", "  ")
    while True:
        typed = read(">")
        if typed.lower() in ("h", "hint", "s", "solution", ""):
            say(hint)
            continue
        try:
            return as_choice(typed, choices)
        except UnreadableError as error:
            say(str(error))


def ask(question: Question, tries: int | None = None) -> Outcome:
    """Asks a question until it is answered, or the learner asks for the solution.

    tries: how many wrong answers may be given; then the solution is shown.

    Raises:
        LeftError: the learner has left.
    """
    outcome = Outcome()
    say(str(question))
    hints = list(question.hints)
    while True:
        try:
            typed = read(">")
        except LeftError as left:
            left.is_wrong = outcome.tries > 0
            raise
        if typed.lower() in ("h", "hint"):
            outcome.helped = True
            say(hints.pop(0) if hints else "There are no more hints; s shows the solution.")
        elif typed.lower() in ("s", "solution"):
            show_solution(question)
            return outcome
        elif not typed:
            say(f"Type an answer, or {KEYS}.")
        else:
            mark = question.mark(typed)
            say(mark.sentence)
            outcome.right = mark.right
            if mark.right:
                return outcome
            outcome.tries += mark.is_read
            if outcome.tries == tries:
                show_solution(question)
                return outcome
            if outcome.tries > 1:
                show_where(mark)


def show_where(mark: Mark) -> None:
    """Prints the part of the right solution that the idea behind a wrong answer gets wrong."""
    if (stepper := mark.stepper) is None:
        return
    name = stepper.step.name
    steps = [step for step in stepper.recording if step.name == name]
    if stepper.step.phase == "backward":
        steps = [step for step in steps if step.phase == "backward"]
    say(f"All that {name} gets, done right:")
    for step in steps:
        growth = f"   ({step.growth})" if step.growth else ""
        say(f"  {step.words}{growth}")


def show_solution(question: Question) -> None:
    """Prints the solution of a question."""
    say("The solution:")
    for sentence in question.solution:
        say(sentence, "  ")
    say(f"The answer: {question.shown}")
