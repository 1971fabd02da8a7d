"""Plots with matplotlib (the extra ``plots``) to show, to save, or to draw into your Axes.

    viz.plots.loss(history)                        the loss of a training run
    viz.plots.decision_boundary(model, X, y)       predictions: regions, or a curve for one feature
    viz.plots.gradient_flow(model, X)              gradients by layer: vanishing, exploding, dead
    viz.plots.activation_histograms(model, X)      the outputs of each layer
    viz.plots.loss_surface(loss, p, q, path=path)  the loss over two parameters, and a descent
    viz.plots.sweep(sweep)                         the loss against the learning rate, of many runs
    viz.plots.derivatives("tanh")                  a primitive and its derivatives over its domain

Each takes ``ax=``, an existing Axes to draw into, and returns the Figure; by default a new Figure
is made::

    figure = viz.plots.loss(history)
    figure.savefig("loss.png")

In a notebook that shows the figures of pyplot by itself, end a line such as
``viz.plots.loss(history, ax=ax)`` with a semicolon; otherwise the figure appears twice.

These functions do not use pyplot: they do not change matplotlib's global state, open no window,
and leave the other Axes of a figure alone.  The numbers come from
`tinygrad_edu.diagnosis.inspection`, `analysis` and `curves`, which work without matplotlib.  All
raise RenderError if matplotlib is not installed.
"""

from .boundary import decision_boundary
from .derivative_plots import derivatives
from .layer_plots import activation_histograms, gradient_flow
from .sweep_plot import sweep
from .training_plots import loss, loss_surface

__all__ = [
    "activation_histograms",
    "decision_boundary",
    "derivatives",
    "gradient_flow",
    "loss",
    "loss_surface",
    "sweep",
]


def __dir__() -> list[str]:
    """Returns the names of the plots only, which is what a notebook completes."""
    return __all__
