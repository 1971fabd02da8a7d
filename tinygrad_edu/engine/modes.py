"""What is special about the moment: `no_grad`, `detect_anomaly`, and the tracing of a function that
`jit` compiles.

All hold for the current thread or task alone, and nest.  They serve as decorators of plain
functions, not of generators and coroutines, whose bodies run after the context has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

# the bits of a mode
NO_GRAD = 1  # record nothing
ANOMALY = 2  # raise at the first inf or nan
LINES = 4  # store the source line of every node
TRACE = 8  # hand every operation to the tracer

_mode: ContextVar[int] = ContextVar("_mode", default=0)
current = _mode.get  # the mode of this thread or task, a sum of bits

_tracer: ContextVar[Any] = ContextVar("_tracer", default=None)
# the trace (`jit.trace`) that operations of this thread or task go into, or None
tracer = _tracer.get

# One entry for every context that is open, in any thread.  Asking a ContextVar costs as much as
# half an operator, so that operators look here first; an entry too many, after an interrupt, does
# no harm.
active: list[None] = []


@contextmanager
def _within(on: int = 0, off: int = 0) -> Iterator[None]:
    active.append(None)
    before = current()
    try:
        _mode.set(before & ~off | on)
        yield
    finally:
        _mode.set(before)
        active.pop()


def no_grad() -> AbstractContextManager[None]:
    """Within this context, results are leaves: nothing is recorded, nothing can be differentiated.

    It holds for the current thread or task alone.
    """
    return _within(on=NO_GRAD)


def recording(on: bool) -> AbstractContextManager[None]:
    """Switches recording on or off for the current thread or task; `no_grad` is
    ``recording(False)``."""
    return _within(off=NO_GRAD) if on else no_grad()


def keeping_lines() -> AbstractContextManager[None]:
    """Within this context every node keeps the line that asked for it, for `explain_nonfinite` to
    tell."""
    return _within(on=LINES)


def detect_anomaly() -> AbstractContextManager[None]:
    """Within this context, the first operation whose result is inf or nan raises NonFiniteError,
    forward or backward.

    The error names the operation, its operands, and the line of your program that asked for it; of
    a gradient, the line where the operation was recorded, if that was within this context, too.
    After it all gradients are as they were.

        >>> from tinygrad_edu import Value, math
        >>> p = Value(0.0, "p")
        >>> with detect_anomaly():
        ...     math.log(p)                                    # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        tinygrad_edu.errors.NonFiniteError: log(p=0.0) = -inf is the first inf or nan...

    It holds for the current thread or task alone.  Off, it takes no time; on, recording and
    differentiating take two to three times as long.  A leaf may be infinite or nan; what is
    computed from it may not.  `explain_nonfinite` finds out afterwards what it can without having
    watched.
    """
    return _within(on=ANOMALY | LINES)


@contextmanager
def tracing(trace: Any) -> Iterator[None]:
    """Within this context operations on Values compute nothing: they become nodes of ``trace``
    (None: they do compute)."""
    others = NO_GRAD | ANOMALY | LINES
    mode = _within(off=TRACE) if trace is None else _within(on=TRACE, off=others)
    token = _tracer.set(trace)
    try:
        with mode:
            yield
    finally:
        _tracer.reset(token)
