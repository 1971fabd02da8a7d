"""`diagnose`: finds out why a model does not learn, with numbers and one sentence of advice for
each finding.

    >>> from tinygrad_edu import data, fit, nn, optim
    >>> X, y = data.moons(40, rng=0)
    >>> model = nn.MLP(2, [8, 1], "tanh", rng=1)
    >>> optimizer = optim.SGD(model.parameters(), lr=1e-5)
    >>> history = fit(model, nn.hinge, X, y, optimizer=optimizer, epochs=20, record_every=1)
    >>> finding, = diagnose(history)
    >>> finding.kind, finding.numbers["suggested_rate"]
    ('loss stands still', 1.0)
    >>> print(finding.advice)
    Begin again with a learning rate of 1.

It reports what keeps a model from learning: two dead units among sixteen are counted, but become a
finding only if they are more than half of a layer.  The limits are named constants with their
reasons in `layers`, `curves` and `trials`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..engine.value import Value
from ..errors import counted, short_repr
from ..nn.module import Module
from ..optim import Optimizer
from ..train import History
from ..train.snapshots import unique_names
from . import curves, layers
from .findings import Diagnosis, Finding, rounded
from .inspection import activations, check_model, entries
from .layers import ModelState
from .trials import (
    BASELINE_MARGIN,
    STABILITY_FACTOR,
    TRIAL_STEPS,
    Problem,
    Trials,
    chosen,
    recorded,
    try_rates,
)

SAMPLES = 128  # the model is run on at most this many
LEARNED_FRACTION = 0.9  # a model has learned if its inputs explain this part of the loss
# The relative fall of the loss in a trial; below it the rate is no improvement.
MIN_IMPROVEMENT = 0.1
# A rate is better if its trial ends lower than the whole training run by this part of the loss.
BETTER_FRACTION = 0.25
MIN_TRAINING_FALL = 0.1  # relative fall of the loss; below it the rate may be too small
SMALL_RATE_RATIO = 10.0  # a rate is too small if the best rate is this many times larger


def diagnose(
    subject: Any,
    X: Iterable[Any] | None = None,
    y: Iterable[Any] | None = None,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    optimizer: Optimizer | None = None,
) -> Diagnosis:
    """Finds what keeps a model from learning, and returns it with advice.

    ``diagnose(model)``                        the gradients that the last backward pass left, layer
                                               by layer: vanishing, exploding, not finite;
                                               parameters that received none
    ``diagnose(model, X)``                     also dead and saturated units, and parameters that
    the model does not use
    ``diagnose(model, X, y, loss=nn.hinge)``   computes the gradients itself, of the loss of each
                                               sample, and compares the loss with that of a
                                               constant prediction
    the same with ``optimizer=optimizer``      also tries learning rates from the present parameters
    (`trials.try_rates`)
    ``diagnose(history)``                      a loss that diverges, stands still, oscillates or is
                                               not finite.  After ``fit(..., record_every=...)``
                                               also all of the above at the end of the training, and
                                               learning rates tried from the parameters that it
                                               began with

    A model is a `Module`, or any callable together with ``optimizer=``, whose parameters are then
    looked at.  At most `SAMPLES` samples are used, chosen at random but always the same ones.  The
    model runs in evaluation mode.  Data, gradients and modes are afterwards what they were, and no
    random numbers are drawn.  A penalty is not part of the loss.

    What is healthy gives no findings; see `Diagnosis` for what is returned.

    Raises TypeError for a subject that is neither, ValueError for a history without steps, samples
    without targets, or whatever else is missing.  What the model or the loss raises passes through.
    """
    if isinstance(subject, History):
        if any(given is not None for given in (X, y, loss, optimizer)):
            raise TypeError(
                "diagnose(history) takes nothing else: a history from fit(..., record_every=1) has "
                "the model, the samples and the loss"
            )
        return _of_history(subject)
    check_model(subject)
    parameters = _parameters(subject, optimizer)
    if X is None:
        if y is not None or loss is not None:
            raise ValueError("y and loss need samples: diagnose(model, X, y, loss=nn.hinge)")
        _check_unused(subject, optimizer)
        return _of_gradients(subject, parameters)
    inputs = entries(X, "X", "samples: a list of what the model takes")
    if not inputs:
        raise ValueError("X has no samples; give at least one")
    if loss is None:
        if y is not None:
            raise ValueError("y needs a loss: diagnose(model, X, y, loss=nn.hinge)")
        _check_unused(subject, optimizer)
        return _of_units(subject, parameters, inputs)
    targets = None if y is None else entries(y, "y", "targets: one for each sample")
    if targets is None or len(targets) != len(inputs):
        raise ValueError(
            f"{len(inputs)} samples but {len(targets or ())} targets; give one target for each "
            "sample"
        )
    return _of_problem(Problem(subject, loss, parameters, inputs, targets), optimizer)


def _check_unused(model: Any, optimizer: Optimizer | None) -> None:
    """Raises ValueError if an optimiser was given that would not be used at all."""
    has_own = isinstance(model, Module) and any(True for _ in model.named_parameters())
    if optimizer is not None and has_own:
        raise ValueError(
            "trying the learning rates of optimizer= needs samples, targets and a loss: "
            "diagnose(model, X, y, loss=..., optimizer=...)"
        )


def _parameters(model: Any, optimizer: Optimizer | None) -> dict[str, Value]:
    named = dict(model.named_parameters()) if isinstance(model, Module) else {}
    if not named and optimizer is not None:
        names = unique_names([str(parameter.label) for parameter in optimizer.params])
        named = dict(zip(names, optimizer.params))
    if not named:
        raise ValueError(
            f"diagnose: {short_repr(model)} has no parameters to look at; pass a Module that has "
            "some, a "
            "History, or optimizer= with the parameters of the model"
        )
    return named


def _of_gradients(model: Any, parameters: Mapping[str, Value]) -> Diagnosis:
    state = ModelState({name: parameter.grad for name, parameter in parameters.items()})
    looked = tuple(layers.looked_at(state))
    return Diagnosis(short_repr(model), looked, tuple(layers.of_gradients(state)))


def _of_units(model: Any, parameters: Mapping[str, Value], X: Sequence[Any]) -> Diagnosis:
    X = [X[i] for i in chosen(len(X), SAMPLES)]
    with recorded(model):
        unused = layers.unused_parameters(map(model, X), parameters)
    state = ModelState(
        {name: parameter.grad for name, parameter in parameters.items()},
        layers=activations(model, X),
        unused=unused,
    )
    found = [*layers.of_unused(state, len(parameters)), *layers.of_units(state)]
    if any(state.gradients.values()):
        found += layers.of_gradients(state)
    return Diagnosis(short_repr(model), tuple(layers.looked_at(state)), tuple(found))


def _model_state(problem: Problem) -> ModelState:
    value, gradients = problem.measured_singly()
    with recorded(problem.model):
        unused = layers.unused_parameters(problem.losses(), problem.parameters)
    return ModelState(
        dict(zip(problem.parameters, gradients)),
        loss=value,
        constant=problem.constant_loss(),
        layers=activations(problem.model, problem.X),
        unused=unused,
    )


def _model_findings(state: ModelState, has_learned: bool) -> list[Finding]:
    """Returns the findings about the layers.  For a model that has learned, only unused
    parameters are reported."""
    unused = list(layers.of_unused(state, len(state.gradients)))
    if has_learned:
        return unused
    return [*unused, *layers.of_units(state), *layers.of_gradients(state)]


def _of_problem(problem: Problem, optimizer: Optimizer | None) -> Diagnosis:
    problem = problem.few(SAMPLES)
    state = _model_state(problem)
    has_learned = state.explained is not None and state.explained >= LEARNED_FRACTION
    looked = list(layers.looked_at(state))
    found = _model_findings(state, has_learned)
    if optimizer is not None and not has_learned:
        trials = try_rates(problem, optimizer, optimizer.lr)
        looked.append(_trials_text(trials, "the present parameters"))
        # a rate that grows may well be small at first
        scheduled = not isinstance(optimizer.state_dict()["lr"], float)
        found = [*_of_trials(trials, scheduled), *found]
    return Diagnosis(short_repr(problem.model), tuple(looked), tuple(found))


def _of_trials(trials: Trials, scheduled: bool) -> Iterator[Finding]:
    """Yields a finding if the learning rate in use is too large or too small."""
    rate, best = trials.rate, trials.best
    if best is None or trials.fall(best) < MIN_IMPROVEMENT:
        return
    too_large = best < rate and trials.losses[rate] >= trials.before
    is_slow = trials.fall(rate) < trials.fall(best) / SMALL_RATE_RATIO
    too_small = best >= SMALL_RATE_RATIO * rate and is_slow and not scheduled
    if too_large or too_small:
        yield _of_rate(trials, best, _comparison_text(trials))


def _of_rate(trials: Trials, best: float, sentence: str) -> Finding:
    kind = "learning rate too large" if best < trials.rate else "learning rate too small"
    suggested = rounded(best)
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
    def outcome(rate: float) -> str:
        after = trials.losses[rate]
        return "makes it diverge" if after == math.inf else f"brings it to {after:.4g}"

    best = trials.best
    sentence = (
        f"In {TRIAL_STEPS} trial steps from a loss of {trials.before:.4g}, a learning rate of "
        f"{trials.rate:.3g} {outcome(trials.rate)}"
    )
    if best is None:
        return f"{sentence}. No other brings it clearly below the loss of a constant prediction."
    if best == trials.rate:
        return f"{sentence}."
    return f"{sentence}, one of {rounded(best):g} {outcome(best)}."


def _trials_text(trials: Trials, start: str) -> str:
    if trials.best is None:
        result = "none lowers the loss clearly below that of a constant prediction"
    else:
        result = f"{rounded(trials.best):g} would do"
    return (
        f"{counted(len(trials.losses), 'learning rate')} from {min(trials.losses):.2g} to "
        f"{max(trials.losses):.2g}, each tried for {TRIAL_STEPS} steps from {start} on "
        f"{counted(trials.samples, 'sample')}: {result}"
    )


def _of_history(history: History) -> Diagnosis:
    if not history.loss:
        raise ValueError(
            "the history has no steps, so there is nothing to diagnose; if fit raised "
            "NonFiniteError in the first step, its message names the operation"
        )
    curve = curves.curve_of(history)
    kind = curves.verdict(curve)
    subject = f"a training of {counted(curve.steps, 'step')}"
    looked = [curves.looked_at(curve)]
    record = history.training
    if record is None or not record.snapshots:
        looked.append(
            "nothing of the model, which the history does not have: train with fit(..., "
            "record_every=1)"
        )
        return Diagnosis(subject, tuple(looked), (curves.of_curve(curve, kind),) if kind else ())
    parameters = dict(zip(record.names, record.parameters))
    problem = Problem(record.model, record.loss, parameters, record.X, record.y).few(SAMPLES)
    with record.at(record.snapshots[-1], after=True):
        state = _model_state(problem)
    explained = state.explained
    if explained is None:
        has_learned = curve.last <= curves.CONVERGED * curve.first
    else:
        has_learned = explained >= LEARNED_FRACTION
    found = _model_findings(state, has_learned)
    looked += [f"after the last step {look}" for look in layers.looked_at(state)]
    if has_learned:
        return Diagnosis(subject, tuple(looked), tuple(found))
    ignorant = explained is not None and explained < BASELINE_MARGIN
    is_slow = curve.fall < MIN_TRAINING_FALL
    if record.optimizer is not None and (kind or found or ignorant or is_slow):
        with record.at(record.snapshots[0]):
            trials = try_rates(problem, record.optimizer, curve.rate)
        looked.append(_trials_text(trials, "the first parameters"))
        with record.at(record.snapshots[-1], after=True):
            end = problem.few(trials.samples).measured()[0]
        found = [*_of_tried(curve, kind, trials, end, explained), *found]
    elif kind:
        found = [curves.of_curve(curve, kind), *found]
    return Diagnosis(subject, tuple(looked), tuple(found))


def _of_tried(
    curve: curves.Curve, kind: str, trials: Trials, end: float, explained: float | None
) -> Iterator[Finding]:
    """Yields what is wrong with a training run, given what ten steps at other learning rates make
    of its first parameters.

    ``end`` is the last loss of the run, on the samples of the trials; ``explained`` is the part of
    the loss that the inputs explain.
    """
    best = trials.best
    if best is not None and trials.fall(best) < MIN_IMPROVEMENT:
        best = None
    margin = MIN_IMPROVEMENT if kind else BETTER_FRACTION
    if kind in ("loss diverges", "loss oscillates", "loss not finite"):
        if best and best < trials.rate:
            yield curves.of_curve(curve, kind, rounded(best), _comparison_text(trials))
        else:
            yield curves.of_curve(curve, kind)
    elif best and _does_better(curve, trials, best, (1 - margin) * end):
        if kind:
            yield curves.of_curve(curve, kind, rounded(best), _comparison_text(trials))
        else:
            ended = f"The {curve.steps} steps of the training ended at {end:.4g}."
            yield _of_rate(trials, best, f"{_comparison_text(trials)} {ended}")
    elif kind and explained is not None and explained < BASELINE_MARGIN:
        yield curves.of_curve(curve, kind, None, _comparison_text(trials))


def _does_better(curve: curves.Curve, trials: Trials, best: float, limit: float) -> bool:
    """Returns whether the best rate of the trials reached ``limit`` in fewer steps than the run,
    and is far from the rate in use."""
    is_smaller = best * STABILITY_FACTOR <= trials.rate
    is_larger = best >= SMALL_RATE_RATIO * trials.rate and curve.fall < MIN_TRAINING_FALL
    is_lower = curve.steps >= TRIAL_STEPS and trials.losses[best] <= limit
    return is_lower and (is_smaller or is_larger)
