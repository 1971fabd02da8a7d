"""Tests of `diagnose`: it finds every planted fault, its advice works, and it finds nothing in
healthy runs."""

import math
import random

import pytest
from helpers import inf, nan, state_of

from tinygrad_edu import History, Value, data, detect_anomaly, diagnose, fit, nn, optim
from tinygrad_edu import math as tmath
from tinygrad_edu.diagnosis import curves
from tinygrad_edu.diagnosis.trials import Problem, choose_samples, try_rates
from tinygrad_edu.errors import NonFiniteError
from tinygrad_edu.train import judgement

X, Y = data.moons(40, rng=0)

# many of these runs go wrong on purpose
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")

XOR = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]


def kinds(diagnosis):
    return [finding.kind for finding in diagnosis]


def moons_model(activation="tanh", rng=1, init="xavier"):
    return nn.MLP(2, [8, 1], activation, init=init, rng=rng)


def trained(
    model,
    optimizer,
    *,
    inputs=X,
    targets=Y,
    loss=nn.hinge,
    epochs=30,
    batch_size=None,
    record_every=1,
):
    """Returns the history of a training run, even if it ended in a NonFiniteError."""
    try:
        return fit(
            model,
            loss,
            inputs,
            targets,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            rng=0,
            record_every=record_every,
        )
    except NonFiniteError as error:
        return error.history


def history_of(losses, rate=0.1, steps_per_epoch=1):
    history = History()
    history.loss, history.learning_rates = list(losses), [rate] * len(losses)
    history.seconds = [0.0] * len(losses)
    history.epoch_ends = list(range(steps_per_epoch, len(losses) + 1, steps_per_epoch))
    return history


# ---- healthy runs --------------------------------------------------------------------------------


def iris():
    flowers = data.iris()
    inputs = data.Standardiser(flowers.X)(flowers.X)
    model = nn.MLP(4, [8, 3], activation="tanh", init="xavier", rng=0)
    return model, nn.cross_entropy, inputs, flowers.y, optim.Adam(model.parameters(), 0.02), 30, 16


def moons(make, activation="tanh", init="xavier", epochs=40, batch_size=None, rng=1):
    model = moons_model(activation, rng, init)
    return model, nn.hinge, X, Y, make(model.parameters()), epochs, batch_size


def xor():
    model = nn.MLP(2, [4, 1], "tanh", rng=1)
    return model, nn.binary_cross_entropy, *XOR, optim.SGD(model.parameters(), 0.5), 600, None


def noisy_line():
    rng = random.Random(0)
    inputs = [[rng.gauss(0, 1)] for _ in range(60)]
    model = nn.Neuron(1, "linear", rng=0)
    return (
        model,
        nn.mse,
        inputs,
        [x[0] + rng.gauss(0, 1) for x in inputs],
        optim.SGD(model.parameters(), 0.1),
        60,
        None,
    )


HEALTHY = {
    "iris": iris,
    "XOR": xor,
    "more noise than signal": noisy_line,
    "moons, gradient descent": lambda: moons(lambda p: optim.SGD(p, 0.3)),
    "moons, relu": lambda: moons(lambda p: optim.SGD(p, 0.1), "relu", "uniform"),
    "moons, sigmoid": lambda: moons(lambda p: optim.SGD(p, 0.5), "sigmoid", epochs=80),
    "moons, Adam in batches": lambda: moons(
        lambda p: optim.Adam(p, 0.03), "relu", "he", batch_size=8
    ),
    "moons, batches of one": lambda: moons(lambda p: optim.SGD(p, 0.03), epochs=10, batch_size=1),
    "moons, one epoch": lambda: moons(lambda p: optim.SGD(p, 0.1), epochs=1, batch_size=2),
    "moons, until the loss is 0": lambda: moons(lambda p: optim.Adam(p, 0.1), epochs=300),
    "moons, warm-up": lambda: moons(
        lambda p: optim.Adam(p, optim.warmup(optim.cosine(0.1, 60), 20)), epochs=60
    ),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_diagnose_finds_nothing_in_healthy_runs(case):
    model, loss, inputs, targets, optimizer, epochs, batch_size = HEALTHY[case]()
    assert diagnose(model, inputs).healthy
    history = trained(
        model,
        optimizer,
        inputs=inputs,
        targets=targets,
        loss=loss,
        epochs=epochs,
        batch_size=batch_size,
    )
    for diagnosis in (
        diagnose(history),
        diagnose(model, inputs, targets, loss=loss, optimizer=optimizer),
        diagnose(model, inputs),
    ):
        assert diagnosis.healthy, diagnosis
        assert "nothing found" in str(diagnosis)
    history.training = None
    assert diagnose(history).healthy
    more = trained(
        model,
        optimizer,
        inputs=inputs,
        targets=targets,
        loss=loss,
        epochs=20,
        batch_size=batch_size,
    )
    assert diagnose(more).healthy, diagnose(more)


# ---- findings about the loss ---------------------------------------------------------------------


@pytest.mark.parametrize(("make", "activation", "rate", "batch_size"), [
    (optim.SGD, "tanh", 30.0, None), (optim.SGD, "relu", 30.0, 10), (optim.Adam, "tanh", 30.0, 10),
    (optim.Adam, "relu", 30.0, None), (optim.SGD, "tanh", 1e-5, 10),
    (optim.SGD, "relu", 1e-5, None),
    (optim.Adam, "tanh", 1e-5, None), (optim.Adam, "relu", 1e-5, 10)])
def test_diagnose_suggests_learning_rate_that_trains(
    make, activation, rate, batch_size
):
    model = moons_model(activation)
    start = model.state_dict()
    history = trained(
        model,
        make(model.parameters(), rate),
        epochs=30 if batch_size is None else 10,
        batch_size=batch_size,
    )
    first = diagnose(history).findings[0]
    assert first.kind in (
        "loss diverges",
        "loss stands still",
        "learning rate too large",
        "learning rate too small",
    )
    assert first.numbers["learning_rate"] == rate
    suggested = first.numbers["suggested_rate"]
    assert f"{suggested:g}." in first.advice
    model.load_state_dict(start)
    cured = trained(model, make(model.parameters(), suggested), epochs=100)
    assert min(cured.loss) < 0.3
    assert diagnose(cured).healthy


@pytest.mark.parametrize("rate", [2.5, 10.0, 1000.0])
def test_diagnose_estimates_curvature_from_growth_of_quadratic_loss(rate):
    x = Value(1.0, "x")
    # curvature 1
    history = fit(
        lambda _: x, lambda p, _: 0.5 * p * p, [0], [0], optimizer=optim.SGD([x], rate), epochs=30
    )
    finding, = diagnose(history)
    assert finding.kind == "loss diverges"
    assert finding.numbers["growth"] == pytest.approx((rate - 1) ** 2)
    assert finding.numbers["suggested_rate"] == 1.0
    assert "estimate" in finding.sentence


def test_estimated_learning_rate_trains_line_that_diverged():
    inputs, targets = data.line(40, rng=0)
    neuron = nn.Neuron(1, "linear", rng=0)
    history = fit(
        neuron, nn.mse, inputs, targets, optimizer=optim.SGD(neuron.parameters(), 20.0), epochs=10
    )
    suggested = diagnose(history).findings[0].numbers["suggested_rate"]
    neuron = nn.Neuron(1, "linear", rng=0)
    cured = fit(
        neuron,
        nn.mse,
        inputs,
        targets,
        optimizer=optim.SGD(neuron.parameters(), suggested),
        epochs=200,
    )
    assert cured.loss[-1] < 0.1 * cured.loss[0]
    assert diagnose(cured).healthy


def test_diagnose_accepts_history_of_run_that_raised():
    model = nn.MLP(2, [8, 8, 1], "linear", rng=0)
    history = trained(model, optim.SGD(model.parameters(), 10.0), loss=nn.mse)
    assert 0 < len(history) < 30
    diagnosis = diagnose(history)
    assert diagnosis.findings[0].kind == "loss diverges"
    model = nn.MLP(2, [8, 8, 1], "linear", rng=0)
    cured = trained(
        model,
        optim.SGD(model.parameters(), diagnosis.findings[0].numbers["suggested_rate"]),
        loss=nn.mse,
    )
    assert cured.loss[-1] < 0.6 < cured.loss[0]


def test_diagnose_finds_flat_loss_without_record_and_advises_recording():
    finding, = diagnose(history_of([0.7] * 40, rate=1e-5))
    assert (finding.kind, finding.numbers["steps"], finding.numbers["last"]) == (
        "loss stands still",
        40,
        0.7,
    )
    assert "do not say" in finding.sentence
    assert "record_every=1" in finding.advice
    assert "suggested_rate" not in finding.numbers


def test_diagnose_advises_restart_if_no_learning_rate_lowers_loss():
    model = nn.MLP(2, [4, 1], rng=0)
    for parameter in model.parameters():
        parameter.data = 0.0
    # equally many targets of each class: the gradient of the output's bias is 0 like all others
    targets = [1, -1] * 20
    history = trained(model, optim.SGD(model.parameters(), 0.1), targets=targets)
    first = diagnose(history).findings[0]
    assert (first.kind, "suggested_rate" in first.numbers) == ("loss stands still", False)
    assert "other parameters" in first.advice


def test_diagnose_suggests_half_the_learning_rate_if_loss_oscillates():
    finding, = diagnose(history_of([2.0, 1.0] + [0.7, 0.5] * 30, rate=0.8))
    assert (finding.kind, finding.numbers["suggested_rate"]) == ("loss oscillates", 0.4)
    assert "limit of stability" in finding.sentence


@pytest.mark.parametrize(("losses", "steps_per_epoch", "kind"), [
    ([1.0] * 5 + [nan], 1, "loss not finite"), ([1.0, 3.0, inf], 1, "loss not finite"),
    ([1.0, 50.0, 2500.0], 1, "loss diverges"),
    ([1.0, 0.5, 0.2, 0.1, 0.2, 0.8, 0.9], 1, "loss diverges"),
    ([1.0, 0.9, 1.1, 0.9, 5.0, 300.0, 9e4], 3, "loss diverges"),  # in an unfinished epoch
    ([1.0, 0.9, 80.0, 3e4, 1e7], 100, "loss diverges"),  # in the first epoch
    ([1e-6, 1e-4, 0.01], 1, "loss diverges"), ([0.7] * 10, 1, "loss stands still"),
    ([0.7, 0.5] * 30, 1, "loss oscillates"),
])
def test_diagnose_classifies_losses_without_record(losses, steps_per_epoch, kind):
    finding, = diagnose(history_of(losses, steps_per_epoch=steps_per_epoch))
    assert (finding.kind, finding.where) == (kind, "loss")
    assert all(
        part in str(diagnose(history_of(losses, steps_per_epoch=steps_per_epoch)))
        for part in (kind, "Advice: ")
    )


@pytest.mark.parametrize("losses", [
    [0.7] * 9, [1.0], [1.0, 0.5, 0.3], [1e-9, 1e-7, 1e-8], [0.02] * 50, [-1.0, -5.0, 3.0],
    [0.0] * 20,
    [1.0, 0.5, 0.2] + [0.1] * 50, [1.0, 0.5] + [0.05, 0.2] * 3,
    [2.0, 1.0, 0.5, 0.49, 0.3] + [0.4, 0.3] * 10 + [0.9, 0.4],
    [1.0 - 0.01 * k + 0.1 * (-1) ** k for k in range(60)],  # alternates but falls
])
def test_diagnose_finds_nothing_in_inconclusive_losses(losses):
    assert diagnose(history_of(losses)).healthy


def test_diagnose_ignores_noise_of_single_batches():
    rng = random.Random(0)
    of_batches = [rng.expovariate(1.0) for _ in range(50)]
    losses = [loss for _ in range(4) for loss in rng.sample(of_batches, 50)]
    assert kinds(diagnose(history_of(losses, steps_per_epoch=50))) == ["loss stands still"]
    for few in (5, 20, 50):
        assert diagnose(history_of(of_batches[:few], steps_per_epoch=50)).healthy


def test_growth_is_nan_if_loss_did_not_grow():
    assert math.isnan(curves.growth(judgement.curve_of(history_of([2.0, 1.0]))))
    assert "suggested_rate" not in diagnose(history_of([1.0, inf])).findings[0].numbers
    assert "hundredth" in diagnose(history_of([1.0, inf])).findings[0].advice


def regression(targets):
    inputs = [[float(x)] for x in range(-5, 6)]
    return inputs, [targets(x[0]) for x in inputs]


JUMPING = {
    "moons": (lambda: nn.MLP(2, [8, 1], "tanh", rng=1), optim.SGD, 5.0, (X, Y), nn.hinge, 20),
    "a line": (
        lambda: nn.MLP(1, [4, 1], "tanh", rng=0), optim.SGD, 0.05, regression(lambda x: 2 * x),
        nn.mse, 200,
    ),
    "Adam": (
        lambda: nn.MLP(2, [16, 1], "tanh", init="xavier", rng=1), optim.Adam, 2.0, (X, Y),
        nn.hinge, 60,
    ),
    "a flat line": (
        lambda: nn.MLP(1, [4, 1], "tanh", rng=0), optim.SGD, 0.1, regression(lambda x: x), nn.mse,
        100,
    ),
}


@pytest.mark.parametrize("case", JUMPING)
def test_diagnose_finds_jumping_losses_and_its_rate_gives_clearly_smaller_ones(case):
    make, optimizer, rate, (inputs, targets), loss, epochs = JUMPING[case]

    def run(lr):
        model = make()
        return trained(
            model, optimizer(model.parameters(), lr), inputs=inputs, targets=targets, loss=loss,
            epochs=epochs,
        )

    history = run(rate)
    diagnosis = diagnose(history)
    first = diagnosis.findings[0]
    assert first.kind in ("loss jumps", "loss oscillates", "loss diverges")
    suggested = first.numbers["suggested_rate"]
    assert suggested <= rate / 3
    assert f"a learning rate of {suggested:g} brings it to" in first.sentence
    tenth = -max(1, epochs // 10)
    ended = sum(history.loss[tenth:])
    assert sum(run(suggested).loss[tenth:]) < 0.7 * ended


def test_diagnose_says_how_its_numbers_are_made():
    inputs, targets = data.moons(200, rng=0)
    model = moons_model()
    history = trained(
        model, optim.SGD(model.parameters(), 1e-4), inputs=inputs, targets=targets, epochs=4,
        batch_size=50,
    )
    diagnosis = diagnose(history)
    text = " ".join(str(diagnosis).split())
    for part in (
        "(means of 4 steps, an epoch; the end is the median of the last tenth)",
        "means over 128 of 200 samples, chosen at random, in evaluation mode and without a penalty",
        f"history.loss[-1], {history.loss[-1]:.4g}, is of the last batch, before the last step",
        "each tried for 10 steps from the first parameters on a full batch of 32 of 200 samples",
    ):
        assert part in text
    (first,) = diagnosis
    assert "in 16 steps" in first.sentence  # of the longer trial: as many as the run had


def test_diagnose_finds_penalty_that_is_the_whole_loss():
    model = nn.MLP(2, [16, 1], "tanh", init="xavier", rng=1)
    history = fit(
        model, nn.hinge, X, Y, optimizer=optim.Adam(model.parameters(), 0.02), epochs=30,
        penalty=lambda: 3 * nn.l2(model.parameters()), record_every=1,
    )
    first = diagnose(history).findings[0]
    assert first.kind == "penalty too large"
    assert first.numbers["first"] > 10 * first.numbers["before"]
    model = nn.MLP(2, [16, 1], "tanh", init="xavier", rng=1)
    cured = fit(  # as advised
        model, nn.hinge, X, Y, optimizer=optim.Adam(model.parameters(), 0.02), epochs=80,
        penalty=lambda: 0.001 * nn.l2(model.parameters()), record_every=1,
    )
    assert cured.loss[-1] < 0.4
    assert "penalty too large" not in kinds(diagnose(cured))


def test_compiled_trials_have_the_losses_of_eager_ones():
    model = moons_model()
    problem = Problem(model, nn.hinge, dict(model.named_parameters()), X, Y)
    optimizer = optim.Adam(model.parameters(), 0.02)
    compiled = problem.compiled()
    assert compiled is not None
    assert compiled() == problem.loss_and_gradient()
    trials = try_rates(problem, optimizer, 0.02, 30)
    with detect_anomaly():  # nothing is compiled inside
        assert try_rates(problem, optimizer, 0.02, 30) == trials


def test_diagnose_bounds_work_on_deep_network_that_cannot_be_compiled():
    nodes = 0

    class Counting(nn.MLP):
        def __call__(self, x):
            nonlocal nodes
            nodes += per_sample
            return super().__call__(x)

    per_sample = 0
    model = Counting(8, [8] * 6 + [1], "sigmoid", init="xavier", rng=0)
    rng = random.Random(0)
    inputs = [[rng.gauss(0, 1) for _ in range(8)] for _ in range(150)]
    targets = [(-1.0) ** i for i in range(150)]
    per_sample = Problem(
        model, nn.mse, dict(model.named_parameters()), inputs, targets
    ).nodes()
    optimizer = optim.SGD(model.parameters(), 1e-6)
    first = str(diagnose(model, inputs, targets, loss=nn.mse, optimizer=optimizer))
    assert 100_000 < nodes < 2_000_000
    assert "on a full batch of 8 of 150 samples" in " ".join(first.split())


# ---- findings about the model --------------------------------------------------------------------


def test_diagnose_finds_dead_layer_and_its_advice_works():
    model = nn.MLP(2, [6, 4, 1], "relu", rng=0)
    for neuron in model.layers[0].neurons:
        neuron.b.data = -10.0
    for diagnosis in (diagnose(model, X), diagnose(model, X, Y, loss=nn.hinge)):
        dead = next(finding for finding in diagnosis if finding.kind == "dead units")
        assert (
            dead.where,
            dead.numbers["dead"],
            dead.numbers["units"],
            dead.numbers["samples"],
        ) == ("layers.0", 6, 6, 40)
        assert "no gradient" not in kinds(diagnosis)  # the dead units explain it
    assert "dead units" in kinds(
        diagnose(trained(model, optim.SGD(model.parameters(), 0.1), epochs=5))
    )
    for activation, init in (("relu", "he"), ("leaky_relu", "he")):  # the advice names both
        assert init in dead.advice
        cured = nn.MLP(2, [6, 4, 1], activation, init=init, rng=0)
        assert diagnose(cured, X, Y, loss=nn.hinge).healthy
        assert trained(cured, optim.SGD(cured.parameters(), 0.1), epochs=60).loss[-1] < 0.35


@pytest.mark.parametrize(("dead", "found"), [(4, []), (5, ["dead units"])])
def test_diagnose_reports_dead_units_above_half_of_a_layer(dead, found):
    model = nn.MLP(2, [8, 1], "relu", rng=3)
    for neuron in model.layers[0].neurons:
        neuron.b.data = 5.0
    for neuron in model.layers[0].neurons[:dead]:
        neuron.b.data = -10.0
    diagnosis = diagnose(model, X)
    assert kinds(diagnosis) == found
    assert f"{dead} dead" in str(diagnosis)


def test_diagnose_finds_saturated_units_and_its_advice_works():
    model = nn.MLP(2, [8, 8, 1], "tanh", rng=0)
    for parameter in model.parameters():
        parameter.data *= 50
    for diagnosis in (diagnose(model, X), diagnose(model, X, Y, loss=nn.hinge)):
        found = [finding for finding in diagnosis if finding.kind == "saturated units"]
        assert [finding.where for finding in found] == ["layers.0", "layers.1"]
        assert found[0].numbers["saturation"] > 0.8
        assert "xavier" in found[0].advice
    assert diagnose(nn.MLP(2, [8, 8, 1], "tanh", init="xavier", rng=0), X, Y, loss=nn.hinge).healthy


def test_diagnose_reports_saturated_output_only_if_loss_is_high():
    model = nn.MLP(2, [3, 1], "tanh", output="sigmoid", rng=0)
    model.layers[1].neurons[0].b.data = 50.0
    targets = [0] * len(X)
    assert diagnose(model, X).healthy
    assert "saturated units" in kinds(diagnose(model, X, targets, loss=nn.mse))
    assert diagnose(model, X, [1] * len(X), loss=nn.mse).healthy


def test_diagnose_reports_saturated_units_only_with_enough_samples():
    model = nn.MLP(2, [4, 1], "tanh", rng=0)
    for parameter in model.parameters():
        parameter.data *= 100
    assert diagnose(model, X[:9]).healthy
    assert kinds(diagnose(model, X[:10])) == ["saturated units"]


def deep(activation, init="uniform"):
    return nn.MLP(2, [6] * 12 + [1], activation, init=init, rng=0)


def test_diagnose_finds_vanishing_gradients_and_its_advice_works():
    model = deep("sigmoid")
    nn.mse(model(X[0]), 1.0).backward()
    for diagnosis in (diagnose(model), diagnose(model, X), diagnose(model, X, Y, loss=nn.mse)):
        assert set(kinds(diagnosis)) == {"vanishing gradient"}
        first = diagnosis.findings[0]
        assert first.where == "layers.0"
        assert 0 < first.numbers["rms"] < 1e-3 * first.numbers["last_rms"]
    for activation, init in (("tanh", "xavier"), ("relu", "he")):
        assert activation in first.advice
        assert init in first.advice
        assert "vanishing gradient" not in kinds(
            diagnose(deep(activation, init), X, Y, loss=nn.mse)
        )


MOONS = data.moons(60, noise=0.1, rng=0)  # thirty of either class


def test_diagnose_finds_vanishing_gradients_if_samples_cancel():
    model = nn.MLP(2, [6] * 10 + [1], "sigmoid", rng=0)
    diagnosis = diagnose(model, *MOONS, loss=nn.hinge)
    assert set(kinds(diagnosis)) == {"vanishing gradient"}
    assert [finding.where for finding in diagnosis][:2] == ["layers.0", "layers.1"]
    assert diagnosis.findings[0].numbers["last_rms"] > 0.1


def test_problem_computes_rms_of_gradients_of_samples():
    w, b = Value(2.0, "w"), Value(1.0, "b")
    problem = Problem(
        lambda x: w * x + b, lambda p, t: p * t, {"w": w, "b": b}, [3.0, 4.0], [1, -1]
    )
    assert problem.loss_and_gradient() == (-1.0, [-0.5, 0.0])
    rms = pytest.approx({"w": math.sqrt(12.5), "b": 1.0})
    assert problem.loss_and_rms_gradients() == (-1.0, rms, ())
    assert (w.grad, b.grad) == (0.0, 0.0)


def test_diagnose_accepts_plain_number_as_loss_of_some_samples():
    def hinge(p, t):
        return max(0, 1 - t * p)  # max may return the plain 0

    model = nn.MLP(2, [8, 1], "tanh", init="xavier", rng=1)
    optimizer = optim.SGD(model.parameters(), 0.1)
    assert diagnose(model, X, Y, loss=hinge, optimizer=optimizer).healthy
    w = Value(5.0, "w")
    assert Problem(lambda x: w * x, hinge, {"w": w}, [1.0], [1]).loss_and_gradient() == (0.0, [0.0])


def test_diagnose_finds_exploding_gradient_and_its_advice_works():
    model = deep("linear")
    for parameter in model.parameters():
        parameter.data *= 10
    finding = diagnose(model, X, Y, loss=nn.mse).findings[0]
    assert (finding.kind, finding.where) == ("exploding gradient", "layers.0")
    assert finding.numbers["rms"] > 1e3
    assert diagnose(deep("linear", "xavier"), X, Y, loss=nn.mse).healthy


def test_diagnose_finds_gradient_that_is_not_finite():
    model = nn.MLP(2, [2, 1], rng=0)
    model.layers[0].neurons[1].w[0].grad = nan
    model.layers[0].neurons[1].w[1].grad = model.layers[1].neurons[0].b.grad = 1.0
    finding, = diagnose(model)
    assert (finding.kind, finding.where, finding.numbers["nonfinite"]) == (
        "gradient not finite",
        "layers.0",
        1,
    )
    assert "explain_nonfinite" in finding.advice


class Line(nn.Module):
    """A line with a parameter that it does not use."""

    def __init__(self):
        self.slope, self.intercept, self.spare = Value(0.5), Value(0.1), Value(3.0)

    def __call__(self, x):
        return self.slope * x + self.intercept


def test_diagnose_finds_unused_parameter():
    line = Line()
    nn.mse(line(2.0), 3.0).backward()
    finding, = diagnose(line)
    assert (finding.kind, finding.where, finding.numbers["parameters"]) == (
        "no gradient",
        "spare",
        1,
    )
    for diagnosis in (
        diagnose(line, [1.0, 2.0]),
        diagnose(line, [1.0, 2.0], [1.0, 3.0], loss=nn.mse),
    ):
        finding, = diagnosis
        assert (finding.kind, finding.where, finding.numbers) == (
            "unused parameters",
            "spare",
            {"parameters": 1, "of": 3},
        )
    history = trained(
        line,
        optim.SGD(line.parameters(), 0.1),
        inputs=[1.0, 2.0],
        targets=[1.0, 3.0],
        loss=nn.mse,
        epochs=99,
    )
    assert kinds(diagnose(history)) == ["unused parameters"]  # although it has learned


def test_diagnose_names_first_three_of_many_unused_parameters():
    model = nn.Sequential(
        nn.Layer(2, 3, rng=0), lambda h: [h[0].data, h[1].data], nn.Layer(2, 1, "linear", rng=0)
    )
    finding, = diagnose(model, X)
    assert finding.numbers == {"parameters": 9, "of": 12}
    assert (
        finding.where
        == "layers.0.neurons.0.w.0, layers.0.neurons.0.w.1, layers.0.neurons.0.b and 6 more"
    )


def test_diagnose_ignores_bias_whose_gradient_cancels():
    model = nn.MLP(1, [2, 1], "tanh", rng=0)
    for x, t in ([1.0], 1), ([-1.0], -1):
        nn.hinge(model(x), t).backward()
    assert model.layers[1].neurons[0].b.grad == 0.0
    assert diagnose(model).healthy
    assert diagnose(model, [[1.0], [-1.0]], [1, -1], loss=nn.hinge).healthy


def test_diagnose_explains_why_all_gradients_are_zero():
    model = nn.MLP(2, [3, 1], "tanh", rng=0)
    finding, = diagnose(model)
    assert (finding.kind, finding.numbers["parameters"]) == ("no gradient", 13)
    assert "backward" in finding.advice
    assert diagnose(model, X).healthy  # no backward pass has been run
    frozen = diagnose(model, X, Y, loss=lambda p, t: tmath.sign(p) * 0.0 + 1.0)
    assert kinds(frozen) == ["no gradient"]
    assert "derivatives are 0" in frozen.findings[0].advice
    detached = diagnose(model, X, Y, loss=lambda p, t: Value(p.data - t) ** 2)
    assert kinds(detached) == ["unused parameters", "no gradient"]


def test_diagnose_finds_constant_loss_in_history():
    model = moons_model()
    history = trained(
        model, optim.SGD(model.parameters(), 0.1), loss=lambda p, t: tmath.sign(p) * 0.0 + 1.0
    )
    assert kinds(diagnose(history)) == ["loss stands still", "no gradient"]


# ---- learning rates tried from the present parameters --------------------------------------------


@pytest.mark.parametrize(("rate", "kind"), [
    (100.0, "learning rate too large"), (1e-4, "learning rate too small"),
    (0.0, "learning rate too small"), (0.1, None),
])
def test_diagnose_tries_learning_rates_before_training(rate, kind):
    model = moons_model()
    diagnosis = diagnose(model, X, Y, loss=nn.hinge, optimizer=optim.SGD(model.parameters(), rate))
    assert kinds(diagnosis) == ([kind] if kind else [])
    assert "the best is" in str(diagnosis)
    if kind:
        suggested = diagnosis.findings[0].numbers["suggested_rate"]
        assert trained(model, optim.SGD(model.parameters(), suggested), epochs=100).loss[-1] < 0.3


def test_diagnose_ignores_small_first_learning_rate_of_schedule():
    model = moons_model()
    optimizer = optim.Adam(model.parameters(), optim.warmup(0.1, 10_000))
    assert diagnose(model, X, Y, loss=nn.hinge, optimizer=optimizer).healthy


def test_best_learning_rate_is_far_below_divergence():
    model = moons_model()
    problem = Problem(model, nn.hinge, dict(model.named_parameters()), X, Y)
    trials = try_rates(problem, optim.SGD(model.parameters(), 0.1), 0.1)
    diverging = min(rate for rate, loss in trials.losses.items() if loss == inf)
    assert trials.best < diverging / 3
    assert trials.losses[trials.best] == min(
        loss for rate, loss in trials.losses.items() if rate < diverging / 3
    )
    assert trials.before == pytest.approx(problem.reduced(32).loss_and_gradient()[0])
    assert trials.samples == 32
    assert len(trials.losses) <= 30


def test_try_rates_searches_far_from_learning_rate_in_use():
    model = moons_model()
    problem = Problem(model, nn.hinge, dict(model.named_parameters()), X, Y)
    for rate in (1e-7, 1e8):
        assert 0.01 < try_rates(problem, optim.SGD(model.parameters(), rate), rate).best < 10


def test_diagnose_suggests_no_learning_rate_if_none_helps():
    model = nn.Layer(1, 1, "linear", rng=0)
    diagnosis = diagnose(
        model,
        [[1.0]],
        [0.0],
        loss=lambda p, t: 0.0 * p + 1.0,
        optimizer=optim.SGD(model.parameters(), 0.1),
    )
    assert "no learning rates, because the gradient at the present parameters" in str(diagnosis)
    assert kinds(diagnosis) == ["no gradient"]


def test_trial_diverges_if_update_rule_raises():
    class RaisingOptimizer(optim.Optimizer):
        def update(self, data, grad, state, lr, t):
            if lr > 1:
                raise ZeroDivisionError
            return data - lr * grad, state

    model = moons_model()
    problem = Problem(model, nn.hinge, dict(model.named_parameters()), X, Y)
    trials = try_rates(problem, RaisingOptimizer(model.parameters(), 0.1), 0.1)
    assert all((loss == inf) == (rate > 1) for rate, loss in trials.losses.items())


def test_diagnose_passes_on_error_of_loss_in_trial():
    def loss(p, t):
        if abs(p.data) > 1e6:
            raise ZeroDivisionError("of the loss")
        return nn.mse(p, t)

    model = nn.Layer(2, 1, "linear", rng=0)
    with pytest.raises(ZeroDivisionError, match="of the loss"):
        diagnose(model, X, Y, loss=loss, optimizer=optim.SGD(model.parameters(), 1e8))


def test_diagnose_suggests_no_learning_rate_that_only_reaches_constant_prediction():
    model = nn.MLP(2, [3] * 8 + [1], "sigmoid", rng=0)
    before = diagnose(model, *MOONS, loss=nn.hinge, optimizer=optim.SGD(model.parameters(), 0.01))
    assert set(kinds(before)) == {"vanishing gradient"}
    history = trained(
        model,
        optim.SGD(model.parameters(), 0.1),
        inputs=MOONS[0],
        targets=MOONS[1],
        epochs=12,
        record_every=4,
    )
    first, *others = diagnose(history)
    assert (first.kind, "suggested_rate" in first.numbers) == ("loss stands still", False)
    assert "constant prediction" in first.sentence
    assert "other parameters" in first.advice
    assert {finding.kind for finding in others} == {"vanishing gradient"}


def test_best_learning_rate_is_none_if_only_class_frequency_is_learned():
    few = [i for i in range(60) if MOONS[1][i] == 1 or i % 3 == 0]
    targets = [MOONS[1][i] for i in few]
    assert targets.count(1) > 2 * targets.count(-1)
    model = nn.MLP(2, [3] * 8 + [1], "sigmoid", rng=0)
    problem = Problem(
        model, nn.hinge, dict(model.named_parameters()), [MOONS[0][i] for i in few], targets
    )
    trials = try_rates(problem, optim.SGD(model.parameters(), 0.1), 0.1)
    assert min(trials.losses.values()) < 0.9 * trials.before
    assert trials.best is None


def test_diagnose_accepts_constant_prediction_if_all_targets_are_equal():
    x = Value(1.0, "x")
    finding, = diagnose(lambda _: x, [0] * 3, [0] * 3, loss=nn.mse, optimizer=optim.SGD([x], 1e-4))
    assert finding.kind == "learning rate too small"


def test_choose_samples_keeps_shares_of_classes_and_ranges():
    classes = [1 if i % 10 == 0 else -1 for i in range(400)]
    for targets in (classes, [[c] for c in classes]):
        assert [targets[i] for i in choose_samples(400, 30, targets)].count(targets[0]) == 3
    numbers = [float(i * 7 % 400) for i in range(400)]
    assert sorted(numbers[i] // 10 for i in choose_samples(400, 40, numbers)) == list(range(40))


@pytest.mark.parametrize(("nodes", "samples"), [(1_000, 32), (2_900, 20), (20_000, 8)])
def test_try_rates_uses_fewer_samples_for_large_graphs(nodes, samples):
    w = Value(0.5, "w")

    def model(x):
        y = w * x[0]
        for _ in range(nodes // 2):  # a sum and a constant
            y = y + 1e-9
        return y

    problem = Problem(model, nn.hinge, {"w": w}, X, Y)
    assert abs(problem.nodes() - nodes) < 20
    # a learning rate so far from the best one that trials end soon
    assert try_rates(problem, optim.SGD([w], 1e20), 1e20).samples == samples


# ---- state and samples ---------------------------------------------------------------------------


@pytest.mark.parametrize("look", [
    diagnose, lambda model: diagnose(model, X), lambda model: diagnose(model, X, Y, loss=nn.hinge),
    lambda model: diagnose(model, X, Y, loss=nn.hinge,
    optimizer=optim.Adam(model.parameters(), 10.0)),
], ids=["gradients", "units", "loss", "trials"])
def test_diagnose_restores_model_and_random_state(look):
    model = nn.Sequential(
        nn.Layer(2, 4, "tanh", rng=0), nn.Dropout(0.5), nn.Layer(4, 1, "linear", rng=0)
    )
    model([1.0, 2.0]).backward()
    model.layers[0].training = False
    before, numbers = state_of(model), random.getstate()
    look(model)
    assert state_of(model) == before
    assert random.getstate() == numbers


def test_diagnose_restores_optimiser_and_parameters_after_training():
    model = moons_model()
    optimizer = optim.Adam(model.parameters(), 1e-5)
    history = trained(model, optimizer)
    before, state = state_of(model), optimizer.state_dict()
    assert "suggested_rate" in diagnose(history).findings[0].numbers
    assert (state_of(model), optimizer.state_dict()) == (before, state)


def test_diagnose_restores_model_if_loss_raises():
    model = nn.MLP(2, [3, 1], "tanh", rng=0)
    calls = []

    def loss(p, t):
        calls.append(p)
        if len(calls) > 700:
            raise KeyError("enough")
        return nn.hinge(p, t)

    before = state_of(model)
    with pytest.raises(KeyError, match="enough"):
        diagnose(model, X, Y, loss=loss, optimizer=optim.SGD(model.parameters(), 0.1))
    assert state_of(model) == before


def test_diagnose_restores_gradients_of_inputs():
    inputs = [[Value(x) for x in row] for row in X]
    inputs[0][0].grad = 7.0
    diagnose(moons_model(), inputs, Y, loss=nn.hinge)
    assert [x.grad for row in inputs for x in row] == [7.0] + [0.0] * 79


def test_trials_diverge_without_error_inside_detect_anomaly():
    model = nn.MLP(2, [8, 8, 1], "linear", rng=0)
    with detect_anomaly():
        diagnosis = diagnose(
            model, X, Y, loss=nn.mse, optimizer=optim.SGD(model.parameters(), 1e10)
        )
    assert kinds(diagnosis) == ["learning rate too large"]


def test_diagnose_chooses_same_subset_of_many_samples():
    many, targets = data.moons(400, rng=0)
    assert "for 128 samples" in str(diagnose(moons_model(), many))
    assert choose_samples(400, 128) == choose_samples(400, 128)
    assert len(set(choose_samples(400, 128))) == 128
    chosen_targets = [targets[i] for i in choose_samples(400, 128)]
    assert 40 < chosen_targets.count(1) < 88
    assert choose_samples(3, 128) == [0, 1, 2]


@pytest.mark.parametrize(("predict", "loss", "targets", "expected"), [
    (lambda x: Value(x), nn.mse, [0.0, 2.0], 1.0),  # the mean target, 1, is best
    (lambda x: [Value(x), Value(0.0)], nn.mse, [[0.0, 0.0], [2.0, 0.0]], 0.5),
    (lambda x: Value(1e6 * x), nn.hinge, [1, -1], 1.0),
    (lambda x: [Value(x)] * 2, nn.cross_entropy, [0, 1], math.log(2)),
    (lambda x: {"a": Value(x)}, lambda p, t: p["a"] ** 2, [0, 0], None),
    (lambda x: Value(x), nn.mse, [0.0, 0.0], 0.25),
    (lambda x: [Value(x)] * int(1 + x), lambda p, t: p[0] ** 2, [0, 0], None),
    (lambda x: Value(x), lambda p, t: -1 - p * p, [0, 0], None),
])
def test_constant_loss_is_loss_of_best_constant_prediction(predict, loss, targets, expected):
    assert Problem(predict, loss, {}, [0.0, 1.0], targets).constant_loss() == (
        None if expected is None else pytest.approx(expected))


def test_diagnose_rejects_model_whose_predictions_are_dicts():
    w = Value(0.0, "w")
    history = fit(lambda x: {"y": w * x}, lambda p, t: (p["y"] - t) ** 2, [1.0, 2.0], [3.0, 6.0],
                  optimizer=optim.SGD([w], 0.1), epochs=20, record_every=1)
    with pytest.raises(TypeError, match="activations: the model must return Values, not"):
        diagnose(history)


def test_diagnose_accepts_function_with_optimiser():
    w, b = Value(0.0, "w"), Value(0.0)
    inputs, targets = [1.0, 2.0, 3.0], [2.0, 4.0, 7.0]
    diagnosis = diagnose(
        lambda x: w * x, inputs, targets, loss=nn.mse, optimizer=optim.SGD([w, b], 0.05)
    )
    finding, = diagnosis
    assert (finding.kind, finding.where) == ("unused parameters", "parameter 1")
    w.grad = 1.0
    assert diagnose(lambda x: w * x, optimizer=optim.SGD([w], 0.05)).healthy


def test_diagnose_accepts_history_without_optimiser():
    model = moons_model()
    history = trained(model, optim.SGD(model.parameters(), 1e-5))
    history.training.optimizer = None
    finding, = diagnose(history)
    assert (finding.kind, "suggested_rate" in finding.numbers) == ("loss stands still", False)


def test_diagnose_accepts_history_read_from_file():
    model = moons_model()
    history = History.from_json(trained(model, optim.SGD(model.parameters(), 1e-5)).to_json())
    diagnosis = diagnose(history)
    assert kinds(diagnosis) == ["loss stands still"]
    assert "not at the model" in str(diagnosis)


# ---- the result, and errors ----------------------------------------------------------------------


def test_diagnosis_prints_iterates_and_is_true_if_healthy():
    model = nn.MLP(2, [4, 1], "relu", rng=0)
    ill = diagnose(model)
    assert not ill
    assert not ill.healthy
    assert list(ill) == list(ill.findings)
    text = str(ill)
    assert repr(ill) == text
    assert text.startswith("Diagnosis of MLP of ")
    assert "1 finding\nlooked at:\n  - the gradients of 17 parameters in 2 layers" in text
    assert "\n\n1. no gradient: all parameters\n  The gradients of all 17 parameters are 0" in text
    assert max(map(len, text.splitlines())) <= 100
    assert bool(diagnose(model, X))
    assert len({*ill, *ill}) == len({ill}) == 1  # both can be in sets


@pytest.mark.parametrize(("arguments", "options", "error", "message"), [
    ((3,), {}, TypeError, "the model must be callable, not 3"),
    ((len,), {}, ValueError, "diagnose: .* has no parameters; pass a Module that has some, a "),
    ((nn.Dropout(),), {}, ValueError, "has no parameters"),
    ((History(),), {}, ValueError, "diagnose: the history has no steps"),
    ((history_of([1.0]), X), {}, TypeError, "diagnose: a history must be the only argument"),
    ((Line(),), {"loss": nn.mse}, ValueError, "diagnose: X must be samples, not None"),
    ((Line(), []), {}, ValueError, "diagnose: X has no samples"),
    ((Line(), 3), {}, TypeError, "diagnose: X must be samples"),
    ((Line(), [1.0], [2.0]), {}, ValueError, "diagnose: loss must be a function, not None"),
    ((Line(), [1.0], [2.0, 3.0]), {"loss": nn.mse}, ValueError,
     "diagnose: y must have one target for each sample, not "),
    ((Line(), [1.0]), {"loss": nn.mse}, ValueError, "not None: 0 targets for 1 sample"),
    ((Line(),), {"optimizer": optim.SGD([Value(0.0)], 0.1)}, ValueError,
     r"diagnose\(model, X, y, loss=..., optimizer=...\)"),
    ((Line(), [1.0]), {"optimizer": optim.SGD([Value(0.0)], 0.1)}, ValueError,
     "diagnose: optimizer needs samples, targets and a loss"),
    ((Line(), [1.0], [1.0]), {"loss": lambda p, t: 0.5}, TypeError,
     r"diagnose: loss must return a Value for at least one sample, .* \(mean 0.5\)"),
])
def test_diagnose_rejects_missing_and_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        diagnose(*arguments, **options)
