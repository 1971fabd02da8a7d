"""The commands draw, step, explore and animate, which show one graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import Commands, add_graph, add_option, graph_of, named_graph, positive


def run_draw(options: argparse.Namespace) -> int:
    """Draws the graph of an expression."""
    import viz

    root = graph_of(options)
    if not options.example:
        root.backward()
    path = viz.draw(root, **_limit(options)).save(options.out)
    print(f"{root.label or 'result'} = {root.data:.10g}; wrote {path}")
    return 0


def run_step(options: argparse.Namespace) -> int:
    """Opens the debugger's shell on a graph."""
    import viz

    viz.debug(named_graph(options))
    return 0


def run_explore(options: argparse.Namespace) -> int:
    """Writes a page to step through a graph."""
    import viz

    path = viz.explore(named_graph(options), options.out, **_limit(options))
    print(f"wrote {path}; open it in a browser")
    return 0


def run_animate(options: argparse.Namespace) -> int:
    """Writes an animation of a graph's forward and backward pass."""
    import viz

    path = viz.animate(named_graph(options), options.out, milliseconds=options.milliseconds)
    print(f"wrote {path}")
    return 0


def _limit(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the option --max-nodes as an argument for viz, if it was given."""
    return {} if options.max_nodes is None else {"max_nodes": options.max_nodes}


def add_commands(commands: Commands) -> None:
    """Adds draw, step, explore and animate."""
    command = commands.add_parser(
        "draw", help='draw the graph of an expression: draw "tanh(a*b + c)" a=2 b=-3 c=10'
    )
    add_graph(command)
    out = "picture to write, .svg .png .pdf .dot or .html"
    add_option(command, "-o --out", Path("graph.svg"), Path, out)
    command.add_argument(
        "--max-nodes", type=positive, help="collapse the drawing above this number of nodes"
    )
    command.set_defaults(run=run_draw)

    command = commands.add_parser(
        "step",
        help='step through an expression as in a debugger: step "tanh(a*b + c)" a=2 b=-3 c=10',
        epilog="Commands may come from standard input: "
               "echo 'until a' | tinygrad-edu step \"a*b\" a=2 b=3.  The command h lists them.",
    )
    add_graph(command)
    command.set_defaults(run=run_step)
    _add_pages(commands)


def _add_pages(commands: Commands) -> None:
    """Adds explore and animate."""
    command = commands.add_parser(
        "explore",
        help='write a page to step through an expression: explore "tanh(a*b + c)" a=2 b=-3 c=10',
    )
    add_graph(command)
    add_option(command, "-o --out", Path("graph.html"), Path, "page to write, .html")
    command.add_argument(
        "--max-nodes", type=positive, help="collapse modules above this number of nodes"
    )
    command.set_defaults(run=run_explore)

    command = commands.add_parser(
        "animate", help='animate an expression: animate "tanh(a*b + c)" a=2 b=-3 c=10 -o y.gif'
    )
    add_graph(command)
    out = "animation to write, .gif .apng or .webp"
    add_option(command, "-o --out", Path("graph.gif"), Path, out)
    add_option(command, "--milliseconds", 800, positive, "duration of a step")
    command.set_defaults(run=run_animate)
