"""The cost of a node: time and memory for building and differentiating graphs, without compilation.

Five tables: a layer compared with other engines, the cost of a node from small graphs to large
ones, chains of a million nodes, the cost of `detect_anomaly`, and the time to import the package.
Inputs are seeded. The garbage collector is on, as for users, unless a table says otherwise.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
import random
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.races.tables import mark
from tinygrad_edu import Value, detect_anomaly, nn

from .rivals import MicrogptValue, micrograd_value

ROOT = Path(__file__).parents[2]
WIDTH = 100  # of the layered graph of the second table


def main(quick: bool = False) -> None:
    """Runs all five and prints their tables."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=112)
    size, rounds = (8, 3) if quick else (64, 40)
    sizes, passes = ((400, 1_000), 1) if quick else ((1_000, 10_000, 100_000, 1_000_000), 3)
    console.print(side_by_side(size, rounds))
    console.print(scaling(sizes, passes))
    console.print(chains(1_000 if quick else 1_000_000))
    console.print(watched(*((8, 3) if quick else (64, 40))))
    console.print(imports(2 if quick else 11))


# ---- 1. a layer, side by side --------------------------------------------------------------------


def layer(weights: list[list[Any]], inputs: list[Any], biases: list[Any]) -> Any:
    """The sum of ``b + w0*x0 + w1*x1 + ...`` over all rows."""
    total = None
    for row, bias in zip(weights, biases, strict=True):
        output = bias
        for w, x in zip(row, inputs, strict=True):
            output = output + w * x
        total = output if total is None else total + output
    return total


def side_by_side(size: int, rounds: int) -> Table:
    """Builds and differentiates a layer with each engine in rotation: A B C A B C ..."""
    engines: dict[str, type[Any] | None] = {
        "tinygrad_edu": Value,
        "microgpt (equivalent)": MicrogptValue,
        "micrograd 0.1.0": micrograd_value(),
    }
    leaves: dict[str, tuple[list[list[Any]], list[Any], list[Any]]] = {}
    for name, engine in engines.items():
        if engine is not None:
            rng = random.Random(0)
            rows = [[engine(rng.uniform(-1, 1)) for _ in range(size)] for _ in range(size + 2)]
            leaves[name] = rows[:size], rows[size], rows[size + 1]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in leaves}
    for _ in range(rounds + 2):
        for name, of_engine in leaves.items():
            # the cyclic garbage of one engine must not be cleared at the cost of the next
            gc.collect()
            start = perf_counter()
            y = layer(*of_engine)
            built = perf_counter()
            y.backward()
            times[name].append((built - start, perf_counter() - built))
            del y
    first, *others = [[x.grad for x in inputs] for _, inputs, _ in leaves.values()]
    if any(
        abs(g - h) > 1e-9 * abs(h) for other in others for g, h in zip(other, first, strict=True)
    ):
        raise RuntimeError("the engines disagree about the gradients")

    table = Table(
        title=f"Layer of {size} x {size} multiply-adds, build and backward, ms",
        caption=f"Medians of {rounds} rounds in rotation, in one process; leaves made beforehand; "
                "gc on.",
    )
    for heading in ("engine", "build", "backward", "both", "least", "ours / theirs", "target", ""):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    targets = dict(zip(engines, (None, 1.1, 0.5), strict=True))
    ours = [b + d for b, d in times["tinygrad_edu"][2:]]
    for name in engines:
        if name not in times:
            table.add_row(name, "not installed: pip install micrograd==0.1.0")
            continue
        measured = times[name][2:]
        both = [b + d for b, d in measured]
        ratio, target = median(a / t for a, t in zip(ours, both, strict=True)), targets[name]
        table.add_row(
            name,
            *[
                f"{1e3 * x:.2f}"
                for x in (
                    median(b for b, _ in measured),
                    median(d for _, d in measured),
                    median(both),
                    min(both),
                )
            ],
            *(
                ("", "", "")
                if target is None
                else (f"{ratio:.2f}", f"{target}", mark(ratio <= target))
            ),
        )
    return table


# ---- 2. from small graphs to large ones ----------------------------------------------------------


def layered(operations: int) -> Callable[[], Value]:
    """A function that builds a random layered graph of about as many multiplications and additions.
    """
    rng = random.Random(1)
    weights = [Value(rng.uniform(-0.5, 0.5)) for _ in range(WIDTH)]
    inputs = [Value(rng.uniform(-1, 1)) for _ in range(WIDTH)]
    sources = [rng.choices(range(WIDTH), k=WIDTH) for _ in range(operations // (2 * WIDTH))]

    def build() -> Value:
        nodes = inputs
        for source in sources:
            nodes = [node * w + nodes[i] for node, w, i in zip(nodes, weights, source, strict=True)]
        return sum(nodes[1:], nodes[0])

    return build


class CollectorClock:
    """While the block runs, adds up the seconds that the garbage collector takes."""

    def __enter__(self) -> CollectorClock:
        self.seconds = 0.0
        gc.callbacks.append(self._count)
        return self

    def _count(self, phase: str, info: dict[str, int]) -> None:
        self.seconds += -perf_counter() if phase == "start" else perf_counter()

    def __exit__(self, *exception: object) -> None:
        gc.callbacks.remove(self._count)


def count(operations: int) -> int:
    """How many nodes `layered` makes."""
    return operations // (2 * WIDTH) * 2 * WIDTH + WIDTH - 1


def measure_time(size: int, collector: bool) -> list[list[float]]:
    """Nanoseconds a node of some repetitions: build, backward, both, and what the collector took of
    that."""
    if not collector:
        gc.disable()
    build, nodes, rows = layered(size), count(size), []
    for _ in range(max(3, min(100, 300_000 // size))):
        with CollectorClock() as clock:
            start = perf_counter()
            y = build()
            built = perf_counter()
            y.backward()
            end = perf_counter()
        rows.append(
            [1e9 * t / nodes for t in (built - start, end - built, end - start, clock.seconds)]
        )
        del y
    return rows


def measure_bytes(size: int) -> tuple[float, float]:
    """Bytes a node, held after backward and at the peak."""
    build = layered(size)
    gc.collect()  # empties the interpreter's free lists, whose memory would not be counted
    tracemalloc.start()
    y = build()
    y.backward()
    held, peak = tracemalloc.get_traced_memory()
    return held / count(size), peak / count(size)


def scaling(sizes: tuple[int, ...], passes: int) -> Table:
    """Measures the cost of a node at each size, in new processes, with the garbage collector and
    without it."""
    table = Table(
        title="Cost of a node in layered random graphs of multiply-adds",
        caption=f"Medians over {passes} fresh processes a row, in rotation. Bytes by tracemalloc: "
                "held after "
        "backward, and at the peak. Flat: the largest total over the least, minus 1.",
    )
    for heading in (
        "gc",
        "nodes",
        "build ns",
        "backward ns",
        "both ns",
        "of that gc ns",
        "bytes",
        "peak bytes",
    ):
        table.add_column(heading, justify="right")
    runs: dict[tuple[bool, int], list[list[float]]] = {
        (collector, size): [] for collector in (True, False) for size in sizes
    }
    for _ in range(passes):
        for (collector, size), results in runs.items():
            results += fresh("measure_time", size, collector)
    memory = {size: fresh("measure_bytes", size) for size in sizes}
    held = [memory[size][0] for size in sizes]
    for collector in (True, False):
        totals = []
        for size in sizes:
            build, backward, both, in_gc = (
                median(column) for column in zip(*runs[collector, size], strict=True)
            )
            totals.append(both)
            table.add_row(
                "on" if collector else "off",
                f"{size:,}",
                f"{build:.0f}",
                f"{backward:.0f}",
                f"{both:.0f}",
                f"{in_gc:.0f}",
                *[f"{b:.0f}" for b in memory[size]],
            )
        time_flat, bytes_flat = max(totals) / min(totals) - 1, max(held) / min(held) - 1
        table.add_row("", "flat, target 30 %", "", "", f"{time_flat:.0%}", mark(time_flat <= 0.3),
                      f"{bytes_flat:.0%}", mark(bytes_flat <= 0.3), end_section=True)
    return table


# ---- 3. a million nodes --------------------------------------------------------------------------

LINKS: dict[str, Callable[[Value], Value]] = {
    "x + x": lambda x: x + x,
    "x * 1.0000001": lambda x: x * 1.0000001,
    "x + 1.0": lambda x: x + 1.0,
    "tanh(x)": lambda x: x.tanh(),
}


def measure_chain(name: str, length: int) -> dict[str, float]:
    """Seconds and peak bytes an operation of one chain."""
    link, x = LINKS[name], Value(0.5)
    before = resident("VmRSS")
    start = perf_counter()
    y = x
    for _ in range(length):
        y = link(y)
    built = perf_counter()
    y.backward()
    end = perf_counter()
    result = {
        "build": built - start,
        "backward": end - built,
        "peak": (resident("VmHWM") - before) / length,
    }
    start = perf_counter()
    twin = copy.deepcopy(y)
    result["deepcopy"] = perf_counter() - start
    del twin
    start = perf_counter()
    text = pickle.dumps(y)
    result["dumps"] = perf_counter() - start
    start = perf_counter()
    pickle.loads(text)
    result["loads"] = perf_counter() - start
    return result


def resident(field: str) -> int:
    """Resident memory of this process in bytes, now (VmRSS) or at its peak (VmHWM); elsewhere than
    on Linux, the peak."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))
    except (OSError, StopIteration):
        # the second choice, because this peak may be that of the parent process
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def halving() -> tuple[float, float, float]:
    """Data and gradient of ``x = (x + x) * 0.5``, a thousand times from 1.0, and the least seconds
    of five runs."""
    seconds = []
    for _ in range(5):
        leaf = y = Value(1.0)
        start = perf_counter()
        for _ in range(1_000):
            y = (y + y) * 0.5
        y.backward()
        seconds.append(perf_counter() - start)
    return y.data, leaf.grad, min(seconds)


def chains(length: int) -> Table:
    """Measures long chains, each in a new process, and a short one whose gradient is exactly 1."""
    data, slope, seconds = halving()
    table = Table(
        title=f"Chains of {length:,} operations, seconds",
        caption=f"Peak: resident memory, over build and backward, an operation; gc on.\n"
        f"x = (x + x) * 0.5, 1,000 times: value {data!r}, gradient {slope!r} in "
        f"{1e3 * seconds:.1f} ms "
        f"(target 1.0 in 10 ms: {mark(data == slope == 1.0 and seconds <= 0.01)})",
    )
    for heading in (
        "chain",
        "build",
        "backward",
        "target 2 s",
        "peak bytes",
        "target 400",
        "deepcopy",
        "dumps",
        "loads",
    ):
        table.add_column(heading, justify="left" if heading == "chain" else "right")
    for name in LINKS:
        r = fresh("measure_chain", name, length)
        table.add_row(
            name,
            f"{r['build']:.2f}",
            f"{r['backward']:.2f}",
            mark(r["backward"] <= 2),
            f"{r['peak']:.0f}",
            mark(r["peak"] <= 400),
            *[f"{r[key]:.2f}" for key in ("deepcopy", "dumps", "loads")],
        )
    return table


# ---- 4. watching for inf and nan -----------------------------------------------------------------


def watched(size: int, rounds: int) -> Table:
    """Building and differentiating with `detect_anomaly` on, as a multiple of the same with it off.
    """
    rng = random.Random(0)
    rows = [[Value(rng.uniform(-1, 1)) for _ in range(size)] for _ in range(size + 2)]
    model = nn.MLP(2, [16, 16, 1], rng=rng)
    programs: dict[str, Callable[[], Value]] = {
        f"layer of {size} x {size}": lambda: layer(rows[:size], rows[size], rows[size + 1]),
        "MLP(2, [16, 16, 1]) and its loss": lambda: nn.hinge(model([0.5, -1.0]), 1.0)}
    table = Table(
        title="detect_anomaly: build and backward, ms",
        caption=f"Medians of {rounds} rounds, off and on in turn.  Off is the engine as it is "
                "used.",
    )
    for heading in ("program", "off", "on", "on / off", "target", ""):
        table.add_column(heading, justify="left" if heading == "program" else "right")
    for name, program in programs.items():
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(rounds):
            for on, taken in times.items():
                with detect_anomaly() if on else nullcontext():
                    start = perf_counter()
                    program().backward()
                    taken.append(perf_counter() - start)
        off = median(times[False])
        anomaly = median(times[True])
        ratio = median(b / a for a, b in zip(times[False], times[True], strict=True))
        table.add_row(
            name, f"{1e3 * off:.2f}", f"{1e3 * anomaly:.2f}", f"{ratio:.2f}", "3", mark(ratio <= 3)
        )
    return table


# ---- 5. import -----------------------------------------------------------------------------------


def imports(pairs: int) -> Table:
    """How much longer Python takes to start with ``import tinygrad_edu``, byte code being there as
    after installation."""
    programs = {"bare Python": "pass", "import tinygrad_edu": "import tinygrad_edu"}
    times: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as byte_code:
        python = [sys.executable, "-E", "-X", f"pycache_prefix={byte_code}", "-c"]
        for _ in range(pairs + 1):  # the first one writes the byte code
            for name, program in programs.items():
                start = perf_counter()
                subprocess.run([*python, program], cwd=ROOT, check=True)
                times[name].append(1e3 * (perf_counter() - start))
        question = (
            "import sys, tinygrad_edu; print({'numpy', 'matplotlib'} & {*sys.modules} or 'neither')"
        )
        loaded = subprocess.run(
            [*python, question], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
    bare, ours = (samples[1:] for samples in times.values())
    more = median(b - a for a, b in zip(bare, ours, strict=True))
    table = Table(
        title="Import, ms",
        caption=f"Medians of {pairs} pairs of processes, in turn. "
        f"Of numpy and matplotlib it imports {loaded}: {mark(loaded == 'neither')}",
    )
    for heading in ("bare Python", "import tinygrad_edu", "difference", "target", ""):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{median(bare):.1f}", f"{median(ours):.1f}", f"{more:.1f}", "60", mark(more <= 60)
    )
    return table


# ---- measurements in separate processes ----------------------------------------------------------


def fresh(function: str, *arguments: object) -> Any:
    """Returns the result of ``function(*arguments)`` of this module, run by a new interpreter."""
    command = [sys.executable, "-m", "tests.benchmarks.eager", function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
