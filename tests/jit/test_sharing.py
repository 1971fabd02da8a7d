"""Memory that a batch shares with workers: nothing of it is left, and no part is written twice."""

import errno
import os
import sys
from array import array
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from textwrap import dedent

import pytest
from helpers import SPAWN, run_python

from tinygrad_edu import Value, jit
from tinygrad_edu.data.summation import BLOCK
from tinygrad_edu.jit.parallel import parts, sharing
from tinygrad_edu.jit.parallel.sharing import claimed, slots_of

X = array("d", [k / 7 for k in range(3_000)])
WEIGHT = Value(0.7, "weight")

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shared on Linux only")


def square(x):
    return WEIGHT * x * x + 1.0


def cut(count):
    """Yields X in chunks of so many samples."""
    for start in range(0, len(X), count):
        yield (X[start:start + count],)


@pytest.fixture
def small_parts(monkeypatch):
    """Divides batches into many parts."""
    monkeypatch.setattr(parts, "FIRST_SECONDS", 1e-9)
    monkeypatch.setattr(parts, "SHARED_BYTES", 8 * 2 * (BLOCK * 3 + 2))


class Late(Future):
    """Computes its result when that is asked for."""

    def __init__(self, call, times):
        super().__init__()
        self.call = call
        self.times = times

    def result(self, timeout=None):
        return [self.call() for _ in range(self.times)][-1]


class Direct(Executor):
    """Computes tasks in this process, those in ``again`` twice.

    places: for each task, where its part was: in shared memory, or sent.
    """

    def __init__(self, again=()):
        self.again = again
        self.places = []

    def submit(self, call, *args):
        *_, (_, place, *_) = args
        self.places.append("sent" if isinstance(place, bytearray) else "shared")
        return Late(partial(call, *args), 1 + (len(self.places) in self.again))


# ---- nothing is left -----------------------------------------------------------------------------


def open_files(process="self"):
    """Returns the files of shared memory that a process has open, and what the system gave each."""
    found = {}
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            if (link := os.readlink(path)).startswith("/memfd:tinygrad_edu"):
                found[link] = path.stat().st_blocks
    return found


def memory(process="self"):
    """Returns how much shared memory a process keeps, in blocks of 512 bytes."""
    return sum(open_files(process).values())


class Interrupt:
    """Raises Ctrl-C at one of the lines that sharing.py and parts.py run in a ``with`` block.

    lines: how many of them ran.
    """

    def __init__(self, at):
        self.at = at
        self.lines = 0

    def __enter__(self):
        self.previous = sys.gettrace()
        sys.settrace(self.on_event)
        return self

    def __exit__(self, *_):
        sys.settrace(self.previous)

    def on_event(self, frame, event, arg):
        if frame.f_code.co_filename not in (sharing.__file__, parts.__file__):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self.on_event


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # what is left is closed so
def test_ctrl_c_at_any_line_leaves_no_file(small_parts):
    f = jit(square)
    results = array("d", bytes(8 * 300))

    def lines(at=None):
        WEIGHT.grad = 0.0
        with Interrupt(at) as interrupt, suppress(KeyboardInterrupt):
            f.batch_value_and_grad(iter([(X[:300],)]), executor=Direct(), out=(results, None))
        sharing._last = "", None  # what this process keeps as a worker
        return interrupt.lines

    count = lines()
    whole = WEIGHT.grad
    assert count > 100
    for at in range(1, count + 1):
        lines(at)
        assert open_files() == {}, f"line {at}"
        assert WEIGHT.grad in (0.0, whole)


def methods(test):
    """Runs a test with each way to start processes."""
    warning = "ignore:This process .* is multi-threaded:DeprecationWarning"
    test = pytest.mark.filterwarnings(warning)(test)
    return pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])(test)


@methods
def test_an_idle_worker_keeps_no_memory_of_a_batch(method, small_parts):
    f = jit(square)
    expected = f.batch(X)
    used = []
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        def chunks():
            for chunk in cut(100):
                yield chunk
                used.append(memory(worker))

        worker = pool.submit(os.getpid).result()
        for _ in range(2):
            found = [*f.batch(chunks(), executor=pool)]
            assert b"".join(map(bytes, found)) == bytes(expected)
            assert max(used) > 0
            assert memory(worker) == memory() == 0
            used.clear()


@methods
def test_a_worker_that_computes_when_a_batch_is_broken_off_keeps_no_memory(method):
    f = jit(square)
    chunk = (array("d", bytes(8 * 400_000)),)
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        for _ in range(5):
            results = f.batch(repeat(chunk), executor=pool)
            for _ in range(3):
                next(results)
            results.close()
            assert memory(pool.submit(os.getpid).result()) == 0  # the part was computed before


def test_memory_that_is_not_given_back_is_noticed(small_parts, monkeypatch):
    monkeypatch.setattr(sharing.mmap, "MADV_REMOVE", sharing.mmap.MADV_NORMAL)
    with ProcessPoolExecutor(1, SPAWN) as pool:
        for _ in jit(square).batch(cut(100), executor=pool):
            pass
        assert memory(pool.submit(os.getpid).result()) > 0


def test_a_process_that_was_copied_in_the_middle_takes_nothing_away():
    script = """
        import os, sys
        from concurrent.futures import ProcessPoolExecutor
        from array import array
        from helpers import SPAWN
        from tinygrad_edu import Value, jit
        def chunks():
            for k in range(40):
                if k == 30:
                    if os.fork() == 0:
                        sys.exit(0)
                    os.wait()
                yield (array("d", range(10_000)),)
        if __name__ == "__main__":
            w = Value(2.0)
            f = jit(lambda x: w * x)
            with ProcessPoolExecutor(1, SPAWN) as pool:
                values = [value for value, _ in f.batch_value_and_grad(chunks(), executor=pool)]
            expected = f.batch(range(10_000))
            print(all(value == expected for value in values), w.grad)
    """
    output = run_python(dedent(script)).stdout.split()
    assert output[-2:] == ["True", str(40.0 * sum(range(10_000)))]


# ---- a worker that was given up ------------------------------------------------------------------


def claim(place):
    """Returns whether a worker may compute a part of ten numbers."""
    with claimed(place, 10) as view:
        return view is not None


def begun(slots):
    """Returns the place and the slot of the next part of ten numbers."""
    place, view, slot = slots.begin(10)
    view.release()
    return place, slot


def test_a_part_that_is_over_is_not_claimed():
    with slots_of(80, 1) as slots:
        place, slot = begun(slots)
        slots.end(slot)
        assert not claim(place)
        begun(slots)
        assert not claim(place)


def test_nothing_is_claimed_when_the_memory_was_given_back():
    with slots_of(80, 2) as slots:
        places = [begun(slots)[0] for _ in range(2)]
        assert claim(places[0])
    for place in places:
        assert not claim(place)
    del slots
    assert memory() == 0


def test_a_file_that_is_not_the_shared_memory_is_left_alone(tmp_path, monkeypatch):
    with (tmp_path / "file").open("w+b") as file, slots_of(80, 1) as slots:
        file.write(b"x" * 4096)
        file.flush()
        (_, label, *rest), _ = begun(slots)
        place = f"/proc/self/fd/{file.fileno()}", label, *rest
        with monkeypatch.context() as patched:
            patched.setattr(sharing, "open", pytest.fail, raising=False)
            assert not claim(place)
        sharing._last = "", None  # or it would know
        usual = os.readlink
        links = iter([f"/memfd:{label} (deleted)"])  # it was there a moment ago
        monkeypatch.setattr(os, "readlink", lambda path: next(links, None) or usual(path))
        assert not claim(place)
    assert (tmp_path / "file").read_bytes() == b"x" * 4096


def test_without_memory_for_a_part_the_numbers_are_sent(small_parts, monkeypatch):
    def fails(*_):
        if len(executor.places) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    executor = Direct()
    monkeypatch.setattr(os, "posix_fallocate", fails)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    f = jit(square)
    found = [*f.batch(cut(500), executor=executor)]
    assert b"".join(map(bytes, found)) == bytes(f.batch(X))
    assert executor.places[4:7] == ["shared", "sent", "sent"]


def test_a_slot_is_used_again_unless_several_workers_claimed_it():
    with slots_of(80, 1) as slots:
        for _ in range(3):
            place, slot = begun(slots)
            assert claim(place)
            slots.end(slot)
            assert slots.usable == 1
        place, slot = begun(slots)
        assert claim(place)
        assert claim(place)
        slots.end(slot)
        assert slots.usable == 0
        assert slots.begin(10) is None


class Head:
    """The numbers in front of a slot, as a worker reads and writes them; before access ``at`` of
    them something else happens."""

    def __init__(self, numbers, at, happens):
        self.numbers = numbers
        self.left = at
        self.happens = happens

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.numbers.release()

    def access(self):
        if self.left == 0:
            self.happens()
        self.left -= 1

    def __getitem__(self, key):
        self.access()
        return self.numbers[key]

    def __setitem__(self, key, number):
        self.access()
        self.numbers[key] = number


def claim_while(place, at, happens, monkeypatch):
    """Does what `claim` does; before access ``at`` to the numbers of the slot something happens."""
    usual = sharing._head

    def with_event(*args):
        monkeypatch.setattr(sharing, "_head", usual)
        return Head(usual(*args), at, happens)

    monkeypatch.setattr(sharing, "_head", with_event)
    return claim(place)


@pytest.mark.parametrize("at", range(5))
def test_of_two_workers_that_begin_together_at_most_one_passes_as_the_only_one(at, monkeypatch):
    with slots_of(80, 1) as slots:
        place, slot = begun(slots)
        others = []
        assert claim_while(place, at, lambda: others.append(claim(place)), monkeypatch)
        assert others == [True]
        slots.end(slot)
        assert slots.usable == 0


@pytest.mark.parametrize("at", range(4))
def test_a_worker_that_begins_while_the_part_ends_is_refused_or_seen(at, monkeypatch):
    with slots_of(80, 1) as slots:
        place, slot = begun(slots)
        assert claim(place)
        late = claim_while(place, at, lambda: slots.end(slot), monkeypatch)
        assert not late or slots.usable == 0


def test_a_part_that_was_computed_twice_does_not_end_sharing(small_parts, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    f = jit(square)
    executor = Direct(again=[4, 6, 9])
    found = [*f.batch(cut(500), executor=executor)]
    assert b"".join(map(bytes, found)) == bytes(f.batch(X))
    assert len(executor.places) > 2 * 5  # slots, of which three are not used again
    assert set(executor.places) == {"shared"}
