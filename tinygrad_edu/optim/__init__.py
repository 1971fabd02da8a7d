"""What happens to the parameters after `backward`: optimisers, learning-rate schedules and gradient clipping."""

from .optimizers import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    clip_grad_norm,
    clip_grad_value,
    cosine,
    linear,
    step_decay,
    warmup,
)

__all__ = [
    "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm", "clip_grad_value", "cosine", "linear", "step_decay",
    "warmup",
]
