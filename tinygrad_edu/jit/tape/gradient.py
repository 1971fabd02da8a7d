"""The tape of a trace and of its derivatives.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.jit.tracing import record_trace
    >>> trace, y = record_trace(lambda x: x * x, ["x"], lambda values: (values, {}))
    >>> print(value_and_gradient(trace, trace.operand(y), ["x"]).text())
    inputs  x
    t1 = x * x
    dx = 0 + x + x
    return t1, dx

The gradient is more instructions of the same kind: reverse accumulation over the trace, with the
rules of the table run on registers.  The sums are added up in the order of the eager sweep, so that
their bits are the same, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ...engine.primitives import TABLE, lookup
from .lowering import Lowering
from .operations import (
    DETACH,
    DOT,
    EQUAL,
    EXTRA,
    LESS,
    LESS_EQUAL,
    SOURCES,
    SUMPROD,
    TAKE,
    WHEN,
    LabeledNodes,
)
from .tape import Register, Tape, free

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
        self, trace: LabeledNodes, inputs: Sequence[int | None] | None = None, keep_detached: bool = False
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


def sources(trace: LabeledNodes) -> list[int]:
    """The nodes of a trace that are read when it runs: arguments, parameters and draws, in the
    order of the trace."""
    return [i for i, (op, _) in enumerate(trace.nodes) if op in SOURCES]


def _names(trace: LabeledNodes, nodes: Sequence[int | None]) -> list[str]:
    """The names of what a trace reads, each once."""
    names: dict[str, None] = {}
    for node in nodes:
        names[free("unused" if node is None else trace.label(node), names)] = None
    return list(names)


def value(trace: LabeledNodes, outputs: Sequence[Any]) -> Tape:
    """The tape of what a function returns."""
    graph = Graph(trace)
    return graph.tape([graph.register(ref) for ref in outputs])


def value_and_gradient(
    trace: LabeledNodes, root: Any, wanted: Sequence[int | str], keep_detached: bool = False
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
