"""`Expression`, a random function with a point, and the `Builder` that grows one operation by
operation and keeps it well inside its domain."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..engine.primitive import TABLE, Primitive
from ..symbolic.formulas import Name, as_name
from .arguments import MODERATE

CONSTANTS = (1.0, 2.0, 3.0, 0.5, -1.0, 0.1, 10.0)  # numbers in expressions
# an expression is smooth this far around its point, relative to it: twice the first step of
# `gradcheck`
NEARBY = 2e-3
# the relative change of a node, as a multiple of that of a variable; or it is 0
STEEPEST = 100.0
FLATTEST = 1e-4

Apply = Callable[[Primitive, tuple[Any, ...]], Any]

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
            args = [results[k] if isinstance(k, int) else k for k in operands]
            results.append(apply(row, tuple(args)))
        return results[-1] if self.steps else results[0]

    @property
    def text(self) -> str:
        """The formula, one line that `parse` reads; above it, one for each intermediate that is
        used several times."""
        users = [k for _, operands in self.steps for k in operands if isinstance(k, int)]
        results = [Name(name) for name in self.variables]
        lines: list[str] = []
        for k, (row, operands) in enumerate(self.steps, start=len(self.variables)):
            args = [results[i] if isinstance(i, int) else as_name(i) for i in operands]
            name = Name.apply_primitive(row, tuple(args))
            if users.count(k) > 1:
                label = f"t{len(lines) + 1}"
                while label in self.variables:
                    label = f"_{label}"
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


def _apply(row: Primitive, args: tuple[Any, ...]) -> Any:
    """A row on its operands, by its operator if it has one and they are not floats: `Value` writes
    some out."""
    if row.name in _OPERATORS and any(arg.__class__ is not float for arg in args):
        return _OPERATORS[row.name](*args)
    return row(*args)


class Builder:
    """An expression that grows by one operation at a time, evaluated at its point and on both sides
    of it.

    A track is what an operand is at each of these places: at the point first, then with each
    variable a little lower and a little higher.
    """

    def __init__(self, point: list[float], rows: tuple[Primitive, ...]) -> None:
        self.point = point
        self.rows = rows
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
        places = len(self.tracks[0])
        tracks = [self.tracks[k] if isinstance(k, int) else [k] * places for k in operands]
        args = list(zip(*tracks))
        inside = row.domain is None or all(row.domain(*numbers) for numbers in args)
        # x ** 3 and its like are real below 0, too
        if not inside and not (row is TABLE["pow"] and operands[1] in CONSTANTS):
            return None
        if row.piece and any(row.piece(*numbers) != row.piece(*args[0]) for numbers in args):
            return None
        track = [row.forward(*numbers) for numbers in args]
        x = track[0]
        if not MODERATE[0] <= abs(x) <= MODERATE[1]:
            return None
        changes = {abs(y - x) / (NEARBY * abs(x)) for y in track}
        if changes == {0.0} or not all(y == 0 or FLATTEST <= y <= STEEPEST for y in changes):
            return None
        return track

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
