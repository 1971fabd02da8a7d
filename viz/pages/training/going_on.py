"""Whether the playground can go on with a training run, and what it needs for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_edu import nn, optim
from tinygrad_edu.nn.layers import Dropout, Layer
from tinygrad_edu.train import History
from tinygrad_edu.train.snapshots import Snapshot

from ..page import read
from ..playground.page import texts
from ..playground.settings import (
    MOST_LAYERS,
    MOST_POINTS,
    MOST_UNITS,
    SETTINGS,
    as_data,
)
from ..scripts import without_css_comments

EPS = 1e-8  # of optimisers that have one
MOST_NUMBERS = 20_000  # weights of all snapshots of a page
LOSSES = {
    nn.binary_cross_entropy: "binary_cross_entropy", nn.hinge: "hinge", nn.mse: "mse",
}


def going_on(history: History, snapshots: Sequence[Snapshot]) -> dict[str, Any] | None:
    """Returns what the playground needs to go on from each of the snapshots, or None.

    It is None if the playground has no such network, loss, optimiser or data.

    state: the settings that are not the usual ones.
    points: the samples.
    weights: before the update of each snapshot.
    rates: the learning rate of each snapshot.
    table, texts, style: see `playground.page`.
    """
    record: Any = history.training
    network = _network(record.model)
    optimizer = _optimizer(record.optimizer)
    loss = LOSSES.get(record.loss)
    if network is None or optimizer is None or loss is None:
        return None
    points = _points(record.X, record.y, loss)
    if points is None or record.is_penalised or record.max_norm is not None:
        return None
    order = {parameter: i for i, parameter in enumerate(record.parameters)}
    places = [order.get(parameter) for parameter in record.model.parameters()]
    if None in places or len(places) * len(snapshots) > MOST_NUMBERS:
        return None
    settings = {"loss": loss, "data": "own", "test": 0.0, "batch": record.batch_size or 0}
    return {
        "state": {**network, **optimizer, **settings},
        "points": points,
        "weights": [[snapshot.before[i] for i in places if i is not None]
                    for snapshot in snapshots],
        "rates": [history.learning_rates[snapshot.step - 1] for snapshot in snapshots],
        "table": as_data(),
        "texts": texts(),
        "style": without_css_comments(read("theme.css") + read("playground/playground.css")),
    }


def _network(model: Any) -> dict[str, Any] | None:
    """Returns the settings of a network that the playground has: layers, activation, dropout."""
    if not isinstance(model, nn.Sequential):
        return None
    parts = [part for part in model.layers if not isinstance(part, Dropout)]
    drops = {part.p for part in model.layers if isinstance(part, Dropout)}
    if not parts or not all(isinstance(part, Layer) for part in parts) or len(drops) > 1:
        return None
    layers: list[Any] = parts
    neurons = [layer.neurons for layer in layers]
    *hidden, last = [{neuron.activation for neuron in row} for row in neurons]
    sizes = [len(row) for row in neurons]
    kinds = set().union(*hidden) or {"linear"}
    is_known = (
        last == {"linear"} and sizes.pop() == 1 and len(kinds) == 1
        and kinds <= {*SETTINGS["activation"].choices}
        and len(sizes) <= MOST_LAYERS and max(sizes, default=1) <= MOST_UNITS
        and len(neurons[0][0].w) == 2
    )
    is_dropped = [isinstance(part, Dropout) for part in model.layers]
    expected = [i % 2 == 1 for i in range(len(is_dropped))] if drops else [False] * len(layers)
    if not is_known or is_dropped != expected:
        return None
    return {"layers": sizes, "activation": kinds.pop(), "dropout": max(drops, default=0.0)}


def _points(X: Any, y: Any, loss: str) -> list[list[float]] | None:
    """Returns samples of two features and two classes, with 0 or 1 as the third number."""
    if len(y) > MOST_POINTS:
        return None
    try:
        targets = [float(t) for t in y]
        samples = [[*map(float, x)] for x in X]
    except (TypeError, ValueError):  # targets that are lists or names, inputs that are texts
        return None
    labels = [0.0, 1.0] if loss == "binary_cross_entropy" else [-1.0, 1.0]
    if sorted({*targets}) != labels or any(len(x) != 2 for x in samples):
        return None
    return [[*x, float(t == 1)] for x, t in zip(samples, targets)]


def _optimizer(optimizer: Any) -> dict[str, Any] | None:
    """Returns the settings of an optimiser that the playground has."""
    kind = type(optimizer)
    if getattr(optimizer, "eps", EPS) != EPS:
        return None
    if kind is optim.SGD and not optimizer.weight_decay:
        name = "Nesterov" if optimizer.nesterov else "momentum"
        if not optimizer.momentum:
            return {"optimizer": "descent"}
        return {"optimizer": name, "momentum": optimizer.momentum}
    if kind is optim.RMSprop and not optimizer.weight_decay and not optimizer.momentum:
        return {"optimizer": "RMSprop", "alpha": optimizer.alpha}
    if kind in (optim.Adam, optim.AdamW):
        beta1, beta2 = optimizer.betas
        found = {"beta1": beta1, "beta2": beta2}
        if kind is optim.AdamW:
            return {"optimizer": "AdamW", "decay": optimizer.weight_decay, **found}
        if not optimizer.weight_decay:
            return {"optimizer": "Adam", **found}
    return None
