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
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import TinygradEduError
from ..primitives import GELU_CUBIC, SQRT_HALF, SQRT_TWO_OVER_PI, TABLE, Operand, Primitive, lookup
from ..primitives import absolute as fabs
from ..primitives import exp, expm1, floor, log, log1p, sigmoid, softplus, sqrt, where
from . import objects
from .tape import DOT, EQUAL, WHEN, Tape
from .trace import LESS, LESS_EQUAL, TAKE

inf = std.inf
LANES = 4  # samples in a vector: 32 bytes, the registers of AVX2; other processors split or join them

# Rows that are one function of the C library, by its name there.
LIBRARY = {name: name for name in (
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "pow", "fmod", "hypot")} | {"ieee_remainder": "remainder"}

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
    rest = TABLE["fmod"](x, y)
    moved = where((rest < 0) * (y >= 0) + (rest > 0) * (y < 0) > 0, rest + y, rest)
    return where(fabs(y) > 0, where(fabs(rest) <= 0, TABLE["copysign"](0.0, y), moved), y / y * x)


def _floordiv(x: Any, y: Any) -> Any:
    rest = TABLE["fmod"](x, y)
    whole = (x - rest) / y
    whole = where((rest < 0) * (y >= 0) + (rest > 0) * (y < 0) > 0, whole - 1.0, whole)
    below = floor(whole)
    rounded = where(whole - below > 0.5, below + 1.0, below)
    return where(fabs(y) > 0, where(fabs(whole) <= 0, TABLE["copysign"](0.0, x / y), rounded), y / y * x)


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
    "gelu_erf": lambda x: x * (0.5 * TABLE["erfc"](-x * SQRT_HALF)),
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
    return op in NATIVE and (op not in TABLE or TABLE[op] is ORIGINAL.get(op))


ORIGINAL = dict(TABLE)


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
        return block.row(primitive.name, [block.operand(arg) for arg in args])

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
        return self.where(x, self.constant(1.0), self.constant(0.0)) if x.truth else x  # type: ignore[no-any-return]

    def condition(self, x: Any) -> Code:
        """Whether a number is not 0."""
        return x if x.truth else self.compared("une", x, self.constant(0.0))  # type: ignore[no-any-return]

    def compared(self, predicate: str, x: Code, y: Code) -> Code:
        """A comparison."""
        return self.add(f"fcmp {predicate} {self.type} {x.text}, {y.text}", truth=True)

    def where(self, condition: Code, x: Code, y: Code) -> Code:
        """A choice."""
        return self.add(f"select {self.bits} {self.condition(condition).text}, {self.type} {x.text}, {self.type} {y.text}")

    def row(self, op: str, args: list[Any]) -> Code:
        """The instructions of an operation."""
        if op == "where":
            return self.where(args[0], self.operand(args[1]), self.operand(args[2]))
        if not is_native(op):
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

    def value(register: int) -> Code:
        if register in known:
            return known[register]
        if len(tape.names) <= register < tape.first:
            return block.constant(tape.constants[register - len(tape.names)])
        return load(register)

    one = {len(tape.names) + i for i, x in enumerate(tape.constants) if x == 1.0}
    nothing = {len(tape.names) + i for i, x in enumerate(tape.constants) if x == 0.0 and std.copysign(1.0, x) < 0}
    for i, (op, args) in enumerate(tape.instructions()):
        register = tape.first + i
        if not chosen(register):
            continue
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
                                       *module.prologue(), *block.lines, "  ret void", "}"]))
    return module


# ---- calling it --------------------------------------------------------------------------------------------------

Callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))


def _callback(rows: Sequence[str]) -> Any:
    functions = [(lookup(op).forward, lookup(op).arity) for op in rows]

    def call(number: int, arguments: Any) -> float:
        f, arity = functions[number]
        return f(*arguments[:arity])

    return Callback(call)


def library_address(name: str) -> int:
    """Where the C library has a function; raises TinygradEduError if it has none."""
    for library in _libraries():
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    raise TinygradEduError(f"the C library has no function {name!r}")


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


class Scalar:
    """One run of a tape, compiled: called with the inputs, a list of floats, it returns the outputs."""

    def __init__(self, tape: Tape) -> None:
        self._compiled = Compiled(scalar(tape), ["run"])
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(self._compiled.addresses["run"])
        self._outputs = len(tape.outputs)

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        data, results, error = array("d", inputs), array("d", bytes(8 * self._outputs)), ctypes.c_int(0)
        self._run(data.buffer_info()[0], results.buffer_info()[0], ctypes.addressof(error))
        if error.value:
            raise IndexError("take: an index is none of 0 to the number of entries - 1")
        return results.tolist()
