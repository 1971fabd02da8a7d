"""The cost of a node on the tape machine, from small graphs to large ones, and the cost of
compiling.

The graphs are the layered random ones of the eager engine's benchmark; each run computes the value
and all derivatives.
"""

from __future__ import annotations

import math
import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from tests.benchmarks.races.race import CACHES, LEAST_SECONDS, QUICK_ROUNDS, ROUNDS, clocked
from tests.benchmarks.races.tables import mark
from tinygrad_edu import jit

from .eager import count, layered

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000, 1_000_000), (400, 1_000)
LAYER = 200  # nodes of a layer, by whole ones of which the graphs grow


def show(console: Console, quick: bool) -> None:
    """Prints both tables; needs llvmlite."""
    with nothing_compiled():
        console.print(machine(QUICK_SIZES if quick else SIZES, QUICK_ROUNDS if quick else ROUNDS))
    console.print(straight(quick))


@contextmanager
def nothing_compiled() -> Iterator[None]:
    """Within the block compiled code is kept in a folder of its own, empty at first."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, dict.fromkeys(CACHES, folder)),
    ):
        yield


class Layered:
    """A layered graph as a traced program, with its tape for value and gradient."""

    def __init__(self, size: int) -> None:
        self.build, self.nodes = layered(size), count(size)
        jitted = jit(self.build)
        jitted.value_and_grad()
        self.program = jitted.programs[-1]
        self.tape = self.program.gradient.tape

    def agrees(self, kernel: Any) -> bool:
        """Whether a kernel of the tape has the eager engine's bits."""
        y = self.build()
        parameters = self.program.trace.parameters
        for p in parameters:
            p.grad = 0.0
        y.backward()
        return bool(kernel([p.data for p in parameters]) == [y.data, *[p.grad for p in parameters]])


def machine(sizes: tuple[int, ...], rounds: int) -> Table:
    """The cost of a node on the tape machine at each size."""
    from tinygrad_edu.jit.running.machine import Machine

    table = Table(
        title="Tape machine: value and gradient of layered graphs",
        title_justify="left",
        caption_justify="left",
    )
    for heading in (
        "nodes",
        "operations",
        "bytes a node",
        "ms",
        "ns a node",
        "least",
        "as the eager engine",
    ):
        table.add_column(heading, justify="right")
    graphs: list[tuple[Layered, bool, int, Machine, array[float], list[float]]] = []
    for size in sizes:
        graph = Layered(size)
        kernel = Machine(graph.tape)
        agrees = graph.agrees(kernel)
        registers = kernel.registers()  # with the inputs of the run before
        _, (cpu, _) = clocked(partial(kernel.run, registers))
        calls = 1 if rounds == QUICK_ROUNDS else max(1, math.ceil(LEAST_SECONDS / max(cpu, 1e-7)))
        graphs.append((graph, agrees, calls, kernel, registers, []))
    for _ in range(rounds):
        for _, _, calls, kernel, registers, seconds in graphs:
            def repeat(
                calls: int = calls, kernel: Any = kernel, registers: Any = registers
            ) -> None:
                for _ in range(calls):
                    kernel.run(registers)

            seconds.append(clocked(repeat)[1][0] / calls)
    costs = []
    for graph, agrees, _, _, _, seconds in graphs:
        costs.append(median(seconds) / graph.nodes)
        table.add_row(
            f"{graph.nodes:,}",
            f"{graph.tape.operations:,}",
            f"{graph.tape.bytes / graph.nodes:.0f}",
            f"{1e3 * median(seconds):.3f}",
            f"{1e9 * costs[-1]:.2f}",
            f"{1e9 * min(seconds) / graph.nodes:.2f}",
            "bit for bit" if agrees else "[bold red]DIFFERS[/]",
        )
    flat = max(costs) / min(costs) - 1
    table.caption = (
        f"Medians of {rounds} rounds in rotation, processor time.\n"
        f"Largest cost over the least, minus 1: {flat:.0%}, target 30 %: {mark(flat <= 0.3)}"
    )
    return table


def straight(quick: bool) -> Table:
    """What straight-line code costs to compile, up to the threshold from which the tape machine is
    used."""
    from tinygrad_edu.jit.running import backend, straight_line

    table = Table(
        title="Straight-line machine code: compiling value and gradient of layered graphs",
        title_justify="left",
        caption_justify="left",
    )
    for heading in (
        "nodes",
        "operations",
        "trace and lower, ms",
        "compile, ms",
        "µs an operation",
        "as the eager engine",
    ):
        table.add_column(heading, justify="right")
    points = []
    size = LAYER
    while True:
        with nothing_compiled():
            graph, (everything, _) = clocked(partial(Layered, size))
        operations = graph.tape.operations
        if operations > backend.MAX_STRAIGHT_LINE_OPS:
            break
        times = []
        for _ in range(1 if quick else 3):
            with nothing_compiled():
                kernel, (cpu, _) = clocked(partial(straight_line.Scalar, graph.tape))
            times.append(cpu)
        points.append((operations, min(times)))
        table.add_row(
            f"{graph.nodes:,}",
            f"{operations:,}",
            f"{1e3 * max(0.0, everything - min(times)):.0f}",
            f"{1e3 * min(times):.0f}",
            f"{1e6 * min(times) / operations:.0f}",
            "bit for bit" if graph.agrees(kernel) else "[bold red]DIFFERS[/]",
        )
        if quick and len(points) == 2:
            break
        size = size + LAYER if size < 3 * LAYER else 2 * size
    (few, short), (many, long) = points[0], points[-1]
    growth = math.log(long / short) / math.log(many / few) if many > few else math.nan
    table.caption = (
        f"Least of {1 if quick else 3}, processor time, no compiled code on disk.\n"
        f"The time grows as operations ^ {growth:.2f}, target 1.1: {mark(growth <= 1.1)}"
    )
    return table
