"""Numbers of other kinds, such as numpy's float32 and int8, count as the same float in every
function, although their own arithmetic has fewer digits, or wraps around."""

import math as std
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers import bits

from tinygrad_edu import Value, data, fit, grad, jacobian, jit, math, nn, optim, value_and_grad
from tinygrad_edu.errors import plain
from tinygrad_edu.examples import gpt
from tinygrad_edu.testing import gradcheck

KINDS = {
    "float16": [np.float16(x) for x in (-1.1485779, 0.3, 0.7)],
    "float32": [np.float32(x) for x in (-1.1485779, 0.3, 0.7)],
    "longdouble": [np.longdouble(x) / 3 for x in (-1, 2, 5)],
    "int8": [np.int8(x) for x in (-128, 100, 127)],
    "uint8": [np.uint8(x) for x in (3, 200, 255)],
    "int64": [np.int64(x) for x in (2**53 + 1, -3, 2**40)],
    "bool": [np.bool_(x) for x in (True, False, True)],
    "int": [2**53 + 1, -3, 2**60 + 1],
    "Fraction": [Fraction(-1, 3), Fraction(1, 7), Fraction(2, 3)],
    "Decimal": [Decimal("-0.1"), Decimal("0.3"), Decimal("0.7")],
}
FUNCTIONS = {
    "logsumexp": math.logsumexp,
    "softmax": math.softmax,
    "log_softmax": math.log_softmax,
    "total": lambda xs: math.total([0.1, *xs]),
    "fsum": math.fsum,
    "prod": lambda xs: math.prod(xs, start=0.1),
    "prod from": lambda xs: math.prod([0.1, 0.3], start=xs[0]),
    "sumprod": lambda xs: math.sumprod(xs, [0.1, *xs[1:]]),
    "dist": lambda xs: math.dist(xs, [0.1, 0.2, 0.3]),
    "hypot": lambda xs: math.hypot(*xs),
    "norm": math.norm,
    "degrees": lambda xs: list(map(math.degrees, xs)),
    "radians": lambda xs: list(map(math.radians, xs)),
    "log": lambda xs: math.log(abs(plain(xs[0])) + 2, abs(plain(xs[1])) + 3),
    "modf": lambda xs: math.modf(xs[0]),
    "clip": lambda xs: math.clip(xs[0], xs[1], xs[2]),
    "where": lambda xs: math.where(xs[0], xs[1], xs[2]),
    "maximum": lambda xs: math.maximum(xs[0], xs[1]),
    "take": lambda xs: math.take(xs, 1) * 0.3,
    "mse": lambda xs: nn.mse(xs[0], xs[1]),
    "mse of lists": lambda xs: nn.mse(xs[:2], xs[1:]),
    "cross_entropy": lambda xs: nn.cross_entropy(xs, 2),
    "binary_cross_entropy": lambda xs: nn.binary_cross_entropy(xs[1], 0.4),
    "hinge": lambda xs: nn.hinge(xs[0], 1),
    "hinge of a target": lambda xs: nn.hinge(0.3, xs[0] / xs[0] if xs[0] else 1),
    "l1": nn.l1,
    "l2": nn.l2,
    "accuracy": lambda xs: nn.accuracy(xs, 2),
    "Dropout": lambda xs: nn.Dropout(0.3, rng=1)(xs),
    "Dropout of one": lambda xs: [nn.Dropout(0.3, rng=1)(x) for x in xs],
    "RMSNorm": lambda xs: nn.RMSNorm(3, gain=False)(xs),
    "Linear": lambda xs: nn.Linear(3, 2, rng=1)(xs),
    "MLP": lambda xs: nn.MLP(3, [2, 1], rng=1)(xs),
    "attention": lambda xs: nn.CausalSelfAttention(3, 1, rng=1)([xs, xs])[1],
}


def numbers_of(result):
    """Returns a list of the numbers in a result."""
    if isinstance(result, (list, tuple)):
        return [number for part in result for number in numbers_of(part)]
    return [result.data if isinstance(result, Value) else float(result)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_number_of_any_kind_counts_as_the_same_float(name, kind):
    f = FUNCTIONS[name]
    numbers = KINDS[kind]
    floats = list(map(float, numbers))
    with np.errstate(all="raise"):
        for place in (None, 0, 1, 2):  # of a Value among them
            given, expected = [
                [Value(x) if i == place else x for i, x in enumerate(xs)]
                for xs in (numbers, floats)
            ]
            found = numbers_of(f(given))
            assert list(map(bits, found)) == list(map(bits, numbers_of(f(expected)))), place


def test_logsumexp_of_a_float32_has_all_digits():
    x = np.float32(-1.1485779)
    y = math.logsumexp([x, Value(0.3), 0.7])
    exact = std.log(std.exp(float(x)) + std.exp(0.3) + std.exp(0.7))
    assert abs(y.data - exact) <= 2 * std.ulp(exact)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble, Fraction])
@pytest.mark.parametrize("logit", [0.3, Value(0.3), np.float32(0.3)], ids=repr)
def test_a_target_of_any_kind_counts_as_the_same_float(kind, logit):
    t = kind(0.7)
    losses = [nn.binary_cross_entropy(logit, t), nn.binary_cross_entropy(logit, float(t))]
    assert bits(float(losses[0])) == bits(float(losses[1]))
    t = kind(-1)
    assert bits(float(nn.hinge(logit, t))) == bits(float(nn.hinge(plain(logit), -1.0)))


def test_whole_numbers_do_not_wrap_around():
    assert math.dist(np.uint8([1, 2]), np.uint8([4, 6])) == 5.0
    assert math.hypot(np.int8(-128)) == 128.0
    assert math.prod(np.int8([100, 100])) == 10000
    assert math.total(np.uint8([200, 100])) == 300
    assert nn.mse(np.uint8(1), np.uint8(3)) == 4.0
    assert math.total([np.bool_(True), np.bool_(True)]) == 2


def test_whole_numbers_of_python_stay_exact():
    assert math.prod([2**53 + 1, 3]) == 3 * (2**53 + 1)
    assert type(math.prod([2, 3])) is type(math.total([2, 3])) is int


@pytest.mark.parametrize(("x", "expected"), [
    (np.float32(0.1), float(np.float32(0.1))), (np.float64(0.1), 0.1), (np.longdouble(2), 2.0),
    (np.int8(-128), -128.0), (np.bool_(True), 1.0),
    (Fraction(1, 4), 0.25), (Decimal("0.1"), 0.1), (True, True), (3, 3), (0.5, 0.5),
])
def test_plain_gives_numbers_of_python(x, expected):
    assert plain(x) == expected
    assert type(plain(x)) is type(expected)


@pytest.mark.parametrize(("x", "expected"), [
    (np.int8(-128), -128), (np.uint64(2**64 - 1), 2**64 - 1), (np.bool_(True), 1),
    (np.float32(0.5), 0.5),
])
def test_whole_numbers_of_numpy_can_become_ints(x, expected):
    assert plain(x, whole=True) == expected
    assert type(plain(x, whole=True)) is type(expected)


@pytest.mark.parametrize("x", [None, "1", [1.0], 1j, np.complex64(1), np.zeros(2), Value(1.0)],
                         ids=repr)
def test_plain_leaves_other_objects_alone(x):
    assert plain(x) is x


# ---- where data enter


def product_model(w):
    """Returns a model that multiplies the numbers of a sample with each other."""
    return lambda x: w * (x[0] * x[1]) + x[1] * x[1]


X = [[0.1, 0.7], [0.3, -1.1485779], [2.3, 0.9]]
T = [0.1, 1.3, -0.7]


@pytest.mark.parametrize("shape", [
    lambda X: np.array(X, np.float32), lambda X: [np.array(x, np.float32) for x in X],
    lambda X: [list(map(np.float32, x)) for x in X],
    lambda X: [tuple(map(np.float32, x)) for x in X],
    lambda X: np.array(X, np.float16).astype(np.float32),
], ids=["array", "rows", "lists", "tuples", "halves"])
@pytest.mark.parametrize("engine", ["eager", "jit"])
def test_fit_computes_with_the_digits_of_floats(shape, engine):
    samples = shape(X)
    targets = np.array(T, np.float32)

    def losses(X, y):
        w = Value(0.5)
        seen = []

        def error(p, t):
            seen.append((p.data - t) ** 2)
            return seen[-1]

        history = fit(product_model(w), lambda p, t: (p - t * t) ** 2, X, y, metrics=[error],
                      optimizer=optim.SGD([w], 0.01), epochs=3, rng=0, engine=engine)
        return history.loss, w.data, history.metrics["error"]

    floats = [list(map(float, x)) for x in samples]
    assert losses(samples, targets) == losses(floats, list(map(float, targets)))


def test_fit_on_small_whole_numbers_does_not_wrap_around():
    w = Value(1.0)
    X = np.uint8([[200, 100], [3, 250]])
    history = fit(lambda x: w * (x[0] * x[1]), nn.mse, X, np.uint8([1, 255]),
                  optimizer=optim.SGD([w], 0.0), epochs=1)
    assert history.loss == [((20000 - 1) ** 2 + (750 - 255) ** 2) / 2]


def test_fit_gives_samples_of_whole_numbers_that_index_a_table():
    table = [[Value(0.5)], [Value(1.5)]]
    seen = []

    def model(x):
        seen.append(type(x))
        return table[x][0]

    fit(model, lambda p, t: (p - [1.0, 2.0][t]) ** 2, np.int32([0, 1, 1]), np.int8([1, 0, 1]),
        optimizer=optim.SGD([row[0] for row in table], 0.1), epochs=1)
    assert set(seen) == {int}


def test_derivatives_of_functions_take_numbers_of_any_kind():
    x = np.float32(0.1)
    f = lambda x, y: x * x * y  # noqa: E731
    assert grad(f)(x, np.float32(0.7)) == grad(f)(float(x), float(np.float32(0.7)))
    squares = lambda x, y: x * (y * y)  # noqa: E731
    exact = float(np.float32(0.7)) ** 2
    assert grad(squares)(x, np.float32(0.7)) == exact == jit(squares).value_and_grad(
        x, np.float32(0.7))[1][0]
    assert jacobian(lambda xs: [xs[0] * xs[1]])(np.float32([0.1, 0.7])).tolist() == [
        [float(np.float32(0.7)), float(x)]
    ]
    assert gradcheck(lambda x, y: math.sin(x) * y * y, list(np.float32([0.1, 0.7])))
    assert gradcheck(lambda x: math.exp(x) * x, np.float32(0.7))


# ---- arguments that are single numbers


def test_counts_and_rates_take_numbers_of_numpy():
    assert nn.Dropout(np.float32(0.5)).p == 0.5
    assert type(nn.Dropout(np.float32(0.5)).p) is float
    rate = optim.schedules.warmup(np.float32(0.5), np.int64(200))
    assert rate(np.int8(127)) == rate(127)
    assert optim.schedules.step_decay(0.5, every=np.uint8(2))(np.uint8(255)) == 0.5 * 0.1**127
    assert data.split(X, T, np.float32(0.25), rng=0) == data.split(X, T, 0.25, rng=0)
    vocabulary = gpt.Vocabulary(["ab"])
    model = gpt.GPT(3, width=4, heads=1, layers=1, block=4, rng=0)
    texts = [gpt.sample(model, vocabulary, kind(0.5), rng=1) for kind in (np.float32, float)]
    assert texts[0] == texts[1]
    w = Value(1.0)
    w.grad = 3.0
    assert optim.clip_grad_norm([w], np.float32(0.1)) == 3.0
    assert w.grad == float(np.float32(0.1))


LETTERS = gpt.Vocabulary(["ab"])
MODEL = gpt.GPT(3, width=4, heads=1, layers=1, block=4, rng=0)


@pytest.mark.parametrize(("act", "message"), [
    (lambda: nn.Dropout("0.5"), "Dropout: p must be a real number, not str"),
    (lambda: data.split(X, T, "0.2"), "split: test must be a real number, not str"),
    (lambda: data.split(X, T, None), "split: test must be a real number, not NoneType"),
    (lambda: gpt.sample(MODEL, LETTERS, "hot"), "sample: temperature must be a real number, not"),
    (lambda: gradcheck(math.sin, 1.0, rtol="1"), "gradcheck: rtol must be a real number, not str"),
])
def test_text_is_not_a_number(act, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        act()


@pytest.mark.parametrize(("act", "message"), [
    (lambda: nn.Dropout(1), "Dropout: p must be a probability >= 0 and < 1, not 1.0; usual: 0.5"),
    (lambda: nn.Dropout(std.nan), "Dropout: p must be a probability"),
    (lambda: data.split(X, T, 0), "split: test must be a fraction of the samples, > 0 and < 1"),
    (lambda: data.split(X, T, np.int64(1)), "split: test must be a fraction of the samples"),
    (lambda: gpt.sample(MODEL, LETTERS, np.float32(0)), "sample: temperature must be a finite"),
])
def test_numbers_out_of_range_are_named(act, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        act()


# ---- what a differentiated function takes beside the argument

SHORT = {
    "a number": (np.int8(100), lambda k: k * k),
    "a list": ([np.int8(100), 2.0], lambda k: k[0] * k[0]),
    "a tuple of dicts": (({"a": np.int8(100)},), lambda k: k[0]["a"] * k[0]["a"]),
    "an array": (np.array([100], np.int8), lambda k: k[0] * k[0]),
    "a float16": (np.float16(1000.0), lambda k: k * k / 100.0),
    "an array of float32": (np.array([[100.0]], np.float32), lambda k: k[0][0] * k[0][0]),
}


@pytest.mark.parametrize("name", SHORT)
def test_short_numbers_beside_the_argument_have_all_digits(name):
    k, square = SHORT[name]

    def f(x, k=0.0):
        return x * square(k)

    for call in (grad(f), lambda x, k: value_and_grad(f)(x, k)[1], lambda x, k: grad(jit(f))(x, k),
                 lambda x, k: jit(f)(Value(x), k) / x, grad(lambda x, k: jit(f)(1.0, k) * x)):
        assert float(call(2.0, k)) == 10_000.0
        assert float(call(2.0, k=k)) == 10_000.0


def test_what_a_function_fills_stays_the_same_object():
    ring = {"found": [Value(1.0)]}
    ring["itself"] = ring

    def f(x, log, cache, ring):
        log.append(x)
        cache["x"] = ring["found"][0]
        return x * x

    log = ["begin"]
    cache = {}
    assert grad(f)(3.0, log, cache=cache, ring=ring) == 6.0
    assert len(log) == 2
    assert cache["x"] is ring["found"][0]
