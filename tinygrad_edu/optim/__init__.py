"""Optimisers, learning-rate schedules and gradient clipping.

    >>> from tinygrad_edu import Value, optim
    >>> w = Value(3.0, "w")
    >>> optimizer = optim.SGD([w], lr=0.1)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     ((w - 1) ** 2).backward()
    ...     optimizer.step()
    >>> round(w.data, 4)
    1.0
"""

from .clipping import clip_grad_norm, clip_grad_value
from .optimizer import Optimizer
from .optimizers import SGD, Adam, AdamW, RMSprop
from .schedules import Schedule as Schedule
from .schedules import cosine, linear, step_decay, warmup

__all__ = [
    "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm", "clip_grad_value", "cosine",
    "linear", "step_decay", "warmup",
]


def __dir__() -> list[str]:
    """Returns the public names only, which is what a notebook completes."""
    return __all__
