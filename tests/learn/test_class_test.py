"""The test before and after a course: its questions, its table of answers, and the gain."""

import csv
import io
import math
import random
import re

import pytest

from tinygrad_edu.cli import main
from tinygrad_edu.errors import DataError
from tinygrad_edu.learn import handouts
from tinygrad_edu.learn.handouts import class_test
from tinygrad_edu.learn.handouts.bank import names_of
from tinygrad_edu.learn.handouts.likeness import like, structure
from tinygrad_edu.learn.questions import KINDS


def filled(seed, shares, lessons=()):
    """Returns a table in which student k answers ``shares[k]`` questions rightly before and after.
    """
    written = io.StringIO()
    rows = csv.writer(written)
    written.write(class_test.head(seed, lessons) + "\r\n")
    for time, test in zip(class_test.TIMES, class_test.sheets(seed, lessons)):
        for k, pair in enumerate(shares):
            right = pair[class_test.TIMES.index(time)]
            answers = [item.shown if i < right else "" for i, item in enumerate(test.items)]
            rows.writerow([f"s{k}", time, *answers])
    return written.getvalue()


def gained(text):
    return class_test.gain(class_test.read_answers(text))


def test_the_gain_of_a_class():
    found = gained(filled(3, [(3, 9), (6, 12), (0, 6)]))
    assert (found.students, found.before, found.after) == (3, 0.25, 0.75)
    assert found.gain == found.gain_low == found.gain_high == 0.5
    assert found.normalised == pytest.approx(0.5 / 0.75)
    assert found.questions[0] == (2 / 3, 1.0)
    assert "Gain: +50 percentage points, with 95 % confidence from +50 to +50." in str(found)
    assert "of what was missing before" in str(found)
    assert re.search(r"(?m)^ {7}1 +67% +100%  value \(lesson forward\)$", str(found))
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


def distance(first, second):
    wanted, found = structure(first), structure(second)
    return ((wanted - found) + (found - wanted)).total()


@pytest.mark.parametrize("seed", [0, 3, 27, 31])
def test_tests_before_and_after_are_alike_one_by_one(seed):
    before, after = class_test.sheets(seed)
    assert len({item.question.text for item in after.items}) == 12
    assert [item.question.level for item in before.items] == [
        item.question.level for item in after.items
    ]
    distances = {first: distance(first, second)
                 for first, second in zip(before.items, after.items)}
    assert [*distances.values()].count(0) >= 10
    assert {item.topic for item, far in distances.items() if far} <= {
        "gradient", "path", "line", "rule"  # of which some have a structure of their own
    }
    for first, second in zip(before.items, after.items):
        if first.topic in ("classify", "optimiser"):
            assert first.shown == second.shown


def without_numbers(text):
    return re.sub(r"-?\d+(\.\d+)?", "#", " ".join(text.split()))


@pytest.mark.parametrize(("kind", "same"), [
    ("update", lambda item: without_numbers(item.text)),
    ("count", lambda item: without_numbers(item.text)),
    ("classify", lambda item: (item.shown, without_numbers(item.text))),
    ("optimiser", lambda item: (item.shown, without_numbers(item.text))),
    ("path", lambda item: len(item.question.involved)),
    ("line", lambda item: item.question.hints[1]),  # the mistake
])
def test_a_question_like_another_has_its_structure(kind, same):
    draw = random.Random(1)
    for item in handouts.bank(3, 10, kinds=[kind], level=3):
        other = like(item, draw)
        assert other.text != item.text
        assert same(other) == same(item)


def test_questions_of_other_structures_are_told_apart():
    items = handouts.bank(3, 40, kinds=["classify"], level=2)
    assert {(distance(items[0], item) == 0) == (items[0].shown == item.shown)
            for item in items} == {True}
    graphs = handouts.bank(3, 40, kinds=["gradient"], level=3)
    assert sum(distance(graphs[0], item) > 0 for item in graphs[1:]) > 0


def test_a_question_like_another_is_none_of_those_that_are_there():
    item = handouts.bank(3, 1, kinds=["classify"], level=1)[0]
    first = like(item, random.Random(1))
    second = like(item, random.Random(1), [first.question.text])
    assert first.text != second.text


ABOUT = ("rate", "optimisers")


def test_a_test_on_lessons_asks_about_them_and_each_idea_twice():
    before, after = class_test.sheets(5, ABOUT[::-1])
    assert [item.topic for item in before.items] == [item.topic for item in after.items]
    assert {item.topic for item in before.items} < set(names_of(ABOUT))
    ideas = 0
    for first, second in zip(before.items, after.items):
        is_idea = first.topic not in KINDS
        ideas += is_idea
        assert (first.text == second.text) == is_idea
        assert first.choices != second.choices or not is_idea
    assert ideas == 6
    assert [item.name for item in class_test.sheets(5, ABOUT)[1].items] == [
        item.name for item in after.items
    ]


def test_answers_to_a_test_on_lessons_are_marked_with_its_key():
    text = filled(5, [(3, 9), (6, 12)], ABOUT)
    assert text.startswith("code of test 5 on rate optimisers,time,1,")
    assert class_test.read_answers(text).lessons == ABOUT
    found = gained(text)
    assert (found.before, found.after) == (4.5 / 12, 10.5 / 12)
    assert found.topics == tuple(item.topic for item in class_test.sheets(5, ABOUT)[0].items)
    assert "optimiser (lesson optimisers)" in str(found)
    assert "update (lessons descent, rate)" in str(found)
    assert "what sets the step (lesson rate)" in str(found)


def test_nothing_can_be_gained_if_all_was_right_before():
    found = gained(filled(3, [(12, 12), (12, 9)]))
    assert math.isnan(found.normalised)
    said = str(found)
    assert "nan" not in said
    assert "Normalised gain: none, because nothing was missing before: all answers" in said
    assert "Gain: -12 percentage points, with 95 % confidence from -25 to +0." in said


@pytest.mark.parametrize(("text", "wrong"), [
    ("", "must begin with the line that class-test writes, such as code of test 0,time,1,2"),
    ("name,time\n", "must begin with the line"),
    (f"{class_test.head(2).replace(',1,', ',2,', 1)}\n", "must begin with the line"),
    ("code of test 2 on rates,time", "must begin with the line"),
    (f"{class_test.head(2, ['rates'])}\n", "must begin with the line"),
    (f"{class_test.head(2)}\n\nx,before,1\n", "line 3: 3 entries instead of 14"),
    (f"{class_test.head(2)}\nx,later{',' * 12}\n", "line 2: the time must be before or after"),
    (f"{class_test.head(2)}\n,after{',' * 12}\n", "line 2: there is no code"),
    (f"{class_test.head(2)}\nx,after{',' * 12}\nx,after{',' * 12}\n", "line 3: 'x' has answered"),
])
def test_a_table_that_cannot_be_read_says_where(text, wrong):
    with pytest.raises(DataError, match=wrong):
        class_test.read_answers(text)


# ---- the commands


def test_commands_write_the_tests_and_report_the_gain(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["class-test", "--seed", "3", "-o", "test"]) == 0
    (tmp_path / "a.csv").write_text(filled(3, [(3, 9)]), encoding="utf-8")
    capsys.readouterr()
    assert main(["gains", "a.csv"]) == 0
    assert "Gain: +50 percentage points." in capsys.readouterr().out
    table = tmp_path / "test" / "answers.csv"
    table.write_text(filled(3, [(3, 9)]), encoding="utf-8")
    kept = table.read_bytes()
    assert main(["class-test", "--seed", "3", "-o", "test"]) == 0
    assert "kept test/answers.csv" in capsys.readouterr().out
    assert table.read_bytes() == kept
    sheets = (tmp_path / "test" / "sheets.html").read_text(encoding="utf-8")
    assert "Name:" not in sheets
    assert sheets.count("Your code, the same on both tests (no name): _") == 2
    assert sheets.count("<span>Test before the course</span>") == 1
    assert "<h2>Test after the course</h2>" in (tmp_path / "test" / "key.html").read_text("utf-8")


def test_answers_to_another_test_are_not_left_beside_new_sheets(tmp_path, capsys):
    assert main(["class-test", "--seed", "3", "-o", str(tmp_path)]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert main(["class-test", "--seed", "4", "-o", str(tmp_path)]) == 2
    assert "has the answers to the test of seed 3, not of seed 4" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_test_on_other_lessons_is_not_left_beside_answers(tmp_path, capsys):
    command = ["class-test", "-o", str(tmp_path), "--seed", "3"]
    assert main([*command, "--lesson", "optimisers", "--lesson", "rate"]) == 0
    assert "of seed 3 on rate, optimisers" in capsys.readouterr().out
    assert main(command) == 2
    assert capsys.readouterr().err.endswith("or --seed 3 --lesson rate --lesson optimisers\n")
    assert main([*command, "--lesson", "rate", "--lesson", "optimisers"]) == 0
    assert "kept" in capsys.readouterr().out


def test_nobody_with_both_tests_is_said_without_names_of_functions(tmp_path, capsys):
    path = tmp_path / "answers.csv"
    path.write_text(f"{class_test.head(3)}\nx,before{',' * 12}\n", encoding="utf-8")
    assert main(["gains", str(path)]) == 2
    assert capsys.readouterr().err.startswith("tinygrad-edu gains: nobody answered both tests;")
