"""Tests of gradcheck: it passes right derivatives, and reports wrong and doubtful ones."""

import itertools
import random
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from tinygrad_edu import Value, math, nn, take
from tinygrad_edu.engine import table
from tinygrad_edu.engine.autodiff import gradients
from tinygrad_edu.testing import gradcheck


def test_gradcheck_passes_right_gradients():
    report = gradcheck(lambda x, y: math.sin(x) * y + math.exp(x * y), [0.5, 2.0])
    assert report
    assert [(e.name, e.status) for e in report.entries] == [("x", "ok"), ("y", "ok")]
    assert report.worst < 0.01
    assert all(0 < e.error < 1e-7 for e in report.entries)


@pytest.mark.parametrize("x", [1e-12, 3e-5, 0.3, 1.0, 70.0, 1e8])
def test_gradcheck_takes_steps_relative_to_argument(x):
    assert gradcheck(lambda x: x**2.5 * 1e-6, [x])


@pytest.fixture
def wrong_tanh():
    row, kept = table.tanh, table.tanh.partials
    yield lambda factor, offset=0.0: setattr(
        row, "partials", (lambda x, o: (1 - o * o) * factor + offset,)
    )
    row.partials = kept


@pytest.mark.parametrize(("factor", "offset"), [
    (1.000001, 0), (0.999999, 0), (-1, 0), (0, 0), (1, 1e-6), (1.0009, 0),
])
def test_gradcheck_catches_wrong_rule(wrong_tanh, factor, offset):
    wrong_tanh(factor, offset)
    report = gradcheck(lambda x: math.tanh(x), [0.3])
    assert not report
    (entry,) = report.failures
    assert entry.status == "mismatch"
    text = str(report)
    assert "FAILED" in text
    assert f"{entry.analytic:.16g}" in text
    assert f"{entry.numeric:.16g}" in text


def test_gradcheck_catches_zero_rule_of_small_derivative():
    """torch's gradcheck lets this pass: its tolerance is absolute."""
    flat = table.define("flat_for_test", lambda x: 9e-6 * x, lambda x, o: 0.0)
    try:
        assert not gradcheck(flat, [1.0])
    finally:
        del table.TABLE["flat_for_test"]


def test_gradcheck_catches_wrong_second_derivative_with_order_2():
    # The first derivative is right on floats, but its rule hides its dependence on x from Values.
    bad = table.define("bad_for_test", lambda x: x * x * x, lambda x, o: 3 * x * x)
    bad.partials = (lambda x, o: 3.0 * float(x) * float(x),)
    try:
        assert gradcheck(bad, [1.5])
        assert not gradcheck(bad, [1.5], order=2)
    finally:
        del table.TABLE["bad_for_test"]


def test_gradcheck_compares_every_pair_with_order_2():
    report = gradcheck(lambda x, y: math.sin(x) * y * y, [0.5, 2.0], order=2)
    assert report
    assert [e.name for e in report.entries] == ["x, x", "x, y", "y, x", "y, y"]


@pytest.mark.parametrize("f", [
    lambda x: math.relu(x), lambda x: abs(x), lambda x: math.maximum(x, 0.0),
    lambda x: math.clip(x, 0, 1), lambda x: math.floor(x), lambda x: math.relu(x * 3) + x,
])
def test_gradcheck_reports_kinks_without_comparison(f):
    report = gradcheck(f, [0.0])
    assert [e.status for e in report.entries] == ["kink"]
    assert report.kinks == report.entries
    assert "1 at kinks" in str(report)


def test_gradcheck_finds_kink_of_parameter_like_kink_of_argument():
    w = Value(0.0)
    of_argument, = gradcheck(math.relu, [0.0]).entries
    of_parameter, = gradcheck(lambda: math.relu(w), parameters=[w]).entries
    assert (of_parameter.status, of_parameter.step) == ("kink", of_argument.step)
    assert w.data == 0.0


def test_gradcheck_bounds_rounding_error_of_second_derivative_by_its_own_graph():
    """The first derivative of trunc is the constant 0, which has no rounding error."""
    entry, = gradcheck(math.trunc, [1.5], order=2).entries
    assert (entry.status, entry.error) == ("ok", 0.0)


def test_gradcheck_reports_kink_if_bounds_of_clip_meet():
    report = gradcheck(math.clip, [1.0, 2.0, 2.0])
    assert [e.status for e in report.entries] == ["ok", "kink", "kink"]


def test_gradcheck_reports_kink_if_quotient_overflows():
    """There are too many jumps nearby to distinguish pieces."""
    report = gradcheck(math.remainder, [1e137, 1e-189])
    assert {e.status for e in report.entries} == {"kink"}


@pytest.mark.parametrize(("f", "args"), [
    (max, [1.0, 1.0]), (lambda x, y: sorted([x, y])[0], [1.0, 1.0]),
    (lambda x: 2 * x - 2 if x > 1 else 3 * x - 3, [1.0]),
    (lambda x: x * (x if x > 2 else 2.0), [2.0])])
def test_gradcheck_reports_kink_of_python_branch(f, args):
    report = gradcheck(f, args)
    assert not report
    assert report.verdict == "nothing to compare"
    assert "kink" in {e.status for e in report.entries}


def test_gradcheck_reports_mismatch_for_wrong_smooth_derivative(wrong_tanh):
    wrong_tanh(0.5)
    assert [e.status for e in gradcheck(lambda x: math.tanh(x) * 3, [0.3]).entries] == ["mismatch"]
    assert [e.status for e in gradcheck(lambda x: x.data * x, [2.0]).entries] == ["mismatch"]


def test_gradcheck_reduces_step_near_kink():
    report = gradcheck(lambda x: math.relu(x) + math.relu(x - 1), [1.0001])
    assert report
    assert report.entries[0].status == "ok"
    assert report.entries[0].step < 1e-4


def test_gradcheck_reports_kink_of_branch_at_the_point():
    report = gradcheck(lambda x: x * x if x > 1 else x * 1.0, [1.0])
    assert [e.status for e in report.entries] == ["kink"]


def test_gradcheck_fails_if_derivative_is_infinite():
    report = gradcheck(lambda x: math.log(x * 0.0) * x, [1.0])
    assert not report
    assert report.entries[0].status == "nonfinite"


@pytest.mark.parametrize("slope", [math.inf, -math.inf, math.nan])
def test_gradcheck_reports_mismatch_if_derivative_of_smooth_function_is_not_finite(
    wrong_tanh, slope
):
    wrong_tanh(slope)
    (entry,) = gradcheck(math.tanh, [0.5]).entries
    assert entry.status == "mismatch"
    assert entry.excess == math.inf
    assert abs(entry.numeric - 0.7864477329659274) < 1e-10


def test_gradcheck_reports_nonfinite_if_true_derivative_is_infinite():
    assert [e.status for e in gradcheck(math.cbrt, [0.0]).entries] == ["nonfinite"]
    # there is no second derivative at 0
    assert gradcheck(math.cbrt, [0.0], order=2).entries[0].status in ("ok", "nonfinite")


@pytest.mark.parametrize("f", [
    lambda x: x * 3, lambda x: math.exp(x) * 1.0, math.sin, lambda x: math.maximum(x, -1.0),
])
@pytest.mark.parametrize("x", [5e-324, -1e-320, 1e-310, 1e-300])
def test_gradcheck_accepts_smallest_floats(f, x):
    (entry,) = gradcheck(f, [x]).entries
    assert entry.status in ("ok", "imprecise")
    assert gradcheck(lambda x: x * 3, [x])


def test_gradcheck_accepts_largest_floats():
    assert gradcheck(lambda x, y: x / 2 + y / 4, [1.5e308, -1.5e308])
    assert (
        gradcheck(table.sigmoid_difference, [1.797e308, 1.797e308]).entries[0].status
        == "imprecise"
    )


def test_gradcheck_allows_lost_digits_of_subnormal_derivatives():
    assert (
        gradcheck(math.atan2, [1.7976931348623157e308, 8.988465674311579e307]).entries[1].status
        == "ok"
    )


def test_gradcheck_passes_functions_with_cancellation():
    assert gradcheck(lambda x: (x + 1e6) - 1e6, [0.3])
    assert gradcheck(lambda x: math.sin(x) ** 2 + math.cos(x) ** 2, [0.3])


def test_gradcheck_restores_parameters():
    model = nn.MLP(2, [3, 1], activation="tanh", rng=0)
    before = model.state_dict()
    report = gradcheck(lambda: nn.mse(model([0.2, 0.7]), 1.0), parameters=model.parameters())
    assert report
    assert [e.name for e in report.entries] == list(before)
    assert model.state_dict() == before

    def breaks():
        if model.state_dict() != before:
            raise RuntimeError("stop")
        return nn.mse(model([0.2, 0.7]), 1.0)

    with pytest.raises(RuntimeError, match="stop"):
        gradcheck(breaks, parameters=model.parameters())
    assert model.state_dict() == before


def test_gradcheck_numbers_arguments_without_names():
    class Opaque:
        """A callable whose signature cannot be read."""

        __signature__ = "none"

        def __call__(self, x, y):
            return x * y

    assert [e.name for e in gradcheck(Opaque(), [1.0, 2.0]).entries] == ["args[0]", "args[1]"]
    assert [e.name for e in gradcheck(lambda *xs: xs[0] * xs[1], [1.0, 2.0]).entries] == [
        "args[0]",
        "args[1]",
    ]


@pytest.mark.parametrize(("f", "args", "verdict", "reason"), [
    (lambda: Value(1.0) * 2, [], "nothing to compare", "no argument has a number in it"),
    (lambda kind: Value(1.0), ["mean"], "nothing to compare", "no argument has a number in it"),
    (lambda xs: Value(1.0), [[]], "nothing to compare", "no argument has a number in it"),
    (math.floor, [2.0], "nothing to compare", "has a kink or jump here, choose another point"),
    (lambda x: math.step(x) * x, [0.0], "nothing to compare", "has a kink or jump here"),
    (math.sin, [1e10], "imprecise", "too imprecise here to tell right from wrong"),
])
def test_gradcheck_is_no_success_if_nothing_is_compared(f, args, verdict, reason):
    report = gradcheck(f, args)
    assert not report
    assert (report.verdict, report.failures, report.compared) == (verdict, [], [])
    assert f": {verdict}, 0 compared, 0 failed" in str(report)
    assert reason in str(report)


def test_gradcheck_rejects_wrong_arguments():
    with pytest.raises(ValueError, match="order must be 1 or 2, not 3"):
        gradcheck(lambda x: x, [1.0], order=3)
    with pytest.raises(TypeError, match="must return one Value"):
        gradcheck(lambda x: [x], [1.0])
    with pytest.raises(
        ValueError,
        match="gradcheck: names must be one for each of args, not 1 name for 2 arguments",
    ):
        gradcheck(lambda x, y: x * y, [1.0, 2.0], names=["x"])
    with pytest.raises(
        TypeError, match=r"parameters must be a list of Values, not Value .*; pass model"
    ):
        gradcheck(lambda x: x, [1.0], parameters=Value(1.0))
    with pytest.raises(ValueError, match="rtol must be between 0 and 1, such as 1e-7, not 0"):
        gradcheck(lambda x: x, [1.0], rtol=0)
    with pytest.raises(TypeError, match=r"args must have a real number, not \['1'\]; write \[2"):
        gradcheck(lambda x: x, ["1"])
    with pytest.raises(TypeError, match="must return one Value, not '1'"):
        gradcheck(lambda x: "1", [1.0])
    with pytest.raises(TypeError, match=r"parameters must be a list of Values, but entry 0 of "):
        gradcheck(lambda x: x, [1.0], parameters=["w"])
    for f, args in ((lambda x, y: x * y, [[2.0, 3.0]]), (lambda xs: xs[0], [2.0, 3.0])):
        with pytest.raises(
            TypeError, match=r"write \[\[2.0, 3.0\]\] for one argument that is a list, and \[2.0"
        ):
            gradcheck(f, args)


@pytest.mark.parametrize(("f", "x"), [
    (math.sin, 1e4), (math.sin, 1e6), (lambda x: math.sin(1e5 * x), 1.0), (math.tan, 23.5637),
    (lambda x: math.tanh(x - 10000), 10000.5),
])
def test_gradcheck_passes_functions_that_oscillate_within_first_step(f, x):
    assert gradcheck(f, [x])


def test_gradcheck_reports_imprecise_differences():
    for f, x in ((math.sin, 1e10), (lambda x: (x + 1e16) - 1e16, 1.0)):
        report = gradcheck(f, [x])
        assert not report
        assert report.entries[0].status == "imprecise"


def test_gradcheck_catches_zero_rule_next_to_large_constant():
    flat = table.define("flat_for_test", lambda x: 9e-6 * x, lambda x, o: 0.0 * x)
    try:
        assert not gradcheck(lambda x: flat(x) + 1e8, [1.0])
    finally:
        del table.TABLE["flat_for_test"]


def test_gradcheck_reports_only_kinks_and_rejects_random_functions():
    assert "nothing to compare" in str(gradcheck(math.relu, [0.0]))
    with pytest.raises(ValueError, match="must be deterministic"):
        gradcheck(lambda x: x * random.random(), [1.0])


# ---- arguments of any kind


class Pair(NamedTuple):
    a: float
    b: float


@pytest.mark.parametrize(("f", "args", "names"), [
    (lambda xs: xs[0] * xs[1], [[2.0, 3.0]], ["xs[0]", "xs[1]"]),
    (lambda xs: xs[0][1] * xs[1], [([2.0, 3.0], 4)], ["xs[0][0]", "xs[0][1]"]),
    (lambda w: w @ w, np.array([1.0, 2.0]), ["w[0]", "w[1]"]),
    (lambda w: (w * w).sum(), [np.array([[1, 2]])], ["w[0,0]", "w[0,1]"]),
    (lambda p: p["w"][0] * p["b"], {"w": (2.0, None), "b": 3.0}, ["p['w'][0]", "p['b']"]),
    (lambda p: p["w"] * p["b"], OrderedDict(w=2.0, b=3.0), ["p['w']", "p['b']"]),
    (lambda p: p.a / p.b, [Pair(1.0, 2.0)], ["p[0]", "p[1]"]),
    (lambda x, kind, is_on: getattr(math, kind)(x) if is_on is True else x,
     [0.5, "sin", True], ["x"]),
    (lambda x, n: x * n, [np.float32(0.5), np.int64(3)], ["x"]),
    (lambda x, skip: x * 2.0 if skip is None else x, [Value(0.5), None], ["x"]),
])
def test_gradcheck_takes_numbers_in_structures_and_keeps_the_rest(f, args, names):
    report = gradcheck(f, args)
    assert report.verdict == "ok"
    assert [entry.name for entry in report.entries] == names
    assert gradcheck(f, args, order=2)


INDICES = np.array([0, 2])
EMBEDDING = nn.Embedding(3, 1, rng=0)


@pytest.mark.parametrize(("f", "args", "kept"), [
    (lambda x, n: sum(x**k for k in range(n)), [2.0, 3], ["n"]),
    (lambda xs, i: xs[i] * xs[0] * i, [[2.0, 3.0], 1], ["i"]),
    (lambda w, i: w[i] * w[0], [np.array([2.0, 3.0]), np.int64(1)], ["i"]),
    (lambda p: sum(p["x"] ** k for k in range(*p["n"])), [{"x": 2.0, "n": [1, 3]}],
     ["p['n'][0]", "p['n'][1]"]),
    (lambda x, n: (np.ones(n) * x).sum(), [2.0, 3], ["n"]),
    (lambda w, i: (w[i] ** 2).sum(), [np.array([2.0, 3.0, 4.0]), INDICES], ["i[0]", "i[1]"]),
    (nn.hinge, [0.5, 1], ["target"]), (nn.binary_cross_entropy, [0.5, 1], ["target"]),
    (nn.cross_entropy, [[0.5, 0.2], 1], ["target"]), (take, [[2.0, 3.0], 1], ["index"]),
    (lambda x, i: x * EMBEDDING(i)[0], [2.0, 1], ["i"]),
    (lambda x, n: x * {2: 5.0}[n], [3.0, 2], ["n"]),
    (lambda x, n: x * x if type(n) is int and n == 2 else 0 * x, [3.0, 2], ["n"]),
    (lambda x, n: x * random.Random(n).random(), [3.0, 3], ["n"]),
    (lambda x, n: x * len(f"{n:d}"), [3.0, 3], ["n"]),
])
def test_gradcheck_keeps_whole_numbers_next_to_floats(f, args, kept):
    for order in (1, 2):
        report = gradcheck(f, args, order)
        assert report
        assert not any(name in entry.name for entry in report.entries for name in kept)
        assert f"because not floats (for 2, write 2.0): {', '.join(kept)}" in str(report)
    floats = [x for x in args if not isinstance(x, (int, np.integer))]
    if len(floats) < len(args) and floats[:1] == args[:1]:  # as if they were written into f
        written = gradcheck(lambda x: f(x, args[1]), floats)
        assert [e.analytic for e in written.entries] == [
            e.analytic for e in gradcheck(f, args).entries
        ]


def test_gradcheck_differentiates_whole_numbers_if_there_is_nothing_else():
    assert gradcheck(lambda x: x * x, 3).entries[0].analytic == 6
    assert gradcheck(lambda x, n: x**n, [2, 3]).names == ["x", "n"]
    kept = gradcheck(lambda i: EMBEDDING(i)[0], [1], parameters=EMBEDDING.parameters())
    assert kept.compared
    assert "i" not in kept.names
    for f, error in ((lambda x, n: [x] * n, "TypeError"), (nn.hinge, "ValueError"),
                     (lambda x, n: {1: x}[n], "KeyError")):
        with pytest.raises(TypeError, match=rf"for \[2, 3\], but raises {error}.*; write a float"):
            gradcheck(f, [2, 3])


@pytest.mark.parametrize(("f", "given"), [
    (lambda x, seen: seen.append(x) or x * len(seen), []),
    (lambda x, seen: seen.update(n=x) or x * len(seen), {}),
    (lambda x, seen: seen.setdefault("n", x * x), {}),
    (lambda x, seen: seen[0].append(x) or x * len(seen[0]), ([],)),
    (lambda x, seen: (seen.__iadd__(1) * x).sum(), np.array([1, 2])),
])
def test_gradcheck_gives_function_new_containers_in_each_call(f, given):
    before = repr(given)
    assert gradcheck(f, [2.0, given])
    assert repr(given) == before


@pytest.mark.parametrize(("result", "remedy"), [
    (lambda x: [x], "return one entry, or the sum"), (lambda x: (x, x), "return one entry, or"),
    (lambda x: np.array([x]), "return one entry, or"), (lambda x: {"y": x}, "return one entry"),
    (lambda x: None, "end the function with `return`"), (lambda x: "1", "return the Value, not"),
    (lambda x: 1.0, "from tinygrad_edu import math"), (lambda x: x > 1, "instead of the standard"),
])
def test_gradcheck_says_what_to_return(result, remedy):
    with pytest.raises(TypeError, match="must return one Value, not ") as caught:
        gradcheck(result, [2.0])
    assert remedy in str(caught.value)


def test_report_names_objects_that_are_not_differentiated():
    report = gradcheck(lambda p, z: p.x * p.y * z, [Point(2.0, 3.0), 1.0])
    assert report
    assert "not differentiated: the numbers in p, of type Point" in str(report)


@dataclass
class Point:
    x: float
    y: float


@pytest.mark.parametrize(("args", "name", "kind"), [
    ([Point(1.0, 2.0)], "p", "Point"), ([pd.Series([1.0, 2.0], ["x", "y"])], "p", "Series"),
    ([[Point(1.0, 2.0)]], r"p\[0\]", "Point"), ([{"a": Point(1.0, 2.0), "b": 3.0}], "p", "Point"),
])
def test_gradcheck_names_the_argument_whose_numbers_are_not_found(args, name, kind):
    def product(p):
        p = p[0] if isinstance(p, list) else p
        p = p["a"] if isinstance(p, dict) else p
        return p.x * p.y

    words = f"one Value, not .*2.0.*; {name}.* is of type {kind} and passed"
    with pytest.raises(TypeError, match=words):
        gradcheck(product, args)


@pytest.mark.parametrize("args", [None, "mean", {1.0, 2.0}, Point(1.0, 2.0), iter([2.0])])
def test_gradcheck_rejects_one_argument_without_numbers(args):
    with pytest.raises(TypeError, match="gradcheck: args must be the list of the arguments of f, "):
        gradcheck(lambda x: x, args)


def test_gradcheck_finds_number_that_left_the_graph_of_a_structure():
    report = gradcheck(lambda p, w: p["b"][0] * float(w[1]), [{"b": [2.0]}, np.array([1.0, 3.0])])
    assert [e.name for e in report.entries if e.status == "mismatch"] == ["w[1]"]


def test_gradcheck_gives_function_new_lists_that_it_may_change():
    def popped(xs, kept):
        assert kept == own
        assert kept[0] is own[0]
        xs.append(2.0)
        return xs.pop(0) * xs.pop() * len(xs)

    own = [random.Random(0)]
    assert gradcheck(popped, [[3.0, 4.0], own])


def test_gradcheck_passes_function_that_computes_derivatives():
    """Without a graph, the derivative inside would be 0."""
    assert gradcheck(lambda x: gradients(x**3, [x])[0] * x, [2.0])


# ---- imprecise is not wrong


@pytest.mark.parametrize(("f", "args"), [
    (lambda x: math.sin(x) / x, [1e164]), (lambda x: math.sin(x) / x, [1e300]),
    (lambda x: math.cos(x) / x**2, [1e110]), (lambda x: math.cos(x) * 1e-200, [1e150]),
    (lambda x: (x + 1e-200) ** 2, [0.0]),  # the values at the steps are much larger
])
def test_gradcheck_reports_imprecise_if_differences_underflow(f, args):
    report = gradcheck(f, args)
    assert (report.verdict, bool(report)) == ("imprecise", False)


@pytest.mark.parametrize("f", [math.log, lambda x: math.log(x) * 2 + x])
def test_gradcheck_says_that_the_function_is_nan(f):
    report = gradcheck(f, [-1.0])
    assert report.verdict == "nothing to compare"
    assert "; the function is nan here, choose another point" in str(report)


def test_gradcheck_passes_if_some_entries_are_imprecise():
    report = gradcheck(lambda z, x: math.square(z) ** x, [1 + 2e-16, 1.3])
    assert [e.status for e in report.entries] == ["ok", "imprecise"]
    assert report
    assert "1 compared, 0 failed, 0 at kinks, 1 imprecise" in str(report)
    wrong = gradcheck(lambda x, y: x * float(x) + math.sin(y), [2.0, 1e10])
    assert [e.status for e in wrong.entries] == ["mismatch", "imprecise"]
    assert wrong.verdict == "FAILED"


# ---- singular points


SQRT = r"local derivative of v3 = sqrt\(v2\) .* is inf at v2 = 0"


@pytest.mark.parametrize(("f", "args", "operation"), [
    (lambda x: math.sqrt(x * x), [0.0], SQRT),
    (lambda x: math.sqrt(abs(x)), [0.0], SQRT),
    (lambda x: x * math.sqrt(x * x), [0.0], "local derivative of v3 = sqrt"),
    (lambda x, y: math.sqrt((x - y) ** 2), [3.0, 3.0], "= sqrt"),
    (lambda x: math.cbrt(x) * 1.0, [0.0], "local derivative of v2 = cbrt"),
    (lambda x: math.expm1(x) / x, [0.0], "v3 = v2 / x = 0 / 0 = nan"),
    (lambda x: x * math.log(x * x), [0.0], r"v3 = log\(v2\) = log\(0\) = -inf"),
    (lambda xs: xs[0] / math.sqrt(xs[0] ** 2 + xs[1] ** 2), [[0.0, 0.0]], "local derivatives are"),
])
def test_gradcheck_reports_singular_point_with_its_operation(f, args, operation):
    report = gradcheck(f, args)
    assert report.verdict == "FAILED"
    assert {e.status for e in report.entries} == {"singular"}
    assert re.search(operation, str(report))


@pytest.mark.parametrize(("f", "x"), [
    (lambda x: 1 / x, 0.0), (lambda x: math.log(abs(x)), 0.0),  # poles
    (lambda x: math.log(x), -1.0), (lambda x: math.sqrt(x), 0.0),  # outside the domain, and its end
    (lambda x: 1 / x / x, 1e-104),  # the derivative truly overflows
])
def test_gradcheck_does_not_call_poles_and_edges_singular(f, x):
    assert "singular" not in [e.status for e in gradcheck(f, [x]).entries]


# ---- functions that are not deterministic


def every(k, change):
    """Returns a function that ``change`` changes at every ``k``th call."""
    calls = itertools.count(1)
    return lambda x: change(math.sin(x) * x) if next(calls) % k == 0 else math.sin(x) * x


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("change", [
    lambda y: y + 1, lambda y: y * (1 + 1e-15), lambda y: y * math.nan
])
def test_gradcheck_finds_function_that_changes_at_every_kth_call(k, start, change):
    f = every(k, change)
    for _ in range(start):
        f(1.3)
    with pytest.raises(ValueError, match="must be deterministic"):
        gradcheck(f, [1.3])


@pytest.mark.parametrize("args", [[0.7], [0.0], [[0.7, 2.0, 3.0]]])
def test_gradcheck_finds_function_with_a_random_change_in_20_calls(args):
    found = 0
    for seed in range(40):
        rng = random.Random(seed)

        def f(x, rng=rng):
            y = x[0] * x[1] * x[2] if isinstance(x, list) else math.exp(x)
            return y + 1 if rng.random() < 0.05 else y

        try:
            gradcheck(f, args)
        except ValueError:
            found += 1
    assert found >= 26  # the number of calls depends on their time; without repetition 16


def test_gradcheck_finds_global_counter_and_change_of_branches():
    calls = itertools.count(1)
    with pytest.raises(ValueError, match=r"it returned 2\.0 and then 6\.0 for the same arguments"):
        gradcheck(lambda x: x * next(calls), [2.0])
    calls = itertools.count(1)
    with pytest.raises(ValueError, match="its graph has other operations or branches"):
        # the same value, with another derivative
        gradcheck(lambda x: x * x if next(calls) < 11 else x * x.data, [2.0])
