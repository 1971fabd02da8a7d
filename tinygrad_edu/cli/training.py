"""The command train: trains a network on a data set of the user's choice."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import NonFiniteError
from .arguments import Commands, add_option, batch_size, positive, sizes
from .output import folder, list_files, live_page, save_run

DATA_SETS = ("iris", "moons", "circles", "xor", "spirals", "blobs", "line")

DEFAULT_RATES = {"sgd": 0.1, "momentum": 0.05, "rmsprop": 0.01, "adam": 0.02, "adamw": 0.02}

OPTIMIZERS = tuple(DEFAULT_RATES)


def run_train(options: argparse.Namespace) -> int:
    """Trains a network on a data set of the user's choice."""
    from .. import data, nn
    from ..train import fit

    out = folder(options.out)
    rng = random.Random(options.seed)
    inputs, targets, outputs, loss = _data_set(options.data, rng)
    inputs, targets, test_inputs, test_targets = data.split(
        inputs, targets, stratify=options.data != "line", rng=rng
    )
    scale = data.Standardiser(inputs)
    inputs = scale(inputs)
    test_inputs = scale(test_inputs)
    model = nn.MLP(
        len(inputs[0]),
        [*options.layers, outputs],
        activation=options.activation,
        init="he" if options.activation == "relu" else "xavier",
        rng=rng,
    )
    optimizer = _optimizer(options, model)
    try:
        history = fit(
            model, loss, inputs, targets, optimizer=optimizer, epochs=options.epochs,
            batch_size=options.batch_size, penalty=_penalty(options, model),
            metrics=[] if options.data == "line" else [nn.accuracy],
            engine=options.engine, progress=True, rng=rng,
            record_every=1 if options.live else None,
        )
    except NonFiniteError as error:
        if error.history.loss:
            list_files(out, save_run(out, model, optimizer, error.history))
        raise
    written = save_run(out, model, optimizer, history) if history.loss else []
    print(history)
    if options.live and history.loss:
        names = data.iris().feature_names if options.data == "iris" else None
        written.append(live_page(history, out / "live.html", f"training on {options.data}", names))
    _print_test([model(x) for x in test_inputs], test_targets, loss)
    list_files(out, written)
    return 0


def _data_set(name: str, rng: random.Random) -> tuple[Any, Any, int, Any]:
    """Returns inputs, targets, the number of outputs that the model needs, and the loss."""
    from .. import data, nn

    if name == "line":
        inputs, targets = data.line(100, rng=rng)
        return inputs, targets, 1, nn.mse
    if name in ("moons", "circles", "xor"):
        inputs, targets = getattr(data, name)(200, rng=rng)
        return inputs, targets, 1, nn.hinge
    samples, classes = data.iris() if name == "iris" else getattr(data, name)(210, rng=rng)
    return samples, classes, len(set(classes)), nn.cross_entropy


def _optimizer(options: argparse.Namespace, model: Any) -> Any:
    """Returns the optimiser that the options choose."""
    from .. import optim

    rate = DEFAULT_RATES[options.optimizer] if options.lr is None else options.lr
    makers: dict[str, Callable[..., Any]] = {
        "sgd": optim.SGD,
        "momentum": partial(optim.SGD, momentum=0.9),
        "rmsprop": optim.RMSprop,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
    }
    return makers[options.optimizer](model.parameters(), rate)


def _penalty(options: argparse.Namespace, model: Any) -> Callable[[], Any] | None:
    """Returns the penalty on squared weights for `fit`; None for --l2 0."""
    from .. import nn

    def penalty() -> Any:
        return options.l2 * nn.l2(model.parameters())

    return penalty if options.l2 else None


def _print_test(predictions: Sequence[Any], targets: Sequence[Any], loss: Any) -> None:
    """Prints how good the model is on the held-out samples."""
    from .. import nn

    if loss is nn.mse:
        mean = sum(float(loss(p, t)) for p, t in zip(predictions, targets)) / len(targets)
        print(f"mean squared error on the {len(targets)} points held out: {mean:.4g}")
        return
    correct = sum(map(nn.accuracy, predictions, targets))
    print(f"test accuracy: {correct / len(targets):.1%} ({correct:.0f} of {len(targets)})")


def add_command(commands: Commands) -> None:
    """Adds train."""
    command = commands.add_parser("train", help="train a network on a data set of your choice")
    _add_model(command)
    _add_run(command)
    command.set_defaults(run=run_train)


def _add_model(command: argparse.ArgumentParser) -> None:
    """Adds the arguments for what is trained: data, network and optimiser."""
    add_option(command, "--data", "moons", choices=DATA_SETS)
    command.add_argument(
        "--layers", type=sizes, default=[16, 16], help="sizes of the hidden layers (default: 16,16)"
    )
    add_option(command, "--activation", "relu", what="of the hidden layers")
    add_option(command, "--optimizer", "adam", choices=OPTIMIZERS)
    command.add_argument(
        "--lr", type=float, help="learning rate (default: depends on the optimiser)"
    )


def _add_run(command: argparse.ArgumentParser) -> None:
    """Adds the arguments for how it is trained."""
    add_option(command, "--epochs", 50, positive)
    add_option(command, "--batch-size", 16, batch_size, "0 for full batches")
    command.add_argument(
        "--l2",
        type=float,
        default=0.0,
        help="factor of the penalty on squared weights (default: 0)",
    )
    what = "jit: machine code; needs llvmlite"
    add_option(command, "--engine", "eager", what=what, choices=("eager", "jit"))
    add_option(command, "--seed", 0, int)
    command.add_argument(
        "--live", action="store_true", help="also write live.html, a page that plays the run"
    )
    add_option(command, "--out", Path("train-output"), Path, "folder to write to")
