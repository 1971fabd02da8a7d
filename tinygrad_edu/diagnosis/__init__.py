"""`diagnose` finds out why a model does not learn, and gives advice.

Every finding has numbers and one sentence of advice.  `inspection` has the gradients and outputs of
a model's layers, also for plots.
"""

from .examination import diagnose
from .findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
