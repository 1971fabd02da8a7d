"""The inside of a model, layer by layer: gradients of parameters and outputs of units.

    >>> from tinygrad_edu import nn
    >>> model = nn.MLP(2, [4, 4, 1], "tanh", rng=1)
    >>> nn.hinge(model([0.5, -1.0]), 1).backward()
    >>> [(layer.path, layer.count, layer.verdict) for layer in gradient_flow(model)]
    [('layers.0', 12, 'fine'), ('layers.1', 20, 'fine'), ('layers.2', 5, 'fine')]
    >>> layers = activations(model, [[0.5, -1.0], [2.0, 1.0]])
    >>> [(layer.path, len(layer.units), layer.saturated) for layer in layers]
    [('layers.0', 4, 0), ('layers.1', 4, 0), ('layers.2', 1, 0)]

`diagnose` decides which of these numbers are a reason to worry, and `viz.plots` draws them.  No
parameter and no gradient is changed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..data.checks import by_position, sample
from ..engine.graph import topological_order
from ..engine.interpreter import recording
from ..engine.value import Value
from ..errors import check_list, check_type, number, one_line, short_repr
from ..nn.module import Module, mode
from ..nn.structure import ACTIVATION_ROWS, find_modules, layer_of, layer_path, neurons_among

VANISHING = 1e-3  # a layer vanishes if its rms is below this fraction of the last layer's rms
EXPLODING = 1e3  # a layer explodes if its rms is above this, or this many times the last layer's
# An output is at an asymptote if it is beyond this fraction of the way from the middle to it.
SATURATED = 0.99

# For each activation with two asymptotes, the middle between them and their distance from it.
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

    path: the path of the layer, such as ``layers.0``; "" for parameters of the model itself.
    count: the number of parameters.
    zeros: the number of gradients that are exactly 0.
    nonfinite: the number of gradients that are inf or nan.
    low, median, high: the 5th, 50th and 95th percentile of the magnitudes of all other gradients;
        0.0 if there are none.
    rms: the root mean square of all finite gradients, zeros included.
    verdict: "fine", "vanishing", "exploding", "zero" or "not finite"; see `gradient_flow`.
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
    model: Module | Mapping[str, Any] | Iterable[Value],
) -> tuple[LayerGradients, ...]:
    """Returns a `LayerGradients` for each layer, in the order of the parameters.

    It reads the gradients that the last backward pass left.

        >>> gradients = {"layers.0.neurons.3.w.1": 1.0, "encoder.W.0.5": 1.0, "slope": 1.0}
        >>> [layer.path for layer in gradient_flow(gradients)]
        ['layers.0', 'encoder', '']

    model: a `Module`, a list of labelled parameters, or a mapping from names to parameters or
        gradients.  The layer of each parameter is found from its name (`nn.structure.layer_of`).

    The verdict compares the root mean square (rms) of a layer with the rms of the last layer that
    has a gradient, where backpropagation starts:

        "not finite"    a gradient is inf or nan
        "zero"          all gradients are 0
        "exploding"     the rms is above 1e3 (`EXPLODING`), or above 1e3 times the last layer's
        "vanishing"     the rms is below 1e-3 (`VANISHING`) times the last layer's
        "fine"          none of these

    If the rms is above 1e3, a step at a learning rate of 1e-3 changes parameters by more than 1.

    Deep networks are hard to train if gradients shrink or grow from layer to layer (Bengio, Simard
    and Frasconi, 1994).  Glorot and Bengio (2010), section 4.2, measure this layer by layer.  The
    limits 1e-3 and 1e3 are a convention of this function.

    Raises:
        TypeError: ``model`` is neither a Module, a list of Values nor a mapping to numbers or
            Values.
        ValueError: there are no parameters.
    """
    by_layer: dict[str, list[float]] = {}
    named = _named_gradients(model)
    neurons = neurons_among(name for name, _ in named)
    for name, gradient in named:
        by_layer.setdefault(layer_of(name, neurons), []).append(gradient)
    if not by_layer:
        raise ValueError(
            f"gradient_flow: model must have parameters, and {short_repr(model)} has none; pass a "
            "Module that has some, or a mapping from names to gradients"
        )
    rms = {path: _rms(gradients) for path, gradients in by_layer.items()}
    reference = next((x for x in reversed(rms.values()) if x > 0), 0.0)
    layers = []
    for path, gradients in by_layer.items():
        sizes = sorted(abs(g) for g in gradients if g and math.isfinite(g))
        nonfinite = sum(not math.isfinite(g) for g in gradients)
        layers.append(LayerGradients(
            path,
            len(gradients),
            zeros=gradients.count(0.0),
            nonfinite=nonfinite,
            low=quantile(sizes, 0.05),
            median=quantile(sizes, 0.5),
            high=quantile(sizes, 0.95),
            rms=rms[path],
            verdict=_verdict(nonfinite, rms[path], reference),
        ))
    return tuple(layers)


def _named_gradients(model: Any) -> list[tuple[str, float]]:
    """Returns the name and the gradient of each parameter."""
    if isinstance(model, Module):
        model = dict(model.named_parameters())
    if isinstance(model, Mapping):
        what = "gradient_flow: model: the gradient of"
        return [
            (name, x.grad if isinstance(x, Value) else number(x, f"{what} {name}"))
            for name, x in model.items()
        ]
    wanted = "a Module, a list of its parameters, or a mapping from names to gradients"
    given = check_list(model, "gradient_flow: model", wanted, "pass the model")
    for i, parameter in enumerate(given):
        check_type(parameter, f"gradient_flow: model[{i}]", Value, "a Value", "pass the model")
    return [(str(parameter.label), parameter.grad) for parameter in given]


def _verdict(nonfinite: int, rms: float, reference: float) -> str:
    """Returns the verdict on a layer from the rms of its gradients.

    reference: the rms of the last layer that has a gradient.
    """
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
    """Returns the root mean square of the finite numbers, or 0.0 if there are none."""
    finite = [x for x in numbers if math.isfinite(x)]
    return math.hypot(*finite) / math.sqrt(len(finite)) if finite else 0.0


def quantile(ordered: Sequence[float], p: float) -> float:
    """Returns the ``p``-quantile of sorted numbers, or 0.0 if there are none.

    It is interpolated between the two nearest numbers.
    """
    # Not `statistics.quantiles`: it rejects a single number before Python 3.13, its sums overflow
    # near the largest float, and its last digits differ.
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
    """One neuron, run on several samples.

    path: the path of the neuron, such as ``layers.0.neurons.1``.
    op: the name of its activation; "" for a linear unit.
    outputs: its output for each sample.
    slopes: the local derivative of its activation for each sample; 1.0 for a linear unit.
    """

    path: str
    op: str
    outputs: tuple[float, ...]
    slopes: tuple[float, ...]

    @property
    def dead(self) -> bool:
        """Whether its output and its activation's local derivative are 0 for every sample.

        A dead unit cannot learn from these samples.
        """
        return bool(self.op) and not any(self.outputs) and not any(self.slopes)

    @property
    def saturation(self) -> float:
        """The fraction of the samples, 0 to 1, that drive it to an asymptote.

        An output is at an asymptote if it is beyond 0.99 of the way from the middle to it.
        """
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
    """The units of one layer, with counts of dead and saturated units."""

    path: str
    units: tuple[Unit, ...]

    @property
    def outputs(self) -> tuple[float, ...]:
        """The outputs of all units for all samples, unit by unit."""
        return tuple([o for unit in self.units for o in unit.outputs])

    @property
    def saturation(self) -> float:
        """The fraction of all outputs, 0 to 1, that are at an asymptote: see `Unit.saturation`."""
        return math.fsum(unit.saturation for unit in self.units) / len(self.units)

    @property
    def dead(self) -> int:
        """The number of dead units."""
        return sum(unit.dead for unit in self.units)

    @property
    def saturated(self) -> int:
        """The number of units that are saturated on every sample."""
        return sum(unit.saturated for unit in self.units)


def activations(model: Callable[[Any], Any], X: Iterable[Any]) -> tuple[LayerActivations, ...]:
    """Returns the outputs of the units of every layer for the samples ``X``, in order of execution.

    The model runs on each sample, in evaluation mode.  Units are found in the recorded graph by the
    names of the parameters (`nn.structure.find_modules`).  The output of a unit is a node of a
    module that is used outside the module, or the activation that is the node's only user.  A
    neuron that runs several times for one sample is one unit.  If there are no modules in the
    graph, the outputs of the model are its only layer.

    Raises:
        TypeError: ``model`` cannot be called, ``X`` is not iterable, or an output of the model is
            not a Value.
        ValueError: there are no samples.
    """
    check_model(model)
    inputs = samples_of(X, "activations")
    found: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    structure = None
    places: list[tuple[str, str, int]] = []
    with recording_model(model):
        for i, x in enumerate(inputs):
            roots = outputs_of(output_of(model, x, i))
            order = topological_order(*roots, constants=False)
            new = _structure(order)
            if new != structure:  # usually the graphs of all samples have the same structure
                structure = new
                places = _unit_places(order, roots)
            for layer, path, place in places:
                node = order[place]
                op = node.op if node.op in ACTIVATION_ROWS else ""
                run = (op, node.data, node.partials[0] if op else 1.0)
                found.setdefault((layer, path), []).append(run)
    layers: dict[str, list[Unit]] = {}
    for (layer, path), runs in found.items():
        ops, outputs, slopes = zip(*runs)
        layers.setdefault(layer, []).append(Unit(path, ops[0], outputs, slopes))
    return tuple([LayerActivations(layer, tuple(units)) for layer, units in layers.items()])


@contextmanager
def recording_model(model: Any) -> Iterator[None]:
    """Sets the model to evaluation mode and records graphs, inside a with block."""
    with mode(model, training=False), recording(True):
        yield


def output_of(model: Callable[[Any], Any], x: Any, i: int) -> Any:
    """Returns ``model(x)``; an error about ``x`` says that it is the sample ``i``."""
    try:
        return model(x)
    except (TypeError, ValueError, IndexError) as error:
        if type(error) not in (TypeError, ValueError, IndexError):
            raise
        raise type(error)(
            f"the model failed for the sample X[{i}], {short_repr(x)}: {one_line(error)}; call the "
            "model on this sample alone to see where"
        ) from error


def outputs_of(result: Any) -> list[Value]:
    """Returns the outputs of a model as a list.

    Raises:
        TypeError: an output is not a Value.
    """
    roots = list(result) if isinstance(result, (list, tuple)) else [result]
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(
                f"activations: the model must return Values, not {short_repr(result)}; compute its "
                "output with operations on Values"
            )
    return roots


def _structure(order: Sequence[Value]) -> list[tuple[str, str, list[int | None]]]:
    """Returns everything in a graph except its numbers: operations, labels and edges."""
    position = {node: i for i, node in enumerate(order)}
    return [(node.op, node.label, [position.get(arg) for arg in node.args]) for node in order]


def _unit_places(order: Sequence[Value], roots: Sequence[Value]) -> list[tuple[str, str, int]]:
    """Returns the places of the outputs of all units in the graph of ``roots``.

    A place is ``(layer, unit, position in order)``.
    """
    modules = find_modules(order)
    users: defaultdict[Value, list[Value]] = defaultdict(list)
    for node in order:
        for arg in node.args:
            users[arg].append(node)
    leaves = [str(node.label) for node in modules if not node.op and not node.constant]
    neurons = neurons_among(leaves)
    of_module: dict[str, list[Value]] = {}
    for node in order:
        path = modules.get(node)
        outside = [user for user in users[node] if modules.get(user) != path]
        if path is not None and node.op and (outside or node in roots):
            # the activation may follow outside the module
            after = outside[0] if len(users[node]) == 1 else node
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


# ---- arguments -----------------------------------------------------------------------------------


def samples_of(X: Iterable[Any], function: str) -> list[Any]:
    """Returns the samples that were passed to ``function`` as ``X``.

    Raises:
        TypeError: ``X`` is not iterable.
        ValueError: ``X`` is empty.
    """
    samples = entries(X, f"{function}: X", "samples: a list of inputs of the model")
    if not samples:
        raise ValueError(f"{function}: X has no samples; pass at least one")
    return samples


def entries(given: Iterable[Any], name: str, wanted: str) -> list[Any]:
    """Returns the entries of ``given``, the argument ``name``.

    Raises:
        TypeError: ``given`` is not iterable, or is a mapping, a set or text; the message says what
            is ``wanted``.
    """
    return list(map(sample, check_list(by_position(given, name), name, wanted)))


def check_model(model: Any) -> None:
    """Checks that ``model`` can be called.

    Raises:
        TypeError: it cannot be called.
    """
    if not callable(model):
        raise TypeError(
            f"the model must be callable, not {short_repr(model)}; pass the model first, then the "
            "samples"
        )
