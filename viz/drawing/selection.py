"""What is drawn of a graph: which modules are collapsed into boxes, and which nodes are left out.

`choose_boxes` reads ``collapse=``, ``expand=`` and ``max_nodes=``, and says in words what it
collapsed by itself; `nearest` keeps the nodes around the roots of a graph that is still too large.
`model.Builder` then makes the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinygrad_edu import Value
from tinygrad_edu.errors import check_int, some
from tinygrad_edu.nn.structure import enclosing

# edges into collapsed neurons; above it, collapsing neurons saves too little space
MAX_EDGES = 150


def check_max_nodes(max_nodes: int | None) -> None:
    """Raises TypeError or ValueError if ``max_nodes`` is not None or a whole number of at least 1.
    """
    if max_nodes is not None:
        check_int(max_nodes, "max_nodes", 1, "pass None for no limit")


def choose_boxes(
    order: Sequence[Value],
    modules: dict[Value, str],
    collapse: str | Iterable[str] | None,
    max_nodes: int | None,
    expand: str | Iterable[str],
) -> tuple[dict[Value, str], int, list[str]]:
    """Returns the box of each node that is in a box, how many nodes are then drawn, and notes about
    it.

    A box is the path of a collapsed module; see `model.build` for the options.
    """
    paths = _paths_of(modules)
    with_parts = {outer for path in paths for outer in enclosing(path)[:-1]}
    levels = {"neurons": [path for path in paths if path not in with_parts],
              "layers": [path for path in paths if enclosing(path)[0] == path]}
    collapsed = _chosen_paths("collapse", collapse, paths, levels)
    expanded = _chosen_paths("expand", expand, paths, levels)
    opened = {outer for path in expanded for outer in enclosing(path)}

    def box_of_module(path: str, chosen: set[str]) -> str:
        around = enclosing(path)
        if not expanded.isdisjoint(around):
            return ""
        covered = False
        # the outermost chosen module; if it must stay open, the outermost module inside it that
        # need not
        for outer in around:
            covered = covered or outer in chosen
            if covered and outer not in opened:
                return outer
        return ""

    def boxes_of(chosen: set[str]) -> dict[Value, str]:
        box_of = {path: box_of_module(path, chosen) for path in paths}
        return {node: box for node, path in modules.items() if (box := box_of[path])}

    def size_with(boxes: dict[Value, str]) -> int:
        return len(order) - len(boxes) + len(set(boxes.values()))

    boxes = boxes_of(collapsed)
    full_size = size = size_with(boxes)
    did = ""
    joined = 0
    for level, chosen in levels.items():
        if max_nodes is None or (size <= max_nodes and joined <= MAX_EDGES):
            break
        further = boxes_of(collapsed | set(chosen))
        if size_with(further) < size:
            boxes = further
            size = size_with(further)
            did = level
            joined = _edges_into(further)
    return boxes, size, _notes(did, full_size, size, max_nodes)


def _paths_of(modules: dict[Value, str]) -> list[str]:
    """Returns the paths of the modules of the nodes and of all modules around them, outer ones
    first."""
    paths: dict[str, None] = {}
    for path in dict.fromkeys(modules.values()):
        paths.update(dict.fromkeys(enclosing(path)))
    return list(paths)


def _notes(collapsed: str, full_size: int, size: int, max_nodes: int | None) -> list[str]:
    """Returns what the drawing says about its selection.

    collapsed    the level that was collapsed to save space, "neurons" or "layers"; "" for no level
    full_size    how many nodes there were before
    size         how many nodes there are now
    """
    notes = []
    if collapsed and max_nodes is not None:
        notes.append(
            f"{collapsed.capitalize()} are collapsed: the {full_size:,} nodes are more than "
            f"max_nodes={max_nodes}. To see all: max_nodes={full_size}; to choose: collapse=."
        )
    if max_nodes is not None and size > max_nodes:
        notes.append(
            f"Only the {max_nodes:,} nodes nearest to the output are shown: {size:,} are more than "
            f"max_nodes={max_nodes}. To see all: max_nodes=None; to fold modules: collapse=."
        )
    return notes


def _edges_into(boxes: dict[Value, str]) -> int:
    """Returns how many edges lead into boxes if edges between the same two ends count once."""
    edges: set[tuple[Value | str, str]] = set()
    for user, box in boxes.items():
        edges.update((boxes.get(arg, arg), box) for arg in user.args if boxes.get(arg) != box)
    return len(edges)


def _chosen_paths(
    option: str,
    wanted: str | Iterable[str] | None,
    paths: Sequence[str],
    levels: dict[str, list[str]],
) -> set[str]:
    """Returns the paths of modules that ``collapse=`` or ``expand=`` asks for."""
    if wanted is None:
        return set()
    if isinstance(wanted, str):
        if wanted in levels:
            return set(levels[wanted])
        wanted = [wanted]
    elif not isinstance(wanted, Iterable):
        raise TypeError(
            f'{option} must be None, "neurons", "layers" or paths of modules, not '
            f"{type(wanted).__name__} ({wanted!r})"
        )
    chosen = list(wanted)
    for path in chosen:
        if not isinstance(path, str):
            raise TypeError(
                f"{option} must be paths of modules as text, not {type(path).__name__} ({path!r})"
            )
        if path not in paths:
            known = some(map(repr, paths), 6)
            remedy = f'pass "neurons", "layers", or paths out of {known}'
            if not paths:
                remedy = f"leave {option} out, because the graph has no modules"
            raise ValueError(f"{option} must be modules of the graph, not {path!r}; {remedy}")
    return set(chosen)


def nearest(
    roots: Sequence[Value], order: Sequence[Value], boxes: dict[Value, str], limit: int
) -> set[Value | str]:
    """Returns the ``limit`` nodes and boxes that are the fewest edges away from the roots; of
    equally near ones, the later ones."""
    members: dict[str, list[Value]] = {}
    for node in order if boxes else ():
        if node in boxes:
            members.setdefault(boxes[node], []).append(node)
    kept: dict[Value | str, None] = {}
    layer: dict[Value | str, None] = dict.fromkeys(boxes.get(root, root) for root in roots)
    while layer and len(kept) < limit:
        free = limit - len(kept)
        if len(layer) > free:
            position = {boxes.get(node, node): i for i, node in enumerate(order)}
            latest = sorted(layer, key=position.__getitem__, reverse=True)
            layer = dict.fromkeys(latest[:free])
        kept.update(layer)
        operands: dict[Value | str, None] = {}
        for key in layer:
            for node in members[key] if isinstance(key, str) else [key]:
                operands.update(dict.fromkeys(boxes.get(arg, arg) for arg in node.args))
        layer = {key: None for key in operands if key not in kept}
    return set(kept)
