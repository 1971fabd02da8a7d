"""The cost of pictures: time and size of DOT, SVG and the explorer's page, the time of recording
and stepping, and the frame times of a browser that steps through the page.

The graphs are one sample's loss or outputs of small networks, drawn whole: 41, 342 and 2,649 nodes.
SVG is made by each layout engine that is installed, the start of its process included.  Every
figure is the median of several runs.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

import viz
from tests.benchmarks.races.tables import mark
from tinygrad_edu import Stepper, Value, math, nn, record
from tinygrad_edu.examples import lecture_neuron
from viz.pages.live.program import engine_script

from .. import browser

TARGETS = {41: 0.1, 342: 0.3, 2649: 3.0}  # seconds for an SVG, by the number of nodes
PAGE_NODES, PAGE_LIMIT = 342, 1_000_000  # bytes
PLAYGROUND_LIMIT = 300  # kilobytes
STEP_RATE = 20  # of the playground, a second
FRAME = 1 / 30  # seconds
ENGINE_NODES, ENGINE_LIMIT = 10_000, 30  # milliseconds, forward and backward
NEURON_LIMIT = 160  # kB
STEPPED_NODES, RECORD_LIMIT, STEP_LIMIT = 10_000, 0.3, 0.001  # seconds


def main(quick: bool = False) -> None:
    """Runs all and prints the tables."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=112)
    graphs = [graph(41)] if quick else [graph(41), graph(342), graph(2649)]
    console.print(pictures(graphs, 1 if quick else 5))
    console.print(pages(graphs[:1] if quick else graphs[:2], 1 if quick else 3))
    console.print(steps(300 if quick else STEPPED_NODES, 1 if quick else 5))
    console.print(stepping(*(([3, 1], 8) if quick else ([24, 24, 1], 100))))
    console.print(living(300 if quick else ENGINE_NODES, graphs[0 if quick else 1][0], 9))


def graph(nodes: int) -> list[Value]:
    """The roots of a graph with so many nodes: 41, 342 or 2,649."""
    rng = random.Random(0)
    if nodes == 41:
        return [nn.hinge(nn.MLP(2, [3, 1], rng=rng)([Value(1.0, "x1"), Value(-2.0, "x2")]), 1)]
    if nodes == 342:
        return [nn.hinge(nn.MLP(4, [16, 1], rng=rng)([1.0, -2.0, 0.5, 3.0]), 1)]
    return list(nn.MLP(1, [27, 27, 3], rng=rng)([1.0]))


def pictures(graphs: list[list[Value]], runs: int) -> Table:
    """DOT and SVG of each graph."""
    table = Table(title="A drawing of every node", title_justify="left")
    for column in (
        "nodes",
        "edges",
        "DOT, s",
        "DOT, kB",
        "engine",
        "SVG, s",
        "SVG, kB",
        "target, s",
        "",
    ):
        table.add_column(column, justify="right")
    for roots in graphs:
        drawing = viz.draw(roots, max_nodes=None)
        dot_time = timed(partial(dot_text, roots), runs)
        count = len(drawing.records.nodes)
        for name, engine in ENGINES.items():
            if not available(name):
                table.add_row(
                    f"{count:,}",
                    f"{len(drawing.records.edges):,}",
                    "",
                    "",
                    name,
                    "not installed",
                    "",
                    "",
                    "",
                )
                continue
            with engine():
                time = timed(partial(svg_text, roots), runs)
                size = len(svg_text(roots).encode())
            target = TARGETS[count]
            table.add_row(
                f"{count:,}",
                f"{len(drawing.records.edges):,}",
                f"{dot_time:.3f}",
                f"{len(drawing.source) / 1000:.0f}",
                name,
                f"{time:.3f}",
                f"{size / 1000:.0f}",
                f"{target:g}",
                mark(time <= target),
            )
    return table


def dot_text(roots: list[Value]) -> str:
    """The DOT text of a drawing of every node."""
    return viz.draw(roots, max_nodes=None).source


def svg_text(roots: list[Value]) -> str:
    """The SVG of a drawing of every node."""
    return viz.draw(roots, max_nodes=None).svg()


def pages(graphs: list[list[Value]], runs: int) -> Table:
    """The explorer's page of each graph."""
    table = Table(title="A page to step through it", title_justify="left")
    for column in ("nodes", "steps", "page, s", "page, kB", "limit, kB", ""):
        table.add_column(column, justify="right")
    for roots in graphs:
        recording = record(roots[0])
        time = timed(partial(page, roots[0]), runs)
        size = len(page(roots[0]).encode())
        table.add_row(
            f"{len(recording.nodes):,}",
            f"{len(recording):,}",
            f"{time:.3f}",
            f"{size / 1000:.0f}",
            f"{PAGE_LIMIT / 1000:.0f}",
            mark(size <= PAGE_LIMIT),
        )
    return table


def page(root: Value) -> str:
    """The text of the explorer's page."""
    return viz.explore(root).html


def steps(nodes: int, runs: int) -> Table:
    """Recording a graph, and steps with their view in both directions and by a jump."""
    rng = random.Random(0)
    values = [Value(rng.uniform(-1, 1), f"x{i}") for i in range(10)]
    while len(values) < nodes - 1:
        values.append(
            math.tanh(rng.choice(values[-50:]) * 0.5)
            if len(values) % 5
            else values[-1] + rng.choice(values)
        )
    root = math.total(values[-300:])
    recording = record(root)
    stepper = Stepper(recording)
    middle = len(recording) // 2
    moves: dict[str, Callable[[], Any]] = {
        "next": lambda: repr(stepper.next()),
        "back": lambda: repr(stepper.back()),
        "sentence": lambda: stepper.step.sentence,
    }
    stepper.goto(middle)
    table = Table(
        title=f"Stepping through {len(recording.nodes):,} nodes, {len(recording):,} steps",
        title_justify="left",
    )
    for column in ("what", "ms", "limit, ms", ""):
        table.add_column(column, justify="right")
    time = timed(lambda: record(root), runs)
    table.add_row(
        "record", f"{time * 1e3:.1f}", f"{RECORD_LIMIT * 1e3:g}", mark(time <= RECORD_LIMIT)
    )
    for name, move in moves.items():
        time = timed(move, 20 * runs)
        table.add_row(
            f"{name}, with its view" if name != "sentence" else name,
            f"{time * 1e3:.3f}",
            f"{STEP_LIMIT * 1e3:g}",
            mark(time <= STEP_LIMIT),
        )
    return table


def stepping(sizes: list[int], count: int) -> Table:
    """The explorer's page of one sample in a network, one step in each frame of the browser.

    "next" in the middle of the forward phase, "back" in that of the backward one.  "zoomed": texts
    can be read, and what is in sight, a small part of the drawing, follows the steps.
    """
    table = Table(title="Stepping in Chromium, one step a frame", title_justify="left")
    for column in (
        "nodes",
        "view",
        "direction",
        "median, ms",
        "95th percentile, ms",
        "target, ms",
        "",
    ):
        table.add_column(column, justify="right")
    output: Any = nn.MLP(2, sizes, rng=random.Random(0))([Value(1.0, "x1"), Value(-2.0, "x2")])
    recording = record(output)
    nodes = f"{len(recording.nodes):,}"
    if absent := browser.missing():
        table.add_row(nodes, "", "", f"{absent}: not installed", "", f"{FRAME * 1e3:.0f}", "")
        return table
    with tempfile.TemporaryDirectory() as folder, browser.chromium(folder) as driver:
        browser.visit(driver, viz.explore(recording, f"{folder}/y.html", max_nodes=None))
        for view, zooms in (("fitted", 0), ("zoomed", 12)):
            for direction, start in (
                ("next", recording.forward // 2),
                ("back", len(recording) - recording.forward // 2),
            ):
                times = driver.execute_async_script(_FRAMES, zooms, direction, start, count)
                middle, high = median(times), sorted(times)[len(times) * 95 // 100]
                table.add_row(
                    nodes,
                    view,
                    direction,
                    f"{middle:.1f}",
                    f"{high:.1f}",
                    f"{FRAME * 1e3:.0f}",
                    mark(high <= FRAME * 1e3),
                )
    return table


_FRAMES = """const [zooms, direction, start, count, done] = arguments
const by = (id) => document.getElementById(id)
by("zoom-fit").click()
for (let i = 0; i < zooms; i += 1) by("zoom-in").click()
by("slider").value = start
by("slider").dispatchEvent(new Event("input"))
const times = []
let before = 0
const frame = () => {
  if (before) times.push(performance.now() - before)
  before = performance.now()
  if (times.length === count) return done(times)
  by(direction).click()
  requestAnimationFrame(frame)
}
setTimeout(() => requestAnimationFrame(frame), 1500)"""


def living(nodes: int, root: Value, runs: int) -> Table:
    """The engine of the pages in Chromium, a leaf of a page that is dragged, and a page's size."""
    table = Table(title="Changing numbers in Chromium", title_justify="left")
    for column in ("what", "median", "target", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    size = len(page(lecture_neuron()).encode()) / 1000
    table.add_row("the page of a neuron, kB", f"{size:.0f}", f"{NEURON_LIMIT}",
                  mark(size <= NEURON_LIMIT))
    if absent := browser.missing():
        table.add_row(f"{absent}: not installed", "", "", "")
        return table
    with tempfile.TemporaryDirectory() as folder, browser.chromium(folder) as driver:
        script = engine_script(["mul", "add", "tanh", "sub", "sin"]) + _ENGINE
        time = median(driver.execute_script(script, nodes, runs))
        table.add_row(f"{nodes:,} nodes forward and backward, ms", f"{time:.1f}",
                      f"{ENGINE_LIMIT}", mark(time <= ENGINE_LIMIT))
        browser.visit(driver, viz.explore(root, f"{folder}/y.html", max_nodes=None))
        count = len(record(root).nodes)
        frame = median(driver.execute_async_script(_DRAG, 8 * runs))
        table.add_row(f"a leaf of {count} nodes dragged, ms a frame", f"{frame:.1f}",
                      f"{FRAME * 1e3:.0f}", mark(frame <= FRAME * 1e3))
        # 200 points and the usual 2-8-8-1 network
        path = viz.playground(f"{folder}/playground.html", test=0)
        size = path.stat().st_size / 1000
        table.add_row("the playground, kB", f"{size:.0f}", f"{PLAYGROUND_LIMIT}",
                      mark(size <= PLAYGROUND_LIMIT))
        browser.visit(driver, path)
        rate = median(driver.execute_async_script(_TRAIN, runs))
        table.add_row("full-batch steps a second in it, drawn", f"{rate:.0f}",
                      f"> {STEP_RATE}", mark(rate >= STEP_RATE))
    return table


_TRAIN = """const [count, done] = arguments
const steps = () => Number(document.querySelector("[data-number=steps]").dataset.value)
document.querySelector("[data-do=run]").click()
const rates = []
let before = 0
let start = 0
const look = () => {
  const now = performance.now()
  if (start) rates.push((1000 * (steps() - before)) / (now - start))
  before = steps()
  start = now
  if (rates.length === count) return done(rates)
  setTimeout(look, 1000)
}
setTimeout(look, 1000)"""


_ENGINE = """
const [count, runs] = arguments
const graph = new Graph(ROWS)
const a = graph.leaf(0.5), b = graph.leaf(-0.3)
const ops = ["mul", "add", "tanh", "sub", "sin"]
let y = a
for (let i = 0; graph.size < count; i += 1) {
  const op = ops[i % 5]
  y = graph.apply(op, y, ...(op === "tanh" || op === "sin" ? [] : [i % 2 ? a : b]))
}
return Array.from({ length: runs }, (_, run) => {
  const start = performance.now()
  graph.set(a, 0.5 + run / 1000)
  graph.gradients(y)
  return performance.now() - start
})"""

_DRAG = """const [count, done] = arguments
document.getElementById("last").click()
const leaf = document.querySelector("g.node.leaf")
const box = leaf.getBoundingClientRect()
const stage = document.getElementById("stage")
stage.setPointerCapture = () => {}
const send = (type, dx) => leaf.dispatchEvent(new PointerEvent(type, { bubbles: true,
  clientX: box.x + box.width / 2 + dx, clientY: box.y + box.height / 2, pointerId: 1,
  pointerType: "mouse", button: 0, buttons: 1 }))
send("pointerdown", 0)
const times = []
let before = 0
const frame = () => {
  if (before) times.push(performance.now() - before)
  before = performance.now()
  if (times.length === count) {
    send("pointerup", count)
    return done(times)
  }
  send("pointermove", 4 + times.length)
  requestAnimationFrame(frame)
}
setTimeout(() => requestAnimationFrame(frame), 500)"""


def timed(function: Callable[[], Any], runs: int) -> float:
    """The median of the seconds that a call takes."""
    times = []
    for _ in range(runs):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return median(times)


@contextmanager
def _without_dot() -> Any:
    """Graphviz's own program out of sight, so that the copy inside pygraphviz is taken."""
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as empty:
        os.environ["PATH"] = empty
        try:
            yield
        finally:
            os.environ["PATH"] = path


@contextmanager
def _as_it_is() -> Any:
    yield


ENGINES: dict[str, Callable[[], Any]] = {"dot": _as_it_is, "pygraphviz": _without_dot}


def available(engine: str) -> bool:
    """Whether a layout engine is installed."""
    from importlib.util import find_spec

    return bool(shutil.which("dot")) if engine == "dot" else find_spec("pygraphviz") is not None
