"""What a notebook shows of Values, Steppers, Histories, tapes and the like.  ``import viz``
registers it, where IPython runs.

    In [1]: import viz
    In [2]: (a * b + c).tanh()          # the drawing; where there is nothing to draw with, its repr
    and the reason
    In [3]: Stepper(record(y)).next()   # the drawing at this moment, and the view that a plain REPL
    shows

Only a front end that shows more than text gets pictures: in a terminal, IPython prints the repr,
and nothing is drawn.
"""

from __future__ import annotations

import base64
import html
import io
import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from tinygrad_edu import History, Stepper, Value, topological_order
from tinygrad_edu.debug.explain import Explanation
from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.jit import Jitted, Tape

from .drawing.model import build, build_path
from .drawing.render import Drawing
from .drawing.scene import Scene
from .drawing.tapes import build_jitted, build_tape
from .plotting import plots

# nodes of a graph, or instructions of a tape, that is drawn without being asked to; it takes
# about a second
LIMIT = 50_000

# the same thing in several MIME types, of which the front end takes the best that it knows
Bundle = dict[str, str]

# The layout of each Stepper's recording, so that a step costs no layout.  A scene knows its
# recording, not its Stepper.
_scenes: WeakKeyDictionary[Stepper, Scene] = WeakKeyDictionary()


def register() -> None:
    """Tells IPython how to display what this package makes.  Does nothing where IPython is not
    running."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is None:
        return
    for kind, show in _DISPLAYS.items():
        formatter.mimebundle_formatter.for_type(kind, _printer(formatter, show))
    pictures = formatter.formatters["image/png"]
    try:
        # by %matplotlib inline, which knows more than this
        pictures.lookup_by_type("matplotlib.figure.Figure")
    except KeyError:
        pictures.for_type_by_name("matplotlib.figure", "Figure", _png)


def _printer(formatter: Any, show: Callable[[Any], Bundle]) -> Callable[[Any], Bundle | None]:
    def print_(value: Any) -> Bundle | None:
        # a terminal; IPython asks for bundles even there
        if "text/html" not in formatter.active_types:
            return None
        try:
            return {"text/plain": repr(value), **show(value)}
        except Exception as error:  # whatever it is: a cell that only shows something is not to fail
            return {"text/plain": f"{value!r}\n(no picture: {error})"}

    return print_


def _show_value(value: Value) -> Bundle:
    _check_size(len(topological_order(value)), "viz.draw(y)")
    return {"image/svg+xml": Drawing(build([value])).svg()}


def _show_stepper(stepper: Stepper) -> Bundle:
    if stepper not in _scenes:
        _check_size(len(stepper.recording.nodes), "viz.explore(y)")
        _scenes[stepper] = Scene(stepper.recording)
    return _moment(_scenes[stepper], stepper, repr(stepper))


def _show_recording(recording: Recording) -> Bundle:
    _check_size(len(recording.nodes), "viz.explore(y)")
    return _moment(Scene(recording), Stepper(recording).finish(), repr(recording))


def _show_history(history: History) -> Bundle:
    if not history.loss:
        return {}
    return {"image/png": base64.b64encode(_png(plots.loss(history))).decode("ascii")}


def _show_tape(tape: Tape) -> Bundle:
    _check_size(len(tape), "viz.draw(tape)", "the tape has {:,} instructions")
    return {"image/svg+xml": Drawing(build_tape(tape)).svg()}


def _show_jitted(jitted: Jitted) -> Bundle:
    if not jitted.programs:
        return {}
    _check_size(len(jitted.tape()), "viz.draw(f)", "the tape has {:,} instructions")
    return {"image/svg+xml": Drawing(build_jitted(jitted)).svg()}


def _show_drawing(drawing: Drawing) -> Bundle:
    return drawing._repr_mimebundle_()


def _show_explanation(explanation: Explanation) -> Bundle:
    records = build_path(explanation.root, explanation.path, "")
    picture = Drawing(records, legend=False).svg()
    return {
        "text/html": _above(
            picture[picture.index("<svg") :], "\n".join([str(explanation), *records.notes])
        )
    }


def _check_size(size: int, remedy: str, what: str = "the graph has {:,} nodes") -> None:
    if size > LIMIT:
        raise ValueError(
            f"{what.format(size)}, more than the {LIMIT:,} that are drawn without being asked to; "
            f"{remedy} shows them, collapsed"
        )


def _moment(scene: Scene, stepper: Stepper, text: str) -> Bundle:
    """The drawing at a moment, white also in a dark notebook, and below it ``text`` and what is not
    shown."""
    style = 'style="max-width: 100%; height: auto; background: white" '
    picture = scene.frame(stepper, caption=False).replace("<svg ", f"<svg {style}", 1)
    return {"text/html": _above(picture, "\n".join([text, *scene.graph.notes]))}


def _above(picture: str, text: str) -> str:
    return f'<div>\n{picture}</div>\n<pre style="white-space: pre-wrap">{html.escape(text)}</pre>'


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


_DISPLAYS: dict[type, Callable[[Any], Bundle]] = {
    Value: _show_value,
    Stepper: _show_stepper,
    Recording: _show_recording,
    History: _show_history,
    Drawing: _show_drawing,
    Explanation: _show_explanation,
    Tape: _show_tape,
    Jitted: _show_jitted,
}
