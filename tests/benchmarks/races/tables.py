"""The result of a race as a table for the terminal, with all problems listed below it."""

from __future__ import annotations

import math
import os
import platform
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.races.race import (
    INTERRUPTED,
    OURS,
    QUICK_ROUNDS,
    ROUNDS,
    Contestant,
    Outcome,
    Program,
    Result,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PACKAGES = ("llvmlite", "numpy", "micrograd", "torch", "jax", "autograd", "casadi", "ddx-ad")


def wide_console() -> Console:
    """The terminal; where there is none, as wide as the tables are."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=148)


def surroundings() -> str:
    """What is measured, and on what: versions, and the number of processors."""
    versions = ", ".join(map(_version, PACKAGES))
    return f"Python {platform.python_version()}, {versions}; {os.cpu_count()} processors"


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"no {package}"


def mark(reached: bool) -> str:
    """How a table says whether a target was reached."""
    return "[green]ok[/]" if reached else "[red]missed[/]"


def show(console: Console, result: Result) -> None:
    """Prints the table, and then, loudly, who failed or disagrees."""
    from rich.markup import escape

    console.print(table(console, result))
    for line in trouble(result):
        console.print(f"[bold red]{escape(line)}[/]", highlight=False)
    console.print()


def table(console: Console, result: Result) -> Table:
    """A row for every contestant.  Columns for which the console is too narrow are left out, and
    named below."""
    columns = [*_columns(result)]
    unlimited = console.options.update(width=10 * console.width)
    for most in sorted({column.rank for column in columns}, reverse=True):
        made = _table(result, [column for column in columns if column.rank <= most])
        if console.measure(made, options=unlimited).maximum <= console.width:
            break
    if left_out := "; ".join(column.heading for column in columns if column.rank > most):
        made.caption = f"{made.caption}\nNo room in {console.width} columns for: {left_out}."
    return made


def _table(result: Result, columns: Sequence[_Column]) -> Table:
    """With headings on as many lines as it takes for a column to be no wider than its figures."""
    from rich.table import Table
    from rich.text import Text

    program, finished = result.program, result.finished
    made = Table(
        title=program.title,
        title_justify="left",
        caption_justify="left",
        caption="\n".join(
            filter(
                None,
                (
                    f"Medians of {QUICK_ROUNDS if result.quick else ROUNDS} rounds in rotation, "
                    "processor time, one thread each; "
                    f"differences from {result.referee or 'nobody'}.",
                    program.note,
                    program.verdict(result.reference) if program.verdict and finished else "",
                    *(_limits(program, finished[OURS]) if OURS in finished else ()),
                ),
            )
        ),
    )
    rows = [
        [contestant.name, *_cells(result, contestant, columns)]
        for contestant in program.contestants
    ]
    made.add_column("engine")
    for column, cells in zip(columns, [*zip(*rows)][1:]):
        width = max(Text.from_markup(text).cell_len for text in (*cells, *column.heading.split()))
        made.add_column(
            "\n".join(textwrap.wrap(column.heading, width)), justify="right", no_wrap=True
        )
    for row in rows:
        made.add_row(*row)
    return made


def _cells(result: Result, contestant: Contestant, columns: Sequence[_Column]) -> list[str]:
    outcome = result.outcomes[contestant.name]
    if outcome is not None and not outcome.failure:
        return [column.cell(contestant, outcome) for column in columns]
    said = (
        "not installed"
        if outcome is None
        else INTERRUPTED
        if outcome.failure == INTERRUPTED
        else "[red]failed[/]"
    )
    return [said, *[""] * (len(columns) - 1)]


def trouble(result: Result) -> list[str]:
    """A line for everyone who failed or disagrees."""
    lines = []
    for contestant in result.program.contestants:
        outcome = result.outcomes[contestant.name]
        if outcome is None or outcome.failure == INTERRUPTED:
            continue
        if outcome.failure:
            lines.append(f"{contestant.name} failed: {outcome.failure}")
        elif not result.agrees(contestant):
            lines.append(
                f"{contestant.name} DISAGREES with {result.referee}: relative difference "
                f"{result.apart(contestant):.1e}, at most {contestant.tolerance:.0e} is allowed"
            )
    return lines


class _Column(NamedTuple):
    """``cell`` is what it says of one that has finished.  Where there is no room, columns of the
    highest rank go first."""

    rank: int
    heading: str
    cell: Callable[[Contestant, Outcome], str]


def _columns(result: Result) -> Iterator[_Column]:
    program, scale = result.program, {"ms": 1e3, "µs": 1e6}[result.program.unit]

    def share(contestant: Contestant) -> float:
        return contestant.share(result.problem)

    def partly(contestant: Contestant) -> str:
        return "*" if share(contestant) < 1 else ""

    def ratio(contestant: Contestant) -> str:
        return _number(result.ratio(contestant)) if _is_compared(result, contestant) else ""

    def target(contestant: Contestant) -> str:
        if (target := contestant.target) is None:
            return ""
        return f"{target:g}" + (
            f": {mark(result.ratio(contestant) <= target)}"
            if _is_compared(result, contestant)
            else ""
        )

    def apart(contestant: Contestant) -> str:
        apart = f"{result.apart(contestant):.0e}"
        return apart if result.agrees(contestant) else f"[bold red]{apart} DISAGREES[/]"

    # which an interrupted one, or a quick one, may not have done
    def whole(outcome: Outcome, calls: int) -> str:
        return f"{_in_all(outcome, calls):.2f}" if 1 <= calls <= 1 + len(outcome.rounds) else ""

    yield _Column(5, "first call, s", lambda c, outcome: f"{outcome.first[0]:.2f}{partly(c)}")
    yield _Column(
        0,
        f"{program.work}, {program.unit}",
        lambda c, _: f"{_number(scale * median(result.times(c)))}{partly(c)}",
    )
    yield _Column(7, "least", lambda c, _: _number(scale * min(result.times(c))))
    yield _Column(
        4,
        "by the clock",
        lambda c, outcome: _number(scale * median(wall for _, wall in outcome.rounds) / share(c)),
    )
    if program.rate:
        made, count = program.rate[0], program.rate[1](result.problem)
        yield _Column(6, f"{made} / s", lambda c, _: f"{count / median(result.times(c)):,.0f}")
    if program.whole:
        yield _Column(3, f"{program.whole}, s", lambda c, outcome: whole(outcome, c.whole))
    yield _Column(0, "ours / theirs", lambda c, _: ratio(c))
    if any(contestant.target is not None for contestant in program.contestants):
        yield _Column(1, "target", lambda c, _: target(c))
    yield _Column(2, "differs by", lambda c, _: apart(c))


def _is_compared(result: Result, contestant: Contestant) -> bool:
    return contestant.name != OURS and not math.isnan(result.ratio(contestant))


def _in_all(outcome: Outcome, calls: int) -> float:
    return outcome.first[0] + sum(cpu for cpu, _ in outcome.rounds[:calls - 1])


def _limits(program: Program, ours: Outcome) -> Iterable[str]:
    """Lines that say whether what is asked of us alone was reached."""
    for what, limit, seconds in (("first call", program.first_limit, ours.first[0]),
                                 (program.whole, program.whole_limit, _in_all(ours, 1))):
        if limit is not None:
            yield (
                f"Our {what}, tracing and compiling included: {seconds:.2f} s, "
                f"target {limit:g} s: {mark(seconds <= limit)}"
            )


def _number(x: float) -> str:
    return f"{x:,.{0 if x >= 100 else 1 if x >= 10 else 2 if x >= 1 else 3}f}"
