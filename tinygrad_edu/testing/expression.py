"""`Expression`, a random function with a point, and the `Builder` that makes one.

The builder adds one operation after another and keeps the point well inside the domain.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..engine.primitive import TABLE, Primitive
from ..errors import counted
from ..symbolic.formulas import Name, as_name
from .arguments import MODERATE
from .function import name_of, signature

CONSTANTS = (1.0, 2.0, 3.0, 0.5, -1.0, 0.1, 10.0)  # constants that occur in expressions
# Relative distance from the point within which an expression is smooth: twice the first step of
# `gradcheck`.
SMOOTH_DISTANCE = 2e-3
# Bounds on the relative change of a node for a relative change of a variable, unless it is 0.
MAX_CHANGE_RATIO = 100.0
MIN_CHANGE_RATIO = 1e-4

Apply = Callable[[Primitive, tuple[Any, ...]], Any]
Operands = tuple[int | float, ...]
_OneStep = tuple[Primitive, Operands]

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
    """A function of named variables, made of rows of the table, with a point in its domain.

    variables: the names of the arguments.
    point: a float for each variable.  Near the point, all nodes are finite, moderate and smooth.
    steps: the operations in order, each as ``(row, operands)``.  An operand is a float, or an int:
        the index of a variable or, counted on from the variables, of an earlier step.  The last
        step is the result; without steps it is the first variable.

    Call it with floats, with Values, or with anything else that rows run on; or pass it to
    `gradcheck`.
    """

    variables: tuple[str, ...]
    point: tuple[float, ...]
    steps: tuple[_OneStep, ...]

    def __post_init__(self) -> None:
        # `gradcheck` shows the name of the function and the names of its arguments
        object.__setattr__(self, "__signature__", signature(self.variables))
        object.__setattr__(self, "__name__", self.text.replace("\n", "; "))

    def __call__(self, *values: Any) -> Any:
        """Returns the result at ``values``: a float for floats, the root of a new graph for Values.

        Raises:
            TypeError: there is not one value for each variable.
        """
        return self.run(_apply, *values)

    def run(self, apply: Apply, *values: Any) -> Any:
        """Returns the result in any arithmetic: ``apply(row, args)`` computes each operation.

        Constants of the expression are passed as floats.  With ``lambda row, args:
        truth[row.name](*args)`` and mpmath's functions in ``truth``, the result has as many digits
        as you like.

        Raises:
            TypeError: there is not one value for each variable.
        """
        if len(values) != len(self.variables):
            raise TypeError(
                f"{self!r} takes {counted(len(self.variables), 'value')}, one for each variable, "
                f"not {len(values)}"
            )
        results = list(values)
        for row, operands in self.steps:
            args = [results[k] if isinstance(k, int) else k for k in operands]
            results.append(apply(row, tuple(args)))
        return results[-1] if self.steps else results[0]

    @property
    def text(self) -> str:
        """The formula, in lines that `parse` accepts.

        The last line is the result.  Above it is a line for each intermediate result that is used
        several times, such as ``t1 = a * b``.
        """
        uses = Counter(_indices(self.steps))
        positions = count(len(self.variables))
        lines: list[str] = []

        def apply(row: Primitive, args: tuple[Any, ...]) -> Name:
            name = Name.apply_primitive(row, tuple(map(as_name, args)))
            if uses[next(positions)] < 2:
                return name
            label = f"t{len(lines) + 1}"
            while label in self.variables:
                label = f"_{label}"
            lines.append(f"{label} = {name}")
            return Name(label)

        result = self.run(apply, *map(Name, self.variables))
        return "\n".join([*lines, str(result)])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        at = ", ".join(f"{name}={x!r}" for name, x in zip(self.variables, self.point))
        return f"<{name_of(self)} at {at}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Prints the formula instead of the fields in hypothesis and IPython."""
        printer.text(repr(self))


def _indices(steps: Iterable[_OneStep]) -> list[int]:
    """Returns the operands of the steps that are variables or earlier steps."""
    return [k for _, operands in steps for k in operands if isinstance(k, int)]


def _apply(row: Primitive, args: tuple[Any, ...]) -> Any:
    """Applies a row to operands.

    Operands other than floats get the row's Python operator, if there is one, because `Value`
    implements some operators without the row.
    """
    if row.name in _OPERATORS and any(arg.__class__ is not float for arg in args):
        return _OPERATORS[row.name](*args)
    return row(*args)


class Builder:
    """An expression under construction, evaluated at its point and on both sides of it.

    Each operand has a column of numbers: first at the point, then with each variable a little
    smaller and a little larger.
    """

    def __init__(self, point: list[float], rows: tuple[Primitive, ...]) -> None:
        self.point = point
        self.rows = rows
        self.steps: list[_OneStep] = []
        self.columns = [[x] for x in point]
        for j in range(len(point)):
            for factor in (1 - SMOOTH_DISTANCE, 1 + SMOOTH_DISTANCE):
                for i, x in enumerate(point):
                    self.columns[i].append(x * factor if i == j else x)
        # steps that no other step uses yet; one of them will be the result
        self.unused: list[int] = []

    @property
    def candidates(self) -> list[int | float]:
        """All possible operands, the simplest first."""
        steps = range(len(self.point), len(self.columns))
        return [*range(len(self.point)), *reversed(steps), *CONSTANTS]

    def extend(self, start: int, picks: list[int], left: int) -> bool:
        """Adds the first operation that fits, and returns whether there was one.

        start: the index of the row that is tried first.
        picks: indices of operands among the candidates.
        left: the number of operations that will follow, which must be able to use all steps that
            are unused.
        """
        candidates = self.candidates
        wanted = [candidates[pick % len(candidates)] for pick in picks]
        for row in (*self.rows[start:], *self.rows[:start]):
            for operands in self._choices(row, wanted):
                used = set(_indices([(row, operands)]))
                unused = [k for k in self.unused if k not in used]
                if len(unused) > left or not used:
                    continue
                column = self._column(row, operands)
                if column:
                    self.unused = [*unused, len(self.columns)]
                    self.columns.append(column)
                    self.steps.append((row, operands))
                    return True
        return False

    def _choices(self, row: Primitive, wanted: list[int | float]) -> Iterator[Operands]:
        """Yields operands for the row, the ones that were drawn first.

        Then one or two of them are replaced by unused steps.  Last, a row of one argument gets
        every possible operand.
        """
        for newest in (self.unused[:0], self.unused[-1:], self.unused[-2:]):
            yield (*newest[:row.arity], *wanted[len(newest):row.arity])
        if row.arity == 1:
            yield from ((k,) for k in range(len(self.columns)))

    def _column(self, row: Primitive, operands: Operands) -> list[float] | None:
        """Returns the column of an operation, or None if the operation does not fit."""
        size = len(self.columns[0])
        columns = [self.columns[k] if isinstance(k, int) else [k] * size for k in operands]
        args = list(zip(*columns))
        inside = row.domain is None or all(row.domain(*numbers) for numbers in args)
        # powers with a constant exponent, such as x ** 3, are real for negative x too
        if not inside and not (row is TABLE["pow"] and operands[1] in CONSTANTS):
            return None
        if row.piece and any(row.piece(*numbers) != row.piece(*args[0]) for numbers in args):
            return None
        column = [row.forward(*numbers) for numbers in args]
        x = column[0]
        if not MODERATE[0] <= abs(x) <= MODERATE[1]:
            return None
        ratios = {abs(y - x) / (SMOOTH_DISTANCE * abs(x)) for y in column}
        if ratios == {0.0}:
            return None
        if not all(ratio == 0 or MIN_CHANGE_RATIO <= ratio <= MAX_CHANGE_RATIO for ratio in ratios):
            return None
        return column

    def expression(self, variables: tuple[str, ...], keep: bool) -> Expression:
        """Returns the finished expression.

        Variables that it does not use are left out, unless ``keep`` is true.
        """
        used = _indices(self.steps) or [0]
        size = len(self.point)
        kept = [k for k in range(size) if keep or k in used]
        new = {k: i for i, k in enumerate([*kept, *range(size, len(self.columns))])}
        steps = [
            (row, tuple([new[k] if isinstance(k, int) else k for k in operands]))
            for row, operands in self.steps
        ]
        names = tuple([variables[k] for k in kept])
        return Expression(names, tuple([self.point[k] for k in kept]), tuple(steps))
