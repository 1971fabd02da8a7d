"""`animate`: a recording or a training run as a GIF, animated PNG or WebP, for lectures and texts.

    >>> import viz
    >>> from tinygrad_edu import record
    >>> from tinygrad_edu.examples import lecture_neuron
    >>> path = viz.animate(record(lecture_neuron()), "neuron.gif")      # doctest: +SKIP

A frame of a recording is the SVG text of a `drawing.scene.Scene`, which resvg turns into pixels;
matplotlib draws a frame of a training run.  Pillow makes the file.  resvg and Pillow belong to the
extra ``animate``, matplotlib to the extra ``plots``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, overload

from tinygrad_edu import Stepper, Value
from tinygrad_edu.debug.recording import Recording, not_a_graph
from tinygrad_edu.debug.stepper import recording_of
from tinygrad_edu.errors import check_int, check_number, short_repr, wrong_type
from tinygrad_edu.files import FilePath
from tinygrad_edu.train import History
from tinygrad_edu.train.progress import share_bar

from ..drawing.model import MAX_NODES
from ..drawing.scene import Scene
from .animation import Animation, animation_path
from .graph import GraphFrames
from .pixels import fonts, libraries, png_of

SCALE = 2.0  # pixels a point
MIN_SCALE = 0.1
MAX_SCALE = 20.0
MAX_WIDTH = 1600  # pixels of a frame
MAX_HEIGHT = 1200
MAX_FRAMES = 1000
MAX_PIXELS = 150_000_000  # of all frames together, which take about a minute
MILLISECONDS = 800  # how long a step of a graph is shown, which has a sentence to read
RUN_MILLISECONDS = 150  # how long a snapshot of a training run is shown
MIN_MILLISECONDS = 20  # milliseconds a frame; programs that show GIFs take less for 100
MAX_MILLISECONDS = 60_000
FIRST_FRAME_FACTOR = 2  # how many times as long as other frames the first one is shown
LAST_FRAME_FACTOR = 4
LAST_RUN_FACTOR = 15  # the same for a training run, whose frames are short
RUN_FRAMES = 40  # snapshots of a training run

Animated: TypeAlias = Recording | Value | Stepper | History


@overload
def animate(
    recording: Animated,
    path: None = None,
    *,
    collapse: str | Iterable[str] | None = ...,
    max_nodes: int | None = ...,
    max_frames: int = ...,
    features: tuple[int, int] | None = ...,
    feature_names: Sequence[str] | None = ...,
    milliseconds: float | None = ...,
    scale: float = ...,
    loop: bool = ...,
) -> Animation: ...


@overload
def animate(
    recording: Animated,
    path: FilePath,
    *,
    collapse: str | Iterable[str] | None = ...,
    max_nodes: int | None = ...,
    max_frames: int = ...,
    features: tuple[int, int] | None = ...,
    feature_names: Sequence[str] | None = ...,
    milliseconds: float | None = ...,
    scale: float = ...,
    loop: bool = ...,
) -> Path: ...


def animate(
    recording: Animated,
    path: FilePath | None = None,
    *,
    collapse: str | Iterable[str] | None = None,
    max_nodes: int | None = MAX_NODES,
    max_frames: int = RUN_FRAMES,
    features: tuple[int, int] | None = None,
    feature_names: Sequence[str] | None = None,
    milliseconds: float | None = None,
    scale: float = SCALE,
    loop: bool = True,
) -> Path | Animation:
    """Returns an `Animation` for a notebook, or writes it to ``path`` and returns the path.

    Of a recording, a frame is the drawing at one position, with the sentence of the step below it.
    Between frames only numbers, colours and widths change.  Steps inside a collapsed module have no
    frame.

    Of the History of ``fit(..., record_every=k)``, a frame is the model at one snapshot, next to
    the loss: the decision boundary over two features, the curve over one, or else predictions
    against targets (see `training.frames`).

    recording: a `Recording`, a Value (which is recorded), a Stepper (its whole recording), or a
        `History`.
    path: the suffix selects the format: .gif (256 colours), .apng or .webp (both lossless); without
        a suffix, ".gif" is added; ``~`` is your home.
    collapse, max_nodes: of a graph, as in `viz.draw`.
    max_frames, features, feature_names: of a History, as in `viz.explore`; at most `RUN_FRAMES`
        snapshots are shown by default.
    milliseconds: how long a frame is shown, by default 800 for a graph and 150 for a History; the
        first frame is shown `FIRST_FRAME_FACTOR` times as long, the last one `LAST_FRAME_FACTOR`
        times, or `LAST_RUN_FACTOR` times for a History.
    scale: pixels for each point of the drawing; reduced if a frame would be larger than `MAX_WIDTH`
        x `MAX_HEIGHT`.
    loop: whether the animation repeats for ever; otherwise it plays once.

    On a terminal, a bar shows the progress.  The file appears whole or not at all, and the same
    recording gives the same bytes on the same machine.

    Raises:
        TypeError: ``recording`` is not one of the above; ``milliseconds`` or ``scale`` is not a
            number; an option has a wrong type.
        ValueError: the suffix is unknown; there are more than `MAX_FRAMES` frames, or more than
            `MAX_PIXELS` pixels in all frames together; an option is out of range, or not for this
            kind of recording; a History has no snapshots, or there is no picture of its model.
        RenderError: no layout engine, matplotlib, Pillow, resvg or font was found.
        OSError: the file cannot be written.
    """
    target = None if path is None else animation_path(path)
    if not isinstance(recording, Animated):
        wanted = "a Value, a Recording, a Stepper, or the History of fit(..., record_every=k)"
        raise not_a_graph(recording, "animate: recording", wanted)
    scale = _checked("scale", scale, MIN_SCALE, MAX_SCALE)
    is_run = isinstance(recording, History)
    if milliseconds is None:
        milliseconds = RUN_MILLISECONDS if is_run else MILLISECONDS
    milliseconds = _checked("milliseconds", milliseconds, MIN_MILLISECONDS, MAX_MILLISECONDS)
    of_graph = {"collapse": (collapse, None), "max_nodes": (max_nodes, MAX_NODES)}
    of_run = {
        "max_frames": (max_frames, RUN_FRAMES), "features": (features, None),
        "feature_names": (feature_names, None),
    }
    for option, (given, default) in (of_graph if is_run else of_run).items():
        if given != default:
            kind, other = ("a graph", "a History") if is_run else ("a History", "a graph")
            raise ValueError(
                f"animate: {option} is for {kind}, not for {other}; leave out {option}="
                f"{short_repr(given)}"
            )
    libraries()
    if isinstance(recording, History):
        name, pictures = _run_frames(recording, scale, max_frames, features, feature_names)
    else:
        made = recording_of(recording, "animate: recording")
        name, pictures = _graph_frames(made, scale, collapse, max_nodes)
    durations = [milliseconds] * len(pictures)
    durations[0] = FIRST_FRAME_FACTOR * milliseconds
    durations[-1] = (LAST_RUN_FACTOR if is_run else LAST_FRAME_FACTOR) * milliseconds
    made_animation = Animation(pictures, durations, loop, name)
    return made_animation if target is None else made_animation.save(target)


def _graph_frames(
    recording: Recording,
    scale: float,
    collapse: str | Iterable[str] | None,
    max_nodes: int | None,
) -> tuple[str, list[bytes]]:
    """Returns what the frames of a graph show, in words, and the frames."""
    fonts()
    scene = Scene(recording, collapse, max_nodes)
    positions = [0, *[number for number, hidden in enumerate(scene.hidden, 1) if not hidden]]
    width = _width_in_pixels(scene, scale, len(positions))
    frames = GraphFrames(scene, width)
    stepper = Stepper(recording)
    pictures = []
    with share_bar("drawing the frames") as show:
        for position in positions:
            pictures.append(png_of(frames.image(stepper.goto(position))))
            show(len(pictures) / len(positions))
    root = recording.nodes[recording.root].name
    return f"the computation of {root} and its gradients, step by step", pictures


def _run_frames(
    history: History,
    scale: float,
    max_frames: int,
    features: tuple[int, int] | None,
    feature_names: Sequence[str] | None,
) -> tuple[str, list[bytes]]:
    """Returns what the frames of a training run show, in words, and the frames."""
    from .training import POINTS_PER_INCH, SIZE, name_of, run_of, run_pictures

    check_int(max_frames, "animate: max_frames", 2, most=MAX_FRAMES)
    width, height = SIZE
    dpi = min(scale * POINTS_PER_INCH, MAX_WIDTH / width, MAX_HEIGHT / height)
    with share_bar("drawing the frames") as show:
        run = run_of(history, max_frames, features, feature_names, lambda part: show(part / 2))
        _check_pixels(len(run.frames), width * dpi, height * dpi, scale, "a smaller max_frames")
        pictures = run_pictures(run, dpi, lambda part: show(0.5 + part / 2))
    return name_of(run), pictures


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
    _check_pixels(frames, wide * zoom, high * zoom, zoom, hint)
    return max(int(wide * zoom), 1)


def _check_pixels(frames: int, width: float, height: float, scale: float, hint: str) -> None:
    """Checks the pixels of all frames together.

    Raises:
        ValueError: there are more than `MAX_PIXELS`.
    """
    pixels = frames * width * height
    if pixels > MAX_PIXELS:
        smaller = int(100 * scale * (MAX_PIXELS / pixels) ** 0.5) / 100
        raise ValueError(
            f"animate: the animation would have {frames:,} frames of {width:.0f} x {height:.0f} "
            f"pixels, more than {MAX_PIXELS:,} pixels in all; pass scale={smaller:g}, or {hint}"
        )
