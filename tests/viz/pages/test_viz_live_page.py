"""The page of a training run: its data are the engine's numbers, and it plays and steps in a real
browser."""

import json
import random
import re
from collections import deque

import pytest
from browser import chromium, console, requests, visit, wait_until

import viz
from tinygrad_edu import Value, data, fit, nn, optim
from tinygrad_edu.errors import NonFiniteError
from tinygrad_edu.train import History
from viz.pages.training.page import explore_training
from viz.training.frames import frames

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")


def moons(samples=20, steps=8):
    X, y = data.moons(samples, rng=1)
    model = nn.MLP(2, [3, 1], rng=1)
    return fit(
        model,
        nn.hinge,
        X,
        y,
        optimizer=optim.SGD(model.parameters(), lr=0.3),
        epochs=steps,
        record_every=2,
        rng=1,
    )


def iris(steps=3):
    flowers = data.iris()
    model = nn.MLP(4, [4, 3], activation="tanh", init="xavier", rng=1)
    return fit(
        model,
        nn.cross_entropy,
        flowers.X[::5],
        flowers.y[::5],
        optimizer=optim.Adam(model.parameters(), lr=0.05),
        epochs=steps,
        batch_size=10,
        record_every=1,
        rng=1,
    )


def line():
    X, y = data.line(12, rng=1)
    model = nn.MLP(1, [1], rng=1)
    return fit(
        model,
        nn.mse,
        X,
        y,
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=5,
        record_every=1,
        rng=1,
    )


def regression():
    rng = random.Random(1)
    X = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(10)]
    model = nn.MLP(3, [1], rng=1)
    return fit(
        model,
        nn.mse,
        X,
        [2 * a - b + 0.3 * c for a, b, c in X],
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=5,
        record_every=1,
        rng=1,
    )


def data_of(page):
    return json.loads(
        re.search(
            r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL
        )[1]
    )


def test_page_has_the_data_of_the_training_run():
    history = moons()
    page = explore_training(history)
    found, live = data_of(page), frames(history)
    assert (found["kind"], found["classes"]) == ("boundary", ["-1", "1"])
    assert [frame["step"] for frame in found["frames"]] == [1, 2, 4, 6, 8]
    assert [step for step, _ in found["loss"]] == list(range(1, 9))
    assert [x for _, x in found["loss"]] == pytest.approx(history.loss, rel=1e-5)
    assert found["frames"][2]["scores"] == list(map(list, live.frames[2].scores))
    assert len(found["samples"]) == 20
    assert found["samples"][4]["text"].startswith("sample 4: (")
    assert page.html == explore_training(history).html


@pytest.mark.parametrize(("history", "kind", "part"), [
    (iris, "boundary", "winners"),
    (line, "fit", "curves"),
    (regression, "regression", "predictions"),
])
def test_page_has_the_data_of_every_kind_of_training(history, kind, part):
    found = data_of(explore_training(history()))
    assert found["kind"] == kind
    assert all(frame[part] for frame in found["frames"])


def test_explore_takes_a_history_and_writes_it(tmp_path):
    history = moons(6, 2)
    path = viz.explore(history, tmp_path / "moons", title="two <moons>")
    assert path == tmp_path / "moons.html"
    assert "<title>two &lt;moons&gt;</title>" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["moons.html"]


def test_a_history_without_snapshots_says_what_to_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"must have snapshots; record them with fit\(..., record_every=10\)"
    ):
        viz.explore(History(), tmp_path / "y.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"title": 3}, TypeError, r"explore: title must be text, not int \(3\)"),
    ({"samples": 0}, ValueError, "explore: samples must be a whole number >= 1, not 0"),
    ({"samples": 2.5}, TypeError, r"explore: samples must be a whole number, not float \(2.5\)"),
])
def test_explore_rejects_invalid_options(options, error, message):
    with pytest.raises(error, match=message):
        viz.explore(moons(6, 2), **options)


# ---- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser"), 1300, 1400) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Returns the path of a page, and its data."""
    history = moons()
    made = explore_training(history)
    return made.save(tmp_path_factory.mktemp("page") / "moons.html"), data_of(made)


def press(driver, name):
    driver.find_element("id", name).click()


def where(driver):
    return driver.find_element("id", "where").text


def shown_numbers(driver):
    return driver.execute_script("""
        const text = (node, part) => node.querySelector(part)?.textContent ?? ""
        return [...document.querySelectorAll("#graph g.node")].map((node) =>
          [node.id, text(node, ".data"), text(node, ".grad")])""")


def test_page_steps_by_button_key_and_slider(driver, page):
    path, found = page
    visit(driver, path)
    steps = [frame["step"] for frame in found["frames"]]
    assert where(driver).startswith(f"step {steps[0]} of 8: loss {found['frames'][0]['loss']}")
    press(driver, "next")
    assert where(driver).startswith(f"step {steps[1]} of 8")
    driver.find_element("id", "where").click()
    body = driver.switch_to.active_element
    # right, left, end, home
    for key, at in (("\ue014", 2), ("\ue012", 1), ("\ue010", 4), ("\ue011", 0)):
        body.send_keys(key)
        assert where(driver).startswith(f"step {steps[at]} of 8")
    driver.execute_script(
        "const s = document.getElementById('slider'); s.value = 3; s.dispatchEvent(new "
        "Event('input'))"
    )
    assert where(driver).startswith(f"step {steps[3]} of 8")
    assert console(driver) == []
    assert requests(driver) == [path.resolve().as_uri()]


def test_the_graph_shows_the_numbers_before_and_after_the_update(driver, page):
    path, found = page
    visit(driver, path)
    boxes = """return [...document.querySelectorAll("#graph g.node :is(path, polygon)")]
      .map((shape) => {
        const { x, y, width, height } = shape.getBoundingClientRect()
        return [x, y, width, height] })"""
    press(driver, "fit")
    still = driver.execute_script(boxes)
    assert len(still) > 10
    for sample in (0, 1):
        for at in range(len(found["frames"])):
            for button, column in (("before", 0), ("after", 2)):
                press(driver, button)
                numbers = found["samples"][sample]["numbers"][at]
                wanted = {f"n{i}": row for i, row in zip(found["scenes"][0]["shown"], numbers)}
                assert shown_numbers(driver) == [
                    [node, wanted[node][column], wanted[node][1]]
                    for node in sorted(
                        wanted, key=[node for node, _, _ in shown_numbers(driver)].index
                    )
                ]
            if at < len(found["frames"]) - 1:
                press(driver, "next")
        assert driver.execute_script(boxes) == still
        press(driver, "first")
        press(driver, "next-sample")


def test_a_click_chooses_a_sample(driver, page):
    path, found = page
    visit(driver, path)
    points = driver.find_elements("css selector", "#model .point")
    for i in (5, 11):
        driver.execute_script("""
            const box = arguments[0].getBoundingClientRect()
            document.getElementById("model").dispatchEvent(new MouseEvent("click", { bubbles: true,
              clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }))""", points[i])
        assert driver.find_element("id", "sample-name").text == found["samples"][i]["text"]
        assert "chosen" in points[i].get_attribute("class")


def test_click_on_the_loss_moves_there_and_click_on_a_node_shows_it(driver, page):
    path, found = page
    visit(driver, path)
    plot = driver.find_element("css selector", "#loss svg")
    driver.execute_script("""
        const box = arguments[0].getBoundingClientRect()
        arguments[0].dispatchEvent(new MouseEvent("click", {
          bubbles: true, clientX: box.right - 15, clientY: box.y + 30 }))""", plot)
    assert where(driver).startswith("step 8 of 8")
    node = driver.find_element("css selector", "#graph g.node.output")
    driver.execute_script(
        "arguments[0].dispatchEvent(new MouseEvent('click', { bubbles: true }))", node
    )
    wanted = found["samples"][0]["numbers"][-1][
        found["scenes"][0]["shown"].index(int(node.get_attribute("id")[1:]))
    ]
    assert driver.find_element("id", "details").text.splitlines()[-1].split() == ["loss", *wanted]


def test_page_plays_to_the_end_and_stops(driver, page):
    path, _ = page
    visit(driver, path)
    driver.execute_script("const s = document.getElementById('speed'); s.value = '150'")
    press(driver, "play")
    assert driver.find_element("id", "play").text == "pause"
    wait_until(
        driver, "return document.getElementById('where').textContent.startsWith('step 8 of 8')"
    )
    assert driver.find_element("id", "play").text == "play"


def test_every_kind_runs_without_console_messages(driver, tmp_path):
    for name, history in (("iris", iris()), ("line", line()), ("regression", regression())):
        path = viz.explore(history, tmp_path / f"{name}.html")
        visit(driver, path)
        press(driver, "last")
        press(driver, "after")
        press(driver, "theme")
        assert console(driver) == []
        assert requests(driver) == [path.resolve().as_uri()]
        assert driver.execute_script("return document.querySelectorAll('#graph g.node').length") > 3


def test_labels_and_titles_are_data(driver, tmp_path):
    evil = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    X, y = data.line(4, rng=1)
    w = nn.MLP(1, [1], rng=1)
    for parameter in w.parameters():
        parameter.label = evil
    history = fit(
        w,
        nn.mse,
        X,
        y,
        optimizer=optim.SGD(w.parameters(), lr=0.1),
        epochs=2,
        record_every=1,
        rng=1,
    )
    path = viz.explore(history, tmp_path / "evil.html", title=evil)
    visit(driver, path)
    assert driver.execute_script("return window.hacked") is None
    assert driver.find_element("css selector", "h1").text == evil
    assert console(driver) == []


def test_a_click_on_a_sample_without_a_graph_says_so_and_chooses_no_other(driver, tmp_path):
    page = explore_training(moons(), samples=3)
    assert "3 of 20 samples have a graph; they are outlined." in data_of(page)["notes"]
    assert data_of(page)["calls"] == ["viz.explore(history, samples=20)"]
    visit(driver, page.save(tmp_path / "few.html"))
    before = driver.find_element("id", "sample-name").text
    others = driver.find_elements("css selector", "#model .point:not(.offered)")
    assert len(others) == 17
    driver.execute_script("""
        const box = arguments[0].getBoundingClientRect()
        document.getElementById("model").dispatchEvent(new MouseEvent("click", { bubbles: true,
          clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }))""", others[4])
    assert driver.find_element("id", "sample-name").text == before
    assert (
        driver.find_element("id", "said").text
        == "This sample has no graph on this page. Click an outlined sample."
    )


def test_nodes_are_reached_by_keys(driver, page):
    path, found = page
    visit(driver, path)
    body = driver.find_element("tag name", "body")
    for key, at in (("]", 0), ("]", 1), ("[", 0), ("[", len(found["scenes"][0]["shown"]) - 1)):
        body.send_keys(key)
        last = driver.find_element("id", "details").text.splitlines()[-1]
        assert last.endswith(" ".join(found["samples"][0]["numbers"][0][at]))


def test_features_have_their_names(tmp_path):
    flowers = data.iris()
    page = data_of(explore_training(iris(), feature_names=flowers.feature_names))
    assert [axis["label"] for axis in page["axes"]] == flowers.feature_names[:2]
    assert flowers.feature_names[2] in page["caption"]
    assert flowers.feature_names[0] in page["scenes"][0]["names"]
    with pytest.raises(
        ValueError, match="feature_names must have 4 names, one for each feature of a sample, not 1"
    ):
        explore_training(iris(), feature_names=["a"])


# ---- runs that went wrong, and data that are not a table of numbers -----------------------------


def fitted(X, y, model=None, rate=0.01, loss=nn.mse):
    w = Value(0.5, "w")
    try:
        return fit(
            lambda x: model(x, w) if model else w * (x[0] if isinstance(x, list) else x),
            loss,
            X,
            y,
            optimizer=optim.SGD([w], lr=rate),
            epochs=3,
            record_every=1,
        )
    except NonFiniteError as error:
        return error.history


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # a rate of 1e40
@pytest.mark.parametrize(("history", "kind"), [
    (lambda: fitted([1.7e308, -1.7e308], [1.0, 2.0], loss=lambda p, t: p * 1e-308), "none"),
    (lambda: fitted([[1.0, None], [2.0, None]], [1.0, 2.0]), "regression"),
    (lambda: fitted([1.0, 2.0], deque([1.0, 2.0])), "fit"),
    (lambda: fitted([1.0, 2.0], [[1.0], [2.0]], loss=lambda p, t: (p - t[0]) ** 2), "fit"),
    (lambda: fitted([1.0, 2.0], ["one", "two"], loss=lambda p, t: p * p), "none"),
    (lambda: fitted(
        [1.0, 2.0], [1.0, 2.0], lambda x, w: {"out": x * w}, loss=lambda p, t: p["out"] * t),
     "none"),
    (lambda: fitted([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], rate=1e40), "fit"),
    (lambda: fitted([1.0], [0.0], loss=lambda p, t: p * 1.5e308), "fit"),
    (lambda: fitted([1.0], [0.0], loss=lambda p, t: p * 5e-324), "fit"),
])
def test_every_history_has_a_page_without_console_messages(history, kind, driver, tmp_path):
    page = explore_training(history())
    assert data_of(page)["kind"] == kind
    visit(driver, page.save(tmp_path / "page.html"))
    driver.find_element("tag name", "body").send_keys("\ue010")  # End
    assert console(driver) == []


def test_data_changed_since_training_are_rejected():
    X = [1.0, 2.0]
    history = fitted(X, [1.0, 2.0])
    X.clear()
    with pytest.raises(
        ValueError, match="the training data have changed since: there are 0 samples and 2 targets"
    ):
        explore_training(history)
