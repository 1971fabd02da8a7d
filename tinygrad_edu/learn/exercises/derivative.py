"""The exercise rule: write the local derivative of a function, as in the table of the engine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import cos, exp, log, tanh
from typing import Any, NamedTuple

from ...debug.text import short_number
from ...engine.primitive import TABLE
from ..evidence import aligned
from .exercise import (
    Exercise,
    Failed,
    NotYet,
    file_text,
    is_close,
    number_of,
    numbers_of,
)
from .running import Answer, Call

POINTS = (-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0)
PAIRS = ((2.0, 3.0), (-2.0, 3.0), (2.0, -3.0), (0.5, -0.5), (3.0, 3.0), (0.0, 2.0))
DRAWN = 12  # points that depend on the random seed
MOST_SHOWN = 5  # wrong points in the details
MIN_COMPARED = 5  # points, to recognise a wrong rule


class Wrong(NamedTuple):
    """A rule that learners write, and what it misses.

    text: the rule, as an expression.
    rule: called with the arguments and the output.
    truth: what is right, in a sentence.
    """

    text: str
    rule: Callable[..., Any]
    truth: str


class Function(NamedTuple):
    """A function whose rule is to be written.

    call: as in the task: "tanh(x)".
    row: its name in the table of the engine.
    right: a rule that is right, as an expression.
    edges: values of x, or pairs of x and z, other than those of `POINTS` or `PAIRS`.
    wrong: the rules to recognise.
    note: a sentence about its edges, for the task.
    low, high: between which numbers points are drawn.
    constants: further arguments of the row.
    """

    call: str
    row: str
    right: str
    edges: tuple[Any, ...]
    wrong: tuple[Wrong, ...]
    note: str = ""
    low: float = -5.0
    high: float = 5.0
    constants: tuple[float, ...] = ()


BIG = "The check also tries x = 1000 and x = -1000."
SQUASH = (-1000.0, -20.0, 0.0, 20.0, 1000.0)
# neighbours differ in kind, because seeds are often tried one after the other
FUNCTIONS = (
    Function("tanh(x)", "tanh", "1 - o * o", SQUASH, (
        Wrong("1 - o", lambda x, o: 1 - o, "The output has to be squared."),
        Wrong("1 - x**2", lambda x, o: 1 - x * x, "The square is that of the output o, not of x."),
        Wrong("o * (1 - o)", lambda x, o: o * (1 - o), "That is the rule of the sigmoid."),
        Wrong("1 - tanh(o)**2", lambda x, o: 1 - tanh(o) ** 2,
              "o is tanh(x) already; here tanh is applied twice."),
    ), BIG),
    Function("x * z", "mul", "z, x", ((0.0, 0.0),), (
        Wrong("x, z", lambda x, z, o: (x, z),
              "The derivative with respect to one factor is the other factor."),
        Wrong("1, 1", lambda x, z, o: (1, 1), "That is the rule of the sum x + z."),
        Wrong("o, o", lambda x, z, o: (o, o), "That is the product itself, not its slope."),
    )),
    Function("relu(x)", "relu", "1.0 if x > 0 else 0.0", (-1e-9, 0.0, 1e-9), (
        Wrong("1", lambda x, o: 1.0,
              "Where relu is off, its output does not change with x: the derivative is 0 there."),
        Wrong("o", lambda x, o: o, "That is the output; the slope of relu is either 0 or 1."),
        Wrong("x", lambda x, o: x, "That is the input; the slope of relu is either 0 or 1."),
        Wrong("1 if x >= 0 else 0", lambda x, o: float(x >= 0),
              "At x = 0 the engine takes 0: it needs > and not >=."),
    ), "relu(x) is x for x > 0, and else 0.  At its kink x = 0 the engine takes 0."),
    Function("1 / x", "reciprocal", "-o * o", (-1e-3, 1e-3, 1e3), (
        Wrong("o * o", lambda x, o: o * o, "The minus is lost: 1/x falls where x grows."),
        Wrong("-o", lambda x, o: -o, "The output has to be squared: 1/x is x**-1, and the "
              "exponent falls by one, to -2."),
        Wrong("log(x)", lambda x, o: log(x), "That is the integral of 1/x, not its derivative."),
    ), "x is never 0."),
    Function("sigmoid(x)", "sigmoid", "o * (1 - o)", SQUASH, (
        Wrong("1 - o**2", lambda x, o: 1 - o * o, "That is the rule of tanh."),
        Wrong("o", lambda x, o: o, "That is the output, not its slope."),
        Wrong("x * (1 - x)", lambda x, o: x * (1 - x), "The rule needs the output o, not x."),
        Wrong("s * (1 - s) with s = sigmoid(o)", lambda x, o: exp(-o) / (1 + exp(-o)) ** 2,
              "o is sigmoid(x) already; here sigmoid is applied twice."),
    ), f"sigmoid(x) is 1 / (1 + exp(-x)).  {BIG}"),
    Function("x ** 2", "square", "2 * x", (0.0, 1e5), (
        Wrong("x ** 2", lambda x, o: o, "The exponent becomes a factor and falls by one."),
        Wrong("2", lambda x, o: 2.0, "The exponent becomes a factor of x ** 1, which stays."),
        Wrong("x", lambda x, o: x, "The exponent becomes a factor, which is missing."),
    )),
    Function("x - z", "sub", "1.0, -1.0", ((0.0, 0.0),), (
        Wrong("1, 1", lambda x, z, o: (1, 1), "The minus is lost: if z grows, x - z falls."),
        Wrong("x, -z", lambda x, z, o: (x, -z),
              "A difference changes as fast as its terms, whatever they are."),
        Wrong("-1, 1", lambda x, z, o: (-1, 1), "The two signs are exchanged."),
    )),
    Function("exp(x)", "exp", "o", (-1000.0, 0.0, 700.0), (
        Wrong("x * exp(x - 1)", lambda x, o: x * exp(x - 1),
              "The rule of powers holds for x**n; here x is the exponent."),
        Wrong("x * o", lambda x, o: x * o, "exp is its own derivative; there is no factor x."),
        Wrong("x", lambda x, o: x, "That is the exponent; exp is its own derivative."),
        Wrong("1", lambda x, o: 1.0, "That is right at x = 0 only: exp gets steeper with x."),
    )),
    Function("abs(x)", "abs", "(x > 0) - (x < 0)", (-1e-9, 0.0, 1e-9), (
        Wrong("1", lambda x, o: 1.0, "For x < 0, abs(x) falls where x grows."),
        Wrong("o", lambda x, o: o, "That is the output; the slope of abs is -1 or 1."),
        Wrong("1 if x >= 0 else -1", lambda x, o: 1.0 if x >= 0 else -1.0,
              "At x = 0 the engine takes 0, halfway between both slopes."),
        Wrong("1 if x > 0 else -1", lambda x, o: 1.0 if x > 0 else -1.0,
              "At x = 0 the engine takes 0, halfway between both slopes."),
    ), "At its kink x = 0 the engine takes 0."),
    Function("log(x)", "log", "1 / x", (1e-3, 1.0, 1e3), (
        Wrong("1 / o", lambda x, o: 1 / o, "It is 1 over the argument x, not over the output."),
        Wrong("o / x", lambda x, o: o / x, "There is no factor log(x)."),
        Wrong("exp(x)", lambda x, o: exp(x), "That is the inverse of log, not its derivative."),
    ), "x is positive.", 0.1, 20.0),
    Function("x / z", "div", "1 / z, -o / z", ((1e3, 1e-3),), (
        Wrong("1/z, o/z", lambda x, z, o: (1 / z, o / z),
              "A minus is lost: if z grows, x/z falls (for positive numbers)."),
        Wrong("1/z, -1/z**2", lambda x, z, o: (1 / z, -1 / z / z),
              "x is a factor of the second derivative: x/z is x times 1/z."),
        Wrong("1/z, x", lambda x, z, o: (1 / z, x), "1/z has a derivative of its own: -1/z**2."),
        Wrong("1, 1", lambda x, z, o: (1, 1), "That is the rule of the sum x + z."),
    ), "z is never 0."),
    Function("leaky_relu(x)", "leaky_relu", "1.0 if x > 0 else 0.1", (-1e-9, 0.0, 1e-9), (
        Wrong("1 if x > 0 else 0", lambda x, o: float(x > 0),
              "That is the rule of relu; below 0 the slope of leaky_relu is 0.1."),
        Wrong("1 if x > 0 else 0.1 * x", lambda x, o: 1.0 if x > 0 else 0.1 * x,
              "0.1 * x is the output below 0; its slope is 0.1."),
        Wrong("1", lambda x, o: 1.0, "Below 0 the slope is 0.1."),
        Wrong("1 if x >= 0 else 0.1", lambda x, o: 1.0 if x >= 0 else 0.1,
              "At x = 0 the engine takes the slope below 0: it needs > and not >=."),
    ), "leaky_relu(x) is x for x > 0, and else 0.1 * x.  At its kink x = 0 the engine "
       "takes the slope below 0.", constants=(0.1,)),
    Function("sin(x)", "sin", "math.cos(x)", (0.0, 100.0), (
        Wrong("-cos(x)", lambda x, o: -cos(x), "The sign is wrong: sin grows at x = 0."),
        Wrong("cos(o)", lambda x, o: cos(o), "The cosine is that of x, not of the output."),
        Wrong("sin(x)", lambda x, o: o, "That is the output, not its slope."),
    )),
    Function("sqrt(x)", "sqrt", "0.5 / o", (1e-6, 1.0, 1e6), (
        Wrong("1 / o", lambda x, o: 1 / o, "The exponent 1/2 becomes a factor, which is missing."),
        Wrong("0.5 * o", lambda x, o: 0.5 * o, "The exponent falls by one, from 1/2 to -1/2: o "
              "belongs below the fraction bar."),
        Wrong("0.5 / x", lambda x, o: 0.5 / x, "It is divided by the output o, not by x."),
        Wrong("2 * o", lambda x, o: 2 * o, "That is the rule of the square, applied to o."),
    ), "x is positive.", 0.1, 20.0),
    Function("x ** 3", "pow", "3 * x ** 2", (0.0, 1e3), (
        Wrong("x ** 2", lambda x, o: x * x, "The exponent becomes a factor, which is missing."),
        Wrong("3 * x ** 3", lambda x, o: 3 * o, "The exponent falls by one: from 3 to 2."),
        Wrong("2 * x", lambda x, o: 2 * x, "That is the rule of x ** 2."),
        Wrong("3 * x", lambda x, o: 3 * x, "The exponent falls by one: from 3 to 2, not to 1."),
    ), constants=(3.0,)),
    Function("softplus(x)", "softplus", "1 - math.exp(-o)", SQUASH, (
        Wrong("1 / (1 + exp(x))", lambda x, o: 1 / (1 + exp(x)),
              "That falls from 1 to 0, but softplus gets steeper with x."),
        Wrong("exp(x)", lambda x, o: exp(x), "That is the derivative of the inside, 1 + exp(x); "
              "log has one, too."),
        Wrong("1 if x > 0 else 0", lambda x, o: float(x > 0), "That is the rule of relu; softplus "
              "is its smooth version, with a smooth slope."),
        Wrong("1 / (1 + exp(-o))", lambda x, o: 1 / (1 + exp(-o)),
              "The sigmoid is that of x, not of the output."),
    ), f"softplus(x) is log(1 + exp(x)).  {BIG}  The output can help."),
)


def make(seed: int) -> Exercise:
    """Returns the exercise for the function that this random seed chooses."""
    function = FUNCTIONS[seed % len(FUNCTIONS)]
    names = ["x", "z"] if isinstance(function.edges[0], tuple) else ["x"]
    given = ", ".join([*names, "o"])
    points = _points(function, len(names), random.Random(f"rule {seed}"))
    wanted = "d o / d x" if len(names) == 1 else "two: d o / d x and d o / d z"
    task = f"""Write the local derivative of o = {function.call}.

In the forward pass the engine computes the output o.  In the backward pass it
multiplies the gradient of o by the local derivative, and adds the product to
the gradient of the argument.  rule gets numbers, and returns
{wanted}.  {function.note}"""
    start = "0.0" if len(names) == 1 else "0.0, 0.0"
    code = f"import math\n\n\ndef rule({given}):\n    return {{}}"
    return Exercise(
        name="derivative",
        seed=seed,
        lesson="cost",
        title=f"write the local derivative of {function.call}",
        starter=file_text(
            "derivative", seed, task, code.format(f"{start}  # write the derivative")
        ),
        solution=file_text("derivative", seed, task, code.format(function.right)),
        hints=(
            "The rule is about this operation alone. What arrives from above is multiplied by "
            "the engine.",
            f"Compare with differences: ({function.call} at x + 0.001, minus the same at x) "
            "divided by 0.001 is nearly d o / d x.",
            f"In Python, tinygrad_edu.formula(\"{function.row}\") shows the rule of the engine.",
        ),
        steps=tuple([Call("rule", point) for point in points]),
        marker=lambda answers: _mark(function, points, answers),
    )


def _points(
    function: Function, arity: int, draw: random.Random
) -> list[tuple[float, ...]]:
    """Returns the points to check, each with the output at its end: fixed, edges and drawn."""
    fixed: list[Any] = [*(PAIRS if arity == 2 else POINTS), *function.edges]
    drawn: list[Any] = [
        tuple([_drawn(function.low, function.high, draw) for _ in range(arity)])
        for _ in range(DRAWN)
    ]
    points = []
    for point in [*fixed, *drawn]:
        args = point if isinstance(point, tuple) else (point,)
        if function.low < 0 or min(args) > 0:  # log and sqrt have positive arguments
            points.append((*args, TABLE[function.row](*args, *function.constants)))
    return points


def _drawn(low: float, high: float, draw: random.Random) -> float:
    """Returns a number that is not 0, where a function may have no slope."""
    return round(draw.uniform(low, high), 3) or 0.5


def _slopes(function: Function, point: tuple[float, ...]) -> list[float]:
    """Returns the derivatives of the engine."""
    args = (*point[:-1], *function.constants)
    row = TABLE[function.row]
    return [row.partial_at(i, args, point[-1]) for i in range(len(point) - 1)]


def _mark(
    function: Function, points: Sequence[tuple[float, ...]], answers: Sequence[Answer]
) -> str:
    if all(answer.failure for answer in answers):
        raise Failed(answers[0].failure)  # type: ignore[arg-type]
    given = [
        None if answer.failure else _read(answer.value, point)
        for point, answer in zip(points, answers)
    ]
    right = [_slopes(function, point) for point in points]
    bad = [i for i, slopes in enumerate(given) if not _agree(slopes, right[i])]
    if not bad:
        return (
            f"The derivative of {function.call} is right at all {len(points)} points, "
            "edges included."
        )
    details = _table(points, given, right, [i for i in bad if given[i]])
    for wrong in function.wrong:
        if _is_wrong(wrong, points, given):
            raise NotYet(f"Your rule gives {wrong.text}. {wrong.truth}", details)
    for point, answer in zip(points, answers):
        if answer.failure:
            raise Failed(answer.failure, f"It comes up with {_shown(point)}.")
    raise NotYet(_comparison(points, given, right, bad), details)


def _read(value: Any, point: tuple[float, ...]) -> list[float]:
    call = f"rule({', '.join(map(short_number, point))})"
    if len(point) == 2:
        return [number_of(value, call)]
    return numbers_of(value, len(point) - 1, call)


def _agree(given: Sequence[float] | None, right: Sequence[float]) -> bool:
    return given is not None and all(map(is_close, given, right))


def _is_wrong(
    wrong: Wrong, points: Sequence[tuple[float, ...]], given: Sequence[list[float] | None]
) -> bool:
    """Returns whether the answers are those of a wrong rule, wherever both have one."""
    compared = 0
    for point, slopes in zip(points, given):
        try:
            found = wrong.rule(*point)
        except (ArithmeticError, ValueError):
            continue
        if slopes is not None:
            compared += 1
            if not _agree(slopes, found if isinstance(found, tuple) else [found]):
                return False
    return compared >= MIN_COMPARED


def _comparison(
    points: Sequence[tuple[float, ...]],
    given: Sequence[list[float] | None],
    right: Sequence[list[float]],
    bad: Sequence[int],
) -> str:
    """Returns a sentence on how the answers differ from the right ones."""
    pairs = [pair for slopes, true in zip(given, right) for pair in zip(slopes or true, true)]
    first = bad[0]
    if all(is_close(-x, y) for x, y in pairs):
        return "The sign is wrong everywhere: the derivative is the negative of what you return."
    ratios = [x / y for x, y in pairs if y]
    if ratios and all(is_close(x, ratios[0] * y) for x, y in pairs) and ratios[0]:
        return f"Your rule gives {short_number(ratios[0])} times the derivative, everywhere."
    yours = ", ".join(map(short_number, given[first] or []))
    wanted = ", ".join(map(short_number, right[first]))
    return (
        f"The rule is right at {len(points) - len(bad)} of {len(points)} points. With "
        f"{_shown(points[first])} it returns {yours}, and the derivative is {wanted}."
    )


def _shown(point: tuple[float, ...]) -> str:
    names = ["x", "z"][: len(point) - 1]
    return ", ".join([f"{name} = {short_number(x)}" for name, x in zip([*names, "o"], point)])


def _table(
    points: Sequence[tuple[float, ...]],
    given: Sequence[list[float] | None],
    right: Sequence[list[float]],
    chosen: Sequence[int],
) -> list[str]:
    """Returns a table of the first wrong points."""
    rows = [
        (
            _shown(points[i]),
            ", ".join(map(short_number, given[i] or [])),
            ", ".join(map(short_number, right[i])),
        )
        for i in chosen[:MOST_SHOWN]
    ]
    return aligned((("", "yours", "right"), *rows)) if rows else []
