"""The part of other engines that programs share: value and gradient of a function at a point.

Both calls go through buffers of numbers, without allocating anything.
"""

# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any


def casadi_gradient(y: Any, x: Any, point: Sequence[float]) -> Callable[[], Any]:
    """casadi's virtual machine; ``y`` is an expression of the vector of symbols ``x``."""
    import casadi

    buffer, trigger = casadi.Function("f", [x], [y, casadi.gradient(y, x)]).buffer()
    start = array("d", point)
    inside, value, slopes = start[:], start[:1], start[:]
    buffer.set_arg(0, memoryview(inside))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(slopes))

    def run(buffer: Any = buffer) -> Any:  # which has to live as long as its trigger
        inside[:] = start
        trigger()
        return value, slopes

    return run


def ddx_gradient(f: Callable[[list[Any]], Any], point: Sequence[float]) -> Callable[[], Any]:
    """ddx-ad, compiled; ``f`` is a function of a list of scalars."""
    import ddx
    import numpy as np

    equation = ddx.equation(lambda: f([ddx.var(f"x{i}") for i in range(len(point))]))
    equation.compile()
    start = np.array(point)
    call = equation.buffer(start.copy())

    def run() -> Any:
        call.x[:] = start
        call()
        return call.value, call.jacobian

    return run
