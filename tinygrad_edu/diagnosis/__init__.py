"""Why a model does not learn, in numbers and with one sentence of advice for each thing that is
wrong."""

from .examination import diagnose
from .findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
