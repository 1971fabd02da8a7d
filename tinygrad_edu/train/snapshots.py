"""`TrainingRecord`: snapshots of a model during `fit` with ``record_every=``.

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

The memory of snapshots is bounded, however long the run is.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..engine.value import Value
from ..errors import counted
from ..optim.parameters import temporarily

if TYPE_CHECKING:
    from ..optim import Optimizer

MAX_SNAPSHOTS = 200
MAX_NUMBERS = 2_000_000  # in all snapshots together: 16 MB


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The parameters around one step.

    The numbers are arrays of floats, in the order of `TrainingRecord.parameters`.

    step: the number of the step, counted from 1: its loss is ``history.loss[step - 1]``
    before: the data before the update, from which the loss was computed
    gradients: the gradients that the update used, after clipping
    after: the data after the update
    """

    step: int
    before: array[float]
    gradients: array[float]
    after: array[float]


@dataclass(eq=False, repr=False)
class TrainingRecord:
    """The objects that were trained, and snapshots of the run.

    model: the model that was passed to `fit`; this object itself, not a copy
    loss: the loss function that was passed to `fit`
    X, y: the samples and their targets, not copies
    parameters: the optimiser's parameters
    optimizer: the optimiser, if `fit` recorded it.  Its learning rate and state are of the present,
        not of a snapshot
    batch_size, max_norm: the arguments of `fit`
    is_penalised: whether `fit` had a penalty
    names: a unique name for each parameter, by default its label: ``model 2.layers.0.w.0`` if two
        models have the same names, ``w#2`` for the second plain ``w``, ``parameter 3`` without a
        label (counted from 0, as in the messages of `optim`)
    snapshots: a list of `Snapshot`, in the order of the steps; the last one is of the last finished
        step
    interval: the distance between snapshots in steps: except for the first and the last, they are
        of multiples of it

    Memory is bounded.  Above `MAX_SNAPSHOTS` snapshots, or `MAX_NUMBERS` numbers in all of them
    (reached first with more than 3,333 parameters), every second snapshot is dropped and the
    interval doubles.  The first and the last are always kept.

    A copy, also a deep one, has its own list of snapshots, but refers to the same model, loss and
    samples.  A record cannot be pickled, because losses are often lambdas: a pickled history has
    None in its place.
    """

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    X: Sequence[Any]
    y: Sequence[Any]
    parameters: tuple[Value, ...]
    interval: int = 1
    optimizer: Optimizer | None = None
    batch_size: int | None = None
    is_penalised: bool = False
    max_norm: float | None = None

    def __post_init__(self) -> None:
        self.parameters = tuple(self.parameters)
        self.names = tuple(unique_names([str(parameter.label) for parameter in self.parameters]))
        self.snapshots: list[Snapshot] = []
        self._begun = 0, array("d"), array("d")  # the step, counted from 1, and what it read

    def at(
        self, snapshot: Snapshot, after: bool = False
    ) -> AbstractContextManager[Callable[[Any], Any]]:
        """Sets the model back to a snapshot inside a ``with`` block, which is given the model.

        The parameters have the data from before the snapshot's update, or from ``after`` it.  When
        the block ends, also by an exception, they have their present data again.  Gradients,
        parameters that were not trained and the model's mode are not changed; a model with dropout
        needs ``model.eval()``.

        Raises:
            TypeError: ``snapshot`` is not a Snapshot.
            ValueError: it has another number of parameters.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(
                f"at: snapshot must be a Snapshot, not {type(snapshot).__name__} ({snapshot!r}); "
                "pass one of history.training.snapshots"
            )
        data = snapshot.after if after else snapshot.before
        if len(data) != len(self.parameters):
            raise ValueError(
                f"at: snapshot must have {counted(len(self.parameters), 'parameter')}, as this "
                f"record has, not {len(data)}; pass one of the snapshots of this record"
            )
        return temporarily(self.parameters, "data", data, self.model)

    def path(self, *parameters: Value) -> list[tuple[float, ...]]:
        """Returns the data of some parameters before the update of each snapshot, and at the end.

        Raises:
            ValueError: one of them was not trained by the optimiser.
        """
        at = {parameter: i for i, parameter in enumerate(self.parameters)}
        for parameter in parameters:
            if parameter not in at:
                known = ", ".join(self.names[:6]) + (", ..." if len(at) > 6 else "")
                raise ValueError(
                    f"path: {parameter!r} must be one of the {len(at)} trained parameters: {known}"
                )
        data = [snapshot.before for snapshot in self.snapshots]
        data += [snapshot.after for snapshot in self.snapshots[-1:]]
        return [tuple([numbers[at[parameter]] for parameter in parameters]) for numbers in data]

    # ---- filled by `fit`

    # Every step gets a snapshot, because any step may be the last.  The next step replaces it,
    # unless the interval keeps it.

    def _before_update(self, step: int) -> None:
        """Notes data and gradients before the update of this step."""
        gradients = array("d", [parameter.grad for parameter in self.parameters])
        self._begun = step, self._data(), gradients

    def _after_update(self) -> None:
        """Makes the snapshot of the step that was begun."""
        snapshot = Snapshot(*self._begun, self._data())
        kept = [*self.snapshots, snapshot]
        interval = self.interval
        if len(kept) > 1 and not _due(kept[-2].step, interval):
            del kept[-2]
        while len(kept) > max(2, min(MAX_SNAPSHOTS, MAX_NUMBERS // (3 * len(self.parameters)))):
            interval *= 2
            kept = [each for each in kept if _due(each.step, interval) or each is snapshot]
        # After an interrupt between these two lines, `_settle` adds the last snapshot.
        self.interval = interval
        self.snapshots[:] = kept

    def _settle(self, steps: int) -> None:
        """Makes, after an interrupt, the snapshot of the last of ``steps`` finished steps."""
        last = self.snapshots[-1].step if self.snapshots else 0
        if last < self._begun[0] == steps:
            self._after_update()

    def _data(self) -> array[float]:
        return array("d", [parameter.data for parameter in self.parameters])

    # ---- copies

    def __copy__(self) -> TrainingRecord:
        twin = replace(self)
        twin.names = self.names
        twin.snapshots = list(self.snapshots)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainingRecord:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def __repr__(self) -> str:
        steps = [snapshot.step for snapshot in self.snapshots]
        what = f"of steps {steps[0]} to {steps[-1]}" if steps else "yet"
        snapshots = counted(len(steps), "snapshot") if steps else "no snapshots"
        return f"<TrainingRecord: {snapshots} {what}, {counted(len(self.parameters), 'parameter')}>"


def _due(step: int, interval: int) -> bool:
    return step == 1 or step % interval == 0


def unique_names(labels: Sequence[str]) -> Iterator[str]:
    """Yields a name for each label, see `TrainingRecord.names`."""
    taken = set(labels)
    seen: Counter[str] = Counter()
    for i, label in enumerate(labels):
        seen[label] += 1
        name = label
        if not label:
            name = f"parameter {i}"
        elif seen[label] > 1:
            name = f"model {seen[label]}.{label}" if "." in label else f"{label}#{seen[label]}"
        while (not label or seen[label] > 1) and name in taken:  # a parameter has this label
            name += "'"
        taken.add(name)
        yield name
