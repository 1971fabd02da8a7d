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
