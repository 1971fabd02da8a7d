"""Nested arguments and results as flat lists of numbers, and back.

    >>> leaves = []
    >>> structure = flatten({"w": [1.0, 2.0], "b": 3.0}, "p", leaves)
    >>> leaves, leaf_names(structure, "p")
    ([1.0, 2.0, 3.0], ["p['w'][0]", "p['w'][1]", "p['b']"])
    >>> unflatten(structure, iter([4.0, 5.0, 6.0]))
    {'w': [4.0, 5.0], 'b': 6.0}
"""

from __future__ import annotations

import inspect
import operator
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from itertools import islice
from typing import Any

from .. import errors
from ..engine.arrays import array_of, entries_of, indices_of, is_array, remedy
from ..engine.value import Value
from ..errors import TraceError, is_exact, short_repr

NUMBER = "*"
ARRAY = "array"  # the kind of a numpy array, whose keys are its shape
STATIC = ("=", "static")  # kinds of static parts: always static, and static by `jit`'s option
RESULT = "the result"
TRACED = "Traced("  # how the text of a traced value begins
MOST = 2**53  # floats are equal to all ints up to this one
Structure = Any  # hashable: NUMBER, ("=" or "static", StaticValue), or (kind, keys, structures)


class StaticValue:
    """A static value in a structure, equal to another only if type and bits are the same.

    With ==, 1, 1.0 and True are equal, and so are 0.0 and -0.0; each needs its own program.
    """

    __slots__ = ("_key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._key = _exactly(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticValue) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)


def _exactly(x: Any) -> Any:
    kind = x.__class__
    if kind is str:
        return x
    if isinstance(x, (tuple, frozenset)):
        parts = map(_exactly, x)
        return kind, frozenset(parts) if isinstance(x, frozenset) else tuple(parts)
    # as text, 0.0 differs from -0.0, and nan equals nan
    return kind, repr(x) if isinstance(x, (float, complex)) else x


def is_number(x: Any) -> bool:
    """Returns whether ``x`` is a float, an int, a Value or a numpy scalar, and not static."""
    if x.__class__ is float or x.__class__ is int or isinstance(x, Value):
        return True
    return not is_static(x) and errors.is_number(x)


def is_boolean(x: Any) -> bool:
    """Returns whether ``x`` is True or False, of Python or of numpy."""
    if isinstance(x, bool):
        return True
    return getattr(getattr(x, "dtype", None), "kind", "") == "b" and x.shape == ()


def is_static(x: Any) -> bool:
    """Returns whether ``x`` is always part of the program: text, a boolean, None or a member of an
    `enum.Enum`."""
    return x is None or isinstance(x, (str, bytes, Enum)) or is_boolean(x)


def flatten(x: Any, name: str, leaves: list[Any]) -> Structure:
    """Appends the numbers in ``x`` to ``leaves`` and returns the structure around them.

    Numbers are floats, ints, numpy scalars and Values.  Text, booleans, None and members of an Enum
    are part of the structure, and so are the class of a named tuple, the shape of a numpy array,
    and a number that no float is equal to, such as 2**53 + 1.  Arrays of the standard library count
    as lists.

    Raises:
        TypeError: ``x`` contains anything else, such as an object of a subclass of list.
        TraceError: a result contains the text of a traced value.
    """
    if x.__class__ is float or (x.__class__ is int and -MOST <= x <= MOST):  # usual, fast
        leaves.append(x)
        return NUMBER
    if is_number(x):
        if isinstance(x, Value):
            leaves.append(x)
            return NUMBER
        _check_class(x, name)
        if is_exact(x):
            leaves.append(x)
            return NUMBER
        return "=", StaticValue(x)
    if is_static(x):
        _check_text(x, name)
        return "=", StaticValue(x[()] if getattr(x, "shape", None) == () else x)
    if isinstance(x, dict):
        for key in x:
            _check_text(key, name)
    elif x.__class__ in (list, tuple) and x and are_plain(x):
        leaves += x
        return x.__class__.__name__, len(x), (NUMBER,) * len(x)
    if isinstance(x, (dict, list, tuple)):
        return container(x, name, leaves, flatten)
    if is_array(x):
        return _array(x, name, leaves)
    if isinstance(x, (array, memoryview)):
        return flatten(x.tolist(), name, leaves)
    wrong = (
        f"{name} is {short_repr(x)}, of type {type(x).__name__}: it must be made of numbers, "
        f"lists, tuples and dicts{f'; {remedy(x)}' if remedy(x) else ''}"
    )
    if name.startswith(RESULT):
        raise TypeError(wrong)
    argument = name.split("[")[0]
    raise TypeError(
        f'argument {wrong}; if it determines the shape of the program, write jit(f, '
        f'static=["{argument}"])'
    )


def are_plain(entries: Sequence[Any]) -> bool:
    """Returns whether all entries are floats, or ints that floats are equal to: the usual case,
    fast."""
    kinds = set(map(type, entries))
    if not kinds <= {float, int}:
        return False
    return int not in kinds or all(-MOST <= x <= MOST for x in entries if x.__class__ is int)


def _array(x: Any, name: str, leaves: list[Any]) -> Structure:
    """Returns the structure of a numpy array."""
    entries = entries_of(x)
    if are_plain(entries):
        leaves += entries
        return ARRAY, x.shape, (NUMBER,) * len(entries)
    parts = [flatten(entry, name + index, leaves)
             for entry, index in zip(entries, indices_of(x.shape))]
    return ARRAY, x.shape, tuple(parts)


def container(x: Any, name: str, leaves: list[Any], take_apart: Callable[..., Structure]
              ) -> Structure:
    """Returns the structure of a dict, a list, a tuple or a named tuple."""
    _check_class(x, name)
    if isinstance(x, dict):
        parts = [take_apart(entry, f"{name}[{key!r}]", leaves) for key, entry in x.items()]
        return "dict", StaticValue(tuple(x)), tuple(parts)
    parts = [take_apart(entry, f"{name}[{i}]", leaves) for i, entry in enumerate(x)]
    kind = "tuple" if isinstance(x, tuple) else "list"
    return type(x) if is_named(x) else kind, len(x), tuple(parts)


def _check_class(x: Any, name: str) -> None:
    """Raises TypeError if the class of ``x`` is a subclass, whose methods a plain copy lacks."""
    if x.__class__ in _BUILT_IN or hasattr(x, "dtype") or is_named(x):
        return
    if (base := next((base for base in _BUILT_IN if isinstance(x, base)), None)) is not None:
        wrong = (
            f"{name} is {short_repr(x)}, of type {type(x).__name__}: a compiled function would "
            f"make a plain {base.__name__} of it, without the methods of its class"
        )
        if name.startswith(RESULT):
            raise TypeError(f"{wrong}; return {base.__name__}(x)")
        argument = name.split("[")[0]
        raise TypeError(
            f'argument {wrong}; pass {base.__name__}(x), or write jit(f, static=["{argument}"])'
        )


_BUILT_IN = (float, int, list, tuple, dict)


def _check_text(x: Any, name: str) -> None:
    """Raises TraceError if a result contains the text of a traced value."""
    if name.startswith(RESULT) and isinstance(x, (str, bytes)) and TRACED in str(x):
        raise TraceError(
            f"{name} has the text {short_repr(x)} in it: a traced value, not its number\n"
            "return the number, and make the text outside"
        )


def is_named(x: Any) -> bool:
    """Returns whether ``x`` is a named tuple."""
    return isinstance(x, tuple) and hasattr(x, "_fields")


def unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    """Puts leaves in the places of the numbers: the inverse of `flatten`."""
    if structure == NUMBER:
        return next(leaves)
    if structure[0] in STATIC:
        return structure[1].value
    kind, keys, parts = structure
    if set(parts) == {NUMBER}:
        built = list(islice(leaves, len(parts)))
    else:
        built = [unflatten(part, leaves) for part in parts]
    if kind == "list":
        return built
    if kind == "tuple":
        return tuple(built)
    if kind == "dict":
        return dict(zip(keys.value, built))
    if kind != ARRAY:
        return kind._make(built)
    return None if built and built[0] is None else array_of(built, keys)  # None: see `batches`


def filled(structure: Structure, out: Any, leaves: Iterator[Any]) -> Any:
    """Does what `unflatten` does, but returns ``out`` in the places where it is not None."""
    if out is None:
        return unflatten(structure, leaves)
    if structure == NUMBER:
        next(leaves)
        return out
    if structure[0] in STATIC:
        return structure[1].value
    kind, keys, parts = structure
    if kind == ARRAY:
        for _ in parts:
            next(leaves)
        return out
    labels = keys.value if kind == "dict" else range(len(parts))
    built = [filled(part, out[label], leaves) for label, part in zip(labels, parts)]
    return unflatten((kind, keys, (NUMBER,) * len(parts)), iter(built))


def leaves_of(structure: Structure, x: Any) -> Iterator[Any]:
    """Yields what is in ``x`` in the places of the numbers of a structure."""
    if structure == NUMBER:
        yield x
    elif structure[0] not in STATIC:
        kind, keys, parts = structure
        entries = entries_of(x) if kind == ARRAY else x
        if kind == "dict":
            entries = [x[key] for key in keys.value]
        for part, entry in zip(parts, entries):
            yield from leaves_of(part, entry)


def differentiable(structure: Structure) -> Structure:
    """Returns the structure of derivatives: None in place of what is static, also of arrays."""
    if structure == NUMBER:
        return NUMBER
    none = "=", StaticValue(None)
    if structure[0] in STATIC:
        return none
    kind, keys, parts = structure
    parts = tuple(map(differentiable, parts))
    return none if kind == ARRAY and set(parts) == {none} else (kind, keys, parts)


def static_number(structure: Structure) -> Any:
    """Returns a number that is part of a structure, since no float is equal to it, or None."""
    if structure == NUMBER or structure[0] == "static":
        return None
    if structure[0] == "=":
        return structure[1].value if is_number(structure[1].value) else None
    found = (static_number(part) for part in structure[2])
    return next((x for x in found if x is not None), None)


def has_array(structure: Structure) -> bool:
    """Returns whether there is a numpy array in a structure."""
    if structure == NUMBER or structure[0] in STATIC:
        return False
    kind, _, parts = structure
    return kind == ARRAY or any(map(has_array, parts))


def leaf_names(structure: Structure, name: str) -> list[str]:
    """Returns the names of the numbers of a structure, such as ``p['w'][0]``."""
    if structure == NUMBER:
        return [name]
    if structure[0] in STATIC:
        return []
    kind, keys, parts = structure
    if kind == ARRAY:
        indices = indices_of(keys)
    else:
        indices = (f"[{key!r}]" for key in (keys.value if kind == "dict" else range(keys)))
    return [leaf for part, index in zip(parts, indices) for leaf in leaf_names(part, name + index)]


def structure_text(structure: Structure) -> str:
    """Returns a structure as text: ``[*, *], "mean"``."""
    if structure == NUMBER:
        return NUMBER
    if structure[0] in STATIC:
        return repr(structure[1])
    kind, keys, parts = structure
    if kind == ARRAY:
        return f"array of {' x '.join(map(str, keys))}"
    inner = [structure_text(part) for part in parts]
    if kind == "dict":
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(keys.value, inner)) + "}"
    if isinstance(kind, type):
        return f"{kind.__name__}({', '.join(inner)})"
    if len(inner) > 6 and len(set(inner)) == 1:
        inner = [f"{len(inner)} x {inner[0]}"]
    text = ", ".join(inner)
    if kind == "list":
        return f"[{text}]"
    return f"({text},)" if len(inner) == 1 else f"({text})"


class Signature:
    """The names of the arguments of a function, ``user`` in messages."""

    def __init__(self, f: Callable[..., Any], user: str) -> None:
        self._user = user
        try:
            parameters = [*inspect.signature(f).parameters.values()]
        except (TypeError, ValueError):
            parameters = []
        self._parameters = parameters
        self.names = [parameter.name for parameter in parameters]
        self._positional = [parameter.name for parameter in parameters
                            if parameter.kind <= parameter.POSITIONAL_OR_KEYWORD]

    def labels(self, count: int) -> list[str]:
        """Returns the names of the first arguments, which are given by position."""
        names = self._positional[:count]
        return names + [f"x{i}" for i in range(len(names), count)]

    def name_of(self, argument: str | int) -> str:
        """Returns the name of a static argument, given by its name or position."""
        names = [parameter.name for parameter in self._parameters
                 if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
        any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in self._parameters)
        if is_number(argument):
            with suppress(TypeError):
                argument = operator.index(argument)  # type: ignore[arg-type]
        if isinstance(argument, int) and not isinstance(argument, bool):
            if -len(names) <= argument < len(names):
                return names[argument]
        elif isinstance(argument, str) and (any_name or argument in names):
            return argument
        raise ValueError(
            f"jit: static must name arguments of {self._user} ({', '.join(names) or 'none'}), "
            f"not {short_repr(argument)}"
        )


def outputs(result: Any, operand: Callable[[Any], Any]) -> tuple[list[Any], Structure]:
    """Returns the operands for the numbers of a result, and the structure around them."""
    leaves: list[Any] = []
    structure = flatten(result, RESULT, leaves)
    return [operand(leaf) for leaf in leaves], structure
