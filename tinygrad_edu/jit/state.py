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
names.  Of objects of Python's library and of installed packages only the attributes are recorded,
and the containers among them; namespaces, `nn.Module` and wrapped functions are entered.  Iterators
and files cannot be put back: they are `State.opaque`.
"""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import random
import sys
import threading
import types
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from ..debug.anomaly import owner_of_file
from ..engine.arrays import listed
from ..engine.primitive import Primitive
from ..engine.value import Value
from ..nn.module import Module
from .holder import MISSING, Holder, attribute, names_of, whole, write_entry
from .traced import Traced

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, Value, Primitive})
DATA = frozenset({list, tuple, dict, set, frozenset, array, bytearray})
MAX_ROWS = 1_000  # a container with more entries is a data set: plain rows in it are not entered
NAMESPACES = {"types.SimpleNamespace", "argparse.Namespace", "collections.UserDict",
              "collections.UserList", "collections.ChainMap",
              "weakref.WeakKeyDictionary", "weakref.WeakValueDictionary", "_weakrefset.WeakSet"}
# a function that uses one of these names can reach all globals
REACHING = frozenset({"globals", "eval", "exec", "modules", "import_module", "__import__",
                      "__globals__"})
# attributes of classes that Python itself sets
OF_CLASSES = frozenset({"__dict__", "__weakref__", "__doc__", "_abc_impl"})
KEPT = "<jit "  # how the name of an attribute begins in which an instance keeps a compiled method
C_DATA: Any = ctypes.Structure.__base__
MODULE_RANDOM: Any = random.random.__self__  # type: ignore[attr-defined]  # its generator


class State:
    """A record of the state that can be reached from ``roots``.

    modules: the `nn.Module` objects that were found; the function may read their mode, training or
        evaluation.
    has_values: whether Values were found.
    has_code: whether functions or objects of the user's were found.
    opaque: the names of iterators and files, whose state cannot be read.
    """

    def __init__(self, *roots: Any, of: Any = None, ignored: Collection[str] = ()) -> None:
        """``ignored``: names of attributes ``of`` an object that are left out."""
        self._of = of
        self._ignored = ignored
        self.modules: list[Module] = []
        self.has_values = False
        self.has_code = False
        self.opaque: list[str] = []
        self._objects: list[Holder] = []
        self._variables: list[Holder] = []
        self._generators: list[tuple[Any, Holder]] = []
        # kept alive, so that no object gets the identity of another
        self._seen: dict[int, Any] = {}
        self._searched: set[tuple[int, frozenset[str]]] = set()  # modules, for certain names
        self._named: set[str] = set()  # what the code names, and modules by their own names
        self._pending: list[tuple[Any, str, bool]] = []
        self._follow([("", root) for root in roots], False)
        while self._pending:
            self._visit(*self._pending.pop())
        self._seen.clear()
        holders = [*self._objects, *self._variables]
        self._containers = [holder.container for holder in holders if holder.container is not None]
        self._others = [holder for holder in holders if holder.container is None]
        self._before = self._entries()
        self._visit_generator(MODULE_RANDOM, "random", False)
        if (numpy := sys.modules.get("numpy")) is not None:
            self._hold_random_state(numpy.random, "numpy.random")

    def changes(self) -> list[str]:
        """Returns the names of what has changed, such as ``"Norm.mean"``, without generators."""
        if self._entries() == self._before:  # the usual case, fast
            return names_of(self._others)
        return names_of([*self._objects, *self._variables])

    def _entries(self) -> list[int]:
        """Returns the identities of all entries of dicts and lists."""
        found: list[Any] = []
        for container in self._containers:
            found.append(container)
            found += container
            if isinstance(container, dict):
                found += container.values()
        return [*map(id, found)]

    def draws(self, among: Callable[[Any], bool] = lambda _: True) -> list[str]:
        """Returns the names of the random generators ``among`` some that have changed."""
        return names_of(holder for generator, holder in self._generators if among(generator))

    def may_draw(self, drawn: Collection[int]) -> Callable[[Any], bool]:
        """Returns a function that returns whether the function draws from a random generator.

        drawn: the ids of the generators of `random` that it draws from.  It can draw from those of
        numpy that were found, and from numpy's own if it names them.
        """
        def may_draw(generator: Any) -> bool:
            if isinstance(generator, random.Random):
                return id(generator) in drawn
            return not isinstance(generator, types.ModuleType) or "random" in self._named

        return may_draw

    @property
    def can_draw(self) -> bool:
        """Whether random generators, or code that names ``random``, were found."""
        usual = (MODULE_RANDOM, sys.modules.get("numpy.random"))
        return "random" in self._named or any(
            generator not in usual for generator, _ in self._generators
        )

    def restore(self, variables: bool = True, among: Callable[[Any], bool] = lambda _: True
                ) -> None:
        """Puts back objects and random generators.

        variables: whether closure variables and globals, and lists and dicts that they name, are
            put back too.  If not, those that hold traced values are, which nobody can use.
        among: returns for a random generator whether it is put back; by default all are.
        """
        generators = [holder for generator, holder in self._generators if among(generator)]
        for holder in [*self._objects, *generators, *(self._variables if variables else ())]:
            holder.restore()
        if not variables:
            for holder in self._variables:
                holder.restore(only=_holds_traced)

    def keep_generators(self) -> None:
        """Records the present states of the random generators."""
        for generator, holder in self._generators:
            if not isinstance(generator, types.ModuleType):  # numpy's own is not drawn from
                holder.saved = holder.read()

    def restore_generators(self) -> None:
        """Puts the random generators back."""
        for generator, holder in self._generators:
            if not isinstance(generator, types.ModuleType):
                holder.restore()

    # ---- the search

    def _visit(self, x: Any, name: str, in_object: bool) -> None:
        """Records the contents of ``x``; ``in_object``: whether an object holds it, not a variable.
        """
        kind = type(x)
        if isinstance(x, Value) or id(x) in self._seen:
            return
        self._seen[id(x)] = x
        owner = _owner_of(kind)
        for base, visit in VISITS.items():
            if isinstance(x, base):
                visit(self, x, name, in_object)
                if owner == "user":  # a subclass, which may have attributes
                    self._visit_attributes(x, name or kind.__name__)
                return
        is_namespace = f"{kind.__module__}.{kind.__qualname__}" in NAMESPACES
        if isinstance(x, Module) or owner in ("user", "us") or is_namespace:
            self._visit_object(x, name or kind.__name__)
        elif hasattr(kind, "__next__"):
            self.opaque.append(name or kind.__name__)
        else:
            self._visit_foreign(x, name or kind.__name__, in_object)

    def _visit_foreign(self, x: Any, name: str, in_object: bool) -> None:
        """Records an object of a library: its numbers, or its attributes and their containers."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and type(x).__module__.partition(".")[0] == "numpy":
            self._visit_numpy(x, name, in_object, numpy)
        elif isinstance(x, C_DATA):  # a number of ctypes
            write = partial(ctypes.memmove, ctypes.addressof(x))
            self._hold(whole(lambda: bytes(x), lambda old: write(old, len(old)), name), in_object)
        elif isinstance(kept := attribute(x, "__dict__"), dict):
            holder = Holder(lambda: dict(kept), partial(write_entry, kept), f"{name}.{{}}".format)
            self._variables.append(holder)
            for key, entry in holder.saved.items():
                if type(entry) in DATA or isinstance(entry, deque):
                    self._follow([(f"{name}.{key}", entry)], False)

    def _follow(self, entries: Iterable[tuple[Any, Any]], in_object: bool, count: int = 0,
                name_of: Callable[[Any], str] = str) -> None:
        """Plans visits to the entries, ``count`` of them, but not to plain rows of a data set."""
        passed = ATOMS | DATA if count > MAX_ROWS else ATOMS
        entries = list(entries)
        found = [(x, name_of(key), in_object) for key, x in entries if type(x) not in passed]
        self._pending += reversed(found)
        self.has_values = self.has_values or any(type(x) is Value for _, x in entries)

    def _hold(self, holder: Holder, in_object: bool) -> None:
        (self._objects if in_object else self._variables).append(holder)
        self._follow(holder.saved.items(), in_object, len(holder.saved), holder.name_of)

    def _hold_random_state(self, x: Any, name: str) -> None:
        """Records a random generator of numpy's old kind."""
        read = partial(x.get_state, legacy=True)
        self._generators.append((x, whole(read, x.set_state, name)))

    def _visit_contents(self, x: Any, name: str, in_object: bool) -> None:
        read, write = next(found for kind, found in CONTENTS.items() if isinstance(x, kind))
        holder = whole(partial(read, x), partial(write, x), name)
        holder.container = x if isinstance(x, list) else None
        (self._objects if in_object else self._variables).append(holder)
        self._visit_entries(holder.saved[name], name, in_object)  # of bytes: ints

    def _visit_entries(self, x: Collection[Any], name: str, in_object: bool) -> None:
        self._follow(enumerate(x), in_object, len(x), lambda i: f"{name}[{i}]")

    def _visit_dict(self, x: dict[Any, Any], name: str, in_object: bool) -> None:
        holder = Holder(lambda: dict(x), partial(write_entry, x), lambda key: f"{name}[{key!r}]", x)
        self._hold(holder, in_object)

    def _visit_generator(self, x: random.Random, name: str, _: bool) -> None:
        if not isinstance(x, random.SystemRandom):  # it has no state
            self._generators.append((x, whole(x.getstate, x.setstate, name or "rng")))

    def _visit_numpy(self, x: Any, name: str, in_object: bool, numpy: Any) -> None:
        if isinstance(x, numpy.random.Generator):
            bits = x.bit_generator
            write = partial(setattr, bits, "state")
            self._generators.append((x, whole(lambda: bits.state, write, name or "rng")))
        elif isinstance(x, numpy.random.RandomState):
            self._hold_random_state(x, name or "rng")
        elif isinstance(x, numpy.ndarray) and x.flags.writeable:
            plain = x.view(numpy.ndarray)  # of a masked array, its numbers
            if x.dtype.hasobject:
                write = partial(setattr, plain, "flat")
                self._hold(whole(lambda: tuple(plain.flat), write, name), in_object)
            else:
                def refill(saved: bytes) -> None:
                    plain[...] = numpy.frombuffer(saved, plain.dtype).reshape(plain.shape)

                self._hold(whole(plain.tobytes, refill, name), in_object)

    def _visit_partial(self, x: partial[Any], name: str, in_object: bool) -> None:
        parts = [x.func, *x.args, *x.keywords.values()]
        self._follow([(name, part) for part in parts], in_object)
        self._visit_dict(x.keywords, f"{name or 'partial'}.keywords", in_object)
        self._visit_attributes(x, name or "partial")

    def _visit_local(self, x: threading.local, name: str, in_object: bool) -> None:
        """Records what belongs to this thread."""
        self._visit_dict(vars(x), name, in_object)

    def _visit_variable(self, x: ContextVar[Any], name: str, in_object: bool) -> None:
        """Records a context variable, which cannot be unset again: it is set to its default."""
        def read() -> dict[str, Any]:
            with suppress(LookupError):
                return {x.name: x.get()}
            return {}

        def write(_: str, saved: Any) -> None:
            if saved is not MISSING:
                x.set(saved)

        self._hold(Holder(read, write, str), in_object)

    def _visit_reference(self, x: weakref.ref[Any], name: str, in_object: bool) -> None:
        self._follow([(name, x())], in_object)

    def _visit_wrapper(self, x: Any, name: str, in_object: bool) -> None:
        """Follows the function that a decorator such as `functools.cache` wraps, if there is one.
        """
        self._follow([(name, getattr(x, "__wrapped__", None))], in_object)

    def _visit_function(self, x: types.FunctionType, name: str, in_object: bool) -> None:
        owner = owner_of_file(x.__code__.co_filename)
        cells = x.__closure__ or ()
        if owner == "user":
            self.has_code = True
            names = _names_in(x.__code__)
            if not names.isdisjoint({"environ", "getenv"}):
                self._follow([("os.environ", os.environ)], False)
            self._visit_variables(x.__globals__, names, "")
            for variable, cell in zip(x.__code__.co_freevars, cells):
                self._visit_cell(variable, cell)
        elif owner == "us":  # the user may own what its variables hold
            self._follow([("", _held(cell).get("cell_contents")) for cell in cells], False)
        else:
            self._visit_wrapper(x, name, in_object)
            return
        def read() -> dict[str, Any]:
            return {key: getattr(x, key) for key in ("__code__", "__defaults__", "__kwdefaults__")}

        write = partial(setattr, x)
        self._hold(Holder(read, write, lambda key: f"{x.__name__}.{key}"), in_object)
        defaults = (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
        self._follow([(f"a default of {x.__name__}", default) for default in defaults], in_object)
        self._visit_attributes(x, x.__name__)

    def _visit_cell(self, variable: str, cell: types.CellType) -> None:
        write = partial(write_entry, cell)
        self._hold(Holder(lambda: _held(cell), write, lambda _: variable), False)

    def _visit_variables(
        self, variables: dict[str, Any], names: frozenset[str], prefix: str
    ) -> None:
        """Records globals with these names, and the same names in the user's modules among them."""
        reaches_all = not names.isdisjoint(REACHING)
        wanted = sorted(names | variables.keys() if reaches_all else names)
        self._named |= names

        def read() -> dict[str, Any]:
            return {name: variables[name] for name in wanted if name in variables}

        holder = Holder(read, partial(write_entry, variables), lambda name: f"{prefix}{name}")
        self._variables.append(holder)
        for name in wanted:
            # it may be imported inside the function
            x = holder.saved.get(name, sys.modules.get(name))
            if not isinstance(x, types.ModuleType):
                self._follow([(f"{prefix}{name}", x)], False)
                continue
            self._named.add(x.__name__.rpartition(".")[2])
            if _owner_of_module(x) == "user" and (id(x), names) not in self._searched:
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
        found = [f for f in functions if callable(f) or hasattr(type(f), "__get__")]
        self._follow([(x.__name__, f) for f in found], True)
        self._follow([(type(x).__name__, type(x))], True)

        def read() -> dict[str, Any]:
            return {key: entry for key, entry in vars(x).items() if key not in OF_CLASSES}

        self._hold(Holder(read, partial(write_entry, x), lambda key: f"{x.__name__}.{key}"), True)

    def _visit_object(self, x: Any, name: str) -> None:
        self.has_code = self.has_code or _owner_of(type(x)) == "user"
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

        kept = attribute(x, "__dict__")
        if isinstance(kept, dict) and (x is not self._of or x is None):
            self._hold(Holder(lambda: _own(kept), partial(write_entry, kept), name_of, kept), True)
        elif isinstance(kept, dict):
            def read_others() -> dict[str, Any]:
                return {key: x for key, x in _own(kept).items() if key not in self._ignored}

            self._hold(Holder(read_others, partial(write_entry, kept), name_of), True)
        if slots := [slot for base in type(x).__mro__ for slot in _slots(base)]:
            def read() -> dict[str, Any]:
                found = {slot: attribute(x, slot) for slot in slots}
                return {slot: value for slot, value in found.items() if value is not MISSING}

            self._hold(Holder(read, partial(write_entry, x, kind=object), name_of), True)


# For each container, the functions that read its contents and fill it again
CONTENTS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], object]]] = {
    list: (tuple, list.__init__),
    set: (frozenset, set.__init__),
    deque: (tuple, lambda x, saved: deque.__init__(x, saved, x.maxlen)),
    bytearray: (bytes, lambda x, saved: operator.setitem(x, slice(None), saved)),
    array: (array.tobytes,
            lambda x, saved: operator.setitem(x, slice(None), array(x.typecode, saved))),
}

METHODS = types.MethodType, types.BuiltinMethodType, types.MethodWrapperType
VISITS: dict[Any, Callable[..., None]] = {
    tuple(CONTENTS): State._visit_contents,
    (tuple, frozenset): State._visit_entries,
    dict: State._visit_dict,
    random.Random: State._visit_generator,
    threading.local: State._visit_local,
    ContextVar: State._visit_variable,
    weakref.ref: State._visit_reference,
    types.FunctionType: State._visit_function,
    METHODS: lambda state, x, name, in_object: state._follow(
        [(name, x.__self__), (name, getattr(x, "__func__", None))], in_object
    ),
    partial: State._visit_partial,
    type(functools.cache(abs)): State._visit_wrapper,
    types.ModuleType: State._visit_module,
    type: State._visit_class,
}


def _own(attributes: dict[str, Any]) -> dict[str, Any]:
    """Returns attributes without the methods that `Jitted.__get__` keeps among them."""
    return {key: x for key, x in attributes.items()
            if not (key.__class__ is str and key.startswith(KEPT))}


def _is_jitted(x: Any) -> bool:
    """Returns whether ``x`` is a `Jitted`; its function is then searched instead."""
    return any(base.__module__ == f"{__package__}.function" for base in type(x).__mro__)


def _holds_traced(x: Any) -> bool:
    """Returns whether there is a traced value in ``x``: in containers, attributes and closures."""
    waiting = [x]
    seen: dict[int, Any] = {}
    while waiting:
        x = waiting.pop()
        if type(x) in ATOMS or id(x) in seen:
            continue
        if isinstance(x, Traced):
            return True
        seen[id(x)] = x
        if isinstance(x, dict):
            waiting += x.values()
        elif isinstance(x, (set, frozenset, deque)):
            waiting += x
        elif (entries := listed(x)) is not None:
            waiting += entries
        elif isinstance(x, types.FunctionType):
            waiting += [y for cell in x.__closure__ or () for y in _held(cell).values()]
            waiting += x.__defaults__ or ()
        elif not isinstance(x, (type, types.ModuleType)):
            slots = [slot for base in type(x).__mro__ for slot in _slots(base)]
            waiting += [attribute(x, name) for name in ("__dict__", *slots)]
    return False


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
    inner = [_names_in(x) for x in code.co_consts if isinstance(x, types.CodeType)]
    return frozenset(code.co_names).union(*inner)


def _owner_of(kind: type) -> str:
    """Returns the owner of a class: see `_owner_of_module`."""
    return _owner_of_module(sys.modules.get(kind.__module__))


def _owner_of_module(module: types.ModuleType | None) -> str:
    """Returns the owner of a module: "us", Python's "library", "installed", or the "user"."""
    if module is None or module.__name__ == "__main__":
        return "user"
    return owner_of_file(file) if (file := getattr(module, "__file__", None)) else "library"
