"""`fit` warns about trainings that go wrong, and only about these."""

import random
import warnings
from functools import partial

import pytest
from helpers import inf

from tinygrad_edu import History, Value, data, diagnose, fit, nn, optim
from tinygrad_edu.errors import NonFiniteError, TrainingWarning
from tinygrad_edu.train import judgement

DEFAULTS = {"engine": "jit", "rng": 0}
ENGINES = ["eager", "jit"]


def trained(model, optimizer, X, y, loss=nn.hinge, epochs=50, **options):
    options = {**DEFAULTS, **options}
    return fit(model, loss, X, y, optimizer=optimizer, epochs=epochs, **options)


def moons_run(
    layers=(8, 1), activation="tanh", init="xavier", make=optim.SGD, rate=0.1, seed=0,
    change=None, samples=40, **options,
):
    X, y = data.moons(samples, rng=seed)
    model = nn.MLP(2, [*layers], activation, init=init, rng=seed)
    if change:
        change(model)
    return trained(model, make(model.parameters(), rate), X, y, **options)


def line_run(factor, seed=0):
    """Trains on a line at ``factor`` times the inverse of the largest curvature of the loss."""
    X, y = data.line(20, rng=seed)
    n = len(X)
    a = 2.0
    b = 2 * sum(x[0] for x in X) / n
    d = 2 * sum(x[0] ** 2 for x in X) / n
    curvature = (a + d) / 2 + (((a - d) / 2) ** 2 + b * b) ** 0.5
    model = nn.Neuron(1, "linear", rng=seed)
    optimizer = optim.SGD(model.parameters(), factor / curvature)
    return trained(model, optimizer, X, y, nn.mse, epochs=100)


class Slope(nn.Module):
    def __init__(self):
        self.w = Value(0.0)

    def __call__(self, x):
        return self.w * x


def slope_run(rate):
    """Trains y = 3 x on one sample: each step goes from 0 to 6, or farther, and back."""
    model = Slope()
    optimizer = optim.SGD(model.parameters(), rate)
    return trained(model, optimizer, [1.0], [3.0], nn.mse, epochs=40)


def moons_of_60_run(seed=0, output="linear", make=optim.SGD, rate=0.1, epochs=60):
    X, y = data.moons(60, rng=1)
    model = nn.MLP(2, [8, 1], output=output, rng=seed)
    return trained(model, make(model.parameters(), rate), X, y, epochs=epochs)


def jumping_run():
    X, y = data.moons(40, rng=0)
    model = nn.MLP(2, [8, 1], "tanh", rng=1)
    return trained(model, optim.SGD(model.parameters(), 5.0), X, y, epochs=20)


def hopping_run(seed=0):
    """Trains on y = 2 x at a learning rate at which the loss jumps to the end."""
    X = [[float(x)] for x in range(-5, 6)]
    model = nn.MLP(1, [4, 1], "tanh", rng=seed)
    optimizer = optim.SGD(model.parameters(), 0.05)
    return trained(model, optimizer, X, [2 * x[0] for x in X], nn.mse, epochs=200)


def classes(seed):
    """Returns samples of three kinds of flowers, by their four lengths."""
    rng = random.Random(seed)
    means = [(5.0, 3.4, 1.5, 0.2), (5.9, 2.8, 4.3, 1.3), (6.6, 3.0, 5.6, 2.0)]
    X = [[rng.gauss(mean, 0.4) for mean in means[k % 3]] for k in range(30)]
    return X, [k % 3 for k in range(30)]


def flowers_run(seed, rate, epochs=50):
    X, y = classes(seed)
    model = nn.MLP(4, [8, 3], "tanh", rng=seed)
    optimizer = optim.Adam(model.parameters(), rate)
    return trained(model, optimizer, X, y, nn.cross_entropy, epochs=epochs, batch_size=8)


def momentum_run(seed, momentum):
    X, y = data.line(20, rng=seed)
    model = nn.Neuron(1, "linear", rng=seed)
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=momentum)
    return trained(model, optimizer, X, y, nn.mse, epochs=100)


def biased(bias):
    def change(model):
        for layer in model.layers[:-1]:
            for neuron in layer.neurons:
                neuron.b.data = bias

    return change


def scaled_run(scale, make, rate, seed=0):
    """Trains on targets of the size of ``scale``."""
    X, y = data.line(20, rng=seed)
    model = nn.Neuron(1, "linear", rng=seed)
    return trained(model, make(model.parameters(), rate), X, [scale * t for t in y], nn.mse)


def zero(model):
    for parameter in model.parameters():
        parameter.data = 0.0


WRONG = {
    "just above the stable rate": (lambda: line_run(2.1), "rose from"),
    "far above the stable rate": (lambda: line_run(3.0), "rose from"),
    "Adam at 10": (lambda: moons_of_60_run(rate=10.0, make=optim.Adam), "jumped to the end"),
    "a rate of 5": (jumping_run, "jumped to the end"),
    "hopping": (hopping_run, "jumped to the end"),
    "hopping from another start": (lambda: hopping_run(2), "jumped to the end"),
    "Adam at 1, in batches": (lambda: flowers_run(0, 1.0), "jumped to the end"),
    "Adam at 1, in batches, from another start": (lambda: flowers_run(6, 1.0), "jumped"),
    "too much momentum": (lambda: momentum_run(0, 0.99), "jumped to the end"),
    "targets that are not scaled": (
        lambda: scaled_run(1e5, optim.Adam, 0.01), "stood still",
    ),
    "Adam at 1": (lambda: moons_run((16, 16, 1), make=optim.Adam, rate=1.0, epochs=100), "jumped"),
    "a rate of 100, in batches": (
        lambda: moons_run((16, 1), "relu", "he", rate=100.0, batch_size=8), "rose from",
    ),
    "a schedule that rises": (
        lambda: moons_run(rate=lambda k: 0.1 * 1.1**k, epochs=100), "learning rates up to",
    ),
    "dead rectifiers": (
        lambda: moons_run((8, 1), "relu", "he", change=biased(-8.0)), "stood still",
    ),
    "rectifiers that a large rate kills": (
        lambda: moons_run((16, 16, 1), "relu", "he", rate=10.0, samples=60), "rose from",
    ),
    "deep sigmoids": (lambda: moons_run([8] * 8 + [1], "sigmoid"), "stood still"),
    "all parameters at 0": (lambda: moons_run(change=zero), "stood still"),
    "all at 0, in batches": (lambda: moons_run(change=zero, batch_size=10), "stood still"),
    "a rate of zero": (lambda: moons_run(rate=0.0), "at a learning rate of 0"),
    "a step to the other side of the minimum": (lambda: slope_run(1.0), "stood still: 9 at first"),
    "steps that pass the minimum": (lambda: slope_run(1.001), "did not fall: 9 at first"),
    "a line at its largest rate": (lambda: line_run(2.0), "the loss stood still"),
    "a dead output": (lambda: moons_of_60_run(3, output="relu", epochs=100), "stood still"),
    "a small rate": (lambda: moons_run(rate=1e-5, epochs=20), "stood still"),
    "a small rate of Adam": (lambda: moons_run(make=optim.Adam, rate=1e-6), "stood still"),
}


@pytest.mark.parametrize("case", WRONG)
def test_fit_warns_about_trainings_that_go_wrong(case):
    run, words = WRONG[case]
    with pytest.warns(TrainingWarning, match="^fit: the loss ") as caught:
        history = run()
    message, = [str(each.message) for each in caught]
    assert words in message
    assert message.endswith("; diagnose(history) says why")
    assert history.warning in message
    assert history.warning in repr(history)
    assert caught[0].filename == __file__
    read = History.from_json(history.to_json())
    assert read.warning == history.warning
    for each in history, read:  # with and without the model
        assert history.finding in [finding.kind for finding in diagnose(each)]


def sane_runs(seed):
    """Yields functions that train as they should, each with data and a model of its own."""
    for activation, init in ("tanh", "xavier"), ("relu", "he"):
        run = partial(moons_run, activation=activation, init=init, seed=seed)
        adam = partial(run, make=optim.Adam, rate=0.02)
        yield partial(run, (16, 16, 1))
        yield partial(adam, epochs=100)
        yield partial(run, batch_size=4, epochs=15)
        yield partial(adam, batch_size=1, epochs=10)
        yield partial(run, make=optim.RMSprop, rate=0.01, batch_size=8, epochs=20)
        yield partial(run, loss=nn.mse, epochs=100)
    yield partial(flowers_run, seed, 0.02)
    yield partial(momentum_run, seed, 0.9)
    yield partial(minimum_run, seed)
    yield partial(line_run, 0.05, seed)
    yield partial(line_run, 1.9, seed)
    for size in (None, 4):
        yield partial(dropout_run, seed, size)
        yield partial(noise_run, seed, size)


def dropout_run(seed, size):
    X, y = data.moons(12, rng=seed)
    model = nn.Sequential(
        nn.Layer(2, 8, "relu", init="he", rng=seed), nn.Dropout(0.5, rng=seed),
        nn.Layer(8, 1, "linear", rng=seed),
    )
    return trained(model, optim.SGD(model.parameters(), 0.1), X, y, epochs=100, batch_size=size)


def noise_run(seed, size):
    """Trains a line on data with more noise than signal, and then once more."""
    rng = random.Random(seed)
    X = [[rng.gauss(0, 1)] for _ in range(40)]
    y = [x[0] + rng.gauss(0, 1) for x in X]
    model = nn.Neuron(1, "linear", rng=seed)
    for _ in range(2):
        history = trained(
            model, optim.SGD(model.parameters(), 0.1), X, y, nn.mse, batch_size=size
        )
    return history


def minimum_run(seed):
    """Trains a model that was trained before and comes from a file, with an optimiser of its own.

    With one sample in a batch, the first losses are small by chance.
    """
    rng = random.Random(seed)
    X = [[rng.gauss(0, 1)] for _ in range(30)]
    y = [x[0] + 0.5 + rng.gauss(0, 2) for x in X]
    model = nn.Neuron(1, "linear", rng=seed)
    trained(model, optim.SGD(model.parameters(), 0.1), X, y, nn.mse, epochs=300)
    for size, rate in (None, 0.1), (4, 0.05), (1, 0.05):
        loaded = nn.Neuron(1, "linear")
        loaded.load_state_dict(model.state_dict())
        make = optim.SGD(loaded.parameters(), rate)
        history = trained(loaded, make, X, y, nn.mse, epochs=30, batch_size=size)
    return history


@pytest.mark.parametrize("seed", range(13))
def test_fit_does_not_warn_about_sane_trainings_and_diagnose_agrees(seed):
    for run in sane_runs(seed):  # a warning is an error
        history = run()
        assert history.warning == ""
        assert list(diagnose(history)) == []


@pytest.mark.parametrize("case", ["Adam at 10", "a rate of 5", "a dead output", "a small rate"])
def test_diagnosis_of_recorded_run_has_what_fit_warns_about(case, monkeypatch):
    monkeypatch.setitem(DEFAULTS, "record_every", 1)
    with pytest.warns(TrainingWarning):
        history = WRONG[case][0]()
    assert history.training.snapshots
    assert history.finding in [finding.kind for finding in diagnose(history)]


@pytest.mark.parametrize("options", [
    {"epochs": 19, "rate": 1e-5}, {"epochs": 19, "rate": 5.0},
])
def test_fit_does_not_warn_about_short_runs(options):
    history = moons_run(**options)
    assert (history.warning, history.finding) == ("", None)


@pytest.mark.parametrize("engine", ENGINES)
def test_fit_does_not_warn_if_trained_parameters_are_at_their_minimum(engine):
    X = [[-1.0], [-1.0], [1.0], [1.0]]
    y = [-3.0, 1.0, -1.0, 3.0]  # of two samples each that no line can tell apart
    model = nn.Neuron(1, "linear", rng=0)
    for _ in range(2):  # the second optimiser is new, and the parameters are not
        optimizer = optim.SGD(model.parameters(), 0.1)
        history = trained(model, optimizer, X, y, nn.mse, epochs=200, engine=engine)
    assert history.loss[0] == pytest.approx(history.loss[-1])
    assert history.loss[-1] > 1


@pytest.mark.parametrize("limits", [
    {"MIN_JUMP": 0.0}, {"MAX_STILL": -1.0}, {"MAX_RELAPSE": -1.0, "DIVERGED_RATIO": 0.01},
])
def test_sane_trainings_reveal_planted_limits_that_are_wrong(limits, monkeypatch):
    for name, limit in limits.items():
        monkeypatch.setattr(judgement, name, limit)
    runs = [*sane_runs(0)]
    with pytest.raises(TrainingWarning):
        [run() for run in runs]


@pytest.mark.parametrize("engine", ENGINES)
def test_steps_before_an_error_have_a_warning_and_a_diagnosis(engine):
    X, y = data.moons(40, rng=0)
    model = nn.MLP(2, [8, 8, 1], "linear", rng=0)
    with pytest.raises(NonFiniteError, match=r"diagnose\(error.history\)") as caught:
        trained(model, optim.SGD(model.parameters(), 10.0), X, y, nn.mse, engine=engine,
                record_every=1)
    history = caught.value.history
    assert history.warning.startswith("the loss rose from")
    assert history.training.snapshots[-1].step == len(history)
    assert diagnose(history).findings[0].kind == "loss diverges"


def history_of(losses, rate=0.1):
    history = History()
    history.loss = list(losses)
    history.learning_rates = [rate] * len(losses)
    history.seconds = [0.0] * len(losses)
    history.epoch_ends = list(range(1, len(losses) + 1))
    return history


@pytest.mark.parametrize(("losses", "kind"), [
    ([1.0, 0.5] + [2.0, 0.6, 1.9, 0.4] * 10, "loss jumps"),
    ([1.0, 1e6] + [0.9] * 20, "loss diverges"),  # the parameters never recovered
    ([1.0, 30.0] + [0.9 / k for k in range(1, 40)], ""),  # they did
    ([-1.0, -5.0] + [1e9] * 10, "loss diverges"),
    ([1.0, 0.5] + [0.9, 0.6, 0.3] * 3 + [0.1] * 10, ""),
    ([1.0, 2.0, inf], "loss not finite"),
])
def test_verdict_on_losses(losses, kind):
    assert judgement.verdict(judgement.curve_of(history_of(losses))) == kind


def test_noise_of_dropout_is_no_jump():
    losses = [2.0, 0.7, 1.4] + [0.4, 0.9, 0.5, 1.0, 0.8] * 10
    plain = nn.Sequential(nn.Layer(2, 1, "linear", rng=0))
    noisy = nn.Sequential(nn.Layer(2, 2, rng=0), nn.Dropout(0.5), nn.Layer(2, 1, rng=0))
    for model, kind in (plain, "loss jumps"), (noisy, ""):
        assert judgement.verdict(judgement.curve_of(history_of(losses), model)) == kind


def test_warning_is_issued_once_for_a_run():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        moons_run(rate=1e-6, batch_size=4)
    assert [each.category for each in caught] == [TrainingWarning]
