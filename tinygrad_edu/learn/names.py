"""Tables with names, which say what was meant when a name is not in them.

    >>> Named("COLOURS", {"red": 1, "green": 2})["gren"]
    Traceback (most recent call last):
        ...
    KeyError: "COLOURS: there is no 'gren'; did you mean 'green'?"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from ..errors import near_names, short_repr, some

T = TypeVar("T")


class Named(dict[str, T]):
    """A dict with texts as keys, whose KeyError names similar keys.

    name: the name of the table, which begins the message.
    entries: what is in it at first.
    """

    def __init__(self, name: str, entries: Mapping[str, T] | None = None) -> None:
        super().__init__(entries or {})
        self.name = name

    def __missing__(self, key: Any) -> NoReturn:
        near = near_names(key, self) if isinstance(key, str) else []
        remedy = f"did you mean {' or '.join(map(repr, near))}?"
        if not near:
            remedy = f"write one of {some(map(repr, self), 3)}, which list({self.name}) shows"
        raise KeyError(f"{self.name}: there is no {short_repr(key)}; {remedy}")
