"""Tests of gradcheck: it passes right derivatives, and reports wrong and doubtful ones."""

import pytest

from tinygrad_edu import Value, math, nn
from tinygrad_edu.engine import table
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
    lambda x: math.clip(x, 0, 1), lambda x: math.floor(x), lambda x: math.sqrt(abs(x)),
    lambda x: math.relu(x * 3) + x,
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
    assert report
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


def test_gradcheck_fails_if_there_is_nothing_to_compare():
    assert not gradcheck(lambda: Value(1.0) * 2)


def test_gradcheck_rejects_wrong_arguments():
    with pytest.raises(ValueError, match="order must be 1 or 2, not 3"):
        gradcheck(lambda x: x, [1.0], order=3)
    with pytest.raises(TypeError, match="must return one Value"):
        gradcheck(lambda x: [x], [1.0])
    with pytest.raises(
        ValueError,
        match="gradcheck: names must have one name for each argument, not 1 name for 2 arguments",
    ):
        gradcheck(lambda x, y: x * y, [1.0, 2.0], names=["x"])
    with pytest.raises(
        TypeError, match=r"parameters must be a list of Values, such as model.parameters\(\), not"
    ):
        gradcheck(lambda x: x, [1.0], parameters=Value(1.0))
    with pytest.raises(ValueError, match="rtol must be between 0 and 1, such as 1e-7, not 0"):
        gradcheck(lambda x: x, [1.0], rtol=0)
    with pytest.raises(TypeError, match="gradcheck: argument 0 must be a real number"):
        gradcheck(lambda x: x, ["1"])


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
    import random

    assert "nothing to compare" in str(gradcheck(math.relu, [0.0]))
    with pytest.raises(ValueError, match="must be deterministic"):
        gradcheck(lambda x: x * random.random(), [1.0])
