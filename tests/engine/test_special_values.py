"""Special values through every row: zeros, infinities, nan, subnormals, the largest floats.

Every way of running a row follows IEEE 754: it gives floats, and no exception or complex number.
"""

import itertools
import math as std
import operator

import numpy as np
import pytest
from helpers import SPECIAL, bits, inf, nan, replaced, same

from tinygrad_edu import Value, define, gradients, jit, math
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import minimum, where

ROWS = list(TABLE.values())
every_row = pytest.mark.parametrize("row", ROWS, ids=list(TABLE))
OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "remainder": operator.mod,
    "floordiv": operator.floordiv,
    "neg": operator.neg,
    "abs": abs,
    "round": round,
}


def ways(row, args):
    """Yields ``(how, operands, function)``: a row on floats, on Values and on every mixture, called
    by its name and by its operator."""
    functions = [
        ("row", row),
        *([("operator", OPERATORS[row.name])] if row.name in OPERATORS else []),
    ]
    for how, function in functions:
        for are_values in itertools.product((True, False), repeat=row.arity):
            if any(are_values) or how == "row":  # operators on two floats are CPython's
                yield (
                    f"{how} of {are_values}",
                    [Value(x) if v else x for x, v in zip(args, are_values)],
                    function,
                )


def faults(row):
    """THE CHECKER: returns a sentence for each failure, with the arguments from `SPECIAL` and the
    way of running the row."""
    found = {}
    for args in itertools.product(SPECIAL, repeat=row.arity):
        for how, operands, function in ways(row, args):
            try:
                y = function(*operands)
                leaves = [x for x in operands if isinstance(x, Value)]
                numbers = _numbers(y, leaves) if leaves else [y]
                expected = _on_floats(row, args, [isinstance(x, Value) for x in operands])
            except Exception as error:
                found[args, how] = f"{row.name}{args}, {how}: {error!r}"
                continue
            if not all(type(number) is float for number in numbers):
                found[args, how] = f"{row.name}{args}, {how}: {numbers} are not all floats"
            elif not all(map(same, numbers, expected)):
                found[args, how] = f"{row.name}{args}, {how}: {numbers}, not {expected}"
    return found


def _numbers(y, leaves):
    """Returns the value, then the gradients after backward, then those that are Values."""
    y.backward()
    return [y.data, *[x.grad for x in leaves], *[slope.data for slope in gradients(y, leaves)]]


def _on_floats(row, args, are_values):
    out = row.forward(*args)
    # Accumulation starts from 0.0 and multiplies by the seed 1.0. Both change only the sign of a
    # zero.
    partials = [row.partial_at(i, args, out) for i, is_value in enumerate(are_values) if is_value]
    return [out, *partials, *partials]


@every_row
def test_special_arguments_give_floats_in_every_way_of_running_a_row(row):
    wrong = faults(row)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(itertools.islice(wrong.values(), 20))


def planted(name, field, value):
    """Returns what the checker reports with another field in a row; the row itself has no
    report."""
    assert faults(TABLE[name]) == {}
    with replaced(TABLE[name], field, value):
        return faults(TABLE[name])


def test_the_checker_reports_exceptions_in_every_way_of_running_a_row():
    found = planted("exp", "forward", std.exp)
    assert {args for args, _ in found} == {(1.797e308,), (1e200,)}
    assert all("OverflowError" in fault for fault in found.values())
    found = planted("div", "forward", operator.truediv)
    assert {args for args, _ in found} == {(x, zero) for x in SPECIAL for zero in (0.0, -0.0)}
    assert {how.split()[0] for _, how in found} == {"row", "operator"}
    found = planted(
        "fmod", "partials", (TABLE["fmod"].partials[0], lambda x, y, o: -float(round((x - o) / y)))
    )
    assert any("ValueError" in fault or "OverflowError" in fault for fault in found.values())


def test_the_checker_reports_results_that_are_not_floats():
    found = planted("pow", "forward", lambda x, y: x**y if x == -1 and y == 1e-200 else 1.0)
    assert {args for args, _ in found} == {(-1.0, 1e-200)}  # a complex number
    found = planted("sign", "forward", lambda x: int(x > 0))
    assert {how for _, how in found} == {"row of (True,)", "row of (False,)"}
    assert len(found) == 2 * 12  # 0.0 and -0.0 are one key


def test_the_checker_reports_an_operator_that_differs_from_its_row():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Value, "__sub__", lambda x, y: x + -y)  # its gradients are right
        patch.setattr(Value, "__mod__", lambda x, y: x - y * (x // y))
        assert faults(TABLE["sub"]) == {}
        assert {how for _, how in faults(TABLE["remainder"])} == {
            "operator of (True, True)",
            "operator of (True, False)",
        }


# ---- the values are those of IEEE 754, as numpy computes them

NUMPY = {
    **{
        name: getattr(np, name)
        for name in (
            "square",
            "exp",
            "exp2",
            "expm1",
            "log",
            "log1p",
            "log2",
            "log10",
            "sqrt",
            "cbrt",
            "hypot",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "logaddexp",
            "sign",
            "maximum",
            "minimum",
            "fmax",
            "fmin",
            "fmod",
            "copysign",
            "floor",
            "ceil",
            "trunc",
            "reciprocal",
            "remainder",
        )
    },
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "neg": np.negative,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "abs": np.fabs,
    "round": np.rint,
}


@pytest.mark.parametrize("name", list(NUMPY))
def test_values_at_special_arguments_equal_those_of_numpy(name):
    row = TABLE[name]
    for args in itertools.product(SPECIAL, repeat=row.arity):
        with np.errstate(all="ignore"):
            expected = float(NUMPY[name](*map(np.float64, args)))
        got = row.forward(*args)
        close = same(got, expected) or abs(got - expected) <= 4 * std.ulp(expected)
        assert close, f"{name}{args} = {got!r}; numpy has {expected!r}"
        # the sign of its zero is not specified
        if got == 0 and name not in ("sign", "fmax", "fmin", "maximum", "minimum"):
            assert bits(got) == bits(expected), f"{name}{args} = {got!r}; numpy has {expected!r}"


# ---- nan


IGNORE_NAN = ("fmax", "fmin")  # and the second argument of copysign, of which the sign counts


def at_nan(row):
    """Yields arguments of a row of which one or more are nan."""
    for args in itertools.product(SPECIAL, repeat=row.arity):
        if any(map(std.isnan, args[:1] if row.name == "copysign" else args)):
            yield args


PIECEWISE_ROWS = [row for row in ROWS if row.piece is not None and row.name not in IGNORE_NAN]


def test_the_piecewise_rows_are_those_with_kinks_and_jumps():
    assert {row.name for row in PIECEWISE_ROWS} >= {
        "abs", "sign", "step", "relu", "leaky_relu", "elu", "hardtanh", "maximum", "minimum",
        "clip", "copysign", "floor", "ceil", "round", "round_digits", "trunc", "remainder",
        "floordiv", "fmod", "ieee_remainder",
    }


@pytest.mark.parametrize("row", PIECEWISE_ROWS, ids=lambda row: row.name)
def test_value_and_gradients_of_a_piecewise_row_are_nan_at_nan(row):
    for args in at_nan(row):
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        y.backward()
        numbers = [y.data, *[x.grad for x in xs], *[slope.data for slope in gradients(y, xs)]]
        assert all(map(std.isnan, numbers)), f"{args}: {numbers}"


@pytest.mark.filterwarnings("ignore:jit replays in Python")  # without llvmlite, with equal bits
@pytest.mark.parametrize("row", PIECEWISE_ROWS + [TABLE[name] for name in IGNORE_NAN],
                         ids=lambda row: row.name)
def test_compiled_piecewise_rows_are_nan_at_the_same_arguments(row):
    of_arity = {1: lambda a: row(a), 2: lambda a, b: row(a, b), 3: lambda a, b, c: row(a, b, c)}
    compiled = jit(of_arity[row.arity])
    for args in itertools.product((nan, 0.0, -0.0, 1.0, -2.5, inf, -inf), repeat=row.arity):
        xs = [Value(arg) for arg in args]
        y = row(*xs)
        y.backward()
        value, slopes = compiled.value_and_grad(*args)
        found = [value, *(slopes if row.arity > 1 else [slopes])]
        expected = [y.data, *[x.grad for x in xs]]
        assert list(map(bits, found)) == list(map(bits, expected)), f"{args}: {found}, {expected}"


@pytest.mark.filterwarnings("ignore:jit replays in Python")
def test_a_piecewise_row_of_your_own_is_nan_at_nan_although_its_rule_is_not():
    name = "capped_for_this_test"
    row = define(
        name, None, lambda x, o: where(x < 1, 1.0, 0.0), piece=lambda x: x < 1,
        expansion=lambda x: minimum(x, 1.0),
    )
    try:
        x = Value(nan)
        row(x).backward()
        assert std.isnan(x.grad)
        assert std.isnan(jit(lambda x: row(x)).value_and_grad(nan)[1])
    finally:
        del TABLE[name]


@pytest.mark.parametrize(("f", "signs"), [
    (lambda x, y: math.copysign(1.0, x * y), (inf, 0.0)),  # inf * 0 is -nan on x86
    (lambda x, y: math.copysign(x, -1.0 * y), (-2.0, nan)),
    (lambda x, y: math.copysign(x, math.sqrt(y)), (3.0, -1.0)),
    (lambda x, y: math.copysign(x, math.log(y)) * x, (3.0, -1.0)),
    (lambda x, y: math.copysign(x, math.fmod(x, y)), (-0.5, 0.0)),
    (lambda x, y: math.copysign(x, y), (-0.5, -nan)),
])
def test_copysign_does_not_see_the_sign_of_nan_eager_or_compiled(f, signs):
    xs = [Value(x) for x in signs]
    y = f(*xs)
    y.backward()
    value, slopes = jit(f).value_and_grad(*signs)
    assert [bits(value), *map(bits, slopes)] == [bits(y.data), *[bits(x.grad) for x in xs]]
    assert value > 0


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("args", [(nan, 1.0), (1.0, nan), (nan, nan), (inf, nan), (nan, -inf)])
def test_maximum_and_minimum_propagate_nan_from_either_side(name, args):
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


