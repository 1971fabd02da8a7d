"""Machine code from the same graph: ``jit(f)`` is ``f``, traced once and compiled.

    >>> from tinygrad_edu import jit, math
    >>> area = jit(lambda r: math.pi * r**2)
    >>> area.value_and_grad(2.0)
    (12.566370614359172, 12.566370614359172)

`trace` writes down what a function does, `tape` makes a program of numbered registers of it, `llvm`
makes machine code of that, `objects` keeps the machine code on disk, and `function` puts them
together.  Without llvmlite (the extra ``fast``) the tape is replayed in Python.
"""

import sys as _sys
from types import ModuleType as _ModuleType
from typing import Any

from .function import Jitted, jit
from .program import Program
from .tape.tape import Tape

__all__ = ["Jitted", "Program", "Tape", "jit"]


class _CallableModule(_ModuleType):
    """The package and the function have one name; so ``tinygrad_edu.jit(f)`` works whichever of
    them one has got hold of."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return jit(*args, **options)


_sys.modules[__name__].__class__ = _CallableModule
