"""What the plots have in common: colours, a Figure to draw into, a title and a legend that cover
nothing."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.errors import RenderError

from .ranges import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito (2008), whose colours the colour-blind can tell apart; classes differ
# in shape as well.
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
GREY = "#9aa5b1"
CLASS_COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#56b4e9", "#e69f00", "#000000")
MARKERS = "os^DvP*X"
DARK = "#1a1a1a"
BLANK = "nan or beyond 1e100"  # analysis.LARGEST
MAX_NAME_LENGTH = 40  # characters of a name; with longer ones beside it, an Axes would have no room


def figure_and_axes(ax: Axes | None, width: float = 7, height: float = 4) -> tuple[Figure, Any]:
    """The Figure of ``ax`` and ``ax``; without one, a new Figure of that size in inches and its
    Axes.

    Raises TypeError if ``ax`` is no Axes, ValueError if it has other axes than a horizontal and a
    vertical one.
    """
    try:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure
    except ImportError:
        raise RenderError("plots need matplotlib: pip install matplotlib") from None
    if ax is not None:
        if not isinstance(ax, Axes):
            raise TypeError(
                f"ax is {short_repr(ax)}, not an Axes; give one, such as figure.add_subplot()"
            )
        if not {"left", "right", "top", "bottom"} <= set(ax.spines) or hasattr(ax, "zaxis"):
            raise ValueError(
                "plots need a horizontal and a vertical axis, but ax is of the type "
                f"{type(ax).__name__}; give an Axes without a projection, such as "
                "figure.add_subplot()"
            )
        return ax.figure.figure, ax  # an Axes may stand in a SubFigure, whose figure is the whole
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.add_subplot()


def title_and_legend(ax: Any, title: str, handles: Sequence[Any] | None = None) -> None:
    """The title, and a legend between it and the picture, which it would cover elsewhere; both fit
    the width."""
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
    """The most columns in which a legend fits; it is filled column by column."""
    for columns in range(len(labels), 1, -1):
        rows = -(-len(labels) // columns)
        starts = range(0, len(labels), rows)
        widths = [max(map(len, labels[start : start + rows])) for start in starts]
        if sum(0.058 * width + 0.6 for width in widths) <= inches:
            return columns
    return 1


def drawable_plane(plane: Sequence[Sequence[float]]) -> list[list[float]]:
    """``plane`` with nan for all that `analysis.drawable` refuses."""
    return [[z if drawable(z) else math.nan for z in row] for row in plane]


def note_blanks(ax: Any, numbers: Sequence[float], what: str, notes: list[str]) -> None:
    """A grey ground, and a note, where ``numbers`` have nan in them."""
    blank = sum(x != x for x in numbers)
    if blank:
        ax.set_facecolor("#d9d9d9")
        notes.append(f"no {what} at {blank} of {len(numbers)} points: {BLANK}")


def literal(text: object, longest: int = MAX_NAME_LENGTH) -> str:
    """``text`` as one line that matplotlib shows literally: no formulas between dollars, no label
    that a legend leaves out.

    What is no character to be drawn is replaced, white space by a blank; of a longer text the
    middle is left out.
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
    """Whether ``x`` is a whole number by its type: an int or one of numpy's, but no bool."""
    return not isinstance(x, (bool, float)) and hasattr(x, "__index__")


def class_color(k: int) -> str:
    """The colour of class ``k``."""
    return CLASS_COLORS[k % len(CLASS_COLORS)]


def tint(color: str, strength: float) -> str:
    """``color`` on white, 1 for all of it."""
    parts = [int(color[i:i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)


def marker_size(n: int) -> float:
    """The area, in square points, of each of ``n`` markers."""
    if n <= 200:
        return 36
    return 20 if n <= 1000 else 8
