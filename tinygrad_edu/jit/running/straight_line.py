"""Straight-line programs, compiled and called: `Scalar` runs a tape once, `Batch` for many samples.

``languages/llvm.py`` writes their text.  `machine` runs tapes that are too long for this.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from ..languages.emitter import LANES
from ..languages.llvm import batched, scalar
from ..tape.tape import Tape
from .callbacks import reraise
from .compiled import Compiled, TapeRunner


class Scalar(TapeRunner):
    """One run of a tape, compiled.

    ``level`` is LLVM's optimisation level: code of level 0 is compiled in a tenth of the time, but
    runs more slowly.
    """

    def __init__(self, tape: Tape, level: int = 1) -> None:
        self._compiled = Compiled(scalar(tape), {"run": 3}, level=level)
        self.address = self._compiled.addresses["run"]
        self._run = self._compiled.functions["run"]
        self._tape = tape

    def fill(self, inputs: int, outputs: int) -> None:
        """Runs the tape from memory to memory."""
        error = ctypes.c_int(0)
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
        self.scratch = LANES * (len(summed) + len(self.slots))
        self._compiled = Compiled(module, {"batch": 8})
        self.address = self._compiled.addresses["batch"]
        self.run = self._compiled.functions["batch"]

    def check(self, error: int) -> None:
        """Raises IndexError if the error at this address was set by a run, and resets it."""
        reraise()
        flag = ctypes.c_int.from_address(error)
        count, flag.value = flag.value, 0
        if count:
            raise IndexError(
                f"take: the index of some sample is wrong: of {count} entries it must be a whole "
                f"number, 0 to {count - 1}"
            )
