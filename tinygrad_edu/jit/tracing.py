"""Tracing: a function runs on traced values, and its operations are recorded.

    >>> trace, y = record_trace(lambda x: 2 * x, ["x"], lambda values: (values, {}))
    >>> trace.nodes
    [('input', (0,)), ('mul', (2.0, 0))]

The function runs twice, and both runs must record the same program: random numbers and counters
would become constants.  What the function changes is put back (`state`).
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..debug.anomaly import CodePosition, user_location
from ..engine import value
from ..engine.autodiff import inside_transform
from ..engine.graph import Node
from ..engine.interpreter import recording, using
from ..errors import TraceError, some
from .state import State
from .tape.operations import Ref
from .trace import Kind, Trace
from .traced import STATIC, Traced, located_error, trace_in_progress

# The traces in progress, in all threads; the guards below are installed while there are any
_tracing: set[Trace] = set()
_tracing_lock = threading.Lock()


class _Guard:
    """Stands in for the slots ``data`` and ``grad`` of Values while a function is traced.

    The traced function can reach any leaf and read its number, so reading is checked here.  Other
    threads read the slot.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.slot = Node.__dict__[name]

    def __get__(self, node: Any, owner: Any = None) -> Any:
        if node is None:
            return self.slot
        if (trace := _trace_of_user()) is not None:
            trace.number_of(node, f".{self.name}")
        return self.slot.__get__(node)

    def __set__(self, node: Any, x: float) -> None:
        trace = _trace_of_user()
        if trace is not None and trace.operand(node).__class__ is int:
            leaf = f"the leaf {node.label}" if node.label else "a leaf"
            raise located_error(
                f"the function assigns {self.name} to {leaf}: this would happen once, when it is "
                "compiled, and never again",
                "return the number, and assign it outside",
            )
        self.slot.__set__(node, x)


def _trace_of_user() -> Trace | None:
    """Returns the trace in progress, unless the engine's operators ask for a number."""
    in_engine = sys._getframe(2).f_code.co_filename == value.__file__
    return None if in_engine else trace_in_progress()


_guards = [_Guard("data"), _Guard("grad")]

# From the values of the numbers among them to the positional and the keyword arguments
Arguments = Callable[[list[Any]], tuple[Any, Any]]


def record_trace(
    f: Callable[..., Any],
    names: Sequence[str],
    arguments: Arguments,
    check: bool = True,
    unchanged: str = "",
    kind: Kind = "values",
) -> tuple[Trace, Any]:
    """Runs ``f`` on traced values; returns the trace and the result of ``f``.

    names: a name for each number among the arguments.
    arguments: returns the positional and the keyword arguments, with the given values in them.
    check: whether ``f`` runs twice, to compare the programs.
    unchanged: if not empty, ``f`` must not change anything, closure variables and globals
        included.  Errors call ``f`` by this name.
    kind: what the arguments are when ``f`` itself is called.

    Attributes of objects and random generators that ``f`` changes are put back, and with
    ``unchanged`` variables too.

    Raises TraceError if ``f`` needs a number that is not known yet, if its runs differ, or if it
    changes something in spite of ``unchanged``.
    """
    args, kwargs = arguments([0.0] * len(names))
    state = State(f, args, kwargs)
    run = partial(_run, f, names, arguments, kind)
    before = random.getstate()
    try:
        trace, result = run()
        if unchanged:
            check_unchanged(state, unchanged)
        if check:
            _check_again(trace, run, state)
        if unchanged and (drawn := state.draws()):
            raise TraceError(
                f"{unchanged} draws from the random generator {some(drawn)}, but machine code does "
                f"not\ndraw outside of it, and put the numbers into the samples; {STATIC}"
            )
        trace.modules = state.modules
        return trace, result
    finally:
        state.restore(variables=bool(unchanged))
        if random.getstate() != before:
            random.setstate(before)


def check_unchanged(state: State, what: str) -> None:
    """Raises TraceError with the names of what has changed; ``what`` names the function."""
    if changed := state.changes():
        raise TraceError(
            f"{what} changes {some(changed)} when it is called, but machine code does not\n"
            f"change it in on_epoch; if it is a cache, call the model once before; {STATIC}"
        )


def _check_again(trace: Trace, run: Callable[..., tuple[Trace, Any]], state: State) -> None:
    """Runs the function again, and raises TraceError if the program differs or draws numbers."""
    before = random.getstate()
    try:
        again, _ = run()
    except TraceError as error:
        if changed := state.changes():
            error.args = (f"{error}\nthe function changes {some(changed)} when it is called",)
        raise
    difference = trace.difference(again)
    if random.getstate() == before and difference is None:
        return
    # without the number that `gauss` keeps for its next call, so that it draws
    random.setstate((*before[:2], None))
    line, draws = _watched(run, difference[0] if difference else 0)
    if draws:  # in this thread; another one may have changed the state of `random`
        raise located_error(
            "the function draws random numbers while it is traced: they would be the same at each "
            "call",
            "draw them outside and pass them as arguments",
            draws[0],
        )
    if difference is not None:
        changed = state.changes()
        because = f", and it changes {some(changed)}" if changed else ""
        raise located_error(
            f"the function does not do the same at every call: {difference[1]}{because}",
            "draw or count outside of it, and pass the numbers as arguments",
            line,
        )


def _watched(
    run: Callable[..., tuple[Trace, Any]], node: Ref
) -> tuple[CodePosition, list[CodePosition]]:
    """Runs the function again; returns the line of ``node``, and lines that draw numbers."""
    at = user_location()
    draws: list[CodePosition] = []

    class Watched(Trace):
        found = False

        def _append(self, op: str, args: tuple[Any, ...]) -> Ref:
            nonlocal at
            if not self.found:
                at = user_location()
                self.found = len(self.nodes) >= node
            return super()._append(op, args)

    def watch(frame: Any, event: str, called: Any) -> None:
        owner = getattr(called, "__self__", None)
        if event == "c_call" and not draws and isinstance(owner, _GENERATOR):
            draws.append(user_location())

    profile = sys.getprofile()
    sys.setprofile(watch)
    try:
        run(Watched)
    finally:
        sys.setprofile(profile)
    return at, draws


_GENERATOR: Any = random.Random.__base__  # the C class whose methods draw for all of `random`


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
    with _guarded(trace), using(trace), recording(True), inside:
        args, kwargs = arguments([Traced(trace, i) for i in range(len(names))])
        try:
            result = f(*args, **kwargs)
        except Exception:
            if trace.first_error is None:
                raise
        if trace.first_error is not None:
            raise trace.first_error
        trace.finish()
        return trace, result


@contextmanager
def _guarded(trace: Trace) -> Iterator[None]:
    """Installs the guards, which apply to all Values; each asks whether its thread is tracing."""
    try:
        with _tracing_lock:
            _tracing.add(trace)
            for guard in _guards:
                setattr(Node, guard.name, guard)
        yield
    finally:
        with _tracing_lock:
            _tracing.discard(trace)
            for guard in _guards:
                setattr(Node, guard.name, guard if _tracing else guard.slot)
