"""Straight-line programs for tapes, as text of LLVM's intermediate representation.

* `scalar`: one run of a tape;
* `batched`: a loop over samples, in which every register is a vector of samples.  Registers that
  do not depend on a sample are computed once, and sums over samples are accumulated inside.

`emitter` translates single rows.  `tape_machine` has an interpreter for tapes that are too long
to be compiled like this.  ``running/straight_line.py`` compiles and calls these programs.
"""

from __future__ import annotations

import math as std
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..tape.operations import DOT, TAKE
from ..tape.tape import Tape
from .emitter import LANES, Block, Code, Module, literal

# ---- instructions --------------------------------------------------------------------------------

SPILL_DISTANCE = 30  # a register that is not used for this many operands is stored to memory


def body(
    tape: Tape,
    block: Block,
    load: Callable[[int], Code],
    keep: Callable[[int, Code], None],
    inputs: str,
    slots: Mapping[int, int],
    chosen: Callable[[int], bool] = lambda register: True,
) -> None:
    """Writes the instructions of a tape into ``block``.

    load: returns a register that is not computed here.
    keep: called with every register that is computed, and its code.
    inputs: the address from which ``slots`` are counted.
    slots: positions of the registers that stand in memory, one number for all samples.
    chosen: which registers are computed here; by default all of them.

    A register that is used again much later is stored to memory at once.  LLVM would decide that
    itself, but in a time that grows faster than the length of the program.  In the loop over
    samples LLVM decides, because its code is faster there.
    """
    writer = _BodyWriter(tape, block, load, inputs, slots, chosen)
    writer.make_tables()
    for register, x in writer.computed():
        keep(register, x)


class _BodyWriter:
    """The state of `body`: which registers are known, and where they stand in memory."""

    def __init__(
        self,
        tape: Tape,
        block: Block,
        load: Callable[[int], Code],
        inputs: str,
        slots: Mapping[int, int],
        chosen: Callable[[int], bool],
    ) -> None:
        self.tape = tape
        self.block = block
        self.load = load
        self.inputs = inputs
        self.slots = slots
        self.chosen = chosen
        self.now = 0  # operands of all instructions before this one
        self.known: dict[int, tuple[Code, int]] = {}  # registers, and when each became known
        self.memory: dict[int, str] = {}  # addresses of registers that are stored
        # for one instruction only: loading again is cheaper than keeping
        self.loaded: dict[int, Code] = {}
        # by the entries of a take: where they stand, see `_table`
        self.tables: dict[bytes, tuple[str, int, int]] = {}
        self.places: dict[int, list[tuple[str, int]]] = {}  # where in tables a register is stored
        self.last_use: dict[int, int] = {}
        times = tape.starts
        if block.lanes == 1:
            for i, (op, args) in enumerate(tape.instructions()):
                used = args[:1] if op == TAKE else args
                self.last_use.update(dict.fromkeys(used, times[i]))
        self.ones = {len(tape.names) + i for i, x in enumerate(tape.constants) if x == 1.0}
        self.negative_zeros = {
            len(tape.names) + i
            for i, x in enumerate(tape.constants)
            if x == 0.0 and std.copysign(1.0, x) < 0
        }

    def make_tables(self) -> None:
        """Puts the entries of every chosen take into memory."""
        for register, (op, args) in enumerate(self.tape.instructions(), self.tape.first):
            if op != TAKE or not self.chosen(register):
                continue
            entries = args[1:].tobytes()
            if entries not in self.tables:
                self.tables[entries] = self._table(args[1:])

    def computed(self) -> Iterator[tuple[int, Code]]:
        """Writes the chosen instructions, and yields each register with its code."""
        times = self.tape.starts
        for i, (op, args) in enumerate(self.tape.instructions()):
            register = self.tape.first + i
            if not self.chosen(register):
                continue
            self.now = times[i]
            self.loaded.clear()
            x = self._instruction(op, args)
            self._remember(register, x)
            yield register, x

    def _instruction(self, op: str, args: array[int]) -> Code:
        if op == DOT:
            return self._dot(args)
        if op == TAKE:
            index = self.block.operand(self._value(args[0]))
            table = self.tables[args[1:].tobytes()]
            return _taken(self.block, index, len(args) - 1, *table)
        return self.block.operation(op, [self._value(arg) for arg in args])

    def _dot(self, args: array[int]) -> Code:
        """Writes a sum of products, from left to right; a start of -0.0 is left out."""
        total = None if args[0] in self.negative_zeros else self._value(args[0])
        for k in range(1, len(args), 2):
            term = self._product(args[k], args[k + 1])
            total = term if total is None else self.block.operation("add", [total, term])
        assert total is not None
        return self.block.operand(total)

    def _product(self, x: int, y: int) -> Code | float:
        if y in self.ones:
            return self._value(x)
        if x in self.ones:
            return self._value(y)
        return self.block.operation("mul", [self._value(x), self._value(y)])

    def _value(self, register: int) -> Code | float:
        """Returns a register as an operand, loaded if necessary."""
        if register in self.known:
            found, time = self.known[register]
            if register in self.memory and self.now - time > SPILL_DISTANCE:
                found = self.block.add(f"load {self.block.type}, ptr {self.memory[register]}")
                self.known[register] = found, self.now
            return found
        if register in self.loaded:
            return self.loaded[register]
        if self._is_constant(register):
            return self._constant(register)
        found = self.load(register)
        self.loaded[register] = found
        return found

    def _is_constant(self, register: int) -> bool:
        return len(self.tape.names) <= register < self.tape.first

    def _constant(self, register: int) -> float:
        return self.tape.constants[register - len(self.tape.names)]

    def _remember(self, register: int, x: Code) -> None:
        """Notes a computed register, and stores it where it is read from memory."""
        block = self.block
        self.known[register] = x, self.now
        if self.last_use.get(register, 0) - self.now > SPILL_DISTANCE:
            self.memory[register] = block.allocate()
            block.store(x, self.memory[register])
        for address, i in self.places.get(register, ()):
            block.store(x, _at(block, address, i, block.type).text)

    def _table(self, entries: Sequence[int]) -> tuple[str, int, int]:
        """Returns where the entries of a take stand.

        That is an address, the distance to the next entry, and the distance to the next sample.
        """
        block = self.block
        if all(map(self._is_constant, entries)):
            return block.module.table(list(map(self._constant, entries))), 1, 0
        found = [self.slots.get(entry, -1) for entry in entries]
        step = found[1] - found[0] if len(found) > 1 else 1
        if -1 not in found and found == [found[0] + step * i for i in range(len(found))]:
            return _at(block, self.inputs, found[0]).text, step, 0
        address = block.allocate(len(entries))
        for i, entry in enumerate(entries):
            if entry >= self.tape.first and self.chosen(entry):
                self.places.setdefault(entry, []).append((address, i))
            else:
                block.store(self._value(entry), _at(block, address, i, block.type).text)
        return address, block.lanes, 1


def _taken(block: Block, index: Code, count: int, table: str, step: int, across: int) -> Code:
    """Writes the choice of the entry at an index; for the table see `_BodyWriter._table`."""
    def entry(lane: int, x: Code) -> Code:
        whole = position(block, x, literal(float(count)), str(count))
        place = block.add(f"mul i64 {whole.text}, {step}")
        at = block.add(f"add i64 {place.text}, {lane * across}")
        return block.add(f"load double, ptr {_at(block, table, at.text).text}")

    return block.join_lanes(entry(lane, x) for lane, x in enumerate(block.split_lanes(index)))


def position(block: Block, index: Code, most: str, count: str) -> Code:
    """Returns an index as an integer.

    If it is not a whole number from 0 to ``count`` - 1, the integer is 0 and the error is set to
    ``count``.  ``most`` is the same number as a double.
    """
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


def _positions(registers: Sequence[int]) -> dict[int, list[int]]:
    """Returns the positions of each register in a sequence."""
    positions: dict[int, list[int]] = {}
    for i, register in enumerate(registers):
        positions.setdefault(register, []).append(i)
    return positions


def _at(block: Block, pointer: str, i: int | str, kind: str = "double") -> Code:
    """Returns the address of entry ``i`` of an array."""
    if not i:
        return Code(block, pointer)
    return block.add(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {i}")


# ---- one run of a tape ---------------------------------------------------------------------------


def scalar(tape: Tape) -> Module:
    """Returns the module of ``run(inputs, outputs, error)``, one run of a tape."""
    module = Module()
    block = Block(module)

    def load(register: int) -> Code:
        at = block.add(f"getelementptr inbounds double, ptr %in, i64 {register}")
        return block.add(f"load double, ptr {at.text}")

    wanted = _positions(tape.outputs)

    def keep(register: int, x: Code) -> None:
        for i in wanted.pop(register, ()):
            block.store(x, _at(block, "%out", i).text)

    slots = {register: register for register in range(len(tape.names))}
    body(tape, block, load, keep, "%in", slots)
    for register in list(wanted):
        if register < len(tape.names):
            keep(register, load(register))
        else:
            keep(register, block.constant(tape.constants[register - len(tape.names)]))
    lines = [
        "define void @run(ptr noalias readonly %in, ptr noalias %out, ptr noalias %error) {",
        *module.prologue(),
        block.text(),
        "  ret void",
        "}",
    ]
    module.functions.append("\n".join(lines))
    return module


# ---- a loop over samples -------------------------------------------------------------------------


def batched(
    tape: Tape, varying: Sequence[int], summed: Sequence[int]
) -> tuple[Module, dict[int, int]]:
    """Returns a module that runs a tape for many samples, and the slots of its uniform registers.

    The module has one function,
    ``batch(uniform, columns, results, scratch, totals, blocks, valid, error)``.

    varying: the inputs that are columns, with one number per sample.  The other inputs are
        uniform: the same for all samples.
    summed: the positions of the outputs that are added up over the samples.  The other outputs
        are columns.

    ``uniform`` holds the uniform inputs in their order, followed by everything that is computed
    from them alone; a slot is a position in ``uniform``.  A block is `LANES` samples, of which
    ``valid`` count in sums.  ``scratch`` is a buffer of `LANES` numbers for each sum and for each
    uniform register, which is stored there once per lane.  Sums are added to ``totals``.
    ``error`` is an int that is set to the number of entries if an index was wrong; 8 bytes later
    stands the sum of ``totals``, which is finite only if all of them are.
    """
    writer = _BatchWriter(tape, varying, summed)
    writer.write()
    return writer.module, writer.slots


class _BatchWriter:
    """The state of `batched`: the code that runs once, and the code of the loop."""

    def __init__(self, tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> None:
        self.tape = tape
        self.module = Module()
        self.once = Block(self.module)
        self.loop = Block(self.module, LANES)
        self.columns = {register: i for i, register in enumerate(varying)}
        self.slots: dict[int, int] = {}
        for register in range(len(tape.names)):
            if register not in self.columns:
                self.slots[register] = len(self.slots)
        self.vector_registers = set(self.columns)
        for i, (_, args) in enumerate(tape.instructions()):
            if self.vector_registers.isdisjoint(args):
                self.slots[tape.first + i] = len(self.slots)
            else:
                self.vector_registers.add(tape.first + i)
        self.loaded_columns: dict[int, Code] = {}
        self.wanted = _positions(tape.outputs)
        self.sums = {output: k for k, output in enumerate(summed)}
        results = [i for i in range(len(tape.outputs)) if i not in self.sums]
        self.results = {output: k for k, output in enumerate(results)}

    def write(self) -> None:
        """Writes the function."""
        tape = self.tape
        slots = self.slots
        body(
            tape, self.once, self._load_once, self._keep_once, "%uniform", slots,
            slots.__contains__,
        )
        body(
            tape, self.loop, self._load, self._keep, "%uniform", slots,
            self.vector_registers.__contains__,
        )
        for register in list(self.wanted):
            if len(tape.names) <= register < tape.first:
                x = self.loop.constant(tape.constants[register - len(tape.names)])
            else:
                x = self._load(register)
            self._keep(register, x)
        self.module.functions.append(
            BATCH.format(
                prologue="\n".join(self.module.prologue()),
                once=self.once.text(),
                loop=self.loop.text(),
                lanes=LANES,
                sums=len(self.sums),
                slots=len(slots),
            )
        )

    def _load_once(self, register: int) -> Code:
        address = _at(self.once, "%uniform", self.slots[register])
        return self.once.add(f"load double, ptr {address.text}")

    def _keep_once(self, register: int, x: Code) -> None:
        self.once.store(x, _at(self.once, "%uniform", self.slots[register]).text)

    def _load(self, register: int) -> Code:
        loop = self.loop
        if register not in self.columns:
            at = _at(loop, "%spread", LANES * self.slots[register])
            return loop.add(f"load {loop.type}, ptr {at.text}, align 32")
        if register not in self.loaded_columns:
            at = self._place_in_column("%columns", self.columns[register])
            x = loop.add(f"load {loop.type}, ptr {at.text}, align 8")
            self.loaded_columns[register] = x
        return self.loaded_columns[register]

    def _keep(self, register: int, x: Code) -> None:
        loop = self.loop
        for output in self.wanted.pop(register, ()):
            if output in self.sums:
                at = _at(loop, "%scratch", LANES * self.sums[output])
                before = loop.add(f"load {loop.type}, ptr {at.text}, align 32")
                after = loop.add(f"fadd {loop.type} {before.text}, {x.text}")
                loop.lines.append(f"  store {loop.type} {after.text}, ptr {at.text}, align 32")
            else:
                at = self._place_in_column("%results", self.results[output])
                loop.lines.append(f"  store {loop.type} {x.text}, ptr {at.text}, align 8")

    def _place_in_column(self, columns: str, i: int) -> Code:
        """Returns where this block of samples stands in a column."""
        loop = self.loop
        pointer = loop.add(f"load ptr, ptr {_at(loop, columns, i, 'ptr').text}")
        return loop.add(f"getelementptr inbounds double, ptr {pointer.text}, i64 %offset")


BATCH = """define void @batch(ptr noalias %uniform, ptr %columns, ptr %results, \
ptr noalias %scratch, ptr noalias %totals, i64 %blocks, i64 %valid, ptr noalias %error) {{
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
  %s.all = shufflevector <{lanes} x double> %s.first, <{lanes} x double> poison, \
<{lanes} x i32> zeroinitializer
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
