"""Wrong rules: forward functions and local derivatives as somebody with a wrong idea computes them.

    >>> FORWARD["double"].rules["pow"](-3.0, 2.0)
    -6.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..debug.misconceptions import Misconception
from ..engine.table import sin


class ForwardIdea(NamedTuple):
    """A wrong idea about the forward pass.

    title, truth: as in `Idea`.
    rules: the wrong forward functions on floats, by the name of the row.
    """

    title: str
    truth: str
    rules: Mapping[str, Callable[..., float]]


FORWARD: dict[str, ForwardIdea] = {
    "double": ForwardIdea(
        "x ** 2 is computed as 2 * x",
        "The exponent counts factors: x ** 2 is x * x.",
        {"pow": lambda x, n: x * n, "square": lambda x: 2 * x},
    ),
    "negative square": ForwardIdea(
        "the square of a negative number stays negative",
        "Minus times minus is plus: (-3) ** 2 is (-3) * (-3) = 9.",
        {"pow": lambda x, n: x * abs(x) ** (n - 1), "square": lambda x: x * abs(x)},
    ),
    "open relu": ForwardIdea(
        "relu lets negative numbers pass",
        "relu(x) is x only where x is positive; for a negative x it is 0.",
        {"relu": lambda x: x},
    ),
    "mirror relu": ForwardIdea(
        "relu drops the minus sign",
        "That is the absolute value; relu(x) is 0 for a negative x.",
        {"relu": abs},
    ),
    "closed relu": ForwardIdea(
        "relu makes every number 0",
        "relu(x) is 0 only for a negative x; a positive x passes unchanged.",
        {"relu": lambda x: 0.0},
    ),
    "double minus": ForwardIdea(
        "x - (-z) is computed as x - z",
        "To subtract a negative number is to add: x - (-z) is x + z.",
        {"sub": lambda x, z: x - abs(z)},
    ),
    "lost minus": ForwardIdea(
        "x - z is computed as x + z",
        "The second number is subtracted: its sign is turned before it is added.",
        {"sub": lambda x, z: x + z},
    ),
    "swapped minus": ForwardIdea(
        "x - z is computed as z - x",
        "The order counts: the second number is subtracted from the first.",
        {"sub": lambda x, z: z - x},
    ),
    "product sign": ForwardIdea(
        "a product of two negative numbers is taken to be negative",
        "Minus times minus is plus: (-2) * (-3) is 6.",
        {"mul": lambda x, z: -x * z if x < 0 and z < 0 else x * z},
    ),
    "sum of sizes": ForwardIdea(
        "the sizes of numbers with different signs are added",
        "With different signs the smaller size is subtracted from the larger: -3 + 2 is -1.",
        {"add": lambda x, z: x - z if x * z < 0 else x + z},
    ),
    "product for sum": ForwardIdea(
        "a sum is computed as a product",
        "Read the operation of each line again: + adds, and * multiplies.",
        {"add": lambda x, z: x * z},
    ),
    "sum for product": ForwardIdea(
        "a product is computed as a sum",
        "Read the operation of each line again: * multiplies, and + adds.",
        {"mul": lambda x, z: x + z},
    ),
}

# wrong local derivatives that occur when one writes formulas
LOCAL: dict[str, Misconception] = {
    "kept exponent": Misconception(
        "the exponent becomes a factor but does not fall",
        "The exponent becomes a factor and falls by one: d x**n / dx is n * x**(n - 1).",
        {("pow", 0): lambda x, n, o: n * o, ("square", 0): lambda x, o: 2.0 * o},
    ),
    "own power": Misconception(
        "a power is taken for its own derivative",
        "The exponent becomes a factor and falls by one: d x**n / dx is n * x**(n - 1).",
        {("pow", 0): lambda x, n, o: o},
    ),
    "exponent alone": Misconception(
        "only the exponent remains of a power",
        "The exponent becomes a factor of x**(n - 1), which stays.",
        {("pow", 0): lambda x, n, o: n},
    ),
    "dropped factor": Misconception(
        "the other factor of a product disappears",
        "In x * z the derivative with respect to x is z: the other factor stays.",
        {("mul", 0): lambda x, z, o: 1.0, ("mul", 1): lambda x, z, o: 1.0},
    ),
    "like exp": Misconception(
        "a function is taken for its own derivative",
        "Only exp is its own derivative: sin has cos, and log(x) has 1 / x.",
        {(op, 0): lambda x, o: o for op in ("sin", "cos", "log", "tanh", "sigmoid", "sqrt")},
    ),
    "exp as power": Misconception(
        "exp is differentiated like a power",
        "exp(x) is its own derivative: the exponent does not come down.",
        {("exp", 0): lambda x, o: x * o},
    ),
    "quotient": Misconception(
        "x / z is differentiated with respect to z as if it were x * z",
        "x / z is x * z**(-1), so its derivative with respect to z is -x / z**2.",
        {("div", 1): lambda x, z, o: x},
    ),
    "kept divisor": Misconception(
        "the exponent -1 of a divisor becomes a factor but does not fall",
        "The exponent falls to -2: the derivative of 1 / z is -1 / z**2.",
        {("div", 1): lambda x, z, o: -o},
    ),
    "lost sign": Misconception(
        "the minus of a derivative is lost",
        "1 / z falls where z grows, and so does cos(x) where sin(x) is positive: both derivatives "
        "have a minus.",
        {("div", 1): lambda x, z, o: x / (z * z), ("cos", 0): lambda x, o: sin(x)},
    ),
}
