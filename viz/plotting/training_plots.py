"""Plots of a training run: the loss of every step, and the loss over two parameters.

They are a part of `viz.plots`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Value, topological_order
from tinygrad_edu.errors import check_type, counted
from tinygrad_edu.nn.module import ParameterName
from tinygrad_edu.train import History

from . import analysis
from .analysis import points_of
from .figures import (
    BLANK,
    BLUE,
    DARK,
    ORANGE,
    drawn_plane,
    figure_and_axes,
    in_order,
    literal,
    note_blanks,
    title_and_legend,
)
from .ranges import LARGEST, Range, drawable, drawn, spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_RANGE = 1e4  # a loss that spans more than this factor is drawn on a logarithmic axis
SURFACE_LOG_RANGE = 50.0  # the same for colours, which show smaller differences less well
SURFACE_DECADES = 8  # powers of ten that logarithmic colours cover
LEVELS = 16  # of a loss surface


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
    check_type(history, "loss: history", History, "a History", "pass what fit(...) returns")
    if not history.loss:
        raise ValueError("loss: the history has no steps; train for at least one step")
    figure, ax = figure_and_axes(ax)
    losses = tuple(map(drawn, history.loss))
    steps = range(1, len(history) + 1)
    ends = history.epoch_ends
    if len(ends) < len(history):
        ax.plot(steps, losses, color=BLUE, linewidth=1, alpha=0.35, label="loss of a step")
        if ends:
            means = [fmean(losses[start:end]) for start, end in zip([0, *ends], ends)]
            style: dict[str, Any] = {"linewidth": 2, "marker": _marker(ends)}
            ax.plot(ends, means, color=BLUE, label="mean of an epoch", **style)
    else:
        style = {"linewidth": 2, "marker": _marker(losses)}
        ax.plot(steps, losses, color=BLUE, label="loss of a step", **style)
    ax.set(xlabel="step", ylabel="loss")
    ax.xaxis.set_major_locator(_whole_steps())
    finite = in_order([losses])
    positive = [x for x in finite if x > 0]
    if positive and positive[-1] / LOG_RANGE > positive[0]:
        ax.set_ylim(max(positive[0] / 2, 1 / LARGEST), positive[-1] * 2)
        ax.set_yscale("log", nonpositive="mask")
        ax.set_ylabel("loss (logarithmic axis)")
    elif finite and finite[0] >= 0:
        ax.set_ylim(0, 1.05 * finite[-1] or None)
    lines = list(ax.get_lines())
    if any(history.metrics.values()):
        lines += _draw_metrics(ax.twinx(), history)
    ax.spines[["top", "right"]].set_visible(False)
    title_and_legend(ax, "Training", lines)
    return figure


def _whole_steps() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10])


def _marker(points: Sequence[Any]) -> str:
    """Returns the marker of a line through ``points``: a line of one point needs one."""
    return "o" if len(points) == 1 else ""


def _draw_metrics(ax: Any, history: History) -> list[Any]:
    """Draws each metric in its own line style, and returns the lines."""
    for (name, values), style in zip(history.metrics.items(), cycle(["-", "--", ":", "-."])):
        look = {"linestyle": style, "marker": _marker(history.epoch_ends)}
        ax.plot(history.epoch_ends, values, color=ORANGE, label=literal(name), **look)
    ax.set_ylabel(literal(", ".join(history.metrics)), color=ORANGE)
    ax.spines[["top", "left"]].set_visible(False)
    return list(ax.get_lines())


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
    """Draws the loss over two parameters, with all others as they are, and the path of a descent.

    loss: computes the loss from the parameters' current data: ``lambda: nn.mse(model(x), y)``.
    p, q: the parameters, whose labels name the axes; their data are restored afterwards.
    path: the points ``(p, q)`` of the descent, in order; start and end are marked.  After
        ``fit(..., record_every=1)`` it is ``history.training.path(p, q)``.
    ranges: the ranges of p and q; by default around the path and the current point.
    resolution: points along an axis; the loss is computed ``resolution`` times ``resolution``
        times.
    ax: an existing Axes to draw into; by default a new Figure is made.

    The levels are logarithmic if the losses are positive and span more than a factor of 50; they
    then cover at most 8 powers of ten.  Losses and points that are not finite are left out.  If the
    loss depends on more parameters, a descent that moved them too need not lead downhill here.  The
    picture says all this.  Returns the Figure.

    Raises:
        TypeError, ValueError: as in `analysis.loss_surface`.
        RenderError: matplotlib is not installed.
    """
    points = points_of(path)
    surface = analysis.loss_surface(loss, p, q, path=points, ranges=ranges, resolution=resolution)
    names = [literal(p.label) or "p", literal(q.label) or "q"]
    has_colorbar = ax is None
    figure, ax = figure_and_axes(ax, 6.5, 5)
    notes: list[str] = []
    filled = _draw_surface(ax, surface, notes)
    if has_colorbar and filled is not None:
        _draw_colorbar(figure, ax, filled)
    path = [(x, y) for x, y in points if drawable(x) and drawable(y)]
    if len(path) < len(points):
        left = len(points) - len(path)
        notes.append(f"{left} of {len(points)} points of the path left out: {BLANK}")
    marks = [("current", (p.data, q.data), "X")]
    if path and (others := _other_parameters(loss, p, q)):
        notes.append(
            f"{counted(others, 'other parameter')} as now; if the descent moved them, it need not "
            "lead downhill here"
        )
    if path:
        ax.plot(
            *zip(*path), ".-", color=ORANGE, linewidth=1.8, markersize=5 if len(path) < 100 else 2,
            zorder=3, label=f"descent, {len(path)} points",
        )
        marks = [("start", path[0], "o"), ("end", path[-1], "*")]
    for label, (x, y), marker in marks:
        if drawable(x) and drawable(y):
            ax.plot(
                x, y, marker, color=ORANGE, markeredgecolor=DARK,
                markersize=13 if marker == "*" else 9, zorder=4, label=label,
            )
    ax.set_xlim(surface.xs[0], surface.xs[-1])
    ax.set_ylim(surface.ys[0], surface.ys[-1])
    ax.set(xlabel=names[0], ylabel=names[1])
    title_and_legend(ax, "\n".join([f"Loss over {names[0]} and {names[1]}", *notes]))
    return figure


def _other_parameters(loss: Callable[[], Any], p: Value, q: Value) -> int:
    """Returns on how many parameters of modules, except ``p`` and ``q``, the loss depends."""
    y = loss()
    if not isinstance(y, Value):
        return 0
    leaves = [node for node in topological_order(y) if isinstance(node.label, ParameterName)]
    return len({leaf for leaf in leaves if not leaf.op} - {p, q})


def _draw_colorbar(figure: Any, ax: Any, filled: Any) -> None:
    """Draws the colour bar of the levels, with as many digits as tell them apart."""
    ticks = list(filled.levels[::3])
    texts = [f"{x:.3g}" for x in ticks]
    for digits in range(4, 18):
        if len(set(texts)) == len(ticks):
            break
        texts = [f"{x:.{digits}g}" for x in ticks]
    label = "loss" if filled.norm.__class__.__name__ != "LogNorm" else "loss (logarithmic levels)"
    figure.colorbar(filled, ax=ax, label=label, ticks=ticks).set_ticklabels(texts)


def _draw_surface(ax: Any, surface: analysis.LossSurface, notes: list[str]) -> Any:
    """Draws the levels, and adds to ``notes``.

    Returns the contour set for a colour bar, or None if there is none.
    """
    losses = drawn_plane(surface.losses)
    note_blanks(ax, losses, "loss", notes)
    finite = in_order(losses)
    if not finite:
        return None
    lowest = low = finite[0]
    highest = finite[-1]
    if lowest == highest:
        notes.append(f"the loss is {lowest:.6g} everywhere")
        return None
    levels = spaced(lowest, highest, LEVELS)
    norm = None
    if lowest > 0 and highest / SURFACE_LOG_RANGE > lowest:
        from matplotlib.colors import LogNorm

        low = max(lowest, highest * 10.0**-SURFACE_DECADES)
        shares = spaced(0.0, 1.0, LEVELS)[:-1]
        levels = (*[low * (highest / low) ** share for share in shares], highest)
        norm = LogNorm(low, highest)
    extend = "min" if low > lowest else "neither"
    points = (surface.xs, surface.ys, losses)
    filled = ax.contourf(*points, levels=levels, cmap="Blues", extend=extend, norm=norm)
    ax.contour(*points, levels=levels, colors=DARK, linewidths=0.4, alpha=0.5)
    return filled
