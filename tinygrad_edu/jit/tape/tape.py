"""The tape: a program of numbered registers, one instruction a line, as flat arrays.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.jit.trace import record_trace
    >>> w = Value(0.5, "w")
    >>> trace, y = record_trace(lambda x: math.tanh(w * x + 1.0), ["x"], lambda values: (values, {}))
    >>> tape = value_and_gradient(trace, y._index, ["x", "w"])
    >>> print(tape.text())
    inputs  x, w
    t1 = 1 + w * x
    t2 = tanh(t1)
    t3 = square(1 / cosh(t1))
    dx = 0 + w * t3
    dw = 0 + x * t3
    return t2, dx, dw

`Lowering` takes a trace apart into instructions.  Registers are assigned once (what compilers call
SSA), and every instruction is a row of the table, or one of the few below; equal instructions are
one, those with constant operands are carried out, and what no output needs is left out, except that
every index is looked at.  All that is done only where every bit of the result stays as it is in the
eager engine.  (A row of one's own that nothing needs is left out, although it might raise.)

The gradient is more instructions of the same kind: reverse accumulation over the trace, with the
rules of the table run on registers.  The sums are added up in the order of the eager sweep, so that
their bits are the same, too.

Chains of multiplications and additions, nine nodes in ten of a neural network, become one
instruction each: ``dot``, with operands (start, x, y, x, y, ...), is start + x * y + x * y + ...,
every product rounded, from the left.
"""

from __future__ import annotations

import math as std
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

from ... import math
from ...engine.primitives import TABLE, Operand, Primitive, lookup
from ...symbolic.formulas import Name, as_name
from ..trace import DETACH, LESS, LESS_EQUAL, SUMPROD, TAKE, Trace, spelled
from ..trace import SOURCES as SOURCES  # for those who read tapes

Register = int
DOT = "dot"  # (start, x, y, x, y, ...): start + x*y + x*y + ..., from the left
EQUAL = "equal"  # (x, y): 1.0 or 0.0
WHEN = "when"  # (index, i, x): x if index is i, else 0.0


def take_at(index: float, *entries: float) -> float:
    """What the instruction ``take`` does; raises IndexError as `math.take`."""
    return math.take(entries, index)  # type: ignore[no-any-return]


def dot(start: float, *factors: float) -> float:
    """What the instruction ``dot`` does."""
    for x, y in zip(factors[::2], factors[1::2]):
        start += x * y
    return start


# What is no row of the table, on floats.
EXTRA: dict[str, Callable[..., float]] = {
    LESS: lambda x, y: 1.0 if x < y else 0.0,
    LESS_EQUAL: lambda x, y: 1.0 if x <= y else 0.0,
    EQUAL: lambda x, y: 1.0 if x == y else 0.0,
    WHEN: lambda index, i, x: x if index == i else 0.0,
    TAKE: take_at,
    DOT: dot,
}


def forward(op: str) -> Callable[..., float]:
    """An operation on floats."""
    return EXTRA.get(op) or lookup(op).forward


def _count(op: str, args: Sequence[Any]) -> int:
    """How much there is in an instruction."""
    return len(args) - 1 if op in (DOT, TAKE) else 1


@dataclass
class Tape:
    """A straight-line program.  Registers are numbered: first the inputs, then the constants, then
    one for each instruction.

    names      of the inputs
    constants  numbers
    table      the operations that occur, by name
    ops        for each instruction its operation, as a position in ``table``
    starts     for each instruction where its operands begin in ``operands``; and their end
    operands   registers
    outputs    registers
    nodes      how many nodes of a graph the instructions stand for; every entry of a take counts as
               one
    labels     names of other registers, for people
    """

    names: list[str]
    constants: array[float]
    table: list[str]
    ops: array[int]
    starts: array[int]
    operands: array[int]
    outputs: array[int]
    nodes: int
    labels: dict[Register, str] = field(default_factory=dict)
    _program: list[tuple[Any, Any]] | None = field(default=None, repr=False, compare=False)
    _called: list[str] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ops)

    def __repr__(self) -> str:
        return (
            f"<Tape of {len(self)} instructions for {self.nodes} nodes: {len(self.names)} inputs, "
            f"{len(self.outputs)} outputs, {self.bytes} bytes>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_program": None, "_called": None}

    @property
    def bytes(self) -> int:
        """The size of the arrays, and of the registers, which hold 8 bytes each."""
        arrays = (self.constants, self.ops, self.starts, self.operands, self.outputs)
        return sum(len(a) * a.itemsize for a in arrays) + 8 * (
            len(self.names) + len(self.constants) + len(self)
        )

    @property
    def operations(self) -> int:
        """How many floating-point operations one run takes, each function of the table, and each
        entry of a take, as one."""
        return sum(_count(op, args) for op, args in self.instructions())

    @property
    def first(self) -> Register:
        """The register of the first instruction."""
        return len(self.names) + len(self.constants)

    def instructions(self) -> Iterable[tuple[str, array[int]]]:
        """The operation and the operands of every instruction, in order."""
        starts, operands, table = self.starts, self.operands, self.table
        return ((table[op], operands[starts[i]:starts[i + 1]]) for i, op in enumerate(self.ops))

    def run(self, inputs: Sequence[float]) -> list[float]:
        """The outputs for these inputs, computed instruction by instruction on floats: the same
        bits as compiled, slower."""
        if self._program is None:
            self._program = [
                (None if op == DOT else forward(op), tuple(args))
                for op, args in self.instructions()
            ]
        registers = [*inputs, *self.constants]
        append = registers.append
        for f, args in self._program:
            if f is None:
                total = registers[args[0]]
                factors = iter(args)
                next(factors)
                for i in factors:
                    total += registers[i] * registers[next(factors)]
                append(total)
            else:
                append(f(*[registers[i] for i in args]))
        return [registers[i] for i in self.outputs]

    # ---- text

    def name_of(self, register: Register) -> Name:
        """How a register is called in `text`: no two alike."""
        if self._called is None:
            called = [*self.names, *[as_name(x).text for x in self.constants]]
            taken = {*called}
            for i in range(len(self)):
                called.append(free(self.labels.get(self.first + i) or f"t{i + 1}", taken))
                taken.add(called[-1])
            self._called = called
        if len(self.names) <= register < self.first:
            return as_name(self.constants[register - len(self.names)])
        return Name(self._called[register])

    def text(self, most: int = 10_000) -> str:
        """The program for people, one instruction a line, at ``most`` so many."""
        lines = [f"inputs  {', '.join(str(self._word(i)) for i in range(len(self.names)))}"]
        for i, (op, args) in enumerate(self.instructions()):
            if i == most:
                lines.append(f"... {len(self) - most} more")
                break
            lines.append(f"{self._word(self.first + i)} = {self._spelled(op, args)}")
        return "\n".join(
            [*lines, f"return {', '.join(str(self._word(register)) for register in self.outputs)}"]
        )

    def _word(self, register: Register) -> Name:
        """A name that can stand in an expression: a label that is more than a word in brackets."""
        name, is_number = self.name_of(register), len(self.names) <= register < self.first
        return name if is_number or not set(name.text) & set(" +-*/%<>=,") else Name(f"({name})")

    def _spelled(self, op: str, args: Sequence[int]) -> Name:
        names = [self._word(register) for register in args]
        if op == DOT:
            numbers = [
                self.constants[i - len(self.names)] if len(self.names) <= i < self.first else None
                for i in args
            ]
            terms = [
                names[i] if numbers[i + 1] == 1.0 else names[i] * names[i + 1]
                for i in range(1, len(args), 2)
            ]
            nothing = numbers[0] == 0.0 and std.copysign(1.0, numbers[0]) < 0
            return sum(terms[1:], terms[0]) if nothing else sum(terms, names[0])
        if op == EQUAL:
            return Name(f"{names[0]} == {names[1]}", 5)
        if op == WHEN:
            return Name(f"{names[2]} if {names[0]} == {names[1]} else 0", 1)
        return spelled(op, names)


def free(name: str, taken: Collection[str]) -> str:
    """That name, or the first of name_2, name_3, ... that is not taken."""
    return next(found for k in count(1) if (found := f"{name}_{k}" if k > 1 else name) not in taken)


# ---- lowering ------------------------------------------------------------------------------------


class Reg(Operand):
    """A register: the language in which rules of the table become instructions."""

    __slots__ = ("lowering", "register")

    def __init__(self, lowering: Lowering, register: Register) -> None:
        self.lowering, self.register = lowering, register

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Reg:
        """An instruction, and the register of its result."""
        lowering: Lowering = next(arg.lowering for arg in args if arg.__class__ is Reg)
        return Reg(
            lowering, lowering.emit(primitive.name, tuple([lowering.register(arg) for arg in args]))
        )

    def compare(self, symbol: str, y: Any) -> Reg:
        """A condition, 1.0 or 0.0."""
        left, right = self.register, self.lowering.register(y)
        if symbol in (">", ">="):
            left, right = right, left
        return Reg(
            self.lowering,
            self.lowering.emit(LESS if symbol in ("<", ">") else LESS_EQUAL, (left, right)),
        )

    def __bool__(self) -> bool:
        raise TypeError("a rule asks for the truth of a register; it must choose by where()")


class Lowering:
    """Instructions in the making.  Registers are numbered as they come, inputs first; `tape` puts
    them in order."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.ops: list[str] = ["input"] * len(names)
        self.args: list[tuple[Register, ...]] = [()] * len(names)
        self.numbers: dict[Register, float] = {}
        self._known: dict[Any, Register] = {}
        self._takes: list[Register] = []
        self.zero, self.one, self.nothing = (
            self.constant(0.0),
            self.constant(1.0),
            self.constant(-0.0),
        )

    def constant(self, x: float) -> Register:
        """The register of a number.  0.0 and -0.0 are two; nan is one."""
        key = (x, std.copysign(1.0, x)) if x == x else ("nan", 1.0)
        if key not in self._known:
            self._known[key] = len(self.ops)
            self.numbers[len(self.ops)] = x
            self.ops.append("constant")
            self.args.append(())
        return self._known[key]

    def register(self, x: Any) -> Register:
        """The register of an operand in a rule: a register has one, a number becomes a constant."""
        return x.register if x.__class__ is Reg else self.constant(float(x))

    def emit(self, op: str, args: tuple[Register, ...]) -> Register:
        """The register of an instruction's result; an earlier one if that is the same number, bit
        for bit."""
        if (found := self._known.get((op, args))) is not None:
            return found
        if (shortcut := self._shortcut(op, args)) is None:
            shortcut = len(self.ops)
            self.ops.append(op)
            self.args.append(args)
            if op == TAKE:
                self._takes.append(shortcut)
        self._known[op, args] = shortcut
        if op in ("add", "mul"):
            self._known[op, args[::-1]] = shortcut
        return shortcut

    def _shortcut(self, op: str, args: tuple[Register, ...]) -> Register | None:
        """What is known of an instruction's result without carrying it out at run time."""
        numbers = self.numbers
        if op == TAKE:
            i = numbers.get(args[0], -1.0)
            return args[1 + int(i)] if i in range(len(args) - 1) else None
        if op == DETACH:
            return args[0] if args[0] in numbers else None
        if all(map(numbers.__contains__, args)):
            return self.constant(float(forward(op)(*[numbers[arg] for arg in args])))
        if op == "mul":
            return (
                args[1]
                if args[0] == self.one
                else args[0]
                if args[1] == self.one
                else self._negated(args)
            )
        if op == "add":  # -0.0 is the neutral element; 0.0 is not, since 0.0 + -0.0 is 0.0
            return (
                args[1] if args[0] == self.nothing else args[0] if args[1] == self.nothing else None
            )
        if op == "identity":
            return args[0]
        if op == "neg" and self.ops[args[0]] == "neg":
            return self.args[args[0]][0]
        if op == "where":
            if args[0] in numbers:
                return args[1] if numbers[args[0]] else args[2]
            return args[1] if args[1] == args[2] else None
        return None

    def _negated(self, args: tuple[Register, ...]) -> Register | None:
        for x, y in (args, args[::-1]):
            if self.numbers.get(x) == -1.0:
                return self.emit("neg", (y,))
        return None

    def sum_of_products(self, start: Register, factors: Sequence[Register]) -> Register:
        """start + x * y + x * y + ..., from the left."""
        if len(factors) == 2:
            product = self.emit("mul", (factors[0], factors[1]))
            return self.emit("add", (start, product))
        return self.emit(DOT, (start, *factors)) if factors else start

    def partial(self, row: Primitive, i: int, args: Sequence[Register], out: Register) -> Register:
        """The register of the local derivative, by the rule of the table and what is meant where
        that gives inf or nan."""
        operands = [
            Reg(self, arg) if arg not in self.numbers else self.numbers[arg] for arg in args
        ]
        o = Reg(self, out)
        if not any(operand.__class__ is Reg for operand in operands):
            operands = [Reg(self, arg) for arg in args]
        # Numbers among the operands could raise where IEEE 754 has inf or nan: they go in as
        # registers, too.
        operands = [
            operand if operand.__class__ is Reg else Reg(self, arg)
            for operand, arg in zip(operands, args)
        ]
        d = row.partials[i](*operands, o)
        if not row.limits:
            return self.register(d)
        d = Reg(self, self.register(d))
        finite = Reg(
            self, self.emit(LESS, (self.emit("abs", (d.register,)), self.constant(std.inf)))
        )
        return self.register(math.where(finite, d, row.limits[i](*operands, o, d)))

    # ---- from registers to a tape

    def tape(self, outputs: Sequence[Register], labels: dict[Register, str] | None = None) -> Tape:
        """The program that computes ``outputs``, and nothing that they do not need."""
        ops, args = self.ops, self.args
        uses = self._uses(outputs)
        if takes := self._unseen(uses):
            uses = self._uses([*outputs, *takes])
        dots, absorbed = self._chains(uses)
        numbers = [register for register in self.numbers if uses[register]]
        place = [-1] * len(ops)
        for i, register in enumerate([*range(len(self.names)), *numbers]):
            place[register] = i
        first = len(self.names) + len(numbers)
        table: dict[str, int] = {}
        codes, starts, operands, nodes = array("H"), array("I", [0]), array("I"), 0
        for register in range(len(self.names), len(ops)):
            if not uses[register] or register in absorbed or register in self.numbers:
                continue
            op, arguments = (
                (DOT, dots[register]) if register in dots else (ops[register], args[register])
            )
            place[register] = first + len(codes)
            codes.append(table.setdefault(op, len(table)))
            operands.extend([place[argument] for argument in arguments])
            starts.append(len(operands))
            nodes += _count(op, arguments)
        named = {
            place[register]: label
            for register, label in (labels or {}).items()
            if place[register] >= 0
        }
        constants = array("d", [self.numbers[register] for register in numbers])
        return Tape(self.names, constants, list(table), codes, starts, operands,
                    array("I", [place[register] for register in outputs]), nodes, named)

    def _uses(self, outputs: Sequence[Register]) -> list[int]:
        """How often each register is used by what the outputs need."""
        uses = [0] * len(self.ops)
        for register in outputs:
            uses[register] += 2  # an output must keep its register
        for register in range(len(self.ops) - 1, -1, -1):
            if uses[register]:
                for arg in self.args[register]:
                    uses[arg] += 1
        return uses

    def _unseen(self, uses: list[int]) -> list[Register]:
        """Takes that no output needs, one for each index and number of entries: they raise for an
        index that is wrong."""
        takes = {(self.args[register][0], len(self.args[register])): register
                 for register in sorted(self._takes, key=lambda register: uses[register] > 0)}
        return [register for register in takes.values() if not uses[register]]

    def _chains(
        self, uses: list[int]
    ) -> tuple[dict[Register, tuple[Register, ...]], set[Register]]:
        """The chains of multiplications and additions: the operands of ``dot`` by the last
        addition's register.

        What is absorbed is used by the chain alone, and has no register any more.
        """
        ops, args = self.ops, self.args
        chains: dict[Register, list[Register]] = {}
        absorbed: set[Register] = set()
        for register in range(len(self.names), len(ops)):
            if not uses[register] or ops[register] not in ("add", DOT):
                continue
            if ops[register] == DOT:
                start, factors = args[register][0], list(args[register][1:])
                if ops[start] == "mul" and uses[start] == 1 and start not in absorbed:
                    absorbed.add(start)
                    start, factors = self._used(self.nothing, uses), [*args[start], *factors]
            else:
                start, term = args[register]
                if start not in chains and (term in chains or (ops[start] == "mul" != ops[term])):
                    start, term = term, start
                if ops[term] == "mul" and uses[term] == 1 and term != start:
                    factors = [*args[term]]
                    absorbed.add(term)
                    if ops[start] == "mul" and uses[start] == 1:
                        absorbed.add(start)
                        start, factors = self._used(self.nothing, uses), [*args[start], *factors]
                elif start in chains and uses[start] == 1 and term != start:
                    factors = [term, self._used(self.one, uses)]
                else:
                    continue
            if start in chains and uses[start] == 1 and ops[register] != DOT:
                absorbed.add(start)
                chain = chains.pop(start)
                chain += factors
            else:
                chain = [start, *factors]
            chains[register] = chain
        return {register: tuple(chain) for register, chain in chains.items()}, absorbed


    @staticmethod
    def _used(number: Register, uses: list[int]) -> Register:
        uses[number] += 1
        return number


MOST_TERMS = 32  # factors that an adjoint collects before they are added up


class _Adjoints:
    """For each node the factors of what it has received, whether it is always reached, and if not,
    under which conditions."""

    def __init__(self, lowering: Lowering, needed: bytearray) -> None:
        self._lowering = lowering
        self._begun: dict[int, Register] = {}  # sums so far
        self.needed = needed  # whether it depends on what is wanted
        self.terms: list[Any] = [None] * len(needed)
        self.free = bytearray(len(needed))
        self.conditions: dict[int, set[Register]] = {}

    def settle(self, node: int, is_source: bool) -> None:
        """Adds up what a node has received so far: a sum from far apart would find none of its
        terms in the cache."""
        self._begun[node] = self.sum(
            node, self._lowering.zero if is_source else self._lowering.nothing
        )
        self.terms[node] = []

    def sum(self, node: int, start: Register) -> Register:
        """The register of all that a node has received."""
        return self._lowering.sum_of_products(self._begun.get(node, start), self.terms[node] or [])


class Graph:
    """A trace being lowered: its nodes' registers, and their adjoints."""

    def __init__(
        self, trace: Trace, inputs: Sequence[int | None] | None = None, keep_detached: bool = False
    ) -> None:
        self.trace = trace
        self._keep_detached = keep_detached  # as an instruction, so that `tangents` sees it
        nodes = sources(trace) if inputs is None else inputs
        self.lowering = lowering = Lowering(_names(trace, nodes))
        place = {node: register for register, node in enumerate(nodes) if node is not None}
        self.registers: list[Register] = []
        for node, (op, args) in enumerate(trace.nodes):
            self.registers.append(place.get(node, -1) if op in SOURCES else  # -1: nothing uses it
                                  self._lowered(op, [self.register(arg) for arg in args], lowering))

    def _lowered(self, op: str, args: list[Register], lowering: Lowering) -> Register:
        if op == SUMPROD:
            first = lowering.emit("mul", (args[0], args[1]))
            return lowering.sum_of_products(first, args[2:])
        return (
            args[0] if op == DETACH and not self._keep_detached else lowering.emit(op, tuple(args))
        )

    def tape(
        self, outputs: Sequence[Register], labels: Mapping[Register, str] = MappingProxyType({})
    ) -> Tape:
        """The program that computes these registers; results that the function gave a label have it
        here, too."""
        given = {self.registers[node]: self.trace.label(node) for node in self.trace.labels
                 if self.trace.nodes[node][0] not in SOURCES} | {**labels}
        return self.lowering.tape(outputs, {register: label for register, label in given.items()
                                            if register not in self.lowering.numbers})

    def register(self, ref: Any) -> Register:
        """The register of a node or of a number."""
        return self.lowering.constant(ref) if ref.__class__ is float else self.registers[ref]

    def gradient(
        self, root: Any, wanted: Sequence[int], seed: Register | None = None
    ) -> list[Register]:
        """The registers of d(root)/d(node) for the ``wanted`` nodes: reverse accumulation.

        In the eager graph, the branch of `where` that was not taken, and the entries that `take`
        passes over, are no operands, and nothing flows to them, not even 0 * inf.  Here every node
        has a guard for that: the conditions, one of which must hold for it to be reached from the
        root; None: it always is.
        """
        lowering, nodes = self.lowering, self.trace.nodes
        if root.__class__ is float:
            return [lowering.zero] * len(wanted)
        needed = self._depending(wanted)
        adjoints = _Adjoints(lowering, needed)
        terms = adjoints.terms
        self._deliver(root, (lowering.one if seed is None else seed, lowering.one), None, adjoints)
        for node in range(len(nodes) - 1, -1, -1):
            if terms[node] is None or not needed[node]:
                continue
            op, args = nodes[node]
            if op in (*SOURCES, DETACH):
                continue
            adjoint = adjoints.sum(node, lowering.nothing)
            guard = None if adjoints.free[node] else self._any(adjoints.conditions[node])
            if op == SUMPROD and guard is None:
                self._deliver_products(args, adjoint, needed, adjoints)
                continue
            for arg, partial, taken in self._edges(node, op, args, needed, adjoint):
                if taken is None and guard is not None:
                    partial = (
                        lowering.emit(
                            "where", (guard, lowering.emit("mul", partial), lowering.zero)
                        ),
                        lowering.one,
                    )
                self._deliver(arg, partial, self._both(guard, taken), adjoints)
        return [adjoints.sum(node, lowering.zero) for node in wanted]

    def _deliver_products(
        self, args: tuple[Any, ...], adjoint: Register, needed: bytearray, adjoints: _Adjoints
    ) -> None:
        """What the operands of a sum of products receive; last ones first, as in the eager sweep,
        which comes from behind."""
        terms, free, registers, nodes = (
            adjoints.terms,
            adjoints.free,
            self.registers,
            self.trace.nodes,
        )
        places = [
            registers[arg] if arg.__class__ is int else self.lowering.constant(arg) for arg in args
        ]
        for i in range(len(args) - 2, -1, -2):
            for k, other in ((i, i + 1), (i + 1, i)):
                arg = args[k]
                if arg.__class__ is not int or not needed[arg]:
                    continue
                if nodes[arg][0] == TAKE:
                    self._deliver(arg, (places[other], adjoint), None, adjoints)
                    continue
                free[arg] = 1
                if (found := terms[arg]) is None:
                    terms[arg] = [places[other], adjoint]
                else:
                    found += (places[other], adjoint)
                    if len(found) >= MOST_TERMS:
                        adjoints.settle(arg, nodes[arg][0] in SOURCES)

    def _deliver(
        self,
        node: int,
        term: tuple[Register, Register],
        guard: Register | None,
        adjoints: _Adjoints,
    ) -> None:
        """Adds a term to a node's adjoint.  What goes to `take` goes on to its entries at once:
        eagerly it is one of them."""
        op, args = self.trace.nodes[node]
        if op == TAKE:
            emit, index, product = (
                self.lowering.emit,
                self.register(args[0]),
                self.lowering.emit("mul", term),
            )
            for i, entry in enumerate(args[1:]):
                if entry.__class__ is int and adjoints.needed[entry]:
                    position = self.lowering.constant(float(i))
                    chosen = (
                        None
                        if self.trace.nodes[entry][0] in SOURCES
                        else emit(EQUAL, (index, position))
                    )
                    self._deliver(
                        entry,
                        (emit(WHEN, (index, position, product)), self.lowering.one),
                        None if chosen is None else self._both(guard, chosen),
                        adjoints,
                    )
            return
        if adjoints.terms[node] is None:
            adjoints.terms[node] = []
        adjoints.terms[node] += term
        if len(adjoints.terms[node]) >= MOST_TERMS:
            adjoints.settle(node, op in SOURCES)
        if guard is None:
            adjoints.free[node] = 1
        else:
            adjoints.conditions.setdefault(node, set()).add(guard)

    def _truth(self, condition: Register) -> Register:
        """A condition as 1.0 or 0.0, so that conditions can be multiplied; any number but 0 holds,
        nan too."""
        lowering = self.lowering
        if lowering.ops[condition] in (LESS, LESS_EQUAL, EQUAL):
            return condition
        return lowering.emit("where", (condition, lowering.one, lowering.zero))

    def _both(self, x: Register | None, y: Register | None) -> Register | None:
        return x if y is None else y if x is None else self.lowering.emit("mul", (x, y))

    def _any(self, conditions: set[Register]) -> Register:
        first, *others = sorted(conditions)
        for other in others:
            first = self.lowering.emit("maximum", (first, other))
        return first

    def _edges(self, node: int, op: str, args: tuple[Any, ...], needed: bytearray, adjoint: Register
               ) -> Iterable[tuple[int, tuple[Register, Register], Register | None]]:
        """For each operand that matters: the two factors of what it receives, and under which
        condition it is an operand."""
        lowering = self.lowering

        def matters(arg: Any) -> bool:
            return arg.__class__ is int and bool(needed[arg])

        if op == SUMPROD:
            # as the eager sweep, which comes from behind
            for x, y in reversed(list(zip(args[::2], args[1::2]))):
                if matters(x):
                    yield x, (self.register(y), adjoint), None
                if matters(y):
                    yield y, (self.register(x), adjoint), None
        elif op == "where":
            condition = self.register(args[0])
            if condition in lowering.numbers:
                if matters(arg := args[1 if lowering.numbers[condition] else 2]):
                    yield arg, (adjoint, lowering.one), None
                return
            for arg, taken in (
                (args[1], self._truth(condition)),
                (args[2], lowering.emit(EQUAL, (condition, lowering.zero))),
            ):
                if matters(arg):
                    yield (
                        arg,
                        (lowering.emit("where", (taken, adjoint, lowering.zero)), lowering.one),
                        taken,
                    )
        elif op not in EXTRA:
            row = TABLE[op]
            registers = [self.register(arg) for arg in args]
            for i, arg in enumerate(args):
                if matters(arg):
                    yield (
                        arg,
                        (lowering.partial(row, i, registers, self.registers[node]), adjoint),
                        None,
                    )

    def _depending(self, wanted: Sequence[int]) -> bytearray:
        """For each node whether it depends on one of the wanted ones by what can be differentiated.
        """
        depends = bytearray(len(self.trace.nodes))
        for node in wanted:
            depends[node] = 1
        for node, (op, args) in enumerate(self.trace.nodes):
            if op in (*SOURCES, DETACH, LESS, LESS_EQUAL):
                continue
            for arg in args[1:] if op in (TAKE, "where") else args:
                if arg.__class__ is int and depends[arg]:
                    depends[node] = 1
                    break
        return depends


def sources(trace: Trace) -> list[int]:
    """The nodes of a trace that are read when it runs: arguments, parameters and draws, in the
    order of the trace."""
    return [i for i, (op, _) in enumerate(trace.nodes) if op in SOURCES]


def _names(trace: Trace, nodes: Sequence[int | None]) -> list[str]:
    """The names of what a trace reads, each once."""
    names: dict[str, None] = {}
    for node in nodes:
        names[free("unused" if node is None else trace.label(node), names)] = None
    return list(names)


def value(trace: Trace, outputs: Sequence[Any]) -> Tape:
    """The tape of what a function returns."""
    graph = Graph(trace)
    return graph.tape([graph.register(ref) for ref in outputs])


def value_and_gradient(
    trace: Trace, root: Any, wanted: Sequence[int | str], keep_detached: bool = False
) -> Tape:
    """The tape of a scalar ``root`` and of its derivatives by ``wanted``: sources of the trace, or
    their names.

    ``keep_detached``: with "detach" instructions, for `tangents` alone, which removes them.
    """
    graph = Graph(trace, keep_detached=keep_detached)
    by_name = dict(zip(graph.lowering.names, sources(trace)))
    nodes = [by_name[node] if isinstance(node, str) else node for node in wanted]
    registers = graph.gradient(root, nodes)
    found = Counter(registers)
    labels = {
        register: f"d{graph.lowering.names[graph.registers[node]]}"
        for register, node in zip(registers, nodes)
        if found[register] == 1
    }
    return graph.tape([graph.register(root), *registers], labels)


def tangents(tape: Tape, wanted: Sequence[Register]) -> Tape:
    """The tape of J t for the outputs of ``tape``: forward accumulation.

    Its inputs are those of ``tape`` and a tangent for each of the ``wanted`` inputs.
    """
    moving = {register: len(tape.names) + i for i, register in enumerate(wanted)}
    lowering = Lowering([*tape.names, *[f"d{tape.names[register]}" for register in wanted]])
    place: list[Register] = [*range(len(tape.names)), *map(lowering.constant, tape.constants)]
    slopes: dict[Register, Register] = dict(moving)  # by the registers of the old tape
    for i, (op, args) in enumerate(tape.instructions()):
        here, operands = tape.first + i, [place[arg] for arg in args]
        if op == DETACH:  # the same number, which does not move
            place.append(operands[0])
            continue
        out = lowering.emit(op, tuple(operands))
        place.append(out)
        slope = {arg: slopes[arg] for arg in args if arg in slopes}
        if not slope or op in (LESS, LESS_EQUAL, EQUAL):
            continue
        if op in (TAKE, WHEN, "where"):
            fixed = {TAKE: 1, WHEN: 2, "where": 1}[op]
            if moved := [slopes.get(arg, lowering.zero) for arg in args[fixed:]]:
                slopes[here] = lowering.emit(op, (*operands[:fixed], *moved))
            continue
        factors: list[Register] = []
        if op == DOT:
            factors += [slopes[args[0]], lowering.one] if args[0] in slopes else []
            for k in range(1, len(args), 2):
                factors += [slopes[args[k]], operands[k + 1]] if args[k] in slopes else []
                factors += [slopes[args[k + 1]], operands[k]] if args[k + 1] in slopes else []
        else:
            row = lookup(op)
            for k, arg in enumerate(args):
                if arg in slopes:
                    factors += [lowering.partial(row, k, operands, out), slopes[arg]]
        slopes[here] = lowering.sum_of_products(lowering.nothing, factors)
    return lowering.tape([slopes.get(register, lowering.zero) for register in tape.outputs])
