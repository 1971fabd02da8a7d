"""Tests of gradient_test: it passes right derivatives, finds bugs at the simplest point, and
fails if it could not compare anything."""

import itertools
import os
import re
import subprocess
import sys
import time
import unittest

import numpy as np
import pytest
from helpers import ROOT, replaced, run_python, scaled
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck
from hypothesis.extra.numpy import arrays

from tinygrad_edu import Value, math, testing
from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.testing import gradient_test, profiles, strategies, suspects
from tinygrad_edu.testing.property import Point, Property

REPEATABLE = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
every_row = pytest.mark.parametrize("name", list(TABLE))


def bell(x):
    return math.exp(-x * x)


def failure(test, examples=60):
    """Returns the message of a test that must fail, without the notes of hypothesis."""
    with pytest.raises(AssertionError) as caught:
        settings(REPEATABLE, max_examples=examples)(test)()
    return str(caught.value)


def points(f, order=1, **arguments):
    """Returns the points that are drawn for ``f``."""
    seen = []

    @settings(REPEATABLE, max_examples=500)  # few points are at an edge of the domain
    @given(point=Property(f, arguments, order).points)
    def collect(point):
        seen.append(point)

    collect()
    return seen


@pytest.fixture
def own_row():
    """Yields `define`, and removes the rows that the test defines."""
    before = dict(TABLE)
    yield define
    TABLE.clear()
    TABLE.update(before)


# ---- right derivatives

test_bell = gradient_test(bell)
test_sigmoid = gradient_test("sigmoid")
test_slope_of_where = gradient_test(lambda x, y: math.where(x > y, x * y, y), order=2)


@gradient_test(x=(0.1, 10), order=2)
def test_cube_of_log(x):
    return math.log(x) ** 3


@gradient_test
def test_arguments_by_name_alone(x, *, y):
    return math.hypot(x, y) / (1 + abs(y))


@every_row
def test_gradient_test_passes_for_every_row(name):
    gradients = Property(name, {})
    gradients.run(scaled(ci=25, thorough=2000))
    assert gradients.counts["compared"] >= 10


@every_row
def test_gradient_test_passes_for_second_derivatives_of_every_row(name):
    gradients = Property(name, {}, order=2)
    gradients.run(scaled(ci=8, thorough=500))
    assert gradients.counts["compared"] >= 4


@pytest.mark.parametrize("f", [
    lambda x: math.sin(1 / x) if x else x * 1.0,
    lambda x, y: x**y,
    lambda x: math.sqrt(1 + abs(x)) + math.relu(x - 1),
    lambda x, y, z: math.logsumexp([x, y * z, z]),
    lambda a, b: math.atan2(a, 1 + b) * (a % 3.0),
    lambda x: math.tan(x) + math.floor(x) * x,
    lambda x: (x + 1e6) - 1e6,
])
def test_gradient_test_passes_for_right_functions(f):
    gradients = Property(f, {})
    gradients.run(scaled(ci=100, thorough=5000))
    assert gradients.counts["compared"] == scaled(ci=100, thorough=5000)
    assert gradients.worst < 1


# ---- arguments of any kind


def polynomial(x, n):
    return sum(x**k for k in range(n))


def chosen(x, kind, flag):
    assert flag is True or flag is False
    return getattr(math, kind)(x) if flag else x * 1.0


def length(w):
    return math.sqrt(1 + sum(x * x for x in w))


def product(X, w):
    return ((X @ w) ** 2).sum()


def model(p):
    assert type(p["n"]) is int
    return p["w"][0] * math.exp(p["w"][1]) ** p["n"] + p["b"]


test_kept_whole_number = gradient_test(polynomial, n=3)
test_drawn_whole_number = gradient_test(polynomial, n=st.integers(1, 4))
test_kept_text_and_drawn_boolean = gradient_test(chosen, kind="sin", flag=st.booleans())
test_drawn_text = gradient_test(chosen, kind=st.sampled_from(["sin", "cos"]), flag=True)
test_list_of_any_length = gradient_test(length, w=st.lists(st.floats(-3, 3), min_size=1))
test_list_of_intervals = gradient_test(length, w=[(-1, 1), 2, (2, 3)])
test_array = gradient_test(
    product, X=np.arange(6.0).reshape(2, 3), w=arrays(float, 3, elements=st.floats(-2, 2)), order=2)
test_dict = gradient_test(model, p={"w": [(-1, 1), (0.5, 2)], "b": st.floats(1, 2), "n": 2})


@pytest.mark.parametrize(("kept", "drawn"), [
    (3, None), (True, None), ("text", None), (None, None), (np.arange(3), None), ([1, 2, 3], None),
    ((4.0, 5.0, 6.0), None), ({"a": 0.5}, None), (len, None), ([[0.1, 0.2], [0.3, 0.4]], None),
    (None, st.integers(2, 3)), (None, st.booleans()), (None, st.text("ab", min_size=1)),
    (None, st.just((3, 4))), (None, st.fractions(1, 2)), (None, st.just(np.arange(2))),
])
def test_kept_and_drawn_arguments_pass_unchanged(kept, drawn):
    seen = []

    def f(x, other):
        seen.append(other)
        return x * x

    gradients = Property(f, {"other": kept if drawn is None else drawn})
    gradients.run(5)
    for other in seen:
        if drawn is None:
            assert other is kept
        else:
            assert not isinstance(other, (float, Value))


def test_floats_in_structures_become_values():
    def f(w, rest):
        assert type(w) is np.ndarray
        assert w.dtype == object
        assert all(isinstance(x, Value) for x in [*w, rest["a"][0]])
        assert type(rest["a"][1]) is int
        return w[0] * w[1] * rest["a"][0]

    gradients = Property(f, {
        "w": arrays(float, 2, elements=st.floats(1, 2)),
        "rest": st.fixed_dictionaries({"a": st.tuples(st.floats(1, 2), st.integers())}),
    })
    gradients.run(10)
    assert set(gradients._entry_counts) == {"w", "rest"}


def test_failure_message_names_entry_of_structure():
    message = failure(gradient_test(
        lambda p, kind: p["w"][0] * float(p["w"][1]), p={"w": [(1, 2), (1, 2)]}, kind="mean"))
    assert message.startswith("the derivative of <lambda> with respect to p['w'][1] is wrong at "
                              "p['w'][0]=1.0, p['w'][1]=1.0, kind='mean'\n")


# ---- points that are always tried


@pytest.mark.parametrize(("f", "at"), [
    (lambda x: math.sqrt(x * x), "x=0.0"),
    (lambda x, y: x / math.sqrt(x * x + y * y), "x=0.0, y=0.0"),
    (lambda x: math.expm1(x) / x, "x=0.0"),
    (lambda x: x * math.log(x * x), "x=0.0"),
    (lambda x: math.sqrt(abs(x)), "x=0.0"),
    (lambda x: x * math.sin(1 / x), "x=0.0"),
    (lambda x: math.cbrt(x) + x, "x=0.0"),
    (lambda x, y: math.sqrt((x - y) ** 2), "x=1.0, y=1.0"),  # a tie
    (lambda x, y: y + math.sqrt(math.square(x)), "x=0.0, y=0.0"),
    (lambda x, y: math.log(y * y) * math.sqrt(x * x), "x=0.0, y="),  # one argument alone
    (lambda x: math.log(x) / (x - 1), "x=1.0"),
    (lambda x: math.sqrt((x + 0.5) ** 2), "x=-0.5"),
    (lambda x: math.sqrt((x - 16) ** 2), "x=16.0"),
    (lambda x: math.acos(math.cos(x)), "x=0.0"),
])
def test_gradient_test_reports_singular_point(f, at):
    message = failure(gradient_test(f), examples=5)
    first, second, *_ = message.splitlines()
    assert re.match(r"the derivative of <lambda> with respect to \w is (nan|inf|-inf) at ", first)
    assert f" at {at}" in first
    assert second == "  this point is singular: the function is finite on both sides of it"
    assert re.search("local derivatives? ", message)
    assert "give an interval or a strategy without it, such as " in message


@pytest.mark.parametrize("f", [
    lambda x: math.sqrt(x * x), lambda x: math.expm1(x) / x, lambda x: x * math.log(x * x),
])
def test_gradient_test_passes_if_singular_point_is_excluded(f):
    Property(f, {"x": (0.1, 5)}).run(10)
    Property(f, {"x": st.floats(-5, -0.1)}).run(10)

    def assumed(x):
        assume(x.data != 0)
        return f(x)

    REPEATABLE(gradient_test(assumed))()


@pytest.mark.parametrize("f", [
    lambda x: 1 / x, lambda x: math.log(abs(x)), lambda x: math.log(x), lambda x: math.sqrt(x),
    lambda x: math.sqrt(1 - x * x) + 1 / (x - 1), lambda x: abs(x) + math.relu(x - 1),
])
def test_gradient_test_passes_at_poles_kinks_and_ends_of_domain(f):
    Property(f, {}).run(10)


def test_special_points_are_tried_within_intervals_only():
    tried = []

    def f(x, y, z):
        tried.append((x.data, y.data, z.data))
        return x * y * z

    Property(f, {"x": (0.5, 3), "y": st.floats(7, 8)}).run(1)
    xs, ys, zs = map(set, zip(*tried))
    assert {1.0, 2.0, 0.5} <= xs
    assert min(xs) > 0.4
    assert max(xs) < 3.4
    assert min(ys) > 6  # 7, less the longest step of a difference
    assert {0.0, 1.0, -1.0, 2.0, -16.0} <= zs
    assert (1.0, 7.0, 1.0) in tried


def test_special_points_are_tried_for_rows_of_ones_own(own_row):
    row = own_row("sinc", lambda x: table.div(math.sin(x), x), lambda x, o: (math.cos(x) - o) / x)
    message = failure(gradient_test(row), examples=5)
    assert message.startswith("the derivative of sinc with respect to x is nan at x=0.0\n")


def test_wrong_derivative_at_one_special_point_is_found(own_row):
    row = own_row("bent", lambda x: x * x, lambda x, o: math.where(abs(x) < 1e-9, 1.0, 2 * x))
    message = failure(gradient_test(lambda x: row(x) + x))
    assert message.startswith("the derivative of <lambda> with respect to x is wrong at x=0.0\n")


# ---- functions that change, deadlines, methods


@pytest.mark.parametrize("k", [5, 7, 20])
def test_gradient_test_finds_function_that_is_not_deterministic(k):
    calls = itertools.count(1)
    test = gradient_test(lambda x: x * x + 1 if next(calls) % k == 0 else x * x)
    for _ in range(2):
        with pytest.raises(ValueError, match="<lambda> must be deterministic"):
            test()


@pytest.fixture
def _default_profile():
    """Loads hypothesis's own profile, with its deadline of 200 ms."""
    before = profiles.scale()
    settings.register_profile("own_deadline", deadline=200, max_examples=3)
    settings.load_profile("own_deadline")
    yield
    profiles.load(before)


@pytest.mark.parametrize("decorate", [
    lambda test: test, lambda test: settings(max_examples=2)(test)
])
@pytest.mark.parametrize("seconds", [[0.25], itertools.repeat(0.02)])
@pytest.mark.usefixtures("_default_profile")
def test_gradient_test_has_no_deadline(decorate, seconds):
    waits = iter(seconds)

    def slow(x):
        time.sleep(next(waits, 0))
        return x * x

    test = decorate(gradient_test(slow, x=st.sampled_from([1.0, 2.0])))
    test()


class TestClass:
    factor = 2.0
    test_without_self = gradient_test(bell)
    test_static = staticmethod(gradient_test(bell))

    @gradient_test(x=(0.1, 10), order=2)
    def test_with_self(self, x):
        return self.factor * math.log(x) ** 3

    @settings(max_examples=5)
    @gradient_test
    def test_with_settings(self, x, y):
        return self.factor * x * y

    @classmethod
    @gradient_test
    def test_of_class(cls, x):
        return cls.factor * x * x


    @gradient_test
    def test_with_another_name(this, x):  # noqa: N805
        return this.factor * x * x

    @staticmethod
    @gradient_test
    def test_static_below(x, y):
        return x * y

    @gradient_test
    @staticmethod
    def test_static_above(x, y):
        return x * y

    test_lambda = gradient_test(lambda x: x * x)

    @pytest.mark.parametrize("n", [2, 3])
    @gradient_test(n=...)
    def test_parametrized(self, x, n):
        assert type(n) is int
        return self.factor * x**n


# ---- arguments that pytest passes


@pytest.fixture
def offset():
    return 7.0


@pytest.fixture(params=["sin", "cos"])
def function(request):
    return getattr(math, request.param)


@gradient_test(function=..., n=...)
@pytest.mark.parametrize(("n", "flag"), [(2, True), (3, False)])
def test_marks_of_the_function_hold_for_the_test(x, function, n, flag):
    assert type(n) is int
    assert type(flag) is bool
    return function(x) ** n


@pytest.mark.parametrize("n", [2, 3])
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@gradient_test(n=..., offset=...)
def test_arguments_that_pytest_passes_are_kept(x, *, n, offset):
    assert offset == 7
    assert type(offset) is float
    return sum((x**k for k in range(n)), offset)


@gradient_test
@pytest.mark.xfail(raises=AssertionError)
def test_that_is_expected_to_fail_fails(x):
    return float(x) * x


def test_arguments_that_are_passed_are_kept_and_shown():
    test = gradient_test(lambda x, n: float(x) * x * n, n=...)
    with pytest.raises(AssertionError, match=r"wrong at x=1\.0, n=3\n"):
        test(n=3)
    with pytest.raises(TypeError, match="test_lambda must be called with n=, not none"):
        test()
    with pytest.raises(TypeError, match="test_lambda must be called with n=, not n=, y="):
        test(n=3, y=4)
    with pytest.raises(ValueError, match="no argument to differentiate"):
        gradient_test(lambda n: n, n=...)


class TestUnittest(unittest.TestCase):
    test_without_self = gradient_test(bell)

    factor = 2.0

    @gradient_test(x=(0.1, 10))
    def test_with_self(self, x):
        return self.factor * math.log(x)


def test_method_that_is_wrong_fails():
    class Wrong:
        @gradient_test
        def test_wrong(self, x):
            return float(x) * x

    with pytest.raises(AssertionError, match="derivative of test_wrong with respect to x is wrong"):
        Wrong().test_wrong()


def test_decorators_of_hypothesis_hold_for_the_test():
    seen = []

    @example(point={"x": 123.0})
    @settings(phases=[Phase.explicit])
    @gradient_test
    def test(x):
        seen.append(x.data)
        return x * x

    test()
    assert 123.0 in seen


# ---- the test that it makes


NAMED = {
    "test_tanh": gradient_test("tanh"),
    "test_lambda": gradient_test(lambda x: x),
    "test_bell": gradient_test(x=(1, 2))(bell),
}


def test_gradient_test_names_and_documents_test_after_function():
    assert test_bell.__name__ == "test_bell"
    assert test_bell.__module__ == __name__
    assert test_bell.__doc__ == "Compares the derivatives of bell with finite differences."
    assert [test.__name__ for test in NAMED.values()] == list(NAMED)


@pytest.mark.parametrize("make", [gradient_test, gradient_test(x=(1, 2))])
def test_test_that_is_made_in_a_function_and_never_run_is_reported(make):
    words = "bell.* made a test that was never run, and checked nothing; call the test"
    with pytest.warns(RuntimeWarning, match=words) as caught:
        make(bell)
    assert caught[0].filename == __file__
    make(bell)()  # a warning is an error




@pytest.mark.parametrize("is_below", [True, False])
def test_gradient_test_draws_as_many_examples_as_settings_say(is_below):
    def points(examples):
        calls = []

        def counted(x):
            calls.append(float(x))
            return x * x

        # without the points that are always tried
        moderate = gradient_test(x=strategies.moderate_floats())
        limit = settings(REPEATABLE, max_examples=examples)
        test = moderate(limit(counted)) if is_below else limit(moderate(counted))
        test()
        return len(set(calls))

    assert points(70) > 5 * points(7) > 0


# ---- points


def test_points_of_function_are_moderate_with_both_signs():
    xs = [point["x"] for point in points(lambda x: x)]
    assert all(0.01 <= abs(x) <= 30 for x in xs)
    assert min(xs) < -1
    assert max(xs) > 1
    assert min(map(abs, xs)) < 0.1


def test_points_respect_intervals_strategies_and_fixed_numbers():
    def f(x, y, z, slope=0.5):
        return x * y * z * slope

    for point in points(f, x=(1, 2), y=st.sampled_from([3.0, 4.0]), z=7):
        assert list(point) == ["x", "y"]
        assert 1 <= point["x"] <= 2
        assert point["y"] in (3, 4)
    assert {tuple(point) for point in points(f, slope=(0, 1))} == {("x", "y", "z", "slope")}


def test_gradient_test_passes_fixed_number_to_function():
    seen = set()

    def f(x, *, power, scale=2.0):
        seen.add((power, scale))
        return scale * x**power

    REPEATABLE(gradient_test(f, x=(1, 2), power=3))()
    assert seen == {(3.0, 2.0)}


def test_points_of_row_cover_domain_and_edges_for_first_derivatives():
    xs = [point["x"] for point in points("sqrt")]
    assert max(xs) > 1e100
    assert min(x for x in xs if x > 0) < 1e-100
    assert 0.0 in xs
    assert all(0.01 <= point["x"] <= 30 for point in points("sqrt", order=2))


def test_points_of_row_respect_given_arguments():
    for point in points("clip", x=(0, 4), high=3):
        assert list(point) == ["x", "low"]
        assert 0 <= point["x"] <= 4


def test_points_of_row_lie_in_sample_if_none_are_moderate(own_row):
    row = own_row("far", lambda x: math.log(x), lambda x, o: 1 / x, sample=(((1e6, 1e9),),))
    assert [point for point in points(row) if 1e6 <= point["x"] <= 1e9]
    REPEATABLE(gradient_test(row))()


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: gradient_test(3), TypeError,
     r"gradient_test: f must be a function, a row of the table or a row's name, not int \(3\)"),
    (lambda: gradient_test("tahn"), TinygradEduError, "no primitive 'tahn'"),
    (lambda: gradient_test(bell, y=(0, 1)), ValueError, "bell has no argument 'y'; it has x"),
    (lambda: gradient_test(lambda: 1.0, y=1), ValueError, "has no argument 'y'; it has none"),
    (lambda: gradient_test(bell, x=(1, 0)), ValueError,
     "the ends of the interval must be finite and in this order, not 1.0 and 0.0"),
    (lambda: gradient_test(bell, x="wide"), ValueError, "bell has no argument to differentiate"),
    (lambda: gradient_test(lambda *xs: xs[0]), ValueError,
     "no argument to differentiate; .* such as lambda x, y"),
    (lambda: gradient_test(bell, x=1), ValueError, "bell has no argument to differentiate"),
    (lambda: gradient_test(bell, x=[0.1, 3]), ValueError,
     r"or an interval, a tuple, as in x=\(0.1, 3\)"),
    (lambda: gradient_test(bell, order=3)(), ValueError, "order must be 1 or 2, not 3"),
])
def test_gradient_test_rejects_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- planted bugs


def test_failure_message_shows_numbers_point_and_wrong_operation(own_row):
    own_row("bump", lambda x: math.exp(-x * x), lambda x, o: -2 * x)  # without its factor o

    def swish(x, beta):
        return x * math.sigmoid(beta * x) + math.bump(x)

    text = failure(gradient_test(swish, x=(-3, 3)))
    lines = text.splitlines()
    assert lines[0] == "the derivative of swish with respect to x is wrong at x=1.0, beta=1.0"
    assert lines[1] == "  the engine gives  -1.072329488128513"
    assert lines[2].startswith("  differences give   0.191911629528")
    assert "(error estimate " in lines[2]
    assert ", step 0.1)" in lines[2]
    assert lines[3] == "  they differ by     1.3   (allowed 2e-08)"
    assert lines[4] == "the graph at this point, each operation with its local derivatives:"
    assert lines[5:7] == ["  x = 1", "  beta = 1"]
    assert "  v6 = bump(x) = bump(1) = 0.3679" in lines
    assert (
        "    ∂v6/∂x = -2 * x = -2   <- WRONG: it is -2, but differences of bump give -0.7357588823"
    ) in lines
    assert text.count("WRONG") == 1


@pytest.mark.parametrize(("wrong", "at"), [
    (lambda x, o: (1 - o * o) * 1.000001, 1.0),
    (lambda x, o: (1 - o * o) * (1 - 1e-6), 1.0),
    (lambda x, o: o * o - 1, 1.0),
    (lambda x, o: 0.0, 1.0),
    (lambda x, o: 1 - o, 1.0),
    (lambda x, o: 1 - o * o + 1e-6, 1.0),
    (lambda x, o: (1 - o * o) * math.where(x < 0, 1.00001, 1.0), -1.0),
    (lambda x, o: (1 - o * o) * math.where(x > 2.5, 1.00001, 1.0), 3.0),
    (lambda x, o: (1 - o * o) + 0.0 * math.log(x - 2), 1.0),  # nan below 2
    (lambda x, o: (1 - o * o) + 0.0 / math.relu(x), -1.0),
])
def test_gradient_test_finds_wrong_rule_at_simplest_point(wrong, at):
    with replaced(table.tanh, "partials", (wrong,)):
        message = failure(gradient_test("tanh"))
        assert message.startswith(
            f"the derivative of tanh with respect to x is wrong at x={at!r}\n"
        )
        assert "<- WRONG" in message
        assert "differences of tanh give" in message


def test_gradient_test_finds_lost_edge_without_marking_operation(monkeypatch):
    record = Value.__mul__
    monkeypatch.setattr(
        Value, "__mul__", lambda x, y: record(x, y.data) if x is y else record(x, y)
    )
    message = failure(gradient_test(lambda x: x * x + 1))
    assert "the derivative of <lambda> with respect to x is wrong at x=1.0" in message
    assert "WRONG" not in message
    assert (
        "Each local derivative is right.  If the gradient is still wrong, an edge is missing"
    ) in message


def test_suspects_mark_stored_derivative_that_differs_from_rule():
    x, y = Value(1.0, "x"), Value(3.0, "y")
    product = x * y
    product._dx = 3.001  # as an operator that is written out in `Value` might store it
    assert suspects(product).splitlines()[2:] == [
        "v3 = x * y = 1 × 3 = 3",
        "  ∂v3/∂x = y = 3.001   <- WRONG: it is 3.001, but differences of mul give 3",
        "  ∂v3/∂y = x = 1"]


def test_gradient_test_finds_number_that_left_the_graph():
    message = failure(gradient_test(lambda x, y: x * y + float(x) ** 2))
    assert message.startswith(
        "the derivative of <lambda> with respect to x is wrong at x=1.0, y=1.0"
    )
    assert "a number may have left the graph, by float(x)" in message


def test_gradient_test_finds_rule_without_second_derivative_with_order_2(own_row):
    row = own_row("cube", lambda x: x * x * x, lambda x, o: 3 * x * x)
    row.partials = (lambda x, o: 3.0 * float(x) * float(x),)
    REPEATABLE(gradient_test(row))()
    message = failure(gradient_test(row, order=2))
    assert message.startswith(
        "the second derivative of cube with respect to x, x is wrong at x=1.0\n"
    )
    assert "  ∂v2/∂x = 3\n" in message  # such a rule has no text
    assert (
        "its second derivative with respect to x, x is 0   "
        "<- WRONG: it is 0, but differences of cube give 6"
    ) in message


def test_failure_message_shows_first_of_many_wrong_derivatives(own_row):
    row = own_row(
        "six",
        lambda a, b, c, d, e, f: a + b + c + d + e + f,
        *[lambda a, b, c, d, e, f, o: 2.0] * 6,
        parameters="a b c d e f",
    )
    message = failure(gradient_test(row))
    assert message.count("the derivative of six with respect to") == 4
    assert "... and 2 more are wrong\n" in message


def test_failure_message_includes_fixed_arguments():
    message = failure(gradient_test(lambda x, scale: float(x) * x * scale, scale=4))
    assert message.startswith(
        "the derivative of <lambda> with respect to x is wrong at x=1.0, scale=4\n"
    )


def test_gradient_test_shows_point_of_error_in_function():
    with pytest.raises(
        TypeError, match=r"gradcheck: <lambda> must return one Value, not 2\.0"
    ) as caught:
        REPEATABLE(gradient_test(lambda x: 2.0))()
    assert "'x': 1.0" in "\n".join(caught.value.__notes__)


# ---- too few compared points


@pytest.mark.parametrize(("f", "message"), [
    (lambda x: math.sqrt(-x * x),
     r"the derivatives could be compared at only 0 of 40 points \(40 not finite\); give an "
     r"interval where the function is finite and smooth, such as x=\(0.1, 10\)$"),
    (lambda x: math.floor(x * 1e9), r"only 0 of 40 points \(40 at a kink\)"),
    (lambda x: (x + 1e16) - 1e16, r"only 0 of 40 points \(40 too inexact\)"),
    (lambda x, y: x * math.floor(y * 1e9),
     r"the derivative with respect to y could be compared at only 0 of 20 points "
     r"\(20 at a kink\); .* such as y=\(0.1, 10\)$"),
])
def test_gradient_test_fails_if_hardly_any_point_is_compared(f, message):
    test = REPEATABLE(gradient_test(f))
    for _ in range(2):
        with pytest.raises(FailedHealthCheck, match=message):
            test()


def test_property_fails_if_none_of_few_points_is_compared():
    with pytest.raises(FailedHealthCheck, match=r"only 0 of 2 points \(2 not finite\)"):
        Property(math.log, {"x": st.sampled_from([-1.0, -2.0])}).run(20)


def test_property_passes_if_half_of_the_points_are_rejected():
    gradients = Property(lambda x: math.log(x), {})
    gradients.run(60)
    assert gradients.counts["compared"] == 60
    assert gradients.counts["not finite"] > 10


def test_property_records_point_of_largest_difference():
    gradients = Property(lambda x: math.exp(x), {"x": (1, 2)})
    gradients.run(20)
    assert 0 < gradients.worst < 1
    assert 1 <= gradients.worst_at["x"] <= 2


# ---- the graph as text


def test_suspects_shorten_long_graph_and_long_rule():
    y = Value(0.5, "x")
    for _ in range(60):
        y = math.gelu_tanh(y) + 1
    lines = suspects(y).splitlines()
    assert len(lines) == 1 + 2 * 40 + 1
    assert lines[2].startswith("  ∂v2/∂x = ... = ")
    assert lines[-1] == "... and 80 more operations"
    assert max(map(len, lines)) < 127


def test_suspects_name_first_node_that_is_not_finite():
    x = Value(1.0, "x")
    assert (
        suspects(math.log(x * 0.0) * x).splitlines()[-1]
        == "The first node that is inf or nan is v3."
    )


def test_suspects_accept_leaf():
    assert suspects(Value(2.0, "w")).splitlines()[0] == "w = 2"


# ---- with pytest, and without hypothesis


def run_pytest(folder, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_guide_example_fails_with_printed_message(tmp_path):
    guide = (ROOT / "tinygrad_edu" / "guides" / "testing.md").read_text(encoding="utf-8")
    section = guide.partition("## At points that the test finds")[2]
    source, output = re.search(r"```python\n(.*?)```.*?```\n(.*?)```", section, re.DOTALL).groups()
    (tmp_path / "test_well.py").write_text(source)
    shown = [
        line[1:].strip()
        for line in run_pytest(tmp_path).stdout.splitlines()
        if line.startswith("E ")
    ]
    assert shown[0] == "AssertionError: " + output.splitlines()[0]
    assert shown[1:len(output.splitlines())] == [line.strip() for line in output.splitlines()[1:]]


def test_pytest_collects_test_and_shows_short_failure(tmp_path):
    (tmp_path / "test_mine.py").write_text('''
from tinygrad_edu import math, testing
from tinygrad_edu.testing import profiles
profiles.load("ci")
def bell(x):
    return math.exp(-x * x) + float(x)
test_bell = testing.gradient_test(bell)
def parabola(x):
    return x * x
test_parabola = testing.gradient_test(parabola)
''')
    done = run_pytest(tmp_path, "--hypothesis-show-statistics")
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert (
        "E       AssertionError: the derivative of bell with respect to x is wrong at x=1.0"
    ) in done.stdout
    assert "gradcheck.py" not in done.stdout
    assert "def check(" not in done.stdout
    assert "Explanation" not in done.stdout
    assert "points compared" in done.stdout


@pytest.mark.parametrize(("name", "module"), [
    ("gradient_test", "properties"), ("profiles", "profiles"), ("strategies", "strategies")])
def test_import_without_hypothesis_names_remedy(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, f"tinygrad_edu.testing.{module}", raising=False)
    with pytest.raises(
        ImportError, match=f"testing.{name} needs hypothesis; install it: pip install hypothesis"
    ):
        testing.__getattr__(name)


def test_import_error_of_another_module_is_passed_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinygrad_edu.testing.profiles", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"import of tinygrad_edu\.testing\.profiles halted"
    ):
        testing.__getattr__("profiles")


def test_package_imports_lazy_names():
    assert testing.__getattr__("gradient_test") is gradient_test
    done = run_python("from tinygrad_edu.testing import gradient_test, profiles, strategies\n"
                      "import tinygrad_edu.testing.profiles as p; print(p is profiles)")
    assert done.stdout == "True\n", done.stderr


# ---- profiles


@pytest.mark.parametrize(("environment", "name", "examples"), [
    ({}, "dev", 30), ({"CI": "true"}, "ci", 40),
    ({"HYPOTHESIS_PROFILE": "thorough", "CI": "true"}, "thorough", 2000)])
def test_environment_selects_profile(environment, name, examples):
    kept = {
        key: value for key, value in os.environ.items() if key not in ("CI", "HYPOTHESIS_PROFILE")
    }
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tinygrad_edu.testing import profiles; print(profiles.load())\n"
            "from hypothesis import settings; print(profiles.scale(), settings().max_examples)",
        ],
        env={**kept, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [name, name, str(examples)], done.stderr


@pytest.fixture
def _profile():
    """Loads the profile again that was loaded before the test."""
    before = profiles.scale()
    yield
    profiles.load(before)


@pytest.mark.usefixtures("_profile")
def test_load_selects_named_profile_and_scale_returns_it():
    for name, n in (("dev", 1), ("ci", 2), ("thorough", 3)):
        assert profiles.load(name) == name
        assert profiles.scale() == name
        assert scaled(dev=1, ci=2, thorough=3) == n
    settings.register_profile("own", max_examples=500)
    assert profiles.load("own") == "own"
    assert profiles.scale() == "ci"
    settings.register_profile("tiny", max_examples=3)
    profiles.load("tiny")
    assert profiles.scale() == "dev"
    assert scaled(ci=2, thorough=3) == 2


@pytest.mark.usefixtures("_profile")
def test_load_rejects_unknown_profile():
    with pytest.raises(
        ValueError,
        match=r"name must be a hypothesis profile, not 'fast'; pass one of dev, ci, thorough, or ",
    ):
        profiles.load("fast")


def at(row, **point):
    """Runs the property test of a row at one point."""
    return settings(phases=[Phase.explicit])(example(point=Point(**point))(gradient_test(row)))()


@pytest.mark.parametrize("row", ["pow", "pow_lower"])
def test_gradient_test_accepts_nan_only_outside_domain_of_row(row):
    at(row, x=-1.797e308, y=-1.797e308)  # differences wrt y are 0, and o * log(x) is nan
    rules = TABLE[row].partials
    with replaced(TABLE[row], "partials", (rules[0], lambda x, y, o: math.nan * x)), \
            pytest.raises(AssertionError, match=r"with respect to y is wrong at x=2\.0, y=3\.0"):
        at(row, x=2.0, y=3.0)
