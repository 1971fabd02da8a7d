"""Who else hears of an operation: `no_grad`, and the interface that watching and tracing implement.

    with no_grad():
        y = model(x)  # no graph

The engine computes and records.  An `Interpreter` is told of everything the program does with
Values, and may do it in another way: `debug.anomaly` watches for inf and nan, and `jit.trace`
turns operations into a program.  There is at most one, and none by default.

Context managers here affect the current thread or task only, and can be nested.  They also decorate
ordinary functions, but not generators or coroutines: their bodies run after the context has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_recording: ContextVar[bool] = ContextVar("_recording", default=True)
is_recording = _recording.get  # returns whether this thread or task records graphs

# One entry for every open context, in any thread.  Reading a ContextVar costs half as much as an
# operator, so operators check this list first.  An extra entry, left by an interrupt, is harmless.
active: list[None] = []


class Interpreter:
    """What happens with Values besides the usual, which is nothing in this base class.

    ``usual`` is the function that does what would happen without an interpreter.
    """

    has_numbers = True  # whether operations compute numbers

    def seen(self, node: Any) -> Any:
        """Returns what the program gets for a ``node`` that was just made."""
        return node if is_recording() else node.forget()

    def apply(self, primitive: Any, args: tuple[Any, ...]) -> Any:
        """Returns the result of a row, some of whose ``args`` are Values; None for the usual one.
        """
        return None

    def compare(self, usual: Callable[..., Any], symbol: str, x: Any, y: Any) -> Any:
        """Returns whether ``x < y``, for the comparison ``symbol``."""
        return usual(x, y)

    def call(self, usual: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Returns the result of an `interpreted` function."""
        return usual(*args)

    def number_of(self, x: Any, what: str) -> None:
        """Is called when ``what``, such as "float()", asks for the number of ``x``."""

    def walk(self, what: str) -> None:
        """Is called when ``what``, such as "backward()", begins to walk over a graph."""

    def sweep(
        self,
        usual: Callable[..., None],
        operations: Sequence[Any],
        leaves: Sequence[Any],
        *start: Sequence[Any],
    ) -> None:
        """Sweeps backwards over ``operations``; ``start`` are the roots and their seeds."""
        usual(operations, *start)

    def flowed(self, node: Any, operand: Any, partial: Any, adjoint: Any, total: Any) -> None:
        """Is called when a gradient has flowed from ``node`` to ``operand``, whose adjoint is now
        ``total``, in a sweep of `autodiff`.  In forward mode, ``operand`` is None and ``total`` the
        tangent of ``node``."""


NONE = Interpreter()
_interpreter: ContextVar[Interpreter] = ContextVar("_interpreter", default=NONE)
current = _interpreter.get  # returns the interpreter of this thread or task


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    active.append(None)
    before = variable.get()
    try:
        variable.set(value)
        yield
    finally:
        variable.set(before)
        active.pop()


def using(interpreter: Interpreter) -> AbstractContextManager[None]:
    """Tells ``interpreter`` of all operations."""
    return _set(_interpreter, interpreter)


def recording(on: bool) -> AbstractContextManager[None]:
    """Switches recording on or off for the current thread or task."""
    return _set(_recording, on)


def no_grad() -> AbstractContextManager[None]:
    """Switches recording off: results are leaves and cannot be differentiated.

    It affects the current thread or task only.
    """
    return recording(False)


def interpreted(f: F) -> F:
    """Decorates a function that an interpreter may run in another way, by `Interpreter.call`."""

    @wraps(f)
    def call(*args: Any) -> Any:
        return current().call(f, args) if active else f(*args)

    return call  # type: ignore[return-value]
