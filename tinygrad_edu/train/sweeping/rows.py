"""The results of a sweep: a `Row` for each training, and the `Sweep`, a table of them.

    >>> rows = [Row({"lr": lr}, seed, 1.0, loss, loss) for lr, seed, loss in [
    ...     (0.1, 0, 0.5), (0.1, 1, 0.25), (1.0, 0, 0.125), (1.0, 1, 8.0)]]
    >>> Sweep(rows)
    Sweep: 4 trainings
       lr  seeds  last loss  lowest  highest  seconds
    -------------------------------------------------
    * 0.1      2      0.375    0.25      0.5        0
        1      2       4.06   0.125        8        0
    A line has the means over its seeds. * is the best: the lowest last loss.
    >>> Sweep(rows).best()
    {'lr': 0.1}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import inf, isfinite
from statistics import fmean
from typing import Any

from ...errors import check_bool, check_int, check_list, check_name, counted, wrong_entry
from ...files import FilePath
from ..judgement import EXPLODED_RATIO, NEAR_ZERO_LOSS
from .store import read_rows
from .values import described, shown_settings, shown_value

LOSSES = ("last_loss", "best_loss", "first_loss")
DIVERGED = ("loss not finite", "loss diverges")  # kinds of `History.finding`
MOST_LINES = 50  # of a table that is printed as the repr


@dataclass(frozen=True)
class Row:
    """The result of one training of a sweep.

    settings: the settings by name, and ``seed``: what ``make`` was called with.
    first_loss: the loss of the first step; None if there was none, as for the other two losses.
    last_loss, best_loss: the mean loss of the last epoch and of the best one, whose mean is the
        lowest; the losses of steps if the training ended before an epoch did.
    metrics: each metric of the history in the last epoch, and the figures that ``make`` returned.
    steps: the number of steps.
    seconds: the time that ``make`` took.  Rows that differ in it alone are equal.
    engine, finding, warning: those of the `History`.
    error: the error that ended the training, such as ``"NonFiniteError: ..."``, else "".
    """

    settings: dict[str, Any]
    seed: int
    first_loss: float | None = None
    last_loss: float | None = None
    best_loss: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = field(default=0.0, compare=False)
    engine: str = ""
    finding: str | None = None
    warning: str = ""
    error: str = ""

    @property
    def diverged(self) -> bool:
        """Whether the loss rose, or became inf or nan.

        The `History` has no finding of a short run; a row says what is certain of one, too.
        """
        if self.finding in DIVERGED or self.error.startswith("NonFiniteError"):
            return True
        if self.first_loss is None or self.last_loss is None:
            return False
        limit = EXPLODED_RATIO * max(abs(self.first_loss), NEAR_ZERO_LOSS)
        return not (isfinite(self.last_loss) and self.last_loss <= limit)

    @property
    def is_sound(self) -> bool:
        """Whether the training ended without an error, and did not diverge."""
        return not self.error and not self.diverged and self.last_loss is not None

    def value(self, by: str) -> float | None:
        """Returns a loss or a metric by its name; None if the training does not have it."""
        found: float | None = getattr(self, by) if by in LOSSES else self.metrics.get(by)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as one flat dict.

        A setting with the name of another column is called ``setting.NAME``, and such a metric
        ``metric.NAME``.
        """
        fixed = {"seed": self.seed}
        fixed |= {name: getattr(self, name) for name in COLUMNS}
        named = {f"setting.{name}" if name in fixed else name: value
                 for name, value in self.settings.items()}
        taken = {*fixed, *named}
        more = {f"metric.{name}" if name in taken else name: value
                for name, value in self.metrics.items()}
        return {**named, **fixed, **more}


COLUMNS = ("first_loss", "last_loss", "best_loss", "steps", "seconds", "engine", "finding",
           "warning", "error")


class Sweep(Sequence[Row]):
    """The rows of a sweep, in the order of the grid, and of the seeds for each combination.

    rows: the list of them.  A sweep is itself a sequence of its rows.
    interrupted: whether Ctrl-C ended the sweep; trainings that were not finished have no row.
    """

    def __init__(self, rows: Sequence[Row], interrupted: bool = False) -> None:
        remedy = "pass what Sweep.load(path).rows has"
        self.rows: list[Row] = check_list(rows, "Sweep: rows", "a list of rows", remedy)
        for i, row in enumerate(self.rows):
            if not isinstance(row, Row):
                raise wrong_entry("Sweep: rows", "a list of rows", rows, i, row, remedy)
        self.interrupted = check_bool(interrupted, "Sweep: interrupted")

    @classmethod
    def load(cls, path: FilePath) -> Sweep:
        """Returns the rows of a file that `sweep` wrote, in the order in which they were finished.

        Tuples among the settings are lists then, and functions and classes are their names.

        Raises:
            DataError: the file has any other content.
            OSError: the file cannot be read.
        """
        return cls([Row(**content) for content in read_rows(path)])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, i: Any) -> Any:
        return self.rows[i]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sweep) and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return self.table(MOST_LINES)

    def groups(self) -> list[tuple[dict[str, Any], list[Row]]]:
        """Returns each combination of settings with the rows of its seeds."""
        found: dict[str, tuple[dict[str, Any], list[Row]]] = {}
        for row in self.rows:
            found.setdefault(described(row.settings), (row.settings, []))[1].append(row)
        return list(found.values())

    def varying(self) -> list[str]:
        """Returns the names of the settings that are not the same in all rows."""
        seen: dict[str, set[str]] = {}
        for row in self.rows:
            for name, value in row.settings.items():
                seen.setdefault(name, set()).add(described(value))
        return [name for name, values in seen.items() if len(values) > 1]

    def best(self, by: str = "last_loss", largest: bool = False) -> dict[str, Any]:
        """Returns the best settings: those with the lowest mean over their seeds.

        A combination of which a training diverged or had an error comes after all others.

        by: "last_loss", "best_loss", or the name of a metric.
        largest: whether the highest mean is the best, as of an accuracy.

        Raises:
            TypeError, ValueError: ``by`` is not one of these, or no training has it.
        """
        metrics = dict.fromkeys(name for row in self.rows for name in row.metrics)
        check_name(by, "best: by", [*LOSSES, *metrics], "write 'last_loss'")
        is_largest = check_bool(largest, "best: largest")
        groups = self.groups()
        ranks = [_rank(rows, by, is_largest) for _, rows in groups]
        if not ranks or min(ranks)[1] == inf:
            raise ValueError(
                f"best: no training of this sweep has {by!r}: {counted(len(self), 'row')}, of "
                f"which {sum(bool(row.error) for row in self.rows)} have an error; use their "
                "`error` to see why"
            )
        return dict(groups[ranks.index(min(ranks))][0])

    def to_dict(self) -> dict[str, list[Any]]:
        """Returns the columns by name, as ``pandas.DataFrame`` takes them (see `Row.to_dict`)."""
        rows = [row.to_dict() for row in self.rows]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def table(self, most: int | None = None) -> str:
        """Returns the table as text: a line for each combination of settings.

        most: how many lines are shown; None for all.
        """
        end = ", interrupted" if self.interrupted else ""
        failed = sum(bool(row.error) for row in self.rows)
        errors = f", {failed} with an error" if failed else ""
        title = f"Sweep: {counted(len(self), 'training')}{errors}{end}"
        groups = self.groups()
        if not groups:
            return title
        varying = self.varying()
        constant = {name: x for name, x in groups[0][0].items() if name not in varying}
        lines = [title, *([shown_settings(constant)] if constant else [])]
        best = self._best_or_none()
        columns = [_column(name, [shown_value(s.get(name)) for s, _ in groups]) for name in varying]
        columns += _figures(groups)
        marks = ["*" if settings == best else " " for settings, _ in groups]
        cells = [" ".join(parts).rstrip() for parts in zip(*columns)]
        marked = [f"{mark} {cell}" for mark, cell in zip_longest([" ", *marks], cells)]
        width = max(map(len, marked))
        if most is not None:
            most = check_int(most, "table: most", 1, "pass None for all lines")
        shown = marked[1:] if most is None else marked[1:most + 1]
        lines += [marked[0], "-" * width, *shown]
        if len(shown) < len(groups):
            lines.append(f"... and {len(groups) - len(shown)} more; print(sweep.table()) has all")
        if best is not None:
            lines.append(
                "A line has the means over its seeds. * is the best: the lowest last loss."
            )
        return "\n".join(lines)

    def _best_or_none(self) -> dict[str, Any] | None:
        try:
            return self.best() if len(self.groups()) > 1 else None
        except ValueError:
            return None


def _rank(rows: Sequence[Row], by: str, largest: bool) -> tuple[bool, float]:
    """Returns what the best group has the smallest of: whether a training failed, and the mean."""
    given = [row.value(by) for row in rows]
    values = [x for x in given if x is not None and isfinite(x)]
    mean = fmean(values) if values else inf
    if largest and values:
        mean = -mean
    return not all(row.is_sound for row in rows) or len(values) < len(rows), mean


def _figures(groups: Sequence[tuple[Mapping[str, Any], Sequence[Row]]]) -> list[list[str]]:
    """Returns the columns of the table behind the settings: means, ranges and remarks."""
    several = max(len(rows) for _, rows in groups) > 1
    losses = [[row.last_loss for row in rows if row.is_sound] for _, rows in groups]
    sound = [[x for x in each if x is not None] for each in losses]
    columns = []
    if several:
        columns.append(_column("seeds", [str(len(rows)) for _, rows in groups]))
    columns.append(_column("last loss", [_number(fmean(each)) if each else "" for each in sound]))
    if several:
        columns.append(_column("lowest", [_number(min(each)) if each else "" for each in sound]))
        columns.append(_column("highest", [_number(max(each)) if each else "" for each in sound]))
    names = dict.fromkeys(name for _, rows in groups for row in rows for name in row.metrics)
    for name in names:
        means = []
        for _, rows in groups:
            values = [row.metrics[name] for row in rows if row.is_sound and name in row.metrics]
            means.append(_number(fmean(values)) if values else "")
        columns.append(_column(name, means))
    seconds = [_number(fmean([row.seconds for row in rows])) for _, rows in groups]
    columns.append(_column("seconds", seconds))
    remarks = [_remark(rows) for _, rows in groups]
    if any(remarks):
        columns.append(["", *remarks])
    return columns


def _remark(rows: Sequence[Row]) -> str:
    """Returns how many trainings diverged, had another error, or stood still, jumped, ..."""
    kinds = ["diverged" if row.diverged else "" for row in rows]
    for i, row in enumerate(rows):
        if not kinds[i]:
            kinds[i] = row.error.partition(":")[0] or (row.finding or "")
    counts = {kind: kinds.count(kind) for kind in kinds if kind}
    return "; ".join(f"{count} of {len(rows)}: {kind}" for kind, count in counts.items())


def _number(x: float) -> str:
    return f"{x:.3g}"


def _column(name: str, texts: Sequence[str]) -> list[str]:
    """Returns the cells of a column, under its name, of equal width."""
    width = max(map(len, [name, *texts]))
    return [f"{text:>{width}} " for text in [name, *texts]]
