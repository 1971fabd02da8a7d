"""A scalar reverse-mode automatic differentiation engine to read, step through, draw and trust.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> y = (a * b + 10).tanh()
    >>> y.backward()
    >>> round(a.grad, 6)
    -0.004023

Read the source in this order: `engine.primitive`, `engine.value` and `engine.graph`, which are
reverse mode; `engine.table`, `engine.accumulation` and `engine.autodiff`; then `math` and
`symbolic`; then `nn`, `optim` and `train`.  Not affiliated with tinygrad.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from . import math
from .engine.autodiff import backward, grad, gradients, hessian, jacobian, jvp, value_and_grad, vjp
from .engine.graph import topological_order
from .engine.interpreter import no_grad
from .engine.table import define
from .engine.value import Value
from .math import take

if TYPE_CHECKING:
    from . import data, learn, nn, optim, testing, train
    from .debug.anomaly import detect_anomaly
    from .debug.explain import explain_nonfinite
    from .debug.orders import compare_orders
    from .debug.recording import record
    from .debug.stepper import Stepper
    from .diagnosis import diagnose
    from .jit.function import jit
    from .symbolic import formula, parse
    from .train import History, fit

__version__ = "0.1.0"
__all__ = [
    "History", "Stepper", "Value", "backward", "compare_orders", "data", "define", "detect_anomaly",
    "diagnose", "explain_nonfinite", "fit", "formula", "grad", "gradients", "hessian", "jacobian",
    "jit", "jvp", "learn", "math", "nn", "no_grad", "optim", "parse", "record", "take", "testing",
    "topological_order", "train", "value_and_grad", "vjp",
]

# These names are imported at their first use, so that the engine alone starts fast.
_LAZY = {
    "History": "train",
    "Stepper": "debug",
    "compare_orders": "debug",
    "detect_anomaly": "debug.anomaly",
    "diagnose": "diagnosis",
    "explain_nonfinite": "debug",
    "fit": "train",
    "formula": "symbolic",
    "parse": "symbolic",
    "record": "debug",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(_import_module(f".{_LAZY[name]}", __name__), name)
    elif name in ("data", "jit", "learn", "nn", "optim", "testing", "train"):
        value = _import_module(f".{name}", __name__)
    elif name == "viz":
        value = _import_module(".files", __name__).module_beside("viz")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
