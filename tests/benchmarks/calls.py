"""``python -m tests.benchmarks calls``: whole calls, by the clock, as users wait for them.

Each scenario runs in a process of its own: the first time with an empty cache on disk ("cold"), and
then with what that left ("warm").  Inside, a call is repeated where the same process repeats it.
Imports do not count, except in the command.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.races import gpt as names
from tests.benchmarks.races import moons, ours, rosenbrock, theirs
from tests.benchmarks.races.tables import mark, surroundings
from tinygrad_edu import fit, jit, nn
from tinygrad_edu.examples import gpt

CALLS = 2_000  # of a function, in a round


def clock(work: Callable[[], Any], calls: int = 1) -> float:
    """Returns the seconds of a call of ``work``."""
    start = perf_counter()
    for _ in range(calls):
        work()
    return (perf_counter() - start) / calls


# ---- scenarios: each returns the times of the same call, one after the other ---------------------


def whole_fit(quick: bool) -> list[float]:
    """Trains new models of one shape on the moons, 100 steps each."""
    problem = moons.moons(quick)

    def train() -> float:
        model = nn.MLP(2, moons.SIZES[1:])
        for p, x in zip(model.parameters(), problem.weights):
            p.data = x
        penalty = partial(_penalty, model.parameters())
        optimizer = moons.optimizer(model)
        return clock(lambda: fit(
            model, nn.hinge, problem.X, problem.y, optimizer=optimizer, epochs=problem.steps,
            penalty=penalty, engine="jit",
        ))

    return [train() for _ in range(3 if quick else 12)]


def _penalty(parameters: Any) -> Any:
    return moons.ALPHA * nn.l2(parameters)


def gpt_training(quick: bool) -> list[float]:
    """Trains the GPT of the article, 1,000 steps."""
    problem = names.names(quick)
    steps = problem.steps
    return [clock(lambda: gpt.train(problem.model, problem.vocabulary, problem.names, steps))]


def gpt_of(engine: str, make: Callable[[Any], Callable[[], Any]], quick: bool) -> list[float]:
    """The same of another engine: what it compiles before its first step counts, too."""
    import_module(engine)
    problem = names.names(quick)

    def train() -> None:
        run = make(problem)
        for _ in range(problem.steps // problem.slice):
            run()

    return [clock(train)]


def copied(quick: bool) -> list[float]:
    """Calls a function that was unpickled, as in a worker."""
    import_module("llvmlite.binding")
    f = pickle.loads(pickle.dumps(jit(rosenbrock.valley)))
    point = rosenbrock.point(quick)
    return [clock(lambda: f.value_and_grad(point))]


def gradients(quick: bool) -> dict[str, float]:
    """Returns the time of value and gradient of Rosenbrock's valley, of each kind of argument."""
    import numpy as np

    point = rosenbrock.point(quick)
    f: Any = jit(rosenbrock.valley)
    array = np.array(point)
    out = np.empty_like(array)
    ways: dict[str, Callable[[], Any]] = {
        "list": ours.gradient(rosenbrock.valley, point),
        "numpy": lambda: f.value_and_grad(array),
        "numpy with out=": lambda: f.value_and_grad(array, out=out),
    }
    if find_spec("casadi"):
        ways["casadi, buffers"] = rosenbrock.with_casadi(point)
        ways["casadi, a plain call"] = _casadi_call(array)
    if find_spec("ddx"):
        ways["ddx-ad, buffers"] = theirs.ddx_gradient(rosenbrock.valley, point)
    for run in ways.values():
        run()
    rounds = [
        {name: clock(run, 10 if quick else CALLS) for name, run in ways.items()}
        for _ in range(2 if quick else 9)
    ]
    return {name: median([found[name] for found in rounds]) for name in ways}


def _casadi_call(point: Any) -> Callable[[], Any]:
    import casadi

    x = casadi.MX.sym("x", len(point))
    before = x[:-1]
    a, b = x[1:] - before * before, 1 - before
    y = 100 * casadi.dot(a, a) + casadi.dot(b, b)
    function = casadi.Function("f", [x], [y, casadi.gradient(y, x)])
    return lambda: function(point)


SCENARIOS: dict[str, Callable[[bool], Any]] = {
    "fit": whole_fit,
    "gpt": gpt_training,
    "gpt torch": partial(gpt_of, "torch", names.with_torch),
    "gpt jax": partial(gpt_of, "jax", names.with_jax_steps),
    "copy": copied,
    "gradients": gradients,
}


# ---- the table -----------------------------------------------------------------------------------


def _in_a_process(name: str, quick: bool, cache: Path) -> Any:
    """Returns what a scenario returns in a new process."""
    command = [sys.executable, "-m", "tests.benchmarks.calls", name, *["--quick"] * quick]
    environment = {**os.environ, "TINYGRAD_EDU_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _command(quick: bool, cache: Path) -> float:
    """Returns the time of ``tinygrad-edu gpt``."""
    steps, samples = ("3", "1") if quick else ("1000", "20")
    options = ["gpt", "--steps", steps, "--samples", samples]
    command = [sys.executable, "-m", "tinygrad_edu", *options]
    environment = {**os.environ, "TINYGRAD_EDU_CACHE": str(cache)}
    return clock(partial(
        subprocess.run, command, env=environment, check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ))


def measured(quick: bool, rounds: int) -> list[tuple[str, float, float]]:
    """Returns for each line its name, the median, and the target; nan if there is none."""
    found: dict[str, list[float]] = {}

    def note(line: str, seconds: float) -> None:
        found.setdefault(line, []).append(seconds)

    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder)
            note("fit, moons, first time", _in_a_process("fit", quick, cache)[0])
            first, *others = _in_a_process("fit", quick, cache)
            note("fit, moons, new process, warm", first)
            note("fit, moons, a shape seen in this process", median(others))
            _in_a_process("copy", quick, cache)
            note("an unpickled copy, warm", _in_a_process("copy", quick, cache)[0])
            note("GPT, 1,000 steps, cold", _in_a_process("gpt", quick, cache)[0])
            for peer in ("torch", "jax"):
                if find_spec(peer):
                    note(f"GPT, {peer}", _in_a_process(f"gpt {peer}", quick, cache)[0])
        with tempfile.TemporaryDirectory() as folder:
            note("tinygrad-edu gpt, cold", _command(quick, Path(folder)))
            note("tinygrad-edu gpt, warm", _command(quick, Path(folder)))
            for name, seconds in _in_a_process("gradients", quick, Path(folder)).items():
                note(f"Rosenbrock, {name}", seconds)
    medians = {line: median(seconds) for line, seconds in found.items()}
    targets = {
        "fit, moons, a shape seen in this process": 8e-3,
        "fit, moons, new process, warm": 60e-3,
        "fit, moons, first time": 200e-3,
        "an unpickled copy, warm": 8e-3,
        "tinygrad-edu gpt, cold": 4.0,
        "tinygrad-edu gpt, warm": 2.0,
        "GPT, 1,000 steps, cold": medians.get("GPT, torch", float("nan")),
        "Rosenbrock, list": 8e-6,
        "Rosenbrock, numpy": 3e-6,
        "Rosenbrock, numpy with out=": medians.get("Rosenbrock, ddx-ad, buffers", float("nan")),
    }
    return [(line, seconds, targets.get(line, float("nan"))) for line, seconds in medians.items()]


def _text(seconds: float) -> str:
    if seconds != seconds:
        return ""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    if seconds >= 1e-3:
        return f"{1e3 * seconds:.1f} ms"
    return f"{1e6 * seconds:.2f} µs"


def main(quick: bool = False) -> None:
    """Prints the table."""
    rounds = 1 if quick else 5
    table = Table(title="Whole calls, by the clock",
                  caption=f"Medians of {rounds} rounds, each with processes of its own.")
    for heading in ("call", "time", "target", ""):
        table.add_column(heading, justify="left" if heading == "call" else "right")
    for line, seconds, target in measured(quick, rounds):
        reached = mark(seconds <= target) if target == target else ""
        table.add_row(line, _text(seconds), _text(target), reached)
    console = Console(width=120)
    console.print(f"{surroundings()}\n", highlight=False)
    console.print(table)


def _scenario(arguments: Sequence[str]) -> None:
    print(json.dumps(SCENARIOS[arguments[0]]("--quick" in arguments)))


if __name__ == "__main__":
    _scenario(sys.argv[1:])
