"""Training models: `fit`, its two engines, `History`, the record of a run, and `sweep`, many runs.
"""

from .fitting import fit
from .history import History
from .snapshots import TrainingRecord
from .sweeping import Sweep, sweep

__all__ = ["History", "Sweep", "TrainingRecord", "fit", "sweep"]
