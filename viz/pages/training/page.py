"""The page of a training run: `viz.explore` of a `History` with snapshots.

    >>> from tinygrad_edu import data, fit, nn, optim
    >>> X, y = data.moons(20, rng=0)
    >>> model = nn.MLP(2, [3, 1], rng=1)
    >>> sgd = optim.SGD(model.parameters(), lr=0.1)
    >>> history = fit(model, nn.hinge, X, y, optimizer=sgd, epochs=6, record_every=2)
    >>> explore_training(history)                                   # doctest: +ELLIPSIS
    <Page 'training: 6 steps': ... kB; .save("y.html") writes it>

The numbers come from `frames` (the model at each snapshot, and the curves) and `sample_graphs`.
The looks and the behaviour of the page are in ``training.html``, ``training.css`` and
``training.js``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.errors import check_int, counted
from tinygrad_edu.train import History
from tinygrad_edu.train.progress import share_bar

from ...drawing.scene import Scene
from ...drawing.text import label_number
from ...plotting.training_plots import LOG_RANGE
from ...training.frames import frames
from ...training.records import Axis, Frame, Point, RunRecords
from ...training.rounding import evenly
from ..live.program import rows
from ..page import Page, assemble, themed
from ..playground.page import ROWS
from .going_on import going_on
from .sample_graphs import MAX_SAMPLES, SampleGraphs, sample_graphs

# larger numbers, or smaller ones on a logarithmic axis, are drawn at its end
LARGEST = 1e100
NEAR_ZERO = 1e-12  # means of standardised features are 0 up to rounding, and are written as 0
NAMED_FEATURES = 3  # features of a sample in its name
CAPTIONS = {
    "boundary": "what the model decides",
    "fit": "what the model computes",
    "regression": "predictions against targets; correct ones are on the line",
    "none": "no picture of this model",
}


def explore_training(
    history: History,
    *,
    title: str = "",
    max_frames: int = 30,
    features: tuple[int, int] | None = None,
    feature_names: Sequence[str] | None = None,
    samples: int = MAX_SAMPLES,
    progress: bool = False,
) -> Page:
    """Returns a `Page` that plays a training run, which ``fit(..., record_every=k)`` recorded.

    At each snapshot it shows the model (decision boundary, fitted curve, or predictions against
    targets), the loss, the size of the gradient by layer, and the graph of one sample before and
    after the update.  A click chooses the sample.

    title: title of the page
    max_frames: largest number of snapshots, evenly chosen, including the first and the last
    features: the two features that span the picture; by default the first two
    feature_names: one for each feature; by default "feature 0" and so on
    samples: largest number of samples that get a graph, evenly chosen; large graphs are made for
        fewer samples
    progress: whether to show a progress bar on a terminal, because the model runs many times

    Raises:
        TypeError: ``history`` is not a `History`; ``max_frames`` or ``samples`` is not a whole
            number.
        ValueError: it has no snapshots, a number is too small, or there are more or fewer names
            than features.
        RenderError: there is no layout engine.
    """
    check_int(samples, "explore: samples", 1)
    with share_bar("running the model", progress) as show:
        run = frames(
            history,
            features=features,
            feature_names=feature_names,
            max_frames=max_frames,
            progress=lambda done, of: show(done / of / 2),
        )
        training: Any = history.training  # there is one, or frames() had raised
        shown = evenly(training.snapshots, max_frames)
        graphs = sample_graphs(
            training,
            shown,
            [point.sample for point in run.points],
            names=run.names,
            max_samples=samples,
            progress=lambda done, of: show(0.5 + done / of / 2),
        )
    title = title or f"training: {counted(run.steps, 'step')}"
    scenes = "\n".join(
        f'<template id="scene-{i}">{themed(scene.svg)}</template>'
        for i, scene in enumerate(graphs.scenes)
    )
    data = page_data(run, graphs, training.X)
    data["calls"] = _calls(run, graphs, len(training.snapshots))
    data["goingOn"] = going_on(history, shown)
    written = {"live/rows.js": rows(ROWS if data["goingOn"] else ())}
    return assemble("training", title, data, written, scenes=scenes)


def page_data(run: RunRecords, graphs: SampleGraphs, X: Sequence[Any]) -> dict[str, Any]:
    """Returns the data that ``training.js`` reads; ``records.js`` has their types.

    The fields of `RunRecords`, and:

    caption: of the picture
    axes: ``label, low, high`` of each axis of the picture
    points: ``x, y, kind`` of each point
    frames: as in `RunRecords`, with the loss and the learning rate as text
    lossRange, lossLogarithmic: the axis of the loss
    layerRange: the axis of the gradients of the layers
    scenes: for each drawing, the nodes that have numbers, and their names
    samples: ``point``, ``scene`` and ``text`` of each, and ``numbers[snapshot][node]``: data before
        the update, gradient, data after it
    """
    index = {point.sample: i for i, point in enumerate(run.points)}
    losses = [x for _, x in run.loss if x is not None]
    sizes = [size for frame in run.frames for size in frame.gradients if size]
    logarithmic = bool(losses) and min(losses) > 0 and max(losses) / LOG_RANGE > min(losses)
    return vars(run) | {
        "caption": _caption(run),
        "axes": list(map(vars, run.axes or [Axis("", 0.0, 1.0)] * 2)),
        "points": [_point(run, point) for point in run.points],
        "frames": list(map(_frame, run.frames)),
        "lossRange": _axis_range(losses, logarithmic),
        "lossLogarithmic": logarithmic,
        "layerRange": _axis_range(sizes, True),
        "scenes": list(map(_scene, graphs.scenes)),
        "samples": [
            {
                "point": index[graph.sample],
                "scene": graph.scene,
                "text": _sample_name(run, run.points[index[graph.sample]], X[graph.sample]),
                "numbers": graph.numbers,
            }
            for graph in graphs.graphs
        ],
        "notes": [*run.notes, *_notes(run, graphs)],
    }


def _frame(frame: Frame) -> dict[str, Any]:
    return vars(frame) | {
        "loss": label_number(frame.loss) or "not finite",
        "learning_rate": label_number(frame.learning_rate),
        "predictions": [row[0] for row in frame.predictions],  # the picture shows only the first
    }


def _scene(scene: Scene) -> dict[str, Any]:
    nodes = enumerate(scene.graph.nodes)
    names = {i: scene.name_of(node) for i, node in nodes if node.shows is not None}
    return {"shown": list(names), "names": list(names.values())}


def _point(run: RunRecords, point: Point) -> dict[str, Any]:
    # of a regression the prediction comes with each snapshot
    x, y = (*point.at, *point.target, None, None)[:2]
    if run.kind == "regression":
        y = None
    # one curve for each class: at the height of the class
    elif run.kind == "fit" and run.outputs > 1 and point.label >= 0:
        y = float(point.label)
    return {"x": x, "y": y, "kind": max(point.label, 0)}


def _caption(run: RunRecords) -> str:
    what = CAPTIONS[run.kind]
    if run.kind == "boundary" and run.outputs == 1:
        what += "; the line is the boundary"
    fixed = []
    for i, value in run.fixed:
        mean = 0 if value is None or abs(value) < NEAR_ZERO else value
        fixed.append(f"{run.names[i]} at {mean:.3g}")
    return f"{what} ({', '.join(fixed)})" if fixed else what


def _notes(run: RunRecords, graphs: SampleGraphs) -> list[str]:
    have = len(graphs.graphs)
    of = len(run.points)
    if not have:
        return ["There are no graphs of samples, because the loss of a sample is not a Value."]
    if have == of or run.kind == "none":
        return []
    return [f"{have} of {of} samples have a graph; they are outlined."]


def _calls(run: RunRecords, graphs: SampleGraphs, snapshots: int) -> list[str]:
    """Returns the calls that show more than this page does."""
    options = []
    if len(run.frames) < snapshots:
        options.append(f"max_frames={snapshots}")
    if 0 < len(graphs.graphs) < len(run.points):
        options.append(f"samples={len(run.points)}")
    return [f"viz.explore(history, {', '.join(options)})"] if options else []


def _sample_name(run: RunRecords, point: Point, x: Any) -> str:
    entries = x if isinstance(x, (list, tuple)) else [x]
    features = [
        f"{x:.3g}" if isinstance(x, (int, float)) else str(x)[:20] for x in entries[:NAMED_FEATURES]
    ]
    if len(entries) > NAMED_FEATURES:
        features.append("...")
    target = ", ".join(map(label_number, point.target))
    if run.classes and point.label >= 0:
        target = run.classes[point.label]
    name = f"sample {point.sample}: ({', '.join(features)})"
    return f"{name}, target {target}" if target else name


def _axis_range(numbers: Sequence[float], logarithmic: bool) -> list[float]:
    """Returns the range of an axis for these numbers.

    A logarithmic axis spans at least one power of ten.
    """
    numbers = [min(max(x, -LARGEST), LARGEST) for x in numbers if not logarithmic or x > 0]
    if not numbers:
        return [0.1, 1.0]
    low = min(numbers)
    high = max(numbers)
    if logarithmic:
        first_power = math.floor(math.log10(max(low, 1 / LARGEST)))
        last_power = math.ceil(math.log10(max(high, 1 / LARGEST)) + 1e-9)
        return [10.0**first_power, 10.0**last_power]
    return [min(low, 0.0), high + (high - low) * 0.05 or 1.0]
