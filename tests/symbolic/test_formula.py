"""Formulas of derivatives: golden lines, brackets, and that every formula equals its rule."""

import ast
import itertools
import random

import pytest
from helpers import SPECIAL, inf, points, replaced, same
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import parse
from tinygrad_edu.engine import table
from tinygrad_edu.engine.primitive import TABLE, Operand
from tinygrad_edu.engine.table import Ieee
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.symbolic.formulas import KNOWN_NUMBERS, Name, as_name, derivative, formula

ROWS = list(TABLE.values())
every_row = pytest.mark.parametrize("row", ROWS, ids=list(TABLE))

GOLDEN = {
    "pow": "d/dx x**y = y * x ** (y - 1)\nd/dy x**y = x ** y * log(x)\n"
           "note: x**0 is the constant 1, also at x = 0 and nan",
    "add": "d/dx x+y = 1\nd/dy x+y = 1",
    "sub": "d/dx x-y = 1\nd/dy x-y = -1",
    "mul": "d/dx x*y = y\nd/dy x*y = x",
    "div": "d/dx x/y = 1 / y\nd/dy x/y = -(x / y ** 2)\n"
           "    computed as -(x / y / y), which keeps all digits",
    "neg": "d/dx -x = -1",
    "tanh": "d/dx tanh(x) = 1 - tanh(x) ** 2\n"
            "    computed as square(1 / cosh(x)), which keeps all digits",
    "exp": "d/dx exp(x) = exp(x)",
    "log": "d/dx log(x) = 1 / x",
    "log2": "d/dx log2(x) = log2(e) / x",
    "exp2": "d/dx exp2(x) = exp2(x) * log(2)",
    "relu": "d/dx relu(x) = step(x)",
    "abs": "d/dx abs(x) = sign(x)",
    "sin": "d/dx sin(x) = cos(x)",
    "cos": "d/dx cos(x) = -sin(x)",
    "reciprocal": "d/dx reciprocal(x) = -(1 / x ** 2)\n"
                  "    computed as -square(reciprocal(x)), which keeps all digits",
    "rsqrt": "d/dx rsqrt(x) = -rsqrt(x) / (2 * x)",
    "leaky_relu": "d/dx leaky_relu(x, slope) = where(x > 0, 1, slope)\n"
                  "d/dslope leaky_relu(x, slope) = where(x > 0, 0, x)",
}


@pytest.mark.parametrize("name", list(GOLDEN))
def test_golden_formulas(name):
    assert formula(name) == GOLDEN[name]
    assert formula(TABLE[name]) == GOLDEN[name]


def test_the_formula_of_one_argument_alone():
    assert formula("pow", 0) == "d/dx x**y = y * x ** (y - 1)"
    assert formula("pow", 1) == "d/dy x**y = x ** y * log(x)"


def test_unknown_row_is_rejected():
    with pytest.raises(TinygradEduError, match="no primitive 'sinn' in the table"):
        formula("sinn")


def test_derivative_uses_the_given_names():
    assert str(derivative("mul", 0, (Name("w"), Name("input")))) == "input"
    assert str(derivative("tanh", 0, (Name("h"),))) == "1 - tanh(h) ** 2"
    assert str(derivative("tanh", 0, (Name("h"),), Name("y"))) == "1 - y ** 2"
    assert str(derivative("exp", 0, (Name("h"),), Name("out"))) == "out"
    assert str(derivative("div", 1, (as_name(2.0), Name("y") + 1))) == "-(2 / (y + 1) ** 2)"


# ---- text = rule

ROUNDED = (
    "pow",
    "pow_lower",
    "logaddexp",
    "sigmoid_difference",
    "sech_squared",
    "tanh",
    "sigmoid",
    "gelu_tanh",
)


def argument_tuples(row):
    special = list(itertools.product(SPECIAL, repeat=row.arity))
    chosen = special if len(special) <= 200 else random.Random(row.name).choices(special, k=150)
    return points(row, 20) + points(row, 20, wide=False) + chosen


def contradictions(row):
    """THE CHECKER: returns where the text of a rule, read back and evaluated, differs from the rule
    run on floats.

    They agree to the last digit, except for rules that use a row with a spelling. Such a row keeps
    digits that the expression printed in its place loses, at most 750 ulp, so 1e-12 is allowed.
    """
    found = []
    for i in range(row.arity):
        text = str(derivative(row, i, computed=True))
        for args in argument_tuples(row):
            expected = float(row.partials[i](*map(Ieee, args), Ieee(row.forward(*args))))
            got = parse(text, dict(zip(row.parameters, args, strict=True))).data
            if not same(got, expected) and not (
                row.name in ROUNDED and abs(got - expected) <= 1e-12 * abs(expected)
            ):
                found.append(f"{text} at {args}: {got!r}, but the rule gives {expected!r}")
    return found


@pytest.mark.parametrize("row", [row for row in ROWS if row.textbook], ids=lambda row: row.name)
def test_forms_of_textbooks_are_the_same_functions(row):
    n = 0
    for args in points(row, 40, wide=False):
        for i in range(row.arity):
            text = str(derivative(row, i))
            expected = row.partial_at(i, args, row.forward(*args))
            got = parse(text, dict(zip(row.parameters, args, strict=True))).data
            if 1e-3 < abs(expected) < 1e3:  # elsewhere they lose digits: hence the other form
                assert got == pytest.approx(expected, rel=1e-9), (text, args)
                n += 1
    assert n > 5


@every_row
def test_every_formula_equals_its_rule_to_the_last_digit(row):
    wrong = contradictions(row)
    assert not wrong, "\n".join(wrong[:5])


def test_the_checker_reports_a_formula_that_differs_from_its_rule():
    row = table.log2
    assert contradictions(row) == []
    with replaced(
        row,
        "partials",
        (lambda x, o: (table.LOG2E if isinstance(x, Name) else 1.4426950408889632) / x,),
    ):
        assert contradictions(row)


@pytest.mark.parametrize("number", list(KNOWN_NUMBERS), ids=list(KNOWN_NUMBERS.values()))
def test_well_known_numbers_are_written_as_formulas_that_evaluate_to_them(number):
    assert parse(str(as_name(number))).data == number
    assert parse(str(2 / as_name(number))).data == 2 / number
    assert parse(str(2 ** as_name(number))).data == 2**number


@given(x=st.floats(allow_nan=False))
def test_numbers_are_written_so_that_they_are_read_back(x):
    text = str(as_name(x))
    assert parse(text).data == x
    assert parse(str(1 - as_name(x))).data == 1 - x


@pytest.mark.parametrize(("x", "text"), [
    (1.0, "1"), (-2.0, "-2"), (0.5, "0.5"), (1e300, "1e+300"), (1e15, "1000000000000000"),
    (1e16, "1e+16"), (1.0000005e16, "1.0000005e+16"), (-0.1, "-0.1"), (float("inf"), "inf"),
    (True, "1"), (3, "3"),
])
def test_numbers_are_short(x, text):
    assert str(as_name(x)) == text


def test_rows_with_a_spelling_are_printed_as_the_expression_that_they_compute():
    assert [row.name for row in ROWS if row.spelling] == [
        "pow_lower",
        "sigmoid_difference",
        "sech_squared",
    ]
    assert str(table.pow_lower(Name("x"), Name("y") - 1)) == "x ** (y - 1 - 1)"
    assert str(1 / table.pow_lower(2.0, Name("n"))) == "1 / 2 ** (n - 1)"
    assert formula("logaddexp", 0) == "d/dx logaddexp(x, y) = sigmoid(x - y)"


# ---- brackets


def superfluous_brackets(text):
    """Returns the pairs of brackets, other than those of calls, that an expression does not
    need."""
    tree, found, opened = ast.dump(ast.parse(text, mode="eval")), [], []
    for i, char in enumerate(text):
        if char == "(":
            opened.append(i)
        elif char == ")":
            start = opened.pop()
            if start and (text[start - 1].isalnum() or text[start - 1] == "_"):
                continue
            if text[start:].startswith("(-") and text[:start].rstrip().endswith(tuple("+-*/%")):
                continue  # else two signs would stand side by side
            without = text[:start] + " " + text[start + 1:i] + " " + text[i + 1:]
            try:
                same_tree = ast.dump(ast.parse(without.strip(), mode="eval")) == tree
            except SyntaxError:
                same_tree = False
            if same_tree:
                found.append((start, i))
    return found


def test_superfluous_brackets_are_found():
    assert superfluous_brackets("(x * y) + z") == [(0, 6)]
    assert superfluous_brackets("x - (y + z)") == []
    assert superfluous_brackets("sin((x))") == [(4, 6)]
    assert superfluous_brackets("2 ** (-x)") == []
    assert superfluous_brackets("(-x) * 2") == [(0, 3)]


@every_row
def test_formulas_are_python_without_a_bracket_too_many(row):
    for i in range(row.arity):
        texts = [str(derivative(row, i, computed=computed)) for computed in (False, True)]
        assert not any(map(superfluous_brackets, texts))
        assert len(formula(row, i).splitlines()) == len(set(texts))


@every_row
def test_formula_ends_with_the_note_of_the_row(row):
    lines = formula(row).splitlines()
    if row.note:
        assert lines[-1] == f"note: {row.note}"
    else:
        assert not lines[-1].startswith("note: ")
    assert "note: " not in formula(row, 0)


BINARY = {
    "+": (lambda x, y: x + y, ast.Add),
    "-": (lambda x, y: x - y, ast.Sub),
    "*": (lambda x, y: x * y, ast.Mult),
    "/": (lambda x, y: x / y, ast.Div),
    "%": (lambda x, y: x % y, ast.Mod),
    "//": (lambda x, y: x // y, ast.FloorDiv),
    "**": (lambda x, y: x**y, ast.Pow),
}
leaves = (
    st.sampled_from("xyz").map(lambda name: (Name(name), ast.Name(name, ast.Load())))
    | st.sampled_from([2, 0.5, 10]).map(lambda n: (as_name(n), ast.Constant(n)))
    | st.sampled_from([3, 0.25]).map(
        lambda n: (as_name(-n), ast.UnaryOp(ast.USub(), ast.Constant(n)))
    )
)


def combined(parts):
    binary = st.tuples(st.sampled_from(list(BINARY)), parts, parts).map(lambda t: (
        BINARY[t[0]][0](t[1][0], t[2][0]), ast.BinOp(t[1][1], BINARY[t[0]][1](), t[2][1])))
    negated = parts.map(lambda p: (-p[0], ast.UnaryOp(ast.USub(), p[1])))
    called = parts.map(
        lambda p: (table.sin(p[0]), ast.Call(ast.Name("sin", ast.Load()), [p[1]], []))
    )
    chosen = st.tuples(parts, parts).map(
        lambda t: (
            table.where(t[0][0] < t[1][0], t[0][0], 1.0),
            ast.Call(
                ast.Name("where", ast.Load()),
                [ast.Compare(t[0][1], [ast.Lt()], [t[1][1]]), t[0][1], ast.Constant(1)],
                [],
            ),
        )
    )
    return binary | binary | binary | negated | called | chosen


@given(st.recursive(leaves, combined, max_leaves=12))
def test_text_reads_back_as_the_same_tree_with_the_fewest_brackets(pair):
    name, tree = pair
    assert ast.dump(ast.parse(str(name), mode="eval").body) == ast.dump(tree)
    assert superfluous_brackets(str(name)) == []


@pytest.mark.parametrize(("name", "text"), [
    (lambda x, y: (x + y) * x, "(x + y) * x"), (lambda x, y: x - (y - x), "x - (y - x)"),
    (lambda x, y: (x - y) - x, "x - y - x"), (lambda x, y: x / (y * x), "x / (y * x)"),
    (lambda x, y: (x**y) ** x, "(x ** y) ** x"), (lambda x, y: x ** (y**x), "x ** y ** x"),
    (lambda x, y: (-x) ** 2, "(-x) ** 2"), (lambda x, y: -(x**2), "-x ** 2"),
    (lambda x, y: 2 ** (-x), "2 ** (-x)"),
    (lambda x, y: -(x * y), "-(x * y)"), (lambda x, y: (-x) * y, "-x * y"),
    (lambda x, y: x * (-y), "x * (-y)"),
    (lambda x, y: -(x * -1), "-(x * (-1))"), (lambda x, y: (-2) ** x, "(-2) ** x"),
    (lambda x, y: abs(x - y) // 2, "abs(x - y) // 2"), (lambda x, y: (x + 1 < y * 2), "x + 1 < y * "
                                                                                      "2"),
    (lambda x, y: 1 - x % y, "1 - x % y"), (lambda x, y: x >= -y, "x >= -y"),
    (lambda x, y: x + y < 1, "x + y < 1"),
])
def test_brackets_stand_where_python_needs_them(name, text):
    assert str(name(Name("x"), Name("y"))) == text


@pytest.mark.parametrize(("use", "text"), [
    (lambda x: 5 + x, "5 + x"), (lambda x: 5 - x, "5 - x"), (lambda x: 5 * x, "5 * x"),
    (lambda x: 5 / x, "5 / x"),
    (lambda x: 5 // x, "5 // x"), (lambda x: 5 % x, "5 % x"), (lambda x: 5**x, "5 ** x"),
])
def test_a_number_may_stand_to_the_left_of_a_name(use, text):
    assert str(use(Name("x"))) == text


def test_operand_without_a_meaning_for_an_operation_names_it():
    class Silent(Operand):
        def __repr__(self):
            return "silence"

    with pytest.raises(TypeError, match=r"mul is not defined for \(silence, 2\)"):
        Silent() * 2
    with pytest.raises(TypeError, match=r"sin is not defined for \(silence,\)"):
        table.sin(Silent())
    with pytest.raises(TypeError, match="<= is not defined for silence"):
        Silent() <= 2  # noqa: B015


# ---- names in conditions


@pytest.mark.parametrize("use", [
    bool, lambda x: 1 if x > 0 else 2, lambda x: x and 1, lambda x: not x, lambda x: max(x, 0),
    lambda x: 0 < x < 1,
])
def test_truth_of_a_name_raises(use):
    with pytest.raises(
        TypeError,
        match=r"the truth of `.*` is not known.*rules choose with where\(condition, x, y\)",
    ):
        use(Name("x"))


def test_formula_rejects_a_rule_with_a_branch():
    with replaced(table.absolute, "partials", (lambda x, o: 1.0 if x > 0 else -1.0,)), \
            pytest.raises(TypeError, match="the truth of `x > 0` is not known"):
        formula("abs")


def test_only_defaults_at_the_end_are_left_out():
    x, low = Name("x"), Name("low")
    assert str(table.clip(x, low, inf)) == "clip(x, low)"
    assert str(table.clip(x, -inf, 2.0)) == "clip(x, -inf, 2)"
    assert str(table.clip(x, 2.0, inf)) == "clip(x, 2)"


def test_a_number_in_front_of_the_defaults_stays_in_the_text():
    row = table.define(
        "three_of_them", lambda x, y, z: x + y + z, *[lambda x, y, z, o: 1.0] * 3, defaults=(1.0,)
    )
    try:
        assert str(row(Name("x"), 1.0, 1.0)) == "three_of_them(x, 1)"
        assert str(row(Name("x"), 1.0, 2.0)) == "three_of_them(x, 1, 2)"
    finally:
        del TABLE["three_of_them"]


@every_row
def test_default_arguments_are_left_out_of_the_text(row):
    names = [Name(parameter) for parameter in row.parameters]
    text = str(row(*names[:row.arity - len(row.defaults)]))
    assert all(str(as_name(default)) not in text for default in row.defaults)
    assert text.count(",") == (
        0 if row.symbol or row.spelling else row.arity - len(row.defaults) - 1
    )
