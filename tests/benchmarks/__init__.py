"""Benchmarks of the engine on this machine: ``python -m tests.benchmarks --help``."""
