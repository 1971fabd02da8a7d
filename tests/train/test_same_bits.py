"""Random trainings: the compiled engine has the eager engine's bits, or an error names the cause.

A training is put together from models, losses, penalties, optimisers, schedules, metrics, callbacks
and samples.  Some parts are pure; others count, keep outputs, read what changes, or draw random
numbers.
"""

import copy
import itertools
import random
import threading
import types
from contextvars import ContextVar

import pytest
from helpers import bits, scaled

from tinygrad_edu import Value, fit, math, nn, optim, take
from tinygrad_edu.errors import TinygradEduError, TraceError

# random rates are often too large
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")

BATCHES = 10  # of trainings, so that several processes can share them
RATE = 1.0  # read by some parts and changed by others
COUNTER = itertools.count()
LOCAL = threading.local()
CONTEXT: ContextVar[int] = ContextVar("CONTEXT", default=0)


class Base(nn.Module):
    """A small network with a factor, which the classes below change."""

    def __init__(self, seed):
        self.net = nn.MLP(2, [4, 1], rng=seed)
        self.scale = 1.0

    def __call__(self, x):
        return self.net(self.before(x[:2])) * self.factor()

    def before(self, x):
        return x

    def factor(self):
        return 1.0


# ---- models --------------------------------------------------------------------------------------


class Scaled(Base):
    def factor(self):
        return self.scale


class Global(Base):
    def factor(self):
        return RATE


class Dropping(Base):
    def __init__(self, seed):
        super().__init__(seed)
        self.dropout = nn.Dropout(0.4, rng=seed)

    def before(self, x):
        return self.dropout([v * 2.0 for v in x])


class DroppingAnywhere(Dropping):
    def __init__(self, seed):
        super().__init__(seed)
        self.dropout = nn.Dropout(0.4)


class Taking(Base):
    def __init__(self, seed):
        super().__init__(seed)
        self.table = [Value(0.5, "a"), Value(-1.5, "b"), 2.0]

    def before(self, x):
        entry = take(self.table, math.floor(abs(x[1]) % 3))
        return [x[0] * entry, math.where(x[0] > 0, x[1], -x[1])]


class Shortened(Base):
    """Has parameters that a loss may not reach."""

    def before(self, x):
        return [math.relu(x[0] - 0.5), math.clip(x[1], -0.5, 0.5)]


class Counting(Base):
    calls = 0

    def factor(self):
        self.calls += 1
        return 0.5 if self.calls % 7 == 0 else 1.0


class RunningMean(Base):
    def __init__(self, seed):
        super().__init__(seed)
        self.mean = [0.0, 0.0]

    def before(self, x):
        self.mean = [0.9 * m + 0.1 * v for m, v in zip(self.mean, x)]
        return [v - m for v, m in zip(x, self.mean)]


class Keeping(Base):
    def __call__(self, x):
        self.last = super().__call__(x)
        return self.last


class Listing(Base):
    def __init__(self, seed):
        super().__init__(seed)
        self.seen = []

    def factor(self):
        self.seen.append(len(self.seen))
        return 1.0 + 0.01 * (len(self.seen) % 5)


class Noisy(Base):
    def __init__(self, seed):
        super().__init__(seed)
        self.rng = random.Random(seed)

    def before(self, x):
        return [v + self.rng.gauss(0.0, 0.1) for v in x]


class Iterating(Base):
    def factor(self):
        return 1.0 + 0.1 * (next(COUNTER) % 3)


class OfThread(Base):
    def factor(self):
        LOCAL.n = getattr(LOCAL, "n", 0) + 1
        return 1.0 + 0.1 * (LOCAL.n % 3)


class OfContext(Base):
    def factor(self):
        CONTEXT.set(CONTEXT.get() + 1)
        return 1.0 + 0.1 * (CONTEXT.get() % 3)


class OfClass(Base):
    runs = [0]  # noqa: RUF012  # of the class

    def factor(self):
        self.runs[0] += 1
        return 1.0 + 0.1 * (self.runs[0] % 3)


PURE_MODELS = [Base, Scaled, Global, Dropping, DroppingAnywhere, Taking, Shortened]
MODELS = [*PURE_MODELS, Counting, RunningMean, Keeping, Listing, Noisy, Iterating, OfThread,
          OfContext, OfClass]


# ---- losses and penalties: functions of a training's namespace -----------------------------------


def squared(it):
    return nn.mse


def hinge(it):
    return lambda p, t: nn.hinge(p, 1.0 if t > 0 else -1.0) if isinstance(t, bool) else \
        nn.hinge(p, math.where(t > 0, 1.0, -1.0))


def of_rate(it):
    return lambda p, t: (p - t) ** 2 * RATE


def of_steps(it):
    return lambda p, t: (p - t) ** 2 / (1 + it.optimizer.steps)


def of_lr(it):
    return lambda p, t: (p - t) ** 2 * (1 + it.optimizer.lr)


def of_class(it):
    return lambda p, t: (p - t) ** 2 if isinstance(t, int) else p * 0.0


def counted(it):
    def loss(p, t):
        it.calls += 1
        return (p - t) ** 2 * (2.0 if it.calls % 11 == 0 else 1.0)

    return loss


def of_history(it):
    return lambda p, t: (p - t) ** 2 * (1.0 + 0.1 * len(it.losses))


PURE_LOSSES = [squared, squared, hinge, of_rate, of_steps, of_lr, of_history]
LOSSES = [*PURE_LOSSES, of_class, counted]


def none(it):
    return None


def weights(it):
    return lambda: 0.01 * nn.l2(it.model.parameters())


def some_weights(it):
    return lambda: 0.01 * nn.l2(it.model.parameters()[:3])


def fading(it):
    return lambda: 0.1 * 0.9**it.optimizer.steps * nn.l2(it.model.parameters())


def by_rate(it):
    return lambda: RATE * nn.l1(it.model.parameters()) * 0.01


def by_count(it):
    def penalty():
        it.penalties += 1
        return 0.01 * it.penalties * nn.l2(it.model.parameters())

    return penalty


PURE_PENALTIES = [none, none, weights, some_weights, fading, by_rate]
PENALTIES = [*PURE_PENALTIES, by_count]


# ---- optimisers and schedules --------------------------------------------------------------------


class Signs(optim.Optimizer):
    def update(self, data, grad, state, lr, t):
        return data - lr * math.sign(grad), state


class Fading(optim.Optimizer):
    def update(self, data, grad, state, lr, t):
        return data - lr / (1 + self.steps / 10) * grad, state


class Branching(optim.Optimizer):
    def update(self, data, grad, state, lr, t):
        return (data - lr * grad if grad > 0 else data - 0.5 * lr * grad), state


class Noting(optim.SGD):
    """Has a step of its own, which changes what others read."""

    noted = 0

    def step(self):
        super().step()
        global RATE
        self.noted += 1
        RATE = 1.0 + 0.1 * (self.noted % 2)


OPTIMIZERS = [
    optim.SGD,
    lambda p, lr: optim.SGD(p, lr, momentum=0.9, weight_decay=0.01),
    lambda p, lr: optim.SGD(p, lr, momentum=0.5, nesterov=True),
    optim.RMSprop,
    optim.Adam,
    optim.AdamW,
    Signs,
    Fading,
    Branching,
    Noting,
]


def constant(it, lr):
    return lr


def planned(it, lr):
    return optim.warmup(optim.cosine(lr, 30), 3)


def falling(it, lr):
    return lambda step: lr * 0.95**step


def by_parameter(it, lr):
    return lambda step: lr / (1 + abs(it.model.parameters()[0].data))


def by_gradient(it, lr):
    return lambda step: lr / (1 + abs(it.model.parameters()[-1].grad))


def drawn(it, lr):
    return lambda step: lr * (0.5 + it.rng.random())


SCHEDULES = [constant, constant, constant, planned, falling, by_parameter, by_gradient, drawn]


# ---- metrics and callbacks -----------------------------------------------------------------------


def distance(it):
    return lambda p, t: abs(p.data - t)


def slope(it):
    return lambda p, t: it.model.parameters()[0].grad


def noting(it):
    def metric(p, t):
        it.model.scale = 1.0 + 0.001 * (it.metric_calls % 3)
        it.metric_calls += 1
        return p.data

    return metric


METRICS = [none, none, none, distance, slope, noting]


def freeze(it, history):
    if history.epochs == 2:
        it.optimizer.params = it.optimizer.params[5:]


def thaw(it, history):
    if history.epochs in (2, 4):
        keep = it.optimizer.params
        it.optimizer.params = keep[3:] if history.epochs == 2 else it.model.parameters()


def change_rate(it, history):
    it.optimizer.lr = 0.1 / history.epochs


def change_global(it, history):
    global RATE
    RATE = 1.0 + 0.25 * (history.epochs % 3)


def change_scale(it, history):
    it.model.scale = 0.5 + history.epochs


def evaluate(it, history):
    if history.epochs == 3:
        it.model.eval()


def remember(it, history):
    it.losses.append(history.loss[-1])


def disturb(it, history):
    for p in it.model.parameters()[:2]:
        p.data += 0.01


def replace_sample(it, history):
    it.X[0] = [float(history.epochs), 0.5]


def stop(it, history):
    return history.epochs == 4


def draw(it, history):
    it.rng.random()


CALLBACKS = [freeze, thaw, change_rate, change_global, change_scale, evaluate, remember, disturb,
             replace_sample, stop, draw]
RESIZING = (freeze, thaw)  # for optimisers without a state


# ---- samples -------------------------------------------------------------------------------------


def floats(rng, n):
    X = [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in range(n)]
    return X, [rng.uniform(-1, 1) for _ in range(n)]


def mixed_targets(rng, n):
    X, y = floats(rng, n)
    return X, [rng.choice([t, round(t), t > 0]) for t in y]


def mixed_lengths(rng, n):
    X, y = floats(rng, n)
    return [x + [0.0] * rng.choice([0, 0, 1, 3]) for x in X], y


def tuples_and_lists(rng, n):
    X, y = floats(rng, n)
    return [rng.choice([tuple, list])(x) for x in X], y


SAMPLES = [floats, floats, mixed_targets, mixed_lengths, tuples_and_lists]


class Training:
    """A training drawn from a seed.  Two runs of it differ by the engine alone."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.pure = rng.random() < 0.7
        self.seed = seed
        self.make = rng.choice(PURE_MODELS if self.pure else MODELS)
        self.loss = rng.choice(PURE_LOSSES if self.pure else LOSSES)
        self.penalty = rng.choice(PURE_PENALTIES if self.pure else PENALTIES)
        self.optimizer = rng.choice(OPTIMIZERS[:-1] if self.pure else OPTIMIZERS)
        # a loss that reads a rate which may differ from call to call is not pure
        is_read = self.pure and self.loss is of_lr
        self.schedule = rng.choice(SCHEDULES[:-3] if is_read else SCHEDULES)
        self.lr = rng.choice([1e-3, 0.05, 0.3, 4.0])
        self.metric = rng.choice(METRICS[:-1] if self.pure else METRICS)
        self.callback = rng.choice([None, None, *CALLBACKS])
        if self.callback in RESIZING:
            self.optimizer = optim.SGD
        self.samples = rng.choice(SAMPLES)
        self.count = rng.choice([3, 7, 12, 70])
        self.options = {
            "epochs": rng.choice([5, 12, 40]) if self.count < 70 else 5,
            "batch_size": rng.choice([None, None, 1, 5]),
            "max_norm": rng.choice([None, None, 0.5]),
        }

    def __repr__(self):
        parts = [self.make, self.loss, self.penalty, self.optimizer, self.schedule, self.metric,
                 self.callback, self.samples]
        return f"{self.seed}: {[getattr(part, '__name__', part) for part in parts]} " \
            f"lr={self.lr} n={self.count} {self.options}"

    def run(self, engine, **options):
        """Returns what is left after the training, an error or None, and the engine's steps."""
        global RATE, COUNTER
        RATE, COUNTER, LOCAL.n, OfClass.runs[0] = 1.0, itertools.count(), 0, 0
        CONTEXT.set(0)
        random.seed(self.seed)
        it = types.SimpleNamespace(calls=0, penalties=0, metric_calls=0, losses=[])
        it.rng = random.Random(self.seed)
        it.model = self.make(self.seed)
        it.X, it.y = self.samples(random.Random(self.seed), self.count)
        it.optimizer = self.optimizer(it.model.parameters(), self.schedule(it, self.lr))
        metric = self.metric(it)
        error = history = None
        try:
            history = fit(
                it.model, self.loss(it), it.X, it.y, optimizer=it.optimizer, engine=engine,
                rng=self.seed, penalty=self.penalty(it),
                metrics=None if metric is None else {"metric": metric},
                on_epoch=self.callback and (lambda history: self.callback(it, history)),
                **{**self.options, **options},
            )
        except (TinygradEduError, ValueError, TypeError) as caught:
            error = caught
            history = getattr(error, "history", None)
        return self.rest(it, history), error, history

    @staticmethod
    def rest(it, history):
        """Returns everything that a training may change, as text of all bits."""
        plain = {name: x for module in it.model.modules() for name, x in vars(module).items()
                 if not isinstance(x, (Value, nn.Module, random.Random, list))
                 or name in ("seen", "mean")}
        state = it.optimizer.state.items()
        generators = [random.getstate(), it.rng.getstate()] + [
            x.getstate() for module in it.model.modules() for x in vars(module).values()
            if isinstance(x, random.Random)
        ]
        return {
            "losses": [*map(bits, history.loss)] if history else None,
            "rates": history.learning_rates if history else None,
            "metrics": {name: [*map(bits, xs)] for name, xs in history.metrics.items()}
            if history else None,
            "parameters": [bits(float(x)) for p in it.model.parameters() for x in (p.data, p.grad)],
            "optimizer": (it.optimizer.steps, {k: [*map(bits, c)] for k, c in state}),
            "attributes": repr(sorted((k, x.data if isinstance(x, Value) else x)
                                      for k, x in plain.items() if k != "last")),
            "globals": (RATE, LOCAL.n, CONTEXT.get(), OfClass.runs[0], next(copy.copy(COUNTER))),
            "namespace": (it.calls, it.penalties, it.metric_calls, [*map(bits, it.losses)]),
            "generators": generators,
        }


def differences(training):
    """Returns what differs between the engines: "" if the bits are equal or an error says why not.

    Also returns whether all steps were compiled.
    """
    wanted, expected, _ = training.run("eager")
    before = training.run("eager", epochs=0)[0]
    found, error, history = training.run("jit")
    if isinstance(error, TraceError):
        names = [key for key in found if key not in ("losses", "rates", "metrics")
                 and found[key] != before[key]]
        # a metric that has run in step 0 changes things itself, and the gradients are set by then
        _, _, metric_calls, _ = found["namespace"]
        has_begun = history or metric_calls
        if not has_begun and names:
            return f"an error left {names} changed", False
        return "", False
    if (type(error), str(error)) != (type(expected), str(expected)):
        return f"{error!r} instead of {expected!r}", False
    names = [key for key in found if found[key] != wanted[key]]
    return f"{names} differ" if names else "", True


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_trainings_have_the_bits_of_the_eager_engine(batch):
    count = scaled(ci=100, thorough=3_000) // BATCHES
    pure = compiled = 0
    for seed in range(batch * count, (batch + 1) * count):
        training = Training(seed)
        message, is_compiled = differences(training)
        assert not message, f"{training}: {message}"
        pure += training.pure
        compiled += training.pure and is_compiled
    assert compiled >= 0.9 * pure


@pytest.mark.parametrize("fault", [
    ("tinygrad_edu.data.summation.BLOCK", 8),
    ("tinygrad_edu.train.compiled.programs.Programs.changes", lambda programs: []),
    ("tinygrad_edu.train.compiled.engine.Engine.clip", lambda engine, max_norm: None),
])
def test_checker_reports_a_fault_that_is_planted(monkeypatch, fault):
    monkeypatch.setattr(*fault)
    assert any(differences(Training(seed))[0] for seed in range(60))
