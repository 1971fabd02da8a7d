"""How a tape is run: compiled straight-line, by the tape machine, or replayed in Python; the same
bits in each way."""

from __future__ import annotations

import sys
import warnings
from array import array
from collections.abc import Callable, Sequence

from ..tape.tape import Tape
from . import objects

# operations, up to which straight-line code is compiled: its compile time grows with its length
MAX_STRAIGHT_LINE_OPS = 10_000


class Kernel:
    """A tape, and what runs it: called with the inputs, a list of floats, it returns the outputs.
    """

    def __init__(self, tape: Tape, run: Callable[[Sequence[float]], list[float]], kind: str) -> None:
        self.tape, self.kind = tape, kind
        self._run = run

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        return self._run(inputs)

    def __repr__(self) -> str:
        return f"<{self.kind}: {self.tape!r}>"


def is_compiled(tape: Tape) -> bool:
    """Whether straight-line code is made of a tape here."""
    return objects.available() and tape.operations <= MAX_STRAIGHT_LINE_OPS


def kernel(tape: Tape) -> Kernel:
    """The fastest way to run a tape that there is here."""
    if not objects.available():
        _warn_once()
        return Kernel(tape, lambda inputs: tape.run(array("d", inputs)), "replayed")
    from . import machine, straight_line

    if is_compiled(tape):
        return Kernel(tape, straight_line.Scalar(tape), "compiled")
    return Kernel(tape, machine.Machine(tape), "tape machine")


def _warn_once() -> None:
    global _has_warned
    if not _has_warned:
        _has_warned = True
        warnings.warn(
            f'jit replays in Python, since llvmlite {objects.missing()}; pip install '
            '"tinygrad_edu[fast]" makes it '
            "some hundred times faster, with the same bits",
            RuntimeWarning,
            stacklevel=_user_stacklevel(),
        )


def _user_stacklevel() -> int:
    """How many calls it is to the user's program."""
    frame, level = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "tinygrad_edu",
        "functools",
    ):
        frame, level = frame.f_back, level + 1
    return level


_has_warned = False
