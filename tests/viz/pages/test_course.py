"""The pages of the course, in a real browser: every lesson is read to its end."""

import json
import re
import time

import pytest

import viz
from tests.browser import chromium, console, requests, visit, wait_until
from tests.viz.pages.test_viz_access import findings
from tinygrad_edu import learn
from tinygrad_edu.cli import main
from tinygrad_edu.errors import DataError
from tinygrad_edu.learn.evidence import FAILED
from tinygrad_edu.learn.lessons import LESSONS
from tinygrad_edu.learn.misconceptions import BACKWARD
from tinygrad_edu.learn.progress import State, add_course
from viz.pages.course.page import index_page

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
MOST_BYTES = 600_000
MOST_SECONDS = 120  # of processor time, for the whole course: more than ten times what it takes
KEY = "tinygrad_edu.course"


def written(base):
    """Returns the folder of the course as it is by default, written once in a run of tests.

    base: the folder of this run.
    """
    folder = base / "course-by-default"
    if not folder.exists():
        start = time.process_time()
        paths = viz.course(folder)
        assert time.process_time() - start < MOST_SECONDS
        assert paths == [folder / f"{name}.html" for name in ("index", *LESSONS, "playground")]
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Returns the folder of the course."""
    return written(tmp_path_factory.getbasetemp())


def kept(driver):
    """Returns what the browser has kept, by lesson."""
    return json.loads(driver.execute_script("return localStorage.getItem(arguments[0])", KEY))


def keep(driver, lessons):
    driver.execute_script("localStorage.setItem(arguments[0], arguments[1])", KEY,
                          lessons if isinstance(lessons, str) else json.dumps(lessons))


def visit_anew(driver, path):
    """Opens a page as one who has done nothing yet."""
    visit(driver, path)
    driver.execute_script("localStorage.clear()")
    visit(driver, path)


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"))[1])


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium"), 1000, 900) as opened:
        yield opened


def faults(driver, axe):
    """Returns the serious faults that axe-core finds, in light and in dark colours."""
    found = []
    for theme in ("light", "dark"):
        driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        found += findings(driver, axe, [] if theme == "light" else ["color-contrast"])
    return found


READ = """const part = document.querySelectorAll('.part')[arguments[0]];
    return { hidden: part.querySelector('.reveal').hidden,
      sentence: part.querySelector('.sentence').textContent,
      meant: part.querySelector('.meant').textContent,
      explain: part.querySelector('.explain').textContent }"""
PREDICT = """const part = document.querySelectorAll('.part')[arguments[0]];
    part.querySelectorAll('input[type=radio]')[arguments[1]].click();
    part.querySelector('.predict').click()"""
MOVE = """const control = document.getElementById(`control-${arguments[0]}`);
    control.value = arguments[1];
    control.dispatchEvent(new Event(control.tagName === 'SELECT' ? 'change' : 'input'))"""
MOVE_FIGURE = """for (const control of document.querySelectorAll('#figure [data-name]')) {
    if (control.tagName === 'BUTTON') control.click()
    else if (control.tagName === 'FIELDSET') control.querySelector('label:last-child input').click()
    else { control.selectedIndex = 1; control.value = control.max ?? control.value
      control.dispatchEvent(new Event(control.max ? 'input' : 'change')) } }"""
ANSWER = """const field = document.getElementById('answer');
    if (field) field.value = arguments[0];
    else [...document.querySelectorAll('#question input')]
      .find(({ value }) => value === arguments[0]).click();
    document.getElementById('check').click();
    return document.getElementById('mark').textContent"""


def read_parts(driver, data):
    """Predicts, reveals, and moves the setting of each experiment to its ends."""
    for i, part in enumerate(data["parts"]):
        assert driver.execute_script(READ, i)["hidden"]
        chosen = part["right"] if i else (part["right"] + 1) % len(part["shown"])
        driver.execute_script(PREDICT, i, chosen)
        found = driver.execute_script(READ, i)
        usual = part["variants"][part["start"]]
        assert not found["hidden"]
        judged = "Right. " if chosen == part["right"] else "That is not it. "
        assert found["meant"] == judged + part["meant"][chosen]
        assert (found["sentence"], found["explain"]) == (usual["sentence"], usual["explain"])
        for k in (0, len(part["variants"]) - 1) if len(part["variants"]) > 1 else ():
            driver.execute_script(MOVE, i, k)
            assert driver.execute_script(READ, i)["sentence"] == part["variants"][k]["sentence"]
    driver.execute_script(MOVE_FIGURE)


def answer(driver, data):
    """Answers the first three questions rightly, and the first one with a known mistake before."""
    for i, question in enumerate(data["questions"][:3]):
        wrong = next(([answer, said] for answer, _, said in question["known"] if said), None)
        if i == 0 and wrong:
            given, said = wrong
            assert driver.execute_script(ANSWER, str(given)) == said
        assert driver.execute_script(ANSWER, question["answer"]) == f"Yes: {question['answer']}."
        driver.execute_script("document.getElementById('another').click()")
    driver.execute_script("for (const id of ['hint', 'solve']) document.getElementById(id).click()")


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_read_to_its_end(driver, axe, name, pages):
    path = pages / f"{name}.html"
    data = data_of(path)
    visit(driver, path)
    assert faults(driver, axe) == []
    read_parts(driver, data)
    answer(driver, data)
    assert faults(driver, axe) == []
    assert requests(driver) == [path.resolve().as_uri()]
    assert console(driver) == []
    assert driver.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    done = kept(driver)[name]
    assert done["parts"] == len(LESSONS[name].parts)
    assert len(done["asked"]) == 3
    assert 2 <= len(done["right"]) <= 3


def test_numbers_of_a_page_are_those_of_python(pages):
    data = data_of(pages / "rate.html")
    part = data["parts"][2]
    claim = learn.claims["between 1/L and 2/L descent oscillates and converges"]
    assert part["setting"] == "The learning rate, in units of 1/L"
    assert len(part["variants"]) >= 4
    for variant in part["variants"]:
        evidence = claim.run(0, factor=float(variant["label"]))
        assert variant["sentence"].endswith(evidence.sentence)
        assert variant["sentence"].startswith(FAILED) != evidence.holds


def is_seen(driver, selector):
    """Returns whether each element that matches is on the screen, or on paper."""
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((x) => x.checkVisibility())",
        selector)


@pytest.fixture
def unscripted(driver):
    """Switches JavaScript off in the pages that are opened next."""
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    yield driver
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_page_can_be_read_without_a_script(unscripted, pages):
    unscripted.get((pages / "chain.html").as_uri())
    text = unscripted.find_element("tag name", "main").text
    for part in LESSONS["chain"].parts:
        assert learn.claims[part.claim.name].run(0).sentence.split(".")[0][:30] in text
        assert f"Right. {part.meant[0]}" in text
        assert all(f"That is not it. {meant}" in text for meant in part.meant[1:])
    assert "The figure that belongs here needs JavaScript, which is switched off." in text
    data = data_of(pages / "chain.html")
    assert data["questions"][0]["text"].splitlines()[0] in text
    assert "44 more questions with marks: on this page with JavaScript." in text
    assert "Show the experiment" not in text
    assert "Save what I have done" not in text


def test_on_paper_choices_have_their_meaning_and_questions_their_answers(driver, pages):
    path = pages / "optimisers.html"
    data = data_of(path)
    visit_anew(driver, path)
    assert not any(is_seen(driver, ".static, .reveal"))
    driver.execute_script("""globalThis.marks = []
        addEventListener('beforeprint', () => globalThis.marks.push(
          document.querySelectorAll('#figure svg').length,
          document.documentElement.dataset.theme))
        document.documentElement.dataset.theme = 'dark'""")
    printed = driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert len(printed) > 50_000
    count, theme = driver.execute_script("return globalThis.marks")
    assert count > 0  # the figure is on paper, although nothing was predicted
    assert theme == "light"
    wait_until(driver, "return document.documentElement.dataset.theme === 'dark'")
    assert not any(is_seen(driver, ".static, .reveal"))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert all(is_seen(driver, ".static, .reveal, #figure .plot svg"))
    assert not any(is_seen(driver, "button, #which, .meant, .controls input, noscript"))
    text = driver.find_element("tag name", "main").text
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    for part in data["parts"]:
        assert f"Right. {part['meant'][part['right']]}" in text
    assert data["questions"][5]["answer"] in text.partition("Answers")[2]
    driver.execute_script(PREDICT, 2, 0)
    assert driver.execute_script("return document.querySelectorAll('#figure').length") == 1
    assert console(driver) == []


def test_a_boundary_is_printed_when_it_is_complete(driver, pages):
    visit(driver, pages / "generalise.html")
    driver.execute_cdp_cmd("Page.printToPDF", {})
    steps = "return document.querySelector('#figure [data-number=steps]').dataset.value"
    assert driver.execute_script(steps) == "300"


def test_pages_are_small(pages):
    sizes = {path.name: path.stat().st_size for path in pages.iterdir()}
    names = ["index", "playground", *LESSONS]
    assert [*sorted(sizes)] == sorted([f"{name}.html" for name in names])
    assert max(sizes.values()) <= MOST_BYTES, sizes
    assert len(data_of(pages / "backward.html")["questions"]) == 50


@pytest.mark.parametrize(("name", "own", "heading"), [
    ("depth", 2, "2 questions on this lesson, then 48 for review"),
    ("uses", 4, "4 questions on this lesson, then 46 for review"),
    ("rate", 50, "50 questions"),
])
def test_questions_for_review_are_called_so_and_come_last(name, own, heading, driver, pages):
    data = data_of(pages / f"{name}.html")
    assert data["own"] == own
    ideas = {question["name"].rpartition("-")[0].rpartition("-")[0].replace("_", " ")
             for question in data["questions"][:own]}
    assert own == 50 or ideas == set(LESSONS[name].ideas)
    visit(driver, pages / f"{name}.html")
    driver.execute_script("localStorage.clear()")
    visit(driver, pages / f"{name}.html")
    assert f"<h2>{heading}</h2>" in driver.page_source
    which = "return document.getElementById('which').textContent"
    assert driver.execute_script(which) == "Question 1 of 50"
    for _ in range(own % 50):
        driver.execute_script("document.getElementById('another').click()")
    assert driver.execute_script(which) == \
        (f"Question {own + 1} of 50, for review" if own < 50 else "Question 1 of 50")


def test_settings_are_named_for_readers(pages):
    part = data_of(pages / "backward.html")["parts"][3]
    labels = [variant["label"] for variant in part["variants"]]
    assert labels[:2] == ["the right backward pass", "a later gradient replaces the earlier one"]
    assert {variant["settings"]["idea"] for variant in part["variants"]} == {"", *BACKWARD}
    for name in LESSONS:
        for part in data_of(pages / f"{name}.html")["parts"]:
            assert not re.search('""|True|False|None', part["setting"])
            assert len({variant["label"] for variant in part["variants"]}) == len(part["variants"])


def test_a_page_opens_as_it_was_left(driver, pages):
    path = pages / "rate.html"
    data = data_of(path)
    visit_anew(driver, path)
    driver.execute_script(PREDICT, 0, 1)
    driver.execute_script(PREDICT, 3, data["parts"][3]["right"])
    driver.execute_script(MOVE, 0, 1)
    driver.execute_script("document.getElementById('another').click()")
    read = "return document.querySelector('main').innerText"
    before = driver.execute_script(read)
    visit(driver, path)
    assert driver.execute_script(read) == before
    assert [driver.execute_script(READ, i)["hidden"] for i in range(4)] == [
        False, True, True, False]
    assert "Question 2 of" in before
    driver.execute_script("document.getElementById('forget').click()")
    visit(driver, path)
    assert all(driver.execute_script(READ, i)["hidden"] for i in range(4))
    assert "Question 1 of" in driver.execute_script("return document.body.innerText")


def test_the_index_lists_what_was_done_and_saves_it(driver, tmp_path):
    page = index_page().save(tmp_path / "index.html")
    visit(driver, page)
    keep(driver, {"chain": {"parts": 4, "chosen": {"1": "sum", "3": "product"},
                            "right": ["gradient-1-5"], "asked": ["gradient-1-5", "path-1-2"]}})
    visit(driver, page)
    assert driver.execute_script("return document.querySelector('[data-done=chain]').textContent") \
        == "2 of 4 predictions; questions right: 1"
    assert len(re.findall(r'href="(\w+)\.html"', page.read_text(encoding="utf-8"))) == 13
    assert console(driver) == []


@pytest.mark.parametrize("damaged", [
    "null", "[", "3", '"text"', '{"rate": null}', '{"rate": 3}',
    '{"rate": {"parts": "x", "right": 3, "asked": {}, "chosen": null, "at": []}}',
    '{"rate": {"chosen": {"0": "no such choice", "1": 7}}}',
])
def test_damaged_progress_in_the_browser_does_not_matter(driver, damaged, pages):
    for page in (pages / "index.html", pages / "rate.html"):
        visit(driver, page)
        keep(driver, damaged)
        visit(driver, page)
        assert console(driver) == []
    driver.execute_script(PREDICT, 1, 0)
    done = kept(driver)["rate"]
    assert done["parts"] == len(done["chosen"])
    assert done["at"] == ""
    driver.execute_script("localStorage.clear()")


SAVED = """globalThis.saved = []
    HTMLAnchorElement.prototype.click = function () { globalThis.saved.push(this.href) }
    document.getElementById('export').click()
    return decodeURIComponent(globalThis.saved[0].split(',').slice(1).join(','))"""


def test_predictions_that_were_made_count_and_a_lesson_saves_them(driver, pages):
    visit(driver, pages / "rate.html")
    driver.execute_script("localStorage.clear()")
    visit(driver, pages / "rate.html")
    driver.execute_script(PREDICT, 3, 0)
    driver.execute_script("document.querySelector('[data-name=seed]').click()")
    assert kept(driver)["rate"]["parts"] == 1
    assert kept(driver)["rate"]["controls"]["seed"] == 1
    assert kept(driver)["rate"]["at"] == ""
    text = driver.execute_script(SAVED)
    state = State()
    assert add_course(state, text, "saved.json") == 1
    assert state.lessons["rate"].part == 1
    visit(driver, pages / "index.html")
    assert driver.execute_script("return document.querySelector('[data-done=rate]').textContent") \
        == "1 of 4 predictions; questions right: 0"
    assert json.loads(driver.execute_script(SAVED)) == json.loads(text)
    driver.execute_script("localStorage.clear()")


def test_what_is_revealed_gets_the_focus_and_little_is_read_aloud(driver, pages):
    visit(driver, pages / "rate.html")
    driver.execute_script("localStorage.clear()")
    visit(driver, pages / "rate.html")
    driver.execute_script(PREDICT, 3, 0)
    assert driver.execute_script("return document.activeElement.className") == "reveal"
    live = driver.execute_script("""return [...document.querySelectorAll(
        '.part [aria-live=polite], .part [role=status], .part output:not([aria-live=off])')]
        .map((element) => element.className)""")
    assert live == ["meant", "sentence"] * 4 + ["says"]
    driver.execute_script("localStorage.clear()")


def test_a_picture_of_a_question_is_not_made_smaller_on_a_phone(driver, pages):
    data = data_of(pages / "backward.html")
    number = next(i for i, question in enumerate(data["questions"]) if question["picture"])
    screen = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    visit(driver, pages / "backward.html")
    for _ in range(number):
        driver.execute_script("document.getElementById('another').click()")
    wait_until(driver, "return document.querySelector('.picture').complete")
    assert driver.execute_script("""const image = document.querySelector('.picture')
        return image.width === image.naturalWidth""")
    assert driver.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_script("localStorage.clear()")


def test_numbers_are_read_as_python_reads_them(driver, pages):
    data = data_of(pages / "backward.html")
    question = next(q for q in data["questions"] if not q["choices"])
    visit(driver, pages / "backward.html")
    while driver.execute_script("return document.querySelector('.asked').textContent") \
            != question["text"]:
        driver.execute_script("document.getElementById('another').click()")
    right = float(question["known"][0][0])
    for form in (f"{right!r}", f" {right:g} ", f"= {right:g}", f"{2 * right:g}/2",
                 f"{right:.4f}".replace(".", ","), f"{right:g}".replace("-", "\u2212")):
        assert driver.execute_script(ANSWER, form).startswith("Yes"), form
    for form in ("", "x", "0x10", "Infinity", "1/0", "1,000", "1/2/3", "--3"):
        assert driver.execute_script(ANSWER, form).startswith("Write a number"), form


def test_progress_of_the_pages_is_added_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = {"chain": {"parts": 2, "right": ["gradient-1-5"], "asked": ["gradient-1-5", "path-1-2"]},
            "unknown": {"parts": 1, "right": [], "asked": []}}
    text = json.dumps({"tinygrad_edu": "course", "lessons": done})
    state = State()
    for _ in range(2):
        assert add_course(state, text, "a.json") == 1
        assert (state.lessons["chain"].part, list(state.lessons)) == (2, ["chain"])
        assert (state.kinds["gradient"].asked, state.kinds["gradient"].right) == (1, 1)
        assert (state.kinds["path"].asked, state.kinds["path"].right) == (1, 0)
    (tmp_path / "saved.json").write_text(text, encoding="utf-8")
    assert main(["progress", "--import", str(tmp_path / "saved.json")]) == 0
    assert "1 lesson" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tinygrad_edu": "other", "lessons": {}}',
                                  '{"tinygrad_edu": "course", "lessons": {"chain": 3}}'])
def test_other_files_are_refused(text):
    with pytest.raises(DataError, match=r"a\.json is not what a page of the course saves"):
        add_course(State(), text, "a.json")


@pytest.mark.parametrize(("options", "error", "wrong"), [
    ({"questions": 0}, ValueError, "course: questions"),
    ({"questions": 2.5}, TypeError, "course: questions"),
    ({"seed": -1}, ValueError, "course: seed"),
])
def test_wrong_arguments_write_nothing(options, error, wrong, tmp_path):
    with pytest.raises(error, match=wrong):
        viz.course(tmp_path / "course", **options)
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(NotADirectoryError, match="file is a file; choose a folder"):
        viz.course(tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
