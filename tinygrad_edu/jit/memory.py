"""Numbers in memory, where compiled code finds them."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import Any


class Room:
    """So many numbers in one piece of memory, which begins at the address ``at``, a multiple of 64 bytes; at first 0."""

    def __init__(self, count: int) -> None:
        self._array = array("d", bytes(8 * (count + 8)))
        start, _ = self._array.buffer_info()
        self.at = start + -start % 64
        self._skip = (self.at - start) // 8

    def read(self, start: int, stop: int) -> list[float]:
        """The numbers from ``start`` to ``stop``."""
        return self._array[self._skip + start:self._skip + stop].tolist()

    def write(self, start: int, numbers: Sequence[float]) -> None:
        """Sets the numbers from ``start`` on."""
        self._array[self._skip + start:self._skip + start + len(numbers)] = array("d", numbers)

    def __getitem__(self, i: int) -> float:
        return self._array[self._skip + i]

    def __setitem__(self, i: int, x: float) -> None:
        self._array[self._skip + i] = x


def pointers(addresses: Sequence[int]) -> Any:
    """An array of pointers."""
    return (ctypes.c_void_p * max(1, len(addresses)))(*addresses)


def column(x: Any) -> tuple[int, Any]:
    """The address of a column of numbers, and what must be kept as long as that is used.

    A buffer of doubles is used as it is; lists and other buffers are copied.  Raises TypeError for anything else.
    """
    try:
        view = memoryview(x)
    except TypeError:
        view = None
    if view is not None and view.format == "d" and view.ndim == 1 and view.c_contiguous and not view.readonly and len(view):
        return ctypes.addressof(ctypes.c_char.from_buffer(view)), view
    copied = array("d", x if view is None else x.tolist() if hasattr(x, "tolist") else x)
    return copied.buffer_info()[0], copied
