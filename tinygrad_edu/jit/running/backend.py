"""Chooses how a tape is run: compiled, by the tape machine, or replayed in Python.

All three give the same bits.
"""

from __future__ import annotations

import sys
import warnings
from array import array
from collections.abc import Callable, Sequence

from ..tape.tape import Tape
from . import objects

MAX_STRAIGHT_LINE_OPS = 10_000  # compile time grows with length; longer tapes are interpreted


class Kernel:
    """A tape and a way to run it.  Called with the list of inputs, it returns the outputs.

    kind    "compiled", "tape machine" or "replayed"
    """

    def __init__(
        self, tape: Tape, run: Callable[[Sequence[float]], list[float]], kind: str
    ) -> None:
        self.tape = tape
        self.kind = kind
        self._run = run

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        return self._run(inputs)

    def __repr__(self) -> str:
        return f"<{self.kind}: {self.tape!r}>"


def is_compiled(tape: Tape) -> bool:
    """Whether `kernel` compiles straight-line code for this tape."""
    return objects.available() and tape.operations <= MAX_STRAIGHT_LINE_OPS


def kernel(tape: Tape) -> Kernel:
    """Returns the fastest kernel for a tape that this installation has."""
    if not objects.available():
        _warn_once()
        return Kernel(tape, lambda inputs: tape.run(array("d", inputs)), "replayed")
    from . import machine, straight_line

    if is_compiled(tape):
        return Kernel(tape, straight_line.Scalar(tape), "compiled")
    return Kernel(tape, machine.Machine(tape), "tape machine")


def _warn_once() -> None:
    """Warns that llvmlite is missing, once a process."""
    global _has_warned
    if not _has_warned:
        _has_warned = True
        warnings.warn(
            f"jit replays in Python, since llvmlite {objects.missing()}; pip install "
            '"tinygrad_edu[fast]" makes it some hundred times faster, with the same bits',
            RuntimeWarning,
            stacklevel=_user_stacklevel(),
        )


def _user_stacklevel() -> int:
    """Returns the ``stacklevel`` of the first frame outside of this package."""
    frame = sys._getframe(2)
    level = 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "tinygrad_edu",
        "functools",
    ):
        frame = frame.f_back
        level += 1
    return level


_has_warned = False
