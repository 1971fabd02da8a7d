"""Traced values, which stand for any number while a function is traced, and their errors.

Operators, methods and rows make further nodes of the trace; a comparison makes a condition, a
number that is 1.0 or 0.0.  Whatever would need the number or its truth raises `TraceError`.
"""

from __future__ import annotations

from typing import Any

from .. import math
from ..engine import modes
from ..engine.anomaly import Line, Source, _line, shown_line, source
from ..engine.primitives import Operand, Primitive, lookup
from ..engine.value import Value
from ..errors import TraceError
from .structure import TRACED

STATIC = 'what decides about the shape of a program can be a static argument: jit(f, static=["n"])'
# is_integer, real, ...: methods that Values lack
_OF_FLOATS = {name for name in dir(float) if not name.startswith("_")}


def _error(message: str, remedy: str, where: Source | None = None) -> TraceError:
    at: Line = _line(where or source())
    error = TraceError(f"{message}\n{shown_line(at)}\n{remedy}")
    error.line = at
    if (trace := modes.tracer()) is not None:
        trace.refused = trace.refused or error
    return error


def _trace(what: str) -> Any:
    """The trace of this moment; raises TraceError if there is none, so that a traced value has been
    kept."""
    if (trace := modes.tracer()) is None:
        raise _error(
            f"{what} is asked of a traced value that was kept after its function had been traced",
            "return what is needed later",
        )
    return trace


class Traced(Operand, Value):  # type: ignore[misc]  # pow() of a Value has a modulus
    """A node of a trace: a Value whose number is not known.  Operators and rows go into the trace.
    """

    __slots__ = ("_index", "_trace")

    _index: int
    _trace: Any  # its `Trace`

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """A node of the trace."""
        trace = _trace("a computation")
        try:
            return trace.apply(primitive, args)
        except TraceError:
            raise
        except TypeError:
            if primitive.symbol:
                return NotImplemented  # an operator leaves it to the other operand
            raise

    def compare(self, symbol: str, y: Any) -> Any:
        """A condition of the trace."""
        return _trace("a comparison").compare(symbol, self, y)

    def __and__(self, other: Any) -> Any:
        return _trace("&").join("&", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return _trace("|").join("|", self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        raise _error("^ takes the bits of ints, which a compiled function does not have",
                     f"of conditions, (a | b) & (1 - (a & b)) is the same; {STATIC}")

    __rxor__ = __xor__

    def __invert__(self) -> Any:
        trace = _trace("~")
        if not trace.is_condition(self._index):
            raise _error(
                "~ turns the bits of an int, which a compiled function does not have; "
                f"`{trace.text(self._index)}` is a float",
                f"-x - 1 is the same number; {STATIC}",
            )
        raise _error(
            f"~ of `{trace.text(self._index)}`: of an uncompiled condition, True or False, it is "
            "-2 or -1, and both hold",
            "the opposite of a condition is 1 - condition, or the opposite comparison",
        )

    def __getattr__(self, name: str) -> Any:
        if name in _OF_FLOATS:
            raise _trace(f".{name}").refusal(self, f".{name}")
        return object.__getattribute__(self, name)  # which raises

    def __bool__(self) -> bool:
        raise _trace("its truth").refusal(self, "truth")

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        raise _trace("a comparison").refusal(self, "== or != or in")

    def __hash__(self) -> int:
        raise _trace("its number").refusal(self, "a set or the key of a dict")

    def __float__(self) -> float:
        raise _trace("its number").refusal(self, "float()")

    def __int__(self) -> int:
        raise _trace("its number").refusal(self, "int()")

    def __format__(self, spec: str) -> str:
        if spec:
            raise _trace("a format").refusal(self, "a format")
        return repr(self)

    def __round__(self, digits: int | None = None) -> Any:
        return math.round_digits(self, digits) if digits is not None else lookup("round")(self)

    def __trunc__(self) -> Any:
        return math.trunc(self)

    def __floor__(self) -> Any:
        return math.floor(self)

    def __ceil__(self) -> Any:
        return math.ceil(self)

    def relu(self) -> Any:
        """As of Value."""
        return math.relu(self)

    def tanh(self) -> Any:
        """As of Value."""
        return math.tanh(self)

    def sigmoid(self) -> Any:
        """As of Value."""
        return math.sigmoid(self)

    def exp(self) -> Any:
        """As of Value."""
        return math.exp(self)

    def log(self) -> Any:
        """As of Value."""
        return math.log(self)

    def sqrt(self) -> Any:
        """As of Value."""
        return math.sqrt(self)

    def backward(self, seed: float = 1.0) -> None:
        """Raises TraceError: a trace has no gradients yet."""
        raise _trace("backward()").derivative("backward()")

    @property
    def data(self) -> float:
        """Raises TraceError."""
        raise _trace(".data").refusal(self, ".data")

    @data.setter
    def data(self, x: float) -> None:
        raise _error(
            f"data is assigned to `{self._trace.text(self._index)}`, which has none: it stands for "
            "any number",
            "give the result a name of its own",
        )

    @property
    def grad(self) -> float:  # type: ignore[override]
        """Raises TraceError."""
        raise _trace(".grad").derivative(".grad")

    @property
    def args(self) -> tuple[Value, ...]:
        """Raises TraceError."""
        raise _error(
            ".args of a traced value: it has no graph",
            "call the function itself, uncompiled, for one",
        )

    @property
    def partials(self) -> tuple[float, ...]:
        """Raises TraceError."""
        raise _error(
            ".partials of a traced value: it has no graph",
            "call the function itself, uncompiled, for one",
        )

    @property
    def op(self) -> str:  # type: ignore[override]
        """The name of the operation."""
        return str(self._trace.nodes[self._index][0])

    @property
    def label(self) -> str:
        """The name, which the text of the tape shows."""
        label: str = self._trace.labels.get(self._index, "")
        return label

    @label.setter
    def label(self, label: str) -> None:
        self._trace.labels[self._index] = label

    def __index__(self) -> int:
        raise _trace("its number").refusal(self, "indexing or range()")

    def __repr__(self) -> str:
        return f"{TRACED}{self._trace.text(self._index)})"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        raise _error(
            "a traced value cannot be copied or pickled, since it has no number",
            "copy the function's results",
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.__reduce_ex__(4)

    def __pos__(self) -> Any:
        return self

    def __copy__(self) -> Any:
        return self


_new: Any = Traced.__new__
