"""The picture of a model at every snapshot: a decision boundary, a fitted curve, predictions, or
none.

`picture_of` finds out which of them suits a training run; the picture then runs the model at each
snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from tinygrad_edu import Value, no_grad
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ...plotting.analysis import curve_at, curve_points, grid_at, grid_points
from ...plotting.ranges import Range, drawable, padded_range
from ...plotting.samples import NoNumbersError, Samples, floats, outputs, predict
from ...plotting.samples import samples as table_of
from .records import Axis, Frame, Number, Point
from .replay import Model, probes, replayed
from .rounding import COARSE_DIGITS, FINE_DIGITS, rounded_row, rounded_rows

CURVE_POINTS = 100  # points of a fitted curve


class Picture:
    """The picture of kind "none", and the base class of the others."""

    kind = "none"
    classes: tuple[str, ...] = ()
    xs: tuple[float, ...] = ()
    ys: tuple[float, ...] = ()
    fixed: tuple[tuple[int, float], ...] = ()

    def __init__(self, points: Sequence[Point], outputs: int, notes: Sequence[str] = ()) -> None:
        self.points = tuple(points)
        self.outputs = outputs
        self.notes = tuple(notes)

    def frame_fields(self, model: Model) -> dict[str, Any]:
        """Runs the model, and returns the fields of a `Frame` that this kind of picture has."""
        return {}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        """Returns the axes, whose ranges may depend on the frames made."""
        return ()

    def first_targets(self) -> list[Number]:
        """Returns the first number of each point's target."""
        return [point.target[0] for point in self.points if point.target]


class _Boundary(Picture):
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
        self.grid = grid_points(table, features=features, resolution=resolution)
        self.xs, self.ys = self.grid.axes
        self.fixed = self.grid.fixed
        self.features = self.grid.features
        self.table = table
        self.classes = tuple([f"{c:g}" for c in classes])
        self.threshold = _decision_threshold(training.loss, classes) if outputs == 1 else 0.0
        points = _points(training, shown, classes, table.rows, self.features)
        super().__init__(points, outputs)

    def frame_fields(self, model: Model) -> dict[str, Any]:
        area = grid_at(self.grid, replayed(model, self.table))
        if self.outputs == 1:
            scores = [[x - self.threshold for x in row] for row in area.outputs[0]]
            return {"scores": rounded_rows(scores, COARSE_DIGITS)}
        scores = [list(map(_margin, zip(*rows))) for rows in zip(*area.outputs)]
        return {"scores": rounded_rows(scores, COARSE_DIGITS), "winners": area.classes()}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        i, j = self.features
        return (
            _axis(f"feature {i}", self.xs[0], self.xs[-1]),
            _axis(f"feature {j}", self.ys[0], self.ys[-1]),
        )


class _Fit(Picture):
    kind = "fit"

    def __init__(
        self,
        training: TrainingRecord,
        table: Samples,
        shown: Sequence[int],
        classes: Sequence[float],
        outputs: int,
    ) -> None:
        self.grid = curve_points(table, resolution=CURVE_POINTS)
        (self.xs,) = self.grid.axes
        self.table = table
        self.classes = tuple([f"{c:g}" for c in classes])
        notes = []
        if outputs > 1 and not classes:
            notes.append(
                f"The picture shows the curves of all {outputs} outputs, but only the targets of "
                "the first."
            )
        points = _points(training, shown, classes, table.rows, self.grid.features)
        super().__init__(points, outputs, notes)

    def frame_fields(self, model: Model) -> dict[str, Any]:
        fit = curve_at(self.grid, replayed(model, self.table))
        return {"curves": rounded_rows(fit.outputs)}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        targets: list[Number] = []
        if self.outputs == 1 or not self.classes:
            targets = self.first_targets()
        low, high = _vertical_range(targets, [frame.curves for frame in made])
        return _axis("input", self.xs[0], self.xs[-1]), _axis("output", low, high)


class _Regression(Picture):
    kind = "regression"

    def __init__(self, training: TrainingRecord, shown: Sequence[int], outputs: int) -> None:
        notes = []
        if outputs > 1:
            notes.append(
                f"The picture shows only the first of {outputs} outputs, against its target."
            )
        super().__init__(_points(training, shown), outputs, notes)
        self.inputs = [training.X[i] for i in shown]

    def frame_fields(self, model: Model) -> dict[str, Any]:
        return {"predictions": rounded_rows(predict(model, self.inputs))}

    def axes(self, made: Sequence[Frame]) -> tuple[Axis, ...]:
        targets = self.first_targets()
        first = [[row[:1] for row in frame.predictions] for frame in made]
        low, high = _vertical_range(targets, first)
        return _axis("target", low, high), _axis("prediction", low, high)


def picture_of(
    training: TrainingRecord,
    first: Snapshot,
    shown: Sequence[int],
    features: tuple[int, int] | None,
    resolution: int,
) -> Picture:
    """Returns the picture that suits the training run; the model is tried at the first snapshot."""
    with training.at(first) as model:
        size = 0

        def none(why: str) -> Picture:
            return Picture([Point(i, (), (), -1) for i in shown], size, [f"No picture: {why}."])

        inputs = [training.X[i] for i in shown]
        try:
            given = predict(model, inputs)
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
            outputs(model, probes(table))
        except Exception as error:  # of any kind: a model may not be made for such inputs
            return none(
                f"the model cannot run between the samples ({type(error).__name__}: {error})"
            )
        if not any(all(map(drawable, row)) for row in table.rows):
            return none("no sample has numbers that can be drawn")
        if table.features > 1:
            return _Boundary(training, table, shown, classes, size, features, resolution)
        return _Fit(training, table, shown, classes, size)


def _points(
    training: TrainingRecord,
    shown: Sequence[int],
    classes: Sequence[float] = (),
    rows: Sequence[Sequence[float]] = (),
    features: Sequence[int] = (),
) -> list[Point]:
    """Returns the samples in the picture: the features of ``rows`` on its axes, and the classes."""
    points = []
    for i, target in zip(shown, _targets(training, shown)):
        at = rounded_row([rows[i][k] for k in features])
        label = classes.index(target[0]) if classes else -1
        points.append(Point(i, at, rounded_row(target), label))
    return points


def _targets(training: TrainingRecord, shown: Iterable[int]) -> list[tuple[float, ...]]:
    return [floats(training.y[i], "a target") for i in shown]


def _classes(targets: Sequence[tuple[float, ...]], size: int) -> tuple[float, ...]:
    """Returns the targets that stand for the classes of a model with ``size`` outputs, or () if
    the targets are not classes."""
    if any(len(target) != 1 for target in targets):
        return ()
    found = {target[0] for target in targets}
    if size > 1:
        return tuple(map(float, range(size))) if found <= set(range(size)) else ()
    return next((pair for pair in ((0.0, 1.0), (-1.0, 1.0)) if found <= set(pair)), ())


def _decision_threshold(loss: Callable[[Any, Any], Any], classes: Sequence[float]) -> float:
    """Returns the score, 0 or 0.5, whose loss is the same for both classes; 0 if there is none."""
    for score in (0.0, 0.5):
        try:
            with no_grad():
                first, second = (float(loss(Value(score), target)) for target in classes)
        except Exception:  # of any kind: the user's loss may not accept these numbers
            continue
        if math.isfinite(first) and math.isclose(first, second, rel_tol=1e-9):
            return score
    return 0.0


def _margin(scores: Sequence[float]) -> float:
    """Returns the largest score minus the next one; nan if a score is nan."""
    if any(map(math.isnan, scores)):
        return math.nan
    *_, second, first = sorted(scores)
    return first - second


def _vertical_range(targets: Iterable[Number], made: Sequence[Iterable[Iterable[Number]]]) -> Range:
    """Returns a range that includes the targets and the last frame; it is extended towards the
    other frames by at most half of its size."""
    shown = [[x for x in chain(*rows) if x is not None] for rows in made]
    low, high = padded_range([*[x for x in targets if x is not None], *shown[-1]])
    lowest, highest = padded_range(chain(*shown))
    reach = (high - low) / 2
    return min(low, max(low - reach, lowest)), max(high, min(high + reach, highest))


def _axis(label: str, low: float, high: float) -> Axis:
    return Axis(label, float(f"{low:.{FINE_DIGITS}g}"), float(f"{high:.{FINE_DIGITS}g}"))
