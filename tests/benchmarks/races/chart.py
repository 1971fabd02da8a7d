"""The results of races as bars: the time of every engine relative to this one, on a logarithmic
scale."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.benchmarks.races.race import OURS, Program, Result

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.table import Table

TITLE = f"Time relative to {OURS}: less is better"
WIDTH = 60  # characters of the longest bar
DISTRIBUTIONS = {"ddx": "ddx-ad"}  # the name of a package in pip, if it differs from the module's


def factors(result: Result) -> dict[str, float]:
    """How many times this engine's time the others take, in the order of the table; this engine
    itself is 1.

    Only those whose results agree are in it.  Empty if this engine has no time.
    """
    agreed = [
        c for c in result.program.contestants if c.name in result.finished and result.agrees(c)
    ]
    return {c.name: 1 / ratio for c in agreed if not math.isnan(ratio := result.ratio(c))}


def heading(result: Result) -> str:
    """What a program's bars stand under."""
    return re.split("[:,]", result.program.title)[0]


def chart(results: Sequence[Result]) -> Table | None:
    """The bars of all programs on one scale, as long as there is room for; None if there are none
    to draw."""
    from rich.table import Table

    groups = [(result, found) for result in results if (found := factors(result))]
    if not groups:
        return None
    logarithms = [math.log10(factor) for _, found in groups for factor in found.values()]
    low, high = min(0.0, *logarithms), max(0.0, *logarithms)
    made = Table(
        title=TITLE,
        title_justify="left",
        box=None,
        show_header=False,
        caption_justify="left",
        caption=explanation(results),
    )
    made.add_column(no_wrap=True)
    made.add_column()  # the only one that gives way where there is no room
    made.add_column(no_wrap=True, justify="right")
    for result, found in groups:
        made.add_row(f"[bold]{heading(result)}[/]")
        for name, factor in found.items():
            made.add_row(
                f"  {name}",
                _Bar(factor, low, high),
                f"{factor:.3g}" if factor < 100 else f"{factor:,.0f}",
            )
        made.add_row()
    return made


@dataclass(frozen=True)
class _Bar:
    """A bar from 1 to ``factor``; the room it is given goes from 10**low to 10**high."""

    factor: float
    low: float
    high: float

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(1, WIDTH + 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        scale = (options.max_width - 1) / max(self.high - self.low, 1e-9)
        origin, end = round(-self.low * scale), round((math.log10(self.factor) - self.low) * scale)
        yield Text.assemble(
            " " * min(origin, end),
            ("█" * (origin - end), "magenta"),
            "│",
            ("█" * (end - origin), "cyan"),
        )


def explanation(results: Sequence[Result]) -> str:
    """Returns the text below the bars."""
    return "\n".join(
        [
            f"To the right of the line: slower than {OURS}; to the left: faster.",
            "Logarithmic scale: bars of the same length are the same factor.",
            *filter(None, [warning(results)]),
        ]
    )


def warning(results: Sequence[Result]) -> str:
    """Returns a warning about numbers that mean nothing; "" if they are meaningful."""
    return (
        "Sizes were tiny (--quick): the numbers mean nothing."
        if any(result.quick for result in results)
        else ""
    )


def missing(programs: Sequence[Program]) -> list[str]:
    """Returns the packages, by their names in pip, that contestants need and that are not
    installed."""
    needs = dict.fromkeys(
        contestant.needs for program in programs for contestant in program.contestants
    )
    return [DISTRIBUTIONS.get(name, name) for name in needs if find_spec(name) is None]
