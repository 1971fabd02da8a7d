"""`animate`: a recording as a GIF, animated PNG or WebP file, for lectures and texts.

    >>> import viz
    >>> from tinygrad_edu import record
    >>> from tinygrad_edu.examples import lecture_neuron
    >>> path = viz.animate(record(lecture_neuron()), "neuron.gif")      # doctest: +SKIP

Each frame is the SVG text of a `drawing.scene.Scene`.  resvg turns it into pixels, and Pillow
writes the file; both belong to the extra ``animate``.
"""

from __future__ import annotations

import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Stepper, Value
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.errors import RenderError, check_number, wrong_type
from tinygrad_edu.files import destination, write_atomically

from ..drawing.model import MAX_NODES
from ..drawing.render import package_folder
from ..drawing.scene import Scene
from ..drawing.style import FONT

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}
SCALE = 2.0  # pixels a point
MIN_SCALE = 0.1
MAX_SCALE = 20.0
MAX_WIDTH = 1600  # pixels of a frame
MAX_HEIGHT = 1200
MAX_FRAMES = 1000
MAX_PIXELS = 150_000_000  # of all frames together, which take about a minute
MIN_MILLISECONDS = 20  # milliseconds a frame; programs that show GIFs take less for 100
MAX_MILLISECONDS = 60_000
FIRST_FRAME_FACTOR = 2  # how many times as long as other frames the first one is shown
LAST_FRAME_FACTOR = 4
PALETTE_FRAMES = 12  # frames from which the palette of a GIF is made
UNCHANGED = 255  # the entry of that palette for pixels that did not change since the last frame
# least distance of its colours in one of the channels; Pillow confuses colours closer than 8
MIN_COLOR_DISTANCE = 10
_REMEDY = "pip install Pillow resvg-py"
# Sans-serif faces for systems without the faces of `style.FONT`.
_FALLBACK_FACES = (
    "Liberation Sans",
    "DejaVu Sans",
    "Noto Sans",
    "FreeSans",
    "Open Sans",
    "Roboto",
    "Ubuntu",
    "Cantarell",
    "Segoe UI",
)


def animate(
    recording: Recording | Value | Stepper,
    path: str | os.PathLike[str],
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    milliseconds: float = 800,
    scale: float = SCALE,
    loop: bool = True,
) -> Path:
    """Writes the animation of ``recording`` to ``path`` and returns the path.

    A frame is the drawing at one position, with the sentence of the step below it.  Between frames
    only numbers, colours and widths change.  Steps inside a collapsed module have no frame.

    recording: a `Recording`, a Value (which is recorded), or a Stepper (its whole recording).
    path: the suffix selects the format: .gif (256 colours), .apng or .webp (both lossless); without
        a suffix, ".gif" is added; ``~`` is your home.
    collapse: as in `viz.draw`.
    max_nodes: as in `viz.draw`.
    milliseconds: how long a frame is shown; the first frame is shown `FIRST_FRAME_FACTOR` times as
        long, the last frame `LAST_FRAME_FACTOR` times.
    scale: pixels for each point of the drawing; reduced if a frame would be larger than `MAX_WIDTH`
        x `MAX_HEIGHT`.
    loop: whether the animation repeats for ever; otherwise it plays once.

    The file appears whole or not at all, and the same recording gives the same bytes on the same
    machine.

    Raises:
        TypeError: ``recording`` is not one of the above; ``milliseconds`` or ``scale`` is not a
            number; ``collapse`` or ``max_nodes`` has a wrong type.
        ValueError: the suffix is unknown; there are more than `MAX_FRAMES` frames, or more than
            `MAX_PIXELS` pixels in all frames together; ``milliseconds`` or ``scale`` is out of
            range; ``collapse`` or ``max_nodes`` has a wrong value (see `viz.draw`).
        RenderError: no layout engine, Pillow, resvg or font was found.
        OSError: the file cannot be written.
    """
    target = destination(path, "an animation", FORMATS, "graph.gif")
    made = recording_of(recording, "animate: recording")
    milliseconds = _checked("milliseconds", milliseconds, MIN_MILLISECONDS, MAX_MILLISECONDS)
    scale = _checked("scale", scale, MIN_SCALE, MAX_SCALE)
    fonts()
    scene = Scene(made, collapse, max_nodes)
    positions = [0, *[number for number, hidden in enumerate(scene.hidden, 1) if not hidden]]
    width = _width_in_pixels(scene, scale, len(positions))
    durations = [milliseconds] * len(positions)
    durations[0] = FIRST_FRAME_FACTOR * milliseconds
    durations[-1] = LAST_FRAME_FACTOR * milliseconds
    stepper = Stepper(made)
    pictures = [to_png(scene.frame(stepper.goto(position)), width) for position in positions]
    content = _encode(pictures, FORMATS[target.suffix.lower()], durations, loop)
    return write_atomically(target, content)


def _checked(option: str, number: Any, low: float, high: float) -> float:
    name = f"animate: {option}"
    if isinstance(number, bool):
        raise wrong_type(name, "a number", number, f"write one from {low:g} to {high:g}")
    return check_number(number, name, low, most=high)


def _width_in_pixels(scene: Scene, scale: float, frames: int) -> int:
    """Returns the width of the animation in pixels.

    Raises:
        ValueError: there are too many frames, or too many pixels in all frames together.
    """
    hint = 'pass collapse="neurons" or "layers", or a smaller max_nodes'
    if frames > MAX_FRAMES:
        raise ValueError(
            f"animate: the animation would have {frames:,} frames, more than {MAX_FRAMES:,}; {hint}"
        )
    wide, high = scene.frame_size
    zoom = min(scale, MAX_WIDTH / wide, MAX_HEIGHT / high)
    pixels = frames * wide * high * zoom * zoom
    if pixels > MAX_PIXELS:
        smaller = int(100 * zoom * (MAX_PIXELS / pixels) ** 0.5) / 100
        raise ValueError(
            f"animate: the animation would have {frames:,} frames of {wide * zoom:.0f} x "
            f"{high * zoom:.0f} pixels, more than {MAX_PIXELS:,} pixels in all; "
            f"pass scale={smaller:g}, or {hint}"
        )
    return max(int(wide * zoom), 1)


# ---- pixels --------------------------------------------------------------------------------------


def to_png(svg: str, width: int | None = None, font_options: dict[str, Any] | None = None) -> bytes:
    """Returns SVG text as a PNG file on white.

    width: in pixels; by default the width in the SVG.
    font_options: options of resvg that select a font; by default `fonts`.

    Raises:
        RenderError: resvg, Pillow or a font is missing, or resvg cannot read the SVG.
    """
    resvg, _ = _libraries()
    options = fonts() if font_options is None else font_options
    try:
        return bytes(
            resvg.svg_to_bytes(svg_string=svg, width=width, dpi=96, background="white", **options)
        )
    except ValueError as error:
        raise RenderError(f"resvg could not make pixels of a frame: {error}") from None


def to_image(png: bytes) -> Image:
    """Returns the picture in a PNG file."""
    _, pillow = _libraries()
    image: Image = pillow.open(io.BytesIO(png))
    return image.convert("RGB")


def _libraries() -> tuple[Any, Any]:
    """Returns the modules resvg_py and PIL.Image."""
    try:
        import resvg_py
        from PIL import Image
    except ImportError as error:
        raise RenderError(f"animations need Pillow and resvg ({error}): {_REMEDY}") from None
    return resvg_py, Image


@cache
def fonts() -> dict[str, Any]:
    """Returns options of resvg with which it draws text.

    Without a font it silently draws no text.  The options select the first of these that exists: a
    face of `style.FONT` on this system, DejaVu Sans from matplotlib, another common face.

    Raises:
        RenderError: no font was found.
    """
    options: list[dict[str, Any]] = [{}]
    if bundled := _bundled_fonts():
        options.append({"font_files": bundled, "sans_serif_family": "DejaVu Sans"})
    options += [{"sans_serif_family": face} for face in _FALLBACK_FACES]
    test = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
        f'<text x="5" y="30" font-family="{FONT}" font-size="20">M8</text></svg>'
    )
    for option in options:
        gray = to_image(to_png(test, font_options=option)).convert("L")
        darkest, _ = gray.getextrema()
        if darkest < 128:  # type: ignore[operator]
            return option
    raise RenderError(
        "no font was found to write text with, as in a bare container: install one, such as the "
        "package fonts-dejavu of your system, or `pip install matplotlib`, which contains one"
    )


def _bundled_fonts() -> list[str]:
    """Returns the files of DejaVu Sans in matplotlib, which is not imported, or [] without it."""
    if (package := package_folder("matplotlib")) is None:
        return []
    folder = package / "mpl-data" / "fonts" / "ttf"
    files = [folder / "DejaVuSans.ttf", folder / "DejaVuSans-Bold.ttf"]
    return [str(file) for file in files if file.is_file()]


# ---- files ---------------------------------------------------------------------------------------


@dataclass
class _Images:
    """The pictures of PNG files, decoded one at a time.

    They are decoded again for each loop over them, because Pillow reads some of them twice.
    """

    pictures: list[bytes]
    palette: Image | None

    def __iter__(self) -> Iterator[Image]:
        _, pillow = _libraries()
        for image in map(to_image, self.pictures):
            if self.palette:
                image = image.quantize(palette=self.palette, dither=pillow.Dither.NONE)
            yield image


def _encode(pictures: list[bytes], form: str, durations: list[float], loop: bool) -> bytes:
    """Returns the content of the animation in the format that Pillow calls ``form``."""
    options: dict[str, Any] = {"duration": durations, "loop": 0 if loop else 1}
    palette = _palette(pictures) if form == "GIF" else None
    if palette is not None:
        table = bytes((palette.getpalette() or [])[:3 * UNCHANGED]).ljust(3 * 256, b"\0")
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


def _palette(pictures: list[bytes]) -> Image:
    """Returns one palette for all frames: their most frequent colours, without nearly equal ones.

    With a palette for each frame, parts that do not change would flicker.  Plain areas keep their
    exact colours, because these are the most frequent; some shades at the edges of letters and
    lines are lost.
    """
    _, pillow = _libraries()
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
    palette: Image = pillow.new("P", (1, 1))
    palette.putpalette(list(chain.from_iterable(colors)))
    return palette
