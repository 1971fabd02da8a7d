"""What is special about the moment: `no_grad` and `detect_anomaly`.

Both hold for the current thread or task alone, nest, and serve as decorators as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from threading import Lock

NO_GRAD, ANOMALY = 1, 2  # bits of a mode

_mode: ContextVar[int] = ContextVar("_mode", default=0)
_lock = Lock()

# How many contexts are open in all threads together.  Asking a ContextVar costs as much as half an operator, so that
# operators look here first.
active = 0

current = _mode.get  # the mode of this thread or task: the sum of `NO_GRAD` and `ANOMALY`, or 0


@contextmanager
def no_grad() -> Iterator[None]:
    """Within this context, results are leaves: nothing is recorded, nothing can be differentiated.

    It holds for the current thread or task alone.
    """
    with recording(False):
        yield


def recording(on: bool) -> AbstractContextManager[None]:
    """Switches recording on or off for the current thread or task; `no_grad` is ``recording(False)``."""
    return _within(current() & ~NO_GRAD if on else current() | NO_GRAD)


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Within this context, the first operation whose result is inf or nan raises NonFiniteError, forward or backward.

    The error names the operation, its operands, and the line of your program that asked for it; of a gradient, the
    line where the operation was recorded, if that was within this context, too.  After it all gradients are as they were.

        >>> from tinygrad_edu import Value, math
        >>> p = Value(0.0, "p")
        >>> with detect_anomaly():
        ...     math.log(p)                                    # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        tinygrad_edu.errors.NonFiniteError: log(p=0.0) = -inf is the first inf or nan...

    It holds for the current thread or task alone.  Off, it costs nothing; on, recording and differentiating take two to
    three times as long.  A leaf may be infinite or nan; what is computed from it may not.  `explain_nonfinite` finds out
    afterwards what it can without having watched.
    """
    with _within(current() | ANOMALY):
        yield


@contextmanager
def _within(mode: int) -> Iterator[None]:
    global active
    token = _mode.set(mode)
    with _lock:
        active += 1
    try:
        yield
    finally:
        with _lock:
            active -= 1
        _mode.reset(token)
