"""Programs that the compiled engine once trained differently or damaged: it gives the eager
numbers, or an error that names the cause."""

import copy
import functools
import pickle
import random
import types

import numpy as np
import pytest
from helpers import bits_of, scaled, state_of, step_by_hand

import tinygrad_edu.train.compiled
from tinygrad_edu import Value, data, fit, grad, hessian, jit, math, nn, no_grad, optim
from tinygrad_edu.errors import TraceError

X, Y = data.moons(60, rng=1)


def network():
    return nn.MLP(2, [8, 1], rng=3)


class Keeping(nn.Module):
    """Keeps its last output."""

    def __init__(self):
        self.a, self.b = nn.Layer(2, 8, "tanh", rng=0), nn.Layer(8, 1, "linear", rng=1)

    def __call__(self, x):
        self.hidden = self.a(x)
        return self.b(self.hidden)


class Norm(nn.Module):
    """Subtracts a running mean."""

    def __init__(self):
        self.net, self.mean = network(), [0.0, 0.0]

    def __call__(self, x):
        self.mean = [0.99 * m + 0.01 * v for m, v in zip(self.mean, x)]
        return self.net([v - m for v, m in zip(x, self.mean)])


class Counting(nn.Module):
    """Leaves its bias out at every seventh call."""

    def __init__(self):
        self.net, self.calls = network(), 0

    def __call__(self, x):
        self.calls += 1
        return self.net(x) * (0.5 if self.calls % 7 == 0 else 1.0)


class Listing(nn.Module):
    """Stores outputs in containers without assigning an attribute."""

    def __init__(self):
        self.net, self.outputs, self.cache, self.seen = network(), [], {}, set()

    def __call__(self, x):
        out = self.net(x)
        self.outputs.append(out)
        self.cache["last"] = out
        self.seen.add(len(self.outputs) % 3)
        return out


class Noisy(nn.Module):
    """Draws from its own generator."""

    def __init__(self):
        self.net, self.rng = network(), random.Random(4)

    def __call__(self, x):
        return self.net([v + self.rng.gauss(0.0, 0.1) for v in x])


class Wasteful(Noisy):
    """Draws a number that its result does not depend on."""

    def __call__(self, x):
        self.rng.random()
        return self.net(x)


class Namespace(nn.Module):
    """Counts in an object of a library's class."""

    def __init__(self):
        self.net, self.seen = network(), types.SimpleNamespace(n=0)

    def __call__(self, x):
        self.seen.n += 1
        return self.net(x) * (0.5 if self.seen.n % 7 == 0 else 1.0)


class NumpyNoise(nn.Module):
    """Draws from a generator of numpy."""

    def __init__(self):
        self.net, self.rng = network(), np.random.default_rng(4)

    def __call__(self, x):
        return self.net([v + float(self.rng.normal(0.0, 0.1)) for v in x])


class Noted(list):
    """A list with an attribute."""


class Attribute(nn.Module):
    """Counts in an attribute of a list."""

    def __init__(self):
        self.net, self.notes = network(), Noted()
        self.notes.n = 0

    def __call__(self, x):
        self.notes.n += 1
        return self.net(x) * (0.5 if self.notes.n % 7 == 0 else 1.0)


@functools.wraps(network)
def wrapped(f):
    @functools.wraps(f)
    def call(x):
        call.n += 1
        return f(x) * (0.5 if call.n % 7 == 0 else 1.0)

    call.n = 0
    return call


def with_a_wrapper():
    net = network()
    model = wrapped(lambda x: net(x))
    model.parameters = net.parameters
    return model


class Slotted:
    """A class that is not a `Module` and has no dict."""

    __slots__ = ("last", "net")
    runs = 0

    def __init__(self):
        self.net = network()

    def parameters(self):
        return self.net.parameters()

    def __call__(self, x):
        Slotted.runs += 1
        self.last = self.net(x)
        return self.last


TOTAL = 0


def with_a_global():
    net = network()

    def model(x):
        global TOTAL
        TOTAL += 1
        return net(x) * (1 + TOTAL % 2)

    model.parameters = net.parameters
    return model


def with_a_closure():
    net, last = network(), None

    def model(x):
        nonlocal last
        last = net(x)
        return last

    model.parameters = net.parameters
    return model


IMPURE = {
    Norm: "Norm.mean",
    Counting: "Counting.calls",
    Keeping: "Keeping.hidden",
    Listing: "Listing.outputs, Listing.cache",
    Noisy: "the random generator Noisy.rng",
    Wasteful: "the random generator Wasteful.rng",
    Slotted: "Slotted.last",
    Namespace: "Namespace.seen.n",
    NumpyNoise: "the random generator NumpyNoise.rng",
    Attribute: "Attribute.notes.n",
    with_a_global: "TOTAL",
    with_a_closure: "last",
    with_a_wrapper: "<lambda>.n",
}


EPOCHS = scaled(ci=16, thorough=200)


def trained(model, engine, **options):
    global TOTAL
    TOTAL = 0
    made = options.pop("optimizer", optim.Adam)(model.parameters(), 0.01)
    options = {"epochs": EPOCHS, "rng": 0, "loss": nn.hinge, **options}
    return fit(
        model,
        options.pop("loss"),
        X,
        Y,
        optimizer=made,
        **({"engine": engine} if engine else {}),
        **options,
    )


@pytest.mark.parametrize(
    ("make", "cause"), IMPURE.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_model_with_side_effects_is_trained_eagerly_and_rejected_by_name(make, cause):
    by_hand = make()
    parameters, optimizer = by_hand.parameters(), optim.Adam(by_hand.parameters(), 0.01)
    losses = []
    global TOTAL
    TOTAL = 0
    for _ in range(EPOCHS):
        losses.append(step_by_hand(by_hand, nn.hinge, X, Y, parameters))
        optimizer.step()
    for engine in (None, "eager"):
        model = make()
        history = trained(model, engine)
        assert history.loss == losses
        assert [p.data for p in model.parameters()] == [p.data for p in parameters]
        assert history.engine == f"eager, {EPOCHS} steps"
    model = make()
    TOTAL = 0
    with pytest.raises(TraceError, match='or train with engine="eager"') as error:
        trained(model, "jit")
    assert cause in str(error.value)
    assert trained(model, None).loss == losses  # it is unchanged


def test_a_loss_with_the_trace_of_an_earlier_one_is_compared_as_well():
    def plain(prediction, target):
        return (prediction - target) ** 2

    def hidden(prediction, target):
        square = (prediction - target) ** 2
        return square * 3.0 if isinstance(target, float) and target == 3.0 else square

    targets = [float(i) for i in range(len(X))]
    for loss in (plain, hidden):
        model = nn.MLP(2, [4, 1], rng=0)
        optimizer = optim.SGD(model.parameters(), lr=1e-3)
        if loss is hidden:
            with pytest.raises(TraceError, match="the loss of sample"):
                fit(model, loss, X[2:], targets[2:], optimizer=optimizer, epochs=2, engine="jit")
        else:
            fit(model, loss, X, targets, optimizer=optimizer, epochs=2, engine="jit")


def test_a_trace_leaves_no_traced_value_behind():
    for make in (Norm, Keeping, Listing):
        model = make()
        before = state_of(model), repr({**vars(model), "training": True})
        with pytest.raises(TraceError):
            trained(model, "jit")
        assert (state_of(model), repr({**vars(model), "training": True})) == before
        assert "Traced" not in repr(vars(model))
        copy.deepcopy(model)
        pickle.dumps(model)


def test_a_trace_of_jit_puts_attributes_back():
    model = Keeping()
    f = jit(model)
    assert f([1.0, 2.0]) == model([1.0, 2.0]).data
    hidden = model.hidden
    assert jit(model).value_and_grad([0.5, 2.0])[0] == f([0.5, 2.0])
    assert model.hidden is hidden
    norm, mean = Norm(), [0.0, 0.0]
    norm.mean = mean
    with pytest.raises(TraceError, match=r"changes Norm\.mean when it is called"):
        jit(norm)([1.0, 2.0])
    assert norm.mean is mean
    noisy = Noisy()
    state = noisy.rng.getstate()
    with pytest.raises(TraceError, match="draws random numbers"):
        jit(noisy)([1.0, 2.0])
    assert noisy.rng.getstate() == state


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # a short run
def test_a_cache_that_is_filled_may_be_used():
    class Cached(nn.Module):
        def __init__(self):
            self.net = network()

        def __call__(self, x):
            self.scale = 1 / len(x)
            if not hasattr(self, "table"):
                self.table = [0.5, 0.25]
            return self.net(x) * self.table[0] * self.scale

    model = Cached()
    with pytest.raises(
        TraceError, match=r"(?s)Cached\.scale, Cached\.table.*call the model once before"
    ):
        trained(model, "jit")
    assert not hasattr(model, "table")
    model(X[0])
    history = trained(model, "jit", optimizer=optim.SGD, epochs=20)
    assert history.engine == "jit, 20 steps"
    assert history.loss == trained(Cached(), None, optimizer=optim.SGD, epochs=20).loss


class Fading(optim.Optimizer):
    def update(self, data, grad, state, lr, t):
        return data - lr / (1 + self.steps / 10) * grad, state


class OfAttribute(optim.Optimizer):
    """A rule with a number that is not an option."""

    factor = 1.0

    def update(self, data, grad, state, lr, t):
        return data - self.factor * lr * grad, state


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # it does rise
@pytest.mark.parametrize("epochs", scaled(ci=[50], thorough=[50, 150]))
def test_numbers_that_depend_on_the_steps_are_read_at_every_step(epochs):
    def run(engine, kind):
        model, optimizers = network(), []

        def make(parameters, lr):
            optimizers.append(
                optim.SGD(parameters, 0.1)
                if kind == "penalty" or kind == "loss"
                else kind(parameters, 0.1)
            )
            return optimizers[0]

        def halve(history):
            optimizers[0].factor = 1 / history.epochs

        options = {}
        if kind == "penalty":
            options["penalty"] = lambda: (
                0.1 * 0.98 ** optimizers[0].steps * nn.l2(model.parameters())
            )
        if kind == "loss":
            options["loss"] = lambda p, t: nn.hinge(p, t) * (1.0 + optimizers[0].steps / 10)
        if kind is OfAttribute:
            options["on_epoch"] = halve
        history = trained(model, engine, optimizer=make, epochs=epochs, **options)
        steps = optimizers[0].steps
        return bits_of(history.loss), bits_of([p.data for p in model.parameters()]), steps

    for kind in ("penalty", "loss", Fading, OfAttribute):
        compiled = run("jit", kind)
        assert compiled == run(None, kind)
        assert compiled[2] == epochs
        assert type(compiled[2]) is int


def test_branch_on_the_steps_is_rejected_by_name():
    model = network()
    o = optim.SGD(model.parameters(), 0.1)
    with pytest.raises(TraceError, match=r"if, and, .* `optimizer.steps > 10`"):
        fit(model, nn.hinge, X, Y, optimizer=o, epochs=20, engine="jit",
            penalty=lambda: nn.l2(model.parameters()) if o.steps > 10 else 0.0)
    assert o.steps == 0


def test_loss_that_counts_its_calls_is_rejected_by_name():
    calls = [0]

    def loss(p, t):
        calls[0] += 1
        return nn.hinge(p, t) * 0.999 ** calls[0]

    with pytest.raises(TraceError, match="the model or the loss changes calls when it is called"):
        trained(network(), "jit", loss=loss)
    assert calls == [0]


def test_parameters_removed_from_the_optimizer_are_no_longer_trained():
    def run(engine):
        model, made = network(), []

        def freeze(history):
            if history.epochs == 50:
                made[0].params = made[0].params[24:]

        history = trained(
            model,
            engine,
            epochs=100,
            optimizer=lambda p, lr: made.append(optim.SGD(p, 0.1)) or made[0],
            on_epoch=freeze,
        )
        return history.loss

    assert run("jit") == run(None)


def test_a_penalty_over_some_parameters_is_compiled_once_and_gradients_stay(monkeypatch):
    compiled, kind = [], tinygrad_edu.train.compiled.Engine
    monkeypatch.setattr(
        tinygrad_edu.train.compiled, "Engine", lambda *args: compiled.append(1) or kind(*args)
    )

    def run(engine):
        model = network()
        weights = [w for layer in model.layers for neuron in layer.neurons for w in neuron.w]
        history = trained(
            model,
            engine,
            optimizer=lambda p, lr: optim.SGD(p, 0.1),
            on_epoch=lambda history: None,
            penalty=lambda: 0.1 * nn.l2(weights),
        )
        return history.engine, history.loss, [p.grad for p in model.parameters()]

    sentence, losses, gradients = run("jit")
    assert len(compiled) == 1
    assert sentence == f"jit, {EPOCHS} steps"
    assert run(None) == (f"eager, {EPOCHS} steps", losses, gradients)
    assert any(gradients)


def test_gradients_stay_if_a_callback_causes_recompilation_after_the_last_epoch():
    def run(engine):
        model = network()
        factor = [1.0]
        trained(
            model,
            engine,
            optimizer=lambda p, lr: optim.SGD(p, 0.1),
            epochs=1,
            loss=lambda p, t: factor[0] * nn.mse(p, t),
            on_epoch=lambda history: factor.__setitem__(0, 0.5),
        )
        return [p.grad for p in model.parameters()]

    assert run("jit") == run(None)
    assert any(run("jit"))


def test_the_mode_that_a_callback_sets_stays():
    def run(engine):
        net = nn.Sequential(
            nn.Layer(2, 8, "tanh", rng=0), nn.Dropout(0.5, rng=0), nn.Layer(8, 1, "linear", rng=1)
        )
        history = trained(net, engine, optimizer=optim.SGD, loss=nn.mse, epochs=30,
                          on_epoch=lambda history: net.eval() is None)
        return history.loss, net.training

    assert run("jit") == run(None)


STEPS = {
    "==": lambda steps: 10.0 if steps == 0 else 0.01,
    "!=": lambda steps: 10.0 if steps != 3 else 0.01,
    "in": lambda steps: 10.0 if steps in (3, 4) else 0.01,
    "a key": lambda steps: {3: 0.5}.get(steps, 0.01),
    "an index": lambda steps: [0.5, 0.1, 0.2][steps % 3],
    "bits": lambda steps: 0.5 if steps & 1 else 0.1,
    "type": lambda steps: 0.5 if isinstance(steps, int) else 0.1,
}


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # it does rise
@pytest.mark.parametrize("factor", STEPS.values(), ids=STEPS)
def test_use_of_the_steps_other_than_arithmetic_is_rejected(factor):
    model = network()
    o = optim.SGD(model.parameters(), 0.1)
    before = state_of(model)

    def run(engine):
        return fit(model, nn.hinge, X, Y, optimizer=o, epochs=100, rng=0, engine=engine,
                   penalty=lambda: factor(o.steps) * nn.l2(model.parameters())).loss

    with pytest.raises(TraceError):
        run("jit")
    assert (state_of(model), o.steps, type(o.steps)) == (before, 0, int)
    assert len(run("eager")) == o.steps == 100


class Halving(optim.Optimizer):
    """A rule with its own learning rate."""

    @property
    def lr(self):
        return 0.2 / (1 + self.steps)

    @lr.setter
    def lr(self, rate):
        pass


class ByKind(optim.Optimizer):
    """A rule that depends on the type of the step, which tracing cannot detect."""

    def update(self, data, grad, state, lr, t):
        return data - (lr if isinstance(t, int) else 0.5 * lr) * grad, state


class AtFirst(optim.Optimizer):
    """A rule with a different first step."""

    def update(self, data, grad, state, lr, t):
        return data - (lr if self.steps == 0 else lr / 2) * grad, state


def wrapped_step(parameters, lr):
    """Wraps the step of an optimiser, as schedulers do."""
    made = optim.SGD(parameters, lr)
    step = made.step

    def half():
        made.lr *= 0.9
        step()

    made.step = half
    return made


class Counted:
    """A schedule that counts its calls."""

    calls = 0

    def __call__(self, step):
        self.calls += 1
        return 0.1 / self.calls


OWN = {
    "lr": lambda p, lr: make_halving(p),
    "type": ByKind,
    "first step": AtFirst,
    "wrapped step": wrapped_step,
}


def make_halving(parameters):
    Halving.update = lambda self, data, grad, state, lr, t: (data - lr * grad, state)
    return Halving(parameters, 0.1)


@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_user_defined_optimizers_train_as_without_an_engine(make):
    assert trained(network(), "jit", optimizer=make, epochs=150).loss == \
        trained(network(), None, optimizer=make, epochs=150).loss


def test_schedule_that_counts_its_calls_is_rejected_by_name():
    schedules = []

    def make(parameters, lr):
        schedules.append(Counted())
        return optim.SGD(parameters, schedules[-1])

    with pytest.raises(
        TraceError, match=r"the schedule of the learning rate changes Counted\.calls when"
    ):
        trained(network(), "jit", optimizer=make)
    assert schedules[-1].calls == 0
    assert len(trained(network(), None, optimizer=make)) == EPOCHS
    assert schedules[-1].calls >= EPOCHS


def test_a_list_of_parameters_that_a_callback_shortens_is_read_again():
    def run(engine):
        model = network()
        o = optim.SGD(model.parameters(), 0.1)
        o.params = list(o.params)

        def shorten(history):
            if history.epochs == 10:
                del o.params[4:]

        return fit(
            model, nn.hinge, X, Y, optimizer=o, epochs=30, engine=engine, on_epoch=shorten
        ).loss

    assert run("jit") == run("eager")


# ---- jit


def test_the_mode_of_a_model_counts_when_it_is_compiled():
    def make():
        return nn.Sequential(
            nn.Layer(2, 8, rng=0), nn.Dropout(0.5, rng=0), nn.Layer(8, 1, "linear", rng=1)
        )

    model, same = make(), make()
    p = jit(model)
    for switch in (
        lambda m: m,
        nn.Module.eval,
        nn.Module.train,
        lambda m: m.layers[1].eval(),
        nn.Module.train,
        nn.Module.eval,
    ):
        switch(model)
        switch(same)
        for x in ([1.0, 2.0], [3.0, -1.0], [0.5, 0.5]):
            assert p(x) == same(x).data
            value, gradient = p.value_and_grad(x)
            leaves = [Value(v) for v in x]
            y = same(leaves)
            y.backward()
            assert (value, gradient) == (y.data, [leaf.grad for leaf in leaves])
        columns = p.batch([[1.0, 3.0], [2.0, -1.0]]).tolist()
        assert columns == [same([1.0, 2.0]).data, same([3.0, -1.0]).data]
    assert len(p.programs) == 3


def test_a_user_model_reads_its_mode():
    class Noted(nn.Module):
        def __call__(self, x):
            return x * 2 if self.training else x * 3

    class Outer(nn.Module):
        def __init__(self):
            self.parts = {"a": [Noted()]}

        def __call__(self, x):
            return self.parts["a"][0](x)

    model = Outer()
    for f in (jit(model), jit(lambda x: model(x)), jit(model.__call__)):
        model.train()
        assert f(1.0) == 2.0
        model.eval()
        assert (f(1.0), f(1.0)) == (3.0, 3.0)
        model.parts["a"][0].train()
        assert f(1.0) == 2.0


def cut(x):
    with no_grad():
        t = x * x
    return x * t


SECOND = {
    "no_grad": (lambda xs: cut(xs[0]), [3.0]),
    "no_grad in a part": (lambda xs: cut(xs[0] * xs[1]) + math.sin(xs[0]) * xs[1], [3.0, 0.5]),
    "no_grad of all": (lambda xs: no_grad()(lambda: xs[0] ** 3)(), [3.0]),
    "no_grad twice": (lambda xs: cut(cut(xs[0])) * xs[1], [1.5, 2.0]),
    "a shift": (lambda xs: math.logsumexp(xs) ** 2, [0.5, 1.0, -2.0]),
    "a constant": (lambda xs: cut(2.0 * xs[0]) * cut(2.0), [0.7]),
}


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.GraphWarning")
@pytest.mark.parametrize(("f", "point"), SECOND.values(), ids=SECOND)
def test_second_derivatives_respect_no_grad(f, point):
    assert jit(f).hessian(point) == [
        pytest.approx(row, rel=1e-12, abs=1e-15) for row in hessian(f)(point)
    ]
    if len(point) == 1:
        assert jit(f).hessian(point) == [[grad(grad(lambda x: f([x])))(point[0])]]


def test_rows_of_a_hessian_share_random_draws():
    dropout = nn.Dropout(0.5, rng=1)

    def f(xs):
        return math.total(dropout([x * y for x in xs for y in xs]))

    compiled = jit(f)
    matrices = [compiled.hessian([1.0, 2.0, 3.0]) for _ in range(20)]
    for matrix in matrices:
        assert matrix == [list(column) for column in zip(*matrix)]
    assert len({str(matrix) for matrix in matrices}) > 5


NUMBERS = {
    "& of ints": lambda n: (n & 1) * 1.0,
    "| of ints": lambda n: (n | 1) * 1.0,
    "ints from the left": lambda n: (3 & n) * 1.0,
    "~ of an int": lambda n: ~n * 1.0,
    "a condition and a number": lambda n: ((n > 0) & n) * 1.0,
    "a number and a condition": lambda n: (n | (n > 0)) * 1.0,
    "a sum of conditions": lambda n: (((n > 0) + (n > 1)) & 1) * 1.0,
    "a constant": lambda n: (n & 4.0) * 1.0,
    "^": lambda n: (n ^ 1) * 1.0,
}


@pytest.mark.parametrize("f", NUMBERS.values(), ids=NUMBERS)
def test_bitwise_operators_raise_for_numbers(f):
    with pytest.raises(TraceError, match=r"bits of an int|bits of ints|joins conditions") as error:
        jit(f)(3)
    assert error.value.line[0] == __file__


CONDITIONS = {
    "and": lambda x: (x > 0) & (x < 2),
    "or": lambda x: (x < 0) | (x >= 2),
    "known": lambda x: True & (x > 0) | False,
    "not": lambda x: (1 - (x > 0)) & (x < 2) | (x > 5),
    "nested": lambda x: ((x > 0) & (x < 2)) | ((x > 4) & (1 - (x > 6))),
}


@pytest.mark.parametrize("f", CONDITIONS.values(), ids=CONDITIONS)
def test_bitwise_operators_join_conditions(f):
    compiled = jit(f)
    for x in (-1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 7.0):
        assert compiled(x) == f(x)


def test_text_with_a_traced_value_cannot_be_returned():
    for f in (
        lambda x: f"{x}",
        lambda x: (x, [str(x)]),
        lambda x: {"x": repr(x)},
        lambda x: {f"{x}": x},
        lambda x: f"{x}".encode(),
    ):
        with pytest.raises(TraceError, match=r"has the text b?'Traced\(x\)' in it"):
            jit(f)(1.0)
    assert jit(lambda x: (x, "fine"))(1.0) == (1.0, "fine")
