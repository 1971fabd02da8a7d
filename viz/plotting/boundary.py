"""Plots of a model around its samples: regions over two features, or a curve over one.

They are a part of `viz.plots`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, SupportsIndex

from tinygrad_edu.diagnosis.inspection import check_model, entries, quantile
from tinygrad_edu.errors import check_list, counted, number, wrong_type

from .analysis import DecisionGrid, Fit, curve_at, curve_points, grid_at, grid_points
from .figures import (
    BLANK,
    BLUE,
    DARK,
    GREY,
    MARKERS,
    ORANGE,
    class_color,
    drawn_plane,
    figure_and_axes,
    in_order,
    literal,
    marker_size,
    note_blanks,
    tint,
    title_and_legend,
)
from .ranges import drawable, drawn, spaced
from .samples import Model, Samples, class_indices, class_labels, outputs, predicted_class, samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLE_STYLE: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.6, "zorder": 3}


def decision_boundary(
    model: Model,
    X: Iterable[Any],
    y: Iterable[Any],
    *,
    features: int | tuple[int, int] | None = None,
    resolution: int | None = None,
    margin: float = 0.1,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws the predictions of ``model`` around the samples ``X`` with labels ``y``.

    Over two features: a model of one output separates two classes, labelled -1 and 1 or 0 and 1,
    where its score (or logit) is 0; the colours show the score.  A model of several outputs chooses
    the class of the largest output, labelled 0, 1, 2, ...; the colours show the regions.  Samples
    have the colour and the shape of their class, and a ring if they are misclassified.

    Over one feature: the model's outputs as a curve.  Labels that are ints are classes, as above;
    floats are the targets of a regression.

    features: the two features that vary, or one; by default the first two, or the only one. All
        others stay at their means over ``X``, as the title says.  The picture is a section through
        the input space: a sample far from it may be classified correctly although it appears in the
        region of another class.
    resolution: points along an axis; by default 50 (2,500 calls of the model), or 200 for one
        feature.
    margin: how far the picture reaches beyond the samples, as a fraction of their span.
    feature_names: for the axes, such as ``data.iris().feature_names``.
    class_names: for the legend.
    ax: an existing Axes to draw into; by default a new Figure is made.

    The model runs in evaluation mode, without recording.  Samples that contain nan or inf are left
    out, and outputs that are not finite are blank; the title says so.  Returns the Figure.

    Raises:
        TypeError: the model cannot be called, or a sample or a label is not a number.
        ValueError: there are no samples, the labels fit neither the samples nor the outputs, or a
            feature does not exist.
        RenderError: matplotlib is not installed.
    """
    shown = _shown_samples(model, X, y, feature_names)
    table = shown.table
    if features is None:
        features = (0, 1) if table.features > 1 else 0
    own = ax is None
    if isinstance(features, (tuple, list)):
        size = 50 if resolution is None else resolution
        points = grid_points(table, features=features, margin=margin, resolution=size)
        grid = grid_at(points, model)
        classes = _classes(shown, class_names)
        figure, ax = figure_and_axes(ax, 6.5, 5.4)
        filled = _draw_regions(ax, grid, shown.notes)
        if own and filled is not None:
            figure.colorbar(filled, ax=ax, label="score", ticks=filled.levels[::3], format="%.2g")
        i, j = grid.features
        _scatter(ax, shown.columns[i], shown.columns[j], classes)
        ax.set(xlabel=shown.names[i], ylabel=shown.names[j])
        title = f"Decision boundary: {classes.score}"
    else:
        size = 200 if resolution is None else resolution
        points = curve_points(table, feature=features, margin=margin, resolution=size)
        fit = curve_at(points, model)
        figure, ax = figure_and_axes(ax, 7, 4.5)
        if len(fit.outputs) == 1 and not shown.has_int_labels:
            title = _draw_regression(ax, fit, shown)
        else:
            title = _draw_scores(ax, fit, shown, _classes(shown, class_names))
        ax.set_xlabel(shown.names[fit.feature])
    if points.fixed:
        means = [f"{shown.names[k]}\u00a0=\u00a0{x:.3g}" for k, x in points.fixed[:4]]
        if len(points.fixed) > 4:
            means.append(f"{len(points.fixed) - 4} more")
        shown.notes.insert(0, f"the other features stay at their means: {', '.join(means)}")
    title_and_legend(ax, "\n".join([title, *shown.notes]))
    return figure


@dataclass(frozen=True, slots=True)
class _ShownSamples:
    """The samples that can be drawn, with their targets and the model's outputs.

    columns: the samples by feature.
    has_int_labels: whether the targets were given as ints, that is as classes.
    names: names of the features.
    notes: lines of the title about what is not shown.
    """

    table: Samples
    columns: Sequence[Sequence[float]]
    targets: Sequence[float]
    scores: Sequence[Sequence[float]]
    has_int_labels: bool
    names: Sequence[str]
    notes: list[str]


def _shown_samples(
    model: Model, X: Iterable[Any], y: Iterable[Any], feature_names: Sequence[str] | None
) -> _ShownSamples:
    check_model(model)
    table = samples(X)
    labels = entries(y, "y", "labels: a number for each sample")
    if len(labels) != len(table.rows):
        raise ValueError(
            f"decision_boundary: X and y must have equally many samples, not {len(table.rows)} and "
            f"{len(labels)}"
        )
    targets = [_target(label, f"decision_boundary: y[{i}]") for i, label in enumerate(labels)]
    kept = [
        (row, target)
        for row, target in zip(table.rows, targets)
        if all(map(drawable, (*row, target)))
    ]
    if not kept:
        raise ValueError(
            "every sample contains nan or infinity; give at least one of finite numbers"
        )
    if feature_names is None:
        feature_names = [f"feature {i}" for i in range(table.features)]
    names = _checked_names(feature_names, table.features, "feature_names", "feature of X")
    rows, shown_targets = zip(*kept)
    shown = Samples(rows, table.scalar)
    left = len(labels) - len(kept)
    return _ShownSamples(
        table=shown,
        columns=list(zip(*rows)),
        targets=shown_targets,
        scores=outputs(model, shown),
        has_int_labels=all(
            isinstance(label, SupportsIndex) and not isinstance(label, bool) for label in labels
        ),
        names=list(map(literal, names)),
        notes=[f"{left} of {len(labels)} samples left out: {BLANK}"] if left else [],
    )


def _target(label: Any, name: str) -> float:
    if isinstance(label, str):
        remedy = "write classes as 0, 1, 2, ..., and their names in class_names="
        raise wrong_type(name, "a number", label, remedy)
    return number(label, name)


def _checked_names(given: Any, count: int, option: str, what: str) -> list[Any]:
    """Returns the names that an option gives, one for each feature, or at least one for each class.
    """
    wanted = f"{counted(count, 'name')}, one for each {what}"
    names = check_list(given, f"decision_boundary: {option}", f"a list of {wanted}")
    if len(names) < count or (option == "feature_names" and len(names) > count):
        raise ValueError(f"decision_boundary: {option} must have {wanted}, not {len(names)}")
    return names


@dataclass(frozen=True, slots=True)
class _Classes:
    """The classes of the samples.

    of_samples: the class of each sample.
    names: the names of all classes.
    wrong: the positions of misclassified samples.
    """

    of_samples: Sequence[int]
    names: Sequence[str]
    wrong: Sequence[int]

    @property
    def score(self) -> str:
        """How many samples are classified correctly, in words."""
        count = len(self.of_samples)
        return f"{count - len(self.wrong)} of {count} samples right"


def _classes(shown: _ShownSamples, names: Sequence[str] | None) -> _Classes:
    size = len(shown.scores[0])
    of_samples = class_indices(shown.targets, size)
    labels = class_labels(shown.targets, size)
    if names is None:
        names = [f"class {label}" for label in labels]
    names = _checked_names(names, len(labels), "class_names", "class")
    wrong = [i for i, c in enumerate(of_samples) if predicted_class(shown.scores[i]) != c]
    return _Classes(of_samples, list(map(literal, names)), wrong)


def _draw_regions(ax: Any, grid: DecisionGrid, notes: list[str]) -> Any:
    """Draws colours and boundaries, and adds to ``notes``.

    Returns the contour set for a colour bar, or None if there is none.
    """
    planes = [drawn_plane(grid.margin(k)) for k in range(len(grid.outputs))]
    note_blanks(ax, planes[0], "output", notes)
    filled = None
    # the first class is drawn last, because ties belong to it
    for k, plane in reversed(list(enumerate(planes))):
        finite = in_order(plane)
        if not finite:
            continue
        points = (grid.xs, grid.ys, plane)
        lowest = finite[0]
        highest = finite[-1]
        if len(planes) == 1:
            from matplotlib.colors import LinearSegmentedColormap

            limit = quantile(sorted(map(abs, finite)), 0.9) or 1.0
            tints = [tint(BLUE, 0.6), "#ffffff", tint(ORANGE, 0.6)]
            colors = LinearSegmentedColormap.from_list("scores", tints)
            levels = spaced(-limit, limit, 13)
            filled = ax.contourf(*points, levels=levels, cmap=colors, extend="both")
        elif highest >= 0:
            color = tint(class_color(k), 0.35)
            ax.contourf(*points, levels=[0, 2 * highest or 1.0], colors=[color])
        if lowest < 0 < highest:
            ax.contour(*points, levels=[0.0], colors=DARK, linewidths=1.5, linestyles="-")
    return filled


def _draw_regression(ax: Any, fit: Fit, shown: _ShownSamples) -> str:
    """Draws the curve over the samples, and returns the title."""
    plane = drawn_plane(fit.outputs)
    note_blanks(ax, plane, "output", shown.notes)
    size = marker_size(len(shown.targets))
    xs = shown.columns[fit.feature]
    ax.scatter(xs, shown.targets, s=size, color=BLUE, label="samples", **SAMPLE_STYLE)
    ax.plot(fit.xs, *plane, color=ORANGE, linewidth=2.2, zorder=4, label="model")
    ax.set_ylabel("target, output")
    pairs = zip(shown.scores, shown.targets)
    errors = [score - target for (score,), target in pairs if drawable(score)]
    return f"Fit: rms error {math.hypot(*errors) / math.sqrt(len(errors)):.3g}" if errors else "Fit"


def _draw_scores(ax: Any, fit: Fit, shown: _ShownSamples, classes: _Classes) -> str:
    """Draws the score, or one curve for each class, and returns the title.

    With the score, samples are at their labels; otherwise they are on the curve of their class.
    """
    curves = drawn_plane(fit.outputs)
    note_blanks(ax, curves, "output", shown.notes)
    heights = shown.targets
    if len(curves) == 1:
        ax.axhline(0.0, color=GREY, linewidth=0.8)
        ax.plot(fit.xs, curves[0], color=DARK, linewidth=2, label="score")
        for (a, b), (x, y) in zip(pairwise(fit.xs), pairwise(curves[0])):
            if x <= 0 < y or y <= 0 < x:
                ax.axvline(a + (b - a) * (x / (x - y)), color=DARK, linestyle="--", linewidth=1)
    else:
        for k, curve in enumerate(curves):
            ax.plot(fit.xs, curve, color=class_color(k), linewidth=2)
        heights = [drawn(row[c]) for row, c in zip(shown.scores, classes.of_samples)]
    _scatter(ax, shown.columns[fit.feature], heights, classes)
    ax.set_ylabel("score" if len(curves) == 1 else "output for each class")
    return f"Decision: {classes.score}"


def _scatter(ax: Any, xs: Sequence[float], ys: Sequence[float], classes: _Classes) -> None:
    """Draws the samples of each class, and a ring around misclassified samples."""
    size = marker_size(len(xs))
    points = list(zip(xs, ys))
    for k, name in enumerate(classes.names):
        mine = [point for point, c in zip(points, classes.of_samples) if c == k]
        if mine:
            style = {"color": class_color(k), "marker": MARKERS[k % len(MARKERS)], **SAMPLE_STYLE}
            ax.scatter(*zip(*mine), s=size, label=name, **style)
    if classes.wrong:
        label = f"misclassified ({len(classes.wrong)})"
        ring = {"facecolors": "none", "edgecolors": DARK, "linewidths": 1.2, "zorder": 4}
        ax.scatter(*zip(*[points[i] for i in classes.wrong]), s=4 * size, label=label, **ring)
