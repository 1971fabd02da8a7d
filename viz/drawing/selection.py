"""What is drawn of a graph: which modules are collapsed into boxes, and which nodes are left out.

`select` reads ``collapse=``, ``expand=`` and ``max_nodes=``, and says in words what it collapsed by
itself.  Of a graph that is still too large, it keeps the nodes around the roots.  `model.Builder`
then makes the records.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, dropwhile
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.errors import check_int, check_list, check_text, some
from tinygrad_edu.nn.structure import enclosing

# above so many nodes, modules are collapsed if the user has not chosen what to draw: neurons first,
# and layers if collapsed neurons still leave more than twice as many
READABLE_NODES = 25

# where a node is drawn: the node itself, or the key of a box
Place = Value | str

# edges into collapsed neurons; above it, collapsing neurons saves too little space
MAX_EDGES = 150


def node_limit(max_nodes: int | None) -> int:
    """Returns how many nodes are drawn at most.

    Raises:
        TypeError: ``max_nodes`` is not a whole number or None.
        ValueError: ``max_nodes`` is less than 1.
    """
    if max_nodes is None:
        return sys.maxsize
    return check_int(max_nodes, "max_nodes", 1, "pass None for no limit")


def select(
    roots: Iterable[Value],
    order: Sequence[Value],
    modules: dict[Value, str],
    collapse: str | Iterable[str] | None,
    max_nodes: int | None,
    expand: str | Iterable[str],
    readable: bool = False,
) -> tuple[dict[Value, str], set[Place] | None, list[str]]:
    """Returns the box of each node that is in one, the places that are drawn, and notes about both.

    A box is the path of a collapsed module.  If all places are drawn, None is returned for them.
    See `model.build` for the options.

    readable: whether to collapse modules above `READABLE_NODES` nodes already.
    """
    limit = node_limit(max_nodes)
    chains = map(enclosing, dict.fromkeys(modules.values()))
    around = {path: enclosing(path) for path in chain.from_iterable(chains)}  # outer ones first
    with_parts = {outer for path in around for outer in around[path][:-1]}
    levels = {"neurons": [path for path in around if path not in with_parts],
              "layers": [path for path in around if around[path] == [path]]}
    collapsed = _chosen_paths("collapse", collapse, around, levels)
    expanded = _chosen_paths("expand", expand, around, levels)
    opened = {outer for path in expanded for outer in around[path]}

    def box_of(path: str, chosen: set[str]) -> str:
        """Returns the outermost chosen module around ``path``, or "" if there is none.

        If that module must stay open, it is the outermost module inside it that need not.
        """
        if not expanded.isdisjoint(around[path]):
            return ""
        covered = dropwhile(lambda outer: outer not in chosen, around[path])
        return next((outer for outer in covered if outer not in opened), "")

    def boxes_of(chosen: set[str]) -> tuple[dict[Value, str], int]:
        """Returns the boxes, and how many nodes are drawn with them."""
        box_of_path = {path: box_of(path, chosen) for path in around}
        boxes = {node: box_of_path[path] for node, path in modules.items() if box_of_path[path]}
        return boxes, len(order) - len(boxes) + len(set(boxes.values()))

    boxes, size = boxes_of(collapsed)
    full_size = size
    joined = 0
    notes = []
    for level, chosen in levels.items():
        if size <= _most(level, limit, readable) and joined <= MAX_EDGES:
            break
        further, smaller = boxes_of(collapsed.union(chosen))
        if smaller < size:
            boxes = further
            size = smaller
            joined = _edges_into(boxes)
            reason = f"the {full_size:,} nodes are more than max_nodes={limit}"
            if full_size <= limit:
                reason = f"the graph has {full_size:,} nodes"
            remedy = f"To see all: max_nodes={full_size}; to choose: collapse=."
            notes = [f"{level.capitalize()} are collapsed: {reason}. {remedy}"]
    if size <= limit:
        return boxes, None, notes
    notes.append(
        f"Only the {limit:,} nodes nearest to the output are shown: {size:,} are more than "
        f"max_nodes={limit}. To see all: max_nodes=None; to fold modules: collapse=."
    )
    return boxes, _nearest(roots, order, boxes, max(1, limit - 1)), notes


def _most(level: str, limit: int, readable: bool) -> int:
    """Returns above how many nodes the modules of this level are collapsed."""
    if not readable:
        return limit
    return min(limit, READABLE_NODES if level == "neurons" else 2 * READABLE_NODES)


def _edges_into(boxes: dict[Value, str]) -> int:
    """Returns how many edges lead into boxes if edges between the same two ends count once."""
    edges = {(boxes.get(arg, arg), box) for user, box in boxes.items() for arg in user.args}
    return sum(source != box for source, box in edges)


def _chosen_paths(
    option: str,
    wanted: str | Iterable[str] | None,
    paths: Collection[str],
    levels: dict[str, list[str]],
) -> set[str]:
    """Returns the paths of modules that ``collapse=`` or ``expand=`` asks for."""
    if wanted is None:
        return set()
    if isinstance(wanted, str):
        wanted = levels.get(wanted, [wanted])
    elif isinstance(wanted, (set, frozenset)):
        wanted = sorted(wanted, key=str)
    kinds = 'None, "neurons", "layers" or paths of modules'
    chosen = check_list(wanted, option, kinds, 'write a list such as ["layers.0"]')
    for path in chosen:
        check_text(path, f"{option}: each path", f"give {kinds}")
        if path not in paths:
            known = some(map(repr, paths), 6)
            remedy = f'pass "neurons", "layers", or paths out of {known}'
            if not paths:
                remedy = f"leave {option} out, because the graph has no modules"
            raise ValueError(f"{option} must be modules of the graph, not {path!r}; {remedy}")
    return set(chosen)


def _nearest(
    roots: Iterable[Value], order: Sequence[Value], boxes: dict[Value, str], limit: int
) -> set[Place]:
    """Returns the ``limit`` nodes and boxes that are the fewest edges away from the roots.

    Of equally near ones, the later ones are returned.
    """
    members: dict[Place, list[Any]] = {}
    for node, box in boxes.items():
        members.setdefault(box, []).append(node)
    kept: set[Place] = set()
    layer: set[Place] = {boxes.get(root, root) for root in roots}
    while layer and len(kept) < limit:
        if len(kept) + len(layer) > limit:
            position = {boxes.get(node, node): i for i, node in enumerate(order)}
            latest = sorted(layer, key=position.__getitem__, reverse=True)
            layer = set(latest[:limit - len(kept)])
        kept |= layer
        nodes = chain.from_iterable(members.get(place, [place]) for place in layer)
        layer = {boxes.get(arg, arg) for node in nodes for arg in node.args} - kept
    return kept
