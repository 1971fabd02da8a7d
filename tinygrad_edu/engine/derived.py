"""Functions made of functions, such as ``grad(f)``, which can be copied and pickled.

    >>> import pickle
    >>> from tinygrad_edu import grad, math
    >>> pickle.loads(pickle.dumps(grad(math.sin)))(0.0)
    1.0

Such a function is written down as the call that made it, here ``grad(math.sin)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from types import MethodType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Derived:
    """A function that a transform made of another one, with its name: ``grad(f)``."""

    def __init__(self, function: Callable[..., Any], made_by: partial[Any]) -> None:
        self.__wrapped__ = function
        self._made_by = made_by
        self.__name__ = self.__qualname__ = f"{made_by.func.__name__}({name_of(made_by.args[0])})"
        self.__doc__ = function.__doc__

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Returns what the function returns."""
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)  # as functions do

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._made_by, ()


def transform(make: F) -> F:
    """Decorates a function that returns a function of its first argument, which is a function."""

    @wraps(make)
    def transformed(f: Any, *options: Any, **named: Any) -> Any:
        return Derived(make(f, *options, **named), partial(transformed, f, *options, **named))

    return transformed  # type: ignore[return-value]


def name_of(f: Any) -> str:
    """Returns the name of a function, or of the class of another callable object."""
    return str(getattr(f, "__name__", type(f).__name__))
