"""The command train: trains a network on a data set of the user's choice."""

from __future__ import annotations

import argparse
import random
import warnings
from pathlib import Path
from typing import Any

from ..errors import NonFiniteError, TrainingWarning, counted
from .arguments import (
    REPLACED,
    SEED,
    Command,
    argument,
    batch_size,
    option,
    out_option,
    positive,
    sizes,
)
from .output import accuracy_text, folder, list_files, print_findings, save_run

# from a name in `data` to how many samples are generated (none of a real data set), and to the loss
# in `nn`, which says what the targets are
DATA_SETS = {
    "iris": (None, "cross_entropy"),
    "moons": (200, "hinge"),
    "circles": (200, "hinge"),
    "xor": (200, "hinge"),
    "spirals": (210, "cross_entropy"),
    "blobs": (210, "cross_entropy"),
    "line": (100, "mse"),
}

FIRST_AND_LAST = 10**9  # records the first and the last step, which is enough for `diagnose`

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
    count, loss_name = DATA_SETS[options.data]
    make = getattr(data, options.data)
    samples = make() if count is None else make(count, rng=rng)
    loss = getattr(nn, loss_name)
    outputs = len(set(samples[1])) if loss is nn.cross_entropy else 1
    inputs, targets, test_inputs, test_targets = data.split(*samples, rng=rng)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)  # `print_findings` has more words
            history = fit(
                model, loss, inputs, targets, optimizer=optimizer, epochs=options.epochs,
                batch_size=options.batch_size,
                penalty=(lambda: options.l2 * nn.l2(model.parameters())) if options.l2 else None,
                metrics=[] if loss is nn.mse else [nn.accuracy],
                engine=options.engine, progress=True, rng=rng,
                record_every=1 if options.live or options.animate else FIRST_AND_LAST,
            )
    except NonFiniteError as error:
        if error.history.loss:
            written = _save(options, out, model, optimizer, error.history, samples)
            list_files(out, written, f" the {counted(len(error.history), 'step')} before the error")
            print_findings(error.history)
        raise
    written = _save(options, out, model, optimizer, history, samples)
    print(history)
    predictions = [model(x) for x in test_inputs]
    if loss is nn.mse:
        total = sum(float(loss(p, t)) for p, t in zip(predictions, test_targets))
        mean = total / len(test_targets)
        print(f"mean squared error on the {len(test_targets)} points held out: {mean:.4g}")
    else:
        print(accuracy_text(predictions, test_targets))
    list_files(out, written)
    if history.warning:
        print_findings(history)
    return 0


def _save(
    options: argparse.Namespace, out: Path, model: Any, optimizer: Any, history: Any, samples: Any
) -> list[Path]:
    """Writes the files of a run, or of its steps before an error, and returns their paths."""
    if not history.loss:
        return []
    written = save_run(out, model, optimizer, history)
    names = getattr(samples, "feature_names", None)
    if options.live:
        from .. import viz

        title = f"training on {options.data}"
        written.append(viz.explore(
            history, out / "live.html", title=title, feature_names=names, progress=True
        ))
    if options.animate:
        from .. import viz

        written.append(viz.animate(history, out / "training.gif", feature_names=names))
    return written


def run_playground(options: argparse.Namespace) -> int:
    """Writes the playground."""
    from .. import viz

    given = dict(map(setting, options.settings))
    page = viz.playground(options.out, **given)
    print(f"wrote {page}: open it in a browser; it needs no network")
    return 0


def setting(text: str) -> tuple[str, Any]:
    """Returns a setting of the playground from a text such as "layers=4,4"."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is no setting; write name=value, such as data=xor")
    try:
        if name == "layers":
            return name, sizes(value) if value else []
        return name, float(value)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"layers: {error}") from None
    except ValueError:
        return name, value


PLAYGROUND = Command(
    "playground",
    run_playground,
    "write a page that trains networks, and shows every number in them",
    (
        argument(
            "settings", nargs="*", metavar="NAME=VALUE",
            help="how it opens, such as data=xor layers=4,4 optimizer=Adam rate=0.03",
        ),
        option("-o --out", Path("playground.html"), f"the page to write; {REPLACED}"),
    ),
)
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
        argument(
            "--animate", action="store_true",
            help="also write training.gif: the model next to the loss, for a slide",
        ),
        out_option("train-output"),
    ),
)
