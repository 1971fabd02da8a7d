"""The tables of the suite: bits and times, costs, and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from rich.table import Table

from tests.benchmarks.races.tables import mark
from tinygrad_edu.errors import counted

from .costs import SPIN_SECONDS, Fitted
from .loads import DASK, POOL, Machine, Work
from .model import Load, efficiency, largest, parent_share

WORKERS = (1, 2, 4, 8, 16, 32, 64, 100, 300, 1000)
MOST_OF_A_POOL = 64  # workers, for which there are machines
MEASURED = (1, 2)  # workers
STEP_LIMITS = {POOL: 10e-3, DASK: 40e-3}  # seconds of a step above its computation
BATCH_LIMIT = 1.5  # times one process, with one worker


@dataclass
class Race:
    """The seconds of a work in one process and on an executor, in turns, and whether all bits were
    the same."""

    work: Work
    executor: str
    workers: int
    here: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)
    same: bool = True

    @property
    def ratio(self) -> float:
        """The time on the executor over that in one process, the median of the rounds."""
        return median(there / here for here, there in zip(self.here, self.there))

    @property
    def efficiency(self) -> float:
        """The measured counterpart of `model.efficiency`."""
        return 1 / (self.workers * self.ratio)

    @property
    def above(self) -> float:
        """Seconds above the computation, which all workers share."""
        return median(
            there - here / self.workers for here, there in zip(self.here, self.there)
        )

    def limit(self) -> str:
        """Returns the limit, and whether it was reached; "" if there is none."""
        if self.work.kind == "step":
            limit = STEP_LIMITS[self.executor]
            return f"{1e3 * limit:g} ms above: {mark(self.above <= limit)}"
        if self.work.kind == "batch" and self.workers == 1:
            return f"{BATCH_LIMIT:g} times: {mark(self.ratio <= BATCH_LIMIT)}"
        return ""


def _table(title: str, caption: str, first: Sequence[str], others: Sequence[str]) -> Table:
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for heading in first:
        table.add_column(heading, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def percent(x: float) -> str:
    """Returns a fraction in per cent, with two digits below 10, and none below 0.1."""
    if x < 0.001:
        return "<0.1"
    return f"{100 * x:.0f}" if x >= 0.0995 else f"{100 * x:.2g}"


def races(found: Sequence[Race], rounds: int) -> Table:
    """Times of executors next to those of one process."""
    table = _table(
        "On executors, next to one process",
        f"Medians of {counted(rounds, 'round')} in turns, by the clock; of a step, of a run's.\n"
        "Above the computation: without the time of one process, divided by the workers.",
        ("work", "executor"),
        ("workers", "one\nprocess, ms", "executor,\nms", "ratio", "above the\ncomputation, ms",
         "limit", "the same\nbits"),
    )
    for race in found:
        table.add_row(
            race.work.name, race.executor, str(race.workers), f"{1e3 * median(race.here):,.2f}",
            f"{1e3 * median(race.there):,.2f}", f"{race.ratio:.2f}", f"{1e3 * race.above:,.2f}",
            race.limit(), "ok" if race.same else "[bold red]DIFFER[/]",
        )
    return table


def computation(machine: Machine) -> Table:
    """What computation costs in one process."""
    table = _table(
        "Computation in one process", "Seconds of the processor; of steps, the least by the clock.",
        ("what",), ("seconds",),
    )
    table.add_row("a training of the sweep", f"{machine.training:.3g}")
    for cost in machine.steps:
        network = f"{cost.network} network, {cost.sums - 1:,} parameters"
        table.add_row(f"{network}: a block of 64 samples", f"{cost.block:.3g}")
        table.add_row(f"{network}: what a step takes besides blocks", f"{cost.fixed:.3g}")
        table.add_row(f"{network}: adding a byte of sums", f"{cost.add:.3g}")
    table.add_row("Black-Scholes with greeks: a row", f"{machine.row.compute:.3g}")
    table.add_row("copying a row to a worker's memory and back", f"{machine.row.copy:.3g}")
    return table


def costs(found: Sequence[Fitted]) -> Table:
    """What executors cost."""
    table = _table(
        "Costs of a task, fitted",
        "Least squares of relative errors, over messages from 0 to 2 MB; fits to: the root of the\n"
        "mean square of these errors.  Parent and worker: seconds of their processors.\n"
        "MB/s: of messages that are as long in both directions.\n"
        "Equal tasks of c seconds have the standard deviation sqrt((spread c)^2 + noise c).\n"
        f"Longer of two tasks of some {SPIN_SECONDS[-1]:g} s: over the mean.  Both are of their\n"
        "processors, since workers on a cluster do not share theirs with other programs.",
        ("executor", "where"),
        ("a task, ms", "sent, ns\na byte", "returned, ns\na byte", "MB/s", "fits to, %",
         "spread, %", "noise, ms", "longer of two"),
    )
    for costs, errors, length, longer in found:
        expected = 1 + costs.deviation(length) * largest(2)
        for where, cost in (
            ("parent", costs.parent), ("worker", costs.worker), ("round trip", costs.trip)
        ):
            is_trip = cost is costs.trip
            both = cost.sent + cost.returned
            table.add_row(
                costs.name, where, f"{1e3 * cost.task:.3f}", f"{1e9 * cost.sent:.2f}",
                f"{1e9 * cost.returned:.2f}", f"{2e-6 / both:,.0f}" if both else "",
                percent(errors["trip" if is_trip else where]),
                percent(costs.spread) if is_trip else "",
                f"{1e3 * costs.noise:.2g}" if is_trip else "",
                f"{expected:.3f}, measured {longer:.3f}" if is_trip else "",
            )
    return table


def check(found: Sequence[Race], fits: Sequence[Fitted], processors: int) -> Table:
    """What the model says of what was measured."""
    table = _table(
        f"Efficiency here, %, with {processors} processors for parent and workers",
        "The time of one process / (workers x time with workers).",
        ("work", "executor"), ("workers", "predicted", "measured"),
    )
    by_name = {each.costs.name: each.costs for each in fits}
    for race in found:
        expected = efficiency(
            race.work.loads[race.executor], by_name[race.executor], race.workers, processors
        )
        table.add_row(
            race.work.name, race.executor, str(race.workers), percent(expected),
            percent(race.efficiency),
        )
    return table


def efficiencies(
    fit: Fitted, loads: Sequence[Mapping[str, Load]], found: Sequence[Race]
) -> Table:
    """Predicted efficiencies of an executor for many workers."""
    costs = fit.costs
    counts = [count for count in WORKERS if costs.name == DASK or count <= MOST_OF_A_POOL]
    table = _table(
        f"Predicted efficiency, %: {costs.name}, by the number of workers",
        "The time of one process / (workers x time with workers).  * the parent is busy for more\n"
        "than half of the time.  In brackets what was measured here, where parent and workers\n"
        "share the processors; all else is a prediction of the model, for a processor each.",
        ("load",), [str(count) for count in counts],
    )
    measured = {
        (race.work.name, race.workers): race.efficiency
        for race in found if race.executor == costs.name
    }
    for load in [each[costs.name] for each in loads]:
        cells = []
        for count in counts:
            is_limit = parent_share(load, costs, count) > 0.5
            cell = percent(efficiency(load, costs, count)) + ("*" if is_limit else "")
            if (load.name, count) in measured:
                cell += f" ({percent(measured[load.name, count])})"
            cells.append(cell)
        table.add_row(load.name, *cells)
    return table
