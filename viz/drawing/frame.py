"""The parts of a frame: how a node and an edge look after a step, and the caption below them.

A `scene.Scene` decides how each part looks (`NodeLook`, `EdgeLook`) and puts the parts together.
`draw_node` and `draw_edge` change the SVG elements that the layout engine made, and `Caption` adds
the sentence of the step.
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

from .style import EDGE_LINE, FAINT, FONT, NEGATIVE, POSITIVE, SPOTLIGHT, TEXT

SVG = "{http://www.w3.org/2000/svg}"
GLOW = "#ffe27a"  # behind the node and the edges of the last step
# around the number on an edge
HALO = {
    "stroke": "white",
    "stroke-width": "3",
    "stroke-linejoin": "round",
    "paint-order": "stroke",
}
BAR_BACKGROUND = "#e4e4e4"  # the part of the progress bar that is not filled yet
MARGIN = 12.0  # points, of the caption
CAPTION_SIZES = (13.0, 11.5, 10.0, 9.0, 8.0)  # points; long sentences get the smaller ones
CAPTION_LINES = 5  # at most
LINE_HEIGHT = 1.4  # font sizes
MIN_WIDTH = 460.0  # points, of a frame
MAX_UNSCALED_WIDTH = 1000.0  # points, of a frame; above it the caption grows with the frame
MAX_PARAGRAPH_LENGTH = 2000  # characters of a paragraph; more do not fit into any caption
SCAN_LIMIT = 3000  # steps; longer recordings are not searched for their longest sentence


class NodeLook(NamedTuple):
    """How a node is drawn after a step.

    data, grad   its numbers as text
    faint        whether it is not computed yet
    lit          the number that the last step changed, "data" or "grad"; "box" if it changed a
                 number of a node inside the box; "" if it changed another node
    """

    data: str = ""
    grad: str = ""
    faint: bool = False
    lit: str = ""


class EdgeLook(NamedTuple):
    """How an edge is drawn after a step.

    faint          whether its user is not computed yet
    color, width   of the line; the width in points
    back           whether its head is at the operand, to which the gradient flows
    lit            whether the last step used it
    """

    faint: bool = False
    color: str = EDGE_LINE
    width: float = 1.0
    back: bool = False
    lit: bool = False


# ---- nodes and edges -----------------------------------------------------------------------------


def draw_node(group: ET.Element, look: NodeLook) -> None:
    """Changes the SVG group of a node to ``look``."""
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
            outline.attrib.update(
                {"stroke": GLOW, "stroke-width": "13", "stroke-linejoin": "round", "fill": GLOW}
            )
            outline.attrib.pop("stroke-dasharray", None)
            group.insert(0, outline)
            shape.attrib.update({"stroke": SPOTLIGHT, "stroke-width": "2.5"})


def draw_edge(group: ET.Element, look: EdgeLook) -> None:
    """Changes the SVG group of an edge to ``look``."""
    for text in group.findall(f"{SVG}text"):
        if look.faint:
            group.remove(text)  # a derivative that is not computed yet
        else:
            text.attrib.update(HALO)
    if look.faint:
        group.set("opacity", "0.35")
    path, head = group.find(f"{SVG}path"), group.find(f"{SVG}polygon")
    if path is None or head is None:
        return
    if look.back or look.width > 1:
        _set_head(path, head, look.back, 6 + 1.5 * look.width)
    path.attrib.update({"stroke": look.color, "stroke-width": f"{look.width:.2f}"})
    head.attrib.update({"stroke": look.color, "fill": look.color})
    if look.lit:
        glow = copy.deepcopy(path)
        glow.attrib.update({"stroke": GLOW, "stroke-width": f"{look.width + 9:.2f}"})
        glow.attrib.pop("stroke-dasharray", None)
        group.insert(0, glow)


def _set_head(path: ET.Element, head: ET.Element, back: bool, length: float) -> None:
    """Gives an edge, a chain of Bezier curves, a head of this length; if ``back``, at its start."""
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
    corners = [tip, (x - dy * half, y + dx * half), (x + dy * half, y - dx * half)]
    head.set("points", _points_text(corners))
    path.set("d", f"M{_points_text(points[:1])}C{_points_text(points[1:])}")


def _points(text: str) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]
    return list(zip(numbers[::2], numbers[1::2]))


def _points_text(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


# ---- the caption ---------------------------------------------------------------------------------


class Caption:
    """The text below a drawing of ``width`` and ``height`` (points): the step in words, and a
    progress bar.

    left, width, height    of the whole frame, in points; the drawing is centred in it
    """

    def __init__(self, recording: Recording, width: float, height: float) -> None:
        self._recording = recording
        self._top = height
        self.width = max(width, MIN_WIDTH)
        self.left = (width - self.width) / 2
        self._zoom = max(1.0, self.width / MAX_UNSCALED_WIDTH)

    @cached_property
    def height(self) -> float:
        """The height of every frame: the longest sentence fits, up to `CAPTION_LINES` lines."""
        lines = CAPTION_LINES
        size = CAPTION_SIZES[0]
        if len(self._recording) <= SCAN_LIMIT:
            room = (self.width / self._zoom - 2 * MARGIN) / size

            def lines_of(position: int) -> int:
                return sum(len(_wrapped(text, room)) for text in self.paragraphs(position))

            lines = min(lines, max(map(lines_of, range(len(self._recording) + 1))))
        return self._top + self._zoom * (46 + lines * size * LINE_HEIGHT)

    def paragraphs(self, position: int) -> list[str]:
        """Returns the paragraphs: the sentence of the step, the rule that it used, and how a sum
        grew."""
        step = self._recording[position - 1] if position else self._recording.start()
        said = [step.words]
        if step.formula:
            said.append(f"because {step.formula}")
            if step.before and short_number(step.before) != short_number(step.after):
                change = f"from {short_number(step.before)} to {short_number(step.after)}"
                said.append(f"so ∂{self._root}/∂{step.name} goes {change}")
        return [text[:MAX_PARAGRAPH_LENGTH] for text in said]

    def svg(self, position: int) -> str:
        """Returns the SVG elements of the caption after ``position`` steps."""
        return "\n".join(self._elements(position))

    @property
    def _root(self) -> str:
        return self._recording.nodes[self._recording.root].name

    def _elements(self, position: int) -> Iterator[str]:
        zoom = self._zoom
        total = len(self._recording)
        phase = self._phase(position)
        left = self.left + MARGIN * zoom
        right = self.left + self.width - MARGIN * zoom
        y = self._top + 20 * zoom
        yield _text_element(f"step {position} of {total}, {phase}", left, y, 10.5 * zoom, FAINT)
        key = "on edges: local derivatives"
        if phase == "backward":
            key += f'; gradients: <tspan fill="{POSITIVE}">positive</tspan>'
            key += f', <tspan fill="{NEGATIVE}">negative</tspan>'
        yield _text_element(key, right, y, 10.5 * zoom, FAINT, end=True)
        room = self.height - self._top - 46 * zoom
        lines, size = _fit_lines(self.paragraphs(position), right - left, room, zoom)
        y += 4 * zoom
        for line in lines:
            y += size * LINE_HEIGHT
            yield _text_element(html.escape(line), left, y, size, TEXT)
        yield self._bar(BAR_BACKGROUND, self.width)
        yield self._bar(SPOTLIGHT, self.width * position / max(total, 1))

    def _phase(self, position: int) -> str:
        if not position:
            return "start"
        return "forward" if position <= self._recording.forward else "backward"

    def _bar(self, color: str, width: float) -> str:
        height = 4 * self._zoom
        return (
            f'<rect x="{self.left:.2f}" y="{self.height - height:.2f}" width="{width:.2f}" '
            f'height="{height:.2f}" fill="{color}" />'
        )


def _fit_lines(
    paragraphs: Sequence[str], width: float, height: float, zoom: float
) -> tuple[list[str], float]:
    """Returns the lines and the largest font size in which they fit; in the smallest size, the text
    is cut."""
    lines: list[str] = []
    size = 0.0
    most = 0
    for points in CAPTION_SIZES:
        size = points * zoom
        lines = [line for text in paragraphs for line in _wrapped(text, width / size)]
        most = max(int(height / (size * LINE_HEIGHT) + 1e-6), 1)
        if len(lines) <= most:
            return lines, size
    return [*lines[:most - 1], lines[most - 1][:-3] + "..."], size


def _wrapped(text: str, width: float) -> list[str]:
    """Returns ``text`` in lines of at most ``width`` font sizes, broken at spaces, and inside words
    that are longer than a line."""
    lines = []
    line = ""
    used = 0.0
    for word in text.split():
        long = _width(word)
        if line and used + _width(" ") + long > width:
            lines.append(line)
            line = ""
            used = 0.0
        if long > width:
            for character in word:
                if line and used + _width(character) > width:
                    lines.append(line)
                    line = ""
                    used = 0.0
                line += character
                used += _width(character)
            continue
        if line:
            line = f"{line} {word}"
            used = used + _width(" ") + long
        else:
            line = word
            used = long
    return [*lines, line]


def _width(text: str) -> float:
    """Returns the largest width of ``text`` in font sizes, in Helvetica or a wider replacement."""
    return 1.15 * sum(map(_letter_width, text))


def _letter_width(c: str) -> float:
    if c in " .,:;'|!()[]/ijlft":
        return 0.28
    if unicodedata.combining(c):
        return 0.0
    if unicodedata.east_asian_width(c) in "WF":
        return 1.0
    if c in "mwMW%@":
        return 0.85
    return 0.68 if c.isupper() else 0.56


def _text_element(
    markup: str, x: float, y: float, size: float, color: str, end: bool = False
) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text class="caption" x="{x:.2f}" y="{y:.2f}"{anchor} font-family="{FONT}" '
        f'font-size="{size:.2f}" fill="{color}" xml:space="preserve">{markup}</text>'
    )
