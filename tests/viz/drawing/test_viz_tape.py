"""Drawings of compiled programs: one node an instruction, the frames of the graph, the backward
pass, boxes."""

import doctest
import html
import random
import re
import xml.etree.ElementTree as ET

import pytest
from helpers import run_python
from programs import RandomProgram, gradient_tape

from tinygrad_edu import Value, jit, math, nn, take
from tinygrad_edu.jit.tape.operations import DOT
from viz import draw
from viz.drawing import model, tapes
from viz.drawing.dot import MAX_TERM_LENGTH

SVG = "{http://www.w3.org/2000/svg}"


def network(sizes=(3, 1)):
    """Returns the compiled hinge loss of a network, and the network."""
    net = nn.MLP(2, list(sizes), rng=random.Random(0))
    loss = jit(lambda x, y: nn.hinge(net(x), y))
    loss([1.0, 2.0], 1.0)
    return loss, net


def compiled(f, *xs):
    made = jit(f)
    made(*xs)
    return made


def by_label(records):
    return {node.label: node for node in records.nodes}


def instructions(records):
    return [node for node in records.nodes if node.terms]


def ends(records):
    label = {node.name: node.label for node in records.nodes}
    return [(label[edge.source], label[edge.target]) for edge in records.edges]


def spelled(node):
    return f"{node.label} = {' + '.join(node.terms)}"


def test_module_examples_run_as_printed():
    assert doctest.testmod(tapes).failed == 0


# ---- instructions


def test_a_neuron_is_a_sum_of_products_and_its_activation():
    neuron = nn.Neuron(2, "tanh", rng=random.Random(0))
    records = draw(compiled(neuron, [1.0, 2.0])).records
    assert [(node.role, node.label) for node in records.nodes if not node.terms] == [
        ("input", "x[0]"),
        ("input", "x[1]"),
        ("parameter", "w.0"),
        ("parameter", "w.1"),
        ("parameter", "b"),
    ]
    assert [spelled(node) for node in instructions(records)] == [
        "t1 = b + w.0·x[0] + w.1·x[1]",
        "t2 = tanh(t1)",
    ]
    assert [node.op for node in instructions(records)] == [DOT, "tanh"]
    assert ends(records) == [
        ("b", "t1"),
        ("w.0", "t1"),
        ("x[0]", "t1"),
        ("w.1", "t1"),
        ("x[1]", "t1"),
        ("t1", "t2"),
    ]
    assert all(edge.derivative is None for edge in records.edges)
    assert records.notes == ("2 instructions for 5 operations.",)


@pytest.mark.parametrize("gradient", [False, True])
def test_a_tape_is_drawn_as_its_text_has_it(gradient):
    tape = network()[0].tape(gradient=gradient)
    first, *lines, last = tape.text().splitlines()
    records = draw(tape).records
    assert [spelled(node).replace("·", " * ") for node in instructions(records)] == lines
    assert first == "inputs  " + ", ".join(
        node.label for node in records.nodes if node.role == "input"
    )
    assert set(last.removeprefix("return ").split(", ")) == {
        node.label for node in records.nodes if node.output
    }
    assert records.clusters == ()


@pytest.mark.parametrize("seed", range(40))
def test_any_program_has_a_node_for_each_instruction_and_an_edge_for_each_operand(seed):
    tape, _ = gradient_tape(
        program := RandomProgram(seed), *[f"x{i}" for i in range(len(program.point))]
    )
    drawing = draw(tape, max_nodes=None)
    nodes = instructions(drawing.records)
    assert [node.op for node in nodes] == [op for op, _ in tape.instructions()]
    assert [node.label for node in drawing.records.nodes][:len(tape.names)] == tape.names
    into = {node.name: 0 for node in nodes}
    for edge in drawing.records.edges:
        into[edge.target] += not edge.constant
    constants = range(len(tape.names), tape.first)
    assert list(into.values()) == [
        sum(arg not in constants for arg in args) for _, args in tape.instructions()
    ]
    assert sum(node.output for node in drawing.records.nodes) == len(set(tape.outputs))
    assert drawing.source.count(" -> ") == len(drawing.records.edges)


def test_x_times_x_has_two_edges():
    assert ends(draw(compiled(lambda x: x * x, 2.0)).records) == [("x", "t1"), ("x", "t1")]


def test_each_use_of_a_constant_has_its_own_node():
    records = draw(compiled(lambda x, y: math.exp(x * 2.5) - math.exp(y * 2.5), 1.0, 2.0)).records
    assert [node.label for node in records.nodes if node.role == "constant"] == ["2.5", "2.5"]
    assert [ends for ends, edge in zip(ends(records), records.edges) if edge.constant] == [
        ("2.5", "t1"),
        ("2.5", "t3"),
    ]


def test_trivial_operands_and_indices_have_no_node():
    sums = draw(compiled(lambda x, y, z: x * y + z + 2.0, 1.0, 2.0, 3.0)).records
    assert [spelled(node) for node in instructions(sums)] == ["t1 = z + x·y + 2"]
    assert [node.label for node in sums.nodes if node.role == "constant"] == ["2"]
    chosen = draw(compiled(lambda xs, i: take(xs, i) * 3.0, [1.0, 2.0], 1.0), gradient=True).records
    assert [spelled(node) for node in instructions(chosen)][2:4] == [
        "t3 = 3 if i == 0 else 0",
        "t4 = 3 if i == 1 else 0",
    ]
    assert {node.label for node in chosen.nodes if node.role == "constant"} == {"3"}


def test_signs_and_formulas_in_products_have_brackets():
    records = draw(
        compiled(lambda x, y: x * -2.5 + y * (2 * math.sqrt(2 / math.pi)), 1.0, 2.0)
    ).records
    (total,) = instructions(records)
    assert total.terms == ("x·(-2.5)", "y·(2 * sqrt(2 / pi))")


def test_a_label_that_looks_like_a_number_is_a_label():
    one, zero = Value(3.0, "1"), Value(4.0, "-0.0")
    (total,) = instructions(draw(compiled(lambda x, y: zero + x * one + y, 1.0, 2.0)).records)
    assert total.terms == ("-0.0", "x·1", "y")


def test_results_that_were_given_a_label_have_it():
    def f(x):
        hidden = math.sin(x)
        hidden.label = "hidden"
        return hidden * 2.0

    assert [spelled(node) for node in instructions(draw(compiled(f, 1.0)).records)] == [
        "hidden = sin(x)",
        "t2 = hidden * 2",
    ]


def test_results_are_outputs_with_their_place_in_the_result():
    records = draw(compiled(lambda x, y: {"a": x * 2, "b": [3.0, x, y]}, 1.0, 2.0)).records
    assert [(node.role, node.label, node.returned) for node in records.nodes if node.output] == [
        ("output", "x", ("returned['b'][1]",)), ("output", "y", ("returned['b'][2]",)),
        ("output", "t1", ("returned['a']",)), ("output", "3", ("returned['b'][0]",))]
    twice = compiled(lambda x: (x + 1, x + 1), 1.0)
    one = compiled(lambda x: [x + 1], 1.0)
    for drawn, names in (
        (twice, ("returned[0]", "returned[1]")),
        (twice.tape(), ("returned[0]", "returned[1]")),
        (one, ("returned[0]",)),
        (one.tape(), ("returned",)),
    ):
        assert [node.returned for node in draw(drawn).records.nodes if node.output] == [names]


def test_unused_inputs_are_drawn():
    records = draw(compiled(lambda x, y: x * 2, 1.0, 2.0)).records
    assert [node.label for node in records.nodes if node.role == "input"] == ["x", "y"]


def test_draws_of_dropout_are_inputs():
    dropout = nn.Dropout(0.5, rng=random.Random(0))
    records = draw(compiled(lambda x: dropout([x])[0], 1.0)).records
    assert [(node.role, node.label) for node in records.nodes if not node.terms][:2] == [
        ("input", "x"),
        ("input", "draw1"),
    ]


# ---- the backward pass


def test_the_frames_are_those_of_the_graph():
    loss, net = network()
    y = net([Value(1.0, "x[0]"), Value(2.0, "x[1]")])
    graph = draw(nn.hinge(y, 1.0), max_nodes=None).records
    records = draw(loss).records
    assert records.clusters == graph.clusters
    assert {(node.label, node.cluster) for node in records.nodes if node.role == "parameter"} == {
        (node.label, node.cluster) for node in graph.nodes if node.role == "parameter"}
    assert [
        spelled(node)
        for node in records.nodes
        if node.cluster == "layers.1.neurons.0" and node.terms
    ] == ["t7 = b + w.0·t2 + w.1·t4 + w.2·t6"]


def test_the_backward_pass_through_a_module_has_its_own_frame():
    loss, _ = network()
    records = draw(loss, gradient=True).records
    frames = {}
    for node in instructions(records):
        frames.setdefault(node.cluster, []).append(spelled(node))
    assert frames["∂layers.1.neurons.0"] == [
        "t14 = w.2 * t13",
        "t17 = w.1 * t13",
        "t20 = w.0 * t13",
        "dw.0 = 0 + t2·t13",
        "dw.1 = 0 + t4·t13",
        "dw.2 = 0 + t6·t13",
        "db = 0 + t13",
    ]
    assert frames["∂layers.0.neurons.0"] == [
        "t21 = step(t1)",
        "t22 = t21 * t20",
        "dw.0 = 0 + x[0]·t22",
        "dw.1 = 0 + x[1]·t22",
        "db = 0 + t22",
    ]
    assert frames["∂layers.0"] == [
        f"dx[{i}] = 0 + neurons.2.w.{i}·t16 + neurons.1.w.{i}·t19 + neurons.0.w.{i}·t22"
        for i in range(2)
    ]
    assert frames[""] == [
        "t8 = y * t7",
        "t9 = 1 - t8",
        "t10 = relu(t9)",
        "t11 = step(t9)",
        "t12 = -t11",
        "t13 = y * t12",
        "dy = 0 + t7·t12",
    ]
    # the labels of derivatives say it
    assert [node.label for node in records.nodes if node.returned] == ["t10"]
    assert sum(node.output for node in records.nodes) == 1 + 3 + 13


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_the_backward_pass_goes_from_the_last_module_to_the_first(activation):
    net = nn.MLP(2, [4, 3, 2], activation, rng=random.Random(0))
    error = compiled(
        lambda x: nn.mse(net(x), [0.5, -0.5]) + 0.1 * nn.l2(net.parameters()), [1.0, 2.0]
    )
    records = draw(error, gradient=True, collapse="layers").records
    boxes = [f"{way}layers.{i}" for way in ("", "∂") for i in range(3)]
    assert [node.label for node in records.nodes if node.role == "module"] == [
        *boxes[:3],
        *boxes[:2:-1],
    ]
    into = {
        (source, target) for source, target in ends(records) if source in boxes and target in boxes
    }
    order = [*boxes[:3], *boxes[:2:-1]]
    assert into >= {
        (boxes[0], boxes[1]),
        (boxes[1], boxes[2]),
        (boxes[5], boxes[4]),
        (boxes[4], boxes[3]),
    }
    assert all(order.index(source) < order.index(target) for source, target in into)


def test_derivative_of_an_argument_is_outside_the_frames_that_it_uses():
    net = nn.MLP(1, [1], rng=0)
    records = draw(compiled(lambda x, scale: scale * net([x]), 1.0, 2.0), gradient=True).records
    assert {
        node.label: node.cluster for node in records.nodes if node.label in ("dscale", "dw.0")
    } == {"dscale": "", "dw.0": "∂layers.0.neurons.0"}


def test_equal_or_constant_derivatives_name_their_variables():
    records = draw(compiled(lambda x, y, z: x + y, 1.0, 2.0, 3.0), gradient=True).records
    assert [(node.label, node.returned) for node in records.nodes if node.output] == [
        ("t1", ("returned",)), ("1", ("dx", "dy")), ("0", ("dz",))]


def test_two_models_with_the_same_names_stay_separate():
    first, second = nn.MLP(1, [1], rng=0), nn.MLP(1, [1], rng=1)
    f = compiled(lambda x: first([x]) * second([x]), 1.0)
    records = draw(f, collapse="neurons").records
    assert [node.label for node in records.nodes if node.role == "module"] == [
        "layers.0.neurons.0", "model 2.layers.0.neurons.0"]
    assert all(node.parameters == 2 for node in records.nodes if node.role == "module")


# ---- boxes and limits


def test_modules_are_collapsed_and_expanded_as_in_the_graph():
    loss, _ = network()
    boxes = [node for node in draw(loss, collapse="neurons").records.nodes if node.role == "module"]
    assert [(node.label, node.operations, node.parameters, node.data) for node in boxes] == [
        *[(f"layers.0.neurons.{i}", 2, 3, None) for i in range(3)],
        ("layers.1.neurons.0", 1, 4, None),
    ]
    some = draw(loss, collapse="layers", expand="layers.0.neurons.1").records
    assert [node.label for node in some.nodes if node.role == "module"] == [
        "layers.0.neurons.0", "layers.0.neurons.2", "layers.1"]
    assert "t3 = b + w.0·x[0] + w.1·x[1]" in map(spelled, instructions(some))
    one = draw(loss, gradient=True, collapse=["∂layers.0"]).records
    assert [node.label for node in one.nodes if node.role == "module"] == ["∂layers.0"]


def test_box_and_instruction_are_joined_by_one_edge():
    records = draw(network()[0], gradient=True, collapse="layers").records
    label = {node.name: node.label for node in records.nodes}
    found = {(label[edge.source], label[edge.target]): edge.count for edge in records.edges}
    assert len(found) == len(records.edges)
    assert found["layers.0", "layers.1"] == 3
    assert found["t13", "∂layers.1"] == 7
    one = draw(network()[0], gradient=True, collapse=["layers.0"]).records
    (box,) = (node.name for node in one.nodes if node.label == "layers.0")
    assert [
        edge.count
        for edge in one.edges
        if (edge.source, edge.target) == (box, by_label(one)["dx[0]"].name)
    ] == [3]


def test_above_max_nodes_modules_are_collapsed_and_then_the_rest():
    loss, _ = network((16, 16, 1))
    drawing = draw(loss)
    assert [node.label for node in drawing.records.nodes if node.role == "module"] == [
        f"layers.{i}" for i in range(3)
    ]
    assert drawing.records.notes[0] == "68 instructions for 643 operations."
    assert drawing.records.notes[1].startswith(
        "Layers are collapsed: the 409 nodes are more than max_nodes=300."
    )
    assert "68 instructions for 643 operations." in drawing.source
    assert len(draw(loss, max_nodes=None).records.nodes) == 409
    cut = draw(loss.tape(), max_nodes=10).records
    assert (len(cut.nodes), [node.label for node in cut.nodes if node.role == "rest"]) == (
        10,
        ["... 400 more nodes"],
    )


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
@pytest.mark.parametrize("gradient", [False, True])
def test_at_most_max_nodes_are_drawn(limit, gradient):
    drawing = draw(network()[0], gradient=gradient, max_nodes=limit)
    assert len(drawing.records.nodes) <= max(limit, 2)


# ---- what raises


def test_without_a_program_the_error_says_what_to_do():
    with pytest.raises(ValueError, match=r"no program yet.*call it"):
        draw(jit(lambda x: x))


def test_gradient_of_several_numbers_is_rejected():
    with pytest.raises(TypeError, match="must return one number for its gradient"):
        draw(compiled(lambda x: [x, x], 1.0), gradient=True)


@pytest.mark.parametrize(("make", "remedy"), [
    (lambda: Value(1.0), "not Value; leave gradient out: .* the gradients of backward"),
    (lambda: [Value(1.0)], "not list; leave gradient out: .* the gradients of backward"),
    (lambda: compiled(math.sin, 1.0).tape(), r"tape\(gradient=True\)")])
def test_only_compiled_functions_have_the_option_gradient(make, remedy):
    with pytest.raises(ValueError, match=remedy):
        draw(make(), gradient=True)


@pytest.mark.parametrize(("options", "error", "words"), [
    (
        {"collapse": "neuron"},
        ValueError,
        "collapse must be modules of the graph, not 'neuron'; .*'layers.0'",
    ),
    ({"max_nodes": 0}, ValueError, ">= 1, not 0; pass None"),
    ({"expand": "layers.7"}, ValueError, "expand must be modules of the graph, not 'layers.7'"),
    ({"title": 3}, TypeError, "title must be text"),
])
def test_invalid_options_are_rejected_by_name(options, error, words):
    with pytest.raises(error, match=words):
        draw(network()[0], **options)


# ---- text and picture


def labels_of(drawing, name):
    """Returns the words in a node of the DOT text."""
    line = next(
        line for line in drawing.source.splitlines() if line.strip().startswith(f"{name} [")
    )
    return [html.unescape(text) for text in re.findall(">([^<>]+)<", line)]


def test_the_text_of_an_instruction():
    drawing = draw(compiled(nn.Neuron(2, "tanh"), [1.0, 2.0]))
    nodes = by_label(drawing.records)
    assert labels_of(drawing, nodes["t1"].name) == ["Σ", "t1", "= b + w.0·x[0] + w.1·x[1]"]
    assert labels_of(drawing, nodes["t2"].name) == ["returned", "t2", "= tanh(t1)"]
    assert labels_of(drawing, nodes["w.0"].name) == ["w.0"]
    assert "Σ a sum of products, as one instruction" in drawing.source
    assert "local derivative" not in drawing.source


def test_legend_explains_what_is_drawn():
    for lone in (compiled(lambda x: x, 1.0), compiled(lambda x: 3.0, 1.0), Value(2.0, "x")):
        assert "local derivative" not in draw(lone).source
    assert "local derivative" in draw(Value(2.0, "x") * 3).source


def test_nodes_of_a_frame_stay_together():
    drawing = draw(network()[0], gradient=True)
    frame = {node.name: node.cluster for node in drawing.records.nodes}
    heavy = re.findall(r"(n\d+) -> (n\d+) \[.*weight=8", drawing.source)
    assert heavy == [(edge.source, edge.target) for edge in drawing.records.edges
                     if frame[edge.source] and frame[edge.source] == frame[edge.target]]
    assert len(heavy) == 16 + 3 * 4


def test_long_sums_are_shortened_and_say_by_how_much():
    neuron = nn.Neuron(20, rng=0)
    drawing = draw(compiled(lambda xs: neuron(xs), [1.0] * 20))
    total = by_label(drawing.records)["t1"]
    assert labels_of(drawing, total.name) == [
        "Σ",
        "t1",
        "= b + w.0·xs[0] + w.1·xs[1]",
        "+ … 17 more … + w.19·xs[19]",
    ]
    assert len(total.terms) == 21
    assert f"t1 = {' + '.join(total.terms)}" in drawing.svg()  # the tooltip of an edge


def test_long_expressions_are_cut_between_words():
    drawing = draw(compiled(lambda xs, i: take(xs, i), [1.0] * 50, 3.0))
    *_, text = labels_of(drawing, by_label(drawing.records)["t1"].name)
    assert re.fullmatch(r"= take\(\[(xs\[\d\], )+xs\[\d\], … (xs\[\d\d\], )*xs\[49\]\], i\)", text)
    assert len(text) <= MAX_TERM_LENGTH + 5


def test_labels_come_out_as_typed():
    for label in ("<b>", "{a|b}", r"\N", "&amp;", "a + b", "中文", "]]>"):
        w = Value(2.0, label)
        svg = draw(compiled(lambda x: w * x + w, 1.0), legend=False).svg()  # noqa: B023
        lines = ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]
        assert label in lines
        assert f"= {label} + {label}·x" in [line.replace("\xa0", " ") for line in lines]


def test_tooltips_have_no_numbers():
    svg = draw(network()[0], collapse="layers").svg()
    titles = [title.text for title in ET.fromstring(svg).iter(f"{SVG}title")]
    assert "x[0] to layers.0: 3 edges" in titles
    assert "layers.1 to t8" in titles
    assert "t8 = y * t7" in titles
    assert "t10 = relu(t9)\nreturned" in titles
    assert "1 to t9: a constant, no gradient flows" in titles


def test_edges_of_a_program_go_from_left_to_right():
    drawing = draw(network()[0], gradient=True)
    left = {}
    for group in ET.fromstring(drawing.svg()).iter(f"{SVG}g"):
        if group.get("class") == "node":
            left[group.get("id")] = min(float(text.get("x")) for text in group.iter(f"{SVG}text"))
    assert all(left[edge.source] < left[edge.target] for edge in drawing.records.edges)


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf", "html", "dot"])
def test_drawings_are_saved_in_every_format(suffix, tmp_path):
    path = draw(network()[0], gradient=True, title="a step").save(tmp_path / f"tape.{suffix}")
    assert path.stat().st_size > 2000


SCRIPT = """
import random
from tinygrad_edu import jit, nn
from viz import draw
model = nn.MLP(2, [3, 2, 1], rng=random.Random(3))
loss = jit(lambda x, y: nn.hinge(model(x), y) + nn.l2(model.parameters()))
loss([1.0, 2.0], 1.0)
print(draw(loss).source, draw(loss, gradient=True).source,
      draw(loss, gradient=True, collapse="neurons").source,
      draw(loss.tape(gradient=True), max_nodes=30).source)
"""


def test_the_same_text_in_every_process():
    first, *others = [run_python(SCRIPT, hash_seed=seed).stdout for seed in (0, 1, 12345)]
    assert len(first) > 10_000
    assert others == [first, first]


def test_a_large_program_is_drawn_in_part():
    def f(x):
        y = x
        for _ in range(20_000):
            y = math.sin(y)
        return y

    records = draw(compiled(f, 1.0)).records
    assert len(records.nodes) == model.MAX_NODES
    assert records.notes == (
        "20,000 instructions for 20,000 operations.",
        "Only the 300 nodes nearest to the output are shown: 20,001 are more than max_nodes=300. "
        "To see all: max_nodes=None; to fold modules: collapse=.",
    )


# ---- notebooks


@pytest.fixture
def notebook():
    """Yields a formatter like that of a notebook's kernel."""
    interactiveshell = pytest.importorskip(
        "IPython.core.interactiveshell", reason="IPython is not installed"
    )
    from traitlets.config import Config

    from viz.notebook import register

    settings = Config()
    settings.HistoryManager.enabled = False
    interactiveshell.InteractiveShell.clear_instance()
    shell = interactiveshell.InteractiveShell.instance(config=settings)
    shell.restore_sys_module_state()  # the main program of this process is the test runner
    register()
    yield shell.display_formatter
    interactiveshell.InteractiveShell.clear_instance()


def test_in_a_notebook_compiled_functions_and_tapes_are_drawn(notebook):
    loss, _ = network()
    for shown in (loss, loss.tape(gradient=True), draw(loss)):
        data, _ = notebook.format(shown)
        assert data["text/plain"] == repr(shown)
        expected = shown if shown.__class__.__name__ == "Drawing" else draw(shown)
        assert data["image/svg+xml"] == expected.svg()
    fresh = jit(math.sin)
    assert notebook.format(fresh)[0] == {"text/plain": repr(fresh)}  # there is no program yet


def test_a_notebook_is_not_flooded_with_an_enormous_tape(notebook, monkeypatch):
    monkeypatch.setattr("viz.notebook.MAX_NODES_SHOWN", 5)
    loss, _ = network()
    data, _ = notebook.format(loss)
    reason = (
        "the tape has 10 instructions, more than the 5 that a notebook draws by itself; "
        "to see them collapsed, run viz.draw(f)"
    )
    assert data == {"text/plain": f"{loss!r}\n(no picture: {reason})"}
