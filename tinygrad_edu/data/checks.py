"""Checks of arguments: standard deviations, and samples with targets."""

from __future__ import annotations

from collections import UserString
from collections.abc import Mapping, Sequence, Set
from typing import Any

from ..errors import check_number, short_repr


def spread(noise: float, what: str) -> float:
    """Returns a standard deviation as a float.

    Raises:
        ValueError: it is negative, inf or nan.
    """
    wanted = "a standard deviation, a finite number >= 0"
    return check_number(noise, what, 0, "for no noise pass 0", wanted=wanted)


class Rows(Sequence[Any]):
    """The entries of a table with labels, such as a DataFrame or a Series, by position.

    They are read once, and again by `read`.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self.read()

    def read(self) -> None:
        """Reads the table, which may have changed."""
        self._rows = self._table.to_numpy()
        self.__array_interface__ = self._rows.__array_interface__

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: Any) -> Any:
        return self._rows[i]


def by_position(given: Any, what: str) -> Any:
    """Returns samples or targets such that entry i is the i-th, whatever labels there are.

    The entries of a table are its rows.

    what: begins the message of an error.

    Raises:
        TypeError: ``given`` is a mapping, a set or text.
    """
    if not hasattr(given, "to_numpy") and hasattr(given, "to_pandas"):  # a table of pyarrow
        given = given.to_pandas()
    if hasattr(given, "to_numpy"):
        return Rows(given)
    if isinstance(given, (str, UserString)):
        remedy = "pass a list of texts"
    elif isinstance(given, Mapping) or hasattr(given, "keys"):
        remedy = "its entries have keys, not positions; pass a list of its values"
    elif isinstance(given, Set) and not isinstance(given, Sequence):
        remedy = "it has no order of its own; pass a list"
    else:
        return given
    raise TypeError(f"{what} must be a list, not {type(given).__name__} ({short_repr(given)}); "
                    f"{remedy}")


def matched(X: Any, y: Any, user: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Returns ``X`` and ``y`` as sequences of equal length, indexed by position.

    user: begins the message of an error.

    Raises:
        TypeError: ``X`` or ``y`` is not a list, a tuple, an array, a table or another sequence.
        ValueError: ``X`` and ``y`` differ in length, or are empty.
    """
    X = by_position(X, f"{user}: X")
    y = by_position(y, f"{user}: y")
    for name, values in (("X", X), ("y", y)):
        if not hasattr(values, "__len__") or not hasattr(values, "__getitem__"):
            raise TypeError(
                f"{user}: {name} must be a list, not {type(values).__name__} "
                f"({short_repr(values)}); pass list({name})"
            )
    if len(X) != len(y):
        raise ValueError(
            f"{user}: X and y must have equal lengths, not {len(X)} and {len(y)}; "
            "give one target for each sample"
        )
    if not len(X):
        raise ValueError(f"{user}: X must not be empty; give at least one sample")
    return X, y
