"""Layers of neurons: Neuron, Layer, MLP, Sequential and Dropout.

    model = MLP(2, [16, 16, 1])
    score = model([0.5, -1.0])

An input is a list of numbers or Values.  A layer of one neuron returns a Value, any other layer a
list of Values.  Weights are drawn in the order of micrograd, from the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .. import math
from ..engine.arrays import listed
from ..engine.value import Value
from ..errors import check_int, check_number, counted, is_number, plain, short_repr
from ..randomness import Rng, drawn, generator
from .init import Initialiser, chosen, weights
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


def activation_function(activation: str | Activation) -> Activation | None:
    """Returns the activation of that name (None for "linear"), or the function itself."""
    return chosen(ACTIVATIONS, activation, "activation", "a function")


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
        (self.w,) = weights(1, nin, init, rng, (nin, fan_out))
        self.b = Value(0.0)
        self.activation = activation = activation if nonlin else "linear"
        self._activate = activation_function(activation)

    def __call__(self, x: Any) -> Value:
        """Returns the output for ``x``, a list of ``nin`` numbers or Values.

        Raises:
            ValueError: ``x`` has another length.
        """
        x = _as_input(x, len(self.w), self)
        total: Value = sum((w * xi for w, xi in zip(self.w, x)), self.b)
        return total if self._activate is None else self._activate(total)

    def __repr__(self) -> str:
        kind = self.activation
        if not isinstance(kind, str):
            kind = str(getattr(kind, "__name__", "custom"))
        return f"{'ReLU' if kind == 'relu' else kind.capitalize()}Neuron({len(self.w)})"


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
        nout = check_int(nout, "Layer: nout", 1)
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
            if not callable(layer):
                raise TypeError(
                    f"Sequential: part {i} must be a module or a function, not {layer!r}; "
                    "pass the parts one by one"
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
        sizes = listed(nouts)
        if sizes is None:
            raise TypeError(
                f"MLP: nouts must be a list with the size of each layer, "
                f"not {short_repr(nouts)}; write MLP(2, [16, 1])"
            )
        if not sizes:
            raise ValueError("MLP: nouts must have at least one layer, not []; try MLP(2, [16, 1])")
        source = generator(rng)
        activations = [activation] * (len(sizes) - 1) + [output]
        super().__init__(
            *[Layer(a, b, f, init, source) for a, b, f in zip([nin, *sizes], sizes, activations)]
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
        """Returns a list for a list or an array, a Value for a Value."""
        inputs: Any = x
        if not self.training or self.p == 0:
            return x
        if not hasattr(x, "__len__") or getattr(x, "shape", None) == ():
            return plain(inputs) * drawn(self._draw)  # type: ignore[no-any-return]
        return [plain(xi) * drawn(self._draw) for xi in inputs]  # type: ignore[return-value]

    def _draw(self) -> float:
        return 0.0 if generator(self._rng).random() < self.p else 1 / (1 - self.p)

    def __repr__(self) -> str:
        return f"Dropout({self.p})"


def _as_input(x: Any, size: int, module: Module) -> Sequence[Any]:
    """Returns ``x`` as a list of ``size`` inputs.

    A scalar, such as the output of a layer of one neuron, becomes a list.
    """
    if x.__class__ is not list:
        if isinstance(x, Value) or is_number(x):
            x = [x]
        dimensions = len(getattr(x, "shape", (size,)))
        if not hasattr(x, "__len__") or isinstance(x, (str, dict)) or dimensions > 1:
            raise TypeError(
                f"{type(module).__name__} takes one sample, a list of {counted(size, 'number')}, "
                f"not {type(x).__name__} ({short_repr(x)})"
            )
    if len(x) != size:
        raise ValueError(f"{type(module).__name__} takes {size} inputs, but was given {len(x)}")
    return x  # type: ignore[no-any-return]

