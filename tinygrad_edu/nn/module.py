"""`Module`, the base of networks: it finds its parameters, names, saves and restores them.

Every leaf `Value` found in a module's attributes is a parameter, including those inside submodules
and containers with an order: lists, tuples, deques, dicts and their views, numpy's arrays of
objects, dataclasses and namespaces.  Its name is the path to it, such as
``layers.0.neurons.3.w.1``.  A parameter without a label is labelled with its name when the
attribute is assigned.  Errors, drawings and checkpoints use these names, and a drawing finds the
neurons of a graph by them, at no cost in the forward pass.

Sets, iterators, functions, and objects of other classes, are not searched, except for a module that
`jit` compiled.  If one of them has a leaf or a module that is not among those found, which would be
neither trained nor saved, it is refused: when it is assigned, or when parameters are asked for if
the leaf was put into it later.
"""

from __future__ import annotations

import gc
import re
import sys
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Iterable, Iterator, Mapping, MappingView
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from itertools import repeat
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    MappingProxyType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, TypeAlias, TypeVar

from ..engine.value import Value
from ..errors import CheckpointError, check_bool, number, short_repr, some, wrong_type
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
        found: Iterable[tuple[str, Value]] = ()
        if not isinstance(value, _SIMPLE):
            others: list[tuple[str, Any]] = []
            found = list(_found(Value, value, name, others=others))
            if others:
                rest = {key: part for key, part in _attributes(self) if key != name}
                known = [part for _, part in _found(_LEARNING, [value, rest])]
                _check_others(_LEARNING, self, others, {id(self), *map(id, known)})
        elif _is(Value, value):
            found = [(name, value)]
        super().__setattr__(name, value)
        for path, parameter in found:
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
            TypeError: a set, or an object of another class than those that are searched, has a
                parameter that is found nowhere else; or a key of a mapping has no name but its
                address.
            ValueError: two parameters have the same name.
        """
        first: dict[Value, str] = {}
        owner: dict[str, Value] = {}
        for name, parameter in _all_of(Value, self):
            if _ADDRESS.search(name):
                raise TypeError(
                    f"{type(self).__name__}: the name of a parameter must be the same in every "
                    f"run, not {_ADDRESS.sub(' at 0x...', name)!r}; use text or numbers as keys"
                )
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
        """Returns this module and all below it, each once.

        Raises:
            TypeError: a module is where `named_parameters` would not find its parameters.
        """
        return iter({id(module): module for _, module in _all_of(Module, self)}.values())

    def zero_grad(self) -> None:
        """Sets the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def train(self: Self, mode: bool = True) -> Self:
        """Switches this module and all below it to training mode, and returns this module.

        `Dropout` drops inputs in training mode.  If ``mode`` is False, the modules switch to
        evaluation mode.
        """
        mode = check_bool(mode, "train: mode")
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
                "load_state_dict: state must be a dict of numbers by name, not "
                f"{type(state).__name__} ({short_repr(state)}); pass what state_dict() returned"
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
                "make the model with the sizes that it was saved with"
            )
        data: dict[str, float] = {}
        for name, entry in state.items():
            what = f"load_state_dict: entry {name!r} of state"
            try:
                if isinstance(entry, (bool, Value)):
                    raise wrong_type(what, "a number", entry)
                data[name] = number(entry, what)
            except (TypeError, OverflowError) as error:
                raise CheckpointError(f"{error}; pass what state_dict() returned") from error
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


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # as in <object object at 0x7f6c>
_SEQUENCES: tuple[type[Any], ...] = (list, tuple, deque, UserList, MappingView)
_LEARNING = (Value, Module)
_MAPPINGS = (dict, UserDict, MappingProxyType, ChainMap)
_SIMPLE: tuple[type[Any], ...] = (
    Value, str, float, int, bytes, type(None), type, BuiltinFunctionType, ModuleType,
)
_MOST_SEARCHED = 10_000  # objects in which forgotten parameters are looked for
_PACKAGE = __name__.partition(".")[0]  # its other objects refer to parameters, and own none


def _parts(container: Any) -> list[tuple[Any, Any]] | None:
    """Returns what is directly inside a module or a container, by name or position.

    Returns None for anything else.
    """
    if isinstance(container, Module):
        return _attributes(container)
    if isinstance(container, _SEQUENCES):
        return list(enumerate(container))
    if isinstance(container, _MAPPINGS):
        return list(container.items())
    if isinstance(container, _SIMPLE):
        return []
    kind = type(container)
    is_iterable = hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    if is_iterable and hasattr(kind, "dtype") and hasattr(kind, "shape"):  # also one with labels
        if not getattr(container.dtype, "hasobject", "Object" in str(container.dtype)):
            return []
        # the entries of a matrix are matrices, and a masked array hides some
        np = sys.modules.get("numpy")
        plain = np.asarray(container) if np and isinstance(container, np.ndarray) else container
        return list(enumerate(plain if plain.shape else [plain.item()]))
    if any(base.__module__.partition(".")[0] == _PACKAGE for base in kind.__mro__):
        wrapped = getattr(container, "__wrapped__", None)  # of a compiled module
        return [] if wrapped is None else [("function", wrapped)]
    if isinstance(container, FunctionType):
        return None if container.__closure__ or container.__defaults__ else []
    is_record = is_dataclass(kind) or hasattr(kind, "__attrs_attrs__")
    return _attributes(container) if is_record or kind is SimpleNamespace else None


def _attributes(x: Any) -> list[tuple[str, Any]]:
    """Returns the attributes of an object by name, first the fields of a dataclass and slots."""
    kind = type(x)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    for base in reversed(kind.__mro__):
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            is_private = name.startswith("__") and not name.endswith("__")
            names.append(f"_{base.__name__.lstrip('_')}{name}" if is_private else name)
    own = getattr(x, "__dict__", {})
    first = {name: getattr(x, name) for name in names if name not in own and hasattr(x, name)}
    first.pop("__dict__", None)
    first.pop("__weakref__", None)
    return [*first.items(), *own.items()]


def _is(kind: type[Any] | tuple[type[Any], ...], part: Any) -> bool:
    """Returns whether ``part`` is a module or a leaf, as ``kind`` says."""
    return isinstance(part, kind) and not (isinstance(part, Value) and (part.op or part.constant))


def _found(
    kind: type[Part] | tuple[type[Part], ...],
    part: Any,
    path: str = "",
    above: frozenset[int] = frozenset(),
    others: list[tuple[str, Any]] | None = None,
) -> Iterator[tuple[str, Part]]:
    """Yields the leaves or modules in ``part`` with their paths, depth first.

    above: breaks cycles.
    others: gets the objects that are not searched, and keys of mappings, with their paths.
    """
    if id(part) in above:
        return
    if _is(kind, part):
        yield path, part
    inside = _parts(part)
    if others is not None and (inside is None or isinstance(part, _MAPPINGS)):
        others.append((path, part))
    if inside:
        above |= {id(part)}
        for name, inner in inside:
            place = f"{path}.{name}" if path else str(name)
            if not isinstance(inner, _SIMPLE):
                yield from _found(kind, inner, place, above, others)
            elif _is(kind, inner):  # the usual case, fast
                yield place, inner


def _all_of(kind: type[Part], module: Module) -> list[tuple[str, Part]]:
    """Returns the leaves or modules in ``module`` with their paths, depth first.

    Raises:
        TypeError: one of them is only where there is no search.
    """
    others: list[tuple[str, Any]] = []
    found = list(_found(kind, module, others=others))
    if others:
        _check_others(kind, module, others, {id(part) for _, part in found})
    return found


def _check_others(
    kind: type[Any] | tuple[type[Any], ...],
    module: Module,
    others: list[tuple[str, Any]],
    known: set[int],
) -> None:
    """Checks that what is inside of ``others``, which were not searched, is known."""
    seen: dict[int, Any] = {}  # it keeps them, so that no other object gets the same id
    rest = [(path, outer, outer) for path, outer in others]
    while rest and len(seen) < _MOST_SEARCHED:
        path, outer, holder = rest.pop()
        if id(holder) in seen:
            continue
        seen[id(holder)] = holder
        for part in _hidden(holder, holder is outer):
            if _is(kind, part) and id(part) not in known:
                remedy = (
                    f"derive {type(outer).__name__} from nn.Module, or first assign what is "
                    "trained to an attribute, also in a list, and keep the rest where a function "
                    "reads it"
                )
                if isinstance(outer, (set, frozenset)):
                    remedy = "a set has no order; use a list"
                elif isinstance(outer, Iterator):
                    remedy = "it can be read once; make a list of it"
                elif isinstance(outer, FunctionType):
                    remedy = "assign it to an attribute of its own before the function"
                elif isinstance(outer, _MAPPINGS):
                    remedy = "it is a key; make it the entry of a key that is text"
                raise TypeError(
                    f"{type(module).__name__}.{path}, of type {type(outer).__name__}, has "
                    f"{short_repr(part)}, which is not found among the parameters; {remedy}"
                )
            if not isinstance(part, _SIMPLE):
                rest.append((path, outer, part))


def _hidden(holder: Any, is_outer: bool) -> list[Any]:
    """Returns what an object of any class but those of this package refers to."""
    if is_outer and isinstance(holder, _MAPPINGS):
        return list(holder)
    if isinstance(holder, FunctionType):  # not its globals
        cells = [cell.cell_contents for cell in holder.__closure__ or () if _is_filled(cell)]
        return [*cells, *(holder.__defaults__ or ()), *(holder.__kwdefaults__ or {}).values()]
    inside = _parts(holder)
    return gc.get_referents(holder) if inside is None else [part for _, part in inside]


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a variable that has no value yet
        return False
