"""Programs in several engines, measured in rotation: each engine has a separate process with one
thread.

All processes of a program are started first and then take turns: round 1 of A, of B, of C, round 2
of A, ... All are bound to the same processor (if the system can do that), are told to use one
thread, and start without compiled code on disk. Times are processor times of all threads of a
process: on an idle machine they equal the clock's time, which is shown next to them. Preparing the
data is not timed.

Ctrl-C ends a race; its result is what was measured so far.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import resource_tracker
from statistics import median
from time import perf_counter, process_time
from typing import Any

ROUNDS, QUICK_ROUNDS = 7, 2
LEAST_SECONDS = 0.1  # of a round
OURS, EAGER = "tinygrad_edu, jit", "tinygrad_edu, eager"
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
}
INTERRUPTED = "interrupted"
CACHES = ("TINYGRAD_EDU_CACHE", "XDG_CACHE_HOME")  # where compiled code is kept


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a program.

    prepare     of the problem makes a function without arguments, which does the work and returns
                its results; what prepares the data is to be done by then, compiling may be
    needs       the package that must be installed
    share       the part of the work that one call does: 1, or less where all of it would take
                minutes, or more
    calls       calls a round; None: as many as take a tenth of a second.  1 if each call continues
                where the last one ended; its results are then all results so far
    whole       how many calls, from the first one on, do the work of the column ``whole``; 0: it is
                never finished
    target      for our time over its time
    tolerance   how far its results may be from the reference's, relatively
    """

    name: str
    prepare: Callable[[Any], Callable[[], Any]]
    needs: str = "tinygrad_edu"
    share: Callable[[Any], float] = lambda problem: 1.0
    calls: int | None = None
    whole: int = 0
    target: float | None = None
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Timed:
    """Results of a call that measured its work by itself, without tracing and compiling: seconds as
    those of `clocked`."""

    results: Any
    seconds: tuple[float, float]


def flat(results: Any) -> list[float]:
    """All numbers of nested sequences and arrays, in order."""
    if hasattr(results, "tolist"):
        results = results.tolist()
    return (
        [float(results)]
        if isinstance(results, (int, float))
        else [x for part in results for x in flat(part)]
    )


@dataclass(frozen=True)
class Program:
    """What the contestants do.

    module        the module whose ``PROGRAM`` this is
    problem       makes the data of it, small ones if its argument is true
    work          what is timed, for a heading
    unit          in which, "ms" or "µs"
    read          the numbers of a contestant's results, in an order that is the same for all
    rate          how many results are made by the work, and what they are called: a column says how
                  many of them a second
    whole         what is done by the first calls together, for a column with its time; None: there
                  is no such column
    first_limit, whole_limit    targets for our first call and for ``whole``, in seconds
    verdict       says of the reference's results whether they are as published
    """

    module: str
    title: str
    problem: Callable[[bool], Any]
    contestants: tuple[Contestant, ...]
    note: str = ""
    work: str = "a call"
    unit: str = "ms"
    read: Callable[[Any], Sequence[float]] = flat
    rate: tuple[str, Callable[[Any], int]] | None = None
    whole: str | None = None
    first_limit: float | None = None
    whole_limit: float | None = None
    verdict: Callable[[Sequence[float]], str] | None = None


# ---- in the process of a contestant --------------------------------------------------------------


def clocked(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What ``work()`` returns, and its seconds of the processor and of the clock."""
    wall, cpu = perf_counter(), process_time()
    result = work()
    return result, (process_time() - cpu, perf_counter() - wall)


def contest(
    connection: Any,
    module: str,
    name: str,
    quick: bool,
    surroundings: dict[str, str],
    processor: int | None,
) -> None:
    """Does the contestant's work whenever ``connection`` asks for a round; then sends the results,
    and ends.

    Sends the number of seconds of preparing and first call, then of every round a call; text if
    anything is raised.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that prints
    os.environ.update(surroundings)  # before a library is imported that reads them
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    try:
        program = import_module(module).PROGRAM
        contestant = next(c for c in program.contestants if c.name == name)
        problem = program.problem(quick)
        import_module(contestant.needs)

        def first() -> tuple[Callable[[], Any], Any]:
            run = contestant.prepare(problem)
            return run, run()

        (run, results), seconds = clocked(first)
        connection.send(seconds)
        calls = contestant.calls
        if calls is None:
            _, (cpu, _) = clocked(run)
            calls = 1 if quick else max(1, math.ceil(LEAST_SECONDS / max(cpu, 1e-7)))
        while connection.recv():
            def repeat() -> Any:
                for _ in range(calls - 1):
                    run()
                return run()

            results, (cpu, wall) = clocked(repeat)
            connection.send(
                results.seconds if isinstance(results, Timed) else (cpu / calls, wall / calls)
            )
        connection.send(
            array("d", program.read(results.results if isinstance(results, Timed) else results))
        )
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")


# ---- in the process that prints ------------------------------------------------------------------


@dataclass
class Outcome:
    """What a contestant achieved: (processor's, clock's) seconds, and the results; or why it did
    not."""

    first: tuple[float, float] = (math.nan, math.nan)
    rounds: list[tuple[float, float]] = field(default_factory=list)
    results: Sequence[float] = ()
    failure: str = ""


class _Process:
    """A contestant at work."""

    def __init__(
        self,
        program: Program,
        contestant: Contestant,
        quick: bool,
        folder: str,
        processor: int | None,
    ) -> None:
        # a fresh interpreter, in which nothing is imported yet
        context = multiprocessing.get_context("spawn")
        self._connection, its_end = context.Pipe()
        surroundings = SURROUNDINGS | dict.fromkeys(CACHES, folder)
        self._process = context.Process(target=contest, daemon=True, args=(
            its_end, program.module, contestant.name, quick, surroundings, processor))
        self.outcome = Outcome()
        self._busy = True  # as long as it owes an answer
        with _deaf_to_interrupts():
            self._process.start()
        its_end.close()

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            answer = "its process died"
        self._busy = False
        if not isinstance(answer, str):
            return answer
        self.outcome.failure = answer
        return None

    def _ask(self, more: bool) -> Any:
        self._connection.send(more)
        self._busy = True
        return self._answer()

    def first(self) -> None:
        """Waits until the first call is done."""
        if (first := self._answer()) is not None:
            self.outcome.first = first

    def round(self) -> None:
        """One more round."""
        if not self.outcome.failure and (seconds := self._ask(True)) is not None:
            self.outcome.rounds.append(seconds)

    def finish(self) -> None:
        """Keeps the results; of a process that was interrupted at work, or before its first round,
        there are none."""
        if self._busy or not (self.outcome.rounds or self.outcome.failure):
            self.outcome.failure = INTERRUPTED
        elif not self.outcome.failure:
            self.outcome.results = self._ask(False) or ()

    def end(self) -> None:
        """Ends the process."""
        if self._busy or self.outcome.failure:
            self._process.kill()
        self._process.join()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A process started within the block, which inherits the mask, is not reached by Ctrl-C; this
    one is, afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # whose start would undo the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class Result:
    """What a race has shown.

    outcomes      of every contestant by name, None for one whose package is not installed
    interrupted   whether Ctrl-C ended it; contestants without a result then have the failure
                  ``INTERRUPTED``
    """

    program: Program
    quick: bool
    outcomes: dict[str, Outcome | None]
    interrupted: bool

    @cached_property
    def problem(self) -> Any:
        """The data of the program."""
        return self.program.problem(self.quick)

    @cached_property
    def finished(self) -> dict[str, Outcome]:
        """The outcomes with times and results."""
        return {
            name: outcome
            for name, outcome in self.outcomes.items()
            if outcome is not None and not outcome.failure
        }

    @property
    def referee(self) -> str:
        """Whose results the others' are compared with: the eager engine's, else the first there
        are; "" without any."""
        return EAGER if EAGER in self.finished else next(iter(self.finished), "")

    @property
    def reference(self) -> Sequence[float]:
        """The results of the referee."""
        return self.finished[self.referee].results if self.finished else ()

    def times(self, contestant: Contestant) -> list[float]:
        """Seconds of the processor for the whole work, in every round; of one that has finished."""
        share = contestant.share(self.problem)
        return [cpu / share for cpu, _ in self.finished[contestant.name].rounds]

    def ratio(self, contestant: Contestant) -> float:
        """Our time over that of one that has finished, the median of the rounds; nan if we have
        not."""
        if OURS not in self.finished:
            return math.nan
        ours = next(c for c in self.program.contestants if c.name == OURS)
        return median(a / b for a, b in zip(self.times(ours), self.times(contestant)))

    def apart(self, contestant: Contestant) -> float:
        """How far the results of one that has finished are from the referee's: their `difference`.
        """
        return difference(self.finished[contestant.name].results, self.reference)

    def agrees(self, contestant: Contestant) -> bool:
        """Whether they are near enough."""
        return self.apart(contestant) <= contestant.tolerance


def race(program: Program, quick: bool) -> Result:
    """Lets all contestants run whose packages are installed."""
    processor = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    there = [
        contestant for contestant in program.contestants if find_spec(contestant.needs) is not None
    ]
    processes: dict[str, _Process] = {}
    interrupted = True
    with ExitStack() as stack:
        with suppress(KeyboardInterrupt):
            for contestant in there:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                process = processes[contestant.name] = _Process(
                    program, contestant, quick, folder, processor
                )
                stack.callback(process.end)
                process.first()
            for _ in range(QUICK_ROUNDS if quick else ROUNDS):
                for process in processes.values():
                    process.round()
            interrupted = False
        for process in processes.values():
            process.finish()
    outcomes: dict[str, Outcome | None] = {
        contestant.name: None for contestant in program.contestants
    }
    outcomes.update({contestant.name: Outcome(failure=INTERRUPTED) for contestant in there})
    outcomes.update({name: process.outcome for name, process in processes.items()})
    return Result(program, quick, outcomes, interrupted)


def difference(results: Sequence[float], reference: Sequence[float]) -> float:
    """Returns the largest relative difference of two lists, up to the shorter length; inf if one is
    empty or has no numbers.

    What is less than a millionth of the largest number of the reference counts as if it were that.
    """
    count = min(len(results), len(reference))
    least = 1e-6 * max(map(abs, reference[:count]), default=0.0)
    differences = [
        abs(x - y) / max(abs(y), least) if x != y else 0.0
        for x, y in zip(results[:count], reference)
    ]
    return math.inf if not differences or any(map(math.isnan, differences)) else max(differences)
