"""The commands demo, train, gpt and gallery: networks that are trained."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.value import Value
from ..errors import NonFiniteError
from .arguments import Commands, batch_size, positive, sizes
from .output import folder, list_files, live_page, pictures, save_run

DATA_SETS = ("iris", "moons", "circles", "xor", "spirals", "blobs", "line")

OPTIMIZERS = ("sgd", "momentum", "rmsprop", "adam", "adamw")

_FAST = 'pip install "tinygrad_edu[fast]"'  # brings llvmlite

DEFAULT_RATES = {"sgd": 0.1, "momentum": 0.05, "rmsprop": 0.01, "adam": 0.02, "adamw": 0.02}


def run_demo(options: argparse.Namespace) -> int:
    """Trains a network on iris, checks its gradients and draws its graph."""
    from .. import data, nn, optim
    from ..testing import gradcheck
    from ..train import fit

    start = time.perf_counter()
    out = folder(options.out)
    rng = random.Random(options.seed)
    flowers = data.iris()
    inputs, targets, test_inputs, test_targets = data.split(flowers.X, flowers.y, test=0.2, rng=rng)
    scale = data.Standardiser(inputs)
    inputs, test_inputs = scale(inputs), scale(test_inputs)
    model = nn.MLP(4, [8, 3], activation="tanh", init="xavier", rng=rng)
    print(f"iris: {len(inputs)} flowers to train on, {len(test_inputs)} held out; "
          f"a network 4-8-3 with {len(model.parameters())} parameters")
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    history = fit(
        model,
        nn.cross_entropy,
        inputs,
        targets,
        optimizer=optimizer,
        epochs=options.epochs,
        batch_size=16,
        metrics=[nn.accuracy],
        progress=True,
        rng=rng,
    )
    print(history)
    if history.interrupted:
        raise KeyboardInterrupt

    def batch_loss() -> Any:
        return sum(nn.cross_entropy(model(x), t) for x, t in zip(inputs[:16], targets[:16])) * (
            1 / 16
        )

    report = gradcheck(batch_loss, parameters=model.parameters())
    print(f"gradients of one batch against finite differences: {len(report.entries)} compared, "
          f"{len(report.failures)} failed, largest difference {report.worst:.1g} of the tolerance")
    if not report:
        print(report)

    sample = nn.cross_entropy(
        model([Value(value, name) for value, name in zip(test_inputs[0], flowers.feature_names)]),
        test_targets[0],
    )
    sample.label = "loss"
    model.zero_grad()
    sample.backward()
    written = pictures(sample, out)
    written += save_run(out, model, optimizer, history)
    correct = sum(nn.accuracy(model(x), t) for x, t in zip(test_inputs, test_targets))
    print(
        f"\ntest accuracy: {correct / len(test_inputs):.1%} ({correct:.0f} of {len(test_inputs)} "
        "flowers) "
        f"after {time.perf_counter() - start:.1f} s"
    )
    list_files(out, written)
    print("\nTry next:\n"
          f"  open {next(p for p in reversed(written) if p.name.startswith('graph'))}: "
          "the graph of one flower's loss, with every derivative\n"
          '  tinygrad-edu step "tanh(a*b + c)" a=2 b=-3 c=10\n'
          "  tinygrad-edu gallery\n"
          '  tinygrad-edu check "x**y" x=2 y=3\n'
          "  tinygrad-edu train --data moons --optimizer momentum")
    return 0 if report else 1


def run_train(options: argparse.Namespace) -> int:
    """Trains a network on a data set of the user's choice."""
    from .. import data, nn, optim
    from ..train import fit

    out = folder(options.out)
    rng = random.Random(options.seed)
    inputs, targets, outputs, loss = _data_set(options.data, rng)
    inputs, targets, test_inputs, test_targets = data.split(
        inputs, targets, stratify=options.data != "line", rng=rng
    )
    scale = data.Standardiser(inputs)
    inputs, test_inputs = scale(inputs), scale(test_inputs)
    model = nn.MLP(len(inputs[0]), [*options.layers, outputs], activation=options.activation,
                   init="he" if options.activation == "relu" else "xavier", rng=rng)
    rate = DEFAULT_RATES[options.optimizer] if options.lr is None else options.lr
    make: Any = {
        "sgd": optim.SGD,
        "momentum": lambda p, lr: optim.SGD(p, lr, momentum=0.9),
        "rmsprop": optim.RMSprop,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
    }[options.optimizer]
    optimizer = make(model.parameters(), rate)
    metrics = [] if options.data == "line" else [nn.accuracy]
    penalty = (lambda: options.l2 * nn.l2(model.parameters())) if options.l2 else None
    try:
        history = fit(
            model,
            loss,
            inputs,
            targets,
            optimizer=optimizer,
            epochs=options.epochs,
            batch_size=options.batch_size,
            metrics=metrics,
            penalty=penalty,
            engine=options.engine,
            progress=True,
            rng=rng,
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
    predictions = [model(x) for x in test_inputs]
    if options.data == "line":
        mean = sum(float(loss(p, t)) for p, t in zip(predictions, test_targets)) / len(test_targets)
        print(f"mean squared error on the {len(test_targets)} points held out: {mean:.4g}")
    else:
        correct = sum(map(nn.accuracy, predictions, test_targets))
        print(
            f"test accuracy: {correct / len(test_targets):.1%} ({correct:.0f} of "
            f"{len(test_targets)})"
        )
    list_files(out, written)
    return 0


def run_gpt(options: argparse.Namespace) -> int:
    """Trains the character GPT and lets it invent names."""
    from ..examples import gpt
    from ..jit.running import objects

    compiles = objects.available()
    if options.engine == "jit" and not compiles:
        raise ValueError(
            f"machine code needs llvmlite: {_FAST}; or say --engine eager: the same names, many "
            "times as slowly"
        )
    rng = random.Random(options.seed)
    names = gpt.documents(options.data)
    rng.shuffle(names)
    vocabulary = gpt.Vocabulary(names)
    model = gpt.GPT(len(vocabulary), rng=rng)
    print(f"names: {len(names)}; different characters: {len(vocabulary.characters)}; "
          f"parameters of the GPT: {len(model.parameters())}")
    if long := sum(len(name) >= model.block for name in names):
        print(f"names too long for its {model.block} positions: {long}; "
              f"of those it learns the first {model.block} characters, and no end")
    if options.engine == "auto" and not compiles:
        print(
            "without llvmlite it runs eagerly: the same names, many times as slowly; to change "
            f"that: {_FAST}"
        )
    engine = None if options.engine == "auto" else options.engine
    history = gpt.train(model, vocabulary, names, options.steps, engine=engine, progress=True)
    done = len(history)
    if history.interrupted:
        print(
            f"interrupted after {done} of {options.steps} steps; the names are from the model as "
            "it is now"
        )
    if done:
        print(
            f"loss {_course(history.loss)}; {history.seconds[-1]:.1f} s, "
            f"{1000 * history.seconds[-1] / done:.3g} ms a step"
        )
    print("\nnames that it invents:")
    for i in range(1, options.samples + 1):
        print(f"{i:4}  {_printable(gpt.sample(model, vocabulary, rng=rng))}", flush=True)
    if history.interrupted:
        raise KeyboardInterrupt
    return 0


def _printable(text: str) -> str:
    """``text`` without anything that a terminal could take for a command: escape as ``\\x1b``."""
    return "".join([c if c.isprintable() else repr(c)[1:-1] for c in text])


def _course(losses: Sequence[float]) -> str:
    """How losses of single samples went, which are noisy: the first one, and where they are now."""
    recent = losses[-100:]
    now = (
        f"{sum(recent) / len(recent):.4f} on average over the last {len(recent)} steps"
        if len(losses) > len(recent)
        else f"{losses[-1]:.4f} in step {len(losses)}"
    )
    return f"{losses[0]:.4f} in step 1" + (f", {now}" if len(losses) > 1 else "")


def run_gallery(options: argparse.Namespace) -> int:
    """Writes the pictures and pages of the README."""
    import viz

    from .. import data, nn, optim
    from ..examples import lecture_neuron
    from ..train import fit

    out = folder(options.out)
    neuron = lecture_neuron()
    written = [
        viz.draw(neuron).save(out / "neuron.svg"),
        viz.animate(neuron, out / "neuron.gif"),
        viz.explore(neuron, out / "neuron.html", title="a neuron: o = tanh(x1*w1 + x2*w2 + b)"),
    ]
    rng = random.Random(0)
    inputs, targets = data.moons(100, noise=0.1, rng=rng)
    model = nn.MLP(2, [8, 8, 1], init="he", rng=rng)
    history = fit(
        model,
        nn.hinge,
        inputs,
        targets,
        optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        epochs=options.epochs,
        batch_size=20,
        penalty=lambda: 1e-4 * nn.l2(model.parameters()),
        progress=True,
        rng=rng,
        record_every=1,
    )
    print(history)
    written.append(live_page(history, out / "moons.html", "two moons, a network 2-8-8-1"))
    list_files(out, written)
    return 0


def _data_set(name: str, rng: random.Random) -> tuple[Any, Any, int, Any]:
    """Inputs, targets, the number of outputs that the model needs, and the loss."""
    from .. import data, nn

    if name == "line":
        inputs, targets = data.line(100, rng=rng)
        return inputs, targets, 1, nn.mse
    if name in ("moons", "circles", "xor"):
        inputs, targets = getattr(data, name)(200, rng=rng)
        return inputs, targets, 1, nn.hinge
    samples, classes = data.iris() if name == "iris" else getattr(data, name)(210, rng=rng)
    return samples, classes, len(set(classes)), nn.cross_entropy


def add_demo(commands: Commands) -> None:
    """Adds demo."""
    command = commands.add_parser(
        "demo", help="train a network on iris, check its gradients, draw its graph"
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        help="folder to write to (default: %(default)s)",
    )
    command.add_argument("--epochs", type=positive, default=40, help="default: %(default)s")
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.set_defaults(run=run_demo)


def add_commands(commands: Commands) -> None:
    """Adds train, gpt and gallery."""
    command = commands.add_parser("train", help="train a network on a data set of your choice")
    command.add_argument("--data", choices=DATA_SETS, default="moons", help="default: %(default)s")
    command.add_argument(
        "--layers", type=sizes, default=[16, 16], help="sizes of the hidden layers (default: 16,16)"
    )
    command.add_argument(
        "--activation", default="relu", help="of the hidden layers (default: %(default)s)"
    )
    command.add_argument(
        "--optimizer", choices=OPTIMIZERS, default="adam", help="default: %(default)s"
    )
    command.add_argument(
        "--lr", type=float, help="learning rate (default: one that suits the optimizer)"
    )
    command.add_argument("--epochs", type=positive, default=50, help="default: %(default)s")
    command.add_argument(
        "--batch-size",
        type=batch_size,
        default=16,
        help="0 for full batches (default: %(default)s)",
    )
    command.add_argument(
        "--l2",
        type=float,
        default=0.0,
        help="factor of the penalty on squared weights (default: 0)",
    )
    command.add_argument("--engine", choices=("eager", "jit"), default="eager",
                       help="jit: machine code, which needs llvmlite (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.add_argument(
        "--live", action="store_true", help="also write live.html, a page that plays the training"
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("train-output"),
        help="folder to write to (default: %(default)s)",
    )
    command.set_defaults(run=run_train)

    command = commands.add_parser(
        "gpt", help="train a small GPT on names, one a step, and let it invent some"
    )
    command.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="a text file with one name a line (default: first names)",
    )
    command.add_argument("--steps", type=positive, default=1000, help="default: %(default)s")
    command.add_argument(
        "--engine",
        choices=("auto", "eager", "jit"),
        default="auto",
        help="default: %(default)s, which is jit if llvmlite is installed, else eager; the names "
             "are the same",
    )
    command.add_argument("--seed", type=int, default=42, help="default: %(default)s")
    command.add_argument(
        "--samples",
        type=positive,
        default=20,
        help="how many names to invent (default: %(default)s)",
    )
    command.set_defaults(run=run_gpt)

    command = commands.add_parser(
        "gallery", help="a neuron as drawing, film and page, and a training as a page"
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("gallery"),
        help="folder to write to (default: %(default)s)",
    )
    command.add_argument(
        "--epochs", type=positive, default=40, help="of the training (default: %(default)s)"
    )
    command.set_defaults(run=run_gallery)
