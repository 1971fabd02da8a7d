"""explain_nonfinite: the first inf or nan, its path to the result, and the advice."""

import doctest
import math as std

import pytest

import viz
from tinygrad_edu import Value, detect_anomaly, explain_nonfinite, math, nn, topological_order
from tinygrad_edu.debug import explain
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.errors import NonFiniteError
from viz.drawing.style import UNDEFINED


def names(explanation):
    return [node.label or node.op for node in explanation.path]


def test_module_examples_run_as_printed():
    assert doctest.testmod(explain).failed == 0


def test_explanation_names_the_first_nonfinite_node_in_order_of_execution():
    p, q = Value(0.0, "p"), Value(-1.0, "q")
    first = math.log(q * 1.0)
    y = (first + Value(2.0, "r") / p) * 3
    y.label = "y"
    found = explain_nonfinite(y)
    assert found.node is first  # also first in order of execution
    assert found.phase == "forward"
    assert found.operation == "v4 = log(v3)"
    assert found.operands == (("v3", -1.0),)
    assert found.path == (first, y.args[0], y)
    assert found.sentences == (
        "v4 = log(v3) = log(-1) = nan",
        "v7 = v4 + v6 = nan + inf = nan",
        "y = v7 * 3 = nan × 3 = nan",
    )
    assert found.root is y
    assert found.name == "y"
    assert repr(found) == str(found)


def test_path_prefers_nonfinite_nodes():
    x = Value(0.0, "x")
    bad = 1 / x
    bad.label = "bad"
    y = 1 / bad + 0 * bad  # one path is finite, the other is not
    assert names(explain_nonfinite(y)) == ["bad", "mul", "add"]
    finite = 1 / bad + 1
    assert names(explain_nonfinite(finite)) == ["bad", "div", "add"]
    assert str(explain_nonfinite(finite)).startswith(
        "v4 is 1.  The first inf or nan, in order of execution, is"
    )


def test_explanation_shows_the_shortest_path():
    x = Value(1e200, "x")
    bad = x * x
    long = bad
    for _ in range(5):
        long = long + 1
    y = long + bad
    assert explain_nonfinite(y).path == (bad, y)


def test_finite_graphs_need_no_explanation():
    assert explain_nonfinite(Value(1.0)) is None
    assert explain_nonfinite(nn.MLP(2, [3, 1], rng=0)([1.0, 2.0])) is None


def test_explain_nonfinite_changes_no_data_and_no_gradient():
    x = Value(0.0, "x")
    x.grad = 5.0
    y = math.sqrt(x)
    y.grad = 3.0
    assert explain_nonfinite(y).phase == "backward"
    assert (x.grad, y.grad, y.label) == (5.0, 3.0, "")


def test_explanation_names_a_nonfinite_leaf_or_constant():
    text = str(explain_nonfinite(Value(std.nan, "pixel") * 2))
    assert "the leaf pixel = nan" in text
    assert "The leaf is nan in the input; check the data." in text
    text = str(explain_nonfinite(Value(3.0, "x") * std.inf))
    assert "the number inf" in text
    assert "The number is inf in the input; check the data." in text
    assert "the leaf x = nan" in str(explain_nonfinite(Value(std.nan, "x")))


def test_a_gradient_is_explained_when_all_data_are_finite():
    x = Value(0.0, "x")
    root = math.sqrt(x * x)
    y = root * 3
    y.label = "y"
    found = explain_nonfinite(y)
    square = root.args[0]
    assert found.phase == "backward"
    assert found.node is square
    assert found.path == (square, root, y)
    assert found.operation == "v3 = sqrt(v2)"
    assert found.operands == (("v2", 0.0),)
    assert str(found) == """\
All numbers of the forward pass are finite.  The first gradient that is inf or nan is in
  dy/dv2 += dy/dv3 · ∂v3/∂v2 = 3 × inf = inf   [∂v3/∂v2 = 0.5 / v3]
The backward pass from y to this step:
  dy/dv3 += dy/dy · ∂y/∂v3 = 1 × 3 = 3   [∂y/∂v3 = 3]
The local derivative of v3 = sqrt(v2) with respect to v2 is inf at v2 = 0.  Keep the argument
above 0, for example with sqrt(maximum(x, 1e-12)); for the length of a vector use hypot or norm."""


def test_gradients_that_grow_too_large_are_explained():
    x = Value(1e-200, "x")
    found = explain_nonfinite((x * 1e200) * 1e200)
    assert found.node is x
    assert (
        "The gradients grew until 1e200 times 1e200 exceeded the largest float"
        in str(found)
    )


def test_gradients_that_add_up_too_large_are_explained():
    x = Value(0.1, "x")
    assert "The sum of the gradients from the users of x exceeds the largest float" in str(
        explain_nonfinite(x * 1e308 + x * 1e308)
    )


def test_explanation_has_no_path_if_the_edge_of_the_root_is_to_blame():
    x = Value(0.0, "x")
    text = str(explain_nonfinite(math.sqrt(x)))
    assert "The backward pass from" not in text
    assert "with respect to x is inf at x = 0" in text


@pytest.mark.parametrize(("make", "advice"), [
    (lambda: math.log(Value(0.0, "p")),
     "log(p) is finite only if p > 0, but p = 0.  For log-probabilities use cross_entropy"),
    (lambda: 1 / Value(0.0, "d"),
     "1 / d is finite only if abs(d) > 0, but d = 0.  Keep the denominator away from 0"),
    (lambda: math.exp(Value(800.0, "z")),
     "exp(z) exceeds the largest float, 1.8e308, at z = 800.  For quotients"),
    (lambda: math.acosh(Value(0.5, "z")), "acosh(z) is finite only if z >= 1, but z = 0.5."),
    (lambda: Value(-8.0, "n") ** (1 / 3), "is finite only if n > 0, but n = -8."),
    (lambda: Value(-1e200, "error") ** 2,
     "error ** 2 exceeds the largest float, 1.8e308, at error = -1e200."),
    (lambda: Value(0.0, "x") ** -1, "x ** (-1) is inf at x = 0."),
    (lambda: Value(1e300, "a") * Value(-1e300, "b"),
     "a * b exceeds the largest float, 1.8e308, at a = 1e300 and b"),
    (lambda: math.cosh(Value(1e9, "x")),
     "cosh(x) exceeds the largest float, 1.8e308, at x = 1e9."),
    (lambda: Value(1e300, "x") * Value(2.0, "s") * 1e100, "at v3 = 2e300."),
    (lambda: math.ieee_remainder(Value(1.0, "x"), 0.0),
     "is finite only if abs(y) > 0, but y = 0."),
])
def test_advice_states_the_domain_and_the_operands(make, advice):
    assert advice in explain_nonfinite(make()).advice


@pytest.mark.parametrize("name", list(TABLE))
def test_every_row_is_explained(name):
    row = TABLE[name]
    args = next(
        (
            args
            for args in [
                (0.0,),
                (-1.0,),
                (2.0,),
                (1e308,),
                (0.0, 0.0),
                (1e308, 1e308),
                (-1e308, 1e308),
                (1.0, 0.0),
                (1e308, 1e308, 1e308),
            ]
            if len(args) == row.arity and not std.isfinite(row.forward(*args))
        ),
        (std.nan,) * row.arity,
    )
    found = explain_nonfinite(row(*map(Value, args)))
    assert found.phase == "forward"
    assert found.advice
    assert str(found).count("\n") >= 2


def test_long_path_is_shortened():
    y = Value(1.0, "x")
    for _ in range(1100):
        y = y * 2.0
    found = explain_nonfinite(y)
    assert len(found.path) == len(found.sentences) == 77
    lines = str(found).split("\n")
    assert "  ... 64 more steps ..." in lines
    assert len(lines) == 3 + 8 + 1 + 4 + 1
    assert lines[-2].startswith("  v1101 = v1100 * 2")


def test_explanation_has_the_line_of_nodes_recorded_inside_detect_anomaly():
    x = Value(0.0, "x")
    with detect_anomaly():
        y = math.sqrt(x)
    found = explain_nonfinite(y)
    assert found.line[0] == __file__
    assert f"    {__file__}:{found.line[1]}, in " in str(found)
    assert "y = math.sqrt(x)" in str(found)
    with pytest.raises(NonFiniteError), detect_anomaly():
        y.backward()


def test_large_graphs_are_explained_without_recursion():
    y = math.log(Value(0.0, "x"))
    for _ in range(20_000):
        y = y + 1
    found = explain_nonfinite(y)
    assert len(found.path) == 20_001
    assert len(str(found).split("\n")) < 25
    assert found.path[0] is topological_order(y, constants=False)[1]


def test_only_a_value_can_be_explained():
    with pytest.raises(TypeError, match=r"nonfinite: root must be a Value, not float \(1.0\)"):
        explain_nonfinite(1.0)


# ---- drawn


def test_drawing_shows_the_path_with_operands_and_marks_nonfinite_numbers():
    p, w = Value(0.0, "p"), Value(0.0, "w")
    for_others = Value(3.0, "z") * 2
    loss = w * math.log(p) + for_others
    drawing = viz.draw(explain_nonfinite(loss))
    nodes = {node.label or node.op: node for node in drawing.records.nodes}
    assert set(nodes) == {"w", "p", "log", "mul", "add", "... 2 more nodes"}
    assert drawing.records.notes == ("The first inf or nan: v5 = log(p) = log(0) = -inf",)
    marked = [line for line in drawing.source.splitlines()
              if "<TABLE" in line and f'color="{UNDEFINED}" ' in line.rpartition("</TABLE>")[2]]
    assert len(marked) == 3  # log, the product and the sum
    assert "<B>-inf</B>" in drawing.source
    assert "inf or nan</FONT>" in drawing.source  # in the legend
    assert UNDEFINED not in viz.draw(for_others).source
    assert viz.draw(explain_nonfinite(loss), legend=False, title="t").svg().count("<svg") == 1


def test_drawing_of_a_long_path_shows_its_ends():
    y = math.log(Value(0.0, "x"))
    for _ in range(500):
        y = y + 1
    graph = viz.draw(explain_nonfinite(y), max_nodes=30).records
    assert graph.notes[1].endswith(" nodes in the middle of the path are left out.")
    assert 25 < len(graph.nodes) <= 30
    # log, x and the rest
    assert len(viz.draw(explain_nonfinite(y), max_nodes=1).records.nodes) == 3
    assert {"log", "x"} <= {node.label or node.op for node in graph.nodes}
    assert graph.nodes[-1].role == "output"
    with pytest.raises(ValueError, match="max_nodes must be a whole number >= 1, not 0"):
        viz.draw(explain_nonfinite(y), max_nodes=0)
