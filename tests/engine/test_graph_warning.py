"""`GraphWarning`: numbers that leave the graph, and Values that are compared with numbers."""

import contextlib
import math as std
import pickle
import threading
import unittest
import warnings
from decimal import Decimal
from fractions import Fraction
from operator import ne
from unittest import mock

import numpy as np
import pytest
from helpers import run_python

from tinygrad_edu import (
    Value,
    grad,
    gradients,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    no_grad,
    value_and_grad,
    vjp,
)
from tinygrad_edu.errors import GraphWarning

zero = Value(0.0)


def caught_while(act):
    """Returns the result of a function, and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return act(), caught


# ---- a result that does not depend on the arguments


@pytest.mark.parametrize("elsewhere", [
    lambda: Value(1.0) < Value(2.0),
    lambda: bool(Value(1.0)),
    lambda: math.isclose(1.0, Value(1.0)),
    lambda: math.where(1.0, Value(1.0), 2.0),
    lambda: grad(lambda x: x * x)(1.0),
    lambda: float(Value(1.0)),
    lambda: int(Value(1.0)),
])
def test_what_another_thread_does_neither_takes_warnings_away_nor_gives_any(elsewhere):
    def meanwhile(result):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return result

    with pytest.warns(GraphWarning, match="<lambda> returned what does not depend on its argument"):
        assert grad(lambda x: meanwhile(3 * x.data))(1.0) == 0.0
    _, caught = caught_while(lambda: grad(lambda x, y: meanwhile(3 * y))(1.0, 2.0))
    assert caught == []


def unrecorded(x):
    with no_grad():
        return x * x


def slope_as_number(x):
    y = x * x
    y.backward()
    return x.grad


LEFT = {
    "std": (lambda: grad(lambda x: std.exp(x))(1.0), 0.0),
    "float": (lambda: value_and_grad(lambda x: float(x) ** 2)(3.0), (9.0, 0.0)),
    "data": (lambda: grad(lambda x: 3 * x.data)(1.0), 0.0),
    "new leaf": (lambda: grad(lambda x: Value(x.data) ** 2)(1.0), 0.0),
    "detach": (lambda: grad(lambda x: x.detach() * 2)(1.0), 0.0),
    "numpy": (lambda: grad(lambda x: np.exp(float(x)))(1.0), 0.0),
    "text": (lambda: grad(lambda x: float(f"{x:.3f}"))(1.0), 0.0),
    "no_grad": (lambda: grad(unrecorded)(1.0), 0.0),
    "grad": (lambda: grad(slope_as_number)(3.0), 0.0),
    "second": (lambda: grad(grad(lambda x: std.sin(x)))(1.0), 0.0),
    "other leaf": (lambda: grad(lambda x: zero + x.item())(1.0), 0.0),
    "jacobian": (lambda: jacobian(lambda xs: [float(x) for x in xs])([1.0, 2.0]), [[0.0, 0.0]] * 2),
    "hessian": (lambda: hessian(lambda xs: xs[0].data ** 2)([1.0, 2.0]), [[0.0, 0.0]] * 2),
    "vjp": (lambda: vjp(lambda x, y: std.hypot(x, y), 3.0, 4.0)[1](1.0), (0.0, 0.0)),
    "jvp": (lambda: jvp(lambda x: [std.sin(x), std.cos(x)], [0.0], [1.0])[1], [0.0, 0.0]),
    "all arguments": (lambda: grad(lambda w, x: w.data * x.data, [0, 1])(1.0, 2.0), (0.0, 0.0)),
    "one of two": (lambda: grad(lambda w, x: std.tanh(w * x))(1.0, 2.0), 0.0),
    "keyword": (lambda: grad(lambda w, scale: std.tanh(w) * scale)(1.0, scale=2.0), 0.0),
    "constant": (lambda: grad(lambda x: 3.0)(1.0), 0.0),
}


@pytest.mark.parametrize("name", LEFT)
def test_a_number_that_left_the_graph_is_noticed_once_at_the_users_line(name):
    act, expected = LEFT[name]
    result, caught = caught_while(act)
    assert result == expected
    (warning,) = caught
    assert warning.category is GraphWarning
    assert (warning.filename, warning.lineno) == (__file__, act.__code__.co_firstlineno)
    assert "use tinygrad_edu.math and the operators of Values" in str(warning.message)


def test_the_warning_names_the_function_and_is_not_repeated_in_a_loop():
    def loss(x):
        return std.exp(x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for i in range(5):
            grad(loss)(1.0 + i)
    assert [str(w.message)[:40] for w in caught] == ["loss returned what does not depend on it"]


def sinc(x):
    return 1.0 if abs(x) < 1e-9 else math.sin(x) / x


MAY_BE_CONSTANT = {
    "linear, twice": (lambda: grad(grad(lambda x: 2 * x))(1.0), 0.0),
    "hessian of a linear function": (lambda: hessian(lambda xs: 2 * xs[0] + xs[1])([1.0, 2.0]),
                                     [[0.0, 0.0]] * 2),
    "jvp of grad": (lambda: jvp(grad(lambda x: 2 * x), [1.0], [1.0])[1], 0.0),
    "gradients inside": (lambda: grad(lambda x: gradients(2 * x, [x])[0])(1.0), 0.0),
    "grad inside": (lambda: jacobian(lambda xs: [grad(lambda x: 3 * x)(xs[0])])([1.0]), [[0.0]]),
    "where": (lambda: grad(lambda x: math.where(x > 0, x, 3.0))(-1.0), 0.0),
    "where of a number": (lambda: grad(lambda x: math.where(x, x, 3.0))(0.0), 0.0),
    "cond": (lambda: grad(lambda x: math.cond(x > 0, lambda: x, lambda: 3.0))(-1.0), 0.0),
    "cond of a number": (lambda: grad(lambda x: math.cond(x, lambda: x, lambda: 3.0))(0.0), 0.0),
    "if": (lambda: grad(sinc)(0.0), 0.0),
    "isclose": (lambda: grad(lambda x: 1.0 if math.isclose(x, 0.0) else x)(0.0), 0.0),
    "isnan": (lambda: grad(lambda x: 0.0 if math.isnan(x) else x)(std.nan), 0.0),
    "max": (lambda: grad(lambda x: max(x, 3.0))(1.0), 0.0),
    "take": (lambda: grad(lambda x: math.take([1.0, 2.0], x))(1.0), 0.0),
    "step": (lambda: grad(math.step)(1.0), 0.0),
    "sign": (lambda: grad(math.sign)(0.0), 0.0),
    "relu": (lambda: grad(math.relu)(0.0), 0.0),
    "clip": (lambda: grad(lambda x: math.clip(x, 0.0, 1.0))(2.0), 0.0),
    "floor": (lambda: grad(math.floor)(0.5), 0.0),
    "zero factor": (lambda: grad(lambda x: 0 * x)(2.0), 0.0),
    "x - x": (lambda: grad(lambda x: x - x)(2.0), 0.0),
    "some outputs": (lambda: jacobian(lambda xs: [xs[0], 3.0, float(xs[1])])([1.0, 2.0]),
                     [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
    "the other argument": (lambda: grad(lambda q, p: p * p / 2)(1.0, 2.0), 0.0),
    "the other keyword": (lambda: grad(lambda q, p: p * p / 2)(1.0, p=2.0), 0.0),
    "zero cotangent": (lambda: vjp(lambda x: x * x, 2.0)[1](0.0), (0.0,)),
    "zero tangent": (lambda: jvp(lambda x: x * x, [2.0], [0.0])[1], 0.0),
    "no arguments": (lambda: vjp(lambda: 3.0)[1](), ()),
    "no outputs": (lambda: jacobian(lambda xs: [])([1.0]), []),
}


@pytest.mark.parametrize("name", MAY_BE_CONSTANT)
def test_a_derivative_that_may_be_0_gives_no_warning(name):
    act, expected = MAY_BE_CONSTANT[name]
    result, caught = caught_while(act)
    assert result == expected
    assert caught == []


def test_a_comparison_in_another_call_leaves_no_doubt_behind():
    assert caught_while(lambda: grad(sinc)(0.0))[1] == []
    assert len(caught_while(LEFT["std"][0])[1]) == 1
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: 1 / 0)(1.0)
    assert len(caught_while(LEFT["data"][0])[1]) == 1


# ---- == with a number


NUMBERS = [0, 0.0, True, np.float64(0), np.float32(0), np.int8(0), np.bool_(False), Fraction(0),
           Decimal(0), np.array(0.0)]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("compare", [
    lambda number: zero == number, lambda number: not ne(zero, number),
    lambda number: number == zero, lambda number: not ne(number, zero),
    lambda number: zero in [number], lambda number: number in (zero,),
    lambda number: [number].count(zero) > 0, lambda number: [zero, 1] == [number, 1],
], ids=["==", "!=", "== x", "!= x", "in", "x in", "count", "lists"])
def test_comparing_a_value_with_a_number_warns_at_the_users_line(compare, number):
    result, caught = caught_while(lambda: compare(number))
    assert not result
    (warning,) = caught
    assert warning.category is GraphWarning
    assert (warning.filename, warning.lineno) == (__file__, compare.__code__.co_firstlineno)
    assert "compare the numbers, as in x.data == 2.0" in str(warning.message)


@pytest.mark.parametrize("act", [
    lambda: grad(lambda x: 1.0 if x == 0 else math.sin(x) / x)(0.0),
    lambda: [0.0].index(zero),
    lambda: unittest.TestCase().assertEqual(zero, 0),  # noqa: PT009
    lambda: {0.0: "zero"}.get(zero.data) if zero in (0.0, 1.0) else None,
], ids=["sinc", "index", "assertEqual", "in"])
def test_programs_that_compare_with_a_number_are_told(act):
    def run():
        with contextlib.suppress(ValueError, AssertionError):  # not in the list; not equal
            act()

    with pytest.warns(GraphWarning, match="a Value is never equal to a number"):
        run()


def test_match_statements_are_told_and_see_no_equal_number():
    def name(x):
        match x:
            case 0:
                return "zero"
            case _:
                return "other"

    with pytest.warns(GraphWarning):
        assert name(zero) == "other"


@pytest.mark.parametrize("other", [
    None, "0", b"0", [0], (), {}, np.zeros(3), Value(0.0), object(), Value, 1j,
], ids=lambda x: type(x).__name__)
def test_other_objects_are_compared_without_a_warning(other):
    (equal, unequal), caught = caught_while(lambda: (zero == other, zero != other))
    assert (equal, unequal, caught) == (False, True, [])


def test_objects_that_are_equal_to_everything_still_are():
    assert caught_while(lambda: (zero == mock.ANY, not ne(mock.ANY, zero))) == ((True, True), [])


def test_values_in_sets_dicts_and_lists_are_found_by_identity():
    xs = [Value(1.0) for _ in range(50)]

    def look_up():
        assert len({*xs, *xs}) == len(dict.fromkeys(xs)) == 50
        assert [xs.index(x) for x in xs] == list(range(50))
        assert Value(1.0) not in xs
        assert all(x in set(xs) for x in xs)
        assert xs == list(xs)

    assert caught_while(look_up)[1] == []
    assert hash(xs[0]) == object.__hash__(xs[0])
    assert pickle.loads(pickle.dumps(xs[0])) != xs[0]


def test_the_default_filter_shows_a_comparison_once_for_each_line():
    program = """
from tinygrad_edu import Value
x = Value(2.0)
for i in range(3):
    x == i
x == 7
"""
    done = run_python(program)
    assert done.stderr.count("GraphWarning: a Value is never equal to a number") == 2


def test_a_traced_function_that_compares_with_a_number_is_refused_as_before():
    with pytest.raises(TypeError, match="== or != or in"):
        jit(lambda x: 1.0 if x == 0 else x)(0.0)
