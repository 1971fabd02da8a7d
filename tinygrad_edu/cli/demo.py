"""The commands demo and gallery, which show what the project can do."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from typing import Any

from ..engine.value import Value
from .arguments import SEED, Command, option, out_option, positive
from .output import accuracy_text, folder, list_files, pictures, save_run


def run_demo(options: argparse.Namespace) -> int:
    """Trains a network on iris, checks its gradients and draws its graph."""
    from .. import data, nn, optim
    from ..train import fit

    start = time.perf_counter()
    out = folder(options.out)
    rng = random.Random(options.seed)
    flowers = data.iris()
    inputs, targets, test_inputs, test_targets = data.split(flowers.X, flowers.y, test=0.2, rng=rng)
    scale = data.Standardiser(inputs)
    inputs = scale(inputs)
    test_inputs = scale(test_inputs)
    model = nn.MLP(4, [8, 3], activation="tanh", init="xavier", rng=rng)
    print(
        f"iris: {len(inputs)} flowers to train on, {len(test_inputs)} held out; "
        f"a network 4-8-3 with {len(model.parameters())} parameters"
    )
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    history = fit(
        model, nn.cross_entropy, inputs, targets, optimizer=optimizer, epochs=options.epochs,
        batch_size=16, metrics=[nn.accuracy], progress=True, rng=rng,
    )
    print(history)
    if history.interrupted:
        raise KeyboardInterrupt
    agrees = _check_gradients(model, inputs[:16], targets[:16])

    written = pictures(
        _loss_of_one(model, test_inputs[0], test_targets[0], flowers.feature_names), out
    )
    written += save_run(out, model, optimizer, history)
    accuracy = accuracy_text([*map(model, test_inputs)], test_targets, " flowers")
    print(f"\n{accuracy} after {time.perf_counter() - start:.1f} s")
    list_files(out, written)
    print(
        "\nTry next:\n"
        f"  open {written[0]}: the graph of one flower's loss\n"
        '  tinygrad-edu step "tanh(a*b + c)" a=2 b=-3 c=10\n'
        "  tinygrad-edu gallery\n"
        '  tinygrad-edu check "x**y" x=2 y=3\n'
        "  tinygrad-edu train --data moons --optimizer momentum"
    )
    return 0 if agrees else 1


def _check_gradients(model: Any, inputs: Sequence[Any], targets: Sequence[int]) -> bool:
    """Returns whether a batch's gradients agree with finite differences, and prints how many."""
    from .. import nn
    from ..testing import gradcheck

    def batch_loss() -> Any:
        losses = [nn.cross_entropy(model(x), t) for x, t in zip(inputs, targets)]
        return sum(losses) * (1 / len(losses))

    report = gradcheck(batch_loss, parameters=model.parameters())
    print(
        f"gradients of one batch against finite differences: {len(report.entries)} compared, "
        f"{len(report.failures)} failed, largest difference {report.worst:.1g} of the tolerance"
    )
    if not report:
        print(report)
    return bool(report)


def _loss_of_one(model: Any, x: Sequence[float], target: int, names: Sequence[str]) -> Value:
    """Returns the loss of one sample, with labels and gradients."""
    from .. import nn

    inputs = [Value(number, name) for number, name in zip(x, names)]
    loss: Value = nn.cross_entropy(model(inputs), target)
    loss.label = "loss"
    model.zero_grad()
    loss.backward()
    return loss


def run_gallery(options: argparse.Namespace) -> int:
    """Writes the pictures and pages of the README."""
    from .. import data, nn, optim, viz
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
        model, nn.hinge, inputs, targets,
        optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        epochs=options.epochs, batch_size=20, penalty=lambda: 1e-4 * nn.l2(model.parameters()),
        progress=True, rng=rng, record_every=1,
    )
    print(history)
    title = "two moons, a network 2-8-8-1"
    written.append(viz.explore(history, out / "moons.html", title=title, progress=True))
    list_files(out, written)
    return 0


DEMO = Command(
    "demo",
    run_demo,
    "train a network on iris, check its gradients, draw its graph",
    (out_option("demo-output"), option("--epochs", 40, kind=positive), SEED),
)
GALLERY = Command(
    "gallery",
    run_gallery,
    "a neuron as drawing, animation and page, and a training run as a page",
    (out_option("gallery"), option("--epochs", 40, "of the training run", positive)),
)
