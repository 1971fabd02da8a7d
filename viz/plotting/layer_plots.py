"""Plots of the layers of a model, their gradients and outputs: a part of `viz.plots`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from tinygrad_edu.diagnosis import inspection
from tinygrad_edu.diagnosis.inspection import LayerActivations, LayerGradients
from tinygrad_edu.errors import check_int, counted

from .figures import (
    BLUE,
    DARK,
    GREY,
    ORANGE,
    figure_and_axes,
    literal,
    tint,
    title_and_legend,
)
from .ranges import LARGEST, drawable, histogram, padded_range, spaced
from .samples import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROBLEM_COLORS = {  # by the verdict on a layer; it is fine if its verdict is not here
    "vanishing": ORANGE,
    "exploding": "#b2182b",
    "zero": "#5c6670",
    "not finite": "#b2182b",
}
STYLES: dict[str, dict[str, Any]] = {
    "5 % to 95 %": {"linewidth": 9, "alpha": 0.35, "solid_capstyle": "butt"},
    "median": {"linestyle": "none", "marker": "o", "markersize": 7},
    "rms": {"linestyle": "none", "marker": "|", "markersize": 15, "markeredgewidth": 2.2},
}
# if the layers' largest outputs differ by more than this factor, the axis is symlog
MAX_SIZE_RATIO = 50.0
MAX_BINS = 10_000


def gradient_flow(model: Any, X: Iterable[Any] | None = None, *, ax: Axes | None = None) -> Figure:
    """Draws the magnitudes of the parameters' gradients, layer by layer, on a logarithmic axis.

    A bar reaches from the 5th to the 95th percentile of a layer's non-zero gradients, a dot marks
    the median and a stroke the root mean square (rms).  Gradients that are 0 are counted next to
    the layer's name.  A layer is vanishing or exploding, as in `inspection.gradient_flow`, if its
    rms is less than 1e-3 or more than 1e3 times the last layer's rms.

    model: a `Module`, or anything else that `inspection.gradient_flow` takes.
    X: samples to run the model on, to count dead and saturated units.
    ax: an existing Axes to draw into; by default a new Figure is made.

    Returns the Figure.

    Raises:
        ValueError: there are no parameters, or no samples in ``X``.
        RenderError: matplotlib is not installed.
    """
    layers = inspection.gradient_flow(model)
    active = () if X is None else inspection.activations(model, X)
    units = {layer.path: layer for layer in active}
    figure, ax = figure_and_axes(ax, 7, max(2.6, 1.5 + 0.52 * len(layers)))
    drawn: list[float] = []
    for row, layer in enumerate(layers):
        if layer.median > 0:
            drawn += _draw_bar(ax, row, layer)
    # before set_xscale, which would compute limits from what is drawn
    low, high = min(drawn, default=1e-3) / 2, max(drawn, default=1.0) * 2
    # whole powers of ten, of which a few have labels: others would run into each other
    ax.set_xlim(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    ax.set_xscale("log")
    ax.xaxis.set_minor_formatter("")
    if not drawn:
        style: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, "all gradients are 0: was backward() called?", color=DARK, **style)
    rows = [
        (layer.path or "model", [_gradient_note(layer), *_unit_notes(units.get(layer.path))])
        for layer in layers
    ]
    _label_rows(ax, rows, colors=[PROBLEM_COLORS.get(layer.verdict, DARK) for layer in layers])
    ax.set(xlabel="|gradient| (logarithmic axis)", axisbelow=True)
    ax.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    verdicts = Counter(layer.verdict for layer in layers)
    found = [f"{verdicts[name]} {name}" for name in PROBLEM_COLORS if verdicts[name]]
    found = found or ["none vanishing or exploding"]
    if dead := sum(layer.dead for layer in active):
        found.append(f"{dead} of {sum(len(layer.units) for layer in active)} units dead")
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=BLUE, label=label, **style) for label, style in STYLES.items()]
    title = f"Gradients of {counted(len(layers), 'layer')}: {', '.join(found)}"
    title_and_legend(ax, title, handles)
    return figure


def _draw_bar(ax: Any, row: int, layer: LayerGradients) -> list[float]:
    """Draws the gradients of one layer, and returns the numbers that the axis must reach."""
    sizes = (layer.low, layer.median, layer.high, layer.rms)
    low, median, high, rms = shown = [min(max(x, 1 / LARGEST), LARGEST) for x in sizes]
    color = PROBLEM_COLORS.get(layer.verdict, BLUE)
    for xs, style in zip(([low, high], [median], [rms]), STYLES.values()):
        ax.plot(xs, [row] * len(xs), color=color, **style)
    return shown


def _gradient_note(layer: LayerGradients) -> str:
    notes = [layer.verdict] if layer.verdict in ("vanishing", "exploding") else []
    if layer.nonfinite:
        notes.append(f"{layer.nonfinite} of {layer.count} not finite")
    if layer.zeros == layer.count:
        notes.append(f"all {layer.count} are 0")
    elif layer.zeros:
        notes.append(f"{layer.zeros} of {layer.count} are 0")
    return ", ".join(notes)


def _unit_notes(layer: LayerActivations | None) -> list[str]:
    if layer is None:
        return []
    counts = {"dead": layer.dead, "saturated": layer.saturated}
    return [f"{n} of {len(layer.units)} units {what}" for what, n in counts.items() if n]


def activation_histograms(
    model: Model, X: Iterable[Any], *, bins: int = 40, ax: Axes | None = None
) -> Figure:
    """Draws the outputs of each layer for the samples ``X`` as histograms, the first layer on top.

    Each histogram is scaled to its own highest bin.  Outputs that are exactly 0 (relu makes many),
    nan or infinite are left out and counted next to the layer's name.  So are units that are dead
    (output and slope 0 for every sample) or saturated (beyond 0.99 of the way to an asymptote for
    every sample).  If layers differ by a factor of more than 50, the axis is linear around 0 and
    logarithmic further out.

    bins: the number of bins of each histogram.
    ax: an existing Axes to draw into; by default a new Figure is made.

    Returns the Figure.

    Raises:
        ValueError: there are no samples, or ``bins`` is not a whole number from 1 to `MAX_BINS`.
        RenderError: matplotlib is not installed.
    """
    check_int(bins, "activation_histograms: bins", 1, most=MAX_BINS)
    layers = inspection.activations(model, X)
    shown = [[o for o in layer.outputs if drawable(o) and o] for layer in layers]
    figure, ax = figure_and_axes(ax, 7, max(2.6, 1.3 + 0.75 * len(layers)))
    for row, outputs in enumerate(shown):
        ax.axhline(row, color="#d0d0d0", linewidth=0.8, zorder=1)
        if outputs:
            _draw_histogram(ax, row, outputs, bins)
    rows = [(layer.path or "output", _activation_notes(layer)) for layer in layers]
    _label_rows(ax, rows, ridge=True)
    everything = list(chain(*shown))
    limits = padded_range(everything, 0.05)
    sizes = sorted([max(map(abs, outputs)) for outputs in shown if outputs])
    if sizes and sizes[-1] > MAX_SIZE_RATIO * sizes[0]:
        ax.set_xscale("symlog", linthresh=10.0 ** math.ceil(math.log10(sizes[0])))
        limits = (1.2 * min(0.0, *everything), 1.2 * max(0.0, *everything))
    ax.set_xlim(limits)
    ax.axvline(0.0, color=GREY, linewidth=0.8, zorder=1)
    ax.set_xlabel("output")
    samples = counted(len(layers[0].units[0].outputs), "sample")
    title_and_legend(ax, f"Outputs of each layer for {samples}")
    return figure


def _draw_histogram(ax: Any, row: int, outputs: Sequence[float], bins: int) -> None:
    """Draws the histogram of one layer on the line of its row, counted downwards."""
    edges = spaced(min(outputs), max(outputs), bins + 1)
    if edges[0] == edges[-1]:
        edges = spaced(*padded_range(outputs), 2 * bins)
    counts = histogram(outputs, edges)
    heights = [row - 0.85 * count / max(counts) for count in counts]
    style = {"edges": edges, "baseline": row}
    ax.stairs(heights, fill=True, color=tint(BLUE, 0.45), zorder=2, **style)
    ax.stairs(heights, color=BLUE, linewidth=1.2, zorder=3, **style)


def _activation_notes(layer: LayerActivations) -> list[str]:
    outputs = layer.outputs
    ops = dict.fromkeys(unit.op or "linear" for unit in layer.units)
    shares = {
        "zeros": outputs.count(0.0) / len(outputs),
        "saturated": layer.saturation,
        "not finite": sum(not drawable(o) for o in outputs) / len(outputs),
    }
    found = [f"{share:.0%} {what}" for what, share in shares.items() if share]
    return [", ".join([*ops, *found]), *_unit_notes(layer)]


def _label_rows(
    ax: Any,
    rows: Sequence[tuple[str, Sequence[str]]],
    *,
    colors: Sequence[str] = (),
    ridge: bool = False,
) -> None:
    """Labels the rows of the vertical axis with paths and notes, from the top down.

    ridge: whether the rows are baselines, above which their labels stand.
    """
    labels = ["\n".join([literal(path), *filter(None, notes)]) for path, notes in rows]
    ax.set_yticks([row - 0.35 * ridge for row in range(len(rows))], labels, fontsize=8.5)
    for tick, color in zip(ax.get_yticklabels(), colors):
        tick.set_color(color)
    ax.set_ylim(len(rows) - (0.9 if ridge else 0.4), -0.95 if ridge else -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
