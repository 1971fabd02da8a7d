"""Context managers that change how operations are recorded: `no_grad`, `detect_anomaly`, and the
tracing context of `jit`.

    with no_grad():
        y = model(x)  # no graph

Each affects the current thread or task only, and they can be nested.  They also decorate ordinary
functions, but not generators or coroutines: their bodies run after the context has ended.
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
current = _mode.get  # returns the mode of this thread or task, a sum of bits

_tracer: ContextVar[Any] = ContextVar("_tracer", default=None)
# returns the trace (`jit.trace`) that records the operations of this thread or task, or None
tracer = _tracer.get

# One entry for every open context, in any thread.  Reading a ContextVar costs half as much as an
# operator, so operators check this list first.  An extra entry, left by an interrupt, is harmless.
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
    """Switches recording off: results are leaves and cannot be differentiated.

    It affects the current thread or task only.
    """
    return _within(on=NO_GRAD)


def recording(on: bool) -> AbstractContextManager[None]:
    """Switches recording on or off for the current thread or task; `no_grad` is
    ``recording(False)``."""
    return _within(off=NO_GRAD) if on else no_grad()


def keeping_lines() -> AbstractContextManager[None]:
    """Stores the source line of every node, for `explain_nonfinite` to report."""
    return _within(on=LINES)


def detect_anomaly() -> AbstractContextManager[None]:
    """Raises NonFiniteError at the first operation whose result or gradient is inf or nan.

    The error names the operation, its operands and the line of your program that called it.  For a
    gradient, it names the line where the operation was recorded, if that was inside this context.
    After the error, all gradients have their values from before.

        >>> from tinygrad_edu import Value, math
        >>> p = Value(0.0, "p")
        >>> with detect_anomaly():
        ...     math.log(p)                                    # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        tinygrad_edu.errors.NonFiniteError: log(p=0.0) = -inf is the first inf or nan...

    It affects the current thread or task only.  Recording and differentiating take two to three
    times as long inside it, and as long as usual outside.  A leaf may be inf or nan; a result
    computed from it may not.  `explain_nonfinite` searches a graph afterwards.
    """
    return _within(on=ANOMALY | LINES)


@contextmanager
def tracing(trace: Any) -> Iterator[None]:
    """Turns operations on Values into nodes of ``trace``, without computing them.  With None, they
    are computed as usual."""
    others = NO_GRAD | ANOMALY | LINES
    mode = _within(off=TRACE) if trace is None else _within(on=TRACE, off=others)
    token = _tracer.set(trace)
    try:
        with mode:
            yield
    finally:
        _tracer.reset(token)
