"""Pictures of Values, Steppers, Histories, tapes and more in a notebook.

    In [1]: import viz                  # registers them, if IPython is running
    In [2]: (a * b + c).tanh()          # the drawing; without a layout engine, repr and reason
    In [3]: Stepper(record(y)).next()   # the drawing after this step, and below it the repr

Only a front end that can show HTML gets pictures.  In a terminal, IPython prints the repr, and
nothing is drawn.  marimo asks an object for its method ``_mime_``, which the classes get here.
Pictures have their natural size, in a box that scrolls, and a text for those who do not see them.
"""

from __future__ import annotations

import base64
import html
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from tinygrad_edu import History, Stepper, Value, topological_order
from tinygrad_edu.debug.explain import Explanation
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.jit import Jitted, Tape

from .drawing.draw import draw
from .drawing.model import build_path
from .drawing.render import Drawing, in_box
from .drawing.scene import Scene
from .plotting import plots

# nodes of a graph, or instructions of a tape; a larger one is drawn only by viz.draw, because it
# takes more than about a second
MAX_NODES_SHOWN = 50_000

# the same object in several MIME types; the front end chooses one
Bundle = dict[str, str]
# of each MIME type; "alt" describes a picture to readers who do not see it
Metadata = dict[str, dict[str, str]]

# JupyterLab shows <pre> in a proportional font
_TEXT_STYLE = "white-space: pre-wrap; font-family: ui-monospace, Menlo, Consolas, monospace"

# One layout for each Stepper: a step then needs no new layout.  A scene refers to its recording,
# not to the Stepper.
_scenes: WeakKeyDictionary[Stepper, Scene] = WeakKeyDictionary()


def register() -> None:
    """Tells marimo, and IPython if it is running, how to display the objects of this package."""
    for kind, show in _DISPLAYS.items():
        kind._mime_ = _for_marimo(show)  # type: ignore[attr-defined]
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is None:
        return
    for kind, show in _DISPLAYS.items():
        formatter.mimebundle_formatter.for_type(kind, _printer(formatter, show))
    pictures = formatter.formatters["image/png"]
    try:
        # registered by %matplotlib inline, which can do more
        pictures.lookup_by_type("matplotlib.figure.Figure")
    except KeyError:
        pictures.for_type_by_name("matplotlib.figure", "Figure", _show_figure)


def _for_marimo(show: Callable[[Any], Bundle]) -> Callable[[Any], tuple[str, str]]:
    def _mime_(value: Any) -> tuple[str, str]:
        """Returns the MIME type and the content that marimo shows."""
        bundle = _bundle(value, show)
        kind = "text/html" if "text/html" in bundle else "text/plain"
        return kind, bundle[kind]

    return _mime_


def _bundle(value: Any, show: Callable[[Any], Bundle]) -> Bundle:
    try:
        return {"text/plain": repr(value), **show(value)}
    except Exception as error:  # a cell that only shows something must not fail
        return {"text/plain": f"{value!r}\n(no picture: {error})"}


def _printer(
    formatter: Any, show: Callable[[Any], Bundle]
) -> Callable[[Any], tuple[Bundle, Metadata] | None]:
    def print_(value: Any) -> tuple[Bundle, Metadata] | None:
        # a terminal; IPython asks for bundles there too
        if "text/html" not in formatter.active_types:
            return None
        shown = _bundle(value, show)
        return shown, {kind: {"alt": _alt(shown)} for kind in shown if kind.startswith("image/")}

    return print_


def _alt(shown: Bundle) -> str:
    """Returns the description of a drawing that is in its SVG text, or else the repr."""
    found = re.search(r'aria-label="([^"]*)"', shown.get("image/svg+xml", ""))
    return html.unescape(found[1]) if found else shown["text/plain"]


def _show_value(value: Value) -> Bundle:
    _check_size(len(topological_order(value)), "viz.draw(y)")
    return _drawn(value)


def _show_stepper(stepper: Stepper) -> Bundle:
    if stepper not in _scenes:
        _scenes[stepper] = _scene(stepper.recording)
    return _picture_of_step(_scenes[stepper], stepper, stepper)


def _show_recording(recording: Recording) -> Bundle:
    return _picture_of_step(_scene(recording), Stepper(recording).finish(), recording)


def _show_history(history: History) -> Bundle:
    if not history.loss:
        return {}
    png = base64.b64encode(_png(plots.loss(history))).decode("ascii")
    name = html.escape(f"the loss of each step: {history!r}")
    picture = f'<img src="data:image/png;base64,{png}" alt="{name}">'
    return {"text/html": in_box(picture), "image/png": png}


def _show_tape(tape: Tape) -> Bundle:
    _check_size(len(tape), "viz.draw(tape)", "the tape has {:,} instructions")
    return _drawn(tape)


def _show_jitted(jitted: Jitted[Any]) -> Bundle:
    if not jitted.programs:
        return {}
    _check_size(len(jitted.tape()), "viz.draw(f)", "the tape has {:,} instructions")
    return _drawn(jitted)


def _show_explanation(explanation: Explanation) -> Bundle:
    records = build_path(explanation.root, explanation.path, "")
    picture = Drawing(records, legend=False).svg()
    return _picture_above_text(picture, explanation, records.notes)


def _drawn(y: Value | Tape | Jitted[Any]) -> Bundle:
    drawing = draw(y)
    return {"text/html": in_box(drawing.svg()), "image/svg+xml": drawing.svg()}


def _scene(recording: Recording) -> Scene:
    _check_size(len(recording.nodes), "viz.explore(y)")
    return Scene(recording)


def _check_size(size: int, remedy: str, what: str = "the graph has {:,} nodes") -> None:
    if size > MAX_NODES_SHOWN:
        raise ValueError(
            f"{what.format(size)}, more than the {MAX_NODES_SHOWN:,} that a notebook draws by "
            f"itself; to see them collapsed, run {remedy}"
        )


def _picture_of_step(scene: Scene, stepper: Stepper, shown: Stepper | Recording) -> Bundle:
    """Returns the drawing at the position of ``stepper``, the repr of ``shown``, and the notes."""
    picture = scene.frame(stepper, caption=False)
    return _picture_above_text(picture, shown, scene.graph.notes)


def _picture_above_text(picture: str, shown: object, notes: Sequence[str]) -> Bundle:
    text = html.escape("\n".join([repr(shown), *notes]))
    return {"text/html": f'{in_box(picture)}\n<pre style="{_TEXT_STYLE}">{text}</pre>'}


def _show_figure(figure: Any) -> tuple[bytes, dict[str, str]]:
    """Returns a figure as PNG, and its titles, labels and legends as its description."""
    parts = []
    for ax in figure.axes:
        lines = ax.get_legend_handles_labels()[1]
        texts = [ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *lines]
        parts += [" ".join(text.split()) for text in texts if text]
    return _png(figure), {"alt": f"plot: {'; '.join(dict.fromkeys(parts))}"}


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


_DISPLAYS: dict[type, Callable[[Any], Bundle]] = {
    Value: _show_value,
    Stepper: _show_stepper,
    Recording: _show_recording,
    History: _show_history,
    Drawing: Drawing._repr_mimebundle_,
    Explanation: _show_explanation,
    Tape: _show_tape,
    Jitted: _show_jitted,
}
