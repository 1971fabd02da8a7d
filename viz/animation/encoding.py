"""Pictures as the content of an animation: GIF, animated PNG or WebP."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import sub
from typing import TYPE_CHECKING, Any

from .pixels import libraries, to_image

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}
PALETTE_FRAMES = 12  # frames from which the palette of a GIF is made
UNCHANGED = 255  # the entry of that palette for pixels that did not change since the last frame
# least distance of its colours in one of the channels; Pillow confuses colours closer than 8
MIN_COLOR_DISTANCE = 10


@dataclass
class _Images:
    """The pictures of PNG files, decoded one at a time.

    They are decoded again for each loop over them, because Pillow reads some of them twice.
    """

    pictures: Sequence[bytes]
    palette: Image | None

    def __iter__(self) -> Iterator[Image]:
        _, pillow = libraries()
        for image in map(to_image, self.pictures):
            if self.palette:
                image = image.quantize(palette=self.palette, dither=pillow.Dither.NONE)
            yield image


def encode(pictures: Sequence[bytes], form: str, durations: Sequence[float], loop: bool) -> bytes:
    """Returns the content of the animation of PNG files, in the format that Pillow calls ``form``.

    durations: of the frames, in milliseconds.
    """
    options: dict[str, Any] = {"duration": list(durations), "loop": 0 if loop else 1}
    palette = _palette(pictures) if form == "GIF" else None
    if palette is not None:
        table = bytes(palette.getpalette() or [])
        # Pillow then writes the palette once, and not with every frame.
        options |= {"disposal": 1, "optimize": True, "transparency": UNCHANGED, "palette": table}
        if not loop:
            del options["loop"]  # in a GIF it counts the repetitions
    elif form == "WEBP":
        options |= {"lossless": True, "method": 1}
    content = io.BytesIO()
    first = next(iter(_Images(pictures[:1], palette)))
    others = _Images(pictures[1:], palette)
    first.save(content, form, save_all=True, append_images=others, **options)
    return content.getvalue()


def _palette(pictures: Sequence[bytes]) -> Image:
    """Returns one palette for all frames: their most frequent colours, without nearly equal ones.

    With a palette for each frame, parts that do not change would flicker.  Plain areas keep their
    exact colours, because these are the most frequent; some shades at the edges of letters and
    lines are lost.
    """
    _, pillow = libraries()
    last = len(pictures) - 1
    counts: Counter[tuple[int, int, int]] = Counter()
    for i in sorted({round(k * last / (PALETTE_FRAMES - 1)) for k in range(PALETTE_FRAMES)}):
        image = to_image(pictures[i])
        half = math.ceil(image.width / 2), math.ceil(image.height / 2)
        image = image.resize(half, pillow.Resampling.NEAREST)
        found = image.getcolors(image.width * image.height) or []
        counts.update({color: number for number, color in found})  # type: ignore[misc]
    colors: list[tuple[int, int, int]] = []

    def is_distinct(color: tuple[int, int, int]) -> bool:
        return all(max(map(abs, map(sub, color, other))) >= MIN_COLOR_DISTANCE for other in colors)

    for color in sorted(counts, key=lambda color: (-counts[color], color)):
        if len(colors) < UNCHANGED and is_distinct(color):
            colors.append(color)
    # Pillow takes seconds to write a palette in which a colour occurs twice.
    unused = ((255 - i // 16, 0, 255 - i % 16) for i in range(256))
    colors += islice((color for color in unused if color not in colors), 256 - len(colors))
    palette: Image = pillow.new("P", (1, 1))
    palette.putpalette(list(chain.from_iterable(colors)))
    return palette
