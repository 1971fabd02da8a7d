"""What workers of executors are asked in tests: at the top level of a module, so that they can
import it."""

import os
import threading
import time

from tinygrad_edu.jit.parallel import sharing, tasks
from tinygrad_edu.jit.parallel.batched import Recipe
from tinygrad_edu.train.compiled.kernels import Kernel


def programs(seconds=0.0):
    """Returns the worker's process and the programs that it keeps, by digest: those that are
    compiled, with the compiled object's identity.

    It takes some time, so that other workers answer, too.
    """
    time.sleep(seconds)
    kernels = {
        digest: {name: id(x) for name, x in vars(thing).items() if name in ("batch", "machine")}
        for digest, (thing, _) in tasks._kept.items() if isinstance(thing, Kernel)
    }
    return os.getpid(), kernels


def compute_otherwise():
    """Makes the worker one whose C library has other last digits."""
    tasks.arithmetic = lambda: "other digits"


def recipes():
    """Returns the worker's process, and the functions of batches that it has compiled."""
    kept = {digest: id(thing.batched) for digest, (thing, _) in tasks._kept.items()
            if isinstance(thing, Recipe)}
    return os.getpid(), kept


def lose_memory():
    """Makes the worker one that does not find the shared memory of a part."""
    sharing.attached = lambda path, label: None


class RefusedError(Exception):
    """An error that can be pickled, but not be made again."""

    def __init__(self, row, number):
        super().__init__(f"{row} refuses {number}")


class LockedError(Exception):
    """An error that cannot be pickled."""

    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class SilentError(RefusedError):
    """An error without a text."""

    def __str__(self):
        raise ValueError


REFUSED = {
    "plain": "RefusedError: the row refuses 2.0",
    "nested": "the message",
    "grouped": "ExceptionGroup: several (1 sub-exception)",
    "locked": "LockedError: it is locked",
    "silent": "SilentError: <exception str() failed>",
}


def refuse(kind):
    """Raises an error in the worker that would not arrive in its parent."""
    error = RefusedError("the row", 2.0)
    raise {
        "plain": error,
        "nested": ValueError("the message", error),
        "grouped": ExceptionGroup("several", [error]),
        "locked": LockedError("it is locked"),
        "silent": SilentError("the row", 2.0),
    }[kind]
