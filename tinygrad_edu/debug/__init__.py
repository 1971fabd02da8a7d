"""Looking inside one graph: stepping through it, and finding where an inf or nan comes from."""

from .explain import Explanation, explain_nonfinite
from .stepper import Recording, Stepper, compare_orders, record

__all__ = ["Explanation", "Recording", "Stepper", "compare_orders", "explain_nonfinite", "record"]
