"""The commands draw, step, explore and animate, which show one graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import (
    GRAPH,
    Argument,
    Command,
    argument,
    file_option,
    named_graph,
    option,
    positive,
)
from .output import write


def run_draw(options: argparse.Namespace) -> int:
    """Draws the graph of an expression."""
    from .. import viz

    root = named_graph(options)
    if not options.example:
        root.backward()
    chosen = {name: getattr(options, name) for name in ("direction", "font_size", "digits", "dpi")}
    hide = [what.strip() for what in options.hide.split(",") if what.strip()]
    drawing = viz.draw(root, **_limit(options), **chosen, hide=hide)
    if path := write(options.out, "graph.svg", drawing.save):
        print(f"{root.label or 'result'} = {root.data:.10g}; wrote {path}")
    return 0


def run_step(options: argparse.Namespace) -> int:
    """Opens the debugger's shell on a graph."""
    from .. import viz

    viz.debug(named_graph(options))
    return 0


def run_explore(options: argparse.Namespace) -> int:
    """Writes a page to step through a graph."""
    from .. import viz

    page = viz.explore(named_graph(options), **_limit(options))
    if path := write(options.out, "graph.html", page.save):
        print(f"wrote {path}; open it in a browser")
    return 0


def run_animate(options: argparse.Namespace) -> int:
    """Writes an animation of a graph's forward and backward pass."""
    from .. import viz

    root = named_graph(options)

    def save(path: str | Path) -> Path:
        written: Path = viz.animate(root, path, milliseconds=options.milliseconds)
        return written

    if path := write(options.out, "graph.gif", save):
        print(f"wrote {path}")
    return 0


def _limit(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the option --max-nodes as an argument for viz, if it was given."""
    return {} if options.max_nodes is None else {"max_nodes": options.max_nodes}


def _max_nodes(what: str) -> Argument:
    what = f"collapse {what} above this number of nodes"
    return argument("--max-nodes", type=positive, help=what)


COMMANDS = (
    Command(
        "draw",
        run_draw,
        'draw the graph of an expression: draw "tanh(a*b + c)" a=2 b=-3 c=10',
        (
            *GRAPH,
            file_option("graph.svg", "picture to write, .svg .png .pdf .dot or .html"),
            _max_nodes("the drawing"),
            option("--direction", "LR", "LR draws from left to right, TB from top to bottom"),
            option("--font-size", 11.0, "of the numbers, in points"),
            option("--digits", 5, "significant digits of the numbers"),
            option("--dpi", 144, "pixels per inch of a .png file"),
            argument(
                "--hide", default="", metavar="NUMBERS",
                help="numbers to leave blank, for worksheets: data,grad,derivative or some of them",
            ),
        ),
    ),
    Command(
        "step",
        run_step,
        'step through an expression as in a debugger: step "tanh(a*b + c)" a=2 b=-3 c=10',
        GRAPH,
        "Commands may come from standard input: "
        "echo 'until a' | tinygrad-edu step \"a*b\" a=2 b=3.  The command h lists them.",
    ),
    Command(
        "explore",
        run_explore,
        'write a page to step through an expression: explore "tanh(a*b + c)" a=2 b=-3 c=10',
        (
            *GRAPH,
            file_option("graph.html", "page to write, .html"),
            _max_nodes("modules"),
        ),
    ),
    Command(
        "animate",
        run_animate,
        'animate an expression: animate "tanh(a*b + c)" a=2 b=-3 c=10 -o y.gif',
        (
            *GRAPH,
            file_option("graph.gif", "animation to write, .gif .apng or .webp"),
            option("--milliseconds", 800, "duration of a step", positive),
        ),
    ),
)
