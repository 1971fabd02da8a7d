"""Tapes of a trace: its values, its gradient, and tangents.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.jit.tracing import record_trace
    >>> trace, y = record_trace(lambda x: x * x, ["x"], lambda values: (values, {}))
    >>> print(value_and_gradient(trace, trace.operand(y), ["x"]).text())
    inputs  x
    t1 = x * x
    dx = 0 + x + x
    return t1, dx

The gradient is computed by instructions of the same kind: reverse accumulation over the trace, with
the rules of the table run on registers.  Sums are added in the order of the eager sweep, so their
bits are the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

from ...engine.primitive import lookup
from .lowering import Lowering, Reg
from .operations import (
    CHOICES,
    CONDITIONS,
    DETACH,
    DOT,
    EQUAL,
    GATE,
    IF_EQUAL,
    OPERATIONS,
    PASSING,
    SOURCES,
    SUMPROD,
    TAKE,
    LabeledNodes,
)
from .tape import Register, Tape, free

# A node that may be chosen, and when: a condition, or the index of `take` and its position
Choice = tuple[int, tuple[Register, ...]]
MOST_TERMS = 32  # factors that an adjoint collects before it is summed; keeps them in the cache


class Graph:
    """A trace being lowered: the registers of its nodes."""

    def __init__(self, trace: LabeledNodes, inputs: Sequence[int | None] | None = None,
                 keep_detached: bool = False) -> None:
        """``keep_detached``: keeps "detach" as an instruction, so that `tangents` sees it."""
        self.trace = trace
        nodes = sources(trace) if inputs is None else inputs
        self.lowering = lowering = Lowering(_names(trace, nodes))
        place = {node: register for register, node in enumerate(nodes) if node is not None}
        self.registers: list[Register] = []
        for node, (op, args) in enumerate(trace.nodes):
            operands = () if op in SOURCES else tuple([self.register(arg) for arg in args])
            if op in SOURCES:
                register = place.get(node, -1)  # -1: nothing uses it
            elif op == SUMPROD:
                first = lowering.emit("mul", operands[:2])
                register = lowering.sum_of_products(first, operands[2:])
            elif op == DETACH and not keep_detached:
                register = operands[0]
            else:
                register = lowering.emit("where" if op == GATE else op, operands)
            self.registers.append(register)

    def tape(
        self, outputs: Sequence[Register], labels: Mapping[Register, str] = MappingProxyType({})
    ) -> Tape:
        """Returns the tape that computes these registers; labels of the trace are kept."""
        given = {self.registers[node]: self.trace.label(node) for node in self.trace.labels
                 if self.trace.nodes[node][0] not in SOURCES}
        given.update(labels)
        numbers = self.lowering.numbers
        return self.lowering.tape(outputs, {register: label for register, label in given.items()
                                            if register not in numbers})

    def register(self, ref: Any) -> Register:
        """Returns the register of a node or of a number."""
        return self.lowering.constant(ref) if ref.__class__ is float else self.registers[ref]

    def gradient(self, root: Any, wanted: Sequence[int]) -> list[Register]:
        """Returns the registers of d root / d node for the ``wanted`` nodes, which are sources.

        In the eager graph, the branch that `where` does not take and the entries that `take` does
        not choose are not operands: no gradient flows to them, not even 0 * inf.  Here every node
        has a guard instead, a condition that holds if the root reaches the node; None if the root
        always does.
        """
        lowering = self.lowering
        if root.__class__ is float:
            return [lowering.zero] * len(wanted)
        sweep = _Sweep(self, wanted)
        sweep.deliver(root, lowering.one, lowering.one, None)
        sweep.run()
        return list(map(sweep.adjoint, wanted))


class _Sweep:
    """The sweep backwards over a trace, which collects the adjoints of its nodes."""

    def __init__(self, graph: Graph, wanted: Sequence[int]) -> None:
        self.graph = graph
        self.lowering = graph.lowering
        self.emit = graph.lowering.emit
        self.nodes = graph.trace.nodes
        self.needed = self._depending(wanted)
        # for each node, the factors (x, y, x, y, ...) whose products are summed; None at first
        self.terms: list[Any] = [None] * len(self.nodes)
        self.begun: dict[int, Register] = {}  # sums so far
        self.free = bytearray(len(self.nodes))  # for each node, whether the root always reaches it
        # for the other nodes, the conditions, one of which must hold
        self.conditions: defaultdict[int, set[Register]] = defaultdict(set)
        self.chosen: dict[int, list[Choice]] = {}  # for each `take` and gate, see `_chosen`

    def run(self) -> None:
        """Lets the adjoints flow, from the last node to the first."""
        emit = self.emit
        zero = self.lowering.zero
        one = self.lowering.one
        for node in range(len(self.nodes) - 1, -1, -1):
            op, args = self.nodes[node]
            if self.terms[node] is None or not self.needed[node] or op in SOURCES:
                continue
            adjoint = self.adjoint(node)
            guard = None if self.free[node] else self._any(self.conditions[node])
            for arg, x, y, taken in self._edges(node, op, args, adjoint):
                if taken is None and guard is not None:
                    x, y = emit("where", (guard, emit("mul", (x, y)), zero)), one
                self.deliver(arg, x, y, self._both(guard, taken))

    def adjoint(self, node: int) -> Register:
        """Returns the register of the sum of a node's terms so far."""
        lowering = self.lowering
        is_source = self.nodes[node][0] in SOURCES
        start = self.begun.get(node, lowering.zero if is_source else lowering.negative_zero)
        return lowering.sum_of_products(start, self.terms[node] or [])

    def deliver(self, node: int, x: Register, y: Register, guard: Register | None) -> None:
        """Adds the term x * y to a node's adjoint.

        A term for `take` or a gate goes at once to the nodes among which it chooses, because the
        eager graph has no node for it.
        """
        if self.nodes[node][0] not in PASSING:
            self._add(node, x, y, guard)
            return
        emit = self.emit
        lowering = self.lowering
        term = emit("mul", (x, y))
        for arg, when in self._chosen(node):
            # nothing asks whether a source is reached
            condition = None if self.nodes[arg][0] in SOURCES else self._holds(when)
            if len(when) == 2:
                received = emit(IF_EQUAL, (*when, term))
            else:
                received = emit("where", (*when, term, lowering.zero))
            reached = None if condition is None else self._both(guard, condition)
            self._add(arg, received, lowering.one, reached)

    def _add(self, node: int, x: Register, y: Register, guard: Register | None) -> None:
        if (terms := self.terms[node]) is None:
            self.terms[node] = terms = []
        terms += (x, y)
        if len(terms) >= MOST_TERMS:  # sums them while they are still in the processor's cache
            self.begun[node] = self.adjoint(node)
            self.terms[node] = []
        if guard is None:
            self.free[node] = 1
        else:
            self.conditions[node].add(guard)

    def _chosen(self, node: int) -> list[Choice]:
        """Returns the nodes among which a `take` or a gate chooses, directly or through others."""
        pending = [] if node in self.chosen else [node]
        while pending:
            inner = [arg for arg in self.nodes[pending[-1]][1]
                     if self._passes(arg) and arg not in self.chosen]
            if not inner:
                made = pending.pop()
                self.chosen[made] = self._choices(made)
            pending += inner
        return self.chosen[node]

    def _passes(self, arg: Any) -> bool:
        return self._matters(arg) and self.nodes[arg][0] in PASSING

    def _choices(self, node: int) -> list[Choice]:
        emit = self.emit
        op, (decides, *branches) = self.nodes[node]
        register = self.graph.register(decides)
        entries: list[Choice] = []
        conditions: dict[int, Register] = {}
        for i, arg in enumerate(branches if op == TAKE else branches[::-1]):
            if not self._matters(arg):
                continue
            is_condition = op == GATE and i == 1
            when = (register,) if is_condition else (register, self.lowering.constant(float(i)))
            if op == TAKE and not self._passes(arg):
                entries.append((arg, when))
                continue
            for found, inner in self.chosen[arg] if self._passes(arg) else [(arg, ())]:
                reached = self._holds(when)
                if inner:
                    reached = emit("mul", (reached, self._holds(inner)))
                if found in conditions:
                    reached = emit("maximum", (conditions[found], reached))
                conditions[found] = reached
        return entries + [(found, (condition,)) for found, condition in conditions.items()]

    def _holds(self, when: tuple[Register, ...]) -> Register:
        return self.emit(EQUAL, when) if len(when) == 2 else when[0]

    def _matters(self, arg: Any) -> bool:
        return arg.__class__ is int and bool(self.needed[arg])

    def _both(self, x: Register | None, y: Register | None) -> Register | None:
        if x is None or y is None:
            return y if x is None else x
        return self.emit("mul", (x, y))

    def _any(self, conditions: set[Register]) -> Register:
        return reduce(lambda x, y: self.emit("maximum", (x, y)), sorted(conditions))

    def _edges(self, node: int, op: str, args: tuple[Any, ...], adjoint: Register
               ) -> Iterable[tuple[int, Register, Register, Register | None]]:
        """Yields the operands that matter, with the two factors of the term for each.

        The last item is the condition under which it is an operand; None if it always is.
        """
        lowering = self.lowering
        registers = [self.graph.register(arg) for arg in args]
        if op == SUMPROD:
            # last ones first, as in the eager sweep
            for i in range(len(args) - 2, -1, -2):
                for k, other in ((i, i + 1), (i + 1, i)):
                    if self._matters(args[k]):
                        yield args[k], registers[other], adjoint, None
        elif op == "where" and (condition := registers[0]) in lowering.numbers:
            if self._matters(arg := args[1 if lowering.numbers[condition] else 2]):
                yield arg, adjoint, lowering.one, None
        elif op == "where":
            # as 1.0 or 0.0, to be multiplied; any number except 0 holds
            holds = condition if lowering.ops[condition] in CONDITIONS else \
                self.emit("where", (condition, lowering.one, lowering.zero))
            fails = self.emit(EQUAL, (condition, lowering.zero))
            for arg, taken in zip(args[1:], (holds, fails)):
                if self._matters(arg):
                    received = self.emit("where", (taken, adjoint, lowering.zero))
                    yield arg, received, lowering.one, taken
        elif op not in OPERATIONS:
            for i, arg in enumerate(args):
                if self._matters(arg):
                    out = self.graph.registers[node]
                    partial = lowering.partial(lookup(op), i, registers, out)
                    yield arg, partial, adjoint, None

    def _depending(self, wanted: Sequence[int]) -> bytearray:
        """Returns for each node whether it is a differentiable function of a wanted node."""
        depends = bytearray(len(self.nodes))
        for node in wanted:
            depends[node] = 1
        constant = {*SOURCES, DETACH, *CONDITIONS}
        for node, (op, args) in enumerate(self.nodes):
            if op not in constant:
                operands = args[CHOICES.get(op, 0):]
                depends[node] = any(arg.__class__ is int and depends[arg] for arg in operands)
        return depends


def sources(trace: LabeledNodes) -> list[int]:
    """Returns the nodes that are read at run time: arguments, parameters and draws, in order."""
    return [i for i, (op, _) in enumerate(trace.nodes) if op in SOURCES]


def _names(trace: LabeledNodes, nodes: Sequence[int | None]) -> list[str]:
    """Returns the names of the sources of a trace, all different."""
    names: dict[str, None] = {}
    for node in nodes:
        names[free("unused" if node is None else trace.label(node), names)] = None
    return list(names)


def value(
    trace: LabeledNodes, outputs: Sequence[Any], inputs: Sequence[int | None] | None = None
) -> Tape:
    """Returns the tape of the results of a function.

    inputs: the sources of the trace, in the order of the tape's inputs; None for an unused one.
    """
    graph = Graph(trace, inputs)
    return graph.tape([graph.register(ref) for ref in outputs])


def value_and_gradient(
    trace: LabeledNodes,
    root: Any,
    wanted: Sequence[int | str],
    also: Sequence[Any] = (),
    inputs: Sequence[int | None] | None = None,
    keep_detached: bool = False,
) -> Tape:
    """Returns the tape of a scalar ``root``, its derivatives, and what is ``also`` wanted.

    wanted: the sources of the trace, or their names, with respect to which it is differentiated.
    inputs: see `value`.
    keep_detached: keeps "detach" instructions for `tangents`, which removes them.
    """
    graph = Graph(trace, inputs, keep_detached)
    by_name = dict(zip(graph.lowering.names, sources(trace)))
    nodes = [by_name[node] if isinstance(node, str) else node for node in wanted]
    registers = graph.gradient(root, nodes)
    found = Counter(registers)
    labels = {
        register: f"d{graph.lowering.names[graph.registers[node]]}"
        for register, node in zip(registers, nodes)
        if found[register] == 1
    }
    outputs = [graph.register(root), *registers, *map(graph.register, also)]
    return graph.tape(outputs, labels)


def tangents(tape: Tape, wanted: Sequence[Register]) -> Tape:
    """Returns the tape of J t for the outputs of ``tape``, by forward accumulation.

    Its inputs are the inputs of ``tape``, and then a tangent t for each of the ``wanted`` inputs.
    """
    lowering = Lowering([*tape.names, *[f"d{tape.names[register]}" for register in wanted]])
    place: list[Register] = [*range(len(tape.names)), *map(lowering.constant, tape.constants)]
    # by the registers of the old tape
    found = {register: len(tape.names) + i for i, register in enumerate(wanted)}
    for i, (op, args) in enumerate(tape.instructions()):
        operands = [place[arg] for arg in args]
        if op == DETACH:  # the same number, with a tangent of 0
            place.append(operands[0])
            continue
        out = lowering.emit(op, tuple(operands))
        place.append(out)
        if op not in CONDITIONS and any(arg in found for arg in args):
            of_operands = [found.get(arg) for arg in args]
            found[tape.first + i] = _tangent(lowering, op, operands, of_operands, out)
    return lowering.tape([found.get(register, lowering.zero) for register in tape.outputs])


def _tangent(lowering: Lowering, op: str, operands: Sequence[Register],
             tangents: Sequence[Register | None], out: Register) -> Register:
    """Returns the tangent of an instruction, given its operands' tangents; None is 0."""
    if op in CHOICES:
        fixed = CHOICES[op]
        chosen = [lowering.zero if tangent is None else tangent for tangent in tangents[fixed:]]
        return lowering.emit(op, (*operands[:fixed], *chosen))
    if op == DOT:
        partials = [lowering.one, *operands[1:]]
        partials[1::2], partials[2::2] = partials[2::2], partials[1::2]  # each factor's partner
    factors: list[Register] = []
    for k, tangent in enumerate(tangents):
        if tangent is not None:
            partial = partials[k] if op == DOT else lowering.partial(lookup(op), k, operands, out)
            factors += [partial, tangent]
    return lowering.sum_of_products(lowering.negative_zero, factors)


def with_constants(tape: Tape, numbers: Mapping[Register, float]) -> Tape:
    """Returns the tape with constants in the place of some inputs."""
    names = [name for register, name in enumerate(tape.names) if register not in numbers]
    lowering = Lowering(names)
    others = iter(range(len(names)))
    place = [lowering.constant(numbers[register]) if register in numbers else next(others)
             for register in range(len(tape.names))]
    place += map(lowering.constant, tape.constants)
    for op, args in tape.instructions():
        place.append(lowering.emit(op, tuple([place[arg] for arg in args])))
    labels = {place[register]: label for register, label in tape.labels.items()
              if place[register] not in lowering.numbers}
    return lowering.tape([place[register] for register in tape.outputs], labels)


def expanded(tape: Tape, is_known: Callable[[str], bool]) -> Tape:
    """Returns the tape with the expansions of rows that are not known, to a language."""
    others = [op for op in tape.table if not is_known(op) and op not in OPERATIONS]
    expansions = {op: row.expansion for op, row in zip(others, map(lookup, others))}
    if not any(expansions.values()):
        return tape
    lowering = Lowering(tape.names)
    place: list[Register] = [*range(len(tape.names)), *map(lowering.constant, tape.constants)]
    for op, args in tape.instructions():
        operands = tuple([place[arg] for arg in args])
        if expansion := expansions.get(op):
            result = expansion(*[Reg(lowering, operand) for operand in operands])
            place.append(lowering.register(result))
        else:
            place.append(lowering.emit(op, operands))
    return expanded(lowering.tape([place[register] for register in tape.outputs]), is_known)
