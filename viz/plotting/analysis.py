"""The numbers behind the plots of models, as plain records.

They are a model's outputs on a grid or along a line, and the loss over two parameters.

    >>> from tinygrad_edu import nn
    >>> model = nn.MLP(2, [4, 4, 1], "tanh", rng=1)
    >>> grid = grid_at(grid_points([[0.5, -1.0], [2.0, 1.0]], resolution=3), model)
    >>> [round(x, 2) for x in grid.xs], len(grid.outputs)
    ([0.35, 1.25, 2.15], 1)

There is no matplotlib here: a page or a test can use these numbers too.  A model is anything that
can be called with a sample.  It runs in evaluation mode, on plain numbers and without recording a
graph; modes, parameters and gradients are restored afterwards.  Gradients and activations by layer
are in `tinygrad_edu.diagnosis.inspection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from itertools import product
from operator import index
from typing import Any

from tinygrad_edu import Value, no_grad
from tinygrad_edu.errors import (
    check_function,
    check_int,
    check_list,
    check_number,
    check_type,
    number,
    short_repr,
)
from tinygrad_edu.optim.parameters import temporarily

from .ranges import (
    LARGEST,
    MAX_GRID_POINTS,
    MAX_POINTS,
    Plane,
    Range,
    check_range,
    drawable,
    padded_range,
    spaced,
)
from .samples import Model, Samples, Table, outputs, predicted_class, samples


@dataclass(frozen=True, slots=True)
class DecisionGrid:
    """A model's outputs over a rectangle in the plane of two features.

    xs, ys: the values of the first and of the second feature.
    outputs: one plane for each output: ``outputs[k][j][i]`` is output k at ``(xs[i], ys[j])``.
    features: the two features of a sample that vary.
    fixed: ``(feature, value)`` for all other features, which stay at their means.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    outputs: tuple[Plane, ...]
    features: tuple[int, int]
    fixed: tuple[tuple[int, float], ...]

    def classes(self) -> tuple[tuple[int, ...], ...]:
        """Returns the `predicted_class` at each point, as ``classes()[j][i]``."""
        return tuple([tuple(map(predicted_class, zip(*rows))) for rows in zip(*self.outputs)])

    def margin(self, k: int) -> Plane:
        """Returns output ``k`` minus the largest other output at each point.

        The boundary of class ``k`` is where it is 0.  A single output is returned as it is.
        """

        def margin_of(scores: tuple[float, ...]) -> float:
            return scores[k] - max(scores[:k] + scores[k + 1:], default=0.0)

        return tuple([tuple(map(margin_of, zip(*rows))) for rows in zip(*self.outputs)])


def grid_points(
    X: Table,
    *,
    features: tuple[int, int] | None = None,
    resolution: int = 50,
    margin: float = 0.1,
) -> GridPoints:
    """Returns a grid of points around the samples ``X``, on which `grid_at` runs a model.

    features: the two features that vary, by default the first two; the others stay at their means
        over ``X``.
    resolution: points along an axis; the grid has ``resolution`` times ``resolution`` points.
    margin: how far the grid reaches beyond the samples, as a fraction of their span.

    Samples that contain nan or inf are ignored.

    Raises:
        TypeError: an entry of ``X`` is not a number, or another argument is of another type.
        ValueError: there are no samples, a feature does not exist, ``resolution`` is below 2 or
            above `MAX_GRID_POINTS`, or ``margin`` is negative.
    """
    table = samples(X)
    if features is None:
        if table.features < 2:
            raise ValueError(
                "X must have at least two features for a grid, not 1; use curve_points"
            )
        features = (0, 1)
    pair = tuple(features) if isinstance(features, (list, tuple)) else ()
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(
            "features must be two different features, such as (0, 1), not "
            f"{short_repr(features)}"
        )
    return _grid_points(table, pair, resolution, margin)


def grid_at(points: GridPoints, model: Model) -> DecisionGrid:
    """Returns the outputs of ``model`` at points that `grid_points` returned.

    Raises what `samples.outputs` raises.
    """
    xs, ys = points.axes
    i, j = points.features
    # each iterator is read by turns, which makes rows of as many points
    planes = [tuple(zip(*[iter(output)] * len(xs))) for output in points.outputs(model)]
    return DecisionGrid(xs, ys, tuple(planes), (i, j), points.fixed)


@dataclass(frozen=True, slots=True)
class Fit:
    """A model's outputs over a range of one feature.

    xs: the values of the feature.
    outputs: ``outputs[k][i]`` is output k at ``xs[i]``.
    feature: the feature that varies.
    fixed: as in `DecisionGrid`.
    """

    xs: tuple[float, ...]
    outputs: Plane
    feature: int
    fixed: tuple[tuple[int, float], ...]


def curve_points(
    X: Table,
    *,
    feature: int = 0,
    resolution: int = 200,
    margin: float = 0.1,
) -> GridPoints:
    """Returns points over one feature of the samples, on which `curve_at` runs a model.

    The arguments are as in `grid_points`, and so are the errors.
    """
    return _grid_points(samples(X), (feature,), resolution, margin)


def curve_at(points: GridPoints, model: Model) -> Fit:
    """Returns the outputs of ``model`` at points that `curve_points` returned (see `grid_at`)."""
    (xs,) = points.axes
    (feature,) = points.features
    return Fit(xs, tuple(points.outputs(model)), feature, points.fixed)


@dataclass(frozen=True, slots=True)
class GridPoints:
    """Points around samples, on which models are run.

    table: the samples.
    axes: the values of each feature that varies, in order.
    features: the features that vary.
    fixed: ``(feature, value)`` for all other features, which stay at their means.
    points: all combinations, row by row: the first feature varies fastest.
    """

    table: Samples
    axes: Plane
    features: tuple[int, ...]
    fixed: tuple[tuple[int, float], ...]
    points: Plane

    def outputs(self, model: Model) -> list[tuple[float, ...]]:
        """Returns each output of ``model`` at all points."""
        return list(zip(*outputs(model, Samples(self.points, self.table.scalar))))


def _grid_points(
    table: Samples, features: Sequence[int], resolution: int, margin: float
) -> GridPoints:
    for feature in features:
        check_int(feature, "features: a feature", 0, most=table.features - 1)
    features = tuple(map(index, features))
    most = MAX_POINTS if len(features) == 1 else MAX_GRID_POINTS
    check_int(resolution, "resolution", 2, most=most)
    margin = check_number(margin, "margin", 0, below=LARGEST)
    rows = [row for row in table.rows if all(map(drawable, row))]
    if not rows:
        raise ValueError(
            "every sample in X contains nan or infinity; give at least one of finite numbers"
        )
    columns = list(zip(*rows))
    means = {k: math.fsum(column) / len(rows) for k, column in enumerate(columns)}
    axes = tuple([spaced(*padded_range(columns[k], margin), resolution) for k in features])
    points = [
        tuple({**means, **dict(zip(reversed(features), point))}.values())
        for point in product(*reversed(axes))
    ]
    fixed = tuple([(k, x) for k, x in means.items() if k not in features])
    return GridPoints(table, axes, features, fixed, tuple(points))


@dataclass(frozen=True, slots=True)
class LossSurface:
    """The loss over two parameters.

    ``losses[j][i]`` is the loss with the first parameter at ``xs[i]`` and the second at ``ys[j]``.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    losses: Plane


def loss_surface(
    loss: Callable[[], Any],
    p: Value,
    q: Value,
    *,
    path: Iterable[tuple[float, float]] = (),
    ranges: tuple[Range, Range] | None = None,
    resolution: int = 40,
) -> LossSurface:
    """Returns the loss over two parameters, with all others as they are.

    loss: computes the loss, a Value or a number, from the parameters' current data; it is called
        ``resolution`` times ``resolution`` times, without recording.
    p, q: the parameters; their data and gradients are restored, also if ``loss`` raises.
    path: points ``(p, q)`` that the ranges cover, in addition to the current one.
    ranges: the ranges of p and q, in place of ``path``.
    resolution: points along an axis.

    Raises:
        TypeError: ``p`` or ``q`` is not a Value, ``loss`` cannot be called, or the loss is not a
            number.
        ValueError: ``p`` or ``q`` is not a leaf, both are the same, ``ranges`` are not two, or
            ``resolution`` is below 2 or above `MAX_GRID_POINTS`.
    """
    leaf = "pass a leaf, such as model.parameters()[0]"
    for name, parameter in (("loss_surface: p", p), ("loss_surface: q", q)):
        check_type(parameter, name, Value, "a parameter, a Value", leaf)
        if parameter.op:
            raise ValueError(
                f"{name} must be a parameter, not {short_repr(parameter)}, the result of an "
                f"operation; {leaf}"
            )
    if p is q:
        raise ValueError(
            f"loss_surface: p and q must be different parameters, not {short_repr(p)} twice"
        )
    _check_loss(loss)
    check_int(resolution, "resolution", 2, most=MAX_GRID_POINTS)
    ends = [padded_range(numbers, 0.25) for numbers in zip((p.data, q.data), *points_of(path))]
    if ranges is not None:
        remedy = "write, for example, ranges=((-1.0, 1.0), (-2.0, 2.0))"
        both = check_list(ranges, "loss_surface: ranges", "two ranges, of p and of q", remedy)
        if len(both) != 2:
            raise ValueError(
                f"loss_surface: ranges must be two ranges, of p and of q, not {len(both)}; {remedy}"
            )
        ends = [check_range(limits, f"ranges[{n}]") for n, limits in enumerate(both)]
    xs, ys = [spaced(low, high, resolution) for low, high in ends]

    def loss_at(x: float, y: float) -> float:
        with temporarily((p, q), "data", (x, y), None):
            return number(loss(), "loss_surface: the result of loss")

    with no_grad(), temporarily((p, q), "grad", (p.grad, q.grad), None):
        losses = tuple([tuple([loss_at(x, y) for x in xs]) for y in ys])
    return LossSurface(xs, ys, losses)


def _check_loss(loss: Any) -> None:
    remedy = "pass, for example, lambda: nn.mse(model(x), y)"
    check_function(loss, "loss_surface: loss", remedy)
    with suppress(ValueError):  # a function of C may have no signature
        try:
            signature(loss).bind()
        except TypeError:
            raise TypeError(
                f"loss_surface: loss must need no argument, not {short_repr(loss)}; {remedy}"
            ) from None


def points_of(path: Iterable[Any]) -> list[tuple[float, float]]:
    """Returns the points of a path as pairs of floats.

    Raises:
        TypeError: ``path`` is not a list, or a coordinate is not a number.
        ValueError: a point is not a pair.
    """
    points = []
    remedy = "pass pairs of numbers (p, q), such as history.training.path(p, q)"
    for i, point in enumerate(check_list(path, "loss_surface: path", "a list of pairs", remedy)):
        if isinstance(point, (str, bytes)) or not hasattr(point, "__len__") or len(point) != 2:
            raise ValueError(
                f"loss_surface: path[{i}] must be a pair of numbers, not {short_repr(point)}; "
                f"{remedy}"
            )
        x, y = [number(part, f"path[{i}]") for part in point]
        points.append((x, y))
    return points
