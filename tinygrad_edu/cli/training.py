"""The command train: trains a network on a data set of the user's choice."""

from __future__ import annotations

import argparse
import random
from typing import Any

from ..errors import NonFiniteError
from .arguments import SEED, Command, argument, batch_size, option, out_option, positive, sizes
from .output import accuracy_text, folder, list_files, save_run

DATA_SETS = ("iris", "moons", "circles", "xor", "spirals", "blobs", "line")

# from a name to the class in `optim`, the default learning rate and further options
OPTIMIZERS: dict[str, tuple[str, float, dict[str, float]]] = {
    "sgd": ("SGD", 0.1, {}),
    "momentum": ("SGD", 0.05, {"momentum": 0.9}),
    "rmsprop": ("RMSprop", 0.01, {}),
    "adam": ("Adam", 0.02, {}),
    "adamw": ("AdamW", 0.02, {}),
}


def run_train(options: argparse.Namespace) -> int:
    """Trains a network on a data set of the user's choice."""
    from .. import data, nn, optim
    from ..train import fit

    out = folder(options.out)
    rng = random.Random(options.seed)
    inputs, targets, outputs, loss = _data_set(options.data, rng)
    inputs, targets, test_inputs, test_targets = data.split(inputs, targets, rng=rng)
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
    kind, rate, more = OPTIMIZERS[options.optimizer]
    rate = rate if options.lr is None else options.lr
    optimizer = getattr(optim, kind)(model.parameters(), rate, **more)
    try:
        history = fit(
            model, loss, inputs, targets, optimizer=optimizer, epochs=options.epochs,
            batch_size=options.batch_size,
            penalty=(lambda: options.l2 * nn.l2(model.parameters())) if options.l2 else None,
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
        from .. import viz

        names = data.iris().feature_names if options.data == "iris" else None
        written.append(viz.explore(
            history, out / "live.html", title=f"training on {options.data}", feature_names=names,
            progress=True,
        ))
    predictions = [model(x) for x in test_inputs]
    if loss is nn.mse:
        total = sum(float(loss(p, t)) for p, t in zip(predictions, test_targets))
        mean = total / len(test_targets)
        print(f"mean squared error on the {len(test_targets)} points held out: {mean:.4g}")
    else:
        print(accuracy_text(predictions, test_targets))
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


TRAIN = Command(
    "train",
    run_train,
    "train a network on a data set of your choice",
    (
        option("--data", "moons", choices=DATA_SETS),
        option("--layers", "16,16", "sizes of the hidden layers", sizes),
        option("--activation", "relu", "of the hidden layers"),
        option("--optimizer", "adam", choices=OPTIMIZERS),
        argument("--lr", type=float, help="learning rate (default: depends on the optimiser)"),
        option("--epochs", 50, kind=positive),
        option("--batch-size", 16, "0 for full batches", batch_size),
        option("--l2", "0", "factor of the penalty on squared weights", float),
        option("--engine", "eager", "jit: machine code; needs llvmlite", choices=("eager", "jit")),
        SEED,
        argument(
            "--live", action="store_true", help="also write live.html, a page that plays the run"
        ),
        out_option("train-output"),
    ),
)
