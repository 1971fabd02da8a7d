"""Starts a process for a learner's file, waits for it, and reads what comes back.

    >>> run("def double(x):\\n    return 2 * x\\n", [Call("double", (1.5,))]).answers
    [Answer(value=3.0, failure=None)]

The file is a text here.  It runs under ``python -I``, with an empty folder as working directory and
an empty environment.  Only numbers, texts and lists of them come back, so marks are computed by the
process that asks, from numbers that it can check.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO, Any, NamedTuple

from ....debug.text import printable
from ....errors import check_int
from .failures import Failure

RUNNER = Path(__file__).with_name("runner.py")
PACKAGE = Path(__file__).parents[3]
# What Python needs to start: the folder of Windows, and where its own library is if it was moved.
NEEDED = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
PATIENCE = 3  # times the limit of processor time: the seconds that may pass on a busy computer
GRACE = 5.0  # seconds in which the process should have ended itself
MOST_RESULT_BYTES = 10_000_000
MOST_PRINTED_BYTES = 10_000
MOST_TRACE_BYTES = 100_000
MOST_DIGITS = 17  # of a whole number: 2**53 and its sign
# how `faulthandler` writes the place of a stopped program, innermost call first
PLACE = re.compile(r'File ".*exercise\.py", line (\d+)')


@dataclass(frozen=True)
class Limits:
    """How much a learner's file may use.

    seconds: processor time, a whole number; waiting may take three times as long.  Where the system
        cannot limit processor time (Windows), the time that passes is limited to these seconds.
    megabytes: memory, where the system can limit it (Linux).

    Raises:
        TypeError: a limit is not a whole number.
        ValueError: a limit is less than 1.
    """

    seconds: int = 10
    megabytes: int = 1_000

    def __post_init__(self) -> None:
        check_int(self.seconds, "Limits: seconds", 1)
        check_int(self.megabytes, "Limits: megabytes", 1)


LIMITS = Limits()


class Kept(NamedTuple):
    """Stands for an object that an earlier `Call` kept, as an argument of a later one."""

    name: str


@dataclass(frozen=True)
class Call:
    """A step: calls a function of the file.

    keep: a name under which the result stays in the process; "" if it should come back.
    """

    function: str
    arguments: tuple[Any, ...] = ()
    keep: str = ""

    def as_json(self) -> dict[str, Any]:
        """Returns the step as the runner reads it."""
        given = [{"kept": x.name} if isinstance(x, Kept) else x for x in self.arguments]
        return {"call": self.function, "arguments": given, "keep": self.keep}


@dataclass(frozen=True)
class Read:
    """A step: reads a variable of the file."""

    variable: str

    def as_json(self) -> dict[str, Any]:
        """Returns the step as the runner reads it."""
        return {"read": self.variable}


@dataclass(frozen=True)
class Numbers:
    """A step: reads the parameters of a module that was kept, as a dict from names to numbers."""

    kept: str

    def as_json(self) -> dict[str, Any]:
        """Returns the step as the runner reads it."""
        return {"numbers": self.kept}


Step = Call | Read | Numbers


class Answer(NamedTuple):
    """What came back from a step: a value, or else a failure."""

    value: Any
    failure: Failure | None = None


@dataclass(frozen=True)
class Run:
    """What came back from a file.

    answers: one for each step; [] if the file itself failed.
    failure: what went wrong when the file was run, None if nothing did.
    printed: the beginning of what it printed, in lines of printable characters.
    """

    answers: list[Answer]
    failure: Failure | None
    printed: list[str] = field(default_factory=list)


def run(text: str, steps: Sequence[Step], limits: Limits = LIMITS) -> Run:
    """Runs a file in a process of its own, and then the steps.

    text: the content of the file.

    Raises:
        OSError: no process could be started, or no temporary folder be made.
    """
    with tempfile.TemporaryDirectory(
        prefix="tinygrad_edu_", ignore_cleanup_errors=True
    ) as folder:
        place = Path(folder)
        work = place / "work"
        work.mkdir()
        # Tracebacks that the program prints show the lines of this file.
        path = work / "exercise.py"
        path.write_text(text, encoding="utf-8", newline="\n", errors="replace")
        job = {
            "path": str(path),
            "text": text,
            "steps": [step.as_json() for step in steps],
            "package": str(PACKAGE),
            "seconds": limits.seconds,
            "patience": PATIENCE * limits.seconds,
            "megabytes": limits.megabytes,
        }
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        code, printed = _finished(place, work, limits)
        shown = printed.decode("utf-8", "replace").replace(str(path), "your file")
        lines = [printable(line) for line in shown.splitlines()]
        try:
            answers, failure = _result(_beginning(place / "result.json", MOST_RESULT_BYTES), steps)
        except (OSError, ValueError, RecursionError):  # there is none, or the file forged one
            return Run([], _stopped(place, code, limits), lines)
    return Run(answers, failure, lines)


def _finished(place: Path, work: Path, limits: Limits) -> tuple[int | None, bytes]:
    """Runs the process to its end, and returns its exit status and what it printed.

    The status is None if the process did not end in time.
    """
    environment = {name: os.environ[name] for name in NEEDED if name in os.environ}
    # What the program leaves among temporary files is deleted with the folder.
    environment.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work)))
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-X", "utf8", str(RUNNER), str(place)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=work,
        env=environment,
        start_new_session=True,  # so that what the program starts can be stopped with it
    )
    printed = bytearray()
    reader = Thread(target=_read, args=(process.stdout, printed), daemon=True)
    reader.start()
    code = None
    try:
        code = process.wait(PATIENCE * limits.seconds + GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _kill(process)
        reader.join(GRACE)
    return code, bytes(printed)


def _read(stream: IO[bytes], printed: bytearray) -> None:
    """Reads a stream to its end, and keeps its beginning."""
    with stream:
        while chunk := stream.read1(1 << 16):  # type: ignore[attr-defined]
            printed += chunk[:MOST_PRINTED_BYTES - len(printed)]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and, where the system has groups of processes, those that it started."""
    with suppress(OSError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _beginning(path: Path, most: int) -> bytes:
    """Returns at most the first ``most`` bytes of a regular file.

    The learner's program may have put anything in its place.  Reading a pipe could wait for ever,
    a device has no end, and a link leads out of the folder.

    Raises:
        OSError: there is no such file, or it is a link, a folder, a pipe or a device.
    """
    # Opening a pipe does not wait with O_NONBLOCK.  Windows has neither such pipes nor these names.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{str(path)!r} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _result(content: bytes, steps: Sequence[Step]) -> tuple[list[Answer], Failure | None]:
    """Returns the answers and the failure in what the runner wrote.

    Raises:
        ValueError: the runner cannot have written this.
    """
    found = json.loads(content, parse_int=_number)
    if not isinstance(found, dict):
        raise ValueError("a result must be a dict")
    failure = Failure.read(found.get("failure"))
    if failure is not None:
        return [], failure
    answers = found.get("answers")
    if not isinstance(answers, list) or len(answers) != len(steps):
        raise ValueError("a result must have an answer for each step")
    return [_answer(answer, step) for answer, step in zip(answers, steps)], None


def _answer(found: Any, step: Step) -> Answer:
    """Returns the answer to one step; raises ValueError if the runner cannot have written it."""
    if not isinstance(found, dict):
        raise ValueError("an answer must be a dict")
    failure = Failure.read(found.get("failure"))
    value = found.get("value")
    if isinstance(step, Numbers) and failure is None and not (
        isinstance(value, dict) and all(isinstance(x, (int, float)) for x in value.values())
    ):
        failure = Failure("model")
    return Answer(value, failure)


def _number(digits: str) -> float:
    """Returns a whole number; the runner writes large ones as floats, so that sums are finite."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _stopped(place: Path, code: int | None, limits: Limits) -> Failure:
    """Returns why a process ended without a result, and at which line if that is known."""
    try:
        trace = _beginning(place / "trace.txt", MOST_TRACE_BYTES).decode("utf-8", "replace")
    except OSError:
        trace = ""
    found = PLACE.search(trace)
    line = int(found[1]) if found else 0
    if _ended_by("SIGXCPU", code):
        return Failure("time", line=line)
    if code is None or trace.startswith("Timeout"):
        if not hasattr(signal, "SIGXCPU"):  # waiting counts as computing there
            return Failure("time", line=line)
        return Failure("waiting", line=line, seconds=PATIENCE * limits.seconds)
    if _ended_by("SIGKILL", code):
        return Failure("killed")
    return Failure("crash" if "Fatal" in trace else "ended", line=line)


def _ended_by(name: str, code: int | None) -> bool:
    """Returns whether a signal ended a process.  Windows has neither of those asked for."""
    number = getattr(signal, name, None)
    return number is not None and code == -number
