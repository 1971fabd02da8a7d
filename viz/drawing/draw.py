"""`draw`: a graph, a path to an inf or nan, or a compiled program, as a `Drawing`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_edu.debug.explain import Explanation
from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.engine.value import Value
from tinygrad_edu.jit.function import Jitted
from tinygrad_edu.jit.tape.tape import Tape

from .model import MAX_NODES, build, build_path
from .render import Drawing
from .tapes import build_jitted, build_tape


def draw(
    y: Value | Iterable[Value] | Explanation | Jitted | Tape,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    expand: str | Iterable[str] = (),
    title: str = "",
    legend: bool = True,
    gradient: bool = False,
) -> Drawing:
    """A drawing of the graph that ``y``, a Value or several, was computed from; or of what
    `explain_nonfinite` found; or of what `jit` made of a function.

    Each node shows its label, data, gradient and operation; each edge the local derivative of the
    node that it leads to.  Where collapsed modules are joined by very many edges, their numbers are
    shown when the mouse rests on them.  Edges from constants are dashed and have no number: a
    constant does not vary, so that no gradient flows there.  What is inf or nan is marked.  Of an
    `Explanation`, the path from the first inf or nan to the result is drawn, with the operands
    along it, and ``collapse`` and ``expand`` do not matter.

    Of a compiled function, ``y = jit(f)``, the program that it used last is drawn, after fusion:
    each node is an instruction, with what it computes, and a sum of products is one.  Of another of
    its programs, ``y.tape(*args)`` is the tape; a tape does not know which of its inputs are
    parameters of which modules, so that its drawing has no frames.

    collapse     None; "neurons" (the innermost modules) or "layers" (the outermost ones); or paths
                 of modules, such as ``["layers.0", "layers.1.neurons.3"]``.  A collapsed module is
                 one box.  If it has one output, the box shows its data and gradient, and edges into
                 it show the derivative of that output
    max_nodes    above this many nodes the drawing collapses neurons by itself; then, or if the
                 neurons are joined by more edges than can be told apart, layers; and then leaves
                 out what is farthest from ``y``.  A line in the picture says so.  None for no limit
    expand       paths of modules to show whole, whatever else is collapsed
    title        a line above the picture
    legend       whether to explain the colours
    gradient     of a compiled function: the program that also computes the derivatives

    Raises TypeError if ``y`` is no Value, or a list with something else in it; ValueError for an
    empty list, a compiled function that has not been called yet, or a ``collapse``, ``expand``,
    ``max_nodes`` or ``gradient`` that means nothing for this graph.
    """
    if not isinstance(title, str):
        raise TypeError(f"title must be text, not {type(title).__name__} ({short_repr(title)})")
    if isinstance(y, Jitted):
        return Drawing(build_jitted(y, gradient, collapse, max_nodes, expand), title, legend)
    if gradient:
        where = "the drawing of a graph has the gradients that backward() left in it"
        if isinstance(y, Tape):
            where = "the tape with the derivatives is y.tape(gradient=True)"
        raise ValueError(
            f"gradient=True is for a compiled function, draw(jit(f), gradient=True); {where}"
        )
    if isinstance(y, Tape):
        return Drawing(build_tape(y, collapse, max_nodes, expand), title, legend)
    if isinstance(y, Explanation):
        note = f"The first inf or nan: {y.sentences[0]}"
        return Drawing(build_path(y.root, y.path, note, max_nodes), title, legend)
    return Drawing(build(_roots(y), collapse, max_nodes, expand), title, legend)


def _roots(y: Any) -> list[Value]:
    """``y`` as a list of Values; raises TypeError or ValueError if it is something else."""
    is_one = isinstance(y, (Value, str)) or not isinstance(y, Iterable)
    roots = [y] if is_one else list(y)
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(
                f"draw() takes a Value or a list of Values, not {type(root).__name__} "
                f"({short_repr(root)}); what a computation returns from Values is a Value"
            )
    if not roots:
        raise ValueError("draw() was given an empty list; give at least one Value")
    return roots
