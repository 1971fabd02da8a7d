"""A tape as plain records: the program that `jit` runs, one node per instruction.

    >>> from tinygrad_edu import Value, jit, math
    >>> w, b = Value(0.5, "w"), Value(1.0, "b")
    >>> f = jit(lambda x: math.tanh(b + w * x))
    >>> y = f(2.0)
    >>> for node in jitted_builder(f).graph().nodes:
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
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tinygrad_edu.errors import counted
from tinygrad_edu.jit import Jitted, Tape
from tinygrad_edu.jit.structure import flatten, leaf_names
from tinygrad_edu.jit.tape.gradient import sources
from tinygrad_edu.jit.tape.operations import DOT, EQUAL, IF_EQUAL, spelled
from tinygrad_edu.jit.tape.tape import Register
from tinygrad_edu.nn.structure import enclosing, find_modules
from tinygrad_edu.symbolic.formulas import ATOM, Name

from .model import Builder, Node
from .text import name_in_module

# prefix of the path of a module, for the backward pass through it; no path starts with it
BACKWARD = "∂"


def tape_builder(tape: Tape) -> Builder:
    """Returns the builder of the records of a tape, without modules."""
    order, roots = _entries(tape, {})
    returned = _result_names([0.0] * len(roots) if len(roots) > 1 else 0.0)
    return _builder(tape, order, roots, {}, returned)


def jitted_builder(jitted: Jitted[Any], gradient: bool = False) -> Builder:
    """Returns the builder of the records of the program that ``jitted`` used last.

    gradient: whether to take the program that also computes the derivatives.

    Raises:
        TypeError: ``gradient`` is True and the function returns more than one number.
        ValueError: the function has not been called yet.
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
        result = program.result([0.0] * len(roots))
        return _builder(tape, order, roots, find_modules(order), _result_names(result))
    # The outputs are the value and its derivatives, first those with respect to arguments.
    wanted = [
        leaf for kind in ("input", "parameter") for leaf, (op, _) in zip(order, reads) if op == kind
    ]
    modules = find_modules(_needed_for(roots[0], order))  # only those of the forward pass
    backward = _backward_modules(order, roots, wanted, modules)
    returned = _result_names(0.0)
    for leaf, root in zip(wanted, roots[1:]):
        named = root.name == f"d{leaf.name}"  # else a constant, or equal to another derivative
        returned.append("" if named else f"d{leaf.name}")
        if named and backward.get(root) == modules.get(leaf, ""):
            root.name = f"d{name_in_module(leaf.name)}"
    for entry, path in backward.items():
        constants = [arg for arg in entry.args if arg.constant]
        modules.update(dict.fromkeys([entry, *constants], BACKWARD + path))
    return _builder(tape, order, roots, modules, returned)


def _builder(
    tape: Tape,
    order: Sequence[Any],
    roots: Sequence[Any],
    modules: dict[Any, str],
    returned: Sequence[str],
) -> Builder:
    for root, name in zip(roots, returned):
        if name:
            root.returned.append(name)
    fused = f"{counted(len(tape), 'instruction')} for {counted(tape.nodes, 'operation')}."
    return _TapeBuilder(roots, order, modules, [fused], tape=tape)


# ---- from registers to what a drawing is made of -------------------------------------------------


@dataclass(eq=False, slots=True)
class Entry:
    """An input, a constant or an instruction of a tape.

    It has the attributes that `Builder` and `find_modules` read from a node of a graph.

    role: input, parameter, constant or operation.
    name: the name in the tape's text.
    label: the label of a parameter's leaf, from which modules are found; "" for others.
    operands: all operands of an instruction.
    args: the operands that are drawn.
    returned: the names under which the program returns it, if its name does not say so.
    """

    role: str
    name: str
    op: str = ""
    operands: Sequence[Register] = ()
    args: tuple[Entry, ...] = ()
    label: str = ""
    returned: list[str] = field(default_factory=list)

    @property
    def constant(self) -> bool:
        """Whether it is a number."""
        return self.role == "constant"


def _entries(tape: Tape, labels: Mapping[str, str]) -> tuple[list[Any], list[Any]]:
    """Returns all entries in the order of execution, inputs first, and the entry of each output."""
    order = []
    for name in tape.names:
        role = "parameter" if name in labels else "input"
        order.append(Entry(role, name, label=labels.get(name, "")))
    entries: dict[Register, Entry] = dict(enumerate(order))

    def constant(register: Register) -> Entry:
        order.append(Entry("constant", tape.name_of(register).text))
        return order[-1]

    for register, (op, operands) in enumerate(tape.instructions(), tape.first):
        args = []
        for i, operand in enumerate(operands):
            if operand in entries:
                args.append(entries[operand])
            elif _has_node(tape, op, i, operand):
                args.append(constant(operand))
        name = tape.name_of(register).text
        entries[register] = Entry("operation", name, op, operands, tuple(args))
        order.append(entries[register])
    for register in tape.outputs:
        if register not in entries:
            entries[register] = constant(register)
    return order, [entries[register] for register in tape.outputs]


def _has_node(tape: Tape, op: str, i: int, constant: Register) -> bool:
    """Returns whether a constant that is operand ``i`` of an instruction has a node.

    Without a node, only the instruction's text shows it.
    """
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
    for entry in reversed(order):
        if entry in needed:
            needed.update(entry.args)
    return [entry for entry in order if entry in needed]


def _backward_modules(
    order: Sequence[Entry],
    roots: Sequence[Entry],
    wanted: Sequence[Entry],
    modules: dict[Any, str],
) -> dict[Any, str]:
    """Returns the module of each instruction of the backward pass that belongs to one.

    * A derivative with respect to a parameter belongs to the parameter's module.
    * An instruction whose operands are all in one module belongs to this module.  The derivative of
      an activation is an example.
    * Other instructions belong to the first module, in forward order, of their parameters and of
      their operands from the backward pass.  If these are neurons of one layer, it is the layer.
    """
    found: dict[Any, str] = {}
    parameters = {entry: path for entry, path in modules.items() if entry.role == "parameter"}
    from_anywhere = ChainMap(found, modules)
    from_backward = ChainMap(found, parameters)
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
        around = {from_anywhere.get(arg, "") for arg in operands}
        if goal := goals.get(entry, set()) - {""}:
            around = goal
        elif entry in goals or len(around) > 1:
            around = {from_backward.get(arg, "") for arg in operands}
        if path := _innermost_common(around, layers):
            found[entry] = path
    return found


def _innermost_common(paths: Iterable[str], layers: Sequence[str]) -> str:
    """Returns the innermost module around all ``paths`` that are in the first of the ``layers``.

    If there are no paths, it is "".
    """
    chains = [enclosing(path) for path in paths if path]
    if not chains:
        return ""
    first = min((chain[0] for chain in chains), key=layers.index)
    levels = zip(*[chain for chain in chains if chain[0] == first])
    around_all: list[str] = [level[0] for level in levels if len(set(level)) == 1]
    return around_all[-1]


# ---- records -------------------------------------------------------------------------------------


def _result_names(result: Any) -> list[str]:
    """Returns the names of the numbers in a result, such as ``returned['b'][0]``."""
    return leaf_names(flatten(result, "returned", []), "returned")


@dataclass(kw_only=True)
class _TapeBuilder(Builder):
    """Makes the records of entries instead of Values, and edges without numbers."""

    has_numbers = False
    tape: Tape

    def node(self, place: Any) -> Node:
        record = super().node(place)
        if isinstance(place, str):
            return record
        terms = tuple(self._terms(place)) if place.op else ()
        return replace(
            record,
            label=place.name,
            parameters=int(place.role == "parameter"),
            terms=terms,
            returned=tuple(place.returned),
        )

    def role(self, node: Any) -> str:
        return "output" if node in self.root_places else node.role

    def _terms(self, entry: Any) -> Iterator[str]:
        """Yields the summands that an instruction computes.

        Factors of 1 and a first term of -0 are left out.  Parameters of the instruction's own
        module have short names.
        """
        module = self.modules.get(entry, "").removeprefix(BACKWARD)
        names = [self._operand(register, module) for register in entry.operands]
        if entry.op != DOT:
            yield spelled(entry.op, names).text
            return
        start, *numbers = [_number(self.tape, register) for register in entry.operands]
        if not (start == 0 and std.copysign(1, start) < 0):
            yield names[0].text
        for x, y, number in zip(names[1::2], names[2::2], numbers[1::2]):
            yield _factor(x) if number == 1 else f"{_factor(x)}·{_factor(y)}"

    def _operand(self, register: Register, module: str) -> Name:
        if register < len(self.tape.names):
            leaf: Any = self.order[register]
            inner = self.modules.get(leaf, "")
            if module in enclosing(inner):
                return Name(f"{inner[len(module):]}.{name_in_module(leaf.name)}"[1:])
        return self.tape.name_of(register)


def _factor(name: Name) -> str:
    return name.text if name.precedence == ATOM else f"({name.text})"
