"""Worksheets and their key: the questions of each student, and the pages to print."""

import re
import shutil

import pytest
from tags import Tags

from tinygrad_edu.cli import main
from tinygrad_edu.cli.learning.handouts import BROWSERS
from tinygrad_edu.learn import handouts
from tinygrad_edu.learn.handouts.bank import names_of
from tinygrad_edu.learn.lessons import LESSONS
from tinygrad_edu.learn.questions import KINDS

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
    rows = re.findall("<tr><th>(student [0-9]+)</th>(.*?)</tr>", key)
    for variant, part, row in zip(made, key.split("<h2>")[1:], rows, strict=True):
        assert part.startswith(f"Sheet {variant.name}<")
        cells = "".join([f"<td>{item.letter or item.shown}</td>" for item in variant.items])
        assert row == (variant.name, cells)
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


def test_worksheets_of_a_seed_stay_as_they_are():
    items = handouts.variants(1, ["ada"])[0].items
    assert [item.name for item in items] == [
        "value-1-77677", "gradient-1-73811", "path-2-33505", "rule-2-99620",
        "line-3-18766", "update-3-75283", "count-4-58749", "classify-5-39719",
    ]


@pytest.mark.parametrize("lessons", [[name] for name in LESSONS] + [["optimisers", "rate"]])
def test_worksheets_of_lessons_are_about_them_and_alike_for_all(lessons):
    made = handouts.variants(4, ["ada", "bob", "cy"], 8, lessons=lessons)
    topics = [item.topic for item in made[0].items]
    own = set(names_of(lessons))
    assert set(topics) - own == set() or not own & KINDS.keys()
    assert set(topics) - KINDS.keys() != set()
    for variant in made:
        assert [item.topic for item in variant.items] == topics
        assert len({item.question.text for item in variant.items}) == 8
        assert all(item.question.mark(item.shown).right for item in variant.items)
    same = {first.topic for first, second in zip(made[0].items, made[1].items)
            if first.question.text == second.question.text}
    assert set(topics) - KINDS.keys() <= same
    assert len({tuple(item.name for item in variant.items if item.topic in KINDS)
                for variant in made}) == 3
    orders = {tuple(item.choices for item in variant.items if item.topic not in KINDS)
              for variant in made}
    assert len(orders) == 3
    again = handouts.variants(4, ["bob"], 8, lessons=[*lessons[::-1], lessons[0]])
    assert [item.name for item in again[0].items] == [item.name for item in made[1].items]


def test_kinds_are_asked_also_if_there_are_lessons_as_in_a_bank():
    made = handouts.variants(1, ["a"], 3, ["count"], lessons=["rate"])
    assert [item.topic for item in made[0].items] == ["count"] * 3
    with pytest.raises(ValueError, match=r"variants: lessons .*did you mean 'rate'"):
        handouts.variants(1, ["a"], lessons=["rates"])


def test_no_question_is_twice_on_a_sheet():
    items = handouts.variants(0, ["a"], 60, ["classify"])[0].items
    assert len({item.question.text for item in items}) == 60


def test_a_command_writes_worksheets_of_lessons(tmp_path, capsys):
    command = ["worksheet", "--lesson", "rate", "--lesson", "optimisers", "--variants", "2"]
    assert main([*command, "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("of seed 0 on rate, optimisers\n")
    made = handouts.variants(0, ["001", "002"], lessons=["rate", "optimisers"])
    assert (tmp_path / "sheets.html").read_text("utf-8") == handouts.sheet_page(made)


def test_a_key_begins_with_tables_that_fit_on_a_page():
    made = handouts.variants(1, ["a", "b"], 30, SHORT)
    tables = re.findall("(?s)<table>(.*?)</table>", handouts.key_page(made).partition("<h2>")[0])
    assert [table.count("<tr>") for table in tables] == [3, 3, 3]
    heads = [[*map(int, re.findall(r"<th>(\d+)</th>", table))] for table in tables]
    assert heads == [[*range(1, 13)], [*range(13, 25)], [*range(25, 31)]]


def pages_of(path):
    return len(re.findall(rb"/Type\s*/Page\b", path.read_bytes()))


def test_a_printed_worksheet_has_two_pages_and_a_key_one_and_a_half_for_a_student(tmp_path):
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("needs a browser")
    assert main(["worksheet", "--seed", "5", "--variants", "6", "--pdf", "-o", str(tmp_path)]) == 0
    assert 12 <= pages_of(tmp_path / "sheets.pdf") <= 13
    assert pages_of(tmp_path / "key.pdf") <= 1 + 6 * 1.5
