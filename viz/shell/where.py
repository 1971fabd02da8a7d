"""What the shell's ``where`` shows: the path between the root and the node of a step, as lines.

    >>> from tinygrad_edu import parse, record
    >>> recording = record(parse("sin(a) * b", a=0.0, b=3.0))
    >>> print("\\n".join(where(recording, 6)))
    step 6 of 6: 4 of 4 gradient steps done
      v4 = v3 * b   ∂v4/∂v3 = 3
    > v3 = sin(a)   ∂v3/∂a = 1
      dv4/da = 3 × 1 = 3

The derivatives along the path show the chain rule: their product is the path's contribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.sentences import factor, gradient
from tinygrad_edu.debug.text import short_number

END_LINES = 6  # of a longer path, so many lines of each end are shown
# Shorter operations are padded to at most this width, to align the derivatives in a column.
OPERATION_WIDTH = 40


def where(recording: Recording, position: int) -> Iterator[str]:
    """Yields the lines for the position after ``position`` steps.

    The last operation is marked by ``>``.  In the forward phase, the path leads from there up to
    the root: the operations that wait for it. In the backward phase, it is the path of the
    gradient, from the root down.  Each line has the derivative that multiplied the gradient, and
    the last line their product.
    """
    forward = recording.forward
    total = len(recording)
    at = f"step {position} of {total}"
    if position > forward:
        yield f"{at}: {position - forward} of {total - forward} gradient steps done"
        yield from _backward_path(recording, position)
        return
    yield f"{at}: {position} of {forward} operations done"
    if position:
        yield from _forward_path(recording, position)


def _forward_path(recording: Recording, position: int) -> Iterator[str]:
    nodes = recording.nodes
    first_user = {arg: i for i in reversed(range(len(nodes))) for arg in nodes[i].args}
    path = [recording.events[position - 1].node]
    while path[-1] in first_user:
        path.append(first_user[path[-1]])
    first, *others = map(recording.operation, path)
    yield from _shortened([f"> {first}", *[f"  {operation}" for operation in others]])
    if paths := _one_of_paths(recording, path[0]):
        yield f"  {paths} to {nodes[recording.root].name}"


def _backward_path(recording: Recording, position: int) -> Iterator[str]:
    nodes = recording.nodes
    last = recording.events[position - 1].node
    root = nodes[recording.root].name
    total = gradient(root, nodes[last].name)
    edges = _edges_to(recording, position)
    if not edges:
        yield f"> {recording.operation(last)}"
        yield f"  {gradient(root, root)} = 1, where the backward pass begins"
        return
    operations = [recording.operation(user) for user, _ in edges]
    width = min(max(map(len, operations)), OPERATION_WIDTH)
    partials = [recording.partial(*edge) for edge in edges]
    lines = []
    for operation, (user, operand), partial in zip(operations, edges, partials):
        arg = nodes[nodes[user].args[operand]]
        derivative = f"∂{nodes[user].name}/∂{arg.name}"
        lines.append(f"  {operation:<{width}}   {derivative} = {short_number(partial)}")
    lines[-1] = f">{lines[-1][1:]}"
    yield from _shortened(lines)
    product = short_number(math.prod(partials))
    if 1 < len(partials) <= END_LINES:
        first, *others = map(short_number, partials)
        product = f"{' × '.join([first, *map(factor, others)])} = {product}"
    if paths := _one_of_paths(recording, last):
        yield f"  {paths}: {product}; {total} is the sum over all of them"
    elif len(edges) > 1:
        yield f"  {total} = {product}"


def _edges_to(recording: Recording, position: int) -> list[tuple[int, int]]:
    """Returns the path of the last gradient, from the root: the user and the operand of each edge.

    Each edge is the last one that added to the gradient of the next edge's user before that
    gradient was passed on.
    """
    edges = []
    node = recording.events[position - 1].node
    for event in reversed(recording.events[recording.forward:position]):
        if event.node == node and event.user is not None:
            edges.append((event.user, event.operand))
            node = event.user
    return edges[::-1]


def _one_of_paths(recording: Recording, position: int) -> str:
    """Returns "one of 4 paths" if there are 4 paths from the root to a node, or "" if there is one.

    A double edge counts as two.
    """
    counts = [0] * len(recording.nodes)
    counts[recording.root] = 1
    for i in range(len(counts) - 1, position, -1):
        for arg in recording.nodes[i].args:
            counts[arg] += counts[i]
    count = counts[position]
    if count < 2:
        return ""
    return f"one of {count:,} paths" if count < 10**9 else "one of very many paths"


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= 2 * END_LINES + 1:
        return lines
    left_out = len(lines) - 2 * END_LINES
    return [*lines[:END_LINES], f"  ... {left_out:,} more ...", *lines[-END_LINES:]]
