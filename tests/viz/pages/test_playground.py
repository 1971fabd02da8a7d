"""The playground, in a real browser: it trains with Python's numbers, and shows all of them."""

import contextlib
import io
import json
import math as std
import re
import warnings
from html import escape

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder

import viz
from tests.browser import chromium, console, requests, visit, wait_until
from tests.node import joined_in_node
from tests.viz.pages.test_viz_access import findings
from tinygrad_edu import data, diagnose, fit, nn, optim, record
from tinygrad_edu.cli import main
from tinygrad_edu.debug.stepper import Stepper
from tinygrad_edu.diagnosis.inspection import activations, gradient_flow
from tinygrad_edu.engine.value import Value
from tinygrad_edu.learn.lessons import LESSONS
from viz.pages.course.figure_data import PLAYGROUND, playground_link
from viz.pages.course.page import lesson_page
from viz.pages.playground.page import ROWS
from viz.pages.playground.settings import SETTINGS, as_data
from viz.pages.training.going_on import going_on

MOST_BYTES = 300_000
IMPORTS = """import { Run } from "./playground/run/run.js"
import { fromAddress, toAddress } from "./playground/run/state.js"
import { findings } from "./playground/run/words.js"
"""
TRAIN = """return given.cases.map(([hash, epochs]) => {
  const { state, refused } = fromAddress(given.table, hash)
  const run = new Run(state)
  for (let i = 0; i < epochs; i++) run.epoch()
  const { trainer } = run
  return { refused, program: run.python(), weights: Array.from(trainer.weights),
    losses: trainer.history, address: toAddress(given.table, state),
    right: trainer.accuracyOn(trainer.test), sizes: trainer.gradientSizes(),
    states: trainer.unitStates() }
})"""
STEPS = 200
# settings as an address has them, epochs, and how near the numbers must be
CASES = [
    *[(f"optimizer={name}&rate={rate}", STEPS, 1e-9) for name, rate in (
        ("descent", 0.3), ("momentum", 0.1), ("Nesterov", 0.1), ("RMSprop", 0.01), ("Adam", 0.03),
        ("AdamW", 0.03))],
    *[(f"data={name}&loss=hinge&layers=4&rate=0.03", 20, 1e-11)
      for name in ("circles", "xor", "spirals", "blobs")],
    ("data=line&rate=0.03&noise=0.3&layers=5", 20, 1e-11),
    ("data=own&points=0,0,1;1,1,0;-1,0.5,0;0.25,-1,1&test=0&layers=3&loss=mse", 30, 1e-11),
    ("dropout=0.3&l1=0.001&l2=0.01&optimizer=Adam&rate=0.01&layers=6,4", 20, 1e-11),
    ("batch=10&rate=0.03&layers=4&seed=5", 4, 1e-11),
    ("schedule=cosine&over=100&layers=4", 30, 1e-11),
    ("schedule=linear&over=20&layers=4&activation=sigmoid&init=uniform", 30, 1e-11),
    ("schedule=step_decay&over=40&layers=4&loss=mse&rate=0.03&activation=silu", 30, 1e-11),
    ("schedule=warmup&over=20&test=0&layers=&activation=softplus", 30, 1e-11),
    ("activation=relu&init=he&test=0.5&samples=51&layers=7", 20, 1e-11),
    ("optimizer=Nesterov&momentum=0&layers=3", 10, 1e-11),
    ("activation=leaky_relu&layers=5&rate=0.03&init=he", 20, 1e-11),
    ("activation=linear&layers=2&alpha=0.9&optimizer=RMSprop&rate=0.01", 20, 1e-11),
]


def trained(tmp_path, cases):
    """Returns what the modules of the page compute, for each case."""
    given = {"table": as_data(), "cases": [case[:2] for case in cases]}
    return joined_in_node(tmp_path, IMPORTS, TRAIN, given, ROWS)


def run_program(text):
    """Runs a program of the page, compiled, and returns its names."""
    names = {}
    # both engines have the same bits, and this one is a hundred times as fast
    text = text.replace("history = fit(", 'history = fit(engine="jit", model=').replace(
        'model=model, nn.', 'model=model, loss=nn.')
    text = text.replace(", X, y, optimizer", ", X=X, y=y, optimizer")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exec(text, names)
    return names


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    pytest.importorskip("llvmlite", reason="needs the extra `fast`")
    return trained(tmp_path_factory.mktemp("node"), CASES)


@pytest.mark.parametrize("i", range(len(CASES)), ids=[case[0] for case in CASES])
def test_the_program_in_python_has_the_same_numbers(results, i):
    found = results[i]
    names = run_program(found["program"])
    weights = [p.data for p in names["model"].parameters()]
    near = CASES[i][2]
    assert found["refused"] == []
    assert found["weights"] == pytest.approx(weights, abs=near, rel=near)
    assert found["losses"] == pytest.approx(names["history"].loss, abs=near, rel=near)
    assert found["address"].count("=") <= CASES[i][0].count("=")
    flow = gradient_flow(names["model"])
    assert found["sizes"] == pytest.approx([layer.rms for layer in flow], rel=1e-6)
    names["model"].eval()
    layers = activations(names["model"], names["X"])[:-1]
    for state, layer in zip(found["states"], layers, strict=True):
        assert (state["dead"], state["saturated"]) == (layer.dead, layer.saturated)
        assert state["saturation"] == pytest.approx(layer.saturation, abs=1e-12)
    if "X_test" in names and "line" not in CASES[i][0]:
        right = [(names["model"](x).data > 0) == (t > 0)
                 for x, t in zip(names["X_test"], names["y_test"])]
        assert found["right"] == pytest.approx(sum(right) / len(right))


WORDS = """return given.cases.map(([losses, rate, batch, count]) => {
  const history = losses.map(Number)
  const rates = losses.map(() => rate)
  const state = { batch, activation: "relu" }
  const trainer = { history, rates, state, steps: losses.length, hasFailed: false,
    train: { length: count }, unitStates: () => [] }
  return findings(trainer, given.texts)
})"""


def curves():
    """Returns losses that go wrong in several ways, and some that do not."""
    grows = [0.7 * 1.3**i for i in range(40)]
    falls = [0.7 * 0.9**i for i in range(40)]
    return [grows, falls, falls[:20] + [falls[19] * 1.5**i for i in range(20)],
            [*falls, std.inf], [0.7, 0.6, std.nan], [0.7] * 30, [1.0] * 10 + [5000.0, 4000.0] * 10,
            [5.0 + (-1) ** i * 4 for i in range(60)], [0.5 * 10**i for i in range(25)],
            [0.7] * 100_000 + [5.0] * 200_000]


def test_words_of_losses_are_those_of_diagnose(tmp_path):
    from tinygrad_edu.train import History
    from viz.pages.playground.page import texts

    cases = [[[repr(x).replace("inf", "Infinity").replace("nan", "NaN") for x in losses],
              0.25, 0, 10] for losses in curves()]
    given = {"cases": cases, "texts": texts()["findings"]}
    shown = [[finding[:2] for finding in found]
             for found in joined_in_node(tmp_path, IMPORTS, WORDS, given, ROWS)]
    for losses, found in zip(curves(), shown, strict=True):
        history = History()
        history.loss[:] = losses
        history.learning_rates[:] = [0.25] * len(losses)
        history.epoch_ends[:] = range(1, len(losses) + 1)
        said = [[each.sentence, each.advice] for each in diagnose(history)
                if each.kind in ("loss diverges", "loss not finite")]
        assert found == said, losses[:5]


ADDRESS = """return given.hashes.map((hash) => {
  const { state, refused } = fromAddress(given.table, hash)
  const again = fromAddress(given.table, toAddress(given.table, state))
  return { state, refused, again: again.state, alert: again.refused }
})"""


def test_an_address_is_not_trusted(tmp_path):
    good = ["", "data=xor&rate=0.003&layers=3,2&seed=17", "layers=", "data=own&points=0,0,1;1,1,0"]
    bad = ["data=constructor", "__proto__=1", "rate=-1", "rate=NaN", "rate=1e9", "rate=0x10g",
           "layers=0", "layers=1,2,3,4,5,6,7", "layers=1.5", "layers=99", "samples=20.5",
           "points=1,2,3", "points=<img src=x onerror=alert(1)>", "points=1,2", "toString=1",
           "points=" + ";".join(["0,0,1"] * 401), "batch=", "l2=Infinity", "%00=%ff", "a" * 5000]
    given = {"table": as_data(), "hashes": [*good, *bad]}
    found = joined_in_node(tmp_path, IMPORTS, ADDRESS, given, ROWS)
    usual = found[0]["state"]
    for hash_, each in zip([*good, *bad], found, strict=True):
        assert each["again"] == each["state"], hash_
        assert each["alert"] == []
        assert bool(each["refused"]) == (hash_ in bad), hash_
        if hash_ in bad:
            assert each["state"] == usual, hash_
    assert found[1]["state"]["layers"] == [3, 2]


# ---- in the browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return viz.playground(tmp_path_factory.mktemp("playground") / "page.html",
                          samples=50, layers=[3, 2])


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium"), 1300, 1000) as opened:
        yield opened


NUMBERS = """return Object.fromEntries([...document.querySelectorAll('[data-number]')].map(
  ({ dataset }) => [dataset.number, Number(dataset.value)]))"""
DO = "document.querySelector(`[data-do=${arguments[0]}]`).click()"
CHOOSE = """const select = document.querySelector(`select[data-name=${arguments[0]}]`)
  select.value = arguments[1]
  if (select.value !== String(arguments[1])) throw new Error('no such choice')
  select.dispatchEvent(new Event('change'))"""


def opened(driver, page, hash_=""):
    driver.get("about:blank")
    driver.get(page.as_uri() + (f"#{hash_}" if hash_ else ""))
    wait_until(driver, "return document.documentElement.dataset.ready === 'true'", 10)


def numbers_after(driver, *buttons):
    for name in buttons:
        driver.execute_script(DO, name)
    return driver.execute_script(NUMBERS)


def other(name):
    """Returns another choice of a setting than the usual one."""
    setting = SETTINGS[name]
    different = [x for x in setting.choices if x not in (setting.usual, "own", 0)]
    return different[-1] if isinstance(setting.usual, str) else different[0]


OWNERS = {"momentum": "optimizer=momentum", "alpha": "optimizer=RMSprop&rate=0.01",
          "beta1": "optimizer=Adam", "beta2": "optimizer=Adam", "decay": "optimizer=AdamW",
          "over": "schedule=cosine"}
SETTLED = "samples=50&layers=3,2&batch=10"


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "seed"])
def test_each_setting_has_an_effect_on_the_numbers(driver, page, name):
    settings = "&".join(filter(None, [SETTLED, OWNERS.get(name)]))
    steps = ["step"] * 5
    opened(driver, page, settings)
    usual = numbers_after(driver, *steps)
    opened(driver, page, settings)
    assert numbers_after(driver, *steps) == usual
    opened(driver, page, settings)
    value = other(name)
    value = int(value) if isinstance(value, float) and value == int(value) else value
    driver.execute_script(CHOOSE, name, value)
    changed = numbers_after(driver, *steps)
    assert changed["train"] != usual["train"]
    assert f"{name}={value}" in driver.execute_script("return decodeURIComponent(location.hash)")
    assert console(driver) == []


def test_buttons_do_what_they_say(driver, page):
    opened(driver, page, SETTLED)
    start = driver.execute_script(NUMBERS)
    assert (start["steps"], start["epochs"], start["seed"]) == (0, 0, 0)
    one = numbers_after(driver, "step")
    assert (one["steps"], one["epochs"]) == (1, 0)
    assert one["train"] != start["train"]
    epoch = numbers_after(driver, "epoch")
    assert (epoch["steps"], epoch["epochs"]) == (4, 1)  # 40 samples in batches of 10
    driver.execute_script(DO, "run")
    wait_until(driver, f"({NUMBERS.removeprefix('return ')}).steps > 40".join(["return ", ""]), 10)
    driver.execute_script(DO, "run")
    paused = driver.execute_script(NUMBERS)
    assert driver.execute_script(NUMBERS) == paused
    assert numbers_after(driver, "reset") == start
    assert numbers_after(driver, *["step"] * 4)["train"] == epoch["train"]
    seeded = numbers_after(driver, "seed")
    assert (seeded["steps"], seeded["seed"]) == (0, 1)
    assert seeded["train"] != start["train"]
    for name in ("one layer more", "one unit more in layer 1", "one layer less",
                 "one unit less in layer 2"):
        driver.execute_script(
            "document.querySelector(`[aria-label='${arguments[0]}']`).click()", name)
    assert "layers=4,1" in driver.execute_script("return decodeURIComponent(location.hash)")
    assert console(driver) == []


def test_a_setting_that_keeps_the_network_goes_on_with_it(driver, page):
    opened(driver, page, SETTLED)
    before = numbers_after(driver, "step", "step")
    driver.execute_script(CHOOSE, "rate", 0.01)
    after = driver.execute_script(NUMBERS)
    assert after == {**before, "rate": 0.01}
    assert numbers_after(driver, "step")["steps"] == 3
    driver.execute_script(DO, "python")
    program = driver.execute_script("return document.querySelector('.program').textContent")
    assert "# goes on from the weights of the page" in program
    assert "lr=0.01" in program
    run_program(program.replace("epochs=100", "epochs=1"))


def test_a_run_that_is_drawn_all_the_time_can_be_clicked(driver, page):
    """The button of a mouse is held for a tenth of a second, in which a run draws several times."""
    opened(driver, page, SETTLED)
    driver.execute_script(DO, "run")
    for name in ("unit 2 of layer 1", "unit 1 of layer 2"):
        x, y = driver.execute_script(
            "const box = document.querySelector(`[aria-label='${arguments[0]}'] rect`)"
            ".getBoundingClientRect()\n"
            "return [box.x + box.width / 2, box.y + box.height / 2]", name)
        mouse = ActionBuilder(driver)
        mouse.pointer_action.move_to_location(round(x), round(y)).pointer_down().pause(0.15)
        mouse.pointer_action.pointer_up()
        mouse.perform()
        wait_until(driver, f"return document.querySelector(`[aria-label='{name}']`)"
                           ".getAttribute('aria-pressed') === 'true'")
    before = driver.execute_script("return document.querySelector('.behind h2').textContent")
    driver.execute_script(DO, "run")
    driver.find_element("id", "playground-decision").send_keys(Keys.ARROW_RIGHT)
    after = driver.execute_script("return document.querySelector('.behind h2').textContent")
    assert before != after
    assert "unit 1 of layer 2" in after
    assert console(driver) == []


def test_a_run_can_be_scrolled_after_a_click(driver, page):
    opened(driver, page)
    driver.set_window_size(1300, 700)
    unit = driver.find_element("css selector", "[aria-label='unit 1 of layer 1']")
    driver.execute_script("arguments[0].focus()", unit)
    driver.execute_script(DO, "run")
    driver.execute_script("scrollTo(0, 1e6)")
    wait_until(driver, f"({NUMBERS.removeprefix('return ')}).steps > 40".join(["return ", ""]), 20)
    assert driver.execute_script("return scrollY") > 200
    driver.execute_script(DO, "run")
    driver.set_window_size(1300, 1000)


@pytest.mark.parametrize("hash_", [
    "data=line&rate=1000&layers=3,3,3&activation=linear", "rate=1000&loss=mse&activation=relu",
    "data=line&rate=30&layers=4,4&activation=linear&seed=8&samples=60&test=0",
])
def test_runs_that_fail_leave_the_page_whole(driver, page, hash_):
    opened(driver, page, hash_)
    driver.execute_script(DO, "run")
    driver.execute_script(DO, "run")
    numbers_after(driver, *["epoch"] * 40)
    assert "Start again with" in driver.find_element("css selector", ".words").text
    assert console(driver) == []


def test_an_address_that_is_typed_in_is_read(driver, page):
    opened(driver, page)
    driver.execute_script("location.hash = 'rate=%ff'")
    wait_until(driver, "return document.getElementById('refused').textContent !== ''")
    driver.execute_script("location.hash = 'seed=7'")
    wait_until(driver, "return document.querySelector('[data-number=seed]').dataset.value === '7'")
    driver.execute_script(CHOOSE, "samples", 200)
    driver.refresh()
    wait_until(driver, "return document.documentElement.dataset.ready === 'true'", 10)
    assert driver.execute_script(
        "return document.querySelector('select[data-name=samples]').value") == "200"
    assert console(driver) == []


def test_own_points_are_added_by_clicks(driver, page):
    opened(driver, page, SETTLED)
    driver.execute_script(CHOOSE, "data", "own")
    assert "There are no samples" in driver.find_element("css selector", ".words").text
    click = """const [fx, fy] = arguments
      const box = document.querySelector('#playground-decision svg').getBoundingClientRect()
      document.getElementById('playground-decision').dispatchEvent(new MouseEvent('click', {
        bubbles: true, clientX: box.left + fx * box.width, clientY: box.top + fy * box.height }))"""
    driver.execute_script(click, 0.3, 0.3)
    driver.execute_script(DO, "class1")
    driver.execute_script(click, 0.7, 0.6)
    driver.execute_script(click, 0.8, 0.3)
    driver.execute_script(DO, "undo")
    hash_ = driver.execute_script("return decodeURIComponent(location.hash)")
    points = re.search(r"points=([^&]*)", hash_)[1].split(";")
    assert [point.split(",")[2] for point in points] == ["0", "1"]
    driver.execute_script(CHOOSE, "test", 0)
    assert numbers_after(driver, "epoch")["steps"] == 1
    before = driver.execute_script(NUMBERS)
    driver.refresh()
    assert numbers_after(driver, "epoch") == before
    assert console(driver) == []


def test_the_graph_behind_a_unit_has_pythons_numbers_and_sentences(driver, page):
    opened(driver, page, "samples=50&layers=3,2&test=0&loss=mse")
    numbers_after(driver, *["epoch"] * 5)
    unit = driver.find_element("css selector", "[aria-label='unit 2 of layer 1']")
    driver.execute_script("arguments[0].dispatchEvent(new MouseEvent('click'))", unit)
    said = {}
    for when in ("before", "after"):
        driver.execute_script(DO, when)
        said[when] = [li.text for li in driver.find_elements("css selector", ".sentences li")]
    assert said["before"] != said["after"]
    driver.execute_script(DO, "python")
    program = driver.execute_script("return document.querySelector('.program').textContent")
    names = run_program(program)
    model, x, t = names["model"], names["X"][0], names["y"][0]
    neuron = model.layers[0].neurons[1]
    labels = {"w1": neuron.w[0], "w2": neuron.w[1], "b": neuron.b}
    for p in model.parameters():
        p.grad = 0.0
    ((model(x) - t) ** 2).backward()
    for name, p in labels.items():
        sentence = next(text for text in said["after"] if text.startswith(f"dL/d{name} += "))
        flow = float(re.search(r"= (\S+) ?(?:\s+\(|\s+\[|$)", sentence.split("×")[1])[1])
        assert flow == pytest.approx(p.grad, rel=2e-3), sentence
    # the forward sentences are those of Python for a graph with these names
    w1, x1 = Value(neuron.w[0].data, "w1"), Value(x[0], "x1")
    product = w1 * x1
    product.label = "p1"
    wanted = Stepper(record(product))
    wanted.finish()
    assert said["after"][0] == record(product)[0].sentence.split("   ")[0]
    drawn = driver.execute_script(
        "return document.querySelector('.unit-graph').textContent")
    for name in ("w1", "w2", "b", "x1", "x2", "p1: mul", "s2: add", "out: tanh"):
        assert name in drawn
    assert console(driver) == []


def test_what_went_wrong_is_said(driver, page):
    opened(driver, page, "samples=50&layers=3&rate=1000&loss=mse&activation=relu")
    numbers_after(driver, *["step"] * 30)
    words = driver.find_element("css selector", ".words").text
    assert "the loss went from" in words or "the loss rose from" in words
    assert "Start again with" in words
    assert "press Reset" in words
    driver.execute_script(DO, "advised")
    again = driver.execute_script(NUMBERS)
    assert again["steps"] == 0
    assert 0 < again["rate"] < 1000
    assert f"rate={again['rate']:g}" in driver.execute_script("return location.hash")
    opened(driver, page, "samples=50&schedule=linear&over=5")
    numbers_after(driver, *["step"] * 6)
    assert "The schedule has ended" in driver.find_element("css selector", ".words").text
    opened(driver, page, "samples=20&noise=0.5&test=0.5&layers=12&optimizer=Adam&rate=0.1")
    numbers_after(driver, *["epoch"] * 60)
    assert "learns its samples by heart" in driver.find_element("css selector", ".words").text
    opened(driver, page, "samples=50&layers=3&rate=100&activation=relu&optimizer=descent")
    numbers_after(driver, *["step"] * 5)
    assert "are dead: for every one of" in driver.find_element("css selector", ".words").text
    assert console(driver) == []


def test_an_address_that_is_not_understood_is_said(driver, page):
    opened(driver, page, "data=nothing&rate=0.01")
    assert "data=nothing is not understood" in driver.find_element("id", "refused").text
    assert numbers_after(driver, "step")["steps"] == 1


def test_the_page_is_small_quiet_and_accessible(driver, axe, page):
    usual = viz.playground()
    assert len(usual.html.encode()) < MOST_BYTES
    visit(driver, page)
    for hash_ in ("", "data=own", "data=line", "optimizer=AdamW&schedule=cosine"):
        opened(driver, page, hash_)
        numbers_after(driver, "step")
        for theme in ("light", "dark"):
            driver.execute_script(
                "document.documentElement.dataset.theme = arguments[0]", theme)
            rules = [] if theme == "light" else ["color-contrast"]
            assert findings(driver, axe, rules) == [], hash_
    driver.execute_script(DO, "python")
    assert findings(driver, axe, []) == []
    assert set(requests(driver)) == {page.resolve().as_uri()}
    assert console(driver) == []


def test_narrow_pages_do_not_scroll_sideways(tmp_path_factory, page):
    with chromium(tmp_path_factory.mktemp("narrow"), 500, 800) as narrow:
        opened(narrow, page)
        assert narrow.execute_script(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(("given", "error", "wrong"), [
    ({"data": "iris"}, ValueError, "data must be 'moons'"),
    ({"rate": -1}, ValueError, "rate must be"), ({"rate": "fast"}, TypeError, "rate"),
    ({"samples": 10.5}, ValueError, "samples must be a whole number from 4 to 400, not 10.5"),
    ({"layers": [0]}, ValueError, "layers must be at most 6 sizes"),
    ({"layers": 3}, ValueError, "layers must be"), ({"speed": 3}, TypeError, "setting"),
    ({"path": "page.png"}, ValueError, "page.png"),
])
def test_wrong_settings_write_nothing(given, error, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(wrong)):
        viz.playground(**given)
    assert [*tmp_path.iterdir()] == []


def test_the_command_writes_the_page(tmp_path, capsys):
    out = tmp_path / "play.html"
    assert main(["playground", "data=xor", "layers=4,4", "rate=0.03", "-o", str(out)]) == 0
    found = json.loads(re.search(r'id="data">(.*?)</script>', out.read_text(encoding="utf-8"))[1])
    assert found["state"] == {"data": "xor", "layers": [4, 4], "rate": 0.03}
    assert "open it in a browser" in capsys.readouterr().out
    for wrong in ("data=nothing", "layers=x", "rate", "rate=1e9"):
        assert main(["playground", wrong, "-o", str(tmp_path / "no.html")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["play.html"]



# ---- from other pages


def test_links_of_the_course_open_their_state(tmp_path):
    links = {name: playground_link(name) for name in LESSONS}
    hashes = [link.partition("#")[2] for link in links.values() if link]
    found = joined_in_node(tmp_path, IMPORTS, ADDRESS,
                           {"table": as_data(), "hashes": hashes}, ROWS)
    assert len(found) >= 9
    for name, each in zip([name for name, link in links.items() if link], found, strict=True):
        assert each["refused"] == []
        for setting, x in PLAYGROUND[name].items():
            assert each["state"][setting] == x, name
        assert f'href="{escape(links[name])}"' in lesson_page(name, questions=1).html


def run_of(model, optimizer, loss=nn.binary_cross_entropy, labels=(0, 1), **options):
    X, y = data.moons(30, labels=labels, rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(model, loss, X, y, optimizer=optimizer, epochs=12, record_every=3, **options)


def test_a_training_run_goes_on_in_the_playground(driver, tmp_path, axe):
    model = nn.MLP(2, [4, 3, 1], "tanh", rng=1)
    history = run_of(model, optim.SGD(model.parameters(), lr=0.2, momentum=0.8))
    visit(driver, viz.explore(history, tmp_path / "run.html"))
    last = history.training.snapshots[-1]
    driver.execute_script("document.getElementById('last').click()")
    driver.execute_script("document.getElementById('go-on').click()")
    inside = "const root = document.querySelector('#going-on > div').shadowRoot; "
    start = NUMBERS.replace("document.query", "root.query")
    numbers = driver.execute_script(inside + start)
    assert numbers["train"] == pytest.approx(history.loss[last.step - 1], rel=1e-9)
    driver.execute_script(inside + "root.querySelector('[data-do=step]').click()")
    after = driver.execute_script(inside + start)
    X, y = data.moons(30, labels=(0, 1), rng=0)
    for p, x in zip(history.training.parameters, last.before):
        p.data = x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = fit(model, nn.binary_cross_entropy, X, y, epochs=2,
                    optimizer=optim.SGD(model.parameters(), lr=0.2, momentum=0.8))
    assert after["train"] == pytest.approx(again.loss[1], rel=1e-9)
    assert findings(driver, axe, []) == []
    assert console(driver) == []


@pytest.mark.parametrize("make", [
    lambda: (nn.MLP(2, [3, 2], rng=0), optim.SGD, nn.cross_entropy, {}),
    lambda: (nn.MLP(2, [13, 1], rng=0), optim.SGD, nn.hinge, {}),
    lambda: (nn.MLP(2, [3, 1], "elu", rng=0), optim.SGD, nn.hinge, {}),
    lambda: (nn.MLP(2, [3, 1], rng=0), optim.SGD, lambda p, t: (p - t) ** 2, {}),
    lambda: (nn.MLP(2, [3, 1], rng=0), optim.SGD, nn.hinge, {"weight_decay": 0.1}),
    lambda: (nn.Sequential(nn.Layer(2, 3), nn.Layer(3, 1, "tanh")), optim.SGD, nn.hinge, {}),
    lambda: (nn.Sequential(nn.Dropout(0.1), nn.Layer(2, 3), nn.Layer(3, 1, "linear")), optim.SGD,
             nn.hinge, {}),
    lambda: (nn.MLP(2, [3, 1], rng=0), optim.Adam, nn.hinge, {"eps": 0.5}),
])
def test_other_runs_do_not_offer_to_go_on(make):
    model, kind, loss, options = make()
    labels = (0, 1) if loss is nn.cross_entropy else (-1, 1)
    history = run_of(model, kind(model.parameters(), lr=0.01, **options), loss, labels)
    assert going_on(history, history.training.snapshots) is None


@pytest.mark.parametrize("options", [
    {"max_norm": 0.1}, {"penalty": lambda: Value(1.0)}, {"loss": nn.mse},
])
def test_runs_with_what_the_page_lacks_do_not_offer_to_go_on(options):
    model = nn.MLP(2, [3, 1], rng=0)
    history = run_of(model, optim.SGD(model.parameters(), lr=0.01), **options)
    assert going_on(history, history.training.snapshots) is None


def test_a_run_in_batches_goes_on_in_batches():
    model = nn.MLP(2, [3, 1], rng=0)
    history = run_of(model, optim.SGD(model.parameters(), lr=0.01), batch_size=7)
    assert going_on(history, history.training.snapshots)["state"]["batch"] == 7
