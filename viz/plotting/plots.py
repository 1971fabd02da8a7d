"""Plots by matplotlib (the extra ``plots``), as Figures that can be shown, saved, or drawn into an
Axes of yours.

    viz.plots.loss(history)                            how training went
    viz.plots.decision_boundary(model, X, y)           what the model learnt: regions, or a curve
    for one feature
    viz.plots.gradient_flow(model, X)                  gradients layer by layer: vanishing,
    exploding, dead units
    viz.plots.activation_histograms(model, X)          what the layers put out
    viz.plots.loss_surface(loss, p, q, path=path)      the loss over two parameters, and the way of
    the descent
    viz.plots.derivatives("tanh")                      a primitive and its derivatives over its
    domain

Each takes ``ax=``, an existing Axes to draw into, and returns the Figure; without it a new Figure
is made::

    figure = viz.plots.loss(history)
    figure.savefig("loss.png")

No pyplot: nothing here changes matplotlib's global state, no window opens, and other Axes of a
figure stay as they are.  The numbers are those of `tinygrad_edu.diagnosis.inspection`, `analysis`
and `curves`, which can be had without a picture.  All raise RenderError if matplotlib is not
installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Value
from tinygrad_edu.diagnosis import inspection
from tinygrad_edu.diagnosis.inspection import LayerActivations, LayerGradients
from tinygrad_edu.engine.primitives import TABLE, Primitive, short_repr
from tinygrad_edu.symbolic.formulas import formula
from tinygrad_edu.train import History

from . import analysis
from .analysis import Range, drawable
from .boundary import decision_boundary
from .curves import curves, row_of
from .figures import (
    BLANK,
    BLUE,
    DARK,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    drawable_plane,
    figure_and_axes,
    is_int,
    literal,
    say_blanks,
    tint,
    title_and_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "activation_histograms",
    "decision_boundary",
    "derivatives",
    "gradient_flow",
    "loss",
    "loss_surface",
]

VERDICT_COLORS = {
    "fine": BLUE,
    "vanishing": ORANGE,
    "exploding": "#b2182b",
    "zero": "#5c6670",
    "not finite": "#b2182b",
}
PERCENTILES: dict[str, Any] = {"linewidth": 9, "alpha": 0.35, "solid_capstyle": "butt"}
MEDIAN: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 7}
RMS: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 15, "markeredgewidth": 2.2}
LOG_RANGE = 1e4  # a loss that spans more than this factor is drawn on a logarithmic axis
# the same for colours, which show less; and how many powers of ten they cover
SURFACE_LOG_RANGE, DECADES = 50.0, 8
FORMULA = 500  # characters of a formula in a title
# layers whose outputs differ more than this in size share a symmetric logarithmic axis
SPREADS = 50.0


def loss(history: History, ax: Axes | None = None) -> Figure:
    """The loss of every step, its mean over every epoch, and the metrics on an axis of their own.

    The axis is logarithmic if the losses span more than a factor of `LOG_RANGE`, as those of a run
    that diverged do; losses that are nan, infinite or beyond 1e100, where matplotlib's own
    arithmetic overflows, are left out.

    ``ax`` is an existing Axes to draw into; by default a new Figure is made.  Returns the Figure.
    Raises RenderError if matplotlib is not installed, TypeError for what is no History, ValueError
    for one without steps.
    """
    if not isinstance(history, History):
        raise TypeError(
            f"loss() takes the History that fit returns, not {type(history).__name__} "
            f"({short_repr(history)})"
        )
    if not history.loss:
        raise ValueError("the history has no steps, so there is no loss to plot")
    figure, ax = figure_and_axes(ax)
    losses = [x if drawable(x) else math.nan for x in history.loss]
    ends = history.epoch_ends
    several = len(ends) < len(history)  # steps an epoch
    ax.plot(
        range(1, len(history) + 1),
        losses,
        color=BLUE,
        alpha=0.35 if several else 1,
        linewidth=1 if several else 2,
        label="loss of a step",
    )
    if several and ends:
        ax.plot(
            ends,
            [_mean(losses[start:end]) for start, end in zip([0, *ends], ends)],
            color=BLUE,
            linewidth=2,
            label="mean of an epoch",
        )
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    finite = [x for x in losses if x == x]
    positive = [x for x in finite if x > 0]
    if positive and max(positive) / LOG_RANGE > min(positive):
        ax.set_ylim(max(min(positive) / 2, 1 / analysis.LARGEST), max(positive) * 2)
        ax.set_yscale("log", nonpositive="mask")
    elif finite and min(finite) >= 0:
        ax.set_ylim(bottom=0)
    lines = list(ax.get_lines())
    if any(history.metrics.values()):
        right = ax.twinx()
        for (name, values), style in zip(
            history.metrics.items(), ["-", "--", ":", "-."] * len(history.metrics)
        ):
            lines += right.plot(ends, values, color=ORANGE, linestyle=style, label=literal(name))
        right.set_ylabel(literal(", ".join(history.metrics)), color=ORANGE)
        right.spines["top"].set_visible(False)
    ax.spines["top"].set_visible(False)
    title_and_legend(ax, "Training", lines)
    return figure


# ---- layers --------------------------------------------------------------------------------------


def gradient_flow(model: Any, X: Iterable[Any] | None = None, *, ax: Axes | None = None) -> Figure:
    """The magnitudes of the gradients that a backward pass left in the parameters, layer by layer,
    on a logarithmic axis.

    A bar reaches from the 5th to the 95th percentile of a layer's non-zero gradients, a dot marks
    the median and a stroke the root of the mean square.  Gradients that are 0 are counted beside
    the layer's name, and layers called vanishing or exploding as `inspection.gradient_flow` defines
    it: by a rms of less than 1e-3, or more than 1e3, times that of the last layer.

    model    a `Module`, or anything else that `inspection.gradient_flow` takes
    X        samples to run the model on, so that dead and saturated units are counted, too
    ax       an existing Axes to draw into

    Raises ValueError if there are no parameters, or no samples in ``X``.
    """
    layers = inspection.gradient_flow(model)
    units = (
        {layer.path: layer for layer in inspection.activations(model, X)} if X is not None else {}
    )
    figure, ax = figure_and_axes(ax, 7, max(2.6, 1.5 + 0.52 * len(layers)))
    drawn: list[float] = []
    for row, layer in enumerate(layers):
        if layer.median > 0:
            color = VERDICT_COLORS[layer.verdict]
            low, median, high, rms = (min(max(x, 1 / analysis.LARGEST), analysis.LARGEST)
                                      for x in (layer.low, layer.median, layer.high, layer.rms))
            ax.plot([low, high], [row, row], color=color, **PERCENTILES)
            ax.plot([median], [row], color=color, **MEDIAN)
            ax.plot([rms], [row], color=color, **RMS)
            drawn += low, high, rms
    # before the scale, which would look for limits
    ax.set_xlim(min(drawn, default=1e-3) / 2, max(drawn, default=1.0) * 2)
    ax.set_xscale("log")
    if not drawn:
        ax.text(
            0.5,
            0.5,
            "all gradients are 0: was backward() called?",
            transform=ax.transAxes,
            ha="center",
            va="center",
            color=DARK,
        )
    notes = [[_gradient_note(layer), *_unit_notes(units.get(layer.path))] for layer in layers]
    _rows(
        ax,
        [_label(layer.path or "model", lines) for layer, lines in zip(layers, notes)],
        colors=[
            DARK if layer.verdict == "fine" else VERDICT_COLORS[layer.verdict] for layer in layers
        ],
    )
    ax.set_xlabel("|gradient|")
    ax.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    ax.set_axisbelow(True)
    verdicts = [layer.verdict for layer in layers]
    found = [f"{verdicts.count(name)} {name}" for name in VERDICT_COLORS
             if name != "fine" and name in verdicts] or ["none vanishing or exploding"]
    if any(layer.dead for layer in units.values()):
        found.append(
            f"{sum(layer.dead for layer in units.values())} of "
            f"{sum(len(layer.units) for layer in units.values())} "
            "units dead"
        )
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=BLUE, label=label, **style)
               for label, style in (("5 % to 95 %", PERCENTILES), ("median", MEDIAN), ("rms", RMS))]
    title_and_legend(
        ax,
        f"Gradients of {len(layers)} layer{'s' * (len(layers) > 1)}: {', '.join(found)}",
        handles,
    )
    return figure


def _gradient_note(layer: LayerGradients) -> str:
    notes = [layer.verdict] if layer.verdict in ("vanishing", "exploding") else []
    if layer.nonfinite:
        notes.append(f"{layer.nonfinite} of {layer.count} not finite")
    if layer.zeros:
        notes.append(
            f"{layer.zeros} of {layer.count} are 0"
            if layer.zeros < layer.count
            else f"all {layer.count} are 0"
        )
    return ", ".join(notes)


def _unit_notes(layer: LayerActivations | None) -> list[str]:
    counts = [(layer.dead, "dead"), (layer.saturated, "saturated")] if layer else []
    return [f"{n} of {len(layer.units)} units {what}" for n, what in counts if n and layer]


def _label(path: str, notes: Sequence[str]) -> str:
    return "\n".join([literal(path), *filter(None, notes)])


def activation_histograms(
    model: Callable[[Any], Any], X: Iterable[Any], *, bins: int = 40, ax: Axes | None = None
) -> Figure:
    """What each layer puts out for the samples ``X``: a ridge of histograms over one axis, the
    first layer on top.

    Each histogram is scaled to its own highest bin.  Outputs of exactly 0, of which relu makes
    many, are counted beside the layer's name instead, and so are units that are dead (0 for every
    sample, with a slope of 0) or saturated (beyond 0.99 of the way to an asymptote, for every
    sample).  Where layers differ more than 50 times in size, the axis is linear around 0 and
    logarithmic further out.

    bins     how many there are in each histogram
    ax       an existing Axes to draw into

    Outputs that are nan or infinite are left out and counted.  Raises ValueError if there are no
    samples, or for fewer than one bin.
    """
    if is_int(bins) and bins >= 1:
        layers = inspection.activations(model, X)
    else:
        raise ValueError(f"bins is {bins!r}; it must be a whole number of at least 1")
    shown = [[o for o in layer.outputs if drawable(o) and o] for layer in layers]
    figure, ax = figure_and_axes(ax, 7, max(2.6, 1.3 + 0.75 * len(layers)))
    for row, outputs in enumerate(shown):
        ax.axhline(row, color="#d0d0d0", linewidth=0.8, zorder=1)
        if outputs:
            low, high = min(outputs), max(outputs)
            edges = (
                analysis.spaced(low, high, bins + 1)
                if high > low
                else analysis.spaced(*analysis.window([low]), 2 * bins)
            )
            counts = analysis.histogram(outputs, edges)
            # rows are counted downwards
            heights = [row - 0.85 * count / max(counts) for count in counts]
            ax.stairs(heights, edges, baseline=row, fill=True, color=tint(BLUE, 0.45), zorder=2)
            ax.stairs(heights, edges, baseline=row, color=BLUE, linewidth=1.2, zorder=3)
    _rows(
        ax,
        [_label(layer.path or "output", _activation_notes(layer)) for layer in layers],
        ridge=True,
    )
    everything = [o for outputs in shown for o in outputs]
    sizes = [max(map(abs, outputs)) for outputs in shown if outputs]
    low, high = analysis.window(everything, 0.05)
    if sizes and max(sizes) > SPREADS * min(sizes):
        ax.set_xscale("symlog", linthresh=10.0 ** math.ceil(math.log10(min(sizes))))
        low, high = 1.2 * min(0.0, *everything), 1.2 * max(0.0, *everything)
    ax.set_xlim(low, high)
    ax.axvline(0.0, color=GREY, linewidth=0.8, zorder=1)
    ax.set_xlabel("output")
    samples = len(layers[0].units[0].outputs)
    title_and_legend(ax, f"Outputs of each layer for {samples} sample{'s' * (samples > 1)}")
    return figure


def _activation_notes(layer: LayerActivations) -> list[str]:
    outputs, ops = layer.outputs, list(dict.fromkeys(unit.op or "linear" for unit in layer.units))
    shares = [(outputs.count(0.0) / len(outputs), "zeros"), (layer.saturation, "saturated"),
              (sum(not drawable(o) for o in outputs) / len(outputs), "not finite")]
    return [
        ", ".join([*ops, *[f"{share:.0%} {what}" for share, what in shares if share]]),
        *_unit_notes(layer),
    ]


def _rows(
    ax: Any, labels: Sequence[str], *, colors: Sequence[str] = (), ridge: bool = False
) -> None:
    """A row for each label on the vertical axis, from the top down; those of a ridge stand on their
    baselines."""
    ax.set_yticks([row - 0.35 * ridge for row in range(len(labels))], labels, fontsize=8.5)
    for tick, color in zip(ax.get_yticklabels(), colors):
        tick.set_color(color)
    ax.set_ylim(len(labels) - (0.9 if ridge else 0.4), -0.95 if ridge else -0.6)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


# ---- the loss over two parameters ----------------------------------------------------------------


def loss_surface(
    loss: Callable[[], Any],
    p: Value,
    q: Value,
    *,
    path: Iterable[tuple[float, float]] = (),
    ranges: tuple[Range, Range] | None = None,
    resolution: int = 40,
    ax: Axes | None = None,
) -> Figure:
    """The loss over two parameters, all others as they are, and the way that a descent took.

    loss         computes the loss from the parameters' current data: ``lambda: nn.mse(model(x),
                 y)``
    p, q         the parameters, which name the axes; their data are put back afterwards
    path         the points ``(p, q)`` of the descent, in order; start and end are marked.  After
                 ``fit(..., record_every=1)`` it is ``history.training.path(p, q)``
    ranges       the ranges of p and q; by default around the path and the current point
    resolution   points along an axis; the loss is computed ``resolution`` times ``resolution``
                 times
    ax           an existing Axes to draw into

    The levels are logarithmic if the losses are positive and span more than a factor of 50; they
    then reach down 8 powers of ten.  Losses and points that are not finite are left out; the title
    says so.  What raises:  see `analysis.loss_surface`.
    """
    points = analysis.points_of(path)
    surface = analysis.loss_surface(loss, p, q, path=points, ranges=ranges, resolution=resolution)
    names = [literal(str(parameter.label)) or letter for parameter, letter in ((p, "p"), (q, "q"))]
    losses = drawable_plane(surface.losses)
    finite = sorted(z for row in losses for z in row if z == z)
    notes: list[str] = []
    own = ax is None
    figure, ax = figure_and_axes(ax, 6.5, 5)
    say_blanks(ax, [z for row in losses for z in row], "loss", notes)
    if finite and finite[0] < finite[-1]:
        from matplotlib.colors import LogNorm

        logarithmic = finite[0] > 0 and finite[-1] / SURFACE_LOG_RANGE > finite[0]
        low = max(finite[0], finite[-1] * 10.0**-DECADES) if logarithmic else finite[0]
        levels = _levels(low, finite[-1], logarithmic)
        filled = ax.contourf(
            surface.xs,
            surface.ys,
            losses,
            levels=levels,
            cmap="Blues",
            extend="min" if low > finite[0] else "neither",
            norm=LogNorm(low, finite[-1]) if logarithmic else None,
        )
        ax.contour(
            surface.xs, surface.ys, losses, levels=levels, colors=DARK, linewidths=0.4, alpha=0.5
        )
        if own:
            figure.colorbar(filled, ax=ax, label="loss", ticks=levels[::3], format="%.3g")
    elif finite:
        notes.append(f"the loss is {finite[0]:.6g} everywhere")
    drawn = [(x, y) for x, y in points if drawable(x) and drawable(y)]
    if len(drawn) < len(points):
        notes.append(
            f"{len(points) - len(drawn)} of {len(points)} points of the path left out: {BLANK}"
        )
    marks = (
        [("current", p.data, q.data, "X")]
        if not drawn
        else [("start", *drawn[0], "o"), ("end", *drawn[-1], "*")]
    )
    if drawn:
        ax.plot(
            *zip(*drawn),
            color=ORANGE,
            linewidth=1.8,
            marker=".",
            markersize=5 if len(drawn) < 100 else 2,
            zorder=3,
            label=f"descent, {len(drawn)} points",
        )
    for label, x, y, marker in marks:
        if drawable(x) and drawable(y):
            ax.plot(
                [x],
                [y],
                marker=marker,
                color=ORANGE,
                markeredgecolor=DARK,
                markersize=13 if marker == "*" else 9,
                linestyle="none",
                zorder=4,
                label=label,
            )
    ax.set_xlim(surface.xs[0], surface.xs[-1])
    ax.set_ylim(surface.ys[0], surface.ys[-1])
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    title_and_legend(ax, "\n".join([f"Loss over {names[0]} and {names[1]}", *notes]))
    return figure


def _levels(low: float, high: float, logarithmic: bool, n: int = 16) -> list[float]:
    if not logarithmic:
        return list(analysis.spaced(low, high, n))
    return [low * (high / low) ** (i / (n - 1)) for i in range(n - 1)] + [high]


# ---- primitives ----------------------------------------------------------------------------------


def derivatives(
    primitive: Primitive | str,
    *,
    vary: str | None = None,
    at: Mapping[str, float] | None = None,
    over: Range | None = None,
    order: int = 1,
    resolution: int = 400,
    ax: Axes | None = None,
) -> Figure:
    """A primitive and its partial derivatives over its domain; the title has their formulas.

    primitive    a row of the table, its name, or its symbol: "mul" or "*"; "-" is the subtraction
    vary         the argument on the horizontal axis, by default the first
    at           values of the other arguments, ``{"y": 2.0}``, by default readable ones; they stand
                 below the axis
    over         the range in which the argument varies; by default -5 to 5, as far as the domain
                 reaches
    order        2 to draw the second derivative by that argument, too
    resolution   the number of points
    ax           an existing Axes to draw into

    Lines are interrupted at jumps, poles and the borders of the domain.  Raises ValueError for an
    unknown name, and says which are near; and for arguments that do not exist.
    """
    row = _row_of(primitive)
    shown = curves(row, vary=vary, at=at, over=over, order=order, resolution=resolution)
    value = formula(row, 0).removeprefix(f"d/d{row.parameters[0]} ").partition(" = ")[0]
    figure, ax = figure_and_axes(ax)
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    ax.plot(
        shown.xs,
        shown.value,
        color=BLUE,
        linewidth=3,
        alpha=0.8,
        solid_capstyle="butt",
        label=literal(value),
    )
    styles = [(ORANGE, (0, (5, 1.5))), (GREEN, (0, (2, 1.2))), (PURPLE, (0, (4, 1.2, 1, 1.2)))]
    for k, (name, line) in enumerate(zip(shown.parameters, shown.partials)):
        color, style = styles[k % len(styles)]
        ax.plot(
            shown.xs, line, color=color, linewidth=2, linestyle=style, label=literal(f"d/d{name}")
        )
    if shown.second:
        ax.plot(
            shown.xs,
            shown.second,
            color=DARK,
            linewidth=1.3,
            linestyle=":",
            label=literal(f"d²/d{shown.vary}²"),
        )
    ax.set_ylim(*shown.height)
    ax.set_xlabel(literal(", ".join([shown.vary, *[f"at {name} = {x:g}" for name, x in shown.at]])))
    ax.grid(color="#e9e9e9", linewidth=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    nothing = (
        []
        if any(drawable(a) and drawable(b) for a, b in pairwise(shown.value))
        else ["no finite value here"]
    )
    title_and_legend(
        ax, "\n".join([literal(line, FORMULA) for line in [*formula(row).splitlines(), *nothing]])
    )
    return figure


def _row_of(primitive: Primitive | str) -> Primitive:
    """`curves.row_of`, also by symbol; and where the name is the beginning of others, the error
    suggests those."""
    if isinstance(primitive, str) and primitive and primitive not in TABLE:
        row = next((row for row in TABLE.values() if row.symbol == primitive), None)
        if row is not None:
            return row
        longer = [name for name in TABLE if name.startswith(primitive)]
        if longer:
            raise ValueError(
                f"no primitive {primitive!r} in the table; did you mean "
                f"{' or '.join(map(repr, longer))}?"
            )
    return row_of(primitive)


def _mean(numbers: Sequence[float]) -> float:
    # a sum of losses near the largest float is infinite
    return sum(x / len(numbers) for x in numbers)
