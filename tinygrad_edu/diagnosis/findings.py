"""The results of `diagnose`: a `Diagnosis`, its `Finding` objects, and their printed form."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import counted

WIDTH = 100  # characters of a printed line


@dataclass(frozen=True, eq=False)  # its numbers are a dict, which has no hash
class Finding:
    """One thing that is wrong.

    kind: a short name.
        For a layer: "dead units", "saturated units", "vanishing gradient", "exploding gradient",
        "gradient not finite".
        For parameters: "unused parameters", "no gradient".
        For a training run: "loss diverges", "loss not finite", "loss stands still", "loss
        oscillates", "loss jumps", "penalty too large".
        For an optimiser: "learning rate too large", "learning rate too small".
    where: the path of the layer, the names of the parameters, "loss" or "learning rate".
    numbers: the measurements behind the finding, by name.  ``suggested_rate``, if present, is a
        better learning rate.
    sentence: what is wrong, with these numbers.
    advice: what to do about it, in one sentence.
    """

    kind: str
    where: str
    numbers: Mapping[str, float]
    sentence: str
    advice: str

    def __str__(self) -> str:
        sentence = _wrapped("  ", self.sentence)
        advice = _wrapped("  ", f"Advice: {self.advice}")
        return "\n".join([f"{self.kind}: {self.where}", *sentence, *advice])


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The result of `diagnose`: what was examined, and the findings.

    It is true if there are no findings: ``assert diagnose(model)``.  Iterating over it yields the
    findings, and ``print(diagnosis)`` shows them with advice.

    subject: the model or the training run, in words.
    looked_at: one text for each thing that was examined, with the numbers.
    findings: what is wrong, the loss first, then layer by layer.
    """

    subject: str
    looked_at: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.healthy

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        found = counted(len(self.findings), "finding") if self.findings else "nothing found"
        lines = [f"Diagnosis of {self.subject}: {found}", "looked at:"]
        for look in self.looked_at:
            lines += _wrapped("  - ", look, "    ")
        for i, finding in enumerate(self.findings, 1):
            lines += ["", *f"{i}. {finding}".split("\n")]
        return "\n".join(lines)

    __repr__ = __str__


def _wrapped(start: str, text: str, indent: str = "  ") -> list[str]:
    """Returns ``text`` as lines of at most `WIDTH` characters.

    The first line begins with ``start``, the others with ``indent``.
    """
    return textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )


def rounded_rate(rate: float) -> float:
    """Returns a learning rate rounded to two digits.

    Trials and estimates are no more precise than that.
    """
    return float(f"{rate:.1e}")
