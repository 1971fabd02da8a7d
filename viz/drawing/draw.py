"""`draw`: the `Drawing` of a graph, of a path to an inf or nan, or of a compiled program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from tinygrad_edu.debug.explain import Explanation
from tinygrad_edu.debug.recording import Recording, not_a_graph
from tinygrad_edu.engine.value import Value
from tinygrad_edu.errors import check_list, check_text
from tinygrad_edu.jit.function import Jitted
from tinygrad_edu.jit.tape.tape import Tape

from .model import MAX_NODES, build, build_path
from .render import Drawing
from .style import PNG_DPI, TEXT_SIZE, Look
from .tapes import jitted_builder, tape_builder
from .text import DIGITS


def draw(
    y: Value | Iterable[Value] | Explanation | Jitted[Any] | Tape,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | Literal["readable"] | None = "readable",
    expand: str | Iterable[str] = (),
    title: str = "",
    legend: bool = True,
    gradient: bool = False,
    direction: str = "LR",
    font_size: float = TEXT_SIZE,
    digits: int = DIGITS,
    dpi: int = PNG_DPI,
    hide: str | Iterable[str] = (),
) -> Drawing:
    """Returns the drawing of the graph that ``y``, a Value or several Values, was computed from.

        draw(loss, collapse="neurons", title="one sample").save("loss.svg")

    Each node shows its label, data, gradient and operation; each edge shows the local derivative of
    its user with respect to its operand.  If collapsed modules are joined by very many edges, the
    numbers on them are shown as tooltips.  Edges from constants are dashed and have no number,
    because no gradient flows to a constant.  A number that is inf or nan is marked.

    y: a Value, a list of Values, or one of these:

        * an `Explanation` of `explain_nonfinite`.  The path from the first inf or nan to the
          result is drawn, with the operands along it; ``collapse`` and ``expand`` have no effect.
        * a compiled function, ``f = jit(...)``.  The program that it used last is drawn, after
          fusion: each node is an instruction, and a sum of products is one instruction.
        * a tape, ``f.tape(*args)``, to draw another program.  A tape does not know which of its
          inputs are parameters of which modules, so its drawing has no frames.

    collapse: None; "neurons" (the innermost modules) or "layers" (the outermost ones); or paths of
        modules, such as ``["layers.0", "layers.1.neurons.3"]``.  A collapsed module is one box.  If
        it has one output, the box shows the output's data and gradient, and edges into the box show
        the output's derivatives.
    max_nodes: None for no limit.  Above this many nodes, neurons are collapsed.  If this is not
        enough, or too many edges join the neurons, layers are collapsed.  If this is not enough,
        the nodes farthest from ``y`` are left out.  A line in the picture says so.  The default,
        "readable", is 300.  For a graph, if ``collapse`` is not given either, it also collapses
        neurons above 25 nodes, and layers if this leaves more than 50.
    expand: paths of modules to show whole, whatever else is collapsed.
    title: a line above the picture.
    legend: whether to explain the colours.
    gradient: for a compiled function, whether to draw the program that also computes the
        derivatives.
    direction: "LR" draws from left to right, "TB" from top to bottom.
    font_size: of the numbers, in points; labels and titles keep their ratio to it.
    digits: significant digits of the numbers, from 2 to 17.
    dpi: pixels per inch of a PNG file; the other formats are vector graphics.
    hide: what to leave blank, for worksheets: "data", "grad", "derivative" (the local derivatives),
        or several of them.  Empty boxes of one size stand for these numbers.  The data of inputs,
        parameters and constants are shown all the same, because everything follows from them.

    Raises:
        TypeError: ``y`` is not one of the above, or a list contains something else; ``title`` is
            not text; another argument has a wrong type.
        ValueError: the list is empty; the compiled function has not been called yet; the graph has
            no module with one of the paths; ``max_nodes`` is less than 1; ``gradient`` is True and
            ``y`` is not a compiled function; ``direction`` or ``hide`` is not one of the words
            above; ``font_size``, ``digits`` or ``dpi`` is out of range.
    """
    check_text(title, "draw: title")
    look = Look.checked(direction, font_size, digits, dpi, hide, "draw")
    is_free = isinstance(max_nodes, str) and max_nodes == "readable"
    limit: Any = MAX_NODES if is_free else max_nodes
    options = (collapse, limit, expand)
    if isinstance(y, Jitted):
        records = jitted_builder(y, gradient).select(*options)
    elif gradient:
        remedy = "leave gradient out: the drawing of a graph has the gradients of backward()"
        if isinstance(y, Tape):
            remedy = "draw the tape with the derivatives, f.tape(gradient=True)"
        raise ValueError(
            "draw: y must be a compiled function if gradient=True, as in draw(jit(f), "
            f"gradient=True), not {type(y).__name__}; {remedy}"
        )
    elif isinstance(y, Tape):
        records = tape_builder(y).select(*options)
    elif isinstance(y, Explanation):
        note = f"The first inf or nan: {y.sentences[0]}"
        records = build_path(y.root, y.path, note, limit)
    else:
        records = build(_roots(y), *options, is_free and collapse is None)
    return Drawing(records, title, legend, look)


def _roots(y: Any) -> list[Value]:
    """Returns ``y`` as a list of Values.

    Raises:
        TypeError: ``y``, or something in it, is not a Value.
        ValueError: ``y`` is empty.
    """
    if isinstance(y, Value):
        return [y]
    if callable(y) or isinstance(y, Recording):
        raise not_a_graph(y, "draw: y", "a Value or a list of Values")
    try:
        roots = check_list(y, "draw: y", "a Value or a list of Values")
    except TypeError:
        raise not_a_graph(y, "draw: y", "a Value or a list of Values") from None
    for i, root in enumerate(roots):
        if not isinstance(root, Value):
            raise not_a_graph(root, f"draw: y[{i}]", "a Value")
    if not roots:
        raise ValueError("draw: y must not be an empty list; pass at least one Value")
    return roots
