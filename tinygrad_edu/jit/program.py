"""One program of a compiled function: for arguments of one structure.

    >>> from tinygrad_edu import jit
    >>> @jit
    ... def area(sides):
    ...     return sides[0] * sides[1]
    >>> area([2.0, 3.0])
    6.0
    >>> area.programs
    [<area([*, *]): 3 nodes>]
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..debug.anomaly import is_watched
from ..engine import autodiff, graph
from ..engine.interpreter import recording
from ..engine.value import Value
from .batch import Batched, drawn
from .running import backend
from .structure import NUMBER, Structure, outputs, structure_text, unflatten
from .tape import gradient as tapes
from .tracing import record_trace


class Program:
    """One program of a compiled function: for arguments of one structure.

    structure: the structure of the arguments.
    trace: the function, operation by operation.
    value, gradient, hessian_kernel: kernels, each compiled when it is first used.
    """

    def __init__(self, f: Callable[..., Any], names: Sequence[str], structure: Structure) -> None:
        self.structure = structure
        self.trace, result = record_trace(f, names, self._arguments)
        self.outputs, self._result = outputs(result, self.trace.operand)
        self._function = f
        self._name = function_name(f)
        self._sources = tapes.sources(self.trace)
        self._reads_arguments_alone = len(self._sources) == len(names)
        self._batched: dict[Any, Batched] = {}

    def __repr__(self) -> str:
        positional, keywords = self.structure
        named = [f"{name}={structure_text(part)}" for name, part in keywords]
        parts = [*map(structure_text, positional), *named]
        return f"<{self._name}({', '.join(parts)}): {len(self.trace.nodes)} nodes>"

    def _arguments(self, numbers: Iterable[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Returns the arguments with these numbers, positional ones and keywords."""
        leaves = iter(numbers)
        positional, keywords = self.structure
        args = [unflatten(part, leaves) for part in positional]
        kwargs = {name: unflatten(part, leaves) for name, part in keywords}
        return args, kwargs

    # ---- kernels

    @functools.cached_property
    def value(self) -> backend.Kernel:
        """The kernel of the function."""
        return backend.kernel(tapes.value(self.trace, self.outputs))

    @functools.cached_property
    def gradient(self) -> backend.Kernel:
        """The kernel of the function and its gradient: of the arguments, then the parameters."""
        return backend.kernel(tapes.value_and_gradient(self.trace, self._scalar(), self._wanted))

    @functools.cached_property
    def hessian_kernel(self) -> backend.Kernel:
        """The kernel of a row of the Hessian; it also reads a tangent for each argument."""
        arguments = list(range(len(self.trace.inputs)))
        root = self._scalar()
        gradient = tapes.value_and_gradient(self.trace, root, arguments, keep_detached=True)
        gradient.outputs = gradient.outputs[1:]
        places = [self._sources.index(i) for i in arguments]
        return backend.kernel(tapes.tangents(gradient, places))

    def _scalar(self) -> Any:
        if self._result != NUMBER:
            raise TypeError(
                f"{self._name} returns {structure_text(self._result)}; a gradient is of one "
                "number"
            )
        return self.outputs[0]

    # ---- running

    def run(self, leaves: Sequence[Any], with_gradient: bool = False) -> list[float]:
        """Returns the results of the function, flat.

        ``with_gradient``: the function returns one number; its derivatives with respect to the
        arguments and then the parameters follow it.
        """
        if is_watched():
            return self._run_watched(leaves, with_gradient)
        return (self.gradient if with_gradient else self.value)(self._inputs(leaves))

    def hessian(self, leaves: Sequence[Any]) -> list[list[float]]:
        """Returns the second derivatives with respect to the arguments."""
        self._scalar()
        if is_watched():
            hessian = autodiff.hessian(lambda values: self._run_eagerly(values)[0])
            return hessian([*map(float, leaves)])
        count = len(leaves)
        inputs = self._inputs(leaves)  # what is drawn is the same for all rows
        rows = []
        for i in range(count):
            tangent = [float(i == j) for j in range(count)]
            rows.append(self.hessian_kernel([*inputs, *tangent]))
        return rows

    def batch(self, leaves: Sequence[float | memoryview], threads: int,
              with_gradient: bool = False) -> list[Any]:
        """Does what `run` does, for columns: it returns a column for each number.

        The derivative with respect to a number that all samples share is a sum over them.
        """
        varying, count = _lengths(leaves)
        if not is_watched() or not count:
            batched = self.batched(varying, with_gradient)
            return batched.run(*self.columns(leaves, varying, count), count, threads)
        samples = []
        for k in range(count):
            sample = [leaf[k] if isinstance(leaf, memoryview) else leaf for leaf in leaves]
            samples.append(self._run_watched(sample, with_gradient))
        summed = self._summed(varying) if with_gradient else []
        return [sum(column) if i in summed else array("d", column)
                for i, column in enumerate(zip(*samples))]

    def _run_eagerly(self, values: Sequence[Value]) -> list[Value]:
        """Returns the results of the function itself, not compiled, flat."""
        args, kwargs = self._arguments(values)
        result = self._function(*args, **kwargs)
        return outputs(result, lambda x: x if isinstance(x, Value) else Value(float(x)))[0]

    def _run_watched(self, leaves: Sequence[Any], with_gradient: bool) -> list[float]:
        """Does what `run` does, with the function itself, so that `detect_anomaly` checks it.

        The derivatives of the parameters are 0, because `backward` has added them already.
        """
        values = [Value(float(leaf), name) for leaf, name in zip(leaves, self.trace.inputs)]
        with recording(True):
            results = self._run_eagerly(values)
        if not with_gradient:
            return [*map(float, results)]
        self._scalar()
        results[0].backward()
        gradients = [value.grad for value in values]
        return [float(results[0]), *gradients, *[0.0] * len(self.trace.parameters)]

    def _inputs(self, leaves: Sequence[Any]) -> list[Any]:
        """Returns the inputs of a kernel: arguments, present parameters, and new draws."""
        trace = self.trace
        if self._reads_arguments_alone:
            return [*leaves]
        inputs: list[float] = []
        for i in self._sources:
            op, (k,) = trace.nodes[i]
            if op == "input":
                leaf = leaves[k]
                inputs.append(leaf if leaf.__class__ is float else float(leaf))
            elif op == "parameter":
                inputs.append(float(trace.parameters[k].data))
            else:
                inputs.append(trace.draws[k]())
        return inputs

    def batched(self, varying: tuple[bool, ...], with_gradient: bool) -> Batched:
        """Returns the program for columns; ``varying`` says which arguments are columns."""
        if (varying, with_gradient) not in self._batched:
            moving = [k for k, i in enumerate(self._sources) if self._varies(i, varying)]
            if with_gradient:
                made = tapes.value_and_gradient(self.trace, self._scalar(), self._wanted)
                summed = self._summed(varying)
            else:
                made = tapes.value(self.trace, self.outputs)
                summed = []
            self._batched[varying, with_gradient] = Batched(made, moving, summed)
        return self._batched[varying, with_gradient]

    def columns(self, leaves: Sequence[Any], varying: tuple[bool, ...], count: int
                ) -> tuple[list[float], list[Any]]:
        """Returns the inputs that all samples share, and the columns, in the order of the tape."""
        drawn_ = iter(drawn(self.trace.draws, count))
        uniform: list[float] = []
        columns: list[Any] = []
        for i in self._sources:
            op, (k,) = self.trace.nodes[i]
            if op == "parameter":
                uniform.append(float(self.trace.parameters[k].data))
            elif op == "draw":
                columns.append(next(drawn_))
            elif varying[k]:
                columns.append(leaves[k])
            else:
                uniform.append(leaves[k])
        return uniform, columns

    def _varies(self, node: int, varying: tuple[bool, ...]) -> bool:
        op, (k,) = self.trace.nodes[node]
        return op == "draw" or (op == "input" and varying[k])

    def _summed(self, varying: tuple[bool, ...]) -> list[int]:
        """Returns the outputs of a gradient that are sums: derivatives of shared numbers."""
        return [1 + k for k in range(len(self._wanted)) if k >= len(varying) or not varying[k]]

    @property
    def _wanted(self) -> list[int]:
        """The nodes of the arguments, and then of the parameters."""
        parameters = [i for i in self._sources if self.trace.nodes[i][0] == "parameter"]
        return [*range(len(self.trace.inputs)), *parameters]

    def accumulate(self, slopes: Sequence[float]) -> None:
        """Adds the derivatives to ``.grad`` of the parameters."""
        parameters = self.trace.parameters
        sums = [leaf.grad + slope for leaf, slope in zip(parameters, slopes)]
        graph.assign_grads(parameters, sums)

    def result(self, numbers: Sequence[float]) -> Any:
        """Returns the numbers in the structure of the function's result."""
        return unflatten(self._result, iter(numbers))

    def restore_structure(self, slopes: Sequence[Any]) -> Any:
        """Returns derivatives in the structure of the arguments; None for a static argument."""
        numbers = iter(slopes)
        positional, keywords = self.structure

        def restored(part: Structure) -> Any:
            return None if part[0] == "static" else unflatten(part, numbers)

        shaped = tuple([restored(part) for part in positional])
        named = {name: restored(part) for name, part in keywords}
        if named:
            return shaped, named
        return shaped[0] if len(shaped) == 1 else shaped


def _lengths(leaves: Sequence[float | memoryview]) -> tuple[tuple[bool, ...], int]:
    """Returns which leaves are columns, and the length of the columns.

    Raises ValueError if there are no columns, or if they differ in length.
    """
    varying = tuple([isinstance(leaf, memoryview) for leaf in leaves])
    lengths = sorted({len(leaf) for leaf in leaves if isinstance(leaf, memoryview)})
    if len(lengths) > 1:
        raise ValueError(
            f"the columns differ in length: {', '.join(map(str, lengths))}; give every sample one "
            "number in each column"
        )
    if not lengths:
        raise ValueError(
            "there is no column among the arguments, only numbers; call the function itself for "
            "one sample"
        )
    return varying, lengths[0]


def function_name(f: Callable[..., Any], kind: str = "__name__") -> str:
    """Returns the name of a function, or of the class of another callable object."""
    return str(getattr(f, kind, None) or getattr(f, "name", None) or type(f).__name__)
