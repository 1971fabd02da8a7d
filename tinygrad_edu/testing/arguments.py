"""Strategies for floats and for the arguments of a row, spread over every power of ten.

The functions that users call are in `strategies`.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from hypothesis import strategies as st

from ..engine.primitive import TABLE, Primitive
from ..errors import check_number, number
from ..symbolic.formulas import position_of, row_of

inf = math.inf
nan = math.nan

SMALLEST = 5e-324
LARGEST = sys.float_info.max
SPECIAL = (1.0, -1.0, 0.0, -0.0, inf, -inf, nan, SMALLEST, -SMALLEST, 1.797e308, -1.797e308,
           1e200, 1e-200)
MODERATE = (0.01, 30.0)  # least and largest magnitude of the nodes of an expression

Row = Primitive | str
Floats = st.SearchStrategy[float]
Arguments = st.SearchStrategy[tuple[float, ...]]
# Low end, high end and anchors: the points around which floats are spread.  An anchor of None means
# that floats are spread evenly.
_Piece = tuple[float, float, tuple[float | None, ...]]


def floats_for(
    primitive: Row,
    argument: int | str = 0,
    *,
    special: bool = True,
    smallest: float = SMALLEST,
    largest: float = LARGEST,
) -> Floats:
    """Returns a strategy for one argument of a row.

    Floats have either sign, and every power of ten is equally likely.

    primitive: a row of the table, or its name.
    argument: the position or the name of the argument.

    special: whether to draw special values too: `SPECIAL`, the ends of the row's intervals and the
        arguments in its ``specials``.  They need not lie in the domain.  Without them, every float
        is finite, not 0, and inside the intervals of the row's ``sample``.
    smallest, largest: bounds on the magnitude of floats that are not special.  Choose moderate
        bounds for `gradcheck`, because differences say little about ``sin(1e300)``.

    In a bounded interval, some floats are drawn evenly.  Near an end other than 0, the distances
    from the end are spread over the powers of ten.  The ``domain`` of a row is respected if the row
    has one argument; if it has several, use `arguments_for`.

    Raises:
        PrimitiveError: there is no such row.
        TypeError: an option is of another type.
        ValueError: the row has no such argument, or no argument within the bounds.
    """
    row = row_of(primitive, "floats_for: primitive")
    i = position_of(argument, row, "floats_for: argument")
    if row.parameters[i] == "condition":
        plain: Floats = st.sampled_from([1.0, 0.0])
    else:
        plain = _floats_in(_pieces(row, i, smallest, largest))
    if row.arity == 1 and row.domain:
        plain = plain.filter(row.domain)
    if not special:
        return plain
    return _sometimes(plain, st.sampled_from(_special_values(row, i)))


def arguments_for(primitive: Row, *, special: bool = True, smallest: float = SMALLEST,
                  largest: float = LARGEST) -> Arguments:
    """Returns a strategy for all arguments of a row, as tuples.

    Options and errors are the same as for `floats_for`.

    In some tuples the arguments are independent, in others they are of about the same size.
    Without ``special``, all tuples lie in the row's ``domain``.  With it, some do not, some have
    equal arguments, and some are the row's ``specials``.

    If hardly any float lies in the domain, pass intervals to `define` as ``sample``.
    """
    row = row_of(primitive, "arguments_for: primitive")
    smallest, largest = _bounds(smallest, largest)

    def columns(special: bool) -> list[Floats]:
        bounds = {"smallest": smallest, "largest": largest}
        return [floats_for(row, i, special=special, **bounds) for i in range(row.arity)]

    plain = st.tuples(*columns(special=False))
    if row.arity > 1 and row.parameters[0] != "condition":
        plain = _often_near(plain, row, smallest, largest)
    domain = row.domain
    if domain is not None:
        plain = plain.filter(lambda args: bool(domain(*args)))
    if not special:
        return plain
    anything = columns(special=True)
    edges = [st.tuples(*anything), anything[0].map(lambda x: (x,) * row.arity)]
    if row.specials:
        edges.append(st.sampled_from(sorted(row.specials, key=repr)))
    if row is TABLE["pow"]:
        # a negative base and a whole exponent: a real power, although outside the domain
        edges.append(st.tuples(st.floats(-10, -0.1), st.integers(-4, 4).map(float)))
    return _sometimes(plain, st.one_of(*edges))


def _special_values(row: Primitive, i: int) -> list[float]:
    """Returns the special values for argument ``i``."""
    ends = [end for interval in row.sample[i] for end in interval]
    own = [args[i] for args in row.specials]
    # compared by repr, because 0.0 == -0.0
    return list({repr(x): float(x) for x in (*SPECIAL, *ends, *own)}.values())


def _bounds(smallest: float, largest: float) -> tuple[float, float]:
    """Returns the bounds on a magnitude as floats.

    Raises:
        TypeError: one is not a number.
        ValueError: they are not finite, not above 0 or not in order.
    """
    smallest = check_number(smallest, "smallest", above=0, wanted="a finite number above 0")
    largest = check_number(largest, "largest", above=0, wanted="a finite number above 0")
    if smallest > largest:
        raise ValueError(
            f"smallest must be at most largest, not {smallest!r} and {largest!r}; exchange them"
        )
    return smallest, largest


def _pieces(row: Primitive, i: int, smallest: float, largest: float) -> list[_Piece]:
    """Returns the intervals of argument ``i``, cut to the bounds and at 0, with their anchors."""
    smallest, largest = _bounds(smallest, largest)
    pieces: list[_Piece] = []
    for low, high in row.sample[i]:
        even = [None] if -inf < low and high < inf else []
        # three times, because most floats are to be spread around 0
        zero = [0.0] * 3 if low <= 0 <= high else []
        positive = (max(low, smallest), min(high, largest))
        negative = (max(low, -largest), min(high, -smallest))
        for bottom, top in (positive, negative):
            if bottom <= top:
                ends = [end for end in (low, high) if end and bottom <= end <= top]
                anchors = (*zero, *ends, *even) or (min(bottom, top, key=abs),)
                pieces.append((bottom, top, anchors))
    if not pieces:
        raise ValueError(
            f"{row.name} takes no {row.parameters[i]} with a magnitude from smallest={smallest!r} "
            f"to largest={largest!r}; choose bounds that overlap its intervals, {row.sample[i]}"
        )
    return pieces


@st.composite
def _floats_in(draw: st.DrawFn, pieces: list[_Piece]) -> float:
    """Draws a float in one of the pieces, spread around one of its anchors."""
    digits = draw(_DIGITS)
    low, high, anchors = draw(st.sampled_from(pieces))
    anchor = draw(st.sampled_from(anchors))
    if anchor is None:
        return draw(st.floats(low, high))
    if anchor == 0 and low > 0:
        return _magnitude(draw, digits, low, high)
    if anchor == 0:
        return -_magnitude(draw, digits, -high, -low)
    sign, room = max((1, high - anchor), (-1, anchor - low), key=lambda side: side[1])
    least = math.ulp(anchor)
    if room < least:
        return anchor
    return min(max(anchor + sign * _magnitude(draw, digits, least, min(room, LARGEST)), low), high)


# The digits of a float are drawn before its power of ten, and without a branch for small whole
# numbers, because hypothesis would take that branch most of the time.
_DIGITS = st.floats(1, 10, exclude_max=True)

_FACTORS = st.floats(0.5, 2)  # ratio of two arguments of about the same size

_ONE_IN_FIVE = st.integers(0, 4)


def _magnitude(draw: st.DrawFn, digits: float, smallest: float, largest: float) -> float:
    """Draws a positive float with these digits, every power of ten equally likely."""
    power = draw(st.integers(math.floor(math.log10(smallest)), math.floor(math.log10(largest))))
    return min(max(float(f"{digits!r}e{power}"), smallest), largest)


@st.composite
def _often_near(
    draw: st.DrawFn,
    columns: Arguments,
    row: Primitive,
    smallest: float,
    largest: float,
) -> tuple[float, ...]:
    """Draws arguments, in half of the cases all of about the same size.

    Functions of several arguments are difficult there.
    """
    args = list(draw(columns))
    if draw(st.booleans()):
        for i in range(1, row.arity):
            near = args[0] * draw(_FACTORS)
            is_inside = any(low < near < high for low, high in row.sample[i])
            if smallest <= abs(near) <= largest and is_inside:
                args[i] = near
    return tuple(args)


@st.composite
def _sometimes(draw: st.DrawFn, usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> Any:
    """Draws from ``rare`` in one case of five, otherwise from ``usual``.

    Examples shrink to ``usual``, which needs fewer choices.
    """
    drawn = draw(usual)
    return draw(rare) if draw(_ONE_IN_FIVE) == 4 else drawn


def moderate_floats(
    smallest: float = MODERATE[0], largest: float = MODERATE[1]
) -> Floats:
    """Returns a strategy for floats of either sign, every power of ten equally likely.

    smallest, largest: bounds on the magnitude.

    Raises:
        ValueError: the bounds are not finite, not above 0 or not in order.
    """
    smallest, largest = _bounds(smallest, largest)
    return _floats_in([(smallest, largest, (0.0,)), (-largest, -smallest, (0.0,))])


def floats_between(low: float, high: float) -> Floats:
    """Returns a strategy for floats from ``low`` to ``high``.

    Some are drawn evenly, others with every power of ten equally likely.

    In an interval around 0, the smallest power of ten is a thousandth of the larger end.

    Raises:
        ValueError: the ends are not finite or not in order.
    """
    low = number(low, "low")
    high = number(high, "high")
    if not -inf < low <= high < inf:
        raise ValueError(
            f"the ends of the interval must be finite and in this order, not {low!r} and {high!r}; "
            "write low and then high"
        )
    least = max(abs(low), abs(high)) / 1000 if low <= 0 <= high else min(abs(low), abs(high))
    pieces: list[_Piece] = [(low, high, (None,))]
    for bottom, top in ((least, high), (low, -least)):
        if least > 0 and bottom < top:
            pieces.append((bottom, top, (0.0,)))
    return _floats_in(pieces)
