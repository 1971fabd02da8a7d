"""Which modules are collapsed in the drawings of a page."""

from __future__ import annotations

import math

from tinygrad_edu import Value
from tinygrad_edu.engine.graph import topological_order

from ..drawing.model import build
from ..drawing.scene import Scene

MAX_REDRAWN = 400  # nodes; a page of a larger graph has one drawing, or it would be too large


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


def collapsed_scenes(scene: Scene) -> dict[str, Scene]:
    """Returns the drawings of the same recording with collapsed "neurons" and "layers".

    They are laid out again, so their boxes are as large as other nodes.  There are none for a graph
    without modules, for a large one, and for one that has collapsed modules already; without layers
    around neurons there are "layers" only.
    """
    graph = scene.graph
    is_whole = all(node.role not in ("module", "rest") for node in graph.nodes)
    if len(graph.nodes) > MAX_REDRAWN or not is_whole or not graph.clusters:
        return {}
    is_nested = any(cluster.parent for cluster in graph.clusters)
    levels = ("neurons", "layers") if is_nested else ("layers",)
    return {level: Scene(scene.recording, level, None) for level in levels}
