"""What is wrong inside a model: units that cannot learn, gradients that do not arrive."""

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
# since their weights are of either sign, and learns all the same.  More than half are a reason to
# worry.
DEAD = 0.5
# Trained networks keep their units away from the asymptotes for many samples: in tests, of moons
# and XOR, at most 0.56 of a layer's outputs were there.  That a layer at its asymptotes stops
# learning: Glorot and Bengio (2010), section 3.
SATURATION = 0.8
# with fewer samples, units of a trained network may well be at an asymptote for all of them
FEW = 10


@dataclass(frozen=True)
class Inside:
    """What is known of a model.

    gradients   of each parameter by name: their size for single samples
                (`Problem.measured_singly`), or what `backward` left
    loss        the mean of those that they are the gradients of; None if that is not known
    constant    the loss of a constant prediction (`Problem.constant_loss`); None if that is not
                known
    layers      the outputs of its units
    unused      the names of parameters that it does not use
    """

    gradients: Mapping[str, float]
    loss: float | None = None
    constant: float | None = None
    layers: Sequence[LayerActivations] = ()
    unused: Sequence[str] = ()

    @property
    def explained(self) -> float | None:
        """How much less the loss is than that of a constant: 1 is perfect, 0 is what a constant
        has, and a bad model less."""
        if self.loss is None or self.constant is None or not math.isfinite(self.loss):
            return None
        return 1 - self.loss / self.constant

    @property
    def samples(self) -> int:
        """On how many samples the units were seen, at least."""
        return min((len(unit.outputs) for layer in self.layers for unit in layer.units), default=0)


def unused_parameters(results: Iterable[Any], parameters: Mapping[str, Value]) -> tuple[str, ...]:
    """The names of the parameters that are in the graph of none of the results: Values, numbers or
    lists of them."""
    left = {parameter: name for name, parameter in parameters.items()}
    for result in results:
        roots = result if isinstance(result, (list, tuple)) else [result]
        values = [root for root in roots if isinstance(root, Value)]
        for node in topological_order(*values, constants=False):
            left.pop(node, None)
    return tuple(left.values())


def looked_at(inside: Inside) -> Iterator[str]:
    """What there was to see, in words."""
    flow = gradient_flow(inside.gradients)
    source = "left by the last backward pass"
    if inside.loss is not None:
        source = f"of the loss for single samples, on average {inside.loss:.4g}"
    if inside.constant is not None:
        source += f" (of a constant prediction: {inside.constant:.4g})"
    parameters = counted(len(inside.gradients), "parameter")
    yield f"the gradients of {parameters} in {counted(len(flow), 'layer')}, {source}"
    if inside.layers:
        dead = sum(layer.dead for layer in inside.layers)
        saturated = sum(layer.saturated for layer in inside.layers)
        units = sum(len(layer.units) for layer in inside.layers)
        yield (
            f"the outputs of {counted(units, 'unit')} for {counted(inside.samples, 'sample')}: "
            f"{dead} dead, {saturated} saturated on every one"
        )


def of_units(inside: Inside) -> Iterator[Finding]:
    """Layers most of whose units are dead or saturated."""
    for i, layer in enumerate(inside.layers):
        units = len(layer.units)
        numbers = {
            "dead": layer.dead,
            "saturated": layer.saturated,
            "units": units,
            "samples": inside.samples,
            "saturation": layer.saturation,
        }
        if _is_dead(layer):
            op = next(unit.op for unit in layer.units if unit.dead)
            yield Finding(
                "dead units",
                layer.path,
                numbers,
                f"{layer.dead} of {counted(units, 'unit')} are dead: for every one of "
                f"{counted(inside.samples, 'sample')} their {op} puts out 0 with a slope of 0, "
                "so that no gradient passes through them, and they cannot come back.",
                'Start afresh with init="he", biases at 0, inputs scaled by data.Standardiser and '
                'a smaller learning rate; or take activation="leaky_relu", which never dies.',
            )
        is_last = i == len(inside.layers) - 1
        is_known = inside.loss is not None or (inside.samples >= FEW and not is_last)
        if layer.saturation > SATURATION and is_known:
            yield Finding(
                "saturated units",
                layer.path,
                numbers,
                f"{100 * layer.saturation:.3g} % of the outputs of {units} units for "
                f"{counted(inside.samples, 'sample')} are beyond {SATURATED} of the way to an "
                f"asymptote ({layer.saturated} units on every sample), where the slope is next to "
                "0 and so is the gradient.",
                'Start with smaller weights (init="xavier"), and scale the inputs with '
                'data.Standardiser.',
            )


def _is_dead(layer: LayerActivations) -> bool:
    return layer.dead > DEAD * len(layer.units)


def of_gradients(inside: Inside) -> Iterator[Finding]:
    """Gradients that are not finite, explode, vanish, or do not arrive at all."""
    flow = gradient_flow(inside.gradients)
    total = len(inside.gradients)
    # which `of_units` reports, and which explains gradients of 0
    blocked = any(map(_is_dead, inside.layers))
    if all(layer.verdict == "zero" for layer in flow):
        if not blocked:
            yield _no_gradient_at_all(inside, total)
        return
    reference = next(layer for layer in reversed(flow) if layer.rms or layer.nonfinite)
    for layer in flow:
        finding = _of_layer(layer, reference)
        if finding:
            yield finding
    names = [] if blocked else _without_gradient(inside)
    if names:
        advice = (
            "Let __call__ use them in a way that reaches the loss; diagnose(model, X, y, loss=...) "
            "tells whether they are in its graph."
        )
        if inside.loss is not None:
            advice = (
                "Start afresh with a smaller learning rate: all paths from them to the loss have "
                "a derivative of 0, since units or the loss itself are where they are flat."
            )
        yield Finding(
            "no gradient",
            some(names),
            {"parameters": len(names), "of": total},
            f"{len(names)} of {counted(total, 'parameter')} received no gradient: it is exactly 0 "
            f"for all of {some(names)}.",
            advice,
        )


def _without_gradient(inside: Inside) -> list[str]:
    """Names of parameters of groups that are used, but received no gradient at all."""
    names: list[str] = []
    for group in _groups(inside):
        if not any(inside.gradients[name] for name in group):
            names += [name for name in group if name not in inside.unused]
    return names


def of_unused(inside: Inside, total: int) -> Iterator[Finding]:
    """Parameters that the model does not use."""
    if inside.unused:
        n = len(inside.unused)
        yield Finding(
            "unused parameters",
            some(inside.unused),
            {"parameters": n, "of": total},
            f"{n} of {counted(total, 'parameter')} are not in the graph of the model's output, or "
            f"of the loss, so that no gradient can reach them: {some(inside.unused)}.",
            "Use them in __call__, as Values (not through .data, float() or no_grad), or remove "
            "them.",
        )


def _no_gradient_at_all(inside: Inside, total: int) -> Finding:
    if inside.loss is None:
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
            f"The loss is {inside.loss:.4g}, but its gradient by every one of "
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
        f"The root of the mean square of its gradients is {layer.rms:.2g}, beside {last.rms:.2g} "
        "in the last layer that has any"
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


def _groups(inside: Inside) -> Iterable[list[str]]:
    """Names of parameters whose gradients, if all are exactly 0, did not just happen to be.

    Single weights have a gradient of 0 in every network of rectifiers, since some are inactive; and
    that of a bias under a hinge loss is a sum of equally many terms of either sign.  Whole layers
    are grouped; and where it is not known which parameters are in the graph, of modules that are no
    neurons also the attributes, which are used or not each for itself.
    """
    neurons = neurons_among(inside.gradients)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in inside.gradients:
        path = module_path(name)
        entry = name[len(path) + 1:] if path else name
        attribute = "" if path in neurons or inside.layers else entry.partition(".")[0]
        groups.setdefault((layer_of(name, neurons), attribute), []).append(name)
    return groups.values()
