"""What a race has shown, as a table for the terminal, with all trouble said beneath it."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from statistics import median
from typing import TYPE_CHECKING

from .race import INTERRUPTED, OURS, QUICK_ROUNDS, ROUNDS, Contestant, Outcome, Program, Result

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
    return f"Python {platform.python_version()}, {', '.join(map(_version, PACKAGES))}; {os.cpu_count()} processors"


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"no {package}"


def mark(reached: bool) -> str:
    """How a table says whether a target was reached."""
    return "[green]ok[/]" if reached else "[red]not reached[/]"


def show(console: Console, result: Result) -> None:
    """Prints the table, and then, loudly, who failed or disagrees."""
    from rich.markup import escape

    console.print(table(result))
    for line in trouble(result):
        console.print(f"[bold red]{escape(line)}[/]", highlight=False)
    console.print()


def table(result: Result) -> Table:
    """A row for every contestant."""
    from rich.table import Table

    program, finished = result.program, result.finished
    made = Table(title=program.title, title_justify="left", caption_justify="left", caption="\n".join(filter(None, (
        f"Medians of {QUICK_ROUNDS if result.quick else ROUNDS} rounds in rotation, processor time, one thread each; "
        f"differences from {result.referee or 'nobody'}.", program.note,
        program.verdict(result.reference) if program.verdict and finished else "",
        *(_limits(program, finished[OURS]) if OURS in finished else ())))))
    for heading in _headings(program):
        made.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=heading == "engine")
    for contestant in program.contestants:
        outcome = result.outcomes[contestant.name]
        if outcome is None:
            made.add_row(contestant.name, "not installed")
        elif outcome.failure:
            made.add_row(contestant.name, INTERRUPTED if outcome.failure == INTERRUPTED else "[red]failed[/]")
        else:
            apart = f"{result.apart(contestant):.0e}"
            made.add_row(contestant.name, *_figures(result, contestant, outcome),
                         apart if result.agrees(contestant) else f"[bold red]{apart} DISAGREES[/]")
    return made


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
            lines.append(f"{contestant.name} DISAGREES with {result.referee}: relative difference "
                         f"{result.apart(contestant):.1e}, at most {contestant.tolerance:.0e} is allowed")
    return lines


def _headings(program: Program) -> Iterable[str]:
    yield from ("engine", "first call, s", f"{program.work}, {program.unit}", "least", "by the clock")
    if program.rate:
        yield f"{program.rate[0]} / s"
    if program.whole:
        yield f"{program.whole}, s"
    yield "ours / theirs"
    if _has_targets(program):
        yield "target"
    yield "difference"


def _has_targets(program: Program) -> bool:
    return any(contestant.target is not None for contestant in program.contestants)


def _in_all(outcome: Outcome, calls: int) -> float:
    return outcome.first[0] + sum(cpu for cpu, _ in outcome.rounds[:calls - 1])


def _limits(program: Program, ours: Outcome) -> Iterable[str]:
    """Lines that say whether what is asked of us alone was reached."""
    for what, limit, seconds in (("first call", program.first_limit, ours.first[0]),
                                 (program.whole, program.whole_limit, _in_all(ours, 1))):
        if limit is not None:
            yield f"Our {what}, tracing and compiling included: {seconds:.2f} s, target {limit:g} s: {mark(seconds <= limit)}"


def _figures(result: Result, contestant: Contestant, outcome: Outcome) -> Iterable[str]:
    """The cells of a row, but for the first one and the last."""
    program, scale = result.program, {"ms": 1e3, "µs": 1e6}[result.program.unit]
    times, share = result.times(contestant), contestant.share(result.problem)
    wall = median(wall for _, wall in outcome.rounds) / share
    partly = "*" if share < 1 else ""
    yield f"{outcome.first[0]:.2f}{partly}"
    yield f"{_number(scale * median(times))}{partly}"
    yield _number(scale * min(times))
    yield "" if math.isnan(wall) else _number(scale * wall)
    if program.rate:
        yield f"{program.rate[1](result.problem) / median(times):,.0f}"
    if program.whole:  # which an interrupted one, or a quick one, may not have done
        yield f"{_in_all(outcome, contestant.whole):.2f}" if 1 <= contestant.whole <= 1 + len(outcome.rounds) else ""
    ratio, target = result.ratio(contestant), contestant.target
    compared = contestant.name != OURS and not math.isnan(ratio)
    yield _number(ratio) if compared else ""
    if _has_targets(program):
        yield "" if target is None else f"{target:g}: {mark(ratio <= target)}" if compared else f"{target:g}"


def _number(x: float) -> str:
    return f"{x:,.{0 if x >= 100 else 1 if x >= 10 else 2 if x >= 1 else 3}f}"
