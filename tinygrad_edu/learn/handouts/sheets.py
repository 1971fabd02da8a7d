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
from typing import NamedTuple

from ...errors import check_int, check_texts
from .bank import Item, bank

# Kinds in the order of a lesson; "idea" questions are few, and would soon be the same for all
KINDS = ("value", "gradient", "path", "rule", "line", "update", "count", "classify", "optimiser")
_STYLE = """
:root { color-scheme: light; }
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; margin: 2rem auto; max-width: 46rem;
  padding: 0 1rem; color: #111; background: #fff; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
.student { display: flex; justify-content: space-between; border-bottom: 1px solid #555;
  margin-bottom: 1rem; padding-bottom: .3rem; }
.question { break-inside: avoid; margin: 0 0 1.4rem; }
.asked { white-space: pre-wrap; font: 10pt/1.4 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.question svg { max-width: 100%; height: auto; max-height: 16rem; }
.answer { border-bottom: 1px solid #555; display: inline-block; min-width: 12rem; }
ol { margin: .3rem 0 .3rem 1.2rem; }
.key p { margin: .25rem 0; }
.key li { margin-bottom: .2rem; }
table { border-collapse: collapse; }
section + section { break-before: page; margin-top: 3rem; }
@media print { body { margin: 0; max-width: none; padding: 0; } section + section { margin: 0; } }
@page { size: A4; margin: 18mm; }
"""


class Variant(NamedTuple):
    """The worksheet of one student.

    name: of the student, or a number.
    items: the questions.
    """

    name: str
    items: tuple[Item, ...]


def variants(
    seed: int, names: Iterable[str], count: int = 8, kinds: Sequence[str] = KINDS
) -> list[Variant]:
    """Returns a worksheet for each name, the same one for the same name and seed.

    seed: the random seed of the class.
    names: what tells students apart, such as their identifiers.
    count: the number of questions of each.
    kinds: the kinds of questions, one after the other, and again from the first.

    Raises:
        TypeError: ``names`` is not a list of texts, or a number is not a whole one.
        ValueError: a name occurs twice, or what `bank` raises.
    """
    seed = check_int(seed, "variants: seed", 0)
    count = check_int(count, "variants: count", 1, most=100)
    given = check_texts(names, "variants: names", "write ['ada', 'bob']")
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"variants: the name {twice!r} occurs twice; give each student one name")
    made = []
    for name in given:
        draw = random.Random(f"worksheet {seed} {name}")
        items: list[Item] = []
        for i in range(count):
            kind = kinds[i % len(kinds)]
            level = 1 + i * 4 // max(1, count - 1) if count > 1 else 2
            items += bank(draw.randrange(10**7), 1, kinds=[kind], level=level)
        made.append(Variant(name, tuple(items)))
    return made


def sheet_page(
    sheets: Sequence[Variant], title: str = "Worksheet", asked_for: str = "Name"
) -> str:
    """Returns the worksheets as one page of HTML; each begins on a sheet of its own.

    asked_for: what students write at the top.
    """
    return _page(title, [_sheet(variant, title, asked_for) for variant in sheets])


def key_page(sheets: Sequence[Variant], title: str = "Worksheet") -> str:
    """Returns the key: for each worksheet the answers, how to find them, and what wrong ones mean.
    """
    return _page(f"{title}: key", [_key(variant, title) for variant in sheets])


def _page(title: str, sections: Sequence[str]) -> str:
    body = "\n".join([f"<section>\n{section}\n</section>" for section in sections])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _sheet(variant: Variant, title: str, asked_for: str) -> str:
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="student"><span>Variant {escape(variant.name)}</span>'
        f"<span>{escape(asked_for)}: ______________________</span></p>",
    ]
    for i, item in enumerate(variant.items, 1):
        choices = "".join([f"<li>{escape(choice)}</li>" for choice in item.choices])
        answers = f'<ol type="a">{choices}</ol>' if choices else ""
        parts.append(
            f'<div class="question"><div class="asked"><b>{i}.</b> '
            f"{escape(item.text, quote=False)}</div>\n{_without_ids(item.picture)}\n{answers}"
            f"<p>{'Answer, a letter' if choices else 'Answer'}: "
            '<span class="answer">&nbsp;</span></p></div>'
        )
    return "\n".join(parts)


def _without_ids(picture: str) -> str:
    """Returns an SVG without ids: nothing refers to them, and those of two pictures are equal."""
    return re.sub(r'(<\w+) id="[^"]*"', r"\1", picture)


def _key(variant: Variant, title: str) -> str:
    parts = [f"<h1>{escape(title)}: key of variant {escape(variant.name)}</h1>"]
    for i, item in enumerate(variant.items, 1):
        solution = "".join([f"<p>{escape(sentence)}</p>" for sentence in item.solution])
        meanings = [said.removeprefix("Not quite: ") for said in item.feedback.values()]
        known = "".join([f"<li>{escape(said)}</li>" for said in meanings])
        parts.append(
            f'<div class="question key"><p><b>{i}. {escape(item.lettered)}</b></p>\n{solution}'
            f"<p>What wrong answers mean:</p><ul>{known}</ul></div>"
        )
    return "\n".join(parts)
