"""What can change, and how it is read and put back: the entries of objects and containers."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MISSING = object()  # stands for an entry that is not there


@dataclass
class Holder:
    """Something that can change: ``read`` returns its entries, ``write`` sets or deletes one.

    name_of: returns the name of an entry, from its key.
    container: the dict or list that has the entries, if there is one.
    """

    read: Callable[[], dict[Any, Any]]
    write: Callable[[Any, Any], object]
    name_of: Callable[[Any], str]
    container: Any = None

    def __post_init__(self) -> None:
        self.saved = self.read()

    def changed(self) -> list[Any]:
        """Returns the keys whose values have changed."""
        now, saved = self.read(), self.saved
        if len(now) == len(saved) and all(map(operator.is_, now.values(), saved.values())) \
                and all(map(operator.is_, now, saved)):
            return []  # the usual case, fast
        return [key for key in {**saved, **now}
                if not _is_same(saved.get(key, MISSING), now.get(key, MISSING))]

    def restore(self, only: Callable[[Any], bool] | None = None) -> None:
        """Puts back the entries that have changed, and their order.

        ``only``: returns for what an entry holds now whether it is put back.
        """
        now = self.read()
        for key in self.changed():
            if only is None or only(now.get(key, MISSING)):
                self.write(key, self.saved.get(key, MISSING))
        if only is not None:
            return
        now = self.read()
        if self.saved.keys() == now.keys() and list(self.saved) != list(now):
            # a module's parameters have the order of its attributes
            for key, x in self.saved.items():
                self.write(key, MISSING)
                self.write(key, x)


def whole(read: Callable[[], Any], write: Callable[[Any], object], name: str) -> Holder:
    """Returns the holder of contents that are read and written in one piece, as one entry."""
    return Holder(lambda: {name: read()}, lambda _, saved: write(saved), str)


def names_of(holders: Iterable[Holder]) -> list[str]:
    """Returns the names of the entries that have changed."""
    names = [holder.name_of(key) for holder in holders for key in holder.changed()]
    return list(dict.fromkeys(names))


def _is_same(x: Any, y: Any) -> bool:
    """Returns whether ``x`` and ``y`` are the same object, or the same plain value."""
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if isinstance(x, tuple):
        if {*map(type, x)} == {int} == {*map(type, y)}:  # the state of a generator
            return bool(x == y)
        return len(x) == len(y) and (all(map(operator.is_, x, y)) or all(map(_is_same, x, y)))
    if isinstance(x, dict):
        return _is_same(tuple(x.items()), tuple(y.items()))
    if isinstance(x, (float, complex)):
        return repr(x) == repr(y)  # as text, nan equals nan, and 0.0 differs from -0.0
    if type(x).__name__ == "ndarray":  # in the state of a generator
        return bool(x.tobytes() == y.tobytes())
    return isinstance(x, (int, str, bytes, frozenset)) and x == y


def attribute(x: Any, name: str) -> Any:
    """Returns an attribute without calling ``__getattr__``; `MISSING` if there is none."""
    try:
        return object.__getattribute__(x, name)
    except AttributeError:
        return MISSING


def write_entry(x: Any, key: Any, value: Any, kind: Any = None) -> None:
    """Sets or deletes an entry of a dict, or an attribute of another object.

    It calls the methods of ``kind``, not those of a class of the user's.
    """
    kind = kind or next(base for base in (OrderedDict, dict, type, object) if isinstance(x, base))
    what = "item" if issubclass(kind, dict) else "attr"
    if value is MISSING:
        getattr(kind, f"__del{what}__")(x, key)
    else:
        getattr(kind, f"__set{what}__")(x, key, value)
