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
    "forward differentiates": Idea(
        "the forward pass is taken for what computes gradients",
        "The forward pass computes the prediction and the loss; gradients come from the backward "
        "pass, which needs them.",
    ),
    "forward updates": Idea(
        "a forward pass is taken to change the weights",
        "A forward pass uses the weights as they are; only an optimiser's step changes them.",
    ),
    "forward inverts": Idea(
        "the forward pass is taken for a search for inputs",
        "The inputs are given. They go through the network, and what comes out is compared with "
        "the target.",
    ),
    "forward uses gradients": Idea(
        "a forward pass is taken to use gradients",
        "A forward pass computes with the data of the weights; gradients change them only in an "
        "optimiser's step.",
    ),
    "change skips units": Idea(
        "an input is taken to reach the prediction without the hidden units",
        "The prediction is computed from the hidden units, and it changes because they do.",
    ),
    "change is not scaled": Idea(
        "a change is taken to stay the same on its way",
        "Each unit multiplies the change by its own weight, and by the derivative of its "
        "activation.",
    ),
    "local derivatives add": Idea(
        "derivatives of steps that follow each other are added",
        "Each step scales the change that reaches it, so their derivatives multiply; what comes by "
        "different paths is added.",
    ),
    "paths multiply": Idea(
        "products of several paths are multiplied",
        "Along a path one multiplies. Several paths each bring a change of their own, and changes "
        "add.",
    ),
    "the strongest path counts": Idea(
        "only the largest products are taken to count",
        "The gradient is the exact sum over all paths; a small product is added like a large one.",
    ),
    "few paths": Idea(
        "a graph is taken to have as many paths as edges",
        "With each layer the number of paths is multiplied, while edges are only added.",
    ),
    "the last layer counts": Idea(
        "the last layer is taken for the whole network",
        "The last layer's inputs depend on all layers below, and these scale a change, too.",
    ),
    "backward updates": Idea(
        "the backward pass is taken to change the weights",
        "backward() computes gradients and changes no weight; the optimiser's step() changes them.",
    ),
    "backward minimises": Idea(
        "backpropagation is taken for the search for a minimum",
        "That takes many steps of an optimiser; backpropagation computes the gradient for one.",
    ),
    "update before gradients": Idea(
        "the update is taken to come before the backward pass",
        "The update needs the gradients, and the backward pass computes them.",
    ),
    "backward before forward": Idea(
        "the backward pass is taken to come before the forward pass",
        "The backward pass starts at the loss and uses local derivatives at the numbers of the "
        "forward pass.",
    ),
    "gradient points down": Idea(
        "a gradient is taken for the direction in which the loss falls",
        "A gradient says how the loss grows. It falls the other way: a negative gradient means up.",
    ),
    "gradient is the new weight": Idea(
        "a gradient is taken for a value of the weight",
        "A gradient is a ratio of changes, of the loss and of the weight. It says where to move, "
        "not where to be.",
    ),
    "prediction for loss": Idea(
        "the prediction is differentiated instead of the loss",
        "The loss is to become small, and the weights are what can be changed.",
    ),
    "derivative turned round": Idea(
        "numerator and denominator of a derivative change places",
        "The weights are moved and the loss responds: dL/dw.",
    ),
    "errors flow forward": Idea(
        "the backward pass is taken to begin at the inputs",
        "It begins at the loss, whose gradient is 1, and goes back to the inputs.",
    ),
    "backward inverts": Idea(
        "the backward pass is taken for the network in reverse",
        "No inputs are computed. What goes back are derivatives, at the numbers of the forward "
        "pass.",
    ),
    "layers only": Idea(
        "layers are taken for a condition of backpropagation",
        "Every graph has a reverse order of execution, and a sweep needs no more than that.",
    ),
    "trees only": Idea(
        "a number that is used twice is taken for an obstacle",
        "A number that is used several times gets a sum of gradients; weights and hidden units "
        "always do.",
    ),
    "the only way to a gradient": Idea(
        "backpropagation is taken for the only way to a gradient",
        "Small changes of each weight, or a formula, give the same numbers, with far more work.",
    ),
    "one pass for each weight": Idea(
        "every weight is taken to need a forward pass of its own",
        "That is what small changes of the weights need. One backward pass finds all derivatives.",
    ),
    "gradients are approximate": Idea(
        "the gradients of backpropagation are taken for approximations",
        "They are exact, up to the rounding of each operation; differences of losses are "
        "approximate.",
    ),
    "work counts units": Idea(
        "the work is taken to be proportional to the number of units",
        "A unit of a wider layer has more weights, and each weight is work: twice the width, four "
        "times the weights.",
    ),
    "work counts layers": Idea(
        "the work is taken to be proportional to the number of layers",
        "Layers can be narrow or wide. Each weight of a layer is a multiplication and an addition.",
    ),
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
