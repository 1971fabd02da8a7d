"""The graphs of samples during a training run: the engine's numbers before and after each
update."""

import random

import pytest

from tinygrad_edu import Value, data, fit, math, nn, optim, topological_order
from viz.drawing.text import number_text
from viz.pages.training.sample_graphs import sample_graphs

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")


def trained(hidden=3, samples=12, steps=6, loss=nn.hinge):
    X, y = data.moons(samples, rng=1)
    model = nn.MLP(2, [hidden, 1], rng=1)
    history = fit(
        model,
        loss,
        X,
        y,
        optimizer=optim.SGD(model.parameters(), lr=0.3),
        epochs=steps,
        record_every=2,
        rng=1,
    )
    return model, X, y, history.training


def shown_nodes(scene):
    """Returns the drawn nodes that have numbers."""
    return [node for node in scene.graph.nodes if node.shows is not None]


def test_numbers_are_those_of_the_sample_before_and_after_the_update():
    model, X, y, training = trained()
    graphs = sample_graphs(training, training.snapshots)
    assert [graph.sample for graph in graphs.graphs] == list(range(12))
    for graph in (graphs.graphs[0], graphs.graphs[7]):
        positions = [node.shows for node in shown_nodes(graphs.scenes[graph.scene])]
        for snapshot, rows in zip(training.snapshots, graph.numbers):
            found = {}
            for after in (False, True):
                with training.at(snapshot, after):
                    root = nn.hinge(model([Value(x) for x in X[graph.sample]]), y[graph.sample])
                    model.zero_grad()
                    root.backward()
                    found[after] = [
                        (node.data, node.grad, node.constant) for node in topological_order(root)
                    ]
            for position, (before, gradient, after) in zip(positions, rows):
                data_before, grad, constant = found[False][position]
                if not constant:
                    assert before == number_text(data_before)
                    assert gradient == number_text(grad)
                    assert after == number_text(found[True][position][0])


def test_parameters_gradients_and_modes_are_as_before():
    X, y = data.moons(8, rng=1)
    model = nn.Sequential(nn.Layer(2, 3, rng=1), nn.Dropout(0.5, rng=1), nn.Layer(3, 1, rng=2))

    def loss(prediction, target):
        return nn.hinge(prediction[0] if isinstance(prediction, list) else prediction, target)

    history = fit(
        model,
        loss,
        X,
        y,
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=3,
        record_every=1,
        rng=1,
    )
    before = (
        [(p.data, p.grad) for p in model.parameters()],
        [module.training for module in model.modules()],
    )
    first, second = (
        sample_graphs(history.training, history.training.snapshots).graphs for _ in range(2)
    )
    assert (
        [(p.data, p.grad) for p in model.parameters()],
        [module.training for module in model.modules()],
    ) == before
    assert first == second  # dropout is off


def test_both_targets_share_one_drawing_in_which_the_constants_change():
    _, _, y, training = trained()
    graphs = sample_graphs(training, training.snapshots)
    assert len(graphs.scenes) == 1
    scene = graphs.scenes[0]
    shown = {
        graph.sample: [
            row[0]
            for node, row in zip(shown_nodes(scene), graph.numbers[0])
            if node.role == "constant"
        ]
        for graph in graphs.graphs
    }
    assert {tuple(texts) for texts in shown.values()} == {("1", "1"), ("-1", "1")}
    assert all(texts[0] == str(y[sample]) for sample, texts in shown.items())


def test_networks_of_more_than_25_nodes_are_drawn_with_their_neurons_collapsed():
    _, _, _, training = trained()
    graphs = sample_graphs(training, training.snapshots[:1])
    assert len(topological_order(graphs.scenes[0].recording.values()[-1])) > 25
    drawn = graphs.scenes[0].graph.nodes
    assert sum(node.role == "module" for node in drawn) == 4
    assert len(drawn) <= 25


def test_numbers_fit_their_boxes():
    _, _, _, training = trained()
    graphs = sample_graphs(training, training.snapshots)
    nodes = shown_nodes(graphs.scenes[0])
    for graph in graphs.graphs:
        for rows in graph.numbers:
            for node, (before, gradient, after) in zip(nodes, rows):
                if node.grad is not None:
                    assert max(len(before), len(after)) <= len(number_text(node.data))
                    assert len(gradient) <= len(number_text(node.grad))


def test_neurons_are_collapsed_if_there_are_too_many_nodes():
    _, _, _, training = trained(hidden=16, samples=4, steps=2)
    scene, = sample_graphs(training, training.snapshots).scenes
    roles = [node.role for node in scene.graph.nodes]
    assert roles.count("module") == 17
    assert "parameter" not in roles


def test_samples_are_spread_evenly_and_bounded():
    _, _, _, training = trained(samples=200, steps=1)
    chosen = [
        graph.sample for graph in sample_graphs(training, training.snapshots, max_samples=10).graphs
    ]
    assert len(chosen) == 10
    assert chosen[0] == 0
    assert chosen[-1] == 199
    assert [
        graph.sample for graph in sample_graphs(training, training.snapshots, [3, 5]).graphs
    ] == [3, 5]


def test_sample_with_a_different_graph_has_its_own_drawing():
    w = Value(0.5, "w")
    history = fit(
        lambda x: w * x if x > 0 else math.tanh(w * x),
        nn.mse,
        [1.0, -1.0, 2.0],
        [1.0, -1.0, 2.0],
        optimizer=optim.SGD([w], lr=0.1),
        epochs=2,
        record_every=1,
    )
    graphs = sample_graphs(history.training, history.training.snapshots)
    assert [graph.scene for graph in graphs.graphs] == [0, 1, 0]
    assert len(graphs.scenes) == 2


def test_graph_that_changes_during_training_shows_nan_where_it_differs():
    w = Value(0.5, "w")
    history = fit(lambda x: w * x if w.data > 0 else math.tanh(w * x), nn.mse, [1.0], [-3.0],
                  optimizer=optim.SGD([w], lr=0.4), epochs=2, record_every=1)
    rows = sample_graphs(history.training, history.training.snapshots).graphs[0].numbers
    assert {before for before, _, _ in rows[0]} == {"nan"}  # w was positive then
    assert "nan" not in {number for row in rows[1] for number in row}


def test_inputs_that_cannot_be_values_stay_as_they_are():
    table = [Value(random.Random(i).random(), f"row {i}") for i in range(3)]
    history = fit(
        lambda i: table[i] * 2,
        nn.mse,
        [0, 1, 2],
        [1.0, 2.0, 3.0],
        optimizer=optim.SGD(table, lr=0.1),
        epochs=2,
        record_every=1,
    )
    graphs = sample_graphs(history.training, history.training.snapshots)
    assert [node.label for node in graphs.scenes[0].graph.nodes if node.role == "input"] == [
        "row 0"
    ]


def test_gradients_of_untrained_values_are_right_and_restored():
    w, u = Value(1.0, "w"), Value(2.0, "u")
    product = u * 1.0
    history = fit(
        lambda x: w * x * product,
        nn.mse,
        [1.0, 2.0],
        [1.0, 0.0],
        optimizer=optim.SGD([w], lr=0.001),
        epochs=2,
        record_every=1,
    )
    u.grad, product.grad = 7.0, 8.0
    graphs = sample_graphs(history.training, history.training.snapshots)
    assert (u.grad, product.grad, u.label) == (7.0, 8.0, "u")
    column = [node.label for node in shown_nodes(graphs.scenes[0])].index("u")
    for graph in graphs.graphs:
        x, target = history.training.X[graph.sample], history.training.y[graph.sample]
        for snapshot, rows in zip(history.training.snapshots, graph.numbers):
            weight = snapshot.before[0]
            assert rows[column][1] == number_text(2 * (weight * x * 2.0 - target) * weight * x)


def test_a_persistent_loss_keeps_its_label():
    v = Value(1.0)
    history = fit(
        lambda x: v,
        lambda prediction, target: prediction,
        [1.0],
        [0.0],
        optimizer=optim.SGD([v], lr=0.1),
        epochs=2,
        record_every=1,
    )
    sample_graphs(history.training, history.training.snapshots)
    assert v.label == ""


def test_edges_show_no_derivatives():
    _, _, _, training = trained()
    svg = sample_graphs(training, training.snapshots).scenes[0].svg
    edges = svg.split('class="edge"')[1:]
    assert len(edges) > 5
    assert not any("<text" in edge.split("</g>")[0] for edge in edges)


def test_different_graph_of_the_same_size_shows_nan():
    w = Value(0.5, "w")
    history = fit(
        lambda x: math.sin(w * x) if w.data > 0 else math.tanh(w * x),
        nn.mse,
        [1.0],
        [-3.0],
        optimizer=optim.SGD([w], lr=0.4),
        epochs=2,
        record_every=1,
    )
    rows = sample_graphs(history.training, history.training.snapshots).graphs[0].numbers
    assert w.data < 0
    assert {before for before, _, _ in rows[0]} == {"nan"}
