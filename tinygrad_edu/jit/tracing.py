"""Tracing: a function runs on traced values, and its operations are recorded.

    >>> trace, y = record_trace(lambda x: 2 * x, ["x"], lambda values: (values, {}))
    >>> trace.nodes
    [('input', (0,)), ('mul', (2.0, 0))]

The function runs twice, and both runs must record the same program: random numbers and counters
would become constants.  What the function changes is put back (`state`).
"""

from __future__ import annotations

import marshal
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..debug.anomaly import CodePosition, user_location
from ..engine import calls, interpreter, value
from ..engine.autodiff import inside_transform
from ..engine.graph import Node
from ..engine.interpreter import recording, using
from ..errors import TraceError, some
from ..nn.module import Module
from .running.memory import without_collection
from .state import MODULE_RANDOM, State
from .tape.operations import Ref
from .trace import Kind, Trace
from .traced import STATIC, Traced, located_error, trace_in_progress

# The traces in progress, in all threads; the guards below are installed while there are any
_tracing: set[Trace] = set()
_tracing_lock = threading.Lock()


class _Guard:
    """Stands in for an attribute of a class while a function is traced, and sees who reads it.

    The traced function can reach any leaf and any module, whatever way it takes, so reading is
    checked here.  Other threads read the attribute itself.

    usual: the attribute itself.
    """

    def __init__(self, owner: type, name: str) -> None:
        self.owner = owner
        self.name = name
        self.usual = owner.__dict__[name]

    def install(self, on: bool) -> None:
        """Puts the guard, or the attribute itself, in its place."""
        setattr(self.owner, self.name, self if on else self.usual)


class _SlotGuard(_Guard):
    """Stands in for the slots ``data`` and ``grad`` of Values."""

    def __get__(self, node: Any, owner: Any = None) -> Any:
        trace = _trace_of_user()
        if node is None:
            return self.usual if trace is None else self
        if trace is not None:
            trace.number_of(node, f".{self.name}")
        return self.usual.__get__(node)

    def __set__(self, node: Any, x: float) -> None:
        trace = _trace_of_user()
        is_made = hasattr(node, "op")  # a node that is being copied has no operation yet
        if trace is not None and is_made and trace.operand(node).__class__ is int:
            leaf = f"the leaf {node.label}" if node.label else "a leaf"
            raise located_error(
                f"the function assigns {self.name} to {leaf}: this would happen once, when it is "
                "compiled, and never again",
                "return the number, and assign it outside",
            )
        self.usual.__set__(node, x)


class _ModeGuard(_Guard):
    """Stands in for the mode of modules, ``training``, which a program depends on."""

    def __get__(self, module: Any, owner: Any = None) -> Any:
        if module is None:
            return self.usual
        if (trace := trace_in_progress()) is not None:
            trace.add_modules([module])
        return vars(module).get(self.name, self.usual)

    def __set__(self, module: Any, mode: Any) -> None:
        vars(module)[self.name] = mode

    def __delete__(self, module: Any) -> None:
        if vars(module).pop(self.name, None) is None:
            raise AttributeError(self.name)


# the files of the operators and of float(), and that of their errors
_READERS = {module.__file__ for module in (value, calls, interpreter)}


def _trace_of_user() -> Trace | None:
    """Returns the trace in progress, unless the engine's operators ask for a number.

    It is that of this thread, also where a function runs in a context of its own.
    """
    if sys._getframe(2).f_code.co_filename in _READERS:
        return None
    if (trace := trace_in_progress()) is not None:
        return trace  # type: ignore[no-any-return]
    thread = threading.get_ident()
    return next((trace for trace in tuple(_tracing) if trace.thread == thread), None)


_guards = [_SlotGuard(Node, "data"), _SlotGuard(Node, "grad"), _ModeGuard(Module, "training")]

# From the values of the numbers among them to the positional and the keyword arguments
Arguments = Callable[[list[Any]], tuple[Any, Any]]


def record_trace(
    f: Callable[..., Any],
    names: Sequence[str],
    arguments: Arguments,
    check: bool = True,
    unchanged: str = "",
    kind: Kind = "values",
    state: State | None = None,
) -> tuple[Trace, Any]:
    """Runs ``f`` on traced values; returns the trace and the result of ``f``.

    names: a name for each number among the arguments.
    arguments: returns the positional and the keyword arguments, with the given values in them.
    check: whether ``f`` runs twice, to compare the programs.
    unchanged: if not empty, ``f`` must not change anything, closure variables and globals
        included.  Errors call ``f`` by this name.
    kind: what the arguments are when ``f`` itself is called.
    state: the present state that ``f`` can reach, if it is known.

    Attributes of objects and random generators that ``f`` changes are put back, and with
    ``unchanged`` variables too.  What other threads draw from a generator stays as it is.

    Raises TraceError if ``f`` needs a number that is not known yet, if its runs differ, or if it
    changes something in spite of ``unchanged``.
    """
    if state is None:
        state = State(f, *arguments([0.0] * len(names)))
    if unchanged and state.opaque:
        raise TraceError(
            f"{unchanged} can reach {some(state.opaque)}, an iterator or a file, which machine "
            f"code cannot advance\nread it before, and keep what it gave in a list; {STATIC}"
        )
    run = partial(_run, f, names, arguments, kind)
    is_same = False  # whether nothing needs to be put back
    try:
        trace, result = run()
        if unchanged:
            check_unchanged(state, unchanged)
            is_same = not check
        if check:
            _check_again(trace, run, state)
        if unchanged and state.draws() and (drawn := state.draws(_drawn_by(run, state, True))):
            raise TraceError(
                f"{unchanged} draws from the random generator {some(drawn)}, but machine code does "
                f"not\ndraw outside of it, and put the numbers into the samples; {STATIC}"
            )
        trace.add_modules(state.modules)
        return trace, result
    finally:
        if not is_same:
            state.restore(variables=bool(unchanged), among=lambda generator: False)
        if state.draws():  # by the function, or by another thread, whose draws are left alone
            among = _drawn_by(run, state, bool(unchanged))
            state.restore(variables=bool(unchanged), among=among)


def check_unchanged(state: State, what: str) -> None:
    """Raises TraceError with the names of what has changed; ``what`` names the function."""
    if changed := state.changes():
        raise TraceError(
            f"{what} changes {some(changed)} when it is called, but machine code does not\n"
            f"change it in on_epoch; if it is a cache, call the model once before; {STATIC}"
        )


def _check_again(trace: Trace, run: Callable[..., tuple[Trace, Any]], state: State) -> None:
    """Runs the function again, and raises TraceError if the program differs or draws numbers."""
    try:
        again, _ = run()
    except TraceError as error:
        if changed := state.changes():
            error.args = (f"{error}\nthe function changes {some(changed)} when it is called",)
        raise
    found = difference(trace, again)
    if found is None and not state.draws(lambda generator: generator is MODULE_RANDOM):
        return
    line, draws = _watched(run, found[0] if found else 0)
    # other generators are put back; and another thread may have drawn from this one
    if found is not None or id(MODULE_RANDOM) in draws:
        for _, where in draws.values():
            raise located_error(
                "the function draws random numbers while it is traced: they would be the same at "
                "each call",
                "draw them outside and pass them as arguments",
                where,
            )
    if found is not None:
        changed = state.changes()
        because = f", and it changes {some(changed)}" if changed else ""
        raise located_error(
            f"the function does not do the same at every call: {found[1]}{because}",
            "draw or count outside of it, and pass the numbers as arguments",
            line,
        )


def difference(here: Trace, there: Trace) -> tuple[Ref, str] | None:
    """Returns the first node that differs in another run, and how; None if all are equal."""
    # as bytes, nan equals nan, and 0.0 differs from -0.0
    if marshal.dumps(here.nodes, 2) == marshal.dumps(there.nodes, 2):
        refs = (ref for ref, (op, _) in enumerate(here.nodes) if op == "parameter")
        return next(((ref, "it uses other leaves")
                     for ref, x, y in zip(refs, here.parameters, there.parameters) if x is not y),
                    None)
    for i, (node, other) in enumerate(zip(here.nodes, there.nodes)):
        if repr(node) != repr(other):
            return i, f"once `{here.text(i)}`, and once `{there.text(i)}`"
    counts = len(here.nodes), len(there.nodes)
    return min(counts) - 1, "once it has {} nodes, and once {}".format(*counts)


def _drawn_by(
    run: Callable[..., tuple[Trace, Any]], state: State, variables: bool
) -> Callable[[Any], bool]:
    """Runs the function again; returns which generators it draws from, as `State.may_draw` does."""
    state.restore(variables, among=lambda generator: False)
    _, draws = _watched(run)
    return state.may_draw(draws)


def _watched(
    run: Callable[..., tuple[Trace, Any]], node: Ref = 0
) -> tuple[CodePosition, dict[int, tuple[Any, CodePosition]]]:
    """Runs the function again; returns the line of ``node``, and the draws in this thread.

    A draw is a generator of `random`, and the line that first draws from it, by the generator's id.
    """
    at = user_location()
    draws: dict[int, tuple[Any, CodePosition]] = {}

    class Watched(Trace):
        found = False

        def _append(self, op: str, args: tuple[Any, ...]) -> Ref:
            nonlocal at
            if not self.found:
                at = user_location()
                self.found = len(self.nodes) >= node
            return super()._append(op, args)

    def watch(frame: Any, event: str, called: Any) -> None:
        owner = None
        if event == "c_call" and called.__name__ != "getstate":
            owner = getattr(called, "__self__", None)
        elif event == "call" and frame.f_code is _GAUSS:  # it keeps a number for its next call
            owner = frame.f_locals["self"]
        if isinstance(owner, _GENERATOR):
            draws.setdefault(id(owner), (owner, user_location()))

    profile = sys.getprofile()
    sys.setprofile(watch)
    try:
        run(Watched)
    except Exception:  # as when it ran before
        pass
    finally:
        sys.setprofile(profile)
    return at, draws


_GENERATOR: Any = random.Random.__base__  # the C class whose methods draw for all of `random`
_GAUSS = random.Random.gauss.__code__


def _run(
    f: Callable[..., Any],
    names: Sequence[str],
    arguments: Arguments,
    kind: Kind,
    make: type[Trace] = Trace,
) -> tuple[Trace, Any]:
    trace = make(names, kind)
    # the derivatives of a function of arguments are those of `value_and_grad`
    inside = inside_transform(bool(names) and kind != "numbers")
    with _guarded(trace), using(trace), recording(True), inside, without_collection():
        args, kwargs = arguments([Traced(trace, i) for i in range(len(names))])
        before = [*_entries((args, kwargs))]
        try:
            result = f(*args, **kwargs)
        except Exception:
            if trace.first_error is None:
                raise
        after = [*_entries((args, kwargs))]
        if trace.first_error is None and [*map(id, before)] != [*map(id, after)]:
            raise TraceError(
                "the function changes an argument in place, as x[0] = ... or x.append(...) do, but "
                f"machine code does not\nmake a new list or array of it, x = [*x]; {STATIC}"
            )
        if trace.first_error is not None:
            raise trace.first_error
        trace.finish()
        return trace, result


def _entries(x: Any) -> Iterator[Any]:
    """Yields what is in nested lists, tuples, dicts and arrays."""
    if isinstance(x, dict):
        x = [*x, *x.values()]
    elif hasattr(x, "flat") and hasattr(x, "dtype"):
        x = [*x.flat] if x.dtype.hasobject else [x]
        yield from x
        return
    if isinstance(x, (list, tuple)):
        for entry in x:
            yield from _entries(entry)
    else:
        yield x


@contextmanager
def _guarded(trace: Trace) -> Iterator[None]:
    """Installs the guards, which apply to all threads; each asks whether its thread is tracing."""
    try:
        with _tracing_lock:
            _tracing.add(trace)
            for guard in _guards:
                guard.install(True)
        yield
    finally:
        with _tracing_lock:
            _tracing.discard(trace)
            for guard in _guards:
                guard.install(bool(_tracing))
