"""The reader of expressions: what it accepts, what it rejects, how fast, and with which
messages."""

import math as std
import warnings

import pytest
from helpers import bits, inf, nan, same
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Value, gradients, math, parse, topological_order
from tinygrad_edu.engine import table
from tinygrad_edu.errors import ExpressionError, TinygradEduError
from tinygrad_edu.symbolic.expressions import MAX_LENGTH, function_names, variables_of
from tinygrad_edu.symbolic.reading import MAX_DEPTH

# ---- what it reads


@pytest.mark.parametrize(("text", "expected"), [
    ("1", 1.0), ("1.5e3", 1500.0), (".5", 0.5), ("1_000", 1000.0), ("0x10", 16.0), ("pi", std.pi),
    ("e", std.e),
    ("tau", std.tau), ("inf", inf), ("-inf", -inf), ("nan", nan), ("1e999", inf),
    ("2 + 3 * 4", 14.0), ("(2 + 3) * 4", 20.0),
    ("2 ** 3 ** 2", 512.0), ("-2 ** 2", -4.0), ("2 ** -1", 0.5), ("+-+2", -2.0), ("7 // 2", 3.0),
    ("-7 % 3", 2.0),
    ("1 / 0", inf), ("0 / 0", nan), ("9 ** 9 ** 9 ** 9", inf), ("(-8) ** (1/3)", nan), ("max(1, 3, "
                                                                                        "2)", 3.0),
    ("min(1, -3, 2)", -3.0), ("max(1)", 1.0), ("log(8, 2)", 3.0), ("log(e)", 1.0),
    ("hypot(3, 4)", 5.0),
    ("hypot(1, 2, 2)", 3.0), ("logsumexp(0, 0)", std.log(2)), ("where(1 < 2, 3, 4)", 3.0),
    ("where(1 >= 2, 3, 4)", 4.0),
    ("where(0, 3, 4)", 4.0), ("degrees(pi)", 180.0), ("gelu(0)", 0.0), ("relu(-3)", 0.0),
    ("clip(5, 0, 2)", 2.0),
    ("clip(5)", 5.0), ("leaky_relu(-1)", -0.01), ("abs(-2)", 2.0), ("fabs(-2)", 2.0),
    ("remainder(5, 3)", -1.0),
    ("  1 ", 1.0), ("(1 +\n 2)", 3.0), ("1 # one", 1.0), ("exp(1000)", inf), ("max(nan, 1)", nan),
])
def test_expressions_of_numbers(text, expected):
    result = parse(text)
    assert isinstance(result, Value)
    assert same(result.data, expected)
    if not std.isnan(expected):
        assert bits(result.data) == bits(expected)


def test_variables_become_labelled_leaves_and_gradients_flow():
    y = parse("tanh(a*b + c)", a=2, b=-3, c=10)
    assert y.data == std.tanh(4.0)
    assert [node.label for node in topological_order(y)] == ["a", "b", "c", "", "", ""]
    assert y.label == ""
    y.backward()
    leaves = {node.label: node for node in topological_order(y)}
    assert leaves["a"].grad == pytest.approx(-3 * (1 - std.tanh(4.0) ** 2), rel=1e-12)


def test_a_variable_that_is_used_twice_is_one_leaf():
    y = parse("x * x + x", x=3)
    assert len(topological_order(y)) == 3
    y.backward()
    assert topological_order(y)[0].grad == 7.0


def test_values_are_used_as_they_are():
    x = Value(3.0, "mine")
    y = parse("x ** 2 * k", {"x": x}, k=2)
    y.backward()
    assert x.grad == 12.0
    assert x.label == "mine"
    assert parse("x", x=x) is x
    assert gradients(parse("sin(x)", x=x), [x])[0].data == std.cos(3.0)


def test_keywords_win_over_the_mapping_and_variables_over_constants():
    assert parse("x", {"x": 1.0}, x=2.0).data == 2.0
    assert parse("e + pi", e=1.0, pi=2.0).data == 3.0
    assert parse("text", text=1).data == 1.0


def test_names_in_other_alphabets_are_names():
    assert parse("λ * β", λ=2.0, β=3.0).data == 6.0
    assert parse("\N{FULLWIDTH LATIN SMALL LETTER X}", x=4.0).data == 4.0  # as in Python


@pytest.mark.parametrize("name", ["\N{MICRO SIGN}", "\N{LATIN SMALL LIGATURE FI}"])
def test_names_that_python_normalises_are_found_in_the_mapping(name):
    assert parse(f"2 * {name}", {name: 3.0}).data == 6.0


def test_variables_of_lists_names_in_order():
    assert variables_of("b + sin(a) * b - pi") == ["b", "a"]
    assert variables_of("1 + 2") == []
    with pytest.raises(ExpressionError):
        variables_of("1 +")


def test_every_row_can_be_called():
    names = function_names()
    assert set(table.TABLE) <= set(names)
    assert names == sorted(set(names))
    for name, row in table.TABLE.items():
        if name != "remainder":  # constants of the standard library, as in math
            y = parse(f"{name}({', '.join('0.5' for _ in row.parameters)})")
            assert same(y.data, row(*[0.5] * row.arity))
    assert parse("remainder(x, 2)", x=5).data == math.remainder(5.0, 2.0) == 1.0
    assert parse("5.5 % 2").data == 1.5


trees = st.recursive(
    st.integers(0, 20).map(lambda n: (str(n), float(n)))
    | st.sampled_from([("x", 1.5), ("y", -0.25), ("0.125", 0.125)]),
    lambda parts: (
        st.tuples(st.sampled_from("+-*"), parts, parts).map(
            lambda t: (
                f"({t[1][0]} {t[0]} {t[2][0]})",
                {"+": t[1][1] + t[2][1], "-": t[1][1] - t[2][1], "*": t[1][1] * t[2][1]}[t[0]],
            )
        )
        | parts.map(lambda p: (f"-({p[0]})", -p[1]))
        | parts.map(lambda p: (f"tanh({p[0]})", std.tanh(p[1])))
    ),
    max_leaves=20,
)


@given(tree=trees)
def test_expressions_have_the_value_that_python_gives_them(tree):
    text, expected = tree
    assert same(parse(text, x=1.5, y=-0.25).data, expected)


# ---- edges of the language; hostile input is in test_hostile.py


def test_the_tower_of_powers_is_harmless():
    assert parse("9**9**9**9").data == inf


@pytest.mark.parametrize(("digits", "expected"), [
    ("nan", nan), ("inf", 1.25), ("-inf", 0.0), ("1e300", 1.25),
])
def test_rounding_to_an_invalid_number_of_digits_follows_ieee_754(digits, expected):
    assert same(parse(f"round_digits(1.25, {digits})").data, expected)


# ---- the caps


def test_length_is_capped():
    assert parse("x" + " " * (MAX_LENGTH - 1), x=1).data == 1.0
    with pytest.raises(
        ExpressionError, match=r"has 1,000,001 characters; at most 1,000,000 are read; compute"
    ):
        parse("x" + " " * MAX_LENGTH, x=1)


def test_depth_is_capped():
    assert MAX_DEPTH == 200
    assert parse("-" * (MAX_DEPTH - 1) + "x", x=1).data == -1.0
    assert parse("sin(" * 90 + "x" + ")" * 90, x=1).data > 0
    for deeper in (
        "-" * MAX_DEPTH + "x", "-" * 100_000 + "x", "**".join(["x"] * 5000),
        "sin(" * 300 + "x" + ")" * 300, "(" * 300 + "x" + ")" * 300,
        "+".join(["x"] * 5000) + "+" + "-" * 300 + "x",
    ):
        with pytest.raises(
            ExpressionError, match=r"the expression is nested deeper than 200 levels: .*; compute"
        ):
            parse(deeper, x=1)


@pytest.mark.parametrize(("text", "expected"), [
    ("+".join(["x"] * 100_000), 100_000.0),
    ("1" + " - x" * 5000, -4999.0),
    ("y" + "*y/y" * 3000, 0.5),
    ("-y*2" * 1001, -1001.0),
    ("where(" + "+".join(["x"] * 4000) + " < y, 1, " + "*".join(["y"] * 200) + ")", 0.5**200),
    ("(" + " +\n x" * 4000 + ") // 7 % 4", 3.0),
    ("max(" + "+".join(["x * -y**2"] * 4000) + ", " + ",".join(["x"] * 4000) + ")", 1.0),
    ("(" * 150 + "x" + "+x)" * 150 + "+1e-5" * 500, 151 + 0.005),
])
def test_sums_and_products_have_any_length(text, expected):
    assert parse(text, x=1, y=0.5).data == pytest.approx(expected, rel=1e-12, abs=0)


@given(st.lists(st.sampled_from(["+x", "-y", "*y", "/x", "//x", "%y", "**y", "*(x-y)"]),
                min_size=250, max_size=400))
def test_long_expressions_have_the_value_and_the_nodes_that_python_gives_them(parts):
    text = "x" + "".join(parts)
    x, y = Value(1.25), Value(-0.75)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = eval(text, {"x": x, "y": y})
    result = parse(text, x=x, y=y)
    assert bits(result.data) == bits(expected.data)
    assert [n.op for n in topological_order(result)] == [n.op for n in topological_order(expected)]


def test_names_in_long_expressions_are_in_order_and_mistakes_are_shown():
    text = "b + (" + "+".join(["c"] * 500) + ") * a" + " - d" * 500
    assert variables_of(text) == ["b", "c", "a", "d"]
    with pytest.raises(ExpressionError) as refused:
        parse(text.replace("* a", "* 2a"), a=1, b=1, c=1, d=1)
    message, line, caret = str(refused.value).split("\n")
    assert message.endswith("a product is written with *: 2*a")
    assert line[caret.index("^"):].startswith("2a")


def test_wide_expressions_are_read():
    wide = "max(" + ",".join(["-" * 100 + "1"] * 98) + ")"
    assert parse(wide).data == 1.0  # an even number of minus signs


def test_reading_works_deep_in_a_recursion():
    def deep(levels):
        return deep(levels - 1) if levels else parse("-" * 150 + "x", x=1.0).data

    assert deep(500) == 1.0


# ---- the words of refusals

GOLDEN = {
    "x.data": "an attribute is not part of the language: numbers, names, + - * / // % **, and "
              "function calls are\n"
    "    x.data\n    ^",
    "1 + x[0]": "an index is not part of the language: numbers, names, + - * / // % **, and "
                "function calls are\n"
    "    1 + x[0]\n        ^",
    "2 * acoss(x)": (
        "unknown function 'acoss'; did you mean acos or acosh or cos?\n    2 * acoss(x)\n        ^"
    ),
    "2 * softpluss(x)": (
        "unknown function 'softpluss'; did you mean softplus?\n    2 * softpluss(x)\n        ^"
    ),
    "print(x)": "unknown function 'print'; an expression may call the rows of the table, such as "
                "exp, log, sin, tanh, relu, "
    "maximum, where\n    print(x)\n    ^",
    "x + z": "no value for variable 'z' in 'x + z'; give one: z=1.5; known: x, y",
    "x < y": "'x < y' is a condition, not a number; choose with where(condition, x, y)",
    "1 + (x < y)": "a condition stands where a number is needed; choose with where(condition, x, "
                   "y)\n"
    "    1 + (x < y)\n         ^",
    "max(1, x < y)": "a condition may only be the first argument of where()\n    max(1, x < y)\n   "
                     "        ^",
    "sin(x=1)": "sin() takes plain arguments only\n    sin(x=1)\n    ^",
    "sin()": "sin() needs an argument\n    sin()\n    ^",
    "sin(1, 2)": "sin(x) was called with 2 arguments; it takes 1\n    sin(1, 2)\n    ^",
    "where(x, 1)": (
        "where(condition, x, y) was called with 2 arguments; it takes 3\n    where(x, 1)\n    ^"
    ),
    "x if y else 1": "if/else is not part of the language: numbers, names, + - * / // % **, and "
                     "function calls are\n"
    "    x if y else 1\n    ^",
}


@pytest.mark.parametrize("text", list(GOLDEN))
def test_errors_name_the_place_and_a_remedy(text):
    with pytest.raises(ExpressionError) as refused:
        parse(text, x=1.0, y=2.0)
    assert str(refused.value) == GOLDEN[text]


ADVICE = {
    "2a": "2*a", "2(a+b)": "2*(a+b)", "(a)(b)": "(a)*(b)", "a b": "a*b", "(a+b)c": "(a+b)*c",
    "3.5 a": "3.5*a", "2sin(a)": "2*sin(a)", "sin(a)cos(b)": "sin(a)*cos(b)", "a^2": "x**y",
    "a(b)": "write * after it", "sin a": "sin(a)", "sin 2a": "sin(2a)", "|a|": "abs(a)",
    "2 + |a - b|*a": "abs(a - b)", "a²": "a**2", "(a+b)⁻¹²": "(a+b)**-12", "sin²(a)": "sin(x)**2",
    "2\N{MULTIPLICATION SIGN}a": "* for", "2·a": "* for", "a·b": "* for", "a÷b": "/ for",
    "a \N{MINUS SIGN} b": "- for", "√a": "sqrt(a)", "√(a+b)": "sqrt(a+b)", "5!": "1*2*3",
    "a=b": "as in a=2", "a==b": "comparisons are <", "\N{FULLWIDTH DIGIT ONE}*a": "1 for",
    "a\N{FULLWIDTH PLUS SIGN}b": "+ for", "“a”": "without quotes", '"a"': "without quotes",
    "1,5": "1.5", "½*a": "1/2 for", "a≤b": "<= for", "∞": "inf for", "ln(a)": "did you mean log?",
    "[a] + b": "brackets are ( and )", "{a}": "brackets are ( and )", "9" * 9999: "1e308",
}


@pytest.mark.parametrize("text", ADVICE)
def test_errors_say_what_to_write_instead_of_what_is_written_on_paper(text):
    with pytest.raises(ExpressionError) as refused:
        parse(text, a=1.0, b=2.0)
    assert ADVICE[text] in str(refused.value).split("\n")[0]


def test_variable_without_a_value_is_rejected_with_an_example():
    with pytest.raises(ExpressionError) as refused:
        parse("speed * 2")
    assert str(refused.value) == "no value for variable 'speed' in 'speed * 2'; give one: speed=1.5"


def test_caret_points_to_the_place_in_long_and_foreign_text():
    long = "x + " * 40 + "y.z" + " + x" * 5
    for text in (long, "λ + β.δ", "  x.y", "é * é * é + x.y"):
        with pytest.raises(ExpressionError) as refused:
            parse(text, {"x": 1, "y": 1, "λ": 1, "β": 1, "é": 1})
        _, line, caret = str(refused.value).split("\n")
        column = caret.index("^")
        place = {long: "y.z", "λ + β.δ": "β.δ", "  x.y": "x.y"}.get(text, "x.y")
        assert line[column:].startswith(place), str(refused.value)


def test_caret_points_to_what_python_cannot_read():
    for text, place in (("x + * 2", "*"), ("2 x", "x"), ("1 + 2)", ")")):
        with pytest.raises(ExpressionError, match="not an expression: ") as refused:
            parse(text, x=1)
        _, line, caret = str(refused.value).split("\n")
        assert line[caret.index("^"):].startswith(place)


def test_caret_points_to_the_end_if_something_is_missing_there():
    with pytest.raises(ExpressionError, match="not an expression: ") as refused:
        parse("x +", x=1)
    _, line, caret = str(refused.value).split("\n")
    assert caret.index("^") >= len(line.rstrip())


def test_a_mistake_in_a_later_line_is_shown_with_the_text():
    for text in ("(x\n+ y +* 3)", "(x +\n y.z)"):
        with pytest.raises(ExpressionError) as refused:
            parse(text, x=1, y=2)
        assert repr(text) in str(refused.value)


def test_errors_are_value_errors_of_this_package():
    for kind in (TinygradEduError, ValueError):
        with pytest.raises(kind):
            parse("x +")


@pytest.mark.parametrize("text", [None, 1, b"x", ["x"]])
def test_parse_accepts_text_only(text):
    with pytest.raises(
        TypeError, match=rf"parse: the expression must be text, not {type(text).__name__}"
    ):
        parse(text)


@pytest.mark.parametrize("bad", ["1", None, 1j, [1.0]])
def test_parse_rejects_variables_that_are_not_numbers(bad):
    with pytest.raises(
        TypeError, match="variable x must be a real number, not " + type(bad).__name__
    ):
        parse("x + 1", x=bad)
