"""The kinds of questions: a file for each, with a function ``make(draw, level)``."""
