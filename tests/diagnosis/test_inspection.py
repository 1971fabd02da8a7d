"""Tests of gradients and activations by layer, on models of known behaviour."""

import pytest
from helpers import inf, nan, state_of

from tinygrad_edu import Value, data, nn, no_grad
from tinygrad_edu.diagnosis.inspection import activations, gradient_flow, quantile


@pytest.mark.parametrize("look", [
    lambda model: activations(model, [[1, 2], [2, 1]]), gradient_flow,
])
def test_inspection_restores_model(look):
    model = nn.Sequential(
        nn.Layer(2, 4, rng=0), nn.Dropout(0.5, rng=1), nn.Layer(4, 1, "linear", rng=0)
    )
    model([1.0, 2.0]).backward()
    model.layers[0].training = False  # modes of modules may differ
    before = state_of(model)
    look(model)
    assert state_of(model) == before


# ---- gradients -----------------------------------------------------------------------------------


def flow(**gradients):
    return gradient_flow(
        {
            name: value
            for layer, values in gradients.items()
            for name, value in zip([f"{layer}.w.{i}" for i in range(len(values))], values)
        }
    )


def test_gradient_flow_computes_layer_statistics():
    layer, = flow(a=[0.0, -3.0, 4.0, nan, 0.0])
    assert (layer.path, layer.count, layer.zeros, layer.nonfinite) == ("a", 5, 2, 1)
    assert layer.rms == 2.5
    assert (layer.low, layer.median, layer.high) == pytest.approx((3.05, 3.5, 3.95))


@pytest.mark.parametrize(("rms", "verdicts"), [
    ((1.0, 1.0), ("fine", "fine")), ((1.01e-3, 1.0), ("fine", "fine")),
    ((0.99e-3, 1.0), ("vanishing", "fine")),
    ((1e-12, 1e-10), ("fine", "fine")), ((999.0, 1.0), ("fine", "fine")),
    ((1.01, 1e-3), ("exploding", "fine")),
    ((1001.0, 1001.0), ("exploding", "exploding")), ((0.0, 1.0), ("zero", "fine")),
    ((0.0, 0.0), ("zero", "zero")),
    ((1.0, 0.0), ("fine", "zero")), ((nan, 1.0), ("not finite", "fine")),
    ((1.0, inf), ("fine", "not finite")),
    ((1e308, 1e308), ("exploding", "exploding")), ((5e-324, 1.0), ("vanishing", "fine")),
])
def test_gradient_flow_classifies_layers_by_rms(rms, verdicts):
    layers = flow(a=[rms[0]] * 3, b=[rms[1]] * 3)
    assert tuple(layer.verdict for layer in layers) == verdicts


def test_gradient_flow_finds_vanishing_and_exploding_gradients_in_deep_networks():
    X, y = data.moons(10, rng=0)
    deep = nn.MLP(2, [6] * 8 + [1], "sigmoid", rng=0)
    for x, t in zip(X, y):
        nn.mse(deep(x), t).backward()
    verdicts = [layer.verdict for layer in gradient_flow(deep)]
    assert verdicts[0] == "vanishing"
    assert verdicts[-1] == "fine"
    wide = nn.MLP(2, [6] * 8 + [1], "linear", rng=0)
    for p in wide.parameters():
        p.data *= 10
    wide([1.0, 1.0]).backward()
    assert gradient_flow(wide)[0].verdict == "exploding"


def test_gradient_flow_accepts_module_mapping_and_labelled_parameters():
    model = nn.MLP(2, [3, 1], rng=0)
    (model([0.5, -1.0]) + model([2.0, 1.0])).backward()
    expected = gradient_flow(model)
    assert [(layer.path, layer.count) for layer in expected] == [("layers.0", 9), ("layers.1", 4)]
    assert gradient_flow(model.parameters()) == expected
    assert gradient_flow(dict(model.named_parameters())) == expected
    assert gradient_flow({name: p.grad for name, p in model.named_parameters()}) == expected


@pytest.mark.parametrize("nothing", [[], {}, nn.Dropout()])
def test_gradient_flow_rejects_empty_parameters(nothing):
    with pytest.raises(ValueError, match=r"model must have parameters, and .* has none; pass"):
        gradient_flow(nothing)


@pytest.mark.parametrize(("wrong", "named"), [
    (3, r"int \(3\)"), (["w"], r"str \('w'\)"), (None, "NoneType"), ("tanh", r"str \('tanh'\)"),
])
def test_gradient_flow_rejects_other_types(wrong, named):
    with pytest.raises(TypeError, match=f"model.* must be a .*, not {named}"):
        gradient_flow(wrong)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (1 / 3, 2.0)])
def test_quantile_interpolates_between_numbers(p, expected):
    assert quantile([1.0, 2.0, 3.0, 4.0], p) == pytest.approx(expected)
    assert quantile([], p) == 0.0
    assert quantile([7.0], p) == 7.0


# ---- activations ---------------------------------------------------------------------------------


def test_activations_equal_outputs_of_layers():
    model = nn.MLP(2, [3, 2, 1], "tanh", rng=0)
    X = [[0.5, -1.0], [2.0, 1.0]]
    layers = activations(model, X)
    assert [layer.path for layer in layers] == ["layers.0", "layers.1", "layers.2"]
    assert [unit.path for unit in layers[1].units] == ["layers.1.neurons.0", "layers.1.neurons.1"]
    assert [unit.op for layer in layers for unit in layer.units] == ["tanh"] * 5 + [""]
    for k, x in enumerate(X):
        hidden = x
        for layer, module in zip(layers, model.layers):
            hidden = module(hidden)
            expected = hidden if isinstance(hidden, list) else [hidden]
            assert [unit.outputs[k] for unit in layer.units] == [value.data for value in expected]


@pytest.mark.parametrize("activation", sorted(set(nn.ACTIVATIONS) - {"linear"}))
def test_activations_recognise_every_activation_function(activation):
    first, last = activations(nn.MLP(2, [3, 1], activation, rng=0), [[0.5, -1.0]])
    assert all(unit.op for unit in first.units)
    assert len(set(first.outputs)) > 1
    assert [unit.op for unit in last.units] == [""]


def test_unit_is_dead_if_no_sample_activates_it():
    model = nn.MLP(2, [6, 1], rng=0)
    X = [[0.5, -1.0], [2.0, 1.0], [-1.0, 0.0]]
    for neuron in model.layers[0].neurons[:2]:
        neuron.b.data = -100.0
    first, last = activations(model, X)
    dead = [not any(neuron(x).data > 0 for x in X) for neuron in model.layers[0].neurons]
    assert [unit.dead for unit in first.units] == dead
    assert first.dead == sum(dead) >= 2
    assert last.dead == 0


def test_linear_unit_with_zero_output_is_not_dead():
    model = nn.Layer(1, 2, "linear", rng=0)
    for p in model.parameters():
        p.data = 0.0
    assert activations(model, [[1.0]])[0].dead == 0


@pytest.mark.parametrize(("activation", "bias", "saturated"), [
    ("tanh", 3.0, True), ("tanh", 2.0, False), ("tanh", -3.0, True), ("sigmoid", 6.0, True),
    ("sigmoid", 5.0, False),
    ("sigmoid", -6.0, True), ("hardtanh", 1.0, True), ("hardtanh", 0.9, False),
    ("softsign", 100.0, True),
    ("relu", 100.0, False),
])
def test_unit_is_saturated_if_every_sample_is_at_an_asymptote(
    activation, bias, saturated
):
    model = nn.MLP(1, [1, 1], activation, rng=0)
    model.layers[0].neurons[0].w[0].data, model.layers[0].neurons[0].b.data = 0.0, bias
    layer = activations(model, [[0.0], [1.0]])[0]
    assert layer.saturated == saturated
    assert layer.saturation == float(saturated)


def test_unit_is_not_saturated_if_one_sample_is_in_the_middle():
    model = nn.MLP(1, [1, 1], "tanh", rng=0)
    model.layers[0].neurons[0].w[0].data = 10.0
    layer = activations(model, [[-1.0], [1.0], [0.0], [2.0]])[0]
    assert (layer.saturated, layer.saturation) == (0, 0.75)


class Dense(nn.Module):
    """A layer as a matrix, whose activation is applied by the model around it."""

    def __init__(self, rows):
        self.W = [[Value(x) for x in row] for row in rows]

    def __call__(self, x):
        return [sum((w * xi for w, xi in zip(row[1:], x[1:])), row[0] * x[0]) for row in self.W]


class Net(nn.Module):
    def __init__(self):
        self.blocks = [Dense([[1.0, 2.0], [-3.0, -1.0]]), Dense([[1.0, 1.0]])]

    def __call__(self, x):
        return self.blocks[1]([h.relu() for h in self.blocks[0](x)])[0]


def test_activations_find_units_of_matrix_layer_with_activation_outside():
    first, last = activations(Net(), [[1.0, 1.0], [2.0, 0.5]])
    assert (first.path, last.path) == ("blocks.0", "blocks.1")
    assert [(unit.op, unit.outputs) for unit in first.units] == [
        ("relu", (3.0, 3.0)),
        ("relu", (0.0, 0.0)),
    ]
    assert first.dead == 1
    assert last.outputs == (3.0, 3.0)
    assert [layer.path for layer in gradient_flow(Net())] == ["blocks.0", "blocks.1"]


class Routed(nn.Module):
    """Two neurons whose order depends on the sample, so that graphs have the same operations in
    another wiring."""

    def __init__(self):
        self.first, self.second = nn.Neuron(1, "tanh", rng=0), nn.Neuron(1, "tanh", rng=1)

    def __call__(self, x):
        return self.second(self.first(x)) if x[0] > 0 else self.first(self.second(x))


def test_activations_distinguish_graphs_that_differ_between_samples():
    model = Routed()
    layers = {layer.path: layer for layer in activations(model, [[1.0], [-1.0]])}
    assert layers["first"].outputs == (model.first([1.0]).data, model([-1.0]).data)
    assert layers["second"].outputs == (model([1.0]).data, model.second([-1.0]).data)


def test_neuron_that_runs_twice_is_one_unit():
    shared = nn.Layer(1, 2, "tanh", rng=0)
    layer, = activations(lambda x: [h for xi in x for h in shared([xi])], [[0.5, 1.0]])
    assert len(layer.units) == 2
    assert [len(unit.outputs) for unit in layer.units] == [2, 2]


def test_activations_return_outputs_as_one_layer_without_modules():
    weight = Value(2.0)
    layer, = activations(lambda x: [weight * x[0], (weight * x[1]).relu()], [[1.0, -1.0]])
    assert (layer.path, layer.outputs, layer.dead) == ("", (2.0, -0.0), 1)


def test_activations_record_graph_inside_no_grad():
    with no_grad():
        layer = activations(nn.MLP(2, [3, 1], rng=0), [[1.0, 1.0]])[0]
    assert [unit.op for unit in layer.units] == ["relu"] * 3


@pytest.mark.parametrize("model", [lambda x: 1.0, lambda x: [Value(1.0), 2.0]])
def test_activations_reject_model_that_returns_plain_numbers(model):
    with pytest.raises(TypeError, match="activations: the model must return Values, not"):
        activations(model, [[1.0]])


def test_activations_restore_training_mode_if_model_raises():
    model = nn.Sequential(nn.Layer(2, 4, rng=0), nn.Dropout(0.5, rng=1))
    with pytest.raises(ValueError, match="x must be a list of 2 numbers"):
        activations(model, [[1, 2, 3]])
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([[1, 2]], [[1, 2]]), TypeError,
     r"the model must be callable, not \[\[1, 2\]\]; pass the model first, then the samples"),
    ((sum, []), ValueError, "activations: X has no samples; pass at least one"),
    ((sum, 3), TypeError,
     r"activations: X must be samples: a list of inputs of the model, not int \(3\)"),
])
def test_activations_reject_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        activations(*arguments)
