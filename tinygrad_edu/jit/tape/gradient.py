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

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ...engine.primitive import TABLE, lookup
from .lowering import Lowering, Reg
from .operations import (
    CHOICES,
    CONDITIONS,
    DETACH,
    DOT,
    EQUAL,
    IF_EQUAL,
    OPERATIONS,
    SOURCES,
    SUMPROD,
    TAKE,
    LabeledNodes,
)
from .tape import Register, Tape, free

MOST_TERMS = 32  # factors that an adjoint collects before it is summed; keeps them in the cache


class _Adjoints:
    """The adjoints of all nodes during the sweep.

    terms: for each node, the factors (x, y, x, y, ...) whose products are summed; None at first.
    free: for each node, whether the root always reaches it.
    conditions: for the other nodes, the conditions, one of which must hold.
    """

    def __init__(self, lowering: Lowering, needed: bytearray) -> None:
        self._lowering = lowering
        self._begun: dict[int, Register] = {}  # sums so far
        self.needed = needed  # for each node, whether it depends on a wanted node
        self.terms: list[Any] = [None] * len(needed)
        self.free = bytearray(len(needed))
        self.conditions: dict[int, set[Register]] = {}

    def flush(self, node: int, is_source: bool) -> None:
        """Sums the terms of a node so far, while they are still in the processor's cache."""
        start = self._lowering.zero if is_source else self._lowering.negative_zero
        self._begun[node] = self.sum(node, start)
        self.terms[node] = []

    def sum(self, node: int, start: Register) -> Register:
        """Returns the register of the adjoint of a node."""
        return self._lowering.sum_of_products(self._begun.get(node, start), self.terms[node] or [])


class Graph:
    """A trace being lowered: the registers of its nodes, and their adjoints."""

    def __init__(self, trace: LabeledNodes, inputs: Sequence[int | None] | None = None,
                 keep_detached: bool = False) -> None:
        self.trace = trace
        self._keep_detached = keep_detached  # as an instruction, so that `tangents` sees it
        nodes = sources(trace) if inputs is None else inputs
        self.lowering = lowering = Lowering(_names(trace, nodes))
        place = {node: register for register, node in enumerate(nodes) if node is not None}
        self.registers: list[Register] = []
        for node, (op, args) in enumerate(trace.nodes):
            if op in SOURCES:
                register = place.get(node, -1)  # -1: nothing uses it
            else:
                register = self._lowered(op, [self.register(arg) for arg in args], lowering)
            self.registers.append(register)

    def _lowered(self, op: str, args: list[Register], lowering: Lowering) -> Register:
        if op == SUMPROD:
            first = lowering.emit("mul", (args[0], args[1]))
            return lowering.sum_of_products(first, args[2:])
        if op == DETACH and not self._keep_detached:
            return args[0]
        return lowering.emit(op, tuple(args))

    def tape(
        self, outputs: Sequence[Register], labels: Mapping[Register, str] = MappingProxyType({})
    ) -> Tape:
        """Returns the tape that computes these registers; labels of the trace are kept."""
        given = {}
        for node in self.trace.labels:
            if self.trace.nodes[node][0] not in SOURCES:
                given[self.registers[node]] = self.trace.label(node)
        given.update(labels)
        for number in self.lowering.numbers:
            given.pop(number, None)
        return self.lowering.tape(outputs, given)

    def register(self, ref: Any) -> Register:
        """Returns the register of a node or of a number."""
        return self.lowering.constant(ref) if ref.__class__ is float else self.registers[ref]

    def gradient(
        self, root: Any, wanted: Sequence[int], seed: Register | None = None
    ) -> list[Register]:
        """Returns the registers of d root / d node for the ``wanted`` nodes.

        In the eager graph, the branch that `where` does not take and the entries that `take` does
        not choose are not operands: no gradient flows to them, not even 0 * inf.  Here every node
        has a guard instead, a condition that holds if the root reaches the node; None if the root
        always does.
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
            adjoint = adjoints.sum(node, lowering.negative_zero)
            guard = None if adjoints.free[node] else self._any(adjoints.conditions[node])
            if op == SUMPROD and guard is None:
                self._deliver_products(args, adjoint, adjoints)
                continue
            for arg, factors, taken in self._edges(node, op, args, needed, adjoint):
                if taken is None and guard is not None:
                    product = lowering.emit("mul", factors)
                    guarded = lowering.emit("where", (guard, product, lowering.zero))
                    factors = guarded, lowering.one
                self._deliver(arg, factors, self._both(guard, taken), adjoints)
        return [adjoints.sum(node, lowering.zero) for node in wanted]

    def _deliver_products(self, args: tuple[Any, ...], adjoint: Register, adjoints: _Adjoints
                          ) -> None:
        """Adds terms to the operands of a sum of products, last ones first as in the eager sweep.
        """
        terms = adjoints.terms
        nodes = self.trace.nodes
        places = [self.register(arg) for arg in args]
        for i in range(len(args) - 2, -1, -2):
            for k, other in ((i, i + 1), (i + 1, i)):
                arg = args[k]
                if arg.__class__ is not int or not adjoints.needed[arg]:
                    continue
                if nodes[arg][0] == TAKE:
                    self._deliver(arg, (places[other], adjoint), None, adjoints)
                    continue
                adjoints.free[arg] = 1
                if (found := terms[arg]) is None:
                    terms[arg] = [places[other], adjoint]
                else:
                    found += (places[other], adjoint)
                    if len(found) >= MOST_TERMS:
                        adjoints.flush(arg, nodes[arg][0] in SOURCES)

    def _deliver(self, node: int, term: tuple[Register, Register], guard: Register | None,
                 adjoints: _Adjoints) -> None:
        """Adds a term to a node's adjoint.

        A term for `take` goes to its entries at once, because the eager graph has no node for it.
        """
        op, args = self.trace.nodes[node]
        if op == TAKE:
            self._deliver_entries(args, term, guard, adjoints)
            return
        if adjoints.terms[node] is None:
            adjoints.terms[node] = []
        adjoints.terms[node] += term
        if len(adjoints.terms[node]) >= MOST_TERMS:
            adjoints.flush(node, op in SOURCES)
        if guard is None:
            adjoints.free[node] = 1
        else:
            adjoints.conditions.setdefault(node, set()).add(guard)

    def _deliver_entries(self, args: tuple[Any, ...], term: tuple[Register, Register],
                         guard: Register | None, adjoints: _Adjoints) -> None:
        """Adds the term to the chosen entry of `take`, and 0 to the others."""
        emit = self.lowering.emit
        index = self.register(args[0])
        product = emit("mul", term)
        for i, entry in enumerate(args[1:]):
            if entry.__class__ is not int or not adjoints.needed[entry]:
                continue
            position = self.lowering.constant(float(i))
            is_source = self.trace.nodes[entry][0] in SOURCES
            chosen = None if is_source else emit(EQUAL, (index, position))
            received = emit(IF_EQUAL, (index, position, product))
            entry_guard = None if chosen is None else self._both(guard, chosen)
            self._deliver(entry, (received, self.lowering.one), entry_guard, adjoints)

    def _truth(self, condition: Register) -> Register:
        """Returns a condition as 1.0 or 0.0, to be multiplied; any number except 0 holds."""
        lowering = self.lowering
        if lowering.ops[condition] in CONDITIONS:
            return condition
        return lowering.emit("where", (condition, lowering.one, lowering.zero))

    def _both(self, x: Register | None, y: Register | None) -> Register | None:
        if x is None or y is None:
            return y if x is None else x
        return self.lowering.emit("mul", (x, y))

    def _any(self, conditions: set[Register]) -> Register:
        first, *others = sorted(conditions)
        for other in others:
            first = self.lowering.emit("maximum", (first, other))
        return first

    def _edges(self, node: int, op: str, args: tuple[Any, ...], needed: bytearray, adjoint: Register
               ) -> Iterable[tuple[int, tuple[Register, Register], Register | None]]:
        """Yields the operands that matter, with the two factors of the term for each.

        The last item is the condition under which it is an operand; None if it always is.
        """
        lowering = self.lowering

        def matters(arg: Any) -> bool:
            return arg.__class__ is int and bool(needed[arg])

        if op == SUMPROD:
            # last ones first, as in the eager sweep
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
            holds = self._truth(condition)
            fails = lowering.emit(EQUAL, (condition, lowering.zero))
            for arg, taken in ((args[1], holds), (args[2], fails)):
                if matters(arg):
                    received = lowering.emit("where", (taken, adjoint, lowering.zero))
                    yield arg, (received, lowering.one), taken
        elif op not in OPERATIONS:
            row = TABLE[op]
            registers = [self.register(arg) for arg in args]
            for i, arg in enumerate(args):
                if matters(arg):
                    partial = lowering.partial(row, i, registers, self.registers[node])
                    yield arg, (partial, adjoint), None

    def _depending(self, wanted: Sequence[int]) -> bytearray:
        """Returns for each node whether it is a differentiable function of a wanted node."""
        depends = bytearray(len(self.trace.nodes))
        for node in wanted:
            depends[node] = 1
        for node, (op, args) in enumerate(self.trace.nodes):
            if op in (*SOURCES, DETACH, *CONDITIONS):
                continue
            for arg in args[CHOICES.get(op, 0):]:
                if arg.__class__ is int and depends[arg]:
                    depends[node] = 1
                    break
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


def value(trace: LabeledNodes, outputs: Sequence[Any]) -> Tape:
    """Returns the tape of the results of a function."""
    graph = Graph(trace)
    return graph.tape([graph.register(ref) for ref in outputs])


def value_and_gradient(
    trace: LabeledNodes, root: Any, wanted: Sequence[int | str], keep_detached: bool = False
) -> Tape:
    """Returns the tape of a scalar ``root`` and its derivatives.

    wanted: the sources of the trace, or their names, with respect to which it is differentiated.
    keep_detached: keeps "detach" instructions for `tangents`, which removes them.
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
    factors: list[Register] = []
    if op == DOT:
        others = [lowering.one, *operands[1:]]
        others[1::2], others[2::2] = others[2::2], others[1::2]  # each factor's partner
        for tangent, other in zip(tangents, others):
            if tangent is not None:
                factors += [tangent, other]
    else:
        row = lookup(op)
        for k, tangent in enumerate(tangents):
            if tangent is not None:
                factors += [lowering.partial(row, k, operands, out), tangent]
    return lowering.sum_of_products(lowering.negative_zero, factors)


def expanded(tape: Tape, is_known: Callable[[str], bool]) -> Tape:
    """Returns the tape with the expansions of rows that are not known, to a language."""
    rows = {op for op in tape.table if not is_known(op) and op in TABLE and TABLE[op].expansion}
    if not rows:
        return tape
    lowering = Lowering(tape.names)
    place: list[Register] = [*range(len(tape.names)), *map(lowering.constant, tape.constants)]
    for op, args in tape.instructions():
        operands = [place[arg] for arg in args]
        expansion = TABLE[op].expansion if op in rows else None
        if expansion is None:
            place.append(lowering.emit(op, tuple(operands)))
        else:
            result = expansion(*[Reg(lowering, operand) for operand in operands])
            place.append(lowering.register(result))
    return expanded(lowering.tape([place[register] for register in tape.outputs]), is_known)
