"""fit(engine="jit") has the bits of the eager engine: losses, parameters, states and histories.

Errors and interrupts are the same, too.
"""

import functools
import math as std
import random
import signal

import pytest
from helpers import bits_of, scaled, state_of, step_by_hand

from tinygrad_edu import Value, data, fit, math, nn, no_grad, optim
from tinygrad_edu.errors import NonFiniteError, TraceError
from tinygrad_edu.jit.running.memory import without_collection

X, Y = data.moons(23, rng=1)
SIGNS = [float(y) for y in Y]


def model(seed=0, **options):
    return nn.MLP(2, [5, 4, 1], rng=seed, **options)


def trained(
    engine,
    make=model,
    loss=nn.hinge,
    optimizer=lambda parameters: optim.SGD(parameters, lr=0.2),
    X=X,
    y=SIGNS,
    epochs=5,
    **options,
):
    net = make()
    made = optimizer(net.parameters())
    if callable(options.get("penalty")):
        penalty = options["penalty"]
        options["penalty"] = lambda: penalty(net)
    history = fit(net, loss, X, y, optimizer=made, epochs=epochs, engine=engine, rng=5, **options)
    return net, made, history


def assert_the_same(one, other):
    (net, made, history), (net2, made2, history2) = one, other
    assert bits_of(history.loss) == bits_of(history2.loss)
    assert bits_of(history.learning_rates) == bits_of(history2.learning_rates)
    assert history.epoch_ends == history2.epoch_ends
    assert history.metrics.keys() == history2.metrics.keys()
    for name, values in history.metrics.items():
        assert bits_of(values) == bits_of(history2.metrics[name])
    for slot in ("data", "grad"):
        assert bits_of([getattr(p, slot) for p in net.parameters()]) == \
            bits_of([getattr(p, slot) for p in net2.parameters()])
    assert made.steps == made2.steps
    assert made.state.keys() == made2.state.keys()
    for slot, column in made.state.items():
        assert bits_of(column) == bits_of(made2.state[slot])


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=optim.linear(0.5, 10, final=0.1)),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "RMSprop with momentum": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, weight_decay=0.1),
    "Adam": lambda p: optim.Adam(p, lr=optim.warmup(optim.cosine(0.05, 20), 3)),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.1),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("options", [
    {}, {"batch_size": 7, "penalty": lambda net: 1e-3 * nn.l2(net.parameters())},
], ids=["full batches", "mini-batches with a penalty"])
def test_every_optimizer_takes_the_same_steps_on_both_engines(optimizer, options):
    assert_the_same(
        trained("jit", optimizer=optimizer, **options),
        trained("eager", optimizer=optimizer, **options),
    )


@pytest.mark.parametrize("engine", ["eager", "jit"])
@pytest.mark.parametrize("samples", [1, 3, 4, 7, 63, 64, 65, 130, 261])
def test_a_step_adds_samples_in_the_documented_order(engine, samples):
    X, y = data.moons(261, rng=2)
    X, y = X[:samples], y[:samples]
    by_fit, by_hand = model(activation="tanh"), model(activation="tanh")
    history = fit(by_fit, nn.mse, X, y, optimizer=optim.SGD(by_fit.parameters(), lr=0.5), epochs=3,
                  engine=engine)
    losses = []
    for _ in range(3):
        losses.append(step_by_hand(by_hand, nn.mse, X, y, by_hand.parameters()))
        for parameter in by_hand.parameters():
            parameter.data -= 0.5 * parameter.grad
    assert bits_of(history.loss) == bits_of(losses)
    assert list(by_fit.state_dict().values()) == list(by_hand.state_dict().values())
    assert [p.grad for p in by_fit.parameters()] == [p.grad for p in by_hand.parameters()]


@pytest.mark.parametrize("engine", ["eager", "jit"])
def test_the_order_of_samples_is_the_order_of_the_batch(engine):
    order = list(range(23))
    random.Random(5).shuffle(order)  # as `fit` does in its first epoch
    by_fit, by_hand = trained(engine, batch_size=9, epochs=1)[0], model()
    for start in (0, 9, 18):
        batch = order[start : start + 9]
        step_by_hand(by_hand, nn.hinge, [X[i] for i in batch], [SIGNS[i] for i in batch],
                     by_hand.parameters())
        for parameter in by_hand.parameters():
            parameter.data -= 0.2 * parameter.grad
    assert by_fit.state_dict() == by_hand.state_dict()


def classifier():
    return nn.Sequential(
        nn.Layer(4, 6, "tanh", rng=3), nn.Dropout(0.4, rng=9), nn.Layer(6, 3, "linear", rng=4)
    )


def test_classifier_with_dropout_metrics_and_clipping_trains_alike_on_both_engines():
    flowers, species = data.iris()
    options = {
        "make": classifier,
        "loss": nn.cross_entropy,
        "X": flowers[::7],
        "y": species[::7],
        "batch_size": 5,
        "metrics": [nn.accuracy],
        "max_norm": 0.5,
        "epochs": 4,
        "optimizer": lambda p: optim.Adam(p, lr=0.05),
    }
    assert_the_same(trained("jit", **options), trained("eager", **options))


def test_dropout_draws_a_new_mask_for_every_sample_of_every_step():
    losses = trained(
        "jit",
        make=classifier,
        loss=nn.cross_entropy,
        X=[[1.0, 2.0, 3.0, 4.0]] * 3,
        y=[0, 1, 2],
        epochs=30,
        optimizer=lambda p: optim.SGD(p, lr=0.0),
    )[2].loss
    assert len(set(losses)) > 20


@pytest.mark.parametrize("loss", [nn.mse, nn.hinge, nn.binary_cross_entropy])
def test_every_loss_of_scores_trains_alike_on_both_engines(loss):
    targets = [0.0 if y < 0 else 1.0 for y in SIGNS] if loss is nn.binary_cross_entropy else SIGNS
    for activation in ("tanh", "relu", "sigmoid", "gelu", "softplus"):
        options = {
            "make": functools.partial(model, activation=activation),
            "loss": loss,
            "y": targets,
            "epochs": 2,
        }
        assert_the_same(trained("jit", **options), trained("eager", **options))


def test_samples_of_different_lengths_have_separate_programs():
    class Mean(nn.Module):
        def __init__(self):
            self.w, self.b = Value(0.3), Value(-0.2)

        def __call__(self, xs):
            return math.tanh(self.w * math.total(xs) * (1 / len(xs)) + self.b)

    rng = random.Random(0)
    lists = [[rng.uniform(-1, 1) for _ in range(n)] for n in (1, 3, 2, 3, 1, 4, 3)]
    options = {
        "make": Mean,
        "loss": nn.mse,
        "X": lists,
        "y": [x[0] for x in lists],
        "batch_size": 3,
        "epochs": 4,
    }
    assert_the_same(trained("jit", **options), trained("eager", **options))


def test_long_loss_runs_on_the_tape_machine():
    class Deep(nn.Module):
        def __init__(self):
            self.w = [Value(0.9), Value(0.01), Value(0.5)]

        def __call__(self, x):
            for _ in range(1_500):
                x = math.tanh(self.w[0] * x + self.w[1])
            return [x, self.w[2]]

    from tinygrad_edu.jit.running import backend

    options = {
        "make": Deep,
        "loss": lambda p, t: (p[0] - t) ** 2 + p[1] ** 2,
        "X": [0.1, 0.5, 0.7],
        "y": [1.0, 0.0, 2.0],
        "epochs": 3,
        "metrics": {"first": lambda p, t: p[0]},
    }
    assert backend.MAX_STRAIGHT_LINE_OPS < 2 * 1_500 * 4
    assert_the_same(trained("jit", **options), trained("eager", **options))


def test_leaves_that_are_not_trained_are_read_at_each_step_and_keep_their_data():
    def run(engine):
        scale = Value(2.0, "scale")
        net = nn.Neuron(2, "tanh", rng=0)
        seen = []

        def on_epoch(history):
            seen.append(net.w[0].data)
            scale.data += 0.5

        optimizer = optim.SGD(net.parameters(), lr=0.1)
        history = fit(
            net,
            lambda p, t: (scale * p - t) ** 2,
            X,
            SIGNS,
            optimizer=optimizer,
            epochs=4,
            engine=engine,
            on_epoch=on_epoch,
        )
        return history.loss, seen, scale.data

    compiled, eager = run("jit"), run("eager")
    assert compiled == eager
    assert len(set(eager[1])) == 4
    assert compiled[2] == 4.0


def test_callback_sees_the_parameters_and_its_assignments_take_effect():
    def run(engine):
        net = model()
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.5)
        seen = []

        def on_epoch(history):
            seen.append(
                (
                    optimizer.steps,
                    net.parameters()[3].data,
                    net.parameters()[3].grad,
                    optimizer.state["velocity"][3],
                )
            )
            for parameter in net.parameters():
                parameter.data = max(-0.5, min(0.5, parameter.data))
            optimizer.lr = 0.1 / (1 + history.epochs)
            optimizer.momentum = 0.5 + 0.1 * history.epochs
            return history.epochs == 3

        history = fit(
            net,
            nn.hinge,
            X,
            SIGNS,
            optimizer=optimizer,
            epochs=9,
            batch_size=8,
            shuffle=False,
            engine=engine,
            on_epoch=on_epoch,
        )
        return history, seen

    (history, seen), (eager, seen2) = run("jit"), run("eager")
    assert history.epochs == eager.epochs == 3
    assert history.loss == eager.loss
    assert seen == seen2
    assert [entry[0] for entry in seen] == [3, 6, 9]


def test_snapshots_are_the_same_on_both_engines():
    compiled, eager = (
        trained(engine, batch_size=9, record_every=2)[2].training for engine in ("jit", "eager")
    )
    assert [s.step for s in compiled.snapshots] == [s.step for s in eager.snapshots]
    for one, other in zip(compiled.snapshots, eager.snapshots):
        for name in ("before", "gradients", "after"):
            assert bits_of(getattr(one, name)) == bits_of(getattr(other, name))


def test_training_continues_from_a_checkpoint_on_either_engine(tmp_path):
    def run(first, second):
        net = model()
        optimizer = optim.Adam(net.parameters(), lr=0.05)
        fit(net, nn.hinge, X, SIGNS, optimizer=optimizer, epochs=3, engine=first)
        nn.save(net, tmp_path / "there.json", optimizer)
        again = model(seed=8)
        other = optim.Adam(again.parameters(), lr=0.05)
        nn.load(again, tmp_path / "there.json", other)
        return fit(
            again, nn.hinge, X, SIGNS, optimizer=other, epochs=3, engine=second
        ).loss, other.steps

    reference, steps = run("eager", "eager")
    assert steps == 6
    for engines in (("jit", "jit"), ("jit", "eager"), ("eager", "jit")):
        assert run(*engines) == (reference, 6)


def test_an_interrupt_leaves_the_parameters_of_the_last_finished_step():
    calls = []

    def interrupting(p, t):
        calls.append(p)
        if len(calls) == 2 * len(X) + 4:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    net, optimizer, history = trained("jit", metrics={"m": interrupting}, epochs=9)
    assert history.interrupted
    assert len(history) == optimizer.steps == 2
    reference = trained("eager", epochs=2)[0]
    assert [p.data for p in net.parameters()] == [p.data for p in reference.parameters()]


INTERRUPTED = ("step", "differentiate", "run", "clip")


@pytest.mark.parametrize("after", range(0, scaled(40, 400), 8))
def test_interrupt_at_any_moment_of_a_step_leaves_whole_steps(after):
    """Ctrl-C is raised at one of the profiler's events, which lie between two instructions."""
    import sys

    net = model()
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    events = [0]

    def press(frame, event, argument):
        code = frame.f_code
        if (
            code.co_filename.endswith(("/engine.py", "/rule.py", "/samples.py"))
            and "train/compiled" in code.co_filename
            and code.co_name in INTERRUPTED
        ):
            events[0] += 1
            if events[0] == 40 + after:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(press)
    try:
        history = fit(
            net, nn.hinge, X, SIGNS, optimizer=optimizer, epochs=60, engine="jit", max_norm=1.0
        )
    finally:
        sys.setprofile(None)
    assert history.interrupted
    steps = len(history)
    assert 0 < steps == optimizer.steps < 60
    reference = model()
    again = optim.Adam(reference.parameters(), lr=0.05)
    whole = fit(
        reference, nn.hinge, X, SIGNS, optimizer=again, epochs=steps, engine="jit", max_norm=1.0
    )
    assert history.loss == whole.loss
    assert [p.data for p in net.parameters()] == [p.data for p in reference.parameters()]
    assert optimizer.state == again.state


@pytest.mark.parametrize("delay", [0.002, 0.005, 0.011, 0.02, 0.035])
def test_an_interrupt_of_many_steps_in_one_call_leaves_whole_steps(delay):
    def interrupted(delay):
        """The model, its optimizer and the history; None if the timer fired before the run."""
        net = model()
        optimizer = optim.SGD(net.parameters(), lr=optim.cosine(0.1, 4_000_000), momentum=0.9)
        start = [p.data for p in net.parameters()]
        signal.setitimer(signal.ITIMER_REAL, delay)
        try:
            history = fit(
                net, nn.hinge, X, SIGNS, optimizer=optimizer, epochs=3_000_000, engine="jit"
            )
        except KeyboardInterrupt:
            assert (optimizer.steps, [p.data for p in net.parameters()]) == (0, start)
            return None
        return net, optimizer, history

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        trained("jit", epochs=2)  # so that the timer fires in a step rather than in an import
        with without_collection():  # a callback of the collector would swallow the interrupt
            while (result := interrupted(delay)) is None:
                delay *= 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    net, optimizer, history = result
    steps = len(history)
    assert history.interrupted
    assert (
        steps
        == optimizer.steps
        == history.epochs
        == len(history.seconds)
        == len(history.learning_rates)
    )
    assert history.seconds == sorted(history.seconds)
    reference = model()
    again = optim.SGD(reference.parameters(), lr=optim.cosine(0.1, 4_000_000), momentum=0.9)
    whole = fit(
        reference,
        nn.hinge,
        X,
        SIGNS,
        optimizer=again,
        epochs=steps,
        engine="jit",
        on_epoch=lambda history: None,
    )
    assert history.loss == whole.loss
    assert history.learning_rates == whole.learning_rates
    assert [p.data for p in net.parameters()] == [p.data for p in reference.parameters()]
    assert optimizer.state == again.state


def test_many_steps_in_one_call_equal_single_steps():
    for samples in (23, 20, 3):
        options = {
            "X": X[:samples],
            "y": SIGNS[:samples],
            "epochs": 70,
            "optimizer": OPTIMIZERS["Adam"],
            "penalty": lambda net: 1e-3 * nn.l2(net.parameters()),
        }
        fast, one_by_one = (
            trained("jit", **options),
            trained("jit", on_epoch=lambda history: None, **options),
        )
        assert_the_same(fast, one_by_one)


def test_inf_and_nan_raise_the_eager_engines_error_before_anything_changes():
    def run(engine):
        net = model()
        with pytest.raises(NonFiniteError) as caught:
            fit(net, lambda p, t: math.exp(p * p) * t, X, [1.0] * len(X), epochs=50, engine=engine,
                optimizer=optim.SGD(net.parameters(), lr=5.0))
        return caught.value, [p.data for p in net.parameters()]

    (error, compiled), (reference, eager) = run("jit"), run("eager")
    assert str(error) == str(reference)
    assert error.history.loss == reference.history.loss
    assert len(error.history) > 0
    assert compiled == eager
    assert all(map(std.isfinite, compiled))


def test_dropout_draws_the_same_numbers_if_a_step_is_not_finite():
    def run(engine, seed):
        rng = random.Random(seed)
        net = nn.Sequential(
            nn.Layer(2, 6, "tanh", rng=0), nn.Dropout(0.5, rng=rng), nn.Layer(6, 1, "linear", rng=1)
        )
        with pytest.raises(NonFiniteError) as caught:
            fit(net, lambda p, t: math.exp(p * p) + nn.mse(p, t), X, SIGNS, epochs=50, batch_size=4,
                engine=engine, rng=1, optimizer=optim.SGD(net.parameters(), lr=1e3))
        return str(caught.value), caught.value.history.loss, state_of(net)

    for seed in range(8):
        (error, *compiled), (reference, *eager) = run("jit", seed), run("eager", seed)
        assert error == reference
        assert compiled == eager


def test_a_model_with_a_branch_raises_and_is_left_intact():
    class Branching(nn.Module):
        def __init__(self):
            self.w = Value(0.5, "w")

        def __call__(self, x):
            return self.w * x[0] if x[0] > 0 else self.w * x[1]

    net = Branching()
    made = optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    before = state_of(net)

    def run(engine):
        return fit(net, nn.mse, X, SIGNS, optimizer=made, epochs=100, engine=engine).loss

    with pytest.raises(TraceError, match=r"`X\[i\]\[0\] > 0`"):
        run("jit")
    assert (state_of(net), made.steps, made.state) == (before, 0, {"velocity": [0.0]})
    assert run("eager") == trained(
        "eager", make=Branching, loss=nn.mse, epochs=100,
        optimizer=lambda p: optim.SGD(p, lr=0.2, momentum=0.9))[2].loss


def test_a_rule_that_cannot_be_traced_runs_on_floats():
    class SignDescent(optim.Optimizer):
        def update(self, data, grad, state, lr, t):
            return data - lr * (1.0 if grad > 0 else -1.0 if grad < 0 else 0.0), state

    rule = {"optimizer": lambda p: SignDescent(p, lr=0.01)}
    assert_the_same(trained("jit", **rule), trained("eager", **rule))


def test_target_that_the_loss_rejects_is_rejected_by_both_engines():
    for engine in ("jit", "eager"):
        with pytest.raises(ValueError, match="hinge: the target must be -1 or 1, not 3"):
            trained(engine, y=[1, -1, 3] + [1] * (len(X) - 3))
        with pytest.raises(ValueError, match=r"cross_entropy: the target must be .*, not 7"):
            trained(engine, make=classifier, loss=nn.cross_entropy, X=[[1.0] * 4] * 2, y=[0, 7])


def test_invalid_arguments_raise_the_same_errors_on_both_engines():
    stranger = Value(1.0)
    for engine in ("jit", "eager"):
        with pytest.raises(ValueError, match="depends on none of the optimiser's parameters"):
            fit(
                model(),
                nn.hinge,
                X,
                SIGNS,
                optimizer=optim.SGD([stranger], lr=0.1),
                epochs=1,
                engine=engine,
            )
        net = model()
        with pytest.raises(TypeError, match="depends on no Value"):
            fit(
                net,
                lambda p, t: 1.0,
                X,
                SIGNS,
                optimizer=optim.SGD(net.parameters(), lr=0.1),
                epochs=1,
                engine=engine,
            )


# ---- what tracing cannot see, or changes during a run: eager numbers, or an error


def smooth():
    """Makes a model without kinks, at which the last bit may decide."""
    return model(activation="tanh")


LONG = {
    "make": smooth,
    "X": data.moons(40, rng=1)[0],
    "y": [int(y > 0) for y in data.moons(40, rng=1)[1]],
    "epochs": 40,
}


def cross_entropy_by_hand(p, t):
    return math.softplus(-p) if t == 1 else math.softplus(p)


FROZEN = {
    "==": (cross_entropy_by_hand, "== or != or in"),
    "in": (lambda p, t: math.softplus(-p) if t in (1, 2) else math.softplus(p), "== or != or in"),
    "a table by key": (
        lambda p, t: math.softplus({0: 1.0, 1: -1.0}[t] * p),
        "a set or the key of a dict",
    ),
    "isinstance": (
        lambda p, t: math.softplus(-p) if isinstance(t, int) and t > 0 else math.softplus(p),
        "the loss of sample 0 is ",
    ),
    "text": (
        lambda p, t: math.softplus(-p) if str(t) == "1" else math.softplus(p),
        "the function has the text 'Traced(",
    ),
}


@pytest.mark.parametrize(("loss", "message"), FROZEN.values(), ids=FROZEN)
def test_numbers_that_would_be_frozen_raise_and_leave_the_model_intact(loss, message):
    net = smooth()
    before = state_of(net)
    with pytest.raises(TraceError) as error:
        trained("jit", loss=loss, **{**LONG, "make": lambda: net})
    assert message in str(error.value)
    assert str(error.value).endswith('or train with engine="eager"')
    assert state_of(net) == before
    assert_the_same(trained("eager", loss=loss, **{**LONG, "make": lambda: net}),
                    trained("eager", loss=loss, **LONG))


class Tempered(nn.Module):
    """A model with a plain number and a leaf besides its parameters."""

    def __init__(self):
        self.net, self.temperature = smooth(), 1.0

    def __call__(self, x):
        return self.net(x) * self.temperature


def cool(net, X):
    net.temperature *= 0.9


def replace_a_parameter(net, X):
    net.net.layers[0].neurons[0].b = Value(0.3)


def move_the_samples(net, X):
    X[0][0] += 0.1
    X[3] = [0.5, 0.5]


@pytest.mark.parametrize("change", [cool, replace_a_parameter, move_the_samples])
def test_changes_by_a_callback_take_effect_from_the_next_step(change):
    def run(engine):
        samples, net = [list(x) for x in LONG["X"]], Tempered()
        made = optim.SGD(net.parameters(), lr=0.2)
        return fit(
            net,
            nn.mse,
            samples,
            SIGNS_OF_LONG,
            optimizer=made,
            epochs=40,
            engine=engine,
            on_epoch=lambda history: change(net, samples) if len(history) in (3, 4, 9) else None,
        ).loss

    losses = run("jit")
    assert losses == run("eager")
    assert len({round(x, 9) for x in losses}) > 20  # it did train


SIGNS_OF_LONG = [2 * y - 1 for y in LONG["y"]]


def test_a_factor_of_the_penalty_may_change():
    def run(engine):
        factor = [0.1]

        def weaken(history):
            factor[0] *= 0.5

        return trained(
            engine,
            make=smooth,
            loss=nn.mse,
            penalty=lambda net: factor[0] * nn.l2(net.parameters()),
            on_epoch=weaken,
            X=LONG["X"],
            y=SIGNS_OF_LONG,
            epochs=12,
        )[2].loss

    assert run("jit") == run("eager")


class Shaken:
    """Samples that change at each access."""

    def __init__(self):
        self.rng = random.Random(1)

    def __len__(self):
        return len(LONG["X"])

    def __getitem__(self, i):
        return [x + self.rng.gauss(0, 0.1) for x in LONG["X"][i]]


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # a tiny rate
@pytest.mark.parametrize("options", [
    {}, {"batch_size": 16, "rng": 2}, {"on_epoch": lambda history: 0}, {"metrics": [nn.accuracy]},
], ids=["full batches", "mini-batches", "a callback", "a metric"])
def test_samples_that_change_at_each_access_are_read_once_in_every_step(options):
    def run(engine):
        net = smooth()
        return fit(
            net,
            nn.mse,
            Shaken(),
            SIGNS_OF_LONG,
            optimizer=optim.SGD(net.parameters(), lr=1e-9),
            epochs=30,
            engine=engine,
            **options,
        ).loss

    losses = run("jit")
    assert losses == run("eager")
    assert len({round(x, 4) for x in losses}) > 20


def test_values_among_the_samples_are_rejected_and_only_the_eager_engine_trains_them():
    rows = [[Value(x) for x in row] for row in LONG["X"]]
    inputs = [x for row in rows for x in row]

    def run(engine):
        net = smooth()
        made = optim.SGD([*net.parameters(), *inputs], lr=0.2)
        return fit(net, nn.mse, rows, SIGNS_OF_LONG, optimizer=made, epochs=40, engine=engine).loss

    with pytest.raises(
        TypeError, match=r"sample 0 has Value\(.*no gradient; let the model look it up with take"
    ):
        run("jit")
    given = [x for row in LONG["X"] for x in row]
    assert [x.data for x in inputs] == given
    losses = run("eager")
    assert losses[-1] < losses[0]
    assert not any(x.data == before for x, before in zip(inputs, given))


def test_metrics_see_values_and_parameters_as_they_are():
    def run(engine):
        net = smooth()
        seen = []

        def metric(prediction, target):
            first = net.parameters()[0]
            seen.append((first.data, first.grad, prediction.data))
            return float(prediction.data * target > 0)

        fit(
            net,
            nn.mse,
            LONG["X"],
            SIGNS_OF_LONG,
            optimizer=optim.SGD(net.parameters(), lr=0.2),
            epochs=40,
            engine=engine,
            metrics=[metric],
        )
        return seen

    assert run("jit") == run("eager")


def test_later_sample_that_cannot_be_compiled_raises_after_whole_steps():
    samples = [[*x, 0.0] if i == 7 else x for i, x in enumerate(LONG["X"])]

    def run(engine):
        net = smooth()
        made = optim.SGD(net.parameters(), lr=0.2, momentum=0.5)

        def branching(x):
            return net(x[:2]) * 2 if len(x) == 3 and net(x[:2]) > 0 else net(x[:2])

        def train():
            return fit(branching, nn.mse, samples, SIGNS_OF_LONG, optimizer=made, epochs=1,
                       batch_size=4, engine=engine, rng=3, record_every=1)

        return net, made, train

    net, made, train = run("jit")
    with pytest.raises(TraceError, match="if, and, or") as error:
        train()
    history, eager, steps = error.value.history, run("eager")[2](), made.steps
    assert 0 < steps < len(eager) == 10
    assert bits_of(history.loss) == bits_of(eager.loss[:steps])
    last = eager.training.snapshots[steps - 1]
    assert last.step == steps
    assert bits_of([p.data for p in net.parameters()]) == bits_of(last.after)
    assert bits_of([p.grad for p in net.parameters()]) == bits_of(last.gradients)


def test_a_loss_that_tests_for_nan_raises_and_leaves_the_model_intact():
    def masked(p, t):
        return p * 0.0 if t != t else nn.hinge(p, t)

    targets = [std.nan if i == 3 else y for i, y in enumerate(SIGNS_OF_LONG)]
    net = smooth()
    before = state_of(net)
    with pytest.raises(TraceError, match="x <= x holds unless x is nan"):
        trained("jit", make=lambda: net, loss=masked, X=LONG["X"], y=targets)
    assert state_of(net) == before
    losses = trained("eager", loss=masked, X=LONG["X"], y=targets, epochs=40)[2].loss
    assert losses[-1] < losses[0]


def test_every_engine_raises_without_gradients():
    for engine in ("eager", "jit"):
        with no_grad(), pytest.raises(ValueError, match="none of the optimiser's parameters"):
            trained(engine)


class Keeping(nn.Module):
    """A model that stores its last output."""

    def __init__(self):
        self.net, self.last = smooth(), None

    def __call__(self, x):
        self.last = self.net(x)
        return self.last


def test_a_model_that_stores_values_raises_and_stores_no_traced_ones():
    net, seen = Keeping(), []

    def run(engine):
        fit(
            net,
            nn.mse,
            LONG["X"],
            SIGNS_OF_LONG,
            optimizer=optim.SGD(net.net.parameters(), lr=0.1),
            epochs=40,
            engine=engine,
            penalty=lambda: 0.01 * net.last**2,
            metrics={"last": lambda p, t: seen.append(net.last.data) or 0.0},
        )

    with pytest.raises(TraceError, match=r"Keeping\.last"):
        run("jit")
    assert (net.last, seen) == (None, [])
    run("eager")
    assert len(seen) == 40 * len(LONG["X"])
    assert all(map(std.isfinite, seen))


LATER = [[*x, 0.5] if i % 3 == 1 else x for i, x in enumerate(LONG["X"])]


def test_callback_may_change_a_number_used_by_one_structure():
    def run(engine):
        net, factor = smooth(), [1.0]

        def change(history):
            factor[0] = 0.3 if len(history) > 5 else 1.0

        return fit(
            lambda x: net(x) if len(x) == 2 else net(x[:2]) * factor[0],
            nn.mse,
            LATER,
            SIGNS_OF_LONG,
            epochs=60,
            optimizer=optim.SGD(net.parameters(), lr=0.1),
            engine=engine,
            on_epoch=change,
        ).loss

    assert run("jit") == run("eager")


def test_random_numbers_in_one_structure_raise():
    net, rng = smooth(), random.Random(5)
    with pytest.raises(TraceError, match="draws from the random generator rng"):
        fit(
            lambda x: net(x) if len(x) == 2 else net([x[0] + rng.random(), x[1]]),
            nn.mse,
            LATER,
            SIGNS_OF_LONG,
            epochs=20,
            optimizer=optim.SGD(net.parameters(), lr=0.1),
            engine="jit",
        )
