"""Every optimiser and every schedule of `tinygrad_edu.optim`, found by what they are.

An optimiser is a public class of the package, in any of its modules, that derives from `Optimizer`
and defines `update`, `ieee_update` or `step`.  A schedule is made by a public function that is
annotated to return a `Schedule`, or by a public class that derives from it.  Every public function
of `optim.schedules` must make a schedule.

Whoever adds an optimiser adds its published rule to RULES below; nothing else is needed here.

Each checker is a plain function that returns complaints, a list of sentences.  The tests expect no
complaint for what the package has, and a complaint for each bug that is planted at the end.
"""

import importlib
import inspect
import json
import math
import pickle
import pkgutil
import random
import types
from functools import partial

import pytest
from helpers import inexact_if_compiled

from tinygrad_edu import Value, data, fit, nn, optim
from tinygrad_edu.errors import CheckpointError
from tinygrad_edu.jit.traced import Traced
from tinygrad_edu.optim import Optimizer, schedules

# a learning rate of 0.75 is too large for some
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")

# ---- published rules


def sgd(x, grads, lr, momentum, nesterov, weight_decay):
    """Sutskever et al. 2013, section 2, in the form of torch.optim.SGD: lr outside the velocity."""
    v = 0.0
    for gradient in grads:
        g = gradient + weight_decay * x  # the gradient of weight_decay / 2 * x**2 is added
        v = momentum * v + g
        x -= lr * (momentum * v + g) if nesterov else lr * v
        yield x


def rmsprop(x, grads, lr, alpha, eps, momentum, weight_decay):
    """Hinton 2012, lecture 6; eps and momentum as documented for torch.optim.RMSprop, uncentred."""
    mean_square, v = 0.0, 0.0
    for gradient in grads:
        g = gradient + weight_decay * x
        mean_square = alpha * mean_square + (1 - alpha) * g**2
        v = momentum * v + g / (math.sqrt(mean_square) + eps)
        x -= lr * v
        yield x


def adam(x, grads, lr, betas, eps, weight_decay):
    """Kingma and Ba 2015, algorithm 1; weight decay: Loshchilov and Hutter 2019, algorithm 2."""
    beta1, beta2 = betas
    m, v = 0.0, 0.0
    for t, gradient in enumerate(grads, start=1):
        g = gradient + weight_decay * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        x -= lr * m_hat / (math.sqrt(v_hat) + eps)
        yield x


def adamw(x, grads, lr, betas, eps, weight_decay):
    """Loshchilov and Hutter 2019, algorithm 2, line 12; the decay is multiplied by lr, too."""
    beta1, beta2 = betas
    m, v = 0.0, 0.0
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        x -= lr * (m_hat / (math.sqrt(v_hat) + eps) + weight_decay * x)
        yield x


# For each optimiser a function of the first datum, the gradients of the steps and all options.
# It yields the datum after each step.  Write it from the paper, not from the package's code.
RULES = {"SGD": sgd, "RMSprop": rmsprop, "Adam": adam, "AdamW": adamw}


def rule_of(name):
    """Returns the published rule of an optimiser; fails if RULES has none."""
    if name not in RULES:
        pytest.fail(f"add the published rule of {name} to RULES in {HERE}")
    return RULES[name]


# ---- what there is, and the options to try

HERE = "tests/optim/test_every_optimizer.py"
REQUIRED = {"lr": 0.1}  # values of options that have no default; other ones get 0.5
NUMBERS, COUNTS = (0.0, 0.25, 0.75), (1, 2, 9)  # tried for each option of that kind


def modules_of(package):
    """Returns the package and its modules."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return [package, *[importlib.import_module(f"{package.__name__}.{name}") for name in names]]


def public(modules):
    """Returns what the modules define under public names, sorted by name."""
    homes = {module.__name__ for module in modules}
    found = {thing.__name__: thing for module in modules for name, thing in vars(module).items()
             if not name.startswith("_") and getattr(thing, "__module__", None) in homes
             and (inspect.isclass(thing) or inspect.isfunction(thing))}
    return dict(sorted(found.items()))


def optimizers(modules):
    """Returns the public subclasses of `Optimizer` that define the rule, or what applies it."""
    return {name: thing for name, thing in public(modules).items()
            if inspect.isclass(thing) and issubclass(thing, Optimizer)
            and any(getattr(thing, method) is not getattr(Optimizer, method)
                    for method in ("update", "ieee_update", "step"))}


def is_schedule(kind):
    """Whether a class, or an annotation, is `Schedule` or derives from it."""
    return inspect.isclass(kind) and issubclass(kind, optim.Schedule)


def schedule_makers(modules):
    """Returns the public functions that are annotated to return a `Schedule`, and its public
    subclasses."""
    makers = {}
    for name, thing in public(modules).items():
        made = thing
        if inspect.isfunction(thing):
            made = inspect.signature(thing, eval_str=True).return_annotation
        if is_schedule(made) and thing is not optim.Schedule:
            makers[name] = thing
    return makers


def unrecognised(module):
    """Returns the public functions of a module that are not annotated to make a schedule."""
    makers = schedule_makers([module])
    return [name for name, thing in public([module]).items()
            if inspect.isfunction(thing) and name not in makers]


def is_number(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def options_of(kind):
    """Returns the options of an optimiser with their defaults, those that are required included."""
    parameters = list(inspect.signature(kind).parameters.values())[1:]
    return {p.name: REQUIRED.get(p.name, 0.5) if p.default is p.empty else p.default
            for p in parameters}


def other_values(default):
    """Returns the values to try instead of a numeric default; none for others."""
    if is_number(default):
        candidates = COUNTS if isinstance(default, int) else NUMBERS
        return [value for value in candidates if value != default]
    if isinstance(default, tuple) and all(map(is_number, default)):
        return [(*default[:i], value, *default[i + 1:]) for i, x in enumerate(default)
                for value in other_values(x)]
    return []


def is_accepted(kind, options):
    try:
        kind([Value(1.0)], **options)
    except ValueError:
        return False
    return True


def switched_on(kind, defaults, name):
    """Returns options with the switch ``name`` turned, and another option changed if it must be."""
    turned = {**defaults, name: not defaults[name]}
    trials = [turned] + [{**turned, other: value} for other, default in defaults.items()
                         for value in other_values(default)]
    return next((options for options in trials if is_accepted(kind, options)), turned)


def variations(kind):
    """Returns sets of options: the defaults; each option at other values; all options changed."""
    defaults = options_of(kind)
    result = [defaults]
    for name, default in defaults.items():
        if isinstance(default, bool):
            result.append(switched_on(kind, defaults, name))
        result += [{**defaults, name: value} for value in other_values(default)]
    everything = {name: not default if isinstance(default, bool) else (other_values(default)
                  or [default])[-1] for name, default in defaults.items()}
    return [*result, everything]


MODULES = modules_of(optim)
OPTIMIZERS, SCHEDULES = optimizers(MODULES), schedule_makers(MODULES)
CASES = [pytest.param(kind, options, id=f"{name}-{i}") for name, kind in OPTIMIZERS.items()
         for i, options in enumerate(variations(kind))]
each_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
each_variation = pytest.mark.parametrize(("kind", "options"), CASES)


# ---- checkers of optimisers

STEPS, SCALE = 6, (1e-3, 0.1, 1.0, 10.0)  # one parameter has gradients of each scale
START = (0.5, -1.5, 2.0, 1e-3)
MAX_ULPS = 4


def gradients_of(parameter):
    rng = random.Random(parameter)
    return [rng.gauss(0, 1) * SCALE[parameter] for _ in range(STEPS)]


def feed(optimizer, step):
    """Makes one step with the gradients of that step."""
    for i, x in enumerate(optimizer.params):
        x.grad = gradients_of(i)[step]
    optimizer.step()


def rule_complaints(kind, options, rule):
    """Compares each step with the published rule, in ulps of the largest datum so far."""
    optimizer = kind([Value(x) for x in START], **options)
    expected = [[x, *rule(x, gradients_of(i), **options)] for i, x in enumerate(START)]
    complaints = []
    for step in range(STEPS):
        feed(optimizer, step)
        for i, (x, path) in enumerate(zip(optimizer.params, expected, strict=True)):
            allowed = MAX_ULPS * math.ulp(max(map(abs, path[:step + 2])))
            if not abs(x.data - path[step + 1]) <= allowed:
                complaints.append(f"{kind.__name__} with {options}: parameter {i} is {x.data!r}, "
                                  f"not {path[step + 1]!r}, after step {step + 1}")
    return complaints


def engine_complaints(kind, options):
    """Trains a small network eagerly and compiled: losses, learning rates, parameters and the
    optimiser's state must have the same bits."""
    X, y = data.moons(8, rng=0)
    histories, ends = {}, {}
    for engine in ("eager", "jit"):
        model = nn.MLP(2, [2, 1], activation="tanh", rng=0)
        try:
            optimizer = kind(model.parameters(), **options)
            histories[engine] = fit(model, nn.mse, X, y, optimizer=optimizer, epochs=5,
                                    batch_size=5, engine=engine, rng=3)
            ends[engine] = [p.data for p in model.parameters()], optimizer.state
        except Exception as error:
            return [f"engine {engine!r} raises {type(error).__name__}: {error}"]
    eager, compiled = histories["eager"], histories["jit"]
    complaints = []
    if len(eager.loss) != 10 or not compiled.engine.startswith("jit"):
        complaints.append(f"{len(eager.loss)} steps, and engine={compiled.engine}")
    if compiled.learning_rates != eager.learning_rates:
        complaints.append(f"learning rates: {compiled.learning_rates} != {eager.learning_rates}")
    if repr(compiled.loss) != repr(eager.loss):
        complaints.append(f"losses: {compiled.loss} compiled, {eager.loss} eagerly")
    if repr(ends["jit"]) != repr(ends["eager"]):
        complaints.append(f"parameters: {ends['jit']} compiled, {ends['eager']} eagerly")
    return complaints


def state_complaints(kind, options):
    """Saves the state half way, through JSON, and compares what a new optimiser does with it."""
    first = kind([Value(x) for x in START], **options)
    for step in range(STEPS // 2):
        feed(first, step)
    saved = json.dumps(first.state_dict())
    second = kind([Value(x.data) for x in first.params], **options)
    second.load_state_dict(json.loads(saved))
    for step in range(STEPS // 2, STEPS):
        feed(first, step)
        feed(second, step)
    one, other = [x.data for x in first.params], [x.data for x in second.params]
    complaints = [] if repr(one) == repr(other) else [f"resumed: {other}, without a break: {one}"]
    known = {"lr", "options", "slots", *first.state_dict()["options"]}
    missing = sorted({*options_of(kind)} - known)
    if missing:
        complaints.append(f"add {missing} to the options of {kind.__name__}, for its saved state")
    if first.state_dict() != second.state_dict():
        complaints.append(f"states: {second.state_dict()} resumed, {first.state_dict()} without")
    return complaints


def document_complaints(kind):
    """Reads the docstring, which must have the rule, its source and all options."""
    own, subject = kind.__doc__ or "", f"the docstring of {kind.__name__}"
    texts = " ".join(base.__doc__ or "" for base in kind.__mro__ if issubclass(base, Optimizer)
                     and base is not Optimizer)
    complaints = []
    if "data = " not in own or "lr" not in own:
        complaints.append(f"{subject} has no rule, such as data = data - lr * g")
    if "Source:" not in own:
        complaints.append(f"{subject} does not name its source after Source:")
    return complaints + [f"{subject} does not mention {name}"
                         for name in options_of(kind) if name not in texts]


# ---- every optimiser


def test_finders_find_optimizers_and_schedules():
    assert {"SGD", "Adam"} <= OPTIMIZERS.keys()
    assert {"cosine", "warmup"} <= SCHEDULES.keys()
    assert "Optimizer" not in OPTIMIZERS
    assert not any(name.startswith("clip_") for name in SCHEDULES)


def test_finders_find_what_is_added_to_a_module():
    module = types.ModuleType("added")
    exec("from tinygrad_edu import optim\n"
         "class Added(optim.SGD): pass\n"
         "class Abstract(optim.Optimizer): pass\n"
         "class Stepping(optim.Optimizer):\n    def step(self): pass\n"
         "class Exact(optim.Optimizer):\n    def ieee_update(self, *arguments): pass\n"
         "class _Private(optim.SGD): pass\n"
         "class Falling(optim.Schedule): pass\n"
         "class _Hidden(optim.Schedule): pass\n"
         "def planned() -> optim.Schedule: pass\n"
         "def falling() -> Falling: pass\n"
         "def clip(x: float) -> float: pass\n"
         "def forgotten(lr): pass\n", vars(module))
    assert list(optimizers([module])) == ["Added", "Exact", "Stepping"]
    assert list(schedule_makers([module])) == ["Falling", "falling", "planned"]
    assert unrecognised(module) == ["clip", "forgotten"]


def test_every_public_function_of_schedules_makes_a_schedule():
    assert unrecognised(schedules) == [], (
        f"annotate what returns a schedule with -> Schedule; see {HERE}")


@each_optimizer
def test_variations_change_every_option(kind):
    defaults, cases = options_of(kind), variations(kind)
    assert cases[0] == defaults
    assert all(any(case[name] != default for case in cases) for name, default in defaults.items())
    assert all(is_accepted(kind, case) for case in cases)


@each_variation
def test_optimizer_follows_its_published_rule(kind, options):
    assert rule_complaints(kind, options, rule_of(kind.__name__)) == []


def test_rules_name_optimizers_that_exist():
    assert RULES.keys() <= OPTIMIZERS.keys()


@each_variation
def test_optimizer_trains_alike_on_both_engines(kind, options):
    assert engine_complaints(kind, options) == []


@each_variation
def test_optimizer_continues_from_a_saved_state_to_the_same_bits(kind, options):
    assert state_complaints(kind, options) == []


@each_optimizer
def test_optimizer_docstring_has_its_rule(kind):
    assert document_complaints(kind) == []


@pytest.mark.parametrize("name", [*OPTIMIZERS, *SCHEDULES])
def test_optimizer_or_schedule_is_exported(name):
    assert name in optim.__all__
    assert getattr(optim, name) is {**OPTIMIZERS, **SCHEDULES}[name]


# ---- every schedule

LAST_STEP = 30
RATES = {"number": (0.5, NUMBERS), "count": (6, COUNTS)}  # the base value, and the other ones


def argument_kind(annotation):
    """Returns "count", "number", or "rate", which may be a schedule."""
    if annotation is int:
        return "count"
    return "rate" if annotation == schedules.Rate else "number"


def schedule_arguments(make):
    """Returns lists of arguments, by name: the base, and each argument at other values."""
    parameters = inspect.signature(make, eval_str=True).parameters.values()
    kinds = {p.name: argument_kind(p.annotation) for p in parameters}
    base, others = {}, {}
    for p in parameters:
        kind = kinds[p.name]
        usual, others[p.name] = RATES["number" if kind == "rate" else kind]
        base[p.name] = usual if p.default is p.empty else p.default
        if kind == "rate":
            others[p.name] = [*others[p.name], *simple_schedules()]
    return [base] + [{**base, name: value} for name in base for value in others[name]
                     if value is not base[name] and value != base[name]]


def simple_schedules():
    """Returns one schedule of each function that does not take a schedule."""
    makers = [make for make in SCHEDULES.values() if schedules.Rate not in [
        p.annotation for p in inspect.signature(make, eval_str=True).parameters.values()]]
    return [make(**schedule_arguments(make)[0]) for make in makers]


def rates(schedule):
    return [schedule(step) for step in range(LAST_STEP)]


def schedule_complaints(schedule, names):
    """Checks the rates, and what is saved in a checkpoint: the text of the call that makes it."""
    complaints = [f"{schedule!r}({step}) is {rate!r}" for step, rate in enumerate(rates(schedule))
                  if type(rate) is not float or not 0 <= rate < math.inf]
    for way, twin in (("repr", eval(repr(schedule), names)),
                      ("pickle", pickle.loads(pickle.dumps(schedule)))):
        if repr(twin) != repr(schedule) or repr(rates(twin)) != repr(rates(schedule)):
            complaints.append(f"{way} of {schedule!r} gives {twin!r}, rates {rates(twin)}")
    return complaints


def checkpoint_complaints(schedule, others, names):
    """Loads a saved state into optimisers with the same schedule and with other ones."""
    first = optim.SGD([Value(1.0)], schedule)
    first.step()
    saved = json.dumps(first.state_dict())
    second = optim.SGD([Value(1.0)], eval(repr(schedule), names))
    second.load_state_dict(json.loads(saved))
    complaints = []
    if second.steps != 1 or second.lr != schedule(1):
        complaints.append(f"{schedule!r} continues with {second.lr!r}, not {schedule(1)!r}")
    for other in others:
        try:
            optim.SGD([Value(1.0)], other).load_state_dict(json.loads(saved))
        except CheckpointError:
            continue
        complaints.append(f"a state of {schedule!r} is loaded into an optimiser with another one, "
                          f"{other!r}")
    return complaints


each_schedule = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


@each_schedule
def test_schedule_gives_rates_and_is_restored_from_its_text(make):
    made = [make(**arguments) for arguments in schedule_arguments(make)]
    assert len(made) > 3
    assert [text for one in made for text in schedule_complaints(one, vars(optim))] == []


@each_schedule
def test_schedule_is_loaded_only_by_the_same_schedule(make):
    base, *others = [make(**arguments) for arguments in schedule_arguments(make)]
    assert checkpoint_complaints(base, others, vars(optim)) == []


@each_schedule
def test_schedule_trains_alike_on_both_engines(make):
    for arguments in schedule_arguments(make):
        assert engine_complaints(optim.SGD, {"lr": make(**arguments)}) == []


# ---- planted bugs


class WrongFactor(optim.Adam):
    """Has steps that are too long by a factor of 1 + 2e-14."""

    def update(self, data, grad, state, lr, t):
        return super().update(data, grad, state, lr * (1 + 2e-14), t)


class LateCorrection(optim.Adam):
    """Counts the steps from 2 in the correction of the means."""

    def update(self, data, grad, state, lr, t):
        return super().update(data, grad, state, lr, t + 1)


class Spoilt(optim.SGD):
    """Makes a parameter nan."""

    def update(self, data, grad, state, lr, t):
        return data * math.nan, state


class Undecayed(optim.AdamW):
    """Ignores its weight decay."""

    def _decayed(self, data, grad, lr):
        return data, grad


class Hidden(optim.SGD):
    """Keeps a velocity outside its state, and has a docstring without a rule."""

    def __init__(self, params, lr, momentum=0.9):
        super().__init__(params, lr)
        self.hidden = 0.0

    def update(self, data, grad, state, lr, t):
        self.hidden = 0.9 * self.hidden + grad
        return data - lr * self.hidden, state


class Unlike(optim.SGD):
    """Limits negative gradients, except while it is compiled."""

    def update(self, data, grad, state, lr, t):
        limited = grad if isinstance(grad, Traced) else max(grad, -0.01)
        return super().update(data, limited, state, lr, t)


class Stepping(optim.Optimizer):
    """Has no rule, but does in `step` what a rule would do."""

    factor = 1.0

    def step(self):
        for parameter in self.params:
            parameter.data -= self.factor * self.lr * parameter.grad
        self.steps += 1


class LongSteps(Stepping):
    factor = 1 + 2e-14


class Falling(optim.Schedule):
    def __init__(self, lr: float, steps: int):
        self.lr, self.steps = lr, steps

    def _rate(self, step):
        return self.lr * (1 - step / self.steps)

    def __repr__(self):
        return f"Falling({self.lr!r}, {self.steps})"


class Forgetful(Falling):
    def _rate(self, step):
        return self.lr / self.steps

    def __repr__(self):
        return f"Forgetful({self.lr!r}, 7)"


PLANTED = {"Falling": Falling, "Forgetful": Forgetful}


@pytest.mark.parametrize(("kind", "published"), [
    (WrongFactor, adam), (LateCorrection, adam), (Undecayed, adamw)])
def test_rule_checker_reports_a_wrong_rule(kind, published):
    options = {"lr": 0.75, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.25}
    assert rule_complaints(kind, options, published)


def test_rule_checker_reports_nan_and_an_optimizer_under_another_rule():
    options = options_of(optim.SGD)
    assert rule_complaints(optim.SGD, options, sgd) == []
    assert len(rule_complaints(Spoilt, options, sgd)) == STEPS * len(START)
    assert rule_complaints(optim.AdamW, options_of(optim.AdamW), adam)


def test_rule_checker_asks_for_a_missing_rule():
    with pytest.raises(pytest.fail.Exception) as caught:
        rule_of("Hidden")
    assert str(caught.value) == (
        "add the published rule of Hidden to RULES in tests/optim/test_every_optimizer.py")


def test_engine_checker_reports_engines_that_differ_in_the_last_bit(monkeypatch):
    monkeypatch.setitem(globals(), "fit", inexact_if_compiled(fit))
    complaints = engine_complaints(optim.Adam, {"lr": 0.1})
    assert [text.partition(":")[0] for text in complaints] == ["losses", "parameters"]


def test_optimizer_that_does_something_else_while_it_is_traced_makes_its_steps_in_python():
    assert engine_complaints(Unlike, {"lr": 0.1}) == []


def test_engine_checker_reports_an_optimizer_that_cannot_be_made():
    (complaint,) = engine_complaints(optim.SGD, {"lr": "fast"})
    assert complaint.startswith("engine 'eager' raises TypeError: SGD: lr must be")


def test_checkers_take_an_optimizer_that_overrides_step_alone():
    published = partial(sgd, momentum=0.0, nesterov=False, weight_decay=0.0)
    assert rule_complaints(Stepping, {"lr": 0.1}, published) == []
    assert rule_complaints(LongSteps, {"lr": 0.1}, published) != []
    assert engine_complaints(Stepping, {"lr": 0.1}) == []
    assert state_complaints(Stepping, {"lr": 0.1}) == []


def test_schedule_checkers_take_a_class():
    base, *others = schedule_arguments(Falling)
    assert base == {"lr": 0.5, "steps": 6}
    assert len(others) > 3
    assert schedule_complaints(Falling(**{**base, "steps": LAST_STEP}), PLANTED) == []


def test_state_checker_reports_an_optimizer_with_hidden_state():
    (complaint,) = state_complaints(Hidden, {"lr": 0.1})
    assert complaint.startswith("resumed: ")


def test_docstring_checker_reports_missing_rule_source_and_option():
    assert document_complaints(Hidden) == [
        "the docstring of Hidden has no rule, such as data = data - lr * g",
        "the docstring of Hidden does not name its source after Source:"]

    class Added(optim.Optimizer):
        """data = data - lr * grad.  Source: none."""

        def __init__(self, params, lr, patience=3):
            super().__init__(params, lr)

    assert document_complaints(Added) == ["the docstring of Added does not mention patience"]


def test_schedule_checkers_report_a_negative_rate_and_a_text_without_an_argument():
    assert schedule_complaints(Falling(0.5, LAST_STEP), PLANTED) == []
    negative = schedule_complaints(Falling(0.5, LAST_STEP - 2), PLANTED)
    assert len(negative) == 1
    assert negative[0].startswith(f"Falling(0.5, 28)({LAST_STEP - 1}) is -0.01")
    assert schedule_complaints(Forgetful(0.5, 7), PLANTED) == []
    (complaint,) = schedule_complaints(Forgetful(0.5, 8), PLANTED)
    assert complaint.startswith("repr of Forgetful(0.5, 7) gives")
    assert checkpoint_complaints(Forgetful(0.5, 7), [Forgetful(0.5, 8)], PLANTED) == [
        "a state of Forgetful(0.5, 7) is loaded into an optimiser with another one, "
        "Forgetful(0.5, 7)"]
