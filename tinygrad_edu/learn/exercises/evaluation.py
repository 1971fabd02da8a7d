"""The exercise evaluation: find the mistake in switching between training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ... import data, nn, optim
from ...debug.text import short_number
from ..evidence import aligned
from .exercise import Exercise, NotYet, file_text, is_close, numbers_of, value_of
from .running import Answer, Call, Kept, Numbers

SAMPLES = 8
UNSEEN = 8
EPOCHS = 3
RATE = 0.05
UNITS = 5

TRAIN = "model.train()"
EVAL = "model.eval()"


class Modes(NamedTuple):
    """In which mode the model is: True is training mode, in which dropout is on.

    first: while the weights change in the first epoch.
    later: the same in later epochs.
    measured: while the loss is measured.
    """

    first: bool
    later: bool
    measured: bool


RIGHT = Modes(True, True, False)
SENTENCES = {
    Modes(True, True, True):
        "Dropout is on while the loss is measured, so the losses are noise: measuring again gives "
        "other numbers.",
    Modes(False, False, True):
        "The modes are exchanged: dropout is off while the model trains, and on while its loss is "
        "measured.",
    Modes(True, False, False):
        "From the second epoch on dropout is off in training, too: the model stays in evaluation "
        "mode after its loss was measured.",
    Modes(False, False, False):
        "Dropout is off while the model trains, so it does nothing at all.",
    Modes(False, True, False):
        "Dropout is off while the model trains in the first epoch. Training needs training mode, "
        "from the beginning.",
    Modes(True, False, True):
        "Dropout is off in training from the second epoch on, and on while the loss is measured.",
    Modes(False, True, True):
        "Dropout is off in the first epoch of training, and on while the loss is measured.",
}
# calls before the loop, before an epoch's training, and before the loss is measured
CALLS = ("", TRAIN, EVAL)
FAULTS = (
    ("", "", ""),
    ("", EVAL, TRAIN),
    (TRAIN, "", EVAL),
    (EVAL, "", ""),
)


def make(seed: int) -> Exercise:
    """Returns the exercise: the calls are placed as this random seed chooses."""
    task = """Find the mistake in switching between training and evaluation.

Dropout sets units to 0 at random while a model trains.  While its loss on
unseen samples is measured, dropout must be off.  model.train() switches to
training mode, model.eval() to evaluation mode; a new model is in training
mode, and a mode stays until it is switched.

train returns the loss on unseen samples after each epoch.  Put calls of
model.train() and model.eval() where they are needed; change nothing else."""
    X, y = data.moons(SAMPLES, rng=seed)
    unseen, labels = data.moons(UNSEEN, rng=seed + 1_000_003)
    model = Kept("model")
    case = (X, y, unseen, labels)
    return Exercise(
        name="evaluation",
        seed=seed,
        lesson="generalise",
        title="find the mistake in switching dropout off",
        starter=file_text("evaluation", seed, task, _code(FAULTS[seed % len(FAULTS)], seed)),
        solution=file_text("evaluation", seed, task, _code(CALLS, seed)),
        hints=(
            "Go through two epochs, and say at each line whether dropout is on.",
            "Measuring the loss twice, without training in between, must give the same number.",
            "A mode stays until it is switched: what is the mode when the second epoch begins?",
        ),
        steps=(
            Call("make_model", keep="model"),
            Numbers("model"),
            Call("train", (model, *case, EPOCHS)),
            Numbers("model"),
        ),
        marker=lambda answers: _mark(seed, case, answers),
    )


def _code(calls: tuple[str, str, str], seed: int) -> str:
    """Returns the file with calls before the loop, in it, and before the loss is measured."""
    lines = [
        f"{' ' * indent}{call}\n" if call else "" for indent, call in zip((4, 8, 8), calls)
    ]
    return f"""
from tinygrad_edu import data, nn, optim

SEED = {seed}


def make_model():
    return nn.Sequential(
        nn.Layer(2, {UNITS}, "tanh", rng=SEED),
        nn.Dropout(0.5, rng=SEED),
        nn.Layer({UNITS}, 1, "linear", rng=SEED),
    )


def mean_loss(model, X, y):
    losses = [nn.mse(model(x), target).data for x, target in zip(X, y)]
    return sum(losses) / len(losses)


def train(model, X, y, X_unseen, y_unseen, epochs):
    optimizer = optim.SGD(model.parameters(), lr={RATE})
    curve = []
{lines[0]}    for _ in range(epochs):
{lines[1]}        for x, target in zip(X, y):
            optimizer.zero_grad()
            nn.mse(model(x), target).backward()
            optimizer.step()
{lines[2]}        curve.append(mean_loss(model, X_unseen, y_unseen))
    return curve


if __name__ == "__main__":
    X, y = data.moons(24, rng=SEED)
    print(train(make_model(), X[:12], y[:12], X[12:], y[12:], 5))
"""


Case = tuple[list[list[float]], list[int], list[list[float]], list[int]]


def new_model(seed: int) -> nn.Sequential:
    """Returns the model of the exercise."""
    return nn.Sequential(
        nn.Layer(2, UNITS, "tanh", rng=seed),
        nn.Dropout(0.5, rng=seed),
        nn.Layer(UNITS, 1, "linear", rng=seed),
    )


def followed(seed: int, case: Case, modes: Modes) -> tuple[list[float], dict[str, float]]:
    """Trains the model of the exercise with these modes.

    Returns the loss on unseen samples after each epoch, and the weights at the end.
    """
    X, y, unseen, labels = case
    model = new_model(seed)
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    curve = []
    for epoch in range(EPOCHS):
        model.train(modes.later if epoch else modes.first)
        for x, target in zip(X, y):
            optimizer.zero_grad()
            nn.mse(model(x), target).backward()
            optimizer.step()
        model.train(modes.measured)
        losses = [nn.mse(model(x), target).data for x, target in zip(unseen, labels)]
        curve.append(sum(losses) / len(losses))
    return curve, model.state_dict()


def _mark(seed: int, case: Case, answers: Sequence[Answer]) -> str:
    _, start, curve, end = map(value_of, answers)
    found = numbers_of(curve, EPOCHS, "what train returns")
    right, weights = followed(seed, case, RIGHT)
    if not _same_weights(start, new_model(seed).state_dict()):
        raise NotYet("make_model gives another model than before. Put it back.")
    if _same(found, right) and _same_weights(end, weights):
        return (
            "Dropout is on while the model trains, and off while its loss is measured. The losses "
            f"are {', '.join(map(short_number, found))}."
        )
    details = aligned((
        ("loss on unseen samples", "yours", "right"),
        *[
            (f"after epoch {i}", short_number(x), short_number(wanted))
            for i, (x, wanted) in enumerate(zip(found, right), 1)
        ],
    ))
    for modes, sentence in SENTENCES.items():
        losses, others = followed(seed, case, modes)
        if _same(found, losses) and _same_weights(end, others):
            raise NotYet(sentence, details)
    raise NotYet(
        "The losses are not those of training with dropout and measuring without it. Change only "
        "where model.train() and model.eval() are called.", details
    )


def _same(found: Sequence[float], other: Sequence[float]) -> bool:
    return all(map(is_close, found, other))


def _same_weights(found: Mapping[str, float], other: Mapping[str, float]) -> bool:
    if found.keys() != other.keys():
        return False
    return all(is_close(found[name], x) for name, x in other.items())
