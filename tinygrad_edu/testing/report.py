"""What `gradcheck` returns: a `Report` of entries, one for each derivative, and its verdict."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import NamedTuple

MAX_SHOWN = 20  # entries of a printed report


class Entry(NamedTuple):
    """One derivative, compared with finite differences.

    name: the argument, ``x``; for a second derivative the two arguments, ``x, y``.
    analytic: the derivative that the engine computes.
    numeric: the derivative that finite differences give; nan if they cannot be taken.
    step: the first step of the differences, in units of the argument.
    error: the estimated error of ``numeric``.
    allowed: the largest difference that is allowed between the two derivatives: the tolerance plus
        the rounding error of the differences.
    status: the outcome of the comparison.
        "ok": the derivatives agree.
        "mismatch": they do not agree; for a row, also if ``analytic`` is inf or nan, although the
        differences agree on a number.
        "singular": ``analytic`` is inf or nan, although the function is finite on both sides of the
        point, and not infinite there.
        "nonfinite": a derivative, or the function near the point, is inf or nan.  This includes
        poles, such as 1/x at 0, where the value is inf, and edges of the domain.
        "kink": they were not compared, because the function has a kink or jump at this point or
        closer than the smallest step.
        "undefined": the function is nan at the point, although ``analytic`` is a number.
        "imprecise": the differences are not precise enough for a comparison.  This says nothing
        about ``analytic``.
    """

    name: str
    analytic: float
    numeric: float
    step: float
    error: float
    allowed: float
    status: str

    @property
    def excess(self) -> float:
        """The difference between the two derivatives, as a fraction of the allowed difference."""
        if self.analytic == self.numeric:
            return 0.0
        if not self.allowed or not isfinite(self.analytic):
            return inf
        return abs(self.analytic - self.numeric) / self.allowed


@dataclass(eq=False, repr=False)
class Report:
    """The result of `gradcheck`.

    A report is true if its verdict is "ok": at least one derivative was compared, and none failed.

    names: the names of the numbers that are differentiated.
    notes: for singular points, which operation made the derivative inf or nan; and the arguments
        that are not differentiated.
    """

    title: str
    entries: list[Entry]
    rtol: float
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.verdict == "ok"

    @property
    def verdict(self) -> str:
        """What the comparison says as a whole.

        "FAILED": an entry is "mismatch", "singular" or "nonfinite".
        "ok": no entry failed, and at least one was compared.  Others may be "kink" or "imprecise".
        "imprecise": none failed and none was compared, at least one because of its differences.
        "nothing to compare": there are no entries, all are at kinks, or the function is nan.
        """
        if self.failures:
            return "FAILED"
        if self.compared:
            return "ok"
        return "imprecise" if self.imprecise else "nothing to compare"

    @property
    def failures(self) -> list[Entry]:
        """The entries that make the verdict "FAILED"."""
        return self._with_status("mismatch", "singular", "nonfinite")

    @property
    def kinks(self) -> list[Entry]:
        """The entries that were not compared, because the function has a kink there."""
        return self._with_status("kink")

    @property
    def imprecise(self) -> list[Entry]:
        """The entries that could not be compared, because the differences are too imprecise."""
        return self._with_status("imprecise")

    @property
    def compared(self) -> list[Entry]:
        """The entries whose differences were precise enough for a comparison."""
        return self._with_status("ok", "mismatch")

    def _with_status(self, *statuses: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.status in statuses]

    @property
    def worst(self) -> float:
        """The largest difference among the compared entries, as a fraction of the allowed one.

        Above 1 is a mismatch.
        """
        return max((entry.excess for entry in self.compared), default=0.0)

    def __str__(self) -> str:
        counts = [
            f"{len(self.compared)} compared",
            f"{len(self.failures)} failed",
            f"{len(self.kinks)} at kinks",
        ]
        if self.imprecise:
            counts.append(f"{len(self.imprecise)} imprecise")
        first = f"{self.title}: {self.verdict}, {', '.join(counts)}"
        if self.compared:
            first += (
                f"; tolerance {self.rtol:g} relative, "
                f"largest difference {self.worst:.1g} of what is allowed"
            )
        reason = self.verdict if self.entries else ""
        if self._with_status("undefined"):
            reason = "undefined"
        lines = [first + _REASONS.get(reason, "")]
        ranks = {"kink": 1, "ok": 2}
        ordered = sorted(self.entries, key=lambda entry: ranks.get(entry.status, 0))
        shown = ordered[:MAX_SHOWN]
        width = max([len(entry.name) for entry in shown], default=0)
        for entry in shown:
            lines.append(
                f"  {entry.name:{width}}  {entry.status:9}  analytic {entry.analytic:<23.16g} "
                f"numeric {entry.numeric:<23.16g} error estimate {entry.error:.0e}  "
                f"step {entry.step:.1e}"
            )
        if len(ordered) > MAX_SHOWN:
            lines.append(f"  ... and {len(ordered) - MAX_SHOWN} more")
        lines += [textwrap.indent(note, "  ") for note in self.notes]
        return "\n".join(lines)

    __repr__ = __str__




# why nothing was compared; "" if there is no entry
_REASONS = {
    "": "; no argument has a number in it, and there are no parameters",
    "undefined": "; the function is nan here, choose another point",
    "nothing to compare": "; the function has a kink or jump here, choose another point",
    "imprecise": "; differences are too imprecise here to tell right from wrong, which is no error",
}
