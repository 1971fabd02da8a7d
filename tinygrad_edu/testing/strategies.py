"""Hypothesis strategies: arguments of primitives, random graphs and functions, inferred from the
table.

A property test of a primitive of your own takes three lines::

    >>> from hypothesis import given
    >>> from tinygrad_edu.engine.primitives import define, exp, square
    >>> from tinygrad_edu.testing import gradcheck, strategies
    >>> from tinygrad_edu import math
    >>> bell = define("bell", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)

    >>> @given(strategies.arguments_for(bell, special=False, smallest=0.01, largest=3))
    ... def test_the_gradient_of_bell(args):
    ...     assert gradcheck(bell, args)

and so does one of every way in which it may be combined with other rows::

    >>> @given(strategies.expressions(primitives=[bell, "add", "mul", "sin"]))
    ... def test_the_gradient_of_graphs_with_bell(f):
    ...     assert gradcheck(f, f.point)

    >>> test_the_gradient_of_bell(), test_the_gradient_of_graphs_with_bell()
    (None, None)

`floats_for` draws one argument of a row and `arguments_for` all of them, over every magnitude that
a float has.  `expressions` draws functions together with a point well inside their domain, `values`
the graphs that they build, `scalar_functions` those of a given number of arguments, `leaves` single
leaves.  What is drawn shrinks: numbers to 1.0 and powers of ten, graphs to fewer operations.

Nothing here looks at a derivative: a row whose rule is wrong is drawn like any other.  The module
needs hypothesis, which the package itself does not.
"""

from __future__ import annotations

import inspect
import math
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import note, reject
from hypothesis import strategies as st

from ..engine.primitives import TABLE, Interval, Primitive, lookup, short_repr
from ..engine.value import Value
from ..symbolic.formulas import Name, as_name

inf, nan = math.inf, math.nan
SMALLEST, LARGEST = 5e-324, sys.float_info.max
SPECIAL = (
    1.0,
    -1.0,
    0.0,
    -0.0,
    inf,
    -inf,
    nan,
    5e-324,
    -5e-324,
    1.797e308,
    -1.797e308,
    1e200,
    1e-200,
)
# pass no gradient on
FLAT = {"step", "sign", "floor", "ceil", "round", "round_digits", "trunc", "floordiv"}
CONSTANTS = (1.0, 2.0, 3.0, 0.5, -1.0, 0.1, 10.0)  # numbers in expressions
MODERATE = (0.01, 30.0)  # the magnitude of every node of an expression
# an expression is smooth this far around its point, relative to it: twice the first step of
# `gradcheck`
NEARBY = 2e-3
# the relative change of a node, as a multiple of that of a variable; or it is 0
STEEPEST, FLATTEST = 100.0, 1e-4

Size = int | tuple[int, int]
Row = Primitive | str
# an interval and what to spread around; None stands for evenly
_Cut = tuple[float, float, tuple[float | None, ...]]
Apply = Callable[[Primitive, tuple[Any, ...]], Any]


# ---- arguments of a row --------------------------------------------------------------------------


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
    row = _row(primitive)
    i = _position(row, argument)
    if row.parameters[i] == "condition":
        plain: st.SearchStrategy[float] = st.sampled_from([1.0, 0.0])
    else:
        plain = _in_intervals(_within(row, i, smallest, largest))
    if row.arity == 1 and row.domain:
        plain = plain.filter(row.domain)
    return _sometimes(plain, st.sampled_from(_special_values(row, i))) if special else plain


def arguments_for(primitive: Row, *, special: bool = True, smallest: float = SMALLEST,
                  largest: float = LARGEST) -> st.SearchStrategy[tuple[float, ...]]:
    """Tuples with all arguments of a row: independent ones, and ones of about the same size;
    options as in `floats_for`.

    Without ``special`` they satisfy the row's ``domain``; with it some do not, and some are equal
    or are the row's own ``specials``.  A domain that hardly any float lies in needs intervals in
    ``sample``, in `primitives.define`.
    """
    row = _row(primitive)
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


def _row(primitive: Row) -> Primitive:
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
        for bottom, top in (
            (max(low, smallest), min(high, largest)),
            (max(low, -largest), min(high, -smallest)),
        ):
            if bottom <= top:
                ends = [end for end in (low, high) if end and bottom <= end <= top]
                # mostly: that is where the magnitudes are
                zero = [0.0] * 3 if low <= 0 <= high else []
                cuts.append((bottom, top, (*zero, *ends, *even) or (min(bottom, top, key=abs),)))
    if not cuts:
        raise ValueError(
            f"{row.name} takes no {row.parameters[i]} with a magnitude from {smallest!r} to "
            f"{largest!r}: "
            f"its intervals are {row.sample[i]}"
        )
    return cuts


@st.composite
def _in_intervals(draw: st.DrawFn, cuts: list[_Cut]) -> float:
    digits = draw(_DIGITS)
    low, high, anchors = draw(st.sampled_from(cuts))
    anchor = draw(st.sampled_from(anchors))
    if anchor is None:
        return draw(st.floats(low, high))
    if anchor == 0:
        return (
            _magnitude(draw, digits, low, high)
            if low > 0
            else -_magnitude(draw, digits, -high, -low)
        )
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
    columns = st.tuples(
        *[
            floats_for(row, i, special=False, smallest=smallest, largest=largest)
            for i in range(row.arity)
        ]
    )
    return (
        columns
        if row.arity == 1 or row.parameters[0] == "condition"
        else _often_near(columns, row, smallest, largest)
    )


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


# ---- random expressions --------------------------------------------------------------------------

_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "remainder": operator.mod,
    "floordiv": operator.floordiv,
    "abs": abs,
}


@dataclass(frozen=True, repr=False)
class Expression:
    """A function of named variables, made of rows of the table, and a point at which to look at it.

    variables   the names of its arguments
    point       one float for each: the function and everything in it is finite, moderate and smooth
                around there
    steps       its operations in order, each as ``(row, operands)``: an operand is a float, or an
                int that counts through the variables and then the steps.  The last step is the
                result; if there is none, the first variable is

    It is called with floats, Values or whatever else rows run on, and can be handed to `gradcheck`.
    """

    variables: tuple[str, ...]
    point: tuple[float, ...]
    steps: tuple[tuple[Primitive, tuple[int | float, ...]], ...]

    def __post_init__(self) -> None:
        # for `gradcheck`, which shows the function's name and those of its arguments
        parameters = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in self.variables
        ]
        object.__setattr__(self, "__signature__", inspect.Signature(parameters))
        object.__setattr__(self, "__name__", "; ".join(self.text.split("\n")))

    def __call__(self, *values: Any) -> Any:
        """The result at ``values``: a float for floats, the root of a new graph for Values.

        Raises TypeError unless there is one value for each variable.
        """
        return self.run(_apply, *values)

    def run(self, apply: Apply, *values: Any) -> Any:
        """The result in any arithmetic: ``apply(row, args)`` is called for each operation in turn.

        With ``lambda row, args: truth[row.name](*args)`` and mpmath's functions in ``truth`` the
        result has as many digits as you like.  Numbers in the expression are handed over as floats.
        """
        if len(values) != len(self.variables):
            raise TypeError(
                f"{self!r} takes {len(self.variables)} values, one for each variable, not "
                f"{len(values)}"
            )
        results = list(values)
        for row, operands in self.steps:
            results.append(
                apply(row, tuple([results[k] if isinstance(k, int) else k for k in operands]))
            )
        return results[-1] if self.steps else results[0]

    @property
    def text(self) -> str:
        """The formula, one line that `parse` reads; above it, one for each intermediate that is
        used several times."""
        users = [k for _, operands in self.steps for k in operands if isinstance(k, int)]
        results = [Name(name) for name in self.variables]
        lines: list[str] = []
        for k, (row, operands) in enumerate(self.steps, start=len(self.variables)):
            name = Name.apply_primitive(
                row, tuple([results[i] if isinstance(i, int) else as_name(i) for i in operands])
            )
            if users.count(k) > 1:
                label = next(
                    t
                    for t in (f"{'_' * n}t{len(lines) + 1}" for n in range(9))
                    if t not in self.variables
                )
                lines.append(f"{label} = {name}")
                name = Name(label)
            results.append(name)
        return "\n".join([*lines, str(results[-1] if self.steps else results[0])])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        at = ", ".join(f"{name}={x!r}" for name, x in zip(self.variables, self.point))
        return f"<{'; '.join(self.text.splitlines())} at {at}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis and IPython show: the formula, not the fields."""
        printer.text(repr(self))


def expressions(size: Size = (1, 10), variables: Sequence[str] | int = 3,
                primitives: Iterable[Row] | None = None) -> st.SearchStrategy[Expression]:
    """Random functions, each an `Expression` with a point well inside its domain.

    size         how many operations, or the least and the most; without any it is a variable
    variables    their names, or how many; those that a function does not use are left out of it
    primitives   the rows to draw from, or their names; by default all that pass a gradient on (not
                 floor and its like) and are not there for another row's rule only.  With rows of
                 one argument alone graphs are chains

    Intermediate results may be used several times.  Every node of the graph has a magnitude from
    0.01 to 30 and depends on some variable; no kink, jump or pole is nearer than 0.2 % of a
    variable, and a relative change of one arrives at a node at most 100 times as large and at least
    1e-4 times, or not at all.  That is found out from the rows' forward functions alone.  An
    operation that would break it gives way to another one; where none is left, hypothesis draws
    again.

    Raises ValueError for a size below 0, no variables or no rows.
    """
    return _drawn(*_options(size, variables, primitives), keep=False)


def scalar_functions(arity: int = 1, size: Size = (1, 10),
                     primitives: Iterable[Row] | None = None) -> st.SearchStrategy[Expression]:
    """Random functions of exactly ``arity`` arguments, some of which may not matter; otherwise as
    `expressions`.

    ``gradcheck(f, f.point)`` holds for each, as does whatever else is true of functions: that the
    Hessian is symmetric, that a Jacobian times a vector is a `jvp`.
    """
    return _drawn(*_options(size, arity, primitives), keep=True)


def values(size: Size = (1, 10), variables: Sequence[str] | int = 3,
           primitives: Iterable[Row] | None = None) -> st.SearchStrategy[Value]:
    """Roots of random graphs, whose leaves are labelled with the variables' names; options as in
    `expressions`.

    A failing test shows the formula in a note.
    """
    return expressions(size, variables, primitives).map(_root)


@st.composite
def leaves(
    draw: st.DrawFn, smallest: float = MODERATE[0], largest: float = MODERATE[1], label: str = ""
) -> Value:
    """Leaves of either sign, with a magnitude from ``smallest`` to ``largest``, every power of ten
    equally likely."""
    return Value(draw(moderate_floats(smallest, largest)), label)


def _root(f: Expression) -> Value:
    note(f"the graph: {f!r}")
    root: Value = f(*[Value(x, name) for name, x in zip(f.variables, f.point)])
    return root


def _apply(row: Primitive, args: tuple[Any, ...]) -> Any:
    """A row on its operands, by its operator if it has one and they are not floats: `Value` writes
    some out."""
    if row.name in _OPERATORS and any(arg.__class__ is not float for arg in args):
        return _OPERATORS[row.name](*args)
    return row(*args)


def _options(
    size: Size, variables: Sequence[str] | int, primitives: Iterable[Row] | None
) -> tuple[tuple[int, int], tuple[str, ...], tuple[Primitive, ...]]:
    least, most = (size, size) if isinstance(size, int) else size
    if not 0 <= least <= most:
        raise ValueError(
            f"size is {size!r}; it must be a number of operations, or the least and the most, from "
            "0 on"
        )
    if isinstance(variables, int):
        variables = (
            ("x", "y", "z")[:variables]
            if variables <= 3
            else [f"x{k + 1}" for k in range(variables)]
        )
    if isinstance(variables, str) or not variables or len(set(variables)) < len(variables):
        raise ValueError(
            f"variables are {variables!r}; they must be different names, at least one, or how many"
        )
    rows = (
        [row for row in TABLE.values() if not row.spelling and row.name not in FLAT]
        if primitives is None
        else [_row(primitive) for primitive in primitives]
    )
    if not rows:
        raise ValueError("primitives is empty; give the rows to draw from, or None for the table")
    return (least, most), tuple(variables), tuple(rows)


@st.composite
def _drawn(
    draw: st.DrawFn,
    size: tuple[int, int],
    variables: tuple[str, ...],
    rows: tuple[Primitive, ...],
    keep: bool,
) -> Expression:
    builder = _Builder([draw(moderate_floats()) for _ in variables], rows)
    picks = st.integers(0, len(variables) + size[1] + len(CONSTANTS) - 1)
    # As many picks for each row, so that another row takes the same operands while an example
    # shrinks.
    operations = draw(
        st.lists(
            st.tuples(st.integers(0, len(rows) - 1), *[picks] * max(row.arity for row in rows)),
            min_size=size[0],
            max_size=size[1],
        )
    )
    for left, (start, *drawn) in zip(reversed(range(len(operations))), operations):
        if not builder.extend(start, drawn, left):
            reject()
    return builder.expression(variables, keep)


class _Builder:
    """An expression that grows by one operation at a time, evaluated at its point and on both sides
    of it.

    A track is what an operand is at each of these places: at the point first, then with each
    variable a little lower and a little higher.
    """

    def __init__(self, point: list[float], rows: tuple[Primitive, ...]) -> None:
        self.point, self.rows = point, rows
        self.steps: list[tuple[Primitive, tuple[int | float, ...]]] = []
        moves = [(j, factor) for j in range(len(point)) for factor in (1 - NEARBY, 1 + NEARBY)]
        self.tracks = [
            [x, *[x * factor if j == i else x for j, factor in moves]] for i, x in enumerate(point)
        ]
        # steps that are nobody's operand yet; one of them will be the result
        self.unused: list[int] = []

    @property
    def pool(self) -> list[int | float]:
        """What may be an operand, the simplest first."""
        steps = range(len(self.point), len(self.tracks))
        return [*range(len(self.point)), *reversed(steps), *CONSTANTS]

    def extend(self, start: int, picks: list[int], left: int) -> bool:
        """Adds the first operation that fits, from row ``start`` on, such that ``left`` more can
        use up what is unused."""
        pool = self.pool
        wanted = [pool[pick % len(pool)] for pick in picks]
        for row in (*self.rows[start:], *self.rows[:start]):
            for operands in self._choices(row, wanted):
                used = {k for k in operands if isinstance(k, int)}
                unused = [k for k in self.unused if k not in used]
                if len(unused) > left or not used:
                    continue
                track = self._track(row, operands)
                if track:
                    self.unused = [*unused, len(self.tracks)]
                    self.tracks.append(track)
                    self.steps.append((row, operands))
                    return True
        return False

    def _choices(
        self, row: Primitive, wanted: list[int | float]
    ) -> Iterator[tuple[int | float, ...]]:
        """The operands that were drawn, then with one or two of them replaced by steps that are
        unused, then any."""
        for newest in (self.unused[:0], self.unused[-1:], self.unused[-2:]):
            yield (*newest[:row.arity], *wanted[len(newest):row.arity])
        if row.arity == 1:
            yield from ((k,) for k in range(len(self.tracks)))

    def _track(self, row: Primitive, operands: tuple[int | float, ...]) -> list[float] | None:
        """The operation at all places, or None if it does not fit."""
        args = list(
            zip(
                *[
                    self.tracks[k] if isinstance(k, int) else [k] * len(self.tracks[0])
                    for k in operands
                ]
            )
        )
        inside = row.domain is None or all(row.domain(*places) for places in args)
        # x ** 3 and its like are real below 0, too
        if not inside and not (row is TABLE["pow"] and operands[1] in CONSTANTS):
            return None
        if row.piece and any(row.piece(*places) != row.piece(*args[0]) for places in args):
            return None
        track = [row.forward(*places) for places in args]
        x = track[0]
        if not MODERATE[0] <= abs(x) <= MODERATE[1]:
            return None
        changes = {abs(y - x) / (NEARBY * abs(x)) for y in track}
        return (
            track
            if changes != {0.0} and all(y == 0 or FLATTEST <= y <= STEEPEST for y in changes)
            else None
        )

    def expression(self, variables: tuple[str, ...], keep: bool) -> Expression:
        """What has been built; without the variables that it does not use, unless they are to
        ``keep``."""
        used = {k for _, operands in self.steps for k in operands if isinstance(k, int)} or {0}
        kept = [k for k in range(len(self.tracks)) if keep or k >= len(self.point) or k in used]
        new = {k: i for i, k in enumerate(kept)}
        steps = [
            (row, tuple([new[k] if isinstance(k, int) else k for k in operands]))
            for row, operands in self.steps
        ]
        names = [k for k in kept if k < len(self.point)]
        return Expression(
            tuple([variables[k] for k in names]),
            tuple([self.point[k] for k in names]),
            tuple(steps),
        )
