"""The exceptions and warnings of this package: the tree in the docstring of `errors`."""

from typing import Any


class TinygradEduError(Exception):
    """Base class of every exception defined here."""


class GraphError(TinygradEduError):
    """A graph cannot be used in this way."""


class StaleGraphError(GraphError):
    """A node no longer follows from its operands.

    A leaf's data was assigned after recording.

    First derivatives are stored numbers and stay correct; higher ones would mix old and new
    numbers.  Compute the expression again.
    """


class TraceError(GraphError, TypeError):
    """A function that `jit` traces needs what is known only when it runs.

    It needs a number, or the truth of a condition.

    It is also a TypeError, which float() and indexing raise for other objects than numbers.
    ``line`` is the place in the user's program: file, line number and function.  If `fit` raised
    the error, ``history`` is the `History` of the steps that were made.
    """

    history: Any = None
    line: tuple[str, int, str] | None = None


class ExpressionError(TinygradEduError, ValueError):
    """A text is not an expression that `parse` accepts."""


class CheckpointError(TinygradEduError, ValueError):
    """A checkpoint or state dictionary is damaged, is foreign, or does not fit the model."""


class DataError(TinygradEduError, ValueError):
    """A data set or a saved history cannot be read."""


class NonFiniteError(TinygradEduError, ArithmeticError):
    """A number became inf or nan, in a step of `fit` or inside `detect_anomaly`.

    The message names the operation.  ``line`` is the place that called the operation (file, line
    number and function), if it is known.  If `fit` raised the error, ``history`` is the `History`
    of the steps before it, and ``explanation`` is the result of `explain_nonfinite` for the loss.
    """

    history: Any = None
    explanation: Any = None
    line: tuple[str, int, str] | None = None


class PrimitiveError(TinygradEduError, ValueError):
    """The table has no row of this name."""


class RenderError(TinygradEduError, RuntimeError):
    """A drawing cannot be turned into a picture.

    The message says what to install.
    """


class WorkerError(TinygradEduError, RuntimeError):
    """A worker died, or an executor could not run what it was given.

    The message says what is kept and how to go on.  If `sweep` raised it, ``sweep`` is the `Sweep`
    of the trainings that were finished; if `fit` did, ``history`` is the `History` of the finished
    steps; if a batch did, ``samples`` is how many of the first samples have their results.
    """

    history: Any = None
    sweep: Any = None
    samples = 0


class GradientWarning(UserWarning):
    """An optimiser step uses gradients of an earlier step again: `zero_grad` was not called."""


class GraphWarning(UserWarning):
    """A result or a comparison is probably not what the program means.

    Either a differentiated function returns what does not depend on its arguments, so that the
    derivative is 0, or a Value is compared with a number by ``==``, which is never true.
    """


class TrainingWarning(UserWarning):
    """In a run of `fit`, the loss rose, jumped, oscillated or stood still.

    `History.warning` has the message, and `diagnose` says why.
    """


# They are shown and pickled under the name by which programs import them.
for _class in tuple(vars().values()):
    if isinstance(_class, type) and issubclass(_class, Exception):
        _class.__module__ = __package__
