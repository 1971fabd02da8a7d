"""Every exception that this package defines, in one tree.

::

    TinygradEduError
    |-- GraphError                  a graph cannot be used in this way
    |   |-- StaleGraphError         a leaf got new data after the graph was recorded
    |   `-- TraceError              a traced function needs an unknown number (also a TypeError)
    |-- ExpressionError             text that `parse` does not accept (also a ValueError)
    |-- CheckpointError             a damaged, foreign or unfitting state (also a ValueError)
    |-- DataError                   an unreadable data set or history (also a ValueError)
    |-- NonFiniteError              a number became inf or nan (also an ArithmeticError)
    |-- PrimitiveError              the table has no such row (also a ValueError)
    `-- RenderError                 a drawing cannot become a picture (also a RuntimeError)

There are three warnings: `GradientWarning`, `zero_grad` was probably forgotten; `GraphWarning`, a
result or a comparison is probably not what the program means; and `TrainingWarning`, `fit` did not
train the model.

Wrong types and out-of-range arguments raise the built-in `TypeError` and `ValueError`.
Arithmetic on Values never raises: it follows IEEE 754 (see `primitives`).
"""

import math
import operator
import os
import re
import reprlib
import sys
import warnings
from collections.abc import Collection, Hashable, Iterable, Mapping, Set
from functools import cache
from numbers import Integral, Number
from pathlib import Path
from types import FrameType
from typing import Any, TypeGuard

PACKAGE_FOLDER = str(Path(__file__).parent) + os.sep
LIBRARY_FOLDER = str(Path(os.__file__).parent) + os.sep


class TinygradEduError(Exception):
    """Base class of every exception defined here."""


class GraphError(TinygradEduError):
    """A graph cannot be used in this way."""


class StaleGraphError(GraphError):
    """A node no longer follows from its operands.

    A leaf's data was assigned after recording.

    First derivatives are stored numbers and stay correct; higher ones would mix old and new
    numbers.  Compute the expression again.
    """


class TraceError(GraphError, TypeError):
    """A function that `jit` traces needs what is known only when it runs.

    It needs a number, or the truth of a condition.

    It is also a TypeError, which float() and indexing raise for other objects than numbers.
    ``line`` is the place in the user's program: file, line number and function.  If `fit` raised
    the error, ``history`` is the `History` of the steps that were made.
    """

    history: Any = None
    line: tuple[str, int, str] | None = None


class ExpressionError(TinygradEduError, ValueError):
    """A text is not an expression that `parse` accepts."""


class CheckpointError(TinygradEduError, ValueError):
    """A checkpoint or state dictionary is damaged, is foreign, or does not fit the model."""


class DataError(TinygradEduError, ValueError):
    """A data set or a saved history cannot be read."""


class NonFiniteError(TinygradEduError, ArithmeticError):
    """A number became inf or nan, in a step of `fit` or inside `detect_anomaly`.

    The message names the operation.  ``line`` is the place that called the operation (file, line
    number and function), if it is known.  If `fit` raised the error, ``history`` is the `History`
    of the steps before it, and ``explanation`` is the result of `explain_nonfinite` for the loss.
    """

    history: Any = None
    explanation: Any = None
    line: tuple[str, int, str] | None = None


class PrimitiveError(TinygradEduError, ValueError):
    """The table has no row of this name."""


class RenderError(TinygradEduError, RuntimeError):
    """A drawing cannot be turned into a picture.

    The message says what to install.
    """


class GradientWarning(UserWarning):
    """An optimiser step uses gradients of an earlier step again: `zero_grad` was not called."""


class GraphWarning(UserWarning):
    """A result or a comparison is probably not what the program means.

    Either a differentiated function returns what does not depend on its arguments, so that the
    derivative is 0, or a Value is compared with a number by ``==``, which is never true.
    """


class TrainingWarning(UserWarning):
    """In a run of `fit`, the loss rose, jumped, oscillated or stood still.

    `History.warning` has the message, and `diagnose` says why.
    """


def warn(message: str, category: type[Warning]) -> None:
    """Warns at the present line of the user's program."""
    frame = user_frame()
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def user_frame() -> FrameType:
    """Returns the innermost call outside this package and Python's library.

    If it is in an installed package, such as numpy, this is the call of the user's program that
    called the package, if there is one before the next call of this package.
    """
    frame = sys._getframe(3)  # the calls up to here are in this package
    installed = None
    while True:
        outer = frame.f_back
        owner = owner_of_file(frame.f_code.co_filename)
        # the outermost call may be the script that starts an installed package
        if owner == "user" and not (installed and outer is None):
            return frame
        if owner == "installed":
            installed = installed or frame
        if outer is None or (installed and owner == "us"):
            return installed or frame
        frame = outer


@cache
def owner_of_file(file: str) -> str:
    """Returns who owns a source file.

    This is "us" (this package), "library" (Python's own), "installed" (another package) or "user".
    """
    if file.startswith(PACKAGE_FOLDER):
        return "us"
    if "site-packages" in file or "dist-packages" in file:
        return "installed"
    return "library" if file.startswith((LIBRARY_FOLDER, "<frozen ")) else "user"


def one_line(error: BaseException) -> str:
    """Returns the message of an error on one line.

    If the message has a caret below a text, the place of the caret is told in words.
    """
    message, *rest = str(error).splitlines() or [type(error).__name__]
    if len(rest) == 2 and rest[1].strip() == "^":
        caret = len(rest[1]) - 1
        read = rest[0][4:caret]
        ahead = rest[0][caret:]
        if read.strip() and not ahead.strip():
            message += f" after {read!r}"
        else:
            message += f" at {(ahead or rest[0]).strip()[:20]!r}"
    return message


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


def short_repr(x: object) -> str:
    """Returns the beginning of `repr` of ``x`` on one line, without addresses, for a message."""
    text = " ".join(_ABBREVIATED.repr(x).split())
    return shortened(re.sub(r" at 0x[0-9A-Fa-f]+", "", text), 40)


class _Abbreviated(reprlib.Repr):
    """The beginnings of representations, as `repr` returns them."""

    def __init__(self) -> None:
        super().__init__()
        for limit in ("list", "tuple", "set", "frozenset", "deque", "array", "dict"):
            setattr(self, f"max{limit}", 20)
        self.maxother = 1_000

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[:40])

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 1_000 else f"an int of {x.bit_length()} bits"

    def repr_ndarray(self, x: Any, level: int) -> str:
        return repr(x if x.size <= 20 else x.ravel()[:20])

    def repr_instance(self, x: object, level: int) -> str:
        try:
            return repr(x)
        except Exception:  # a message must not fail for what is in it
            return f"<{type(x).__name__} without a repr>"


_ABBREVIATED = _Abbreviated()


def shortened(text: str, most: int) -> str:
    """Returns ``text``, or its beginning with three dots: at most ``most`` characters."""
    return text if len(text) <= most else text[:most - 3] + "..."


def wrong_type(name: str, wanted: str, given: object, remedy: str = "") -> TypeError:
    """Returns the error "``name`` must be ``wanted``, not int (5); ``remedy``"."""
    return TypeError(
        f"{name} must be {wanted}, not {type(given).__name__} ({short_repr(given)})"
        f"{f'; {remedy}' if remedy else ''}"
    )


def wrong_entry(
    name: str, wanted: str, given: object, i: int, entry: object, remedy: str = ""
) -> TypeError:
    """Returns the error "``name`` must be ``wanted``, but entry 0 of [5] is int (5)"."""
    return TypeError(
        f"{name} must be {wanted}, but entry {i} of {short_repr(given)} is {type(entry).__name__} "
        f"({short_repr(entry)}){f'; {remedy}' if remedy else ''}"
    )


def check_type(
    x: Any, name: str, kind: type | tuple[type, ...], wanted: str, remedy: str = ""
) -> None:
    """Raises TypeError unless ``x`` is of a kind."""
    if not isinstance(x, kind):
        raise wrong_type(name, wanted, x, remedy)


def check_text(x: Any, name: str, remedy: str = "") -> None:
    """Raises TypeError unless ``x`` is text."""
    check_type(x, name, str, "text", remedy)


def check_function(f: Any, name: str, remedy: str = "") -> None:
    """Raises TypeError unless ``f`` can be called."""
    if not callable(f):
        raise wrong_type(name, "a function", f, remedy)


def check_choice(x: Any, name: str, choices: Iterable[Any], remedy: str = "") -> None:
    """Raises ValueError unless ``x`` is one of a few choices."""
    choices = list(choices)
    if not (isinstance(x, Hashable) and x in choices):
        first = ", ".join(map(repr, choices[:-1]))
        listed = f"{first} or {choices[-1]!r}" if first else repr(choices[-1])
        end = f"; {remedy}" if remedy else ""
        raise ValueError(f"{name} must be {listed}, not {short_repr(x)}{end}")


def check_bool(x: Any, name: str) -> bool:
    """Returns ``x`` as a bool; raises TypeError unless it is True, False, 0 or 1."""
    if is_number(x) and number(x, name) in (0, 1):
        return bool(x)
    raise wrong_type(name, "True or False", x)


def is_list_like(x: Any) -> TypeGuard[Iterable[Any]]:
    """Returns whether ``x`` is a list, a tuple, an array, a generator or the like.

    Text, whose entries are letters, is none; nor is a mapping or a table, whose entries are keys,
    nor a set, which has no order of its own.
    """
    is_other = isinstance(x, (str, bytes, bytearray, Mapping, Set))
    has_keys = hasattr(x, "keys") and getattr(x, "ndim", 2) > 1
    is_number = getattr(x, "shape", None) == ()
    return isinstance(x, Iterable) and not (is_other or has_keys or is_number)


def check_list(xs: Any, name: str, wanted: str, remedy: str = "") -> list[Any]:
    """Returns the entries of what `is_list_like`; raises TypeError for anything else."""
    if not is_list_like(xs):
        raise wrong_type(name, wanted, xs, remedy)
    return list(xs)


def check_texts(xs: Any, name: str, remedy: str = "") -> list[str]:
    """Returns a list of the texts in what `is_list_like`; raises TypeError for anything else."""
    texts = check_list(xs, name, "a list of texts", remedy)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise wrong_entry(name, "a list of texts", xs, i, text, remedy)
    return texts


def check_name(x: Any, name: str, known: Collection[str], remedy: str = "") -> str:
    """Returns ``x`` if it is one of the known names.

    Raises TypeError or ValueError, with similar names if there are any, or else the remedy.
    """
    if isinstance(x, str) and x in known:
        return x
    listed = f"one of {some(known, 12)}" if len(known) > 1 else some(known)
    check_text(x, name, remedy or f"write {listed}")
    near = near_names(x, known)
    end = f"did you mean {' or '.join(map(repr, near))}?" if near else remedy
    raise ValueError(f"{name} must be {listed}, not {short_repr(x)}{f'; {end}' if end else ''}")


def near_names(typed: str, known: Iterable[str]) -> list[str]:
    """Returns at most three of the known names that are similar to what was typed."""
    from difflib import get_close_matches  # here, because the engine alone does not need it

    names = list(known)
    names = [*names[:1000], *names[1000:][-100:]]  # because all of them would take long
    begun = [name for name in names if typed and name.lower().startswith(typed.lower())]
    return begun[:3] or get_close_matches(typed[:40], names, n=3)


MOST = 10_000_000  # Values or samples: a few gigabytes


def check_int(
    x: object, name: str, least: float = -math.inf, remedy: str = "", most: float = MOST
) -> int:
    """Returns ``x`` as an int.

    Ints, numpy's integers and other objects with ``__index__`` are accepted.

    name: begins the message, as in ``Linear: nin``.
    least, most: the smallest and the largest number allowed.  By default the largest is `MOST`, so
        that a size with a digit too many is refused, and does not take days.
    remedy: ends the message.

    Raises:
        TypeError: ``x`` is not a whole number, or is True or False.
        ValueError: ``x`` is less than ``least`` or more than ``most``.
    """
    try:
        n = operator.index(x)  # type: ignore[arg-type]
    except TypeError:
        n = None
    if n is None or isinstance(x, bool) or getattr(x, "shape", ()) != ():
        raise wrong_type(name, "a whole number", x, remedy)
    if least <= n <= most:
        return n
    bounds = f"from {least:,} to {most:,}" if least > -math.inf else f"<= {most:,}"
    if n < least and most >= MOST:
        bounds = f">= {least}"
    end = f"; {remedy}" if remedy else ""
    raise ValueError(f"{name} must be a whole number {bounds}, not {short_repr(n)}{end}")


def check_size(count: int, name: str, what: str = "parameters") -> None:
    """Raises ValueError if ``name`` would make more than `MOST` parameters, or ``what``."""
    if count > MOST:
        raise ValueError(
            f"{name} would make {short_repr(count)} {what}; choose sizes that make at most {MOST:,}"
        )


def check_number(
    x: object,
    name: str,
    least: float = -math.inf,
    remedy: str = "",
    *,
    above: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    wanted: str = "",
) -> float:
    """Returns ``x`` as a finite float, >= ``least``, > ``above``, < ``below`` and <= ``most``.

    name: begins the message, as in ``SGD: lr``.
    remedy: ends the message.
    wanted: what the message says that ``x`` must be; by default it names the bounds.

    Raises:
        TypeError: ``x`` is not a number (see `number`).
        ValueError: ``x`` is inf or nan, or outside the bounds.
    """
    if not is_number(x):
        raise wrong_type(name, "a real number", x, remedy)
    value = number(x, name)
    if math.isfinite(value) and least <= value <= most and above < value < below:
        return value
    if not wanted:
        wanted = "finite" if least == -math.inf else f"a finite number >= {least:g}"
        if below < math.inf:
            wanted = f"a number >= {least:g} and < {below:g}"
        elif most < math.inf:
            wanted = f"a number from {least:g} to {most:g}"
    shown = repr(value) if x.__class__ in (int, float) else short_repr(x)
    raise ValueError(f"{name} must be {wanted}, not {shown}{f'; {remedy}' if remedy else ''}")


def counted(n: int, what: str, plural: str = "") -> str:
    """Returns a count with its noun: ``3 samples``, ``1 sample``."""
    return f"{n:,} {what if n == 1 else plural or what + 's'}"


def some(names: Iterable[str], most: int = 3) -> str:
    """Returns the first of the names, and how many more there are: ``a, b, c and 2 more``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
