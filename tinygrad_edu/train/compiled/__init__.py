"""The compiled engine of `fit`."""

from .engine import Engine

__all__ = ["Engine"]
