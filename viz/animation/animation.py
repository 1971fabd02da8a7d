"""`Animation`: frames as a file, or in a notebook."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tinygrad_edu.files import FilePath, destination, write_atomically

from ..drawing.render import in_box
from .encoding import FORMATS, encode
from .pixels import to_image

PIXELS_PER_CSS_PIXEL = 1.5  # in a notebook: sharp on screens with more than 96 dots an inch


class Animation:
    """An animation, made by `viz.animate`.

    pictures: the frames as PNG files.
    durations: how long each frame is shown, in milliseconds.
    loop: whether it repeats for ever.
    name: what it shows, in words, for those who do not see it.

    A notebook shows it as a GIF.
    """

    def __init__(
        self, pictures: Sequence[bytes], durations: Sequence[float], loop: bool, name: str
    ) -> None:
        self.pictures = pictures
        self.durations = durations
        self.loop = loop
        self.name = name

    def save(self, path: FilePath) -> Path:
        """Writes the animation to ``path`` and returns the path.

        The suffix selects the format: .gif (256 colours), .apng or .webp (both lossless).  Without
        a suffix, ".gif" is added; ``~`` is your home.  The file appears whole or not at all.

        Raises:
            TypeError: ``path`` is not a path.
            ValueError: ``path`` is empty or has another suffix.
            OSError: the file cannot be written.
        """
        target = animation_path(path)
        form = FORMATS[target.suffix.lower()]
        return write_atomically(target, self._gif if form == "GIF" else self._encoded(form))

    def _encoded(self, form: str) -> bytes:
        return encode(self.pictures, form, self.durations, self.loop)

    @cached_property
    def _gif(self) -> bytes:
        return self._encoded("GIF")

    def __repr__(self) -> str:
        seconds = sum(self.durations) / 1000
        return (
            f"<Animation of {self.name}: {len(self.pictures)} frames, {seconds:.3g} s; "
            '.save("y.gif") writes it>'
        )

    def _repr_html_(self) -> str:
        width = to_image(self.pictures[0]).width / PIXELS_PER_CSS_PIXEL
        content = base64.b64encode(self._gif).decode("ascii")
        return in_box(
            f'<img src="data:image/gif;base64,{content}" width="{width:.0f}" '
            f'alt="{html.escape(f"animation of {self.name}")}">'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def animation_path(path: FilePath) -> Path:
    """Returns the path to which an animation will be written, checked before anything is drawn.

    Raises:
        Others: see `Animation.save`.
    """
    return destination(path, "an animation", FORMATS, "graph.gif")
