"""The frames of a training run: the model at each snapshot, next to the loss of every step.

matplotlib draws them from the records of `training.frames`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from tinygrad_edu.diagnosis.inspection import quantile
from tinygrad_edu.errors import counted
from tinygrad_edu.train import History

from ..plotting.figures import (
    BLUE,
    DARK,
    GREY,
    MARKERS,
    ORANGE,
    class_color,
    figure_and_axes,
    literal,
    marker_size,
    tint,
    title_and_legend,
)
from ..plotting.ranges import drawn, spaced
from ..plotting.training_plots import LOG_RANGE
from ..training.frames import frames
from ..training.records import Frame, Number, Point, RunRecords
from .pixels import libraries, png_of

SIZE = 10.0, 5.2  # inches, of a frame
POINTS_PER_INCH = 72
NEAR_ZERO = 1e-12  # means of standardised features are 0 up to rounding, and are written as 0
SAMPLE_STYLE: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.6, "zorder": 3}
TITLES = {
    "boundary": "what the model decides",
    "fit": "what the model computes",
    "regression": "predictions against targets",
}


def run_of(
    history: History,
    max_frames: int,
    features: tuple[int, int] | None,
    feature_names: Sequence[str] | None,
    show: Callable[[float], None],
) -> RunRecords:
    """Returns the records of a training run that can be animated.

    show: called with the share of the work that is done.

    Raises:
        ValueError: there is no picture of the model; others as in `training.frames.frames`.
    """
    run = frames(
        history,
        max_frames=max_frames,
        features=features,
        feature_names=feature_names,
        progress=lambda done, of: show(done / of),
        who="animate",
    )
    if run.kind == "none":
        why = next(iter(run.notes), "").removeprefix("No picture: ").rstrip(".")
        raise ValueError(
            f"animate: the history must be of a model with a picture, but {why}; for the loss and "
            "the graph of a sample, write viz.explore(history)"
        )
    return run


def name_of(run: RunRecords) -> str:
    """Returns what the animation shows, in words."""
    losses = [x for _, x in run.loss if x is not None]
    fell = f", from {losses[0]:.3g} to {losses[-1]:.3g}" if losses else ""
    steps = counted(run.steps, "step")
    return f"a training run: {TITLES[run.kind]}, next to the loss of {steps}{fell}"


def run_pictures(run: RunRecords, dpi: float, show: Callable[[float], None]) -> list[bytes]:
    """Returns the frames as PNG files.

    dpi: pixels for each inch of `SIZE`.
    """
    figure, left = figure_and_axes(None, *SIZE)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    left.remove()
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    caption = figure.suptitle(" ", fontsize=14)
    model = _Model(left, run)
    show_loss = _draw_loss(right, run)
    canvas: Any = FigureCanvasAgg(figure)
    _, pillow = libraries()
    pictures = []
    for i, frame in enumerate(run.frames):
        caption.set_text(_caption(run, frame))
        model.show(frame)
        show_loss(frame)
        canvas.draw()
        figure.set_layout_engine("none")  # from now on nothing moves
        image = pillow.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
        pictures.append(png_of(image.convert("RGB")))
        show((i + 1) / len(run.frames))
    return pictures


def _caption(run: RunRecords, frame: Frame) -> str:
    loss = "not finite" if frame.loss is None else f"{frame.loss:.4g}"
    return f"step {frame.step} of {run.steps}: loss {loss}"


class _Model:
    """The picture of the model in an Axes, changed from frame to frame."""

    def __init__(self, ax: Any, run: RunRecords) -> None:
        self.ax = ax
        self.run = run
        self.artists: list[Any] = []  # of the frame that is shown
        horizontal, vertical = run.axes
        ax.set(
            xlabel=literal(horizontal.label), xlim=(horizontal.low, horizontal.high),
            ylabel=literal(vertical.label), ylim=(vertical.low, vertical.high),
        )
        scores = [abs(x) for row in run.frames[-1].scores for x in row if x is not None]
        self.limit = quantile(sorted(scores), 0.9) or 1.0 if scores else 1.0
        if run.kind == "regression":
            ends = horizontal.low, horizontal.high
            ax.plot(ends, ends, color=GREY, linewidth=1, zorder=1, label="correct")
        else:
            _draw_samples(ax, run)
        title_and_legend(ax, _title(run))

    def show(self, frame: Frame) -> None:
        """Replaces what depends on the model."""
        for artist in self.artists:
            artist.remove()
        self.artists = list(getattr(self, f"_draw_{self.run.kind}")(frame))

    def _draw_boundary(self, frame: Frame) -> Any:
        run = self.run
        points = run.xs, run.ys
        if run.outputs == 1:
            from matplotlib.colors import LinearSegmentedColormap

            tints = [tint(BLUE, 0.6), "#ffffff", tint(ORANGE, 0.6)]
            colors = LinearSegmentedColormap.from_list("scores", tints)
            levels = spaced(-self.limit, self.limit, 13)
            plane = [list(map(_number, row)) for row in frame.scores]
            yield self.ax.contourf(*points, plane, levels=levels, cmap=colors, extend="both")
            planes = [plane]
        else:
            planes = [_margins(frame, k) for k in range(run.outputs)]
            for k, plane in enumerate(planes):
                highest = max(chain(*plane), default=0.0)
                if highest > 0:
                    color = tint(class_color(k), 0.35)
                    yield self.ax.contourf(*points, plane, levels=[0, 2 * highest], colors=[color])
        for plane in planes:
            finite = [x for x in chain(*plane) if x == x]
            if finite and min(finite) < 0 < max(finite):
                yield self.ax.contour(*points, plane, levels=[0.0], colors=DARK, linewidths=1.5)

    def _draw_fit(self, frame: Frame) -> Any:
        for k, curve in enumerate(frame.curves):
            color = ORANGE if len(frame.curves) == 1 else class_color(k)
            ys = list(map(_number, curve))
            yield from self.ax.plot(self.run.xs, ys, color=color, linewidth=2.2, zorder=4)

    def _draw_regression(self, frame: Frame) -> Any:
        xs = [_number(point.target[0]) for point in self.run.points]
        ys = [_number(row[0]) for row in frame.predictions]
        size = marker_size(len(xs))
        yield self.ax.scatter(xs, ys, s=size, color=BLUE, **SAMPLE_STYLE)


def _title(run: RunRecords) -> str:
    fixed = []
    for i, value in run.fixed:
        mean = 0 if value is None or abs(value) < NEAR_ZERO else value
        fixed.append(f"{literal(run.names[i])} at {mean:.3g}")
    return "\n".join([TITLES[run.kind], *([f"({', '.join(fixed)})"] if fixed else [])])


def _draw_samples(ax: Any, run: RunRecords) -> None:
    """Draws the samples of a boundary at their features, and of a fit at their targets."""
    size = marker_size(len(run.points))
    for k in sorted({point.label for point in run.points}):
        mine = [_place(run, point) for point in run.points if point.label == k]
        label = f"class {run.classes[k]}" if k >= 0 else "samples"
        style = {"color": class_color(max(k, 0)), "marker": MARKERS[max(k, 0) % len(MARKERS)]}
        ax.scatter(*zip(*mine), s=size, label=literal(label), **style, **SAMPLE_STYLE)


def _place(run: RunRecords, point: Point) -> tuple[float, float]:
    x, y = (*point.at, *point.target)[:2]
    # with one curve for each class: at the height of the class
    if run.kind == "fit" and run.outputs > 1 and point.label >= 0:
        y = float(point.label)
    return _number(x), _number(y)


def _margins(frame: Frame, k: int) -> list[list[float]]:
    """Returns by how much class ``k`` wins at each point; negative numbers where it loses."""
    return [
        [_number(x) if winner == k else -_number(x) for x, winner in zip(row, winners)]
        for row, winners in zip(frame.scores, frame.winners)
    ]


def _draw_loss(ax: Any, run: RunRecords) -> Callable[[Frame], None]:
    """Draws the loss of every step, faint, and returns a function that shows it up to a frame."""
    steps = [step for step, _ in run.loss]
    losses = [_number(x) for _, x in run.loss]
    finite = [x for x in losses if x == x]
    ax.plot(steps, losses, color=BLUE, linewidth=1, alpha=0.3)
    (done,) = ax.plot([], [], color=BLUE, linewidth=1.6)
    (now,) = ax.plot([], [], "o", color=ORANGE, markersize=8, markeredgecolor="white", zorder=4)
    label = "loss"
    if finite and min(finite) > 0 and max(finite) / LOG_RANGE > min(finite):
        ax.set_yscale("log")
        label = "loss (logarithmic)"
    elif finite and min(finite) >= 0:
        ax.set_ylim(0, 1.05 * max(finite) or 1.0)
    ax.set(xlabel="step", ylabel=label)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title("the loss of each step")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)

    def show(frame: Frame) -> None:
        count = sum(step <= frame.step for step in steps)
        done.set_data(steps[:count], losses[:count])
        now.set_data([frame.step], [_number(frame.loss)])

    return show


def _number(x: Number) -> float:
    """Returns a number that matplotlib can draw; nan in place of others."""
    return math.nan if x is None else drawn(x)
