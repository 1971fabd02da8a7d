"""Every exception that this package defines, in one tree.

::

    TinygradEduError
    |-- GraphError                  a graph cannot be used in the way asked for
    |   |-- StaleGraphError         a leaf was given new data after the graph was recorded
    |   `-- TraceError              a traced function needs a number known only when it runs
    |-- ExpressionError             a text is not an expression that `parse` accepts
    |-- CheckpointError             a saved state is damaged, foreign or does not fit
    |-- DataError                   a data set or a history cannot be read
    |-- NonFiniteError              a number became inf or nan
    `-- RenderError                 a drawing could not be turned into a picture

Some are also built-in errors: TraceError is a TypeError; ExpressionError, CheckpointError and
DataError are ValueErrors; NonFiniteError is an ArithmeticError; RenderError is a RuntimeError.

There is one warning, `GradientWarning`: gradients are added up that probably should not be.

Wrong types and out-of-range arguments raise the built-in `TypeError` and `ValueError`.
Arithmetic on Values never raises: it follows IEEE 754 (see `primitives`).
"""

from collections.abc import Iterable
from typing import Any


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
        caret = len(rest[1]) - 1
        read = rest[0][4:caret]
        ahead = rest[0][caret:]
        if read.strip() and not ahead.strip():
            message += f" after {read!r}"
        else:
            message += f" at {(ahead or rest[0]).strip()[:20]!r}"
    return message


def counted(n: int, what: str, plural: str = "") -> str:
    """Returns a count with its noun: ``3 samples``, ``1 sample``."""
    return f"{n:,} {what if n == 1 else plural or what + 's'}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Returns the first of the names, and how many more there are: ``a, b, c and 2 more``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
