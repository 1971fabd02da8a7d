"""`jit`: a function as a compiled program.

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
import inspect
import operator
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..engine import modes
from ..engine.primitives import short_repr
from ..engine.value import Value
from ..errors import counted
from ..nn.module import Module
from .batch import flatten_columns
from .program import Program, _name
from .structure import Exact, Structure, flatten, leaf_names
from .tape.tape import Tape


def jit(
    f: Callable[..., Any] | None = None,
    *,
    static: str | int | Iterable[str | int] = (),
    cache_size: int = 64,
) -> Any:
    """``f`` as a compiled program, a `Jitted`; also as a decorator, ``@jit`` or
    ``@jit(static=["n"])``.

    f            a function of numbers, Values, and nested lists, tuples and dicts of them, that
                 returns such
    static       names or positions of arguments about which the shape of the program depends:
                 sizes, modes, anything hashable.  For each value of theirs there is a program.
                 Text, booleans and None are static by themselves
    cache_size   how many programs are kept, one for each structure of the arguments; the one used
                 longest ago goes first

    ``f`` runs for each structure, on values that stand for any number (twice, to see whether it
    does the same).  What it does with them is the program; what else it does (print, append to a
    list) happens at that moment only, and what it reads beside them (a plain number of an object, a
    leaf that is replaced by another one later) stays as it was.  Attributes of objects that ``f``
    assigns, and random generators that it draws from, are put back.  The numbers of the leaves that
    it closes over, the parameters of a model, are read anew at each call, and there is a program
    for each mode (`Module.train` and `Module.eval`) of the modules that it can reach.

    Raises TraceError, at the first call, where ``f`` asks for a number that is known at run time
    only: a branch on a comparison, ==, float(), .data, max(), an index; and where it draws random
    numbers, or does something else every time.  The remedies are `math.where`, `math.maximum`,
    `take`, and static arguments.

    A function in a class becomes a method, with programs of its own for each instance.  A copy of a
    compiled function is compiled anew, and so is one that was pickled.  One that a module or class
    has under its name is that one again, as functions are.

    Within `detect_anomaly` the function itself runs, on Values, also for derivatives and batches,
    so that every operation is looked at.
    """
    is_one = isinstance(static, str) or not isinstance(static, Iterable)
    names: list[Any] = [static] if is_one else list(static)  # type: ignore[arg-type]
    if f is None:
        return lambda f: Jitted(f, names, cache_size)
    return Jitted(f, names, cache_size)


class Jitted:
    """A compiled function: see `jit`.  ``programs`` are those compiled so far, the latest used
    last."""

    def __init__(self, f: Callable[..., Any], static: Sequence[str | int], cache_size: int) -> None:
        if not callable(f):
            raise TypeError(f"jit takes a function, not {short_repr(f)}")
        self.function = f
        functools.update_wrapper(self, f, updated=())
        self._signature = _signature(f)
        self._static = {self._name_of(name) for name in static}
        self._cache_size = _checked("cache_size", cache_size)
        self._method: tuple[Jitted, Any] | None = None
        # by structure, and the modes of its modules
        self._cache: OrderedDict[Any, Program] = OrderedDict()
        # those that the program for a structure can reach
        self._modules: dict[Structure, list[Module]] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<jit {_name(self.function)}: {counted(len(self._cache), 'program')}>"

    @property
    def programs(self) -> list[Program]:
        """The programs compiled so far, the latest used last."""
        return list(self._cache.values())

    # ---- as a method, and copied

    def __get__(self, instance: Any, owner: Any = None) -> Jitted:
        """As a method: the function of the other arguments.  The instance keeps it, with its
        programs."""
        bind = getattr(self.function, "__get__", None)
        if instance is None or bind is None or (bound := bind(instance, owner)) is self.function:
            return self
        name = f"<jit {_name(self.function, '__qualname__')}>"
        kept = getattr(instance, "__dict__", None)
        if not isinstance(kept, dict):
            kept = {}  # an instance with slots, which has a new one every time; a class
        found = kept.get(name)
        # as in a copy of an instance
        if found is None or found._method[0] is not self or found._method[1] is not instance:
            kept[name] = found = Jitted(bound, (), self._cache_size)
            found._static = self._static
            found._method = self, instance
        return found

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self._method is not None:
            return Jitted.__get__, self._method
        found: Any = sys.modules.get(self.__module__)
        for name in getattr(self, "__qualname__", "").split("."):
            found = getattr(found, name, None)
        if found is self:
            return str(self.__qualname__)
        return Jitted, (self.function, sorted(self._static), self._cache_size)

    # ---- running

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """What ``f`` returns, with floats for its Values.

        If an argument is a Value, ``f`` itself runs, uncompiled, so that the result has a graph (or
        becomes part of the trace of another function).
        """
        if modes.tracer() is not None:
            return self.function(*args, **kwargs)
        leaves: list[Any] = []
        structure = self._structure(args, kwargs, leaves)
        if any(isinstance(leaf, Value) for leaf in leaves):
            return self.function(*args, **kwargs)
        program = self._program(structure, len(args))
        return program.result(program.run(leaves))

    def value_and_grad(self, /, *args: Any, **kwargs: Any) -> tuple[float, Any]:
        """``(value, gradient)`` of a function that returns one number.

        The gradient has the structure of the argument; of several arguments it is a tuple, and with
        keyword arguments a pair of that and of a dict.  Gradients of leaves that the function
        closes over are added to their ``.grad``, as by `backward`.  Values among the arguments
        count as their numbers.
        """
        leaves: list[Any] = []
        structure = self._structure(args, kwargs, leaves)
        program = self._program(structure, len(args))
        value, *slopes = program.run(leaves, with_gradient=True)
        program.accumulate(slopes[len(leaves):])
        return value, program.shaped(slopes)

    def hessian(self, /, *args: Any, **kwargs: Any) -> list[list[float]]:
        """The matrix of second derivatives by the numbers among the arguments, in their order; of a
        function of one number."""
        leaves: list[Any] = []
        return self._program(self._structure(args, kwargs, leaves), len(args)).hessian(leaves)

    # ---- many samples at once

    def batch(self, /, *columns: Any, threads: int = 1, **named: Any) -> Any:
        """What ``f`` returns for many samples: with columns of numbers in the place of numbers, in
        arguments and results.

        columns   the arguments, in which the innermost lists, arrays and buffers are columns: for
                  ``f(x, y)`` two of them, for an ``f`` of one list of two numbers a list of two.  A
                  number is the same for all samples
        threads   over how many threads the samples are spread; an argument of ``f`` that has this
                  name goes by position

        Results are arrays (`array.array`, which numpy takes without a copy).  Raises ValueError if
        columns differ in length, TypeError for what is no column of numbers.
        """
        program, leaves = self._for_columns(columns, named, threads)
        return program.result(program.batch(leaves, threads))

    def batch_value_and_grad(self, /, *columns: Any, threads: int = 1, **named: Any
                             ) -> tuple[Any, Any]:
        """``(values, gradients)`` for many samples: a column of values, and a column of derivatives
        for each column.

        The derivative by a number that is the same for all samples is the sum over them, and that
        by a leaf that ``f`` closes over is added to its ``.grad``.  Otherwise as `batch` and
        `value_and_grad`.
        """
        program, leaves = self._for_columns(columns, named, threads)
        values, *slopes = program.batch(leaves, threads, with_gradient=True)
        program.accumulate(slopes[len(leaves):])
        return values, program.shaped(slopes)

    def _for_columns(self, columns: tuple[Any, ...], named: dict[str, Any], threads: int
                     ) -> tuple[Program, list[Any]]:
        self._check_own("threads", threads != 1, columns)
        _checked("threads", threads)
        leaves: list[Any] = []
        structure = self._structure(columns, named, leaves, take_apart=flatten_columns)
        return self._program(structure, len(columns)), leaves

    # ---- looking

    def show(self, /, *args: Any, gradient: bool = False, **kwargs: Any) -> str:
        """The program as text, instruction by instruction: the one for these arguments, or else the
        latest used.

        ``gradient``: with the derivatives; an argument of ``f`` that has this name goes by
        position.  Raises ValueError if there is no program yet.
        """
        return self.tape(*args, gradient=gradient, **kwargs).text()

    def tape(self, /, *args: Any, gradient: bool = False, **kwargs: Any) -> Tape:
        """The program itself: see `show`."""
        self._check_own("gradient", gradient is not False, args)
        if args or kwargs:
            program = self._program(self._structure(args, kwargs, []), len(args))
        elif self._cache:
            program = self.programs[-1]
        else:
            raise ValueError(
                f"{self!r} has no program yet, since it is compiled for the arguments of a call: "
                "call it, or pass arguments here"
            )
        return program.gradient.tape if gradient else program.value.tape

    # ---- the cache

    def _name_of(self, argument: str | int) -> str:
        found = self._signature.parameters.values() if self._signature else ()
        parameters = [parameter.name for parameter in found
                      if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]
        any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in found)
        is_position = isinstance(argument, int) and not isinstance(argument, bool)
        if is_position and -len(parameters) <= argument < len(parameters):  # type: ignore[operator]
            return parameters[argument]  # type: ignore[index]
        if isinstance(argument, str) and (any_name or argument in parameters):
            return argument
        known = ", ".join(parameters) or "none"
        raise ValueError(
            f"static: {argument!r} is no argument of {_name(self.function)}, which has {known}"
        )

    def _check_own(self, option: str, is_given: bool, args: tuple[Any, ...]) -> None:
        """Raises TypeError if ``f`` has an argument called like an option here, so that it is not
        known which is meant."""
        names = self._signature.parameters if is_given and self._signature else ()
        if option in names and option not in self._labels(len(args)):
            raise TypeError(
                f"{option} is an option here, and an argument of {_name(self.function)} as well; "
                "pass the argument by position, or give it another name"
            )

    def _structure(self, args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any],
                   take_apart: Callable[..., Structure] = flatten) -> Structure:
        """The structure of the arguments, which has the static ones in it, with their numbers
        appended to ``leaves``."""
        if (trace := modes.tracer()) is not None:
            raise trace.derivative(
                f"a derivative, or a batch, of the compiled function {_name(self.function)}"
            )

        def part(x: Any, label: str) -> Structure:
            try:
                if label not in self._static:
                    return take_apart(x, label, leaves)
                hash(static := Exact(x))
                return "static", static
            except RecursionError:
                raise ValueError(
                    f"argument {label} contains itself, or lists too deep in one another; make it "
                    "flatter"
                ) from None
            except TypeError:
                if label not in self._static:
                    raise
                raise TypeError(
                    f"static argument {label} is {short_repr(x)}, which cannot be hashed; pass a "
                    "tuple, text or a number"
                ) from None

        positional = [part(x, label) for x, label in zip(args, self._labels(len(args)))]
        named = [(name, part(x, name)) for name, x in kwargs.items()]
        return tuple(positional), tuple(named)

    def _labels(self, count: int) -> list[str]:
        found = self._signature.parameters.values() if self._signature else ()
        names = [parameter.name for parameter in found
                 if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)]
        return names[:count] + [f"x{i}" for i in range(len(names), count)]

    def _program(self, structure: Structure, count: int) -> Program:
        """The program for arguments of that structure, ``count`` of them positional, and for the
        present mode of modules."""
        with self._lock:
            key = self._key(structure)
            if (found := self._cache.get(key)) is not None:
                self._cache.move_to_end(key)
                return found
            program = Program(self.function, self._leaf_names(structure, count), structure)
            self._modules[structure] = program.trace.modules
            self._cache[self._key(structure)] = program
            while len(self._cache) > self._cache_size:
                (forgotten, _), _ = self._cache.popitem(last=False)
                if all(structure != forgotten for structure, _ in self._cache):
                    del self._modules[forgotten]
            return program

    def _key(self, structure: Structure) -> tuple[Structure, tuple[bool, ...]]:
        modules = self._modules.get(structure)
        return structure, tuple(map(_mode_of, modules)) if modules else ()

    def _leaf_names(self, structure: Structure, count: int) -> list[str]:
        positional, keywords = structure
        names: list[str] = []
        for label, part in [*zip(self._labels(count), positional), *keywords]:
            names += leaf_names(part, label)
        return names


_mode_of = operator.attrgetter("training")


def _signature(f: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(f)
    except (TypeError, ValueError):
        return None


def _checked(name: str, count: int) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{name} is {count!r}; it must be a whole number of at least 1")
    return count
