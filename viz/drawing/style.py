"""How each role looks: shapes, fills and lines, in `ROLES`.

To change a colour, change it here and in ``viz/pages/theme.css``, which has the same colours and
their counterparts for dark pages.  Plots have colours of their own, in ``viz/plotting/figures.py``.

Two roles differ in shape or line, not in colour only.  The lines are from the palette of Okabe and
Ito (2008), which people with any kind of colour vision can tell apart.  The fills are light tints
of them: black text keeps a contrast of at least 7:1 on screen and on paper.
"""

from dataclasses import dataclass

FONT = "Helvetica,Arial,sans-serif"
TEXT = "#1a1a1a"
FAINT = "#555555"
TEXT_SIZE = 11  # points
SMALL = 9
LARGE = 15


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
