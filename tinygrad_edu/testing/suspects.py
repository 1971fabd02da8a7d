"""`suspects`: finds the operation whose derivative is wrong.

It compares each local derivative with finite differences of its primitive.
"""

from __future__ import annotations

from math import isfinite

from ..debug.recording import Recording, check_root, record
from ..debug.text import short_number
from ..engine.graph import topological_order
from ..engine.primitive import lookup
from ..engine.value import Value
from ..errors import check_choice, check_number
from .gradcheck import gradcheck
from .report import Entry

MAX_OPERATIONS = 40  # operations that are shown and compared
MAX_RULE_LENGTH = 80  # characters of a rule; a longer rule is left out


def suspects(root: Value, order: int = 1, rtol: float = 1e-7) -> str:
    """Returns the graph of ``root`` as text: each operation with its local derivatives.

    A local derivative is marked as wrong if it differs from finite differences of the operation by
    more than ``rtol`` of its size.  With ``order`` 2, the second derivatives of each operation are
    compared too.  Only the first 40 operations are shown; if there are more, there is no conclusion
    on the whole graph.

        >>> x = Value(2.0, "x")
        >>> print(suspects(x * x + 1))  # doctest: +NORMALIZE_WHITESPACE
        x = 2
        v2 = x * x = 2 × 2 = 4
          ∂v2/∂x = x = 2
          ∂v2/∂x = x = 2
        v3 = v2 + 1 = 4 + 1 = 5
          ∂v3/∂v2 = 1
        Each local derivative is right.  If the gradient is still wrong, an edge is missing:
        a number may have left the graph, by float(x), x.data or the standard math module.
    """
    check_root(root, "suspects: root")
    check_choice(order, "suspects: order", (1, 2))
    wanted = "a number between 0 and 1, such as 1e-7"
    check_number(rtol, "suspects: rtol", above=0, below=1, wanted=wanted)
    recording = record(root)
    values = topological_order(root)
    lines = [
        f"{node.name} = {short_number(node.data)}"
        for node in recording.nodes
        if not node.op and not node.constant
    ]
    steps = {(event.user, event.operand): k for k, event in enumerate(recording.events)}
    all_right = True
    for k in range(min(recording.forward, MAX_OPERATIONS)):
        i = recording.events[k].node
        op = values[i].op
        lines.append(recording[k].words)
        args = [arg.data for arg in values[i].args]
        entries = gradcheck(lookup(op), args, rtol=rtol).entries
        for operand, (entry, d) in enumerate(zip(entries, values[i].partials)):
            if (i, operand) in steps:  # constants have no edge
                mark = _mark(op, _with_analytic(entry, d, rtol))
                lines.append(f"  {_rule_text(recording, steps[i, operand])}{mark}")
                all_right = all_right and not mark
        for entry in gradcheck(lookup(op), args, order, rtol=rtol).entries if order == 2 else []:
            if mark := _mark(op, entry):
                lines.append(
                    f"  its second derivative with respect to {entry.name} is "
                    f"{entry.analytic:.10g}{mark}"
                )
                all_right = False
    return "\n".join([*lines, *_conclusion(recording, all_right)])


def _conclusion(recording: Recording, all_right: bool) -> list[str]:
    """Returns the last lines, the conclusion on the whole graph.

    all_right: whether each local derivative is right.
    """
    if recording.forward > MAX_OPERATIONS:
        return [f"... and {recording.forward - MAX_OPERATIONS} more operations"]
    for node in recording.nodes:
        if not isfinite(node.data):
            return [f"The first node that is inf or nan is {node.name}."]
    for node in recording.nodes:
        if not all(map(isfinite, filter(None, node.partials))):
            return [
                f"A local derivative of {node.name} is not finite, so every gradient multiplied by "
                "it is inf or nan."
            ]
    if not all_right:
        return []
    return [
        "Each local derivative is right.  If the gradient is still wrong, an edge is missing:",
        "a number may have left the graph, by float(x), x.data or the standard math module.",
    ]


def _with_analytic(entry: Entry, d: float, rtol: float) -> Entry:
    """Returns ``entry`` with the derivative ``d``, compared with the same differences.

    ``d`` is the derivative that a node has, which need not come from the rule.
    """
    if entry.status not in ("ok", "mismatch"):
        return entry
    entry = entry._replace(analytic=d, allowed=entry.error + rtol * abs(entry.numeric))
    return entry._replace(status="ok" if entry.excess <= 1 else "mismatch")


def _rule_text(recording: Recording, k: int) -> str:
    """Returns the local derivative of the edge of step ``k``: ``∂v2/∂x = -x * v2 = -0.5``."""
    event = recording.events[k]
    user = event.user or 0
    number = short_number(recording.partial(user, event.operand))
    try:
        rule = recording[k].formula
    except (TypeError, ValueError, AttributeError):  # the rule does not run on names, another bug
        rule = f"∂{recording.nodes[user].name}/∂{recording.nodes[event.node].name}"
    if len(rule) > MAX_RULE_LENGTH:
        rule = f"{rule.partition(' = ')[0]} = ..."
    return rule if rule.endswith(f" = {number}") else f"{rule} = {number}"


def _mark(op: str, entry: Entry) -> str:
    """Returns the mark behind a wrong derivative, or "" if it is right."""
    if entry.status != "mismatch":
        return ""
    return (
        f"   <- WRONG: it is {entry.analytic:.10g}, but differences of {op} give "
        f"{entry.numeric:.10g}"
    )
