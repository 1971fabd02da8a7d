"""The optimiser's rule, compiled: the same `Optimizer.update` that runs on floats, traced.

`Rule` applies it to all parameters at once, in buffers.  An optimiser whose rule cannot be traced
makes its steps in Python.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any

from ...engine.value import Value
from ...errors import TraceError
from ...jit.running import recall
from ...jit.running.memory import AlignedBuffer
from ...jit.running.straight_line import Batch
from ...jit.state import State
from ...jit.structure import outputs
from ...jit.tape.gradient import value
from ...jit.tape.tape import Tape
from ...jit.trace import Trace
from ...jit.traced import located_error, trace_in_progress
from ...jit.tracing import check_unchanged, difference, record_trace
from ...optim import Optimizer
from ...optim.parameters import read_numbers
from .buffers import Buffers
from .samples import EAGER, advising_eager, untrained_nodes


def is_same(x: float, y: float) -> bool:
    """Returns whether two numbers have the same bits, or both are nan."""
    x, y = float(x), float(y)  # numpy would compare a float32 with a float in seven digits
    return x != x if y != y else x == y and math.copysign(1.0, x) == math.copysign(1.0, y)


class Progress:
    """Leaves for ``optimizer.steps`` and ``optimizer.lr``, which programs read at every step."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self.steps = Value(0.0, "optimizer.steps")
        self.rate = Value(0.0, "optimizer.lr")

    @contextmanager
    def traced(self) -> Iterator[None]:
        """Makes the optimiser's steps and learning rate traced values, if the block is traced.

        Its state cannot be read then.
        """
        names = "steps", "schedule", "state"
        before = [getattr(self._optimizer, name) for name in names]
        trace = trace_in_progress()
        try:
            if trace is not None:
                traced = [trace.symbol(self.steps), trace.symbol(self.rate), _Unreadable()]
                self._assign(names, traced)
            yield
        finally:
            self._assign(names, before)

    def _assign(self, names: Sequence[str], values: Sequence[Any]) -> None:
        for name, x in zip(names, values):
            object.__setattr__(self._optimizer, name, x)


class _Unreadable(Mapping[str, Any]):
    """Stands for ``optimizer.state`` in a function that is traced."""

    def __getitem__(self, key: object = None) -> Any:
        raise located_error(
            "the function reads optimizer.state, whose numbers change at every step",
            f"compute with parameters and optimizer.steps, {EAGER}",
        )

    __iter__ = __len__ = __getitem__


def overrides(optimizer: Optimizer, name: str) -> bool:
    """Returns whether an optimiser has an attribute of its own instead of `Optimizer`'s."""
    return getattr(type(optimizer), name) is not getattr(Optimizer, name) or name in vars(optimizer)


def check_optimizer(optimizer: Optimizer) -> tuple[bool, bool]:
    """Returns whether the learning rate can depend on anything but the number of steps, and
    whether the user's own functions compute it.

    If not, the compiled engine asks for the learning rates of many steps at once.

    Raises:
        ValueError: a slot of the state does not have one number for each parameter.
        TraceError: the optimiser has its own ``zero_grad``, or its schedule changes something.
    """
    count = len(optimizer.params)
    for slot, column in optimizer.state.items():
        if len(column) != count:
            raise ValueError(
                f"the optimiser has {count} parameters, but {len(column)} numbers in its slot "
                f"{slot!r}; make a new optimiser for these parameters"
            )
    if overrides(optimizer, "zero_grad"):
        raise TraceError(
            f"{type(optimizer).__name__} has a zero_grad() of its own, which machine code does "
            f"not call\n{EAGER.removeprefix('or ')}"
        )
    schedule = optimizer.schedule
    is_own = overrides(optimizer, "lr") or overrides(optimizer, "lr_at")
    if is_own or not callable(schedule):
        return is_own, is_own
    state = State(schedule)
    try:
        schedule(optimizer.steps)
        with advising_eager():
            check_unchanged(state, "the schedule of the learning rate")
    finally:
        state.restore()
    return state.has_values or state.can_draw or bool(state.opaque), state.has_code


TRIED = 3  # parameters for which the rule is compared
GRADIENTS = (0.5, -0.5, 1e-3, -1e-3, 30.0, -30.0, 0.0)  # with which it is compared


class Rule:
    """The rule of an optimiser as a compiled batch, with a column for each of its inputs.

    batch: the program
    uniform: the buffer of the learning rate and the number of the step
    scratch: the scratch buffer of the program
    """

    def __init__(self, optimizer: Optimizer, progress: Progress, trace: Trace, tape: Tape) -> None:
        self._optimizer = optimizer
        self._progress = progress
        self._trace = trace
        self._tape = tape
        self.batch = Batch(tape, list(range(2, len(tape.names))), [])
        self.uniform = AlignedBuffer(max(2, self.batch.slots))
        self.scratch = AlignedBuffer(self.batch.scratch)

    def run(self, buffers: Buffers) -> None:
        """Applies the rule: reads the present copy, and writes the other one."""
        self.uniform[0] = self._optimizer.lr
        self.uniform[1] = float(self._optimizer.steps + 1)
        self.batch.run(
            self.uniform.address, *buffers.columns[buffers.now], self.scratch.address, 0, 0,
            buffers.vectors, 0, 0, buffers.error.address,
        )

    def is_current(self) -> bool:
        """Returns whether the optimiser still has the rule that was compiled."""
        traced = _traced(self._optimizer, self._progress)
        return traced is not None and difference(self._trace, traced[0]) is None


    def is_right(self) -> bool:
        """Returns whether the compiled rule has the bits of the rule itself, for some parameters.

        It is tried with their present numbers, for this step and later ones, and with a learning
        rate that no schedule is asked for.
        """
        optimizer = self._optimizer
        lr = 0.1
        params = optimizer.params[:TRIED]
        present = zip(read_numbers(params, "data"), read_numbers(params, "grad"))
        states = zip(*optimizer.state.values()) if optimizer.state else repeat(())
        for (x, slope), state in zip(present, states):
            for t in [optimizer.steps + ahead for ahead in (1, 2, 10, 1_000)]:
                for grad in (slope, *GRADIENTS):
                    new, slots = optimizer.ieee_update(x, grad, state, lr, t)
                    found = self._tape.run([lr, float(t), grad, x, *state])
                    if not all(map(is_same, found, [new, *slots])):
                        return False
        return True


def compiled_rule(optimizer: Optimizer, progress: Progress, state: State) -> Rule | None:
    """Returns the compiled rule, or None if it cannot be traced, or differs from the rule itself.

    It is tried on the numbers of some parameters.

    state: the present state that the rule can reach.
    """
    traced = _traced(optimizer, progress, state)
    if traced is None:
        return None
    trace, found = traced
    slots = len(optimizer.state)
    if len(found) != 1 + slots or untrained_nodes(trace, []) or trace.draws:
        return None
    inputs = [2 + slots, 3 + slots, 1, 0, *range(2, 2 + slots)]
    rule = Rule(optimizer, progress, trace, recall.tape(value, trace, found, inputs))
    return rule if rule.is_right() else None


def _traced(
    optimizer: Optimizer, progress: Progress, state: State | None = None
) -> tuple[Trace, list[Any]] | None:
    """Returns the trace of the rule for one parameter, and the operands of its results.

    It is None if the rule cannot be traced, or a step of the optimiser does more than apply it.
    """
    if overrides(optimizer, "step"):
        return None

    def rule(data: Any, grad: Any, state: Any, lr: Any, t: Any) -> Any:
        with progress.traced():
            return optimizer.update(data, grad, state, lr, t)

    try:
        trace, result = record_trace(
            rule,
            ["data", "grad", *optimizer.state, "lr", "t"],
            lambda values: ((values[0], values[1], tuple(values[2:-2]), *values[-2:]), {}),
            check=False,  # `Rule.is_right` shows more
            unchanged="the optimiser's rule",
            state=state,
        )
        return trace, outputs(result, trace.operand)[0]
    except (TraceError, TypeError, ArithmeticError):
        return None
