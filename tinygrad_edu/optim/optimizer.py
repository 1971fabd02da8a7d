"""`Optimizer`, the base class of the optimisers and of your own ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

from ..engine.table import Ieee
from ..engine.value import Number, Value
from ..errors import (
    CheckpointError,
    GradientWarning,
    check_int,
    check_number,
    check_texts,
    counted,
    is_number,
    number,
    short_repr,
    wrong_type,
)
from .parameters import UsedGradient, assign_all, checked_leaves, read_numbers
from .schedules import Rate, Schedule

State = tuple[Any, ...]


class Optimizer:
    """Base class of the optimisers.

    It implements everything except the update rule.

    To write your own, define the rule::

        class SignDescent(Optimizer):
            def update(self, data, grad, state, lr, t):
                return data - lr * primitives.sign(grad), state

    params: any iterable of Values.  The attribute is a tuple.
    lr: a number >= 0, or a schedule: a function from the number of steps done (0 before the first)
        to the learning rate of the next step.  The attribute is the learning rate of the next step.
        What was passed is the attribute ``schedule``.
    slots: the names of the numbers that the rule stores between steps.
    options: the names of the attributes that must be equal in a saved state.

    steps: the number of steps done.
    state: for each slot a list of floats, one for each parameter, at first 0.0.

    Raises:
        TypeError: a parameter is not a Value.
        ValueError: there are no parameters; a parameter is not a leaf, is a constant, or occurs
            twice; an option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: Rate,
        *,
        slots: Iterable[str] = (),
        options: Iterable[str] = (),
    ) -> None:
        self.params: tuple[Value, ...] = checked_leaves(params, type(self).__name__)
        self.steps: int = 0
        slots = check_texts(slots, f"{type(self).__name__}: slots", "write slots=('velocity',)")
        options = check_texts(options, f"{type(self).__name__}: options", "write options=('eps',)")
        self.state: dict[str, list[float]] = {slot: [0.0] * len(self.params) for slot in slots}
        self._options: tuple[str, ...] = tuple(options)
        self.schedule: Rate = self._checked_rate(lr)

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        """Returns ``(new data, new state)`` of one parameter: the update rule, a pure function.

        ``state`` has one number for each slot.  ``t`` is the number of this step, counted from 1 as
        in the papers.  ``data``, ``grad`` and the entries of ``state`` are floats, or anything else
        to which operators and primitives can be applied.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no update rule; "
            "define update(self, data, grad, state, lr, t)"
        )

    def ieee_update(
        self, data: float, grad: float, state: State, lr: float, t: int
    ) -> tuple[float, State]:
        """Returns `update` of floats, by IEEE 754 where Python's floats would raise."""
        # As in `Primitive.partial_at`: plain floats are fast.  They raise only if both an eps and a
        # gradient are 0.
        try:
            new, slots = self.update(data, grad, state, lr, t)
            if not isinstance(new, complex):
                return new, slots
        except ArithmeticError:
            pass
        new, slots = self.update(Ieee(data), Ieee(grad), tuple(map(Ieee, state)), Ieee(lr), t)
        return float(new), tuple(map(float, slots))

    def step(self) -> None:
        """Updates every parameter, using its ``.grad``.

        All data and gradients are read before the first parameter changes, and all parameters
        change at once: if anything raises, or Ctrl-C interrupts, neither the parameters nor the
        optimiser have changed.  Arithmetic is IEEE 754: a gradient of inf or nan affects its own
        parameter only.

        Warns (`errors.GradientWarning`) if a gradient was not set to 0 after an optimiser's last
        step, because it then still contains the gradient of that step.
        """
        lr = self.lr
        t = self.steps + 1
        data = read_numbers(self.params, "data")
        grads = read_numbers(self.params, "grad")
        self._warn_of_used(grads)
        grads = list(map(float, grads))
        states = zip(*self.state.values(), strict=True) if self.state else repeat((), len(data))
        updated = [
            self.ieee_update(x, g, s, lr, t) for x, g, s in zip(data, grads, states, strict=True)
        ]
        columns = zip(*[s for _, s in updated], strict=True)
        state = {
            slot: [*map(float, column)] for slot, column in zip(self.state, columns, strict=True)
        }
        assign_all(
            [*self.params, *self.params, self, self],
            [*repeat("data", len(data)), *repeat("grad", len(data)), "state", "steps"],
            [*[float(x) for x, _ in updated], *map(UsedGradient, grads), state, t],
        )

    def zero_grad(self) -> None:
        """Sets the gradient of every parameter to 0, because `backward` adds to gradients."""
        assign_all(self.params, repeat("grad"), repeat(0.0))

    @property
    def lr(self) -> float:
        """The learning rate of the next step.

        It can be set, to a number or to a schedule.

        Raises:
            TypeError: the schedule does not return a number.
            ValueError: the schedule returns a number that is negative, inf or nan.
        """
        return self.lr_at(self.steps)

    @lr.setter
    def lr(self, rate: Rate) -> None:
        self.schedule = self._checked_rate(rate)

    def lr_at(self, step: int) -> float:
        """Returns the learning rate after ``step`` steps.

        Raises:
            Others: see `lr`.
        """
        if not is_number(step):
            raise wrong_type(f"{type(self).__name__}: step", "a number of steps", step)
        rate = self.schedule
        if not callable(rate):
            return rate
        what = f"the learning rate that {short_repr(rate)} gives for step {step}"
        return check_number(rate(step), what, 0)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state from which training continues bit for bit, as a dict for `json`.

        optimizer: the name of the class.
        steps: the number of steps done.
        lr: a number, the text of a schedule of `optim`, or None for a schedule of your own.
        options: the values of the options.
        state: a list for each slot, in the order of the parameters.
        """
        lr: Any = self.schedule
        if callable(lr):
            lr = repr(lr) if isinstance(lr, Schedule) else None
        options = [(name, getattr(self, name)) for name in self._options]
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "lr": lr,
            "options": {name: list(x) if isinstance(x, tuple) else x for name, x in options},
            "state": {slot: list(column) for slot, column in self.state.items()},
        }

    def load_state_dict(self, d: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict` returned.

        The parameters are not part of it.  Class, options, slots and the number of parameters must
        agree.  A learning rate that is a number is restored.  A schedule must be the one that this
        optimiser was made with, unless ``d["lr"]`` is None.

        Raises:
            CheckpointError: the state does not fit.  Nothing has changed then.
        """
        name = type(self).__name__
        if misfit := self._misfit(d):
            raise CheckpointError(f"{name}: {misfit}")
        try:
            lr = self.schedule
            if not callable(lr) and d["lr"] is not None:
                lr = self._checked_rate(d["lr"])
            steps = check_int(d["steps"], f"{name}: steps", 0)
            state = {
                slot: [
                    number(x, f"{name}: entry {i} of slot {slot!r}")
                    for i, x in enumerate(d["state"][slot])
                ]
                for slot in self.state
            }
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{error}; the state is damaged, pass another one") from error
        assign_all([self] * 3, ["schedule", "steps", "state"], [lr, steps, state])

    def __repr__(self) -> str:
        options = "".join(f", {name}={getattr(self, name)!r}" for name in self._options)
        name = f"{type(self).__name__} of {counted(len(self.params), 'parameter')}"
        return f"<{name}: lr={self.schedule!r}{options}, steps={self.steps}>"

    # ---- helpers

    def _warn_of_used(self, grads: Iterable[float]) -> None:
        for parameter, grad in zip(self.params, grads):
            if grad.__class__ is UsedGradient and grad:
                name = f"parameter {parameter.label}" if parameter.label else "a parameter"
                warnings.warn(
                    f"step() was called without zero_grad(): the gradient of {name}, {grad!r}, "
                    "still contains the gradient of an earlier step; call zero_grad() before "
                    "backward()",
                    GradientWarning,
                    stacklevel=3,
                )
                return

    def _checked_rate(self, lr: Rate) -> Rate:
        if callable(lr):
            return lr
        name = f"{type(self).__name__}: lr"
        return check_number(lr, name, 0, "write a number such as 0.01, or a schedule")

    def _option(self, name: str, x: Number, usual: str, below: float = math.inf) -> float:
        return check_number(x, f"{type(self).__name__}: {name}", 0, f"usual: {usual}", below=below)

    def _misfit(self, d: Mapping[str, Any]) -> str:
        """Returns why the state ``d`` is not one of this optimiser, or "" if it may be one."""
        mine = self.state_dict()
        if not isinstance(d, Mapping) or set(d) != set(mine):
            return (
                f"a state must be a dict with the keys {sorted(mine)}, not {_keys_of(d)}; "
                "pass what state_dict() returned"
            )
        kind = mine["optimizer"]
        if d["optimizer"] != kind:
            return (
                f"the state must be a state of {kind}, not {d['optimizer']!r}; load it into an "
                "optimiser of its class"
            )
        if d["options"] != mine["options"]:
            return (
                f"the state was saved with the options {d['options']!r}, but this optimiser has "
                f"{mine['options']!r}; make the optimiser with the saved options"
            )
        lr = d["lr"]
        if (isinstance(lr, str) or callable(self.schedule)) and lr not in (None, mine["lr"]):
            return (
                f"the state was saved with lr={lr}, but this optimiser has lr={self.schedule!r}; "
                "make the optimiser with the saved lr, or set d['lr'] = None to keep its own"
            )
        slots = d["state"]
        if not isinstance(slots, Mapping) or set(slots) != set(self.state):
            return (
                f"the state must have the slots {sorted(self.state)}, not {_keys_of(slots)}; it is "
                "damaged"
            )
        for slot, column in slots.items():
            is_list = isinstance(column, (list, tuple))
            if not is_list or len(column) != len(self.params):
                shown = f"{len(column)} numbers" if is_list else short_repr(column)
                return (
                    f"slot {slot!r} must have one number for each of {len(self.params)} "
                    f"parameters, not {shown}; the state is of another model"
                )
        return ""


def _keys_of(d: Any) -> str:
    """Returns the sorted keys of a mapping as text, or the repr of anything else."""
    return str(sorted(map(str, d))) if isinstance(d, Mapping) else short_repr(d)
