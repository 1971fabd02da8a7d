"""Plots of a model around its samples: regions over two features, or a curve over one.  A part of
`viz.plots`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from tinygrad_edu.diagnosis.inspection import check_model, entries, quantile
from tinygrad_edu.errors import number

from .analysis import DecisionGrid, Fit, decision_grid, fitted_curve
from .figures import (
    BLANK,
    BLUE,
    DARK,
    GREY,
    MARKERS,
    ORANGE,
    class_color,
    drawable_plane,
    figure_and_axes,
    is_int,
    literal,
    marker_size,
    note_blanks,
    tint,
    title_and_legend,
)
from .ranges import drawable, spaced
from .samples import class_indices, outputs, predicted_class, samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def decision_boundary(
    model: Callable[[Any], Any],
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

    features        the two features that vary, or one; by default the first two, or the only one.
                    All others stay at their means over ``X``, as the title says.  The picture is
                    a section through the input space: a sample far from it may be classified
                    correctly although it appears in the region of another class
    resolution      points along an axis; by default 50 (2,500 calls of the model), or 200 for one
                    feature
    margin          how far the picture reaches beyond the samples, as a fraction of their span
    feature_names   for the axes, such as ``data.iris().feature_names``
    class_names     for the legend
    ax              an existing Axes to draw into; by default a new Figure is made

    The model runs in evaluation mode, without recording.  Samples that contain nan or inf are left
    out, and outputs that are not finite are blank; the title says so.  Returns the Figure.

    Raises:
        TypeError: the model cannot be called, or a sample or a label is not a number.
        ValueError: there are no samples, the labels fit neither the samples nor the outputs, or a
            feature does not exist.
        RenderError: matplotlib is not installed.
    """
    drawn = _drawn_samples(model, X, y, feature_names)
    if features is None:
        features = (0, 1) if len(drawn.columns) > 1 else 0
    own = ax is None
    if isinstance(features, (tuple, list)):
        size = 50 if resolution is None else resolution
        grid = decision_grid(
            model, drawn.inputs, features=features, margin=margin, resolution=size
        )
        classes = _classes(drawn, class_names)
        figure, ax = figure_and_axes(ax, 6.5, 5.4)
        shown = _draw_regions(ax, grid, drawn.notes)
        if own and shown is not None:
            figure.colorbar(shown, ax=ax, label="score", ticks=shown.levels[::3], format="%.2g")
        i, j = grid.features
        _scatter(ax, drawn.columns[i], drawn.columns[j], classes)
        ax.set_xlabel(drawn.names[i])
        ax.set_ylabel(drawn.names[j])
        title = f"Decision boundary: {_score_text(classes)}"
        fixed = grid.fixed
    else:
        size = 200 if resolution is None else resolution
        fit = fitted_curve(model, drawn.inputs, feature=features, margin=margin, resolution=size)
        regression = len(fit.outputs) == 1 and not drawn.has_int_labels
        figure, ax = figure_and_axes(ax, 7, 4.5)
        if regression:
            title = _draw_regression(ax, fit, drawn)
        else:
            title = _draw_scores(ax, fit, drawn, _classes(drawn, class_names))
        ax.set_xlabel(drawn.names[fit.feature])
        fixed = fit.fixed
    if fixed:
        means = [f"{drawn.names[k]}\u00a0=\u00a0{x:.3g}" for k, x in fixed[:4]]
        if len(fixed) > 4:
            means.append(f"{len(fixed) - 4} more")
        drawn.notes.insert(0, f"the other features stay at their means: {', '.join(means)}")
    title_and_legend(ax, "\n".join([title, *drawn.notes]))
    return figure


@dataclass(frozen=True, slots=True)
class _DrawnSamples:
    """The samples that can be drawn, with their targets and the model's outputs.

    inputs            the samples as the model takes them
    columns           the samples by feature
    has_int_labels    whether the targets were given as ints, that is as classes
    names             names of the features
    notes             lines of the title about what is not shown
    """

    inputs: Sequence[Any]
    columns: Sequence[Sequence[float]]
    targets: Sequence[float]
    scores: Sequence[Sequence[float]]
    has_int_labels: bool
    names: Sequence[str]
    notes: list[str]


def _drawn_samples(
    model: Callable[[Any], Any],
    X: Iterable[Any],
    y: Iterable[Any],
    feature_names: Sequence[str] | None,
) -> _DrawnSamples:
    check_model(model)
    table = samples(X)
    labels = entries(y, "y", "labels: a number for each sample")
    if len(labels) != len(table.rows):
        raise ValueError(
            f"decision_boundary: y must have {len(table.rows)} labels, one for each sample, not "
            f"{len(labels)}"
        )
    targets = [number(label, f"y[{i}]") for i, label in enumerate(labels)]
    kept = [i for i, row in enumerate(table.rows) if all(map(drawable, (*row, targets[i])))]
    if not kept:
        raise ValueError(
            "every sample contains nan or infinity; give at least one of finite numbers"
        )
    left = len(labels) - len(kept)
    inputs = [table.input(table.rows[i]) for i in kept]
    names = [f"feature {i}" for i in range(table.features)]
    if feature_names is not None:
        names = list(map(literal, feature_names))
    if len(names) != table.features:
        raise ValueError(
            f"decision_boundary: feature_names must have {table.features} names, one for each "
            f"feature, not {len(names)}"
        )
    return _DrawnSamples(
        inputs=inputs,
        columns=list(zip(*[table.rows[i] for i in kept])),
        targets=[targets[i] for i in kept],
        scores=outputs(model, inputs),
        has_int_labels=all(map(is_int, labels)),
        names=names,
        notes=[f"{left} of {len(labels)} samples left out: {BLANK}"] if left else [],
    )


@dataclass(frozen=True, slots=True)
class _Classes:
    """The class of each sample, the names of all classes, and the positions of misclassified
    samples."""

    of_samples: Sequence[int]
    names: Sequence[str]
    wrong: Sequence[int]


def _classes(drawn: _DrawnSamples, names: Sequence[str] | None) -> _Classes:
    size = len(drawn.scores[0])
    of_samples = class_indices(drawn.targets, size)
    labels = list(map(str, range(size)))
    if size == 1:
        labels = ["-1" if -1 in drawn.targets else "0", "1"]
    if names is not None and len(names) < len(labels):
        raise ValueError(
            f"decision_boundary: class_names must have {len(labels)} names, one for each class, "
            f"not {len(names)}"
        )
    wrong = [i for i, c in enumerate(of_samples) if predicted_class(drawn.scores[i]) != c]
    shown = names or [f"class {label}" for label in labels]
    return _Classes(of_samples, list(map(literal, shown)), wrong)


def _score_text(classes: _Classes) -> str:
    count = len(classes.of_samples)
    return f"{count - len(classes.wrong)} of {count} samples right"


def _draw_regions(ax: Any, grid: DecisionGrid, notes: list[str]) -> Any:
    """Draws colours and boundaries, and adds to ``notes``.

    Returns the contour set for a colour bar, or None if there is none.
    """
    planes = [drawable_plane(grid.margin(k)) for k in range(len(grid.outputs))]
    note_blanks(ax, list(chain(*planes[0])), "output", notes)
    filled = None
    # the first class is drawn last, because ties belong to it
    for k, plane in reversed(list(enumerate(planes))):
        finite = sorted(z for z in chain(*plane) if z == z)
        if not finite:
            continue
        if len(planes) == 1:
            from matplotlib.colors import LinearSegmentedColormap

            limit = quantile(sorted(map(abs, finite)), 0.9) or 1.0
            colors = LinearSegmentedColormap.from_list(
                "scores", [tint(BLUE, 0.6), "#ffffff", tint(ORANGE, 0.6)]
            )
            levels = spaced(-limit, limit, 13)
            filled = ax.contourf(grid.xs, grid.ys, plane, levels=levels, cmap=colors, extend="both")
        elif finite[-1] >= 0:
            ax.contourf(
                grid.xs,
                grid.ys,
                plane,
                levels=[0, 2 * finite[-1] or 1.0],
                colors=[tint(class_color(k), 0.35)],
            )
        if finite[0] < 0 < finite[-1]:
            ax.contour(
                grid.xs, grid.ys, plane, levels=[0.0], colors=DARK, linewidths=1.5, linestyles="-"
            )
    return filled


def _draw_regression(ax: Any, fit: Fit, drawn: _DrawnSamples) -> str:
    """Draws the curve over the samples; returns the title."""
    curve, = drawable_plane(fit.outputs)
    note_blanks(ax, curve, "output", drawn.notes)
    ax.scatter(
        drawn.columns[fit.feature],
        drawn.targets,
        s=marker_size(len(drawn.targets)),
        color=BLUE,
        edgecolors="white",
        linewidths=0.6,
        zorder=3,
        label="samples",
    )
    ax.plot(fit.xs, curve, color=ORANGE, linewidth=2.2, zorder=4, label="model")
    ax.set_ylabel("target, output")
    pairs = zip(drawn.scores, drawn.targets)
    errors = [score - target for (score,), target in pairs if drawable(score)]
    return f"Fit: rms error {math.hypot(*errors) / math.sqrt(len(errors)):.3g}" if errors else "Fit"


def _draw_scores(ax: Any, fit: Fit, drawn: _DrawnSamples, classes: _Classes) -> str:
    """Draws the score with the samples at their labels, or one curve for each class with its
    samples on it; returns the title."""
    curves = drawable_plane(fit.outputs)
    note_blanks(ax, list(chain(*curves)), "output", drawn.notes)
    heights = list(drawn.targets)
    if len(curves) == 1:
        ax.axhline(0.0, color=GREY, linewidth=0.8)
        ax.plot(fit.xs, curves[0], color=DARK, linewidth=2, label="score")
        for (a, b), (x, y) in zip(pairwise(fit.xs), pairwise(curves[0])):
            if (x > 0) != (y > 0) and x == x and y == y:
                ax.axvline(a + (b - a) * (x / (x - y)), color=DARK, linestyle="--", linewidth=1)
    else:
        for k, curve in enumerate(curves):
            ax.plot(fit.xs, curve, color=class_color(k), linewidth=2)
        heights = [
            row[c] if drawable(row[c]) else math.nan
            for row, c in zip(drawn.scores, classes.of_samples)
        ]
    _scatter(ax, drawn.columns[fit.feature], heights, classes)
    ax.set_ylabel("score" if len(curves) == 1 else "output for each class")
    return f"Decision: {_score_text(classes)}"


def _scatter(ax: Any, xs: Sequence[float], ys: Sequence[float], classes: _Classes) -> None:
    for k, name in enumerate(classes.names):
        mine = [i for i, c in enumerate(classes.of_samples) if c == k]
        if mine:
            ax.scatter(
                [xs[i] for i in mine],
                [ys[i] for i in mine],
                s=marker_size(len(xs)),
                color=class_color(k),
                zorder=3,
                marker=MARKERS[k % len(MARKERS)],
                edgecolors="white",
                linewidths=0.6,
                label=name,
            )
    if classes.wrong:
        ax.scatter(
            [xs[i] for i in classes.wrong],
            [ys[i] for i in classes.wrong],
            s=4 * marker_size(len(xs)),
            zorder=4,
            facecolors="none",
            edgecolors=DARK,
            linewidths=1.2,
            label=f"misclassified ({len(classes.wrong)})",
        )
