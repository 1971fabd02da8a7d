"""Pickles between processes: what arrives computes the same bits, and rows come with their modules.

A pool of one worker, started by "spawn", reads what `pickle` writes.  A Dask cluster of one worker
reads what cloudpickle writes: functions without a name by value.  Layers, optimisers, schedules and
exceptions are found by what they are, and made by the right calls of `calls`.
"""

import functools
import importlib
import inspect
import multiprocessing
import pickle
import subprocess
import sys
import types
from concurrent.futures import ProcessPoolExecutor

import arrivals
import pytest
from arrivals import bits, bits_there, called, stepped, swept_once
from calls import CALLS
from helpers import ROOT, dask_cluster

import tinygrad_edu
from tinygrad_edu import (
    Value,
    data,
    define,
    errors,
    grad,
    gradients,
    jit,
    math,
    nn,
    optim,
    record,
    testing,
    train,
)
from tinygrad_edu.engine import primitive
from tinygrad_edu.engine.primitive import require_rows, rows_of
from tinygrad_edu.errors import PrimitiveError

ROW = """
from tinygrad_edu import define, math
{name} = define("{name}", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)
"""


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as made:
        made.submit(arrivals.passed_on, 0).result()  # it starts with the folders that are known now
        yield made


@pytest.fixture(scope="module")
def client():
    with dask_cluster(1) as cluster, cluster.get_client() as made:
        yield made


def check_arrival(pool, x, use, *args):
    """THE CHECKER: ``use`` gives the same here, in the worker, and for what comes back from it."""
    there, back = pool.submit(bits_there, x, use, *args).result()
    assert there == use(pickle.loads(back), *args)
    assert there == use(x, *args)


# ---- by name

MODULES = [tinygrad_edu, math, nn, optim, data, train, testing, errors]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_function_is_pickled_by_its_name(module):
    for name in getattr(module, "__all__", vars(module)):
        thing = getattr(module, name)
        if callable(thing) and not isinstance(thing, types.ModuleType):
            assert pickle.loads(pickle.dumps(thing)) is thing, name


def test_every_method_of_value_is_pickled_by_its_name():
    names = {name for name, x in inspect.getmembers_static(Value, inspect.isfunction)
             if not name.startswith("_") or name in ("__truediv__", "__lt__", "__abs__")}
    assert {"sin", "arctan", "arctan2", "backward"} < names
    for name in names:
        method = getattr(Value, name)
        assert pickle.loads(pickle.dumps(method)) is method, name


# ---- models, optimisers, histories

CALLED = [name for name in CALLS if name.startswith("nn.") and name.endswith(", called")]


@pytest.mark.parametrize("name", CALLED)
def test_a_layer_computes_the_same_in_another_process(pool, name):
    call = CALLS[name]()
    use = arrivals.differentiated if call.function.parameters() else called
    check_arrival(pool, call.function, use, *call.arguments.values())


def test_every_layer_is_called():
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)
              and issubclass(getattr(nn, name), nn.Module)}
    called = {name.partition(",")[0].removeprefix("nn.") for name in CALLED}
    assert layers - called == {"Module", "Sequential"}


@pytest.mark.parametrize("name", arrivals.MODELS)
def test_a_model_computes_the_same_in_another_process(pool, name):
    make, x = arrivals.MODELS[name]
    check_arrival(pool, make(), arrivals.differentiated, x)


def test_a_planted_model_that_loses_digits_is_found(pool):
    with pytest.raises(AssertionError):
        check_arrival(pool, arrivals.Rounded(2, 2, rng=0), arrivals.differentiated, [0.5, 1.0])


OPTIMIZERS = [name for name in optim.__all__ if inspect.isclass(getattr(optim, name))
              and getattr(optim, name) is not optim.Optimizer]
MADE = [name for name in optim.__all__ if inspect.isfunction(getattr(optim, name))
        and inspect.signature(getattr(optim, name)).return_annotation == "Schedule"]


@pytest.mark.parametrize("schedule", [*MADE, *arrivals.SCHEDULES])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_continues_alike_in_another_process(pool, name, schedule):
    lr = CALLS[f"optim.{schedule}"]()() if schedule in MADE else arrivals.SCHEDULES[schedule]
    make = CALLS[f"optim.{name}"]()
    check_arrival(pool, make(lr=lr), stepped)
    used = make(lr=lr, params=[Value(1.0, "a"), Value(-2.0, "b")])
    stepped(used)
    check_arrival(pool, used, stepped)


def test_all_optimisers_and_schedules_are_found():
    assert set(OPTIMIZERS) >= {"SGD", "Adam", "AdamW", "RMSprop"}
    assert set(MADE) >= {"cosine", "linear", "step_decay", "warmup"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_model_and_its_optimiser_share_parameters_after_one_pickle(pool, order):
    model, optimizer, _ = arrivals.trained()
    parts = [("model", model), ("optimizer", optimizer)][::order]
    check_arrival(pool, dict(parts), arrivals.stepped_together)


@pytest.mark.parametrize("options", [
    {}, {"metrics": [nn.accuracy]}, {"engine": "jit"}, {"record_every": 1},
    {"on_epoch": lambda history: history.epochs == 2},
], ids=["plain", "metrics", "jit", "recorded", "stopped"])
def test_a_history_arrives_as_it_was(pool, options):
    history = arrivals.trained(**options)[2]
    history.interrupted = "on_epoch" in options
    there, back = pool.submit(bits_there, history, arrivals.told).result()
    assert there == arrivals.told(pickle.loads(back)) == [history.to_json(), repr(history), None]


def test_a_sweep_and_a_data_set_arrive_as_they_were(pool):
    for x in (CALLS["train.sweep"]()(), data.iris(), CALLS["data.moons"]()()):
        check_arrival(pool, x, bits)


# ---- functions


@pytest.mark.parametrize("name", arrivals.FUNCTIONS)
def test_a_function_computes_the_same_in_another_process(pool, name):
    make, use, *args = arrivals.FUNCTIONS[name]
    check_arrival(pool, make(), use, *args)


LOSSES = [name for name in CALLS if name.startswith("nn.") and "called" not in name
          and {"target", "parameters"} & CALLS[name]().arguments.keys()]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_computes_the_same_in_another_process(pool, name):
    call = CALLS[name]()
    first, *rest = call.arguments.values()
    check_arrival(pool, call.function, called, first, *rest)
    check_arrival(pool, functools.partial(call.function, first), called, *rest)
    if name not in ("nn.accuracy", "nn.accuracy, of a score", "nn.l1", "nn.l2"):
        check_arrival(pool, jit(call.function), called, first, *rest)


def test_a_graph_has_the_same_derivatives_in_another_process(pool):
    check_arrival(pool, arrivals.graph(), arrivals.swept)
    check_arrival(pool, record(arrivals.graph()[0]), bits)


# ---- exceptions

EXCEPTIONS = [kind for kind in vars(errors).values()
              if inspect.isclass(kind) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_an_exception_of_a_worker_arrives_as_itself(pool, kind):
    error = kind("fit: what it is; what to do")
    error.add_note("a note")
    attributes = {"history": arrivals.trained(record_every=1)[2], "line": ("file.py", 3, "f"),
                  "explanation": CALLS["explain_nonfinite"]()(), "sweep": CALLS["train.sweep"]()()}
    for name, x in attributes.items():
        if hasattr(kind, name):
            setattr(error, name, x)
    with pytest.raises(kind, match="fit: what it is") as caught:
        pool.submit(arrivals.raising, error).result()
    assert (type(caught.value), str(caught.value)) == (kind, str(error))
    assert caught.value.__notes__ == ["a note"]
    for name, x in attributes.items():
        assert bits(getattr(caught.value, name, x)) == bits(x)


def test_an_error_of_fit_arrives_with_its_history(pool):
    with pytest.raises(errors.NonFiniteError) as here:
        arrivals.diverging()
    with pytest.raises(errors.NonFiniteError) as there:
        pool.submit(arrivals.diverging).result()
    assert str(there.value) == str(here.value)
    assert there.value.line == here.value.line is not None
    assert there.value.history.loss == here.value.history.loss
    assert repr(there.value.explanation) == repr(here.value.explanation)


# ---- rows


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose modules can be imported here.  What is imported from it is forgotten."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(primitive, "_missing", {})
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def row_of_module(folder, module, name=""):
    """Returns the row ``name`` of a new module; by default they have the same name."""
    name = name or module
    (folder / f"{module}.py").write_text(ROW.format(name=name))
    importlib.invalidate_caches()
    return getattr(importlib.import_module(module), name)


def program_of_row(row):
    return arrivals.program_of(jit(functools.partial(arrivals.method, row.name)), 0.5)


# What has a row: how it is made, and what it is used with.
WITH_A_ROW = {
    "a graph": (lambda row: row(Value(0.5)), arrivals.second_derivative),
    "a row": (lambda row: row, called, 0.5),
    "a derivative": (grad, called, 0.5),
    "a compiled row": (jit, called, 0.5),
    "a tape": (lambda row: program_of_row(row).tape()[0], arrivals.run, 0.5),
    "a trace": (lambda row: program_of_row(row).trace, arrivals.text_and_row),
    "an activation": (lambda row: nn.Layer(2, 2, row, rng=0), arrivals.differentiated, [0.5, 1.0]),
}
numbered = pytest.mark.parametrize(("number", "kind"), list(enumerate(WITH_A_ROW)))


@numbered
def test_a_row_arrives_with_its_module(pool, folder, number, kind):
    make, use, *args = WITH_A_ROW[kind]
    row = row_of_module(folder, f"arriving_{number}")
    pool.submit(arrivals.import_from, str(folder)).result()
    check_arrival(pool, make(row), use, *args)


def test_rows_of_programs_and_of_functions_that_were_compiled_arrive_with_their_modules(
    pool, folder
):
    pool.submit(arrivals.import_from, str(folder)).result()
    check_arrival(pool, program_of_row(row_of_module(folder, "of_program")), arrivals.run, 0.5)
    row_of_module(folder, "of_function")
    compiled = jit(functools.partial(arrivals.method, "of_function"))
    compiled(1.0)
    check_arrival(pool, compiled, called, 0.5)


@numbered
def test_a_missing_row_raises_where_it_is_used_and_names_its_module(pool, folder, number, kind):
    make, use, *args = WITH_A_ROW[kind]
    x = make(row_of_module(folder, f"missing_{number}"))
    message = (
        f"^primitive 'missing_{number}' of module missing_{number} is missing, because the import "
        f"of missing_{number} raised ModuleNotFoundError: No module named 'missing_{number}'; put "
        "the module where this process can import it$"
    )
    with pytest.raises(PrimitiveError, match=message):
        pool.submit(use, x, *args).result()
    # a process that lacks the row passes it on to one that has it
    there = pool.submit(arrivals.passed_on, x).result()
    assert use(there, *args) == use(x, *args)


def test_first_derivatives_of_a_graph_need_no_row(pool, folder):
    y = row_of_module(folder, "not_needed")(Value(0.5))
    there = pool.submit(swept_once, y).result()
    assert there == swept_once(y)


def test_a_row_of_the_program_itself_asks_for_a_module_of_its_own(pool):
    row = define("of_notebook", math.tanh, lambda x, o: 1 - o * o, module="__main__")
    message = (
        "^primitive 'of_notebook' was defined by the program or notebook itself, which this "
        "process did not run; define it in a module of its own, such as rows.py, that the workers "
        "can import$"
    )
    with pytest.raises(PrimitiveError, match=message):
        pool.submit(called, row, 0.5).result()


def test_another_row_of_the_same_name_is_not_used(pool, folder):
    row = row_of_module(folder, "first", "shared")
    (folder / "second.py").write_text(ROW.format(name="shared"))
    pool.submit(arrivals.import_from, str(folder), "second").result()
    for x, use, *args in ((row, called, 0.5), (row(Value(0.5)), arrivals.second_derivative)):
        with pytest.raises(PrimitiveError, match="primitive 'shared' of module first is missing"):
            pool.submit(use, x, *args).result()


def test_a_row_that_was_replaced_is_not_used(folder):
    text = pickle.dumps(math.hardtanh(Value(0.5)))
    define("hardtanh", math.tanh, lambda x, o: 1 - o * o, replace=True)
    y = pickle.loads(text)
    message = (
        f"^primitive 'hardtanh' of module tinygrad_edu must not be replaced by the one of module "
        f"{__name__}, which has the same name here; choose another name for one of them$"
    )
    with pytest.raises(PrimitiveError, match=message):
        gradients(y, [y.args[0]])
    assert y.data == 0.5


def test_a_module_that_does_not_define_its_row_when_it_is_imported_is_named(pool, folder):
    (folder / "inside.py").write_text(
        "from tinygrad_edu import define, math\n"
        "def make():\n"
        "    return define('inside', math.tanh, lambda x, o: 1 - o * o)\n"
    )
    row = importlib.import_module("inside").make()
    pool.submit(arrivals.import_from, str(folder)).result()
    message = (
        "primitive 'inside' of module inside is missing, because the import of inside does not "
        "define it; call define at the top level of the module, not in a function"
    )
    with pytest.raises(PrimitiveError, match=message):
        pool.submit(called, row, 0.5).result()


def test_a_row_is_used_as_soon_as_its_module_can_be_imported(folder):
    row = row_of_module(folder, "later")
    texts = pickle.dumps(row), pickle.dumps(row(Value(0.5)))
    (folder / "later.py").rename(folder / "kept")
    del primitive.TABLE["later"]
    del sys.modules["later"]
    found, y = map(pickle.loads, texts)
    with pytest.raises(PrimitiveError, match="put the module where"):
        found(0.5)
    assert rows_of(["later", "sin", "dot"]) == (("later", "later"), ("sin", "tinygrad_edu"))
    (folder / "kept").rename(folder / "later.py")
    importlib.invalidate_caches()
    assert found(0.5) == row(0.5)
    assert len(gradients(y, [y.args[0]])) == 1


def test_rows_are_required_by_name_and_module(folder):
    row_of_module(folder, "required")
    pairs = rows_of(["required", "mul", "mul", "dot", ""])
    assert pairs == (("mul", "tinygrad_edu"), ("required", "required"))
    require_rows(pairs)
    del primitive.TABLE["required"]
    with pytest.raises(PrimitiveError, match="does not define it"):
        require_rows(pairs)
    del sys.modules["required"]
    require_rows(pairs)
    assert "required" in primitive.TABLE


PROGRAM = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from tinygrad_edu import Value, define, gradients, math
bump = define("bump", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)

def slope(y):
    return gradients(y, [y.args[0]])[0].data

if __name__ == "__main__":
    y = bump(Value(0.5))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        print(pool.submit(slope, y).result() == slope(y), pool.submit(bump, 0.5).result() == y.data)
"""


def test_a_worker_that_runs_the_program_again_has_its_rows(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True,
                          cwd=ROOT, check=False)
    assert (done.stdout, done.stderr) == ("True True\n", "")


# ---- by value


class Line(nn.Module):
    """A model that workers cannot import, as those of a notebook."""

    def __init__(self):
        self.w = Value(2.0)

    def __call__(self, x):
        return self.w * x

    @jit
    def loss(self, x):
        return self.w * x * x


class SignDescent(optim.Optimizer):
    def update(self, data, grad, state, lr, t):
        return data - lr * math.sign(grad), state


def sent_by_value():
    """Returns what has no name: what is sent, and what it is used with."""
    line = Line()
    line.loss(1.0)
    scale = Value(3.0, "scale")
    return [
        (line, arrivals.differentiated, 0.5),
        (line.loss, arrivals.with_gradient, 0.5),
        (SignDescent([Value(1.0)], lambda step: 0.1 / (1 + step)), stepped),
        (jit(lambda x: x * math.exp(x)), called, 0.5),
        (jit(lambda x, n: x * math.exp(x) ** n, static="n"), called, 0.5, 3),
        (jit(lambda x: scale * x), arrivals.with_gradient, 0.5),
        (jit(grad(lambda x: x * math.exp(x))), called, 0.5),
        (grad(lambda x: x * x), called, 0.5),
        (arrivals.program_of(jit(lambda x: x * x), 1.0), arrivals.run, 0.5),
        (lambda p, t: 2 * nn.mse(p, t), called, Value(0.5), 1.0),
        (nn.Layer(2, 3, lambda x: x * x, rng=0), arrivals.differentiated, [0.5, 1.0]),
        (nn.normal(0.1), arrivals.drawn),
        (arrivals.graph(), arrivals.swept),
    ]


@pytest.fixture
def by_value():
    """Sends what this module defines by value, as cloudpickle does with a notebook."""
    cloudpickle = pytest.importorskip("cloudpickle")
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def test_what_has_no_name_arrives_by_value_on_a_cluster(client, by_value):
    sent = sent_by_value()
    futures = [client.submit(use, x, *args, pure=False) for x, use, *args in sent]
    for (x, use, *args), future in zip(sent, futures):
        assert future.result(timeout=60) == use(x, *args)


def test_rows_arrive_on_a_cluster_or_the_error_names_their_module(client, folder):
    row = row_of_module(folder, "of_cluster")
    of_cell = define("of_cell", math.tanh, lambda x, o: 1 - o * o, module="__main__")
    with pytest.raises(PrimitiveError, match="put the module where"):
        client.submit(called, lambda x: row(x), 0.5).result(timeout=60)
    with pytest.raises(PrimitiveError, match=r"such as rows\.py"):
        client.submit(called, lambda x: of_cell(x), 0.5).result(timeout=60)
    client.submit(arrivals.import_from, str(folder)).result(timeout=60)
    assert client.submit(called, jit(lambda x: row(x)), 0.5).result(timeout=60) == called(row, 0.5)
    y = row(Value(0.5))
    there = client.submit(arrivals.second_derivative, y).result(timeout=60)
    assert there == arrivals.second_derivative(y)
