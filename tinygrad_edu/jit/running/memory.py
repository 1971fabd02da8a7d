"""Buffers of doubles for compiled code, the addresses of buffers, and garbage collection."""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


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

    @property
    def view(self) -> memoryview:
        """The memory."""
        return self._numbers  # type: ignore[no-any-return]

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


def is_read(view: memoryview) -> bool:
    """Returns whether compiled code reads a column from its place: doubles, one after the other."""
    is_found = not view.readonly or "numpy" in sys.modules  # by `address`
    return view.format == "d" and view.c_contiguous and is_found


def address(buffer: Any) -> int:
    """Returns the address of a buffer; keep the buffer while the address is used."""
    if isinstance(buffer, memoryview) and buffer.readonly:
        return sys.modules["numpy"].asarray(buffer).ctypes.data  # type: ignore[no-any-return]
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer)) if len(buffer) else 0


def give_back(buffer: Any) -> None:
    """Lets the system take back memory, if ``buffer`` is a mapping of a file, which it can read
    again."""
    numpy = sys.modules.get("numpy")
    array: Any = getattr(buffer, "obj", buffer)  # of a view
    while numpy and array is not None:
        base = getattr(array, "base", None)
        if isinstance(array, numpy.memmap) and isinstance(base, mmap.mmap) and array.mode != "c":
            if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
                base.madvise(mmap.MADV_DONTNEED)
            return
        array = base
