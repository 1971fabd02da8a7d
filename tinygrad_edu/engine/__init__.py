"""The engine: the table, the nodes of a graph, the backward sweep, and derivatives."""

from .table import define
from .value import Value

__all__ = ["Value", "define"]
