"""The compiled engine beside other engines, on five programs: ``python -m tests.benchmarks jit``::

    from tests.benchmarks.races import program, race
    result = race.race(program("rosenbrock"), quick=False)

Each program is a module: its data, and for every engine the fastest idiomatic version of it that
was found, in float64.  What else was tried, and lost, is said there.  Results are compared before
they are believed.  `race` measures, `tables`, `chart` and `bars` show what came of it, `ours` is
all that is called of this engine, `theirs` what programs share of others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.races.race import Program

# How a program is called, and the module whose PROGRAM it is.
PROGRAMS = {
    name: f"{__name__}.{name.replace('-', '_')}"
    for name in ("moons", "gpt", "rosenbrock", "ode", "black-scholes")
}


def program(name: str) -> Program:
    """A program by its name in `PROGRAMS`; KeyError for another one."""
    found: Program = import_module(PROGRAMS[name]).PROGRAM
    return found
