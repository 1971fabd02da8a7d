"""`Value`: a number that remembers how it was computed.

Every operator and every function of `math` makes a new node, which stores three things: its data,
its operands, and the derivative of its data with respect to each operand, as a number.  That is
all that backpropagation needs::

    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> y = a * b
    >>> y.data, y.op, y.partials
    (-6.0, 'mul', (-3.0, 2.0))
    >>> y.backward()
    >>> a.grad, b.grad
    (-3.0, 2.0)

The most frequent operators are written out here, for speed; others run their row of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..errors import is_number, number, wrong_type
from . import copies, graph
from .arrays import NUMPY_NAMES, NUMPY_PAIRS, apply_ufunc, elementwise
from .calls import NamesElsewhere, Readable, equal, straight
from .interpreter import active, blamed, current, interpreted
from .primitive import COMPARISONS, TABLE, Primitive, listeners

Number = float  # int, bool and numpy scalars are accepted wherever a float is
next_serial = graph.next_serial


def _operator(
    name: str,
) -> tuple[Callable[[Value, Value | Number], Value], Callable[[Value, Number], Value]]:
    """Returns a binary operator, which runs a row, and its reflection: `primitive._operator`, but
    faster, and other operands are left to their own classes."""

    def method(self: Value, other: Value | Number) -> Value:
        return _binary(TABLE[name], self, other)

    def reflected(self: Value, other: Number) -> Value:
        return _binary(TABLE[name], other, self)

    return method, reflected


def _comparison(symbol: str) -> Callable[[Value, Value | Number], bool]:
    """Returns the method of a comparison, which compares data."""
    holds = COMPARISONS[symbol]

    def method(self: Value, other: Value | Number) -> bool:
        if straight:
            straight.clear()
        if active and (result := current().compare(symbol, self, other)) is not None:
            return result  # type: ignore[no-any-return]
        return NotImplemented if (y := _data(other)) is None else holds(self.data, y)

    return method


def _method(name: str) -> Callable[[Value], Value]:
    """Returns the method that runs a row of one argument."""

    def method(self: Value) -> Value:
        if active or self.__class__ is not Value:
            return self.apply_primitive(TABLE[name], (self,))
        return _unary(TABLE[name], self)

    method.__name__ = name
    method.__qualname__ = f"Value.{name}"
    method.__doc__ = f"Returns ``math.{name}`` of this number, a new node."
    return method


class Value(Readable, NamesElsewhere):
    """One node of a computation graph.

        >>> x = Value(3.0, "x")
        >>> x * 2
        Value(data=6.0, grad=0.0, op='mul')

    ``Value(data, label="")`` makes a leaf.  ``data`` may be an int, float, bool or numpy scalar.
    Every row of one argument is a method: ``x.sin()`` is ``math.sin(x)``.

    data: the number, a float.  Assigning to a leaf's ``data`` changes later computations only.
    grad: d(root)/d(self) after a backward pass; leaves accumulate until it is set to 0.0.
    label: a name, shown with the node.
    op: the name of the primitive that made the node, or "" for a leaf.

    Raises:
        TypeError: ``data`` is not a real number, or ``label`` is not text.
        OverflowError: ``data`` is an int too large for a float.
    """

    __slots__ = ()
    __array_ufunc__ = apply_ufunc

    def __init__(self, data: Number, label: str = "") -> None:
        if isinstance(data, Value):
            if (known := current().leaf_of(self, data)) is None:
                raise TypeError(f"Value: data must be a number, not a Value ({data!r}); pass its "
                                ".data, or write `y + 0` for a new node that stays connected")
            data = known
        if not isinstance(label, str):
            raise wrong_type("Value: label", "text", label)
        self.data = number(data, f"the data of Value {label!r}" if label else "the data of a Value")
        self.grad = 0.0
        self.label = label
        self.op = ""
        self._x = self._dx = self._y = self._dy = None
        self._rest = ()
        self.serial = next_serial()

    # ---- structure

    @property
    def args(self) -> tuple[Value, ...]:
        """The operands, in order, duplicates kept.  A number appears as a `Constant`."""
        edges = self.edges
        if any(arg.__class__ is float for arg, _ in edges):
            self.edges = edges = [
                (Constant(arg, self) if arg.__class__ is float else arg, partial)
                for arg, partial in edges
            ]
        return tuple([arg for arg, _ in edges])

    @property
    def partials(self) -> tuple[float, ...]:
        """Local derivatives d(self)/d(args[i]), computed with the node; 0.0 for a constant."""
        return tuple([0.0 if partial is None else partial for _, partial in self.edges])

    def backward(self, seed: float = 1.0) -> None:
        """Adds ``seed`` times d(self)/d(leaf) to ``.grad`` of every leaf that this node depends on.

        For every other node, ``.grad`` is set to its adjoint, d(self)/d(node) times ``seed``.
        Calling it twice doubles the gradients of leaves only.  An interrupt restores all gradients.
        """
        graph.backpropagate([self], [number(seed, "seed")])

    @interpreted
    def detach(self) -> Value:
        """Returns a leaf with the same number; no gradient flows through it."""
        return Value(self.data)

    __copy__ = interpreted(copies.copy_node)
    __deepcopy__ = interpreted(copies.deepcopy)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        self._number("a pickle")
        return copies.reduce_node(self)

    # ---- comparisons: of data; == and hash are identity, so that nodes can be keys

    __eq__ = equal
    __hash__ = graph.Node.__hash__
    __lt__, __le__, __gt__, __ge__ = map(_comparison, ("<", "<=", ">", ">="))

    # ---- arithmetic: + and * of two Values, the most frequent ones, create their nodes in place

    def __add__(self, other: Value | Number) -> Value:
        try:
            if isinstance(other, Value):
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
                node.serial = next_serial()
                return current().seen(node) if active else node
            if (y := _data(other)) is None:
                return _entrywise("add", self, other)
            return _record("add", self.data + y, self, 1.0, y)
        except TypeError as error:
            raise blamed(error, self, other) from None

    def __radd__(self, other: Number) -> Value:
        try:
            if (x := _data(other)) is None:
                return _entrywise("add", other, self)
            return _record("add", x + self.data, x, None, self, 1.0)
        except TypeError as error:
            raise blamed(error, self) from None

    def __sub__(self, other: Value | Number) -> Value:
        try:
            if isinstance(other, Value):
                return _record("sub", self.data - other.data, self, 1.0, other, -1.0)
            if (y := _data(other)) is None:
                return _entrywise("sub", self, other)
            return _record("sub", self.data - y, self, 1.0, y)
        except TypeError as error:
            raise blamed(error, self, other) from None

    def __rsub__(self, other: Number) -> Value:
        try:
            if (x := _data(other)) is None:
                return _entrywise("sub", other, self)
            return _record("sub", x - self.data, x, None, self, -1.0)
        except TypeError as error:
            raise blamed(error, self) from None

    def __mul__(self, other: Value | Number) -> Value:
        try:
            if isinstance(other, Value):
                node: Value = _new(Value)
                node.data = self.data * other.data
                node.grad = 0.0
                node.label = ""
                node.op = "mul"
                node._x = self
                node._dx = other.data
                node._y = other
                node._dy = self.data
                node._rest = ()
                node.serial = next_serial()
                return current().seen(node) if active else node
            if (y := _data(other)) is None:
                return _entrywise("mul", self, other)
            return _record("mul", self.data * y, self, y, y)
        except TypeError as error:
            raise blamed(error, self, other) from None

    def __rmul__(self, other: Number) -> Value:
        try:
            if (x := _data(other)) is None:
                return _entrywise("mul", other, self)
            return _record("mul", x * self.data, x, None, self, x)
        except TypeError as error:
            raise blamed(error, self) from None

    __truediv__, __rtruediv__ = _operator("div")
    __mod__, __rmod__ = _operator("remainder")
    __floordiv__, __rfloordiv__ = _operator("floordiv")
    _power, __rpow__ = _operator("pow")

    def __pow__(self, other: Value | Number, modulus: None = None) -> Value:
        if modulus is not None:
            raise TypeError("pow: the modulus must be None for a Value; take % of the result")
        return self._power(other)

    def pow(self, y: Value | Number) -> Value:
        """Returns ``self ** y``, a new node."""
        return self.apply_primitive(TABLE["pow"], (self, y))

    def __divmod__(self, other: Value | Number) -> tuple[Value, Value]:
        return self // other, self % other

    def __rdivmod__(self, other: Number) -> tuple[Value, Value]:
        return other // self, other % self

    def __neg__(self) -> Value:
        try:
            return _record("neg", -self.data, self, -1.0)
        except TypeError as error:
            raise blamed(error, self) from None

    def __pos__(self) -> Value:
        return self

    def __round__(self, digits: int | None = None) -> Value:
        name, args = ("round", (self,)) if digits is None else ("round_digits", (self, digits))
        return self.apply_primitive(TABLE[name], args)

    __abs__, __trunc__, __floor__, __ceil__ = map(_method, ("abs", "trunc", "floor", "ceil"))

    if TYPE_CHECKING:  # the class has a method for every row of one argument, see `_add_method`

        def __getattr__(self, name: str) -> Callable[[], Value]: ...

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Value:
        """Returns the node for a row applied to ``args``; plain numbers become constants."""
        if active and (result := current().apply(primitive, args)) is not None:
            return result  # type: ignore[no-any-return]
        try:
            return _apply(primitive, args) if len(args) > 1 else _unary(primitive, args[0])
        except TypeError as error:
            raise blamed(error, *args) from None


_new: Any = Value.__new__  # makes a node without the checks of Value()


def _add_method(row: Primitive) -> None:
    if row.arity == 1 and not hasattr(Value, row.name):
        setattr(Value, row.name, _method(row.name))


# One by one, since `__getattr__` would slow all attributes: backward would take twice as long.
listeners.append(_add_method)
for _row in TABLE.values():
    _add_method(_row)
for _name, _row_name in NUMPY_NAMES.items():  # numpy calls them for the entries of an array
    setattr(Value, _name, _method(_row_name))
for _name, _row_name in NUMPY_PAIRS.items():
    setattr(Value, _name, lambda x, y, row=_row_name: x.apply_primitive(TABLE[row], (x, y)))
for _name, _function in vars(Value).items():
    if isinstance(_function, FunctionType) and _function.__module__ == __name__:
        _function.__qualname__ = f"Value.{_name}"  # by which pickle finds it


class Constant(Value):
    """A plain number that is an operand of a node.  It receives no gradient."""

    __slots__ = ()
    constant = True

    def __init__(self, data: float, user: Value) -> None:
        super().__init__(data)
        self.serial = user.serial - 0.5  # just before its user in the order of execution


def _unary(primitive: Primitive, x: Value) -> Value:
    try:
        out = primitive.forward(x.data)
        return _record(primitive.name, out, x, primitive.partial_at(0, (x.data,), out))
    except TypeError as error:
        raise blamed(error, x) from None


def _apply(primitive: Primitive, args: tuple[Any, ...]) -> Value:
    """Applies a row of several arguments."""
    operands = [
        arg if isinstance(arg, Value) else number(arg, f"argument {name} of {primitive.name}")
        for name, arg in zip(primitive.parameters, args)
    ]
    data = tuple([arg.data if isinstance(arg, Value) else arg for arg in operands])
    out = primitive.forward(*data)
    if primitive.name == "where":  # only the branch taken stays connected
        straight.clear()
        for i in (0, 2 if data[0] else 1):
            operands[i] = data[i]
    edges = [
        (arg, primitive.partial_at(i, data, out) if isinstance(arg, Value) else None)
        for i, arg in enumerate(operands)
    ]
    (x, dx), (y, dy), *rest = edges
    return _record(primitive.name, out, x, dx, y, dy, tuple(rest))


def _binary(primitive: Primitive, x: Any, y: Any) -> Value:
    left = _data(x)
    right = _data(y)
    if left is None or right is None:
        if (error := blamed(None, x, y)) is not None:
            raise error
        return _entrywise(primitive.name, x, y)
    data = left, right
    try:
        out = primitive.forward(left, right)
    except TypeError as error:
        raise blamed(error, x, y) from None
    dx = primitive.partial_at(0, data, out) if isinstance(x, Value) else None
    dy = primitive.partial_at(1, data, out) if isinstance(y, Value) else None
    return _record(
        primitive.name, out, left if dx is None else x, dx, right if dy is None else y, dy
    )


def _entrywise(name: str, x: Any, y: Any) -> Value:
    """Returns the result for an array of objects, and NotImplemented for any other operand."""
    return elementwise(TABLE[name], x, y)  # type: ignore[no-any-return]


def _record(
    op: str, data: float, x: Any, dx: float | None, y: Any = None, dy: float | None = None,
    rest: tuple[tuple[Any, float | None], ...] = (),
) -> Value:
    """Makes a node of one or two edges and a ``rest``; a constant's derivative is None."""
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
    node.serial = next_serial()
    return current().seen(node) if active else node


def _data(x: Any) -> float | None:
    """Returns the number in ``x``, a Value or a number; None if operators do not support it."""
    if x.__class__ is float:
        return x
    if isinstance(x, Value):
        return x.data
    return number(x) if is_number(x) else None
