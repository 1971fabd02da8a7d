"""Instruments for testing gradients: the engine's, and those of your own functions and primitives.

`strategies`, which needs hypothesis, is imported when it is first asked for.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from .gradcheck import Entry, Report, gradcheck

if TYPE_CHECKING:
    from . import strategies as strategies

__all__ = ["Entry", "Report", "gradcheck"]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return _import_module(".strategies", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
