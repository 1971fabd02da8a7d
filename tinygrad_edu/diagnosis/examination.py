"""`diagnose`: finds out why a model does not learn, and says what to change.

    >>> from tinygrad_edu import data, fit, nn, optim
    >>> X, y = data.moons(40, rng=0)
    >>> model = nn.MLP(2, [8, 1], "tanh", rng=1)
    >>> optimizer = optim.SGD(model.parameters(), lr=1e-5)
    >>> history = fit(model, nn.hinge, X, y, optimizer=optimizer, epochs=20, record_every=1)
    >>> finding, = diagnose(history)
    >>> finding.kind, finding.numbers["suggested_rate"]
    ('loss stands still', 1.0)
    >>> print(finding.advice)
    Start again with a learning rate of 1.

Only what keeps a model from learning is a finding.  Two dead units among sixteen are counted, but
dead units become a finding only if they are more than half of a layer.  The limits are constants in
`layers`, `curves` and `trials`, with their reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..engine.graph import topological_order
from ..engine.value import Value
from ..errors import check_function, counted, short_repr
from ..nn.module import Module
from ..optim import Optimizer
from ..train import History, judgement
from ..train.snapshots import unique_names
from . import curves, layers
from .findings import Diagnosis, Finding, rounded_rate
from .inspection import (
    activations,
    check_model,
    entries,
    outputs_of,
    recording_model,
    samples_of,
)
from .layers import ModelState
from .trials import (
    BASELINE_MARGIN,
    STABILITY_FACTOR,
    TRIAL_STEPS,
    Problem,
    Trials,
    choose_samples,
    try_rates,
)

MAX_SAMPLES = 128  # the model is run on at most this many samples
MIN_SAMPLES = 16
MAX_WORK = 120_000  # nodes times samples: models with large graphs are run on fewer samples
LEARNED_FRACTION = 0.9  # a model has learned if its inputs explain this fraction of the loss
# Relative fall of the loss in a trial; below it the learning rate is not an improvement.
MIN_IMPROVEMENT = 0.1
# A learning rate is better if its trial ends lower than the whole run by this fraction of the loss.
BETTER_FRACTION = 0.25
MIN_TRAINING_FALL = 0.1  # relative fall of the loss; below it the learning rate may be too small
# A loss that is this many times the one without the penalty consists of the penalty.
PENALTY_RATIO = 10.0
# what the losses show if the learning rate is too large
TOO_LARGE = ("loss not finite", "loss diverges", "loss jumps", "loss oscillates")
# A learning rate is too small if the best learning rate is this many times larger.
SMALL_RATE_RATIO = 10.0


def diagnose(
    subject: Any,
    X: Iterable[Any] | None = None,
    y: Iterable[Any] | None = None,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    optimizer: Optimizer | None = None,
) -> Diagnosis:
    """Finds what keeps a model from learning, and returns a `Diagnosis` with advice.

    What is examined depends on the arguments:

    ``diagnose(model)``
        The gradients that the last backward pass left, layer by layer.  Finds gradients that
        vanish, explode or are not finite, and parameters without a gradient.
    ``diagnose(model, X)``
        Also the outputs of the units.  Finds dead and saturated units, and parameters that the
        model does not use.
    ``diagnose(model, X, y, loss=nn.hinge)``
        The same, with the gradients of the loss of each sample instead of the gradients in
        ``.grad``.  The loss is compared with the loss of a constant prediction.
    ``diagnose(model, X, y, loss=nn.hinge, optimizer=optimizer)``
        Also other learning rates, tried from the present parameters (`trials.try_rates`).
    ``diagnose(history)``
        The losses of a training run.  Finds a loss that diverges, jumps, oscillates, stands still
        or is not finite.  After ``fit(..., record_every=...)``, the model at the end of the run is
        examined too, and other learning rates are tried from the first parameters of the run.

    subject: a `Module` or a `History`; or any other callable model, if ``optimizer`` is given: its
        parameters are then examined.
    X, y: samples and targets.  At most 128 samples are used, chosen at random but always the same.
    loss: called as ``loss(prediction, target)`` for one sample.  A penalty is not included.
    optimizer: the optimiser whose learning rate is compared with others.

    The model runs in evaluation mode.  Data, gradients and modes are restored, and the state of
    the random generators does not change.

    Raises:
        TypeError: ``subject`` is neither a model nor a history; a history is not the only argument;
            ``X`` or ``y`` is not iterable; or no loss is a Value.
        ValueError: the history has no steps, the model has no parameters, ``X`` is empty, ``y`` and
            ``X`` differ in length, or an argument is missing that another one needs.

    Errors of the model and the loss are passed on unchanged.
    """
    if isinstance(subject, History):
        if any(given is not None for given in (X, y, loss, optimizer)):
            raise TypeError(
                "diagnose: a history must be the only argument; a history from "
                "fit(..., record_every=1) has the model, the samples and the loss"
            )
        return _diagnose_history(subject)
    check_model(subject)
    parameters = _named_parameters(subject, optimizer)
    if X is None and (y is not None or loss is not None):
        raise ValueError(
            "diagnose: X must be samples, not None, if there is a loss or y; call "
            "diagnose(model, X, y, loss=nn.hinge)"
        )
    if loss is not None:
        check_function(loss, "diagnose: loss", "pass one of nn, such as nn.mse", 2)
    inputs = None if X is None else samples_of(X, "diagnose")
    if loss is not None and inputs is not None:
        targets: list[Any] = []
        if y is not None:
            targets = entries(y, "diagnose: y", "targets: one for each sample")
        if len(targets) != len(inputs):
            raise ValueError(
                f"diagnose: y must have one target for each sample, not {short_repr(y)}: "
                f"{counted(len(targets), 'target')} for {counted(len(inputs), 'sample')}"
            )
        return _diagnose_problem(Problem(subject, loss, parameters, inputs, targets), optimizer)
    if y is not None:
        raise ValueError(
            "diagnose: loss must be a function, not None, if there is y; call "
            "diagnose(model, X, y, loss=nn.hinge)"
        )
    # without samples, an optimiser gives the parameters of a model that has none of its own
    if optimizer is not None and isinstance(subject, Module) and [*subject.named_parameters()]:
        raise ValueError(
            "diagnose: optimizer needs samples, targets and a loss; call "
            "diagnose(model, X, y, loss=..., optimizer=...)"
        )
    state = _state_without_loss(subject, parameters, inputs)
    return _diagnosis(short_repr(subject), layers.state_texts(state), layers.findings(state))


def _diagnosis(subject: str, looked: Iterable[str], found: Iterable[Finding]) -> Diagnosis:
    return Diagnosis(subject, tuple(looked), tuple(found))


def _named_parameters(model: Any, optimizer: Optimizer | None) -> dict[str, Value]:
    """Returns the parameters of the model by name, or else the parameters of the optimiser.

    Raises ValueError if there are none.
    """
    named = dict(model.named_parameters()) if isinstance(model, Module) else {}
    if not named and optimizer is not None:
        names = unique_names([str(parameter.label) for parameter in optimizer.params])
        named = dict(zip(names, optimizer.params))
    if not named:
        raise ValueError(
            f"diagnose: {short_repr(model)} has no parameters; pass a Module that has some, a "
            "History, or optimizer= with the parameters of the model"
        )
    return named


def _state_without_loss(
    model: Any, parameters: Mapping[str, Value], X: Sequence[Any] | None
) -> ModelState:
    """Reads the gradients in ``.grad``, and runs the units on the samples if there are any."""
    gradients = {name: parameter.grad for name, parameter in parameters.items()}
    if X is None:
        return ModelState(gradients)
    X = [X[i] for i in choose_samples(len(X), MAX_SAMPLES)]
    unused = {parameter: name for name, parameter in parameters.items()}
    with recording_model(model):
        for x in X:
            for node in topological_order(*outputs_of(model(x)), constants=False):
                unused.pop(node, None)
    units = activations(model, X)
    return ModelState(gradients, layers=units, unused=tuple(unused.values()))


def _model_state(problem: Problem) -> ModelState:
    """Measures the loss, the gradients and the outputs of the units."""
    loss, gradients, unused = problem.loss_and_rms_gradients()
    units = activations(problem.model, problem.X)
    return ModelState(gradients, loss, problem.constant_loss(), units, unused)


def _affordable(problem: Problem) -> Problem:
    """Returns the problem with as many samples as the model is run on."""
    most = max(MIN_SAMPLES, min(MAX_SAMPLES, MAX_WORK // problem.nodes()))
    return problem.reduced(most)


def _means_text(problem: Problem, count: int) -> str:
    """Returns a sentence about how losses are computed.

    count: the number of all samples.
    """
    used = counted(len(problem.X), "sample")
    if len(problem.X) < count:
        used = f"{len(problem.X)} of {counted(count, 'sample')}, chosen at random"
    return f"these losses are means over {used}, in evaluation mode and without a penalty"


def _diagnose_problem(problem: Problem, optimizer: Optimizer | None) -> Diagnosis:
    """Examines a model with its loss, and tries learning rates if there is an optimiser."""
    count = len(problem.X)
    problem = _affordable(problem)
    state = _model_state(problem)
    has_learned = state.explained >= LEARNED_FRACTION
    looked = [*layers.state_texts(state), _means_text(problem, count)]
    found = [*layers.findings(state, has_learned)]
    if optimizer is not None and not has_learned:
        trials = try_rates(problem, optimizer, optimizer.lr)
        looked.append(_trials_text(trials, "the present parameters", count))
        is_scheduled = not isinstance(optimizer.state_dict()["lr"], float)
        found = [*_trial_findings(trials, is_scheduled), *found]
    return _diagnosis(short_repr(problem.model), looked, found)


def _trial_findings(trials: Trials, is_scheduled: bool) -> Iterator[Finding]:
    """Yields a finding if the learning rate in use is too large or too small.

    is_scheduled: whether it is the first learning rate of a schedule, which may be small.
    """
    rate, best = trials.rate, trials.best
    if best is None or trials.fall(best) < MIN_IMPROVEMENT:
        return
    too_large = best < rate and trials.losses[rate] >= trials.before
    is_slow = trials.fall(rate) < trials.fall(best) / SMALL_RATE_RATIO
    too_small = best >= SMALL_RATE_RATIO * rate and is_slow and not is_scheduled
    if too_large or too_small:
        yield _rate_finding(trials, best, _comparison_text(trials))


def _rate_finding(trials: Trials, best: float, sentence: str) -> Finding:
    """Returns the finding that the learning rate ``best`` is better than the one in use."""
    kind = "learning rate too large" if best < trials.rate else "learning rate too small"
    suggested = rounded_rate(best)
    numbers = {
        "learning_rate": trials.rate,
        "suggested_rate": suggested,
        "before": trials.before,
        "after": trials.losses[trials.rate],
        "after_suggested": trials.losses[best],
    }
    advice = f"Use a learning rate of {suggested:g}."
    return Finding(kind, "learning rate", numbers, sentence, advice)


def _comparison_text(trials: Trials) -> str:
    """Returns a sentence that compares the learning rate in use with the best one."""
    def outcome(rate: float) -> str:
        after = trials.losses[rate]
        return "makes it diverge" if after == math.inf else f"brings it to {after:.4g}"

    best = trials.best
    sentence = (
        f"In {TRIAL_STEPS} trial steps from a loss of {trials.before:.4g}, a learning rate of "
        f"{trials.rate:.3g} {outcome(trials.rate)}"
    )
    if best is None:
        return (
            f"{sentence}. No other learning rate brings it clearly below the loss of a constant "
            "prediction."
        )
    if best == trials.rate:
        return f"{sentence}."
    sentence += f"; a learning rate of {rounded_rate(best):g} {outcome(best)}"
    if trials.steps > TRIAL_STEPS and trials.longer < math.inf:
        sentence += f", and to {trials.longer:.4g} in {trials.steps} steps"
    return f"{sentence}."


def _trials_text(trials: Trials, start: str, count: int) -> str:
    """Returns a sentence about all trials.

    start: the parameters from which they started, in words.
    count: the number of all samples.
    """
    if not trials.best and len(trials.losses) == 1:
        return f"no learning rates, because the gradient at {start} is 0"
    if trials.best is None:
        result = "none lowers the loss clearly below the loss of a constant prediction"
    else:
        result = f"the best is {rounded_rate(trials.best):g}"
    of = f" of {count:,}" if trials.samples < count else ""
    return (
        f"{counted(len(trials.losses), 'learning rate')} from {min(trials.losses):.2g} to "
        f"{max(trials.losses):.2g}, each tried for {TRIAL_STEPS} steps from {start} on a full "
        f"batch of {trials.samples}{of} samples, without penalty, clipping or schedule: {result}"
    )


def _diagnose_history(history: History) -> Diagnosis:
    """Examines the losses of a training run, and the recorded model if there is one."""
    if not history.loss:
        raise ValueError(
            "diagnose: the history has no steps; if fit raised NonFiniteError in the first step, "
            "read its message: it names the operation"
        )
    model = history.training.model if history.training else None
    curve = judgement.curve_of(history, model)
    kind = judgement.verdict(curve) if history.finding is None else history.finding
    subject = f"a training run of {counted(curve.steps, 'step')}"
    looked = [curves.curve_text(curve)]
    loss_findings = [curves.loss_finding(curve, kind)] if kind else []
    record = history.training
    if record is None or not record.snapshots:
        looked.append(
            "not at the model, because it is not in the history; to record it, train with "
            "fit(..., record_every=1)"
        )
        return _diagnosis(subject, looked, loss_findings)
    parameters = dict(zip(record.names, record.parameters))
    problem = Problem(record.model, record.loss, parameters, record.X, record.y)
    problem = _affordable(problem)
    with record.at(record.snapshots[-1], after=True):
        state = _model_state(problem)
    has_learned = state.explained >= LEARNED_FRACTION
    if math.isnan(state.explained):
        has_learned = curve.last <= judgement.CONVERGED_RATIO * curve.first
    found = [*layers.findings(state, has_learned)]
    looked += [f"after the last step, {text}" for text in layers.state_texts(state)]
    looked.append(
        f"{_means_text(problem, len(record.X))}; history.loss[-1], {curve.last_loss:.4g}, is of "
        "the last batch, before the last step, in training mode and with the penalty"
    )
    if has_learned and kind not in TOO_LARGE:
        return _diagnosis(subject, looked, [*loss_findings, *found] if history.finding else found)
    if record.optimizer is not None:
        with record.at(record.snapshots[0]):
            trials = try_rates(problem, record.optimizer, curve.rate, curve.steps)
        looked.append(_trials_text(trials, "the first parameters", len(record.X)))
        with record.at(record.snapshots[-1], after=True):
            end = problem.reduced(trials.samples).loss_and_gradient()[0]
        is_at_baseline = state.explained < BASELINE_MARGIN
        early = min(history.loss[:3])  # the loss of a single batch may be large by chance
        if early > PENALTY_RATIO * abs(trials.before):
            # rates that were tried without the penalty are not to be advised
            loss_findings = [_penalty_finding(early, trials.before), *loss_findings]
        else:
            tried = [*_run_findings(curve, kind, trials, end, is_at_baseline)]
            # what `fit` warned about is a finding in any case
            loss_findings = tried or (loss_findings if history.finding else [])
    return _diagnosis(subject, looked, [*loss_findings, *found])


def _penalty_finding(early: float, before: float) -> Finding:
    """Returns the finding that the loss consists of the penalty.

    early: the lowest loss of the first steps.
    before: the loss without the penalty, before the first step.
    """
    sentence = (
        f"The loss of the first steps is at least {early:.4g}, and without the penalty it is about "
        f"{before:.4g}: the training reduces the penalty, not the errors of the model."
    )
    numbers = {"first": early, "before": before}
    advice = "Divide the factor of the penalty by 1000, or leave the penalty out."
    return Finding("penalty too large", "loss", numbers, sentence, advice)


def _run_findings(
    curve: judgement.Curve, kind: str, trials: Trials, end: float, is_at_baseline: bool
) -> Iterator[Finding]:
    """Yields the finding about the loss or the learning rate of a training run, if there is one.

    kind: what the curve shows; "" for nothing.
    trials: trials of other learning rates from the first parameters of the run.
    end: the last loss of the run, on the samples of the trials.
    is_at_baseline: whether the model is no better than a constant prediction.
    """
    best = trials.best
    if best is not None and trials.fall(best) < MIN_IMPROVEMENT:
        best = None
    margin = MIN_IMPROVEMENT if kind else BETTER_FRACTION
    ended = (
        f"On these samples, the training run ended at {end:.4g} after "
        f"{counted(curve.steps, 'step')}."
    )
    if kind in TOO_LARGE:
        if best and best < trials.rate:
            yield curves.loss_finding(curve, kind, best, f"{_comparison_text(trials)} {ended}")
        elif trials.best and kind in ("loss jumps", "loss oscillates"):
            tried = f"No smaller learning rate that was tried did better in {trials.steps} steps."
            yield curves.loss_finding(curve, kind, None, tried)
        else:
            yield curves.loss_finding(curve, kind)
    elif best and _is_better_rate(curve, trials, best, (1 - margin) * end):
        if kind:
            yield curves.loss_finding(curve, kind, best, _comparison_text(trials))
        else:
            yield _rate_finding(trials, best, f"{_comparison_text(trials)} {ended}")
    elif kind and is_at_baseline:
        yield curves.loss_finding(curve, kind, None, _comparison_text(trials))


def _is_better_rate(curve: judgement.Curve, trials: Trials, best: float, limit: float) -> bool:
    """Returns whether the learning rate ``best`` is clearly better than the one in use.

    It must reach the loss ``limit`` in no more steps than the run had, and be far from the learning
    rate in use.
    """
    is_smaller = best * STABILITY_FACTOR <= trials.rate
    is_larger = best >= SMALL_RATE_RATIO * trials.rate and curve.fall < MIN_TRAINING_FALL
    is_lower = curve.steps >= TRIAL_STEPS and min(trials.losses[best], trials.longer) <= limit
    return is_lower and (is_smaller or is_larger)
