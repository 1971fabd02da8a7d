"""Functions that compiled code calls: rows in Python, and functions of the C library.

An exception of a row cannot pass through machine code.  It is kept, and `reraise` raises it after
the run.
"""

from __future__ import annotations

import ctypes
import math as std
import re
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from ...engine.primitive import Primitive
from ...errors import TinygradEduError

# of the same width on every machine, unlike a long of C, which has 32 bits on Windows
TYPES: dict[str, Any] = {
    "void": None, "ptr": ctypes.c_void_p, "i32": ctypes.c_int32, "i64": ctypes.c_int64,
    "double": ctypes.c_double,
}
# for each thread: ``rows``, which the tape machine calls back now, and ``error``, what one raised
running = threading.local()


def row_callback(row_of: Callable[[int], Primitive]) -> Any:
    """Returns `tg_python`, which calls rows by their numbers.

    If a row raises, it returns nan and keeps the error for `reraise`.
    """
    def call(number: int, arguments: Any) -> float:
        row = row_of(number)
        try:
            return float(row.forward(*arguments[:row.arity]))
        except BaseException as error:
            running.error = error
            return std.nan

    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int32, ctypes.POINTER(ctypes.c_double))(call)


def prototype(text: str, entry: str) -> Any:
    """Returns the type, for ctypes, of a function that a text in LLVM's language defines."""
    head = re.search(rf"define (\w+) @{entry}\(([^)]*)\)", text)
    if head is None:
        raise TinygradEduError(f"the text does not define {entry!r}")
    arguments = [TYPES[argument.split()[0]] for argument in head[2].split(",")]
    return ctypes.CFUNCTYPE(TYPES[head[1]], *arguments)


def reraise() -> None:
    """Raises the error that a row raised in this thread, if there is one."""
    error = getattr(running, "error", None)
    running.error = None
    if error is not None:
        raise error


def library_address(name: str) -> int:
    """Returns the address of a function of the C library; TinygradEduError if it is missing."""
    for find in (_program, _mathematics):  # finding a library takes longer than compiling
        try:
            return ctypes.cast(getattr(find(), name), ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    raise TinygradEduError(f"the C library has no function {name!r}")


@cache
def _program() -> Any:
    """Returns the functions of Python itself, which has loaded the C library."""
    return ctypes.CDLL(None if sys.platform != "win32" else "ucrtbase")


@cache
def _mathematics() -> Any:
    import ctypes.util

    return ctypes.CDLL(found) if (found := ctypes.util.find_library("m")) else _program()
