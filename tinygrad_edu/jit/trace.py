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

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from threading import get_ident
from typing import Any, Literal

from .. import math
from ..debug.anomaly import owner_of_file
from ..engine.graph import Node as GraphNode
from ..engine.graph import next_serial
from ..engine.interpreter import Interpreter, is_recording, recording
from ..engine.primitive import COMPARISONS, TABLE, Primitive, expect_rows, rows_of
from ..engine.value import Value
from ..errors import TraceError, number, short_repr
from ..nn.module import Module
from ..symbolic.formulas import Name, as_name
from .choosing import copied, largest, take
from .structure import TRACED, is_boolean
from .sweeps import Sweeps
from .tape import operations
from .tape.operations import DETACH, GATE, OPERATIONS, PASSING, SOURCES, SUMPROD, Node, Ref, ordered
from .traced import STATIC, Traced, TracedText, derivative_error, located_error, number_error

_data = GraphNode.__dict__["data"]  # the slot itself
# What the arguments are when the function itself is called: Values, as inside a transform such as
# `grad`; numbers, as the samples of `fit`; or either
Kind = Literal["values", "numbers", "either"]


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
    kind: what the arguments are when the function itself is called.
    serials: for each node, its place among all nodes of graphs.
    operands: for a node with an operand that the function made itself, a Value with a number, the
        operands as they were given.
    """

    has_numbers = False

    def __init__(self, inputs: Sequence[str], kind: Kind = "values") -> None:
        self.nodes: list[Node] = [("input", (i,)) for i in range(len(inputs))]
        self.inputs = list(inputs)
        self.parameters: list[Value] = []
        self.draws: list[Callable[[], float]] = []
        self.labels: dict[Ref, str] = dict(enumerate(inputs))
        self.first_error: TraceError | None = None
        self.modules: list[Module] = []
        self.thread = get_ident()
        self.kind = kind
        self.serials = [next_serial() for _ in inputs]
        self.operands: dict[Ref, tuple[Any, ...]] = {}
        self._sweeps = Sweeps(self)
        self._sweeping = False
        # nodes that are plain numbers when the function itself is called
        self._numbers: set[Ref] = set(range(len(inputs)) if kind == "numbers" else ())
        self._own: set[Value] = set()  # nodes that are known to be computed from its own leaves
        # leaves that the function made from arguments
        self._made: dict[Value, Ref] = {}
        # nodes that are 1.0 or 0.0: comparisons, and combinations of them
        self._conditions: set[Ref] = set()
        self._booleans: set[Ref] = set()  # those that Python computes as True or False
        self._parameter_refs: dict[Value, Ref] = {}
        self._turned: set[Ref] = set()  # comparisons that the program wrote with > or >=
        self._since = next_serial()  # older leaves were made outside of the function

    def __getstate__(self) -> tuple[Any, ...]:
        return rows_of([op for op, _ in self.nodes]), vars(self)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        expect_rows(state[0])
        vars(self).update(state[1])

    def add_modules(self, modules: Iterable[Module]) -> None:
        """Adds modules whose mode the function reads, or can read."""
        known = {id(module) for module in self.modules}
        self.modules += [module for module in modules if id(module) not in known]

    def value(self, op: str, args: tuple[Any, ...], operands: Sequence[Any] = ()) -> Traced:
        """Appends a node and returns its traced value.

        operands: the operands as they were given, from which ``args`` were made.
        """
        ref = self._append(op, args)
        numbers = self._numbers
        for x, arg in zip(operands, args):
            if arg.__class__ is float and isinstance(x, Value):
                self.operands[ref] = tuple(operands)
                break
        else:
            if (numbers or op in PASSING) and \
                    numbers.issuperset([x for x in args[op in PASSING:] if x.__class__ is int]):
                numbers.add(ref)
        if not is_recording() and op != DETACH and ref not in numbers:
            ref = self._append(DETACH, (ref,))
        return Traced(self, ref)

    def finish(self) -> None:
        """Drops what only derivatives inside the function need."""
        self._sweeps = Sweeps(self)
        self.operands.clear()
        self._own.clear()
        self.serials.clear()

    def _append(self, op: str, args: tuple[Any, ...]) -> Ref:
        self.nodes.append((op, args))
        self.serials.append(next_serial())
        return len(self.nodes) - 1

    def again(self, ref: Ref) -> Traced:
        """Appends the same node again, with the same operands."""
        made = self._append(*self.nodes[ref])
        if ref in self.operands:
            self.operands[made] = self.operands[ref]
        return Traced(self, made)

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

    def operands_for(self, xs: Iterable[Any]) -> tuple[Ref | float, ...]:
        """Returns the operands that stand for ``xs``."""
        # the two usual kinds come first, for speed
        operand = self.operand
        known = self._parameter_refs.get
        return tuple([x._index if x.__class__ is Traced and x._trace is self
                      else known(x) or operand(x) for x in xs])

    def symbol(self, leaf: Value) -> Traced:
        """Returns a traced value for a leaf, which is read at each run of the program."""
        return Traced(self, int(self.operand(leaf)))

    def at(self, ref: Ref) -> Traced:
        """Returns the traced value of a node."""
        return Traced(self, ref)

    def _leaf(self, x: Value) -> Ref | float:
        if x in self._parameter_refs:
            return self._parameter_refs[x]
        if x in self._made:
            return self._made[x]
        is_outside = x.serial < self._since and not x.edges  # a leaf from outside: the usual case
        # a number, or what the function computed from its own leaves
        if x.constant or (not is_outside and self._is_own(x)):
            return float(_data.__get__(x))
        if not is_outside and x.edges:
            raise located_error(
                f"the function uses {short_repr(x)}, which was computed outside of it: its number "
                "would be frozen",
                "compute it inside, or pass it as an argument",
            )
        self._parameter_refs[x] = ref = self._append("parameter", (len(self.parameters),))
        self.labels[ref] = str(x.label) or f"p{len(self.parameters)}"
        self.parameters.append(x)
        return ref

    def _is_own(self, x: Value) -> bool:
        """Returns whether the function computed ``x`` from leaves that it made itself."""
        waiting = [x]
        found: set[Value] = set()
        while waiting:
            node: Any = waiting.pop()
            if node.__class__ is float or node.constant or node in self._own or node in found:
                continue
            if node.serial < self._since or node in self._made:
                return False
            found.add(node)
            waiting += [arg for arg, _ in node.edges]
        self._own |= found
        return True

    # ---- as an interpreter

    def seen(self, node: Any) -> Any:
        """Appends the operation that made a node, unless the node has a number."""
        made = self.apply(TABLE[node.op], tuple([arg for arg, _ in node.edges]))
        return super().seen(node) if made is None else made

    def apply(self, primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """Appends a row of the table; None if the operands have numbers, so that it can run."""
        refs = self.operands_for(args)
        if int not in map(type, refs):
            return None
        name = primitive.name
        if name == "sub" and str(refs[0]) == "1.0" and self.is_condition(refs[1]):
            return self.condition(name, refs, args)  # the opposite of a condition
        return self.value(name, refs, args)

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
        return self.boolean(self.condition(op, operands))

    def call(self, usual: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Runs the method for an interpreted function, ``call_`` and its name, if there is one."""
        method = getattr(self, f"call_{usual.__name__.strip('_')}", None)
        return usual(*args) if method is None else method(usual, *args)

    def number_of(self, x: Value, what: str) -> None:
        """Raises TraceError if ``x`` has no number while tracing; ``what`` needs one."""
        if self.is_unknown(x):
            raise self.trace_error(x, what)

    def walk(self, what: str) -> None:
        """Raises TraceError, unless it is a walk of `sweeps`: there is no graph yet."""
        if not self._sweeping:
            raise derivative_error(what)

    def leaf_of(self, leaf: Value, x: Any) -> float | None:
        """Makes a node for a new leaf whose number is an argument, or computed from arguments."""
        ref: Any = self.operand(x)
        is_number = self.is_number(x)
        if not is_number and self.kind == "either" and x.__class__ is Traced:
            is_number = self._sweeps.is_argument(ref)
        if not is_number:
            return None
        self._made[leaf] = self._append("identity", (ref,))
        return math.nan

    # ---- numbers

    def is_number(self, x: Any) -> bool:
        """Returns whether ``x`` is a number, not a Value, when the function itself is called."""
        return not isinstance(x, Value) or (x.__class__ is Traced and x._index in self._numbers)

    def is_constant(self, arg: Ref | float) -> bool:
        """Returns whether an operand is a number when the function itself is called."""
        return arg.__class__ is float or arg in self._numbers

    def number(self, x: Any) -> Any:
        """Returns the number of ``x``: a float if it is known, else a traced value without
        derivatives."""
        ref = self.operand(x)
        if ref.__class__ is float:
            return ref
        if ref in self._numbers:
            return x
        ref = self._append(DETACH, (ref,))
        self._numbers.add(ref)
        return Traced(self, ref)

    def call_number_of(self, usual: Any, x: Any) -> Any:
        """Returns the number of a result of a transform."""
        return self.number(x)

    def call_is_value(self, usual: Any, x: Any) -> bool:
        """Returns whether ``x`` is a Value when the function itself is called."""
        return not self.is_number(x)

    # ---- derivatives

    def call_adjoints(self, usual: Any, *args: Any) -> Any:
        """Appends the derivatives."""
        return self._swept(self._sweeps.adjoints, *args)

    def call_tangents(self, usual: Any, *args: Any) -> Any:
        """Appends the tangents."""
        return self._swept(self._sweeps.tangents, *args)

    def _swept(self, sweep: Callable[..., Any], *args: Any) -> Any:
        before = self._sweeping
        self._sweeping = True
        try:
            with recording(True):
                return sweep(*args)
        finally:
            self._sweeping = before

    # ---- operations

    def condition(self, op: str, args: tuple[Any, ...], operands: Sequence[Any] = ()) -> Traced:
        """Appends a condition, which is 1.0 or 0.0."""
        made = self.value(op, args, operands)
        self._conditions.add(made._index)
        self._numbers.add(made._index)
        return made

    def gate(self, condition: Any, x: Any, y: Any) -> Any:
        """Returns x where the condition holds, and otherwise y: not a new node, but x or y itself,
        whichever it is when the function itself is called."""
        holds = self.operand(condition)
        if holds.__class__ is float:
            return x if holds else y
        refs = holds, self.operand(x), self.operand(y)
        return self.value(GATE, refs, (condition, x, y))

    def is_condition(self, ref: Ref | float) -> bool:
        """Returns whether a node is a condition: 1.0 if it holds, otherwise 0.0."""
        return ref.__class__ is int and ref in self._conditions

    def boolean(self, made: Traced, *parts: Any) -> Traced:
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
        made = self.condition("mul" if symbol == "&" else "maximum", (left, right))
        return self.boolean(made, x, y)

    def call_cond(
        self, usual: Any, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]
    ) -> Any:
        """Appends both results of `math.cond` and a choice, if the condition is not known."""
        if not self.is_unknown(condition):
            return usual(condition, then, otherwise)
        if not self.is_condition(self.operand(condition)):
            condition = math.where(condition, 1.0, 0.0)
        x = then()
        y = otherwise()
        made = self.gate(condition, x, y)
        return self.boolean(made, x, y) if made.__class__ is Traced else made

    def call_require(self, usual: Any, x: Any, *rest: Any) -> None:
        """Checks a number if it is known."""
        if not self.is_unknown(x):
            usual(x, *rest)

    def call_is_nothing(self, usual: Any, x: Any) -> bool:
        """Returns whether a number is known to be -inf."""
        return not self.is_unknown(x) and usual(x)

    def call_surprisal(self, usual: Any, xs: Sequence[Any], i: Any) -> Any:
        """Appends all surprisals and a choice, if the index is not known."""
        return math.take(math.surprisals(xs), i) if self.is_unknown(i) else usual(xs, i)

    def call_unless(self, usual: Any, condition: Any, x: Any) -> Any:
        """Appends -inf or x, which is no operand if the condition holds."""
        unknown = self.is_unknown(condition)
        return math.where(condition, -math.inf, x) if unknown else usual(condition, x)

    def call_exponential(self, usual: Any, x: Any, shift: Any) -> Any:
        """Appends exp(x - shift), in which x is not an operand if it is -inf."""
        if self.is_unknown(x):
            x = math.where(x <= -math.inf, -math.inf, x)
        return usual(x, shift)

    def call_detach(self, usual: Any, x: Any) -> Any:
        """Appends x without derivatives."""
        ref = self.operand(x)
        return usual(x) if ref.__class__ is float else self.value(DETACH, (ref,))

    def call_copy_node(self, usual: Any, x: Value) -> Any:
        """Appends a copy, unless the number of ``x`` is known."""
        return self.copied(x) if self.is_unknown(x) else usual(x)

    def call_deepcopy(self, usual: Any, x: Value, memo: Any) -> Any:
        """Appends a deep copy, unless the number of ``x`` is known."""
        return self.copied(x, deep=True) if self.is_unknown(x) else self._swept(usual, x, memo)

    def copied(self, x: Value, deep: bool = False) -> Any:
        """Returns a copy of what is not known (`choosing.copied`)."""
        return copied(self, x, deep or x.__class__ is not Traced)  # what is not traced is a leaf

    def text_of(self, x: Any, text: str) -> str:
        """Returns the text of a leaf without its number, which would be frozen."""
        is_known = x.constant or self._is_own(x)
        if is_known or owner_of_file(sys._getframe(2).f_code.co_filename) == "us":
            return text
        return TracedText(f"{TRACED}{x.label or x.op or 'a leaf'})")

    def call_entry(self, usual: Any, entries: Sequence[Any], index: Any) -> Any:
        """Returns the entry, or the row of entries, at an index that is not known yet."""
        return take(self, entries, index) if self.is_unknown(index) else usual(entries, index)

    def call_sumprod(self, usual: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
        """Appends a sum of products, as one node."""
        factors = [*chain(*pairs)]
        refs = self.operands_for(factors)
        return self.value(SUMPROD, refs, factors) if int in map(type, refs) else usual(pairs)

    def call_weighted_sum(self, usual: Any, start: Any, weights: Any, xs: Any) -> Any:
        """Appends a sum of products that begins with ``start``."""
        factors = [*chain(*zip(weights, xs))]
        refs = self.operands_for(factors)  # the weights become inputs before the bias
        refs = self.operand(start), 1.0, *refs
        if int not in map(type, refs):
            return usual(start, weights, xs)
        return self.value(SUMPROD, refs, [start, 1.0, *factors])

    def is_unknown(self, x: Any) -> bool:
        """Returns whether ``x`` is a Value without a number; a leaf of the function's has one."""
        is_node = x.__class__ is Traced or isinstance(x, Value)
        return is_node and (x.__class__ is Traced or self.operand(x).__class__ is int)

    def call_shift(self, usual: Any, xs: Sequence[Any]) -> Any:
        """Appends the largest of ``xs``, or 0 if it is not finite; it has no derivatives."""
        if not any(map(self.is_unknown, xs)):
            return usual(xs)
        _, x = largest(xs)
        return self.number(math.where(abs(x) < math.inf, x, 0.0))

    def call_index_of_largest(self, usual: Any, xs: Sequence[Any]) -> Any:
        """Appends the index of the largest of ``xs``, the first one if there are several."""
        return self.number(largest(xs)[0]) if any(map(self.is_unknown, xs)) else usual(xs)

    def call_drawn(self, usual: Any, draw: Callable[[], float]) -> Traced:
        """Appends a number that ``draw`` draws at each call, such as a dropout mask."""
        ref = self._append("draw", (len(self.draws),))
        self._numbers.add(ref)
        self.draws.append(draw)
        self.labels[ref] = f"draw{len(self.draws)}"
        return Traced(self, ref)

    def trace_error(self, x: Value, what: str) -> TraceError:
        """Returns the error for ``what``, which needs the number or the truth of ``x``."""
        return number_error(what, self.text(self.operand(x)))

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
        return operations.spelled(op, names)
