"""Self-contained HTML files made of a body, scripts, styles and data.

All interactive pages are made here:

    page = assemble("explorer", "my graph", {"numbers": [1, 2]}, svg=svg)
    page.save("y.html")

`assemble` inlines the files of a folder.  The ES modules become one (see `scripts`), in which no
name is global.  A Content Security Policy allows these texts by their hashes and nothing else: no
other script, no style attribute, no request.  The data are JSON in
``<script type="application/json" id="data">``, escaped so that no text can end the element.

`themed` prepares the SVG of a `Scene`: it replaces colours and fonts by classes, for which
``theme.css`` has light and dark colours.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from tinygrad_edu.errors import check_text
from tinygrad_edu.files import FilePath, destination, write_atomically

from ..drawing.frame import SVG
from ..drawing.style import CLUSTER_FILLS
from .scripts import joined_modules, without_css_comments

FOLDER = Path(__file__).parent
SUFFIXES = (".html", ".htm")
NOTEBOOK_HEIGHT = 720  # pixels, of a page in a notebook

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src '{script_hash}'; style-src '{style_hash}'; \
img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""

# by font size; a text of 11 points is plain, or a bold label
_CLASS_OF_FONT_SIZE = {"15.00": "op", "9.00": "small"}
# characters that HTML files cannot contain; a title may have them
_NOT_IN_FILES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNSAFE_IN_SCRIPT = re.compile("[<>&\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


class Page:
    """An interactive page.

    html: the text of the file; it opens from disk and needs no network
    name: the title

    A notebook displays it in a frame.
    """

    def __init__(self, html: str, name: str) -> None:
        check_text(html, "Page: html", "write viz.explore(y) for a graph")
        check_text(name, "Page: name")
        self.html = _NOT_IN_FILES.sub("\ufffd", html)
        self.name = _NOT_IN_FILES.sub("\ufffd", name)

    def save(self, path: FilePath) -> Path:
        """Writes the page to ``path`` and returns the path.

        A missing suffix becomes ".html", and ``~`` is your home folder.  The file is written
        completely or not at all.

        Raises:
            ValueError: ``path`` is empty, or has another suffix than .html or .htm.
            IsADirectoryError: ``path`` is a folder.
            OSError: the file cannot be written.
        """
        return write_atomically(page_path(path), self.html)

    def __repr__(self) -> str:
        size = len(self.html.encode()) / 1000
        return f'<Page {self.name!r}: {size:,.0f} kB; .save("y.html") writes it>'

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="{html.escape(self.name)}" '
            f'sandbox="allow-scripts allow-downloads" width="100%" height="{NOTEBOOK_HEIGHT}" '
            'style="border: 0"></iframe>'
        )


def page_path(path: FilePath) -> Path:
    """Returns the path to which a page will be written, checked before anything is computed.

    Raises:
        Others: see `Page.save`.
    """
    return destination(path, "a page", SUFFIXES, "graph.html")


def assemble(
    folder: str, title: str, data: Any, written: Mapping[str, str] | None = None, **parts: str
) -> Page:
    """Returns the page of a folder, such as "explorer".

    Its body is ``explorer.html`` with ``$title``, and each ``$name`` of ``parts``, filled in; its
    styles are ``theme.css`` and ``explorer.css``, its script is ``explorer.js`` with all modules
    that it imports; for ``written`` see `joined_modules`.  Comments are left out.  ``title`` and
    ``data`` are escaped, ``parts`` are not.
    """
    body = Template(read(f"{folder}/{folder}.html"))
    style = without_css_comments(read("theme.css") + read(f"{folder}/{folder}.css"))
    script = joined_modules(FOLDER, f"{folder}/{folder}.js", written)
    text = _PAGE.format(
        title=html.escape(title),
        body=body.substitute(parts, title=html.escape(title)),
        data=to_script(data),
        style=style,
        script=script,
        style_hash=content_hash(style),
        script_hash=content_hash(script),
    )
    return Page(text, title)


def read(name: str) -> str:
    """Returns the text of a file in this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """Returns the hash by which a Content Security Policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def to_script(data: Any) -> str:
    """Returns ``data`` as JSON for a script element.

    Characters that could end the element, or cannot be stored in a file, are escaped.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE_IN_SCRIPT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def themed(svg: str) -> str:
    """Returns the SVG text of a `Scene` without colours, fonts and widths.

    They are in ``theme.css``, which halves the length of the text.  Texts get the class op, label
    or small, and frames of modules the class even or odd, by depth.  Missing fills and dashes are
    kept.  The parts are in ``<g class="view">``, which a `Stage` (see ``stage.js``) moves and
    zooms.
    """
    root = ET.fromstring(svg)
    for name in ("width", "height", "role", "aria-label"):
        root.attrib.pop(name, None)
    for parent in root.iter():
        for title in parent.findall(f"{SVG}title"):
            parent.remove(title)
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "graph":
            group.set("class", "view")
            group.attrib.pop("id")
        if group.get("class") == "cluster":
            fills = [shape.get("fill", "") for shape in group]
            fill = next(fill for fill in fills if fill in CLUSTER_FILLS)
            group.set("class", f"cluster {('even', 'odd')[CLUSTER_FILLS.index(fill)]}")
    for shape in root.iter():
        if shape.tag == f"{SVG}text":
            label = "label" if shape.get("font-weight") else ""
            if name := _CLASS_OF_FONT_SIZE.get(shape.get("font-size", ""), label):
                shape.attrib.setdefault("class", name)
        for name in ("stroke", "stroke-width", "font-family", "font-size", "font-weight"):
            shape.attrib.pop(name, None)
        if shape.get("fill") != "none":
            shape.attrib.pop("fill", None)
        if shape.get("text-anchor") == "start":
            shape.attrib.pop("text-anchor")
    return ET.tostring(root, encoding="unicode").replace(" />", "/>")
