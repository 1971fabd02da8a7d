"""numpy arrays among arguments and results, without importing numpy.

A function of an array gets an array: of objects, with a Value in place of each number.  What the
function does with it, such as ``2 * w``, then means the same as for the array that was passed.
There are arrays only if the program has imported numpy, therefore it is looked up, not imported.
"""

from __future__ import annotations

import operator
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from ..errors import check_list, plain, wrong_type
from .primitive import TABLE

_OTHERS = "MmV"  # kinds of arrays: of dates, of durations, of records
_PLAIN = (bool, float, str, bytes)  # numpy has arrays of these types


def is_table(x: Any) -> bool:
    """Returns whether ``x`` is read as an array by `as_array`, and is none itself.

    Tables with labels and their columns are, as those of pandas, polars and pyarrow, and tensors.
    """
    kind = type(x)
    if not hasattr(kind, "__array__") and not hasattr(kind, "to_numpy"):
        return False
    return not _is_plain(x) and not hasattr(x, "filled") and getattr(x, "shape", None) != ()


def as_array(table: Any) -> Any:
    """Returns the entries of a table (see `is_table`) as a numpy array, by position."""
    return table.__array__() if hasattr(table, "__array__") else table.to_numpy()


def is_array(x: Any) -> bool:
    """Returns whether ``x`` is a numpy array with at least one dimension, of numbers or objects.

    An array of a subclass, such as a masked array, does not count, since its operations are
    others; an array without dimensions counts as a number.
    """
    return _is_plain(x) and x.ndim > 0 and x.dtype.kind not in _OTHERS


def _is_plain(x: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(x) in (numpy.ndarray, numpy.memmap)


def entries_of(x: Any) -> list[Any]:
    """Returns the entries of an array, the last index running fastest."""
    return x.ravel().tolist()  # type: ignore[no-any-return]


def indices_of(shape: Sequence[int]) -> Iterator[str]:
    """Yields the text of each index of an array, such as ``[0,2]``, in the order of the entries."""
    for index in product(*map(range, shape)):
        yield f"[{','.join(map(str, index))}]"


def array_of(entries: Sequence[Any], shape: Sequence[int]) -> Any:
    """Returns the array of that shape with these entries: the inverse of `entries_of`.

    It is an array of floats, of booleans or of text if all entries are.  Columns, which are arrays
    themselves, add a last dimension.  Otherwise it is an array of objects.
    """
    numpy: Any = sys.modules["numpy"]
    kinds = set(map(type, entries))
    if not kinds or (len(kinds) == 1 and kinds <= {*_PLAIN}):
        return numpy.array(entries, *(kinds or {float})).reshape(shape)
    if kinds <= {array, numpy.ndarray}:
        return numpy.array(entries).reshape(*shape, -1)
    made = numpy.empty(len(entries), object)
    for i, entry in enumerate(entries):  # one by one, since numpy would take lists apart
        made[i] = entry
    return made.reshape(shape)


def listed(x: Any) -> list[Any] | None:
    """Returns the entries of a list, a tuple or an array; None for anything else."""
    if isinstance(x, (list, tuple)):
        return list(x)
    return entries_of(x) if is_array(x) else None


def as_list(xs: Any, what: str, of: str = "numbers") -> list[Any]:
    """Returns a list of what an iterable has in it.

    what: begins the message of an error.
    of: what must be in the list.

    Raises:
        TypeError: ``xs`` is not an iterable, has no order, or is text, a mapping or an array of
            another kind.
    """
    if other := remedy(xs):
        raise wrong_type(what, f"a list of {of}", xs, other)
    return check_list(xs, what, f"a list of {of}", "write it in brackets: [x]")


def like(x: Any, entries: Sequence[Any]) -> Any:
    """Returns the entries as an array of the shape of ``x``, if it is an array, else as a list."""
    return array_of(entries, x.shape) if is_array(x) else list(entries)


def apply_ufunc(_: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """Runs a function of numpy for a Value among its inputs: the row of the same meaning.

    Raises TypeError if there is none.
    """
    name = ufunc.__name__
    f: Any = _OPERATORS.get(name) or TABLE.get(_ROWS.get(name, name))
    if f is None or method != "__call__" or options:
        raise TypeError(
            f"np.{name} cannot take a Value; use `from tinygrad_edu import math`, whose functions "
            "have derivatives, and operators"
        )
    if not any(map(is_array, inputs)):
        return f(*map(plain, inputs))
    if name in ("equal", "not_equal"):
        return name == "not_equal"  # identity
    return elementwise(f, *inputs)


_OPERATORS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "power": operator.pow, "float_power": operator.pow,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "negative": operator.neg,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt,
    "greater_equal": operator.ge, "equal": operator.eq, "not_equal": operator.ne,
}
# the rows of one argument that have another name in numpy
NUMPY_NAMES = {
    "positive": "identity", "absolute": "abs", "fabs": "abs", "rint": "round", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "conjugate": "identity",
}
# those of two arguments whose function numpy calls as a method of the entries of an array
NUMPY_PAIRS = {"arctan2": "atan2", "hypot": "hypot", "fmod": "fmod"}
_ROWS = {**NUMPY_NAMES, **NUMPY_PAIRS}


def elementwise(f: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """Returns ``f(x, y)``, entry by entry, if one of them is an array; otherwise NotImplemented."""
    if is_array(x):
        return array_of([f(entry, y) for entry in entries_of(x)], x.shape)
    if is_array(y):
        return array_of([f(x, entry) for entry in entries_of(y)], y.shape)
    return NotImplemented


def remedy(x: Any) -> str:
    """Returns how to make a numpy array or a list of another kind of array.

    It is empty if ``x`` is not an array of another kind.
    """
    if not getattr(x, "shape", ()) or _is_plain(x):
        return ""
    # of pandas and polars, masked arrays, torch, pyarrow, any other
    methods = ("to_numpy()", "filled()", "numpy()", "to_pandas().to_numpy()", "tolist()")
    found = next((name for name in methods if hasattr(x, name.partition("(")[0])), "")
    return f"pass its .{found}" if found else ""


def plain_numbers(x: Any) -> Any:
    """Returns an argument, a sample or a target with Python's numbers (see `errors.plain`).

    Lists, tuples and dicts keep their type, and stay the same object if their numbers do, or if
    they contain themselves.  Arrays of short numbers become arrays of 64 bits, so that a function
    computes with the same digits as a compiled one.
    """
    try:
        return _with_plain_numbers(x)
    except RecursionError:
        return x


def _with_plain_numbers(x: Any) -> Any:
    if x.__class__ in _NUMBERS:
        return x
    if x.__class__ in (list, tuple):
        if _NUMBERS.issuperset(map(type, x)):
            return x
        found = list(map(_with_plain_numbers, x))
        return x if all(map(operator.is_, found, x)) else x.__class__(found)
    if x.__class__ is dict:
        found = list(map(_with_plain_numbers, x.values()))
        return x if all(map(operator.is_, found, x.values())) else dict(zip(x, found))
    if hasattr(x, "_make"):  # a named tuple
        return x._make(map(_with_plain_numbers, x))
    dtype = getattr(x, "dtype", None)
    if dtype is None or not getattr(x, "shape", ()) or not hasattr(x, "astype"):
        return plain(x, whole=True)
    if dtype.kind == "f":
        return x.astype("f8", copy=False)
    return x.astype("i8") if dtype.kind in "iu" and dtype.itemsize < 8 else x


_NUMBERS = {float, int}
