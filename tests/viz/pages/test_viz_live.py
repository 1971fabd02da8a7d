"""The records that a page shows of a recorded training run."""

import dataclasses
import json
import math as std
import re
import subprocess
import sys

import pytest
from helpers import ROOT

from tinygrad_edu import Value, data, fit, math, nn, optim
from tinygrad_edu.diagnosis.inspection import gradient_flow
from tinygrad_edu.train import History
from viz.plotting.analysis import grid_at, grid_points
from viz.training.frames import MAX_STEPS, frames

X, Y = data.moons(20, rng=0)
FLOWERS = data.iris()


def trained(
    model=None, loss=nn.hinge, inputs=X, targets=Y, epochs=4, record_every=1, lr=0.1, **options
):
    model = model or nn.MLP(2, [4, 1], rng=1)
    parameters = options.pop("parameters", None) or model.parameters()
    return fit(
        model,
        loss,
        inputs,
        targets,
        optimizer=optim.SGD(parameters, lr=lr),
        epochs=epochs,
        rng=3,
        record_every=record_every,
        **options,
    )


def rounded(x, digits=4):
    return float(f"{x:.{digits}g}")


# ---- kinds of pictures ---------------------------------------------------------------------------


def test_two_classes_of_one_output_make_a_boundary():
    history = trained()
    live = frames(history, grid=5)
    assert (live.kind, live.classes, live.outputs, live.fixed, live.notes) == (
        "boundary",
        ("-1", "1"),
        1,
        (),
        (),
    )
    assert [axis.label for axis in live.axes] == ["feature 0", "feature 1"]
    assert [(axis.low, axis.high) for axis in live.axes] == [
        (live.xs[0], live.xs[-1]),
        (live.ys[0], live.ys[-1]),
    ]
    assert [point.sample for point in live.points] == list(range(20))
    assert [point.at for point in live.points] == [(rounded(a, 7), rounded(b, 7)) for a, b in X]
    assert [point.target for point in live.points] == [(float(t),) for t in Y]
    assert [point.label for point in live.points] == [int(t > 0) for t in Y]
    for frame, snapshot in zip(live.frames, history.training.snapshots):
        with history.training.at(snapshot) as model:
            grid = grid_at(grid_points(X, resolution=5), model)
        assert frame.scores == tuple(tuple(map(rounded, row)) for row in grid.outputs[0])
        assert frame.winners == frame.curves == frame.predictions == ()


def test_several_classes_make_a_boundary_with_winners_and_their_lead():
    model = nn.MLP(4, [3], rng=0)
    history = trained(model, nn.cross_entropy, FLOWERS.X[::5], FLOWERS.y[::5], epochs=2)
    live = frames(history, grid=4, features=(3, 1))
    assert (live.kind, live.classes, live.outputs) == ("boundary", ("0", "1", "2"), 3)
    assert [axis.label for axis in live.axes] == ["feature 3", "feature 1"]
    assert [feature for feature, _ in live.fixed] == [0, 2]
    with history.training.at(history.training.snapshots[-1]):
        grid = grid_at(grid_points(FLOWERS.X[::5], features=(3, 1), resolution=4), model)
    last = live.frames[-1]
    assert last.winners == grid.classes()
    assert last.scores == tuple(
        tuple(rounded(grid.margin(last.winners[j][i])[j][i]) for i in range(4)) for j in range(4)
    )


def test_one_feature_makes_a_fit():
    inputs, targets = data.line(12, rng=0)
    model = nn.MLP(1, [3, 1], "tanh", rng=1)
    history = trained(model, nn.mse, inputs, targets)
    live = frames(history)
    assert (live.kind, live.classes, live.ys) == ("fit", (), ())
    assert [axis.label for axis in live.axes] == ["input", "output"]
    assert live.points[3].at == (rounded(inputs[3][0], 7),)
    assert live.points[3].target == (rounded(targets[3], 7),)
    assert live.points[3].label == -1
    assert len(live.frames[0].curves) == 1
    assert len(live.frames[0].curves[0]) == len(live.xs) == 100
    with history.training.at(history.training.snapshots[0]):
        assert live.frames[0].curves[0][0] == rounded(model([-1.2]).data, 7)
    assert live.axes[1].low < min(targets)
    assert live.axes[1].high > max(targets)


def test_samples_that_are_numbers_are_given_to_the_model_as_numbers():
    w = Value(0.5, "w")
    history = fit(
        lambda x: w * x,
        nn.mse,
        [1.0, 2.0],
        [2.0, 4.0],
        optimizer=optim.SGD([w], lr=0.1),
        epochs=2,
        record_every=1,
    )
    live = frames(history)
    assert live.kind == "fit"
    assert live.frames[0].curves[0][0] == rounded(0.5 * live.xs[0], 7)
    assert live.layers == ("parameters",)


def test_a_fit_of_several_outputs_has_a_curve_for_each():
    model = nn.MLP(1, [2], rng=0)
    live = frames(
        trained(model, nn.mse, [[0.0], [1.0], [2.0]], [[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]])
    )
    assert (live.kind, live.outputs, len(live.frames[0].curves)) == ("fit", 2, 2)
    assert live.points[2].target == (2.0, -1.0)
    assert live.notes == (
        "The picture shows the curves of all 2 outputs, but only the targets of the first.",
    )


def test_a_regression_of_several_outputs_says_that_the_first_is_shown_and_has_axes_for_it():
    targets = [[0.1 * a, 1000.0 + b] for a, b in X]
    history = trained(nn.MLP(2, [2], rng=0), nn.mse, targets=targets, lr=1e-9)
    live = frames(history)
    assert (live.kind, live.outputs, len(live.frames[0].predictions[0])) == ("regression", 2, 2)
    assert live.notes == ("The picture shows only the first of 2 outputs, against its target.",)
    assert -10 < live.axes[0].low < live.axes[0].high < 10


def test_classes_of_one_feature_make_a_fit_with_labels():
    live = frames(
        trained(nn.MLP(1, [2], rng=0), nn.cross_entropy, [[0.0], [1.0], [2.0]], [0, 1, 1])
    )
    assert (live.kind, live.classes) == ("fit", ("0", "1"))
    assert [point.label for point in live.points] == [0, 1, 1]
    assert live.notes == ()


def test_other_numbers_make_a_regression():
    inputs, targets = [row[:3] for row in FLOWERS.X[::10]], [row[3] for row in FLOWERS.X[::10]]
    model = nn.MLP(3, [1], rng=0)
    history = trained(model, nn.mse, inputs, targets, lr=0.01)
    live = frames(history)
    assert (live.kind, live.classes, live.xs, live.ys) == ("regression", (), (), ())
    assert [axis.label for axis in live.axes] == ["target", "prediction"]
    assert [point.target for point in live.points] == [(t,) for t in targets]
    with history.training.at(history.training.snapshots[1]):
        assert live.frames[1].predictions == tuple((rounded(model(x).data, 7),) for x in inputs)


def test_samples_of_any_kind_can_make_a_regression():
    w = {"long": Value(0.0, "long"), "short": Value(0.0, "short")}
    history = trained(
        lambda word: w[word] * 2.0, nn.mse, ["long", "short"], [3.0, 1.5], parameters=w.values()
    )
    live = frames(history)
    assert live.kind == "regression"
    assert [point.target for point in live.points] == [(3.0,), (1.5,)]


def test_early_predictions_far_away_do_not_squeeze_the_picture():
    w = Value(1000.0, "w")
    targets = [2.0, 4.0, 7.0]
    history = trained(
        lambda x: w * x[0] + x[1],
        nn.mse,
        [[1.0, 1.0], [2.0, 2.0], [3.0, 4.0]],
        targets,
        epochs=30,
        parameters=[w],
    )
    live = frames(history)
    assert live.frames[0].predictions[2] == (3004.0,)
    assert 7 < live.axes[1].high < 20


def refusing(x):
    if x[0] not in (0.0, 1.0):
        raise LookupError(f"no row {x[0]}")
    return table[int(x[0])] * 1.0


table = [Value(0.3, "t0"), Value(-0.2, "t1")]


@pytest.mark.parametrize(("history", "why"), [
    (lambda: trained(refusing, nn.hinge, [[0.0, 0.0], [1.0, 0.0]], [1, -1], parameters=table),
     r"the model cannot run between the samples \(LookupError: no row 0.5\)"),
    (lambda: trained(
        nn.MLP(2, [1], rng=0), lambda p, t: p * len(t), [[0.0, 0.0], [1.0, 0.0]], ["a", "bc"]),
     "the targets are not numbers"),
    (lambda: trained(
        nn.MLP(2, [3], rng=0), lambda p, t: p[0] * t, [[0.0, 0.0], [1.0, 0.0]], [0.5, 1.5]),
     "the targets do not have as many numbers as the model returns"),
    (lambda: trained(
        lambda x: [table[0] * x[0]] * len(x), lambda p, t: p[0], [[1.0], [2.0, 3.0]], [1, 1],
        parameters=table),
     "the model does not return equally many numbers for every sample"),
    (lambda: trained(
        lambda x: table[0] * x[0], nn.hinge, [[1.0], [2.0, 3.0]], [1, -1], parameters=table),
     "the samples are not rows of equally many numbers"),
], ids=["lookup", "text", "counts", "ragged outputs", "ragged samples"])
def test_note_says_why_a_picture_is_missing(history, why):
    live = frames(history())
    assert (live.kind, live.axes, live.xs, live.ys) == ("none", (), (), ())
    assert len(live.notes) == 1
    assert live.notes[0].startswith("No picture: ")
    assert re.search(why, live.notes[0])
    assert [frame.step for frame in live.frames] == [1, 2, 3, 4]
    assert [point.sample for point in live.points] == [0, 1]
    assert live.frames[0].gradients[0] > 0


# ---- the border ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "labels", "border"), [
    (nn.hinge, (-1, 1), 0.0), (nn.mse, (-1, 1), 0.0), (nn.binary_cross_entropy, (0, 1), 0.0),
    (nn.mse, (0, 1), 0.5), (lambda p, t: abs(p - t), (0, 1), 0.5),
    (lambda p, t: -t * math.log(p) - (1 - t) * math.log(1 - p), (0, 1), 0.5)])
def test_scores_are_0_if_the_loss_prefers_neither_class(loss, labels, border):
    model = nn.MLP(2, [1], output="sigmoid", rng=1)
    history = trained(model, loss, *data.xor(8, labels=labels, rng=0), epochs=1)
    live = frames(history, grid=3)
    with history.training.at(history.training.snapshots[0]):
        grid = grid_at(grid_points(history.training.X, resolution=3), model)
    assert live.classes == tuple(map(str, labels))
    assert live.frames[0].scores == tuple(
        tuple(rounded(x - border) for x in row) for row in grid.outputs[0]
    )


# ---- steps and curves ----------------------------------------------------------------------------


def test_frames_are_chosen_evenly_with_the_first_and_the_last():
    live = frames(trained(epochs=9, record_every=1), grid=2, max_frames=3)
    assert [frame.step for frame in live.frames] == [1, 5, 9]
    assert live.notes == ("3 of 9 snapshots are shown.",)
    assert [frame.step for frame in frames(trained(epochs=9), grid=2, max_frames=2).frames] == [
        1,
        9,
    ]


def test_a_frame_has_the_loss_and_the_rate_of_its_step():
    schedule = optim.linear(0.2, 12, final=0.0)
    history = trained(epochs=3, batch_size=5, record_every=5, lr=schedule)
    live = frames(history, grid=2)
    assert [frame.step for frame in live.frames] == [1, 5, 10, 12]
    assert [frame.loss for frame in live.frames] == [
        rounded(history.loss[step - 1], 7) for step in (1, 5, 10, 12)
    ]
    assert [frame.learning_rate for frame in live.frames] == [
        rounded(schedule(step), 7) for step in (0, 4, 9, 11)
    ]
    assert live.steps == 12
    assert live.loss == tuple((i, rounded(loss, 7)) for i, loss in enumerate(history.loss, 1))


def test_a_long_loss_curve_is_thinned_but_keeps_its_spikes():
    history = trained(epochs=2)
    history.loss[:] = [1 + std.sin(step) / 10 for step in range(100_000)]
    history.learning_rates[:] = [0.1] * 100_000
    history.loss[54_321], history.loss[77_777] = 50.0, -50.0
    live = frames(history, grid=2)
    steps = [step for step, _ in live.loss]
    assert MAX_STEPS // 2 < len(steps) <= MAX_STEPS
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1], live.steps) == (1, 100_000, 100_000)
    at = dict(live.loss)
    assert (at[54_322], at[77_778]) == (50.0, -50.0)
    assert all(value == rounded(history.loss[step - 1], 7) for step, value in at.items())


def test_numbers_that_are_not_finite_are_none_and_everything_is_json():
    history = trained(epochs=2)
    history.loss[1] = std.nan
    history.training.snapshots[0].before[-1] = std.nan
    live = frames(history, grid=3)
    text = json.dumps(dataclasses.asdict(live), allow_nan=False)
    assert json.loads(text)["loss"][1] == [2, None]
    assert set(live.frames[0].scores[0]) == {None}
    assert None not in live.frames[1].scores[0]


# ---- gradients -----------------------------------------------------------------------------------


def test_gradients_are_by_layer():
    history = trained(nn.MLP(2, [3, 3, 1], rng=1))
    live = frames(history, grid=2)
    assert live.layers == ("layers.0", "layers.1", "layers.2")
    for frame, snapshot in zip(live.frames, history.training.snapshots):
        flow = gradient_flow(dict(zip(history.training.names, snapshot.gradients)))
        assert frame.gradients == tuple(rounded(layer.rms) for layer in flow)
        assert live.layers == tuple(layer.path for layer in flow)


def test_parameters_outside_modules_form_a_separate_layer():
    scale, model = Value(1.0), nn.MLP(2, [2, 1], rng=0)
    live = frames(
        trained(lambda x: model(x) * scale, parameters=[scale, *model.parameters()]), grid=2
    )
    assert live.layers == ("parameters", "layers.0", "layers.1")


def test_two_models_with_the_same_names_have_separate_layers():
    first, second = nn.MLP(2, [2, 1], rng=0), nn.MLP(2, [2, 1], rng=1)
    live = frames(
        trained(
            lambda x: first(x) + second(x), parameters=first.parameters() + second.parameters()
        ),
        grid=2,
    )
    assert live.layers == ("layers.0", "layers.1", "model 2.layers.0", "model 2.layers.1")


# ---- how the model is asked ----------------------------------------------------------------------


def dropping():
    return [nn.Layer(2, 6, rng=0), nn.Dropout(0.5, rng=0), nn.Layer(6, 1, "linear", rng=0)]


@pytest.mark.parametrize("targets", [Y, [0.1 * t for t in Y]], ids=["boundary", "regression"])
def test_model_runs_in_evaluation_mode_and_is_left_unchanged(targets):
    model = nn.Sequential(*dropping())
    history = trained(model, nn.mse, targets=targets)
    model.train()
    now, grads = model.state_dict(), [p.grad for p in model.parameters()]
    assert frames(history, grid=4) == frames(history, grid=4)
    assert all(module.training for module in model.modules())
    assert model.state_dict() == now
    assert [p.grad for p in model.parameters()] == grads


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_parameters_are_restored_when_something_raises(error):
    history = trained()
    model = history.training.model
    now = model.state_dict()

    def stop(done, of):
        raise error

    with pytest.raises(error):
        frames(history, grid=2, progress=stop)
    assert model.state_dict() == now

    def failing(x):
        if armed:
            raise error
        return model(x)

    armed = []
    history = trained(failing, parameters=model.parameters())
    now = model.state_dict()
    armed.append(1)
    with pytest.raises(error):
        frames(history, grid=2)
    assert model.state_dict() == now


def test_progress_is_reported_after_every_frame():
    told = []
    frames(trained(), grid=2, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


class Counting(nn.Sequential):
    runs = 0

    def __call__(self, x):
        self.runs += 1
        return super().__call__(x)


def test_a_network_is_run_far_less_often_than_there_are_points():
    model = Counting(*dropping())
    history = trained(model)
    model.runs = 0
    live = frames(history, grid=30, max_frames=2)
    assert model.runs < 200 < 2 * 900
    with history.training.at(history.training.snapshots[0]):
        grid = grid_at(grid_points(X, resolution=30), model)
    assert live.frames[0].scores == tuple(tuple(map(rounded, row)) for row in grid.outputs[0])


w, b = Value(1.0, "w"), Value(0.1, "b")


@pytest.mark.parametrize("model", [
    lambda x: w * x[0] if x[1] > 0.4 else b * x[1],
    lambda x: w * x[0] + b * float(x[1]),
    lambda x: math.where(x[0] > 0.3, w * x[0], b + x[1]),
    lambda x: w * 1.0 if float(x[0]) > 5 else 0.25 + b * x[0],
    lambda x: w * len(x) + 0.0,
    lambda x: math.clip(w * x[0] * x[1] + b, -0.2, 0.2),
    lambda x: [w * x[0], b * x[1]][0],
], ids=["branch", "float", "where", "unused branch", "constant", "clip", "choice"])
def test_grid_is_right_for_models_with_branches_or_constants(model):
    history = trained(model, parameters=[w, b])
    live = frames(history, grid=6)
    with history.training.at(history.training.snapshots[2]):
        grid = grid_at(grid_points(X, resolution=6), model)
    assert live.frames[2].scores == tuple(tuple(map(rounded, row)) for row in grid.outputs[0])


def test_many_samples_are_thinned_evenly():
    live = frames(trained(nn.Neuron(2, rng=0)), grid=2, samples=4)
    assert [point.sample for point in live.points] == [0, 6, 13, 19]
    assert "4 of 20 samples are shown." in live.notes


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"samples": 0}, ValueError, "explore: samples must be a whole number >= 1, not 0"),
    ({"max_frames": 1}, ValueError, "explore: max_frames must be a whole number >= 2, not 1"),
    ({"max_frames": True}, TypeError, r"max_frames must be .*, not bool \(True\)"),
    ({"grid": 1}, ValueError, "grid must be a whole number from 2 to 1,000, not 1"),
    ({"features": (0, 2)}, ValueError, "a feature must be a whole number from 0 to 1, not 2"),
    ({"features": (1, 1)}, ValueError, "features must be two different features"),
])
def test_invalid_options_are_rejected_by_name(change, error, message):
    with pytest.raises(error, match=message):
        frames(trained(epochs=1), **change)


def test_features_of_a_picture_without_a_plane_are_an_error():
    inputs, targets = data.line(5, rng=0)
    with pytest.raises(ValueError, match="the picture of this training run is a 'fit'"):
        frames(trained(nn.MLP(1, [1], rng=0), nn.mse, inputs, targets), features=(0, 1))


def test_a_history_without_snapshots_says_how_to_get_them():
    with pytest.raises(
        ValueError, match=r"must have snapshots; record them with fit\(..., record_every=10\)"
    ):
        frames(trained(record_every=None))
    with pytest.raises(ValueError, match="no step was finished"):
        frames(trained(epochs=0))
    with pytest.raises(ValueError, match="must have snapshots"):
        frames(History())
    with pytest.raises(
        TypeError, match=r"history must be a History, not list \(\[\]\)"
    ):
        frames([])


def test_import_loads_no_large_library():
    code = (
        "import sys, viz.training.records; "
        "print(sorted({'matplotlib', 'rich', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"
