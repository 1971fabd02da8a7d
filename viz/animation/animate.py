"""A recording as a film, to be shown in a lecture or put into a text: GIF, animated PNG or WebP.

    >>> import viz
    >>> from tinygrad_edu import record
    >>> from tinygrad_edu.examples import lecture_neuron
    >>> path = viz.animate(record(lecture_neuron()), "neuron.gif")      # doctest: +SKIP

Each frame is the SVG text of a `viz.scene.Scene`, made into pixels by resvg and put together by
Pillow; both belong to the extra ``animate``.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import chain
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Stepper, Value
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.errors import RenderError
from tinygrad_edu.files import destination, write_atomically

from ..drawing.model import MAX_NODES
from ..drawing.scene import Scene
from ..drawing.style import FONT

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}
SCALE, MAX_WIDTH, MAX_HEIGHT = 2.0, 1600, 1200  # pixels a point; pixels of a frame
# of a film; of all its frames together, which take about a minute
MAX_FRAMES, MAX_PIXELS = 1000, 150_000_000
# milliseconds a frame; programs that show GIFs take less than 20 for 100
SHORTEST, LONGEST = 20, 60_000
FIRST, LAST = 2, 4  # how many times as long as the others the first and the last frame stay
SAMPLES = 12  # frames that the palette of a GIF is made from
AS_BEFORE = 255  # the entry of that palette for what is as in the frame before
# how far apart its colours are in at least one channel; Pillow confuses those that are closer
# than 8
DISTINCT = 10
_REMEDY = "pip install Pillow resvg-py"
# Sans-serif faces for systems that have none of those that drawings ask for.
_FACES = (
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
    milliseconds: int = 800,
    scale: float = SCALE,
    loop: bool = True,
) -> Path:
    """Writes the film of ``recording`` to ``path``, and returns the path.

    A frame is the drawing at one position, with the sentence of the step below; from frame to frame
    nothing moves but numbers, colours and widths.  Steps that change nothing drawn, within a
    collapsed module, have no frame.

    recording     a `Recording`, a Value (which is recorded), or a Stepper (the whole of its
                  recording)
    path          its suffix names the format: .gif (256 colours), .apng or .webp (both lossless);
                  without one, ".gif" is added; ``~`` is your home
    collapse      as in `viz.draw`
    max_nodes     as in `viz.draw`
    milliseconds  how long a frame stays; the first one stays `FIRST` times, the last one `LAST`
                  times as long
    scale         pixels for each point of the drawing; less where a frame would be larger than
                  `MAX_WIDTH` x `MAX_HEIGHT`
    loop          whether the film starts again, for ever; else it plays once

    The file appears whole or not at all, and the same recording gives the same bytes on the same
    machine.

    Raises ValueError for another suffix, for more than `MAX_FRAMES` frames or `MAX_PIXELS` pixels
    in all of them, and for ``milliseconds`` or ``scale`` out of range; TypeError for another
    ``recording``; RenderError without a layout engine, Pillow, resvg or any font; what `viz.draw`
    raises for ``collapse`` and ``max_nodes``; OSError if the file cannot be written.
    """
    target = destination(path, "a film", FORMATS, "graph.gif")
    made = recording_of(recording, "animate()")
    _check_number("milliseconds", milliseconds, SHORTEST, LONGEST)
    _check_number("scale", scale, 0.1, 20)
    fonts()
    scene = Scene(made, collapse, max_nodes)
    positions = [0, *[number for number, hidden in enumerate(scene.hidden, 1) if not hidden]]
    width = _width_of(scene, scale, len(positions))
    durations = [milliseconds] * len(positions)
    durations[0], durations[-1] = FIRST * milliseconds, LAST * milliseconds
    stepper = Stepper(made)
    pictures = [to_png(scene.frame(stepper.goto(position)), width) for position in positions]
    return write_atomically(
        target, _encoded(pictures, FORMATS[target.suffix.lower()], durations, loop)
    )


def _check_number(name: str, number: Any, low: float, high: float) -> None:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(
            f"{name} must be a number, not {type(number).__name__} ({short_repr(number)})"
        )
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}; it must be from {low:g} to {high:g}")


def _width_of(scene: Scene, scale: float, frames: int) -> int:
    """The width of the film in pixels.  Raises ValueError if it would be too long, or too large."""
    hint = 'collapse="neurons" or "layers", or a smaller max_nodes, leaves less to show'
    if frames > MAX_FRAMES:
        raise ValueError(f"the film would have {frames:,} frames, more than {MAX_FRAMES:,}; {hint}")
    wide, high = scene.frame_size
    zoom = min(scale, MAX_WIDTH / wide, MAX_HEIGHT / high)
    pixels = frames * wide * high * zoom * zoom
    if pixels > MAX_PIXELS:
        smaller = int(100 * zoom * (MAX_PIXELS / pixels) ** 0.5) / 100
        raise ValueError(
            f"the film would have {frames:,} frames of {wide * zoom:.0f} x {high * zoom:.0f} "
            "pixels, more than "
            f"{MAX_PIXELS:,} pixels in all; scale={smaller:g} makes them smaller, and {hint}"
        )
    return max(int(wide * zoom), 1)


# ---- pixels --------------------------------------------------------------------------------------


def to_png(svg: str, width: int | None = None, font_options: dict[str, Any] | None = None) -> bytes:
    """SVG text as a PNG of ``width`` pixels on white, ``font_options`` (default: `fonts`) telling
    resvg what to write with.

    Raises RenderError without resvg, Pillow or any font.
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
    """The picture in a PNG file."""
    _, pillow = _libraries()
    image: Image = pillow.open(io.BytesIO(png))
    return image.convert("RGB")


def _libraries() -> tuple[Any, Any]:
    """The modules resvg_py and PIL.Image."""
    try:
        import resvg_py
        from PIL import Image
    except ImportError as error:
        raise RenderError(f"animations need Pillow and resvg ({error}): {_REMEDY}") from None
    return resvg_py, Image


@cache
def fonts() -> dict[str, Any]:
    """What to tell resvg so that text is drawn; where it finds no font it draws none, and says
    nothing.

    The fonts of the system, if it has one of those in `style.FONT`; else DejaVu Sans, which
    matplotlib brings with it; else another common face.  Raises RenderError if there is none at
    all.
    """
    options: list[dict[str, Any]] = [{}]
    if bundled := _bundled_fonts():
        options.append({"font_files": bundled, "sans_serif_family": "DejaVu Sans"})
    options += [{"sans_serif_family": face} for face in _FACES]
    test = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><text x="5" y="30" '
        f'font-family="{FONT}" '
        'font-size="20">M8</text></svg>'
    )
    for option in options:
        if to_image(to_png(test, font_options=option)).convert("L").getextrema()[0] < 128:  # type: ignore[operator]
            return option
    raise RenderError(
        "no font was found to write text with, as in a bare container: install one, such as the "
        "package "
        "fonts-dejavu of your system, or `pip install matplotlib`, which brings one with it"
    )


def _bundled_fonts() -> list[str]:
    """The files of DejaVu Sans in matplotlib, without importing it; [] if it is not installed."""
    try:
        spec = find_spec("matplotlib")
    except (ImportError, ValueError):
        return []
    if spec is None or not spec.origin:
        return []
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return [
        str(file)
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
        if (file := folder / name).is_file()
    ]


# ---- files ---------------------------------------------------------------------------------------


class _Images:
    """The pictures of PNG files, each decoded when it is its turn, as often as asked for: Pillow
    looks at some twice."""

    def __init__(self, pictures: list[bytes], palette: Image | None) -> None:
        self._pictures, self._palette = pictures, palette

    def __iter__(self) -> Iterator[Image]:
        for picture in self._pictures:
            image = to_image(picture)
            yield (
                image.quantize(palette=self._palette, dither=_libraries()[1].Dither.NONE)
                if self._palette
                else image
            )


def _encoded(pictures: list[bytes], form: str, durations: list[int], loop: bool) -> bytes:
    """The film in the format that Pillow calls ``form``."""
    options: dict[str, Any] = {"duration": durations, "loop": 0 if loop else 1}
    palette = _palette(pictures) if form == "GIF" else None
    if palette is not None:
        table = bytes((palette.getpalette() or [])[:3 * AS_BEFORE]).ljust(3 * 256, b"\0")
        # The palette is given here once more so that it stands in the file once, and not with every
        # frame.
        options |= {"disposal": 1, "optimize": True, "transparency": AS_BEFORE, "palette": table}
        if not loop:
            del options["loop"]  # which there counts repetitions
    elif form == "WEBP":
        options |= {"lossless": True, "method": 1}
    content = io.BytesIO()
    next(iter(_Images(pictures[:1], palette))).save(
        content, form, save_all=True, append_images=_Images(pictures[1:], palette), **options
    )
    return content.getvalue()


def _palette(pictures: list[bytes]) -> Image:
    """One palette for all frames: their most frequent colours, no two of them nearly the same.

    With a palette for each frame what stands still would flicker.  Plain areas get exactly their
    colours, since these are the most frequent; what is lost are shades at the edges of letters and
    lines.
    """
    _, pillow = _libraries()
    last = len(pictures) - 1
    counts: Counter[tuple[int, int, int]] = Counter()
    for i in sorted({round(k * last / (SAMPLES - 1)) for k in range(SAMPLES)}):
        image = to_image(pictures[i])
        image = image.resize(
            (-(-image.width // 2), -(-image.height // 2)), pillow.Resampling.NEAREST
        )
        found = image.getcolors(image.width * image.height) or []
        counts.update({color: number for number, color in found})  # type: ignore[misc]
    colors: list[tuple[int, int, int]] = []
    for color in sorted(counts, key=lambda color: (-counts[color], color)):
        if len(colors) < AS_BEFORE and all(
            max(map(abs, map(sub, color, other))) >= DISTINCT for other in colors
        ):
            colors.append(color)
    palette: Image = pillow.new("P", (1, 1))
    palette.putpalette(list(chain.from_iterable(colors)))
    return palette
