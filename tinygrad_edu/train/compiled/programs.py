"""What the compiled engine of `fit` runs: losses of samples, the penalty, and the optimiser's rule.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from ...data.checks import returned_loss
from ...engine.value import Value
from ...errors import TraceError, short_repr
from ...jit.state import MAX_ROWS, State
from ...jit.structure import Structure, flatten
from ..eager import EagerEngine
from ..task import Task
from .buffers import Buffers
from .penalty import Penalty
from .rule import Progress, Rule, check_optimizer, compiled_rule
from .samples import EAGER, Loss, Plan, advising_eager, is_plain

T = TypeVar("T")


class Programs:
    """The programs of a task, and the state that they were compiled for.

    eager: the engine that has the errors, and the results to compare with.
    trained: the parameters.
    drawn: what was drawn for samples that are not plain, when they were read.
    new: samples that were read and not compared yet, each with its kind: the structure, and the
        types of the numbers.
    known: the kinds of which no more samples need to be compared.
    is_plain: whether samples are read once and kept.
    reads_rate: whether the learning rate can depend on anything but the number of steps.
    has_own_metrics: whether a metric is a function of the user's, which may change something.
    has_own_steps: whether other functions of the user's run in a step, such as a schedule.
    is_counting: whether a program reads the optimiser's steps or learning rate.
    """

    def __init__(self, task: Task) -> None:
        # The functions below must not refer to ``task``: tracing watches what they can change.
        model = task.model
        loss = task.loss
        optimizer = task.optimizer
        penalty: Any = task.penalty
        self._progress = progress = Progress(optimizer)

        def sample(x: Any, target: Any) -> tuple[Any, Any]:
            with progress.traced():
                prediction = model(x)
                found = loss(prediction, target)
                return returned_loss(found, "fit: what the loss returns"), prediction

        def added() -> tuple[Any, None]:
            with progress.traced():
                return returned_loss(penalty(), "fit: what the penalty returns"), None

        self._task = task
        self.eager = EagerEngine(task, self.read)
        self._function = sample
        self.is_plain = is_plain(task.X) and is_plain(task.y)
        self.trained = tuple(optimizer.params)
        self.new: list[tuple[Hashable, int]] = []
        self.known: set[Hashable] = set()
        self._pairs: dict[int, tuple[Any, Any]] = {}
        self._losses: dict[Structure, Loss] = {}
        self._samples: dict[int, tuple[Loss, array[float]]] = {}
        self._plan: Plan | None = None
        self.drawn: list[list[float]] = []
        self.penalty: Penalty | None = None
        self.rule: Rule | None = None
        self._compile_rule()
        self.buffers = Buffers(optimizer)
        if self.is_plain:
            self.sample(0)
        if penalty is not None:
            self.penalty = _made(
                lambda: Penalty(added, self.trained, self._state), self.eager.penalty
            )
            self.buffers.reserve(self.penalty.buffer_size)
            self._note_reads()

    def _compile_rule(self) -> None:
        """Compiles the rule, unless it is current.

        Also records everything that model, loss, penalty and rule can read.
        """
        task = self._task
        optimizer = task.optimizer
        self.reads_rate, has_own_schedule = check_optimizer(optimizer)
        samples = [task.X, task.y] if self.is_plain and len(task.X) <= MAX_ROWS else []
        roots = task.model, task.loss, task.penalty, *samples

        def state(*more: Any) -> State:
            # what the engine itself changes is left out
            return State(*roots, *more, of=optimizer, ignored=("steps", "state"))

        self._state = state(optimizer)
        if self.rule is None or not self.rule.is_current():
            self.rule = compiled_rule(optimizer, self._progress, self._state)
        if self.rule is None:  # its steps may change the optimiser
            self._state = state()
        self.has_own_metrics = bool(task.metrics) and State(*task.metrics.values()).has_code
        self.has_own_steps = (
            has_own_schedule or self.reads_rate or self.rule is None or not self.is_plain
        )
        self._note_reads()

    # ---- samples

    def read(self, i: int) -> tuple[Any, Any]:
        """Returns a sample and its target.  A sample that is not plain is read once in a step."""
        task = self._task
        if self.is_plain:
            return task.sample(i)
        if i not in self._pairs:
            self._pairs[i] = task.sample(i)
        return self._pairs[i]

    def sample(self, i: int) -> tuple[Loss, array[float]]:
        """Returns the program of a sample and its numbers.

        Raises:
            TypeError: the sample has a Value, or cannot be flattened.
            ValueError: the loss rejects the target.
        """
        if i in self._samples:
            return self._samples[i]
        task = self._task
        x, target = self.read(i)
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
            predicts = bool(task.metrics)
            state = None if self._losses else self._state
            self._losses[structure] = found = _made(
                lambda: Loss(self._function, structure, self.trained, predicts, state),
                lambda: self.eager.sample(i),
            )
            self.buffers.reserve(found.buffer_size)
            self._note_reads()
        program = self._losses[structure]
        _made(lambda: program.accept(task.loss, target), lambda: self.eager.sample(i))
        self._samples[i] = sample = program, array("d", map(float, leaves))
        kind = structure, tuple(map(type, leaves))
        if kind not in self.known:
            self.new.append((kind, i))
        return sample

    def plan(self, indices: tuple[int, ...]) -> Plan:
        """Returns the plan for these samples.

        It is kept, because full batches are all the same.
        """
        if not self.is_plain:
            self._pairs = {}
            self._samples = {}
            self._plan = None
            self.drawn = []
            self.keep_generators()
            for i in indices:  # reading a sample may draw numbers, too
                program, _ = self.sample(i)
                self.drawn.append([draw() for draw in program.draws])
        if self._plan is None or self._plan.indices != indices:
            self._plan = Plan(indices, [*map(self.sample, indices)])
        return self._plan

    def count(self) -> None:
        """Sets the optimiser's steps and learning rate for the programs that read them."""
        optimizer = self._task.optimizer
        self._progress.steps.data = float(optimizer.steps)
        if self._reads_rate:
            self._progress.rate.data = optimizer.lr

    def _note_reads(self) -> None:
        """Notes what the programs read at every step, and the generators that they draw from.

        Raises:
            TraceError: the learning rate is read, but may differ from call to call.
        """
        programs = [*self._losses.values(), *([self.penalty] if self.penalty else [])]
        fixed = {leaf for program in programs for leaf in program.fixed}
        self._reads_rate = self._progress.rate in fixed
        self.is_counting = self._reads_rate or self._progress.steps in fixed
        if self._reads_rate and self.reads_rate:
            raise TraceError(
                "the model, the loss or the penalty reads optimizer.lr, but its schedule does not "
                f"depend on the number of steps alone\n{EAGER.removeprefix('or ')}"
            )
        draws = [draw for program in programs for draw in program.draws]
        self._drawn = State(*draws) if draws else None

    def keep_generators(self, back: bool = False) -> None:
        """Keeps the states of the generators that programs draw from, or puts them back."""
        if self._drawn is None:
            return
        if back:
            self._drawn.restore_generators()
        else:
            self._drawn.keep_generators()

    # ---- what changes

    def changes(self) -> list[str]:
        """Returns the names of what the functions can read and has changed.

        The numbers of the optimiser, which the engine itself changes, are not among them.
        """
        return self._state.changes()

    def is_current(self) -> bool:
        """Returns whether parameters, model, loss and penalty are as they were compiled.

        If so, the rule is compiled again if it has changed.
        """
        params = self._task.optimizer.params
        if len(params) != len(self.trained) or any(map(operator.is_not, self.trained, params)):
            return False
        try:
            is_same = all(
                program.is_current()
                for program in (*self._losses.values(), self.penalty)
                if program
            )
        except TypeError:  # not traceable any more; the error is raised when it is compiled again
            return False
        if is_same:
            self._compile_rule()
        return is_same

    def reread(self) -> None:
        """Reads the samples again, which may have changed."""
        if not self.is_plain:
            return
        before = self._samples
        self._samples = {}
        changed = [self.sample(i) != sample for i, sample in before.items()]
        if any(changed):
            self._plan = None


def _made(make: Callable[[], T], eagerly: Callable[[], object]) -> T:
    """Returns ``make()``.  If it fails, ``eagerly()`` raises the error, if it fails as well.

    The error then shows the user's numbers, not those of tracing, and has the same words as that of
    the eager engine.  A TraceError is raised as it is.
    """
    try:
        return make()
    except TraceError:
        raise
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        failure = error
    eagerly()  # outside of the block, so that its error does not mention the other one
    raise failure
