"""Names and arguments of the functions under test: Python functions or rows of the table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ..engine.primitive import Primitive


def name_of(f: Callable[..., Any]) -> str:
    """Returns the name of a function or a row."""
    return f.name if isinstance(f, Primitive) else getattr(f, "__name__", type(f).__name__)


def signature_of(f: Callable[..., Any]) -> inspect.Signature:
    """Returns the signature of a function or a row.

    Raises TypeError or ValueError if a function has none.
    """
    return signature(f.parameters) if isinstance(f, Primitive) else inspect.signature(f)


def signature(names: Iterable[str]) -> inspect.Signature:
    """Returns the signature of a function whose arguments have these names."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])
