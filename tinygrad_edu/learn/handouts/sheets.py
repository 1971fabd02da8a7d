"""Worksheets with their key, as pages to print: one variant of the numbers for each student.

    >>> ada, bob = variants(seed=2026, names=["ada", "bob"], count=3)
    >>> [item.topic for item in ada.items], ada.items[0].name != bob.items[0].name
    (['value', 'gradient', 'path'], True)

All variants have questions of the same kinds and levels, in the same order, with other numbers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import cycle, islice
from typing import NamedTuple

from ...errors import check_int, check_texts
from ..questions.asking import KINDS as ALL_KINDS
from ..questions.ideas import about
from .bank import ATTEMPTS, Item, bank, in_order, names_of, too_many, topics
from .markup import as_html

# Kinds in the order of a lesson; "idea" questions are few, and would soon be the same for all
KINDS = ("value", "gradient", "path", "rule", "line", "update", "count", "classify", "optimiser")
MOST_ON_SHEET = 100  # questions of a worksheet
SHEET = "Sheet {}"  # what a worksheet is called
COLUMNS = 12  # questions in a table of answers, which is to fit on a page
_STYLE = """
:root { color-scheme: light; }
body { font: 11pt/1.4 Georgia, "Times New Roman", serif; margin: 2rem auto; max-width: 46rem;
  padding: 0 1rem; color: #111; background: #fff; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 1rem 0 .3rem; break-after: avoid; }
.student { display: flex; justify-content: space-between; border-bottom: 1px solid #555;
  margin: 0 0 .8rem; padding-bottom: .3rem; }
.question { break-inside: avoid; margin: 0 0 1.1rem; }
.question p { margin: .15rem 0; }
.question pre { font: 10pt/1.35 "DejaVu Sans Mono", Menlo, Consolas, monospace; margin: .2rem 0;
  padding-left: 1.5rem; }
.question svg { display: block; width: auto; height: auto; max-width: 100%; max-height: 15rem;
  margin: .4rem 0; }
.answer { border-bottom: 1px solid #555; display: inline-block; min-width: 12rem; }
ol { columns: 2; column-gap: 2rem; margin: .2rem 0 .2rem 1.2rem; padding-left: 1rem; }
li { break-inside: avoid; }
section + section { margin-top: 3rem; }
.sheet + .sheet, .answers + .solutions { break-before: page; }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0 1rem; }
th, td { border: 1px solid #aaa; padding: .1rem .45rem; text-align: left; }
tr { break-inside: avoid; }
.solutions p, .solutions ul { margin: .2rem 0; }
.solutions ul { padding-left: 1.2rem; }
@media print {
  body { font-size: 10.5pt; line-height: 1.3; margin: 0; max-width: none; padding: 0; }
  section + section { margin: 0; }
  .question { margin-bottom: .8rem; }
  .question svg { margin: .2rem 0; max-height: 11rem; max-width: 85%; }
  .solutions { columns: 2; column-gap: 8mm; font-size: 8.5pt; line-height: 1.3; }
  .solutions .question { break-inside: auto; margin-bottom: .5rem; }
  .solutions p, .solutions li { break-inside: avoid; }
  .solutions .right { break-after: avoid; }
}
@page { size: A4; margin: 14mm; }
"""


class Variant(NamedTuple):
    """The worksheet of one student.

    name: of the student, or a number.
    items: the questions.
    """

    name: str
    items: tuple[Item, ...]


def variants(
    seed: int,
    names: Iterable[str],
    count: int = 8,
    kinds: Sequence[str] = (),
    *,
    lessons: Sequence[str] = (),
) -> list[Variant]:
    """Returns a worksheet for each name, the same one for the same name and seed.

    seed: the random seed of the class.
    names: what tells students apart, such as their identifiers.
    count: the number of questions of each.
    kinds: the kinds of questions, one after the other, and again from the first; () for those of
        the lessons, or for nine kinds without lessons.
    lessons: the lessons that the questions are about; () for all twelve.  A lesson has ideas, too,
        each with one question: all students get it, with its choices in another order.

    Raises:
        TypeError: ``names`` is not a list of texts, or a number is not a whole one.
        ValueError: a name occurs twice, or what `bank` raises.
    """
    seed = check_int(seed, "variants: seed", 0)
    count = check_int(count, "variants: count", 1, most=MOST_ON_SHEET)
    given = check_texts(names, "variants: names", "write ['ada', 'bob']")
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice; give each student one name")
    wanted = in_order(lessons, "variants: lessons")
    found: Iterable[str] = cycle(kinds or KINDS)
    if wanted and not kinds:
        found = topics(names_of(wanted), random.Random(f"lessons {seed}"))
    asked = [*islice(found, count)]
    return [Variant(name, _items(asked, random.Random(f"worksheet {seed} {name}")))
            for name in given]


def _items(asked: Sequence[str], draw: random.Random) -> tuple[Item, ...]:
    """Returns a question for each topic, from easy to hard, and none of them twice."""
    items: dict[str, Item] = {}
    for i, topic in enumerate(asked):
        level = 1 + i * 4 // max(1, len(asked) - 1) if len(asked) > 1 else 2
        for _ in range(ATTEMPTS):
            item = _item(topic, level, draw)
            if item.question.text not in items:
                items[item.question.text] = item
                break
        else:
            raise too_many(len(asked), topic)
    return tuple(items.values())


def _item(topic: str, level: int, draw: random.Random) -> Item:
    if topic in ALL_KINDS:
        return bank(draw.randrange(10**7), 1, kinds=[topic], level=level)[0]
    asked = about(topic, draw.randrange(10**7))
    return Item(topic, asked, asked.choices)


def sheet_page(
    sheets: Sequence[Variant],
    title: str = "Worksheet",
    asked_for: str = "Name",
    named: str = SHEET,
) -> str:
    """Returns the worksheets as one page of HTML; each begins on a sheet of its own.

    asked_for: what students write at the top.
    named: what a sheet is called, with its name in place of {}.
    """
    sections = [_sheet(variant, title, asked_for, named) for variant in sheets]
    return _page(title, [f'<section class="sheet">\n{each}\n</section>' for each in sections])


def key_page(sheets: Sequence[Variant], title: str = "Worksheet", named: str = SHEET) -> str:
    """Returns the key: a table of all answers, and how to find them and what wrong ones mean.

    named: what a sheet is called, with its name in place of {}.
    """
    title = f"{title}: key"
    solutions = "\n".join([_solutions(variant, named) for variant in sheets])
    return _page(title, [
        f'<section class="answers">\n<h1>{escape(title)}</h1>\n{_tables(sheets)}\n</section>',
        f'<section class="solutions">\n{solutions}\n</section>',
    ])


def _page(title: str, sections: Sequence[str]) -> str:
    body = "\n".join(sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _sheet(variant: Variant, title: str, asked_for: str, named: str) -> str:
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="student"><span>{escape(named.format(variant.name))}</span>'
        f"<span>{escape(asked_for)}: ______________________</span></p>",
    ]
    for i, item in enumerate(variant.items, 1):
        choices = "".join([f"<li>{escape(choice)}</li>" for choice in item.choices])
        answers = f'<ol type="a">{choices}</ol>' if choices else ""
        parts.append(
            f'<div class="question">{as_html(item.text, f"<b>{i}.</b> ")}\n'
            f"{_without_ids(item.picture)}\n{answers}"
            f"<p>{'Answer, a letter' if choices else 'Answer'}: "
            '<span class="answer">&nbsp;</span></p></div>'
        )
    return "\n".join(parts)


def _without_ids(picture: str) -> str:
    """Returns an SVG without ids: nothing refers to them, and those of two pictures are equal."""
    return re.sub(r'(<\w+) id="[^"]*"', r"\1", picture)


def _tables(sheets: Sequence[Variant]) -> str:
    """Returns the answers as tables with a row for each sheet, a choice as its letter."""
    most = max([len(variant.items) for variant in sheets], default=0)
    tables: list[str] = []
    for first in range(0, most, COLUMNS):
        heads = "".join([f"<th>{i}</th>" for i in range(first + 1, most + 1)[:COLUMNS]])
        rows = [f"<tr><th></th>{heads}</tr>"]
        for variant in sheets:
            items = variant.items[first:first + COLUMNS]
            cells = "".join([f"<td>{escape(item.letter or item.shown)}</td>" for item in items])
            rows.append(f"<tr><th>{escape(variant.name)}</th>{cells}</tr>")
        body = "\n".join(rows[1:])
        tables.append(f"<table>\n<thead>{rows[0]}</thead>\n<tbody>{body}</tbody>\n</table>")
    return "\n".join(tables)


def _solutions(variant: Variant, named: str) -> str:
    parts = [f"<h2>{escape(named.format(variant.name))}</h2>"]
    for i, item in enumerate(variant.items, 1):
        solution = "".join([f"<p>{escape(sentence)}</p>" for sentence in item.solution])
        meanings = [said.removeprefix("Not quite: ") for said in item.feedback.values()]
        known = "".join([f"<li>{escape(said)}</li>" for said in meanings])
        parts.append(
            f'<div class="question"><p class="right"><b>{i}. {escape(item.lettered)}</b></p>\n'
            f"{solution}<p>What wrong answers mean:</p><ul>{known}</ul></div>"
        )
    return "\n".join(parts)
