"""The forward pass: from inputs to a prediction, and how far a small change of an input travels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from .... import math
from ....debug.sentences import factor
from ....debug.text import short_number
from ....engine.value import Value
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part

# L = (a*b + c) * f, from Karpathy's lecture on micrograd (2022)
START = {"a": 2.0, "b": -3.0, "c": 10.0, "f": -2.0}
L_PER_A = 6.0  # dL/da, which the choices of the first prediction take for granted
NUDGE = 0.001
LEAST_SLOPE = 0.05  # of the prediction, so that a wrong slope differs from it

Unit = tuple[float, float, float]  # a bias, and the weights of two inputs


def expression(a: Any, b: Any, c: Any, f: Any) -> dict[str, Any]:
    """Returns the numbers of a forward pass of L = (a*b + c) * f, a and L included."""
    e = a * b
    d = e + c
    return {"a": a, "e = a * b": e, "d = e + c": d, "L = d * f": d * f}


def network(seed: int) -> tuple[list[float], list[Unit]]:
    """Draws two inputs and the weights of a network with two hidden units and one output.

    Returns the inputs and the units: two hidden units, then the output.  All numbers are tenths
    other than 0, to be read easily.  The prediction depends clearly on the first input, and the
    hidden units do not cancel each other if both inputs are equal.
    """
    draw = random.Random(seed)
    while True:
        tenths = [draw.choice((-1, 1)) * draw.randint(2, 9) / 10 for _ in range(11)]
        units: list[Unit] = [(tenths[i], tenths[i + 1], tenths[i + 2]) for i in (2, 5, 8)]
        sums = [round(abs(v + w), 1) for _, v, w in units[:2]]
        if sums[0] != sums[1] and abs(_slope(tenths[:2], units)) > LEAST_SLOPE:
            return tenths[:2], units


def _slope(x: Sequence[float], units: Sequence[Unit]) -> float:
    """Returns the derivative of the prediction with respect to the first input."""
    first = Value(x[0])
    forward([first, x[1]], units)[2].backward()
    return first.grad


def forward(x: Sequence[Any], units: Sequence[Unit]) -> list[Any]:
    """Returns the outputs of both hidden units and the prediction."""
    *hidden, output = units
    h = [math.tanh(bias + v * x[0] + w * x[1]) for bias, v, w in hidden]
    bias, v, w = output
    return [*h, bias + v * h[0] + w * h[1]]


def _sum(unit: Unit, x: Sequence[float]) -> str:
    """Returns the weighted sum of a unit as text, with its numbers."""
    bias, v, w = [factor(short_number(number)) for number in unit]
    first, second = [factor(short_number(number)) for number in x]
    return f"{v} × {first} + {w} × {second} + {bias}"


@claim("a change is scaled on its way to the output", lesson="forward", negation={"nudge": 100.0})
def scaled(seed: int, nudge: Annotated[float, Range(1e-9, 1000)] = NUDGE) -> Evidence:
    """The ratio of two small changes is a derivative; with a large change it is something else.

    nudge: the change of a, and of the first input of the network.
    """
    before = expression(**START)
    after = expression(**{**START, "a": START["a"] + nudge})
    changes = {name: after[name] - before[name] for name in before}
    *_, change = changes.values()
    rows = [
        (name, short_number(before[name]), f"{after[name]:.7g}", f"{changes[name]:+.4g}")
        for name in before
    ]
    (x, z), units = network(seed)
    moved = (forward([x + nudge, z], units)[2] - forward([x, z], units)[2]) / nudge
    slope = _slope([x, z], units)
    ratio = change / nudge
    return Evidence(
        abs(ratio - L_PER_A) < 1e-6 and abs(moved - slope) < 0.01,
        {"ratio": ratio, "nudge": nudge, "change": change, "moved": moved, "grad": slope},
        f"When a grows by {nudge:g}, L changes by {change:+.4g}, which is {ratio:.4g} times as "
        f"much: dL/da = {ratio:.4g}. In a network with random weights the same test gives "
        f"{moved:.3f} for an input, and backpropagation {slope:.3f}.",
        (("number", "before", "after", "change"), *rows),
    )


@claim("the target changes the error only", lesson="forward", negation={"second": "input"})
def only_error(seed: int, second: Literal["target", "input"] = "target") -> Evidence:
    """The target, or else an input, is another one in a second forward pass.

    second: what differs in the second forward pass: the target or an input.
    """
    x, units = network(seed)
    other = [-x[0], x[1]] if second == "input" else x
    targets = (1.0, 1.0 if second == "input" else -1.0)
    runs = []
    for inputs, target in zip((x, other), targets):
        h1, h2, prediction = forward(inputs, units)
        numbers = {"h1": h1, "h2": h2, "prediction": prediction}
        runs.append({**numbers, "error": (prediction - target) ** 2})
    changed = [name for name, number in runs[0].items() if runs[1][name] != number]
    h = [runs[0]["h1"], runs[0]["h2"]]
    prediction, error = runs[0]["prediction"], runs[0]["error"]
    shown = short_number(prediction)
    then = f"the target {targets[1]:g}" if second == "target" else f"the input x1 = {other[0]:g}"
    return Evidence(
        changed == ["error"],
        {"prediction": prediction, "error": error, "other": runs[1]["error"]},
        f"With the target {targets[0]:g} the prediction is {prediction:.3f} and the squared error "
        f"{error:.3f}; with {then} they are {runs[1]['prediction']:.3f} and "
        f"{runs[1]['error']:.3f}. Changed: {', '.join(changed)}.",
        (
            ("number", "computed from", "value"),
            ("x1, x2", "given", ", ".join(map(short_number, x))),
            ("h1, hidden", f"tanh({_sum(units[0], x)})", f"{h[0]:.4f}"),
            ("h2, hidden", f"tanh({_sum(units[1], x)})", f"{h[1]:.4f}"),
            ("prediction", _sum(units[2], h), f"{prediction:.4f}"),
            ("error", f"({shown} - {factor(short_number(targets[0]))})²", f"{error:.4f}"),
        ),
    )


@claim("biases decide where the inputs are 0", lesson="forward", negation={"x": 1.0})
def biased(seed: int, x: Annotated[float, Range(-1000, 1000)] = 0.0) -> Evidence:
    """With inputs of 0 other weights of the hidden units change nothing, another bias does.

    x: the value of both inputs of the network.
    """
    _, units = network(seed)
    *hidden, output = units
    variants = {
        "as it is": units,
        "hidden weights doubled": [*[(bias, 2 * v, 2 * w) for bias, v, w in hidden], output],
        # of one unit only: two changes could cancel
        "bias of h1 doubled": [(2 * units[0][0], *units[0][1:]), *units[1:]],
        "all biases 0": [(0.0, v, w) for _, v, w in units],
    }
    found = {name: forward([x, x], variant)[2] for name, variant in variants.items()}
    ones = [forward([1.0, 1.0], variant)[2] for variant in variants.values()]
    usual, weights, biases, without = found.values()
    rows = [(name, f"{at:.4f}", f"{one:.4f}") for (name, at), one in zip(found.items(), ones)]
    return Evidence(
        weights == usual != biases and without == 0,
        {"usual": usual, "weights": weights, "biases": biases, "without": without},
        f"With both inputs {x:g} the network predicts {usual:.3f}. With hidden weights twice as "
        f"large it predicts {weights:.3f}, with the bias of the first hidden unit twice as large "
        f"{biases:.3f}, and without biases {without:.3f}.",
        (("network", f"inputs {x:g}", "inputs 1"), *rows),
    )


LESSON = Lesson(
    name="forward",
    title="The forward pass",
    intro="A program that computes a number is a graph. Each operation is a node, and its operands "
          "are the nodes that it computes with. The forward pass computes them all, each after its "
          "operands. In a neural network it leads from the inputs through weights, biases and "
          "activations to the hidden units, from these to a prediction, and by comparison with "
          "the target to an error. Learning has one question about this graph: if this number "
          "were a little larger, what would come out? Always say what you expect before you look: "
          "a wrong guess teaches more than none.",
    parts=(
        Part(
            "Let L = (a*b + c)*f with a = 2, b = -3, c = 10 and f = -2. What happens to L if a "
            "grows by 0.001?",
            ("It grows by 0.006", "It falls by 0.003", "It falls by 0.002", "It grows by 0.001"),
            (
                "The change of a passes two products: it is multiplied by b and by f.",
                "That is what a*b does, since b = -3. On the way to L comes one more factor, f.",
                "That is the factor f alone. Before it the change has been multiplied by b.",
                "It would, if nothing were done with a but additions. Products scale a change.",
            ),
            scaled,
            "Read the last column from top to bottom: it is the change on its way. At e = a*b it "
            "is multiplied by b. Adding c leaves it as it is. At L = d*f it is multiplied by f, "
            "and two minus signs make it positive. The ratio of the last change to the first is "
            "called a derivative: dL/da = {ratio:.4g} says that a small change of a is multiplied "
            "by {ratio:.4g} on its way to L. Two forward passes have measured it. A network with "
            "a million weights would take a million and one of them; the next lessons get all the "
            "derivatives at once.",
        ),
        Part(
            "A network with two inputs, two hidden units and one output runs twice, with the same "
            "inputs and weights. The second time its target is another one. What changes?",
            (
                "The error only",
                "The prediction, which comes closer to the new target",
                "The hidden units, the prediction and the error",
            ),
            (
                "The target is first used at the very end, where the prediction is done already.",
                "A forward pass does not aim at anything. Coming closer is the work of the steps "
                "that change weights, and they come later.",
                "Hidden units are computed from inputs, weights and biases; the target is not "
                "among them.",
            ),
            only_error,
            "The table is the whole forward pass with the first target. A hidden unit multiplies "
            "each input by a weight, adds its bias, and applies an activation, here tanh. The "
            "prediction is such a sum over the hidden units. Only then does the target come in: "
            "the error is the squared difference, {error:.3f} for one target and {other:.3f} for "
            "the other, of the same prediction {prediction:.3f}. A function that turns predictions "
            "and targets into one number is called a loss.",
        ),
        Part(
            "Now both inputs of the network are 0. What does it predict?",
            (
                "A number that depends on the biases",
                "0, since every input is multiplied by a weight and is 0",
                "A number that depends on the weights of the hidden units",
            ),
            (
                "A bias is added whatever the inputs are.",
                "The products are 0, but each unit adds its bias to them.",
                "These weights are multiplied by 0 here. They matter again as soon as an input "
                "is not 0.",
            ),
            biased,
            "With inputs of 0 a hidden unit is tanh of its bias, and its weights can be anything. "
            "With inputs of 1 they count, as the last column shows. Without biases this network "
            "would answer inputs of 0 with {without:g}, whatever it had learned; biases let it "
            "answer something else.",
        ),
    ),
    remember="A forward pass computes each number from those before it: inputs, hidden units, "
             "prediction, error. A derivative says how far the result moves when one of them moves "
             "a little.",
    question=("value", 2),
    ideas={
        "what the forward pass computes": IdeaQuestion(
            "What does the forward pass of a network compute?",
            "A prediction, and with the target its error",
            {
                "The gradients of the weights": "forward differentiates",
                "Better weights": "forward updates",
                "Inputs that give the target": "forward inverts",
            },
            only_error,
        ),
        "where a change goes": IdeaQuestion(
            "An input of a network grows a little. What does that change?",
            "The hidden units it feeds, and through them the prediction",
            {
                "The prediction, but no hidden unit": "change skips units",
                "The weights that it is multiplied by": "forward updates",
                "The hidden units, all by the same amount": "change is not scaled",
            },
            scaled,
        ),
        "what a unit computes": IdeaQuestion(
            "What does a hidden unit with the inputs x1 and x2 compute?",
            "activation(bias + w1 x1 + w2 x2)",
            {
                "activation(w1 x1 + w2 x2)": "unit without bias",
                "bias + w1 x1 + w2 x2": "unit without activation",
                "The loss of its inputs": "loss in a unit",
            },
            biased,
        ),
    },
    cards={
        "forward pass": Card(
            "idea",
            "The forward pass goes from the inputs through the network to a prediction. The loss "
            "compares the prediction with the target.",
            idea="what the forward pass computes",
        ),
        "derivative": Card(
            "idea",
            "A derivative is the ratio of two small changes: of the result, and of the number that "
            "moved.",
            idea="where a change goes",
        ),
        "a unit": Card(
            "idea",
            "A unit multiplies its inputs by weights, adds a bias, and applies an activation. Such "
            "units lead to the prediction, and from it and the target comes the loss.",
            idea="what a unit computes",
        ),
        "forward pass by hand": Card(
            "value",
            "The forward pass goes from operation to operation; each uses numbers that are there.",
        ),
    },
    covers={
        "000.n1": Cover(
            "the target changes the error only", "forward pass", "what the forward pass computes"
        ),
        "000.n1 (by hand)": Cover(
            "the target changes the error only", "forward pass by hand", "value"
        ),
        "003.c3": Cover("biases decide where the inputs are 0", "a unit", "what a unit computes"),
        "002.b1": Cover(
            "a change is scaled on its way to the output", "derivative", "where a change goes"
        ),
    },
)
