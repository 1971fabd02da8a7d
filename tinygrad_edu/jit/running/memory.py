"""Buffers of doubles for compiled code, the addresses of buffers, and garbage collection."""

from __future__ import annotations

import ctypes
import gc
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ...engine.arrays import is_array
from ...errors import exact_number, is_number


class AlignedBuffer:
    """A zero-initialised buffer of doubles.  ``address`` is its start, a multiple of 64 bytes."""

    def __init__(self, count: int) -> None:
        numbers = array("d", bytes(8 * (count + 8)))
        start, _ = numbers.buffer_info()
        self.address = start + -start % 64
        self._numbers: Any = memoryview(numbers)[(self.address - start) // 8:]

    def read(self, start: int, stop: int) -> list[float]:
        """Returns the numbers from ``start`` to ``stop``."""
        return self._numbers[start:stop].tolist()  # type: ignore[no-any-return]

    def write(self, start: int, numbers: Sequence[float]) -> None:
        """Sets the numbers from ``start`` on."""
        self._numbers[start:start + len(numbers)] = array("d", numbers)

    def copy(self, numbers: memoryview) -> None:
        """Copies numbers of another type, or from other places, to the beginning; needs numpy."""
        numpy = sys.modules["numpy"]
        numpy.asarray(self._numbers)[:len(numbers)] = numbers

    def __getitem__(self, i: int) -> float:
        return self._numbers[i]  # type: ignore[no-any-return]

    def __setitem__(self, i: int, x: float) -> None:
        self._numbers[i] = x


@contextmanager
def without_collection() -> Iterator[None]:
    """Pauses Python's collector of cycles in the block.

    A long program is made of many objects without cycles, and the collector would visit all of them
    again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def pointers(addresses: Sequence[int]) -> Any:
    """Returns an array of pointers; at least one, so that it has an address."""
    return (ctypes.c_void_p * max(1, len(addresses)))(*addresses)


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


def column(x: Any, name: str) -> memoryview:
    """Returns a column of numbers as a buffer of floats, of doubles if numpy is not loaded.

    A buffer of floats is used as it is, and keeps its length as long as the view lives.  Other
    buffers and arrays are copied at once, lists number by number.

    Raises:
        TypeError: an entry is not a real number, or no float is equal to it; the message has its
            position.
        OverflowError: an entry is too large for a float.
    """
    view = _view(x)
    numpy = sys.modules.get("numpy")
    if view is not None and (is_read(view) or (numpy and view.format in ("d", "f"))):
        return view
    if view is not None and numpy:
        given = numpy.asarray(view if x.__class__ is memoryview else x)
        if given.dtype.kind in "fiub" and _is_exact(given):
            return memoryview(given.astype(float, "C"))
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


def _is_exact(x: Any) -> bool:
    """Returns whether a float is equal to each number of an array."""
    if x.dtype.kind in "iu":
        return x.dtype.itemsize < 8 or not x.size or max(-int(x.min()), int(x.max())) <= 2**53
    return bool(x.dtype.itemsize <= 8 or ((x == x.astype(float)) | (x != x)).all())


def is_read(view: memoryview) -> bool:
    """Returns whether compiled code reads a column from its place: doubles, one after the other."""
    is_found = not view.readonly or "numpy" in sys.modules  # by `address`
    return view.format == "d" and view.c_contiguous and is_found


def address(buffer: Any) -> int:
    """Returns the address of a buffer; keep the buffer while the address is used."""
    if isinstance(buffer, memoryview) and buffer.readonly:
        return sys.modules["numpy"].asarray(buffer).ctypes.data  # type: ignore[no-any-return]
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if len(buffer) else 0
