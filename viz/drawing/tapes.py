"""A tape as plain records: the program that `jit` runs, one node per instruction.

    >>> from tinygrad_edu import Value, jit, math
    >>> w, b = Value(0.5, "w"), Value(1.0, "b")
    >>> f = jit(lambda x: math.tanh(b + w * x))
    >>> y = f(2.0)
    >>> for node in build_jitted(f).nodes:
    ...     print(f"{node.role} {node.label} {' + '.join(node.terms)}".strip())
    input x
    parameter w
    parameter b
    operation t1 b + w·x
    output t2 tanh(t1)

A sum of products is one instruction and one node.  Names are the names in the tape's text.  Each
use of a constant has its own node, as in the drawing of a graph.  Some constants have no node,
because the text of the instruction shows them: 0 as a summand, 1 as a factor in a sum of products,
and an index into a sequence.

A tape knows its inputs by name only.  A `Jitted` knows which of them are parameters, and of which
modules: its drawings have frames around neurons and layers and can be collapsed, like drawings of
graphs.  The backward pass through a module has a separate frame, ``∂layers.0``.
"""

from __future__ import annotations

import math as std
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from tinygrad_edu.errors import counted
from tinygrad_edu.jit import Jitted, Tape
from tinygrad_edu.jit.structure import flatten, leaf_names
from tinygrad_edu.jit.tape.gradient import sources
from tinygrad_edu.jit.tape.operations import DOT, EQUAL, IF_EQUAL, spelled
from tinygrad_edu.jit.tape.tape import Register
from tinygrad_edu.nn.structure import enclosing, find_modules, module_path
from tinygrad_edu.symbolic.formulas import ATOM, Name

from .model import MAX_NODES, Builder, Edge, Graph, Node, records

# prefix of the path of a module, for the backward pass through it; no path starts with it
BACKWARD = "∂"


def build_tape(
    tape: Tape,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
) -> Graph:
    """Returns the records of a tape.  Options and errors are as in `model.build`, but there are no
    modules to collapse."""
    order, roots = _entries(tape, {})
    returned = _result_names([0.0] * len(roots) if len(roots) > 1 else 0.0)
    return _records(tape, order, roots, {}, returned, collapse, max_nodes, expand)


def build_jitted(
    jitted: Jitted,
    gradient: bool = False,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
) -> Graph:
    """Returns the records of the program that ``jitted`` used last.

    gradient    whether to take the program that also computes the derivatives

    Other options are as in `model.build`.

    Raises:
        TypeError: ``gradient`` is True and the function returns more than one number.
        ValueError: the function has not been called yet.
        TypeError, ValueError: as in `model.build`.
    """
    tape = jitted.tape(gradient=gradient)
    program = jitted.programs[-1]
    trace = program.trace
    reads = [trace.nodes[i] for i in sources(trace)]
    labels = {
        name: trace.parameters[args[0]].label
        for name, (op, args) in zip(tape.names, reads)
        if op == "parameter"
    }
    order, roots = _entries(tape, labels)
    if not gradient:
        modules = find_modules(order)
        returned = _result_names(program.result([0.0] * len(roots)))
        return _records(tape, order, roots, modules, returned, collapse, max_nodes, expand)
    # The outputs are the value and its derivatives, first those with respect to arguments.
    inputs = [leaf for leaf, (op, _) in zip(order, reads) if op == "input"]
    parameters = [leaf for leaf, (op, _) in zip(order, reads) if op == "parameter"]
    wanted = inputs + parameters
    modules = find_modules(_needed_for(roots[0], order))  # only those of the forward pass
    backward = _backward_modules(order, roots, wanted, modules)
    returned = _result_names(0.0)
    for leaf, root in zip(wanted, roots[1:]):
        named = root.name == f"d{leaf.name}"  # else a constant, or equal to another derivative
        returned.append("" if named else f"d{leaf.name}")
        if named and backward.get(root) == modules.get(leaf, ""):
            root.name = f"d{_name_in_module(leaf.name)}"
    for entry, path in backward.items():
        constants = [arg for arg in entry.args if arg.constant]
        modules.update(dict.fromkeys([entry, *constants], BACKWARD + path))
    return _records(tape, order, roots, modules, returned, collapse, max_nodes, expand)


# ---- from registers to what a drawing is made of -------------------------------------------------


@dataclass(eq=False, slots=True)
class Entry:
    """An input, a constant or an instruction, with the attributes that `Builder` and `find_modules`
    read from a node of a graph.

    role        input, parameter, constant or operation
    name        the name in the tape's text
    label       the label of a parameter's leaf, from which modules are found; "" for others
    operands    all operands of an instruction
    args        the operands that are drawn
    """

    role: str
    register: Register
    name: str
    op: str = ""
    operands: Sequence[Register] = ()
    args: tuple[Entry, ...] = ()
    label: str = ""
    data: ClassVar[None] = None  # a program has no numbers before it runs
    grad: ClassVar[None] = None

    @property
    def constant(self) -> bool:
        """Whether it is a number."""
        return self.role == "constant"


def _entries(tape: Tape, labels: Mapping[str, str]) -> tuple[list[Any], list[Any]]:
    """Returns all entries in the order of execution, inputs first, and the entry of each output."""
    order = []
    for i, name in enumerate(tape.names):
        role = "parameter" if name in labels else "input"
        order.append(Entry(role, i, name, label=labels.get(name, "")))
    entries: dict[Register, Entry] = dict(enumerate(order))

    def constant(register: Register) -> Entry:
        order.append(Entry("constant", register, tape.name_of(register).text))
        return order[-1]

    for register, (op, operands) in enumerate(tape.instructions(), tape.first):
        args = []
        for i, operand in enumerate(operands):
            if operand in entries:
                args.append(entries[operand])
            elif _has_node(tape, op, i, operand):
                args.append(constant(operand))
        name = tape.name_of(register).text
        entries[register] = Entry("operation", register, name, op, operands, tuple(args))
        order.append(entries[register])
    for register in tape.outputs:
        if register not in entries:
            entries[register] = constant(register)
    return order, [entries[register] for register in tape.outputs]


def _has_node(tape: Tape, op: str, i: int, constant: Register) -> bool:
    """Returns whether a constant that is operand ``i`` of an instruction has a node; otherwise only
    the instruction's text shows it."""
    x = _number(tape, constant)
    if op == DOT:
        return x != (1 if i else 0)
    return op not in (EQUAL, IF_EQUAL) and not (op == "add" and x == 0)


def _number(tape: Tape, register: Register) -> float | None:
    if len(tape.names) <= register < tape.first:
        return tape.constants[register - len(tape.names)]
    return None


def _needed_for(root: Entry, order: Sequence[Entry]) -> list[Any]:
    needed = {root}
    waiting = [root]
    while waiting:
        new = set(waiting.pop().args) - needed
        needed |= new
        waiting += new
    return [entry for entry in order if entry in needed]


def _backward_modules(
    order: Sequence[Entry],
    roots: Sequence[Entry],
    wanted: Sequence[Entry],
    modules: Mapping[Any, str],
) -> dict[Any, str]:
    """Returns the module of each instruction of the backward pass that belongs to one.

    * A derivative with respect to a parameter belongs to the parameter's module.
    * An instruction whose operands are all in one module belongs to this module.  The derivative of
      an activation is an example.
    * Other instructions belong to the first module, in forward order, of their parameters and of
      their operands from the backward pass.  If these are neurons of one layer, it is the layer.
    """
    found: dict[Any, str] = {}
    used = {arg for entry in order for arg in entry.args} | {roots[0]}
    goals: dict[Entry, set[str]] = {}
    for leaf, root in zip(wanted, roots[1:]):
        if root not in used:
            goals.setdefault(root, set()).add(modules.get(leaf, ""))
    outermost = [enclosing(modules[entry])[0] for entry in order if entry in modules]
    layers = list(dict.fromkeys(outermost))
    forward = set(_needed_for(roots[0], order))
    for entry in order:
        if not entry.op or entry in forward:
            continue
        operands = [arg for arg in entry.args if not arg.constant]
        around = {found.get(arg) or modules.get(arg, "") for arg in operands}
        if goal := goals.get(entry, set()) - {""}:
            around = goal
        elif entry in goals or len(around) > 1:
            parameters = {arg: modules[arg] for arg in operands
                          if arg.role == "parameter" and arg in modules}
            around = {found.get(arg) or parameters.get(arg, "") for arg in operands}
        if path := _innermost_common(around - {""}, layers):
            found[entry] = path
    return found


def _innermost_common(paths: set[str], layers: Sequence[str]) -> str:
    """Returns the innermost module around all ``paths`` that are in the first of the ``layers``; ""
    if there are no paths."""
    first = min((layers.index(enclosing(path)[0]) for path in paths), default=-1)
    chains = [enclosing(path) for path in paths if enclosing(path)[0] == layers[first]]
    if not chains:
        return ""
    around_all: list[str] = [level[0] for level in zip(*chains) if len(set(level)) == 1]
    return around_all[-1]


# ---- records -------------------------------------------------------------------------------------


def _result_names(result: Any) -> list[str]:
    """Returns the names of the numbers of a result: ``returned``, or ``returned['b'][0]``."""
    return leaf_names(flatten(result, "returned", []), "returned")


def _records(
    tape: Tape,
    order: list[Any],
    roots: list[Any],
    modules: dict[Any, str],
    returned: Sequence[str],
    collapse: str | Iterable[str] | None,
    max_nodes: int | None,
    expand: str | Iterable[str],
) -> Graph:
    names: dict[Entry, list[str]] = {}
    for root, name in zip(roots, returned):
        names.setdefault(root, []).extend([name] if name else [])
    builder = partial(_TapeBuilder, tape, names)
    graph = records(builder, roots, order, modules, collapse, max_nodes, expand)
    fused = f"{counted(len(tape), 'instruction')} for {counted(tape.nodes, 'operation')}."
    return replace(graph, notes=(fused, *graph.notes))


class _TapeBuilder(Builder):
    """Makes the records of entries instead of Values; edges of a tape have no numbers."""

    def __init__(
        self, tape: Tape, returned: Mapping[Entry, Sequence[str]], *arguments: Any
    ) -> None:
        super().__init__(*arguments)
        self.tape = tape
        self.returned = returned
        self.inputs: Sequence[Any] = self.order[:len(tape.names)]

    def node(self, entry: Any) -> Node:
        return replace(
            super().node(entry),
            label=entry.name,
            parameters=int(entry.role == "parameter"),
            shows=None,
            terms=self._terms(entry) if entry.op else (),
            returned=tuple(self.returned.get(entry, ())),
        )

    def role(self, entry: Any) -> str:
        return "output" if entry in self.roots else entry.role

    def box(self, key: str) -> Node:
        return replace(super().box(key), shows=None)

    def derivative(self, user: Any, i: int) -> None:
        return None

    def slopes(self) -> dict[str, dict[Any, float]]:
        return {}

    def edges(self, crossing: Any) -> Iterator[Edge]:
        """Yields one edge for all edges from a box to an instruction, because edges of a tape have
        no numbers."""
        boxes = {name for key, name in self.names.items() if isinstance(key, str)}
        merged: dict[Any, Edge] = {}
        for i, edge in enumerate(super().edges(crossing)):
            key = (edge.source, edge.target, -1 if edge.source in boxes else i)
            if first := merged.get(key):
                count = first.count + edge.count
                edge = replace(first, count=count, parameter="", links=first.links + edge.links)
            merged[key] = edge
        yield from merged.values()

    def _terms(self, entry: Any) -> tuple[str, ...]:
        """Returns what an instruction computes; parameters of its own module have short names."""
        op = entry.op
        operands = entry.operands
        module = self.modules.get(entry, "").removeprefix(BACKWARD)
        names = [self._operand(register, module) for register in operands]
        if op == DOT:
            return self._summands(operands, names)
        if op == EQUAL:
            return (f"{names[0]} == {names[1]}",)
        if op == IF_EQUAL:
            return (f"{names[2]} if {names[0]} == {names[1]} else 0",)
        return (spelled(op, names).text,)

    def _summands(self, operands: Sequence[Register], names: Sequence[Name]) -> tuple[str, ...]:
        """Returns the summands of a sum of products, without factors of 1 and a first term of -0.
        """
        summands = []
        start = _number(self.tape, operands[0])
        if not (start == 0 and std.copysign(1, start) < 0):
            summands.append(names[0].text)
        for x, y, register in zip(names[1::2], names[2::2], operands[2::2]):
            is_one = _number(self.tape, register) == 1
            summands.append(_factor(x) if is_one else f"{_factor(x)}·{_factor(y)}")
        return tuple(summands)

    def _operand(self, register: Register, module: str) -> Name:
        if register < len(self.inputs):
            leaf = self.inputs[register]
            inner = self.modules.get(leaf, "")
            if module in enclosing(inner):
                return Name(f"{inner[len(module):]}.{_name_in_module(leaf.name)}"[1:])
        return self.tape.name_of(register)


def _name_in_module(name: str) -> str:
    """Returns the name of a parameter in its module: ``w.0``."""
    return name[len(module_path(name)):].removeprefix(".")


def _factor(name: Name) -> str:
    return name.text if name.precedence == ATOM else f"({name.text})"
