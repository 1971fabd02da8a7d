"""Compiled losses of samples: one program, with its gradient, for each structure of samples.

`kernels` runs the programs, here or in workers.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import repeat
from typing import Any

from ...data.checks import NO_SLOPE, Rows
from ...engine.arrays import is_array
from ...engine.value import Value
from ...jit.running import recall
from ...jit.state import State
from ...jit.structure import Structure, flatten, leaf_names, outputs, unflatten
from ...jit.tape.gradient import value_and_gradient
from ...jit.tape.operations import SOURCES
from ...jit.tape.tape import Tape
from ...jit.trace import Trace
from ...jit.traced import STATIC
from ...jit.tracing import Arguments, difference, record_trace
from ...optim.parameters import read_numbers
from .buffers import whole_vectors
from .kernels import Kernel, Memory, NumberRows, Part, Samples


def is_plain(samples: Any) -> bool:
    """Returns whether samples can be read once and kept: a list, a tuple or an array can."""
    return samples.__class__ in (list, tuple, array, Rows) or is_array(samples)


@contextmanager
def advising_eager() -> Iterator[None]:
    """Makes errors in the block advise the eager engine, because `fit` has no static arguments."""
    try:
        yield
    except TypeError as error:
        text = (
            str(error)
            .replace(STATIC, EAGER)
            .replace("argument sample", "sample")
            .partition("; if the shape")[0]
        )
        is_known = EAGER in text or text.startswith("fit: ")
        error.args = (text if is_known else f"{text}, {EAGER}",)
        raise


EAGER = 'or train with engine="eager"'


def nodes_of(trace: Trace, kind: str) -> list[int]:
    """Returns the nodes of one kind: "input", "parameter" or "draw"."""
    return [i for i, (op, _) in enumerate(trace.nodes) if op == kind]


def parameter_nodes(trace: Trace, trained: Sequence[Value]) -> list[int]:
    """Returns the nodes of the trained parameters, and makes nodes of those that are not used."""
    return [int(trace.operand(parameter)) for parameter in trained]


def untrained_nodes(trace: Trace, places: Sequence[Any]) -> list[int]:
    """Returns the nodes of the leaves that are used, but not trained."""
    used = operands_of(trace).difference(places)
    return [i for i in nodes_of(trace, "parameter") if i in used]


def operands_of(trace: Trace) -> set[int]:
    """Returns the nodes that are operands of other nodes."""
    return {
        arg for op, args in trace.nodes if op not in SOURCES for arg in args if arg.__class__ is int
    }


class Program:
    """A traced loss or penalty, and the layout of its inputs.

    The inputs are the trained parameters, in whole vectors; other leaves, which are read again at
    each step; and what varies: the numbers of a sample, and random numbers.

    depends: whether the loss uses a trained parameter
    fixed: the other leaves
    first: the position of the first of them among the inputs
    draws: the functions that draw the random numbers
    varying: how many inputs vary
    buffer_size: how many inputs there are
    """

    def __init__(
        self,
        function: Callable[..., tuple[Any, Any]],
        names: Sequence[str],
        arguments: Arguments,
        trained: Sequence[Value],
        what: str,
        state: State | None,
    ) -> None:
        """``state``: what the function can reach now, if it is known."""
        self._record = partial(
            record_trace, function, names, arguments, unchanged=what, kind="numbers"
        )
        self._trained = trained
        with advising_eager():
            self.trace, (loss, self.traced_prediction) = self._record(check=False, state=state)
        trace = self.trace
        self._root = trace.operand(loss)
        if trace.is_condition(self._root):
            raise TypeError(f"fit: {what} must return one Value, not a comparison; {NO_SLOPE}")
        inner = operands_of(trace)
        self._places = parameter_nodes(trace, trained)
        self.depends = self._root.__class__ is int and not inner.isdisjoint(self._places)
        self.draws = trace.draws
        self._fixed = untrained_nodes(trace, self._places)
        self.fixed = [trace.parameters[trace.nodes[i][1][0]] for i in self._fixed]
        self.first = whole_vectors(len(trained))

    def tape(self, returned: Sequence[Any] = ()) -> Tape:
        """Returns the tape of the loss, its gradient, and what else is ``returned``."""
        trace = self.trace
        varying = [*nodes_of(trace, "input"), *nodes_of(trace, "draw")]
        self.varying = len(varying)
        padding = [None] * (self.first - len(self._places))
        inputs = [*self._places, *padding, *self._fixed, *varying]
        self.buffer_size = len(inputs)
        settings = self._root, self._places, returned, inputs
        return recall.tape(value_and_gradient, trace, *settings)

    def explain(self) -> None:
        """Raises the TraceError that tracing raises if it runs the function twice, if any.

        `Comparison` would notice whatever that notices, but could not say what it is.
        """
        self._record(check=True)

    def is_current(self) -> bool:
        """Returns whether the function still is the compiled program."""
        trace, _ = self._record(check=False)
        parameter_nodes(trace, self._trained)  # makes nodes of unused parameters, as in __init__
        self.draws = trace.draws
        return difference(self.trace, trace) is None


class Loss(Program):
    """The compiled loss of samples of one structure, with its gradient."""

    def __init__(
        self,
        sample: Callable[[Any, Any], tuple[Any, Any]],
        structure: Structure,
        trained: Sequence[Value],
        with_prediction: bool,
        state: State | None,
    ) -> None:
        x, target = structure[2]
        super().__init__(
            sample,
            [*leaf_names(x, "X[i]"), *leaf_names(target, "y[i]")],
            lambda values: (unflatten(structure, iter(values)), {}),
            trained,
            "the model or the loss",
            state,
        )
        returned, self._prediction = outputs(
            self.traced_prediction if with_prediction else (), self.trace.operand
        )
        tape = self.tape(returned)
        leaves, self._shape = outputs(self.traced_prediction, lambda x: x)
        # for each number of a prediction, the function that makes it of a float, or a plain number
        kinds: dict[bool, Any] = {True: float, False: Value}
        self._makers = [
            kinds[self.trace.is_number(leaf)] if isinstance(leaf, Value) else leaf
            for leaf in leaves
        ]
        self._is_made_of_values = all(make is Value for make in self._makers)  # the usual case
        # numbers of targets that the loss accepts, for each structure
        self._accepted: dict[Structure, set[float]] = {}
        self.predicts = with_prediction
        self.kernel = Kernel(tape, self.first, self.varying, len(self.draws), len(returned))
        self.buffer_size = self.kernel.buffer_size

    def accept(self, loss: Callable[[Any, Any], Any], target: Any) -> None:
        """Checks a target, which a traced loss does not see.

        The loss is called only for a target with a new number: the call takes longer than a
        compiled step, and losses reject single numbers, not combinations.

        Raises:
            ValueError: the loss rejects the target.
        """
        numbers: list[Any] = []
        met = self._accepted.setdefault(flatten(target, "target", numbers), set())
        if numbers and met.issuperset(numbers):
            return
        try:
            loss(unflatten(self._shape, repeat(1.0)), target)
        except ValueError:
            raise
        except Exception:  # the prediction of ones is not a real one
            pass
        met.update(numbers)

    def prediction(self, numbers: Sequence[float]) -> Any:
        """Returns the prediction of one sample, in the structure that the model returns."""
        if self._is_made_of_values:
            return unflatten(self._prediction, map(Value, numbers))
        made = (make(x) if callable(make) else make for make, x in zip(self._makers, numbers))
        return unflatten(self._prediction, made)


class Plan:
    """The samples of a batch, with their programs.

    programs: each of them once.
    draws: whether one of them draws random numbers.
    predicts: whether they return predictions.
    """

    def __init__(
        self, indices: tuple[int, ...], samples: Sequence[tuple[Loss, array[float]]]
    ) -> None:
        self.indices = indices
        self._losses = [loss for loss, _ in samples]
        self._numbers = [row for _, row in samples]
        self.programs = list(dict.fromkeys(self._losses))
        self.kernels = [loss.kernel for loss in self.programs]
        self.draws = any(loss.draws for loss in self.programs)
        self.predicts = self.programs[0].predicts

    @cached_property
    def size(self) -> int:
        """The bytes of the numbers of all samples."""
        return 8 * sum(map(len, self._numbers))

    @cached_property
    def _kinds(self) -> array[int]:
        if len(self.programs) == 1:
            return array("I", [0]) * len(self._losses)
        kinds = {loss: kind for kind, loss in enumerate(self.programs)}
        return array("I", map(kinds.__getitem__, self._losses))

    def _rows(self, numbers: Sequence[array[float]], widths: list[int], start: int, stop: int
              ) -> NumberRows:
        return NumberRows(b"".join(numbers[start:stop]), widths, self._kinds[start:stop])

    def samples(self, start: int, stop: int) -> Samples:
        """Returns the numbers of the samples from ``start`` to ``stop``, for the kernels."""
        widths = [kernel.varying - kernel.draws for kernel in self.kernels]
        return Samples(self._rows(self._numbers, widths, start, stop))

    @cached_property
    def part(self) -> Part:
        """All samples, to be run in this process."""
        return Part(self.kernels, self.samples(0, len(self.indices)))

    def fixed(self) -> list[array[float]]:
        """Returns the numbers of the leaves that are not trained, for each kernel."""
        return [array("d", read_numbers(loss.fixed, "data")) for loss in self.programs]

    def draw(self, given: Sequence[Sequence[float]] = ()) -> list[array[float]]:
        """Returns random numbers for each sample, drawn unless they are given.

        They are drawn in the order of the samples, as the eager engine does.
        """
        if not self.draws:
            return []
        given = given or [[draw() for draw in loss.draws] for loss in self._losses]
        return [array("d", numbers) for numbers in given]

    def drawn(self, numbers: Sequence[array[float]], start: int, stop: int) -> NumberRows | None:
        """Returns the random numbers of the samples from ``start`` to ``stop``, for the kernels."""
        if not numbers:
            return None
        return self._rows(numbers, [kernel.draws for kernel in self.kernels], start, stop)

    def outputs(self, numbers: bytes, start: int, stop: int) -> list[Sequence[float]]:
        """Returns the rows of numbers that the kernels returned for some samples."""
        widths = [kernel.returned for kernel in self.kernels]
        return [row.tolist() for row in NumberRows(numbers, widths, self._kinds[start:stop]).rows()]

    def run(self, buffers: Memory, drawn: Sequence[Sequence[float]] = ()) -> list[Any]:
        """Sums losses and gradients, and returns the predictions, if the programs return them.

        Random numbers are drawn, unless they are given for each sample.
        """
        numbers = self.drawn(self.draw(drawn), 0, len(self.indices))
        buffers.sums.clear()
        self.part.run(buffers, self.fixed(), numbers)
        return self.predictions(self.part.outputs() if self.predicts else [])

    def predictions(self, outputs: Sequence[Sequence[float]]) -> list[Any]:
        """Returns predictions, given the numbers of each; none of none."""
        return [loss.prediction(numbers) for loss, numbers in zip(self._losses, outputs)]
