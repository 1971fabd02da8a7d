"""`Finding` and `Diagnosis`, the result of `diagnose`, and how they are printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import counted

WIDTH = 100  # characters of a printed line


@dataclass(frozen=True, eq=False)  # its numbers are a dict, which has no hash
class Finding:
    """One thing that is wrong.

    kind      of a layer: "dead units", "saturated units", "vanishing gradient", "exploding
              gradient", "gradient not finite"; of parameters: "unused parameters", "no gradient";
              of a training run: "loss diverges", "loss not finite", "loss stands still", "loss
              oscillates"; where a rate was tried from the present parameters:  "learning rate too
              large", "learning rate too small"
    where     the path of the layer, the names of parameters, or "loss"
    numbers   what it rests on, by name; ``suggested_rate`` is the learning rate that would do,
              where one was found
    sentence  what is wrong, with these numbers
    advice    one sentence: what to do about it
    """

    kind: str
    where: str
    numbers: Mapping[str, float]
    sentence: str
    advice: str

    def __str__(self) -> str:
        sentence = _wrapped(self.sentence, "  ")
        advice = _wrapped(f"Advice: {self.advice}", "  ")
        return "\n".join([f"{self.kind}: {self.where}", *sentence, *advice])


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` looked at, and what it found.  Iterating over it gives the findings.

    It is true if it is healthy, as the report of `gradcheck` is true if the gradients are right:
    ``assert diagnose(model)`` holds when nothing was found.  Printed, it is a text to read.

    subject     what was diagnosed
    looked_at   what was looked at, one sentence each, with the numbers
    findings    what is wrong, the loss first, then layer by layer
    """

    subject: str
    looked_at: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.healthy

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        found = counted(len(self.findings), "finding") if self.findings else "nothing found"
        lines = [f"Diagnosis of {self.subject}: {found}", "looked at:"]
        for look in self.looked_at:
            lines += _wrapped(look, "    ", first="  - ")
        for i, finding in enumerate(self.findings, 1):
            lines += ["", *f"{i}. {finding}".split("\n")]
        return "\n".join(lines)

    __repr__ = __str__


def _wrapped(text: str, indent: str, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def rounded(x: float) -> float:
    """Returns a learning rate with the two digits that a trial or an estimate has at best."""
    return float(f"{x:.1e}")
