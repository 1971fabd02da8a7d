"""A test before and after a course, without names, and the gain of a class.

Each student writes a code of their own on both sheets.  The answers of a class are a table: a code,
"before" or "after", and an answer to each question.

Sources: R. Hake, Interactive-engagement versus traditional methods, American Journal of Physics 66
(1998), for the normalised gain; B. Efron, Bootstrap methods, Annals of Statistics 7 (1979).
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ...errors import DataError, counted, short_repr
from .bank import Item
from .sheets import Variant, variants

QUESTIONS = 12
KINDS = ("value", "gradient", "path", "rule", "line", "update", "count", "classify", "gradient",
         "update", "optimiser", "path")
TIMES = ("before", "after")
RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Gain:
    """What a class gained, with 95 % intervals.

    students: how many answered both tests.
    before, after: the mean share of right answers of these students.
    gain: the mean of after - before, with its interval ``gain_low`` to ``gain_high``.
    normalised: (after - before) / (1 - before) of the class; nan if all was right before.
    questions: for each question the share of right answers before and after.
    """

    students: int
    before: float
    after: float
    gain: float
    gain_low: float
    gain_high: float
    normalised: float
    questions: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        lines = [
            f"{counted(self.students, 'student')} answered both tests.",
            f"Right before: {self.before:.0%}; after: {self.after:.0%}.",
            f"Gain: {self.gain:+.0%}, with 95 % confidence from {self.gain_low:+.0%} to "
            f"{self.gain_high:+.0%}.",
            f"Normalised gain: {self.normalised:.2f} of what was missing before.",
            "question  before  after",
        ]
        rows = [f"{i:8}  {before:6.0%}  {after:5.0%}"
                for i, (before, after) in enumerate(self.questions, 1)]
        return "\n".join([*lines, *rows])


def sheets(seed: int) -> list[Variant]:
    """Returns the two tests of a class: 12 questions each, of the same kinds, with other numbers.
    """
    return variants(seed, TIMES, QUESTIONS, KINDS)


def read_answers(text: str, source: str = "the answers") -> list[tuple[str, str, list[str]]]:
    """Returns the rows of a table of answers: the code, the time, and the answers.

    text: comma-separated values with a head: code, time, 1, 2, ..., 12.

    Raises DataError if the head or a row does not fit; the message has the line.
    """
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    width = 2 + QUESTIONS
    if not rows or [cell.strip() for cell in rows[0][:2]] != ["code", "time"]:
        raise DataError(
            f"{source} must begin with the line {head()}; the command class-test writes it"
        )
    found: dict[tuple[str, str], list[str]] = {}
    for i, row in enumerate(rows[1:], 2):
        cells = [cell.strip() for cell in row]
        if len(cells) != width:
            raise DataError(
                f"{source}, row {i}: {counted(len(cells), 'entry', 'entries')} instead of {width}; "
                "leave an entry empty if there is no answer"
            )
        code, time, *answers = cells
        if time not in TIMES:
            raise DataError(
                f"{source}, row {i}: the time must be before or after, not {short_repr(time)}"
            )
        if (code, time) in found:
            raise DataError(f"{source}, row {i}: {code!r} has answered {time} already")
        found[code, time] = answers
    return [(code, time, answers) for (code, time), answers in found.items()]


def head() -> str:
    """Returns the first line of a table of answers."""
    return ",".join(["code", "time", *[str(i) for i in range(1, QUESTIONS + 1)]])


def gain(answers: Sequence[tuple[str, str, list[str]]], seed: int) -> Gain:
    """Returns the gain of the students who answered both tests.

    answers: the rows that `read_answers` returns.
    seed: the seed of the tests.

    The interval is a bootstrap over students: the middle 95 % of the mean gain of 10,000 classes
    that are drawn, with repetition, from this one.

    Raises ValueError if nobody answered both.
    """
    tests = dict(zip(TIMES, sheets(seed)))
    marks: dict[str, dict[str, list[bool]]] = {}
    for code, time, given in answers:
        items = tests[time].items
        marks.setdefault(code, {})[time] = [_is_right(item, x) for item, x in zip(items, given)]
    both = [found for found in marks.values() if len(found) == len(TIMES)]
    if not both:
        raise ValueError(
            "gain: nobody answered both tests; each student needs the same code before and after"
        )
    shares = {time: [fmean(found[time]) for found in both] for time in TIMES}
    gains = [after - before for before, after in zip(shares["before"], shares["after"])]
    before, after = fmean(shares["before"]), fmean(shares["after"])
    low, high = _interval(gains)
    normalised = (after - before) / (1 - before) if before < 1 else float("nan")
    columns = [[fmean([found[time][k] for found in both]) for time in TIMES]
               for k in range(QUESTIONS)]
    questions = tuple([(first, second) for first, second in columns])
    return Gain(len(both), before, after, fmean(gains), low, high, normalised, questions)


def _is_right(item: Item, given: str) -> bool:
    if not given:
        return False
    if item.question.variables:  # chosen by its letter, or written
        letters = "abcdefgh"[:len(item.choices)]
        letter = given.strip("() ").lower()
        if len(letter) == 1 and letter in letters:
            return item.choices[letters.index(letter)] == item.question.answer
    return item.question.mark(given).right


def _interval(numbers: Sequence[float]) -> tuple[float, float]:
    draw = random.Random(0)
    means = sorted([fmean(draw.choices(numbers, k=len(numbers))) for _ in range(RESAMPLES)])
    cut = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return means[cut], means[-1 - cut]
