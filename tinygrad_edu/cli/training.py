"""The commands train and sweep: they train networks on a data set of the user's choice."""

from __future__ import annotations

import argparse
import math
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NonFiniteError, TrainingWarning, counted, short_repr
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
from .output import (
    INTERRUPTED,
    accuracy_text,
    folder,
    list_files,
    print_findings,
    save_run,
    save_sweep,
)

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


@dataclass(frozen=True)
class Problem:
    """A network and the data to train it on, all made with one random generator.

    samples: all samples with their targets; inputs, targets: those to train on, with features of
    mean 0 and variance 1; test_inputs, test_targets: the others.
    """

    samples: Any
    inputs: Any
    targets: Any
    test_inputs: Any
    test_targets: Any
    loss: Callable[[Any, Any], Any]
    model: Any
    optimizer: Any
    rng: random.Random

    @property
    def metrics(self) -> list[Callable[[Any, Any], Any]]:
        """What is measured in each epoch."""
        from .. import nn

        return [] if self.loss is nn.mse else [nn.accuracy]

    def test_figure(self) -> tuple[str, float]:
        """Returns the mean squared error or the accuracy on the test set, with its name."""
        from .. import nn

        is_regression = self.loss is nn.mse
        measure = self.loss if is_regression else nn.accuracy
        total = sum(
            float(measure(self.model(x), t)) for x, t in zip(self.test_inputs, self.test_targets)
        )
        return "test mse" if is_regression else "test accuracy", total / len(self.test_targets)


def problem_of(
    seed: int, name: str, layers: Sequence[int], activation: str, optimizer: str, lr: float | None
) -> Problem:
    """Returns a network for a data set, and an optimiser; ``lr`` None is its default rate."""
    from .. import data, nn, optim

    rng = random.Random(seed)
    count, loss_name = DATA_SETS[name]
    make = getattr(data, name)
    samples = make() if count is None else make(count, rng=rng)
    loss = getattr(nn, loss_name)
    outputs = len(set(samples[1])) if loss is nn.cross_entropy else 1
    inputs, targets, test_inputs, test_targets = data.split(*samples, rng=rng)
    scale = data.Standardiser(inputs)
    inputs = scale(inputs)
    model = nn.MLP(
        len(inputs[0]),
        [*layers, outputs],
        activation=activation,
        init="he" if activation == "relu" else "xavier",
        rng=rng,
    )
    kind, rate, more = OPTIMIZERS[optimizer]
    made = getattr(optim, kind)(model.parameters(), rate if lr is None else lr, **more)
    return Problem(
        samples, inputs, targets, scale(test_inputs), test_targets, loss, model, made, rng
    )


def run_train(options: argparse.Namespace) -> int:
    """Trains a network on a data set of the user's choice."""
    from .. import nn
    from ..train import fit

    out = folder(options.out)
    problem = problem_of(
        options.seed, options.data, options.layers, options.activation, options.optimizer,
        options.lr,
    )
    model = problem.model
    optimizer = problem.optimizer
    samples = problem.samples
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrainingWarning)  # `print_findings` has more words
            history = fit(
                model, problem.loss, problem.inputs, problem.targets, optimizer=optimizer,
                epochs=options.epochs,
                batch_size=options.batch_size,
                penalty=(lambda: options.l2 * nn.l2(model.parameters())) if options.l2 else None,
                metrics=problem.metrics, engine=options.engine, progress=True, rng=problem.rng,
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
    if problem.metrics:
        print(accuracy_text([model(x) for x in problem.test_inputs], problem.test_targets))
    else:
        count = len(problem.test_targets)
        mean = problem.test_figure()[1]
        print(f"mean squared error on the {count} points held out: {mean:.4g}")
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


def train_one(
    seed: int, data: str, layers: Sequence[int], activation: str, optimizer: str, lr: float,
    epochs: int, batch_size: int | None, engine: str,
) -> tuple[Any, dict[str, float]]:
    """Trains as the command train does, for the command sweep.

    Returns the history, and the figure of the test set.
    """
    from ..train import fit

    problem = problem_of(seed, data, layers, activation, optimizer, lr)
    history = fit(
        problem.model, problem.loss, problem.inputs, problem.targets, optimizer=problem.optimizer,
        epochs=epochs, batch_size=batch_size, metrics=problem.metrics, engine=engine,
        rng=problem.rng,
    )
    return history, dict([problem.test_figure()])


def run_sweep(options: argparse.Namespace) -> int:
    """Trains for each combination of learning rates, sizes of layers and seeds."""
    from ..train import sweep

    out = folder(options.out)
    kind_rate = OPTIMIZERS[options.optimizer][1]
    grid = {
        "data": [options.data],
        "optimizer": [options.optimizer],
        "activation": [options.activation],
        "epochs": [options.epochs],
        "batch_size": [options.batch_size],
        "engine": [options.engine],
        "layers": options.layers,
        "lr": options.lr or [kind_rate * factor for factor in (0.1, 1.0, 10.0)],
    }
    with processes(options.workers) as executor:
        found = sweep(
            train_one, grid, seeds=options.seeds, executor=executor, path=out / "rows.jsonl",
            progress=True,
        )
    print(found.table())
    list_files(out, save_sweep(out, found))
    if found.interrupted:
        print("\ninterrupted; the same command goes on where it ended", file=sys.stderr)
        return INTERRUPTED
    return 0


def processes(workers: int) -> Any:
    """Returns a pool of processes as a context manager; for one worker, None in its place."""
    if workers == 1:
        return nullcontext()
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # a copy of a process with threads, as a progress bar has, may stand still
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def rates(text: str) -> list[float]:
    """Parses learning rates: ``0.01,0.1,1``."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < rate < math.inf for rate in found):
        raise argparse.ArgumentTypeError(
            f"{short_repr(text)} is not a list of learning rates such as 0.01,0.1,1"
        )
    return found


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
SWEEP = Command(
    "sweep",
    run_sweep,
    "train for each learning rate, size and seed; run it again to go on",
    (
        option("--data", "moons", choices=DATA_SETS),
        argument(
            "--lr", type=rates, metavar="RATES",
            help="learning rates, such as 0.01,0.1,1 (default: depends on the optimiser)",
        ),
        argument(
            "--layers", type=sizes, nargs="+", default=[[8]], metavar="SIZES",
            help="sizes of the hidden layers, one or more networks: 8 8,8 (default: 8)",
        ),
        option("--seeds", 3, "how many random seeds", positive),
        option("--workers", 1, "how many processes train at the same time", positive),
        option("--activation", "relu", "of the hidden layers"),
        option("--optimizer", "sgd", choices=OPTIMIZERS),
        option("--epochs", 50, kind=positive),
        option("--batch-size", 16, "0 for full batches", batch_size),
        option("--engine", "eager", "jit: machine code; needs llvmlite", choices=("eager", "jit")),
        out_option("sweep-output", ", but rows.jsonl, to which new rows are added"),
    ),
)
