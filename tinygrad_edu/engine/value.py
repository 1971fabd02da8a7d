"""`Value`: a number that remembers how it was computed.

Every operator and every function of `math` makes a new node, which stores three things: its data,
its operands, and the derivative of its data with respect to each operand, as a number.  That is
all that backpropagation needs::

    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> y = a * b + 10
    >>> y.data, y.op, y.partials
    (4.0, 'add', (1.0, 0.0))
    >>> y.backward()
    >>> a.grad, b.grad
    (-3.0, 2.0)

The operators + - * and the minus sign are written out here, for speed, and + and * create their
nodes in place; every other operation runs its row of the table of `primitives`.  A test compares
the operators with their rows.
"""

from __future__ import annotations

from itertools import count
from math import inf
from typing import Any

from . import anomaly, graph, modes
from . import primitives as p
from .modes import ANOMALY, LINES, NO_GRAD, TRACE
from .primitives import Primitive, number

Number = float  # int, bool and numpy scalars are accepted wherever a float is

_serials = count()
next_serial = _serials.__next__  # returns a new serial number, larger than all before it


class Value:
    """One node of a computation graph.

        >>> x = Value(3.0, "x")
        >>> x * 2
        Value(data=6.0, grad=0.0, op='mul')

    ``Value(data, label="")`` makes a leaf.  ``data`` may be an int, float, bool or numpy scalar.

    data: the number, a float.  Assigning a float to a leaf's ``data`` changes later computations.
    grad: d(root)/d(self) after a backward pass.  Leaves accumulate over passes until it is set to
        0.0.  A float.  After an optimiser step it is marked as used; the next step warns if
        `zero_grad` was not called.
    label: a name, shown with the node.
    op: the name of the primitive that made the node, or "" for a leaf.
    args: the operands, in order, duplicates kept.
    partials: the local derivatives d(self)/d(args[i]), or 0.0 for a constant operand.

    Raises:
        TypeError: ``data`` is not a real number, or ``label`` is not text.
        OverflowError: ``data`` is an int too large for a float.
    """

    __slots__ = (
        "_dx", "_dy", "_rest", "_serial", "_source", "_x", "_y", "data", "grad", "label", "op",
    )

    data: float
    grad: float
    label: str
    op: str
    # The first operand and its local derivative, the second operand and its local derivative, and
    # pairs of further ones, which are rare.  Slots are faster than tuples, and leave the garbage
    # collector less to visit.  A constant is a plain float until `args` is read, and its local
    # derivative is None; a missing operand is None.
    _x: Any
    _dx: float | None
    _y: Any
    _dy: float | None
    _rest: tuple[tuple[Any, float | None], ...]
    _serial: Any  # an int; for a constant, 0.5 less than the serial number of its user
    _source: anomaly.CodePosition  # where the node was recorded; set inside `detect_anomaly` only

    constant = False
    __array_ufunc__ = None  # numpy's operators defer to the operators below

    def __init__(self, data: Number, label: str = "") -> None:
        if isinstance(data, Value):
            raise TypeError(
                f"Value: data must be a number, not a Value ({data!r}); "
                "pass its .data, or write `y + 0` for a new node that stays connected"
            )
        if not isinstance(label, str):
            raise TypeError(
                f"label must be text, not {type(label).__name__} ({p.short_repr(label)})"
            )
        self.data = number(data, f"the data of Value {label!r}" if label else "the data of a Value")
        self.grad = 0.0
        self.label = label
        self.op = ""
        self._x = self._dx = self._y = self._dy = None
        self._rest = ()
        self._serial = next(_serials)

    # ---- structure

    @property
    def args(self) -> tuple[Value, ...]:
        """The operands, in order, duplicates kept.  Numbers that met a Value appear as `Constant`.
        """
        if self._x.__class__ is float:
            self._x = Constant(self._x, self)
        if self._y.__class__ is float:
            self._y = Constant(self._y, self)
        if self._rest:
            self._rest = tuple(
                [
                    (Constant(arg, self) if arg.__class__ is float else arg, partial)
                    for arg, partial in self._rest
                ]
            )
        return self._args

    @property
    def partials(self) -> tuple[float, ...]:
        """Local derivatives d(self)/d(args[i]), computed when the node was created; 0.0 for a
        constant operand."""
        return tuple([0.0 if partial is None else partial for partial in self._partials])

    @property
    def _args(self) -> tuple[Any, ...]:
        if self._y is None:
            return () if self._x is None else (self._x,)
        return (self._x, self._y, *[arg for arg, _ in self._rest])

    @property
    def _partials(self) -> tuple[float | None, ...]:
        if self._y is None:
            return () if self._x is None else (self._dx,)
        return (self._dx, self._dy, *[partial for _, partial in self._rest])

    def backward(self, seed: float = 1.0) -> None:
        """Adds ``seed`` times d(self)/d(leaf) to ``.grad`` of every leaf that this node depends on.

        For every other node, ``.grad`` is set to the adjoint of this call.  Calling it twice
        therefore doubles the gradients of the leaves only.  If it is interrupted, no gradient
        has changed.
        """
        graph.backpropagate([self], [number(seed, "seed")])

    def _set_state(
        self, data: float, grad: float, label: str, op: str,
        args: tuple[Any, ...], partials: tuple[float | None, ...],
    ) -> None:
        self.data = data
        self.grad = grad
        self.label = label
        self.op = op
        self._serial = next(_serials)
        self._x, self._dx, self._y, self._dy, self._rest = _slots(args, partials)

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
        if spec and modes.active and modes.current() & TRACE:
            modes.tracer().require_number(self, "a format")
        return format(self.data, spec) if spec else repr(self)

    def __float__(self) -> float:
        if modes.active and modes.current() & TRACE:
            modes.tracer().require_number(self, "float()")
        return float(self.data)

    def __int__(self) -> int:
        if modes.active and modes.current() & TRACE:
            modes.tracer().require_number(self, "int()")
        return int(self.data)

    def __bool__(self) -> bool:
        if modes.active and modes.current() & TRACE:
            modes.tracer().require_number(self, "truth")
        return bool(self.data)

    # ---- comparisons
    # They compare data; == and hash are identity, so that nodes can be keys.

    def __lt__(self, other: Value | Number) -> bool:
        if modes.active and modes.current() & TRACE:
            return modes.tracer().compare("<", self, other)  # type: ignore[no-any-return]
        return NotImplemented if (y := _data(other)) is None else self.data < y

    def __le__(self, other: Value | Number) -> bool:
        if modes.active and modes.current() & TRACE:
            return modes.tracer().compare("<=", self, other)  # type: ignore[no-any-return]
        return NotImplemented if (y := _data(other)) is None else self.data <= y

    def __gt__(self, other: Value | Number) -> bool:
        if modes.active and modes.current() & TRACE:
            return modes.tracer().compare(">", self, other)  # type: ignore[no-any-return]
        return NotImplemented if (y := _data(other)) is None else self.data > y

    def __ge__(self, other: Value | Number) -> bool:
        if modes.active and modes.current() & TRACE:
            return modes.tracer().compare(">=", self, other)  # type: ignore[no-any-return]
        return NotImplemented if (y := _data(other)) is None else self.data >= y

    # ---- arithmetic
    # + and * of two Values, the most frequent operations, create their nodes in place.

    def __add__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            if modes.active and modes.current():
                return _record("add", self.data + other.data, self, 1.0, other, 1.0)
            node: Value = _new(Value)
            node.data = self.data + other.data
            node.grad = 0.0
            node.label = ""
            node.op = "add"
            node._x = self
            node._dx = 1.0
            node._y = other
            node._dy = 1.0
            node._rest = ()
            node._serial = next(_serials)
            return node
        if (y := _data(other)) is None:
            return NotImplemented
        return _record("add", self.data + y, self, 1.0, y)

    def __radd__(self, other: Number) -> Value:
        if (x := _data(other)) is None:
            return NotImplemented
        return _record("add", x + self.data, x, None, self, 1.0)

    def __sub__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            return _record("sub", self.data - other.data, self, 1.0, other, -1.0)
        if (y := _data(other)) is None:
            return NotImplemented
        return _record("sub", self.data - y, self, 1.0, y)

    def __rsub__(self, other: Number) -> Value:
        if (x := _data(other)) is None:
            return NotImplemented
        return _record("sub", x - self.data, x, None, self, -1.0)

    def __mul__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            if modes.active and modes.current():
                return _record("mul", self.data * other.data, self, other.data, other, self.data)
            node: Value = _new(Value)
            x = self.data
            y = other.data
            node.data = x * y
            node.grad = 0.0
            node.label = ""
            node.op = "mul"
            node._x = self
            node._dx = y
            node._y = other
            node._dy = x
            node._rest = ()
            node._serial = next(_serials)
            return node
        if (factor := _data(other)) is None:
            return NotImplemented
        return _record("mul", self.data * factor, self, factor, factor)

    def __rmul__(self, other: Number) -> Value:
        if (x := _data(other)) is None:
            return NotImplemented
        return _record("mul", x * self.data, x, None, self, x)

    def __truediv__(self, other: Value | Number) -> Value:
        return _binary(p.div, self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return _binary(p.div, other, self)

    def __pow__(self, other: Value | Number, modulus: None = None) -> Value:
        if modulus is not None:
            raise TypeError("pow: the modulus must be None for a Value; take % of the result")
        return _binary(p.pow, self, other)

    def __rpow__(self, other: Number) -> Value:
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
        return _record("neg", -self.data, self, -1.0)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return _unary(p.absolute, self)

    def __round__(self, digits: int | None = None) -> Value:
        if digits is None:
            return _unary(p.round, self)
        return apply(p.round_digits, (self, digits))

    def __trunc__(self) -> Value:
        return _unary(p.trunc, self)

    def __floor__(self) -> Value:
        return _unary(p.floor, self)

    def __ceil__(self) -> Value:
        return _unary(p.ceil, self)

    # ---- functions as methods
    # Lessons write these as methods; all other functions are in `math`.

    def relu(self) -> Value:
        """Returns max(0, x), with derivative 0 at 0."""
        return _unary(p.relu, self)

    def tanh(self) -> Value:
        """Returns the hyperbolic tangent."""
        return _unary(p.tanh, self)

    def sigmoid(self) -> Value:
        """Returns 1 / (1 + exp(-x))."""
        return _unary(p.sigmoid, self)

    def exp(self) -> Value:
        """Returns e to the power x."""
        return _unary(p.exp, self)

    def log(self) -> Value:
        """Returns the natural logarithm."""
        return _unary(p.log, self)

    def sqrt(self) -> Value:
        """Returns the square root."""
        return _unary(p.sqrt, self)

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Value:
        """Runs a row of the table on Values (see `primitives.Primitive`)."""
        return apply(primitive, args)


_new: Any = Value.__new__  # makes a node without the checks of Value()


class Constant(Value):
    """A plain number that is an operand of a node.  It receives no gradient."""

    __slots__ = ()
    constant = True

    def __init__(self, data: float, user: Value) -> None:
        super().__init__(data)
        self._serial = user._serial - 0.5  # just before its user in the order of execution


def apply(primitive: Primitive, args: tuple[Any, ...]) -> Value:
    """Returns a new node, ``primitive`` of ``args``.  At least one argument is a Value; numbers
    become constants."""
    if modes.active and modes.current() & TRACE:
        return modes.tracer().apply(primitive, args)  # type: ignore[no-any-return]
    if len(args) == 1:
        return _unary(primitive, args[0])
    operands = tuple(
        [
            arg if isinstance(arg, Value) else number(arg, f"argument {name} of {primitive.name}")
            for name, arg in zip(primitive.parameters, args)
        ]
    )
    data = tuple([arg.data if isinstance(arg, Value) else arg for arg in operands])
    out = primitive.forward(*data)
    # `where` is the only row treated by name: the branch not taken is kept as a number
    if primitive is p.where:
        _, x, y = operands
        condition = float(data[0])
        operands = (condition, x, float(data[2])) if condition else (condition, float(data[1]), y)
    partials = [
        primitive.partial_at(i, data, out) if isinstance(arg, Value) else None
        for i, arg in enumerate(operands)
    ]
    return _record(primitive.name, out, *_slots(operands, tuple(partials)))


def _unary(primitive: Primitive, x: Value) -> Value:
    out = primitive.forward(x.data)
    return _record(primitive.name, out, x, primitive.partial_at(0, (x.data,), out))


def _binary(primitive: Primitive, x: Any, y: Any) -> Value:
    left, right = _data(x), _data(y)
    if left is None or right is None:
        return NotImplemented  # type: ignore[no-any-return]  # the operator returns it too
    data = left, right
    out = primitive.forward(left, right)
    dx = primitive.partial_at(0, data, out) if isinstance(x, Value) else None
    dy = primitive.partial_at(1, data, out) if isinstance(y, Value) else None
    return _record(
        primitive.name, out, left if dx is None else x, dx, right if dy is None else y, dy
    )


def _slots(
    args: tuple[Any, ...], partials: tuple[float | None, ...]
) -> tuple[Any, Any, Any, Any, Any]:
    """Returns ``_x``, ``_dx``, ``_y``, ``_dy`` and ``_rest`` of a node with these operands and
    partials."""
    if not args:
        return None, None, None, None, ()
    if len(args) == 1:
        return args[0], partials[0], None, None, ()
    return args[0], partials[0], args[1], partials[1], tuple(zip(args[2:], partials[2:]))


def _record(
    op: str, data: float, x: Any, dx: float | None, y: Any = None, dy: float | None = None,
    rest: tuple[tuple[Any, float | None], ...] = (),
) -> Value:
    mode = modes.current() if modes.active else 0
    if mode:
        if mode & TRACE:
            return modes.tracer().apply(  # type: ignore[no-any-return]
                p.TABLE[op], _operands(x, y, rest)
            )
        if mode & ANOMALY and not -inf < data < inf:
            raise anomaly.result_error(op, data, (x, y, *[arg for arg, _ in rest]))
        if mode & NO_GRAD:
            return Value(data)
    node: Value = _new(Value)
    node.data = data
    node.grad = 0.0
    node.label = ""
    node.op = op
    node._x = x
    node._dx = dx
    node._y = y
    node._dy = dy
    node._rest = rest
    node._serial = next(_serials)
    if mode & LINES:
        node._source = anomaly.user_location()
    return node


def _operands(x: Any, y: Any, rest: tuple[tuple[Any, float | None], ...]) -> tuple[Any, ...]:
    return (x,) if y is None else (x, y, *[arg for arg, _ in rest])


def _data(x: Any) -> float | None:
    """Returns the number in ``x``, a Value or a number; None for an operand that operators do not
    support."""
    if x.__class__ is float:
        return x
    if isinstance(x, Value):
        return x.data
    try:
        return number(x)
    except TypeError:
        return None
