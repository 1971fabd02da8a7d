"""Runs a model on many inputs quickly.

Its operations are recorded once and replayed on other numbers.  `replayed` is what callers need; it
returns the model itself where a replay would differ.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.engine.graph import topological_order
from tinygrad_edu.engine.interpreter import recording
from tinygrad_edu.engine.primitive import lookup
from tinygrad_edu.nn.module import mode

from ..plotting.ranges import drawable
from ..plotting.samples import Samples, outputs
from .rounding import evenly

MAX_PROBES = 12  # samples on which a replayed model is compared with the model, in every frame

# the same results as the forward functions of the table, but faster
_FAST_FORWARDS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}

Model = Callable[[Any], Any]


def replayed(model: Model, table: Samples) -> Model:
    """Returns a replay of the model if it is bit-identical on the `probes`, else the model."""
    tried = probes(table)
    try:
        with mode(model, training=False), recording(True):
            replay = _replay(model, table)
        found = outputs(replay, tried)
        wanted = outputs(model, tried)
    except Exception:  # the model does not run on Values, or raises by itself: it runs as it is
        return model
    return replay if repr(found) == repr(wanted) else model  # as text, in which nan equals nan


def _replay(model: Model, table: Samples) -> Model:
    """Returns the operations of a model, recorded for one sample, as a function of other samples.

    It is about eight times as fast as the model, because it makes no nodes.  Results are
    bit-identical if the model does the same operations for all inputs.

    Raises:
        ValueError: an operation has more than two operands.  Such operations are rare, and of
            `where` a graph has only the branch that was taken.
    """
    inputs = [Value(x) for x in table.rows[0]]
    result = model(inputs[0] if table.scalar else inputs)
    roots = list(result) if isinstance(result, (list, tuple)) else [result]
    order = topological_order(*roots)
    leaves = [node for node in order if not node.op and node not in set(inputs)]
    operations = [node for node in order if node.op]
    position = {node: i for i, node in enumerate([*inputs, *leaves, *operations])}
    program: list[tuple[Any, int, Any]] = []  # the function, and the positions of its operands
    for node in operations:
        operands: list[Any] = [position[arg] for arg in node.args]
        x, y = operands if len(operands) > 1 else [*operands, None]
        program.append((_FAST_FORWARDS.get(node.op) or lookup(node.op).forward, x, y))
    constants = [leaf.data for leaf in leaves]
    ends = [position[root] for root in roots]

    def replay(x: Any) -> list[float]:
        numbers = [x, *constants] if table.scalar else [*x, *constants]
        append = numbers.append
        for forward, i, j in program:
            append(forward(numbers[i]) if j is None else forward(numbers[i], numbers[j]))
        return [numbers[i] for i in ends]

    return replay


def probes(table: Samples) -> list[Any]:
    """Returns some of the samples, points between them, and two corners around all of them."""
    rows = evenly([row for row in table.rows if all(map(drawable, row))] or table.rows, MAX_PROBES)
    between = [tuple([(a + b) / 2 for a, b in zip(*pair)]) for pair in pairwise(rows)]
    corners = [tuple(map(bound, zip(*rows))) for bound in (min, max)]
    return list(map(table.input, [*rows, *between, *corners]))
