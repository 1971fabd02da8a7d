"""The parts of a frame: how a node and an edge look after a step, and the caption below them.

A `scene.Scene` decides how each part looks and puts the parts together.  `NodeLook` and `EdgeLook`
change the SVG elements that the layout engine made, and `Caption` adds the sentence of the step.
"""

from __future__ import annotations

import copy
import html
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from tinygrad_edu.debug.recording import Recording, Step

from .style import EDGE_LINE, FAINT, FONT, NEGATIVE, POSITIVE, SPOTLIGHT, TEXT

SVG = "{http://www.w3.org/2000/svg}"
FAINT_OPACITY = "0.35"  # of what is not computed yet
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


# ---- nodes and edges -----------------------------------------------------------------------------


class NodeLook(NamedTuple):
    """How a node is drawn after a step.

    data, grad: its numbers as text.
    faint: whether it is not computed yet.
    lit: the number that the last step changed, "data" or "grad"; "box" if it changed a number of a
        node inside the box; "" if it changed another node.
    """

    data: str = ""
    grad: str = ""
    faint: bool = False
    lit: str = ""

    def draw(self, group: ET.Element) -> None:
        """Changes the SVG group of a node to this look."""
        numbers = {"data": self.data, "grad": self.grad}
        for text in group.iter(f"{SVG}text"):
            if (kind := text.get("class", "")) in numbers:
                text.text = numbers[kind]
                if kind == self.lit:
                    text.set("font-weight", "bold")
        if self.faint:
            group.set("opacity", FAINT_OPACITY)
        if self.lit:
            for shape in list(group):
                if shape.tag in (f"{SVG}path", f"{SVG}polygon") and shape.get("stroke") != "none":
                    around = {"stroke-width": "13", "stroke-linejoin": "round", "fill": GLOW}
                    _add_glow(group, shape, around)
                    shape.attrib.update({"stroke": SPOTLIGHT, "stroke-width": "2.5"})


class EdgeLook(NamedTuple):
    """How an edge is drawn after a step.

    faint: whether its user is not computed yet.
    color, width: of the line; the width in points.
    back: whether its head is at the operand, to which the gradient flows.
    lit: whether the last step used it.
    """

    faint: bool = False
    color: str = EDGE_LINE
    width: float = 1.0
    back: bool = False
    lit: bool = False

    def draw(self, group: ET.Element) -> None:
        """Changes the SVG group of an edge to this look."""
        for text in group.findall(f"{SVG}text"):
            if self.faint:
                group.remove(text)  # a derivative that is not computed yet
            else:
                text.attrib.update(HALO)
        if self.faint:
            group.set("opacity", FAINT_OPACITY)
        path, head = group.find(f"{SVG}path"), group.find(f"{SVG}polygon")
        if path is None or head is None:
            return
        if self.back or self.width > 1:
            _set_head(path, head, self.back, 6 + 1.5 * self.width)
        path.attrib.update({"stroke": self.color, "stroke-width": f"{self.width:.2f}"})
        head.attrib.update({"stroke": self.color, "fill": self.color})
        if self.lit:
            _add_glow(group, path, {"stroke-width": f"{self.width + 9:.2f}"})


def _add_glow(group: ET.Element, shape: ET.Element, attributes: dict[str, str]) -> None:
    """Adds a wide light copy of ``shape`` behind everything in the group."""
    glow = copy.deepcopy(shape)
    glow.attrib.update({"stroke": GLOW, **attributes})
    glow.attrib.pop("stroke-dasharray", None)
    group.insert(0, glow)


def _set_head(path: ET.Element, head: ET.Element, back: bool, length: float) -> None:
    """Gives an edge, a chain of Bezier curves, a head of this length at its end.

    back: whether the head is at its start instead.
    """
    points = _points(path.attrib["d"])
    if len(points) < 4:
        return
    tip = max(_points(head.attrib["points"]), key=lambda point: abs(point - points[-1]))
    if back:
        points[-1] = tip
        points.reverse()
        tip = points[-1]
    before = next((point for point in reversed(points[:-1]) if abs(point - tip) > 1e-6), tip)
    forward = (tip - before) / (abs(tip - before) or 1.0)
    base = tip - forward * length
    points[-1] = base + forward  # the line ends within the head
    half = forward * 1j * (0.36 * length)
    head.set("points", _points_text([tip, base + half, base - half]))
    path.set("d", f"M{_points_text(points[:1])}C{_points_text(points[1:])}")


def _points(text: str) -> list[complex]:
    """Returns the points in a text as complex numbers x + iy."""
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]
    return list(map(complex, numbers[::2], numbers[1::2]))


def _points_text(points: Sequence[complex]) -> str:
    return " ".join(f"{point.real:.2f},{point.imag:.2f}" for point in points)


# ---- the caption ---------------------------------------------------------------------------------


class Caption:
    """The text below a drawing: the step in words, and a progress bar.

    It is made for a drawing of ``width`` and ``height`` in points.

    left, width, height: of the whole frame, in points; the drawing is centred in it.
    """

    def __init__(self, recording: Recording, width: float, height: float) -> None:
        self._recording = recording
        self._top = height
        self.width = max(width, MIN_WIDTH)
        self.left = (width - self.width) / 2
        self._zoom = max(1.0, self.width / MAX_UNSCALED_WIDTH)

    @cached_property
    def _most_lines(self) -> int:
        """How many lines of the largest size fit: the longest sentence, up to `CAPTION_LINES`."""
        if len(self._recording) > SCAN_LIMIT:
            return CAPTION_LINES
        positions = range(len(self._recording) + 1)
        longest = max(len(self._lines(position, CAPTION_SIZES[0])) for position in positions)
        return min(CAPTION_LINES, longest)

    @property
    def height(self) -> float:
        """The height of every frame."""
        text_height = self._most_lines * CAPTION_SIZES[0] * LINE_HEIGHT
        return self._top + self._zoom * (46 + text_height)

    def _step(self, position: int) -> Step:
        return self._recording[position - 1] if position else self._recording.start()

    def _lines(self, position: int, size: float) -> list[str]:
        """Returns the lines of the text in a font of this size.

        They are the sentence of the step, the rule that it used, and how a sum grows.
        """
        step = self._step(position)
        said = [step.words]
        if step.formula:
            said.append(f"because {step.formula}")
        if step.growth:
            said.append(step.growth)
        room = (self.width / self._zoom - 2 * MARGIN) / size
        return [line for text in said for line in _wrapped(text[:MAX_PARAGRAPH_LENGTH], room)]

    def _fitting_lines(self, position: int) -> tuple[list[str], float]:
        """Returns the lines and the largest font size in which they fit.

        Text that does not fit in the smallest size is cut.
        """
        for size in CAPTION_SIZES:
            lines = self._lines(position, size)
            most = int(self._most_lines * CAPTION_SIZES[0] / size + 1e-6)
            if len(lines) <= most:
                return lines, size
        return [*lines[:most - 1], lines[most - 1][:-3] + "..."], size

    def svg(self, position: int) -> str:
        """Returns the SVG elements of the caption after ``position`` steps."""
        return "\n".join(self._elements(position))

    def _elements(self, position: int) -> Iterator[str]:
        zoom = self._zoom
        total = len(self._recording)
        phase = self._step(position).phase
        left = self.left + MARGIN * zoom
        right = self.left + self.width - MARGIN * zoom
        y = self._top + 20 * zoom
        yield _text_element(f"step {position} of {total}, {phase}", left, y, 10.5 * zoom, FAINT)
        key = "on edges: local derivatives"
        if phase == "backward":
            key += f'; gradients: <tspan fill="{POSITIVE}">positive</tspan>'
            key += f', <tspan fill="{NEGATIVE}">negative</tspan>'
        yield _text_element(key, right, y, 10.5 * zoom, FAINT, ' text-anchor="end"')
        lines, size = self._fitting_lines(position)
        y += 4 * zoom
        for line in lines:
            y += size * zoom * LINE_HEIGHT
            yield _text_element(html.escape(line), left, y, size * zoom, TEXT)
        yield self._bar(BAR_BACKGROUND, self.width)
        yield self._bar(SPOTLIGHT, self.width * position / max(total, 1))

    def _bar(self, color: str, width: float) -> str:
        height = 4 * self._zoom
        return (
            f'<rect x="{self.left:.2f}" y="{self.height - height:.2f}" width="{width:.2f}" '
            f'height="{height:.2f}" fill="{color}" />'
        )


def _wrapped(text: str, width: float) -> Iterator[str]:
    """Yields ``text`` in lines of at most ``width`` font sizes.

    It is broken at spaces, and inside words that are longer than a line.
    """
    line = ""
    used = 0.0
    for word in text.split():
        for i, piece in enumerate([word] if _width(word) <= width else word):
            gap = " " if line and not i else ""
            if line and used + _width(gap) + _width(piece if i else word) > width:
                yield line
                line = gap = ""
                used = 0.0
            line += gap + piece
            used += _width(gap) + _width(piece)
    yield line


def _width(text: str) -> float:
    """Returns the largest width of ``text`` in font sizes, in Helvetica or a wider replacement."""
    return 1.15 * sum(map(_letter_width, text))


@cache
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
    markup: str, x: float, y: float, size: float, color: str, anchor: str = ""
) -> str:
    return (
        f'<text class="caption" x="{x:.2f}" y="{y:.2f}"{anchor} font-family="{FONT}" '
        f'font-size="{size:.2f}" fill="{color}" xml:space="preserve">{markup}</text>'
    )
