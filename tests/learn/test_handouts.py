"""Banks of questions, worksheets and class tests: read again by the programs that they are for."""

import base64
import io
import re
import shutil
import warnings
from html import escape, unescape
from importlib.util import find_spec
from time import sleep
from xml.etree import ElementTree as ET

import pytest
from helpers import run_python
from tags import Tags, images

from tinygrad_edu.cli import main
from tinygrad_edu.cli.learning.handouts import BROWSERS
from tinygrad_edu.learn import handouts
from tinygrad_edu.learn.handouts.bank import names_of
from tinygrad_edu.learn.handouts.markup import as_html
from tinygrad_edu.learn.lessons import LESSONS
from tinygrad_edu.learn.questions import KINDS
from tinygrad_edu.learn.questions.ideas import IDEAS, about

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # both ask for the locale in an old way
    from anki.collection import Collection, ImportCsvRequest
    from pygiftparser import parser as gift_parser

ITEMS = handouts.bank(seed=7, count=40)
# what question/format/xml/format.php of Moodle accepts
FRACTIONS = {"100", "0"}
FORMATS = {"html", "moodle_auto_format", "plain_text", "markdown"}
NUMBERINGS = {"abc", "ABCD", "123", "iii", "IIII", "none"}


def rules_of_moodle(text):
    """THE CHECKER: yields what Moodle's importer would refuse or change."""
    quiz = ET.fromstring(text)
    names = []
    for question in quiz:
        kind = question.get("type")
        if kind == "category":
            if not question.findtext("category/text", "").startswith("$course$"):
                yield "a category outside of the course"
            continue
        name = question.findtext("name/text", "")
        names.append(question.findtext("idnumber", ""))
        if not 0 < len(name) <= 255 or not 0 < len(names[-1]) <= 100:
            yield f"the name {name!r}"
        if kind not in ("numerical", "multichoice"):
            yield f"the kind {kind}"
        if not 0 <= float(question.findtext("penalty", "2")) <= 1:
            yield f"the penalty of {name}"
        for element in question.iter():
            if element.get("format", "html") not in FORMATS:
                yield f"the format {element.get('format')}"
            if element.get("format") == "html":
                Tags(element.findtext("text", ""))
        answers = question.findall("answer")
        fractions = [answer.get("fraction") for answer in answers]
        if not FRACTIONS.issuperset(fractions) or fractions.count("100") != 1:
            yield f"the fractions {fractions} of {name}"
        if kind == "multichoice":
            if question.findtext("single") not in ("true", "false") or len(answers) < 2:
                yield f"the choices of {name}"
            if question.findtext("answernumbering") not in NUMBERINGS:
                yield f"the numbering of {name}"
        else:
            ranges = [(float(answer.findtext("text")), float(answer.findtext("tolerance")))
                      for answer in answers]
            if ranges[0][1] < 0 or fractions[0] != "100":  # the first one that fits is taken
                yield f"the order of {name}"
            if any(abs(x - ranges[0][0]) <= ranges[0][1] for x, _ in ranges[1:]):
                yield f"a wrong answer of {name} that counts as right"
        shown = question.find("questiontext")
        files = [file.get("name") for file in shown.findall("file")]
        used = [address.rpartition("/")[2] for address in images(shown.findtext("text"))]
        if files != used:
            yield f"the pictures of {name}"
    if len(set(names)) < len(names):
        yield "a name that occurs twice"


def test_moodle_accepts_every_question():
    assert [*rules_of_moodle(handouts.moodle(ITEMS))] == []


@pytest.mark.parametrize(("wrong", "planted"), [
    ('fraction="100"', 'fraction="99"'), ("<single>true", "<single>yes"),
    ("abc</answernumbering>", "a</answernumbering>"), ('type="numerical"', 'type="number"'),
    ('.svg" path', '.png" path'), ('format="html"', 'format="web"'),
    ("<penalty>0.3333333", "<penalty>3"), ("<tolerance>", "<tolerance>-"),
])
def test_checker_reports_what_moodle_would_refuse(wrong, planted):
    text = handouts.moodle(ITEMS)
    assert [*rules_of_moodle(text.replace(wrong, planted, 1))] != []
    assert wrong in text


def counts_of_moodle():
    quiz = ET.fromstring(handouts.moodle(ITEMS))
    questions = quiz.findall("question")[1:]
    pictures = [base64.b64decode(file.text) for file in quiz.iter("file")]
    assert all(picture.startswith(b"<svg") or b"<svg" in picture[:300] for picture in pictures)
    return len(questions), len(pictures), [len(each.findall("answer")) for each in questions]


def counts_of_gift():
    # this parser does not know negative numbers, which Moodle reads
    text = re.sub(r"^(\t=(?:%0%)?)-", r"\1", handouts.gift(ITEMS), flags=re.M)
    questions = gift_parser.parseFile(io.StringIO(text))
    answers = [len(each.answers.answers) for each in questions]
    texts = [re.sub(r"\\([~=#{}:\\])", r"\1", each.text) for each in questions]
    pictures = sum(len(images(text)) for text in texts)
    return len(questions), pictures, answers


def test_moodle_and_gift_have_the_same_questions_answers_and_pictures():
    assert counts_of_gift() == counts_of_moodle()
    pictures = sum(bool(item.picture) for item in ITEMS)
    assert counts_of_moodle()[:2] == (40, pictures)
    assert pictures > 5


def test_anki_imports_a_bank_and_imports_it_again_without_doubling(tmp_path):
    path = tmp_path / "bank.txt"
    path.write_text(handouts.anki(ITEMS), encoding="utf-8")
    collection = Collection(str(tmp_path / "collection.anki2"))
    metadata = collection.get_csv_metadata(path=str(path), delimiter=None)
    for new in (40, 0):
        done = collection.import_csv(ImportCsvRequest(path=str(path), metadata=metadata))
        assert (len(done.log.new), collection.note_count()) == (new, 40)
    notes = [collection.get_note(i) for i in collection.find_notes("")]
    fronts, backs = zip(*[note.fields for note in notes])
    assert sum(len(images(front)) for front in fronts) == counts_of_moodle()[1]
    assert sorted(front.count("<li>") for front in fronts) == sorted(
        len(item.choices) for item in ITEMS
    )
    for item in ITEMS:
        assert any(f"<b>{item.shown}</b>" in back for back in backs) or "<" in item.shown
    collection.close()


def test_answers_and_feedback_are_those_of_the_question():
    for item in ITEMS:
        assert item.question.mark(item.shown).right
        for wrong, said in item.feedback.items():
            assert str(item.question.mark(wrong)) == said
            assert said.startswith("Not")
    assert {item.topic for item in ITEMS}.issuperset({"gradient", "rule", "update"})
    assert len({item.question.text for item in ITEMS}) == 40


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_bank_of_a_lesson_is_about_it(lesson):
    own = set(names_of([lesson]))
    items = handouts.bank(0, 20, lessons=[lesson])
    ideas = [item for item in items if item.topic not in KINDS]
    assert {item.topic for item in ideas} <= own
    assert len(ideas) == min(10, len(own - KINDS.keys()))
    if numbers := own & KINDS.keys():
        assert {item.topic for item in items} - {item.topic for item in ideas} <= numbers


def test_the_tolerance_is_that_of_the_mark():
    for item in handouts.bank(2, 60, kinds=["update"]):
        answer = float(item.question.answer)
        for share in (0.9, -0.9):
            inside = answer + share * item.tolerance(answer)
            assert item.question.mark(repr(inside)).right


def test_a_formula_is_chosen_among_formulas():
    item = handouts.bank(1, 1, kinds=["rule"])[0]
    assert item.shown in item.choices
    assert 3 <= len(item.choices) <= 4
    assert "Write a formula" not in item.text
    assert [item.question.mark(choice).right for choice in item.choices].count(True) == 1


def test_a_text_bank_has_questions_first_and_answers_last():
    asked, answered = handouts.plain(ITEMS).split("\n\nANSWERS\n\n")
    assert re.findall(r"^(\d+)\. ", asked, re.M)[-1] == re.findall(r"^(\d+)\. ", answered, re.M)[-1]
    assert f"40. {ITEMS[-1].lettered}" in answered


@pytest.mark.parametrize("name", IDEAS)
def test_a_sentence_in_html_has_no_breaks_of_a_terminal(name):
    asked = about(name)
    assert as_html(asked.text, "<b>1.</b> ") == (
        f"<p><b>1.</b> {escape(' '.join(asked.text.split()), quote=False)}</p>"
    )


@pytest.mark.parametrize(("kind", "paragraphs"), [
    ("optimiser", 2), ("update", 2), ("count", 2), ("classify", 2), ("rule", 2),
])
def test_what_is_given_and_what_is_asked_are_paragraphs_in_html(kind, paragraphs):
    for item in handouts.bank(3, 20, kinds=[kind]):
        text = as_html(item.text)
        assert text.count("<p>") == paragraphs
        assert text.count("<pre>") == (kind == "optimiser")
        assert "\n" not in re.sub("(?s)<pre>.*</pre>", "", text)


def test_columns_in_html_are_as_in_the_terminal():
    items = handouts.bank(1, 30, kinds=["line", "optimiser", "path"])
    assert "white-space" not in handouts.moodle(items) + handouts.gift(items) + handouts.anki(items)
    for item in items:
        columns = re.findall("(?s)<pre>(.*?)</pre>", as_html(item.text))
        lines = unescape("\n".join(columns)).split("\n")
        ends = {indented.removesuffix(line) for indented, line in
                zip(re.findall("(?m)^  .*", item.text), lines, strict=True)}
        assert all(end.strip() == "" and end for end in ends)
        assert len(columns) == {"line": 2}.get(item.topic, 1)


CODE = """
from tinygrad_edu.learn import handouts
items = handouts.bank(7, 12)
made = handouts.variants(5, ["ada", "bob"], 4)
print([write(items) for write in handouts.FORMATS.values()],
      handouts.sheet_page(made), handouts.key_page(made))
"""


def test_every_process_writes_the_same_bytes():
    first, second = [run_python(CODE, hash_seed=seed) for seed in ("1", "2")]
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout != ""


@pytest.mark.parametrize(("arguments", "wrong"), [
    ({"seed": -1, "count": 3}, "bank: seed must be a whole number"),
    ({"seed": 1, "count": 0}, "bank: count must be a whole number"),
    ({"seed": 1, "count": 3, "level": 6}, "bank: level must be a whole number"),
    ({"seed": 1, "count": 3, "lessons": ["chian"]}, "bank: lessons .*chain"),
    ({"seed": 1, "count": 3, "kinds": ["grad"]}, "bank: kinds .*gradient"),
    ({"seed": 1, "count": 999, "kinds": ["classify"], "level": 1}, "not 999 different questions"),
])
def test_a_bank_that_cannot_be_made_says_why(arguments, wrong):
    with pytest.raises(ValueError, match=wrong):
        handouts.bank(**arguments)


# ---- the commands


def test_commands_write_files_and_say_what(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--seed", "7", "--questions", "3"]) == 0
    assert re.match(r"wrote bank\.xml: 3 questions, \d pictures?, of seed 7\n",
                    capsys.readouterr().out)
    assert main(["export", "--to", "text", "--questions", "2", "-o", "-"]) == 0
    assert capsys.readouterr().out == handouts.plain(handouts.bank(0, 2))
    assert main(["export", "--to", "text", "--lesson", "rate", "--lesson", "cost"]) == 0
    assert capsys.readouterr().out == "wrote bank.txt: 50 questions, of seed 0 on rate, cost\n"
    (tmp_path / "ids.txt").write_text("ada\nbob\n", encoding="utf-8")
    assert main(["worksheet", "--students", "ids.txt", "--questions", "2", "-o", "out"]) == 0
    assert capsys.readouterr().out.endswith("2 variants of 2 questions, of seed 0\n")
    assert "Sheet ada<" in (tmp_path / "out" / "sheets.html").read_text(encoding="utf-8")
    (tmp_path / "a.csv").touch()
    assert main(["worksheet", "-o", "a.csv"]) == 2
    assert "a.csv is a file; choose another folder" in capsys.readouterr().err


def test_a_pdf_has_the_same_bytes_each_time(tmp_path):
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("needs a browser")
    for name in ("first", "second"):
        assert main(["worksheet", "--questions", "2", "--pdf", "-o", str(tmp_path / name)]) == 0
        sleep(1.1)  # dates in a PDF have seconds
    first, second = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
                     for name in ("first", "second")]
    assert first == second
    assert first.keys() == {"sheets.html", "key.html", "sheets.pdf", "key.pdf"}
    for name in ("sheets.pdf", "key.pdf"):
        assert b"CreationDate" not in first[name]
        start = int(re.search(rb"startxref\s+(\d+)\s+%%EOF\s*$", first[name])[1])
        assert first[name].startswith(b"%PDF-")
        assert re.match(rb"xref\s|\d+ 0 obj", first[name][start:])  # no byte has moved


def test_pdfs_of_an_earlier_worksheet_are_named(tmp_path, capsys):
    (tmp_path / "key.pdf").write_bytes(b"%PDF-")
    assert main(["worksheet", "--questions", "1", "-o", str(tmp_path)]) == 0
    assert f"{tmp_path / 'key.pdf'} from before: print again" in capsys.readouterr().out
    assert (tmp_path / "key.pdf").read_bytes() == b"%PDF-"


@pytest.fixture
def no_printer(monkeypatch, tmp_path):
    """Has no browser on the PATH but one that fails."""
    if find_spec("weasyprint"):
        pytest.skip("weasyprint is installed, and does not fail")
    browser = tmp_path / "bin" / "chromium"
    browser.parent.mkdir()
    browser.write_text("#!/bin/sh\nexit 1\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(browser.parent))


def test_files_from_before_are_replaced_all_or_not_at_all(tmp_path, capsys, no_printer):
    folder = tmp_path / "sheets"
    worksheet = ["worksheet", "--questions", "2", "-o", str(folder), "--seed"]
    assert main([*worksheet, "1"]) == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main([*worksheet, "2", "--pdf"]) == 2
    assert "could not print the pages; leave out --pdf" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert main([*worksheet, "2"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()}.keys() == first.keys()
    assert (folder / "key.html").read_bytes() != first["key.html"]


@pytest.mark.parametrize("command", ["course", "export", "worksheet", "class-test", "draw"])
def test_help_says_that_files_are_replaced(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "same names are replaced" in said or "a file that exists is replaced" in said
    assert ("answers.csv is kept" in said) == (command == "class-test")


@pytest.mark.parametrize(("arguments", "wrong"), [
    (["export", "--to", "canvas"], "--to"),
    (["export", "--lesson", "chian"], "export: --lesson .* did you mean 'chain'"),
    (["quiz", "--lesson", "rate,optimisers"],
     "not 'rate,optimisers'; repeat it, as in --lesson rate --lesson optimisers"),
    (["worksheet", "--lesson", "chain, rate"], "repeat it, as in --lesson chain --lesson rate"),
    (["class-test", "--lesson", "optimizers"], "did you mean 'optimisers'"),
    (["export", "--questions", "10001"], "export: --questions must be .* from 1 to 10,000"),
    (["quiz", "--questions", "10001"], "quiz: --questions must be .* from 1 to 10,000"),
    (["course", "--questions", "501"], "course: --questions must be .* from 1 to 500"),
    (["practice", "gradiant"], "practice: the question or exercise .* did you mean 'gradient'"),
    (["worksheet", "--questions", "101"], "worksheet: --questions must be .* from 1 to 100"),
    (["worksheet", "--students", "twice.txt"], "worksheet: the name 'ada' occurs twice"),
    (["export", "--lesson", "cost", "--questions", "300"], "export: there are not 300 different"),
    (["gains", "missing.csv"], "missing.csv"),
    (["worksheet", "--students", "missing.txt"], "missing.txt"),
    (["worksheet", "--students", "ids.txt", "--variants", "1"],
     "give --students or --variants, not both: leave out --variants 1 for a worksheet for each "
     r"line of ids\.txt"),
])
def test_commands_refuse_in_one_line(arguments, wrong, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twice.txt").write_text("ada\nada\n", encoding="utf-8")
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert re.search(wrong, said)
    assert said.count("\n") == 1
