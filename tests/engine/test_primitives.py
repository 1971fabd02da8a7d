"""The rows of the table: their fields, their rules on floats and on Values, and user-defined rows.

Their accuracy is tested in test_accuracy, infinities and nan in test_special_values.
"""

import itertools
import math as std
import random
import re

import pytest
from helpers import SMOOTH, SPECIAL, bits, disagreements, mp, mpf, points, same
from truths import SLOPES

from tinygrad_edu import Value, gradients, math, parse
from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import TABLE, Primitive, lookup
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.symbolic.formulas import formula

ROWS = list(TABLE.values())
every_row = pytest.mark.parametrize("row", ROWS, ids=list(TABLE))

# ---- the fields


@every_row
def test_rows_have_consistent_fields(row):
    assert TABLE[row.name] is row
    assert row.name.isidentifier()
    assert (
        row.arity
        == len(row.partials)
        == len(row.parameters)
        == len(set(row.parameters))
        == len(row.sample)
    )
    assert len(row.defaults) < row.arity
    assert all(type(default) is float for default in row.defaults)
    assert len(row.limits) in (0, row.arity)
    assert row.associativity in ("left", "right", "none")
    assert bool(row.symbol) == (row.precedence > 0)
    assert not row.symbol or row.arity <= 2
    assert all(parameter.isidentifier() for parameter in row.parameters)
    for intervals in row.sample:
        assert intervals
        assert all(low < high for low, high in intervals)
    assert repr(row) == f"<primitive {row.name}({', '.join(row.parameters)})>"


@every_row
def test_rows_have_their_documented_special_values(row):
    for args, partials in row.specials.items():
        assert len(args) == len(partials) == row.arity
        out = row.forward(*args)
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        assert same(y.data, out)
        y.backward()
        for i, partial in enumerate(partials):
            assert same(row.partial_at(i, args, out), partial), (
                f"{row.name}{args} by {row.parameters[i]}"
            )
            assert same(xs[i].grad, partial)


@every_row
def test_samples_lie_in_the_domain_and_give_finite_or_overflowing_numbers(row):
    for args in points(row, 40):
        if row.domain is not None:
            assert row.domain(*args)
        assert row.forward(*args) == row.forward(*args), f"{row.name}{args} is nan"


ALSO_FINITE_OUTSIDE = {
    "pow": lambda x, y: x <= 0,
    "pow_lower": lambda x, y: x <= 0,
    "xlogy": lambda x, y: x == 0,
}
DOMAINED = [row for row in ROWS if row.domain is not None]


@pytest.mark.parametrize("row", DOMAINED, ids=[row.name for row in DOMAINED])
def test_a_domain_is_where_the_value_is_a_finite_real(row):
    for args in itertools.product(
        (-3.0, -1.0, -0.5, -0.0, 0.0, 1e-9, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 3.0), repeat=row.arity
    ):
        if (
            row.domain(*args)
            or row.name not in ALSO_FINITE_OUTSIDE
            or not ALSO_FINITE_OUTSIDE[row.name](*args)
        ):
            assert std.isfinite(row.forward(*args)) is bool(row.domain(*args)), f"{row.name}{args}"


PIECED = [row for row in ROWS if row.piece is not None]


@pytest.mark.parametrize("row", PIECED, ids=[row.name for row in PIECED])
def test_pieces_are_constant_between_neighbouring_points_and_change_at_kinks(row):
    for args in points(row, 10, wide=False):
        assert same(row.piece(*args), row.piece(*(arg * (1 + 1e-15) for arg in args)))
    for x, *rest in row.specials:
        # its special value is a point, not a kink along a line
        if all(map(std.isfinite, (x, *rest))) and row.name != "atan2":
            assert row.piece(x - 1e-6, *rest) != row.piece(x + 1e-6, *rest)


CLOSE = 1e-9
SIDES = {  # arguments on either side of a kink or jump, and at it if that is a separate piece
    "remainder": ((7.9, 2.0), (8.1, 2.0)),
    "floordiv": ((7.9, 2.0), (8.1, 2.0)),
    "fmod": ((7.9, 2.0), (8.1, 2.0)),
    "ieee_remainder": ((6.9, 2.0), (7.1, 2.0)),
    "floor": ((1.9,), (2.1,), (2.0,)),
    "ceil": ((1.9,), (2.1,), (2.0,)),
    "trunc": ((1.9,), (2.1,)),
    "round": ((2.4,), (2.6,), (2.5,)),
    "round_digits": ((1.24, 1.0), (1.26, 1.0)),
    "atan2": ((-0.1, -1.0), (0.1, -1.0), (0.0, -1.0)),
    "copysign": ((1.0, -0.1), (1.0, 0.1)),
    **dict.fromkeys(("abs", "sign", "step", "relu"), ((-CLOSE,), (CLOSE,), (0.0,))),
    **dict.fromkeys(
        ("maximum", "minimum", "fmax", "fmin"), ((1 - CLOSE, 1.0), (1 + CLOSE, 1.0), (1.0, 1.0))
    ),
    **dict.fromkeys(("leaky_relu", "elu"), ((-CLOSE, 0.5), (CLOSE, 0.5), (0.0, 0.5))),
    "hardtanh": ((-1 - CLOSE,), (-1.0,), (1 - CLOSE,), (1.0,), (1 + CLOSE,)),
    "clip": tuple((x, 1.0, 2.0) for x in (1 - CLOSE, 1.0, 1 + CLOSE, 2.0, 2 + CLOSE)),
}


@pytest.mark.parametrize("name", list(SIDES))
def test_pieces_distinguish_the_sides_of_a_kink_and_the_kink(name):
    pieces = [TABLE[name].piece(*args) for args in SIDES[name]]
    assert all(p != q for p, q in itertools.combinations(pieces, 2))


def test_atan2_jumps_only_on_the_negative_x_axis():
    piece = TABLE["atan2"].piece
    assert piece(-0.1, 1.0) == piece(0.0, 1.0) == piece(0.1, 1.0)


# ---- the same rule in two languages


@every_row
def test_rules_on_values_equal_rules_on_floats_bit_for_bit(row):
    for args in points(row, 60, seed=1) + points(row, 30, seed=2, wide=False):
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        y.backward()
        for x, slope in zip(xs, gradients(y, xs)):
            assert bits(slope.data + 0.0) == bits(x.grad + 0.0), (
                f"{row.name}{args}: {slope.data!r} and {x.grad!r}"
            )


@every_row
def test_rules_on_values_equal_rules_on_floats_at_special_arguments(row):
    for args in (
        itertools.product(SPECIAL, repeat=row.arity)
        if row.arity < 3
        else random.Random(0).choices(list(itertools.product(SPECIAL, repeat=3)), k=300)
    ):
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        y.backward()
        for x, slope in zip(xs, gradients(y, xs)):
            assert same(slope.data, x.grad), f"{row.name}{args}: {slope.data!r} and {x.grad!r}"


def second_derivatives(name, args):
    f, n = SMOOTH[name], len(args)
    with mp.workdps(60):
        return [
            [
                mp.diff(f, tuple(map(mpf, args)), tuple((i == k) + (j == k) for k in range(n)))
                for j in range(n)
            ]
            for i in range(n)
        ]


@pytest.mark.parametrize("name", list(SMOOTH))
def test_second_derivatives_agree_with_mpmath(name):
    row = TABLE[name]
    arg_tuples = points(row, 6 if row.arity == 1 else 4, seed=3, wide=False)
    assert len(arg_tuples) >= 4
    for args in arg_tuples:
        xs = [Value(arg) for arg in args]
        first = gradients(row(*xs), xs)
        for i, truths in enumerate(second_derivatives(name, args)):
            for j, true in enumerate(truths):
                got = gradients(first[i], [xs[j]])[0].data
                if abs(true) < 1e-25:  # mpmath's finite step does not give exactly 0
                    assert abs(got) < 1e-25, f"{name}{args}: {got}, not 0"
                else:
                    assert abs(got - true) <= 1e-9 * abs(true), (
                        f"{name}{args} [{i}][{j}]: {got}, not {mp.nstr(true, 17)}"
                    )


def test_the_mixed_derivative_of_a_power_follows_its_conventions():
    def mixed(base, exponent):
        x, y = Value(base), Value(exponent)
        return gradients(gradients(x**y, [x])[0], [y])[0].data

    # x**(y - 1) (1 + y log(x))
    assert mixed(2.0, 3.0) == pytest.approx(4 + 3 * 4 * std.log(2), rel=1e-15, abs=0)
    assert mixed(0.0, 3.0) == 0.0
    assert mixed(0.0, 1.5) == 0.0
    assert std.isnan(mixed(-0.5, 3.0))


@pytest.mark.parametrize("base", [-0.5, -1.0, -2.0])
def test_power_of_a_negative_base_has_no_derivative_with_respect_to_the_exponent(base):
    y = Value(2.0)
    (base**y).backward()
    assert std.isnan(y.grad)


def test_omitted_arguments_have_the_published_defaults():
    assert [table.clip(x) for x in (-3.0, 3.0, std.inf, -std.inf)] == [
        -3.0,
        3.0,
        std.inf,
        -std.inf,
    ]
    assert (table.clip(-3.0, -1.0), table.clip(3.0, -1.0)) == (-1.0, 3.0)
    assert (table.leaky_relu(-3.0), table.elu(-3.0)) == (0.01 * -3.0, std.expm1(-3.0))


def test_atan2_partials_are_infinite_for_tiny_vectors_and_zero_at_the_origin():
    for x, slope in ((1e-310, std.inf), (0.0, 0.0)):
        y = Value(0.0)
        math.atan2(y, x).backward()
        assert y.grad == slope


# ---- user-defined rows


@pytest.fixture
def cube_plus():
    row = define(
        "cube_plus",
        lambda x, y: x * x * x + y,
        lambda x, y, o: 3 * table.square(x),
        lambda x, y, o: 1.0,
        defaults=(1.0,),
    )
    yield row
    del TABLE["cube_plus"]


def test_new_row_works_in_every_part_of_the_engine(cube_plus):
    assert cube_plus(2.0, 5.0) == 13.0
    assert cube_plus(2.0) == 9.0
    x = Value(2.0, "x")
    y = cube_plus(x, 5)
    assert (y.data, y.op, y.partials, y.args[0]) == (13.0, "cube_plus", (12.0, 0.0), x)
    y.backward()
    assert x.grad == 12.0
    assert math.cube_plus is cube_plus
    assert parse("cube_plus(x) + 1", x=x).data == 10.0
    assert formula("cube_plus") == (
        "d/dx cube_plus(x, y) = 3 * square(x)\nd/dy cube_plus(x, y) = 1"
    )
    slope = gradients(y, [x])[0]
    assert slope.data == 12.0
    assert gradients(slope, [x])[0].data == 12.0


def test_new_row_can_be_compared_with_mpmath(cube_plus, monkeypatch):
    monkeypatch.setitem(SMOOTH, "cube_plus", lambda x, y: x**3 + y)
    monkeypatch.setitem(SLOPES, "cube_plus", (lambda x, y: 3 * x**2, lambda x, y: mpf(1)))
    assert disagreements(cube_plus, points(cube_plus, 20, wide=False)) == {}


def test_a_removed_row_is_gone_everywhere(cube_plus):
    kept = TABLE.pop("cube_plus")
    try:
        assert not hasattr(math, "cube_plus")
        with pytest.raises(TinygradEduError, match="no primitive 'cube_plus' in the table"):
            lookup("cube_plus")
        with pytest.raises(ValueError, match="unknown function 'cube_plus'"):
            parse("cube_plus(1)")
    finally:
        TABLE["cube_plus"] = kept


def test_define_rejects_a_name_that_is_taken():
    kept = TABLE["sin"]
    with pytest.raises(ValueError, match="primitive 'sin' is in the table already"):
        define("sin", std.sin, lambda x, o: 1.0)
    assert TABLE["sin"] is kept


@pytest.mark.parametrize("name", ["", "two words", "9lives", "a-b"])
def test_define_rejects_a_name_that_is_not_an_identifier(name):
    with pytest.raises(ValueError, match="is not an identifier"):
        define(name, std.sin, lambda x, o: 1.0)
    assert name not in TABLE


def test_parameters_must_match_the_partials():
    with pytest.raises(ValueError, match="parameters must be 2 names, not"):
        define("lopsided", lambda x, y: x, lambda x, y, o: 1.0, lambda x, y, o: 0.0, parameters="x")
    assert "lopsided" not in TABLE


def test_complex_number_inside_a_rule_gives_nan():
    row = define("rooted_for_test", lambda x: 1.0, lambda x, o: table.sqrt(x**0.5))
    try:
        assert repr(row(Value(-8.0)).partials) == "(nan,)"  # (-8.0) ** 0.5 is complex in Python
    finally:
        del TABLE["rooted_for_test"]


@pytest.mark.parametrize("args", [(), (1.0, 2.0), (Value(1.0), 2.0), (Value(1.0), Value(2.0))])
def test_primitive_rejects_a_wrong_number_of_arguments(args):
    with pytest.raises(TypeError, match=rf"sin\(x\) was called with {len(args)} arguments; it"):
        table.sin(*args)


@pytest.mark.parametrize("bad", ["1", None, 1j, [1.0]])
def test_primitive_names_an_argument_that_is_not_a_number(bad):
    with pytest.raises(
        TypeError, match="argument x of sin must be a real number, not " + type(bad).__name__
    ):
        table.sin(bad)
    with pytest.raises(
        TypeError, match="argument y of hypot must be a real number, not " + type(bad).__name__
    ):
        table.hypot(Value(1.0), bad)


def test_a_long_argument_is_cut_to_40_characters_in_messages():
    for length, shown in ((38, repr("a" * 38)), (39, repr("a" * 39)[:37] + "...")):
        with pytest.raises(TypeError, match=re.escape(f"not str ({shown})")):
            table.sin("a" * length)


def test_rows_are_looked_up_and_pickled_by_name():
    import pickle
    assert lookup("tanh") is table.tanh
    assert isinstance(table.tanh, Primitive)
    assert pickle.loads(pickle.dumps(table.tanh)) is table.tanh


@pytest.mark.parametrize(("rule", "message"), [
    (lambda x: 2 * x, r"called with \(x, o\)"), (lambda x, o: std.cos(x), "this package's math"),
    (lambda x, o: x if x > 0 else 1.0, r"where\(condition, x, y\)"),
    (lambda x, o: x.data, "no attribute 'data'"),
])
def test_define_rejects_a_rule_that_cannot_run_on_names(rule, message):
    with pytest.raises(TypeError, match=message):
        table.define("not_in_the_language", lambda x: x * x, rule)
    assert "not_in_the_language" not in table.TABLE


def test_define_replaces_a_row_on_request():
    try:
        table.define("again", lambda x: x, lambda x, o: 1.0)
        with pytest.raises(ValueError, match="replace=True"):
            table.define("again", lambda x: x, lambda x, o: 1.0)
        assert (
            table.define("again", lambda x: 2 * x, lambda x, o: 2.0, replace=True)(1.0) == 2.0
        )
    finally:
        table.TABLE.pop("again", None)


def test_one_argument_is_not_called_arguments():
    with pytest.raises(TypeError, match=r"^atan2\(y, x\) was called with 1 argument; it takes 2$"):
        math.atan2(1.0)
