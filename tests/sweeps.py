"""Functions that sweeps train with: at the top level of a module, so that workers can import them.
"""

import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from tinygrad_edu import History, data, fit, nn, optim
from tinygrad_edu.train.sweeping import training

GRID = {"lr": [0.01, 0.1, 1e200], "layers": [[4], (3, 2)]}
X, Y = data.moons(24, rng=0)


def make(seed, lr, layers=(4,), engine="eager", epochs=3):
    """Trains for a few epochs; 1e200 is a learning rate at which the loss is not finite."""
    model = nn.MLP(2, [*layers, 1], rng=seed)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    history = fit(
        model, nn.hinge, X, Y, optimizer=optimizer, epochs=epochs, batch_size=8, rng=seed,
        metrics=[nn.accuracy], engine=engine,
    )
    return history, {"weight": model.parameters()[0].data}


def longer(seed, lr):
    """Takes about a tenth of a second."""
    time.sleep(0.05)
    return make(seed, lr, epochs=8)


def without_rng(seed, lr):
    """Draws from the module `random`, as programs for micrograd do."""
    model = nn.MLP(2, [4, 1])
    time.sleep(0.01)
    optimizer = optim.SGD(model.parameters(), lr=lr + random.random())
    return fit(model, nn.hinge, X, Y, optimizer=optimizer, epochs=2, batch_size=8)


def quick(seed, lr, n=0):
    """Returns a history without training."""
    history = History()
    history.loss = [1.0, lr / 3 + seed]
    history.learning_rates = history.seconds = [lr, lr]
    history.epoch_ends = [1, 2]
    return history


def dying(seed, lr, flag):
    """Ends its process at the learning rate 1, if there is a file, which it removes if asked to."""
    place, _, often = flag.partition("?")
    if lr == 1.0 and Path(place).exists():
        if often != "always":
            Path(place).unlink()
        os._exit(1)
    return make(seed, lr)


def failing(seed, lr):
    """Raises in different ways."""
    if lr == 1.0:
        raise ImportError("no module named\nsuch")
    if lr == 2.0:
        sys.exit("an exit")
    return make(seed, lr)


MODEL = nn.MLP(2, [4, 1], rng=0)
LEAF = MODEL.parameters()[0]


def train_outside(lr):
    """Trains a model of this module."""
    return fit(MODEL, nn.hinge, X, Y, optimizer=optim.SGD(MODEL.parameters(), lr=lr), epochs=1)


def outside(seed, lr):
    """Trains a model of this module, by another function."""
    return train_outside(lr)


def of_default(seed, lr, model=MODEL):
    """Trains a model that is a default."""
    return fit(model, nn.hinge, X, Y, optimizer=optim.SGD(model.parameters(), lr=lr), epochs=1)


def nothing(seed, lr):
    """Returns nothing."""


def a_pair(seed, lr):
    """Returns the model and the history."""
    return MODEL, quick(seed, lr)


def a_text(seed, lr):
    """Returns a figure that is text."""
    return quick(seed, lr), {"accuracy": "high"}


def compute_otherwise():
    """Makes the worker one whose C library has other last digits."""
    usual = training.run_named
    training.run_named = lambda *args: replace(usual(*args), arithmetic="other digits")
