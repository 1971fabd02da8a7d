"""Optimisers: SGD with momentum, RMSprop, Adam and AdamW.

Each is one update rule, written with operators and primitives only.  The same rule runs on floats,
on Values, on names (which prints it) and on vectors.  The order of operations is always the same,
and so are the bits.

The rules are PyTorch's (torch.optim 2.13, the single-tensor forms), operation by operation.  In
float64 they agree with PyTorch in every bit, if its kernels neither fuse a multiplication with an
addition nor approximate a square root.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..engine.table import sqrt
from ..engine.value import Number, Value
from ..errors import check_bool, short_repr
from .optimizer import Optimizer, State
from .schedules import Rate


class SGD(Optimizer):
    """Gradient descent, optionally with momentum::

        g = grad + weight_decay * data
        v = momentum * v + g                 the velocity, 0 at first
        data = data - lr * v                 nesterov: data - lr * (g + momentum * v)

    Without momentum v is g, and there is no state.

    Source: torch.optim.SGD with dampening 0; Sutskever et al., On the importance of initialization
    and momentum in deep learning, 2013.

    Raises:
        ValueError: an option is negative, or ``nesterov`` is True without momentum.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: Rate,
        momentum: Number = 0.0,
        nesterov: bool = False,
        weight_decay: Number = 0.0,
    ) -> None:
        self.momentum = self._option("momentum", momentum, "0 (none) or 0.9")
        self.nesterov = check_bool(nesterov, "SGD: nesterov")
        self.weight_decay = self._option("weight_decay", weight_decay, "0 (none) or 0.0001")
        if self.nesterov and not self.momentum:
            raise ValueError(
                "SGD: momentum must be > 0 with nesterov=True, not 0; pass momentum=0.9"
            )
        super().__init__(
            params,
            lr,
            slots=("velocity",) if self.momentum else (),
            options=("momentum", "nesterov", "weight_decay"),
        )

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        """Applies the rule above to one parameter (see `Optimizer.update`)."""
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

    With momentum the last line is ``v = momentum * v + g / (sqrt(s) + eps)``,
    ``data = data - lr * v``.

    Source: torch.optim.RMSprop, not centred; Hinton, Neural Networks for Machine Learning,
    lecture 6, 2012.

    Raises:
        ValueError: an option is negative, or ``alpha`` is outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: Rate = 0.01,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        momentum: Number = 0.0,
        weight_decay: Number = 0.0,
    ) -> None:
        self.alpha = self._option("alpha", alpha, "0.99", 1.0)
        self.eps = self._option("eps", eps, "1e-8")
        self.momentum = self._option("momentum", momentum, "0 (none) or 0.9")
        self.weight_decay = self._option("weight_decay", weight_decay, "0 (none) or 0.0001")
        super().__init__(
            params,
            lr,
            slots=("mean_square", "velocity") if self.momentum else ("mean_square",),
            options=("alpha", "eps", "momentum", "weight_decay"),
        )

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        """Applies the rule above to one parameter (see `Optimizer.update`)."""
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        mean_square = self.alpha * state[0] + (1 - self.alpha) * grad * grad
        scale = sqrt(mean_square) + self.eps
        if not self.momentum:
            return data - lr * grad / scale, (mean_square,)
        velocity = self.momentum * state[1] + grad / scale
        return data - lr * velocity, (mean_square, velocity)


class Adam(Optimizer):
    """Running means of the gradient and of its square, both corrected for their start at 0::

        g = grad + weight_decay * data
        m = m + (1 - beta1) * (g - m)                        the mean
        s = beta2 * s + (1 - beta2) * g**2                   the mean square
        data = data - lr / (1 - beta1**t) * m / (sqrt(s) / sqrt(1 - beta2**t) + eps)

    ``betas`` is (beta1, beta2); t counts the steps from 1.  The first step has length lr, whatever
    the gradient.

    Source: torch.optim.Adam; Kingma and Ba, Adam: a method for stochastic optimization, 2015,
    algorithm 1.

    Raises:
        TypeError: ``betas`` is not a pair.
        ValueError: an option is negative, or a beta is outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: Rate = 0.001,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise TypeError(
                f"{type(self).__name__}: betas must be two numbers, (beta1, beta2), "
                f"not {short_repr(betas)}; usual: (0.9, 0.999)"
            )
        self.betas = (
            self._option("beta1 of betas", betas[0], "0.9", 1.0),
            self._option("beta2 of betas", betas[1], "0.999", 1.0),
        )
        self.eps = self._option("eps", eps, "1e-8")
        self.weight_decay = self._option("weight_decay", weight_decay, "0 (none) or 0.01")
        super().__init__(
            params, lr, slots=("mean", "mean_square"), options=("betas", "eps", "weight_decay")
        )

    def update(self, data: Any, grad: Any, state: State, lr: Any, t: int) -> tuple[Any, State]:
        """Applies the rule above to one parameter (see `Optimizer.update`)."""
        beta1, beta2 = self.betas
        if self.weight_decay:
            data, grad = self._decayed(data, grad, lr)
        mean = _between(state[0], grad, 1 - beta1)
        mean_square = beta2 * state[1] + (1 - beta2) * grad * grad
        scale = sqrt(mean_square) / (1 - beta2**t) ** 0.5 + self.eps
        return data - lr / (1 - beta1**t) * mean / scale, (mean, mean_square)

    def _decayed(self, data: Any, grad: Any, lr: Any) -> tuple[Any, Any]:
        """Returns data and gradient with weight decay in one of them."""
        return data, grad + self.weight_decay * data


class AdamW(Adam):
    """Adam with weight decay that is not part of the gradient.

    ``data = data * (1 - lr * weight_decay)`` comes first; then follows the rule of `Adam`.

    Source: torch.optim.AdamW; Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: Rate = 0.001,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _decayed(self, data: Any, grad: Any, lr: Any) -> tuple[Any, Any]:
        return data * (1 - lr * self.weight_decay), grad


def _between(x: Any, y: Any, weight: float) -> Any:
    """Returns x + weight * (y - x), in the two forms of torch.lerp: exact for weights 0 and 1."""
    return x + weight * (y - x) if weight < 0.5 else y - (y - x) * (1 - weight)
