"""The course as pages: an index, and a page for each lesson with its experiments and questions."""
