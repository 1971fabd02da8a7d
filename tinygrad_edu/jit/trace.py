"""Tracing: a function runs once on values that stand for any number, and what it does with them is written down.

    >>> def f(x, y):
    ...     return math.sin(x) * y + 1.0
    >>> trace, _ = record_trace(f, ["x", "y"], lambda values: (values, {}))
    >>> for node in trace.nodes:
    ...     print(node)
    ('input', (0,))
    ('input', (1,))
    ('sin', (0,))
    ('mul', (2, 1))
    ('add', (3, 1.0))

A `Traced` value is a Value without data.  Operators, methods and rows make further nodes of the trace out of it; a comparison
makes a condition, a number that is 1.0 or 0.0, which `where` takes.  Whatever would need its number or its truth raises
`TraceError`, since the answer would be frozen into the compiled program.

Leaves that the function closes over (the parameters of a model, say) become parameters of the trace.  While it runs they are
guarded in the same way: those that `closed_over` finds, and those that take part in an operation.
"""

from __future__ import annotations

import functools
import random
import threading
import types
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from .. import math, modes
from ..anomaly import Line, _line, shown_line, source
from ..errors import TraceError
from ..formula import Name, as_name
from ..primitives import Operand, Primitive, lookup, number, short_repr
from ..value import Value, _serials

Ref = int  # a node of a trace, by its position; an operand that is a float is a constant
Node = tuple[str, tuple[Any, ...]]

# Operations that a trace has beyond the rows of the table.  None of them has a derivative by its condition or index.
LESS, LESS_EQUAL = "less", "less_equal"  # of two numbers: 1.0 or 0.0
TAKE = "take"  # (index, entry, entry, ...): the entry at that index
SUMPROD = "sumprod"  # (x, y, x, y, ...): the sum of products from the left
DETACH = "detach"  # its operand, of which nothing is to be differentiated: the shift of a softmax

_data = Value.__dict__["data"]  # the slot itself, which the classes below hide
_grad = Value.__dict__["grad"]
_tracing_lock = threading.RLock()  # the guard of leaves is theirs, whichever thread traces: one at a time


class Trace:
    """A function, operation by operation, in the order of execution.

    nodes        (operation, operands) for each; an operand is a position in this list, or a float
    inputs       the names of the arguments, one for each number
    parameters   the leaves that the function closes over, in the order in which it came upon them
    draws        what the function draws at random, each as the function that draws one number (see `fresh`)
    labels       names of nodes: of inputs, parameters, draws, and results that the function gave a label
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.nodes: list[Node] = [("input", (i,)) for i in range(len(inputs))]
        self.inputs = list(inputs)
        self.parameters: list[Value] = []
        self.draws: list[Callable[[], float]] = []
        self.labels: dict[Ref, str] = dict(enumerate(inputs))
        self._parameter_refs: dict[Value, Ref] = {}
        self._turned: set[Ref] = set()  # comparisons that the program wrote the other way round
        self._since = next(_serials)  # leaves that are older were made outside

    def value(self, op: str, args: tuple[Any, ...]) -> Traced:
        """A new node, as the value that the function goes on with."""
        self.nodes.append((op, args))
        out = _new(Traced)
        out._index = len(self.nodes) - 1
        out._trace = self
        return out  # type: ignore[no-any-return]

    def operand(self, x: Any) -> Ref | float:
        """What stands for ``x`` in the operands of a node."""
        if x.__class__ is Traced:
            if x._trace is not self:
                raise _error(f"a traced value, {x}, was kept from an earlier run of the function; it has no number here")
            return x._index
        if x.__class__ is float:
            return x
        return self._leaf(x) if isinstance(x, Value) else number(x)

    def _leaf(self, x: Value) -> Ref | float:
        if x in self._parameter_refs:
            return self._parameter_refs[x]
        if x.constant or (x._x is None and x._serial > self._since):  # a number, or a leaf that the function made itself
            return _data.__get__(x)  # type: ignore[no-any-return]
        if x._x is not None:
            raise _error(f"the function uses {short_repr(x)}, which was computed outside of it: its number would be frozen; "
                         "compute it inside, or pass it as an argument")
        self._parameter_refs[x] = ref = len(self.nodes)
        self.labels[ref] = str(x.label) or f"p{len(self.parameters)}"
        self.nodes.append(("parameter", (len(self.parameters),)))
        self.parameters.append(x)
        return ref

    def apply(self, primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """How rows of the table run while this is traced; on plain numbers they compute."""
        refs = tuple([self.operand(arg) for arg in args])
        return self.value(primitive.name, refs) if any(ref.__class__ is int for ref in refs) else primitive.forward(*refs)

    def compare(self, symbol: str, x: Any, y: Any) -> Any:
        """A condition: the comparison of two values, as 1.0 or 0.0."""
        try:
            left, right = self.operand(x), self.operand(y)
        except TypeError as error:
            if isinstance(error, TraceError):
                raise
            return NotImplemented
        if left.__class__ is float and right.__class__ is float:
            return left < right if symbol == "<" else left <= right if symbol == "<=" else \
                left > right if symbol == ">" else left >= right
        if symbol in (">", ">="):
            left, right = right, left
            self._turned.add(len(self.nodes))
        return self.value(LESS if symbol in ("<", ">") else LESS_EQUAL, (left, right))

    def take(self, entries: Sequence[Any], index: Any) -> Any:
        """The entry of a sequence at an index that is not known yet; of rows of entries, a row."""
        if not len(entries):
            raise IndexError("take: the sequence has no entries")
        if isinstance(entries[0], (list, tuple)):
            if len({len(row) for row in entries}) > 1:
                raise _error("take: the rows differ in length, so that the index would decide about the shape of the program")
            return [self.take(column, index) for column in zip(*entries)]
        return self.value(TAKE, (self.operand(index), *map(self.operand, entries)))

    def sumprod(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        """The sum of products, as one node."""
        operand, known = self.operand, self._parameter_refs
        refs: list[Any] = [None] * (2 * len(xs))  # the two usual kinds of operands at once, for speed: there are many of them
        refs[::2] = [x._index if x.__class__ is Traced and x._trace is self else known.get(x) or operand(x) for x in xs]
        refs[1::2] = [y._index if y.__class__ is Traced and y._trace is self else known.get(y) or operand(y) for y in ys]
        if all(ref.__class__ is float for ref in refs):
            return math.sumprod(refs[::2], refs[1::2])
        return self.value(SUMPROD, tuple(refs))

    def shift(self, xs: Sequence[Any]) -> Any:
        """The largest of ``xs``, as `max` finds it, and 0 if that is not finite; nothing of it is differentiated."""
        largest = xs[0]
        for x in xs[1:]:
            largest = math.where(x > largest, x, largest)
        return self.value(DETACH, (self.operand(math.where(abs(largest) < math.inf, largest, 0.0)),))

    def fresh(self, draw: Callable[[], float]) -> Traced:
        """A number that ``draw`` is to draw anew at every call of the compiled function, such as a dropout mask."""
        self.draws.append(draw)
        self.labels[len(self.nodes)] = f"draw{len(self.draws)}"
        return self.value("draw", (len(self.draws) - 1,))

    def number_of(self, x: Value, what: str) -> None:
        """Raises TraceError if the number of ``x``, for which ``what`` asks, is not known while tracing."""
        if (ref := self.operand(x)).__class__ is float:
            return
        shown = self.text(ref)
        if what == "truth":
            raise _error(f"if, and, or, not, while, max(), min() or sorted() asks whether `{shown}` holds, which is known "
                         "only when the compiled function runs", "choose with math.where(condition, x, y), "
                         "math.maximum(x, y) or math.minimum(x, y)")
        raise _error(f"{what} asks for the number of `{shown}`, which is known only when the compiled function runs",
                     "compute with the value itself" + ("; to look something up, take(sequence, index)"
                                                        if what in ("indexing or range()", "int()") else ""))

    def text(self, ref: Ref | float, limit: int = 60) -> str:
        """The expression of a node, as in a program; what is too long stays a dot."""
        text = str(self._name(ref, 3))
        return text if len(text) <= limit else text[:limit - 1] + "…"

    def _name(self, ref: Ref | float, depth: int) -> Name:
        if ref.__class__ is float:
            return as_name(ref)
        op, args = self.nodes[int(ref)]
        if int(ref) in self.labels:
            return Name(self.labels[int(ref)])
        if depth == 0:
            return Name("…")
        names = [self._name(arg, depth - 1) for arg in args]
        return names[1].compare(">" if op == LESS else ">=", names[0]) if ref in self._turned else spelled(op, names)


def spelled(op: str, names: list[Name]) -> Name:
    """An operation on names, as text; of a trace or of a tape."""
    if op in (LESS, LESS_EQUAL):
        return names[0].compare("<" if op == LESS else "<=", names[1])
    if op == TAKE:
        return Name(f"take([{', '.join(map(str, names[1:]))}], {names[0]})")
    if op == SUMPROD:
        products: Name = sum([x * y for x, y in zip(names[2::2], names[3::2])], names[0] * names[1])
        return products
    if op == DETACH:
        return Name(f"detach({names[0]})")
    return Name.apply_primitive(lookup(op), tuple(names))


# ---- the values that stand for any number ------------------------------------------------------------------------


def _error(message: str, remedy: str = "") -> TraceError:
    at: Line = _line(source())
    error = TraceError(f"{message}\n{shown_line(at)}\n"
                       + (f"{remedy}; what decides about the shape of a program can be a static argument: "
                          'jit(f, static=["n"])' if remedy else ""))
    error.line = at
    return error


def _ask(x: Value, what: str) -> None:
    trace = modes.tracer()
    if trace is None:
        raise _error(f"{what} asks for the number of a traced value, which was kept after its function had been traced")
    trace.number_of(x, what)


class _Guarded(Operand, Value):  # type: ignore[misc]  # pow() of a Value may have a modulus, and refuses it
    """A Value whose number is not to be had while tracing; operators and rows go into the trace."""

    __slots__ = ()
    traced = True

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """A node of the trace; in a thread that does not trace, what it always is."""
        trace = modes.tracer()
        if trace is None:
            return Value.apply_primitive(primitive, args)
        try:
            return trace.apply(primitive, args)
        except TraceError:
            raise
        except TypeError:
            if primitive.symbol:
                return NotImplemented  # an operator leaves it to the other operand
            raise

    def compare(self, symbol: str, y: Any) -> Any:
        """A condition of the trace; in a thread that does not trace, True or False."""
        trace = modes.tracer()
        if trace is not None:
            return trace.compare(symbol, self, y)
        name = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}[symbol]
        return getattr(Value, name)(self, y)

    def __and__(self, other: Any) -> Any:
        return self * other

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return math.maximum(self, other)

    __ror__ = __or__

    def __bool__(self) -> bool:
        _ask(self, "truth")
        return Value.__bool__(self)

    def __float__(self) -> float:
        _ask(self, "float(), math of the standard library or a format")
        return Value.__float__(self)

    def __int__(self) -> int:
        _ask(self, "int()")
        return Value.__int__(self)

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else repr(self)

    def __round__(self, digits: int | None = None) -> Any:
        return math.round_digits(self, digits) if digits is not None else _round(self)

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
        if modes.tracer() is not None:
            raise _error("backward() in a function that is traced: there are no numbers to differentiate yet",
                         "return the value, and call value_and_grad of the compiled function")
        Value.backward(self, seed)


_round = lookup("round")


class Traced(_Guarded):
    """A node of a trace."""

    __slots__ = ("_index", "_trace")

    _index: int
    _trace: Trace

    @property
    def data(self) -> float:
        """Raises TraceError."""
        _ask(self, ".data")
        raise _error(".data of a traced value")

    @data.setter
    def data(self, x: float) -> None:
        raise _error("data is assigned to a traced value, which is a result, not a leaf")

    @property
    def grad(self) -> float:  # type: ignore[override]
        """Raises TraceError."""
        raise _error(".grad of a traced value: there are no gradients while tracing", "call value_and_grad of the compiled "
                     "function")

    @property
    def args(self) -> tuple[Value, ...]:
        """Raises TraceError."""
        raise _error(".args of a traced value: it has no graph", "call the function itself for one")

    @property
    def partials(self) -> tuple[float, ...]:
        """Raises TraceError."""
        raise _error(".partials of a traced value: it has no graph", "call the function itself for one")

    @property
    def op(self) -> str:  # type: ignore[override]
        """The name of the operation."""
        return self._trace.nodes[self._index][0]

    @property
    def label(self) -> str:
        """The name, which the text of the tape shows."""
        return self._trace.labels.get(self._index, "")

    @label.setter
    def label(self, label: str) -> None:
        self._trace.labels[self._index] = label

    def __index__(self) -> int:
        _ask(self, "indexing or range()")
        raise _error("indexing or range() asks for the number of a traced value")

    def __repr__(self) -> str:
        return f"Traced({self._trace.text(self._index)})"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        raise _error("a traced value cannot be copied or pickled: it has no number", "copy the function's results")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self.__reduce_ex__(4)

    __copy__ = __pos__ = lambda self: self


class _GuardedLeaf(_Guarded):
    """What a leaf is while a function that closes over it is traced: the same leaf, whose number is not to be had."""

    __slots__ = ()

    @property
    def data(self) -> float:
        """The number, in a thread that does not trace; else TraceError."""
        if modes.tracer() is not None:
            _ask(self, ".data")
        return _data.__get__(self)  # type: ignore[no-any-return]

    @data.setter
    def data(self, x: float) -> None:
        if modes.tracer() is not None:
            raise _error(f"the function assigns data to the leaf {self.label or 'it closes over'}: that would happen once, "
                         "when it is compiled, and never again")
        _data.__set__(self, x)

    @property
    def grad(self) -> float:
        """The gradient, in a thread that does not trace; else TraceError."""
        if modes.tracer() is not None:
            raise _error(f".grad of the leaf {self.label or ''}: its number would be frozen", "read gradients outside")
        return _grad.__get__(self)  # type: ignore[no-any-return]

    @grad.setter
    def grad(self, x: float) -> None:
        if modes.tracer() is not None:
            raise _error(f"the function assigns .grad of the leaf {self.label or ''}: that would happen once, when it is "
                         "compiled, and never again")
        _grad.__set__(self, x)


_new: Any = Traced.__new__


# ---- tracing a function ------------------------------------------------------------------------------------------


def record_trace(f: Callable[..., Any], names: Sequence[str], arguments: Callable[[list[Any]], tuple[Any, Any]]
                 ) -> tuple[Trace, Any]:
    """Runs ``f`` once on traced values; returns the trace and what ``f`` returned.

    ``names`` has a name for each number among the arguments; ``arguments`` puts the values in their places: it returns
    the positional and the keyword arguments.
    """
    leaves = closed_over(f)
    known = set(leaves)
    with _tracing_lock:
        while True:
            trace = Trace(names)
            guarded = [leaf for leaf in leaves if leaf.__class__ in (Value, _GuardedLeaf)]  # the latter after an interrupt
            try:
                _set_class(guarded, _GuardedLeaf)
                with modes.tracing(trace):
                    values = []
                    for i in range(len(names)):
                        value = _new(Traced)
                        value._index, value._trace = i, trace
                        values.append(value)
                    args, kwargs = arguments(values)
                    before = random.getstate()
                    result = f(*args, **kwargs)
                    if random.getstate() != before:
                        raise TraceError("the function draws from the module `random` while it is traced: the numbers would "
                                         "be the same at every call; draw them outside and pass them as arguments")
            finally:
                _set_class(guarded, Value)
            # A leaf that was first met in an operation may have been asked for its data before: again, now that it is known.
            if not (missed := [leaf for leaf in trace.parameters if leaf.__class__ is Value and leaf not in known]):
                return trace, result
            leaves += missed
            known.update(missed)


def _set_class(leaves: list[Value], cls: type[Value]) -> None:
    deque(map(setattr, leaves, repeat("__class__"), repeat(cls)), maxlen=0)  # in one go, for a signal handler


def closed_over(f: Any, most: int = 200_000) -> list[Value]:
    """The leaves that ``f`` can reach by its closure, its defaults, the globals it names, and what those contain.

    It looks into functions, methods, lists, tuples, dicts, sets and the attributes of objects, at ``most`` so many.
    """
    found: dict[Value, None] = {}
    seen: dict[int, Any] = {}
    waiting: list[Any] = [f]
    while waiting and len(seen) < most:
        x = waiting.pop()
        if x is None or isinstance(x, (str, bytes, int, float, complex, types.ModuleType, type, types.BuiltinFunctionType)) \
                or id(x) in seen:
            continue
        seen[id(x)] = x
        if isinstance(x, Value):
            if x.__class__ in (Value, _GuardedLeaf) and x._x is None:
                found[x] = None
        elif isinstance(x, types.FunctionType):
            waiting += _reached_by(x)
        elif isinstance(x, types.MethodType):
            waiting += [x.__self__, x.__func__]
        elif isinstance(x, functools.partial):
            waiting += [x.func, x.args, x.keywords]
        elif isinstance(x, dict):
            waiting += x.values()
        elif isinstance(x, (list, tuple, set, frozenset)):
            waiting += x
        elif not isinstance(x, Primitive):
            waiting += [call] if isinstance(call := vars(type(x)).get("__call__"), types.FunctionType) else []
            waiting += vars(x).values() if hasattr(x, "__dict__") else []
            waiting += [getattr(x, name, None) for cls in type(x).__mro__ for name in vars(cls).get("__slots__", ())]
    return list(found)


def _reached_by(f: types.FunctionType) -> list[Any]:
    reached: list[Any] = [f.__defaults__, f.__kwdefaults__, getattr(f, "__wrapped__", None)]
    for cell in f.__closure__ or ():
        try:
            reached.append(cell.cell_contents)
        except ValueError:  # a name that has not been assigned yet
            continue
    codes = [f.__code__]
    while codes:
        code = codes.pop()
        reached += [f.__globals__[name] for name in code.co_names if name in f.__globals__]
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return reached
