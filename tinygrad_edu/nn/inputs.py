"""What a layer takes: a list with one number or Value for each of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..engine.arrays import listed
from ..errors import is_list_like, is_number, number, short_repr, wrong_entry, wrong_type
from .module import Module


def as_row(
    x: Any, size: int, module: Module, option: str = "nin", what: str = "x"
) -> Sequence[Any]:
    """Returns ``x``, which has ``size`` entries, as a list or a tuple.

    module, option: the layer that takes it, and the argument that gave the layer its size.
    what: the name of ``x`` in an error message.

    Raises:
        TypeError: ``x`` is not one row; it is, for example, a number, text or several rows.
        ValueError: ``x`` has another length.
    """
    name = f"{type(module).__name__}: {what}"
    dimensions = getattr(x, "ndim", 1)
    if dimensions > 1 or not is_list_like(x) or not hasattr(x, "__len__"):
        shape = f" of {dimensions} dimensions" if dimensions > 1 else ""
        raise wrong_type(f"{name}{shape}", _wanted(size), x, _remedy(x, dimensions))
    row = listed(x) or list(x)
    if len(row) != size:
        is_batch = bool(row) and is_list_like(row[0])
        remedy = f"pass {size}, or make the layer with {option}={len(row)}"
        raise ValueError(
            f"{name} must be {_wanted(size)}, not of {len(row)} ({short_repr(x)}); "
            f"{_ONE_BY_ONE if is_batch else remedy}"
        )
    return row


def check_entries(x: Sequence[Any], module: Module) -> None:
    """Raises TypeError or OverflowError if an entry of a row is not a number or a Value."""
    user = type(module).__name__
    for i, entry in enumerate(x):
        if not is_number(entry):
            remedy = _ONE_BY_ONE if is_list_like(entry) else "write each entry as a number"
            raise wrong_entry(f"{user}: x", "a list of numbers or Values", x, i, entry, remedy)
        if isinstance(entry, int):
            number(entry, f"{user}: entry {i} of x")


_ONE_BY_ONE = "pass one sample at a time, as in [model(x) for x in X]"


def _wanted(size: int) -> str:
    return "a list of 1 number or Value" if size == 1 else f"a list of {size} numbers or Values"


def _remedy(x: Any, dimensions: int) -> str:
    if dimensions > 1:
        return _ONE_BY_ONE
    return f"pass {'all numbers of ' if is_number(x) else ''}one sample in a list"
