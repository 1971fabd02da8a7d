"""Findings about the layers: units that cannot learn, gradients that do not arrive."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engine.graph import topological_order
from ..engine.value import Value
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

# A layer of rectifiers whose inputs all have one sign begins with about half of its units dead,
# because their weights have either sign, and learns nevertheless.  More than half are a finding.
DEAD = 0.5
# Trained networks keep their units away from the asymptotes for many samples: in tests, of moons
# and XOR, at most 0.56 of a layer's outputs were there.  That a layer at its asymptotes stops
# learning: Glorot and Bengio (2010), section 3.
SATURATION = 0.8
# With fewer samples, units of a trained network can be at an asymptote for every sample.
MIN_SAMPLES = 10


@dataclass(frozen=True)
class ModelState:
    """What is known of a model.

    gradients   the gradient of each parameter by name: its size for single samples
                (`Problem.measured_singly`), or what `backward` left
    loss        the mean loss; None if it is not known
    constant    the loss of a constant prediction (`Problem.constant_loss`); None if it is not known
    layers      the outputs of the units
    unused      the names of parameters that the model does not use
    """

    gradients: Mapping[str, float]
    loss: float | None = None
    constant: float | None = None
    layers: Sequence[LayerActivations] = ()
    unused: Sequence[str] = ()

    @property
    def explained(self) -> float | None:
        """1 - loss / (loss of the best constant prediction).  1 is perfect; 0 or less is no better
        than a constant."""
        if self.loss is None or self.constant is None or not math.isfinite(self.loss):
            return None
        return 1 - self.loss / self.constant

    @property
    def samples(self) -> int:
        """The smallest number of samples on which a unit was run."""
        return min((len(unit.outputs) for layer in self.layers for unit in layer.units), default=0)


def unused_parameters(results: Iterable[Any], parameters: Mapping[str, Value]) -> tuple[str, ...]:
    """Returns the names of the parameters that no graph of the results contains.  A result is a
    Value, a number or a list of them."""
    left = {parameter: name for name, parameter in parameters.items()}
    for result in results:
        roots = result if isinstance(result, (list, tuple)) else [result]
        values = [root for root in roots if isinstance(root, Value)]
        for node in topological_order(*values, constants=False):
            left.pop(node, None)
    return tuple(left.values())


def looked_at(state: ModelState) -> Iterator[str]:
    """Yields one sentence for each thing that was examined."""
    flow = gradient_flow(state.gradients)
    source = "left by the last backward pass"
    if state.loss is not None:
        source = f"of the loss for single samples, on average {state.loss:.4g}"
    if state.constant is not None:
        source += f" (of a constant prediction: {state.constant:.4g})"
    parameters = counted(len(state.gradients), "parameter")
    yield f"the gradients of {parameters} in {counted(len(flow), 'layer')}, {source}"
    if state.layers:
        dead = sum(layer.dead for layer in state.layers)
        saturated = sum(layer.saturated for layer in state.layers)
        units = sum(len(layer.units) for layer in state.layers)
        yield (
            f"the outputs of {counted(units, 'unit')} for {counted(state.samples, 'sample')}: "
            f"{dead} dead, {saturated} saturated on every one"
        )


def of_units(state: ModelState) -> Iterator[Finding]:
    """Yields a finding for each layer most of whose units are dead or saturated."""
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
                f"{layer.dead} of {counted(units, 'unit')} are dead: for every one of "
                f"{counted(state.samples, 'sample')} their {op} outputs 0 and has slope 0. "
                "No gradient passes through them, so they cannot recover.",
                'Start again with init="he", biases at 0, inputs scaled by data.Standardiser and '
                'a smaller learning rate; or use activation="leaky_relu", which never dies.',
            )
        is_last = i == len(state.layers) - 1
        is_known = state.loss is not None or (state.samples >= MIN_SAMPLES and not is_last)
        if layer.saturation > SATURATION and is_known:
            yield Finding(
                "saturated units",
                layer.path,
                numbers,
                f"{100 * layer.saturation:.3g} % of the outputs of {units} units for "
                f"{counted(state.samples, 'sample')} are beyond {SATURATED} of the way to an "
                f"asymptote ({layer.saturated} units on every sample), where slope and gradient "
                "are nearly 0.",
                'Start with smaller weights (init="xavier"), and scale the inputs with '
                'data.Standardiser.',
            )


def _is_dead(layer: LayerActivations) -> bool:
    return layer.dead > DEAD * len(layer.units)


def of_gradients(state: ModelState) -> Iterator[Finding]:
    """Yields findings about gradients that are not finite, explode, vanish, or are 0."""
    flow = gradient_flow(state.gradients)
    total = len(state.gradients)
    # which `of_units` reports, and which explains gradients of 0
    blocked = any(map(_is_dead, state.layers))
    if all(layer.verdict == "zero" for layer in flow):
        if not blocked:
            yield _no_gradient_at_all(state, total)
        return
    reference = next(layer for layer in reversed(flow) if layer.rms or layer.nonfinite)
    for layer in flow:
        finding = _of_layer(layer, reference)
        if finding:
            yield finding
    names = [] if blocked else _without_gradient(state)
    if names:
        advice = (
            "Let __call__ use them in a way that reaches the loss; diagnose(model, X, y, loss=...) "
            "tells whether they are in its graph."
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
            f"for all of {some(names)}.",
            advice,
        )


def _without_gradient(state: ModelState) -> list[str]:
    """Returns the names of parameters that are used, but whose group received no gradient."""
    names: list[str] = []
    for group in _groups(state):
        if not any(state.gradients[name] for name in group):
            names += [name for name in group if name not in state.unused]
    return names


def of_unused(state: ModelState, total: int) -> Iterator[Finding]:
    """Yields a finding if the model does not use some parameters."""
    if state.unused:
        n = len(state.unused)
        yield Finding(
            "unused parameters",
            some(state.unused),
            {"parameters": n, "of": total},
            f"{n} of {counted(total, 'parameter')} are not in the graph of the model's output, or "
            f"of the loss, so no gradient can reach them: {some(state.unused)}.",
            "Use them in __call__, as Values (not through .data, float() or no_grad), or remove "
            "them.",
        )


def _no_gradient_at_all(state: ModelState, total: int) -> Finding:
    if state.loss is None:
        sentence = (
            f"The gradients of all {counted(total, 'parameter')} are 0: no backward pass was made "
            "since zero_grad(), or the loss does not depend on them, or every sample is beyond the "
            "margin of a hinge loss."
        )
        advice = (
            "Call loss.backward() first, or give diagnose the data: "
            "diagnose(model, X, y, loss=...)."
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


def _of_layer(layer: LayerGradients, last: LayerGradients) -> Finding | None:
    where = layer.path or "model"
    numbers = {
        "rms": layer.rms,
        "last_rms": last.rms,
        "parameters": layer.count,
        "nonfinite": layer.nonfinite,
    }
    compared = (
        f"The root of the mean square of its gradients is {layer.rms:.2g}, compared with "
        f"{last.rms:.2g} in the last layer that has any"
    )
    if layer.verdict == "not finite":
        return Finding(
            "gradient not finite",
            where,
            numbers,
            f"{layer.nonfinite} of {counted(layer.count, 'gradient')} are inf or nan.",
            "Call explain_nonfinite(loss) to find the operation that it began with, or train "
            "within detect_anomaly().",
        )
    if layer.verdict == "exploding":
        return Finding(
            "exploding gradient",
            where,
            numbers,
            f"{compared}: it explodes (above {EXPLODING:g}, or {EXPLODING:g} times the last "
            "layer's).",
            "Scale inputs and targets to about 1 (data.Standardiser), start with smaller weights "
            '(init="xavier", for relu "he"), or clip: fit(..., max_norm=1).',
        )
    if layer.verdict == "vanishing":
        return Finding(
            "vanishing gradient",
            where,
            numbers,
            f"{compared}: it vanishes (below {VANISHING:g} of it), and the layer hardly learns.",
            'Take relu with init="he" or tanh with init="xavier", not sigmoid, and no more layers '
            'than needed.',
        )
    return None


def _groups(state: ModelState) -> Iterable[list[str]]:
    """Returns groups of parameters that can hardly all have a gradient of 0 by chance.

    Single weights have a gradient of 0 in every network of rectifiers, because some are inactive.
    The gradient of a bias under a hinge loss is a sum of equally many terms of either sign.  So
    whole layers are grouped.  If it is not known which parameters are in the graph, the attributes
    of modules other than neurons are groups too, because each may be used or not.
    """
    neurons = neurons_among(state.gradients)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in state.gradients:
        path = module_path(name)
        entry = name[len(path) + 1:] if path else name
        attribute = "" if path in neurons or state.layers else entry.partition(".")[0]
        groups.setdefault((layer_of(name, neurons), attribute), []).append(name)
    return groups.values()
