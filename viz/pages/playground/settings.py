"""The settings of the playground: one table, for its controls, its address and `viz.playground`.

The page reads it too: a setting in an address is checked as one that Python passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tinygrad_edu.errors import check_choice, check_name, check_number, short_repr

MOST_LAYERS = 6  # hidden layers
MOST_UNITS = 12  # of a hidden layer
MOST_POINTS = 400  # of the data set "own"


class Setting(NamedTuple):
    """A setting.

    group: where its control is: "data", "network", "training" or "penalties".
    label: what its control is called.
    usual: its usual value.
    choices: the values that the control offers; of texts no others are allowed.
    low, high: the range of a number.
    is_whole: whether it is a whole number.
    of: the values of another setting, by its name, for which this one has a meaning.
    """

    group: str
    label: str
    usual: Any
    choices: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0
    is_whole: bool = False
    of: tuple[str, tuple[str, ...]] = ("", ())


_SGD = ("momentum", "Nesterov")
_ADAM = ("Adam", "AdamW")

SETTINGS = {
    "data": Setting(
        "data", "data set", "moons",
        ("moons", "circles", "xor", "spirals", "blobs", "line", "own"),
    ),
    "samples": Setting("data", "samples", 200, (20, 50, 100, 200, 400), 4, 400, True),
    "noise": Setting("data", "noise", 0.1, (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), 0, 2),
    "test": Setting("data", "share of test data", 0.2, (0.0, 0.1, 0.2, 0.3, 0.5), 0, 0.9),
    "activation": Setting(
        "network", "activation", "tanh",
        ("tanh", "relu", "leaky_relu", "sigmoid", "silu", "softplus", "linear"),
    ),
    "init": Setting("network", "first weights", "xavier", ("uniform", "xavier", "he")),
    "loss": Setting(
        "training", "loss", "binary_cross_entropy", ("binary_cross_entropy", "hinge", "mse")
    ),
    "optimizer": Setting(
        "training", "optimiser", "descent",
        ("descent", "momentum", "Nesterov", "RMSprop", "Adam", "AdamW"),
    ),
    "rate": Setting(
        "training", "learning rate", 0.3,
        (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), 0, 1000,
    ),
    "momentum": Setting(
        "training", "momentum", 0.9, (0.5, 0.8, 0.9, 0.95, 0.99), 0, 0.9999,
        of=("optimizer", _SGD),
    ),
    "alpha": Setting(
        "training", "alpha", 0.99, (0.5, 0.9, 0.99, 0.999), 0, 0.99999,
        of=("optimizer", ("RMSprop",)),
    ),
    "beta1": Setting(
        "training", "beta 1", 0.9, (0.0, 0.5, 0.9, 0.99), 0, 0.99999, of=("optimizer", _ADAM)
    ),
    "beta2": Setting(
        "training", "beta 2", 0.999, (0.9, 0.99, 0.999), 0, 0.99999, of=("optimizer", _ADAM)
    ),
    "decay": Setting(
        "training", "weight decay", 0.01, (0.0, 0.001, 0.01, 0.1), 0, 10,
        of=("optimizer", ("AdamW",)),
    ),
    "schedule": Setting(
        "training", "schedule", "constant",
        ("constant", "linear", "cosine", "step_decay", "warmup"),
    ),
    "over": Setting(
        "training", "steps of the schedule", 1000, (100, 300, 1000, 3000), 1, 100_000, True,
        of=("schedule", ("linear", "cosine", "step_decay", "warmup")),
    ),
    "batch": Setting(
        "training", "batch size, 0 for all", 0, (0, 1, 4, 10, 32, 100), 0, 400, True
    ),
    "l1": Setting("penalties", "L1", 0.0, (0.0, 0.0001, 0.001, 0.003, 0.01), 0, 10),
    "l2": Setting("penalties", "L2", 0.0, (0.0, 0.0001, 0.001, 0.003, 0.01, 0.1), 0, 10),
    "dropout": Setting("penalties", "dropout", 0.0, (0.0, 0.1, 0.2, 0.3, 0.5), 0, 0.95),
    "seed": Setting("data", "random seed", 0, (), 0, 2**53 - 10, True),
}


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings of the playground, each checked.

    ``layers`` are the sizes of the hidden layers.

    Raises:
        TypeError: a setting does not exist, or a value is of another type.
        ValueError: a value is out of range.
    """
    found: dict[str, Any] = {}
    for name, x in given.items():
        if name == "layers":
            found[name] = _layers(x)
            continue
        try:
            check_name(name, "playground: a setting", ["layers", *SETTINGS])
        except ValueError as error:
            raise TypeError(str(error)) from None
        setting = SETTINGS[name]
        if isinstance(setting.usual, str):
            check_choice(x, f"playground: {name}", setting.choices)
            found[name] = x
            continue
        wanted = f"a{' whole' if setting.is_whole else ''} number"
        wanted += f" from {setting.low:g} to {setting.high:g}"
        number = check_number(x, f"playground: {name}", setting.low, wanted=wanted)
        if number > setting.high or (setting.is_whole and number != int(number)):
            raise ValueError(f"playground: {name} must be {wanted}, not {short_repr(x)}")
        found[name] = int(number) if setting.is_whole else float(number)
    return found


def _layers(x: Any) -> list[int]:
    sizes = [*x] if isinstance(x, (list, tuple)) else None
    are_sizes = sizes is not None and all(
        isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MOST_UNITS for n in sizes
    )
    if sizes is None or not are_sizes or len(sizes) > MOST_LAYERS:
        raise ValueError(
            f"playground: layers must be at most {MOST_LAYERS} sizes of hidden layers, each from 1 "
            f"to {MOST_UNITS}, such as [8, 8], not {short_repr(x)}"
        )
    return sizes


def as_data() -> dict[str, Any]:
    """Returns the table as the page reads it."""
    rows = {name: setting._asdict() for name, setting in SETTINGS.items()}
    return {
        "settings": rows, "mostLayers": MOST_LAYERS, "mostUnits": MOST_UNITS,
        "mostPoints": MOST_POINTS,
    }
