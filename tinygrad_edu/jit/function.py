"""The function `jit`, and `Jitted`, the compiled functions that it returns.

    >>> from tinygrad_edu import jit, math
    >>> @jit
    ... def f(x, y):
    ...     return math.sin(x) * y
    >>> f(1.0, 2.0) == math.sin(1.0) * 2.0
    True
    >>> f.value_and_grad(0.0, 2.0)
    (0.0, (2.0, 0.0))
    >>> print(f.show(0.0, 2.0))
    inputs  x, y
    t1 = sin(x)
    t2 = t1 * y
    return t2
"""

from __future__ import annotations

import functools
import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

from ..engine.arrays import plain_numbers
from ..engine.autodiff import hessian, is_inside_transform, is_training
from ..engine.calls import name_to_import
from ..engine.primitive import reduced
from ..engine.value import Value
from ..errors import check_function, check_int, counted, short_repr, some
from ..nn.module import Module
from .batch import ColumnMethods, flatten_columns
from .holder import MISSING
from .program import Program, arguments, check_differentiable, function_name, matrix
from .running.columns import is_column_leaf
from .running.direct import Direct
from .state import KEPT
from .structure import NUMBER, Signature, StaticValue, Structure, flatten, leaf_names
from .tape.tape import Tape
from .traced import located_error, trace_in_progress

if TYPE_CHECKING:
    from typing import overload
else:

    def overload(f: Any) -> None:
        """Does nothing; the one of `typing` would keep this module alive after others at exit."""


P = ParamSpec("P")
Static = str | int | Iterable[str | int]


@overload
def jit(f: Callable[P, Any], *, static: Static = (), cache_size: int = 64) -> Jitted[P]: ...
@overload
def jit(  # noqa: F811
    f: None = None, *, static: Static = (), cache_size: int = 64
) -> Callable[[Callable[P, Any]], Jitted[P]]: ...
def jit(  # noqa: F811
    f: Any = None, *, static: Static = (), cache_size: int = 64
) -> Any:
    """Compiles ``f``; returns a `Jitted`.  A decorator too: ``@jit`` or ``@jit(static=["n"])``.

    f: a function whose arguments and results are numbers, Values, and nested lists, tuples, dicts
        and numpy arrays of them.
    static: names or positions of arguments that determine the shape of the program, such as sizes.
        They must be hashable; each combination gets its own program.  Text, booleans, None,
        members of an Enum, and numbers that no float is equal to, such as 2**53 + 1, are always
        static.
    cache_size: the number of programs kept, one for each structure of the arguments.  The least
        recently used program is dropped first.

    Inside ``f`` a numpy array is an array of objects, of the same shape; results that are arrays,
    and gradients with respect to arrays, are arrays of floats.  Other arrays, such as those of
    pandas, are not accepted.  Numbers count as floats, also ints, as in ``Value(3)``, and results
    are floats, or booleans.  They equal those of a call of ``f`` itself in every bit, except where
    ``f`` calls `math.fsum`, which adds floats exactly, but arguments of a compiled function, like
    Values, one by one.

    For each structure, ``f`` runs twice on traced values, and must do the same both times.
    Operations on the arguments become the program.  Side effects such as `print` happen only while
    tracing.  Plain Python numbers are read once and become constants, and a leaf that is replaced
    later is not noticed.  Attributes that ``f`` assigns, random generators that it draws from, and
    variables, lists and dicts in which it leaves traced values are put back.  The numbers of leaves
    that ``f`` closes over, such as parameters of a model, are read at each call, also by way of
    copies.  Each mode of the modules that ``f`` can reach or whose mode it reads (`Module.train`
    and `Module.eval`) has its own program.  Numbers that other threads read for ``f`` are not
    noticed.

    Raises:
        TypeError: ``f`` is not a function, or ``cache_size`` is not a whole number; at a call: an
            argument cannot be compiled.
        ValueError: ``static`` names an argument that ``f`` does not have, or ``cache_size`` is
            below 1.
        TraceError, at the first call: ``f`` needs a number that is known only at run time (a branch
            on a comparison, ==, float(), .data, text, max(), an index), draws random numbers, or
            differs from run to run.  Use `math.where`, `math.maximum`, `take` or static arguments.

    Derivatives.  ``f`` may call `grad`, `gradients`, `hessian` and the other transforms, nested to
    any order, but not `backward`, and may not read ``.grad``.  A transform of plain numbers returns
    what it returns inside `value_and_grad` of ``f``; in a function without arguments, what it
    returns in a plain call.  ``Value(x)`` of an argument is a node that stays connected to it.

    Methods and copies.  A function in a class becomes a method, and each instance has its own
    programs.  A copied or unpickled function is compiled again.  If it can be imported by name it
    is copied and pickled by reference, like any function.

    Inside `detect_anomaly`, ``f`` itself runs on Values, also for derivatives and batches, so that
    every operation is checked.
    """
    is_one = isinstance(static, (str, bytes)) or getattr(static, "shape", None) == ()
    names: list[Any] = list(static) if isinstance(static, Iterable) and not is_one else [static]
    if f is None:
        return lambda f: Jitted(f, names, cache_size)
    return Jitted(f, names, cache_size)


class Jitted(ColumnMethods, Generic[P]):
    """A compiled function: see `jit`."""

    def __init__(self, f: Callable[P, Any], static: Sequence[str | int], cache_size: int) -> None:
        check_function(f, "jit: f")
        self.function = f
        functools.update_wrapper(self, f, updated=())
        self._signature = Signature(f, function_name(f))
        self._static = {self._signature.name_of(name) for name in static}
        self._cache_size = check_int(cache_size, "jit: cache_size", 1)
        self._method: tuple[Jitted[Any], Any] | None = None
        # by the structure of the arguments, and the modes of the modules
        self._cache: OrderedDict[Any, Program] = OrderedDict()
        # the modules that the program for a structure can reach
        self._modules: dict[Structure, list[Module]] = {}
        self._lock = threading.RLock()
        self._direct = Direct()
        self._last: Any = None  # the key of the last direct call, if its program was used last

    def __repr__(self) -> str:
        return f"<jit {function_name(self.function)}: {counted(len(self._cache), 'program')}>"

    @property
    def programs(self) -> list[Program]:
        """The programs compiled so far, the last used at the end."""
        return list(self._cache.values())

    # ---- as a method, and copied

    def __get__(self, instance: Any, owner: Any = None) -> Jitted[Any]:
        """Returns the method of ``instance``, which keeps the method and its programs."""
        bind = getattr(self.function, "__get__", None)
        if instance is None or bind is None or (bound := bind(instance, owner)) is self.function:
            return self
        name = f"{KEPT}{function_name(self.function, '__qualname__')}>"
        kept = getattr(instance, "__dict__", None)
        if not isinstance(kept, dict):
            kept = {}  # a class, or an instance with slots: they get a new method every time
        found = kept.get(name)
        # a copy of an instance has the method of the original
        if found is None or found._method[0] is not self or found._method[1] is not instance:
            kept[name] = found = Jitted(bound, (), self._cache_size)
            found._static = self._static
            found._method = self, instance
        return found

    def __reduce__(self) -> str | tuple[Any, ...]:
        rows = {row for program in self.programs for row in program.rows}
        if self._method is not None:
            original, instance = self._method
            name = function_name(self.function)
            found = getattr(instance, name, None) if isinstance(instance, type) else None
            if isinstance(found, Jitted) and found._method == self._method:  # a class method
                return getattr, (instance, name)
            return reduced(rows, Jitted.__get__, original, instance)
        made_by = Jitted, self.function, sorted(self._static), self._cache_size
        return name_to_import(self) or reduced(rows, *made_by)

    # ---- running

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Returns the result of ``f``, with floats in place of Values.

        If an argument is a Value, or the call is in a function that is being traced, or that `grad`
        or another transform differentiates, or in the model, the loss or the penalty of `fit`,
        ``f`` itself runs: its result has a graph, or becomes part of that trace.  Elsewhere the
        result is a number without a graph, also if ``f`` closes over leaves: for `backward`, pass
        Values, or call `value_and_grad`.
        """
        if trace_in_progress() is not None or is_inside_transform() or is_training():
            return self._uncompiled(args, kwargs)
        if not kwargs and len(args) == 1 and (found := self._direct.call(args[0], False)):
            self._touch(found[0])
            return found[1]
        structure, leaves = self._structure(args, kwargs)
        if any(isinstance(leaf, Value) for leaf in leaves):
            return self._uncompiled(args, kwargs)
        program = self._program(structure)
        result = program.result(program.run(leaves))
        self._note(program, False)
        return result

    def _uncompiled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns the result of the function itself, for the numbers that the program would get."""
        labels = [*self._signature.labels(len(args)), *kwargs]
        given = [x if label in self._static else plain_numbers(x)
                 for label, x in zip(labels, (*args, *kwargs.values()))]
        return self.function(*given[:len(args)], **dict(zip(kwargs, given[len(args):])))

    @overload
    def value_and_grad(self, /, *args: P.args, **kwargs: P.kwargs) -> tuple[float, Any]: ...
    @overload
    def value_and_grad(self, /, x: Any, *, out: Any) -> tuple[float, Any]: ...  # noqa: F811
    def value_and_grad(  # noqa: F811
        self, /, *args: Any, out: Any = MISSING, **kwargs: Any
    ) -> tuple[float, Any]:
        """Returns ``(value, gradient)`` of a function that returns one number.

        out: for a function of one list or array, a writable buffer of doubles, such as
            ``array("d")`` or an array of numpy.  The gradient is written there, and ``out`` is
            returned in its place.  If ``f`` has an argument of this name, it is that argument.

        The gradient has the structure of the argument, with None for what is static.  For several
        arguments it is a tuple; with keyword arguments it is a pair of that tuple and a dict.
        Gradients of leaves that the function closes over are added to their ``.grad``, as in
        `backward`.  Values among the arguments count as their numbers.

        Raises TypeError if ``out`` is not a writable buffer with a double for each number of the
        argument, one after the other, or if there are several arguments.
        """
        if out is not MISSING and "out" in self._signature.names:
            kwargs["out"] = out  # an argument of ``f``
        buffer = None if out is MISSING or "out" in kwargs else out
        if not kwargs and len(args) == 1 and (found := self._direct.call(args[0], True, buffer)):
            self._touch(found[0])
            return found[1:]
        program, leaves = self._program_for(args, kwargs)
        result = program.value_and_gradient(leaves, buffer)
        self._note(program, True)
        return result

    def _note(self, program: Program, with_gradient: bool) -> None:
        """Notes a program for direct calls, unless it was dropped in the meantime."""
        with self._lock:
            if self._cache.get(key := self._key(program.structure)) is program:
                program.note(self._direct, with_gradient, key)

    def _touch(self, key: Any) -> None:
        """Notes that the program of that key was used."""
        if key is not self._last:  # a hash of a long structure takes as long as the call
            with suppress(KeyError):  # another thread may have dropped it
                self._cache.move_to_end(key)
                self._last = key

    def hessian(self, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Returns the matrix of second derivatives of a function that returns one number.

        Rows and columns are the numbers among the arguments, in their order.  It is a list of
        lists, or a numpy array if there is one among the arguments.  In a function that is being
        traced or differentiated, the entries are Values, which can be differentiated again.

        The program differentiates the gradient forwards, in another order than `hessian` of Values,
        so entries agree with those of the eager engine to about 1e-13, not in every bit.
        """
        if trace_in_progress() is not None or is_inside_transform():
            return self._recorded_hessian(args, kwargs)
        program, leaves = self._program_for(args, kwargs)
        return program.hessian(leaves)

    def _recorded_hessian(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        structure, leaves = self._structure(args, kwargs)
        check_differentiable(structure, function_name(self.function))

        def of_leaves(values: list[Value]) -> Any:
            positional, named = arguments(structure, values)
            return self.function(*positional, **named)

        return matrix(structure, hessian(of_leaves)(leaves))

    # ---- looking

    def show(self, /, *args: Any, gradient: bool = False, **kwargs: Any) -> str:
        """Returns the program for these arguments, or else the last used one, as text.

        ``gradient``: whether the derivatives are included.  If ``f`` has an argument of this name,
        pass that argument by position.

        Raises ValueError if there is no program yet.
        """
        return self.tape(*args, gradient=gradient, **kwargs).text()

    def tape(self, /, *args: Any, gradient: bool = False, **kwargs: Any) -> Tape:
        """Returns the tape of the program that `show` writes as text."""
        self._check_own("gradient", gradient is not False, args)
        program = self._program_or_last(args, kwargs)
        return (program.gradient if gradient else program.value).tape

    def source(
        self,
        /,
        language: str,
        *args: Any,
        gradient: bool = False,
        freeze: bool = False,
        name: str = "",
        **kwargs: Any,
    ) -> str:
        """Returns the program for these arguments, or else the last used one, in another language.

            >>> f = jit(lambda x, y: x * y)
            >>> f(3.0, 4.0)
            12.0
            >>> print(f.source("python", gradient=True, name="product"))  # doctest: +ELLIPSIS
            import math
            ...
            # inputs[0]   x
            # inputs[1]   y
            # outputs[0]  result
            # outputs[1]  d result / d x
            # outputs[2]  d result / d y
            ...

        language: "c", "javascript" or "python"; `Tape.source` says what they compute.
        gradient: whether the derivatives with respect to the inputs follow the result, in order.
        freeze: whether the numbers that leaves now have, such as parameters of a model, become
            constants.  Otherwise these leaves are inputs, after the arguments.
        name: the name of the function, by default the name of ``f``, or "f".

        The inputs and outputs are the numbers of the arguments and of the result, flat.  Random
        draws, as of a dropout, are inputs without derivatives.  If ``f`` has an argument with the
        name of an option, pass that argument by position.

        Raises:
            ValueError: there is no program yet, or see `Tape.source`.
            TypeError: ``f`` does not return one number, for a gradient.
        """
        given = {"gradient": gradient is not False, "freeze": freeze is not False, "name": name}
        for option, is_given in given.items():
            self._check_own(option, bool(is_given), args)
        from .languages.text import language_of
        own = function_name(self.function)
        name = name or (own if language_of(language).is_name(own) else "f")
        tape, outputs = self._program_or_last(args, kwargs).tape(gradient, freeze)
        return Tape.write(tape, language, name, outputs)

    def _program_or_last(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
        if args or kwargs:
            return self._program_for(args, kwargs)[0]
        if not self._cache:
            raise ValueError(
                f"{self!r} has no program yet, because it is compiled for the arguments of a call; "
                "call it, or pass arguments"
            )
        return self.programs[-1]

    # ---- the cache

    def _check_own(self, option: str, is_given: bool, args: tuple[Any, ...]) -> None:
        """Raises TypeError if ``option`` is also a keyword argument of ``f``."""
        labels = self._signature.labels(len(args))
        if is_given and option in self._signature.names and option not in labels:
            raise TypeError(
                f"{option} is both an option and an argument of {function_name(self.function)}; "
                "pass the argument by position, or rename it"
            )

    def _program_for(self, args: tuple[Any, ...], kwargs: dict[str, Any],
                     take_apart: Callable[..., Structure] = flatten) -> tuple[Program, list[Any]]:
        """Returns the program for these arguments, and their numbers."""
        if trace_in_progress() is not None or is_inside_transform():
            name = function_name(self.function)
            raise located_error(
                f"a gradient, or a batch, of the compiled function {name}, in a function that is "
                "traced or differentiated: it has numbers, which cannot be differentiated again",
                f"inside, use value_and_grad({name}), grad({name}) or gradients(y, xs); for a "
                f"batch, call {name} for each sample",
            )
        structure, leaves = self._structure(args, kwargs, take_apart)
        if take_apart is flatten_columns and not any(map(is_column_leaf, leaves)):
            given = some(map(short_repr, [*args, *kwargs.values()])) or "none"
            raise ValueError(
                f"there is no column among the arguments, only {given}; pass a list or an array "
                "for at least one, or call the function itself for one sample"
            )
        try:
            return self._program(structure), leaves
        except Exception as error:
            if take_apart is flatten_columns:
                parts = [*zip([*self._signature.labels(len(args)), *kwargs], structure[0])]
                for (label, part), x in zip(parts, (*args, *kwargs.values())):
                    if part is not NUMBER:
                        error.add_note(f"batch: argument {label} is {short_repr(x)}, and no column")
            raise

    def _structure(self, args: tuple[Any, ...], kwargs: dict[str, Any],
                   take_apart: Callable[..., Structure] = flatten
                   ) -> tuple[Structure, list[Any]]:
        """Returns the structure of the arguments, static values included, and their numbers."""
        leaves: list[Any] = []

        # the class of a compiled class method, which Python 3.13 does not bind by `__get__`
        owner = args[0] if args and isinstance(args[0], type) else leaves

        def part(x: Any, label: str) -> Structure:
            try:
                if label not in self._static and not (x is owner and take_apart is flatten):
                    return take_apart(x, label, leaves)
                hash(static := StaticValue(x))
                return "static", static
            except RecursionError:
                raise ValueError(
                    f"argument {label} contains itself, or is nested too deeply; make it flatter"
                ) from None
            except TypeError:
                if label not in self._static:
                    raise
                raise TypeError(
                    f"static argument {label} must be hashable, not {short_repr(x)}; pass a tuple, "
                    "text or a number"
                ) from None

        labels = [*self._signature.labels(len(args)), *kwargs]
        parts = tuple([part(x, label) for x, label in zip((*args, *kwargs.values()), labels)])
        return (parts, tuple(kwargs)), leaves

    def _program(self, structure: Structure) -> Program:
        """Returns the program for that structure and the present modes of modules."""
        with self._lock:
            key = self._key(structure)
            if (found := self._cache.get(key)) is not None:
                self._cache.move_to_end(key)
                self._last = None
                return found
            parts, keywords = structure
            labels = [*self._signature.labels(len(parts) - len(keywords)), *keywords]
            names = [name for part, label in zip(parts, labels) for name in leaf_names(part, label)]
            program = Program(self.function, names, structure)
            program.trace.add_modules(self._modules.get(structure, ()))  # read in another mode
            if program.trace.modules:
                self._modules[structure] = program.trace.modules
            self._cache[self._key(structure)] = program
            self._last = None
            while len(self._cache) > self._cache_size:
                (forgotten, _), _ = self._cache.popitem(last=False)
                self._direct.clear()
                if all(structure != forgotten for structure, _ in self._cache):
                    self._modules.pop(forgotten, None)
            return program

    def _key(self, structure: Structure) -> tuple[Structure, tuple[bool, ...]]:
        if not self._modules:  # functions without modules, which skip a hash of the structure
            return structure, ()
        return structure, tuple(map(_mode_of, self._modules.get(structure, ())))


def _written(*settings: Any) -> str:
    from .languages.text import written  # rarely needed, and slow to import
    return written(*settings)


Tape.write = _written
_mode_of = operator.attrgetter("training")
