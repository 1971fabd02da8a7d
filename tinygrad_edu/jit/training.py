"""The compiled engine of `fit`: parameters, gradients and the optimiser's state stand in contiguous arrays while it runs.

The loss of a sample is traced once for each structure that samples have, and compiled with its gradient: for all samples of a
batch at once, or, if it is long, for the tape machine, one sample after the other.  The optimiser's rule is traced, too:
it is the same `Optimizer.update` that runs on floats.  What a step changes exists twice; a step reads one copy and writes the
other, and counting the step is what makes the new one valid, so that an interrupt finds the old numbers or the new ones.
"""

from __future__ import annotations

import ctypes
import math
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any

from ..errors import TraceError
from ..optim import Optimizer, _assign, _numbers, _Used, clipped
from ..primitives import number, short_repr
from ..value import Value
from . import llvm, loop
from .backend import is_compiled
from .emitter import LANES
from .machine import Machine
from .memory import Room, pointers
from .structure import Structure, build, flatten, outputs
from .tape import SOURCES, Graph
from .trace import STATIC, Trace, record_trace


def is_plain(samples: Any) -> bool:
    """Whether samples stay the same when they are asked for again: a list, a tuple or an array."""
    return isinstance(samples, (list, tuple, array)) or hasattr(samples, "__array_interface__")


def structures(X: Sequence[Any], y: Sequence[Any], most: int) -> int:
    """How many structures the samples have, each of which is compiled by itself; ``most`` samples are looked at."""
    try:
        return len({flatten((X[i], y[i]), "a sample", []) for i in range(min(len(X), most))})
    except TypeError:  # something else than numbers, which is said when it is compiled
        return 0


@contextmanager
def _eager_instead() -> Iterator[None]:
    """Within the block, errors that advise static arguments, which `fit` has none of, advise the eager engine."""
    try:
        yield
    except TypeError as error:
        text = str(error).replace(STATIC, EAGER).removeprefix("argument ")
        error.args = (text.partition("; if the shape")[0] + f"; {EAGER}" if "; if the shape" in text else text,)
        raise


EAGER = 'or train with engine="eager"'
LOOKED_AT, VERIFIED = 64, 2_000  # samples among which `Engine.verify` looks for targets, and nodes that it computes eagerly


def _is_close(x: float, y: float, size: float) -> bool:
    """Whether two numbers differ by rounding alone, compared with a size; nan is nan, and inf is inf."""
    return abs(x - y) <= 1e-6 * size + 1e-12 or x == y or (x != x and y != y)


def _whole_blocks(count: int) -> int:
    return -(-count // LANES) * LANES


def _places(trace: Trace, trained: Sequence[Value]) -> list[int]:
    """The nodes of the trained parameters; those that the function does not use become nodes, too."""
    return [int(trace.operand(parameter)) for parameter in trained]


def _others(trace: Trace, places: Sequence[Any]) -> list[int]:
    """The parameters of a trace that are not trained."""
    trained = set(places)
    return [i for i, (op, _) in enumerate(trace.nodes) if op == "parameter" and i not in trained]


class Loss:
    """The loss of a sample of one structure, and its gradient by the trained parameters, compiled.

    Its inputs: the trained parameters, in whole blocks; other leaves, as they are at each step; the factor 1 / (samples in the
    batch); and what varies from sample to sample: the sample's numbers and what is drawn for it.
    """

    def __init__(self, sample: Callable[[Any, Any], tuple[Any, Any]], structure: Structure, count: int,
                 trained: Sequence[Value], with_prediction: bool, check: bool) -> None:
        names = [f"x{i}" for i in range(count)]
        self._run = partial(record_trace, sample, names, lambda values: (build(structure, iter(values)), {}))
        with _eager_instead():
            self.trace, (loss, prediction) = self._run(check=check)
        root = self.trace.operand(loss)
        inner = {arg for op, args in self.trace.nodes if op not in SOURCES for arg in args if arg.__class__ is int}
        places = _places(self.trace, trained)
        self.depends = root.__class__ is int and not inner.isdisjoint(places)
        returned: list[Any] = []
        self._prediction: Structure = None
        if with_prediction:
            returned, self._prediction = outputs(prediction, self.trace.operand)
        kinds = [op for op, _ in self.trace.nodes]
        fixed = _others(self.trace, places)
        self.fixed = [self.trace.parameters[self.trace.nodes[i][1][0]] for i in fixed]
        self.draws = self.trace.draws
        varying = [*[i for i, op in enumerate(kinds) if op == "input"], *[i for i, op in enumerate(kinds) if op == "draw"]]
        padded = [*places, *[None] * (_whole_blocks(len(places)) - len(places))]
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
        return self.trace.difference(self._run(check=False)[0]) is None

    def check(self, loss: Callable[[Any, Any], Any], target: Any) -> None:
        """Raises the ValueError of a loss that refuses this target, which it does not see while it is traced."""
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
    """Those samples of a batch that have one structure; ``members`` are their positions in the batch."""

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        self.loss, self.members, self._numbers = loss, members, numbers
        self.drawn: list[list[float]] = [[] for _ in members]  # what was drawn for each sample

    def set(self, parameters: Room, scale: float) -> None:
        """Writes behind the parameters what a program reads there."""
        parameters.write(self.loss.first, [*[float(leaf.data) for leaf in self.loss.fixed], scale])


class BatchGroup(Group):
    """Such samples, for a compiled batch: column by column in whole blocks, the last sample repeated."""

    def __init__(self, loss: Loss, members: list[int], numbers: list[array[float]]) -> None:
        super().__init__(loss, members, numbers)
        assert loss.batch is not None
        self._batch, count = loss.batch, len(members)
        self._padded = padded = _whole_blocks(count)
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
        """The calls of the compiled batch: columns, results, blocks, and how many samples of the last block count."""
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
            self._batch.run(parameters.at, columns, results, loss.scratch.at, totals.at, blocks, valid, error.at)
        self._batch.check(error.at)
        if not loss.returned:
            return []
        count = len(self.members)
        starts = [self._padded * k for k in range(loss.returned)]
        return [loss.prediction(numbers) for numbers in zip(*[self._results.read(at, at + count) for at in starts])]


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
            count = loss.summed  # the outputs are the loss, the gradient and the prediction, in one piece
            ctypes.memmove(loss.outputs.at, totals.at, 8 * count)
            loss.outputs.write(count, [0.0] * loss.returned)
            machine.fill(parameters.at, loss.outputs.at)
            ctypes.memmove(totals.at, loss.outputs.at, 8 * count)
            found.append(loss.prediction(loss.outputs.read(count, count + loss.returned)))
        error[1] = machine.flags[1]
        return found


class Plan:
    """What is to be done for the samples of a batch."""

    def __init__(self, indices: tuple[int, ...], samples: Sequence[tuple[Loss, array[float]]]) -> None:
        self.indices, self.count, self.scale = indices, len(indices), 1.0 / len(indices)
        members: dict[Loss, list[int]] = {}
        for k, (loss, _) in enumerate(samples):
            members.setdefault(loss, []).append(k)
        self.groups: list[Any] = [(MachineGroup if loss.batch is None else BatchGroup)(loss, at, [samples[k][1] for k in at])
                                  for loss, at in members.items()]
        self.draws = any(loss.draws for loss in members)

    def draw(self) -> None:
        """Draws for each sample in the order of the batch, as the eager engine comes to them."""
        order = sorted([(k, group, at) for group in self.groups for at, k in enumerate(group.members)],
                       key=lambda entry: entry[0])
        for _, group, at in order:
            group.drawn[at] = [draw() for draw in group.loss.draws]


class Engine:
    """`fit`'s steps, compiled.  Values are brought up to date by `sync`, and read again by `refresh`.

    Raises TraceError if the loss of the first sample, or the penalty, cannot be traced.
    """

    def __init__(self, model: Callable[[Any], Any], loss: Callable[[Any, Any], Any], X: Sequence[Any], y: Sequence[Any],
                 optimizer: Optimizer, penalty: Callable[[], Any] | None, with_predictions: bool) -> None:
        def sample(x: Any, target: Any) -> tuple[Any, Any]:
            prediction = model(x)
            return loss(prediction, target), prediction

        self._function, self._X, self._y = sample, X, y
        self._with_predictions = with_predictions
        self.optimizer, self.trained = optimizer, optimizer.params
        self._count = len(self.trained)
        self._blocks = _whole_blocks(self._count) // LANES
        self._losses: dict[Structure, Loss] = {}
        self._loss = loss
        self._accepted: dict[Any, set[float]] = {}  # numbers of targets that the loss does not refuse, for each structure
        self._samples: dict[int, tuple[Loss, array[float]]] = {}
        self._is_plain = is_plain(X) and is_plain(y)
        self._plan: Plan | None = None
        self.totals = Room(1 + _whole_blocks(self._count))  # the loss, and the gradient
        self._error = Room(2)
        self._done = Room(1)  # the steps made; counting one is what makes it valid
        self._since = optimizer.steps
        self._several: _Several | None = None
        self.data = [Room(_whole_blocks(self._count)) for _ in range(2)]
        self.state = [[Room(_whole_blocks(self._count)) for _ in optimizer.state] for _ in range(2)]
        self._sample(0)
        self._penalty = _Penalty(penalty, self.trained) if penalty is not None else None
        if self._penalty is not None:
            self._make_room(self._penalty.room)
        self._rule = self._compiled_rule()
        self.refresh()

    # ---- against the eager engine

    def agrees(self, indices: Sequence[int], loss: float) -> bool:
        """Whether loss and gradient of a batch are those that the parameters now have; what is drawn cannot be compared."""
        if self._planned(tuple(indices)).draws or (self._penalty is not None and self._penalty.draws):
            return True
        wanted = _numbers(self.trained, "grad")
        found, _ = self.differentiate(indices)
        gradient, size = self.totals.read(1, 1 + self._count), max(map(abs, wanted), default=0.0)
        return _is_close(found, loss, abs(loss)) and all(map(_is_close, gradient, wanted, repeat(size)))

    def verify(self) -> None:
        """Raises TraceError if a loss is not what the function itself gives; looks at the first samples that differ in target.

        What a trace cannot show, such as isinstance() and text, would be frozen otherwise.
        """
        targets = {repr(self._y[i]): i for i in reversed(range(min(len(self._y), LOOKED_AT)))} if self._is_plain else {}
        nodes = 0
        for i in sorted(targets.values()):
            plan = Plan((i,), [self._sample(i)])
            nodes += len(plan.groups[0].loss.trace.nodes)
            if plan.draws or (i and nodes > VERIFIED):
                return
            self.totals.write(0, [0.0] * (1 + self._count))
            plan.groups[0].set(self.data[self._now], 1.0)
            plan.groups[0].run(self.data[self._now], self.totals, self._error)
            loss = float(number(self._function(self._X[i], self._y[i])[0]))
            if not _is_close(self.totals[0], loss, abs(loss)):
                raise TraceError(f"the loss of sample {i} is {loss!r}, and compiled {self.totals[0]!r}: model or loss decide by "
                                 f"what tracing cannot see, such as isinstance() or text; use math.where, {EAGER}")

    # ---- samples

    def _sample(self, i: int) -> tuple[Loss, array[float]]:
        """The program of a sample and its numbers, which are read once from what `is_plain`."""
        if i in self._samples:
            return self._samples[i]
        x, target, leaves = self._X[i], self._y[i], list[Any]()
        with _eager_instead():
            structure = flatten((x, target), f"sample {i}", leaves)
        for leaf in leaves:
            if isinstance(leaf, Value):
                raise TypeError(f"sample {i} has {short_repr(leaf)}, which would count as a number and get no gradient; let "
                                f"the model look it up with take(sequence, index), {EAGER}")
        if structure not in self._losses:
            found = Loss(self._function, structure, len(leaves), self.trained, self._with_predictions, not self._losses)
            self._losses[structure] = found
            self._make_room(found.room)
        self._accept(self._losses[structure], target)
        sample = self._losses[structure], array("d", map(float, leaves))
        if self._is_plain:
            self._samples[i] = sample
        return sample

    def _accept(self, program: Loss, target: Any) -> None:
        """Raises ValueError for a target that the loss refuses, which it does by a number, not by how numbers go together.

        Asks again only when a number comes that has not been met: to ask takes longer than a compiled step.
        """
        numbers: list[Any] = []
        kind = flatten(target, "target", numbers), program
        met = self._accepted.setdefault(kind, set())
        if not numbers or not met.issuperset(numbers):
            program.check(self._loss, target)
            met.update(numbers)

    def _make_room(self, count: int) -> None:
        """Room behind the parameters for what a program computes of them alone."""
        if count > getattr(self, "_room", 0):
            self._room = count
            for i, old in enumerate(self.data):
                self.data[i] = Room(count + LANES)
                self.data[i].write(0, old.read(0, self._count))
            if hasattr(self, "_rule"):
                self._connect()

    # ---- a step

    @property
    def _now(self) -> int:
        return int(self._done[0]) % 2

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """The mean loss of some samples, with the penalty, and the predictions; `totals` then has the gradient."""
        plan = self._planned(tuple(indices))
        parameters, added = self.data[self._now], 0.0
        if self._penalty is not None:
            added = self._penalty.run(parameters, self.totals)
        else:
            ctypes.memset(self.totals.at, 0, 8 * (1 + self._count))
        self.totals[0] = 0.0
        predictions: list[Any] = [None] * plan.count
        if plan.draws:
            plan.draw()
        for group in plan.groups:
            group.set(parameters, plan.scale)
            found = group.run(parameters, self.totals, self._error)
            if self._with_predictions:
                for k, prediction in zip(group.members, found):
                    predictions[k] = prediction
        return self.totals[0] * plan.scale + added, predictions

    def _planned(self, indices: tuple[int, ...]) -> Plan:
        """What is to be done for these samples; kept for the next step, since full batches are always the same."""
        if self._plan is None or self._plan.indices != indices or not self._is_plain:
            self._plan = Plan(indices, [self._sample(i) for i in indices])
        return self._plan

    def is_sound(self, loss: float, first: bool) -> bool:
        """Whether loss and gradient of `differentiate` are finite, and, at the first step, depend on the parameters."""
        finite = math.isfinite(loss) and (math.isfinite(self._error[1])
                                          or all(map(math.isfinite, self.totals.read(0, 1 + self._count))))
        return finite and (not first or self._depends)

    @property
    def _depends(self) -> bool:
        """Whether the loss of the samples met so far uses any trained parameter."""
        return any(loss.depends for loss in self._losses.values()) or (self._penalty is not None and self._penalty.depends)

    def clip(self, max_norm: float) -> None:
        """As `optim.clip_grad_norm`."""
        gradient = self.totals.read(1, 1 + self._count)
        self.totals.write(1, clipped(gradient, max_norm)[1])

    def step(self) -> None:
        """The optimiser's step."""
        if self._rule is None:
            self.sync()
            self.optimizer.step()
            self.refresh()
            return
        rule, uniform, scratch, columns = self._rule
        uniform[0], uniform[1] = self.optimizer.lr, float(self.optimizer.steps + 1)
        now = self._now
        rule.run(uniform.at, *columns[now], scratch.at, 0, self._blocks, LANES, self._error.at)
        self._done[0] = done = self._done[0] + 1  # from here on the other copy is valid
        self.optimizer.steps = self._since + int(done)

    def _compiled_rule(self) -> Any:
        """The optimiser's rule for all parameters at once; None if it cannot be traced."""
        optimizer, slots = self.optimizer, len(self.optimizer.state)

        def rule(data: Any, grad: Any, state: Any, lr: Any, t: Any) -> Any:
            return optimizer.update(data, grad, state, lr, t)

        if type(optimizer).step is not Optimizer.step:
            return None
        names = ["data", "grad", *optimizer.state, "lr", "t"]
        try:
            trace, result = record_trace(
                rule, names, lambda values: ((values[0], values[1], tuple(values[2:-2]), *values[-2:]), {}))
            found, _ = outputs(result, trace.operand)
        except (TraceError, TypeError, ArithmeticError):
            return None
        if len(found) != 1 + slots or trace.parameters or trace.draws:
            return None
        varying = [*range(2 + slots)]
        graph = Graph(trace, [2 + slots, 3 + slots, *varying])
        tape = graph.tape(list(map(graph.register, found)))
        batch = llvm.Batch(tape, [2 + i for i in varying], [])
        self._record = self.optimizer._option_record()
        return batch, Room(max(2, len(batch.slots))), Room(batch.scratch), []

    def _connect(self) -> None:
        """Says to the rule where the copies stand: it reads one and writes the other."""
        if self._rule is None:
            return
        self._pointers = [pointers([self.data[i].at, self.totals.at + 8, *[room.at for room in self.state[i]]])
                          for i in range(2)]
        self._targets = [pointers([self.data[i].at, *[room.at for room in self.state[i]]]) for i in (1, 0)]
        self._rule[-1][:] = [(ctypes.addressof(a), ctypes.addressof(b)) for a, b in zip(self._pointers, self._targets)]

    # ---- Values

    def refresh(self) -> None:
        """Reads parameters and the optimiser's state from the Values, where a callback may have changed them."""
        if self._rule is not None and self._record != self.optimizer._option_record():
            self._rule = self._compiled_rule()
        now = self._now
        self._since = self.optimizer.steps - int(self._done[0])
        self.data[now].write(0, _numbers(self.trained, "data"))
        for room, column in zip(self.state[now], self.optimizer.state.values()):
            room.write(0, column)
        self._connect()

    def is_current(self) -> bool:
        """Whether model, loss and penalty are still what was compiled; and reads the samples again, which may have changed."""
        before, self._samples = self._samples, {}
        try:
            for i in before:
                if self._sample(i) != before[i]:
                    self._plan = self._several = None
            return next(iter(self._losses.values())).is_current() and (self._penalty is None or self._penalty.is_current())
        except TypeError:  # it cannot be traced any more, which is said when it is compiled anew
            return False

    def sync(self, stepped: bool = False) -> None:
        """Writes parameters, gradients and the optimiser's state to the Values, all at once.

        ``stepped``: the gradients are those of a step that was made.
        """
        now, count, optimizer = self._now, self._count, self.optimizer
        data, grads = self.data[now].read(0, count), self.totals.read(1, 1 + count)
        state = {slot: room.read(0, count) for slot, room in zip(optimizer.state, self.state[now])}
        steps = self._since + int(self._done[0])
        _assign([*self.trained, *self.trained, optimizer, optimizer], [*["data"] * count, *["grad"] * count, "state", "steps"],
                [*data, *(map(_Used, grads) if stepped else grads), state, steps])

    # ---- several steps in one call

    def several(self, count: int, history: Any, start: float) -> int:
        """Makes up to ``count`` steps of the full batch, and returns how many: 0 if the next one needs to be looked at.

        ``history`` is that of `fit`, which began at ``start``; the steps are written down there.
        """
        if self._several is None:
            plan = self._planned(tuple(range(len(self._X))))
            if not history.loss or not self._is_plain or self._rule is None or plan.draws or len(plan.groups) != 1 \
                    or plan.groups[0].loss.batch is None or (self._penalty is not None and not self._penalty.is_plain):
                return 0
            self._several = _Several(self, plan)
        return self._several.run(count, history, start)

    def settle(self, history: Any, start: float) -> None:
        """Writes down the steps of a call that was interrupted."""
        if self._several is not None:
            self._several.settle(history, start)


class _Several:
    """`Engine.several`: what `loop.steps` needs, and the history of what it did."""

    MOST = 1_024  # steps in one call

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine, self._group, self._scale = engine, plan.groups[0], plan.scale
        self._rates, self._losses = Room(self.MOST), Room(self.MOST)
        self._run = loop.steps(LANES)
        self._next = 16
        self._pending: tuple[Any, ...] | None = None

    def _plan(self) -> loop.Plan:
        engine, group, error = self._engine, self._group, self._engine._error.at
        group.set(engine.data[0], self._scale)
        group.set(engine.data[1], self._scale)
        calls = group.calls()
        whole = next((call for call in calls if call[3] == LANES), (0, 0, 0, 0))
        tail = next((call for call in calls if call[3] < LANES), (0, 0, 0, 0))
        rule, uniform, scratch, columns = engine._rule
        penalty = engine._penalty
        return loop.Plan(
            penalty=penalty.address if penalty else 0, penalty_out=penalty.out.at if penalty else 0,
            batch=group.loss.batch.address, columns=whole[0], results=whole[1], scratch=group.loss.scratch.at,
            totals=engine.totals.at, blocks=whole[2], tail_columns=tail[0], tail_results=tail[1], tail_valid=tail[3],
            error=error, rule=rule.address, uniform=uniform.at, rule_scratch=scratch.at, rule_blocks=engine._blocks,
            gradient_bytes=8 * engine._count, scale=self._scale, done=engine._done.at, first_step=engine._since,
            parameters0=engine.data[0].at, parameters1=engine.data[1].at, reads0=columns[0][0], reads1=columns[1][0],
            writes0=columns[0][1], writes1=columns[1][1])

    def run(self, count: int, history: Any, start: float) -> int:
        """See `Engine.several`."""
        engine, done = self._engine, int(self._engine._done[0])
        rates: list[float] = []
        try:
            for k in range(min(count, self._next)):
                rates.append(engine.optimizer._rate_at(engine._since + done + k))
        except Exception:  # it is raised when that step comes
            if not rates:
                return 0
        self._rates.write(0, rates)
        began = time.perf_counter()
        self._pending = done, len(history), len(history.epoch_ends), rates, began - start
        plan = self._plan()
        made: int = self._run(ctypes.addressof(plan), engine._now, len(rates), self._rates.at, self._losses.at)
        self.settle(history, start)
        llvm.reraise()
        taken = time.perf_counter() - began
        if made == self._next and taken < 0.01:  # often enough to show progress and to notice Ctrl-C
            self._next = min(2 * self._next, self.MOST)
        return made

    def settle(self, history: Any, start: float) -> None:
        """Writes into the history the steps that were made; twice does no harm."""
        if self._pending is None:
            return
        done, steps, epochs, rates, began = self._pending
        made = int(self._engine._done[0]) - done
        ended = time.perf_counter() - start
        history.loss[steps:] = self._losses.read(0, made)
        history.learning_rates[steps:] = rates[:made]
        history.seconds[steps:] = [began + (ended - began) * (k + 1) / made for k in range(made)]
        history.epoch_ends[epochs:] = range(steps + 1, steps + made + 1)
        self._engine.optimizer.steps = self._engine._since + done + made
        self._pending = None


class _Penalty:
    """The penalty and its gradient, compiled."""

    def __init__(self, penalty: Callable[[], Any], trained: Sequence[Value]) -> None:
        self._run = partial(record_trace, lambda: penalty(), [], lambda values: ((), {}))
        with _eager_instead():
            trace, result = self._run()
        self._trace = trace
        root = trace.operand(result)
        inner = {arg for op, args in trace.nodes if op not in SOURCES for arg in args if arg.__class__ is int}
        places = _places(trace, trained)
        self.depends = root.__class__ is int and not inner.isdisjoint(places)
        fixed = _others(trace, places)
        draws = [i for i, (op, _) in enumerate(trace.nodes) if op == "draw"]
        self._fixed = [trace.parameters[trace.nodes[i][1][0]] for i in fixed]
        self.draws = trace.draws
        padded = [*places, *[None] * (_whole_blocks(len(places)) - len(places))]
        self._first = len(padded)
        self.room = self._first + len(fixed) + len(draws)
        graph = Graph(trace, [*padded, *fixed, *draws])
        tape = graph.tape([graph.register(root), *graph.gradient(root, places)])
        self._count = len(trained)
        # It runs once a step, not once a sample: that it is compiled soon is worth more than that it is fast.
        self._straight = llvm.Scalar(tape, level=0) if is_compiled(tape) else None
        self._machine = None if self._straight else Machine(tape)
        self.out = Room(1 + self._count)
        self.is_plain = self._straight is not None and not self._fixed and not self.draws
        self.address = self._straight.address if self._straight is not None else 0

    def is_current(self) -> bool:
        """Whether the penalty is still the program that was compiled."""
        return self._trace.difference(self._run(check=False)[0]) is None

    def run(self, parameters: Room, totals: Room) -> float:
        """Sets the gradient in ``totals`` and returns the penalty."""
        if self._fixed or self.draws:
            parameters.write(self._first, [*[float(leaf.data) for leaf in self._fixed], *[draw() for draw in self.draws]])
        if self._straight is not None:
            self._straight.fill(parameters.at, self.out.at)
        else:
            assert self._machine is not None
            ctypes.memset(self.out.at, 0, 8 * (1 + self._count))
            self._machine.fill(parameters.at, self.out.at)
        ctypes.memmove(totals.at + 8, self.out.at + 8, 8 * self._count)
        return self.out[0]
