"""Tools for one graph: step through it, and find where an inf or nan comes from."""

from .explain import Explanation, explain_nonfinite
from .misconceptions import MISCONCEPTIONS
from .orders import compare_orders
from .recording import Recording, record
from .stepper import Stepper

__all__ = [
    "MISCONCEPTIONS", "Explanation", "Recording", "Stepper", "compare_orders",
    "explain_nonfinite", "record",
]
