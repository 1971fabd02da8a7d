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
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..debug.anomaly import is_watched
from ..engine import autodiff, graph
from ..engine.arrays import array_of
from ..engine.calls import found_by_name
from ..engine.interpreter import recording
from ..engine.primitive import reduced
from ..engine.value import Value
from ..errors import short_repr
from .parallel.batched import Batched, Recipe, batched
from .parallel.tasks import Shared
from .running import recall
from .running.backend import Kernel
from .running.columns import Column, is_column_leaf
from .running.direct import Direct, doubles
from .structure import (
    ARRAY,
    NUMBER,
    StaticValue,
    Structure,
    differentiable,
    filled,
    has_array,
    leaf_names,
    leaves_of,
    outputs,
    static_number,
    structure_text,
    unflatten,
)
from .tape import gradient as tapes
from .tape.tape import Tape
from .tracing import record_trace

if TYPE_CHECKING:
    from concurrent.futures import Executor

Leaves = Sequence[float | Column | memoryview]
ResultsOf = Callable[[int, Sequence[int]], Sequence[Any]]


class Program:
    """One program of a compiled function: for arguments of one structure.

    structure: the structures of all arguments, and the names of the last ones, the keywords.
    trace: the function, operation by operation.
    value, gradient, hessian_kernel: kernels, each compiled when it is first used.
    """

    def __init__(self, f: Callable[..., Any], names: Sequence[str], structure: Structure) -> None:
        self.structure = structure
        self._made_from = f, names, structure
        take_args = functools.partial(arguments, structure)
        self.trace, result = record_trace(f, names, take_args, kind="either")
        self.outputs, self._result = outputs(result, self.trace.operand)
        self._booleans = list(map(self.trace.is_boolean, self.outputs))
        self._function = f
        self._name = function_name(f)
        self._reads = [self.trace.nodes[i] for i in tapes.sources(self.trace)]
        # with respect to which it is differentiated: the arguments, and then the parameters
        self._wanted = [i for i in tapes.sources(self.trace) if self.trace.nodes[i][0] != "draw"]
        self._batched: dict[Any, Batched] = {}
        self._recipes: dict[Any, Shared] = {}

    def __repr__(self) -> str:
        args, kwargs = split(self.structure, map(structure_text, self.structure[0]))
        parts = [*args, *[f"{name}={part}" for name, part in kwargs.items()]]
        return f"<{self._name}({', '.join(parts)}): {len(self.trace.nodes)} nodes>"

    def __reduce__(self) -> tuple[Any, ...]:  # it is compiled again
        f, names, structure = self._made_from
        found = found_by_name(f)
        if f is not found and f is getattr(found, "function", None):  # `jit` is its decorator
            return reduced(self.rows, _program_of, found, names, structure)
        return reduced(self.rows, Program, f, names, structure)

    @property
    def rows(self) -> set[str]:
        """The operations of the trace, rows among them."""
        return {op for op, _ in self.trace.nodes}

    # ---- kernels

    @functools.cached_property
    def value(self) -> Kernel:
        """The kernel of the function."""
        return Kernel(recall.tape(tapes.value, self.trace, self.outputs))

    @functools.cached_property
    def gradient(self) -> Kernel:
        """The kernel of the function and its gradient: of the arguments, then the parameters."""
        root = self._scalar()
        return Kernel(recall.tape(tapes.value_and_gradient, self.trace, root, self._wanted))

    @functools.cached_property
    def hessian_kernel(self) -> Kernel:
        """The kernel of a row of the Hessian; it also reads a tangent for each argument."""
        arguments = range(len(self.trace.inputs))  # the first sources
        root = self._scalar()
        gradient = tapes.value_and_gradient(self.trace, root, arguments, keep_detached=True)
        gradient.outputs = gradient.outputs[1:]
        return Kernel(tapes.tangents(gradient, arguments))

    def note(self, direct: Direct, with_gradient: bool, key: Any) -> None:
        """Notes the program for direct calls with a ``key``, if it takes one list or array and
        returns one number."""
        trace = self.trace
        reads_more = trace.parameters or trace.draws or trace.modules
        parts, names = self.structure
        if reads_more or self._result != NUMBER or any(self._booleans) or names or len(parts) != 1:
            return
        kind, size, entries = parts[0] if len(parts[0]) == 3 else ("", 0, ())
        if kind in ("list", ARRAY) and set(entries) == {NUMBER}:
            direct.note(self._kernel(with_gradient), size, len(entries), with_gradient, key)

    def tape(self, with_gradient: bool = False, freeze: bool = False) -> tuple[Tape, list[str]]:
        """Returns the tape of the function, and what its outputs are.

        with_gradient: whether the derivatives follow the result.
        freeze: whether the present numbers of parameters are constants, instead of inputs.
        """
        wanted = [i for i in self._wanted if not freeze or self.trace.nodes[i][0] == "input"]
        places = {source: place for place, source in enumerate(tapes.sources(self.trace))}
        tape = (self.gradient if with_gradient else self.value).tape
        names = leaf_names(self._result, "result")
        if with_gradient:
            names += [f"d result / d {tape.names[places[i]]}" for i in wanted]
        if freeze:
            if with_gradient:
                tape = tapes.value_and_gradient(self.trace, self.outputs[0], wanted)
            numbers = {place: self.trace.parameters[k].data
                       for place, (op, (k,)) in enumerate(self._reads) if op == "parameter"}
            tape = tapes.with_constants(tape, numbers)
        return tape, names

    def _scalar(self) -> Any:
        if self._result != NUMBER:
            raise TypeError(
                f"{self._name} must return one number for its gradient, not "
                f"{structure_text(self._result)}"
            )
        check_differentiable(self.structure, self._name)
        return self.outputs[0]

    # ---- running

    def run(self, leaves: Sequence[Any], with_gradient: bool = False) -> list[float]:
        """Returns the results of the function, flat.

        ``with_gradient``: the function returns one number; its derivatives with respect to the
        arguments and then the parameters follow it.
        """
        if is_watched():
            return self._run_watched(leaves, with_gradient)
        return self._kernel(with_gradient)(self._inputs(leaves, self._draw()))

    def value_and_gradient(self, leaves: Sequence[Any], out: Any) -> tuple[float, Any]:
        """Returns the value and the gradient; ``out`` is a buffer for the gradient, or None."""
        if out is None:
            return self.differentiated(self.run(leaves, with_gradient=True))
        parts, names = self.structure
        if names or len(parts) != 1:
            raise TypeError(
                "value_and_grad: out is for a function of one list or array; without it, the "
                "gradients are returned"
            )
        slopes = doubles(out, len(leaves))
        outputs = self.run(leaves, with_gradient=True)
        value, _ = self.differentiated(outputs)
        slopes[:] = array("d", outputs[1:len(leaves) + 1])
        return value, out

    def _draw(self) -> list[float]:
        return [draw() for draw in self.trace.draws]

    def _kernel(self, with_gradient: bool) -> Kernel:
        return self.gradient if with_gradient else self.value

    def hessian(self, leaves: Sequence[Any]) -> Any:
        """Returns the second derivatives with respect to the arguments, as a list of rows.

        If there is a numpy array among the arguments, it is an array.
        """
        return matrix(self.structure, self._hessian(leaves))

    def _hessian(self, leaves: Sequence[Any]) -> list[list[float]]:
        self._scalar()
        if is_watched():
            hessian = autodiff.hessian(lambda values: self._run_eagerly(values)[0])
            return list(hessian([*map(float, leaves)]))
        count = len(leaves)
        # what is drawn is the same for all rows
        inputs = self._inputs(leaves, self._draw())
        return [self.hessian_kernel([*inputs, *[float(i == j) for j in range(count)]])
                for i in range(count)]

    def batch(self, leaves: Leaves, with_gradient: bool, results_of: ResultsOf, threads: int = 1
              ) -> list[Any]:
        """Does what `run` does, for columns: it returns a column for each number.

        The derivative with respect to a number that all samples share is a sum over them.

        results_of: called with the number of samples, and the outputs that are columns; returns a
            buffer for each of these.  A column whose buffer is None is not kept.
        """
        varying, count = lengths(leaves)
        function = self._function_of(varying, with_gradient)
        inputs = self._batch_inputs(leaves, count)
        given = results_of(count, function.columns)
        columns = [array("d", bytes(8 * count)) if x is None else x for x in given]
        sums = function.run(inputs, columns, count, threads)
        return function.outputs(given, sums)

    def batches(self, chunks: Iterable[Leaves], with_gradient: bool, results_of: ResultsOf,
                executor: Executor | None, total: int = 0) -> Iterator[list[Any]]:
        """Does what `batch` does, for chunk after chunk, and yields the outputs of each.

        Sums are over all samples.  They come with the last chunk; before, they are None.

        total: the number of samples, if it is known.

        Raises:
            ValueError: a number that all samples share is not the same in all chunks.
            WorkerError: a worker died, or the executor failed.
        """
        from .parallel.parts import Chunk, Here, Layout, There, Totals, completed

        given = iter(chunks)
        if (first := next(given, None)) is None:
            return
        varying, _ = lengths(first)
        function = self._function_of(varying, with_gradient)
        layout = Layout(len(function.varying), len(function.columns), len(function.summed))
        numbers = self._shared(function, self._batch_inputs(first, 0))

        def read() -> Iterator[Chunk]:
            for leaves in chain([first], given):
                _, count = lengths(leaves)
                inputs = self._batch_inputs(leaves, count)
                if self._shared(function, inputs).tobytes() != numbers.tobytes():
                    raise ValueError(
                        "batch: a number that all samples share, or a parameter, is not the same "
                        "in all chunks; make it a column"
                    )
                columns = [inputs[i] for i in function.varying]
                yield Chunk(columns, count, results_of(count, function.columns))

        place: Here | There = Here(function, layout, numbers)
        if executor is not None and not is_watched():
            kernel = self._kernel(with_gradient)
            recipe = self._recipe(function, with_gradient)
            place = There(kernel, recipe, layout, numbers, executor, total)
        totals = Totals(layout.sums)
        last = None
        sums: list[Any] = [None] * layout.sums
        try:
            for chunk in completed(place, layout, read(), totals):
                if last is not None:
                    yield function.outputs(last.results, sums)
                last = chunk
                if not sums:  # so that it need not be held back
                    yield function.outputs(last.results, sums)
                    last = None
        except Exception:
            if last is not None:
                yield function.outputs(last.results, sums)
            raise
        if last is not None:
            yield function.outputs(last.results, totals.result())

    def _function_of(self, varying: tuple[bool, ...], with_gradient: bool) -> Batched:
        """Returns the function for columns; inside `detect_anomaly` it runs on Values."""
        if not is_watched():
            return self.batched(varying, with_gradient)
        run = functools.partial(self._run_watched, with_gradient=with_gradient)
        columns = [k for k, varies in enumerate(varying) if varies]
        outputs = 1 + len(self._wanted) if with_gradient else len(self.outputs)
        return Batched(run, outputs, columns, self._summed(varying, with_gradient))

    def _batch_inputs(self, leaves: Leaves, count: int) -> list[Any]:
        """Returns the inputs of what `_function_of` returns."""
        if is_watched():
            return list(leaves)
        return self._inputs(leaves, drawn(self.trace.draws, count))

    @staticmethod
    def _shared(function: Batched, inputs: Sequence[Any]) -> array[float]:
        """Returns the inputs that all samples share."""
        varying = set(function.varying)
        return array("d", [x for i, x in enumerate(inputs) if i not in varying])

    def _recipe(self, function: Batched, with_gradient: bool) -> Shared:
        """Returns what workers make the function of."""
        key = tuple(function.varying), with_gradient
        if key not in self._recipes:
            tape = self._kernel(with_gradient).tape
            found = Recipe(tape, function.varying, function.summed, recall.own_rows(tape))
            self._recipes[key] = Shared(found)
        return self._recipes[key]

    def _run_eagerly(self, values: Sequence[Value]) -> list[Value]:
        """Returns the results of the function itself, not compiled, flat."""
        args, kwargs = arguments(self.structure, values)
        result = self._function(*args, **kwargs)
        leaves = leaves_of(self._result, result)
        return [x if isinstance(x, Value) else Value(float(x)) for x in leaves]

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

    def _inputs(self, leaves: Sequence[Any], draws: Sequence[Any]) -> list[Any]:
        """Returns the inputs of a kernel: arguments, present parameters, and what was drawn."""
        parameters = [leaf.data for leaf in self.trace.parameters]
        read: dict[str, Sequence[Any]] = {"input": leaves, "parameter": parameters, "draw": draws}
        return [read[op][k] for op, (k,) in self._reads]

    def batched(self, varying: tuple[bool, ...], with_gradient: bool) -> Batched:
        """Returns the program for columns; ``varying`` says which arguments are columns."""
        if (varying, with_gradient) not in self._batched:
            columns = [i for i, (op, (k,)) in enumerate(self._reads)
                       if op == "draw" or (op == "input" and varying[k])]
            summed = self._summed(varying, with_gradient)
            found = batched(self._kernel(with_gradient), columns, summed)
            self._batched[varying, with_gradient] = found
        return self._batched[varying, with_gradient]

    def _summed(self, varying: tuple[bool, ...], with_gradient: bool) -> list[int]:
        """Returns the outputs that are sums: derivatives with respect to shared numbers."""
        parameters = [False] * len(self.trace.parameters)
        return [k for k, varies in enumerate((*varying, *parameters), 1)
                if with_gradient and not varies]

    def accumulate(self, slopes: Sequence[float]) -> None:
        """Adds the derivatives to ``.grad`` of the parameters."""
        parameters = self.trace.parameters
        sums = [leaf.grad + slope for leaf, slope in zip(parameters, slopes)]
        graph.assign_grads(parameters, sums)

    def result(self, numbers: Sequence[float]) -> Any:
        """Returns the numbers in the structure of the function's result.

        The results of comparisons are booleans, or columns of 1.0 and 0.0.
        """
        if any(self._booleans):
            numbers = [bool(x) if is_boolean and x.__class__ is float else x
                       for x, is_boolean in zip(numbers, self._booleans)]
        return unflatten(self._result, iter(numbers))

    @property
    def returned(self) -> Structure:
        """The structure of the result."""
        return self._result

    @functools.cached_property
    def slopes(self) -> Structure:
        """The structure of the gradient."""
        args, kwargs = split(self.structure, map(differentiable, self.structure[0]))
        part = args[0] if len(args) == 1 else ("tuple", len(args), tuple(args))
        if not kwargs:
            return part
        named = "dict", StaticValue(tuple(kwargs)), tuple(kwargs.values())
        return "tuple", 2, (("tuple", len(args), tuple(args)), named)

    def differentiated(self, outputs: Sequence[Any], out: Any = None) -> tuple[Any, Any]:
        """Returns the value, and the derivatives in the structure of the arguments.

        The derivative of what is static is None; those of parameters are accumulated, unless they
        are None.

        out: what is returned in the place of columns of derivatives.
        """
        value, *slopes = outputs
        sums = slopes[len(self.trace.inputs):]
        if None not in sums:
            self.accumulate(sums)
        return value, filled(self.slopes, out, iter(slopes))


def _program_of(jitted: Any, names: Sequence[str], structure: Structure) -> Program:
    return Program(jitted.function, names, structure)


def check_differentiable(structure: Structure, name: str) -> None:
    """Raises TypeError if one of the numbers is static, because no float is equal to it."""
    for part in structure[0]:
        if (x := static_number(part)) is not None:
            raise TypeError(
                f"{name} cannot be differentiated with respect to {short_repr(x)}, which "
                "is part of the program because no float is equal to it; pass float(x)"
            )


def matrix(structure: Structure, rows: list[list[Any]]) -> Any:
    """Returns a matrix as a list of rows, or as an array if there is one among the arguments."""
    if not any(map(has_array, structure[0])):
        return rows
    return array_of([x for row in rows for x in row], (len(rows), len(rows)))


def arguments(structure: Structure, numbers: Iterable[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a structure with these numbers: positional ones, and keywords."""
    leaves = iter(numbers)
    return split(structure, [unflatten(part, leaves) for part in structure[0]])


def split(structure: Structure, parts: Iterable[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Returns the positional and the keyword arguments among something for each argument."""
    parts = list(parts)
    names = structure[1]
    count = len(parts) - len(names)
    return parts[:count], dict(zip(names, parts[count:]))


def lengths(leaves: Sequence[float | Column | memoryview]) -> tuple[tuple[bool, ...], int]:
    """Returns which leaves are columns, and the length of the columns.

    Raises ValueError if they differ in length.
    """
    varying = tuple([is_column_leaf(leaf) for leaf in leaves])
    lengths = sorted({len(leaf) for leaf in leaves if is_column_leaf(leaf)})
    if len(lengths) > 1:
        raise ValueError(
            f"the columns differ in length: {', '.join(map(str, lengths))}; give every sample one "
            "number in each column"
        )
    return varying, lengths[0]


def function_name(f: Callable[..., Any], kind: str = "__name__") -> str:
    """Returns the name of a function, or of the class of another callable object."""
    return str(getattr(f, kind, None) or getattr(f, "name", None) or type(f).__name__)


def drawn(draws: Sequence[Callable[[], float]], count: int) -> list[array[float]]:
    """Returns a column for each of the draws, drawn sample by sample."""
    columns = [array("d", bytes(8 * count)) for _ in draws]
    for k in range(count if draws else 0):
        for column_, draw in zip(columns, draws):
            column_[k] = draw()
    return columns
