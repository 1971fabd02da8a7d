"""Straight-line programs, compiled and called: `Scalar` runs a tape once, `Batch` for many samples.

``languages/llvm.py`` writes their text.  `machine` runs tapes that are too long for this.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import Any

from ...data.summation import LANES
from ...engine.primitive import lookup
from ..languages.emitter import Module
from ..languages.llvm import batched, scalar
from ..tape.tape import Tape
from . import objects
from .callbacks import library_address, prototype, reraise, row_callback


class Compiled:
    """A module in memory; its code lives as long as this object.

    entries: the names of its functions that can be called.
    callback: its `tg_python`; by default one that calls the rows of the module.
    functions: the entries as functions.
    addresses: the addresses of the entries.
    """

    def __init__(self, module: Module, entries: Sequence[str], callback: Any = None,
                 level: int = 1) -> None:
        if module.rows:
            callback = row_callback(list(map(lookup, module.rows)).__getitem__)
        self._callback = callback
        imported = {symbol: library_address(name) for symbol, name in module.imports.items()}
        if callback is not None:
            imported["tg_python"] = ctypes.cast(callback, ctypes.c_void_p).value or 0
        text = objects.targeted(module.text())
        self._library = objects.loaded(text, imported, entries, level)
        self.addresses = {entry: self._library[entry] for entry in entries}
        self.functions = {
            entry: prototype(text, entry)(self._library[entry]) for entry in entries
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


class Scalar(TapeRunner):
    """One run of a tape, compiled.

    ``level`` is LLVM's optimisation level: code of level 0 is compiled in a tenth of the time, but
    runs more slowly.
    """

    def __init__(self, tape: Tape, level: int = 1) -> None:
        self._compiled = Compiled(scalar(tape), ["run"], level=level)
        self.address = self._compiled.addresses["run"]
        self._run = self._compiled.functions["run"]
        self._tape = tape

    def fill(self, inputs: int, outputs: int) -> None:
        """Runs the tape from memory to memory."""
        error = ctypes.c_int32(0)
        self._run(inputs, outputs, ctypes.addressof(error))
        reraise()
        if error.value:
            # raises, with a better message
            self._tape.run([*(ctypes.c_double * len(self._tape.names)).from_address(inputs)])


class Batch:
    """A tape for many samples, compiled; ``run`` takes the arguments that `batched` describes.

    slots      the position of each uniform register in ``uniform``
    scratch    the number of doubles in the scratch buffer
    address    the address of the function
    """

    def __init__(self, tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> None:
        module, self.slots = batched(tape, varying, summed)
        self.scratch = LANES * len(self.slots)
        self._compiled = Compiled(module, ["batch"])
        self.address = self._compiled.addresses["batch"]
        self.run = self._compiled.functions["batch"]

    def check(self, error: int) -> None:
        """Raises IndexError if the error at this address was set by a run, and resets it."""
        reraise()
        flag = ctypes.c_int32.from_address(error)
        count, flag.value = flag.value, 0
        if count:
            raise IndexError(
                f"take: the index of every sample must be a whole number, 0 to {count - 1}, for "
                f"{count} entries"
            )
