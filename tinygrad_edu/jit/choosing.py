"""Choices among numbers that are not known while a function is traced: `take`, the largest number,
and copies.

    >>> from tinygrad_edu import jit, take
    >>> print(jit(lambda i: take([2.0, 3.0, 5.0], i)).show(1.0))
    inputs  i
    t1 = take([2, 3, 5], i)
    return t1
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Sequence
from typing import Any

from .. import math
from ..engine.arrays import array_of, entries_of, is_array
from ..engine.value import Value
from ..errors import TraceError, exact_number, short_repr
from .tape.operations import DETACH, GATE, SOURCES, TAKE
from .traced import located_error


def take(trace: Any, entries: Sequence[Any], index: Any) -> Any:
    """Returns the entry at an index that is not known yet.

    If the entries are rows, lists or arrays, so is the result.
    """
    first = entries[0]
    if is_array(first) or isinstance(first, (list, tuple, array)):
        rows = [entries_of(row) if is_array(row) else row for row in entries]
        for i, row in enumerate(rows):
            if not isinstance(row, (list, tuple, array)):
                raise _no_entry(i, row)
        shapes = {getattr(row, "shape", (len(row),)) for row in entries}
        if len(shapes) > 1:
            raise located_error(
                "take: the rows differ in length, so the index would determine the shape of "
                "the program",
                "fill up the shorter rows",
            )
        taken = [take(trace, column, index) for column in zip(*rows)]
        if is_array(first):
            return array_of(taken, first.shape)
        return tuple(taken) if isinstance(first, tuple) else taken
    refs = [trace.operand(index)]
    try:
        for entry in entries:
            is_value = isinstance(entry, Value)
            refs.append(trace.operand(entry) if is_value else exact_number(entry))
    except TraceError:
        raise
    except TypeError:
        raise _no_entry(len(refs) - 1, entry) from None
    return trace.boolean(trace.value(TAKE, tuple(refs), (index, *entries)), *entries)


def largest(xs: Sequence[Any]) -> tuple[Any, Any]:
    """Returns the index of the largest number, the first one if there are several, and the number.
    """
    index: Any = 0.0
    found = xs[0]
    for i, x in enumerate(xs[1:], 1):
        is_larger = x > found
        index = math.where(is_larger, float(i), index)
        found = math.where(is_larger, x, found)
    return index, found


def _no_entry(i: int, entry: Any) -> TraceError:
    return located_error(
        f"take: entry {i} must be a number that is a float, a Value or a row of them, like the "
        f"other entries, not {short_repr(entry)}, of type {type(entry).__name__}",
        "pass only numbers and Values, or only rows of them, all of one length",
    )


def copied(trace: Any, x: Value, as_leaf: bool = False) -> Any:
    """Returns a copy of a node: a new leaf if ``x`` is a leaf, or a node with the same operands.

    No gradient flows through a new leaf.

    as_leaf: whether the copy counts as a leaf in any case, as a deep copy does.
    """
    ref = trace.operand(x)
    if trace.is_constant(ref):  # a number
        return x
    op, args = trace.nodes[ref]
    if as_leaf or op in SOURCES or op == DETACH:
        return trace.value(DETACH, (ref,))
    given = trace.operands.get(ref)
    if op not in (TAKE, GATE):
        return trace.again(ref)
    given = given or [trace.at(arg) if arg.__class__ is int else arg for arg in args]
    index, *entries = given
    chosen = [copy.copy(entry) for entry in entries]
    return take(trace, chosen, index) if op == TAKE else trace.gate(index, *chosen)
