"""Programs that were seen before: what is shared, and what is not."""

import random
from functools import partial
from operator import mul
from pathlib import Path

import pytest
from helpers import bits, in_threads, replaced, run_python

from tinygrad_edu import Value, define, fit, jit, math, nn, optim
from tinygrad_edu.jit.running import store

X = [[RNG.uniform(-1, 1), RNG.uniform(-1, 1)] for RNG in [random.Random(0)] for _ in range(12)]
Y = [1.0 if a > b else -1.0 for a, b in X]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Makes an empty cache, on disk and in memory."""
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "_memory", type(store._memory)())
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def trained(seed, sizes=(8, 8, 1), engine="jit"):
    """Returns the bits of losses and parameters of a new model."""
    model = nn.MLP(2, [*sizes], rng=seed)
    history = fit(
        model, nn.hinge, X, Y, optimizer=optim.Adam(model.parameters(), 0.01), epochs=5,
        penalty=lambda: 1e-3 * nn.l2(model.parameters()), engine=engine, rng=0,
    )
    return [*map(bits, history.loss)], [bits(p.data) for p in model.parameters()]


def test_models_of_one_shape_share_their_programs(folder):
    for seed in (1, 2, 3):
        assert trained(seed) == trained(seed, engine="eager")
        if seed == 1:
            written = names(folder)
    assert names(folder) == written
    trained(1, (8, 7, 1))
    assert len(names(folder)) > len(written)


CODE = """
import sys
sys.path.insert(0, sys.argv[1])
import test_recall
print(test_recall.trained(4))
"""


def test_another_process_reads_them_from_disk(folder):
    written = []
    for _ in range(2):
        done = run_python(CODE, str(Path(__file__).parent))
        assert (done.returncode, done.stdout) == (0, f"{trained(4)}\n"), done.stderr
        written.append(names(folder))
    assert written[0] == written[1] != []


def test_a_damaged_entry_is_made_again(folder, monkeypatch):
    wanted = trained(5)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(store, "_memory", type(store._memory)())
    assert trained(5) == wanted


def test_what_is_in_memory_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(store, "MAX_MEMORY_BYTES", 1)
    assert trained(6) == trained(6, engine="eager")
    assert len(store._memory) == 0


LONG = 60  # nodes, with which a program is kept on disk


def chain(x, constant):
    for _ in range(LONG):
        x = math.sin(x) * constant
    return x


@pytest.mark.parametrize(("first", "second"), [(0.0, -0.0), (1.0, 1.0 + 2**-52), (1, 2)])
def test_programs_with_other_constants_are_others(first, second, folder):
    for constant in (first, second, first):
        value, slope = jit(lambda x: chain(x, constant)).value_and_grad(0.7)  # noqa: B023
        x = Value(0.7)
        y = chain(x, constant)
        y.backward()
        assert (bits(value), bits(slope)) == (bits(y.data), bits(x.grad))


def test_texts_have_the_labels_of_their_own_function(folder):
    def named(label):
        w = Value(2.0, label)
        return jit(lambda x: w * chain(x, 0.5)).show(1.0, gradient=True)

    assert "inputs  x, first\n" in named("first")
    assert "inputs  x, second\n" in named("second")


def test_a_row_that_was_changed_is_compiled_anew(folder):
    f = lambda x: chain(x, 1.0)  # noqa: E731
    right = jit(f).value_and_grad(0.7)
    with replaced(math.cos, "forward", lambda x: 0.25), \
            replaced(math.sin, "partials", (lambda x, o: 2.0,)):
        assert jit(f).value_and_grad(0.7)[1] == 2.0**LONG
    assert jit(f).value_and_grad(0.7) == right
    kept = math.sin.forward
    define("sin", lambda x: x / 2, lambda x, o: 0.5, replace=True)
    assert jit(f).value_and_grad(0.7) == (0.7 / 2**LONG, 0.5**LONG)
    assert kept is math.sin.forward


def first(x, *_):
    return x


def applied(row, x):
    return row(chain(x, 1.0))


def test_rows_of_the_users_are_those_that_have_the_name_now(folder):
    plain = jit(lambda x: chain(x, 1.0))(0.7)
    for factor in (2.0, 3.0):
        forward, rule = partial(mul, factor), partial(first, factor)
        row = define("stretched", forward, rule, replace=factor > 2.0)
        assert jit(partial(applied, row)).value_and_grad(0.7)[0] == factor * plain


def test_nothing_is_kept_on_disk_if_the_package_has_changed_since_it_was_loaded(
    folder, monkeypatch
):
    f = lambda x: chain(x, 0.25)  # noqa: E731
    monkeypatch.setattr(store, "LOADED_AT", 0)
    store._version.cache_clear()
    try:
        first = jit(f).value_and_grad(0.7)
        assert (names(folder), jit(f).value_and_grad(0.7)) == ([], first)
    finally:
        store._version.cache_clear()
    monkeypatch.undo()
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(folder))
    assert jit(f).value_and_grad(0.7) == first
    assert names(folder) != []


def test_threads_recall_at_the_same_time(folder, monkeypatch):
    monkeypatch.setattr(store, "MAX_MEMORY_BYTES", 20_000)
    wrong = []

    def work(k):
        for i in range(300):
            if store.recalled([k, i], lambda: ([k, i], []), False)[0] != [k, i]:  # noqa: B023
                wrong.append((k, i))

    in_threads(work, 4)
    assert wrong == []


def test_random_programs_have_the_same_bits_the_second_time(folder):
    rng = random.Random(0)
    for _ in range(40):
        a, b = rng.uniform(-2, 2), rng.uniform(-2, 2)
        functions = [rng.choice([math.sin, math.tanh, math.exp, math.softplus, abs])
                     for _ in range(8)]

        def f(x, y):
            for g in functions:  # noqa: B023
                x, y = g(x * a), x * y + b  # noqa: B023
            return x + y

        first = jit(f).value_and_grad(0.3, -0.4)
        assert repr(jit(f).value_and_grad(0.3, -0.4)) == repr(first)
        leaves = Value(0.3), Value(-0.4)
        f(*leaves).backward()
        assert [*map(bits, first[1])] == [bits(leaf.grad) for leaf in leaves]
