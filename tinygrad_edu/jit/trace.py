"""Tracing: a function runs on values that stand for any number, and what it does with them is
written down.

    >>> from tinygrad_edu.jit.tracing import record_trace
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
import operator
from collections.abc import Callable, Sequence
from typing import Any

from .. import math
from ..engine import modes
from ..engine.primitives import Primitive, number, short_repr
from ..engine.value import Value, _serials
from ..errors import TraceError
from ..nn.module import Module
from ..symbolic.formulas import Name, as_name
from .tape.operations import DETACH, LESS, LESS_EQUAL, SOURCES, SUMPROD, TAKE, Node, Ref, spelled
from .traced import STATIC, Traced, _error, _new

COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_data = Value.__dict__["data"]  # the slot itself


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
        self._since = next(_serials)  # leaves that are older were made outside

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
            is_from_1 = primitive.name == "sub" and refs[0].__class__ is float and refs[0] == 1.0
            if is_from_1 and self.is_condition(refs[1]):  # the opposite of the condition
                self._conditions.add(made._index)
            return made
        out = primitive.forward(*refs)
        return Value(out) if any(isinstance(arg, Value) for arg in args) else out

    def compare(self, symbol: str, x: Any, y: Any) -> Any:
        """A condition: the comparison of two values, as 1.0 or 0.0."""
        try:
            left = self.operand(x)
            right = self.operand(y)
        except TypeError as error:
            if isinstance(error, TraceError):
                raise
            return NotImplemented
        if left.__class__ is float and right.__class__ is float:
            return COMPARISONS[symbol](left, right)
        if symbol in (">", ">="):
            left, right = right, left
            self._turned.add(len(self.nodes))
        op = LESS if symbol in ("<", ">") else LESS_EQUAL
        return self._condition(self.value(op, (left, right)))

    def _condition(self, x: Traced) -> Traced:
        self._conditions.add(x._index)
        return x

    def is_condition(self, ref: Ref | float) -> bool:
        """Whether a node is 1.0 where a condition holds, and otherwise 0.0."""
        return ref.__class__ is int and ref in self._conditions

    def join(self, symbol: str, x: Traced, y: Any) -> Any:
        """Two conditions joined by & or |.  Raises TraceError if one of them is not a condition."""
        left = self.operand(x)
        right = self.operand(y)
        is_known = y.__class__.__name__ in ("bool_", "bool")  # of numpy, too
        for ref in (left,) if is_known else (left, right):
            if not self.is_condition(ref):
                raise _error(
                    f"{symbol} joins conditions, and `{self.text(ref)}` is a number, whose bits a "
                    "compiled function does not have",
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
        except TraceError:
            raise
        except TypeError:
            raise self._no_entry(len(refs) - 1, entry) from None
        return self.value(TAKE, tuple(refs))

    @staticmethod
    def _no_entry(i: int, entry: Any) -> TraceError:
        return _error(
            f"take: entry {i} is {short_repr(entry)}, of type {type(entry).__name__}, among which "
            "no index of a compiled function can choose",
            "the entries must all be numbers and Values, or all rows of such, of one length",
        )

    def sumprod(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        """The sum of products, as one node."""
        refs: list[Any] = [None] * (2 * len(xs))
        refs[::2] = self._operands(xs)
        refs[1::2] = self._operands(ys)
        if all(ref.__class__ is float for ref in refs):
            return math.total([x * y for x, y in zip(refs[::2], refs[1::2])])
        return self.value(SUMPROD, tuple(refs))

    def _operands(self, xs: Sequence[Any]) -> list[Ref | float]:
        # the two usual kinds of operands at once, for speed: there are many of them
        operand = self.operand
        known = self._parameter_refs
        return [
            x._index if x.__class__ is Traced and x._trace is self else known.get(x) or operand(x)
            for x in xs
        ]

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
        finite = math.where(abs(largest) < math.inf, largest, 0.0)
        return self.value(DETACH, (self.operand(finite),))

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
            for leaf, other_leaf in zip(self.parameters, other.parameters):
                if leaf is not other_leaf:
                    return self._parameter_refs[leaf], "it uses other leaves"
            return None
        for i, (here, there) in enumerate(zip(self.nodes, other.nodes)):
            if repr(here) != repr(there):
                return i, f"once `{self.text(i)}`, and once `{other.text(i)}`"
        count = len(self.nodes)
        others = len(other.nodes)
        return min(count, others) - 1, f"once it has {count} nodes, and once {others}"

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
                "math.where takes the conditions <, <=, > and >=, also joined by & and |",
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
        label = " ".join(str(self.labels.get(ref, "")).split())
        return "unnamed" if not label and self.nodes[ref][0] in SOURCES else label

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
        if ref in self._turned:
            return names[1].compare(">" if op == LESS else ">=", names[0])
        return spelled(op, names)
