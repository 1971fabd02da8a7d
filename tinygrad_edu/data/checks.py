"""Checks of arguments: standard deviations, and samples with targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import check_number, short_repr


def spread(noise: float, what: str) -> float:
    """Returns a standard deviation as a float.

    Raises:
        ValueError: it is negative, inf or nan.
    """
    wanted = "a standard deviation, a finite number >= 0"
    return check_number(noise, what, 0, "for no noise pass 0", wanted=wanted)


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
