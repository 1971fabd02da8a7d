"""Pictures: labels are shown as typed, files are complete, and a missing layout engine is
reported."""

import itertools
import math
import os
import random
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from helpers import ROOT

from tinygrad_edu import Value, nn
from tinygrad_edu.errors import RenderError
from tinygrad_edu.nn.module import ParameterName
from viz import draw
from viz.drawing.render import run_engine

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
SVG = "{http://www.w3.org/2000/svg}"

LABELS = [
    "<b>",
    "{a|b}",
    r"\N",
    "\\",
    "\\\\",
    r"\G\l\r",
    '"',
    "'",
    "two\nlines",
    "&amp;",
    "&",
    "&#38;",
    "&nbsp;",
    "%s",
    "]]>",
    "<!-- -->",
    "-->",
    "a->b",
    "😀👩‍👩‍👧",
    "שלום",
    "مرحبا abc",
    "é\u0301",
    "中文",
    "𝒙²",
    "long " * 60,
    "x" * 300,
    " lead",
    "<TABLE>",
    "</B>",
    "</svg>",
    "n0",
    "cluster_0",
    "digraph",
    "end\\",
]


@pytest.fixture(params=["pygraphviz", pytest.param("dot", marks=pytest.mark.skipif(
    not shutil.which("dot"), reason="Graphviz is not installed"))])
def engine(request, monkeypatch, tmp_path):
    """Selects each layout engine in turn."""
    if request.param == "pygraphviz":
        monkeypatch.setenv("PATH", str(tmp_path))
    return request.param


def value():
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    y = (a * b + 10).tanh()
    y.label = "y"
    y.backward()
    return y


def texts(svg, css_class, index):
    """Returns the lines of text in the group of that class and number, in the order of the
    picture."""
    groups = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == css_class]
    return ["".join(text.itertext()) for text in groups[index].iter(f"{SVG}text")]


@pytest.mark.parametrize("label", LABELS)
def test_labels_come_out_as_typed(label, engine):
    lines = texts(draw(Value(1.0, label), legend=False).svg(), "node", 0)
    assert lines[-4:] == ["data", "1.0000", "grad", "0.0000"]
    separator = "\n" if "\n" in label else ""
    assert separator.join(lines[:-4]).replace("\xa0", " ") == label


def test_titles_of_drawings_and_clusters_come_out_as_typed(engine):
    for label in LABELS[:20]:
        svg = draw(Value(1.0), legend=False, title=label).svg()
        assert ("\n" if "\n" in label else "").join(texts(svg, "graph", 0)[:-4]).replace(
            "\xa0", " "
        ) == label


def test_operations_show_label_data_grad_and_operation(engine):
    svg = draw(value()).svg()
    assert texts(svg, "node", 5) == ["tanh", "y", "data", "0.9993", "grad", "1.0000"]
    assert texts(svg, "node", 0) == ["a", "data", "2.0000", "grad", "-0.004023"]
    assert texts(svg, "edge", 0) == ["-3"]


def test_two_edges_are_two_in_the_picture(engine):
    a = Value(1.0, "a")
    svg = draw(a + a).svg()
    assert [texts(svg, "edge", i) for i in range(2)] == [["1"], ["1"]]


def test_the_message_is_in_the_picture(engine):
    model = nn.MLP(2, [4, 1], rng=random.Random(0))
    said = " ".join(texts(draw(model([1.0, 2.0]), max_nodes=20).svg(), "graph", 0))
    assert "Neurons are collapsed" in said
    assert "max_nodes=" in said


def test_clusters_are_in_the_picture(engine):
    svg = draw(nn.MLP(2, [3, 1], rng=random.Random(0))([1.0, 2.0]), max_nodes=None).svg()
    names = [texts(svg, "cluster", i) for i in range(6)]
    assert sorted(names) == [
        ["layers.0"],
        ["layers.1"],
        ["neurons.0"],
        ["neurons.0"],
        ["neurons.1"],
        ["neurons.2"],
    ]


def test_svg_is_self_contained_and_not_clipped(engine):
    svg = draw(value(), title="A <neuron>").svg()
    root = ET.fromstring(svg)
    assert svg.startswith("<svg ")
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "A <neuron>"
    assert root.get("role") == "img"
    assert "max-width: 100%" in root.get("style")
    width, height = (float(root.get(side).removesuffix("pt")) for side in ("width", "height"))
    _, _, box_width, box_height = map(float, root.get("viewBox").split())
    assert abs(width - box_width) <= 1
    assert abs(height - box_height) <= 1
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert f"y: tanh\ndata {value().data!r}\ngrad 1.0" in titles
    assert "∂(*)/∂a = -3.0" in titles
    assert not any(title.startswith("d(") for title in titles)


@pytest.mark.parametrize(("suffix", "start"), [
    (".svg", b"<svg "), (".png", b"\x89PNG\r\n\x1a\n"), (".pdf", b"%PDF-"),
    (".dot", b"digraph"), (".gv", b"digraph"),
    (".html", b"<!DOCTYPE html>"), (".PNG", b"\x89PNG"), ("", b"<svg "),
])
def test_save_writes_the_format_of_the_suffix(suffix, start, engine, tmp_path):
    saved = draw(value()).save(tmp_path / f"y{suffix}")
    assert saved == tmp_path / f"y{suffix or '.svg'}"
    assert saved.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [saved.name]


def test_saved_html_is_self_contained(tmp_path):
    page = draw(value(), title="a & <b>").save(str(tmp_path / "y.html")).read_text(encoding="utf-8")
    assert "<title>a &amp; &lt;b&gt;</title>" in page
    assert "<script" not in page
    assert "src=" not in page
    assert page.count("http") == page.count("http://www.w3.org/")


def test_saving_over_a_file_replaces_it_and_a_link_is_followed(tmp_path):
    (tmp_path / "y.dot").write_text("old")
    (tmp_path / "link.dot").symlink_to(tmp_path / "y.dot")
    draw(value()).save(tmp_path / "link.dot")
    assert (tmp_path / "link.dot").is_symlink()
    assert (tmp_path / "y.dot").read_text().startswith("digraph")


@pytest.mark.parametrize("name", ["y.jpg", "y.svgz", "y.v1"])
def test_save_rejects_an_unknown_suffix(name, tmp_path):
    with pytest.raises(ValueError, match=r"is not a format.*\.svg, \.png, \.pdf"):
        draw(value()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_save_rejects_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(FileNotFoundError, match="create it first"):
        draw(value()).save(tmp_path / "none" / "y.svg")
    with pytest.raises(NotADirectoryError, match="not a folder"):
        draw(value()).save(tmp_path / "file" / "y.svg")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        draw(value()).save(tmp_path / "folder.svg")
    with pytest.raises(OSError, match="cannot write"):
        draw(value()).save(tmp_path / f"{'n' * 300}.dot")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.svg"]


def test_save_rejects_a_folder_and_an_empty_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    for folder in ("pics", tmp_path / "pics", "."):
        with pytest.raises(
            IsADirectoryError, match=r"it is a folder; name a file in it, such as .*graph\.svg"
        ):
            draw(value()).save(folder)
    with pytest.raises(ValueError, match=r"name a file, such as 'graph\.svg'"):
        draw(value()).save("")
    assert [p.name for p in tmp_path.iterdir()] == ["pics"]


def test_save_expands_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert draw(value()).save("~/y.dot") == tmp_path / "y.dot"
    assert (tmp_path / "y.dot").is_file()
    with pytest.raises(FileNotFoundError, match="no_such_user_of_this"):
        draw(value()).save("~no_such_user_of_this/y.dot")


def network(inputs, sizes, **kwargs):
    model = nn.MLP(inputs, sizes, rng=random.Random(1), **kwargs)
    y = model([Value(0.3 * i - 0.2, f"x{i}") for i in range(inputs)])
    outputs = y if isinstance(y, list) else [y]
    sum(outputs[1:], outputs[0]).backward()
    return outputs


def demo():
    return nn.cross_entropy(network(4, [8, 3], activation="tanh"), 1)


def places(svg, css_class):
    """Returns the first line of each group of that class with its place: (x, y, line)."""
    groups = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == css_class]
    firsts = [text for g in groups if (text := next(g.iter(f"{SVG}text"), None)) is not None]
    return [
        (float(text.get("x")), float(text.get("y")), "".join(text.itertext())) for text in firsts
    ]


@pytest.mark.parametrize(("make", "collapse"), [
    (lambda: network(2, [16, 16, 1]), None), (lambda: network(4, [32, 32, 3]), None),
    (lambda: network(2, [8, 8, 1]), "neurons"), (demo, "neurons"),
], ids=["16-16-1", "32-32-3", "8-8-1", "demo"])
def test_textbook_networks_fit_on_a_screen(make, collapse, engine):
    root = ET.fromstring(draw(make(), collapse=collapse).svg())
    width, height = (float(root.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert width <= 1600
    assert height <= 1200


@pytest.mark.parametrize("make", [
    lambda: network(2, [8, 8, 1]), lambda: network(2, [12, 12, 1]),
    lambda: network(2, [3, 3, 2]), demo,
], ids=["8-8-1", "12-12-1", "3-3-2", "demo"])
def test_layers_are_columns_in_the_order_of_the_index(make, engine):
    columns, last = [], -math.inf
    for x, y, name in sorted(places(draw(make(), collapse="neurons").svg(), "node")):
        if name.startswith(("neurons.", "x")):
            if x > last + 40:
                columns.append([])
            columns[-1].append((y, int(name.strip("neuros.x"))))
            last = x
    assert len(columns) in (3, 4)
    for column in columns:
        assert [index for _, index in sorted(column)] == list(range(len(column)))


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("sizes", [[2], [3, 1], [2, 2, 1]], ids=str)
def test_whole_neurons_are_in_the_order_of_the_index(sizes, direction, engine):
    svg = draw(network(2, sizes), max_nodes=None, direction=direction).svg()
    titles = {  # paths of the frames in the order of the records, which is the order of their ids
        group.get("id"): next(group.iter(f"{SVG}title")).text
        for group in ET.fromstring(svg).iter(f"{SVG}g")
        if group.get("class") == "cluster"
    }
    starts = {
        titles[group.get("id")]: next(points_along(next(group.iter(f"{SVG}path"))))
        for group in ET.fromstring(svg).iter(f"{SVG}g")
        if group.get("class") == "cluster"
    }
    for layer, size in enumerate(sizes):
        places = [starts[f"layers.{layer}.neurons.{i}"][direction == "LR"] for i in range(size)]
        assert places == sorted(places)


def numbers_in(svg):
    """Returns all numbers that a reader finds in the picture, its tooltips included."""
    said = " ".join(ET.fromstring(svg).itertext())
    return re.findall(r"-?\d+\.\d+", said)


def test_hidden_numbers_are_nowhere_in_the_picture(engine):
    a, w = Value(2.5, "a"), Value(-3.25, ParameterName("w"))
    y = (a * w).tanh()
    y.label = "y"
    y.backward()
    hidden = draw(y, hide=("data", "grad", "derivative")).svg()
    assert set(numbers_in(hidden)) == {"2.5000", "2.5", "-3.2500", "-3.25"}  # what is given
    assert ["*", "data", "grad"] in [texts(hidden, "node", i) for i in range(4)]
    edges = [g for g in ET.fromstring(hidden).iter(f"{SVG}g") if g.get("class") == "edge"]
    boxes = [[p for p in g.iter(f"{SVG}polygon") if p.get("fill") == "none"] for g in edges]
    assert [len(found) for found in boxes] == [1, 1, 1]
    gradless = numbers_in(draw(y, hide="grad").svg())
    assert "-8.1250" in gradless
    assert f"{a.grad!r}" not in gradless


def test_digits_and_font_size_reach_every_text(engine):
    svg = draw(value(), digits=3, font_size=22, legend=False).svg()
    assert texts(svg, "node", 5) == ["tanh", "y", "data", "1.00", "grad", "1.00"]
    sizes = {float(text.get("font-size")) for text in ET.fromstring(svg).iter(f"{SVG}text")}
    assert sizes == {18.0, 22.0, 30.0}  # twice as large as usual


def test_dpi_is_the_resolution_of_a_png(engine, tmp_path):
    def width(**options):
        content = draw(value(), **options).save(tmp_path / "y.png").read_bytes()
        return int.from_bytes(content[16:20], "big")

    assert width(dpi=288) / width() == pytest.approx(2, rel=0.02)


def test_a_note_does_not_stretch_the_legend(engine):
    def box_width(**options):
        svg = draw(network(2, [3, 1]), collapse="neurons", **options).svg()
        graph = next(ET.fromstring(svg).iter(f"{SVG}g"))
        polygons = [p for p in graph.findall(f"{SVG}polygon") if p.get("fill") == "#e3f0f9"]
        xs = [float(point.split(",")[0]) for point in polygons[0].get("points").split()]
        return max(xs) - min(xs)

    assert box_width(title="a long title " * 10) < 1.5 * box_width()


def test_dense_edges_have_their_numbers_in_tooltips_only(engine):
    outputs = network(2, [8, 8, 1])
    drawing = draw(outputs, collapse="neurons")
    svg = drawing.svg()
    assert places(svg, "edge") == []
    assert "rest the mouse on them" in " ".join(texts(svg, "graph", 0))
    titles = [title.text for title in ET.fromstring(svg).iter(f"{SVG}title")]
    assert f"∂layers.0.neurons.0/∂x0 = {drawing.records.edges[0].derivative!r}" in titles
    assert len([title for title in titles if title.startswith("∂")]) == 88
    sparse = draw(network(2, [3, 1]), collapse="neurons").svg()
    assert len(places(sparse, "edge")) == 9
    assert "rest the mouse" not in sparse


@pytest.mark.parametrize("make", [lambda: network(2, [8, 8, 1]), demo], ids=["8-8-1", "demo"])
def test_no_edge_into_a_box_crosses_the_title_of_a_frame(make, engine):
    root = ET.fromstring(draw(make(), collapse="neurons", legend=False).svg())
    titles = [
        (float(t.get("x")), float(t.get("y")))
        for g in root.iter(f"{SVG}g")
        if g.get("class") == "cluster"
        for t in g.iter(f"{SVG}text")
    ]
    assert len(titles) >= 2
    checked = 0
    for group in root.iter(f"{SVG}g"):
        if group.get("class") != "edge":
            continue
        path = next(group.iter(f"{SVG}path"))
        if "stroke-dasharray" in path.attrib:
            continue
        for (x, y), (title_x, title_y) in itertools.product(points_along(path), titles):
            # the middle or the beginning of the words, depending on the engine; on the baseline
            assert not (title_x < x < title_x + 20 and title_y - 8 < y < title_y + 2)
            checked += 1
    assert checked


def points_along(path):
    """Yields 101 points between each two control points of a path."""
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d"))]
    for (x0, y0), (x1, y1) in itertools.pairwise(zip(numbers[::2], numbers[1::2])):
        for i in range(101):
            yield x0 + (x1 - x0) * i / 100, y0 + (y1 - y0) * i / 100


def test_notebook_shows_svg_and_text(engine):
    drawing = draw(value())
    bundle = drawing._repr_mimebundle_()
    assert bundle["image/svg+xml"] == drawing._repr_svg_() == drawing.svg()
    assert bundle["text/plain"] == repr(drawing) == "<Drawing: 6 nodes, 5 edges, 0 clusters>"


NO_ENGINE = """
import sys
sys.modules["pygraphviz"] = None
from tinygrad_edu import Value
from tinygrad_edu.errors import RenderError
from viz import draw
drawing = draw(Value(1.0, "a") + 1)
bundle = drawing._repr_mimebundle_()
print(repr(drawing), drawing.source.count("->"), drawing._repr_svg_(), list(bundle))
drawing.save(sys.argv[1] + "/y.dot")
for action in (drawing.svg, lambda: drawing.save(sys.argv[1] + "/y.png")):
    try:
        action()
    except RenderError as error:
        print(error)
"""


def test_without_an_engine_the_error_names_both_remedies(tmp_path):
    env = {**os.environ, "PATH": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NO_ENGINE, str(tmp_path)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    first, *errors = done.stdout.splitlines()
    assert first == "<Drawing: 3 nodes, 2 edges, 0 clusters> 2 None ['text/plain']"
    assert len(errors) == 2
    for error in errors:
        assert "`dot` is on the PATH" in error
        assert "pip install pygraphviz" in error
        assert 'in a clone of the project: `pip install ".[viz]"`' in error
        assert 'save("y.dot")' in error
        assert "-o y.dot" in error
        assert ".source" in error
    assert [p.name for p in tmp_path.iterdir()] == ["y.dot"]


def test_an_engine_that_fails_says_why(engine):
    with pytest.raises(
        RenderError, match=f"{engine} failed to make svg .*exit status 1.*\\.source"
    ):
        run_engine("digraph { a -> ", "svg")


def test_an_engine_that_takes_too_long_is_stopped(engine):
    with pytest.raises(
        RenderError, match=r"not finished the layout after 0\.001 seconds.*max_nodes"
    ):
        run_engine(draw(value()).source, "svg", timeout=0.001)


@pytest.mark.parametrize("title", ["\0", "\x1b[31m", "\uffff", "\ud800", "<b>&"])
def test_any_title_gives_a_picture_and_a_page(title, tmp_path):
    drawing = draw(Value(1.0, "a") * 2, title=title)
    ET.fromstring(drawing.svg())
    assert (
        drawing.save(tmp_path / "y.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    )


def test_save_names_an_argument_that_is_not_a_path():
    for path in (3, None, ["y.svg"]):
        with pytest.raises(TypeError, match=r"path must be text or a Path, not .*; write "):
            draw(value()).save(path)
    with pytest.raises(ValueError, match="name a file"):
        draw(value()).save("a\0b.svg")
