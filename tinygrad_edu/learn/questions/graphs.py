"""Small random graphs that are nice to compute by hand.

    >>> y = graph(3, random.Random("example"))
    >>> y.label
    'y'
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from ... import math
from ...engine.graph import topological_order
from ...engine.value import Value

NUMBERS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0)  # of leaves
MOST_DATA = 60  # the largest number in a graph
MOST_GRAD = 300  # the largest gradient
# operations as often as they are drawn: products teach most
OPERATIONS: tuple[tuple[str, Callable[[Value, Value], Value]], ...] = (
    ("add", lambda x, z: x + z),
    ("mul", lambda x, z: x * z),
    ("mul", lambda x, z: x * z),
    ("sub", lambda x, z: x - z),
    ("square", lambda x, z: x**2),
    ("relu", lambda x, z: math.relu(x)),
)


def graph(level: int, draw: random.Random, fan_out: bool | None = None) -> Value:
    """Returns the root of a graph for a level, after ``backward()``.

    Leaves are a, b, ...; later nodes d, e, ... in the order of execution; the root is y.  Every
    leaf has a gradient other than 0, and all numbers are integers below `MOST_DATA`.

    level: 1 to 5; a graph has one operation more than its level.
    fan_out: whether some node is used twice; by default from level 2 on.
    """
    wants = level > 1 if fan_out is None else fan_out
    while True:
        y = _drawn(level + 1, 2 + level // 3, draw)
        if _is_nice(y, level + 1, wants):
            return y


def leaves(y: Value) -> list[Value]:
    """Returns the labelled leaves of a graph, in the order of their names."""
    nodes = [node for node in topological_order(y) if not node.op and not node.constant]
    return sorted(nodes, key=lambda node: str(node.label))


def statements(y: Value) -> list[str]:
    """Returns the operations of a graph as lines of a program: ``d = a * b``."""
    from ...debug.recording import record

    recording = record(y)
    return [recording.operation(i) for i, node in enumerate(recording.nodes) if node.op]


def given(y: Value) -> str:
    """Returns the numbers of the leaves: ``a = 2, b = -3``."""
    return ", ".join(f"{leaf.label} = {leaf.data:g}" for leaf in leaves(y))


def _drawn(operations: int, count: int, draw: random.Random) -> Value:
    """Returns the root of any graph; the last operation may leave nodes unused."""
    pool = [Value(draw.choice(NUMBERS), "abc"[i]) for i in range(count)]
    for i in range(operations):
        _, operation = draw.choice(OPERATIONS)
        recent = pool[-3:] if i else pool
        made = operation(draw.choice(recent), draw.choice(pool))
        made.label = "y" if i == operations - 1 else "defghi"[i]
        pool.append(made)
    return pool[-1]


def _is_nice(y: Value, operations: int, wants_fan_out: bool) -> bool:
    nodes = topological_order(y)
    made = [node for node in nodes if node.op]
    if len(made) < operations or any(abs(node.data) > MOST_DATA for node in nodes):
        return False
    users = Counter([id(arg) for node in nodes for arg in node.args])
    if (max(users[id(node)] for node in nodes if not node.constant) > 1) != wants_fan_out:
        return False
    y.backward()
    small = all(abs(node.grad) <= MOST_GRAD for node in nodes)
    return small and all(leaf.grad != 0 for leaf in leaves(y))
