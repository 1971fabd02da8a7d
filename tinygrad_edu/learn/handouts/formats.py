"""Writers of a bank of questions: Moodle XML, GIFT, Anki's text, and plain text.

    >>> from tinygrad_edu.learn.handouts import bank, plain
    >>> print(plain(bank(seed=7, count=1, kinds=["update"])))  # doctest: +ELLIPSIS
    1. A weight w is ...

Pictures are inside the text, so that a bank is one file.  Equal banks give equal files.

Sources: Moodle's documentation of the formats "Moodle XML" and "GIFT"; Anki's manual, "Importing",
"File headers".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from html import escape
from xml.etree import ElementTree as ET

from ..questions.answers import LETTERS
from .bank import Item
from .markup import as_html

TITLE = "Questions on backpropagation and gradient descent, written by tinygrad_edu."
_GIFT_SIGNS = str.maketrans({sign: f"\\{sign}" for sign in "\\~=#{}:"})


def moodle(items: Sequence[Item]) -> str:
    """Returns a bank as Moodle XML: numerical and multiple-choice questions.

    Known wrong answers have a feedback, the solution is the general feedback, and hints are shown
    one after the other if the quiz allows several attempts.  Pictures are embedded files.
    """
    quiz = ET.Element("quiz")
    category = ET.SubElement(quiz, "question", type="category")
    _text(ET.SubElement(category, "category"), "$course$/tinygrad_edu")
    for item in items:
        is_choice = bool(item.choices)
        element = ET.SubElement(quiz, "question", type="multichoice" if is_choice else "numerical")
        _text(ET.SubElement(element, "name"), item.name)
        shown = ET.SubElement(element, "questiontext", format="html")
        picture = f"{item.name}.svg"  # another name each, for programs that keep all in one folder
        _text(shown, as_html(item.text) + _image(item, f"@@PLUGINFILE@@/{picture}"))
        if item.picture:
            file = ET.SubElement(shown, "file", name=picture, path="/", encoding="base64")
            file.text = base64.b64encode(item.picture.encode()).decode()
        _html(element, "generalfeedback", _lines(item.solution))
        for tag, text in (("defaultgrade", "1"), ("penalty", "0.3333333"), ("hidden", "0")):
            ET.SubElement(element, tag).text = text
        ET.SubElement(element, "idnumber").text = item.name
        (_moodle_choices if is_choice else _moodle_numbers)(element, item)
        for hint in item.question.hints:
            _html(element, "hint", as_html(hint))
    ET.indent(quiz)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(quiz, "unicode") + "\n"


def _moodle_choices(element: ET.Element, item: Item) -> None:
    for tag, text in (("single", "true"), ("shuffleanswers", "true"), ("answernumbering", "abc")):
        ET.SubElement(element, tag).text = text
    for choice in item.choices:
        is_right = choice == item.question.answer
        answer = ET.SubElement(element, "answer", fraction="100" if is_right else "0",
                               format="html")
        _text(answer, as_html(choice))
        _html(answer, "feedback", as_html(item.feedback.get(choice, "")))


def _moodle_numbers(element: ET.Element, item: Item) -> None:
    for number, said in _numbers(item):
        answer = ET.SubElement(element, "answer", fraction="0" if said else "100",
                               format="moodle_auto_format")
        _text(answer, repr(number))
        ET.SubElement(answer, "tolerance").text = repr(item.tolerance(number))
        _html(answer, "feedback", as_html(said))


def _numbers(item: Item) -> list[tuple[float, str]]:
    """Returns the answer, and then the known wrong ones with what to say to them."""
    known = [(float(text), said) for text, said in item.feedback.items()]
    return [(float(item.question.answer), ""), *known]


def _text(element: ET.Element, text: str) -> None:
    ET.SubElement(element, "text").text = text


def _html(element: ET.Element, tag: str, text: str) -> None:
    _text(ET.SubElement(element, tag, format="html"), text)


def gift(items: Sequence[Item]) -> str:
    """Returns a bank as GIFT, with the feedback of known wrong answers, and the solution."""
    blocks = [f"// {TITLE}", "$CATEGORY: $course$/tinygrad_edu"]
    for item in items:
        asked = _escaped(as_html(item.text) + _image(item, _data(item)))
        answers = _gift_choices(item) if item.choices else _gift_numbers(item)
        solution = f"\t####{_escaped(_lines(item.solution))}"
        blocks.append("\n".join([f"::{item.name}::[html]{asked}{{", *answers, solution, "}"]))
    return "\n\n".join(blocks) + "\n"


def _gift_choices(item: Item) -> list[str]:
    lines: list[str] = []
    for choice in item.choices:
        sign = "=" if choice == item.question.answer else "~"
        said = item.feedback.get(choice, "")
        lines.append(f"\t{sign}{_escaped(as_html(choice))}{_said(said)}")
    return lines


def _gift_numbers(item: Item) -> list[str]:
    lines = ["\t#"]
    for number, said in _numbers(item):
        share = "%0%" if said else ""
        lines.append(f"\t={share}{number!r}:{item.tolerance(number)!r}{_said(said)}")
    return lines


def _said(text: str) -> str:
    return f"#{_escaped(as_html(text))}" if text else ""


def _escaped(text: str) -> str:
    return text.translate(_GIFT_SIGNS).replace("\n", "\\n")


def anki(items: Sequence[Item]) -> str:
    """Returns a bank as text that Anki imports: notes with a front and a back.

    The first column is an identifier, so that importing a bank again changes its notes, and makes
    no new ones.
    """
    written = io.StringIO()
    heads = "separator:tab", "html:true", "guid column:1", "notetype:Basic", "deck:tinygrad_edu"
    written.write("".join([f"#{head}\n" for head in heads]))
    rows = csv.writer(written, delimiter="\t", lineterminator="\n")
    for item in items:
        front = as_html(item.text) + _image(item, _data(item)) + _listed(item.choices)
        known = [f"{_plain(wrong)}: {said}" for wrong, said in item.feedback.items()]
        back = f"<p><b>{escape(item.shown)}</b></p>{_lines([*item.solution, *known])}"
        guid = hashlib.sha256(item.name.encode()).hexdigest()[:16]
        rows.writerow([guid, front, back])
    return written.getvalue()


def _listed(choices: Sequence[str]) -> str:
    entries = "".join([f"<li>{escape(choice)}</li>" for choice in choices])
    return f'<ol type="a">{entries}</ol>' if choices else ""


def plain(items: Sequence[Item]) -> str:
    """Returns a bank as text to read, with the answers at its end."""
    asked: list[str] = []
    answered: list[str] = []
    for i, item in enumerate(items, 1):
        choices = [f"   {letter}) {x}" for letter, x in zip(LETTERS, item.choices)]
        asked.append("\n".join([f"{i}. {item.text}", *choices]))
        known = [f"   {_plain(wrong)}: {said}" for wrong, said in item.feedback.items()]
        lines = [f"   {sentence}" for sentence in item.solution]
        answered.append("\n".join([f"{i}. {item.lettered}", *lines, *known]))
    return "\n\n".join([*asked, "ANSWERS", *answered]) + "\n"


def _plain(answer: str) -> str:
    """Returns a wrong answer as it is shown: 4.0 as 4."""
    return answer.removesuffix(".0")


# ---- HTML


def _lines(sentences: Sequence[str]) -> str:
    return "".join(map(as_html, sentences))


def _image(item: Item, address: str) -> str:
    if not item.picture:
        return ""
    return f'<p><img src="{address}" alt="the graph of the program" /></p>'


def _data(item: Item) -> str:
    picture = base64.b64encode(item.picture.encode()).decode()
    return f"data:image/svg+xml;base64,{picture}"


FORMATS: dict[str, Callable[[Sequence[Item]], str]] = {
    "moodle": moodle, "gift": gift, "anki": anki, "text": plain,
}
