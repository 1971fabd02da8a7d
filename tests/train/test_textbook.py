"""Gradient descent as in textbooks, and figures of textbooks as graphs."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Value, data, examples, fit, nn, optim, topological_order


def line_data(n, seed):
    rng = random.Random(seed)
    xs = [rng.uniform(-2, 2) for _ in range(n)]
    return xs, [1.5 * x - 0.5 + rng.gauss(0, 0.1) for x in xs]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 37])
def test_full_batch_linear_regression_follows_the_textbook_rule(n):
    """w0 <- w0 + alpha sum(y - h(x)), w1 <- w1 + alpha sum((y - h(x)) x)  (Russell and Norvig, eq.
    19.5)."""
    xs, ys = line_data(n, n)
    alpha, w0, w1 = 0.01, Value(-0.1, "w0"), Value(0.2, "w1")
    optimizer = optim.SGD([w0, w1], lr=alpha)
    for _ in range(50):
        errors = [y - (w0.data + w1.data * x) for x, y in zip(xs, ys)]
        textbook = [
            w0.data + alpha * math.fsum(errors),
            w1.data + alpha * math.fsum(e * x for e, x in zip(errors, xs)),
        ]
        loss = sum((y - (w0 + w1 * x)) ** 2 for x, y in zip(xs, ys)) * 0.5
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for w, expected in zip((w0, w1), textbook):
            assert abs(w.data - expected) <= 4 * math.ulp(expected)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 37])
def test_full_batch_fit_follows_the_same_rule(n):
    """fit takes the mean, so the textbook's sum is a learning rate n times as large."""
    xs, ys = line_data(n, n)
    w0, w1 = Value(-0.1, "w0"), Value(0.2, "w1")
    alpha, optimizer = 0.01, optim.SGD([w0, w1], lr=0.01 * n)
    for _ in range(20):
        errors = [y - (w0.data + w1.data * x) for x, y in zip(xs, ys)]
        textbook = [
            w0.data + alpha * math.fsum(errors),
            w1.data + alpha * math.fsum(e * x for e, x in zip(errors, xs)),
        ]
        fit(
            lambda x: w0 + w1 * x,
            lambda p, t: 0.5 * nn.mse(p, t),
            xs,
            ys,
            optimizer=optimizer,
            epochs=1,
        )
        for w, expected in zip((w0, w1), textbook):
            assert abs(w.data - expected) <= 4 * math.ulp(expected)


@given(st.floats(1e-4, 10), st.integers(0, 10_000))
def test_weight_decay_adds_two_lambda_w_to_each_weights_gradient(decay, seed):
    model = nn.MLP(3, [4, 3], rng=seed)
    weights = [p for name, p in model.named_parameters() if ".w." in name]
    x, target = [0.5, -1.0, 2.0], 1
    nn.cross_entropy(model(x), target).backward()
    plain = [w.grad for w in weights]
    model.zero_grad()
    (nn.cross_entropy(model(x), target) + decay * nn.l2(weights)).backward()
    for w, before in zip(weights, plain):
        expected = before + 2 * decay * w.data
        assert abs(w.grad - expected) <= 4 * 2**-53 * (abs(before) + abs(2 * decay * w.data))


def test_the_graph_of_figure_6_11():
    loss = examples.weight_decay()
    nodes = {node.label: node for node in topological_order(loss) if node.label}
    likelihood, decay = nodes["J_MLE"], nodes["lambda * sum of w**2"]
    assert loss.args == (likelihood, decay)
    assert loss.data == likelihood.data + decay.data
    weights = [node for label, node in nodes.items() if label.startswith("W")]
    assert len(weights) == 8
    assert decay.data == pytest.approx(0.01 * sum(w.data**2 for w in weights), rel=1e-15)
    totals = [w.grad for w in weights]
    for w in weights:
        w.grad = 0.0
    likelihood.backward()
    for w, total in zip(weights, totals):
        assert total == pytest.approx(w.grad + 2 * 0.01 * w.data, rel=1e-12)


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_every_example_is_differentiated_and_labelled(name):
    root = examples.EXAMPLES[name]()
    assert root.label
    assert root.grad == 1.0
    assert all(leaf.label for leaf in topological_order(root, constants=False) if not leaf.op)


def test_stochastic_gradient_descent_finds_the_least_squares_line():
    inputs, targets = data.line(60, slope=2.0, intercept=-1.0, noise=0.0, rng=0)
    model = nn.Neuron(1, activation="linear", rng=0)
    fit(
        model,
        nn.mse,
        inputs,
        targets,
        optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.5),
        epochs=60,
        batch_size=10,
        rng=0,
    )
    assert [model.w[0].data, model.b.data] == pytest.approx([2.0, -1.0], rel=1e-6)
