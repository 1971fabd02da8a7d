"""Answers as people write them: numbers, formulas, and choices.

    >>> as_number("-9.0"), as_number(" -9,0"), as_number("-18/2"), as_number("1e1")
    (-9.0, -9.0, -9.0, 10.0)
    >>> as_formula("2ab²", "ab")
    '2*a*b**2'
    >>> as_choice("(b)", ["the rate", "the start"])
    'the start'

A text that cannot be read raises `UnreadableError`, whose message says what to write.  No answer
takes long, and nothing in it is run.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from ...engine.graph import topological_order
from ...engine.primitive import lookup
from ...engine.value import Value
from ...errors import ExpressionError, short_repr
from ...symbolic.expressions import CONSTANTS, function_names, parse, variables_of

TOLERANCE = 1e-3  # relative: four digits, as sentences print them
POINTS = 8  # where two formulas are compared; all variables are positive at half of them
MOST_CHARACTERS = 200  # of an answer
MOST_ADVICE = 60  # characters of advice on a formula; longer advice is not for learners
LETTERS = "abcdefgh"
NOT_COUNTED = "this did not count."
_FUNCTIONS = frozenset(function_names())
_POWER_OF_CALL = re.compile(rf"(?<![^\W\d_])({'|'.join(_FUNCTIONS)})\*\*(\d+)\s*\(")
_DASHES = (
    "\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{SMALL HYPHEN-MINUS}"
    "\N{FULLWIDTH HYPHEN-MINUS}"
)
_QUOTES = "“”„«»"
_APOSTROPHES = "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
_SIGNS = str.maketrans({
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys("·×⋅∙✕", "*"),
    **dict.fromkeys("÷\N{DIVISION SLASH}", "/"),
    **dict.fromkeys(_QUOTES, '"'),
    **dict.fromkeys(_APOSTROPHES, "'"),
})
_SUPERSCRIPT = re.compile("([⁺⁻]?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_DERIVATIVE = r"[d∂]\w+\s*/\s*[d∂]\w+"
_IS_DERIVATIVE = re.compile(rf"{_DERIVATIVE}\s+is\s+")  # before the answer
_LAST_DERIVATIVE = re.compile(rf"(?<![<>!=])=\s*{_DERIVATIVE}\s*$")  # behind it
_SIZE = r"(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?"
_DECIMALS = rf"[-+]?{_SIZE}"
_FRACTION = re.compile(rf"({_DECIMALS})\s*(?:/\s*({_DECIMALS}))?")
_EXCLAIMED = re.compile(rf"(-{_SIZE}) ?!+")  # 3! could be a factorial, -9! could not
_MIXED = re.compile(r"([-+]?)\s*(\d+) +(\d+)\s*/\s*(\d+)")  # 2 1/2
_WORDS = re.compile(r"(?:answer|line|step|number|no\.|nr\.|about|#|≈|~)[\s:]*")  # before a number
_SIGN_WORDS = {"minus ": "-", "plus ": "+"}
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:[ '_]\d{3})+(?!\d)")  # 12 000
_ENGLISH = re.compile(r"[-+]?\d{1,3}(?:(?:,\d{3}){2,}|,\d{3}(?=\.))(?:,\d{3})*(?:\.\d+)?")
_GERMAN = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+,\d+")  # 1.234,5
_TWO_READINGS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")  # a decimal comma, or thousands
_ARITHMETIC = frozenset("0123456789.e+-*/() ")
_NOT_ARITHMETIC = re.compile(r"//|(?<![\d.])e|e(?![-+\d])")  # an e is part of a number
_LETTERED = re.compile(r"(?:answer\s+)?[(\[]?([a-h])(?:[)\].:]+\s*|$)(.*)")  # b) and the text
_TOKEN = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3}(?!\w))?|[^\W\d]\w*|\*\*|\s+|.", re.DOTALL)


class UnreadableError(Exception):
    """The text is no answer; the message says in a kind way what to write."""


def as_number(text: str) -> float:
    """Reads a number.

    A decimal comma, thousands in groups, a fraction, a mixed number, a percentage, a calculation
    such as 2*3, other minus signs, and a name with = before the number are understood.

    Raises:
        UnreadableError: the text is not a number.
    """
    plain = _plain(text, "a number such as -9, 2.5 or 3/4").lower().strip("'\"` ")
    plain = re.sub(r"(?<=\d)\s*x\s*(?=10\s*[\^*])|(?<=[\d)])\s+x\s+(?=[-+(.\d])", "*", plain)
    plain = plain.replace("^", "**")
    plain = _WORDS.sub("", plain, count=1) if _WORDS.match(plain) else plain
    for word, sign in _SIGN_WORDS.items():
        plain = sign + plain.removeprefix(word) if plain.startswith(word) else plain
    plain = plain.rstrip(".; ")
    plain = found[1] if (found := _EXCLAIMED.fullmatch(plain)) else plain
    if plain.count("(") < plain.count(")"):
        plain = plain.removesuffix(")")  # 4)
    is_percentage = plain.endswith("%")
    number = _calculated(_with_points(plain.removesuffix("%").strip(), text), text)
    if not math.isfinite(number):
        raise UnreadableError(f"{short_repr(text)} has no value as a number; {NOT_COUNTED}")
    return number / 100 if is_percentage else number


def _with_points(plain: str, text: str) -> str:
    """Returns a number with a decimal point, and without marks between thousands."""
    plain = _GROUPS.sub(lambda match: re.sub(r"[ '_]", "", match[0]), plain)
    if _ENGLISH.fullmatch(plain):
        return plain.replace(",", "")
    if _GERMAN.fullmatch(plain):
        return plain.replace(".", "").replace(",", ".")
    if _TWO_READINGS.fullmatch(plain):
        raise UnreadableError(
            f"{short_repr(text)} can be read in two ways: write {plain.replace(',', '')} or "
            f"{plain.replace(',', '.')}; {NOT_COUNTED}"
        )
    return re.sub(r"(?<=\d),(?=\d)|,(?=\d)", ".", plain)


def _calculated(plain: str, text: str) -> float:
    """Returns the value of a number, a fraction or a calculation; inf or nan if it has none."""
    with suppress(ZeroDivisionError, OverflowError):
        if found := _FRACTION.fullmatch(plain):
            return float(Fraction(found[1]) / Fraction(found[2] or "1"))
        if found := _MIXED.fullmatch(plain):
            size = float(int(found[2]) + Fraction(int(found[3]), int(found[4])))
            return -size if found[1] == "-" else size
        if _ARITHMETIC.issuperset(plain) and not _NOT_ARITHMETIC.search(plain):
            with suppress(ExpressionError):
                return parse(plain).data
        raise UnreadableError(
            f"{short_repr(text)} is not a number I can read. Write one such as -9, 2.5 or 3/4; "
            f"{NOT_COUNTED}"
        )
    return math.nan


def as_choice(text: str, choices: Sequence[str]) -> str:
    """Reads one of the choices: its letter, its text, or a part that no other choice has.

    Raises:
        UnreadableError: the text is not one of them, or is a part of several.
    """
    if text.strip() in choices:
        return text.strip()
    last = LETTERS[len(choices) - 1]
    plain = " ".join(_plain(text, f"a letter from a to {last}").lower().split())
    plain = plain.strip("'\"` ")
    simple = [" ".join(choice.translate(_SIGNS).lower().split()) for choice in choices]
    if (found := _LETTERED.fullmatch(plain)) and found[1] <= last:
        i = LETTERS.index(found[1])
        if found[2].rstrip(".") in simple[i]:  # often "", which is in every text
            return choices[i]
    plain = plain.rstrip(".")
    if plain in simple:
        return choices[simple.index(plain)]
    parts = [choice for choice, one in zip(choices, simple) if len(plain) > 1 and plain in one]
    if len(parts) == 1:
        return parts[0]
    raise UnreadableError(
        f"{short_repr(text)} is not one of the answers. Write a letter from a to {last}; "
        f"{NOT_COUNTED}"
    )


def as_formula(text: str, variables: Sequence[str]) -> str:
    """Reads a formula of some of the variables, and returns it as `parse` understands it.

    The variables are single letters, so 2ab is a product.

    Raises:
        UnreadableError: the text is not a formula, has other names, or can be read in two ways.
    """
    variables = tuple(variables)
    plain = _plain(text, f"a formula such as 1 + 2*{variables[0]}").strip("'\"` .;")
    plain = re.sub(r"^([^(]*\d),(?=\d)", r"\1.", plain.replace("^", "**"))
    plain = _with_powers_behind(re.sub(r"(?<![^\W\d_])ln(?=\s*\()", "log", plain))
    try:
        plain = _with_products(plain, variables)
        if unknown := [name for name in _names_in(plain) if name not in variables]:
            raise UnreadableError(
                f"{short_repr(unknown[0])} does not occur in the question; write a formula of "
                f"{listed(variables)}. {NOT_COUNTED.capitalize()}"
            )
        values = _at_points(plain, variables)
    except ExpressionError as error:
        advice = str(error).splitlines()[0].rstrip(".:").partition("; ")[2]
        why = f": {advice}" if 0 < len(advice) < MOST_ADVICE else ""
        raise UnreadableError(
            f"{short_repr(text)} is not a formula I can read{why}. Write one such as "
            f"1 + 2*{variables[0]}; {NOT_COUNTED}"
        ) from error
    if not any(map(math.isfinite, values)):
        raise UnreadableError(f"{short_repr(text)} has no value as a formula; {NOT_COUNTED}")
    return plain


def _with_powers_behind(formula: str) -> str:
    """Returns a formula with the power of a call behind it: tanh**2(a) is (tanh(a))**2."""
    while found := _POWER_OF_CALL.search(formula):
        depth = 1
        end = found.end()
        while depth and end < len(formula):
            depth += {"(": 1, ")": -1}.get(formula[end], 0)
            end += 1
        call = f"{found[1]}({formula[found.end():end]}"
        formula = f"{formula[:found.start()]}({call})**{found[2]}{formula[end:]}"
    return formula


def _names_in(formula: str) -> list[str]:
    """Returns the names in a formula except pi and e."""
    unknown = [name for name in CONSTANTS if name not in ("pi", "e")]
    return variables_of(formula) + [name for name in unknown if name in _TOKEN.findall(formula)]


def _with_products(text: str, variables: Sequence[str]) -> str:
    """Returns a formula with a * wherever a product is written without one."""
    tokens = [token for token in _TOKEN.findall(text) if not token.isspace()]
    split: list[str] = []
    for token, after in pairwise([*tokens, ""]):
        split += _names(token, after, variables)
    made: list[str] = []
    operators = [""]  # the last operator at each level of brackets
    for token in split:
        before = made[-1] if made else ""
        is_call = before in _FUNCTIONS and token == "("
        if _ends_factor(before) and _begins_factor(token) and not is_call:
            if operators[-1] == "/" or token[0] in ".0123456789":
                raise _two_readings(text, variables)
            made.append("*")
            operators[-1] = "*"
        made.append(token)
        if token == "(":
            operators.append("")
        elif token == ")":
            del operators[max(1, len(operators) - 1):]
        elif token in ("+", "-", "*", "/", "**"):
            operators[-1] = token
    return "".join(made)


def _two_readings(text: str, variables: Sequence[str]) -> UnreadableError:
    return UnreadableError(
        f"{short_repr(text)} can be read in two ways; write every product with *, and brackets "
        f"around a divisor: 1/(2*{variables[0]}). {NOT_COUNTED.capitalize()}"
    )


def _names(token: str, after: str, variables: Sequence[str]) -> list[str]:
    """Returns the names that a token stands for: ``ab`` is a and b, if both are variables."""
    if not token[0].isalpha() or token in variables or (token in _FUNCTIONS and after == "("):
        return [token]
    letters = [*token] if set(token) <= set(variables) else [*token.lower()]
    if set(letters) <= set(variables):
        return letters
    if token in _FUNCTIONS:
        raise UnreadableError(
            f"Write the argument of {token} in brackets: {token}({variables[0]}); {NOT_COUNTED}"
        )
    if set(token.rstrip("0123456789")) <= set(variables):
        raise _two_readings(token, variables)  # a2
    return [token.lower()] if token.lower() in CONSTANTS else [token]


def _ends_factor(token: str) -> bool:
    return token[-1:].isalnum() or token[-1:] in (")", ".")


def _begins_factor(token: str) -> bool:
    return token[0].isalnum() or token[0] == "(" or (token[0] == "." and len(token) > 1)


def _plain(text: str, wanted: str) -> str:
    """Returns what stands behind the last =, in ASCII where that is possible.

    Raises:
        UnreadableError: the text is empty or too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableError(
            f"These are {len(text):,} characters, too many for an answer. Write {wanted}; "
            f"{NOT_COUNTED}"
        )
    plain = _SUPERSCRIPT.sub(_power, text).translate(_SIGNS)
    plain = "".join(map(_ascii, _LAST_DERIVATIVE.sub("", plain))).strip()
    plain = _IS_DERIVATIVE.sub("", plain, count=1)
    plain = re.split(r"(?<![<>=!])=(?!=)", plain)[-1].strip()
    if not plain:
        raise UnreadableError(f"There is no answer yet. Write {wanted}; {NOT_COUNTED}")
    return plain


def _power(found: re.Match[str]) -> str:
    """Returns superscript digits as a power: a⁻¹ is a**(-1)."""
    digits = "".join([str(unicodedata.digit(c)) for c in found[2]])
    return f"**(-{digits})" if found[1] == "⁻" else f"**{digits}"


def _ascii(c: str) -> str:
    """Returns what a character stands for: a digit, a fraction, or a power; often itself."""
    if c.isascii():
        return c
    kind = unicodedata.decomposition(c).partition(" ")[0]
    if kind == "<fraction>":
        return f" {unicodedata.normalize('NFKC', c)}".replace("\N{FRACTION SLASH}", "/")
    if c.isdecimal():
        return str(unicodedata.decimal(c))
    if unicodedata.category(c) == "Cf":  # marks that cannot be seen
        return ""
    return unicodedata.normalize("NFKC", c).replace("\N{FRACTION SLASH}", "/")


def listed(names: Sequence[str]) -> str:
    """Returns names as a sentence lists them: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


# ---- comparing -----------------------------------------------------------------------------------


def is_close(
    given: float | str,
    answer: float | str,
    variables: Sequence[str] = (),
    base: float | None = None,
) -> bool:
    """Returns whether two answers agree.

    Whole numbers agree if they are equal, other numbers in four digits, formulas at several points
    in four digits, and choices if they are the same.

    variables: the variables of two formulas; () for numbers and choices.
    base: a number whose distances to both must agree in the same way, as a weight before a step
        that moves it only a little; None for none.
    """
    if variables:
        pairs = zip(
            _at_points(str(given), tuple(variables)), _at_points(str(answer), tuple(variables))
        )
        known = [pair for pair in pairs if not all(map(math.isnan, pair))]
        return bool(known) and all(_is_near(x, y) for x, y in known)
    if isinstance(given, str) or isinstance(answer, str):
        return given == answer
    if base is not None and not _is_near(given - base, answer - base):
        return False
    return _is_near(given, answer)


def distinct(
    answer: float | str,
    candidates: Iterable[tuple[float | str, str]],
    variables: Sequence[str] = (),
) -> dict[float | str, str]:
    """Returns the wrong answers that differ from the answer and from each other.

    Of several equal ones the first is kept, and of several with one name, too.

    candidates: wrong answers, each with the name of the misconception that gives it.
    """
    kept: dict[float | str, str] = {}
    for wrong, name in candidates:
        is_number = isinstance(wrong, str) or math.isfinite(wrong)
        others = [answer, *kept]
        if is_number and name not in kept.values() and not any(
            is_close(wrong, other, variables) for other in others
        ):
            kept[wrong] = name
    return kept


def _is_near(x: float, y: float) -> bool:
    is_whole = x == y or (math.isfinite(x) and math.isfinite(y) and x % 1 == 0 == y % 1)
    return x == y if is_whole else math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=1e-9)


@lru_cache(maxsize=512)
def _at_points(formula: str, variables: tuple[str, ...]) -> tuple[float, ...]:
    """Returns the values of a formula at the points where formulas are compared."""
    draw = random.Random("points")
    points = []
    for i in range(POINTS):
        # every second point has signs: of the first variable at i = 2, of the second at i = 4, ...
        negative = [i % 2 == 0 and i >> (1 + j % 2) & 1 for j in range(len(variables))]
        sizes = [0.5 + 2.5 * draw.random() for _ in variables]
        signed = [-size if minus else size for size, minus in zip(sizes, negative)]
        points.append(dict(zip(variables, signed)))
    names = variables_of(formula)
    if "<" in formula or ">" in formula:  # a graph has one side of the condition only
        return tuple([parse(formula, {name: at[name] for name in names}).data for at in points])
    root = parse(formula, {name: points[0][name] for name in names})
    return tuple([_computed(topological_order(root), point) for point in points])


def _computed(nodes: Sequence[Value], point: dict[str, float]) -> float:
    """Returns the number of the last node, computed with other numbers of the leaves."""
    data: dict[Value, float] = {}
    for node in nodes:
        if node.op:
            data[node] = lookup(node.op).forward(*[data[arg] for arg in node.args])
        else:
            data[node] = point.get(str(node.label), node.data)
    return data[nodes[-1]]
