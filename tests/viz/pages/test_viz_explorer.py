"""The explorer: its data, its file, and the page in a real browser."""

import json
import math
import random
import re
from html.parser import HTMLParser

import pytest
from helpers import ROOT, run_python

import viz
from tests.browser import chromium, console, requests, visit, wait_until
from tests.node import steps_of
from tinygrad_edu import Stepper, Value, compare_orders, nn, record
from tinygrad_edu.debug.misconceptions import MISCONCEPTIONS
from tinygrad_edu.examples import lecture_neuron, shared_node, weight_decay
from viz.drawing import style
from viz.drawing.scene import Scene, flow_width
from viz.drawing.text import label_number, number_text
from viz.pages.explore import explore
from viz.pages.explorer.page import page_data
from viz.pages.page import Page, content_hash, read

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")

HOSTILE = [
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    '"><svg onload=window.hacked=1>',
    "{{7*7}}",
    "${7*7}",
    "javascript:window.hacked=1",
    "<!--<script>",
    "]]>",
    "&lt;b&gt;",
    "\u2028\u2029\ud800",
    "' onfocus='window.hacked=1",
    "$svg$title",
]


def network(sizes=(3, 1), inputs=(1.0, -2.0)):
    """Returns the loss of one sample in a small network."""
    model = nn.MLP(len(inputs), list(sizes), rng=random.Random(1))
    y = nn.mse(model([Value(x, f"x{i}") for i, x in enumerate(inputs)]), 1.0)
    y.label = "loss"
    return y


def hostile_graph():
    """Returns a sum of values whose labels look like markup; the first ones name modules."""
    leaves = [
        Value(float(i), nn.ParameterName(f"{label}.w") if i < 3 else label)
        for i, label in enumerate(HOSTILE)
    ]
    y = leaves[0]
    for leaf in leaves[1:]:
        y = y * leaf + 1
        y.label = leaf.label
    return y


def data_of(page):
    return json.loads(
        re.search(
            r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL
        )[1]
    )


# ---- data ----------------------------------------------------------------------------------------


def test_steps_inside_boxes_are_left_out_and_the_numbers_of_the_others_stay(tmp_path):
    recording = record(network())
    scene = Scene(recording, collapse="neurons")
    page, = steps_of(page_data(scene), tmp_path)
    numbers = [step["number"] for step in page["steps"]]
    assert page["total"] == len(recording) > len(numbers) > 10
    assert numbers == [i for i, hidden in enumerate(scene.hidden, 1) if not hidden]
    assert page["forward"] == sum(number <= recording.forward for number in numbers)
    steps = [recording[number - 1] for number in numbers]
    assert [step["exact"] for step in page["steps"]] == [repr(step.after) for step in steps]


def test_boxes_have_the_derivatives_of_their_outputs(tmp_path):
    scene = Scene(record(network((3, 2, 1))), collapse="neurons")
    page, = steps_of(page_data(scene), tmp_path)
    shown = [
        None if edge.derivative is None else label_number(edge.derivative)
        for edge in scene.graph.edges
    ]
    assert any(edge.links and scene.graph.by_name[edge.target].role == "module"
               for edge in scene.graph.edges)
    assert [found and found["text"] for found in page["derivatives"]] == shown


def test_large_graph_is_collapsed_with_a_note():
    data = data_of(explore(network((8, 8, 1)), max_nodes=100))
    assert len(data["nodes"]) <= 100
    assert "Neurons are collapsed" in data["notes"][0]
    assert {node["role"] for node in data["nodes"]} >= {"module"}
    assert all(node["contents"] for node in data["nodes"] if node["role"] == "module")


def test_frames_list_their_nodes_and_their_output():
    data = page_data(Scene(record(network()), max_nodes=None))
    frames = {frame["path"]: frame for frame in data["frames"]}
    assert frames["layers.0.neurons.1"]["contents"] == "5 operations, 3 parameters"
    assert data["nodes"][frames["layers.0.neurons.1"]["output"]]["op"] == "relu"
    assert frames["layers.0"]["output"] == -1  # it has three
    assert data["frames"][frames["layers.0.neurons.1"]["parent"]]["path"] == "layers.0"


def test_infinite_and_undefined_numbers_are_text(tmp_path):
    x = Value(math.inf, "x")
    page, = steps_of(data_of(explore(x - x)), tmp_path)
    assert (page["steps"][0]["exact"], page["steps"][0]["text"]) == ("nan", "nan")
    assert page["data"][0] == "inf"


@pytest.mark.parametrize("idea", MISCONCEPTIONS)
def test_a_page_begins_with_the_wrong_idea_of_its_recording(idea, tmp_path):
    a = Value(3.0, "a")
    b = a * a
    recording = record(b + b, misconception=idea)
    data = data_of(explore(recording))
    assert data["program"]["idea"] == idea
    page, = steps_of(data, tmp_path, [idea])
    assert page["steps"][-1]["text"] == number_text(recording[-1].after)
    assert data_of(explore(compare_orders(b + b).naive))["program"]["idea"] == "early"


# ---- the file ------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Collects all tags with their attributes, and the texts of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data):
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if tag in ("script", "style"):
            key = attributes.get("type", tag)
            self.texts[key] = self.texts.get(key, "") + data


@pytest.mark.parametrize("graph", [lecture_neuron, hostile_graph])
def test_policy_allows_only_the_two_inlined_texts(graph):
    elements = Elements(explore(graph(), title=HOSTILE[0]).html)
    policy = next(
        attributes["content"] for tag, attributes in elements.tags if "http-equiv" in attributes
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert f"script-src '{content_hash(elements.texts['module'])}'" in policy
    assert f"style-src '{content_hash(elements.texts['style'])}'" in policy
    assert [tag for tag, _ in elements.tags].count("script") == 2
    assert "img" not in {tag for tag, _ in elements.tags}
    attributes = {name for _, attributes in elements.tags for name in attributes}
    assert not {name for name in attributes if name.startswith("on") or name in ("style", "src")}


def test_labels_are_in_the_data_as_typed():
    labels = {node["label"] for node in data_of(explore(hostile_graph()))["nodes"]}
    assert labels >= {*HOSTILE[3:], *(f"{label}.w" for label in HOSTILE[:3])}


def test_scripts_never_make_markup_out_of_text():
    scripts = list((ROOT / "viz" / "pages").rglob("*.js"))
    assert len(scripts) > 8
    for path in scripts:
        script = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new "
            r"Function|DOMParser|fetch\(",
            script,
        )
        assert "</script" not in script


def test_the_same_graph_gives_the_same_bytes_in_every_process():
    code = """
import hashlib
from test_viz_explorer import network
from viz.pages.explore import explore
print(hashlib.sha256(explore(network()).html.encode()).hexdigest())
"""
    digests = {run_python(code, hash_seed=seed).stdout for seed in (0, 1)}
    assert len(digests) == 1
    assert len(digests.pop()) == 65


def test_a_page_of_342_nodes_is_no_larger_than_a_megabyte():
    page = explore(network((8, 8, 1), (1.0, -2.0, 0.5, 3.0)), max_nodes=None)
    assert len(data_of(page)["nodes"]) >= 342
    assert len(page.html.encode()) < 1_000_000


def test_light_colours_are_those_of_drawings():
    css = read("theme.css")
    for role, look in style.ROLES.items():
        rule = re.search(
            rf"\.node\.{role} {{ --fill: light-dark\((#\w+), #\w+\); --line: light-dark\((#\w+),",
            css,
        )
        assert rule.groups() == (look.fillcolor, look.color)


def test_text_has_enough_contrast_on_every_background():
    css = read("theme.css")
    pairs = dict(re.findall(r"--([\w-]+): (light-dark\(#\w+, #\w+\))", css))
    fills = re.findall(r"--fill: (light-dark\(#\w+, #\w+\))", css)
    papers = [
        pairs[name]
        for name in ("paper", "panel", "raised", "spotlight-wash", "frame-even", "frame-odd")
    ]
    assert len(fills) == len(style.ROLES)
    for dark in (0, 1):
        for ink in ("text", "muted"):
            for paper in papers + fills:
                assert (
                    contrast(*(re.findall(r"#\w+", pair)[dark] for pair in (pairs[ink], paper)))
                    >= 4.5
                ), (ink, paper, dark)
        for ink in ("positive-text", "negative-text", "edge-text", "accent"):
            assert (
                contrast(*(re.findall(r"#\w+", pairs[name])[dark] for name in (ink, "paper")))
                >= 4.5
            ), (ink, dark)


def contrast(one, other):
    """Returns the contrast ratio of WCAG, from 1 to 21."""
    def luminance(color):
        parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(weight * (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4)
                   for weight, x in zip((0.2126, 0.7152, 0.0722), parts))
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_explore_with_a_path_writes_the_file_in_one_piece(tmp_path):
    path = explore(lecture_neuron(), tmp_path / "o.html")
    assert path == tmp_path / "o.html"
    assert path.read_text(encoding="utf-8") == explore(lecture_neuron()).html
    assert explore(lecture_neuron(), tmp_path / "p").name == "p.html"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["o.html", "p.html"]


def test_explore_without_a_path_returns_a_page_for_notebooks():
    page = explore(lecture_neuron())
    assert isinstance(page, Page)
    assert re.fullmatch(
        r"<Page 'computation graph of o': \d+ kB; \.save\(\"y\.html\"\) writes it>", repr(page)
    )
    frame = Elements(page._repr_html_()).tags
    assert [tag for tag, _ in frame] == ["iframe", "/iframe"]
    assert frame[0][1]["srcdoc"] == page.html


def test_invalid_paths_are_rejected_before_anything_is_computed(tmp_path):
    y = lecture_neuron()
    with pytest.raises(
        ValueError, match=r"'y\.svg': '\.svg' is not a format it can have; use one of \.html, \.htm"
    ):
        explore(y, "y.svg")
    with pytest.raises(ValueError, match="cannot save a page: path must name a file"):
        explore(y, "")
    with pytest.raises(IsADirectoryError, match="it is a folder; name a file in it"):
        explore(y, tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder; create it first"):
        explore(y, tmp_path / "missing" / "y.html")
    assert not list(tmp_path.iterdir())


def test_invalid_arguments_are_rejected_by_name():
    with pytest.raises(
        TypeError, match=r"y must be a Value, a Recording, a Stepper, or .*, not float \(3\.0\)"
    ):
        explore(3.0)
    with pytest.raises(TypeError, match="title must be text, not int"):
        explore(lecture_neuron(), title=3)
    with pytest.raises(
        ValueError, match="collapse must be modules of the graph, not 'x'; leave collapse out"
    ):
        explore(lecture_neuron(), collapse="x")
    with pytest.raises(
        TypeError, match=r"option for a Value must be one of .*, not 'colapse'; did you mean 'coll"
    ):
        explore(lecture_neuron(), colapse="x")


def test_exploring_does_not_change_the_graph():
    y = lecture_neuron()
    before = [(node.data, node.grad) for node in [y, *y.args]]
    explore(y)
    assert [(node.data, node.grad) for node in [y, *y.args]] == before


# ---- in the browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        name: explore(graph(), folder / f"{name}.html", max_nodes=None)
        for name, graph in (
            ("neuron", lecture_neuron),
            ("decay", weight_decay),
            ("network", network),
        )
    }


@pytest.fixture
def browser(driver, request):
    """Yields the driver; afterwards the console must be empty."""
    yield driver
    assert console(driver) == []


def press(driver, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver, duration=0).send_keys(key).perform()


def click(driver, selector):
    driver.execute_script("const click = new MouseEvent('click', { bubbles: true });"
                          "document.querySelector(arguments[0]).dispatchEvent(click)", selector)


def click_at(driver, selector):
    """Clicks in the middle of the first of the elements, wherever it is on the screen."""
    from selenium.webdriver.common.action_chains import ActionChains

    element = driver.find_element("css selector", selector)
    ActionChains(driver, duration=0).move_to_element(element).click().perform()


def move_slider(driver, position):
    driver.execute_script("const s = document.getElementById('slider'); s.value = arguments[0];"
                          "s.dispatchEvent(new Event('input'))", position)


def text(driver, name):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", name)


def at(driver):
    """Returns the step that the page says it is at."""
    return int(re.match(r"step ([\d,]+) of", text(driver, "where"))[1].replace(",", ""))


NUMBERS = """return Object.fromEntries([...document.querySelectorAll("g.node")].map((group) =>
    [group.id, [".data", ".grad"].map((name) => group.querySelector(name)?.textContent)]))"""


def expected_numbers(scene, stepper):
    """Returns what every node shows at the position of the stepper."""
    numbers = {}
    for node in scene.graph.nodes:
        if node.role == "constant":
            numbers[node.name] = [label_number(node.data), None]
        elif node.shows is not None:
            data, grad = stepper.numbers(node.shows)
            numbers[node.name] = ["?" if data is None else number_text(data), number_text(grad)]
    return numbers


@pytest.mark.parametrize(("name", "graph"), [
    ("neuron", lecture_neuron), ("decay", weight_decay), ("network", network),
])
def test_the_numbers_at_every_step_are_those_of_the_stepper(browser, pages, name, graph):
    visit(browser, pages[name])
    scene = Scene(record(graph()), max_nodes=None)
    stepper = Stepper(scene.recording)
    total = len(scene.recording)
    shown = browser.execute_script(f"""
        const numbers = () => {{ {NUMBERS} }}, click = (id) => document.getElementById(id).click()
        const sentence = () => document.getElementById("sentence").textContent
        const forwards = [[numbers(), sentence()]], backwards = []
        while (!document.getElementById("next").disabled) {{
          click("next")
          forwards.push([numbers(), sentence()])
        }}
        while (!document.getElementById("back").disabled) {{
          backwards.unshift([numbers(), sentence()])
          click("back")
        }}
        return [forwards, [[numbers(), sentence()], ...backwards]]""")
    for walk in shown:
        assert len(walk) == total + 1
        for position, (numbers, sentence) in enumerate(walk):
            stepper.goto(position)
            assert numbers == expected_numbers(scene, stepper)
            assert sentence == stepper.step.sentence.removesuffix(f"   [{stepper.step.formula}]")
    for position in random.Random(0).sample(range(total + 1), 12):
        move_slider(browser, position)
        assert browser.execute_script(NUMBERS) == expected_numbers(scene, stepper.goto(position))


def test_page_opens_from_disk_without_any_request(browser, pages):
    visit(browser, pages["network"])
    press(browser, "\ue014", " ")
    wait_until(browser, "return location.hash !== ''")
    assert requests(browser) == [pages["network"].as_uri()]


def test_keys_step_both_ways(browser, pages):
    visit(browser, pages["neuron"])
    right, left, home, end, page_down = "\ue014", "\ue012", "\ue011", "\ue010", "\ue00f"
    for keys, position in (
        ((right, right), 2),
        ((left,), 1),
        ((left, left), 0),
        ((end,), 15),
        ((right,), 15),
        ((home,), 0),
        ((page_down,), 10),
    ):
        press(browser, *keys)
        assert at(browser) == position
    assert text(browser, "sentence") == "do/dv6 += do/dv8 · ∂v8/∂v6 = 0.5 × 1 = 0.5"
    assert text(browser, "formula") == "∂v8/∂v6 = 1"


def test_the_space_key_plays_and_pauses(browser, pages):
    visit(browser, pages["neuron"])
    browser.execute_script("document.getElementById('speed').value = '30'")
    press(browser, " ")
    wait_until(browser, "return document.getElementById('last').disabled")
    assert text(browser, "play") == "play"
    press(browser, " ")  # from the start again
    assert text(browser, "play") == "pause"
    press(browser, " ")
    assert text(browser, "play") == "play"


def test_keys_are_ignored_while_typing(browser, pages):
    visit(browser, pages["neuron"])
    press(browser, "/", "n", "0", " ", "\ue014")
    assert at(browser) == 0
    assert browser.execute_script("return document.getElementById('query').value") == "n0 "


def test_layout_stays_the_same_while_stepping(browser, pages):
    visit(browser, pages["network"])
    places = """const shapes = [...document.querySelectorAll(
            "g.node > path, g.node > polygon, g.edge > path")]
        return JSON.stringify(shapes.map((shape) => {
          const { x, y, width, height } = shape.getBoundingClientRect()
          return [x, y, width, height]
        }))"""
    click(browser, "#zoom-fit")
    before = browser.execute_script(places)
    assert len(json.loads(before)) > 80
    for position in (1, 20, 40, 65):
        move_slider(browser, position)
        assert browser.execute_script(places) == before


def test_nodes_not_computed_are_faint_and_the_step_is_highlighted(browser, pages):
    visit(browser, pages["neuron"])
    ids = "return [...document.querySelectorAll(arguments[0])].map((group) => group.id).sort()"
    assert browser.execute_script(ids, "g.node.todo") == ["n5", "n6", "n7", "n8", "n9"]
    move_slider(browser, 1)
    assert browser.execute_script(ids, "g.node.todo") == ["n6", "n7", "n8", "n9"]
    assert browser.execute_script(ids, ".lit") == ["e0", "e1", "n5"]
    move_slider(browser, 15)
    assert browser.execute_script(ids, ".todo, .ahead") == []
    assert set(browser.execute_script(ids, "g.edge.negative")) == {"e0"}
    assert set(browser.execute_script(ids, "g.edge.zero")) == {"e3"}
    width = browser.execute_script(
        "return document.querySelector('#e8').style.getPropertyValue('--width')"
    )
    assert width == f"{flow_width(0.5):.2f}px"


def test_the_adjoint_moves_along_the_edge_unless_motion_is_reduced(browser, pages):
    dot = "return document.querySelector('.flow').getAttribute('visibility')"
    visit(browser, pages["neuron"])
    move_slider(browser, 6)
    browser.execute_script("document.getElementById('next').click()")
    assert browser.execute_script(dot) == "visible"
    assert (
        browser.execute_script("return document.querySelector('.flow text').textContent") == "0.5"
    )
    wait_until(browser, f"{dot} === 'hidden'")
    try:
        reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [reduced]})
        browser.execute_script("document.getElementById('next').click()")
        assert browser.execute_script(dot) == "hidden"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_details_show_the_sum_over_users_so_far(browser, pages):
    visit(browser, pages["decay"])
    recording = record(weight_decay())
    name = "H[1]"
    steps = [i for i, event in enumerate(recording.events, 1)
             if recording.nodes[event.node].name == name and event.user is not None]
    assert len(steps) == 2
    node = next(i for i, node in enumerate(Scene(recording).graph.nodes) if node.label == name)
    click_at(browser, f"#n{node} text")
    move_slider(browser, steps[0])
    lines = """return [...document.querySelectorAll("#details .lines button")]
        .filter((line) => line.textContent.startsWith("dJ/"))
        .map((line) => [line.textContent, line.classList.contains("coming")])"""
    shown = browser.execute_script(lines)
    assert [coming for _, coming in shown] == [False, True]
    assert [line for line, _ in shown] == [
        recording[i - 1].sentence.partition(" += ")[2].partition("   [")[0] for i in steps
    ]
    total = "return document.querySelector('#details .total').textContent"
    first, second = (number_text(recording.events[i - 1].after) for i in steps)
    assert browser.execute_script(total) == f"dJ/d(H[1]) = {first} so far: 1 of 2 added"
    move_slider(browser, steps[1])
    assert browser.execute_script(total) == f"dJ/d(H[1]) = {second} all 2 added"
    exact = browser.execute_script(
        "return [...document.querySelectorAll('#details .exact')].map((span) => span.textContent)"
    )
    assert exact[1] == repr(recording.events[steps[1] - 1].after)


def test_the_pointer_shows_details_of_nodes_and_edges(browser, pages):
    from selenium.webdriver.common.action_chains import ActionChains

    visit(browser, pages["neuron"])
    move_slider(browser, 15)
    heading = "return document.querySelector('#details h2').textContent"
    ActionChains(browser, duration=0).move_to_element(
        browser.find_element("css selector", "#n2 .data")
    ).perform()
    wait_until(browser, f"{heading} === 'w1'")
    ActionChains(browser, duration=0).move_to_element(
        browser.find_element("css selector", "#e8 path")
    ).perform()
    wait_until(browser, f"{heading} === 'n → o'")
    assert record(lecture_neuron())[6].formula in text(browser, "details")
    ActionChains(browser, duration=0).move_to_element(
        browser.find_element("css selector", "#where")
    ).perform()
    recording = record(lecture_neuron())
    wait_until(browser, f"{heading} === '{recording[-1].name}'")


def test_modules_collapse_and_expand_by_a_click(browser, pages):
    visit(browser, pages["network"])
    visible = """return [...document.querySelectorAll("g.node")]
        .filter((group) => getComputedStyle(group).display !== "none").length"""
    everything = browser.execute_script(visible)
    frame = browser.execute_script("""return [...document.querySelectorAll(".frame-button")].find(
        (button) => button.getAttribute("aria-label").includes("layers.0.neurons.1"),
        ).dataset.frame""")
    click_at(browser, f".frame-button[data-frame='{frame}'] rect")
    assert browser.execute_script(visible) == everything - 8
    cover = f".cover[data-frame='{frame}']"
    move_slider(browser, 65)
    lines = browser.execute_script(
        f"return [...document.querySelectorAll(\"{cover} text\")].map((text) => text.textContent)"
    )
    scene = Scene(record(network()), collapse=["layers.0.neurons.1"], max_nodes=None)
    box = next(node for node in scene.graph.nodes if node.role == "module")
    data, grad = Stepper(scene.recording).finish().numbers(box.shows)
    assert lines == [
        "layers.0.neurons.1",
        "5 operations, 3 parameters",
        f"data {number_text(data)}",
        f"grad {number_text(grad)}",
    ]
    click_at(browser, f"{cover} rect")
    assert browser.execute_script(visible) == everything
    click(browser, "#collapse-layers")
    assert browser.execute_script("return document.querySelectorAll('g.node.module').length") == 2
    click(browser, "#expand-all")
    assert browser.execute_script(visible) == everything


def test_steps_inside_collapsed_modules_are_stepped_over(browser, pages):
    visit(browser, pages["network"])
    click(browser, "#collapse-layers")
    recording = record(network())
    scene = Scene(recording, collapse="layers", max_nodes=None)
    shown = [number for number, hidden in enumerate(scene.hidden, 1) if not hidden]
    assert len(shown) < len(recording) / 2
    walked = browser.execute_script("""const walked = []
        const button = (id) => document.getElementById(id)
        const at = () => Number(button("where").textContent.match(/step (\\d+)/)[1])
        while (!button("next").disabled) { button("next").click(); walked.push(at()) }
        const back = []
        while (!button("back").disabled) { button("back").click(); back.unshift(at()) }
        return [walked, back]""")
    assert walked[0] == shown
    assert walked[1] == [0, *shown[:-1]]


def test_a_module_is_reached_and_collapsed_by_keys(browser, pages):
    visit(browser, pages["network"])
    focused = "return document.activeElement.getAttribute('aria-label')"
    press(browser, "]")
    assert browser.execute_script(focused) == "module layers.0: collapse"
    press(browser, "\ue007")
    assert browser.execute_script(focused) == "module layers.0, 15 operations, 9 parameters: expand"
    press(browser, " ")
    assert browser.execute_script(focused) == "module layers.0: collapse"
    press(browser, "]")
    assert browser.execute_script(focused) == "module layers.0.neurons.0: collapse"
    press(browser, "]", "\ue007")
    assert (
        browser.execute_script(focused)
        == "layers.0.neurons.0.w.0, parameter, data -0.7313, gradient 0.0000"
    )
    assert (
        browser.execute_script("return document.querySelector('#details h2').textContent")
        == "layers.0.neurons.0.w.0"
    )
    assert at(browser) == 0


def test_search_finds_labels_and_opens_what_covers_them(browser, pages):
    visit(browser, pages["network"])
    click(browser, "#collapse-layers")
    press(browser, "/", *"relu")
    assert text(browser, "found") == "3 matches"
    press(browser, "\ue007")
    assert text(browser, "found") == "1 of 3"
    found = browser.execute_script("return document.querySelector('.found').id")
    node = Scene(record(network()), max_nodes=None).graph.nodes[int(found[1:])]
    assert node.op == "relu"
    assert browser.execute_script("return document.querySelectorAll('g.node.module').length") == 0
    assert browser.execute_script(
        "return document.querySelector('#details h2').textContent"
    ).startswith("v")
    press(browser, *["\ue007"] * 3)
    assert text(browser, "found") == "1 of 3"
    press(browser, *"x")
    assert text(browser, "found") == "no match"
    press(browser, "\ue00c")
    assert browser.execute_script("return document.querySelectorAll('.match').length") == 0
    assert browser.execute_script("return document.activeElement === document.body")


def test_hostile_labels_are_shown_as_typed_and_do_nothing(browser, tmp_path):
    path = explore(hostile_graph(), tmp_path / "hostile.html", title=HOSTILE[0])
    visit(browser, path)
    for _ in range(3):
        press(browser, "\ue014", "]")
    click(browser, "#last")
    scene = Scene(record(hostile_graph()))
    for i, node in enumerate(scene.graph.nodes):
        click(browser, f"#n{i}")
        browser.execute_script("""const query = document.getElementById("query")
            query.value = arguments[0]
            query.dispatchEvent(new Event("input"))
            query.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }))""",
                               node.label.encode("utf-8", "replace").decode())
    click(browser, "#collapse-layers")
    assert text(browser, "title") == browser.title == HOSTILE[0]
    leaf = next(i for i, node in enumerate(scene.graph.nodes) if node.label == HOSTILE[5])
    browser.execute_script("document.querySelector(arguments[0]).focus()", f"#n{leaf}")
    assert browser.execute_script(
        "return document.querySelector(arguments[0]).textContent", f"#n{leaf}"
    ).count("javascript:")
    assert browser.execute_script(
        "return [window.hacked, document.scripts.length, document.images.length]"
    ) == [None, 2, 0]
    assert requests(browser) == [path.as_uri()]


def test_theme_button_switches_between_light_and_dark(browser, pages):
    visit(browser, pages["neuron"])
    colors = """return [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector("#n0 text")).fill]"""
    light = browser.execute_script(colors)
    assert light == ["rgb(255, 255, 255)", "rgb(26, 26, 26)"]
    click(browser, "#theme")
    assert browser.execute_script(colors) == ["rgb(18, 22, 28)", "rgb(232, 235, 239)"]
    click(browser, "#theme")
    assert browser.execute_script(colors) == light


def test_colour_by_gradient(browser, pages):
    visit(browser, pages["neuron"])
    move_slider(browser, 15)
    fill = "return getComputedStyle(document.querySelector('#n0 polygon')).fill"
    by_role = browser.execute_script(fill)
    browser.execute_script(
        "const choice = document.getElementById('colour'); choice.value = 'grad';"
        "choice.dispatchEvent(new Event('change'))"
    )
    wait_until(browser, f"{fill} !== '{by_role}'")
    signs = browser.execute_script(
        "return [...document.querySelectorAll('g.node.negative')].map((group) => group.id)"
    )
    assert signs == ["n0"]  # x1, whose gradient is -1.5


def test_address_keeps_the_step(browser, pages):
    visit(browser, pages["neuron"], "#step=5")
    assert at(browser) == 5
    press(browser, "\ue014")
    wait_until(browser, "return location.hash === '#step=6'")


def test_page_of_a_stepper_opens_at_its_position(browser, tmp_path):
    visit(
        browser, explore(Stepper(record(lecture_neuron())).run_to("backward"), tmp_path / "o.html")
    )
    assert at(browser) == 6


def test_page_fits_a_phone_and_the_help_opens(browser, pages):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        visit(browser, pages["network"])
        assert browser.execute_script("return document.documentElement.scrollWidth") == 320
        press(browser, "?")
        assert browser.execute_script("return document.getElementById('help').open")
        press(browser, "\ue00c")
        assert not browser.execute_script("return document.getElementById('help').open")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name(browser, pages):
    visit(browser, pages["network"])
    unnamed = browser.execute_script("""
        return [...document.querySelectorAll("button, input, select, [role=button], [tabindex]")]
        .filter((control) => !(control.textContent.trim()
            || control.getAttribute("aria-label") || control.labels?.length))
        .map((control) => control.outerHTML)""")
    assert unnamed == []


def test_thousands_of_steps_are_listed_a_window_at_a_time(browser, tmp_path):
    x = y = Value(0.5, "x")
    for _ in range(200):
        y = y + x
    visit(browser, explore(y, tmp_path / "chain.html", max_nodes=50))
    assert "nearest to the output" in text(browser, "notes")
    data = data_of(Page((tmp_path / "chain.html").read_text(encoding="utf-8"), ""))
    count = len(steps_of(data, tmp_path)[0]["steps"])
    press(browser, "\ue010")
    assert text(browser, "where").startswith("step 601 of 601")
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#rows > div')].map((row) => "
        "Number(row.ariaPosInSet))"
    )
    assert len(rows) < 60
    assert rows[-1] == count + 1
    click(browser, "#rows > div:first-child")
    assert at(browser) < 601


def test_a_leaf_alone_has_its_number(tmp_path):
    page, = steps_of(data_of(explore(Value(2.0, "a"))), tmp_path)
    assert page["nodes"][0] == [
        {"text": "2.0000", "exact": "2.0"}, {"text": "1.0000", "exact": "1.0"}
    ]


def test_neurons_are_collapsed_rather_than_layers_and_the_page_says_how_to_open_one():
    y = network((8, 8, 1))
    data = data_of(explore(y, max_nodes=100))
    boxes = [node["label"] for node in data["nodes"] if node["role"] == "module"]
    assert len(boxes) == 17
    call, = data["calls"]
    path = re.fullmatch(r"viz\.explore\(y, expand='([^']+)'\)", call)[1]
    opened = data_of(explore(y, max_nodes=100, expand=path))
    assert [node["label"] for node in opened["nodes"] if node["role"] == "module"] == boxes[1:]
    total = len(record(y))
    assert any(f"of the {total:,} steps" in note for note in data["notes"])


def test_wrong_ideas_are_called_wrong_where_they_are(tmp_path):
    naive, right = steps_of(data_of(explore(shared_node())), tmp_path, ["early", ""])
    assert "Wrong here: dc/da is 4, here 6." in naive["verdict"]
    assert naive["marks"][0][0] == 5
    assert (right["verdict"], right["marks"]) == ("", [])
    a, b = Value(2.0, "a"), Value(3.0, "b")
    naive, = steps_of(data_of(explore(a * b)), tmp_path, ["early"])
    assert "the gradients are right anyway" in naive["verdict"]


def test_the_sum_of_what_flowed_along_an_edge_is_exact(tmp_path):
    y = network((1,))
    page, = steps_of(data_of(explore(y, collapse="neurons")), tmp_path)
    scene = Scene(record(y), collapse="neurons")
    for edge, flow in scene.flows(Stepper(y).finish()).items():
        texts = [step["flowed"] for step in page["steps"] if step["edge"] == edge]
        assert texts[-1] == label_number(flow)


def test_page_of_a_wrong_order_shows_the_first_mistake_and_the_right_gradient(browser, tmp_path):
    visit(browser, explore(record(shared_node(), order="naive"), tmp_path / "naive.html"))
    comparison = compare_orders(shared_node())
    for number in range(len(comparison.naive) + 1):
        move_slider(browser, number)
        begins = (
            "Too early: this step passes on d"
            if number == comparison.early
            else "Too late: this step adds to d"
            if number == comparison.late
            else ""
        )
        assert text(browser, "warning")[:len(begins) or None] == begins
    assert browser.execute_script(
        "return [...document.querySelectorAll('#rows .mark')].map((mark) => mark.textContent)"
    ) == ["too early", "too late"]
    right, naive = comparison.gradients["a"]
    total = browser.execute_script("return document.querySelector('#details .total').textContent")
    assert right != naive
    assert total.startswith(f"dc/da = {number_text(naive)} ")
    assert total.endswith(f"; the right gradient is {number_text(right)}")
    assert f"dc/da is {label_number(right)}, here {label_number(naive)}" in text(browser, "notes")


def test_box_says_how_to_open_it(browser, tmp_path):
    y = network()
    visit(browser, explore(y, tmp_path / "boxes.html", collapse="neurons"))
    click_at(browser, "g.node.module text")
    path = browser.execute_script("return document.querySelector('#details h2').textContent")
    call = browser.execute_script("return document.querySelector('#details code').textContent")
    opened = data_of(
        viz.explore(y, expand=re.fullmatch(r"viz\.explore\(y, expand='([^']+)'\)", call)[1])
    )
    assert path in {frame["path"] for frame in opened["frames"]}


def test_help_and_search_work_in_a_notebook(browser, tmp_path):
    frame = tmp_path / "notebook.html"
    frame.write_text(f"<!DOCTYPE html>{explore(lecture_neuron())._repr_html_()}", encoding="utf-8")
    browser.get(frame.as_uri())
    browser.switch_to.frame(0)
    try:
        wait_until(browser, "return document.documentElement.dataset.ready === 'true'")
        is_open = "return document.getElementById('help').open"
        click_at(browser, "#help-button")
        assert browser.execute_script(is_open)
        click_at(browser, "#help-close")
        assert not browser.execute_script(is_open)
        press(browser, "?")
        assert browser.execute_script(is_open)
        press(browser, "\ue00c")
        assert not browser.execute_script(is_open)
        press(browser, "/", *"w1", "\ue007")
        assert text(browser, "found") == "1 of 1"
        press(browser, "\ue00c", "\ue014")
        assert at(browser) == 1
    finally:
        browser.switch_to.default_content()


NAMES = """return Object.fromEntries([...document.querySelectorAll("g.node, g.edge")].map((group) =>
    [group.id, group.getAttribute("aria-label")]))"""


def test_accessible_names_of_nodes_and_edges_follow_every_step(browser, pages):
    visit(browser, pages["neuron"])
    names = browser.execute_script(NAMES)
    assert names["n0"] == "x1, input, data 2.0000, gradient 0.0000"
    assert names["n9"] == "o, output, tanh, not computed yet, gradient 0.0000"
    assert names["e8"] == "edge, n to o"
    press(browser, "\ue010")
    names = browser.execute_script(NAMES)
    assert names["n0"] == "x1, input, data 2.0000, gradient -1.5000"
    assert names["n9"] == "o, output, tanh, data 0.7071, gradient 1.0000"
    assert names["e8"] == "edge, n to o, local derivative 0.5, gradient 0.5"
    press(browser, "\ue011")
    assert (
        browser.execute_script(NAMES)["n9"] == "o, output, tanh, not computed yet, gradient 0.0000"
    )


def test_accessible_name_of_a_box_has_the_numbers_of_its_output(browser, pages):
    visit(browser, pages["network"])
    press(browser, "]", "]", "\ue007")
    press(browser, "\ue010")
    shown, name = (
        browser.execute_script("""const cover = document.querySelector(".cover:has(.data)")
        const texts = [...cover.querySelectorAll(".data, .grad")].map((text) => text.textContent)
        return [texts, cover.ariaLabel]""")
    )
    data, grad = shown[0], shown[1].replace("grad", "gradient")
    assert name.endswith(f", {data}, {grad}: expand")


def test_from_a_node_its_edges_and_their_ends_are_reached_by_keys(browser, pages):
    visit(browser, pages["neuron"])
    press(browser, "\ue010")
    focused = "return document.activeElement.getAttribute('aria-label')"
    heading = "return document.querySelector('#details h2').textContent"
    press(browser, "/", "o", "\ue007")
    browser.execute_script("document.querySelector('#details .lines button').focus()")
    while not browser.execute_script(
        "return document.activeElement.title.startsWith('show the edge')"
    ):
        press(browser, "\ue004")
    press(browser, "\ue007")
    assert browser.execute_script(focused) == "edge, n to o, local derivative 0.5, gradient 0.5"
    assert browser.execute_script(heading) == "n → o"
    browser.execute_script(
        "[...document.querySelectorAll('#details .lines button')].at(-2).focus()"
    )
    press(browser, "\ue007")
    assert browser.execute_script(focused).startswith("n, operation, add, ")
    assert browser.execute_script(heading) == "n"


def test_a_line_of_the_panel_keeps_the_focus_when_it_leads_to_its_step(browser, pages):
    visit(browser, pages["decay"])
    press(browser, "\ue010", "]")
    press(browser, "\ue007")
    line = (
        "return document.activeElement.matches('#details button') && document.activeElement.title"
    )
    browser.execute_script("document.querySelector('#details .lines button').focus()")
    title = browser.execute_script(line)
    press(browser, "\ue007")
    assert at(browser) == int(title.removeprefix("go to step "))
    assert browser.execute_script(line) == title


def test_a_row_of_the_list_has_the_whole_sentence_as_its_title(browser, pages):
    visit(browser, pages["neuron"])
    titles = browser.execute_script(
        "return [...document.querySelectorAll('#rows > div')].map((row) => row.title)"
    )
    recording = record(lecture_neuron())
    assert titles[:3] == [recording.start().sentence, recording[0].words, recording[1].words]


IN_SIGHT = """const box = arguments[0].getBoundingClientRect()
    const stage = document.getElementById("stage").getBoundingClientRect()
    const zoom = document.querySelector(".zoom").getBoundingClientRect()
    const inside = box.left >= stage.left && box.right <= stage.right
        && box.top >= stage.top && box.bottom <= stage.bottom
    return inside && !(box.right > zoom.left && box.left < zoom.right
        && box.top < zoom.bottom && box.bottom > zoom.top)"""


def test_shown_node_is_not_behind_the_zoom_buttons(browser, pages):
    try:
        reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [reduced]})
        visit(browser, pages["network"])
        press(browser, "+", "+", "+")
        for node in browser.find_elements("css selector", "g.node")[::6]:
            browser.execute_script(
                """const { left, right, top, bottom } = arguments[0].getBoundingClientRect()
                const zoom = document.querySelector(".zoom").getBoundingClientRect()
                const x = zoom.left + 20 - (left + right) / 2
                const y = zoom.top + 20 - (top + bottom) / 2
                const at = { bubbles: true, pointerId: 1, button: 0, buttons: 1 }
                const stage = document.getElementById("stage")
                stage.setPointerCapture = () => {}
                const send = (type, clientX, clientY) =>
                    stage.dispatchEvent(new PointerEvent(type, { ...at, clientX, clientY }))
                send("pointerdown", 0, 0)
                send("pointermove", x, y)
                send("pointerup", x, y)""",
                node,
            )
            assert not browser.execute_script(IN_SIGHT, node)
            focus_through_search(browser, node.get_attribute("id"))
            assert browser.execute_script(IN_SIGHT, node)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def focus_through_search(driver, name):
    """Finds a node by a search for its name, as a reader would."""
    node = int(name.removeprefix("n"))
    driver.execute_script(
        """const query = document.getElementById("query")
        const data = JSON.parse(document.getElementById("data").textContent)
        const { label, name } = data.nodes[arguments[0]]
        query.value = label || name
        query.dispatchEvent(new Event("input"))
        const enter = () => query.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }))
        do enter()
        while (!document.getElementById(`n${arguments[0]}`).classList.contains("found"))""",
        node,
    )


def test_the_camera_follows_fast_steps_twice_a_second_and_ends_at_the_last(browser, pages):
    visit(browser, pages["network"])
    press(browser, *"++++++")
    moves = browser.execute_async_script("""const done = arguments[arguments.length - 1]
        const sheet = document.querySelector(".sheet")
        const start = performance.now(), places = new Set()
        const frame = () => {
          places.add(sheet.style.transform)
          if (performance.now() - start > 1000) return done(places.size)
          document.getElementById("next").click()
          requestAnimationFrame(frame)
        }
        frame()""")
    assert 2 <= moves <= 24  # one glide of 250 ms, then a jump every half second
    assert wait_until(
        browser, f"return (function () {{ {IN_SIGHT} }})(document.querySelector('g.node.lit'))"
    )


def test_a_long_edge_without_gradient_is_not_dotted(browser, tmp_path):
    """Drawing a dotted line across a large drawing takes a browser seconds."""
    x = Value(2.0, "x")
    y = x * 1.0
    for _ in range(40):
        y = (y * 1.0).tanh()
    visit(browser, explore((y + x * x) * 0.0, tmp_path / "long.html"))
    press(browser, "\ue010")
    dashes = browser.execute_script("""
        const paths = [...document.querySelectorAll("g.edge.zero")]
            .map((edge) => edge.querySelector("path"))
        return paths.map((path) =>
            [path.getTotalLength(), getComputedStyle(path).strokeDasharray])""")
    assert {dash for length, dash in dashes if length > 400} == {"none"}
    assert {dash for length, dash in dashes if length <= 400} == {"1px, 4px"}
