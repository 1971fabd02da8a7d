"""What can go wrong when a learner's file runs, and the sentence that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from ....debug.text import printable
from ....errors import counted, near_names, shortened

MOST_TEXT = 1_000  # characters of a text in a failure
MOST_LINE = 60  # characters of a line or a message that a sentence shows
DECIMAL_COMMA = re.compile(r"\b(\d+),(0\d+)\b")
TYPES = {"str": "a text", "NoneType": "None", "list": "a list", "tuple": "a tuple",
         "dict": "a dict", "function": "a function", "set": "a set", "complex": "a complex number"}


@dataclass(frozen=True)
class Failure:
    """Why a learner's file, or a call of one of its functions, gave no value.

    kind: "syntax", "exception", "memory", "exit", "missing", "model", "type" or "size"; or, if the
        process was stopped, "time", "waiting", "killed", "crash" or "ended".
    name: the function that was called or the variable that was read, "" for the file.
    line: the number of the line of the learner's file, 0 if it is unknown.
    type, message: the name and the message of the exception, or the name of a type.
    names: the names that the file has, if the one that was asked for is missing.
    seconds: how many passed, if the program spent most of them waiting.
    """

    kind: str
    name: str = ""
    line: int = 0
    type: str = ""
    message: str = ""
    names: tuple[str, ...] = ()
    seconds: int = 0

    @classmethod
    def read(cls, found: Any) -> Failure | None:
        """Returns the failure that the runner wrote, None for None.

        Raises:
            ValueError: the runner cannot have written it.
        """
        if found is None:
            return None
        if not isinstance(found, dict) or "kind" not in found:
            raise ValueError("a failure must be a dict with a kind")
        given: dict[str, Any] = {}
        for entry in fields(cls):
            x = found.get(entry.name, entry.default)
            if entry.name == "kind" or isinstance(entry.default, str):
                given[entry.name] = _text_in(x, entry.name)
            elif isinstance(entry.default, int):
                given[entry.name] = _count_in(x, entry.name)
            elif isinstance(x, (list, tuple)):
                given[entry.name] = tuple([_text_in(name, entry.name) for name in x])
            else:
                raise ValueError(f"{entry.name} of a failure must be a list")
        return cls(**given)


def sentence_of(failure: Failure, text: str, seconds: int = 10, megabytes: int = 1_000) -> str:
    """Returns what to say to the learner about a failure.

    text: the learner's file, to quote the line.
    seconds, megabytes: the limits.
    """
    at = _line(failure.line, text)
    message = shortened(printable(failure.message), MOST_LINE)
    if failure.kind == "syntax":
        quoted = _quoted(failure.line, text)
        comma = _of_comma(failure, text)
        return f"Python cannot read line {failure.line} ({message}){quoted}.{comma}"
    if failure.kind == "exception":
        return _of_exception(failure, text, at, message)
    if failure.kind == "missing":
        return _of_missing(failure)
    if failure.kind == "type":
        kind = TYPES.get(failure.message, f"an object of type {message}")
        return f"{_called(failure)} gives {kind}, which the check cannot read; return numbers."
    sentences = {
        "memory": f"The program needs more than {megabytes:,} megabytes of memory{at}. Is there a "
                  "list that grows without end?",
        "exit": f"The program ends itself{at}. Remove sys.exit() or quit(): the check goes on "
                "after it.",
        "model": "The file must make a module of nn, such as nn.MLP. Is there a return missing?",
        "size": f"{_called(failure)} gives more numbers than the check reads; return only what the "
                "task asks for.",
        "time": f"The program was stopped after {counted(seconds, 'second')}{at}. Is there a "
                "loop that never ends?",
        "waiting": f"The program was stopped after {counted(failure.seconds, 'second')}, most of "
                   f"them spent waiting{at}. Does it wait for something, as time.sleep() does?",
        "killed": "The system stopped the program: it needed too much time or memory.",
        "crash": f"Python itself crashed{at}. A recursion that never ends can be the cause.",
    }
    ended = "The program ended before the check was done, as after os._exit(). Remove that."
    return sentences.get(failure.kind, ended)


def _text_in(x: Any, what: str) -> str:
    """Returns a text of a failure, shortened; raises ValueError if it is not a text."""
    if not isinstance(x, str):
        raise ValueError(f"{what} of a failure must be text")
    return x[:MOST_TEXT]


def _count_in(x: Any, what: str) -> int:
    """Returns a number of a failure; raises ValueError if it is not a whole number >= 0."""
    if not isinstance(x, int) or isinstance(x, bool) or x < 0:
        raise ValueError(f"{what} of a failure must be a whole number >= 0")
    return x


def _of_exception(failure: Failure, text: str, at: str, message: str) -> str:
    error = printable(failure.type) + (f": {message}" if message else "")
    if failure.type == "EOFError":
        return f"The program asks for input{at}, and nobody answers. Remove input()."
    if failure.type == "RecursionError":
        return f"A function calls itself without end{at}."
    if failure.type == "ModuleNotFoundError":
        return (
            f"Python does not find a module ({message}){at}. The file is run alone, in an empty "
            "folder: other files of yours are not there, and packages must be installed."
        )
    if failure.name and not failure.line:
        return f"{printable(failure.name)} cannot be called as the task says: {error}."
    return f"There is an error{at} ({error})."


def _of_comma(failure: Failure, text: str) -> str:
    """Returns a sentence about 0,05, in which Python sees a second number that begins with 0."""
    line = text.split("\n")[failure.line - 1:failure.line]
    found = DECIMAL_COMMA.search(line[0]) if line else None
    if found is None or not failure.message.startswith(("leading zeros", "invalid token")):
        return ""
    return f" Python writes a decimal point: {found[1]}.{found[2]}."


def _of_missing(failure: Failure) -> str:
    near = near_names(failure.name, failure.names)
    remedy = f"Did you rename it to {printable(near[0])}?" if near else "Put it back."
    return f"The file has no {printable(failure.name)} any more, which the starter had. {remedy}"


def _called(failure: Failure) -> str:
    return printable(failure.name) or "The file"


def _line(line: int, text: str) -> str:
    return f" in line {line}{_quoted(line, text)}" if line else ""


def _quoted(line: int, text: str) -> str:
    lines = text.split("\n")
    quoted = printable(lines[line - 1].strip()) if 0 < line <= len(lines) else ""
    return f", {shortened(quoted, MOST_LINE)!r}" if quoted else ""
