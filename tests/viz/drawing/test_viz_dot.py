"""DOT text: its content, that everything in it is escaped, and that it is the same in every
process."""

import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT

from tinygrad_edu import Value, nn
from tinygrad_edu.nn.module import ParameterName
from viz import draw
from viz.drawing.dot import symbol
from viz.drawing.style import ROLES
from viz.drawing.text import escape, label_number, number_text


def lines_of(source):
    return [line.strip() for line in source.splitlines()]


def test_dot_text_of_a_small_graph_is_as_expected():
    a = Value(3.0, "a")
    y = a + a
    y.label = "y"
    y.backward()
    lines = lines_of(draw(y, legend=False).source)
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
    faint = '<FONT POINT-SIZE="9" COLOR="#555555">'
    (leaf,) = (line for line in lines if line.startswith("n0 ["))
    assert leaf.startswith(
        f'n0 [label=<{table}<TR><TD COLSPAN="2"><B>a</B></TD></TR>'
        f'<TR><TD ALIGN="LEFT">{faint}data</FONT></TD><TD ALIGN="RIGHT">3.0000</TD></TR>'
        f'<TR><TD ALIGN="LEFT">{faint}grad</FONT></TD><TD ALIGN="RIGHT">2.0000</TD></TR></TABLE>> ')
    assert lines[-3:] == ["n0 -> n1 [label=<1> id=e0]", "n0 -> n1 [label=<1> id=e1]", "}"]


def test_every_role_looks_different():
    looks = {(style.shape, style.style, style.peripheries) for style in ROLES.values()}
    assert len(looks) == len(ROLES)
    assert len({style.fillcolor for style in ROLES.values()}) == len(ROLES)
    assert len({style.color for style in ROLES.values()}) == len(ROLES)


def test_operations_show_their_symbol_or_name():
    assert [
        symbol(op)
        for op in ("add", "sub", "mul", "div", "pow", "remainder", "neg", "tanh", "no_such")
    ] == ["+", "-", "*", "/", "**", "%", "neg", "tanh", "no_such"]


def test_nodes_and_edges_show_their_numbers():
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    y = a * b
    y.label = "y"
    y.backward()
    node = next(line for line in lines_of(draw(y).source) if line.startswith("n2 ["))
    assert re.findall(">([^<>]+)<", node) == ["*", "y", "data", "-6.0000", "grad", "1.0000"]
    assert "n0 -> n2 [label=<-3> id=e0]" in lines_of(draw(y).source)


def test_edges_from_constants_are_dashed():
    edge = next(line for line in lines_of(draw(Value(1.0) + 2).source) if line.startswith("n1 ->"))
    assert edge == "n1 -> n2 [id=e1 style=dashed]"


@pytest.mark.parametrize(("x", "text", "short"), [
    (4.0, "4.0000", "4"), (-6.0, "-6.0000", "-6"), (0.0, "0.0000", "0"), (-0.0, "0.0000", "0"),
    (0.7071067811865476, "0.7071", "0.7071"), (6.88137, "6.8814", "6.8814"),
    (123.456, "123.46", "123.46"),
    (12345.6, "12346", "12346"), (99999.7, "1.0000e5", "1e5"), (1e20, "1.0000e20", "1e20"),
    (1.23456e-7, "1.2346e-7", "1.2346e-7"), (0.0123456, "0.01235", "0.01235"),
    (1 / 3, "0.3333", "0.3333"), (0.99999999, "1.0000", "1"),
    (0.00072528, "7.2528e-4", "7.2528e-4"), (100.0, "100.00", "100"), (50000.0, "50000", "50000"),
    (float("inf"), "inf", "inf"), (float("-inf"), "-inf", "-inf"), (float("nan"), "nan", "nan"),
    (5e-324, "4.9407e-324", "4.9407e-324"),
])
def test_label_numbers_have_the_expected_digits(x, text, short):
    assert number_text(x) == text
    assert label_number(x) == short


def test_escape_keeps_text_harmless_and_wraps_long_words():
    assert escape("<b> & \"q\"") == "&lt;b&gt; &amp; &quot;q&quot;"
    assert escape(r"\N") == r"\\N"
    assert escape("a\nb\r\nc\rd") == "a<BR/>b<BR/>c<BR/>d"
    assert escape("\x00\x1b\x7f\ud800\uffff") == "\u2400\u241b\u2421\ufffd\ufffd"
    assert escape("x" * 70) == "<BR/>".join(["x" * 32, "x" * 32, "x" * 6])
    assert escape("word " * 10) == f"{'word ' * 6}<BR/>{'word ' * 4}"
    assert escape("e\u0301" * 20) == "e\u0301" * 16 + "<BR/>" + "e\u0301" * 4
    assert escape("y" * 1234).replace("<BR/>", "").endswith("y... (234 more characters)")


def test_parameters_lose_the_prefix_of_their_frame():
    model = nn.MLP(1, [2])
    source = draw(model([1.0])[0]).source
    assert "<B>w.0</B>" in source
    assert "layers.0.neurons.0.w.0" not in source
    assert "label=<layers.0>" in source
    assert "label=<neurons.0>" in source


def test_the_legend_has_the_roles_that_occur_and_can_be_left_out():
    y = Value(1.0, "a") * Value(2.0, ParameterName("w"))
    legend = draw(y).source
    assert ">parameter<" in legend
    assert ">collapsed module<" not in legend
    assert ">parameter<" not in draw(y, legend=False).source


def test_title_and_notes_are_in_the_text():
    y = Value(1.0).exp().exp().exp()
    source = draw(y, max_nodes=2, title="A <chain>").source
    assert "A &lt;chain&gt;" in source
    assert "Only the 2 nodes nearest to the output are shown" in source


SCRIPT = """
import random
from tinygrad_edu import Value, nn
from viz import draw
model = nn.MLP(2, [4, 2], rng=random.Random(3))
a, b = model([Value(1.0, "x"), 2.0])
loss = nn.hinge(a, 1.0) + nn.hinge(b, -1.0) + nn.l2(model.parameters())
loss.backward()
print(draw(loss).source, draw(loss, collapse="neurons").source, draw(loss, max_nodes=7).source)
"""


def test_the_same_text_in_every_process():
    def run(seed):
        env = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
        }
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], env=env, capture_output=True, check=True
        ).stdout

    first = run("0")
    assert len(first) > 1000
    assert first == run("1") == run("12345")


def test_ten_thousand_nodes_are_text():
    x = Value(0.5, "x")
    y = x
    for _ in range(10_000):
        y = y * x
    source = draw(y, max_nodes=None).source
    assert source.count(" -> ") == 20_000
