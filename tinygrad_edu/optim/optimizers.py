"""Optimisers, learning-rate schedules and gradient clipping: what happens to the parameters after `backward`.

    >>> from tinygrad_edu import Value, optim
    >>> w = Value(3.0, "w")
    >>> optimizer = optim.SGD([w], lr=0.1)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     ((w - 1) ** 2).backward()
    ...     optimizer.step()
    >>> round(w.data, 4)
    1.0

An optimiser is one rule, `Optimizer.update`: the new data of a parameter from its data, its gradient and what the
optimiser remembers of it.  `Optimizer.step` is the same loop for all.  The rule is written like the rules of the
table of `primitives`, with operators and rows only, so that it runs on floats, on Values, on names (which prints
it) and on vectors, in the same order of operations, hence with the same bits.

The rules are PyTorch's (torch.optim 2.13, the single-tensor forms), operation by operation.  In float64 they agree
with it in every bit, where its kernels neither fuse a multiplication with an addition nor approximate a square root.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any

from ..engine.primitives import Ieee, number, power, short_repr, sqrt
from ..engine.value import Number, Value
from ..errors import CheckpointError, GradientWarning

__all__ = [
    "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm", "clip_grad_value", "cosine", "linear", "step_decay",
    "warmup",
]

State = tuple[Any, ...]
Rate = Number | Callable[[int], float]  # a learning rate, or a schedule: the number of steps done -> learning rate


class Optimizer:
    """The base of all optimisers: the loop over the parameters, and all that is not the rule itself.

    params     the parameters, as a tuple: leaves, each once
    lr         the learning rate that the next step will use
    steps      the number of steps done
    state      what the rule remembers: for each name a list of floats, one for each parameter, at first 0.0

    To write your own, say the rule; a rule that remembers also names its ``slots`` when it is made::

        class SignDescent(Optimizer):
            def update(self, data, grad, state, lr, t):
                return data - lr * primitives.sign(grad), state

    ``params`` is any iterable of Values, ``lr`` a number >= 0 or a schedule: a callable from the number of steps
    done, 0 before the first, to the learning rate of the next one.  ``slots`` are the names of the numbers that
    the rule remembers, ``options`` the names of the attributes that a saved state must agree with.

    Raises TypeError for a parameter that is no Value, ValueError for no parameters, a result of an operation, a
    constant, the same parameter twice, or an option out of range.
    """

    def __init__(self, params: Iterable[Value], lr: Rate, *, slots: Iterable[str] = (), options: Iterable[str] = ()) -> None:
        self.params: tuple[Value, ...] = _leaves(params, type(self).__name__)
        self.steps: int = 0
        self.state: dict[str, list[float]] = {slot: [0.0] * len(self.params) for slot in slots}
        self._options: tuple[str, ...] = tuple(options)
        self._lr: Rate = self._checked_rate(lr)

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        """The rule: ``(new data, new state)`` of one parameter.  A pure function.

        ``state`` has one number for each slot; ``t`` is the number of this step, counted from 1 as in the papers.
        ``data``, ``grad`` and the entries of ``state`` are floats or anything else that operators and the rows of
        `primitives` work on.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update rule; define update(self, data, grad, state, lr, t)")

    def step(self) -> None:
        """Updates every parameter by its ``.grad``.

        All data and gradients are read before the first parameter changes, and they all change at once: if anything
        raises, or Ctrl-C interrupts, neither the parameters nor the optimiser have changed.  Arithmetic is
        IEEE 754: a gradient of inf or nan makes its own parameter inf or nan, and no other one.

        Warns (`errors.GradientWarning`) if a gradient has not been set to 0 since an optimiser's last step, so that what
        that step used is used again.
        """
        lr, t = self.lr, self.steps + 1
        data, grads = _numbers(self.params, "data"), _numbers(self.params, "grad")
        self._warn_of_used(grads)
        grads = list(map(float, grads))
        states: list[State] = list(zip(*self.state.values(), strict=True)) if self.state else [()] * len(data)
        updated = [self._ieee_update(x, g, s, lr, t) for x, g, s in zip(data, grads, states, strict=True)]
        columns = zip(*[s for _, s in updated], strict=True)
        state = {slot: list(column) for slot, column in zip(self.state, columns, strict=True)}
        _assign([*self.params, *self.params, self, self],
                [*repeat("data", len(data)), *repeat("grad", len(data)), "state", "steps"],
                [*[x for x, _ in updated], *map(_Used, grads), state, t])

    def zero_grad(self) -> None:
        """Sets the gradient of every parameter to 0, since `backward` adds to what is there."""
        _assign(self.params, repeat("grad"), repeat(0.0))

    @property
    def lr(self) -> float:
        """The learning rate that the next step will use.  It can be set, to a number or to a schedule.

        Raises ValueError, or TypeError, if the schedule returns anything else than a finite number >= 0.
        """
        return self._rate_at(self.steps)

    @lr.setter
    def lr(self, rate: Rate) -> None:
        self._lr = self._checked_rate(rate)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later, to the same bits, as a dict that `json` can write.

        Its keys: ``optimizer``, the name of the class; ``steps``; ``lr``, a number, or the text of a schedule of this
        module, or None for a schedule of your own; ``options``; and ``state``, a list for each slot, in the order of
        the parameters.
        """
        return {"optimizer": type(self).__name__, "steps": self.steps, "lr": self._lr_record(),
                "options": self._option_record(), "state": {slot: list(column) for slot, column in self.state.items()}}

    def load_state_dict(self, d: Mapping[str, Any]) -> None:
        """Takes over a state that `state_dict` returned.  The parameters are not part of it.

        Class, options, slots and the number of parameters must agree.  A learning rate that is a number is taken over
        and may be set afterwards; a schedule must be the one that this optimiser was made with, unless ``d["lr"]``
        is None.  Raises CheckpointError, and changes nothing, if the state does not fit.
        """
        lr, steps, state = self._checked_state(d)
        _assign([self] * 3, ["_lr", "steps", "state"], [lr, steps, state])

    def __repr__(self) -> str:
        options = "".join(f", {name}={getattr(self, name)!r}" for name in self._options)
        count = "1 parameter" if len(self.params) == 1 else f"{len(self.params)} parameters"
        return f"<{type(self).__name__} of {count}: lr={self._lr!r}{options}, steps={self.steps}>"

    # ---- how the methods above do it

    def _warn_of_used(self, grads: Iterable[float]) -> None:
        for parameter, grad in zip(self.params, grads):
            if grad.__class__ is _Used and grad:
                name = f"parameter {parameter.label}" if parameter.label else "a parameter"
                warnings.warn(f"step() follows step() without zero_grad(): the gradient of {name}, {grad!r}, has in it what a "
                              "step before has used; call zero_grad() before backward()", GradientWarning, stacklevel=3)
                return

    def _ieee_update(self, data: float, grad: float, state: State, lr: float, t: int) -> tuple[float, State]:
        # As in `Primitive.partial_at`: plain floats are fast, and raise only where an eps of 0 meets a gradient of 0.
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
        if callable(rate):
            return _in_range(rate(step), f"the learning rate that {short_repr(rate)} gives for step {step}")
        return rate

    def _checked_rate(self, lr: Rate) -> Rate:
        return lr if callable(lr) else _in_range(lr, f"{type(self).__name__}: lr", "a number such as 0.01, or a schedule")

    def _option(self, name: str, x: Number, *, usual: str, below: float = math.inf) -> float:
        return _in_range(x, f"{type(self).__name__}: {name}", f"usual: {usual}", below)

    def _lr_record(self) -> float | str | None:
        if isinstance(self._lr, Schedule):
            return repr(self._lr)
        return None if callable(self._lr) else self._lr

    def _option_record(self) -> dict[str, Any]:
        values = [(name, getattr(self, name)) for name in self._options]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}

    def _checked_state(self, d: Mapping[str, Any]) -> tuple[Rate, int, dict[str, list[float]]]:
        name, mine = type(self).__name__, self.state_dict()
        if not isinstance(d, Mapping) or set(d) != set(mine):
            shown = sorted(map(str, d)) if isinstance(d, Mapping) else short_repr(d)
            raise CheckpointError(f"{name}: a state is a dict with the keys {sorted(mine)}, as state_dict() returns it, "
                                  f"not {shown}")
        if d["optimizer"] != name:
            raise CheckpointError(f"{name}: the state is one of {d['optimizer']!r}; load it into an optimiser of that class")
        if d["options"] != mine["options"]:
            raise CheckpointError(f"{name}: the state was saved with the options {d['options']!r}, but this optimiser has "
                                  f"{mine['options']!r}; make the optimiser with the saved options")
        steps = d["steps"]
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            raise CheckpointError(f"{name}: steps must be a whole number >= 0, not {short_repr(steps)}; the state is damaged")
        return self._checked_saved_rate(d["lr"]), steps, self._checked_slots(d["state"])

    def _checked_saved_rate(self, saved: Any) -> Rate:
        if saved is None:
            return self._lr
        if isinstance(saved, str) or callable(self._lr):
            if saved != self._lr_record():
                raise CheckpointError(f"{type(self).__name__}: the state was saved with lr={saved}, but this optimiser has "
                                      f"lr={self._lr!r}; make it with the saved one, or set d['lr'] = None to keep its own")
            return self._lr
        try:
            return self._checked_rate(saved)
        except (TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{error}; the state is damaged") from None

    def _checked_slots(self, saved: Any) -> dict[str, list[float]]:
        name, count = type(self).__name__, len(self.params)
        if not isinstance(saved, Mapping) or set(saved) != set(self.state):
            shown = sorted(map(str, saved)) if isinstance(saved, Mapping) else short_repr(saved)
            raise CheckpointError(f"{name}: its state has the slots {sorted(self.state)}, not {shown}; the state is damaged")
        slots: dict[str, list[float]] = {}
        for slot in self.state:
            column = saved[slot]
            if not isinstance(column, (list, tuple)) or len(column) != count:
                shown = f"{len(column)} numbers" if isinstance(column, (list, tuple)) else short_repr(column)
                raise CheckpointError(f"{name}: slot {slot!r} must have one number for each of {count} parameters, not "
                                      f"{shown}; the state is of another model")
            try:
                slots[slot] = [number(x, f"entry {i} of slot {slot!r}") for i, x in enumerate(column)]
            except (TypeError, OverflowError) as error:
                raise CheckpointError(f"{name}: {error}; the state is damaged") from None
        return slots


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for::

        g = grad + weight_decay * data
        v = momentum * v + g                 the velocity, 0 at first
        data = data - lr * v                 nesterov: data - lr * (g + momentum * v)

    Without momentum v is g, and nothing is remembered.  Source: torch.optim.SGD with dampening 0; Sutskever et al.,
    On the importance of initialization and momentum in deep learning, 2013.

    Raises ValueError for a negative option, or for ``nesterov`` without momentum.
    """

    def __init__(self, params: Iterable[Value], lr: Rate, momentum: Number = 0.0, nesterov: bool = False,
                 weight_decay: Number = 0.0) -> None:
        self.momentum = self._option("momentum", momentum, usual="0 (none) or 0.9")
        self.nesterov = bool(nesterov)
        self.weight_decay = self._option("weight_decay", weight_decay, usual="0 (none) or 0.0001")
        if nesterov and not self.momentum:
            raise ValueError("SGD: nesterov=True needs a momentum, which is 0; give one, such as momentum=0.9")
        super().__init__(params, lr, slots=("velocity",) if self.momentum else (),
                         options=("momentum", "nesterov", "weight_decay"))

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        if not self.momentum:
            return data - lr * grad, state
        (velocity,) = state
        velocity = self.momentum * velocity + grad
        direction = grad + self.momentum * velocity if self.nesterov else velocity
        return data - lr * direction, (velocity,)


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient::

        g = grad + weight_decay * data
        s = alpha * s + (1 - alpha) * g**2                   the mean square, 0 at first
        data = data - lr * g / (sqrt(s) + eps)

    With momentum the last line is ``v = momentum * v + g / (sqrt(s) + eps)``, ``data = data - lr * v``.
    Source: torch.optim.RMSprop, not centred; Hinton, Neural Networks for Machine Learning, lecture 6, 2012.

    Raises ValueError for a negative option or an ``alpha`` outside [0, 1).
    """

    def __init__(self, params: Iterable[Value], lr: Rate = 0.01, alpha: Number = 0.99, eps: Number = 1e-8,
                 momentum: Number = 0.0, weight_decay: Number = 0.0) -> None:
        self.alpha = self._option("alpha", alpha, usual="0.99", below=1.0)
        self.eps = self._option("eps", eps, usual="1e-8")
        self.momentum = self._option("momentum", momentum, usual="0 (none) or 0.9")
        self.weight_decay = self._option("weight_decay", weight_decay, usual="0 (none) or 0.0001")
        super().__init__(params, lr, slots=("mean_square", "velocity") if self.momentum else ("mean_square",),
                         options=("alpha", "eps", "momentum", "weight_decay"))

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        mean_square = self.alpha * state[0] + (1 - self.alpha) * grad * grad
        scale = sqrt(mean_square) + self.eps
        if not self.momentum:
            return data - lr * grad / scale, (mean_square,)
        velocity = self.momentum * state[1] + grad / scale
        return data - lr * velocity, (mean_square, velocity)


class Adam(Optimizer):
    """Running means of the gradient and of its square, both corrected for having started at 0::

        g = grad + weight_decay * data
        m = m + (1 - beta1) * (g - m)                        the mean
        s = beta2 * s + (1 - beta2) * g**2                   the mean square
        data = data - lr / (1 - beta1**t) * m / (sqrt(s) / sqrt(1 - beta2**t) + eps)

    ``betas`` is (beta1, beta2); t counts the steps from 1.  The first step has length lr, whatever the gradient.
    Source: torch.optim.Adam; Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.

    Raises ValueError for a negative option, or a beta outside [0, 1).
    """

    def __init__(self, params: Iterable[Value], lr: Rate = 0.001, betas: tuple[Number, Number] = (0.9, 0.999),
                 eps: Number = 1e-8, weight_decay: Number = 0.0) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(f"{type(self).__name__}: betas must be two numbers, (beta1, beta2), not {short_repr(betas)}; "
                            "usual: (0.9, 0.999)")
        self.betas = (self._option("beta1", betas[0], usual="0.9", below=1.0),
                      self._option("beta2", betas[1], usual="0.999", below=1.0))
        self.eps = self._option("eps", eps, usual="1e-8")
        self.weight_decay = self._option("weight_decay", weight_decay, usual="0 (none) or 0.01")
        super().__init__(params, lr, slots=("mean", "mean_square"), options=("betas", "eps", "weight_decay"))

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        return self._adapt(data, grad, state, lr, t)

    def _adapt(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        beta1, beta2 = self.betas
        mean = _between(state[0], grad, 1 - beta1)
        mean_square = beta2 * state[1] + (1 - beta2) * grad * grad
        scale = sqrt(mean_square) / (1 - beta2**t) ** 0.5 + self.eps
        return data - lr / (1 - beta1**t) * mean / scale, (mean, mean_square)


class AdamW(Adam):
    """Adam with the weight decay taken out of the gradient: ``data = data * (1 - lr * weight_decay)`` comes first.

    Source: torch.optim.AdamW; Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
    """

    def __init__(self, params: Iterable[Value], lr: Rate = 0.001, betas: tuple[Number, Number] = (0.9, 0.999),
                 eps: Number = 1e-8, weight_decay: Number = 0.01) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        if self.weight_decay:
            data = data * (1 - lr * self.weight_decay)
        return self._adapt(data, grad, state, lr, t)


def _between(x: Any, y: Any, weight: float) -> Any:
    """``x`` for a weight of 0, ``y`` for 1; exact at both ends, which takes two forms (those of torch.lerp)."""
    return x + weight * (y - x) if weight < 0.5 else y - (y - x) * (1 - weight)


# ---- schedules ---------------------------------------------------------------------------------------------------


class Schedule:
    """A learning rate that depends on the number of steps done: ``schedule(step)``, with step 0, 1, 2, ...

    A schedule prints as the call that makes it.  Any callable of one number serves as well.
    """

    def __call__(self, step: int) -> float:
        if step < 0:
            raise ValueError(f"{self!r}: the step must be >= 0, not {step!r}; steps are counted from 0")
        return self._rate(step)

    def _rate(self, step: int) -> float:
        raise NotImplementedError


class _StepDecay(Schedule):
    def __init__(self, lr: Number, drop: Number, every: int) -> None:
        self.lr, self.drop = _in_range(lr, "step_decay: lr"), _in_range(drop, "step_decay: drop", "usual: 0.1")
        self.every = _steps(every, "step_decay: every")

    def _rate(self, step: int) -> float:
        return self.lr * power(self.drop, step // self.every)  # IEEE 754: no OverflowError for a drop > 1

    def __repr__(self) -> str:
        return f"step_decay({self.lr!r}, drop={self.drop!r}, every={self.every})"


class _Cosine(Schedule):
    def __init__(self, lr: Number, steps: int, final: Number) -> None:
        self.lr, self.final = _in_range(lr, "cosine: lr"), _in_range(final, "cosine: final")
        self.steps = _steps(steps, "cosine: steps")

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.final
        rate = self.final + (self.lr - self.final) * (1 + math.cos(math.pi * step / self.steps)) / 2
        return min(max(rate, min(self.lr, self.final)), max(self.lr, self.final))  # rounding may lead past an end

    def __repr__(self) -> str:
        return f"cosine({self.lr!r}, steps={self.steps}, final={self.final!r})"


class _Linear(Schedule):
    def __init__(self, lr: Number, steps: int, final: Number) -> None:
        self.lr, self.final = _in_range(lr, "linear: lr"), _in_range(final, "linear: final")
        self.steps = _steps(steps, "linear: steps")

    def _rate(self, step: int) -> float:
        return self.final if step >= self.steps else self.lr - (self.lr - self.final) * step / self.steps

    def __repr__(self) -> str:
        return f"linear({self.lr!r}, steps={self.steps}, final={self.final!r})"


class _Warmup(Schedule):
    def __init__(self, schedule: Rate, steps: int) -> None:
        self.schedule: Rate = schedule if callable(schedule) else _in_range(schedule, "warmup: the learning rate")
        self.steps = _steps(steps, "warmup: steps")

    def _rate(self, step: int) -> float:
        rate = self.schedule(max(0, step - self.steps)) if callable(self.schedule) else self.schedule
        return rate * (step + 1) / self.steps if step < self.steps else rate

    def __repr__(self) -> str:
        return f"warmup({self.schedule!r}, steps={self.steps})"


def step_decay(lr: Number, drop: Number = 0.1, *, every: int) -> Schedule:
    """``lr * drop ** (step // every)``: constant for ``every`` steps, then multiplied by ``drop``, and so on."""
    return _StepDecay(lr, drop, every)


def cosine(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """``final + (lr - final) * (1 + cos(pi * step / steps)) / 2``; from step ``steps`` on, ``final``.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, equation 5.
    """
    return _Cosine(lr, steps, final)


def linear(lr: Number, steps: int, final: Number = 0.0) -> Schedule:
    """``lr - (lr - final) * step / steps``; from step ``steps`` on, ``final``.

    ``linear(1.0, 100, final=0.1)`` is the schedule of micrograd's demo.
    """
    return _Linear(lr, steps, final)


def warmup(schedule: Rate, steps: int) -> Schedule:
    """A rise from ``peak / steps`` to the peak, then the wrapped schedule from its beginning.

    For ``step < steps`` it is ``peak * (step + 1) / steps``, and ``schedule(step - steps)`` afterwards; the peak is
    ``schedule(0)``.  A number stands for a constant schedule.
    """
    return _Warmup(schedule, steps)


# ---- clipping ----------------------------------------------------------------------------------------------------


def clip_grad_norm(params: Iterable[Value], max_norm: Number) -> float:
    """Shortens the gradient, all of ``params`` together as one vector, to ``max_norm``; returns its norm before.

    The norm is the Euclidean one, computed without overflow.  A gradient that is longer is multiplied by
    max_norm / norm (torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6); a shorter one is left as it is, and so
    is one that contains inf or nan: no multiple of it has the norm asked for.  The norm returned is then inf or nan.

    Raises ValueError if ``max_norm`` is not positive, and for parameters as `Optimizer` does.
    """
    leaves, limit = _leaves(params, "clip_grad_norm"), _limit(max_norm, "clip_grad_norm: max_norm")
    grads = _numbers(leaves, "grad")
    norm, shortened = clipped(grads, limit)
    if shortened is not grads:
        _assign(leaves, repeat("grad"), shortened)
    return norm


def clipped(grads: list[float], limit: float) -> tuple[float, list[float]]:
    """The norm of a gradient, and the gradient, shortened to ``limit`` if it is longer and finite: see `clip_grad_norm`."""
    norm = length = math.hypot(*grads)
    if not (norm > limit and all(map(math.isfinite, grads))):
        return norm, grads
    if norm == math.inf:  # the components are finite, but their norm is larger than the largest float
        grads = [g * 2.0**-64 for g in grads]
        length = math.hypot(*grads)
    return norm, [g / length * limit for g in grads]


def clip_grad_value(params: Iterable[Value], limit: Number) -> None:
    """Clips each gradient to the interval from ``-limit`` to ``limit``; inf goes to a bound, nan stays nan.

    Raises ValueError if ``limit`` is not positive, and for parameters as `Optimizer` does.
    """
    leaves, bound = _leaves(params, "clip_grad_value"), _limit(limit, "clip_grad_value: limit")
    grads = _numbers(leaves, "grad")
    _assign(leaves, repeat("grad"), [bound if g > bound else -bound if g < -bound else g for g in grads])


# ---- checks ------------------------------------------------------------------------------------------------------


class _Used(float):
    """A gradient that a step was made with: a float that stays one of these when more is added to it, or it is scaled.

    So the next step can tell, whoever set gradients to 0, in whatever way, or did not.  This is the one thing that an
    optimiser leaves on a node: nothing else sees a backward pass that adds to what was used.
    """

    __slots__ = ()

    def __add__(self, other: float) -> _Used:
        return _Used(float.__add__(self, other))

    def __mul__(self, other: float) -> float:
        return _Used(product) if (product := float.__mul__(self, other)) else product

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> _Used:
        return _Used(float.__truediv__(self, other))

    def __reduce__(self) -> tuple[Any, ...]:  # a copy of it is a plain number
        return float, (float(self),)


def _numbers(params: Iterable[Value], attribute: str) -> list[float]:
    """The data or the gradients of parameters, as floats."""
    return [x if x.__class__ is float or x.__class__ is _Used else number(x, f"the {attribute} of parameter {i}")
            for i, x in enumerate([getattr(parameter, attribute) for parameter in params])]


def _assign(objects: Iterable[Any], names: Iterable[str], values: Iterable[Any]) -> None:
    # No bytecode runs between the assignments, hence no signal handler: all of them happen, or none.
    deque(map(setattr, objects, names, values), maxlen=0)


def _leaves(params: Iterable[Value], user: str) -> tuple[Value, ...]:
    if isinstance(params, Value) or not isinstance(params, Iterable):
        raise TypeError(f"{user}: the parameters must be a list of Values, not {short_repr(params)}; "
                        "pass model.parameters(), or put a single Value into a list")
    leaves = tuple(params)
    if not leaves:
        raise ValueError(f"{user}: there are no parameters; pass model.parameters(), "
                         "or a fresh generator (one that was read already is empty)")
    position: dict[Value, int] = {}
    for i, x in enumerate(leaves):
        if not isinstance(x, Value):
            raise TypeError(f"{user}: parameter {i} must be a Value, not {type(x).__name__} ({short_repr(x)})")
        if x.op:
            raise ValueError(f"{user}: parameter {i}, {x!r}, is the result of an operation and would be computed "
                             "afresh; pass the leaves that it was computed from")
        if x.constant:
            raise ValueError(f"{user}: parameter {i}, {x!r}, is a constant, which receives no gradient; "
                             "make it a Value before it is used")
        if x in position:
            raise ValueError(f"{user}: parameter {i}, {x!r}, is parameter {position[x]} again and would be updated twice; "
                             "pass each parameter once")
        position[x] = i
    return leaves


def _in_range(x: Any, what: str, remedy: str = "", below: float = math.inf) -> float:
    value = number(x, what)
    if not 0 <= value < below:
        wanted = "a finite number >= 0" if below == math.inf else f"a number >= 0 and < {below:g}"
        raise ValueError(f"{what} must be {wanted}, not {value!r}" + (f"; {remedy}" if remedy else ""))
    return value


def _limit(x: Number, what: str) -> float:
    x = number(x, what)
    if not x > 0:
        raise ValueError(f"{what} must be a number > 0, not {x!r}; inf clips nothing, zero_grad() makes gradients 0")
    return x


def _steps(x: int, what: str) -> int:
    if not isinstance(x, int) or isinstance(x, bool):
        raise TypeError(f"{what} must be a whole number of steps, not {type(x).__name__} ({short_repr(x)})")
    if x < 1:
        raise ValueError(f"{what} must be at least 1 step, not {x}")
    return x
