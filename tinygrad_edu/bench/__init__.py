"""The compiled engine beside other engines, on five programs, and what a node costs it.

    python -m tests.benchmarks jit

Each program is a module: its data, and for every engine the fastest idiomatic version of it that was found, in float64.
What else was tried, and lost, is said there.  Results are compared before they are believed.  `race` measures, `ours` is all
that is called of this engine, `scaling` is about this engine alone.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata

from rich.console import Console

from . import black_scholes, gpt, moons, ode, rosenbrock, scaling
from .race import show

PACKAGES = ("llvmlite", "numpy", "micrograd", "torch", "jax", "autograd", "casadi", "ddx-ad")


def main(quick: bool = False) -> None:
    """Runs all programs and prints their tables."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=148)
    console.print(f"Python {platform.python_version()}, {', '.join(map(version, PACKAGES))}; {os.cpu_count()} processors\n",
                  highlight=False)
    for program in (moons, gpt, rosenbrock, ode, black_scholes):
        show(console, program.PROGRAM, quick)
    scaling.show(console, quick)


def version(package: str) -> str:
    """A package with its version."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"no {package}"
