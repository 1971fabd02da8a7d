"""The frames of a training run as plain records, for a page or an animation that plays them.

    >>> from tinygrad_edu import data, fit, nn, optim
    >>> X, y = data.moons(20, rng=0)
    >>> model = nn.MLP(2, [3, 1], rng=1)
    >>> sgd = optim.SGD(model.parameters(), lr=0.1)
    >>> history = fit(model, nn.hinge, X, y, optimizer=sgd, epochs=6, record_every=2)
    >>> run = frames(history, grid=4)
    >>> run.kind, run.classes, run.layers
    ('boundary', ('-1', '1'), ('layers.0', 'layers.1'))
    >>> [frame.step for frame in run.frames]
    [1, 2, 4, 6]
    >>> len(run.frames[0].scores), len(run.frames[0].scores[0])
    (4, 4)

`frames` runs the model, as it was at each snapshot, on a grid or along a line.  Nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.diagnosis.inspection import gradient_flow
from tinygrad_edu.errors import check_int, check_type, short_repr
from tinygrad_edu.train import History
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ..plotting.ranges import MAX_GRID_POINTS
from .pictures import Picture, picture_of
from .records import Frame, Number, RunRecords, names_of_features
from .rounding import COARSE_DIGITS, evenly, rounded

MAX_STEPS = 2000  # points of the loss curve

Progress = Callable[[int, int], Any]


def frames(
    history: History,
    *,
    samples: int = 500,
    grid: int = 32,
    features: tuple[int, int] | None = None,
    feature_names: Sequence[str] | None = None,
    max_frames: int = 30,
    progress: Progress | None = None,
    who: str = "explore",
) -> RunRecords:
    """Returns the records of a training run, which ``fit(..., record_every=10)`` recorded.

    samples: largest number of samples, evenly chosen
    grid: points along each axis of a boundary
    features: the two features that span the picture of a boundary, by default the first two; the
        others stay at their means
    feature_names: one for each feature; by default "feature 0" and so on
    max_frames: largest number of snapshots, evenly chosen, including the first and the last
    progress: called after each frame with the number of frames done and the number of all
    who: the function that messages of errors name

    The kind of picture depends on the data:

    "fit": samples of one feature: a curve for each output
    "boundary": samples of more features, and classes: targets -1 and 1, or 0 and 1, for a model of
        one output, indices of outputs for a model of several
    "regression": samples of more features, and other targets: predictions against targets
    "none": samples or targets are not numbers, or the model cannot run between the samples (for
        example because it looks samples up); a note says why

    The boundary of a model of one output is the score, 0 or 0.5, at which the loss is the same for
    both classes; 0 if there is none.

    A `Module` runs in evaluation mode and records nothing; parameters, modes and gradients are
    restored.  If a model does the same operations for all inputs, these are recorded once and
    replayed, which is faster.

    Raises:
        TypeError: ``history`` is not a `History`, or a size is not a whole number.
        ValueError: it has no snapshots, a size is too small, a feature does not exist, or there are
            more or fewer names than features.
        Others: what the model raises for its own samples.
    """
    training = _recorded_run(history, who)
    check_int(samples, f"{who}: samples", 1)
    check_int(max_frames, f"{who}: max_frames", 2)
    check_int(grid, f"{who}: grid", 2, most=MAX_GRID_POINTS)
    names = names_of_features(training.X, feature_names, who)
    snapshots = evenly(training.snapshots, max_frames)
    picture = picture_of(
        training, snapshots[0], evenly(range(len(training.X)), samples), features, grid
    )
    if features is not None and picture.kind != "boundary":
        raise ValueError(
            f"{who}: features must be None, not {short_repr(features)}, because the picture of "
            f"this training run is a {picture.kind!r}, which two features do not span; leave it out"
        )
    layers = gradient_flow(dict.fromkeys(training.names, 0.0))
    made: list[Frame] = []
    for snapshot in snapshots:
        made.append(_frame(history, training, snapshot, picture))
        if progress is not None:
            progress(len(made), len(snapshots))
    xs, ys = (*picture.grid.axes, (), ())[:2]
    return RunRecords(
        kind=picture.kind,
        names=tuple(names),
        axes=tuple(picture.axes(names, made)),
        points=tuple(picture.points),
        classes=tuple([f"{c:g}" for c in picture.classes]),
        outputs=picture.outputs,
        xs=rounded(xs),
        ys=rounded(ys),
        fixed=tuple([(i, rounded(x)) for i, x in picture.grid.fixed]),
        loss=_loss_line(history.loss),
        steps=len(history),
        layers=tuple([layer.path or "parameters" for layer in layers]),
        frames=tuple(made),
        notes=(*picture.notes, *_notes(training, len(snapshots), samples)),
    )


def _frame(
    history: History, training: TrainingRecord, snapshot: Snapshot, picture: Picture
) -> Frame:
    with training.at(snapshot) as model:
        fields = picture.frame_fields(model)
    flow = gradient_flow(dict(zip(training.names, snapshot.gradients)))
    return Frame(
        step=snapshot.step,
        loss=rounded(history.loss[snapshot.step - 1]),
        learning_rate=rounded(history.learning_rates[snapshot.step - 1]),
        gradients=rounded([layer.rms for layer in flow], COARSE_DIGITS),
        **fields,
    )


def _notes(training: TrainingRecord, snapshots: int, samples: int) -> list[str]:
    """Returns what is left out because of ``max_frames`` and ``samples``."""
    notes = []
    if snapshots < len(training.snapshots):
        notes.append(f"{snapshots:,} of {len(training.snapshots):,} snapshots are shown.")
    if samples < len(training.X):
        notes.append(f"{samples:,} of {len(training.X):,} samples are shown.")
    return notes


def _recorded_run(history: History, who: str) -> TrainingRecord:
    check_type(history, f"{who}: history", History, "a History", "pass what fit(...) returns")
    training = history.training
    if training is None:
        raise ValueError(
            f"{who}: the history must have snapshots; record them with fit(..., record_every=10)"
        )
    if not training.snapshots:
        raise ValueError(
            f"{who}: the history must have snapshots, but no step was finished; train for one "
            "epoch or more"
        )
    samples = len(training.X)
    if not samples or samples != len(training.y):
        raise ValueError(
            f"{who}: the training data have changed since: there are {samples} samples and "
            f"{len(training.y)} targets; do not change the lists that fit was given"
        )
    return training


def _loss_line(numbers: Sequence[float]) -> tuple[tuple[int, Number], ...]:
    """Returns ``(step, number)`` for all steps, or for some of more than `MAX_STEPS` steps.

    These are the first, the last, and the extremes of intervals between them.
    """
    n = len(numbers)
    kept = set(range(n))
    if n > MAX_STEPS:
        kept = {0, n - 1}
        stretches = MAX_STEPS // 2 - 1
        for k in range(stretches):
            stretch = range(k * n // stretches, (k + 1) * n // stretches)
            finite = [i for i in stretch if math.isfinite(numbers[i])] or stretch
            kept.add(min(finite, key=numbers.__getitem__))
            kept.add(max(finite, key=numbers.__getitem__))
    return tuple([(i + 1, rounded(numbers[i])) for i in sorted(kept)])
