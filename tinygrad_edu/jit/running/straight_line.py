"""Straight-line programs, compiled and called: `Scalar` runs a tape once, `Batch` for many samples.

``languages/llvm.py`` writes their text, `objects` compiles it.  `machine` runs tapes that are too
long for this.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence

from ..languages.emitter import LANES, Module
from ..languages.llvm import batched, scalar
from ..tape.tape import Tape
from . import objects
from .callbacks import library_address, reraise, row_callback


class Compiled:
    """A module in memory, ready to be called; it lives as long as this object.

    ``addresses`` has the address of each entry.
    """

    def __init__(self, module: Module, entries: Sequence[str], level: int = 1) -> None:
        self._callback = row_callback(module.rows) if module.rows else None
        addresses = {symbol: library_address(name) for symbol, name in module.imports.items()}
        if self._callback is not None:
            addresses["tg_python"] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self._library = objects.loaded(objects.targeted(module.text()), addresses, entries, level)
        self.addresses = {entry: self._library[entry] for entry in entries}


class Scalar:
    """One run of a tape, compiled.  Called with the list of its inputs, it returns the outputs.

    ``level`` is LLVM's optimisation level: code of level 0 is compiled in a tenth of the time, but
    runs more slowly.
    """

    def __init__(self, tape: Tape, level: int = 1) -> None:
        self._compiled = Compiled(scalar(tape), ["run"], level)
        self.address = self._compiled.addresses["run"]
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
            self.address
        )
        self._tape = tape

    def fill(self, inputs: int, outputs: int) -> None:
        """Runs the tape from memory to memory: on the addresses of the inputs and the outputs."""
        error = ctypes.c_int(0)
        self._run(inputs, outputs, ctypes.addressof(error))
        reraise()
        if error.value:
            # raises, with a better message
            self._tape.run([*(ctypes.c_double * len(self._tape.names)).from_address(inputs)])

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        data = array("d", inputs)
        results = array("d", bytes(8 * len(self._tape.outputs)))
        self.fill(data.buffer_info()[0], results.buffer_info()[0])
        return results.tolist()


class Batch:
    """A tape for many samples, compiled; ``run`` takes the arguments that `batched` describes.

    slots      the position of each uniform register in ``uniform``
    scratch    the number of doubles in the scratch buffer
    address    the address of the function
    """

    def __init__(self, tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> None:
        module, self.slots = batched(tape, varying, summed)
        self.scratch = LANES * (len(summed) + len(self.slots))
        self._compiled = Compiled(module, ["batch"])
        address = ctypes.c_void_p
        integer = ctypes.c_long
        self.address = self._compiled.addresses["batch"]
        self.run = ctypes.CFUNCTYPE(None, *[address] * 5, integer, integer, address)(self.address)

    def check(self, error: int) -> None:
        """Raises IndexError if the error at this address was set by a run, and resets it."""
        reraise()
        flag = ctypes.c_int.from_address(error)
        if flag.value:
            count = flag.value
            flag.value = 0
            raise IndexError(
                f"take: the index of some sample is wrong: of {count} entries it must be a whole "
                f"number, 0 to {count - 1}"
            )
