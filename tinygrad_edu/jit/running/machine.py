"""Runs tapes by the tape machine, an interpreter in machine code, if they are too long to compile.

``languages/tape_machine.py`` has its text: a case for each operation.  It works through the code
of a tape, register after register.
"""

from __future__ import annotations

import ctypes
from array import array
from functools import cache

from ...engine.primitive import lookup
from ...engine.table import are_built_in
from ..languages.tape_machine import CODES, MULADD, is_case, machine
from ..tape.gradient import expanded
from ..tape.operations import DOT, VARIADIC
from ..tape.tape import Tape
from . import store
from .callbacks import reraise, row_callback, running
from .recall import digest
from .straight_line import Compiled, TapeRunner

WINDOW = 1_024  # instructions that are sorted together; more would spread operands over the cache
LONG_INSTRUCTION = 8  # mean number of operands from which on sorting does not pay


def order(tape: Tape) -> list[int]:
    """Returns the order in which instructions are run.

    Each window is sorted by levels, and each level by operation.  The processor predicts the next
    case from the last ones: on a long tape in the program's order it is wrong for every second
    instruction, which doubles the time.
    """
    count = len(tape)
    if len(tape.operands) >= LONG_INSTRUCTION * count:
        return list(range(count))
    levels = [0] * tape.first
    shapes: dict[tuple[str, int], int] = {}
    keys: list[int] = []
    for op, args in tape.instructions():
        level = 1 + max([levels[arg] for arg in args])
        levels.append(level)
        keys.append(level << 32 | shapes.setdefault((op, len(args)), len(shapes)))
    result: list[int] = []
    for start in range(0, count, WINDOW):
        window = range(start, min(start + WINDOW, count))
        result += sorted(window, key=keys.__getitem__)
    return result


def encoded(tape: Tape) -> tuple[array[int], array[int], list[str]]:
    """Returns the code of a tape, the registers of its outputs, and the rows that it calls back."""
    code = array("I")
    rows: dict[str, int] = {}
    places = [*range(tape.first), *[0] * len(tape)]
    for place, i in enumerate(order(tape), tape.first):
        places[tape.first + i] = place
        op, args = tape.instruction(i)
        if op == DOT and len(args) == 3:
            code.append(CODES[MULADD])
        elif op in VARIADIC:
            code.extend((CODES[op], len(args)))
        elif is_case(op):
            code.append(CODES[op])
        else:
            code.extend((CODES["python"], rows.setdefault(op, len(rows)), len(args)))
        code.extend([places[arg] for arg in args])
    return code, array("I", [places[output] for output in tape.outputs]), list(rows)


# ---- calling it ----------------------------------------------------------------------------------


@cache
def _machine_code() -> Compiled:
    """Returns the compiled tape machine; its `tg_python` calls the rows of `running`."""
    callback = row_callback(lambda number: running.rows[number])
    digest = "tape machine" if are_built_in(()) else None
    return Compiled(machine, ["machine", "gather"], digest, callback)


class Machine(TapeRunner):
    """A tape for the tape machine.

    `fill` adds the outputs to the numbers that are there.
    """

    def __init__(self, tape: Tape) -> None:
        def made() -> store.Entry:
            known = expanded(tape, is_case)
            code, outputs, rows = encoded(known)
            parts = [code.tobytes(), outputs.tobytes(), known.constants.tobytes()]
            return [rows, known.first + len(known)], parts

        known = digest(tape)
        fields, parts = made() if known is None else store.recalled(known, made)
        rows, self._error = fields  # it is behind the registers
        code, outputs, constants = parts
        self._code = array("I", code)
        self._outputs = array("I", outputs)
        self._constants = array("d", constants)
        self._rows = list(map(lookup, rows))
        self._compiled = _machine_code()
        self._tape = tape
        # register files that no thread uses now
        self._free: list[array[float]] = []
        self.flags = array("d", [0.0, 0.0])  # of `fill`; the second one is the sum of the outputs

    def registers(self) -> array[float]:
        """Returns a register file that has the constants in it."""
        try:
            return self._free.pop()
        except IndexError:
            registers = array("d", bytes(8 * (self._error + 1)))
            first = len(self._tape.names)
            registers[first:first + len(self._constants)] = self._constants
            return registers

    def fill(self, inputs: int, outputs: int) -> None:
        """Runs the tape from memory to memory."""
        registers = self.registers()
        try:
            data, _ = registers.buffer_info()
            ctypes.memmove(data, inputs, 8 * len(self._tape.names))
            self.run(registers)
            gather = self._compiled.functions["gather"]
            gather(outputs, data, *self._outputs.buffer_info(), self.flags.buffer_info()[0])
        finally:
            self._free.append(registers)

    def run(self, registers: array[float]) -> None:
        """Runs the tape on registers."""
        start, length = self._code.buffer_info()
        data, _ = registers.buffer_info()
        first = len(self._tape.names) + len(self._constants)
        places = [data, data + 8 * first, data + 8 * self._error]
        before = getattr(running, "rows", ())
        running.rows = self._rows
        self._compiled.functions["machine"](start, start + 4 * length, *places)
        running.rows = before
        outside = registers[self._error]
        registers[self._error] = 0.0
        if self._rows:
            reraise()
        if outside:
            self._tape.run(registers[:len(self._tape.names)])  # raises, with a better message
