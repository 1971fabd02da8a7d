"""Lowering: instructions are collected and simplified, and become a tape.

    >>> lowering = Lowering(["x", "y"])
    >>> product = lowering.emit("mul", (0, 1))
    >>> print(lowering.tape([lowering.emit("add", (product, lowering.constant(1.0)))]).text())
    inputs  x, y
    t1 = 1 + x * y
    return t1

Equal instructions are merged, instructions with constant operands are computed, and instructions
that no output needs are dropped.  Every bit of the results stays as in the eager engine.  A `take`
is kept even if no output needs it, because it raises IndexError for a wrong index; an unneeded
primitive that you define is dropped, although it might raise.

Chains of multiplications and additions, nine in ten nodes of a neural network, become one ``dot``
instruction each: start + x * y + x * y + ..., with every product rounded, from the left.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf, isnan, nan
from typing import Any

from ...engine.primitive import Operand, Primitive
from ...engine.table import on_floats, where
from .operations import DETACH, DOT, TAKE, forward, ordered
from .tape import Register, Tape


@dataclass(slots=True, eq=False)
class Reg(Operand):
    """A register: the language in which rules of the table become instructions."""

    lowering: Lowering
    register: Register

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Reg:
        """Emits an instruction and returns its result."""
        lowering: Lowering = next(arg.lowering for arg in args if arg.__class__ is Reg)
        registers = [lowering.register(arg) for arg in args]
        return Reg(lowering, lowering.emit(primitive.name, tuple(registers)))

    def compare(self, symbol: str, y: Any) -> Reg:
        """Emits a comparison, a condition that is 1.0 or 0.0."""
        op, operands = ordered(symbol, self.register, self.lowering.register(y))
        return Reg(self.lowering, self.lowering.emit(op, operands))

    def __bool__(self) -> bool:
        raise TypeError("a rule must not ask for the truth of a register; use where()")


class Lowering:
    """A program under construction.

    Registers are numbered in the order of their creation, inputs first; `tape` renumbers them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.ops: list[str] = ["input"] * len(names)
        self.args: list[tuple[Register, ...]] = [()] * len(names)
        self.numbers: dict[Register, float] = {}
        self._known: dict[Any, Register] = {}
        self._takes: list[Register] = []
        self.zero = self.constant(0.0)
        self.one = self.constant(1.0)
        self.negative_zero = self.constant(-0.0)

    def constant(self, x: float) -> Register:
        """Returns the register of a number; 0.0 and -0.0 have different ones, all nans the same."""
        key = repr(x)
        if key not in self._known:
            self._known[key] = len(self.ops)
            self.numbers[len(self.ops)] = x
            self.ops.append("constant")
            self.args.append(())
        return self._known[key]

    def register(self, x: Any) -> Register:
        """Returns the register of an operand in a rule; a number becomes a constant."""
        return x.register if x.__class__ is Reg else self.constant(float(x))

    def emit(self, op: str, args: tuple[Register, ...]) -> Register:
        """Returns the register of an instruction's result.

        It is an earlier register if that one holds the same number, bit for bit.
        """
        if (found := self._known.get((op, args))) is not None:
            return found
        if (folded := self._fold(op, args)) is None:
            folded = len(self.ops)
            self.ops.append(op)
            self.args.append(args)
            if op == TAKE:
                self._takes.append(folded)
        self._known[op, args] = folded
        if op in ("add", "mul"):
            self._known[op, args[::-1]] = folded
        return folded

    def _fold(self, op: str, args: tuple[Register, ...]) -> Register | None:
        """Returns the register or constant that equals the result; None if there is none."""
        numbers = self.numbers
        if op == TAKE:
            i = numbers.get(args[0], -1.0)
            return args[1 + int(i)] if i in range(len(args) - 1) else None
        if op == DETACH:
            return args[0] if args[0] in numbers else None
        if all(map(numbers.__contains__, args)):
            return self.constant(float(forward(op)(*[numbers[arg] for arg in args])))
        if op in ("add", "mul"):  # 0.0 is not neutral, since 0.0 + -0.0 is 0.0
            neutral = self.one if op == "mul" else self.negative_zero
            for x, y in (args, args[::-1]):
                if x == neutral:
                    return y
                if op == "mul" and numbers.get(x) == -1.0:
                    return self.emit("neg", (y,))
            return None
        if op == "identity":
            return args[0]
        if op == "neg" and self.ops[args[0]] == "neg":
            return self.args[args[0]][0]
        if op == "where":
            if args[0] in numbers:
                return args[1] if numbers[args[0]] else args[2]
            return args[1] if args[1] == args[2] else None
        return None

    def sum_of_products(self, start: Register, factors: Sequence[Register]) -> Register:
        """Returns the register of start + x * y + x * y + ..., added from the left."""
        if len(factors) == 2:
            product = self.emit("mul", (factors[0], factors[1]))
            return self.emit("add", (start, product))
        return self.emit(DOT, (start, *factors)) if factors else start

    def partial(self, row: Primitive, i: int, args: Sequence[Register], out: Register) -> Register:
        """Returns the register of a local derivative.

        It is given by the rule of the table, or by the row's limit where the rule gives inf or nan.
        """
        # Python raises where IEEE 754 gives inf or nan, so constants are registers for rules too.
        operands = [Reg(self, arg) for arg in (*args, out)]
        d = self.register(row.partials[i](*operands))
        if row.piece is not None and not is_nan_at_nan(row):  # see `Primitive.piece`
            d = self.register(where(operands[-1] <= operands[-1], Reg(self, d), nan))
        if not row.limits:
            return d
        partial = Reg(self, d)
        finite = abs(partial) < inf
        return self.register(where(finite, partial, row.limits[i](*operands, partial)))

    # ---- from registers to a tape

    def tape(self, outputs: Sequence[Register], labels: dict[Register, str] | None = None) -> Tape:
        """Returns the tape that computes ``outputs``, without the instructions they do not need."""
        uses = self._uses(outputs)
        if takes := self._required_takes(uses):
            uses = self._uses([*outputs, *takes])
        dots, absorbed = self._chains(uses)
        inputs = range(len(self.names))
        numbers = [register for register in self.numbers if uses[register]]
        kept = [register for register in range(len(inputs), len(self.ops)) if uses[register]
                and register not in absorbed and register not in self.numbers]
        instructions = [(DOT, dots[register]) if register in dots
                        else (self.ops[register], self.args[register]) for register in kept]
        place = {register: i for i, register in enumerate([*inputs, *numbers, *kept])}
        codes = {op: i for i, op in enumerate(dict.fromkeys([op for op, _ in instructions]))}
        return Tape(
            self.names,
            array("d", [self.numbers[register] for register in numbers]),
            list(codes),
            array("H", [codes[op] for op, _ in instructions]),
            array("I", accumulate([len(args) for _, args in instructions], initial=0)),
            array("I", [place[arg] for _, args in instructions for arg in args]),
            array("I", [place[register] for register in outputs]),
            {place[register]: label for register, label in (labels or {}).items()
             if register in place},
        )

    def _uses(self, outputs: Sequence[Register]) -> list[int]:
        """Returns how often each register is used by instructions that the outputs need."""
        uses = [0] * len(self.ops)
        for register in outputs:
            uses[register] += 2  # an output must keep its register
        for register in range(len(self.ops) - 1, -1, -1):
            if uses[register]:
                for arg in self.args[register]:
                    uses[arg] += 1
        return uses

    def _required_takes(self, uses: list[int]) -> list[Register]:
        """Returns takes that no output needs but that raise for a wrong index.

        One is enough for each index and number of entries.
        """
        takes: dict[tuple[Register, int], Register] = {}
        for register in sorted(self._takes, key=lambda register: uses[register] > 0):
            args = self.args[register]
            takes[args[0], len(args)] = register
        return [register for register in takes.values() if not uses[register]]

    def _chains(self, uses: list[int]
                ) -> tuple[dict[Register, tuple[Register, ...]], set[Register]]:
        """Finds chains of multiplications and additions.

        Returns the operands of each ``dot``, by the register of its last addition, and the
        registers that disappear because only a chain uses them.
        """
        ops, args = self.ops, self.args
        chains: dict[Register, list[Register]] = {}
        absorbed: set[Register] = set()

        def absorbable(register: Register) -> tuple[Register, ...]:
            """Returns the factors of a product that nothing else uses."""
            if ops[register] != "mul" or uses[register] != 1:
                return ()
            absorbed.add(register)
            return args[register]

        for register in range(len(self.names), len(ops)):
            if not uses[register] or ops[register] not in ("add", DOT):
                continue
            start, *factors = args[register]
            is_sum = ops[register] == "add"
            if is_sum:
                term = factors[0]
                if start not in chains and (term in chains or (ops[start] == "mul" != ops[term])):
                    start, term = term, start
                factors = [*absorbable(term)]
                if not factors and start in chains and uses[start] == 1 and term != start:
                    factors = [term, self._used(self.one, uses)]
                if not factors:
                    continue
            if first := absorbable(start):
                factors = [*first, *factors]
                start = self._used(self.negative_zero, uses)
            if is_sum and start in chains and uses[start] == 1:
                absorbed.add(start)
                chains[register] = chains.pop(start)
                chains[register] += factors
            else:
                chains[register] = [start, *factors]
        return {register: tuple(chain) for register, chain in chains.items()}, absorbed

    @staticmethod
    def _used(number: Register, uses: list[int]) -> Register:
        uses[number] += 1
        return number


def is_nan_at_nan(row: Primitive) -> bool:
    """Returns whether the rule of a row of one argument gives nan by itself, as ``step(x)`` does.

    The output of a row without a domain is nan only there.
    """
    return row.arity == 1 and row.domain is None and isnan(on_floats(row.partials[0], nan, nan))
