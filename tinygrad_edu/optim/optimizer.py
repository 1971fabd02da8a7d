"""`Optimizer`, the base class of the optimisers; subclass it to write your own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

from ..engine.table import Ieee
from ..engine.value import Number, Value
from ..errors import CheckpointError, GradientWarning, counted, number, short_repr
from .parameters import UsedGradient, assign_all, checked_leaves, in_range, read_numbers
from .schedules import Rate, Schedule

State = tuple[Any, ...]


class Optimizer:
    """Base class of the optimisers.  It implements everything except the update rule.

    To write your own, define the rule::

        class SignDescent(Optimizer):
            def update(self, data, grad, state, lr, t):
                return data - lr * primitives.sign(grad), state

    params: any iterable of Values.  The attribute is a tuple.
    lr: a number >= 0, or a schedule: a function from the number of steps done (0 before the first)
        to the learning rate of the next step.  The attribute is the learning rate of the next step.
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
        self.state: dict[str, list[float]] = {slot: [0.0] * len(self.params) for slot in slots}
        self._options: tuple[str, ...] = tuple(options)
        self._lr: Rate = self._checked_rate(lr)

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
        states: list[State] = [()] * len(data)
        if self.state:
            states = list(zip(*self.state.values(), strict=True))
        updated = [
            self._ieee_update(x, g, s, lr, t) for x, g, s in zip(data, grads, states, strict=True)
        ]
        columns = zip(*[s for _, s in updated], strict=True)
        state = {slot: list(column) for slot, column in zip(self.state, columns, strict=True)}
        assign_all(
            [*self.params, *self.params, self, self],
            [*repeat("data", len(data)), *repeat("grad", len(data)), "state", "steps"],
            [*[x for x, _ in updated], *map(UsedGradient, grads), state, t],
        )

    def zero_grad(self) -> None:
        """Sets the gradient of every parameter to 0, because `backward` adds to gradients."""
        assign_all(self.params, repeat("grad"), repeat(0.0))

    @property
    def lr(self) -> float:
        """The learning rate of the next step.  It can be set, to a number or to a schedule.

        Raises:
            TypeError: the schedule does not return a number.
            ValueError: the schedule returns a number that is negative, inf or nan.
        """
        return self._rate_at(self.steps)

    @lr.setter
    def lr(self, rate: Rate) -> None:
        self._lr = self._checked_rate(rate)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state from which training continues bit for bit, as a dict for `json`.

        optimizer: the name of the class.
        steps: the number of steps done.
        lr: a number, the text of a schedule of `optim`, or None for a schedule of your own.
        options: the values of the options.
        state: a list for each slot, in the order of the parameters.
        """
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "lr": self._lr_record(),
            "options": self._option_record(),
            "state": {slot: list(column) for slot, column in self.state.items()},
        }

    def load_state_dict(self, d: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict` returned.  The parameters are not part of it.

        Class, options, slots and the number of parameters must agree.  A learning rate that is a
        number is restored.  A schedule must be the one that this optimiser was made with, unless
        ``d["lr"]`` is None.

        Raises:
            CheckpointError: the state does not fit.  Nothing has changed then.
        """
        lr, steps, state = self._checked_state(d)
        assign_all([self] * 3, ["_lr", "steps", "state"], [lr, steps, state])

    def __repr__(self) -> str:
        options = "".join(f", {name}={getattr(self, name)!r}" for name in self._options)
        count = counted(len(self.params), "parameter")
        return f"<{type(self).__name__} of {count}: lr={self._lr!r}{options}, steps={self.steps}>"

    # ---- helpers

    def _warn_of_used(self, grads: Iterable[float]) -> None:
        for parameter, grad in zip(self.params, grads):
            if grad.__class__ is UsedGradient and grad:
                name = f"parameter {parameter.label}" if parameter.label else "a parameter"
                warnings.warn(
                    "step() was called without zero_grad(): "
                    f"the gradient of {name}, {grad!r}, still contains the gradient of an earlier "
                    "step; call zero_grad() before backward()",
                    GradientWarning,
                    stacklevel=3,
                )
                return

    def _ieee_update(
        self, data: float, grad: float, state: State, lr: float, t: int
    ) -> tuple[float, State]:
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

    def _rate_at(self, step: int) -> float:
        rate = self._lr
        if not callable(rate):
            return rate
        what = f"the learning rate that {short_repr(rate)} gives for step {step}"
        return in_range(rate(step), what)

    def _checked_rate(self, lr: Rate) -> Rate:
        if callable(lr):
            return lr
        return in_range(lr, f"{type(self).__name__}: lr", "a number such as 0.01, or a schedule")

    def _option(self, name: str, x: Number, *, usual: str, below: float = math.inf) -> float:
        return in_range(x, f"{type(self).__name__}: {name}", f"usual: {usual}", below)

    def _lr_record(self) -> float | str | None:
        if isinstance(self._lr, Schedule):
            return repr(self._lr)
        return None if callable(self._lr) else self._lr

    def _option_record(self) -> dict[str, Any]:
        values = [(name, getattr(self, name)) for name in self._options]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}

    def _checked_state(self, d: Mapping[str, Any]) -> tuple[Rate, int, dict[str, list[float]]]:
        name = type(self).__name__
        mine = self.state_dict()
        if not isinstance(d, Mapping) or set(d) != set(mine):
            raise CheckpointError(
                f"{name}: a state must be a dict with the keys {sorted(mine)}, "
                f"not {_keys_of(d)}; pass what state_dict() returned"
            )
        if d["optimizer"] != name:
            raise CheckpointError(
                f"{name}: the state must be a state of {name}, not {d['optimizer']!r}; "
                "load it into an optimiser of its class"
            )
        if d["options"] != mine["options"]:
            raise CheckpointError(
                f"{name}: the state was saved with the options {d['options']!r}, "
                f"but this optimiser has {mine['options']!r}; "
                "make the optimiser with the saved options"
            )
        steps = d["steps"]
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            raise CheckpointError(
                f"{name}: steps must be a whole number >= 0, not {short_repr(steps)}; "
                "the state is damaged"
            )
        return self._checked_saved_rate(d["lr"]), steps, self._checked_slots(d["state"])

    def _checked_saved_rate(self, saved: Any) -> Rate:
        if saved is None:
            return self._lr
        if isinstance(saved, str) or callable(self._lr):
            if saved != self._lr_record():
                raise CheckpointError(
                    f"{type(self).__name__}: the state was saved with lr={saved}, "
                    f"but this optimiser has lr={self._lr!r}; "
                    "make the optimiser with the saved lr, or set d['lr'] = None to keep its own"
                )
            return self._lr
        try:
            return self._checked_rate(saved)
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{error}; the state is damaged") from None

    def _checked_slots(self, saved: Any) -> dict[str, list[float]]:
        name = type(self).__name__
        if not isinstance(saved, Mapping) or set(saved) != set(self.state):
            raise CheckpointError(
                f"{name}: the state must have the slots {sorted(self.state)}, "
                f"not {_keys_of(saved)}; it is damaged"
            )
        return {slot: self._checked_slot(slot, saved[slot]) for slot in self.state}

    def _checked_slot(self, slot: str, column: Any) -> list[float]:
        name = type(self).__name__
        is_list = isinstance(column, (list, tuple))
        if not is_list or len(column) != len(self.params):
            shown = f"{len(column)} numbers" if is_list else short_repr(column)
            raise CheckpointError(
                f"{name}: slot {slot!r} must have one number for each of {len(self.params)} "
                f"parameters, not {shown}; the state is of another model"
            )
        try:
            return [number(x, f"entry {i} of slot {slot!r}") for i, x in enumerate(column)]
        except (TypeError, OverflowError) as error:
            raise CheckpointError(f"{name}: {error}; the state is damaged") from None


def _keys_of(d: Any) -> str:
    """Returns the sorted keys of a mapping as text; if ``d`` is not a mapping, its repr."""
    return str(sorted(map(str, d))) if isinstance(d, Mapping) else short_repr(d)
