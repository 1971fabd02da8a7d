"""`Module`: something with parameters.  It finds them itself, names them, and can save and restore
them.

Whatever leaf `Value` is an attribute of a module, directly or in lists, tuples, dicts and modules
below it, is a parameter.  Its name is the path to it, ``layers.0.neurons.3.w.1``, and becomes its
label when the attribute is assigned, unless it has one.  That is how errors, drawings and
checkpoints come to speak of the same names, and how a drawing finds the neurons of a graph, while
the forward pass pays nothing for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import repeat
from typing import Any, TypeVar

from ..engine.primitives import number
from ..engine.value import Value
from ..errors import CheckpointError, some

Self = TypeVar("Self", bound="Module")


class ParameterName(str):
    """The label of a parameter: the path by which its module knows it.  Reads as ordinary text."""

    __slots__ = ()


class Module:
    """The base of everything that is trained.  A subclass sets its parameters and parts in
    ``__init__`` and defines ``__call__``::

        class Line(nn.Module):
            def __init__(self):
                self.slope, self.intercept = Value(1.0), Value(0.0)

            def __call__(self, x):
                return self.slope * x + self.intercept
    """

    training = True  # what Dropout looks at; see train() and eval()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        for path, parameter in _named(value, name, set()):
            label = parameter.label
            if not label or (isinstance(label, ParameterName) and path.endswith(f".{label}")):
                parameter.label = ParameterName(path)
            elif not isinstance(label, ParameterName):
                parameter.label = ParameterName(label)

    def parameters(self) -> list[Value]:
        """All parameters, in the order in which the attributes were assigned; a shared one once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Value]]:
        """``(name, parameter)`` for all parameters, in the same order; the name is its path."""
        first: dict[Value, str] = {}
        owner: dict[str, Value] = {}
        for name, parameter in _named(self, "", set()):
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
        """This module and all below it, each once."""
        seen: set[int] = set()
        stack: list[Any] = [self]
        while stack:
            part = stack.pop()
            if isinstance(part, Module) and id(part) not in seen:
                seen.add(id(part))
                yield part
            elif isinstance(part, Module):
                continue
            stack.extend(reversed([inner for _, inner in _parts(part)]))

    def zero_grad(self) -> None:
        """Sets the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self: Self, mode: bool = True) -> Self:
        """Switches this module and all below it to training mode (or not): `Dropout` drops.
        Returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Switches to evaluation mode: `Dropout` passes everything on.  Returns the module."""
        return self.train(False)

    def state_dict(self) -> dict[str, float]:
        """The data of all parameters by name."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Sets the data of all parameters from what `state_dict` gave; gradients are left alone.

        Raises CheckpointError, and changes nothing, unless ``state`` has exactly the names of this
        module's parameters, each with a number.
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(
                f"a state is a mapping from names to numbers, not {type(state).__name__}"
            )
        parameters = dict(self.named_parameters())
        _check_names(parameters, state)
        data: dict[str, float] = {}
        for name, entry in state.items():
            if isinstance(entry, (bool, str)):
                raise CheckpointError(f"the state of {name} is {entry!r}, not a number")
            try:
                data[name] = number(entry)
            except (TypeError, OverflowError) as error:
                raise CheckpointError(f"the state of {name}: {error}") from None
        numbers = [data[name] for name in parameters]
        deque(map(setattr, parameters.values(), repeat("data"), numbers), maxlen=0)  # all or none

    def __call__(self, x: Any) -> Any:
        """The output of the module; a subclass defines it."""
        raise TypeError(f"{type(self).__name__} has no __call__: define what it computes")


@contextmanager
def mode(model: Any, *, training: bool) -> Iterator[None]:
    """A model in training mode, or in evaluation mode, for the time of a with block.

    Afterwards each of its modules is in the mode that it was in before.  What is no `Module` has no
    modes and stays as it is.
    """
    modules = list(model.modules()) if isinstance(model, Module) else []
    before = [module.training for module in modules]
    there = map(object.__setattr__, modules, repeat("training"), repeat(training))
    back = map(object.__setattr__, modules, repeat("training"), before)
    try:
        # one call in C, which no signal handler interrupts, and so is the way back
        deque(there, maxlen=0)
        yield
    finally:
        deque(back, maxlen=0)


def _check_names(parameters: Mapping[str, Value], state: Mapping[str, float]) -> None:
    """Raises CheckpointError unless ``state`` has exactly the names of ``parameters``."""
    misfits = []
    if missing := [name for name in parameters if name not in state]:
        misfits.append(f"missing: {some(missing)}")
    if foreign := [name for name in state if name not in parameters]:
        misfits.append(f"not in the model: {some(foreign)}")
    if misfits:
        raise CheckpointError(
            f"the state does not fit the model: {'; '.join(misfits)}; "
            "build the model with the sizes that it was saved with"
        )


def _parts(container: Any) -> list[tuple[Any, Any]]:
    """What stands directly inside a module, list, tuple or dict, by name or position."""
    if isinstance(container, Module):
        return list(vars(container).items())
    if isinstance(container, dict):
        return list(container.items())
    return list(enumerate(container)) if isinstance(container, (list, tuple)) else []


def _named(part: Any, path: str, above: set[int]) -> Iterator[tuple[str, Value]]:
    """The parameters in ``part`` with their paths, depth first; ``above`` breaks cycles."""
    if isinstance(part, Value):
        if not part.op and not part.constant:
            yield path, part
    elif id(part) not in above:
        for name, inner in _parts(part):
            yield from _named(inner, f"{path}.{name}" if path else str(name), above | {id(part)})


