"""The state that a function can change: recorded before it runs, compared, and restored.

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

The search starts at the function and follows what its code can reach: attributes of objects,
entries of lists, dicts and sets, closures, defaults, and the globals and modules that the code
names.  It does not enter objects and functions of Python's library and of installed packages,
except namespaces, `nn.Module` and wrapped functions.  Iterators and files cannot be put back.
"""

from __future__ import annotations

import functools
import operator
import random
import sys
import types
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..debug.anomaly import owner_of_file
from ..engine.primitive import Primitive
from ..engine.value import Value
from ..nn.module import Module

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, Value, Primitive})
DATA = frozenset({list, tuple, dict, set, frozenset, array, bytearray})
MAX_ROWS = 1_000  # a container with more entries is a data set: plain rows in it are not entered
NAMESPACES = {"types.SimpleNamespace", "argparse.Namespace", "collections.UserDict",
              "collections.UserList", "collections.ChainMap"}
_MISSING = object()


class Entries:
    """The entries of a dict, or attributes; ``read`` returns them, ``write`` changes one."""

    def __init__(self, read: Callable[[], dict[Any, Any]], write: Callable[[Any, Any], object],
                 name_of: Callable[[Any], str]) -> None:
        self.name_of = name_of
        self.saved = read()
        self._read = read
        self._write = write

    def changed(self) -> list[Any]:
        """Returns the keys whose values have changed."""
        now, saved = self._read(), self.saved
        if len(now) == len(saved) and all(map(operator.is_, now.values(), saved.values())) \
                and all(map(operator.is_, now, saved)):
            return []  # the usual case, fast
        return [key for key in {**saved, **now}
                if not _is_same(saved.get(key, _MISSING), now.get(key, _MISSING))]

    def changes(self) -> list[str]:
        """Returns the names of the entries that have changed."""
        return list(map(self.name_of, self.changed()))

    def restore(self) -> None:
        """Puts back the entries that have changed, and their order."""
        for key in self.changed():
            self._write(key, self.saved.get(key, _MISSING))
        if set(self.saved) == set(self._read()) and list(self.saved) != list(self._read()):
            # a module's parameters have the order of its attributes
            for key, x in self.saved.items():
                self._write(key, _MISSING)
                self._write(key, x)


class Whole:
    """The contents of a list, a set, an array or a random generator, read and written in one piece.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], object], name: str) -> None:
        self.saved = read()
        self._read = read
        self._write = write
        self._name = name

    def changes(self) -> list[str]:
        """Returns the name, in a list, if the contents have changed; otherwise an empty list."""
        return [] if _is_same(self.saved, self._read()) else [self._name]

    def restore(self) -> None:
        """Puts back the contents, if they have changed."""
        if self.changes():
            self._write(self.saved)


class State:
    """A record of the state that can be reached from ``roots``.

    modules: the `nn.Module` objects that were found; the function may read their mode, training or
        evaluation.
    """

    def __init__(self, *roots: Any) -> None:
        self.modules: list[Module] = []
        self._objects: list[Entries | Whole] = []
        self._variables: list[Entries | Whole] = []
        self._generators: list[Whole] = []
        # kept alive, so that no object gets the identity of another
        self._seen: dict[int, Any] = {}
        self._searched: set[tuple[int, frozenset[str]]] = set()  # modules, for certain names
        self._pending: list[tuple[Any, str, bool]] = [(root, "", False) for root in reversed(roots)]
        while self._pending:
            self._visit(*self._pending.pop())
        self._seen.clear()
        if (numpy := sys.modules.get("numpy")) is not None:
            self._generators.append(Whole(
                functools.partial(numpy.random.get_state, legacy=True), numpy.random.set_state,
                "numpy.random"))

    def changes(self) -> list[str]:
        """Returns the names of what has changed, such as ``"Norm.mean"``, without generators."""
        found = [*self._objects, *self._variables]
        return list(dict.fromkeys([name for holder in found for name in holder.changes()]))

    def draws(self) -> list[str]:
        """Returns the names of the random generators that have changed."""
        return [name for holder in self._generators for name in holder.changes()]

    def restore(self, variables: bool = True) -> None:
        """Puts back objects and random generators.

        variables: whether closure variables and globals, and lists and dicts that they name, are
            put back too.
        """
        for holder in [*self._objects, *self._generators, *(self._variables if variables else ())]:
            holder.restore()

    # ---- the search

    def _visit(self, x: Any, name: str, in_object: bool) -> None:
        """Records the contents of ``x``; ``in_object``: whether an object holds it, not a variable.
        """
        kind = type(x)
        if kind in ATOMS or isinstance(x, Value) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        for base, visit in VISITS.items():
            if isinstance(x, base):
                visit(self, x, name, in_object)
                if _owner_of(kind) == "user":  # a subclass, which may have attributes
                    self._visit_attributes(x, name or kind.__name__)
                return
        if (
            isinstance(x, Module)
            or _owner_of(kind) in ("user", "us")
            or _full_name(kind) in NAMESPACES
        ):
            self._visit_object(x, name or kind.__name__)
        elif (numpy := sys.modules.get("numpy")) is not None:
            self._visit_numpy(x, name, in_object, numpy)

    def _follow(self, found: Iterable[tuple[str, Any]], in_object: bool) -> None:
        self._pending += reversed(
            [(x, name, in_object) for name, x in found if type(x) not in ATOMS]
        )

    def _hold(self, holder: Entries | Whole, in_object: bool) -> None:
        (self._objects if in_object else self._variables).append(holder)
        if isinstance(holder, Entries):
            entries = holder.saved.items()
            is_data = len(holder.saved) > MAX_ROWS
            self._follow([(holder.name_of(key), x) for key, x in entries
                          if type(x) not in ATOMS and not (is_data and type(x) in DATA)], in_object)

    def _enter(self, entries: Iterable[Any], count: int, name: str, in_object: bool) -> None:
        """Follows the entries of a sequence, but not the rows of a data set."""
        passed = ATOMS | DATA if count > MAX_ROWS else ATOMS
        self._follow([(f"{name}[{i}]", x) for i, x in enumerate(entries) if type(x) not in passed],
                     in_object)

    def _visit_contents(self, x: Any, name: str, in_object: bool) -> None:
        kind = next(kind for kind in CONTENTS if isinstance(x, kind))
        read, write = CONTENTS[kind]
        self._hold(Whole(functools.partial(read, x), functools.partial(write, x), name), in_object)
        if kind in (list, set, deque):
            self._enter(x, len(x), name, in_object)

    def _visit_immutable(self, x: Any, name: str, in_object: bool) -> None:
        self._enter(x, len(x), name, in_object)

    def _visit_dict(self, x: dict[Any, Any], name: str, in_object: bool) -> None:
        self._hold(Entries(lambda: dict(x), functools.partial(_write_entry, x),
                           lambda key: f"{name}[{key!r}]"), in_object)

    def _visit_generator(self, x: random.Random, name: str, _: bool) -> None:
        if not isinstance(x, random.SystemRandom):  # it has no state
            self._generators.append(Whole(x.getstate, x.setstate, name or "rng"))

    def _visit_numpy(self, x: Any, name: str, in_object: bool, numpy: Any) -> None:
        if isinstance(x, numpy.random.Generator):
            bits = x.bit_generator
            self._generators.append(Whole(
                lambda: bits.state, functools.partial(setattr, bits, "state"), name or "rng"))
        elif isinstance(x, numpy.random.RandomState):
            self._generators.append(Whole(
                functools.partial(x.get_state, legacy=True), x.set_state, name or "rng"))
        elif isinstance(x, numpy.ndarray) and x.flags.writeable:
            plain = x.view(numpy.ndarray)  # of a masked array, its numbers
            if x.dtype.hasobject:
                write: Any = functools.partial(setattr, plain, "flat")
                self._hold(Whole(lambda: tuple(plain.flat), write, name), in_object)
                self._enter(plain.flat, plain.size, name, in_object)
            else:
                def refill(saved: bytes) -> None:
                    plain[...] = numpy.frombuffer(saved, plain.dtype).reshape(plain.shape)

                self._hold(Whole(plain.tobytes, refill, name), in_object)

    def _visit_method(self, x: Any, name: str, in_object: bool) -> None:
        self._follow([(name, x.__self__), (name, getattr(x, "__func__", None))], in_object)

    def _visit_partial(self, x: functools.partial[Any], name: str, in_object: bool) -> None:
        parts = [x.func, *x.args, *x.keywords.values()]
        self._follow([(name, part) for part in parts], in_object)
        self._visit_attributes(x, name or "partial")

    def _visit_wrapper(self, x: Any, name: str, in_object: bool) -> None:
        self._follow([(name, x.__wrapped__)], in_object)  # of functools.cache

    def _visit_function(self, x: types.FunctionType, name: str, in_object: bool) -> None:
        owner = owner_of_file(x.__code__.co_filename)
        cells = x.__closure__ or ()
        if owner == "user":
            self._visit_variables(x.__globals__, _names_in(x.__code__), "")
            for variable, cell in zip(x.__code__.co_freevars, cells):
                self._visit_cell(variable, cell)
        elif owner == "us":  # the user may own what its variables hold
            self._follow([("", _held(cell).get("cell_contents")) for cell in cells], False)
        else:
            self._follow([(name, getattr(x, "__wrapped__", None))], in_object)
            return
        defaults = (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
        self._follow([(f"a default of {x.__name__}", default) for default in defaults], in_object)
        self._visit_attributes(x, x.__name__)

    def _visit_cell(self, variable: str, cell: types.CellType) -> None:
        self._hold(Entries(lambda: _held(cell), functools.partial(_write_attribute, object, cell),
                           lambda _: variable), False)

    def _visit_variables(
        self, variables: dict[str, Any], names: frozenset[str], prefix: str
    ) -> None:
        """Records globals with these names, and the same names in the user's modules among them."""
        wanted = sorted(names)

        def read() -> dict[str, Any]:
            return {name: variables[name] for name in wanted if name in variables}

        holder = Entries(read, functools.partial(_write_entry, variables),
                         lambda name: f"{prefix}{name}")
        self._variables.append(holder)
        for name in wanted:
            # it may be imported inside the function
            x = holder.saved.get(name, sys.modules.get(name))
            if not isinstance(x, types.ModuleType):
                self._follow([(f"{prefix}{name}", x)], False)
            elif _owner_of_module(x) == "user" and (id(x), names) not in self._searched:
                self._searched.add((id(x), names))
                self._visit_variables(vars(x), names, f"{name}.")

    def _visit_module(self, x: types.ModuleType, name: str, in_object: bool) -> None:
        """Records a module that a closure variable or an object holds."""
        if _owner_of_module(x) == "user" and name:
            names = frozenset(key for key in vars(x) if not key.startswith("__"))
            self._visit_variables(vars(x), names, f"{x.__name__}.")

    def _visit_class(self, x: type, name: str, _: bool) -> None:
        if _owner_of(x) != "user":
            return
        self._follow([(base.__name__, base) for base in x.__mro__[1:]], True)
        functions = [getattr(entry, "__func__", getattr(entry, "fget", entry))
                     for entry in vars(x).values()]
        self._follow([(x.__name__, f) for f in functions if callable(f)], True)

        def read() -> dict[str, Any]:
            return {key: entry for key, entry in vars(x).items()
                    if not key.startswith("__") and not hasattr(type(entry), "__get__")}

        self._hold(Entries(read, functools.partial(_write_attribute, type, x),
                           lambda key: f"{x.__name__}.{key}"), True)

    def _visit_object(self, x: Any, name: str) -> None:
        if isinstance(x, Module):
            self.modules.append(x)
        elif _is_jitted(x):
            self._follow([(name, x.__wrapped__)], True)
            return
        self._visit_attributes(x, name)
        self._follow([("", type(x))], True)

    def _visit_attributes(self, x: Any, name: str) -> None:
        def name_of(key: str) -> str:
            return f"{name}.{key}"

        kept = _attribute(x, "__dict__")
        if isinstance(kept, dict):
            write = functools.partial(_write_entry, kept)
            self._hold(Entries(lambda: dict(kept), write, name_of), True)
        slots = [slot for base in type(x).__mro__ for slot in _slots(base)]
        if slots:
            def read() -> dict[str, Any]:
                found = {slot: _attribute(x, slot) for slot in slots}
                return {slot: value for slot, value in found.items() if value is not _MISSING}

            write = functools.partial(_write_attribute, object, x)
            self._hold(Entries(read, write, name_of), True)


def _write_list(x: list[Any], saved: tuple[Any, ...]) -> None:
    list.__setitem__(x, slice(None), saved)


def _write_bytes(x: bytearray, saved: bytes) -> None:
    x[:] = saved


def _write_array(x: array[Any], saved: bytes) -> None:
    x[:] = array(x.typecode, saved)


def _write_set(x: set[Any], saved: frozenset[Any]) -> None:
    set.clear(x)
    set.update(x, saved)


def _write_deque(x: deque[Any], saved: tuple[Any, ...]) -> None:
    deque.clear(x)
    deque.extend(x, saved)


# For each container, the functions that read and write its contents
CONTENTS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], None]]] = {
    list: (tuple, _write_list),
    set: (frozenset, _write_set),
    deque: (tuple, _write_deque),
    bytearray: (bytes, _write_bytes),
    array: (array.tobytes, _write_array),
}

VISITS: dict[Any, Callable[..., None]] = {
    list: State._visit_contents,
    (tuple, frozenset): State._visit_immutable,
    dict: State._visit_dict,
    (set, deque, bytearray, array): State._visit_contents,
    random.Random: State._visit_generator,
    types.FunctionType: State._visit_function,
    (types.MethodType, types.BuiltinMethodType): State._visit_method,
    functools.partial: State._visit_partial,
    type(functools.cache(abs)): State._visit_wrapper,
    types.ModuleType: State._visit_module,
    type: State._visit_class,
}


def _is_same(x: Any, y: Any) -> bool:
    """Returns whether ``x`` and ``y`` are the same object, or the same plain value."""
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if isinstance(x, tuple):
        return len(x) == len(y) and (all(map(operator.is_, x, y)) or all(map(_is_same, x, y)))
    if isinstance(x, dict):
        return list(x) == list(y) and all(map(_is_same, x.values(), y.values()))
    if isinstance(x, (float, complex)):
        return repr(x) == repr(y)  # as text, nan equals nan, and 0.0 differs from -0.0
    if type(x).__name__ == "ndarray":  # in the state of a generator
        return bool(x.tobytes() == y.tobytes())
    return isinstance(x, (int, str, bytes, frozenset)) and x == y


def _attribute(x: Any, name: str) -> Any:
    """Returns an attribute without calling ``__getattr__``; `_MISSING` if there is none."""
    try:
        return object.__getattribute__(x, name)
    except AttributeError:
        return _MISSING


def _is_jitted(x: Any) -> bool:
    """Returns whether ``x`` is a `Jitted`; its function is then searched instead."""
    return any(base.__module__ == f"{__package__}.function" for base in type(x).__mro__)


def _write_entry(x: dict[Any, Any], key: Any, value: Any) -> None:
    """Sets or deletes an entry of a dict, without calling methods of a subclass."""
    base: Any = OrderedDict if isinstance(x, OrderedDict) else dict
    if value is _MISSING:
        base.__delitem__(x, key)
    else:
        base.__setitem__(x, key, value)


def _write_attribute(kind: Any, x: Any, name: str, value: Any) -> None:
    """Sets or deletes an attribute, without calling methods of a class of the user's."""
    if value is _MISSING:
        kind.__delattr__(x, name)
    else:
        kind.__setattr__(x, name, value)


def _held(cell: types.CellType) -> dict[str, Any]:
    """Returns the contents of a closure's cell; empty if it has not been assigned yet."""
    try:
        return {"cell_contents": cell.cell_contents}
    except ValueError:
        return {}


def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") else name
            for name in names if name not in ("__dict__", "__weakref__")]


@functools.cache
def _names_in(code: types.CodeType) -> frozenset[str]:
    """Returns the names that a function's code uses, and the functions defined in it."""
    return frozenset(name for inner in _codes(code) for name in inner.co_names)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _owner_of(kind: type) -> str:
    """Returns the owner of a class: see `_owner_of_module`."""
    return _owner_of_module(sys.modules.get(kind.__module__))


def _owner_of_module(module: types.ModuleType | None) -> str:
    """Returns the owner of a module: "us", Python's "library", "installed", or the "user"."""
    if module is None or module.__name__ == "__main__":
        return "user"
    return owner_of_file(file) if (file := getattr(module, "__file__", None)) else "library"


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
