"""Arguments and results as flat lists of numbers, and back: nested lists, tuples and dicts of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from ..primitives import number, short_repr
from ..value import Value

NUMBER = "*"
RESULT = "the result"
Structure = Any  # hashable: NUMBER, ("=", static value), or (kind, keys, structures)


def is_number(x: Any) -> bool:
    """Whether ``x`` is a number of the program: a float, an int, a Value or a numpy scalar; a boolean is none."""
    if x.__class__ is float or x.__class__ is int or isinstance(x, Value):
        return True
    if x is None or isinstance(x, (bool, str, bytes, list, tuple, dict)):
        return False
    try:
        number(x)
    except TypeError:
        return False
    return True


def flatten(x: Any, name: str, leaves: list[Any]) -> Structure:
    """Appends the numbers in ``x`` to ``leaves`` and returns the structure around them.

    Numbers are floats, ints, numpy scalars and Values.  Text, booleans and None are part of the structure.  Arrays count as
    lists.  Raises TypeError for anything else.
    """
    if is_number(x):
        leaves.append(x)
        return NUMBER
    kind = x.__class__
    if kind is list or kind is tuple:
        if x and set(map(type, x)) == {float}:  # the usual case, fast
            leaves += x
            return kind.__name__, len(x), (NUMBER,) * len(x)
        return kind.__name__, len(x), tuple([flatten(entry, f"{name}[{i}]", leaves) for i, entry in enumerate(x)])
    if isinstance(x, dict):
        return "dict", tuple(x), tuple([flatten(entry, f"{name}[{key!r}]", leaves) for key, entry in x.items()])
    if x is None or isinstance(x, (str, bytes, bool)):
        return "=", x
    if isinstance(x, (list, tuple)):  # a named tuple, a subclass
        return flatten(list(x) if isinstance(x, list) else tuple(x), name, leaves)
    if hasattr(x, "tolist") and not (hasattr(x, "shape") and x.shape == ()):
        return flatten(x.tolist(), name, leaves)
    wrong = f"{name} is {short_repr(x)}, of type {type(x).__name__}: it must be made of numbers, lists, tuples and dicts"
    if name == RESULT:
        raise TypeError(wrong)
    argument = name.split("[")[0]
    raise TypeError(f'argument {wrong}; if the shape of the program depends on it, say jit(f, static=["{argument}"])')


def build(structure: Structure, leaves: Iterator[Any]) -> Any:
    """What `flatten` took apart, with other leaves in the place of the numbers."""
    if structure == NUMBER:
        return next(leaves)
    if structure[0] == "=":
        return structure[1]
    kind, keys, parts = structure
    if kind != "dict" and set(parts) == {NUMBER}:
        numbers = islice(leaves, len(parts))
        return tuple(numbers) if kind == "tuple" else list(numbers)
    built = [build(part, leaves) for part in parts]
    return dict(zip(keys, built)) if kind == "dict" else tuple(built) if kind == "tuple" else built


def leaf_names(structure: Structure, name: str) -> list[str]:
    """What the numbers of a structure are called: ``p["w"][0]``."""
    if structure == NUMBER:
        return [name]
    if structure[0] == "=":
        return []
    _, keys, parts = structure
    return [leaf for key, part in zip(keys if isinstance(keys, tuple) else range(keys), parts)
            for leaf in leaf_names(part, f"{name}[{key!r}]")]


def shown(structure: Structure) -> str:
    """A structure as text: ``[*, *], "mean"``."""
    if structure == NUMBER:
        return NUMBER
    if structure[0] == "=":
        return repr(structure[1])
    kind, keys, parts = structure
    inner = [shown(part) for part in parts]
    if kind == "dict":
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(keys, inner)) + "}"
    if len(inner) > 6 and len(set(inner)) == 1:
        inner = [f"{len(inner)} x {inner[0]}"]
    text = ", ".join(inner)
    return f"[{text}]" if kind == "list" else f"({text}{',' if len(inner) == 1 else ''})"


def outputs(result: Any, operand: Callable[[Any], Any]) -> tuple[list[Any], Structure]:
    """What a traced function returned: positions in the trace, flat, and the structure around them."""
    leaves: list[Any] = []
    structure = flatten(result, RESULT, leaves)
    return [operand(leaf) for leaf in leaves], structure
