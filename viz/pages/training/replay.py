"""Runs a model on many inputs quickly: its operations are recorded once and replayed on other
numbers.

`replayed` is what callers need; it returns the model itself where a replay would differ.
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

from ...plotting.ranges import drawable
from ...plotting.samples import Samples, outputs
from .rounding import evenly

MAX_PROBES = 12  # samples on which a replayed model is compared with the model, in every frame

# the same results as the forward functions of the table, but faster
_FAST_FORWARDS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}

Model = Callable[[Any], Any]


class _Replay:
    """The operations of a model, recorded for one sample, that can run on other samples.

    It is about eight times as fast as the model, because it makes no nodes.  Results are
    bit-identical if the model does the same operations for all inputs.

    Raises ValueError if an output is not a Value, or an operation has more than two operands:
    such operations are rare, and of `where` a graph has only the branch that was taken.
    """

    def __init__(self, model: Model, table: Samples) -> None:
        inputs = [Value(x) for x in table.rows[0]]
        result = model(inputs[0] if table.scalar else inputs)
        roots = list(result) if isinstance(result, (list, tuple)) else [result]
        if not all(isinstance(root, Value) for root in roots):
            raise ValueError("the outputs are not Values")
        order = topological_order(*roots)
        leaves = [node for node in order if not node.op and node not in set(inputs)]
        operations = [node for node in order if node.op]
        if any(len(node.args) > 2 for node in operations):
            raise ValueError("an operation has more than two operands")
        position = {node: i for i, node in enumerate([*inputs, *leaves, *operations])}
        self._leaves = [leaf.data for leaf in leaves]
        self._program: list[tuple[Callable[..., float], int, int | None]] = [
            (
                _FAST_FORWARDS.get(node.op) or lookup(node.op).forward,
                position[node.args[0]],
                position[node.args[1]] if len(node.args) > 1 else None,
            )
            for node in operations
        ]
        self._roots = [position[root] for root in roots]

    def __call__(self, x: Any) -> list[float]:
        numbers = [*(x if isinstance(x, list) else [x]), *self._leaves]
        append = numbers.append
        for forward, x, y in self._program:
            append(forward(numbers[x]) if y is None else forward(numbers[x], numbers[y]))
        return [numbers[i] for i in self._roots]


def replayed(model: Model, table: Samples) -> Model:
    """Returns a replay of the model if it is bit-identical on the `probes`, else the model."""
    tried = probes(table)
    try:
        with mode(model, training=False), recording(True):
            replay = _Replay(model, table)
        found = outputs(replay, tried)
        wanted = outputs(model, tried)
    except Exception:  # the model does not run on Values, or raises by itself: it runs as it is
        return model
    return replay if repr(found) == repr(wanted) else model  # as text, in which nan equals nan


def probes(table: Samples) -> list[Any]:
    """Returns some of the samples, points between them, and two corners around all of them."""
    rows = evenly([row for row in table.rows if all(map(drawable, row))] or table.rows, MAX_PROBES)
    between = [tuple([(a + b) / 2 for a, b in zip(*pair)]) for pair in pairwise(rows)]
    corners = [tuple(map(bound, zip(*rows))) for bound in (min, max)]
    return list(map(table.input, [*rows, *between, *corners]))
