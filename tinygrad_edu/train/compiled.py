"""The compiled engine of `fit`: parameters, gradients and the optimiser's state are in buffers.

`samples` compiles the loss of a sample and its gradient, `penalty` the penalty, `rule` the
optimiser's rule, and `loop` makes many steps in one call.

Parameters and state exist twice.  A step reads one copy and writes the other; counting the step
makes the new copy valid.  An interrupt therefore finds either the old numbers or the new ones.
"""

from __future__ import annotations

import ctypes
import math
import operator
from array import array
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from ..engine.value import Value
from ..errors import TraceError, number, short_repr
from ..jit.languages.emitter import LANES
from ..jit.running.memory import AlignedBuffer
from ..jit.structure import Structure, flatten
from ..optim import Optimizer
from ..optim.clipping import clipped
from ..optim.parameters import UsedGradient, assign_all, read_numbers
from .eager import EagerEngine
from .loop import StepLoop
from .penalty import Penalty
from .rule import Rule, check_optimizer, compiled_rule, counting, is_close
from .samples import EAGER, Loss, Plan, advising_eager, is_plain, whole_blocks

MAX_VERIFIED_SAMPLES = 64  # samples among which `Engine.verify` looks for different targets
MAX_VERIFIED_NODES = 2_000  # nodes that `Engine.verify` computes eagerly


class Engine:
    """The steps of `fit`, compiled.  `sync` writes the Values, `refresh` reads them again.

    Raises:
        TraceError: the loss of the first sample or the penalty cannot be traced.
        ValueError: the optimiser's state does not fit its parameters.
    """

    name = "jit"

    def __init__(self, eager: EagerEngine, with_predictions: bool) -> None:
        # The functions below must not refer to ``eager``: tracing watches what they can change.
        model = eager.model
        loss = eager.loss
        optimizer = eager.optimizer
        penalty: Any = eager.penalty
        self._counter = counter = Value(0.0, "optimizer.steps")

        def sample(x: Any, target: Any) -> tuple[Any, Any]:
            with counting(optimizer, counter):
                prediction = model(x)
                return loss(prediction, target), prediction

        def added() -> tuple[Any, None]:
            with counting(optimizer, counter):
                return penalty(), None

        check_optimizer(optimizer)
        self._function = sample
        self._added = added
        self._loss = loss
        self._X = eager.X
        self._y = eager.y
        self._is_plain = is_plain(eager.X) and is_plain(eager.y)
        self._with_predictions = with_predictions
        self.optimizer = optimizer
        self.trained = tuple(optimizer.params)
        self._losses: dict[Structure, Loss] = {}
        self._samples: dict[int, tuple[Loss, array[float]]] = {}
        # numbers of targets that the loss accepts, for each structure
        self._accepted: dict[Any, set[float]] = {}
        self._plan: Plan | None = None
        self._loop: StepLoop | None = None
        self.rule: Rule | None = None
        self._allocate()
        self._sample(0)
        self.penalty = Penalty(added, self.trained) if penalty is not None else None
        if self.penalty is not None:
            self._reserve(self.penalty.buffer_size)
        self.rule = self._compiled_rule()
        self.refresh()

    def _allocate(self) -> None:
        """Makes the buffers: two for the data, and two for each slot of the state."""
        self.count = len(self.trained)
        padded = whole_blocks(self.count)
        self.blocks = padded // LANES
        self.totals = AlignedBuffer(1 + padded)  # the loss, and the gradient
        self.error = AlignedBuffer(2)
        self.done = AlignedBuffer(1)  # the number of steps; counting a step is what makes it valid
        self.since = self.optimizer.steps  # steps of the optimiser that are not in `done`
        self._reserved = 0  # numbers behind the parameters
        self.data = [AlignedBuffer(padded) for _ in range(2)]
        self.state = [[AlignedBuffer(padded) for _ in self.optimizer.state] for _ in range(2)]

    # ---- against the eager engine

    def agrees(self, indices: Sequence[int], loss: float) -> bool:
        """Returns whether both engines have the same loss and gradients for these samples.

        A batch with random numbers cannot be compared, and counts as equal.
        """
        if self._planned(tuple(indices)).draws or (
            self.penalty is not None and self.penalty.draws
        ):
            return True
        wanted = read_numbers(self.trained, "grad")
        found, _ = self.differentiate(indices)
        gradient = self.totals.read(1, 1 + self.count)
        size = max(map(abs, wanted), default=0.0)
        return is_close(found, loss, abs(loss)) and all(
            map(is_close, gradient, wanted, repeat(size))
        )

    def verify(self) -> None:
        """Raises TraceError if a compiled loss or penalty differs from the function's own result.

        It differs if the function branches on something that a trace cannot show, such as
        isinstance() or text.  The first samples with different targets are compared.
        """
        try:
            self._verify_penalty()
            self._verify_losses()
        finally:
            self.refresh()  # the buffers then have the gradients of the parameters again

    def _verify_penalty(self) -> None:
        if self.penalty is None or self.penalty.draws:
            return
        found = self.penalty.run(self.data[self.now], self.totals)
        _check_compiled("penalty", found, self._added())

    def _verify_losses(self) -> None:
        if not self._is_plain:
            return
        count = min(len(self._y), MAX_VERIFIED_SAMPLES)
        targets = {repr(self._y[i]): i for i in reversed(range(count))}  # the first of each
        parameters = self.data[self.now]
        nodes = 0
        for i in sorted(targets.values()):
            plan = Plan((i,), [self._sample(i)])
            group = plan.groups[0]
            nodes += len(group.loss.trace.nodes)
            if plan.draws or (i and nodes > MAX_VERIFIED_NODES):
                return
            self.totals.write(0, [0.0] * (1 + self.count))
            group.set(parameters, 1.0)
            group.run(parameters, self.totals, self.error)
            expected = self._function(self._X[i], self._y[i])
            _check_compiled(f"loss of sample {i}", self.totals[0], expected)

    # ---- samples

    def _sample(self, i: int) -> tuple[Loss, array[float]]:
        """Returns the program of a sample and its numbers; plain samples are read only once."""
        if i in self._samples:
            return self._samples[i]
        x = self._X[i]
        target = self._y[i]
        leaves: list[Any] = []
        with advising_eager():
            structure = flatten((x, target), f"sample {i}", leaves)
        for leaf in leaves:
            if isinstance(leaf, Value):
                raise TypeError(
                    f"sample {i} has {short_repr(leaf)}, which would count as a number and get no "
                    f"gradient; let the model look it up with take(sequence, index), {EAGER}"
                )
        if structure not in self._losses:
            found = Loss(
                self._function, structure, len(leaves), self.trained, self._with_predictions
            )
            self._losses[structure] = found
            self._reserve(found.buffer_size)
        self._accept(self._losses[structure], target)
        sample = self._losses[structure], array("d", map(float, leaves))
        if self._is_plain:
            self._samples[i] = sample
        return sample

    def _accept(self, program: Loss, target: Any) -> None:
        """Raises ValueError if the loss rejects a target.

        The loss is called only for a target with a new number: the call takes longer than a
        compiled step, and losses reject single numbers, not combinations.
        """
        numbers: list[Any] = []
        kind = flatten(target, "target", numbers), program
        met = self._accepted.setdefault(kind, set())
        if not numbers or not met.issuperset(numbers):
            program.check(self._loss, target)
            met.update(numbers)

    def _reserve(self, count: int) -> None:
        """Makes the buffers of parameters long enough: a program has more inputs behind them."""
        if count > self._reserved:
            self._reserved = count
            for i, old in enumerate(self.data):
                self.data[i] = AlignedBuffer(count + LANES)
                self.data[i].write(0, old.read(0, self.count))
            self._connect()

    # ---- a step

    @property
    def now(self) -> int:
        """Which of the two copies has the present numbers, 0 or 1."""
        return int(self.done[0]) % 2

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Returns the mean loss of some samples, with the penalty, and their predictions.

        ``totals`` then has the gradient.
        """
        plan = self._planned(tuple(indices))
        self._counter.data = float(self.optimizer.steps)
        parameters = self.data[self.now]
        added = 0.0
        if self.penalty is not None:
            added = self.penalty.run(parameters, self.totals)
        else:
            ctypes.memset(self.totals.address, 0, 8 * (1 + self.count))
        self.totals[0] = 0.0
        predictions: list[Any] = [None] * plan.count
        if plan.draws:
            plan.draw()
        for group in plan.groups:
            group.set(parameters, plan.scale)
            found = group.run(parameters, self.totals, self.error)
            if self._with_predictions:
                for k, prediction in zip(group.members, found):
                    predictions[k] = prediction
        return self.totals[0] * plan.scale + added, predictions

    def _planned(self, indices: tuple[int, ...]) -> Plan:
        """Returns the plan for these samples; it is kept, because full batches are all the same."""
        if self._plan is None or self._plan.indices != indices or not self._is_plain:
            self._plan = Plan(indices, [self._sample(i) for i in indices])
        return self._plan

    def is_sound(self, loss: float, first: bool) -> bool:
        """Returns whether loss and gradient of `differentiate` are finite.

        In the first step, the loss must depend on the parameters, too.
        """
        finite = math.isfinite(loss) and (
            math.isfinite(self.error[1])
            or all(map(math.isfinite, self.totals.read(0, 1 + self.count)))
        )
        return finite and (not first or self._depends)

    @property
    def _depends(self) -> bool:
        """Whether the losses of the samples so far, or the penalty, use a trained parameter."""
        return any(loss.depends for loss in self._losses.values()) or (
            self.penalty is not None and self.penalty.depends
        )

    def clip(self, max_norm: float) -> None:
        """Clips the norm of the gradient, as `optim.clip_grad_norm` does."""
        gradient = self.totals.read(1, 1 + self.count)
        self.totals.write(1, clipped(gradient, max_norm)[1])

    def step(self) -> None:
        """Makes a step of the optimiser."""
        if self.rule is None:
            self.sync()
            self.optimizer.step()
            self.refresh()
            return
        self.rule.run(self.now, self.blocks, self.error.address)
        self.done[0] = done = self.done[0] + 1  # now the other copy is valid
        self.optimizer.steps = self.since + int(done)

    def _compiled_rule(self) -> Rule | None:
        return compiled_rule(self.optimizer, self._counter, float(self.trained[0].data))

    def _connect(self) -> None:
        """Tells the rule where the buffers are."""
        if self.rule is not None:
            self.rule.connect(self.data, self.totals.address + 8, self.state)

    # ---- Values

    def refresh(self) -> None:
        """Reads parameters, gradients and the optimiser's state from the Values again.

        A callback may have changed them.
        """
        if self.rule is not None and not self.rule.is_current():
            self.rule = self._compiled_rule()
        now = self.now
        self.since = self.optimizer.steps - int(self.done[0])
        self._counter.data = float(self.optimizer.steps)
        self.data[now].write(0, read_numbers(self.trained, "data"))
        self.totals.write(1, list(map(float, read_numbers(self.trained, "grad"))))
        for buffer, column in zip(self.state[now], self.optimizer.state.values()):
            buffer.write(0, column)
        self._connect()

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
                    self._plan = self._loop = None
            return all(loss.is_current() for loss in self._losses.values()) and \
                (self.penalty is None or self.penalty.is_current())
        except TypeError:  # not traceable any more; the error is raised when it is compiled again
            return False

    def sync(self, stepped: bool = False) -> None:
        """Writes parameters, gradients and the optimiser's state to the Values, all at once.

        stepped: whether a step was made with these gradients.
        """
        now = self.now
        count = self.count
        optimizer = self.optimizer
        data = self.data[now].read(0, count)
        grads = self.totals.read(1, 1 + count)
        columns = [buffer.read(0, count) for buffer in self.state[now]]
        state = dict(zip(optimizer.state, columns))
        steps = self.since + int(self.done[0])
        assign_all([*self.trained, *self.trained, optimizer, optimizer],
                   [*["data"] * count, *["grad"] * count, "state", "steps"],
                   [*data, *(map(UsedGradient, grads) if stepped else grads), state, steps])

    # ---- several steps in one call

    def run_steps(self, count: int, history: Any, start: float) -> int:
        """Makes up to ``count`` steps of the full batch, and returns how many.

        It is 0 if the next step must be made by itself.  The steps are added to ``history``, the
        history of a run that began at ``start``.
        """
        if self._loop is None:
            plan = self._planned(tuple(range(len(self._X))))
            if not history.loss or not self._can_loop(plan):
                return 0
            self._loop = StepLoop(self, plan)
        return self._loop.run(count, history, start)

    def _can_loop(self, plan: Plan) -> bool:
        """Returns whether steps of these samples need nothing from Python in between."""
        if not self._is_plain or self.rule is None or plan.draws or len(plan.groups) != 1:
            return False
        loss = plan.groups[0].loss
        return (
            loss.batch is not None
            and type(self.optimizer).lr is Optimizer.lr
            and not any(leaf is self._counter for leaf in loss.fixed)
            and (self.penalty is None or self.penalty.is_plain)
        )

    def settle(self, history: Any, start: float) -> None:
        """Adds the steps of an interrupted call to the history."""
        if self._loop is not None:
            self._loop.settle(history, start)


def _check_compiled(what: str, found: float, result: tuple[Any, Any]) -> None:
    """Raises TraceError if a compiled number is not the one that the function itself returns."""
    expected = float(number(result[0]))
    if not is_close(found, expected, abs(expected)):
        raise TraceError(
            f"the {what} is {expected!r}, and compiled {found!r}: the function branches on "
            "something that tracing cannot see, such as isinstance() or text; use math.where, "
            f"{EAGER}"
        )
