"""`diagnose` finds out why a model does not learn, with numbers and one sentence of advice for each
finding; `inspection` has the gradients and outputs of a model's layers, also for plots."""

from .examination import diagnose
from .findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
