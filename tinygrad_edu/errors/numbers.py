"""Numbers of any type as floats, or the error that says why not."""

import sys
from numbers import Integral, Number
from typing import Any

from .text import short_repr
from .wrong import wrong_type


def number(x: object, what: str = "a number") -> float:
    """Returns ``x`` as a float.

    x: an int, float, bool, numpy scalar, or another object with ``__float__`` and no shape.
    what: the name of ``x`` in an error message.

    Raises:
        TypeError: ``x`` is not a real number, such as text, a complex number, None or an array.
        OverflowError: ``x`` is an int too large for a float.
    """
    if x.__class__ is float:
        return x
    if isinstance(x, int) or is_number(x):
        try:
            return float(x)  # type: ignore[arg-type]
        except OverflowError:
            size = f"an int of {x.bit_length()} bits" if isinstance(x, int) else short_repr(x)
            raise OverflowError(f"{what}: {size} is too large for a float, which is at most "
                                f"{sys.float_info.max:.1e}; use a smaller one") from None
    raise wrong_type(what, "a real number", x)


def is_number(x: object) -> bool:
    """Returns whether ``x`` is a real number: what `number` accepts."""
    if not hasattr(type(x), "__float__") or getattr(x, "shape", ()) != ():
        return False
    # numpy's complex scalars have __float__ too, but it drops the imaginary part
    return str(getattr(getattr(x, "dtype", None), "kind", "f")) in "fiub"


def plain(x: Any, whole: bool = False) -> Any:
    """Returns a number as a float.  Python's ints and bools, and other objects, such as Values, are
    returned unchanged.

    Functions compute with these only, because the arithmetic of a float32 has seven digits, an int8
    overflows at 128, and a Decimal cannot be multiplied by a float.

    whole: whether numpy's whole numbers become ints, which can be indices, instead of floats.
    """
    kind = type(x)
    if kind is float or kind is int or hasattr(kind, "apply_primitive"):
        return x
    if isinstance(x, int) or not is_number(x):
        return x
    if whole and str(getattr(getattr(x, "dtype", None), "kind", "f")) in "iub":
        return int(x)
    return number(x)


def is_exact(x: Any) -> bool:
    """Returns whether a float is equal to the number ``x``, as for no int just above 2**53."""
    if not isinstance(x, Number):
        return True
    try:
        # numpy compares its ints with floats as floats
        return bool((int(x) if isinstance(x, Integral) else x) == number(x) or x != x)
    except OverflowError:
        return False


def exact_number(x: object, what: str = "a number") -> float:
    """Returns ``x`` as a float that is equal to it.

    Raises what `number` raises, and TypeError if no float is equal to ``x``: an int above 2**53, or
    a fraction such as 1/3.
    """
    rounded = number(x, what)
    if x.__class__ is float or is_exact(x):
        return rounded
    raise TypeError(
        f"{what} is {short_repr(x)}, which is not a float, and digits would be lost; if the "
        f"nearest float, {rounded!r}, will do, write float(x)"
    )
