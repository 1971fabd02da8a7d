"""``python -m tests.benchmarks jit``: the compiled engine compared with others, and its cost of a
node.

The programs are in `races`.  `scaling` is about this engine alone.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tinygrad_edu.errors import TinygradEduError

from . import scaling
from .races import PROGRAMS, chart, program
from .races.race import Result, race
from .races.tables import show, surroundings, wide_console


def main(quick: bool = False, only: Sequence[str] = (), out: Path | None = None) -> None:
    """Runs programs and prints their tables; then bars, and what is not installed.

    only    names in `PROGRAMS`; by default all of them, and `scaling` after them
    out     a file to which the bars are written as a picture, too: what `bars.destination` returns

    Ctrl-C ends the measurement. The results so far are shown before KeyboardInterrupt is raised.
    Raises TinygradEduError without llvmlite.
    """
    if find_spec("llvmlite") is None:
        raise TinygradEduError("what is compared is compiled code, which needs llvmlite: "
                               'pip install "tinygrad_edu[fast]"')
    console = wide_console()
    console.print(f"{surroundings()}\n", highlight=False)
    programs = [program(name) for name in dict.fromkeys(only or PROGRAMS)]
    results: list[Result] = []
    interrupted = False
    try:
        for each in programs:
            with console.status(f"measuring {each.title}"):
                results.append(race(each, quick))
            show(console, results[-1])
            if interrupted := results[-1].interrupted:
                break
    except KeyboardInterrupt:
        interrupted = True
    if (drawn := chart.chart(results)) is not None:
        console.print(drawn)
        if out is not None:
            from .races import bars

            bars.write(results, out)
            print(f"wrote {out}")
    if missing := chart.missing(programs):
        console.print(f'Not installed: {", ".join(missing)}.  '
                      'To compare with them: pip install "tinygrad_edu[peers]"',
                      markup=False, highlight=False)
    if interrupted:
        raise KeyboardInterrupt
    if not only:
        console.print()
        scaling.show(console, quick)
