"""Strategies for single floats and for the arguments of a row, over every power of ten.

`strategies` has the functions that users call; how far and how evenly floats are spread is decided
in this file.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from ..engine.primitive import TABLE, Interval, Primitive, lookup
from ..errors import short_repr

inf = math.inf
nan = math.nan

SMALLEST = 5e-324
LARGEST = sys.float_info.max
SPECIAL = (1.0, -1.0, 0.0, -0.0, inf, -inf, nan, SMALLEST, -SMALLEST, 1.797e308, -1.797e308,
           1e200, 1e-200)
MODERATE = (0.01, 30.0)  # the magnitude of every node of an expression

Row = Primitive | str
# an interval and what to spread around; None stands for evenly
_Cut = tuple[float, float, tuple[float | None, ...]]


def floats_for(
    primitive: Row,
    argument: int | str = 0,
    *,
    special: bool = True,
    smallest: float = SMALLEST,
    largest: float = LARGEST,
) -> st.SearchStrategy[float]:
    """Floats that a row takes for one of its arguments, every power of ten equally likely, of both
    signs.

    primitive   a row of the table, or its name
    argument    the position or the name of the argument
    special     also `SPECIAL`, inside the domain or not, the ends of the row's intervals and the
                arguments in its ``specials``; without it every float is finite, not 0, and inside
                the intervals of the row's ``sample``
    smallest, largest   bounds on the magnitude of what is not special; for `gradcheck`, whose
                differences say little about ``sin(1e300)``, choose moderate ones

    In a bounded interval some floats are drawn evenly, and near an end other than 0 distances from
    it are spread over the powers of ten.  A row of one argument has its ``domain`` respected too;
    one of several arguments is asked by `arguments_for` alone, which sees them together.

    Raises TinygradEduError if there is no such row; ValueError if it has no such argument, or none
    within the bounds.
    """
    row = as_row(primitive)
    i = _position(row, argument)
    if row.parameters[i] == "condition":
        plain: st.SearchStrategy[float] = st.sampled_from([1.0, 0.0])
    else:
        plain = _in_intervals(_within(row, i, smallest, largest))
    if row.arity == 1 and row.domain:
        plain = plain.filter(row.domain)
    if not special:
        return plain
    return _sometimes(plain, st.sampled_from(_special_values(row, i)))


def arguments_for(primitive: Row, *, special: bool = True, smallest: float = SMALLEST,
                  largest: float = LARGEST) -> st.SearchStrategy[tuple[float, ...]]:
    """Tuples with all arguments of a row: independent ones, and ones of about the same size;
    options as in `floats_for`.

    Without ``special`` they satisfy the row's ``domain``; with it some do not, and some are equal
    or are the row's own ``specials``.  A domain that hardly any float lies in needs intervals in
    ``sample``, in `primitives.define`.
    """
    row = as_row(primitive)
    plain = _tuples(row, smallest, largest)
    domain = row.domain
    if domain is not None:
        plain = plain.filter(lambda args: bool(domain(*args)))
    if not special:
        return plain
    columns = [floats_for(row, i, smallest=smallest, largest=largest) for i in range(row.arity)]
    edges = [st.tuples(*columns), columns[0].map(lambda x: (x,) * row.arity)]
    if row.specials:
        edges.append(st.sampled_from(sorted(row.specials, key=repr)))
    if row is TABLE["pow"]:
        # real, outside of its domain
        edges.append(st.tuples(st.floats(-10, -0.1), st.integers(-4, 4).map(float)))
    return _sometimes(plain, st.one_of(*edges))


def as_row(primitive: Row) -> Primitive:
    """Returns the row that is given itself or by its name."""
    if isinstance(primitive, str):
        return lookup(primitive)
    if not isinstance(primitive, Primitive):
        raise TypeError(
            f"{short_repr(primitive)} is no row of the table; give a row or its name, such as "
            f"{'tanh'!r}"
        )
    return primitive


def _position(row: Primitive, argument: int | str) -> int:
    if argument in row.parameters:
        return row.parameters.index(str(argument))
    if isinstance(argument, int) and 0 <= argument < row.arity:
        return argument
    raise ValueError(
        f"{row.name} has no argument {argument!r}: its arguments are {', '.join(row.parameters)}, "
        f"or 0 to {row.arity - 1}"
    )


def _special_values(row: Primitive, i: int) -> list[float]:
    ends = [end for interval in row.sample[i] for end in interval]
    own = [args[i] for args in row.specials]
    # by repr: 0.0 and -0.0 are two
    return list({repr(x): float(x) for x in (*SPECIAL, *ends, *own)}.values())


def _check_bounds(smallest: float, largest: float) -> None:
    if not 0 < smallest <= largest <= LARGEST:
        raise ValueError(
            f"smallest and largest are {smallest!r} and {largest!r}; they must be finite, "
            "above 0 and in this order"
        )


def _within(row: Primitive, i: int, smallest: float, largest: float) -> list[_Cut]:
    """The argument's intervals cut to the bounds, each on one side of 0, with what its floats are
    spread around."""
    _check_bounds(smallest, largest)
    cuts: list[_Cut] = []
    for low, high in row.sample[i]:
        even = [None] if -inf < low and high < inf else []
        # mostly: that is where the magnitudes are
        zero = [0.0] * 3 if low <= 0 <= high else []
        positive = (max(low, smallest), min(high, largest))
        negative = (max(low, -largest), min(high, -smallest))
        for bottom, top in (positive, negative):
            if bottom <= top:
                ends = [end for end in (low, high) if end and bottom <= end <= top]
                cuts.append((bottom, top, (*zero, *ends, *even) or (min(bottom, top, key=abs),)))
    if not cuts:
        raise ValueError(
            f"{row.name} takes no {row.parameters[i]} with a magnitude from {smallest!r} to "
            f"{largest!r}: its intervals are {row.sample[i]}"
        )
    return cuts


@st.composite
def _in_intervals(draw: st.DrawFn, cuts: list[_Cut]) -> float:
    digits = draw(_DIGITS)
    low, high, anchors = draw(st.sampled_from(cuts))
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


# Drawn before the power and in one way: with a branch for small whole numbers, hypothesis takes
# that most of the time.
_DIGITS = st.floats(1, 10, exclude_max=True)

_FACTORS = st.floats(0.5, 2)

_SIGNS = st.sampled_from([1, -1])

_ONE_IN_FIVE = st.integers(0, 4)


def _magnitude(draw: st.DrawFn, digits: float, smallest: float, largest: float) -> float:
    """A positive float, every power of ten equally likely."""
    power = draw(st.integers(math.floor(math.log10(smallest)), math.floor(math.log10(largest))))
    return min(max(float(f"{digits!r}e{power}"), smallest), largest)


def _tuples(
    row: Primitive, smallest: float, largest: float
) -> st.SearchStrategy[tuple[float, ...]]:
    strategies = [
        floats_for(row, i, special=False, smallest=smallest, largest=largest)
        for i in range(row.arity)
    ]
    columns = st.tuples(*strategies)
    if row.arity == 1 or row.parameters[0] == "condition":
        return columns
    return _often_near(columns, row, smallest, largest)


@st.composite
def _often_near(
    draw: st.DrawFn,
    columns: st.SearchStrategy[tuple[float, ...]],
    row: Primitive,
    smallest: float,
    largest: float,
) -> tuple[float, ...]:
    """All of about the same size in half of the cases: that is where functions of several arguments
    are hard."""
    args = list(draw(columns))
    if draw(st.booleans()):
        for i in range(1, row.arity):
            near = args[0] * draw(_FACTORS)
            if smallest <= abs(near) <= largest and _lies_in(near, row.sample[i]):
                args[i] = near
    return tuple(args)


def _lies_in(x: float, intervals: Iterable[Interval]) -> bool:
    return any(low < x < high for low, high in intervals)


@st.composite
def _sometimes(draw: st.DrawFn, usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> Any:
    """``rare`` once in five times; it takes more choices, so that examples shrink to the usual."""
    drawn = draw(usual)
    return draw(rare) if draw(_ONE_IN_FIVE) == 4 else drawn


@st.composite
def moderate_floats(
    draw: st.DrawFn, smallest: float = MODERATE[0], largest: float = MODERATE[1]
) -> float:
    """Floats of either sign, with a magnitude from ``smallest`` to ``largest``, every power of ten
    equally likely."""
    _check_bounds(smallest, largest)
    digits = draw(_DIGITS)
    return draw(_SIGNS) * _magnitude(draw, digits, smallest, largest)


def floats_between(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats from ``low`` to ``high``, about half of them evenly, half of them every power of ten
    equally likely.

    Of an interval around 0, the powers of ten are those down to a thousandth of its larger end.
    Raises ValueError unless the ends are finite and in this order.
    """
    if not -inf < low <= high < inf:
        raise ValueError(
            f"the interval is {low!r} to {high!r}; its ends must be finite and in this order"
        )
    least = max(abs(low), abs(high)) / 1000 if low <= 0 <= high else min(abs(low), abs(high))
    sides = [(sign, top) for sign, top in ((1, high), (-1, -low)) if top > least > 0]
    spread = [_spread(sign, least, top) for sign, top in sides]
    return st.one_of(st.floats(low, high), *spread)


@st.composite
def _spread(draw: st.DrawFn, sign: int, smallest: float, largest: float) -> float:
    return sign * _magnitude(draw, draw(_DIGITS), smallest, largest)
