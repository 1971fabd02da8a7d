"""The numbers behind the plots, as plain records: no matplotlib here, so that a page or a test can
use them as well.

    >>> from tinygrad_edu import nn
    >>> model = nn.MLP(2, [4, 4, 1], "tanh", rng=1)
    >>> grid = decision_grid(model, [[0.5, -1.0], [2.0, 1.0]], resolution=3)
    >>> [round(x, 2) for x in grid.xs], len(grid.outputs)
    ([0.35, 1.25, 2.15], 1)

A model is anything that can be called with a sample.  It is run as it would be used: modules in
evaluation mode, which is put back afterwards, on plain numbers, and without recording a graph.
Nothing here changes a parameter or a gradient for longer than the call.  Gradients and activations
by layer are those of `tinygrad_edu.diagnosis.inspection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from operator import index
from typing import Any

from tinygrad_edu import Value, no_grad
from tinygrad_edu.diagnosis.inspection import check_model, entries
from tinygrad_edu.engine.primitives import number, short_repr
from tinygrad_edu.nn.module import mode

# what is larger is left out of pictures like an infinity: squares and spans of it are beyond
# floats
LARGEST = 1e100

Range = tuple[float, float]
Plane = tuple[tuple[float, ...], ...]  # plane[row][column], rows by y and columns by x


# ---- samples -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Samples:
    """A table of inputs as floats.

    rows      one tuple a sample, all of the same length
    scalar    whether the samples were numbers instead of rows; the model then gets numbers, too
    """

    rows: tuple[tuple[float, ...], ...]
    scalar: bool

    @property
    def features(self) -> int:
        """How many numbers a sample has."""
        return len(self.rows[0])

    def input(self, row: Sequence[float]) -> Any:
        """``row`` in the form in which the model takes it."""
        return row[0] if self.scalar else list(row)


def samples(X: Samples | Iterable[Any]) -> Samples:
    """``X`` as `Samples`: rows of numbers, or numbers, from any iterable; `Samples` as they are.

    Raises ValueError if there are none or their lengths differ, TypeError if ``X`` is no iterable,
    or an entry no number.
    """
    if isinstance(X, Samples):
        return X
    given = entries(X, "X", "samples: rows of numbers, or numbers")
    if not given:
        raise ValueError("X has no samples; give at least one row of numbers")
    scalar = not hasattr(given[0], "__len__")
    rows = tuple(
        [
            tuple([number(entry, f"X[{i}]") for entry in ([row] if scalar else row)])
            for i, row in enumerate(given)
        ]
    )
    if not rows[0]:
        raise ValueError("X[0] has no features; give rows of at least one number")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"X[{i}] has {len(row)} features, but X[0] has {len(rows[0])}; give rows of the "
                "same length"
            )
    return Samples(rows, scalar)


def outputs(model: Callable[[Any], Any], X: Samples | Iterable[Any]) -> list[tuple[float, ...]]:
    """What ``model`` gives for each sample, as floats, without recording; a model of one output
    gives tuples of one.

    Raises TypeError if the model returns anything but a number, a Value or a list of them,
    ValueError if it returns none, or not as many for every sample.
    """
    table = samples(X)
    return _equally_many(ask(model, map(table.input, table.rows)))


def ask(model: Callable[[Any], Any], inputs: Iterable[Any]) -> list[tuple[float, ...]]:
    """What ``model`` gives for inputs of any kind, as `outputs` does for tables of numbers, but
    however many numbers it is.

    Raises NoNumbersError if that is no number.  What the model itself raises passes through.
    """
    check_model(model)
    with mode(model, training=False), no_grad():
        return [floats(model(x), "an output of the model") for x in inputs]


def _equally_many(given: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    counts = sorted(set(map(len, given)))
    if len(counts) > 1 or not counts[0]:
        raise ValueError(
            f"the model returned {' or '.join(map(str, counts))} outputs; it must return as many, "
            "and at least "
            "one, for every sample"
        )
    return given


class NoNumbersError(TypeError):
    """Something is neither a number that fits a float nor a list of such numbers."""


def floats(given: Any, what: str) -> tuple[float, ...]:
    """A number, or a list of them, as floats.  Raises NoNumbersError, which says ``what`` it is,
    for anything else."""
    several = (
        hasattr(given, "__len__")
        and not isinstance(given, (str, dict))
        and getattr(given, "shape", None) != ()
    )
    try:
        return tuple([number(entry, what) for entry in (given if several else [given])])
    except (TypeError, OverflowError) as error:
        raise NoNumbersError(str(error)) from None


def winner(scores: Sequence[float]) -> int:
    """The class that a model chooses: of one score, 1 if it is positive, else 0; of several, the
    index of the largest.

    As `nn.accuracy` has it.  -1 if a score is nan.
    """
    if any(map(math.isnan, scores)):
        return -1
    return int(scores[0] > 0) if len(scores) == 1 else scores.index(max(scores))


def class_indices(labels: Sequence[float], outputs: int) -> list[int]:
    """The class of each label, as `winner` counts them, for a model with that many outputs.

    One output separates labels -1 and 1, or 0 and 1; several are for the labels 0, 1, 2, ...
    Raises ValueError for others.
    """
    allowed = {-1.0, 0.0, 1.0} if outputs == 1 else set(map(float, range(outputs)))
    for i, label in enumerate(labels):
        if label not in allowed or (label == 0 and outputs == 1 and -1.0 in labels):
            wanted = (
                "two classes, labelled -1 and 1, or 0 and 1"
                if outputs == 1
                else f"classes labelled 0 to {outputs - 1}"
            )
            raise ValueError(
                f"y[{i}] is {label!r}, but a model of {outputs} output{'s' * (outputs > 1)} "
                f"separates {wanted}"
            )
    return (
        [int(label > 0) for label in labels] if outputs == 1 else [int(label) for label in labels]
    )


def window(numbers: Iterable[float], margin: float = 0.1) -> Range:
    """A range around the drawable ``numbers``, wider by ``margin`` times their span on either side;
    never empty."""
    drawn = [x for x in numbers if drawable(x)]
    low, high = (min(drawn), max(drawn)) if drawn else (0.0, 0.0)
    pad = (
        margin * (high - low)
        if high - low > 1e-9 * max(abs(low), abs(high))
        else 0.5 * max(1.0, abs(low))
    )
    return low - pad, high + pad


def drawable(x: float) -> bool:
    """Whether ``x`` is finite, and not above `LARGEST` in magnitude."""
    return -LARGEST <= x <= LARGEST  # false for nan


def spaced(low: float, high: float, n: int) -> tuple[float, ...]:
    """``n`` numbers from ``low`` to ``high``, both included, at equal distances."""
    return (*[low + (high - low) * (i / (n - 1)) for i in range(n - 1)], high)


# ---- decisions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DecisionGrid:
    """A model's outputs over a rectangle in the plane of two features.

    xs, ys      where it was asked: values of the first and of the second feature
    outputs     one plane for each output: ``outputs[k][j][i]`` is output k at ``(xs[i], ys[j])``
    features    which two features of a sample vary
    fixed       ``(feature, value)`` for all others, which stay at their means
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    outputs: tuple[Plane, ...]
    features: tuple[int, int]
    fixed: tuple[tuple[int, float], ...]

    def classes(self) -> tuple[tuple[int, ...], ...]:
        """The class chosen at each point, as `winner` counts them: ``classes()[j][i]``."""
        return tuple(
            [tuple([winner(scores) for scores in zip(*rows)]) for rows in zip(*self.outputs)]
        )

    def margin(self, k: int) -> Plane:
        """How far output ``k`` is ahead of the largest other one, at each point; of one output, the
        output itself.

        The class borders on the others where it is 0.
        """
        if len(self.outputs) == 1:
            return self.outputs[0]
        return tuple([tuple([scores[k] - max(scores[:k] + scores[k + 1:]) for scores in zip(*rows)])
                      for rows in zip(*self.outputs)])


def decision_grid(
    model: Callable[[Any], Any],
    X: Samples | Iterable[Any],
    *,
    features: tuple[int, int] | None = None,
    resolution: int = 50,
    margin: float = 0.1,
    ranges: tuple[Range, Range] | None = None,
) -> DecisionGrid:
    """The outputs of ``model`` on ``resolution`` times ``resolution`` points around the samples
    ``X``.

    features      which two features vary; by default the first two.  The others stay at their means
                  over ``X``
    margin        how far the grid reaches beyond the samples, in parts of their span
    ranges        the ranges of the two features instead, so that several grids have the same points

    It costs one call of the model for each point.  Samples with nan or infinity in them are not
    looked at.  Raises ValueError for no samples, for features that do not exist, or for a
    resolution below 2.
    """
    return grid_at(
        places_of_grid(X, features=features, resolution=resolution, margin=margin, ranges=ranges),
        model,
    )


def places_of_grid(
    X: Samples | Iterable[Any],
    *,
    features: tuple[int, int] | None = None,
    resolution: int = 50,
    margin: float = 0.1,
    ranges: tuple[Range, Range] | None = None,
) -> Places:
    """Where `decision_grid`, which says what the arguments are, asks a model."""
    table = samples(X)
    return _places(table, _two_features(features, table.features), resolution, margin,
                   None if ranges is None else {f"ranges[{n}]": ranges[n] for n in (0, 1)})


def grid_at(places: Places, model: Callable[[Any], Any]) -> DecisionGrid:
    """The outputs of ``model`` at places that `places_of_grid` found."""
    (xs, ys), (i, j) = places.axes, places.features
    planes = [tuple([output[start:start + len(xs)] for start in range(0, len(output), len(xs))])
              for output in places.outputs(model)]
    return DecisionGrid(xs, ys, tuple(planes), (i, j), places.fixed)


@dataclass(frozen=True, slots=True)
class Fit:
    """A model's outputs over a range of one feature: ``outputs[k][i]`` is output k at ``xs[i]``;
    compare `DecisionGrid`."""

    xs: tuple[float, ...]
    outputs: tuple[tuple[float, ...], ...]
    feature: int
    fixed: tuple[tuple[int, float], ...]


def fitted_curve(
    model: Callable[[Any], Any],
    X: Samples | Iterable[Any],
    *,
    feature: int = 0,
    resolution: int = 200,
    margin: float = 0.1,
    range: Range | None = None,
) -> Fit:
    """The outputs of ``model`` at ``resolution`` points over one feature of the samples; compare
    `decision_grid`."""
    return curve_at(
        places_of_curve(X, feature=feature, resolution=resolution, margin=margin, range=range),
        model,
    )


def places_of_curve(
    X: Samples | Iterable[Any],
    *,
    feature: int = 0,
    resolution: int = 200,
    margin: float = 0.1,
    range: Range | None = None,
) -> Places:
    """Where `fitted_curve` asks a model; compare `places_of_grid`."""
    table = samples(X)
    return _places(table, _existing((feature,), table.features), resolution, margin,
                   None if range is None else {"range": range})


def curve_at(places: Places, model: Callable[[Any], Any]) -> Fit:
    """The outputs of ``model`` at places that `places_of_curve` found."""
    (xs,), (feature,) = places.axes, places.features
    return Fit(xs, tuple(places.outputs(model)), feature, places.fixed)


@dataclass(frozen=True, slots=True)
class Places:
    """Where models are asked around samples: all that does not depend on the model.

    table       the samples
    axes        the values of each feature that varies, in order
    features    which these are
    fixed       ``(feature, value)`` for all others, which stay at their means
    points      all combinations, row by row: the first feature varies fastest
    """

    table: Samples
    axes: tuple[tuple[float, ...], ...]
    features: tuple[int, ...]
    fixed: tuple[tuple[int, float], ...]
    points: Plane

    def outputs(self, model: Callable[[Any], Any]) -> list[tuple[float, ...]]:
        """For each output of ``model`` what it is at all points; raises what `outputs` raises."""
        return list(zip(*_equally_many(ask(model, map(self.table.input, self.points)))))


def _places(
    table: Samples,
    features: tuple[int, ...],
    resolution: int,
    margin: float,
    ranges: Mapping[str, Range] | None,
) -> Places:
    check_resolution(resolution)
    rows = [row for row in table.rows if all(map(drawable, row))]
    if not rows:
        raise ValueError(
            "every sample in X has nan or infinity in it; give at least one of finite numbers"
        )
    ends = ([window([row[k] for row in rows], margin) for k in features] if ranges is None else
            [check_range(limits, name) for name, limits in ranges.items()])
    axes = tuple([spaced(low, high, resolution) for low, high in ends])
    mean = [math.fsum(column) / len(rows) for column in zip(*rows)]
    points = []
    for point in product(*reversed(axes)):
        row = mean.copy()
        for k, x in zip(reversed(features), point):
            row[k] = x
        points.append(tuple(row))
    return Places(
        table,
        axes,
        features,
        tuple([(k, x) for k, x in enumerate(mean) if k not in features]),
        tuple(points),
    )


def check_range(limits: Range, what: str) -> Range:
    """``limits`` as two floats; ValueError unless they are finite and the first one is the smaller
    one."""
    try:
        low, high = (number(limit, what) for limit in limits)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (drawable(low) and drawable(high) and low < high):
        raise ValueError(
            f"{what} is {short_repr(limits)}; give two finite numbers, the smaller one first"
        )
    return low, high


def check_resolution(resolution: int) -> None:
    """Raises ValueError unless ``resolution`` is a whole number of at least 2."""
    if isinstance(resolution, bool) or not isinstance(resolution, int) or resolution < 2:
        raise ValueError(
            f"resolution is {resolution!r}; it must be a whole number of at least 2, the points "
            "along an axis"
        )


def _two_features(features: tuple[int, int] | None, n: int) -> tuple[int, int]:
    if features is None:
        if n < 2:
            raise ValueError("X has one feature, and a grid varies two; use fitted_curve")
        return 0, 1
    if not isinstance(features, (list, tuple)) or len(features) != 2 or features[0] == features[1]:
        raise ValueError(f"features is {features!r}; give two different ones, such as (0, 1)")
    i, j = _existing(features, n)
    return i, j


def _existing(features: Sequence[int], n: int) -> tuple[int, ...]:
    for feature in features:
        if not hasattr(feature, "__index__") or not 0 <= feature < n:
            raise ValueError(
                f"there is no feature {feature!r}; the samples have {n}, counted from 0"
            )
    return tuple(map(index, features))


# ---- histograms ----------------------------------------------------------------------------------


def histogram(numbers: Iterable[float], edges: Sequence[float]) -> list[int]:
    """How many numbers lie in each of the bins between ``edges``, which are in order; the last bin
    has both its ends.

    Numbers outside, and nan, are in none.
    """
    counts = [0] * (len(edges) - 1)
    low, high = edges[0], edges[-1]
    for x in numbers:
        if low <= x <= high:
            counts[min(int((x - low) / (high - low) * len(counts)), len(counts) - 1)] += 1
    return counts


# ---- the loss over two parameters ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LossSurface:
    """``losses[j][i]`` is the loss with the first parameter at ``xs[i]`` and the second one at
    ``ys[j]``."""

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
    """The loss over two parameters, all others as they are.

    loss        computes the loss, a Value or a number, from the parameters' current data; it is
                called without recording
    p, q        the parameters; their data are put back afterwards, also if ``loss`` raises, and
                gradients are left alone
    path        points ``(p, q)`` that the ranges are to cover, besides the current one
    ranges      the ranges of p and q instead

    It costs ``resolution`` times ``resolution`` calls of ``loss``.  Raises TypeError or ValueError
    if ``p`` or ``q`` is no leaf, both are the same, or the loss is no number.
    """
    for name, parameter in (("p", p), ("q", q)):
        if not isinstance(parameter, Value):
            raise TypeError(
                f"{name} must be a parameter, a Value, not {type(parameter).__name__} "
                f"({short_repr(parameter)})"
            )
        if parameter.op:
            raise ValueError(
                f"{name} is {parameter!r}, which was computed; give a parameter, whose data can be "
                "set"
            )
    if p is q:
        raise ValueError("p and q are the same parameter; give two different ones")
    if not callable(loss):
        raise TypeError(
            f"loss is {short_repr(loss)}, which cannot be called; give a function: lambda: "
            "nn.mse(model(x), y)"
        )
    check_resolution(resolution)
    before, grads = (p.data, q.data), (p.grad, q.grad)
    points = [before, *points_of(path)]
    xs, ys = (
        spaced(
            *(
                window(coordinates, 0.25)
                if ranges is None
                else check_range(ranges[n], f"ranges[{n}]")
            ),
            resolution,
        )
        for n, coordinates in enumerate(zip(*points))
    )
    losses = []
    try:
        with no_grad():
            for y in ys:
                row = []
                for x in xs:
                    p.data, q.data = x, y
                    row.append(number(loss(), "the loss"))
                losses.append(tuple(row))
    finally:
        (p.data, q.data), (p.grad, q.grad) = before, grads
    return LossSurface(xs, ys, tuple(losses))


def points_of(path: Iterable[Any]) -> list[tuple[float, float]]:
    """The points of a path as pairs of floats; ValueError if one is no pair."""
    points = []
    for i, point in enumerate(path):
        if not hasattr(point, "__len__") or len(point) != 2:
            raise ValueError(f"path[{i}] is {short_repr(point)}; give pairs of numbers, (p, q)")
        x, y = point
        points.append((number(x, f"path[{i}]"), number(y, f"path[{i}]")))
    return points
