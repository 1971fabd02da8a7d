"""How each role looks: shapes, fills and lines, in `ROLES`.

To change a colour, change it here and in ``viz/pages/theme.css``, which has the same colours and
their counterparts for dark pages.  Plots have colours of their own, in ``viz/plotting/figures.py``.

Two roles differ in shape or line, not in colour only.  The lines are from the palette of Okabe and
Ito (2008), which people with any kind of colour vision can tell apart.  The fills are light tints
of them: black text keeps a contrast of at least 7:1 on screen and on paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_edu.errors import check_choice, check_int, check_list, check_number

from .text import DIGITS

FONT = "Helvetica,Arial,sans-serif"
TEXT = "#1a1a1a"
FAINT = "#555555"
TEXT_SIZE = 11  # points
SMALL = 9
LARGE = 15
PNG_DPI = 144  # twice the size on screen of the SVG, for projectors
DIRECTIONS = ("LR", "TB")
HIDEABLE = ("data", "grad", "derivative")


@dataclass(frozen=True, slots=True)
class Style:
    """The look of one role: its text in the legend, and attributes of Graphviz."""

    legend: str
    shape: str
    fillcolor: str
    color: str
    style: str = "filled"
    penwidth: str = "1.2"
    peripheries: str = "1"
    margin: str = "0.06,0.04"


@dataclass(frozen=True, slots=True)
class Look:
    """The options of `viz.draw` that say how a drawing looks, not what is drawn.

    direction: "LR" for left to right, "TB" for top to bottom.
    font_size: of the numbers, in points; other texts keep their ratio to it.
    digits: significant digits of numbers.
    dpi: pixels per inch of a PNG.
    hide: "data", "grad" and "derivative", as in `viz.draw`.
    """

    direction: str = "LR"
    font_size: float = TEXT_SIZE
    digits: int = DIGITS
    dpi: int = PNG_DPI
    hide: frozenset[str] = frozenset()

    @classmethod
    def checked(
        cls, direction: Any, font_size: Any, digits: Any, dpi: Any, hide: Any, name: str
    ) -> Look:
        """Returns the look, or raises TypeError or ValueError; ``name`` begins the message."""
        check_choice(
            direction, f"{name}: direction", DIRECTIONS, "for left to right, or top to bottom"
        )
        if isinstance(hide, str):
            hide = [hide]
        elif isinstance(hide, (set, frozenset)):
            hide = sorted(hide, key=str)
        hide = check_list(hide, f"{name}: hide", "a list", 'write hide=("data", "grad")')
        for what in hide:
            check_choice(what, f"{name}: hide: each entry", HIDEABLE)
        return cls(
            direction,
            check_number(font_size, f"{name}: font_size", 4, "leave it out for 11", most=100),
            check_int(digits, f"{name}: digits", 2, f"leave it out for {DIGITS}", most=17),
            check_int(dpi, f"{name}: dpi", 10, f"leave it out for {PNG_DPI}", most=1200),
            frozenset(hide),
        )

    def size(self, usual: float) -> str:
        """Returns a font size in points, from its size in a drawing with the usual font size."""
        return f"{usual * self.font_size / TEXT_SIZE:g}"


USUAL_LOOK = Look()

ROLES: dict[str, Style] = {
    "input": Style("input", "note", "#e3f0f9", "#0072b2", margin="0.08,0.05"),
    "parameter": Style("parameter", "cylinder", "#fdebdc", "#b34e00"),
    "constant": Style(
        "constant (no gradient)", "box", "#f4f4f4", "#8a8a8a", "filled,dashed", "0.8",
        margin="0.05,0.03",
    ),
    "operation": Style("operation", "box", "#ffffff", "#404040", "filled,rounded"),
    "output": Style("output", "box", "#dcf3ea", "#00795a", "filled,rounded", "1.6", "2"),
    "module": Style("collapsed module", "box3d", "#f6e7f0", "#a2457b", margin="0.1,0.08"),
    "rest": Style(
        "nodes left out", "folder", "#fffbe0", "#8f7a00", "filled,dashed", margin="0.12,0.08"
    ),
}

CLUSTER_FILLS = ("#f7f7f7", "#efefef")  # by depth, alternating
CLUSTER_LINE = "#bdbdbd"
EDGE_LINE = "#666666"
EDGE_TEXT = "#303030"
POSITIVE = "#0072b2"  # a positive gradient
NEGATIVE = "#d55e00"
UNDEFINED = "#c2185b"  # what is inf or nan
SPOTLIGHT = "#b8860b"  # the node and edge of the last step
