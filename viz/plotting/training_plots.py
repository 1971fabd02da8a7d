"""Plots of a training run: the loss of every step, and the loss over two parameters.  A part of
`viz.plots`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Value
from tinygrad_edu.errors import short_repr
from tinygrad_edu.train import History

from . import analysis
from .analysis import points_of
from .figures import (
    BLANK,
    BLUE,
    DARK,
    ORANGE,
    drawable_plane,
    figure_and_axes,
    literal,
    note_blanks,
    title_and_legend,
)
from .ranges import LARGEST, Range, drawable, spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_RANGE = 1e4  # a loss that spans more than this factor is drawn on a logarithmic axis
SURFACE_LOG_RANGE = 50.0  # the same for colours, which show smaller differences less well
SURFACE_DECADES = 8  # powers of ten that logarithmic colours cover


def loss(history: History, ax: Axes | None = None) -> Figure:
    """Draws the loss of every step, its mean over every epoch, and the metrics on a second axis.

    The axis is logarithmic if the losses span more than a factor of 10,000, as in a run that
    diverged.  Losses that are nan, infinite or beyond 1e100 are left out, because matplotlib
    cannot draw them.

    ``ax`` is an existing Axes to draw into; by default a new Figure is made.  Returns the Figure.

    Raises:
        TypeError: ``history`` is not a `History`.
        ValueError: ``history`` has no steps.
        RenderError: matplotlib is not installed.
    """
    if not isinstance(history, History):
        raise TypeError(
            "loss: history must be a History, which fit returns, not "
            f"{type(history).__name__} ({short_repr(history)})"
        )
    if not history.loss:
        raise ValueError("loss: the history has no steps; train for at least one step")
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
        ax.set_ylim(max(min(positive) / 2, 1 / LARGEST), max(positive) * 2)
        ax.set_yscale("log", nonpositive="mask")
    elif finite and min(finite) >= 0:
        ax.set_ylim(bottom=0)
    lines = list(ax.get_lines())
    if any(history.metrics.values()):
        lines += _draw_metrics(ax.twinx(), history)
    ax.spines["top"].set_visible(False)
    title_and_legend(ax, "Training", lines)
    return figure


def _draw_metrics(ax: Any, history: History) -> list[Any]:
    """Draws each metric in its own line style, and returns the lines."""
    lines: list[Any] = []
    for (name, values), style in zip(history.metrics.items(), cycle(["-", "--", ":", "-."])):
        lines += ax.plot(
            history.epoch_ends, values, color=ORANGE, linestyle=style, label=literal(name)
        )
    ax.set_ylabel(literal(", ".join(history.metrics)), color=ORANGE)
    ax.spines["top"].set_visible(False)
    return lines


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
    """Draws the loss over two parameters (all others keep their values), and the path of a descent.

    loss         computes the loss from the parameters' current data:
                 ``lambda: nn.mse(model(x), y)``
    p, q         the parameters, whose labels name the axes; their data are restored afterwards
    path         the points ``(p, q)`` of the descent, in order; start and end are marked.  After
                 ``fit(..., record_every=1)`` it is ``history.training.path(p, q)``
    ranges       the ranges of p and q; by default around the path and the current point
    resolution   points along an axis; the loss is computed ``resolution`` times ``resolution``
                 times
    ax           an existing Axes to draw into; by default a new Figure is made

    The levels are logarithmic if the losses are positive and span more than a factor of 50; they
    then cover at most 8 powers of ten.  Losses and points that are not finite are left out, and the
    title says so.  Returns the Figure.

    Raises RenderError if matplotlib is not installed, and what `analysis.loss_surface` raises.
    """
    points = points_of(path)
    surface = analysis.loss_surface(loss, p, q, path=points, ranges=ranges, resolution=resolution)
    names = [literal(str(parameter.label)) or letter for parameter, letter in ((p, "p"), (q, "q"))]
    has_colorbar = ax is None
    figure, ax = figure_and_axes(ax, 6.5, 5)
    notes = _draw_surface(ax, surface, figure if has_colorbar else None)
    drawn = [(x, y) for x, y in points if drawable(x) and drawable(y)]
    if len(drawn) < len(points):
        notes.append(
            f"{len(points) - len(drawn)} of {len(points)} points of the path left out: {BLANK}"
        )
    if drawn:
        _draw_descent(ax, drawn)
    else:
        _mark(ax, "current", (p.data, q.data), "X")
    ax.set_xlim(surface.xs[0], surface.xs[-1])
    ax.set_ylim(surface.ys[0], surface.ys[-1])
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    title_and_legend(ax, "\n".join([f"Loss over {names[0]} and {names[1]}", *notes]))
    return figure


def _draw_surface(
    ax: Any, surface: analysis.LossSurface, colorbar_in: Figure | None
) -> list[str]:
    """Draws the levels, and a colour bar if a Figure is given; returns notes for the title."""
    losses = drawable_plane(surface.losses)
    finite = sorted(z for z in chain(*losses) if z == z)
    notes: list[str] = []
    note_blanks(ax, list(chain(*losses)), "loss", notes)
    if not finite:
        return notes
    lowest = finite[0]
    highest = finite[-1]
    if lowest == highest:
        return [*notes, f"the loss is {lowest:.6g} everywhere"]
    from matplotlib.colors import LogNorm

    logarithmic = lowest > 0 and highest / SURFACE_LOG_RANGE > lowest
    low = max(lowest, highest * 10.0**-SURFACE_DECADES) if logarithmic else lowest
    levels = _levels(low, highest, logarithmic)
    filled = ax.contourf(
        surface.xs,
        surface.ys,
        losses,
        levels=levels,
        cmap="Blues",
        extend="min" if low > lowest else "neither",
        norm=LogNorm(low, highest) if logarithmic else None,
    )
    ax.contour(
        surface.xs, surface.ys, losses, levels=levels, colors=DARK, linewidths=0.4, alpha=0.5
    )
    if colorbar_in is not None:
        colorbar_in.colorbar(filled, ax=ax, label="loss", ticks=levels[::3], format="%.3g")
    return notes


def _draw_descent(ax: Any, points: Sequence[tuple[float, float]]) -> None:
    """Draws the path, and marks its start and its end."""
    ax.plot(
        *zip(*points),
        color=ORANGE,
        linewidth=1.8,
        marker=".",
        markersize=5 if len(points) < 100 else 2,
        zorder=3,
        label=f"descent, {len(points)} points",
    )
    _mark(ax, "start", points[0], "o")
    _mark(ax, "end", points[-1], "*")


def _mark(ax: Any, label: str, point: tuple[float, float], marker: str) -> None:
    x, y = point
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


def _levels(low: float, high: float, logarithmic: bool, n: int = 16) -> list[float]:
    if not logarithmic:
        return list(spaced(low, high, n))
    return [low * (high / low) ** (i / (n - 1)) for i in range(n - 1)] + [high]


def _mean(numbers: Sequence[float]) -> float:
    # divided first, because a sum of losses near the largest float is infinite
    return sum(x / len(numbers) for x in numbers)
