"""Wrong ideas about the backward pass: each is another way to go over the same graph.

    >>> from tinygrad_edu import Stepper, Value, record
    >>> a = Value(3.0, "a")
    >>> y = a + a
    >>> Stepper(record(y, misconception="overwrite")).finish().grad("a")
    1.0

`record` runs one of `MISCONCEPTIONS` instead of the right backward pass; the stepper, the shell,
drawings and pages then show it step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine.primitive import Rule


@dataclass(frozen=True)
class Misconception:
    """One wrong idea about the backward pass.

    title: the idea, in a few words.
    truth: what is right, and why.
    rules: the wrong local derivatives, by the name of the row and the position of the argument;
        written like the rules of the table.
    replaces: whether a gradient replaces the one that came before, instead of being added to it.
    is_naive: whether a node passes on its gradient before all of it has come.
    ignores_adjoint: whether local derivatives are not multiplied by the gradient of the user.
    """

    title: str
    truth: str
    rules: Mapping[tuple[str, int], Rule] = field(default_factory=dict)
    replaces: bool = False
    is_naive: bool = False
    ignores_adjoint: bool = False


MISCONCEPTIONS: dict[str, Misconception] = {
    "overwrite": Misconception(
        "a later gradient replaces the earlier one",
        "A node that is used several times gets the sum over its users: += and not =.",
        replaces=True,
    ),
    "early": Misconception(
        "a node passes on its gradient before all of it has come",
        "A node passes its gradient on once, after all of its users: in topological order.",
        is_naive=True,
    ),
    "local": Misconception(
        "the gradient is the local derivative alone",
        "The chain rule multiplies it by the gradient that arrives from above.",
        ignores_adjoint=True,
    ),
    "factor": Misconception(
        "the derivative of x * z with respect to x is x",
        "The derivative of a product with respect to one factor is the other factor.",
        {("mul", 0): lambda x, z, o: x, ("mul", 1): lambda x, z, o: z},
    ),
    "minus": Misconception(
        "the derivative of x - z with respect to z is 1",
        "If z grows, x - z falls: the derivative is -1.",
        {("sub", 1): lambda x, z, o: 1.0, ("neg", 0): lambda x, o: 1.0},
    ),
    "square": Misconception(
        "the derivative of x ** 2 is x ** 2",
        "The exponent becomes a factor and falls by one: 2 * x.",
        {("pow", 0): lambda x, n, o: o, ("square", 0): lambda x, o: o},
    ),
    "constant": Misconception(
        "the derivative of x ** 2 is 2",
        "The exponent becomes a factor of x ** 1: 2 * x, and not 2.",
        {("pow", 0): lambda x, n, o: n, ("square", 0): lambda x, o: 2.0},
    ),
    "relu": Misconception(
        "a relu that is off lets gradients pass",
        "Where relu is 0 its output does not change with its input: the local derivative is 0.",
        {("relu", 0): lambda x, o: 1.0},
    ),
}
