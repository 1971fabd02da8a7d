"""The meaning of a word typed at the shell: a name or a number.

Errors list what there is.

    >>> find_name("'two words'", ["a", "two words"])
    'two words'
    >>> find_name("alpah", ["a", "alpha"])
    Traceback (most recent call last):
    ValueError: nothing here is called 'alpah'; did you mean alpha? There are a, alpha
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

from tinygrad_edu.errors import short_repr


def find_name(typed: str, known: Collection[str]) -> str:
    """Returns what `matching_name` gives.

    Raises:
        ValueError: there is no such name; the message has the known names.
    """
    name = matching_name(typed, known)
    if name is not None:
        return name
    word = unquoted(typed)
    names = list(known)
    # some of the names only, because all of them would take long
    near = difflib.get_close_matches(word[:40], [*names[:1000], *names[1000:][-100:]], n=3)
    raise ValueError(
        f"nothing here is called {short_repr(word)}; {suggestion(near)} are {names_text(names)}"
    )


def matching_name(typed: str, known: Collection[str]) -> str | None:
    """Returns the known name that was typed, with quotes or without, or None."""
    return next((name for name in (typed, unquoted(typed)) if name in known), None)


def names_text(names: Collection[str]) -> str:
    """Returns the names, separated by commas, or the first and the last of more than twelve."""
    each = list(names)
    if len(each) <= 12:
        return ", ".join(each)
    return f"{', '.join(each[:6])}, ..., {', '.join(each[-4:])}, {len(each):,} in all"


def unquoted(text: str) -> str:
    """Returns ``text`` without the quotes around it, if there are any."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text


def step_number(digits: str, otherwise: str) -> int:
    """Returns the number that was typed.

    For more than 18 digits it is a number larger than any step's, because Python does not read
    very long ones.

    Raises:
        ValueError: ``digits`` is not digits only; ``otherwise`` is the message.
    """
    if not re.fullmatch("[0-9]+", digits):
        raise ValueError(otherwise)
    return int(digits) if len(digits) < 19 else 10**18


def no_argument(arg: str, command: str) -> None:
    """Checks the argument of a command that takes none.

    Raises:
        ValueError: there is one.
    """
    if arg:
        raise ValueError(f"{command} takes no argument, but was given {short_repr(arg)}")


def completions(word: str, line: str, known: Iterable[str]) -> list[str]:
    """Returns replacements for ``word``, the last word of ``line``.

    They make the whole argument one of ``known``.
    """
    argument = line.partition(" ")[2].lstrip()
    before = argument[:len(argument) - len(word)]
    return [name[len(before):] for name in known if name.startswith(argument)]


def suggestion(near: list[str]) -> str:
    """Returns the words before a list of everything that could have been typed."""
    return f"did you mean {' or '.join(near)}? There" if near else "there"
