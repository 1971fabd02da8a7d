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
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from statistics import fmean

from ...errors import DataError, counted, short_repr, some
from ..questions.answers import UnreadableError, as_choice
from .bank import Item
from .sheets import Variant, variants

QUESTIONS = 12
KINDS = ("value", "gradient", "path", "rule", "line", "update", "count", "classify", "gradient",
         "update", "optimiser", "path")
TIMES = ("before", "after")
RESAMPLES = 10_000
CONFIDENCE = 0.95
CODE = "Your code, the same on both tests (no name)"


@dataclass(frozen=True)
class Gain:
    """What a class gained, with 95 % intervals.

    students: how many answered both tests.
    before, after: the mean share of right answers of these students.
    gain: the mean of after - before, with its interval ``gain_low`` to ``gain_high``.
    normalised: (after - before) / (1 - before) of the class; nan if all was right before.
    questions: for each question the share of right answers before and after.
    left_out: the codes that answered one test only.
    unread: answers that could not be read and count as wrong: the code, the time, the question and
        the answer.
    """

    students: int
    before: float
    after: float
    gain: float
    gain_low: float
    gain_high: float
    normalised: float
    questions: tuple[tuple[float, float], ...]
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def __str__(self) -> str:
        interval = (
            f", with 95 % confidence from {self.gain_low:+.0%} to {self.gain_high:+.0%}"
            if self.students > 1 else ""
        )
        lines = [
            f"{counted(self.students, 'student')} answered both tests.",
            *[f"Left out, with one test only: {some(self.left_out)}."] * bool(self.left_out),
            *[f"Not read, and counted as wrong: {some(self.unread)}."] * bool(self.unread),
            f"Right before: {self.before:.0%}; after: {self.after:.0%}.",
            f"Gain: {self.gain:+.0%}{interval}.",
            f"Normalised gain: {self.normalised:.2f} of what was missing before.",
            "question  before  after",
        ]
        rows = [f"{i:8}  {before:6.0%}  {after:5.0%}"
                for i, (before, after) in enumerate(self.questions, 1)]
        return "\n".join([*lines, *rows])


def sheets(seed: int) -> list[Variant]:
    """Returns the two tests of a class: 12 questions each, of the same kinds, with other numbers.
    """
    before, after = variants(seed, TIMES, QUESTIONS, KINDS)
    items = [*after.items]
    for k, item in enumerate(before.items):
        for i in count():
            if items[k].question.text != item.question.text:
                break
            items[k] = variants(seed, [f"after {i}"], QUESTIONS, KINDS)[0].items[k]
    return [before, Variant(after.name, tuple(items))]


def head(seed: int) -> str:
    """Returns the first line of a table of answers, which says of which test they are."""
    return ",".join([f"code of test {seed}", "time", *map(str, range(1, QUESTIONS + 1))])


def seed_of(text: str, source: str = "the answers") -> int:
    """Returns the seed of the test that a table of answers is about.

    Raises DataError if its first line is not the one that `head` returns.
    """
    first = text.lstrip("\ufeff").partition("\n")[0].strip()
    begin = ",".join([cell.strip(' "') for cell in re.split("[,;]", first)])
    seed = re.match(r"code of test (\d{1,18}),", begin)
    if seed is None or begin != head(int(seed[1])):
        raise DataError(
            f"{source} must begin with the line that class-test writes, such as {head(0)}, not "
            f"{short_repr(first)}"
        )
    return int(seed[1])


def read_answers(
    text: str, source: str = "the answers"
) -> tuple[int, list[tuple[str, str, list[str]]]]:
    """Returns the seed of the test, and the rows: the code, the time, and the answers.

    text: values separated by commas or semicolons, with the head that `head` returns.

    Raises DataError if the head or a row does not fit; the message has the line.
    """
    seed = seed_of(text, source)
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=separator)
    begin = next(reader)
    found: dict[tuple[str, str], list[str]] = {}
    for row in reader:
        cells = [cell.strip() for cell in row]
        where = f"{source}, line {reader.line_num}"
        if not any(cells):
            continue
        if len(cells) != len(begin):
            raise DataError(
                f"{where}: {counted(len(cells), 'entry', 'entries')} instead of {len(begin)}; "
                "leave an entry empty if there is no answer"
            )
        code, time, *answers = cells
        if not code:
            raise DataError(f"{where}: there is no code; leave out sheets without one")
        if time.lower() not in TIMES:
            raise DataError(f"{where}: the time must be before or after, not {short_repr(time)}")
        if (code, time.lower()) in found:
            raise DataError(f"{where}: {code!r} has answered {time} already")
        found[code, time.lower()] = answers
    return seed, [(code, time, answers) for (code, time), answers in found.items()]


def gain(answers: Sequence[tuple[str, str, list[str]]], seed: int) -> Gain:
    """Returns the gain of the students who answered both tests.

    answers, seed: what `read_answers` returns.

    The interval is a bootstrap over students: the middle 95 % of the mean gain of 10,000 classes
    that are drawn, with repetition, from this one.

    Raises ValueError if nobody answered both.
    """
    tests = dict(zip(TIMES, sheets(seed)))
    marks: dict[str, dict[str, list[bool]]] = {}
    unread: list[str] = []
    for code, time, given in answers:
        right: list[bool] = []
        for i, (item, x) in enumerate(zip(tests[time].items, given), 1):
            mark = _marked(item, x)
            right.append(mark is True)
            if mark is None:
                unread.append(f"{code}, {time}, question {i}: {short_repr(x)}")
        marks.setdefault(code, {})[time] = right
    both = [found for found in marks.values() if len(found) == len(TIMES)]
    left_out = [code for code, found in marks.items() if len(found) < len(TIMES)]
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
    return Gain(len(both), before, after, fmean(gains), low, high, normalised, questions,
                tuple(left_out), tuple(unread))


def _marked(item: Item, given: str) -> bool | None:
    """Returns whether an answer is right; None if there is one that cannot be read."""
    if not given:
        return False
    if item.choices:
        with suppress(UnreadableError):
            return as_choice(given, item.choices) == item.question.answer
    mark = item.question.mark(given)
    return mark.right if mark.is_read else None


def _interval(numbers: Sequence[float]) -> tuple[float, float]:
    draw = random.Random(0)
    means = sorted([fmean(draw.choices(numbers, k=len(numbers))) for _ in range(RESAMPLES)])
    cut = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return means[cut], means[-1 - cut]
