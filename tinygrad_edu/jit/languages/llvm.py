"""Straight-line programs for tapes, as text of LLVM's intermediate representation.

* `scalar`: one run of a tape;
* `batched`: a loop over samples, in which every register is a vector of samples.  Registers that
  do not depend on a sample are computed once, and sums over samples are accumulated inside.

`emitter` translates single rows.  `tape_machine` has an interpreter for tapes that are too long
to be compiled like this.  ``running/straight_line.py`` compiles and calls these programs.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from ...data.summation import BLOCK, LANES
from ...engine.primitive import lookup
from ..tape.operations import DOT, TAKE
from ..tape.tape import Tape
from .emitter import Block, Code, Module, literal
from .sums import FOLD

# ---- instructions --------------------------------------------------------------------------------

SPILL_DISTANCE = 30  # a register that is not used for this many operands is stored to memory


@dataclass
class _Writer:
    """Writes instructions of a tape into a block: one run of it, with its outputs at ``%out``.

    inputs: the address of registers that stand in memory, one number for all samples.
    slots: the positions of these registers there.
    chosen: the registers that are computed here.

    A register that is used again much later is stored to memory at once.  LLVM would decide that
    itself, but in a time that grows faster than the length of the program.  In the loop over
    samples LLVM decides, because its code is faster there.
    """

    tape: Tape
    block: Block
    inputs: str
    slots: Mapping[int, int]
    chosen: Container[int]

    def __post_init__(self) -> None:
        self.now = 0  # operands of all instructions before this one
        self.known: dict[int, tuple[Code, int]] = {}  # registers, and when each became known
        self.memory: dict[int, str] = {}  # addresses of registers that are stored
        # for one instruction only: loading again is cheaper than keeping
        self.loaded: dict[int, Code] = {}
        # by the entries of a take: where they stand, see `_table`
        self.tables: dict[bytes, tuple[str, int, int]] = {}
        # where in tables a register is stored
        self.places: defaultdict[int, list[str]] = defaultdict(list)
        self.last_use: dict[int, int] = {}
        if self.block.lanes == 1:
            for (op, args), time in zip(self.tape.instructions(), self.tape.starts):
                self.last_use.update(dict.fromkeys(args[:1] if op == TAKE else args, time))
        self.wanted: defaultdict[int, list[int]] = defaultdict(list)  # outputs, by register
        for i, register in enumerate(self.tape.outputs):
            self.wanted[register].append(i)

    def load(self, register: int) -> Code:
        """Loads a register that is not computed here."""
        return self.block.load(self.block.at(self.inputs, self.slots[register]))

    def keep(self, register: int, x: Code) -> None:
        """Is called with every register that is computed: writes it where it is an output."""
        for i in self.wanted.pop(register, ()):
            self.put(i, x)

    def put(self, i: int, x: Code) -> None:
        """Writes an output."""
        self.block.store(x, self.block.at("%out", i))

    def write(self) -> None:
        """Writes the chosen instructions, after the tables of their takes."""
        chosen = [(register, *instruction, time) for register, instruction, time
                  in zip(count(self.tape.first), self.tape.instructions(), self.tape.starts)
                  if register in self.chosen]
        for _, op, args, _ in chosen:
            if op == TAKE and (entries := args[1:].tobytes()) not in self.tables:
                self.tables[entries] = self._table(args[1:])
        for register, op, args, time in chosen:
            self.now = time
            self.loaded.clear()
            x = self._instruction(op, args)
            self._remember(register, x)
            self.keep(register, x)

    def finish(self) -> None:
        """Writes the outputs that are not computed here."""
        for register in list(self.wanted):
            self.keep(register, self.block.operand(self._value(register)))

    def _instruction(self, op: str, args: array[int]) -> Code:
        if op == DOT:
            return self._dot(args)
        if op == TAKE:
            index = self.block.operand(self._value(args[0]))
            table = self.tables[args[1:].tobytes()]
            return _taken(self.block, index, len(args) - 1, *table)
        return self.block.operation(op, [self._value(arg) for arg in args])

    def _dot(self, args: array[int]) -> Code:
        """Writes a sum of products, each added at once: too many would be known at a time."""
        add = lookup("add")
        mul = lookup("mul")
        total: Code | float | None = None
        for term in self.tape.terms(args):
            factors = [self._value(register) for register in term]
            product = factors[0] if len(factors) == 1 else self.block.row(mul, factors)
            total = product if total is None else self.block.row(add, [total, product])
        return self.block.operand(total)

    def _value(self, register: int) -> Code | float:
        """Returns a register as an operand, loaded if necessary."""
        if register in self.known:
            found, time = self.known[register]
            if register in self.memory and self.now - time > SPILL_DISTANCE:
                found = self.block.load(self.memory[register])
                self.known[register] = found, self.now
            return found
        if (number := self.tape.number(register)) is not None:
            return number
        if register not in self.loaded:
            self.loaded[register] = self.load(register)
        return self.loaded[register]

    def _remember(self, register: int, x: Code) -> None:
        """Notes a computed register, and stores it where it is read from memory."""
        self.known[register] = x, self.now
        if self.last_use.get(register, 0) - self.now > SPILL_DISTANCE:
            self.memory[register] = self.block.allocate()
            self.block.store(x, self.memory[register])
        for place in self.places[register]:
            self.block.store(x, place)

    def _table(self, entries: Sequence[int]) -> tuple[str, int, int]:
        """Returns where the entries of a take stand.

        That is an address, the distance to the next entry, and the distance to the next sample.
        """
        block = self.block
        numbers: list[Any] = [self.tape.number(entry) for entry in entries]
        if None not in numbers:
            return block.module.table(numbers), 1, 0
        found = [self.slots.get(entry, -1) for entry in entries]
        step = found[1] - found[0] if len(found) > 1 else 1
        if -1 not in found and found == [found[0] + step * i for i in range(len(found))]:
            return block.at(self.inputs, found[0]), step, 0
        address = block.allocate(len(entries))
        for i, entry in enumerate(entries):
            place = block.at(address, i, block.type)
            if entry >= self.tape.first and entry in self.chosen:
                self.places[entry].append(place)
            else:
                block.store(self._value(entry), place)
        return address, block.lanes, 1


def _taken(block: Block, index: Code, count: int, table: str, step: int, across: int) -> Code:
    """Writes the choice of the entry at an index; for the table see `_Writer._table`."""
    def entry(lane: int, x: Code) -> Code:
        whole = position(block, x, literal(float(count)), str(count))
        place = block.add(f"mul i64 {whole}, {step}")
        at = block.add(f"add i64 {place}, {lane * across}")
        return block.add(f"load double, ptr {block.at(table, at)}")

    return block.join_lanes(entry(lane, x) for lane, x in enumerate(block.split_lanes(index)))


def position(block: Block, index: Code, most: str, count: str) -> Code:
    """Returns an index as an integer.

    If it is not a whole number from 0 to ``count`` - 1, the integer is 0 and the error is set to
    ``count``.  ``most`` is the same number as a double.
    """
    low = block.add(f"fcmp oge double {index}, 0.0")
    high = block.add(f"fcmp olt double {index}, {most}")
    inside = block.add(f"and i1 {low}, {high}")
    safe = block.add(f"select i1 {inside}, double {index}, double 0.0")
    whole = block.add(f"fptosi double {safe} to i64")
    back = block.add(f"sitofp i64 {whole} to double")
    good = block.add(f"fcmp oeq double {back}, {index}")
    before = block.add("load i32, ptr %error")
    after = block.add(f"select i1 {good}, i32 {before}, i32 {count}")
    block.lines.append(f"  store i32 {after}, ptr %error")
    return whole


def scalar(tape: Tape) -> Module:
    """Returns the module of ``run(inputs, outputs, error)``, one run of a tape."""
    block = Block(Module())
    slots = {register: register for register in range(len(tape.names))}
    writer = _Writer(tape, block, "%in", slots, range(tape.first, tape.first + len(tape)))
    writer.write()
    writer.finish()
    lines = [
        "define void @run(ptr noalias readonly %in, ptr noalias %out, ptr noalias %error) {",
        *block.module.prologue(),
        block.text(),
        "  ret void",
        "}",
    ]
    block.module.functions.append("\n".join(lines))
    return block.module


# ---- a loop over samples -------------------------------------------------------------------------


def batched(tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> Module:
    """Returns a module that runs a tape for many samples; it has ``slots`` uniform registers.

    The module has one function, ``batch(uniform, columns, results, scratch, lanes, totals, vectors,
    position, stride, error)``.

    varying: the inputs that are columns, with one number per sample.  The other inputs are
        uniform: the same for all samples.
    summed: the positions of the outputs that are added up over the samples.  The other outputs
        are columns.

    ``uniform`` holds the uniform inputs in their order, followed by everything that is computed
    from them alone; a slot is a position in ``uniform``.  ``scratch`` is a buffer of `LANES`
    numbers for each slot.  A vector is `LANES` samples.  ``lanes`` has a vector for each sum, to
    which samples are added; when a block is full, it is added to ``totals`` (`sums`), and the next
    block to the totals ``stride`` numbers further on.  ``position`` counts the vectors that the
    block has already.  ``error`` is an int that is set to the number of entries if an index was
    wrong.
    """
    vectors = set(varying)
    uniform = [register for register in range(len(tape.names)) if register not in vectors]
    for register, (_, args) in enumerate(tape.instructions(), tape.first):
        if vectors.isdisjoint(args):
            uniform.append(register)
        else:
            vectors.add(register)
    slots = _positions(uniform)
    module = Module(slots=len(slots))
    once = _OnceWriter(tape, Block(module), "%uniform", slots, slots)
    once.write()
    loop = _LoopWriter(tape, Block(module, LANES), "%uniform", slots, vectors)
    loop.columns = _positions(varying)
    loop.sums = _positions(summed)
    loop.results = _positions(i for i in range(len(tape.outputs)) if i not in loop.sums)
    loop.write()
    loop.finish()
    module.functions.append(
        FOLD
        + BATCH.format(
            prologue="\n".join(module.prologue()),
            once=once.block.text(),
            loop=loop.block.text(),
            lanes=LANES,
            block=BLOCK // LANES,
            sums=len(summed),
            slots=len(slots),
        )
    )
    return module


def _positions(entries: Iterable[int]) -> dict[int, int]:
    return {entry: i for i, entry in enumerate(entries)}


class _OnceWriter(_Writer):
    """Writes what is the same for all samples, before the loop, into its slots."""

    def keep(self, register: int, x: Code) -> None:
        self.block.store(x, self.block.at(self.inputs, self.slots[register]))


class _LoopWriter(_Writer):
    """Writes the loop, in which a register is a vector of samples.

    columns, results: the positions of the inputs, and of the outputs, that are columns.
    sums: the positions of the other outputs, which are added up.
    """

    columns: dict[int, int]
    results: dict[int, int]
    sums: dict[int, int]

    def load(self, register: int) -> Code:
        if register in self.columns:
            found = self.block.load(self._column("%columns", self.columns[register]), ", align 8")
            self.known[register] = found, 0
            return found
        return self.block.load(self.block.at("%scratch", LANES * self.slots[register]))

    def put(self, i: int, x: Code) -> None:
        if i in self.sums:
            at = self.block.at("%lanes", LANES * self.sums[i])
            total = self.block.add(f"fadd {self.block.type} {self.block.load(at)}, {x}")
            self.block.store(total, at)
        else:
            self.block.store(x, self._column("%results", self.results[i]), ", align 8")

    def _column(self, columns: str, i: int) -> str:
        """Returns where this block of samples stands in a column."""
        column = self.block.add(f"load ptr, ptr {self.block.at(columns, i, 'ptr')}")
        return self.block.at(str(column), "%offset")


BATCH = """define void @batch(ptr noalias %uniform, ptr %columns, ptr %results, \
ptr noalias %scratch, ptr noalias %lanes, ptr noalias %totals, i64 %vectors, i64 %position, \
i64 %stride, ptr noalias %error) {{
entry:
{prologue}
{once}
  br label %spread.head
spread.head:
  %s = phi i64 [ 0, %entry ], [ %s1, %spread.on ]
  %s.done = icmp eq i64 %s, {slots}
  br i1 %s.done, label %head, label %spread.on
spread.on:
  %s.from = getelementptr inbounds double, ptr %uniform, i64 %s
  %s.x = load double, ptr %s.from
  %s.first = insertelement <{lanes} x double> poison, double %s.x, i32 0
  %s.all = shufflevector <{lanes} x double> %s.first, <{lanes} x double> poison, \
<{lanes} x i32> zeroinitializer
  %s.lane = mul i64 %s, {lanes}
  %s.to = getelementptr inbounds double, ptr %scratch, i64 %s.lane
  store <{lanes} x double> %s.all, ptr %s.to, align 32
  %s1 = add i64 %s, 1
  br label %spread.head
head:
  %b = phi i64 [ 0, %spread.head ], [ %b1, %loop.end ], [ %b1, %block.end ]
  %p = phi i64 [ %position, %spread.head ], [ %p1, %loop.end ], [ 0, %block.end ]
  %sums = phi ptr [ %totals, %spread.head ], [ %sums, %loop.end ], [ %sums1, %block.end ]
  %b.done = icmp eq i64 %b, %vectors
  br i1 %b.done, label %end, label %loop
loop:
  %offset = mul i64 %b, {lanes}
{loop}
  br label %loop.end
loop.end:
  %b1 = add i64 %b, 1
  %p1 = add i64 %p, 1
  %block.done = icmp eq i64 %p1, {block}
  br i1 %block.done, label %block.end, label %head
block.end:
  call void @fold(ptr %lanes, ptr %sums, i64 {sums})
  %sums1 = getelementptr inbounds double, ptr %sums, i64 %stride
  br label %head
end:
  ret void
}}
"""
