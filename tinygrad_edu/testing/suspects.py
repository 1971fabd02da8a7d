"""`suspects`: finds the operation whose derivative is wrong, by comparing each local derivative
with differences of its row."""

from __future__ import annotations

import math

from ..debug.recording import Recording, record
from ..debug.text import short_number
from ..engine.graph import topological_order
from ..engine.primitive import lookup
from ..engine.value import Value
from .gradcheck import Entry, gradcheck

MOST_OPERATIONS = 40  # operations that are shown and compared
LONGEST_RULE = 80  # characters of a rule; longer rules are left out


def suspects(root: Value, order: int = 1, rtol: float = 1e-7) -> str:
    """Returns the graph of ``root`` as text: one operation a line, in names and numbers, and below
    it its local derivatives.

    A local derivative is marked as wrong if it differs from differences of the operation alone by
    more than ``rtol`` of its size.  With ``order`` 2, the second derivatives of each operation are
    compared too.  Only the first 40 operations are shown; the conclusion on the whole graph is left
    out if there are more.

        >>> x = Value(2.0, "x")
        >>> print(suspects(x * x + 1))  # doctest: +NORMALIZE_WHITESPACE
        x = 2
        v2 = x * x = 2 × 2 = 4
          ∂v2/∂x = x = 2
          ∂v2/∂x = x = 2
        v3 = v2 + 1 = 4 + 1 = 5
          ∂v3/∂v2 = 1
        Each local derivative is right.  If the whole is wrong, an edge is missing: a number may
        have left the graph, by float(x), x.data or the standard math module.
    """
    recording = record(root)
    values = topological_order(root)
    lines = []
    for node in recording.nodes:
        if not node.op and not node.constant:
            lines.append(f"{node.name} = {short_number(node.data)}")
    rules = {}
    for k, event in enumerate(recording.events):
        if event.user is not None:
            rules[event.user, event.operand] = k
    right = True
    for k in range(min(recording.forward, MOST_OPERATIONS)):
        i = recording.events[k].node
        op = values[i].op
        lines.append(recording[k].words)
        for operand, entry in enumerate(_local(values[i], 1, rtol)):
            if (i, operand) in rules:  # it is no constant
                lines.append(f"  {_rule(recording, rules[i, operand])}{_verdict(op, entry)}")
                right = right and entry.status != "mismatch"
        for entry in _local(values[i], 2, rtol) if order == 2 else []:
            if entry.status == "mismatch":
                lines.append(
                    f"  its second derivative with respect to {entry.name} is "
                    f"{entry.analytic:.10g}{_verdict(op, entry)}"
                )
                right = False
    return "\n".join([*lines, *_conclusion(recording, right)])


def _conclusion(recording: Recording, right: bool) -> list[str]:
    """Returns the last lines: the conclusion on the whole graph.  ``right``: whether each local
    derivative is right."""
    if recording.forward > MOST_OPERATIONS:
        return [f"... and {recording.forward - MOST_OPERATIONS} more operations"]
    for node in recording.nodes:
        if not math.isfinite(node.data):
            return [f"The first number that is inf or nan is {node.name}."]
    for node in recording.nodes:
        if not all(map(math.isfinite, filter(None, node.partials))):
            return [
                f"A local derivative of {node.name} is not finite; what is multiplied with it is "
                "inf or nan."
            ]
    if not right:
        return []
    return [
        "Each local derivative is right.  If the whole is wrong, an edge is missing: a number may "
        "have left the",
        "graph, by float(x), x.data or the standard math module.",
    ]


def _local(node: Value, order: int, rtol: float) -> list[Entry]:
    """Compares the derivatives of the operation of ``node`` alone, at the same numbers: one entry
    for each operand, or for each pair of operands.

    The first derivatives are the ones that the node has stored.  They need not come from the rule.
    """
    entries = gradcheck(lookup(node.op), [arg.data for arg in node.args], order, rtol=rtol).entries
    if order == 2:
        return entries
    return [_held_against(entry, d, rtol) for entry, d in zip(entries, node.partials)]


def _held_against(entry: Entry, d: float, rtol: float) -> Entry:
    """Returns ``entry`` with the derivative ``d`` compared with the same differences."""
    if entry.status not in ("ok", "mismatch"):
        return entry
    entry = entry._replace(analytic=d, allowed=entry.error + rtol * abs(entry.numeric))
    return entry._replace(status="ok" if entry.excess <= 1 else "mismatch")


def _rule(recording: Recording, k: int) -> str:
    """Returns the local derivative of the edge of step ``k``: ``∂v2/∂x = -x * v2 = -0.5``."""
    event = recording.events[k]
    user = event.user or 0
    number = short_number(recording.partial(user, event.operand))
    try:
        rule = recording[k].formula
    # a rule that does not run on names is a bug, but another one
    except (TypeError, ValueError, AttributeError):
        rule = f"∂{recording.nodes[user].name}/∂{recording.nodes[event.node].name}"
    if len(rule) > LONGEST_RULE:
        rule = f"{rule.partition(' = ')[0]} = ..."
    return rule if rule.endswith(f" = {number}") else f"{rule} = {number}"


def _verdict(op: str, entry: Entry) -> str:
    if entry.status != "mismatch":
        return ""
    return (
        f"   <- WRONG: it is {entry.analytic:.10g}, and differences of {op} say "
        f"{entry.numeric:.10g}"
    )
