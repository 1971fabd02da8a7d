"""Graphs that a page computes itself have Python's numbers and sentences."""

import math as std
import random
import re

import pytest
from helpers import same, scaled

from tests.browser import chromium
from tests.edge_cases import EDGE_CASES, arguments_of, expected_of, within
from tests.node import in_node, steps_of, with_leaves
from tinygrad_edu import Stepper, Value, math, nn, optim, record
from tinygrad_edu.debug.misconceptions import MISCONCEPTIONS
from tinygrad_edu.debug.text import short_number
from tinygrad_edu.engine.primitive import TABLE, lookup
from tinygrad_edu.examples import lecture_neuron, shared_node, weight_decay
from viz.drawing.scene import Scene
from viz.drawing.text import label_number, number_text
from viz.pages.explore import explore
from viz.pages.explorer.page import page_data
from viz.pages.live.program import engine_script, is_alive, program

OPS = tuple(filter(is_alive, TABLE))
# rows whose numbers have the same bits everywhere
EXACT = ("add", "sub", "mul", "div", "neg", "square", "relu", "abs", "maximum", "sqrt", "softsign")


def every_row():
    """Returns the sum of all rows, whose operands are leaves."""
    rng = random.Random(0)
    return sum(
        row(*[Value(rng.uniform(0.1, 0.9), f"{row.name}_{i}") for i in range(row.arity)])
        for row in TABLE.values()
        if is_alive(row.name)
    )


def network(sizes=(3, 1)):
    model = nn.MLP(2, list(sizes), rng=random.Random(1))
    y = nn.mse(model([Value(x, f"x{i}") for i, x in enumerate((1.0, -2.0))]), 1.0)
    y.label = "loss"
    return y


def newton():
    start = x = Value(3.0, "x")
    for _ in range(12):
        x = x - (x * x - 2) / (2 * x)
    assert start.label == "x"
    return x


def random_graph(seed, ops=OPS):
    """Returns a graph of 12 operations, whose numbers stay moderate and smooth."""
    rng = random.Random(seed)
    nodes = [Value(rng.uniform(-2, 2), name) for name in "abc"]
    for _ in range(12):
        row = lookup(rng.choice(ops))
        operands = [math.tanh(rng.choice(nodes[-6:])) * 0.4 + 0.5 for _ in range(row.arity)]
        nodes.append(row(*operands) + 0.25 * nodes[-1])
    nodes[-1].label = "y"
    return nodes[-1]


GRAPHS = [
    lecture_neuron, weight_decay, shared_node, network, newton,
    lambda: random_graph(1), lambda: Value(2.0, "a"), lambda: Value(std.inf, "x") * 0.0,
]


@pytest.mark.parametrize("graph", GRAPHS)
def test_steps_are_those_of_the_recording_for_every_idea(graph, tmp_path):
    y = graph()
    data = page_data(Scene(record(y), max_nodes=None))
    found = steps_of(data, tmp_path, ["", *MISCONCEPTIONS])
    for idea, page in zip(["", *MISCONCEPTIONS], found, strict=True):
        try:
            recording = record(y, misconception=idea)
        except ValueError:
            assert idea == "early"
            assert "more than 10,000 steps here; the page has the first 10,000" in page["verdict"]
            continue
        assert page["start"] == recording.start().sentence
        assert (page["total"], page["forward"]) == (len(recording), recording.forward)
        for step, event, shown in zip(recording, recording.events, page["steps"], strict=True):
            growth = f"   ({shown['growth']})" if shown["growth"] else ""
            formula = f"   [{shown['formula']}]" if shown["formula"] else ""
            assert shown["lead"] + shown["rest"] + growth + formula == step.sentence
            assert shown["text"] == number_text(event.after)
            assert same(float(shown["exact"]), event.after)
            flow = label_number(recording.flow(event)) if event.user is not None else ""
            assert shown["flow"] == flow
        end = Stepper(recording).finish()
        assert all(map(same, map(float, page["gradients"]),
                       [end.numbers(i)[1] for i in range(len(recording.nodes))]))


@pytest.mark.parametrize("idea", MISCONCEPTIONS)
def test_a_page_that_begins_with_a_wrong_idea_has_the_right_pass_too(idea, tmp_path):
    x, z = Value(3.0, "x"), Value(-2.0, "z")
    y = x * z - math.relu(z) + x**2
    data = page_data(Scene(record(y, misconception=idea)))
    for name, page in zip(["", idea], steps_of(data, tmp_path, ["", idea]), strict=True):
        steps = record(y, misconception=name)
        assert [shown["formula"] for shown in page["steps"]] == [step.formula for step in steps]
        assert [shown["text"] for shown in page["steps"]] == [
            number_text(step.after) for step in steps]


def test_constants_in_rules_have_the_digits_of_sentences(tmp_path):
    recording = record(Value(2.0, "x") * (1 / 3) * std.pi)
    page, = steps_of(page_data(Scene(recording)), tmp_path)
    assert [shown["formula"] for shown in page["steps"] if shown["formula"]] == [
        "\u2202v3/\u2202v2 = pi", "\u2202v2/\u2202x = 0.3333"]
    assert "0.3333333" not in "".join(shown["rest"] for shown in page["steps"])


def test_every_row_has_its_sentences(tmp_path):
    recording = record(every_row())
    assert {node.op for node in recording.nodes} == {"", *filter(is_alive, TABLE)}
    page, = steps_of(page_data(Scene(recording, max_nodes=None)), tmp_path)
    for step, shown in zip(recording, page["steps"], strict=True):
        assert shown["rest"] == (step.words.partition(" += ")[2] or step.words)
        assert shown["formula"] == step.formula


@pytest.mark.parametrize(
    ("graph", "exact"),
    [
        (lecture_neuron, False),
        (lambda: network((8, 8, 1)), False),
        (newton, True),
        (lambda: random_graph(2, EXACT), False),
        (weight_decay, False),
    ],
)
def test_a_changed_leaf_gives_pythons_numbers_and_sentences(graph, exact, tmp_path):
    y = graph()
    recording = record(y)
    leaves = [i for i, node in enumerate(recording.nodes) if not node.op and not node.constant]
    rng = random.Random(0)
    chosen = {i: round(rng.uniform(0.5, 2.5), 2) for i in rng.sample(leaves, min(3, len(leaves)))}
    page, = steps_of(page_data(Scene(recording, max_nodes=None)), tmp_path, changes=chosen.items())
    again = record(with_leaves(y, chosen))
    end = Stepper(again).finish()
    numbers = [end.numbers(i) for i in range(len(again.nodes))]
    for i, (data, gradient) in enumerate(numbers):
        found = float(page["data"][i]), float(page["gradients"][i])
        if exact:
            assert same(found[0], data)
            assert same(found[1], gradient)
        else:
            assert found == pytest.approx((data, gradient), rel=1e-12, abs=1e-15)
    assert [shown["rest"] for shown in page["steps"]] == [
        step.words.partition(" += ")[2] or step.words for step in again]
    assert {leaf: float(page["data"][leaf]) for leaf in chosen} == chosen


def test_numbers_are_written_as_python_writes_them(tmp_path):
    rng = random.Random(0)
    numbers = [0.0, -0.0, 0.15625, 2.5, 1e16, 99999.5, 0.99996, std.inf, -std.inf, std.nan, 5e-324,
               1.7976931348623157e308, 0.00390625, 1234.5, 12345.5, 1.00000000001, 0.0001, 1e22]
    for _ in range(scaled(3000, 60_000)):
        numbers.append(rng.randint(-10**7, 10**7) / 2 ** rng.randint(0, 30))
        numbers.append(rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300))
        numbers.append(rng.uniform(-1, 1) * 10 ** rng.randint(-8, 8))
    body = """return given.map((text) => {
        const x = Number(text.replace("inf", "Infinity"))
        return [texts.repr(x), texts.numberText(x), texts.labelNumber(x), texts.shortNumber(x)]
    })"""
    found = in_node(tmp_path, body, list(map(repr, numbers)))
    for x, shown in zip(numbers, found, strict=True):
        assert shown == [repr(x), number_text(x), label_number(x), short_number(x)]


@pytest.mark.parametrize(
    ("text", "number"),
    [("-3", -3.0), ("\u22120.5", -0.5), (" 0,5 ", 0.5), ("1e-3", 0.001), (".5", 0.5), ("+2.", 2.0),
     ("", None), ("x", None), ("1 2", None), ("0x10", None), ("1e", None), ("--1", None),
     ("Infinity", None), ("1;alert(1)", None), ("1,000", None), ("-12,500", None), ("0,125", 0.125),
     ("1,5", 1.5), ("1,0000", 1.0), ("1,000,000", None)],
)
def test_numbers_are_read_as_people_write_them(text, number, tmp_path):
    assert in_node(tmp_path, "return texts.readNumber(given)", text) == number


@pytest.mark.parametrize("text", ["inf", "-inf", "nan"])
def test_what_is_not_finite_is_read_as_it_is_written(text, tmp_path):
    assert in_node(tmp_path, "return texts.repr(texts.readNumber(given))", text) == text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("graph.apply('nope', a)", "the table has no row nope"),
        ("graph.apply('constructor', a)", "the table has no row constructor"),
        ("graph.apply('mul', a)", "mul: the operands must be 2, not 1"),
        ("graph.apply('neg', a, a)", "neg: the operands must be 1, not 2"),
        ("graph.apply('neg', 7)", "operand 7 of neg is not a node"),
    ],
)
def test_a_wrong_call_of_apply_is_an_error_and_adds_no_node(call, message, tmp_path):
    body = f"""
        const graph = new engine.Graph(ROWS)
        const a = graph.leaf(2)
        try {{
          {call}
        }} catch (error) {{
          return [error.name, error.message, graph.size]
        }}"""
    assert in_node(tmp_path, body, None, ["mul", "neg"]) == ["RangeError", message, 1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


COMPUTE = """
const number = (text) => Number(text.replace("inf", "Infinity"))
return arguments[0].map(({ rows, ops, operands, data, partials, constants }) => {
  const graph = new Graph(ROWS)
  ops.forEach((op, node) => {
    const name = op < 0 ? "" : rows[op]
    graph.add(name, operands[node], number(data[node]), partials[node], constants.includes(node))
  })
  graph.recompute(ops.flatMap((op, node) => (op < 0 ? [node] : [])))
  const text = (x) => (Object.is(x, -0) ? "-0" : Number.isFinite(x) ? x : `${x}`)
  return [graph.data.map(text), [...graph.gradients(graph.size - 1)].map(text)]
})
"""


def in_chromium(browser, recordings):
    """Returns data and gradients of graphs, computed by the engine of the pages."""
    given = []
    for recording in recordings:
        made = program(recording, ())
        given.append({**made, "data": [str(x) for x in made["data"]]})
    found = browser.execute_script(engine_script() + COMPUTE, given)
    return [[list(map(float, numbers)) for numbers in pair] for pair in found]


def misses(browser, cases):
    """Yields the numbers of the oracle that the engine of the pages does not give."""
    recordings, places, wanted = [], [], []
    for case in cases:
        args, f = arguments_of(case)
        xs = [Value(x, f"x{i}") for i, x in enumerate(args)]
        y = f(*xs)
        order = record(y)
        names = [node.label for node in order.nodes]
        recordings.append(order)
        places.append([names.index(x.label) if x.label in names else None for x in xs])
        eager = Stepper(order).finish()
        wanted.append((case, [eager.numbers(i)[1] for i in range(len(names))]))
    for (case, eager), place, (data, gradients) in zip(
        wanted, places, in_chromium(browser, recordings), strict=True
    ):
        expected = expected_of(case)
        tolerance = expected["tol"]
        found = [data[-1], *[0.0 if at is None else gradients[at] for at in place]]
        ours = [None, *[0.0 if at is None else eager[at] for at in place]]
        for got, want, own in zip(found, [expected["value"], *(expected["grads"] or [])], ours):
            near = own is not None and (same(got, own) or abs(got - own) <= 8 * std.ulp(own))
            if not within(got, want, tolerance) and not near:
                yield f"{case['op']}{case['args']}: {got!r}, not {want}"


def test_every_edge_case_of_the_oracle_holds_in_chromium(browser):
    assert list(misses(browser, EDGE_CASES)) == []
    assert len(EDGE_CASES) >= 400


def test_a_planted_mistake_of_a_row_is_found_in_chromium(browser, monkeypatch):
    written = engine_script()
    wrong = re.sub(r"function row_sin_0\(x, o\) \{.*?return", "\\g<0> -", written, flags=re.S)
    assert wrong != written
    monkeypatch.setitem(globals(), "engine_script", lambda: wrong)
    assert any(miss.startswith("sin") for miss in misses(browser, EDGE_CASES))


def absolute_gradients(recording):
    """Returns for each node the adjoint accumulated with absolute values: the size of its sum."""
    sizes = [0.0] * len(recording.nodes)
    sizes[-1] = 1.0
    for event in recording.events[recording.forward:]:
        if event.user is not None:
            partial = recording.partial(event.user, event.operand)
            sizes[event.node] += abs(partial) * sizes[event.user]
    return sizes


def test_random_graphs_have_pythons_gradients_in_chromium(browser):
    # rows whose derivative jumps, or whose value changes by a whole number, are left out
    ops = tuple(
        name for name, row in TABLE.items()
        if row.piece is None and name != "where" and is_alive(name)
    )
    graphs = [record(random_graph(seed, ops)) for seed in range(1000)]
    checked = 0
    for recording, (data, gradients) in zip(graphs, in_chromium(browser, graphs), strict=True):
        end = Stepper(recording).finish()
        for i, size in enumerate(absolute_gradients(recording)):
            value, gradient = end.numbers(i)
            assert same(data[i], value) or abs(data[i] - value) <= 1e-12 * abs(value)
            assert same(gradients[i], gradient) or abs(gradients[i] - gradient) <= 1e-12 * size
            checked += 1
    assert checked > 40_000


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.9, "weight_decay": 0.01}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"weight_decay": 0.1}),
        ("RMSprop", {"momentum": 0.5}),
        ("Adam", {"weight_decay": 0.1}),
        ("Adam", {"betas": [0.4, 0.999]}),
        ("AdamW", {}),
    ],
)
def test_optimisers_have_pythons_rules(name, options, tmp_path):
    rng = random.Random(0)
    gradients = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(20)]
    parameters = [Value(x) for x in (1.0, -2.0, 0.5)]
    optimizer = getattr(optim, name)(parameters, lr=0.05, **options)
    expected = []
    for step in gradients:
        for parameter, gradient in zip(parameters, step):
            parameter.grad = gradient
        optimizer.step()
        expected.append([parameter.data for parameter in parameters])
    body = """
        const update = engine.OPTIMIZERS[given.name](given.options)
        const state = { steps: 0, slots: [] }
        let data = [1, -2, 0.5]
        return given.gradients.map((gradient) => {
          data = engine.step(update, data, gradient, state, 0.05)
          return data
        })"""
    found = in_node(tmp_path, body, {"name": name, "options": options, "gradients": gradients})
    for got, want in zip(found, expected, strict=True):
        # 0.9 ** t of the two languages may differ in the last bit
        assert got == (want if "Adam" not in name else pytest.approx(want, rel=1e-14))


def test_the_engine_alone_is_a_module_for_other_programs(tmp_path):
    import shutil
    import subprocess

    from tinygrad_edu.cli import main

    file = tmp_path / "engine.js"
    assert main(["source", "--engine", "js", "-o", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert "Copyright (C) 1993 by Sun Microsystems" in text
    example = re.findall(r"^//   (.*?)(?: +//.*)?$", text, flags=re.M)
    script = "\n".join([
        f'import {{ Graph, OPTIMIZERS, ROWS, step }} from "{file.as_posix()}"',
        *[f"console.log({line})" if line.startswith(("graph.", "step(")) else line
          for line in example],
    ])
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "use.js").write_text(script, encoding="utf-8")
    if shutil.which("node") is None:
        pytest.skip("needs node")
    done = subprocess.run(["node", tmp_path / "use.js"], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    a, b = Value(2.0), Value(-3.0)
    (a * b).tanh().backward()
    assert float(done.stdout.splitlines()[0]) == pytest.approx(a.grad, rel=1e-14)


def test_a_page_is_drawn_from_top_to_bottom_on_request():
    def size(direction):
        page = explore(newton(), direction=direction)
        return list(map(float, re.search(r'viewBox="([^"]+)"', page.html)[1].split()))[2:]

    wide, tall = size("LR"), size("TB")
    assert wide[0] > 3 * wide[1]
    assert tall[1] > 3 * tall[0]
    with pytest.raises(ValueError, match="explore: direction must be 'LR' or 'TB', not 'RL'"):
        explore(newton(), direction="RL")
