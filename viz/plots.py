"""Plots by matplotlib (the extra ``plots``), as Figures that can be shown, saved, or drawn into an Axes of yours.

No pyplot: nothing here changes matplotlib's global state, and no window opens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import RenderError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinygrad_edu.train import History

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#9aa5b1"  # of the Okabe-Ito palette, told apart by the colour-blind
LOG_RANGE = 1e4  # a loss that spans more than this factor is drawn on a logarithmic axis


def loss(history: History, ax: Axes | None = None) -> Figure:
    """The loss of every step, its mean over every epoch, and the metrics on an axis of their own.

    The axis is logarithmic if the losses span more than a factor of `LOG_RANGE`, as those of a run that diverged do;
    losses that are nan or infinite are left out.

    ``ax`` is an existing Axes to draw into; by default a new Figure is made.  Returns the Figure.
    Raises RenderError if matplotlib is not installed, ValueError for a history without steps.
    """
    if not history.loss:
        raise ValueError("the history has no steps, so there is no loss to plot")
    figure, ax = _figure(ax)
    losses = [x if math.isfinite(x) else math.nan for x in history.loss]
    ends = history.epoch_ends
    several = len(ends) < len(history)  # steps an epoch
    ax.plot(range(1, len(history) + 1), losses, color=BLUE, alpha=0.35 if several else 1, linewidth=1 if several else 2,
            label="loss of a step")
    if several and ends:
        ax.plot(ends, [_mean(losses[start:end]) for start, end in zip([0, *ends], ends)], color=BLUE, linewidth=2,
                label="mean of an epoch")
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    finite = [x for x in losses if math.isfinite(x)]
    positive = [x for x in finite if x > 0]
    if positive and max(positive) / LOG_RANGE > min(positive):
        # Limits of our own: the margin that matplotlib adds can lie beyond the largest float.
        ax.set_ylim(max(min(positive) / 2, 1e-300), min(max(positive) * 2, 1e308))
        ax.set_yscale("log", nonpositive="mask")
    elif finite and min(finite) >= 0:
        ax.set_ylim(bottom=0)
    ax.set_title("Training", pad=30)
    lines = list(ax.get_lines())
    if any(history.metrics.values()):
        right = ax.twinx()
        for (name, values), style in zip(history.metrics.items(), ["-", "--", ":", "-."] * len(history.metrics)):
            lines += right.plot(ends, values, color=ORANGE, linestyle=style, label=name)
        right.set_ylabel(", ".join(history.metrics), color=ORANGE)
        right.spines["top"].set_visible(False)
    ax.spines["top"].set_visible(False)
    ax.legend(lines, [str(line.get_label()) for line in lines], loc="lower center", bbox_to_anchor=(0.5, 1),
              ncols=len(lines), frameon=False)  # above the lines, which it would cover elsewhere
    return figure


def _figure(ax: Axes | None) -> tuple[Figure, Any]:
    if ax is not None:
        return ax.get_figure(root=True), ax  # type: ignore[return-value]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RenderError("plots need matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    return figure, figure.add_subplot()


def _mean(numbers: Sequence[float]) -> float:
    return sum(x / len(numbers) for x in numbers)  # a sum of losses near the largest float is infinite
