"""Nested arguments and results as flat lists of numbers, and back.

    >>> leaves = []
    >>> structure = flatten({"w": [1.0, 2.0], "b": 3.0}, "p", leaves)
    >>> leaves, leaf_names(structure, "p")
    ([1.0, 2.0, 3.0], ["p['w'][0]", "p['w'][1]", "p['b']"])
    >>> unflatten(structure, iter([4.0, 5.0, 6.0]))
    {'w': [4.0, 5.0], 'b': 6.0}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from ..engine.value import Value
from ..errors import TraceError, number, short_repr

NUMBER = "*"
STATIC = ("=", "static")  # kinds of static parts: always static, and static by `jit`'s option
RESULT = "the result"
TRACED = "Traced("  # how the text of a traced value begins
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
    """Returns whether ``x`` is a float, an int, a Value or a numpy scalar, but not a boolean."""
    if x.__class__ is float or x.__class__ is int or isinstance(x, Value):
        return True
    if isinstance(x, bool) or not hasattr(type(x), "__float__"):
        return False
    try:
        number(x)
    except TypeError:
        return False
    return True


def flatten(x: Any, name: str, leaves: list[Any]) -> Structure:
    """Appends the numbers in ``x`` to ``leaves`` and returns the structure around them.

    Numbers are floats, ints, numpy scalars and Values.  Text, booleans and None are part of the
    structure, and so is the class of a named tuple.  Arrays count as lists.

    Raises:
        TypeError: ``x`` contains anything else.
        TraceError: a result contains the text of a traced value.
    """
    if is_number(x):
        leaves.append(x)
        return NUMBER
    if x is None or isinstance(x, (str, bytes, bool)):
        _check_text(x, name)
        return "=", StaticValue(x)
    if isinstance(x, dict):
        for key in x:
            _check_text(key, name)
    elif x.__class__ in (list, tuple) and x and set(map(type, x)) == {float}:
        leaves += x  # the usual case, fast
        return x.__class__.__name__, len(x), (NUMBER,) * len(x)
    if isinstance(x, (dict, list, tuple)):
        return container(x, name, leaves, flatten)
    if hasattr(x, "tolist") and not (hasattr(x, "shape") and x.shape == ()):
        return flatten(x.tolist(), name, leaves)
    wrong = (
        f"{name} is {short_repr(x)}, of type {type(x).__name__}: it must be made of numbers, "
        "lists, tuples and dicts"
    )
    if name == RESULT:
        raise TypeError(wrong)
    argument = name.split("[")[0]
    raise TypeError(
        f'argument {wrong}; if it determines the shape of the program, write jit(f, '
        f'static=["{argument}"])'
    )


def container(x: Any, name: str, leaves: list[Any], take_apart: Callable[..., Structure]
              ) -> Structure:
    """Returns the structure of a dict, a list, a tuple or a named tuple."""
    if isinstance(x, dict):
        parts = [take_apart(entry, f"{name}[{key!r}]", leaves) for key, entry in x.items()]
        return "dict", StaticValue(tuple(x)), tuple(parts)
    parts = [take_apart(entry, f"{name}[{i}]", leaves) for i, entry in enumerate(x)]
    kind = "tuple" if isinstance(x, tuple) else "list"
    return type(x) if is_named(x) else kind, len(x), tuple(parts)


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
    return kind._make(built)


def leaf_names(structure: Structure, name: str) -> list[str]:
    """Returns the names of the numbers of a structure, such as ``p['w'][0]``."""
    if structure == NUMBER:
        return [name]
    if structure[0] in STATIC:
        return []
    _, keys, parts = structure
    names: list[str] = []
    for key, part in zip(keys.value if isinstance(keys, StaticValue) else range(keys), parts):
        names += leaf_names(part, f"{name}[{key!r}]")
    return names


def structure_text(structure: Structure) -> str:
    """Returns a structure as text: ``[*, *], "mean"``."""
    if structure == NUMBER:
        return NUMBER
    if structure[0] in STATIC:
        return repr(structure[1])
    kind, keys, parts = structure
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


def outputs(result: Any, operand: Callable[[Any], Any]) -> tuple[list[Any], Structure]:
    """Returns the operands for the numbers of a result, and the structure around them."""
    leaves: list[Any] = []
    structure = flatten(result, RESULT, leaves)
    return [operand(leaf) for leaf in leaves], structure
