"""What samples, targets and predictions are, for `fit`, losses, metrics and all that takes data.

Samples and targets are a list, a tuple, an array or another sequence, or a table with labels, such
as a DataFrame or a Series of pandas or polars, or a table of pyarrow.  Entry i is the i-th one,
whatever the labels are; that of a table with several columns is its i-th row, an array.  Anything
else is refused.  So are missing numbers, dates and complex numbers in a table or an array.

A prediction, and a target of a loss, is a number or a list of numbers (see `numbers`).
"""

from __future__ import annotations

from collections import UserString
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, timedelta
from typing import Any, Protocol

from ..engine.arrays import array_of, as_array, entries_of, is_array, is_table, plain_numbers
from ..engine.value import Value
from ..errors import (
    is_list_like,
    is_number,
    number,
    plain,
    short_repr,
    usual_remedy,
    wrong_entry,
    wrong_type,
)


class Table(Protocol):
    """An array, or a table with labels."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the entries as a numpy array."""


class Rows(Sequence[Any]):
    """The entries of a table, by position.  They are read once, and again by `read`."""

    def __init__(self, table: Any, what: str) -> None:
        self._table = table
        self._what = what
        self.read()

    def read(self) -> None:
        """Reads the table, which may have changed."""
        self._rows = by_position(self._table, self._what)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: Any) -> Any:
        return self._rows[i]


def _numbers_of(table: Any, what: str) -> Any:
    """Returns a table as an array, of numbers if all entries are numbers.

    Raises TypeError if a number is missing, or if there is a date among other objects.
    """
    found = as_array(table)
    if found.dtype.kind == "f" and (is_missing := found != found).any():
        row = next(i for i, missing in enumerate(is_missing) if missing.any())
        raise TypeError(
            f"{what}[{row}] must be made of numbers, not {short_repr(found[row])}; leave out rows "
            "with missing numbers, or fill them"
        )
    if found.dtype.kind != "O":
        return found
    entries = [plain(x, whole=True) for x in entries_of(found)]
    kinds = {*map(type, entries)}
    if kinds <= {bool, int, float}:
        return found.astype(float if float in kinds else next(iter(kinds - {bool}), bool))
    for i, x in enumerate(entries):
        if x is None or isinstance(x, (date, timedelta)) or type(x).__name__ == "NAType":
            row = i * len(found) // len(entries)
            raise TypeError(
                f"{what}[{row}] must be made of numbers, not {short_repr(x)}; leave out rows with "
                "missing numbers, and make numbers of dates"
            )
    return array_of(entries, found.shape)


def _checked(array: Any, what: str) -> Any:
    """Returns an array of one or more dimensions, of numbers, text or objects.

    Raises TypeError if it is another one.
    """
    remedy = {
        "M": "make numbers of dates, such as days since the first one",
        "m": "make numbers of durations, such as seconds",
        "V": "make rows of numbers of its records: X = [list(record) for record in X]",
        "c": "pass real and imaginary parts as two columns",
    }.get(array.dtype.kind, "" if array.shape else "pass a list of them")
    if remedy:
        raise wrong_type(what, "a list", array, remedy)
    return array


def by_position(given: Any, what: str) -> Any:
    """Returns samples or targets such that entry i is the i-th: an array of an array or a table.

    what: begins the message of an error.

    Raises:
        TypeError: ``given`` is a mapping, a set or text; or a table or an array that has missing
            numbers, dates, records or complex numbers, or is sparse or masked.
    """
    if given.__class__ in (list, tuple):
        return given
    converted = next((name for name in _CONVERSIONS if hasattr(type(given), name)), "")
    if isinstance(given, (str, UserString)):
        remedy = "pass a list of texts"
    elif isinstance(given, Mapping):
        remedy = "its entries have keys, not positions; pass a list of its values"
    elif isinstance(given, Set) and not isinstance(given, Sequence):
        remedy = "it has no order of its own; pass a list"
    elif converted == "filled":
        remedy = "leave out what is masked, or fill it with numbers of your choice: x.filled(0.0)"
    elif converted:
        remedy = f"pass its .{converted}()"
    elif is_table(given):
        return _checked(_numbers_of(given, what), what)
    elif hasattr(given, "dtype") and hasattr(given, "shape"):
        return _checked(given, what)
    elif hasattr(given, "to_pandas"):
        return by_position(given.to_pandas(), what)
    elif hasattr(given, "keys"):
        remedy = "its entries have keys, not positions; pass a list of its values"
    else:
        return given.tolist() if isinstance(given, memoryview) else given
    raise wrong_type(what, "a list", given, remedy)


_CONVERSIONS = ("toarray", "filled", "collect")  # of sparse, masked and lazy tables


def matched(X: Any, y: Any, user: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Returns ``X`` and ``y`` as sequences of equal length, indexed by position.

    user: begins the message of an error.

    Raises:
        TypeError: see `by_position`; or ``X`` or ``y`` has no length or no positions.
        ValueError: ``X`` and ``y`` differ in length, or are empty.
    """
    X = by_position(X, f"{user}: X")
    y = by_position(y, f"{user}: y")
    for name, values in (("X", X), ("y", y)):
        if not hasattr(values, "__len__") or not hasattr(values, "__getitem__"):
            remedy = f"list({name})" if isinstance(values, Iterable) else "a list"
            raise wrong_type(f"{user}: {name}", "a list", values, f"pass {remedy}")
    if len(X) != len(y):
        raise ValueError(
            f"{user}: X and y must have equal lengths, not {len(X)} and {len(y)}; "
            "give one target for each sample"
        )
    if not len(X):
        raise ValueError(f"{user}: X must not be empty; give at least one sample")
    return X, y


def chosen(values: Any, places: Sequence[int]) -> Any:
    """Returns the samples or targets at some positions: an array of an array, or else a list."""
    return values[places] if is_array(values) else [values[i] for i in places]


def sample(x: Any) -> Any:
    """Returns a sample or a target as models, losses and metrics get it: with Python's numbers.

    A table, such as a row of a DataFrame, becomes an array.
    """
    is_other = x.__class__ not in _USUAL and is_table(x)
    return plain_numbers(as_array(x) if is_other else x)


_USUAL = {list, tuple, float, int, Value}


def numbers(x: Any, what: str, error: type[Exception] = TypeError) -> Any:
    """Returns a prediction or a target as a loss computes with it: a number or a list of numbers.

    A list, an array or a column of one number counts as this number.

    what: begins the message of an error, as in ``mse: the target``.
    error: what is raised for anything else.
    """
    if isinstance(x, int):
        number(x, what)  # raises OverflowError
    if isinstance(x, (Value, float, int)) or is_number(x):
        return plain(x, whole=True)
    given = as_array(x) if is_table(x) else x
    is_row = hasattr(given, "__len__") and getattr(given, "ndim", 1) == 1
    if is_row and not isinstance(given, (str, bytes, UserString, Mapping, Set)):
        entries = [plain(entry, whole=True) for entry in given]
        wrong = [i for i, entry in enumerate(entries) if not isinstance(entry, (Value, float, int))]
        if not wrong:
            return entries[0] if len(entries) == 1 else entries
        if not is_list_like(entry := entries[wrong[0]]):
            remedy = usual_remedy("a number", entry)
            raise error(str(wrong_entry(what, NUMBERS, x, wrong[0], entry, remedy)))
    is_prediction = error is TypeError
    remedy = "let the model return one" if is_prediction else "give every sample one"
    if isinstance(x, (str, UserString)) and not is_prediction:
        remedy = "give each label a number"
    elif x is None and is_prediction:
        remedy = "does the model end without return? add it"
    elif is_list_like(x):
        remedy = "make it one flat list"
    raise error(str(wrong_type(what, NUMBERS, x, remedy)))


NUMBERS = "a number or a list of numbers"
NO_SLOPE = "return how large the error is: a comparison has no slope to train by"


def returned_loss(x: Any, what: str) -> Any:
    """Returns what a loss returned, if it is one number or Value.

    what: begins the message of an error.

    Raises TypeError if it is something else.
    """
    if isinstance(x, Value) or (is_number(x) and not isinstance(x, bool)):
        return x
    remedy = "return one Value"
    if isinstance(x, bool):
        remedy = NO_SLOPE
    if x is None:
        remedy = "does the function end without return? add it"
    elif hasattr(x, "__len__"):
        remedy = "return one Value, such as the sum of the entries"
    raise wrong_type(what, "one Value", x, remedy)
