"""Deep networks: what layers add, and how gradients vanish or explode on their way through them."""

from __future__ import annotations

import random
from math import sqrt
from typing import Any, Literal

from .... import data, nn, optim
from ....nn.init import Initialiser, he
from ...evidence import Evidence, claim
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .training import fitted

STEPS = 200
DEEP = 5
UNITS = 5
DEPTHS = (2, 4, 8, 16)
WIDTH = 10
SAMPLES = 4
Activation = Literal["linear", "sigmoid", "tanh", "relu"]
INITIAL = {"linear": "xavier", "sigmoid": "xavier", "tanh": "xavier", "relu": "he"}


def xor_loss(seed: int, hidden: int, activation: str) -> float:
    """Returns the loss of a network on the four points of xor, after `STEPS` steps of descent.

    hidden: the number of hidden layers, of `UNITS` units each.
    """
    X, y = data.xor(4, noise=0, labels=(0, 1), rng=seed)
    sizes = [UNITS] * hidden + [1]
    model = nn.MLP(2, sizes, activation, init=INITIAL[activation], rng=seed)
    descent = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return fitted(model, nn.binary_cross_entropy, X, y, descent, STEPS).loss[-1]


def arriving(seed: int, depth: int, activation: str, init: str | Initialiser) -> float:
    """Returns how much of a gradient arrives at the first of ``depth`` hidden layers.

    It is the norm of the output's gradient with respect to the outputs of the first hidden layer,
    divided by the norm for the last hidden layer, over a few random inputs.
    """
    draw = random.Random(seed)
    model = nn.MLP(WIDTH, [WIDTH] * depth + [1], activation, init=init, rng=draw)
    first = 0.0
    last = 0.0
    for _ in range(SAMPLES):
        outputs: list[Any] = [[draw.gauss(0.0, 1.0) for _ in range(WIDTH)]]
        for layer in model.layers[:-1]:
            outputs.append(layer(outputs[-1]))
        score: Any = model.layers[-1](outputs[-1])
        score.backward()
        first += sum(unit.grad**2 for unit in outputs[1])
        last += sum(unit.grad**2 for unit in outputs[-1])
    return sqrt(first / last)


def large(fan_in: int, fan_out: int, draw: random.Random) -> float:
    """Draws a weight three times as large as a relu needs."""
    return 3 * he(fan_in, fan_out, draw)


@claim("hidden layers learn what no line can", lesson="depth", negation={"activation": "linear"})
def learns_xor(seed: int, activation: Activation = "tanh") -> Evidence:
    """A network without hidden layers cannot learn xor; five hidden layers can.

    activation: the activation function of the hidden units; linear means none.
    """
    networks = (
        ("none", 0, "linear"),
        (f"{DEEP}, no activation", DEEP, "linear"),
        (f"1, {activation}", 1, activation),
        (f"{DEEP}, {activation}", DEEP, activation),
        ("1, sigmoid", 1, "sigmoid"),
        (f"{DEEP}, sigmoid", DEEP, "sigmoid"),
    )
    losses = [xor_loss(seed, hidden, function) for _, hidden, function in networks]
    line, stacked, one, deep, _, stuck = losses
    rows = [(name, f"{loss:.3f}") for (name, _, _), loss in zip(networks, losses)]
    return Evidence(
        min(line, stacked) > 0.69 and max(one, deep) < 0.05,
        {
            "line": line, "stacked": stacked, "one": one, "deep": deep, "stuck": stuck,
            "steps": STEPS, "layers": DEEP,
        },
        f"After {STEPS} steps the loss is {line:.3f} without a hidden layer, and {stacked:.3f} "
        f"with {DEEP} layers that have no activation function. With {activation} units it is "
        f"{one:.3f} for one hidden layer and {deep:.3f} for {DEEP}.",
        (("hidden layers", "loss"), *rows),
    )


@claim(
    "gradients vanish or explode with depth", lesson="depth", negation={"activation": "tanh"}
)
def vanishes(seed: int, activation: Activation = "sigmoid") -> Evidence:
    """Through sigmoids next to nothing of a gradient arrives; large weights make it explode.

    activation: the activation function of the hidden units in the first network.
    """
    networks: dict[str, tuple[str, str | Initialiser]] = {
        activation: (activation, INITIAL[activation]),
        "tanh": ("tanh", "xavier"),
        "relu": ("relu", "he"),
        "3 x weights": ("relu", large),
    }
    shares = {
        name: [arriving(seed, depth, *network) for depth in DEPTHS]
        for name, network in networks.items()
    }
    rows = zip(map(str, DEPTHS), *[[f"{x:.2g}" for x in share] for share in shares.values()])
    vanished = shares[activation][-1]
    kept = shares["tanh"][-1]
    exploded = shares["3 x weights"][-1]
    return Evidence(
        vanished < 1e-6 and exploded > 1e3,
        {
            "vanished": vanished, "kept": kept, "exploded": exploded, "depth": DEPTHS[-1],
            "shrunk": 0.9**50, "grown": 1.1**50,
        },
        f"Of a gradient of 1 at the last of {DEPTHS[-1]} hidden layers, {vanished:.2g} arrives at "
        f"the first with {activation}, and {kept:.2g} with tanh. With relu and weights three "
        f"times too large it is {exploded:.2g}.",
        (("layers", *networks), *rows),
    )


LESSON = Lesson(
    name="depth",
    title="Deep networks: what layers add, and what happens to gradients in them",
    intro="Backpropagation does not care how many layers a network has: the chain rule goes "
          "through all of them in one backward pass. With its gradients, descent trains deep "
          "networks from pairs of inputs and targets; this is supervised learning. Two questions "
          "decide how far that goes. What does a hidden layer add that a single layer does not "
          "have? And what becomes of a gradient on its way back through many layers?",
    parts=(
        Part(
            "For xor the output must be 1 if the signs of two inputs differ, else 0. We train two "
            "networks on its four points: one without a hidden layer, and one with five hidden "
            "layers, but without activation functions. Which of them will learn xor?",
            (
                "Neither of them",
                "The one with five layers, because it has many more weights",
                "Both, and the deep one faster",
            ),
            (
                "Without activation functions, five layers can do no more than one.",
                "Its weights multiply out to one weight for each input: it is still a line.",
                "Both can only draw a line, and no line separates the points of xor.",
            ),
            learns_xor,
            "Without an activation function a layer only multiplies and adds, and so does any "
            "number of such layers together. Their gradients are right, and descent finds the best "
            "such function: it answers one half for every point, and its loss is log 2, or "
            "{line:.3f}. Activation functions between the layers change that. Now the hidden units "
            "compute features, each layer features of the features below it. That is how deep "
            "networks model complex functions. With tanh, {layers} layers learn as well as one, by "
            "the same backward pass. But look at the last row: {layers} layers with sigmoid are "
            "still at {stuck:.3f}, like a network that guesses.",
        ),
        Part(
            "Why does the deep network with sigmoid not learn? Follow a gradient back through a "
            "network with 16 hidden layers. How much of the gradient at the last one arrives at "
            "the first?",
            (
                "Less than a millionth",
                "About a sixteenth: each layer keeps its share",
                "All of it: the chain rule loses nothing",
            ),
            (
                "Every layer multiplies by a factor far below 1.",
                "Layers do not share a gradient. Each multiplies what arrives by its own factor, "
                "and factors below 1 shrink it much faster than division by their number.",
                "The chain rule multiplies by a local derivative for every layer, and for sigmoid "
                "that is at most 1/4.",
            ),
            vanishes,
            "In a layer the gradient is multiplied by the weights and by the slope of the "
            "activation function. The slope of sigmoid is 1/4 at most, so of {depth} layers the "
            "first gets {vanished:.2g}: the gradient vanishes. Such a network is not at a minimum: "
            "its last layers still have gradients, and its loss is large. If the factors are "
            "above 1, the gradient explodes instead, as in the last column. Small differences "
            "matter: fifty factors of 0.9 make {shrunk:.3f}, fifty of 1.1 make {grown:.0f}. So "
            "keep the factors near 1. Take tanh or relu, with initial weights that fit the number "
            "of inputs n: \"xavier\" draws them with a variance of about 1/n, which suits tanh, "
            "and \"he\" with 2/n, which makes up for the half of its inputs that relu sets to 0. "
            "Gradients that explode can be clipped, which means made smaller. Local "
            "minima are a third weakness, which shallow networks have, too: the lesson on the "
            "start shows them.",
        ),
    ),
    remember="Hidden layers with activation functions learn what no single layer can. A gradient "
             "is multiplied by a factor in each of them, so in deep networks it vanishes or "
             "explodes unless these factors are near 1.",
    question=("path", 3),
    exercise="network",
    ideas={
        "what hidden layers add": IdeaQuestion(
            "A network with a hidden layer learns xor, a network without one does not.\n"
            "What does the hidden layer add?",
            "Features that are not linear in the inputs",
            {
                "More weights, and their number is what matters": "more weights are enough",
                "A gradient: a single layer has none": "no gradient without hidden layers",
            },
            learns_xor,
        ),
        "why first layers stand still": IdeaQuestion(
            "In a deep network with sigmoid the last layer changes, but the first ones hardly\n"
            "do. Why?",
            "The gradient is multiplied by many small factors on its way to them",
            {
                "The weights are in a local minimum": "vanishing is a minimum",
                "First layers have a smaller learning rate": "a rate for each layer",
                "First layers matter less for the output": "first layers matter less",
            },
            vanishes,
        ),
    },
    cards={
        "hidden layer": Card(
            "idea",
            "Activation functions between layers let a network compute what no single layer can. "
            "Backpropagation finds the gradients of all layers, and so deep networks learn from "
            "examples.",
            idea="what hidden layers add",
        ),
        "vanishing gradient": Card(
            "idea",
            "Strength of deep networks: they compute complex functions. Weaknesses: gradients "
            "that vanish or explode, a factor for every layer, and local minima.",
            idea="why first layers stand still",
        ),
    },
    covers={
        "000.n4": Cover(learns_xor.name, "hidden layer", "what hidden layers add"),
        "003.c9": Cover(vanishes.name, "vanishing gradient", "why first layers stand still"),
    },
)
