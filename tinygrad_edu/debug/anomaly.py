"""`detect_anomaly`, which raises at the first inf or nan, and the source lines of nodes."""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from operator import attrgetter
from types import CodeType
from typing import Any

from ..engine.graph import assign_grads
from ..engine.interpreter import Interpreter, current, is_recording, using
from ..engine.value import Value
from ..errors import NonFiniteError, user_frame
from ..errors import owner_of_file as owner_of_file  # for `jit`

# a code object and the offset of an instruction in it; every node has one, so it must be cheap
CodePosition = tuple[CodeType, int]
SourceLine = tuple[str, int, str]  # file, line and function


def user_location() -> CodePosition:
    """Returns the current place in the user's program (see `errors.user_frame`)."""
    frame = user_frame()
    return frame.f_code, frame.f_lasti


def line_of(node: Value) -> SourceLine | None:
    """Returns the line where ``node`` was recorded, or None if it was outside `detect_anomaly`."""
    at: CodePosition | None = getattr(node, "source", None)
    return None if at is None else source_line(at)


# ---- watching ------------------------------------------------------------------------------------


class LineKeeper(Interpreter):
    """Stores the source line of every node."""

    def seen(self, node: Value) -> Any:
        """Notes where the program made the node."""
        node.source = user_location()
        return super().seen(node)


class Watch(LineKeeper):
    """Raises NonFiniteError at the first result or gradient that is inf or nan."""

    def seen(self, node: Value) -> Any:
        """Checks the number of a new node."""
        if not -inf < node.data < inf:
            raise result_error(node)
        node.source = user_location()
        return node if is_recording() else node.forget()

    def sweep(
        self,
        usual: Callable[..., None],
        operations: Sequence[Any],
        leaves: Sequence[Any],
        roots: Sequence[Any],
        seeds: Sequence[float],
    ) -> None:
        """Checks the gradients after the usual sweep.

        If one is inf or nan, runs the sweep again, node by node, and raises at the first one.
        """
        nodes = [*operations, *leaves]
        grads = [node.grad for node in nodes]
        super().sweep(usual, operations, leaves, roots, seeds)
        # a sum in which there was an inf or nan is inf or nan
        if all(map(math.isfinite, map(attrgetter("grad"), nodes))):
            return
        assign_grads(nodes, grads)
        for root, seed in zip(roots, seeds):
            usual((), [root], [seed])
            if not -inf < root.grad < inf:
                raise _error(
                    f"backward: the gradient of {_name(root)} is {root.grad} at the start, because "
                    f"its seed is {seed!r}"
                )
        for node in operations:
            edges = [(arg, partial) for arg, partial in node.edges if partial is not None]
            before = [arg.grad for arg, _ in edges]
            usual([node], (), ())
            for (arg, partial), old in zip(edges, before):
                if not -inf < arg.grad < inf:
                    raise gradient_error(node, arg, partial, node.grad, arg.grad, old)

    def flowed(self, node: Value, operand: Any, partial: Any, adjoint: Any, total: Any) -> None:
        """Checks an adjoint."""
        if total.__class__ is float and not -inf < total < inf:
            raise gradient_error(node, operand, partial, adjoint, total)

    def tangent(self, node: Value, tangent: Any) -> None:
        """Checks a tangent."""
        if not -inf < float(tangent) < inf:
            raise tangent_error(node, float(tangent))


def keeping_lines() -> AbstractContextManager[None]:
    """Stores the source line of every node, for `explain_nonfinite` to report."""
    return nullcontext() if type(current()) is not Interpreter else using(LineKeeper())


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
    return using(Watch()) if current().has_numbers else nullcontext()


def is_watched() -> bool:
    """Returns whether this thread or task is inside `detect_anomaly`."""
    return isinstance(current(), Watch)


# ---- the errors ----------------------------------------------------------------------------------


def result_error(node: Value) -> NonFiniteError:
    """Returns the error for an operation whose result is inf or nan."""
    operands = [arg for arg, _ in node.edges]
    message = f"{_call(node)} = {node.data} is the first inf or nan"
    if before := [operand for operand in operands if not math.isfinite(float(operand))]:
        kind = "number" if before[0].__class__ is float or before[0].constant else "leaf"
        message += (
            f" that was computed; it comes from the {kind} {_shown(before[0])}, "
            "an input of the program"
        )
    at = source_line(user_location())
    return _error(f"{message}\n{line_text(at)}", at)


def gradient_error(
    node: Value, operand: Value, partial: float, adjoint: Any, gradient: float, before: float = 0.0
) -> NonFiniteError:
    """Returns the error for a gradient that became inf or nan.

    This happened to the gradient of ``operand`` at the edge from ``node``.
    """
    if not math.isfinite(before):
        return _error(
            f"backward: the gradient of {_name(operand)} was {before} before this pass; "
            "set it to 0"
        )
    return _at(
        node,
        f"backward: the gradient of {_name(operand)} became {gradient} at "
        f"{_call(node)} = {node.data!r}: "
        f"local derivative {float(partial)!r} times adjoint {float(adjoint)!r}",
    )


def tangent_error(node: Value, tangent: float) -> NonFiniteError:
    """Returns the error for a tangent of forward mode that is inf or nan."""
    return _at(
        node,
        f"forward mode: the tangent of {_call(node)} = {node.data!r} is {tangent}; "
        f"the local derivatives are {', '.join(map(repr, node.partials))}",
    )


def _at(node: Value, message: str) -> NonFiniteError:
    at = line_of(node)
    where = f"at\n{line_text(at)}" if at else "outside detect_anomaly(), so its line is unknown"
    return _error(f"{message}\n  the operation was recorded {where}", at)


def _error(message: str, at: SourceLine | None = None) -> NonFiniteError:
    error = NonFiniteError(message)
    error.line = at
    return error


def source_line(at: CodePosition) -> SourceLine:
    """Returns the file, line number and function of a position in compiled code."""
    code, position = at
    lines = (line for start, end, line in code.co_lines() if start <= position < end and line)
    line = next(lines, code.co_firstlineno)
    return code.co_filename, line, code.co_qualname


def line_text(at: SourceLine) -> str:
    """Returns the text of a line, in the form that tracebacks use."""
    filename, line, function = at
    text = linecache.getline(filename, line).strip()
    return f"  {filename}:{line}, in {function}" + (f"\n    {text}" if text else "")


def _call(node: Value) -> str:
    return f"{node.op}({', '.join([_shown(arg) for arg, _ in node.edges])})"


def _shown(operand: Any) -> str:
    label = "" if operand.__class__ is float else operand.label
    return f"{label}={float(operand)!r}" if label else repr(float(operand))


def _name(node: Value) -> str:
    if node.label:
        return str(node.label)
    return f"the result of {node.op} ({node.data!r})" if node.op else f"the leaf {node.data!r}"
