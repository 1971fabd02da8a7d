"""Emits instructions of LLVM for rows of the table.

A `Code` is an operand like floats, Values and names.  A row applied to it becomes an instruction or
a call of the C library (its ``library``), or an expression of other rows (its ``expansion``).  A
row that has neither, such as a primitive that you define, is called back in Python.  Known numbers
stay floats, and an expression of them is computed at once.

Results have the bits of the eager engine: fast-math and contraction are off, and the C library is
the one that Python's `math` calls.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...engine.primitive import Operand, Primitive, lookup
from ..tape.operations import OPERATIONS

# What LLVM calls the operators and functions of C for which it has an instruction
INSTRUCTIONS = {("+", 2): "fadd", ("-", 2): "fsub", ("*", 2): "fmul", ("/", 2): "fdiv",
                ("-", 1): "fneg"}
INTRINSICS = {"fabs", "sqrt", "floor", "ceil", "trunc", "rint"}
PREDICATES = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq"}


def is_native(row: Primitive) -> bool:
    """Returns whether a row is compiled; other rows are called back in Python."""
    return bool(row.library or row.expansion)


# ---- the emitter ---------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Code(Operand):
    """The name of an LLVM value: a scalar, a vector of samples, or a condition (``truth``)."""

    block: Block
    text: str
    truth: bool = False

    def __str__(self) -> str:
        return self.text

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Code:
        """Writes the instructions of a row."""
        block: Block = next(arg.block for arg in args if arg.__class__ is Code)
        return block.row(primitive, [arg if arg.__class__ is Code else float(arg) for arg in args])

    def compare(self, symbol: str, y: Any) -> Code:
        """Writes a comparison."""
        return self.block.compared(PREDICATES[symbol], self, self.block.operand(y))

    def __bool__(self) -> bool:
        raise TypeError(
            "an expansion asks for the truth of a number in machine code; it must choose by where()"
        )


@dataclass
class Block:
    """A list of instructions, to which its methods add.

    lanes    1 for scalars, else the number of samples in a vector
    """

    module: Module
    lanes: int = 1
    lines: list[str] = field(default_factory=list)

    @property
    def type(self) -> str:
        """The LLVM type of a number."""
        return self.type_of("double")

    def type_of(self, kind: str) -> str:
        """Returns the LLVM type for one ``kind`` in each lane."""
        return kind if self.lanes == 1 else f"<{self.lanes} x {kind}>"

    def text(self) -> str:
        """Returns the instructions."""
        return "\n".join(self.lines)

    def add(self, instruction: str, truth: bool = False) -> Code:
        """Adds an instruction and returns its result."""
        name = f"%v{self.module.fresh()}"
        self.lines.append(f"  {name} = {instruction}")
        return Code(self, name, truth)

    def allocate(self, count: int = 1) -> str:
        """Allocates memory for ``count`` numbers and returns the address."""
        name = f"%m{self.module.fresh()}"
        self.module.allocations.append(f"  {name} = alloca {self.type}, i32 {count}")
        return name

    def at(self, pointer: str, i: Any, kind: str = "double") -> str:
        """Returns the address of entry ``i`` of an array."""
        return str(self.add(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {i}"))

    def load(self, at: str, align: str = "") -> Code:
        """Loads a number from memory; ``align`` says that a vector may stand anywhere."""
        return self.add(f"load {self.type}, ptr {at}{align}")

    def store(self, x: Code | float, at: str, align: str = "") -> None:
        """Stores a number in memory; ``align`` as in `load`."""
        self.lines.append(f"  store {self.type} {self.operand(x)}, ptr {at}{align}")

    def constant(self, x: float) -> Code:
        """Returns a constant."""
        number = literal(x)
        entries = ", ".join([f"double {number}"] * self.lanes)
        return Code(self, number if self.lanes == 1 else f"<{entries}>")

    def operand(self, x: Any) -> Code:
        """Returns an operand: a known number as a constant, a condition as 1.0 or 0.0."""
        if x.__class__ is not Code:
            return self.constant(float(x))
        return self.where(x, 1.0, 0.0) if x.truth else x

    def compared(self, predicate: str, x: Code, y: Code) -> Code:
        """Adds a comparison."""
        return self.add(f"fcmp {predicate} {self.type} {x}, {y}", truth=True)

    def where(self, condition: Any, x: Any, y: Any) -> Code:
        """Adds a choice between two numbers; numbers other than 0 count as true."""
        if condition.__class__ is float:
            return self.operand(x if condition else y)
        if not condition.truth:
            condition = self.compared("une", condition, self.constant(0.0))
        x, y = self.operand(x), self.operand(y)
        kind = self.type_of("i1")
        return self.add(f"select {kind} {condition}, {self.type} {x}, {self.type} {y}")

    def operation(self, op: str, args: Sequence[Any]) -> Code:
        """Adds an instruction of a tape, whose operands are Codes, or floats if they are known."""
        if op not in OPERATIONS:
            return self.row(lookup(op), args)
        x = list(map(self.operand, args))
        if symbol := OPERATIONS[op].comparison:
            return x[0].compare(symbol, x[1])
        return self.where(x[0].compare("==", x[1]), x[2], 0.0)  # IF_EQUAL

    def row(self, row: Primitive, args: Sequence[Any]) -> Code:
        """Adds the instructions of a row; for its operands see `operation`."""
        if row.library == "?:":
            return self.where(*args)
        x = [self.operand(arg) for arg in args]
        if row.expansion is not None:
            known = [arg if arg.__class__ is float else code for arg, code in zip(args, x)]
            return self.operand(row.expansion(*known))
        if not row.library:
            return self.called_back(row.name, x)
        if instruction := INSTRUCTIONS.get((row.library, len(x))):
            return self.add(f"{instruction} {self.type} {', '.join([code.text for code in x])}")
        if row.library in INTRINSICS:
            suffix = "f64" if self.lanes == 1 else f"v{self.lanes}f64"
            name = f"llvm.{row.library}.{suffix}"
            function = self.module.declared(name, self.type, len(x))
            operands = ", ".join(f"{self.type} {arg}" for arg in x)
            return self.add(f"call {self.type} {function}({operands})")
        if row.library == "pow" and args[1].__class__ is float and args[1] == 1:
            return x[0]
        function = self.module.library(row.library, len(x))
        return self.each_lane(lambda lane: f"call double {function}({lane})", x)

    def each_lane(self, call: Callable[[str], str], args: list[Code]) -> Code:
        """Adds a call for each sample."""
        lanes = zip(*map(self.split_lanes, args))
        return self.join_lanes(
            self.add(call(", ".join(f"double {x}" for x in lane))) for lane in lanes
        )

    def split_lanes(self, x: Code) -> Iterator[Code]:
        """Yields the numbers of the samples, one by one."""
        if self.lanes == 1:
            yield x
        else:
            for lane in range(self.lanes):
                yield self.add(f"extractelement {self.type} {x}, i32 {lane}")

    def join_lanes(self, numbers: Iterable[Code]) -> Code:
        """Returns a vector of one number for each sample."""
        if self.lanes == 1:
            return next(iter(numbers))
        result = "poison"
        for lane, x in enumerate(numbers):
            joined = self.add(f"insertelement {self.type} {result}, double {x}, i32 {lane}")
            result = joined.text
        return Code(self, result)

    def called_back(self, op: str, args: list[Code]) -> Code:
        """Adds a call of a row in Python."""
        number = self.module.callback(op)

        def call(lane: str) -> str:
            for i, argument in enumerate(lane.split(", ")):
                self.lines.append(f"  store {argument}, ptr {self.at('%arguments', i)}")
            return f"call double @tg_python(i32 {number}, ptr %arguments)"

        return self.each_lane(call, args)


def literal(x: float) -> str:
    """Returns a number as text that LLVM reads back exactly."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', x))[0]:016X}"


@dataclass
class Module:
    """The text of a module, and the functions that it needs from outside."""

    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # symbol -> name in the C library
    rows: list[str] = field(default_factory=list)  # rows that are called back
    allocations: list[str] = field(default_factory=list)  # instructions that allocate memory
    slots: int = 0  # registers that are the same for all samples (`llvm.batched`)
    count: int = 0

    def fresh(self) -> int:
        """Returns a new number, for a name."""
        self.count += 1
        return self.count

    def declared(self, name: str, kind: str, arity: int) -> str:
        """Declares a function of numbers and returns its name."""
        self.declarations[name] = f"declare {kind} @{name}({', '.join([kind] * arity)})"
        return f"@{name}"

    def library(self, name: str, arity: int) -> str:
        """Declares a function of the C library and returns its name here.

        The name has a prefix, because LLVM would rewrite a call of ``pow(x, 2)``.
        """
        self.imports[f"tg_{name}"] = name
        return self.declared(f"tg_{name}", "double", arity)

    def table(self, numbers: Sequence[float]) -> str:
        """Puts known numbers into memory and returns their address."""
        name = f"@table{self.fresh()}"
        entries = ", ".join(f"double {literal(x)}" for x in numbers)
        self.declarations[name] = f"{name} = private constant [{len(numbers)} x double] [{entries}]"
        return name

    def callback(self, op: str) -> int:
        """Returns the number of a row for `tg_python`."""
        if op not in self.rows:
            self.rows.append(op)
        return self.rows.index(op)

    def prologue(self) -> list[str]:
        """Returns the first lines of a function, which allocate memory.

        The arguments of rows that are called back are in memory, too.
        """
        most = max([lookup(op).arity for op in self.rows], default=0)
        arguments = [f"  %arguments = alloca double, i32 {most}"] if most else []
        return [*self.allocations, *arguments]

    def text(self) -> str:
        """Returns the text, without the line that names the target."""
        head = ["declare double @tg_python(i32, ptr)"] if self.rows else []
        return "\n".join([*head, *self.declarations.values(), *self.functions, ""])
