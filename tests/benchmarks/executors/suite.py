"""``python -m tests.benchmarks executors``: sweeps, steps of `fit` and batches on executors.

It says whether they have the bits of one process, what they take next to it, and what a cost model
that is fitted here predicts for up to 1,000 workers.  Without Dask only a pool of processes is
measured.
"""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests.benchmarks.races.tables import surroundings, wide_console
from tinygrad_edu.errors import TinygradEduError, TrainingWarning

from . import tables
from .costs import Fitted, measured
from .loads import DASK, POOL, Work, same, typical, works
from .tables import MEASURED, Race

ROUNDS, QUICK_ROUNDS = 3, 1


def pool(workers: int) -> ProcessPoolExecutor:
    """Returns a pool of new processes."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


@contextmanager
def dask(workers: int) -> Iterator[Executor]:
    """Starts a Dask cluster of processes on this machine, and ends it."""
    distributed: Any = import_module("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


EXECUTORS: dict[str, Callable[[int], AbstractContextManager[Executor]]] = {POOL: pool, DASK: dask}


def race(work: Work, name: str, workers: int, executor: Executor, rounds: int) -> Race:
    """Runs a work here and on an executor, in turns; the first turns do not count."""
    found = Race(work, name, workers)
    for _ in range(rounds + 1):
        here, expected = work.run(None)
        there, results = work.run(executor)
        found.here.append(here)
        found.there.append(there)
        found.same &= same(expected, results)
    del found.here[0], found.there[0]
    return found


def on_executor(
    name: str, todo: Sequence[Work], rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[list[Race], Fitted]:
    """Measures works on an executor of one worker and of two, and the costs of it."""
    races: list[Race] = []
    for workers in MEASURED:
        say(f"{name} with {workers}: starting")
        with EXECUTORS[name](workers) as executor:
            if workers == MEASURED[-1]:
                say(f"{name} with {workers}: costs of a task")
                fitted = measured(name, executor, quick)
            for work in todo:
                say(f"{name} with {workers}: {work.name}")
                races.append(race(work, name, workers, executor, rounds))
    return races, fitted


def main(quick: bool = False) -> None:
    """Prints the tables.

    Raises TinygradEduError without llvmlite or numpy.
    """
    if any(find_spec(package) is None for package in ("llvmlite", "numpy")):
        raise TinygradEduError("what is measured is compiled code, which needs llvmlite and numpy: "
                               'pip install "tinygrad_edu[cluster]"')
    names = [POOL] if find_spec("distributed") is None else [POOL, DASK]
    console = wide_console()
    console.print(f"{surroundings()}\n", highlight=False)
    if DASK not in names:
        console.print('Dask is not installed; to measure it: pip install "tinygrad_edu[cluster]"\n',
                      markup=False, highlight=False)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    races: list[Race] = []
    fits: list[Fitted] = []
    with warnings.catch_warnings(), console.status("one process") as status:
        warnings.simplefilter("ignore", TrainingWarning)  # runs are too short to be good
        todo, machine = works(quick)
        for name in names:
            found, fitted = on_executor(name, todo, rounds, quick, status.update)
            races += found
            fits.append(fitted)
    console.print(tables.races(races, rounds))
    console.print(tables.computation(machine))
    console.print(tables.costs(fits))
    console.print(tables.check(races, fits, os.cpu_count() or 1))
    loads = [*[work.loads for work in todo], *typical(machine)]
    for each in fits:
        console.print(tables.efficiencies(each, loads, races))
