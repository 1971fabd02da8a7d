"""What the shell's ``where`` shows: the path between the root and the node that a step is about, as
lines of text.

    >>> from tinygrad_edu import parse, record
    >>> recording = record(parse("sin(a) * b", a=0.0, b=3.0))
    >>> print("\\n".join(where(recording, 6)))
    step 6 of 6: 4 of 4 gradient steps done
      v4 = v3 * b   ∂v4/∂v3 = 3
    > v3 = sin(a)   ∂v3/∂a = 1
      ∂v4/∂a = 3 × 1 = 3

With the derivatives along the path the chain rule can be seen: their product is what the path
contributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad_edu.debug.recording import Recording
from tinygrad_edu.debug.text import short_number

ENDS = 6  # lines that are shown of each end of a long path
# to which shorter operations are filled up, so that the derivatives stand in a column
OPERATION_WIDTH = 40


def where(recording: Recording, position: int) -> Iterator[str]:
    """The lines for the moment when ``position`` steps are done; the one of the operation done last
    begins with ``>``.

    Forward, the path goes from there up to the root: what waits for it.  Backward, it is the one
    that the gradient took, from the root down; each line has the derivative that it was multiplied
    by, and the last one their product.
    """
    forward, total = recording.forward, len(recording)
    done = (f"{position} of {forward} operations" if position <= forward else
            f"{position - forward} of {total - forward} gradient steps")
    yield f"step {position} of {total}: {done} done"
    if position > forward:
        yield from _back(recording, position)
    elif position:
        yield from _ahead(recording, position)


def _ahead(recording: Recording, position: int) -> Iterator[str]:
    nodes = recording.nodes
    first_user = {arg: i for i in range(len(nodes) - 1, -1, -1) for arg in nodes[i].args}
    path = [recording.events[position - 1].node]
    while path[-1] in first_user:
        path.append(first_user[path[-1]])
    first, *others = [recording.operation(i) for i in path]
    yield from _ends([f"> {first}", *(f"  {operation}" for operation in others)])
    if (count := _count_paths(recording, path[0])) > 1:
        yield f"  one of {_many(count)} paths to {nodes[recording.root].name}"


def _back(recording: Recording, position: int) -> Iterator[str]:
    nodes, last = recording.nodes, recording.events[position - 1].node
    root, at = nodes[recording.root].name, nodes[last].name
    edges = _edges_to(recording, position)
    if not edges:
        yield f"> {recording.operation(last)}"
        yield f"  ∂{root}/∂{root} = 1, where the backward pass begins"
        return
    operations = [recording.operation(user) for user, _ in edges]
    width = min(max(map(len, operations)), OPERATION_WIDTH)
    factors = [recording.partial(user, operand) for user, operand in edges]
    lines = [
        f"  {operation:<{width}}   ∂{nodes[user].name}/∂{nodes[nodes[user].args[operand]].name} = "
        f"{short_number(factor)}"
        for operation, (user, operand), factor in zip(operations, edges, factors)
    ]
    lines[-1] = f">{lines[-1][1:]}"
    yield from _ends(lines)
    product = short_number(math.prod(factors))
    if 1 < len(factors) <= ENDS:
        product = f"{' × '.join(map(short_number, factors))} = {product}"
    if (count := _count_paths(recording, last)) > 1:
        yield f"  one of {_many(count)} paths: {product}; ∂{root}/∂{at} is the sum over all of them"
    elif len(edges) > 1:
        yield f"  ∂{root}/∂{at} = {product}"


def _edges_to(recording: Recording, position: int) -> list[tuple[int, int]]:
    """The path by which the last gradient came, from the root on: the user and the operand of each
    edge.

    Each edge led to the gradient of the next one's user, as that was when it was passed on.
    """
    edges = []
    node = recording.events[position - 1].node
    for event in reversed(recording.events[recording.forward:position]):
        if event.node == node and event.user is not None:
            edges.append((event.user, event.operand))
            node = event.user
    return edges[::-1]


def _count_paths(recording: Recording, position: int) -> int:
    """How many paths lead from the root to a node, counting an edge that comes twice as two."""
    counts = [0] * len(recording.nodes)
    counts[recording.root] = 1
    for i in range(len(counts) - 1, position, -1):
        for arg in recording.nodes[i].args:
            counts[arg] += counts[i]
    return counts[position]


def _ends(lines: list[str]) -> list[str]:
    if len(lines) <= 2 * ENDS + 1:
        return lines
    return [*lines[:ENDS], f"  ... {len(lines) - 2 * ENDS:,} more ...", *lines[-ENDS:]]


def _many(count: int) -> str:
    return f"{count:,}" if count < 10**9 else "very many"
