"""Chooses how a tape is run: compiled, by the tape machine, or replayed in Python.

All three give the same bits.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from ...debug.anomaly import source_line, user_location
from ..tape.tape import Tape
from . import objects

MAX_STRAIGHT_LINE_OPS = 10_000  # compile time grows with length; longer tapes are interpreted


class Kernel:
    """A tape and the fastest way to run it that this installation has.

    Called with the list of inputs, it returns the outputs; the first call compiles it.

    kind    "compiled", "tape machine" or "replayed"
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.kind = "compiled" if is_compiled(tape) else "tape machine"
        if not objects.available():
            self.kind = "replayed"
            _warn_once()

    @cached_property
    def _run(self) -> Callable[[Sequence[float]], list[float]]:
        if self.kind == "replayed":
            return lambda inputs: self.tape.run(array("d", inputs))
        if self.kind == "compiled":
            from .straight_line import Scalar as Runner
        else:
            from .machine import Machine as Runner  # type: ignore[assignment]
        return Runner(self.tape)

    def __call__(self, inputs: Sequence[float]) -> list[float]:
        return self._run(inputs)

    @cached_property
    def code(self) -> int:
        """The address of its function, if that is compiled and calls back no rows; else 0."""
        runner: Any = self._run
        is_alone = self.kind == "compiled" and not runner.calls_back
        return int(runner.address) if is_alone else 0

    def __repr__(self) -> str:
        return f"<{self.kind}: {self.tape!r}>"


def is_compiled(tape: Tape) -> bool:
    """Whether a `Kernel` compiles straight-line code for this tape."""
    is_short = len(tape) <= MAX_STRAIGHT_LINE_OPS and tape.operations <= MAX_STRAIGHT_LINE_OPS
    return is_short and objects.available()


def _warn_once() -> None:
    """Warns that llvmlite is missing, once a process."""
    global _has_warned
    if not _has_warned:
        _has_warned = True
        file, line, _ = source_line(user_location())
        warnings.warn_explicit(
            f"jit replays in Python, since llvmlite {objects.host().missing}; pip install "
            '"tinygrad_edu[fast]" makes it some hundred times faster, with the same bits',
            RuntimeWarning,
            file,
            line,
        )


_has_warned = False
