"""Training for the experiments of lessons, as fast as this computer can."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ....errors import TrainingWarning
from ....jit.running import objects
from ....optim import Optimizer
from ....train import History, fit


def fitted(
    model: Callable[[Any], Any],
    loss: Callable[[Any, Any], Any],
    X: Sequence[Any],
    y: Sequence[Any],
    optimizer: Optimizer,
    epochs: int,
    **options: Any,
) -> History:
    """Trains a model with `fit`, compiled if llvmlite is installed, and returns the history.

    Both engines have the same bits.  Some experiments show runs that do not learn, so `fit` does
    not warn of them.

    options: other arguments of `fit`.
    """
    engine = "jit" if objects.available() else "eager"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        return fit(
            model, loss, X, y, optimizer=optimizer, epochs=epochs, engine=engine, **options
        )
