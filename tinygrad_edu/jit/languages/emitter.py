"""Emits instructions of LLVM for rows of the table.

A `Code` is an operand like floats, Values and names.  A row applied to it becomes an instruction
(`BINARY`, `INTRINSIC`), a call of the C library (`LIBRARY`), or an expression of other rows
(`EXPANSIONS`).  Every other row, such as a primitive that you define, is called back in Python.
Known numbers stay floats, and an expression of them is computed at once.

Results have the bits of the eager engine: fast-math and contraction are off, and the C library is
the one that Python's `math` calls.
"""

from __future__ import annotations

import math as std
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...engine import primitives
from ...engine.primitives import (
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
from ...engine.primitives import absolute as fabs
from ..tape.operations import EQUAL, IF_EQUAL, LESS, LESS_EQUAL

inf = std.inf
LANES = 4  # samples in a vector: the registers of AVX2; LLVM splits it for other processors

# Rows that are one function of the C library, with its name there.
LIBRARY = {
    name: name
    for name in (
        "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "cbrt",
        "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
        "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
        "erf", "erfc", "pow", "fmod", "hypot",
    )
} | {"ieee_remainder": "remainder"}

BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSIC = {
    "abs": "fabs",
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "round": "rint",
    "copysign": "copysign",
}


def _difference(x: Any, y: Any) -> tuple[Any, Any]:
    """Returns x - y and its rounding error."""
    s = x - y
    back = s - x
    lost = (x - (s - back)) - (y + back)
    return s, where(lost <= lost, lost, 0.0)


def _maximum(x: Any, y: Any) -> Any:
    return where(x > y, x, where(x <= x, y, x))


def _minimum(x: Any, y: Any) -> Any:
    return where(x < y, x, where(x <= x, y, x))


def _relu(x: Any) -> Any:
    return where(x <= 0, 0.0, x)


def _sigmoid(x: Any) -> Any:
    e = exp(-fabs(x))
    return where(x >= 0, 1 / (1 + e), e / (1 + e))


def _sech_squared(x: Any) -> Any:
    e = exp(-2 * fabs(x))
    return 4 * e / ((1 + e) * (1 + e))


def _pow_lower(x: Any, y: Any) -> Any:
    exponent, lost = _difference(y, 1.0)
    result = x ** exponent
    if lost.__class__ is float and lost == 0:  # the usual case: the exponent is known
        return result
    corrected = result + result * (lost * log(x))
    return where(
        fabs(lost) > 0,
        where(x > 0, where(x < inf, where(result < inf, corrected, result), result), result),
        result,
    )


def _sigmoid_difference(x: Any, y: Any) -> Any:
    s, lost = _difference(x, y)
    result = sigmoid(s)
    return result + lost * (result * (1 - result))


def _logaddexp(x: Any, y: Any) -> Any:
    x, y = where(x < y, x, y), where(x < y, y, x)
    s, lost = _difference(x, y)
    small = where(s < 0, exp(s), where(x <= y, where(x >= y, 1.0, s), s))
    return y + log1p(small + small * lost)


def _signs_differ(rest: Any, y: Any) -> Any:
    """Whether ``rest`` and ``y`` have opposite signs; y = 0 counts as positive."""
    return (rest < 0) * (y >= 0) + (rest > 0) * (y < 0) > 0


def _python_remainder(x: Any, y: Any) -> Any:
    rest = primitives.fmod(x, y)
    moved = where(_signs_differ(rest, y), rest + y, rest)
    return where(
        fabs(y) > 0,
        where(fabs(rest) <= 0, primitives.copysign(0.0, y), moved),
        primitives.div(y, y) * x,
    )


def _floordiv(x: Any, y: Any) -> Any:
    rest = primitives.fmod(x, y)
    whole = (x - rest) / y
    whole = where(_signs_differ(rest, y), whole - 1.0, whole)
    below = floor(whole)
    rounded = where(whole - below > 0.5, below + 1.0, below)
    return where(
        fabs(y) > 0,
        where(fabs(whole) <= 0, primitives.copysign(0.0, x / y), rounded),
        primitives.div(y, y) * x,
    )


def _gelu_tanh(x: Any) -> Any:
    return x * sigmoid(2 * SQRT_TWO_OVER_PI * (x + GELU_CUBIC * x * (x * x)))


# The forward functions of `primitives` as expressions, with the same operations in the same order.
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
NATIVE = {
    *BINARY,
    *INTRINSIC,
    *LIBRARY,
    *EXPANSIONS,
    "neg",
    "where",
    LESS,
    LESS_EQUAL,
    EQUAL,
    IF_EQUAL,
}


def is_native(op: str) -> bool:
    """Whether an operation is compiled; a row that was replaced is called back in Python."""
    return op in NATIVE and TABLE.get(op) is ORIGINAL.get(op)


# The rows that the expansions compute and use, even if a program has replaced one of them.
ORIGINAL = {row.name: row for row in vars(primitives).values() if isinstance(row, Primitive)}


# ---- the emitter ---------------------------------------------------------------------------------


class Code(Operand):
    """The name of an LLVM value: a scalar, a vector of samples, or a condition (``truth``)."""

    __slots__ = ("block", "text", "truth")

    def __init__(self, block: Block, text: str, truth: bool = False) -> None:
        self.block = block
        self.text = text
        self.truth = truth

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Code:
        """Writes the instructions of a row."""
        block: Block = next(arg.block for arg in args if arg.__class__ is Code)
        # in an expansion, a row is native even if the program has replaced it
        native = primitive is ORIGINAL.get(primitive.name)
        return block.row(
            primitive.name, [arg if arg.__class__ is Code else float(arg) for arg in args], native
        )

    def compare(self, symbol: str, y: Any) -> Code:
        """Writes a comparison."""
        predicate = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge"}[symbol]
        return self.block.compared(predicate, self, self.block.operand(y))

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
        return "double" if self.lanes == 1 else f"<{self.lanes} x double>"

    def text(self) -> str:
        """Returns the instructions."""
        return "\n".join(self.lines)

    @property
    def bits(self) -> str:
        """The LLVM type of a condition."""
        return "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"

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

    def store(self, x: Code | float, at: str) -> None:
        """Stores a number in memory."""
        self.lines.append(f"  store {self.type} {self.operand(x).text}, ptr {at}")

    def constant(self, x: float) -> Code:
        """Returns a constant."""
        return Code(
            self, literal(x) if self.lanes == 1 else vector([f"double {literal(x)}"] * self.lanes)
        )

    def operand(self, x: Any) -> Code:
        """Returns an operand: a known number as a constant, a condition as 1.0 or 0.0."""
        if x.__class__ is not Code:
            return self.constant(float(x))
        return self.where(x, self.constant(1.0), self.constant(0.0)) if x.truth else x

    def condition(self, x: Any) -> Code:
        """Returns whether a number is not 0; a condition is returned as it is."""
        return x if x.truth else self.compared("une", x, self.constant(0.0))

    def compared(self, predicate: str, x: Code, y: Code) -> Code:
        """Adds a comparison."""
        return self.add(f"fcmp {predicate} {self.type} {x.text}, {y.text}", truth=True)

    def where(self, condition: Code, x: Code, y: Code) -> Code:
        """Adds a choice between two numbers."""
        return self.add(
            f"select {self.bits} {self.condition(condition).text}, {self.type} {x.text}, "
            f"{self.type} {y.text}"
        )

    def row(self, op: str, args: list[Any], native: bool | None = None) -> Code:
        """Adds the instructions of an operation.

        args: Codes, or floats if they are known.
        native: whether it is compiled or called back; by default as `is_native` says.
        """
        if op == "where":
            if args[0].__class__ is float:
                return self.operand(args[1] if args[0] else args[2])
            return self.where(args[0], self.operand(args[1]), self.operand(args[2]))
        if not (is_native(op) if native is None else native):
            return self.called_back(op, [self.operand(arg) for arg in args])
        if op in (LESS, LESS_EQUAL, EQUAL):
            predicate = {LESS: "olt", LESS_EQUAL: "ole", EQUAL: "oeq"}[op]
            return self.compared(predicate, *map(self.operand, args))
        x = [self.operand(arg) for arg in args]
        if op in BINARY:
            return self.add(f"{BINARY[op]} {self.type} {x[0].text}, {x[1].text}")
        if op == "neg":
            return self.add(f"fneg {self.type} {x[0].text}")
        if op == IF_EQUAL:
            return self.where(self.compared("oeq", x[0], x[1]), x[2], self.constant(0.0))
        if op in INTRINSIC:
            suffix = "f64" if self.lanes == 1 else f"v{self.lanes}f64"
            name = f"llvm.{INTRINSIC[op]}.{suffix}"
            function = self.module.declared(name, self.type, len(x))
            operands = ", ".join(f"{self.type} {arg.text}" for arg in x)
            return self.add(f"call {self.type} {function}({operands})")
        if op == "pow" and args[1].__class__ is float and args[1] == 1:
            return x[0]
        if op in LIBRARY:
            return self.each_lane(
                lambda lane: f"call double {self.module.library(LIBRARY[op], len(x))}({lane})", x
            )
        return self.operand(
            EXPANSIONS[op](*[arg if arg.__class__ is float else self.operand(arg) for arg in args])
        )

    def each_lane(self, call: Callable[[str], str], args: list[Code]) -> Code:
        """Adds a call for each sample."""
        lanes = zip(*map(self.split_lanes, args))
        return self.join_lanes(
            self.add(call(", ".join(f"double {x.text}" for x in lane))) for lane in lanes
        )

    def split_lanes(self, x: Code) -> Iterator[Code]:
        """Yields the numbers of the samples, one by one."""
        if self.lanes == 1:
            yield x
        else:
            for lane in range(self.lanes):
                yield self.add(f"extractelement {self.type} {x.text}, i32 {lane}")

    def join_lanes(self, numbers: Iterable[Code]) -> Code:
        """Returns a vector of one number for each sample."""
        if self.lanes == 1:
            return next(iter(numbers))
        result = "poison"
        for lane, x in enumerate(numbers):
            result = self.add(
                f"insertelement {self.type} {result}, double {x.text}, i32 {lane}"
            ).text
        return Code(self, result)

    def called_back(self, op: str, args: list[Code]) -> Code:
        """Adds a call of a row in Python."""
        number = self.module.callback(op)

        def call(lane: str) -> str:
            for i, argument in enumerate(lane.split(", ")):
                at = self.add(f"getelementptr inbounds double, ptr %arguments, i32 {i}")
                self.lines.append(f"  store {argument}, ptr {at.text}")
            return f"call double @tg_python(i32 {number}, ptr %arguments)"

        return self.each_lane(call, args)


def literal(x: float) -> str:
    """Returns a number as text that LLVM reads back exactly."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', x))[0]:016X}"


def vector(entries: Sequence[str]) -> str:
    """Returns the text of a constant vector."""
    return f"<{', '.join(entries)}>"


@dataclass
class Module:
    """The text of a module, and the functions that it needs from outside."""

    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # symbol -> name in the C library
    rows: list[str] = field(default_factory=list)  # rows that are called back
    allocations: list[str] = field(default_factory=list)  # instructions that allocate memory
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
