"""Machine code from the same graph: ``jit(f)`` is ``f``, traced once and compiled.

    >>> from tinygrad_edu import jit, math
    >>> area = jit(lambda r: math.pi * r**2)
    >>> area.value_and_grad(2.0)
    (12.566370614359172, 12.566370614359172)

`tracing` records what a function does, `tape` lowers the trace to a program of numbered registers,
`languages` writes that program as the text of LLVM, C, JavaScript or Python, `running` runs it and
caches machine code, and `function` puts them together.  Without llvmlite (the extra ``fast``) the
tape is replayed in Python.
"""

import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import Any

from .function import Jitted, jit
from .program import Program
from .tape.tape import Tape

__all__ = ["Jitted", "Program", "Tape", "jit"]


class _CallableModule(_ModuleType):
    """Makes the package callable, because `tinygrad_edu.jit` names both the package and the
    function."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return jit(*args, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        return _import_module, (self.__name__,)


_sys.modules[__name__].__class__ = _CallableModule
