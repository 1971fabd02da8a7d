"""Pictures of computation graphs: drawings, pages to step through them, animations, plots, and a debugger's shell.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> y = (a * b + 10).tanh()
    >>> y.backward()
    >>> draw(y)                                     # in a notebook, the picture itself
    <Drawing: 6 nodes, 5 edges, 0 clusters>
    >>> path = draw(y).save("y.svg")                # doctest: +SKIP

Where is what, from the graph to the screen:

========================================  ===========================================================================
`model`, `dot`, `render`, `style`         a drawing: records, DOT text, picture; and what each role looks like
`tapes`                                   the records of what `jit` runs
`scene`, `frame`                          a recording's drawing, laid out once, whose numbers move; one moment of it
`animate`                                 frames as a film
`page`, `stage.js`, `theme.css`           one HTML file: what all pages share
`explorer` (.py, .html, .css, .js)        the page to step through a graph
`live`, `sample_graphs`                   a training as records: the model at each snapshot, the graphs of samples
`live_page` (and live.html, .css, .js)    the page that plays a training
`repl`, `repl_words`, `repl_print`,       the shell: its commands; words typed; what `p` and `where` say; the terminal
`repl_where`, `repl_terminal`
`analysis`, `curves`                      numbers behind plots: boundaries, surfaces of the loss, curves of primitives
`plots`, `boundary`, `figures`            the plots; `notebook`: what a notebook shows
========================================  ===========================================================================

Each step can be looked at, and tested, by itself; only `render` needs a layout engine, only `plots` matplotlib.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, overload

from tinygrad_edu import History, Stepper, Value
from tinygrad_edu.debug.explain import Explanation
from tinygrad_edu.debug.stepper import Recording
from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.jit import Jitted, Tape

from . import notebook, plots
from .animate import animate
from .model import MAX_NODES, build, build_path
from .page import Page
from .render import Drawing
from .repl import debug
from .tapes import build_jitted, build_tape

__all__ = ["Drawing", "Page", "animate", "debug", "draw", "explore", "plots"]


def draw(y: Value | Iterable[Value] | Explanation | Jitted | Tape, *, collapse: str | Iterable[str] | None = None,
         max_nodes: int | None = MAX_NODES, expand: str | Iterable[str] = (), title: str = "", legend: bool = True,
         gradient: bool = False) -> Drawing:
    """A drawing of the graph that ``y``, a Value or several, was computed from; or of what `explain_nonfinite` found; or of
    what `jit` made of a function.

    Each node shows its label, data, gradient and operation; each edge the local derivative of the node that it leads
    to.  Where collapsed modules are joined by very many edges, their numbers are shown when the mouse rests on them.
    Edges from constants are dashed and have no number: a constant does not vary, so that no gradient flows there.
    What is inf or nan is marked.  Of an `Explanation`, the path from the first inf or nan to the result is drawn, with the
    operands along it, and ``collapse`` and ``expand`` do not matter.

    Of a compiled function, ``y = jit(f)``, the program that it used last is drawn, after fusion: each node is an instruction,
    with what it computes, and a sum of products is one.  Of another of its programs, ``y.tape(*args)`` is the tape; a tape
    does not know which of its inputs are parameters of which modules, so that its drawing has no frames.

    collapse     None; "neurons" (the innermost modules) or "layers" (the outermost ones); or paths of modules, such as
                 ``["layers.0", "layers.1.neurons.3"]``.  A collapsed module is one box.  If it has one output, the box
                 shows its data and gradient, and edges into it show the derivative of that output
    max_nodes    above this many nodes the drawing collapses neurons by itself; then, or if the neurons are joined by
                 more edges than can be told apart, layers; and then leaves out what is farthest from ``y``.  A line in
                 the picture says so.  None for no limit
    expand       paths of modules to show whole, whatever else is collapsed
    title        a line above the picture
    legend       whether to explain the colours
    gradient     of a compiled function: the program that also computes the derivatives

    Raises TypeError if ``y`` is no Value, or a list with something else in it; ValueError for an empty list, a compiled
    function that has not been called yet, or a ``collapse``, ``expand``, ``max_nodes`` or ``gradient`` that means nothing
    for this graph.
    """
    if not isinstance(title, str):
        raise TypeError(f"title must be text, not {type(title).__name__} ({short_repr(title)})")
    if isinstance(y, Jitted):
        return Drawing(build_jitted(y, gradient, collapse, max_nodes, expand), title, legend)
    if gradient:
        raise ValueError("gradient=True is for a compiled function, draw(jit(f), gradient=True); "
                         + ("the tape with the derivatives is y.tape(gradient=True)" if isinstance(y, Tape) else
                            "the drawing of a graph has the gradients that backward() left in it"))
    if isinstance(y, Tape):
        return Drawing(build_tape(y, collapse, max_nodes, expand), title, legend)
    if isinstance(y, Explanation):
        return Drawing(build_path(y.root, y.path, f"The first inf or nan: {y.sentences[0]}", max_nodes), title, legend)
    roots = [y] if isinstance(y, Value) or not isinstance(y, Iterable) or isinstance(y, str) else list(y)
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(f"draw() takes a Value or a list of Values, not {type(root).__name__} ({short_repr(root)}); "
                            "what a computation returns from Values is a Value")
    if not roots:
        raise ValueError("draw() was given an empty list; give at least one Value")
    return Drawing(build(roots, collapse, max_nodes, expand), title, legend)


@overload
def explore(y: Value | Recording | Stepper | History, path: None = None, **options: Any) -> Page: ...
@overload
def explore(y: Value | Recording | Stepper | History, path: str | os.PathLike[str], **options: Any) -> Path: ...
def explore(y: Value | Recording | Stepper | History, path: str | os.PathLike[str] | None = None, **options: Any
            ) -> Page | Path:
    """An interactive page: a `Page`, which a notebook displays, or if a ``path`` is given the path that it was written to.

    Of a Value, a Recording or a Stepper: the graph, to be stepped through forwards and backwards.  Options:

    collapse, expand, max_nodes    which modules are boxes, as in `draw`; here ``max_nodes`` is 2,000
    title                          of the page

    Of the History of ``fit(..., record_every=k)``: the training, to be played.  Options:

    title, progress                of the page; whether to show a progress bar, since the model is asked very often
    max_frames                     how many snapshots to show at most, evenly chosen; by default 30
    features, feature_names        which two features span the picture, by default ``(0, 1)``; the names of all
    samples                        how many samples to make graphs of at most; by default 60

    The page is one HTML file that needs no network.  Raises TypeError for another ``y`` or option, and what
    `viz.explorer.explore` and `viz.live_page.explore_training` raise.
    """
    if not isinstance(y, (Value, Recording, Stepper, History)):
        hint = ("give one of its Values" if isinstance(y, (list, tuple)) else
                "call it, and give what it returns" if callable(y) else "what a computation returns from Values is a Value")
        raise TypeError(f"explore() takes a Value, a Recording, a Stepper, or the History of fit(..., record_every=k), not "
                        f"{type(y).__name__} ({short_repr(y)}); {hint}")
    if isinstance(y, History):
        from .live_page import explore_training

        return explore_training(y, path, **options)
    from . import explorer

    return explorer.explore(y, path, **options)


notebook.register()
