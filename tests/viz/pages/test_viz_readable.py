"""Pages can be read: in windows of every size, on paper, in forced colours, without JavaScript."""

import random
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from io import BytesIO

import pytest

import viz
from tests.browser import chromium, console, visit, wait_until
from tinygrad_edu import Stepper, Value, data, fit, nn, optim, record
from tinygrad_edu.examples import lecture_neuron
from viz.drawing.scene import Scene
from viz.drawing.text import number_text

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")

FEATURES = {"reduced": ("prefers-reduced-motion", "reduce"), "forced": ("forced-colors", "active")}


def newton():
    x = Value(1.0, "x")
    for _ in range(12):
        x = x - (x * x - 2) / (2 * x)
    return x


def product():
    x = y = Value(1.01, "x")
    for _ in range(100):
        y = y * x
    return y


def network():
    model = nn.MLP(2, [3, 1], rng=random.Random(1))
    y = nn.mse(model([Value(1.0, "x0"), Value(-2.0, "x1")]), 1.0)
    y.label = "loss"
    return y


def right_to_left():
    y = Value(2.0, "שלום") * Value(-3.0, "עולם")
    y.label = "מכפלה"
    return y


def moons(steps=4, rate=0.3):
    X, y = data.moons(20, rng=1)
    model = nn.MLP(2, [3, 1], rng=1)
    sgd = optim.SGD(model.parameters(), lr=rate)
    return fit(model, nn.hinge, X, y, optimizer=sgd, epochs=steps, record_every=1, rng=1)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {graph.__name__: viz.explore(graph(), folder / f"{graph.__name__}.html")
            for graph in (newton, product, network, lecture_neuron, right_to_left)}
    return made | {"moons": viz.explore(moons(), folder / "moons.html", max_frames=3, samples=5)}


@pytest.fixture
def browser(driver):
    """Yields the driver; afterwards the console must be empty."""
    with emulated(driver, "reduced"):
        yield driver
    assert console(driver) == []


@contextmanager
def emulated(driver, *features, media="", size=()):
    """Emulates features of `FEATURES`, a medium and a window."""
    chosen = [dict(zip(("name", "value"), FEATURES[name])) for name in features]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": chosen})
    if size:
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def click(driver, name):
    driver.execute_script("document.getElementById(arguments[0]).click()", name)


def move_slider(driver, position):
    driver.execute_script("const s = document.getElementById('slider'); s.value = arguments[0];"
                          "s.dispatchEvent(new Event('input'))", position)


def text(driver, selector):
    script = "return document.querySelector(arguments[0]).textContent"
    return driver.execute_script(script, selector)


TEXT_SIZE = """11 * new DOMMatrix(
    getComputedStyle(document.querySelector(".sheet")).transform).a"""
IN_SIGHT = """const box = document.querySelector(arguments[0]).getBoundingClientRect()
    const stage = document.getElementById("stage").getBoundingClientRect()
    return box.left >= stage.left && box.right <= stage.right
        && box.top >= stage.top && box.bottom <= stage.bottom"""


def text_size(driver):
    return driver.execute_script(f"return {TEXT_SIZE}")


# ---- the drawing follows the step in a size that can be read -----------------------------------


@pytest.mark.parametrize("name", ["newton", "product", "network"])
def test_the_node_of_a_step_can_be_read_from_the_start(browser, pages, name):
    with emulated(browser, "reduced", size=(1280, 720)):
        visit(browser, pages[name])
        assert text_size(browser) >= 10
        last = browser.execute_script("return Number(document.getElementById('slider').max)")
        for position in (1, last // 3, last // 2, last):
            move_slider(browser, position)
            wait_until(browser, f"return (function () {{ {IN_SIGHT} }})('.node.lit')")
            assert text_size(browser) >= 10


def test_fit_shows_the_whole_drawing_until_it_follows_again(browser, pages):
    visit(browser, pages["newton"])
    follow = "return document.getElementById('follow').checked"
    assert browser.execute_script(follow)
    click(browser, "zoom-fit")
    whole = text_size(browser)
    assert whole < 5
    assert not browser.execute_script(follow)
    move_slider(browser, 20)
    assert text_size(browser) == whole
    click(browser, "follow")
    assert text_size(browser) >= 10
    assert browser.execute_script(IN_SIGHT, ".node.lit")


def test_a_drawing_that_can_be_read_as_a_whole_stays_where_it_is(browser, pages):
    visit(browser, pages["lecture_neuron"])
    place = "return document.querySelector('.sheet').style.transform"
    before = browser.execute_script(place)
    click(browser, "zoom-fit")
    assert browser.execute_script("return document.getElementById('follow').checked")
    for position in (1, 8, 15):
        move_slider(browser, position)
        assert browser.execute_script(place) == before


def test_the_scale_that_a_reader_chose_is_kept(browser, pages):
    visit(browser, pages["newton"])
    for _ in range(3):
        click(browser, "zoom-out")
    chosen = text_size(browser)
    assert chosen < 6
    for position in (5, 60, 120):
        move_slider(browser, position)
        wait_until(browser, f"return (function () {{ {IN_SIGHT} }})('.node.lit')")
        assert text_size(browser) == chosen


# ---- collapsed modules -------------------------------------------------------------------------


SHOWN = """return Object.fromEntries([...document.querySelectorAll("#stage g.node:has(.grad)")].map(
    (group) => [group.id, [".data", ".grad"].map((name) => group.querySelector(name).textContent)]
    ))"""


def boxes(browser):
    return browser.execute_script(
        "return document.querySelectorAll('#stage g.node.module').length")


def test_a_network_opens_with_its_neurons_collapsed_and_is_expanded_by_a_click(browser, pages):
    visit(browser, pages["network"])
    assert boxes(browser) == 4
    assert text_size(browser) >= 10
    click(browser, "expand-all")
    assert boxes(browser) == 0
    visit(browser, pages["lecture_neuron"])
    assert boxes(browser) == 0


def test_a_step_inside_a_neuron_is_reached_by_its_address_and_by_its_name(browser, pages):
    visit(browser, pages["network"], "#step=40")
    assert text(browser, "#where").startswith("step 40 of 65")
    assert boxes(browser) == 0
    visit(browser, pages["network"])
    browser.execute_script("""const query = document.getElementById("query")
        query.value = "layers.0.neurons.1.w.0"
        query.dispatchEvent(new Event("input", { bubbles: true }))
        const enter = { key: "Enter", bubbles: true, cancelable: true }
        query.dispatchEvent(new KeyboardEvent("keydown", enter))""")
    assert boxes(browser) == 0
    assert text(browser, "#details h2") == "layers.0.neurons.1.w.0"


@pytest.mark.parametrize("size", [(1400, 900), (900, 700), (700, 450), (640, 360), (360, 740)])
def test_the_matches_of_a_search_are_inside_the_window(browser, pages, size):
    with emulated(browser, "reduced", size=size):
        visit(browser, pages["network"])
        browser.execute_script("""const query = document.getElementById("query")
            query.value = "l"
            query.dispatchEvent(new Event("input", { bubbles: true }))""")
        at = browser.execute_script(PLACES, ["#matches"])["#matches"]
        assert at["left"] >= 0
        assert at["right"] <= size[0]


def test_a_rule_that_is_a_number_is_not_followed_by_a_question_mark(browser, tmp_path):
    visit(browser, viz.explore(Value(2.0, "a") + Value(1.0, "b"), tmp_path / "sum.html"))
    lines = browser.execute_script("""
        return [...document.querySelectorAll("#details .lines button")]
        .map((button) => button.textContent).filter((text) => text.startsWith("\u2202"))""")
    assert lines == ["\u2202v3/\u2202a = 1", "\u2202v3/\u2202b = 1"]


def test_the_numbers_of_axes_can_be_read_on_a_phone_and_paper_has_no_clicks(browser, pages):
    with emulated(browser, "reduced", size=(360, 740)):
        visit(browser, pages["moons"])
        heights = browser.execute_script("""return [...document.querySelectorAll(".tick")].map(
            (tick) => parseFloat(getComputedStyle(tick).fontSize) * tick.getScreenCTM().a)""")
        assert min(heights) >= 9
    with emulated(browser, media="print"):
        said = browser.execute_script("return document.querySelector('main').innerText")
        assert "click to go" not in said.replace("\n", " ")


def test_what_the_maker_chose_is_drawn_when_the_page_opens(browser, tmp_path):
    for options, count in (({"max_nodes": None}, 0), ({"collapse": "layers"}, 2)):
        visit(browser, viz.explore(network(), tmp_path / "page.html", **options))
        assert boxes(browser) == count


@pytest.mark.parametrize("level", ["neurons", "layers"])
def test_collapsed_modules_are_laid_out_again_and_keep_the_step(browser, pages, level):
    visit(browser, pages["network"])
    move_slider(browser, 40)
    where = text(browser, "#where")
    click(browser, f"collapse-{level}")
    assert text(browser, "#where").split()[1] <= where.split()[1]
    scene = Scene(record(network()), level)
    assert browser.execute_script("return document.querySelectorAll('#stage g.edge').length") == (
        len(scene.graph.edges)
    )
    sizes = browser.execute_script("""return [...document.querySelectorAll("g.node .data")].map(
        (text) => getComputedStyle(text).fontSize)""")
    assert set(sizes) == {"11px"}
    click(browser, "last")
    stepper = Stepper(scene.recording).finish()
    shown = browser.execute_script(SHOWN)
    drawn = [node for node in scene.graph.nodes if node.grad is not None]
    numbers = {node.name: stepper.numbers(node.shows) for node in drawn}
    assert shown == {name: list(map(number_text, pair)) for name, pair in numbers.items()}
    click(browser, "expand-all")
    assert len(browser.execute_script(SHOWN)) > len(shown)
    assert text(browser, "#where").startswith("step 65 of 65")


def test_the_inside_of_a_collapsed_module_is_one_click_away(browser, pages):
    visit(browser, pages["network"])
    click(browser, "collapse-neurons")
    browser.execute_script("""document.querySelector("g.node.module").dispatchEvent(
        new MouseEvent("click", { bubbles: true }))
        const box = document.querySelector("g.node.module").getBoundingClientRect()
        const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }
        document.getElementById("stage").dispatchEvent(new MouseEvent("click", at))""")
    path = text(browser, "#details h2")
    assert path == "layers.0.neurons.0"
    browser.execute_script("""[...document.querySelectorAll("#details button")].find(
        (button) => button.textContent === "look inside").click()""")
    assert text(browser, "#details h2") == path
    assert browser.execute_script("return document.querySelectorAll('g.node.module').length") == 0


# ---- windows, paper, forced colours, no JavaScript ---------------------------------------------


@pytest.mark.parametrize("size", [(1400, 900), (640, 360), (360, 740), (740, 360), (320, 640)])
@pytest.mark.parametrize("name", ["network", "lecture_neuron"])
def test_the_drawing_has_room_in_every_window(browser, pages, name, size):
    with emulated(browser, "reduced", size=size):
        visit(browser, pages[name])
        room, footer, width = browser.execute_script("""
            const stage = document.getElementById("stage").getBoundingClientRect()
            const footer = document.querySelector("footer").getBoundingClientRect()
            return [Math.min(stage.bottom, footer.top) - stage.top, footer.bottom,
                document.documentElement.scrollWidth]""")
        assert room >= 0.38 * size[1]
        assert footer == pytest.approx(size[1], abs=1)
        assert width == size[0]


PLACES = """
    const box = (selector) => document.querySelector(selector).getBoundingClientRect()
    return Object.fromEntries(arguments[0].map((name) => {
        const { left, right, top, bottom } = box(name)
        return [name, { left, right, top, bottom }]
    }))"""


@pytest.mark.parametrize("size", [(700, 450), (640, 360), (360, 740), (740, 360)])
@pytest.mark.parametrize("address", ["#step=9", "#step=12&idea=local"])
def test_the_node_of_a_step_is_not_behind_the_footer(browser, pages, size, address):
    with emulated(browser, "reduced", size=size):
        visit(browser, pages["lecture_neuron"], address)
        wait_until(browser, f"return (function () {{ {IN_SIGHT} }})('.node.lit')")
        names = [".stage", ".node.lit", ".zoom", "footer", ".said", "#formula", ".options"]
        at = browser.execute_script(PLACES, names)
        assert at[".stage"]["bottom"] <= at["footer"]["top"] + 1
        assert at[".node.lit"]["bottom"] <= at["footer"]["top"]
        lit, zoom, options = at[".node.lit"], at[".zoom"], at[".options"]
        assert lit["top"] >= zoom["bottom"] or lit["right"] <= zoom["left"]
        assert at["#formula"]["bottom"] <= at[".said"]["bottom"]
        words = browser.execute_script("""const range = document.createRange()
            range.selectNodeContents(document.getElementById("where"))
            const { right, bottom } = range.getBoundingClientRect()
            return { right, bottom }""")
        assert words["right"] <= options["left"] or words["bottom"] <= options["top"]


def test_a_sentence_that_is_cut_has_a_shadow_at_its_edge(browser, pages):
    def darkest(words):
        """Returns how much of a sentence is cut, and the darkest pixel at the lower edge."""
        browser.execute_script(
            "document.getElementById('sentence').textContent = arguments[0]", words)
        box = browser.find_element("css selector", ".said")
        cut = browser.execute_script(
            "return arguments[0].scrollHeight - arguments[0].clientHeight", box)
        image = pillow.open(BytesIO(box.screenshot_as_png)).convert("L")
        width, height = image.size
        line = image.crop((width // 2, height - 2, width - 10, height - 1))
        return cut, line.getextrema()[0]

    pillow = pytest.importorskip("PIL.Image")
    with emulated(browser, "reduced", size=(640, 360)):
        visit(browser, pages["network"])
        cut, edge = darkest("dy/da " * 60)
        assert cut > 5
        assert edge < 190
        cut, edge = darkest("dy/da")
        assert cut <= 0
        assert edge > 235


PRINTED = """
    dispatchEvent(new Event("beforeprint"))
    const seen = (selector) => [...document.querySelectorAll(selector)].filter(
        (element) => element.checkVisibility() && element.getBoundingClientRect().width)
    const box = (element) => element.getBoundingClientRect()
    const nodes = seen(".stage g.node").map(box)
    const report = {
      controls: seen("button:not(.lines button), select, input").length,
      left: Math.min(...nodes.map(({ left }) => left)),
      right: Math.max(...nodes.map(({ right }) => right)),
      height: Math.max(...nodes.map(({ bottom }) => bottom))
          - Math.min(...nodes.map(({ top }) => top)),
      paper: getComputedStyle(document.body).backgroundColor,
      rows: seen("#rows > div").length
    }
    dispatchEvent(new Event("afterprint"))
    return report"""


@pytest.mark.parametrize("name", ["network", "newton", "moons"])
def test_the_printed_page_has_the_whole_drawing_and_no_controls(browser, pages, name):
    visit(browser, pages[name])
    if name == "network":
        click(browser, "expand-all")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    with emulated(browser, media="print", size=(700, 1000)):
        report = browser.execute_script(PRINTED)
    assert report["controls"] == 0
    assert report["paper"] == "rgb(255, 255, 255)"
    assert report["left"] >= 0
    assert report["right"] <= 700
    assert report["height"] < 0.75 * 1000
    assert report["rows"] == {"network": 66, "newton": 158, "moons": 0}[name]


def test_forced_colours_mark_the_step_the_wrong_gradients_and_the_signs(browser, pages):
    with emulated(browser, "forced"):
        visit(browser, pages["lecture_neuron"])
        browser.execute_script("""const idea = document.getElementById("idea")
            idea.value = "local"
            idea.dispatchEvent(new Event("change"))""")
        click(browser, "last")
        styles = browser.execute_script("""
            const probe = document.createElement("i")
            document.body.append(probe)
            probe.style.color = "Highlight"
            const highlight = getComputedStyle(probe).color
            const of = (selector, name) => getComputedStyle(document.querySelector(selector))[name]
            return {
              node: of(".node.lit > path", "stroke") === highlight,
              row: of("#rows > [aria-selected=true]", "backgroundColor") === highlight,
              wrong: of(".node.wrong .grad", "textDecorationLine"),
              negative: of(".edge.negative > path", "strokeDasharray")
            }""")
    assert styles == {"node": True, "row": True, "wrong": "line-through", "negative": "10px, 3px"}


def test_without_javascript_numbers_and_labels_have_their_places(driver, pages):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(pages["lecture_neuron"].as_uri())
        places = [
            [element.rect[name] for name in ("x", "width", "y", "height")]
            for element in driver.find_elements("css selector", "#n2 text")
        ]
        notice = driver.find_element("css selector", "noscript p").text
        controls = [driver.find_element("id", name) for name in ("next", "undo", "list")]
        shown = [control.is_displayed() for control in controls]
        gradient = driver.find_element("css selector", "#n2 .grad").text
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "shows the numbers after the last step" in notice
    scene = Scene(record(lecture_neuron()))
    _, grad = Stepper(scene.recording).finish().numbers(scene.graph.nodes[2].shows)
    assert gradient == number_text(grad)
    assert shown == [False] * 3
    for i, (x, width, y, height) in enumerate(places):
        for x2, width2, y2, height2 in places[i + 1:]:
            apart = x + width <= x2 + 1 or x2 + width2 <= x + 1
            assert apart or y + height <= y2 + 4 or y2 + height2 <= y + 4


# ---- notes, files, names -----------------------------------------------------------------------


def test_notes_are_closed_and_other_notes_come(browser, pages):
    visit(browser, pages["lecture_neuron"])
    hidden = "return document.getElementById('notes').hidden"
    choose = """const idea = document.getElementById("idea")
        idea.value = arguments[0]
        idea.dispatchEvent(new Event("change"))"""
    assert browser.execute_script(hidden)
    browser.execute_script(choose, "local")
    assert not browser.execute_script(hidden)
    browser.execute_script("document.querySelector('.notes .close').click()")
    assert browser.execute_script(hidden)
    click(browser, "next")
    assert browser.execute_script(hidden)
    other = "return [...document.getElementById('idea').options].at(-1).value"
    browser.execute_script(choose, browser.execute_script(other))
    assert not browser.execute_script(hidden)


def test_calls_are_for_the_maker_of_the_page_only(browser, pages):
    visit(browser, pages["moons"])
    assert "viz.explore(history, max_frames=4, samples=20)" in text(browser, ".notes details")
    readers = browser.execute_script(
        "return [...document.querySelectorAll('.notes p:not(details p)')].map((p) => p.textContent)"
    )
    assert readers == ["3 of 4 snapshots are shown.",
                       "5 of 20 samples have a graph; they are outlined."]


def test_the_picture_at_a_step_is_saved_as_a_file_that_stands_alone(browser, pages):
    visit(browser, pages["network"])
    click(browser, "expand-all")
    move_slider(browser, 30)
    name, saved = browser.execute_async_script("""const done = arguments[0]
        const make = URL.createObjectURL
        let file
        URL.createObjectURL = (blob) => make(file = blob)
        document.addEventListener("click", (event) => {
          if (event.target.download) event.preventDefault()
        })
        const click = HTMLAnchorElement.prototype.click
        HTMLAnchorElement.prototype.click = function () {
          file.text().then((text) => done([this.download, text]))
        }
        document.getElementById("save").click()
        URL.createObjectURL = make
        HTMLAnchorElement.prototype.click = click""")
    assert name == "computation-graph-of-loss-step-30.svg"
    root = ET.fromstring(saved)
    assert not [name for element in root.iter() for name in element.attrib
                if name in ("style", "class")]
    assert "var(" not in saved
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    shown = browser.execute_script("""return [...document.querySelectorAll("g.node text")]
        .map((text) => text.textContent)""")
    assert sorted(set(shown) - {""}) == sorted(set(texts) & set(shown))
    assert root.attrib["viewBox"] == "0 0 " + " ".join(
        root.attrib[side] for side in ("width", "height")
    )
    assert "step 30" in root[0].text
    fills = {element.get("fill") for element in root.iter()}
    assert "rgb(255, 243, 204)" in fills  # the node of the step


def test_names_from_right_to_left_do_not_turn_texts_round(browser, pages):
    visit(browser, pages["right_to_left"])
    click(browser, "last")
    texts = ("#sentence", "#formula", "#rows [aria-selected=true]", "#details .lines button")
    for element in texts:
        left, right = browser.execute_script("""
            const element = document.querySelector(arguments[0])
            const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT)
            let node, place
            while ((node = texts.nextNode())) {
              const at = node.data.lastIndexOf("=")
              if (at < 0) continue
              const range = (from, to) => {
                const made = document.createRange()
                made.setStart(node, from)
                made.setEnd(node, to)
                return made.getBoundingClientRect()
              }
              place = [range(at, at + 1).left, range(at + 2, node.data.length).left]
            }
            return place""", element)
        assert left < right, element
