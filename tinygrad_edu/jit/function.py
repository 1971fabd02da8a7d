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
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import graph, modes
from ..primitives import short_repr
from ..value import Value
from . import backend, tape
from .batch import Batched, drawn, flatten_columns
from .structure import NUMBER, Structure, build, flatten, leaf_names, outputs, shown
from .tape import Tape
from .trace import record_trace


def jit(f: Callable[..., Any] | None = None, *, static: str | int | Iterable[str | int] = (), cache_size: int = 64) -> Any:
    """``f`` as a compiled program, a `Jitted`; also as a decorator, ``@jit`` or ``@jit(static=["n"])``.

    f            a function of numbers, Values, and nested lists, tuples and dicts of them, that returns such
    static       names or positions of arguments about which the shape of the program depends: sizes, modes, anything hashable.
                 For each value of theirs there is a program.  Text, booleans and None are static by themselves
    cache_size   how many programs are kept, one for each structure of the arguments; the one used longest ago goes first

    ``f`` runs for each structure, on values that stand for any number (twice, to see whether it does the same).  What it does
    with them is the program; what else it does (print, append to a list) happens at that moment only, and what it reads
    beside them (a plain number of an object, a leaf that is replaced by another one later) stays as it was.  The numbers of
    the leaves that it closes over, the parameters of a model, are read anew at each call.

    Raises TraceError, at the first call, where ``f`` asks for a number that is known at run time only: a branch on a
    comparison, ==, float(), .data, max(), an index; and where it draws random numbers, or does something else every time.
    The remedies are `math.where`, `math.maximum`, `take`, and static arguments.
    """
    names = [static] if isinstance(static, (str, int)) else list(static)
    if f is None:
        return lambda f: Jitted(f, names, cache_size)
    return Jitted(f, names, cache_size)


class Jitted:
    """A compiled function: see `jit`.  ``programs`` are those compiled so far, the latest used last."""

    def __init__(self, f: Callable[..., Any], static: Sequence[str | int], cache_size: int) -> None:
        if not callable(f):
            raise TypeError(f"jit takes a function, not {short_repr(f)}")
        if not isinstance(cache_size, int) or cache_size < 1:
            raise ValueError(f"cache_size is {cache_size!r}; it must be a whole number of at least 1")
        self.function = f
        functools.update_wrapper(self, f, updated=())
        self._signature = _signature(f)
        self._static = {self._name_of(name) for name in static}
        self._cache_size = cache_size
        self._cache: OrderedDict[Any, Program] = OrderedDict()
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<jit {_name(self.function)}: {len(self._cache)} program{'s' if len(self._cache) != 1 else ''}>"

    @property
    def programs(self) -> list[Program]:
        """The programs compiled so far, the latest used last."""
        return list(self._cache.values())

    # ---- running

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What ``f`` returns, with floats for its Values.

        If an argument is a Value, ``f`` itself runs, uncompiled, so that the result has a graph (or becomes part of the trace
        of another function).
        """
        if modes.tracer() is not None:
            return self.function(*args, **kwargs)
        leaves: list[Any] = []
        key, static = self._bound(args, kwargs, leaves)
        if any(isinstance(leaf, Value) for leaf in leaves):
            return self.function(*args, **kwargs)
        program = self._program(key, static, args, kwargs)
        return program.result(program.run(program.value, leaves))

    def value_and_grad(self, *args: Any, **kwargs: Any) -> tuple[float, Any]:
        """``(value, gradient)`` of a function that returns one number.

        The gradient has the structure of the argument; of several arguments it is a tuple, and with keyword arguments a pair
        of that and of a dict.  Gradients of leaves that the function closes over are added to their ``.grad``, as by
        `backward`.  Values among the arguments count as their numbers.
        """
        leaves: list[Any] = []
        key, static = self._bound(args, kwargs, leaves)
        program = self._program(key, static, args, kwargs)
        value, *slopes = program.run(program.gradient, leaves)
        count = len(leaves)
        program.accumulate(slopes[count:])
        return value, self._shaped(key, slopes[:count])

    def hessian(self, *args: Any, **kwargs: Any) -> list[list[float]]:
        """The matrix of second derivatives by the numbers among the arguments, in their order; of a function of one number."""
        leaves: list[Any] = []
        key, static = self._bound(args, kwargs, leaves)
        program = self._program(key, static, args, kwargs)
        count = len(leaves)
        return [program.run(program.curvature, leaves, [float(i == j) for j in range(count)]) for i in range(count)]

    # ---- many samples at once

    def batch(self, *columns: Any, threads: int = 1, **named: Any) -> Any:
        """What ``f`` returns for many samples: with columns of numbers in the place of numbers, in arguments and results.

        columns   the arguments, in which the innermost lists, arrays and buffers are columns: for ``f(x, y)`` two of them, for
                  an ``f`` of one list of two numbers a list of two.  A number is the same for all samples
        threads   over how many threads the samples are spread

        Results are arrays (`array.array`, which numpy takes without a copy).  Raises ValueError if columns differ in length.
        """
        program, leaves, _ = self._for_columns(columns, named)
        varying, count = _lengths(leaves)
        results = program.batched(varying, False).run(*program.columns(leaves, varying, count), count, _checked(threads))
        return program.result(results)

    def batch_value_and_grad(self, *columns: Any, threads: int = 1, **named: Any) -> tuple[Any, Any]:
        """``(values, gradients)`` for many samples: a column of values, and a column of derivatives for each column.

        The derivative by a number that is the same for all samples is the sum over them, and that by a leaf that ``f`` closes
        over is added to its ``.grad``.  Otherwise as `batch` and `value_and_grad`.
        """
        program, leaves, key = self._for_columns(columns, named)
        varying, count = _lengths(leaves)
        inputs = program.columns(leaves, varying, count)
        values, *slopes = program.batched(varying, True).run(*inputs, count, _checked(threads))
        program.accumulate(slopes[len(leaves):])
        return values, self._shaped(key, slopes[:len(leaves)])

    def _for_columns(self, columns: tuple[Any, ...], named: dict[str, Any]) -> tuple[Program, list[Any], Any]:
        leaves: list[Any] = []
        key, static = self._bound(columns, named, leaves, take_apart=flatten_columns)
        return self._program(key, static, columns, named), leaves, key

    # ---- looking

    def show(self, *args: Any, gradient: bool = False, **kwargs: Any) -> str:
        """The program as text, instruction by instruction: the one for these arguments, or else the latest used.

        ``gradient``: with the derivatives.  Raises ValueError if there is no program yet.
        """
        return self.tape(*args, gradient=gradient, **kwargs).text()

    def tape(self, *args: Any, gradient: bool = False, **kwargs: Any) -> Tape:
        """The program itself: see `show`."""
        if args or kwargs:
            leaves: list[Any] = []
            key, static = self._bound(args, kwargs, leaves)
            program = self._program(key, static, args, kwargs)
        elif self._cache:
            program = self.programs[-1]
        else:
            raise ValueError(f"{self!r} has no program yet, since it is compiled for the arguments of a call: call it, or "
                             "pass arguments here")
        return program.gradient.tape if gradient else program.value.tape

    # ---- the cache

    def _name_of(self, argument: str | int) -> str:
        parameters = list(self._signature.parameters) if self._signature else []
        if isinstance(argument, int) and -len(parameters) <= argument < len(parameters):
            return parameters[argument]
        if argument in parameters:
            return str(argument)
        known = ", ".join(parameters) or "none"
        raise ValueError(f"static: {argument!r} is no argument of {_name(self.function)}, which has {known}")

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any],
               take_apart: Callable[..., Structure] = flatten) -> tuple[Structure, tuple[Any, ...]]:
        """The structure of the arguments, which has the static ones in it, with their numbers appended to ``leaves``."""
        labels = self._labels(len(args))
        static: list[Any] = []

        def part(x: Any, label: str) -> Structure:
            if label not in self._static:
                return take_apart(x, label, leaves)
            try:
                hash(x)
            except TypeError:
                raise TypeError(f"static argument {label} is {short_repr(x)}, which cannot be hashed; pass a tuple, text "
                                "or a number") from None
            static.append(x)
            return "static", type(x), x

        structure = (tuple([part(x, label) for x, label in zip(args, labels)]),
                     tuple([(name, part(x, name)) for name, x in kwargs.items()]))
        return structure, tuple(static)

    def _labels(self, count: int) -> list[str]:
        names = [name for name, parameter in self._signature.parameters.items()
                 if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)] if self._signature else []
        return names[:count] + [f"x{i}" for i in range(len(names), count)]

    def _program(self, key: Any, static: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Program:
        if (trace := modes.tracer()) is not None:
            raise trace.derivative(f"a derivative, or a batch, of the compiled function {_name(self.function)}")
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            program = Program(self.function, self._leaf_names(key, len(args)), key, static)
            self._cache[key] = program
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
            return program

    def _leaf_names(self, structure: Structure, count: int) -> list[str]:
        positional, keywords = structure
        named = [*zip(self._labels(count), positional), *keywords]
        return [name for label, part in named if part[0] != "static" for name in leaf_names(part, label)]

    @staticmethod
    def _shaped(key: Any, slopes: Sequence[float]) -> Any:
        positional, keywords = key
        numbers = iter(slopes)
        shaped = tuple([None if part[0] == "static" else build(part, numbers) for part in positional])
        named = {name: None if part[0] == "static" else build(part, numbers) for name, part in keywords}
        if named:
            return shaped, named
        return shaped[0] if len(shaped) == 1 else shaped


def _name(f: Callable[..., Any]) -> str:
    return str(getattr(f, "__name__", None) or getattr(f, "name", None) or type(f).__name__)


def _signature(f: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(f)
    except (TypeError, ValueError):
        return None


def _lengths(leaves: Sequence[Any]) -> tuple[tuple[bool, ...], int]:
    """Which leaves are columns, and their length."""
    varying = tuple([hasattr(leaf, "__len__") for leaf in leaves])
    lengths = sorted({len(leaf) for leaf, varies in zip(leaves, varying) if varies})
    if len(lengths) > 1:
        raise ValueError(f"the columns differ in length: {', '.join(map(str, lengths))}; give every sample one number "
                         "in each column")
    if not lengths:
        raise ValueError("there is no column among the arguments, only numbers; call the function itself for one sample")
    return varying, lengths[0]


def _checked(threads: int) -> int:
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads is {threads!r}; it must be a whole number of at least 1")
    return threads


class Program:
    """One program of a compiled function: for arguments of one structure.

    structure   that of the arguments
    trace       the function, operation by operation
    value, gradient, curvature    what it has been compiled to so far, each when it is first asked for
    """

    def __init__(self, f: Callable[..., Any], names: Sequence[str], structure: Structure, static: tuple[Any, ...]) -> None:
        self.structure = structure

        def arguments(values: list[Any]) -> tuple[Any, Any]:
            leaves, fixed = iter(values), iter(static)
            positional, keywords = structure
            args = [next(fixed) if part[0] == "static" else build(part, leaves) for part in positional]
            return args, {name: next(fixed) if part[0] == "static" else build(part, leaves) for name, part in keywords}

        self.trace, result = record_trace(f, names, arguments)
        self.outputs, self._result = outputs(result, self.trace.operand)
        self._name = _name(f)
        self._sources = tape.sources(self.trace)
        self._reads_arguments_alone = len(self._sources) == len(names)
        self._batched: dict[Any, Batched] = {}

    def __repr__(self) -> str:
        positional, keywords = self.structure
        parts = [shown(part) if part[0] != "static" else repr(part[2]) for part in positional]
        parts += [f"{name}={shown(part) if part[0] != 'static' else repr(part[2])}" for name, part in keywords]
        return f"<{self._name}({', '.join(parts)}): {len(self.trace.nodes)} nodes>"

    @functools.cached_property
    def value(self) -> backend.Kernel:
        """What computes the function."""
        return backend.kernel(tape.value(self.trace, self.outputs))

    @functools.cached_property
    def gradient(self) -> backend.Kernel:
        """What computes the function and its derivatives by the arguments and the parameters."""
        return backend.kernel(tape.value_and_gradient(self.trace, self._scalar(), self._wanted))

    @functools.cached_property
    def curvature(self) -> backend.Kernel:
        """What computes a row of the Hessian, from a tangent for each argument."""
        arguments = list(range(len(self.trace.inputs)))
        gradient = tape.value_and_gradient(self.trace, self._scalar(), arguments)
        gradient.outputs = gradient.outputs[1:]
        places = [self._sources.index(i) for i in arguments]
        return backend.kernel(tape.tangents(gradient, places))

    def _scalar(self) -> Any:
        if self._result != NUMBER:
            raise TypeError(f"{self._name} returns {shown(self._result)}; a gradient is of one number")
        return self.outputs[0]

    def run(self, kernel: backend.Kernel, leaves: Sequence[Any], more: Sequence[float] = ()) -> list[float]:
        """The kernel's outputs: with the arguments' numbers, the parameters as they are now, and fresh draws."""
        trace = self.trace
        if self._reads_arguments_alone:
            return kernel([*leaves, *more])
        inputs: list[float] = []
        for i in self._sources:
            op, (k,) = trace.nodes[i]
            if op == "input":
                leaf = leaves[k]
                inputs.append(leaf if leaf.__class__ is float else float(leaf))
            else:
                inputs.append(float(trace.parameters[k].data) if op == "parameter" else trace.draws[k]())
        return kernel([*inputs, *more])

    def batched(self, varying: tuple[bool, ...], with_gradient: bool) -> Batched:
        """What computes columns, where ``varying`` says which arguments are some."""
        if (varying, with_gradient) not in self._batched:
            moving = [k for k, i in enumerate(self._sources) if self._varies(i, varying)]
            made = tape.value(self.trace, self.outputs)
            summed: list[int] = []
            if with_gradient:
                made = tape.value_and_gradient(self.trace, self._scalar(), self._wanted)
                summed = [1 + k for k in range(len(self._wanted)) if k >= len(varying) or not varying[k]]
            self._batched[varying, with_gradient] = Batched(made, moving, summed)
        return self._batched[varying, with_gradient]

    def columns(self, leaves: Sequence[Any], varying: tuple[bool, ...], count: int) -> tuple[list[float], list[Any]]:
        """The inputs that are the same for all samples, and the columns, in the order of the tape."""
        drawn_ = iter(drawn(self.trace.draws, count))
        uniform, columns = [], []
        for i in self._sources:
            op, (k,) = self.trace.nodes[i]
            if op == "parameter":
                uniform.append(float(self.trace.parameters[k].data))
            elif op == "draw":
                columns.append(next(drawn_))
            elif varying[k]:
                columns.append(leaves[k])
            else:
                uniform.append(float(leaves[k]))
        return uniform, columns

    def _varies(self, node: int, varying: tuple[bool, ...]) -> bool:
        op, (k,) = self.trace.nodes[node]
        return op == "draw" or (op == "input" and varying[k])

    @property
    def _wanted(self) -> list[int]:
        """The arguments, and then the parameters."""
        return [*range(len(self.trace.inputs)), *[i for i in self._sources if self.trace.nodes[i][0] == "parameter"]]

    def accumulate(self, slopes: Sequence[float]) -> None:
        """Adds to the gradients of the parameters."""
        parameters = self.trace.parameters
        graph._assign_grads(parameters, [leaf.grad + slope for leaf, slope in zip(parameters, slopes)])

    def result(self, numbers: Sequence[float]) -> Any:
        """The numbers as the function returns them."""
        return build(self._result, iter(numbers))
