"""The compiled engine of `fit`: parameters, gradients and the optimiser's state are in buffers.

`samples` compiles the loss of a sample and its gradient, `penalty` the penalty, `rule` the
optimiser's rule, and `loop` makes many steps in one call.
"""

from __future__ import annotations

import ctypes
import math
import operator
from array import array
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from ...engine.value import Value
from ...errors import TraceError, number, short_repr
from ...jit.structure import Structure, flatten
from ...optim.clipping import clipped
from ...optim.parameters import UsedGradient, assign_all, read_numbers
from ..task import Runner, Task
from .buffers import Buffers
from .loop import StepLoop
from .penalty import Penalty
from .rule import check_optimizer, compiled_rule, counting, is_close, overrides
from .samples import (
    EAGER,
    BatchGroup,
    Loss,
    Plan,
    Program,
    advising_eager,
    is_plain,
)

MAX_VERIFIED_SAMPLES = 64  # samples among which `Engine.verify` looks for different targets
MAX_VERIFIED_NODES = 2_000  # nodes that `Engine.verify` computes eagerly


class Engine(Runner):
    """The steps of `fit`, compiled.

    `sync` writes the Values, `refresh` reads them again.

    Raises:
        TraceError: the loss of the first sample or the penalty cannot be traced.
        ValueError: the optimiser's state does not fit its parameters.
    """

    name = "jit"

    def __init__(self, task: Task) -> None:
        # The functions below must not refer to ``task``: tracing watches what they can change.
        model = task.model
        loss = task.loss
        optimizer = task.optimizer
        penalty: Any = task.penalty
        self._counter = counter = Value(0.0, "optimizer.steps")

        def sample(x: Any, target: Any) -> tuple[Any, Any]:
            with counting(optimizer, counter):
                prediction = model(x)
                return loss(prediction, target), prediction

        def added() -> tuple[Any, None]:
            with counting(optimizer, counter):
                return penalty(), None

        check_optimizer(optimizer)
        self.task = task
        self._function = sample
        self._added = added
        self._is_plain = is_plain(task.X) and is_plain(task.y)
        self.optimizer = optimizer
        self.since = optimizer.steps  # steps of the optimiser that are not in ``done``
        self.trained = tuple(optimizer.params)
        self._losses: dict[Structure, Loss] = {}
        self._samples: dict[int, tuple[Loss, array[float]]] = {}
        self._plan: Plan | None = None
        self._loop: StepLoop | None = None
        self.buffers = Buffers(optimizer)
        self._sample(0)
        self.penalty: Penalty | None = None
        if penalty is not None:
            self.penalty = Penalty(added, self.trained)
            self.buffers.reserve(self.penalty.buffer_size)
        self.rule = compiled_rule(optimizer, counter)
        self.refresh()

    # ---- against the eager engine

    def agrees(self, indices: Sequence[int], loss: float) -> bool:
        """Returns whether both engines have the same loss and gradients for these samples.

        A batch with random numbers cannot be compared, and counts as equal.
        """
        if self._planned(tuple(indices)).draws or (self.penalty and self.penalty.draws):
            return True
        wanted = read_numbers(self.trained, "grad")
        found, _ = self.differentiate(indices)
        gradient = self.buffers.totals.read(1, 1 + self.buffers.count)
        size = max(map(abs, wanted), default=0.0)
        return is_close(found, loss, abs(loss)) and all(
            map(is_close, gradient, wanted, repeat(size))
        )

    def verify(self) -> None:
        """Compares the compiled losses and the compiled penalty with the functions' own results.

        The first samples with different targets are compared.

        Raises:
            TraceError: they differ, because a function branches on something that a trace cannot
                show, such as isinstance() or text.
        """
        try:
            if self.penalty and not self.penalty.draws:
                found = self.penalty.run(self.buffers)
                _check_compiled("penalty", found, self._added())
            if self._is_plain:
                self._verify_losses()
        finally:
            self.refresh()  # the buffers then have the gradients of the parameters again

    def _verify_losses(self) -> None:
        X = self.task.X
        y = self.task.y
        count = min(len(y), MAX_VERIFIED_SAMPLES)
        targets = {repr(y[i]): i for i in reversed(range(count))}  # the first of each
        nodes = 0
        for i in sorted(targets.values()):
            program, _ = sample = self._sample(i)
            nodes += len(program.trace.nodes)
            if program.draws or (i and nodes > MAX_VERIFIED_NODES):
                return
            self.buffers.totals.write(0, [0.0] * (1 + self.buffers.count))
            Plan((i,), [sample]).run(self.buffers)
            expected = self._function(X[i], y[i])
            _check_compiled(f"loss of sample {i}", self.buffers.totals[0], expected)

    # ---- samples

    def _sample(self, i: int) -> tuple[Loss, array[float]]:
        """Returns the program of a sample and its numbers, and keeps them if the sample is plain.

        Raises:
            TypeError: the sample has a Value, or cannot be flattened.
            ValueError: the loss rejects the target.
        """
        target = self.task.y[i]
        leaves: list[Any] = []
        with advising_eager():
            structure = flatten((self.task.X[i], target), f"sample {i}", leaves)
        for leaf in leaves:
            if isinstance(leaf, Value):
                raise TypeError(
                    f"sample {i} has {short_repr(leaf)}, which would count as a number and get no "
                    f"gradient; let the model look it up with take(sequence, index), {EAGER}"
                )
        if structure not in self._losses:
            found = Loss(
                self._function, structure, len(leaves), self.trained, bool(self.task.metrics)
            )
            self._losses[structure] = found
            self.buffers.reserve(found.buffer_size)
        program = self._losses[structure]
        program.accept(self.task.loss, target)
        sample = program, array("d", map(float, leaves))
        if self._is_plain:
            self._samples[i] = sample
        return sample

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Returns the mean loss of some samples, with the penalty, and their predictions.

        ``totals`` then has the gradient.
        """
        plan = self._planned(tuple(indices))
        self._counter.data = float(self.optimizer.steps)
        buffers = self.buffers
        added = 0.0
        if self.penalty:
            added = self.penalty.run(buffers)
        else:
            ctypes.memset(buffers.totals.address, 0, 8 * (1 + buffers.count))
        buffers.totals[0] = 0.0
        predictions = plan.run(buffers)
        return buffers.totals[0] * plan.scale + added, predictions

    def _planned(self, indices: tuple[int, ...]) -> Plan:
        """Returns the plan for these samples.

        It is kept, because full batches are all the same.
        """
        if self._plan is None or self._plan.indices != indices or not self._is_plain:
            samples = self._samples
            self._plan = Plan(indices, [samples.get(i) or self._sample(i) for i in indices])
        return self._plan

    def is_sound(self, loss: float) -> bool:
        """Returns whether this loss and the gradient of `differentiate` are finite.

        In the first step, the loss must depend on the parameters, too.
        """
        finite = math.isfinite(loss) and (
            math.isfinite(self.buffers.error[1])
            or all(map(math.isfinite, self.buffers.totals.read(0, 1 + self.buffers.count)))
        )
        return finite and (
            bool(self.task.history.loss) or any(program.depends for program in self._programs())
        )

    def _programs(self) -> list[Program]:
        return [*self._losses.values(), *([self.penalty] if self.penalty else [])]

    def clip(self, max_norm: float) -> None:
        """Clips the norm of the gradient, as `optim.clip_grad_norm` does."""
        gradient = self.buffers.totals.read(1, 1 + self.buffers.count)
        self.buffers.totals.write(1, clipped(gradient, max_norm)[1])

    def step(self) -> None:
        """Makes a step of the optimiser."""
        if self.rule is None:
            self.sync()
            self.optimizer.step()
            self.refresh()
            return
        self.rule.run(self.buffers)
        self.buffers.done[0] = done = self.buffers.done[0] + 1  # now the other copy is valid
        self.optimizer.steps = self.since + int(done)

    # ---- Values

    def refresh(self) -> None:
        """Reads parameters, gradients and the optimiser's state from the Values again.

        A callback may have changed them.
        """
        if self.rule is not None and not self.rule.is_current():
            self.rule = compiled_rule(self.optimizer, self._counter)
        buffers = self.buffers
        self.since = self.optimizer.steps - int(buffers.done[0])
        self._counter.data = float(self.optimizer.steps)
        buffers.parameters.write(0, read_numbers(self.trained, "data"))
        buffers.totals.write(1, read_numbers(self.trained, "grad"))
        for buffer, column in zip(buffers.state[buffers.now], self.optimizer.state.values()):
            buffer.write(0, column)

    def is_current(self) -> bool:
        """Returns whether model, loss, penalty and list of parameters are as they were compiled.

        Reads the samples again, because they may have changed.
        """
        params = self.optimizer.params
        if len(params) != len(self.trained) or any(map(operator.is_not, self.trained, params)):
            return False
        before = self._samples
        self._samples = {}
        try:
            for i in before:
                if self._sample(i) != before[i]:
                    self._plan = None
            return all(program.is_current() for program in self._programs())
        except TypeError:  # not traceable any more; the error is raised when it is compiled again
            return False

    def sync(self, stepped: bool = False) -> None:
        """Writes parameters, gradients and the optimiser's state to the Values, all at once.

        stepped: whether a step was made with these gradients.
        """
        if self._loop is not None:
            self._loop.settle()
        buffers = self.buffers
        count = buffers.count
        optimizer = self.optimizer
        data = buffers.parameters.read(0, count)
        grads = buffers.totals.read(1, 1 + count)
        columns = [buffer.read(0, count) for buffer in buffers.state[buffers.now]]
        state = dict(zip(optimizer.state, columns))
        steps = self.since + int(buffers.done[0])
        assign_all([*self.trained, *self.trained, optimizer, optimizer],
                   [*["data"] * count, *["grad"] * count, "state", "steps"],
                   [*data, *(map(UsedGradient, grads) if stepped else grads), state, steps])

    # ---- several steps in one call

    def run_steps(self, count: int) -> int:
        """Makes up to ``count`` steps of the full batch, and returns how many."""
        plan = self._planned(tuple(range(len(self.task.X))))
        if self._loop is None and self.task.history.loss:
            self._loop = self._made_loop(plan)
        if self._loop is None:
            return 0
        for parameters in self.buffers.data:
            plan.groups[0].set(parameters, plan.scale)
        return self._loop.run(count)

    def _made_loop(self, plan: Plan) -> StepLoop | None:
        """Returns a loop of steps, or None if they need something from Python in between."""
        group = plan.groups[0]
        loss = group.loss
        rule = self.rule
        penalty = self.penalty
        if (
            not self._is_plain
            or rule is None
            or plan.draws
            or len(plan.groups) != 1
            or not isinstance(group, BatchGroup)
            or loss.batch is None
            or overrides(self.optimizer, "lr")
            or any(leaf is self._counter for leaf in loss.fixed)
            or (penalty and not penalty.address)
        ):
            return None
        buffers = self.buffers
        whole, tail = group.calls
        addresses = [
            *((penalty.address, penalty.out.address) if penalty else (0, 0)),
            loss.batch.address,
            *whole[:2],
            *tail[:2],
            loss.scratch.address,
            buffers.totals.address,
            buffers.error.address,
            rule.batch.address,
            rule.uniform.address,
            rule.scratch.address,
            *buffers.columns[0],
            *buffers.columns[1],
        ]
        integers = [*whole[2:], *tail[2:], buffers.blocks, 8 * buffers.count]
        return StepLoop(self.task, addresses, integers, plan.scale, buffers.done)


def _check_compiled(what: str, found: float, result: tuple[Any, Any]) -> None:
    """Checks that a compiled number is the one that the function itself returns.

    Raises:
        TraceError: it is another one.
    """
    expected = float(number(result[0]))
    if not is_close(found, expected, abs(expected)):
        raise TraceError(
            f"the {what} is {expected!r}, and compiled {found!r}: the function branches on "
            "something that tracing cannot see, such as isinstance() or text; use math.where, "
            f"{EAGER}"
        )
