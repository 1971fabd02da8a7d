"""Errors for what is of the wrong type: its name, what it must be, what it is, what to write."""

from collections.abc import Iterable
from typing import Any

from .text import short_repr


def wrong_type(name: str, wanted: str, given: object, remedy: str = "") -> TypeError:
    """Returns the error "``name`` must be ``wanted``, not int (5); ``remedy``".

    remedy: what to write; by default the `usual_remedy`.
    """
    return TypeError(
        f"{name} must be {wanted}, not {type(given).__name__} ({short_repr(given)}); "
        f"{remedy or usual_remedy(wanted, given)}"
    )


def wrong_entry(
    name: str, wanted: str, given: object, i: int, entry: object, remedy: str = ""
) -> TypeError:
    """Returns the error "``name`` must be ``wanted``, but entry 0 of [5] is int (5); ``remedy``".
    """
    return TypeError(
        f"{name} must be {wanted}, but entry {i} of {short_repr(given)} is {type(entry).__name__} "
        f"({short_repr(entry)}); {remedy or usual_remedy('an entry', entry)}"
    )


EXAMPLES = {
    "a number": "0.5", "a real number": "0.5", "a whole number": "3", "text": "'name'",
    "a function": "lambda x: x * x", "True or False": "True", "a Value": "Value(0.5)",
}


def usual_remedy(wanted: str, given: Any) -> str:
    """Returns what to write instead of what was given, which depends on its type."""
    example = f"write one such as {EXAMPLES[wanted]}" if wanted in EXAMPLES else f"pass {wanted}"
    example = example.replace("one such as 'name'", "it in quotes, such as 'name'")
    if given is None:
        return f"{example} (a function without `return` gives None)"
    if isinstance(given, type):
        return f"pass an instance, made by a call: {given.__name__}(...)"
    if callable(given) and hasattr(given, "__name__"):
        return f"pass its result, which a call gives: {given.__name__}(...)"
    if wanted.endswith("number"):
        return _remedy_for_number(given) or example
    return example


def _remedy_for_number(given: Any) -> str:
    """Returns how to make a number of what was given, or "" if it is not known."""
    if isinstance(given, str):
        try:
            return f"write {float(given)!r} without quotes, or convert the text: float(text)"
        except ValueError:
            return ""
    if isinstance(given, complex):
        return "take its part z.real or z.imag, or its size abs(z)"
    if isinstance(given, dict):
        return "pass one of its values, as in d[key]"
    if isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray)):
        return "pass its entries one by one, as in [f(x) for x in xs]"
    return ""
