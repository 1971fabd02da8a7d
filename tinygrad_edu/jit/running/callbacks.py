"""Functions that compiled code calls: rows in Python, and functions of the C library.

An exception of a row cannot pass through machine code.  It is kept, and `reraise` raises it after
the run.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math as std
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from ...engine.primitive import lookup
from ...errors import TinygradEduError

Callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))


# for each thread: ``rows``, which the tape machine calls back now, and ``error``, what one raised
running = threading.local()


def row_callback(rows: Sequence[str]) -> Any:
    """Returns `tg_python` for a module that calls these rows by their positions."""
    functions = [(lookup(op).forward, lookup(op).arity) for op in rows]
    return Callback(lambda number, arguments: call_row(functions[number], arguments))


def call_row(row: tuple[Callable[..., float], int], arguments: Any) -> float:
    """Calls a row; if it raises, returns nan and keeps the error for `reraise`."""
    f, arity = row
    try:
        return float(f(*arguments[:arity]))
    except BaseException as error:
        running.error = error
        return std.nan


def reraise() -> None:
    """Raises the error that a row raised in this thread, if there is one."""
    error = getattr(running, "error", None)
    running.error = None
    if error is not None:
        raise error


def library_address(name: str) -> int:
    """Returns the address of a function of the C library; TinygradEduError if it is missing."""
    for library in _libraries():
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    raise TinygradEduError(f"the C library has no function {name!r}")


@cache
def _libraries() -> list[Any]:
    """Returns the libraries to search; None stands for the program itself."""
    names = [None if sys.platform != "win32" else "ucrtbase"]
    mathematics = ctypes.util.find_library("m")
    if mathematics:
        names.insert(0, mathematics)
    return [ctypes.CDLL(name) for name in names]
