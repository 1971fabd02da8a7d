"""What a gradient costs: about three forward passes, however many weights there are."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from .... import nn
from ....engine.autodiff import gradients
from ....engine.graph import topological_order
from ....engine.primitive import TABLE
from ....engine.value import Value
from ....jit.tape import gradient as tapes
from ....jit.tracing import record_trace
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part

ACTIVATIONS = ("tanh", "relu", "gelu")
WIDTHS = (4, 8, 16, 32, 64)  # of two hidden layers
DEPTHS = (1, 2, 4, 8, 16)  # hidden layers of `DEEP_WIDTH` units
DEEP_WIDTH = 8
FORMULA_DEPTHS = (1, 2, 3, 4, 6, 8)
Method = Literal["backpropagation", "one at a time"]


class Cost(NamedTuple):
    """What a network costs, in floating-point operations.

    weights: the number of weights, biases included.
    units: the number of hidden units and outputs.
    forward: the operations of a forward pass, from the inputs to the loss.
    both: the operations of a forward and a backward pass: the loss, and its derivatives with
        respect to all weights and inputs.
    """

    weights: int
    units: int
    forward: int
    both: int


@cache
def cost(inputs: int, sizes: tuple[int, ...], activation: str) -> Cost:
    """Returns the cost of a network; it does not depend on the numbers in the network."""
    model: Any = nn.MLP(inputs, list(sizes), activation, rng=0)
    trace, result = record_trace(
        lambda *x: (model(list(x)) - 1.0) ** 2,
        [f"x{i}" for i in range(inputs)],
        lambda values: (tuple(values), {}),
        check=False,
    )
    loss = trace.operand(result)
    both = tapes.value_and_gradient(trace, loss, tapes.sources(trace))
    forward = tapes.value(trace, [loss])
    weights = len(model.parameters())
    return Cost(weights, sum(sizes), forward.operations, both.operations)


@claim("a gradient costs about three forward passes", lesson="cost",
       negation={"method": "one at a time"})
def three_passes(seed: int, method: Method = "backpropagation") -> Evidence:
    """Networks of several widths; the seed chooses their activation.

    method: how the gradient is found: by a backward pass or weight by weight.
    """
    activation = ACTIVATIONS[seed % len(ACTIVATIONS)]
    costs = [cost(2, (width, width, 1), activation) for width in WIDTHS]
    ratios = [found.both / found.forward for found in costs]
    singly = [found.weights + 1 for found in costs]  # forward passes: as it is, each weight moved
    passes = ratios if method == "backpropagation" else singly
    last = costs[-1]
    takes = (
        f"forward and backward pass together take {min(ratios):.2f} to {max(ratios):.2f} times "
        "the operations of the forward pass"
    )
    if method == "one at a time":
        takes = (
            f"it takes {min(singly):,} to {max(singly):,} forward passes to move one weight at a "
            "time and see what the loss does"
        )
    slower = singly[-1] / ratios[-1]
    rows = [
        (f"{found.weights:,}", f"{found.forward:,}", f"{found.both:,}", f"{ratio:.2f}", f"{n:,}")
        for found, ratio, n in zip(costs, ratios, singly)
    ]
    return Evidence(
        min(passes) > 2 and max(passes) < 5,
        {"weights": last.weights, "forward": last.forward, "both": last.both, "slower": slower,
         "ratio": ratios[-1], "singly": singly[-1], "fewest": costs[0].weights,
         "activation": activation},
        f"In networks of {costs[0].weights} to {last.weights:,} weights and {activation} units, "
        f"{takes}.",
        (("weights", "forward", "with backward", "ratio", "one at a time"), *rows),
    )


@claim("the work grows with the weights", lesson="cost", negation={"per": "units"})
def with_the_weights(seed: int, per: Literal["weights", "units"] = "weights") -> Evidence:
    """Deeper and wider networks; the seed chooses their activation.

    per: what the number of operations is divided by: weights or units.
    """
    activation = ACTIVATIONS[seed % len(ACTIVATIONS)]
    deep = {n: cost(DEEP_WIDTH, (DEEP_WIDTH,) * n + (1,), activation) for n in DEPTHS}
    wide = {n: cost(2, (n, n, 1), activation) for n in WIDTHS[::2]}
    all_costs = [*deep.values(), *wide.values()]
    shares = [found.both / getattr(found, per) for found in all_costs]
    by_unit = [found.both / found.units for found in all_costs]
    by_weight = [found.both / found.weights for found in all_costs]
    names = [f"{n} × {DEEP_WIDTH}" for n in deep] + [f"2 × {n}" for n in wide]
    rows = [
        (name, str(found.units), f"{found.weights:,}", f"{unit:.1f}", f"{weight:.2f}")
        for name, found, unit, weight in zip(names, all_costs, by_unit, by_weight)
    ]
    deepest = by_unit[:len(deep)]
    widest = by_unit[len(deep):]
    other = (
        f"Per unit they take {min(deepest):.1f} to {max(deepest):.1f} in networks of every depth, "
        f"but {min(widest):.0f} to {max(widest):.0f} in networks of different width."
    )
    if per == "units":
        other = f"Per weight they take {min(by_weight):.1f} to {max(by_weight):.1f}."
    return Evidence(
        max(shares) < 1.5 * min(shares),
        {"deep_least": min(deepest), "deep_most": max(deepest), "wide_least": min(widest),
         "wide_most": max(widest), "least": min(by_weight), "most": max(by_weight),
         "width": DEEP_WIDTH},
        f"Per {per[:-1]}, forward and backward pass take {min(shares):.1f} to {max(shares):.1f} "
        f"operations in all these networks. {other}",
        (("layers × width", "units", "weights", "per unit", "per weight"), *rows),
    )


def formula_length(root: Value) -> int:
    """Returns how many operations a formula has in which every intermediate result is written out.

    A result that is used twice stands in it twice.
    """
    length: dict[Value, int] = {}
    for node in topological_order(root):
        length[node] = sum([length[arg] for arg in node.args]) + (1 if node.op else 0)
    return length[root]


@claim("a formula repeats what a graph shares", lesson="cost", negation={"width": 1})
def formula_repeats(seed: int, width: Annotated[int, Range(1, 8)] = 4) -> Evidence:
    """One derivative as a formula, and the derivatives of all weights as one graph.

    width: the number of units in each hidden layer.
    """
    rows = []
    for depth in FORMULA_DEPTHS:
        model: Any = nn.MLP(2, [width] * depth + [1], "tanh", rng=seed)
        loss = (model([0.3, -0.7]) - 1.0) ** 2
        found = gradients(loss, model.parameters())
        nodes = [node for node in topological_order(loss, *found) if node.op]
        rows.append((depth, formula_length(found[0]), len(nodes)))
    depth, formula, graph = rows[-1]
    before, shorter, _ = rows[-2]
    growth = (formula / shorter) ** (1 / (depth - before))
    shown = [(str(n), f"{long:,}", f"{short:,}") for n, long, short in rows]
    return Evidence(
        formula > 1e9 > 1000 * graph,
        {"formula": formula, "graph": graph, "growth": growth, "rows": len(TABLE)},
        f"With {depth} hidden layers of {width}, the derivative of the loss with respect to one "
        f"weight is a formula of {formula:,} operations. The graph with the derivatives of all "
        f"weights has {graph:,}.",
        (("hidden layers", "formula for one weight", "graph for all"), *shown),
    )


LESSON = Lesson(
    name="cost",
    title="What a gradient costs",
    intro="Backpropagation is not the only way to a gradient. You can also move one weight a "
          "little and run the network again, or write down the derivative as a formula; the "
          "numbers are the same. What sets backpropagation apart is how little work it takes. "
          "Here we count this work, in operations: each +, each × and each tanh is one. If the "
          "counts came out differently, nobody could train a network with a million weights.",
    parts=(
        Part(
            "A network has thousands of weights. Its forward pass computes the loss. How much work "
            "is it to compute the loss and its derivatives with respect to all weights?",
            (
                "About as much as three forward passes",
                "As much as one forward pass for each weight",
                "As much as one forward pass for each layer",
            ),
            (
                "One forward pass, and a backward pass that takes about twice as much.",
                "So it is if weights are moved one at a time. That is a good way to check a "
                "gradient, and far too slow to learn with.",
                "The backward pass goes through all layers in one sweep. It does not start again "
                "for each of them.",
            ),
            three_passes,
            "A weight takes two operations in the forward pass: it is multiplied by a number, and "
            "the product is added to a sum. The backward pass needs two of each: for the gradient "
            "of the weight, and for the gradient of that number. Two and four make six, which is "
            "three times two. Activations shift this a little, but the number of weights does not "
            "come into it: the ratio is {ratio:.2f} in the last row, with {weights:,} weights. "
            "The last column has the forward passes that it takes to move them one at a time, "
            "{singly:,}, which is {slower:,.0f} times the work.",
        ),
        Part(
            "It is often said that the work of backpropagation is proportional to the number of "
            "neurons, that is of units. A network gets twice as many of them. When does its work "
            "double?",
            (
                "If it has twice as many layers, of the same width as before",
                "In any case",
                "If its layers are twice as wide, and as many as before",
            ),
            (
                "Every further layer of the same width is as much work as the one before.",
                "That is what is said, and it is true for deeper networks. But a unit in a wide "
                "layer has more weights than one in a narrow layer.",
                "Between two layers that are twice as wide there are four times as many weights.",
            ),
            with_the_weights,
            "What is counted in the end are weights: each takes {least:.1f} to {most:.1f} "
            "operations, in deep networks and in wide ones. A unit has one weight for each unit of "
            "the layer before. With layers of {width} this is always the same number, so there the "
            "rule about neurons is right: {deep_least:.1f} to {deep_most:.1f} operations a unit. "
            "Across widths it is not: {wide_least:.0f} to {wide_most:.0f}. Say weights instead of "
            "neurons, and it is right everywhere. It is the rule about edges from the lesson on "
            "the chain rule: each is used once.",
        ),
        Part(
            "You want the derivative of the loss with respect to one weight as a formula, with "
            "everything written out. The network has 8 hidden layers of 4 units. How many "
            "operations does the formula have?",
            (
                "Billions",
                "Some hundreds, as many as the network",
                "A few dozen, since much of it cancels",
            ),
            (
                "Everything that is used several times is written out several times, and so is "
                "what is in it.",
                "The network computes each number once and uses it again. A formula cannot.",
                "Hardly anything cancels in a product of sums of products.",
            ),
            formula_repeats,
            "With each further layer the formula becomes {growth:.0f} times as long: there are "
            "four times as many paths, and the numbers along each of them take four times as much "
            "to write out. A graph computes each number once, and all who need it share it. So "
            "{graph} operations are enough, for all weights at once. This is work that nobody "
            "would want to do by hand, and nobody has to. What people write is one rule for each "
            "operation. The table of this package has {rows} of them, from + to gelu; the chain "
            "rule makes from these the gradient of any program.",
        ),
    ),
    remember="Forward and backward pass together take about three times the work of the forward "
             "pass, however many weights there are. The work grows with the number of weights, "
             "because a graph computes each number once.",
    question=("rule", 2),
    exercise="derivative",
    ideas={
        "what sets backpropagation apart": IdeaQuestion(
            "What sets backpropagation apart from other ways to compute a gradient?",
            "All derivatives come from one sweep, for about two more forward passes",
            {
                "There is no other way to compute a gradient": "the only way to a gradient",
                "It needs one forward pass for each weight": "one pass for each weight",
                "Its derivatives are approximate, but fast": "gradients are approximate",
            },
            three_passes,
        ),
        "how the work grows": IdeaQuestion(
            "All layers of a network become twice as wide. What does that do to the work?",
            "It becomes about four times as much, as the number of weights does",
            {
                "It becomes twice as much, as the number of units does": "work counts units",
                "It stays the same, as the number of layers does": "work counts layers",
            },
            with_the_weights,
        ),
    },
    cards={
        "cheap gradients": Card(
            "idea",
            "The loss and all its derivatives cost about three forward passes, however many "
            "weights there are.",
            idea="what sets backpropagation apart",
        ),
        "work and weights": Card(
            "idea",
            "The work of a gradient is proportional to the number of weights; for layers of one "
            "width that is the number of neurons.",
            idea="how the work grows",
        ),
        "one rule each": Card(
            "rule",
            "People write one rule for each operation. The chain rule and the graph make gradients "
            "from them that would be tedious by hand.",
        ),
    },
    covers={
        "002.c1": Cover(
            "a gradient costs about three forward passes", "cheap gradients",
            "what sets backpropagation apart",
        ),
        "003.c5": Cover(
            "the work grows with the weights", "work and weights", "how the work grows"
        ),
        "002.k8": Cover("a formula repeats what a graph shares", "one rule each", "rule"),
    },
)
