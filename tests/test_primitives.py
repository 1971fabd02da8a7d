"""Every row of the table, against truths that do not read the table: mpmath, cmath and rules written on paper."""

import cmath
import contextlib
import itertools
import math as std
import random

import pytest
from helpers import (
    PIECEWISE,
    SMALLEST_NORMAL,
    SMOOTH,
    SPECIAL,
    bits,
    error_in_ulps,
    inf,
    mp,
    mpf,
    nan,
    points,
    replaced,
    same,
    truth,
)

from tinygrad_edu import Value, gradients, math, parse, primitives
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.formula import formula
from tinygrad_edu.primitives import TABLE, Primitive, define, lookup

ROWS = list(TABLE.values())
every_row = pytest.mark.parametrize("row", ROWS, ids=list(TABLE))
ULPS = {"cbrt": 8, "pow": 8, "pow_lower": 8}  # 4 for all others
RELATIVE = {"erf": 1e-12, "erfc": 1e-12, "gelu_erf": 1e-12, "gelu_tanh": 1e-12, "silu": 1e-12}
MODERATE = ("erf", "erfc", "gelu_erf", "gelu_tanh", "silu")


def bound(row, args, true, of_gradient):
    """How many ulps of ``true`` the engine may be away from it."""
    if row.name in RELATIVE:
        return RELATIVE[row.name] * abs(true) / std.ulp(float(true)) if true else 0
    if row.name in ("pow_lower", "sigmoid_difference") and of_gradient and true:
        # These rows hold their digits for the sake of gradients of pow and logaddexp.  Their own derivatives, which second
        # derivatives alone need, are conditioned: rounding a difference d moves log(x) * d or d by up to half of ulp(d).
        x, y = args
        moved = abs(std.log(x)) * std.ulp(y - 1) if row.name == "pow_lower" else std.ulp(x - y)
        return 8 + 0.5 * moved * abs(true) / std.ulp(float(true))
    return ULPS.get(row.name, 4)


_truths = {}


def truth_at(row, args):
    if (row.name, args) not in _truths:
        _truths[row.name, args] = truth(row.name, args)
    return _truths[row.name, args]


def disagreements(row, arg_tuples):
    """THE CHECKER: a sentence for every value and every partial that is further from the truth than the contract says.

    The keys are the arguments and the number of the partial, None for the value.  Subnormal results are left out in
    this file: there the format itself has fewer digits.
    """
    found = {}
    for args in arg_tuples:
        value, partials = truth_at(row, args)
        got = row.forward(*args)
        error = error_in_ulps(got, value)
        if error is None:
            continue  # the output is subnormal, and rules that are written in terms of it have no digits to work with
        if error > bound(row, args, value, of_gradient=False):
            found[args, None] = f"{row.name}{args} = {got!r}, not {mp.nstr(value, 20)}: {mp.nstr(error, 3)} ulp"
        for i, partial in enumerate(partials):
            got_partial = row.partial_at(i, args, got)
            error = error_in_ulps(got_partial, partial)
            if error is not None and error > bound(row, args, partial, of_gradient=True):
                found[args, i] = (f"d {row.name}{args} / d {row.parameters[i]} = {got_partial!r}, "
                                  f"not {mp.nstr(partial, 20)}: {mp.nstr(error, 3)} ulp")
    return found


def check_points(row):
    return points(row, 24 if row.name in MODERATE else 40)


# ---- (a) accuracy


@every_row
def test_value_and_partials_agree_with_an_independent_truth(row):
    wrong = disagreements(row, check_points(row))
    assert not wrong, "\n".join(wrong.values())


def test_every_row_has_an_independent_truth():
    assert {*SMOOTH, *PIECEWISE} == set(TABLE)


@pytest.mark.parametrize(("name", "args"), [
    ("remainder", (1.0, 0.1)), ("remainder", (-1.0, 0.1)), ("remainder", (6.0, 0.1)), ("fmod", (1.0, 0.1)),
    ("fmod", (-1.0, 0.1)), ("fmod", (0.9, 0.1)), ("floordiv", (1.0, 0.1)), ("ieee_remainder", (0.35, 0.1)),
    ("ieee_remainder", (2.5 - 2**-51, 1.0)), ("ieee_remainder", (0.15, 0.1)), ("ieee_remainder", (1.5, 0.1)),
])
def test_quotients_that_round_to_a_whole_number_belong_to_the_piece_of_the_value(name, args):
    # 1.0 / 0.1 rounds to 10.0, but 0.1 as a float is a little more than a tenth: 1.0 % 0.1 is 1.0 - 9 * 0.1.
    assert disagreements(TABLE[name], [args]) == {}


@pytest.mark.parametrize("x", [18.0, 20.0, 40.0, 300.0])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "logsigmoid", "silu", "erf", "erfc", "expm1"])
def test_digits_survive_where_the_function_saturates(name, x):
    assert disagreements(TABLE[name], [(x,), (-x,)]) == {}


@pytest.mark.parametrize(("name", "args"), [
    ("asin", (1 - 2**-53,)), ("acos", (1 - 2**-53,)), ("atanh", (1 - 2**-53,)), ("acosh", (1 + 2**-52,)),
    ("log1p", (-1 + 2**-53,)), ("log1p", (1e-300,)), ("hypot", (1e200, 1e200)), ("hypot", (3e-200, 4e-200)),
    ("atan2", (1e-200, 1e-200)), ("atan2", (1e200, -1e200)), ("acosh", (1e300,)), ("div", (1e300, 1e-5)),
    ("tan", (1.5707963267948966,)), ("cos", (1e22,)), ("atan", (1e160,)), ("asinh", (1e300,)),
])
def test_digits_survive_at_the_ends_of_domains(name, args):
    assert disagreements(TABLE[name], [args]) == {}


@pytest.mark.parametrize("distance", [30.0, 100.0, 300.0, 700.0])
def test_digits_survive_when_the_difference_of_two_arguments_rounds(distance):
    rng = random.Random(distance)
    args = [(rng.uniform(-1, 1), distance + rng.uniform(-1, 1)) for _ in range(10)]
    assert disagreements(TABLE["logaddexp"], args + [(y, x) for x, y in args]) == {}
    # y - 1 rounds for small and for negative y; log x makes much of it:
    assert disagreements(TABLE["pow"], [(10.0**distance if distance < 300 else 1e-300, x) for x, _ in args]) == {}


# ---- (b) the fields


@every_row
def test_fields_are_filled_in_sensibly(row):
    assert TABLE[row.name] is row
    assert row.name.isidentifier()
    assert row.arity == len(row.partials) == len(row.parameters) == len(set(row.parameters)) == len(row.sample)
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
def test_special_values_hold(row):
    for args, partials in row.specials.items():
        assert len(args) == len(partials) == row.arity
        out = row.forward(*args)
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        assert same(y.data, out)
        y.backward()
        for i, partial in enumerate(partials):
            assert same(row.partial_at(i, args, out), partial), f"{row.name}{args} by {row.parameters[i]}"
            assert same(xs[i].grad, partial)


@every_row
def test_samples_lie_in_the_domain_and_give_finite_or_overflowing_numbers(row):
    for args in check_points(row):
        if row.domain is not None:
            assert row.domain(*args)
        assert row.forward(*args) == row.forward(*args), f"{row.name}{args} is nan"


PIECED = [row for row in ROWS if row.piece is not None]


@pytest.mark.parametrize("row", PIECED, ids=[row.name for row in PIECED])
def test_pieces_are_constant_between_neighbouring_points_and_change_at_kinks(row):
    for args in points(row, 10, wide=False):
        assert same(row.piece(*args), row.piece(*(arg * (1 + 1e-15) for arg in args)))
    for x, *rest in row.specials:
        if all(map(std.isfinite, (x, *rest))) and row.name != "atan2":  # whose special value is a point, not a kink on a line
            assert row.piece(x - 1e-6, *rest) != row.piece(x + 1e-6, *rest)


# ---- (c) the same rule in two languages


@every_row
def test_rules_on_values_equal_rules_on_floats_bit_for_bit(row):
    for args in points(row, 60, seed=1) + points(row, 30, seed=2, wide=False):
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        y.backward()
        for x, slope in zip(xs, gradients(y, xs)):
            assert bits(slope.data + 0.0) == bits(x.grad + 0.0), f"{row.name}{args}: {slope.data!r} and {x.grad!r}"


@every_row
def test_rules_on_values_equal_rules_on_floats_at_special_arguments(row):
    for args in itertools.product(SPECIAL, repeat=row.arity) if row.arity < 3 else random.Random(0).choices(
            list(itertools.product(SPECIAL, repeat=3)), k=300):
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        y.backward()
        for x, slope in zip(xs, gradients(y, xs)):
            assert same(slope.data, x.grad), f"{row.name}{args}: {slope.data!r} and {x.grad!r}"


def second_derivatives(name, args):
    f, n = SMOOTH[name], len(args)
    with mp.workdps(60):
        return [[mp.diff(f, tuple(map(mpf, args)), tuple((i == k) + (j == k) for k in range(n))) for j in range(n)]
                for i in range(n)]


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
                if abs(true) < 1e-25:  # mpmath's step leaves a trace of what is exactly 0
                    assert abs(got) < 1e-25, f"{name}{args}: {got}, not 0"
                else:
                    assert abs(got - true) <= 1e-9 * abs(true), f"{name}{args} [{i}][{j}]: {got}, not {mp.nstr(true, 17)}"


# ---- (d) the complex step, with nothing but the standard library

COMPLEX = {**{name: getattr(cmath, name) for name in (
    "exp", "log", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "atanh")},
    "acosh": cmath.acosh, "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
    "neg": lambda x: -x, "square": lambda x: x * x, "pow": lambda x, y: cmath.exp(y * cmath.log(x)),
    "sigmoid": lambda x: 1 / (1 + cmath.exp(-x)), "softplus": lambda x: cmath.log(1 + cmath.exp(x)),
    "identity": lambda x: x}


@pytest.mark.parametrize("name", list(COMPLEX))
def test_gradients_agree_with_the_complex_step(name):
    row, step = TABLE[name], 1e-200
    # Arguments of moderate size: cmath itself loses digits further out.
    for args in points(row, 20, seed=4, wide=False):
        xs = [Value(arg) for arg in args]
        row(*xs).backward()
        for i, x in enumerate(xs):
            moved = [complex(arg, step * (i == k)) for k, arg in enumerate(args)]
            slope = COMPLEX[name](*moved).imag / step
            assert abs(x.grad - slope) <= 2e-14 * abs(slope), f"{name}{args}"


# ---- (e) the checker is checked: no wrong rule may pass


def planted_rules(row, i):
    """``(kind, rule)``: every way of getting rule ``i`` wrong that is tried."""
    right = row.partials[i]
    truths = [truth_at(row, args)[1] for args in check_points(row)]
    if all(partials[i] == 0 for partials in truths):
        # A derivative that is 0 everywhere has no sign and no scale: it can only be wrong by a summand.
        yield "plus 1e-6", lambda *args: right(*args) + 1e-6
    else:
        yield "sign", lambda *args: -right(*args)
        yield "scale", lambda *args: right(*args) * 1.000001
    for j in range(row.arity):
        if any(abs(partials[i] - partials[j]) > 1e-6 * abs(partials[i]) and min(
                map(abs, partials)) < 1e300 for partials in truths):
            yield f"the rule of {row.parameters[j]}", row.partials[j]
    if row.arity > 1:
        for order in itertools.permutations(range(row.arity)):
            def permuted(*args, order=order):
                return right(*(args[k] for k in order), args[-1])

            if any(_differs(permuted, right, args, row.forward(*args), row) for args in check_points(row)):
                yield f"arguments in the order {order}", permuted


def _differs(permuted, right, args, out, row):
    if error_in_ulps(out, truth_at(row, args)[0]) is None:
        return False  # the checker leaves this point out
    try:
        x, y = float(permuted(*args, out)), float(right(*args, out))
    except (ArithmeticError, TypeError):
        return False
    return std.isfinite(x) and std.isfinite(y) and abs(x - y) > 1e-6 * abs(y) and min(abs(x), abs(y)) > SMALLEST_NORMAL


@every_row
def test_the_checker_reports_every_planted_wrong_rule(row):
    planted, before = 0, disagreements(row, check_points(row)).keys()
    for i in range(row.arity):
        for kind, rule in planted_rules(row, i):
            planted += 1
            with replaced(row, "partials", (*row.partials[:i], rule, *row.partials[i + 1:])):
                found = disagreements(row, check_points(row)).keys() - before
            assert any(at == i for _, at in found), f"{row.name}: {kind} in the rule of {row.parameters[i]} passed"
    assert planted >= row.arity


@every_row
def test_the_checker_reports_a_planted_wrong_forward_function(row):
    right, before = row.forward, disagreements(row, check_points(row)).keys()
    for wrong in (lambda *args: right(*args) * 1.000001 + 1e-9, lambda *args: nan):
        with replaced(row, "forward", wrong):
            found = disagreements(row, check_points(row)).keys() - before
        assert any(at is None for _, at in found)


def test_planted_rules_are_taken_out_again():
    row = TABLE["sin"]
    kept = row.partials
    with contextlib.suppress(ZeroDivisionError), replaced(row, "partials", ()):
        raise ZeroDivisionError
    assert row.partials is kept


# ---- (f) special values: IEEE 754 all the way


@every_row
def test_no_special_argument_raises_or_leaves_the_reals(row):
    for args in itertools.product(SPECIAL, repeat=min(row.arity, 2)):
        for rest in itertools.product(SPECIAL[::3], repeat=row.arity - len(args)):
            full = args + rest
            try:
                out = row(*full)
                xs = [Value(arg) for arg in full]
                y = row(*xs)
                y.backward()
                numbers = [out, y.data, *y.partials, *(x.grad for x in xs), *(row.partial_at(i, full, out)
                                                                              for i in range(row.arity))]
                slopes = gradients(y, xs)
            except Exception as error:
                raise AssertionError(f"{row.name}{full} raised {error!r}") from error
            assert all(type(n) is float for n in numbers), f"{row.name}{full}: {numbers}"
            assert same(out, y.data)
            assert all(isinstance(slope, Value) and type(slope.data) is float for slope in slopes)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "abs", "clip", "hardtanh", "softsign"])
def test_nan_in_is_nan_out_for_rows_with_kinks(name):
    x = Value(nan)
    y = TABLE[name](x, *((-1.0, 1.0) if name == "clip" else ()))
    y.backward()
    assert std.isnan(y.data)
    assert std.isnan(x.grad)


@pytest.mark.parametrize("name", ["step", "sign", "floor", "ceil", "round", "trunc"])
def test_nan_in_is_nan_out_for_rows_with_jumps_whose_derivative_stays_0(name):
    x = Value(nan)
    y = TABLE[name](x)
    y.backward()
    assert std.isnan(y.data)
    assert x.grad == 0


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("args", [(nan, 1.0), (1.0, nan), (nan, nan), (inf, nan), (nan, -inf)])
def test_nan_wins_every_maximum_and_minimum_on_either_side(name, args):
    x, y = map(Value, args)
    z = TABLE[name](x, y)
    z.backward()
    assert std.isnan(z.data)
    assert std.isnan(x.grad)
    assert std.isnan(y.grad)


@pytest.mark.parametrize(("name", "args", "value", "grads"), [
    ("fmax", (nan, 1.0), 1.0, (0, 1)), ("fmax", (1.0, nan), 1.0, (1, 0)),
    ("fmin", (nan, 1.0), 1.0, (0, 1)), ("fmin", (1.0, nan), 1.0, (1, 0)),
])
def test_fmax_and_fmin_ignore_a_nan(name, args, value, grads):
    xs = [Value(arg) for arg in args]
    y = TABLE[name](*xs)
    y.backward()
    assert y.data == value
    assert tuple(x.grad for x in xs) == grads


# ---- (g) a row of one's own


@pytest.fixture
def cube_plus():
    row = define("cube_plus", lambda x, y: x * x * x + y, lambda x, y, o: 3 * primitives.square(x), lambda x, y, o: 1.0,
                 defaults=(1.0,))
    yield row
    del TABLE["cube_plus"]


def test_a_new_row_works_everywhere_at_once(cube_plus):
    assert cube_plus(2.0, 5.0) == 13.0
    assert cube_plus(2.0) == 9.0
    x = Value(2.0, "x")
    y = cube_plus(x, 5)
    assert (y.data, y.op, y.partials, y.args[0]) == (13.0, "cube_plus", (12.0, 0.0), x)
    y.backward()
    assert x.grad == 12.0
    assert math.cube_plus is cube_plus
    assert parse("cube_plus(x) + 1", x=x).data == 10.0
    assert formula("cube_plus") == ("d/dx cube_plus(x, y) = 3 * square(x)\nd/dy cube_plus(x, y) = 1")
    slope = gradients(y, [x])[0]
    assert slope.data == 12.0
    assert gradients(slope, [x])[0].data == 12.0
    assert disagreements_of_cube_plus(cube_plus) == {}


def disagreements_of_cube_plus(row):
    SMOOTH["cube_plus"] = lambda x, y: x**3 + y
    try:
        return disagreements(row, points(row, 20, wide=False))
    finally:
        del SMOOTH["cube_plus"]


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


def test_a_name_that_is_taken_is_refused():
    kept = TABLE["sin"]
    with pytest.raises(ValueError, match="primitive 'sin' is in the table already"):
        define("sin", std.sin, lambda x, o: 1.0)
    assert TABLE["sin"] is kept


@pytest.mark.parametrize("name", ["", "two words", "9lives", "a-b"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="is not an identifier"):
        define(name, std.sin, lambda x, o: 1.0)
    assert name not in TABLE


def test_parameters_must_match_the_partials():
    with pytest.raises(ValueError, match="2 partials but parameters"):
        define("lopsided", lambda x, y: x, lambda x, y, o: 1.0, lambda x, y, o: 0.0, parameters="x")
    assert "lopsided" not in TABLE


@pytest.mark.parametrize("args", [(), (1.0, 2.0), (Value(1.0), 2.0), (Value(1.0), Value(2.0))])
def test_a_wrong_number_of_arguments_is_refused(args):
    with pytest.raises(TypeError, match=rf"sin\(x\) was called with {len(args)} arguments"):
        primitives.sin(*args)


@pytest.mark.parametrize("bad", ["1", None, 1j, [1.0]])
def test_an_argument_that_is_no_number_is_named(bad):
    with pytest.raises(TypeError, match="argument x of sin must be a real number, not " + type(bad).__name__):
        primitives.sin(bad)
    with pytest.raises(TypeError, match="argument y of hypot must be a real number, not " + type(bad).__name__):
        primitives.hypot(Value(1.0), bad)


def test_rows_are_looked_up_by_name_also_through_pickle():
    import pickle
    assert lookup("tanh") is primitives.tanh
    assert isinstance(primitives.tanh, Primitive)
    assert pickle.loads(pickle.dumps(primitives.tanh)) is primitives.tanh


@pytest.mark.parametrize(("rule", "message"), [
    (lambda x: 2 * x, r"called with \(x, o\)"), (lambda x, o: std.cos(x), "this package's math"),
    (lambda x, o: x if x > 0 else 1.0, r"where\(condition, x, y\)"), (lambda x, o: x.data, "no attribute 'data'"),
])
def test_a_rule_that_is_not_in_the_language_is_refused_when_it_is_defined(rule, message):
    with pytest.raises(TypeError, match=message):
        primitives.define("not_in_the_language", lambda x: x * x, rule)
    assert "not_in_the_language" not in primitives.TABLE


def test_a_row_may_be_replaced_when_asked():
    try:
        primitives.define("again", lambda x: x, lambda x, o: 1.0)
        with pytest.raises(ValueError, match="replace=True"):
            primitives.define("again", lambda x: x, lambda x, o: 1.0)
        assert primitives.define("again", lambda x: 2 * x, lambda x, o: 2.0, replace=True)(1.0) == 2.0
    finally:
        primitives.TABLE.pop("again", None)
