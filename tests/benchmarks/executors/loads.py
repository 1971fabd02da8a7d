"""What runs on executors: sweeps, data-parallel steps and batches, measured and as the model's
loads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from itertools import pairwise
from math import ceil
from statistics import median
from time import perf_counter
from typing import Any

from tests.benchmarks.races.black_scholes import RANGES, price
from tests.benchmarks.races.race import clocked
from tinygrad_edu import data, fit, jit, nn, optim, train
from tinygrad_edu.data.summation import BLOCK
from tinygrad_edu.jit.parallel import parts
from tinygrad_edu.jit.running.memory import AlignedBuffer
from tinygrad_edu.jit.running.sums import BlockSums
from tinygrad_edu.train.compiled import distribution

from . import tasks
from .model import Load, fitted

INPUTS = 2  # of the networks
# the first is straight-line code, the second a program of the tape machine
NETWORKS = {"small": [16, 16, 1], "larger": [48, 48, 1]}
SAMPLES, QUICK_SAMPLES = 4_096, 512
ROWS, QUICK_ROWS = 10_000_000, 1_000_000
COLUMNS = len(RANGES)
RESULTS = 1 + COLUMNS

POOL, DASK = "pool", "Dask"

Run = Callable[[Executor | None], tuple[float, Any]]  # returns seconds and results


@dataclass(frozen=True)
class Work:
    """Something that runs here, if its argument is None, or on an executor.

    run: returns the seconds that it takes, and its results, of which the bits are compared.
    loads: the same for the model, on each executor.
    """

    run: Run
    loads: dict[str, Load]

    @property
    def name(self) -> str:
        """What it is, such as "batch, 1,000 rows"."""
        return self.loads[POOL].name

    @property
    def kind(self) -> str:
        """One of "sweep", "step" and "batch"."""
        return self.name.partition(",")[0]


def same(a: Any, b: Any) -> bool:
    """Returns whether two results have the same bits, nan included."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return isinstance(b, float) and a.hex() == b.hex()
    if hasattr(a, "dtype"):
        import numpy as np

        return np.array_equal(a.view(np.int64), b.view(np.int64))
    return bool(a == b)


def _processor_seconds(work: Callable[[], Any]) -> float:
    """Returns the seconds of processor that a work takes after the first time, the median of three.
    """
    work()
    return median(clocked(work)[1][0] for _ in range(3))


# ---- sweeps --------------------------------------------------------------------------------------


def sweep(trainings: int, epochs: int, executor: Executor | None) -> tuple[float, Any]:
    """Trains a few networks with several seeds, and returns the rows without their seconds."""
    grid: dict[str, list[Any]] = {"lr": [0.01, 0.1], "epochs": [epochs]}
    began = perf_counter()
    found = train.sweep(tasks.training, grid, seeds=trainings // 2, executor=executor)
    seconds = perf_counter() - began
    return seconds, [repr({**asdict(row), "seconds": 0}) for row in found]


def sweep_load(trainings: int, seconds: float) -> Load:
    """A sweep of trainings that take so many seconds each."""
    found = train.sweep(tasks.training, {"lr": [0.1], "epochs": [1]})
    row = len(pickle.dumps(found.rows[0]))
    return Load(
        f"sweep, {trainings:,} trainings of {seconds:.2g} s", trainings * seconds,
        lambda workers: trainings, message=row, returned=trainings * row,
    )


# ---- steps of fit --------------------------------------------------------------------------------


def step(
    sizes: Sequence[int], samples: int, steps: int, executor: Executor | None
) -> tuple[float, Any]:
    """Trains on full batches, and returns the median seconds of a step, losses and parameters."""
    X, y = data.moons(samples, rng=1)
    model = nn.MLP(INPUTS, sizes, rng=3)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    # a limit that is never reached, for which each step returns to Python here, too
    history = fit(
        model, nn.mse, X, y, optimizer=optimizer, epochs=steps, rng=0, engine="jit",
        max_norm=1e300, executor=executor,
    )
    ends = history.seconds[steps // 4:]  # workers compile in the first steps
    seconds = median(end - start for start, end in pairwise(ends))
    return seconds, [history.loss, [p.data for p in optimizer.params]]


@dataclass(frozen=True)
class StepCost:
    """Seconds of a step in one process: ``fixed + blocks * block``.

    network: its name
    sums: how many numbers are summed over the samples, the loss and a derivative for each parameter
    add: seconds in which the parent adds a byte of sums
    """

    network: str
    sums: int
    fixed: float
    block: float
    add: float


def step_cost(network: str, quick: bool) -> StepCost:
    """Measures steps of several sizes in one process."""
    sizes = NETWORKS[network]
    blocks, steps = ([4, 16], 6) if quick else ([8, 32, 128], 16)
    times = [
        min(step(sizes, BLOCK * count, steps, None)[0] for _ in range(3)) for count in blocks
    ]
    fixed, block = fitted([(1.0, count) for count in blocks], times)
    sums = 1 + len(nn.MLP(INPUTS, sizes).parameters())
    rows = bytes(8 * sums * 64)
    total = BlockSums(sums)
    total.add_bytes(rows)
    began = perf_counter()
    for _ in range(20):
        total.add_bytes(rows)
    return StepCost(network, sums, fixed, block, (perf_counter() - began) / 20 / len(rows))


def step_load(samples: int, cost: StepCost) -> Load:
    """A full-batch step after the first ones; the samples and the program are with the workers."""
    blocks = ceil(samples / BLOCK)
    bytes_ = 8.0 * blocks * cost.sums
    compute = blocks * cost.block

    def count(workers: int) -> int:
        each = distribution.PARTS if compute / workers > distribution.LONG_STEP else 1
        return min(blocks, max(workers * each, ceil(bytes_ / distribution.MAX_PART_BYTES)))

    return Load(
        f"step, {samples:,} samples, {cost.network} network", compute, count,
        serial=cost.fixed, message=8 * cost.sums, returned=bytes_, own=cost.add * bytes_,
        most=lambda workers: distribution.PARTS * workers,
    )


# ---- batches -------------------------------------------------------------------------------------


def options(rows: int) -> list[Any]:
    """Returns random columns for `price`."""
    import numpy as np

    rng = np.random.default_rng(0)
    return [rng.uniform(*bounds, rows) for bounds in RANGES]


def buffers(rows: int) -> list[Any]:
    """Returns arrays for the results, which the system has given memory.

    New arrays would take as long to get as the results take to compute, but not every time.
    """
    import numpy as np

    return [np.ones(rows) for _ in range(RESULTS)]


def batch(columns: Sequence[Any], out: Sequence[Any], executor: Executor | None
          ) -> tuple[float, Any]:
    """Computes prices and their derivatives, and returns digests of them."""
    for array in out:
        array.fill(0.0)
    value, *slopes = out
    began = perf_counter()
    jit(price).batch_value_and_grad(*columns, executor=executor, out=(value, slopes))
    seconds = perf_counter() - began
    return seconds, [sha256(array).hexdigest() for array in out]


@dataclass(frozen=True)
class RowCost:
    """Seconds of a row: ``compute`` in one process, and ``copy`` to and from a part."""

    compute: float
    copy: float


def row_cost(rows: int) -> RowCost:
    """Measures a batch in one process, and the copies that the parent makes for workers."""
    columns = options(rows)
    out = buffers(rows)
    compute = median(batch(columns, out, None)[0] for _ in range(3)) / rows
    layout = parts.Layout(COLUMNS, RESULTS, 0)
    most = layout.most(parts.PART_BYTES)
    memory = AlignedBuffer(layout.size(most)).view

    def copies() -> None:
        chunk = parts.Chunk(columns, rows, out)
        for pieces in parts.packed([chunk], layout, lambda: most, lambda room: memory):
            count = parts.length(pieces)
            layout.deliver(memory[COLUMNS * count:layout.size(count)], pieces)

    return RowCost(compute, _processor_seconds(copies) / rows)


def batch_loads(rows: int, cost: RowCost, is_here: bool) -> dict[str, Load]:
    """Returns values and gradients of `price` as a load, for each executor.

    is_here: whether Dask's workers are on this machine, and share its memory.
    """
    layout = parts.Layout(COLUMNS, RESULTS, 0)
    wanted = int(parts.PART_SECONDS / cost.compute) // BLOCK * BLOCK

    def load(part: int, most: Callable[[int], int], bytes_: int) -> Load:
        count = ceil(rows / min(layout.most(part), max(BLOCK, wanted)))
        return Load(
            f"batch, {rows:,} rows", rows * cost.compute, lambda workers: count,
            sent=bytes_ * COLUMNS * rows, returned=bytes_ * RESULTS * rows, own=cost.copy * rows,
            most=most,
        )

    shared = load(parts.SHARED_BYTES, lambda workers: 2 * workers + 1, bytes_=0)
    pending = parts.PENDING_BYTES // (8 * layout.size(layout.most(parts.PART_BYTES)))
    sent = load(parts.PART_BYTES, lambda workers: min(1024, pending), bytes_=8)
    return {POOL: shared, DASK: shared if is_here else sent}


# ---- all of them ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What computation costs here, in one process: a training of the sweep, steps, a row."""

    training: float
    steps: Sequence[StepCost]
    row: RowCost


def works(quick: bool) -> tuple[list[Work], Machine]:
    """Returns what is measured, and what it costs in one process."""
    trainings, epochs = (4, 4) if quick else (24, 16)
    samples, steps = (QUICK_SAMPLES, 6) if quick else (SAMPLES, 16)
    rows = QUICK_ROWS if quick else ROWS
    run_sweep = partial(sweep, trainings, epochs)
    training = _processor_seconds(partial(run_sweep, None)) / trainings
    machine = Machine(training, [step_cost(name, quick) for name in NETWORKS], row_cost(rows))
    loads = [sweep_load(trainings, training), *[step_load(samples, cost) for cost in machine.steps]]
    runs = [run_sweep, *[partial(step, sizes, samples, steps) for sizes in NETWORKS.values()]]
    found = [Work(run, {POOL: load, DASK: load}) for run, load in zip(runs, loads)]
    batches = batch_loads(rows, machine.row, is_here=True)
    return [*found, Work(partial(batch, options(rows), buffers(rows)), batches)], machine


def typical(machine: Machine) -> list[dict[str, Load]]:
    """Returns loads that are too large to be measured here, for each executor."""
    million = 1_000_000
    loads = [sweep_load(1_000, 1.0), sweep_load(1_000, 60.0)]
    loads += [step_load(million, cost) for cost in machine.steps]
    batches = batch_loads(1_000 * million, machine.row, is_here=False)
    return [*[{POOL: load, DASK: load} for load in loads], batches]
