"""The compiled engine of `fit`: parameters, gradients and the optimiser's state stand in contiguous
arrays while it runs.

`samples` has the loss of a sample and its gradient, `loop` many steps in one call.  The optimiser's
rule is traced, too: it is the same `Optimizer.update` that runs on floats.  What a step changes
exists twice; a step reads one copy and writes the other, and counting the step is what makes the
new one valid, so that an interrupt finds the old numbers or the new ones.
"""

from __future__ import annotations

import ctypes
import math
import operator
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any

from ..engine import modes
from ..engine.primitives import number, short_repr
from ..engine.value import Value
from ..errors import TraceError
from ..jit.languages import llvm
from ..jit.languages.emitter import LANES
from ..jit.running.backend import is_compiled
from ..jit.running.machine import Machine
from ..jit.running.memory import Room, pointers
from ..jit.state import State
from ..jit.structure import Structure, flatten, outputs
from ..jit.tape.gradient import Graph
from ..jit.tape.tape import Tape
from ..jit.trace import Trace
from ..jit.tracing import check_unchanged, record_trace
from ..optim import Optimizer, Schedule
from ..optim.clipping import clipped
from ..optim.parameters import UsedGradient, assign_all, read_numbers
from .loop import Several
from .samples import (
    EAGER,
    Loss,
    Plan,
    eager_instead,
    is_plain,
    operands_of,
    others,
    places_of,
    whole_blocks,
)

# samples among which `Engine.verify` looks for targets, and nodes that it computes eagerly
LOOKED_AT, VERIFIED = 64, 2_000


def _is_close(x: float, y: float, size: float) -> bool:
    """Whether two numbers differ by rounding alone, compared with a size; nan is nan, and inf is
    inf."""
    return abs(x - y) <= 1e-6 * size + 1e-12 or x == y or (x != x and y != y)


@contextmanager
def _counting(optimizer: Optimizer, counter: Value) -> Iterator[None]:
    """Within the block, while it is traced, ``optimizer.steps`` is a traced value: it is read at
    every step."""
    steps = optimizer.steps
    trace = modes.tracer()
    try:
        if trace is not None:
            object.__setattr__(optimizer, "steps", trace.symbol(counter))
        yield
    finally:
        object.__setattr__(optimizer, "steps", steps)


class Engine:
    """`fit`'s steps, compiled.  Values are brought up to date by `sync`, and read again by
    `refresh`.

    Raises TraceError if the loss of the first sample, or the penalty, cannot be traced.
    """

    name = "jit"

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss: Callable[[Any, Any], Any],
        X: Sequence[Any],
        y: Sequence[Any],
        optimizer: Optimizer,
        penalty: Callable[[], Any] | None,
        with_predictions: bool,
    ) -> None:
        self._counter = counter = Value(0.0, "optimizer.steps")

        def sample(x: Any, target: Any) -> tuple[Any, Any]:
            with _counting(optimizer, counter):
                prediction = model(x)
                return loss(prediction, target), prediction

        def added() -> Any:
            with _counting(optimizer, counter):
                return penalty() if penalty is not None else 0.0

        self._function, self._X, self._y = sample, X, y
        self._with_predictions = with_predictions
        self.optimizer, self.trained = optimizer, tuple(optimizer.params)
        self._count = len(self.trained)
        for slot, column in optimizer.state.items():
            if len(column) != self._count:
                raise ValueError(
                    f"the optimizer has {self._count} parameters, but {len(column)} numbers in its "
                    "slot "
                    f"{slot!r}; make a new optimizer for these parameters"
                )
        if type(optimizer).zero_grad is not Optimizer.zero_grad or "zero_grad" in vars(optimizer):
            raise TraceError(
                f"{type(optimizer).__name__} has a zero_grad() of its own, which machine code does "
                "not "
                f"call\n{EAGER.removeprefix('or ')}"
            )
        self._check_schedule()
        self._blocks = whole_blocks(self._count) // LANES
        self._losses: dict[Structure, Loss] = {}
        self._loss = loss
        # numbers of targets that the loss does not refuse, for each structure
        self._accepted: dict[Any, set[float]] = {}
        self._samples: dict[int, tuple[Loss, array[float]]] = {}
        self._is_plain = is_plain(X) and is_plain(y)
        self._plan: Plan | None = None
        self.totals = Room(1 + whole_blocks(self._count))  # the loss, and the gradient
        self._error = Room(2)
        self._done = Room(1)  # the steps made; counting one is what makes it valid
        self._since = optimizer.steps
        self._several: Several | None = None
        self.data = [Room(whole_blocks(self._count)) for _ in range(2)]
        self.state = [[Room(whole_blocks(self._count)) for _ in optimizer.state] for _ in range(2)]
        self._sample(0)
        self._added = added
        self._penalty = _Penalty(added, self.trained) if penalty is not None else None
        if self._penalty is not None:
            self._make_room(self._penalty.room)
        self._rule = self._compiled_rule()
        self.refresh()

    def _check_schedule(self) -> None:
        """Raises TraceError for a schedule that changes something: it is asked for many steps at
        once."""
        schedule = self.optimizer._lr
        if not callable(schedule) or isinstance(schedule, Schedule):
            return
        state = State(schedule)
        try:
            schedule(self.optimizer.steps)
            with eager_instead():
                check_unchanged(state, "the schedule of the learning rate")
        finally:
            state.restore()

    # ---- against the eager engine

    def agrees(self, indices: Sequence[int], loss: float) -> bool:
        """Whether loss and gradient of a batch are those that the parameters now have; what is
        drawn cannot be compared."""
        if self._planned(tuple(indices)).draws or (
            self._penalty is not None and self._penalty.draws
        ):
            return True
        wanted = read_numbers(self.trained, "grad")
        found, _ = self.differentiate(indices)
        gradient, size = self.totals.read(1, 1 + self._count), max(map(abs, wanted), default=0.0)
        return _is_close(found, loss, abs(loss)) and all(
            map(_is_close, gradient, wanted, repeat(size))
        )

    def verify(self) -> None:
        """Raises TraceError if a loss, or the penalty, is not what the function itself gives.

        What a trace cannot show, such as isinstance() and text, would be frozen otherwise.  It
        looks at the first samples that differ in target.
        """
        try:
            self._verify_penalty()
            self._verify_losses()
        finally:
            self.refresh()  # the gradients are again those of the parameters

    def _verify_penalty(self) -> None:
        if self._penalty is None or self._penalty.draws:
            return
        value = float(number(self._added()))
        found = self._penalty.run(self.data[self._now], self.totals)
        if not _is_close(found, value, abs(value)):
            raise TraceError(
                f"the penalty is {value!r}, and compiled {found!r}: it decides by what tracing "
                "cannot see, such "
                f"as isinstance() or text; use math.where, {EAGER}"
            )

    def _verify_losses(self) -> None:
        targets = (
            {repr(self._y[i]): i for i in reversed(range(min(len(self._y), LOOKED_AT)))}
            if self._is_plain
            else {}
        )
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
                raise TraceError(
                    f"the loss of sample {i} is {loss!r}, and compiled {self.totals[0]!r}: model "
                    "or loss decide "
                    "by what tracing cannot see, such as isinstance() or text; use math.where, "
                    f"{EAGER}"
                )

    # ---- samples

    def _sample(self, i: int) -> tuple[Loss, array[float]]:
        """The program of a sample and its numbers, which are read once from what `is_plain`."""
        if i in self._samples:
            return self._samples[i]
        x, target, leaves = self._X[i], self._y[i], list[Any]()
        with eager_instead():
            structure = flatten((x, target), f"sample {i}", leaves)
        for leaf in leaves:
            if isinstance(leaf, Value):
                raise TypeError(
                    f"sample {i} has {short_repr(leaf)}, which would count as a number and get no "
                    "gradient; let "
                    f"the model look it up with take(sequence, index), {EAGER}"
                )
        if structure not in self._losses:
            found = Loss(
                self._function, structure, len(leaves), self.trained, self._with_predictions
            )
            self._losses[structure] = found
            self._make_room(found.room)
        self._accept(self._losses[structure], target)
        sample = self._losses[structure], array("d", map(float, leaves))
        if self._is_plain:
            self._samples[i] = sample
        return sample

    def _accept(self, program: Loss, target: Any) -> None:
        """Raises ValueError for a target that the loss refuses, which it does by a number, not by
        how numbers go together.

        Asks again only when a number comes that has not been met: to ask takes longer than a
        compiled step.
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
        """The mean loss of some samples, with the penalty, and the predictions; `totals` then has
        the gradient."""
        plan = self._planned(tuple(indices))
        self._counter.data = float(self.optimizer.steps)
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
        """What is to be done for these samples; kept for the next step, since full batches are
        always the same."""
        if self._plan is None or self._plan.indices != indices or not self._is_plain:
            self._plan = Plan(indices, [self._sample(i) for i in indices])
        return self._plan

    def is_sound(self, loss: float, first: bool) -> bool:
        """Whether loss and gradient of `differentiate` are finite, and, at the first step, depend
        on the parameters."""
        finite = math.isfinite(loss) and (
            math.isfinite(self._error[1])
            or all(map(math.isfinite, self.totals.read(0, 1 + self._count)))
        )
        return finite and (not first or self._depends)

    @property
    def _depends(self) -> bool:
        """Whether the loss of the samples met so far uses any trained parameter."""
        return any(loss.depends for loss in self._losses.values()) or (
            self._penalty is not None and self._penalty.depends
        )

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

    @property
    def _has_own_step(self) -> bool:
        """Whether the optimiser does more in a step than to apply its rule."""
        return type(self.optimizer).step is not Optimizer.step or "step" in vars(self.optimizer)

    def _traced_rule(self, check: bool = True) -> tuple[Trace, Any]:
        """The optimiser's rule for one parameter."""
        optimizer, counter = self.optimizer, self._counter

        def rule(data: Any, grad: Any, state: Any, lr: Any, t: Any) -> Any:
            with _counting(optimizer, counter):
                return optimizer.update(data, grad, state, lr, t)

        names = ["data", "grad", *optimizer.state, "lr", "t"]
        return record_trace(
            rule,
            names,
            lambda values: ((values[0], values[1], tuple(values[2:-2]), *values[-2:]), {}),
            check,
            unchanged="the optimizer's rule",
        )

    def _compiled_rule(self) -> Any:
        """The optimiser's rule for all parameters at once; None if it cannot be traced."""
        slots = len(self.optimizer.state)
        if self._has_own_step:
            return None
        try:
            trace, result = self._traced_rule()
            found, _ = outputs(result, trace.operand)
        except (TraceError, TypeError, ArithmeticError):
            return None
        if len(found) != 1 + slots or others(trace, []) or trace.draws:
            return None
        varying = [*range(2 + slots)]
        graph = Graph(trace, [2 + slots, 3 + slots, *varying])
        tape = graph.tape(list(map(graph.register, found)))
        if not self._is_right(tape):
            return None
        batch = llvm.Batch(tape, [2 + i for i in varying], [])
        self._rule_trace = trace
        return batch, Room(max(2, len(batch.slots))), Room(batch.scratch), []

    def _is_right(self, tape: Tape) -> bool:
        """Whether a traced rule gives what the rule itself does, for one parameter and two steps.
        """
        optimizer = self.optimizer
        state = tuple([column[0] for column in optimizer.state.values()])
        data = float(self.trained[0].data)
        for t in (optimizer.steps + 1, optimizer.steps + 2):
            new, slots = optimizer._ieee_update(data, 0.5, state, optimizer.lr, t)
            found = tape.run([optimizer.lr, float(t), data, 0.5, *state])
            if not all(_is_close(x, y, abs(y)) for x, y in zip(found, [new, *slots])):
                return False
        return True

    def _is_rule_current(self) -> bool:
        if self._has_own_step:
            return False
        try:
            return self._rule_trace.difference(self._traced_rule(check=False)[0]) is None
        except (TraceError, TypeError, ArithmeticError):
            return False

    def _connect(self) -> None:
        """Says to the rule where the copies stand: it reads one and writes the other."""
        if self._rule is None:
            return
        self._pointers = [
            pointers([self.data[i].at, self.totals.at + 8, *[room.at for room in self.state[i]]])
            for i in range(2)
        ]
        self._targets = [
            pointers([self.data[i].at, *[room.at for room in self.state[i]]]) for i in (1, 0)
        ]
        self._rule[-1][:] = [
            (ctypes.addressof(a), ctypes.addressof(b))
            for a, b in zip(self._pointers, self._targets)
        ]

    # ---- Values

    def refresh(self) -> None:
        """Reads parameters, gradients and the optimiser's state from the Values, where a callback
        may have changed them."""
        if self._rule is not None and not self._is_rule_current():
            self._rule = self._compiled_rule()
        now = self._now
        self._since = self.optimizer.steps - int(self._done[0])
        self._counter.data = float(self.optimizer.steps)
        self.data[now].write(0, read_numbers(self.trained, "data"))
        self.totals.write(1, list(map(float, read_numbers(self.trained, "grad"))))
        for room, column in zip(self.state[now], self.optimizer.state.values()):
            room.write(0, column)
        self._connect()

    def is_current(self) -> bool:
        """Whether model, loss, penalty and the list of parameters are still what was compiled.

        Reads the samples again, which may have changed.
        """
        params = self.optimizer.params
        if len(params) != len(self.trained) or any(map(operator.is_not, self.trained, params)):
            return False
        before, self._samples = self._samples, {}
        try:
            for i in before:
                if self._sample(i) != before[i]:
                    self._plan = self._several = None
            return all(loss.is_current() for loss in self._losses.values()) and \
                (self._penalty is None or self._penalty.is_current())
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
        assign_all([*self.trained, *self.trained, optimizer, optimizer],
                   [*["data"] * count, *["grad"] * count, "state", "steps"],
                   [*data, *(map(UsedGradient, grads) if stepped else grads), state, steps])

    # ---- several steps in one call

    def several(self, count: int, history: Any, start: float) -> int:
        """Makes up to ``count`` steps of the full batch, and returns how many: 0 if the next one
        needs to be looked at.

        ``history`` is that of `fit`, which began at ``start``; the steps are written down there.
        """
        if self._several is None:
            plan = self._planned(tuple(range(len(self._X))))
            if (
                not history.loss
                or not self._is_plain
                or self._rule is None
                or plan.draws
                or len(plan.groups) != 1
                or any(leaf is self._counter for leaf in plan.groups[0].loss.fixed)
                or type(self.optimizer).lr is not Optimizer.lr
                or plan.groups[0].loss.batch is None
                or (self._penalty is not None and not self._penalty.is_plain)
            ):
                return 0
            self._several = Several(self, plan)
        return self._several.run(count, history, start)

    def settle(self, history: Any, start: float) -> None:
        """Writes down the steps of a call that was interrupted."""
        if self._several is not None:
            self._several.settle(history, start)


class _Penalty:
    """The penalty and its gradient, compiled."""

    def __init__(self, penalty: Callable[[], Any], trained: Sequence[Value]) -> None:
        self._record = partial(
            record_trace, penalty, [], lambda values: ((), {}), unchanged="the penalty"
        )
        with eager_instead():
            trace, result = self._record()
        self._trace = trace
        root = trace.operand(result)
        inner = operands_of(trace)
        places = places_of(trace, trained)
        self.depends = root.__class__ is int and not inner.isdisjoint(places)
        fixed = others(trace, places)
        draws = [i for i, (op, _) in enumerate(trace.nodes) if op == "draw"]
        self._fixed = [trace.parameters[trace.nodes[i][1][0]] for i in fixed]
        self.draws = trace.draws
        padded = [*places, *[None] * (whole_blocks(len(places)) - len(places))]
        self._first = len(padded)
        self.room = self._first + len(fixed) + len(draws)
        graph = Graph(trace, [*padded, *fixed, *draws])
        tape = graph.tape([graph.register(root), *graph.gradient(root, places)])
        self._trained, self._count = trained, len(trained)
        # It runs once a step, not once a sample: that it is compiled soon is worth more than that
        # it is fast.
        self._straight = llvm.Scalar(tape, level=0) if is_compiled(tape) else None
        self._machine = None if self._straight else Machine(tape)
        self.out = Room(1 + self._count)
        self.is_plain = self._straight is not None and not self._fixed and not self.draws
        self.address = self._straight.address if self._straight is not None else 0

    def is_current(self) -> bool:
        """Whether the penalty is still the program that was compiled."""
        trace, _ = self._record(check=False)
        places_of(trace, self._trained)
        return self._trace.difference(trace) is None

    def run(self, parameters: Room, totals: Room) -> float:
        """Sets the gradient in ``totals`` and returns the penalty."""
        if self._fixed or self.draws:
            parameters.write(
                self._first,
                [*[float(leaf.data) for leaf in self._fixed], *[draw() for draw in self.draws]],
            )
        if self._straight is not None:
            self._straight.fill(parameters.at, self.out.at)
        else:
            assert self._machine is not None
            ctypes.memset(self.out.at, 0, 8 * (1 + self._count))
            self._machine.fill(parameters.at, self.out.at)
        ctypes.memmove(totals.at + 8, self.out.at + 8, 8 * self._count)
        return self.out[0]
