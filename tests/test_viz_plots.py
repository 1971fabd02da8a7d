"""Plots of the loss: what is on the axes, also after a run that diverged."""

import builtins
import math

import pytest

from tinygrad_edu.errors import RenderError
from tinygrad_edu.train import History
from viz.plots import loss


def history(losses, epochs=1, **metrics):
    made = History(metrics)
    made.loss, made.metrics = losses, metrics
    made.epoch_ends = [len(losses) * (i + 1) // epochs for i in range(epochs)]
    return made


def axes(*args, **kwargs):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    figure = loss(history(*args, **kwargs))
    figure.canvas.draw()
    return figure.axes


def test_an_ordinary_run_has_a_linear_axis_from_zero():
    ax, = axes([2.0, 1.0, 0.5])
    assert ax.get_yscale() == "linear"
    assert ax.get_ylim()[0] == 0


def test_a_run_that_diverged_has_a_logarithmic_axis_without_what_is_not_finite():
    ax, = axes([2.0, 1e3, 1e100, 1e306, math.inf, math.nan])
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert 0 < low <= 2
    assert 1e306 <= high < math.inf


@pytest.mark.parametrize(("losses", "scale"), [
    ([1.0, 1e4], "linear"), ([1.0, 1.01e4], "log"), ([0.0, 1.0, 2.0], "linear"), ([-1.0, 1.0], "linear"),
    ([math.nan, math.inf], "linear"), ([0.0, 1e-9, 1.0], "log"), ([5e-324, 1e308], "log"),
])
def test_when_the_axis_is_logarithmic(losses, scale):
    assert axes(losses)[0].get_yscale() == scale


@pytest.mark.parametrize("metrics", [{}, {"accuracy": [0.5, 0.9]}])
def test_the_legend_covers_no_line(metrics):
    ax = axes([4.0, 3.0, 2.0, 1.0], epochs=2, **metrics)[0]
    legend, title = ax.get_legend().get_window_extent(), ax.title.get_window_extent()
    assert legend.y0 >= ax.get_window_extent().y1 - 1
    assert not legend.overlaps(title)
    assert len(ax.get_legend().get_texts()) == 2 + len(metrics)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RenderError, match="pip install matplotlib"):
        loss(history([1.0]))


def test_a_history_without_steps_is_an_error():
    with pytest.raises(ValueError, match="no steps"):
        loss(history([]))
