"""The parts of one frame of a film: a node and an edge as they look at one moment, and the caption
below.

A `viz.scene.Scene` decides how everything looks at a moment, and puts the parts together.  Here is
only what that means for the SVG elements which the layout engine made.
"""

from __future__ import annotations

import copy
import html
import math
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.text import short_number

from ..drawing.style import EDGE_LINE, FAINT, FONT, NEGATIVE, POSITIVE, SPOTLIGHT, TEXT

SVG = "{http://www.w3.org/2000/svg}"
GLOW = "#ffe27a"  # behind the node and the edges of the last step
TRACK = "#e4e4e4"  # of the bar that fills up
MARGIN = 12.0  # points, of the caption
CAPTION_SIZES = (13.0, 11.5, 10.0, 9.0, 8.0)  # points; of a long sentence the smaller ones
CAPTION_LINES, LINE_HEIGHT = 5, 1.4  # at most; in font sizes
# points: of a frame at least; above which the caption grows with it
NARROWEST, WIDEST = 460.0, 1000.0
LONGEST_TEXT = 2000  # characters of a paragraph; more do not fit into any caption
SCAN_LIMIT = 3000  # steps, of a recording that is searched for its longest sentence


class NodeLook(NamedTuple):
    """How a node is drawn at one moment.

    data, grad   its numbers as text
    faint        whether it is not computed yet
    lit          the number that the last step changed, "data" or "grad"; "box" if that is within;
                 "" if it is elsewhere
    """

    data: str = ""
    grad: str = ""
    faint: bool = False
    lit: str = ""


class EdgeLook(NamedTuple):
    """How an edge is drawn at one moment.

    faint          whether its user is not computed yet
    color, width   of the line; the width in points
    back           whether its head is at the operand, where the gradient flows to
    lit            whether the last step went along it
    """

    faint: bool = False
    color: str = EDGE_LINE
    width: float = 1.0
    back: bool = False
    lit: bool = False


# ---- nodes and edges -----------------------------------------------------------------------------


def draw_node(group: ET.Element, look: NodeLook) -> None:
    """Makes the group of a node look so."""
    for text in group.iter(f"{SVG}text"):
        if (kind := text.get("class")) in ("data", "grad"):
            text.text = look.data if kind == "data" else look.grad
            if kind == look.lit:
                text.set("font-weight", "bold")
    if look.faint:
        group.set("opacity", "0.35")
    if look.lit:
        shapes = [
            shape
            for shape in group
            if shape.tag in (f"{SVG}path", f"{SVG}polygon") and shape.get("stroke") != "none"
        ]
        for shape in shapes:
            outline = copy.deepcopy(shape)
            for name, value in (
                ("stroke", GLOW),
                ("stroke-width", "13"),
                ("stroke-linejoin", "round"),
                ("fill", GLOW),
            ):
                outline.set(name, value)
            outline.attrib.pop("stroke-dasharray", None)
            group.insert(0, outline)
            shape.set("stroke", SPOTLIGHT)
            shape.set("stroke-width", "2.5")


def draw_edge(group: ET.Element, look: EdgeLook) -> None:
    """Makes the group of an edge look so."""
    for text in group.findall(f"{SVG}text"):
        if look.faint:
            group.remove(text)  # a derivative that is not computed yet
        else:
            for name, value in (
                ("stroke", "white"),
                ("stroke-width", "3"),
                ("stroke-linejoin", "round"),
                ("paint-order", "stroke"),
            ):
                text.set(name, value)
    if look.faint:
        group.set("opacity", "0.35")
    path, head = group.find(f"{SVG}path"), group.find(f"{SVG}polygon")
    if path is None or head is None:
        return
    if look.back or look.width > 1:
        _point(path, head, look.back, 6 + 1.5 * look.width)
    path.set("stroke", look.color)
    path.set("stroke-width", f"{look.width:.2f}")
    head.set("stroke", look.color)
    head.set("fill", look.color)
    if look.lit:
        glow = copy.deepcopy(path)
        for name, value in (("stroke", GLOW), ("stroke-width", f"{look.width + 9:.2f}")):
            glow.set(name, value)
        glow.attrib.pop("stroke-dasharray", None)
        group.insert(0, glow)


def _point(path: ET.Element, head: ET.Element, back: bool, length: float) -> None:
    """Gives an edge, a chain of Bezier curves, a head of this length, at its other end if ``back``.
    """
    points = _points(path.attrib["d"])
    if len(points) < 4:
        return
    tip = max(_points(head.attrib["points"]), key=lambda point: math.dist(point, points[-1]))
    if back:
        points[-1] = tip
        points.reverse()
        tip = points[-1]
    before = next((point for point in reversed(points[:-1]) if math.dist(point, tip) > 1e-6), tip)
    far = math.dist(before, tip) or 1.0
    dx, dy = (tip[0] - before[0]) / far, (tip[1] - before[1]) / far
    x, y = tip[0] - dx * length, tip[1] - dy * length
    points[-1] = x + dx, y + dy  # the line ends within the head
    half = 0.36 * length
    head.set(
        "points", _written([tip, (x - dy * half, y + dx * half), (x + dy * half, y - dx * half)])
    )
    path.set("d", f"M{_written(points[:1])}C{_written(points[1:])}")


def _points(text: str) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]
    return list(zip(numbers[::2], numbers[1::2]))


def _written(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


# ---- the caption ---------------------------------------------------------------------------------


class Caption:
    """What stands below a drawing of ``width`` and ``height`` (points): the step in words, and how
    far the film has come.

    left, width, height    of the whole frame, in points; the drawing stands in the middle of it
    """

    def __init__(self, recording: Recording, width: float, height: float) -> None:
        self._recording, self._top = recording, height
        self.width = max(width, NARROWEST)
        self.left = (width - self.width) / 2
        self._zoom = max(1.0, self.width / WIDEST)

    @cached_property
    def height(self) -> float:
        """The height of every frame: it has room for the longest sentence, within reason."""
        lines, size = CAPTION_LINES, CAPTION_SIZES[0]
        if len(self._recording) <= SCAN_LIMIT:
            room = (self.width / self._zoom - 2 * MARGIN) / size
            lines = min(lines, max(sum(len(_wrapped(text, room)) for text in self.says(position))
                                   for position in range(len(self._recording) + 1)))
        return self._top + self._zoom * (46 + lines * size * LINE_HEIGHT)

    def says(self, position: int) -> list[str]:
        """The paragraphs: the sentence of the step, then the rule that it used, and how a sum grew.
        """
        step = self._recording[position - 1] if position else self._recording.start()
        said = [step.words]
        if step.formula:
            said.append(f"because {step.formula}")
            if step.before and short_number(step.before) != short_number(step.after):
                said.append(
                    f"so that ∂{self._root}/∂{step.name} goes from {short_number(step.before)} to "
                    f"{short_number(step.after)}"
                )
        return [text[:LONGEST_TEXT] for text in said]

    def svg(self, position: int) -> str:
        """The elements of the caption of a moment."""
        return "\n".join(self._elements(position))

    @property
    def _root(self) -> str:
        return self._recording.nodes[self._recording.root].name

    def _elements(self, position: int) -> Iterator[str]:
        zoom, total = self._zoom, len(self._recording)
        phase = (
            "start"
            if not position
            else "forward"
            if position <= self._recording.forward
            else "backward"
        )
        left, right, y = (
            self.left + MARGIN * zoom,
            self.left + self.width - MARGIN * zoom,
            self._top + 20 * zoom,
        )
        yield _line(f"step {position} of {total}, {phase}", left, y, 10.5 * zoom, FAINT)
        key = "on edges: local derivatives"
        if phase == "backward":
            key += f'; gradients: <tspan fill="{POSITIVE}">positive</tspan>, <tspan fill="{NEGATIVE}">negative</tspan>'
        yield _line(key, right, y, 10.5 * zoom, FAINT, end=True)
        lines, size = _fitted(
            self.says(position), right - left, self.height - self._top - 46 * zoom, zoom
        )
        y += 4 * zoom
        for line in lines:
            y += size * LINE_HEIGHT
            yield _line(html.escape(line), left, y, size, TEXT)
        for color, width in (
            (TRACK, self.width),
            (SPOTLIGHT, self.width * position / max(total, 1)),
        ):
            yield (
                f'<rect x="{self.left:.2f}" y="{self.height - 4 * zoom:.2f}" width="{width:.2f}" '
                f'height="{4 * zoom:.2f}" '
                f'fill="{color}" />'
            )


def _fitted(
    paragraphs: Sequence[str], width: float, height: float, zoom: float
) -> tuple[list[str], float]:
    """The lines of a text in the largest size in which it fits; in the smallest one it is cut."""
    lines: list[str] = []
    size, most = 0.0, 0
    for points in CAPTION_SIZES:
        size = points * zoom
        lines = [line for text in paragraphs for line in _wrapped(text, width / size)]
        most = max(int(height / (size * LINE_HEIGHT) + 1e-6), 1)
        if len(lines) <= most:
            return lines, size
    return [*lines[:most - 1], lines[most - 1][:-3] + "..."], size


def _wrapped(text: str, width: float) -> list[str]:
    """``text`` in lines of at most ``width`` font sizes, broken at spaces, and within words that
    are longer than a line."""
    lines, line, used = [], "", 0.0
    for word in text.split():
        long = _width(word)
        if line and used + _width(" ") + long > width:
            lines.append(line)
            line, used = "", 0.0
        if long > width:
            for character in word:
                if line and used + _width(character) > width:
                    lines.append(line)
                    line, used = "", 0.0
                line, used = line + character, used + _width(character)
            continue
        line, used = (f"{line} {word}", used + _width(" ") + long) if line else (word, long)
    return [*lines, line]


def _width(text: str) -> float:
    """How wide ``text`` is at most, in font sizes: Helvetica, and wider fonts that stand in for it.
    """
    return 1.15 * sum(map(_letter_width, text))


def _letter_width(c: str) -> float:
    if c in " .,:;'|!()[]/ijlft":
        return 0.28
    if unicodedata.combining(c):
        return 0.0
    return (
        1.0
        if unicodedata.east_asian_width(c) in "WF"
        else 0.85
        if c in "mwMW%@"
        else 0.68
        if c.isupper()
        else 0.56
    )


def _line(markup: str, x: float, y: float, size: float, color: str, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text class="caption" x="{x:.2f}" y="{y:.2f}"{anchor} font-family="{FONT}" '
        f'font-size="{size:.2f}" '
        f'fill="{color}" xml:space="preserve">{markup}</text>'
    )
