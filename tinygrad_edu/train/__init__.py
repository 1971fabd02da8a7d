"""Training a model: `fit`, its two engines, and `History`, the record of a run."""

from .fitting import fit
from .history import History
from .snapshots import TrainingRecord

__all__ = ["History", "TrainingRecord", "fit"]
