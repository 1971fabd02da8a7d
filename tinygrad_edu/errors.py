"""Every exception that this package defines, in one tree.

::

    TinygradEduError
    |-- GraphError                  a graph cannot be used in the way asked for
    |   |-- StaleGraphError         a leaf was given new data after the graph was recorded
    |   `-- TraceError              a traced function asks for a number that is known at run time only (also a TypeError)
    |-- ExpressionError             text that `parse` does not accept          (also a ValueError)
    |-- CheckpointError             a damaged, foreign or unfitting state      (also a ValueError)
    |-- DataError                   a data set or a history that cannot be read (also a ValueError)
    |-- NonFiniteError              inf or nan, in training or while it is watched for (also an ArithmeticError)
    `-- RenderError                 a drawing could not be turned into a picture (also a RuntimeError)

and one warning, `GradientWarning`: gradients are added up that probably should not be.

Wrong types and out-of-range arguments raise the built-in `TypeError` and `ValueError`.
Arithmetic on Values never raises: it follows IEEE 754 (see `primitives`).
"""

import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex


class TinygradEduError(Exception):
    """The base of every exception defined here."""


class GraphError(TinygradEduError):
    """A graph cannot be used in the way asked for."""


class StaleGraphError(GraphError):
    """A node no longer follows from its operands, because a leaf's data was assigned after
    recording.

    First derivatives are stored numbers and stay right; higher ones would mix old and new numbers.
    The remedy is to compute the expression again.
    """


class TraceError(GraphError, TypeError):
    """A function that `jit` traces asks for what is known only when it runs: a number, or whether a
    condition holds.

    It is also a TypeError, as float() and indexing raise for things that are no numbers.
    ``line`` is file, line and function of the place in the user's program.
    """

    line: tuple[str, int, str] | None = None


class ExpressionError(TinygradEduError, ValueError):
    """The text given to `parse` is not an expression of the small language that it accepts."""


class CheckpointError(TinygradEduError, ValueError):
    """A checkpoint or state dictionary is damaged, foreign, or does not fit the model."""


class DataError(TinygradEduError, ValueError):
    """A data set or a saved history cannot be read."""


class NonFiniteError(TinygradEduError, ArithmeticError):
    """A number became inf or nan: in a step of `fit`, or within `detect_anomaly`; the message names
    the operation.

    ``line`` is file, line and function that asked for the operation, if that is known.  If `fit`
    raised it, ``history`` is the `History` of the steps before it, and ``explanation`` what
    `explain_nonfinite` says of the loss.
    """

    history: Any = None
    explanation: Any = None
    line: tuple[str, int, str] | None = None


class RenderError(TinygradEduError, RuntimeError):
    """A drawing cannot be turned into a picture; the message says what to install."""


class GradientWarning(UserWarning):
    """An optimiser's step is made with gradients that a step before has used already: `zero_grad`
    is missing."""


def one_line(error: BaseException) -> str:
    """The message of an error on one line; of an error with a caret below a text, the text as far
    as the caret."""
    message, *rest = str(error).splitlines() or [type(error).__name__]
    if len(rest) == 2 and rest[1].strip() == "^":
        read, ahead = rest[0][4:len(rest[1]) - 1], rest[0][len(rest[1]) - 1:]
        message += (
            f" after {read!r}"
            if read.strip() and not ahead.strip()
            else f" at {(ahead or rest[0]).strip()[:20]!r}"
        )
    return message


def check_int(x: object, name: str, least: int, remedy: str = "") -> int:
    """Returns ``x`` as an int; ints, numpy's integers and whatever else has ``__index__`` are
    accepted.

    ``name`` begins the message, as in ``Linear: nin``; ``remedy`` ends it.

    Raises:
        TypeError: ``x`` is not a whole number, or is True or False.
        ValueError: ``x`` is less than ``least``.
    """
    end = f"; {remedy}" if remedy else ""
    if isinstance(x, bool) or not isinstance(x, SupportsIndex):
        kind = type(x).__name__
        raise TypeError(f"{name} must be a whole number, not {kind} ({x!r:.40}){end}")
    n = operator.index(x)
    if n < least:
        raise ValueError(f"{name} must be a whole number >= {least}, not {n}{end}")
    return n


def counted(n: int, what: str, plural: str = "") -> str:
    """Returns a count with its noun: ``3 samples``, ``1 sample``."""
    return f"{n:,} {what if n == 1 else plural or what + 's'}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Returns the first of the names, and how many more there are: ``a, b, c and 2 more``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
