"""Value: operators with numbers of Python and numpy, constants, text, comparisons, no_grad, IEEE
754."""

import math as std
import operator
import re
import threading
from contextlib import nullcontext
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers import SPECIAL, bits, inf, nan, same
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Value, detect_anomaly, gradients, math, no_grad, topological_order
from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import COMPARISONS, TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.engine.value import Constant
from tinygrad_edu.errors import GraphWarning

OPERATORS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "remainder": operator.mod,
    "floordiv": operator.floordiv,
}
NUMBERS = [
    3,
    2.5,
    True,
    np.float64(2.5),
    np.float32(2.5),
    np.int64(3),
    np.bool_(True),
    np.array(2.5),
    Fraction(5, 2),
    Decimal("2.5"),
]
floats = st.floats() | st.sampled_from(SPECIAL) | st.floats(-10, 10)
every_operator = pytest.mark.parametrize("name", list(OPERATORS))


# ---- operators


@every_operator
@pytest.mark.parametrize("other", NUMBERS, ids=lambda n: type(n).__name__)
def test_operators_take_numbers_on_either_side(name, other):
    op, x = OPERATORS[name], Value(1.5, "x")
    for result, expected, place in (
        (op(x, other), (1.5, float(other)), 0),
        (op(other, x), (float(other), 1.5), 1),
    ):
        assert type(result) is Value
        assert result.op == name
        assert result.data == table.TABLE[name].forward(*expected)
        assert result.args[place] is x
        assert result.args[1 - place].data == float(other)
        assert result.args[1 - place].constant


@every_operator
@pytest.mark.parametrize("numbers", [
    np.array([1.5, 2.0]), np.array([2], "i1"), np.full((2, 2), 3.0), np.array([0.5], "f4"),
], ids=["n", "int", "2x2", "float32"])
def test_operators_take_numpy_arrays_on_either_side_entry_by_entry(name, numbers):
    op, x = OPERATORS[name], Value(1.25)
    for whole, entries in (
        (op(x, numbers), [op(x, float(n)) for n in numbers.ravel()]),
        (op(numbers, x), [op(float(n), x) for n in numbers.ravel()]),
    ):
        assert whole.shape == numbers.shape
        assert [y.data for y in whole.ravel()] == [y.data for y in entries]
        assert [y.partials for y in whole.ravel()] == [y.partials for y in entries]


@pytest.mark.parametrize(("name", "row"), [
    ("arctan2", "atan2"), ("hypot", "hypot"), ("maximum", "maximum"), ("fmin", "fmin"),
    ("logaddexp", "logaddexp"), ("copysign", "copysign"), ("power", "pow"),
])
@pytest.mark.parametrize("second", [0.75, 0.5, nan])
def test_functions_of_numpy_with_two_arguments_are_rows_for_values(name, row, second):
    found = getattr(np, name)(Value(0.75), second)
    expected = table.TABLE[row](Value(0.75), second)
    assert bits(found.data) == bits(expected.data)
    assert list(map(bits, found.partials)) == list(map(bits, expected.partials))


@pytest.mark.parametrize(("name", "row"), [
    ("arctan2", "atan2"), ("hypot", "hypot"), ("fmod", "fmod"), ("power", "pow"),
])
@pytest.mark.parametrize("others", [2.0, np.array([0.75, 3.0]), np.array([Value(0.7), Value(2.0)])])
def test_functions_of_numpy_with_two_arguments_are_rows_for_arrays_of_values(name, row, others):
    given = np.array([Value(0.5), Value(2.5)])
    found = getattr(np, name)(given, others)
    assert [y.op for y in found] == [row, row]
    assert [y.args[0] for y in found] == [*given]
    for x, y, z in zip(given, np.broadcast_to(others, 2), found):
        assert bits(z.data) == bits(table.TABLE[row](x, y).data)


def test_functions_of_numpy_without_a_row_name_the_remedy():
    for call in (lambda x: np.isnan(x), lambda x: np.matmul([1.0], x), lambda x: np.heaviside(x, 1),
                 lambda x: np.ones(2).__iadd__(x)):
        with pytest.raises(TypeError, match=r"np\.\w+ cannot take a Value; use `from tinygrad_edu"):
            call(Value(1.0))


@pytest.mark.parametrize("name", ["<", "<=", ">", ">="])
def test_comparisons_with_arrays_are_arrays(name):
    compare = COMPARISONS[name]
    numbers = np.array([1.0, 2.0, 3.0])
    assert compare(numbers, Value(2.0)).tolist() == compare(numbers, 2.0).tolist()
    assert compare(Value(2.0), numbers).tolist() == compare(2.0, numbers).tolist()


@pytest.mark.parametrize(("name", "row"), [
    ("sin", "sin"), ("exp", "exp"), ("tanh", "tanh"), ("sqrt", "sqrt"), ("log1p", "log1p"),
    ("floor", "floor"), ("cbrt", "cbrt"), ("arctan", "atan"), ("fabs", "abs"), ("rint", "round"),
])
def test_functions_of_numpy_are_rows_for_values(name, row):
    x = Value(0.75)
    y = getattr(np, name)(x)
    assert (y.data, y.op) == (table.TABLE[row](x).data, row)


@every_operator
@pytest.mark.parametrize("other", ["2", None, 2j, [1.0], {}], ids=repr)
def test_operators_reject_operands_that_are_not_numbers(name, other):
    with pytest.raises(TypeError):
        OPERATORS[name](other, Value(1.0))
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply sequence"):
        OPERATORS[name](Value(1.0), other)


@every_operator
@given(x=floats, y=floats)
def test_operators_equal_their_rows_in_value_and_partials(name, x, y):
    row = table.TABLE[name]
    out = row.forward(x, y)
    partials = tuple(row.partial_at(i, (x, y), out) for i in range(2))
    for a, b, known in (
        (Value(x), Value(y), (True, True)),
        (Value(x), y, (True, False)),
        (x, Value(y), (False, True)),
    ):
        node = OPERATORS[name](a, b)
        assert node.op == name
        assert bits(node.data) == bits(out)
        for i in range(2):
            assert bits(node.partials[i]) == bits(partials[i] if known[i] else 0.0)


@given(x=floats)
def test_neg_equals_its_row(x):
    node = -Value(x)
    assert (node.op, bits(node.data), node.partials) == (
        "neg",
        bits(table.neg.forward(x)),
        (-1.0,),
    )


@every_operator
def test_operators_equal_their_rows_at_every_pair_of_special_values(name):
    for x in SPECIAL:
        for y in SPECIAL:
            a, b = Value(x), Value(y)
            node, applied = OPERATORS[name](a, b), table.TABLE[name](Value(x), Value(y))
            assert list(map(bits, (node.data, *node.partials))) == list(
                map(bits, (applied.data, *applied.partials))
            )


def test_an_operand_on_both_sides_makes_two_edges():
    a = Value(3.0)
    double, squared, nothing = a + a, a * a, a - a
    assert double.args == (a, a)
    for root, slope in ((double, 2.0), (squared, 6.0), (nothing, 0.0)):
        a.grad = 0.0
        root.backward()
        assert a.grad == slope


@pytest.mark.parametrize("watched", [nullcontext, detect_anomaly])
def test_an_operand_in_every_place_gets_every_contribution(watched):
    x = Value(2.0)
    h = x * 3
    y = (
        h * h
        + math.where(True, h, 7) * 10
        + math.where(False, 7, h) * 100
        + math.clip(9.0, 1.0, h) * 1000
        + h
    )
    with watched():
        y.backward()
    assert (y.data, h.grad, x.grad) == (36.0 + 6660.0 + 6.0, 12.0 + 1110.0 + 1.0, 3 * 1123.0)


def test_augmented_assignment_rebinds_the_name_and_keeps_the_node():
    a = Value(1.0)
    b = a
    b += 2
    b *= a
    b -= 1
    b /= 2
    b **= 2
    assert a.data == 1.0
    assert a.op == ""
    assert b is not a
    assert b.data == 1.0
    b.backward()
    assert a.grad == 2 * 1 * (3 + 1) / 2  # ((a + 2) a - 1)**2 / 4 at 1


def test_unary_operators_and_rounding():
    x = Value(-2.5)
    assert (abs(x).data, (-x).data, (+x)) == (2.5, 2.5, x)
    assert (round(x).data, std.floor(x).data, std.ceil(x).data, std.trunc(x).data) == (
        -2.0,
        -3.0,
        -2.0,
        -2.0,
    )
    assert round(Value(2.675), 2).data == 2.67
    assert round(Value(1234.5), -2).data == 1200.0
    for node in (round(x), std.floor(x), std.ceil(x), std.trunc(x), round(x, 1)):
        x.grad = 0.0
        node.backward()
        assert x.grad == 0.0
        assert isinstance(node, Value)
    assert gradients(abs(x), [x])[0].data == -1.0


@given(x=st.floats(-1e6, 1e6), y=st.floats(-1e6, 1e6).filter(lambda y: abs(y) > 1e-6))
def test_divmod_and_remainder_agree_with_python(x, y):
    quotient, rest = divmod(Value(x), y)
    assert (quotient.data, rest.data) == divmod(x, y) == ((Value(x) // y).data, (x % Value(y)).data)
    assert tuple(v.data for v in divmod(x, Value(y))) == divmod(x, y)
    a, b = Value(x), Value(y)
    rest = a % b
    rest.backward()
    assert (a.grad, b.grad) == (1.0, -(x // y))


def test_pow_takes_no_modulus():
    with pytest.raises(TypeError, match="modulus must be None"):
        pow(Value(2.0), 3, 5)


def test_the_builtin_sum_adds_from_zero():
    xs = [Value(float(i)) for i in range(5)]
    total = sum(xs)
    total.backward()
    assert total.data == 10.0
    assert [x.grad for x in xs] == [1.0] * 5
    assert sum([], Value(0.0)).data == 0.0


def test_builtin_max_min_and_sorted_compare_data():
    xs = [Value(2.0), Value(3.0), Value(1.0)]
    assert max(xs) is xs[1]
    assert min(xs) is xs[2]
    assert sorted(xs) == [xs[2], xs[0], xs[1]]


# ---- constants


def test_constants_are_drawn_but_receive_no_gradient():
    x = Value(2.0)
    y = 3 * x + 1
    y.backward()
    product, one = y.args
    three = product.args[0]
    assert (three.data, one.data) == (3.0, 1.0)
    assert type(three) is type(one) is Constant
    assert three.constant
    assert not x.constant
    assert (three.grad, one.grad) == (0.0, 0.0)
    assert y.args[1] is one  # the same node each time
    assert (product.partials, y.partials) == (
        (0.0, 2.0)[::-1] if product.args[0] is x else (0.0, 3.0),
        (1.0, 0.0),
    )
    assert y.args == (product, one)
    assert three.args == ()
    assert three.op == ""


def test_a_constant_used_as_an_operand_stays_a_constant():
    x = Value(2.0)
    three = (x * 3).args[1]
    for z, slope in (
        (three * x, 3.0),
        (x * three, 3.0),
        (x + three, 1.0),
        (three - x, -1.0),
        (math.hypot(three, x * 2), 1.6),
    ):
        x.grad = 0.0
        z.backward()
        assert x.grad == pytest.approx(slope, rel=1e-15, abs=0)
        assert three.grad == 0.0


def test_topological_order_can_leave_out_reused_constants():
    x = Value(2.0)
    three = (x * 3).args[1]
    y = three * x
    assert topological_order(y) == [x, three, y]
    assert topological_order(y, constants=False) == [x, y]


def test_a_rule_of_a_constant_operand_is_never_run():
    x = Value(-2.0)
    y = x**3
    y.backward()
    # the rule for the exponent would give nan
    assert (y.data, x.grad, y.partials) == (-8.0, 12.0, (12.0, 0.0))


# ---- construction


@pytest.mark.parametrize(("data", "expected"), [
    (1, 1.0), (True, 1.0), (2.5, 2.5), (np.float32(0.1), 0.10000000149011612), (np.int64(7), 7.0),
    (np.bool_(False), 0.0), (np.float64(0.1), 0.1), (Fraction(1, 4), 0.25),
])
def test_data_becomes_a_plain_float(data, expected):
    assert bits(Value(data).data) == bits(expected)


@pytest.mark.parametrize("data", [
    1j, np.complex128(1 + 2j), np.complex64(1j), "1.0", b"1", None, [1.0], (1.0,), np.array([1.0]),
    object(),
], ids=lambda data: type(data).__name__)
def test_value_rejects_data_that_is_not_a_real_number(data):
    with pytest.raises(
        TypeError,
        match=rf"the data of Value 'w' must be a real number, not {type(data).__name__} \(",
    ):
        Value(data, "w")


def test_rejection_describes_a_value_without_a_label():
    with pytest.raises(TypeError, match="the data of a Value must be a real number, not str"):
        Value("1.0")


def test_value_of_a_value_is_rejected_with_a_remedy():
    with pytest.raises(TypeError, match=r"must be a number, not a Value .*y \+ 0"):
        Value(Value(1.0))


@pytest.mark.parametrize("huge", [10**400, -(10**400)])
def test_int_too_large_for_a_float_is_rejected_with_the_label(huge):
    with pytest.raises(
        OverflowError,
        match=f"the data of Value 'w': an int of {huge.bit_length()} bits is too large for a float",
    ):
        Value(huge, "w")
    with pytest.raises(OverflowError, match="too large for a float"):
        Value(1.0) * huge


def test_fraction_too_large_for_a_float_is_rejected():
    with pytest.raises(OverflowError, match="too large for a float"):
        Value(Fraction(10**400))


@pytest.mark.parametrize("label", [1, None, 1.5, b"a"])
def test_label_that_is_not_text_is_rejected(label):
    with pytest.raises(TypeError, match="label must be text, not " + type(label).__name__):
        Value(1.0, label)


def test_unknown_attributes_cannot_be_assigned():
    with pytest.raises(AttributeError):
        Value(1.0).gard = 2.0


def test_structure_is_read_only():
    y = Value(1.0) + 1
    with pytest.raises(AttributeError):
        y.args = ()
    with pytest.raises(AttributeError):
        y.partials = ()


# ---- text and numbers


def test_repr_shows_label_data_grad_and_op():
    a = Value(2.0, "a")
    assert repr(a) == "Value(label='a', data=2.0, grad=0.0)"
    assert repr(Value(-0.0)) == "Value(data=-0.0, grad=0.0)"
    y = a * 3
    y.backward()
    assert repr(y) == "Value(data=6.0, grad=1.0, op='mul')"
    assert repr(y.args[1]) == "Constant(data=3.0, grad=0.0)"
    assert f"{a}" == str(a) == repr(a)


def test_format_specs_are_those_of_floats():
    assert (
        f"{Value(3.14159):.2f}|{Value(1e6):,.0f}|{Value(0.5):>6.1%}|{Value(2.0):e}"
        == "3.14|1,000,000| 50.0%|2.000000e+00"
    )


def test_conversions_to_numbers():
    x = Value(2.75)
    assert (float(x), int(x), bool(x), bool(Value(0.0)), bool(Value(nan))) == (
        2.75,
        2,
        True,
        False,
        True,
    )
    assert type(float(x)) is float
    assert std.sqrt(Value(4.0)) == 2.0


@given(x=floats, y=floats)
def test_comparisons_compare_data(x, y):
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        expected = compare(x, y)
        assert (
            compare(Value(x), Value(y)) is compare(Value(x), y) is compare(x, Value(y)) is expected
        )


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_comparison_rejects_operands_that_are_not_numbers(compare):
    with pytest.raises(TypeError, match="not supported between"):
        compare(Value(1.0), "1")


def test_equality_and_hash_are_identity():
    a, b = Value(1.0), Value(1.0)
    assert a == a
    assert a != b
    with pytest.warns(GraphWarning):
        assert a != 1.0
    assert hash(a) == hash(a)
    assert len({a, b, a}) == 2
    a.data = 5.0
    assert a in {a: "still found"}


# ---- IEEE 754


@pytest.mark.parametrize(("make", "expected"), [
    (lambda v: v(1.0) / 0, inf), (lambda v: v(-1.0) / 0, -inf), (lambda v: v(1.0) / -0.0, -inf),
    (lambda v: v(0.0) / 0, nan),
    (lambda v: 1 / v(0.0), inf), (lambda v: v(1e200) ** 2, inf), (lambda v: v(-1e200) ** 3, -inf),
    (lambda v: v(-1e200) ** 4, inf),
    (lambda v: v(-8.0) ** (1 / 3), nan), (lambda v: v(0.0) ** -1, inf),
    (lambda v: v(-0.0) ** -1, -inf),
    (lambda v: v(0.0) ** 0, 1.0), (lambda v: v(inf) - inf, nan), (lambda v: v(inf) * 0, nan),
    (lambda v: v(1e308) * 10, inf),
    (lambda v: math.exp(v(1000.0)), inf), (lambda v: math.log(v(0.0)), -inf),
    (lambda v: math.log(v(-1.0)), nan),
    (lambda v: math.sqrt(v(-1.0)), nan), (lambda v: math.sin(v(inf)), nan),
    (lambda v: v(1.0) % 0, nan),
    (lambda v: v(1.0) // 0, nan), (lambda v: 2 ** v(5000.0), inf),
    (lambda v: math.cosh(v(-1000.0)), inf),
    (lambda v: round(v(-1.797e308), -308), -inf),
    (lambda v: table.round_digits(v(-1.5), -inf), -0.0),
    (lambda v: table.round_digits(v(-1.5), inf), -1.5),
    (lambda v: math.sinh(v(-1000.0)), -inf), (lambda v: math.expm1(v(-1000.0)), -1.0),
])
def test_arithmetic_follows_ieee_754_and_never_raises(make, expected):
    y = make(Value)
    assert same(y.data, expected)
    y.backward()


@pytest.mark.parametrize("x", [*SPECIAL, 1e-310, -1e-310])
def test_a_power_of_0_is_the_constant_1_and_has_no_gradient(x):
    base, exponent = Value(x), Value(0.0)
    for y in (base**0, base**exponent):
        base.grad = 0.0
        y.backward()
        assert (y.data, base.grad, gradients(y, [base])[0].data) == (1.0, 0.0, 0.0)


def test_where_keeps_nan_of_the_other_branch_out_of_the_gradient():
    x = Value(-1.0)
    y = math.where(x > 0, math.log(x), x * 3)
    y.backward()
    assert (y.data, x.grad) == (-3.0, 3.0)
    x = Value(0.0)
    y = math.where(x > 0, math.sqrt(x) / x, 0)
    y.backward()
    assert (y.data, x.grad) == (0.0, 0.0)


@pytest.mark.parametrize("condition", [True, False])
def test_where_keeps_the_other_branch_as_a_constant(condition):
    x, y = Value(3.0), Value(7.0)
    chosen = math.where(condition, x, y)
    assert [arg.data for arg in chosen.args] == [float(condition), 3.0, 7.0]
    assert [arg.constant for arg in chosen.args] == [True, not condition, condition]


def test_micrograd_names_are_methods():
    for name in ("relu", "tanh", "sigmoid", "exp", "log", "sqrt"):
        x = Value(0.7)
        assert bits(getattr(x, name)().data) == bits(getattr(math, name)(0.7))
        assert getattr(x, name)().op == name


# ---- no_grad


def operations(x):
    return [
        x + 1,
        1 + x,
        x + x,
        x - 1,
        1 - x,
        x - x,
        x * 2,
        2 * x,
        x * x,
        x / 2,
        2 / x,
        x**2,
        2**x,
        -x,
        abs(x),
        x % 2,
        x // 2,
        x.tanh(),
        math.sin(x),
        math.where(True, x, 1),
        round(x),
    ]


def test_a_new_node_has_no_gradient_and_no_label():
    x = Value(1.5)
    assert {(v.grad, v.label) for v in [x, *operations(x)]} == {(0.0, "")}


def test_no_grad_records_nothing_and_computes_the_same():
    x = Value(1.5)
    recorded = operations(x)
    with no_grad():
        plain = operations(x)
    assert all(v.args == () and v.op == "" and type(v) is Value for v in plain)
    assert [v.data for v in plain] == [v.data for v in recorded]
    assert all(v.args for v in recorded + operations(x))


def test_no_grad_nests_and_ends_after_an_exception():
    x = Value(1.0)
    with no_grad():
        with no_grad():
            assert not (x + x).args
        assert not (x * x).args
        with pytest.raises(ZeroDivisionError), no_grad():
            raise ZeroDivisionError
        assert not (x + 1).args
    assert (x + x).args
    assert (x * x).args
    assert (x + 1).args


def test_no_grad_affects_its_own_thread_only():
    inside, checked = threading.Event(), threading.Event()
    seen = {}

    def silent():
        with no_grad():
            inside.set()
            checked.wait(10)
            seen["silent"] = (Value(1.0) + Value(2.0)).args
        seen["afterwards"] = (Value(1.0) + Value(2.0)).args

    thread = threading.Thread(target=silent)
    thread.start()
    assert inside.wait(10)
    seen["other"] = [
        (Value(1.0) + Value(2.0)).args,
        (Value(1.0) * Value(2.0)).args,
        math.sin(Value(1.0)).args,
    ]
    checked.set()
    thread.join(10)
    assert seen["silent"] == ()
    assert len(seen["afterwards"]) == 2
    assert all(seen["other"])


def test_no_grad_permits_infinite_gradients():
    x = Value(0.0)
    y = math.sqrt(x)
    with no_grad():
        y.backward()
    assert x.grad == inf


def test_no_grad_works_as_a_decorator():
    @no_grad()
    def predict(x):
        return x * x

    assert predict(Value(3.0)).args == ()
    assert predict(Value(3.0)).data == 9.0


# ---- methods


@pytest.mark.parametrize("name", [name for name, row in table.TABLE.items() if row.arity == 1])
def test_every_row_of_one_argument_is_a_method(name):
    x = Value(0.75)
    node = getattr(x, name)()
    same = table.TABLE[name](x)
    assert (node.op, repr(node.data), repr(node.partials)) == (
        name,
        repr(same.data),
        repr(same.partials),
    )
    assert name in dir(x)


def test_a_row_that_is_defined_later_becomes_a_method():
    table.define("doubled_for_test", lambda x: 2 * x, lambda x, o: 2.0)
    try:
        assert Value(3.0).doubled_for_test().data == 6.0
    finally:
        del table.TABLE["doubled_for_test"]
    with pytest.raises(AttributeError, match="no attribute 'tanhh'"):
        Value(3.0).tanhh()


def test_item_detach_and_pow():
    x = Value(3.0, "x")
    assert (x * 2).item() == 6.0
    y = x.pow(2) * (x * 2).detach()
    assert y.data == 54.0
    y.backward()
    assert x.grad == 36.0  # 2 * x * 6: nothing flows through the detached node
    assert (x * 2).detach().args == ()


def test_names_of_micrograd_work():
    x, y = Value(2.0), Value(3.0)
    product = x * y
    assert product._prev == {x, y}
    assert (x * x)._prev == {x}
    assert product._op == "mul"


def test_names_of_other_libraries_say_what_to_write():
    """Of micrograd, torch and others: the error says the name here, and `hasattr` is False."""
    x = Value(2.0, "x")
    for name, remedy in {
        "_backward": "`define` adds an operation", "grad_fn": "its operation is .op",
        "_children": "its operands are .args", "children": "viz.draw(y) draws the graph",
        "parents": "its operands are .args", "is_leaf": "which is '' for a leaf",
        "requires_grad": "every leaf gets a gradient", "requires_grad_": "or x.detach(), gets none",
        "numpy": "its number is .data", "value": "its number is .data",
        "gradient": "its gradient is .grad", "zero_grad": "x.grad = 0.0 or zero_grad()",
        "name": "its name is .label",
    }.items():
        message = rf"^a Value has no attribute '{name}'; .*{re.escape(remedy)}"
        with pytest.raises(AttributeError, match=message):
            getattr(x, name)
        with pytest.raises(AttributeError, match=message):
            setattr(x, name, True)
        assert not hasattr(x, name)
        assert not hasattr(Value, name)
        assert name not in dir(x)
    assert {"data", "sin", "_prev"} <= set(dir(x))


def test_names_of_other_libraries_are_free_for_subclasses_and_rows():
    class Tracked(Value):
        def __init__(self, data):
            super().__init__(data)
            self.children = [1]

    x = Tracked(2.0)
    x.name = "x"
    assert (x.children, x.name) == ([1], "x")
    assert "children" in dir(x)
    define("gradient", lambda x: 2 * x, lambda x, o: 2.0)
    try:
        assert Value(3.0).gradient().data == 6.0
    finally:
        del TABLE["gradient"], Value.gradient
