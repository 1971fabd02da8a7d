"""Measures what a task on an executor costs, for the model."""

from __future__ import annotations

from concurrent.futures import Executor
from itertools import count, pairwise
from statistics import fmean, median, stdev
from time import perf_counter, process_time
from typing import NamedTuple

from tinygrad_edu.jit.parallel.executors import Task, Workers

from . import tasks
from .model import Cost, Costs, fitted_cost, fitted_spread, misfit

# bytes sent and returned
SIZES = (
    (0, 0), (10_000, 10_000), (100_000, 0), (0, 100_000), (1_000_000, 0), (0, 1_000_000),
    (2_000_000, 2_000_000),
)
IN_FLIGHT = 16  # tasks, when the processors are measured
SPIN_SECONDS = (0.01, 0.05, 0.2)  # of equal tasks, which are repeated to see how they differ

Points = list[tuple[float, float, float]]  # bytes sent, bytes returned, seconds
_numbers = count()


class Fitted(NamedTuple):
    """Costs, and how well they fit.

    errors: the relative error of each.
    length, longer: the mean duration of the longest of equal tasks, and the longer of two of them,
        over the mean.
    """

    costs: Costs
    errors: dict[str, float]
    length: float
    longer: float


def _echoes(number: int, sent: int, returned: int) -> list[Task]:
    given = tasks.noise(sent)
    return [
        Task(tasks.echo, [], [bytearray(given), returned, next(_numbers)]) for _ in range(number)
    ]


def _trip(workers: Workers, number: int, sent: int, returned: int) -> float:
    """Returns the seconds of a task that is alone."""
    times = []
    for task in _echoes(number, sent, returned):
        began = perf_counter()
        [*workers.results([task], most=lambda: 1)]
        times.append(perf_counter() - began)
    return median(times)


def _processors(
    workers: Workers, number: int, sent: int, returned: int
) -> tuple[float, float]:
    """Returns the seconds of processor a task costs here and in its worker, with many in flight."""
    echoes = _echoes(number, sent, returned)
    began = process_time()
    found = [*workers.results(echoes, most=lambda: IN_FLIGHT)]
    here = (process_time() - began) / number
    times: dict[int, list[float]] = {}
    for _, process, time in found:
        times.setdefault(process, []).append(time)
    gaps = sum(len(each) - 1 for each in times.values())
    there = sum(max(each) - min(each) for each in times.values()) / gaps
    return here, there


def measured(name: str, executor: Executor, quick: bool) -> Fitted:
    """Measures tasks of several sizes, and tasks of equal length, on an executor that is idle."""
    workers = Workers(executor, "executors")
    [*workers.results(_echoes(IN_FLIGHT, 0, 0), most=lambda: IN_FLIGHT)]
    rounds, number = (1, 8) if quick else (3, 40)
    points: dict[str, Points] = {"trip": [], "parent": [], "worker": []}
    for sent, returned in SIZES[:-1] if quick else SIZES:
        trip = _trip(workers, number, sent, returned)
        found = [_processors(workers, number, sent, returned) for _ in range(rounds)]
        here, there = map(median, zip(*found))
        for kind, time in (("trip", trip), ("parent", here), ("worker", there)):
            points[kind].append((sent, returned, max(time, 1e-7)))
    fits: dict[str, Cost] = {kind: fitted_cost(each) for kind, each in points.items()}
    errors = {kind: misfit(fits[kind], each) for kind, each in points.items()}
    differ = [_differing(workers, length, 6 if quick else 40) for length in SPIN_SECONDS]
    spread, noise = fitted_spread([(mean, deviation) for mean, deviation, _ in differ])
    mean, _, longer = differ[-1]
    return Fitted(Costs(name, **fits, spread=spread, noise=noise), errors, mean, longer / mean)


def _differing(workers: Workers, length: float, number: int) -> tuple[float, float, float]:
    """Returns mean and standard deviation of the durations of equal tasks, and the mean of the
    longer of two."""
    turns = int(1e5 * length / tasks.spin(100_000, 0))
    spins = [Task(tasks.spin, [], [turns, next(_numbers)]) for _ in range(number)]
    times = [*workers.results(spins, most=lambda: IN_FLIGHT)]
    return fmean(times), stdev(times), fmean(max(pair) for pair in pairwise(times))
