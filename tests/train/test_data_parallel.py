"""Training on executors: the bits of one process, errors that say how to go on, and whole steps."""

import functools
import importlib
import os
import random
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import parallel_tasks
import pytest
from helpers import SPAWN, bits_of, dask_cluster

from tinygrad_edu import Value, data, define, detect_anomaly, fit, nn, optim, take
from tinygrad_edu.engine.table import TABLE
from tinygrad_edu.errors import NonFiniteError, PrimitiveError, TraceError, WorkerError
from tinygrad_edu.jit.running.sums import BlockSums

# runs are too short to be good, and some rates are too large
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")

X, Y = data.moons(200, rng=1)  # four blocks, and the last one is not full


@pytest.fixture(scope="module")
def client():
    with dask_cluster(3) as cluster, cluster.get_client() as made:
        yield made


# ---- trainings: each returns what `fit` is called with, the same at every call


class Dropping(nn.Module):
    """Draws random numbers from a generator of its own."""

    def __init__(self):
        self.net = nn.MLP(2, [6, 1], rng=3)
        self.dropout = nn.Dropout(0.3, rng=4)
        self.scale = 1.0

    def __call__(self, x):
        return self.net(self.dropout([v * self.scale for v in x]))


class Summing(nn.Module):
    """Takes samples of any length: each has a program of its own."""

    def __init__(self):
        self.net = nn.MLP(1, [4, 1], rng=2)
        self.dropout = nn.Dropout(0.2, rng=1)

    def __call__(self, x):
        return sum((self.net([v]) for v in self.dropout(x)), Value(0.0))


class Lazy:
    """A data set that is read sample by sample, and draws random numbers when it is read."""

    def __init__(self):
        self.rng = random.Random(8)

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return [v + self.rng.gauss(0.0, 0.1) for v in X[i]]


def error_of(prediction, target):
    return abs(prediction.data - target)


def plain(rate=0.05, kind=optim.SGD, **options):
    model = nn.MLP(2, [6, 4, 1], rng=3)
    return model, nn.mse, X, Y, {"optimizer": kind(model.parameters(), lr=rate), **options}


def dropping(**options):
    model = Dropping()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, nn.mse, X, Y, {"optimizer": optimizer, **options}


def everything():
    model, loss, _, _, options = dropping(batch_size=130, rng=7, max_norm=0.5)
    options["penalty"] = lambda: 1e-2 * nn.l2(model.parameters())
    options["metrics"] = {"accuracy": nn.accuracy, "error": error_of}
    return model, loss, X, Y, options


def changing():
    model, loss, xs, _, options = dropping(batch_size=100, rng=7)
    samples = [list(x) for x in xs]

    def on_epoch(history):
        model.scale = 1.0 + history.epochs % 2  # another program
        samples[3][0] += 1.0  # another sample
        options["optimizer"].params[0].data += 0.25

    return model, loss, samples, Y, {**options, "on_epoch": on_epoch}


def reading():
    factor = Value(0.5, "factor")  # not trained
    model, _, _, _, options = plain(batch_size=128, rng=2)
    optimizer = options["optimizer"]

    def loss(prediction, target):
        return nn.mse(prediction * factor, target) / (1 + optimizer.steps)

    def error(prediction, target):
        factor.data += 1e-3
        return error_of(prediction, target)

    return model, loss, X, Y, {**options, "metrics": [error]}


def structures(**options):
    rng = random.Random(5)
    samples = [[rng.uniform(-1, 1) for _ in range(rng.choice([1, 2, 2, 3]))] for _ in range(150)]
    model = Summing()
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    targets = [sum(sample) for sample in samples]
    return model, nn.mse, samples, targets, {"optimizer": optimizer, **options}


def machine(lengths=(1,)):
    """A program that is too long to be compiled, beside one that is not for another length."""
    model = nn.MLP(2, [40, 40, 1], rng=1)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    rng = random.Random(6)
    samples = [[(rng.random(), rng.random()) for _ in range(rng.choice(lengths))]
               for _ in range(70)]

    def predict(sample):
        return sum((model(x) for x in sample), Value(0.0))

    return predict, nn.mse, samples, [1.0] * 70, {"optimizer": optimizer, "metrics": [nn.accuracy]}


TRAININGS = {
    "full": lambda: plain(epochs=100),
    "shuffled": lambda: plain(kind=optim.Adam, batch_size=150, rng=7, epochs=3),
    "recorded": lambda: plain(batch_size=100, record_every=2, rng=1, epochs=3),
    "everything": lambda: everything(),
    "changing": lambda: changing(),
    "reading": lambda: reading(),
    "structures": lambda: structures(batch_size=100, rng=3),
    "structures of a full batch": lambda: structures(metrics=[error_of]),
    "machine": lambda: machine(),
    "machine and compiled": lambda: machine((0, 1)),
    "lazy": lambda: lazy(),
}


def lazy():
    model, loss, _, _, options = dropping(batch_size=90, rng=1)
    return model, loss, Lazy(), Y, options


def trained(training, **more):
    """Runs `fit` and returns the history and everything that must be the same, as bits."""
    model, loss, xs, ys, options = training
    options = {"epochs": 4, **options, **more}
    history = fit(model, loss, xs, ys, **options)
    return history, state_after(history, training)


def state_after(history, training):
    model, _, xs, _, options = training
    optimizer = options["optimizer"]
    generators = [x.rng for x in (getattr(model, "dropout", None), xs) if hasattr(x, "rng")]
    recorded = history.training
    return {
        "loss": bits_of(history.loss),
        "rates": bits_of(history.learning_rates),
        "metrics": {name: bits_of(values) for name, values in history.metrics.items()},
        "ends": history.epoch_ends,
        "data": bits_of([p.data for p in optimizer.params]),
        "grad": bits_of([p.grad for p in optimizer.params]),
        "state": {name: bits_of(column) for name, column in optimizer.state.items()},
        "steps": optimizer.steps,
        "generators": [generator.getstate() for generator in generators],
        "recorded": recorded and list(map(repr, recorded.snapshots)),
    }


@functools.cache
def expected(name):
    """Returns what a training in this process gives."""
    return trained(TRAININGS[name](), engine="jit")[1]


# ---- the same bits


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("executor", ["threads", "pool"])
def test_threads_and_processes_have_the_bits_of_one_process(name, executor, request):
    found = request.getfixturevalue(executor)
    history, state = trained(TRAININGS[name](), executor=found)
    assert state == expected(name)
    assert history.engine == f"jit on {type(found).__name__}, {len(history)} steps"


def test_dask_has_the_bits_of_one_process_and_survives_the_death_of_workers(client):
    addresses = [*client.scheduler_info(n_workers=-1)["workers"]]
    for name, make in TRAININGS.items():
        for workers in (addresses[:2], addresses):
            executor = client.get_executor(workers=workers)
            assert trained(make(), executor=executor)[1] == expected(name), name

    def on_epoch(history):
        if history.epochs in (30, 60):
            process, *_ = client.run(os.getpid).values()
            os.kill(process, signal.SIGKILL)
        if history.epochs == 90:
            client.wait_for_workers(3)  # those that started again have no programs

    training = TRAININGS["full"]()
    history, state = trained(training, executor=client.get_executor(), on_epoch=on_epoch)
    assert len(history) == 100
    assert state == expected("full")


def test_what_this_process_computes_has_the_bits_of_the_eager_engine():
    names = ["shuffled", "everything", "changing", "structures", "lazy"]
    for name in names:
        assert trained(TRAININGS[name](), engine="eager")[1] == expected(name), name


def test_rows_that_are_added_in_another_order_are_noticed(threads, monkeypatch):
    def backwards(sums, rows):
        size = 8 * sums.count
        parts = [rows[i:i + size] for i in range(0, len(rows), size)]
        add_bytes(sums, b"".join(reversed(parts)))

    add_bytes = BlockSums.add_bytes
    monkeypatch.setattr(BlockSums, "add_bytes", backwards)
    assert trained(TRAININGS["full"](), executor=threads)[1] != expected("full")


def programs_of(pool):
    """Returns the programs of both workers of a pool."""
    found = {}
    while len(found) < 2:
        found.update(task.result() for task in [
            pool.submit(parallel_tasks.programs, 0.05) for _ in range(4)
        ])
    return found


def test_workers_keep_each_program_and_compile_it_once():
    with ProcessPoolExecutor(2, SPAWN) as pool:
        assert [*programs_of(pool).values()] == [{}, {}]
        found = {}
        while sum(len(compiled) for kernels in found.values() for compiled in kernels.values()) < 6:
            trained(structures(), executor=pool)
            found = programs_of(pool)
        first, second = found.values()
        assert first.keys() == second.keys()
        assert len(first) == 3  # for samples of one, two or three numbers
        for _ in range(5):
            trained(structures(), executor=pool)
        assert programs_of(pool) == found


def test_long_programs_run_on_the_tape_machine(pool):
    trained(TRAININGS["machine and compiled"](), executor=pool)
    kinds = [compiled.keys() for kernels in programs_of(pool).values()
             for compiled in kernels.values()]
    assert {"machine"} in kinds


# ---- what fails


def run_until(epochs):
    """Returns what a run of some epochs in this process gives."""
    return trained(dropping(), engine="jit", epochs=epochs)[1]


class Dying(ProcessPoolExecutor):
    """A pool whose workers die before they can run a certain task."""

    def __init__(self, task):
        super().__init__(2, SPAWN)
        self.left = task

    def submit(self, *call):
        self.left -= 1
        if self.left == 0:
            for _ in range(2):
                super().submit(os._exit, 1)
        return super().submit(*call)


def test_a_dead_worker_leaves_a_whole_step_from_which_a_new_executor_goes_on(pool):
    training = dropping()
    model, loss, xs, ys, options = training
    with Dying(8) as deadly, pytest.raises(WorkerError, match="a worker process died") as caught:
        trained(training, executor=deadly, epochs=8)
    error = caught.value
    done = len(error.history)
    assert 1 <= done < 8
    assert "Dask (the extra cluster) starts dead workers again" in str(error)
    assert f"Model and optimiser are those after {done} step" in str(error)
    assert f"a new executor, the same optimizer and epochs={8 - done}" in str(error)
    assert state_after(error.history, training) == run_until(done)
    rest = fit(model, loss, xs, ys, epochs=8 - done, executor=pool, **options)
    assert error.history.loss + rest.loss == trained(dropping(), engine="jit", epochs=8)[0].loss
    whole = run_until(8)
    assert state_after(rest, training)["data"] == whole["data"]
    assert state_after(rest, training)["generators"] == whole["generators"]


def test_an_executor_that_was_shut_down_is_named():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(WorkerError, match="could not run a task: RuntimeError: cannot schedule"):
        trained(plain(), executor=executor)


class Interrupted(ThreadPoolExecutor):
    """A pool of threads in which Ctrl-C comes when a certain task is submitted."""

    def __init__(self, task):
        super().__init__(2)
        self.left = task

    def submit(self, *call):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        return super().submit(*call)


@pytest.mark.parametrize("task", [1, 2, 9, 12, 15])
def test_an_interrupt_leaves_the_last_whole_step(task):
    training = dropping(metrics=[nn.accuracy])
    with Interrupted(task) as executor:
        history, state = trained(training, executor=executor, epochs=100)
    assert history.interrupted
    assert len(history) < task  # a step has at least one task
    whole = dropping(metrics=[nn.accuracy])
    assert state == trained(whole, engine="jit", epochs=len(history))[1]


def test_a_loss_that_is_not_finite_is_explained_as_in_one_process(threads, pool):
    def diverging(executor):
        training = plain(1e200, batch_size=100, rng=1)
        with pytest.raises(NonFiniteError) as caught:
            trained(training, executor=executor, engine="jit")
        return str(caught.value), state_after(caught.value.history, training)

    alone = diverging(None)
    assert len(alone[1]["loss"]) > 0
    assert diverging(threads) == diverging(pool) == alone


def test_an_index_that_is_wrong_raises_the_same_error(threads, pool):
    def choosing(executor):
        table = [Value(0.5), Value(1.5)]
        xs = [float(i % 2) for i in range(100)]
        xs[90] = 2.0
        optimizer = optim.SGD(table, lr=0.1)
        with pytest.raises(IndexError) as caught:
            fit(lambda x: take(table, x), nn.mse, xs, xs, optimizer=optimizer, epochs=2,
                engine="jit", executor=executor)
        return str(caught.value), bits_of([p.data for p in table])

    assert choosing(threads) == choosing(pool) == choosing(None)


def bumping(**options):
    """Trains with a primitive of the moment."""
    bump = TABLE["bump"]
    net, loss, xs, ys, made = plain()
    return trained((lambda x: bump(net(x)), loss, xs, ys, made), **options)[1]


def test_a_primitive_of_your_own_is_that_of_the_moment(threads, pool):
    found = []
    for factor in (1.0, 2.0):
        # the tape is the same for both
        define("bump", lambda x, k=factor: k * x * x * x, lambda x, o: 3 * o / x, replace=True)
        found.append(bumping(executor=threads))
        assert found[-1] == bumping(engine="jit")
    assert found[0] != found[1]
    with pytest.raises(PrimitiveError, match=r"primitive 'bump' of module test_data_parallel"):
        bumping(executor=pool)


ROWS = """
from tinygrad_edu import define
define("bump", lambda x: x * x * x, lambda x, o: 3 * x * x)
"""


def test_workers_import_the_module_of_a_primitive(tmp_path, monkeypatch):
    (tmp_path / "parallel_rows.py").write_text(ROWS)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("parallel_rows")
    with ProcessPoolExecutor(1, SPAWN) as pool:
        assert bumping(executor=pool) == bumping(engine="jit")
    del sys.modules["parallel_rows"]


# ---- which engine


def test_an_executor_needs_the_compiled_engine(threads):
    with pytest.raises(ValueError, match=r'executor needs engine="jit".*leave out engine'):
        trained(plain(), executor=threads, engine="eager")
    with pytest.raises(TypeError, match=r"fit: executor must be .*not int .4.; pass Process"):
        trained(plain(), executor=4)
    assert trained(plain())[0].engine == "eager, 4 steps"


def test_advice_to_train_eagerly_says_without_executor(threads):
    model, loss, xs, ys, options = plain()

    def branching(x):
        return model(x) if model(x).data > 0 else 2 * model(x)

    with pytest.raises(TraceError) as caught:
        trained((branching, loss, xs, ys, options), executor=threads)
    assert 'train with engine="eager" and without executor' in str(caught.value)


def test_batches_of_one_block_are_computed_here():
    with ThreadPoolExecutor(1) as executor:
        executor.shutdown()  # it would raise an error
        history, state = trained(plain(batch_size=64, rng=1), executor=executor)
    assert history.engine == "jit, 16 steps: a batch of at most 64 samples is not divided"
    assert state == trained(plain(batch_size=64, rng=1))[1]


def test_watched_operations_run_eagerly_in_this_process(threads):
    with detect_anomaly():
        history, state = trained(plain(), executor=threads)
    assert history.engine == "eager, 4 steps: inside detect_anomaly"
    assert state == trained(plain())[1]
