"""Gradient clipping: by the norm of all gradients together, or each gradient separately."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import repeat

from ..engine.value import Number, Value
from ..errors import number, short_repr
from .parameters import assign_all, checked_leaves, read_numbers


def clip_grad_norm(params: Iterable[Value], max_norm: Number) -> float:
    """Shortens the gradient of ``params``, as one vector, to ``max_norm``, and returns its norm.

    The norm returned is the norm before.  It is Euclidean, computed without overflow.  A longer
    gradient is multiplied by max_norm / norm (torch.nn.utils.clip_grad_norm_ divides by norm +
    1e-6).  A shorter gradient is not changed.  A gradient that contains inf or nan is not changed
    either; the norm returned is then inf or nan.

    Raises:
        TypeError: ``max_norm`` is not a number, or a parameter is not a Value.
        ValueError: ``max_norm`` is not positive, or a parameter is rejected by `Optimizer`.
    """
    leaves = checked_leaves(params, "clip_grad_norm")
    limit = checked_limit(max_norm, "clip_grad_norm: max_norm")
    grads = read_numbers(leaves, "grad")
    norm, shortened = clipped(grads, limit)
    if shortened is not grads:
        assign_all(leaves, repeat("grad"), shortened)
    return norm


def clipped(grads: list[float], limit: float) -> tuple[float, list[float]]:
    """Returns a gradient's norm, and the gradient shortened to ``limit`` (see `clip_grad_norm`)."""
    norm = math.hypot(*grads)
    if not (norm > limit and all(map(math.isfinite, grads))):
        return norm, grads
    length = norm
    if norm == math.inf:  # the entries are finite, but their norm is larger than the largest float
        grads = [g * 2.0**-64 for g in grads]
        length = math.hypot(*grads)
    return norm, [g / length * limit for g in grads]


def clip_grad_value(params: Iterable[Value], limit: Number) -> None:
    """Clips each gradient to the interval from ``-limit`` to ``limit``.

    A gradient of nan stays nan.

    Raises:
        TypeError: ``limit`` is not a number, or a parameter is not a Value.
        ValueError: ``limit`` is not positive, or a parameter is rejected by `Optimizer`.
    """
    leaves = checked_leaves(params, "clip_grad_value")
    bound = checked_limit(limit, "clip_grad_value: limit")
    grads = read_numbers(leaves, "grad")
    # in this order, min and max keep nan
    assign_all(leaves, repeat("grad"), [max(min(g, bound), -bound) for g in grads])


def checked_limit(x: Number, what: str) -> float:
    """Returns ``x`` as a float.

    Raises:
        TypeError: ``x`` is not a number.
        ValueError: ``x`` is not > 0.
    """
    limit = number(x, what)
    if not limit > 0:
        raise ValueError(
            f"{what} must be a number > 0, not {short_repr(x)}; pass inf to switch clipping off"
        )
    return limit
