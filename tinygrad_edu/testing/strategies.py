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

from collections.abc import Iterable, Sequence

from hypothesis import note, reject
from hypothesis import strategies as st

from ..engine.primitive import TABLE, Primitive
from ..engine.value import Value
from .arguments import (
    LARGEST,
    MODERATE,
    SMALLEST,
    SPECIAL,
    Row,
    arguments_for,
    as_row,
    floats_between,
    floats_for,
    moderate_floats,
)
from .expression import CONSTANTS, Builder, Expression

__all__ = [
    "FLAT", "LARGEST", "MODERATE", "SMALLEST", "SPECIAL", "Expression", "arguments_for",
    "expressions", "floats_between", "floats_for", "leaves", "moderate_floats", "scalar_functions",
    "values",
]

# pass no gradient on
FLAT = {"step", "sign", "floor", "ceil", "round", "round_digits", "trunc", "floordiv"}

Size = int | tuple[int, int]


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
        variables = _default_names(variables)
    if isinstance(variables, str) or not variables or len(set(variables)) < len(variables):
        raise ValueError(
            f"variables are {variables!r}; they must be different names, at least one, or how many"
        )
    if primitives is None:
        rows = [row for row in TABLE.values() if not row.spelling and row.name not in FLAT]
    else:
        rows = [as_row(primitive) for primitive in primitives]
    if not rows:
        raise ValueError("primitives is empty; give the rows to draw from, or None for the table")
    return (least, most), tuple(variables), tuple(rows)


def _default_names(count: int) -> Sequence[str]:
    """Returns names for ``count`` variables: x, y, z, or x1, x2 and so on."""
    if count <= 3:
        return ("x", "y", "z")[:count]
    return [f"x{k + 1}" for k in range(count)]


@st.composite
def _drawn(
    draw: st.DrawFn,
    size: tuple[int, int],
    variables: tuple[str, ...],
    rows: tuple[Primitive, ...],
    keep: bool,
) -> Expression:
    builder = Builder([draw(moderate_floats()) for _ in variables], rows)
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
