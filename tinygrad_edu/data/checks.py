"""Checks of arguments: standard deviations, finite numbers, samples with targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import number, short_repr


def spread(noise: float, what: str) -> float:
    """Returns a standard deviation as a float.

    Raises:
        ValueError: it is negative, inf or nan.
    """
    noise = number(noise, what)
    if not 0 <= noise < math.inf:
        raise ValueError(
            f"{what} must be a standard deviation, a finite number >= 0, not {noise!r}; "
            "for no noise pass 0"
        )
    return noise


def finite(x: float, what: str) -> float:
    """Returns ``x`` as a float.

    Raises:
        ValueError: ``x`` is inf or nan.
    """
    x = number(x, what)
    if not math.isfinite(x):
        raise ValueError(f"{what} must be finite, not {x!r}")
    return x


def matched(X: Sequence[Any], y: Sequence[Any], user: str) -> int:
    """Returns the number of samples in ``X`` and ``y``.

    user: begins the message of an error.

    Raises:
        TypeError: ``X`` or ``y`` is not a list, a tuple, an array or another sequence.
        ValueError: ``X`` and ``y`` differ in length, or are empty.
    """
    for name, values in (("X", X), ("y", y)):
        if not hasattr(values, "__len__") or not hasattr(values, "__getitem__"):
            raise TypeError(
                f"{user}: {name} must be a list, not {type(values).__name__} "
                f"({short_repr(values)}); pass list({name})"
            )
    if len(X) != len(y):
        raise ValueError(
            f"{user}: X and y must have equal lengths, not {len(X)} and {len(y)}; "
            "give one target for each sample"
        )
    if not len(X):
        raise ValueError(f"{user}: X must not be empty; give at least one sample")
    return len(X)
