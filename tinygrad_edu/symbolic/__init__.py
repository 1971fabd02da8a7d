"""Expressions as text: the formulas of the table's rules, and text that becomes a graph."""

from .expressions import parse
from .formulas import formula

__all__ = ["formula", "parse"]
