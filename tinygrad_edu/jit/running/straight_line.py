"""Straight-line programs, compiled and called: `Scalar` runs a tape once, `Batch` for many samples.

``languages/llvm.py`` writes their text.  `machine` runs tapes that are too long for this.
"""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...data.summation import LANES
from ...engine.primitive import lookup
from ..tape.tape import Tape
from . import objects, store
from .callbacks import library_address, prototype, reraise, row_callback
from .recall import digest

if TYPE_CHECKING:  # writing is rare, and its modules take longer to import than a program to load
    from ..languages.emitter import Module


class Compiled:
    """A module in memory; its code lives as long as this object.

    write: returns the module.
    entries: the names of its functions that can be called.
    digest: what the text of the module depends on; None stands for the text itself.
    callback: its `tg_python`; by default one that calls the rows of the module.
    calls_back: whether its code calls rows in Python.
    slots: see `Module`.
    functions: the entries as functions.
    addresses: the addresses of the entries.
    """

    def __init__(self, write: Callable[[], Module], entries: Sequence[str], digest: Any,
                 callback: Any = None, level: int = 1) -> None:
        def compiled() -> store.Entry:
            module = write()
            text = objects.targeted(module.text())
            heads = "\n".join(re.findall("^define .*", text, re.MULTILINE))
            code = objects.emitted(text, level)
            return [module.imports, module.rows, module.slots, heads], [code]

        if digest is None:
            module = write()
            write = lambda: module  # noqa: E731
            digest = [module.text(), module.rows]
        key = digest, list(entries), level, repr(objects.host())
        (imports, rows, self.slots, heads), [code] = store.recalled(key, compiled)
        if rows:
            callback = row_callback(list(map(lookup, rows)).__getitem__)
        self._callback = callback
        self.calls_back = callback is not None
        imported = {symbol: library_address(name) for symbol, name in imports.items()}
        if callback is not None:
            imported["tg_python"] = ctypes.cast(callback, ctypes.c_void_p).value or 0
        self._library = objects.linked(code, imported, entries)
        self.addresses = {entry: self._library[entry] for entry in entries}
        self.functions = {
            entry: prototype(heads, entry)(self._library[entry]) for entry in entries
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
        def write() -> Module:
            from ..languages.llvm import scalar

            return scalar(tape)

        self._compiled = Compiled(write, ["run"], digest(tape), level=level)
        self.address = self._compiled.addresses["run"]
        self.calls_back = self._compiled.calls_back
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

    slots      the number of registers in ``uniform``
    scratch    the number of doubles in the scratch buffer
    address    the address of the function
    """

    def __init__(self, tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> None:
        def write() -> Module:
            from ..languages.llvm import batched

            return batched(tape, varying, summed)

        known = digest(tape)
        key = known and [known, list(varying), list(summed)]
        self._compiled = Compiled(write, ["batch"], key)
        self.slots = self._compiled.slots
        self.scratch = LANES * self.slots
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
