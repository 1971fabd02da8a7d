"""Findings about the layers of a model: dead or saturated units, wrong or missing gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

from ..errors import counted, some
from ..nn.structure import layer_of, module_path, neurons_among
from .findings import Finding
from .inspection import (
    EXPLODING,
    SATURATED,
    VANISHING,
    LayerActivations,
    LayerGradients,
    gradient_flow,
)

# More dead units than this fraction of a layer are a finding.  If all inputs have the same sign,
# about half of the rectifiers start dead, because weights have either sign; such layers do learn.
MAX_DEAD_FRACTION = 0.5
# A larger fraction of outputs at an asymptote is a finding, because a layer at its asymptotes stops
# learning (Glorot and Bengio, 2010, section 3).  In networks trained on moons and XOR, the fraction
# was at most 0.56.
MAX_SATURATION = 0.8
# With fewer samples, units of a trained network can be at an asymptote for every sample.
MIN_SAMPLES = 10


@dataclass(frozen=True)
class ModelState:
    """The measurements of a model from which findings are made.

    gradients: the gradient of each parameter by name, as `backward` left it, or its root mean
        square over the samples (`Problem.loss_and_rms_gradients`).
    loss: the mean loss; None if it is not known.
    constant: the loss of the best constant prediction (`Problem.constant_loss`); None if it is not
        known.
    layers: the outputs of the units; empty if they are not known.
    unused: the names of the parameters that the model does not use.
    """

    gradients: Mapping[str, float]
    loss: float | None = None
    constant: float | None = None
    layers: Sequence[LayerActivations] = ()
    unused: Sequence[str] = ()

    @property
    def explained(self) -> float:
        """1 - loss / (loss of the best constant prediction), or nan if it is not known.

        1 is perfect; 0 or less is no better than a constant.
        """
        if self.loss is None or self.constant is None or not isfinite(self.loss):
            return nan
        return 1 - self.loss / self.constant

    @property
    def samples(self) -> int:
        """The smallest number of samples on which a unit was run."""
        return min((len(unit.outputs) for layer in self.layers for unit in layer.units), default=0)


def state_texts(state: ModelState) -> Iterator[str]:
    """Yields one text for each thing that was examined."""
    flow = gradient_flow(state.gradients)
    source = "left by the last backward pass"
    if state.loss is not None:
        source = f"for the loss of each sample; mean loss {state.loss:.4g}"
    if state.constant is not None:
        source += f" (best constant prediction: {state.constant:.4g})"
    parameters = counted(len(state.gradients), "parameter")
    yield f"the gradients of {parameters} in {counted(len(flow), 'layer')}, {source}"
    if state.layers:
        dead = sum(layer.dead for layer in state.layers)
        saturated = sum(layer.saturated for layer in state.layers)
        units = sum(len(layer.units) for layer in state.layers)
        yield (
            f"the outputs of {counted(units, 'unit')} for {counted(state.samples, 'sample')}: "
            f"{dead} dead, {saturated} saturated on every sample"
        )


# what the playground says, too
DEAD = (
    "{dead} of {units} are dead: for every one of {samples} their {op} outputs 0 and has slope 0. "
    "No gradient passes through them, so they cannot recover."
)
DEAD_ADVICE = (
    'Start again with init="he", biases at 0, inputs scaled by data.Standardiser and a smaller '
    'learning rate; or use activation="leaky_relu", which never dies.'
)
AT_ASYMPTOTE = (
    "{percent:.3g}% of the outputs of {units} units for {samples} are beyond {limit:g} of the way "
    "to an asymptote ({saturated} units on every sample). There the derivative of the activation "
    "is nearly 0, and so is the gradient."
)
ASYMPTOTE_ADVICE = (
    'Start again with smaller weights (init="xavier"), and scale the inputs with data.Standardiser.'
)


def unit_findings(state: ModelState) -> Iterator[Finding]:
    """Yields a finding for each layer whose units are mostly dead, or mostly saturated."""
    for i, layer in enumerate(state.layers):
        units = len(layer.units)
        numbers = {
            "dead": layer.dead,
            "saturated": layer.saturated,
            "units": units,
            "samples": state.samples,
            "saturation": layer.saturation,
        }
        if _is_dead(layer):
            op = next(unit.op for unit in layer.units if unit.dead)
            yield Finding(
                "dead units",
                layer.path,
                numbers,
                DEAD.format(
                    dead=layer.dead,
                    units=counted(units, "unit"),
                    samples=counted(state.samples, "sample"),
                    op=op,
                ),
                DEAD_ADVICE,
            )
        is_last = i == len(state.layers) - 1
        is_known = state.loss is not None or (state.samples >= MIN_SAMPLES and not is_last)
        if layer.saturation > MAX_SATURATION and is_known:
            yield Finding(
                "saturated units",
                layer.path,
                numbers,
                AT_ASYMPTOTE.format(
                    percent=100 * layer.saturation,
                    units=units,
                    samples=counted(state.samples, "sample"),
                    limit=SATURATED,
                    saturated=layer.saturated,
                ),
                ASYMPTOTE_ADVICE,
            )


def _is_dead(layer: LayerActivations) -> bool:
    """Returns whether so many units of the layer are dead that it is a finding."""
    return layer.dead > MAX_DEAD_FRACTION * len(layer.units)


def findings(state: ModelState, has_learned: bool = False) -> Iterator[Finding]:
    """Yields the findings about a model.

    has_learned: whether the model has learned; then only unused parameters are reported.
    """
    yield from unused_findings(state)
    if not has_learned:
        yield from unit_findings(state)
        # without a loss and a backward pass, the gradients say nothing about the units
        if any(state.gradients.values()) or state.loss is not None or not state.layers:
            yield from gradient_findings(state)


def gradient_findings(state: ModelState) -> Iterator[Finding]:
    """Yields findings about gradients that are not finite, explode, vanish, or are 0."""
    flow = gradient_flow(state.gradients)
    total = len(state.gradients)
    # A dead layer explains gradients of 0, and `unit_findings` reports it.
    is_blocked = any(map(_is_dead, state.layers))
    if all(layer.verdict == "zero" for layer in flow):
        if not is_blocked:
            yield _no_gradient_finding(state, total)
        return
    reference = next(layer for layer in reversed(flow) if layer.rms or layer.nonfinite)
    for layer in flow:
        if layer.verdict in _GRADIENT_FINDINGS:
            yield _layer_finding(layer, reference)
    names = [] if is_blocked else _without_gradient(state)
    if names:
        advice = (
            "Use them in __call__ so that the loss depends on them; diagnose(model, X, y, "
            "loss=...) says whether they are in its graph."
        )
        if state.loss is not None:
            advice = (
                "Start again with a smaller learning rate: all paths from them to the loss have a "
                "derivative of 0, because units or the loss itself are flat at these numbers."
            )
        yield Finding(
            "no gradient",
            some(names),
            {"parameters": len(names), "of": total},
            f"{len(names)} of {counted(total, 'parameter')} received no gradient: it is exactly 0 "
            f"for {some(names)}.",
            advice,
        )


def _without_gradient(state: ModelState) -> list[str]:
    """Returns the names of the parameters that are used, but whose group received no gradient.

    The parameters of a group can hardly all have a gradient of 0 by chance.  A single gradient of 0
    is common.  Weights of inactive rectifiers have one, and with a hinge loss the gradient of a
    bias is a sum of terms of either sign, which may cancel.  Therefore whole layers are grouped.
    If it is not known which parameters are in the graph, the attributes of modules other than
    neurons are groups too, because each may be used or not.
    """
    neurons = neurons_among(state.gradients)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in state.gradients:
        path = module_path(name)
        entry = name.removeprefix(f"{path}.")
        attribute = "" if path in neurons or state.layers else entry.partition(".")[0]
        groups.setdefault((layer_of(name, neurons), attribute), []).append(name)
    names: list[str] = []
    for group in groups.values():
        if not any(state.gradients[name] for name in group):
            names += [name for name in group if name not in state.unused]
    return names


def unused_findings(state: ModelState) -> Iterator[Finding]:
    """Yields a finding if the model does not use some of its parameters."""
    if state.unused:
        n = len(state.unused)
        total = len(state.gradients)
        yield Finding(
            "unused parameters",
            some(state.unused),
            {"parameters": n, "of": total},
            f"{n} of {counted(total, 'parameter')} are not in the graph of the model's output, or "
            f"of the loss, so no gradient can reach them: {some(state.unused)}.",
            "Use them in __call__, as Values (not through .data, float() or no_grad), or remove "
            "them.",
        )


def _no_gradient_finding(state: ModelState, total: int) -> Finding:
    """Returns the finding that all gradients are 0."""
    if state.loss is None:
        sentence = (
            f"The gradients of all {counted(total, 'parameter')} are 0: no backward pass was run "
            "since zero_grad(), or the loss does not depend on them, or every sample is beyond the "
            "margin of a hinge loss."
        )
        advice = (
            "Call loss.backward() first, or pass the samples: diagnose(model, X, y, loss=...)."
        )
    else:
        sentence = (
            f"The loss is {state.loss:.4g}, but its gradient with respect to all "
            f"{counted(total, 'parameter')} is 0, for every sample."
        )
        advice = (
            "Compute the loss from the prediction with operators and functions of "
            "tinygrad_edu.math, not with .data, float(), step, sign or a comparison, whose "
            "derivatives are 0."
        )
    numbers = {"parameters": total, "of": total}
    return Finding("no gradient", "all parameters", numbers, sentence, advice)


def _layer_finding(layer: LayerGradients, last: LayerGradients) -> Finding:
    """Returns the finding about the gradients of a layer.

    last: the last layer that has a gradient.
    """
    kind, sentence, advice = _GRADIENT_FINDINGS[layer.verdict]
    numbers = {
        "rms": layer.rms,
        "last_rms": last.rms,
        "parameters": layer.count,
        "nonfinite": layer.nonfinite,
    }
    found = (
        f"The root mean square of its gradients is {layer.rms:.2g}, compared with {last.rms:.2g} "
        "in the last layer that has a gradient:"
    )
    if layer.nonfinite:
        found = f"{layer.nonfinite} of {counted(layer.count, 'gradient')}"
    return Finding(kind, layer.path or "model", numbers, f"{found} {sentence}", advice)


# from the verdict on a layer to the kind, the end of the sentence and the advice of the finding
_GRADIENT_FINDINGS = {
    "not finite": (
        "gradient not finite",
        "are inf or nan.",
        "Call explain_nonfinite(loss) to find the operation that they came from, or train inside "
        "detect_anomaly().",
    ),
    "exploding": (
        "exploding gradient",
        f"it explodes (above {EXPLODING:g}, or {EXPLODING:g} times the last layer's).",
        "Scale inputs and targets to about 1 (data.Standardiser), start again with smaller weights "
        '(init="xavier", for relu "he"), or clip the gradients: fit(..., max_norm=1).',
    ),
    "vanishing": (
        "vanishing gradient",
        f"it vanishes (below {VANISHING:g} times the last layer's), and the layer hardly learns.",
        'Use relu with init="he", or tanh with init="xavier", instead of sigmoid, and no more '
        "layers than needed.",
    ),
}
