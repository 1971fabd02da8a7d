"""The explorer's leaves are changed in a real browser: by typing, by the slider and by dragging."""

import json
import math as std
import random
import re

import pytest
from helpers import run_python

from tests.browser import chromium, console, requests, visit, wait_until
from tests.node import with_leaves
from tinygrad_edu import Stepper, Value, math, nn, record
from tinygrad_edu.examples import lecture_neuron, shared_node
from viz.drawing.text import label_number, number_text
from viz.pages.explore import explore

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")


def newton():
    x = Value(3.0, "x")
    for _ in range(12):
        x = x - (x * x - 2) / (2 * x)
    return x


def loss():
    """Returns the loss of a 2-8-8-1 network at one sample."""
    model = nn.MLP(2, [8, 8, 1], rng=random.Random(1))
    y = nn.mse(model([Value(1.0, "x0"), Value(-2.0, "x1")]), 1.0)
    y.label = "loss"
    return y


def twins():
    """Returns a graph whose labels occur twice, and one that looks like the name of another node.
    """
    a, b = Value(2.0, "a"), Value(-3.0)
    first = a * b
    first.label = "p"
    second = first + a
    second.label = "p"
    third = second * first
    third.label = "v2"
    return third.tanh()


GRAPHS = {
    "neuron": lecture_neuron, "newton": newton, "loss": loss, "shared": shared_node, "twins": twins
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def browser(driver):
    yield driver
    assert console(driver) == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        name: explore(graph(), folder / f"{name}.html", max_nodes=None)
        for name, graph in GRAPHS.items()
    }


def run(browser, script, *arguments):
    return browser.execute_script(script, *arguments)


def click(browser, name):
    run(browser, "document.getElementById(arguments[0]).click()", name)


def keep(browser, label):
    """Keeps the details of the node with this label, as a click does."""
    run(browser, """
        document.getElementById("zoom-fit").click()
        const group = [...document.querySelectorAll("g.node")]
          .find((node) => node.querySelector(".label")?.textContent === arguments[0])
        const { x, y, width, height } = group.getBoundingClientRect()
        const at = { clientX: x + width / 2, clientY: y + height / 2, bubbles: true }
        group.dispatchEvent(new MouseEvent("click", at))""", label)


def write(browser, text):
    """Types a number for the leaf, and presses Enter."""
    run(browser, """
        const field = document.getElementById("leaf-number")
        field.value = arguments[0]
        field.dispatchEvent(new Event("input", { bubbles: true }))
        field.dispatchEvent(new Event("change", { bubbles: true }))""", text)


def shown(browser, name):
    return run(browser, "return document.getElementById(arguments[0]).textContent", name)


def notes(browser):
    return run(browser, """
        return [...document.querySelectorAll("#notes p")].map((p) => p.textContent).join(" ")""")


def numbers(browser):
    """Returns data and gradient of each node as drawn, by its name."""
    return run(browser, """
        const { nodes } = JSON.parse(document.getElementById("data").textContent)
        return Object.fromEntries([...document.querySelectorAll("g.node")].map((node) => [
          nodes[Number(node.id.slice(1))].name,
          [".data", ".grad"].map((name) => node.querySelector(name)?.textContent)]))""")


def python_numbers(y):
    recording = record(y)
    end = Stepper(recording).finish()
    return {
        node.name: [number_text(x) for x in end.numbers(i)]
        for i, node in enumerate(recording.nodes) if not node.constant
    }


@pytest.mark.parametrize(
    ("name", "leaf", "text"),
    [
        ("neuron", "w1", "-2,5"),
        ("newton", "x", "0.3"),
        ("loss", "x1", "1.25"),
        ("shared", "a", "7"),
    ],
)
def test_a_typed_number_changes_everything_that_python_would_change(
    browser, pages, name, leaf, text
):
    visit(browser, pages[name])
    click(browser, "last")
    keep(browser, leaf)
    write(browser, text)
    positions = {node.name: i for i, node in enumerate(record(GRAPHS[name]()).nodes)}
    y = with_leaves(GRAPHS[name](), {positions[leaf]: float(text.replace(",", "."))})
    expected = python_numbers(y)
    found = numbers(browser)
    assert {label: found[label] for label in expected} == expected
    recording = record(y)
    assert shown(browser, "sentence").startswith(recording[-1].words)
    click(browser, "first")
    assert shown(browser, "sentence") == recording.start().sentence
    derivatives = run(browser, """
        return [...document.querySelectorAll("g.edge")].flatMap((edge) =>
          [...edge.querySelectorAll("text")].slice(-1).map((text) => text.textContent))""")
    partials = {label_number(p) for node in recording.nodes for p in node.partials if p is not None}
    assert set(derivatives) <= partials


OVERPRINTED = """
    const box = (element) => element.getBoundingClientRect()
    const nodes = [...document.querySelectorAll("#stage g.node")]
    const inside = nodes.flatMap((node) => [".data", ".grad"].map((name) => {
        const number = node.querySelector(name)
        const gap = box(number).left - box(number.previousElementSibling).right
        return gap >= 1 ? "" : `${node.id} ${name} ${gap}`
    }))
    const shapes = nodes.map((node) => box(node.querySelector("path, polygon")))
    const covered = [...document.querySelectorAll("#stage g.edge text")].map((text) => {
        const { left, right, top, bottom } = box(text)
        const isHit = shapes.some((shape) => Math.min(right, shape.right)
            - Math.max(left, shape.left) > 1 && Math.min(bottom, shape.bottom)
            - Math.max(top, shape.top) > 1)
        return isHit ? text.textContent : ""
    })
    return [...inside, ...covered].filter(Boolean)"""


@pytest.mark.parametrize(
    "leaves", ["leaf=x2:2.5", "leaf=x1:-123456.789&leaf=b:-370380", "leaf=x1:1e-300&leaf=w1:-1e-9"]
)
def test_longer_numbers_of_a_changed_leaf_keep_to_their_room(browser, pages, leaves):
    visit(browser, pages["neuron"], f"#step=15&{leaves}")
    assert run(browser, OVERPRINTED) == []
    assert run(browser, "return document.querySelectorAll('#stage [textLength]').length") > 3
    click(browser, "reset")
    assert run(browser, "return document.querySelectorAll('#stage [textLength]').length") == 0


def test_undo_and_reset_give_the_earlier_numbers(browser, pages):
    visit(browser, pages["neuron"])
    click(browser, "last")
    before = numbers(browser)
    disabled = "return ['undo', 'reset'].map((id) => document.getElementById(id).disabled)"
    assert run(browser, disabled) == [True, True]
    keep(browser, "x1")
    write(browser, "1")
    first = numbers(browser)
    write(browser, "5")
    assert run(browser, disabled) == [False, False]
    click(browser, "undo")
    assert numbers(browser) == first != before
    click(browser, "undo")
    assert numbers(browser) == before
    write(browser, "5")
    click(browser, "reset")
    assert numbers(browser) == before
    click(browser, "undo")
    assert numbers(browser)["x1"][0] == "5.0000"


def test_a_leaf_is_dragged_in_the_drawing_and_one_undo_takes_it_back(browser, pages):
    from selenium.webdriver.common.action_chains import ActionChains

    visit(browser, pages["neuron"])
    click(browser, "last")
    before = numbers(browser)
    leaf = browser.find_element("css selector", "g.node.leaf .data")
    moves = ActionChains(browser, duration=10).move_to_element(leaf).click_and_hold()
    for _ in range(5):
        moves = moves.move_by_offset(10, 0)
    moves.release().perform()
    after = numbers(browser)
    assert float(after["x1"][0]) == pytest.approx(float(before["x1"][0]) + 1.0, abs=0.1)
    assert after["o"] != before["o"]
    assert shown(browser, "leaf-name") == "x1"
    click(browser, "undo")
    assert numbers(browser) == before


def drag(browser, label, pixels):
    """Drags the leaf with this label to the right."""
    from selenium.webdriver.common.action_chains import ActionChains

    leaf = next(node for node in browser.find_elements("css selector", "g.node.leaf")
                if node.find_element("css selector", ".label").text == label)
    start = ActionChains(browser, duration=10).move_to_element(leaf).click_and_hold()
    start.move_by_offset(pixels // 2, 0).move_by_offset(pixels - pixels // 2, 0).release().perform()


def test_a_leaf_that_is_dragged_is_selected(browser, pages):
    visit(browser, pages["neuron"])
    keep(browser, "x2")
    drag(browser, "x1", 50)
    assert shown(browser, "leaf-name") == "x1"
    assert run(browser, "return document.querySelector('#details h2').textContent") == "x1"
    kept = "return [...document.querySelectorAll('.pinned .label')].map((text) => text.textContent)"
    assert run(browser, kept) == ["x1"]


@pytest.mark.parametrize("start", [1e-3, -4e-8, 1e-30, 250.0])
def test_dragging_changes_a_number_by_its_own_size(browser, pages, start):
    visit(browser, pages["neuron"], f"#leaf=x1:{start!r}")
    keep(browser, "x1")
    drag(browser, "x1", 50)
    field = run(browser, "return document.getElementById('leaf-number').value")
    assert float(field) == pytest.approx(start + 0.5 * abs(start), rel=0.02)


SLIDER = """const { min, max, value } = document.getElementById("leaf-slider")
    return [min, max, value].map(Number)"""


@pytest.mark.parametrize("button", ["undo", "reset"])
def test_the_slider_has_the_range_of_the_number_after_undo_and_reset(browser, pages, button):
    visit(browser, pages["neuron"])
    keep(browser, "x1")
    before = run(browser, SLIDER)
    write(browser, "50000")
    assert run(browser, SLIDER) != before
    click(browser, button)
    assert run(browser, SLIDER) == before == [-2, 6, 2]


def test_a_number_is_typed_with_real_keys(browser, pages):
    from selenium.webdriver.common.keys import Keys

    visit(browser, pages["neuron"])
    keep(browser, "x2")
    field = browser.find_element("id", "leaf-number")
    field.clear()
    field.send_keys("-10.5e-1", Keys.ENTER)
    assert numbers(browser)["x2"][0] == "-1.0500"
    assert run(browser, "return document.getElementById('leaf-number').value") == "-1.05"
    assert shown(browser, "where").startswith("step 0 of")
    click(browser, "undo")
    click(browser, "undo")
    assert numbers(browser)["x2"][0] == "0.0000"


def test_the_slider_changes_the_leaf(browser, pages):
    visit(browser, pages["neuron"])
    keep(browser, "b")
    run(browser, """
        const slider = document.getElementById("leaf-slider")
        slider.value = 2
        slider.dispatchEvent(new Event("input", { bubbles: true }))
        slider.dispatchEvent(new Event("change", { bubbles: true }))""")
    field = run(browser, "return document.getElementById('leaf-number').value")
    assert float(field) == pytest.approx(2.0, abs=0.1)
    assert float(numbers(browser)["b"][0]) == pytest.approx(float(field), rel=1e-3)


def test_what_is_not_a_number_is_said_and_changes_nothing(browser, pages):
    visit(browser, pages["neuron"])
    before = numbers(browser)
    keep(browser, "b")
    write(browser, "two")
    assert shown(browser, "leaf-error") == "two is not a number; write one such as -0.5"
    assert numbers(browser) == before
    write(browser, "6.881373587019543")
    assert shown(browser, "leaf-error") == ""


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("1/3", "1/3 is not a number; write one such as -0.5"),
        ("0x10", "0x10 is not a number; write one such as -0.5"),
        ("1,000", "1,000 can mean two numbers; write 1000 or 1.000"),
        ("-", "- is not a number; write one such as -0.5"),
    ],
)
def test_a_text_that_is_refused_leaves_the_number_from_before(browser, pages, typed, message):
    from selenium.webdriver.common.keys import Keys

    visit(browser, pages["neuron"])
    before = numbers(browser)
    keep(browser, "w1")
    field = browser.find_element("id", "leaf-number")
    field.clear()
    field.send_keys(typed, Keys.ENTER)
    assert numbers(browser) == before
    assert shown(browser, "leaf-error") == message
    value = "return document.getElementById('leaf-number').value"
    assert run(browser, value) == typed
    assert run(browser, "return document.getElementById('undo').disabled")
    field.clear()
    field.send_keys("1.5", Keys.ENTER)
    assert (shown(browser, "leaf-error"), numbers(browser)["w1"][0]) == ("", "1.5000")


def test_an_infinite_number_is_read_from_the_address_and_from_the_field(browser, pages):
    visit(browser, pages["neuron"], "#leaf=x1:inf&step=15")
    assert numbers(browser)["x1"][0] == "inf"
    keep(browser, "x1")
    assert run(browser, "return document.getElementById('leaf-number').value") == "inf"
    assert run(browser, "return document.getElementById('leaf-slider').disabled")
    write(browser, "-inf")
    assert shown(browser, "leaf-error") == ""
    assert numbers(browser)["x1"][0] == "-inf"


def test_backpropagation_is_checked_by_a_finite_difference(browser, pages):
    visit(browser, pages["loss"])
    keep(browser, "x0")
    exact, difference = run(browser, """
        return [...document.querySelectorAll("#leaf-check dd")].map((dd) => Number(dd.textContent))
        """)
    y = loss()
    y.backward()
    x0 = next(node for node in record(y).values() if node.label == "x0")
    right = Stepper(record(y)).finish().grad("x0")
    assert x0.data == 1.0
    assert exact == pytest.approx(right, rel=1e-12)
    assert difference == pytest.approx(right, rel=1e-5)
    assert difference != exact
    assert shown(browser, "leaf-differs") == ""
    heights = run(browser, """
        return [...document.querySelectorAll("#leaf-check dd")].map((dd) => {
            const range = document.createRange()
            range.selectNodeContents(dd)
            return range.getClientRects().length
        })""")
    assert heights == [1, 1]


@pytest.mark.parametrize(
    ("make", "start", "words"),
    [
        (lambda x: math.sqrt(x) * 1.0, 1e-300, "not both finite"),
        (lambda x: math.relu(x) * 2.0, 0.0, "inexact here: at a kink"),
        (lambda x: x * std.inf, 0.0, "not both finite"),
        (lambda x: x * x, 3.0, ""),
    ],
)
def test_the_page_says_where_a_finite_difference_is_inexact(browser, tmp_path, make, start, words):
    visit(browser, explore(make(Value(start, "x")), tmp_path / "page.html"))
    keep(browser, "x")
    assert words in shown(browser, "leaf-differs")
    assert bool(words) == bool(shown(browser, "leaf-differs"))


def test_the_address_keeps_the_state(browser, pages):
    visit(browser, pages["neuron"])
    click(browser, "last")
    keep(browser, "w1")
    write(browser, "-2.5")
    run(browser, """
        const select = document.getElementById("idea")
        select.value = "local"
        select.dispatchEvent(new Event("change", { bubbles: true }))""")
    wait_until(browser, "return location.hash.includes('local')")
    kept = run(browser, "return location.hash")
    state = numbers(browser), shown(browser, "where"), notes(browser)
    assert "A wrong idea: the gradient is the local derivative alone." in state[2]
    visit(browser, pages["neuron"], kept)
    assert (numbers(browser), shown(browser, "where"), notes(browser)) == state
    assert requests(browser) == [pages["neuron"].resolve().as_uri()]


@pytest.mark.parametrize("address", [
    "#step=99999999999", "#step=-1", "#step=x", "#leaf=w1:alert(1)", "#leaf=w1:1e", "#leaf=:1",
    "#leaf=__proto__:1", "#leaf=o:1", "#idea=__proto__", "#idea=constructor", "#%", "#leaf=w1",
    "#step=3&step=4", "#leaf=<img src=x onerror=alert(1)>:1", "#" + "leaf=w1:Infinity&" * 1000,
])
def test_what_an_address_does_not_mean_is_left_out(browser, pages, address):
    visit(browser, pages["neuron"])
    click(browser, "last")
    before = numbers(browser)
    visit(browser, pages["neuron"], address)
    click(browser, "last")
    assert numbers(browser) == before
    assert notes(browser) == ""


def test_the_program_in_python_builds_the_same_graph(browser, pages):
    for name in GRAPHS:
        visit(browser, pages[name])
        click(browser, "last")
        click(browser, "copy")
        program = shown(browser, "program")
        click(browser, "python-close")
        root = re.search(r"^(\w+)\.backward\(\)", program, re.M)[1]
        done = run_python(
            program + "\nimport json\nfrom tinygrad_edu import topological_order\n"
            f"nodes = topological_order({root}, constants=False)\n"
            "print(json.dumps([(node.data, node.grad) for node in nodes]))\n"
            "from tinygrad_edu import record\n"
            f"print(json.dumps([step.sentence for step in record({root})]))"
        )
        end = Stepper(record(GRAPHS[name]())).finish()
        nodes = end.recording.nodes
        expected = [end.numbers(i) for i, node in enumerate(nodes) if not node.constant]
        given, sentences = map(json.loads, done.stdout.splitlines())
        for found, numbers in zip(given, expected, strict=True):
            assert tuple(found) == pytest.approx(numbers, rel=1e-15)
        assert sentences == [step.sentence for step in record(GRAPHS[name]())]


def test_wrong_gradients_are_marked_beside_the_right_ones(browser, pages):
    visit(browser, pages["shared"], "#idea=early")
    click(browser, "last")
    marked = run(browser, """
        return [...document.querySelectorAll("g.node.wrong .label")].map((text) => text.textContent)
        """)
    assert marked == ["a"]
    keep(browser, "a")
    assert "the right gradient is 4.0000" in shown(browser, "details")
    assert "after a wrong idea" in shown(browser, "where")
    run(browser, """
        const select = document.getElementById("idea")
        select.value = ""
        select.dispatchEvent(new Event("change", { bubbles: true }))""")
    assert run(browser, "return document.querySelectorAll('g.node.wrong').length") == 0
    assert notes(browser) == ""


def test_rows_that_only_python_computes_keep_their_numbers(browser, tmp_path):
    from tinygrad_edu.engine.primitive import TABLE
    from tinygrad_edu.engine.table import define

    try:
        bump = define("bump", lambda x: math.exp(-x * x), lambda x, o: -2 * x * o)
        y = bump(Value(0.5, "x")) * 2
        visit(browser, explore(y, tmp_path / "bump.html"))
    finally:
        del TABLE["bump"]
    assert "bump is computed in Python only" in notes(browser)
    assert run(browser, "return document.getElementById('live').hidden")
    keep(browser, "x")
    assert run(browser, "return document.getElementById('leaf').hidden")
    click(browser, "last")
    assert numbers(browser)["x"] == ["0.5000", number_text(-2 * math.exp(-0.25))]
