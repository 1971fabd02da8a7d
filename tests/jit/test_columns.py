"""Columns of `batch`: buffers and tables are read as a whole, and numpy comes out for numpy."""

from array import array

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from helpers import bits_of, run_python

from tinygrad_edu import Value, detect_anomaly, jit, math

N = 40_003  # more than one piece, and no whole number of vectors
NUMBERS = np.random.default_rng(0).normal(size=N).astype("f4").astype(float)


class Closed:
    """A column whose entries must not be read one by one."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, i):
        raise AssertionError("read one by one")

    def __iter__(self):
        raise AssertionError("read one by one")


class WithArray(Closed):
    def __array__(self, dtype=None, copy=None):
        return self.numbers


class WithToNumpy(Closed):
    def to_numpy(self):
        return self.numbers


class Watched(np.ndarray):
    """An array of numpy whose entries must not be read one by one."""

    def __iter__(self):
        raise AssertionError("read one by one")

    def tolist(self):
        raise AssertionError("read one by one")


def fixed(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def strided(x):
    return np.stack([x, x + 1], axis=1)[:, 0]


COLUMNS = {
    "numpy": np.array,
    "read-only": fixed,
    "strided": strided,
    "read-only, strided": lambda x: fixed(np.repeat(x, 2))[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "float32": np.float32,
    "float32, strided": lambda x: strided(x.astype("f4")),
    "other byte order": lambda x: x.astype(">f8"),
    "not aligned": lambda x: np.frombuffer(b"abc" + x.tobytes(), "f8", offset=3),
    "long double": np.longdouble,
    "watched": lambda x: x.view(Watched),
    "array and no more": WithArray,
    "to_numpy and no more": WithToNumpy,
    "memoryview": lambda x: memoryview(fixed(x)),
    "pandas": lambda x: pd.Series(x, index=range(len(x), 0, -1)),
    "pandas, Float32": lambda x: pd.Series(x, dtype="Float32"),
    "pandas, arrow": lambda x: pd.Series(x, dtype="double[pyarrow]"),
    "pandas, a column": lambda x: pd.DataFrame({"a": x, "b": x + 1})["a"],
    "polars": pl.Series,
    "polars, Float32": lambda x: pl.Series(x, dtype=pl.Float32),
    "pyarrow": pa.array,
    "pyarrow, chunked": lambda x: pa.chunked_array([x[:7], x[7:], x[:0]]),
    "polars, chunked": lambda x: pl.concat([pl.Series(x[:7]), pl.Series(x[7:])], rechunk=False),
    "pyarrow, chunked, Float32": lambda x: pa.chunked_array([x[:20_000], x[20_000:]], pa.float32()),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_every_kind_give_the_bits_of_arrays(kind, threads):
    f = jit(lambda x, y, k: k * x * y + math.tanh(x))
    ys = array("d", (NUMBERS[::-1] * 3).tolist())
    expected = f.batch_value_and_grad(array("d", NUMBERS.tolist()), ys, 2.0)
    given = COLUMNS[kind](NUMBERS)
    values, (dx, dy, dk) = f.batch_value_and_grad(given, ys, 2.0, threads=threads)
    assert [type(x) for x in (values, dx, dy)] == [np.ndarray] * 3
    assert bits_of(values) == bits_of(expected[0])
    assert bits_of(dx) == bits_of(expected[1][0])
    assert bits_of(dy) == bits_of(expected[1][1])
    assert bits_of([dk]) == bits_of([expected[1][2]])


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8", "u8", "?", "f2"])
@pytest.mark.parametrize("make", [np.array, strided, pd.Series, pl.Series, pa.array])
def test_columns_of_whole_numbers_and_booleans_become_floats(make, dtype):
    if dtype == "f2" and make is not np.array:
        dtype = "f4"
    numbers = np.array([0, 1, 5, 7, 100]).astype(dtype)
    result = jit(lambda x: x + 0.5).batch(make(numbers) if make is not strided else numbers[::1])
    assert result.tolist() == (numbers.astype(float) + 0.5).tolist()


@pytest.mark.parametrize("make", [np.array, strided, fixed, pd.Series, pl.Series, pa.array])
@pytest.mark.parametrize("big", [2**53 + 1, -(2**63), 2**63 - 1])
def test_a_whole_number_that_is_no_float_is_refused_with_its_position(make, big):
    column = make(np.array([1, 2, big], "i8"))
    if float(big) == big:
        assert jit(lambda x: x).batch(column).tolist() == [1.0, 2.0, float(big)]
        return
    with pytest.raises(TypeError, match=r"^column x\[2\] is .* which is not a float"):
        jit(lambda x: x).batch(column)


LONG = np.arange(N) % 1000


@pytest.mark.parametrize("make", [
    np.array, strided, fixed, lambda x: x.astype("u8"), lambda x: x.astype(">i8"), pd.Series,
    lambda x: x.astype("f2"), lambda x: x.astype("i4"), lambda x: array("q", x.tolist()),
    lambda x: pd.Series(x, dtype="Int64"), lambda x: pa.chunked_array([x[:5], x[5:]]),
])
@pytest.mark.parametrize("run", [{}, {"threads": 3}])
def test_long_columns_of_numbers_of_any_type_have_the_values_of_floats(make, run):
    f = jit(lambda x, y: x * 1.5 + y)
    given, floats = LONG * 2, LONG.astype(float)
    assert np.array_equal(f.batch(make(LONG), given, **run), f.batch(floats, 2 * floats))
    with detect_anomaly():  # sample by sample
        some = f.batch(make(LONG[:99]), given[:99])
        assert np.array_equal(some, f.batch(floats[:99], given[:99]))


@pytest.mark.parametrize("make", [
    np.array, strided, lambda x: pa.chunked_array([x[:5], x[5:]]),
    lambda x: pl.concat([pl.Series(x[:30_000]), pl.Series(x[30_000:])], rechunk=False),
])
@pytest.mark.parametrize("i", [0, 4, 20_000, N - 1])
def test_a_whole_number_that_is_no_float_has_its_position_in_a_long_column(make, i):
    column = LONG.copy()
    column[i] = -(2**62)  # a float
    assert jit(lambda x: x).batch(make(column))[i] == -(2.0**62)
    column[i] = 2**53 + 1
    with pytest.raises(TypeError, match=rf"^column x\[{i}\] is 9007199254740993, which is not a"):
        jit(lambda x: x).batch(make(column))


@pytest.mark.parametrize("make", [
    lambda x: pd.Series(x, dtype="Int64"), lambda x: pd.Series(x, dtype="Float64"), pl.Series,
    lambda x: pd.Series(x, dtype="double[pyarrow]"), pa.array,
    lambda x: pa.chunked_array([x[:1], x[1:]]),
])
def test_a_missing_number_is_refused_with_its_position(make):
    with pytest.raises(TypeError, match=r"column p\['a'\]\[1\] .* entry 2 is missing; leave"):
        jit(lambda p: p["a"][0] + p["a"][1]).batch({"a": [[1.0, 2.0, 3.0], make([1, 2, None])]})


def test_numpy_comes_out_of_numbers_that_are_checked_one_by_one():
    for column in (np.array([2**60, 3]), np.array([1.0, 2], object), np.longdouble([1, 2])):
        assert type(jit(lambda x: x).batch(column)) is np.ndarray


@pytest.mark.parametrize(("column", "message"), [
    (pd.Series(["a", "b"]), r"^column x\[0\] must be a real number, not str"),
    (pl.Series([1.0, "b"], dtype=pl.Object), r"^column x\[1\] must be a real number, not str"),
    (np.array(["2020"], "M8[D]"), r"^column x\[0\] must be a real number, not date"),
    (pd.Series([1.0, None], dtype="object"), r"^column x\[1\] must be a real number, not NoneType"),
    (np.array([(1.0,)], [("a", float)]), r"^column x\[0\] must be a real number, not tuple"),
    (pd.DataFrame({"a": [1.0]}), "^batch: argument x must be a list, tuple or dict of columns, or"),
    (pl.DataFrame({"a": [1.0]}), "^batch: argument x must be a list, tuple or dict of columns, or"),
    (np.ma.array([1.0]), r"^batch: argument x must be .*pass its .filled\(\)"),
])
def test_columns_that_are_not_numbers_are_refused_by_name(column, message):
    with pytest.raises(TypeError, match=message):
        jit(lambda x: x).batch(column)


def test_numpy_comes_out_where_a_column_of_numpy_came_in():
    f = jit(lambda x, y: x * y)
    column = [1.0, 2.0]
    for given, kind in (
        (column, array), (array("d", column), array), (np.array(column), np.ndarray),
        (pd.Series(column), np.ndarray), (pl.Series(column), np.ndarray),
    ):
        assert type(f.batch(given, 2.0)) is type(f.batch(column, given)) is kind
        values, (dx, dy) = f.batch_value_and_grad(given, column)
        assert {type(values), type(dx), type(dy)} == {kind}
    rows = jit(lambda w: [w[0], w * 2]).batch(np.ones((2, 3)))
    assert [x.shape for x in rows] == [(3,), (2, 3)]
    assert jit(lambda d: d).batch({"a": np.ones(2), "b": [1.0, 2.0]})["b"].tolist() == [1.0, 2.0]
    assert f.batch(np.array([]), 1.0).shape == (0,)


def test_a_function_of_an_array_returns_arrays_of_derivatives():
    f = jit(lambda w: w[0] * w[1] + w[0])
    for w in (np.array([2.0, 3.0]), np.float32([2, 3]), fixed(np.array([2.0, 3.0]))):
        assert repr(f.value_and_grad(w)) == repr((8.0, np.array([4.0, 2.0])))
    assert type(f.hessian(np.array([2.0, 3.0]))) is np.ndarray


def test_a_column_of_numpy_is_not_written_into_a_message_that_nobody_reads(monkeypatch):
    """The representation of 1,000 entries takes longer than the whole call."""
    column = np.linspace(0, 1, 1000)
    f = jit(lambda x: x * 2)

    def fail(*_, **__):
        raise AssertionError("represented")

    np.set_printoptions(override_repr=fail)
    try:
        assert f.batch(column)[-1] == 2.0
        assert f.batch(strided(column))[-1] == 2.0
        assert f.value_and_grad(3.0) == (6.0, 2.0)
        assert jit(lambda w: w[0])(column) == 0.0
    finally:
        np.set_printoptions(override_repr=None)


def test_read_only_columns_of_doubles_are_not_copied():
    f = jit(lambda x: x * 2)
    column = fixed(np.zeros(1_000_000))
    f.batch(column)
    code = (
        "import tracemalloc, numpy as np\n"
        "from tinygrad_edu import jit\n"
        "x = np.zeros(1_000_000); x.flags.writeable = False\n"
        "w = np.zeros((1_000_000, 2), 'f4')[:, 0]\n"
        "f = jit(lambda x: x * 2); f.batch(x[:5]); f.batch(w[:5])\n"
        "for column in (x, w):\n"
        "    tracemalloc.start(); y = f.batch(column)\n"
        "    print(tracemalloc.get_traced_memory()[1] < 17_000_000); tracemalloc.stop()\n"
    )
    # the result has 8 MB, and is made of as many zeros
    assert run_python(code).stdout.split() == ["True", "True"]


def test_buffers_need_no_numpy():
    code = (
        "import sys\nfrom array import array\nfrom tinygrad_edu import jit\n"
        "f = jit(lambda x: x + 0.5)\n"
        "for x in (array('d', [1, 2]), memoryview(array('d', [1, 2])).toreadonly(),\n"
        "          memoryview(array('d', [1, 0, 2, 0]))[::2], array('f', [1, 2]),\n"
        "          array('b', [1, 2]), bytearray([1, 2]),\n"
        "          memoryview(array('f', [1, 0, 2, 0]))[::2]):\n"
        "    print(*f.batch(x))\n"
        "print('numpy' in sys.modules)\n"
    )
    done = run_python(code)
    assert done.stdout.splitlines() == [*["1.5 2.5"] * 7, "False"], done.stderr


def test_watched_columns_give_the_same_numbers():
    from tinygrad_edu import detect_anomaly

    w = Value(2.0)
    f = jit(lambda x: w * x)
    for make in (np.array, strided, np.float32):
        with detect_anomaly():
            assert f.batch(make(NUMBERS[:9])).tolist() == (2 * NUMBERS[:9]).tolist()


