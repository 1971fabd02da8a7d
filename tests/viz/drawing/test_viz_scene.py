"""A scene: the layout never moves, every frame shows the stepper's state, and the sentence fits
below the drawing."""

import io
import random
import re
import xml.etree.ElementTree as ET

import pytest
from helpers import Within

from tinygrad_edu import Stepper, Value, math, nn, parse, record
from tinygrad_edu.examples import lecture_expression, lecture_neuron
from viz.drawing.frame import SVG
from viz.drawing.scene import Scene, flow_width
from viz.drawing.text import number_text

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")

GLOW = "#ffe27a"


def neuron_with_constants():
    return parse("relu(a * b + 10) ** 2 / c", a=2, b=-3, c=4)


def small_network():
    rng = random.Random(3)
    model = nn.MLP(2, [3, 1], rng=rng)
    loss = nn.mse(model([Value(1.0, "x1"), Value(-2.0, "x2")]), 1.0)
    loss.label = "loss"
    return loss


def shared_operands():
    a = Value(3.0, "a")
    b = a + a
    return b * a + math.tanh(b)


GRAPHS = [
    lecture_neuron,
    neuron_with_constants,
    shared_operands,
    small_network,
    lambda: Value(1.0, "a"),
]


def groups(svg, kind):
    """Returns the parts of a kind by id, in the order of their ids."""
    found = {
        g.get("id"): g
        for g in ET.fromstring(svg).iter(f"{SVG}g")
        if g.get("class", "").split()[:1] == [kind]
    }
    return dict(sorted(found.items(), key=lambda item: int(item[0][1:])))


def number(group, name):
    return next((text.text for text in group.iter(f"{SVG}text") if text.get("class") == name), None)


def glows(group):
    return any(shape.get("stroke") == GLOW for shape in group)


def caption(svg):
    return [("".join(text.itertext())) for text in ET.fromstring(svg).findall(f"{SVG}text")]


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_frame_shows_the_numbers_of_the_stepper(graph):
    recording = record(graph())
    scene, stepper = Scene(recording), Stepper(recording)
    for position in range(len(recording) + 1):
        drawn = groups(scene.frame(stepper.goto(position)), "node")
        for i, node in enumerate(scene.graph.nodes):
            if node.role == "constant":
                assert "." not in number(drawn[f"n{i}"], "data")
                continue
            data, grad = stepper.numbers(node.shows)
            assert number(drawn[f"n{i}"], "data") == ("?" if data is None else number_text(data))
            assert number(drawn[f"n{i}"], "grad") == number_text(grad)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("with_caption", [True, False])
def test_layout_is_the_same_in_every_frame(graph, with_caption):
    recording = record(graph())
    scene, stepper = Scene(recording), Stepper(recording)

    def places(position):
        svg = scene.frame(stepper.goto(position), with_caption)
        texts = [
            [
                (text.get("x"), text.get("y"), text.get("text-anchor"))
                for text in group.iter(f"{SVG}text")
            ]
            for group in groups(svg, "node").values()
        ]
        shapes = [
            [
                shape.get("points") or shape.get("d")
                for shape in group
                if shape.get("stroke") != GLOW
            ]
            for group in groups(svg, "node").values()
        ]
        root = ET.fromstring(svg)
        return texts, shapes, root.get("viewBox"), root.get("width"), root.get("height")

    first = places(0)
    some = range(1, len(recording) + 1, 1 + len(recording) // 20)
    assert all(places(position) == first for position in some)


@pytest.mark.parametrize("graph", [lecture_expression, neuron_with_constants, small_network])
def test_frame_depends_on_the_position_only(graph):
    recording = record(graph())
    scene, stepper, rng = Scene(recording), Stepper(recording), random.Random(1)
    fresh = {}
    for position in [rng.randint(0, len(recording)) for _ in range(25)]:
        frame = scene.frame(stepper.goto(position))
        if position not in fresh:
            fresh[position] = (
                Scene(recording).frame(Stepper(recording).goto(position))
                if len(fresh) < 6
                else frame
            )
        assert frame == fresh[position]


def test_only_the_last_step_is_highlighted():
    recording = record(lecture_neuron())
    scene, stepper = Scene(recording), Stepper(recording)
    for position in range(len(recording) + 1):
        svg = scene.frame(stepper.goto(position))
        lit = [
            name
            for kind in ("node", "edge")
            for name, group in groups(svg, kind).items()
            if glows(group)
        ]
        if position == 0:
            assert lit == []
            continue
        event = recording.events[position - 1]
        links = []
        if event.user is not None:
            links = [(event.user, event.operand)]
        elif position != recording.forward + 1:  # not the seed
            links = [link for link in [(event.node, 0), (event.node, 1)] if link in scene.edges]
        assert lit == [
            f"n{scene.nodes[event.node]}",
            *sorted(f"e{scene.edges[link]}" for link in links),
        ]


def test_nodes_not_computed_yet_are_faint_and_their_derivatives_are_hidden():
    recording = record(lecture_neuron())
    scene = Scene(recording)
    before, after = (scene.frame(Stepper(recording).goto(position)) for position in (4, 5))
    n, o = (
        next(f"n{i}" for i, node in enumerate(scene.graph.nodes) if node.label == label)
        for label in "no"
    )
    into_o = f"e{scene.edges[recording.root, 0]}"
    assert groups(before, "node")[n].get("opacity") is None
    assert float(groups(before, "node")[o].get("opacity")) < 0.5
    assert groups(before, "edge")[into_o].find(f"{SVG}text") is None
    assert groups(after, "node")[o].get("opacity") is None
    assert groups(after, "edge")[into_o].find(f"{SVG}text").text == "0.5"


def test_gradient_reverses_the_arrow_of_its_edge():
    recording = record(Value(2.0, "a") * Value(-3.0, "b"))
    scene = Scene(recording)
    edge = f"e{scene.edges[2, 0]}"  # from a, on the left, to the product

    def head(position):
        group = groups(scene.frame(Stepper(recording).goto(position)), "edge")[edge]
        xs = [
            float(point.split(",")[0])
            for point in group.find(f"{SVG}polygon").get("points").split()
        ]
        line = [
            float(x) for x in re.findall(r"(-?[\d.]+),", group.findall(f"{SVG}path")[-1].get("d"))
        ]
        return min(xs), max(xs), min(line), max(line), group.find(f"{SVG}polygon").get("fill")

    left, right, start, end, _ = head(2)
    assert right > end  # it points to the product
    left, right, start, end, color = head(3)
    assert left < start  # and now to a
    assert color == "#d55e00"  # the gradient is -3


def test_flows_add_up_to_the_gradients():
    recording = record(shared_operands())
    scene, end = Scene(recording), Stepper(recording).finish()
    flows = scene.flows(end)
    into_a = [flow for (user, operand), edge in scene.edges.items() for flow in [flows[edge]]
              if recording.nodes[user].args[operand] == 0]
    assert len(into_a) == 3
    assert sum(into_a) == end.grad("a")
    assert scene.flows(Stepper(recording).run_to("backward")) == {}


@pytest.mark.parametrize(("flow", "width"), [
    (0.0, 1), (float("nan"), 1), (1e-9, 1), (1.0, 4), (-1.0, 4), (1e300, 6), (float("-inf"), 6),
])
def test_flow_width_grows_with_the_flow_between_two_limits(flow, width):
    assert flow_width(flow) == width


def test_steps_within_a_collapsed_module_are_hidden_and_change_no_number():
    recording = record(small_network())
    scene, stepper = Scene(recording, collapse="neurons"), Stepper(recording)
    assert 0 < sum(scene.hidden) < len(recording)

    def numbers():
        return [
            (number(group, "data"), number(group, "grad"))
            for group in groups(scene.frame(stepper), "node").values()
        ]

    before = numbers()
    for hidden in scene.hidden:
        stepper.next()
        assert not hidden or numbers() == before
        before = numbers()
    assert sum(Scene(recording).hidden) == 0


def test_names_of_sentences_are_in_the_picture():
    recording = record(lecture_neuron())
    texts = [
        "".join(text.itertext()) for text in ET.fromstring(Scene(recording).svg).iter(f"{SVG}text")
    ]
    for node in recording.nodes:
        assert node.name in texts
    assert Scene(recording).graph.nodes[5].label == ""  # the records have the text as typed


def test_the_caption_has_the_sentence_the_rule_and_how_a_sum_grew():
    a = Value(3.0, "a")
    recording = record(a + a)
    scene, stepper = Scene(recording), Stepper(recording)
    head, key, *lines = caption(scene.frame(stepper.goto(3)))
    assert (head, key) == (
        "step 3 of 4, backward",
        "on edges: local derivatives; gradients: positive, negative",
    )
    assert lines == [
        "dv2/da += dv2/dv2 · ∂v2/∂a = 1 × 1 = 1",
        "because ∂v2/∂a = 1",
        "first a, sum: 0 + 1 = 1",
    ]
    assert caption(scene.frame(stepper.goto(4)))[-1] == "second a, sum: 1 + 1 = 2"
    assert caption(scene.frame(stepper.goto(0)))[0::2] == ["step 0 of 4, start", "given: a = 3"]
    assert caption(scene.frame(stepper, caption=False)) == []


def long_formula():
    return math.gelu_tanh(Value(0.7, "x"))


def long_names():
    return (Value(0.7, "a name that takes a whole line " * 3) * Value(1.0, "x" * 200)).tanh()


def wide_letters():
    return Value(1.0, "WM" * 40) * Value(2.0, "汉字" * 40)


@pytest.mark.parametrize("graph", [
    long_formula, long_names, wide_letters, lecture_neuron, small_network, shared_operands,
])
def test_the_caption_is_never_cut_off_and_never_touches_the_drawing(graph):
    pytest.importorskip("resvg_py", reason="needs the extra `plots`")
    pytest.importorskip("PIL", reason="needs the extra `plots`")
    from viz.animation.pixels import to_image, to_png

    recording = record(graph())
    scene = Scene(recording)
    (width, height), drawing = scene.frame_size, scene.size[1]
    for position in {0, 1, recording.forward + 2, len(recording)}:
        stepper = Stepper(recording).goto(min(position, len(recording)))
        image = to_image(to_png(scene.frame(stepper), int(width))).convert("L")
        assert image.size == (int(width), pytest.approx(height, abs=2))
        bar = int(height) - 6
        for strip in (
            (0, drawing, 6, bar),
            (image.width - 6, drawing, image.width, bar),  # margins
            (0, drawing - 3, image.width, drawing + 3),
            (0, bar - 3, image.width, bar),
        ):  # above and below
            assert image.crop(tuple(map(int, strip))).getextrema() == (255, 255)
        assert image.crop((0, int(drawing), image.width, bar)).getextrema()[0] < 128


@pytest.mark.parametrize(("label", "said"), [
    ("<b>&amp;</b>", "<b>&amp;</b>"), ("]]>", "]]>"), ('"\'', '"\''),
    ("</text><script>alert(1)</script>", "</text><script>alert(1)</script>"),
    ("\x00\x1b[31m", r"\x00\x1b[31m"), ("\ud800", r"\ud800"), ("two\nlines", r"two\nlines"),
])
def test_labels_are_data_in_frames_too(label, said):
    recording = record(Value(1.0, label) * 2)
    svg = Scene(recording).frame(Stepper(recording).finish())
    root = ET.fromstring(svg.encode("utf-8"))
    assert not list(root.iter(f"{SVG}script"))
    assert caption(svg)[2].startswith(f"dv2/d({said}) += ")


def test_a_label_of_two_lines_has_two_lines_in_the_picture():
    recording = record(Value(1.0, "two\nlines"))
    node = groups(Scene(recording).frame(Stepper(recording)), "node")["n0"]
    assert [text.text for text in node.iter(f"{SVG}text")][:2] == ["two", "lines"]


def test_very_long_label_is_cut_in_the_caption():
    recording = record((Value(1.0, "x" * 1_000_000) * 2).tanh())
    scene, stepper = Scene(recording), Stepper(recording).finish()
    with Within(1):
        frame = scene.frame(stepper)
    assert len(frame) < 100_000
    assert caption(frame)[-1].endswith("...")


def test_a_frame_of_a_large_scene_takes_milliseconds():
    rng = random.Random(0)
    model = nn.MLP(2, [8, 8, 1], rng=rng)
    recording = record(nn.mse(model([Value(1.0), Value(-2.0)]), 1.0))
    scene, stepper = Scene(recording, max_nodes=None), Stepper(recording)
    assert len(scene.graph.nodes) > 300
    scene.frame(stepper)
    with Within(0.6):
        for _ in range(20):
            scene.frame(stepper.next())


def test_naive_order_is_shown_with_its_own_gradients():
    a = Value(1.0, "a")
    b = a + a
    recording = record(b + b, order="naive")
    scene, stepper = Scene(recording), Stepper(recording).finish()
    drawn = groups(scene.frame(stepper), "node")
    assert number(drawn["n0"], "grad") == number_text(stepper.grad("a")) == "6.0000"


def test_resvg_can_read_what_a_frame_says():
    resvg = pytest.importorskip("resvg_py", reason="needs the extra `plots`")
    image = pytest.importorskip("PIL.Image", reason="needs the extra `plots`")
    recording = record(lecture_neuron())
    svg = Scene(recording).frame(Stepper(recording).finish())
    png = resvg.svg_to_bytes(svg_string=svg, dpi=96, background="white")
    assert image.open(io.BytesIO(png)).width > 600
