"""Derivatives as text (`formula`), and text as a graph (`parse`)."""

from .expressions import parse
from .formulas import formula

__all__ = ["formula", "parse"]
