"""The frames of a graph: from one to the next, only what changed is drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from tinygrad_edu import Stepper

from ..drawing.scene import Scene
from .pixels import to_image, to_png

if TYPE_CHECKING:
    from PIL.Image import Image

# left, top, right and bottom, in points or pixels
Box = tuple[float, float, float, float]
PixelBox = tuple[int, int, int, int]

MARGIN = 16.0  # points around the points of a part: its widest glow, line or head
LETTER = 0.75  # font sizes; no letter of a number or a name is wider on average
_COORDINATES = re.compile(r' (?:d|points)="([^"]*)"')
_NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
_TEXT = re.compile(r'<text [^>]*?\bx="([^"]*)" y="([^"]*)"[^>]*>')
_TRANSLATION = re.compile(r"translate\(([^ ,]+)[ ,]+([^)]+)\)")


class GraphFrames:
    """Draws a scene after each step; a frame changes the image of the frame before it.

    scene: the `Scene`.
    width: of a frame in pixels.
    """

    def __init__(self, scene: Scene, width: int) -> None:
        self.scene = scene
        self._width = width
        self._scale = width / scene.frame_size[0]
        self._parts: dict[str, str] = {}
        self._image: Image | None = None
        self._bounds: dict[str, Box] = {}

    def image(self, stepper: Stepper) -> Image:
        """Returns the frame at the position of ``stepper``; the next one changes the same image.

        Texts take most of the time.  The parts that reach into the box around what changed are
        drawn where they are in a whole frame, so their pixels are the same.
        """
        parts = self.scene.parts(stepper)
        caption = self.scene.caption(stepper.position)
        before, self._parts = self._parts, parts
        if self._image is None:
            self._image = self._drawn(parts.values(), caption)
            return self._image
        changed = [name for name, text in parts.items() if text != before[name]]
        box = self._box_of([each[name] for name in changed for each in (before, parts)])
        shown = [text for text in parts.values() if _overlap(self._bounds_of(text), box)]
        drawn = self._drawn(shown, caption)
        below = 0, math.floor(self.scene.size[1] * self._scale), *drawn.size
        for area in [self._pixels(box), below]:
            if area[0] < area[2] and area[1] < area[3]:
                self._image.paste(drawn.crop(area), area[:2])
        return self._image

    def _drawn(self, parts: Iterable[str], caption: str) -> Image:
        return to_image(to_png(self.scene.view(parts, caption), self._width))

    def _box_of(self, parts: Iterable[str]) -> Box:
        """Returns the box around parts; an empty one if there are none."""
        bounds = list(zip(*map(self._bounds_of, parts)))
        if not bounds:
            return 0.0, 0.0, 0.0, 0.0
        return min(bounds[0]), min(bounds[1]), max(bounds[2]), max(bounds[3])

    def _pixels(self, box: Box) -> PixelBox:
        """Returns the pixels that are completely in a box and above the caption."""
        left, top, right, bottom = box
        left, right = left - self.scene.left, right - self.scene.left
        bottom = min(bottom, self.scene.size[1])
        first = math.ceil(max(left, 0.0) * self._scale), math.ceil(max(top, 0.0) * self._scale)
        last = min(math.floor(right * self._scale), self._width), math.ceil(bottom * self._scale)
        return *first, *last

    def _bounds_of(self, text: str) -> Box:
        """Returns a box around a part, in points, that is rather too large than too small."""
        if text not in self._bounds:
            self._bounds[text] = _bounds(text, self._offset)
        return self._bounds[text]

    @cached_property
    def _offset(self) -> tuple[float, float]:
        found = _TRANSLATION.search(self.scene.transform)
        return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def _bounds(part: str, offset: tuple[float, float]) -> Box:
    xs: list[float] = []
    ys: list[float] = []
    for match in _COORDINATES.finditer(part):
        numbers = list(map(float, _NUMBER.findall(match[1])))
        xs += numbers[::2]
        ys += numbers[1::2]
    for match in _TEXT.finditer(part):
        x, y = float(match[1]), float(match[2])
        size = re.search(r'font-size="([\d.]+)"', match[0])
        height = float(size[1]) if size else 14.0
        letters = part.index("</text>", match.end()) - match.end()
        width = LETTER * height * letters
        xs += [x - width, x + width]  # the anchor may be at either end
        ys += [y - height, y + height]
    if not xs:
        return 0.0, 0.0, 0.0, 0.0
    dx, dy = offset
    return (
        min(xs) + dx - MARGIN, min(ys) + dy - MARGIN, max(xs) + dx + MARGIN, max(ys) + dy + MARGIN
    )


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
