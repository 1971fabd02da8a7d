"""Every data set of `tinygrad_edu.data`, found by its signature.

A data set is a public function of the package, in any of its modules, that is annotated to return a
pair (X, y), which is ``tuple[..., ...]`` or a class derived from tuple such as `data.Dataset`, and
that does not itself take samples, an argument ``X``.  A data set with an argument ``rng`` is
generated, another one is read from a file.  A set of texts, such as `data.names`, is a public
function that is annotated to return ``list[str]`` and requires no argument.

Each checker is a plain function that returns complaints, a list of sentences.  The tests expect no
complaint for what the package has, and a complaint for each bug that is planted at the end.
"""

import importlib
import inspect
import math as std
import pkgutil
import random
import types
from typing import get_args, get_origin

import pytest
from helpers import inexact_if_compiled

from tinygrad_edu import data, fit, nn, optim
from tinygrad_edu.jit.traced import Traced

# ---- what there is


def functions(modules):
    """Returns the public functions that the modules themselves define, with their signatures."""
    found = {name: thing for module in modules for name, thing in vars(module).items()
             if inspect.isfunction(thing) and not name.startswith("_")
             and thing.__module__ == module.__name__}
    return {name: (thing, inspect.signature(thing, eval_str=True)) for name, thing in found.items()}


def is_pair(annotation):
    """Whether an annotation says that a function returns a pair."""
    if get_origin(annotation) is tuple:
        return len(get_args(annotation)) == 2
    return inspect.isclass(annotation) and issubclass(annotation, tuple)


def data_sets(modules):
    """Returns the data sets among the functions of modules, by name."""
    return {name: make for name, (make, signature) in functions(modules).items()
            if is_pair(signature.return_annotation) and "X" not in signature.parameters}


def text_sets(modules):
    """Returns the sets of texts among the functions of modules, by name."""
    return {name: make for name, (make, signature) in functions(modules).items()
            if signature.return_annotation == list[str]
            and all(p.default is not p.empty for p in signature.parameters.values())}


MODULES = [data, *[importlib.import_module(f"{data.__name__}.{module.name}")
                   for module in pkgutil.iter_modules(data.__path__)]]
DATA_SETS = data_sets(MODULES)
TEXT_SETS = text_sets(MODULES)
GENERATED = {name: make for name, make in DATA_SETS.items()
             if "rng" in inspect.signature(make).parameters}
each_data_set = pytest.mark.parametrize("make", DATA_SETS.values(), ids=DATA_SETS)
each_generator = pytest.mark.parametrize("make", GENERATED.values(), ids=GENERATED)


def made(make, seed=0):
    """Returns the samples of a data set, generated with a random seed or read."""
    return make(rng=seed) if "rng" in inspect.signature(make).parameters else make()


# ---- checkers


def sample_complaints(X, y):
    """Checks numbers of samples, their types and shapes, and that all numbers are finite."""
    complaints = []
    if type(X) is not list or type(y) is not list:
        complaints.append(f"X is a {type(X).__name__} and y a {type(y).__name__}, not lists")
    if len(X) != len(y) or len(X) < 2:
        complaints.append(f"{len(X)} samples and {len(y)} targets")
    if len({len(row) for row in X}) != 1 or not X[0]:
        complaints.append(f"rows of {sorted({len(row) for row in X})} numbers")
    complaints += [f"row {i} of X has {x!r}" for i, row in enumerate(X) for x in row
                   if type(x) is not float or not std.isfinite(x)]
    complaints += [f"target {i} is {target!r}" for i, target in enumerate(y)
                   if type(target) not in (int, float) or not std.isfinite(target)]
    if len({type(target) for target in y}) > 1:
        complaints.append("targets are of different types")
    if len(set(y)) < 2:
        complaints.append("all targets are equal")
    return complaints


def repeat_complaints(make):
    """Makes a data set twice, and changes the first one: the second must not change."""
    first, second = made(make), made(make)
    complaints = [] if first == second else ["made twice, the data differ"]
    before = repr(second)
    first[0][0][0] += 1.0
    first[1][0] += 1
    first[0].pop()
    if repr(second) != before:
        complaints.append("what was made twice has a list in common")
    return complaints


def text_complaints(make):
    """Makes a set of texts twice, and changes the first one: the second must not change."""
    first, second = made(make), made(make)
    complaints = []
    if type(first) is not list or not first:
        complaints.append(f"{first!r} is not a list of texts, or it is empty")
    complaints += [f"text {i} is {text!r}" for i, text in enumerate(first)
                   if type(text) is not str or not text]
    if first != second:
        complaints.append("made twice, the texts differ")
    before = list(second)
    first.append("changed")
    if second != before:
        complaints.append("what was made twice is one list")
    return complaints


def seed_complaints(make):
    """Compares random seeds, generators, and the standard module, which rng= must leave alone."""
    complaints = []
    if made(make, 7) != make(rng=random.Random(7)):
        complaints.append("the random seed 7 and random.Random(7) give different data")
    if made(make, 7)[0] == made(make, 8)[0] and made(make, 7)[1] == made(make, 8)[1]:
        complaints.append("the random seeds 7 and 8 give the same data")
    state = random.getstate()
    try:
        made(make, 7)
        if random.getstate() != state:
            complaints.append("with a random seed, the standard random module is used")
        random.seed(7)
        if make() != made(make, 7):
            complaints.append("without rng, random.seed(7) does not give the data of rng=7")
    finally:
        random.setstate(state)
    return complaints


def handling_complaints(X, y):
    """Splits the samples, and takes them in batches: every sample occurs once, with its target."""
    samples = sorted(zip(X, y, strict=True))
    xs, ys, test_xs, test_ys = data.split(X, y, test=0.25, rng=0)
    parts = sorted([*zip(xs, ys, strict=True), *zip(test_xs, test_ys, strict=True)])
    complaints = [] if parts == samples else ["split loses or changes samples"]
    if len(test_xs) != round(0.25 * len(X)):
        complaints.append(f"split puts {len(test_xs)} of {len(X)} samples aside")
    size = 7
    pairs = list(data.batches(X, y, size, rng=0))
    taken = sorted(pair for xs, ts in pairs for pair in zip(xs, ts, strict=True))
    if taken != samples:
        complaints.append("batches lose or change samples")
    if len(pairs) != -(-len(X) // size):
        complaints.append(f"{len(pairs)} batches of {size} from {len(X)} samples")
    return complaints


def task_of(y):
    """Returns the loss for the targets and the number of outputs; None if there is no such loss."""
    kinds = {type(target) for target in y}
    if kinds == {float}:
        return nn.mse, 1
    if kinds == {int} and set(y) == {-1, 1}:
        return nn.hinge, 1
    if kinds == {int} and set(y) == set(range(max(y) + 1)):
        return nn.cross_entropy, max(y) + 1
    return None


def training_complaints(X, y):
    """Trains a small network for an epoch on both engines: the losses must have the same bits."""
    task = task_of(y)
    if task is None:
        return ["targets are neither floats, nor -1 and 1, nor class indices 0, 1, 2, ..."]
    loss, outputs = task
    losses = {}
    for engine in ("eager", "jit"):
        model = nn.MLP(len(X[0]), [3, outputs], activation="tanh", rng=0)
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        try:
            history = fit(model, loss, X, y, optimizer=optimizer, epochs=1, batch_size=10,
                          engine=engine, rng=0)
        except Exception as error:
            return [f"engine {engine!r} raises {type(error).__name__}: {error}"]
        losses[engine] = history.loss
        if not history.engine.startswith(engine):
            return [f"engine {engine!r} was asked for, and {history.engine} ran"]
    if repr(losses["jit"]) != repr(losses["eager"]):
        return [f"losses: {losses['jit']} compiled, {losses['eager']} eagerly"]
    return []


# ---- every data set


def test_finder_finds_generated_and_read_data_sets():
    assert {"moons", "line", "iris"} <= DATA_SETS.keys()
    assert "iris" not in GENERATED
    assert not {"split", "batches", "names"} & DATA_SETS.keys()
    assert "names" in TEXT_SETS
    assert not DATA_SETS.keys() & TEXT_SETS.keys()


def test_finder_finds_a_data_set_that_is_added_to_a_module():
    module = types.ModuleType("added")
    exec("from tinygrad_edu.data import Dataset, iris\n"
         "def wine() -> Dataset: pass\n"
         "def waves(n: int = 9) -> tuple[list[list[float]], list[float]]: pass\n"
         "def words() -> list[str]: pass\n"
         "def lines(count: int = 9) -> list[str]: pass\n"
         "def words_of(path: str) -> list[str]: pass\n"
         "def _syllables() -> list[str]: pass\n"
         "def scaled(X: list, y: list) -> tuple[list, list]: pass\n"
         "def _private() -> Dataset: pass\n", vars(module))
    assert list(data_sets([module])) == ["wine", "waves"]
    assert list(text_sets([module])) == ["words", "lines"]


@pytest.mark.parametrize("name", functions(MODULES))
def test_function_of_data_says_what_it_returns(name):
    _, signature = functions(MODULES)[name]
    assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("name", [*DATA_SETS, *TEXT_SETS])
def test_data_set_is_exported(name):
    assert name in data.__all__
    assert getattr(data, name) is {**DATA_SETS, **TEXT_SETS}[name]


@pytest.mark.parametrize("make", TEXT_SETS.values(), ids=TEXT_SETS)
def test_set_of_texts_is_the_same_when_it_is_made_again(make):
    assert text_complaints(make) == []


@each_data_set
def test_data_set_has_finite_numbers_and_as_many_targets_as_samples(make):
    assert sample_complaints(*made(make)) == []


@each_data_set
def test_data_set_is_the_same_when_it_is_made_again(make):
    assert repeat_complaints(make) == []


@each_generator
def test_data_set_depends_on_its_random_seed_alone(make):
    assert seed_complaints(make) == []


@each_data_set
def test_data_set_is_split_and_taken_in_batches(make):
    assert handling_complaints(*made(make)) == []


@each_data_set
def test_data_set_trains_a_network_on_both_engines(make):
    assert training_complaints(*made(make)) == []


# ---- planted bugs


def damaged(damage):
    """Returns the samples of `data.moons` after a function has changed them."""
    X, y = data.moons(20, rng=0)
    damage(X, y)
    return X, y


def with_nan(X, y):
    X[3][1] = std.nan


def with_inf_target(X, y):
    y[4] = std.inf


def with_whole_number(X, y):
    X[5][0] = 2


def with_missing_target(X, y):
    y.pop()


def with_short_row(X, y):
    X[6].pop()


def with_one_class(X, y):
    y[:] = [1] * len(y)


@pytest.mark.parametrize(("damage", "complaints"), [
    (with_nan, ["row 3 of X has nan"]),
    (with_inf_target, ["target 4 is inf", "targets are of different types"]),
    (with_whole_number, ["row 5 of X has 2"]),
    (with_missing_target, ["20 samples and 19 targets"]),
    (with_short_row, ["rows of [1, 2] numbers"]),
    (with_one_class, ["all targets are equal"]),
    (lambda X, y: None, [])])
def test_sample_checker_reports_each_damage(damage, complaints):
    assert sample_complaints(*damaged(damage)) == complaints


def unseeded(rng=None):
    return data.moons(20, rng=random.Random())


def constant(rng=None):
    return data.moons(20, rng=0)


def defaulting(rng=None):
    return data.moons(20, rng=0 if rng is None else rng)


def global_random(rng=None):
    if rng is not None:
        random.seed(rng if isinstance(rng, int) else 7)
    return data.moons(20)


KEPT = data.moons(20, rng=0)


def kept():
    return KEPT


def test_repeat_checker_reports_random_and_shared_data():
    assert "made twice, the data differ" in repeat_complaints(unseeded)
    assert repeat_complaints(kept) == ["what was made twice has a list in common"]
    assert repeat_complaints(constant) == []


WORDS = ["one", "two"]


@pytest.mark.parametrize(("make", "complaints"), [
    (list, ["[] is not a list of texts, or it is empty"]),
    (lambda: ["one", ""], ["text 1 is ''"]),
    (lambda: ["one", 2], ["text 1 is 2"]),
    (lambda: ["one", str(random.random())], ["made twice, the texts differ"]),
    (lambda: WORDS, ["what was made twice is one list"]),
    (lambda: ["one", "two"], []),
])
def test_text_checker_reports_each_damage(make, complaints):
    assert text_complaints(make) == complaints


def test_seed_checker_reports_seeds_that_do_not_count():
    assert seed_complaints(constant) == [
        "the random seeds 7 and 8 give the same data"]
    assert seed_complaints(defaulting) == [
        "without rng, random.seed(7) does not give the data of rng=7"]
    assert seed_complaints(global_random) == [
        "with a random seed, the standard random module is used"]
    assert "the random seed 7 and random.Random(7) give different data" in seed_complaints(unseeded)


def test_handling_checker_reports_what_split_and_batches_lose(monkeypatch):
    X, y = data.moons(20, rng=0)
    monkeypatch.setattr(data, "split", lambda X, y, test, rng: (X[1:], y[1:], X[2:], y[2:]))
    monkeypatch.setattr(data, "batches", lambda X, y, size, rng: [(X[1:], y[1:])])
    assert handling_complaints(X, y) == [
        "split loses or changes samples", "split puts 18 of 20 samples aside",
        "batches lose or change samples", "1 batches of 7 from 20 samples"]


def test_training_checker_reports_nan_and_classes_that_are_not_indices():
    (complaint,) = training_complaints(*damaged(with_nan))
    assert complaint.startswith("engine 'eager' raises NonFiniteError: ")
    X, y = data.moons(20, rng=0)
    assert training_complaints(X, [2 * target for target in y]) == [
        "targets are neither floats, nor -1 and 1, nor class indices 0, 1, 2, ..."]


def test_training_checker_reports_engines_that_differ(monkeypatch):
    hinge = nn.hinge

    def unlike(score, target):
        return hinge(score, target) * (1 + 1e-8 if isinstance(target, Traced) else 1)

    monkeypatch.setattr(nn, "hinge", unlike)
    (complaint,) = training_complaints(*data.moons(20, rng=0))
    assert complaint.startswith("engine 'jit' raises TraceError: step 0: the loss of sample ")


def test_training_checker_reports_engines_that_differ_in_the_last_bit(monkeypatch):
    monkeypatch.setitem(globals(), "fit", inexact_if_compiled(fit))
    (complaint,) = training_complaints(*data.moons(20, rng=0))
    assert complaint.startswith("losses: ")
