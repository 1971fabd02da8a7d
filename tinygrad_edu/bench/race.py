"""Programs in several engines, measured side by side: each engine in a process of its own, one thread, in rotation.

All processes of a program stand ready at once and take turns: round 1 of A, of B, of C, round 2 of A, ...  A process is
bound to one processor (where the system can do that), the same for all, and told to use one thread; it starts with no compiled
code on disk.  Times are processor time, of all threads of the process: on an idle machine that is what the clock says, on a
busy one what it would say.  The clock's time stands beside it.  Nothing is timed that only prepares the data.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from time import perf_counter, process_time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..eager import mark

ROUNDS, QUICK_ROUNDS = 7, 2
LEAST_SECONDS = 0.1  # of a round
OURS, EAGER = "tinygrad_edu, jit", "tinygrad_edu, eager"
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1",
}
CACHES = ("TINYGRAD_EDU_CACHE", "XDG_CACHE_HOME")  # where compiled code is kept


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a program.

    prepare     of the problem makes a function without arguments, which does the work and returns its results; what
                prepares the data is to be done by then, compiling may be
    needs       the package that must be installed
    share       the part of the work that one call does: 1, or less where all of it would take minutes, or more
    calls       calls a round; None: as many as take a tenth of a second.  1 if each call continues where the last one ended;
                its results are then all results so far
    whole       how many calls, from the first one on, do the work of the column ``whole``; 0: it is never finished
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
    """Results of a call that measured by itself the processor's seconds of its work, without tracing and compiling."""

    results: Any
    seconds: float


def flat(results: Any) -> list[float]:
    """All numbers of nested sequences and arrays, in order."""
    if hasattr(results, "tolist"):
        results = results.tolist()
    return [float(results)] if isinstance(results, (int, float)) else [x for part in results for x in flat(part)]


@dataclass(frozen=True)
class Program:
    """What the contestants do.

    module        the module whose ``PROGRAM`` this is
    problem       makes the data of it, small ones if its argument is true
    work          what is timed, for a heading
    unit          in which, "ms" or "µs"
    read          the numbers of a contestant's results, in an order that is the same for all
    rate          how many results are made by the work, and what they are called: a column says how many of them a second
    whole         what is done by the first calls together, for a column with its time; None: there is no such column
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


# ---- in the process of a contestant --------------------------------------------------------------------------------


def clocked(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What ``work()`` returns, and its seconds of the processor and of the clock."""
    wall, cpu = perf_counter(), process_time()
    result = work()
    return result, (process_time() - cpu, perf_counter() - wall)


def contest(connection: Any, module: str, name: str, quick: bool, surroundings: dict[str, str], processor: int | None) -> None:
    """Does the contestant's work whenever ``connection`` asks for a round; then sends the results, and ends.

    Sends the number of seconds of preparing and first call, then of every round a call; text if anything is raised.
    """
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
            connection.send((results.seconds, math.nan) if isinstance(results, Timed) else (cpu / calls, wall / calls))
        connection.send(array("d", program.read(results.results if isinstance(results, Timed) else results)))
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")


# ---- in the process that prints ------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a contestant achieved: (processor's, clock's) seconds, and the results; or why it did not."""

    first: tuple[float, float] = (math.nan, math.nan)
    rounds: list[tuple[float, float]] = field(default_factory=list)
    results: Sequence[float] = ()
    failure: str = ""


class _Process:
    """A contestant at work."""

    def __init__(self, program: Program, contestant: Contestant, quick: bool, folder: str, processor: int | None) -> None:
        context = multiprocessing.get_context("spawn")  # a fresh interpreter, in which nothing is imported yet
        self._connection, its_end = context.Pipe()
        surroundings = SURROUNDINGS | dict.fromkeys(CACHES, folder)
        self._process = context.Process(target=contest, daemon=True, args=(
            its_end, program.module, contestant.name, quick, surroundings, processor))
        self._process.start()
        its_end.close()
        self.outcome = Outcome()
        if (first := self._answer()) is not None:
            self.outcome.first = first

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            answer = "its process died"
        if not isinstance(answer, str):
            return answer
        self.outcome.failure = answer
        return None

    def round(self) -> None:
        """One more round."""
        if not self.outcome.failure:
            self._connection.send(True)
            if (seconds := self._answer()) is not None:
                self.outcome.rounds.append(seconds)

    def close(self) -> None:
        """Ends the process, and keeps its results."""
        if not self.outcome.failure:
            self._connection.send(False)
            self.outcome.results = self._answer() or ()
        self._process.join()


def race(program: Program, quick: bool) -> dict[str, Outcome | None]:
    """The outcome of every contestant by name, None for one whose package is not installed."""
    processor = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    outcomes: dict[str, Outcome | None] = {contestant.name: None for contestant in program.contestants}
    with ExitStack() as stack:
        running = []
        for contestant in program.contestants:
            if find_spec(contestant.needs) is not None:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                process = _Process(program, contestant, quick, folder, processor)
                outcomes[contestant.name] = process.outcome
                running.append(process)
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            for process in running:
                process.round()
        for process in running:
            process.close()
    return outcomes


def difference(results: Sequence[float], reference: Sequence[float]) -> float:
    """The largest relative difference of two lists, as far as both go; inf if one is empty or has no numbers.

    What is less than a millionth of the largest number of the reference counts as if it were that.
    """
    count = min(len(results), len(reference))
    least = 1e-6 * max(map(abs, reference[:count]), default=0.0)
    differences = [abs(x - y) / max(abs(y), least) if x != y else 0.0 for x, y in zip(results[:count], reference)]
    return math.inf if not differences or any(map(math.isnan, differences)) else max(differences)


def show(console: Console, program: Program, quick: bool) -> None:
    """Runs the race and prints its table, and then, loudly, who failed or disagrees."""
    problem, outcomes = program.problem(quick), race(program, quick)
    finished = {name: outcome for name, outcome in outcomes.items() if outcome is not None and not outcome.failure}
    shares = {contestant.name: contestant.share(problem) for contestant in program.contestants}
    referee = EAGER if EAGER in finished else next(iter(finished), "")
    reference = finished[referee].results if finished else ()
    ours = _times(finished[OURS], shares[OURS]) if OURS in finished else []

    table = Table(title=program.title, title_justify="left", caption_justify="left", caption="\n".join(filter(None, (
        f"Medians of {QUICK_ROUNDS if quick else ROUNDS} rounds in rotation, processor time, one thread each; differences "
        f"from {referee or 'nobody'}.", program.note, program.verdict(reference) if program.verdict else "",
        *(_limits(program, finished[OURS]) if OURS in finished else ())))))
    for heading in _headings(program):
        table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=heading == "engine")
    trouble = []
    for contestant in program.contestants:
        outcome = outcomes[contestant.name]
        if outcome is None:
            table.add_row(contestant.name, "not installed")
        elif outcome.failure:
            table.add_row(contestant.name, "[red]failed[/]")
            trouble.append(f"{contestant.name} failed: {outcome.failure}")
        else:
            apart = difference(outcome.results, reference)
            agrees = apart <= contestant.tolerance
            if not agrees:
                trouble.append(f"{contestant.name} DISAGREES with {referee}: relative difference {apart:.1e}, "
                               f"at most {contestant.tolerance:.0e} is allowed")
            table.add_row(contestant.name, *_figures(program, contestant, outcome, shares[contestant.name], problem, ours),
                          f"{apart:.0e}" if agrees else f"[bold red]{apart:.0e} DISAGREES[/]")
    console.print(table)
    for line in trouble:
        console.print(f"[bold red]{escape(line)}[/]", highlight=False)
    console.print()


def _times(outcome: Outcome, share: float) -> list[float]:
    return [cpu / share for cpu, _ in outcome.rounds]


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


def _figures(program: Program, contestant: Contestant, outcome: Outcome, share: float, problem: Any, ours: list[float]
             ) -> Iterable[str]:
    """The cells of a row, but for the first one and the last."""
    scale = {"ms": 1e3, "µs": 1e6}[program.unit]
    times, wall = _times(outcome, share), median(wall for _, wall in outcome.rounds) / share
    partly = "*" if share < 1 else ""
    yield f"{outcome.first[0]:.2f}{partly}"
    yield f"{_number(scale * median(times))}{partly}"
    yield _number(scale * min(times))
    yield "" if math.isnan(wall) else _number(scale * wall)
    if program.rate:
        yield f"{program.rate[1](problem) / median(times):,.0f}"
    if program.whole:
        yield f"{_in_all(outcome, contestant.whole):.2f}" if contestant.whole else ""
    if contestant.name == OURS or not ours:
        yield ""
        if _has_targets(program):
            yield "" if contestant.target is None else f"{contestant.target:g}"
        return
    ratio = median(a / b for a, b in zip(ours, times))
    yield _number(ratio)
    if _has_targets(program):
        yield "" if contestant.target is None else f"{contestant.target:g}: {mark(ratio <= contestant.target)}"


def _number(x: float) -> str:
    return f"{x:,.{0 if x >= 100 else 1 if x >= 10 else 2 if x >= 1 else 3}f}"
