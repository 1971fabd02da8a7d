"""The records of a drawing: roles, edges, modules found from labels, collapsing, and omitted
nodes."""

import math
import random
import re

import numpy as np
import pytest

import viz
from tinygrad_edu import Value, nn, record
from tinygrad_edu.engine.graph import topological_order
from tinygrad_edu.nn.module import ParameterName
from viz import draw
from viz.drawing.model import build


def mlp_loss(*samples, sizes=(3, 1), penalty=0.0, plain=False, loss=nn.hinge):
    model = nn.MLP(2, list(sizes), rng=random.Random(1))
    losses = [
        loss(
            model([float(x) if plain else Value(float(x), f"x{i}") for i, x in enumerate(xs)]), 1.0
        )
        for xs in samples
    ]
    total = sum(losses[1:], losses[0])
    if penalty:
        total = total + penalty * nn.l2(model.parameters())
    total.backward()
    return model, total


def test_nodes_have_roles_and_numbers():
    w = Value(0.5, ParameterName("w"))
    x = Value(2.0, "x")
    y = (w * x + 10).tanh()
    y.backward()
    graph = build([y])
    assert [(n.name, n.role, n.label, n.op) for n in graph.nodes] == [
        ("n0", "parameter", "w", ""), ("n1", "input", "x", ""), ("n2", "operation", "", "mul"),
        ("n3", "constant", "", ""), ("n4", "operation", "", "add"), ("n5", "output", "", "tanh")]
    assert graph.nodes[0].grad == w.grad
    assert graph.nodes[3].grad is None
    assert [(e.source, e.target, e.derivative, e.constant) for e in graph.edges] == [
        ("n0", "n2", 2.0, False),
        ("n1", "n2", 0.5, False),
        ("n2", "n4", 1.0, False),
        ("n3", "n4", None, True),
        ("n4", "n5", y.partials[0], False),
    ]


def test_sum_of_a_node_with_itself_has_two_edges():
    a = Value(3.0, "a")
    assert [(e.source, e.target, e.derivative) for e in build([a + a]).edges] == [
        ("n0", "n1", 1.0)
    ] * 2
    assert [e.derivative for e in build([a - a]).edges] == [1.0, -1.0]


def test_a_leaf_can_be_the_output_and_several_roots_are_outputs():
    a = Value(1.0, "a")
    assert [n.role for n in build([a]).nodes] == ["output"]
    assert [n.role for n in build([a * 2, a.exp()]).nodes] == [
        "input",
        "constant",
        "output",
        "output",
    ]


def test_records_are_copies():
    a = Value(1.0, "a")
    drawing = draw(a + a)
    a.data, a.grad, a.label = 5.0, 7.0, "b"
    assert (drawing.records.nodes[0].data, drawing.records.nodes[0].label) == (1.0, "a")


def test_a_bare_neuron_has_no_cluster():
    neuron = nn.Neuron(2, rng=random.Random(0))
    graph = build([neuron([1.0, 2.0])])
    assert graph.clusters == ()
    assert [n.label for n in graph.nodes if n.role == "parameter"] == ["w.0", "w.1", "b"]


def test_clusters_nest():
    _, loss = mlp_loss((1, 2))
    graph = build([loss])
    assert [(c.path, c.parent) for c in graph.clusters] == [
        ("layers.0", ""), ("layers.0.neurons.0", "layers.0"), ("layers.0.neurons.1", "layers.0"),
        ("layers.0.neurons.2", "layers.0"), ("layers.1", ""), ("layers.1.neurons.0", "layers.1")]
    assert {n.cluster for n in graph.nodes if n.role in ("input", "output")} == {""}


def test_collapsed_neurons():
    model, loss = mlp_loss((1, -2))
    graph = build([loss], collapse="neurons")
    boxes = {n.label: n for n in graph.nodes if n.role == "module"}
    assert list(boxes) == [
        "layers.0.neurons.0",
        "layers.0.neurons.1",
        "layers.0.neurons.2",
        "layers.1.neurons.0",
    ]
    assert (boxes["layers.0.neurons.0"].operations, boxes["layers.0.neurons.0"].parameters) == (
        5,
        3,
    )
    assert boxes["layers.0.neurons.0"].cluster == "layers.0"
    x = [1.0, -2.0]
    edges = {(e.source, e.target): e for e in graph.edges}
    inputs = {n.label: n.name for n in graph.nodes if n.role == "input"}
    for i, neuron in enumerate(model.layers[0].neurons):
        box = boxes[f"layers.0.neurons.{i}"]
        out = neuron(x).data
        assert box.data == out
        for j in range(2):
            expected = neuron.w[j].data if out > 0 else 0.0
            assert edges[inputs[f"x{j}"], box.name].derivative == pytest.approx(expected, rel=1e-12)
        assert (
            edges[box.name, boxes["layers.1.neurons.0"].name].derivative
            == model.layers[1].neurons[0].w[i].data
        )


def test_derivatives_through_a_box_are_summed_over_paths():
    x = Value(3.0, "x")
    w = [Value(2.0, ParameterName("m.w.0")), Value(5.0, ParameterName("m.w.1"))]
    y = w[0] * x + w[1] * x
    graph = build([y], collapse=["m"])
    assert [(n.role, n.label, n.data, n.output) for n in graph.nodes] == [
        ("input", "x", 3.0, False), ("module", "m", 21.0, True)]
    assert [(e.source, e.target, e.derivative, e.count) for e in graph.edges] == [
        ("n0", "n1", 7.0, 2)
    ]


def test_collapsed_layers_and_paths():
    _, loss = mlp_loss((1, -2))
    layers = build([loss], collapse="layers")
    assert [n.label for n in layers.nodes if n.role == "module"] == ["layers.0", "layers.1"]
    assert layers.clusters == ()
    first, second = (n for n in layers.nodes if n.role == "module")
    assert first.data is None
    assert second.data is not None
    between = [e for e in layers.edges if (e.source, e.target) == (first.name, second.name)]
    assert [(e.count, e.derivative) for e in between] == [(3, None)]
    one = build([loss], collapse={"layers.0.neurons.1"})
    assert [n.label for n in one.nodes if n.role == "module"] == ["layers.0.neurons.1"]
    assert build([loss], collapse="layers.0") == build([loss], collapse=["layers.0"])


def test_parameters_in_a_box_that_are_used_outside_are_named_on_the_edge():
    _, loss = mlp_loss((1, -2), penalty=0.1)
    graph = build([loss], collapse="neurons")
    of = [e.parameter for e in graph.edges if e.parameter]
    assert of.count("layers.0.neurons.0.w.0") == 2  # w * w has two
    assert all(n.data is not None for n in graph.nodes if n.role == "module")


def test_collapse_in_a_batch_counts_edges():
    _, loss = mlp_loss((1, -2), (3, 4))
    box = next(n for n in build([loss], collapse="neurons").nodes if n.role == "module")
    assert box.data is None
    assert box.operations == 10


@pytest.mark.parametrize(("kwargs", "error", "words"), [
    ({"collapse": "neuron"}, ValueError, ["'neuron'", '"neurons"', "layers.0"]),
    ({"collapse": ["layers.9"]}, ValueError, ["'layers.9'", "'layers.0'"]),
    ({"collapse": 3}, TypeError, ["int", "3"]), ({"collapse": [3]}, TypeError, ["int"]),
    ({"max_nodes": 0}, ValueError, ["0", ">= 1", "pass None"]),
    ({"max_nodes": 2.5}, TypeError, ["float"]),
    ({"max_nodes": "all"}, TypeError, ["'all'", "None"]),
    ({"direction": "up"}, ValueError, ["direction", "'LR' or 'TB'", "'up'"]),
    ({"font_size": 0}, ValueError, ["font_size", "0", "11"]),
    ({"digits": 1}, ValueError, ["digits", "1", "5"]),
    ({"dpi": 10**6}, ValueError, ["dpi", "1,200"]),
    ({"hide": "numbers"}, ValueError, ["hide", "'numbers'", "'derivative'"]),
    ({"hide": 3}, TypeError, ["hide", "3", 'hide=("data", "grad")']),
    ({"max_nodes": True}, TypeError, ["bool"]), ({"title": 3}, TypeError, ["title"]),
])
def test_invalid_arguments_are_rejected(kwargs, error, words):
    _, loss = mlp_loss((1, 2))
    with pytest.raises(error) as caught:
        draw(loss, **kwargs)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(("wrong", "message"), [
    (3.0, "y must be a Value or a list of Values, not float (3.0); a number has no graph"),
    ("y", "y must be a Value or a list of Values, not str ('y'); pass the Value itself"),
    (None, "y must be a Value or a list of Values, not NoneType (None); a function without return"),
    ([Value(1.0), 2.0], "y[1] must be a Value, not float (2.0); a number has no graph"),
    ({"y": Value(1.0)}, "pass one of its Values"),
    ({Value(1.0)}, "pass one of its Values"),
    (np.ones(2), "y[0] must be a Value, not float64 (np.float64(1.0)); a number has no graph"),
    (nn.Neuron(2), "call the model on a sample: draw(model([1.0, 2.0]))"),
    (record(Value(1.0)), "pass the Value that was recorded"),
    (draw(Value(1.0)), "pass the Value that was drawn"),
])
def test_only_values_are_drawn(wrong, message):
    with pytest.raises(TypeError, match=f"^draw: .*{re.escape(message)}"):
        draw(wrong)


def test_drawings_and_pages_are_made_of_records_and_of_text():
    with pytest.raises(TypeError, match=r"records must be .*, not Value .*; write viz.draw\(y\)"):
        viz.Drawing(Value(1.0))
    with pytest.raises(TypeError, match=r"html must be text, not Value .*; write viz.explore\(y\)"):
        viz.Page(Value(1.0), "y")


def test_an_empty_list_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        draw([])


def test_above_max_nodes_neurons_then_layers_are_collapsed():
    _, loss = mlp_loss((1, 2), sizes=[6, 6, 1])
    size = len(build([loss], max_nodes=None).nodes)
    neurons = build([loss], max_nodes=size - 1)
    assert {n.label.count("neurons") for n in neurons.nodes if n.role == "module"} == {1}
    assert neurons.notes[0].startswith(
        f"Neurons are collapsed: the {size} nodes are more than max_nodes={size - 1}"
    )
    assert f"max_nodes={size}" in neurons.notes[0]
    layers = build([loss], max_nodes=len(neurons.nodes) - 1)
    assert [n.label for n in layers.nodes if n.role == "module"] == [
        "layers.0",
        "layers.1",
        "layers.2",
    ]
    assert layers.notes[0].startswith("Layers are collapsed")
    assert build([loss], max_nodes=size).notes == ()


def test_a_drawing_collapses_by_itself_above_25_nodes_and_says_how_to_see_all():
    _, loss = mlp_loss((1, 2))
    size = len(build([loss], max_nodes=None).nodes)

    def boxes(**options):
        return {n.label for n in draw(loss, **options).records.nodes if n.role == "module"}

    assert size > 25
    usual = draw(loss).records
    assert len(usual.nodes) < 25
    assert usual.notes == (
        f"Neurons are collapsed: the graph has {size} nodes. To see all: max_nodes={size}; to "
        "choose: collapse=.",
    )
    assert boxes() == {f"layers.{i}.neurons.{j}" for i, j in ((0, 0), (0, 1), (0, 2), (1, 0))}
    assert boxes(expand="layers.0.neurons.1") == boxes() - {"layers.0.neurons.1"}
    # whoever says what to draw gets it
    assert boxes(max_nodes=size) == boxes(max_nodes=None) == set()
    assert boxes(collapse=["layers.1"]) == {"layers.1"}
    assert boxes(collapse="layers") == {"layers.0", "layers.1"}


def test_a_small_graph_and_a_graph_without_modules_stay_whole():
    assert draw(nn.MLP(2, [1], rng=0)([Value(1.0), Value(2.0)])).records.boxes == frozenset()
    x = y = Value(1.0, "x")
    for _ in range(60):
        y = y * x
    drawing = draw(y).records
    assert len(drawing.nodes) == 61
    assert drawing.notes == ()


def test_layers_are_collapsed_if_neurons_have_too_many_edges():
    _, loss = mlp_loss((1, 2), sizes=[16, 16, 1])
    graph = build([loss])
    assert [n.label for n in graph.nodes if n.role == "module"] == [
        "layers.0",
        "layers.1",
        "layers.2",
    ]
    assert graph.notes[0].startswith("Layers are collapsed: the ")
    chosen = build([loss], collapse="neurons")
    assert sum(n.role == "module" for n in chosen.nodes) == 33
    assert len(chosen.edges) > 150
    assert chosen.notes == ()
    _, small = mlp_loss((1, 2), sizes=[9, 9, 1])  # 18 + 81 + 9 edges
    assert sum(n.role == "module" for n in build([small]).nodes) == 19


def test_farthest_nodes_are_left_out():
    x = Value(1.0, "x")
    y = x
    for _ in range(1000):
        y = y.tanh()
    graph = build([y], max_nodes=10)
    rest = graph.nodes[0]
    assert (rest.role, rest.label, rest.operations) == ("rest", "... 992 more nodes", 991)
    assert len(graph.nodes) == 10
    assert len(graph.edges) == 9
    assert graph.edges[0].derivative == topological_order(y)[-9].partials[0]
    assert "1,001" in graph.notes[0]
    assert "max_nodes=None" in graph.notes[0]


def test_a_shared_leaf_near_the_output_also_leads_into_the_rest():
    x = Value(1.0, "x")
    y = x
    for _ in range(100):
        y = y + x
    graph = build([y], max_nodes=10)
    rest, leaf = (next(n.name for n in graph.nodes if n.role == role) for role in ("rest", "input"))
    merged = [e for e in graph.edges if (e.source, e.target) == (leaf, rest)]
    # 8 additions are shown, 92 hidden, one of x + x
    assert [(e.count, e.derivative) for e in merged] == [(101 - 8, None)]


def test_nonfinite_numbers_are_kept():
    y = Value(math.inf, "x") * 0.0
    node = build([y]).nodes[-1]
    assert node.data is not None
    assert math.isnan(node.data)


def test_two_models_with_the_same_names_stay_separate():
    first, second = nn.MLP(1, [1], rng=0), nn.MLP(1, [1], rng=1)
    drawing = draw(first([Value(1.0)]) + second([Value(1.0)]), collapse="neurons")
    boxes = [node for node in drawing.records.nodes if node.role == "module"]
    assert [box.label for box in boxes] == ["layers.0.neurons.0", "model 2.layers.0.neurons.0"]
    assert [(box.operations, box.parameters) for box in boxes] == [(2, 2), (2, 2)]


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
def test_at_most_max_nodes_are_drawn(limit):
    a, b = Value(1.0, "a"), Value(2.0, "b")
    y = a * b
    for _ in range(60):
        y = y * a + 1.0
    drawing = draw(y, max_nodes=limit)
    assert len(drawing.records.nodes) == max(limit, 2)
    assert "<svg" in draw(a * b, max_nodes=limit).svg()


def test_expanded_modules_stay_open_and_their_siblings_do_not():
    model = nn.MLP(2, [3, 3, 1], rng=random.Random(0))
    y = model([Value(1.0, "x1"), Value(2.0, "x2")])

    def boxes(**options):
        return [node.label for node in build([y], **options).nodes if node.role == "module"]

    assert boxes(collapse="layers", expand="layers.1.neurons.2") == [
        "layers.0", "layers.1.neurons.0", "layers.1.neurons.1", "layers.2"]
    assert boxes(collapse="layers", expand="layers.1") == ["layers.0", "layers.2"]
    assert boxes(collapse="neurons", expand=["layers.0", "layers.2.neurons.0"]) == [
        f"layers.1.neurons.{i}" for i in range(3)
    ]
    assert boxes(expand="layers.0.neurons.0") == []
    assert boxes(collapse="neurons", expand="neurons") == []
    graph = build([y], "layers", expand="layers.1.neurons.2")
    assert {
        node.label
        for node in graph.nodes
        if node.cluster == "layers.1.neurons.2" and node.role == "parameter"
    } == {f"layers.1.neurons.2.{name}" for name in ("w.0", "w.1", "w.2", "b")}
    with pytest.raises(ValueError, match=r"expand must be modules of the graph, not 'layers.7'"):
        build([y], expand="layers.7")
