"""Source lines of nodes, and the errors that `detect_anomaly` raises at the first inf or nan."""

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

# a code object and the offset of an instruction in it; every node has one, so it must be cheap
CodePosition = tuple[CodeType, int]
SourceLine = tuple[str, int, str]  # file, line and function

PACKAGE_FOLDER = str(Path(__file__).parents[1]) + os.sep
LIBRARY_FOLDER = str(Path(os.__file__).parent) + os.sep


def user_location() -> CodePosition:
    """Returns the current place in the user's program: the innermost call outside this package and
    Python's library.

    If this is in an installed package, such as numpy, the line of the user's program that called
    the package is returned, if there is one before the next call of this package.
    """
    frame = sys._getframe(2)
    installed = None
    while True:
        at = (frame.f_code, frame.f_lasti)
        outer = frame.f_back
        owner = owner_of_file(frame.f_code.co_filename)
        # the outermost call may be the script that starts an installed package
        if owner == "user" and not (installed and outer is None):
            return at
        if owner == "installed":
            installed = installed or at
        if outer is None or (installed and owner == "us"):
            return installed or at
        frame = outer


@cache
def owner_of_file(file: str) -> str:
    """Returns who owns a source file: "us" (this package), "library" (Python's own), "installed" (a
    package) or "user"."""
    if file.startswith(PACKAGE_FOLDER):
        return "us"
    if "site-packages" in file or "dist-packages" in file:
        return "installed"
    return "library" if file.startswith((LIBRARY_FOLDER, "<frozen ")) else "user"


def line_of(node: Value) -> SourceLine | None:
    """Returns the line where ``node`` was recorded, or None if it was outside `detect_anomaly`."""
    at: CodePosition | None = getattr(node, "_source", None)
    return None if at is None else source_line(at)


def sweep(operations: Sequence[Value], roots: Sequence[Value], seeds: Sequence[float]) -> None:
    """Runs the sweep of `graph.backpropagate` and raises NonFiniteError at the first gradient that
    is inf or nan."""
    for root, seed in zip(roots, seeds):
        root.grad += seed
        if not -inf < root.grad < inf:
            raise _error(
                f"backward: the gradient of {_name(root)} is {root.grad} at the start, because "
                f"its seed is {seed!r}",
                None,
            )
    for node in operations:
        adjoint = node.grad
        if (dx := node._dx) is not None:
            before = node._x.grad
            node._x.grad = grad = before + dx * adjoint
            if not -inf < grad < inf:
                raise gradient_error(node, node._x, dx, adjoint, grad, before)
        if (dy := node._dy) is not None:
            before = node._y.grad
            node._y.grad = grad = before + dy * adjoint
            if not -inf < grad < inf:
                raise gradient_error(node, node._y, dy, adjoint, grad, before)
        for arg, partial in node._rest:
            if partial is not None:
                before = arg.grad
                arg.grad = grad = before + partial * adjoint
                if not -inf < grad < inf:
                    raise gradient_error(node, arg, partial, adjoint, grad, before)


# ---- the errors ----------------------------------------------------------------------------------


def result_error(op: str, data: float, operands: Iterable[Any]) -> NonFiniteError:
    """Returns the error for an operation whose result is inf or nan."""
    operands = [operand for operand in operands if operand is not None]
    message = f"{_call(op, operands)} = {data} is the first inf or nan"
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
    """Returns the error for a gradient of ``operand`` that became inf or nan at the edge from
    ``node``."""
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


def tangent_error(node: Value, tangent: float) -> NonFiniteError:
    """Returns the error for a tangent of forward mode that is inf or nan."""
    return _at(
        node,
        f"forward mode: the tangent of {_call(node.op, node._args)} = {node.data!r} is {tangent}; "
        f"the local derivatives are {', '.join(map(repr, node.partials))}",
    )


def _at(node: Value, message: str) -> NonFiniteError:
    at = line_of(node)
    where = f"at\n{line_text(at)}" if at else "outside detect_anomaly(), so its line is unknown"
    return _error(f"{message}\n  the operation was recorded {where}", at)


def _error(message: str, at: SourceLine | None) -> NonFiniteError:
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


def _call(op: str, operands: Iterable[Any]) -> str:
    return f"{op}({', '.join(map(_shown, operands))})"


def _shown(operand: Any) -> str:
    label = "" if operand.__class__ is float else operand.label
    return f"{label}={float(operand)!r}" if label else repr(float(operand))


def _name(node: Value) -> str:
    if node.label:
        return str(node.label)
    return f"the result of {node.op} ({node.data!r})" if node.op else f"the leaf {node.data!r}"
