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
        f"({short_repr(entry)}); {remedy or usual_remedy(wanted, entry)}"
    )


# A word in what is wanted, and an example; the first word that is found counts.
_EXAMPLES = (
    ("index", "0"), ("name", "['a', 'b']"), ("texts", "['a', 'b']"), ("text", "'a'"),
    ("rows", "[[0.5, 1.0], [2.0, 3.0]]"), ("inputs", "[[0.5, 1.0], [2.0, 3.0]]"),
    ("a row of", "[0.5, 1.0]"), ("targets", "[0, 1]"), ("labels", "[0, 1]"), ("Values", "[w, b]"),
    ("function", "lambda x: x * x"), ("list", "[0.5, 1.0]"), ("True", "True"),
    ("Value", "Value(0.5)"), ("whole", "3"), ("steps", "3"), ("number", "0.5"),
)


def usual_remedy(wanted: str, given: Any) -> str:
    """Returns what to write instead of what was given, which depends on its type."""
    found = next((example for word, example in _EXAMPLES if word in wanted), "")
    remedy = f"write one such as {found}" if found else f"pass {wanted}"
    if given is None:
        return f"{remedy} (a function without `return` gives None)"
    if isinstance(given, type):
        return f"call it, and pass what it makes: {given.__name__}(...)"
    if callable(given) and hasattr(given, "__name__"):
        return f"call it, and pass the result: {given.__name__.replace('<lambda>', 'f')}(...)"
    if wanted.endswith("number"):
        return _remedy_for_number(given, "whole" in wanted) or remedy
    return remedy


def _remedy_for_number(given: Any, is_whole: bool = False) -> str:
    """Returns how to make a number of what was given, or "" if it is not known."""
    if isinstance(given, str):
        kind = int if is_whole else float
        try:
            made = repr(kind(given))
        except ValueError:
            return ""
        return f"write {made} without quotes, or convert the text: {kind.__name__}(text)"
    if is_whole and isinstance(given, float) and given.is_integer():
        return f"write {given:.0f}, or convert the number: int(x)"
    if isinstance(given, complex):
        return "take its part z.real or z.imag, or its size abs(z)"
    if isinstance(given, dict):
        return "pass one of its values, as in d[key]"
    if isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray)):
        return "pass one of its entries, or do this for each, as in [f(x) for x in xs]"
    return ""
