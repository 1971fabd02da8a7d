"""The picture of a model at every snapshot.

It is a decision boundary, a fitted curve, predictions, or none.  `picture_of` finds out which suits
a training run; the picture then runs the model at each snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

from tinygrad_edu import Value, no_grad
from tinygrad_edu.train.snapshots import Snapshot, TrainingRecord

from ..plotting.analysis import GridPoints, curve_at, curve_points, grid_at, grid_points
from ..plotting.ranges import Range, drawable, padded_range
from ..plotting.samples import NoNumbersError, Samples, floats, outputs, predict
from ..plotting.samples import samples as table_of
from .records import Axis, Frame, Number, Point
from .replay import Model, probes, replayed
from .rounding import COARSE_DIGITS, rounded

CURVE_POINTS = 100  # points of a fitted curve
NO_GRID = GridPoints(Samples((), scalar=False), (), (), (), ())


@dataclass(frozen=True)
class Picture:
    """The picture of kind "none", and the base class of the others.

    inputs: the samples in the picture, as the model takes them
    points: the samples as records
    outputs: the number of outputs of the model
    notes: what is not shown, and why
    classes: the targets that stand for classes; () if the targets are not classes
    grid: the points at which the model is run, if it is not run on the samples
    threshold: of a boundary of one output, its score
    """

    kind: ClassVar[str] = "none"

    inputs: Sequence[Any]
    points: Sequence[Point]
    outputs: int
    notes: Sequence[str]
    classes: Sequence[float] = ()
    grid: GridPoints = NO_GRID
    threshold: float = 0.0

    def frame_fields(self, model: Model) -> dict[str, Any]:
        """Runs the model, and returns the fields of a `Frame` that this kind of picture has."""
        return {}

    def axes(self, names: Sequence[str], made: Sequence[Frame]) -> Iterator[Axis]:
        """Yields the axes, whose ranges may depend on the frames made."""
        for feature, xs in zip(self.grid.features, self.grid.axes):
            yield Axis(names[feature], rounded(xs[0]), rounded(xs[-1]))


class _Boundary(Picture):
    kind = "boundary"

    def frame_fields(self, model: Model) -> dict[str, Any]:
        area = grid_at(self.grid, replayed(model, self.grid.table))
        if self.outputs == 1:
            scores = [[x - self.threshold for x in row] for row in area.outputs[0]]
            return {"scores": rounded(scores, COARSE_DIGITS)}
        scores = [list(map(_margin, zip(*rows))) for rows in zip(*area.outputs)]
        return {"scores": rounded(scores, COARSE_DIGITS), "winners": area.classes()}


class _Fit(Picture):
    kind = "fit"

    def frame_fields(self, model: Model) -> dict[str, Any]:
        return {"curves": rounded(curve_at(self.grid, replayed(model, self.grid.table)).outputs)}

    def axes(self, names: Sequence[str], made: Sequence[Frame]) -> Iterator[Axis]:
        yield from super().axes(names, made)
        points = () if self.outputs > 1 and self.classes else self.points
        yield Axis("output", *_vertical_range(points, [frame.curves for frame in made]))


class _Regression(Picture):
    kind = "regression"

    def frame_fields(self, model: Model) -> dict[str, Any]:
        return {"predictions": rounded(predict(model, self.inputs))}

    def axes(self, names: Sequence[str], made: Sequence[Frame]) -> Iterator[Axis]:
        first = [[row[:1] for row in frame.predictions] for frame in made]
        ends = _vertical_range(self.points, first)
        yield Axis("target", *ends)
        yield Axis("prediction", *ends)


def picture_of(
    training: TrainingRecord,
    first: Snapshot,
    shown: Sequence[int],
    features: tuple[int, int] | None,
    resolution: int,
) -> Picture:
    """Returns the picture that suits the training run, tried with the model at ``first``."""
    inputs = [training.X[i] for i in shown]
    size = 0

    def none(why: str) -> Picture:
        return Picture(inputs, [Point(i, (), (), -1) for i in shown], size, [f"No picture: {why}."])

    with training.at(first) as model:
        try:
            given = predict(model, inputs)
        except NoNumbersError:
            return none("the model does not return numbers")
        size = len(given[0])
        if set(map(len, given)) != {size}:
            return none("the model does not return equally many numbers for every sample")
        try:
            targets = [floats(training.y[i], "a target") for i in range(len(training.y))]
        except NoNumbersError:
            return none("the targets are not numbers")
        comparable = {len(target) for target in targets} == {size}
        classes = _classes(targets, size)
        table = _table(training.X)

        def picture(
            kind: type[Picture], grid: GridPoints = NO_GRID, note: str = "", threshold: float = 0.0
        ) -> Picture:
            points = [_point(i, targets[i], classes, grid) for i in shown]
            return kind(inputs, points, size, [note] if note else [], classes, grid, threshold)

        if comparable and not classes and (table is None or table.features > 1):
            note = f"The picture shows only the first of {size} outputs, against its target."
            return picture(_Regression, note=note if size > 1 else "")
        if table is None:
            return none("the samples are not rows of equally many numbers")
        if not comparable and not classes:
            return none("the targets do not have as many numbers as the model returns")
        try:
            outputs(model, probes(table))
        except Exception as error:  # of any kind: a model may not be made for such inputs
            return none(
                f"the model cannot run between the samples ({type(error).__name__}: {error})"
            )
        if not any(all(map(drawable, row)) for row in table.rows):
            return none("no sample has numbers that can be drawn")
        if table.features > 1:
            grid = grid_points(table, features=features, resolution=resolution)
            threshold = _decision_threshold(training.loss, classes) if size == 1 else 0.0
            return picture(_Boundary, grid, threshold=threshold)
        note = (
            f"The picture shows the curves of all {size} outputs, but only the targets of the "
            "first."
        )
        grid = curve_points(table, resolution=CURVE_POINTS)
        return picture(_Fit, grid, note if size > 1 and not classes else "")


def _point(
    sample: int, target: Sequence[float], classes: Sequence[float], grid: GridPoints
) -> Point:
    at = rounded([grid.table.rows[sample][k] for k in grid.features])
    return Point(sample, at, rounded(target), classes.index(target[0]) if classes else -1)


def _table(X: Sequence[Any]) -> Samples | None:
    """Returns the samples as a table, or None if they are not rows of equally many numbers."""
    try:
        return table_of(X)
    except (TypeError, ValueError, OverflowError):
        return None


def _classes(targets: Sequence[tuple[float, ...]], size: int) -> tuple[float, ...]:
    """Returns the targets that stand for the classes of a model with ``size`` outputs.

    Returns () if the targets are not classes.
    """
    if any(len(target) != 1 for target in targets):
        return ()
    found = {target[0] for target in targets}
    if size > 1:
        return tuple(map(float, range(size))) if found <= set(range(size)) else ()
    return next((pair for pair in ((0.0, 1.0), (-1.0, 1.0)) if found <= set(pair)), ())


def _decision_threshold(loss: Callable[[Any, Any], Any], classes: Sequence[float]) -> float:
    """Returns the score, 0 or 0.5, whose loss is the same for both classes, or 0 if none is."""
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
    """Returns the largest score minus the next one, or nan if a score is nan."""
    if any(map(math.isnan, scores)):
        return math.nan
    *_, second, first = sorted(scores)
    return first - second


def _vertical_range(
    points: Iterable[Point], made: Sequence[Iterable[Iterable[Number]]]
) -> Range:
    """Returns a range that includes the points' first targets and the last frame.

    It is extended towards the other frames by at most half of its size.
    """
    parts = [*made, [point.target[:1] for point in points]]
    *frames, targets = [[x for x in chain(*rows) if x is not None] for rows in parts]
    low, high = padded_range([*targets, *frames[-1]])
    lowest, highest = padded_range(chain(*frames))
    reach = (high - low) / 2
    ends: Range = rounded(
        (min(low, max(low - reach, lowest)), max(high, min(high + reach, highest)))
    )
    return ends
