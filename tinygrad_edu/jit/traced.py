"""Traced values, which stand for any number while a function is traced, and their errors.

A value has no data yet, so the program that is recorded holds for all numbers.  Whatever needs the
number or the truth of a value raises `TraceError`, because the answer would become part of the
compiled program.  A `TraceError` that the function catches is raised again when tracing ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ..debug.anomaly import (
    CodePosition,
    SourceLine,
    line_text,
    owner_of_file,
    source_line,
    user_location,
)
from ..engine.arrays import elementwise
from ..engine.interpreter import current
from ..engine.primitive import Operand, Primitive
from ..engine.value import Value
from ..errors import TraceError
from .structure import TRACED

# The last remedy of most errors
STATIC = 'an argument that determines the shape of the program can be static: jit(f, static=["n"])'
# is_integer, bit_length, real, ...: what Values lack and numbers have
_OF_NUMBERS = {name for name in [*dir(float), *dir(int)] if not name.startswith("_")}


def trace_in_progress() -> Any:
    """Returns the trace that this thread or task is recording, or None."""
    interpreter = current()
    return None if interpreter.has_numbers else interpreter


def located_error(message: str, remedy: str, where: CodePosition | None = None) -> TraceError:
    """Returns an error with the line of the user's program; the trace keeps the first one."""
    at: SourceLine = source_line(where or user_location())
    error = TraceError(f"{message}\n{line_text(at)}\n{remedy}")
    error.line = at
    if (trace := trace_in_progress()) is not None:
        trace.first_error = trace.first_error or error
    return error


def _trace(what: str) -> Any:
    """Returns the trace in progress; raises TraceError if there is none."""
    if (trace := trace_in_progress()) is None:
        raise located_error(
            f"{what}: this traced value is no longer valid, because its function has finished "
            "tracing",
            "return what is needed later",
        )
    return trace


def number_error(what: str, shown: str) -> TraceError:
    """Returns the error for ``what``, which needs the number or the truth of what is ``shown``."""
    if what == "truth":
        return located_error(
            f"if, and, or, not, while, max(), min() or sorted() asks whether `{shown}` holds, "
            "which is known only when the compiled function runs",
            "choose with math.where(condition, x, y), "
            f"math.maximum(x, y) or math.minimum(x, y); {STATIC}",
        )
    remedy = {
        "float()":
            "use this package's math (from tinygrad_edu import math), and compute with the "
            "value itself",
        "int()":
            "math.trunc(x) is the whole number as a value; to look something up, "
            "take(sequence, index)",
        "indexing or range()": "to look something up, take(sequence, index)",
        "a set or the key of a dict": "to look something up, take(sequence, index)",
        "== or != or in":
            "math.where takes the conditions <, <=, > and >=, also joined by & and |; x <= x holds "
            "unless x is nan",
        ".grad": "read gradients outside of the function",
    }.get(what, "compute with the value itself")
    return located_error(
        f"{what} asks for the number of `{shown}`, which is known only when the compiled "
        "function runs",
        remedy if what == ".grad" else f"{remedy}; {STATIC}",
    )


def derivative_error(what: str) -> TraceError:
    """Returns the error for a derivative inside a function that is traced."""
    return located_error(
        f"{what} in a function that is traced: there are no numbers to differentiate yet",
        "inside, use gradients(y, xs), grad or hessian; or return the value, and call "
        "value_and_grad or hessian of the compiled function",
    )


class TracedText(str):
    """The text of a traced value: the function can print it, but not compute with it.

    Otherwise a part of the program would depend on the text, which has no number in it.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return self  # which print() writes


def _text_error(text: str) -> TraceError:
    return located_error(
        f"the function has the text {text} in it: a traced value, not its number",
        "return the number, and make the text outside; print(x) shows what is traced",
    )


def _refusing(name: str) -> Callable[..., Any]:
    """Returns a method of text that raises TraceError if a function that is traced calls it."""
    usual = getattr(str, name)

    def method(self: Any, *args: Any) -> Any:
        caller = sys._getframe(1).f_code.co_filename
        if trace_in_progress() is not None and owner_of_file(caller) == "user":
            raise _text_error(str.__repr__(self))
        return usual(self, *args)

    return method


for _name, _method in vars(str).items():
    if callable(_method) and _name not in ("__new__", "__getattribute__", "__str__", "maketrans"):
        setattr(TracedText, _name, _refusing(_name))


class Traced(Operand, Value):  # type: ignore[misc]  # pow() of a Value has a modulus
    """A node of a trace: a Value without data, whose number is not known until the program runs.

    Python does not ask the value for `is` and `isinstance`, so tracing cannot notice them.
    """

    __slots__ = ("_index", "_trace")

    _index: int
    _trace: Any  # its `Trace`

    def __init__(self, trace: Any, index: int) -> None:
        self._trace = trace
        self._index = index

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """Appends a node to the trace."""
        trace: Any = current()
        if trace.has_numbers:
            trace = _trace("a computation")
        try:
            return trace.apply(primitive, args)
        except TraceError:
            raise
        except TypeError:
            if primitive.symbol and len(args) == 2:  # an operator leaves it to the other operand
                return elementwise(primitive, *args)
            raise

    def compare(self, symbol: str, y: Any) -> Any:
        """Appends a condition to the trace."""
        return _trace("a comparison").compare(symbol, self, y)

    def __and__(self, other: Any) -> Any:
        return _trace("&").join("&", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return _trace("|").join("|", self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        raise located_error("^ needs the bits of ints, but a compiled function has only floats",
                     f"for conditions, write (a | b) & (1 - (a & b)); {STATIC}")

    __rxor__ = __xor__

    def __lshift__(self, other: Any) -> Any:
        raise located_error(
            "<< and >> need the bits of ints, but a compiled function has only floats",
            f"write x * 2**n and x // 2**n; {STATIC}",
        )

    __rlshift__ = __rshift__ = __rrshift__ = __lshift__

    def __invert__(self) -> Any:
        trace = _trace("~")
        text = trace.text(self._index)
        if not trace.is_condition(self._index):
            raise located_error(f"~ needs the bits of an int, but `{text}` is a float",
                                f"write -x - 1, which is the same number; {STATIC}")
        raise located_error(
            f"~ cannot negate the condition `{text}` (`~True` is -2, which is true)",
            "write 1 - condition, or the opposite comparison",
        )

    def __getattr__(self, name: str) -> Any:
        if name in _OF_NUMBERS:
            raise _trace(f".{name}").trace_error(self, f".{name}")
        raise AttributeError(f"a Value has no attribute {name!r}")

    def __eq__(self, other: object) -> NoReturn:  # also of the same value, which may be nan
        raise _trace("a comparison").trace_error(self, "== or != or in")

    def __hash__(self) -> int:
        self._number("a set or the key of a dict")

    def _number(self, what: str) -> NoReturn:
        raise _trace("its number").trace_error(self, what)

    def backward(self, seed: float = 1.0) -> None:
        """Raises TraceError: a traced value has no gradient."""
        _trace("backward()")
        raise derivative_error("backward()")

    @property
    def data(self) -> float:
        """Raises TraceError."""
        raise _trace(".data").trace_error(self, ".data")

    @data.setter
    def data(self, x: float) -> None:
        raise located_error(
            f"data cannot be assigned to `{self._trace.text(self._index)}`, which stands for any "
            "number",
            "give the result a new name",
        )

    @property
    def grad(self) -> float:  # type: ignore[override]
        """Raises TraceError."""
        _trace(".grad")
        raise derivative_error(".grad")

    @property
    def args(self) -> tuple[Value, ...]:
        """Raises TraceError."""
        raise _no_graph(".args")

    @property
    def partials(self) -> tuple[float, ...]:
        """Raises TraceError."""
        raise _no_graph(".partials")

    @property
    def op(self) -> str:  # type: ignore[override]
        """The name of the operation."""
        return str(self._trace.nodes[self._index][0])

    @property
    def label(self) -> str:
        """The name, which the text of the tape shows."""
        return str(self._trace.labels.get(self._index, ""))

    @label.setter
    def label(self, label: str) -> None:
        self._trace.labels[self._index] = label

    def __index__(self) -> int:
        self._number("indexing or range()")

    def __repr__(self) -> str:
        return TracedText(f"{TRACED}{self._trace.text(self._index)})")

    def __format__(self, spec: str) -> str:
        if not spec:
            raise _text_error(repr(str(repr(self))))
        self._number("a format")

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        raise located_error(
            "a traced value cannot be pickled, because it has no number",
            "pickle the function's results",
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _trace("a copy").copied(self, deep=True)

    def __copy__(self) -> Any:
        return _trace("a copy").copied(self)


def _no_graph(what: str) -> TraceError:
    return located_error(f"{what}: a traced value has no graph",
                         "call the function itself, uncompiled, to get a graph")
