"""A function of any arguments as a function of coordinates: the numbers in them, and parameters.

    >>> f = Function(lambda p, n: p["w"][1] ** n, [{"w": [3.0, 2.0]}, 3], names=["p", "n"])
    >>> f.names, f.root.data
    (["p['w'][0]", "p['w'][1]"], 8.0)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from copy import copy
from math import inf
from operator import is_
from time import perf_counter
from typing import Any, TypeVar

from ..engine.accumulation import accumulate
from ..engine.arrays import array_of, entries_of, indices_of, is_array
from ..engine.graph import topological_order
from ..engine.interpreter import no_grad
from ..engine.primitive import TABLE, Primitive
from ..engine.value import Value
from ..errors import check_texts, counted, is_number, number, short_repr

T = TypeVar("T")

MAX_REPEATS = 70  # evaluations at the point, to see whether the function is deterministic


class NondeterministicError(ValueError):
    """A function has several values at one point."""


def is_real(x: Any) -> bool:
    """Returns whether ``x`` is a number, other than True and False."""
    return is_number(x) and not isinstance(x, bool) and _kind(x) != "b"


def is_float(x: Any) -> bool:
    """Returns whether ``x`` is a float, of Python or of numpy, or a Value."""
    return isinstance(x, (float, Value)) or (is_number(x) and _kind(x) == "f")


def _is_other(x: Any) -> bool:
    """Returns whether ``x`` is a number, but not a float: an int, or a fraction."""
    return is_real(x) and not is_float(x)


def _kind(x: Any) -> str:
    return str(getattr(getattr(x, "dtype", None), "kind", ""))


def substituted(x: Any, name: str, is_wanted: Callable[[Any], bool],
                make: Callable[[Any, str], Any], *, is_new: bool = False) -> Any:
    """Returns ``x`` with ``make(part, name)`` in place of each part that is wanted.

    Parts are the entries of lists, tuples, dicts and arrays in ``x``, or ``x`` itself.  Whatever
    has no such part in it stays the same object; or lists, dicts and arrays become new ones, if
    ``is_new``.

        >>> substituted({"a": [1, 2.0]}, "x", is_float, lambda part, name: name)
        {'a': [1, "x['a'][1]"]}
    """
    if is_wanted(x):
        return make(x, name)
    if isinstance(x, dict):
        parts = list(x.values())
        indices: Iterable[str] = [f"[{key!r}]" for key in x]
    elif isinstance(x, (list, tuple)):
        parts = list(x)
        indices = [f"[{i}]" for i in range(len(x))]
    elif is_array(x):
        parts = entries_of(x)
        indices = indices_of(x.shape)
    else:
        return x
    made = [
        substituted(part, name + i, is_wanted, make, is_new=is_new)
        for part, i in zip(parts, indices)
    ]
    if all(map(is_, made, parts)):
        return copy(x) if is_new else x
    if isinstance(x, tuple):
        return x._make(made) if hasattr(x, "_make") else tuple(made)
    if is_array(x):
        return array_of(made, x.shape)
    new = copy(x)  # of the same class, such as OrderedDict
    for key, part in zip(x if isinstance(x, dict) else range(len(x)), made):
        new[key] = part
    return new


class Function:
    """``f`` as a function of coordinates: the inputs in its arguments first, then the parameters.

    Its methods evaluate it with one coordinate changed.

    is_input: which parts of the arguments are differentiated; the others are passed unchanged.  By
        default all floats and Values; or other numbers, if there is nothing else to differentiate.
    names: the names of the arguments; the attribute ``names`` has those of the coordinates.
    kept: the names of the numbers that are passed unchanged, such as whole numbers.
    objects: the types of objects that are passed unchanged, although they may have numbers in them,
        by name.
    root: the result of ``f`` at the point.
    is_row: whether ``f`` is a row of the table.
    has_kinks: whether a kink was found near the point.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: Sequence[Any],
        parameters: Sequence[Value] = (),
        names: Sequence[str] | None = None,
        is_input: Callable[[Any], bool] | None = None,
    ) -> None:
        self.f = f
        self.name = name_of(f)
        self.is_row = isinstance(f, Primitive)
        self._args = args
        if names is not None:
            names = check_texts(names, "gradcheck: names", "write ['x', 'y'] for two arguments")
            if len(names) != len(args):
                raise ValueError(
                    "gradcheck: names must be one for each of args, not "
                    f"{counted(len(names), 'name')} for {counted(len(args), 'argument')}"
                )
        self._argument_names = names or _argument_names(f, len(args))
        self.leaves: list[Value] = []
        found: list[str] = []
        self._each(is_float, lambda x, name: found.append(name))
        is_any_kind = is_input is None and not found and not parameters
        self._is_input = is_input or (is_real if is_any_kind else is_float)
        self._each(self._is_input, self._add)
        self.kept: list[str] = []
        self._has_others = is_any_kind and bool(self.leaves)
        if not self._has_others:
            self._each(_is_other, lambda x, name: self.kept.append(name))
        self.objects: dict[str, str] = {}
        self._each(_is_opaque, lambda x, name: self.objects.update({name: _type(x)}))
        self._inputs = tuple(self.leaves)
        self._is_flat = all(map(self._is_input, args))
        self.names = [leaf.label for leaf in self.leaves]
        self.leaves += parameters
        self.names += [str(p.label) or f"parameter {i}" for i, p in enumerate(parameters)]
        self._values: dict[Any, float] = {}
        self._derivatives: dict[tuple[int, float], list[float]] = {}
        self.has_kinks = False
        self._context: Callable[[], Any] = no_grad
        self.root = self._first_root()
        self._same(None, self.root.data)
        try:
            self.repeat(1)
        except NondeterministicError:  # a function that computes derivatives itself needs its graph
            self._context = nullcontext
            self.repeat(1)
        self.pieces = _pieces(self.root)

    def _each(self, is_wanted: Callable[[Any], bool], do: Callable[[Any, str], Any]) -> None:
        """Calls ``do(part, name)`` for each wanted part of the arguments."""
        for arg, name in zip(self._args, self._argument_names):
            substituted(arg, name, is_wanted, do)

    def _add(self, x: Any, name: str) -> None:
        """Adds the leaf of an input."""
        self.leaves.append(Value(number(x, f"gradcheck: argument {name}"), name))

    def _first_root(self) -> Value:
        """Returns the result of the first call.

        Raises:
            TypeError: ``f`` takes another number of arguments, does not return one Value, or does
                not take Values for ints.
        """
        try:
            root = self.call()
        except Exception as error:
            self._check_number_of_arguments()
            if not self._has_others:
                raise
            raise TypeError(
                f"gradcheck: {self.name} must take Values for {short_repr(self._args)}, but raises "
                f"{_type(error)}: {error}; write a float, such as 2.0, for what is differentiated, "
                "and whole numbers are passed unchanged"
            ) from error
        return self._checked(root)

    def call(self) -> Any:
        """Returns ``f`` of its arguments, with the leaves in them; in new lists, dicts and arrays,
        since ``f`` may change them."""
        if self._is_flat:
            return self.f(*self._inputs)
        leaves = iter(self._inputs)
        return self.f(*[
            substituted(arg, "", self._is_input, lambda *_: next(leaves), is_new=True)
            for arg in self._args
        ])

    def _check_number_of_arguments(self) -> None:
        """Raises TypeError if ``f`` does not take this number of arguments."""
        try:
            given = signature_of(self.f)
        except (TypeError, ValueError):
            return
        try:
            given.bind(*self._args)
        except TypeError as error:
            raise TypeError(
                f"gradcheck: {self.name}: {error}; args is the list of its arguments, here "
                f"{counted(len(self._args), 'argument')}; write [[2.0, 3.0]] for one argument that "
                "is a list, and [2.0, 3.0] for two numbers"
            ) from None

    def _checked(self, root: Any) -> Value:
        """Returns ``root`` if it is a Value.

        Raises TypeError otherwise.
        """
        if isinstance(root, Value):
            return root
        if not self.objects and not self.leaves:
            raise TypeError(
                f"gradcheck: args must have a real number, not "
                f"{short_repr(self._args)}; write [2.0] for one argument, and Value(2.0) or 2.0 "
                "instead of True"
            )
        remedy = _remedy(root)
        if is_number(root):
            for name, kind in self.objects.items():
                remedy = (
                    f"{name} is of type {kind} and passed unchanged, because numbers become Values "
                    "in lists, tuples, dicts and numpy arrays only; pass one of these"
                )
        raise TypeError(
            f"gradcheck: {self.name} must return one Value, not {short_repr(root)}; {remedy}"
        )

    def _same(self, key: Any, value: float) -> float:
        """Returns ``value``, of the function at the coordinates ``key``.

        Raises ValueError if it had another value there before.
        """
        before = self._values.setdefault(key, value)
        if before != value and (before == before or value == value):
            raise self._random(f"it returned {before!r} and then {value!r}")
        return value

    def _random(self, what: str) -> NondeterministicError:
        return NondeterministicError(
            f"gradcheck: {self.name} must be deterministic, but {what} for the same arguments; "
            "switch off dropout and random numbers, and whatever changes from call to call"
        )

    def repeat(self, least: int = 1, seconds: float = 0.0) -> None:
        """Evaluates the function at the point again.

        least: how often, or more often, if there are some ``seconds`` left for it.

        Raises ValueError if it has another value.
        """
        end = perf_counter() + seconds
        with self._context():
            for k in range(MAX_REPEATS):
                if k >= least and perf_counter() >= end:
                    break
                self._same(None, float(self.call()))

    def repeat_graph(self, times: int = 1) -> None:
        """Records the graph at the point again.

        Raises ValueError if it has another value or other operations.
        """
        before = [piece[:-1] for piece in self.pieces]
        for _ in range(times):
            root = self._checked(self.call())
            self._same(None, root.data)
            if [piece[:-1] for piece in _pieces(root)] != before:
                raise self._random("its graph has other operations or branches")

    def _at(self, j: int, x: float, of: Callable[[Any], T]) -> T:
        """Returns ``of`` the result of the function with coordinate ``j`` at ``x``."""
        leaf = self.leaves[j]
        before = leaf.data
        leaf.data = x
        try:
            return of(self.call())
        finally:
            leaf.data = before

    def value(self, j: int, x: float) -> float:
        """Returns the function with coordinate ``j`` at ``x``."""
        if (j, x) not in self._values:
            with self._context():
                self._values[j, x] = self._at(j, x, float)
        return self._values[j, x]

    def derivative(self, i: int, j: int, x: float) -> float:
        """Returns the derivative for coordinate ``i``, with coordinate ``j`` at ``x``."""
        if (j, x) not in self._derivatives:
            self._derivatives[j, x] = self._at(j, x, lambda root: slopes(root, self.leaves))
        return self._derivatives[j, x][i]

    def is_smooth_to(self, j: int, x: float) -> bool:
        """Returns whether there is no kink between the point and coordinate ``j`` at ``x``."""
        value, pieces = self._at(j, x, lambda root: (self._checked(root).data, _pieces(root)))
        self._same((j, x), value)
        is_smooth = pieces == self.pieces
        self.has_kinks = self.has_kinks or not is_smooth
        return is_smooth


def _is_opaque(x: Any) -> bool:
    """Returns whether ``x`` is an object that may have numbers in it, which are not found."""
    known = (str, bytes, int, float, complex, Value, dict, list, tuple)
    return not (x is None or isinstance(x, known) or is_number(x) or is_array(x) or callable(x))


def _remedy(root: Any) -> str:
    """Returns what a function must do to return a Value, instead of ``root``."""
    if is_number(root):
        return (
            "use `from tinygrad_edu import math` instead of the standard math module, which "
            "returns plain numbers, and return Value(number) from a branch that returns a number"
        )
    if root is None:
        return "end the function with `return` and its result"
    if isinstance(root, (str, bytes)):
        return "return the Value, not its text"
    return "return one entry, or the sum of all: sum(results)"


def _type(x: Any) -> str:
    return type(x).__name__


def slopes(root: Value, leaves: Sequence[Value]) -> list[float]:
    """Returns the derivatives of ``root`` for each leaf, as `backward` computes them."""
    adjoints = accumulate([root], [1.0], leaves)
    return [adjoints.get(leaf, 0.0) for leaf in leaves]


def _pieces(root: Value) -> list[Any]:
    """Returns the smooth piece of each primitive in a graph.

    There is no kink between two points with equal lists.

    An infinite piece, such as a quotient that overflows, is equal to no other, because any number
    of pieces may lie between the points.
    """
    pieces: list[Any] = []
    for node in topological_order(root, constants=False):
        if node.op:
            rule = TABLE[node.op].piece
            piece: Any = rule(*[float(arg) for arg, _ in node.edges]) if rule else None
            if piece in (inf, -inf):
                piece = object()  # equal to nothing else
            pieces.append((node.op, *[slope is None for _, slope in node.edges], piece))
    return pieces


def _argument_names(f: Callable[..., Any], n: int) -> list[str]:
    """Returns names for ``n`` arguments, from the signature of ``f`` if it has as many."""
    try:
        parameters = list(signature_of(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:n] if len(names) >= n else [f"args[{i}]" for i in range(n)]


def name_of(f: Callable[..., Any]) -> str:
    """Returns the name of a function or a row."""
    return f.name if isinstance(f, Primitive) else getattr(f, "__name__", type(f).__name__)


def signature_of(f: Callable[..., Any]) -> inspect.Signature:
    """Returns the signature of a function or a row.

    Raises:
        TypeError, ValueError: a function has none.
    """
    return signature(f.parameters) if isinstance(f, Primitive) else inspect.signature(f)


def signature(names: Iterable[str]) -> inspect.Signature:
    """Returns the signature of a function whose arguments have these names."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])
