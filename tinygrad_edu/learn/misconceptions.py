"""Wrong ideas about backpropagation and gradient descent, each with a sentence on what is right.

    >>> from tinygrad_edu import Value, learn
    >>> a = Value(3.0, "a")
    >>> y = a + a
    >>> learn.misconceptions.sweep(y, "overwrite")["a"]
    1.0

Those about the backward pass are programs: `sweep` goes over a graph as somebody with that idea
would.  The other ones are ideas about forward passes, updates and counting; questions compute with
them what a wrong answer would be.
"""

from __future__ import annotations

from typing import NamedTuple

from ..debug.misconceptions import MISCONCEPTIONS as BACKWARD
from ..debug.recording import Recording, record
from ..debug.stepper import Stepper
from ..engine.value import Value
from ..errors import check_choice


class Idea(NamedTuple):
    """A wrong idea.

    title: the idea as a clause: "the rate is forgotten".
    truth: what is right, and why, in a sentence.
    """

    title: str
    truth: str


MISCONCEPTIONS: dict[str, Idea] = {
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in BACKWARD.items()},
    # forward passes and paths
    # updates and optimisers
    # counting and classifying
    # ideas of the lessons forward, chain, backward, cost
    # ideas of the lessons descent, rate, start, batches, optimisers
    "examples set the step": Idea(
        "the number of examples is taken for what sets the step",
        "The examples decide the gradient; how far a step follows it is the learning rate.",
    ),
    "start sets the step": Idea(
        "the initial values are taken for what sets the step",
        "They decide where descent begins; how far a step goes is the learning rate.",
    ),
    # ideas of the lessons depth, generalise, uses
    "more weights are enough": Idea(
        "the number of weights is taken for what lets a network learn",
        "Layers without activation functions multiply out to a single one, however many weights "
        "they have. What helps is the function between them.",
    ),
    "no gradient without hidden layers": Idea(
        "a network without hidden layers is thought to have no gradient",
        "Its gradients are right, and descent finds the best line; but no line is good enough.",
    ),
    "vanishing is a minimum": Idea(
        "a gradient that vanishes on its way is taken for a minimum",
        "At a minimum the gradients of all layers are near 0. Here only those of the first layers "
        "are, and the loss is still large.",
    ),
    "a rate for each layer": Idea(
        "first layers are thought to have a smaller rate",
        "All layers have the same rate. It multiplies a gradient that is much smaller in the first "
        "ones.",
    ),
    "first layers matter less": Idea(
        "first layers are thought to matter less",
        "All that the network computes goes through its first layers. With tanh or relu, and "
        "suitable initial weights, they get as much gradient as the others.",
    ),
    "training loss is all": Idea(
        "the training loss is taken for the loss on new data",
        "A network can learn its samples by heart, with their noise. Data that it has not seen "
        "tell how good it is.",
    ),
    "a small loss is overfitting": Idea(
        "a small training loss is taken for overfitting",
        "A small training loss is no fault. A network overfits if its loss on unseen data is much "
        "larger.",
    ),
    "penalty without gradient": Idea(
        "the penalty is thought to have no gradient",
        "The penalty is a term of the loss that is minimised, and is differentiated like the "
        "others.",
    ),
    "penalty added to the gradient": Idea(
        "the penalty itself is added to the gradient",
        "λw² is added to the loss. Its derivative, 2λw, is added to the gradient.",
    ),
    "dropout in predictions": Idea(
        "dropout is thought to work in predictions",
        "Noise in predictions would only make them worse. In evaluation mode dropout does nothing.",
    ),
    "dropped for good": Idea(
        "dropped units are thought to be removed",
        "Which units are dropped is drawn again at each call, so all of them learn.",
    ),
    "dropout by size": Idea(
        "dropout is thought to choose units with small weights",
        "It draws units at random; it is L2 that looks at the size of weights.",
    ),
    "descent is backpropagation": Idea(
        "gradient descent is taken for backpropagation",
        "Gradient descent uses a gradient. Backpropagation is the way to compute it in a network, "
        "and became popular in 1986.",
    ),
    "perceptron is backpropagation": Idea(
        "the perceptron is taken for backpropagation",
        "The perceptron trains one layer of weights by a rule of its own, which needs no chain "
        "rule. That hidden layers can be trained became known in 1986.",
    ),
    "deep networks came first": Idea(
        "the success of deep networks is taken for the beginning of backpropagation",
        "The network of 2012 was trained by backpropagation, which had been popular since 1986.",
    ),
    "a chain rule for each use": Idea(
        "each kind of data is thought to need a chain rule of its own",
        "The chain rule is the same for any graph of operations, whatever its numbers stand for.",
    ),
    "features are programmed": Idea(
        "somebody is thought to program the features",
        "Hidden units find the features, for pictures and words alike: that is what descent does "
        "with their weights.",
    ),
    "a recommender is a table": Idea(
        "a recommender is thought to store the ratings that it has seen",
        "A table has nothing to say about a rating that is missing. A few numbers for each person "
        "and each film have.",
    ),
    "a recommender is a mean": Idea(
        "a recommender is taken for a mean",
        "A mean is the same for everybody. The numbers that are learned differ from person to "
        "person.",
    ),
    "the world is differentiated": Idea(
        "the world is thought to be part of the graph",
        "How a drive goes depends on road and wind, and they are not in the graph. The "
        "probabilities of the actions are.",
    ),
    "no learning without targets": Idea(
        "there is thought to be no loss without targets",
        "How well it went says which actions to make more probable, and that can be written as a "
        "loss.",
    ),
}


def sweep(y: Value | Recording | Stepper, name: str) -> dict[str, float]:
    """Returns the gradients that a wrong idea about the backward pass gives, by names of nodes.

    y: the root of a graph, which is not changed.
    name: one of "overwrite", "early", "local", "factor", "minus", "square", "constant", "relu";
        "" gives the right gradients.

    Raises:
        TypeError: ``y`` is not a Value.
        ValueError: ``name`` is unknown.
    """
    check_choice(name, "sweep: name", ("", *BACKWARD))
    root = y.recording if isinstance(y, Stepper) else y
    if isinstance(root, Recording):
        root = root.values()[-1]
    recording = record(root, misconception=name)
    stepper = Stepper(recording).finish()
    return {node: stepper.grad(node) for node in recording.positions}
