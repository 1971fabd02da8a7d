"""Where a wrong idea leaves the right way: the first step of a pass that it does differently.

    >>> from tinygrad_edu import Value, record
    >>> a = Value(3.0, "a")
    >>> y = a + a
    >>> step = first_wrong_step(y, "overwrite")
    >>> record(y)[step - 1].words
    'dv2/da += dv2/dv2 · ∂v2/∂a = 1 × 1 = 1'
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...debug.misconceptions import Misconception
from ...debug.recording import Event, Recording, record
from ...engine.value import Value
from ..misconceptions import BACKWARD, FORWARD, LOCAL, forward

IDEAS: Mapping[str, Misconception] = {**BACKWARD, **LOCAL}


def first_wrong_step(root: Value, name: str, involved: Collection[str] = ()) -> int | None:
    """Returns the number of the first step of the right passes that an idea gets wrong.

    name: a misconception about the forward or the backward pass; for others there is no such step.
    involved: the names of the nodes whose backward steps count; () for all.
    """
    recording = record(root)
    if name in FORWARD:
        numbers = forward(recording, name)
        for i, event in enumerate(recording.events[:recording.forward], 1):
            if numbers[recording.nodes[event.node].name] != event.after:
                return i
    if name in IDEAS:
        for i, event in enumerate(recording.events, 1):
            if _counts(recording, event, involved) and deviates(recording, event, name):
                return i
    return None


def _counts(recording: Recording, event: Event, involved: Collection[str]) -> bool:
    """Returns whether a step follows an edge between nodes that are involved."""
    if event.user is None:
        return False
    ends = [recording.nodes[event.node].name, recording.nodes[event.user].name]
    return not involved or all(name in involved for name in ends)


def deviates(recording: Recording, event: Event, name: str) -> bool:
    """Returns whether somebody with a wrong idea would do a backward step differently.

    It starts from the numbers that the recording has before the step.

    name: a misconception about the backward pass.
    """
    if event.user is None:
        return False
    idea = IDEAS[name]
    partial = wrong_partial(recording, event.user, event.operand, name)
    if partial != recording.partial(event.user, event.operand):
        return True
    if idea.ignores_adjoint:
        return event.adjoint != 1
    if idea.replaces:
        return event.after != recording.flow(event)
    return idea.is_naive and _naive_flow(recording, event, name) != recording.flow(event)


def wrong_partial(recording: Recording, user: int, operand: int, name: str) -> float:
    """Returns the local derivative that a wrong idea gives, often the right one.

    user, operand: as in `Recording.partial`.
    """
    node = recording.nodes[user]
    rule = IDEAS[name].rules.get((node.op, operand))
    if rule is None or node.partials[operand] is None:
        return node.partials[operand] or 0.0
    return float(rule(*[recording.nodes[arg].data for arg in node.args], node.data))


def _naive_flow(recording: Recording, event: Event, name: str) -> float:
    """Returns the sum of all that the naive order passes on along the edge of a step."""
    naive = record(recording.values()[-1], misconception=name)
    edge = (event.user, event.operand)
    return sum([naive.flow(one) for one in naive.events if (one.user, one.operand) == edge])
