"""math: the names and numbers of the standard module, on floats and on Values; functions of
lists."""

import inspect
import math as std
import random

import pytest
from helpers import bits, inf, mp, mpf, nan, same
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Value, grad, gradients, math
from tinygrad_edu.engine import table

PUBLIC = [name for name in dir(std) if not name.startswith("_")]
CONSTANTS = ["e", "inf", "nan", "pi", "tau"]

# For each function of the standard module, the interval of each argument.
UNIT, REAL, POSITIVE = (-1.0, 1.0), (-20.0, 20.0), (1e-3, 20.0)
DOMAINS = {
    "acos": [UNIT],
    "acosh": [(1.0, 20.0)],
    "asin": [UNIT],
    "asinh": [REAL],
    "atan": [REAL],
    "atan2": [REAL, REAL],
    "atanh": [(-0.99, 0.99)],
    "cbrt": [REAL],
    "ceil": [REAL],
    "copysign": [REAL, REAL],
    "cos": [REAL],
    "cosh": [REAL],
    "degrees": [REAL],
    "erf": [REAL],
    "erfc": [REAL],
    "exp": [REAL],
    "exp2": [REAL],
    "expm1": [REAL],
    "fabs": [REAL],
    "floor": [REAL],
    "fmod": [REAL, POSITIVE],
    "gamma": [POSITIVE],
    "hypot": [REAL, REAL],
    "lgamma": [POSITIVE],
    "log": [POSITIVE],
    "log10": [POSITIVE],
    "log1p": [POSITIVE],
    "log2": [POSITIVE],
    "nextafter": [REAL, REAL],
    "pow": [POSITIVE, REAL],
    "radians": [REAL],
    "remainder": [REAL, POSITIVE],
    "sin": [REAL],
    "sinh": [REAL],
    "sqrt": [POSITIVE],
    "tan": [REAL],
    "tanh": [REAL],
    "trunc": [REAL],
    "ulp": [REAL],
    "fma": [REAL, REAL, REAL],
}
OF_OTHER_THINGS = {
    "comb",
    "dist",
    "factorial",
    "frexp",
    "fsum",
    "gcd",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isqrt",
    "lcm",
    "ldexp",
    "modf",
    "perm",
    "prod",
    "sumprod",
    *CONSTANTS,
}
DIFFERENTIABLE = [
    name for name in DOMAINS if name not in ("gamma", "lgamma", "nextafter", "ulp", "fma")
]


def arguments(name, n=50):
    rng = random.Random(name)
    return [tuple(rng.uniform(*interval) for interval in DOMAINS[name]) for _ in range(n)]


def test_math_has_and_tests_every_public_name_of_the_standard_module():
    missing = [name for name in PUBLIC if not hasattr(math, name)]
    assert missing == []
    assert set(PUBLIC) <= {*DOMAINS, *OF_OTHER_THINGS}


def test_math_has_every_row_of_the_table():
    for name, row in table.TABLE.items():
        # of several arguments, or ints for floats
        if name not in ("remainder", "hypot", "log", "floor", "ceil", "trunc"):
            assert getattr(math, name) is row


def test_math_all_lists_existing_names_once():
    assert [name for name in math.__all__ if not hasattr(math, name)] == []
    assert len(set(math.__all__)) == len(math.__all__)


def test_constants_are_the_standard_ones():
    assert all(same(getattr(math, name), getattr(std, name)) for name in CONSTANTS)


@pytest.mark.parametrize("name", [name for name in DOMAINS if hasattr(std, name)])
def test_functions_of_numbers_equal_the_standard_module(name):
    for args in arguments(name):
        expected = getattr(std, name)(*args)
        got = getattr(math, name)(*args)
        assert type(got) is type(expected)
        assert got == expected
        assert type(got) is int or bits(got) == bits(expected)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_functions_of_values_return_the_same_numbers(name):
    for args in arguments(name, 10):
        for k in range(len(args)):
            mixed = [Value(arg) if i == k else arg for i, arg in enumerate(args)]
            got = getattr(math, name)(*mixed)
            assert isinstance(got, Value)
            expected = getattr(std, name)(*args)
            if isinstance(expected, int):  # an int has no signed zero
                assert got.data == expected
            else:
                assert bits(got.data) == bits(expected)


@pytest.mark.parametrize("name", ["gamma", "lgamma", "ulp", "frexp", "factorial", "isqrt"])
def test_functions_without_a_row_reject_values(name):
    with pytest.raises(
        TypeError,
        match=rf"math\.{name} has no row .*cannot be differentiated; pass a number \(\.data\)",
    ):
        getattr(math, name)(Value(4.0))


@pytest.mark.parametrize("name", ["nextafter", "comb", "gcd", "lcm", "perm"])
def test_functions_of_two_arguments_without_a_row_reject_values(name):
    for args in ((Value(4.0), 2), (4, Value(2.0))):
        with pytest.raises(TypeError, match=rf"math\.{name} has no row"):
            getattr(math, name)(*args)


def test_ldexp_rejects_values():
    with pytest.raises(TypeError, match=r"math\.ldexp has no row"):
        math.ldexp(Value(4.0), 2)


@pytest.mark.parametrize(("call", "expected"), [
    (lambda m: m.comb(5, 2), 10), (lambda m: m.factorial(5), 120), (lambda m: m.gcd(12, 18), 6),
    (lambda m: m.isqrt(17), 4),
    (lambda m: m.lcm(4, 6), 12), (lambda m: m.perm(5, 2), 20), (lambda m: m.frexp(3.0), (0.75, 2)),
    (lambda m: m.ldexp(0.75, 2), 3.0), (lambda m: m.modf(-2.5), (-0.5, -2.0)),
    (lambda m: m.prod([2, 3.0, 4]), 24.0),
    (lambda m: m.prod([2, 3], start=2), 12), (lambda m: m.fsum([0.1] * 10), 1.0),
    (lambda m: m.dist([1, 2], [4, 6]), 5.0),
    (lambda m: m.isclose(1.0, 1.0 + 1e-10), True),
    (lambda m: m.isclose(1.0, 1.1, rel_tol=0.2), True),
    (lambda m: m.isnan(nan), True), (lambda m: m.isinf(-inf), True),
    (lambda m: m.isfinite(1.0), True),
    (lambda m: m.log(8, 2), 3.0), (lambda m: m.hypot(1.0, 2.0, 2.0), 3.0),
    (lambda m: m.hypot(), 0.0),
    (lambda m: m.hypot(-3.0), 3.0), (lambda m: m.log(7), std.log(7)),
])
def test_functions_of_other_types_equal_the_standard_module(call, expected):
    assert call(math) == call(std) == expected


def test_predicates_read_the_data_of_values():
    assert math.isnan(Value(nan))
    assert math.isinf(Value(inf))
    assert math.isfinite(Value(1.0))
    assert math.isclose(Value(1.0), Value(1.0 + 1e-12))


@pytest.mark.parametrize(("name", "args", "expected"), [
    ("exp", (1000.0,), inf), ("expm1", (1000.0,), inf), ("exp2", (5000.0,), inf),
    ("cosh", (-1000.0,), inf),
    ("sinh", (-1000.0,), -inf), ("log", (0.0,), -inf), ("log", (-1.0,), nan),
    ("log2", (0.0,), -inf), ("log10", (0.0,), -inf),
    ("log1p", (-1.0,), -inf), ("log1p", (-2.0,), nan), ("sqrt", (-1.0,), nan),
    ("acos", (2.0,), nan), ("asin", (-2.0,), nan),
    ("acosh", (0.5,), nan), ("atanh", (1.0,), inf), ("atanh", (-1.0,), -inf),
    ("atanh", (2.0,), nan), ("sin", (inf,), nan),
    ("cos", (-inf,), nan), ("tan", (inf,), nan), ("pow", (0.0, -1.0), inf),
    ("pow", (-8.0, 1 / 3), nan),
    ("pow", (1e200, 2.0), inf), ("fmod", (1.0, 0.0), nan), ("fmod", (inf, 1.0), nan),
    ("remainder", (1.0, 0.0), nan),
    ("floor", (inf,), inf), ("ceil", (nan,), nan), ("trunc", (-inf,), -inf),
    ("log", (0.0, 2.0), -inf),
])
def test_functions_follow_ieee_754_where_the_standard_module_raises(name, args, expected):
    with pytest.raises((ValueError, OverflowError)):
        getattr(std, name)(*args)
    assert same(getattr(math, name)(*args), expected)
    assert same(getattr(math, name)(Value(args[0]), *args[1:]).data, expected)


def test_unknown_name_raises_attribute_error():
    with pytest.raises(
        AttributeError,
        match="has no attribute 'sinn': neither a row of the table nor a name of math",
    ):
        math.sinn(1.0)
    assert not hasattr(math, "_private")


def test_one_function_runs_on_floats_and_on_values():
    def wave(x):
        return math.exp(-x) * math.sin(3 * x) + math.log(x, 3) + math.modf(x)[0]

    assert bits(wave(1.25)) == bits(wave(Value(1.25)).data)
    assert grad(wave)(1.25) == pytest.approx(
        float(
            mp.diff(
                lambda x: mp.exp(-x) * mp.sin(3 * x) + mp.log(x) / mp.log(3) + x - 1, mpf("1.25")
            )
        ),
        rel=1e-13,
    )


# ---- functions of lists

numbers = st.lists(st.floats(-50, 50), min_size=1, max_size=6)


def truth_softmax(xs):
    with mp.workdps(60):
        exponentials = [mp.exp(mpf(x)) for x in xs]
        return [e / mp.fsum(exponentials) for e in exponentials]


@given(xs=numbers)
def test_softmax_is_accurate_and_sums_to_one(xs):
    ps = math.softmax(xs)
    for p, true in zip(ps, truth_softmax(xs), strict=True):
        # exp(x - max): the rounding of the difference, at most ulp(100)/2, is all that is lost
        assert abs(p - true) <= 2e-14 * true
    assert abs(std.fsum(ps) - 1) <= 1e-15 * len(xs)
    assert [v.data for v in math.softmax([Value(x) for x in xs])] == ps


@given(xs=numbers)
def test_logsumexp_and_log_softmax_are_accurate(xs):
    with mp.workdps(60):
        true = mp.log(mp.fsum(mp.exp(mpf(x)) for x in xs))
        logs = [mp.log(p) for p in truth_softmax(xs)]
    assert abs(math.logsumexp(xs) - true) <= 1e-15 * max(1, *map(abs, xs))
    for got, log in zip(math.log_softmax(xs), logs, strict=True):
        assert abs(got - log) <= 3e-14 * abs(log) or log == 0


@given(
    xs=st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=6),
    shift=st.integers(-10**6, 10**6),
)
def test_softmax_and_its_logarithm_are_invariant_under_shifts(xs, shift):
    moved = [x + shift for x in xs]  # whole numbers: the shift is exact
    assert math.softmax(moved) == math.softmax(xs)
    assert math.log_softmax(moved) == math.log_softmax(xs)
    assert math.logsumexp(moved) - shift == pytest.approx(math.logsumexp(xs), abs=1e-9)


@pytest.mark.parametrize("xs", [
    [1000.0, 1000.0], [-1000.0, -1001.0], [1e308, 1e308], [-1e308, 0.0], [700.0, -700.0],
])
def test_large_arguments_neither_overflow_nor_vanish(xs):
    values = [Value(x) for x in xs]
    assert sum(math.softmax(xs)) == pytest.approx(1.0, rel=1e-15, abs=0)
    total = math.logsumexp(values)
    assert std.isfinite(total.data)
    total.backward()
    assert [v.grad for v in values] == pytest.approx(math.softmax(xs), rel=1e-14, abs=0)
    assert all(std.isfinite(v.data) for v in math.log_softmax(values))


@given(xs=st.lists(st.floats(-30, 30), min_size=2, max_size=5))
def test_gradients_of_softmax_and_its_logarithm_equal_their_formulas(xs):
    ps = truth_softmax(xs)
    values = [Value(x) for x in xs]
    soft, logs = math.softmax(values), math.log_softmax(values)
    for i in range(len(xs)):
        by_soft, by_log = gradients(soft[i], values), gradients(logs[i], values)
        for j in range(len(xs)):
            rest = mp.fsum(p for k, p in enumerate(ps) if k != i)
            expected = ps[i] * rest if i == j else -ps[i] * ps[j]
            assert abs(by_soft[j].data - expected) <= 1e-13 * ps[i]
            expected = rest if i == j else -ps[j]
            assert abs(by_log[j].data - expected) <= 1e-13 * abs(expected)


def test_log_softmax_keeps_the_digits_of_probabilities_near_one():
    x, y = Value(50.0), Value(0.0)
    first = math.log_softmax([x, y])[0]
    assert first.data == pytest.approx(-std.exp(-50), rel=1e-15, abs=0)
    first.backward()
    assert (x.grad, y.grad) == pytest.approx((std.exp(-50), -std.exp(-50)), rel=1e-14, abs=0)


@pytest.mark.parametrize("xs", [
    [0.0, 800.0, -800.0], [1.0, 1.0, 1.0], [5.0, 5.0, -700.0], [720.0, 0.0, 1.0], [0.0, 40.0],
    [2.0, -inf, 1.0], [-inf, -inf, 3.0], [1e6, 1e6 + 1, 1e6 + 3, 1e6 - 2],
    [0.01 * i for i in range(20)],
])
def test_log_softmax_and_its_derivatives_are_right_at_ties_and_large_differences(xs):
    with mp.workdps(700):
        ps = truth_softmax(xs)
        for i, p in enumerate(ps):
            values = [Value(x) for x in xs]
            y = math.log_softmax(values)[i]
            rests = [mp.fsum(q for k, q in enumerate(ps) if k != j) for j in range(len(xs))]
            log = mp.log1p(-rests[i]) if p > 0.5 else mp.log(p) if p else -mp.inf
            assert y.data == log or abs(y.data - log) <= 4 * std.ulp(float(log))
            first = gradients(y, values)
            for j, q in enumerate(ps):
                expected = float(rests[i] if i == j else -q)
                assert abs(first[j].data - expected) <= 8 * std.ulp(expected)
            if std.isfinite(y.data):
                second = [x.data for x in gradients(first[i], values)]
                for j, q in enumerate(ps):
                    expected = float(-p * rests[i] if i == j else p * q)
                    assert abs(second[j] - expected) <= 16 * std.ulp(expected) + 1e-300


OF_LISTS = {
    "logsumexp": math.logsumexp, "softmax": math.softmax, "log_softmax": math.log_softmax,
    "prod": math.prod, "total": math.total, "fsum": math.fsum, "norm": math.norm,
    "hypot": lambda xs: math.hypot(*xs), "dist": lambda xs: math.dist(xs, xs[::-1]),
    "sumprod": lambda xs: math.sumprod(xs, xs), "take": lambda xs: math.take(xs, 1.0),
    "a squaring": lambda xs: [x * y for x in xs for y in xs],  # planted
}


@pytest.mark.parametrize("name", OF_LISTS)
def test_functions_of_lists_make_a_number_of_nodes_that_grows_linearly(name):
    counts = []
    for n in (50, 100):
        xs = [Value(i % 7 / 3) for i in range(n)]
        OF_LISTS[name](xs)
        counts.append(Value(0.0).serial - xs[-1].serial)  # all nodes, also those not returned
    assert (counts[1] <= 2.2 * counts[0]) == (name != "a squaring")


def test_functions_of_lists_handle_empty_and_nonfinite_input():
    assert math.logsumexp([]) == -inf
    assert math.softmax([]) == math.log_softmax([]) == []
    assert math.softmax([3.0]) == [1.0]
    assert math.log_softmax([3.0]) == [0.0]
    assert math.logsumexp([-inf, -inf]) == -inf
    assert math.logsumexp([inf, 0.0]) == inf
    assert all(std.isnan(p) for p in math.softmax([nan, 1.0]))
    assert math.softmax([-inf, 0.0]) == [0.0, 1.0]
    assert math.prod([]) == 1
    assert math.fsum([]) == 0.0
    assert math.norm([]) == 0.0


def test_functions_of_lists_take_any_iterable():
    xs = [1.0, 2.0, 3.0]
    for f in (math.logsumexp, math.softmax, math.log_softmax, math.prod, math.fsum, math.norm):
        assert f(x for x in xs) == f(xs)
        assert f(tuple(xs)) == f(xs)


@given(xs=st.lists(st.floats(-10, 10).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=5))
def test_norm_hypot_and_dist(xs):
    values = [Value(x) for x in xs]
    length = math.norm(values)
    assert length.data == pytest.approx(std.hypot(*xs), rel=1e-15, abs=0)
    assert math.hypot(*xs) == pytest.approx(std.hypot(*xs), rel=1e-15, abs=0)
    length.backward()
    assert [v.grad for v in values] == pytest.approx(
        [x / std.hypot(*xs) for x in xs], rel=4e-15, abs=0
    )
    origin = [0.0] * len(xs)
    assert math.dist(values, origin).data == pytest.approx(math.dist(xs, origin), rel=1e-15, abs=0)


def test_norm_at_extremes_and_at_the_origin():
    for size in (1e200, 1e-200):
        values = [Value(2 * size), Value(3 * size), Value(6 * size)]
        length = math.norm(values)
        assert length.data == pytest.approx(7 * size, rel=1e-15, abs=0)
        length.backward()
        assert [v.grad for v in values] == pytest.approx([2 / 7, 3 / 7, 6 / 7], rel=1e-15, abs=0)
    values = [Value(0.0), Value(0.0), Value(0.0)]
    math.norm(values).backward()
    assert [v.grad for v in values] == [0.0, 0.0, 0.0]


def test_dist_and_sumprod_reject_lists_of_different_lengths():
    with pytest.raises(ValueError, match=r"^dist: p and q must have equal lengths, not 1 and 2;"):
        math.dist([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="sumprod: xs and ys must have equal lengths, not "):
        math.sumprod([1.0], [1.0, 2.0])


def test_prod_fsum_and_sumprod_on_values():
    xs = [Value(2.0), Value(3.0), Value(4.0)]
    product = math.prod(xs)
    product.backward()
    assert (product.data, [x.grad for x in xs]) == (24.0, [12.0, 8.0, 6.0])
    assert math.fsum(xs).data == 9.0
    assert math.sumprod(xs, [1, 10, 100]).data == 432.0
    assert math.sumprod([1.5, 2.0], [2.0, 3.0]) == 9.0
    assert math.prod([Value(0.0), 5.0, 2]).data == 0.0


@given(xs=st.lists(st.floats(-1e6, 1e6), max_size=6))
def test_fsum_of_floats_is_exactly_rounded(xs):
    assert math.fsum(xs) == std.fsum(xs)


@pytest.mark.parametrize(("x", "y", "piece"), [
    (1.0, 2.0, -1), (2.0, 1.0, 1), (1.0, 1.0, 0), (-0.0, 0.0, 0), (nan, 1.0, 2), (1.0, nan, 2),
    (inf, inf, 0), (-inf, inf, -1),
])
def test_compare_distinguishes_the_sides_of_a_kink_the_kink_and_nan(x, y, piece):
    assert table.compare(x, y) == piece


def test_every_function_has_a_docstring():
    for name, function in inspect.getmembers(math, inspect.isfunction):
        if not name.startswith("_"):
            assert function.__doc__, name


def test_norms_of_many_values_do_not_recurse():
    xs = [Value(1.0) for _ in range(3000)]
    length = math.norm(xs)
    length.backward()
    assert length.data == pytest.approx(3000**0.5, rel=1e-12, abs=0)
    assert xs[0].grad == pytest.approx(3000**-0.5, rel=1e-12, abs=0)


def test_modf_of_infinity_equals_the_standard_module():
    assert [part.data for part in math.modf(Value(float("inf")))] == [0.0, float("inf")]


@pytest.mark.parametrize(("forward", "rules", "wrong"), [
    (3.0, [lambda x, o: 1.0], "forward must be a function, not float"),
    (abs, ["2 * x"], r"partials\[0\] must be a function, not str"),
    (abs, [], "partials must be at least one rule, not none"),
])
def test_define_rejects_rules_that_are_not_functions(forward, rules, wrong):
    with pytest.raises(TypeError, match=f"define: {wrong}.*one rule for each argument"):
        table.define("thrice", forward, *rules)
    assert not hasattr(math, "thrice")
