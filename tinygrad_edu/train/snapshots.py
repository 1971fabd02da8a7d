"""A training as a film: `TrainingRecord`, what `fit` keeps of a model when it is asked to
(``record_every=``).

    >>> from tinygrad_edu import Value, fit, nn, optim
    >>> w = Value(0.0, "w")
    >>> history = fit(lambda x: w * x, nn.mse, [1.0, 2.0], [3.0, 6.0], epochs=4,
    ...               optimizer=optim.SGD([w], lr=0.1), record_every=2)
    >>> [snapshot.step for snapshot in history.training.snapshots]
    [1, 2, 4]
    >>> first = history.training.snapshots[0]
    >>> first.before[0], first.gradients[0], first.after[0]
    (0.0, -15.0, 1.5)
    >>> with history.training.at(first, after=True) as model:
    ...     model(2.0).data
    3.0

There are never more snapshots than fit into a fixed memory, however long the training is.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from ..engine.value import Value

if TYPE_CHECKING:
    from ..optim import Optimizer

MAX_SNAPSHOTS = 200
MAX_NUMBERS = 2_000_000  # in all snapshots together: 16 MB


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parameters around one step, as arrays of floats in the order of
    `TrainingRecord.parameters`.

    step        the number of the step, counted from 1: its loss is ``history.loss[step - 1]``
    before      the data before the update, with which that loss was computed
    gradients   the gradients that the update used: after clipping, if there was any
    after       the data after the update
    """

    step: int
    before: array[float]
    gradients: array[float]
    after: array[float]


class TrainingRecord:
    """What was trained, and snapshots of how it went.

    model        the model that `fit` was given, and likewise
    loss         the loss function,
    X, y         the samples and their targets: the very objects, not copies
    parameters   the optimiser's parameters
    optimizer    the optimiser itself, if `fit` recorded it: its rule, for its rate and state have
                 moved on
    names        of each parameter its label, made unique where labels are not: ``model
                 2.layers.0.w.0`` where two models have the same names, ``w#2`` for the second plain
                 ``w``; ``parameter 3`` where there is none (counted from 0, as in the messages of
                 `optim`)
    snapshots    each a `Snapshot`, in the order of the steps; the last one is always that of the
                 last finished step
    interval     the distance of the snapshots in steps: all but the first and the last are of
                 multiples of it

    Memory is bounded: above `MAX_SNAPSHOTS` snapshots, or `MAX_NUMBERS` numbers in all of them,
    which is fewer snapshots for more than 3,333 parameters, every second one is dropped and the
    interval doubles.  The first and the last stay, whatever the size of the model.

    Since it refers to the user's objects, a copy of it (deep ones included) refers to the same
    objects and has a list of its own.  It cannot be pickled, for losses are functions and often
    lambdas: a history that is pickled has None in its place.
    """

    def __init__(
        self,
        model: Callable[[Any], Any],
        loss: Callable[[Any, Any], Any],
        X: Sequence[Any],
        y: Sequence[Any],
        parameters: Iterable[Value],
        interval: int = 1,
        optimizer: Optimizer | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.model, self.loss, self.X, self.y = model, loss, X, y
        self.parameters = tuple(parameters)
        self.names = tuple(unique_names([str(parameter.label) for parameter in self.parameters]))
        self.snapshots: list[Snapshot] = []
        self.interval = interval

    @contextmanager
    def at(self, snapshot: Snapshot, after: bool = False) -> Iterator[Callable[[Any], Any]]:
        """For the time of a ``with`` block, the model as it was before the snapshot's update, or
        ``after`` it.

        The block gets the model.  When it ends, in whatever way, the parameters have the data that
        they had.  Gradients are not touched; neither are parameters that the optimiser did not
        train, nor the model's mode, so that a model with dropout needs ``model.eval()``.

        Raises TypeError if ``snapshot`` is none, ValueError if it is of another number of
        parameters.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"at() takes a Snapshot, not {type(snapshot).__name__} ({snapshot!r}); "
                            "give one of history.training.snapshots")
        data = snapshot.after if after else snapshot.before
        if len(data) != len(self.parameters):
            raise ValueError(
                f"the snapshot has {len(data)} parameters, but this training has "
                f"{len(self.parameters)}; "
                "give one of its own snapshots"
            )
        set_data = partial(map, setattr, self.parameters, repeat("data"))
        there, back = set_data(data), set_data([parameter.data for parameter in self.parameters])
        try:
            # one call in C, which no signal handler interrupts, and so is the way back:
            deque(there, maxlen=0)
            yield self.model
        finally:
            # it is ready before the block begins, so that Ctrl-C finds no gap before it
            deque(back, maxlen=0)

    def path(self, *parameters: Value) -> list[tuple[float, ...]]:
        """The way of some parameters through the training: their data before each snapshot's
        update, and after the last.

        Raises ValueError for a Value that the optimiser did not train.
        """
        at = {parameter: i for i, parameter in enumerate(self.parameters)}
        for parameter in parameters:
            if parameter not in at:
                known = ", ".join(self.names[:6]) + (", ..." if len(at) > 6 else "")
                raise ValueError(
                    f"{parameter!r} is none of the {len(at)} parameters that were trained: {known}"
                )
        data = [snapshot.before for snapshot in self.snapshots] + [
            snapshot.after for snapshot in self.snapshots[-1:]
        ]
        return [tuple([numbers[at[parameter]] for parameter in parameters]) for numbers in data]

    def __copy__(self) -> TrainingRecord:
        twin = TrainingRecord(
            self.model, self.loss, self.X, self.y, self.parameters, self.interval, self.optimizer
        )
        twin.names, twin.snapshots = self.names, list(self.snapshots)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainingRecord:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def __repr__(self) -> str:
        steps = [snapshot.step for snapshot in self.snapshots]
        what = f"of steps {steps[0]} to {steps[-1]}" if steps else "yet"
        return (f"<TrainingRecord: {len(steps) or 'no'} snapshot{'s' * (len(steps) != 1)} {what}, "
                f"{len(self.parameters)} parameter{'s' * (len(self.parameters) != 1)}>")


class Recorder:
    """Fills a `TrainingRecord`, called by `fit` right before and right after every update.

    Every step is taken down, for any may turn out to be the last; the next one replaces it unless
    it is to be kept.
    """

    def __init__(self, record: TrainingRecord) -> None:
        self.record = record
        self._begun = 0, array("d"), array("d")  # the step, counted from 1, and what it read
        numbers = 3 * len(record.parameters)
        self._limit = max(2, min(MAX_SNAPSHOTS, MAX_NUMBERS // numbers))

    def before_update(self, step: int) -> None:
        """Takes down data and gradients before the update of this step."""
        gradients = array("d", [parameter.grad for parameter in self.record.parameters])
        self._begun = step, self._data(), gradients

    def after_update(self) -> None:
        """Makes the snapshot of the step that was begun."""
        self._add(Snapshot(*self._begun, self._data()))

    def settle(self, steps: int) -> None:
        """After an interrupt: the snapshot of the last of ``steps`` finished steps, if it was not
        made any more."""
        last = self.record.snapshots[-1].step if self.record.snapshots else 0
        if last < self._begun[0] == steps:
            self.after_update()

    def _data(self) -> array[float]:
        return array("d", [parameter.data for parameter in self.record.parameters])

    def _add(self, snapshot: Snapshot) -> None:
        record = self.record
        kept = [*record.snapshots, snapshot]
        if len(kept) > 1 and not _due(kept[-2].step, record.interval):
            del kept[-2]
        interval = record.interval
        while len(kept) > self._limit:
            interval *= 2
            kept = [each for each in kept if _due(each.step, interval) or each is snapshot]
        # An interrupt between the two leaves the old snapshots, which `settle` then completes.
        record.interval = interval
        record.snapshots[:] = kept


def _due(step: int, interval: int) -> bool:
    return step == 1 or step % interval == 0


def unique_names(labels: Sequence[str]) -> Iterator[str]:
    """A name for each label, as `TrainingRecord.names` has them."""
    taken = set(labels)
    seen: Counter[str] = Counter()
    for i, label in enumerate(labels):
        seen[label] += 1
        name = label
        if not label:
            name = f"parameter {i}"
        elif seen[label] > 1:
            name = f"model {seen[label]}.{label}" if "." in label else f"{label}#{seen[label]}"
        while (not label or seen[label] > 1) and name in taken:  # somebody has named a parameter so
            name += "'"
        taken.add(name)
        yield name
