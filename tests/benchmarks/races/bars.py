"""The results of races as a picture by matplotlib, with the same bars as `chart`."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.races import chart
from tests.benchmarks.races.race import Result
from tinygrad_edu import files
from tinygrad_edu.errors import RenderError, short_repr
from viz.plotting.figures import BLUE, DARK, ORANGE, figure_and_axes, literal, title_and_legend
from viz.plotting.ranges import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTE = 500  # characters of the note below the axis


def destination(path: str) -> Path:
    """Where a picture is to be written, checked before anything is measured.

    Raises what `files.destination` does, OSError for a folder that nothing can be written to, and
    RenderError without matplotlib.
    """
    target = files.destination(path, "a picture", (".svg", ".png", ".pdf"), "bench.svg")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OSError(f"cannot write to the folder {target.parent}: {error.strerror}; "
                      "choose another one") from None
    if find_spec("matplotlib") is None:
        raise RenderError('a picture needs matplotlib: pip install "tinygrad_edu[plots]"')
    return target


def write(results: Sequence[Result], path: Path) -> None:
    """Draws the bars of ``results``, and writes them to ``path``."""
    groups = {chart.heading(result): chart.factors(result) for result in results}
    figure = factors(groups, title=chart.TITLE)
    figure.axes[0].set_xlabel(chart.explanation(results))
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower())
    picture = content.getvalue()
    if path.suffix.lower() == ".svg":  # width and height in pixels: not every renderer knows points
        picture = re.sub(rb'([\d.]+)pt(?=")', lambda size: b"%g" % (float(size[1]) * 96 / 72),
                         picture, count=2)
    files.write_atomically(path, picture)


def factors(groups: Mapping[str, Mapping[str, float]], *,
            title: str = "Time relative to this engine's", note: str = "",
            ax: Axes | None = None) -> Figure:
    """Bars that start at 1 on a logarithmic axis, which all groups share.

    To the right is what is more, to the left what is less.

    groups   for every heading names with their factors, drawn from the top down; what is 1 is the
             thing itself
    title    of the plot
    note     stands below the axis
    ax       an existing Axes to draw into

    Raises ValueError if there is no factor, or one that is no positive finite number.
    """
    rows = [(heading, name, factor)
            for heading, group in groups.items() for name, factor in group.items()]
    for heading, name, factor in rows:
        if not (drawable(factor) and factor > 0):
            raise ValueError(f"the factor of {name!r} in {heading!r} is {short_repr(factor)}; "
                             "it must be positive and finite")
    if not rows:
        raise ValueError("there are no factors to draw")
    labels: list[tuple[str, float | None]] = []
    for heading, group in groups.items():
        if group:
            labels += [(heading, None), *group.items()]
    figure, ax = figure_and_axes(ax, 8, 1.4 + 0.24 * len(labels))
    ax.set_xlim(min(1.0, *[factor for *_, factor in rows]) / 1.5,
                max(1.0, *[factor for *_, factor in rows]) * 4)
    ax.set_xscale("log")
    for row, (_, x) in enumerate(labels):
        if x is not None:
            ax.barh(row, x - 1, left=1, height=0.7, color=BLUE if x >= 1 else ORANGE)
            ax.annotate(f"{x:,.0f}" if x >= 100 else f"{x:.3g}", (max(x, 1.0), row), (4, 0),
                        textcoords="offset points", va="center", fontsize=8, color=DARK)
    ax.set_yticks(range(len(labels)), [literal(label) for label, _ in labels], fontsize=8.5)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    for tick, (_, x) in zip(ax.get_yticklabels(), labels):
        tick.set_fontweight("bold" if x is None else "normal")
    ax.axvline(1.0, color=DARK, linewidth=1)
    ax.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel("\n".join(["logarithmic axis; 1 is the line",
                             *filter(None, [literal(note, NOTE)])]))
    title_and_legend(ax, title)
    return figure
