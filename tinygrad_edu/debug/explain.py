"""`explain_nonfinite`: where the inf or nan in a result comes from, and how it got there.

    >>> from tinygrad_edu import Value, math
    >>> p, w = Value(0.0, "p"), Value(0.0, "w")
    >>> loss = w * math.log(p) + 1
    >>> loss.label = "loss"
    >>> print(explain_nonfinite(loss))
    loss is nan.  The first inf or nan, in order of execution, is
      v3 = log(p) = log(0) = -inf
    From there to loss:
      v4 = w * v3 = 0 × (-inf) = nan
      loss = v4 + 1 = nan + 1 = nan
    log(p) is finite only if p > 0, but p = 0.  For log-probabilities use cross_entropy,
    binary_cross_entropy, log_softmax or logsigmoid: they never compute log(0).

The sentences are those of a `recording.Recording`, for some of its steps.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isinf, isnan

from ..engine.accumulation import accumulate
from ..engine.graph import topological_order
from ..engine.primitive import lookup
from ..engine.value import Value
from ..errors import NonFiniteError
from ..symbolic.formulas import Name
from . import anomaly
from .recording import Node, Recording, check_root, record
from .text import short_number

SHOWN_FIRST = 8  # steps at the beginning of a long path that are printed
SHOWN_LAST = 4  # steps at its end that are printed
WIDTH = 96  # characters of a line of advice

_LOGARITHM = (
    "For log-probabilities use cross_entropy, binary_cross_entropy, log_softmax or logsigmoid: "
    "they never compute log(0)."
)
_REMEDIES = {
    "log": _LOGARITHM,
    "log2": _LOGARITHM,
    "log10": _LOGARITHM,
    "exp": (
        "For quotients and logarithms of exponentials use softmax, logsumexp, sigmoid or softplus: "
        "they do not overflow."
    ),
    "div": (
        "Keep the denominator away from 0, for example with maximum(y, 1e-12), or do not divide: "
        "where(condition, x / y, other) records only the branch taken."
    ),
    "sqrt": (
        "Keep the argument above 0, for example with sqrt(maximum(x, 1e-12)); for the length of a "
        "vector use hypot or norm."
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Where the first inf or nan of a graph comes from.

    Print it, or draw it with `viz.draw`.

    root: the result that was explained; ``name`` is its name in the sentences.
    phase: "forward" if data is inf or nan; "backward" if all data are finite, but a gradient is inf
        or nan.
    node: forward, the first node in order of execution whose data is inf or nan; backward, the
        first node in the order of the backward pass whose gradient is inf or nan.
    operation: forward, how the node was made, in names: ``v3 = log(p)``; for a leaf its name.
        Backward, the operation whose local derivative and adjoint gave the gradient.
    operands: names and numbers of the operands of ``operation``.
    path: the nodes from ``node`` to the root.
    sentences: the steps of the forward or backward pass at the nodes of the path, in words; the
        first has the inf or nan.
    line: file, line and function that executed the operation; None unless it was recorded in
        `detect_anomaly`.
    advice: what is wrong with the operands, and what usually helps.
    """

    root: Value
    name: str
    phase: str
    node: Value
    operation: str
    operands: tuple[tuple[str, float], ...]
    path: tuple[Value, ...]
    sentences: tuple[str, ...]
    line: anomaly.SourceLine | None
    advice: str

    def __str__(self) -> str:
        culprit, *rest = self.sentences
        if self.phase == "forward":
            summary = (
                f"{self.name} is {short_number(self.root.data)}.  "
                "The first inf or nan, in order of execution, is"
            )
            heading = f"From there to {self.name}:"
        else:
            summary = (
                "All numbers of the forward pass are finite.  The first gradient that is inf or "
                "nan is in"
            )
            heading = f"The backward pass from {self.name} to this step:"
            rest.reverse()
        lines = [summary, f"  {culprit}"]
        if self.line is not None:
            lines.append(textwrap.indent(anomaly.line_text(self.line), "  "))
        if rest:
            lines += [heading, *[f"  {line}" for line in _without_middle(rest)]]
        return "\n".join([*lines, *textwrap.wrap(self.advice, WIDTH, break_on_hyphens=False)])

    __repr__ = __str__


def explain_nonfinite(root: Value) -> Explanation | None:
    """Finds the first inf or nan in the graph of ``root``, and returns its `Explanation`.

    Returns None if all numbers are finite.

    Data are examined first, in order of execution.  If all data are finite, the gradients of
    ``root`` are computed and examined in the order of the backward pass; ``.grad`` is neither read
    nor changed.

    Raises:
        TypeError: ``root`` is not a Value.
    """
    check_root(root, "explain_nonfinite: root")
    if _is_finite(root):
        return None
    recording = record(root)
    values = topological_order(root)
    phase = "forward"
    bad = _first_nonfinite([node.data for node in recording.nodes])
    if bad is not None:
        path, sentences, advice = _explain_data(recording, bad)
    else:
        phase = "backward"
        step = _first_nonfinite([event.after for event in recording.events])
        if step is None:
            return None
        event = recording.events[step]
        bad = event.node if event.user is None else event.user
        path, sentences, advice = _explain_gradient(recording, step, bad)
    return Explanation(
        root,
        recording.nodes[-1].name,
        phase,
        values[path[0]],
        recording.operation(bad),
        _operands(recording, bad),
        tuple([values[i] for i in path]),
        tuple(sentences),
        anomaly.line_of(values[bad]),
        advice,
    )


def _first_nonfinite(numbers: Sequence[float]) -> int | None:
    return next((i for i, x in enumerate(numbers) if not isfinite(x)), None)


def _is_finite(root: Value) -> bool:
    """Returns whether all data and gradients are finite.

    Mostly they are, and this check takes a tenth of the time of a recording.
    """
    order = topological_order(root)
    if not all(isfinite(node.data) for node in order):
        return False
    try:
        adjoints = accumulate([root], [1.0], order)
    except NonFiniteError:  # inside `detect_anomaly`
        return False
    return all(map(isfinite, adjoints.values()))


# the nodes on the path to the root, the sentences of their steps, and the advice
Reasons = tuple[list[int], list[str], str]


def _explain_data(recording: Recording, bad: int) -> Reasons:
    """Explains the data of the node at position ``bad``."""
    nodes = recording.nodes
    path = _shortest_path_to_root(nodes, bad, lambda i: not isfinite(nodes[i].data))
    path = path or _shortest_path_to_root(nodes, bad, lambda i: True)
    steps = {event.node: i for i, event in enumerate(recording.events[:recording.forward])}
    sentences = [recording[steps[i]].words for i in path if i in steps]
    if nodes[bad].op:
        return path, sentences, _advice(recording, bad)
    kind = "number" if nodes[bad].constant else "leaf"
    number = short_number(nodes[bad].data)
    given = number if nodes[bad].constant else f"{nodes[bad].name} = {number}"
    advice = f"The {kind} is {number} in the input; check the data."
    return path, [f"the {kind} {given}", *sentences], advice


def _explain_gradient(recording: Recording, step: int, user: int) -> Reasons:
    """Explains the gradient that changes in a step, along an edge of the node ``user``."""
    event = recording.events[step]
    nodes = recording.nodes
    path = [event.node, *_shortest_path_to_root(nodes, user, lambda i: True)]
    arriving: dict[tuple[int, int | None], int] = {}
    for i in range(recording.forward, len(recording)):
        arriving.setdefault((recording.events[i].node, recording.events[i].user), i)
    steps = [step, *[arriving[pair] for pair in pairwise(path[1:])]]
    sentences = [recording[i].sentence for i in steps]
    partial = recording.partial(user, event.operand)
    if not isfinite(partial):
        advice = (
            f"The local derivative of {recording.operation(user)} with respect to "
            f"{nodes[event.node].name} is {short_number(partial)} at "
            f"{_numbers(_operands(recording, user))}.  {_REMEDIES.get(nodes[user].op, '')}"
        )
        return path, sentences, advice.strip()
    grown = f"The sum of the gradients from the users of {nodes[event.node].name} exceeds"
    if isinf(recording.flow(event)):
        product = f"{short_number(event.adjoint)} times {short_number(partial)}"
        grown = f"The gradients grew until {product} exceeded"
    advice = f"{grown} the largest float, 1.8e308; scale the inputs or the initial weights down."
    return path, sentences, advice


def _shortest_path_to_root(
    nodes: Sequence[Node], start: int, allowed: Callable[[int], bool]
) -> list[int]:
    """Returns the positions on the shortest path from a node to the root.

    The path leads over users that are ``allowed``.  If there is no such path, it is [].
    """
    users: defaultdict[int, list[int]] = defaultdict(list)
    for i, node in enumerate(nodes):
        for arg in node.args:
            users[arg].append(i)
    came_from = {start: start}
    reached = [start]
    for i in reached:  # grows, the nearest nodes first
        for user in users[i]:
            if user not in came_from and allowed(user):
                came_from[user] = i
                reached.append(user)
    path = [len(nodes) - 1]
    if path[0] not in came_from:
        return []
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def _advice(recording: Recording, bad: int) -> str:
    node = recording.nodes[bad]
    row = lookup(node.op)
    args = [recording.nodes[arg] for arg in node.args]
    numbers = [arg.data for arg in args]
    call = recording.operation(bad).partition(" = ")[2]
    here = _numbers(_operands(recording, bad))
    cause = f"is {short_number(node.data)} at {here}"
    if isinf(node.data) and all(numbers):
        cause = f"exceeds the largest float, 1.8e308, at {here}"
    elif (
        row.domain is not None
        and not row.domain(*numbers)
        and (isnan(node.data) or node.op != "pow")
    ):
        called = [
            parameter if arg.constant else arg.name for parameter, arg in zip(row.parameters, args)
        ]
        domain = str(row.domain(*map(Name, called)))
        here = _numbers([pair for pair in zip(called, numbers) if pair[0] in domain])
        cause = f"is finite only if {domain}, but {here}"
    return f"{call} {cause}.  {_REMEDIES.get(node.op, '')}".strip()


def _operands(recording: Recording, position: int) -> tuple[tuple[str, float], ...]:
    args = dict.fromkeys(recording.nodes[position].args)
    return tuple([(recording.nodes[arg].name, recording.nodes[arg].data) for arg in args])


def _numbers(operands: Sequence[tuple[str, float]]) -> str:
    shown = [f"{name} = {short_number(x)}" for name, x in operands if name != short_number(x)]
    return " and ".join(shown) or "these numbers"


def _without_middle(lines: Sequence[str]) -> list[str]:
    left_out = len(lines) - SHOWN_FIRST - SHOWN_LAST
    if left_out <= 1:
        return list(lines)
    return [*lines[:SHOWN_FIRST], f"... {left_out:,} more steps ...", *lines[-SHOWN_LAST:]]
