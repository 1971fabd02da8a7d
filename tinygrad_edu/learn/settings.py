"""Settings of an experiment: which ones there are, and which values they may have.

A setting is a parameter of the experiment with a default.  Its annotation says what it may be:

================================  ==================================================================
``bool``                          True or False
``float``                         a finite number; above 0 if the default and the negation are
``int``                           the same, and whole: 3 or 3.0
``Literal["*", "+"]``             one of these
``Annotated[str, NAMES]``         one of a tuple of choices
``Annotated[float, Range(0, 1)]`` a number from 0 to 1
================================  ==================================================================

The docstring of the experiment describes each setting in plain words, on a line of its own such as
``factor: the learning rate, in units of 1/L.``, which may go on in an indented line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, getdoc, signature
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ..errors import check_choice, check_number, check_type, near_names, wrong_type

ENTRY = re.compile(r"^([a-z_]\w*): (.+(?:\n +.+)*)", re.MULTILINE)  # of a docstring: a setting


@dataclass(frozen=True)
class Range:
    """The numbers from ``least`` to ``most``, both included: an annotation of a setting."""

    least: float
    most: float


def settings_of(experiment: Callable[..., Any]) -> Mapping[str, Any]:
    """Returns the settings of an experiment with their defaults: all but its first parameter."""
    _, *others = signature(experiment).parameters.values()
    return MappingProxyType({
        parameter.name: parameter.default
        for parameter in others if parameter.default is not Parameter.empty
    })


def descriptions_of(experiment: Callable[..., Any]) -> Mapping[str, str]:
    """Returns what each setting of an experiment means, by name: clauses without a full stop.

    Raises:
        ValueError: the docstring of the experiment does not describe a setting, or describes one
            that does not exist.
    """
    known = settings_of(experiment)
    found = _described(experiment)
    docstring = f"the docstring of {experiment.__name__}"
    if missing := [setting for setting in known if setting not in found]:
        raise ValueError(f"{docstring} must describe the setting {missing[0]!r}; add a "
                         f"line such as '{missing[0]}: the number of units.'")
    if unknown := [setting for setting in found if setting not in known]:
        raise ValueError(f"{docstring} must describe settings only, not {unknown[0]!r}; "
                         f"{_listed(unknown[0], known, {})}")
    return MappingProxyType({setting: found[setting] for setting in known})


def _described(experiment: Callable[..., Any]) -> dict[str, str]:
    """Returns the entries of the docstring of an experiment, whichever settings there are."""
    return {
        name: " ".join(text.split()).removesuffix(".")
        for name, text in ENTRY.findall(getdoc(experiment) or "")
    }


def choices_of(experiment: Callable[..., Any], setting: str) -> tuple[Any, ...]:
    """Returns the values that a setting can have; () if these are numbers, or any texts."""
    hint = get_type_hints(experiment, include_extras=True).get(setting)
    if hint is bool:
        return False, True
    kind, *extra = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
    if get_origin(kind) is Literal:
        return get_args(kind)
    limits = extra[0] if extra else None
    return limits if isinstance(limits, tuple) else ()


def checked(
    given: Mapping[str, Any], experiment: Callable[..., Any], negation: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """Returns settings as an experiment takes them.

    given: values by the names of the settings.
    negation: further values that are allowed.
    name: begins each message.

    Raises:
        TypeError: a setting does not exist, or a value is of a wrong type.
        ValueError: a value is not one of the choices, or outside its range.
    """
    known = settings_of(experiment)
    hints = get_type_hints(experiment, include_extras=True)
    made = {}
    for setting, value in given.items():
        if setting not in known:
            raise TypeError(f"{name} has no setting {setting!r}; "
                            f"{_listed(setting, known, _described(experiment))}")
        default = known[setting]
        hint = hints.get(setting, type(default))
        usual = (default, negation.get(setting, default))
        made[setting] = _value(value, f"{name}: {setting}", hint, usual)
    return made


def _listed(setting: str, known: Mapping[str, Any], descriptions: Mapping[str, str]) -> str:
    """Returns which settings there are, with what they mean if that is known; similar ones first.
    """
    near = near_names(setting, known)
    meant = f"did you mean {' or '.join(map(repr, near))}? Its" if near else "its"
    listed = ", ".join([
        f"{name}={default!r}" + (f" ({descriptions[name]})" if name in descriptions else "")
        for name, default in known.items()
    ])
    return f"{meant} settings are {listed}" if known else "there are none"


def _value(value: Any, name: str, hint: Any, usual: tuple[Any, Any]) -> Any:
    """Returns the value of a setting, checked by its annotation.

    usual: the default and the value of the negation.
    """
    kind, *extra = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
    limits = extra[0] if extra else None
    choices = get_args(kind) if get_origin(kind) is Literal else limits
    if isinstance(choices, tuple):
        check_choice(value, name, choices)
        return choices[choices.index(value)]
    if kind is bool:
        check_type(value, name, bool, "True or False")
        return value
    if kind in (int, float):
        return _number(value, name, kind, limits or _usual_range(usual))
    wanted = "text" if isinstance(usual[0], str) else f"of type {type(usual[0]).__name__}"
    check_type(value, name, type(usual[0]), wanted)
    return value


def _usual_range(usual: tuple[Any, Any]) -> Range | None:
    """Returns no range for numbers above 0 alone, because 0 itself is outside."""
    return None if min(usual) > 0 else Range(-float("inf"), float("inf"))


def _number(value: Any, name: str, kind: type, limits: Range | None) -> float:
    """Returns a number as an int or float; without limits it must be above 0."""
    wanted = "a whole number" if kind is int else "a real number"
    if isinstance(value, bool):
        raise wrong_type(name, wanted, value)
    if limits is None:
        number = check_number(value, name, above=0, wanted=f"{wanted} > 0")
    elif limits.most < float("inf"):
        bounds = f"{wanted} from {limits.least:g} to {limits.most:g}"
        number = check_number(value, name, limits.least, most=limits.most, wanted=bounds)
    else:
        number = check_number(value, name)
    if kind is float:
        return number
    if not number.is_integer():
        raise wrong_type(name, wanted, value)
    return int(number)
