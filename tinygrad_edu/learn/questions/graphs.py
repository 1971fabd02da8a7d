"""Small random graphs that are nice to compute by hand.

    >>> y = graph(3, random.Random("example"))
    >>> y.label
    'y'
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from math import prod
from typing import NamedTuple

from ... import math
from ...debug.recording import Edge, Recording, record
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


def graph(
    level: int, draw: random.Random, fan_out: bool | None = None, every_gradient: bool = True
) -> Value:
    """Returns the root of a graph for a level, after ``backward()``.

    Leaves are a, b, ...; later nodes d, e, ... in the order of execution; the root is y.  All
    numbers are integers of at most `MOST_DATA`, all gradients of at most `MOST_GRAD`.

    level: 1 to 5; a graph has one operation more than its level.
    fan_out: whether some node is used twice; by default from level 2 on.
    every_gradient: whether every leaf has a gradient other than 0.
    """
    wants = level > 1 if fan_out is None else fan_out
    count = 2 + level // 3
    while True:
        plan = _planned(level + 1, count, draw)
        users = _users(plan)
        are_used = all(users[count + i] for i in range(level))
        if not are_used or (max(users.values()) > 1) != wants:
            continue
        y = _made(plan)
        if _is_nice(y) and (not every_gradient or all(leaf.grad != 0 for leaf in leaves(y))):
            return y


def leaves(y: Value) -> list[Value]:
    """Returns the labelled leaves of a graph, in the order of their names."""
    nodes = [node for node in topological_order(y) if not node.op and not node.constant]
    return sorted(nodes, key=lambda node: str(node.label))


def statements(y: Value) -> list[str]:
    """Returns the operations of a graph as lines of a program: ``d = a * b``."""
    recording = record(y)
    return [recording.operation(i) for i, node in enumerate(recording.nodes) if node.op]


def given(y: Value) -> str:
    """Returns the numbers of the leaves: ``a = 2, b = -3``."""
    return ", ".join(f"{leaf.label} = {leaf.data:g}" for leaf in leaves(y))


def program(y: Value) -> str:
    """Returns the text that every question about a graph begins with: its numbers and lines."""
    lines = [f"Given {given(y)}, this program computes {y.label}:"]
    lines += [f"    {line}" for line in statements(y)]
    if any(node.op == "relu" for node in topological_order(y)):
        lines.append("(relu(x) is x if x is positive, and 0 otherwise.)")
    return "\n".join(lines)


def paths(recording: Recording, leaf: str) -> list[list[Edge]]:
    """Returns the paths from a leaf to the root, each as its edges, the leaf's edge first.

    The graph is small: the number of paths can double with every node.
    """
    users: dict[int, list[Edge]] = {}
    for user, node in enumerate(recording.nodes):
        for operand, (arg, partial) in enumerate(zip(node.args, node.partials)):
            if partial is not None:
                users.setdefault(arg, []).append((user, operand, arg))
    found = []
    waiting: list[list[Edge]] = [[edge] for edge in users[recording.positions[leaf]]]
    while waiting:
        path = waiting.pop(0)
        if path[-1][0] == recording.root:
            found.append(path)
        waiting += [[*path, edge] for edge in users.get(path[-1][0], [])]
    return found


def contribution(recording: Recording, path: list[Edge]) -> float:
    """Returns the product of the local derivatives along a path."""
    return prod(recording.partial(user, operand) for user, operand, _ in path)


def on_paths(recording: Recording, leaf: str) -> tuple[str, ...]:
    """Returns the names of all nodes on the paths from a leaf to the root."""
    names = [leaf]
    for path in paths(recording, leaf):
        names += [recording.nodes[user].name for user, _, _ in path]
    return tuple(dict.fromkeys(names))


class Plan(NamedTuple):
    """A graph before it is made: drawing many plans and making one is fast.

    numbers: of the leaves.
    lines: the position in `OPERATIONS` of each operation, and the positions of its operands, of
        which some operations use the first only; positions count the leaves first.
    """

    numbers: list[float]
    lines: list[tuple[int, int, int]]


def _planned(operations: int, count: int, draw: random.Random) -> Plan:
    """Returns any plan; its last operation may leave nodes unused."""
    numbers = [draw.choice(NUMBERS) for _ in range(count)]
    lines = []
    for i in range(operations):
        line = draw.randrange(len(OPERATIONS))
        positions = range(count + i)
        first = draw.choice(positions[-3:] if i else positions)
        lines.append((line, first, draw.choice(positions)))
    return Plan(numbers, lines)


def _users(plan: Plan) -> Counter[int]:
    """Returns how many operands each node of a plan is."""
    users = Counter[int]()
    for line, first, second in plan.lines:
        users.update([first, second] if OPERATIONS[line][0] in ("add", "mul", "sub") else [first])
    return users


def _made(plan: Plan) -> Value:
    """Returns the root of the graph of a plan."""
    pool = [Value(number, "abc"[i]) for i, number in enumerate(plan.numbers)]
    for i, (line, first, second) in enumerate(plan.lines):
        made = OPERATIONS[line][1](pool[first], pool[second])
        made.label = "y" if i == len(plan.lines) - 1 else "defghi"[i]
        pool.append(made)
    return pool[-1]


def _is_nice(y: Value) -> bool:
    """Returns whether all numbers are small, after ``backward()``."""
    nodes = topological_order(y)
    if any(abs(node.data) > MOST_DATA for node in nodes):
        return False
    y.backward()
    return all(abs(node.grad) <= MOST_GRAD for node in nodes)
