"""The optimiser's rule, compiled: the same `Optimizer.update` that runs on floats, traced.

`Rule` applies it to all parameters at once, in buffers.  An optimiser whose rule cannot be traced
makes its steps in Python.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..engine.value import Value
from ..errors import TraceError
from ..jit.languages.emitter import LANES
from ..jit.running.memory import AlignedBuffer, pointers
from ..jit.running.straight_line import Batch
from ..jit.state import State
from ..jit.structure import outputs
from ..jit.tape.gradient import Graph
from ..jit.tape.tape import Tape
from ..jit.trace import Trace
from ..jit.traced import trace_in_progress
from ..jit.tracing import check_unchanged, record_trace
from ..optim import Optimizer, Schedule
from .samples import EAGER, advising_eager, untrained_nodes


def is_close(x: float, y: float, size: float) -> bool:
    """Returns whether two numbers differ by rounding alone, compared with ``size``.

    nan equals nan, and inf equals inf.
    """
    return abs(x - y) <= 1e-6 * size + 1e-12 or x == y or (x != x and y != y)


@contextmanager
def counting(optimizer: Optimizer, counter: Value) -> Iterator[None]:
    """Makes ``optimizer.steps`` a traced value inside the block, if it is traced.

    The program then reads the count at every step.
    """
    steps = optimizer.steps
    trace = trace_in_progress()
    try:
        if trace is not None:
            object.__setattr__(optimizer, "steps", trace.symbol(counter))
        yield
    finally:
        object.__setattr__(optimizer, "steps", steps)


def check_optimizer(optimizer: Optimizer) -> None:
    """Raises an error if the compiled engine cannot step this optimiser.

    Raises:
        ValueError: a slot of its state does not have one number for each parameter.
        TraceError: it has its own ``zero_grad``, or its schedule changes something: the compiled
            engine asks for the learning rates of many steps at once.
    """
    count = len(optimizer.params)
    for slot, column in optimizer.state.items():
        if len(column) != count:
            raise ValueError(
                f"the optimiser has {count} parameters, but {len(column)} numbers in its slot "
                f"{slot!r}; make a new optimiser for these parameters"
            )
    if type(optimizer).zero_grad is not Optimizer.zero_grad or "zero_grad" in vars(optimizer):
        raise TraceError(
            f"{type(optimizer).__name__} has a zero_grad() of its own, which machine code does "
            f"not call\n{EAGER.removeprefix('or ')}"
        )
    _check_schedule(optimizer)


def _check_schedule(optimizer: Optimizer) -> None:
    schedule = optimizer.schedule
    if not callable(schedule) or isinstance(schedule, Schedule):
        return
    state = State(schedule)
    try:
        schedule(optimizer.steps)
        with advising_eager():
            check_unchanged(state, "the schedule of the learning rate")
    finally:
        state.restore()


class Rule:
    """The rule of an optimiser as a compiled batch, with a column for each of its inputs.

    batch      the program
    uniform    the buffer of the learning rate and the number of the step
    scratch    the scratch buffer of the program
    columns    for each of the two copies, the addresses of the pointers to what it reads and to
               what it writes
    """

    def __init__(self, optimizer: Optimizer, counter: Value, trace: Trace, tape: Tape) -> None:
        self._optimizer = optimizer
        self._counter = counter
        self._trace = trace
        columns = range(2, 4 + len(optimizer.state))
        self.batch = Batch(tape, list(columns), [])
        self.uniform = AlignedBuffer(max(2, len(self.batch.slots)))
        self.scratch = AlignedBuffer(self.batch.scratch)
        self.columns: list[tuple[int, int]] = []

    def connect(
        self, data: Sequence[AlignedBuffer], gradient: int, state: Sequence[Sequence[AlignedBuffer]]
    ) -> None:
        """Sets the buffers: the rule reads one copy and writes the other.

        ``data`` and ``state`` have two copies; ``gradient`` is the address of the gradient.
        """
        states = [[buffer.address for buffer in copy] for copy in state]
        self._reads = [pointers([data[i].address, gradient, *states[i]]) for i in (0, 1)]
        self._writes = [pointers([data[i].address, *states[i]]) for i in (1, 0)]
        self.columns = [
            (ctypes.addressof(reads), ctypes.addressof(writes))
            for reads, writes in zip(self._reads, self._writes)
        ]

    def run(self, now: int, blocks: int, error: int) -> None:
        """Applies the rule: reads copy ``now``, and writes the other one."""
        self.uniform[0] = self._optimizer.lr
        self.uniform[1] = float(self._optimizer.steps + 1)
        reads, writes = self.columns[now]
        self.batch.run(
            self.uniform.address, reads, writes, self.scratch.address, 0, blocks, LANES, error
        )

    def is_current(self) -> bool:
        """Returns whether the optimiser still has the rule that was compiled."""
        if has_own_step(self._optimizer):
            return False
        try:
            trace, _ = _traced(self._optimizer, self._counter, check=False)
            return self._trace.difference(trace) is None
        except (TraceError, TypeError, ArithmeticError):
            return False


def compiled_rule(optimizer: Optimizer, counter: Value, data: float) -> Rule | None:
    """Returns the compiled rule, or None if it cannot be traced.

    ``data`` is the number of the first parameter, on which the rule is tried.
    """
    slots = len(optimizer.state)
    if has_own_step(optimizer):
        return None
    try:
        trace, result = _traced(optimizer, counter, check=True)
        found, _ = outputs(result, trace.operand)
    except (TraceError, TypeError, ArithmeticError):
        return None
    if len(found) != 1 + slots or untrained_nodes(trace, []) or trace.draws:
        return None
    graph = Graph(trace, [2 + slots, 3 + slots, *range(2 + slots)])
    tape = graph.tape(list(map(graph.register, found)))
    return Rule(optimizer, counter, trace, tape) if _is_right(optimizer, tape, data) else None


def has_own_step(optimizer: Optimizer) -> bool:
    """Returns whether a step of the optimiser does more than apply its rule."""
    return type(optimizer).step is not Optimizer.step or "step" in vars(optimizer)


def _traced(optimizer: Optimizer, counter: Value, check: bool) -> tuple[Trace, Any]:
    """Returns the trace of the rule for one parameter, and its result."""
    def rule(data: Any, grad: Any, state: Any, lr: Any, t: Any) -> Any:
        with counting(optimizer, counter):
            return optimizer.update(data, grad, state, lr, t)

    return record_trace(
        rule,
        ["data", "grad", *optimizer.state, "lr", "t"],
        lambda values: ((values[0], values[1], tuple(values[2:-2]), *values[-2:]), {}),
        check,
        unchanged="the optimiser's rule",
    )


def _is_right(optimizer: Optimizer, tape: Tape, data: float) -> bool:
    """Returns whether a traced rule agrees with the rule itself for one parameter at some steps."""
    state = tuple([column[0] for column in optimizer.state.values()])
    for t in [optimizer.steps + ahead for ahead in (1, 2, 10, 1_000)]:
        new, slots = optimizer.ieee_update(data, 0.5, state, optimizer.lr, t)
        found = tape.run([optimizer.lr, float(t), data, 0.5, *state])
        if not all(is_close(x, y, abs(y)) for x, y in zip(found, [new, *slots])):
            return False
    return True
