"""What `detect_anomaly` does while it is on: every node keeps the line that asked for it, and the
first number that is inf or nan becomes an error that says how it came about."""

from __future__ import annotations

import linecache
import math
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from math import inf
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from ..errors import NonFiniteError

if TYPE_CHECKING:
    from .value import Value

# a function, and how far it had come: every node has one, so that it must cost little
Source = tuple[CodeType, int]
Line = tuple[str, int, str]  # file, line and function

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_LIBRARY = str(Path(os.__file__).parent) + os.sep


def source() -> Source:
    """Where in the user's program we are: the innermost call that is not of this package, nor of
    Python's library.

    Of a package that was installed, such as numpy, it is the line of the user's program that called
    it, if there is one between it and a call of ours.
    """
    frame = sys._getframe(2)
    installed = None
    while True:
        at = (frame.f_code, frame.f_lasti)
        outer = frame.f_back
        owner = _owner(frame.f_code.co_filename)
        # the outermost may be the script that starts such a package
        if owner == "user" and not (installed and outer is None):
            return at
        if owner == "installed":
            installed = installed or at
        if outer is None or (installed and owner == "us"):
            return installed or at
        frame = outer


@cache
def _owner(file: str) -> str:
    """Whose file it is: "us", Python's own "library", an "installed" package, or the "user"."""
    if file.startswith(_PACKAGE):
        return "us"
    if "site-packages" in file or "dist-packages" in file:
        return "installed"
    return "library" if file.startswith((_LIBRARY, "<frozen ")) else "user"


def line_of(node: Value) -> Line | None:
    """Where ``node`` was asked for; None unless it was recorded within `detect_anomaly`."""
    at: Source | None = getattr(node, "_source", None)
    return None if at is None else _line(at)


def sweep(operations: Sequence[Value], roots: Sequence[Value], seeds: Sequence[float]) -> None:
    """The sweep of `graph.backpropagate`, with a look at every gradient."""
    for root, seed in zip(roots, seeds):
        root.grad += seed
        if not -inf < root.grad < inf:
            raise _error(
                f"backward: the gradient of {_name(root)} is {root.grad} from the start: its seed "
                f"is {seed!r}",
                None,
            )
    for node in operations:
        adjoint = node.grad
        if (dx := node._dx) is not None:
            before = node._x.grad
            node._x.grad = grad = before + dx * adjoint
            if not -inf < grad < inf:
                raise of_gradient(node, node._x, dx, adjoint, grad, before)
        if (dy := node._dy) is not None:
            before = node._y.grad
            node._y.grad = grad = before + dy * adjoint
            if not -inf < grad < inf:
                raise of_gradient(node, node._y, dy, adjoint, grad, before)
        for arg, partial in node._rest:
            if partial is not None:
                before = arg.grad
                arg.grad = grad = before + partial * adjoint
                if not -inf < grad < inf:
                    raise of_gradient(node, arg, partial, adjoint, grad, before)


# ---- the errors ----------------------------------------------------------------------------------


def of_result(op: str, data: float, operands: Iterable[Any]) -> NonFiniteError:
    """The error for an operation whose result is inf or nan."""
    operands = [operand for operand in operands if operand is not None]
    message = f"{_call(op, operands)} = {data} is the first inf or nan"
    if before := [operand for operand in operands if not math.isfinite(float(operand))]:
        kind = "number" if before[0].__class__ is float or before[0].constant else "leaf"
        message += (
            f" that was computed; it comes from the {kind} {_shown(before[0])}, "
            "which the program gave"
        )
    at = _line(source())
    return _error(f"{message}\n{shown_line(at)}", at)


def of_gradient(
    node: Value, operand: Value, partial: float, adjoint: Any, gradient: float, before: float = 0.0
) -> NonFiniteError:
    """The error for an operand's gradient that is inf or nan after the edge from ``node`` was
    followed."""
    if not math.isfinite(before):
        return _error(
            f"backward: the gradient of {_name(operand)} was {before} before this pass; "
            "set it to 0",
            None,
        )
    return _at(
        node,
        f"backward: the gradient of {_name(operand)} became {gradient} at "
        f"{_call(node.op, node._args)} = {node.data!r}: "
        f"local derivative {float(partial)!r} times adjoint {float(adjoint)!r}",
    )


def of_tangent(node: Value, tangent: float) -> NonFiniteError:
    """The error for a tangent, of forward mode, that is inf or nan."""
    return _at(
        node,
        f"forward mode: the tangent of {_call(node.op, node._args)} = {node.data!r} is {tangent}; "
        f"the local derivatives are {', '.join(map(repr, node.partials))}",
    )


def _at(node: Value, message: str) -> NonFiniteError:
    at = line_of(node)
    where = f"at\n{shown_line(at)}" if at else "outside of detect_anomaly(), which keeps lines"
    return _error(f"{message}\n  the operation was recorded {where}", at)


def _error(message: str, at: Line | None) -> NonFiniteError:
    error = NonFiniteError(message)
    error.line = at
    return error


def _line(at: Source) -> Line:
    code, position = at
    lines = (line for start, end, line in code.co_lines() if start <= position < end and line)
    line = next(lines, code.co_firstlineno)
    return code.co_filename, line, code.co_qualname


def shown_line(at: Line) -> str:
    """A line as tracebacks show it."""
    filename, line, function = at
    text = linecache.getline(filename, line).strip()
    return f"  {filename}:{line}, in {function}" + (f"\n    {text}" if text else "")


def _call(op: str, operands: Iterable[Any]) -> str:
    return f"{op}({', '.join(map(_shown, operands))})"


def _shown(operand: Any) -> str:
    label = "" if operand.__class__ is float else operand.label
    return f"{label}={float(operand)!r}" if label else repr(float(operand))


def _name(node: Value) -> str:
    if node.label:
        return str(node.label)
    return f"the result of {node.op} ({node.data!r})" if node.op else f"the leaf {node.data!r}"
