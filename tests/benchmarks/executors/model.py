"""A cost model of work on an executor: how much W workers gain.

    costs = Costs("pool", parent=Cost(1e-4), worker=Cost(5e-5), trip=Cost(3e-4), spread=0.05)
    load = Load("sweep", compute=1000.0, tasks=lambda workers: 1000)
    efficiency(load, costs, workers=64)

All times are seconds, all sizes bytes.  The model is LogGP (A. Alexandrov, M. Ionescu, K. Schauser,
C. Scheiman, LogGP, SPAA 1995) for one parent and W workers: a message costs each end its processor
for a while, per message and per byte, and it has a latency.  Added are stragglers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Cost:
    """Seconds of a task without computation: ``task + sent * bytes + returned * bytes``.

    task: seconds for each task.
    sent, returned: seconds for each byte that goes to the worker, and for each that comes back.
    """

    task: float = 0.0
    sent: float = 0.0
    returned: float = 0.0

    def __call__(self, sent: float, returned: float) -> float:
        """Returns the seconds of a task with so many bytes."""
        return self.task + self.sent * sent + self.returned * returned


@dataclass(frozen=True)
class Costs:
    """What an executor costs.

    parent: seconds in which a task keeps the parent's processor busy: submitting, serialising,
        scheduling, reading the result.
    worker: the same in the worker.
    trip: seconds from submitting a task to its result, if there is no other task.  ``trip.task`` is
        the latency, and 1 / ``trip.sent`` the bandwidth.
    spread: the standard deviation of the durations of equal tasks, over their mean.
    """

    name: str
    parent: Cost = Cost()
    worker: Cost = Cost()
    trip: Cost = Cost()
    spread: float = 0.0
    noise: float = 0.0

    def deviation(self, duration: float) -> float:
        """Returns the standard deviation of tasks of this mean duration, over the duration."""
        return math.sqrt(self.spread**2 + self.noise / duration)


@dataclass(frozen=True)
class Load:
    """Work that can be divided into tasks of the same size.

    compute: seconds of computation of all tasks together.
    tasks: how many there are for a number of workers.
    serial: seconds of computation that cannot be divided, in the parent.
    message: bytes sent with each task.
    sent, returned: bytes that all tasks together are sent, and return.
    own: seconds that the parent works for all tasks together, besides messages: copying and adding.
    most: how many tasks are submitted before the first of them is finished.
    """

    name: str
    compute: float
    tasks: Callable[[int], int]
    serial: float = 0.0
    message: float = 0.0
    sent: float = 0.0
    returned: float = 0.0
    own: float = 0.0
    most: Callable[[int], float] = lambda workers: math.inf

    @property
    def alone(self) -> float:
        """The seconds of one process without an executor."""
        return self.serial + self.compute


def largest(count: int) -> float:
    """Returns the expected largest of ``count`` independent standard normal numbers.

    For one number it is 0, for two 1/sqrt(pi).  With F, the normal distribution function, it is the
    integral of 1 - F(x)^count - F(-x)^count over x > 0 (by parts, from that of x dF(x)^count).
    """
    step = 0.01
    normal = NormalDist()
    points = [step * (i + 0.5) for i in range(1000)]
    return step * sum(1 - normal.cdf(x)**count - normal.cdf(-x)**count for x in points)


def _times(load: Load, costs: Costs, workers: int) -> tuple[float, float, float]:
    """Returns the time of the work, that in which the parent is busy, and that of all processors.
    """
    tasks = load.tasks(workers)
    working = int(min(workers, tasks, load.most(workers)))
    sent, returned = load.message + load.sent / tasks, load.returned / tasks
    own = load.own / tasks
    parent = costs.parent(sent, returned) + own
    worker = costs.worker(sent, returned)
    compute = load.compute / tasks
    rounds = math.ceil(tasks / working)
    straggling = costs.deviation(compute) * compute * math.sqrt(rounds) * largest(working)
    by_parent = (tasks - 1) * parent + compute
    by_workers = (working - 1) * parent + rounds * compute + (rounds - 1) * worker + straggling
    time = load.serial + costs.trip(sent, returned) + own + max(by_parent, by_workers)
    busy = load.serial + tasks * parent
    return time, busy, busy + load.compute + tasks * worker


def seconds(load: Load, costs: Costs, workers: int, processors: float = math.inf) -> float:
    """Returns the time of the work with so many workers.

    With N tasks of c seconds, p seconds of the parent and w seconds of a worker for each of them,
    W workers and k = N / W tasks for each, rounded up::

        serial + trip + max((N - 1) p + c, (W - 1) p + (k - 1) w + k c + sqrt(k) d c m(W))

    The last task leaves the parent after N - 1 others, and makes a whole trip.  Or, the last worker
    gets its first task after W - 1 others, and has k of them to do.  The slowest of W workers needs
    longer than the mean: a sum of k durations has the standard deviation sqrt(k) d c, with d from
    `Costs.deviation`, and the largest of W normal numbers is m(W) standard deviations above the
    mean (`largest`).

    processors: how many there are, for parent and workers on one machine.  By default each has one.
    """
    time, _, work = _times(load, costs, workers)
    return max(time, work / processors)


def efficiency(load: Load, costs: Costs, workers: int, processors: float = math.inf) -> float:
    """Returns the time of one process over the time of all workers together: 1 is ideal."""
    return load.alone / (workers * seconds(load, costs, workers, processors))


def parent_share(load: Load, costs: Costs, workers: int) -> float:
    """Returns in which part of the time the parent is busy; with 1, more workers gain nothing."""
    time, busy, _ = _times(load, costs, workers)
    return busy / time


# ---- fitting -------------------------------------------------------------------------------------


def fitted(rows: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[float]:
    """Returns the factors, 0 or larger, with which the columns of ``rows`` add up to ``seconds``.

    It is least squares of relative errors, so that short times count as much as long ones.  A
    column whose factor would be negative, which no cost is, gets 0.

    Raises:
        ValueError: there are fewer rows than columns, or a time is not positive.
    """
    import numpy as np

    if len(rows) < len(rows[0]) or min(seconds) <= 0:
        raise ValueError(
            f"fitted: seconds must be {len(rows[0])} positive numbers or more, not {seconds}; "
            "measure more sizes"
        )
    table = np.array(rows, dtype=float) / np.array(seconds)[:, None]
    factors = np.zeros(table.shape[1])
    used = [*range(table.shape[1])]
    while used:
        found, *_ = np.linalg.lstsq(table[:, used], np.ones(len(rows)), rcond=None)
        if min(found) >= 0:
            factors[used] = found
            break
        del used[int(found.argmin())]
    return [float(x) for x in factors]


def fitted_cost(measured: Sequence[tuple[float, float, float]]) -> Cost:
    """Returns the cost that fits triples of bytes sent, bytes returned, and seconds."""
    rows = [(1.0, sent, returned) for sent, returned, _ in measured]
    return Cost(*fitted(rows, [time for _, _, time in measured]))


def fitted_spread(measured: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Returns spread and noise that fit pairs of mean durations and standard deviations."""
    rows = [(mean * mean, mean) for mean, _ in measured]
    square, noise = fitted(rows, [deviation**2 for _, deviation in measured])
    return math.sqrt(square), noise


def misfit(cost: Cost, measured: Sequence[tuple[float, float, float]]) -> float:
    """Returns the root of the mean square of the relative errors of a cost."""
    errors = [cost(sent, returned) / time - 1 for sent, returned, time in measured]
    return math.sqrt(sum(error * error for error in errors) / len(errors))
