"""Small graphs from lectures and textbooks, to draw and to step through.

    tinygrad-edu draw --example lecture-neuron

Each function builds a new graph, with labels as in the source, and returns its root after
``backward()``.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import math, nn
from ..engine.value import Value


def lecture_expression() -> Value:
    """Returns L = (a*b + c) * f, from Karpathy's lecture on micrograd (2022): L = -8, dL/da = 6."""
    a, b, c, f = Value(2.0, "a"), Value(-3.0, "b"), Value(10.0, "c"), Value(-2.0, "f")
    e = a * b
    e.label = "e"
    d = e + c
    d.label = "d"
    return _differentiated(d * f, "L")


def lecture_neuron() -> Value:
    """Returns o = tanh(x1*w1 + x2*w2 + b), from the same lecture: o = 0.7071, do/dw1 = 1."""
    x1, x2 = Value(2.0, "x1"), Value(0.0, "x2")
    w1 = Value(-3.0, nn.ParameterName("w1"))
    w2 = Value(1.0, nn.ParameterName("w2"))
    b = Value(6.8813735870195432, nn.ParameterName("b"))
    n = x1 * w1 + x2 * w2 + b
    n.label = "n"
    return _differentiated(n.tanh(), "o")


def weight_decay() -> Value:
    """Returns J = J_MLE + lambda (sum of squared weights): cross-entropy with weight decay.

    The network has one hidden layer of two rectifiers and no biases.  There is one sample, with two
    inputs; the first of two classes is right.

    Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, figure 6.11.
    """
    x = [Value(1.0, "x1"), Value(-0.5, "x2")]
    w1 = _parameters([[0.8, -0.4], [0.3, 0.9]], "W1")
    w2 = _parameters([[0.5, -0.7], [-0.6, 0.2]], "W2")
    hidden = _labelled([math.relu(_dot(x, column)) for column in zip(*w1)], "H")
    logits = _labelled([_dot(hidden, column) for column in zip(*w2)], "U2")
    likelihood = nn.cross_entropy(logits, 0)
    likelihood.label = "J_MLE"
    weights = [w for row in [*w1, *w2] for w in row]
    decay = Value(0.01, "lambda") * nn.l2(weights)
    decay.label = "lambda * sum of w**2"
    return _differentiated(likelihood + decay, "J")


def shared_node() -> Value:
    """Returns c = b + b with b = a + a, which every naive backward pass gets wrong: dc/da = 4.

    See `debug.compare_orders`.
    """
    a = Value(1.0, "a")
    b = a + a
    b.label = "b"
    return _differentiated(b + b, "c")


EXAMPLES: dict[str, Callable[[], Value]] = {
    "lecture-expression": lecture_expression,
    "lecture-neuron": lecture_neuron,
    "weight-decay": weight_decay,
    "shared-node": shared_node,
}


def _parameters(numbers: list[list[float]], name: str) -> list[list[Value]]:
    return [
        [Value(x, nn.ParameterName(f"{name}[{i},{j}]")) for j, x in enumerate(row, 1)]
        for i, row in enumerate(numbers, 1)
    ]


def _dot(xs: list[Value], ws: tuple[Value, ...]) -> Value:
    return math.total(x * w for x, w in zip(xs, ws))


def _labelled(values: list[Value], name: str) -> list[Value]:
    for i, value in enumerate(values, 1):
        value.label = f"{name}[{i}]"
    return values


def _differentiated(root: Value, label: str) -> Value:
    root.label = label
    root.backward()
    return root
