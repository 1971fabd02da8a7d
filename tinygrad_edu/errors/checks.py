"""Checks of arguments: each returns the argument or nothing, or raises what says what to write."""

import math
import operator
from collections.abc import Collection, Hashable, Iterable, Mapping, Set
from inspect import signature
from typing import Any, TypeGuard

from .numbers import is_number, number
from .text import counted, near_names, short_repr, shortened, some
from .wrong import wrong_entry, wrong_type

MOST = 10_000_000  # Values or samples: a few gigabytes


def check_type(
    x: Any, name: str, kind: type | tuple[type, ...], wanted: str, remedy: str = ""
) -> None:
    """Raises TypeError unless ``x`` is of a kind."""
    if not isinstance(x, kind):
        raise wrong_type(name, wanted, x, remedy)


def check_text(x: Any, name: str, remedy: str = "") -> None:
    """Raises TypeError unless ``x`` is text."""
    check_type(x, name, str, "text", remedy)


def check_function(f: Any, name: str, remedy: str = "", count: int | None = None) -> None:
    """Raises TypeError unless ``f`` can be called, with ``count`` arguments if that is given.

    A type of Python, such as int, is refused: what it makes of Values has no gradient.
    """
    if not callable(f):
        raise wrong_type(name, "a function", f, remedy)
    if isinstance(f, type) and f.__module__ == "builtins":
        raise wrong_type(name, "a function", f, remedy or "write one such as lambda x: x * x")
    if count is None:
        return
    try:
        taken = signature(f)
    except (TypeError, ValueError):
        return  # a function of C, whose arguments are not known
    try:
        taken.bind(*[None] * count)
    except TypeError as error:
        shown = f"{getattr(f, '__name__', short_repr(f))}{taken}"
        raise TypeError(
            f"{name} must be a function of {counted(count, 'argument')}, not "
            f"{shortened(shown, 60)}; {remedy}"
        ) from error


def check_choice(x: Any, name: str, choices: Iterable[Any], remedy: str = "") -> None:
    """Raises ValueError unless ``x`` is one of a few choices."""
    choices = list(choices)
    try:
        is_known = isinstance(x, Hashable) and x in choices
    except TypeError:  # of a comparison, such as that of pandas' NA
        is_known = False
    if not is_known:
        first = ", ".join(map(repr, choices[:-1]))
        listed = f"{first} or {choices[-1]!r}" if first else repr(choices[-1])
        end = f"; {remedy}" if remedy else ""
        raise ValueError(f"{name} must be {listed}, not {short_repr(x)}{end}")


def check_bool(x: Any, name: str) -> bool:
    """Returns ``x`` as a bool; raises TypeError unless it is True, False, 0 or 1."""
    if is_number(x) and number(x, name) in (0, 1):
        return bool(x)
    raise wrong_type(name, "True or False", x)


def is_list_like(x: Any) -> TypeGuard[Iterable[Any]]:
    """Returns whether ``x`` is a list, a tuple, an array, a generator or the like.

    Text, whose entries are letters, is none; nor is a mapping or a table, whose entries are keys,
    nor a set, which has no order of its own.
    """
    is_other = isinstance(x, (str, bytes, bytearray, Mapping, Set))
    has_keys = hasattr(x, "keys") and getattr(x, "ndim", 2) > 1
    is_number = getattr(x, "shape", None) == ()
    return isinstance(x, Iterable) and not (is_other or has_keys or is_number)


def check_list(xs: Any, name: str, wanted: str, remedy: str = "") -> list[Any]:
    """Returns the entries of what `is_list_like`; raises TypeError for anything else."""
    if not is_list_like(xs):
        raise wrong_type(name, wanted, xs, remedy)
    return list(xs)


def check_texts(xs: Any, name: str, remedy: str = "") -> list[str]:
    """Returns a list of the texts in what `is_list_like`; raises TypeError for anything else."""
    texts = check_list(xs, name, "a list of texts", remedy)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise wrong_entry(name, "a list of texts", xs, i, text, remedy)
    return texts


def check_name(x: Any, name: str, known: Collection[str], remedy: str = "") -> str:
    """Returns ``x`` if it is one of the known names.

    Raises TypeError or ValueError, with similar names if there are any, or else the remedy.
    """
    if isinstance(x, str) and x in known:
        return x
    listed = f"one of {some(known, 12)}" if len(known) > 1 else some(known)
    check_text(x, name, remedy or f"write {listed}")
    near = near_names(x, known)
    end = f"did you mean {' or '.join(map(repr, near))}?" if near else remedy
    raise ValueError(f"{name} must be {listed}, not {short_repr(x)}{f'; {end}' if end else ''}")


def check_int(
    x: object, name: str, least: float = -math.inf, remedy: str = "", most: float = MOST
) -> int:
    """Returns ``x`` as an int.

    Ints, numpy's integers and other objects with ``__index__`` are accepted.

    name: begins the message, as in ``Linear: nin``.
    least, most: the smallest and the largest number allowed.  By default the largest is `MOST`, so
        that a size with a digit too many is refused, and does not take days.
    remedy: ends the message.

    Raises:
        TypeError: ``x`` is not a whole number, or is True or False.
        ValueError: ``x`` is less than ``least`` or more than ``most``.
    """
    try:
        n = operator.index(x)  # type: ignore[arg-type]
    except TypeError:
        n = None
    if n is None or isinstance(x, bool) or getattr(x, "shape", ()) != ():
        raise wrong_type(name, "a whole number", x, remedy)
    if least <= n <= most:
        return n
    bounds = f"from {least:,} to {most:,}" if least > -math.inf else f"<= {most:,}"
    if n < least and most >= MOST:
        bounds = f">= {least}"
    end = f"; {remedy}" if remedy else ""
    raise ValueError(f"{name} must be a whole number {bounds}, not {short_repr(n)}{end}")


def check_size(count: int, name: str, what: str = "parameters") -> None:
    """Raises ValueError if ``name`` would make more than `MOST` parameters, or ``what``."""
    if count > MOST:
        raise ValueError(
            f"{name} would make {short_repr(count)} {what}; choose sizes that make at most {MOST:,}"
        )


def check_number(
    x: object,
    name: str,
    least: float = -math.inf,
    remedy: str = "",
    *,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    wanted: str = "",
) -> float:
    """Returns ``x`` as a finite float, >= ``least``, > ``above``, < ``below`` and <= ``most``.

    name: begins the message, as in ``SGD: lr``.
    remedy: ends the message.
    wanted: what the message says that ``x`` must be; by default it names the bounds.

    Raises:
        TypeError: ``x`` is not a number (see `number`).
        ValueError: ``x`` is inf or nan, or outside the bounds.
    """
    if not is_number(x):
        raise wrong_type(name, "a real number", x, remedy)
    value = number(x, name)
    if math.isfinite(value) and least <= value <= most and above < value < below:
        return value
    if not wanted:
        wanted = "finite" if least == -math.inf else f"a finite number >= {least:g}"
        if below < math.inf:
            wanted = f"a number >= {least:g} and < {below:g}"
        elif most < math.inf:
            wanted = f"a number from {least:g} to {most:g}"
    shown = repr(value) if x.__class__ in (int, float) else short_repr(x)
    raise ValueError(f"{name} must be {wanted}, not {shown}{f'; {remedy}' if remedy else ''}")
