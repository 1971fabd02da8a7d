"""Training a model: `fit`, its engines, and what it remembers.

"""

from .fitting import History, fit
from .snapshots import TrainingRecord

__all__ = ["History", "TrainingRecord", "fit"]
