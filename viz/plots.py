"""Plots by matplotlib (the extra ``plots``), as Figures that can be shown, saved, or drawn into an Axes of yours.

No pyplot: nothing here changes matplotlib's global state, and no window opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import RenderError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinygrad_edu.train import History

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#9aa5b1"  # of the Okabe-Ito palette, told apart by the colour-blind


def loss(history: History, ax: Axes | None = None) -> Figure:
    """The loss of every step, its mean over every epoch, and the metrics on an axis of their own.

    ``ax`` is an existing Axes to draw into; by default a new Figure is made.  Returns the Figure.
    Raises RenderError if matplotlib is not installed, ValueError for a history without steps.
    """
    if not history.loss:
        raise ValueError("the history has no steps, so there is no loss to plot")
    figure, ax = _figure(ax)
    steps_per_epoch = max(1, round(len(history) / max(history.epochs, 1)))
    ax.plot(range(1, len(history) + 1), history.loss, color=BLUE, alpha=0.35 if steps_per_epoch > 1 else 1,
            linewidth=1 if steps_per_epoch > 1 else 2, label="loss of a step")
    if steps_per_epoch > 1:
        ends = range(steps_per_epoch, len(history) + 1, steps_per_epoch)
        ax.plot(ends, [_mean(history.loss[end - steps_per_epoch:end]) for end in ends], color=BLUE, linewidth=2,
                label="mean of an epoch")
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    ax.set_ylim(bottom=0 if min(history.loss) >= 0 else None)
    ax.set_title("Training")
    lines = list(ax.get_lines())
    if any(history.metrics.values()):
        right = ax.twinx()
        for (name, values), style in zip(history.metrics.items(), ["-", "--", ":", "-."] * len(history.metrics)):
            at = [steps_per_epoch * (i + 1) for i in range(len(values))]
            lines += right.plot(at, values, color=ORANGE, linestyle=style, label=name)
        right.set_ylabel(", ".join(history.metrics), color=ORANGE)
        right.spines["top"].set_visible(False)
    ax.spines["top"].set_visible(False)
    ax.legend(lines, [str(line.get_label()) for line in lines], loc="center right", frameon=False)
    return figure


def _figure(ax: Axes | None) -> tuple[Figure, Any]:
    if ax is not None:
        return ax.get_figure(root=True), ax  # type: ignore[return-value]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RenderError('plots need matplotlib: pip install "tinygrad_edu[plots]"') from None
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    return figure, figure.add_subplot()


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
