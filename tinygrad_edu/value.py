"""`Value`: a number that remembers how it was computed.

Every operator and every function of `math` makes a new node, which stores three things: its data, its operands,
and the derivative of its data by each operand, as a number.  That is all that backpropagation needs::

    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> y = a * b + 10
    >>> y.data, y.op, y.partials
    (4.0, 'add', (1.0, 0.0))
    >>> y.backward()
    >>> a.grad, b.grad
    (-3.0, 2.0)

The operators + - * / are written out here, for speed; everything else goes through `apply` and the table of
`primitives`.  A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from threading import Lock
from typing import Any

from . import graph
from . import primitives as p
from .primitives import Primitive, number

Number = float  # int, bool and numpy scalars are accepted wherever a float is

_serials = count()
_new = object.__new__
_ONES, _ONE_MINUS_ONE = (1.0, 1.0), (1.0, -1.0)
_ONE_FIRST, _ONE_SECOND, _MINUS_ONE_SECOND = (1.0, None), (None, 1.0), (None, -1.0)

# Asking a ContextVar costs as much as half an operator, so that a plain counter says whether to ask at all.
_no_grad: ContextVar[bool] = ContextVar("_no_grad", default=False)
_contexts = 0
_contexts_lock = Lock()


class Value:
    """One node of a computation graph.

    data       the number, a float
    grad       d(root)/d(this), after a backward pass; leaves accumulate over passes until set to 0
    label      a name, shown wherever the node is
    op         the primitive that made the node; "" for a leaf
    args       the operands, in order, duplicates kept
    partials   the local derivatives d(this)/d(args[i]); 0.0 for a constant, whose rule is never run

    ``Value(data, label="")`` makes a leaf.  ``data`` may be an int, float, bool or numpy scalar.  Raises
    TypeError for anything else, OverflowError for an int too large for a float.
    """

    __slots__ = ("_args", "_partials", "_serial", "data", "grad", "label", "op")

    data: float
    grad: float
    label: str
    op: str
    _args: tuple[Any, ...]  # constants are kept as plain floats here, until `args` is read
    _partials: tuple[float | None, ...]  # None for a constant
    _serial: float

    constant = False
    __array_ufunc__ = None  # numpy's operators leave the work to those below

    def __init__(self, data: Number, label: str = "") -> None:
        if isinstance(data, Value):
            raise TypeError(f"Value() takes a number, not a Value ({data!r}); "
                            "its .data is the number, `y + 0` a new node that stays connected")
        if not isinstance(label, str):
            raise TypeError(f"label must be text, not {type(label).__name__} ({p.short_repr(label)})")
        self.data = number(data, f"the data of Value {label!r}" if label else "the data of a Value")
        self.grad = 0.0
        self.label = label
        self.op = ""
        self._args = ()
        self._partials = ()
        self._serial = next(_serials)

    # ---- structure

    @property
    def args(self) -> tuple[Value, ...]:
        """The operands, in order, duplicates kept.  Numbers that met a Value appear as `Constant`."""
        if None in self._partials and float in map(type, self._args):
            self._args = tuple([Constant(arg, self) if arg.__class__ is float else arg for arg in self._args])
        return self._args

    @property
    def partials(self) -> tuple[float, ...]:
        """The local derivatives d(this)/d(args[i]), taken when the node was made; 0.0 for a constant."""
        return tuple([0.0 if partial is None else partial for partial in self._partials])

    def backward(self, seed: float = 1.0) -> None:
        """Adds d(this)/d(leaf), times ``seed``, to ``.grad`` of every leaf that this was computed from.

        Nodes in between get the adjoint of this call alone.  Calling it twice therefore doubles the gradients of
        the leaves and of nothing else.  If it is interrupted, no gradient has changed.
        """
        graph.backpropagate([self], [number(seed, "seed")])

    def _set_state(self, data: float, grad: float, label: str, op: str, args: tuple[Any, ...],
                   partials: tuple[float | None, ...]) -> None:
        self.data, self.grad, self.label, self.op = data, grad, label, op
        self._args, self._partials, self._serial = args, partials, next(_serials)

    def __copy__(self) -> Value:
        node = graph.blank(type(self))
        node._set_state(self.data, self.grad, self.label, self.op, self._args, self._partials)
        return node

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        return graph.deepcopy(self, memo)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return graph.reduce_node(self)

    # ---- text and numbers

    def __repr__(self) -> str:
        label = f"label={str(self.label)!r}, " if self.label else ""
        op = f", op={self.op!r}" if self.op else ""
        return f"{type(self).__name__}({label}data={self.data!r}, grad={self.grad!r}{op})"

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    # ---- comparisons compare data; == and hash stay identity, so that nodes can be keys

    def __lt__(self, other: Value | Number) -> bool:
        return NotImplemented if (y := _data(other)) is None else self.data < y

    def __le__(self, other: Value | Number) -> bool:
        return NotImplemented if (y := _data(other)) is None else self.data <= y

    def __gt__(self, other: Value | Number) -> bool:
        return NotImplemented if (y := _data(other)) is None else self.data > y

    def __ge__(self, other: Value | Number) -> bool:
        return NotImplemented if (y := _data(other)) is None else self.data >= y

    # ---- arithmetic: the four hot operators make their nodes in place when two Values meet

    def __add__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            if _contexts and _no_grad.get():
                return Value(self.data + other.data)
            node: Value = _new(Value)
            node.data = self.data + other.data
            node.grad = 0.0
            node.label = ""
            node.op = "add"
            node._args = (self, other)
            node._partials = _ONES
            node._serial = next(_serials)
            return node
        if (y := _data(other)) is None:
            return NotImplemented
        return _record("add", self.data + y, (self, y), _ONE_FIRST)

    def __radd__(self, other: Number) -> Value:
        if (x := _data(other)) is None:
            return NotImplemented
        return _record("add", x + self.data, (x, self), _ONE_SECOND)

    def __sub__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            return _record("sub", self.data - other.data, (self, other), _ONE_MINUS_ONE)
        if (y := _data(other)) is None:
            return NotImplemented
        return _record("sub", self.data - y, (self, y), _ONE_FIRST)

    def __rsub__(self, other: Number) -> Value:
        if (x := _data(other)) is None:
            return NotImplemented
        return _record("sub", x - self.data, (x, self), _MINUS_ONE_SECOND)

    def __mul__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            if _contexts and _no_grad.get():
                return Value(self.data * other.data)
            node: Value = _new(Value)
            x = self.data
            y = other.data
            node.data = x * y
            node.grad = 0.0
            node.label = ""
            node.op = "mul"
            node._args = (self, other)
            node._partials = (y, x)
            node._serial = next(_serials)
            return node
        if (number_ := _data(other)) is None:
            return NotImplemented
        return _record("mul", self.data * number_, (self, number_), (number_, None))

    def __rmul__(self, other: Number) -> Value:
        if (x := _data(other)) is None:
            return NotImplemented
        return _record("mul", x * self.data, (x, self), (None, x))

    def __truediv__(self, other: Value | Number) -> Value:
        return _binary(p.div, self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return _binary(p.div, other, self)

    def __pow__(self, other: Value | Number, modulus: None = None) -> Value:
        if modulus is not None:
            raise TypeError("pow() of a Value takes no modulus")
        return _binary(p.pow, self, other)

    def __rpow__(self, other: Number, modulus: None = None) -> Value:
        return _binary(p.pow, other, self)

    def __mod__(self, other: Value | Number) -> Value:
        return _binary(p.remainder, self, other)

    def __rmod__(self, other: Number) -> Value:
        return _binary(p.remainder, other, self)

    def __floordiv__(self, other: Value | Number) -> Value:
        return _binary(p.floordiv, self, other)

    def __rfloordiv__(self, other: Number) -> Value:
        return _binary(p.floordiv, other, self)

    def __divmod__(self, other: Value | Number) -> tuple[Value, Value]:
        return self // other, self % other

    def __rdivmod__(self, other: Number) -> tuple[Value, Value]:
        return other // self, other % self

    def __neg__(self) -> Value:
        return _record("neg", -self.data, (self,), (-1.0,))

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return _apply(p.absolute, (self,), (self.data,))

    def __round__(self, digits: int | None = None) -> Value:
        if digits is None:
            return _apply(p.round, (self,), (self.data,))
        return apply(p.round_digits, (self, digits))

    def __trunc__(self) -> Value:
        return _apply(p.trunc, (self,), (self.data,))

    def __floor__(self) -> Value:
        return _apply(p.floor, (self,), (self.data,))

    def __ceil__(self) -> Value:
        return _apply(p.ceil, (self,), (self.data,))

    # ---- the functions that lessons write as methods; all others are in `math`

    def relu(self) -> Value:
        """max(0, x), with derivative 0 at 0."""
        return _apply(p.relu, (self,), (self.data,))

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return _apply(p.tanh, (self,), (self.data,))

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x))."""
        return _apply(p.sigmoid, (self,), (self.data,))

    def exp(self) -> Value:
        """e to the power x."""
        return _apply(p.exp, (self,), (self.data,))

    def log(self) -> Value:
        """The natural logarithm."""
        return _apply(p.log, (self,), (self.data,))

    def sqrt(self) -> Value:
        """The square root."""
        return _apply(p.sqrt, (self,), (self.data,))

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Value:
        """How rows of the table run on Values (see `primitives.Primitive`)."""
        return apply(primitive, args)


class Constant(Value):
    """A number that met a Value, as an operand of the node that it helped to make; it receives no gradient."""

    __slots__ = ()
    constant = True
    grad = property(lambda self: 0.0, lambda self, grad: None)

    def __init__(self, data: float, user: Value) -> None:
        super().__init__(data)
        self._serial = user._serial - 0.5  # in execution order it stands just before its user


def apply(primitive: Primitive, args: tuple[Any, ...]) -> Value:
    """A new node: ``primitive`` of ``args``, at least one of which is a Value; numbers become constants."""
    operands = tuple([arg if isinstance(arg, Value) else number(arg, f"argument {name} of {primitive.name}")
                      for name, arg in zip(primitive.parameters, args)])
    return _apply(primitive, operands, tuple([arg.data if isinstance(arg, Value) else arg for arg in operands]))


def _apply(primitive: Primitive, operands: tuple[Any, ...], data: tuple[float, ...]) -> Value:
    """`apply` for operands that are Values and floats, whose numbers are ``data``."""
    out = primitive.forward(*data)
    if _contexts and _no_grad.get():
        return Value(out)
    if primitive is p.where:
        _, x, y = operands
        operands = (data[0], x, data[2]) if data[0] else (data[0], data[1], y)
    partials = tuple([primitive.partial_at(i, data, out) if isinstance(arg, Value) else None
                      for i, arg in enumerate(operands)])
    return _record(primitive.name, out, operands, partials)


def _record(op: str, data: float, args: tuple[Any, ...], partials: tuple[float | None, ...]) -> Value:
    if _contexts and _no_grad.get():
        return Value(data)
    node: Value = _new(Value)
    node.data = data
    node.grad = 0.0
    node.label = ""
    node.op = op
    node._args = args
    node._partials = partials
    node._serial = next(_serials)
    return node


def _data(x: Any) -> float | None:
    """The number in ``x``, a Value or a number; None for everything else, with which operators do not deal."""
    if x.__class__ is float:
        return x
    if isinstance(x, Value):
        return x.data
    try:
        return number(x)
    except TypeError:
        return None


def _binary(primitive: Primitive, x: Any, y: Any) -> Value:
    data = _data(x), _data(y)
    if data[0] is None or data[1] is None:
        return NotImplemented  # type: ignore[no-any-return]  # for the operator to return in its turn
    operands = x if isinstance(x, Value) else data[0], y if isinstance(y, Value) else data[1]
    return _apply(primitive, operands, data)  # type: ignore[arg-type]


@contextmanager
def no_grad() -> Iterator[None]:
    """Within this context, results are leaves: nothing is recorded, nothing can be differentiated.

    It holds for the current thread or task alone.
    """
    with recording(False):
        yield


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Switches recording on or off for the current thread or task; `no_grad` is ``recording(False)``."""
    global _contexts
    token = _no_grad.set(not on)
    with _contexts_lock:
        _contexts += 1
    try:
        yield
    finally:
        with _contexts_lock:
            _contexts -= 1
        _no_grad.reset(token)
