"""From records to DOT, the language of Graphviz.

`to_dot` writes the text.  It needs no layout engine, and the same graph gives the same text in
every process.  Labels of nodes are Graphviz's HTML-like tables.  Text that a user typed goes
through `text.escape`, so the picture shows it as typed.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from graphviz import Digraph

from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.errors import counted
from tinygrad_edu.jit.tape.operations import DOT
from tinygrad_edu.nn.structure import enclosing

from .model import Cluster, Edge, Graph, Node
from .style import (
    CLUSTER_FILLS,
    CLUSTER_LINE,
    EDGE_LINE,
    EDGE_TEXT,
    FAINT,
    FONT,
    LARGE,
    ROLES,
    SMALL,
    TEXT,
    TEXT_SIZE,
    UNDEFINED,
    USUAL_LOOK,
    Look,
)
from .text import DIGIT_WIDTH, LINE_LENGTH, escape, label_number, name_in_module, number_text

CYLINDER_RIM = 5  # points, above the label of a parameter
MAX_EXACT_NODES = 300  # above it the layout is simplified, see `is_large`
MAX_EXACT_CROSSINGS = 1500  # columns that edges cross; above it the layout is simplified too
MAX_NUMBERED_EDGES = 60  # edges into boxes; above it their numbers are not drawn, see `is_dense`
# how long Graphviz searches for fewer crossings; a longer search changes the order of frames in a
# frame, a shorter one leaves crossings inside neurons
FRAME_SEARCH = 0.1
MAX_EDGES_PER_END = 2  # edges into boxes for each of their ends; as above
MAX_TERMS = 6  # of an instruction; more are replaced by their number
MAX_TERM_LENGTH = 64  # characters
TOOLTIP_NOTE = "Numbers on edges into boxes: rest the mouse on them (in SVG and HTML)."

_NODE_ATTRIBUTES = {
    role: {name: text for name, text in asdict(style).items() if name != "legend"}
    for role, style in ROLES.items()
}

SUM_SYMBOL = "Σ"


def to_dot(
    graph: Graph, title: str, legend: bool, look: Look = USUAL_LOOK, reverse: bool = True
) -> str:
    """Returns the DOT text of ``graph``.

    It has a caption with ``title``, the notes and the legend, then clusters, nodes and edges.

    reverse: whether frames inside a frame are written last one first.  Graphviz 14 stacks them from
        the bottom up, Graphviz 2 from the top down (see `render`).
    """
    dot = Digraph(
        graph_attr=_graph_attributes(graph, title, legend, look),
        node_attr={
            "fontname": FONT,
            "fontsize": look.size(TEXT_SIZE),
            "fontcolor": TEXT,
            "height": "0.1",
            "width": "0.1",
            **_NODE_ATTRIBUTES["operation"],  # the default, which keeps the text short
        },
        edge_attr={
            "fontname": FONT,
            "fontsize": look.size(SMALL),
            "fontcolor": EDGE_TEXT,
            "color": EDGE_LINE,
            "arrowsize": "0.6",
            "labeldistance": "1.8",
        },
    )
    frames = {"": dot}
    for i, cluster in enumerate(graph.clusters):
        attributes = _cluster_attributes(cluster, i, look)
        frames[cluster.path] = Digraph(f"cluster_{i}", graph_attr=attributes)
    for node in graph.nodes:
        frames[node.cluster].node(node.name, **_node_attributes(node, look))
    for column in columns(graph):
        frames[column[0].cluster].subgraph(_column_edges(column, look))
    inner = [cluster for cluster in graph.clusters if cluster.parent]
    outer = [cluster for cluster in graph.clusters if not cluster.parent]
    ordered = (inner[::-1] if reverse else inner) + outer
    for cluster in sorted(ordered, key=lambda cluster: -len(enclosing(cluster.path))):
        # innermost first, because a frame is copied into its parent
        frames[cluster.parent].subgraph(frames[cluster.path])
    label_place = _label_place(graph)
    program = is_program(graph)
    bare = graph.boxes if is_dense(graph) else ()
    for i, edge in enumerate(graph.edges):
        attributes = _edge_attributes(edge, label_place, edge.target in bare, look)
        frame = graph.by_name[edge.target].cluster
        if program and frame and frame == graph.by_name[edge.source].cluster:
            attributes["weight"] = "8"  # keeps the nodes of one frame together
        dot.edge(edge.source, edge.target, id=f"e{i}", **attributes)
    return str(dot.source)


def is_large(graph: Graph) -> bool:
    """Returns whether the layout has to be simplified, which is many times as fast.

    The cost depends on the number of nodes and, for each edge, on the number of columns that it
    crosses: a leaf that every node of a long chain uses makes hundreds of long edges, and then the
    best layout of 61 nodes takes 24 seconds.
    """
    column: dict[str, int] = {}
    for edge in graph.edges:  # in the order of their targets' execution
        column[edge.target] = max(column.get(edge.target, 0), column.get(edge.source, 0) + 1)
    start = column.copy()
    for edge in graph.edges:
        if edge.source not in column:  # a leaf stands just before the first node that uses it
            start[edge.source] = min(start.get(edge.source, len(column)), column[edge.target] - 1)
    crossed = sum(max(0, column[edge.target] - start[edge.source]) for edge in graph.edges)
    return len(graph.nodes) > MAX_EXACT_NODES or crossed > MAX_EXACT_CROSSINGS


def is_program(graph: Graph) -> bool:
    """Returns whether ``graph`` is a tape, which has no numbers."""
    return any(node.terms for node in graph.nodes)


# ---- layers of boxes, each joined to each --------------------------------------------------------


def is_dense(graph: Graph) -> bool:
    """Returns whether too many edges lead into collapsed modules for their numbers to be read."""
    edges = [edge for edge in graph.edges if edge.target in graph.boxes]
    ends = {name for edge in edges for name in (edge.source, edge.target)}
    return len(edges) > min(MAX_NUMBERED_EDGES, MAX_EDGES_PER_END * len(ends))


def columns(graph: Graph) -> list[list[Node]]:
    """Returns the columns: lists of nodes to be drawn one below the other.

    A column is the boxes of one frame, or the leaves that are used by the same boxes, or the
    `_followers` of one of these columns.  Boxes are not a column if an edge leads from one of them
    to another.
    """
    users: defaultdict[str, set[str]] = defaultdict(set)
    for edge in graph.edges:
        users[edge.source].add(edge.target)
    groups: defaultdict[tuple[str, ...], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        its_users = users[node.name]
        if node.role == "module" and node.cluster:
            groups[node.cluster,].append(node)
        elif node.role in ("input", "constant") and its_users and its_users <= graph.boxes:
            groups["", node.cluster, *sorted(its_users)].append(node)
    found = []
    for group in groups.values():
        names = {node.name for node in group}
        if len(group) > 1 and not any(names & users[name] for name in names):
            found.append(sorted(group, key=_place_in_column))
    followers = _followers(graph)
    behind = [[node for box in column for node in followers[box.name]] for column in found]
    return found + [column for column in behind if len(column) > 1]


def _followers(graph: Graph) -> defaultdict[str, list[Node]]:
    """Returns, for each node, the operations outside of frames that have no other operand.

    An example is the loss of each output.
    """
    operands: defaultdict[str, set[str]] = defaultdict(set)
    for edge in graph.edges:
        if not edge.constant:
            operands[edge.target].add(edge.source)
    followers: defaultdict[str, list[Node]] = defaultdict(list)
    for target, sources in operands.items():
        node = graph.by_name[target]
        if len(sources) == 1 and node.op and not node.cluster:
            followers[sources.pop()].append(node)
    return followers


def _place_in_column(node: Node) -> tuple[str, int]:
    """Returns a sort key, in which ``neurons.10`` is after ``neurons.9``.

    Leaves keep their order.
    """
    name, _, index = node.label.rpartition(".")
    return (name, int(index)) if node.role == "module" and index.isdecimal() else ("", 0)


def _column_edges(nodes: list[Node], look: Look) -> Digraph:
    """Returns invisible edges along the column, or along the row if ranks go downwards.

    If ranks go from left to right, dot reverses the order of nodes, except in frames.
    """
    column = Digraph(graph_attr={"rank": "same"}, edge_attr={"style": "invis"})
    reverse = look.direction == "LR" and nodes[0].cluster
    for above, below in itertools.pairwise(nodes[::-1] if reverse else nodes):
        column.edge(above.name, below.name)
    return column


# ---- attributes ----------------------------------------------------------------------------------


def _graph_attributes(graph: Graph, title: str, legend: bool, look: Look) -> dict[str, str]:
    caption = list(_caption_rows(graph, title, legend, look))
    attributes = {
        "rankdir": look.direction,
        "fontname": FONT,
        "fontsize": look.size(SMALL),
        "fontcolor": FAINT,
        "charset": "UTF-8",
        "nodesep": "0.16",
        "ranksep": "0.8" if graph.boxes else "0.42",
        "pad": "0.15",
        "bgcolor": "white",
    }
    if caption:
        attributes |= {"label": _table(caption), "labelloc": "t", "labeljust": "l"}
    if columns(graph):
        # a second pass over all frames at once would change the order of nodes in a frame
        attributes["remincross"] = "false"
    if is_dense(graph):
        attributes |= {"splines": "polyline", "nodesep": "0.08", "ranksep": "1.1"}
    if any(cluster.parent for cluster in graph.clusters):
        attributes["mclimit"] = str(FRAME_SEARCH)
    if is_program(graph):
        attributes["newrank"] = "true"  # otherwise edges between frames may go from right to left
    if is_large(graph):
        attributes |= {"splines": "line", "nslimit": "0.05", "nslimit1": "0.1", "mclimit": "0.02"}
    return attributes


def _caption_rows(graph: Graph, title: str, legend: bool, look: Look) -> Iterator[str]:
    if title:
        yield _cell(f"<B>{escape(title)}</B>", look.size(LARGE), TEXT)
    hidden = [TOOLTIP_NOTE] if legend and is_dense(graph) and not is_program(graph) else []
    for note in [*graph.notes, *hidden]:
        yield _cell(f"<I>{escape(note, 200)}</I>", look.size(TEXT_SIZE), TEXT)
    if legend:
        cells = '<TD WIDTH="4"></TD>'.join(_legend_cells(graph, look))
        yield (
            '<TD ALIGN="LEFT"><TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
            f"<TR>{cells}{_FILLER}</TR></TABLE></TD>"
        )


def _legend_cells(graph: Graph, look: Look) -> Iterator[str]:
    small = look.size(SMALL)
    roles = {node.role for node in graph.nodes}
    for role, style in ROLES.items():
        if role in roles:
            box = f'BGCOLOR="{style.fillcolor}" COLOR="{style.color}" BORDER="1"'
            yield _swatch(style.legend, box, small)
    if any(node.op == DOT for node in graph.nodes):
        yield _cell(f"{SUM_SYMBOL} a sum of products, as one instruction", small, FAINT)
    if any(edge.derivative is not None for edge in graph.edges):
        what = "empty box" if "derivative" in look.hide else "number"
        yield _cell(f"{what} on an edge: local derivative", small, FAINT)
    if not all(_is_finite(node, look) for node in graph.nodes):
        yield _swatch("inf or nan", f'COLOR="{UNDEFINED}" BORDER="2"', small)


def _cluster_attributes(cluster: Cluster, i: int, look: Look) -> dict[str, str]:
    depth = len(enclosing(cluster.path)) - 1
    return {
        "id": f"c{i}",
        "label": f"<{escape(name_in_module(cluster.path))}>",
        "style": "filled,rounded",
        "fillcolor": CLUSTER_FILLS[depth % 2],
        "color": CLUSTER_LINE,
        "labeljust": "l",
        "labelloc": "t",
        "fontsize": look.size(TEXT_SIZE),
        "margin": "8",
    }


def _node_attributes(node: Node, look: Look) -> dict[str, str]:
    attributes = {} if node.role == "operation" else _NODE_ATTRIBUTES[node.role]
    if not _is_finite(node, look):
        attributes = attributes | {"color": UNDEFINED, "penwidth": "2.2"}
    if node.output and node.role == "module":
        attributes = attributes | {"peripheries": "2"}
    return {"id": node.name, "label": _node_label(node, look), **attributes}


def _is_finite(node: Node, look: Look) -> bool:
    shown = [x for what, x in node.numbers.items() if not is_blank(node, what, look)]
    return all(map(math.isfinite, shown))


def is_blank(node: Node, what: str, look: Look) -> bool:
    """Returns whether a number of a node is to be filled in.  The data of leaves are given."""
    is_given = what == "data" and node.role in ("input", "parameter", "constant")
    return what in look.hide and not is_given


def _edge_attributes(edge: Edge, label_place: str, bare: bool, look: Look) -> dict[str, str]:
    attributes = {}
    is_hidden = edge.derivative is not None and "derivative" in look.hide
    if is_hidden and not bare:
        name = f"<TD>{escape(name_in_module(edge.parameter))}</TD>" if edge.parameter else ""
        attributes[label_place] = _table([name + _blank(look.size(SMALL), look)])
    elif not bare and (text := _edge_text(edge, look)):
        attributes[label_place] = f"<{escape(text)}>"
    if edge.derivative is not None and not is_hidden and not math.isfinite(edge.derivative):
        attributes["fontcolor"] = UNDEFINED
    if bare:  # straight from side to side, so that no edge crosses a box or the title of a frame
        ports = "ew" if look.direction == "LR" else "sn"
        attributes |= {"tailport": ports[0], "headport": ports[1]}
    if edge.constant:
        attributes["style"] = "dashed"
    return attributes


def _edge_text(edge: Edge, look: Look) -> str:
    merged = edge.count > 1 and edge.derivative is None
    text = f"{edge.count:,} edges" if merged else label_number(edge.derivative, look.digits)
    return ": ".join(filter(None, [name_in_module(edge.parameter), text]))


def _label_place(graph: Graph) -> str:
    """Returns the attribute for the text of an edge.

    A "label" in the middle of an edge takes part in the layout, which costs time and space; the
    other two do not.
    """
    if is_large(graph):
        return "headlabel"
    return "xlabel" if is_dense(graph) else "label"


# ---- the inside of a node ------------------------------------------------------------------------


def _node_label(node: Node, look: Look) -> str:
    if node.role == "constant":
        return f"<{escape(label_number(node.data, look.digits) or node.label)}>"
    if node.terms:
        rows = list(_instruction_rows(node, look))
        sign = SUM_SYMBOL if node.op == DOT else ""
    else:
        rows = list(_rows(node, look))
        sign = symbol(node.op)
    if sign:
        rows[0] = (
            f'<TD ROWSPAN="{len(rows)}" CELLPADDING="4">'
            f'<FONT POINT-SIZE="{look.size(LARGE)}"><B>{escape(sign)}</B></FONT></TD>{rows[0]}'
        )
    if node.role == "parameter":
        rows.insert(0, f'<TD COLSPAN="2" HEIGHT="{CYLINDER_RIM}"></TD>')
    return _table(rows)


def _rows(node: Node, look: Look) -> Iterator[str]:
    """Yields the label, what is in a box, and the numbers."""
    small = look.size(SMALL)
    has_path = node.cluster and node.role in ("parameter", "module")
    if label := name_in_module(node.label) if has_path else node.label:
        yield f'<TD COLSPAN="2"><B>{escape(label)}</B></TD>'
    yield from _returned_rows(node, look)
    if node.role in ("module", "rest"):
        yield _cell(contents(node), small, FAINT, ' COLSPAN="2"')
    for what, number in node.numbers.items():
        cell = f'<TD ALIGN="RIGHT">{number_text(number, look.digits)}</TD>'
        if is_blank(node, what, look):
            cell = _blank(look.size(TEXT_SIZE), look)
        elif not math.isfinite(number):
            cell = f'<TD ALIGN="RIGHT"><FONT COLOR="{UNDEFINED}"><B>{number}</B></FONT></TD>'
        yield _cell(what, small, FAINT) + cell


def _blank(size: str, look: Look) -> str:
    """Returns an empty cell in which a number of any sign is to be written."""
    width = round((look.digits + 2) * DIGIT_WIDTH * float(size))
    height = round(1.3 * float(size))
    return f'<TD BORDER="1" COLOR="{FAINT}" WIDTH="{width}" HEIGHT="{height}"></TD>'


def _instruction_rows(node: Node, look: Look) -> Iterator[str]:
    """Yields the lines of an instruction as in the tape's text, ``t1 = b + w.0·x[0]``."""
    yield from _returned_rows(node, look)
    first, *more = _term_lines(node.terms)
    yield f'<TD ALIGN="LEFT"><B>{escape(node.label)}</B></TD><TD ALIGN="LEFT">= {first}</TD>'
    for line in more:
        yield f'<TD></TD><TD ALIGN="LEFT">{line}</TD>'


def _returned_rows(node: Node, look: Look) -> Iterator[str]:
    for name in shortened(node.returned):
        yield _cell(escape(name), look.size(TEXT_SIZE), ROLES["output"].color, ' COLSPAN="2"')


def symbol(op: str) -> str:
    """Returns how an operation is shown: the symbol in its row of the table, or its name.

    It is the name if there is no symbol, or one argument: ``neg`` must not look like ``-``.
    """
    row = TABLE.get(op)
    return row.symbol if row and row.symbol and row.arity == 2 else op


def shortened(parts: Sequence[str]) -> list[str]:
    """Returns ``parts``, with those in the middle replaced by their number if there are many."""
    if len(parts) <= MAX_TERMS:
        return list(parts)
    return [*parts[:MAX_TERMS - 3], f"… {len(parts) - MAX_TERMS + 2:,} more …", parts[-1]]


def _term_lines(terms: Sequence[str]) -> list[str]:
    """Returns what an instruction computes, broken between terms into lines of `LINE_LENGTH`."""
    lines: list[str] = []
    for i, term in enumerate(shortened(terms)):
        if len(term) > MAX_TERM_LENGTH:  # the middle is cut out, between words
            start, end = term[:MAX_TERM_LENGTH * 2 // 3], term[-MAX_TERM_LENGTH // 3:]
            term = f"{start.rpartition(' ')[0] or start} … {end.partition(' ')[2] or end}"
        if lines and len(lines[-1]) + len(term) < LINE_LENGTH:
            lines[-1] += f" + {term}"
        else:
            lines.append(f"+ {term}" if i else term)
    return [escape(line, 2 * MAX_TERM_LENGTH) for line in lines]


def contents(node: Node) -> str:
    """Returns what is in a box: "7 operations, 3 parameters"."""
    counts = (node.operations, "operation"), (node.parameters, "parameter")
    parts = [counted(count, what) for count, what in counts if count]
    return ", ".join(parts) or "inputs and constants"


# ---- tables -----------------------------------------------------------------------------------


def _table(rows: Iterable[str]) -> str:
    lines = "".join([f"<TR>{row}</TR>" for row in rows])
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{lines}</TABLE>>'


# the last cell of the legend: it takes nearly all of the space beside the legend, which Graphviz
# divides evenly among the columns
_FILLER = '<TD COLSPAN="200"></TD>'


def _cell(content: str, size: str, color: str, attributes: str = "") -> str:
    font = f'POINT-SIZE="{size}" COLOR="{color}"'
    return f'<TD ALIGN="LEFT"{attributes}><FONT {font}>{content}</FONT></TD>'


def _swatch(text: str, box: str, size: str) -> str:
    return f'<TD {box} CELLPADDING="2"><FONT POINT-SIZE="{size}">{text}</FONT></TD>'
