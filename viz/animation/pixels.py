"""SVG text as pixels: resvg draws, Pillow reads; both belong to the extra ``animate``."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import RenderError

from ..drawing.render import package_folder
from ..drawing.style import FONT

if TYPE_CHECKING:
    from PIL.Image import Image

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


def to_png(svg: str, width: int | None = None, font_options: dict[str, Any] | None = None) -> bytes:
    """Returns SVG text as a PNG file on white.

    width: in pixels; by default the width in the SVG.
    font_options: options of resvg that select a font; by default `fonts`.

    Raises:
        RenderError: resvg, Pillow or a font is missing, or resvg cannot read the SVG.
    """
    resvg, _ = libraries()
    options = fonts() if font_options is None else font_options
    try:
        return bytes(
            resvg.svg_to_bytes(svg_string=svg, width=width, dpi=96, background="white", **options)
        )
    except ValueError as error:
        raise RenderError(f"resvg could not make pixels of a frame: {error}") from None


def to_image(png: bytes) -> Image:
    """Returns the picture in a PNG file."""
    _, pillow = libraries()
    image: Image = pillow.open(io.BytesIO(png))
    return image.convert("RGB")


def png_of(image: Image) -> bytes:
    """Returns an image as a PNG file, written fast."""
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=1)
    return png.getvalue()


def libraries() -> tuple[Any, Any]:
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
