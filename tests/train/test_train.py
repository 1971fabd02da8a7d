"""fit, History, and the snapshots that fit keeps."""

import copy
import gc
import json
import math as std
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
from helpers import ROOT, step_by_hand

from tinygrad_edu import Value, data, detect_anomaly, fit, math, nn, optim
from tinygrad_edu.errors import DataError, NonFiniteError
from tinygrad_edu.train import History, snapshots
from tinygrad_edu.train.snapshots import MAX_NUMBERS, MAX_SNAPSHOTS, Snapshot

X, Y = data.moons(30, rng=0)


def run(model=None, **options):
    model = model or nn.MLP(2, [4, 1], rng=1)
    arguments = {
        "optimizer": optim.SGD(model.parameters(), lr=0.1),
        "epochs": 4,
        "rng": 3,
        **options,
    }
    return model, fit(model, nn.hinge, X, Y, **arguments)


def test_full_batch_step_equals_a_step_by_hand():
    by_fit, history = run(epochs=3, penalty=None)
    by_hand = nn.MLP(2, [4, 1], rng=1)
    losses = []
    for _ in range(3):
        losses.append(step_by_hand(by_hand, nn.hinge, X, Y, by_hand.parameters()))
        for p in by_hand.parameters():
            p.data -= 0.1 * p.grad
    assert history.loss == losses
    assert by_fit.state_dict() == by_hand.state_dict()


def test_mini_batches_cover_every_sample_once_an_epoch_in_a_new_order():
    seen = []
    model = nn.Neuron(2, rng=0)

    def spy(prediction, target):
        return nn.hinge(prediction, target)

    def call(x):
        seen.append(tuple(x))
        return model(x)

    fit(
        call,
        spy,
        X,
        Y,
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=2,
        batch_size=8,
        rng=1,
    )
    first, second = seen[:30], seen[30:]
    assert sorted(first) == sorted(second) == sorted(map(tuple, X))
    assert first != second


def test_history_has_a_figure_for_every_step_and_every_epoch():
    schedule = optim.linear(0.2, 16, final=0.0)
    model = nn.MLP(2, [4, 1], rng=1)
    _, history = run(
        model,
        optimizer=optim.SGD(model.parameters(), lr=schedule),
        batch_size=8,
        metrics=[nn.accuracy],
    )
    assert len(history) == len(history.loss) == len(history.seconds) == 16
    assert history.learning_rates == [schedule(step) for step in range(16)]
    assert history.seconds == sorted(history.seconds)
    assert len(history.metrics["accuracy"]) == history.epochs == 4
    assert not history.interrupted
    assert repr(history).startswith("History(16 steps, 4 epochs in ")


def test_a_history_says_which_engine_ran(tmp_path):
    _, history = run()
    assert history.engine == "eager, 4 steps"
    assert repr(history).endswith("; eager, 4 steps)")
    assert json.loads(history.to_json())["engine"] == "eager, 4 steps"
    assert History.load(history.save(tmp_path / "history.json")).engine == "eager, 4 steps"
    assert run(epochs=1)[1].engine == "eager, 1 step"
    assert run(engine="jit")[1].engine == "jit, 4 steps"
    assert run(engine="jit", epochs=1_000)[1].engine == "jit, 1,000 steps"
    assert History().engine == run(epochs=0)[1].engine == ""


def test_a_history_says_why_another_engine_ran():
    with detect_anomaly():
        assert run(engine="jit")[1].engine == "eager, 4 steps: inside detect_anomaly"
        assert run(engine="eager")[1].engine == "eager, 4 steps"


@pytest.mark.parametrize("engine", ["eager", "jit"])
def test_a_history_counts_the_steps_of_its_engine_after_each_epoch(engine):
    seen = []
    run(engine=engine, on_epoch=lambda history: seen.append(history.engine) or history.epochs == 3)
    assert seen == [f"{engine}, 1 step", f"{engine}, 2 steps", f"{engine}, 3 steps"]


def test_a_compiled_model_that_a_callback_changes_is_compiled_again():
    def trained(engine):
        factor = [1.0]

        def weaken(history):
            factor[0] *= 0.9 if history.epochs >= 400 else 1.0

        model = nn.MLP(2, [4, 1], rng=1)
        history = fit(model, lambda p, t: nn.mse(p, t) * factor[0], X, Y, epochs=410,
                      optimizer=optim.SGD(model.parameters(), lr=0.1), engine=engine,
                      on_epoch=weaken)
        return history.engine, history.loss, model.state_dict()

    assert trained("jit") == ("jit, 410 steps", *trained("eager")[1:])


def test_an_interrupted_history_counts_the_finished_steps():
    def interrupt(p, t):
        raise KeyboardInterrupt

    _, history = run(metrics={"m": interrupt})
    assert (history.engine, len(history)) == ("", 0)


@pytest.mark.parametrize(("engine", "seconds", "is_said"),
                         [("eager", 11.0, True), ("eager", 9.0, False), ("jit", 11.0, False)])
def test_long_eager_run_ends_with_a_hint_at_the_compiler(
    engine, seconds, is_said, capsys, monkeypatch
):
    clock = iter(range(1_000_000))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) * seconds / 4)
    run(engine=engine, progress=True, metrics=[nn.accuracy])
    shown = capsys.readouterr().out
    assert ('engine="jit" may be much faster: see fit' in shown) == is_said
    run(engine=engine)
    assert capsys.readouterr().out == ""


def test_history_without_steps_has_a_repr():
    assert repr(History()) == "History(no steps)"
    assert repr(run(epochs=0)[1]) == "History(no steps)"


def test_the_same_seed_gives_the_same_run():
    assert (
        run(batch_size=4)[1].loss == run(batch_size=4)[1].loss != run(batch_size=4, rng=4)[1].loss
    )


def test_the_penalty_is_added_once_a_step():
    model = nn.MLP(2, [4, 1], rng=1)
    decay = 0.5 * nn.l2(model.parameters()).data
    _, plain = run(epochs=1)
    _, penalised = run(model, epochs=1, penalty=lambda: 0.5 * nn.l2(model.parameters()))
    assert penalised.loss[0] == plain.loss[0] + decay


def test_the_gradient_is_clipped_before_the_step():
    model = nn.MLP(2, [4, 1], rng=1)
    before = [p.data for p in model.parameters()]
    run(model, epochs=1, max_norm=1e-3)
    moved = std.hypot(*[p.data - x for p, x in zip(model.parameters(), before)])
    assert moved == pytest.approx(0.1 * 1e-3, rel=1e-9, abs=0)


def test_metrics_by_name_and_on_epoch_can_stop_early():
    calls = []

    def stop(history):
        calls.append(history.epochs)
        return history.epochs == 2

    _, history = run(epochs=9, metrics={"score": lambda p, t: p * t}, on_epoch=stop)
    assert calls == [1, 2]
    assert history.epochs == len(history.metrics["score"]) == 2


def test_dropout_is_on_during_fit_and_the_mode_is_restored():
    model = nn.Sequential(
        nn.Layer(2, 4, rng=0), nn.Dropout(0.5, rng=0), nn.Layer(4, 1, "linear", rng=0)
    ).eval()
    modes = []

    def loss(p, t):
        modes.append(model.layers[1].training)
        return nn.hinge(p, t)

    fit(model, loss, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=1)
    assert set(modes) == {True}
    assert not model.layers[1].training


def test_nonfinite_loss_raises_before_a_parameter_changes():
    model = nn.Neuron(2, activation="linear", rng=0)
    model.b.label = "bias"

    def loss(p, t):
        return math.log(p * 0.0) + p

    before = model.state_dict()
    with pytest.raises(NonFiniteError) as caught:
        fit(model, loss, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=1)
    message = str(caught.value)
    assert "step 0, epoch 0: the loss is -inf" in message
    assert "v9 = log(v8) = log(0) = -inf" in message
    assert caught.value.explanation.phase == "forward"
    assert 'return math.log(p * 0.0) + p' in message
    assert caught.value.line[0] == __file__
    assert model.state_dict() == before
    assert caught.value.history.loss == []


def test_nonfinite_gradient_is_named_and_changes_no_parameter():
    w = Value(0.0, "w")
    with pytest.raises(NonFiniteError, match="gradient of parameter w is inf"):
        fit(
            lambda x: math.sqrt(w) + x,
            lambda p, t: p,
            [1.0],
            [0.0],
            optimizer=optim.SGD([w], lr=0.1),
            epochs=1,
        )
    assert w.data == 0.0


def test_a_parameter_that_is_nan_from_the_start_is_named():
    w = Value(std.nan, "w")
    with pytest.raises(NonFiniteError, match="the leaf w = nan"):
        fit(lambda x: w * x, nn.mse, [1.0], [0.0], optimizer=optim.SGD([w], lr=0.1), epochs=1)


def test_divergence_keeps_the_history_up_to_it():
    w = Value(1.0, "w")
    with pytest.raises(NonFiniteError) as caught:
        fit(lambda x: w * x, nn.mse, [3.0], [1.0], optimizer=optim.SGD([w], lr=1e6), epochs=500)
    assert 5 < len(caught.value.history) < 500
    assert std.isfinite(w.data)


INTERRUPTED = """
import sys
from tinygrad_edu import data, fit, nn, optim
X, y = data.moons(30, rng=0)
model = nn.MLP(2, [8, 1], rng=1)
print("ready", flush=True)
optimizer = optim.SGD(model.parameters(), lr=0.01)
history = fit(model, nn.hinge, X, y, optimizer=optimizer, epochs=10**6, batch_size=5)
lengths = {len(history.loss), len(history.learning_rates), len(history.seconds)}
print(history.interrupted, len(lengths) == 1, len(history) > 0)
"""


def test_ctrl_c_returns_the_history_so_far():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("True True True\n", "", 0)


def test_an_interrupt_in_any_step_leaves_parameters_of_a_finished_step():
    states, model = [], nn.MLP(2, [3, 1], rng=1)
    run(nn.MLP(2, [3, 1], rng=1), epochs=6, on_epoch=lambda h: None)
    twin = nn.MLP(2, [3, 1], rng=1)
    fit(twin, nn.hinge, X, Y, optimizer=optim.SGD(twin.parameters(), lr=0.1), epochs=6,
        on_epoch=lambda h: states.append(twin.state_dict()))
    calls = []

    def loss(p, t):
        calls.append(1)
        if len(calls) == 100:  # in the middle of the fourth step
            raise KeyboardInterrupt
        return nn.hinge(p, t)

    history = fit(model, loss, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=6)
    assert history.interrupted
    assert history.epochs == len(history) == 3
    assert model.state_dict() == states[2]


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"engine": "gpu"}, ValueError, "engine must be 'eager' or 'jit', not 'gpu'"),
    ({"engine": "auto"}, ValueError, "engine must be 'eager' or 'jit', not 'auto'"),
    ({"epochs": -1}, ValueError, "^fit: epochs must be a whole number >= 0, not -1$"),
    ({"batch_size": 0}, ValueError, "^fit: batch_size must be a whole number >= 1, not 0; "
                                    "pass None for full batches$"),
    ({"epochs": 1.5}, TypeError, r"^fit: epochs must be a whole number, not float \(1\.5\); "),
    ({"epochs": True}, TypeError, r"^fit: epochs must be a whole number, not bool \(True\); "),
    ({"penalty": 1e-4}, TypeError, r"penalty must be a function, not float \(0.0001\); pass a fun"),
    ({"penalty": lambda w: w}, TypeError,
     r"^fit: penalty must be a function of 0 arguments, not <lambda>\(w\); pass a function withou"),
    ({"on_epoch": lambda: 1}, TypeError, r"on_epoch must be a function of 1 argument, not <lambda"),
    ({"metrics": [len]}, TypeError, r"metrics\[0\] must be a function of 2 arguments, not len\("),
    ({"metrics": "accuracy"}, TypeError, "metrics must be a list of functions, not str"),
    ({"optimizer": "adam"}, TypeError, "optimizer must be an Optimizer, not 'adam'"),
    ({"metrics": [lambda p, t: "x"]}, TypeError, "what the metric <lambda> returns must be a real "
                                                 "number, not str"),
    *[({"record_every": wrong}, ValueError,
       f"record_every must be a whole number >= 1, not {wrong}; pass None for no snapshots")
      for wrong in (0, -1)],
    *[({"record_every": wrong}, TypeError, rf"record_every must be a whole number, not "
       rf"{type(wrong).__name__} \({wrong!r}\); pass None for no snapshots")
      for wrong in (True, 2.5, "x")],
])
def test_invalid_options_are_rejected_by_name(change, error, message):
    with pytest.raises(error, match=message):
        run(**change)


def test_invalid_data_is_rejected_by_name():
    model = nn.Neuron(1, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="X and y must have equal lengths, not 2 and 1"):
        fit(model, nn.mse, [[1.0], [2.0]], [1.0], optimizer=optimizer, epochs=1)
    with pytest.raises(ValueError, match="X must not be empty"):
        fit(model, nn.mse, [], [], optimizer=optimizer, epochs=1)
    with pytest.raises(TypeError, match="depends on no Value"):
        fit(model, lambda p, t: 1.0, [[1.0]], [1.0], optimizer=optimizer, epochs=1)


def test_the_progress_bar_shows_loss_and_metric(capsys):
    run(progress=True, metrics=[nn.accuracy], batch_size=10)
    shown = capsys.readouterr().out
    assert "epoch 4/4" in shown
    assert "12/12" in shown
    assert "loss 0." in shown
    assert "accuracy 0." in shown
    assert "eager, 12 steps" in shown
    run()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["[/x]", "[bold]", "[", "\\[a]"])
def test_names_of_metrics_are_shown_as_they_are_in_the_progress_bar(name, capsys):
    _, history = run(progress=True, metrics={name: nn.accuracy})
    assert history.epochs == 4
    assert f"{name} 0." in capsys.readouterr().out


def test_history_to_json_and_back(tmp_path):
    _, history = run(metrics=[nn.accuracy], batch_size=10)
    history.loss[0], history.loss[1] = std.inf, std.nan
    again = History.from_json(history.to_json())
    assert again == history
    json.loads(history.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert History.load(history.save(tmp_path / "history.json")) == history


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "null", '{"format": "tinygrad_edu history", "version": 2}', "[" * 100_000,
    History().to_json().replace('"loss": []', '"loss": [1]'),
    History().to_json().replace('"loss": []', '"loss": ["one"]'),
    History().to_json().replace('"loss": []', '"loss": 1'),
    History().to_json().replace('"engine": ""', '"engine": 1'),
    History().to_json().replace('"epoch_ends": []', '"epoch_ends": [1]'),
    History().to_json().replace('"loss": []', '"loss": [1' + "0" * 400 + "]"),
])
def test_a_bad_history_is_a_data_error(text, tmp_path):
    with pytest.raises(DataError):
        History.from_json(text)
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(DataError, match=r"h\.json"):
        History.load(tmp_path / "h.json")


def test_two_threads_train_their_own_models():
    results = {}

    def work(seed):
        model = nn.MLP(2, [3, 1], rng=seed)
        results[seed] = fit(
            model, nn.hinge, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=3
        ).loss

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (1, 2):
        model = nn.MLP(2, [3, 1], rng=seed)
        alone = fit(
            model, nn.hinge, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=3
        ).loss
        assert results[seed] == alone


def test_optimizer_of_another_model_is_rejected():
    other = nn.MLP(2, [2, 1], rng=0)
    with pytest.raises(ValueError, match="none of the optimiser's parameters"):
        run(optimizer=optim.SGD(other.parameters(), lr=0.1))


def test_metrics_of_the_same_name_are_kept_separate():
    _, history = run(epochs=1, metrics=[lambda p, t: 1.0, lambda p, t: 2.0])
    assert sorted(values[0] for values in history.metrics.values()) == [1.0, 2.0]


ALARMS = """
import signal
from tinygrad_edu import data, fit, nn, optim
X, y = data.moons(12, rng=0)
model = nn.MLP(2, [2, 1], rng=1)
signal.signal(signal.SIGALRM, signal.default_int_handler)
bad = 0

def loss(prediction, target):
    global wait
    if wait:  # armed by the first step: on a busy machine it could ring before fit has begun
        signal.setitimer(signal.ITIMER_REAL, wait)
        wait = 0
    return nn.hinge(prediction, target)

for i in range(150):
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    model.eval()
    wait = 0.001 + i * 37e-6
    history = fit(model, loss, X, y, optimizer=optimizer, epochs=10**6, engine="eager",
                  batch_size=3, metrics=[nn.accuracy])
    bad += not (history.interrupted and len(history) == optimizer.steps == len(history.seconds)
                and len(history.metrics["accuracy"]) == history.epochs)
print(bad)
"""


def test_an_interrupt_at_any_moment_leaves_a_history_of_the_finished_steps():
    done = subprocess.run(
        [sys.executable, "-c", ALARMS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


# ---- snapshots -----------------------------------------------------------------------------------


def steps_of(history):
    return [snapshot.step for snapshot in history.training.snapshots]


def line(w, epochs, **options):
    """Trains one parameter with one sample and one step an epoch."""
    return fit(
        lambda x: w * x,
        nn.mse,
        [1.0],
        [1.0],
        optimizer=optim.SGD([w], lr=1e-3),
        epochs=epochs,
        **options,
    )


def test_nothing_is_recorded_without_record_every():
    assert run()[1].training is None


@pytest.mark.parametrize(("every", "steps", "kept"), [
    (1, 4, [1, 2, 3, 4]), (2, 5, [1, 2, 4, 5]), (3, 6, [1, 3, 6]),
    (10, 7, [1, 7]), (5, 1, [1]), (3, 0, [])])
def test_the_first_step_every_multiple_and_the_last_step_are_kept(every, steps, kept):
    assert steps_of(line(Value(0.0), steps, record_every=every)) == kept


def test_the_newest_snapshot_is_always_that_of_the_last_step():
    seen = []
    line(Value(0.0), 7, record_every=3, on_epoch=lambda history: seen.append(steps_of(history)))
    assert seen == [[1], [1, 2], [1, 3], [1, 3, 4], [1, 3, 5], [1, 3, 6], [1, 3, 6, 7]]


def test_snapshots_have_what_each_update_read_and_wrote():
    by_hand = nn.MLP(2, [4, 1], rng=1)
    expected = []
    for _ in range(4):
        step_by_hand(by_hand, nn.hinge, X, Y, by_hand.parameters())
        before, gradients = (
            [p.data for p in by_hand.parameters()],
            [p.grad for p in by_hand.parameters()],
        )
        for p in by_hand.parameters():
            p.data -= 0.1 * p.grad
        expected.append((before, gradients, [p.data for p in by_hand.parameters()]))
    model, history = run(record_every=1)
    training = history.training
    assert [
        (list(s.before), list(s.gradients), list(s.after)) for s in training.snapshots
    ] == expected
    assert training.model is model
    assert training.loss is nn.hinge
    assert training.X is X
    assert training.y is Y
    assert training.parameters == tuple(model.parameters())
    assert training.names == tuple(model.state_dict())
    assert repr(training) == "<TrainingRecord: 4 snapshots of steps 1 to 4, 17 parameters>"


def test_gradients_in_a_snapshot_are_the_clipped_ones():
    _, history = run(epochs=2, max_norm=1e-3, record_every=1)
    assert [std.hypot(*s.gradients) for s in history.training.snapshots] == pytest.approx(
        [1e-3, 1e-3], rel=1e-12, abs=0
    )


def test_recording_does_not_change_the_training():
    plain, recorded = run(batch_size=7), run(batch_size=7, record_every=2)
    assert plain[1].loss == recorded[1].loss
    assert plain[0].state_dict() == recorded[0].state_dict()


def test_what_on_epoch_does_to_the_parameters_is_in_the_next_snapshot_only():
    w = Value(0.0, "w")

    def reset(history):
        w.data = 5.0

    first, second = line(w, 2, record_every=1, on_epoch=reset).training.snapshots
    assert first.after[0] == 0.002
    assert second.before[0] == 5.0


def test_names_are_labels_and_unique():
    twins = [
        nn.Neuron(1, rng=0),
        nn.Neuron(1, rng=0),
        nn.Sequential(nn.Neuron(1, rng=0)),
        nn.Sequential(nn.Neuron(1, rng=0)),
    ]
    loose = [
        Value(1.0),
        Value(1.0, "parameter 10"),
        Value(1.0),
        Value(1.0, "w#2"),
        Value(1.0, "w"),
        Value(1.0, "w"),
    ]
    parameters = [p for model in twins for p in model.parameters()] + loose
    history = fit(lambda x: sum(p * x for p in parameters), nn.mse, [1.0], [1.0],
                  optimizer=optim.SGD(parameters, lr=0.1), epochs=1, record_every=1)
    assert history.training.names == (
        "w.0",
        "b",
        "model 2.w.0",
        "b#2",
        "layers.0.w.0",
        "layers.0.b",
        "model 2.layers.0.w.0",
        "model 2.layers.0.b",
        "parameter 8",
        "parameter 10",
        "parameter 10'",
        "w#2",
        "w",
        "w#2'",
    )


def test_long_run_keeps_a_bounded_number_of_snapshots_farther_apart():
    sizes, intervals = set(), []

    def look(history):
        sizes.add(len(history.training.snapshots))
        intervals.append(history.training.interval)

    history = line(Value(0.0), 1000, record_every=1, on_epoch=look)
    assert max(sizes) == MAX_SNAPSHOTS
    assert sorted(set(intervals)) == [1, 2, 4, 8]
    assert steps_of(history) == [1, *range(8, 1001, 8)]
    assert (
        history.loss[steps_of(history)[50] - 1]
        == (history.training.snapshots[50].before[0] - 1) ** 2
    )


def test_long_run_keeps_its_last_step_besides_the_evenly_spaced_ones():
    assert steps_of(line(Value(0.0), 611, record_every=1)) == [1, *range(4, 611, 4), 611]


def wide(parameters, epochs, look):
    """Trains many parameters, of which the loss uses one."""
    return fit(
        lambda x: parameters[0] * x,
        nn.mse,
        [1.0],
        [1.0],
        optimizer=optim.SGD(parameters, lr=0.1),
        epochs=epochs,
        record_every=1,
        on_epoch=look,
    )


def test_snapshots_of_a_large_model_are_bounded_in_numbers(monkeypatch):
    assert MAX_NUMBERS * 8 == 16e6
    monkeypatch.setattr(snapshots, "MAX_NUMBERS", 500)
    counts = []
    wide(
        [Value(0.0) for _ in range(10)],
        20,
        lambda history: counts.append(len(history.training.snapshots)),
    )
    assert counts == [*range(1, 17), 10, 10, 11, 11]  # 30 numbers a snapshot: room for 16


def test_a_model_too_large_for_the_limit_keeps_the_first_and_the_last_snapshot(monkeypatch):
    monkeypatch.setattr(snapshots, "MAX_NUMBERS", 500)
    seen = []
    wide([Value(0.0) for _ in range(200)], 5, lambda history: seen.append(steps_of(history)))
    assert seen == [[1], [1, 2], [1, 3], [1, 4], [1, 5]]


def test_memory_does_not_grow_with_the_steps():
    sizes = {}

    def measure(history):
        if len(history) in (200, 400):
            gc.collect()
            sizes[len(history)] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        wide([Value(0.0) for _ in range(200)], 400, measure)
    finally:
        tracemalloc.stop()
    assert sizes[200] > 200 * 3 * 200 * 8  # the snapshots are what is measured
    assert sizes[400] < sizes[200]


def test_interrupted_run_has_snapshots_of_finished_steps_and_of_the_last_one():
    model = nn.MLP(2, [3, 1], rng=1)
    calls = []

    def loss(p, t):
        calls.append(1)
        if len(calls) == 100:  # in the middle of the fourth step
            raise KeyboardInterrupt
        return nn.hinge(p, t)

    history = fit(
        model, loss, X, Y, optimizer=optim.SGD(model.parameters(), lr=0.1), epochs=6, record_every=2
    )
    assert len(history) == 3
    assert steps_of(history) == [1, 2, 3]
    assert list(history.training.snapshots[-1].after) == list(model.state_dict().values())


class CtrlC(optim.SGD):
    """Raises Ctrl-C just after the update of a step, before `fit` has recorded it."""

    def step(self):
        super().step()
        if self.steps == 3:
            raise KeyboardInterrupt


def test_an_interrupt_just_after_an_update_leaves_the_snapshot_of_that_step():
    model = nn.MLP(2, [4, 1], rng=1)
    _, history = run(
        model,
        optimizer=CtrlC(model.parameters(), lr=0.1),
        epochs=6,
        record_every=5,
        metrics=[nn.accuracy],
    )
    assert history.interrupted
    assert (len(history), history.epochs, len(history.metrics["accuracy"])) == (3, 2, 2)
    assert steps_of(history) == [1, 3]
    assert list(history.training.snapshots[-1].after) == list(model.state_dict().values())


def test_divergence_keeps_the_snapshots_up_to_it():
    w = Value(1.0, "w")
    with pytest.raises(NonFiniteError) as caught:
        fit(
            lambda x: w * x,
            nn.mse,
            [3.0],
            [1.0],
            optimizer=optim.SGD([w], lr=1e6),
            epochs=500,
            record_every=4,
        )
    history = caught.value.history
    assert steps_of(history)[-1] == len(history)
    assert history.training.snapshots[-1].after[0] == w.data


def test_at_shows_the_model_as_it_was_and_puts_everything_back():
    model, history = run(record_every=1)
    first = history.training.snapshots[0]
    start = nn.MLP(2, [4, 1], rng=1)
    data_now, grads_now = [p.data for p in model.parameters()], [p.grad for p in model.parameters()]
    with history.training.at(first) as same:
        assert same is model
        assert [model(x).data for x in X] == [start(x).data for x in X]
        with history.training.at(first, after=True):
            assert [p.data for p in model.parameters()] == list(first.after)
        assert [p.data for p in model.parameters()] == list(first.before)
    assert [p.data for p in model.parameters()] == data_now
    assert [p.grad for p in model.parameters()] == grads_now


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_at_puts_everything_back_when_the_block_raises(error):
    model, history = run(record_every=1)
    now = model.state_dict()
    with pytest.raises(error), history.training.at(history.training.snapshots[0]):
        raise error
    assert model.state_dict() == now


def test_at_does_not_change_parameters_that_were_not_trained():
    model = nn.MLP(2, [4, 1], rng=1)
    fixed, trained = model.parameters()[0], model.parameters()[1:]
    _, history = run(model, optimizer=optim.SGD(trained, lr=0.1), record_every=1)
    fixed.data = 7.0
    with history.training.at(history.training.snapshots[0]):
        assert fixed.data == 7.0
    assert fixed.data == 7.0


def test_at_rejects_a_snapshot_of_another_record():
    training = run(record_every=1)[1].training
    with (
        pytest.raises(TypeError, match=r"^at: snapshot must be a Snapshot, not int \(1\);"),
        training.at(1),
    ):
        pass
    foreign = line(Value(0.0), 1, record_every=1).training.snapshots[0]
    with (
        pytest.raises(
            ValueError, match=r"^at: snapshot must have 17 parameters, as this record has, not 1;"
        ),
        training.at(foreign),
    ):
        pass


def test_equality_and_json_ignore_the_snapshots():
    _, history = run(record_every=1)
    again = History.from_json(history.to_json())
    assert again == history
    assert again.training is None


def test_pickled_history_leaves_the_snapshots_out():
    model = nn.MLP(2, [3, 1], rng=0)
    history = fit(
        model,
        lambda p, t: nn.hinge(p, t),
        X,
        Y,
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=2,
        record_every=1,
    )
    again = pickle.loads(pickle.dumps(history))
    assert again == history
    assert again.training is None
    assert history.training is not None


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copied_history_refers_to_the_same_model_and_keeps_its_own_list(copied):
    twins = []
    model, history = run(
        record_every=1, on_epoch=lambda history: twins.append(copied(history)) or len(history) == 3
    )
    twin = copied(history)
    assert twin.training.model is model
    assert twin.training.parameters == history.training.parameters
    assert steps_of(twin) == [1, 2, 3]
    if copied is copy.deepcopy:
        assert [steps_of(earlier) for earlier in twins] == [[1], [1, 2], [1, 2, 3]]


def test_a_snapshot_cannot_be_changed():
    snapshot = line(Value(0.0), 1, record_every=1).training.snapshots[0]
    assert isinstance(snapshot, Snapshot)
    with pytest.raises(AttributeError):
        snapshot.step = 2


RECORDED_ALARMS = """
import signal
from tinygrad_edu import data, fit, nn, optim
X, y = data.moons(12, rng=0)
model = nn.MLP(2, [2, 1], rng=1)
signal.signal(signal.SIGALRM, signal.default_int_handler)
bad = 0

def loss(prediction, target):
    global wait
    if wait:
        signal.setitimer(signal.ITIMER_REAL, wait)
        wait = 0
    return nn.hinge(prediction, target)

for i in range(150):
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    wait = 0.0002 + i * 37e-6
    history = fit(model, loss, X, y, optimizer=optimizer, epochs=10**6, engine="eager",
                  batch_size=3, record_every=3)
    steps = [snapshot.step for snapshot in history.training.snapshots]
    due = []
    if optimizer.steps:
        due = sorted({1, optimizer.steps, *range(3, optimizer.steps + 1, 3)})
    after = [p.data for p in optimizer.params]
    if steps:
        after = list(history.training.snapshots[-1].after)
    bad += not (steps == due and after == [p.data for p in optimizer.params])
print(bad)
"""


def test_an_interrupt_at_any_moment_leaves_snapshots_of_the_finished_steps():
    done = subprocess.run(
        [sys.executable, "-c", RECORDED_ALARMS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


AT_ALARMS = """
import signal
from tinygrad_edu import data, fit, nn, optim
X, y = data.moons(12, rng=0)
model = nn.MLP(2, [2, 1], rng=1)
optimizer = optim.SGD(model.parameters(), lr=0.01)
history = fit(model, nn.hinge, X, y, optimizer=optimizer, epochs=1, record_every=1)
now = model.state_dict()
signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupted = bad = 0
for i in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003 + i * 1e-6)
        while True:
            with history.training.at(history.training.snapshots[0]):
                pass
    except KeyboardInterrupt:
        interrupted += 1
    bad += model.state_dict() != now
print(interrupted, bad)
"""


def test_an_interrupt_at_any_moment_of_at_leaves_the_parameters_as_they_were():
    done = subprocess.run(
        [sys.executable, "-c", AT_ALARMS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.returncode) == ("300 0\n", 0), done.stderr


def test_the_path_of_parameters_goes_from_the_first_snapshot_to_the_end():
    w, b = Value(0.0, "w"), Value(1.0, "b")
    history = fit(
        lambda x: w * x + b,
        nn.mse,
        [1.0, 2.0],
        [3.0, 6.0],
        optimizer=optim.SGD([w, b], lr=0.1),
        epochs=4,
        record_every=1,
    )
    path = history.training.path(b, w)
    assert path[0] == (1.0, 0.0)
    assert path[-1] == (b.data, w.data)
    assert path[1:-1] == [
        (snapshot.after[1], snapshot.after[0]) for snapshot in history.training.snapshots[:-1]
    ]
    assert history.training.path() == [()] * 5
    with pytest.raises(
        ValueError, match=r"Value\(label='c'.* must be one of the 2 trained parameters: w, b"
    ):
        history.training.path(Value(0.0, "c"))
