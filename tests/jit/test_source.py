"""Compiled functions as source text: C and Python have the bits of the engine."""

import math as std
import random
import resource
import subprocess
from dataclasses import replace
from functools import cache
from importlib import import_module

import pytest
from edge_cases import EDGE_CASES, arguments_of, expected_of, within
from helpers import SPECIAL, bits
from programs import RandomProgram, gradient_tape, inputs
from sources import FLAGS, RUN, differences, points_of, run_c, run_javascript, within_ulps

from tinygrad_edu import Value, jit, math, nn
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import PrimitiveError
from tinygrad_edu.jit.languages.text import LANGUAGES, MOST_STATEMENTS, Source, language_of
from tinygrad_edu.jit.tape.operations import DOT, OPERATIONS

every_language = pytest.mark.parametrize("language", LANGUAGES)
exact_language = pytest.mark.parametrize("language", ["c", "python"])
ROWS = list(TABLE.values())
# what JavaScript computes with every bit: what IEEE 754 prescribes, and what is made of it
EXACT = {*OPERATIONS, "add", "sub", "mul", "div", "neg", "sqrt", "abs", "where", "step", "sign",
         "maximum", "minimum", "fmax", "fmin", "clip", "copysign", "floor", "ceil", "round",
         "trunc", "round_digits", "relu", "leaky_relu", "hardtanh", "square", "reciprocal",
         "rsqrt", "softsign", "fmod", "remainder", "floordiv", "ieee_remainder"}


def same_bits(x, y):
    return bits(x) == bits(y)


def eagerly(f, xs):
    """Returns the value of a function of numbers, and its derivatives, from the engine."""
    values = [Value(x) for x in xs]
    y = f(*values)
    y.backward()
    return [y.data, *[value.grad for value in values]]


# ---- every row


@cache
def compiled(row):
    return jit(lambda *xs: row(*xs))


def row_programs(language, rows=ROWS):
    """Returns for each row its source with derivatives, and what the engine computes."""
    return {
        f"row_{row.name}": (
            compiled(row).source(
                language, *[1.0] * row.arity, gradient=True, name=f"row_{row.name}"),
            lambda xs, row=row: eagerly(row, xs),
        )
        for row in rows
    }


POINTS = {f"row_{row.name}": points_of(row, SPECIAL) for row in ROWS}


@exact_language
def test_every_row_has_the_bits_of_the_engine(language, tmp_path):
    programs = row_programs(language)
    assert list(differences(language, programs, POINTS, tmp_path, same_bits)) == []


def test_every_exact_row_has_the_bits_of_the_engine_in_javascript(tmp_path):
    programs = row_programs("javascript", [row for row in ROWS if row.name in EXACT])
    assert len(programs) >= 28
    assert list(differences("javascript", programs, POINTS, tmp_path, same_bits)) == []


def test_every_row_is_within_8_ulp_in_javascript(tmp_path):
    programs = row_programs("javascript")
    assert list(differences("javascript", programs, POINTS, tmp_path, within_ulps)) == []


def test_every_edge_case_is_within_8_ulp_in_javascript(tmp_path):
    texts, calls, expected = [], [], []
    for i, case in enumerate(EDGE_CASES):
        args, f = arguments_of(case)
        texts.append(jit(f).source("javascript", *args, gradient=True, name=f"case{i}"))
        calls.append((f"case{i}", args, 1 + len(args)))
        documented = expected_of(case)
        numbers = [documented["value"], *(documented["grads"] or [])]
        expected.append((case["op"], eagerly(f, args), numbers, documented["tol"]))
    wrong = [
        f"{op}: {x!r}, not {want!r}"
        for (op, eager, numbers, tolerance), found in zip(
            expected, run_javascript(texts, calls, tmp_path), strict=True)
        for x, want, number in zip(found, eager, numbers)
        if not within_ulps(x, want) and not within(x, number, tolerance)
    ]
    assert wrong == []
    assert len(calls) >= 400


def test_rows_and_partials_are_functions_of_javascript_that_are_written_once(tmp_path):
    source, calls, expected = Source(language_of("javascript"), "row"), [], []
    adapters = []
    for row in ROWS:
        rng = random.Random(f"partials {row.name}")
        names = [source.forward(row), *[source.partial(row, i) for i in range(row.arity)]]
        assert names == [source.forward(row), *[source.partial(row, i) for i in range(row.arity)]]
        adapters.append(f"const all_{row.name} = (xs) => [{names[0]}(...xs.slice(0, -1)), "
                        f"{', '.join(f'{name}(...xs)' for name in names[1:])}];")
        for _ in range(20):
            xs = [rng.uniform(0.1, 0.9) for _ in range(row.arity)]
            out = row(*xs)
            calls.append((f"all_{row.name}", [*xs, out], 0))
            expected.append([out, *[row.partial_at(i, tuple(xs), out) for i in range(row.arity)]])
    text = source.text()
    assert text.count("function row_tanh(") == text.count("const row_erf_tables") == 1
    for call, want, got in zip(calls, expected, run_javascript([text, *adapters], calls, tmp_path)):
        assert all(map(within_ulps, got, want)), (call, got, want)


ROUNDED = [2.675, 0.5, 1.5, 2.5, 1e22, 1.7e308, 5e-324, 1.5e-323, 1e-310, 123456.789, 25.0, 35.0,
           0.1, 1e15 + 0.5, 5e22, 49.999999999999993, 5e-310, 4.9999999999999997e-5]


@every_language
def test_rounding_to_digits_is_that_of_python_at_ties_and_ends(language, tmp_path):
    digits = [*range(-26, 26), -309, -308, -307, 308, 309, 310, 322, 323, 324, 2.9, -1.9, 323.5,
              std.inf, -std.inf, std.nan, 1e300, -1e300, -401.0]
    numbers = [sign * x for x in (*ROUNDED, std.inf, 0.0) for sign in (1, -1)] + [std.nan]
    points = {"row_round_digits": [[x, float(n)] for x in numbers for n in digits]}
    programs = row_programs(language, [TABLE["round_digits"]])
    assert list(differences(language, programs, points, tmp_path, same_bits)) == []


# ---- random programs


@cache
def random_program(seed):
    """Returns the tape of a random program with derivatives, and its points.

    For the inputs of each point: the outputs that the engine computes.
    """
    program = RandomProgram(seed, 8)
    tape, trace = gradient_tape(program, *[f"x{i}" for i in range(len(program.point))])
    points = {}
    for xs in program.inputs(6):
        if (found := program.eagerly(xs)) is not None:
            value, slopes, of_leaves = found
            gradients = dict(zip(program.leaves, of_leaves))
            program.reset()
            of_parameters = [gradients[leaf] for leaf in trace.parameters]
            points[tuple(inputs(trace, xs))] = [value, *slopes, *of_parameters]
    return tape, points


def random_programs(language, rows):
    """Returns 200 random programs, as far as they use these rows only; see `differences`."""
    found = {f"program{seed}": random_program(seed) for seed in range(200)}
    found = {name: made for name, made in found.items() if rows.issuperset(made[0].table)}
    programs = {
        name: (tape.source(language, name), points.__getitem__)
        for name, (tape, points) in found.items()
    }
    return programs, {name: list(points) for name, (_, points) in found.items()}


@exact_language
def test_200_random_programs_have_the_bits_of_the_engine(language, tmp_path):
    programs, points = random_programs(language, {*TABLE, *OPERATIONS})
    assert len(programs) == 200
    assert sum(map(len, points.values())) > 1000
    assert list(differences(language, programs, points, tmp_path, same_bits)) == []


def test_random_programs_of_exact_rows_have_every_bit_in_javascript(tmp_path):
    programs, points = random_programs("javascript", EXACT)
    assert len(programs) > 40
    assert list(differences("javascript", programs, points, tmp_path, same_bits)) == []


MISTAKES = {
    "the operands of - are exchanged": lambda right: {
        "operations": {**right.operations, ("-", 2): "{1} - {0}"}},
    "<= is <": lambda right: {
        "operations": {**right.operations, "less_equal": right.operations["less"]}},
    "constants have a wrong last bit": lambda right: {
        "number": lambda x: right.number(std.nextafter(x, std.inf))},
    "- has no sign": lambda right: {"operations": {**right.operations, ("-", 1): "{}"}},
}


@every_language
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_of_a_language_is_reported(language, mistake, tmp_path, monkeypatch):
    right = language_of(language)
    module = import_module(f"tinygrad_edu.jit.languages.{language}")
    monkeypatch.setattr(module, "LANGUAGE", replace(right, **MISTAKES[mistake](right)))
    rows = [TABLE[name] for name in ("sub", "maximum", "step", "neg", "gelu_erf")]
    programs = row_programs(language, rows)
    assert list(differences(language, programs, POINTS, tmp_path, within_ulps))


# ---- models


def test_a_network_with_gradients_compiles_in_2_seconds(tmp_path):
    model = nn.MLP(2, [16, 16, 1], activation="tanh", rng=1)
    source = jit(lambda x: model(x)).source("c", [1.0, 2.0], gradient=True, name="network")
    (tmp_path / "network.c").write_text(source)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = ["cc", *FLAGS, "-c", "network.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2


@every_language
def test_a_frozen_model_has_its_numbers_in_the_text(language, tmp_path):
    model = nn.MLP(2, [8, 1], activation="relu", rng=1)
    f = jit(lambda x: model(x))
    for gradient in (False, True):
        text = f.source(language, [1.0, 2.0], gradient=gradient, freeze=True, name="model")
        assert ("inputs[1]" in text, "inputs[2]" in text) == (True, False)
        want = [f([0.3, -0.4])]
        if gradient:
            want += f.value_and_grad([0.3, -0.4])[1]
        (got,) = RUN[language]([text], [("model", [0.3, -0.4], len(want))], tmp_path)
        assert list(map(bits, got)) == list(map(bits, want))


@every_language
def test_parameters_and_draws_are_inputs_and_are_named(language):
    w = Value(2.0, "weight")
    drop = nn.Dropout(0.5, rng=1)
    f = jit(lambda x: w * drop([x])[0])
    text = f.source(language, 1.0, gradient=True)
    for line in ("inputs[0]   x", "inputs[1]   draw1", "inputs[2]   weight", "outputs[0]  result",
                 "outputs[1]  d result / d x", "outputs[2]  d result / d weight"):
        assert f"{line}\n" in text
    assert "outputs[3]" not in text


@every_language
def test_nested_arguments_and_results_are_flat_and_each_number_is_named(language, tmp_path):
    @jit
    def f(p, xs):
        return {"sum": xs[0] + p["b"], "order": [xs[1] < p["b"], p["w"][1]]}

    text = f.source(language, {"w": [1.0, 2.0], "b": 3.0}, (4.0, 5.0))
    for line in ("inputs[1]   p['w'][1]", "inputs[2]   p['b']", "inputs[4]   xs[1]",
                 "outputs[0]  result['sum']", "outputs[1]  result['order'][0]"):
        assert f"{line}\n" in text
    calls = [("f", [1.0, 2.0, 3.0, 4.0, 0.5], 3)]
    assert RUN[language]([text], calls, tmp_path) == [[7.0, 1.0, 2.0]]


@every_language
def test_a_long_program_is_written_in_parts(language, tmp_path):
    def f(x, y):
        for k in range(MOST_STATEMENTS // 3):
            x, y = abs(x - y * (k % 7)) * 0.5, x
        return x * y

    xs = [0.7, 1.3]
    text = jit(f).source(language, *xs, gradient=True)
    assert text.count("f_part") >= 4
    (got,) = RUN[language]([text], [("f", xs, 3)], tmp_path)
    assert list(map(bits, got)) == list(map(bits, eagerly(f, xs)))


@every_language
def test_a_sum_of_many_products_is_computed_from_the_left(language, tmp_path):
    weights = [random.Random(1).uniform(-1, 1) * 10.0**(k % 30) for k in range(1000)]
    f = jit(lambda xs: math.sumprod(xs, weights))
    xs = [std.sin(k) for k in range(1000)]
    text = f.source(language, xs)
    assert max(map(len, text.splitlines())) < 200
    (got,) = RUN[language]([text], [("f", xs, 1)], tmp_path)
    assert bits(got[0]) == bits(f(xs))
    assert DOT in f.tape().table


# ---- wrong inputs


def test_a_wrong_index_is_an_error_or_nan(tmp_path):
    f = jit(lambda xs, i: math.take(xs, i))
    calls = [("f", [7.0, 8.0, 9.0, index], 1) for index in (3.0, -1.0, 0.5, std.nan)]
    text = f.source("c", [1.0, 2.0, 3.0], 0.0, name="f")
    assert all(std.isnan(x) for (x,) in run_c([text], calls, tmp_path))
    for call in calls:
        with pytest.raises(IndexError, match="whole number from 0 to 2"):
            RUN["python"]([f.source("python", name="f")], [call], tmp_path)
    for call in calls[1:3]:
        with pytest.raises(AssertionError, match="RangeError"):
            run_javascript([f.source("javascript", name="f")], [call], tmp_path)


@pytest.mark.parametrize(("language", "error", "message"), [
    ("javascript", AssertionError, "RangeError: f: 2 inputs, not 1"),
    ("python", ValueError, "f needs 2 inputs, not 1"),
])
def test_a_wrong_number_of_inputs_is_an_error(language, error, message, tmp_path):
    text = jit(lambda x, y: x + y).source(language, 1.0, 2.0)
    with pytest.raises(error, match=message):
        RUN[language]([text], [("f", [1.0], 1)], tmp_path)


def test_texts_of_input_fields_are_numbers_in_javascript(tmp_path):
    text = jit(lambda x, y: x + y).source("javascript", 1.0, 2.0, name="plus")
    ask = 'const f = () => plus(["1.5", "2"]);'
    assert run_javascript([text, ask], [("f", [], 1)], tmp_path) == [[3.5]]


LABELS = [
    "*/ #error out", "/* in", "a\n#error out", "b\r\u2028throw 1", "*\\", "</script><b>", "<!--",
    "coding: utf-7", "\ud800", "\0", "\u202eevil", "θ", '"""', "??/", "{x}", "$erf", "%s" * 200,
    "**//", "\\u000athrow 1",
]


@every_language
def test_labels_stay_inside_the_comment(language, tmp_path):
    leaves = [Value(float(k), label) for k, label in enumerate(LABELS)]
    f = jit(lambda p: math.total(leaves) + p["*/\n#error out"])
    text = f.source(language, {"*/\n#error out": 1.0}, gradient=True)
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(len, text.splitlines())) < 110
    assert "</script" not in text
    assert "<!--" not in text
    assert "θ" in text
    xs = [1.0, *map(float, range(len(LABELS)))]
    (got,) = RUN[language]([text], [("f", xs, len(xs) + 1)], tmp_path)
    assert got == [1.0 + sum(range(len(LABELS))), *[1.0] * len(xs)]


@every_language
@pytest.mark.parametrize("name", ["", "9", "a b", "f;", "f\n", "é", "_f", "x.y", "for"])
def test_names_that_a_language_does_not_allow_are_refused(language, name):
    f = jit(lambda x: x)
    f(1.0)
    with pytest.raises(ValueError, match=r"name must be made of letters, .*, not .*; choose one"):
        f.tape().source(language, name)


@pytest.mark.parametrize(("language", "name"), [
    ("c", "double"), ("c", "exp"), ("c", "y0"), ("c", "main"), ("javascript", "Math"),
    ("javascript", "function"), ("python", "math"), ("python", "float"), ("python", "guarded"),
])
def test_names_with_a_meaning_are_refused_and_replaced_by_default(language, name, tmp_path):
    def f(x):
        return math.exp(x) / 2

    f.__name__ = name
    compiled = jit(f)
    with pytest.raises(ValueError, match=f"not {name!r}"):
        compiled.source(language, 1.0, name=name)
    text = compiled.source(language, 1.0)
    (got,) = RUN[language]([text], [("f", [0.0], 1)], tmp_path)
    assert got == [0.5]


@every_language
def test_a_function_may_have_the_name_of_a_variable_of_the_text(language, tmp_path):
    for name in ("t1", "x", "entries", "f_part1"):
        text = jit(lambda x: math.sigmoid(x) + x).source(language, 1.0, name=name)
        (got,) = RUN[language]([text], [(name, [0.0], 1)], tmp_path)
        assert got == [0.5]


def test_an_unknown_language_and_a_function_without_a_program_are_refused():
    f = jit(lambda x: x)
    with pytest.raises(ValueError, match="'c', 'javascript', 'python', not 'rust'"):
        f.source("rust", 1.0)
    with pytest.raises(ValueError, match=r"language must be one of .*, not None"):
        f.source(None, 1.0)
    with pytest.raises(ValueError, match=r"no program yet.*; call it, or pass arguments"):
        f.source("c")
    with pytest.raises(TypeError, match="must return one number for its gradient"):
        jit(lambda x: [x, x]).source("c", 1.0, gradient=True)


@pytest.fixture
def table():
    before = dict(TABLE)
    yield
    TABLE.clear()
    TABLE.update(before)


@every_language
def test_primitives_of_a_program_need_an_expansion(language, tmp_path, table):
    bump = define("bump_of_source", None, lambda x, o: -2 * x * o,
                  expansion=lambda x: math.exp(-x * x))
    f = jit(lambda x: bump(x) * bump(2 * x))
    text = f.source(language, 1.0, gradient=True)
    (got,) = RUN[language]([text], [("f", [0.0], 2)], tmp_path)
    assert got == [1.0, 0.0]
    define("bump_of_source", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o, replace=True)
    with pytest.raises(PrimitiveError, match=r"bump_of_source.*define it with an expansion"):
        f.source(language, 1.0)
