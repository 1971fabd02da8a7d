"""What a function can change besides its result: found before it is traced, compared, and put back.

    >>> class Norm:
    ...     last = None
    ...     def __call__(self, x):
    ...         self.last = abs(x)
    ...         return self.last
    >>> norm = Norm()
    >>> state = State(norm)
    >>> norm(-1.0)
    1.0
    >>> state.changes()
    ['Norm.last']
    >>> state.restore()
    >>> vars(norm)
    {}

The search starts at the function and follows what its code can reach: attributes of objects, entries of lists, dicts and
sets, closures, defaults, and the globals that the code names.  It does not enter Python's library and installed packages.
Iterators, files and the like are not covered.
"""

from __future__ import annotations

import functools
import operator
import random
import sys
import types
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..engine.anomaly import _owner
from ..engine.primitives import Primitive
from ..engine.value import Value
from ..nn.module import Module

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, Value, Primitive})  # not entered
_MISSING = object()


class _Holder:
    """One holder of state: ``read`` gives what it holds, by key, and ``write`` puts that back.

    ``name_of(key)`` is the name of an entry.  ``in_object``: whether it is part of an object or a class.
    """

    def __init__(self, read: Callable[[], dict[Any, Any]], write: Callable[[dict[Any, Any]], object],
                 name_of: Callable[[Any], str], in_object: bool) -> None:
        self.name_of = name_of
        self.in_object = in_object
        self.saved = read()
        self._read = read
        self._write = write

    def changes(self) -> list[str]:
        """The names of entries that are not what they were."""
        now = self._read()
        if [*now] == [*self.saved] and all(map(operator.is_, now.values(), self.saved.values())):
            return []  # nearly always, and faster
        return [self.name_of(key) for key in {**self.saved, **now}
                if not _is_unchanged(self.saved.get(key, _MISSING), now.get(key, _MISSING))]

    def restore(self) -> None:
        """Puts back what it held, the very same objects."""
        now = self._read()
        if list(now) != list(self.saved) or any(now[key] is not x for key, x in self.saved.items()):
            self._write(self.saved)


class State:
    """The state that can be reached from ``roots``, as it is now.

    modules   the `nn.Module` objects among what was found, whose mode (training or evaluation) the function may read
    """

    def __init__(self, *roots: Any) -> None:
        self.modules: list[Module] = []
        self._holders: list[_Holder] = []
        self._generators: list[_Holder] = []
        self._seen: dict[int, Any] = {}  # by identity; being kept here, no object gives its identity to another one
        self._pending: list[tuple[Any, str, bool]] = [(root, "", False) for root in reversed(roots)]
        while self._pending:
            self._visit(*self._pending.pop())
        self._seen.clear()

    def changes(self) -> list[str]:
        """The names of what is not as it was, such as ``"Norm.mean"``.  Random generators are left to `draws`."""
        return list(dict.fromkeys([name for holder in self._holders for name in holder.changes()]))

    def draws(self) -> list[str]:
        """The names of the random generators that are not as they were."""
        return [name for holder in self._generators for name in holder.changes()]

    def restore(self, variables: bool = True) -> None:
        """Puts everything back.  ``variables``: also closure variables and globals, and lists and dicts that they name."""
        for holder in [*self._holders, *self._generators]:
            if variables or holder.in_object:
                holder.restore()

    # ---- the search

    def _visit(self, x: Any, name: str, in_object: bool) -> None:
        if x.__class__ in _ATOMS or isinstance(x, Value) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        for kind, visit in _VISITS.items():
            if isinstance(x, kind):
                visit(self, x, name, in_object)
                return
        if hasattr(x, "__array_interface__"):
            self._visit_array(x, name, in_object)
        elif _owner_of(sys.modules.get(type(x).__module__)) in ("user", "us"):
            self._visit_object(x, name)

    def _follow(self, found: Iterable[tuple[str, Any]], in_object: bool) -> None:
        self._pending += reversed([(x, name, in_object) for name, x in found])

    def _hold(self, holder: _Holder) -> None:
        self._holders.append(holder)
        self._follow([(holder.name_of(key), x) for key, x in holder.saved.items() if x.__class__ not in _ATOMS],
                     holder.in_object)

    def _hold_whole(self, name: str, in_object: bool, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
        self._hold(_whole(name, in_object, read, write))

    def _visit_sequence(self, x: Any, name: str, in_object: bool) -> None:
        def write(saved: Any) -> None:
            x[:] = array(x.typecode, saved) if isinstance(x, array) else saved

        self._hold_whole(name, in_object, x.tobytes if isinstance(x, array) else lambda: tuple(x), write)

    def _visit_unordered(self, x: Any, name: str, in_object: bool) -> None:
        def write(saved: Any) -> None:
            x.clear()
            x.extend(saved) if isinstance(x, deque) else x.update(saved)

        self._hold_whole(name, in_object, lambda: tuple(x), write)

    def _visit_immutable(self, x: Iterable[Any], name: str, in_object: bool) -> None:
        self._follow([(f"{name}[{i}]", entry) for i, entry in enumerate(x) if entry.__class__ not in _ATOMS], in_object)

    def _visit_dict(self, x: dict[Any, Any], name: str, in_object: bool) -> None:
        self._hold(_Holder(lambda: dict(x), lambda saved: _refill(x, saved), lambda key: f"{name}[{key!r}]", in_object))

    def _visit_generator(self, x: random.Random, name: str, _: bool) -> None:
        if not isinstance(x, random.SystemRandom):  # which has no state
            self._generators.append(_whole(name or "rng", True, x.getstate, x.setstate))

    def _visit_array(self, x: Any, name: str, in_object: bool) -> None:
        if not x.flags.writeable:
            return
        if x.dtype.hasobject:
            self._hold_whole(name, in_object, lambda: tuple(x.flat), functools.partial(setattr, x, "flat"))
        else:
            self._hold_whole(name, in_object, x.tobytes, functools.partial(_fill_array, x))

    def _visit_method(self, x: Any, name: str, in_object: bool) -> None:
        self._follow([(name, x.__self__), (name, getattr(x, "__func__", None))], in_object)  # built-in ones have no __func__

    def _visit_partial(self, x: functools.partial[Any], name: str, in_object: bool) -> None:
        self._follow([(name, part) for part in (x.func, *x.args, *x.keywords.values())], in_object)

    def _visit_function(self, x: types.FunctionType, name: str, in_object: bool) -> None:
        owner = _owner(x.__code__.co_filename)
        if owner not in ("user", "us"):
            return
        cells = [*zip(x.__code__.co_freevars, x.__closure__ or ())]
        if owner == "us":  # its variables are not the user's, but what they hold may be
            self._follow([("", held) for _, cell in cells for held in _held(cell).values()], False)
        else:
            names = {name for code in _codes(x.__code__) for name in code.co_names}
            self._visit_variables(x.__globals__, names, "")
            for variable, cell in cells:
                self._hold_cell(variable, cell)
        defaults = (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
        self._follow([(f"a default of {x.__name__}", default) for default in defaults], in_object)
        self._hold_attributes(x, x.__name__)

    def _hold_cell(self, variable: str, cell: types.CellType) -> None:
        def write(saved: dict[str, Any]) -> None:
            if saved:
                cell.cell_contents = saved[""]
            else:
                del cell.cell_contents

        self._hold(_Holder(lambda: _held(cell), write, lambda _: variable, False))

    def _visit_variables(self, variables: dict[str, Any], names: set[str], prefix: str) -> None:
        """Globals with these names, and in modules of the user among them what has one of the names, too."""
        def read() -> dict[str, Any]:
            return {name: variables[name] for name in sorted(names) if name in variables}

        holder = _Holder(read, lambda saved: _replace(variables, read(), saved), lambda name: f"{prefix}{name}", False)
        self._hold(holder)
        for name, x in holder.saved.items():
            if isinstance(x, types.ModuleType) and _owner_of(x) == "user" and id(x) not in self._seen:
                self._visit_variables(vars(x), names, f"{name}.")

    def _visit_class(self, x: type, name: str, _: bool) -> None:
        if _owner_of(sys.modules.get(x.__module__)) != "user":
            return
        self._follow([(base.__name__, base) for base in x.__mro__[1:]], True)
        functions = [getattr(entry, "__func__", getattr(entry, "fget", entry)) for entry in vars(x).values()]
        self._follow([(x.__name__, f) for f in functions if isinstance(f, types.FunctionType)], True)

        def read() -> dict[str, Any]:
            return {key: entry for key, entry in vars(x).items() if not key.startswith("__") and not hasattr(entry, "__get__")}

        self._hold(_Holder(read, lambda saved: _reset(x, read(), saved), lambda key: f"{x.__name__}.{key}", True))

    def _visit_object(self, x: Any, name: str) -> None:
        from .function import Jitted

        if isinstance(x, Jitted):
            self._follow([(name, x.function)], True)
            return
        if isinstance(x, Module):
            self.modules.append(x)
        self._hold_attributes(x, name or type(x).__name__)
        self._follow([("", type(x))], True)

    def _hold_attributes(self, x: Any, name: str) -> None:
        if isinstance(kept := getattr(x, "__dict__", None), dict):
            self._hold(_Holder(lambda: dict(kept), lambda saved: _refill(kept, saved), lambda key: f"{name}.{key}", True))
        slots = [slot for base in type(x).__mro__ for slot in _slots(base)]
        if slots:
            def read() -> dict[str, Any]:
                return {slot: getattr(x, slot) for slot in slots if hasattr(x, slot)}

            self._hold(_Holder(read, lambda saved: _reset(x, read(), saved), lambda key: f"{name}.{key}", True))


def _whole(name: str, in_object: bool, read: Callable[[], Any], write: Callable[[Any], object]) -> _Holder:
    """What is read, and put back, in one piece."""
    return _Holder(lambda: {"": read()}, lambda saved: write(saved[""]), lambda _: name, in_object)


_VISITS: dict[Any, Callable[..., None]] = {
    (list, bytearray, array): State._visit_sequence,
    (set, deque): State._visit_unordered,
    (tuple, frozenset): State._visit_immutable,
    dict: State._visit_dict,
    random.Random: State._visit_generator,
    types.FunctionType: State._visit_function,
    (types.MethodType, types.BuiltinMethodType): State._visit_method,
    functools.partial: State._visit_partial,
    types.ModuleType: lambda *_: None,  # see `State._visit_variables`
    type: State._visit_class,
}


def _is_unchanged(x: Any, y: Any) -> bool:
    """Whether ``y`` can stand for ``x``: the same object, or the same plain value."""
    if x is y:
        return True
    if x.__class__ is not y.__class__:
        return False
    if isinstance(x, tuple):
        return len(x) == len(y) and (all(map(operator.is_, x, y)) or all(map(_is_unchanged, x, y)))
    if isinstance(x, (float, complex)):
        return repr(x) == repr(y)  # nan is nan, and 0.0 is not -0.0
    return isinstance(x, (int, str, bytes)) and x == y


def _fill_array(x: Any, saved: bytes) -> None:
    import numpy as np

    x[...] = np.frombuffer(saved, x.dtype).reshape(x.shape)


def _replace(x: dict[Any, Any], now: dict[Any, Any], saved: dict[Any, Any]) -> None:
    """Makes those entries of a dict that are ``now`` there what they were."""
    for key in [key for key in now if key not in saved]:
        del x[key]
    for key, held in saved.items():  # not update(), which adds to a Counter
        x[key] = held


def _refill(x: dict[Any, Any], saved: dict[Any, Any]) -> None:
    """Makes a dict what it was, also in the order of its keys, which is that of a module's parameters."""
    _replace(x, dict(x), saved)
    if list(x) != list(saved):
        x.clear()
        _replace(x, {}, saved)


def _reset(x: Any, now: dict[str, Any], saved: dict[str, Any]) -> None:
    """Sets attributes back, without what a class of the user's does when they are set."""
    kind: Any = type if isinstance(x, type) else object
    for name in [name for name in now if name not in saved]:
        kind.__delattr__(x, name)
    for name, held in saved.items():
        if now.get(name, _MISSING) is not held:
            kind.__setattr__(x, name, held)


def _held(cell: types.CellType) -> dict[str, Any]:
    """What a variable of a closure has; nothing if it has not been assigned yet."""
    try:
        return {"": cell.cell_contents}
    except ValueError:
        return {}


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") else name
            for name in names if name not in ("__dict__", "__weakref__")]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object, and those of the functions that are defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _owner_of(module: types.ModuleType | None) -> str:
    """Whose module it is: "us", Python's own "library", an "installed" package, or the "user"."""
    if module is None or module.__name__ == "__main__":
        return "user"
    return _owner(file) if (file := getattr(module, "__file__", None)) else "library"
