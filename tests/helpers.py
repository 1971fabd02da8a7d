"""Helpers that several test files share: exact comparisons, special values, processes, `truths`."""

import gc
import math
import multiprocessing
import os
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from operator import add
from pathlib import Path

import mpmath
import pytest
from mpmath import mp, mpf
from truths import (
    PIECEWISE,
    SMALLEST_NORMAL,
    SMOOTH,
    disagreements,
    error_in_ulps,
    kinks,
    points,
    truth,
    truth_at,
)

from tinygrad_edu.testing import profiles

ROOT = Path(__file__).parent.parent
inf, nan = math.inf, math.nan
SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    inf,
    -inf,
    nan,
    5e-324,
    -5e-324,
    1.797e308,
    -1.797e308,
    1e200,
    1e-200,
)


class Within:
    """A ``with`` block with a limit of seconds, for what could take minutes, or for ever.

    Processor time counts, and no garbage is collected: neither a busy machine nor the garbage of
    other tests is a fault.
    """

    def __init__(self, limit=1.0):
        self.limit = limit

    def __enter__(self):
        self.collects = gc.isenabled()
        gc.disable()
        self.start = time.process_time()

    def __exit__(self, kind, *_):
        seconds = time.process_time() - self.start
        if self.collects:
            gc.enable()
        # errors must come in time, too
        if kind is None or not issubclass(kind, AssertionError):
            assert seconds < self.limit


def bits(x):
    """Returns the bytes of a float: 0.0 and -0.0 differ, and all nans are equal."""
    assert type(x) is float, f"{x!r} is a {type(x).__name__}, not a float"
    return b"nan" if x != x else struct.pack("<d", x)


def same(x, y):
    """Returns whether two floats are equal or both nan; the sign of a zero does not count."""
    return x == y or (x != x and y != y)


def bits_of(numbers):
    """Returns the bytes of each float, or `UsedGradient`, of a list."""
    return [bits(float(x)) for x in numbers]


def summed(numbers):
    """Returns the sum in the order of `tinygrad_edu.data.summation`, written out: blocks of 64, and
    four lanes in each.  (The function `sum` does not round every addition.)"""
    total = 0.0
    for start in range(0, len(numbers), 64):
        block = numbers[start : start + 64]
        a, b, c, d = [reduce(add, block[lane::4], 0.0) for lane in range(4)]
        total += (a + b) + (c + d)
    return total


def inexact_if_compiled(fit):
    """Returns a `fit` whose compiled engine is wrong: by the last bit of a loss and a parameter."""
    def inexact(model, *args, engine, **options):
        history = fit(model, *args, engine=engine, **options)
        if engine == "jit":
            history.loss[-1] = math.nextafter(history.loss[-1], inf)
            first = model.parameters()[0]
            first.data = math.nextafter(first.data, inf)
        return history

    return inexact


def step_by_hand(model, loss, X, y, parameters):
    """Sets the gradients of a step of `fit`, and returns its loss."""
    rows = []
    for x, target in zip(X, y, strict=True):
        for parameter in parameters:
            parameter.grad = 0.0
        value = loss(model(x), target)
        value.backward()
        rows.append([value.data, *[parameter.grad for parameter in parameters]])
    mean, *gradient = [summed(column) / len(rows) for column in zip(*rows)]
    for parameter, slope in zip(parameters, gradient, strict=True):
        parameter.grad = slope
    return mean


def state_of(model):
    """Returns the bits of a model that must not change when it is only examined."""
    return (
        [
            (name, bits(float(p.data)), bits(float(p.grad)), p.label)
            for name, p in model.named_parameters()
        ],
        [module.training for module in model.modules()],
    )


@contextmanager
def dask_cluster(workers):
    """Starts a Dask cluster of so many processes here; without Dask, the test is skipped."""
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, silence_logs=50,
        dashboard_address=":0",  # its usual port is in use if two test processes have a cluster
    ) as cluster:
        yield cluster


SPAWN = multiprocessing.get_context("spawn")  # a copy of a process with threads may stand still


def run_python(code, *args, hash_seed="0", timeout=120):
    """Runs ``code`` in a new interpreter that imports this package, and returns the completed
    process."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    path = os.pathsep.join(map(str, [ROOT, *sorted(folders)]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=environment,
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def in_threads(work, count, interval=1e-6):
    """Calls ``work(0)``, ``work(1)``, ... in threads at the same time, which are switched every
    ``interval`` seconds, and raises what one of them raised."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(work, range(count)))
    finally:
        sys.setswitchinterval(before)


def scaled(ci, thorough, dev=None):
    """Returns the number of iterations of a test's loop in the loaded profile; ``dev`` is ``ci`` by
    default."""
    return {"dev": ci if dev is None else dev, "ci": ci, "thorough": thorough}[profiles.scale()]


@contextmanager
def replaced(row, field, value):
    """Replaces a field of a row by ``value`` within a with block."""
    kept = getattr(row, field)
    setattr(row, field, value)
    try:
        yield
    finally:
        setattr(row, field, kept)


__all__ = [
    "PIECEWISE",
    "ROOT",
    "SMALLEST_NORMAL",
    "SMOOTH",
    "SPAWN",
    "SPECIAL",
    "bits",
    "bits_of",
    "disagreements",
    "error_in_ulps",
    "in_threads",
    "inf",
    "kinks",
    "mp",
    "mpf",
    "mpmath",
    "nan",
    "points",
    "replaced",
    "run_python",
    "same",
    "scaled",
    "step_by_hand",
    "summed",
    "truth",
    "truth_at",
]
