"""The trace of a function: its operations, in the order of execution.

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

A `Traced` value (`traced`) is a Value without data.  Operators, methods and rows of the table add
nodes to the trace.  A comparison makes a condition, a number that is 1.0 or 0.0, which `where`
takes.  Leaves that the function closes over, such as the parameters of a model, become parameters
of the trace.
"""

from __future__ import annotations

import marshal
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from threading import get_ident
from typing import Any

from .. import math
from ..debug.anomaly import owner_of_file
from ..engine.arrays import array_of, entries_of, is_array
from ..engine.graph import Node as GraphNode
from ..engine.graph import next_serial
from ..engine.interpreter import Interpreter, is_recording
from ..engine.primitive import COMPARISONS, TABLE, Primitive
from ..engine.value import Value
from ..errors import TraceError, exact_number, number, short_repr
from ..nn.module import Module
from ..symbolic.formulas import Name, as_name
from .structure import TRACED, is_boolean
from .tape.operations import DETACH, OPERATIONS, SOURCES, SUMPROD, TAKE, Node, Ref, ordered, spelled
from .traced import STATIC, Traced, TracedText, located_error

_data = GraphNode.__dict__["data"]  # the slot itself


class Trace(Interpreter):
    """A function, operation by operation, in the order of execution.

    nodes: (operation, operands) of each; an operand is a position in this list, or a float.
    inputs: the names of the arguments, one for each number.
    parameters: the leaves that the function closes over, in the order of their first use.
    draws: a function for each random number that is drawn at each call (see `draw_each_run`).
    labels: names of inputs, parameters, draws, and results that the function labelled.
    first_error: the first TraceError, which is raised again if the function catches it.
    modules: the modules that the function can reach, or whose mode it reads.  Their mode, training
        or evaluation, is part of the program.
    thread: the thread that runs the function.
    """

    has_numbers = False

    def __init__(self, inputs: Sequence[str]) -> None:
        self.nodes: list[Node] = [("input", (i,)) for i in range(len(inputs))]
        self.inputs = list(inputs)
        self.parameters: list[Value] = []
        self.draws: list[Callable[[], float]] = []
        self.labels: dict[Ref, str] = dict(enumerate(inputs))
        self.first_error: TraceError | None = None
        self.modules: list[Module] = []
        self.thread = get_ident()
        # nodes that are 1.0 or 0.0: comparisons, and combinations of them
        self._conditions: set[Ref] = set()
        self._booleans: set[Ref] = set()  # those that Python computes as True or False
        self._parameter_refs: dict[Value, Ref] = {}
        self._turned: set[Ref] = set()  # comparisons that the program wrote with > or >=
        self._since = next_serial()  # older leaves were made outside of the function

    def add_modules(self, modules: Iterable[Module]) -> None:
        """Adds modules whose mode the function reads, or can read."""
        known = {id(module) for module in self.modules}
        self.modules += [module for module in modules if id(module) not in known]

    def value(self, op: str, args: tuple[Any, ...]) -> Traced:
        """Appends a node and returns its traced value."""
        self.nodes.append((op, args))
        if not is_recording() and op != DETACH:
            self.nodes.append((DETACH, (len(self.nodes) - 1,)))
        return Traced(self, len(self.nodes) - 1)

    def operand(self, x: Any) -> Ref | float:
        """Returns the operand that stands for ``x``: a node, or a float."""
        if x.__class__ is Traced:
            if x._trace is not self:
                raise located_error(
                    f"{x!r} is a traced value that was kept from an earlier run of the function; "
                    "it is no longer valid",
                    "return what is needed later",
                )
            return x._index
        if x.__class__ is float:
            return x
        return self._leaf(x) if isinstance(x, Value) else number(x)

    def symbol(self, leaf: Value) -> Traced:
        """Returns a traced value for a leaf, which is read at each run of the program."""
        return Traced(self, int(self.operand(leaf)))

    def _leaf(self, x: Value) -> Ref | float:
        if x in self._parameter_refs:
            return self._parameter_refs[x]
        # a number, or a leaf that the function made itself
        if x.constant or (not x.edges and x.serial > self._since):
            return float(_data.__get__(x))
        if x.edges:
            raise located_error(
                f"the function uses {short_repr(x)}, which was computed outside of it: its number "
                "would be frozen",
                "compute it inside, or pass it as an argument",
            )
        self._parameter_refs[x] = ref = len(self.nodes)
        self.labels[ref] = str(x.label) or f"p{len(self.parameters)}"
        self.nodes.append(("parameter", (len(self.parameters),)))
        self.parameters.append(x)
        return ref

    # ---- as an interpreter

    def seen(self, node: Any) -> Any:
        """Appends the operation that made a node."""
        return self.apply(TABLE[node.op], tuple([arg for arg, _ in node.edges]))

    def apply(self, primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """Appends a row of the table; if all operands are plain numbers, computes it."""
        refs = tuple([self.operand(arg) for arg in args])
        if any(ref.__class__ is int for ref in refs):
            is_from_1 = primitive.name == "sub" and refs[0].__class__ is float and refs[0] == 1.0
            is_opposite = is_from_1 and self.is_condition(refs[1])  # of the condition
            return (self._condition if is_opposite else self.value)(primitive.name, refs)
        out = primitive.forward(*refs)
        return Value(out) if any(isinstance(arg, Value) for arg in args) else out

    def compare(self, symbol: str, x: Any, y: Any) -> Any:
        """Appends a comparison, a condition, which is 1.0 or 0.0."""
        try:
            left = self.operand(x)
            right = self.operand(y)
        except TypeError as error:
            if isinstance(error, TraceError):
                raise
            return NotImplemented
        if left.__class__ is float and right.__class__ is float:
            return COMPARISONS[symbol](left, right)
        op, operands = ordered(symbol, left, right)
        if operands[0] is not left:
            self._turned.add(len(self.nodes))
        return self._boolean(self._condition(op, operands))

    def call(self, usual: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Runs the method for an interpreted function, ``call_`` and its name, if there is one."""
        method = getattr(self, f"call_{usual.__name__.strip('_')}", None)
        return usual(*args) if method is None else method(usual, *args)

    def number_of(self, x: Value, what: str) -> None:
        """Raises TraceError if ``x`` has no number while tracing; ``what`` needs one."""
        if self.is_unknown(x):
            raise self.trace_error(x, what)

    def walk(self, what: str) -> None:
        """Raises TraceError: there is no graph yet."""
        raise self.derivative(what)

    # ---- operations

    def _condition(self, op: str, args: tuple[Any, ...]) -> Traced:
        made = self.value(op, args)
        self._conditions.add(made._index)
        return made

    def is_condition(self, ref: Ref | float) -> bool:
        """Returns whether a node is a condition: 1.0 if it holds, otherwise 0.0."""
        return ref.__class__ is int and ref in self._conditions

    def _boolean(self, made: Traced, *parts: Any) -> Traced:
        """Notes that Python computes True or False for a node, if it does for its ``parts``."""
        if all(is_boolean(x) or self.is_boolean(self.operand(x)) for x in parts):
            self._booleans.add(made._index)
        return made

    def is_boolean(self, ref: Ref | float) -> bool:
        """Returns whether a node is a comparison, or such a combination of comparisons that Python
        computes True or False, not 1 or 0."""
        return ref.__class__ is int and ref in self._booleans

    def join(self, symbol: str, x: Traced, y: Any) -> Any:
        """Joins two conditions by & or |; raises TraceError if one is not a condition."""
        left = self.operand(x)
        right = self.operand(y)
        for ref in (left,) if is_boolean(y) else (left, right):
            if not self.is_condition(ref):
                raise located_error(
                    f"{symbol} joins conditions, not numbers such as `{self.text(ref)}`",
                    f"write comparisons, as in (x > 0) {symbol} (y > 0); to test whether x is odd, "
                    f"x % 2 > 0; {STATIC}",
                )
        made = self._condition("mul" if symbol == "&" else "maximum", (left, right))
        return self._boolean(made, x, y)

    def call_cond(
        self, usual: Any, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]
    ) -> Any:
        """Appends both results of `math.cond` and a choice, if the condition is not known."""
        if not self.is_unknown(condition):
            return usual(condition, then, otherwise)
        x = then()
        y = otherwise()
        made = math.where(condition, x, y)
        return self._boolean(made, x, y) if made.__class__ is Traced else made

    def call_require(self, usual: Any, x: Any, *rest: Any) -> None:
        """Checks a number if it is known."""
        if not self.is_unknown(x):
            usual(x, *rest)

    def call_is_nothing(self, usual: Any, x: Any) -> bool:
        """Returns whether a number is known to be -inf."""
        return not self.is_unknown(x) and usual(x)

    def call_exponential(self, usual: Any, x: Any, shift: Any) -> Any:
        """Appends exp(x - shift), in which x is not an operand if it is -inf."""
        if self.is_unknown(x):
            x = math.where(x <= -math.inf, -math.inf, x)
        return usual(x, shift)

    def call_detached(self, usual: Any, x: Any) -> Any:
        """Appends x without derivatives."""
        ref = self.operand(x)
        return usual(x) if ref.__class__ is float else self.value(DETACH, (ref,))

    def call_copy_node(self, usual: Any, x: Value) -> Value:
        """Appends a copy."""
        return self.copied(x)

    def call_deepcopy(self, usual: Any, x: Value, memo: Any) -> Value:
        """Appends a deep copy."""
        return self.copied(x, deep=True)

    def copied(self, x: Value, deep: bool = False) -> Value:
        """Returns a copy: a new leaf if ``x`` is a leaf, or has its operands copied, too.

        No gradient flows through a new leaf.
        """
        ref = self.operand(x)
        if ref.__class__ is float:
            return Value(ref, x.label)
        op, args = self.nodes[int(ref)]
        if ref in self._conditions:  # a plain number
            return x
        if deep or op in SOURCES:
            return self.value(DETACH, (ref,))
        if op == TAKE:
            index, *entries = [Traced(self, arg) if arg.__class__ is int else arg for arg in args]
            copied = [self.copied(x) if isinstance(x, Value) else x for x in entries]
            return self.take(copied, index)  # type: ignore[no-any-return]
        return x

    def text_of(self, x: Any, text: str) -> str:
        """Returns the text of a leaf without its number, which would be frozen."""
        is_known = x.constant or (not x.edges and x.serial > self._since)
        if is_known or owner_of_file(sys._getframe(2).f_code.co_filename) == "us":
            return text
        return TracedText(f"{TRACED}{x.label or x.op or 'a leaf'})")

    def call_entry(self, usual: Any, entries: Sequence[Any], index: Any) -> Any:
        """Returns the entry, or the row of entries, at an index that is not known yet."""
        return self.take(entries, index) if self.is_unknown(index) else usual(entries, index)

    def take(self, entries: Sequence[Any], index: Any) -> Any:
        """Returns the entry at an index that is not known yet.

        If the entries are rows, lists or arrays, so is the result.
        """
        first = entries[0]
        if is_array(first) or isinstance(first, (list, tuple, array)):
            rows = [entries_of(row) if is_array(row) else row for row in entries]
            for i, row in enumerate(rows):
                if not isinstance(row, (list, tuple, array)):
                    raise self._no_entry(i, row)
            shapes = {getattr(row, "shape", (len(row),)) for row in entries}
            if len(shapes) > 1:
                raise located_error(
                    "take: the rows differ in length, so the index would determine the shape of "
                    "the program",
                    "fill up the shorter rows",
                )
            taken = [self.take(column, index) for column in zip(*rows)]
            if is_array(first):
                return array_of(taken, first.shape)
            return tuple(taken) if isinstance(first, tuple) else taken
        refs = [self.operand(index)]
        try:
            for entry in entries:
                is_value = isinstance(entry, Value)
                refs.append(self.operand(entry) if is_value else exact_number(entry))
        except TraceError:
            raise
        except TypeError:
            raise self._no_entry(len(refs) - 1, entry) from None
        return self._boolean(self.value(TAKE, tuple(refs)), *entries)

    @staticmethod
    def _no_entry(i: int, entry: Any) -> TraceError:
        return located_error(
            f"take: entry {i} must be a number that is a float, a Value or a row of them, like the "
            f"other entries, not {short_repr(entry)}, of type {type(entry).__name__}",
            "pass only numbers and Values, or only rows of them, all of one length",
        )

    def call_sumprod(self, usual: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
        """Appends a sum of products, as one node."""
        # the two usual kinds of operands come first, for speed
        operand = self.operand
        known = self._parameter_refs
        refs = [
            x._index if x.__class__ is Traced and x._trace is self else known.get(x) or operand(x)
            for pair in pairs for x in pair
        ]
        if all(ref.__class__ is float for ref in refs):
            return usual(list(zip(refs[::2], refs[1::2])))
        return self.value(SUMPROD, tuple(refs))

    def is_unknown(self, x: Any) -> bool:
        """Returns whether ``x`` is a Value without a number while tracing.

        A leaf that the function made itself has its number.
        """
        return isinstance(x, Value) and (
            x.__class__ is Traced or self.operand(x).__class__ is int
        )

    def call_shift(self, usual: Any, xs: Sequence[Any]) -> Any:
        """Appends the largest of ``xs``, or 0 if it is not finite; it has no derivatives."""
        if not any(map(self.is_unknown, xs)):
            return usual(xs)
        largest = xs[0]
        for x in xs[1:]:
            largest = math.where(x > largest, x, largest)
        finite = math.where(abs(largest) < math.inf, largest, 0.0)
        return self.value(DETACH, (self.operand(finite),))

    def call_drawn(self, usual: Any, draw: Callable[[], float]) -> Traced:
        """Appends a number that ``draw`` draws at each call, such as a dropout mask."""
        self.draws.append(draw)
        self.labels[len(self.nodes)] = f"draw{len(self.draws)}"
        return self.value("draw", (len(self.draws) - 1,))

    def difference(self, other: Trace) -> tuple[Ref, str] | None:
        """Returns the first node that differs in another run, and how; None if all are equal."""
        # as bytes, nan equals nan, and 0.0 differs from -0.0
        if marshal.dumps(self.nodes, 2) == marshal.dumps(other.nodes, 2):
            pairs = zip(self._parameter_refs.items(), other.parameters)
            return next(((ref, "it uses other leaves") for (leaf, ref), there in pairs
                         if leaf is not there), None)
        for i, (here, there) in enumerate(zip(self.nodes, other.nodes)):
            if repr(here) != repr(there):
                return i, f"once `{self.text(i)}`, and once `{other.text(i)}`"
        counts = len(self.nodes), len(other.nodes)
        return min(counts) - 1, "once it has {} nodes, and once {}".format(*counts)

    def trace_error(self, x: Value, what: str) -> TraceError:
        """Returns the error for ``what``, which needs the number or the truth of ``x``."""
        shown = self.text(self.operand(x))
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
                "math.where takes the conditions <, <=, > and >=, also joined by & and |",
            ".grad": "read gradients outside of the function",
        }.get(what, "compute with the value itself")
        return located_error(
            f"{what} asks for the number of `{shown}`, which is known only when the compiled "
            "function runs",
            remedy if what == ".grad" else f"{remedy}; {STATIC}",
        )

    def derivative(self, what: str) -> TraceError:
        """Returns the error for a derivative inside a function that is traced."""
        return located_error(
            f"{what} in a function that is traced: there are no numbers to differentiate yet",
            "return the value, and call value_and_grad or hessian of the compiled function",
        )

    def label(self, ref: Ref) -> str:
        """Returns the label of a node, on one line; "unnamed" for a source without a label."""
        label = " ".join(str(self.labels.get(ref, "")).split())
        return "unnamed" if not label and self.nodes[ref][0] in SOURCES else label

    def text(self, ref: Ref | float, limit: int = 60) -> str:
        """Returns the expression of a node, as in a program; "…" stands for longer parts."""
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
            return names[1].compare(OPERATIONS[op].comparison.replace("<", ">"), names[0])
        return spelled(op, names)
