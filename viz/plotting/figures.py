"""Parts that all plots share: colours, a Figure to draw into, and a title and a legend above the
picture."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import RenderError, short_repr

from .ranges import drawable

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
    """Returns the Figure of ``ax`` and ``ax``; by default a new Figure and its Axes.

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
        if not isinstance(ax, Axes):
            raise TypeError(
                f"ax must be an Axes, not {short_repr(ax)}; pass one, such as figure.add_subplot()"
            )
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
    lines: list[str] = []
    for text in title.splitlines():
        lines += textwrap.wrap(text, max(20, int(14 * inches))) or [""]
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    rows = 0
    if handles:
        labels = [str(handle.get_label()) for handle in handles]
        columns = _columns(labels, inches)
        rows = -(-len(labels) // columns)
        ax.legend(
            handles,
            labels,
            loc="lower center",
            bbox_to_anchor=(0.5, 1),
            ncols=columns,
            frameon=False,
            fontsize=9,
        )
    fontsize = 12 if len(title) <= 12.5 * inches else 10
    ax.set_title("\n".join(lines), pad=8 + 18 * rows, fontsize=fontsize)


def _columns(labels: Sequence[str], inches: float) -> int:
    """Returns the largest number of columns in which a legend fits; it is filled by columns."""
    for columns in range(len(labels), 1, -1):
        rows = -(-len(labels) // columns)
        starts = range(0, len(labels), rows)
        widths = [max(map(len, labels[start : start + rows])) for start in starts]
        if sum(0.058 * width + 0.6 for width in widths) <= inches:
            return columns
    return 1


def drawable_plane(plane: Sequence[Sequence[float]]) -> list[list[float]]:
    """Returns ``plane`` with nan in place of numbers that are not `ranges.drawable`."""
    return [[z if drawable(z) else math.nan for z in row] for row in plane]


def note_blanks(ax: Any, numbers: Sequence[float], what: str, notes: list[str]) -> None:
    """Makes the background grey, and adds a note, if ``numbers`` contain nan."""
    blank = sum(x != x for x in numbers)
    if blank:
        ax.set_facecolor("#d9d9d9")
        notes.append(f"no {what} at {blank} of {len(numbers)} points: {BLANK}")


def literal(text: object, longest: int = MAX_NAME_LENGTH) -> str:
    """Returns ``text`` as one line that matplotlib shows literally.

    Dollars do not begin formulas, and a leading underscore does not hide a label in the legend.
    White space becomes a blank, other control characters become U+FFFD, and a text of more than
    ``longest`` characters loses its middle.
    """
    drawn = "".join(map(_drawn_character, str(text)))
    if len(drawn) > longest:
        end = longest // 3
        drawn = f"{drawn[:longest - 3 - end]}...{drawn[-end:]}"
    escaped = drawn.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def _drawn_character(c: str) -> str:
    """Replaces white space by a blank, and a control character or a surrogate by U+FFFD."""
    if c in "\t\n\r\v\f":
        return " "
    return "\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c


def is_int(x: object) -> bool:
    """Returns whether the type of ``x`` is an integer type, also of numpy, but not bool."""
    return not isinstance(x, (bool, float)) and hasattr(x, "__index__")


def class_color(k: int) -> str:
    """Returns the colour of class ``k``."""
    return CLASS_COLORS[k % len(CLASS_COLORS)]


def tint(color: str, strength: float) -> str:
    """Returns ``color`` mixed with white; strength 1 is the colour itself."""
    parts = [int(color[i:i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)


def marker_size(n: int) -> float:
    """Returns the area of a marker, in square points, for ``n`` markers."""
    if n <= 200:
        return 36
    return 20 if n <= 1000 else 8
