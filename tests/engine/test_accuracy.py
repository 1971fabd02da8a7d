"""Every row against truths that do not read the table: mpmath over the whole domain, and the
complex step.

The contract: value and partials within 4 ulp, 8 for cbrt and pow, 1e-12 for erf, gelu and silu.
`truths.disagreements` checks it; the tests at the end check that it reports every wrong rule
planted here.
"""

import cmath
import contextlib
import itertools
import math as std
import random

import pytest
import truths
from helpers import (
    PIECEWISE,
    SMALLEST_NORMAL,
    SMOOTH,
    disagreements,
    error_in_ulps,
    kinks,
    mp,
    mpf,
    nan,
    points,
    replaced,
    scaled,
    truth,
    truth_at,
)
from truths import RELATIVE

from tinygrad_edu import Value
from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import TABLE

ROWS = list(TABLE.values())
every_row = pytest.mark.parametrize("row", ROWS, ids=list(TABLE))
POINTS = scaled(ci=1000, thorough=2000, dev=200)


# ---- accuracy


@every_row
def test_value_and_partials_are_within_the_contract_over_the_whole_domain(row):
    at = points(row, POINTS) + points(row, POINTS // 4, wide=False) + kinks(row)
    assert len(set(at)) >= 0.8 * POINTS
    wrong = disagreements(row, at)
    assert not wrong, f"{len(wrong)} of {len(at)}:\n" + "\n".join(
        itertools.islice(wrong.values(), 20)
    )


@pytest.mark.parametrize(("low", "high"), [
    (2.0**53, 2.0**53 + 8), (1e16, 2e16), (-1e20, -9e19), (1e300, 1.1e300), (2.0**60, std.inf),
    (2.0**70, 2.0**70 + 2.0**18), (0.0, 1e300), (3.0, 4.0)])
def test_draw_stays_in_intervals_with_large_ends(low, high):
    rng = random.Random(0)
    for wide in [True, False] * 200:
        assert low <= truths.draw((low, high), rng, wide) <= high


@every_row
def test_points_reach_every_magnitude_and_both_signs(row):
    drawn = points(row, 2000)
    for i, intervals in enumerate(row.sample):
        (low, high), column = intervals[0], [args[i] for args in drawn]
        if row.parameters[i] in ("condition", "digits"):
            continue
        assert min(column) < 0 or low >= 0
        assert max(column) > 0
        sizes = [std.log10(abs(x)) for x in column]
        assert max(sizes) > 300 or max(column) > 0.99 * high
        assert min(sizes) < -290 or low > 0
        # all powers of ten equally often, and as many moderate numbers
        assert 0.1 < sum(abs(size) <= 4 for size in sizes) / len(sizes) < 0.99
        for end in (low, high):
            if std.isfinite(end) and end != 0:
                assert any(abs(x - end) <= 4 * std.ulp(end) for x in column), f"none next to {end}"


def test_every_row_has_an_independent_truth():
    missing = sorted(set(TABLE) - {*SMOOTH, *PIECEWISE})
    assert not missing, f"add {missing} to SMOOTH and SLOPES, or to PIECEWISE, of tests/truths.py"
    assert {*SMOOTH, *PIECEWISE} <= set(TABLE)


@pytest.mark.parametrize(("name", "args"), [
    ("remainder", (1.0, 0.1)), ("remainder", (-1.0, 0.1)), ("remainder", (6.0, 0.1)),
    ("fmod", (1.0, 0.1)),
    ("fmod", (-1.0, 0.1)), ("fmod", (0.9, 0.1)), ("floordiv", (1.0, 0.1)),
    ("ieee_remainder", (0.35, 0.1)),
    ("ieee_remainder", (2.5 - 2**-51, 1.0)), ("ieee_remainder", (0.15, 0.1)),
    ("ieee_remainder", (1.5, 0.1)),
])
def test_partials_of_rounded_quotients_match_the_piece_of_the_value(name, args):
    # 1.0 / 0.1 rounds to 10.0, but 0.1 as a float is a little more than a tenth: 1.0 % 0.1 is 1.0 -
    # 9 * 0.1.
    assert disagreements(TABLE[name], [args]) == {}


@pytest.mark.parametrize("x", [18.0, 20.0, 40.0, 300.0])
@pytest.mark.parametrize("name", [
    "tanh", "sigmoid", "softplus", "logsigmoid", "silu", "erf", "erfc", "expm1",
])
def test_digits_survive_where_the_function_saturates(name, x):
    assert disagreements(TABLE[name], [(x,), (-x,)]) == {}


@pytest.mark.parametrize(("name", "args"), [
    ("asin", (1 - 2**-53,)), ("acos", (1 - 2**-53,)), ("atanh", (1 - 2**-53,)),
    ("acosh", (1 + 2**-52,)),
    ("log1p", (-1 + 2**-53,)), ("log1p", (1e-300,)), ("hypot", (1e200, 1e200)),
    ("hypot", (3e-200, 4e-200)),
    ("atan2", (1e-200, 1e-200)), ("atan2", (1e200, -1e200)), ("acosh", (1e300,)),
    ("div", (1e300, 1e-5)),
    ("tan", (1.5707963267948966,)), ("cos", (1e22,)), ("atan", (1e160,)), ("asinh", (1e300,)),
])
def test_digits_survive_at_the_ends_of_domains(name, args):
    assert disagreements(TABLE[name], [args]) == {}


@pytest.mark.parametrize("distance", [30.0, 100.0, 300.0, 700.0])
def test_digits_survive_when_the_difference_of_two_arguments_rounds(distance):
    rng = random.Random(distance)
    args = [(rng.uniform(-1, 1), distance + rng.uniform(-1, 1)) for _ in range(10)]
    assert disagreements(TABLE["logaddexp"], args + [(y, x) for x, y in args]) == {}
    # y - 1 is rounded for small and for negative y, and log x magnifies the error:
    assert (
        disagreements(
            TABLE["pow"], [(10.0**distance if distance < 300 else 1e-300, x) for x, _ in args]
        )
        == {}
    )


# ---- the truth is checked


def differentiate(f, i, args):
    """Returns d f / d args[i] by central differences, with 60 digits or more, until two precisions
    agree to 25 digits.

    The step is a small part of the argument, so that it does not cross a singularity. If the
    function hardly changes (cosh near 0, tanh far out), the difference cancels, and only more
    digits help. Agreement on 0 counts at the highest precision only.
    """
    x = args[i]
    earlier = None
    for digits in (60, 120, 400, 1100):
        with mp.workdps(digits):
            step = (abs(x) or mpf(1)) * mpf(10) ** -(digits // 3)
            higher, lower = (f(*args[:i], x + sign * step, *args[i + 1:]) for sign in (1, -1))
            slope = (higher - lower) / (2 * step)
            if (
                earlier is not None
                and slope
                and abs(slope - earlier) <= abs(slope) * mpf(10) ** -25
            ):
                return slope
            earlier = slope
    return earlier


def close(x, y, tolerance):
    """Returns whether mpmath numbers agree relatively, or are both too large or too small for
    floats."""
    if max(abs(x), abs(y)) < mpf(2) ** -1080 or (
        min(abs(x), abs(y)) > mpf(2) ** 1030 and x * y > 0
    ):
        return True
    return abs(x - y) <= tolerance * abs(y)


def wrong_slopes(row, arg_tuples):
    """Returns the arguments and the partial for which the closed form of the truth is not the
    derivative of its value."""
    return [
        (args, i)
        for args in arg_tuples
        for i, partial in enumerate(truth(row.name, args)[1])
        if not close(
            partial,
            differentiate(truths.value_of(row.name), i, tuple(map(mpf, args))),
            mpf(10) ** -18,
        )
    ]


@every_row
def test_partials_of_the_truth_are_derivatives_of_its_values(row):
    # a difference would cross the jumps of a large quotient
    wide = points(row, 5, seed=5) if row.name in SMOOTH else []
    moderate = points(row, 8, seed=6, wide=False)
    assert len(moderate) >= 6
    if row.parameters[0] == "condition":
        # a condition cannot be varied
        assert truth(row.name, (0.0, 2.0, 3.0)) == (3, (0, 0, 1))
        assert truth(row.name, (1.0, 2.0, 3.0)) == (2, (0, 1, 0))
    elif row.name != "round_digits":  # it takes whole numbers
        assert wrong_slopes(row, wide + moderate) == []


@every_row
def test_truth_is_accurate_to_35_digits(row):
    for args in points(row, scaled(ci=20, thorough=200), seed=7):
        value, partials = truth(row.name, args)
        more_value, more_partials = truth(row.name, args, digits=400)
        for x, y in zip((value, *partials), (more_value, *more_partials), strict=True):
            assert close(x, y, mpf(10) ** -35), (
                f"{row.name}{args}: {mp.nstr(x, 40)}, then {mp.nstr(y, 40)}"
            )


@pytest.mark.parametrize("name", ["tanh", "mul", "atan2", "pow"])
def test_wrong_closed_form_is_reported(name, monkeypatch):
    first, *others = truths.SLOPES[name]
    monkeypatch.setitem(
        truths.SLOPES, name, (lambda *args: first(*args) * (1 + mpf(10) ** -15), *others)
    )
    assert {i for _, i in wrong_slopes(TABLE[name], points(TABLE[name], 8, wide=False))} == {0}


@pytest.mark.parametrize(("got", "true", "error"), [
    (1.0, mpf(1), 0), (1 + 2**-52, mpf(1), 1),
    (1.0, mp.fadd(1, mpf(2) ** -53, exact=True), 0.5), (5e-324, mpf(0), std.inf), (0.0, mpf(0), 0),
    (std.inf, mpf(10) ** 400, 0), (-std.inf, mpf(10) ** 400, std.inf), (nan, mpf(1), std.inf),
    (std.inf, mpf(1), std.inf),
    (0.0, mpf(10) ** -400, 0),
    (1.7976931348623157e308, mpf(2) ** 1024, 1), (1e-323, mpf(5e-324), 1), (nan, mpf(0), std.inf),
    (nan, mpf(10) ** 400, std.inf), (-1.0, mpf(1), 2**53),
])
def test_errors_are_counted_in_ulps_of_the_truth(got, true, error):
    assert error_in_ulps(got, true) == pytest.approx(error, abs=1e-70)


# ---- the complex step, with nothing but the standard library


def _logistic(x):
    return 1 / (1 + cmath.exp(-x))


def _gelu_tanh(x):
    return x * _logistic(std.sqrt(8 / std.pi) * (x + 0.044715 * x**3))


# Every analytic row except erf, erfc and gelu_erf, which cmath does not have.
COMPLEX = {
    **{
        name: getattr(cmath, name)
        for name in (
            "exp",
            "log",
            "log10",
            "sqrt",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
        )
    },
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: cmath.exp(y * cmath.log(x)),
    "pow_lower": lambda x, y: cmath.exp((y - 1) * cmath.log(x)),
    "neg": lambda x: -x,
    "identity": lambda x: x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "exp2": lambda x: cmath.exp(x * std.log(2)),
    "expm1": lambda x: cmath.exp(x) - 1,
    "log1p": lambda x: cmath.log(1 + x),
    "log2": lambda x: cmath.log(x) / std.log(2),
    "rsqrt": lambda x: 1 / cmath.sqrt(x),
    "cbrt": lambda x: cmath.exp(cmath.log(x if x.real > 0 else -x) / 3) * std.copysign(1, x.real),
    "xlogy": lambda x, y: x * cmath.log(y),
    "logaddexp": lambda x, y: cmath.log(cmath.exp(x) + cmath.exp(y)),
    "sigmoid_difference": lambda x, y: _logistic(x - y),
    "hypot": lambda x, y: cmath.sqrt(x * x + y * y),
    # up to a constant, which does not affect the derivative
    "atan2": lambda y, x: cmath.atan(y / x),
    "sech_squared": lambda x: 1 / cmath.cosh(x) ** 2,
    "sigmoid": _logistic,
    "logsigmoid": lambda x: -cmath.log(1 + cmath.exp(-x)),
    "softplus": lambda x: cmath.log(1 + cmath.exp(x)),
    "silu": lambda x: x * _logistic(x),
    "gelu_tanh": _gelu_tanh,
    "softsign": lambda x: x / (1 + std.copysign(1, x.real) * x),
}


def complex_step(name, args, i, step=1e-200):
    """Returns the partial derivative with respect to argument ``i``: Squire and Trapp, 1998."""
    return COMPLEX[name](*[complex(arg, step * (i == k)) for k, arg in enumerate(args)]).imag / step


@pytest.mark.parametrize("name", list(COMPLEX))
def test_gradients_agree_with_the_complex_step(name):
    # Arguments of moderate size, because cmath itself loses digits at larger ones.
    for args in points(TABLE[name], 200, seed=4, wide=False):
        xs = [Value(arg) for arg in args]
        TABLE[name](*xs).backward()
        for i, x in enumerate(xs):
            slope = complex_step(name, args, i)
            assert abs(x.grad - slope) <= RELATIVE.get(name, 1e-14) * abs(slope), (
                f"{name}{args}: {x.grad!r}, not {slope!r}"
            )


def test_rows_compared_with_the_complex_step_have_a_truth():
    assert set(COMPLEX) <= set(SMOOTH)
    assert len(COMPLEX) >= 44  # all analytic rows when this was written; new ones may be added


# ---- the checker is checked: no wrong rule may pass


def check_points(row):
    return points(row, 40)


def planted_rules(row, i):
    """Yields ``(kind, rule)`` for every planted mistake in rule ``i``."""
    right = row.partials[i]
    slopes = [truth_at(row.name, args)[1] for args in check_points(row)]
    if all(partials[i] == 0 for partials in slopes):
        # A derivative that is 0 everywhere has no sign and no scale, so only a summand can make it
        # wrong.
        yield "plus 1e-6", lambda *args: right(*args) + 1e-6
    else:
        yield "sign", lambda *args: -right(*args)
        yield "scale", lambda *args: right(*args) * 1.000001
    for j in range(row.arity):
        if any(abs(partials[i] - partials[j]) > 1e-6 * abs(partials[i]) and min(
                map(abs, partials)) < 1e300 for partials in slopes):
            yield f"the rule of {row.parameters[j]}", row.partials[j]
    if row.arity > 1:
        for order in itertools.permutations(range(row.arity)):
            def permuted(*args, order=order):
                return right(*(args[k] for k in order), args[-1])

            if any(
                _differs(permuted, right, args, row.forward(*args), row)
                for args in check_points(row)
            ):
                yield f"arguments in the order {order}", permuted


def _differs(permuted, right, args, out, row):
    if abs(truth_at(row.name, args)[0]) < SMALLEST_NORMAL:
        return False  # the checker may leave this point out
    try:
        x, y = float(permuted(*args, out)), float(right(*args, out))
    except (ArithmeticError, TypeError):
        return False
    return (
        std.isfinite(x)
        and std.isfinite(y)
        and abs(x - y) > 1e-6 * abs(y)
        and min(abs(x), abs(y)) > SMALLEST_NORMAL
    )


@every_row
def test_the_checker_reports_every_planted_wrong_rule(row):
    planted, before = 0, disagreements(row, check_points(row)).keys()
    for i in range(row.arity):
        for kind, rule in planted_rules(row, i):
            planted += 1
            with replaced(row, "partials", (*row.partials[:i], rule, *row.partials[i + 1:])):
                found = disagreements(row, check_points(row)).keys() - before
            assert any(at == i for _, at in found), (
                f"{row.name}: {kind} in the rule of {row.parameters[i]} passed"
            )
    assert planted >= row.arity


@every_row
def test_the_checker_reports_a_planted_wrong_forward_function(row):
    right, before = row.forward, disagreements(row, check_points(row)).keys()
    for wrong in (lambda *args: right(*args) * 1.000001 + 1e-9, lambda *args: nan):
        with replaced(row, "forward", wrong):
            found = disagreements(row, check_points(row)).keys() - before
        assert any(at is None for _, at in found)


def _planted(name, *rules):
    """Returns what the checker reports of a row with other rules than its own."""
    row = TABLE[name]
    with replaced(row, "partials", rules):
        return disagreements(row, points(row, 200) + kinks(row))


def test_rules_that_lose_their_digits_where_the_function_saturates_are_reported():
    assert _planted("tanh", lambda x, o: 1 - o * o)
    assert _planted("sigmoid", lambda x, o: o * (1 - o))
    assert _planted("expm1", lambda x, o: o + 1)
    assert _planted("softplus", lambda x, o: 1 - table.exp(-o))
    # right if x * x is a float; the reciprocal of infinity is 0
    assert _planted("atan", lambda x, o: 1 / (1 + x * x)) == {}
    assert _planted("asin", lambda x, o: 1 / table.sqrt(1 - x * x))


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_a_tie_that_is_given_to_one_side_is_reported(name):
    larger = name in ("maximum", "fmax")
    for at_a_tie in (0.0, 1.0):
        def first(x, y, o, at_a_tie=at_a_tie):
            return table.where(
                x > y, float(larger), table.where(x < y, float(not larger), at_a_tie)
            )

        reported = _planted(name, first, lambda x, y, o: 1 - first(x, y, o))
        assert {args for args, _ in reported} >= set(kinks(TABLE[name]))
        assert all(x == y for (x, y), _ in reported)


@pytest.mark.parametrize(("name", "rule"), [
    ("relu", lambda x, o: table.where(x < 0, 0.0, 1.0)),
    ("abs", lambda x, o: table.where(x < 0, -1.0, 1.0)),
    ("hardtanh", lambda x, o: table.where(abs(x) > 1, 0.0, 1.0)),
])
def test_wrong_subgradient_at_a_kink_is_reported(name, rule):
    assert {args for args, _ in _planted(name, rule)} <= set(kinks(TABLE[name]))
    assert _planted(name, rule)


@every_row
def test_conventions_at_kinks_hold_in_backward(row):
    for args in kinks(row):
        xs = [Value(arg) for arg in args]
        row(*xs).backward()
        assert [x.grad for x in xs] == [float(partial) for partial in truth_at(row.name, args)[1]]


def test_planted_rules_are_removed_afterwards():
    row = TABLE["sin"]
    kept = row.partials
    with contextlib.suppress(ZeroDivisionError), replaced(row, "partials", ()):
        raise ZeroDivisionError
    assert row.partials is kept


