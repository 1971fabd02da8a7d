"""What layers take, and what they say about anything else."""

import re
from array import array

import numpy as np
import pytest

from tinygrad_edu import Value, jit, nn, optim

BATCH = [[1.0, 2.0], [3.0, 4.0]]
PARTS = {
    "Neuron": nn.Neuron(2, rng=0),
    "Layer": nn.Layer(2, 3, rng=0),
    "MLP": nn.MLP(2, [3, 1], rng=0),
    "Linear": nn.Linear(2, 2, rng=0),
    "RMSNorm": nn.RMSNorm(2),
}


def data_of(output):
    return [x.data for x in output] if isinstance(output, list) else output.data


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize(("x", "error", "message"), [
    (None, TypeError, "a list of 2 numbers or Values, not NoneType"),
    ("ab", TypeError, "not str .'ab'."),
    (b"ab", TypeError, "not bytes"),
    ({1.0: 2.0, 3.0: 4.0}, TypeError, "not dict"),
    ({1.0, 2.0}, TypeError, "not set"),
    (iter([1.0, 2.0]), TypeError, "not list_iterator"),
    (1.0, TypeError, "not float .1.0.; pass all numbers of one sample in a list"),
    (Value(1.0), TypeError, "not Value"),
    ([1.0, 2.0, 3.0], ValueError, r"not of 3 \(\[1.0, 2.0, 3.0\]\); pass 2, or make the layer"),
    ([], ValueError, r"not of 0 \(\[\]\)"),
    (BATCH, TypeError, r"entry 0 of .* is list \(\[1.0, 2.0\]\); pass one sample at a time"),
    ([*BATCH, [5.0, 6.0]], ValueError, "not of 3 .*; pass one sample at a time"),
    (list(map(np.array, BATCH)), TypeError, "entry 0 of .* is ndarray .*; pass one sample at a"),
    (np.array(BATCH), TypeError, "x of 2 dimensions must be .*; pass one sample at a time"),
    (np.array([[Value(1.0)] * 2] * 2), TypeError, "x of 2 dimensions"),
    ([1.0, None], TypeError, r"entry 1 of \[1.0, None\] is NoneType"),
    ([1.0, "2"], TypeError, "entry 1 of .* is str .'2'.; write each entry as a number"),
    ([1.0, 1j], TypeError, "entry 1 of .* is complex"),
    ([1.0, 10**400], OverflowError, "entry 1 of x: an int of 1329 bits is too large"),
])
def test_layers_say_what_an_input_must_be(part, x, error, message):
    with pytest.raises(error, match=message) as caught:
        part(x)
    assert re.match(r"\w+: (entry \d of )?x\b", str(caught.value))


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("make", [
    tuple, np.array, lambda x: np.array(x, "f4"), lambda x: np.array(list(map(Value, x))),
    lambda x: array("d", x), lambda x: list(map(np.float32, x)), lambda x: [Value(x[0]), x[1]],
])
def test_layers_take_lists_of_any_kind_with_numbers_of_any_kind(part, make):
    x = [0.5, -1.0]
    assert data_of(part(make(x))) == data_of(part(x))


@pytest.mark.parametrize("x", [np.float32(2), np.float64(2), np.int64(2), np.array(2.0), 2, True])
def test_a_layer_of_one_input_takes_a_number_of_any_kind(x):
    layer = nn.Layer(1, 2, "tanh", rng=0)
    assert data_of(layer(x)) == data_of(layer([float(x)]))


def test_errors_of_layers_keep_the_original_one():
    with pytest.raises(TypeError) as error:
        nn.Linear(2, 1, rng=0)([1.0, None])
    assert "must be a real number, not NoneType" in str(error.value.__context__)


def test_errors_of_a_compiled_model_name_the_input_as_well():
    with pytest.raises(ValueError, match="Layer: x must be a list of 2 numbers or Values, not of"):
        jit(nn.MLP(2, [3, 1], rng=0))([1.0])


def test_an_activation_must_return_a_number():
    with pytest.raises(TypeError, match=r"what activation returns must be a Value, not NoneType"):
        nn.Layer(2, 1, activation=lambda x: None, rng=0)([1.0, 2.0])


@pytest.mark.parametrize(("init", "message"), [
    (lambda: 0.0, "init must be a function of 3 arguments, not <lambda>"),
    (lambda fan_in, fan_out, rng: None, "what init returns must be a number, not NoneType"),
])
def test_an_initialiser_takes_three_arguments_and_returns_a_number(init, message):
    with pytest.raises(TypeError, match=message) as error:
        nn.Linear(2, 1, init=init)
    assert error.value.__cause__


def test_dropout_draws_for_each_entry_of_an_array():
    x = np.arange(1.0, 101.0)
    kept = nn.Dropout(0.5, rng=0)(x)
    assert kept.tolist() == nn.Dropout(0.5, rng=0)(x.tolist())
    assert 20 < np.count_nonzero(kept) < 80


@pytest.mark.parametrize("x", [None, "ab", {"a": 1.0}, [1.0, None], [[1.0], [2.0]]])
def test_dropout_says_what_an_input_must_be(x):
    with pytest.raises(TypeError, match=r"^Dropout: x must be a list of numbers"):
        nn.Dropout(0.5, rng=0)(x)


@pytest.mark.parametrize("nouts", [
    [np.int64(3), np.int32(1)], np.array([3, 1]), (3, np.uint8(1)),
])
def test_sizes_may_be_numbers_of_numpy(nouts):
    assert len(nn.MLP(np.int64(2), nouts, rng=np.int64(0)).parameters()) == 13


@pytest.mark.parametrize("params", [
    "wb", {Value(1.0): 0}, {Value(1.0)}, nn.MLP, PARTS["MLP"], PARTS["MLP"].parameters,
])
def test_optimisers_take_parameters_in_an_order(params):
    with pytest.raises(TypeError, match=r"^SGD: params must be a list of Values, not .*; pass mod"):
        optim.SGD(params, 0.1)


def test_a_step_refuses_a_value_that_was_assigned_to_data():
    w = Value(1.0, "w")
    optimizer = optim.SGD([w], 0.1)
    w.data = w - 0.1
    with pytest.raises(TypeError, match="the data of w must be a number, not Value"):
        optimizer.step()
