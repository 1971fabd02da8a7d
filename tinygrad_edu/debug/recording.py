"""Recordings: every step of one forward and one backward pass, as data and in words.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> [step.sentence for step in record(a * b)][:2]
    ['v3 = a * b = 2 × (-3) = -6', 'dv3/dv3 = 1']

A recording has every forward operation in the order of execution, then every edge of the backward
pass in the order in which `graph.backpropagate` takes them.  It is a copy: nothing that is done
with it changes the user's graph, and gradients in it start at 0 whatever they were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple, overload

from ..engine.copies import blank, fill
from ..engine.graph import topological_order
from ..engine.primitive import Primitive, lookup
from ..engine.value import Value
from ..errors import check_choice, is_number, short_repr, some, wrong_type
from ..symbolic.formulas import KNOWN_NUMBERS, Name, as_name, derivative, number_name
from .misconceptions import MISCONCEPTIONS, Misconception
from .sentences import ORDINALS, TEMPLATES, factor, filled, gradient, written
from .text import printable, short_number

NAIVE_LIMIT = 10_000  # steps of a recording in the naive order
# what to write instead of something that is often given for a graph, by the name of its type
_REMEDIES = {
    "NoneType": "a function without return gives None: return its result, and pass that",
    "History": "viz.plots.loss(history) draws the loss, viz.explore(history) plays the training",
    "Explanation": "pass its .root",
    "Recording": "pass the Value that was recorded",
    "Stepper": "pass the Value that was recorded",
    "Drawing": "pass the Value that was drawn",
    "Jitted": "call the function on Values without jit; viz.draw(f) draws its program",
    "Tape": "call the function on Values without jit; viz.draw(tape) draws the program",
}

Edge = tuple[int, int, int]  # position of the user, operand, and its position
_RIGHT = Misconception("", "")


class Node(NamedTuple):
    """One node as it was recorded.

    name: its printable label; if it has none, or shares it with other nodes, a name made from its
        position: ``v3``, ``a#2``.
    label: the label as it was.
    op: the name of the primitive, "" for a leaf.
    data: its number.
    args: the positions of its operands in `Recording.nodes`.
    partials: the local derivatives with respect to its operands; None for a constant operand.
    constant: whether it is a plain number that was combined with a Value.
    """

    name: str
    label: str
    op: str
    data: float
    args: tuple[int, ...]
    partials: tuple[float | None, ...]
    constant: bool


class Event(NamedTuple):
    """One step as data: the number of ``node`` changes from ``before`` to ``after``.

    node: the position of the node.  Its data changes in the forward phase, its gradient in the
        backward phase.
    user: the position of the operation whose edge the backward phase follows; None in the forward
        phase and for the seed.
    operand: which operand of ``user`` the node is, counted from 0; 0 if there is no user.
    before: the data (None: not computed yet) or the gradient before the step.
    after: the same number after the step.
    adjoint: the gradient of ``user`` at this step, a factor of the product; 1 for the seed.
    """

    node: int
    user: int | None
    operand: int
    before: float | None
    after: float
    adjoint: float = 1.0


class Step(NamedTuple):
    """One step of a recording, in words.

    number: which step of the recording it is, counted from 1; 0 for the state before the first
        step.
    phase: "forward" or "backward"; "start" before the first step.
    name: the name of the node whose number changes.
    before: the data (None: not computed yet) or the gradient before the step.
    after: the same number after the step.
    words: what happened, in names and numbers.
    formula: the rule of the table that gave the local derivative; "" if there is none.
    growth: of a gradient that is a sum: which operand adds to it, what it was and what it is.
    sentence: the words, and the growth and the formula in brackets after them.
    """

    number: int
    phase: str
    name: str
    before: float | None
    after: float | None
    words: str
    formula: str = ""
    growth: str = ""

    @property
    def sentence(self) -> str:
        """The words, and the growth and the formula in brackets after them."""
        growth = f"   ({self.growth})" if self.growth else ""
        formula = f"   [{self.formula}]" if self.formula else ""
        return self.words + growth + formula


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Sequence[Step]):
    """The steps of one forward and one backward pass, immutable.

    `record` makes a recording; the sentences of its steps are written when they are read.

    nodes: every node, constants included, in the order of execution.
    events: each step as data.
    root: the position of the root in ``nodes``.
    forward: the number of forward steps; the other steps are backward.
    order: the order of the backward pass, "topological" or "naive".
    misconception: the wrong idea that the backward pass follows, "" for none.
    positions: from the name of each node that is not a constant to its position in ``nodes``.
    """

    nodes: tuple[Node, ...]
    events: tuple[Event, ...]
    root: int
    forward: int
    order: str = "topological"
    misconception: str = ""

    def __len__(self) -> int:
        return len(self.events)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        try:
            index = range(len(self))[index]
        except (IndexError, TypeError) as error:
            raise type(error)(
                f"a step of a recording must be a whole number from 0 to {len(self) - 1}, not "
                f"{short_repr(index)}; write Stepper(recording).run_to(name) to find one by name"
            ) from None
        event = self.events[index]
        name = self.nodes[event.node].name
        phase = self._phase(index)
        texts: tuple[str, ...]
        if phase == "forward":
            texts = (self._forward_words(event.node),)
        elif event.user is None:
            texts = (filled(TEMPLATES["seed"], {"gradient": gradient(name, name)}),)
        else:
            texts = self._backward_texts(event, event.user)
        return Step(index + 1, phase, name, event.before, event.after, *texts)

    def _phase(self, index: int) -> str:
        return "forward" if index < self.forward else "backward"

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """From the name of each node that is not a constant to its position in ``nodes``."""
        return {node.name: i for i, node in enumerate(self.nodes) if not node.constant}

    def partial(self, user: int, operand: int) -> float:
        """Returns the local derivative of a node, or 0 for a constant operand.

        With a misconception it is the wrong one.

        user: the position of the node.
        operand: which of its operands, counted from 0.
        """
        return _partial(self.nodes, user, operand, self._idea)

    @property
    def _idea(self) -> Misconception:
        return MISCONCEPTIONS.get(self.misconception, _RIGHT)

    def flow(self, event: Event) -> float:
        """Returns the gradient that flows along the edge of an event.

        It is the local derivative times the adjoint, or 0 if the event has no edge.
        """
        if event.user is None:
            return 0.0
        return self.partial(event.user, event.operand) * event.adjoint

    def operation(self, position: int) -> str:
        """Returns the operation of the node at ``position`` in names, ``d = a * b``.

        For a leaf this is its name.
        """
        node = self.nodes[position]
        if not node.op:
            return node.name
        return f"{node.name} = {Name.apply_primitive(lookup(node.op), self._names(node)).text}"

    def rule(self, user: int, operand: int) -> str:
        """Returns the rule of a local derivative in names: ``b`` for d = a * b and its operand a.

        user, operand: as in `partial`.
        """
        node = self.nodes[user]
        names = self._names(node)
        if rule := self._idea.rules.get((node.op, operand)):
            return as_name(rule(*names, Name(node.name))).text
        return derivative(node.op, operand, names, Name(node.name)).text

    def start(self) -> Step:
        """Returns the state before the first step: the leaves and their numbers."""
        leaves = [node for node in self.nodes if not node.op and not node.constant]
        shown = some([f"{node.name} = {short_number(node.data)}" for node in leaves], 6)
        return Step(0, "start", "", None, None, filled(TEMPLATES["given"], {"leaves": shown}))

    def matches(self, index: int, target: str) -> bool:
        """Returns whether the step at ``index`` involves ``target``.

        The target is the name or label of its node, its operation, or its phase.

        An operation can be given by its name, ``mul``, or by its symbol, ``*``.
        """
        event = self.events[index]
        node = self.nodes[event.node]
        phase = self._phase(index)
        op = node.op
        if phase == "backward":
            op = "" if event.user is None else self.nodes[event.user].op
        return target != "" and target in (node.name, node.label, *_names_of_operation(op), phase)

    def targets(self) -> list[str]:
        """Returns everything that `matches` can find.

        These are names, labels that several nodes share, operations and phases.
        """
        nodes = [node for node in self.nodes if not node.constant]
        names = [name for node in nodes for name in (node.name, node.label)]
        found = [name for name in names if name and name.isprintable()]
        for op in dict.fromkeys(node.op for node in nodes):
            found += _names_of_operation(op)
        return list(dict.fromkeys([*found, "forward", "backward"]))

    def values(self) -> list[Value]:
        """Returns a copy of the recorded graph, whose gradients are 0.

        It has new Values, in the order of ``nodes``.
        """
        made: list[Any] = []
        for i, node in enumerate(self.nodes):
            if node.constant and i < self.root:
                made.append(node.data)
                continue
            edges = [
                (made[arg], None if right is None else self.partial(i, operand))
                for operand, (arg, right) in enumerate(zip(node.args, node.partials))
            ]
            made.append(fill(blank(Value), node.data, 0.0, node.label, node.op, edges))
        return topological_order(made[-1])

    def __repr__(self) -> str:
        naive = ", in the naive order" if self.order == "naive" else ""
        return (
            f"<Recording of {self.nodes[self.root].name}: {len(self.nodes)} nodes, "
            f"{self.forward} steps forward, {len(self) - self.forward} backward{naive}>"
        )

    def _forward_words(self, position: int) -> str:
        node = self.nodes[position]
        row = lookup(node.op)
        names = Name.apply_primitive(row, self._names(node)).text
        numbers = written(row).of([short_number(self.nodes[arg].data) for arg in node.args])
        return " = ".join(dict.fromkeys([node.name, names, numbers, short_number(node.data)]))

    def _backward_texts(self, event: Event, user: int) -> tuple[str, str, str]:
        """Returns the words, the formula and the growth of the step along an edge."""
        root = self.nodes[self.root].name
        name = self.nodes[event.node].name
        node = self.nodes[user]
        twice = node.args.count(event.node) > 1
        fields = {
            "gradient": gradient(root, name),
            "arrives": gradient(root, node.name),
            "local": f"∂{node.name}/∂{name}",
            "adjoint": short_number(event.adjoint),
            "partial": factor(short_number(self.partial(user, event.operand))),
            "flow": short_number(self.flow(event)),
            "formula": self.rule(user, event.operand),
            "before": short_number(event.before),
            "after": short_number(event.after),
            "ordinal": ORDINALS[node.args[:event.operand].count(event.node)],
            "name": name,
        }
        fields["operand"] = filled(TEMPLATES["which"], fields) if twice else ""
        replaces = self._idea.replaces
        words = filled(TEMPLATES["replaces" if replaces else "adds"], fields)
        growth = ""
        if self._contributions[event.node] > 1:
            if not replaces:
                fields["flow"] = factor(fields["flow"])
            growth = filled(TEMPLATES["replaced" if replaces else "sum"], fields)
        return words, filled(TEMPLATES["rule"], fields), growth

    @cached_property
    def _contributions(self) -> Counter[int]:
        """How many steps change the gradient of each node, the seed aside."""
        return Counter([event.node for event in self.events if event.user is not None])

    def _names(self, node: Node) -> tuple[Name, ...]:
        operands = [self.nodes[arg] for arg in node.args]
        return tuple([_constant(x.data) if x.constant else Name(x.name) for x in operands])


def _constant(x: float) -> Name:
    """Returns a constant as sentences write it, or its formula: 0.3333, sqrt(2/pi)."""
    exact = as_name(x)
    return exact if x in KNOWN_NUMBERS else number_name(short_number(x))


def record(root: Value, order: str = "topological", *, misconception: str = "") -> Recording:
    """Returns the recording of the graph of ``root``, which is not changed.

    order: the order of the backward pass.  "topological" is the order of the engine.  "naive" is
        the recursion that one writes first: it follows the edges of a node as soon as one
        contribution arrives.  If a node has several users, it passes on an unfinished sum, and
        later the whole sum: see `compare_orders`.
    misconception: a wrong idea that the backward pass follows, one of `MISCONCEPTIONS`.

    Raises:
        TypeError: ``root`` is not a Value.
        ValueError: ``order`` or ``misconception`` is unknown; or the naive order takes more than
            `NAIVE_LIMIT` steps.  It walks every path, and their number can double with every node.
    """
    check_root(root, "record: root")
    check_choice(order, "record: order", ("topological", "naive"))
    check_choice(misconception, "record: misconception", ("", *MISCONCEPTIONS))
    idea = MISCONCEPTIONS.get(misconception, _RIGHT)
    if idea.is_naive:
        order = "naive"
    values = topological_order(root)
    position = {node: i for i, node in enumerate(values)}
    nodes = []
    for name, node in zip(_unique_names(values), values):
        args = tuple([position[arg] for arg in node.args])
        # a constant may have been taken from another graph
        partials = tuple([None if arg.constant else partial for arg, partial in node.edges])
        label = node.label if isinstance(node.label, str) else str(node.label)
        nodes.append(Node(name, label, node.op, node.data, args, partials, node.constant))
    events = [Event(i, None, 0, None, node.data) for i, node in enumerate(nodes) if node.op]
    forward = len(events)
    events.append(Event(len(nodes) - 1, None, 0, 0.0, 1.0))
    edges = [_edges_of(i, node) for i, node in enumerate(nodes)]
    ordered = chain.from_iterable(reversed(edges)) if order == "topological" else _naive(edges)
    gradients = [0.0] * (len(nodes) - 1) + [1.0]
    for user, operand, arg in ordered:
        before = gradients[arg]
        adjoint = 1.0 if idea.ignores_adjoint else gradients[user]
        flow = _partial(nodes, user, operand, idea) * adjoint
        gradients[arg] = after = flow if idea.replaces else before + flow
        events.append(Event(arg, user, operand, before, after, adjoint))
    return Recording(tuple(nodes), tuple(events), len(nodes) - 1, forward, order, misconception)


def _partial(nodes: Sequence[Node], user: int, operand: int, idea: Misconception) -> float:
    """Returns the local derivative of a node with respect to an operand, right or wrong."""
    node = nodes[user]
    rule = idea.rules.get((node.op, operand))
    if rule is None or node.partials[operand] is None:
        return node.partials[operand] or 0.0
    return float(rule(*[nodes[arg].data for arg in node.args], node.data))


def check_root(root: Any, name: str) -> None:
    """Raises TypeError unless ``root`` is a Value; ``name`` begins the message: "record: root"."""
    if not isinstance(root, Value):
        raise not_a_graph(root, name, "a Value")


def not_a_graph(given: Any, name: str, wanted: str) -> TypeError:
    """Returns the error for an argument that is no graph; it says what to write for its kind.

    name: the function and the argument, such as "draw: y".
    wanted: what the argument may be.
    """
    call = name.partition(":")[0]
    remedy = _REMEDIES.get(type(given).__name__, "pass the result of a computation on Values")
    if isinstance(given, str):
        remedy = f'pass the Value itself; text is read by parse: {call}(parse("x * x", x=3.0))'
    elif isinstance(given, (list, tuple, set, dict)):
        entries = given.values() if isinstance(given, dict) else given
        if any(isinstance(entry, Value) for entry in entries):
            remedy = "pass one of its Values"
    elif callable(getattr(given, "parameters", None)):
        remedy = f"call the model on a sample: {call}(model([1.0, 2.0]))"
        if isinstance(given, type):
            remedy = f"make the model, model = {given.__name__}(...), and {remedy}"
    elif isinstance(given, FunctionType | BuiltinFunctionType | MethodType | Primitive):
        remedy = f"call the function, and pass its result: {call}(f(Value(2.0)))"
    elif is_number(given):
        remedy = 'a number has no graph; compute with Values: x = Value(2.0, "x"), and then x * 3'
    return wrong_type(name, wanted, given, remedy)


def _names_of_operation(op: str) -> tuple[str, ...]:
    """Returns the names of an operation: ``mul`` and, as in drawings, ``*``.

    ``neg`` has no symbol, because ``-`` means ``sub``.
    """
    if not op:
        return ()
    row = lookup(op)
    return (op, row.symbol) if row.symbol and row.arity == 2 else (op,)


def _edges_of(user: int, node: Node) -> list[Edge]:
    """Returns the edges along which a node passes on its gradient."""
    edges = enumerate(zip(node.args, node.partials))
    return [(user, i, arg) for i, (arg, partial) in edges if partial is not None]


def _naive(edges: Sequence[list[Edge]]) -> Iterator[Edge]:
    """Yields the edges of each node in the order of the naive recursion.

        def backward(node):
            for arg in node.args:
                arg.grad += partial * node.grad
                backward(arg)
    """
    waiting = edges[-1][::-1]
    for _ in range(NAIVE_LIMIT):
        if not waiting:
            return
        edge = waiting.pop()
        yield edge
        waiting += reversed(edges[edge[2]])
    if waiting:
        raise ValueError(
            f"record: the naive order takes more than {NAIVE_LIMIT:,} steps for this graph of "
            f"{len(edges):,} nodes, because it walks every path; record a smaller graph"
        )


def _unique_names(order: Sequence[Value]) -> list[str]:
    shown = [printable(str(node.label)) for node in order]
    labels = Counter(shown)
    seen = Counter[str]()
    names: list[str] = []
    count = 0
    for node, label in zip(order, shown):
        if node.constant:
            names.append(short_number(node.data))
            continue
        count += 1
        name = stem = label or f"v{count}"
        # a label can look like a numbered name
        while name in labels and (name != label or labels[label] > 1):
            seen[stem] += 1
            name = f"{stem}#{seen[stem]}"
        names.append(name)
    return names
