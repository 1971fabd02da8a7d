"""The arguments of `gradient_test`, and the places in them where it draws.

Some points are always tried, because programs are most often singular there: `special_points`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import isfinite
from typing import Any

from hypothesis import HealthCheck, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable

from ..engine.primitive import REALS, Primitive
from ..errors import number, short_repr, wrong_type
from .arguments import Floats, floats_between
from .function import is_real, signature_of

# the values for all arguments at once, the simplest first, and those for one argument alone
POWERS = (2.0, 0.5, 4.0, 0.25, 8.0, 0.125, 16.0, 32.0, 64.0)
SPECIAL = (1.0, -1.0, 0.0, *POWERS, *(-x for x in POWERS))
SPECIAL_ALONE = (0.0, 1.0, -1.0)
MAX_ALONE = 8  # arguments that are tried alone
GENERIC = (0.3, 3.0)  # where the other arguments are then
GOLDEN = 0.618  # multiples of it, without their whole parts, are spread evenly

Place = Any  # DEFAULT, an interval, or a strategy
DEFAULT = st.nothing()  # the place of an argument that nothing is said about


def named_arguments(
    f: Callable[..., Any], name: str, arguments: Mapping[str, Any]
) -> tuple[inspect.Signature, str]:
    """Returns the named arguments of ``f``, and the one that is its ``self``, or "".

    Raises:
        TypeError: ``f`` is not a function.
        ValueError: ``f`` does not have one of ``arguments``.
    """
    if not callable(f):
        raise wrong_type(
            "gradient_test: f", "a function, a row of the table or a row's name", f,
            "write a name such as 'sin', or pass the function without calling it",
        )
    try:
        given = signature_of(f).parameters.values()
    except (TypeError, ValueError) as error:  # of C, or a type of Python
        raise ValueError(
            f"gradient_test: f must have arguments with names, not {short_repr(f)}, whose "
            "signature is not known; write lambda x: f(x)"
        ) from error
    parameters = [
        parameter
        for parameter in given
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    signature = inspect.Signature(parameters)
    first = next((name for name in signature.parameters if _is_method(f)), "")
    for argument in arguments:
        if argument not in signature.parameters:
            known = ", ".join(each for each in signature.parameters if each != first) or "none"
            raise ValueError(f"{name} has no argument {argument!r}; it has {known}")
    return signature, "" if first in arguments else first


def _is_method(f: Callable[..., Any]) -> bool:
    """Returns whether ``f`` was written with ``def`` in the body of a class."""
    place, _, name = getattr(f, "__qualname__", "").rpartition(".")
    is_free = inspect.ismethod(f) or isinstance(f, staticmethod) or name == "<lambda>"
    return bool(place) and not place.endswith("<locals>") and not is_free


def parametrized(f: Callable[..., Any]) -> set[str]:
    """Returns the arguments that ``pytest.mark.parametrize`` passes to ``f``."""
    names: set[str] = set()
    for mark in getattr(f, "pytestmark", ()):
        if mark.name == "parametrize":
            given = mark.args[0] if mark.args else mark.kwargs["argnames"]
            names.update(re.findall(r"\w+", given) if isinstance(given, str) else given)
    return names


def is_place(x: Any) -> bool:
    """Returns whether ``x`` says what to draw: an interval, ``(low, high)``, or a strategy."""
    return isinstance(x, st.SearchStrategy) or (type(x) is tuple and is_pair(x))


def is_pair(x: Any) -> bool:
    """Returns whether ``x`` is a list or a tuple of two numbers."""
    return type(x) in (list, tuple) and len(x) == 2 and all(map(is_real, x))


def strategy_of(place: Place, name: str) -> Floats:
    """Returns the strategy for a place that is given as a strategy or an interval.

    Raises ValueError if the interval is empty.
    """
    if isinstance(place, st.SearchStrategy):
        return place
    return floats_between(*[number(end, f"an end of the interval of {name}") for end in place])


def special_points(places: Mapping[str, Place], f: Callable[..., Any]) -> list[dict[str, Any]]:
    """Returns the points that are always tried.

    They do not leave the intervals that are given, or those of the row ``f``.  Values from a
    strategy are the simplest ones that it draws.
    """
    intervals = {
        name: _intervals(name, place, f) for name, place in places.items() if _is_open(place)
    }
    if not intervals:
        return []
    try:
        rest = {name: _simplest(place) for name, place in places.items() if name not in intervals}
    except (NoSuchExample, Unsatisfiable):
        return []
    for k, (name, pieces) in zip(count(1), intervals.items()):
        low, high = pieces[0] if all(map(isfinite, pieces[0])) else GENERIC
        rest[name] = low + (high - low) * (k * GOLDEN % 1)
    groups = [(list(intervals), x) for x in SPECIAL]
    if len(intervals) > 1:
        groups += [([name], x) for name in list(intervals)[:MAX_ALONE] for x in SPECIAL_ALONE]
    points = []
    for names, x in groups:
        inside = [
            name for name in names if any(low <= x <= high for low, high in intervals[name])
        ]
        if inside:
            points.append({name: x if name in inside else rest[name] for name in places})
    return points


def _is_open(place: Place) -> bool:
    """Returns whether special values may be put at a place."""
    return place is DEFAULT or not isinstance(place, st.SearchStrategy)


def _intervals(name: str, place: Place, f: Callable[..., Any]) -> Sequence[tuple[float, float]]:
    if place is not DEFAULT:
        return [place]
    return f.sample[f.parameters.index(name)] if isinstance(f, Primitive) else REALS


def _simplest(strategy: st.SearchStrategy[Any]) -> Any:
    quiet = settings(
        database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    return find(strategy, lambda _: True, settings=quiet)
