"""The chain rule: local derivatives multiply along a path, and the products of all paths add."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal

from .... import math, nn
from ....debug.text import short_number
from ....engine.autodiff import jacobian
from ....engine.graph import topological_order
from ....engine.value import Value
from ....errors import counted
from ....examples.lectures import lecture_expression
from ...evidence import Evidence, claim
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part

FUNCTIONS: tuple[Callable[[Any], Any], ...] = (
    math.tanh, math.sin, math.cos, math.sigmoid, lambda x: 3 * x, lambda x: x**2 + 1,
)
CHAIN_LENGTH = 5
STEP = 1e-5  # of difference quotients
DEPTHS = (1, 2, 4, 8, 16)  # hidden layers
LAYERS = 6
COMBINED: dict[str, Callable[[Sequence[float]], float]] = {
    "product": prod,
    "sum": sum,
    "last": lambda numbers: numbers[-1],
}

Combine = Literal["product", "sum", "last"]
Matrix = list[list[float]]


def paths(root: Value, leaf: Value) -> Iterator[tuple[float, ...]]:
    """Yields the local derivatives along every path from the root to a leaf, edge by edge."""
    waiting: list[tuple[Value, tuple[float, ...]]] = [(root, ())]
    while waiting:
        node, along = waiting.pop()
        if node is leaf:
            yield along
        edges = [(arg, (*along, d)) for arg, d in zip(node.args, node.partials) if not arg.constant]
        waiting += reversed(edges)


def path_count(root: Value, leaf: Value) -> tuple[int, int]:
    """Returns the number of paths from the root to a leaf, and the number of edges of the graph.

    Paths are counted as gradients are computed: by a sweep that passes on what has arrived.
    """
    nodes = topological_order(root)
    arrived = dict.fromkeys(nodes, 0)
    arrived[root] = 1
    for node in reversed(nodes):
        for arg in node.args:
            arrived[arg] += arrived[node]
    return arrived[leaf], sum(len(node.args) for node in nodes)


@claim("local derivatives multiply along a path", lesson="chain", negation={"combine": "sum"})
def along_a_path(seed: int, combine: Combine = "product") -> Evidence:
    """One path of the classic example, and a chain of functions drawn at random.

    combine: how the local derivatives along a path are combined.
    """
    combined = COMBINED[combine]
    root = lecture_expression()
    d = root.args[0]
    e = d.args[0]
    a = e.args[0]
    (along,) = paths(root, a)
    names = ("L to d: ∂L/∂d = f", "d to e: ∂d/∂e", "e to a: ∂e/∂a = b")
    so_far = [short_number(combined(along[:i])) for i in (1, 2, 3)]
    if combine == "product":
        so_far = [f"dL/d{to.label} = {number}" for to, number in zip((d, e, a), so_far)]
    rows = zip(names, map(short_number, along), so_far)
    draw = random.Random(seed)
    # no function twice: a square of squares would be too steep for a difference quotient
    functions = draw.sample(FUNCTIONS, CHAIN_LENGTH)

    def chain(x: Any) -> Any:
        return reduce(lambda y, f: f(y), functions, x)

    x = Value(draw.uniform(0.3, 0.9), "x")
    found = combined(next(paths(chain(x), x)))
    quotient = (chain(x.data + STEP) - chain(x.data - STEP)) / (2 * STEP)
    return Evidence(
        combined(along) == a.grad and abs(found - quotient) < 1e-6,
        {"result": combined(along), "found": found, "quotient": quotient, "length": CHAIN_LENGTH},
        f"Along the path from L to a, the {combine} of the local derivatives is "
        f"{short_number(combined(along))}. For {CHAIN_LENGTH} functions drawn at random, one after "
        f"the other, it is {found:.5f}; a small change of the input gives {quotient:.5f}.",
        (("step", "local derivative", f"{combine} so far"), *rows),
    )


@claim("the products of all paths add", lesson="chain", negation={"combine": "last"})
def over_paths(seed: int, combine: Combine = "sum") -> Evidence:
    """A number that is used twice, and all paths through a network.

    combine: how the products of all paths are combined.
    """
    combined = COMBINED[combine]
    a = Value(2.0, "a")
    b = Value(4.0, "b")
    c = Value(-1.0, "c")
    y = a * b + a * c
    y.backward()
    products = [prod(along) for along in paths(y, a)]
    model: Any = nn.MLP(2, [4, 4, 4, 1], "tanh", rng=seed)
    x = Value(0.3, "x")
    output = model([x, -0.7])
    output.backward()
    through = [prod(along) for along in paths(output, x)]
    found = combined(through)
    return Evidence(
        combined(products) == a.grad and abs(found - x.grad) < 1e-12,
        {"result": combined(products), "paths": len(through), "found": found, "grad": x.grad},
        f"{len(products)} paths lead from y to a, and dy/da = {short_number(a.grad)}. In a network "
        f"with three hidden layers {len(through)} paths lead from the output to an input. The "
        f"{combine} of their products is {found:.6f}, and the gradient {x.grad:.6f}.",
        (
            ("path", "product"),
            ("y, a*b, a", short_number(products[0])),
            ("y, a*c, a", short_number(products[1])),
            (combine, short_number(combined(products))),
        ),
    )


@claim("paths multiply with depth, edges add", lesson="chain", negation={"width": 1})
def many_paths(seed: int, width: Annotated[int, Range(1, 8)] = 4) -> Evidence:
    """Networks of layers of the same width; each layer has as many edges as the one before.

    width: the number of units in each hidden layer.
    """
    rows = []
    for depth in DEPTHS:
        x = [Value(0.3), Value(-0.7)]
        model: Any = nn.MLP(2, [width] * depth + [1], "tanh", rng=seed)
        rows.append((depth, *path_count(model(x), x[0])))
    depth, last, edges = rows[-1]
    first = rows[0][1:]
    return Evidence(
        all(found == width**depth for depth, found, _ in rows) and last > 1e6 * edges,
        {"depth": depth, "paths": last, "edges": edges, "first": first[0], "width": width},
        f"A network with {DEPTHS[0]} hidden layer of {width} has {counted(first[0], 'path')} and "
        f"{counted(first[1], 'edge')}; with {depth} hidden layers it has "
        f"{counted(last, 'path')} and {counted(edges, 'edge')}.",
        (("hidden layers", "paths", "edges"), *[(str(n), f"{p:,}", f"{e:,}") for n, p, e in rows]),
    )


def times(left: Matrix, right: Matrix) -> Matrix:
    """Returns the product of two matrices."""
    return [[sum(map(float.__mul__, row, column)) for column in zip(*right)] for row in left]


def plus(left: Matrix, right: Matrix) -> Matrix:
    """Returns the sum of two matrices."""
    return [[x + y for x, y in zip(*rows)] for rows in zip(left, right)]


def largest(matrix: Matrix) -> float:
    """Returns the largest absolute value of an entry."""
    return max(abs(x) for row in matrix for x in row)


@claim("the derivatives of layers multiply", lesson="chain", negation={"combine": "sum"})
def layers_multiply(seed: int, combine: Literal["product", "sum"] = "product") -> Evidence:
    """The Jacobians of layers, from the last layer to the first, compared with the network's.

    combine: how the matrices of the derivatives of the layers are combined.
    """
    draw = random.Random(seed)
    layers: list[Any] = [nn.Layer(3, 3, "tanh", rng=draw) for _ in range(LAYERS)]
    inputs = [[draw.uniform(-1, 1) for _ in range(3)]]
    for layer in layers:
        inputs.append([unit.data for unit in layer(inputs[-1])])
    of_layers = [jacobian(layer)(x) for layer, x in zip(layers, inputs)]
    merge = times if combine == "product" else plus
    rows = [(str(LAYERS), of_layers[-1], of_layers[-1])]
    for number, (_, of_layer) in zip(range(LAYERS - 1, 0, -1), pairwise(reversed(of_layers))):
        rows.append((str(number), of_layer, merge(rows[-1][2], of_layer)))
    whole = jacobian(lambda x: reduce(lambda y, layer: layer(y), layers, x))(inputs[0])
    found = rows[-1][2]
    difference = max(abs(x - y) for pair in zip(found, whole) for x, y in zip(*pair))
    shown = [(name, f"{largest(own):.4f}", f"{largest(all_):.4f}") for name, own, all_ in rows]
    return Evidence(
        difference < 1e-12,
        {"layers": LAYERS, "difference": difference, "last": largest(of_layers[-1]),
         "whole": largest(whole)},
        f"The {combine} of the matrices of all {LAYERS} layers differs from the derivatives of the "
        f"whole network by {difference:.1g}.",
        (("layer", "largest entry", f"largest in {combine} so far"), *shown),
    )


LESSON = Lesson(
    name="chain",
    title="The chain rule",
    intro="In L = (a*b + c)*f the number a reaches L in three steps: e = a*b, then d = e + c, then "
          "L = d*f. Each step alone is easy. How much d*f changes with d is its local derivative, "
          "written ∂L/∂d: it is f, and whatever d was computed from does not matter. The chain "
          "rule says how local derivatives make the derivative of the whole, dL/da. It is all the "
          "mathematics in backpropagation, and you can find it by yourself: by asking what happens "
          "to a small change.",
    parts=(
        Part(
            "Again L = (a*b + c)*f with a = 2, b = -3, c = 10 and f = -2. From a to L the local "
            "derivatives are ∂e/∂a = b = -3, then ∂d/∂e = 1, then ∂L/∂d = f = -2. What is dL/da?",
            ("6, their product", "-3, the first of them", "-4, their sum", "-2, the last of them"),
            (
                "Each step scales the change that reaches it, so the factors multiply.",
                "-3 is ∂e/∂a alone, the local derivative. It is still to be multiplied by what "
                "comes from above: dL/de = -2.",
                "A change that doubles and then triples is six times as large, not five: factors "
                "multiply.",
                "-2 is dL/dd, the gradient that arrives at d. From d to a it is still to be "
                "multiplied by two local derivatives.",
            ),
            along_a_path,
            "Go from L down to a, and multiply as you go: the last column is the gradient of L "
            "with respect to each node on the path. The gradient that arrives at a node, times a "
            "local derivative, is the gradient that arrives one step further down. Nothing more "
            "happens in one step of a backward pass. It works for a chain of {length} functions, "
            "or of five thousand, in the same way.",
        ),
        Part(
            "Let y = a*b + a*c with b = 4 and c = -1. There are two paths from a to y. Along one "
            "the product is 4, along the other -1. What is dy/da?",
            (
                "3: both products add up",
                "-1: the second replaces the first",
                "-4: both products multiply",
                "4: the first path decides",
            ),
            (
                "If a grows a little, both terms of the sum change, and their changes add.",
                "Both terms change at the same time. Whoever writes = instead of += in a backward "
                "pass gets this.",
                "Factors along one path multiply. Different paths bring their changes side by "
                "side, and these add.",
                "Nothing makes one path more important; a small change takes both.",
            ),
            over_paths,
            "A small change of a takes both paths at once. It arrives at y as 4 times itself and "
            "as -1 times itself, which is {result:.4g} times together. In a network it is the "
            "same with more paths: all {paths} of them add up to {found:.6f}, which is what "
            "backpropagation gets. That is the whole chain rule: multiply along each path, add "
            "over all paths.",
        ),
        Part(
            "Each unit of a layer uses every unit of the layer before. In a network with 16 hidden "
            "layers of 4 units, does backpropagation follow every path from output to input?",
            (
                "No: it goes along each edge, each arrow of the graph, once",
                "Yes, which is why training takes so long",
                "No: it follows the largest products and leaves out the others",
            ),
            (
                "What arrives at a node is added up there first, and then passed on once.",
                "There are more paths than anybody could follow. No computer would finish.",
                "It leaves nothing out. The sum is exact, but it is not computed path by path.",
            ),
            many_paths,
            "Each layer of {width} multiplies the number of paths by {width}, so {depth} layers "
            "have {paths:,}. The number of edges, the arrows of the graph from a number to what "
            "is computed with it, grows by the same amount with each layer. The trick is a pair of "
            "brackets: p*x + q*x + r*x is (p + q + r)*x. A node first adds up what arrives from "
            "all its users, the operations that compute with it, and then multiplies the sum by "
            "each local derivative, once. This is why a gradient can be computed at all in a deep "
            "network; the lesson on cost counts the operations.",
        ),
        Part(
            "Six layers follow each other. Each has a matrix of the partial derivatives of its "
            "outputs with respect to its inputs. How do the derivatives of the whole come from "
            "them?",
            (
                "The matrices are multiplied",
                "The matrices are added",
                "The last matrix is enough, since the last layer makes the output",
            ),
            (
                "A product of matrices does just that: it multiplies along paths and adds over "
                "them.",
                "Layers follow each other, so a change goes through all of them in turn. Adding "
                "is for paths side by side.",
                "The last matrix says how the output depends on the last layer's inputs, which "
                "depend on everything below.",
            ),
            layers_multiply,
            "The table goes as the backward pass does, from the output layer to the first: the "
            "product so far is multiplied by the matrix of the next layer below. It begins with "
            "{last:.3f} and ends, as it happens, with {whole:.3g}. A product of many factors below "
            "1 is small, and of many factors above 1 it is huge. Deep networks have had their "
            "troubles with that; the lesson on depth is about them.",
        ),
    ),
    remember="Multiply local derivatives along each path, and add over all paths. A backward pass "
             "does both at once, because each node adds up what arrives before it passes it on.",
    question=("path", 2),
    ideas={
        "several paths": IdeaQuestion(
            "A number reaches the output by two paths. What is its gradient?",
            "The sum of the products along both paths",
            {
                "The product of the products along both paths": "paths multiply",
                "The product along the path that is visited last": "overwrite",
                "The larger of the products along both paths": "the strongest path counts",
            },
            over_paths,
        ),
        "how the work stays small": IdeaQuestion(
            "Why need backpropagation not follow every path?",
            "A node adds up what arrives, and passes it on once",
            {
                "Long paths have products near 0 and are left out": "the strongest path counts",
                "A graph has no more paths than it has edges": "few paths",
            },
            many_paths,
        ),
        "how layers combine": IdeaQuestion(
            "How does the chain rule combine layers that follow each other?",
            "It multiplies their matrices of partial derivatives",
            {
                "It adds their matrices of partial derivatives": "local derivatives add",
                "It takes the matrix of the last layer": "the last layer counts",
            },
            layers_multiply,
        ),
    },
    cards={
        "chain rule": Card(
            "path",
            "Along a path, multiply the local derivatives of all its edges.",
        ),
        "several paths": Card(
            "gradient",
            "A node with several users gets the sum of what they pass on: += and not =.",
        ),
        "each edge once": Card(
            "idea",
            "A network has many more paths than edges. Each node adds up what arrives, so every "
            "edge is used once.",
            idea="how the work stays small",
        ),
        "layers": Card(
            "idea",
            "The partial derivatives of layers are multiplied, from the output layer back to the "
            "first one.",
            idea="how layers combine",
        ),
    },
    covers={
        "002.c5": Cover("local derivatives multiply along a path", "chain rule", "path"),
        "001.f1": Cover("the products of all paths add", "several paths", "several paths"),
        "001.r1": Cover(
            "paths multiply with depth, edges add", "each edge once", "how the work stays small"
        ),
        "002.k2": Cover("the derivatives of layers multiply", "layers", "how layers combine"),
    },
)
