"""The compiled engine beside other engines, as ``tinygrad-edu bench`` shows it, and what a node costs it.

The programs are `tinygrad_edu.bench`; `scaling` is about this engine alone.
"""

from tinygrad_edu import bench
from tinygrad_edu.bench.race import race
from tinygrad_edu.bench.tables import show, surroundings, wide_console

from . import scaling


def main(quick: bool = False) -> None:
    """Runs all programs and prints their tables."""
    console = wide_console()
    console.print(f"{surroundings()}\n", highlight=False)
    for name in bench.PROGRAMS:
        result = race(bench.program(name), quick)
        show(console, result)
        if result.interrupted:
            raise KeyboardInterrupt
    scaling.show(console, quick)
