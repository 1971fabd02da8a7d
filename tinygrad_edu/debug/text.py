"""Numbers and names as the sentences of a recording print them, and signs that a terminal lacks."""

from __future__ import annotations

import sys

DIGITS = 4  # significant digits of a number in a sentence
MOST_DIGITS = 10  # significant digits of a number that would look like an integer with fewer
# signs of mathematics for terminals that have letters only
SPELLINGS = {
    "∂": "d", "×": "*", "·": "*", "−": "-", "–": "-", "→": "->", "←": "<-", "≤": "<=", "≥": ">=",
    "≠": "!=", "≈": "about ", "Σ": "sum ", "√": "sqrt ", "∞": "inf", "°": " degrees",
    "²": "**2", "³": "**3", "½": "1/2", "α": "alpha", "β": "beta", "λ": "lambda ", "μ": "mu",
    "σ": "sigma", "Δ": "delta ", "’": "'", "‘": "'", "“": '"', "”": '"', "…": "...",
}


def printable(label: str) -> str:
    """Returns ``label`` with control characters escaped, so that a terminal does not obey them.

    A new line becomes ``\\n``, escape ``\\x1b``.
    """
    return "".join([c if c.isprintable() else repr(c)[1:-1] for c in label])


def encodable(text: str) -> str:
    """Returns a text with signs that standard output cannot show spelled in letters.

    Such an output is a pipe or a file on Windows, unless Python uses UTF-8.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = "".join([SPELLINGS.get(sign, sign) for sign in text])
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return text


def short_number(x: float | None) -> str:
    """Returns a number with four digits, as a person writes it: -3, 0.7071, 1.7e-17.

    None, for a number that is not computed yet, is "?".

    Below 10,000, a non-integer gets enough digits (at most ten) not to look like an integer:
    1.0001, 1234.5.  A difference that ten digits do not show is a rounding error.
    """
    if x is None:
        return "?"
    if abs(x) < 1e6 and x == int(x):
        return str(int(x))
    text = f"{x:.{DIGITS}g}"
    if abs(x) < 10**DIGITS and float(text).is_integer():
        longer = [f"{x:.{digits}g}" for digits in range(DIGITS + 1, MOST_DIGITS + 1)]
        text = next((text for text in longer if not float(text).is_integer()), f"{x:.0f}")
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
