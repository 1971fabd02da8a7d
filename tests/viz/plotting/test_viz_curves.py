"""Primitives over their domain: right numbers, and lines that are interrupted where the function
jumps."""

import math

import pytest
from helpers import inf, nan

from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from viz.plotting.curves import DEFAULT_RANGE, curves


def breaks(curve):
    """Returns where the values of ``curve`` are interrupted: the midpoints between neighbouring
    points."""
    found, previous = [], None
    for i, (x, y) in enumerate(zip(curve.xs, curve.value)):
        if y == y:
            if previous is not None and previous < i - 1:
                found.append((curve.xs[previous] + x) / 2)
            previous = i
    return sorted({round(x, 2) + 0.0 for x in found})


@pytest.mark.parametrize("name", TABLE)
def test_every_row_has_curves_that_are_its_values_and_partials(name):
    row = TABLE[name]
    curve = curves(name, order=2, resolution=40)
    fixed = dict(curve.at)
    assert {curve.vary, *fixed} == set(row.parameters)
    assert len(curve.xs) == len(curve.value) == len(curve.second) == len(curve.partials[-1])
    assert len(curve.partials) == row.arity
    assert sum(y == y for y in curve.value) >= 30
    assert sum(d == d for d in curve.second) >= 30
    for k, (x, y) in enumerate(zip(curve.xs, curve.value)):
        args = tuple(x if p == curve.vary else fixed[p] for p in row.parameters)
        if y == y:
            assert y == row.forward(*args)
        for i, partial in enumerate(curve.partials):
            if partial[k] == partial[k]:
                assert partial[k] == row.partial_at(i, args, row.forward(*args))
    assert curve.height[0] < curve.height[1]


@pytest.mark.parametrize("name", TABLE)
def test_curves_stay_in_the_domain(name):
    curve = curves(name, resolution=40)
    intervals = TABLE[name].sample[TABLE[name].parameters.index(curve.vary)]
    finite = [x for x in curve.xs if x == x]
    assert all(any(low <= x <= high for low, high in intervals) for x in finite)
    assert DEFAULT_RANGE[0] <= min(finite) < max(finite) <= DEFAULT_RANGE[1]


@pytest.mark.parametrize(("name", "options", "where"), [
    ("sin", {}, []), ("exp", {}, []), ("relu", {}, [0.0]), ("hardtanh", {}, [-1.0, 1.0]),
    ("maximum", {}, [2.0]),
    ("floor", {"over": (-1.5, 1.5)}, [-1.0, 0.0, 1.0]), ("round", {"over": (-1, 1)}, [-0.5, 0.5]),
    ("reciprocal", {}, [0.0]), ("tan", {}, [-4.71, -1.57, 1.57, 4.71]),
    ("atan2", {}, []), ("atan2", {"at": {"x": -1}}, [0.0]),
    ("div", {"vary": "y"}, [0.0]), ("remainder", {"over": (0.5, 5)}, [2.0, 4.0]),
    ("log", {"over": (-1, 1)}, []),
    ("clip", {"vary": "low", "at": {"x": 0.5, "high": 2}}, [0.5, 2.0]),
])
def test_lines_are_interrupted_at_kinks_jumps_and_poles_and_nowhere_else(name, options, where):
    assert breaks(curves(name, **options)) == pytest.approx(where, abs=0.03)


def test_a_steep_line_is_not_taken_for_a_pole():
    assert breaks(curves("mul", at={"y": 1e6})) == []
    assert curves("mul", at={"y": 3}, resolution=2).value == (-15.0, 15.0)
    assert breaks(curves("sinh", resolution=10)) == []


def test_both_sides_of_a_kink_are_drawn_up_to_it():
    curve = curves("relu", resolution=3)
    kink = curve.xs.index(next(x for x in curve.xs if x != x))
    assert curve.xs[kink - 1] == pytest.approx(0, abs=1e-11)
    assert curve.xs[kink + 1] == pytest.approx(0, abs=1e-11)
    assert curve.partials[0][0] == 0.0
    assert curve.partials[0][-1] == 1.0


def test_the_second_derivative_is_that_of_the_argument_that_varies():
    curve = curves("pow", vary="y", at={"x": 3.0}, order=2, resolution=5)
    assert curve.second == pytest.approx([3.0**y * math.log(3) ** 2 for y in curve.xs])
    assert curves("pow").second == ()


def test_poles_and_rapid_growth_do_not_set_the_height():
    assert curves("reciprocal").height == pytest.approx((-6.72, 6.72))
    assert curves("exp").height[1] < 10
    assert curves("tanh").height == pytest.approx((-1.12, 1.12), abs=0.001)
    assert curves("mul", at={"y": 1000.0}).height[1] > 1000


def test_other_arguments_have_readable_values_unless_given():
    assert curves("pow").at == (("y", 2.0),)
    assert curves("clip").at == (("low", -1.0), ("high", 1.0))
    assert curves("leaky_relu").at == (("slope", 0.01),)
    assert curves("where").vary == "x"
    assert curves("pow", at={"x": 2}).vary == "y"
    assert curves("where", at={"x": 2, "y": 3}).vary == "condition"


def test_a_range_beyond_the_domain_is_empty_there():
    curve = curves("log", over=(-2, 2), resolution=5)
    assert [y == y for y in curve.value] == [False, False, False, True, True]
    assert all(y != y for y in curves("log", over=(-2, -1)).value)


@pytest.mark.parametrize(("arguments", "message"), [
    (("tanhh",), "no primitive 'tanhh' in the table; did you mean 'tanh' or"),
    (("qqqq",), "use add, sub"),
    (("pow", {"vary": "z"}), "an argument of pow must be one of x, y, not 'z'"),
    (("pow", {"at": {"w": 1}}), "an argument of pow must be .*, not 'w'"),
    (
        ("pow", {"vary": "x", "at": {"x": 1}}),
        "at must be for other arguments than x, which varies, not 1",
    ),
    (("sin", {"order": 3}), "order must be 1 or 2, not 3"),
    (("sin", {"at": {"x": 1}}), "than x, which varies"),
    (("sin", {"over": (1, 1)}), r"over must be .*, not \(1, 1\)"),
    (("sin", {"over": 3}), "over must be .*, not 3"),
    (("sin", {"over": (0, inf)}), "two finite numbers"),
    (("sin", {"over": (nan, 1)}), "two finite numbers"),
    (("sin", {"resolution": 1}), "resolution must be a whole number from 2 to 100,000, not 1"),
])
def test_unknown_primitives_arguments_and_options_are_rejected_by_name(arguments, message):
    name, options = (*arguments, {})[:2]
    with pytest.raises(ValueError, match=message):
        curves(name, **options)


def test_a_primitive_is_a_row_or_its_name_or_its_symbol():
    assert curves("sub", resolution=3) == curves(table.sub, resolution=3)
    assert curves("-", resolution=3) == curves(table.sub, resolution=3)
    with pytest.raises(TypeError, match="primitive must be the name of a primitive or a row"):
        curves(3)


@pytest.fixture
def own_row():
    made = []

    def make(name, *args, **fields):
        made.append(name)
        return define(name, *args, **fields)

    yield make
    for name in made:
        del TABLE[name]


def test_user_defined_row_has_curves(own_row):
    row = own_row("cube", lambda x: x**3, lambda x, o: 3 * x * x)
    curve = curves(row, order=2, resolution=3)
    assert curve.value == (-125.0, 0.0, 125.0)
    assert curve.partials == ((75.0, 0.0, 75.0),)
    assert curve.second == (-30.0, 0.0, 30.0)


def test_user_defined_row_may_raise_or_have_another_domain(own_row):
    row = own_row("careless", lambda x: math.log(x), lambda x, o: 1 / x)
    assert sum(y == y for y in curves(row, resolution=10).value) == 5
    far = own_row("far", lambda x: x, lambda x, o: 1.0, sample=(((100.0, inf),),))
    assert curves(far, resolution=3).xs == (100.0, 105.0, 110.0)
    split = own_row("split", lambda x: x, lambda x, o: 1.0, sample=(((-inf, -1.0), (1.0, inf)),))
    assert curves(split, resolution=2).xs[:2] + curves(split, resolution=2).xs[3:] == (
        -5.0,
        -1.0,
        1.0,
        5.0,
    )
    assert breaks(curves(split, resolution=2)) == [0.0]
