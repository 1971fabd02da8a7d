"""The questions of a lesson, as data for the script and as HTML for paper.

A lesson has few ideas, and some lessons have no questions with numbers of their own: the others of
such a lesson are for review, and come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from tinygrad_edu.errors import counted
from tinygrad_edu.learn.handouts import Item, bank
from tinygrad_edu.learn.lessons import Lesson

PRINTED = 6  # of the questions, on paper and where no script runs


def questions_of(lesson: Lesson, count: int, seed: int) -> tuple[list[Item], int]:
    """Returns the questions of a lesson, those on the lesson itself first, and how many these are.
    """
    items = bank(seed, count, lessons=[lesson.name])
    topics = {*lesson.ideas, *[cover.question for cover in lesson.covers.values()],
              *[card.kind for card in lesson.cards.values()]}
    own = [item for item in items if item.topic in topics]
    return own + [item for item in items if item.topic not in topics], len(own)


def question_data(item: Item) -> dict[str, Any]:
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


def heading(count: int, own: int) -> str:
    """Returns how many questions there are, and how many of them are on the lesson itself."""
    if own == count:
        return counted(count, "question")
    if not own:
        return f"{counted(count, 'question')} for review"
    return f"{counted(own, 'question')} on this lesson, then {count - own} for review"


def section(items: Sequence[Item], own: int) -> str:
    """Returns the place of the questions as HTML, and some of them for paper.

    own: how many are on the lesson itself; they are the first.
    """
    return (
        f'<section class="questions"><h2>{heading(len(items), own)}</h2><div class="asking">'
        '<p id="which" aria-live="polite"></p><div id="question"></div>'
        '<p id="mark" role="status"></p>'
        '<p><button id="check" type="button" class="main">Check</button> '
        '<button id="hint" type="button">Hint</button> '
        '<button id="solve" type="button">Solution</button> '
        '<button id="another" type="button">Next question</button></p>'
        '<ol id="solution" hidden></ol>'
        '<p><button id="export" type="button">Save what I have done</button> '
        '<button id="forget" type="button">Forget what I did in this lesson</button></p>'
        '<p class="note">The saved file can be read by '
        '<code>tinygrad-edu progress --import</code>.</p></div>'
        f"{_on_paper(items[:PRINTED], len(items))}</section>"
    )


def _on_paper(items: Sequence[Item], count: int) -> str:
    """Returns questions with blanks, and after them the answers."""
    asked = "".join([f"<li>{_blank(item)}</li>" for item in items])
    answers = "".join([f"<li>{escape(item.lettered)}</li>" for item in items])
    more = count - len(items)
    rest = f"{counted(more, 'more question')} with marks: on this page with JavaScript." if more \
        else ""
    return (
        f'<div class="static"><ol class="blanks">{asked}</ol>'
        f"<p>{rest} <code>tinygrad-edu worksheet</code> writes other ones for paper.</p>"
        f'<h3>Answers</h3><ol class="answers">{answers}</ol></div>'
    )


def _blank(item: Item) -> str:
    text = f'<div class="asked">{escape(item.text)}</div>'
    if not item.choices:
        return f'{text}<p class="blank">Answer:</p>'
    choices = "".join([f"<li>{escape(choice)}</li>" for choice in item.choices])
    return f'{text}<ol class="letters">{choices}</ol>'
