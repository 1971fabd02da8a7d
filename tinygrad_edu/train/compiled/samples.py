"""Compiled losses of samples: one program, with its gradient, for each structure of samples.

The program runs on all samples of a batch at once or, if it is long, on one sample after the other
by the tape machine.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from typing import Any

from ...engine.value import Value
from ...jit.languages.emitter import LANES
from ...jit.running.backend import is_compiled
from ...jit.running.machine import Machine
from ...jit.running.memory import AlignedBuffer, pointers
from ...jit.running.straight_line import Batch
from ...jit.structure import Structure, flatten, outputs, unflatten
from ...jit.tape.gradient import Graph
from ...jit.tape.operations import SOURCES
from ...jit.tape.tape import Tape
from ...jit.trace import Trace
from ...jit.traced import STATIC
from ...jit.tracing import Arguments, record_trace
from ...optim.parameters import read_numbers
from .buffers import Buffers, whole_blocks


def is_plain(samples: Any) -> bool:
    """Returns whether samples can be read once and kept: a list, a tuple or an array can."""
    return samples.__class__ in (list, tuple, array) or hasattr(samples, "__array_interface__")


def structures(X: Sequence[Any], y: Sequence[Any], most: int) -> int:
    """Returns the number of structures among the first ``most`` samples.

    Each structure is compiled by itself.
    """
    try:
        return len({flatten((X[i], y[i]), "a sample", []) for i in range(min(len(X), most))})
    except TypeError:  # samples that are not numbers; compiling them raises the error
        return 0


@contextmanager
def advising_eager() -> Iterator[None]:
    """Makes errors in the block advise the eager engine, because `fit` has no static arguments."""
    try:
        yield
    except TypeError as error:
        text = (
            str(error)
            .replace(STATIC, EAGER)
            .removeprefix("argument ")
            .partition("; if the shape")[0]
        )
        error.args = (text if EAGER in text else f"{text}, {EAGER}",)
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

    The inputs are the trained parameters, in whole blocks; other leaves, which are read again at
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
    ) -> None:
        self._record = partial(
            record_trace, function, names, arguments, unchanged=what, kind="numbers"
        )
        self._trained = trained
        with advising_eager():
            self.trace, (loss, self.traced_prediction) = self._record()
        trace = self.trace
        self._root = trace.operand(loss)
        inner = operands_of(trace)
        self._places = parameter_nodes(trace, trained)
        self.depends = self._root.__class__ is int and not inner.isdisjoint(self._places)
        self.draws = trace.draws
        self._fixed = untrained_nodes(trace, self._places)
        self.fixed = [trace.parameters[trace.nodes[i][1][0]] for i in self._fixed]
        self.first = whole_blocks(len(trained))

    def tape(self, returned: Sequence[Any] = (), scaled: bool = False) -> Tape:
        """Returns the tape of the loss, its gradient, and what else is ``returned``.

        If it is ``scaled``, the input before those that vary is a factor of the gradient.
        """
        trace = self.trace
        varying = [*nodes_of(trace, "input"), *nodes_of(trace, "draw")]
        self.varying = len(varying)
        padding = [None] * (self.first - len(self._places))
        inputs = [*self._places, *padding, *self._fixed, *[None] * scaled, *varying]
        self.buffer_size = len(inputs)
        graph = Graph(trace, inputs)
        seed = self.first + len(self._fixed) if scaled else None
        gradient = graph.gradient(self._root, self._places, seed)
        return graph.tape([graph.register(self._root), *gradient, *map(graph.register, returned)])

    def is_current(self) -> bool:
        """Returns whether the function still is the compiled program."""
        trace, _ = self._record(check=False)
        parameter_nodes(trace, self._trained)  # makes nodes of unused parameters, as in __init__
        return self.trace.difference(trace) is None


class Loss(Program):
    """The compiled loss of samples of one structure, with its gradient.

    The factor 1 / (samples in the batch) is the input before the numbers of the sample.
    """

    def __init__(
        self,
        sample: Callable[[Any, Any], tuple[Any, Any]],
        structure: Structure,
        count: int,
        trained: Sequence[Value],
        with_prediction: bool,
    ) -> None:
        super().__init__(
            sample,
            [f"x{i}" for i in range(count)],
            lambda values: (unflatten(structure, iter(values)), {}),
            trained,
            "the model or the loss",
        )
        returned, self._prediction = outputs(
            self.traced_prediction if with_prediction else (), self.trace.operand
        )
        tape = self.tape(returned, scaled=True)
        self._shape = outputs(self.traced_prediction, lambda x: x)[1]
        # numbers of targets that the loss accepts, for each structure
        self._accepted: dict[Structure, set[float]] = {}
        self.returned = len(returned)
        self.summed = len(tape.outputs) - self.returned
        self.numbers_at = self.buffer_size - self.varying
        self.batch: Batch | None = None
        self.machine: Machine | None = None
        if is_compiled(tape):
            columns = list(range(self.numbers_at, self.buffer_size))
            self.batch = Batch(tape, columns, list(range(self.summed)))
            self.buffer_size = len(self.batch.slots)
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
        return unflatten(self._prediction, map(Value, numbers))


class Group:
    """The samples of a batch that have one structure.

    members: their positions in the batch.
    """

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        self.loss = loss
        self.members = members
        self._numbers = numbers
        self.drawn: list[list[float]] = [[] for _ in members]  # what was drawn for each sample

    def set(self, parameters: AlignedBuffer, scale: float) -> None:
        """Writes the program's other inputs behind the parameters."""
        parameters.write(self.loss.first, [*read_numbers(self.loss.fixed, "data"), scale])


class BatchGroup(Group):
    """A group for a compiled batch: columns in whole blocks, filled up with the last sample.

    The columns of the results follow those of the inputs.  ``calls`` are the calls of the compiled
    batch, for full blocks, and for the rest.  Each is the addresses of the pointers to the inputs
    and to the results, the number of blocks (which may be 0), and the samples that count in the
    last block.
    """

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        super().__init__(loss, members, numbers)
        self._padded = padded = whole_blocks(len(members))
        self._columns = AlignedBuffer(padded * (loss.varying + loss.returned))
        self._write(0, numbers)
        self._pointers: list[Any] = []
        valid = len(members) - padded + LANES
        rest = int(valid < LANES)
        self.calls = [
            self._call(0, padded // LANES - rest, LANES),
            self._call(padded - LANES, rest, valid),
        ]

    def _call(self, start: int, blocks: int, valid: int) -> tuple[int, int, int, int]:
        if not blocks:
            return 0, 0, 0, 0
        loss = self.loss
        first = self._columns.address + 8 * start
        size = 8 * self._padded
        table = pointers(range(first, first + (loss.varying + loss.returned) * size, size))
        self._pointers.append(table)
        at = ctypes.addressof(table)
        return at, at + 8 * loss.varying, blocks, valid

    def _write(self, k: int, rows: Sequence[Sequence[float]]) -> None:
        """Writes a row of numbers for each sample, of which the first is in column ``k``."""
        padding = [rows[-1]] * (self._padded - len(rows))
        self._columns.write(self._padded * k, [*chain(*zip(*rows, *padding))])

    def run(self, buffers: Buffers, scale: float) -> list[Any]:
        """Adds loss and gradient to ``totals``, and returns the predictions."""
        loss = self.loss
        assert loss.batch is not None
        parameters = buffers.parameters
        self.set(parameters, scale)
        if loss.draws:
            self._write(loss.varying - len(loss.draws), self.drawn)
        uniform = parameters.address
        scratch = loss.scratch.address
        totals = buffers.totals.address
        error = buffers.error.address
        for columns, results, blocks, valid in self.calls:
            if blocks:
                loss.batch.run(uniform, columns, results, scratch, totals, blocks, valid, error)
        loss.batch.check(error)
        if not loss.returned:
            return []
        count = len(self.members)
        starts = [self._padded * (loss.varying + k) for k in range(loss.returned)]
        numbers = zip(*[self._columns.read(at, at + count) for at in starts])
        return list(map(loss.prediction, numbers))


class MachineGroup(Group):
    """A group for the tape machine."""

    def run(self, buffers: Buffers, scale: float) -> list[Any]:
        """Adds loss and gradient to ``totals``, and returns the predictions."""
        loss = self.loss
        machine = loss.machine
        assert machine is not None
        found: list[Any] = []
        # the machine adds to its outputs: the loss, the gradient and the prediction, in one buffer
        count = loss.summed
        totals = buffers.totals.address
        parameters = buffers.parameters
        self.set(parameters, scale)
        ctypes.memmove(loss.outputs.address, totals, 8 * count)
        for numbers, drawn in zip(self._numbers, self.drawn):
            parameters.write(loss.numbers_at, [*numbers, *drawn])
            loss.outputs.write(count, [0.0] * loss.returned)
            machine.fill(parameters.address, loss.outputs.address)
            if loss.returned:
                found.append(loss.prediction(loss.outputs.read(count, count + loss.returned)))
        ctypes.memmove(totals, loss.outputs.address, 8 * count)
        buffers.error[1] = machine.flags[1]
        return found


class Plan:
    """The samples of a batch in groups, with their programs."""

    def __init__(
        self, indices: tuple[int, ...], samples: Sequence[tuple[Loss, array[float]]]
    ) -> None:
        self.indices = indices
        self.scale = 1.0 / len(indices)
        self._losses = [loss for loss, _ in samples]
        members: dict[Loss, list[int]] = {}
        for k, loss in enumerate(self._losses):
            members.setdefault(loss, []).append(k)
        self.groups: list[BatchGroup | MachineGroup] = [
            (MachineGroup if loss.batch is None else BatchGroup)(
                loss, at, [samples[k][1] for k in at]
            )
            for loss, at in members.items()
        ]
        self.draws = any(loss.draws for loss in members)

    def run(self, buffers: Buffers) -> list[Any]:
        """Adds losses and gradients to ``totals``, and returns the predictions.

        A prediction is None if the programs do not return it.
        """
        if self.draws:  # in the order of the samples, as the eager engine does
            drawn = [[draw() for draw in loss.draws] for loss in self._losses]
            for group in self.groups:
                group.drawn = [drawn[k] for k in group.members]
        predictions: list[Any] = [None] * len(self.indices)
        for group in self.groups:
            for k, prediction in zip(group.members, group.run(buffers, self.scale)):
                predictions[k] = prediction
        return predictions
