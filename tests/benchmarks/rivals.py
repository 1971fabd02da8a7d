"""Other scalar engines, to be measured with this one."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MicrogptValue:
    """The Value class of microgpt, rewritten for this comparison, with + and * only.

    A node has two slots of tuples, its operands and their local derivatives; `backward` sorts the
    graph by recursion.  It accumulates into every node's ``grad``, as the original does.
    """

    __slots__ = ("_local_grads", "_operands", "data", "grad")

    def __init__(
        self, data: float, operands: tuple[Any, ...] = (), local_grads: tuple[float, ...] = ()
    ) -> None:
        self.data = data
        self.grad: float = 0
        self._operands = operands
        self._local_grads = local_grads

    def __add__(self, other: Any) -> MicrogptValue:
        other = other if isinstance(other, MicrogptValue) else MicrogptValue(other)
        return MicrogptValue(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other: Any) -> MicrogptValue:
        other = other if isinstance(other, MicrogptValue) else MicrogptValue(other)
        return MicrogptValue(self.data * other.data, (self, other), (other.data, self.data))

    def backward(self) -> None:
        """Adds d(this)/d(node) to the ``grad`` of every node."""
        order = []
        visited = set()

        def visit(v: MicrogptValue) -> None:
            if v not in visited:
                visited.add(v)
                for operand in v._operands:
                    visit(operand)
                order.append(v)

        visit(self)
        self.grad = 1
        for v in reversed(order):
            for operand, local_grad in zip(v._operands, v._local_grads):
                operand.grad += local_grad * v.grad


def micrograd_value() -> type[Any] | None:
    """micrograd's Value class, if micrograd is installed."""
    try:
        value: type[Any] = import_module("micrograd.engine").Value
    except ImportError:
        return None
    return value
