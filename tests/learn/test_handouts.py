"""Banks of questions, worksheets and class tests: read again by the programs that they are for."""

import base64
import csv
import io
import re
import shutil
import warnings
from html import escape, unescape
from html.parser import HTMLParser
from importlib.util import find_spec
from time import sleep
from xml.etree import ElementTree as ET

import pytest
from helpers import run_python

from tinygrad_edu.cli import main
from tinygrad_edu.cli.learning.handouts import BROWSERS
from tinygrad_edu.errors import DataError
from tinygrad_edu.learn import handouts
from tinygrad_edu.learn.handouts import class_test
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


class Tags(HTMLParser):
    """Collects the tags of a piece of HTML, and checks that they are closed."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.found = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def images(text):
    return [attrs["src"] for tag, attrs in Tags(text).found if tag == "img"]


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


# ---- worksheets

SHORT = ("update", "count", "classify")  # without pictures, which take long


def test_120_variants_differ_and_each_has_its_key():
    names = [f"student {i}" for i in range(120)]
    made = handouts.variants(2026, names, 3, SHORT)
    texts = [tuple(item.question.text for item in variant.items) for variant in made]
    assert len(set(texts)) == 120
    kinds = {tuple(item.topic for item in variant.items) for variant in made}
    assert kinds == {SHORT}
    sheet, key = handouts.sheet_page(made), handouts.key_page(made)
    Tags(re.sub(r"<meta[^>]*>|<!DOCTYPE html>", "", sheet))
    for variant, part in zip(made, key.split("<section>")[1:]):
        assert f"key of variant {variant.name}<" in part
        for i, item in enumerate(variant.items, 1):
            assert re.search(rf"<b>{i}\. ([a-d]\) )?{re.escape(item.shown)}</b>", part)
            assert f"Answer: {item.shown}" not in sheet
    assert handouts.variants(2026, names[5:6], 3, SHORT)[0].items[0].name == made[5].items[0].name


def test_a_sheet_has_pictures_with_blanks():
    made = handouts.variants(1, ["a"], 1, ["gradient"])
    page = handouts.sheet_page(made)
    assert page.count("<svg") == 1
    picture = made[0].items[0].picture
    assert re.sub(' id="[^"]*"', "", picture) in page
    assert "grad ?" in page


def ids_of(page):
    """Returns the ids of a page, and what refers to an id."""
    attributes = [pair for _, found in Tags(page).found for pair in found.items()]
    ids = [text for name, text in attributes if name == "id"]
    references = [text for name, text in attributes
                  if "url(#" in (text or "") or name in ("href", "xlink:href", "for")
                  or name.startswith(("aria-labelledby", "aria-describedby"))]
    return ids, references


def test_pictures_of_a_page_share_no_ids():
    made = handouts.variants(1, ["a", "b"], 5)
    page = re.sub(r"<meta[^>]*>|<!DOCTYPE html>", "", handouts.sheet_page(made))
    assert page.count("<svg") > 4
    ids, references = ids_of(page)
    assert len({*ids}) == len(ids)
    assert references == []  # so that an id which is left out is not missed
    first, second = [item.picture for item in made[0].items if item.picture][:2]
    assert len({*ids_of(first + second)[0]}) < len(ids_of(first + second)[0])


def test_names_must_differ():
    with pytest.raises(ValueError, match="the name 'ada' occurs twice"):
        handouts.variants(1, ["ada", "bob", "ada"])


# ---- the class test


def filled(seed, shares):
    """Returns a table in which student k answers ``shares[k]`` questions rightly before and after.
    """
    written = io.StringIO()
    rows = csv.writer(written)
    written.write(class_test.head(seed) + "\r\n")
    for time, test in zip(class_test.TIMES, class_test.sheets(seed)):
        for k, pair in enumerate(shares):
            right = pair[class_test.TIMES.index(time)]
            answers = [item.shown if i < right else "" for i, item in enumerate(test.items)]
            rows.writerow([f"s{k}", time, *answers])
    return written.getvalue()


def gained(text):
    seed, rows = class_test.read_answers(text)
    return class_test.gain(rows, seed)


def test_the_gain_of_a_class():
    found = gained(filled(3, [(3, 9), (6, 12), (0, 6)]))
    assert (found.students, found.before, found.after) == (3, 0.25, 0.75)
    assert found.gain == found.gain_low == found.gain_high == 0.5
    assert found.normalised == pytest.approx(0.5 / 0.75)
    assert found.questions[0] == (2 / 3, 1.0)
    assert "from +50% to +50%" in str(found)
    wide = gained(filled(3, [(3, 3), (0, 12), (6, 6)]))
    assert wide.gain_low == 0.0 < wide.gain < wide.gain_high == 1.0


def test_who_is_left_out_and_what_is_not_read_is_said():
    text = filled(3, [(3, 9), (6, 12)]) + f"late,after{',' * 12}\n"
    text = text.replace("s1,after,", "s1,After,xyz ", 1)
    found = gained(text)
    assert (found.students, found.left_out) == (2, ("late",))
    assert len(found.unread) == 1
    assert "s1, after, question 1" in str(found)
    assert "with one test only: late" in str(found)
    assert "confidence" not in str(gained(filled(3, [(3, 9)])))
    assert gained(text.replace(",", ";").replace("late;after", "late;after")).students == 2


@pytest.mark.parametrize("form", ["{0}", "{0})", "({0})", "{0}) {1}", "{1}"])
def test_choices_are_marked_by_letter_and_by_text(form):
    for kind in ("rule", "classify"):
        item = handouts.bank(4, 1, kinds=[kind])[0]
        letter = item.lettered[0]
        assert class_test._marked(item, form.format(letter, item.shown)) is True
        other = next("abcd"[i] for i, x in enumerate(item.choices) if x != item.shown)
        assert class_test._marked(item, other) is False


@pytest.mark.parametrize("seed", [0, 3, 27, 31])
def test_tests_before_and_after_ask_the_same_with_other_numbers(seed):
    before, after = class_test.sheets(seed)
    assert [item.topic for item in before.items] == [item.topic for item in after.items]
    assert all(first.question.text != second.question.text
               for first, second in zip(before.items, after.items))
    assert {item.topic for item in before.items} == KINDS.keys() - {"idea"}


@pytest.mark.parametrize(("text", "wrong"), [
    ("", "must begin with the line that class-test writes, such as code of test 0,time,1,2"),
    ("name,time\n", "must begin with the line"),
    (f"{class_test.head(2).replace(',1,', ',2,', 1)}\n", "must begin with the line"),
    (f"{class_test.head(2)}\n\nx,before,1\n", "line 3: 3 entries instead of 14"),
    (f"{class_test.head(2)}\nx,later{',' * 12}\n", "line 2: the time must be before or after"),
    (f"{class_test.head(2)}\n,after{',' * 12}\n", "line 2: there is no code"),
    (f"{class_test.head(2)}\nx,after{',' * 12}\nx,after{',' * 12}\n", "line 3: 'x' has answered"),
])
def test_a_table_that_cannot_be_read_says_where(text, wrong):
    with pytest.raises(DataError, match=wrong):
        class_test.read_answers(text)


# ---- the commands


def test_commands_write_files_and_say_what(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--seed", "7", "--questions", "3"]) == 0
    assert re.match(r"wrote bank\.xml: 3 questions, \d pictures?, of seed 7\n",
                    capsys.readouterr().out)
    assert main(["export", "--to", "text", "--questions", "2", "-o", "-"]) == 0
    assert capsys.readouterr().out == handouts.plain(handouts.bank(0, 2))
    (tmp_path / "ids.txt").write_text("ada\nbob\n", encoding="utf-8")
    assert main(["worksheet", "--students", "ids.txt", "--questions", "2", "-o", "out"]) == 0
    assert capsys.readouterr().out.endswith("2 variants of 2 questions, of seed 0\n")
    assert "Variant ada" in (tmp_path / "out" / "sheets.html").read_text(encoding="utf-8")
    assert main(["class-test", "--seed", "3", "-o", "test"]) == 0
    (tmp_path / "a.csv").write_text(filled(3, [(3, 9)]), encoding="utf-8")
    capsys.readouterr()
    assert main(["gains", "a.csv"]) == 0
    assert "Gain: +50%" in capsys.readouterr().out
    table = tmp_path / "test" / "answers.csv"
    table.write_text(filled(3, [(3, 9)]), encoding="utf-8")
    kept = table.read_bytes()
    assert main(["class-test", "--seed", "3", "-o", "test"]) == 0
    assert "kept test/answers.csv" in capsys.readouterr().out
    assert table.read_bytes() == kept
    sheets = (tmp_path / "test" / "sheets.html").read_text(encoding="utf-8")
    assert "Name:" not in sheets
    assert sheets.count("Your code, the same on both tests") == 2
    assert main(["worksheet", "-o", "a.csv"]) == 2
    assert "a.csv is a file; choose another folder" in capsys.readouterr().err


def test_answers_to_another_test_are_not_left_beside_new_sheets(tmp_path, capsys):
    assert main(["class-test", "--seed", "3", "-o", str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert main(["class-test", "--seed", "4", "-o", str(tmp_path)]) == 2
    assert "has the answers to the test of seed 3, not 4" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


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
    (["export", "--lesson", "chian"], "did you mean 'chain'|lessons"),
    (["gains", "missing.csv"], "missing.csv"),
    (["worksheet", "--students", "missing.txt"], "missing.txt"),
    (["worksheet", "--students", "ids.txt", "--variants", "1"],
     "give --students or --variants, not both: leave out --variants 1 for a worksheet for each "
     r"line of ids\.txt"),
])
def test_commands_refuse_in_one_line(arguments, wrong, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert re.search(wrong, said)
    assert said.count("\n") == 1
