"""`Module`, the base of networks: it finds its parameters, names, saves and restores them.

Every leaf `Value` found in a module's attributes is a parameter, including those inside submodules
and containers with an order: lists, tuples, deques, dicts and their views, numpy's arrays of
objects, tables, dataclasses and namespaces.  So are those in attributes of the class, and in the
defaults of its methods.  Its name is the path to it, such as ``layers.0.neurons.3.w.1``.  A
parameter without a label is labelled with its name when the attribute is assigned.  Errors,
drawings and checkpoints use these names, and a drawing finds the neurons of a graph by them, at no
cost in the forward pass.

Sets, iterators, functions, classes, and objects of other classes, are not searched, except for a
module that `jit` compiled.  If one of them has a leaf or a module that is not among those found,
which would be neither trained nor saved, it is refused: when it is assigned, or when parameters are
asked for if the leaf was put into it later.
"""

from __future__ import annotations

import gc
import re
import sys
from collections import ChainMap, OrderedDict, UserDict, UserList, deque
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
_MAPPINGS: tuple[type[Any], ...] = (dict, UserDict, MappingProxyType, ChainMap)
_CONTAINERS: tuple[type[Any], ...] = (*_SEQUENCES, *_MAPPINGS)
_SIMPLE: tuple[type[Any], ...] = (
    Value, str, float, int, bytes, type(None), BuiltinFunctionType, ModuleType,
)
_BUILT_IN = {list, tuple, dict, deque, OrderedDict}  # their objects have no other attributes
_PACKAGE = __name__.partition(".")[0]  # its other objects refer to parameters, and own none


def _parts(container: Any) -> list[tuple[Any, Any]] | None:
    """Returns what is directly inside a module or a container, by name or position.

    Returns None for anything else.
    """
    kind = type(container)
    if isinstance(container, _CONTAINERS):
        entries = container.items() if isinstance(container, _MAPPINGS) else enumerate(container)
        return [*entries] if kind in _BUILT_IN else [*entries, *_attributes(container)]
    if isinstance(container, Module):
        return _attributes(container)
    if isinstance(container, _SIMPLE):
        return []
    is_iterable = hasattr(kind, "__iter__") or hasattr(kind, "__getitem__")
    if is_iterable and hasattr(kind, "dtype") and hasattr(kind, "shape"):  # also one with labels
        return _parts_of_array(container)
    if hasattr(kind, "iter_columns"):  # a table of polars
        return list(zip(container.columns, container.iter_columns()))
    if hasattr(kind, "iterrows"):  # a table of pandas
        return [(name, column) for name, column in container.items() if column.dtype == object]
    if any(base.__module__.partition(".")[0] == _PACKAGE for base in kind.__mro__):
        wrapped = getattr(container, "__wrapped__", None)  # of a compiled module
        return [] if wrapped is None else [("function", wrapped)]
    if isinstance(container, FunctionType):
        is_plain = not (container.__closure__ or container.__dict__ or _defaults(container))
        return [] if is_plain else None
    is_record = is_dataclass(kind) or hasattr(kind, "__attrs_attrs__")
    return _attributes(container) if is_record or kind is SimpleNamespace else None


def _parts_of_array(x: Any) -> list[tuple[Any, Any]]:
    """Returns the entries of an array, or of a column, if they are objects, and its attributes."""
    parts: list[tuple[Any, Any]] = []
    np = sys.modules.get("numpy")
    is_own = np is not None and isinstance(x, np.ndarray)
    if getattr(x.dtype, "hasobject", "Object" in str(x.dtype)):
        # the entries of a matrix are matrices, and a masked array hides some
        plain: Any = np.asarray(x) if np and is_own else x
        parts += enumerate(plain if plain.shape else [plain.item()])
    return [*parts, *getattr(x, "__dict__", {}).items()] if is_own else parts


def _attributes(x: Any) -> list[tuple[str, Any]]:
    """Returns the attributes of an object by name, first the fields of a dataclass and slots.

    Those of its class come last.
    """
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
    shared = [(name, y) for name, y in _shared(kind) if name not in own and name not in first]
    return [*first.items(), *own.items(), *shared]


def _shared(kind: type[Any]) -> list[tuple[str, Any]]:
    """Returns the attributes of a class by name, and the defaults of its methods by method."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in (_PACKAGE, "builtins"):
            continue
        if "_make" in vars(base):  # a named tuple
            continue
        for name, x in vars(base).items():
            x = getattr(x, "__func__", x)  # of a static method, or one of the class
            if isinstance(x, FunctionType):
                x = _defaults(x)
            elif name.startswith("__") or hasattr(type(x), "__get__"):
                x = None
            found.setdefault(name, x)
    return [(name, x) for name, x in found.items() if _is(Value, x) or not isinstance(x, _SIMPLE)]


def _defaults(f: FunctionType) -> dict[str, Any]:
    """Returns the defaults of the arguments of a function by name."""
    given = f.__defaults__ or ()
    code = f.__code__
    names = code.co_varnames[code.co_argcount - len(given):code.co_argcount]
    return {**dict(zip(names, given)), **(f.__kwdefaults__ or {})}


def _is(kind: type[Any] | tuple[type[Any], ...], part: Any) -> bool:
    """Returns whether ``part`` is a module or a leaf, as ``kind`` says."""
    return isinstance(part, kind) and not (isinstance(part, Value) and (part.op or part.constant))


def _found(
    kind: type[Part] | tuple[type[Part], ...],
    part: Any,
    path: str = "",
    others: list[tuple[str, Any]] | None = None,
) -> Iterator[tuple[str, Part]]:
    """Yields the leaves or modules in ``part`` with their paths, depth first.

    others: gets the objects that are not searched, and keys of mappings, with their paths.
    """
    # A stack, because recursion has a limit.  Above each part are those that it is in, by id.
    names: list[str] = []
    above: dict[int, Any] = {}
    stack = [iter([(path, part)])]
    while stack:
        for name, inner in stack[-1]:
            if _is(kind, inner) and id(inner) not in above:
                yield _joined(names, name), inner
            if isinstance(inner, _SIMPLE) or id(inner) in above:
                continue
            inside = _parts(inner)
            if others is not None and (inside is None or isinstance(inner, _MAPPINGS)):
                others.append((_joined(names, name), inner))
            if inside:
                names.append(str(name))
                above[id(inner)] = inner
                stack.append(iter(inside))
                break
        else:
            stack.pop()
            if stack:
                names.pop()
                above.popitem()


def _joined(names: list[str], name: Any) -> str:
    return ".".join([*filter(None, names[:1]), *names[1:], str(name)])


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
    for path, outer in others:
        rest = [outer]
        while rest:
            holder = rest.pop()
            seen[id(holder)] = holder
            for part in _hidden(holder, holder is outer):
                if part.__class__ in _ATOMS or id(part) in seen:
                    continue
                if _is(kind, part) and id(part) not in known:
                    raise TypeError(
                        f"{type(module).__name__}.{path}, of type {type(outer).__name__}, has "
                        f"{short_repr(part)}, which is not found among the parameters; "
                        f"{_remedy(outer)}"
                    )
                if not isinstance(part, _SIMPLE):
                    rest.append(part)


_ATOMS = {float, int, str, bool, type(None)}  # the most frequent of the simple ones


def _remedy(outer: Any) -> str:
    """Returns what to do with an object that has parameters which are not found in it."""
    if isinstance(outer, (set, frozenset)):
        return "a set has no order; use a list"
    if isinstance(outer, Iterator):
        return "it can be read once; make a list of it"
    if isinstance(outer, _MAPPINGS):
        return "it is a key; make it the entry of a key that is text"
    kind = type(outer)
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return "first assign what is trained to an attribute of its own, as in self.w = w"
    return (
        f"derive {kind.__name__} from nn.Module, or first assign what is trained to an attribute, "
        "also in a list, and keep the rest where a function reads it"
    )


def _hidden(holder: Any, is_outer: bool) -> list[Any]:
    """Returns what an object of any class but those of this package refers to."""
    if is_outer and isinstance(holder, _MAPPINGS):
        return list(holder)
    if isinstance(holder, FunctionType):  # not its globals
        cells = [cell.cell_contents for cell in holder.__closure__ or () if _is_filled(cell)]
        return [*cells, *_defaults(holder).values(), *vars(holder).values()]
    if isinstance(holder, type):
        return [x for _, x in _shared(holder)]
    inside = None if type(holder) in _BUILT_IN else _parts(holder)
    return gc.get_referents(holder) if inside is None else [part for _, part in inside]


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a variable that has no value yet
        return False
