"""Sweeps: one training for each combination of settings and each seed, on any executor.

Reading order: `running` has `sweep` itself, `jobs` what it was asked for, `training` what runs in a
worker, `rows` the results, `store` the file that keeps them.
"""

from .rows import Row, Sweep
from .running import sweep

__all__ = ["Row", "Sweep", "sweep"]
