"""Every loss of `tinygrad_edu.nn`, in any of its modules, found by its signature.

Public functions are told apart by their signatures alone:

    loss      two required arguments, the second called ``target``, not annotated to return a float
    metric    the same, but annotated to return a float, which has no gradient (`nn.accuracy`)
    penalty   one required argument, the parameters (`nn.l2`)

A function of `nn.losses` must be one of the three.  A function of another module must be a loss or
a metric if it has an argument that is named like one of theirs, such as ``logits``.

Whoever adds a loss adds to KIND_OF which kinds of targets it takes; nothing else is needed here.

Each checker is a plain function that returns complaints, a list of sentences.  The tests expect no
complaint for what the package has, and a complaint for each bug that is planted at the end.
"""

import importlib
import inspect
import math as std
import pkgutil
import random
import types
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from helpers import SPECIAL, bits, inexact_if_compiled, inf, nan

from tinygrad_edu import Value, fit, math, nn, optim
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.jit.traced import Traced
from tinygrad_edu.nn import losses
from tinygrad_edu.testing import gradcheck

HERE = "tests/nn/test_every_loss.py"


# ---- kinds of targets


class Kind(NamedTuple):
    """A kind of target, and the predictions that go with it.

    outputs    how many numbers a prediction is a list of; 0 if it is one number
    draw       makes a valid target with a random generator
    accepts    whether a target is valid
    extra      targets at an edge, besides the special floats
    wrong      targets that must be rejected, also while a network is trained with others
    """

    outputs: int
    draw: Callable[[random.Random], Any]
    accepts: Callable[[Any], bool]
    extra: list[Any]
    wrong: list[Any]


KINDS = {
    "number": Kind(0, lambda rng: rng.gauss(0, 1), lambda t: True, [], []),
    "numbers": Kind(2, lambda rng: [rng.gauss(0, 1), rng.gauss(0, 1)],
                    lambda t: isinstance(t, list) and len(t) == 2,
                    [[x, y] for x in SPECIAL for y in (0.5, x)],
                    [0.5, [], [0.5], [0.5, 0.25, 1.0]]),
    "sign": Kind(0, lambda rng: rng.choice([-1.0, 1.0]), lambda t: t in (-1, 1),
                 [-1, 1], [0.0, 0.5, 2.0, -1.5, nan, inf]),
    "probability": Kind(0, lambda rng: rng.choice([0.0, 1.0, rng.random()]), lambda t: 0 <= t <= 1,
                        [0, 1, 0.5], [-1.0, -1e-9, 1.5, 2.0, nan, -inf]),
    "class": Kind(3, lambda rng: rng.randrange(3), lambda t: t in (0, 1, 2),
                  [0, 1, 2], [-1, 3, 0.5, nan, inf]),
}

KIND_OF = {
    "mse": ["number", "numbers"],
    "hinge": ["sign"],
    "binary_cross_entropy": ["probability"],
    "cross_entropy": ["class"],
}


def kinds_of(name):
    """Returns the kinds of targets of a loss; fails if KIND_OF has none."""
    if name not in KIND_OF:
        pytest.fail(f"add the kinds of targets that {name} takes to KIND_OF in {HERE}: "
                    f"one or more of {', '.join(KINDS)}, or a new row of KINDS")
    return [KINDS[kind] for kind in KIND_OF[name]]


# ---- what there is


def functions(modules):
    """Returns the public functions that the modules themselves define, with their signatures."""
    found = {name: thing for module in modules for name, thing in vars(module).items()
             if inspect.isfunction(thing) and not name.startswith("_")
             and thing.__module__ == module.__name__}
    return {name: (thing, signature_of(thing)) for name, thing in found.items()}


def signature_of(function):
    """Returns a signature; its annotations are text if a name is for type checkers only."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        return inspect.signature(function)


def sort_of(signature):
    """Returns "loss", "metric" or "penalty", as defined above; "" for another function."""
    required = [p.name for p in signature.parameters.values() if p.default is p.empty]
    if len(required) == 2 and required[1] == "target":
        return "metric" if signature.return_annotation in (float, "float") else "loss"
    return "penalty" if len(required) == 1 else ""


def losses_of(modules):
    """Returns the losses of modules, by name."""
    return {name: loss for name, (loss, signature) in functions(modules).items()
            if sort_of(signature) == "loss"}


ARGUMENTS = {"prediction", "score", "logit", "target"}  # also in the plural


def unrecognised(modules, home=losses):
    """Returns the functions that the finder passes over, although they may be losses, with their
    signatures: those of ``home`` that have no sort, and those with an argument as of a loss."""
    found = []
    for name, (function, signature) in functions(modules).items():
        is_like_a_loss = any(
            argument.removesuffix("s") in ARGUMENTS for argument in signature.parameters
        )
        sort = sort_of(signature)
        at_home = function.__module__ == home.__name__
        if sort not in ("loss", "metric") and (is_like_a_loss or (at_home and not sort)):
            found.append(f"{name}{signature}")
    return found


MODULES = [nn, *[importlib.import_module(f"{nn.__name__}.{module.name}")
                 for module in pkgutil.iter_modules(nn.__path__)]]
LOSSES = losses_of(MODULES)
each_loss = pytest.mark.parametrize("name", LOSSES)


# ---- checkers


def prediction_of(numbers, kind, convert):
    """Returns a prediction made of numbers: one, or a list."""
    converted = list(map(convert, numbers))
    return converted if kind.outputs else converted[0]


def call(loss, kind, target, *values):
    """Calls a loss with a prediction made of scalars."""
    return loss(prediction_of(values, kind, lambda x: x), target)


def gradient_complaints(loss, kind, points=8):
    """Compares gradients at random points with finite differences."""
    rng, complaints, compared = random.Random(1), [], 0
    for _ in range(points):
        target, numbers = kind.draw(rng), [rng.gauss(0, 2) for _ in range(max(1, kind.outputs))]
        report = gradcheck(partial(call, loss, kind, target), numbers,
                           names=[f"prediction[{i}]" for i in range(len(numbers))])
        compared += sum(entry.status == "ok" for entry in report.entries)
        if report.failures:
            complaints.append(f"prediction {numbers}, target {target!r}: {report}")
    if not compared and not complaints:
        complaints.append("no derivative could be compared")
    return complaints


def edge_points(kind):
    """Yields numbers of predictions: each special float alone, and with others."""
    for special in SPECIAL:
        if kind.outputs < 2:
            yield [special]
            continue
        yield [special] * kind.outputs
        for i in range(kind.outputs):
            yield [special if i == j else 0.5 - j for j in range(kind.outputs)]


def edge_complaints(loss, kind):
    """Calls a loss at edges: it returns floats, and raises ValueError for a wrong target only."""
    return [f"prediction {numbers}, target {target!r}: {complaint}" for numbers in edge_points(kind)
            for target in [*kind.extra, *kind.wrong, *SPECIAL]
            for complaint in one_edge_complaints(loss, kind, numbers, target)]


def one_edge_complaints(loss, kind, numbers, target):
    leaves = list(map(Value, numbers))
    try:
        plain = call(loss, kind, target, *numbers)
        result = call(loss, kind, target, *leaves)
        result.backward()
    except ValueError as error:
        return [f"raises ValueError: {error}"] if kind.accepts(target) else []
    except Exception as error:
        return [f"raises {type(error).__name__}: {error}"]
    if not kind.accepts(target):
        return [f"returns {result}, but must raise ValueError"]
    values = {"of floats": plain, "of Values": result.data, **{
        f"of the gradient {i}": leaf.grad for i, leaf in enumerate(leaves)}}
    complaints = [f"the number {name} is {value!r}, not a float" for name, value in values.items()
                  if type(value) is not float]
    if complaints:
        return complaints
    if bits(plain) != bits(result.data):
        complaints.append(f"{plain!r} of floats, {result.data!r} of Values")
    if any(map(std.isnan, numbers)) and not std.isnan(plain):
        complaints.append(f"a prediction of nan has the loss {plain!r}")
    return complaints


def wrong_target_complaints(loss, kind):
    """Checks that the error for a wrong target names the loss and the target."""
    complaints = []
    for target in kind.wrong:
        prediction = prediction_of([0.5] * max(1, kind.outputs), kind, Value)
        try:
            complaints.append(f"target {target!r}: returns {loss(prediction, target)}")
        except ValueError as error:
            if loss.__name__ not in str(error) or repr(target) not in str(error):
                complaints.append(f"target {target!r}: {error}")
    return complaints


def empty_prediction_complaints(loss, kind):
    """Checks that an empty list of predictions is rejected by an error that names the loss."""
    complaints = []
    for target in ([], drawn_targets(kind)[0]) if kind.outputs else ():
        try:
            complaints.append(f"returns {loss([], target)} for no predictions")
        except Exception as error:
            if not isinstance(error, ValueError) or loss.__name__ not in str(error):
                complaints.append(f"raises {type(error).__name__}: {error}")
    return complaints


def trained(loss, kind, engine, targets):
    """Trains a small network; returns the history and the parameters."""
    rng = random.Random(2)
    X = [[rng.gauss(0, 1), rng.gauss(0, 1)] for _ in targets]
    model = nn.MLP(2, [3, max(1, kind.outputs)], activation="tanh", rng=3)
    history = fit(model, loss, X, targets, optimizer=optim.SGD(model.parameters(), lr=0.05),
                  epochs=4, batch_size=4, engine=engine, rng=5)
    return history, [p.data for p in model.parameters()]


def drawn_targets(kind, count=7):
    rng = random.Random(4)
    return [kind.draw(rng) for _ in range(count)]


def engine_complaints(loss, kind):
    """Trains eagerly and compiled: losses and parameters must have the same bits."""
    results = {}
    for engine in ("eager", "jit"):
        try:
            results[engine] = trained(loss, kind, engine, drawn_targets(kind))
        except Exception as error:
            return [f"engine {engine!r} raises {type(error).__name__}: {error}"]
    (eager, data), (compiled, compiled_data) = results["eager"], results["jit"]
    complaints = []
    if len(eager.loss) != 8 or not compiled.engine.startswith("jit"):
        complaints.append(f"{len(eager.loss)} steps, and engine={compiled.engine}")
    if repr(compiled.loss) != repr(eager.loss):
        complaints.append(f"losses: {compiled.loss} compiled, {eager.loss} eagerly")
    if repr(compiled_data) != repr(data):
        complaints.append(f"parameters: {compiled_data} compiled, {data} eagerly")
    return complaints


def wrong_training_complaints(loss, kind, engine):
    """Trains with one wrong target among valid ones: the error names the loss and the target.

    Only the length of a target that goes with a list of numbers is wrong; the compiled engine
    meets it while it traces the loss, when the numbers of targets are not known.
    """
    shown = engine == "eager" or not isinstance(drawn_targets(kind)[0], list)
    complaints = []
    for target in kind.wrong:
        needed = [loss.__name__, repr(target)] if shown else [loss.__name__]
        try:
            trained(loss, kind, engine, [*drawn_targets(kind), target])
            complaints.append(f"target {target!r}: trains without an error")
        except Exception as error:
            if not isinstance(error, ValueError) or any(text not in str(error) for text in needed):
                complaints.append(f"target {target!r}: {type(error).__name__}: {error}")
    return complaints


# ---- every loss


def test_finder_finds_losses_and_neither_metrics_nor_penalties():
    assert {"mse", "cross_entropy"} <= LOSSES.keys()
    assert not {"accuracy", "l1", "l2"} & LOSSES.keys()


def test_finder_looks_into_every_module():
    assert {"tinygrad_edu.nn", "tinygrad_edu.nn.losses", "tinygrad_edu.nn.layers"} <= {
        module.__name__ for module in MODULES}
    assert "xavier" in functions(MODULES)


def test_finder_finds_a_loss_that_is_added_to_a_module():
    module = types.ModuleType("added")
    exec("from tinygrad_edu.nn.losses import mse\n"
         "def planted(prediction, target, delta=1.0): pass\n"
         "def error_rate(prediction, target) -> float: pass\n"
         "def graded(prediction, target: 'Unknown') -> 'float': pass\n"
         "def l4(parameters): pass\n"
         "def _private(prediction, target): pass\n", vars(module))
    assert list(losses_of([module])) == ["planted"]
    assert list(losses_of([losses, module])) == [*losses_of([losses]), "planted"]


def test_function_that_may_be_a_loss_has_a_signature_that_says_what_it_is():
    assert unrecognised(MODULES) == [], (
        "neither a loss nor a metric, name(prediction, target), nor a penalty, name(parameters); "
        f"see {HERE}")


def test_planted_functions_that_may_be_losses_are_reported():
    module = types.ModuleType("added")
    exec("def planted(prediction, y): pass\n"
         "def planted_too(logits, label, gamma=2.0): pass\n"
         "def scaled(factor, prediction, target): pass\n"
         "def gap(a, b): pass\n"
         "def error_rate(prediction, target) -> float: pass\n"
         "def l4(parameters): pass\n", vars(module))
    elsewhere = ["planted(prediction, y)", "planted_too(logits, label, gamma=2.0)",
                 "scaled(factor, prediction, target)"]
    assert unrecognised([module]) == elsewhere
    assert unrecognised([module], home=module) == [*elsewhere, "gap(a, b)"]


@each_loss
def test_loss_has_a_kind_of_target_and_is_exported(name):
    assert kinds_of(name)
    assert name in nn.__all__
    assert getattr(nn, name) is LOSSES[name]


def test_kinds_name_losses_that_exist():
    assert KIND_OF.keys() <= LOSSES.keys()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kind_accepts_what_it_draws_and_rejects_wrong_targets(kind):
    assert all(map(kind.accepts, drawn_targets(kind, 50)))
    assert not any(map(kind.accepts, kind.wrong))


@each_loss
def test_loss_has_right_gradients_at_random_points(name):
    for kind in kinds_of(name):
        assert gradient_complaints(LOSSES[name], kind) == []


@each_loss
def test_loss_returns_floats_at_edges(name):
    for kind in kinds_of(name):
        assert edge_complaints(LOSSES[name], kind) == []


@each_loss
def test_loss_rejects_a_wrong_target_by_name_and_value(name):
    for kind in kinds_of(name):
        assert wrong_target_complaints(LOSSES[name], kind) == []


@each_loss
def test_loss_rejects_an_empty_list_of_predictions(name):
    for kind in kinds_of(name):
        assert empty_prediction_complaints(LOSSES[name], kind) == []


@each_loss
def test_loss_trains_alike_on_both_engines(name):
    for kind in kinds_of(name):
        assert engine_complaints(LOSSES[name], kind) == []


@pytest.mark.parametrize("engine", ["eager", "jit"])
@each_loss
def test_loss_rejects_a_wrong_target_in_training(name, engine):
    for kind in kinds_of(name):
        assert wrong_training_complaints(LOSSES[name], kind, engine) == []


# ---- planted bugs


def detached(prediction, target):
    """Computes half of the gradient: one factor is read as a number."""
    return (prediction - target) * (float(prediction) - target)


def rounded(prediction, target):
    """Rounds to multiples of 1e-12: it jumps near every point, and no derivative is compared."""
    return math.floor(prediction * 1e12) * 1e-12 + 0.0 * target


def overflowing(prediction, target):
    return Value(std.exp(float(prediction))) + prediction * target


def complex_root(prediction, target):
    """Takes a root with Python's arithmetic, which is complex for a negative float."""
    return prediction**0.5 * target


def hiding(prediction, target):
    """Replaces nan by a number."""
    return math.fmax(prediction, -1e300)


def summed(predictions, target):
    return sum(p * p for p in predictions)


def average(predictions, target):
    return sum(predictions) / len(predictions)


def two_faced(prediction, target):
    return prediction * (2.0 if isinstance(prediction, Value) else 1.0)


def lenient(score, target):
    """Accepts every target."""
    return math.relu(1 - target * score)


def curt(score, target):
    """Rejects wrong targets without a name."""
    if not isinstance(target, Traced) and target not in (-1, 1):
        raise ValueError("the target must be -1 or 1")
    return math.relu(1 - target * score)


def unlike(prediction, target):
    """Is larger by a factor of 1 + 1e-8 when it is compiled."""
    return (prediction - target) ** 2 * (1 + 1e-8 if isinstance(target, Traced) else 1.0)


def branching(prediction, target):
    return prediction * target if prediction > 0 else prediction ** 2


def test_missing_kind_of_a_loss_is_reported():
    with pytest.raises(pytest.fail.Exception) as caught:
        kinds_of("planted")
    assert str(caught.value) == (
        "add the kinds of targets that planted takes to KIND_OF in tests/nn/test_every_loss.py: "
        "one or more of number, numbers, sign, probability, class, or a new row of KINDS")


def test_gradient_checker_reports_a_detached_factor_and_nothing_to_compare():
    assert len(gradient_complaints(detached, KINDS["number"])) == 8
    assert gradient_complaints(rounded, KINDS["number"]) == ["no derivative could be compared"]


def test_gradient_checker_reports_a_row_with_a_wrong_rule():
    row = define("planted_square", lambda x: x * x, lambda x, o: 2.000001 * x)
    try:
        complaints = gradient_complaints(lambda p, t: row(p - t), KINDS["number"])
    finally:
        del TABLE["planted_square"]
    assert len(complaints) == 8


@pytest.mark.parametrize(("loss", "complaint"), [
    (overflowing, "raises OverflowError: "), (complex_root, "not a float"),
    (hiding, "a prediction of nan has the loss -1e+300"), (two_faced, "2.0 of Values")])
def test_edge_checker_reports_what_is_not_ieee_arithmetic(loss, complaint):
    assert any(complaint in text for text in edge_complaints(loss, KINDS["number"]))


@pytest.mark.parametrize(("loss", "complaint"), [
    (summed, "returns 0 for no predictions"),
    (average, "raises ZeroDivisionError: division by zero")])
def test_empty_prediction_checker_reports_what_is_not_a_value_error(loss, complaint):
    assert empty_prediction_complaints(loss, KINDS["numbers"]) == [complaint] * 2


def test_edge_checker_reports_a_valid_target_that_is_rejected_and_a_wrong_one_that_is_not():
    assert any("raises ValueError" in text for text in edge_complaints(nn.hinge, KINDS["number"]))
    assert any("but must raise" in text for text in edge_complaints(lenient, KINDS["sign"]))


@pytest.mark.parametrize("loss", [lenient, curt])
def test_wrong_target_checkers_report_silence_and_an_error_without_name(loss):
    kind = KINDS["sign"]
    assert len(wrong_target_complaints(loss, kind)) == len(kind.wrong)
    assert len(wrong_training_complaints(loss, kind, "eager")) == len(kind.wrong)
    assert len(wrong_training_complaints(loss, kind, "jit")) == len(kind.wrong)


def test_engine_checker_reports_engines_that_differ_in_the_last_bit(monkeypatch):
    monkeypatch.setitem(globals(), "fit", inexact_if_compiled(fit))
    complaints = engine_complaints(nn.mse, KINDS["number"])
    assert [text.partition(":")[0] for text in complaints] == ["losses", "parameters"]


@pytest.mark.parametrize("loss", [unlike, branching])
def test_engine_checker_reports_a_loss_that_differs_or_cannot_be_compiled(loss):
    (complaint,) = engine_complaints(loss, KINDS["number"])
    assert complaint.startswith("engine 'jit' raises TraceError: ")
