"""Arguments and results that are numpy arrays, and arrays of other kinds, in every transform."""

import numpy as np
import pytest

from tinygrad_edu import Value, grad, hessian, jacobian, jit, jvp, math, take, value_and_grad, vjp
from tinygrad_edu.errors import TraceError

W = np.array([1.0, 2.0])


def loss(w):
    """Gives another number for a list, since ``2 * w`` would repeat it."""
    return sum((a - 1) ** 2 for a in w) + 0.1 * sum(x * x for x in 2 * w)


def eagerly(f, w):
    """Returns the value of ``f`` and its gradient, on an array of Values."""
    leaves = [Value(x) for x in w.ravel().tolist()]
    made = np.empty(len(leaves), object)
    made[:] = leaves
    y = f(made.reshape(w.shape))
    y.backward()
    return y.data, np.array([leaf.grad for leaf in leaves]).reshape(w.shape)


def same(x, y):
    """Returns whether two arrays have the same type, shape and bits."""
    return type(x) is type(y) is np.ndarray and repr(x) == repr(y) and x.shape == y.shape


def test_a_function_of_an_array_gets_an_array_in_every_transform():
    assert jit(loss)(W) == loss(W) == 3.0
    assert jit(loss).value_and_grad(W)[0] == 3.0
    assert same(jit(loss).value_and_grad(W)[1], np.array([0.8, 3.6]))
    assert same(jacobian(loss)(W), np.array([[0.8, 3.6]]))
    for second in (hessian(loss), jit(loss).hessian, hessian(jit(loss))):
        assert same(second(W), np.array([[2.8, 0.0], [0.0, 2.8]]))
    samples = np.array([[1.0, 1.0, 3.0], [2.0, 2.0, 0.5]])  # three samples of two numbers
    values, slopes = jit(loss).batch_value_and_grad(samples)
    assert values.tolist() == [3.0, 3.0, loss(samples[:, 2])]
    assert same(slopes[:, 0].copy(), np.array([0.8, 3.6]))


SCALARS = {  # functions of an array that mean something else for a list
    "repeat": lambda w: math.total((3 * w).ravel()),
    "plus": lambda w: (w + w).sum(),
    "power": lambda w: (w**2).sum(),
    "method": lambda w: (w * w).mean(),
    "product": lambda w: (w @ w.T).sum() * 0.5 if w.ndim > 1 else w @ w,
    "rows": lambda w: sum(np.ravel(row)[0] for row in w),
    "in place": lambda w: w.copy().__imul__(2).sum(),
    "shape": lambda w: w.reshape(-1).sum() * len(w.shape),
    "slices": lambda w: (w[1:] - w[:-1]).sum() * 2,
    "functions": lambda w: (np.sin(w) + np.exp(w) * np.sqrt(w)).sum(),
    "mask": lambda w: w[np.arange(len(w)) % 2 == 0].sum(),
}
ARRAYS = {
    "floats": W,
    "float32": np.array([0.1, 2.5, 3.0], dtype=np.float32),
    "ints": np.array([3, 1, 2]),
    "two dimensions": np.array([[0.5, 1.5], [2.5, 3.5], [4.5, 1.0]]),
    "steps": np.arange(8.0)[1::3],
    "by columns": np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
    "objects": np.array([1.0, 2], object),
    "read-only": np.frombuffer(np.array([1.0, 2.0]).tobytes()),
}


@pytest.mark.parametrize("of", SCALARS.values(), ids=SCALARS)
def test_arrays_of_every_kind_keep_shape_and_meaning(of):
    for w in ARRAYS.values():
        value, gradient = eagerly(of, w)
        before = w.copy()
        compiled = jit(of)
        assert compiled(w) == value
        found, slopes = compiled.value_and_grad(w)
        assert found == value
        assert same(slopes, gradient)
        assert same(jacobian(of)(w), gradient.reshape(1, -1))
        assert hessian(of)(w).shape == compiled.hessian(w).shape == (w.size, w.size)
        assert (w == before).all()


RESULTS = [
    lambda w: 2 * w,
    lambda w: np.outer(w, w),
    lambda w: {"a": w[:1], "b": [w, 1.0]},
    lambda w: w > 1 if w.dtype != object else np.array([x > 1 for x in w]),
    lambda w: np.array(["a", "b"]),
    lambda w: w[:0],
    lambda w: np.array([True, False]),
]


@pytest.mark.parametrize("f", RESULTS)
def test_results_that_are_arrays_are_those_of_the_function(f):
    assert repr(jit(f)(W)) == repr(f(W))


def test_arrays_in_lists_and_dicts_beside_scalars():
    def f(p, k):
        return ((p["W"] @ p["b"][0] + k) * k).sum()

    p = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": [W]}
    value, (of_p, of_k) = jit(f).value_and_grad(p, 3.0)
    assert value == f(p, 3.0) == 66.0
    found = {"W": np.array([[3.0, 6.0], [3.0, 6.0]]), "b": [np.array([12.0, 18.0])]}
    assert repr(of_p) == repr(found)
    assert of_k == 28.0
    assert isinstance(jit(f).hessian(p, 3.0), np.ndarray)
    assert "w[1,0]" in jit(lambda w: (w * w)[1, 0]).show(p["W"])
    assert repr(jit(loss)) == "<jit loss: 0 programs>"
    compiled = jit(loss)
    compiled(W)
    compiled([1.0])
    compiled(p["W"][0])
    assert len(compiled.programs) == 2
    assert repr(compiled.programs[0]).startswith("<loss([*])")
    assert repr(compiled.programs[1]).startswith("<loss(array of 2)")


def test_masks_and_arrays_of_text_are_static():
    f = jit(lambda w, keep: w[keep].sum())
    assert f(W, np.array([True, False])) == 1.0
    assert f(W, np.array([True, True])) == 3.0
    assert jit(lambda w, names: w[list(names).index("b")])(W, np.array(["a", "b"])) == 2.0


def test_arrays_of_values_are_differentiated_to_any_order():
    ws = np.array([Value(1.0), Value(2.0)])
    assert jit(loss)(ws).data == 3.0
    assert [x.data for x in jacobian(loss)(ws)[0]] == [0.8, 3.6]
    assert grad(lambda k: jacobian(lambda w: (w * w * k).sum())(W)[0, 1])(3.0) == 4.0
    assert same(jacobian(lambda w: jacobian(lambda v: (v**3).sum())(w)[0])(W),
                np.array([[6.0, 0.0], [0.0, 12.0]]))


def test_functions_that_return_arrays_have_a_row_for_each_entry():
    assert same(jacobian(lambda w: np.outer(w, w))(W),
                np.array([[2.0, 0.0], [2.0, 1.0], [2.0, 1.0], [0.0, 4.0]]))
    value, pullback = vjp(lambda x: np.array([x, x * x]), 3.0)
    assert same(value, np.array([3.0, 9.0]))
    assert pullback(np.array([1.0, 2.0])) == pullback([1.0, 2.0]) == (13.0,)
    value, tangent = jvp(lambda x: np.array([x, x * x]), [3.0], [1.0])
    assert same(tangent, np.array([1.0, 6.0]))
    with pytest.raises(TypeError, match="must return one number for its gradient, not 2"):
        grad(lambda x: np.array([x, x]))(1.0)


def test_rows_that_take_chooses_are_of_their_kind():
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    for rows in (table, list(table), [[1.0, 2.0], [3.0, 4.0]]):
        def double(i, rows=rows):
            return take(rows, i) * 2

        assert repr(jit(double)(1)) == repr(double(1))
    assert same(jit(lambda rows, i: take(rows, i) * 2)(table, 1.0), np.array([6.0, 8.0]))


def test_functions_of_scalars_refuse_arrays_and_name_the_remedy():
    for call in (grad(loss), value_and_grad(loss), lambda w: vjp(loss, w),
                 lambda w: jvp(loss, [w], [w])):
        with pytest.raises(TypeError, match=r"array use\s+jacobian\(f\)\(xs\)"):
            call(W)
    assert grad(lambda x, w: (w * w)[1] * x)(3.0, W) == 4.0  # not differentiated: unchanged
    with pytest.raises(TypeError, match="entry 0, must be a number, not ndarray"):
        jacobian(loss)([W, W])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize(("make", "remedy"), [
    (lambda: np.ma.array([1.0, 2.0], mask=[0, 1]), r"\.filled\(\)"),
    (lambda: np.matrix([[1.0, 2.0]]), r"\.tolist\(\)"),
], ids=["masked", "matrix"])
def test_other_kinds_of_arrays_are_refused_with_the_remedy(make, remedy):
    xs = make()
    for call in (jit(loss), jit(loss).value_and_grad, jit(loss).hessian, jacobian(loss),
                 hessian(loss), hessian(jit(loss)), jit(loss).batch, jit(lambda d: d).batch,
                 lambda xs: take(xs, 0.0), lambda xs: jit(lambda i: take(xs, i))(0)):
        with pytest.raises(TypeError, match=remedy):
            call(xs)
    for call in (grad(loss), lambda xs: vjp(loss, xs)):
        with pytest.raises(TypeError, match="for functions of scalars"):
            call(xs)


class Series:
    """What is seen of a pandas Series: it is indexed by label."""

    shape = (2,)
    ndim = 1

    def __init__(self, numbers):
        self._numbers = list(numbers)

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, label):
        return self._numbers[1 - label]

    def __iter__(self):
        return iter(self._numbers)

    def to_numpy(self):
        return np.array(self._numbers)

    def tolist(self):
        return self._numbers


def test_arrays_with_labels_are_refused_except_as_columns():
    xs = Series([1.0, 2.0])
    for call in (jit(loss), jacobian(loss), hessian(loss), lambda xs: take(xs, 0),
                 lambda xs: jit(lambda i: take(xs, i))(0), lambda xs: jit(loss)([xs, 1.0])):
        with pytest.raises(TypeError, match=r"pass its \.to_numpy\(\)"):
            call(xs)
    assert jit(lambda x: 2 * x).batch(xs).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("xs", [
    np.array(["2020-01-01"], dtype="M8[ns]"), np.array([1j]), np.zeros(2, dtype=[("a", float)]),
], ids=["dates", "complex", "records"])
def test_arrays_without_numbers_are_refused(xs):
    with pytest.raises(TypeError, match="must be made of numbers"):
        jit(lambda w: w)(xs)
    with pytest.raises(TypeError, match=r"must be a real number|made of numbers"):
        jacobian(lambda w: w)(xs)


def test_functions_that_change_their_array_are_refused():
    w = np.array([1.0, 2.0])
    with pytest.raises(TraceError, match="changes an argument in place"):
        jit(lambda w: w.__imul__(2).sum())(w)
    assert w.tolist() == [1.0, 2.0]
