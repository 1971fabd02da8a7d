"""Records to DOT, the language of Graphviz.  It is text for text: no engine is needed, and the same
graph gives the same text in every process.

Labels of nodes are Graphviz's HTML-like tables.  Whatever a user typed goes through `escape`, and
comes out in the picture as typed.
"""

from __future__ import annotations

import html
import itertools
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence

from graphviz import Digraph

from tinygrad_edu.engine.primitives import TABLE
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
)

LINE_LENGTH, LONGEST_LABEL = 32, 1000  # characters: of a line of a label, of a label
CAP = 5  # points, above the label of a parameter
LARGE_GRAPH, LONG_EDGES = 300, 1500  # nodes, columns that edges cross; see `is_large`
# edges into boxes, or that many for each of them and of what leads to them; see `is_dense`
DENSE_EDGES, DENSE_RATIO = 60, 2
MOST_TERMS, LONGEST_TERM = 6, 64  # of an instruction; characters
TOOLTIPS = "Numbers on edges into boxes: rest the mouse on them (in SVG and HTML)."

_LOOKS = {
    role: {
        "shape": style.shape,
        "style": style.style,
        "fillcolor": style.fill,
        "color": style.line,
        "penwidth": str(style.width),
        "margin": style.margin,
        "peripheries": str(style.peripheries),
    }
    for role, style in ROLES.items()
}  # that of operations is the default, which keeps the text short

FUSED = "Σ"

# XML has no place for most of them
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def to_dot(graph: Graph, *, title: str = "", legend: bool = True) -> str:
    """The DOT text of ``graph``: a caption with ``title``, the notes and the legend, then clusters,
    nodes and edges."""
    dot = Digraph(
        graph_attr=_graph_attributes(graph, title, legend),
        node_attr={
            "fontname": FONT,
            "fontsize": str(TEXT_SIZE),
            "fontcolor": TEXT,
            "height": "0.1",
            "width": "0.1",
            **_LOOKS["operation"],
        },
        edge_attr={
            "fontname": FONT,
            "fontsize": str(SMALL),
            "fontcolor": EDGE_TEXT,
            "color": EDGE_LINE,
            "arrowsize": "0.6",
            "labeldistance": "1.8",
        },
    )
    frames = {"": dot}
    for i, cluster in enumerate(graph.clusters):
        frames[cluster.path] = Digraph(f"cluster_{i}", graph_attr=_cluster_attributes(cluster, i))
    for node in graph.nodes:
        frames[node.cluster].node(node.name, **_node_attributes(node))
    for column in columns(graph):
        frames[column[0].cluster].subgraph(_column(column))
    for cluster in sorted(graph.clusters, key=lambda cluster: -len(enclosing(cluster.path))):
        # the innermost first: a frame is copied into its parent
        frames[cluster.parent].subgraph(frames[cluster.path])
    boxes = {node.name for node in graph.nodes if node.role == "module"}
    large, dense, program = is_large(graph), is_dense(graph), is_program(graph)
    frame = {node.name: node.cluster for node in graph.nodes}
    for i, edge in enumerate(graph.edges):
        attributes = _edge_attributes(i, edge, large, dense, dense and edge.target in boxes)
        if program and frame[edge.source] == frame[edge.target] != "":
            attributes["weight"] = "8"  # what is in one frame stays together
        dot.edge(edge.source, edge.target, **attributes)
    return str(dot.source)


def is_large(graph: Graph) -> bool:
    """Whether the layout has to settle for less than the best, which is many times as fast.

    What it costs is the number of nodes, and for each edge the number of columns that it crosses:
    one leaf that every node of a long chain uses makes hundreds of long edges, with which the best
    layout of 61 nodes takes 24 seconds.
    """
    column: dict[str, int] = {}
    for edge in graph.edges:  # in the order of their targets' execution
        column[edge.target] = max(column.get(edge.target, 0), column.get(edge.source, 0) + 1)
    start = column.copy()
    for edge in graph.edges:
        if edge.source not in column:  # a leaf stands just before the first node that uses it
            start[edge.source] = min(start.get(edge.source, len(column)), column[edge.target] - 1)
    crossed = sum(max(0, column[edge.target] - start[edge.source]) for edge in graph.edges)
    return len(graph.nodes) > LARGE_GRAPH or crossed > LONG_EDGES


def is_program(graph: Graph) -> bool:
    """Whether it is a tape, which has no numbers."""
    return any(node.terms for node in graph.nodes)


# ---- layers of boxes, each joined to each --------------------------------------------------------


def is_dense(graph: Graph) -> bool:
    """Whether the edges into collapsed modules are too many for a number on each of them to be
    read."""
    boxes = {node.name for node in graph.nodes if node.role == "module"}
    edges = [edge for edge in graph.edges if edge.target in boxes]
    ends = {name for edge in edges for name in (edge.source, edge.target)}
    return len(edges) > DENSE_EDGES or len(edges) > DENSE_RATIO * len(ends)


def columns(graph: Graph) -> list[list[Node]]:
    """Nodes to be drawn one below the other, in this order: the boxes of one frame, and leaves that
    go to the same boxes.

    Modules of which one leads to another, directly, are no column.
    """
    nodes = {node.name: node for node in graph.nodes}
    users: dict[str, dict[str, None]] = {}
    for edge in graph.edges:
        users.setdefault(edge.source, {})[edge.target] = None
    groups: dict[tuple[str, ...], list[Node]] = {}
    for node in graph.nodes:
        its_users = users.get(node.name, {})
        if node.role == "module" and node.cluster:
            groups.setdefault((node.cluster,), []).append(node)
        elif (
            node.role in ("input", "constant")
            and its_users
            and all(nodes[name].role == "module" for name in its_users)
        ):
            groups.setdefault(("", node.cluster, *sorted(its_users)), []).append(node)
    found = []
    for group in groups.values():
        names = {node.name for node in group}
        if len(group) > 1 and not any(names & users.get(name, {}).keys() for name in names):
            found.append(sorted(group, key=_place_in_column))
    return found + [after for column in found if len(after := _after(column, graph, nodes)) > 1]


def _after(column: list[Node], graph: Graph, nodes: dict[str, Node]) -> list[Node]:
    """What is done with each box of ``column`` alone, in the order of the boxes: a loss that takes
    its output, say."""
    operands: dict[str, set[str]] = {}
    for edge in graph.edges:
        if not edge.constant:
            operands.setdefault(edge.target, set()).add(edge.source)
    alone: dict[str, list[Node]] = {}
    for target, sources in operands.items():
        if len(sources) == 1 and nodes[target].op and not nodes[target].cluster:
            alone.setdefault(next(iter(sources)), []).append(nodes[target])
    return [node for box in column for node in alone.get(box.name, ())]


def _place_in_column(node: Node) -> tuple[str, int]:
    """``neurons.10`` after ``neurons.9``; leaves stay as they are."""
    name, _, index = node.label.rpartition(".")
    return (name, int(index)) if node.role == "module" and index.isdecimal() else ("", 0)


def _column(nodes: list[Node]) -> Digraph:
    """Invisible edges along the column.  Where ranks go from left to right, dot turns their order
    round, but not in frames."""
    column = Digraph(graph_attr={"rank": "same"}, edge_attr={"style": "invis"})
    for above, below in itertools.pairwise(nodes[::-1] if nodes[0].cluster else nodes):
        column.edge(above.name, below.name)
    return column


# ---- attributes ----------------------------------------------------------------------------------


def _graph_attributes(graph: Graph, title: str, legend: bool) -> dict[str, str]:
    caption = list(_caption_rows(graph, title, legend))
    boxes = any(node.role == "module" for node in graph.nodes)
    attributes = {
        "rankdir": "LR",
        "fontname": FONT,
        "fontsize": str(SMALL),
        "fontcolor": FAINT,
        "charset": "UTF-8",
        "nodesep": "0.16",
        "ranksep": "0.8" if boxes else "0.42",
        "pad": "0.15",
        "bgcolor": "white",
    }
    if caption:
        attributes |= {"label": _table(caption), "labelloc": "t", "labeljust": "l"}
    if columns(graph):
        # a second pass over all frames at once would forget the order in them
        attributes["remincross"] = "false"
    if is_dense(graph):
        attributes |= {"splines": "polyline", "nodesep": "0.08", "ranksep": "1.1"}
    if is_program(graph):
        attributes["newrank"] = "true"  # else edges from frame to frame may go from right to left
    if is_large(graph):
        attributes |= {"splines": "line", "nslimit": "0.05", "nslimit1": "0.1", "mclimit": "0.02"}
    return attributes


def _caption_rows(graph: Graph, title: str, legend: bool) -> Iterator[str]:
    if title:
        yield _row(_cell(f"<B>{escape(title)}</B>", LARGE, TEXT))
    for note in (
        *graph.notes,
        *([TOOLTIPS] if legend and is_dense(graph) and not is_program(graph) else []),
    ):
        yield _row(_cell(f"<I>{escape(note, 200)}</I>", TEXT_SIZE, TEXT))
    if legend:
        roles = {node.role for node in graph.nodes}
        cells = [f'<TD BGCOLOR="{style.fill}" COLOR="{style.line}" BORDER="1" CELLPADDING="2">'
                 f'<FONT POINT-SIZE="{SMALL}">{style.legend}</FONT></TD>'
                 for role, style in ROLES.items() if role in roles]
        if any(node.op == DOT for node in graph.nodes):
            cells.append(_cell(f"{FUSED} a sum of products, as one instruction", SMALL, FAINT))
        if any(edge.derivative is not None for edge in graph.edges):
            cells.append(_cell("number on an edge: local derivative", SMALL, FAINT))
        if not all(map(_finite, graph.nodes)):
            cells.append(f'<TD COLOR="{UNDEFINED}" BORDER="2" CELLPADDING="2">'
                         f'<FONT POINT-SIZE="{SMALL}">inf or nan</FONT></TD>')
        yield _row(
            '<TD ALIGN="LEFT"><TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="1">'
            f"{_row(*cells)}</TABLE></TD>"
        )


def _cluster_attributes(cluster: Cluster, i: int) -> dict[str, str]:
    depth = len(enclosing(cluster.path)) - 1
    name = cluster.path[len(cluster.parent) + 1:] if cluster.parent else cluster.path
    return {
        "id": f"c{i}",
        "label": f"<{escape(name)}>",
        "style": "filled,rounded",
        "fillcolor": CLUSTER_FILLS[depth % 2],
        "color": CLUSTER_LINE,
        "labeljust": "l",
        "labelloc": "t",
        "fontsize": str(TEXT_SIZE),
        "margin": "8",
    }


def _node_attributes(node: Node) -> dict[str, str]:
    look = {} if node.role == "operation" else _LOOKS[node.role]
    if not _finite(node):
        look = look | {"color": UNDEFINED, "penwidth": "2.2"}
    if node.output and node.role == "module":
        look = look | {"peripheries": "2"}
    return {"id": node.name, "label": _node_label(node), **look}


def _finite(node: Node) -> bool:
    return all(number is None or math.isfinite(number) for number in (node.data, node.grad))


def _edge_attributes(i: int, edge: Edge, large: bool, dense: bool, bare: bool) -> dict[str, str]:
    attributes = {"id": f"e{i}"}
    text = (
        ""
        if bare
        else f"{edge.count:,} edges"
        if edge.count > 1 and edge.derivative is None
        else brief(edge.derivative)
    )
    if edge.of and not bare:
        text = f"{shown_label(edge.of, True)}: {text}" if text else shown_label(edge.of, True)
    if text:
        # A label in the middle of an edge takes part in the layout and costs time and room; the
        # others do not.
        attributes["headlabel" if large else "xlabel" if dense else "label"] = f"<{escape(text)}>"
    if edge.derivative is not None and not math.isfinite(edge.derivative):
        attributes["fontcolor"] = UNDEFINED
    if bare:  # straight from side to side, so that no edge crosses a box or the title of a frame
        attributes |= {"tailport": "e", "headport": "w"}
    if edge.constant:
        attributes["style"] = "dashed"
    return attributes


# ---- the inside of a node ------------------------------------------------------------------------


def _node_label(node: Node) -> str:
    if node.role == "constant":
        return f"<{escape(brief(node.data) or node.label)}>"
    if node.terms:
        return _instruction_label(node)
    rows = []
    label = shown_label(node.label, bool(node.cluster) and node.role in ("parameter", "module"))
    if label:
        rows.append(f'<TD COLSPAN="2"><B>{escape(label)}</B></TD>')
    rows += _returned(node)
    if node.role in ("module", "rest"):
        rows.append(_cell(contents(node), SMALL, FAINT, ' COLSPAN="2"'))
    for what, number in (("data", node.data), ("grad", node.grad)):
        if number is not None:
            text = (
                number_text(number)
                if math.isfinite(number)
                else f'<FONT COLOR="{UNDEFINED}"><B>{number}</B></FONT>'
            )
            rows.append(_cell(what, SMALL, FAINT) + f'<TD ALIGN="RIGHT">{text}</TD>')
    if node.op:
        rows[0] = _operation(symbol(node.op), len(rows)) + rows[0]
    if node.role == "parameter":
        rows.insert(0, f'<TD COLSPAN="2" HEIGHT="{CAP}"></TD>')  # below the rim of the cylinder
    return _table([_row(row) for row in rows])


def _operation(text: str, rows: int) -> str:
    return f'<TD ROWSPAN="{rows}" CELLPADDING="4"><FONT POINT-SIZE="{LARGE}"><B>{escape(text)}</B></FONT></TD>'


def _instruction_label(node: Node) -> str:
    """An instruction as a line of the tape's text: ``t1 = b + w.0·x[0]``, long ones on several
    lines."""
    first, *more = _lines(node.terms)
    rows = [
        *_returned(node),
        f'<TD ALIGN="LEFT"><B>{escape(node.label)}</B></TD><TD ALIGN="LEFT">= {first}</TD>',
        *[f'<TD></TD><TD ALIGN="LEFT">{line}</TD>' for line in more],
    ]
    if node.op == DOT:
        rows[0] = _operation(FUSED, len(rows)) + rows[0]
    return _table([_row(row) for row in rows])


def _returned(node: Node) -> list[str]:
    return [
        _cell(escape(name), TEXT_SIZE, ROLES["output"].line, ' COLSPAN="2"')
        for name in shortened(node.returned)
    ]


def symbol(op: str) -> str:
    """How an operation is shown: the symbol in its row of the table, else its name.  ``neg`` is not
    to look like ``-``."""
    row = TABLE.get(op)
    return row.symbol if row and row.symbol and row.arity == 2 else op


def shortened(parts: Sequence[str]) -> list[str]:
    """Parts of which some in the middle are left out if there are many; what stands in their place
    says how many."""
    if len(parts) <= MOST_TERMS:
        return list(parts)
    return [*parts[:MOST_TERMS - 3], f"… {len(parts) - MOST_TERMS + 2:,} more …", parts[-1]]


def _lines(terms: Sequence[str]) -> list[str]:
    """What an instruction computes in lines of about `LINE_LENGTH` characters, broken between
    terms."""
    lines: list[str] = []
    for i, term in enumerate(shortened(terms)):
        if len(term) > LONGEST_TERM:  # cut out of the middle, between words
            start, end = term[:LONGEST_TERM * 2 // 3], term[-LONGEST_TERM // 3:]
            term = f"{start.rpartition(' ')[0] or start} … {end.partition(' ')[2] or end}"
        if lines and len(lines[-1]) + len(term) < LINE_LENGTH:
            lines[-1] += f" + {term}"
        else:
            lines.append(f"+ {term}" if i else term)
    return [escape(line, 2 * LONGEST_TERM) for line in lines]


def contents(node: Node) -> str:
    """What is in a box: "7 operations, 3 parameters"."""
    counts = (node.operations, "operation"), (node.parameters, "parameter")
    parts = [counted(count, what) for count, what in counts if count]
    return ", ".join(parts) or "inputs and constants"


def shown_label(label: str, short: bool) -> str:
    """``label``, or if ``short`` its last step: inside the frame of its module, ``neurons.0.w.1``
    is just ``w.1``."""
    if short and (around := enclosing(label)[-2:-1]):
        return label[len(around[0]) + 1:]
    return label


# ---- numbers and text ----------------------------------------------------------------------------


def number_text(x: float) -> str:
    """Five significant digits (four below 1), trailing zeros kept: ``4.0000``, ``-0.7071``,
    ``1.2346e-7``, ``inf``."""
    if not math.isfinite(x):
        return str(x)
    if x == 0:
        return "0.0000"  # never -0
    size = abs(x)
    text = (
        f"{x:.4f}"
        if 0.1 <= size < 1
        else f"{x:#.5g}"
        if 1 <= size < 99999.5
        else f"{x:#.4g}"
        if 1e-3 <= size < 1
        else f"{x:.4e}"
    )
    return _short_exponent(text).removesuffix(".")


def brief(x: float | None) -> str:
    """`number_text` without trailing zeros: ``4``, ``-0.7071``, ``1.2346e-7``, ``1e20``; "" for
    None."""
    if x is None:
        return ""
    mantissa, e, exponent = number_text(x).partition("e")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + e + exponent


def _short_exponent(text: str) -> str:
    """``1e-07`` as ``1e-7``, ``1e+20`` as ``1e20``."""
    return re.sub(r"e([+-])0*(\d)", lambda m: f"e{m[1].strip('+')}{m[2]}", text)


def escape(text: str, line_length: int = LINE_LENGTH) -> str:
    r"""``text`` for an HTML-like label, so that it comes out as typed: ``<b>``, ``{a|b}``, ``\N``,
    any Unicode.

    Long text is broken into lines, and cut after `LONGEST_LABEL` characters, saying so.  Characters
    that cannot be shown are replaced: control characters by their pictures in Unicode, lone
    surrogates by U+FFFD.
    """
    if len(text) > LONGEST_LABEL:
        text = f"{text[:LONGEST_LABEL]}... ({len(text) - LONGEST_LABEL:,} more characters)"
    text = _UNPRINTABLE.sub(
        _picture, text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    )
    lines = [piece for line in text.split("\n") for piece in _pieces(line, line_length)]
    # Graphviz replaces \N and the like by names, in tables too; a doubled backslash stands for one.
    # A line of nothing but closing square brackets is a syntax error to it, for it waits for the
    # end of a CDATA section.
    return "<BR/>".join(
        html.escape(line).replace("\\", "\\\\").replace("]", "&#93;") for line in lines
    )


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else "\ufffd"


def _pieces(line: str, length: int) -> Iterator[str]:
    """``line`` in pieces of about ``length`` characters, broken after a space if there is one,
    never inside a letter."""
    while len(line) > length:
        end = line.rfind(" ", length // 2, length) + 1 or length
        while end < len(line) and _joins(line[end], line[end - 1]):
            end += 1
        yield line[:end]
        line = line[end:]
    yield line


def _joins(character: str, before: str) -> bool:
    """Whether ``character`` belongs to the one ``before``: accents, joiners and what they join,
    emoji modifiers."""
    return (unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or before == "\u200d"
            or "\U0001f3fb" <= character <= "\U0001f3ff")


def _table(rows: list[str]) -> str:
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>>'


def _row(*cells: str) -> str:
    return f"<TR>{''.join(cells)}</TR>"


def _cell(content: str, size: int, color: str, attributes: str = "") -> str:
    return f'<TD ALIGN="LEFT"{attributes}><FONT POINT-SIZE="{size}" COLOR="{color}">{content}</FONT></TD>'
