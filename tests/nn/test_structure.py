"""Modules, layers and neurons found from the names of parameters, and in graphs."""

import random

import pytest

from tinygrad_edu import Value, nn, topological_order
from tinygrad_edu.nn.structure import enclosing, find_modules, layer_of, module_path, neurons_among

# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "module", "around"), [
    ("layers.0.neurons.1.w.0", "layers.0.neurons.1", ["layers.0", "layers.0.neurons.1"]),
    ("layers.0.neurons.1.b", "layers.0.neurons.1", ["layers.0", "layers.0.neurons.1"]),
    ("w.0", "", []), ("b", "", []), ("line.slope", "line", ["line"]),
    ("a.0.1.w.2.3", "a.0.1", ["a.0.1"]),
])
def test_module_paths(label, module, around):
    assert module_path(label) == module
    assert enclosing(module) == around


@pytest.mark.parametrize(("name", "layer"), [
    ("layers.0.neurons.3.w.1", "layers.0"), ("layers.0.neurons.3.b", "layers.0"),
    ("neurons.3.w.1", ""), ("w.0", ""),
    ("b", ""), ("layers.0.w.1", "layers.0"), ("layers.0.units.3.w.1", "layers.0"),
    ("encoder.layers.1.neurons.0.w.2", "encoder.layers.1"), ("attention.W.0.5", "attention"),
    ("blocks.1.W.0.5", "blocks.1"),
    ("head.w.0", "head"), ("", ""),
])
def test_the_layer_of_a_parameter(name, layer):
    assert layer_of(name, neurons_among([name])) == layer


def test_module_with_two_lists_of_parameters_is_not_a_neuron():
    gain, bias = "block.norms.0.gain.0", "block.norms.0.bias.0"
    assert layer_of(gain, neurons_among([gain])) == "block"
    assert layer_of(gain, neurons_among([gain, bias])) == "block.norms.0"


# ---- graphs --------------------------------------------------------------------------------------


def modules_by_op(*roots):
    """Counts the operations of each kind in each module; "" stands for outside."""
    found: dict[str, dict[str, int]] = {}
    order = topological_order(*roots)
    owner = find_modules(order)
    for node in order:
        if node.op:
            ops = found.setdefault(owner.get(node, ""), {})
            ops[node.op] = ops.get(node.op, 0) + 1
    return found


@pytest.mark.parametrize("plain", [False, True], ids=["Values", "floats"])
def test_neurons_contain_only_their_sums_and_activations(plain):
    model = nn.MLP(2, [3, 1], rng=0)
    samples = [
        [float(x) if plain else Value(x, f"x{i}") for i, x in enumerate(xs)]
        for xs in ((1, -2), (0.5, 3), (2, 2))
    ]
    losses = [nn.hinge(model(x), 1.0) for x in samples]
    loss = sum(losses[1:], losses[0]) + 0.1 * nn.l2(model.parameters())
    found = modules_by_op(loss)
    for i in range(3):
        assert found.pop(f"layers.0.neurons.{i}") == {"mul": 6, "add": 6, "relu": 3}
    assert found.pop("layers.1.neurons.0") == {"mul": 9, "add": 9}
    outside = found.pop("")
    assert not found
    parameters = 3 * 3 + 4
    assert outside == {
        "mul": 3 + parameters + 1,
        "sub": 3,
        "relu": 3,
        "add": 2 + (parameters - 1) + 1,
    }


@pytest.mark.parametrize("penalty", [
    lambda ws: sum(w * w for w in ws), lambda ws: sum(w ** 2 for w in ws),
    lambda ws: sum(abs(w) for w in ws),
    lambda ws: sum(0.5 * w * w for w in ws), lambda ws: sum(w * 0.5 * w for w in ws),
    lambda ws: sum((w - 1) ** 2 for w in ws),
    nn.l1, nn.l2,
])
def test_penalties_belong_to_no_module(penalty):
    model = nn.MLP(2, [3, 1], rng=random.Random(0))
    y = model([1.0, 2.0])
    inside = sum(sum(ops.values()) for path, ops in modules_by_op(y).items() if path)
    found = modules_by_op(y + penalty(model.parameters()))
    assert sum(sum(ops.values()) for path, ops in found.items() if path) == inside


@pytest.mark.parametrize("activation", [
    "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "softsign", "hardtanh", "sigmoid",
    "tanh",
])
def test_activations_belong_to_their_neurons(activation):
    model = nn.MLP(1, [2, 1], activation=activation, rng=random.Random(0))
    found = modules_by_op(model([0.5]))
    assert "" not in found
    assert [sum(found[f"layers.0.neurons.{i}"].values()) for i in range(2)] == [3, 3]


def test_losses_of_logits_belong_to_no_module():
    model = nn.MLP(2, [3, 1], rng=0)
    loss = nn.binary_cross_entropy(model([1.0, 2.0]), 0.0) + nn.binary_cross_entropy(
        model([3.0, 4.0]), 0.0
    )
    assert modules_by_op(loss)[""] == {"softplus": 2, "add": 1}


def test_models_with_the_same_names_are_distinguished():
    first, second = nn.MLP(1, [1], rng=0), nn.MLP(1, [1], rng=1)
    found = modules_by_op(first([1.0]) + second([1.0]))
    assert found == {
        "layers.0.neurons.0": {"mul": 1, "add": 1},
        "model 2.layers.0.neurons.0": {"mul": 1, "add": 1},
        "": {"add": 1},
    }


def test_sum_over_a_batch_of_a_linear_neuron_belongs_to_no_module():
    layer = nn.MLP(1, [1], rng=random.Random(0))
    found = modules_by_op(layer([1.0]) + layer([2.0]) + layer([3.0]))
    assert found == {"layers.0.neurons.0": {"mul": 3, "add": 3}, "": {"add": 2}}
