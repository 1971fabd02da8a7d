"""Numbers and names as the sentences of a recording print them."""

from __future__ import annotations

import math
from collections.abc import Sequence

DIGITS = 4  # of a number in a sentence
MOST_DIGITS = 10  # of a number that would look like an integer with fewer


def printable(label: str) -> str:
    """``label`` without anything that a terminal could take for a command: a new line as ``\\n``,
    escape as ``\\x1b``."""
    return "".join([c if c.isprintable() else repr(c)[1:-1] for c in label])


def brief(x: float | None) -> str:
    """A number as a person writes it, to four digits: -3, 0.7071, 1.7e-17; "?" for one that is not
    there yet.

    Below 10,000 what is no integer does not look like one: 1.0001 and 1234.5 have as many digits as
    that takes, up to ten.  What ten digits would not show is a rounding error.
    """
    if x is None:
        return "?"
    if math.isfinite(x) and x == int(x) and abs(x) < 1e6:
        return str(int(x))
    text = f"{x:.{DIGITS}g}"
    if abs(x) < 10**DIGITS and float(text).is_integer():
        longer = [f"{x:.{digits}g}" for digits in range(DIGITS + 1, MOST_DIGITS + 1)]
        text = next((text for text in longer if not float(text).is_integer()), f"{x:.0f}")
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def shortened(names: Sequence[str]) -> str:
    """Returns the first twelve names, and how many more there are."""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more
