"""The compiled engine compared with others on six programs: ``python -m tests.benchmarks jit``::

    from tests.benchmarks.races import program, race
    result = race.race(program("rosenbrock"), quick=False)

Each program is a module with its data and, for every engine, the fastest idiomatic version that was
found, in float64; slower versions are mentioned there.  Results are compared before times are
shown.  `race` measures; `tables`, `chart` and `bars` show the results; `ours` has all calls of this
engine; `theirs` has what programs share for other engines.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.races.race import Program

# The name of each program, and the module whose PROGRAM it is.
PROGRAMS = {
    name: f"{__name__}.{name.replace('-', '_')}"
    for name in ("moons", "gpt", "rosenbrock", "ode", "black-scholes", "pinn")
}


def program(name: str) -> Program:
    """Returns a program by its name in `PROGRAMS`; raises KeyError for another name."""
    found: Program = import_module(PROGRAMS[name]).PROGRAM
    return found
