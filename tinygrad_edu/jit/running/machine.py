"""Runs tapes by the tape machine, an interpreter in machine code, if they are too long to compile.

``languages/tape_machine.py`` has its text: a case for each operation.  It works through the code
of a tape, register after register.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any

from ...engine.primitive import lookup
from ..languages.tape_machine import CASES, MULADD, is_case, machine
from ..tape.gradient import expanded
from ..tape.operations import DOT, TAKE
from ..tape.tape import Tape
from . import objects
from .callbacks import Callback, call_row, library_address, reraise, running

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
    shapes: dict[tuple[int, int], int] = {}
    keys: list[int] = []
    starts = tape.starts
    operands = tape.operands
    for i, op in enumerate(tape.ops):
        args = operands[starts[i]:starts[i + 1]]
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
    codes = {op: i for i, op in enumerate(CASES)}
    code = array("I")
    rows: list[str] = []
    table = tape.table
    ops = tape.ops
    starts = tape.starts
    operands = tape.operands
    places = [*range(tape.first), *[0] * len(tape)]
    for place, i in enumerate(order(tape), tape.first):
        places[tape.first + i] = place
        op = table[ops[i]]
        args = operands[starts[i]:starts[i + 1]]
        if op == DOT and len(args) == 3:
            code.append(codes[MULADD])
        elif op in (DOT, TAKE):
            code.extend((codes[op], len(args)))
        elif op == "identity":
            raise AssertionError("identity is lowered to its operand")
        elif is_case(op):
            code.append(codes[op])
        else:
            if op not in rows:
                rows.append(op)
            code.extend((codes["python"], rows.index(op), len(args)))
        code.extend([places[arg] for arg in args])
    return code, array("I", [places[output] for output in tape.outputs]), rows


# ---- calling it ----------------------------------------------------------------------------------


@cache
def _machine_code() -> dict[str, Any]:
    """Returns the compiled tape machine; its `tg_python` calls the rows of `running`."""
    module = machine()
    addresses = {symbol: library_address(name) for symbol, name in module.imports.items()}
    addresses["tg_python"] = ctypes.cast(_dispatcher, ctypes.c_void_p).value or 0
    library = objects.loaded(objects.targeted(module.text()), addresses, ["machine", "gather"])
    pointers = [ctypes.c_void_p] * 5
    return {
        "library": library,
        "machine": ctypes.CFUNCTYPE(None, *pointers)(library["machine"]),
        "gather": ctypes.CFUNCTYPE(None, *pointers[:3], ctypes.c_long, ctypes.c_void_p)(
            library["gather"]
        ),
    }


_dispatcher = Callback(lambda number, arguments: call_row(running.rows[number], arguments))


class Machine:
    """A tape for the tape machine.  Called with the list of its inputs, it returns the outputs."""

    def __init__(self, tape: Tape) -> None:
        tape = expanded(tape, is_case)
        self._code, self._outputs, rows = encoded(tape)
        self._rows = [(lookup(op).forward, lookup(op).arity) for op in rows]
        entry = _machine_code()
        self._machine = entry["machine"]
        self._gather = entry["gather"]
        self._library = entry["library"]
        self._tape = tape
        start, length = self._code.buffer_info()
        self._start = start
        self._end = start + 4 * length
        self._next = 8 * tape.first
        self._error = tape.first + len(tape)  # behind the registers
        # register files that no thread uses now
        self._free: list[array[float]] = []
        self.flags = array("d", [0.0, 0.0])  # of `fill`; the second one is the sum of the outputs

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        registers = self.registers()
        registers[:len(inputs)] = array("d", inputs)
        try:
            self.run(registers)
            return [registers[i] for i in self._outputs]
        finally:
            self._free.append(registers)

    def registers(self) -> array[float]:
        """Returns a register file that has the constants in it."""
        try:
            return self._free.pop()
        except IndexError:
            tape = self._tape
            registers = array("d", bytes(8 * (self._error + 1)))
            registers[len(tape.names):tape.first] = tape.constants
            return registers

    def fill(self, inputs: int, outputs: int) -> None:
        """Runs the tape from memory to memory: adds the outputs to the numbers at an address."""
        registers = self.registers()
        try:
            data, _ = registers.buffer_info()
            ctypes.memmove(data, inputs, 8 * len(self._tape.names))
            self.run(registers)
            places, count = self._outputs.buffer_info()
            self._gather(outputs, data, places, count, self.flags.buffer_info()[0])
        finally:
            self._free.append(registers)

    def run(self, registers: array[float]) -> None:
        """Runs the tape on registers."""
        data, _ = registers.buffer_info()
        arguments = self._start, self._end, data, data + self._next, data + 8 * self._error
        before = getattr(running, "rows", ())
        running.rows = self._rows
        self._machine(*arguments)
        running.rows = before
        outside = registers[self._error]
        registers[self._error] = 0.0
        if self._rows:
            reraise()
        if outside:
            self._tape.run(registers[:len(self._tape.names)])  # raises, with a better message
