"""Reads, assigns and checks the numbers of parameters."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any, TypeVar

from ..engine.value import Value
from ..errors import number, short_repr

Result = TypeVar("Result")


class UsedGradient(float):
    """A gradient that a step has used: a float that keeps this class when it is added to or scaled.

    The next step can see by it whether gradients were set to 0, in whatever way that was done.
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

    def __reduce__(self) -> tuple[Any, ...]:  # a copy is a plain float
        return float, (float(self),)


def read_numbers(params: Iterable[Value], attribute: str) -> list[float]:
    """Returns the data or the gradients of parameters, as floats."""
    numbers = [getattr(parameter, attribute) for parameter in params]
    for i, x in enumerate(numbers):
        if x.__class__ is not float and x.__class__ is not UsedGradient:
            numbers[i] = number(x, f"the {attribute} of parameter {i}")
    return numbers


def assign_all(objects: Iterable[Any], names: Iterable[str], values: Iterable[Any]) -> None:
    """Sets the attribute ``names[i]`` of ``objects[i]`` to ``values[i]``, for all i or for none."""
    # No bytecode, and therefore no signal handler, runs between the assignments.
    deque(map(setattr, objects, names, values), maxlen=0)


@contextmanager
def temporarily(
    objects: Sequence[Any], name: str, values: Iterable[Any], result: Result
) -> Iterator[Result]:
    """Sets an attribute of all objects inside a ``with`` block, which is given ``result``.

    When the block ends, also by an exception, the attribute is as before.
    """
    assign = partial(map, object.__setattr__, objects, repeat(name))
    there = assign(values)
    back = assign([getattr(each, name) for each in objects])
    try:
        # one call in C, which no signal handler can interrupt
        deque(there, maxlen=0)
        yield result
    finally:
        # `back` was made before the block, so Ctrl-C cannot come between; one call in C, too
        deque(back, maxlen=0)


def checked_leaves(params: Iterable[Value], user: str) -> tuple[Value, ...]:
    """Returns the parameters as a tuple.

    ``user`` begins the message of an error.

    Raises:
        TypeError: a parameter is not a Value.
        ValueError: there are no parameters; a parameter is not a leaf, is a constant, or occurs
            twice.
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
            "or a new generator (one that was read already is empty)"
        )
    position: dict[Value, int] = {}
    for i, x in enumerate(leaves):
        what = f"{user}: parameter {i}"
        if not isinstance(x, Value):
            raise TypeError(f"{what} must be a Value, not {type(x).__name__} ({short_repr(x)})")
        if x.op:
            raise ValueError(
                f"{what} must be a leaf, not {x!r}, the result of an operation; pass the leaves it "
                "depends on"
            )
        if x.constant:
            raise ValueError(
                f"{what} must not be a constant, {x!r}, which receives no gradient; make it a "
                "Value before it is used"
            )
        if x in position:
            raise ValueError(
                f"{what}, {x!r}, is the same as parameter {position[x]}; pass each parameter once"
            )
        position[x] = i
    return leaves


def in_range(x: Any, what: str, remedy: str = "", below: float = math.inf) -> float:
    """Returns ``x`` as a float.

    Raises:
        TypeError: ``x`` is not a number.
        ValueError: ``x`` is not >= 0 and < ``below``.
    """
    value = number(x, what)
    if not 0 <= value < below:
        wanted = "a finite number >= 0" if below == math.inf else f"a number >= 0 and < {below:g}"
        raise ValueError(
            f"{what} must be {wanted}, not {value!r}" + (f"; {remedy}" if remedy else "")
        )
    return value

