"""What runs in a worker: a call with things that are sent once, and kept by their digest.

A compiled program is such a thing.  A worker that does not have it answers so, and is sent it.  As
long as the worker lives, each program is compiled there once.
"""

from __future__ import annotations

import copy
import hashlib
import multiprocessing
import os
import pickle
import platform
import signal
import threading
import time
import traceback
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import nan
from typing import Any

from ...engine.primitive import PACKAGE, TABLE

MAX_KEPT_BYTES = 512 * 2**20  # of the things that a worker keeps, as pickles


@dataclass(eq=False)
class Shared:
    """Something that many tasks use.  Each worker is sent it once."""

    thing: Any

    @cached_property
    def _digest_and_size(self) -> tuple[str, int]:
        pickled = pickle.dumps(self.thing, pickle.HIGHEST_PROTOCOL)
        return hashlib.sha256(pickled).hexdigest(), len(pickled)

    @property
    def digest(self) -> str:
        """The name by which workers keep it."""
        return self._digest_and_size[0]

    @property
    def size(self) -> int:
        """The bytes that are sent."""
        return self._digest_and_size[1]


@dataclass
class Done:
    """The result of a task.

    worker: the machine, the process and the thread.
    seconds: how long it took.
    arithmetic: see `arithmetic`.
    """

    result: Any
    worker: tuple[str, int, int]
    seconds: float
    arithmetic: str


@dataclass
class Missing:
    """The answer of a worker that does not have these things."""

    digests: list[str]


@dataclass
class Raised:
    """The answer of a worker in which the call raised an error."""

    error: Exception


@cache
def arithmetic() -> str:
    """Returns a text that differs if this process computes other last digits than another one.

    Versions of the C library, and processors for which it has other code, differ in them.
    """
    points = [sign * 0.001 * 1.0937**k for k in range(140) for sign in (1, -1)]  # up to 300
    hashed = hashlib.sha256()
    for row in TABLE.values():
        if row.module == PACKAGE and row.library.isidentifier():
            found = [row.forward(*[x, 0.7, x][:row.arity]) for x in points]
            hashed.update(array("d", [x if x == x else nan for x in found]).tobytes())
    return hashed.hexdigest()


_kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()  # things and their sizes, by digest
_lock = threading.Lock()


def perform(
    call: Callable[..., Any],
    digests: Sequence[str],
    sent: Mapping[str, tuple[Any, int]],
    args: Sequence[Any],
) -> Done | Missing | Raised:
    """Runs ``call(*things, *args)`` in a worker.

    digests: the things
    sent: those among them that came with the task, each with its size
    """
    _leave_interrupts()
    with _lock:
        for digest, found in sent.items():
            _kept.setdefault(digest, found)
        missing = [digest for digest in digests if digest not in _kept]
        if missing:
            return Missing(missing)
        for digest in digests:
            _kept.move_to_end(digest)
        things = [_kept[digest][0] for digest in digests]
        total = sum(size for _, size in _kept.values())
        while total > MAX_KEPT_BYTES and len(_kept) > len(digests):
            _, (_, size) = _kept.popitem(last=False)
            total -= size
    answer = perform_with(call, things, args)
    if isinstance(answer, Raised):
        answer.error = _portable(answer.error)
    return answer


def _portable(error: Exception) -> Exception:
    """Returns an error that arrives: a pool is lost if it cannot read what a worker sends."""
    try:
        pickle.dumps(error)
        copy.deepcopy(error)  # makes it again, as the parent does
    except Exception:
        return RuntimeError("".join(traceback.format_exception_only(error)).strip())
    return error


def perform_with(
    call: Callable[..., Any], things: Sequence[Any], args: Sequence[Any]
) -> Done | Raised:
    """Does what `perform` does in a thread of this process, which has the things."""
    try:
        began = time.perf_counter()
        result = call(*things, *args)
        worker = platform.node(), os.getpid(), threading.get_ident()
        return Done(result, worker, time.perf_counter() - began, arithmetic())
    except Exception as error:
        return Raised(error)


def _leave_interrupts() -> None:
    """Leaves Ctrl-C to the parent of a worker process.

    It reaches all processes of a terminal.  A worker that it stops while it returns a result leaves
    half of that in a pipe, and its pool waits for the other half for ever.
    """
    is_worker = multiprocessing.parent_process() is not None
    if is_worker and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
