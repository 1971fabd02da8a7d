"""Answers as people write them: numbers, formulas, and choices.

    >>> as_number("−9.0"), as_number(" -9,0"), as_number("-18/2"), as_number("1e1")
    (-9.0, -9.0, -9.0, 10.0)
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction

from ...errors import ExpressionError, short_repr
from ...symbolic.expressions import parse, variables_of

TOLERANCE = 1e-3  # relative: four digits, as sentences print them
POINTS = 7  # where two formulas are compared
LETTERS = "abcdefgh"
_MINUS = str.maketrans(dict.fromkeys("−–—‐‑﹣－", "-"))
_NAME = re.compile(r"^[^=]*=")  # "dy/da = " before a number
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?"
_FRACTION = re.compile(rf"({_NUMBER})(?:/({_NUMBER}))?")


class Unreadable(Exception):
    """The text is no answer; the message says in a kind way what to write."""


def as_number(text: str) -> float:
    """Reads a number.

    A decimal comma, a fraction, a percentage, other minus signs, and a name with = before it are
    understood.

    Raises:
        Unreadable: the text is no number.
    """
    plain = _NAME.sub("", text.translate(_MINUS).lower())
    plain = re.sub(r"[\s_'`]", "", plain).rstrip(".").replace(",", ".")
    plain = re.sub(r"\*10\^|×10\^|\*10\*\*|×10", "e", plain).strip("()")
    is_percentage = plain.endswith("%")
    found = _FRACTION.fullmatch(plain.removesuffix("%"))
    if found is None or len(plain) > 40:
        raise Unreadable(
            f"{short_repr(text)} is not a number I can read. Write one such as -9, 2.5 or 3/4; "
            "this did not count."
        )
    with suppress(ZeroDivisionError, OverflowError):
        number = float(Fraction(found[1]) / Fraction(found[2] or "1"))
        return number / 100 if is_percentage else number
    raise Unreadable(f"{short_repr(text)} has no value as a number; this did not count.")


def as_choice(text: str, choices: Sequence[str]) -> str:
    """Reads one of the choices: its letter, its text, or the beginning of its text.

    Raises:
        Unreadable: the text is none of them, or the beginning of several.
    """
    plain = _simple(text)
    letter = plain.strip("().")
    if len(letter) == 1 and letter in LETTERS[:len(choices)]:
        return choices[LETTERS.index(letter)]
    simple = [_simple(choice) for choice in choices]
    if plain in simple:
        return choices[simple.index(plain)]
    begun = [choice for choice in choices if plain and _simple(choice).startswith(plain)]
    if len(begun) == 1:
        return begun[0]
    raise Unreadable(
        f"{short_repr(text)} is none of the answers. Write a letter from a to "
        f"{LETTERS[len(choices) - 1]}; this did not count."
    )


def as_formula(text: str, variables: Sequence[str]) -> str:
    """Reads a formula of some of the variables, and returns it as `parse` understands it.

    Raises:
        Unreadable: the text is no formula, or has other names.
    """
    plain = _NAME.sub("", text.translate(_MINUS)).strip()
    plain = plain.replace("^", "**").replace("·", "*").replace("×", "*").replace("²", "**2")
    plain = re.sub(r"(?<=[\d)])\s*(?=[A-Za-z(])", "*", plain)
    try:
        names = variables_of(plain)
        parse(plain, dict.fromkeys(names, 1.0))
    except ExpressionError as error:
        raise Unreadable(
            f"{short_repr(text)} is not a formula I can read: {_first_line(error)}. Write one such "
            f"as 2*{variables[0]}; this did not count."
        ) from error
    if unknown := [name for name in names if name not in variables]:
        raise Unreadable(
            f"{unknown[0]} does not occur in the question; write a formula of "
            f"{', '.join(variables)}. This did not count."
        )
    return plain


def is_close(given: float | str, answer: float | str, variables: Sequence[str] = ()) -> bool:
    """Returns whether two answers agree: numbers in four digits, formulas at several points."""
    if variables:
        return _agree(str(given), str(answer), variables)
    if isinstance(given, str) or isinstance(answer, str):
        return given == answer
    return math.isclose(given, answer, rel_tol=TOLERANCE, abs_tol=1e-9)


def _agree(given: str, answer: str, variables: Sequence[str]) -> bool:
    draw = random.Random("points")
    for _ in range(POINTS):
        point = {name: draw.uniform(0.5, 3.0) * draw.choice((-1, 1)) for name in variables}
        left, right = _at(given, point), _at(answer, point)
        if not math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12):
            return math.isnan(left) and math.isnan(right)
    return True


def _at(formula: str, point: dict[str, float]) -> float:
    used = {name: point[name] for name in variables_of(formula)}
    return parse(formula, used).data


def _simple(text: str) -> str:
    return " ".join(text.translate(_MINUS).lower().split())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".:")
