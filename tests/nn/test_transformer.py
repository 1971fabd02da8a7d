"""Linear, Embedding, RMSNorm and causal self-attention."""

import copy
import math as std
import pickle
import random

import numpy as np
import pytest
from helpers import bits

from tinygrad_edu import Value, math, nn
from tinygrad_edu.testing import gradcheck


def values(numbers):
    return [[Value(x) for x in row] for row in numbers]


def random_rows(count, width, seed=0):
    rng = random.Random(seed)
    return [[rng.gauss(0, 1) for _ in range(width)] for _ in range(count)]


def data_of(rows):
    return [[float(x) for x in row] for row in rows]


# ---- Linear --------------------------------------------------------------------------------------


def test_linear_is_a_matrix_times_a_row_plus_biases():
    layer = nn.Linear(3, 2, rng=0)
    layer.weight = values([[1, 2, 3], [-1, 0, 0.5]])
    layer.bias[0].data = 10.0
    assert [y.data for y in layer([1.0, 10.0, 100.0])] == [10 + 321.0, 49.0]


def test_linear_without_bias_has_none():
    layer = nn.Linear(3, 2, bias=False, rng=0)
    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == [
        f"weight.{i}.{j}" for i in range(2) for j in range(3)
    ]
    assert [y.data for y in layer([0.0, 0.0, 0.0])] == [0.0, 0.0]


def test_linear_with_one_output_returns_a_list():
    (y,) = nn.Linear(2, 1, rng=0)([1.0, 2.0])
    assert isinstance(y, Value)


def test_linear_draws_one_list_of_weights_after_the_other():
    counter, fans = iter(range(6)), []

    def count(fan_in, fan_out, rng):
        fans.append((fan_in, fan_out))
        return float(next(counter))

    layer = nn.Linear(3, 2, init=count)
    assert data_of(layer.weight) == [[0, 1, 2], [3, 4, 5]]
    assert set(fans) == {(3, 2)}
    assert [b.data for b in layer.bias] == [0.0, 0.0]


def test_linear_default_initialisation_preserves_the_scale():
    layer = nn.Linear(50, 50, rng=1)
    limit = std.sqrt(6 / 100)
    weights = [w.data for row in layer.weight for w in row]
    assert max(map(abs, weights)) <= limit
    assert max(weights) > 0.9 * limit
    assert min(weights) < -0.9 * limit


# ---- Embedding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [1, 1.0, Value(1.0)], ids=["int", "float", "Value"])
def test_an_embedding_gives_the_parameters_of_the_row(index):
    table = nn.Embedding(3, 2, rng=0)
    assert all(x is parameter for x, parameter in zip(table(index), table.weight[1], strict=True))
    (table(index)[0] * 3).backward()
    assert [p.grad for p in table.parameters()] == [0, 0, 3, 0, 0, 0]


def test_an_embedding_draws_one_row_after_the_other():
    counter, fans = iter(range(6)), []

    def count(fan_in, fan_out, rng):
        fans.append((fan_in, fan_out))
        return float(next(counter))

    assert data_of(nn.Embedding(3, 2, init=count).weight) == [[0, 1], [2, 3], [4, 5]]
    assert set(fans) == {(3, 2)}


@pytest.mark.parametrize("index", [3, -1, 0.5, std.nan, std.inf])
def test_embedding_rejects_a_row_that_does_not_exist(index):
    with pytest.raises(IndexError) as error:
        nn.Embedding(3, 2, rng=0)(index)
    wanted = "the index of a row, a whole number from 0 to 2"
    assert str(error.value) == f"Embedding: x must be {wanted}, not {index!r}"


# ---- RMSNorm -------------------------------------------------------------------------------------


def test_rmsnorm_divides_by_the_root_mean_square():
    scaled = nn.RMSNorm(2, eps=0.0, gain=False)([Value(3.0), Value(4.0)])
    assert [y.data for y in scaled] == pytest.approx(
        [3 / std.sqrt(12.5), 4 / std.sqrt(12.5)], rel=1e-15
    )


def test_rmsnorm_adds_eps_to_the_mean_square():
    (y,) = nn.RMSNorm(1, eps=21.0, gain=False)([Value(2.0)])
    assert y.data == pytest.approx(2 / 5, rel=1e-15)
    zeros = [Value(0.0), Value(0.0)]
    scaled = nn.RMSNorm(2, gain=False)(zeros)
    assert [y.data for y in scaled] == [0.0, 0.0]
    scaled[0].backward()
    assert [x.grad for x in zeros] == pytest.approx([1 / std.sqrt(1e-5), 0.0], rel=1e-15)


def test_rmsnorm_gains_start_at_1():
    norm, plain = nn.RMSNorm(2), nn.RMSNorm(2, gain=False)
    assert (len(norm.parameters()), plain.parameters(), plain.gain) == (2, [], None)
    x = [Value(3.0), Value(4.0)]
    assert [y.data for y in norm(x)] == [y.data for y in plain(x)]
    norm.gain[1].data = -2.0
    assert norm(x)[1].data == -2 * plain(x)[1].data


# ---- attention -----------------------------------------------------------------------------------


def attention_with_a_mask(module, x):
    """Computes all positions at once with matrices: softmax(Q K^T / sqrt(d), masked) V, head by
    head."""
    def linear(layer, rows):
        return rows @ np.array(data_of(layer.weight)).T + (
            0 if layer.bias is None else np.array([b.data for b in layer.bias])
        )

    x = np.array(x)
    q, k, v = (linear(layer, x) for layer in (module.query, module.key, module.value))
    future, size = np.triu(np.full((len(x), len(x)), -np.inf), 1), module.width // module.heads
    results = []
    for head in range(module.heads):
        part = slice(head * size, (head + 1) * size)
        weights = np.exp(q[:, part] @ k[:, part].T / np.sqrt(size) + future)
        results.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, part])
    return linear(module.output, np.hstack(results))


@pytest.mark.parametrize(("width", "heads", "bias"), [
    (4, 1, False), (6, 3, True), (8, 2, True), (3, 3, False), (1, 1, True),
])
def test_attention_equals_the_formula_on_matrices(width, heads, bias):
    attention = nn.CausalSelfAttention(width, heads, bias=bias, rng=width)
    rng = random.Random(heads)
    for parameter in attention.parameters():
        parameter.data = rng.gauss(0, 1)
    x = random_rows(5, width)
    assert np.array(data_of(attention(x))) == pytest.approx(
        attention_with_a_mask(attention, x), rel=1e-11, abs=1e-12
    )


def test_the_first_position_sees_only_itself():
    attention, (x,) = nn.CausalSelfAttention(4, 2, rng=0), random_rows(1, 4)
    assert data_of(attention([x])) == data_of([attention.output(attention.value(x))])


def test_no_position_sees_a_later_one():
    attention, rows = nn.CausalSelfAttention(4, 2, rng=0), values(random_rows(3, 4))
    before = data_of(attention(rows))
    after = attention([*rows[:2], [Value(9.0)] * 4])
    assert data_of(after)[:2] == before[:2]
    assert data_of(after)[2] != before[2]
    math.total(attention(rows)[1]).backward()
    assert all(x.grad != 0 for row in rows[:2] for x in row)
    assert all(x.grad == 0 for x in rows[2])


def test_a_sequence_can_be_continued_position_by_position():
    attention, rows, past = nn.CausalSelfAttention(4, 2, rng=0), random_rows(4, 4), []
    one_by_one = [attention.attend(row, past) for row in rows]
    assert len(past) == 4
    for mine, whole in zip(one_by_one, attention(rows), strict=True):
        assert [bits(x.data) for x in mine] == [bits(x.data) for x in whole]


def test_attention_of_no_positions_is_empty():
    assert nn.CausalSelfAttention(4, 2, rng=0)([]) == []


def test_attention_draws_query_key_value_and_output_in_this_order():
    counter = iter(range(16))
    attention = nn.CausalSelfAttention(
        2, 1, bias=False, init=lambda fan_in, fan_out, rng: float(next(counter))
    )
    for i, part in enumerate((attention.query, attention.key, attention.value, attention.output)):
        assert data_of(part.weight) == [[4 * i, 4 * i + 1], [4 * i + 2, 4 * i + 3]]


# ---- all of them ---------------------------------------------------------------------------------


class Mixed(nn.Module):
    """A model that has every module once, with all options."""

    def __init__(self):
        self.embedding = nn.Embedding(3, 4, rng=1)
        self.norm = nn.RMSNorm(4)
        self.attention = nn.CausalSelfAttention(4, 2, rng=2)
        self.head = nn.Linear(4, 2, rng=3)

    def __call__(self, x):
        rows = self.attention([self.norm(self.embedding(i)) for i in x])
        return math.total(math.tanh(y) for row in rows for y in self.head(row))


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_agree_with_differences(order):
    model = Mixed()
    parameters = model.parameters()
    assert len(parameters) == 12 + 4 + 4 * 20 + 10
    if order == 2:  # rows and columns of the matrix of second derivatives: some of every part
        parameters = [
            model.embedding.weight[0][1],
            model.norm.gain[2],
            model.attention.query.weight[3][0],
            model.attention.key.bias[1],
            model.attention.value.weight[2][2],
            model.head.weight[1][1],
        ]
    assert gradcheck(lambda: model([0, 2, 0]), parameters=parameters, order=order)


def test_copies_and_pickles_compute_the_same():
    model = Mixed()
    expected = bits(model([2, 1]).data)
    assert bits(copy.deepcopy(model)([2, 1]).data) == expected
    assert bits(pickle.loads(pickle.dumps(model))([2, 1]).data) == expected


def test_checkpoints_hold_matrices(tmp_path):
    model, other = Mixed(), Mixed()
    for parameter in other.parameters():
        parameter.data = 0.0
    nn.load(other, nn.save(model, tmp_path / "model.json"))
    assert other.state_dict() == model.state_dict()


def test_modules_print_as_the_calls_that_make_them():
    assert repr(nn.Linear(2, 3, bias=False)) == "Linear(2, 3, bias=False)"
    assert repr(nn.Embedding(2, 3)) == "Embedding(2, 3)"
    assert repr(nn.RMSNorm(2)) == "RMSNorm(2, eps=1e-05, gain=True)"
    assert repr(nn.CausalSelfAttention(4, 2)) == "CausalSelfAttention(4, heads=2, bias=True)"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Linear(0, 2), "Linear: nin must be a whole number >= 1, not 0"),
    (lambda: nn.Linear(2, 2, init="normal"), "^Linear: init must be 'uniform', .*, not 'normal'"),
    (lambda: nn.Embedding(0, 2), "Embedding: count must be a whole number >= 1, not 0"),
    (lambda: nn.Embedding(2, -1), "Embedding: width must be a whole number >= 1, not -1"),
    (lambda: nn.RMSNorm(0), "RMSNorm: width must be a whole number >= 1, not 0"),
    (lambda: nn.RMSNorm(2, eps=-1.0), r"RMSNorm: eps must be a finite number >= 0, not -1\.0"),
    (lambda: nn.RMSNorm(2, eps=std.nan), "RMSNorm: eps must be a finite number >= 0, not nan"),
    (lambda: nn.CausalSelfAttention(0, 1), "CausalSelfAttention: width must be .* not 0"),
    (lambda: nn.CausalSelfAttention(4, 0), "CausalSelfAttention: heads must be .* not 0"),
    (lambda: nn.CausalSelfAttention(4, 3), "heads must divide the width 4, which 3 does not; "
                                           "choose one of 1, 2, 4$"),
])
def test_invalid_sizes_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sizes_must_be_whole_numbers():
    with pytest.raises(TypeError, match=r"Linear: nout must be a whole number, not float \(2\.0\)"):
        nn.Linear(2, 2.0)


@pytest.mark.parametrize("part", [nn.Linear(3, 2), nn.RMSNorm(3)], ids=["Linear", "RMSNorm"])
def test_rows_of_another_width_are_rejected(part):
    with pytest.raises(
        ValueError, match=r"^\w+: x must be a list of 3 numbers or Values, not of 2 \(\[1\.0,"
    ):
        part([1.0, 2.0])
    with pytest.raises(TypeError, match=r"x must be a list of 3 numbers or Values, not Value \("):
        part(Value(1.0))


def test_attention_rejects_rows_of_another_width_and_stores_nothing():
    past = []
    with pytest.raises(ValueError, match="x must be a list of 4 numbers or Values, not of 3"):
        nn.CausalSelfAttention(4, 2).attend([1.0, 2.0, 3.0], past)
    assert past == []
