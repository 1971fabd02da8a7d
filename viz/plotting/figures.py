"""Parts that all plots share: colours, a Figure to draw into, and a title and a legend."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import RenderError, check_type

from .ranges import Plane, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito (2008), which is readable with colour blindness; classes differ in
# shape as well.
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
GREY = "#9aa5b1"
CLASS_COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#56b4e9", "#e69f00", "#000000")
MARKERS = "os^DvP*X"
DARK = "#1a1a1a"
BLANK = "nan or beyond 1e100"  # ranges.LARGEST
MAX_NAME_LENGTH = 40  # characters; longer names would leave no room for the Axes


def figure_and_axes(ax: Axes | None, width: float = 7, height: float = 4) -> tuple[Figure, Any]:
    """Returns the Figure of ``ax`` and ``ax``, or a new Figure and its Axes if ``ax`` is None.

    ``width`` and ``height`` are in inches.

    Raises:
        TypeError: ``ax`` is not an Axes.
        ValueError: ``ax`` has other axes than a horizontal and a vertical one.
        RenderError: matplotlib is not installed.
    """
    try:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure
    except ImportError:
        raise RenderError("plots need matplotlib: pip install matplotlib") from None
    if ax is not None:
        remedy = "pass one, such as figure.add_subplot(), or axes[0] of plt.subplots(1, 2)"
        check_type(ax, "ax", Axes, "an Axes", remedy)
        if not {"left", "right", "top", "bottom"} <= set(ax.spines) or hasattr(ax, "zaxis"):
            raise ValueError(
                "ax must have a horizontal and a vertical axis, but ax is of the type "
                f"{type(ax).__name__}; pass an Axes without a projection, such as "
                "figure.add_subplot()"
            )
        return ax.figure.figure, ax  # an Axes may stand in a SubFigure, whose figure is the whole
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.add_subplot()


def title_and_legend(ax: Any, title: str, handles: Sequence[Any] | None = None) -> None:
    """Sets the title, and a legend between it and the picture, which covers nothing.

    Both are wrapped to the width of the Axes.
    """
    inches = ax.get_window_extent().width / ax.figure.dpi
    width = max(20, int(14 * inches))
    lines = chain(*[textwrap.wrap(line, width) or [""] for line in title.splitlines()])
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    rows = 0
    if handles:
        columns, rows = _layout([len(handle.get_label()) for handle in handles], inches)
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
        ax.legend(handles=handles, ncols=columns, frameon=False, fontsize=9, **place)
    fontsize = 12 if len(title) <= 12.5 * inches else 10
    ax.set_title("\n".join(lines), pad=8 + 18 * rows, fontsize=fontsize)


def _layout(lengths: Sequence[int], inches: float) -> tuple[int, int]:
    """Returns the largest number of columns in which a legend fits, and its rows.

    The legend is filled by columns.  ``lengths`` are the numbers of characters of its labels.
    """
    for columns in range(len(lengths), 1, -1):
        rows = math.ceil(len(lengths) / columns)
        widths = [max(lengths[start : start + rows]) for start in range(0, len(lengths), rows)]
        if sum(0.058 * width + 0.6 for width in widths) <= inches:
            return columns, rows
    return 1, len(lengths)


def drawn_plane(plane: Sequence[Sequence[float]]) -> Plane:
    """Returns ``plane`` with nan in place of numbers that are not `ranges.drawable`."""
    return tuple([tuple(map(drawn, row)) for row in plane])


def note_blanks(ax: Any, plane: Plane, what: str, notes: list[str]) -> None:
    """Makes the background grey, and adds a note, if ``plane`` contains nan."""
    numbers = list(chain(*plane))
    if blank := sum(map(math.isnan, numbers)):
        ax.set_facecolor("#d9d9d9")
        notes.append(f"no {what} at {blank} of {len(numbers)} points: {BLANK}")


def in_order(plane: Iterable[Iterable[float]]) -> list[float]:
    """Returns the numbers of ``plane`` that are not nan, sorted."""
    return sorted([z for z in chain(*plane) if z == z])


def literal(text: object, longest: int = MAX_NAME_LENGTH) -> str:
    """Returns ``text`` as one line that matplotlib shows literally.

    Dollars do not begin formulas, and a leading underscore does not hide a label in the legend.
    White space becomes a blank, other control characters and surrogates become U+FFFD, and a text
    of more than ``longest`` characters loses its middle.
    """
    shown = re.sub(r"[\t-\r]", " ", str(text))
    shown = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", shown)
    if len(shown) > longest:
        end = longest // 3
        shown = f"{shown[:longest - 3 - end]}...{shown[-end:]}"
    escaped = shown.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def class_color(k: int) -> str:
    """Returns the colour of class ``k``."""
    return CLASS_COLORS[k % len(CLASS_COLORS)]


def tint(color: str, strength: float) -> str:
    """Returns ``color`` mixed with white, or the colour itself for strength 1."""
    parts = [round(255 - (255 - part) * strength) for part in bytes.fromhex(color[1:])]
    return f"#{bytes(parts).hex()}"


def marker_size(n: int) -> float:
    """Returns the area of a marker, in square points, for ``n`` markers."""
    if n <= 200:
        return 36
    return 20 if n <= 1000 else 8
