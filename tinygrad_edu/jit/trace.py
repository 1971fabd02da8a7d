"""Tracing: a function runs on values that stand for any number, and what it does with them is
written down.

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

A `Traced` value is a Value without data.  Operators, methods and rows make further nodes of the
trace out of it; a comparison makes a condition, a number that is 1.0 or 0.0, which `where` takes.
Whatever would need its number or its truth raises `TraceError`, since the answer would be frozen
into the compiled program.

Leaves that the function closes over (the parameters of a model, say) become parameters of the
trace.  While it runs, their numbers are not to be had either.

The function runs twice, to see whether it is the same program both times: what it draws or counts
would be frozen, too.  That it catches a `TraceError` helps it nothing: the error is remembered, and
raised in the end.  Only what Python decides without asking the value goes unnoticed: `is`,
`isinstance`, and the text of a value.
"""

from __future__ import annotations

import marshal
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .. import math
from ..engine import modes, value
from ..engine.anomaly import CodePosition, SourceLine, line_text, source_line, user_location
from ..engine.primitives import Operand, Primitive, lookup, number, short_repr
from ..engine.value import Value, next_serial
from ..errors import TraceError, some
from ..nn.module import Module
from ..symbolic.formulas import Name, as_name
from .state import State
from .structure import TRACED

Ref = int  # a node of a trace, by its position; an operand that is a float is a constant
Node = tuple[str, tuple[Any, ...]]

# Operations that a trace has beyond the rows of the table.  None of them has a derivative by its
# condition or index.
LESS, LESS_EQUAL = "less", "less_equal"  # of two numbers: 1.0 or 0.0
TAKE = "take"  # (index, entry, entry, ...): the entry at that index
SUMPROD = "sumprod"  # (x, y, x, y, ...): the sum of products from the left
DETACH = "detach"  # its operand, of which nothing is to be differentiated: the shift of a softmax

SOURCES = ("input", "parameter", "draw")  # the nodes that are read when the program runs

_data = Value.__dict__["data"]  # the slot itself
# those that are being made, in any thread: as long as there are some, the guards below stand
_tracing: set[Trace] = set()
_tracing_lock = threading.Lock()  # for a moment, to say so


class Trace:
    """A function, operation by operation, in the order of execution.

    nodes        (operation, operands) for each; an operand is a position in this list, or a float
    inputs       the names of the arguments, one for each number
    parameters   the leaves that the function closes over, in the order in which it came upon them
    draws        what the function draws at random, each as the function that draws one number (see
                 `fresh`)
    labels       names of nodes: of inputs, parameters, draws, and results that the function gave a
                 label
    refused      the first error about it: the function may catch it, and go on to something that
                 was not meant
    modules      the modules that the function can reach; their mode, training or evaluation, is
                 part of the program
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.nodes: list[Node] = [("input", (i,)) for i in range(len(inputs))]
        self.inputs = list(inputs)
        self.parameters: list[Value] = []
        self.draws: list[Callable[[], float]] = []
        self.labels: dict[Ref, str] = dict(enumerate(inputs))
        self.refused: TraceError | None = None
        self.modules: list[Module] = []
        # nodes that are 1.0 or 0.0: comparisons, and what is made of them
        self._conditions: set[Ref] = set()
        self._parameter_refs: dict[Value, Ref] = {}
        self._turned: set[Ref] = set()  # comparisons that the program wrote the other way round
        self._since = next_serial()  # leaves that are older were made outside

    def value(self, op: str, args: tuple[Any, ...]) -> Traced:
        """A new node, as the value that the function goes on with."""
        self.nodes.append((op, args))
        out = _new(Traced)
        if modes.current() & modes.NO_GRAD and op != DETACH:
            self.nodes.append((DETACH, (len(self.nodes) - 1,)))
        out._index = len(self.nodes) - 1
        out._trace = self
        return out  # type: ignore[no-any-return]

    def operand(self, x: Any) -> Ref | float:
        """What stands for ``x`` in the operands of a node."""
        if x.__class__ is Traced:
            if x._trace is not self:
                raise _error(
                    f"a traced value, {x}, was kept from an earlier run of the function; it has no "
                    "number here",
                    "return what is needed later",
                )
            return x._index
        if x.__class__ is float:
            return x
        return self._leaf(x) if isinstance(x, Value) else number(x)

    def symbol(self, leaf: Value) -> Traced:
        """A traced value for a leaf, which is read at each run of the program."""
        out = _new(Traced)
        out._index = self.operand(leaf)
        out._trace = self
        return out  # type: ignore[no-any-return]

    def _leaf(self, x: Value) -> Ref | float:
        if x in self._parameter_refs:
            return self._parameter_refs[x]
        # a number, or a leaf that the function made itself
        if x.constant or (x._x is None and x._serial > self._since):
            return float(_data.__get__(x))
        if x._x is not None:
            raise _error(
                f"the function uses {short_repr(x)}, which was computed outside of it: its number "
                "would be frozen",
                "compute it inside, or pass it as an argument",
            )
        self._parameter_refs[x] = ref = len(self.nodes)
        self.labels[ref] = str(x.label) or f"p{len(self.parameters)}"
        self.nodes.append(("parameter", (len(self.parameters),)))
        self.parameters.append(x)
        return ref

    def apply(self, primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """How rows of the table run while this is traced; on plain numbers they compute."""
        refs = tuple([self.operand(arg) for arg in args])
        if any(ref.__class__ is int for ref in refs):
            made = self.value(primitive.name, refs)
            if (
                primitive.name == "sub"
                and refs[0].__class__ is float
                and refs[0] == 1.0
                and self.is_condition(refs[1])
            ):
                self._conditions.add(made._index)  # the opposite of a condition
            return made
        out = primitive.forward(*refs)
        return Value(out) if any(isinstance(arg, Value) for arg in args) else out

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
        return self._condition(
            self.value(LESS if symbol in ("<", ">") else LESS_EQUAL, (left, right))
        )

    def _condition(self, x: Traced) -> Traced:
        self._conditions.add(x._index)
        return x

    def is_condition(self, ref: Ref | float) -> bool:
        """Whether a node is 1.0 where a condition holds, and otherwise 0.0."""
        return ref.__class__ is int and ref in self._conditions

    def join(self, symbol: str, x: Traced, y: Any) -> Any:
        """Two conditions joined by & or |.  Raises TraceError if one of them is not a condition."""
        left, right = self.operand(x), self.operand(y)
        is_known = y.__class__.__name__ in ("bool_", "bool")  # of numpy, too
        for ref in (left,) if is_known else (left, right):
            if not self.is_condition(ref):
                raise _error(
                    f"{symbol} joins conditions, and `{self.text(ref)}` is a number, whose bits a "
                    "compiled function "
                    "does not have",
                    f"compare it, as in (x > 0) {symbol} (y > 0); whether x is odd is x % 2 > 0; "
                    f"{STATIC}",
                )
        return self._condition(self.value("mul" if symbol == "&" else "maximum", (left, right)))

    def take(self, entries: Sequence[Any], index: Any) -> Any:
        """The entry of a sequence at an index that is not known yet; of rows of entries, a row.
        Arrays count as lists."""
        if hasattr(entries[0], "tolist"):
            entries = [entry.tolist() if hasattr(entry, "tolist") else entry for entry in entries]
        if isinstance(entries[0], (list, tuple)):
            for i, row in enumerate(entries):
                if not isinstance(row, (list, tuple)):
                    raise self._no_entry(i, row)
            if len({len(row) for row in entries}) > 1:
                raise _error(
                    "take: the rows differ in length, so that the index would decide about the "
                    "shape of the program",
                    "fill the shorter ones up",
                )
            row = [self.take(column, index) for column in zip(*entries)]
            return tuple(row) if isinstance(entries[0], tuple) else row
        refs = [self.operand(index)]
        try:
            for entry in entries:
                refs.append(self.operand(entry))
        except TypeError as error:
            raise (
                error if isinstance(error, TraceError) else self._no_entry(len(refs) - 1, entry)
            ) from None
        return self.value(TAKE, tuple(refs))

    @staticmethod
    def _no_entry(i: int, entry: Any) -> TraceError:
        return _error(
            f"take: entry {i} is {short_repr(entry)}, of type {type(entry).__name__}, among which "
            "no index of a "
            "compiled function can choose",
            "the entries must all be numbers and Values, or all rows of such, of one length",
        )

    def sumprod(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        """The sum of products, as one node."""
        operand, known = self.operand, self._parameter_refs
        # the two usual kinds of operands at once, for speed: there are many of them
        refs: list[Any] = [None] * (2 * len(xs))
        refs[::2] = [
            x._index if x.__class__ is Traced and x._trace is self else known.get(x) or operand(x)
            for x in xs
        ]
        refs[1::2] = [
            y._index if y.__class__ is Traced and y._trace is self else known.get(y) or operand(y)
            for y in ys
        ]
        if all(ref.__class__ is float for ref in refs):
            return math.total([x * y for x, y in zip(refs[::2], refs[1::2])])
        return self.value(SUMPROD, tuple(refs))

    def is_known(self, x: Value) -> bool:
        """Whether the number of ``x`` is known while tracing: of leaves that the function made
        itself."""
        return x.__class__ is not Traced and self.operand(x).__class__ is float

    def shift(self, xs: Sequence[Any]) -> Any:
        """The largest of ``xs``, as `max` finds it, and 0 if that is not finite; nothing of it is
        differentiated."""
        largest = xs[0]
        for x in xs[1:]:
            largest = math.where(x > largest, x, largest)
        return self.value(
            DETACH, (self.operand(math.where(abs(largest) < math.inf, largest, 0.0)),)
        )

    def fresh(self, draw: Callable[[], float]) -> Traced:
        """A number that ``draw`` is to draw anew at every call of the compiled function, such as a
        dropout mask."""
        self.draws.append(draw)
        self.labels[len(self.nodes)] = f"draw{len(self.draws)}"
        return self.value("draw", (len(self.draws) - 1,))

    def difference(self, other: Trace) -> tuple[Ref, str] | None:
        """Where another run of the same function went otherwise, and how; None if it did not."""
        # as bytes nan is nan, and 0.0 is not -0.0
        if marshal.dumps(self.nodes, 2) == marshal.dumps(other.nodes, 2):
            found = [leaf is not there for leaf, there in zip(self.parameters, other.parameters)]
            return (
                (self._parameter_refs[self.parameters[found.index(True)]], "it uses other leaves")
                if any(found)
                else None
            )
        for i, (here, there) in enumerate(zip(self.nodes, other.nodes)):
            if repr(here) != repr(there):
                return i, f"once `{self.text(i)}`, and once `{other.text(i)}`"
        counts = len(self.nodes), len(other.nodes)
        return min(counts) - 1, f"once it has {counts[0]} nodes, and once {counts[1]}"

    def number_of(self, x: Value, what: str) -> None:
        """Raises TraceError if the number of ``x``, for which ``what`` asks, is not known while
        tracing."""
        if not self.is_known(x):
            raise self.refusal(x, what)

    def refusal(self, x: Value, what: str) -> TraceError:
        """The error for a program that asks for a number, or whether a condition holds."""
        shown = self.text(self.operand(x))
        if what == "truth":
            return _error(
                f"if, and, or, not, while, max(), min() or sorted() asks whether `{shown}` holds, "
                "which is known "
                "only when the compiled function runs",
                "choose with math.where(condition, x, y), "
                f"math.maximum(x, y) or math.minimum(x, y); {STATIC}",
            )
        remedy = {
            "float()": "use this package's math (from tinygrad_edu import math), and compute with "
                       "the value itself",
            "int()": "math.trunc(x) is the whole number as a value; to look something up, "
                     "take(sequence, index)",
            "indexing or range()": "to look something up, take(sequence, index)",
            "a set or the key of a dict": "to look something up, take(sequence, index)",
            "== or != or in": "math.where takes the conditions <, <=, > and >=, also joined by & "
                              "and |",
            ".grad": "read gradients outside of the function",
        }.get(what, "compute with the value itself")
        return _error(
            f"{what} asks for the number of `{shown}`, which is known only when the compiled "
            "function runs",
            remedy if what == ".grad" else f"{remedy}; {STATIC}",
        )

    def derivative(self, what: str) -> TraceError:
        """The error for a derivative inside of a function that is traced."""
        return _error(
            f"{what} in a function that is traced: there are no numbers to differentiate yet",
            "return the value, and call value_and_grad, or hessian, of the compiled function",
        )

    def label(self, ref: Ref) -> str:
        """The label of a node, on one line; empty if there is none, unless the node is a source."""
        return " ".join(str(self.labels.get(ref, "")).split()) or (
            "unnamed" if self.nodes[ref][0] in SOURCES else ""
        )

    def text(self, ref: Ref | float, limit: int = 60) -> str:
        """The expression of a node, as in a program; what is too long stays a dot."""
        text = str(self._name(ref, 3))
        return text if len(text) <= limit else text[:limit - 1] + "…"

    def _name(self, ref: Ref | float, depth: int) -> Name:
        if ref.__class__ is float:
            return as_name(ref)
        op, args = self.nodes[int(ref)]
        if label := self.label(int(ref)):
            return Name(label)
        if depth == 0:
            return Name("…")
        names = [self._name(arg, depth - 1) for arg in args]
        return (
            names[1].compare(">" if op == LESS else ">=", names[0])
            if ref in self._turned
            else spelled(op, names)
        )


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


# ---- the values that stand for any number --------------------------------------------------------


def _error(message: str, remedy: str, where: CodePosition | None = None) -> TraceError:
    at: SourceLine = source_line(where or user_location())
    error = TraceError(f"{message}\n{line_text(at)}\n{remedy}")
    error.line = at
    if (trace := modes.tracer()) is not None:
        trace.refused = trace.refused or error
    return error


def _trace(what: str) -> Trace:
    """The trace of this moment; raises TraceError if there is none, so that a traced value has been
    kept."""
    if (trace := modes.tracer()) is None:
        raise _error(
            f"{what} is asked of a traced value that was kept after its function had been traced",
            "return what is needed later",
        )
    return trace  # type: ignore[no-any-return]


# is_integer, real, ...: methods that Values lack
_OF_FLOATS = {name for name in dir(float) if not name.startswith("_")}
STATIC = 'what decides about the shape of a program can be a static argument: jit(f, static=["n"])'


class Traced(Operand, Value):  # type: ignore[misc]  # pow() of a Value may have a modulus, and refuses it
    """A node of a trace: a Value whose number is not known.  Operators and rows go into the trace.
    """

    __slots__ = ("_index", "_trace")

    _index: int
    _trace: Trace

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
                f"`{trace.text(self._index)}` "
                "is a float",
                f"-x - 1 is the same number; {STATIC}",
            )
        raise _error(
            f"~ of `{trace.text(self._index)}`: of an uncompiled condition, True or False, it is "
            "-2 or -1, and "
            "both hold",
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
        return self._trace.nodes[self._index][0]

    @property
    def label(self) -> str:
        """The name, which the text of the tape shows."""
        return self._trace.labels.get(self._index, "")

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

    __copy__ = __pos__ = lambda self: self


class _Guard:
    """What `Value.data` and `Value.grad` are while a function is traced: the slot itself, but for
    the function that is traced.

    It could ask any leaf for its number, wherever it has it from; so the question is asked here.
    """

    def __init__(self, name: str) -> None:
        self.name, self.slot = name, Value.__dict__[name]

    def __get__(self, node: Any, owner: Any = None) -> Any:
        if node is None:
            return self.slot
        if (trace := modes.tracer()) is not None and sys._getframe(
            1
        ).f_code.co_filename not in ENGINE:
            trace.number_of(node, f".{self.name}")
        return self.slot.__get__(node)

    def __set__(self, node: Any, x: float) -> None:
        if (
            (trace := modes.tracer()) is not None
            and sys._getframe(1).f_code.co_filename not in ENGINE
            and trace.operand(node).__class__ is int
        ):
            raise _error(
                f"the function assigns {self.name} to {_called(node)}: that would happen once, "
                "when it is compiled, "
                "and never again",
                "return the number, and assign it outside",
            )
        self.slot.__set__(node, x)


ENGINE = {value.__file__}  # whose operators look at data before they leave the work to the trace
_guards = [_Guard("data"), _Guard("grad")]


def _called(leaf: Value) -> str:
    return f"the leaf {leaf.label}" if leaf.label else "a leaf"


_new: Any = Traced.__new__


# ---- tracing a function --------------------------------------------------------------------------


def record_trace(
    f: Callable[..., Any],
    names: Sequence[str],
    arguments: Callable[[list[Any]], tuple[Any, Any]],
    check: bool = True,
    unchanged: str = "",
) -> tuple[Trace, Any]:
    """Runs ``f`` on traced values; returns the trace and what ``f`` returned.

    ``names`` has a name for each number among the arguments; ``arguments`` puts the values in their
    places: it returns the positional and the keyword arguments.

    ``check``: whether ``f`` runs twice.  Raises TraceError if it is not the same program both
    times: what it draws or counts would be frozen otherwise.

    Attributes of objects and random generators that ``f`` changes are put back.  ``unchanged``:
    what ``f`` is called in a TraceError if it changes anything at all, closure variables and
    globals included; these, too, are put back then.
    """
    args, kwargs = arguments([0.0] * len(names))
    state, before = State(f, args, kwargs), random.getstate()
    try:
        trace, result = _run(f, names, arguments)
        if unchanged:
            check_unchanged(state, unchanged)
        if check:
            _check_again(trace, f, names, arguments, state)
        if unchanged and (drawn := state.draws()):
            raise TraceError(
                f"{unchanged} draws from the random generator {some(drawn)}, and machine code does "
                "not\n"
                f"draw outside of it, and put the numbers into the samples; {STATIC}"
            )
        trace.modules = state.modules
        return trace, result
    finally:
        state.restore(variables=bool(unchanged))
        if random.getstate() != before:
            random.setstate(before)


def check_unchanged(state: State, what: str) -> None:
    """Raises TraceError, with the names, if ``what`` has changed anything."""
    if changed := state.changes():
        raise TraceError(
            f"{what} changes {some(changed)} when it is called, and machine code does not\n"
            f"change it in on_epoch; if it is a cache, call the model once before; {STATIC}"
        )


def _check_again(trace: Trace, f: Callable[..., Any], names: Sequence[str],
                 arguments: Callable[[list[Any]], tuple[Any, Any]], state: State) -> None:
    """Runs ``f`` once more, and raises TraceError if it is not the same program."""
    before = random.getstate()
    try:
        again, _ = _run(f, names, arguments)
    except TraceError as error:
        if changed := state.changes():
            error.args = (f"{error}\nthe function changes {some(changed)} when it is called",)
        raise
    difference = trace.difference(again)
    if random.getstate() == before and difference is None:
        return
    # without the number that `gauss` has kept, so that it draws
    random.setstate((*before[:2], None))
    line, draws = _watched(f, names, arguments, difference[0] if difference else 0)
    if draws:  # the function, and not another thread
        raise _error(
            "the function draws random numbers while it is traced: they would be the same at every "
            "call",
            "draw them outside and pass them as arguments",
            draws[0],
        )
    if difference is not None:
        changed = state.changes()
        because = f", and it changes {some(changed)}" if changed else ""
        raise _error(f"the function is another program every time: {difference[1]}{because}",
                     "draw or count outside of it, and pass the numbers as arguments", line)


def _watched(
    f: Callable[..., Any],
    names: Sequence[str],
    arguments: Callable[[list[Any]], tuple[Any, Any]],
    node: Ref,
) -> tuple[CodePosition, list[CodePosition]]:
    """The lines of the program from which a node comes, and where random numbers are drawn."""
    at, draws = user_location(), list[CodePosition]()

    class Watched(Trace):
        found = False

        def value(self, op: str, args: tuple[Any, ...]) -> Traced:
            nonlocal at
            if not self.found:
                at, self.found = user_location(), len(self.nodes) >= node
            return super().value(op, args)

    profile = sys.getprofile()
    sys.setprofile(
        lambda frame, event, called: (
            draws.append(user_location())
            if event == "c_call"
            and not draws
            and isinstance(getattr(called, "__self__", None), _GENERATOR)
            else None
        )
    )
    try:
        _run(f, names, arguments, Watched)
    finally:
        sys.setprofile(profile)
    return at, draws


_GENERATOR: Any = random.Random.__base__  # which draws, in C, for all that `random` has


def _run(
    f: Callable[..., Any],
    names: Sequence[str],
    arguments: Callable[[list[Any]], tuple[Any, Any]],
    kind: type[Trace] = Trace,
) -> tuple[Trace, Any]:
    trace = kind(names)
    with _guarded(trace), modes.tracing(trace):
        values = []
        for i in range(len(names)):
            value = _new(Traced)
            value._index, value._trace = i, trace
            values.append(value)
        args, kwargs = arguments(values)
        try:
            result = f(*args, **kwargs)
        except Exception:
            if trace.refused is None:
                raise
        if trace.refused is not None:
            raise trace.refused
        return trace, result


@contextmanager
def _guarded(trace: Trace) -> Iterator[None]:
    """Within this context the guards stand.  They are of all Values, and ask which thread traces.
    """
    try:
        with _tracing_lock:
            _tracing.add(trace)
            for guard in _guards:
                setattr(Value, guard.name, guard)
        yield
    finally:
        with _tracing_lock:
            _tracing.discard(trace)
            for guard in _guards:
                setattr(Value, guard.name, guard if _tracing else guard.slot)
