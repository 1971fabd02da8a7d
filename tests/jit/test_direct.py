"""Calls with one list or array of floats, which go to compiled code without being taken apart: the
second call of each kind.  It must return what the first one does."""

import random
import threading
from array import array
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from helpers import bits, in_threads

from tinygrad_edu import Value, define, detect_anomaly, jacobian, jit, math, nn, no_grad, take
from tinygrad_edu.errors import NonFiniteError

RNG = random.Random(0)
NUMBERS = [RNG.uniform(-2.0, 2.0) for _ in range(12)]


def valley(xs):
    rows = xs if isinstance(xs, list) else xs.ravel()
    total = 0.0
    for x, after in pairwise(rows):
        total = total + 100 * (after - x * x) * (after - x * x) + (1 - x) * (1 - x)
    return total


def read_only(x):
    x = np.array(x)
    x.flags.writeable = False
    return x


def strided(x):
    return np.repeat(np.array(x), 2)[::2]


KINDS = {
    "list": list,
    "array": lambda x: array("d", x),
    "numpy": np.array,
    "matrix": lambda x: np.array(x).reshape(3, 4),
    "in the order of Fortran": lambda x: np.asfortranarray(np.array(x).reshape(3, 4)),
    "read-only": read_only,
    "strided": strided,
    "float32": lambda x: np.array(x, dtype="f4").astype("f4"),
    "big-endian": lambda x: np.array(x, dtype=">f8"),
    "objects": lambda x: np.array(x, dtype=object),
    "with Values": lambda x: [Value(x[0]), *x[1:]],
    "with ints": lambda x: [1, *x[1:]],
    "with numpy's numbers": lambda x: [np.float64(x[0]), *x[1:]],
    "array of float": lambda x: array("f", x),
}


def shown(result):
    """Returns a value with its gradient as something that can be compared, with types and bits."""
    value, slopes = result
    numbers = slopes.ravel().tolist() if isinstance(slopes, np.ndarray) else slopes
    return bits(value), type(value), type(slopes), np.shape(slopes), [*map(bits, numbers)]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_later_calls_return_what_the_first_one_does(make):
    used = jit(valley)
    used.value_and_grad(NUMBERS)
    used.value_and_grad(np.array(NUMBERS))
    used.value_and_grad(np.array(NUMBERS).reshape(3, 4))
    used([*NUMBERS])
    used(np.array(NUMBERS))
    for numbers in (NUMBERS, NUMBERS[::-1]):
        x = make(numbers)
        for _ in range(3):
            assert shown(used.value_and_grad(x)) == shown(jit(valley).value_and_grad(x))
            if make is not KINDS["with Values"]:
                assert bits(used(x)) == bits(jit(valley)(x))


def test_each_length_and_shape_has_its_own_program():
    f = jit(lambda x: math.total([*x.ravel()]) if hasattr(x, "ravel") else math.total(x))
    for count in (2, 3, 2, 4, 3):
        for _ in range(2):
            assert f.value_and_grad([1.0] * count) == (count, [1.0] * count)
            assert f.value_and_grad(np.ones(count))[1].shape == (count,)
            assert f.value_and_grad(np.ones((count, 1)))[1].shape == (count, 1)


@pytest.mark.parametrize("special", [float("nan"), float("inf"), -float("inf"), -0.0, 5e-324])
def test_special_numbers_keep_their_bits(special):
    f = jit(lambda x: x[0] * 1.0 + x[1])
    f.value_and_grad([1.0, 2.0])
    eager = special * 1.0 + -0.0
    assert bits(f.value_and_grad([special, -0.0])[0]) == bits(eager)
    assert bits(f.value_and_grad(np.array([special, -0.0]))[0]) == bits(eager)


# ---- out=


@pytest.mark.parametrize("make", [np.empty, lambda n: array("d", bytes(8 * n)),
                                  lambda n: memoryview(array("d", bytes(8 * n)))],
                         ids=["numpy", "array", "memoryview"])
@pytest.mark.parametrize("argument", [list, np.array], ids=["list", "numpy"])
def test_the_gradient_is_written_into_a_buffer(make, argument):
    f = jit(valley)
    value, slopes = jit(valley).value_and_grad(NUMBERS)
    for _ in range(3):
        out = make(len(NUMBERS))
        found, returned = f.value_and_grad(argument(NUMBERS), out=out)
        assert returned is out
        assert (bits(found), [*map(bits, out.tolist())]) == (bits(value), [*map(bits, slopes)])


def test_an_argument_may_be_its_own_out():
    f = jit(valley)
    _, slopes = f.value_and_grad(NUMBERS)
    for _ in range(3):
        x = np.array(NUMBERS)
        f.value_and_grad(x, out=x)
        assert x.tolist() == slopes


@pytest.mark.parametrize("out", [
    np.empty(11), np.empty(13), np.empty(12, dtype="f4"), np.empty(24)[::2], read_only(NUMBERS),
    [0.0] * 12, array("f", [0.0] * 12), bytearray(96), 1.0, "twelve doubles",
], ids=["short", "long", "float32", "strided", "read-only", "a list", "floats", "bytes", "a number",
        "text"])
def test_a_buffer_that_does_not_fit_is_refused_and_unchanged(out):
    f = jit(valley)
    before = repr(out)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"^value_and_grad: out must be a writable buffer of 12 "
                                            r"doubles.*write numpy\.empty\(12\)"):
            f.value_and_grad(NUMBERS, out=out)
        f.value_and_grad(NUMBERS)
    assert repr(out) == before


def test_out_is_for_one_list_or_array():
    f = jit(lambda x, y: x * y)
    with pytest.raises(TypeError, match="out is for a function of one list or array"):
        f.value_and_grad(1.0, 2.0, out=np.empty(2))
    own = jit(lambda x, out=1.0: x[0] * (7.0 if out is None else out))
    assert own.value_and_grad([3.0], out=2.0) == (6.0, (([2.0],), {"out": 3.0}))
    assert own.value_and_grad([3.0], out=None)[0] == 21.0
    plain = jit(lambda x: x[0])
    assert plain.value_and_grad([3.0], out=None) == plain.value_and_grad([3.0], out=None)


def test_a_buffer_that_is_refused_leaves_gradients_alone():
    w = Value(3.0)
    f = jit(lambda x: w * x[0])
    with pytest.raises(TypeError, match="writable buffer of 1 doubles"):
        f.value_and_grad([5.0], out=np.zeros(3))
    assert w.grad == 0.0


def test_other_objects_with_a_shape_are_not_asked_for_it():
    class Settings:
        shape: ClassVar = [2, 3]

    f = jit(lambda settings: settings.shape[0] * 1.0, static=["settings"])
    assert f(Settings()) == f(Settings()) == 2.0


def test_many_numbers_in_a_thread_with_a_small_stack():
    f = jit(lambda x: x[0] * x[-1])
    found = []
    before = threading.stack_size(65_536)
    try:
        thread = threading.Thread(target=lambda: found.extend(
            f.value_and_grad([2.0] * 9_000)[0] for _ in range(3)
        ))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert found == [4.0] * 3


def test_a_program_that_another_thread_drops_is_never_called_again():
    """Each thread compiles more shapes than are kept, and code that nothing holds is freed."""
    f = jit(lambda x: math.total([a * a * math.sin(a) for a in x]), cache_size=2)
    wanted = {n: jit(lambda x: math.total([a * a * math.sin(a) for a in x]))([0.5] * n)
              for n in range(2, 7)}
    wrong = []

    def work(seed):
        rng = random.Random(seed)
        for _ in range(60):
            n = rng.randrange(2, 7)
            for _ in range(3):
                if (found := f([0.5] * n)) != wanted[n]:
                    wrong.append((n, found))

    in_threads(work, 4)
    assert wrong == []


def test_leaves_get_their_gradients_also_with_out():
    w = Value(3.0)
    f = jit(lambda x: w * x[0])
    for i in (1, 2):
        value, slopes = f.value_and_grad([2.0], out=np.empty(1))
        assert (value, slopes.tolist(), w.grad) == (6.0, [3.0], 2.0 * i)


# ---- what a direct call must notice


def test_leaves_and_modes_are_read_at_every_call():
    w = Value(3.0)
    f = jit(lambda x: w * x[0])
    assert f([2.0]) == 6.0
    w.data = 5.0
    assert f([2.0]) == 10.0
    model = nn.Sequential(nn.Dropout(0.5, rng=0), lambda x: math.total(x))
    g = jit(model)
    model.eval()
    assert g([1.0, 2.0]) == g([1.0, 2.0]) == 3.0
    model.train()
    assert {g([1.0, 2.0]) for _ in range(20)} == {0.0, 2.0, 4.0, 6.0}


def test_wrong_indices_raise():
    f = jit(lambda x: take([1.0, x[1]], x[0]))
    assert f([1.0, 7.0]) == f.value_and_grad([1.0, 7.0])[0] == 7.0
    f.value_and_grad(np.array([1.0, 7.0]))
    for _ in range(2):
        for x in ([2.0, 7.0], [0.5, 7.0], np.array([-1.0, 7.0])):
            with pytest.raises(IndexError, match="take"):
                f(x)
            out = np.array([3.0, 4.0])
            with pytest.raises(IndexError, match="take"):
                f.value_and_grad(x, out=out)
            assert out.tolist() == [3.0, 4.0]


def test_rows_in_python_raise_their_errors():
    def refuse(x):
        if x > 1:
            raise LookupError(f"no {x:g}")
        return x

    row = define("refuses", refuse, lambda x, o: 1.0)
    f = jit(lambda x: row(x[0]))
    assert f.value_and_grad([1.0]) == f.value_and_grad([1.0]) == (1.0, [1.0])
    with pytest.raises(LookupError, match="no 2"):
        f.value_and_grad([2.0])


def test_values_transforms_traces_and_watches_run_the_function_itself():
    f = jit(valley)
    value, slopes = f.value_and_grad(NUMBERS)
    f(NUMBERS)
    assert jacobian(f)(NUMBERS) == [slopes]
    assert jit(lambda x: f(x) * 2).value_and_grad(NUMBERS)[0] == 2 * value
    assert isinstance(f([Value(x) for x in NUMBERS]), Value)
    with no_grad():
        assert f(NUMBERS) == value
    overflow = jit(lambda x: x[0] * x[0])
    assert overflow([1e200]) == overflow([1e200]) == math.inf
    with detect_anomaly(), pytest.raises(NonFiniteError):
        overflow([1e200])


def test_a_program_that_was_called_directly_was_used():
    f = jit(lambda x: math.total(x), cache_size=2)
    for count in (2, 3, 2, 2, 4, 2):
        assert f([1.0] * count) == f([1.0] * count) == count
        assert f"{count} x" in repr(f.programs[-1]) or "[*, *" in repr(f.programs[-1])
    assert [len(program.trace.inputs) for program in f.programs] == [4, 2]


def test_threads_call_at_the_same_time():
    f = jit(valley)
    f.value_and_grad(NUMBERS)
    rows = [[x + k for x in NUMBERS] for k in range(6)]
    wanted = [jit(valley).value_and_grad(row) for row in rows]
    found = {}

    def work(k):
        found[k] = {repr(f.value_and_grad(rows[k])) for _ in range(300)}

    in_threads(work, 6)
    assert found == {k: {repr(wanted[k])} for k in range(6)}
