"""The tape machine: an interpreter of tapes in machine code, for those that are too long to be
compiled themselves.

It has a case for each row of the table that can be compiled, and works through the code of a tape,
register after register.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any

from ...engine.primitives import lookup
from ..languages.emitter import NATIVE, Block, Code, Module, is_native
from ..languages.llvm import Callback, call_row, library_address, position, reraise, running
from ..tape.operations import DOT, EQUAL, LESS, LESS_EQUAL, TAKE
from ..tape.operations import IF_EQUAL as WHEN
from ..tape.tape import Tape
from . import objects

MULADD = "muladd"  # a dot with one product

# The operations of the machine; their positions are its codes.
CASES = [DOT, TAKE, "python", MULADD, *sorted({*NATIVE} - {"identity"})]


def machine() -> Module:
    """``machine(code, end, registers, next, error)``: runs the code from `encoded` on registers.

    The result of each instruction goes to the next register, from ``next`` on.

    An instruction is the code of its operation and the positions of its operands, 4 bytes each;
    before the operands of ``dot`` and ``take`` stands their number, before those of a row that is
    called back its number and theirs.
    """
    module = Module()
    cases = []
    for number, op in enumerate(CASES):
        block = Block(module)
        if op == DOT:
            cases.append(f"case{number}:\n{DOT_CASE}")
        elif op == TAKE:
            place = position(block, Code(block, "%take.index"), "%take.most", "%take.entries")
            cases.append(
                f"case{number}:\n" + TAKE_CASE.format(check=block.text(), place=place.text)
            )
        elif op == "python":
            cases.append(f"case{number}:\n{PYTHON_CASE}")
        else:
            arity = (
                3
                if op in ("where", WHEN, MULADD)
                else 2
                if op in (LESS, LESS_EQUAL, EQUAL)
                else lookup(op).arity
            )
            operands = []
            for i in range(arity):
                at = block.add(f"getelementptr inbounds i32, ptr %pc, i64 {1 + i}")
                index = block.add(f"load i32, ptr {at.text}")
                where_ = block.add(
                    f"getelementptr inbounds double, ptr %registers, i32 {index.text}"
                )
                operands.append(block.add(f"load double, ptr {where_.text}"))
            if op == MULADD:
                result = block.row("add", [operands[0], block.row("mul", operands[1:])])
            else:
                result = block.operand(block.row(op, operands, native=True))
            block.lines += [
                f"  store double {result.text}, ptr %next",
                f"  %pc{number} = getelementptr inbounds i32, ptr %pc, i64 {1 + arity}",
                "  br label %on",
            ]
            cases.append(f"case{number}:\n" + "\n".join(block.lines))
    special = {DOT: "%dot.pc", TAKE: "%take.pc", "python": "%python.pc"}
    froms = {DOT: "dot.done", TAKE: "take.done", "python": "python.done"}
    phis = ", ".join(
        f"[ {special.get(op, f'%pc{i}')}, %{froms.get(op, f'case{i}')} ]"
        for i, op in enumerate(CASES)
    )
    switch = " ".join(f"i32 {i}, label %case{i}" for i in range(len(CASES)))
    module.declarations["tg_python"] = "declare double @tg_python(i32, ptr)"
    module.functions.append(MACHINE.format(cases="\n".join(cases), phis=phis, switch=switch))
    return module


MACHINE = """define void @machine(ptr noalias readonly %code, ptr noalias readonly %end, ptr noalias %registers, ptr %first, \
ptr noalias %error) {{
entry:
  %arguments = alloca double, i32 256
  br label %head
head:
  %pc = phi ptr [ %code, %entry ], [ %pc.on, %on ]
  %next = phi ptr [ %first, %entry ], [ %next.on, %on ]
  %done = icmp eq ptr %pc, %end
  br i1 %done, label %exit, label %step
step:
  %op = load i32, ptr %pc
  switch i32 %op, label %exit [ {switch} ]
{cases}
on:
  %pc.on = phi ptr {phis}
  %next.on = getelementptr inbounds double, ptr %next, i64 1
  br label %head
exit:
  ret void
}}
define void @gather(ptr noalias %totals, ptr noalias %registers, ptr noalias %places, i64 %count, ptr noalias %error) {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %i1, %on ]
  %check = phi double [ 0.0, %entry ], [ %check1, %on ]
  %done = icmp eq i64 %i, %count
  br i1 %done, label %exit, label %on
on:
  %at = getelementptr inbounds i32, ptr %places, i64 %i
  %place = load i32, ptr %at
  %from = getelementptr inbounds double, ptr %registers, i32 %place
  %x = load double, ptr %from
  %to = getelementptr inbounds double, ptr %totals, i64 %i
  %before = load double, ptr %to
  %after = fadd double %before, %x
  store double %after, ptr %to
  %check1 = fadd double %check, %after
  %i1 = add i64 %i, 1
  br label %head
exit:
  %check.at = getelementptr inbounds double, ptr %error, i64 1
  store double %check, ptr %check.at
  ret void
}}"""

DOT_CASE = """  %dot.at = getelementptr inbounds i32, ptr %pc, i64 1
  %dot.count = load i32, ptr %dot.at
  %dot.start.at = getelementptr inbounds i32, ptr %pc, i64 2
  %dot.start.i = load i32, ptr %dot.start.at
  %dot.start.p = getelementptr inbounds double, ptr %registers, i32 %dot.start.i
  %dot.start = load double, ptr %dot.start.p
  %dot.pairs = getelementptr inbounds i32, ptr %pc, i64 3
  %dot.length = zext i32 %dot.count to i64
  %dot.end = getelementptr inbounds i32, ptr %pc, i64 %dot.length
  %dot.pc = getelementptr inbounds i32, ptr %dot.end, i64 2
  br label %dot.loop
dot.loop:
  %dot.p = phi ptr [ %dot.pairs, %case0 ], [ %dot.p1, %dot.loop ]
  %dot.sum = phi double [ %dot.start, %case0 ], [ %dot.sum1, %dot.loop ]
  %dot.i = load i32, ptr %dot.p
  %dot.j.at = getelementptr inbounds i32, ptr %dot.p, i64 1
  %dot.j = load i32, ptr %dot.j.at
  %dot.x.at = getelementptr inbounds double, ptr %registers, i32 %dot.i
  %dot.x = load double, ptr %dot.x.at
  %dot.y.at = getelementptr inbounds double, ptr %registers, i32 %dot.j
  %dot.y = load double, ptr %dot.y.at
  %dot.xy = fmul double %dot.x, %dot.y
  %dot.sum1 = fadd double %dot.sum, %dot.xy
  %dot.p1 = getelementptr inbounds i32, ptr %dot.p, i64 2
  %dot.last = icmp eq ptr %dot.p1, %dot.pc
  br i1 %dot.last, label %dot.done, label %dot.loop
dot.done:
  store double %dot.sum1, ptr %next
  br label %on"""

TAKE_CASE = """  %take.at = getelementptr inbounds i32, ptr %pc, i64 1
  %take.count = load i32, ptr %take.at
  %take.index.at = getelementptr inbounds i32, ptr %pc, i64 2
  %take.index.i = load i32, ptr %take.index.at
  %take.index.p = getelementptr inbounds double, ptr %registers, i32 %take.index.i
  %take.index = load double, ptr %take.index.p
  %take.length = zext i32 %take.count to i64
  %take.end = getelementptr inbounds i32, ptr %pc, i64 %take.length
  %take.pc = getelementptr inbounds i32, ptr %take.end, i64 2
  %take.entries = sub i32 %take.count, 1
  %take.most = uitofp i32 %take.entries to double
{check}
  %take.entry.n = add i64 {place}, 3
  %take.entry.at = getelementptr inbounds i32, ptr %pc, i64 %take.entry.n
  %take.entry.i = load i32, ptr %take.entry.at
  %take.entry.p = getelementptr inbounds double, ptr %registers, i32 %take.entry.i
  %take.x = load double, ptr %take.entry.p
  br label %take.done
take.done:
  store double %take.x, ptr %next
  br label %on"""

PYTHON_CASE = """  %python.row.at = getelementptr inbounds i32, ptr %pc, i64 1
  %python.row = load i32, ptr %python.row.at
  %python.count.at = getelementptr inbounds i32, ptr %pc, i64 2
  %python.count = load i32, ptr %python.count.at
  %python.length = zext i32 %python.count to i64
  %python.end = getelementptr inbounds i32, ptr %pc, i64 %python.length
  %python.pc = getelementptr inbounds i32, ptr %python.end, i64 3
  br label %python.loop
python.loop:
  %python.k = phi i64 [ 0, %case2 ], [ %python.k1, %python.loop ]
  %python.k3 = add i64 %python.k, 3
  %python.at = getelementptr inbounds i32, ptr %pc, i64 %python.k3
  %python.i = load i32, ptr %python.at
  %python.p = getelementptr inbounds double, ptr %registers, i32 %python.i
  %python.x = load double, ptr %python.p
  %python.to = getelementptr inbounds double, ptr %arguments, i64 %python.k
  store double %python.x, ptr %python.to
  %python.k1 = add i64 %python.k, 1
  %python.last = icmp eq i64 %python.k1, %python.length
  br i1 %python.last, label %python.done, label %python.loop
python.done:
  %python.result = call double @tg_python(i32 %python.row, ptr %arguments)
  store double %python.result, ptr %next
  br label %on"""


# instructions among which places are exchanged; over longer ways the cache would lose their
# operands
WINDOW = 1_024
LONG = 8  # operands an instruction, from which on the time is in the instructions, not between them


def order(tape: Tape) -> list[int]:
    """The order in which instructions are run: within windows by levels, and within a level like
    after like.

    The processor guesses the next case from the last ones.  In the order of the program it learns a
    short tape by heart and is wrong at every other instruction of a long one, which then takes
    twice the time.
    """
    count = len(tape)
    if len(tape.operands) >= LONG * count:
        return list(range(count))
    levels, shapes, keys = [0] * tape.first, dict[tuple[int, int], int](), list[int]()
    starts, operands = tape.starts, tape.operands
    for i, op in enumerate(tape.ops):
        args = operands[starts[i]:starts[i + 1]]
        levels.append(level := 1 + max([levels[arg] for arg in args]))
        keys.append(level << 32 | shapes.setdefault((op, len(args)), len(shapes)))
    return [i for start in range(0, count, WINDOW)
            for i in sorted(range(start, min(start + WINDOW, count)), key=keys.__getitem__)]


def encoded(tape: Tape) -> tuple[array[int], array[int], list[str]]:
    """The code of a tape for the machine, the registers of its outputs there, and the rows that it
    calls back."""
    codes = {op: i for i, op in enumerate(CASES)}
    code, rows = array("I"), list[str]()
    table, ops, starts, operands = tape.table, tape.ops, tape.starts, tape.operands
    places = [*range(tape.first), *[0] * len(tape)]
    for place, i in enumerate(order(tape), tape.first):
        places[tape.first + i] = place
        op, args = table[ops[i]], operands[starts[i]:starts[i + 1]]
        if op == DOT and len(args) == 3:
            code.append(codes[MULADD])
        elif op in (DOT, TAKE):
            code.extend((codes[op], len(args)))
        elif op == "identity":
            raise AssertionError("identity is lowered to its operand")
        elif is_native(op):
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
    """The tape machine, compiled once a process; `tg_python` goes by way of ``current_rows``."""
    module = machine()
    addresses = {symbol: library_address(name) for symbol, name in module.imports.items()}
    addresses["tg_python"] = ctypes.cast(_dispatcher, ctypes.c_void_p).value or 0
    library = objects.loaded(module.text(), addresses, ["machine", "gather"])
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
    """One run of a tape by the tape machine: called with the inputs, a list of floats, it returns
    the outputs."""

    def __init__(self, tape: Tape) -> None:
        self._code, self._outputs, rows = encoded(tape)
        self._rows = [(lookup(op).forward, lookup(op).arity) for op in rows]
        entry = _machine_code()
        self._machine, self._gather, self._library = (
            entry["machine"],
            entry["gather"],
            entry["library"],
        )
        self._tape = tape
        start, length = self._code.buffer_info()
        self._start, self._end, self._next = start, start + 4 * length, 8 * tape.first
        self._error = tape.first + len(tape)  # behind the registers
        # register files, one for each thread that runs it at a time
        self._free: list[array[float]] = []
        self.flags = array("d", [0.0, 0.0])  # of `fill`: the sum of the outputs is the second one

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        registers = self.registers()
        registers[:len(inputs)] = array("d", inputs)
        try:
            self.run(registers)
            return [registers[i] for i in self._outputs]
        finally:
            self._free.append(registers)

    def registers(self) -> array[float]:
        """A register file, with the constants in it."""
        try:
            return self._free.pop()
        except IndexError:
            tape = self._tape
            registers = array("d", bytes(8 * (self._error + 1)))
            registers[len(tape.names):tape.first] = tape.constants
            return registers

    def fill(self, inputs: int, outputs: int) -> None:
        """Like a call, from memory to memory: the addresses of all inputs, and of the outputs, to
        which it adds."""
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
        before, running.rows = getattr(running, "rows", ()), self._rows
        self._machine(*arguments)
        running.rows = before
        outside, registers[self._error] = registers[self._error], 0.0
        if self._rows:
            reraise()
        if outside:
            self._tape.run(registers[:len(self._tape.names)])  # which raises, and says more
