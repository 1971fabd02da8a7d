"""Sizes and counts that are too large are refused at once, with a size that works."""

import re

import pytest
from helpers import Within

from tinygrad_edu import Value, data, fit, jit, nn, optim, viz
from tinygrad_edu.errors import MOST, check_int, check_size, short_repr
from tinygrad_edu.examples import gpt
from tinygrad_edu.testing import strategies

X, y = data.moons(10, rng=1)
MODEL = nn.MLP(2, [2, 1], rng=1)
LETTERS = gpt.Vocabulary(["ab"])
SIZED = {
    **{f"data.{name}": getattr(data, name)
       for name in ("moons", "circles", "xor", "spirals", "blobs", "line")},
    "blobs: centers": lambda n: data.blobs(9, centers=n),
    "spirals: classes": lambda n: data.spirals(9, classes=n),
    "Neuron": nn.Neuron,
    "Layer: nin": lambda n: nn.Layer(n, 1),
    "Layer: nout": lambda n: nn.Layer(1, n),
    "MLP: nin": lambda n: nn.MLP(n, [1]),
    "MLP: nouts": lambda n: nn.MLP(1, [1, n]),
    "Linear: nin": lambda n: nn.Linear(n, 1),
    "Linear: nout": lambda n: nn.Linear(1, n),
    "Embedding: count": lambda n: nn.Embedding(n, 1),
    "Embedding: width": lambda n: nn.Embedding(1, n),
    "RMSNorm": nn.RMSNorm,
    "CausalSelfAttention: width": lambda n: nn.CausalSelfAttention(n, 1),
    "CausalSelfAttention: heads": lambda n: nn.CausalSelfAttention(4, n),
    "GPT: vocabulary": gpt.GPT,
    "GPT: width": lambda n: gpt.GPT(3, width=n),
    "GPT: heads": lambda n: gpt.GPT(3, heads=n),
    "GPT: layers": lambda n: gpt.GPT(3, layers=n),
    "GPT: block": lambda n: gpt.GPT(3, block=n),
    "sequences": lambda n: gpt.sequences(["ab"], LETTERS, n),
    "gpt.train": lambda n: gpt.train(gpt.GPT(3), LETTERS, ["ab"], n),
    "fit: epochs": lambda n: fit(
        MODEL, nn.hinge, X, y, optimizer=optim.SGD(MODEL.parameters(), 0.1), epochs=n
    ),
    "batch: threads": lambda n: jit(lambda x: x * x).batch([1.0, 2.0], threads=n),
    "activation_histograms": lambda n: viz.plots.activation_histograms(MODEL, X, bins=n),
    "decision_boundary": lambda n: viz.plots.decision_boundary(MODEL, X, y, resolution=n),
    "expressions: size": lambda n: strategies.expressions(size=(1, n)),
    "expressions: variables": lambda n: strategies.expressions(variables=n),
    "scalar_functions: arity": strategies.scalar_functions,
}


@pytest.mark.parametrize("n", [99_999_999_999, 10**31, 10**5000], ids=["11", "32", "5001"])
@pytest.mark.parametrize("name", SIZED)
def test_sizes_without_an_end_are_refused_at_once_with_a_bound(name, n):
    with Within(2), pytest.raises(ValueError, match=r" (<=|to) [\d,]+, not ") as error:
        SIZED[name](n)
    assert f"not {short_repr(n)}" in str(error.value)
    bound = re.search(r"(?:<=|to) ([\d,]+), not", str(error.value))[1]
    assert 1000 <= int(bound.replace(",", "")) <= MOST


@pytest.mark.parametrize("make", [
    lambda n: nn.Layer(n, n), lambda n: nn.MLP(2, [n, n, 1]),
    lambda n: nn.MLP(1000, [n // 1000] * 12),
    lambda n: nn.Linear(n, n), lambda n: nn.Embedding(n, n), lambda n: gpt.GPT(3, width=n, heads=1),
    lambda n: nn.CausalSelfAttention(n, 1), lambda n: gpt.GPT(3, layers=n),
])
def test_models_of_too_many_parameters_are_refused_before_they_are_made(make):
    before = Value(0.0).serial
    with pytest.raises(ValueError, match=r"would make .* parameters; choose sizes that make at mo"):
        make(1_000_000)
    assert Value(0.0).serial == before + 1


def test_the_bound_itself_works():
    assert check_int(MOST, "n", 1, most=MOST) == MOST
    check_size(MOST, "a model")
    for refused in (lambda: check_int(MOST + 1, "n", most=MOST), lambda: check_size(MOST + 1, "n")):
        with pytest.raises(ValueError, match=r"10,?000,?001"):
            refused()
    with pytest.raises(ValueError, match="n must be a whole number >= 1, not -1"):
        check_int(-1, "n", 1, most=MOST)


def test_arguments_that_cost_nothing_may_be_large():
    n = 10**31
    optimizer = optim.SGD(MODEL.parameters(), 0.1)
    history = fit(MODEL, nn.hinge, X, y, optimizer=optimizer, epochs=1, batch_size=n,
                  record_every=n)
    assert len(history) == 1
    assert len([*data.batches(X, y, size=n)]) == 1
    assert data.moons(4, rng=n) == data.moons(4, rng=n)
    assert (Value(2.0) ** n).data == float("inf")
