"""Which graphs are drawn with collapsed neurons, so that a page stays small enough to step through.
"""

from __future__ import annotations

import math

from tinygrad_edu import Value
from tinygrad_edu.engine.graph import topological_order

from ..drawing.model import build


def collapse_if_large(
    root: Value, max_nodes: int | None, max_edges: float = math.inf
) -> str | None:
    """Returns what to collapse in the drawing of ``root``: "neurons", or None.

    It is "neurons" if the graph has more than ``max_nodes`` nodes, and collapsed neurons make the
    drawing small enough.  Neurons are preferred to layers because each of them shows its numbers.
    """
    if max_nodes is None or len(topological_order(root)) <= max_nodes:
        return None
    neurons = build([root], "neurons", None)
    fits = len(neurons.nodes) <= max_nodes and len(neurons.edges) <= max_edges
    return "neurons" if fits else None
