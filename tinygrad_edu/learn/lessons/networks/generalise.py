"""Unseen data: overfitting, and how L2 and dropout work against it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Annotated, Any

from .... import data, nn, optim
from ....engine.interpreter import no_grad
from ....engine.value import Value
from ....math import relu
from ...evidence import Evidence, claim
from ...misconceptions import BACKWARD, sweep
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part
from .training import fitted

SAMPLES = 20
UNSEEN = 200
NOISE = 0.35
UNITS = 12
STEPS = 300
CALLS = 400
WRONG = ("", *BACKWARD)  # ideas about the backward pass, "" for the right one


def network(p: float, draw: random.Random) -> nn.Sequential:
    """Returns a network with one hidden layer, whose units are dropped with probability ``p``."""
    return nn.Sequential(
        nn.Layer(2, UNITS, "tanh", rng=draw),
        nn.Dropout(p, rng=draw.randrange(2**32)),
        nn.Layer(UNITS, 1, "linear", init="xavier", rng=draw),
    )


def mean_loss(model: nn.Module, X: Sequence[Any], y: Sequence[int]) -> float:
    """Returns the mean cross-entropy of a model in evaluation mode."""
    model.eval()
    with no_grad():
        return fmean(nn.binary_cross_entropy(model(x), t).data for x, t in zip(X, y))


def trained(seed: int, decay: float, p: float) -> tuple[float, float, float]:
    """Trains a network on a few noisy points of two moons, with L2 and dropout.

    decay: the factor of the sum of squared weights in the loss.
    p: the probability that a unit is dropped.

    Returns the cross-entropy of training data and of unseen data, and the sum of squared weights.
    """
    X, y = data.moons(SAMPLES, NOISE, labels=(0, 1), rng=seed)
    unseen = data.moons(UNSEEN, NOISE, labels=(0, 1), rng=1000 + seed)
    model = network(p, random.Random(seed))
    weights = model.parameters()
    fitted(
        model, nn.binary_cross_entropy, X, y, optim.Adam(weights, lr=0.1), STEPS,
        penalty=(lambda: decay * nn.l2(weights)) if decay else None,
    )
    return mean_loss(model, X, y), mean_loss(model, *unseen), sum(w.data**2 for w in weights)


@claim(
    "L2 and dropout help on unseen data", lesson="generalise", negation={"decay": 0.0, "p": 0.0}
)
def generalises(
    seed: int,
    decay: Annotated[float, Range(0, 1)] = 0.003,
    p: Annotated[float, Range(0, 0.95)] = 0.5,
) -> Evidence:
    """Both leave a larger loss on the training data, and a smaller one on unseen data.

    decay: the factor λ of the sum of squared weights in the loss, for L2.
    p: the probability with which dropout sets a unit to 0.
    """
    plain = trained(seed, 0.0, 0.0)
    l2 = trained(seed, decay, 0.0)
    strong = trained(seed, 100 * decay, 0.0)
    dropped = trained(seed, 0.0, p)
    names = ("nothing", f"L2 {decay:g}", f"L2 {100 * decay:g}", f"dropout {p:g}")
    rows = [
        (name, f"{train:.3f}", f"{unseen:.3f}", f"{squares:.0f}")
        for name, (train, unseen, squares) in zip(names, (plain, l2, strong, dropped))
    ]
    return Evidence(
        plain[0] < min(l2[0], dropped[0]) and plain[1] > max(l2[1], dropped[1]),
        {
            "train": plain[0], "unseen": plain[1], "l2": l2[1], "strong": strong[0],
            "dropped": dropped[1], "squares": plain[2], "small": l2[2], "samples": SAMPLES,
        },
        f"On the {SAMPLES} training points the loss falls to {plain[0]:.3f}, but on {UNSEEN} "
        f"unseen ones it is {plain[1]:.2f}. With L2, λ = {decay:g}, it is {l2[1]:.2f} there; with "
        f"dropout of {100 * p:g}% it is {dropped[1]:.2f}.",
        (("added", "train", "unseen", "weights²"), *rows),
    )


@claim(
    "a penalty adds its derivative to the gradient",
    lesson="generalise",
    negation={"misconception": "overwrite"},
)
def adds_derivative(seed: int, misconception: Annotated[str, WRONG] = "") -> Evidence:
    """The loss of a small network has two terms with the same weights, whose gradients add up.

    misconception: the idea by which the backward pass runs, the right one or a wrong one.

    Source: the example of Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.5.7.
    """
    draw = random.Random(seed)
    decay = 0.1
    X, y = data.moons(6, labels=(0, 1), rng=draw)
    first, second = ([[Value(draw.gauss(0.0, 1.0), f"{name}{i}{j}") for j in range(3)]
                      for i in range(2)] for name in "uv")
    weights = [w for row in (*first, *second) for w in row]

    def logits(x: Sequence[float]) -> list[Any]:
        hidden = [relu(sum(row[j] * xi for row, xi in zip(first, x))) for j in range(3)]
        return [sum(w * h for w, h in zip(row, hidden)) for row in second]

    entropy = sum(nn.cross_entropy(logits(x), t) for x, t in zip(X, y)) / len(X)
    entropy.backward()
    parts = {str(w.label): (w.grad, 2 * decay * w.data) for w in weights}
    found = sweep(entropy + decay * nn.l2(weights), misconception)
    gap = max(abs(found[name] - sum(terms)) for name, terms in parts.items())
    shown = [*parts][:3] + [*parts][-3:]
    name = max(shown, key=lambda name: min(map(abs, parts[name])))
    error, pull = parts[name]
    how = f", with the wrong idea {misconception!r}," if misconception else ""
    rows = [(w, *[f"{g:.4f}" for g in (*parts[w], found[w])]) for w in shown]
    return Evidence(
        gap < 1e-12,
        {"gap": gap, "name": name, "error": error, "pull": pull, "total": found[name]},
        f"For the weight {name} the cross-entropy alone has the gradient {error:.4f}, and "
        f"2λ{name} is {pull:.4f}. The backward pass from the whole loss{how} gives "
        f"{found[name]:.4f}. For all {len(weights)} weights it differs from the sum of the two by "
        f"{gap:.1g} at most.",
        (("weight w", "cross-entropy", "2λw", "whole loss"), *rows),
    )


@claim(
    "dropout works in training mode only", lesson="generalise", negation={"training": False}
)
def drops_in_training(seed: int, training: bool = True) -> Evidence:
    """In training mode the same input has other outputs each time; their mean is the output that
    evaluation mode gives.

    training: whether the model is in training mode, or else in evaluation mode.
    """
    draw = random.Random(seed)
    model: Any = network(0.5, draw)
    x = [draw.gauss(0.0, 1.0), draw.gauss(0.0, 1.0)]
    with no_grad():
        model.train(training)
        outputs = [float(model(x)) for _ in range(CALLS)]
        model.eval()
        evaluated = [float(model(x)) for _ in range(CALLS)]
    mean = fmean(outputs)
    spread = stdev(outputs)
    mode = "training" if training else "evaluation"
    rows = [(str(i), f"{a:.3f}", f"{b:.3f}") for i, a, b in zip(range(1, 6), outputs, evaluated)]
    is_near = abs(mean - evaluated[0]) < 4 * spread / CALLS**0.5
    return Evidence(
        is_near and spread > 0 and len(set(evaluated)) == 1,
        {"mean": mean, "spread": spread, "evaluated": evaluated[0], "calls": CALLS},
        f"In {mode} mode {CALLS} outputs for one input have the mean {mean:.3f} and the standard "
        f"deviation {spread:.3f}. In evaluation mode all are {evaluated[0]:.3f}.",
        (("call", mode, "evaluation"), *rows),
    )


LESSON = Lesson(
    name="generalise",
    title="Unseen data: overfitting, L2 and dropout",
    intro="A network is trained on some samples and used on others. It generalises if it does well "
          "on data that it has not seen; to measure that, keep data aside and never train on them. "
          "A network with many weights can learn its samples by heart, with all their noise: that "
          "is overfitting. Two methods work against it. L2, also called weight decay, adds the "
          "sum of the squared weights to the loss, times a small number λ. Dropout sets units to "
          "0 at random while the network is trained.",
    parts=(
        Part(
            "A network learns 20 noisy points of two classes until its loss there is nearly 0. "
            "What will its loss be on new points of the same kind?",
            (
                "Much larger, and L2 or dropout make it smaller",
                "Nearly 0, too: it has learned the task",
                "Larger, and larger still with L2 or dropout, which disturb training",
            ),
            (
                "It has learned the noise of its 20 points, and new ones have other noise.",
                "It has learned these 20 points. Only data it has not seen can tell whether it has "
                "learned the task.",
                "They do disturb training: the loss on the training points is larger. That is the "
                "price for a smaller one on new points.",
            ),
            generalises,
            "With nothing added, the network fits each of its {samples} points, however odd. Its "
            "weights grow until their squares add up to {squares:.0f}, and the border between the "
            "classes bends around single points. L2 makes large weights expensive: with it the "
            "squares add up to {small:.0f}. With dropout no unit can rely on a certain other one, "
            "so each must be useful by itself. Both help on unseen data, and both cost something "
            "on the training data. Too much L2 does harm: with a λ a hundred times larger the "
            "loss is {strong:.2f} even on the training points, as for a network that guesses. How "
            "much is best? Try several λ and take the one with the smallest loss on data that you "
            "kept aside. That is called validation.",
        ),
        Part(
            "With L2 the loss is the cross-entropy plus λ times the sum of w² over all weights. So "
            "a weight w acts on the loss in two ways. What is its gradient?",
            (
                "The gradient of the cross-entropy plus 2λw",
                "2λw: it comes last in the loss, so it counts",
                "The gradient of the cross-entropy: the penalty is no error",
            ),
            (
                "A node with two users gets the sum of what both send back.",
                "The order does not matter: what comes from two users is added. Otherwise the data "
                "would have no influence.",
                "The penalty is a term of the loss, and it is differentiated like the others.",
            ),
            adds_derivative,
            "A penalty needs nothing new. In the computational graph a weight has two users, the "
            "network and its square in the penalty. The backward pass adds what comes from both, "
            "as for any node that is used twice: {error:.4f} and {pull:.4f} make {total:.4f}. "
            "(Goodfellow, Bengio and Courville draw this graph in their book Deep Learning, figure "
            "6.11.) Backpropagation works on any graph; layers are only the most common kind. And "
            "what does 2λw do? A step of descent subtracts rate × 2λw, which multiplies the weight "
            "by 1 - rate × 2λ. This shrinking gave L2 its other name, weight decay.",
        ),
        Part(
            "A network with dropout is in training mode. We give it the same input again and "
            "again. What happens to its output?",
            (
                "It differs from call to call",
                "It stays the same, since neither the weights nor the input change",
                "It is always about half of what the network gives without dropout",
            ),
            (
                "Each call drops other units.",
                "Which units are dropped is drawn at random in each call.",
                "The units that stay are divided by the probability of staying. That keeps the "
                "mean as it was.",
            ),
            drops_in_training,
            "In training mode each hidden unit is set to 0 with probability 1/2, and doubled "
            "otherwise: its mean stays what it was. This noise helps learning and harms "
            "predictions, which would be off by about {spread:.2f}, differently at each call. "
            "Therefore write model.eval() before you use or measure a network: in evaluation mode "
            "dropout does nothing. Write model.train() before you train it further. If you forget "
            "model.eval(), this noise is in all that you measure.",
        ),
    ),
    remember="A small training loss says nothing about unseen data. L2 adds λ Σ w² to the loss, "
             "and so 2λw to each gradient. Dropout drops units at random, in training only.",
    question=("gradient", 4),
    exercise="evaluation",
    ideas={
        "what a training loss says": IdeaQuestion(
            "The loss on the training data has fallen to nearly 0.\n"
            "What does that say about new data?",
            "Nothing yet: that takes data which the network has not seen",
            {
                "The loss on new data is nearly 0, too": "training loss is all",
                "The network has overfitted": "a small loss is overfitting",
            },
            generalises,
        ),
        "gradient of a penalised weight": IdeaQuestion(
            "The loss is the cross-entropy C plus λw².\nWhat is the gradient of the weight w?",
            "dC/dw + 2λw",
            {
                "2λw, since the penalty is added last": "overwrite",
                "dC/dw, since the penalty is no error": "penalty without gradient",
                "dC/dw + λw²": "penalty added to the gradient",
            },
            adds_derivative,
        ),
        "L2 and dropout": IdeaQuestion(
            "What do L2 and dropout do against overfitting?",
            "L2 penalises large weights; dropout drops random units",
            {
                "L2 penalises large weights; dropout drops small weights": "dropout by size",
                "Both make the loss on the training data smaller": "training loss is all",
            },
            generalises,
        ),
        "when dropout drops": IdeaQuestion(
            "When does dropout set units to 0?",
            "In training, other ones each time",
            {
                "Whenever the network is called, also for predictions": "dropout in predictions",
                "Before training, and for good": "dropped for good",
                "When their weights are small": "dropout by size",
            },
            drops_in_training,
        ),
    },
    cards={
        "overfitting": Card(
            "idea",
            "A network that learns the noise of its training data overfits: its loss is small "
            "there and large on unseen data. L2 and dropout raise the first loss and lower the "
            "second.",
            idea="what a training loss says",
        ),
        "weight decay": Card(
            "idea",
            "The penalty λ Σ w² adds 2λw to the gradient of each weight, by the ordinary backward "
            "pass. Each step pulls the weight a little towards 0.",
            idea="gradient of a penalised weight",
        ),
        "dropout": Card(
            "idea",
            "L2 penalises large weights. Dropout sets units to 0 at random, in training only; "
            "for predictions the network is switched to evaluation mode.",
            idea="when dropout drops",
        ),
    },
    covers={
        "001.f4": Cover(generalises.name, "dropout", "L2 and dropout"),
        "001.f4 (training only)": Cover(drops_in_training.name, "dropout", "when dropout drops"),
        "001.r3": Cover(generalises.name, "overfitting", "what a training loss says"),
        "002.b3": Cover(adds_derivative.name, "weight decay", "gradient of a penalised weight"),
    },
)
