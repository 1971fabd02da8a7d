"""Derivatives of graphs and of functions: orders, nesting, products with vectors, and errors."""

import itertools
import math as std
import random
from fractions import Fraction

import pytest
from helpers import bits, mp, mpf, nan
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import (
    Value,
    backward,
    detect_anomaly,
    grad,
    gradients,
    hessian,
    jacobian,
    jvp,
    math,
    no_grad,
    topological_order,
    value_and_grad,
    vjp,
)
from tinygrad_edu.errors import GraphError, NonFiniteError, StaleGraphError, TinygradEduError

moderate = st.floats(-2, 2).filter(lambda x: abs(x) > 1e-3)


def nth(f, n):
    for _ in range(n):
        f = grad(f)
    return f


# ---- orders

ANALYTIC = {
    "sin(x) exp(x)": (lambda x: math.sin(x) * math.exp(x), lambda x: mp.sin(x) * mp.exp(x)),
    "tanh(2x)": (lambda x: (2 * x).tanh(), lambda x: mp.tanh(2 * x)),
    "1/(1 + x**2)": (lambda x: 1 / (1 + x * x), lambda x: 1 / (1 + x * x)),
    "log(1 + exp(x))": (lambda x: math.softplus(x), lambda x: mp.log1p(mp.exp(x))),
    "x**x": (lambda x: x**x, lambda x: x**x),
    "sqrt(x) log(x)": (lambda x: math.sqrt(x) * math.log(x), lambda x: mp.sqrt(x) * mp.log(x)),
    "atan(x) cosh(x)": (lambda x: math.atan(x) * math.cosh(x), lambda x: mp.atan(x) * mp.cosh(x)),
    "erf(x/2)": (lambda x: math.erf(x / 2), lambda x: mp.erf(x / 2)),
    "x**2.5": (lambda x: x**2.5, lambda x: x**2.5),
}


@pytest.mark.parametrize("name", list(ANALYTIC))
@pytest.mark.parametrize("x", [0.4, 1.3])
def test_derivatives_to_order_5_agree_with_mpmath(name, x):
    f, truth = ANALYTIC[name]
    with mp.workdps(80):
        for order in range(1, 6):
            expected = mp.diff(truth, mpf(x), order)
            assert abs(nth(f, order)(x) - expected) <= 1e-12 * abs(expected) + 1e-13, (
                f"order {order}"
            )


@given(coefficients=st.lists(st.integers(-5, 5), min_size=1, max_size=7), x=st.integers(-4, 4))
def test_derivatives_of_polynomials_are_exact_to_order_5(coefficients, x):
    def f(v):
        return sum(c * v**k for k, c in enumerate(coefficients)) + 0 * v

    for order in range(6):
        expected = sum(
            c * std.perm(k, order) * x ** (k - order)
            for k, c in enumerate(coefficients)
            if k >= order
        )
        got = nth(f, order)(float(x))
        assert (got.data if isinstance(got, Value) else got) == expected


def test_gradients_are_graphs_and_leave_grad_unchanged():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    z = x * x * y + y**3
    gx, gy = gradients(z, [x, y])
    assert (gx.data, gy.data) == (12.0, 4.0 + 27.0)
    gxx, gxy = gradients(gx, [x, y])
    gyx, gyy = gradients(gy, [x, y])
    assert (gxx.data, gxy.data, gyx.data, gyy.data) == (6.0, 4.0, 4.0, 18.0)
    assert x.grad == y.grad == z.grad == 0.0
    (gx * gx).backward()
    assert x.grad == 2 * 12.0 * 6.0


def test_gradients_with_respect_to_interior_nodes():
    x = Value(2.0)
    inner = x * x
    outer = inner * inner * x
    assert [g.data for g in gradients(outer, [inner, x, outer])] == [16.0, 80.0, 1.0]


def test_gradients_accepts_a_generator_of_nodes():
    x, y = Value(2.0), Value(3.0)
    assert [g.data for g in gradients(x * y, (v for v in (x, y)))] == [3.0, 2.0]


def test_gradients_computes_requested_derivatives_only():
    x, w = Value(1e200), Value(1e-200)
    y = (x * w) * 1e200
    with detect_anomaly():  # it would raise, because the derivative with respect to w overflows
        assert gradients(y, [x])[0].data == pytest.approx(1.0, rel=1e-15, abs=0)
        assert grad(lambda v: (v * w) * 1e200)(1e200) == pytest.approx(1.0, rel=1e-15, abs=0)


def test_gradient_with_respect_to_an_unreachable_node_is_zero():
    x, stranger = Value(2.0), Value(5.0)
    y = x * x
    later = y * 3
    for g in gradients(y, [stranger, later]):
        assert isinstance(g, Value)
        assert g.data == 0.0
        assert g.args == ()


def test_gradients_of_several_roots_are_those_of_the_seeded_sum():
    x = Value(2.0)
    assert gradients([x * x, x * 3], [x])[0].data == 7.0
    assert gradients([x * x, x * 3], [x], [10, 1])[0].data == 43.0
    y = x * x
    assert gradients([y, y], [x], [1, 2])[0].data == 12.0
    assert gradients(y, [x], 0.5)[0].data == 2.0
    assert (
        gradients((root for root in (x * x, x * 3)), [x], (seed for seed in (10, 1)))[0].data
        == 43.0
    )


@given(x=moderate, y=moderate)
def test_gradients_equal_backward_bit_for_bit(x, y):
    a, b = Value(x), Value(y)
    z = math.tanh(a * b) / (1.5 + math.sin(b)) + math.sigmoid(a) ** 2 - math.hypot(a, b) * 0.3
    z.backward()
    assert [bits(g.data) for g in gradients(z, [a, b])] == [bits(a.grad), bits(b.grad)]


def test_gradients_work_inside_no_grad_on_recorded_graphs():
    x = Value(3.0)
    y = x**3
    with no_grad():
        slope = gradients(y, [x])[0]
        assert grad(lambda v: v * v)(4.0) == 8.0
        assert grad(grad(lambda v: v**3))(4.0) == 24.0
    assert gradients(slope, [x])[0].data == 18.0


# ---- stale graphs


def test_backward_gives_the_recorded_gradient_after_data_was_assigned():
    x = Value(2.0, "x")
    y = x**3
    x.data = 5.0
    y.backward()
    assert (y.data, x.grad) == (8.0, 12.0)


def test_gradients_of_a_stale_graph_raise_and_say_what_to_do():
    x = Value(2.0, "x")
    y = x**3
    x.data = 5.0
    with pytest.raises(
        StaleGraphError,
        match=r"stale graph.*8\.0.*x is 5\.0, a number is 3\.0.*compute the expression again",
    ):
        gradients(y, [x])
    assert issubclass(StaleGraphError, GraphError)
    assert issubclass(GraphError, TinygradEduError)
    x.data = 2.0
    assert gradients(y, [x])[0].data == 12.0


def test_graph_is_stale_even_if_its_value_is_unchanged():
    x, zero = Value(2.0, "x"), Value(0.0)
    y = x * zero
    x.data = 3.0
    y.backward()
    assert zero.grad == 2.0
    with pytest.raises(StaleGraphError):
        gradients(y, [zero])


def test_sum_is_stale_even_if_its_partials_are_unchanged():
    x = Value(2.0, "x")
    y = (x + 1) ** 2
    x.data = 5.0
    with pytest.raises(
        StaleGraphError, match=r"op='add'\) no longer follows from its operands \(x is 5\.0"
    ):
        gradients(y, [x])


def test_gradients_ignores_a_stale_part_that_is_not_needed():
    x, w = Value(2.0), Value(1.0)
    y = x * x + w * w
    w.data = 7.0
    assert gradients(y, [x])[0].data == 4.0


def test_a_constant_0_in_a_denominator_follows_ieee_754_in_gradients_too():
    x = Value(2.0)
    assert gradients(x / 0, [x])[0].data == std.inf
    assert gradients(x / -0.0, [x])[0].data == -std.inf
    y = x / 0
    with pytest.raises(NonFiniteError, match="gradient"), detect_anomaly():
        gradients(y, [x])


def test_nan_is_not_mistaken_for_staleness():
    x = Value(nan)
    assert std.isnan(gradients(math.sin(x) * 2, [x])[0].data)


# ---- grad and value_and_grad


def polynomial(x, y):
    return x * x * y + 3 * y


def test_grad_with_respect_to_one_argument_or_several():
    assert grad(polynomial)(2.0, 5.0) == 20.0
    assert grad(polynomial, 1)(2.0, 5.0) == 7.0
    assert grad(polynomial, -1)(2.0, 5.0) == 7.0
    assert grad(polynomial, [0, 1])(2.0, 5.0) == (20.0, 7.0)
    assert grad(polynomial, (1, 0))(2.0, 5.0) == (7.0, 20.0)
    assert grad(polynomial, [1])(2.0, 5.0) == (7.0,)
    assert grad(polynomial, [-2, -1])(2.0, 5.0) == (20.0, 7.0)
    assert value_and_grad(polynomial)(2.0, 5.0) == (35.0, 20.0)
    assert value_and_grad(polynomial, [1, 0])(2, 5) == (35.0, (7.0, 20.0))


def test_grad_returns_numbers_for_numbers_and_values_for_values():
    assert type(grad(polynomial)(2, 5)) is float
    slope = grad(polynomial)(Value(2.0), 5.0)
    assert isinstance(slope, Value)
    assert slope.data == 20.0


def test_grad_passes_other_arguments_unchanged():
    seen = []

    def f(x, how):
        seen.append(how)
        return x * len(how)

    assert grad(f)(1.0, "abc") == 3.0
    assert seen == ["abc"]


@pytest.mark.parametrize("argnum", [2, -3, [0, 5]])
def test_grad_rejects_an_argnum_that_does_not_exist(argnum):
    bad = argnum if isinstance(argnum, int) else 5
    with pytest.raises(
        IndexError,
        match=f"argnum {bad} of polynomial: it was called with 2 arguments, counted from 0",
    ):
        grad(polynomial, argnum)(1.0, 2.0)


@pytest.mark.parametrize("argnum", [[0, 0], [0, -2]])
def test_grad_rejects_a_repeated_argnum(argnum):
    with pytest.raises(ValueError, match="argnum"):
        grad(polynomial, argnum)(2.0, 5.0)


def test_grad_rejects_a_function_of_several_outputs():
    def twins(x):
        first = x[0] if isinstance(x, list) else x
        return [first, first]

    with pytest.raises(
        TypeError,
        match=r"twins must return one number for its gradient, not 2; use jacobian\(\) or vjp\(\)",
    ):
        grad(twins)(1.0)
    with pytest.raises(TypeError, match="hessian: twins must return one number, not 2"):
        hessian(twins)([1.0])


@pytest.mark.parametrize("result", ["text", None, 1j, {}])
def test_a_function_must_return_numbers(result):
    def broken(x):
        return result

    with pytest.raises(
        TypeError, match="broken must return a number, a Value or a list of them, not "
    ):
        grad(broken)(1.0)


def test_grad_of_a_list_names_the_right_transform():
    with pytest.raises(TypeError, match=r"jacobian\(f\)\(xs\) or hessian"):
        grad(lambda v: v[0] * v[1])([1.0, 2.0])
    for call in (lambda: hessian(lambda v: v[0])(2.0), lambda: jvp(lambda x: x, 1.0, 1.0)):
        with pytest.raises(TypeError, match="must be a list of numbers, not"):
            call()
    x = Value(1.0)
    with pytest.raises(TypeError, match=r"gradients\(y, \[x\]\)"):
        gradients(x * 2, x)


def test_a_pullback_stays_differentiable():
    _, pullback = vjp(lambda t: t * t, Value(3.0))
    with no_grad():
        assert [g.data for g in pullback(2.0)] == [12.0]
    _, pullback = vjp(lambda t: t * t, 3.0)
    assert grad(lambda c: pullback(c)[0])(1.0) == 6.0


def test_a_function_that_changes_its_list_has_the_right_hessian():
    def f(xs):
        last = xs.pop()
        return last * last * xs[0]

    assert hessian(f)([2.0, 3.0]) == [[0.0, 6.0], [6.0, 4.0]]


def test_gradients_returns_new_nodes():
    x, y = Value(2.0), Value(3.0)
    (g,) = gradients(x * y, [x])
    g.data = 100.0
    assert y.data == 3.0


@pytest.mark.parametrize("x", ["1", None, 1j])
def test_grad_rejects_arguments_that_are_not_numbers(x):
    with pytest.raises(TypeError, match="must be a real number"):
        grad(lambda v: v)(x)


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.GraphWarning")
def test_functions_that_return_plain_numbers_have_zero_derivatives():
    assert grad(lambda x: 7)(1.0) == 0.0
    assert grad(lambda x: 7.5)(1.0) == 0.0
    assert value_and_grad(lambda x: 2)(1.0) == (2.0, 0.0)
    assert jacobian(lambda xs: [1, xs[0], 2.5])([3.0, 4.0]) == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    assert hessian(lambda xs: 4)([1.0, 2.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert jvp(lambda x: 5.0, [1.0], [1.0]) == (5.0, 0.0)
    assert [(type(y), y.data) for y in jvp(lambda x: 5.0, [Value(1.0)], [1.0])] == [
        (Value, 5.0),
        (Value, 0.0),
    ]
    value, pullback = vjp(lambda x: 5.0, 1.0)
    assert (value, pullback(2.0)) == (5.0, (0.0,))
    assert nth(lambda x: 3 * x, 3)(1.0) == 0.0


def test_the_identity_function():
    assert grad(lambda x: x)(3.0) == 1.0
    assert jvp(lambda x: x, [3.0], [5.0]) == (3.0, 5.0)
    assert hessian(lambda xs: xs[0])([3.0]) == [[0.0]]


# ---- nesting: no perturbation confusion


@pytest.mark.parametrize(("f", "x", "expected"), [
    # d/dx of x * (d/dy of (x + y) at y = 1) is 1, not 2: Siskind and Pearlmutter (2005)
    (lambda x: x * grad(lambda y: x + y)(1.0), 1.0, 1.0),
    (lambda x: x * grad(lambda y: x * y)(2.0), 3.0, 6.0),
    (lambda x: x * grad(lambda y: x + y)(x), 2.0, 1.0),
    (lambda x: grad(lambda y: x * y * y)(x), 3.0, 12.0),  # 2 x y at y = x: 2 x**2
    (lambda x: grad(lambda y: y**3)(x) * x, 2.0, 36.0),  # 3 x**3
    # d/dy 2 x y**2 = 4 x y at x: 4 x**2
    (lambda x: grad(lambda y: grad(lambda z: x * y * z * z)(y))(x), 2.0, 16.0),
    (lambda x: grad(lambda x: x * x)(x) + x, 5.0, 3.0),  # the inner x hides the outer one
    (lambda x: jvp(lambda y: x * y, [2.0], [x])[1], 3.0, 6.0),  # tangent x: x * x
    (lambda x: vjp(lambda y: x * y * y, x)[1](x)[0], 2.0, 24.0),  # 2 x y times x at y = x: 2 x**3
    (lambda x: jacobian(lambda ys: [x * ys[0] * ys[1]])([2.0, x])[0][0], 3.0, 6.0),  # x * x
    (lambda x: hessian(lambda ys: x * ys[0] ** 3)([x])[0][0], 2.0, 24.0),  # 6 x * x
])
def test_nested_transforms_do_not_confuse_their_variables(f, x, expected):
    assert grad(f)(x) == expected


def test_closed_over_value_is_a_constant_unless_it_is_the_argument():
    w = Value(3.0)
    assert grad(lambda x: w * x)(2.0) == 3.0
    slope = grad(lambda x: w * x + x * x)(w)  # the w inside is another variable
    assert slope.data == 3.0 + 6.0
    slope.backward()
    assert w.grad == 1.0 + 2.0
    w.grad = 0.0


def test_forward_over_reverse_and_reverse_over_forward_agree():
    def f(x):
        return math.exp(math.sin(x)) * x

    x = 0.7
    second = grad(grad(f))(x)
    over_reverse = jvp(grad(f), [x], [1.0])[1]
    over_forward = grad(lambda v: jvp(f, [v], [1.0])[1])(x)
    both_forward = jvp(lambda v: jvp(f, [v], [1.0])[1], [x], [1.0])[1]
    for other in (over_reverse, over_forward, both_forward):
        assert float(other) == pytest.approx(second, rel=1e-14, abs=0)


# ---- products with vectors

KINDS = ["add", "mul", "sin", "tanh", "div", "atan2", "sub", "exp"]
recipes = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 99), st.integers(0, 99)),
    min_size=1,
    max_size=12,
)


def function_of(recipe, n_outputs):
    def f(*xs):
        nodes = list(xs)
        for kind, i, j in recipe:
            a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
            nodes.append(
                {
                    "add": lambda a, b: a + b,
                    "sub": lambda a, b: 2 * a - b,
                    "mul": lambda a, b: a * b,
                    "sin": lambda a, b: math.sin(a),
                    "tanh": lambda a, b: math.tanh(a),
                    "exp": lambda a, b: math.exp(math.tanh(a)),
                    "div": lambda a, b: a / (2 + b * b),
                    "atan2": lambda a, b: math.atan2(a, 1.5 + math.sigmoid(b)),
                }[kind](a, b)
            )
        return nodes[-n_outputs:]

    return f


@given(recipe=recipes, seed=st.integers(0, 2**32))
def test_vjp_and_jvp_are_adjoint_to_each_other(recipe, seed):
    rng = random.Random(seed)
    f = function_of(recipe, 2)
    primals = [rng.uniform(-1, 1) for _ in range(3)]
    tangents = [rng.uniform(-1, 1) for _ in range(3)]
    cotangents = [rng.uniform(-1, 1) for _ in range(2)]
    value, pullback = vjp(f, *primals)
    same_value, moved = jvp(f, primals, tangents)
    assert value == same_value
    left = std.fsum(v * t for v, t in zip(cotangents, moved, strict=True))
    right = std.fsum(g * t for g, t in zip(pullback(cotangents), tangents, strict=True))
    scale = std.fsum(
        abs(c) * abs(t)
        for row in jacobian(lambda xs: f(*xs))(primals)
        for t in row
        for c in cotangents
    )
    assert abs(left - right) <= 1e-12 * (scale + abs(left))
    for row, cotangent in zip(
        jacobian(lambda xs: f(*xs))(primals), ([1.0, 0.0], [0.0, 1.0]), strict=True
    ):
        assert row == pytest.approx(list(pullback(cotangent)), rel=1e-13, abs=1e-300)


def test_a_pullback_may_be_called_many_times_and_is_linear():
    value, pullback = vjp(lambda x, y: [x * y, x + y], 2.0, 3.0)
    assert value == [6.0, 5.0]
    assert pullback([1.0, 0.0]) == (3.0, 2.0)
    assert pullback([0.0, 1.0]) == (1.0, 1.0)
    assert pullback([2.0, -1.0]) == (5.0, 3.0)
    assert pullback([1, 0]) == (3.0, 2.0)


def test_pullback_rejects_cotangents_that_do_not_match():
    def pair(x):
        return [x, x * 2]

    _, pullback = vjp(pair, 1.0)
    for bad in (1.0, [1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(
            ValueError, match="the pullback of pair takes a list of 2 cotangents, not "
        ):
            pullback(bad)
    _, pullback = vjp(polynomial, 1.0, 2.0)
    with pytest.raises(
        ValueError, match=r"the pullback of polynomial takes one cotangent, not \[1.0\]"
    ):
        pullback([1.0])
    with pytest.raises(TypeError, match="a cotangent must be a real number, not str"):
        pullback("1")


def test_jvp_rejects_tangents_that_do_not_match():
    with pytest.raises(
        ValueError, match="jvp: tangents must be a list of 2, one for each of the primals, not of 1"
    ):
        jvp(polynomial, [1.0, 2.0], [1.0])
    with pytest.raises(TypeError, match=r"jvp: tangents\[1\] must be a real number, not None"):
        jvp(polynomial, [1.0, 2.0], [1.0, None])


def test_vjp_and_jvp_by_hand():
    assert jvp(polynomial, [2.0, 5.0], [1.0, 10.0]) == (35.0, 20.0 + 70.0)
    value, pullback = vjp(polynomial, 2.0, 5.0)
    assert (value, pullback(2.0), pullback()) == (35.0, (40.0, 14.0), (20.0, 7.0))


def test_infinite_derivatives_propagate_in_both_modes():
    assert jvp(math.sqrt, [0.0], [1.0]) == (0.0, std.inf)
    assert grad(math.sqrt)(0.0) == std.inf


def test_vjp_is_differentiable_in_the_cotangent_and_the_primal():
    x, v = Value(2.0), Value(5.0)
    value, pullback = vjp(lambda t: t**3, x)
    assert gradients(value, [x])[0].data == 12.0
    out = pullback(v)[0]  # 3 x**2 v
    assert out.data == 60.0
    assert [g.data for g in gradients(out, [x, v])] == [60.0, 12.0]


def test_jvp_is_differentiable_in_the_tangent_and_in_a_closed_over_value():
    w, t = Value(2.0), Value(5.0)
    value, moved = jvp(lambda y: w * y * y, [3.0], [t])  # w y**2 and 2 w y t
    assert (value.data, moved.data) == (18.0, 60.0)
    assert gradients(value, [w])[0].data == 9.0
    assert [g.data for g in gradients(moved, [w, t])] == [30.0, 12.0]


# ---- matrices


def test_jacobian_by_hand():
    def polar(xs):
        r, angle = xs
        return [r * math.cos(angle), r * math.sin(angle)]

    r, t = 2.0, 0.5
    assert jacobian(polar)([r, t]) == [[std.cos(t), -r * std.sin(t)], [std.sin(t), r * std.cos(t)]]
    assert jacobian(lambda xs: xs[0] * xs[1])([3.0, 4.0]) == [[4.0, 3.0]]
    assert jacobian(lambda xs: list(xs))([1.0, 2.0]) == [[1.0, 0.0], [0.0, 1.0]]


def rosenbrock(xs):
    return sum(100 * (xs[i + 1] - xs[i] ** 2) ** 2 + (1 - xs[i]) ** 2 for i in range(len(xs) - 1))


def rosenbrock_hessian(xs):
    n = len(xs)
    h = [[Fraction(0)] * n for _ in range(n)]
    for i in range(n - 1):
        x, y = Fraction(xs[i]), Fraction(xs[i + 1])
        h[i][i] += 1200 * x * x - 400 * y + 2
        h[i][i + 1] = h[i + 1][i] = -400 * x
        h[i + 1][i + 1] += 200
    return [[float(entry) for entry in row] for row in h]


@given(xs=st.lists(st.integers(-8, 8).map(lambda k: k / 4), min_size=2, max_size=5))
def test_hessian_of_rosenbrock_equals_its_closed_form(xs):
    assert hessian(rosenbrock)(xs) == rosenbrock_hessian(xs)  # quarters: everything is exact


@given(recipe=recipes, seed=st.integers(0, 2**32))
def test_hessians_are_symmetric_and_agree_with_nested_grads(recipe, seed):
    rng = random.Random(seed)
    f = function_of(recipe, 1)
    xs = [rng.uniform(-1, 1) for _ in range(3)]
    h = hessian(lambda v: f(*v)[0])(xs)
    size = max(1.0, *(abs(entry) for row in h for entry in row))
    for i, j in itertools.product(range(3), repeat=2):
        assert abs(h[i][j] - h[j][i]) <= 1e-12 * size
        nested = grad(grad(lambda *v: f(*v)[0], i), j)(*xs)
        assert abs(h[i][j] - nested) <= 1e-12 * size


# ---- errors of the lower steps


def test_only_values_can_be_differentiated():
    x = Value(1.0)
    with pytest.raises(
        TypeError, match=r"backward: roots must be a Value, not float \(1.0\)"
    ):
        backward(1.0)
    with pytest.raises(
        TypeError, match=r"backward: roots\[1\] must be a Value, not str \('x'\)"
    ):
        backward([x, "x"])
    with pytest.raises(
        TypeError, match=r"gradients: xs\[0\] must be a Value, not float \(2.0\)"
    ):
        gradients(x, [2.0])
    assert x.grad == 0.0


def test_topological_order_accepts_values_only():
    with pytest.raises(
        TypeError, match=r"each of roots must be a Value, not list .*; pass several as"
    ):
        topological_order([Value(1.0)])


def test_only_functions_can_be_differentiated():
    for transform in (lambda f: vjp(f, 1.0), lambda f: jvp(f, [1.0], [1.0]), grad, value_and_grad,
                      jacobian, hessian):
        with pytest.raises(TypeError, match=r": f must be a function, not int \(3\)"):
            transform(3)


def test_seed_that_is_a_value_is_rejected_with_a_remedy():
    x = Value(2.0)
    with pytest.raises(
        TypeError, match=r"backward: seeds\[0\] must be a number, not Value .*multiply the root"
    ):
        backward(x * x, Value(3.0))
    with pytest.raises(TypeError, match=r"gradients: seeds\[0\] must be a number"):
        gradients([x * x], [x], [Value(3.0)])
    assert x.grad == 0.0


def test_number_of_seeds_must_equal_the_number_of_roots():
    x = Value(1.0)
    with pytest.raises(ValueError, match="backward: seeds must be 2 numbers, one for each"):
        backward([x, x], [1.0])
    with pytest.raises(ValueError, match="seeds must be 1 number, one for each root, not 2"):
        backward(x, [1.0, 2.0])
    with pytest.raises(TypeError, match="backward: seeds must be a list of numbers, not str"):
        backward(x, "1")
    assert x.grad == 0.0


def test_graphs_of_gradients_are_as_short_as_on_paper():
    x, y = Value(2.0), Value(3.0)
    gx, gy = gradients(x * y, [x, y])
    assert gx.args == (y,)
    assert gy.args == (x,)
    assert len(topological_order(gradients(math.sin(x), [x])[0])) == 2  # x, cos(x)
    # times the derivative of the sum, which is 1
    assert gradients(math.sin(x + y), [x])[0].op == "cos"


def test_a_long_chain_is_differentiated_to_second_order_without_recursion():
    x = Value(0.5)
    y = x
    for _ in range(5000):
        y = y * 1.0 + x * x
    slope = gradients(y, [x])[0]
    assert slope.data == 1 + 5000 * 1.0
    assert gradients(slope, [x])[0].data == 10_000.0
