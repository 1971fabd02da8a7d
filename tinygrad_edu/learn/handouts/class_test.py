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
from functools import lru_cache
from itertools import count
from math import isnan
from statistics import fmean
from typing import NamedTuple

from ...errors import DataError, check_int, counted, short_repr, some
from ..lessons import LESSONS
from ..questions.answers import UnreadableError, as_choice
from .bank import Item, in_order, lessons_of
from .likeness import like
from .sheets import Variant, variants

QUESTIONS = 12
KINDS = ("value", "gradient", "path", "rule", "line", "update", "count", "classify", "gradient",
         "update", "optimiser", "path")
TIMES = ("before", "after")
NAMED = "Test {} the course"  # what a test is called
RESAMPLES = 10_000
CONFIDENCE = 0.95
CODE = "Your code, the same on both tests (no name)"


@dataclass(frozen=True)
class Gain:
    """What a class gained, with 95 % intervals.

    students: how many answered both tests.
    before, after: the mean share of right answers of these students, from 0 to 1.
    gain: the mean of after - before, with its interval ``gain_low`` to ``gain_high``.
    normalised: (after - before) / (1 - before) of the class; nan if all was right before.
    questions: for each question the share of right answers before and after.
    topics: what each question is about, a kind or an idea.
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
    topics: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def __str__(self) -> str:
        interval = (
            f", with 95 % confidence from {_points(self.gain_low)} to {_points(self.gain_high)}"
            if self.students > 1 else ""
        )
        share = f"{self.normalised:.2f} of what was missing before"
        if isnan(self.normalised):
            share = "none, because nothing was missing before: all answers were right"
        lines = [
            f"{counted(self.students, 'student')} answered both tests.",
            *[f"Left out, with one test only: {some(self.left_out)}."] * bool(self.left_out),
            *[f"Not read, and counted as wrong: {some(self.unread)}."] * bool(self.unread),
            f"Right before: {self.before:.0%}; after: {self.after:.0%}.",
            f"Gain: {_points(self.gain)} percentage points{interval}.",
            f"Normalised gain: {share}.",
        ]
        rows = [
            f"{i:8}  {before:6.0%}  {after:5.0%}  {_about(topic)}"
            for i, (before, after), topic in zip(count(1), self.questions, self.topics)
        ]
        return "\n".join([*lines, "question  before  after  about", *rows])


class Answers(NamedTuple):
    """The answers of a class.

    seed, lessons: of the test, as `sheets` takes them.
    rows: the code, the time, and the answers of each sheet.
    """

    seed: int
    lessons: tuple[str, ...]
    rows: list[tuple[str, str, list[str]]]


def sheets(seed: int, lessons: Sequence[str] = ()) -> list[Variant]:
    """Returns the two tests of a class: 12 questions each, which are alike one by one.

    The second test has the kinds and levels of the first one, and other numbers.  Where it is
    possible it has the same structure (see `likeness.like`).

    seed: the random seed.
    lessons: the lessons that the tests are about; () for all twelve.  A question about an idea is
        in both tests, with its choices in another order.

    Raises what `sheets.variants` raises.
    """
    return [*_sheets(check_int(seed, "class_test: seed", 0),
                     in_order(lessons, "class_test: lessons"))]


@lru_cache(maxsize=8)
def _sheets(seed: int, lessons: tuple[str, ...]) -> tuple[Variant, Variant]:
    kinds = () if lessons else KINDS
    before = variants(seed, TIMES[:1], QUESTIONS, kinds, lessons=lessons)[0]
    draw = random.Random(f"test after {seed}")
    items: list[Item] = []
    for item in before.items:
        items.append(like(item, draw, [other.question.text for other in items]))
    return before, Variant(TIMES[1], tuple(items))


def head(seed: int, lessons: Sequence[str] = ()) -> str:
    """Returns the first line of a table of answers, which says of which test they are."""
    about = " ".join(["", *["on"] * bool(lessons), *lessons])
    return ",".join([f"code of test {seed}{about}", "time", *map(str, range(1, QUESTIONS + 1))])


def origin_of(text: str, source: str = "the answers") -> tuple[int, tuple[str, ...]]:
    """Returns the seed and the lessons of the test that a table of answers is about.

    Raises DataError if its first line is not the one that `head` returns.
    """
    first = text.lstrip("\ufeff").partition("\n")[0].strip()
    begin = ",".join([cell.strip(' "') for cell in re.split("[,;]", first)])
    found = re.match(r"code of test (\d{1,18})(?: on ([a-z ]+))?,", begin)
    lessons = tuple((found[2] or "").split()) if found else ()
    if found is None or begin != head(int(found[1]), lessons) or not {*lessons} <= {*LESSONS}:
        raise DataError(
            f"{source} must begin with the line that class-test writes, such as {head(0)}, not "
            f"{short_repr(first)}"
        )
    return int(found[1]), lessons


def read_answers(text: str, source: str = "the answers") -> Answers:
    """Returns the answers of a class from a table.

    text: values separated by commas or semicolons, with the head that `head` returns.

    Raises DataError if the head or a row does not fit; the message has the line.
    """
    seed, lessons = origin_of(text, source)
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
    rows = [(code, time, answers) for (code, time), answers in found.items()]
    return Answers(seed, lessons, rows)


def gain(answers: Answers) -> Gain:
    """Returns the gain of the students who answered both tests.

    answers: what `read_answers` returns.

    The interval is a bootstrap over students: the middle 95 % of the mean gain of 10,000 classes
    that are drawn, with repetition, from this one.

    Raises ValueError if nobody answered both.
    """
    tests = dict(zip(TIMES, sheets(answers.seed, answers.lessons)))
    marks: dict[str, dict[str, list[bool]]] = {}
    unread: list[str] = []
    for code, time, given in answers.rows:
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
            "nobody answered both tests; each student needs the same code before and after"
        )
    shares = {time: [fmean(found[time]) for found in both] for time in TIMES}
    gains = [after - before for before, after in zip(shares["before"], shares["after"])]
    before, after = fmean(shares["before"]), fmean(shares["after"])
    low, high = _interval(gains)
    normalised = (after - before) / (1 - before) if before < 1 else float("nan")
    columns = [[fmean([found[time][k] for found in both]) for time in TIMES]
               for k in range(QUESTIONS)]
    questions = tuple([(first, second) for first, second in columns])
    topics = tuple([item.topic for item in tests["before"].items])
    return Gain(len(both), before, after, fmean(gains), low, high, normalised, questions, topics,
                tuple(left_out), tuple(unread))


def _about(topic: str) -> str:
    """Returns what a question is about, and in which lessons that is."""
    lessons = lessons_of(topic)
    return f"{topic} (lesson{'s' * (len(lessons) > 1)} {', '.join(lessons)})"


def _points(share: float) -> str:
    """Returns a difference of two shares in percentage points, with its sign."""
    return f"{round(100 * share):+d}"


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
