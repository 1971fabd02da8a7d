"""The pages of the course: the index, and one for each lesson.

    >>> page = lesson_page("chain", questions=2)
    >>> page                                                        # doctest: +ELLIPSIS
    <Page 'The chain rule...': ... kB; .save("y.html") writes it>

The text of a page is in its HTML, so that it can be read, and printed, without a script: what each
choice means, what the experiments show, and some questions with their answers.  The script hides
what an experiment shows until the reader has predicted it, changes the settings of the experiment,
and marks answers.  These numbers were computed by Python when the page was written; a figure
computes its own on the engine of pages.
"""

from __future__ import annotations

from html import escape
from typing import Any

from tinygrad_edu.errors import check_int, check_name
from tinygrad_edu.learn.lessons import LESSONS, Lesson

from ..live.program import rows
from ..page import Page, assemble
from . import experiments
from . import questions as asking
from .figure_data import FIGURES, ROWS, playground_link

MAX_PICTURES = 230_000  # characters of the pictures of a page


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
        '<p>In <a href="playground.html">the playground</a> you train networks of your own.</p>'
        '<p><button id="export" type="button">Save what I have done</button> '
        "The file can be read by <code>tinygrad-edu progress --import</code>.</p>"
    )
    parts = {lesson: len(known.parts) for lesson, known in LESSONS.items()}
    data = {
        "lesson": "", "parts": list[Any](), "questions": list[Any](), "own": 0, "lessons": parts,
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
    parts = [
        experiments.part_data(part, seed, i == figure.part) for i, part in enumerate(lesson.parts)
    ]
    items, own = asking.questions_of(lesson, questions, seed)
    asked = [asking.question_data(item) for item in items]
    room = MAX_PICTURES
    for question in asked:  # the text of a question is complete without its picture
        room -= len(question["picture"])
        question["picture"] = question["picture"] if room > 0 else ""
    data = {
        "lesson": name,
        "parts": parts,
        "questions": asked,
        "own": own,
        "lessons": {},
        "figure": {"part": figure.part, "title": figure.title, "data": made},
    }
    body = "\n".join([
        *[f"<p>{escape(text)}</p>" for text in lesson.intro.split("\n\n")],
        *[experiments.section(i, part, made, i == figure.part)
          for i, (part, made) in enumerate(zip(lesson.parts, parts))],
        f'<section class="remember"><h2>To remember</h2><p>{escape(lesson.remember)}</p></section>',
        asking.section(items, own),
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
    if playground := playground_link(lesson.name):
        links.append(f'<a href="{escape(playground)}">this lesson in the playground</a>')
    return f'<nav aria-label="lessons">{" ".join(links)}</nav>'
