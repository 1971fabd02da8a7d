"""Stepping through a graph, forwards and backwards in time: a `Recording` is the film, a `Stepper`
the cursor on it.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> d = a * b
    >>> d.label = "d"
    >>> stepper = Stepper(record(d))
    >>> stepper.next().step.sentence
    'd = a * b = 2 × -3 = -6'
    >>> stepper.run_to("a").step.sentence
    '∂d/∂a += ∂d/∂d · ∂d/∂a = 1 × -3 = -3   [∂d/∂a = b]'
    >>> stepper.back().back().position
    1

A recording has every forward operation in the order of execution, then every edge of the backward
pass in the order in which `graph.backpropagate` takes them.  It is a copy: nothing that is done
with it changes the user's graph, and gradients in it start at 0 whatever they were.  There is no
input or output here, only data and text.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, overload

from ..engine.graph import blank, topological_order
from ..engine.primitives import UNARY, lookup, short_repr
from ..engine.value import Value
from ..symbolic.formulas import Name, as_name, derivative

NAIVE_LIMIT = 10_000  # steps of a recording in the naive order
TABLE_LINES = 24  # of a printed `Comparison`
# of a number in a sentence; of one that fewer digits would make an integer
DIGITS, MOST_DIGITS = 4, 10


class Node(NamedTuple):
    """One node as it was recorded.

    name       its label, printable; where it has none, or shares it, a name made from its position:
               ``v3``, ``a#2``
    label      the label as it was
    op         the primitive, "" for a leaf
    data       its number
    args       the positions of its operands in `Recording.nodes`
    partials   the local derivatives by them; None for a constant
    constant   whether it is a number that met a Value
    """

    name: str
    label: str
    op: str
    data: float
    args: tuple[int, ...]
    partials: tuple[float | None, ...]
    constant: bool


class Event(NamedTuple):
    """What a step does, without words: ``node`` gets the number ``after``, where ``before`` was.

    node       the position of the node: its data in the forward phase, its gradient in the backward
               one
    user       in the backward phase the operation whose edge is followed; None forward, and for the
               seed
    operand    which operand of ``user`` it is, from 0; 0 where there is no user
    before     the data, which is None as long as it is not computed, or the gradient
    after      the same after the step
    adjoint    the gradient of ``user`` at that moment, which is multiplied by the local derivative;
               1 for the seed
    """

    node: int
    user: int | None
    operand: int
    before: float | None
    after: float
    adjoint: float = 1.0


class Step(NamedTuple):
    """One step of a recording, in words.

    number     which step of the recording it is, counted from 1; 0 for the state before the first
               one
    phase      "forward" or "backward"; "start" before the first step
    name       of the node that got a number
    before     the data (None: not computed yet) or the gradient before
    after      the same after
    words      what happened, in names and numbers
    formula    the rule of the table that gave the local derivative; "" where there is none
    sentence   the words, and the formula in brackets after them
    """

    number: int
    phase: str
    name: str
    before: float | None
    after: float | None
    words: str
    formula: str

    @property
    def sentence(self) -> str:
        """The words, and the formula in brackets after them."""
        return f"{self.words}   [{self.formula}]" if self.formula else self.words


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Sequence[Step]):
    """The steps of one forward and one backward pass, immutable.  Made by `record`; sentences are
    made when read.

    nodes      every node, constants included, in the order of execution
    events     what each step does, without words
    root       the position of the root in ``nodes``
    forward    how many steps are forward ones; the others are backward
    order      the order of the backward pass, "topological" or "naive"
    positions  for the name of each node that is no constant where in ``nodes`` it is
    """

    nodes: tuple[Node, ...]
    events: tuple[Event, ...]
    root: int
    forward: int
    order: str = "topological"

    def __len__(self) -> int:
        return len(self.events)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        event = self.events[index]
        name = self.nodes[event.node].name
        if index < self.forward:
            return Step(
                index + 1,
                "forward",
                name,
                event.before,
                event.after,
                self._forward_words(event.node),
                "",
            )
        if event.user is None:
            return Step(
                index + 1, "backward", name, event.before, event.after, f"∂{name}/∂{name} = 1", ""
            )
        return Step(
            index + 1,
            "backward",
            name,
            event.before,
            event.after,
            *self._backward_words(event, event.user),
        )

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """For the name of each node that is no constant where in ``nodes`` it is."""
        return {node.name: i for i, node in enumerate(self.nodes) if not node.constant}

    def partial(self, user: int, operand: int) -> float:
        """The local derivative of the node at ``user`` in ``nodes`` by its operand number
        ``operand``; 0 for a constant."""
        return self.nodes[user].partials[operand] or 0.0

    def flow(self, event: Event) -> float:
        """The gradient that flows along the edge of an event: local derivative times adjoint.  0
        where it has no edge."""
        return (
            0.0 if event.user is None else self.partial(event.user, event.operand) * event.adjoint
        )

    def operation(self, position: int) -> str:
        """What the node at ``position`` in ``nodes`` is, in names: ``d = a * b``; of a leaf its
        name."""
        node = self.nodes[position]
        if not node.op:
            return node.name
        return f"{node.name} = {Name.apply_primitive(lookup(node.op), self._names(node)).text}"

    def start(self) -> Step:
        """What is there before the first step."""
        leaves = [node for node in self.nodes if not node.op and not node.constant]
        shown = ", ".join(f"{node.name} = {brief(node.data)}" for node in leaves[:6])
        more = f" and {len(leaves) - 6} more" if len(leaves) > 6 else ""
        return Step(0, "start", "", None, None, f"given: {shown}{more}", "")

    def matches(self, index: int, target: str) -> bool:
        """Whether a step is about ``target``: the name or label of the node that gets a number, an
        operation, a phase.

        An operation can be called by its name, ``mul``, or by its symbol, ``*``.
        """
        event, forward = self.events[index], index < self.forward
        node = self.nodes[event.node]
        acting = node if forward else None if event.user is None else self.nodes[event.user]
        return target != "" and target in (
            node.name,
            node.label,
            *_names_of_operation(acting.op if acting else ""),
            "forward" if forward else "backward",
        )

    def targets(self) -> list[str]:
        """Everything that `matches` can find: names, labels that several nodes share, operations,
        phases."""
        names = [
            name
            for node in self.nodes
            if not node.constant
            for name in (node.name, node.label)
            if name and name.isprintable()
        ]
        operations = itertools.chain.from_iterable(
            map(_names_of_operation, dict.fromkeys(node.op for node in self.nodes))
        )
        return list(dict.fromkeys([*names, *operations, "forward", "backward"]))

    def values(self) -> list[Value]:
        """The recorded graph once more: new Values, in the order of ``nodes``, with all gradients
        at 0."""
        made: list[Any] = []
        for node in self.nodes[:-1]:
            made.append(node.data if node.constant else self._value(node, made))
        return topological_order(self._value(self.nodes[-1], made))

    def _value(self, node: Node, made: Sequence[Any]) -> Value:
        value = blank(Value)
        value._set_state(
            node.data,
            0.0,
            node.label,
            node.op,
            tuple([made[arg] for arg in node.args]),
            node.partials,
        )
        return value

    def __repr__(self) -> str:
        naive = ", in the naive order" if self.order == "naive" else ""
        return (
            f"<Recording of {self.nodes[self.root].name}: {len(self.nodes)} nodes, {self.forward} "
            "steps forward, "
            f"{len(self) - self.forward} backward{naive}>"
        )

    def _forward_words(self, position: int) -> str:
        node = self.nodes[position]
        row = lookup(node.op)
        names = Name.apply_primitive(row, self._names(node)).text
        operands = [_number_name(self.nodes[arg].data) for arg in node.args]
        if row.symbol and row.arity == 1 and operands[0].text.startswith("-"):
            # -(-2) and not --2, which looks like another operator
            operands = [Name(f"({operands[0].text})")]
        numbers = Name.apply_primitive(row, tuple(operands)).text
        return " = ".join(
            dict.fromkeys([node.name, names, numbers.replace(" * ", " × "), brief(node.data)])
        )

    def _backward_words(self, event: Event, user: int) -> tuple[str, str]:
        """The words and the formula of the step along an edge."""
        top, of, at = self.nodes[self.root].name, self.nodes[user], self.nodes[event.node].name
        formula = f"∂{of.name}/∂{at} = {derivative(lookup(of.op), event.operand, self._names(of), Name(of.name)).text}"
        product = f"{brief(event.adjoint)} × {brief(self.partial(user, event.operand))} = {brief(self.flow(event))}"
        return f"∂{top}/∂{at} += ∂{top}/∂{of.name} · ∂{of.name}/∂{at} = {product}", formula

    def _names(self, node: Node) -> tuple[Name, ...]:
        return tuple([as_name(operand.data) if operand.constant else Name(operand.name)
                      for operand in (self.nodes[arg] for arg in node.args)])


def record(root: Value, order: str = "topological") -> Recording:
    """The recording of the graph of ``root``.  Takes what was computed as it is, and changes
    nothing of it.

    order    of the backward pass: "topological", the engine's; or "naive", the recursion that one
             writes first, which follows a node's edges as soon as a contribution arrives, and so,
             where a node has several users, passes on an unfinished sum and then passes it on
             again: see `compare_orders`

    Raises TypeError if ``root`` is no Value, ValueError for another order, and for a naive one of
    more than `NAIVE_LIMIT` steps: it walks every path, and their number can double with every node.
    """
    if not isinstance(root, Value):
        raise _no_graph("record()", "a Value", root)
    if order not in ("topological", "naive"):
        raise ValueError(f"unknown order {order!r}; choose 'topological' or 'naive'")
    values = topological_order(root)
    position = {node: i for i, node in enumerate(values)}
    nodes = tuple(
        [
            Node(
                name,
                node.label if isinstance(node.label, str) else str(node.label),
                node.op,
                node.data,
                tuple([position[arg] for arg in node.args]),
                _partials(node),
                node.constant,
            )
            for name, node in zip(_unique_names(values), values)
        ]
    )
    events = [Event(i, None, 0, None, node.data) for i, node in enumerate(nodes) if node.op]
    forward = len(events)
    events.append(Event(len(nodes) - 1, None, 0, 0.0, 1.0))
    events += _topological_events(nodes) if order == "topological" else _naive_events(nodes)
    return Recording(nodes, tuple(events), len(nodes) - 1, forward, order)


def recording_of(y: Recording | Value | Stepper, caller: str) -> Recording:
    """The recording of what functions take that show a graph: of a Value a new one, in the
    topological order.

    Raises TypeError in the name of ``caller``, such as "explore()", for anything else.
    """
    if isinstance(y, Value):
        return record(y)
    if isinstance(y, Stepper):
        return y.recording
    if isinstance(y, Recording):
        return y
    raise _no_graph(caller, "a Value, a Recording or a Stepper", y)


def _no_graph(caller: str, takes: str, given: object) -> TypeError:
    return TypeError(f"{caller} takes {takes}, not {type(given).__name__} ({short_repr(given)}); "
                     "what a computation returns from Values is a Value")


def _names_of_operation(op: str) -> tuple[str, ...]:
    """What an operation can be called: ``mul`` and, as in drawings, ``*``.  ``neg`` is not ``-``,
    which is ``sub``."""
    row = lookup(op) if op else None
    return () if row is None else (op, row.symbol) if row.symbol and row.arity == 2 else (op,)


def _partials(node: Value) -> tuple[float | None, ...]:
    """The local derivatives of ``node``; None for constants, also for one that was taken from a
    graph and used again."""
    partials = node._partials
    if None in partials or not node.op:
        return partials
    return tuple(
        [
            None if isinstance(arg, Value) and arg.constant else d
            for arg, d in zip(node._args, partials)
        ]
    )


def _topological_events(nodes: Sequence[Node]) -> Iterator[Event]:
    gradients = [0.0] * len(nodes)
    gradients[-1] = 1.0
    for i in range(len(nodes) - 1, -1, -1):
        node, adjoint = nodes[i], gradients[i]
        for operand, (arg, partial) in enumerate(zip(node.args, node.partials)):
            if partial is not None:
                before = gradients[arg]
                gradients[arg] = after = before + partial * adjoint
                yield Event(arg, i, operand, before, after, adjoint)


def _naive_events(nodes: Sequence[Node]) -> Iterator[Event]:
    """The steps of ``def backward(node): for arg in node.args: arg.grad += partial * node.grad;
    backward(arg)``."""
    gradients = [0.0] * len(nodes)
    gradients[-1] = 1.0
    stack = [(len(nodes) - 1, 0)]  # calls that are not finished, and the operand that each is at
    count = 0
    while stack:
        i, operand = stack.pop()
        node = nodes[i]
        if operand == len(node.args):
            continue
        stack.append((i, operand + 1))
        arg, partial = node.args[operand], node.partials[operand]
        if partial is not None:
            if (count := count + 1) > NAIVE_LIMIT:
                raise ValueError(
                    f"the naive order takes more than {NAIVE_LIMIT:,} steps for this graph of "
                    f"{len(nodes):,} "
                    "nodes, since it walks every path; record a smaller graph"
                )
            before, adjoint = gradients[arg], gradients[i]
            gradients[arg] = after = before + partial * adjoint
            yield Event(arg, i, operand, before, after, adjoint)
            stack.append((arg, 0))


class Comparison(NamedTuple):
    """The backward pass of one graph in two orders; ``print`` it to see both, and where and why
    they differ.

    topological    the recording in the engine's order, which gives the gradients
    naive          the recording in the naive recursive order
    early          the number of the first step of ``naive`` that goes wrong: it passes on a
                   gradient that is not complete yet; None if there is none, so that both orders
                   agree
    late           the number of the step that adds to that gradient afterwards; None if ``early``
                   is
    """

    topological: Recording
    naive: Recording
    early: int | None
    late: int | None

    @property
    def gradients(self) -> dict[str, tuple[float, float]]:
        """For every node that is no constant its gradient by the topological order, and by the
        naive one."""
        right, naive = Stepper(self.topological).finish(), Stepper(self.naive).finish()
        return {
            name: (right.numbers(i)[1], naive.numbers(i)[1])
            for name, i in self.naive.positions.items()
        }

    def __str__(self) -> str:
        return "\n".join([*self._table(), "", *self._reasons()])

    def _table(self) -> Iterator[str]:
        columns = [
            [step.words for step in recording[recording.forward :]]
            for recording in (self.topological, self.naive)
        ]
        width = max(map(len, ["topological order", *columns[0]]))
        yield f"{'topological order':<{width}}   naive recursive order"
        first = self.naive.forward + 1
        shown = min(max(map(len, columns)), TABLE_LINES)
        for i, (left, right) in enumerate(itertools.zip_longest(*columns, fillvalue="")):
            if i == shown:
                yield f"... and {max(map(len, columns)) - shown} more steps"
                break
            mark = (
                "   <- too early"
                if first + i == self.early
                else "   <- the rest of it"
                if first + i == self.late
                else ""
            )
            yield f"{left:<{width}}   {right}{mark}".rstrip()

    def _reasons(self) -> Iterator[str]:
        if self.early is None or self.late is None:
            yield "Both orders agree: whenever the naive one passes a gradient on, that gradient is complete already,"
            yield "as it always is where no operation is used twice."
            return
        nodes, events, root = (
            self.naive.nodes,
            self.naive.events,
            self.naive.nodes[self.naive.root].name,
        )
        event = events[self.early - 1]
        user, to, final = (
            nodes[event.user or 0].name,
            nodes[event.node].name,
            events[self.late - 1].after,
        )
        yield f"{user} is used more than once, so that ∂{root}/∂{user} is a sum.  The naive order passes it on to"
        yield (
            f"{to} when it is {brief(event.adjoint)} (step {self.early}), before the rest of it "
            "arrives "
            f"(step {self.late} makes it {brief(final)})."
        )
        yield "Then it passes on all of it, and so what it passed on before a second time."
        wrong = {name: pair for name, pair in self.gradients.items() if pair[0] != pair[1]}
        for name, (right, naive) in list(wrong.items())[:TABLE_LINES]:
            yield f"  ∂{root}/∂{name} is {brief(right)}; the naive order gives {brief(naive)}"
        if not wrong:
            yield "  Here the extra amounts happen to be 0, so that the gradients come out right all the same."
        yield "The topological order visits a node after all of its users, when its gradient is complete, and"
        yield "follows each edge once."


def compare_orders(root: Value) -> Comparison:
    """The backward pass of ``root`` in the topological order and in the naive recursive one, side
    by side.

        >>> from tinygrad_edu import Value
        >>> a = Value(1.0, "a")
        >>> b = a + a
        >>> c = b + b
        >>> compare_orders(c).gradients["a"]
        (4.0, 6.0)

    Raises what `record` raises.
    """
    right, naive = record(root), record(root, order="naive")
    # for each node the edges that have brought nothing yet
    missing: dict[int, set[tuple[int | None, int]]] = {}
    for event in right.events[right.forward:]:
        missing.setdefault(event.node, set()).add((event.user, event.operand))
    early = None
    for number, event in enumerate(naive.events[naive.forward:], naive.forward + 1):
        if early is not None and event.node == naive.events[early - 1].user:
            return Comparison(right, naive, early, number)
        if early is None and event.user is not None and missing[event.user]:
            early = number
        missing[event.node].discard((event.user, event.operand))
    return Comparison(right, naive, None, None)


def _unique_names(order: Sequence[Value]) -> list[str]:
    shown = [_printable(str(node.label)) for node in order]
    labels, seen = Counter(shown), Counter[str]()

    def numbered(stem: str) -> str:
        while True:
            seen[stem] += 1
            if (name := f"{stem}#{seen[stem]}") not in labels:  # that may be a label, too
                return name

    names, count = [], 0
    for node, label in zip(order, shown):
        count += not node.constant
        if node.constant:
            names.append(brief(node.data))
        elif label:
            names.append(label if labels[label] == 1 else numbered(label))
        else:
            names.append(name if (name := f"v{count}") not in labels else numbered(name))
    return names


def _printable(label: str) -> str:
    """``label`` without anything that a terminal could take for a command: a new line as ``\\n``,
    escape as ``\\x1b``."""
    return (
        label
        if label.isprintable()
        else "".join([c if c.isprintable() else repr(c)[1:-1] for c in label])
    )


class Stepper:
    """A cursor on a recording, which moves both ways.  Every move returns the stepper, whose repr
    is the view of it.

    recording     the `Recording`: of a Value it is made, of another Stepper it is taken
    position      how many steps have been done, 0 to len(recording)
    step          the last step done (its ``phase`` is "start" if none was)
    breakpoints   what `run` stops at: names, labels, operations or phases; see `stop_at`
    watches       the names whose data and gradient every view shows; see `watch`
    """

    def __init__(self, recording: Recording | Value | Stepper) -> None:
        self.recording = recording_of(recording, "Stepper()")
        self.position = 0
        self.breakpoints: list[str] = []
        self.watches: list[str] = []
        self._data: list[float | None] = [
            None if node.op else node.data for node in self.recording.nodes
        ]
        self._grads: list[float] = [0.0] * len(self.recording.nodes)

    @property
    def step(self) -> Step:
        """The last step done."""
        return self.recording[self.position - 1] if self.position else self.recording.start()

    def next(self, count: int = 1) -> Stepper:
        """Does the next step, or ``count`` of them; stays at the end when there is none."""
        return self.goto(min(self.position + _count(count), len(self.recording)))

    def back(self, count: int = 1) -> Stepper:
        """Undoes the last step, or ``count`` of them; stays at the start when there is none."""
        return self.goto(max(self.position - _count(count), 0))

    def goto(self, position: int) -> Stepper:
        """Moves to where ``position`` steps have been done.

        Raises IndexError if there are not so many, TypeError if it is no whole number.
        """
        if isinstance(position, bool) or not isinstance(position, int):
            raise TypeError(
                f"a position is a whole number, not {type(position).__name__} "
                f"({short_repr(position)})"
            )
        if not 0 <= position <= len(self.recording):
            raise IndexError(
                f"position {position} is not in this recording, which has positions 0 to "
                f"{len(self.recording)}"
            )
        events, forward = self.recording.events, self.recording.forward
        while self.position < position:
            event = events[self.position]
            if self.position < forward:
                self._data[event.node] = event.after
            else:
                self._grads[event.node] = event.after
            self.position += 1
        while self.position > position:
            self.position -= 1
            event = events[self.position]
            if self.position < forward:
                self._data[event.node] = None
            else:
                self._grads[event.node] = event.before or 0.0
        return self

    def run_to(self, target: str) -> Stepper:
        """Does steps until one is about ``target``: a name, a label, an operation, "forward" or
        "backward".

        Raises ValueError, and does not move, if no step ahead is; the message says what exists.
        """
        return self.goto(self._find([target]))

    def run(self) -> Stepper:
        """Does steps until one is about a breakpoint, or to the end."""
        try:
            return self.goto(self._find(self.breakpoints))
        except ValueError:
            return self.finish()

    def stop_at(self, target: str) -> Stepper:
        """Adds a breakpoint.  Raises ValueError if nothing in the recording is called so."""
        self._check(target, self.recording.targets())
        self.breakpoints.append(target)
        return self

    def watch(self, name: str) -> Stepper:
        """Adds a watch.  Raises ValueError if no node is called so."""
        self._check(name, self.recording.positions)
        self.watches.append(name)
        return self

    def restart(self) -> Stepper:
        """Goes back to before the first step; breakpoints and watches stay."""
        return self.goto(0)

    def finish(self) -> Stepper:
        """Goes to the end."""
        return self.goto(len(self.recording))

    def data(self, name: str) -> float | None:
        """The number of a node at this moment; None if it is not computed yet.  Raises ValueError
        for an unknown name."""
        return self._data[self._position_of(name)]

    def grad(self, name: str) -> float:
        """The gradient of a node at this moment, as far as it has been accumulated.  ValueError for
        an unknown name."""
        return self._grads[self._position_of(name)]

    def numbers(self, position: int) -> tuple[float | None, float]:
        """The data and the gradient at this moment of the node at ``position`` in
        `Recording.nodes`."""
        return self._data[position], self._grads[position]

    def lines(self) -> list[tuple[str, str]]:
        """The lines of the view, each with its kind: "position", "sentence", "changed", "watch" or
        "next"."""
        step, total = self.step, len(self.recording)
        lines = [
            ("position", f"step {self.position} of {total}, {step.phase}"),
            ("sentence", f"  {step.sentence}"),
        ]
        if step.phase == "forward":
            lines.append(("changed", f"  changed: data of {step.name}: {brief(step.after)}"))
        elif step.phase == "backward":
            lines.append(
                (
                    "changed",
                    f"  changed: grad of {step.name}: {brief(step.before)} -> {brief(step.after)}",
                )
            )
        for name in self.watches:
            lines.append(
                (
                    "watch",
                    f"  watch:   {name}: data {brief(self.data(name))}, grad "
                    f"{brief(self.grad(name))}",
                )
            )
        ahead = (
            self.recording[self.position].sentence
            if self.position < total
            else "nothing, this is the end"
        )
        return [*lines, ("next", f"  next:    {ahead}")]

    def __repr__(self) -> str:
        return "\n".join([text for _, text in self.lines()])

    def _find(self, targets: Sequence[str]) -> int:
        for i in range(self.position, len(self.recording)):
            if any(self.recording.matches(i, target) for target in targets):
                return i + 1
        what = " or ".join(map(repr, targets)) or "a breakpoint"
        raise ValueError(f"no step after position {self.position} is about {what}; "
                         f"this recording has {_shortened(self.recording.targets())}")

    def _position_of(self, name: str) -> int:
        positions = self.recording.positions
        if name in positions:
            return positions[name]
        raise ValueError(f"no node is called {name!r}; there are {_shortened(list(positions))}")

    def _check(self, target: str, known: Collection[str]) -> None:
        if target not in known:
            raise ValueError(
                f"nothing here is called {target!r}; there are {_shortened(list(known))}"
            )


def brief(x: float | None) -> str:
    """A number as a person writes it, to four digits: -3, 0.7071, 1.7e-17; "?" for one that is not
    there yet.

    Below 10,000 what is no integer does not look like one: 1.0001 and 1234.5 have as many digits as
    that takes, up to ten.  What ten digits would not show is a rounding error.
    """
    if x is None:
        return "?"
    if math.isfinite(x) and x == int(x) and abs(x) < 1e6:
        return str(int(x))
    text = f"{x:.{DIGITS}g}"
    if abs(x) < 10**DIGITS and float(text).is_integer():
        longer = [f"{x:.{digits}g}" for digits in range(DIGITS + 1, MOST_DIGITS + 1)]
        text = next((text for text in longer if not float(text).is_integer()), f"{x:.0f}")
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _number_name(x: float) -> Name:
    text = brief(x)
    return Name(text, UNARY) if text.startswith("-") else Name(text)


def _count(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise ValueError(
            f"the number of steps is {count!r}; it must be a whole number of at least 0"
        )
    return count


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
