"""Values, names and counts as the text of a message shows them, on one line."""

import re
import reprlib
from collections.abc import Iterable
from typing import Any


def short_repr(x: object) -> str:
    """Returns the beginning of `repr` of ``x`` on one line, without addresses, for a message."""
    text = " ".join(_ABBREVIATED.repr(x).split())
    return shortened(re.sub(r" at 0x[0-9A-Fa-f]+", "", text), 40)


class _Abbreviated(reprlib.Repr):
    """The beginnings of representations, as `repr` returns them."""

    def __init__(self) -> None:
        super().__init__()
        for limit in ("list", "tuple", "set", "frozenset", "deque", "array", "dict"):
            setattr(self, f"max{limit}", 20)
        self.maxother = 1_000

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[:40])

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 1_000 else f"an int of {x.bit_length()} bits"

    def repr_ndarray(self, x: Any, level: int) -> str:
        return repr(x if x.size <= 20 else x.ravel()[:20])

    def repr_instance(self, x: object, level: int) -> str:
        try:
            return repr(x)
        except Exception:  # a message must not fail for what is in it
            return f"<{type(x).__name__} without a repr>"


_ABBREVIATED = _Abbreviated()


def shortened(text: str, most: int) -> str:
    """Returns ``text``, or its beginning with three dots: at most ``most`` characters."""
    return text if len(text) <= most else text[:most - 3] + "..."


def near_names(typed: str, known: Iterable[str]) -> list[str]:
    """Returns at most three of the known names that are similar to what was typed."""
    from difflib import get_close_matches  # here, because the engine alone does not need it

    names = list(known)
    names = [*names[:1000], *names[1000:][-100:]]  # because all of them would take long
    begun = [name for name in names if typed and name.lower().startswith(typed.lower())]
    return begun[:3] or get_close_matches(typed[:40], names, n=3)


def counted(n: int, what: str, plural: str = "") -> str:
    """Returns a count with its noun: ``3 samples``, ``1 sample``."""
    return f"{n:,} {what if n == 1 else plural or what + 's'}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Returns the first of the names, and how many more there are: ``a, b, c and 2 more``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


MAX_ERROR = 500  # characters of an error that is kept or passed on as text


def first_line(error: BaseException) -> str:
    """Returns the type of an error and the first line of its message that has text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(": ".join([type(error).__name__, *lines[:1]]), MAX_ERROR)


def one_line(error: BaseException) -> str:
    """Returns the message of an error on one line.

    If the message has a caret below a text, the place of the caret is told in words.
    """
    message, *rest = str(error).splitlines() or [type(error).__name__]
    if len(rest) == 2 and rest[1].strip() == "^":
        caret = len(rest[1]) - 1
        read = rest[0][4:caret]
        ahead = rest[0][caret:]
        if read.strip() and not ahead.strip():
            message += f" after {read!r}"
        else:
            message += f" at {(ahead or rest[0]).strip()[:20]!r}"
    return message
