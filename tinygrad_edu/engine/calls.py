"""The engine's answers to common mistakes: numbers that leave the graph, Values compared with
numbers, and the names that parts of a Value have in other libraries.

    grad(lambda x: std_math.exp(x))(1.0)  # 0.0, and a GraphWarning

There is no warning where a result may be constant: `value` and `autodiff` say so, by clearing one
of the two sets below, when the program compares Values, reads a number, or computes derivatives.

Functions made of functions, such as ``grad(f)``, can be copied and pickled::

    >>> import pickle
    >>> from tinygrad_edu import grad, math
    >>> pickle.loads(pickle.dumps(grad(math.sin)))(0.0)
    1.0

Such a function is written down as the call that made it, here ``grad(math.sin)``.  If the call was
a decorator, the function is written down by its name, like any function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial, wraps
from threading import get_ident
from types import MethodType
from typing import Any, TypeVar

from ..errors import GraphWarning, check_function, is_number, short_repr, warn
from .graph import Node, topological_order
from .interpreter import active, current

F = TypeVar("F", bound=Callable[..., Any])


class Calls(set["Call"]):
    """Calls that run now, in any thread."""

    def clear(self) -> None:
        """Removes the calls of this thread."""
        if self:
            thread = get_ident()
            self.difference_update([call for call in tuple(self) if call.thread == thread])


# The calls that have not compared Values nor computed derivatives; and those that have not read the
# number of a Value by float() or int()
straight = Calls()
sealed = Calls()


class Call:
    """A call of a function ``f`` on leaves that it is differentiated with respect to.

    others: whether ``f`` has more arguments, which may give the result.
    """

    def __init__(self, f: Callable[..., Any], leaves: list[Any], others: bool = False) -> None:
        self.f = f
        self.leaves = leaves
        self.others = others
        self.thread = get_ident()
        straight.clear()  # the calls around this one compute derivatives

    def run(self, *args: Any) -> Any:
        """Returns ``f(*args)``; the arguments are made of the leaves."""
        straight.add(self)
        sealed.add(self)
        try:
            return called(self.f, *args)
        finally:
            self.is_certain = self in straight and not (self.others and self in sealed)
            straight.discard(self)
            sealed.discard(self)

    def check(self, outputs: list[Any], derivatives: Iterable[Any]) -> None:
        """Warns if it is certain that no output depends on a leaf; then all derivatives are 0."""
        if not (self.is_certain and outputs and self.leaves and current().has_numbers):
            return
        if any(getattr(d, "data", d) for d in derivatives):
            return
        if set(self.leaves).isdisjoint(topological_order(*outputs, constants=False)):
            warn(
                f"{name_of(self.f)} returned what does not depend on its argument, so the "
                "derivative is 0; unless this is meant, a number left the graph: by float(), "
                ".data, item(), detach(), no_grad() or the standard math module; use "
                "tinygrad_edu.math and the operators of Values",
                GraphWarning,
            )


def equal(x: Any, y: object) -> Any:
    """Leaves ``==`` of a Value to identity, and warns if ``y`` is a number."""
    if not isinstance(y, Node) and is_number(y):
        warn(
            "a Value is never equal to a number: == and != compare identity, as do `in` and "
            "index(); compare the numbers, as in x.data == 2.0, or write abs(x - 2.0) <= 0",
            GraphWarning,
        )
        return False
    return NotImplemented


def warn_of_column(x: Any) -> None:
    """Warns if an operator of polars asks for the number of ``x``, a Value.

    The result is a column of numbers.  (An error would not reach the program: polars makes another
    one of it.)
    """
    frame: Any = sys._getframe(2) if "polars" in sys.modules else None
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("polars."):
        if frame.f_code.co_name in _ARITHMETIC:
            warn(
                f"polars computes with the number of {short_repr(x)}, and the result has no graph; "
                "for Values pass the column's .to_numpy(), for numbers write x.data",
                GraphWarning,
            )
            return
        frame = frame.f_back


_ARITHMETIC = {
    f"__{side}{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow") for side in ("", "r")
}


class Readable(Node):
    """A node whose number can be read: by float(), int(), item(), a format, its truth and repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        label = f"label={str(self.label)!r}, " if self.label else ""
        op = f", op={self.op!r}" if self.op else ""
        text = f"{type(self).__name__}({label}data={self.data!r}, grad={self.grad!r}{op})"
        return current().text_of(self, text) if active else text

    def item(self) -> float:
        """Returns the number, as float(x) does."""
        return float(self)

    def _number(self, what: str) -> float:
        """Returns the data, after telling the interpreter that ``what`` asked for it."""
        if active:
            current().number_of(self, what)
        return self.data

    def __format__(self, spec: str) -> str:
        number = self._number("a format")
        return format(number, spec) if spec else repr(self)

    def __float__(self) -> float:
        sealed.clear()
        warn_of_column(self)
        return float(self._number("float()"))

    def __int__(self) -> int:
        sealed.clear()
        return int(self._number("int()"))

    def __bool__(self) -> bool:
        straight.clear()
        return bool(self._number("truth"))


# ---- names of other libraries --------------------------------------------------------------------


class _Elsewhere:
    """The name of something in another library.  Reading it raises AttributeError: what to write.

    `hasattr` is therefore False.  Objects of a subclass with a ``__dict__`` may use the name.
    """

    def __init__(self, remedy: str) -> None:
        self.remedy = remedy

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, node: Any, owner: type) -> Any:
        own = getattr(node, "__dict__", {})
        if self.name not in own:
            raise AttributeError(f"a Value has no attribute {self.name!r}; {self.remedy}")
        return own[self.name]

    def __set__(self, node: Any, x: Any) -> None:
        if not hasattr(node, "__dict__"):
            raise AttributeError(f"a Value has no attribute {self.name!r}; {self.remedy}")
        node.__dict__[self.name] = x


_OPERANDS = "its operands are .args, viz.draw(y) draws the graph"
_OPERATION = "its operation is .op, its local derivatives are .partials; `define` adds an operation"
_CONSTANT = "every leaf gets a gradient; a float, or x.detach(), gets none"
_NUMBER = "its number is .data"
_GRADIENT = "its gradient is .grad; x.grad = 0.0 or zero_grad() of the model sets it to 0"


class NamesElsewhere:
    """What parts of a Value are called in micrograd and in other libraries.

    ``_prev`` and ``_op`` of micrograd work.
    """

    __slots__ = ()

    _prev = property(lambda self: set(self.args))
    _op = property(lambda self: self.op)
    _children = _Elsewhere(_OPERANDS)
    children = _Elsewhere(_OPERANDS)
    parents = _Elsewhere(_OPERANDS)
    _backward = _Elsewhere(_OPERATION)
    grad_fn = _Elsewhere(_OPERATION)
    is_leaf = _Elsewhere("its operation is .op, which is '' for a leaf")
    requires_grad = _Elsewhere(_CONSTANT)
    requires_grad_ = _Elsewhere(_CONSTANT)
    numpy = _Elsewhere(_NUMBER)
    value = _Elsewhere(_NUMBER)
    gradient = _Elsewhere(_GRADIENT)
    zero_grad = _Elsewhere(_GRADIENT)
    name = _Elsewhere("its name is .label")

    def __dir__(self) -> list[str]:
        """Returns the names that can be read."""
        own = getattr(self, "__dict__", ())
        return [name for name in super().__dir__() if name in own or hasattr(type(self), name)]


# ---- functions made of functions -----------------------------------------------------------------


class Derived:
    """A function that a transform made of another one, with its name: ``grad(f)``."""

    def __init__(self, function: Callable[..., Any], made_by: partial[Any]) -> None:
        self.__wrapped__ = function
        self._made_by = made_by
        f = made_by.args[0]
        self.__name__ = f"{made_by.func.__name__}({name_of(f)})"
        # where the function is if the transform is its decorator
        self.__module__ = getattr(f, "__module__", "")
        self.__qualname__ = getattr(f, "__qualname__", self.__name__)
        self.__doc__ = function.__doc__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Returns what the function returns."""
        return self.__wrapped__(*args, **kwargs)

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name  # in a class: pickle finds bound methods by it

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)  # as functions do

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return name_to_import(self) or (self._made_by, ())


def transform(make: F) -> F:
    """Decorates a function that returns a function of its first argument, which is a function."""

    @wraps(make)
    def transformed(f: Any, *options: Any, **named: Any) -> Any:
        check_function(f, f"{make.__name__}: f")
        return Derived(make(f, *options, **named), partial(transformed, f, *options, **named))

    return transformed  # type: ignore[return-value]


def name_of(f: Any) -> str:
    """Returns the name of a function, or of the class of another callable object."""
    return str(getattr(f, "__name__", type(f).__name__))


def called(
    f: Callable[..., Any],
    *args: Any,
    name: str = "f",
    remedy: str = "give as many numbers as it has arguments",
) -> Any:
    """Returns ``f(*args)``.

    name, remedy: begin and end the message of an error.

    Raises TypeError, with the arguments that ``f`` takes, if it does not take that many.
    """
    try:
        return f(*args)
    except TypeError:
        check_function(f, name, remedy, len(args))
        raise


def argument_of(f: Any, i: int) -> str:
    """Returns what a message calls an argument of ``f``: ``argument x of square``."""
    code = getattr(f, "__code__", None)
    names = code.co_varnames[hasattr(f, "__self__"):code.co_argcount] if code else ()
    return f"argument {names[i] if i < len(names) else i} of {name_of(f)}"


def name_to_import(x: Any) -> str | None:
    """Returns the name by which pickle can import ``x``, or None."""
    if found_by_name(x) is not x or (x.__module__ == "__main__" and _is_by_value()):
        return None
    return str(x.__qualname__)


def found_by_name(x: Any) -> Any:
    """Returns what the name of the function ``x`` is the name of, or None."""
    found: Any = sys.modules.get(getattr(x, "__module__", ""))
    for name in getattr(x, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found


def _is_by_value() -> bool:
    """Returns whether cloudpickle is at work, or a copy of it, as joblib has one, or dill.

    It sends the functions of ``__main__`` by value, to processes that have another ``__main__``.
    """
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.endswith(".cloudpickle") or name == "dill._dill":
            return True
        frame = frame.f_back
    return False
