"""Compiled losses of samples: one program, with its gradient, for each structure of samples.

The program runs on all samples of a batch at once or, if it is long, on one sample after the other
by the tape machine.
"""

from __future__ import annotations

import ctypes
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from typing import Any

from ...data.checks import NO_SLOPE, Rows
from ...data.summation import BLOCK, LANES
from ...engine.arrays import is_array
from ...engine.value import Value
from ...jit.running import recall
from ...jit.running.backend import is_compiled
from ...jit.running.machine import Machine
from ...jit.running.memory import AlignedBuffer, pointers
from ...jit.running.straight_line import Batch
from ...jit.state import State
from ...jit.structure import Structure, flatten, leaf_names, outputs, unflatten
from ...jit.tape.gradient import value_and_gradient
from ...jit.tape.operations import SOURCES
from ...jit.tape.tape import Tape
from ...jit.trace import Trace
from ...jit.traced import STATIC
from ...jit.tracing import Arguments, difference, record_trace
from ...optim.parameters import read_numbers
from .buffers import Buffers, whole_vectors


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
        self.returned = len(returned)
        self.summed = len(tape.outputs) - self.returned
        self.numbers_at = self.buffer_size - self.varying
        self.batch: Batch | None = None
        self.machine: Machine | None = None
        if is_compiled(tape):
            columns = list(range(self.numbers_at, self.buffer_size))
            self.batch = Batch(tape, columns, list(range(self.summed)))
            self.buffer_size = self.batch.slots
            self.scratch = AlignedBuffer(self.batch.scratch)
        else:
            self.machine = Machine(tape)
            self.outputs = AlignedBuffer(len(tape.outputs))

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


class Group:
    """The samples of a batch that have one structure.

    numbers: the numbers of each sample of the batch.
    drawn: what was drawn for each sample.
    vectors: for each vector, the sample in each lane; None if that is of another structure, or
        missing.
    """

    def __init__(
        self,
        loss: Loss,
        numbers: Sequence[Sequence[float]],
        vectors: Sequence[Sequence[int | None]],
    ) -> None:
        self.loss = loss
        self.numbers = numbers
        self.drawn: Sequence[list[float]] = [[]] * len(numbers)
        self.vectors = vectors

    def prepare(self, parameters: AlignedBuffer) -> None:
        """Writes the program's other inputs behind the parameters."""
        parameters.write(self.loss.first, read_numbers(self.loss.fixed, "data"))

    def run(self, buffers: Buffers, vector: int) -> None:
        """Adds the losses and gradients of the samples of a vector."""
        raise NotImplementedError

    def predictions(self) -> Iterable[tuple[int, Any]]:
        """Returns the samples with their predictions, if the program returns them."""
        raise NotImplementedError


class BatchGroup(Group):
    """A group for a compiled batch, which runs on vectors.

    A lane without a sample is filled with a copy of another one.  The columns of the results follow
    those of the inputs.

    vectors: as for `Group`; empty if there is no other group.
    whole: the number of vectors without an empty lane, if there is no other group.
    tail: the mask of the vector behind them, or 0.
    """

    def __init__(
        self,
        loss: Loss,
        numbers: Sequence[Sequence[float]],
        vectors: Sequence[Sequence[int | None]] = (),
    ) -> None:
        super().__init__(loss, numbers, vectors)
        self.whole, rest = divmod(len(numbers), LANES)
        self.tail = (1 << rest) - 1
        self._members = [*range(len(numbers)), *[len(numbers) - 1] * (-rest % LANES)]
        if vectors:
            self._members = []
            for vector in vectors:
                some = next(i for i in vector if i is not None)
                self._members += [some if i is None else i for i in vector]
        self._columns = AlignedBuffer(len(self._members) * (loss.varying + loss.returned))
        self._write(0, [numbers[i] for i in self._members])
        self._pointers: dict[int, Any] = {}

    def addresses(self, vector: int) -> list[int]:
        """Returns the addresses of the pointers to the columns, and to the results, of a vector."""
        varying = self.loss.varying
        if vector not in self._pointers:
            first = self._columns.address + 8 * LANES * vector
            size = 8 * len(self._members)
            ends = range(first, first + (varying + self.loss.returned) * size, size)
            self._pointers[vector] = pointers(ends)
        at = ctypes.addressof(self._pointers[vector])
        return [at, at + 8 * varying]

    def _write(self, k: int, rows: Sequence[Sequence[float]]) -> None:
        """Writes a row of numbers for each sample, of which the first is in column ``k``."""
        self._columns.write(len(self._members) * k, [*chain(*zip(*rows))])

    def prepare(self, parameters: AlignedBuffer) -> None:
        super().prepare(parameters)
        if draws := len(self.loss.draws):
            self._write(self.loss.varying - draws, [self.drawn[i] for i in self._members])

    def run(self, buffers: Buffers, vector: int) -> None:
        lanes = enumerate(self.vectors[vector])
        self._run(buffers, vector, mask=sum(1 << lane for lane, i in lanes if i is not None))

    def run_all(self, buffers: Buffers) -> None:
        """Adds the losses and gradients of all samples, if there is no other group."""
        if self.whole:
            self._run(buffers, 0, self.whole)
        if self.tail:
            self._run(buffers, self.whole, mask=self.tail)

    def _run(self, buffers: Buffers, start: int, count: int = 1, mask: int = 0) -> None:
        batch = self.loss.batch
        assert batch is not None
        addresses = [
            buffers.parameters.address, *self.addresses(start), self.loss.scratch.address
        ]
        error = buffers.error.address
        if mask:
            buffers.sums.run_part(batch, addresses, mask, error)
        else:
            buffers.sums.run(batch, addresses, count, error)
        batch.check(error)

    def predictions(self) -> Iterable[tuple[int, Any]]:
        loss = self.loss
        count = len(self._members)
        starts = [count * (loss.varying + k) for k in range(loss.returned)]
        columns = [self._columns.read(at, at + count) for at in starts]
        rows = zip(*columns) if columns else repeat((), count)
        return zip(self._members, map(loss.prediction, rows))


class MachineGroup(Group):
    """A group for the tape machine, which runs sample after sample."""

    def run(self, buffers: Buffers, vector: int) -> None:
        self._predictions: dict[int, Any] = {} if vector == 0 else self._predictions
        for lane, i in enumerate(self.vectors[vector]):
            if i is not None:
                self._run(buffers, lane, i)

    def _run(self, buffers: Buffers, lane: int, i: int) -> None:
        loss = self.loss
        assert loss.machine is not None
        parameters = buffers.parameters
        parameters.write(loss.numbers_at, [*self.numbers[i], *self.drawn[i]])
        ctypes.memset(loss.outputs.address, 0, 8 * (loss.summed + loss.returned))
        loss.machine.fill(parameters.address, loss.outputs.address)  # which adds
        if len(self.numbers) == 1:
            ctypes.memmove(buffers.totals.address, loss.outputs.address, 8 * loss.summed)
        else:
            buffers.sums.put(loss.outputs.address, loss.summed, lane)
        if loss.predicts:
            found = loss.outputs.read(loss.summed, loss.summed + loss.returned)
            self._predictions[i] = loss.prediction(found)

    def predictions(self) -> Iterable[tuple[int, Any]]:
        return self._predictions.items()


class Plan:
    """The samples of a batch in groups, with their programs.

    only: the group, if there is just one, of a compiled batch.
    """

    def __init__(
        self, indices: tuple[int, ...], samples: Sequence[tuple[Loss, array[float]]]
    ) -> None:
        self.indices = indices
        self._losses = [loss for loss, _ in samples]
        numbers = [row for _, row in samples]
        loss = self._losses[0]
        self.only: BatchGroup | None = None
        # what is run, in order: a program, and which of its vectors; None at the end of a block
        self._order: list[tuple[Loss, int] | None] = []
        self._groups: dict[Loss, Group] = {}
        if loss.batch and self._losses.count(loss) == len(samples):
            self._groups[loss] = self.only = BatchGroup(loss, numbers)
        else:
            self._groups = {
                loss: (BatchGroup if loss.batch else MachineGroup)(loss, numbers, vectors)
                for loss, vectors in self._vectors().items()
            }
        self.draws = any(loss.draws for loss in self._groups)

    def _vectors(self) -> dict[Loss, list[list[int | None]]]:
        """Divides the samples into vectors, such that each lane keeps its order.

        It also notes the order in which they are run.
        """
        found: dict[Loss, list[list[int | None]]] = {loss: [] for loss in self._losses}
        count = len(self._losses)
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            lanes = [deque(range(start + lane, stop, LANES)) for lane in range(LANES)]
            while any(lanes):
                heads = [self._losses[lane[0]] if lane else None for lane in lanes]
                loss = Counter([head for head in heads if head]).most_common(1)[0][0]
                self._order.append((loss, len(found[loss])))
                found[loss].append([lane.popleft() if head is loss else None
                                    for lane, head in zip(lanes, heads)])
            self._order.append(None)
        return found

    def run(self, buffers: Buffers, drawn: Sequence[list[float]] = ()) -> list[Any]:
        """Sums losses and gradients, and returns the predictions.

        A prediction is None if the programs do not return it.  Random numbers are drawn, unless
        they are given for each sample.
        """
        if self.draws:  # in the order of the samples, as the eager engine does
            drawn = drawn or [[draw() for draw in loss.draws] for loss in self._losses]
            for group in self._groups.values():
                group.drawn = drawn
        buffers.sums.clear()
        if self.only:
            self.only.prepare(buffers.parameters)
            self.only.run_all(buffers)
        else:
            self._run_in_order(buffers)
        predictions: list[Any] = [None] * len(self.indices)
        for loss, group in self._groups.items():
            if loss.predicts:
                for i, prediction in group.predictions():
                    predictions[i] = prediction
        return predictions

    def _run_in_order(self, buffers: Buffers) -> None:
        before: Group | None = None
        for entry in self._order:
            if entry is None:
                buffers.sums.close()
                continue
            loss, vector = entry
            group = self._groups[loss]
            if group is not before:
                group.prepare(buffers.parameters)
                before = group
            group.run(buffers, vector)
