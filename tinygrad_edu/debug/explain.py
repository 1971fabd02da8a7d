"""`explain_nonfinite`: where the inf or nan in a result comes from, and how it got there.

    >>> from tinygrad_edu import Value, math
    >>> p, w = Value(0.0, "p"), Value(0.0, "w")
    >>> loss = w * math.log(p) + 1
    >>> loss.label = "loss"
    >>> print(explain_nonfinite(loss))  # doctest: +NORMALIZE_WHITESPACE
    loss is nan.  The first inf or nan, in order of execution, is
      v3 = log(p) = log(0) = -inf
    From there to loss:
      v4 = w * v3 = 0 × -inf = nan
      loss = v4 + 1 = nan + 1 = nan
    log(p) is finite where p > 0; here p = 0.  For the logarithm of a probability there are
    cross_entropy, binary_cross_entropy, log_softmax and logsigmoid, which never take that of 0.

What a `stepper.Recording` says of each step is said here of some.
"""

from __future__ import annotations

import math
import textwrap
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..engine import anomaly
from ..engine.graph import topological_order
from ..engine.primitives import lookup
from ..engine.value import Value
from ..symbolic.formulas import Name
from .recording import Node, Recording, record
from .text import brief

SHOWN_FIRST = 8  # lines of a long path
SHOWN_LAST = 4
WIDTH = 108  # characters of a line of advice

_LOGARITHM = (
    "For the logarithm of a probability there are cross_entropy, binary_cross_entropy, log_softmax "
    "and logsigmoid, which never take that of 0."
)
_REMEDIES = {
    "log": _LOGARITHM,
    "log2": _LOGARITHM,
    "log10": _LOGARITHM,
    "exp": (
        "For quotients and logarithms of exponentials there are softmax, logsumexp, sigmoid and "
        "softplus, which do not overflow."
    ),
    "div": (
        "Keep the denominator away from 0, with maximum(y, 1e-12), say, or do not divide there: "
        "where(condition, x / y, other) records the branch taken only."
    ),
    "sqrt": (
        "Keep the argument above 0, with sqrt(maximum(x, 1e-12)), say; for the length of a "
        "vector there are hypot and norm."
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Where the first inf or nan of a graph arose; ``print`` it, or draw it with `viz.draw`.  Made
    by `explain_nonfinite`.

    root        the result that was asked about, and its ``name`` in the sentences
    phase       "forward", of data; "backward", of gradients, when all data are finite
    node        the first node in order of execution whose data is inf or nan; backward the first
                one, in the order of the backward pass, whose gradient is
    operation   how it was made, in names: ``v3 = log(p)``; of a leaf its name.  Backward, the
                operation whose local derivative and adjoint gave the bad gradient
    operands    names and numbers of what the operation was made from
    path        the nodes from there to the root
    sentences   the steps of the forward or backward pass at the nodes of the path, in words; the
                first is the culprit
    line        file, line and function that asked for the operation; None unless it was recorded in
                `detect_anomaly`
    advice      what is wrong with the operands, and what usually helps
    """

    root: Value
    name: str
    phase: str
    node: Value
    operation: str
    operands: tuple[tuple[str, float], ...]
    path: tuple[Value, ...]
    sentences: tuple[str, ...]
    line: anomaly.Line | None
    advice: str

    def __str__(self) -> str:
        culprit, *rest = self.sentences
        if self.phase == "forward":
            summary = (
                f"{self.name} is {brief(self.root.data)}.  The first inf or nan, in order of "
                "execution, is"
            )
            heading = f"From there to {self.name}:"
        else:
            summary = (
                "All numbers of the forward pass are finite.  The first gradient that is inf or "
                "nan is in"
            )
            heading = f"How the backward pass came there from {self.name}:"
            rest.reverse()
        lines = [summary, f"  {culprit}"]
        if self.line is not None:
            lines.append(textwrap.indent(anomaly.shown_line(self.line), "  "))
        if rest:
            lines += [heading, *[f"  {line}" for line in _middle_left_out(rest)]]
        return "\n".join([*lines, *textwrap.wrap(self.advice, WIDTH, break_on_hyphens=False)])

    __repr__ = __str__


def explain_nonfinite(root: Value) -> Explanation | None:
    """The first inf or nan among the numbers that ``root`` was computed from; None if all are
    finite.

    Of data first, in order of execution.  If all data are finite, of the gradients of ``root``, in
    the order of the backward pass, which is done once more for this; whatever is in ``.grad`` is
    not looked at, and does not change.  Raises TypeError if ``root`` is no Value.
    """
    if isinstance(root, Value) and _is_finite(root):
        return None
    recording = record(root)
    values = topological_order(root)
    bad = next((i for i, node in enumerate(recording.nodes) if not math.isfinite(node.data)), None)
    if bad is not None:
        return _of_data(recording, values, bad)
    index = next(
        (i for i, event in enumerate(recording.events) if not math.isfinite(event.after)), None
    )
    return None if index is None else _of_gradient(recording, values, index)


def _is_finite(root: Value) -> bool:
    """Whether all data and gradients are finite: mostly they are, and to find that out takes a
    tenth of the time."""
    order = topological_order(root)
    if not all(math.isfinite(node.data) for node in order):
        return False
    adjoints = dict.fromkeys(order, 0.0)
    adjoints[root] = 1.0
    for node in reversed(order):
        for arg, partial in zip(node.args, node._partials):
            if partial is not None:
                adjoints[arg] += partial * adjoints[node]
    return all(map(math.isfinite, adjoints.values()))


def _of_data(recording: Recording, values: Sequence[Value], bad: int) -> Explanation:
    nodes = recording.nodes
    path = _way_up(nodes, bad, lambda i: not math.isfinite(nodes[i].data))
    path = path or _way_up(nodes, bad, lambda i: True)
    step_of = {recording.events[i].node: i for i in range(recording.forward)}
    kind = "number" if nodes[bad].constant else "leaf"
    sentences = [
        recording[step_of[i]].words if i in step_of else f"the {kind} {_given(nodes[i])}"
        for i in path
    ]
    advice = (_advice(recording, bad) if nodes[bad].op else
              f"The {kind} was {brief(nodes[bad].data)} from the start: look at the data.")
    return _explanation(recording, values, "forward", bad, path, sentences, advice)


def _of_gradient(recording: Recording, values: Sequence[Value], index: int) -> Explanation:
    event = recording.events[index]
    nodes = recording.nodes
    user = event.node if event.user is None else event.user
    path = [event.node, *_way_up(nodes, user, lambda i: True)]
    arriving: dict[tuple[int, int | None], int] = {}
    for i in range(recording.forward, len(recording)):
        arriving.setdefault((recording.events[i].node, recording.events[i].user), i)
    steps = [index, *[arriving[pair] for pair in pairwise(path[1:])]]
    sentences = [recording[i].sentence for i in steps]
    partial = recording.partial(user, event.operand)
    if not math.isfinite(partial):
        advice = (
            f"The local derivative of {recording.operation(user)} by {nodes[event.node].name} is "
            f"{brief(partial)} where {_numbers(_operands(recording, user))}.  "
            f"{_REMEDIES.get(nodes[user].op, '')}"
        ).strip()
    else:
        if math.isinf(recording.flow(event)):
            product = f"{brief(event.adjoint)} times {brief(partial)}"
            grown = f"grew on their way until {product} was"
        else:
            grown = f"of the users of {nodes[event.node].name} add up"
        advice = (
            f"The gradients {grown} beyond the largest float, 1.8e308: scale the inputs or the "
            "initial weights down."
        )
    return _explanation(recording, values, "backward", user, path, sentences, advice)


def _explanation(
    recording: Recording,
    values: Sequence[Value],
    phase: str,
    operation: int,
    path: Sequence[int],
    sentences: Sequence[str],
    advice: str,
) -> Explanation:
    return Explanation(
        values[-1],
        recording.nodes[-1].name,
        phase,
        values[path[0]],
        recording.operation(operation),
        _operands(recording, operation),
        tuple([values[i] for i in path]),
        tuple(sentences),
        anomaly.line_of(values[operation]),
        advice,
    )


def _way_up(nodes: Sequence[Node], start: int, allowed: Callable[[int], bool]) -> list[int]:
    """The shortest way from a node to the root over users that are ``allowed``; [] if there is
    none."""
    users: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        for arg in dict.fromkeys(node.args):
            users.setdefault(arg, []).append(i)
    came_from: dict[int, int] = {start: start}
    waiting = deque([start])
    while waiting and (i := waiting.popleft()) != len(nodes) - 1:
        for user in users[i]:
            if user not in came_from and allowed(user):
                came_from[user] = i
                waiting.append(user)
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
    call = recording.operation(bad).partition(" = ")[2]
    remedy = _REMEDIES.get(node.op, "")
    here = _numbers(_operands(recording, bad))
    if math.isinf(node.data) and all(arg.data for arg in args):
        return f"{call} is beyond the largest float, 1.8e308, where {here}.  {remedy}".strip()
    if (
        row.domain is not None
        and not row.domain(*[arg.data for arg in args])
        and (math.isnan(node.data) or node.op != "pow")
    ):
        called = [
            parameter if arg.constant else arg.name for parameter, arg in zip(row.parameters, args)
        ]
        domain = str(row.domain(*map(Name, called)))
        here = _numbers([(name, arg.data) for name, arg in zip(called, args) if name in domain])
        return f"{call} is finite where {domain}; here {here}.  {remedy}".strip()
    return f"{call} is {brief(node.data)} where {here}.  {remedy}".strip()


def _operands(recording: Recording, position: int) -> tuple[tuple[str, float], ...]:
    args = dict.fromkeys(recording.nodes[position].args)
    return tuple([(recording.nodes[arg].name, recording.nodes[arg].data) for arg in args])


def _numbers(operands: Sequence[tuple[str, float]]) -> str:
    shown = [f"{name} = {brief(x)}" for name, x in operands if name != brief(x)]
    return " and ".join(shown) or "all are numbers"


def _given(node: Node) -> str:
    return brief(node.data) if node.constant else f"{node.name} = {brief(node.data)}"


def _middle_left_out(lines: Sequence[str]) -> list[str]:
    left_out = len(lines) - SHOWN_FIRST - SHOWN_LAST
    if left_out <= 1:
        return list(lines)
    return [*lines[:SHOWN_FIRST], f"... {left_out:,} more steps ...", *lines[-SHOWN_LAST:]]
