"""Untrusted input: expressions, checkpoints, histories and labels. It must not run, hang, or leave
anything half done.

Expressions and files give a result or their documented error within a second. Labels are only
shown. The last part reads the source to check that no text and no pickle of a user is ever run.
"""

import ast
import hashlib
import json
import random
import re
import time
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from helpers import ROOT, Within, bits, inf, nan, scaled
from hypothesis import example, given, settings
from hypothesis import strategies as st

import viz
from tinygrad_edu import History, Value, fit, nn, optim, parse
from tinygrad_edu.errors import CheckpointError, DataError, ExpressionError, RenderError
from tinygrad_edu.symbolic.expressions import function_names, variables_of
from viz.drawing import dot
from viz.pages import page


@pytest.mark.parametrize("ending", [lambda: None, lambda: int("refused")])
def test_time_limit_reports_slow_code(ending):
    def busy():
        with Within(0.01):
            end = time.process_time() + 0.011
            while time.process_time() < end:
                pass
            ending()

    with pytest.raises(AssertionError):
        busy()


# ---- expressions: a Value or an ExpressionError, without a warning -------------------------------

FRAGMENTS = [
    "x",
    "y",
    "1",
    "2.5",
    "1e9",
    "(",
    ")",
    "(",
    ")",
    "+",
    "-",
    "*",
    "/",
    "//",
    "**",
    "%",
    ",",
    "sin",
    "max(",
    "where(",
    "x<y",
    "<",
    " ",
    ".",
    "[",
    "]",
    "{",
    "}",
    ":",
    "'",
    '"',
    "\\",
    "if",
    "else",
    "lambda",
    "for",
    "in",
    "=",
    ":=",
    "not",
    "and",
    "await ",
    "f'",
    "@",
    "~",
    "\n",
    "#",
    "\x00",
    "é",
    "ﬁ",
    "\u2028",
    "\ud800",
    "1j",
    "True",
    "None",
    "...",
    "0x",
    "9" * 30,
    "round_digits(",
    "inf",
    "nan",
    "__class__",
    "import",
    "yield",
    "*x",
    "log(",
]
TOKENS = ["x", "(", ")", "+", "-", "*", "**", "1", "sin(", ",", "<", "where("]
OPERATORS = [
    *[" + ", "-", "*", " / ", "//", "%", "**"] * 5, "^", "@", "<", " if ", ":=", " ", ",",
]
nearly = st.recursive(  # parts of the language, and some that are almost parts of it
    st.sampled_from([
        *["x", "y", "1", "2.5", ".5e-3", "pi", "inf"] * 6,
        "z", "x.data", "'x'", "1j", "True", "0777", "\u0665", "9" * 400,
    ]),
    lambda parts: st.one_of(
        st.tuples(parts, st.sampled_from(OPERATORS), parts).map("".join),
        *[parts.map(form.format) for form in ["({})", "-{}"] * 3 + ["({}", "[{}]"]],
        st.tuples(
            st.sampled_from([*function_names(), "print", "eval"]), st.lists(parts, max_size=3)
        ).map(lambda call: f"{call[0]}({', '.join(call[1])})"),
        st.tuples(parts, parts, parts).map(lambda three: "where({} < {}, {}, 1)".format(*three)),
    ),
    max_leaves=8,
)
anything = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
    st.text(max_size=30),
    nearly,
    st.text(st.characters(codec="utf-8"), max_size=10),
    st.lists(st.sampled_from(TOKENS), max_size=60).map("".join),
)


def outcome(text, variables):
    """Returns ``(result, None)`` or ``(None, error)``. Anything else is a failure of the test."""
    with warnings.catch_warnings(record=True) as caught, Within():
        warnings.simplefilter("always")
        try:
            result, error = parse(text, variables), None
        except ExpressionError as refused:
            result, error = None, refused
    assert caught == [], [str(warning.message) for warning in caught]
    return result, error


@settings(max_examples=scaled(1000, 10_000))
@given(text=anything)
def test_any_text_gives_a_value_or_an_expression_error(text):
    result, error = outcome(text, {"x": 1.5, "y": Value(-2.0)})
    assert (type(result) is Value) != isinstance(error, ExpressionError)


@settings(max_examples=scaled(200, 10_000))
@given(text=anything)
def test_any_text_with_undefined_variables_gives_an_expression_error(text):
    result, error = outcome(f"never_defined + sin({text})", {})
    assert result is None
    assert isinstance(error, ExpressionError)


@settings(max_examples=scaled(200, 10_000))
@given(text=anything)
@example(text="x.__class__.y")
@example(text=r"f'\yf'")
def test_the_variables_of_any_text_are_names_in_it(text):
    try:
        with Within():
            names = variables_of(text)
    except ExpressionError:
        return
    assert all(name.isidentifier() for name in names)
    with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    called = {
        node.func.id
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    in_text = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert in_text - called - {"pi", "e", "tau", "inf", "nan"} <= set(names) <= in_text


def test_nearly_valid_texts_are_sometimes_read_and_sometimes_rejected():
    read = []

    @settings(max_examples=300, database=None, derandomize=True)
    @given(text=nearly)
    def look(text):
        read.append(outcome(text, {"x": 1.5, "y": -2.0})[1] is None)

    look()
    assert 0.2 < sum(read) / len(read) < 0.8


ATTACKS = {
    "attribute": "x.__class__",
    "walk": "().__class__.__bases__[0].__subclasses__()",
    "dunder": "__import__('os').system('true')",
    "builtins": "__builtins__",
    "getattr": "getattr(x, 'data')",
    "call of a call": "sin(1)(2)",
    "method": "x.backward()",
    "index": "x[0]",
    "tower in a call": "exp(9**9**9**9).real",
    "lambda": "lambda: x",
    "called lambda": "(lambda: 1)()",
    "walrus": "(z := 1)",
    "f-string": "f'{x}'",
    "f-string call": "f'{x.__class__}'",
    "list": "[x for x in y]",
    "set": "{1, 2}",
    "generator": "sum(x for x in y)",
    "dict": "{x: y}",
    "conditional": "x if y else 1",
    "and": "x and y",
    "not": "not x",
    "star": "max(*x)",
    "keywords": "sin(x=1)",
    "double star": "sin(**x)",
    "await": "await x",
    "yield": "(yield)",
    "bytes": "b'x'",
    "string": "'x'",
    "long string": "'" + "a" * 9000 + "'",
    "complex": "1j",
    "True": "True",
    "None": "None",
    "Ellipsis": "...",
    "statement": "import os",
    "assignment": "x = 1",
    "two": "x; y",
    "lines": "x\ny",
    "matrix": "x @ y",
    "bits": "x | y",
    "invert": "~x",
    "shift": "1 << 1000000000",
    "chained": "where(1 < x < 2, 1, 2)",
    "equality": "where(x == 1, 1, 2)",
    "in": "where(x in y, 1, 2)",
    "condition": "x < 1",
    "condition in sum": "(x < 1) + 1",
    "condition as argument": "sin(x < 1)",
    "condition second": "where(x < 1, x < 2, 1)",
    "negated condition": "-(x < 1)",
    "NUL": "x\0",
    "only NUL": "\0",
    "surrogate": "\ud800",
    "right to left": "x \u202e+ 1",
    "zero width": "x\u200b+1",
    "minus sign": "x \u2212 1",
    "superscript": "x\N{SUPERSCRIPT TWO}",
    "greek question mark": "x\N{GREEK QUESTION MARK}y",
    "digits": "\u0661 + 1",
    "empty": "",
    "blank": " \t\n",
    "comment": "# nothing",
    "brackets": "(" * 100_000,
    "balanced": "(" * 4000 + "x" + ")" * 4000,
    "minus signs": "-" * 100_000 + "x",
    "9999 minus signs": "-" * 9999 + "x",
    "tildes": "~" * 5000 + "x",
    "nots": "not " * 2000 + "x",
    "calls": "sin(" * 2000 + "x" + ")" * 2000,
    "lists": "[" * 3000 + "]" * 3000,
    "powers": "**".join("9" * 3000),
    "attributes": "x" + ".a" * 4000,
    "indices": "x" + "[0]" * 3000,
    "called": "x" + "()" * 4000,
    "huge number": "9" * 9999,
    "huge hexadecimal": "0x" + "f" * 9990,
    "a million digits": "9" * 1_000_000,
    "commas": "max(" + "1," * 4990,
    "lambdas": "lambda:" * 1400 + "1",
    "long name": "a" * 9999,
    "unknown long function": "a" * 9990 + "(1)",
    "quotes": "'" * 9999,
    "f-strings": "f'{" * 2000,
    "backslashes": "\\" * 9999,
    "ternaries": "1 if 1 else " * 800 + "1",
    "ands": " and ".join("x" * 1500),
    "comparisons": "<".join("x" * 4000),
    "stars": "max(" + "*" * 9000,
    "walrus tower": "(a:=" * 2000,
    "digits and names": "1if x else 2",
    "escape": r"'\d'",
    "octal": "0777",
    "bad literal": "1_000_",
    "invalid characters": "x ? y : z",
    "backticks": "`x`",
    "non-finite digits": "round_digits(x, nan)  .real",
    "no arguments": "sin()",
    "too many": "sin(1, 2)",
    "too few": "hypot()",
    "print": "print(x)",
    "open": "open('x')",
    "eval": "eval('1')",
    "type": "type(x)",
    "Cyrillic letter": "\u0455in(x)",
    "fullwidth brackets": "sin\uff08x\uff09",
    "times sign": "x \u00d7 y",
    "division sign": "x \u00f7 y",
    "Greek letter for a constant": "\u03c0 * x",
    "soft hyphen": "x\xad + 1",
    "line separator": "x +\u2028 1",
    "byte order mark": "x +\ufeff 1",
    "bell": "x\x07",
    "only surrogates": "\udc80" * 100,
    "half an emoji": "x + \ud83d",
    "comprehension": "[x for x in ().__class__.__mro__]",
    "towers of functions": "exp(" * 3000 + "x",
    "600 minus signs": "-" * 600 + "x",
    "a million names": "+".join("x" * 1_000_000),
    "f-string in an f-string": "f'{f\"{x}\"}'",
    "exponent of many digits": "1e" + "9" * 9000 + ".",
    "double attribute": "x.data.__class__",
    "format": "'{0.__class__}'.format(x)",
    "exec": "exec('x')",
    "compile": "compile('x', '', 'eval')",
    "globals": "globals()",
    "vars": "vars(x)",
    "input": "input()",
    "help": "help()",
    "breakpoint": "breakpoint()",
    "import in a lambda": "(lambda: __import__('os'))()",
    "type comment": "x # type: int\n.y",
    "encoding": "# -*- coding: rot13 -*-\nvzcbeg",
    "function as a variable": "sin",
    "function of a function": "sin(cos)",
    "underscore": "_",
    "starred": "*x",
    "slice": "x[::-1]",
    "match": "match x: case 1: 1",
    "del": "del x",
}


@pytest.mark.parametrize("name", list(ATTACKS))
def test_attacks_are_rejected_within_a_second(name):
    result, error = outcome(ATTACKS[name], {"x": 1.5, "y": 2.0})
    assert result is None, f"{ATTACKS[name][:40]!r} gave {result}"
    assert len(str(error)) < 600
    assert re.search(r"[a-z]", str(error))


# ---- files: loaded to the last bit, or the documented error without any change

WRONG = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    1.5,
    -0.0,
    1e308,
    5e-324,
    nan,
    inf,
    -inf,
    "nan",
    "-inf",
    "inf",
    "NaN",
    "1",
    "",
    "x" * 100_000,
    "\ud800",
    10**30,
    -(10**400),
    10**4000,
    [],
    {},
    [[]],
    [0.5],
    ["inf"],
    [None],
    {"a": {"b": []}},
    {"shape": [], "data": 0.5},
]


def nested(depth, rng):
    """Returns a deeply nested list or dict."""
    kind, made = rng.random() < 0.5, 0.5
    for _ in range(depth):
        made = [made] if kind else {"data": made}
    return made


def places(content):
    """Yields every ``(container, key)`` in a JSON tree."""
    entries = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, entry in list(entries):
        yield content, key
        yield from places(entry)


def change_meaning(text, rng):
    """Changes a JSON tree: an entry is replaced, removed, doubled, renamed, nested or shifted."""
    content = json.loads(text)
    content.pop("sha256", None)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        container, key = rng.choice(list(places(content)))
        kind = rng.randrange(8)
        if kind < 4:
            container[key] = rng.choice(WRONG)
        elif kind == 4:
            container[key] = nested(
                rng.choice([1, 10, 100, 300, 400, 450, 480, 490, 600, 900, 950]), rng
            )
        elif kind == 5:
            del container[key]
        elif isinstance(container, list):
            container.insert(key, rng.choice(WRONG))
        else:
            container[rng.choice(["x", "data", "shape", "loss", "é", f"{key}.0"])] = container.pop(
                key
            )
    return content


def change_text(data, rng):
    """Changes the bytes: flipped bits, a piece cut out, doubled, cut off or overwritten."""
    data = bytearray(data)
    at, size = rng.randrange(len(data)), rng.choice([1, 3, 30])
    kind = rng.randrange(7)
    if kind < 2:
        for _ in range(size):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[at:at + size]
    elif kind == 3:
        data[at:at] = data[at:at + 10 * size]
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        data[at : at + size] = rng.choice(
            [
                b"\xff\xfe",
                b"\0",
                b"NaN",
                b"1e999",
                b"[" * 100_000,
                b'{"a":' * 50_000,
                b'"',
                b"9" * 5000,
            ]
        )
    else:  # a key twice, the second one empty or wrong
        keys = [match.end() for match in re.finditer(rb'"[^"]*":', bytes(data))]
        end = rng.choice(keys)
        key = bytes(data[:end]).rpartition(b'"')[0].rpartition(b'"')[2]
        data[end:end] = rng.choice([b"1, ", b"null, ", b"[], "]) + b'"' + key + b'": '
    return bytes(data)


def signed(content):
    """Returns a checkpoint's text with the right digest, so that its content must be checked."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest})


def state_of_all(*things):
    """Returns the bits of everything in a model's parameters, an optimiser or a history."""

    def exact(entry):
        if isinstance(entry, dict):
            return {name: exact(value) for name, value in entry.items()}
        if isinstance(entry, (list, tuple)):
            return [exact(value) for value in entry]
        return bits(entry) if type(entry) is float else (type(entry).__name__, entry)

    return exact(
        [
            (thing.state_dict(), [(p.data, p.grad) for p in thing.parameters()])
            if isinstance(thing, nn.Module)
            else (thing.state_dict(), thing.lr)
            if isinstance(thing, optim.Optimizer)
            else vars(thing)
            for thing in things
        ]
    )


def trained(seed, steps):
    model = nn.MLP(2, [2, 1], rng=seed)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    history = fit(
        model,
        nn.mse,
        [[0.5, -1.0], [1.0, 2.0]],
        [1.0, 0.0],
        optimizer=optimizer,
        epochs=steps,
        metrics={"error": lambda p, t: abs(float(p) - t)},
    )
    return model, optimizer, history


def numbers(entry):
    return (
        float(entry)
        if isinstance(entry, (int, float, str)) and not isinstance(entry, bool)
        else entry
    )


def said(text):
    """Reads the parameters from the text of a checkpoint, independently of the package."""
    found = {}
    for name, group in json.loads(text)["parameters"].items():
        entries = group["data"] if isinstance(group["data"], list) else [group["data"]]
        names = (
            [f"{name}.{i}" for i in range(len(entries))]
            if isinstance(group["data"], list)
            else [name]
        )
        found.update(zip(names, map(numbers, entries)))
    return found


def test_mutated_checkpoints_are_rejected_without_changes_or_loaded_as_written(
    tmp_path,
):
    rng, path = random.Random(7), tmp_path / "model.json"
    source, its_optimizer, _ = trained(1, 3)
    good = nn.save(source, path, its_optimizer).read_bytes()
    model, optimizer, _ = trained(2, 5)
    refused = accepted = 0
    for i in range(scaled(400, 5000)):
        try:
            bad = signed(change_meaning(good, rng)).encode() if i % 2 else change_text(good, rng)
        except RecursionError:  # too deep to be saved at all
            bad = (
                b'{"format": "tinygrad_edu checkpoint", "optimizer": '
                + b"[" * 500
                + b"]" * 500
                + b"}"
            )
        path.write_bytes(bad)
        before = state_of_all(model, optimizer)
        try:
            with Within():
                nn.load(model, path, optimizer)
        except CheckpointError:
            refused += 1
            assert state_of_all(model, optimizer) == before, bad[:2000]
        else:
            accepted += 1
            assert {name: bits(x) for name, x in model.state_dict().items()} == {
                name: bits(x) for name, x in said(bad).items()}
            model, optimizer, _ = trained(2, 5)
    assert refused > 5 * accepted > 0


def test_mutated_histories_are_rejected_or_loaded_as_written():
    rng, (_, _, history) = random.Random(8), trained(1, 4)
    good = history.to_json()
    before, refused, accepted = state_of_all(history), 0, 0
    for i in range(scaled(400, 5000)):
        try:
            bad = (json.dumps(change_meaning(good, rng)) if i % 2 else
                   change_text(good.encode(), rng).decode("utf-8", "replace"))
        except RecursionError:
            bad = "[" * 500 + "]" * 500
        try:
            with Within():
                read = History.from_json(bad)
        except DataError:
            refused += 1
        else:
            accepted += 1
            content = json.loads(bad)
            for name in ("loss", "learning_rates", "seconds"):
                assert list(map(bits, getattr(read, name))) == [
                    bits(numbers(entry)) for entry in content[name]
                ]
            assert {name: list(map(bits, entries)) for name, entries in read.metrics.items()} == {
                name: [bits(numbers(entry)) for entry in entries]
                for name, entries in content["metrics"].items()
            }
            assert (read.epoch_ends, read.interrupted) == (
                content["epoch_ends"],
                content["interrupted"],
            )
            assert repr(read).startswith("History(")
    assert state_of_all(history) == before
    assert refused > 3 * accepted > 0


@pytest.mark.parametrize("data", [
    b"\xff\xfe", b"", b"\0" * 100, "[\ud800]".encode("utf-16", "surrogatepass"), b"\xef\xbb\xbf{}",
    b"[" * 1_000_000, b"1" * 1_000_000, b'"' + b"x" * 10_000_000,
])
def test_files_of_another_kind_are_rejected_within_a_second(data, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(data)
    model, optimizer, _ = trained(2, 1)
    before = state_of_all(model, optimizer)
    with pytest.raises(CheckpointError, match=r"file\.json"), Within():
        nn.load(model, path, optimizer)
    with pytest.raises(DataError, match=r"file\.json"), Within():
        History.load(path)
    assert state_of_all(model, optimizer) == before


@pytest.mark.parametrize("depth", [6, 20, 60, 150, 300, 450, 490, 550, 700, 900])
def test_deeply_nested_files_are_rejected(depth, tmp_path):
    path, rng = tmp_path / "file.json", random.Random(depth)
    model, optimizer, history = trained(2, 1)
    good, story = nn.save(model, path, optimizer).read_text(), history.to_json()
    before = state_of_all(model, optimizer)

    def variants(text):
        content = json.loads(text)
        content.pop("sha256", None)
        for container, key in list(places(content)):
            kept, container[key] = container[key], nested(depth, rng)
            yield content
            container[key] = kept

    for content in variants(good):
        path.write_text(signed(content))
        with pytest.raises(CheckpointError):
            nn.load(model, path, optimizer)
    for content in variants(story):
        with pytest.raises(DataError):
            History.from_json(json.dumps(content))
    assert state_of_all(model, optimizer) == before


# ---- labels: shown as they are, and nothing more -------------------------------------------------

PIECES = [
    "<b>",
    "</b>",
    "<script>alert(1)</script>",
    "</script>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?xml?>",
    "<TABLE>",
    "</TD>",
    "<BR/>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</svg>",
    "</title>",
    "</style>",
    "<a href='javascript:alert(1)'>",
    "javascript:alert(1)",
    "data:text/html,x",
    "&",
    "&lt;",
    "&#60;",
    "&amp;amp;",
    "&nbsp;",
    "&unknown;",
    "'",
    '"',
    "`",
    "\\",
    "\\\\",
    "\\N",
    "\\G",
    "\\E",
    "\\L",
    "\\l",
    "\\r",
    "\\n",
    "{a|b}",
    "|",
    "<port>",
    "{",
    "}",
    "->",
    "--",
    ";",
    "]",
    "[",
    "=",
    "digraph {",
    "}//",
    "/*",
    "*/",
    "#",
    "subgraph cluster_0",
    "label=",
    "URL=",
    "%s",
    "{0}",
    "{title}",
    "$svg",
    "${x}",
    "$$",
    "{{7*7}}",
    "\0",
    "\x01",
    "\x08",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\x0b",
    "\x0c",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\x9f",
    "\xa0",
    "\xad",
    "\u200b",
    "\u200d",
    "\u200e",
    "\u202e",
    "\u2028",
    "\u2029",
    "\u2066",
    "\ufeff",
    "\ufffe",
    "\uffff",
    "\ufdd0",
    "\ud800",
    "\udfff",
    "\U0001fffe",
    "\U0010ffff",
    "é",
    "e\u0301",
    "\u0301",
    "ß",
    "中文",
    "שלום",
    "مرحبا",
    "😀",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "a",
    "w.0",
    "x",
    " ",
    "  ",
    "1",
    "long word ",
    "_" * 40,
    "n0",
    "e1",
]


def labels(n, seed=0):
    rng = random.Random(seed)
    made = ["]", "]]", "a\n]", " ", "\n", "\\"]
    for i in range(n - len(made)):
        pieces = [
            rng.choice(PIECES) if rng.random() < 0.8 else chr(rng.randrange(0x110000))
            for _ in range(rng.randint(1, 8))
        ]
        made.append("".join(pieces) * (300 if i % 50 == 0 else 1))
    return made


def as_shown(label):
    """Returns a label as a drawing shows it, without line breaks, as `viz.drawing.dot.escape`
    documents."""
    if len(label) > 1000:
        label = f"{label[:1000]}... ({len(label) - 1000:,} more characters)"
    text = label.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ").replace("\n", "")
    return "".join(
        chr(0x2400 + ord(c))
        if c < " "
        else "\u2421"
        if c == "\x7f"
        else "\ufffd"
        if "\x80" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff"
        else c
        for c in text
    )


def tree(labels):
    """Returns the root of a binary tree in which every node has one of the labels. Every seventh
    leaf is a parameter."""
    count = (len(labels) + 1) // 2
    row = [
        Value(float(i), nn.ParameterName(label) if i % 7 == 3 else label)
        for i, label in enumerate(labels[:count])
    ]
    rest = iter(labels[count:])
    while len(row) > 1:
        pairs = [row[i:i + 2] for i in range(0, len(row), 2)]
        row = [pair[0] if len(pair) == 1 else pair[0] * pair[1] if i % 2 else pair[0] + pair[1]
               for i, pair in enumerate(pairs)]
        for node in row:
            node.label = node.label or next(rest)
    return row[0]


class Markup(HTMLParser):
    """Collects the tags of a page with their attributes, its texts by their tag, and everything
    else."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.others = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))

    def handle_data(self, data):
        self.texts.append((self.tags[-1][0] if self.tags else "", data))

    def handle_comment(self, data):
        self.others.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def shape_of(root):
    """Returns the elements of an XML tree and the names of their attributes, without text."""
    return [(element.tag, tuple(sorted(element.attrib))) for element in root.iter()]


def parsed_dot(source):
    """Returns ``(names of nodes, edges, names of attributes, label by node)``, as Graphviz reads a
    source."""
    graph = pygraphviz.AGraph(string=source)
    nodes = graph.nodes()
    attributes = {name for node in nodes for name in node.attr}
    edges = [tuple(map(str, edge)) for edge in graph.edges()]
    return (
        [str(node) for node in nodes],
        edges,
        attributes,
        {str(node): node.attr["label"] for node in nodes},
    )


SVG = "{http://www.w3.org/2000/svg}"
pygraphviz = pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
HARMLESS = ["abc"] * 127  # what the drawings of hostile labels are compared with
BATCHES = [labels(127, seed) for seed in range(8)]  # 1,016 labels
TITLE = "</title></svg><script>alert(1)</script>\\N"


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: "")
def test_hostile_labels_stay_text_in_dot_svg_and_html(batch):
    y, plain = tree(batch), tree(HARMLESS)
    drawing, usual = viz.draw(y, title=TITLE + batch[7]), viz.draw(plain, title="abc")
    names = [node.name for node in drawing.records.nodes]
    assert sorted(node.label for node in drawing.records.nodes) == sorted(batch)
    shown = {node.name: as_shown(node.label) for node in drawing.records.nodes}

    nodes, edges, attributes, label = parsed_dot(drawing.source)
    assert (nodes, edges, attributes) == parsed_dot(usual.source)[:3]
    for name in names:  # a table, as XML; Graphviz reads \\\\ as one backslash when it draws
        cells = ET.fromstring(label[name]).findall("TR/TD/B")
        assert "".join(cells[0].itertext()).replace("\\\\", "\\") == shown[name]

    picture = ET.fromstring(drawing.svg())
    groups = {group.get("id"): group for group in picture.iter(f"{SVG}g")}
    for name in names:
        lines = [
            "".join(text.itertext())
            for text in groups[name].iter(f"{SVG}text")
            if text.get("font-weight") == "bold"
        ]
        symbols = lines.pop(0) if groups[name].findall(f"{SVG}text[@font-size='15.00']") else ""
        assert symbols in ("", "+", "*")
        assert "".join(lines).replace("\xa0", " ") == shown[name].replace("\xa0", " ")
    kinds = set(shape_of(ET.fromstring(usual.svg())))
    assert {kind for kind in shape_of(picture) if kind not in kinds} <= {(f"{SVG}title", ())}
    assert len(list(picture.iter(f"{SVG}g"))) == len(
        list(ET.fromstring(usual.svg()).iter(f"{SVG}g"))
    )


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: "")
def test_hostile_labels_stay_data_in_a_page(batch):
    page, usual = (
        viz.explore(tree(labels), title=title).html
        for labels, title in ((batch, TITLE), (HARMLESS, "abc"))
    )
    markup, usual_markup = Markup(page), Markup(usual)
    assert {tag for tag, _ in markup.tags} == {tag for tag, _ in usual_markup.tags}
    assert set(markup.tags) == set(usual_markup.tags)
    for tag in ("script", "style", "link", "meta", "title", "svg"):
        assert [entry for entry in markup.tags if entry[0] == tag] == [
            entry for entry in usual_markup.tags if entry[0] == tag
        ]
    assert markup.others == usual_markup.others
    page.encode()
    data = [text for tag, text in markup.texts if tag == "script"]
    assert sorted(node["label"] for node in json.loads(data[0])["nodes"]) == sorted(batch)
    assert data[1] == [text for tag, text in usual_markup.texts if tag == "script"][1]


@pytest.mark.parametrize("batch", BATCHES[:2], ids=lambda batch: "")
def test_hostile_labels_are_text_in_a_saved_page(batch, tmp_path):
    page = (
        viz.draw(tree(batch), title=TITLE + batch[7])
        .save(tmp_path / "y.html")
        .read_text(encoding="utf-8")
    )
    usual = viz.draw(tree(HARMLESS), title="abc").html()
    assert set(Markup(page).tags) <= set(Markup(usual).tags)
    assert Markup(page).others == Markup(usual).others


def test_hostile_module_names_stay_titles_of_frames():
    names = [
        name for name in (label.replace(".", "") for label in labels(80, seed=99)) if name.strip()
    ]
    y = sum(Value(1.0) * Value(2.0, nn.ParameterName(f"{name}.w.0"))
            + Value(1.0, nn.ParameterName(f"{name}.b")) for name in dict.fromkeys(names))
    drawing = viz.draw(y, max_nodes=None)
    paths = [cluster.path for cluster in drawing.records.clusters]
    assert len(paths) > 60
    whole = pygraphviz.AGraph(string=drawing.source)
    titles = {str(frame.name): frame.graph_attr["label"] for frame in whole.subgraphs()}
    assert len(titles) == len(paths)
    for i, path in enumerate(paths):
        text = "".join(ET.fromstring(f"<p>{titles[f'cluster_{i}']}</p>").itertext())
        assert text.replace("\\\\", "\\") == as_shown(path)
    shown = ET.fromstring(drawing.svg())
    groups = {group.get("id"): group for group in shown.iter(f"{SVG}g")}
    for i, path in enumerate(paths):
        lines = ["".join(text.itertext()) for text in groups[f"c{i}"].iter(f"{SVG}text")]
        assert "".join(lines).replace("\xa0", " ") == as_shown(path).replace("\xa0", " ")


@pytest.mark.parametrize(("right", "wrong"), [
    ("\\\\", "\\"), ("&lt;b&gt;", "<b>"), ("&#93;", "]"), ("&amp;", "&"),
])
def test_checker_reports_labels_that_are_not_fully_escaped(right, wrong, monkeypatch):
    escape = dot.escape
    monkeypatch.setattr(dot, "escape", lambda *args: escape(*args).replace(right, wrong))
    with pytest.raises((AssertionError, ET.ParseError, RenderError)):
        list(map(test_hostile_labels_stay_text_in_dot_svg_and_html, BATCHES))


def test_checker_reports_data_that_are_not_escaped(monkeypatch):
    monkeypatch.setattr(page, "to_script", lambda data: json.dumps(data, ensure_ascii=False))
    with pytest.raises((AssertionError, UnicodeEncodeError, json.JSONDecodeError)):
        test_hostile_labels_stay_data_in_a_page(BATCHES[1])


# ---- nothing of a user's is run: read from the source --------------------------------------------

DANGEROUS = {
    "": {"eval", "exec", "compile", "__import__"},
    "builtins": {"eval", "exec", "compile", "__import__"},
    "pickle": {"load", "loads", "Unpickler"},
    "_pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "shelve": {"open", "Shelf", "DbfilenameShelf"},
    "yaml": {"load", "load_all", "unsafe_load", "full_load"},
    "dill": {"load", "loads"},
    "joblib": {"load"},
    "os": {
        "system",
        "popen",
        "execv",
        "execve",
        "execvp",
        "execl",
        "execlp",
        "spawnv",
        "spawnl",
        "spawnvp",
    },
    "subprocess": {"getoutput", "getstatusoutput"},
    "runpy": {"run_path", "run_module"},
    "code": {"interact", "InteractiveInterpreter"},
    "pty": {"spawn"},
}
RUNS_CODE = {"eval", "exec"}  # even tests may not have these, except those that say why
IN_TESTS = {
    "test_anomaly.py": "code that claims to be in a file next to the package",
    "test_micrograd.py": "runs the programs of micrograd's README, under either import line",
    "test_optim.py": "a schedule's repr is the call that makes it, which only making it can show",
    "test_every_optimizer.py": "the same of every schedule, and a module with a planted bug",
    "test_every_loss.py": "a module with a planted bug, found as the real ones are",
    "test_expressions.py": "what Python makes of a text that is drawn from eight parts",
    "test_every_data_set.py": "a module with a planted bug, found as the real ones are",
    "test_cli.py": "runs the Python that the command source has written",
    "test_playground.py": "runs the programs that the playground writes",
    "test_questions.py": "computes the answer of a question from its text, a second time",
}


def dangers(source, names=DANGEROUS):
    """Returns ``(line, name)`` for every mention of a function that can run text or load foreign
    objects, under any name.

    A mention is enough, because a function may be passed on. Shell command lines, ``*`` imports
    from such modules, and such names looked up as text are reported, too.
    """
    tree = ast.parse(source)
    of_builtins, everywhere = names.get("", set()), set().union(*names.values())
    modules, imported, found = {}, {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            # `import os.path` binds the name `os`
            tops = [alias.name.partition(".")[0] for alias in node.names]
            modules.update(
                (alias.asname, alias.name) if alias.asname else (top, top)
                for top, alias in zip(tops, node.names)
            )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.update(
                (alias.asname or alias.name, (node.module, alias.name)) for alias in node.names
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            module, name = imported.get(node.id, ("", node.id))
            module = "" if module == "builtins" else module
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = modules.get(node.value.id, node.value.id), node.attr
            module = "" if module == "__builtins__" else module
        elif (
            isinstance(node, ast.ImportFrom)
            and node.module in names
            and any(alias.name == "*" for alias in node.names)
        ):
            found.append((node.lineno, f"{node.module}.*"))
            continue
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            looked_up = {arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)}
            if called in ("getattr", "operator.attrgetter") and looked_up & everywhere:
                found.append((node.lineno, f"{called}(..., {looked_up})"))
            if "" in names and any(
                option.arg in ("shell", "allow_pickle")
                and not (isinstance(option.value, ast.Constant) and option.value.value is False)
                for option in node.keywords
            ):
                found.append((node.lineno, "shell= or allow_pickle="))
            continue
        elif (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and node.slice.value in of_builtins
        ):
            module, name = "", node.slice.value
        else:
            continue
        if name in names.get(module, ()):
            found.append((node.lineno, f"{module}.{name}".strip(".")))
    return found


SOURCES = [
    path for folder in ("tinygrad_edu", "viz") for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_package_evaluates_no_text_and_unpickles_no_foreign_objects(path):
    assert dangers(path.read_text(encoding="utf-8")) == []


def test_tests_evaluate_text_only_for_a_stated_reason():
    mentions = {
        path.name
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if dangers(path.read_text(encoding="utf-8"), {"": RUNS_CODE, "builtins": RUNS_CODE})
    }
    assert mentions == set(IN_TESTS)
    assert len(SOURCES) > 40


@pytest.mark.parametrize("source", [
    "import os.path\nos.system('x')",
    "import pickle\ngetattr(pickle, 'loads')",
    "__builtins__.eval('1')",
    "eval('1')",
    "exec('x = 1')",
    "compile('1', '', 'eval')",
    "__import__('os')",
    "run = exec",
    "list(map(eval, texts))",
    "import builtins\nbuiltins.exec('')",
    "import builtins as b\nb.eval('1')",
    "from builtins import eval as f\nf('1')",
    "import pickle\npickle.loads(b'')",
    "import pickle as p\np.load(file)",
    "from pickle import load as read\nread(file)",
    "import pickle\npickle.Unpickler(file)",
    "from pickle import *",
    "import marshal\nmarshal.loads(b'')",
    "import shelve\nshelve.open('x')",
    "import yaml\nyaml.load(text)",
    "from yaml import load\nload(text)",
    "import os\nos.system('x')",
    "import os as o\no.popen('x')",
    "from os import system as s\ns('x')",
    "import subprocess\nsubprocess.run('x', shell=True)",
    "from subprocess import run\nrun('x', shell=yes)",
    "import subprocess\nsubprocess.getoutput('x')",
    "getattr(builtins, 'eval')('1')",
    "__builtins__['exec']('1')",
    "def f():\n    import pickle as q\n    return q.loads",
    "import numpy as np\nnp.load(f, allow_pickle=True)",
    "import runpy\nrunpy.run_path(p)",
    "class C:\n    run = exec",
    "@eval\ndef f(): ...",
])
def test_checker_reports_planted_dangers(source):
    assert dangers(source) != []


@pytest.mark.parametrize("source", [
    "model.eval()",
    "import pickle\npickle.dumps(1)",
    "def evaluate(): ...",
    "ast.literal_eval('1')",
    "re.compile('x')",
    "import subprocess\nsubprocess.run(['x'], shell=False)",
    "self.load(path)",
    "nn.load(model, path)",
    "json.loads(text)",
    "x = 'eval(1)'",
    "ast.parse(text, mode='eval')",
])
def test_checker_ignores_harmless_names(source):
    assert dangers(source) == []
