"""The compiled engine of `fit`: parameters, gradients and the optimiser's state are in buffers.

`programs` compiles what is run, `comparison` compares it with the eager engine, and `loop` makes
many steps in one call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import inf
from typing import Any, NoReturn

from ...data.summation import BLOCK
from ...engine.graph import assign_grads
from ...errors import TraceError, some
from ...jit.running import objects
from ...jit.running.memory import without_collection
from ...optim.clipping import clipped
from ...optim.parameters import UsedGradient, assign_all, read_numbers
from ..task import Runner, Task
from .comparison import Comparison
from .distribution import Distribution
from .loop import StepLoop
from .programs import Programs
from .samples import EAGER, Plan


class Engine(Runner):
    """The steps of `fit`, compiled.

    `sync` writes the Values, `_refresh` reads them again.

    reason: why an executor is not used, if there is one.

    Raises:
        ImportError: llvmlite is not installed.
        TraceError: the loss of the first sample or the penalty cannot be traced.
        ValueError: the optimiser's state does not fit its parameters.
    """

    name = "jit"
    reason = ""

    def __init__(self, task: Task) -> None:
        if not objects.available():
            raise ImportError(
                'fit(engine="jit") needs llvmlite: pip install "tinygrad_edu[fast]", or pass '
                'engine="eager"'
            )
        self.task = task
        self._distribution: Distribution | None = None
        if task.executor is not None:
            if min(task.batch_size or inf, len(task.X)) > BLOCK:
                self._distribution = Distribution(task.executor)
                self.name = f"jit on {type(task.executor).__name__}"
            else:
                self.reason = f"a batch of at most {BLOCK} samples is not divided"
        self._compile()

    @without_collection()
    def _compile(self) -> None:
        self.programs = Programs(self.task)
        self.buffers = self.programs.buffers
        self._comparison = Comparison(self.task, self.programs)
        self._loop: StepLoop | None = None
        self._has_no_loop = False  # whether the steps cannot be made in one call
        self._refresh()

    def _raise(self, message: str) -> NoReturn:
        raise TraceError(f"step {len(self.task.history)}: {message}")

    def reread(self) -> None:
        """Reads again what ``on_epoch`` may have changed, and compiles again if necessary."""
        programs = self.programs
        trained = programs.trained
        if (programs.changes() or trained != tuple(self.task.optimizer.params)) and \
                not programs.is_current():
            self._compile()
        else:
            self._loop = None
            self._has_no_loop = False
            programs.reread()
            self._refresh()

    # ---- a step

    def differentiate(self, indices: Sequence[int]) -> tuple[float, list[Any]]:
        """Returns the mean loss of some samples, with the penalty, and their predictions.

        ``totals`` then has the gradient.
        """
        programs = self.programs
        plan = self._checked(tuple(indices))
        buffers = self.buffers
        buffers.keep()
        if programs.is_plain:
            programs.keep_generators()
        try:
            predictions = self._run(plan)
            if programs.penalty:
                programs.penalty.run(buffers)
            buffers.finish(len(indices))
            is_sound = self._is_sound()
        except BaseException:
            buffers.keep(back=True)
            programs.keep_generators(back=True)
            raise
        if not is_sound:
            self._raise_eagerly(indices)
        self._is_ahead = True
        self._stepped = False
        if programs.reads_rate:
            self.sync()
        return buffers.totals[0], predictions

    def _run(self, plan: Plan) -> list[Any]:
        """Sums losses and gradients in this process or in workers, and returns the predictions."""
        drawn = self.programs.drawn
        if self._distribution is None or len(plan.indices) <= BLOCK:
            return plan.run(self.buffers, drawn)
        return self._distribution.run(plan, self.buffers, drawn)

    @without_collection()
    def _checked(self, indices: tuple[int, ...]) -> Plan:
        """Returns the plan for these samples, after the comparisons that are due.

        Raises:
            TraceError: something that is not `on_epoch` has changed a program, or the eager engine
                has another result.
        """
        programs = self.programs
        if programs.has_own_steps:
            self._check_unchanged()
        plan = programs.plan(indices)
        programs.count()
        if self._comparison.is_due():
            self.sync()
            try:
                message = self._comparison.run(indices)
            finally:
                self._refresh()  # the buffers then have the gradients of the parameters again
            if message:
                self._raise(message)
        return plan

    def _check_unchanged(self) -> None:
        """Compiles the rule and reads the samples again, if they have changed.

        Raises:
            TraceError: a program has changed.
        """
        programs = self.programs
        if changes := programs.changes():
            self._loop = None
            if not programs.is_current():
                self._raise(
                    f"{some(changes)} changed during the training, after the program was "
                    f"compiled\nchange it in on_epoch, {EAGER}"
                )
            programs.reread()

    def _is_sound(self) -> bool:
        """Returns whether the loss and the gradient of `differentiate` are finite.

        In the first step, the gradient must depend on the parameters, too.
        """
        buffers = self.buffers
        if self.task.history.loss and math.isfinite(sum(buffers.error.read(1, 5))):
            return True
        totals = buffers.totals.read(0, 1 + buffers.count)
        is_finite = all(map(math.isfinite, totals))
        return is_finite and (bool(self.task.history.loss) or any(totals[1:]))

    def _raise_eagerly(self, indices: Sequence[int]) -> None:
        """Lets the eager engine raise its error for a loss or a gradient, if it finds one."""
        buffers = self.buffers
        found = buffers.totals.read(0, 1 + buffers.count)
        buffers.keep(back=True)
        self.programs.keep_generators(back=True)
        self.sync()
        trained = self.programs.trained
        before = read_numbers(trained, "grad")
        value, _ = self.programs.eager.differentiate(indices)
        wanted = [value, *read_numbers(trained, "grad")]
        if message := self._comparison.difference("loss of the step", found, wanted):
            assign_grads(trained, before)
            self.programs.keep_generators(back=True)
            self._raise(message)
        buffers.totals.write(0, wanted)

    def clip(self, max_norm: float) -> None:
        """Clips the norm of the gradient, as `optim.clip_grad_norm` does."""
        gradient = self.buffers.totals.read(1, 1 + self.buffers.count)
        self.buffers.totals.write(1, clipped(gradient, max_norm)[1])
        self._is_ahead = True
        if self.programs.reads_rate:
            self.sync()

    def step(self) -> None:
        """Makes a step of the optimiser."""
        rule = self.programs.rule
        buffers = self.buffers
        if rule is None:
            self.sync()
            self.task.optimizer.step()
            self._refresh()
            return
        rule.run(buffers)
        buffers.done[0] = done = buffers.done[0] + 1  # now the other copy is valid
        self._is_ahead = self._stepped = True
        self.task.optimizer.steps = self._since + int(done)
        if self.programs.reads_rate:
            self.sync()

    # ---- Values

    def refresh(self) -> None:
        """Reads again what a metric may have changed, after `sync`."""
        if self.programs.has_own_metrics:
            self._check_unchanged()
            self._refresh()

    def _refresh(self) -> None:
        """Reads parameters, gradients and the optimiser's state from the Values again."""
        optimizer = self.task.optimizer
        trained = self.programs.trained
        buffers = self.buffers
        # steps of the optimiser that are not in ``done``
        self._since = optimizer.steps - int(buffers.done[0])
        buffers.parameters.write(0, read_numbers(trained, "data"))
        buffers.totals.write(1, read_numbers(trained, "grad"))
        for buffer, column in zip(buffers.state[buffers.now], optimizer.state.values()):
            buffer.write(0, column)
        self._is_ahead = False  # whether the buffers have newer numbers than the Values
        self._written = int(buffers.done[0])  # the steps whose numbers the Values have
        self._stepped = False  # whether a step was made with their gradients

    def sync(self) -> None:
        """Writes parameters, gradients and the optimiser's state to the Values, all at once."""
        if self._loop is not None:
            self._loop.settle()
            # an interrupt may have come after the steps were noted, and before this was
            if int(self.buffers.done[0]) != self._written:
                self._is_ahead = self._stepped = True
        if not self._is_ahead:
            return
        buffers = self.buffers
        trained = self.programs.trained
        count = buffers.count
        optimizer = self.task.optimizer
        data = buffers.parameters.read(0, count)
        grads = buffers.totals.read(1, 1 + count)
        columns = [buffer.read(0, count) for buffer in buffers.state[buffers.now]]
        state = dict(zip(optimizer.state, columns))
        steps = self._since + int(buffers.done[0])
        assign_all([*trained, *trained, optimizer, optimizer],
                   [*["data"] * count, *["grad"] * count, "state", "steps"],
                   [*data, *(map(UsedGradient, grads) if self._stepped else grads), state, steps])
        self._is_ahead = False
        self._written = int(buffers.done[0])

    # ---- several steps in one call

    def run_steps(self, count: int) -> int:
        """Makes up to ``count`` steps of the full batch, and returns how many."""
        programs = self.programs
        is_plain = programs.is_plain and not programs.reads_rate
        if not (self.task.history.loss and is_plain) or self._has_no_loop or self._distribution:
            return 0
        plan = self._checked(tuple(range(len(self.task.X))))
        if self._loop is None:
            self._loop = self._made_loop(plan)
        if self._loop is None:
            self._has_no_loop = True
            return 0
        fixed = plan.fixed()
        for parameters in self.buffers.data:
            plan.part.prepare(parameters, fixed)
        made = self._loop.run(count)
        if made:
            self._is_ahead = self._stepped = True
        return made

    def _made_loop(self, plan: Plan) -> StepLoop | None:
        """Returns a loop of steps, or None if they need something from Python in between."""
        programs = self.programs
        group = plan.part.only
        rule = programs.rule
        penalty = programs.penalty
        if (
            group is None
            or rule is None
            or plan.draws
            or programs.is_counting
            or (penalty and not penalty.address)
        ):
            return None
        buffers = self.buffers
        sums = buffers.sums
        addresses = [
            penalty.address if penalty else 0,
            group.kernel.batch.address,
            *group.addresses(0),
            *(group.addresses(group.whole) if group.tail else (0, 0)),
            group.scratch.address,
            sums.lanes.address,
            sums.vector.address,
            sums.totals.address,
            buffers.added.address,
            buffers.before.address,
            buffers.error.address,
            rule.batch.address,
            rule.uniform.address,
            rule.scratch.address,
            *buffers.columns[0],
            *buffers.columns[1],
        ]
        integers = [group.whole, group.tail, sums.count, len(plan.indices), buffers.vectors]
        return StepLoop(self.task, addresses, integers, buffers.done)
