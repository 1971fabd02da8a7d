"""Machine code for tapes, by LLVM: as text of its intermediate representation, which llvmlite compiles in memory.

Three kinds of code come from the same emitters:

* `scalar`: straight-line code for one run of a tape;
* `batched`: straight-line code for a loop over samples, in which every register is a vector of samples.  What depends on no
  sample is computed once, and sums over samples are added up inside;
* `machine`: an interpreter of tapes, for those that are too long to compile; a case for each row of the table.

An emitter (`Code`) is a language of operands like floats, Values and names: rows run on it and become instructions.  A row is
an instruction of the processor, a function of the C library, or an expression of other rows in `EXPANSIONS`; every other row,
such as one of the user's own, is called back in Python.  There is no fast-math and no contraction, so that the bits are those
of the eager engine: the C library is the one that Python's `math` calls.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math as std
import struct
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .. import primitives
from ..errors import TinygradEduError
from ..primitives import (
    GELU_CUBIC,
    SQRT_HALF,
    SQRT_TWO_OVER_PI,
    TABLE,
    Operand,
    Primitive,
    exp,
    expm1,
    floor,
    log,
    log1p,
    lookup,
    sigmoid,
    softplus,
    sqrt,
    where,
)
from ..primitives import absolute as fabs
from . import objects
from .tape import DOT, EQUAL, WHEN, Tape
from .trace import LESS, LESS_EQUAL, TAKE

inf = std.inf
LANES = 4  # samples in a vector: 32 bytes, the registers of AVX2; other processors split or join them

PIECE = 500  # lines of a basic block

# Rows that are one function of the C library, by its name there.
LIBRARY = {name: name for name in (
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "pow", "fmod", "hypot")
} | {"ieee_remainder": "remainder"}

BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSIC = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint",
             "copysign": "copysign"}


def _difference(x: Any, y: Any) -> tuple[Any, Any]:
    s = x - y
    back = s - x
    lost = (x - (s - back)) - (y + back)
    return s, where(lost <= lost, lost, 0.0)


def _maximum(x: Any, y: Any) -> Any:
    return where(x > y, x, where(x <= x, y, x))


def _minimum(x: Any, y: Any) -> Any:
    return where(x < y, x, where(x <= x, y, x))


def _relu(x: Any) -> Any:
    return where(x > 0, x, where(x <= 0, 0.0, x))


def _sigmoid(x: Any) -> Any:
    e = exp(-fabs(x))
    return where(x >= 0, 1 / (1 + e), e / (1 + e))


def _sech_squared(x: Any) -> Any:
    e = exp(-2 * fabs(x))
    return 4 * e / ((1 + e) * (1 + e))


def _pow_lower(x: Any, y: Any) -> Any:
    exponent, lost = _difference(y, 1.0)
    result = x ** exponent
    corrected = result + result * (lost * log(x))
    return where(fabs(lost) > 0, where(x > 0, where(x < inf, where(result < inf, corrected, result), result), result), result)


def _sigmoid_difference(x: Any, y: Any) -> Any:
    s, lost = _difference(x, y)
    result = sigmoid(s)
    return result + lost * (result * (1 - result))


def _logaddexp(x: Any, y: Any) -> Any:
    x, y = where(x < y, x, y), where(x < y, y, x)
    s, lost = _difference(x, y)
    small = where(s < 0, exp(s), where(x <= y, where(x >= y, 1.0, s), s))
    return y + log1p(small + small * lost)


def _python_remainder(x: Any, y: Any) -> Any:
    rest = primitives.fmod(x, y)
    moved = where((rest < 0) * (y >= 0) + (rest > 0) * (y < 0) > 0, rest + y, rest)
    return where(fabs(y) > 0, where(fabs(rest) <= 0, primitives.copysign(0.0, y), moved), y / y * x)


def _floordiv(x: Any, y: Any) -> Any:
    rest = primitives.fmod(x, y)
    whole = (x - rest) / y
    whole = where((rest < 0) * (y >= 0) + (rest > 0) * (y < 0) > 0, whole - 1.0, whole)
    below = floor(whole)
    rounded = where(whole - below > 0.5, below + 1.0, below)
    return where(fabs(y) > 0, where(fabs(whole) <= 0, primitives.copysign(0.0, x / y), rounded), y / y * x)


def _gelu_tanh(x: Any) -> Any:
    return x * sigmoid(2 * SQRT_TWO_OVER_PI * (x + GELU_CUBIC * x * (x * x)))


# The forward functions of `primitives`, as expressions: operation by operation the same.
EXPANSIONS: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "reciprocal": lambda x: 1.0 / x,
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1.0 / sqrt(x),
    "step": lambda x: where(x > 0, 1.0, where(x <= 0, 0.0, x)),
    "sign": lambda x: where(x > 0, 1.0, where(x < 0, -1.0, x)),
    "maximum": _maximum,
    "minimum": _minimum,
    "fmax": lambda x, y: where(x <= x, where(x > y, x, where(y <= y, y, x)), y),
    "fmin": lambda x, y: where(x <= x, where(x < y, x, where(y <= y, y, x)), y),
    "clip": lambda x, low, high: _minimum(_maximum(x, low), high),
    "hardtanh": lambda x: _minimum(_maximum(x, -1.0), 1.0),
    "relu": _relu,
    "leaky_relu": lambda x, slope: where(x > 0, x, slope * x),
    "elu": lambda x, alpha: where(x > 0, x, alpha * expm1(x)),
    "sigmoid": _sigmoid,
    "sech_squared": _sech_squared,
    "softplus": lambda x: _relu(x) + log1p(exp(-fabs(x))),
    "logsigmoid": lambda x: -softplus(-x),
    "silu": lambda x: x * sigmoid(x),
    "gelu_erf": lambda x: x * (0.5 * primitives.erfc(-x * SQRT_HALF)),
    "gelu_tanh": _gelu_tanh,
    "softsign": lambda x: x / (1 + fabs(x)),
    "xlogy": lambda x, y: where(fabs(x) <= 0, where(y <= y, 0.0, x * log(y)), x * log(y)),
    "logaddexp": _logaddexp,
    "sigmoid_difference": _sigmoid_difference,
    "pow_lower": _pow_lower,
    "remainder": _python_remainder,
    "floordiv": _floordiv,
}
NATIVE = {*BINARY, *INTRINSIC, *LIBRARY, *EXPANSIONS, "neg", "where", LESS, LESS_EQUAL, EQUAL, WHEN}


def is_native(op: str) -> bool:
    """Whether an operation is compiled; the others are called back in Python.  A row that was replaced is another one."""
    return op in NATIVE and TABLE.get(op) is ORIGINAL.get(op)


# The rows that the expansions were written for, and with, even if the user has replaced one.
ORIGINAL = {row.name: row for row in vars(primitives).values() if isinstance(row, Primitive)}


# ---- the emitter -------------------------------------------------------------------------------------------------


class Code(Operand):
    """A number in machine code: the name of an LLVM value, of a scalar or of a vector of samples; or a condition."""

    __slots__ = ("block", "text", "truth")

    def __init__(self, block: Block, text: str, truth: bool = False) -> None:
        self.block, self.text, self.truth = block, text, truth

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Code:
        """The instructions of a row."""
        block: Block = next(arg.block for arg in args if arg.__class__ is Code)
        native = primitive is ORIGINAL.get(primitive.name)  # an expansion goes on with the rows that it was written with
        return block.row(primitive.name, [block.operand(arg) for arg in args], native)

    def compare(self, symbol: str, y: Any) -> Code:
        """A condition."""
        predicate = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge"}[symbol]
        return self.block.compared(predicate, self, self.block.operand(y))

    def __bool__(self) -> bool:
        raise TypeError("an expansion asks for the truth of a number in machine code; it must choose by where()")


@dataclass
class Block:
    """Instructions being written, on scalars (``lanes`` 1) or on vectors of so many samples."""

    module: Module
    lanes: int = 1
    lines: list[str] = field(default_factory=list)

    @property
    def type(self) -> str:
        """The LLVM type of a number."""
        return "double" if self.lanes == 1 else f"<{self.lanes} x double>"

    def text(self) -> str:
        """The instructions, in pieces: LLVM's time for a piece grows faster than its length."""
        pieces = ["\n".join(self.lines[i:i + PIECE]) for i in range(0, len(self.lines), PIECE)]
        names = [f"piece{self.module.fresh()}" for _ in pieces[1:]]
        return "\n".join([*pieces[:1], *[f"  br label %{name}\n{name}:\n{piece}" for name, piece in zip(names, pieces[1:])]])

    @property
    def bits(self) -> str:
        """The LLVM type of a condition."""
        return "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"

    def add(self, instruction: str, truth: bool = False) -> Code:
        """One instruction and its result."""
        name = f"%v{self.module.fresh()}"
        self.lines.append(f"  {name} = {instruction}")
        return Code(self, name, truth)

    def constant(self, x: float) -> Code:
        """A number."""
        return Code(self, literal(x) if self.lanes == 1 else vector([f"double {literal(x)}"] * self.lanes))

    def operand(self, x: Any) -> Code:
        """A number of an expansion as a constant; everything else as it is, conditions as 1.0 and 0.0."""
        if x.__class__ is not Code:
            return self.constant(float(x))
        return self.where(x, self.constant(1.0), self.constant(0.0)) if x.truth else x

    def condition(self, x: Any) -> Code:
        """Whether a number is not 0."""
        return x if x.truth else self.compared("une", x, self.constant(0.0))

    def compared(self, predicate: str, x: Code, y: Code) -> Code:
        """A comparison."""
        return self.add(f"fcmp {predicate} {self.type} {x.text}, {y.text}", truth=True)

    def where(self, condition: Code, x: Code, y: Code) -> Code:
        """A choice."""
        return self.add(f"select {self.bits} {self.condition(condition).text}, {self.type} {x.text}, {self.type} {y.text}")

    def row(self, op: str, args: list[Any], native: bool | None = None) -> Code:
        """The instructions of an operation; ``native`` says whether it is one of those that are compiled."""
        if op == "where":
            return self.where(args[0], self.operand(args[1]), self.operand(args[2]))
        if not (is_native(op) if native is None else native):
            return self.called_back(op, [self.operand(arg) for arg in args])
        if op in (LESS, LESS_EQUAL, EQUAL):
            return self.compared({LESS: "olt", LESS_EQUAL: "ole", EQUAL: "oeq"}[op], *map(self.operand, args))
        x = [self.operand(arg) for arg in args]
        if op in BINARY:
            return self.add(f"{BINARY[op]} {self.type} {x[0].text}, {x[1].text}")
        if op == "neg":
            return self.add(f"fneg {self.type} {x[0].text}")
        if op == WHEN:
            return self.where(self.compared("oeq", x[0], x[1]), x[2], self.constant(0.0))
        if op in INTRINSIC:
            suffix = "f64" if self.lanes == 1 else f"v{self.lanes}f64"
            name = f"llvm.{INTRINSIC[op]}.{suffix}"
            return self.add(f"call {self.type} {self.module.declared(name, self.type, len(x))}("
                            + ", ".join(f"{self.type} {arg.text}" for arg in x) + ")")
        if op in LIBRARY:
            return self.each_lane(lambda lane: f"call double {self.module.library(LIBRARY[op], len(x))}({lane})", x)
        return self.operand(EXPANSIONS[op](*x))

    def each_lane(self, call: Callable[[str], str], args: list[Code]) -> Code:
        """A call for every sample."""
        if self.lanes == 1:
            return self.add(call(", ".join(f"double {arg.text}" for arg in args)))
        result = "poison"
        for lane in range(self.lanes):
            picked = [self.add(f"extractelement {self.type} {arg.text}, i32 {lane}").text for arg in args]
            one = self.add(call(", ".join(f"double {text}" for text in picked)))
            result = self.add(f"insertelement {self.type} {result}, double {one.text}, i32 {lane}").text
        return Code(self, result)

    def called_back(self, op: str, args: list[Code]) -> Code:
        """A row that is called in Python."""
        number = self.module.callback(op)

        def call(lane: str) -> str:
            for i, argument in enumerate(lane.split(", ")):
                at = self.add(f"getelementptr inbounds double, ptr %arguments, i32 {i}")
                self.lines.append(f"  store {argument}, ptr {at.text}")
            return f"call double @tg_python(i32 {number}, ptr %arguments)"

        return self.each_lane(call, args)


def literal(x: float) -> str:
    """A number as LLVM reads it back exactly."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', x))[0]:016X}"


def vector(entries: Sequence[str]) -> str:
    """A constant vector."""
    return f"<{', '.join(entries)}>"


@dataclass
class Module:
    """The text of a module, and what it needs from outside."""

    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # symbol -> name in the C library
    rows: list[str] = field(default_factory=list)  # those that are called back
    count: int = 0

    def fresh(self) -> int:
        """A number for a name."""
        self.count += 1
        return self.count

    def declared(self, name: str, kind: str, arity: int) -> str:
        """A function that is declared once."""
        self.declarations[name] = f"declare {kind} @{name}({', '.join([kind] * arity)})"
        return f"@{name}"

    def library(self, name: str, arity: int) -> str:
        """A function of the C library, under a name that LLVM attaches no meaning to: it would rewrite pow(x, 2)."""
        self.imports[f"tg_{name}"] = name
        return self.declared(f"tg_{name}", "double", arity)

    def callback(self, op: str) -> int:
        """The number of a row for `tg_python`."""
        if op not in self.rows:
            self.rows.append(op)
        return self.rows.index(op)

    def prologue(self) -> list[str]:
        """The first lines of a function: room for the arguments of rows that are called back."""
        most = max([lookup(op).arity for op in self.rows], default=0)
        return [f"  %arguments = alloca double, i32 {most}"] if most else []

    def text(self) -> str:
        """The module."""
        head = [f'target triple = "{objects.triple()}"']
        if self.rows:
            head.append("declare double @tg_python(i32, ptr)")
        return "\n".join([*head, *self.declarations.values(), *self.functions, ""])


# ---- one run of a tape, straight-line ----------------------------------------------------------------------------


def body(tape: Tape, block: Block, load: Callable[[int], Code], keep: Callable[[int, Code], None],
         chosen: Callable[[int], bool] = lambda register: True) -> None:
    """Writes the instructions of a tape: those that are ``chosen``, by their registers.

    ``load`` gives a register that is not computed here; ``keep`` is told every one that is.
    """
    known: dict[int, Code] = {}
    loaded: dict[int, Code] = {}  # for this instruction alone: to load again is cheaper than to keep

    def value(register: int) -> Code:
        if register in known:
            return known[register]
        if register in loaded:
            return loaded[register]
        if len(tape.names) <= register < tape.first:
            return block.constant(tape.constants[register - len(tape.names)])
        loaded[register] = found = load(register)
        return found

    one = {len(tape.names) + i for i, x in enumerate(tape.constants) if x == 1.0}
    nothing = {len(tape.names) + i for i, x in enumerate(tape.constants) if x == 0.0 and std.copysign(1.0, x) < 0}
    for i, (op, args) in enumerate(tape.instructions()):
        register = tape.first + i
        if not chosen(register):
            continue
        loaded.clear()
        if op == DOT:
            total = None if args[0] in nothing else value(args[0])
            for k in range(1, len(args), 2):
                x, y = args[k], args[k + 1]
                term = value(x) if y in one else value(y) if x in one else block.row("mul", [value(x), value(y)])
                total = term if total is None else block.row("add", [total, term])
            assert total is not None
            out = block.operand(total)
        elif op == TAKE:
            index = value(args[0])
            out = _taken(block, index, [value(arg) for arg in args[1:]])
        else:
            out = block.row(op, [value(arg) for arg in args])
        known[register] = out
        keep(register, out)


def _taken(block: Block, index: Code, entries: list[Code]) -> Code:
    """The entry at an index, by one comparison each; an index that fits none is reported."""
    out, hit = block.constant(0.0), None
    for i, entry in enumerate(entries):
        here = block.compared("oeq", block.operand(index), block.constant(float(i)))
        out = block.where(here, block.operand(entry), out)
        hit = here if hit is None else block.add(f"or {block.bits} {hit.text}, {here.text}", truth=True)
    assert hit is not None
    if block.lanes > 1:
        bits = block.add(f"bitcast {block.bits} {hit.text} to i{block.lanes}")
        hit = block.add(f"icmp eq i{block.lanes} {bits.text}, -1")
    code = block.add(f"select i1 {hit.text}, i32 0, i32 1")
    before = block.add("load i32, ptr %error")
    block.lines.append(f"  store i32 {block.add(f'or i32 {before.text}, {code.text}').text}, ptr %error")
    return out


def scalar(tape: Tape) -> Module:
    """``run(inputs, outputs, error)``: one run of a tape."""
    module = Module()
    block = Block(module)

    def load(register: int) -> Code:
        at = block.add(f"getelementptr inbounds double, ptr %in, i64 {register}")
        return block.add(f"load double, ptr {at.text}")

    known: dict[int, Code] = {}
    body(tape, block, load, known.__setitem__)
    for i, register in enumerate(tape.outputs):
        result = known[register] if register in known else load(register) if register < len(tape.names) else \
            block.constant(tape.constants[register - len(tape.names)])
        at = block.add(f"getelementptr inbounds double, ptr %out, i64 {i}")
        block.lines.append(f"  store double {block.operand(result).text}, ptr {at.text}")
    module.functions.append("\n".join(["define void @run(ptr noalias readonly %in, ptr noalias %out, ptr noalias %error) {",
                                       *module.prologue(), block.text(), "  ret void", "}"]))
    return module


# ---- a loop over samples -----------------------------------------------------------------------------------------


def batched(tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> tuple[Module, dict[int, int]]:
    """``batch(uniform, columns, results, sums, totals, blocks, valid, error)``: a tape for many samples.

    varying     the inputs that are columns, one number a sample; the others are uniform, the same for all samples
    summed      the outputs, by position, that are added up over the samples; the others are columns

    ``uniform`` holds the uniform inputs, in their order, and after them what is computed of them alone.  A block is `LANES`
    samples; ``valid`` says how many samples of a block count, for sums.  ``sums`` is room for `LANES` numbers for each sum.
    Sums are added to ``totals``.  ``error`` is an int that is set if an index was wrong, and 8 bytes later the sum of
    ``totals``, by which one sees that all of them are finite.

    Returns the module, and where each uniform register is in ``uniform``.
    """
    module, columns = Module(), {register: i for i, register in enumerate(varying)}
    slots = {register: i for i, register in enumerate(r for r in range(len(tape.names)) if r not in columns)}
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
        once.lines.append(f"  store double {once.operand(x).text}, ptr {_at(once, '%uniform', slots[register]).text}")

    body(tape, once, load_once, keep_once, slots.__contains__)

    def load(register: int) -> Code:
        if register in columns:
            pointer = loop.add(f"load ptr, ptr {_at(loop, '%columns', columns[register], 'ptr').text}")
            at = loop.add(f"getelementptr inbounds double, ptr {pointer.text}, i64 %offset")
            return loop.add(f"load {loop.type}, ptr {at.text}, align 8")
        one = loop.add(f"load double, ptr {_at(loop, '%uniform', slots[register]).text}")
        first = loop.add(f"insertelement {loop.type} poison, double {one.text}, i32 0")
        return loop.add(f"shufflevector {loop.type} {first.text}, {loop.type} poison, <{LANES} x i32> zeroinitializer")

    known: dict[int, Code] = {}
    cached: dict[int, Code] = {}

    def load_column(register: int) -> Code:
        if register not in columns:
            return load(register)
        if register not in cached:
            cached[register] = load(register)
        return cached[register]

    wanted: dict[int, list[int]] = {}
    for i, register in enumerate(tape.outputs):
        wanted.setdefault(register, []).append(i)
    sums = {output: k for k, output in enumerate(summed)}
    results = {output: k for k, output in enumerate(i for i in range(len(tape.outputs)) if i not in sums)}

    def keep(register: int, x: Code) -> None:
        known[register] = x
        for output in wanted.get(register, ()):
            if output in sums:
                at = _at(loop, "%sums", LANES * sums[output])
                before = loop.add(f"load {loop.type}, ptr {at.text}, align 32")
                after = loop.add(f"fadd {loop.type} {before.text}, {x.text}")
                loop.lines.append(f"  store {loop.type} {after.text}, ptr {at.text}, align 32")
            else:
                pointer = loop.add(f"load ptr, ptr {_at(loop, '%results', results[output], 'ptr').text}")
                at = loop.add(f"getelementptr inbounds double, ptr {pointer.text}, i64 %offset")
                loop.lines.append(f"  store {loop.type} {x.text}, ptr {at.text}, align 8")

    body(tape, loop, load_column, keep, vector_registers.__contains__)
    for register in wanted:
        if register not in known:
            constant = len(tape.names) <= register < tape.first
            keep(register, loop.constant(tape.constants[register - len(tape.names)]) if constant else load_column(register))
    module.functions.append(BATCH.format(prologue="\n".join(module.prologue()), once=once.text(), loop=loop.text(),
                                         lanes=LANES, sums=len(sums)))
    return module, slots


def _at(block: Block, pointer: str, i: int, kind: str = "double") -> Code:
    return block.add(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {i}") if i else Code(block, pointer)


BATCH = """define void @batch(ptr noalias %uniform, ptr %columns, ptr %results, ptr noalias %sums, ptr noalias %totals, \
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
  %c.at = getelementptr inbounds double, ptr %sums, i64 %c.lane
  store <{lanes} x double> zeroinitializer, ptr %c.at, align 32
  %c1 = add i64 %c, 1
  br label %clear
once:
{once}
  br label %once.end
once.end:
  br label %head
head:
  %b = phi i64 [ 0, %once.end ], [ %b1, %loop.end ]
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
  %l.at = getelementptr inbounds double, ptr %sums, i64 %l.index
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


# ---- the tape machine --------------------------------------------------------------------------------------------

MULADD = "muladd"  # a dot with one product

# The operations of the machine; their positions are its codes.
CASES = [DOT, TAKE, "python", MULADD, *sorted({*NATIVE} - {"identity"})]


def machine() -> Module:
    """``machine(code, end, registers, next, error)``: runs the code from `encoded` on registers.

    The result of each instruction goes to the next register, from ``next`` on.

    An instruction is the code of its operation and the positions of its operands, 4 bytes each; before the operands of ``dot``
    and ``take`` stands their number, before those of a row that is called back its number and theirs.
    """
    module = Module()
    cases = []
    for number, op in enumerate(CASES):
        block = Block(module)
        if op == DOT:
            cases.append(f"case{number}:\n{DOT_CASE}")
        elif op == TAKE:
            cases.append(f"case{number}:\n{TAKE_CASE}")
        elif op == "python":
            cases.append(f"case{number}:\n{PYTHON_CASE}")
        else:
            arity = 3 if op in ("where", WHEN, MULADD) else 2 if op in (LESS, LESS_EQUAL, EQUAL) else lookup(op).arity
            operands = []
            for i in range(arity):
                at = block.add(f"getelementptr inbounds i32, ptr %pc, i64 {1 + i}")
                index = block.add(f"load i32, ptr {at.text}")
                where_ = block.add(f"getelementptr inbounds double, ptr %registers, i32 {index.text}")
                operands.append(block.add(f"load double, ptr {where_.text}"))
            if op == MULADD:
                result = block.row("add", [operands[0], block.row("mul", operands[1:])])
            else:
                result = block.operand(block.row(op, operands, native=True))
            block.lines += [f"  store double {result.text}, ptr %next",
                            f"  %pc{number} = getelementptr inbounds i32, ptr %pc, i64 {1 + arity}", "  br label %on"]
            cases.append(f"case{number}:\n" + "\n".join(block.lines))
    special = {DOT: "%dot.pc", TAKE: "%take.pc", "python": "%python.pc"}
    froms = {DOT: "dot.done", TAKE: "take.done", "python": "python.done"}
    phis = ", ".join(f"[ {special.get(op, f'%pc{i}')}, %{froms.get(op, f'case{i}')} ]" for i, op in enumerate(CASES))
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
  %take.low = fcmp oge double %take.index, 0.0
  %take.high = fcmp olt double %take.index, %take.most
  %take.inside = and i1 %take.low, %take.high
  %take.safe = select i1 %take.inside, double %take.index, double 0.0
  %take.whole = fptoui double %take.safe to i32
  %take.back = uitofp i32 %take.whole to double
  %take.exact = fcmp oeq double %take.back, %take.index
  %take.good = and i1 %take.inside, %take.exact
  %take.bad = xor i1 %take.good, true
  %take.code = zext i1 %take.bad to i32
  %take.before = load i32, ptr %error
  %take.after = or i32 %take.before, %take.code
  store i32 %take.after, ptr %error
  %take.entry.n = add i32 %take.whole, 3
  %take.entry.at = getelementptr inbounds i32, ptr %pc, i32 %take.entry.n
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


def encoded(tape: Tape) -> tuple[array[int], list[str]]:
    """The code of a tape for the machine, and the rows that it calls back."""
    codes = {op: i for i, op in enumerate(CASES)}
    code, rows = array("I"), list[str]()
    for op, args in tape.instructions():
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
        code.extend(args)
    return code, rows


# ---- calling it --------------------------------------------------------------------------------------------------

Callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))


def _callback(rows: Sequence[str]) -> Any:
    functions = [(lookup(op).forward, lookup(op).arity) for op in rows]
    return Callback(lambda number, arguments: _called(functions[number], arguments))


def _called(row: tuple[Callable[..., float], int], arguments: Any) -> float:
    """A row in Python.  What it raises cannot pass through machine code: it is kept for `reraise`, and the result is nan."""
    f, arity = row
    try:
        return float(f(*arguments[:arity]))
    except BaseException as error:
        _current.error = error
        return std.nan


def reraise() -> None:
    """Raises what a row that was called back has raised in this thread."""
    error, _current.error = getattr(_current, "error", None), None
    if error is not None:
        raise error


_current = threading.local()  # the rows that the tape which runs in this thread calls back, and what one of them raised


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
    return [ctypes.CDLL(name) for name in (ctypes.util.find_library("m"), *found) if name or name is None]


class Compiled:
    """A module in memory, ready to be called; it lives as long as this object."""

    def __init__(self, module: Module, entries: Sequence[str]) -> None:
        self._callback = _callback(module.rows) if module.rows else None
        addresses = {symbol: library_address(name) for symbol, name in module.imports.items()}
        if self._callback is not None:
            addresses["tg_python"] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0
        self._library = objects.loaded(module.text(), addresses, entries)
        self.addresses = {entry: self._library[entry] for entry in entries}


@cache
def _machine_code() -> dict[str, Any]:
    """The tape machine, compiled once a process; `tg_python` goes by way of ``current_rows``."""
    module = machine()
    addresses = {symbol: library_address(name) for symbol, name in module.imports.items()}
    addresses["tg_python"] = ctypes.cast(_dispatcher, ctypes.c_void_p).value or 0
    library = objects.loaded(module.text(), addresses, ["machine", "gather"])
    pointers = [ctypes.c_void_p] * 5
    return {"library": library, "machine": ctypes.CFUNCTYPE(None, *pointers)(library["machine"]),
            "gather": ctypes.CFUNCTYPE(None, *pointers[:3], ctypes.c_long, ctypes.c_void_p)(library["gather"])}


_dispatcher = Callback(lambda number, arguments: _called(_current.rows[number], arguments))


class Machine:
    """One run of a tape by the tape machine: called with the inputs, a list of floats, it returns the outputs."""

    def __init__(self, tape: Tape) -> None:
        self._code, rows = encoded(tape)
        self._rows = [(lookup(op).forward, lookup(op).arity) for op in rows]
        self._entry = _machine_code()
        self._tape = tape
        self._free: list[array[float]] = []  # register files, one for each thread that runs it at a time
        self.flags = array("d", [0.0, 0.0])  # of `fill`: the sum of the outputs is the second one

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        registers = self.registers()
        registers[:len(inputs)] = array("d", inputs)
        try:
            self.run(registers)
            return [registers[i] for i in self._tape.outputs]
        finally:
            self._free.append(registers)

    def registers(self) -> array[float]:
        """A register file, with the constants in it."""
        try:
            return self._free.pop()
        except IndexError:
            tape = self._tape
            registers = array("d", bytes(8 * (tape.first + len(tape))))
            registers[len(tape.names):tape.first] = tape.constants
            return registers

    def fill(self, inputs: int, outputs: int) -> None:
        """Like a call, from memory to memory: the addresses of all inputs, and of the outputs, to which it adds."""
        registers = self.registers()
        try:
            data, _ = registers.buffer_info()
            ctypes.memmove(data, inputs, 8 * len(self._tape.names))
            self.run(registers)
            places, count = self._tape.outputs.buffer_info()
            self._entry["gather"](outputs, data, places, count, self.flags.buffer_info()[0])
        finally:
            self._free.append(registers)

    def run(self, registers: array[float]) -> None:
        """Runs the tape on registers."""
        before, _current.rows = getattr(_current, "rows", ()), self._rows
        start, length = self._code.buffer_info()
        data, _ = registers.buffer_info()
        error = ctypes.c_int(0)
        self._entry["machine"](start, start + 4 * length, data, data + 8 * self._tape.first, ctypes.addressof(error))
        _current.rows = before
        reraise()
        if error.value:
            raise IndexError(OUTSIDE)


OUTSIDE = "take: an index is none of 0 to the number of entries - 1"


class Scalar:
    """One run of a tape, compiled: called with the inputs, a list of floats, it returns the outputs."""

    def __init__(self, tape: Tape) -> None:
        self._compiled = Compiled(scalar(tape), ["run"])
        self.address = self._compiled.addresses["run"]
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(self.address)
        self._outputs = len(tape.outputs)

    def fill(self, inputs: int, outputs: int) -> None:
        """From memory to memory: the addresses of all inputs, and of the outputs."""
        error = ctypes.c_int(0)
        self._run(inputs, outputs, ctypes.addressof(error))
        reraise()
        if error.value:
            raise IndexError(OUTSIDE)

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        data, results, error = array("d", inputs), array("d", bytes(8 * self._outputs)), ctypes.c_int(0)
        self._run(data.buffer_info()[0], results.buffer_info()[0], ctypes.addressof(error))
        reraise()
        if error.value:
            raise IndexError(OUTSIDE)
        return results.tolist()


class Batch:
    """A tape for many samples, compiled: see `batched`.  ``slots`` says where each uniform register is in ``uniform``."""

    def __init__(self, tape: Tape, varying: Sequence[int], summed: Sequence[int]) -> None:
        module, self.slots = batched(tape, varying, summed)
        self._compiled = Compiled(module, ["batch"])
        address, integer = ctypes.c_void_p, ctypes.c_long
        self.address = self._compiled.addresses["batch"]
        self.run = ctypes.CFUNCTYPE(None, *[address] * 5, integer, integer, address)(self.address)

    def check(self, error: int) -> None:
        """Raises IndexError if ``error``, the address given to a run, was set; sets it back."""
        reraise()
        flag = ctypes.c_int.from_address(error)
        if flag.value:
            flag.value = 0
            raise IndexError(OUTSIDE)
