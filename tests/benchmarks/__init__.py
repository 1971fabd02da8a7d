"""Benchmarks: what the engine costs, measured on the machine at hand.  ``python -m tests.benchmarks
--help``."""
