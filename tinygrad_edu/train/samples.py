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
from itertools import repeat
from typing import Any

from ..engine.value import Value
from ..jit.languages.emitter import LANES
from ..jit.running.backend import is_compiled
from ..jit.running.machine import Machine
from ..jit.running.memory import AlignedBuffer, pointers
from ..jit.running.straight_line import Batch
from ..jit.structure import Structure, flatten, outputs, unflatten
from ..jit.tape.gradient import Graph
from ..jit.tape.operations import SOURCES
from ..jit.trace import Trace
from ..jit.traced import STATIC
from ..jit.tracing import Arguments, record_trace


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


def whole_blocks(count: int) -> int:
    """Returns ``count``, rounded up to whole blocks of `LANES` numbers."""
    return -(-count // LANES) * LANES


def nodes_of(trace: Trace, kind: str) -> list[int]:
    """Returns the nodes of one kind: "input", "parameter" or "draw"."""
    return [i for i, (op, _) in enumerate(trace.nodes) if op == kind]


def parameter_nodes(trace: Trace, trained: Sequence[Value]) -> list[int]:
    """Returns the nodes of the trained parameters; makes nodes of those that are not used."""
    return [int(trace.operand(parameter)) for parameter in trained]


def untrained_nodes(trace: Trace, places: Sequence[Any]) -> list[int]:
    """Returns the nodes of the leaves that are used, but not trained."""
    passed = {*range(len(trace.nodes))} - operands_of(trace) | set(places)
    return [i for i in nodes_of(trace, "parameter") if i not in passed]


def operands_of(trace: Trace) -> set[int]:
    """Returns the nodes that are operands of other nodes."""
    return {
        arg for op, args in trace.nodes if op not in SOURCES for arg in args if arg.__class__ is int
    }


class Program:
    """A traced loss or penalty, and the layout of its inputs.

    The inputs are the trained parameters, in whole blocks; other leaves, which are read again at
    each step; and what varies: the numbers of a sample, and random numbers.

    root      the operand that is the loss
    places    the nodes of the trained parameters
    depends   whether the loss uses a trained parameter
    fixed     the other leaves
    first     the position of the first of them among the inputs
    draws     the functions that draw the random numbers
    varying   how many inputs vary
    """

    def __init__(
        self,
        function: Callable[..., tuple[Any, Any]],
        names: Sequence[str],
        arguments: Arguments,
        trained: Sequence[Value],
        what: str,
    ) -> None:
        self._record = partial(record_trace, function, names, arguments, unchanged=what)
        self._trained = trained
        with advising_eager():
            self.trace, (loss, self.traced_prediction) = self._record()
        self.root = self.trace.operand(loss)
        inner = operands_of(self.trace)
        self.places = parameter_nodes(self.trace, trained)
        self.depends = self.root.__class__ is int and not inner.isdisjoint(self.places)
        self.draws = self.trace.draws

    def lay_out(self, *holes: None) -> Graph:
        """Returns the graph with its inputs; ``holes`` are inputs before those that vary."""
        trace = self.trace
        fixed = untrained_nodes(trace, self.places)
        self.fixed = [trace.parameters[trace.nodes[i][1][0]] for i in fixed]
        varying = [*nodes_of(trace, "input"), *nodes_of(trace, "draw")]
        self.varying = len(varying)
        self.first = whole_blocks(len(self.places))
        padding = [None] * (self.first - len(self.places))
        return Graph(trace, [*self.places, *padding, *fixed, *holes, *varying])

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
        prediction = self.traced_prediction
        returned: list[Any] = []
        self._prediction: Structure = None
        if with_prediction:
            returned, self._prediction = outputs(prediction, self.trace.operand)
        graph = self.lay_out(None)
        self.scale = self.first + len(self.fixed)
        sums = [graph.register(self.root), *graph.gradient(self.root, self.places, seed=self.scale)]
        tape = graph.tape([*sums, *map(graph.register, returned)])
        self._shape = outputs(prediction, lambda x: x)[1]
        self.returned = len(returned)
        self.summed = len(sums)
        self.batch: Batch | None = None
        self.machine: Machine | None = None
        self.buffer_size = self.scale + 1 + self.varying
        if is_compiled(tape):
            columns = list(range(self.scale + 1, self.buffer_size))
            self.batch = Batch(tape, columns, list(range(len(sums))))
            self.buffer_size = len(self.batch.slots)
            self.scratch = AlignedBuffer(self.batch.scratch)
        else:
            self.machine = Machine(tape)
            self.outputs = AlignedBuffer(len(tape.outputs))

    def check(self, loss: Callable[[Any, Any], Any], target: Any) -> None:
        """Raises ValueError if the loss rejects this target; a traced loss does not see it."""
        try:
            loss(unflatten(self._shape, repeat(1.0)), target)
        except ValueError:
            raise
        except Exception:  # the prediction of ones is not a real one
            return

    def prediction(self, numbers: Sequence[float]) -> Any:
        """Returns the prediction of one sample, in the structure that the model returns."""
        return unflatten(self._prediction, map(Value, numbers))


class Group:
    """The samples of a batch that have one structure; ``members`` are their positions in it."""

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        self.loss = loss
        self.members = members
        self._numbers = numbers
        self.drawn: list[list[float]] = [[] for _ in members]  # what was drawn for each sample

    def set(self, parameters: AlignedBuffer, scale: float) -> None:
        """Writes the program's other inputs behind the parameters."""
        parameters.write(self.loss.first, [*[float(leaf.data) for leaf in self.loss.fixed], scale])


class BatchGroup(Group):
    """A group for a compiled batch: columns in whole blocks, filled up with the last sample."""

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        super().__init__(loss, members, numbers)
        assert loss.batch is not None
        self._batch = loss.batch
        count = len(members)
        self._padded = padded = whole_blocks(count)
        self.blocks = padded // LANES
        self.valid = count - padded + LANES
        self._columns = AlignedBuffer(padded * loss.varying)
        self._results = AlignedBuffer(padded * loss.returned)
        for k, column in enumerate(zip(*numbers)):
            self._write(k, column)
        inputs = [self._columns.address + 8 * padded * k for k in range(loss.varying)]
        results = [self._results.address + 8 * padded * k for k in range(loss.returned)]
        last = 8 * (padded - LANES)
        self.whole = pointers(inputs), pointers(results)
        self.tail = pointers([at + last for at in inputs]), pointers([at + last for at in results])

    def _write(self, k: int, column: Sequence[float]) -> None:
        padding = [column[-1]] * (self._padded - len(column))
        self._columns.write(self._padded * k, [*column, *padding])

    def calls(self) -> list[tuple[int, ...]]:
        """Returns the calls of the compiled batch: for full blocks, and for the rest.

        Each is the columns, the results, the blocks (which may be 0), and the samples that count
        in the last block.
        """
        rest = int(self.valid < LANES)
        return [
            (*map(ctypes.addressof, self.whole), self.blocks - rest, LANES),
            (*map(ctypes.addressof, self.tail), rest, self.valid),
        ]

    def run(
        self, parameters: AlignedBuffer, totals: AlignedBuffer, error: AlignedBuffer
    ) -> list[Any]:
        """Adds loss and gradient to ``totals``, and returns the predictions."""
        loss = self.loss
        for j in range(len(loss.draws)):
            self._write(loss.varying - len(loss.draws) + j, [drawn[j] for drawn in self.drawn])
        scratch = loss.scratch.address
        for columns, results, blocks, valid in self.calls():
            if blocks:
                self._batch.run(
                    parameters.address, columns, results, scratch, totals.address, blocks, valid,
                    error.address,
                )
        self._batch.check(error.address)
        if not loss.returned:
            return []
        count = len(self.members)
        starts = [self._padded * k for k in range(loss.returned)]
        return [
            loss.prediction(numbers)
            for numbers in zip(*[self._results.read(at, at + count) for at in starts])
        ]


class MachineGroup(Group):
    """A group for the tape machine."""

    def run(
        self, parameters: AlignedBuffer, totals: AlignedBuffer, error: AlignedBuffer
    ) -> list[Any]:
        """Adds loss and gradient to ``totals``, and returns the predictions."""
        loss = self.loss
        found: list[Any] = []
        machine = loss.machine
        assert machine is not None
        for numbers, drawn in zip(self._numbers, self.drawn):
            parameters.write(loss.scale + 1, [*numbers, *drawn])
            if not loss.returned:
                machine.fill(parameters.address, totals.address)
                continue
            # the outputs are the loss, the gradient and the prediction, in one buffer
            count = loss.summed
            ctypes.memmove(loss.outputs.address, totals.address, 8 * count)
            loss.outputs.write(count, [0.0] * loss.returned)
            machine.fill(parameters.address, loss.outputs.address)
            ctypes.memmove(totals.address, loss.outputs.address, 8 * count)
            found.append(loss.prediction(loss.outputs.read(count, count + loss.returned)))
        error[1] = machine.flags[1]
        return found


class Plan:
    """The samples of a batch in groups, with their programs."""

    def __init__(
        self, indices: tuple[int, ...], samples: Sequence[tuple[Loss, array[float]]]
    ) -> None:
        self.indices = indices
        self.count = len(indices)
        self.scale = 1.0 / len(indices)
        members: dict[Loss, list[int]] = {}
        for k, (loss, _) in enumerate(samples):
            members.setdefault(loss, []).append(k)
        self.groups: list[Any] = [
            (MachineGroup if loss.batch is None else BatchGroup)(
                loss, at, [samples[k][1] for k in at]
            )
            for loss, at in members.items()
        ]
        self.draws = any(loss.draws for loss in members)

    def draw(self) -> None:
        """Draws random numbers in the order of the samples, as the eager engine does."""
        order = sorted(
            [(k, group, at) for group in self.groups for at, k in enumerate(group.members)],
            key=lambda entry: entry[0],
        )
        for _, group, at in order:
            group.drawn[at] = [draw() for draw in group.loss.draws]
