"""The commands practice check and practice watch, and the starter files of exercises in code."""

from __future__ import annotations

import argparse
import csv
import glob
import io
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...debug.text import printable
from ...files import destination, write_atomically
from ..arguments import option, positive
from .conversation import say

if TYPE_CHECKING:
    from ...learn.exercises import Limits, Result

WAIT = 0.3  # seconds between two looks at a file that is watched
SAVES_BEFORE_HINT = 3  # that were not right, before a watched file gets its next hint
COLUMNS = ("file", "exercise", "seed", "mark", "sentence")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a cell of a spreadsheet begins to compute

SECONDS = option("--seconds", 10, "seconds of processor time that a file may use; it may wait "
                 "three times as long", positive)
NO_SANDBOX = (
    "Each file runs in a process of its own, with limits of time and memory (where the system has "
    "them), in an empty folder, and without your environment.  That keeps a mistake from doing "
    "harm.  It is no sandbox: a file can still read, write and delete what you can.  Check files "
    "of strangers in a container or on a machine that holds nothing else."
)


def run_check(options: argparse.Namespace) -> int:
    """Marks files: a sentence about each, or more about a single one."""
    from ...learn.exercises import Limits

    out = options.csv
    if out not in (None, "-"):
        out = destination(out, "the marks", [".csv"], "marks.csv")
        _check_replaceable(out)
    files = [path for name in options.files for path in _expanded(name)]
    if len(files) > 1 and options.hint is not None:
        raise ValueError("--hint is about one file; name one")
    limits = Limits(options.seconds)
    results = []
    for path in files:
        result = _checked(path, limits)
        results.append(result)
        if out == "-":
            continue
        if len(files) > 1:
            _say_mark(path, result)
        else:
            _show(path, result, options.hint)
    if out is not None:
        _write_marks(out, files, results)
    right = sum([result.right for result in results])
    if len(files) > 1 and out != "-":
        say(f"{right} of {len(files)} right")
    if not any(map(os.path.isfile, files)):
        return 2
    return 0 if right == len(files) else 1


def run_watch(options: argparse.Namespace) -> int:
    """Checks a file now and whenever it is saved, until it is right."""
    from ...learn.exercises import Limits

    path = options.files[0]
    limits = Limits(options.seconds)
    if _state_of(path) is None:
        raise FileNotFoundError(f"there is no file {path!r}; write one with practice NAME")
    saves = 0
    try:
        while True:
            state = _state_of(path)
            if state is not None:
                result = _checked(path, limits)
                _show_watched(path, result, saves)
                saves += 1
                if result.right:
                    return 0
            say(f"Waiting for {printable(path)} to be saved. Ctrl-C ends.")
            sys.stdout.flush()
            while _state_of(path) in (None, state):
                time.sleep(WAIT)
    except KeyboardInterrupt:
        say("\nNot yet right. To go on:")
        say(f"  {_command('watch', path)}")
        return 1


def write_starter(name: str, seed: int, path: str | None = None) -> int:
    """Writes the starter file of an exercise, and prints what to do next.

    path: the file, by default such as ``rate-7.py``; "-" is standard output.

    Raises:
        ValueError: ``name`` is unknown, or ``seed`` is negative.
        FileExistsError: the file exists.  It is never overwritten.
        OSError: it cannot be written.
    """
    from ...learn.exercises import exercise

    made = exercise(name, seed)
    if path == "-":
        print(made.starter, end="")
        return 0
    try:
        written = str(made.write(path))
    except FileExistsError as error:
        found = path or f"{name}-{seed}.py"
        raise FileExistsError(
            f"{found!r} exists already, and is not overwritten; for another one pass --seed "
            f"{seed + 1}, or check it: {_command('check', found)}"
        ) from error
    say(
        f"wrote {printable(written)}: {made.title}\n\nOpen it in an editor: its first lines say "
        f"what to do.  Then check it:\n  {_command('check', written)}\nor have it checked whenever "
        f"you save it:\n  {_command('watch', written)}"
    )
    return 0


def _expanded(name: str) -> list[str]:
    """Returns the files of a pattern such as ``*.py``, which shells of Windows leave as it is."""
    if os.path.exists(name) or not glob.has_magic(name):
        return [name]
    return sorted(glob.glob(name)) or [name]


def _checked(path: str, limits: Limits) -> Result:
    """Checks a file; what goes wrong is a result, so that other files are checked all the same."""
    from ...learn.exercises import Result, check

    try:
        return check(path, limits)
    except Exception as error:
        reason = printable(str(error)) or type(error).__name__
        return Result(None, False, f"The check could not be made: {reason}")


def _mark(result: Result) -> str:
    return "right" if result.right else "not yet"


def _show(path: str, result: Result, hint: int | None) -> None:
    """Prints the result of a single file, and what to do next."""
    _say_mark(path, result)
    for line in result.details:
        say(f"  {line}")
    _say_next(path, result, hint)
    sys.stdout.flush()


def _say_mark(path: str, result: Result) -> None:
    say(f"{printable(path)}: {_mark(result)}: {result.sentence}")
    sys.stdout.flush()  # the next file may take long


def _say_next(path: str, result: Result, hint: int | None) -> None:
    """Prints what to do after a check.  Lines with commands are indented, so they stay whole."""
    from ...learn.lessons import lesson

    made = result.exercise
    if made is None:
        return
    if result.right:
        say(f"\nAnother one:\n  tinygrad-edu practice {made.name} --seed {made.seed + 1}")
        say(f"The lesson, {lesson(made.lesson).title}:\n  tinygrad-edu learn {made.lesson}")
        return
    count = len(made.hints)
    shown = hint or 0
    if shown > count:
        say(f"\nThere are {count} hints: pass --hint 1 to --hint {count}.")
        return
    if shown:
        say(f"\nHint {shown} of {count}: {made.hints[shown - 1]}")
    if shown < count:
        say(f"\nA hint:\n  {_command('check', path)} --hint {shown + 1}")


def _show_watched(path: str, result: Result, saves: int) -> None:
    """Prints the result of a file that is watched, with a hint after some saves."""
    most = len(result.exercise.hints) if result.exercise else 0
    _show(path, result, min(saves // SAVES_BEFORE_HINT, most))
    say()


def _write_marks(out: str | Path, files: Sequence[str], results: Sequence[Result]) -> None:
    """Writes a CSV file with a row for each file."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for path, result in zip(files, results):
        made = result.exercise
        name = printable(path)
        # A name such as =f(x).py would be computed by a spreadsheet.
        name = f"./{name}" if name.startswith(FORMULA) else name
        which = (made.name, made.seed) if made else ("", "")
        rows.writerow((name, *which, int(result.right), result.sentence))
    if out == "-":
        encoding = sys.stdout.encoding or "utf-8"
        shown = text.getvalue().encode(encoding, "backslashreplace").decode(encoding)
        print(shown, end="")  # rows are not sentences: they must stay whole
        return
    end = ", which replaces the one from before" if os.path.exists(out) else ""
    say(f"wrote {printable(str(write_atomically(out, text.getvalue())))}{end}")


def _check_replaceable(path: Path) -> None:
    """Checks that a file, if it exists, has marks that this command wrote.

    Raises:
        FileExistsError: it has something else.
        OSError: it cannot be read.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        first = file.readline(100).strip()
    if first not in (b"", ",".join(COLUMNS).encode()):
        raise FileExistsError(
            f"{str(path)!r} exists, and does not begin with the line {','.join(COLUMNS)!r} of "
            "marks from an earlier check; it is not overwritten: choose another name"
        )


def _state_of(path: str) -> tuple[int, int] | None:
    """Returns what changes when a file is saved, None while there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _command(what: str, path: str) -> str:
    """Returns a command line about a file, with quotes if they are needed."""
    quoted = subprocess.list2cmdline([path]) if sys.platform == "win32" else shlex.quote(path)
    return f"tinygrad-edu practice {what} {printable(quoted)}"
