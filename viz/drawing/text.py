"""Numbers and labels as drawings show them.

    >>> number_text(0.70710678), number_text(4.0), number_text(1.23456e-7)
    ('0.7071', '4.0000', '1.2346e-7')
    >>> label_number(4.0), escape("a<b")
    ('4', 'a&lt;b')

To show more digits, change `number_text`; to cut long labels elsewhere, change `escape`.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterator

from tinygrad_edu.nn.structure import module_path

DIGITS = 5  # significant digits of a number
DIGIT_WIDTH = 0.556  # of a digit in Helvetica, in font sizes
LINE_LENGTH = 32  # characters of a line of a label
MAX_LABEL_LENGTH = 1000  # characters

# most of these characters are not allowed in XML
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def number_text(x: float, digits: int = DIGITS) -> str:
    """Returns ``x`` with so many significant digits (one less below 1) and trailing zeros.

    Examples are ``4.0000``, ``-0.7071``, ``1.2346e-7`` and ``inf``.
    """
    if not math.isfinite(x):
        return str(x)
    if x == 0:
        return f"{0:.{digits - 1}f}"  # never -0
    size = abs(x)
    if 1 <= size < 10**digits - 0.5:
        return f"{x:#.{digits}g}".removesuffix(".")
    if 0.1 <= size < 1:
        return f"{x:.{digits - 1}f}"
    if 1e-3 <= size < 1:
        return f"{x:#.{digits - 1}g}"
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"  # 1e-7, not 1e-07


def label_number(x: float | None, digits: int = DIGITS) -> str:
    """Returns `number_text` without trailing zeros, such as ``4`` or ``1e20``, or "" for None."""
    if x is None:
        return ""
    mantissa, e, exponent = number_text(x, digits).partition("e")
    return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + e + exponent


def name_in_module(path: str) -> str:
    """Returns the name of a parameter or module inside the module around it.

    For ``neurons.0.w.1``, it is ``w.1``.
    """
    return path[len(module_path(path)):].removeprefix(".")


def escape(text: str, line_length: int = LINE_LENGTH) -> str:
    r"""Returns ``text`` for an HTML-like label that shows it as typed.

    This includes ``<b>``, ``{a|b}``, ``\N`` and any Unicode.  Long text is broken into lines.
    After `MAX_LABEL_LENGTH` characters it is cut, and the number of missing characters is added.
    Characters that cannot be shown are replaced: control characters by their pictures in Unicode,
    lone surrogates by U+FFFD.
    """
    if len(text) > MAX_LABEL_LENGTH:
        text = f"{text[:MAX_LABEL_LENGTH]}... ({len(text) - MAX_LABEL_LENGTH:,} more characters)"
    text = _UNPRINTABLE.sub(
        _replacement, text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    )
    lines = [piece for line in text.split("\n") for piece in _broken(line, line_length)]
    # Graphviz replaces \N and similar by names, in tables too; a doubled backslash stands for one.
    # A line of only closing square brackets is a syntax error in Graphviz, because it expects the
    # end of a CDATA section.
    return "<BR/>".join(
        html.escape(line).replace("\\", "\\\\").replace("]", "&#93;") for line in lines
    )


def _replacement(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else "\ufffd"


def _broken(line: str, length: int) -> Iterator[str]:
    """Yields ``line`` in pieces of about ``length`` characters.

    It is broken after a space if there is one, and never between a letter and its accent.
    """
    while len(line) > length:
        end = line.rfind(" ", length // 2, length) + 1 or length
        while end < len(line) and _belongs_to(line[end], line[end - 1]):
            end += 1
        yield line[:end]
        line = line[end:]
    yield line


def _belongs_to(character: str, before: str) -> bool:
    """Returns whether ``character`` belongs to the one ``before``.

    Accents do, joiners and the characters that they join, and emoji modifiers.
    """
    return (unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or before == "\u200d"
            or "\U0001f3fb" <= character <= "\U0001f3ff")
