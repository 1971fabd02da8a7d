"""The pages of the course: the index, and one for each lesson.

    >>> page = lesson_page("chain", questions=2)
    >>> page                                                        # doctest: +ELLIPSIS
    <Page 'The chain rule...': ... kB; .save("y.html") writes it>

The text of a page is in its HTML, so that it can be read, and printed, without a script.  The
script hides what an experiment shows until the reader has predicted it, changes the settings of
the experiment, and marks answers.  These numbers were computed by Python when the page was written;
a figure computes its own on the engine of pages.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import escape
from typing import Any

from tinygrad_edu.errors import check_int, check_name, counted
from tinygrad_edu.learn.evidence import FAILED, Claim
from tinygrad_edu.learn.handouts import Item, bank
from tinygrad_edu.learn.lessons import LESSONS, Lesson, Part
from tinygrad_edu.learn.lessons.lesson import explained
from tinygrad_edu.learn.settings import choices_of

from ..live.program import rows
from ..page import Page, assemble
from .figure_data import FIGURES, ROWS

FACTORS = (0.25, 0.5, 1.5, 2.0)  # of a number among the settings
MAX_PICTURES = 230_000  # characters of the pictures of a page
SLOW = ("generalise", "uses")  # lessons whose experiments run for two settings only


def index_page() -> Page:
    """Returns the page that lists the lessons."""
    entries = [
        f'<li><a href="{name}.html" data-lesson="{name}">{escape(lesson.title)}</a> '
        f'<span class="done" data-done="{name}"></span></li>'
        for name, lesson in LESSONS.items()
    ]
    body = (
        "<p>Twelve lessons on backpropagation and gradient descent. Each asks for a prediction, "
        "shows the experiment that answers it, and has questions with marks.</p>"
        f'<ol class="lessons">{"".join(entries)}</ol>'
        '<p><button id="export" type="button">Save what I have done</button> '
        "The file can be read by <code>tinygrad-edu progress --import</code>.</p>"
    )
    parts = {lesson: len(known.parts) for lesson, known in LESSONS.items()}
    data = {
        "lesson": "", "parts": list[Any](), "questions": list[Any](), "lessons": parts,
        "figure": None,
    }
    title = "Backpropagation: the course"
    return assemble("course", title, data, {"live/rows.js": rows(())}, lesson=body, links="")


def lesson_page(name: str, *, questions: int = 50, seed: int = 0) -> Page:
    """Returns the page of a lesson; see `writing.course`."""
    check_name(name, "lesson_page: name", [*LESSONS])
    check_int(questions, "course: questions", 1, most=500)
    check_int(seed, "course: seed", 0)
    lesson = LESSONS[name]
    figure = FIGURES[name]
    made, drawing = figure.make(seed)
    parts = [_part(part, seed, i == figure.part) for i, part in enumerate(lesson.parts)]
    items = bank(seed, questions, lessons=[name])
    asked = [_question(item) for item in items]
    room = MAX_PICTURES
    for question in asked:  # the text of a question is complete without its picture
        room -= len(question["picture"])
        question["picture"] = question["picture"] if room > 0 else ""
    data = {
        "lesson": name,
        "parts": [{key: x for key, x in part.items() if key != "html"} for part in parts],
        "questions": asked,
        "lessons": {},
        "figure": {"part": figure.part, "title": figure.title, "data": made},
    }
    body = "\n".join([
        *[f"<p>{escape(text)}</p>" for text in lesson.intro.split("\n\n")],
        *[_section(i, part, made) for i, (part, made) in enumerate(zip(lesson.parts, parts))],
        f'<section class="remember"><h2>To remember</h2><p>{escape(lesson.remember)}</p></section>',
        _questions(len(items)),
        f'<template id="figure-drawing">{drawing}</template>' if drawing else "",
    ])
    used = dict.fromkeys([*ROWS, *made.get("program", {}).get("rows", ())])
    return assemble(
        "course", lesson.title, data, {"live/rows.js": rows(used)},
        lesson=body, links=_links(lesson),
    )


def _links(lesson: Lesson) -> str:
    """Returns the links to the index and to the lessons before and after this one."""
    names = [*LESSONS]
    i = names.index(lesson.name)
    near = [("index", "all lessons")]
    if i:
        near.append((names[i - 1], f"before: {LESSONS[names[i - 1]].title}"))
    if i + 1 < len(names):
        near.append((names[i + 1], f"next: {LESSONS[names[i + 1]].title}"))
    links = [f'<a href="{name}.html">{escape(text)}</a>' for name, text in near]
    return f'<nav aria-label="lessons">{" ".join(links)}</nav>'


# ---- a prediction and its experiment -------------------------------------------------------------


def _part(part: Part, seed: int, has_figure: bool) -> dict[str, Any]:
    """Returns a prediction with its experiment, run with several settings.

    ``shown`` are the choices as they are shown, ``right`` the position of the right one, ``meant``
    what each means; ``variants`` are the experiments, and the one at ``start`` has the usual
    settings; ``setting`` says in words what differs.

    has_figure: whether the lesson's figure follows it, so that one experiment is enough.
    """
    order = [*range(len(part.choices))]
    random.Random(f"{part.ask} {seed}").shuffle(order)
    variants = [*_variants(part, seed, has_figure)]
    meanings = [f"{text[0].upper()}{text[1:]}" for text in part.claim.descriptions.values()]
    start = next(i for i, variant in enumerate(variants) if variant["usual"])
    return {
        "shown": [part.choices[k] for k in order],
        "right": order.index(0),
        "meant": [part.meant[k] for k in order],
        "setting": "; ".join(meanings),
        "start": start,
        "variants": variants,
    }


def _variants(part: Part, seed: int, is_usual: bool) -> Iterator[dict[str, Any]]:
    """Yields the experiment with each of its settings, in their order.

    is_usual: whether the usual settings are enough.
    """
    claim = part.claim
    usual = claim.run(seed)
    for given in [dict(claim.settings)] if is_usual else _settings(claim):
        evidence = usual
        if given != dict(claim.settings):
            with suppress(ValueError, TypeError):
                evidence = claim.run(seed, **given)
            if evidence is usual:  # the experiment is not made for this value
                continue
        yield {
            "label": "; ".join(map(_text, given.values())),
            "usual": evidence is usual,
            "holds": evidence.holds,
            "sentence": evidence.sentence if evidence.holds else f"{FAILED} {evidence.sentence}",
            "table": [list(row) for row in evidence.table],
            "explain": explained(part, evidence) if evidence.holds else "",
            "settings": given,
        }


def _settings(claim: Claim) -> list[dict[str, Any]]:
    """Returns the settings with which an experiment is shown, the numbers in their order."""
    usual = dict(claim.settings)
    found = [usual, {**usual, **claim.negation}]
    if usual and claim.lesson not in SLOW:
        name, value = next(iter(usual.items()))
        others = choices_of(claim.experiment, name) or _multiples(value)
        found += [{**usual, name: other} for other in others]
    different: list[dict[str, Any]] = []
    for given in found:
        if given not in different:
            different.append(given)
    if all(_number(next(iter(given.values()), None)) is not None for given in different):
        different.sort(key=lambda given: float(next(iter(given.values()))))
    return different


def _multiples(value: Any) -> list[Any]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    if isinstance(value, int):
        return [max(1, round(value * factor)) for factor in FACTORS] if value > 0 else []
    return [value * factor for factor in FACTORS]


def _number(x: Any) -> float | None:
    is_number = isinstance(x, (int, float)) and not isinstance(x, bool)
    return float(x) if is_number else None


def _text(x: Any) -> str:
    """Returns the value of a setting as people write it."""
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, tuple):
        return ", ".join(map(_text, x))
    return f"{x:g}" if isinstance(x, float) else str(x) or "none"


def _section(i: int, part: Part, made: Mapping[str, Any]) -> str:
    """Returns a prediction as HTML: the question, the choices, and what the experiment shows."""
    usual = made["variants"][made["start"]]
    choices = "".join([
        f'<label><input type="radio" name="part-{i}" value="{k}"> {escape(choice)}</label>'
        for k, choice in enumerate(made["shown"])
    ])
    rows = [
        "<tr>" + "".join([f"<{tag}>{escape(cell)}</{tag}>" for cell in row]) + "</tr>"
        for row, tag in zip(usual["table"], ["th", *["td"] * len(usual["table"])])
    ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return (
        f'<section class="part" data-part="{i}"><h2>Prediction {i + 1}</h2>'
        f'<p class="ask">{escape(part.ask)}</p>'
        f'<fieldset><legend class="out-of-sight">Your prediction</legend>{choices}</fieldset>'
        '<p><button type="button" class="predict main" disabled>Show the experiment</button></p>'
        '<div class="reveal" aria-live="polite"><p class="meant"></p>'
        f'<p class="sentence">{escape(usual["sentence"])}</p><div class="table">{table}</div>'
        f'<p class="explain">{escape(usual["explain"])}</p><div class="control"></div>'
        '<div class="experiment"></div></div>'
        "</section>"
    )


# ---- questions -----------------------------------------------------------------------------------


def _question(item: Item) -> dict[str, Any]:
    """Returns a question as the script reads it.

    ``known``: answers with their tolerance and what to say, the right one first with "".
    """
    asked = item.question
    if item.choices:
        known: list[Any] = [[choice, 0, item.feedback.get(choice, "")] for choice in item.choices]
    else:
        known = [[float(asked.answer), item.tolerance(float(asked.answer)), ""]]
        known += [[float(text), item.tolerance(float(text)), said]
                  for text, said in item.feedback.items()]
    return {
        "name": item.name,
        "text": item.text,
        "choices": list(item.choices),
        "answer": item.shown,
        "known": known,
        "hints": list(asked.hints),
        "solution": list(item.solution),
        "picture": item.picture,
    }


def _questions(count: int) -> str:
    return (
        f'<section class="questions"><h2>{counted(count, "question")}</h2>'
        '<p id="which" aria-live="polite"></p><div id="question"></div>'
        '<p id="mark" role="status"></p>'
        '<p><button id="check" type="button" class="main">Check</button> '
        '<button id="hint" type="button">Hint</button> '
        '<button id="solve" type="button">Solution</button> '
        '<button id="another" type="button">Next question</button></p>'
        '<ol id="solution" hidden></ol>'
        '<p><button id="forget" type="button">Forget what I did in this lesson</button></p>'
        "<noscript><p>Questions need JavaScript, which is switched off.</p></noscript></section>"
    )
