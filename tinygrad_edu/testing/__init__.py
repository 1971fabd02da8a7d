"""Instruments for testing gradients: the engine's, and those of your own functions and primitives."""

from .gradcheck import Entry, Report, gradcheck

__all__ = ["Entry", "Report", "gradcheck"]
