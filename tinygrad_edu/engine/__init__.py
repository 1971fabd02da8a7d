"""The engine: what a primitive is and the table of them, a node, the walk backwards, and the
derivatives built on it."""

from .value import Value

__all__ = ["Value"]
