"""Buffers of doubles for compiled code, the addresses of buffers, and garbage collection."""

from __future__ import annotations

import ctypes
import gc
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import exact_number


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


def column(x: Any, name: str) -> memoryview:
    """Returns a column of numbers as a buffer of doubles.

    A writable buffer of doubles is used as it is, and keeps its length as long as the view lives.
    Lists and other buffers are copied, number by number.

    Raises:
        TypeError: an entry is not a real number, or no float is equal to it; the message has its
            position.
        OverflowError: an entry is too large for a float.
    """
    try:
        view = memoryview(x)
    except (TypeError, ValueError):  # not a buffer, or an array of dates
        view = None
    if (
        view is not None
        and view.format == "d"
        and view.ndim == 1
        and view.c_contiguous
        and not view.readonly
    ):
        return view
    entries = x.tolist() if hasattr(x, "tolist") else list(x)
    if {*map(type, entries)} <= {float, int, bool}:
        try:
            column = array("d", entries)
        except OverflowError:  # of an entry that is found below
            column = array("d")
        if column.tolist() == entries:  # as fast as can be; nan and rounded ints are different
            return memoryview(column)
    return memoryview(
        array("d", [exact_number(x, f"column {name}[{i}]") for i, x in enumerate(entries)])
    )


def address(buffer: Any) -> int:
    """Returns the address of a writable buffer; keep the buffer while the address is used."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if len(buffer) else 0
