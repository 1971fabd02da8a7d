"""Pages pass the checks of axe-core, in light and dark, before and after what a reader does."""

import random

import pytest

import viz
from tests.browser import chromium, visit
from tinygrad_edu import Value, data, fit, nn, optim
from tinygrad_edu.examples import lecture_neuron

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium"), 1300, 900) as opened:
        yield opened


def network():
    model = nn.MLP(2, [2, 1], rng=random.Random(1))
    y = nn.mse(model([Value(1.0, "x0"), Value(-2.0, "x1")]), 1.0)
    y.label = "loss"
    return y


def training():
    X, y = data.moons(8, rng=1)
    model = nn.MLP(2, [2, 1], rng=1)
    sgd = optim.SGD(model.parameters(), lr=0.3)
    return fit(model, nn.hinge, X, y, optimizer=sgd, epochs=3, record_every=1, rng=1)


def findings(driver, axe, rules=()):
    """Returns what axe-core calls serious or critical, with the elements; by default of all rules.
    """
    if not driver.execute_script("return typeof axe === 'object'"):
        driver.execute_script(axe)
    return driver.execute_async_script("""const done = arguments[arguments.length - 1]
        const only = arguments[0].length ? { runOnly: arguments[0] } : {}
        const isSerious = ({ impact }) => ["serious", "critical"].includes(impact)
        axe.run({ resultTypes: ["violations"], ...only }).then(({ violations }) => done(violations
          .filter(isSerious)
          .map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 200))])))
        """, list(rules))


CLICK = "document.querySelector('{}').dispatchEvent(new MouseEvent('click', {{ bubbles: true }}))"
SET = (
    "const field = document.getElementById('{}'); field.value = '{}';"
    "for (const type of ['input', 'change'])"
    "field.dispatchEvent(new Event(type, {{ bubbles: true }}))"
)
SHOW = "document.getElementById('{}').showModal()"
CLOSE = "document.getElementById('{}').close()"

# what a reader does on each kind of page, one after the other; a leaf of the neuron is n2
ACTIONS = {
    "neuron": [
        CLICK.format("#last"),
        CLICK.format("#n2") + ";" + SET.format("leaf-number", "-2.5"),
        SET.format("leaf-number", "two"),
        SET.format("idea", "local"),
        SHOW.format("help"),
        CLOSE.format("help") + ";" + SHOW.format("python"),
        CLOSE.format("python") + ";" + SET.format("query", "n"),
        SET.format("colour", "grad"),
    ],
    "network": [
        CLICK.format("#collapse-neurons"),
        CLICK.format("#collapse-layers") + ";" + CLICK.format("#last"),
        CLICK.format("#expand-all") + ";" + CLICK.format(".frame-button"),
        CLICK.format("#e8"),
    ],
    "boxes": [CLICK.format(".notes summary")],
    "training": [
        CLICK.format("#last") + ";" + CLICK.format("#after"),
        CLICK.format("#graph g.node"),
    ],
}
PAGES = {
    "neuron": lambda: viz.explore(lecture_neuron()),
    "network": lambda: viz.explore(network()),
    "boxes": lambda: viz.explore(network(), collapse="neurons"),
    "training": lambda: viz.explore(training(), samples=3, max_frames=2),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_fault_whatever_a_reader_does(driver, axe, name, tmp_path):
    path = PAGES[name]().save(tmp_path / "page.html")
    visit(driver, path)
    for action in ["", *ACTIONS[name]]:
        driver.execute_script(action)
        for theme, rules in (("light", ()), ("dark", ["color-contrast"])):
            driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
            assert findings(driver, axe, rules) == [], (action, theme)


def test_planted_faults_are_found(driver, axe, tmp_path):
    visit(driver, PAGES["neuron"]().save(tmp_path / "page.html"))
    driver.execute_script("""const save = document.getElementById("save")
        save.ariaLabel = save.title = save.textContent = ""
        document.getElementById("where").style.color = "var(--rule)" """)
    assert [name for name, _ in findings(driver, axe)] == ["button-name", "color-contrast"]
