"""``python -m tests.benchmarks columns``: `batch` over columns of every kind.

The time of each kind is compared with that of ``array('d')``, of which nothing is copied.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.races.black_scholes import RANGES, price
from tests.benchmarks.races.race import QUICK_ROUNDS, ROUNDS, clocked
from tests.benchmarks.races.tables import mark
from tinygrad_edu import jit

SAMPLES, QUICK_SAMPLES = 1_000_000, 1_000
TARGET = 2.0


def columns(count: int) -> dict[str, list[Any]]:
    """The same five columns of numbers, of every kind."""
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    rng = np.random.default_rng(0)
    # numbers that a float32 has
    rows = np.stack([rng.uniform(*bounds, count).astype("f4") for bounds in RANGES], axis=1)
    table = rows.astype(float)
    plain = [np.ascontiguousarray(column) for column in table.T]
    fixed = [column.copy() for column in plain]
    for column in fixed:
        column.flags.writeable = False
    frame = pd.DataFrame({str(i): column for i, column in enumerate(plain)})
    return {
        "array('d')": [array("d", column.tobytes()) for column in plain],
        "numpy": plain,
        "numpy, read-only": fixed,
        "numpy, strided": [*table.T],
        "numpy, float32": [np.ascontiguousarray(column) for column in rows.T],
        "pandas": [frame[name] for name in frame],
        "pandas, of rows": [pd.DataFrame(table)[i] for i in range(len(RANGES))],
        "pandas, Float64": [frame[name].astype("Float64") for name in frame],
        "polars": [pl.Series(column) for column in plain],
        "pyarrow": [pa.array(column) for column in plain],
    }


def formula(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """Five operations: hardly more than reading the columns."""
    return a * b + c * d - e


def main(quick: bool = False) -> None:
    """Prints the table."""
    kinds = columns(QUICK_SAMPLES if quick else SAMPLES)
    light, heavy = jit(formula), jit(price)
    programs: dict[str, Callable[..., Any]] = {
        "Black-Scholes": heavy.batch,
        "Black-Scholes with gradient": heavy.batch_value_and_grad,
        "a*b + c*d - e": light.batch,
    }
    rounds = QUICK_ROUNDS if quick else ROUNDS
    table = Table(
        title=f"batch over {len(kinds['numpy'][0]):,} rows of 5 columns, ms (over array('d'))",
        caption=f"Medians of {rounds} rounds in rotation, processor time.  The target is "
                f"{TARGET:g} times array('d').",
    )
    for heading in ("columns", *programs, "the same bits"):
        table.add_column(heading, justify="left" if heading == "columns" else "right")
    times: dict[str, list[float]] = {}
    bits: dict[str, set[bytes]] = {kind: set() for kind in kinds}
    for program, run in programs.items():
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds + 1):
            for kind, given in kinds.items():
                result, (cpu, _) = clocked(partial(run, *given))
                seconds[kind].append(cpu)
        times[program] = [median(seconds[kind][1:]) for kind in kinds]
        for kind, given in kinds.items():
            result = run(*given)
            first = result[0] if isinstance(result, tuple) else result
            bits[kind].add(program.encode() + memoryview(first).tobytes())
    for i, kind in enumerate(kinds):
        cells = []
        for found in times.values():
            ratio = found[i] / found[0]
            cells.append(f"{1e3 * found[i]:.1f} ({ratio:.2f} {mark(ratio <= TARGET)})")
        table.add_row(kind, *cells, mark(bits[kind] == bits["array('d')"]))
    Console(width=120).print(table)
