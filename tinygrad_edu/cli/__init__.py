"""The command line ``tinygrad-edu``: a file for each group of commands."""

from .app import main

__all__ = ["main"]
