"""Straight-line machine code for tapes: as text of LLVM's intermediate representation, which
llvmlite compiles in memory.

* `scalar`, `Scalar`: one run of a tape;
* `batched`, `Batch`: a loop over samples, in which every register is a vector of samples.  What
  depends on no sample is computed once, and sums over samples are added up inside.

`emitter` says what becomes of a row; `machine` has the interpreter for tapes that are too long for
this.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math as std
import sys
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ...engine.primitives import lookup
from ...errors import TinygradEduError
from ..running import objects
from ..tape.operations import DOT, TAKE
from ..tape.tape import Tape
from .emitter import LANES, Block, Code, Module, literal

# ---- one run of a tape, straight-line ------------------------------------------------------------


FAR = 30  # operands between two uses of a number, over which it is kept in memory


def body(
    tape: Tape,
    block: Block,
    load: Callable[[int], Code],
    keep: Callable[[int, Code], None],
    inputs: str,
    slots: Mapping[int, int],
    chosen: Callable[[int], bool] = lambda register: True,
) -> None:
    """Writes the instructions of a tape: those that are ``chosen``, by their registers.

    ``load`` gives a register that is not computed here; ``keep`` is told every one that is.
    ``slots`` says of registers that stand in memory, one number for all samples, where: counted
    from ``inputs``.

    A number that is used again much later goes to memory at once.  LLVM would find that out itself,
    in a time that grows faster than the length of the program; it is left to LLVM in the loop over
    samples, where its code is the better one.
    """
    known: dict[int, tuple[Code, int]] = {}  # registers, and when each was computed or loaded
    memory: dict[int, str] = {}
    # for this instruction alone: to load again is cheaper than to keep
    loaded: dict[int, Code] = {}
    # by the entries of a take: where they stand, see `table`
    tables: dict[bytes, tuple[str, int, int]] = {}
    places: dict[int, list[tuple[str, int]]] = {}  # where in such tables a register goes
    times, now = tape.starts, 0
    last = dict[int, int]()  # when a register is used for the last time
    if block.lanes == 1:
        for i, (op, args) in enumerate(tape.instructions()):
            last.update(dict.fromkeys(args[:1] if op == TAKE else args, times[i]))

    def value(register: int) -> Code | float:
        if register in known:
            found, time = known[register]
            if register in memory and now - time > FAR:
                found = block.add(f"load {block.type}, ptr {memory[register]}")
                known[register] = found, now
            return found
        if register in loaded:
            return loaded[register]
        if len(tape.names) <= register < tape.first:
            return tape.constants[register - len(tape.names)]
        loaded[register] = found = load(register)
        return found

    def remember(register: int, x: Code) -> None:
        known[register] = x, now
        if last.get(register, 0) - now > FAR:
            memory[register] = block.room()
            block.store(x, memory[register])
        for room, i in places.get(register, ()):
            block.store(x, _at(block, room, i, block.type).text)

    def table(entries: Sequence[int]) -> tuple[str, int, int]:
        """Where the entries of a take stand: an address, how far it is to the next entry, and to
        that of the next sample."""
        if all(len(tape.names) <= entry < tape.first for entry in entries):
            return (
                block.module.table([tape.constants[entry - len(tape.names)] for entry in entries]),
                1,
                0,
            )
        found = [slots.get(entry, -1) for entry in entries]
        step = found[1] - found[0] if len(found) > 1 else 1
        if -1 not in found and found == [found[0] + step * i for i in range(len(found))]:
            return _at(block, inputs, found[0]).text, step, 0
        room = block.room(len(entries))
        for i, entry in enumerate(entries):
            if entry >= tape.first and chosen(entry):
                places.setdefault(entry, []).append((room, i))
            else:
                block.store(value(entry), _at(block, room, i, block.type).text)
        return room, block.lanes, 1

    for register, (op, args) in enumerate(tape.instructions(), tape.first):
        if op == TAKE and chosen(register) and (entries := args[1:].tobytes()) not in tables:
            tables[entries] = table(args[1:])
    one = {len(tape.names) + i for i, x in enumerate(tape.constants) if x == 1.0}
    nothing = {
        len(tape.names) + i
        for i, x in enumerate(tape.constants)
        if x == 0.0 and std.copysign(1.0, x) < 0
    }
    for i, (op, args) in enumerate(tape.instructions()):
        register = tape.first + i
        if not chosen(register):
            continue
        now = times[i]
        loaded.clear()
        if op == DOT:
            total = None if args[0] in nothing else value(args[0])
            for k in range(1, len(args), 2):
                x, y = args[k], args[k + 1]
                term = (
                    value(x)
                    if y in one
                    else value(y)
                    if x in one
                    else block.row("mul", [value(x), value(y)])
                )
                total = term if total is None else block.row("add", [total, term])
            assert total is not None
            out = block.operand(total)
        elif op == TAKE:
            out = _taken(
                block, block.operand(value(args[0])), len(args) - 1, *tables[args[1:].tobytes()]
            )
        else:
            out = block.row(op, [value(arg) for arg in args])
        remember(register, out)
        keep(register, out)


def _taken(block: Block, index: Code, count: int, table: str, step: int, across: int) -> Code:
    """The entry at an index: see ``table`` of `body`."""
    def entry(lane: int, x: Code) -> Code:
        place = block.add(
            f"mul i64 {position(block, x, literal(float(count)), str(count)).text}, {step}"
        )
        at = block.add(f"add i64 {place.text}, {lane * across}")
        return block.add(f"load double, ptr {_at(block, table, at.text).text}")

    return block.together(entry(lane, x) for lane, x in enumerate(block.apart(index)))


def position(block: Block, index: Code, most: str, count: str) -> Code:
    """The whole number that an index is, as an integer.  Of one that is none of 0 to ``count`` - 1
    it is 0, and the error is set to ``count``; ``most`` is the same number as a double."""
    low = block.add(f"fcmp oge double {index.text}, 0.0")
    high = block.add(f"fcmp olt double {index.text}, {most}")
    inside = block.add(f"and i1 {low.text}, {high.text}")
    safe = block.add(f"select i1 {inside.text}, double {index.text}, double 0.0")
    whole = block.add(f"fptosi double {safe.text} to i64")
    back = block.add(f"sitofp i64 {whole.text} to double")
    good = block.add(f"fcmp oeq double {back.text}, {index.text}")
    before = block.add("load i32, ptr %error")
    after = block.add(f"select i1 {good.text}, i32 {before.text}, i32 {count}")
    block.lines.append(f"  store i32 {after.text}, ptr %error")
    return whole


def scalar(tape: Tape) -> Module:
    """``run(inputs, outputs, error)``: one run of a tape."""
    module = Module()
    block = Block(module)

    def load(register: int) -> Code:
        at = block.add(f"getelementptr inbounds double, ptr %in, i64 {register}")
        return block.add(f"load double, ptr {at.text}")

    wanted = _positions(tape.outputs)

    def keep(register: int, x: Code) -> None:
        for i in wanted.pop(register, ()):
            block.store(x, _at(block, "%out", i).text)

    body(
        tape, block, load, keep, "%in", {register: register for register in range(len(tape.names))}
    )
    for register in list(wanted):
        keep(register, load(register) if register < len(tape.names)
             else block.constant(tape.constants[register - len(tape.names)]))
    module.functions.append(
        "\n".join(
            [
                "define void @run(ptr noalias readonly %in, ptr noalias %out, ptr noalias %error) "
                "{",
                *module.prologue(),
                block.text(),
                "  ret void",
                "}",
            ]
        )
    )
    return module


# ---- a loop over samples -------------------------------------------------------------------------


def batched(
    tape: Tape, varying: Sequence[int], summed: Sequence[int]
) -> tuple[Module, dict[int, int]]:
    """``batch(uniform, columns, results, scratch, totals, blocks, valid, error)``: a tape for many
    samples.

    varying     the inputs that are columns, one number a sample; the others are uniform, the same
                for all samples
    summed      the outputs, by position, that are added up over the samples; the others are columns

    ``uniform`` holds the uniform inputs, in their order, and after them what is computed of them
    alone.  A block is `LANES` samples; ``valid`` says how many samples of a block count, for sums.
    ``scratch`` is room for `LANES` numbers for each sum, and for each uniform register, which
    stands there once a lane.  Sums are added to ``totals``.  ``error`` is an int that is set, to
    the number of entries, if an index was wrong, and 8 bytes later the sum of ``totals``, by which
    one sees that all of them are finite.

    Returns the module, and where each uniform register is in ``uniform``.
    """
    module, columns = Module(), {register: i for i, register in enumerate(varying)}
    slots = {
        register: i
        for i, register in enumerate(r for r in range(len(tape.names)) if r not in columns)
    }
    vector_registers = set(columns)
    for i, (_, args) in enumerate(tape.instructions()):
        if vector_registers.isdisjoint(args):
            slots[tape.first + i] = len(slots)
        else:
            vector_registers.add(tape.first + i)
    once, loop = Block(module), Block(module, LANES)

    def load_once(register: int) -> Code:
        return once.add(f"load double, ptr {_at(once, '%uniform', slots[register]).text}")

    def keep_once(register: int, x: Code) -> None:
        once.store(x, _at(once, "%uniform", slots[register]).text)

    body(tape, once, load_once, keep_once, "%uniform", slots, slots.__contains__)

    def load(register: int) -> Code:
        if register in columns:
            pointer = loop.add(
                f"load ptr, ptr {_at(loop, '%columns', columns[register], 'ptr').text}"
            )
            at = loop.add(f"getelementptr inbounds double, ptr {pointer.text}, i64 %offset")
            return loop.add(f"load {loop.type}, ptr {at.text}, align 8")
        return loop.add(
            f"load {loop.type}, ptr {_at(loop, '%spread', LANES * slots[register]).text}, align 32"
        )

    cached: dict[int, Code] = {}

    def load_column(register: int) -> Code:
        if register not in columns:
            return load(register)
        if register not in cached:
            cached[register] = load(register)
        return cached[register]

    wanted = _positions(tape.outputs)
    sums = {output: k for k, output in enumerate(summed)}
    results = {
        output: k for k, output in enumerate(i for i in range(len(tape.outputs)) if i not in sums)
    }

    def keep(register: int, x: Code) -> None:
        for output in wanted.pop(register, ()):
            if output in sums:
                at = _at(loop, "%scratch", LANES * sums[output])
                before = loop.add(f"load {loop.type}, ptr {at.text}, align 32")
                after = loop.add(f"fadd {loop.type} {before.text}, {x.text}")
                loop.lines.append(f"  store {loop.type} {after.text}, ptr {at.text}, align 32")
            else:
                pointer = loop.add(
                    f"load ptr, ptr {_at(loop, '%results', results[output], 'ptr').text}"
                )
                at = loop.add(f"getelementptr inbounds double, ptr {pointer.text}, i64 %offset")
                loop.lines.append(f"  store {loop.type} {x.text}, ptr {at.text}, align 8")

    body(tape, loop, load_column, keep, "%uniform", slots, vector_registers.__contains__)
    for register in list(wanted):
        constant = len(tape.names) <= register < tape.first
        keep(
            register,
            loop.constant(tape.constants[register - len(tape.names)])
            if constant
            else load_column(register),
        )
    module.functions.append(
        BATCH.format(
            prologue="\n".join(module.prologue()),
            once=once.text(),
            loop=loop.text(),
            lanes=LANES,
            sums=len(sums),
            slots=len(slots),
        )
    )
    return module, slots


def _positions(registers: Sequence[int]) -> dict[int, list[int]]:
    """Where each register stands in a sequence."""
    positions: dict[int, list[int]] = {}
    for i, register in enumerate(registers):
        positions.setdefault(register, []).append(i)
    return positions


def _at(block: Block, pointer: str, i: int | str, kind: str = "double") -> Code:
    return (
        block.add(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {i}")
        if i
        else Code(block, pointer)
    )


BATCH = """define void @batch(ptr noalias %uniform, ptr %columns, ptr %results, ptr noalias %scratch, ptr noalias %totals, \
i64 %blocks, i64 %valid, ptr noalias %error) {{
entry:
{prologue}
  br label %clear
clear:
  %c = phi i64 [ 0, %entry ], [ %c1, %clear.on ]
  %c.done = icmp eq i64 %c, {sums}
  br i1 %c.done, label %once, label %clear.on
clear.on:
  %c.lane = mul i64 %c, {lanes}
  %c.at = getelementptr inbounds double, ptr %scratch, i64 %c.lane
  store <{lanes} x double> zeroinitializer, ptr %c.at, align 32
  %c1 = add i64 %c, 1
  br label %clear
once:
{once}
  br label %once.end
once.end:
  %sums.end = mul i64 {sums}, {lanes}
  %spread = getelementptr inbounds double, ptr %scratch, i64 %sums.end
  br label %spread.head
spread.head:
  %s = phi i64 [ 0, %once.end ], [ %s1, %spread.on ]
  %s.done = icmp eq i64 %s, {slots}
  br i1 %s.done, label %head, label %spread.on
spread.on:
  %s.from = getelementptr inbounds double, ptr %uniform, i64 %s
  %s.x = load double, ptr %s.from
  %s.first = insertelement <{lanes} x double> poison, double %s.x, i32 0
  %s.all = shufflevector <{lanes} x double> %s.first, <{lanes} x double> poison, <{lanes} x i32> zeroinitializer
  %s.lane = mul i64 %s, {lanes}
  %s.to = getelementptr inbounds double, ptr %spread, i64 %s.lane
  store <{lanes} x double> %s.all, ptr %s.to, align 32
  %s1 = add i64 %s, 1
  br label %spread.head
head:
  %b = phi i64 [ 0, %spread.head ], [ %b1, %loop.end ]
  %b.done = icmp eq i64 %b, %blocks
  br i1 %b.done, label %reduce, label %loop
loop:
  %offset = mul i64 %b, {lanes}
{loop}
  br label %loop.end
loop.end:
  %b1 = add i64 %b, 1
  br label %head
reduce:
  %r = phi i64 [ 0, %head ], [ %r1, %reduce.store ]
  %check = phi double [ 0.0, %head ], [ %check1, %reduce.store ]
  %r.done = icmp eq i64 %r, {sums}
  br i1 %r.done, label %end, label %reduce.lanes
reduce.lanes:
  %r.first = mul i64 %r, {lanes}
  %r.at = getelementptr inbounds double, ptr %totals, i64 %r
  %r.before = load double, ptr %r.at
  br label %lane
lane:
  %l = phi i64 [ 0, %reduce.lanes ], [ %l1, %lane.on ]
  %l.sum = phi double [ %r.before, %reduce.lanes ], [ %l.next, %lane.on ]
  %l.done = icmp eq i64 %l, %valid
  br i1 %l.done, label %reduce.store, label %lane.on
lane.on:
  %l.index = add i64 %r.first, %l
  %l.at = getelementptr inbounds double, ptr %scratch, i64 %l.index
  %l.x = load double, ptr %l.at
  %l.next = fadd double %l.sum, %l.x
  %l1 = add i64 %l, 1
  br label %lane
reduce.store:
  store double %l.sum, ptr %r.at
  %check1 = fadd double %check, %l.sum
  %r1 = add i64 %r, 1
  br label %reduce
end:
  %check.at = getelementptr inbounds double, ptr %error, i64 1
  store double %check, ptr %check.at
  ret void
}}"""


# ---- calling it ----------------------------------------------------------------------------------

Callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))


def _callback(rows: Sequence[str]) -> Any:
    functions = [(lookup(op).forward, lookup(op).arity) for op in rows]
    return Callback(lambda number, arguments: call_row(functions[number], arguments))


def call_row(row: tuple[Callable[..., float], int], arguments: Any) -> float:
    """A row in Python.  What it raises cannot pass through machine code: it is kept for `reraise`,
    and the result is nan."""
    f, arity = row
    try:
        return float(f(*arguments[:arity]))
    except BaseException as error:
        running.error = error
        return std.nan


def reraise() -> None:
    """Raises what a row that was called back has raised in this thread."""
    error, running.error = getattr(running, "error", None), None
    if error is not None:
        raise error


# the rows that the tape which runs in this thread calls back, and what one of them raised
running = threading.local()


def library_address(name: str) -> int:
    """Where the C library has a function; raises TinygradEduError if it has none."""
    for library in _libraries():
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    raise TinygradEduError(f"the C library has no function {name!r}")


@cache
def _libraries() -> list[Any]:
    found = [None] if sys.platform != "win32" else ["ucrtbase"]
    return [
        ctypes.CDLL(name)
        for name in (ctypes.util.find_library("m"), *found)
        if name or name is None
    ]


class Compiled:
    """A module in memory, ready to be called; it lives as long as this object."""

    def __init__(self, module: Module, entries: Sequence[str], level: int = 1) -> None:
        self._callback = _callback(module.rows) if module.rows else None
        addresses = {symbol: library_address(name) for symbol, name in module.imports.items()}
        if self._callback is not None:
            addresses["tg_python"] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self._library = objects.loaded(module.text(), addresses, entries, level)
        self.addresses = {entry: self._library[entry] for entry in entries}


class Scalar:
    """One run of a tape, compiled: called with the inputs, a list of floats, it returns the
    outputs.

    ``level`` is LLVM's: code of level 0 is compiled in a tenth of the time, and takes longer to
    run.
    """

    def __init__(self, tape: Tape, level: int = 1) -> None:
        self._compiled = Compiled(scalar(tape), ["run"], level)
        self.address = self._compiled.addresses["run"]
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
            self.address
        )
        self._tape = tape

    def fill(self, inputs: int, outputs: int) -> None:
        """From memory to memory: the addresses of all inputs, and of the outputs."""
        error = ctypes.c_int(0)
        self._run(inputs, outputs, ctypes.addressof(error))
        reraise()
        if error.value:
            # which raises, and says more
            self._tape.run([*(ctypes.c_double * len(self._tape.names)).from_address(inputs)])

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        data, results = array("d", inputs), array("d", bytes(8 * len(self._tape.outputs)))
        self.fill(data.buffer_info()[0], results.buffer_info()[0])
        return results.tolist()


class Batch:
    """A tape for many samples, compiled: see `batched`.

    ``slots`` says where each uniform register is in ``uniform``, ``scratch`` how many numbers the
    scratch has.
    """

    def __init__(self, tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> None:
        module, self.slots = batched(tape, varying, summed)
        self.scratch = LANES * (len(summed) + len(self.slots))
        self._compiled = Compiled(module, ["batch"])
        address, integer = ctypes.c_void_p, ctypes.c_long
        self.address = self._compiled.addresses["batch"]
        self.run = ctypes.CFUNCTYPE(None, *[address] * 5, integer, integer, address)(self.address)

    def check(self, error: int) -> None:
        """Raises IndexError if ``error``, the address given to a run, was set; sets it back."""
        reraise()
        flag = ctypes.c_int.from_address(error)
        if flag.value:
            count, flag.value = flag.value, 0
            raise IndexError(
                f"take: the index of some sample is wrong: of {count} entries it must be a whole "
                "number, "
                f"0 to {count - 1}"
            )
