"""The figures of the course: what they show is what Python computes."""

import math as std
import random
from functools import cache

import pytest

from tests.browser import chromium, console, visit, wait_until
from tests.node import in_node
from tests.viz.pages.test_course import written
from tinygrad_edu import Value, data, grad, learn
from tinygrad_edu.learn.lessons import LESSONS
from tinygrad_edu.learn.lessons.descent import descent, optimisers
from tinygrad_edu.learn.lessons.descent import rate as rates
from tinygrad_edu.learn.lessons.descent import start as starts
from tinygrad_edu.learn.lessons.gradients import cost, forward
from tinygrad_edu.learn.lessons.networks import depth as deep
from tinygrad_edu.learn.lessons.networks import generalise, uses
from tinygrad_edu.learn.misconceptions import BACKWARD, sweep
from viz.pages.course import figure_data
from viz.pages.course.page import lesson_page

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")

# ---- the numbers of Python, by the controls of a figure


def forward_numbers(a=2.0, b=-3.0, c=10.0, f=-2.0, nudge=0.001):
    before, after = [forward.expression(x, b, c, f)["L = d * f"] for x in (a, a + nudge)]
    return {"L": before, "after": after, "ratio": (after - before) / nudge}


def chain_numbers(a=2.0, b=4.0, c=-1.0):
    leaves = [Value(x, name) for x, name in ((a, "a"), (b, "b"), (c, "c"))]
    figure_data.two_paths(*leaves).backward()
    return {"path0": b, "path1": c, "sum": leaves[0].grad, "grad": leaves[0].grad}


def backward_numbers(idea="", x=2.0, z=-1.5):
    found = sweep(figure_data.diamond(Value(x, "x"), Value(z, "z")), idea)
    return {name: found[name] for name in ("x", "z", "u", "r")}


def cost_numbers(depth=2, width=4):
    found = cost.cost(2, (width,) * depth + (1,), "tanh")
    return {"weights": found.weights, "forward": found.forward, "both": found.both,
            "ratio": found.both / found.forward, "passes": found.weights + 1}


def descent_numbers(alpha=0.01, steps=5, sign0="+", sign1="+", seed=0):
    signs = [1 if sign == "+" else -1 for sign in (sign0, sign1)]
    found = descent.updated(*data.line(descent.SAMPLES, rng=seed), alpha, steps, signs)
    return found._asdict()


def rate_numbers(factor=1.9, seed=0):
    found = rates.fitted(seed, factor)
    return {"first": found.first, "last": found.last, "L": found.L, "limit": 2 / found.L}


def start_numbers(start=0.4, rate=0.1, hill=1.0):
    """The run of the lesson, not for a number of steps but until the slope is tiny, or x far away.
    """
    x, steps = start, 0
    slope = grad(starts.valleys(hill))
    while abs(slope(x)) >= 1e-6 and abs(x) < 100 and steps < 2000:
        x -= rate * slope(x)
        steps += 1
    return {"end": x, "f": starts.valleys(hill)(x), "steps": steps}


def batches_numbers(size=1, seed=0):
    claim = learn.claims["the noise of a batch gradient falls with the root of its size"]
    evidence = claim.run(seed)
    row = next(row for row in evidence.table if row[0] == str(size))
    return {"full": evidence.numbers["full"], **dict(zip(("mean", "std", "scaled"), row[1:]))}


def optimisers_numbers(turn=0, condition=100, seed=0):
    return optimisers.steps_of_all(seed, condition, turn)


def depth_numbers(depth=8, kind="sigmoid", seed=0):
    function, init = {"sigmoid": ("sigmoid", "xavier"), "tanh": ("tanh", "xavier"),
                      "relu": ("relu", "he"), "large": ("relu", deep.large)}[kind]
    return {"share": deep.arriving(seed, depth, function, init)}


def generalise_numbers(decay=0.0, p=0.0, seed=0):
    return dict(zip(("train", "unseen", "squares"), generalise.trained(seed, decay, p)))


@cache
def picture_network():
    return uses.picture_network(0)


def uses_numbers(next=0):
    model, _, (pictures, _) = picture_network()
    scores = [y.data for y in model([round(x, 3) for x in pictures[next]])]
    parts = [std.exp(score - max(scores)) for score in scores]
    return {name: part / sum(parts) for name, part in zip(uses.SHAPES, parts)}


# the function above, and settings of the controls
FIGURES = {
    "forward": (forward_numbers, [{"nudge": 1}, {"a": -4.5, "f": 3, "nudge": 0.01}]),
    "chain": (chain_numbers, [{"a": -1}, {"b": 0.5, "c": 9}]),
    "backward": (backward_numbers, [*[{"idea": idea} for idea in BACKWARD], {"z": 2, "x": 3}]),
    "cost": (cost_numbers, [{"width": 32}, {"depth": 4, "width": 2}]),
    "descent": (descent_numbers, [{"steps": 200}, {"alpha": 0.099, "steps": 500},
                                  {"sign0": "-", "steps": 20}, {"sign1": "-", "seed": 1}]),
    "rate": (rate_numbers, [{"factor": 2.1}, {"factor": 0.02, "seed": 1}, {"factor": 1.99}]),
    "start": (start_numbers, [{"start": -0.5}, {"rate": 0.5, "start": 2}, {"hill": -1},
                              {"rate": 0.5, "start": 2, "hill": -1},
                              {"rate": 0.02, "start": 2, "hill": 0}]),
    "batches": (batches_numbers, [{"size": 4}, {"size": 64, "seed": 1}]),
    "optimisers": (optimisers_numbers, [{"turn": 45}, {"condition": 1, "seed": 2}]),
    "depth": (depth_numbers, [{"depth": 16}, {"kind": "large", "seed": 1}, {"kind": "tanh"}]),
    "generalise": (generalise_numbers, [{"decay": 0.003}, {"p": 0.5}, {"decay": 0.3, "seed": 1}]),
    "uses": (uses_numbers, [{"next": 1}, {"next": 3}]),
}
TOLERANCE = {"generalise": 1e-5, "forward": 1e-9}  # by lesson; else 1e-10

REVEAL = """for (const part of document.querySelectorAll('.part')) {
  part.querySelector('input').click(); part.querySelector('.predict').click() }"""
MOVE = """const [name, x] = arguments
  const control = document.querySelector(`#figure [data-name="${name}"]`)
  if (control.tagName === 'BUTTON') { for (let i = 0; i < x; i++) control.click(); return }
  if (control.tagName === 'FIELDSET') {
    control.querySelector(`input[value="${x}"]`).click(); return }
  if (control.tagName === 'SELECT') {
    control.value = x; control.dispatchEvent(new Event('change')); return }
  const at = JSON.parse(control.dataset.values).indexOf(x)
  if (at < 0) throw new Error(`${name} cannot be ${x}`)
  control.value = at; control.dispatchEvent(new Event('input'))"""
NUMBERS = """return Object.fromEntries([...document.querySelectorAll('#figure [data-number]')].map(
  ({ dataset }) => [dataset.number, dataset.value]))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return {path.stem: path for path in written(tmp_path_factory.getbasetemp()).iterdir()}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium"), 1000, 900) as opened:
        yield opened


def shown(driver):
    wait_until(driver, "return document.getElementById('figure').dataset.isBusy !== 'true'", 60)
    return driver.execute_script(NUMBERS)


def is_same(name, found, wanted):
    if isinstance(wanted, str):  # of a table, with two digits
        return f"{float(found):.2f}" == wanted
    return std.isclose(float(found), wanted, rel_tol=TOLERANCE.get(name, 1e-10), abs_tol=1e-12)


def open_figure(driver, page):
    """Opens a page as a reader does who was never there, and predicts."""
    if driver.current_url.startswith("file:"):
        driver.execute_script("localStorage.clear()")
    visit(driver, page)
    driver.execute_script(REVEAL)


def says(driver):
    return driver.execute_script("return document.querySelector('#figure .says').textContent")


@pytest.mark.parametrize("name", LESSONS)
def test_numbers_of_a_figure_are_those_of_python(name, driver, pages):
    compute, settings = FIGURES[name]
    for moved in [{}, *settings]:
        open_figure(driver, pages[name])
        for control, x in moved.items():
            driver.execute_script(MOVE, control, x)
        found = shown(driver)
        wanted = compute(**moved)
        assert wanted
        for number, x in wanted.items():
            assert is_same(name, found[number], x), (name, moved, number, found[number], x)
    assert console(driver) == []


def test_a_figure_begins_with_the_seed_of_its_page(driver, tmp_path):
    open_figure(driver, lesson_page("rate", questions=1, seed=4).save(tmp_path / "rate.html"))
    assert float(shown(driver)["last"]) == pytest.approx(rate_numbers(seed=4)["last"], rel=1e-9)
    driver.execute_script(MOVE, "seed", 1)
    assert float(shown(driver)["last"]) == pytest.approx(rate_numbers(seed=5)["last"], rel=1e-9)


# sets each pair of controls to their ends in all ways, and presses each button; returns what is
# wrong in the drawings, the words and the numbers
ENDS = """const figure = document.getElementById('figure')
  const controls = [...figure.querySelectorAll('[data-name]')]
  const buttons = controls.filter(({ tagName }) => tagName === 'BUTTON')
  const ends = controls.filter((control) => !buttons.includes(control)).map((control) => {
    if (control.tagName === 'INPUT') return [control.min, control.max].map((x) => () => {
      control.value = x; control.dispatchEvent(new Event('input')) })
    if (control.tagName === 'SELECT') return [...control.options].map(({ value }) => () => {
      control.value = value; control.dispatchEvent(new Event('change')) })
    return [...control.querySelectorAll('input')].map((input) => () => input.click())
  })
  const wrong = []
  let count = 0
  const look = (what) => {
    count += 1
    const drawn = [...figure.querySelectorAll('.plot svg')].map((svg) => svg.outerHTML).join()
    const numbers = [...figure.querySelectorAll('[data-number]')].map((dd) => dd.textContent).join()
    const texts = [drawn.replace(/"data:[^"]*"/g, ''), figure.textContent,
      numbers.replace(/not a number|too large/, 'NaN')]
    for (const text of texts) {
      const found = text.match(/.{0,40}(NaN|Infinity|undefined|null).{0,9}/)
      if (found) wrong.push([what, found[0]])
    }
  }
  ends.forEach((one, i) => ends.slice(i).forEach((other, k) => {
    for (const [a, first] of one.entries())
      for (const [b, second] of other.entries()) { first(); second(); look([i, a, i + k, b]) }
  }))
  for (const button of buttons) { button.click(); look(button.textContent) }
  return { count, wrong, controls: ends.length + buttons.length }"""


@pytest.mark.parametrize("name", LESSONS)
def test_controls_may_be_anywhere(name, driver, pages):
    open_figure(driver, pages[name])
    found = driver.execute_script(ENDS)
    assert found["count"] >= found["controls"] > 1
    assert found["wrong"] == []
    assert console(driver) == []


def test_the_checker_of_drawings_finds_a_planted_fault(driver, pages):
    open_figure(driver, pages["chain"])
    driver.execute_script("""const path = document.querySelector('#figure svg path')
        path.setAttribute('d', 'MNaN 0')""")
    assert driver.execute_script(ENDS)["wrong"]


@pytest.mark.parametrize(("moved", "words"), [
    ({"start": 2, "rate": 0.5, "hill": -1}, ["The run diverges: after 3 steps", "× diverges"]),
    ({"start": 2, "rate": 0.02, "hill": 0}, ["There is one valley", "at -0.4642", "● ends in"]),
    ({"start": -0.5}, ["The run ends in the left valley", "◂ ends in the left", "▸ ends in the"]),
    ({"start": -0.5, "rate": 0.7, "hill": 1.5}, ["has not come to rest", "○ does not come"]),
])
def test_a_start_says_how_its_run_ends(moved, words, driver, pages):
    open_figure(driver, pages["start"])
    for control, x in moved.items():
        driver.execute_script(MOVE, control, x)
    assert all(word in says(driver) for word in words), says(driver)


def test_a_point_that_leaves_the_plot_has_a_mark_at_its_edge(driver, pages):
    away = "return document.querySelectorAll('#figure .away').length"
    open_figure(driver, pages["rate"])
    assert driver.execute_script(away) == 0
    driver.execute_script(MOVE, "factor", 2.1)
    driver.execute_script(MOVE, "steps", 30)
    assert driver.execute_script(away) == 1
    assert "it has left the plot" in says(driver)
    open_figure(driver, pages["descent"])
    assert "these updates go against the gradient" in says(driver)
    for control, x in {"sign0": "-", "steps": 50}.items():
        driver.execute_script(MOVE, control, x)
    assert "along its gradient, uphill. The line has left the plot" in says(driver)


PRESS = "document.querySelector('#figure [data-name=race]').click()"
RACE = """return { button: document.querySelector('[data-name=race]').textContent,
    shown: Number(document.querySelector('[data-name=shown]').value),
    last: Number(document.querySelector('[data-name=shown]').max) }"""


def test_a_race_is_stopped_by_a_press_and_by_any_input(driver, pages):
    open_figure(driver, pages["optimisers"])
    before = says(driver)
    assert "fewest steps" in before
    driver.execute_script(PRESS)
    wait_until(driver, "return Number(document.querySelector('[data-name=shown]').value) > 2")
    assert driver.execute_script(RACE)["button"] == "Stop"
    assert says(driver) == ""  # nothing is read aloud meanwhile
    driver.execute_script(PRESS)
    stopped = driver.execute_script(RACE)
    assert stopped["button"] == "Race"
    assert says(driver) == before
    driver.execute_async_script("setTimeout(arguments[0], 150)")
    assert driver.execute_script(RACE) == stopped
    driver.execute_script(f"{PRESS}; {MOVE}", "turn", 45)  # in one call: no frame between
    assert driver.execute_script(RACE)["button"] == "Race"
    driver.execute_async_script("setTimeout(arguments[0], 150)")
    assert driver.execute_script(RACE)["shown"] == 0
    assert console(driver) == []


def test_who_wants_no_motion_sees_the_end_of_the_race(driver, pages):
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    open_figure(driver, pages["optimisers"])
    driver.execute_script(MOVE, "shown", 1)
    driver.execute_script(PRESS)
    found = driver.execute_script(RACE)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert (found["button"], found["shown"]) == ("Race", found["last"])
    assert "fewest steps" in says(driver)


def test_time_is_measured_and_explained(driver, pages):
    open_figure(driver, pages["cost"])
    for depth, width, words in [(1, 2, "Each weight is moved"), (4, 32, "measured up to 1500")]:
        driver.execute_script(MOVE, "depth", depth)
        driver.execute_script(MOVE, "width", width)
        driver.execute_script("document.querySelector('[data-name=time]').click()")
        assert words in says(driver)
        assert "Medians of 7 rounds" in says(driver)
        assert "Time is not a count of operations" in says(driver)
    assert console(driver) == []


def test_training_is_told_when_it_ends(driver, pages):
    open_figure(driver, pages["generalise"])
    shown(driver)
    assert says(driver).startswith("After 300 steps of Adam the loss of the 20 points is ")
    driver.execute_script(MOVE, "decay", 0.3)
    shown(driver)
    assert "hardly better than guessing" in says(driver)


KEEP = """return Object.fromEntries([...document.querySelectorAll('#figure [data-name]')].map(
  (control) => [control.dataset.name,
    control.value ?? control.querySelector('input:checked')?.value]))"""


@pytest.mark.parametrize(("name", "moved"), [
    ("rate", {"factor": 0.5, "steps": 3, "seed": 2}), ("depth", {"kind": "relu", "depth": 4}),
    ("backward", {"idea": "early", "z": 2}),
])
def test_controls_are_where_they_were_left(name, moved, driver, pages):
    open_figure(driver, pages[name])
    for control, x in moved.items():
        driver.execute_script(MOVE, control, x)
    before = shown(driver), says(driver), driver.execute_script(KEEP)
    visit(driver, pages[name])
    assert (shown(driver), says(driver), driver.execute_script(KEEP)) == before
    driver.execute_script("""const key = 'tinygrad_edu.course'
        const kept = JSON.parse(localStorage.getItem(key))
        kept[arguments[0]].controls = { factor: 'x', steps: null, seed: -1.5, kind: 3, idea: [] }
        localStorage.setItem(key, JSON.stringify(kept))""", name)
    visit(driver, pages[name])
    assert shown(driver)
    assert console(driver) == []


def test_texts_of_a_figure_are_large_enough_on_a_phone(driver, pages):
    screen = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for name in ("descent", "optimisers", "cost", "backward"):
        open_figure(driver, pages[name])
        sizes = driver.execute_script("""
            return [...document.querySelectorAll('.plot svg text')].map((text) =>
              parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)""")
        if name != "backward":  # its graph keeps its size, and scrolls
            assert len(sizes) > 5
            assert min(sizes) > 11.5
        assert driver.execute_script("""
            return [document.documentElement, ...document.querySelectorAll('.part, .figure > *')]
              .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
              .map(({ tagName, className }) => `${tagName} ${className}`)""") == [], name
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_random_numbers_are_those_of_python(tmp_path):
    seeds = [0, 1, 7, 12345, 2**32 - 1, 2**32, 2**40 + 5, 2**52]
    body = """
    return given.map((seed) => {
      const draw = new Random(seed)
      const entries = [...Array(700).keys()]
      draw.shuffle(entries)
      return [draw.random(), draw.below(10), draw.below(2 ** 32), draw.below(2 ** 40),
        draw.gauss(0, 1), draw.gauss(1, 2), draw.uniform(-3, 2), draw.choice([1, 2, 3]),
        ...draw.choices([5, 6, 7, 8], 5), ...entries]
    })"""
    for seed, found in zip(seeds, in_node(tmp_path, body, seeds), strict=True):
        draw = random.Random(seed)
        entries = list(range(700))
        draw.shuffle(entries)
        wanted = [draw.random(), draw.randrange(10), draw.randrange(2**32), draw.randrange(2**40),
                  draw.gauss(0, 1), draw.gauss(1, 2), draw.uniform(-3, 2), draw.choice([1, 2, 3]),
                  *draw.choices([5, 6, 7, 8], k=5), *entries]
        assert found == pytest.approx(wanted, rel=1e-15, abs=1e-15)
