"""`Drawing`: DOT to SVG, PNG and PDF on demand.

This is the only file that needs a layout engine.  `run_engine` uses ``dot`` of Graphviz if it is on
the PATH, else the copy of Graphviz inside pygraphviz (the extra ``viz``).  Without either it raises
`RenderError`, which names both remedies.  The engine runs in a separate process, so that a layout
that takes too long can be stopped.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import RenderError, check_text, check_type, counted, some
from tinygrad_edu.files import destination, write_atomically

from .dot import contents, is_blank, symbol, to_dot
from .model import Edge, Graph, Node
from .style import PNG_DPI, USUAL_LOOK, Look

TIMEOUT = 60.0  # seconds
FORMATS = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".html": "html",
}

# What the process with pygraphviz runs: DOT on stdin, the picture on stdout.  It imports from the
# standard library and the folder of pygraphviz only, so it starts fast and no module of the user
# can shadow another one.
_PYGRAPHVIZ = """
import sys
sys.path.append(sys.argv[1])
from pygraphviz import AGraph
graph = AGraph(string=sys.stdin.buffer.read().decode("utf-8"))
if sys.argv[3]:
    graph.graph_attr["dpi"] = sys.argv[3]
sys.stdout.buffer.write(graph.draw(format=sys.argv[2], prog="dot"))
"""

_REMEDIES = (
    "no layout engine: install Graphviz, so that `dot` is on the PATH "
    "(https://graphviz.org/download), or `pip install pygraphviz`, which has an engine inside "
    "(in a clone of the project: `pip install \".[viz]\"`); "
    "a .dot file needs none: save(\"y.dot\"), on the command line -o y.dot; its text is in .source"
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 1rem; font: 14px Helvetica, Arial, sans-serif; color: #1a1a1a; background: white }}
#picture {{ overflow: auto }}
#picture svg {{ max-width: none !important }}
#fit:checked ~ #picture svg {{ max-width: 100% !important; height: auto }}
</style>
</head>
<body>
<input type="checkbox" id="fit"> <label for="fit">fit the width of the window</label>
<div id="picture">
{svg}</div>
</body>
</html>
"""


# a picture in a notebook: a large one is scrolled, because text that is shrunk to the width of the
# column cannot be read
_BOX = '<div tabindex="0" style="overflow: auto; max-height: {height}px">\n{content}\n</div>'
BOX_HEIGHT = 720  # CSS pixels, at most
MIN_IMAGE_WIDTH = 640  # CSS pixels


# the start of a part of the picture, its id, and the title that Graphviz gives it
_GROUP_TITLE = re.compile(
    r'(<g id="([^"]*)" class="(?:graph|node|edge|cluster)"[^>]*>\s*)<title>[^<]*</title>\n?'
)


@dataclass(eq=False, repr=False)
class Drawing:
    """A picture of a graph, made by `viz.draw`.

    It shows the numbers at the time of that call.  The layout is computed when it is needed.

    records: the nodes, edges and clusters that are drawn (see `drawing.model`).
    title: the text above the picture.
    legend: whether the colours are explained.
    look: the direction, the sizes, the digits, and the numbers left blank (see `style.Look`).
    source: the DOT text; it needs no layout engine.

    In a notebook it displays itself.  Without a layout engine, the notebook shows a text that says
    what to install.
    """

    records: Graph
    title: str = ""
    legend: bool = True
    look: Look = USUAL_LOOK

    def __post_init__(self) -> None:
        records = "the records of a graph"
        check_type(self.records, "Drawing: records", Graph, records, "write viz.draw(y)")
        check_text(self.title, "Drawing: title")

    @cached_property
    def source(self) -> str:
        """The DOT text."""
        return to_dot(self.records, self.title, self.legend, self.look)

    def _rendered(self, form: str) -> bytes:
        source = self.source
        if any(cluster.parent for cluster in self.records.clusters) and not _reverses_frames(
            *_engine(), self.look.direction
        ):
            source = to_dot(self.records, self.title, self.legend, self.look, reverse=False)
        return run_engine(source, form, dpi=self.look.dpi)

    @cached_property
    def _svg(self) -> str:
        return self._standalone(self._rendered("svg").decode("utf-8"))

    def svg(self) -> str:
        """Returns the picture as SVG text.

        Raises:
            RenderError: no layout engine is installed, or it fails.
        """
        return self._svg

    def html(self) -> str:
        """Returns the text of an HTML page that shows the picture and needs no other file.

        Raises:
            RenderError: no layout engine is installed, or it fails.
        """
        return _PAGE.format(title=html.escape(self._name), svg=self.svg())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the picture to ``path`` and returns the path.

        The suffix selects the format: .svg, .png, .pdf, .html (a page), or .dot or .gv (the DOT
        text, which needs no layout engine).  Without a suffix, ".svg" is added; ``~`` is your home.
        The file appears whole or not at all.

        Raises:
            TypeError: ``path`` is not a path.
            ValueError: ``path`` is empty or has another suffix.
            IsADirectoryError: ``path`` is a folder.
            OSError: the file cannot be written.
            RenderError: no layout engine is installed, or it fails.
        """
        target = destination(path, "a drawing", FORMATS, "graph.svg")
        return write_atomically(target, self._content(FORMATS[target.suffix.lower()]))

    def _content(self, form: str) -> str | bytes:
        if form == "dot":
            return self.source
        if form == "html":
            return self.html()
        return self.svg() if form == "svg" else self._rendered(form)

    def __repr__(self) -> str:
        title = f" {self.title!r}" if self.title else ""
        return f"<Drawing{title}: {self._size}>"

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            # front ends show HTML if they can; exports and some viewers take the SVG
            return {
                "text/html": in_box(self.svg()), "image/svg+xml": self.svg(),
                "text/plain": repr(self),
            }
        except RenderError as error:
            return {"text/plain": f"{self!r}\n{error}"}

    @property
    def _name(self) -> str:
        outputs = ", ".join(_display_name(node) for node in self.records.nodes if node.output)
        return _printable(self.title) or f"computation graph of {outputs or 'a value'}"

    @property
    def _description(self) -> str:
        """The picture in words, for readers who do not see it."""
        named = ("input", "parameter", "module")
        labels = [node.label for node in self.records.nodes if node.role in named and node.label]
        names = f", with {some(map(_printable, labels), 6)}" if labels else ""
        return f"{self._name}: {self._size.removesuffix(', 0 clusters')}{names}"

    @property
    def _size(self) -> str:
        nodes = counted(len(self.records.nodes), "node")
        edges = counted(len(self.records.edges), "edge")
        return f"{nodes}, {edges}, {counted(len(self.records.clusters), 'cluster')}"

    def _standalone(self, svg: str) -> str:
        """Returns ``svg`` for a file or a page, with tooltips for people.

        It has no prolog, and is at most as wide as its container.
        """
        svg = re.sub(r"<!--.*?-->\n?", "", svg[svg.index("<svg"):], flags=re.DOTALL)
        title = html.escape(self._name)
        description = html.escape(self._description)
        # Never wider than its container, and never cut off: the viewBox scales all of it, with the
        # parts that stick out.
        svg = svg.replace(
            "<svg ",
            f'<svg role="img" aria-label="{description}" style="max-width: 100%; height: auto; '
            'overflow: visible" ',
            1,
        )
        svg = svg.replace(">", f">\n<title>{title}</title>", 1)
        tooltips = self._tooltips()

        def with_title(match: re.Match[str]) -> str:
            start, name = match.groups()
            title = f"<title>{html.escape(tooltips[name])}</title>\n" if name in tooltips else ""
            return f"{start}{title}"

        return _GROUP_TITLE.sub(with_title, svg)

    def _tooltips(self) -> dict[str, str]:
        """Returns the tooltip of each part of the picture, by its id.

        Tooltips have the numbers with all their digits.
        """
        nodes = self.records.by_name
        tooltips = {
            name: "\n".join(_node_tooltip_lines(node, self.look)) for name, node in nodes.items()
        }
        for i, edge in enumerate(self.records.edges):
            source = edge.parameter or _display_name(nodes[edge.source])
            target = _display_name(nodes[edge.target])
            tooltips[f"e{i}"] = _edge_tooltip(edge, source, target, self.look)
        for i, cluster in enumerate(self.records.clusters):
            tooltips[f"c{i}"] = _printable(cluster.path)
        return tooltips


def in_box(content: str) -> str:
    """Returns HTML that shows SVG text at its natural size, on white.

    An ``<img>``, whose letters are larger, may shrink to `MIN_IMAGE_WIDTH`.  If the picture is
    larger than the column of a notebook, the box around it scrolls.
    """
    start, end, rest = content.partition(">")
    start = re.sub(r' style="[^"]*"', "", start).removesuffix("/")
    width = "none"
    if start.startswith("<img"):
        width = f"max(100%, {MIN_IMAGE_WIDTH}px); height: auto"
    start += f' style="max-width: {width}; background: white"'
    return _BOX.format(height=BOX_HEIGHT, content=(start + end + rest).strip())


def _display_name(node: Node) -> str:
    leaf = "constant" if node.role == "constant" else node.name
    return _printable(node.label or symbol(node.op) or leaf)


def _edge_tooltip(edge: Edge, source: str, target: str, look: Look) -> str:
    if edge.constant:
        return f"{source} to {target}: a constant, no gradient flows"
    if edge.derivative is not None:
        number = "?" if "derivative" in look.hide else repr(edge.derivative)
        return f"∂{_bracketed(target)}/∂{_bracketed(source)} = {number}"
    number = f": {edge.count} edges" if edge.count > 1 else ""
    return f"{source} to {target}{number}"


def _bracketed(name: str) -> str:
    """Returns a name as it follows a sign: an operator, such as *, is in brackets."""
    return name if re.fullmatch(r"[\w.\[\]]+", name) else f"({name})"


def _node_tooltip_lines(node: Node, look: Look) -> list[str]:
    first = _display_name(node)
    if node.terms:
        first += f" = {_printable(' + '.join(node.terms), 1000)}"
    elif node.op and node.label:
        first += f": {symbol(node.op)}"
    lines = [first, *node.returned]
    if node.role in ("module", "rest"):
        lines.append(contents(node))
    for what, number in node.numbers.items():
        lines.append(f"{what} {'?' if is_blank(node, what, look) else repr(number)}")
    return lines


def _printable(text: str, most: int = 200) -> str:
    return re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text[:most])


# ---- engines -------------------------------------------------------------------------------------


def _engine() -> tuple[str, str]:
    """Returns which layout engine is installed, and where.

    Raises:
        RenderError: there is none.
    """
    if dot := shutil.which("dot"):
        return "dot", dot
    if folder := package_folder("pygraphviz"):
        return "pygraphviz", str(folder.parent)
    raise RenderError(_REMEDIES)


@cache
def _reverses_frames(name: str, where: str, direction: str) -> bool:
    """Returns whether this engine draws the frames in a frame in reverse, by drawing two.

    Versions of Graphviz differ.
    """
    frames = "".join([f"subgraph cluster_{i} {{ {node} }} " for i, node in enumerate("ab")])
    source = f"digraph {{ rankdir={direction} subgraph cluster {{ {frames} }} }}"
    lines = [line.split() for line in run_engine(source, "plain").decode().splitlines()]
    place = {line[1]: line[2:4] for line in lines if line[0] == "node"}
    if direction == "LR":  # plain text has the origin at the bottom
        return float(place["a"][1]) < float(place["b"][1])
    return float(place["a"][0]) > float(place["b"][0])


def run_engine(source: str, form: str, timeout: float = TIMEOUT, dpi: int = PNG_DPI) -> bytes:
    """Returns the picture of the DOT text ``source`` as ``form``: "svg", "png", "pdf" or "plain".

    dpi: pixels per inch of a PNG.

    Raises:
        RenderError: no layout engine is installed, it fails, or it takes longer than ``timeout``
            seconds.
    """
    name, where = _engine()
    resolution = str(dpi) if form == "png" else ""
    if name == "dot":
        command = [where, f"-T{form}", *([f"-Gdpi={resolution}"] if resolution else [])]
    else:
        command = [sys.executable, "-I", "-S", "-c", _PYGRAPHVIZ, where, form, resolution]
    try:
        done = subprocess.run(
            command, input=source.encode("utf-8"), capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"{name} had not finished the layout after {timeout:g} seconds; draw fewer nodes, "
            'with a smaller max_nodes or with collapse="layers"; the DOT text is in .source'
        ) from None
    except OSError as error:
        raise RenderError(
            f"{name} could not be started ({command[0]}: {error.strerror or error}); "
            f"without it there is {_REMEDIES}"
        ) from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise RenderError(
            f"{name} failed to make {form} (exit status {done.returncode}): "
            f"{' / '.join(said) or 'no message'}; the DOT text is in .source"
        )
    return done.stdout


def package_folder(name: str) -> Path | None:
    """Returns the folder of a package without importing it, or None if it is not installed."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec and spec.origin else None
