"""Plots of a primitive and its derivatives over its domain: a part of `viz.plots`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any

from tinygrad_edu.engine.primitive import Primitive
from tinygrad_edu.symbolic.formulas import formula, row_of

from .curves import curves
from .figures import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    figure_and_axes,
    literal,
    title_and_legend,
)
from .ranges import Range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FORMULA_LENGTH = 500  # characters of a formula in a title
# colours and dashes of the partial derivatives
STYLES: list[tuple[str, Any]] = [
    (ORANGE, (0, (5, 1.5))), (GREEN, (0, (2, 1.2))), (PURPLE, (0, (4, 1.2, 1, 1.2)))
]


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
    """Draws a primitive and its partial derivatives over its domain, with their formulas as title.

    primitive: a row of the table, its name, or its symbol: "mul" or "*"; "-" is subtraction.
    vary: the argument on the horizontal axis, by default the first.
    at: values of the other arguments, such as ``{"y": 2.0}``, written below the axis; by default
        readable ones.
    over: the range of the argument; by default the part of -5 to 5 in its domain.
    order: 2 to include the second derivative with respect to the argument.
    resolution: the number of points.
    ax: an existing Axes to draw into; by default a new Figure is made.

    Lines are interrupted at jumps, at poles and outside the domain.  Returns the Figure.

    Raises:
        ValueError: the name or an argument is unknown (the message has similar names), or
            ``over`` is empty.
        RenderError: matplotlib is not installed.
    """
    row = row_of(primitive, "derivatives: primitive")
    shown = curves(row, vary=vary, at=at, over=over, order=order, resolution=resolution)
    value = formula(row, 0).removeprefix(f"d/d{row.parameters[0]} ").partition(" = ")[0]
    figure, ax = figure_and_axes(ax)
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    ax.plot(
        shown.xs, shown.value, color=BLUE, linewidth=3, alpha=0.8, solid_capstyle="butt",
        label=literal(value),
    )
    for name, ys, (color, dashes) in zip(row.parameters, shown.partials, cycle(STYLES)):
        label = literal(f"d/d{name}")
        ax.plot(shown.xs, ys, color=color, linewidth=2, linestyle=dashes, label=label)
    if shown.second:
        label = literal(f"d²/d{shown.vary}²")
        ax.plot(shown.xs, shown.second, ":", color=DARK, linewidth=1.3, label=label)
    axis = ", ".join([shown.vary, *[f"at {name} = {x:g}" for name, x in shown.at]])
    ax.set(ylim=shown.height, xlabel=literal(axis), axisbelow=True)
    ax.grid(color="#e9e9e9", linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    title = formula(row).splitlines()
    if not any(a == a and b == b for a, b in pairwise(shown.value)):
        title.append("no finite value here")
    title_and_legend(ax, "\n".join([literal(line, MAX_FORMULA_LENGTH) for line in title]))
    return figure
