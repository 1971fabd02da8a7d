"""Columns of numbers, as `batch` reads them: buffers of doubles, or numbers that are copied.

Compiled code reads doubles from their place.  Numbers of any other type, and those that are not
one after the other, are copied piece by piece (`Column`), so that the pieces stay in the cache.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any, TypeGuard

from ...engine.arrays import is_array
from ...errors import exact_number, is_number
from .memory import is_read


class Column:
    """A column of whole numbers, booleans or floats in numpy arrays, one after the other.

    parts: the arrays.
    name: of the argument, for messages.
    """

    def __init__(self, parts: Sequence[Any], name: str) -> None:
        self.parts = parts
        self._name = name
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def numbers(self, start: int, stop: int) -> list[float]:
        """Returns the numbers from ``start`` to ``stop``, and raises what `copy` raises."""
        numbers = array("d", bytes(8 * (stop - start)))
        self.copy(memoryview(numbers), start, stop)
        return numbers.tolist()

    def copy(self, buffer: memoryview, start: int, stop: int) -> None:
        """Copies the numbers from ``start`` to ``stop`` to a buffer.

        Raises TypeError if no float is equal to a whole number; the message has its position.
        """
        for part, end in zip(self.parts, self._ends):
            first = end - len(part)
            low, high = max(start, first), min(stop, end)
            if low < high:
                given = part[low - first:high - first]
                if _copy(given, buffer[low - start:high - start]) >= 2**53:
                    for i, x in enumerate(given.tolist(), low):
                        exact_number(x, f"column {self._name}[{i}]")


def _copy(given: Any, buffer: memoryview) -> float:
    """Copies the numbers of an array, and returns the largest size of those with 64 bits.

    Its views of the buffer end here: an error that had them would keep the memory.
    """
    copied = sys.modules["numpy"].asarray(buffer)
    copied[:] = given
    is_long = given.dtype.kind in "iu" and given.dtype.itemsize == 8
    return float(max(-copied.min(), copied.max())) if is_long else 0.0


def is_column_leaf(x: Any) -> TypeGuard[Column | memoryview]:
    """Returns whether ``x`` is what `column` returns, and not a number that all samples share."""
    return isinstance(x, (Column, memoryview))


def is_of_numpy(x: Column | memoryview) -> bool:
    """Returns whether results for a column are arrays of numpy."""
    return isinstance(x, Column) or is_array(x.obj)


def is_column(x: Any) -> bool:
    """Returns whether ``x`` has one dimension: a column of numbers, if not one of other things."""
    if isinstance(x, dict) or hasattr(x, "_fields") or hasattr(x, "filled"):  # a masked array
        return False
    if hasattr(x, "ndim"):
        return bool(x.ndim == 1)
    if (view := _view(x)) is not None:
        return view.ndim == 1
    if not hasattr(x, "__len__") or not hasattr(x, "__getitem__"):
        return False
    first = x[0] if len(x) else 0.0
    return is_number(first) or getattr(getattr(first, "dtype", None), "kind", "") == "b"


def _view(x: Any) -> memoryview | None:
    """Returns the view of a buffer, or None."""
    if x.__class__ in (list, tuple):
        return None
    try:
        return memoryview(x)
    except (TypeError, ValueError):  # not a buffer, or an array of dates
        return None


def column(x: Any, name: str) -> Column | memoryview:
    """Returns a column of numbers, which is read from its place, or as a `Column`.

    A buffer keeps its length as long as the result lives.  Lists are copied number by number.

    Raises:
        TypeError: an entry is not a real number, or no float is equal to it; the message has its
            position.  (For whole numbers of 64 bits, a `Column` raises it when it is read.)
        OverflowError: an entry is too large for a float.
    """
    view = _view(x)
    numpy = sys.modules.get("numpy")
    if view is not None and is_read(view):
        return view
    if view is not None and numpy:
        given = numpy.asarray(view if x.__class__ is memoryview else x)
        if is_plain(given):
            return Column([given], name)
    if view is not None and view.format in "?bBhHiIlLqQfd":
        entries = view.tolist()
    else:
        entries = x.tolist() if hasattr(x, "tolist") else list(x)
    numbers = array("d")
    if {*map(type, entries)} <= {float, int, bool}:
        with suppress(OverflowError):  # of an entry that is found below
            numbers = array("d", entries)
    if numbers.tolist() != entries:  # nan and rounded ints are different; usually there are none
        numbers = array(
            "d", [exact_number(x, f"column {name}[{i}]") for i, x in enumerate(entries)]
        )
    return memoryview(numpy.asarray(numbers) if numpy and is_array(x) else numbers)


def is_plain(x: Any) -> bool:
    """Returns whether the entries of a numpy array are numbers of at most 64 bits."""
    return x.dtype.kind in "fiub" and x.dtype.itemsize <= 8
