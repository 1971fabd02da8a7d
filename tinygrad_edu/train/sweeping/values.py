"""The values of settings: which there may be, and how files and tables show them.

    >>> described({"lr": 0.1, "layers": (8, 8)})
    '{"layers": [8, 8], "lr": 0.1}'
    >>> shown_settings({"lr": 0.1, "layers": [8, 8]})
    'lr=0.1, layers=8,8'
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...errors import short_repr, shortened
from ...files import to_json

REMEDY = (
    "use numbers, text, None, lists of these, or functions and classes of a module; what else a "
    "training needs, `make` can choose by such a value"
)


def plain_value(x: Any) -> Any:
    """Returns a value with Python's numbers in place of numpy's, and lists in place of arrays."""
    if hasattr(x, "dtype") and hasattr(x, "tolist"):
        return x.tolist()
    if isinstance(x, dict):
        return {key: plain_value(entry) for key, entry in x.items()}
    if type(x) in (list, tuple):
        return type(x)([plain_value(entry) for entry in x])
    return x


def json_value(x: Any, name: str) -> Any:
    """Returns a value for JSON: a tuple is a list there, and a function or a class is its name.

    name: begins the message of an error.

    Raises:
        TypeError: the value is of another kind.
    """
    if x is None or isinstance(x, (bool, int, str)):
        return x
    if isinstance(x, float):
        return to_json(x)
    if isinstance(x, (list, tuple)):
        return [json_value(entry, name) for entry in x]
    if isinstance(x, dict) and all(isinstance(key, str) for key in x):
        return {key: json_value(entry, name) for key, entry in x.items()}
    place = getattr(x, "__qualname__", "<")
    if callable(x) and "<" not in place:
        return f"{x.__module__}.{place}"
    raise TypeError(f"{name} cannot be {type(x).__name__} ({short_repr(x)}); {REMEDY}")


def described(x: Any, name: str = "a setting") -> str:
    """Returns a value, or settings by name, as one text: equal values have equal texts."""
    return json.dumps(json_value(x, name), sort_keys=True)


def shown_value(x: Any) -> str:
    """Returns a value as tables and legends show it."""
    if isinstance(x, float):
        return f"{x:g}"
    if isinstance(x, (list, tuple)):
        return ",".join(map(shown_value, x)) or "none"
    if callable(x):
        return str(getattr(x, "__name__", short_repr(x)))
    return shortened(str(x), 40)


def shown_settings(settings: Mapping[str, Any]) -> str:
    """Returns settings on one line."""
    return ", ".join(f"{name}={shown_value(value)}" for name, value in settings.items())
