"""The pages of the course, in a real browser: every lesson is read to its end."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import viz
from tests.browser import chromium, console, requests, visit
from tests.viz.pages.test_viz_access import findings
from tinygrad_edu import learn
from tinygrad_edu.cli import main
from tinygrad_edu.errors import DataError
from tinygrad_edu.learn.evidence import FAILED
from tinygrad_edu.learn.lessons import LESSONS
from tinygrad_edu.learn.progress import State, add_course
from viz.pages.course.page import index_page, lesson_page

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
QUESTIONS = 6
MOST_BYTES = 600_000


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Writes the course, with few questions, and returns its folder."""
    folder = tmp_path_factory.mktemp("course")
    written = viz.course(folder, questions=QUESTIONS)
    assert [path.name for path in written] == ["index.html", *[f"{name}.html" for name in LESSONS]]
    return folder


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"))[1])


@pytest.fixture(scope="module")
def axe():
    found = find_spec("axe_core_python")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


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
MOVE = """const slider = document.querySelectorAll('.part')[arguments[0]]
      .querySelector('input[type=range]');
    slider.value = arguments[1]; slider.dispatchEvent(new Event('input'))"""
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
    assert faults(driver, axe) == []
    answer(driver, data)
    assert faults(driver, axe) == []
    assert requests(driver) == [path.resolve().as_uri()]
    assert console(driver) == []
    assert driver.execute_script(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    kept = json.loads(driver.execute_script("return localStorage.getItem('tinygrad_edu.course')"))
    assert kept[name]["parts"] == len(LESSONS[name].parts)
    assert len(kept[name]["asked"]) == 3
    assert 2 <= len(kept[name]["right"]) <= 3


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


def test_a_page_can_be_read_without_a_script(pages):
    page = (pages / "chain.html").read_text(encoding="utf-8")
    for part in LESSONS["chain"].parts:
        assert learn.claims[part.claim.name].run(0).sentence.split(".")[0][:30] in page
    assert "@media print" in page


def test_a_page_of_fifty_questions_is_small(tmp_path):
    assert lesson_page("backward").save(tmp_path / "page.html").stat().st_size < MOST_BYTES


def test_a_page_opens_as_it_was_left(driver, pages):
    path = pages / "rate.html"
    data = data_of(path)
    visit(driver, path)
    driver.execute_script("localStorage.clear()")
    visit(driver, path)
    driver.execute_script(PREDICT, 0, 1)
    driver.execute_script(PREDICT, 3, data["parts"][3]["right"])
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
    driver.execute_script(
        "localStorage.setItem('tinygrad_edu.course', JSON.stringify({ chain: "
        "{ parts: 2, right: ['gradient-1-5'], asked: ['gradient-1-5', 'path-1-2'] } }))"
    )
    visit(driver, page)
    assert driver.execute_script("return document.querySelector('[data-done=chain]').textContent") \
        == "2 of 4 predictions; questions right: 1"
    assert len(re.findall(r'href="(\w+)\.html"', page.read_text(encoding="utf-8"))) == 12
    assert console(driver) == []


@pytest.mark.parametrize("kept", [
    "null", "[", "3", '"text"', '{"rate": null}', '{"rate": 3}',
    '{"rate": {"parts": "x", "right": 3, "asked": {}, "chosen": null, "at": []}}',
    '{"rate": {"chosen": {"0": "no such choice", "1": 7}}}',
])
def test_damaged_progress_in_the_browser_does_not_matter(driver, kept, pages):
    for page in (pages / "index.html", pages / "rate.html"):
        visit(driver, page)
        driver.execute_script("localStorage.setItem('tinygrad_edu.course', arguments[0])", kept)
        visit(driver, page)
        assert console(driver) == []
    driver.execute_script(PREDICT, 1, 0)
    kept = json.loads(driver.execute_script("return localStorage.getItem('tinygrad_edu.course')"))
    assert kept["rate"]["parts"] == 2
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
