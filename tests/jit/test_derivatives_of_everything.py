"""Derivatives inside compiled functions, of what else there is: rows at nan, arrays, copies, and
the numbers, warnings and contexts that a plain call has."""

import contextvars
import copy
import pickle
import warnings

import pytest
from helpers import bits, inf, nan

from tinygrad_edu import (
    Value,
    grad,
    gradients,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    nn,
    take,
    value_and_grad,
    vjp,
)
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.errors import GraphWarning, TraceError

LEAF = Value(0.7, "leaf")
POINTS = [nan, inf, -inf, 0.0, -0.0, 1.0, -1.5, 0.3]


def eagerly(f, xs, leaves=(LEAF,)):
    """Returns the value of ``f``, and its derivatives by arguments and leaves, with every bit."""
    for leaf in leaves:
        leaf.grad = 0.0
    values = [Value(x) for x in xs]
    y = f(*values)
    if isinstance(y, Value):
        y.backward()
    found = [float(y), *[value.grad for value in values], *[leaf.grad for leaf in leaves]]
    return [bits(float(x)) for x in found]


def compiled(f, xs, leaves=(LEAF,)):
    """Returns the same of the compiled function."""
    for leaf in leaves:
        leaf.grad = 0.0
    y, slopes = jit(f).value_and_grad(*xs)
    slopes = slopes if isinstance(slopes, tuple) else (slopes,)
    return [bits(float(x)) for x in [y, *slopes, *[leaf.grad for leaf in leaves]]]


# ---- rows at nan and at inf ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    name for name, row in TABLE.items() if row.piece is not None and row.arity <= 2
])
def test_rows_with_pieces_have_the_derivatives_of_the_eager_engine_at_nan(name):
    row = TABLE[name]

    def first(x, y):
        operands = (x, y)[:row.arity]
        return gradients(row(*operands) * y, [x])[0] + LEAF * row(*operands)

    def again(x, y):
        operands = (x * LEAF, y)[:row.arity]
        slope = gradients(row(*operands) ** 2, [x])[0]
        return gradients(slope * y, [x])[0] + slope * LEAF

    for f in (first, again):
        kept = jit(f)
        for xs in ((x, y) for x in POINTS for y in (POINTS if row.arity == 2 else (2.0, nan))):
            LEAF.grad = 0.0
            try:
                wanted = eagerly(f, xs)
            except (ValueError, OverflowError, ZeroDivisionError):
                continue  # the row raises there
            LEAF.grad = 0.0
            y, slopes = kept.value_and_grad(*xs)
            assert [bits(float(x)) for x in (y, *slopes, LEAF.grad)] == wanted, (f.__name__, xs)


# ---- arrays --------------------------------------------------------------------------------------


def test_transforms_of_arrays_inside_compiled_functions_return_arrays():
    numpy = pytest.importorskip("numpy")

    def energy(w):
        return math.sin(w[0, 0]) * w[0, 1] ** 3 * math.exp(w[1, 0] * w[1, 1])

    def curvature(w):
        rows = hessian(energy)(w)
        assert rows.shape == (4, 4)
        slopes = jacobian(energy)(w)
        assert slopes.shape == (1, 4)
        return (rows * slopes).sum()

    w = numpy.array([[0.3, -0.8], [1.1, 0.4]])
    value, slopes = jit(curvature).value_and_grad(w)
    xs = numpy.array([[Value(x) for x in row] for row in w.tolist()])
    y = curvature(xs)
    y.backward()
    assert bits(value) == bits(y.data)
    assert slopes.shape == (2, 2)
    assert [*map(bits, slopes.ravel().tolist())] == [bits(x.grad) for x in xs.ravel()]


def test_the_hessian_of_a_compiled_function_inside_another_has_the_shape_of_its_arguments():
    numpy = pytest.importorskip("numpy")
    inner = jit(lambda w: w[0] ** 3 * w[1])

    def outer(w):
        rows = inner.hessian(w)
        assert isinstance(rows, numpy.ndarray)
        return rows[0, 1] + w[0] * rows[0, 0]

    def outer_of_list(x, y):
        rows = inner.hessian([x, y])
        assert isinstance(rows, list)
        return rows[0][1] + x * rows[0][0]

    assert jit(outer)(numpy.array([2.0, 5.0])) == 3 * 4.0 + 2.0 * 6 * 2 * 5.0
    assert jit(outer_of_list)(2.0, 5.0) == 3 * 4.0 + 2.0 * 6 * 2 * 5.0


def test_the_hessian_inside_a_trace_refuses_numbers_that_no_float_is_equal_to():
    inner = jit(lambda x, n: x * x + n)
    with pytest.raises(TypeError, match="no float is equal to it"):
        inner.hessian(1.0, 2**53 + 1)
    with pytest.raises(TypeError, match="no float is equal to it"):
        jit(lambda x: inner.hessian(x, 2**53 + 1)[0][0])(1.0)


# ---- copies, choices and transforms that are kept ------------------------------------------------


COPIES = {
    "of an operand": lambda x: gradients(copy.copy(x) * x * x, [x])[0],
    "of a node": lambda x: gradients(copy.copy(x * x) * x, [x])[0] * LEAF,
    "a deep copy": lambda x: gradients(copy.deepcopy(x * LEAF) * x * x, [x])[0],
    "and the node": lambda x: gradients(copy.copy(y := x * x) * y * x, [y, x])[0],
    "of a leaf from a number": lambda x: gradients((t := Value(2.0)) * copy.copy(t) * x, [t])[0],
    "of a node of numbers":
        lambda x: gradients(copy.copy((t := Value(2.0)) * t) * x * x * t, [t])[0],
    "a deep copy of a node of numbers":
        lambda x: gradients(copy.deepcopy((t := Value(2.0)) * t) * x * x * t, [t])[0],
    "of a sum": lambda x: gradients(copy.copy(math.sumprod([x, LEAF], [x, x])) * x, [x])[0],
    "of an entry": lambda x: gradients(copy.copy(take([x, x * x, LEAF], 1)) * x, [x])[0],
    "of a chosen entry":
        lambda x: gradients(copy.copy(take([x, x * x], math.where(x > 1, 1, 0))) * x, [x])[0],
    "of what cond chose":
        lambda x: gradients(copy.copy(math.cond(x > 1, lambda: x * x, lambda: x)) * x, [x])[0],
    "of a derivative": lambda x: gradients(copy.copy(gradients(x**3, [x])[0]) * x, [x])[0],
}


@pytest.mark.parametrize("f", COPIES.values(), ids=COPIES)
def test_derivatives_of_copies_are_those_of_a_plain_call(f):
    for x in (0.3, 1.7):
        assert compiled(f, (x,)) == eagerly(f, (x,))


def test_transforms_that_were_pickled_are_traced():
    slope = pickle.loads(pickle.dumps(grad(math.sin)))
    assert pickle.loads(pickle.dumps(grad(grad(math.tanh))))(0.5) == grad(grad(math.tanh))(0.5)

    def f(x):
        return slope(x) + value_and_grad(math.exp)(x)[1]

    assert compiled(f, (0.4,)) == eagerly(f, (0.4,))


def test_conditions_from_a_choice_are_booleans():
    f = jit(lambda x: (math.cond(x > 1, lambda: x > 2, lambda: x < 0), grad(math.sin)(x) > 0.5))
    assert f(3.0) == (True, False)
    assert type(f(0.5)[0]) is type(f(0.5)[1]) is bool


def test_a_number_that_another_context_computed_is_noticed():
    def f(x):
        y = contextvars.Context().run(lambda: LEAF * 2 * 3)
        return grad(lambda t: t * y)(x)

    with pytest.raises(TraceError):
        jit(f)(1.0)


# ---- GraphWarning --------------------------------------------------------------------------------


def constant(x):
    return Value(2.0) * 3.0


@pytest.mark.parametrize("transform", [
    grad, value_and_grad, lambda f: lambda x: jvp(f, [x], [1.0])[1],
    lambda f: lambda x: vjp(f, x)[1](1.0)[0],
    lambda f: lambda x: jacobian(lambda xs: f(xs[0]))([x])[0][0],
    lambda f: lambda x: hessian(lambda xs: f(xs[0]))([x])[0][0],
])
def test_warnings_of_transforms_are_silent_in_a_trace_and_there_eagerly(transform):
    def f(x):
        found = transform(constant)(x)
        return (found[1] if isinstance(found, tuple) else found) + x

    with pytest.warns(GraphWarning, match="does not depend on its argument"):
        transform(constant)(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jit(f)(1.0) == 1.0


def test_a_network_with_kinks_has_the_derivatives_of_a_plain_call():
    for activation in ("relu", "leaky_relu", "elu", "hardtanh"):
        net = nn.MLP(1, [4, 1], activation=activation, rng=3)
        leaves = net.parameters()

        def residual(x, net=net):
            u = net([x])
            return (gradients(u, [x])[0] - u) ** 2

        for x in (0.0, -0.4, 1.3, nan):
            assert compiled(residual, (x,), leaves) == eagerly(residual, (x,), leaves)
