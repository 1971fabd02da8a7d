"""Tests of the strategies: examples lie in the domain, cover every magnitude, shrink to simple ones
and find planted bugs."""

import doctest
import math as std
import statistics

import pytest
from helpers import PIECEWISE, SMOOTH, bits, mp, mpf, replaced, run_python, scaled
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value, gradients, parse, testing, topological_order
from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import TABLE, Primitive
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.testing import gradcheck, strategies
from tinygrad_edu.testing.arguments import SPECIAL, arguments_for, floats_between, floats_for
from tinygrad_edu.testing.expression import Expression
from tinygrad_edu.testing.strategies import FLAT, expressions, leaves, scalar_functions, values

REPEATABLE = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
every_row = pytest.mark.parametrize("row", list(TABLE.values()), ids=list(TABLE))


def drawn(strategy, n):
    """Returns ``n`` examples, the same examples every time."""
    examples = []

    @settings(max_examples=n, phases=[Phase.generate], **REPEATABLE)
    @given(strategy)
    def collect(example):
        examples.append(example)

    collect()
    return examples


def smallest(strategy, condition):
    """Returns the example to which those that satisfy a condition shrink."""
    return find(
        strategy,
        condition,
        settings=settings(max_examples=1000, report_multiple_bugs=False, **REPEATABLE),
    )


def ops(f):
    return [row.name for row, _ in f.steps]


@pytest.fixture
def own_row():
    """Yields `define`, and removes the rows that the test defines."""
    before = dict(TABLE)
    yield define
    TABLE.clear()
    TABLE.update(before)


# ---- arguments


def test_floats_for_covers_every_magnitude_and_both_signs():
    plain = drawn(floats_for("sin", special=False), 400)
    assert all(std.isfinite(x) and x != 0 for x in plain)
    assert 0.4 < statistics.fmean(x < 0 for x in plain) < 0.6
    powers = [std.log10(abs(x)) for x in plain]
    quarters = [
        sum(low <= power < low + 158 for power in powers) / len(powers)
        for low in (-324, -166, -8, 150)
    ]
    assert all(0.15 < share < 0.35 for share in quarters), quarters
    assert min(powers) < -300
    assert max(powers) > 300


def test_floats_for_draws_special_values():
    with_special = {repr(x) for x in drawn(floats_for("sin"), 1000)}
    assert {repr(x) for x in SPECIAL} <= with_special


def test_floats_for_draws_edges_and_kinks_of_row():
    assert 709.0 in drawn(floats_for("exp"), 500)
    assert 0.01 in drawn(floats_for("leaky_relu", "slope"), 500)
    assert set(drawn(arguments_for("pow"), 500)) & set(TABLE["pow"].specials)


def test_arguments_for_draws_equal_arguments():
    x, y = smallest(arguments_for("maximum"), lambda args: args[0] == args[1] > 1000)
    assert x == y


@every_row
def test_arguments_for_stays_in_domain_of_every_row(row):
    for args in drawn(arguments_for(row, special=False), scaled(ci=12, thorough=500)):
        assert len(args) == row.arity
        assert all(type(x) is float for x in args)
        assert row.domain is None or row.domain(*args)
        for x, intervals in zip(args, row.sample):
            assert any(low <= x <= high for low, high in intervals)
        assert type(row(*args)) is float


@every_row
def test_floats_for_draws_every_argument_of_every_row(row):
    for i in range(row.arity):
        for x in drawn(floats_for(row, i, special=False), scaled(ci=6, thorough=200)):
            assert any(low <= x <= high for low, high in row.sample[i])
            assert row.arity > 1 or row.domain is None or row.domain(x)


def test_floats_for_accepts_name_or_position():
    for i, name in enumerate(TABLE["clip"].parameters):
        assert drawn(floats_for("clip", name), 20) == drawn(floats_for(TABLE["clip"], i), 20)


def test_floats_for_covers_bounded_intervals_and_their_ends():
    xs = drawn(floats_for("atanh", special=False), 400)
    assert min(1 - abs(x) for x in xs) < 1e-14
    assert min(abs(x) for x in xs) < 1e-250
    assert sum(0.1 < abs(x) < 0.9 for x in xs) > 30
    assert min(x - 1 for x in drawn(floats_for("acosh", special=False), 200) if x > 1) < 1e-12
    assert (
        len({int(x) for x in drawn(floats_for("round_digits", "digits", special=False), 300)}) >= 15
    )


def test_arguments_for_draws_both_branches_of_where():
    assert {args[0] for args in drawn(arguments_for("where", special=False), 30)} == {0.0, 1.0}


@given(args=arguments_for("hypot", special=False, smallest=0.5, largest=8))
def test_arguments_for_respects_bounds_on_magnitude(args):
    assert all(0.5 <= abs(x) <= 8 for x in args)


def test_arguments_for_often_draws_arguments_of_similar_size():
    pairs = drawn(arguments_for("sub", special=False), 100)
    assert sum(0.5 <= x / y <= 2 for x, y in pairs) > 25


@pytest.mark.parametrize(("strategy", "condition", "expected"), [
    (floats_for("sin"), lambda x: True, 1.0),
    (floats_for("sin"), lambda x: 2 < x < 9, 3.0),
    (floats_for("sin"), lambda x: x > 100, 1000.0),
    (floats_for("sin"), lambda x: 0 < x < 1e-5, 1e-6),
    (floats_for("sin"), lambda x: x < 0, -1.0),
    (floats_for("log", special=False), lambda x: x > 1e50, 1e51),
    (arguments_for("pow", special=False), lambda args: args[1] < 0, (1.0, -1.0)),
])
def test_arguments_shrink_to_simple_numbers(strategy, condition, expected):
    assert smallest(strategy, condition) == expected


def test_floats_for_stays_in_interval_cut_by_bounds():
    above = Primitive("above", abs, (abs,), sample=(((2.0, std.inf),),))
    assert all(
        3 <= x <= 4 for x in drawn(floats_for(above, special=False, smallest=3, largest=4), 40)
    )
    single = Primitive("single", abs, (abs,), sample=(((2.0, 2.0),),))
    assert set(drawn(floats_for(single, special=False), 2)) == {2.0}


def test_floats_for_stays_in_domain_of_user_defined_row(own_row):
    row = own_row(
        "log_of_square_minus_4",
        lambda x: std.log(x * x - 4),
        lambda x, o: 2 * x / (x * x - 4),
        domain=lambda x: x * x > 4,
    )
    xs = drawn(floats_for(row, special=False, largest=1e100), 60)
    assert {x > 0 for x in xs} == {True, False}
    assert all(abs(x) > 2 for x in xs)


def test_strategies_reject_wrong_arguments():
    with pytest.raises(TinygradEduError, match="no primitive 'tahn'"):
        floats_for("tahn")
    with pytest.raises(
        TypeError, match=r"primitive must be the name of a primitive or a row .*, not int \(3\);"
    ):
        floats_for(3)
    with pytest.raises(
        ValueError, match="argument of pow must be 0, 1, 'x' or 'y', not 2"
    ):
        floats_for("pow", 2)
    with pytest.raises(ValueError, match="argument of pow must be 0, 1, 'x' or 'y', not 'z'"):
        floats_for("pow", "z")
    with pytest.raises(
        ValueError,
        match=r"smallest must be at most largest, not 2.0 and 1.0; exchange them",
    ):
        floats_for("sin", smallest=2, largest=1)
    with pytest.raises(ValueError, match=r"clip takes no x .*smallest=2.0 to largest=3.0; choose"):
        floats_for(
            Primitive("clip", abs, (abs,), sample=(((0.0, 1.0), (5.0, 6.0)),)),
            smallest=2,
            largest=3,
        )
    with pytest.raises(
        ValueError, match=r"acosh takes no x .*smallest=5e-324 to largest=0.5; choose bounds"
    ):
        floats_for("acosh", largest=0.5)
    with pytest.raises(ValueError, match=r"size must be a whole number from 0 to 1,000, not -1;"):
        expressions(size=-1)
    with pytest.raises(ValueError, match=r"size must be the least and .*, not \(3, 2\); write"):
        expressions(size=(3, 2))
    with pytest.raises(ValueError, match="primitives must not be empty"):
        expressions(primitives=[])
    for variables in ("xy", [], 0, ["x", "x"], ["x", 3], {"x": 1}, None, 10**400):
        with pytest.raises((TypeError, ValueError), match=r"^variables.* must be .*; write"):
            expressions(variables=variables)


def test_strategies_draw_negative_bases_with_whole_exponents():
    x, y = smallest(
        arguments_for("pow"), lambda args: -8 < args[0] < -1.5 and args[1] not in (0, 1, 2)
    )
    assert (x, y) == (-2.0, -1.0)
    assert all(x > 0 for x, _ in drawn(arguments_for("pow", special=False), 50))
    f = smallest(
        expressions(size=1, variables=1, primitives=["pow"]),
        lambda f: f.point[0] < 0 and f.steps[0][1] == (0, 3.0),
    )
    assert repr(f) == "<x ** 3 at x=-1.0>"


def test_floats_between_draws_evenly_and_over_powers_of_ten():
    xs = drawn(floats_between(0.01, 1000), 300)
    assert all(0.01 <= x <= 1000 for x in xs)
    assert sum(x > 100 for x in xs) > 80
    assert sum(x < 1 for x in xs) > 30
    around = drawn(floats_between(-2, 0.001), 200)
    assert all(-2 <= x <= 0.001 for x in around)
    assert sum(x < -1 for x in around) > 20
    assert sum(-0.1 < x < -0.002 for x in around) > 10
    assert set(drawn(floats_between(3, 3), 2)) == {3.0}
    assert smallest(floats_between(-5, 50), lambda x: x > 1.5) == 2.0
    for low, high in ((1, 0), (0, std.inf), (std.nan, 1)):
        with pytest.raises(
            ValueError, match=r"the ends of the interval must be finite and in this order, not "
        ):
            floats_between(low, high)


# ---- expressions


@given(f=expressions(size=(0, 30)))
def test_expression_gives_same_result_on_floats_and_values(f):
    at = [Value(x, name) for name, x in zip(f.variables, f.point)]
    assert bits(f(*f.point)) == bits(f(*at).data)


@given(f=expressions(size=(0, 30)))
def test_expression_nodes_are_moderate_and_depend_on_variable(f):
    root = f(*[Value(x) for x in f.point])
    for node in topological_order(root, constants=False):
        assert 0.01 <= abs(node.data) <= 30
    variables = [node for node in topological_order(root, constants=False) if not node.op]
    slopes = [slope.data for slope in gradients(root, variables)]
    assert all(map(std.isfinite, slopes))
    assert any(slopes)


@given(f=expressions(size=(1, 20)))
def test_parse_reads_text_of_expression(f):
    known = dict(zip(f.variables, f.point))
    *lines, last = f.text.split("\n")
    for line in lines:
        name, formula = line.split(" = ")
        known[name] = parse(formula, known).data
    assert bits(parse(last, known).data) == bits(f(*f.point))
    assert str(f) == f.text


@given(data=st.data(), size=st.integers(0, 40))
def test_expression_has_requested_size_and_uses_every_step(data, size):
    f = data.draw(expressions(size=size, variables=["p", "q"]))
    assert len(f.steps) == size
    assert set(f.variables) <= {"p", "q"}
    root = f(*[Value(x) for x in f.point])
    if "where" not in ops(f):  # which records the branch taken only
        assert sum(bool(node.op) for node in topological_order(root)) == size


@settings(max_examples=15)
@given(
    f=expressions(size=(1, 12), primitives=[name for name in SMOOTH if not TABLE[name].spelling])
)
def test_expression_runs_in_other_arithmetic(f):
    with mp.workdps(60):
        true = f.run(lambda row, args: SMOOTH[row.name](*map(mpf, args)), *map(mpf, f.point))
        assert abs(true - f(*f.point)) <= 1e-11 * abs(true)


def test_expressions_use_every_row_that_passes_gradients():
    found = {name for f in drawn(expressions(size=30), 80) for name in ops(f)}
    assert found == {name for name, row in TABLE.items() if name not in FLAT and not row.spelling}
    assert found <= set(SMOOTH) | set(PIECEWISE)


def test_expressions_share_intermediate_results_and_branch():
    fs = drawn(expressions(size=10), 100)
    assert sum("t1 = " in f.text for f in fs) > 20
    deep = [max(map(len, _chains(f))) for f in fs]
    assert min(deep) <= 6  # not a chain of ten


def _chains(f):
    """Returns for each step the longest path below it."""
    chains = [()] * len(f.variables)
    for k, (_, operands) in enumerate(f.steps):
        chains.append((*max((chains[i] for i in operands if isinstance(i, int)), key=len), k))
    return chains


@pytest.mark.parametrize(("condition", "text"), [
    (lambda f: True, "x + x"),
    (lambda f: "tanh" in ops(f), "tanh(x)"),
])
def test_expressions_shrink_to_few_operations(condition, text):
    f = smallest(expressions(), condition)
    assert f.text == text
    assert repr(f) == f"<{text} at x=1.0>"


@given(f=expressions(size=(1, 25)))
def test_gradcheck_passes_for_random_expressions(f):
    assert not gradcheck(f, f.point).failures  # a difference may be imprecise, as of square(z)**x


@given(f=scalar_functions(2, size=(1, 6)))
def test_scalar_functions_have_requested_arity_and_symmetric_hessian(f):
    assert len(f.point) == len(f.variables) == 2
    x, y = (Value(v) for v in f.point)
    dx, dy = gradients(f(x, y), [x, y])
    (dxy,), (dyx,) = gradients(dx, [y]), gradients(dy, [x])
    (dxx,), (dyy,) = gradients(dx, [x]), gradients(dy, [y])
    assert abs(dxy.data - dyx.data) <= 1e-9 * max(1.0, abs(dxx.data), abs(dyy.data), abs(dxy.data))


def test_gradcheck_names_expression_and_its_variables():
    f = Expression(("a", "b"), (2.0, 3.0), ((table.mul, (0, 1)), (table.add, (2, 2))))
    assert f.text == "t1 = a * b\nt1 + t1"
    report = gradcheck(f, f.point)
    assert str(report).startswith("gradcheck of t1 = a * b; t1 + t1: ok")
    assert [entry.name for entry in report.entries] == ["a", "b"]
    with pytest.raises(
        TypeError, match=r"at a=2.0, b=3.0> takes 2 values, one for each variable, not 1"
    ):
        f(1.0)


def test_expression_text_avoids_names_of_variables():
    f = Expression(("t1",), (2.0,), ((table.sin, (0,)), (table.mul, (1, 1))))
    assert f.text == "_t1 = sin(t1)\n_t1 * _t1"


@given(root=values(size=(0, 12), variables=["a", "b"]))
def test_values_returns_roots_of_labelled_graphs(root):
    assert isinstance(root, Value)
    labels = [node.label for node in topological_order(root, constants=False) if not node.op]
    assert labels in (["a"], ["b"], ["a", "b"])
    root.backward()


@given(leaf=leaves(0.5, 4, label="w"))
def test_leaves_stay_in_bounds(leaf):
    assert (leaf.op, leaf.label) == ("", "w")
    assert 0.5 <= abs(leaf.data) <= 4


def test_failing_test_shows_graph():
    @settings(max_examples=100, report_multiple_bugs=False, **REPEATABLE)
    @given(values(size=(1, 3), primitives=["add", "sin"]))
    def fails(root):
        assert root.op != "sin"

    with pytest.raises(AssertionError) as caught:
        fails()
    assert caught.value.__notes__[0].startswith("the graph: <sin(x) at x=")


# ---- planted bugs are found


@pytest.mark.parametrize(("name", "wrong"), [
    ("tanh", lambda x, o: (1 - o * o) * 1.000001), ("sqrt", lambda x, o: 0.25 / o)])
def test_expressions_find_wrong_rule_and_shrink_to_its_operation(name, wrong):
    with replaced(TABLE[name], "partials", (wrong,)):
        f = smallest(
            expressions(size=(1, 4), primitives=["add", "sin", name]),
            lambda f: not gradcheck(f, f.point),
        )
        assert ops(f) == [name]
        arguments = arguments_for(name, special=False, smallest=0.1, largest=3)
        assert smallest(arguments, lambda args: not gradcheck(TABLE[name], args)) == (1.0,)


def test_expressions_find_lost_edge(monkeypatch):
    """The engine forgets the second edge if both operands are the same node."""
    record = Value.__add__
    monkeypatch.setattr(
        Value, "__add__", lambda x, y: record(x, y.data) if x is y else record(x, y)
    )
    assert smallest(expressions(), lambda f: not gradcheck(f, f.point)).text == "x + x"


def test_arguments_for_finds_bug_in_user_defined_row(own_row):
    row = own_row("bump", lambda x: 1 / (1 + x * x), lambda x, o: -2 * x * o)  # it should be o * o
    assert isinstance(row, Primitive)
    arguments = arguments_for(row, special=False, smallest=0.1, largest=10)
    assert smallest(arguments, lambda args: not gradcheck(row, args)) == (1.0,)


# ---- the module


@pytest.mark.filterwarnings("ignore")
def test_module_examples_are_correct(own_row):
    assert doctest.testmod(strategies) == (0, 8)


def test_testing_imports_hypothesis_only_on_demand():
    done = run_python(
        "import sys; from tinygrad_edu import testing; print('hypothesis' in sys.modules)\n"
        "testing.strategies.floats_for; print('hypothesis' in sys.modules)"
    )
    assert done.stdout == "False\nTrue\n", done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'strategy'"):
        _ = testing.strategy
