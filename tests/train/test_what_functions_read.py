"""What a model, a loss, a penalty or a schedule can read while compiled code trains it.

It is read as the plain program reads it, or an error names it and nothing has changed.
"""

import ctypes
import functools
import itertools
import logging
import os
import queue
import random
import threading
import weakref
from contextvars import ContextVar

import numpy as np
import pytest
from helpers import run_python

from tinygrad_edu import Value, data, fit, math, nn, optim
from tinygrad_edu.errors import TraceError

X, Y = data.moons(20, rng=1)


class Model(nn.Module):
    def __init__(self):
        self.net = nn.MLP(2, [4, 1], rng=3)
        self.scale = 1.0

    def __call__(self, x):
        return self.net(x) * self.scale


def trained(engine, model=None, loss=None, penalty=None, lr=0.1, optimizer=optim.Adam, **options):
    """Returns the bits of a training; ``loss`` and ``penalty`` are made from the optimiser."""
    model = model or Model()
    made = optimizer(model.parameters(), lr(model) if callable(lr) else lr)
    history = fit(
        model, loss(made) if loss else nn.hinge, X, Y, optimizer=made, engine=engine, rng=0,
        penalty=penalty and penalty(made), **{"epochs": 20, **options},
    )
    assert history.engine == f"{engine}, {len(history)} steps"
    return history.loss, history.learning_rates, [(p.data, p.grad) for p in model.parameters()]


def assert_engines_agree(**options):
    assert trained("eager", **options) == trained("jit", **options)


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("lr", [
    0.1,
    lambda model: lambda step: 0.1 * 0.9**step,
    lambda model: optim.warmup(0.1, 5),
])
def test_losses_and_penalties_read_the_present_learning_rate_and_number_of_steps(lr, batch_size):
    assert_engines_agree(
        lr=lr, batch_size=batch_size,
        loss=lambda o: lambda p, t: nn.hinge(p, t) * (1 + o.lr),
        penalty=lambda o: lambda: 0.1 * o.lr * 0.9**o.steps * sum(x * x for x in o.params),
    )


@pytest.mark.parametrize("options", [{}, {"max_norm": 0.1}, {"metrics": [nn.accuracy]}])
@pytest.mark.parametrize("read", [
    lambda p: p.data,
    lambda p: p.grad,
    float,
    lambda p: p.data * p.grad,
])
def test_schedules_read_present_parameters_and_gradients(read, options):
    def lr(model):
        first = model.parameters()[0]
        return lambda step: 0.1 / (1 + abs(read(first)))

    assert_engines_agree(lr=lr, **options)
    with pytest.raises(TraceError, match=r"reads optimizer\.lr, but its schedule"):
        trained("jit", lr=lr, loss=lambda o: lambda p, t: nn.hinge(p, t) * o.lr)


def test_an_optimizer_whose_rate_is_a_property_is_asked_at_every_step():
    class Annealed(optim.SGD):
        @property
        def lr(self):
            return 0.1 / (1 + abs(self.params[0].data) + self.steps)

        @lr.setter
        def lr(self, rate):
            pass

    assert_engines_agree(optimizer=Annealed)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_a_metric_that_changes_what_the_model_reads_is_named(batch_size):
    model = Model()

    def metric(p, t):
        model.scale = 0.5
        return p.data

    with pytest.raises(TraceError, match=r"step 0: Model\.scale changed") as error:
        trained("jit", model, metrics=[metric], batch_size=batch_size)
    assert len(error.value.history) == 0

    def harmless(p, t):
        model.notes = [p.data]
        return p.data

    model = Model()
    assert trained("jit", model, metrics=[harmless]) == trained("eager", metrics=[harmless])


def test_what_on_epoch_changes_is_read_again():
    def run(engine):
        model = Model()
        model.parts = {"gain": [1.0]}

        def loss(o):
            return lambda p, t: nn.hinge(p, t) * model.parts["gain"][0]

        def on_epoch(history):
            model.parts["gain"][0] *= 0.9
            model.scale = 1.0 + 0.1 * (history.epochs % 2)

        return trained(engine, model, loss=loss, on_epoch=on_epoch)

    assert run("jit") == run("eager")


COUNT = itertools.count()
LOCAL = threading.local()
CONTEXT: ContextVar[int] = ContextVar("CONTEXT", default=0)
OF_MODELS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
TOTAL = 0


def of_count(model):
    return next(COUNT)


def of_thread(model):
    LOCAL.n = getattr(LOCAL, "n", 0) + 1
    return LOCAL.n


def of_context(model):
    CONTEXT.set(CONTEXT.get() + 1)
    return CONTEXT.get()


def of_model(model):
    OF_MODELS[model] = OF_MODELS.get(model, 0) + 1
    return OF_MODELS[model]


def of_globals(model):
    globals()["TOTAL"] += 1
    return TOTAL


class Meta(type):
    runs = 0


class OfMetaclass(metaclass=Meta):
    pass


def of_metaclass(model):
    Meta.runs += 1
    return OfMetaclass.runs


class Counter:
    """A descriptor that counts how often it is read."""

    def __init__(self):
        self.reads = {}

    def __get__(self, instance, owner=None):
        self.reads["n"] = self.reads.get("n", 0) + 1
        return self.reads["n"]


class WithDescriptor:
    reads = Counter()


def of_descriptor(model):
    return WithDescriptor().reads


@pytest.mark.parametrize(("count", "name"), [
    (of_count, "COUNT, an iterator or a file"),
    (of_thread, r"changes LOCAL\['n'\]"),
    (of_context, "changes CONTEXT"),
    (of_model, "changes OF_MODELS"),
    (of_globals, "TOTAL|COUNT"),
    (of_metaclass, r"changes Meta\.runs"),
    (of_descriptor, r"changes .*reads"),
])
def test_counters_wherever_they_are_kept_are_named_and_put_back(count, name):
    class Counting(Model):
        def __call__(self, x):
            return super().__call__(x) * (0.5 if count(self) % 7 == 0 else 1.0)

    model = Counting()
    LOCAL.n = 0
    before = count(model)
    with pytest.raises(TraceError, match=name):
        trained("jit", model)
    assert count(model) == before + 1


def test_state_of_the_optimizer_cannot_be_read():
    for penalty in (
        lambda o: lambda: 0.1 * o.state["m"][0] * o.params[0],
        lambda o: lambda: 0.1 * sum(map(sum, o.state.values())) * o.params[0],
        lambda o: lambda: 0.1 * len(o.state) * o.params[0],
    ):
        with pytest.raises(TraceError, match=r"reads optimizer\.state"):
            trained("jit", penalty=penalty)


def test_leaves_that_are_not_trained_keep_their_gradients():
    for engine in ("eager", "jit"):
        model = Model()
        fixed, *rest = model.parameters()
        fixed.grad = 7.0
        optimizer = optim.SGD(rest, 0.1)
        fit(model, nn.hinge, X, Y, optimizer=optimizer, epochs=3, engine=engine)
        assert fixed.grad == 7.0
        assert any(p.grad for p in rest)


def test_a_loss_may_be_a_plain_number_for_some_samples():
    def run(engine, batch_size):
        model = Model()
        optimizer = optim.SGD(model.parameters(), 0.1)
        history = fit(model, lambda p, t: nn.hinge(p, 1.0) if t else 0.25, X, [t > 0 for t in Y],
                      optimizer=optimizer, epochs=5, batch_size=batch_size, engine=engine, rng=0)
        return history.loss, [p.data for p in model.parameters()]

    for batch_size in (None, 7):
        assert run("jit", batch_size) == run("eager", batch_size)


def test_take_of_a_leaf_that_changes_between_epochs():
    class Table(Model):
        def __init__(self):
            super().__init__()
            self.table = [Value(1.0), Value(2.0)]

        def __call__(self, x):
            return super().__call__(x) * self.table[0] + math.where(x[0] > 0, self.table[1], 0.0)

    def run(engine):
        model = Table()
        trainable = model.net.parameters()

        def on_epoch(history):
            model.table[1].data = 1.0 / history.epochs

        history = fit(model, nn.hinge, X, Y, optimizer=optim.SGD(trainable, 0.1), epochs=10,
                      engine=engine, on_epoch=on_epoch)
        return history.loss, [p.data for p in trainable]

    assert run("jit") == run("eager")


# ---- samples


@pytest.mark.parametrize("engine", ["eager", "jit"])
@pytest.mark.parametrize("change", [
    lambda x: x.append(1.0),
    lambda x: x.reverse(),
    lambda x: x.__setitem__(0, 0.9 * x[0]),
    lambda x: x.pop(),
])
def test_a_model_that_changes_its_sample_is_refused_by_compiled_code(engine, change):
    class Changing(Model):
        def __call__(self, x):
            out = super().__call__(x[:2])
            change(x)
            return out

    model = Changing()
    samples = [[*x, 0.5, 0.25] for x in X]
    before = [[*x] for x in samples]

    def train():
        fit(model, nn.hinge, samples, Y, optimizer=optim.SGD(model.parameters(), 0.1), epochs=1,
            engine=engine)

    if engine == "eager":
        train()
        assert samples != before
    else:
        with pytest.raises(TraceError, match="changes an argument in place"):
            train()
        assert samples == before


def test_what_a_metric_changes_is_used_by_the_same_step():
    def run(engine, change):
        model = Model()
        optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
        samples = [[*x] for x in X]

        def metric(p, t):
            change(model, optimizer, samples)
            return p.data

        history = fit(model, nn.hinge, samples, Y, optimizer=optimizer, epochs=10, engine=engine,
                      metrics=[metric], rng=0, batch_size=7)
        return history.loss, [(p.data, p.grad) for p in model.parameters()], optimizer.steps

    for change in (
        lambda model, optimizer, samples: setattr(optimizer, "momentum", 0.1),
        lambda model, optimizer, samples: setattr(model.parameters()[0], "data", 0.5),
        lambda model, optimizer, samples: setattr(optimizer, "steps", 0),
        lambda model, optimizer, samples: optimizer.state.update(
            {slot: [0.0] * len(column) for slot, column in optimizer.state.items()}),
        lambda model, optimizer, samples: samples[3].__setitem__(0, 2.0),
    ):
        assert run("jit", change) == run("eager", change)


def test_metrics_get_the_plain_numbers_of_predictions():
    def run(engine):
        net = nn.MLP(2, [4, 1], rng=3)
        seen = []

        def metric(p, t):
            seen.append(p[1:])
            return p[1] == 2 and isinstance(p[2], float)

        history = fit(lambda x: (net(x), len(x), 2 * x[0]), lambda p, t: nn.hinge(p[0], t), X, Y,
                      optimizer=optim.SGD(net.parameters(), 0.1), epochs=2, metrics=[metric],
                      engine=engine)
        return seen, history.metrics

    assert run("jit") == run("eager")


def test_a_list_of_parameters_may_be_changed_in_place():
    def run(engine):
        model = Model()
        optimizer = optim.SGD(model.parameters(), 0.1)
        optimizer.params = [*optimizer.params]
        grads = []

        def on_epoch(history):
            if history.epochs == 3:
                grads.append(optimizer.params.pop().grad)

        history = fit(model, nn.hinge, X, Y, optimizer=optimizer, epochs=20, engine=engine,
                      on_epoch=on_epoch)
        assert model.parameters()[-1].grad == grads[0]
        return history.loss, [(p.data, p.grad) for p in model.parameters()]

    assert run("jit") == run("eager")


def test_a_schedule_that_is_a_method_of_the_optimizer_reads_present_parameters():
    class Own(optim.SGD):
        def lr_at(self, step):
            return 0.1 / (1 + abs(self.params[0].data))

    assert_engines_agree(optimizer=Own)


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # a rule that forgets
def test_short_floats_of_numpy_become_floats():
    def run(engine):
        model = Model()
        model.parameters()[0].data = np.float32(0.1)

        def on_epoch(history):
            model.parameters()[1].data = np.float32(0.3)

        history = fit(model, nn.hinge, X, Y, optimizer=optim.SGD(model.parameters(), 0.1),
                      epochs=5, engine=engine, on_epoch=on_epoch)
        assert history.to_json()
        return history.loss, [p.data for p in model.parameters()]

    assert run("jit") == run("eager")

    class Short(optim.SGD):
        def update(self, data, grad, state, lr, t):
            return data * np.float32(0.9) - lr * grad, state

    assert_engines_agree(optimizer=Short)


def test_the_progress_bar_draws_no_random_numbers():
    code = """
import random
from tinygrad_edu import data, fit, nn, optim
random.seed(0)
X, y = data.moons(20, rng=1)
m = nn.MLP(2, [4, 1], rng=3)
o = optim.SGD(m.parameters(), 0.1)
fit(m, nn.hinge, X, y, optimizer=o, epochs=3, batch_size=8, progress={})
print(random.random(), m.parameters()[0].data)
"""
    without, with_a_bar = [run_python(code.format(wanted)).stdout.splitlines()[-1:]
                           for wanted in (False, True)]
    assert without == with_a_bar != []


def test_an_interrupt_counts_the_steps_of_an_optimizer_that_does_not():
    class Own(optim.Optimizer):
        def step(self):
            for p in self.params:
                p.data -= 0.1 * p.grad

    model = Model()

    def on_epoch(history):
        if history.epochs == 4:
            raise KeyboardInterrupt

    history = fit(model, nn.hinge, X, Y, optimizer=Own(model.parameters(), 0.1), epochs=9,
                  on_epoch=on_epoch)
    assert history.interrupted
    assert (len(history), history.epochs) == (4, 4)


# ---- objects of the library

EVENT = threading.Event()
NUMBER = ctypes.c_double(1.0)
LOGGER = logging.getLogger("test of what functions read")
NUMBERS = [1.0]
LENGTH = NUMBERS.__len__
TIMES = functools.partial(lambda x, k: x * k, k=1.0)
WAITING: queue.Queue = queue.Queue()


def with_default(p, t, k=1.0):
    return nn.hinge(p, t) * k


class Gain:
    def gain(self):
        return 1.0


GAIN = Gain()


@pytest.mark.parametrize(("factor", "change", "back"), [
    (lambda x: 2 * x if EVENT.is_set() else x, EVENT.set, EVENT.clear),
    (lambda x: x * NUMBER.value, lambda: setattr(NUMBER, "value", 2.0),
     lambda: setattr(NUMBER, "value", 1.0)),
    (lambda x: 2 * x if LOGGER.level else x, lambda: LOGGER.setLevel(10),
     lambda: LOGGER.setLevel(0)),
    (lambda x: x * LENGTH(), lambda: NUMBERS.append(1.0), lambda: NUMBERS.pop()),
    (TIMES, lambda: TIMES.keywords.update(k=2.0), lambda: TIMES.keywords.update(k=1.0)),
    (lambda x: x * float(os.environ.get("OF_A_TEST", "1")),
     lambda: os.environ.update(OF_A_TEST="2"), lambda: os.environ.pop("OF_A_TEST")),
    (lambda x: x * with_default.__defaults__[0],
     lambda: setattr(with_default, "__defaults__", (2.0,)),
     lambda: setattr(with_default, "__defaults__", (1.0,))),
    (lambda x: x * GAIN.gain(), lambda: setattr(Gain, "gain", lambda self: 2.0),
     lambda: setattr(Gain, "gain", lambda self: 1.0)),
])
def test_what_on_epoch_changes_in_objects_of_libraries_is_read_again(factor, change, back):
    def run(engine):
        def on_epoch(history):
            if history.epochs == 3:
                change()

        try:
            return trained(engine, loss=lambda o: lambda p, t: factor(nn.hinge(p, t)),
                           on_epoch=on_epoch)
        finally:
            back()

    wanted = run("eager")
    assert wanted != trained("eager")
    assert run("jit") == wanted


@pytest.mark.parametrize("effect", [
    lambda: WAITING.put(1),
    lambda: setattr(NUMBER, "value", NUMBER.value + 1),
    lambda: TIMES.keywords.update(n=len(TIMES.keywords), m=object()),
])
def test_effects_on_objects_of_libraries_are_refused_and_undone(effect):
    def loss(o):
        def of_prediction(p, t):
            effect()
            return nn.hinge(p, t)

        return of_prediction

    with pytest.raises(TraceError, match=r"changes (WAITING|NUMBER|TIMES)"):
        trained("jit", loss=loss)
    assert (WAITING.qsize(), NUMBER.value, TIMES.keywords) == (0, 1.0, {"k": 1.0})


def test_samples_that_draw_and_dropout_draw_in_the_same_order():
    class Noise:
        def __len__(self):
            return len(X)

        def __getitem__(self, i):
            return [x + random.gauss(0.0, 0.1) for x in X[i]]

    def run(engine):
        random.seed(3)
        net = nn.Sequential(nn.Layer(2, 4, "tanh", rng=1), nn.Dropout(0.5),
                            nn.Layer(4, 1, "linear", rng=2))
        history = fit(net, nn.hinge, Noise(), Y, optimizer=optim.SGD(net.parameters(), 0.1),
                      epochs=3, batch_size=7, engine=engine, rng=0)
        return history.loss, [p.data for p in net.parameters()], random.random()

    assert run("jit") == run("eager")
