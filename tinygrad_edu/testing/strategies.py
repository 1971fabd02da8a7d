"""Hypothesis strategies, inferred from the table: arguments of primitives, functions and graphs.

A property test of a primitive that you define takes three lines::

    >>> from hypothesis import given
    >>> from tinygrad_edu.engine.table import define
    >>> from tinygrad_edu.testing import gradcheck, strategies
    >>> from tinygrad_edu import math
    >>> bell = define("bell", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)

    >>> @given(strategies.arguments_for(bell, special=False, smallest=0.01, largest=3))
    ... def test_the_gradient_of_bell(args):
    ...     assert gradcheck(bell, args)

A test of random combinations with other rows takes three lines too::

    >>> @given(strategies.expressions(primitives=[bell, "add", "mul", "sin"]))
    ... def test_the_gradient_of_graphs_with_bell(f):
    ...     assert gradcheck(f, f.point)

    >>> test_the_gradient_of_bell(), test_the_gradient_of_graphs_with_bell()
    (None, None)

* `floats_for` draws one argument of a row, of any magnitude.
* `arguments_for` draws all arguments of a row.
* `expressions` draws functions, each with a point well inside its domain.
* `scalar_functions` draws functions of a given number of arguments.
* `values` draws the roots of graphs, and `leaves` draws leaves.

Examples shrink: numbers to 1.0 and powers of ten, graphs to fewer operations.

No strategy uses a derivative, so a row whose rule is wrong is drawn like any other.  This module
needs hypothesis; the rest of the package does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import note, reject
from hypothesis import strategies as st

from ..engine.primitive import TABLE, Primitive
from ..engine.value import Value
from ..errors import check_int, check_list, check_text, short_repr
from ..symbolic.formulas import row_of
from .arguments import (
    LARGEST,
    MODERATE,
    SMALLEST,
    SPECIAL,
    Row,
    arguments_for,
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

# rows whose derivative is 0 wherever it exists, which pass on no gradient
FLAT = {"step", "sign", "floor", "ceil", "round", "round_digits", "trunc", "floordiv"}
MAX_SIZE = 1_000  # operations, or variables; hypothesis draws no larger functions

Size = int | tuple[int, int]


def expressions(size: Size = (1, 10), variables: Sequence[str] | int = 3,
                primitives: Iterable[Row] | None = None) -> st.SearchStrategy[Expression]:
    """Returns a strategy for random functions, each with a point well inside its domain.

    The functions are `Expression` objects.

    size: the number of operations, or the least and the largest number.  A function without
        operations is a variable.
    variables: the names of the variables, or their number.  Variables that are not used are left
        out of the function.
    primitives: the rows to draw from, or their names.  By default these are all rows except the
        flat ones, such as floor, and helpers of other rows' rules.  If all rows have one argument,
        graphs are chains.

    Intermediate results may be used several times.  At the point, and close to it:

    * Every node has a magnitude from 0.01 to 30, and depends on some variable.
    * No kink, jump or pole is nearer than 0.2% of a variable.
    * If a variable changes by some fraction, a node changes by at least 1e-4 and at most 100 times
      this fraction, or not at all.

    These conditions are tested with the rows' forward functions only.  An operation that violates
    them is replaced by another one; if there is none, hypothesis draws again.

    Raises:
        PrimitiveError: there is no row of a given name.
        TypeError: an entry of ``primitives`` is neither a row nor a name, or another option is of
            another type.
        ValueError: ``size`` is below 0 or above `MAX_SIZE`, or there are no variables or no rows.
    """
    return _drawn(*_options(size, variables, primitives), keep=False)


def scalar_functions(arity: int = 1, size: Size = (1, 10),
                     primitives: Iterable[Row] | None = None) -> st.SearchStrategy[Expression]:
    """Returns a strategy for random functions of exactly ``arity`` arguments.

    Options and errors are the same as for `expressions`, but a function need not use all of its
    arguments.

    ``gradcheck(f, f.point)`` has no failures, and everything that is true of all smooth functions
    holds.  For example, the Hessian is symmetric, and a Jacobian times a vector is a `jvp`.
    """
    arity = check_int(arity, "scalar_functions: arity", 1, most=MAX_SIZE)
    return _drawn(*_options(size, arity, primitives), keep=True)


def values(size: Size = (1, 10), variables: Sequence[str] | int = 3,
           primitives: Iterable[Row] | None = None) -> st.SearchStrategy[Value]:
    """Returns a strategy for the roots of random graphs.

    Options and errors are the same as for `expressions`.

    Leaves are labelled with the names of the variables.  A failing test shows the formula in a
    note.
    """
    return expressions(size, variables, primitives).map(_root)


def leaves(
    smallest: float = MODERATE[0], largest: float = MODERATE[1], label: str = ""
) -> st.SearchStrategy[Value]:
    """Returns a strategy for leaves of either sign, every power of ten equally likely.

    smallest, largest: bounds on the magnitude.
    label: the label of every leaf.

    Raises:
        TypeError: a bound is not a number, or ``label`` is not text.
        ValueError: the bounds are not finite, not above 0 or not in order.
    """
    check_text(label, "leaves: label")
    return moderate_floats(smallest, largest).map(lambda x: Value(x, label))


def _root(f: Expression) -> Value:
    """Returns the root of the graph of ``f`` at its point, and adds the formula to the notes."""
    note(f"the graph: {f!r}")
    root: Value = f(*[Value(x, name) for name, x in zip(f.variables, f.point)])
    return root


def _options(
    size: Size, variables: Sequence[str] | int, primitives: Iterable[Row] | None
) -> tuple[tuple[int, int], tuple[str, ...], tuple[Primitive, ...]]:
    """Returns the options of `expressions`, checked: least and largest size, names and rows."""
    ends = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    remedy = "write a number of operations, or the least and the largest, as in (1, 10)"
    least, most = [check_int(n, "size", 0, remedy, most=MAX_SIZE) for n in ends]
    if least > most:
        raise ValueError(f"size must be the least and then the largest, not {size!r}; {remedy}")
    rows = [row for row in TABLE.values() if not row.spelling and row.name not in FLAT]
    if primitives is not None:
        remedy = 'write the rows to draw from, as in ["add", "sin"], or None for the table'
        given = check_list(primitives, "primitives", "a list of rows or their names", remedy)
        rows = [row_of(row, f"primitives[{k}]") for k, row in enumerate(given)]
    if not rows:
        raise ValueError(
            "primitives must not be empty; pass the rows to draw from, or None for the table"
        )
    return (least, most), _names(variables), tuple(rows)


def _names(variables: Sequence[str] | int) -> tuple[str, ...]:
    """Returns the names of variables that are given by their names or their number."""
    remedy = 'write a number of variables, or their names, as in ["x", "y"]'
    if isinstance(variables, int):
        count = check_int(variables, "variables", 1, remedy, most=MAX_SIZE)
        return tuple([f"x{k + 1}" for k in range(count)] if count > 3 else ("x", "y", "z")[:count])
    names = check_list(variables, "variables", "a list of names, or their number", remedy)
    for k, name in enumerate(names):
        check_text(name, f"variables[{k}]", remedy)
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "variables must be different names, at least one, not "
            f"{short_repr(variables)}; {remedy}"
        )
    return tuple(names)


@st.composite
def _drawn(
    draw: st.DrawFn,
    size: tuple[int, int],
    variables: tuple[str, ...],
    rows: tuple[Primitive, ...],
    keep: bool,
) -> Expression:
    """Draws an expression.

    keep: whether variables that are not used are kept.
    """
    builder = Builder([draw(moderate_floats()) for _ in variables], rows)
    picks = st.integers(0, len(variables) + size[1] + len(CONSTANTS) - 1)
    # Every row gets the same number of picks.  If another row replaces it while an example shrinks,
    # the operands stay the same.
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
