"""A primitive and its derivatives over its domain, as lists of numbers that can be drawn.

    >>> product = curves("mul", at={"y": 3.0}, resolution=2)
    >>> product.xs, product.value, product.partials
    ((-5.0, 5.0), (-15.0, 15.0), ((3.0, 3.0), (-5.0, 5.0)))
    >>> sum(map(math.isnan, curves("relu").value))  # the kink
    1

A nan interrupts the line between the pieces of a function with kinks or jumps (see ``piece`` of
`define`), between the intervals of its domain, and at a pole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, cycle, pairwise
from typing import Any

from tinygrad_edu import Value, gradients
from tinygrad_edu.diagnosis.inspection import quantile
from tinygrad_edu.engine.primitive import Primitive
from tinygrad_edu.errors import check_choice, check_int, check_name, check_type, number
from tinygrad_edu.symbolic.formulas import row_of

from .ranges import MAX_POINTS, Range, check_range, drawn, spaced

DEFAULT_RANGE = (-5.0, 5.0)  # where the argument varies, within the domain
MIN_HEIGHT = 6.0  # larger numbers may be cut off, in either direction
DEFAULT_ARGUMENTS = (2.0, -1.0)  # other arguments, in turn, if the row has no defaults for them
# Rows that show little with the defaults above: the argument that varies, and the others' values.
SPECIAL_ROWS: dict[str, tuple[str, dict[str, float]]] = {
    "where": ("x", {"condition": 1.0, "y": -1.0}),
    "round_digits": ("x", {"digits": 0.0}),
}


@dataclass(frozen=True, slots=True)
class Curves:
    """A primitive with one argument varying.

    vary, at: the argument that varies; ``(argument, value)`` for all others.
    xs, value: points of the function; nan interrupts the line.
    partials: the derivative with respect to each argument, in order, at the same points.
    second: the second derivative with respect to ``vary``; empty for ``order=1``.
    height: a readable range for the vertical axis; poles reach beyond it.
    """

    vary: str
    at: tuple[tuple[str, float], ...]
    xs: tuple[float, ...]
    value: tuple[float, ...]
    partials: tuple[tuple[float, ...], ...]
    second: tuple[float, ...]
    height: Range


def curves(
    primitive: Primitive | str,
    *,
    vary: str | None = None,
    at: Mapping[str, float] | None = None,
    over: Range | None = None,
    order: int = 1,
    resolution: int = 400,
) -> Curves:
    """Returns a primitive and its partial derivatives while one of its arguments varies.

    primitive: a row of the table, its name or its symbol.
    vary: the argument that varies, by default the first.
    at: values of the other arguments; by default readable ones.
    over: the range of the argument; by default the part of `DEFAULT_RANGE` in its domain.
    order: 2 to include the second derivative with respect to the argument.
    resolution: the number of points, not counting the two sides of kinks.

    Raises:
        TypeError: ``primitive`` is neither a name nor a row, or ``resolution`` is not an int.
        ValueError: the name or an argument is unknown; ``order`` is not 1 or 2; ``over`` is empty;
            ``resolution`` is below 2 or above `MAX_POINTS`.
    """
    row = row_of(primitive, "derivatives: primitive")
    check_int(resolution, "resolution", 2, most=MAX_POINTS)
    check_choice(order, "order", (1, 2))
    at = {} if at is None else at
    check_type(at, "at", Mapping, "a dict of the other arguments", 'write, for example, {"y": 2.0}')
    vary, fixed = _arguments(row, vary, at)
    i = row.parameters.index(vary)

    def args(x: float) -> tuple[float, ...]:
        return tuple([fixed.get(name, x) for name in row.parameters])

    def piece(x: float) -> Any:
        return row.piece(*args(x)) if row.piece else None

    xs: list[float] = []
    for low, high in _intervals(row, i, over):
        if xs:
            xs.append(math.nan)
        xs += _with_gaps(spaced(low, high, resolution), piece)
    lines = list(zip(*[_numbers(row, args(x), i, order) for x in xs]))
    height = _readable_height(lines)
    value, *partials = [tuple(_broken_at_poles(line, height)) for line in lines]
    second = partials.pop() if order == 2 else ()
    return Curves(
        vary=vary,
        at=tuple(fixed.items()),
        xs=tuple(xs),
        value=value,
        partials=tuple(partials),
        second=second,
        height=height,
    )


def _arguments(
    row: Primitive, vary: str | None, at: Mapping[str, float]
) -> tuple[str, dict[str, float]]:
    """Returns which argument varies, and numbers for all others.

    The numbers are those in ``at``.  Otherwise they are the row's defaults (1 for infinity) or the
    next of `DEFAULT_ARGUMENTS`, moved into the domain.
    """
    chosen, preset = SPECIAL_ROWS.get(row.name, (row.parameters[0], {}))
    if vary is None:
        vary = next((name for name in (chosen, *row.parameters) if name not in at), chosen)
    for option, names in {"vary": [vary], "at": [*at]}.items():
        for name in names:
            check_name(name, f"{option}: an argument of {row.name}", row.parameters)
    if vary in at:
        raise ValueError(
            f"at must be for other arguments than {vary}, which varies, not {at[vary]!r}; leave "
            f"{vary} out"
        )
    defaults = {**dict(zip(reversed(row.parameters), reversed(row.defaults))), **preset}
    others = [(name, ends) for name, ends in zip(row.parameters, row.sample) if name != vary]
    fixed = {
        name: _inside(intervals, defaults.get(name, usual))
        for (name, intervals), usual in zip(others, cycle(DEFAULT_ARGUMENTS))
    }
    return vary, {**fixed, **{name: number(x, f"{name} in at") for name, x in at.items()}}


def _inside(intervals: Sequence[Range], x: float) -> float:
    """Returns ``x`` (1 for infinity), or a number of the first interval if it is in none."""
    if math.isinf(x):
        x = math.copysign(1.0, x)
    if any(low <= x <= high for low, high in intervals):
        return x
    low, high = intervals[0]
    if math.isfinite(high - low):
        return (low + high) / 2
    return low + 1 if math.isfinite(low) else high - 1


def _intervals(row: Primitive, i: int, over: Range | None) -> list[Range]:
    if over is not None:
        return [check_range(over, "over")]
    low, high = DEFAULT_RANGE
    common = [(max(low, a), min(high, b)) for a, b in row.sample[i]]
    if found := [(a, b) for a, b in common if a < b]:
        return found
    a, b = row.sample[i][0]  # the domain lies elsewhere
    return [(a, min(b, a + high - low)) if math.isfinite(a) else (b - high + low, b)]


def _with_gaps(xs: Sequence[float], piece: Callable[[float], Any]) -> Iterator[float]:
    """Yields ``xs`` and, between points in different pieces, both sides of the border and a nan."""
    yield xs[0]
    for a, b in pairwise(xs):
        for _ in range(8):  # borders between two points; more cannot be told apart anyway
            here = repr(piece(a))  # as text, in which nan equals nan
            if here == repr(piece(b)):
                break
            low, high = a, b
            while high - low > 1e-12 * max(1.0, abs(low)):
                middle = (low + high) / 2
                if repr(piece(middle)) == here:
                    low = middle
                else:
                    high = middle
            yield from (low, math.nan, high)
            a = high
        yield b


def _numbers(row: Primitive, args: tuple[float, ...], i: int, order: int) -> list[float]:
    """Returns the value at ``args``, its partial derivatives and, for order 2, the second one.

    The second derivative is with respect to argument ``i``.  Each number is nan if it, or the
    value, cannot be drawn.
    """
    y = math.nan
    if not any(map(math.isnan, args)):
        with suppress(ArithmeticError, ValueError):  # a row of a user, not with IEEE 754 results
            y = drawn(row.forward(*args))
    if y != y:
        return [y] * (row.arity + order)  # as many as below
    numbers = [y, *[row.partial_at(k, args, y) for k in range(row.arity)]]
    if order == 2:
        leaves = [Value(arg) for arg in args]
        slope, = gradients(row(*leaves), [leaves[i]])
        curvature, = gradients(slope, [leaves[i]])
        numbers.append(curvature.data)
    return list(map(drawn, numbers))


def _readable_height(lines: Iterable[Iterable[float]]) -> Range:
    """Returns the range of all numbers, cut off where a few are much larger than most."""
    ys = sorted([y for y in chain(*lines) if y == y])
    if not ys:
        return -1.0, 1.0
    limit = max(MIN_HEIGHT, 1.2 * quantile(sorted(map(abs, ys)), 0.5))
    low, high = [y if abs(y) <= 1.5 * limit else math.copysign(limit, y) for y in (ys[0], ys[-1])]
    pad = 0.06 * (high - low) or 0.5 * max(1.0, abs(high))
    return low - pad, high + pad


def _broken_at_poles(line: Sequence[float], height: Range) -> Iterator[float]:
    """Yields ``line`` with nan after each pole.

    At a pole the line crosses the whole picture in one step, against its direction before or
    after.
    """
    padded = [math.nan, math.nan, *line, math.nan]
    for a, b, y, c in zip(padded, padded[1:], padded[2:], padded[3:]):
        back = (y - b) * (b - a) < 0 or (y - b) * (c - y) < 0
        yield math.nan if b * y < 0 and back and abs(y - b) > height[1] - height[0] else y
