"""The tape: a straight-line program of numbered registers, stored in flat arrays.

    >>> from tinygrad_edu import Value, math
    >>> from tinygrad_edu.jit.tape.gradient import value_and_gradient
    >>> from tinygrad_edu.jit.tracing import record_trace
    >>> w = Value(0.5, "w")
    >>> def f(x):
    ...     return math.tanh(w * x + 1.0)
    >>> trace, y = record_trace(f, ["x"], lambda values: (values, {}))
    >>> tape = value_and_gradient(trace, y._index, ["x", "w"])
    >>> print(tape.text())
    inputs  x, w
    t1 = 1 + w * x
    t2 = tanh(t1)
    t3 = square(1 / cosh(t1))
    dx = 0 + w * t3
    dw = 0 + x * t3
    return t2, dx, dw

Each register is assigned once (static single assignment).  Every instruction is a row of the table
or one of the few in `operations`.  `lowering` makes a tape from a trace, and `gradient` adds the
derivatives.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, reduce
from itertools import chain, count, starmap
from operator import add, mul
from typing import Any, ClassVar

from ...engine.primitive import reduced
from ...symbolic.formulas import Name, as_name
from .operations import DOT, forward, operand_count, spelled

Register = int


@dataclass
class Tape:
    """A straight-line program.

    Registers are numbered: first the inputs, then the constants, then one for each instruction.

    names: the names of the inputs.
    constants: the numbers of the constants.
    table: the names of the operations that occur.
    ops: for each instruction, the position of its operation in ``table``.
    starts: for each instruction, where its operands begin in ``operands``; at last, their end.
    operands: registers.
    outputs: registers.
    labels: names of registers of instructions, for `text`.
    """

    write: ClassVar[Callable[..., str]]  # `text.written`, of the languages

    names: list[str]
    constants: array[float]
    table: list[str]
    ops: array[int]
    starts: array[int]
    operands: array[int]
    outputs: array[int]
    labels: dict[Register, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ops)

    def __repr__(self) -> str:
        return (
            f"<Tape of {len(self)} instructions for {self.nodes} nodes: {len(self.names)} inputs, "
            f"{len(self.outputs)} outputs, {self.bytes} bytes>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return reduced(self.table, Tape, *[getattr(self, each.name) for each in fields(self)])

    @property
    def bytes(self) -> int:
        """The size in bytes of the arrays and of the registers, which hold 8 bytes each."""
        arrays = (self.constants, self.ops, self.starts, self.operands, self.outputs)
        return sum(len(a) * a.itemsize for a in arrays) + 8 * (self.first + len(self))

    @property
    def operations(self) -> int:
        """The number of floating-point operations of one run.

        Each function of the table and each entry of a take counts as one.
        """
        return sum(starmap(operand_count, self.instructions()))

    nodes = operations  # as many nodes of a graph do the instructions stand for

    @property
    def first(self) -> Register:
        """The register of the first instruction."""
        return len(self.names) + len(self.constants)

    def instruction(self, i: int) -> tuple[str, array[int]]:
        """Returns the operation and the operands of an instruction."""
        return self.table[self.ops[i]], self.operands[self.starts[i]:self.starts[i + 1]]

    def instructions(self) -> Iterable[tuple[str, array[int]]]:
        """Returns the operation and the operands of every instruction, in order."""
        return map(self.instruction, range(len(self)))

    @cached_property
    def _program(self) -> list[tuple[Any, tuple[Register, ...]]]:
        return [(None if op == DOT else forward(op), tuple(args))
                for op, args in self.instructions()]

    def run(self, inputs: Sequence[float]) -> list[float]:
        """Returns the outputs for these inputs, computed in Python: the same bits, but slower."""
        registers = [*inputs, *self.constants]
        for f, args in self._program:
            if f is None:  # without a list of the operands, which costs as much as the sum
                factors = iter(args)
                result = registers[next(factors)]
                for i in factors:
                    result += registers[i] * registers[next(factors)]
            else:
                result = f(*[registers[i] for i in args])
            registers.append(result)
        return [registers[i] for i in self.outputs]

    # ---- text

    def source(self, language: str, name: str = "f") -> str:
        """Returns the program as a function in another language, complete in itself.

            >>> from tinygrad_edu import jit
            >>> tape = jit(lambda x, y: x / y).tape(1.0, 2.0)
            >>> print(tape.source("c", "ratio"))  # doctest: +ELLIPSIS
            #include <math.h>
            ...
            void ratio(const double *inputs, double *outputs) {
                double t1 = inputs[0] / inputs[1];
                outputs[0] = t1;
            }
            <BLANKLINE>

        language: "c", "javascript" or "python".
        name: the name of the function; the names of functions that it calls begin with it.

        A comment says which number is which input or output.  The results of comparisons are 1.0
        and 0.0.  For a wrong index of a `take`, Python raises IndexError, JavaScript throws
        RangeError, and in C the entry is nan.

        Results in C and Python have the bits of this tape, if the C library and the options of the
        compiler are those of the comment.  JavaScript computes + - * / and sqrt so; its other
        functions differ by a few units in the last place.

        Raises:
            ValueError: the language is unknown, or does not allow the name.
            PrimitiveError: there is a primitive that you define, without an expansion.
        """
        return Tape.write(self, language, name)

    @cached_property
    def _called(self) -> list[str]:
        called = [*self.names, *[as_name(x).text for x in self.constants]]
        taken = set(called)
        for i in range(len(self)):
            called.append(free(self.labels.get(self.first + i) or f"t{i + 1}", taken))
            taken.add(called[-1])
        return called

    def name_of(self, register: Register) -> Name:
        """Returns the name of a register in `text`; every register has a different one."""
        number = self.number(register)
        return Name(self._called[register]) if number is None else as_name(number)

    def text(self, most: int = 10_000) -> str:
        """Returns the program as text, one instruction a line, ``most`` of them at most."""
        lines = [f"inputs  {self._words(range(len(self.names)))}"]
        for i, (op, args) in enumerate(self.instructions()):
            if i == most:
                lines.append(f"... {len(self) - most} more")
                break
            lines.append(f"{self._word(self.first + i)} = {self._spelled(op, args)}")
        lines.append(f"return {self._words(self.outputs)}")
        return "\n".join(lines)

    def _words(self, registers: Iterable[Register]) -> str:
        return ", ".join([str(self._word(register)) for register in registers])

    def _word(self, register: Register) -> Name:
        """Returns the name of a register for an expression, in brackets if it is not one word."""
        name = self.name_of(register)
        is_number = self.number(register) is not None
        return name if is_number or not set(name.text) & set(" +-*/%<>=,") else Name(f"({name})")

    def number(self, register: Register) -> float | None:
        """Returns the number of a constant; None for other registers."""
        is_number = len(self.names) <= register < self.first
        return self.constants[register - len(self.names)] if is_number else None

    def terms(self, args: Sequence[Register]) -> list[Sequence[Register]]:
        """Returns the summands of a ``dot``, of one or two factors, given its operands.

        A start of -0.0 and factors of 1 are left out.
        """
        start = [] if str(self.number(args[0])) == "-0.0" else [args[:1]]
        return start + [args[i:i + 1] if self.number(args[i + 1]) == 1.0 else args[i:i + 2]
                        for i in range(1, len(args), 2)]

    def _spelled(self, op: str, args: Sequence[Register]) -> Name:
        if op == DOT:
            products = [reduce(mul, map(self._word, term)) for term in self.terms(args)]
            return reduce(add, products)
        return spelled(op, list(map(self._word, args)))


def free(name: str, taken: Collection[str]) -> str:
    """Returns ``name``, or the first of name_2, name_3, ... that is not taken."""
    numbered = (f"{name}_{k}" for k in count(2))
    return next(found for found in chain([name], numbered) if found not in taken)
