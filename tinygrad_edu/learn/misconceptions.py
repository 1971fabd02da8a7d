"""Wrong ideas about backpropagation and gradient descent, each with a sentence on what is right.

    >>> from tinygrad_edu import Value, learn
    >>> a = Value(3.0, "a")
    >>> y = a + a
    >>> learn.misconceptions.sweep(y, "overwrite")["a"]
    1.0

Those about the backward pass are programs: `sweep` goes over a graph as somebody with that idea
would.  So are those about the forward pass: `forward` computes a graph with wrong rules.  The other
ones are ideas about paths, updates and counting; questions compute with them what a wrong answer
would be.
"""

from __future__ import annotations

from ..debug.misconceptions import MISCONCEPTIONS as BACKWARD
from ..debug.recording import Recording, record
from ..debug.stepper import Stepper
from ..engine.primitive import lookup
from ..engine.value import Value
from ..errors import check_choice
from .wrong_answers import COUNTS, PATHS, UPDATES, Idea
from .wrong_rules import FORWARD, LOCAL

__all__ = ["BACKWARD", "FORWARD", "LOCAL", "MISCONCEPTIONS", "Idea", "forward", "sweep"]


MISCONCEPTIONS: dict[str, Idea] = {
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in BACKWARD.items()},
    # forward passes and paths
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in FORWARD.items()},
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in LOCAL.items()},
    **PATHS,
    # updates and optimisers
    **UPDATES,
    # counting and classifying
    **COUNTS,
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
    recording = record(_root(y), misconception=name)
    stepper = Stepper(recording).finish()
    return {node: stepper.grad(node) for node in recording.positions}


def forward(y: Value | Recording | Stepper, name: str) -> dict[str, float]:
    """Returns the numbers that a wrong idea about the forward pass gives, by names of nodes.

    y: the root of a graph, which is not changed.
    name: one of `FORWARD`: "double", "negative square", "open relu", ...; "" gives the right
        numbers.

    Raises:
        TypeError: ``y`` is not a Value.
        ValueError: ``name`` is unknown.
    """
    check_choice(name, "forward: name", ("", *FORWARD))
    rules = FORWARD[name].rules if name else {}
    recording = y if isinstance(y, Recording) else record(_root(y))
    data: list[float] = []
    for node in recording.nodes:
        number = node.data
        if node.op:
            compute = rules.get(node.op, lookup(node.op).forward)
            number = float(compute(*[data[arg] for arg in node.args]))
        data.append(number)
    return {node: data[position] for node, position in recording.positions.items()}


def _root(y: Value | Recording | Stepper) -> Value:
    """Returns the root of a graph that is given as one, as its recording or as a stepper."""
    recording = y.recording if isinstance(y, Stepper) else y
    return recording.values()[-1] if isinstance(recording, Recording) else recording
