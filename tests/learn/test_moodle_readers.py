"""Banks in Moodle XML, read by two programs that others wrote and keep.

Besides Moodle itself, no package reads all of a bank. moodle_xml_parser knows questions with
choices, and what is said to each answer; numerical questions write their answers in the same way,
so they are given to it as choices. amc2moodle, which prints Moodle's questions on paper, knows
both kinds, with tolerances and pictures, but nothing of what is said. It takes the logarithm of
answers, so it fails on an answer of 0.
"""

import io
import re
from textwrap import dedent

import pytest
from moodle_xml_parser.parser import parse_string

from tinygrad_edu.learn import handouts

ITEMS = handouts.bank(seed=7, count=60)
NOT_ZERO = [item for item in ITEMS if item.choices or item.question.answer]
BANK = handouts.moodle(ITEMS)


@pytest.fixture(scope="module")
def amc():
    return pytest.importorskip("amc2moodle.moodle2amc", reason="needs the library of ImageMagick",
                               exc_type=ImportError)


def without_paragraphs(text):
    return re.sub(r"</?p>", "", text)


def words_and_columns_of(text):
    """Returns the words of what is asked in HTML, and its lines that have columns."""
    columns = "\n".join(re.findall("(?s)<pre>(.*?)</pre>", text))
    return re.sub("</?(p|pre)>", " ", text.partition("<img")[0]).split(), columns


def columns_of(text):
    """Returns the lines of a question's text that have columns, without their indentation."""
    blocks = re.findall(r"(?m)(?:^  .*\n?)+", text)
    return "\n".join([dedent(block).removesuffix("\n") for block in blocks])


def differences_of_answers(text):
    """THE CHECKER: yields what moodle_xml_parser reads otherwise than it stands in the bank."""
    questions = parse_string(text.replace('type="numerical"', 'type="multichoice"'))["multichoice"]
    if [question.name for question in questions] != [item.name for item in ITEMS]:
        yield "the names"
    for question, item in zip(questions, ITEMS):
        asked = question.text_pre_parse
        words, columns = words_and_columns_of(asked)
        if columns != columns_of(item.text):
            yield f"the columns of {item.name}"
        if words != item.text.split() or ("<img" in asked) != bool(item.picture):
            yield f"what {item.name} asks"
        if without_paragraphs(question.general_feedback) != "".join(item.solution):
            yield f"the solution of {item.name}"
        if (question.single, question.default_grade) != (True, 1.0):
            yield f"the grade of {item.name}"
        read = [(without_paragraphs(option.answer), option.score_fraction,
                 without_paragraphs(option.feedback)) for option in question.options]
        if read != [*answers_of(item)]:
            yield f"the answers of {item.name}"


def answers_of(item):
    """Yields each answer of a question, its share of the grade, and what is said to it."""
    right = item.question.answer
    if not item.choices:
        yield repr(float(right)), 100.0, ""
    for answer in item.choices or item.feedback:
        said = item.feedback.get(answer, "")
        yield answer, 100.0 if answer == right else 0.0, said


def differences_of_numbers(text, amc, folder):
    """THE CHECKER: yields what amc2moodle reads otherwise than it stands in the bank."""
    elements = amc.Quiz(io.BytesIO(text.encode())).mdl.findall("question")
    questions = [amc.CreateQuestion(each.get("type"), each) for each in elements[1:]]
    if len(questions) != len(NOT_ZERO):
        yield f"{len(questions)} questions"
    for question, item in zip(questions, NOT_ZERO):
        question.figpath = str(folder)
        question.fileExport()
        files = [(folder / name).read_text("utf-8") for name in question.fileCreated]
        if files != [item.picture] * bool(item.picture):
            yield f"the picture of {item.name}"
        answers = question.answers()
        if item.choices:
            read = [(without_paragraphs(answer.findtext("text")), answer.tag) for answer in answers]
            right = item.question.answer
            if read != [(choice, "correctchoice" if choice == right else "wrongchoice")
                        for choice in item.choices]:
                yield f"the choices of {item.name}"
        elif not is_number_of(item, answers):
            yield f"the number or the tolerance of {item.name}"
    if len({*folder.iterdir()}) != sum(bool(item.picture) for item in NOT_ZERO):
        yield "pictures that replace each other"


def is_number_of(item, answers):
    """Returns whether amc2moodle has the number, and the tolerance rounded to its digits."""
    if float(answers.get("target", "nan")) != item.question.answer:
        return False
    read = dict(re.findall(r"(\w+) = ([^,]+)", answers.text))
    unit = 10.0 ** -int(read["decimals"])
    tolerance = item.tolerance(float(item.question.answer))
    return abs(int(read["exact"]) * unit - tolerance) <= 0.5 * unit * (1 + 1e-9)


def test_moodle_xml_parser_reads_the_questions_their_answers_and_what_is_said():
    assert [*differences_of_answers(BANK)] == []
    assert sum(not item.choices for item in ITEMS) > 15


FAULTS_OF_BOTH = [
    (r'(?s)<question type="numerical">.*', "</quiz>"),  # questions are missing
    ('fraction="100"', 'fraction="0"'),
    (r"<text>(-?\d+\.\d+)<", r"<text>1\1<"),  # another number
]


@pytest.mark.parametrize(("pattern", "replacement"), [
    *FAULTS_OF_BOTH,
    ('fraction="0"', 'fraction="100"'), ("Not quite: ", ""), (r"&lt;img", "img"),
    (r"</text>(\s*</generalfeedback>)", r" And so on.</text>\1"),
    (r"&lt;pre&gt;(.*)\n", r"&lt;pre&gt;\1 "), ("Given a", "a"),
    ("<single>true", "<single>false"), ("<defaultgrade>1", "<defaultgrade>2"),
])
def test_a_fault_of_questions_and_answers_is_found(pattern, replacement):
    text, count = re.subn(pattern, replacement, BANK, count=1)
    assert count == 1
    assert [*differences_of_answers(text)] != []


def test_amc2moodle_reads_numbers_tolerances_choices_and_pictures(amc, tmp_path):
    assert [*differences_of_numbers(handouts.moodle(NOT_ZERO), amc, tmp_path)] == []
    assert sum(bool(item.picture) for item in NOT_ZERO) > 5
    assert sum(not item.choices for item in NOT_ZERO) > 15


@pytest.mark.parametrize(("pattern", "replacement"), [
    *FAULTS_OF_BOTH,
    ("<tolerance>0.0", "<tolerance>0.1"), ("<tolerance>0.00", "<tolerance>0.000"),
    (r"(?s)<file .*?</file>", ""), (r'(encoding="base64">.{40}).{4}', r"\1QUJD"),
])
def test_a_fault_of_numbers_and_pictures_is_found(pattern, replacement, amc, tmp_path):
    text, count = re.subn(pattern, replacement, handouts.moodle(NOT_ZERO), count=1)
    assert count == 1
    assert [*differences_of_numbers(text, amc, tmp_path)] != []


def test_pictures_of_one_name_would_replace_each_other(amc, tmp_path):
    text = re.sub(r'name="[^"]*\.svg"', 'name="graph.svg"', handouts.moodle(NOT_ZERO))
    assert [*differences_of_numbers(text, amc, tmp_path)] == ["pictures that replace each other"]
