"""Plots of a primitive and its derivatives over its domain.  A part of `viz.plots`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from tinygrad_edu.engine.primitive import TABLE, Primitive
from tinygrad_edu.symbolic.formulas import formula

from .curves import curves, row_of
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
from .ranges import Range, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_FORMULA_LENGTH = 500  # characters of a formula in a title


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
    """Draws a primitive and its partial derivatives over its domain; the title has their formulas.

    primitive    a row of the table, its name, or its symbol: "mul" or "*"; "-" is subtraction
    vary         the argument on the horizontal axis, by default the first
    at           values of the other arguments, such as ``{"y": 2.0}``, written below the axis; by
                 default readable ones
    over         the range of the argument; by default the part of -5 to 5 in its domain
    order        2 to include the second derivative with respect to the argument
    resolution   the number of points
    ax           an existing Axes to draw into; by default a new Figure is made

    Lines are interrupted at jumps, at poles and outside the domain.  Returns the Figure.

    Raises:
        ValueError: the name or an argument is unknown (the message has similar names), or
            ``over`` is empty.
        RenderError: matplotlib is not installed.
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
    title = formula(row).splitlines()
    if not any(drawable(a) and drawable(b) for a, b in pairwise(shown.value)):
        title.append("no finite value here")
    title_and_legend(ax, "\n".join([literal(line, MAX_FORMULA_LENGTH) for line in title]))
    return figure


def _row_of(primitive: Primitive | str) -> Primitive:
    """Returns the row of a name or a symbol; for the beginning of a name, the error suggests the
    names that begin so."""
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
