"""Modules, layers, losses, initialisers and checkpoints."""

import copy
import hashlib
import json
import math as std
import pickle
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Value, data, math, nn, optim
from tinygrad_edu.errors import CheckpointError
from tinygrad_edu.nn.module import mode
from tinygrad_edu.testing import gradcheck


def test_parameters_are_found_and_named_wherever_they_are():
    class Net(nn.Module):
        def __init__(self):
            self.scale = Value(2.0)
            self.parts = {"body": nn.Layer(1, 2, rng=0), "extra": [Value(1.0), (Value(3.0),)]}
            self.note = "not a parameter"

    net = Net()
    names = [name for name, _ in net.named_parameters()]
    assert names == [
        "scale",
        "parts.body.neurons.0.w.0",
        "parts.body.neurons.0.b",
        "parts.body.neurons.1.w.0",
        "parts.body.neurons.1.b",
        "parts.extra.0",
        "parts.extra.1.0",
    ]
    assert [p.label for p in net.parameters()] == names
    assert all(isinstance(p.label, nn.ParameterName) for p in net.parameters())


def test_existing_label_is_kept_and_a_shared_parameter_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            self.a = Value(1.0, "my weight")
            self.b = self.a

    tied = Tied()
    assert [(name, p.label) for name, p in tied.named_parameters()] == [("a", "my weight")]


def test_parameters_are_labelled_on_assignment_with_their_longest_path():
    neuron, model = nn.Neuron(2, rng=0), nn.Module()
    weight, bias = neuron.w[1], neuron.b
    assert (weight.label, bias.label) == ("w.1", "b")
    assert type(weight.label) is nn.ParameterName
    model.parts = [neuron]
    assert (weight.label, bias.label) == ("parts.0.w.1", "parts.0.b")
    model.other = weight  # neither path is part of the other: the first one stays
    assert weight.label == "parts.0.w.1"
    own = Value(1.0, "my weight")
    model.own = own
    assert own.label == "my weight"
    assert type(own.label) is nn.ParameterName


def test_results_stored_on_a_module_are_not_parameters():
    model = nn.Neuron(2, rng=0)
    model.last = model([1.0, 2.0])
    assert len(model.parameters()) == 3


def test_search_for_parameters_ends_in_a_cycle_of_modules():
    outer, inner = nn.Module(), nn.Neuron(1, rng=0)
    inner.owner = outer
    outer.inner = inner
    assert len(outer.parameters()) == 2
    assert list(outer.modules()) == [outer, inner]


def test_zero_grad_reaches_every_layer():
    model = nn.MLP(2, [3, 2, 1], rng=0)
    (model([1.0, -1.0]) * 3).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [0.0] * len(model.parameters())


def test_mlp_draws_micrograds_numbers_in_its_order():
    random.seed(7)
    model = nn.MLP(2, [2, 1])
    random.seed(7)
    expected = []
    for nin, nout in ((2, 2), (2, 1)):
        for _ in range(nout):
            expected += [*[random.uniform(-1, 1) for _ in range(nin)], 0.0]
    assert [p.data for p in model.parameters()] == expected


def test_a_layer_of_one_neuron_may_feed_another_layer():
    model = nn.MLP(2, [16, 1, 1], rng=3)
    y = model([0.5, -0.5])
    assert isinstance(y, Value)
    assert gradcheck(lambda: model([0.5, -0.5]), parameters=model.parameters())


@pytest.mark.parametrize("make", [lambda **how: nn.Neuron(2, rng=0, **how),
                                  lambda **how: nn.Layer(2, 3, rng=0, **how)])
def test_nonlin_of_micrograd_is_a_linear_activation(make):
    ours = make(nonlin=False)
    linear = make(activation="linear")
    assert repr(ours) == repr(linear)
    assert ours.state_dict() == linear.state_dict()
    assert repr(ours([0.5, -3.0])) == repr(linear([0.5, -3.0]))
    assert repr(make(nonlin=True)) == repr(make())


def test_a_neuron_is_activation_of_bias_plus_dot_product():
    neuron = nn.Neuron(2, activation="tanh", rng=0)
    w0, w1 = (w.data for w in neuron.w)
    neuron.b.data = 0.25
    assert neuron([3.0, -2.0]).data == std.tanh(0.25 + w0 * 3.0 + w1 * -2.0)


@pytest.mark.parametrize("activation", nn.ACTIVATIONS)
def test_every_activation_trains(activation):
    model = nn.MLP(2, [3, 1], activation=activation, rng=5)
    assert gradcheck(lambda: model([0.3, 0.8]), parameters=model.parameters())


def test_activation_may_be_any_function():
    def shifted(x):
        return x + 10.0

    neuron = nn.Neuron(2, activation=shifted, rng=0)
    assert neuron([0.0, 0.0]).data == 10.0
    assert repr(neuron) == "ShiftedNeuron(2)"


def test_models_print_as_in_micrograd():
    assert (
        repr(nn.MLP(2, [2, 1]))
        == "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]"
    )
    two = nn.Sequential(nn.Layer(1, 1, "tanh"), nn.Dropout(0.25))
    assert repr(two) == "Sequential(Layer of [TanhNeuron(1)], Dropout(0.25))"


def test_xavier_and_he_have_the_published_spread():
    rng = random.Random(0)
    drawn = [nn.xavier(30, 20, rng) for _ in range(20_000)]
    limit = std.sqrt(6 / 50)
    assert limit * 0.999 < max(drawn) <= limit
    assert -limit * 0.999 > min(drawn) >= -limit
    assert nn.xavier(30, 20, random.Random(1)) == random.Random(1).uniform(-limit, limit)
    # it has one output
    assert nn.Neuron(5, init="xavier", rng=1).w[0].data == nn.xavier(5, 1, random.Random(1))
    drawn = [nn.he(8, 4, rng) for _ in range(20_000)]
    assert (
        abs(std.sqrt(sum(x * x for x in drawn) / len(drawn)) - 0.5)
        < 0.01
        > abs(sum(drawn) / len(drawn))
    )
    assert {
        nn.Layer(1, 4, init=lambda fan_in, fan_out, rng: fan_out, rng=0).neurons[0].w[0].data
    } == {4.0}


def test_normal_has_the_given_standard_deviation_for_any_fans():
    draw = nn.normal(0.08)
    assert [draw(fan_in, 3, random.Random(1)) for fan_in in (2, 20)] == [
        random.Random(1).gauss(0, 0.08)
    ] * 2
    assert [p.data for p in nn.MLP(2, [1], init=nn.normal(0), rng=0).parameters()] == [0.0] * 3
    for deviation in (-1.0, math.inf, math.nan):
        with pytest.raises(
            ValueError,
            match=rf"^normal: std must be a finite number >= 0, such as 0.02, not {deviation}$",
        ):
            nn.normal(deviation)


def test_dropout_drops_in_training_and_scales_the_rest():
    dropout = nn.Dropout(0.25, rng=0)
    xs = [Value(3.0) for _ in range(4000)]
    ys = dropout(xs)
    assert {y.data for y in ys} == {0.0, 4.0}
    assert abs(sum(y.data == 0 for y in ys) / 4000 - 0.25) < 0.03
    sum(ys).backward()
    assert all(x.grad == (4 / 3 if y.data else 0.0) for x, y in zip(xs, ys))
    assert dropout.eval()(xs) is xs
    assert {dropout.train()(Value(3.0)).data for _ in range(100)} == {0.0, 4.0}
    again = nn.Dropout(0.25, rng=0)(xs)
    assert [y.data for y in again] == [y.data for y in ys]


def test_dropout_of_0_returns_its_input_and_the_default_is_one_half():
    xs = [Value(3.0)]
    assert nn.Dropout(0.0)(xs) is xs
    assert repr(nn.Dropout()) == "Dropout(0.5)"


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(
        nn.Layer(2, 3, rng=0), nn.Dropout(0.5, rng=0), nn.Layer(3, 1, "linear", rng=0)
    )
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model([1.0, 2.0]).data == model([1.0, 2.0]).data
    assert all(module.training for module in model.train().modules())


@pytest.mark.parametrize("training", [True, False])
def test_mode_ends_with_its_block_and_every_module_returns_to_its_own(training):
    model = nn.Sequential(
        nn.Layer(2, 3, rng=0), nn.Dropout(0.5, rng=0), nn.Layer(3, 1, "linear", rng=0)
    )
    model.layers[0].eval()
    before = [module.training for module in model.modules()]
    assert len(set(before)) == 2
    with mode(model, training=training):
        assert {module.training for module in model.modules()} == {training}
        model.train(not training)
    assert [module.training for module in model.modules()] == before
    message = "x must be a list of 2 numbers"
    with pytest.raises(ValueError, match=message), mode(model, training=training):
        model([1.0])
    assert [module.training for module in model.modules()] == before
    with mode(len, training=training):  # a function has no modes
        pass


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Neuron(0), "^Neuron: nin must be a whole number >= 1, not 0$"),
    (lambda: nn.Layer(2, 0), "^Layer: nout must be a whole number >= 1, not 0$"),
    (lambda: nn.MLP(2, []), r"nouts must have at least one size, not \[\]; write MLP\("),
    (lambda: nn.Neuron(2, activation="rely"), "^Neuron: activation must be 'linear', .* or 'tanh', "
                                              "not 'rely'; or give a function$"),
    (lambda: nn.Neuron(2, init="zero"), "^Neuron: init must be 'uniform', 'xavier' or 'he', "
                                        "not 'zero'; or give a function"),
    (lambda: nn.Dropout(1.0), "^Dropout: p must be a probability >= 0 and < 1, not 1.0; "
                                "usual: 0.5$"),
    (lambda: nn.Neuron(2, rng=0)([1.0]), r"^Neuron: x must be a list of 2 numbers or "
                                            r"Values, not of 1 \(\[1.0\]\); pass 2, or make "),
    (lambda: nn.Layer(2, 3, rng=0)([1.0]), r"^Layer: .* or make the layer with nin=1$"),
    (lambda: nn.hinge(Value(1.0), 0), "target must be -1 or 1, not 0"),
    (lambda: nn.binary_cross_entropy(Value(1.0), 2), "target must be a probability, .* not 2"),
    (lambda: nn.cross_entropy([Value(1.0), Value(2.0)], 2), "index of a class, 0 to 1, not 2"),
    (lambda: nn.cross_entropy([Value(1.0)], 0), "logits must be a list of at least two"),
    (lambda: nn.mse([Value(1.0)], [1.0, 2.0]), r"must be a list of 1 number, .* not \[1.0, 2.0\]"),
])
def test_invalid_input_is_rejected_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_module_without_call_and_a_sequential_of_numbers_are_type_errors():
    with pytest.raises(TypeError, match="has no __call__"):
        nn.Module()(1.0)
    with pytest.raises(TypeError, match="Sequential: layer 1 must be a module or a function"):
        nn.Sequential(nn.Dropout(0.1), 3)
    with pytest.raises(
        TypeError, match=r"with the size of each layer, not int \(16\); write MLP\(2, \[16, 1\]\)"
    ):
        nn.MLP(2, 16)


# ---- losses --------------------------------------------------------------------------------------


def test_losses_at_known_points():
    assert nn.mse(Value(3.0), 1.0).data == 4.0
    assert nn.mse([Value(3.0), Value(0.0)], [1.0, 2.0]).data == 4.0
    assert nn.hinge(Value(0.25), 1).data == 0.75
    assert nn.hinge(Value(2.0), 1).data == 0.0
    assert nn.hinge(Value(0.25), -1).data == 1.25
    assert nn.binary_cross_entropy(Value(0.0), 1).data == std.log(2)
    assert nn.cross_entropy([Value(0.0)] * 4, 2).data == pytest.approx(std.log(4), rel=1e-15, abs=0)
    assert nn.l1([Value(-2.0), Value(3.0)]).data == 5.0
    assert nn.l2([Value(-2.0), Value(3.0)]).data == 13.0


@given(st.floats(-700, 700), st.sampled_from([0, 1]))
def test_binary_cross_entropy_keeps_its_digits(x, t):
    logit = Value(x)
    loss = nn.binary_cross_entropy(logit, t)
    loss.backward()
    sign = -1 if t else 1
    assert loss.data == pytest.approx(math.softplus(sign * x), rel=1e-15, abs=0)
    assert logit.grad == pytest.approx(sign * math.sigmoid(sign * x), rel=1e-14, abs=0)


@pytest.mark.parametrize("t", [0.25, 0.5])
def test_binary_cross_entropy_with_a_probability_as_target_is_its_definition(t):
    logit = Value(0.75)
    loss = nn.binary_cross_entropy(logit, t)
    loss.backward()
    p = 1 / (1 + std.exp(-0.75))
    assert loss.data == pytest.approx(-t * std.log(p) - (1 - t) * std.log(1 - p), rel=1e-14, abs=0)
    assert logit.grad == pytest.approx(p - t, rel=1e-14, abs=0)


@pytest.mark.parametrize(("x", "target"), [(std.inf, 1), (-std.inf, 0)])
def test_binary_cross_entropy_of_an_infinite_logit_on_the_right_side_is_0(x, target):
    logit = Value(x)
    loss = nn.binary_cross_entropy(logit, target)
    loss.backward()
    assert (loss.data, logit.grad) == (0.0, 0.0)


def test_cross_entropy_of_a_sure_prediction_keeps_its_digits():
    logits = [Value(50.0), Value(0.0)]
    loss = nn.cross_entropy(logits, 0)
    loss.backward()
    assert loss.data == pytest.approx(std.exp(-50), rel=1e-14, abs=0)
    assert logits[0].grad == pytest.approx(-std.exp(-50), rel=1e-14, abs=0)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=5), st.data())
def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot(xs, draw):
    target = draw.draw(st.integers(0, len(xs) - 1))
    logits = [Value(x) for x in xs]
    nn.cross_entropy(logits, target).backward()
    for i, (logit, probability) in enumerate(zip(logits, nn.softmax(xs))):
        if i != target:
            assert logit.grad == pytest.approx(probability, rel=1e-12, abs=0)
    assert sum(logit.grad for logit in logits) == pytest.approx(0, abs=1e-14)


def test_accuracy_of_scores_and_of_logits():
    assert nn.accuracy(Value(0.1), 1) == 1.0
    assert nn.accuracy(Value(-0.1), -1) == nn.accuracy(Value(-0.1), 0) == 1.0
    assert nn.accuracy(Value(0.1), -1) == 0.0
    assert (
        nn.accuracy(Value(0.0), 1),
        nn.accuracy(Value(0.0), -1),
        nn.accuracy(Value(0.0), 0),
    ) == (0.0, 1.0, 1.0)
    assert nn.accuracy([Value(0.1), Value(0.9), Value(0.5)], 1) == 1.0


@pytest.mark.parametrize("target", [-1, 3, 1.5, math.inf, math.nan, [0, 1, 0]])
def test_accuracy_and_cross_entropy_reject_targets_that_are_no_class(target):
    for metric in nn.accuracy, nn.cross_entropy:
        message = (
            f"{metric.__name__}: the target must be the index of a class, 0 to 2, not {target!r}; "
            "of a list with 1 for the right class pass its position"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            metric([Value(0.1), Value(0.9), Value(0.5)], target)


@pytest.mark.parametrize("target", [2, 0.4, -0.5, math.inf, math.nan])
def test_accuracy_rejects_targets_of_scores_other_than_two_classes(target):
    with pytest.raises(ValueError, match=f"target must be -1, 0 or 1, not {target!r}; round "):
        nn.accuracy(Value(0.1), target)


# ---- state and checkpoints -----------------------------------------------------------------------


@pytest.fixture
def model():
    return nn.MLP(2, [3, 1], rng=1)


def test_checkpoint_restores_every_bit(model, tmp_path):
    model.parameters()[0].data = 0.1 + 0.2
    model.parameters()[1].data = std.inf
    nn.save(model, tmp_path / "model.json")
    other = nn.MLP(2, [3, 1], rng=2)
    nn.load(other, tmp_path / "model.json")
    assert other.state_dict() == model.state_dict()
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["version"] == 1
    assert content["parameters"]["layers.0.neurons.0.w"]["shape"] == [2]
    assert content["parameters"]["layers.1.neurons.0.b"]["shape"] == []


def test_training_continues_from_a_checkpoint_to_the_same_bits(tmp_path):
    def run(steps, model, optimizer):
        for _ in range(steps):
            optimizer.zero_grad()
            nn.mse(model([0.5, -1.0]), 2.0).backward()
            optimizer.step()

    through, first, second = (nn.MLP(2, [3, 1], rng=seed) for seed in (1, 1, 9))
    run(7, through, optim.Adam(through.parameters()))
    optimizer = optim.Adam(first.parameters())
    run(3, first, optimizer)
    nn.save(first, tmp_path / "c.json", optimizer)
    resumed = optim.Adam(second.parameters())
    nn.load(second, tmp_path / "c.json", resumed)
    run(4, second, resumed)
    assert second.state_dict() == through.state_dict()


def damaged(text):
    yield "truncated", text[: len(text) // 2]
    yield "empty", ""
    yield "altered", text.replace('"data": 0.0', '"data": 0.5', 1)
    yield "foreign", json.dumps({"weights": [1, 2]})
    yield "a list", "[1, 2]"
    yield "a newer version", text.replace('"version": 1', '"version": 2')
    yield "deep nesting", "[" * 100_000
    yield "text", "hello"


def test_bad_checkpoint_raises_checkpoint_error_and_changes_nothing(model, tmp_path):
    path = tmp_path / "model.json"
    good = nn.save(model, path).read_text()
    for what, text in damaged(good):
        assert text != good, what
        other = nn.MLP(2, [3, 1], rng=2)
        before = other.state_dict()
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"model\.json"):
            nn.load(other, path)
        assert other.state_dict() == before, what


@given(st.data())
def test_any_flipped_byte_of_a_checkpoint_is_detected(draw):
    import tempfile
    from pathlib import Path

    source, target = nn.Neuron(2, rng=1), nn.Neuron(2, rng=2)
    with tempfile.TemporaryDirectory() as folder:
        path = nn.save(source, Path(folder) / "n.json")
        content = bytearray(path.read_bytes())
        i = draw.draw(st.integers(0, len(content) - 1))
        content[i] ^= 1 << draw.draw(st.integers(0, 7))
        path.write_bytes(content)
        before = target.state_dict()
        try:
            nn.load(target, path)
        except CheckpointError:
            assert target.state_dict() == before
        else:
            assert target.state_dict() == source.state_dict()  # the flipped byte was white space


def test_checkpoint_of_another_model_is_rejected_by_name(model, tmp_path):
    nn.save(nn.MLP(2, [4, 1], rng=0), tmp_path / "other.json")
    before = model.state_dict()
    with pytest.raises(CheckpointError, match=r"layers\.0\.neurons\.3"):
        nn.load(model, tmp_path / "other.json")
    assert model.state_dict() == before


def test_mismatch_of_the_optimiser_leaves_the_model_unchanged(model, tmp_path):
    nn.save(model, tmp_path / "c.json", optim.Adam(model.parameters()))
    other = nn.MLP(2, [3, 1], rng=2)
    before = other.state_dict()
    with pytest.raises(CheckpointError):
        nn.load(other, tmp_path / "c.json", optim.SGD(other.parameters(), 0.1))
    assert other.state_dict() == before
    nn.save(model, tmp_path / "plain.json")
    with pytest.raises(CheckpointError, match="no optimiser state"):
        nn.load(other, tmp_path / "plain.json", optim.Adam(other.parameters()))


@pytest.mark.parametrize(("entry", "what"), [
    ({"shape": [3], "data": [1.0, 2.0]}, r"w has shape \[3\] but 2 numbers"),
    ({"shape": []}, "data"),
    (1.0, "not subscriptable"), ({"shape": [2], "data": [1.0, "two"]}, "'two' is not a number")])
def test_checkpoint_with_a_malformed_entry_is_rejected_despite_a_valid_digest(
    entry, what, tmp_path
):
    neuron = nn.Neuron(2, rng=1)
    before = neuron.state_dict()
    content = json.loads(nn.save(neuron, tmp_path / "n.json").read_text())
    del content["sha256"]
    content["parameters"]["w"] = entry
    content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (tmp_path / "n.json").write_text(json.dumps(content))
    with pytest.raises(
        CheckpointError, match=f"is not a checkpoint that this release can read: .*{what}"
    ):
        nn.load(neuron, tmp_path / "n.json")
    assert neuron.state_dict() == before


def test_save_accepts_modules_only(tmp_path):
    with pytest.raises(TypeError, match="save: model must be a Module, not dict"):
        nn.save({}, tmp_path / "n.json")


def test_an_old_checkpoint_survives_a_failed_save(model, tmp_path):
    path = nn.save(model, tmp_path / "model.json")
    good = path.read_bytes()
    model.parameters()[0].data = object()
    with pytest.raises(TypeError):
        nn.save(model, path)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]
    with pytest.raises(FileNotFoundError, match="not a folder; create it first"):
        nn.save(nn.Neuron(1, rng=0), tmp_path / "missing" / "m.json")


@pytest.mark.parametrize("state", [
    {},
    {"w.0": 1.0, "w.1": 2.0},
    {"w.0": 1, "w.1": 2, "b": "3"},
    [1, 2, 3],
    {"w.0": 1, "w.1": 2, "b": True},
    {"w.0": 1, "w.1": 2, "b": 3, "c": 4},
])
def test_a_state_that_does_not_fit_changes_nothing(state):
    neuron = nn.Neuron(2, rng=0)
    before = neuron.state_dict()
    with pytest.raises(CheckpointError):
        neuron.load_state_dict(state)
    assert neuron.state_dict() == before


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: {**state, "c": 1.0}, "does not fit the model: not in the model: c; make"),
    (lambda state: {name: state[name] for name in ("w.0", "w.1")}, "does not fit the model: "
                                                                   "missing: w.2, w.3, b; make"),
    (lambda state: {}, "does not fit the model: missing: w.0, w.1, w.2 and 2 more; make"),
    (lambda state: {"c": 1.0, **{f"w.{i}": 1.0 for i in range(4)}}, "missing: b; not in the model: "
                                                                    "c; make"),
])
def test_missing_and_unknown_names_in_a_state_are_reported(change, message):
    neuron = nn.Neuron(4, rng=0)
    with pytest.raises(CheckpointError, match=re.escape(message)):
        neuron.load_state_dict(change(neuron.state_dict()))


def test_deeply_nested_checkpoint_is_rejected(tmp_path):
    content = json.loads(nn.save(nn.Neuron(1, rng=0), tmp_path / "n.json").read_text())
    for _ in range(60):
        content["parameters"] = [content["parameters"]]
    (tmp_path / "n.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="nested deeper than 50 levels"):
        nn.load(nn.Neuron(1, rng=0), tmp_path / "n.json")


def test_models_copy_and_pickle(model):
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.state_dict() == model.state_dict()
        assert [p.label for p in twin.parameters()] == [p.label for p in model.parameters()]
        twin.parameters()[0].data += 1
        assert twin.state_dict() != model.state_dict()


def test_a_model_learns_xor():
    inputs, targets = data.xor(40, rng=0)
    model = nn.MLP(2, [8, 1], activation="tanh", rng=0)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        sum(nn.hinge(model(x), t) for x, t in zip(inputs, targets)).backward()
        optimizer.step()
    assert sum(nn.accuracy(model(x), t) for x, t in zip(inputs, targets)) / 40 >= 0.95


@pytest.mark.parametrize("make", [
    lambda m: setattr(m, "parts", [Value(1.0), nn.Neuron(1, rng=0), Value(2.0)]),
    lambda m: (setattr(m, "first", Value(1.0)), setattr(m, "w", [m.first, Value(2.0)])),
    lambda m: setattr(m, "w", {1: Value(10.0), 0: Value(11.0)}),
    lambda m: setattr(m, "w", {5: Value(5.0), 7: Value(7.0)}),
], ids=["gap", "shared", "out of order", "sparse"])
def test_load_accepts_whatever_save_writes(make, tmp_path):
    model, other = nn.Module(), nn.Module()
    make(model)
    make(other)
    for p in other.parameters():
        p.data = -1.0
    nn.load(other, nn.save(model, tmp_path / "m.json"))
    assert other.state_dict() == model.state_dict()


def test_state_dict_rejects_two_parameters_of_one_name():
    model = nn.Module()
    model.w = {1: Value(1.0), "1": Value(2.0)}
    with pytest.raises(ValueError, match=r"two parameters of Module have the name 'w\.1'"):
        model.state_dict()


def test_a_state_with_a_number_too_large_changes_nothing():
    neuron = nn.Neuron(2, rng=0)
    before = neuron.state_dict()
    with pytest.raises(CheckpointError, match="too large"):
        neuron.load_state_dict({**before, "b": 10**400})
    assert neuron.state_dict() == before


def test_infinite_state_of_an_optimiser_is_saved_and_restored(tmp_path):
    w = nn.Neuron(1, rng=0)
    optimizer = optim.SGD(w.parameters(), lr=0.1, momentum=0.9)
    w.parameters()[0].grad = std.inf
    optimizer.step()
    path = nn.save(w, tmp_path / "c.json", optimizer)
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    resumed = optim.SGD(w.parameters(), lr=0.1, momentum=0.9)
    nn.load(w, path, resumed)
    assert resumed.state == optimizer.state


def test_checkpoint_follows_a_link_and_keeps_the_mode_of_the_file(tmp_path):
    real = nn.save(nn.Neuron(1, rng=0), tmp_path / "real.json")
    real.chmod(0o600)
    link = tmp_path / "latest.json"
    link.symlink_to(real)
    nn.save(nn.Neuron(1, rng=1), link)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert json.loads(real.read_text())["parameters"]["w"]["data"] == [
        nn.Neuron(1, rng=1).w[0].data
    ]


def test_a_model_with_dropout_copies_and_pickles():
    model = nn.Sequential(nn.Layer(1, 2, rng=0), nn.Dropout(0.5))
    assert (
        copy.deepcopy(model).state_dict()
        == pickle.loads(pickle.dumps(model)).state_dict()
        == model.state_dict()
    )


def test_a_parameter_that_was_appended_later_gets_its_name():
    model = nn.Module()
    model.ws = []
    model.ws.append(Value(1.0))
    assert model.named_parameters()[0][1].label == "ws.0"


def test_a_masked_logit_has_no_gradient():
    logits = [Value(2.0), Value(-std.inf)]
    loss = nn.cross_entropy(logits, 0)
    loss.backward()
    assert (loss.data, logits[0].grad, logits[1].grad) == (0.0, 0.0, 0.0)
