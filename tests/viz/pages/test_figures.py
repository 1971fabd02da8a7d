"""The figures of the course: what they show is what Python computes."""

import math as std
import random
from functools import cache

import pytest

import viz
from tests.browser import chromium, console, visit, wait_until
from tests.node import in_node
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
    return {name: found[name] for name in ("x", "z", "u")}


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
    x = start
    for _ in range(starts.VALLEY_STEPS):
        x -= rate * grad(starts.valleys(hill))(x)
    return {"end": x, "f": starts.valleys(hill)(x)}


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
    "start": (start_numbers, [{"start": -0.5}, {"rate": 0.5, "start": 2}, {"hill": -1}]),
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
  if (control.tagName === 'SELECT') {
    control.value = x; control.dispatchEvent(new Event('change')); return }
  const at = JSON.parse(control.dataset.values).indexOf(x)
  if (at < 0) throw new Error(`${name} cannot be ${x}`)
  control.value = at; control.dispatchEvent(new Event('input'))"""
NUMBERS = """return Object.fromEntries([...document.querySelectorAll('#figure dd')].map(
  ({ dataset }) => [dataset.number, dataset.value]))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return {path.stem: path for path in viz.course(tmp_path_factory.mktemp("course"), questions=1)}


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


@pytest.mark.parametrize("name", LESSONS)
def test_numbers_of_a_figure_are_those_of_python(name, driver, pages):
    compute, settings = FIGURES[name]
    visit(driver, pages[name])
    driver.execute_script("localStorage.clear()")
    for moved in [{}, *settings]:
        visit(driver, pages[name])
        driver.execute_script("localStorage.clear()")
        driver.execute_script(REVEAL)
        for control, x in moved.items():
            driver.execute_script(MOVE, control, x)
        found = shown(driver)
        wanted = compute(**moved)
        assert wanted
        for number, x in wanted.items():
            assert is_same(name, found[number], x), (name, moved, number, found[number], x)
    assert console(driver) == []


def test_a_figure_begins_with_the_seed_of_its_page(driver, tmp_path):
    visit(driver, lesson_page("rate", questions=1, seed=4).save(tmp_path / "rate.html"))
    driver.execute_script("localStorage.clear()")
    driver.execute_script(REVEAL)
    assert float(shown(driver)["last"]) == pytest.approx(rate_numbers(seed=4)["last"], rel=1e-9)
    driver.execute_script(MOVE, "seed", 1)
    assert float(shown(driver)["last"]) == pytest.approx(rate_numbers(seed=5)["last"], rel=1e-9)


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
