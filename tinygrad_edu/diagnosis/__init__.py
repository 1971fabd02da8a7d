"""`diagnose`: finds out why a model does not learn, with numbers and one sentence of advice for
each finding."""

from .examination import diagnose
from .findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
