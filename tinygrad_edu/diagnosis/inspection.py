"""What goes on inside a model, layer by layer: the gradients of its parameters, the outputs of its
units.

    >>> from tinygrad_edu import nn
    >>> model = nn.MLP(2, [4, 4, 1], "tanh", rng=1)
    >>> nn.hinge(model([0.5, -1.0]), 1).backward()
    >>> [(layer.path, layer.count, layer.verdict) for layer in gradient_flow(model)]
    [('layers.0', 12, 'fine'), ('layers.1', 20, 'fine'), ('layers.2', 5, 'fine')]
    >>> layers = activations(model, [[0.5, -1.0], [2.0, 1.0]])
    >>> [(layer.path, len(layer.units), layer.saturated) for layer in layers]
    [('layers.0', 4, 0), ('layers.1', 4, 0), ('layers.2', 1, 0)]

These are numbers to look at; `diagnose` says which of them are a reason to worry, and `viz.plots`
draws them.  Nothing here changes a parameter or a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engine.graph import topological_order
from ..engine.interpreter import recording
from ..engine.value import Value
from ..errors import number, short_repr
from ..nn.module import Module, mode
from ..nn.structure import ACTIVATION_ROWS, find_modules, layer_of, layer_path, neurons_among

VANISHING = 1e-3  # of the last layer's rms: see `gradient_flow`
EXPLODING = 1e3  # times the last layer's rms, or in itself
SATURATED = 0.99  # of the way to the asymptote of a sigmoid-shaped activation

# For an activation with two asymptotes, the number half-way between them, and how far they are.
_MIDDLE_AND_REACH = {
    "tanh": (0.0, 1.0),
    "softsign": (0.0, 1.0),
    "hardtanh": (0.0, 1.0),
    "sigmoid": (0.5, 0.5),
}


# ---- gradients by layer --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LayerGradients:
    """The magnitudes of the gradients of one layer's parameters.

    path               the path of the layer, ``layers.0``; "" for parameters of the model itself
    count              how many parameters it has
    zeros, nonfinite   how many of their gradients are exactly 0; how many are nan or infinite
    low, median, high  the 5th, 50th and 95th percentile of the others' magnitudes, 0.0 if there are
                       none
    rms                the root of the mean square of all that are finite, zeros included
    verdict            "fine", "vanishing", "exploding", "zero" or "not finite": see `gradient_flow`
    """

    path: str
    count: int
    zeros: int
    nonfinite: int
    low: float
    median: float
    high: float
    rms: float
    verdict: str


def gradient_flow(
    parameters: Module | Mapping[str, Any] | Iterable[Value],
) -> tuple[LayerGradients, ...]:
    """The gradients that a backward pass left in the parameters, layer by layer, in the order of
    the parameters.

    ``parameters`` is a `Module`; or a mapping from names to gradients, or to parameters; or
    labelled parameters.  Layers are found from the names, by `nn.structure.layer_of`.

        >>> gradients = {"layers.0.neurons.3.w.1": 1.0, "encoder.W.0.5": 1.0, "slope": 1.0}
        >>> [layer.path for layer in gradient_flow(gradients)]
        ['layers.0', 'encoder', '']

    The verdicts compare each layer with the last one that has a gradient, where backpropagation
    comes from.  A layer is "vanishing" if its rms is below `VANISHING` (1e-3) of that layer's,
    "exploding" if it is above `EXPLODING` (1e3) of it, or above 1e3 in itself, so that a step at a
    learning rate of 1e-3 moves its parameters by 1 and more; "zero" if all its gradients are 0,
    "not finite" if one is nan or infinite.  That gradients which shrink or grow from layer to layer
    are what makes deep networks hard to train: Bengio, Simard and Frasconi (1994); measured by
    layer as here:  Glorot and Bengio (2010), section 4.2.  The figures 1e-3 and 1e3 are this
    function's own convention.

    Raises ValueError if there are no parameters.
    """
    by_layer: dict[str, list[float]] = {}
    named = _named_gradients(parameters)
    neurons = neurons_among(name for name, _ in named)
    for name, gradient in named:
        by_layer.setdefault(layer_of(name, neurons), []).append(gradient)
    if not by_layer:
        raise ValueError(
            "there are no parameters; give a module that has some, or a mapping from names to "
            "gradients"
        )
    rms = {path: _rms(gradients) for path, gradients in by_layer.items()}
    reference = next((x for x in reversed(rms.values()) if x > 0), 0.0)
    layers = [_layer_gradients(path, by_layer[path], rms[path], reference) for path in by_layer]
    return tuple(layers)


def _named_gradients(parameters: Any) -> list[tuple[str, float]]:
    if isinstance(parameters, Module):
        return [(name, parameter.grad) for name, parameter in parameters.named_parameters()]
    if isinstance(parameters, Mapping):
        return [(name, _gradient_of(name, x)) for name, x in parameters.items()]
    is_list = isinstance(parameters, Iterable) and not isinstance(parameters, str)
    given = list(parameters) if is_list else [parameters]
    for parameter in given:
        if not isinstance(parameter, Value):
            raise TypeError(
                "gradients are taken from a Module, a list of its parameters, or a mapping from "
                f"names to gradients, not from {type(parameter).__name__} "
                f"({short_repr(parameter)})"
            )
    return [(str(parameter.label), parameter.grad) for parameter in given]


def _gradient_of(name: str, given: Any) -> float:
    return given.grad if isinstance(given, Value) else number(given, f"the gradient of {name}")


def _layer_gradients(
    path: str, gradients: Sequence[float], rms: float, reference: float
) -> LayerGradients:
    sizes = sorted(abs(g) for g in gradients if g and math.isfinite(g))
    nonfinite = sum(not math.isfinite(g) for g in gradients)
    return LayerGradients(
        path,
        len(gradients),
        zeros=gradients.count(0.0),
        nonfinite=nonfinite,
        low=quantile(sizes, 0.05),
        median=quantile(sizes, 0.5),
        high=quantile(sizes, 0.95),
        rms=rms,
        verdict=_verdict(nonfinite, rms, reference),
    )


def _verdict(nonfinite: int, rms: float, reference: float) -> str:
    """Classifies a layer by the rms of its gradients, relative to the last layer's."""
    if nonfinite:
        return "not finite"
    if rms == 0:
        return "zero"
    if rms > EXPLODING or rms / EXPLODING > reference:
        return "exploding"
    if rms < VANISHING * reference:
        return "vanishing"
    return "fine"


def _rms(numbers: Sequence[float]) -> float:
    finite = [x for x in numbers if math.isfinite(x)]
    return math.hypot(*finite) / math.sqrt(len(finite)) if finite else 0.0


def quantile(ordered: Sequence[float], p: float) -> float:
    """The ``p``-quantile of numbers in order, interpolated between the two nearest; 0.0 of none."""
    # Not `statistics.quantiles`: it rejects a single number before Python 3.13, its sums overflow
    # near the largest float, and its last digits are others.
    if not ordered:
        return 0.0
    position = p * (len(ordered) - 1)
    below = math.floor(position)
    share = position - below
    above = ordered[below + 1] * share if share else 0.0
    return ordered[below] * (1 - share) + above


# ---- activations by layer ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """One neuron: ``outputs`` over the samples, ``slopes`` of its activation there, and the
    activation's name as ``op``.

    ``op`` is "" for a linear unit.
    """

    path: str
    op: str
    outputs: tuple[float, ...]
    slopes: tuple[float, ...]

    @property
    def dead(self) -> bool:
        """Whether its output and the slope of its activation are 0 for every sample, so that it
        cannot learn from them."""
        return bool(self.op) and not any(self.outputs) and not any(self.slopes)

    @property
    def saturation(self) -> float:
        """The part of the samples, 0 to 1, that drive it to an asymptote: beyond 0.99 of the way
        from the middle."""
        if self.op not in _MIDDLE_AND_REACH:
            return 0.0
        middle, reach = _MIDDLE_AND_REACH[self.op]
        return sum(abs(o - middle) > SATURATED * reach for o in self.outputs) / len(self.outputs)

    @property
    def saturated(self) -> bool:
        """Whether every sample drives it to an asymptote."""
        return self.saturation == 1.0


@dataclass(frozen=True, slots=True)
class LayerActivations:
    """The units of one layer, and how many of them are dead (never active) or saturated on every
    sample."""

    path: str
    units: tuple[Unit, ...]

    @property
    def outputs(self) -> tuple[float, ...]:
        """The outputs of all units for all samples."""
        return tuple([o for unit in self.units for o in unit.outputs])

    @property
    def saturation(self) -> float:
        """The part of all outputs, 0 to 1, that is at an asymptote: see `Unit.saturation`."""
        return math.fsum(unit.saturation for unit in self.units) / len(self.units)

    @property
    def dead(self) -> int:
        """How many units are dead."""
        return sum(unit.dead for unit in self.units)

    @property
    def saturated(self) -> int:
        """How many units are saturated on every sample."""
        return sum(unit.saturated for unit in self.units)


def activations(model: Callable[[Any], Any], X: Iterable[Any]) -> tuple[LayerActivations, ...]:
    """The outputs of the units of every layer for the samples ``X``, in order of execution.

    ``model`` is run on each sample, and its units are found in the recorded graph from the names of
    the parameters (`nn.structure.find_modules`): the nodes of a module that something outside of it
    uses, and the activation after them, if there is one and nothing else comes between.  A neuron
    that runs several times for one sample is one unit.  Where there are no modules in the graph,
    the model's outputs are its one layer.

    Raises ValueError if there are no samples, TypeError if ``model`` cannot be called or its
    outputs are not Values.
    """
    check_model(model)
    inputs = entries(X, "X", "samples: a list of what the model takes")
    if not inputs:
        raise ValueError("X has no samples; give at least one")
    found: dict[tuple[str, str], tuple[str, list[float], list[float]]] = {}
    shape = None
    places: list[tuple[str, str, int]] = []
    with mode(model, training=False), recording(True):
        for x in inputs:
            roots = _roots(model(x))
            order = topological_order(*roots, constants=False)
            new = _shape(order)
            if new != shape:  # mostly all samples have a graph of the same shape
                shape = new
                places = _unit_places(order, roots)
            for layer, path, i in places:
                node = order[i]
                op = node.op if node.op in ACTIVATION_ROWS else ""
                _, values, slopes = found.setdefault((layer, path), (op, [], []))
                values.append(node.data)
                slopes.append(node.partials[0] if op else 1.0)
    layers: dict[str, list[Unit]] = {}
    for (layer, path), (op, values, slopes) in found.items():
        layers.setdefault(layer, []).append(Unit(path, op, tuple(values), tuple(slopes)))
    return tuple([LayerActivations(layer, tuple(units)) for layer, units in layers.items()])


def _roots(result: Any) -> list[Value]:
    roots = list(result) if isinstance(result, (list, tuple)) else [result]
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(
                f"the model returned {short_repr(result)}, which has no graph to find activations "
                "in; give a model that computes with Values"
            )
    return roots


def _shape(order: Sequence[Value]) -> list[tuple[str, str, list[int | None]]]:
    """All of a graph but its numbers."""
    position = {node: i for i, node in enumerate(order)}
    return [(node.op, node.label, [position.get(arg) for arg in node.args]) for node in order]


def _unit_places(order: Sequence[Value], roots: Sequence[Value]) -> list[tuple[str, str, int]]:
    """``(layer, unit, position in order)`` for the output of every unit in the graph of ``roots``.
    """
    modules = find_modules(order)
    users: dict[Value, list[Value]] = {}
    for node in order:
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    leaves = [node for node in modules if not node.op and not node.constant]
    neurons = neurons_among(str(leaf.label) for leaf in leaves)
    of_module: dict[str, list[Value]] = {}
    for node in order:
        path = modules.get(node)
        outside = [user for user in users.get(node, ()) if modules.get(user) != path]
        if path is not None and node.op and (outside or node in roots):
            # an activation that is no part of the module
            after = outside[0] if len(users.get(node, ())) == 1 else node
            is_activation = after.op in ACTIVATION_ROWS and after not in modules
            of_module.setdefault(path, []).append(after if is_activation else node)
    position = {node: i for i, node in enumerate(order)}
    places = []
    for path, nodes in (of_module or {"": list(roots)}).items():
        layer = layer_path(path, neurons)
        for k, node in enumerate(nodes):
            unit = path if path in neurons else f"{path}[{k}]"
            places.append((layer, unit, position[node]))
    return places


# ---- what they are given -------------------------------------------------------------------------


def entries(given: Iterable[Any], name: str, wanted: str) -> list[Any]:
    """What is in ``given``, an argument of that name; TypeError, which says what is ``wanted``, if
    it is no iterable."""
    try:
        iterator = iter(given)
    except TypeError:
        raise TypeError(
            f"{name} must be {wanted}, not {type(given).__name__} ({short_repr(given)})"
        ) from None
    return list(iterator)


def check_model(model: Any) -> None:
    """Raises TypeError unless ``model`` can be called."""
    if not callable(model):
        raise TypeError(
            f"the model is {short_repr(model)}, which cannot be called; give the model first, then "
            "the samples"
        )
