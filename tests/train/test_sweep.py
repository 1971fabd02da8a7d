"""Sweeps: the same rows on every executor, files that go on, and errors that say what to do."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from types import FunctionType, ModuleType

import pytest
import sweeps
from helpers import ROOT, SPAWN, dask_cluster, run_python
from sweeps import GRID, make, quick

from tinygrad_edu import History, fit, nn, optim
from tinygrad_edu.errors import DataError, TrainingWarning, WorkerError
from tinygrad_edu.train import Sweep, sweep
from tinygrad_edu.train.sweeping import Row


def bits_of_rows(found):
    """Returns all that rows have but their seconds, as text, in which each float has its bits."""
    return [repr({**asdict(row), "seconds": 0}) for row in found]


@pytest.fixture(scope="module")
def expected():
    return bits_of_rows(sweep(make, GRID, seeds=2))


# ---- rows


def test_a_row_is_what_the_training_alone_gives():
    found = sweep(make, {"lr": [0.1], "layers": [(3, 2)]}, seeds=[7])
    history, figures = make(7, 0.1, (3, 2))
    (row,) = found
    epochs = [sum(history.loss[i:i + 3]) / 3 for i in (0, 3, 6)]
    assert row.settings == {"lr": 0.1, "layers": (3, 2)}
    assert row.seed == 7
    assert row.first_loss == history.loss[0]
    assert [row.last_loss, row.best_loss] == pytest.approx([epochs[-1], min(epochs)], rel=1e-15)
    assert row.metrics == {"accuracy": history.metrics["accuracy"][-1], **figures}
    assert (row.steps, row.engine) == (9, "eager, 9 steps")
    assert (row.finding, row.warning, row.error) == (history.finding, history.warning, "")
    assert row.seconds >= history.seconds[-1] / 100


def test_losses_of_full_batches_are_those_of_steps():
    (row,) = sweep(quick, {"lr": [0.3]})
    assert (row.first_loss, row.last_loss, row.best_loss) == (1.0, 0.3 / 3, 0.3 / 3)


def test_a_training_that_fails_is_a_row_and_the_others_go_on():
    found = sweep(sweeps.failing, {"lr": [1.0, 0.1, 2.0, 1e200]})
    imported, good, left, diverged = found
    assert imported.error == "ImportError: no module named"
    assert imported.last_loss is None
    assert (good.error, good.steps) == ("", 9)
    assert left.error == "SystemExit: an exit"
    assert diverged.error.startswith("NonFiniteError: step ")
    assert diverged.steps >= 1  # those before the error
    assert diverged.first_loss is not None
    assert [row.diverged for row in found] == [False, False, False, True]
    assert [row.is_sound for row in found] == [False, True, False, False]
    assert "1 of 1: ImportError" in repr(found)
    assert "1 of 1: diverged" in repr(found)
    assert found.best() == {"lr": 0.1}


def test_a_short_training_whose_loss_is_huge_has_diverged():
    def rising(seed, end):
        history = quick(seed, 0.3)
        history.loss[1] = end
        return history

    found = sweep(rising, {"end": [0.5, 900.0, 1.1e3, float("inf"), float("nan"), -1e9]})
    assert [row.finding for row in found] == [None] * 6
    assert [row.diverged for row in found] == [False, False, True, True, True, False]


def test_a_sweep_does_not_warn_but_fit_still_does():
    def still(seed, lr):
        model = nn.MLP(2, [3, 1], rng=seed)
        optimizer = optim.SGD(model.parameters(), lr=lr)
        return fit(model, nn.hinge, sweeps.X, sweeps.Y, optimizer=optimizer, epochs=25)

    (row,) = sweep(still, {"lr": [1e-9]})
    assert row.finding == "loss stands still"
    assert row.warning.startswith("the loss stood still")
    with pytest.warns(TrainingWarning, match="stood still"):
        still(0, 1e-9)


# ---- executors


def test_no_executor_threads_and_processes_give_the_same_bits(pool, expected):
    assert bits_of_rows(sweep(make, GRID, seeds=2, executor=pool)) == expected
    with ThreadPoolExecutor(2) as threads:
        assert bits_of_rows(sweep(make, GRID, seeds=2, executor=threads)) == expected


def test_compiled_trainings_have_the_bits_of_eager_ones_on_every_executor(pool):
    grid = {"engine": ["eager", "jit"], "lr": [0.1, 0.2]}
    alone = sweep(make, grid, seeds=2)
    assert [row.engine for row in alone] == ["eager, 9 steps"] * 4 + ["jit, 9 steps"] * 4
    assert [row.last_loss for row in alone[:4]] == [row.last_loss for row in alone[4:]]
    assert sweep(make, grid, seeds=2, executor=pool) == alone
    with ThreadPoolExecutor(2) as threads:
        assert sweep(make, grid, seeds=2, executor=threads) == alone


def test_a_worker_that_computes_other_digits_is_named():
    with ProcessPoolExecutor(1, SPAWN) as pool:
        pool.submit(sweeps.compute_otherwise).result()
        with pytest.raises(WorkerError, match="computes other last digits than this process; use"):
            sweep(make, GRID, executor=pool)


def test_a_dask_cluster_gives_the_same_bits_and_survives_the_death_of_a_worker(tmp_path):
    flag = tmp_path / "flag"
    grid = {"lr": [0.01, 0.1, 1.0, 1e200], "layers": [[4], (3, 2)]}
    with dask_cluster(2) as cluster, cluster.get_client() as client:
        found = sweep(make, grid, seeds=2, executor=client.get_executor())
        assert len(found) == 16
        assert bits_of_rows(found) == bits_of_rows(sweep(make, grid, seeds=2))
        # a function that only cloudpickle can send
        short = sweep(
            lambda seed, lr: quick(seed, lr), {"lr": [0.1, 0.2]}, executor=client.get_executor()
        )
        assert short == sweep(quick, {"lr": [0.1, 0.2]})
        flag.touch()
        deadly = {"lr": [0.01, 1.0, 0.1], "flag": [str(flag)]}
        survived = sweep(sweeps.dying, deadly, seeds=2, executor=client.get_executor())
        assert not flag.exists()
    assert bits_of_rows(survived) == bits_of_rows(sweep(sweeps.dying, deadly, seeds=2))


def test_module_random_is_seeded_for_each_training_and_put_back(pool):
    random.seed(1)
    before = random.getstate()
    grid = {"lr": [0.1, 0.2]}
    alone = sweep(sweeps.without_rng, grid, seeds=2)
    assert random.getstate() == before
    assert len({row.last_loss for row in alone}) == 4
    assert sweep(sweeps.without_rng, {"lr": [0.2]}, seeds=[1])[0] == alone[3]
    assert sweep(sweeps.without_rng, grid, seeds=2, executor=pool) == alone
    with ThreadPoolExecutor(1) as thread:
        assert sweep(sweeps.without_rng, grid, seeds=2, executor=thread) == alone


def test_threads_that_draw_from_module_random_are_refused():
    before = random.getstate()
    with (
        ThreadPoolExecutor(2) as threads,
        pytest.raises(TypeError, match=r"without_rng draws .* module random, .* pass rng=seed"),
    ):
        sweep(sweeps.without_rng, {"lr": [0.1, 0.2]}, seeds=3, executor=threads)
    assert random.getstate() == before


# ---- files


def test_rows_of_a_file_are_not_trained_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    calls = []

    def counted(seed, lr, n):
        calls.append((lr, n, seed))
        return quick(seed, lr)

    grid = {"lr": [0.1, 1e200], "n": [(1, 2), None, float("inf"), "x", nn.hinge]}
    first = sweep(counted, grid, seeds=2, path=path)
    assert len(calls) == 20
    content = path.read_bytes()
    again = sweep(counted, grid, seeds=2, path=path)
    assert len(calls) == 20
    assert bits_of_rows(again) == bits_of_rows(first)
    assert path.read_bytes() == content
    assert [row.seconds for row in again] == [row.seconds for row in first]
    more = sweep(counted, {"n": [None, 3], "lr": [0.5, 0.1]}, seeds=[1, 5], path=path)
    assert len(calls) == 27
    assert [(row.settings["n"], row.settings["lr"], row.seed) for row in more] == [
        (n, lr, seed) for n in (None, 3) for lr in (0.5, 0.1) for seed in (1, 5)]
    assert len(Sweep.load(path)) == 27
    assert Sweep.load(path)[0].settings == {"lr": 0.1, "n": [1, 2]}
    lines = path.read_text().splitlines()
    assert json.loads(lines[0])["format"] == "tinygrad_edu sweep"
    assert len(lines) == 28


def test_a_file_that_ends_anywhere_goes_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    grid = {"lr": [0.1, 0.2]}
    whole = sweep(quick, grid, seeds=2, path=path)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for end in range(0, len(content), 3):
        path.write_bytes(content[:end])
        assert sweep(quick, grid, seeds=2, path=path) == whole
        found = path.read_bytes().splitlines(keepends=True)
        kept = content[:end].count(b"\n")
        assert found[:kept] == lines[:kept]  # not written again
        assert len(found) == 5
        assert Sweep.load(path).to_dict()["last_loss"] == whole.to_dict()["last_loss"]


CHILD = """
import sys
import sweeps
from tinygrad_edu.train import sweep
print(sweep(sweeps.longer, {"lr": [0.1, 0.2]}, seeds=8, path=sys.argv[1]).interrupted)
"""


def child(path, code=CHILD, **options):
    tests = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": tests}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )


def wait_for_lines(path, count, process):
    for _ in range(3000):
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("no rows")


def test_a_sweep_that_was_killed_goes_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    process = child(path)
    wait_for_lines(path, 4, process)
    process.kill()
    process.communicate()
    kept = Sweep.load(path)
    assert 3 <= len(kept) < 16
    seconds = {(row.settings["lr"], row.seed): row.seconds for row in kept}
    grid = {"lr": [0.1, 0.2]}
    found = sweep(sweeps.longer, grid, seeds=8, path=path)
    assert bits_of_rows(found) == bits_of_rows(sweep(sweeps.longer, grid, seeds=8))
    same = [row.seconds for row in found if (row.settings["lr"], row.seed) in seconds]
    assert sorted(same) == sorted(seconds.values())


def test_ctrl_c_ends_a_sweep_and_keeps_what_is_finished(tmp_path):
    path = tmp_path / "rows.jsonl"
    process = child(path)
    wait_for_lines(path, 3, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("True\n", "", 0)
    assert 2 <= len(Sweep.load(path)) < 16
    assert all(row.steps == 24 for row in Sweep.load(path))  # no training that was interrupted


@pytest.mark.parametrize(("event", "kept"), [("c_call", 2), ("c_return", 3)])
def test_ctrl_c_when_a_row_is_written_keeps_whole_lines(event, kept, tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = 0

    def interrupt(frame, happened, call):
        nonlocal lines
        if happened == event and isinstance(getattr(call, "__self__", None), io.FileIO):
            lines += call.__name__ == "write"
            if lines == 4:  # the header and three rows
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        found = sweep(quick, {"lr": [0.1]}, seeds=5, path=path)
    finally:
        sys.setprofile(None)
    assert found.interrupted
    assert [*Sweep.load(path)] == found[:kept]
    assert sweep(quick, {"lr": [0.1]}, seeds=5, path=path) == sweep(quick, {"lr": [0.1]}, seeds=5)


def test_an_interrupted_training_has_no_row():
    def interrupted(seed, lr):
        if lr == 0.2:
            raise KeyboardInterrupt
        history = quick(seed, lr)
        history.interrupted = lr == 0.3
        return history

    for last in (0.2, 0.3):
        found = sweep(interrupted, {"lr": [0.1, last, 0.4]})
        assert found.interrupted
        assert [row.settings["lr"] for row in found] == [0.1]
        assert "interrupted" in repr(found)


@pytest.mark.parametrize(("content", "message"), [
    ("my notes", "is not the file of a sweep; give another path"),
    ("my notes\n", "is not the file of a sweep; give another path"),
    ('{"format": "tinygrad_edu history"}\n', "is not the file of a sweep|has format"),
    ("{}\n", "is not the file of a sweep"),
    ("HEADER{}\n", "line 2 is damaged: .*; remove it, and its training is run again"),
    ("HEADERnonsense\n", "line 2 is damaged"),
    ('HEADER{"seed": true}\n', "line 2 is damaged"),
])
def test_a_file_with_other_content_is_refused_and_left_alone(content, message, tmp_path):
    path = tmp_path / "rows.jsonl"
    sweep(quick, {"lr": [0.1]}, path=path)
    header = path.read_text().splitlines(keepends=True)[0]
    path.write_text(content.replace("HEADER", header))
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        sweep(quick, {"lr": [0.1]}, path=path)
    assert path.read_bytes() == before


def test_the_file_of_another_sweep_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    sweep(quick, {"lr": [0.1]}, path=path)
    with pytest.raises(DataError, match=r"another sweep: its make is 'sweeps.quick', and not 'sw"):
        sweep(make, {"lr": [0.1]}, path=path)
    with pytest.raises(DataError, match=r"another sweep: its settings is \['lr'\], and not \['lr"):
        sweep(quick, {"lr": [0.1], "n": [1]}, path=path)
    assert len(sweep(partial(quick), {"lr": [0.1, 0.2]}, path=path)) == 2


def test_a_row_that_cannot_be_written_leaves_whole_lines(tmp_path):
    done = run_python("""
import resource, sys
import sweeps
from tinygrad_edu.train import Sweep, sweep
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    sweep(sweeps.quick, {"lr": [0.1, 0.2]}, seeds=9, path=sys.argv[1])
except OSError as error:
    print(error)
print(len(Sweep.load(sys.argv[1])), open(sys.argv[1]).read()[-1:] == chr(10))
""", tmp_path / "rows.jsonl")
    assert done.returncode == 0, done.stderr
    message, figures = done.stdout.splitlines()
    assert message.startswith("sweep: cannot write ")
    count, is_whole = figures.split()
    assert 1 <= int(count) < 18
    assert is_whole == "True"


def test_a_device_is_not_written_to(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="it is not a file; give a file"):
        sweep(never, {"lr": [0.1]}, path=path)


@pytest.mark.parametrize(("path", "kind", "message"), [
    (3, TypeError, "path must be text or a Path"),
    ("", ValueError, "path must name a file"),
    ("rows.csv", ValueError, "'.csv' is not a format it can have; use one of .jsonl"),
    ("missing/rows.jsonl", FileNotFoundError, "is not a folder; create it first"),
    (".", IsADirectoryError, "it is a folder; name a file in it"),
])
def test_wrong_paths_are_named_before_anything_runs(path, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        sweep(never, {"lr": [0.1]}, path=path)
    with pytest.raises((TypeError, ValueError, OSError)):
        Sweep.load(path)


# ---- workers that fail


def test_the_death_of_a_worker_names_the_remedy_and_keeps_the_rows(tmp_path):
    flag = tmp_path / "flag"
    path = tmp_path / "rows.jsonl"
    flag.touch()
    grid = {"lr": [0.01, 0.1, 0.2, 0.3, 1.0, 0.4], "flag": [str(flag)]}
    with ProcessPoolExecutor(2, SPAWN) as pool, pytest.raises(WorkerError) as caught:
        sweep(sweeps.dying, grid, seeds=2, executor=pool, path=path)
    message = str(caught.value)
    assert "a worker process died, and the pool with it" in message
    assert "use fewer workers" in message
    assert "lr=1, flag=" in message
    assert "call sweep again, with a new executor and the same path" in message
    done = caught.value.sweep
    assert f"has the {len(done)} rows of 12" in message
    assert sorted(bits_of_rows(done)) == sorted(bits_of_rows(Sweep.load(path)))
    with ProcessPoolExecutor(2, SPAWN) as pool:
        found = sweep(sweeps.dying, grid, seeds=2, executor=pool, path=path)
        assert bits_of_rows(found) == bits_of_rows(sweep(sweeps.dying, grid, seeds=2))


def never(seed, lr):
    raise AssertionError("it was called")


def module_that_only_this_process_has():
    module = ModuleType("only_here")
    sys.modules["only_here"] = module
    module.local = FunctionType(never.__code__, {}, "local")
    module.local.__module__ = "only_here"
    module.local.__qualname__ = "local"
    return module.local


def test_functions_that_processes_cannot_import_are_refused_before_anything_runs(pool):
    def nested(seed, lr):
        return never(seed, lr)

    for wrong, name in [
        (lambda seed, lr: never(seed, lr), "<lambda>"), (nested, "nested"),
        (partial(nested), "nested"), (partial(with_lock, threading.Lock()), "with_lock"),
    ]:
        with pytest.raises(TypeError, match=rf"make cannot be .*{name}, which processes cannot im"
                                            r".*: define it at the top level of a module"):
            sweep(wrong, {"lr": [0.1]}, executor=pool)
    with pytest.raises(TypeError, match=r"workers cannot import from only_here \(ModuleNotFound.*"
                                        r"define it in a module of its own, such as exp"):
        sweep(module_that_only_this_process_has(), {"lr": [0.1]}, executor=pool)
    assert sweep(quick, {"lr": [0.1]}, executor=pool) == sweep(quick, {"lr": [0.1]})  # it lives


def with_lock(lock, seed, lr):
    return never(seed, lr)


SCRIPT = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import sweeps
from tinygrad_edu.train import sweep

def make(seed, lr):
    return sweeps.quick(seed, lr)

IF
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        print([row.seed for row in sweep(make, {"lr": [0.1]}, seeds=2, executor=pool)])
"""


@pytest.mark.parametrize(("guard", "as_file", "said"), [
    ('if __name__ == "__main__":', True, "[0, 1]\n"),
    ('if __name__ == "__main__":', False, "TypeError: sweep: make cannot be make, which the "
                                          "workers cannot import from __main__ (AttributeError: "),
    ("if True:", True, "WorkerError: sweep: executor: a worker process ended at its start. A "
                       "script that makes processes needs the line `if __name__ == "),
], ids=["a script", "a prompt", "a script without its guard"])
def test_functions_of_a_script(guard, as_file, said, tmp_path):
    code = SCRIPT.replace("IF", guard)
    file = tmp_path / "script.py"
    file.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, *([str(file)] if as_file else ["-c", code])], env=environment, text=True,
        capture_output=True, timeout=60, check=False,
    )
    assert said in done.stdout + done.stderr


def test_an_executor_that_was_shut_down_is_named():
    with ThreadPoolExecutor(1) as threads:
        pass
    with pytest.raises(WorkerError, match="could not run a task: RuntimeError: cannot"):
        sweep(quick, {"lr": [0.1]}, executor=threads)


# ---- what is not a sweep


@pytest.mark.parametrize(("wrong", "message"), [
    (sweeps.nothing, r"nothing must return the History of fit, .* not NoneType \(None\) \(a f"),
    (sweeps.a_pair, r"a_pair must return .* not tuple .*; return the history, and save .*nn.save"),
    (sweeps.a_text, r"a_text must return figures that are numbers: the figure 'accuracy' that"),
    (sweeps.outside, r"outside changes MODEL, which was made outside .*; make it inside outside"),
    (sweeps.of_default, "of_default changes (MODEL|a default of make), which was made outside"),
    (partial(sweeps.outside), r"outside changes MODEL, which"),
])
def test_functions_that_break_the_contract_are_refused_wherever_they_run(wrong, message, pool):
    for executor in (None, pool):
        with pytest.raises(TypeError, match=f"sweep: make: {message}"):
            sweep(wrong, {"lr": [0.1]}, executor=executor)


def test_a_model_of_a_closure_is_outside():
    model = nn.MLP(2, [1], rng=0)

    def closed(seed, lr):
        return sweeps.of_default(seed, lr, model)

    with pytest.raises(TypeError, match="closed changes model, which was made outside"):
        sweep(closed, {"lr": [0.1]})


class Trainer:
    def __init__(self):
        self.model = nn.MLP(2, [1], rng=0)

    def __call__(self, seed, lr):
        return sweeps.of_default(seed, lr, self.model)

    def method(self, seed, lr):
        return self(seed, lr)


@pytest.mark.parametrize("name", ["__call__", "method"])
def test_a_model_of_an_object_is_outside(name):
    trainer = Trainer()
    with pytest.raises(TypeError, match="changes model, which was made outside"):
        sweep(trainer if name == "__call__" else trainer.method, {"lr": [0.1]})


def test_a_model_from_outside_may_be_read():
    teacher = nn.MLP(2, [4, 1], rng=3)

    def taught(seed, lr):
        targets = [teacher(x).data for x in sweeps.X]
        model = nn.MLP(2, [2, 1], rng=seed)
        optimizer = optim.SGD(model.parameters(), lr=lr)
        return fit(model, nn.mse, sweeps.X, targets, optimizer=optimizer, epochs=2)

    assert sweep(taught, {"lr": [0.1]})[0].error == ""


@pytest.mark.parametrize(("grid", "kind", "message"), [
    ([0.1], TypeError, r"grid must be a dict of lists, not list .*; write a list of values for"),
    ({"lr": 0.1}, TypeError, r"grid\['lr'\] must be a list of values, not float \(0.1\); write"),
    ({"lr": "0.1"}, TypeError, r"grid\['lr'\] must be a list of values, not str"),
    ({"lr": []}, ValueError, r"grid\['lr'\] must have at least one value, not \[\], which is emp"),
    ({"lr": [0.1, 0.1]}, ValueError, r"grid\['lr'\] has 0.1 twice in .*; give each value once"),
    ({"layers": [8, 8]}, ValueError, r"has 8 twice .* needs a list around it: \[\[8, 8\]\]"),
    ({0: [1]}, TypeError, r"the name of a setting must be text, not int"),
    ({"l r": [1]}, ValueError, r"must be a name of an argument of make, not 'l r'"),
    ({"lr": [object]}, TypeError, None),
    ({"lr": [threading.Lock()]}, TypeError, r"a value of lr cannot be lock .*; use numbers, text"),
    ({"lr": [lambda: 1]}, TypeError, r"a value of lr cannot be function .*; use numbers"),
    ({"rate": [0.1]}, TypeError, r"make must be a function of seed, rate, as grid has 1 setting, "
                                 r"not never\(seed, lr\): missing .*; write def make\(seed, ra"),
    ({"lr": [0.1], "seed": [1]}, TypeError, r"multiple values for argument 'seed'"),
    ({"lr": range(4_000), "n": range(4_000)}, ValueError, "would make 16000000 trainings"),
])
def test_wrong_grids_are_refused_before_anything_runs(grid, kind, message):
    if message is None:
        assert sweep(lambda seed, lr: quick(seed, 1.0), grid)[0].settings == {"lr": object}
        return
    with pytest.raises(kind, match=message):
        sweep(never, grid)


@pytest.mark.parametrize(("options", "kind", "message"), [
    ({"seeds": 0}, ValueError, "must be a whole number >= 1, not 0; give how many"),
    ({"seeds": 2.5}, TypeError, "must be a whole number, not float"),
    ({"seeds": []}, ValueError, r"must be different whole numbers, but \[\] is empty; give"),
    ({"seeds": [1, 1]}, ValueError, r"different whole numbers, but \[1, 1\] has a seed twice"),
    ({"seeds": [1, "2"]}, TypeError, r"\[1\] must be a whole number, not str"),
    ({"executor": 4}, TypeError, r"must be .*, not int .*; pass ProcessPoolExecutor\(4\)"),
    ({"executor": ProcessPoolExecutor}, TypeError, "must be a concurrent.futures.Execu"),
    ({"progress": "yes"}, TypeError, "must be True or False, not str"),
])
def test_wrong_arguments_are_refused_before_anything_runs(options, kind, message):
    (name,) = options
    with pytest.raises(kind, match=f"sweep: {name}.*{message}"):
        sweep(never, {"lr": [0.1]}, **options)


def test_numbers_of_numpy_become_numbers_of_python():
    numpy = pytest.importorskip("numpy")
    seen = []

    def typed(seed, lr, n):
        seen.append((type(lr), type(n), type(seed)))
        return quick(seed, lr)

    found = sweep(typed, {"lr": numpy.logspace(-2, 0, 2), "n": numpy.arange(1, 2)},
                  seeds=numpy.arange(1))
    assert set(seen) == {(float, int, int)}
    assert [row.settings for row in found] == [{"lr": 0.01, "n": 1}, {"lr": 1.0, "n": 1}]


# ---- the table


def rows(*figures, **more):
    return [Row({"lr": lr}, seed, 1.0, loss, loss, **more) for lr, seed, loss in figures]


def test_best_is_the_mean_over_seeds_and_no_training_of_it_failed():
    found = Sweep(rows((0.1, 0, 0.5), (0.1, 1, 0.3), (0.2, 0, 0.1), (0.2, 1, 0.8)))
    assert found.best() == {"lr": 0.1}
    lucky = Sweep([*found, *rows((0.3, 0, 0.0)), *rows((0.3, 1, 0.0), error="ImportError: x")])
    assert lucky.best() == {"lr": 0.1}
    rated = Sweep([
        Row({"lr": lr}, 0, 1.0, 0.5, 0.5, {"accuracy": x}) for lr, x in [(1, 0.5), (2, 0.9)]
    ])
    assert rated.best("accuracy", largest=True) == {"lr": 2}
    assert rated.best("accuracy") == {"lr": 1}
    with pytest.raises(ValueError, match="by must be one of last_loss, best_loss, first_loss, acc"):
        rated.best("acuracy")
    with pytest.raises(ValueError, match="no training of this sweep has 'last_loss': 1 row, of wh"):
        Sweep([Row({}, 0, error="ImportError: x")]).best()


def test_columns_for_pandas_keep_names_apart():
    settings = {"steps": 5, "accuracy": 1}
    row = Row(settings, 3, 1.0, 0.5, 0.25, {"accuracy": 0.75, "rate": 2.0}, steps=7)
    columns = Sweep([row, Row(settings, 4)]).to_dict()
    assert columns["setting.steps"] == [5, 5]
    assert columns["steps"] == [7, 0]
    assert columns["accuracy"] == [1, 1]
    assert columns["metric.accuracy"] == [0.75, None]
    assert columns["rate"] == [2.0, None]
    assert columns["seed"] == [3, 4]
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(columns)["last_loss"].mean() == 0.5


def test_the_table_is_short_unless_all_of_it_is_asked_for():
    found = Sweep(rows(*[(0.1 * k, 0, k) for k in range(1, 80)]))
    assert len(repr(found).splitlines()) == 55
    assert "... and 29 more; print(sweep.table()) has all" in repr(found)
    assert len(found.table().splitlines()) == 83
    assert repr(Sweep([])) == "Sweep: 0 trainings"
    assert max(map(len, repr(found).splitlines())) < 100


def test_the_progress_bar_counts_trainings(capsys):
    state = random.getstate()
    sweep(quick, {"lr": [0.1, 0.2]}, progress=True)
    assert random.getstate() == state
    out = capsys.readouterr().out
    assert "2/2" in out
    assert "lr=0.2, seed=0: loss 0.06667" in out


def test_an_empty_grid_is_one_setting():
    found = sweep(lambda seed: quick(seed, 0.3), {}, seeds=3)
    assert [row.seed for row in found] == [0, 1, 2]
    assert found.best() == {}


def test_a_history_of_no_steps_has_a_row():
    (row,) = sweep(lambda seed: History(), {})
    assert (row.first_loss, row.steps, row.is_sound) == (None, 0, False)
    assert repr(Sweep([row])).startswith("Sweep: 1 training\n")
