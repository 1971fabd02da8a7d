"""What an exercise in code is, and the result of a check.

A kind of exercise is a file of this folder with a function ``make(seed)``, which returns an
`Exercise`: a starter file, hints, a solution, the steps that are run with the learner's file, and a
function that marks what comes back.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from ...debug.text import short_number
from ...errors import check_text, check_type, counted, shortened
from ...files import FilePath, check_folder_of, check_path, read_text
from .running import LIMITS, Answer, Failure, Limits, Step, run, sentence_of

MOST_BYTES = 100_000  # of a learner's file
FIRST_LINES = 20  # in which the line that names the exercise may stand
NAMED = re.compile(r"#\s*exercise:\s*([\w-]+)\s*,\s*seed\s*(\d{1,1000})\s*", re.IGNORECASE)
MOST_PRINTED_LINES = 10  # that a result shows
MOST_WIDTH = 76  # characters of a line of details
TASK_WIDTH = 79  # characters of a line of the task
PLAIN_NAME = re.compile(r"\w[\w. +-]{,39}")  # a file name that can stand in the docstring
WARNING = re.compile(r"(your file:\d+: \w+Warning): .*")
LONG_NUMBER = re.compile(r"-?\d+\.\d{6,}(e[+-]\d+)?")


class NotYet(Exception):  # noqa: N818  (it is a mark)
    """Raised by a marker: the file is not right yet.

    sentence: what to say to the learner.
    details: more lines, such as a table.
    """

    def __init__(self, sentence: str, details: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.details = tuple(details)


class Failed(Exception):  # noqa: N818  (the same)
    """Raised by a marker: a call of the learner's function failed.

    failure: why.
    at: a sentence that says with which arguments, "" if there is nothing to say.
    """

    def __init__(self, failure: Failure, at: str = "") -> None:
        super().__init__(failure.kind)
        self.failure = failure
        self.at = at


@dataclass(frozen=True, eq=False)
class Exercise:
    """An exercise in code.

    name, seed: which exercise it is; `exercise` makes the same one from them.
    lesson: the name of the lesson that it belongs to.
    title: what is to be done, in a few words.
    starter: the text of the file that the learner edits.
    solution: the text of a file that is right.
    hints: help, the first one the least.
    steps: what is run with the learner's file.
    marker: called with the answers of the steps; returns the sentence for a file that is right, and
        raises `NotYet` or `Failed` for any other.
    """

    name: str
    seed: int
    lesson: str
    title: str
    starter: str = field(repr=False)
    solution: str = field(repr=False)
    hints: tuple[str, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    marker: Callable[[Sequence[Answer]], str] = field(repr=False)

    def check(self, path: FilePath, limits: Limits = LIMITS) -> Result:
        """Runs a learner's file in a process of its own, and returns its mark.

        The file runs with limits of time and memory, in an empty folder, without the environment
        of this process.  This is no sandbox: check only files that you would also run yourself.

        Raises:
            TypeError: ``path`` is not a path.
            OSError: no process could be started.
        """
        try:
            text = text_of(path)
        except NotYet as reason:
            return Result(self, False, str(reason))
        name, seed = name_in(text) or (self.name, self.seed)
        if (name, seed) != (self.name, self.seed):
            return Result(self, False, f"The file is another exercise: {name}, seed {seed}.")
        return self.check_text(text, limits)

    def check_text(self, text: str, limits: Limits = LIMITS) -> Result:
        """Returns the mark of a file from its text (see `check`).

        Raises:
            TypeError: ``text`` is not text, or ``limits`` is not a `Limits`.
            OSError: no process could be started.
        """
        check_text(text, "check_text: text", "to check a file, call check")
        check_type(limits, "check_text: limits", Limits, "Limits", "write Limits(seconds=10)")
        found = run(text, self.steps, limits)
        printed = _printed(found.printed)
        try:
            if found.failure is not None:
                raise Failed(found.failure)
            return Result(self, True, self.marker(found.answers), printed)
        except NotYet as reason:
            return Result(self, False, str(reason), (*reason.details, *printed))
        except Failed as reason:
            failure = sentence_of(reason.failure, text, limits.seconds, limits.megabytes)
            sentence = f"{failure} {reason.at}".strip()
            return Result(self, False, sentence, printed)

    def write(self, path: FilePath | None = None) -> Path:
        """Writes the starter file, and returns its path.

        path: the file, by default one such as ``rate-7.py`` in the present folder.  The commands in
            the starter name this file.

        Raises:
            TypeError: ``path`` is not a path.
            FileExistsError: the file exists.  It is never overwritten.
            IsADirectoryError: ``path`` is a folder.
            OSError: it cannot be written.
        """
        default = f"{self.name}-{self.seed}.py"
        path = default if path is None else path
        check_path(path, "write", default)
        _check_is_no_folder(path, default)
        check_folder_of(path)
        name = Path(path).name
        name = f'"{name}"' if " " in name else name
        is_plain = PLAIN_NAME.fullmatch(Path(path).name) is not None
        text = self.starter.replace(default, name) if is_plain else self.starter
        try:
            with open(path, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            raise FileExistsError(
                f"{str(path)!r} exists already, and is not overwritten; choose another name, or "
                "check the file"
            ) from None
        return Path(path)


def _check_is_no_folder(path: FilePath, default: str) -> None:
    """Raises IsADirectoryError or FileNotFoundError for a path that names a folder."""
    text = os.fspath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(
            f"{text!r} is a folder; name a file in it, such as {os.path.join(text, default)!r}"
        )
    if not os.path.basename(text):
        raise FileNotFoundError(f"the folder {text!r} does not exist; create it first")


@dataclass(frozen=True)
class Result:
    """The mark of a learner's file.

    exercise: the exercise, None if the file does not say which one it is.
    right: whether the file is right.
    sentence: what to say to the learner, on one line.
    details: more lines: a table of what is wrong, and what the file printed; often ().
    """

    exercise: Exercise | None
    right: bool
    sentence: str
    details: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        first = f"{'Right' if self.right else 'Not yet'}: {self.sentence}"
        return "\n".join([first, *self.details])


def text_of(path: FilePath) -> str:
    """Returns the text of a learner's file, in UTF-8 with any kind of line ends.

    Raises:
        TypeError: ``path`` is not a path.
        NotYet: the file cannot be read.
    """
    try:
        return read_text(path, "check", "rate-7.py", "then check it again", ValueError, MOST_BYTES)
    except FileNotFoundError:
        raise NotYet("There is no such file.") from None
    except IsADirectoryError:
        raise NotYet("This is a folder; name the files in it, as in folder/*.py.") from None
    except OSError as error:
        reason = getattr(error.__cause__, "strerror", None) or str(error)
        raise NotYet(f"The file cannot be read: {reason}.") from None
    except ValueError as error:
        _, _, reason = str(error).partition(f"{path} ")
        raise NotYet(f"The file {reason}.") from None


def name_in(text: str) -> tuple[str, int] | None:
    """Returns the name and the seed of the exercise that a file says it is, None if it does not."""
    for line in text.split("\n", FIRST_LINES)[:FIRST_LINES]:
        if match := NAMED.fullmatch(line.strip()):
            return match[1].lower(), int(match[2])
    return None


def file_text(name: str, seed: int, task: str, code: str) -> str:
    """Returns the text of a learner's file.

    name, seed: the exercise; the first line has them.
    task: the docstring.  Its paragraphs are wrapped, except indented ones.
    code: what follows it.
    """
    paragraphs = [
        part if part.startswith(" ") else textwrap.fill(
            part, TASK_WIDTH, fix_sentence_endings=True, break_on_hyphens=False
        )
        for part in task.strip().split("\n\n")
    ]
    task = "\n\n".join(paragraphs)
    file = f"{name}-{seed}.py"
    code = code.strip()
    gap = "\n\n" if code.startswith("def ") else "\n"
    return (
        f'# exercise: {name}, seed {seed}\n"""{task}\n\n'
        f"Check it:  tinygrad-edu practice check {file}\n"
        f'A hint:    tinygrad-edu practice check {file} --hint 1\n"""\n{gap}{code}\n'
    )


def value_of(answer: Answer, at: str = "") -> Any:
    """Returns the value of an answer.

    Raises:
        Failed: there is none.
    """
    if answer.failure is not None:
        raise Failed(answer.failure, at)
    return answer.value


def number_of(x: Any, what: str, at: str = "") -> float:
    """Returns a number that came back.

    what: what it is, as in "rule(0.5, 0.46)" or "RATE".

    Raises:
        NotYet: it is not a number, or is inf or nan.
    """
    end = f" {at}" if at else ""
    if x is None:
        raise NotYet(f"{what} is None, not a number. Is there a return missing?{end}")
    if not isinstance(x, (bool, int, float)):
        raise NotYet(f"{what} must be a number, not {kind_of(x)}.{_of_comma(x)}{end}")
    if isinstance(x, float) and not isfinite(x):
        kind = "nan, which is not a number" if isnan(x) else "infinite"
        raise NotYet(f"{what} is {kind}.{end}")
    return float(x)


def numbers_of(x: Any, count: int, what: str, at: str = "") -> list[float]:
    """Returns a list of ``count`` numbers that came back.

    Raises:
        NotYet: it is anything else.
    """
    if x is None:
        raise NotYet(f"{what} is None. Is there a return missing?")
    wanted = "a list of 1 number" if count == 1 else f"{count} numbers"
    if not isinstance(x, list):
        raise NotYet(f"{what} must be {wanted}, not {kind_of(x)}.")
    if len(x) != count:
        found = counted(len(x), "number") if count == 1 else len(x)
        raise NotYet(f"{what} must be {wanted}, not {found}.")
    return [number_of(entry, f"an entry of {what}", at) for entry in x]


def kind_of(x: Any) -> str:
    """Returns what an answer is, in words, with its beginning."""
    if isinstance(x, str):
        return f"the text {shortened(x, 20)!r}"
    if isinstance(x, (list, dict)):
        return f"a {type(x).__name__}"
    return "None" if x is None else short_number(x)


def is_close(x: float, y: float) -> bool:
    """Returns whether two numbers agree up to rounding."""
    return abs(x - y) <= 1e-9 + 1e-6 * abs(y)


def _of_comma(x: Any) -> str:
    """Returns a sentence about two whole numbers, which 0,5 is for Python, or else ""."""
    if isinstance(x, list) and len(x) == 2 and all(isinstance(n, int) for n in x):
        return f" Python writes a decimal point: {x[0]:d}.{abs(x[1]):d}."
    return ""


def _without_repeats(lines: Sequence[str]) -> list[str]:
    """Returns lines without warnings that come up again, and with short numbers in warnings.

    A warning is repeated if a number in its message is another one.
    """
    kept: list[str] = []
    known: set[str] = set()
    is_source = False  # whether this line is the source line of a warning that was left out
    for line in lines:
        found = WARNING.fullmatch(line)
        if not found and is_source and line.startswith("  "):
            continue
        is_source = found is not None and found[1] in known
        if is_source:
            continue
        if found:
            known.add(found[1])
            line = LONG_NUMBER.sub(lambda number: short_number(float(number[0])), line)
        kept.append(line)
    return kept


def _printed(lines: Sequence[str]) -> tuple[str, ...]:
    """Returns the first lines that a file printed, below a heading."""
    lines = _without_repeats(lines)
    shown: list[str] = []
    for line in lines[:MOST_PRINTED_LINES]:
        wrapped = textwrap.wrap(line, MOST_WIDTH, subsequent_indent="  ")
        shown += [f"  {part}" for part in wrapped or [""]]
    if len(lines) > MOST_PRINTED_LINES or len(shown) > MOST_PRINTED_LINES:
        shown = [*shown[:MOST_PRINTED_LINES], "  ..."]
    return ("Your file printed:", *shown) if shown else ()
