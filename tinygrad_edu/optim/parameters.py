"""Reads, assigns and checks the numbers of parameters."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any, TypeVar

from ..engine.interpreter import own_number
from ..engine.value import Value
from ..errors import is_list_like, short_repr, wrong_entry, wrong_type

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


def read_numbers(params: Sequence[Value], attribute: str) -> list[float]:
    """Returns the data or the gradients of parameters, as floats."""
    numbers = [getattr(parameter, attribute) for parameter in params]
    for i, x in enumerate(numbers):
        if x.__class__ is not float and x.__class__ is not UsedGradient:
            numbers[i] = own_number(params[i], attribute)
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
    remedy = "pass model.parameters(), or a list such as [w, b]"
    name = f"{user}: params"
    if not is_list_like(params):
        raise wrong_type(name, "a list of Values", params, remedy)
    leaves = tuple(params)
    if not leaves:
        raise ValueError(
            f"{name} must have at least one Value, but {short_repr(params)} has none; "
            f"{remedy} (a generator that was read already is empty)"
        )
    position: dict[Value, int] = {}
    for i, x in enumerate(leaves):
        what = f"{user}: entry {i} of params"
        if not isinstance(x, Value):
            raise wrong_entry(name, "a list of Values", params, i, x, remedy)
        if x.op:
            raise ValueError(
                f"{what} must be a leaf, not {short_repr(x)}, the result of an operation; pass the "
                "leaves it depends on"
            )
        if x.constant:
            raise ValueError(
                f"{what} must not be a constant, {short_repr(x)}, which receives no gradient; make "
                "it a Value before it is used"
            )
        if x in position:
            raise ValueError(
                f"{what}, {short_repr(x)}, is the same as entry {position[x]}; pass each parameter "
                "once"
            )
        position[x] = i
    return leaves
