"""`Optimizer`, the base class of the optimisers: everything except the update rule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

from ..engine.primitives import Ieee, number, short_repr
from ..engine.value import Number, Value
from ..errors import CheckpointError, GradientWarning, counted
from .parameters import UsedGradient, assign_all, checked_leaves, in_range, read_numbers
from .schedules import Rate, Schedule

State = tuple[Any, ...]


class Optimizer:
    """The base of all optimisers: the loop over the parameters, and all that is not the rule
    itself.

    params     the parameters, as a tuple: leaves, each once
    lr         the learning rate that the next step will use
    steps      the number of steps done
    state      what the rule remembers: for each name a list of floats, one for each parameter, at
               first 0.0

    To write your own, say the rule; a rule that remembers also names its ``slots`` when it is
    made::

        class SignDescent(Optimizer):
            def update(self, data, grad, state, lr, t):
                return data - lr * primitives.sign(grad), state

    ``params`` is any iterable of Values, ``lr`` a number >= 0 or a schedule: a callable from the
    number of steps done, 0 before the first, to the learning rate of the next one.  ``slots`` are
    the names of the numbers that the rule remembers, ``options`` the names of the attributes that a
    saved state must agree with.

    Raises TypeError for a parameter that is no Value, ValueError for no parameters, a result of an
    operation, a constant, the same parameter twice, or an option out of range.
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
        """The rule: ``(new data, new state)`` of one parameter.  A pure function.

        ``state`` has one number for each slot; ``t`` is the number of this step, counted from 1 as
        in the papers.  ``data``, ``grad`` and the entries of ``state`` are floats or anything else
        that operators and the rows of `primitives` work on.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no update rule; "
            "define update(self, data, grad, state, lr, t)"
        )

    def step(self) -> None:
        """Updates every parameter by its ``.grad``.

        All data and gradients are read before the first parameter changes, and they all change at
        once: if anything raises, or Ctrl-C interrupts, neither the parameters nor the optimiser
        have changed.  Arithmetic is IEEE 754: a gradient of inf or nan makes its own parameter inf
        or nan, and no other one.

        Warns (`errors.GradientWarning`) if a gradient has not been set to 0 since an optimiser's
        last step, so that what that step used is used again.
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
        """Sets the gradient of every parameter to 0, since `backward` adds to what is there."""
        assign_all(self.params, repeat("grad"), repeat(0.0))

    @property
    def lr(self) -> float:
        """The learning rate that the next step will use.  It can be set, to a number or to a
        schedule.

        Raises ValueError, or TypeError, if the schedule returns anything else than a finite number
        >= 0.
        """
        return self._rate_at(self.steps)

    @lr.setter
    def lr(self, rate: Rate) -> None:
        self._lr = self._checked_rate(rate)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later, to the same bits, as a dict that `json` can write.

        Its keys: ``optimizer``, the name of the class; ``steps``; ``lr``, a number, or the text of
        a schedule of this module, or None for a schedule of your own; ``options``; and ``state``, a
        list for each slot, in the order of the parameters.
        """
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "lr": self._lr_record(),
            "options": self._option_record(),
            "state": {slot: list(column) for slot, column in self.state.items()},
        }

    def load_state_dict(self, d: Mapping[str, Any]) -> None:
        """Takes over a state that `state_dict` returned.  The parameters are not part of it.

        Class, options, slots and the number of parameters must agree.  A learning rate that is a
        number is taken over and may be set afterwards; a schedule must be the one that this
        optimiser was made with, unless ``d["lr"]`` is None.  Raises CheckpointError, and changes
        nothing, if the state does not fit.
        """
        lr, steps, state = self._checked_state(d)
        assign_all([self] * 3, ["_lr", "steps", "state"], [lr, steps, state])

    def __repr__(self) -> str:
        options = "".join(f", {name}={getattr(self, name)!r}" for name in self._options)
        count = counted(len(self.params), "parameter")
        return f"<{type(self).__name__} of {count}: lr={self._lr!r}{options}, steps={self.steps}>"

    # ---- how the methods above do it

    def _warn_of_used(self, grads: Iterable[float]) -> None:
        for parameter, grad in zip(self.params, grads):
            if grad.__class__ is UsedGradient and grad:
                name = f"parameter {parameter.label}" if parameter.label else "a parameter"
                warnings.warn(
                    "step() follows step() without zero_grad(): "
                    f"the gradient of {name}, {grad!r}, has in it what a step before has used; "
                    "call zero_grad() before backward()",
                    GradientWarning,
                    stacklevel=3,
                )
                return

    def _ieee_update(
        self, data: float, grad: float, state: State, lr: float, t: int
    ) -> tuple[float, State]:
        # As in `Primitive.partial_at`: plain floats are fast, and raise only where an eps of 0
        # meets a gradient of 0.
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
                f"{name}: a state is a dict with the keys {sorted(mine)}, "
                f"as state_dict() returns it, not {_keys_of(d)}"
            )
        if d["optimizer"] != name:
            raise CheckpointError(
                f"{name}: the state is one of {d['optimizer']!r}; "
                "load it into an optimiser of that class"
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
                    "make it with the saved one, or set d['lr'] = None to keep its own"
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
                f"{name}: its state has the slots {sorted(self.state)}, not {_keys_of(saved)}; "
                "the state is damaged"
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
    """Returns the sorted keys of a mapping as text, for an error message, or what else ``d`` is."""
    return str(sorted(map(str, d))) if isinstance(d, Mapping) else short_repr(d)
