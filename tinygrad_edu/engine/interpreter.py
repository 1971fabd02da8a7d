"""Hooks that watch or replace operations on Values, and `no_grad`.

    with no_grad():
        y = model(x)  # no graph

The engine computes and records.  An `Interpreter` is told of everything that the program does with
Values, and may do it in another way: `debug.anomaly` watches for inf and nan, and `jit.trace` turns
operations into a program.  There is one at a time; by default it is the base class, which does the
usual thing.

Context managers here affect the current thread or task only, and can be nested.  They also decorate
ordinary functions, but not generators or coroutines: their bodies run after the context has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, _GeneratorContextManager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

from ..errors import is_number, number, wrong_type

E = TypeVar("E", TypeError, None)
F = TypeVar("F", bound=Callable[..., Any])

_recording: ContextVar[bool] = ContextVar("_recording", default=True)
is_recording = _recording.get  # returns whether this thread or task records graphs

# One entry for every open context, in any thread.  Reading a ContextVar costs half as much as an
# operator, so operators check this list first.  An extra entry, left by an interrupt, only costs
# time.  It is a list because `append` and `pop` are atomic.
active: list[None] = []


def own_number(node: Any, attribute: str) -> float:
    """Returns the number that a program has assigned to the ``data`` or ``grad`` of a node.

    Raises:
        TypeError: it is not a number.  A Value is none: it depends on the node, and every step of
            a training would make this longer.
    """
    x = getattr(node, attribute)
    name = f"the {attribute} of {node.label or 'a Value without a label'}"
    if is_number(x) and not hasattr(type(x), "apply_primitive"):
        return number(x, name)
    remedy = "set gradients to 0 with p.grad = 0.0 or zero_grad()"
    if attribute == "data":
        remedy = "write .data on both sides, as in p.data = p.data - lr * p.grad"
    raise wrong_type(name, "a number", x, remedy)


def blamed(error: E, *operands: Any) -> E | TypeError:
    """Returns the error for an operation that failed: of an operand whose data is not a number, if
    there is one."""
    for x in operands:
        if hasattr(x, "data") and hasattr(type(x), "apply_primitive"):
            try:
                own_number(x, "data")
            except TypeError as found:
                return found
    return error


class Interpreter:
    """Methods that are called for everything the program does with Values.

    Here each does the usual thing; where it gets a function ``usual``, this does it.

    Binary operators and the minus sign ask `seen` alone, after the node was made.  Every other row
    asks `apply` first, before it runs.
    """

    has_numbers = True  # whether operations compute numbers; False while `jit` traces

    def seen(self, node: Any) -> Any:
        """Returns what the program gets for a ``node`` that was just made."""
        return node if is_recording() else node.forget()

    def apply(self, primitive: Any, args: tuple[Any, ...]) -> Any:
        """Returns the result of a row, some of whose ``args`` are Values, or None to run it."""
        return None

    def compare(self, symbol: str, x: Any, y: Any) -> Any:
        """Returns whether ``x < y``, or None to compare; ``symbol`` is <, <=, > or >=."""
        return None

    def call(self, usual: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Returns the result of an `interpreted` function."""
        return usual(*args)

    def leaf_of(self, leaf: Any, x: Any) -> float | None:
        """Returns the number of a new ``leaf`` that is made from ``x``, a Value; None refuses it.
        """
        return None

    def number_of(self, x: Any, what: str) -> None:
        """Is called when ``what``, such as "float()", asks for the number of ``x``."""

    def text_of(self, x: Any, text: str) -> str:
        """Returns the text of ``x``, which is usually ``text``."""
        return text

    def walk(self, what: str) -> None:
        """Is called when ``what``, such as "backward()", begins to walk over a graph."""

    def sweep(
        self,
        usual: Callable[..., None],
        operations: Sequence[Any],
        leaves: Sequence[Any],
        roots: Sequence[Any],
        seeds: Sequence[float],
    ) -> None:
        """Sweeps backwards over ``operations``, down to the ``leaves``.

        Raises:
            TypeError: a gradient, or the data of a leaf, is not a number.
        """
        for leaf in [
            leaf for leaf in leaves if not leaf.data.__class__ is leaf.grad.__class__ is float
        ]:
            own_number(leaf, "data")
            own_number(leaf, "grad")
        try:
            usual(operations, roots, seeds)
        except TypeError:
            for node in operations:
                own_number(node, "grad")
            raise

    def flowed(self, node: Any, operand: Any, partial: Any, adjoint: Any, total: Any) -> None:
        """Is called in a sweep of `autodiff` when a gradient has flowed from ``node`` to
        ``operand``, whose adjoint is now ``total``."""

    def tangent(self, node: Any, tangent: Any) -> None:
        """Is called in forward mode with the tangent of ``node``."""


NO_INTERPRETER = Interpreter()
_interpreter: ContextVar[Interpreter] = ContextVar("_interpreter", default=NO_INTERPRETER)
current = _interpreter.get  # returns the interpreter of this thread or task


def _set(variable: ContextVar[Any], value: Any) -> Generator[None, None, None]:
    is_seen = value is not True  # operators record if nothing else is said
    if is_seen:
        active.append(None)
    before = variable.get()
    try:
        variable.set(value)
        yield
    finally:
        variable.set(before)
        if is_seen:
            active.pop()


class _Temporarily(_GeneratorContextManager[None]):
    """A context in which a variable has a value.

    It is pickled as the call that made it, so that functions that it decorates can be pickled by
    value, as cloudpickle does.
    """

    made_by: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made_by


def temporarily(variable: ContextVar[Any], value: Any, made_by: tuple[Any, ...]) -> _Temporarily:
    """Returns a context in which a variable has a value; operators then ask the interpreter.

    made_by: the function that called this one, and its arguments.
    """
    context = _Temporarily(_set, (variable, value), {})
    context.made_by = made_by
    return context


def using(interpreter: Interpreter) -> AbstractContextManager[None]:
    """Returns a context in which ``interpreter`` is told of all operations of this thread or task.
    """
    return temporarily(_interpreter, interpreter, (using, (interpreter,)))


def recording(on: bool) -> AbstractContextManager[None]:
    """Switches recording on or off for the current thread or task."""
    return temporarily(_recording, on, (recording, (on,)))


def no_grad() -> AbstractContextManager[None]:
    """Switches recording off: results are leaves and cannot be differentiated."""
    return recording(False)


def interpreted(f: F) -> F:
    """Decorates a function that an interpreter may run in another way, by `Interpreter.call`."""

    @wraps(f)
    def call(*args: Any) -> Any:
        return current().call(f, args) if active else f(*args)

    return call  # type: ignore[return-value]
