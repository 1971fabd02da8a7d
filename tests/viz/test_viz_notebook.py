"""What a notebook shows, with a real IPython: pictures in a front end, and text in a terminal or
without a layout engine."""

import base64
import gc
import random
import re
import sys
import weakref
import xml.etree.ElementTree as ET

import pytest
from browser import chromium, visit
from helpers import Within, run_python

from tinygrad_edu import History, Stepper, Value, explain_nonfinite, math, nn, record
from tinygrad_edu.examples import lecture_neuron
from viz import animate, draw
from viz.drawing.render import in_box
from viz.notebook import MAX_NODES_SHOWN, register
from viz.plotting import plots

interactiveshell = pytest.importorskip(
    "IPython.core.interactiveshell", reason="IPython is not installed"
)
pytest.importorskip("pygraphviz", reason="needs the extra `viz`")


def start(kind):
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    kind.clear_instance()
    shell = kind.instance(config=settings)
    shell.restore_sys_module_state()  # the main program of this process is the test runner
    register()
    return shell


@pytest.fixture(scope="module")
def notebook():
    """Yields a formatter like that of a notebook's kernel: every MIME type is active."""
    shell = start(interactiveshell.InteractiveShell)
    yield shell.display_formatter
    type(shell).clear_instance()


@pytest.fixture
def terminal(notebook):
    """Yields the same shell with the MIME types that are active in a terminal."""
    before = notebook.active_types
    notebook.active_types = ["text/plain"]
    yield notebook
    notebook.active_types = before


@pytest.fixture
def no_engine(monkeypatch):
    """Hides dot and pygraphviz."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


def history():
    made = History()
    made.loss, made.seconds, made.learning_rates, made.epoch_ends = (
        [2.0, 1.0],
        [0.1, 0.2],
        [0.1, 0.1],
        [1, 2],
    )
    return made


def chain(length):
    x = Value(1.0, "x")
    for _ in range(length):
        x = x * 1.5
    return x


def everything():
    y = lecture_neuron()
    return [y, Stepper(record(y)).next(3), record(y), history(), draw(y)]


def bundle(formatter, value):
    data, metadata = formatter.format(value)
    pictures = {kind for kind in data if kind.startswith("image/")}
    assert {kind for kind, entry in metadata.items() if entry["alt"]} == pictures
    return data


def test_pictures_are_described_in_words(notebook):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")

    def alt(value):
        ((_, entry),) = notebook.format(value)[1].items()
        return entry["alt"]

    y = lecture_neuron()
    described = "computation graph of o: 10 nodes, 9 edges, with x1, x2, w1, w2, b"
    assert alt(y) == alt(draw(y)) == described
    assert alt(history()) == repr(history())
    assert alt(plots.loss(history())) == "plot: Training; step; loss; loss of a step"
    hostile = 'a"<b>&'
    x = Value(1.0, hostile)
    assert hostile in alt(x * 2)


def test_value_is_shown_as_its_drawing_and_its_repr(notebook):
    y = lecture_neuron()
    data = bundle(notebook, y)
    assert set(data) == {"text/plain", "text/html", "image/svg+xml"}
    assert data["text/plain"] == repr(y)
    assert data["image/svg+xml"] == draw(y).svg()
    picture = ET.fromstring(data["text/html"]).find("{http://www.w3.org/2000/svg}svg")
    assert picture.get("aria-label").startswith("computation graph of o: 10 nodes")


def test_stepper_is_shown_as_the_drawing_and_view_of_its_position(notebook):
    stepper = Stepper(record(lecture_neuron())).run_to("b")
    data = bundle(notebook, stepper)
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/plain"] == repr(stepper)
    page = ET.fromstring(f"<body>{data['text/html']}</body>")
    assert page.find("pre").text == repr(stepper)
    numbers = [
        text.text
        for text in page.iter("{http://www.w3.org/2000/svg}text")
        if text.get("font-weight") == "bold"
    ]
    assert "0.5000" in numbers  # what the step changed


def test_recording_is_shown_as_its_last_position_and_a_summary(notebook):
    recording = record(lecture_neuron())
    data = bundle(notebook, recording)
    assert (
        data["text/plain"]
        == repr(recording)
        == "<Recording of o: 10 nodes, 5 steps forward, 10 backward>"
    )
    page = ET.fromstring(f"<body>{data['text/html']}</body>")
    assert page.find("pre").text == repr(recording)
    assert "-1.5000" in [
        "".join(text.itertext()) for text in page.iter("{http://www.w3.org/2000/svg}text")
    ]


def test_history_is_shown_as_its_loss_curve_and_its_repr(notebook):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    data = bundle(notebook, history())
    assert set(data) == {"text/plain", "text/html", "image/png"}
    assert data["text/plain"] == repr(history())
    words = 'alt="the loss of each step: History(2 steps, 2 epochs in 0.2 s: loss 2 -&gt; 1)"'
    assert words in data["text/html"]
    assert data["image/png"] in data["text/html"]
    assert base64.b64decode(data["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert bundle(notebook, History()) == {"text/plain": "History(no steps)"}


def test_figure_is_shown_without_pyplot(notebook):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    data = bundle(notebook, plots.loss(history()))
    assert data["image/png"][:8] == b"\x89PNG\r\n\x1a\n"


def test_formatter_of_the_inline_backend_is_kept(notebook):
    figure = pytest.importorskip("matplotlib.figure", reason="needs the extra `plots`").Figure
    pictures = notebook.formatters["image/png"]

    def inline(shown):
        return b"by the inline backend"

    before = pictures.for_type(figure, inline)
    try:
        register()
        assert pictures.lookup_by_type(figure) is inline
    finally:
        pictures.for_type(figure, before)


def test_drawing_is_shown_as_its_svg_and_repr(notebook):
    drawing = draw(lecture_neuron())
    data = bundle(notebook, drawing)
    assert data == {
        "text/html": in_box(drawing.svg()),
        "image/svg+xml": drawing.svg(),
        "text/plain": repr(drawing),
    }


def test_explanation_is_shown_as_the_drawn_path_above_the_text(notebook):
    explanation = explain_nonfinite(math.log(Value(0.0, "p")) + 1)
    data = bundle(notebook, explanation)
    assert set(data) == {"text/plain", "text/html"}
    page = ET.fromstring(f"<body>{data['text/html']}</body>")
    assert page.find("pre").text == str(explanation) == data["text/plain"]
    assert "-inf" in [text.text for text in page.iter("{http://www.w3.org/2000/svg}text")]


def test_other_objects_are_shown_as_before(notebook):
    assert bundle(notebook, 3.0) == {"text/plain": "3.0"}
    assert bundle(notebook, [Value(1.0)]) == {"text/plain": "[Value(data=1.0, grad=0.0)]"}


def test_subclasses_of_value_are_drawn(notebook):
    class Special(Value):
        pass

    assert "image/svg+xml" in bundle(notebook, Special(1.0))


def test_labels_are_escaped(notebook):
    hostile = "</pre></svg><script>alert(1)</script>&amp;"
    y = Value(2.0, hostile) * 3
    y.label = hostile
    for value in (y, Stepper(record(y)).finish(), record(y)):
        data = bundle(notebook, value)
        markup = data.get("text/html") or data["image/svg+xml"]
        assert "<script" not in markup
        assert "&lt;script" in markup
        assert hostile in "".join(
            "".join(ET.fromstring(f"<body>{markup}</body>").itertext()).split()
        )


# ---- sizes, in a real browser


def test_pictures_have_their_size_in_a_narrow_column_and_text_is_monospaced(notebook, tmp_path):
    x = Value(1.0, "x")
    for _ in range(25):
        x = x.tanh()
    shown = [x, Stepper(record(x)).next(3), draw(x), history(), animate(Value(2.0) * 3)]
    cells = "".join(f"<div>{bundle(notebook, each)['text/html']}</div>" for each in shown)
    # the styles of JupyterLab and VS Code that reach pictures and texts
    styles = "body { width: 500px } img, svg { max-width: 100% } pre { font-family: serif }"
    page = tmp_path / "cells.html"
    page.write_text(
        f"<!DOCTYPE html><html data-ready=true><meta charset=utf-8><style>{styles}</style>{cells}"
    )
    with chromium(tmp_path) as driver:
        visit(driver, page)
        sizes = driver.execute_script(
            "return [...document.querySelectorAll('svg, img')].map(picture => {"
            "  const box = picture.parentElement, bounds = box.getBoundingClientRect();"
            "  const view = picture.viewBox && picture.viewBox.baseVal.width * 4 / 3;"
            "  return [picture.getBoundingClientRect().width,"
            "    view || Number(picture.getAttribute('width')) || picture.naturalWidth,"
            "    bounds.width, bounds.height, box.scrollWidth > box.clientWidth]})"
        )
        font = driver.execute_script(
            "return getComputedStyle(document.querySelector('pre')).fontFamily"
        )
    assert len(sizes) == len(shown)
    for i, (width, natural, box, height, scrolls) in enumerate(sizes):
        # letters of a plot are large enough for 640 pixels
        assert width == pytest.approx(natural if i < 3 else min(natural, 640), abs=1)
        assert box == 500
        assert height <= 720
        assert scrolls == (width > 500)
    assert font.endswith("monospace")


# ---- marimo


def test_marimo_is_told_the_same_pictures():
    for value in everything():
        kind, content = value._mime_()
        assert kind == "text/html"
        assert re.search("<svg|<img", content)
        assert re.search('aria-label="[^"]|alt="[^"]', content)


def test_marimo_is_told_the_text_and_the_reason_if_there_is_no_picture(no_engine):
    y = lecture_neuron()
    kind, content = y._mime_()
    assert kind == "text/plain"
    assert content.startswith(repr(y))
    assert "no layout engine: install Graphviz" in content
    assert History()._mime_() == ("text/plain", "History(no steps)")


# ---- text


def test_in_a_terminal_nothing_is_drawn(terminal, no_engine):
    for value in everything():
        assert bundle(terminal, value) == {"text/plain": repr(value)}


def test_terminal_ipython_asks_for_text_only():
    done = run_python("""
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config
settings = Config()
settings.HistoryManager.enabled = False
settings.TerminalInteractiveShell.simple_prompt = True
shell = TerminalInteractiveShell.instance(config=settings)
for cell in [
    "import os, sys; os.environ['PATH'] = ''; sys.modules['pygraphviz'] = None",
    "import viz; from tinygrad_edu import Stepper, Value, record; y = Value(2.0, 'a') * 3",
    "y", "Stepper(record(y)).next()", "record(y)", "viz.draw(y)",
    "print('matplotlib' in sys.modules)",
]:
    shell.run_cell(cell, store_history=True)
""")
    assert done.returncode == 0, done.stderr
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines() if line]
    assert lines == [
        "Out[3]: Value(data=6.0, grad=0.0, op='mul')",
        "Out[4]: ",
        "step 1 of 3, forward",
        "  v2 = a * 3 = 2 × 3 = 6",
        "  changed: data of v2: 6",
        "  next:    dv2/dv2 = 1",
        "Out[5]: <Recording of v2: 3 nodes, 1 steps forward, 2 backward>",
        "Out[6]: <Drawing: 3 nodes, 2 edges, 0 clusters>",
        "False",
    ]


def test_a_plain_repr_never_draws(no_engine):
    for value in everything():
        assert repr(value)
        assert str(value)


def test_without_a_layout_engine_the_text_says_why(notebook, no_engine):
    for value in everything():
        if isinstance(value, History):
            continue
        data = bundle(notebook, value)
        assert set(data) == {"text/plain"}
        first, _, reason = data["text/plain"].rpartition("\n")
        assert first == repr(value)
        assert "no layout engine: install Graphviz" in reason


def test_without_matplotlib_a_history_says_why(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert bundle(notebook, history()) == {
        "text/plain": f"{history()!r}\n(no picture: plots need matplotlib: pip install matplotlib)"}


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for dot")
def test_a_layout_engine_that_fails_is_quoted(notebook, tmp_path, monkeypatch):
    dot = tmp_path / "dot"
    dot.write_text("#!/bin/sh\ncat > /dev/null\necho broken >&2\nexit 3\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for value in (lecture_neuron(), record(lecture_neuron())):
        data = bundle(notebook, value)
        assert set(data) == {"text/plain"}
        assert "(no picture: dot failed to make svg (exit status 3): broken" in data["text/plain"]


# ---- size and time


def test_a_step_in_a_notebook_needs_no_new_layout(notebook, monkeypatch):
    stepper = Stepper(record(lecture_neuron()))
    before = bundle(notebook, stepper)["text/html"]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    after = bundle(notebook, stepper.next())["text/html"]
    assert after != before
    assert after.count("<svg") == 1


def test_layout_is_freed_with_its_stepper(notebook):
    stepper = Stepper(record(lecture_neuron()))
    bundle(notebook, stepper)
    gone = weakref.ref(stepper.recording)
    del stepper
    gc.collect()
    assert gone() is None


def test_large_graph_is_collapsed_with_a_note(notebook):
    model = nn.MLP(2, [16, 16, 1], rng=random.Random(0))
    loss = math.total([nn.mse(model([Value(1.0), Value(-2.0)]), 1.0) for _ in range(4)])
    assert "are collapsed: the" in bundle(notebook, loss)["image/svg+xml"]
    page = bundle(notebook, Stepper(record(loss)))["text/html"]
    assert "are collapsed: the" in page
    assert len(page) < 500_000


def test_a_very_large_graph_is_text_at_once(notebook):
    large = chain(MAX_NODES_SHOWN)
    with Within(3):
        text = bundle(notebook, large)
    assert set(text) == {"text/plain"}
    assert "(no picture: the graph has 100,001 nodes, more than the 50,000" in text["text/plain"]
    assert "run viz.draw(y)" in text["text/plain"]
    stepper = Stepper(record(large))
    assert "run viz.explore(y)" in bundle(notebook, stepper)["text/plain"]
    assert "run viz.explore(y)" in bundle(notebook, stepper.recording)["text/plain"]


# ---- registration


def test_importing_viz_in_a_running_ipython_registers_it():
    done = run_python("""
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
settings = Config()
settings.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=settings)
import viz
from tinygrad_edu import Value, explain_nonfinite, math
print(sorted(shell.display_formatter.format(Value(2.0, "a"))[0]))
""")
    kinds = ["image/svg+xml", "text/html", "text/plain"]
    assert (done.returncode, done.stdout) == (0, f"{kinds}\n"), done.stderr


def test_without_ipython_nothing_is_registered_and_ipython_is_not_imported():
    done = run_python(
        "import sys, viz; print(any(name.startswith(('IPython', 'PIL', 'matplotlib')) for name in "
        "sys.modules))"
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_nothing_is_registered_if_ipython_is_not_running():
    done = run_python(
        "import IPython, viz.notebook; viz.notebook.register(); print(IPython.get_ipython())"
    )
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
