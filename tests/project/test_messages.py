"""Wrong arguments: each error names the argument, shows what was given and says what to write.

`calls.CALLS` has a right call of every public function.  One argument at a time is replaced by
what it cannot be.  What is accepted is left alone; an error must have been raised on purpose.
"""

import dis
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import calls
import numpy as np
from calls import CALLS

import viz
from tinygrad_edu import Value, nn
from tinygrad_edu.errors import PACKAGE_FOLDER

VIZ_FOLDER = str(Path(viz.__file__).parent)

COUNT = 1_000


class Thing:
    """What nobody can use."""

    def __repr__(self):
        return "<a thing>"


def wrongs():
    """Yields new wrong arguments."""
    yield from (None, "text", b"bytes", "", 3 + 4j, float("nan"), float("inf"), -1, 0, 2.5, -0.5)
    yield from (10**400, True, [], (), {}, {"a": 1.0}, set(), [None], ["text"], [[1.0], 2.0])
    yield from (Thing(), [Thing()], Value(1.0), [Value(1.0)], nn.MLP, len, range(3))
    yield from (np.array([1.0, 2.0]), np.ones((2, 2)), np.array(["a"]), np.array(1.0), np.ones(0))
    yield iter([1.0, 2.0])
    yield lambda x: None
    yield lambda: None
    yield lambda *args: "text"


def misfits(x):
    """Yields variants of a right list: an entry too few, one too many, and a wrong entry."""
    if isinstance(x, (list, tuple)) and len(x) > 1:
        yield x[:-1]
    if isinstance(x, (list, tuple)) and x:
        yield type(x)([*x, x[-1]])
        for entry in (None, "text", Thing()):
            yield type(x)([*x[:-1], entry])


def cases():
    """Yields (name of the call, name of the argument, number of the wrong argument)."""
    for name, make in CALLS.items():
        for argument, right in make().arguments.items():
            for i in range(len([*wrongs(), *misfits(right)])):
                yield name, argument, i


def shows(message, wrong):
    """Returns whether a message shows an argument, or its length, its type, or a wrong entry."""
    parts = [repr(wrong)[:12], type(wrong).__name__, getattr(wrong, "__name__", "") or "\0"]
    if isinstance(wrong, str):
        parts.append(wrong or "''")
    if isinstance(wrong, (int, float)) and not isinstance(wrong, bool):
        parts += [f"{wrong:,}"[:12], str(float("inf" if wrong > 1e308 else wrong))[:12], "int of"]
    if hasattr(wrong, "__len__") and getattr(wrong, "shape", 1) != ():
        parts += [str(len(wrong)), "empty", "no "]
    if isinstance(wrong, Iterator):
        wrong = [1.0, 2.0]
        parts += ["not 2", "of 2"]
    elif isinstance(wrong, range) or getattr(wrong, "shape", ()):
        wrong = wrong.tolist() if hasattr(wrong, "tolist") else [*wrong]
    if isinstance(wrong, (list, tuple)):
        parts += [repr(x)[:12] for x in wrong] + [type(x).__name__ for x in wrong]
    if callable(wrong):
        parts += ["None", "'text'", "argument"]
    return any(part in message for part in parts)


REMEDY = re.compile(
    r"\b(must|pass|use|write|give|call|choose|one of|need|needs|add|compute|make|return|usual|"
    r"did you mean)\b")


def complaint(call, argument, wrong):
    """Returns what is wrong with the error of a call, None if there is no error, '' if it is good.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(**{argument: wrong})
    except Exception as error:
        message = str(error)
        frames = list(traceback.walk_tb(error.__traceback__))
        frame, _ = frames[-1]
        if not frame.f_code.co_filename.startswith((PACKAGE_FOLDER, VIZ_FOLDER)):
            is_users = frame.f_code.co_filename == calls.__file__
            if callable(wrong) or callable(call.arguments[argument]) or is_users:
                return None  # the user's function failed
            return f"bare {type(error).__name__} from {frame.f_code.co_filename}: {message}"
        last = error.__traceback__
        while last.tb_next:
            last = last.tb_next
        operation = [i.opname for i in dis.get_instructions(frame.f_code)
                     if i.offset == last.tb_lasti]
        if operation[0] not in ("RAISE_VARARGS", "RERAISE"):
            if callable(wrong) and callable(call.arguments[argument]):
                return None  # a function that takes other arguments
            return f"bare {type(error).__name__} in {frame.f_code.co_name}: {message}"
        names = [argument, *call.aliases.get(argument, [])]
        if not any(re.search(rf"\b{re.escape(name)}\b", message) for name in names):
            return f"does not name the argument: {message}"
        if not shows(message, wrong):
            return f"does not show the value: {message}"
        if not REMEDY.search(message):
            return f"does not say what to write: {message}"
        return ""
    return None
