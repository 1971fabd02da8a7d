"""Text as a syntax tree, and what to write instead where the text is no expression.

    >>> tree_of("a + b").body.left.id
    'a'
    >>> advice("2a", 0)
    '; a product is written with *: 2*a'

The standard `ast` module reads the text.  It fails at some 3,000 summands or factors, so longer
sums and products are read in pieces.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from keyword import kwlist
from typing import Any

from .. import math
from ..errors import ExpressionError, shortened

MAX_DEPTH = 200  # levels of nesting; Python allows 1,000 nested calls, and 200 nested brackets
PIECE = 100  # the most operators of a sum or a product that are read at once
PART = "ꙮ"  # with a number, the name of a piece in the text of the next one
_TOKEN = re.compile(r"\.?\d(?:[eE][+-]?\d|[\w.])*|\w+|\*\*|//|[<>=!]=|\s+|.", re.DOTALL)
# an operand begins after each of them, and a sum ends before it
_SEPARATORS = {",", ":", "<", ">", "<=", ">=", "==", "!=", "=", "|", "&", "^", "~", *kwlist}


@dataclass
class _Level:
    """What was read since a bracket or a separator.

    start, term: where the sum and its last product begin.
    sums, products: the numbers of their operators.
    """

    start: int
    term: int
    sums: int = 0
    products: int = 0


def tree_of(text: str) -> ast.Expression:
    """Returns the syntax tree of ``text``.

    The left part of a long sum or product is read first.  Then a name stands for it in the text of
    the rest, until its tree takes the place of the name.

    Raises:
        ExpressionError: `ast` cannot read the text, or it is nested deeper than 200 levels.
    """
    out: list[str] = []  # the tokens; names stand for pieces that were read
    levels = [_Level(0, 0)]  # of brackets
    parts: dict[str, ast.expr] = {}
    if len(text) > PIECE and not any(mark in text for mark in (PART, *"#'\"\\")):
        before = ""  # the last token that is not a space
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token in _SEPARATORS:
                levels[-1] = _Level(len(out) + 1, len(out) + 1)
            elif token in ("+", "-", "*", "/", "//", "%") and _ends_operand(before):
                _cut(out, levels, token in "+-", parts)
            elif token in ")]}":
                del levels[max(1, len(levels) - 1):]
            out.append(token)
            if token in "([{":
                levels.append(_Level(len(out), len(out)))
            before = before if token.isspace() else token
    tree = _piece("".join(out) or text, parts)
    if _is_deep(tree):
        raise _depth_error(text)
    return ast.Expression(tree)


def _ends_operand(token: str) -> bool:
    return token not in kwlist and (token[-1:].isalnum() or token[-1:] in (*"_.)]}",))


def _cut(out: list[str], levels: Sequence[_Level], is_sum: bool, parts: dict[str, ast.expr]
         ) -> None:
    """Counts an operator that comes next; if its left operand is long, reads this operand."""
    level = levels[-1]
    start = level.start if is_sum else level.term
    if (level.sums if is_sum else level.products) >= PIECE:
        source = "".join(out[start:])
        name = f"{PART}{len(parts)}"
        # line ends mean nothing within brackets
        parts[name] = _piece(source.replace("\n", " ") if len(levels) > 1 else source, parts)
        out[start:] = [name]
        level.products = 0
        if is_sum:
            level.sums = 0
    if is_sum:
        level.sums += 1
        level.products = 0
        level.term = len(out) + 1
    else:
        level.products += 1


def _piece(source: str, parts: dict[str, ast.expr]) -> ast.expr:
    """Returns the tree of a text in which names may stand for ``parts``; its nodes have the text as
    ``source``."""
    source = source.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CPython's hints: "invalid escape sequence"
            tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        if "too many nested parentheses" in str(error.msg):
            raise _depth_error(source) from None
        offset = error.offset - 1 if error.offset else len(source)
        where = pointer(source, offset) if error.lineno == 1 else f" in {quoted(source)}"
        what = "a number has too many digits; write it as 1e308" if "digits" in error.msg else \
            f"{error.msg}{advice(source, offset)}"
        why = f"not an expression: {what}"
        raise ExpressionError(why + where) from None
    except (RecursionError, MemoryError):
        raise _depth_error(source) from None
    except ValueError as error:
        raise ExpressionError(f"not an expression: {error} in {quoted(source)}") from None
    waiting: list[ast.AST] = [tree]
    for node in waiting:
        node.source = source  # type: ignore[attr-defined]
        for field in node._fields:
            child = getattr(node, field)
            children = child if isinstance(child, list) else [child]
            waiting += [one for one in children if isinstance(one, ast.expr | ast.keyword)]
            placed = [parts.get(getattr(one, "id", ""), one) for one in children]
            if placed != children:
                setattr(node, field, placed if child is children else placed[0])
    return tree.body


def _is_deep(tree: ast.expr) -> bool:
    """Returns whether a tree has more than 200 levels.  A sum or product, however long, is one."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [part for node in level for part in operands(node)]
    return bool(level)


def operands(node: Any) -> list[ast.expr]:
    """Returns the expressions that a node is made of, in order: all operands of a long sum."""
    if node.__class__ is ast.Name or node.__class__ is ast.Constant:
        return []
    found = []
    while isinstance(node, ast.BinOp):
        found.append(node.right)
        node = node.left
    if found:
        return [node, *reversed(found)]
    return [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]


def _depth_error(text: str) -> ExpressionError:
    return ExpressionError(
        f"the expression is nested deeper than {MAX_DEPTH} levels: {quoted(text)}; compute an "
        "inner part first, and give its number to a variable"
    )


def pointer(text: str, offset: int) -> str:
    """Returns the part of the first line around ``offset``, with a caret below it."""
    line = re.sub(rf"{PART}\d+", lambda part: "…" * len(part[0]), text.split("\n")[0])
    line = "".join(c if c.isprintable() else " " for c in line)
    start = max(0, offset - 30)
    return f"\n    {line[start:offset + 40]}\n    {' ' * (offset - start)}^"


def quoted(text: str) -> str:
    """Returns a text for a message, in quotes, with three dots for the end of a long one."""
    return repr(shortened(text, 60))


# ---- what to write instead -----------------------------------------------------------------------

_BRACKETS = r"\([^()]*\)"
_CALL = rf"[^\W\d]\w*(?:{_BRACKETS})?"
_OPERAND = rf"(?:[\w.]*{_BRACKETS}|[\w.]+)"
_MARKS = {
    **dict.fromkeys("\N{MULTIPLICATION SIGN}·⋅∙\N{ASTERISK OPERATOR}✕", "*"),
    **dict.fromkeys("÷\N{DIVISION SLASH}", "/"),
    **dict.fromkeys("\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}", "-"),
    "≤": "<=", "≥": ">=", "∞": "inf", "½": "1/2", "⁻": "-",
}


def _plain(text: str) -> str:
    """Returns the ASCII characters that stand for a text, or nothing."""
    plain = "".join(_MARKS.get(c) or unicodedata.normalize("NFKC", c) for c in text)
    return plain if plain.isascii() and plain != text else ""


def _is_function(name: str) -> bool:
    return callable(getattr(math, name, None)) or name in ("max", "min")


def _power(match: re.Match[str]) -> str:
    x, n = match[1], _plain(match[2])
    return f"a power is written with **: {f'{x}(x)' if _is_function(x) else x}**{n}"


def _product(match: re.Match[str]) -> str:
    x, y = match[1], match[2]
    if {x, y} & {*kwlist}:
        return ""
    if _is_function(x):
        return f"the argument of a function is written in brackets: {x}({y.strip('()')})"
    return f"a product is written with *: {x}*{y}"


# patterns of mistakes, and what to write instead: a text, or a function that returns one
_ADVICE: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    ("[\"'`“”„\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}]",
     "names and numbers are written without quotes"),
    (rf"({_OPERAND})\s*([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", _power),
    (rf"√\s*({_OPERAND})?", lambda m: f"a root is written sqrt({(m[1] or 'x').strip('()')})"),
    (r"[^\x00-\x7f]", lambda m: _plain(m[0]) and f"write {_plain(m[0])} for {m[0]}"),
    (r"\|([^|]+)\|", lambda m: f"an absolute value is written abs({m[1].strip()})"),
    (rf"{_OPERAND}\s*!(?!=)", "a factorial is written as a number, or as a product: 1*2*3"),
    ("==|!=", "comparisons are <, <=, > and >="),
    ("(?<![<>])=", "an expression has no =; give values apart from it, as in a=2"),
    (r"(?<![\w)\]])[\[{]", "brackets are ( and )"),
    (rf"([^\W\d]\w*)\s+({_OPERAND})", _product),
    (rf"(?<![\w.])(?!0[xXoObB])(\d[\d.]*)\s*({_CALL}|{_BRACKETS})", _product),
    (rf"(\w*{_BRACKETS})\s*({_CALL}|{_BRACKETS}|\d+)", _product),
    (r"(\d+),(\d+)", lambda m: f"a decimal point is a point: {m[1]}.{m[2]}"),
]


def advice(text: str, offset: int) -> str:
    """Returns what to write instead of what stands at ``offset``, if it is known; with a semicolon.
    """
    start = max(0, offset - 100)  # a longer text takes time
    text = text[start:offset + 100]
    offset -= start
    for pattern, message in _ADVICE:
        for match in re.finditer(pattern, text):
            if match.start() - 1 <= offset <= match.end():
                found = message if isinstance(message, str) else message(match)
                if 0 < len(found) < 120:
                    return f"; {found}"
    return ""
