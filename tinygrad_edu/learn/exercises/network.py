"""The exercise network: repair a network that does not learn exclusive or."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import isfinite
from typing import Any, NamedTuple

from ... import data, nn
from ...debug.text import short_number
from ...engine.value import Value
from .exercise import (
    Exercise,
    NotYet,
    file_text,
    is_close,
    kind_of,
    number_of,
    numbers_of,
    value_of,
)
from .running import Answer, Call, Kept, Numbers, Read

SAMPLES = 20
EPOCHS = 20
UNSEEN = 100
NOISE = 0.1
WANTED = 0.95  # accuracy on unseen points; a good network gets all of them right
FEW_LAYERS = 3
LARGE_MOVE = 20.0  # of a weight; in a good run weights move by 0.4 to 2
SMALL_MOVE = 0.2
SMALL_SPREAD = 0.01  # of the scores: they are the same for every point
LARGE_BIAS = 5.0


class Fault(NamedTuple):
    """Why a network does not learn.

    model: the lines of make_model.
    rate: the learning rate.
    repaired: the lines and the rate of the solution.
    hint: where to look.
    """

    model: str
    rate: str
    repaired: tuple[str, str]
    hint: str


def _mlp(activation: str, sizes: str = "[8, 1]", more: str = "") -> str:
    return f'model = nn.MLP(2, {sizes}, "{activation}"{more}, rng=SEED)'


def _biased(activation: str, bias: float, sizes: str = "[8, 1]") -> str:
    return (
        f"{_mlp(activation, sizes)}\n    for neuron in model.layers[0].neurons:\n"
        f"        neuron.b.data = {bias}"
    )


GOOD_TANH = (_mlp("tanh"), "0.1")
WIDE = "[12, 1]"  # with 8 units of relu some random seeds fail
GOOD_RELU = (_mlp("relu", WIDE), "0.05")
FAULTS = (
    Fault(_mlp("tanh"), "1.0", GOOD_TANH, "Look at the losses of the first epochs: "
          "what does a loss that grows say about RATE?"),
    Fault(_mlp("tanh", more=", init=lambda *sizes: 0.5"), "0.1", GOOD_TANH,
          "Look at the weights of the hidden units: what makes one unit different from another?"),
    Fault(_biased("relu", -10.0, WIDE), "0.05", GOOD_RELU,
          "The inputs lie between -1.5 and 1.5. What is the output of a hidden unit, and what is "
          "the slope of relu there?"),
    Fault(_mlp("tanh"), "0.0001", GOOD_TANH, "Look at RATE: how far does a weight move in "
          f"{SAMPLES} x {EPOCHS} steps?"),
    Fault(_mlp("sigmoid", "[4, 4, 4, 4, 4, 1]", ', init="xavier"'), "0.1", GOOD_TANH,
          "The slope of the sigmoid is at most 1/4. What is left of a gradient after six layers?"),
    Fault(_biased("tanh", 20.0), "0.1", GOOD_TANH,
          "What is tanh(20), and what is its slope there?"),
)


def make(seed: int) -> Exercise:
    """Returns the exercise: a network with the fault that this random seed chooses."""
    fault = FAULTS[seed % len(FAULTS)]
    task = f"""Repair a network that does not learn.

It should learn exclusive or: points around the corners of a square have the
label 1 if the signs of their coordinates differ, and else -1.

It trains on {SAMPLES} points for {EPOCHS} epochs, and is checked on {UNSEEN} others:
at least {WANTED:.0%} must get a score of the right sign.  There is one fault, in RATE or in
make_model.

To see the loss of each epoch:  python network-{seed}.py"""
    X, y = data.xor(SAMPLES, NOISE, rng=seed)
    unseen, labels = data.xor(UNSEEN, NOISE, rng=seed + 1_000_003)
    model = Kept("model")
    return Exercise(
        name="network",
        seed=seed,
        lesson="depth",
        title="repair a network that does not learn",
        starter=file_text("network", seed, task, _code(fault.model, fault.rate, seed)),
        solution=file_text("network", seed, task, _code(*fault.repaired, seed)),
        hints=(
            "Look at three things: how far the weights move, whether the hidden units differ, and "
            "whether gradients reach the first layer.",
            fault.hint,
            f"With these lines it learns: RATE = {fault.repaired[1]} and {fault.repaired[0]}",
        ),
        steps=(
            Call("make_model", keep="model"),
            Numbers("model"),
            Call("train", (model, X, y), keep="trained"),
            Numbers("model"),
            Call("scores", (model, unseen)),
            Read("EPOCHS"),
        ),
        marker=lambda answers: _mark(unseen, labels, answers),
    )


def _code(model: str, rate: str, seed: int) -> str:
    return f"""
from tinygrad_edu import data, nn, optim

SEED = {seed}
EPOCHS = {EPOCHS}
RATE = {rate}


def make_model():
    {model}
    return model


def train(model, X, y):
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for x, label in zip(X, y):
            loss = nn.mse(model(x), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.data
        losses.append(total / len(X))
    return losses


def scores(model, X):
    return [model(x).data for x in X]


if __name__ == "__main__":
    for loss in train(make_model(), *data.xor({SAMPLES}, {NOISE}, rng=SEED)):
        print(loss)
"""


def _mark(
    unseen: Sequence[Sequence[float]], labels: Sequence[int], answers: Sequence[Answer]
) -> str:
    for answer in answers:
        value_of(answer)
    before, after = answers[1].value, answers[3].value
    _check_epochs(answers[5].value)
    if not all(isfinite(x) for x in after.values()):
        raise NotYet(
            "A weight became inf or nan: the steps are too large. Choose a smaller RATE."
        )
    if isinstance(answers[4].value, list) and len(answers[4].value) == len(labels):
        found = [number_of(x, "a score") for x in answers[4].value]
    else:
        found = numbers_of(answers[4].value, len(labels), "what scores returns")
    right = sum([(score > 0) == (label > 0) for score, label in zip(found, labels)])
    known = f"{right} of {len(labels)} unseen points get a score of the right sign"
    if right >= WANTED * len(labels):
        if not _are_scores_of(after, unseen, found):
            raise NotYet(
                "The scores are not those of an nn.MLP with the weights after training. Let "
                "make_model return an nn.MLP, and leave scores as it was in the starter."
            )
        return f"The network learns: {known}."
    raise NotYet(f"Only {known}. {_diagnosis(before, after, max(found) - min(found))}".strip())


def _check_epochs(epochs: Any) -> None:
    """Raises NotYet if the number of epochs is not the one of the starter."""
    if epochs != EPOCHS:
        raise NotYet(
            f"EPOCHS is {kind_of(epochs)}, and was {EPOCHS} in the starter. Put it back: change "
            "only RATE and make_model."
        )


def _are_scores_of(
    weights: Mapping[str, float], X: Sequence[Sequence[float]], scores: Sequence[float]
) -> bool:
    """Returns whether a multi-layer perceptron with these weights has these scores.

    The learner's file could return any scores, so they are computed again here.  The weights do not
    say which activations the network has; each one is tried for the hidden layers and the output.
    """
    if (sizes := _sizes(weights)) is None:
        return False
    return any(
        _agrees(weights, nn.MLP(2, sizes[1:], hidden, output, rng=0), X, scores)
        for hidden, output in product(nn.ACTIVATIONS, repeat=2)
    )


def _sizes(weights: Mapping[str, float]) -> list[int] | None:
    """Returns the numbers of inputs and of units in each layer, None if they are not an MLP."""
    counts: dict[str, int] = {}
    for name in weights:
        if name.startswith("layers.") and name.endswith(".b"):
            layer = name.split(".")[1]
            counts[layer] = counts.get(layer, 0) + 1
    sizes = [2, *[counts.get(str(i), 0) for i in range(len(counts))]]
    # The number of weights is compared first: forged names could ask for a huge network.
    count = sum([(a + 1) * b for a, b in pairwise(sizes)])
    if 0 in sizes or sizes[-1] != 1 or count != len(weights):
        return None
    return sizes if weights.keys() == nn.MLP(2, sizes[1:], rng=0).state_dict().keys() else None


def _agrees(
    weights: Mapping[str, float],
    model: nn.MLP,
    X: Sequence[Sequence[float]],
    scores: Sequence[float],
) -> bool:
    """Returns whether a model with these weights has these scores."""
    model.load_state_dict(weights)
    try:
        for x, score in zip(X, scores):
            y = model(x)
            if not isinstance(y, Value) or not is_close(y.data, score):
                return False
    except ArithmeticError:
        return False
    return True


def _diagnosis(before: Mapping[str, float], after: Mapping[str, float], spread: float) -> str:
    """Returns what the weights before and after training say about the fault.

    spread: the difference of the largest and the smallest score.
    """
    moved = max([abs(x - before.get(name, x)) for name, x in after.items()], default=0.0)
    layers = {name.split(".")[1] for name in after if name.startswith("layers.")}
    biases = [before[name] for name in before if name.startswith("layers.0.") and name[-2:] == ".b"]
    bias = max(biases, key=abs, default=0.0)
    if moved > LARGE_MOVE:
        return (
            f"A weight has moved by {short_number(moved)}: each step overshoots. Choose a smaller "
            "RATE."
        )
    if _units_are_equal(before):
        return (
            "All hidden units begin with the same weights, so they get the same gradients and "
            "stay copies of one unit. Draw their weights at random."
        )
    if spread < SMALL_SPREAD and abs(bias) > LARGE_BIAS:
        return (
            "The score is the same for every point. The hidden units begin with a bias of "
            f"{short_number(bias)}, where their slope is 0: no gradient passes through them."
        )
    if spread < SMALL_SPREAD and len(layers) > FEW_LAYERS:
        return (
            "The score is nearly the same for every point. The gradient shrinks in each of "
            f"{len(layers)} layers, and vanishes before it reaches the first one."
        )
    if moved < SMALL_MOVE:
        return f"No weight has moved by more than {short_number(moved)}: RATE is too small."
    if spread < SMALL_SPREAD:
        return "The score is nearly the same for every point: the hidden units pass nothing on."
    return "It learns a little, but not enough: try another RATE or activation."


def _units_are_equal(numbers: Mapping[str, float]) -> bool:
    """Returns whether all units of the first layer have the same weights."""
    units: dict[str, list[float]] = {}
    for name, x in numbers.items():
        if name.startswith("layers.0.neurons."):
            units.setdefault(name.split(".")[3], []).append(x)
    rows = list(units.values())
    return len(rows) > 1 and all(row == rows[0] for row in rows)
