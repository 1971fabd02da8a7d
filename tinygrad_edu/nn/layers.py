"""Layers of neurons: Neuron, Layer, MLP, Sequential and Dropout.

    model = MLP(2, [16, 16, 1])
    score = model([0.5, -1.0])

An input is a list of numbers or Values.  A layer of one neuron returns a Value, any other layer a
list of Values.  Weights are drawn in the order of micrograd, from the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from .. import math
from ..engine.arrays import like, listed
from ..engine.interpreter import interpreted
from ..engine.value import Value
from ..errors import (
    check_bool,
    check_int,
    check_list,
    check_number,
    check_size,
    is_number,
    plain,
    short_repr,
    wrong_type,
)
from ..randomness import Rng, drawn, generator
from .init import Initialiser, chosen, weights
from .inputs import as_row, check_entries
from .module import Module, Output

Activation = Callable[[Value], Value]
Input = TypeVar("Input")
ACTIVATIONS: dict[str, Activation | None] = {
    "linear": None,
    "relu": math.relu,
    "leaky_relu": math.leaky_relu,
    "elu": math.elu,
    "gelu": math.gelu,
    "silu": math.silu,
    "softplus": math.softplus,
    "softsign": math.softsign,
    "hardtanh": math.hardtanh,
    "sigmoid": math.sigmoid,
    "tanh": math.tanh,
}


def activation_function(activation: str | Activation, name: str) -> Activation | None:
    """Returns the activation of that name (None for "linear"), or the function itself.

    name: begins the message of an error.
    """
    return chosen(ACTIVATIONS, activation, name, "or give a function")


class Neuron(Module):
    """activation(b + w . x), for a list x of ``nin`` numbers.

    w: the weights, drawn from ``init``.
    b: the bias, at first 0.
    nonlin: False is micrograd's way to say ``activation="linear"``, no activation.

    Raises:
        TypeError: ``nin`` is not a whole number, or ``rng`` is not a random generator.
        ValueError: ``nin`` is below 1, or the name of an activation or initialiser is unknown.
    """

    def __init__(
        self,
        nin: int,
        activation: str | Activation = "relu",
        init: str | Initialiser = "uniform",
        rng: Rng = None,
        *,
        nonlin: bool = True,
        fan_out: int = 1,
    ) -> None:
        nin = check_int(nin, "Neuron: nin", 1)
        fan_out = check_int(fan_out, "Neuron: fan_out", 1)
        (self.w,) = weights(1, nin, init, rng, (nin, fan_out), "Neuron")
        self.b = Value(0.0)
        nonlin = check_bool(nonlin, "Neuron: nonlin")
        self.activation = activation = activation if nonlin else "linear"
        self._activate = activation_function(activation, "Neuron: activation")

    def __call__(self, x: Any) -> Value:
        """Returns the output for ``x``, a list of ``nin`` numbers or Values.

        Raises:
            TypeError: ``x`` is not a list, or an entry is not a number.
            ValueError: ``x`` has another length.
        """
        x = _as_input(x, len(self.w), self)
        try:
            total: Value = _weighted_sum(self.b, self.w, x)
        except (TypeError, OverflowError):
            check_entries(x, self)
            raise
        if not isinstance(total, Value):  # an array times a Value is an array
            check_entries(x, self)
        if self._activate is None:
            return total
        output = self._activate(total)
        if output.__class__ is not Value and not is_number(output):
            raise wrong_type("Neuron: what activation returns", "a Value", output, "return one")
        return output

    def __repr__(self) -> str:
        kind = self.activation
        if not isinstance(kind, str):
            kind = str(getattr(kind, "__name__", "custom"))
        return f"{'ReLU' if kind == 'relu' else kind.capitalize()}Neuron({len(self.w)})"


@interpreted
def _weighted_sum(start: Value, weights: Sequence[Any], xs: Sequence[Any]) -> Any:
    return sum((weight * x for weight, x in zip(weights, xs)), start)


class Layer(Module):
    """``nout`` neurons with the same ``nin`` inputs.

    For the other arguments, and for what raises, see `Neuron`.
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        activation: str | Activation = "relu",
        init: str | Initialiser = "uniform",
        rng: Rng = None,
        *,
        nonlin: bool = True,
    ) -> None:
        nin = check_int(nin, "Layer: nin", 1)
        nout = check_int(nout, "Layer: nout", 1)
        check_size((nin + 1) * nout, f"Layer({nin}, {nout})")
        source = generator(rng)
        self.neurons = [
            Neuron(nin, activation, init, source, nonlin=nonlin, fan_out=nout) for _ in range(nout)
        ]

    def __call__(self, x: Any) -> Output:
        """Returns the neurons' outputs: a list of Values, or one Value if there is one neuron."""
        x = _as_input(x, len(self.neurons[0].w), self)
        outputs = [neuron(x) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(repr, self.neurons))}]"


class Sequential(Module):
    """Modules or functions, one after the other::

        Sequential(Layer(2, 8), Dropout(0.5), Layer(8, 1, "linear"))

    Raises:
        TypeError: a part is neither a module nor a function.
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for i, layer in enumerate(layers):
            if not callable(layer) or (isinstance(layer, type) and issubclass(layer, Module)):
                raise wrong_type(
                    f"Sequential: layer {i}", "a module or a function", layer,
                    "pass layers one by one, as in Sequential(Layer(2, 8), Layer(8, 1))",
                )
        self.layers = list(layers)

    def __call__(self, x: Any) -> Output:
        """Returns the last part's output."""
        for layer in self.layers:
            x = layer(x)
        return x  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


class MLP(Sequential):
    """A multi-layer perceptron: layers of neurons, one after the other.

    ``MLP(2, [16, 16, 1])`` has 2 inputs, two hidden layers of 16 neurons, and one output.  It takes
    a list of ``nin`` numbers or Values.  It returns a list of Values, or one Value if the last
    layer has one neuron.

    nin: the number of inputs.
    nouts: the number of neurons of each layer.
    activation: the activation of the hidden layers.
    output: the activation of the last layer; "linear" gives scores or logits.
    init: draws the weights: "uniform", "xavier", "he" or an initialiser.
    rng: a `random.Random` or a random seed; by default the module `random`, as in micrograd.

    Raises:
        TypeError: ``nouts`` is not a list, or a number of neurons is not a whole number.
        ValueError: ``nouts`` is empty, a number of neurons is below 1, or the name of an activation
            or initialiser is unknown.
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int],
        activation: str | Activation = "relu",
        output: str | Activation = "linear",
        init: str | Initialiser = "uniform",
        rng: Rng = None,
    ) -> None:
        sizes = [check_int(nin, "MLP: nin", 1)]
        remedy = "write MLP(2, [16, 1]) for 16 hidden neurons and one output"
        if (counts := listed(nouts)) is None:
            raise wrong_type("MLP: nouts", "a list with the size of each layer", nouts, remedy)
        if not counts:
            raise ValueError(
                f"MLP: nouts must have at least one size, not {short_repr(nouts)}; {remedy}"
            )
        sizes += [check_int(n, f"MLP: entry {i} of nouts", 1, remedy) for i, n in enumerate(counts)]
        check_size(sum((a + 1) * b for a, b in pairwise(sizes)), f"MLP({nin}, {short_repr(nouts)})")
        activation_function(activation, "MLP: activation")
        activation_function(output, "MLP: output")
        source = generator(rng)
        activations = [activation] * (len(counts) - 1) + [output]
        super().__init__(
            *[Layer(a, b, f, init, source) for a, b, f in zip(sizes, sizes[1:], activations)]
        )

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(repr, self.layers))}]"


class Dropout(Module):
    """In training mode: each input is set to 0 with probability ``p``, or else divided by 1 - p.

    The expected output equals the input.  In evaluation mode the output is the input.

    rng: a `random.Random` or a random seed; by default the module `random`.

    Source: Srivastava et al., 2014, in the "inverted" form.

    Raises:
        TypeError: ``p`` is not a number, or ``rng`` is not a random generator.
        ValueError: ``p`` is not a probability below 1.
    """

    def __init__(self, p: float = 0.5, rng: Rng = None) -> None:
        wanted = "a probability >= 0 and < 1"
        self.p = check_number(p, "Dropout: p", 0, "usual: 0.5", below=1, wanted=wanted)
        # None stands for the module `random`, which cannot be copied
        self._rng = None if rng is None else generator(rng)

    def __call__(self, x: Input) -> Input:
        """Returns a list for a list, an array for an array, a Value for a Value.

        Raises:
            TypeError: ``x`` is none of them, or an entry is not a number.
        """
        inputs: Any = x
        if not self.training or self.p == 0:
            return x
        row = [x] if is_number(x) else listed(x)
        if row is None:
            row = check_list(x, "Dropout: x", "a list of numbers, or a number", "pass one sample")
        try:
            kept: Any = [plain(xi) * drawn(self._draw) for xi in row]
        except (TypeError, OverflowError):
            check_entries(row, self)
            raise
        return kept[0] if is_number(x) else like(inputs, kept)  # type: ignore[no-any-return]

    def _draw(self) -> float:
        return 0.0 if generator(self._rng).random() < self.p else 1 / (1 - self.p)

    def __repr__(self) -> str:
        return f"Dropout({self.p})"


def _as_input(x: Any, size: int, module: Module) -> Sequence[Any]:
    """Returns ``x`` as a list of ``size`` inputs.

    A scalar, such as the output of a layer of one neuron, becomes a list.
    """
    if x.__class__ is list and len(x) == size:
        return x  # the usual case, fast
    return as_row([x] if size == 1 and is_number(x) else x, size, module)

