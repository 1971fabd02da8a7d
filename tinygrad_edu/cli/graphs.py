"""The commands draw, step, explore and animate, which show one graph."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import (
    GRAPH,
    Argument,
    Command,
    argument,
    graph_of,
    named_graph,
    option,
    out_option,
    positive,
)


def run_draw(options: argparse.Namespace) -> int:
    """Draws the graph of an expression."""
    from .. import viz

    root = graph_of(options)
    if not options.example:
        root.backward()
    path = viz.draw(root, **_limit(options)).save(options.out)
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

    path = viz.explore(named_graph(options), options.out, **_limit(options))
    print(f"wrote {path}; open it in a browser")
    return 0


def run_animate(options: argparse.Namespace) -> int:
    """Writes an animation of a graph's forward and backward pass."""
    from .. import viz

    path = viz.animate(named_graph(options), options.out, milliseconds=options.milliseconds)
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
            out_option("graph.svg", "picture to write, .svg .png .pdf .dot or .html", "-o --out"),
            _max_nodes("the drawing"),
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
            out_option("graph.html", "page to write, .html", "-o --out"),
            _max_nodes("modules"),
        ),
    ),
    Command(
        "animate",
        run_animate,
        'animate an expression: animate "tanh(a*b + c)" a=2 b=-3 c=10 -o y.gif',
        (
            *GRAPH,
            out_option("graph.gif", "animation to write, .gif .apng or .webp", "-o --out"),
            option("--milliseconds", 800, "duration of a step", positive),
        ),
    ),
)
