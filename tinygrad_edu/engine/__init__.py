"""The engine: the table of primitives, the nodes of a graph, the backward sweep, and derivatives of
graphs and functions."""

from .table import define
from .value import Value

__all__ = ["Value", "define"]
