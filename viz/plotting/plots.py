"""Plots by matplotlib (the extra ``plots``), as Figures that can be shown, saved, or drawn into an
Axes of yours.

    viz.plots.loss(history)                            how training went
    viz.plots.decision_boundary(model, X, y)           what the model learnt: regions, or a curve
    for one feature
    viz.plots.gradient_flow(model, X)                  gradients layer by layer: vanishing,
    exploding, dead units
    viz.plots.activation_histograms(model, X)          what the layers put out
    viz.plots.loss_surface(loss, p, q, path=path)      the loss over two parameters, and the way of
    the descent
    viz.plots.derivatives("tanh")                      a primitive and its derivatives over its
    domain

Each takes ``ax=``, an existing Axes to draw into, and returns the Figure; without it a new Figure
is made::

    figure = viz.plots.loss(history)
    figure.savefig("loss.png")

No pyplot: nothing here changes matplotlib's global state, no window opens, and other Axes of a
figure stay as they are.  The numbers are those of `tinygrad_edu.diagnosis.inspection`, `analysis`
and `curves`, which can be had without a picture.  All raise RenderError if matplotlib is not
installed.
"""

from .boundary import decision_boundary
from .derivative_plots import derivatives
from .layer_plots import activation_histograms, gradient_flow
from .training_plots import loss, loss_surface

__all__ = [
    "activation_histograms",
    "decision_boundary",
    "derivatives",
    "gradient_flow",
    "loss",
    "loss_surface",
]


def __dir__() -> list[str]:
    """Returns the names of the plots only, which is what a notebook completes."""
    return __all__
