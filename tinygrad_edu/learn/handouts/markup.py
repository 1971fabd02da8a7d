"""Texts of questions as HTML: sentences that wrap by themselves, and columns that stay aligned.

A question's text is made for a terminal: sentences in lines of at most 80 characters, and programs
and tables indented.

    >>> as_html("Given a = 2, this program computes y:\\n    d = a * a\\n    y = d - a")
    '<p>Given a = 2, this program computes y:</p><pre>d = a * a\\ny = d - a</pre>'
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from itertools import groupby, pairwise
from textwrap import dedent

from ..questions.question import WIDTH

# a number with its name, as in "a = 2", stays in one line
_FIRST_WORD = re.compile(r"\S+(?: = \S+)*")


def as_html(text: str, begin: str = "") -> str:
    """Returns a text as HTML, in which indented lines are columns; "" for "".

    begin: HTML in front of the first sentence.
    """
    if not text:
        return ""
    parts: list[str] = []
    for are_columns, lines in groupby(text.split("\n"), lambda line: line.startswith("  ")):
        if are_columns:
            columns = dedent("\n".join(lines))
            parts.append(f"<pre>{escape(columns, quote=False)}</pre>")
        else:
            parts += [f"<p>{escape(each, quote=False)}</p>" for each in paragraphs([*lines])]
    return "".join(parts).replace("<p>", f"<p>{begin}", 1)


def paragraphs(lines: Sequence[str]) -> list[str]:
    """Returns lines without the breaks that were made because a line was full."""
    found = [lines[0]]
    for before, line in pairwise(lines):
        first = _FIRST_WORD.match(line)
        if first and len(before) + 1 + len(first[0]) > WIDTH:
            found[-1] += f" {line}"
        else:
            found.append(line)
    return found
