"""A tape as plain records: the program that `jit` runs, one node an instruction.

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

A sum of products is one instruction, hence one node.  Names are those in the tape's text.  Every
constant stands beside the one instruction that uses it, as in the drawing of a graph.  What only
the text of an instruction needs has no node: 0 as a summand, 1 as a factor in a sum of products,
and a place in a sequence.

A tape knows what it reads by name alone.  Which of the names are parameters, and of which modules,
a `Jitted` knows: its drawings have frames around neurons and layers, as those of graphs have, and
are collapsed in the same way.  The backward pass through a module is in a frame of its own,
``∂layers.0``.
"""

from __future__ import annotations

import math as std
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from tinygrad_edu.jit import Jitted, Tape
from tinygrad_edu.jit.structure import flatten, leaf_names
from tinygrad_edu.jit.tape.gradient import sources
from tinygrad_edu.jit.tape.operations import DOT, EQUAL, IF_EQUAL, spelled
from tinygrad_edu.jit.tape.tape import Register
from tinygrad_edu.nn.structure import enclosing, find_modules, module_path
from tinygrad_edu.symbolic.formulas import ATOM, Name

from .model import MAX_NODES, Builder, Edge, Graph, Node, records

# before the path of a module: the backward pass through it; no module has such a name
BACKWARD = "∂"


def build_tape(
    tape: Tape,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
) -> Graph:
    """The records of a tape; options, and what raises, as in `model.build`.  There are no modules
    to collapse."""
    order, roots = _entries(tape, {})
    returned = _returned([0.0] * len(roots) if len(roots) > 1 else 0.0)
    return _graph(tape, order, roots, {}, returned, collapse, max_nodes, expand)


def build_jitted(
    jitted: Jitted,
    gradient: bool = False,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
) -> Graph:
    """The records of the program that ``jitted`` used last; ``gradient``: of the one that computes
    the derivatives as well.

    Raises ValueError if there is no program yet, TypeError for the gradient of a function that
    returns more than one number, and what `model.build` raises.
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
        return _graph(
            tape,
            order,
            roots,
            find_modules(order),
            _returned(program.result([0.0] * len(roots))),
            collapse,
            max_nodes,
            expand,
        )
    # The outputs are the value, and its derivatives by arguments and by parameters.
    wanted = [
        leaf for kind in ("input", "parameter") for leaf, (op, _) in zip(order, reads) if op == kind
    ]
    modules = find_modules(_needed_for(roots[0], order))  # the parts of the function alone
    backward = _backward(order, roots, wanted, modules)
    returned = _returned(0.0)
    for leaf, root in zip(wanted, roots[1:]):
        named = root.name == f"d{leaf.name}"  # else it is a constant, or equal to another one
        returned.append("" if named else f"d{leaf.name}")
        if named and backward.get(root) == modules.get(leaf, ""):
            root.name = f"d{_short(leaf.name)}"
    for entry, path in backward.items():
        modules.update(
            (each, BACKWARD + path)
            for each in (entry, *entry.args)
            if each is entry or each.constant
        )
    return _graph(tape, order, roots, modules, returned, collapse, max_nodes, expand)


# ---- from registers to what a drawing is made of -------------------------------------------------


@dataclass(eq=False, slots=True)
class Entry:
    """An input, a constant or an instruction, with all that `Builder` and `find_modules` ask of a
    node of a graph.

    role        input, parameter, constant or operation
    name        in the tape's text
    label       of a parameter: as its leaf has it, by which modules are found
    operands    of an instruction: all of them, of which ``args`` are those that are drawn
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
    """All entries in the order of execution, the inputs first, and the entry of each output."""
    order = [Entry("parameter" if name in labels else "input", i, name, label=labels.get(name, ""))
             for i, name in enumerate(tape.names)]
    entries: dict[Register, Entry] = dict(enumerate(order))

    def constant(register: Register) -> Entry:
        order.append(Entry("constant", register, tape.name_of(register).text))
        return order[-1]

    for register, (op, operands) in enumerate(tape.instructions(), tape.first):
        args = tuple(
            [
                entries[operand] if operand in entries else constant(operand)
                for i, operand in enumerate(operands)
                if operand in entries or _is_drawn(tape, op, i, operand)
            ]
        )
        entries[register] = Entry(
            "operation", register, tape.name_of(register).text, op, operands, args
        )
        order.append(entries[register])
    for register in tape.outputs:
        if register not in entries:
            entries[register] = constant(register)
    return order, [entries[register] for register in tape.outputs]


def _is_drawn(tape: Tape, op: str, i: int, constant: Register) -> bool:
    """Whether a constant is more to an instruction, as its operand ``i``, than what its text says.
    """
    x = _number(tape, constant)
    if op == DOT:
        return x != (1 if i else 0)
    return op not in (EQUAL, IF_EQUAL) and not (op == "add" and x == 0)


def _number(tape: Tape, register: Register) -> float | None:
    return (
        tape.constants[register - len(tape.names)]
        if len(tape.names) <= register < tape.first
        else None
    )


def _needed_for(root: Entry, order: Sequence[Entry]) -> list[Any]:
    needed, waiting = {root}, [root]
    while waiting:
        new = set(waiting.pop().args) - needed
        needed |= new
        waiting += new
    return [entry for entry in order if entry in needed]


def _backward(
    order: Sequence[Entry],
    roots: Sequence[Entry],
    wanted: Sequence[Entry],
    modules: Mapping[Any, str],
) -> dict[Any, str]:
    """The modules through which the backward pass goes, for its instructions.

    * A derivative by a parameter belongs to the parameter's module.
    * What is computed from one module alone, such as the derivative of its activation, belongs to
      that.
    * What is computed with parameters, or with what belongs to modules already, belongs to the
      first of these modules in the order of the function, which the backward pass comes to last; if
      they are neurons of one layer, to the layer.
    """
    found: dict[Any, str] = {}
    used = {arg for entry in order for arg in entry.args} | {roots[0]}
    goals: dict[Entry, set[str]] = {}
    for leaf, root in zip(wanted, roots[1:]):
        if root not in used:
            goals.setdefault(root, set()).add(modules.get(leaf, ""))
    layers = list(
        dict.fromkeys(enclosing(modules[entry])[0] for entry in order if entry in modules)
    )
    forward = set(_needed_for(roots[0], order))
    for entry in order:
        if not entry.op or entry in forward:
            continue
        operands = [arg for arg in entry.args if not arg.constant]
        around = {found.get(arg) or modules.get(arg, "") for arg in operands}
        if goal := goals.get(entry, set()) - {""}:
            around = goal
        elif entry in goals or len(around) > 1:
            around = {
                path
                for arg in operands
                if (path := found.get(arg) or (arg.role == "parameter" and modules.get(arg)))
            }
        if path := _common(around - {""}, layers):
            found[entry] = path
    return found


def _common(paths: set[str], layers: Sequence[str]) -> str:
    """The innermost module around those of ``paths`` that are in the first of the ``layers``; "" if
    there are none."""
    first = min((layers.index(enclosing(path)[0]) for path in paths), default=-1)
    chains = [chain for path in paths if (chain := enclosing(path))[0] == layers[first]]
    return (
        ""
        if not chains
        else [outer for outer, *others in zip(*chains) if set(others) <= {outer}][-1]
    )


# ---- records -------------------------------------------------------------------------------------


def _returned(result: Any) -> list[str]:
    """What the numbers of a result are called: ``returned``, or ``returned['b'][0]``."""
    return leaf_names(flatten(result, "returned", []), "returned")


def _graph(
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
    graph = records(
        partial(_TapeBuilder, tape, names), roots, order, modules, collapse, max_nodes, expand
    )
    fused = f"{len(tape):,} instruction{'s' * (len(tape) != 1)} for {tape.nodes:,} operation{'s' * (tape.nodes != 1)}."
    return replace(graph, notes=(fused, *graph.notes))


class _TapeBuilder(Builder):
    """Makes the records of entries instead of Values; edges of a tape have no numbers."""

    def __init__(
        self, tape: Tape, returned: Mapping[Entry, Sequence[str]], *arguments: Any
    ) -> None:
        super().__init__(*arguments)
        self.tape, self.returned = tape, returned
        self.inputs: Sequence[Any] = self.order[:len(tape.names)]

    def node(self, entry: Any) -> Node:
        is_output = entry in self.roots
        return Node(
            self.names[entry],
            "output" if is_output else entry.role,
            entry.name,
            entry.op,
            None,
            None,
            self.modules.get(entry, ""),
            is_output,
            int(bool(entry.op)),
            int(entry.role == "parameter"),
            members=(self.positions[entry],),
            terms=self._terms(entry) if entry.op else (),
            returned=tuple(self.returned.get(entry, ())),
        )

    def box(self, key: str) -> Node:
        return replace(super().box(key), shows=None)

    def derivative(self, user: Any, i: int) -> None:
        return None

    def slopes(self) -> dict[str, dict[Any, float]]:
        return {}

    def edges(self, crossing: Any) -> Iterator[Edge]:
        """One edge from a box to an instruction: there are no numbers to keep apart."""
        boxes = {name for key, name in self.names.items() if isinstance(key, str)}
        merged: dict[Any, Edge] = {}
        for i, edge in enumerate(super().edges(crossing)):
            key = (edge.source, edge.target, -1 if edge.source in boxes else i)
            if first := merged.get(key):
                edge = replace(
                    first, count=first.count + edge.count, of="", links=first.links + edge.links
                )
            merged[key] = edge
        yield from merged.values()

    def _terms(self, entry: Any) -> tuple[str, ...]:
        """What an instruction computes; a parameter of the module that it is in is called as in
        there."""
        op, operands = entry.op, entry.operands
        module = self.modules.get(entry, "").removeprefix(BACKWARD)
        names = [self._operand(register, module) for register in operands]
        if op == DOT:
            products = [
                _factor(x) if _number(self.tape, register) == 1 else f"{_factor(x)}·{_factor(y)}"
                for x, y, register in zip(names[1::2], names[2::2], operands[2::2])
            ]
            start = _number(self.tape, operands[0])
            return tuple(
                products
                if start == 0 and std.copysign(1, start) < 0
                else [names[0].text, *products]
            )
        if op == EQUAL:
            return (f"{names[0]} == {names[1]}",)
        if op == IF_EQUAL:
            return (f"{names[2]} if {names[0]} == {names[1]} else 0",)
        return (spelled(op, names).text,)

    def _operand(self, register: Register, module: str) -> Name:
        if register < len(self.inputs) and module in enclosing(
            inner := self.modules.get(self.inputs[register], "")
        ):
            return Name(f"{inner[len(module):]}.{_short(self.inputs[register].name)}"[1:])
        return self.tape.name_of(register)


def _short(name: str) -> str:
    """What a parameter is called in its module: ``w.0``."""
    return name[len(module_path(name)):].removeprefix(".")


def _factor(name: Name) -> str:
    return name.text if name.precedence == ATOM else f"({name.text})"
