"""The numbers of parameters: read, assigned all at once, and checked."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Any

from ..engine.primitives import number, short_repr
from ..engine.value import Value


class UsedGradient(float):
    """A gradient that a step was made with: a float that stays one of these when more is added to
    it, or it is scaled.

    So the next step can tell, whoever set gradients to 0, in whatever way, or did not.  This is the
    one thing that an optimiser leaves on a node: nothing else sees a backward pass that adds to
    what was used.
    """

    __slots__ = ()

    def __add__(self, other: float) -> UsedGradient:
        return UsedGradient(float.__add__(self, other))

    def __mul__(self, other: float) -> float:
        product = float.__mul__(self, other)
        return UsedGradient(product) if product else product

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> UsedGradient:
        return UsedGradient(float.__truediv__(self, other))

    def __reduce__(self) -> tuple[Any, ...]:  # a copy of it is a plain number
        return float, (float(self),)


def read_numbers(params: Iterable[Value], attribute: str) -> list[float]:
    """The data or the gradients of parameters, as floats."""
    numbers = [getattr(parameter, attribute) for parameter in params]
    for i, x in enumerate(numbers):
        if x.__class__ is not float and x.__class__ is not UsedGradient:
            numbers[i] = number(x, f"the {attribute} of parameter {i}")
    return numbers


def assign_all(objects: Iterable[Any], names: Iterable[str], values: Iterable[Any]) -> None:
    """Sets the attribute ``names[i]`` of ``objects[i]`` to ``values[i]``: all of them, or none."""
    # No bytecode, and therefore no signal handler, runs between the assignments.
    deque(map(setattr, objects, names, values), maxlen=0)


def checked_leaves(params: Iterable[Value], user: str) -> tuple[Value, ...]:
    """Returns the parameters as a tuple.

    Raises TypeError if one is not a Value; ValueError if there are none, or if one is not a leaf,
    is a constant or occurs twice.  ``user`` begins the message.
    """
    if isinstance(params, Value) or not isinstance(params, Iterable):
        raise TypeError(
            f"{user}: the parameters must be a list of Values, not {short_repr(params)}; "
            "pass model.parameters(), or put a single Value into a list"
        )
    leaves = tuple(params)
    if not leaves:
        raise ValueError(
            f"{user}: there are no parameters; pass model.parameters(), "
            "or a fresh generator (one that was read already is empty)"
        )
    position: dict[Value, int] = {}
    for i, x in enumerate(leaves):
        _check_leaf(x, f"{user}: parameter {i}")
        if x in position:
            raise ValueError(
                f"{user}: parameter {i}, {x!r}, is parameter {position[x]} again "
                "and would be updated twice; pass each parameter once"
            )
        position[x] = i
    return leaves


def _check_leaf(x: Any, what: str) -> None:
    """Raises TypeError or ValueError unless ``x`` is a leaf that receives a gradient."""
    if not isinstance(x, Value):
        raise TypeError(f"{what} must be a Value, not {type(x).__name__} ({short_repr(x)})")
    if x.op:
        raise ValueError(
            f"{what}, {x!r}, is the result of an operation and would be computed afresh; "
            "pass the leaves that it was computed from"
        )
    if x.constant:
        raise ValueError(
            f"{what}, {x!r}, is a constant, which receives no gradient; "
            "make it a Value before it is used"
        )


def in_range(x: Any, what: str, remedy: str = "", below: float = math.inf) -> float:
    """Returns ``x`` as a float; raises ValueError unless 0 <= x < ``below``."""
    value = number(x, what)
    if not 0 <= value < below:
        wanted = "a finite number >= 0" if below == math.inf else f"a number >= 0 and < {below:g}"
        raise ValueError(
            f"{what} must be {wanted}, not {value!r}" + (f"; {remedy}" if remedy else "")
        )
    return value

