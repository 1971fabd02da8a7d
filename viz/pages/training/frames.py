"""A training as plain records, for a page that plays it: nothing here draws.

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

`frames` asks the model, as it was at each snapshot, for its outputs over a grid or along a line.
All numbers in the records are rounded to a few digits, and None where there is no finite one, so
that JSON can have them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.diagnosis.inspection import gradient_flow
from tinygrad_edu.engine.primitives import short_repr
from tinygrad_edu.train import History
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ...plotting.ranges import check_resolution
from .pictures import Picture, picture_of
from .records import Frame, Line, RunRecords
from .rounding import COARSE_DIGITS, evenly, rounded, rounded_row

MAX_STEPS = 2000  # points of the loss curve

Progress = Callable[[int, int], Any]


def frames(
    history: History,
    *,
    samples: int = 500,
    grid: int = 32,
    features: tuple[int, int] | None = None,
    max_frames: int = 30,
    progress: Progress | None = None,
) -> RunRecords:
    """The records of a training that was recorded: ``fit(..., record_every=10)``.

    samples      how many samples to show at most, evenly chosen
    grid         the points along each axis of a boundary
    features     which two features of a sample span the picture of a boundary; by default the first
                 two.  The others stay at their means
    max_frames   how many snapshots to use at most, evenly chosen, the first and the last included
    progress     called with the number of frames done, and of all, after each

    The kind of picture follows from the data.  Samples of one feature make a "fit", a curve for
    each output.  Of more features, classes make a "boundary": targets -1 and 1, or 0 and 1, for a
    model of one output, or indices of outputs for one of several.  Other numbers make a
    "regression", predictions beside targets.  Where the samples or targets are no numbers, or the
    model cannot be asked between the samples, as one cannot that looks something up by index, it is
    "none", and a note says why.

    The border between two classes of one output is the score at which the loss is the same for
    either target, 0 or one half; 0, as for `nn.accuracy`, if it is neither.

    The model, if it is a `Module`, is in evaluation mode meanwhile, and records nothing;
    parameters, modes and gradients are as before when this returns or raises.  A model that does
    the same operations for all inputs, as networks do, is not run at every point: its operations
    are.

    Raises TypeError for what is no History, ValueError for one without snapshots, for sizes that
    are too small, and for features that do not exist.  What the model itself raises for its own
    samples passes through.
    """
    training = _recorded_run(history)
    for name, size, least in (("samples", samples, 1), ("max_frames", max_frames, 2)):
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            raise ValueError(f"{name} is {size!r}; it must be a whole number of at least {least}")
    check_resolution(grid)
    snapshots = evenly(training.snapshots, max_frames)
    picture = picture_of(
        training, snapshots[0], evenly(range(len(training.X)), samples), features, grid
    )
    if features is not None and picture.kind != "boundary":
        raise ValueError(
            f"features is {features!r}, but the picture of this training is a {picture.kind!r}, in "
            "which no two features span the plane; leave it out"
        )
    layers = [layer.path for layer in gradient_flow(dict.fromkeys(training.names, 0.0))]
    made: list[Frame] = []
    for snapshot in snapshots:
        made.append(_frame(history, training, snapshot, picture))
        if progress is not None:
            progress(len(made), len(snapshots))
    return RunRecords(
        kind=picture.kind,
        axes=picture.axes(made),
        points=picture.points,
        classes=picture.classes,
        outputs=picture.outputs,
        xs=rounded_row(picture.xs),
        ys=rounded_row(picture.ys),
        fixed=tuple([(i, rounded(x)) for i, x in picture.fixed]),
        loss=_loss_line(history.loss),
        steps=len(history),
        layers=tuple([layer or "parameters" for layer in layers]),
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
        gradients=rounded_row([layer.rms for layer in flow], COARSE_DIGITS),
        **fields,
    )


def _notes(training: TrainingRecord, snapshots: int, samples: int) -> list[str]:
    """Returns what is left out because of ``max_frames`` and ``samples``."""
    notes = []
    if snapshots < len(training.snapshots):
        notes.append(
            f"{snapshots} of {len(training.snapshots)} snapshots are shown. "
            f"To see all: max_frames={len(training.snapshots)}."
        )
    if samples < len(training.X):
        notes.append(f"{samples:,} of {len(training.X):,} samples are shown.")
    return notes


def _recorded_run(history: History) -> TrainingRecord:
    if not isinstance(history, History):
        raise TypeError(
            f"frames() takes the History that fit returns, not {type(history).__name__} "
            f"({short_repr(history)})"
        )
    if history.training is None:
        raise ValueError(
            "this history has no snapshots; ask fit for them: fit(..., record_every=10)"
        )
    if not history.training.snapshots:
        raise ValueError(
            "this history has no snapshots, because no step was finished; train for at least one "
            "epoch"
        )
    if not len(history.training.X) or len(history.training.X) != len(history.training.y):
        raise ValueError(
            f"the training data have changed since: there are {len(history.training.X)} samples "
            f"and {len(history.training.y)} targets; leave the lists that were given to fit as "
            "they are"
        )
    return history.training


def _loss_line(numbers: Sequence[float]) -> Line:
    """The numbers of all steps; above `MAX_STEPS` the first, the last, and the extremes of
    stretches between."""
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
    steps = sorted(kept)
    return Line(tuple([i + 1 for i in steps]), tuple([rounded(numbers[i]) for i in steps]))
