"""The samples of a training, compiled: the loss of one, with its gradient, for each structure that
samples have.

It is compiled for all samples of a batch at once, or, if it is long, for the tape machine, one
sample after the other.
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
from ..jit.languages import llvm
from ..jit.languages.emitter import LANES
from ..jit.running.backend import is_compiled
from ..jit.running.machine import Machine
from ..jit.running.memory import Room, pointers
from ..jit.structure import Structure, flatten, outputs
from ..jit.structure import unflatten as build
from ..jit.tape.gradient import Graph
from ..jit.tape.operations import SOURCES
from ..jit.trace import Trace
from ..jit.traced import STATIC
from ..jit.tracing import record_trace


def is_plain(samples: Any) -> bool:
    """Whether samples stay the same when they are asked for again: a list, a tuple or an array."""
    return samples.__class__ in (list, tuple, array) or hasattr(samples, "__array_interface__")


def structures(X: Sequence[Any], y: Sequence[Any], most: int) -> int:
    """How many structures the samples have, each of which is compiled by itself; ``most`` samples
    are looked at."""
    try:
        return len({flatten((X[i], y[i]), "a sample", []) for i in range(min(len(X), most))})
    except TypeError:  # something else than numbers, which is said when it is compiled
        return 0


@contextmanager
def eager_instead() -> Iterator[None]:
    """Within the block, errors advise the eager engine, and not static arguments, which `fit` has
    none of."""
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
    """How many numbers fill up the last block of vectors."""
    return -(-count // LANES) * LANES


def places_of(trace: Trace, trained: Sequence[Value]) -> list[int]:
    """The nodes of the trained parameters; those that the function does not use become nodes, too.
    """
    return [int(trace.operand(parameter)) for parameter in trained]


def others(trace: Trace, places: Sequence[Any]) -> list[int]:
    """The parameters of a trace that are used, and not trained."""
    passed = {*range(len(trace.nodes))} - operands_of(trace) | set(places)
    return [i for i, (op, _) in enumerate(trace.nodes) if op == "parameter" and i not in passed]


def operands_of(trace: Trace) -> set[int]:
    """The nodes that are operands of others."""
    return {
        arg for op, args in trace.nodes if op not in SOURCES for arg in args if arg.__class__ is int
    }


class Loss:
    """The loss of a sample of one structure, and its gradient by the trained parameters, compiled.

    Its inputs: the trained parameters, in whole blocks; other leaves, as they are at each step; the
    factor 1 / (samples in the batch); and what varies from sample to sample: the sample's numbers
    and what is drawn for it.
    """

    def __init__(
        self,
        sample: Callable[[Any, Any], tuple[Any, Any]],
        structure: Structure,
        count: int,
        trained: Sequence[Value],
        with_prediction: bool,
    ) -> None:
        names = [f"x{i}" for i in range(count)]
        self._record = partial(
            record_trace,
            sample,
            names,
            lambda values: (build(structure, iter(values)), {}),
            unchanged="the model or the loss",
        )
        self._trained = trained
        with eager_instead():
            self.trace, (loss, prediction) = self._record()
        root = self.trace.operand(loss)
        inner = operands_of(self.trace)
        places = places_of(self.trace, trained)
        self.depends = root.__class__ is int and not inner.isdisjoint(places)
        returned: list[Any] = []
        self._prediction: Structure = None
        if with_prediction:
            returned, self._prediction = outputs(prediction, self.trace.operand)
        kinds = [op for op, _ in self.trace.nodes]
        fixed = others(self.trace, places)
        self.fixed = [self.trace.parameters[self.trace.nodes[i][1][0]] for i in fixed]
        self.draws = self.trace.draws
        varying = [
            *[i for i, op in enumerate(kinds) if op == "input"],
            *[i for i, op in enumerate(kinds) if op == "draw"],
        ]
        padded = [*places, *[None] * (whole_blocks(len(places)) - len(places))]
        graph = Graph(self.trace, [*padded, *fixed, None, *varying])
        self.first = len(padded)  # where the other leaves begin
        self.scale = self.first + len(fixed)
        sums = [graph.register(root), *graph.gradient(root, places, seed=self.scale)]
        tape = graph.tape([*sums, *map(graph.register, returned)])
        self._shape = outputs(prediction, lambda x: x)[1]
        self.varying, self.returned, self.summed = len(varying), len(returned), len(sums)
        self.batch: llvm.Batch | None = None
        self.machine: Machine | None = None
        if is_compiled(tape):
            columns = list(range(self.scale + 1, self.scale + 1 + len(varying)))
            self.batch = llvm.Batch(tape, columns, list(range(len(sums))))
            self.room = len(self.batch.slots)
            self.scratch = Room(self.batch.scratch)
        else:
            self.machine = Machine(tape)
            self.room = self.scale + 1 + len(varying)
            self.outputs = Room(len(tape.outputs))

    def is_current(self) -> bool:
        """Whether model and loss are still the program that was compiled."""
        trace, _ = self._record(check=False)
        places_of(trace, self._trained)
        return self.trace.difference(trace) is None

    def check(self, loss: Callable[[Any, Any], Any], target: Any) -> None:
        """Raises the ValueError of a loss that refuses this target, which it does not see while it
        is traced."""
        try:
            loss(build(self._shape, repeat(1.0)), target)
        except ValueError:
            raise
        except Exception:  # something about the prediction, which is none
            return

    def prediction(self, numbers: Sequence[float]) -> Any:
        """The prediction of one sample, as the model returns it."""
        return build(self._prediction, map(Value, numbers))


class Group:
    """Those samples of a batch that have one structure; ``members`` are their positions in the
    batch."""

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        self.loss, self.members, self._numbers = loss, members, numbers
        self.drawn: list[list[float]] = [[] for _ in members]  # what was drawn for each sample

    def set(self, parameters: Room, scale: float) -> None:
        """Writes behind the parameters what a program reads there."""
        parameters.write(self.loss.first, [*[float(leaf.data) for leaf in self.loss.fixed], scale])


class BatchGroup(Group):
    """Such samples, for a compiled batch: column by column in whole blocks, the last sample
    repeated."""

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        super().__init__(loss, members, numbers)
        assert loss.batch is not None
        self._batch, count = loss.batch, len(members)
        self._padded = padded = whole_blocks(count)
        self.blocks, self.valid = padded // LANES, count - padded + LANES
        self._room, self._results = Room(padded * loss.varying), Room(padded * loss.returned)
        for k, column in enumerate(zip(*numbers)):
            self._write(k, column)
        inputs = [self._room.at + 8 * padded * k for k in range(loss.varying)]
        results = [self._results.at + 8 * padded * k for k in range(loss.returned)]
        last = 8 * (padded - LANES)
        self.whole = pointers(inputs), pointers(results)
        self.tail = pointers([at + last for at in inputs]), pointers([at + last for at in results])

    def _write(self, k: int, column: Sequence[float]) -> None:
        self._room.write(self._padded * k, [*column, *[column[-1]] * (self._padded - len(column))])

    def calls(self) -> list[tuple[int, ...]]:
        """The calls of the compiled batch: columns, results, blocks, and how many samples of the
        last block count."""
        whole = self.blocks if self.valid == LANES else self.blocks - 1
        calls: list[tuple[int, ...]] = []
        if whole:
            calls.append((*map(ctypes.addressof, self.whole), whole, LANES))
        if self.valid < LANES:
            calls.append((*map(ctypes.addressof, self.tail), 1, self.valid))
        return calls

    def run(self, parameters: Room, totals: Room, error: Room) -> list[Any]:
        """Adds loss and gradient to ``totals``; returns the predictions."""
        loss = self.loss
        for j in range(len(loss.draws)):
            self._write(loss.varying - len(loss.draws) + j, [drawn[j] for drawn in self.drawn])
        for columns, results, blocks, valid in self.calls():
            self._batch.run(
                parameters.at, columns, results, loss.scratch.at, totals.at, blocks, valid, error.at
            )
        self._batch.check(error.at)
        if not loss.returned:
            return []
        count = len(self.members)
        starts = [self._padded * k for k in range(loss.returned)]
        return [
            loss.prediction(numbers)
            for numbers in zip(*[self._results.read(at, at + count) for at in starts])
        ]


class MachineGroup(Group):
    """Such samples for the tape machine."""

    def run(self, parameters: Room, totals: Room, error: Room) -> list[Any]:
        """Adds loss and gradient to ``totals``; returns the predictions."""
        loss, found = self.loss, []
        machine = loss.machine
        assert machine is not None
        for numbers, drawn in zip(self._numbers, self.drawn):
            parameters.write(loss.scale + 1, [*numbers, *drawn])
            if not loss.returned:
                machine.fill(parameters.at, totals.at)
                continue
            # the outputs are the loss, the gradient and the prediction, in one piece
            count = loss.summed
            ctypes.memmove(loss.outputs.at, totals.at, 8 * count)
            loss.outputs.write(count, [0.0] * loss.returned)
            machine.fill(parameters.at, loss.outputs.at)
            ctypes.memmove(totals.at, loss.outputs.at, 8 * count)
            found.append(loss.prediction(loss.outputs.read(count, count + loss.returned)))
        error[1] = machine.flags[1]
        return found


class Plan:
    """What is to be done for the samples of a batch."""

    def __init__(
        self, indices: tuple[int, ...], samples: Sequence[tuple[Loss, array[float]]]
    ) -> None:
        self.indices, self.count, self.scale = indices, len(indices), 1.0 / len(indices)
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
        """Draws for each sample in the order of the batch, as the eager engine comes to them."""
        order = sorted(
            [(k, group, at) for group in self.groups for at, k in enumerate(group.members)],
            key=lambda entry: entry[0],
        )
        for _, group, at in order:
            group.drawn[at] = [draw() for draw in group.loss.draws]
