"""Modules of LLVM in memory, ready to be called.

``languages`` writes their text, and `objects` compiles it.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from ...engine.primitive import lookup
from ..languages.emitter import Module
from ..tape.tape import Tape
from . import objects
from .callbacks import library_address, row_callback


class Compiled:
    """A module in memory; its code lives as long as this object.

    entries: the number of arguments of each entry: addresses, and integers of as many bits.
    callback: its `tg_python`; by default one that calls the rows of the module.
    functions: the entries as functions.
    addresses: the addresses of the entries.
    """

    def __init__(self, module: Module, entries: Mapping[str, int], callback: Any = None,
                 level: int = 1) -> None:
        if module.rows:
            callback = row_callback(list(map(lookup, module.rows)).__getitem__)
        self._callback = callback
        imported = {symbol: library_address(name) for symbol, name in module.imports.items()}
        if callback is not None:
            imported["tg_python"] = ctypes.cast(callback, ctypes.c_void_p).value or 0
        text = objects.targeted(module.text())
        self._library = objects.loaded(text, imported, list(entries), level)
        self.addresses = {entry: self._library[entry] for entry in entries}
        self.functions = {
            entry: ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)(self._library[entry])
            for entry, count in entries.items()
        }


class TapeRunner:
    """Runs a tape.  Called with the list of its inputs, it returns the outputs."""

    _tape: Tape

    def fill(self, inputs: int, outputs: int) -> None:
        """Runs the tape from memory to memory: on the addresses of the inputs and the outputs."""
        raise NotImplementedError

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        data = array("d", inputs)
        results = array("d", [-0.0]) * len(self._tape.outputs)  # -0.0 + x is x for every x
        self.fill(data.buffer_info()[0], results.buffer_info()[0])
        return results.tolist()
