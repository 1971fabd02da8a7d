"""A tape as plain records: the program that `jit` runs, one node an instruction.

    >>> from tinygrad_edu import Value, jit
    >>> w, b = Value(0.5, "w"), Value(1.0, "b")
    >>> f = jit(lambda x: (b + w * x).tanh())
    >>> f(2.0)
    0.9640275800758169
    >>> graph = build_jitted(f)
    >>> [(node.role, node.label, node.op, " + ".join(node.terms)) for node in graph.nodes]  # doctest: +NORMALIZE_WHITESPACE
    [('input', 'x', '', ''), ('parameter', 'b', '', ''), ('parameter', 'w', '', ''),
     ('operation', 't1', 'dot', 'b + w·x'), ('output', 't2', 'tanh', 'tanh(t1)')]

A sum of products is one instruction, hence one node.  Names are those in the tape's text.  Every constant stands beside the one
instruction that uses it, as in the drawing of a graph; 0 as a summand and 1 as a factor of a sum of products have no node.

What a tape reads it knows by name alone.  Which names are parameters, and of which modules, a `Jitted` knows: its drawings
have frames around neurons and layers, as those of graphs, and can be collapsed in the same way.  The derivatives by the
parameters of a module stand in a frame of their own, ``∂layers.0``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tinygrad_edu.formula import KNOWN_NUMBERS, Name
from tinygrad_edu.jit import Jitted, Tape
from tinygrad_edu.jit.tape import DOT, EQUAL, WHEN, Register, sources
from tinygrad_edu.jit.trace import spelled
from tinygrad_edu.nn.module import ParameterName
from tinygrad_edu.nn.structure import find_modules, module_path
from tinygrad_edu.primitives import UNARY

from .dot import brief
from .model import MAX_NODES, Builder, Graph, Node, records

DERIVATIVES = "∂"  # before the path of a module: the derivatives by its parameters; no module has such a name


def build_tape(tape: Tape, collapse: str | Iterable[str] | None = None, max_nodes: int | None = MAX_NODES,
               expand: str | Iterable[str] = ()) -> Graph:
    """The records of a tape; the options are those of `model.build`."""
    returned = ["returned"] if len(tape.outputs) == 1 else [f"returned {i}" for i in range(1, len(tape.outputs) + 1)]
    return _graph(tape, {}, returned, [], collapse, max_nodes, expand)


def build_jitted(jitted: Jitted, gradient: bool = False, collapse: str | Iterable[str] | None = None,
                 max_nodes: int | None = MAX_NODES, expand: str | Iterable[str] = ()) -> Graph:
    """The records of the program that ``jitted`` used last; ``gradient``: of the one that computes the derivatives, too.

    Raises ValueError if there is no program yet, and TypeError for the gradient of what is not one number.
    """
    tape = jitted.tape(gradient=gradient)
    if not gradient:
        plain = build_tape
    trace = jitted.programs[-1].trace
    kinds = {name: trace.nodes[i] for name, i in zip(tape.names, sources(trace))}
    parameters = {name: trace.parameters[args[0]].label for name, (op, args) in kinds.items() if op == "parameter"}
    wanted = [*[name for name, (op, _) in kinds.items() if op == "input"], *parameters] if gradient else []
    return _graph(tape, parameters, wanted, collapse, max_nodes, expand)
