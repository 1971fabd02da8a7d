"""Batches in chunks and on executors: the bits of one call in one process, or a clear error."""

import importlib
import os
import random
import signal
import sys
import threading
import time
from array import array
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate, pairwise
from textwrap import dedent

import parallel_tasks
import pytest
from helpers import SPAWN, dask_cluster, run_python
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value, define, detect_anomaly, jit, math, nn, take
from tinygrad_edu.data.summation import BLOCK
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.errors import NonFiniteError, PrimitiveError, WorkerError
from tinygrad_edu.jit.parallel import parts, tasks
from tinygrad_edu.jit.parallel.sharing import Slots

numpy = pytest.importorskip("numpy")

COUNT = 3_000
RANDOM = random.Random(0)
X, Y = (array("d", [RANDOM.gauss(0, 1) for _ in range(COUNT)]) for _ in range(2))


@pytest.fixture(scope="module")
def cluster():
    with dask_cluster(2) as made:
        yield made


@contextmanager
def dask(cluster, workers):
    """Makes a client of so many worker processes."""
    cluster.scale(workers)
    with cluster.get_client() as client:
        while len(client.nthreads()) != workers:
            time.sleep(0.02)
        yield client


WEIGHT = Value(0.7, "weight")


def energy(x, y, k):
    """Depends on columns, on a number that samples share, and on a leaf."""
    return math.tanh(WEIGHT * x + k) * y - math.log(1.0 + x * x) / k


def cut_at(columns, sizes):
    """Yields chunks of columns."""
    for start, stop in pairwise(accumulate(sizes, initial=0)):
        yield tuple(x if isinstance(x, float) else x[start:stop] for x in columns)


def bits_of(pairs):
    """Returns all bits that a batch with its gradient gave, for one pair or one for each chunk."""
    weight = WEIGHT.grad
    WEIGHT.grad = 0.0
    columns = [b"".join(bytes(memoryview(x)) for x in part)
               for part in zip(*[(value, dx, dy) for value, (dx, dy, _) in pairs])]
    return [*columns, pairs[-1][1][2].hex(), weight.hex()]


def whole():
    """Returns the bits of one call in this process."""
    return bits_of([jit(energy).batch_value_and_grad(X, Y, 1.5)])


# ---- the same bits -------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 5))
def test_chunks_of_any_sizes_have_the_bits_of_one_call(sizes, blocks):
    sizes = [size for size, end in zip(sizes, accumulate(sizes)) if end <= COUNT]
    sizes.append(COUNT - sum(sizes))
    f = jit(energy)
    before = parts.PART_BYTES
    parts.PART_BYTES = 8 * blocks * (BLOCK * 5 + 2)
    try:
        found = list(f.batch_value_and_grad(cut_at((X, Y, 1.5), sizes)))
    finally:
        parts.PART_BYTES = before
    assert [len(value) for value, _ in found] == sizes
    assert [gradient[2] for _, gradient in found[:-1]] == [None] * (len(sizes) - 1)
    assert bits_of(found) == whole()


def test_every_executor_gives_the_same_bits(pool, threads, cluster):
    f = jit(energy)
    expected = whole()
    sizes = [100, 0, 1, BLOCK, 1_000, COUNT - 1_165]

    def check(executor):
        assert bits_of([f.batch_value_and_grad(X, Y, 1.5, executor=executor)]) == expected
        chunks = cut_at((X, Y, 1.5), sizes)
        assert bits_of(list(f.batch_value_and_grad(chunks, executor=executor))) == expected

    check(threads)
    check(pool)
    for workers in (2, 3):
        with dask(cluster, workers) as client:
            check(client.get_executor(pure=False))
            check(client.get_executor())


def test_sums_of_blocks_in_another_order_are_noticed(pool, monkeypatch):
    usual = parts.Totals.add
    monkeypatch.setattr(parts, "SHARED_BYTES", 8 * 10 * (BLOCK * 5 + 2))
    monkeypatch.setattr(parts.Totals, "add", lambda self, rows: usual(self, reversed_rows(rows, 2)))
    f = jit(energy)
    found = bits_of([f.batch_value_and_grad(X, Y, 1.5, executor=pool)])
    assert found[:3] == whole()[:3]
    assert found[3:] != whole()[3:]


def reversed_rows(rows, count):
    numbers = [list(rows[i:i + count]) for i in range(0, len(rows), count)]
    return memoryview(array("d", [x for row in reversed(numbers) for x in row]))


def test_random_numbers_are_drawn_here_in_the_order_of_the_samples(pool):
    def found(**options):
        layers = nn.Layer(1, 4, rng=1), nn.Dropout(0.5, rng=2), nn.Layer(4, 1, rng=3)
        model = nn.Sequential(*layers)
        return bytes(memoryview(jit(lambda x: model([x])).batch(X, **options)))

    assert found(executor=pool) == found()


def test_long_programs_and_several_results(pool):
    def many(x, y):
        total = x
        for k in range(4_000):
            total = total * 0.999 + math.sin(y * k)
        return {"sum": total, "pair": (x > y, -total)}

    f = jit(many)
    columns = X[:70], Y[:70]
    alone = f.batch(*columns)
    assert f.batch(*columns, executor=pool) == alone
    assert [*f.batch(cut_at(columns, [50, 20]), executor=pool)] == [
        {"sum": alone["sum"][i:j], "pair": tuple(x[i:j] for x in alone["pair"])}
        for i, j in ((0, 50), (50, 70))
    ]


@pytest.mark.parametrize("kind", ["pyarrow", "pandas", "polars", "dict"])
def test_tables_are_chunks_whose_columns_have_the_names_of_arguments(pool, kind):
    make = dict
    if kind != "dict":
        module = pytest.importorskip(kind)
        make = module.table if kind == "pyarrow" else module.DataFrame
    f = jit(energy)
    tables = [make({"y": numpy.array(y), "x": numpy.array(x)})
              for x, y in cut_at((X, Y), [70, COUNT - 70])]
    found = list(f.batch(iter(tables), k=1.5, executor=pool))
    assert all(isinstance(x, numpy.ndarray) for x in found)
    assert b"".join(x.tobytes() for x in found) == whole()[0]


def test_a_parquet_file_of_ten_million_rows(pool, cluster, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    count = 10_000_000
    rng = numpy.random.default_rng(0)
    columns = {"x": rng.normal(size=count), "y": rng.normal(size=count)}
    table = arrow.table({**columns, "row": numpy.arange(count, dtype="i4")})
    parquet.write_table(table, tmp_path / "rows.parquet")
    f = jit(lambda x, y, k: math.sqrt(x * x + y * y) * k)
    value, (dx, _, dk) = f.batch_value_and_grad(columns["x"], columns["y"], 0.7)

    def check(executor):
        out = numpy.empty(count), ((), {"x": numpy.empty(count), "y": None, "k": None})
        chunks = parquet.ParquetFile(tmp_path / "rows.parquet").iter_batches(columns=["x", "y"])
        found, (_, gradient) = f.batch_value_and_grad(chunks, k=0.7, executor=executor, out=out)
        assert found is out[0]
        assert (gradient["x"] is out[1][1]["x"], gradient["y"], gradient["k"]) == (True, None, dk)
        assert out[0].tobytes() == value.tobytes()
        assert out[1][1]["x"].tobytes() == dx.tobytes()

    check(pool)
    for workers in (2, 3):
        with dask(cluster, workers) as client:
            check(client.get_executor(pure=workers == 2))  # pure: Dask does not run a task twice


# ---- workers -------------------------------------------------------------------------------------


def test_a_worker_compiles_a_program_once_and_keeps_it():
    f = jit(energy)
    again = jit(energy)  # another program, with the same digest
    with ProcessPoolExecutor(1, SPAWN) as single:
        f.batch(X, Y, 1.5, executor=single)
        before = single.submit(parallel_tasks.recipes).result()
        f.batch(X, Y, 1.5, executor=single)
        again.batch(X[:100], Y[:100], 2.5, executor=single)
        assert single.submit(parallel_tasks.recipes).result() == before
        assert len(before[1]) == 1
        f.batch(X, 1.0, 1.5, executor=single)
        assert len(single.submit(parallel_tasks.recipes).result()[1]) == 2


def test_a_worker_that_was_sent_nothing_asks_for_it(pool):
    shared = tasks.Shared("a thing")
    answer = pool.submit(tasks.perform, str.upper, [shared.digest], {}, []).result()
    assert answer == tasks.Missing([shared.digest])


@pytest.mark.parametrize("kind", ["plain", "nested", "grouped", "locked", "silent"])
def test_an_error_that_would_not_arrive_is_named(kind, pool):
    answer = pool.submit(tasks.perform, parallel_tasks.refuse, [], {}, [kind]).result()
    assert type(answer.error) is RuntimeError
    assert parallel_tasks.REFUSED[kind] in str(answer.error)


def test_an_error_arrives_as_it_is(pool):
    answer = pool.submit(tasks.perform, float, [], {}, ["x"]).result()
    assert repr(answer.error) == """ValueError("could not convert string to float: 'x'")"""


def test_gradients_do_not_need_numpy():
    script = """
        import sys
        from array import array
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        from multiprocessing import get_context
        from tinygrad_edu import Value, jit
        if __name__ == "__main__":
            sys.modules["numpy"] = None
            w = Value(2.0)
            f = jit(lambda x: w * x)
            for pool in ThreadPoolExecutor(1), ProcessPoolExecutor(1, get_context("spawn")):
                with pool:
                    for count in 100, 300_000:
                        w.grad = 0.0
                        f.batch_value_and_grad(array("d", range(count)), executor=pool)
                        print(w.grad == sum(range(count)))
    """
    done = run_python(dedent(script))
    assert done.stdout.split() == ["True"] * 4, done.stderr


def test_a_worker_that_computes_other_digits_is_named():
    f = jit(energy)
    with ProcessPoolExecutor(1, SPAWN) as single:
        single.submit(parallel_tasks.compute_otherwise).result()
        with pytest.raises(WorkerError, match=r"a worker on .* computes other last digits"):
            f.batch(X, Y, 1.5, executor=single)


def test_a_primitive_of_your_own_is_that_of_the_moment(threads):
    for factor in (2.0, 3.0):
        define("times", lambda x, k=factor: k * x, lambda x, o, k=factor: k + 0.0 * x)
        try:
            found = jit(lambda x: TABLE["times"](x) + 1.0).batch([1.0, 2.0], executor=threads)
            assert found.tolist() == [factor + 1.0, 2 * factor + 1.0]
        finally:
            del TABLE["times"]


@pytest.fixture
def small_parts(monkeypatch):
    """Divides batches into many parts."""
    monkeypatch.setattr(parts, "FIRST_SECONDS", 1e-9)
    for name in ("PART_BYTES", "SHARED_BYTES"):
        monkeypatch.setattr(parts, name, 8 * 2 * (BLOCK * 5 + 2))


def test_a_worker_that_lacks_shared_memory_is_sent_the_numbers(small_parts):
    f = jit(energy)
    with ProcessPoolExecutor(1, SPAWN) as single:
        single.submit(parallel_tasks.lose_memory).result()
        chunks = cut_at((X, Y, 1.5), [700, 2_300])
        assert bits_of(list(f.batch_value_and_grad(chunks, executor=single))) == whole()


def test_without_shared_memory_the_numbers_are_sent(tmp_path):
    script = """
        import resource, sys
        from array import array
        from concurrent.futures import ProcessPoolExecutor
        from helpers import SPAWN
        from tinygrad_edu import jit
        from tinygrad_edu.jit.parallel.sharing import slots_of
        if __name__ == "__main__":
            f = jit(lambda x: x * x + 1.0)
            x = array("d", range(300_000))
            expected = f.batch(x)
            with ProcessPoolExecutor(1, SPAWN) as pool:
                pool.submit(abs, 1).result()
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
                with slots_of(100_000, 3) as slots:
                    print(slots)
                print(f.batch(x, executor=pool) == expected)
    """
    assert run_python(dedent(script)).stdout.split() == ["None", "True"]


class Waiting(Executor):
    """Runs no task before so many were submitted; after 20 seconds it gives up."""

    def __init__(self, count):
        self.left = count
        self.enough = threading.Event()
        self.gave_up = False
        self.pool = ThreadPoolExecutor(6)

    def submit(self, *call):
        self.left -= 1
        if self.left == 0:
            self.enough.set()
        return self.pool.submit(self.run, *call)

    def run(self, call, *args):
        if not self.enough.wait(20):
            self.gave_up = True
            self.enough.set()
        return call(*args)


def test_all_workers_of_a_large_machine_are_used(small_parts, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    executor = Waiting(2 * 6)
    chunks = cut_at((X, Y, 1.5), [COUNT])
    assert bits_of(list(jit(energy).batch_value_and_grad(chunks, executor=executor))) == whole()
    assert not executor.gave_up


class Retrying(Executor):
    """Has tasks computed again, as if a worker had been given up that had almost finished."""

    def submit(self, call, *args):
        call(*args)
        future = Future()
        future.set_result(call(*args))
        return future


def test_parts_that_were_computed_twice_have_the_same_bits(small_parts):
    chunks = cut_at((X, Y, 1.5), [700, 2_300])
    found = jit(energy).batch_value_and_grad(chunks, executor=Retrying())
    assert bits_of(list(found)) == whole()


class GivingUp(Executor):
    """Gives a worker up in the middle of its third task.  It goes on when another worker has
    computed the fourth."""

    def __init__(self):
        self.tasks = 0
        self.goes_on = threading.Event()
        self.stopped = threading.Event()

    def row(self, x):
        if threading.current_thread().name == "stopped" and not self.stopped.is_set():
            self.stopped.set()
            self.goes_on.wait(60)
        return 2.0 * x

    def submit(self, *call):
        self.tasks += 1
        if self.tasks == 3:
            self.thread = threading.Thread(target=call[0], args=call[1:], name="stopped")
            self.thread.start()
            assert self.stopped.wait(60)
        future = Future()
        future.set_result(call[0](*call[1:]))
        if self.tasks == 4:
            self.goes_on.set()
            self.thread.join()
        return future


@pytest.mark.parametrize("is_safe", [True, False], ids=["as it is", "a planted bug"])
def test_a_worker_that_was_given_up_and_goes_on_does_not_change_later_parts(
    is_safe, small_parts, monkeypatch
):
    executor = GivingUp()
    row = define(f"doubled_{is_safe}", executor.row, lambda x, o: 2.0 + 0.0 * x)
    if not is_safe:
        monkeypatch.setattr(Slots, "end", lambda self, slot: self._free.append(slot))
    (found,) = jit(lambda x: row(x)).batch(iter([X]), executor=executor)
    assert executor.tasks > 4
    assert (found == array("d", [2.0 * x for x in X])) == is_safe


def killing(chunks, at, kill):
    """Yields chunks, and calls ``kill`` before one of them."""
    for k, chunk in enumerate(chunks):
        if k == at:
            kill()
        yield chunk


def test_the_death_of_a_process_is_an_error_with_a_remedy_and_leaves_nothing_half_written(
    monkeypatch
):
    monkeypatch.setattr(parts, "SHARED_BYTES", 8 * 4 * (BLOCK * 5 + 2))
    sizes = [200] * 15
    f = jit(energy)
    expected = f.batch(X, Y, 1.5)
    out = array("d", [-7.0]) * COUNT
    with ProcessPoolExecutor(1, SPAWN) as pool:
        pid = pool.submit(os.getpid).result()
        chunks = killing(cut_at((X, Y, 1.5), sizes), 12, lambda: os.kill(pid, signal.SIGTERM))
        with pytest.raises(WorkerError, match=r"a worker process died.*Dask.*a new ex") as raised:
            f.batch_value_and_grad(chunks, executor=pool, out=(out, None))
    done = raised.value.samples
    assert 0 < done < COUNT
    assert f"out has the results of the first {done:,} samples" in str(raised.value)
    assert done % BLOCK == 0
    assert out[:done] == expected[:done]
    assert set(out[done:]) == {-7.0}
    assert WEIGHT.grad == 0.0


def test_dask_has_the_same_bits_after_the_death_of_a_worker(cluster):
    f = jit(energy)
    with dask(cluster, 2) as client:
        first = next(iter(client.run(os.getpid).values()))
        chunks = killing(cut_at((X, Y, 1.5), [200] * 15), 12,
                         lambda: os.kill(first, signal.SIGTERM))
        executor = client.get_executor(pure=False)
        assert bits_of(list(f.batch_value_and_grad(chunks, executor=executor))) == whole()


def test_a_chunk_may_be_in_the_memory_of_the_one_before(pool, threads):
    def reused():
        for k in range(6):
            memory[:] = k
            yield memory

    f = jit(lambda x: 2.0 * x)
    memory = numpy.empty(1_000)
    for executor in (None, threads, pool):
        found = list(f.batch(reused(), executor=executor))
        assert [set(part) for part in found] == [{2.0 * k} for k in range(6)]


def test_what_chunks_raise_comes_after_the_results_before(pool, threads):
    def failing(columns):
        yield columns
        yield columns
        raise OSError("the disk")

    f = jit(energy)
    for executor in (None, threads, pool):
        found = []
        with pytest.raises(OSError, match="the disk") as raised:
            found.extend(f.batch_value_and_grad(failing((X, Y, 1.5)), executor=executor))
        assert raised.value.__notes__ == ["batch: the first 6,000 samples have their results"]
        assert [value for value, _ in found] == [f.batch(X, Y, 1.5)] * 2
        assert [gradient[2] for _, gradient in found] == [None] * 2
    assert WEIGHT.grad == 0.0


def test_small_chunks_are_not_held_back(pool, threads):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield X[:10], Y[:10], 1.5

    pending = 64 * (2 * os.cpu_count() + 4)  # a part has 64 small chunks
    for executor, most in ((None, 128), (threads, 12_000), (pool, pending)):
        taken.clear()
        results = jit(energy).batch(endless(), executor=executor)
        for _ in range(100):
            assert len(next(results)) == 10
        assert len(taken) <= most
        results.close()


def test_whole_numbers_that_no_float_is_equal_to_are_named(pool):
    f = jit(lambda x: 2.0 * x)
    column = numpy.arange(40_000)
    column[39_999] = 2**53 + 1
    for executor in (None, pool):
        with pytest.raises(TypeError, match=r"column x\[39999\] is 9007199254740993"):
            f.batch(iter([(column,)]), out=numpy.empty(40_000), executor=executor)


def test_a_primitive_that_was_defined_again_is_refused_by_an_old_worker(tmp_path, monkeypatch):
    rows = "from tinygrad_edu import define\n" \
        "define('tripled', lambda x: {0} * x, lambda x, o: {0} + 0.0 * x, replace=True)"
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "tripled_rows.py"
    path.write_text(rows.format(2.0))
    module = importlib.import_module("tripled_rows")
    with ProcessPoolExecutor(1, SPAWN) as single:
        def tripled():
            return jit(lambda x: TABLE["tripled"](x)).batch([1.0, 2.0], executor=single).tolist()

        assert tripled() == [2.0, 4.0]
        path.write_text(rows.format(3.0) + "  # of another length")
        importlib.reload(module)
        with pytest.raises(PrimitiveError, match="tripled has another definition in this worker"):
            tripled()
    del TABLE["tripled"], sys.modules["tripled_rows"]


def test_an_error_of_the_function_is_the_one_of_a_call_here(pool, threads):
    f = jit(lambda i: take([1.0, 2.0, 3.0], i))
    for executor in (None, pool, threads):
        with pytest.raises(IndexError, match=r"take: the index of every sample must be .* 0 to 2"):
            f.batch([0.0, 1.0, 5.0], executor=executor)


def test_operations_are_watched_in_this_process(pool):
    f = jit(lambda x: math.log(x))
    with detect_anomaly(), pytest.raises(NonFiniteError, match="log"):
        f.batch([1.0, 0.0], executor=pool)
    with detect_anomaly(), pytest.raises(NonFiniteError, match="log"):
        list(f.batch(iter([([1.0, 2.0],), ([0.0],)])))


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    script = """
        import resource, sys
        import numpy
        from tinygrad_edu import jit
        f = jit(lambda x, y: x * y + 1.0)
        count = 20_000_000
        def chunks():
            for k in range(20):
                yield numpy.full(count // 20, float(k)), numpy.arange(count // 20) * 1.0
        def used():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        next(f.batch(chunks()))
        before = used()
        out = numpy.memmap(sys.argv[1], "float64", "w+", shape=count)
        f.batch(chunks(), out=out)
        columns = numpy.memmap(sys.argv[1], "float64", "r", shape=count)
        print(used() - before, columns[-1], f.batch(iter([(columns, 1.0)]), out=out)[-1])
    """
    grown, last, again = run_python(dedent(script), tmp_path / "out").stdout.split()
    assert int(grown) < 80  # megabytes, of 160 that were written
    assert float(last) == 19 * 999_999 + 1.0
    assert float(again) == float(last) + 1.0


# ---- wrong arguments -----------------------------------------------------------------------------

F = jit(lambda x, y: {"sum": x + y, "both": [x, y]})
G = jit(lambda x, y: x * y)
TWO = array("d", [1.0, 2.0])
ROOM = array("d", bytes(16))


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: G.batch(TWO, TWO, executor=4), TypeError,
     r"batch: executor must be a concurrent.futures.Executor or None, not int .4.; pass Proc"),
    (lambda: G.batch(TWO, TWO, threads=2, executor=ThreadPoolExecutor()), ValueError,
     "threads must be 1 with an executor or an iterator of chunks, not 2; pass executor=Thread"),
    (lambda: G.batch(TWO, TWO, out=[0.0, 0.0]), TypeError,
     r"out must be a writable buffer of doubles, one after the other, not \[0.0, 0.0\]; write nu"),
    (lambda: G.batch(TWO, TWO, out=numpy.zeros(4)[::2]), TypeError, "one after the other"),
    (lambda: G.batch(TWO, TWO, out=numpy.zeros(2, "f4")), TypeError, "buffer of doubles"),
    (lambda: G.batch(TWO, TWO, out=bytes(16)), TypeError, "buffer of doubles"),
    (lambda: G.batch(TWO, TWO, out=array("d", [0.0])), ValueError,
     "out has room for 1 sample, and there are more; pass longer buffers"),
    (lambda: G.batch(TWO, TWO, out=array("d", bytes(24))), ValueError,
     r"out has room for 3 samples, and there were 2, whose results are there; pass out\[:2\]"),
    (lambda: F.batch(TWO, TWO, out=ROOM), TypeError,
     r"out must be \{'sum': \*, 'both': \[\*, \*\]\}, with a buffer for each"),
    (lambda: F.batch(TWO, TWO, out={"sum": ROOM, "both": [ROOM, array("d", [0.0])]}), ValueError,
     "the buffers of out differ in length: 1, 2"),
    (lambda: G.batch_value_and_grad(TWO, 2.0, out=(ROOM, (ROOM, ROOM))), TypeError,
     r"out\[1\]\[1\] must be None, since the derivative with respect to a number that all sam"),
    (lambda: list(G.batch(iter([(TWO, TWO), (TWO, 3.0)]))), ValueError,
     "chunk 1 must have the columns of chunk 0; it is"),
    (lambda: list(G.batch(iter([(TWO, 2.0), (TWO, 3.0)]))), ValueError,
     "a number that all samples share, or a parameter, is not the same in all chunks; make it a"),
    (lambda: list(G.batch(iter([{"x": TWO, "z": TWO}]))), TypeError,
     r"chunk 0 has a column 'z', which is not an argument of the function \(x, y\); leave it out"),
    (lambda: list(G.batch(iter([{"x": TWO, "y": TWO}]), y=2.0)), TypeError,
     "y is a column of chunk 0, and was also passed by name; leave one of them out"),
    (lambda: G.batch(iter([]), out=ROOM), ValueError, "there are no chunks"),
    (lambda: G.batch(iter([(1.0, 2.0)])), ValueError, "there is no column among the arguments"),
    (lambda: G.batch(pytest.importorskip("pyarrow").table({"x": TWO, "y": TWO})), TypeError,
     r"are arguments by name if it comes in an iterator of chunks; pass iter\(table.to_batches"),
    (lambda: jit(lambda out: out).batch(out=TWO), TypeError, "out is both an option and an arg"),
])
def test_wrong_arguments_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_no_chunks_have_no_results():
    assert list(G.batch(iter([]))) == []
    assert list(G.batch_value_and_grad(iter([(TWO[:0], TWO[:0])]))) == [
        (array("d"), (array("d"), array("d")))
    ]


def test_out_is_filled_and_returned(pool):
    out = {"sum": numpy.zeros(2), "both": [None, numpy.zeros(2)]}
    for options in ({}, {"executor": pool}):
        out["sum"][:] = 0.0
        assert F.batch(TWO, TWO, out=out, **options) is out
        assert out["sum"].tolist() == [2.0, 4.0]
        assert out["both"][1].tolist() == [1.0, 2.0]


def test_out_of_arrays_is_filled_in_place(pool):
    h = jit(lambda w, k: (w * w).sum() * k)
    w = numpy.arange(6.0).reshape(2, 3)
    expected = h.batch_value_and_grad(w, 2.0)
    for options in ({}, {"executor": pool}):
        out = numpy.zeros(3), (numpy.zeros((2, 3)), None)
        values, (slopes, total) = h.batch_value_and_grad(w, 2.0, out=out, **options)
        assert values is out[0]
        assert slopes is out[1][0]
        assert values.tolist() == expected[0].tolist()
        assert slopes.tolist() == expected[1][0].tolist()
        assert total == expected[1][1]
