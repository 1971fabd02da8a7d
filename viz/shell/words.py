"""What a typed word stands for at the shell: a command, a name, a number.  What is none says what
there is instead.

    >>> command_of("unt", ["next", "until", "unwatch"], {"n": "next"})
    'until'
    >>> find_name("'two words'", ["a", "two words"])
    'two words'
    >>> find_name("alpah", ["a", "alpha"])
    Traceback (most recent call last):
    ValueError: nothing here is called 'alpah'; did you mean alpha? There are a, alpha
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

from tinygrad_edu.engine.primitives import short_repr


def command_of(word: str, commands: Collection[str], aliases: Mapping[str, str]) -> str:
    """The command that ``word`` stands for, in full: one of ``commands``, its beginning, or one of
    the ``aliases``.

    Raises ValueError if it is none, and if it is short for several.
    """
    if word in commands:
        return word
    if word in aliases:
        return aliases[word]
    begun = [name for name in commands if len(word) > 1 and name.startswith(word)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise ValueError(f"{short_repr(word)} can be {' or '.join(begun)}")
    near = difflib.get_close_matches(word[:40].lower(), [*commands, *aliases], n=1)
    raise ValueError(
        f"{short_repr(word)} is no command; {_suggestion(near)} are {', '.join(commands)}"
    )


def find_name(typed: str, known: Collection[str]) -> str:
    """Returns what `matching_name` gives.

    Raises ValueError, which says what there is, if that is None.
    """
    name = matching_name(typed, known)
    if name is not None:
        return name
    word = unquoted(typed)
    names = list(known)
    # of all it would take long
    near = difflib.get_close_matches(word[:40], [*names[:1000], *names[1000:][-100:]], n=3)
    raise ValueError(
        f"nothing here is called {short_repr(word)}; {_suggestion(near)} are {names_text(names)}"
    )


def matching_name(typed: str, known: Collection[str]) -> str | None:
    """Which of the ``known`` names was typed, with quotes or without; None if it is none of them.
    """
    return next((name for name in (typed, unquoted(typed)) if name in known), None)


def names_text(names: Collection[str]) -> str:
    """The names in a row; of more than twelve the first and the last ones."""
    each = list(names)
    if len(each) <= 12:
        return ", ".join(each)
    return f"{', '.join(each[:6])}, ..., {', '.join(each[-4:])}, {len(each):,} in all"


def unquoted(text: str) -> str:
    """``text`` without the quotes around it, if there are any."""
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text


def step_number(digits: str, otherwise: str) -> int:
    """The number, or for a very long one, which Python refuses to read, one that is larger than any
    number of steps.

    Raises ValueError with the message ``otherwise`` for what is not all digits.
    """
    if not re.fullmatch("[0-9]+", digits):
        raise ValueError(otherwise)
    return int(digits) if len(digits) < 19 else 10**18


def no_argument(arg: str, command: str) -> None:
    """Raises ValueError if ``command``, which takes no argument, was given one."""
    if arg:
        raise ValueError(f"{command} takes no argument, but was given {short_repr(arg)}")


def completions(word: str, line: str, known: Iterable[str]) -> list[str]:
    """What to put in the place of ``word``, the last one of ``line``, so that the whole argument is
    one of ``known``."""
    argument = line.partition(" ")[2].lstrip()
    before = argument[:len(argument) - len(word)]
    return [name[len(before):] for name in known if name.startswith(argument)]


def _suggestion(near: list[str]) -> str:
    return f"did you mean {' or '.join(near)}? There" if near else "there"
