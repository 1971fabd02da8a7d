"""A training as plain records, for a page that plays it: nothing here draws.

    >>> from tinygrad_edu import data, fit, nn, optim
    >>> X, y = data.moons(20, rng=0)
    >>> model = nn.MLP(2, [3, 1], rng=1)
    >>> history = fit(model, nn.hinge, X, y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=6, record_every=2)
    >>> live = frames(history, grid=4)
    >>> live.kind, live.classes, live.layers
    ('boundary', ('-1', '1'), ('layers.0', 'layers.1'))
    >>> [frame.step for frame in live.frames]
    [1, 2, 4, 6]
    >>> len(live.frames[0].scores), len(live.frames[0].scores[0])
    (4, 4)

`frames` asks the model, as it was at each snapshot, for its outputs over a grid or along a line.
All numbers in the records are rounded to a few digits, and None where there is no finite one, so
that JSON can have them as they are.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tinygrad_edu import Value, no_grad
from tinygrad_edu.diagnosis.inspection import gradient_flow
from tinygrad_edu.engine.graph import topological_order
from tinygrad_edu.engine.modes import recording
from tinygrad_edu.engine.primitives import lookup, short_repr
from tinygrad_edu.nn.module import mode
from tinygrad_edu.train import History
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ...plotting.analysis import (
    NoNumbersError,
    Range,
    Samples,
    ask,
    check_resolution,
    curve_at,
    drawable,
    floats,
    grid_at,
    outputs,
    places_of_curve,
    places_of_grid,
    window,
)
from ...plotting.analysis import samples as table_of

CURVE = 100  # points of a fitted curve
MAX_STEPS = 2000  # points of the loss curve
# significant digits: of scores and gradients, whose magnitude is shown; of all other numbers
COARSE, FINE = 4, 7
PROBES = 12  # samples with which a replayed model is compared with the model itself, in every frame

# the same numbers as the table's, sooner
_IN_C = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}

Model = Callable[[Any], Any]
Number = float | None
Progress = Callable[[int, int], Any]


# ---- the records ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis of the picture shows, and its range."""

    label: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """A sample in the picture.

    sample   its index in ``X`` and ``y``
    at       its features on the axes: two of a boundary, one of a fit, none of a regression
    target   its target, one number for each output; of a class the one number that stands for it
    label    its class as an index in `LiveData.classes`; -1 if the targets are no classes
    """

    sample: int
    at: tuple[Number, ...]
    target: tuple[Number, ...]
    label: int


@dataclass(frozen=True, slots=True)
class Line:
    """A number at some of the steps: all of them, or, of a long training, the least and the largest
    of every stretch.

    steps    counted from 1, in order; the first and the last step of the training are among them
    values   at each of them
    """

    steps: tuple[int, ...]
    values: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """The model before the update of one step, which is the model that the step's loss and
    gradients are of.

    step             counted from 1
    loss, learning_rate   of the step
    gradients        how large the gradients of the step were, clipped if they were: the root of
                     their mean square, for each of `LiveData.layers`
    scores           of a boundary, ``scores[j][i]`` at ``(xs[i], ys[j])``: of one output, how far
                     it is above the border of the two classes (see `frames`), so that they meet at
                     0; of several, how far the largest is ahead of the next
    winners          of a boundary with several outputs, the class of the largest output at the same
                     points; -1 for nan
    curves           of a fit, one curve for each output: ``curves[k][i]`` at ``xs[i]``
    predictions      of a regression, the outputs for each of the points
    """

    step: int
    loss: Number
    learning_rate: Number
    gradients: tuple[Number, ...]
    scores: tuple[tuple[Number, ...], ...] = ()
    winners: tuple[tuple[int, ...], ...] = ()
    curves: tuple[tuple[Number, ...], ...] = ()
    predictions: tuple[tuple[Number, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class LiveData:
    """Everything that a page of a training shows, but for the graphs of single samples.

    kind            "boundary", "fit", "regression", or "none" if there is no picture for this
                    model: see `frames`
    axes            the horizontal and the vertical axis; none for "none"
    points          the samples in the picture
    classes         the names of the classes, in the order of their indices; none if the targets are
                    no classes
    outputs         how many numbers the model returns
    xs, ys          where it was asked: of a boundary, the grid; of a fit, ``xs`` alone
    fixed           ``(feature, value)`` for the features that do not vary in the picture, which
                    stay at their means
    loss            over all steps
    steps           how many the training had
    layers          the names of the layers, in the order of the parameters; "parameters" for those
                    outside of modules
    frames          of some of the snapshots, in order, the first and the last included
    notes           what is not shown, and why
    """

    kind: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    classes: tuple[str, ...]
    outputs: int
    xs: tuple[Number, ...]
    ys: tuple[Number, ...]
    fixed: tuple[tuple[int, Number], ...]
    loss: Line
    steps: int
    layers: tuple[str, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]


def frames(
    history: History,
    *,
    samples: int = 500,
    grid: int = 32,
    features: tuple[int, int] | None = None,
    max_frames: int = 30,
    progress: Progress | None = None,
) -> LiveData:
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
    training = _training(history)
    for name, size, least in (("samples", samples, 1), ("max_frames", max_frames, 2)):
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            raise ValueError(f"{name} is {size!r}; it must be a whole number of at least {least}")
    check_resolution(grid)
    snapshots = _evenly(training.snapshots, max_frames)
    picture = _picture(
        training, snapshots[0], _evenly(range(len(training.X)), samples), features, grid
    )
    if features is not None and picture.kind != "boundary":
        raise ValueError(
            f"features is {features!r}, but the picture of this training is a {picture.kind!r}, in "
            "which no two "
            "features span the plane; leave it out"
        )
    layers = [layer.path for layer in gradient_flow(dict.fromkeys(training.names, 0.0))]
    made: list[Frame] = []
    for snapshot in snapshots:
        with training.at(snapshot) as model:
            seen = picture.look(model)
        step = snapshot.step
        flow = gradient_flow(dict(zip(training.names, snapshot.gradients)))
        made.append(
            Frame(
                step,
                _rounded(history.loss[step - 1]),
                _rounded(history.learning_rates[step - 1]),
                _row([layer.rms for layer in flow], COARSE),
                **seen,
            )
        )
        if progress is not None:
            progress(len(made), len(snapshots))
    notes = [*picture.notes]
    if len(snapshots) < len(training.snapshots):
        notes.append(f"{len(snapshots)} of {len(training.snapshots)} snapshots are shown. "
                     f"To see all: max_frames={len(training.snapshots)}.")
    if samples < len(training.X):
        notes.append(f"{samples:,} of {len(training.X):,} samples are shown.")
    return LiveData(
        kind=picture.kind,
        axes=picture.axes(made),
        points=picture.points,
        classes=picture.classes,
        outputs=picture.outputs,
        xs=_row(picture.xs),
        ys=_row(picture.ys),
        fixed=tuple([(i, _rounded(x)) for i, x in picture.fixed]),
        loss=_line(history.loss),
        steps=len(history),
        layers=tuple([layer or "parameters" for layer in layers]),
        frames=tuple(made),
        notes=tuple(notes),
    )


def _training(history: History) -> TrainingRecord:
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
            "and "
            f"{len(history.training.y)} targets; leave the lists that were given to fit as they are"
        )
    return history.training


# ---- the picture ---------------------------------------------------------------------------------


class _Picture:
    """The picture of kind "none", and what all kinds have in common.  ``look`` gives its part of a
    `Frame`."""

    kind = "none"
    classes: tuple[str, ...] = ()
    xs: tuple[float, ...] = ()
    ys: tuple[float, ...] = ()
    fixed: tuple[tuple[int, float], ...] = ()

    def __init__(self, points: Sequence[Point], outputs: int, notes: Sequence[str] = ()) -> None:
        self.points, self.outputs, self.notes = tuple(points), outputs, tuple(notes)

    def look(self, model: Model) -> dict[str, Any]:
        return {}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        return ()


class _Boundary(_Picture):
    kind = "boundary"

    def __init__(
        self,
        training: TrainingRecord,
        table: Samples,
        shown: Sequence[int],
        classes: Sequence[float],
        outputs: int,
        features: tuple[int, int] | None,
        resolution: int,
    ) -> None:
        self.places = places_of_grid(table, features=features, resolution=resolution)
        (self.xs, self.ys), self.fixed, self.features = (
            self.places.axes,
            self.places.fixed,
            self.places.features,
        )
        self.table, self.classes = table, tuple([f"{c:g}" for c in classes])
        self.level = _level(training.loss, classes) if outputs == 1 else 0.0
        targets = _targets(training, shown)
        super().__init__(
            [
                Point(
                    i,
                    _row([table.rows[i][k] for k in self.features]),
                    _row(target),
                    classes.index(target[0]),
                )
                for i, target in zip(shown, targets)
            ],
            outputs,
        )

    def look(self, model: Model) -> dict[str, Any]:
        area = grid_at(self.places, _replayed(model, self.table))
        if self.outputs == 1:
            return {
                "scores": _plane([[x - self.level for x in row] for row in area.outputs[0]], COARSE)
            }
        grid = [list(zip(*rows)) for rows in zip(*area.outputs)]
        return {
            "scores": _plane([[_lead(scores) for scores in row] for row in grid], COARSE),
            "winners": area.classes(),
        }

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        return tuple(
            [
                _axis(f"feature {k}", where[0], where[-1])
                for k, where in zip(self.features, (self.xs, self.ys))
            ]
        )


class _Fit(_Picture):
    kind = "fit"

    def __init__(
        self,
        training: TrainingRecord,
        table: Samples,
        shown: Sequence[int],
        classes: Sequence[float],
        outputs: int,
    ) -> None:
        self.places = places_of_curve(table, resolution=CURVE)
        self.xs, = self.places.axes
        self.table, self.classes = table, tuple([f"{c:g}" for c in classes])
        notes = (
            []
            if outputs == 1 or classes
            else [
                f"Of {outputs} outputs the picture shows all curves, but only the targets of the "
                "first."
            ]
        )
        super().__init__(
            [
                Point(
                    i,
                    _row(table.rows[i]),
                    _row(target),
                    classes.index(target[0]) if classes else -1,
                )
                for i, target in zip(shown, _targets(training, shown))
            ],
            outputs,
            notes,
        )

    def look(self, model: Model) -> dict[str, Any]:
        return {"curves": _plane(curve_at(self.places, _replayed(model, self.table)).outputs)}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        targets = (
            [x for point in self.points for x in point.target[:1]]
            if self.outputs == 1 or not self.classes
            else []
        )
        low, high = _window(targets, [frame.curves for frame in made])
        return _axis("input", self.xs[0], self.xs[-1]), _axis("output", low, high)


class _Regression(_Picture):
    kind = "regression"

    def __init__(self, training: TrainingRecord, shown: Sequence[int], outputs: int) -> None:
        notes = (
            []
            if outputs == 1
            else [f"Of {outputs} outputs the picture shows the first alone, beside its target."]
        )
        targets = _targets(training, shown)
        super().__init__(
            [Point(i, (), _row(target), -1) for i, target in zip(shown, targets)], outputs, notes
        )
        self.inputs = [training.X[i] for i in shown]

    def look(self, model: Model) -> dict[str, Any]:
        return {"predictions": _plane(ask(model, self.inputs))}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        targets = [x for point in self.points for x in point.target[:1]]
        low, high = _window(targets, [[row[:1] for row in frame.predictions] for frame in made])
        return _axis("target", low, high), _axis("prediction", low, high)


def _picture(
    training: TrainingRecord,
    first: Snapshot,
    shown: Sequence[int],
    features: tuple[int, int] | None,
    resolution: int,
) -> _Picture:
    """The picture that suits the training; whether the model goes along with it is tried out at the
    first snapshot."""
    with training.at(first) as model:
        size = 0

        def none(why: str) -> _Picture:
            return _Picture([Point(i, (), (), -1) for i in shown], size, [f"No picture: {why}."])

        inputs = [training.X[i] for i in shown]
        try:
            given = ask(model, inputs)
        except NoNumbersError:
            return none("the model does not return numbers")
        size = len(given[0])

        if set(map(len, given)) != {size}:
            return none("the model does not return equally many numbers for every sample")
        try:
            targets = _targets(training, range(len(training.y)))
        except NoNumbersError:
            return none("the targets are not numbers")
        comparable = {len(target) for target in targets} == {size}
        classes = _classes(targets, size)
        try:
            table = table_of(training.X)
        except (TypeError, ValueError, OverflowError):
            if classes or not comparable:
                return none("the samples are not rows of equally many numbers")
            return _Regression(training, shown, size)
        if not classes and not comparable:
            return none("the targets do not have as many numbers as the model returns")
        if not classes and table.features > 1:
            return _Regression(training, shown, size)
        try:
            outputs(model, _probes(table))
        except Exception as error:  # anything: the user's model is asked for what nobody has asked it before
            return none(
                f"the model cannot be asked between the samples ({type(error).__name__}: {error})"
            )
        if not any(all(map(drawable, row)) for row in table.rows):
            return none("no sample has numbers that can be drawn")
        if table.features > 1:
            return _Boundary(training, table, shown, classes, size, features, resolution)
        return _Fit(training, table, shown, classes, size)


def _targets(training: TrainingRecord, shown: Iterable[int]) -> list[tuple[float, ...]]:
    return [floats(training.y[i], "a target") for i in shown]


def _classes(targets: Sequence[tuple[float, ...]], size: int) -> tuple[float, ...]:
    """The targets that stand for classes of a model with ``size`` outputs; none if it is no
    classifier."""
    if any(len(target) != 1 for target in targets):
        return ()
    found = {target[0] for target in targets}
    if size > 1:
        return tuple(map(float, range(size))) if found <= set(range(size)) else ()
    return next((pair for pair in ((0.0, 1.0), (-1.0, 1.0)) if found <= set(pair)), ())


def _level(loss: Callable[[Any, Any], Any], classes: Sequence[float]) -> float:
    """The score for which the loss is the same whichever of the two classes is right."""
    for score in (0.0, 0.5):
        try:
            with no_grad():
                first, second = (float(loss(Value(score), target)) for target in classes)
        except Exception:  # whatever a loss of the user's may say to these numbers, it is no answer
            continue
        if math.isfinite(first) and math.isclose(first, second, rel_tol=1e-9):
            return score
    return 0.0


def _lead(scores: Sequence[float]) -> float:
    """How far the largest is ahead of the next; nan if one is nan."""
    if any(map(math.isnan, scores)):
        return math.nan
    *_, second, first = sorted(scores)
    return first - second


# ---- asking the model ----------------------------------------------------------------------------


class _Replay:
    """The operations of a model, recorded for one sample, to be run on the numbers of others.

    It is about eight times as fast as the model, which makes nodes, and gives the same bits, as
    long as the model does the same operations whatever the numbers are.  Raises ValueError for an
    output that is no Value, and for an operation of more than two operands: those are rare, and of
    `where`, one of them, a graph has only the branch that was taken.
    """

    def __init__(self, model: Model, table: Samples) -> None:
        inputs = [Value(x) for x in table.rows[0]]
        result = model(inputs[0] if table.scalar else inputs)
        roots = list(result) if isinstance(result, (list, tuple)) else [result]
        if not all(isinstance(root, Value) for root in roots):
            raise ValueError("the outputs are not Values")
        order = topological_order(*roots)
        leaves = [node for node in order if not node.op and node not in set(inputs)]
        operations = [node for node in order if node.op]
        if any(len(node.args) > 2 for node in operations):
            raise ValueError("an operation has more than two operands")
        position = {node: i for i, node in enumerate([*inputs, *leaves, *operations])}
        self._leaves = [leaf.data for leaf in leaves]
        self._program: list[tuple[Callable[..., float], int, int | None]] = [
            (_IN_C.get(node.op) or lookup(node.op).forward, position[node.args[0]],
             position[node.args[1]] if len(node.args) > 1 else None) for node in operations]
        self._roots = [position[root] for root in roots]

    def __call__(self, x: Any) -> list[float]:
        numbers = [*(x if isinstance(x, list) else [x]), *self._leaves]
        append = numbers.append
        for forward, x, y in self._program:
            append(forward(numbers[x]) if y is None else forward(numbers[x], numbers[y]))
        return [numbers[i] for i in self._roots]


def _replayed(model: Model, table: Samples) -> Model:
    """The model, or its replay if that gives the same bits for some samples, and between and around
    the samples."""
    probes = _probes(table)
    try:
        with mode(model, training=False), recording(True):
            replay = _Replay(model, table)
        found, wanted = outputs(replay, probes), outputs(model, probes)
    except Exception:  # a model that does not run on Values, or raises by itself, is run, and heard, as it is
        return model
    return replay if repr(found) == repr(wanted) else model  # as text, in which nan equals nan


def _probes(table: Samples) -> list[Any]:
    """Some of the samples, points between them, and corners around all."""
    rows = _evenly([row for row in table.rows if all(map(drawable, row))] or table.rows, PROBES)
    between = [tuple([(a + b) / 2 for a, b in zip(*pair)]) for pair in pairwise(rows)]
    corners = [tuple(map(bound, zip(*rows))) for bound in (min, max)]
    return list(map(table.input, [*rows, *between, *corners]))


# ---- lists and numbers ---------------------------------------------------------------------------


def _evenly(items: Sequence[Any], n: int) -> list[Any]:
    """At most ``n`` of the items, in order, the first and the last included if ``n`` is more than
    1."""
    if len(items) <= n:
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, n - 1))] for i in range(n)]


def _line(numbers: Sequence[float]) -> Line:
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
            kept |= {min(finite, key=numbers.__getitem__), max(finite, key=numbers.__getitem__)}
    steps = sorted(kept)
    return Line(tuple([i + 1 for i in steps]), tuple([_rounded(numbers[i]) for i in steps]))


def _window(targets: Iterable[Number], made: Sequence[Iterable[Iterable[Number]]]) -> Range:
    """A range that has the targets and the last of what the frames show, and reaches a little
    towards the others."""
    shown = [[x for row in rows for x in row if x is not None] for rows in made]
    low, high = window([*[x for x in targets if x is not None], *shown[-1]])
    lowest, highest = window([x for numbers in shown for x in numbers])
    reach = (high - low) / 2
    return min(low, max(low - reach, lowest)), max(high, min(high + reach, highest))


def _axis(label: str, low: float, high: float) -> Axis:
    return Axis(label, float(f"{low:.{FINE}g}"), float(f"{high:.{FINE}g}"))


def _plane(rows: Iterable[Iterable[float]], digits: int = FINE) -> tuple[tuple[Number, ...], ...]:
    return tuple([_row(row, digits) for row in rows])


def _row(numbers: Iterable[float], digits: int = FINE) -> tuple[Number, ...]:
    return tuple([_rounded(x, digits) for x in numbers])


def _rounded(x: float, digits: int = FINE) -> Number:
    return float(f"{x:.{digits}g}") if math.isfinite(x) else None
