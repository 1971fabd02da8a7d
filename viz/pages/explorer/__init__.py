"""The page that steps through a graph: `page` makes its data and HTML."""

from .page import explore, page_data

__all__ = ["explore", "page_data"]
