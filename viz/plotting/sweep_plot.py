"""The plot of a sweep: the loss against a setting, with a line for each combination of the others.

It is a part of `viz.plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import check_name, check_type, counted, is_number, short_repr
from tinygrad_edu.train import Sweep
from tinygrad_edu.train.sweeping.rows import LOSSES, Row
from tinygrad_edu.train.sweeping.values import shown_settings

from .figures import DARK, GREY, MARKERS, class_color, figure_and_axes, literal, title_and_legend
from .ranges import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATES = ("lr", "rate", "learning_rate")  # what the learning rate is usually called
LOG_RANGE = 10.0  # positive numbers that span at least this factor are on a logarithmic axis
MOST_LINES = 14  # with colours and names; the others are grey
EDGE = 0.97  # where diverged trainings are marked, as a fraction of the height
STEP = 0.035  # how much lower they are marked for the next line


@dataclass
class _Line:
    """The trainings with the same settings, except the one on the horizontal axis."""

    label: str
    points: list[tuple[float, float]] = field(default_factory=list)
    diverged: list[float] = field(default_factory=list)

    def means(self) -> list[tuple[float, float]]:
        """Returns the mean over the seeds at each place."""
        places = sorted({x for x, _ in self.points})
        return [(x, fmean([y for at, y in self.points if at == x])) for x in places]


def sweep(
    sweep: Sweep, x: str | None = None, y: str = "last_loss", ax: Axes | None = None
) -> Figure:
    """Draws the loss of each training of a sweep against the learning rate.

    A line goes through the means over the seeds, one for each combination of the other settings;
    a point is one training.  Trainings that diverged are crosses at the upper edge.  Both axes are
    logarithmic where their numbers span a wide range.

    sweep: what `train.sweep` returned.
    x: the setting on the horizontal axis; by default "lr", "rate" or "learning_rate", or else the
        first one of numbers that varies.
    y: "last_loss", "best_loss", "first_loss", or the name of a metric.
    ax: an existing Axes to draw into; by default a new Figure is made.

    Returns the Figure.

    Raises:
        TypeError: ``sweep`` is not a `Sweep`.
        ValueError: it has no rows, or ``x`` or ``y`` is not one of these.
        RenderError: matplotlib is not installed.
    """
    check_type(sweep, "sweep: sweep", Sweep, "a Sweep", "pass what train.sweep(...) returns")
    if not sweep.rows:
        raise ValueError("sweep: the sweep has no rows; train at least once")
    metrics = dict.fromkeys(name for row in sweep for name in row.metrics)
    check_name(y, "sweep: y", [*LOSSES, *metrics], "write 'last_loss'")
    name = _axis_of(sweep) if x is None else _checked_axis(sweep, x)
    figure, ax = figure_and_axes(ax)
    lines = _lines(sweep, name, y)
    for k, line in enumerate(lines):
        _draw(ax, line, k)
    _mark_diverged(ax, lines)
    shown = y.replace("_", " ") if y in LOSSES else literal(y)
    _set_scale(ax, "x", literal(name), [row.settings[name] for row in sweep], name in RATES)
    _set_scale(ax, "y", shown, [value for line in lines for _, value in line.points])
    ax.spines[["top", "right"]].set_visible(False)
    title_and_legend(ax, "\n".join([f"Sweep: {shown} against {literal(name)}", *_notes(sweep, y)]))
    return figure


def _axis_of(sweep: Sweep) -> str:
    """Returns the setting for the horizontal axis."""
    numeric = [name for name in sweep.rows[0].settings if _is_numeric(sweep, name)]
    varying = sweep.varying()
    preferred = [name for name in RATES if name in numeric]
    found = [*preferred, *[name for name in varying if name in numeric], *numeric]
    if not found:
        raise ValueError(
            "sweep: x must be a setting of numbers, but the sweep has none: "
            f"{short_repr(list(sweep.rows[0].settings))}; use sweep.table() instead"
        )
    return found[0]


def _checked_axis(sweep: Sweep, x: Any) -> str:
    name = check_name(x, "sweep: x", list(sweep.rows[0].settings), "write the name of a setting")
    if not _is_numeric(sweep, name):
        raise ValueError(
            f"sweep: x must be a setting of numbers, but {name!r} has "
            f"{short_repr(sweep.rows[0].settings[name])}; write the name of another one"
        )
    return name


def _is_numeric(sweep: Sweep, name: str) -> bool:
    values = [row.settings[name] for row in sweep]
    return all(is_number(x) and not isinstance(x, bool) and drawable(x) for x in values)


def _lines(sweep: Sweep, name: str, y: str) -> list[_Line]:
    """Returns the lines, in the order of the rows."""
    varying = [other for other in sweep.varying() if other != name]
    found: dict[str, _Line] = {}
    for row in sweep:
        label = shown_settings({other: row.settings[other] for other in varying})
        line = found.setdefault(label, _Line(label))
        place = row.settings[name]
        value = row.value(y)
        if row.diverged:
            line.diverged.append(place)
        elif value is not None and not row.error and drawable(value):
            line.points.append((place, value))
    return list(found.values())


def _draw(ax: Any, line: _Line, k: int) -> None:
    """Draws the means and the points of line ``k``."""
    if not line.points:
        return
    is_named = k < MOST_LINES and line.label
    marker = MARKERS[k % len(MARKERS)]
    means = line.means()
    style: dict[str, Any] = {"color": _color(k), "marker": marker}
    ax.plot(
        *zip(*means), linestyle="-" if len(means) > 1 else "", linewidth=1.8, markersize=7,
        label=literal(line.label, 60) if is_named else None, zorder=2, **style,
    )
    ax.plot(*zip(*line.points), linestyle="", markersize=4, alpha=0.5, zorder=3, **style)


def _mark_diverged(ax: Any, lines: Sequence[_Line]) -> None:
    """Draws a cross at the upper edge where a training diverged, in the colour of its line."""
    label = "diverged"  # one entry of the legend, for all crosses
    for k, line in enumerate(lines):
        if not line.diverged:
            continue
        places = sorted(set(line.diverged))
        ax.plot(
            places, [EDGE - STEP * (k % 8)] * len(places), linestyle="", marker="X", markersize=9,
            color=_color(k), markeredgecolor=DARK, transform=ax.get_xaxis_transform(), zorder=4,
            label=label,
        )
        label = ""


def _color(k: int) -> str:
    return class_color(k) if k < MOST_LINES else GREY


def _set_scale(
    ax: Any, axis: str, name: str, numbers: Sequence[float], is_rate: bool = False
) -> None:
    """Sets the label of an axis, and makes it logarithmic where its numbers ask for it."""
    is_wide = bool(numbers) and min(numbers) > 0 and max(numbers) >= LOG_RANGE * min(numbers)
    if is_wide or (is_rate and min(numbers) > 0):
        ax.set(**{f"{axis}scale": "log", f"{axis}label": f"{name} (logarithmic axis)"})
    else:
        ax.set(**{f"{axis}label": name})


def _notes(sweep: Sweep, y: str) -> list[str]:
    """Returns the lines of the title about means and about what is not shown."""
    notes = []
    most = max(len(rows) for _, rows in sweep.groups())
    if most > 1:
        notes.append(f"lines: means over {counted(most, 'seed')}; points: single trainings")
    missing = [row for row in sweep if not row.diverged and _is_missing(row, y)]
    if missing:
        notes.append(f"{counted(len(missing), 'training')} left out: no {y.replace('_', ' ')}")
    return notes


def _is_missing(row: Row, y: str) -> bool:
    value = row.value(y)
    return bool(row.error) or value is None or not drawable(value)
