"""`Module`, the base of networks: it finds its parameters, names, saves and restores them.

Every leaf `Value` found in a module's attributes is a parameter, including those inside lists,
tuples, dicts and submodules.  Its name is the path to it, such as ``layers.0.neurons.3.w.1``.  A
parameter without a label is labelled with its name when the attribute is assigned.  Errors,
drawings and checkpoints use these names, and a drawing finds the neurons of a graph by them, at no
cost in the forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import repeat
from typing import Any, TypeAlias, TypeVar

from ..engine.value import Value
from ..errors import CheckpointError, number, some
from ..optim.parameters import assign_all, temporarily

Self = TypeVar("Self", bound="Module")
Part = TypeVar("Part")
Output: TypeAlias = Value | list[Value]  # what a layer returns: a Value if it has one neuron


class ParameterName(str):
    """The label of a parameter: text, the path to it from its module."""

    __slots__ = ()


class Module:
    """Base class of networks and their parts.

    A subclass sets its parameters and parts in ``__init__`` and defines ``__call__``::

        class Line(nn.Module):
            def __init__(self):
                self.slope, self.intercept = Value(1.0), Value(0.0)

            def __call__(self, x):
                return self.slope * x + self.intercept
    """

    training = True  # read by Dropout, set by train() and eval()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        for path, parameter in _found(Value, value, name):
            label = parameter.label
            if not label or (isinstance(label, ParameterName) and path.endswith(f".{label}")):
                parameter.label = ParameterName(path)
            elif not isinstance(label, ParameterName):
                parameter.label = ParameterName(label)

    def parameters(self) -> list[Value]:
        """Returns all parameters, each once, in the order in which attributes were assigned."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """Returns ``(name, parameter)`` for all parameters, in the order of `parameters`.

        Raises:
            ValueError: two parameters have the same name.
        """
        first: dict[Value, str] = {}
        owner: dict[str, Value] = {}
        for name, parameter in _found(Value, self):
            if owner.setdefault(name, parameter) is not parameter:
                raise ValueError(
                    f"two parameters of {type(self).__name__} have the name {name!r}; "
                    "rename a key or attribute"
                )
            first.setdefault(parameter, name)
            if not parameter.label:  # it was put into a list after the list was assigned
                parameter.label = ParameterName(name)
        return [(name, parameter) for parameter, name in first.items()]

    def modules(self) -> Iterator[Module]:
        """Returns this module and all below it, each once."""
        return iter({id(module): module for _, module in _found(Module, self)}.values())

    def zero_grad(self) -> None:
        """Sets the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self: Self, mode: bool = True) -> Self:
        """Switches this module and all below it to training mode, and returns this module.

        `Dropout` drops inputs in training mode.  If ``mode`` is False, the modules switch to
        evaluation mode.
        """
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Switches to evaluation mode, in which `Dropout` does nothing, and returns this module."""
        return self.train(False)

    def state_dict(self) -> dict[str, float]:
        """Returns the data of all parameters by name."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Sets the data of all parameters to a state that `state_dict` returned.

        Gradients do not change.

        Raises:
            CheckpointError: ``state`` does not have exactly the names of this module's parameters,
                each with a number.  Nothing has changed then.
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(
                "load_state_dict: state must be a mapping from names to numbers, "
                f"not {type(state).__name__}"
            )
        parameters = dict(self.named_parameters())
        misfits = []
        if missing := [name for name in parameters if name not in state]:
            misfits.append(f"missing: {some(missing)}")
        if foreign := [name for name in state if name not in parameters]:
            misfits.append(f"not in the model: {some(foreign)}")
        if misfits:
            raise CheckpointError(
                f"load_state_dict: the state does not fit the model: {'; '.join(misfits)}; "
                "build the model with the sizes that it was saved with"
            )
        data: dict[str, float] = {}
        for name, entry in state.items():
            if isinstance(entry, (bool, str)):
                raise CheckpointError(
                    f"load_state_dict: the state of {name} must be a number, not {entry!r}"
                )
            try:
                data[name] = number(entry)
            except (TypeError, OverflowError) as error:
                raise CheckpointError(f"load_state_dict: the state of {name}: {error}") from None
        numbers = [data[name] for name in parameters]
        assign_all(parameters.values(), repeat("data"), numbers)

    def __call__(self, x: Any) -> Any:
        """Returns the output of the module.

        A subclass defines it, with the type of its own output.
        """
        raise TypeError(f"{type(self).__name__} has no __call__; define __call__(self, x)")


def mode(model: Any, *, training: bool) -> AbstractContextManager[None]:
    """Switches a model to training or evaluation mode inside a ``with`` block.

    Afterwards each of its modules is in the mode that it had before.  A ``model`` that is not a
    `Module` has no modes and is left unchanged.
    """
    modules = list(model.modules()) if isinstance(model, Module) else []
    return temporarily(modules, "training", repeat(training), None)


def _parts(container: Any) -> list[tuple[Any, Any]]:
    """Returns what is directly inside a module, list, tuple or dict, by name or position."""
    if isinstance(container, Module):
        return list(vars(container).items())
    if isinstance(container, dict):
        return list(container.items())
    return list(enumerate(container)) if isinstance(container, (list, tuple)) else []


def _found(
    kind: type[Part], part: Any, path: str = "", above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, Part]]:
    """Yields the leaves or modules in ``part`` with their paths, depth first.

    ``above`` breaks cycles.
    """
    if id(part) in above:
        return
    is_computed = isinstance(part, Value) and (part.op or part.constant)
    if isinstance(part, kind) and not is_computed:
        yield path, part
    inside = _parts(part)
    if inside:
        above |= {id(part)}
    for name, inner in inside:
        yield from _found(kind, inner, f"{path}.{name}" if path else str(name), above)
