"""The engine: the table of primitives, the nodes of a graph, the backward sweep, and derivatives of
graphs and functions."""

from .value import Value

__all__ = ["Value"]
