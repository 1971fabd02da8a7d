"""Tools for testing gradients: of the engine, and of your own functions and primitives.

`gradcheck` compares derivatives at one point.  `gradient_test` makes a property test, which draws
the points from `strategies`; the number of points depends on the profile (`profiles`).
`suspects` finds the operation whose derivative is wrong.

`gradient_test`, `strategies` and `profiles` need hypothesis, which is imported at their first use.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from .gradcheck import gradcheck
from .report import Entry, Report
from .suspects import suspects

if TYPE_CHECKING:
    from . import profiles as profiles
    from . import strategies as strategies
    from .properties import gradient_test as gradient_test

__all__ = ["Entry", "Report", "gradcheck", "suspects"]


def __getattr__(name: str) -> Any:
    if name not in ("gradient_test", "profiles", "strategies"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if name == "gradient_test":
            return _import_module(".properties", __name__).gradient_test
        return _import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ImportError(
            f"tinygrad_edu.testing.{name} needs hypothesis; install it: pip install hypothesis"
        ) from error
