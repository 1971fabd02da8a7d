"""`History`: what happened in a run of `fit`, also as JSON.

    history = History.load("run.json")
    history.loss[-1], history.engine
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError, check_text, check_texts, counted, short_repr
from ..files import (
    FilePath,
    check_path,
    each_number,
    from_json,
    read_text,
    to_json,
    write_atomically,
)
from .snapshots import TrainingRecord

FORMAT = "tinygrad_edu history"
VERSION = 1
KINDS = ("loss not finite", "loss diverges", "loss jumps", "loss oscillates", "loss stands still")
OF_EVERY_STEP = ("loss", "learning_rates", "seconds")  # the lists with one number for each step


class History:
    """What happened in a run of `fit`.

    loss: the loss of each step, with the penalty, before the update
    learning_rates: the learning rate of each step
    seconds: the time from the start of the run to the end of each step
    metrics: for each metric its mean over each epoch; every prediction is the one from which its
        step computed the loss
    epochs: the number of finished epochs
    epoch_ends: the number of steps done at the end of each finished epoch
    interrupted: whether Ctrl-C ended the run
    warning: what went wrong: that the loss rose, jumped, oscillated or stood still, in a sentence
        with numbers; "" if nothing did.  `diagnose` says why
    finding: the kind of finding that this is, such as "loss jumps"; "" if nothing went wrong, and
        None if the run was too short to be judged
    engine: which engine made how many steps, and why if another one was asked for: ``"jit, 320
        steps"``, ``"eager, 20 steps: inside detect_anomaly"``; "" before the first step
    training: with ``record_every=`` a `snapshots.TrainingRecord`: the model and snapshots of its
        parameters; else None.  It is for this process only: equality, `to_json`, `save` and pickle
        leave it out
    """

    def __init__(self, metrics: Iterable[str] = ()) -> None:
        self.loss: list[float] = []
        self.learning_rates: list[float] = []
        self.seconds: list[float] = []
        names = list(metrics) if isinstance(metrics, Mapping) else metrics
        names = check_texts(names, "History: metrics", "write metrics=['accuracy']")
        self.metrics: dict[str, list[float]] = {name: [] for name in names}
        self.epoch_ends: list[int] = []
        self.interrupted = False
        self.warning = ""
        self.finding: str | None = None
        self.training: TrainingRecord | None = None
        self._runner = ("", "")  # the engine, and why it is not the one asked for
        self._read_engine = ""  # of a history that was read from a file

    @property
    def engine(self) -> str:
        """Which engine made how many steps, and why if another one was asked for."""
        if not self._runner[0] or not self.loss:
            return self._read_engine
        name, reason = self._runner
        return f"{name}, {counted(len(self), 'step')}" + (f": {reason}" if reason else "")

    def _truncate(self, steps: int) -> None:
        """Drops all but the first ``steps`` steps, and the metrics of an unfinished epoch."""
        for name in OF_EVERY_STEP:
            del getattr(self, name)[steps:]
        for values in self.metrics.values():
            del values[self.epochs:]

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.epoch_ends)

    def __len__(self) -> int:
        return len(self.loss)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        interrupted = ", interrupted" if self.interrupted else ""
        if not self.loss:
            return f"History(no steps{interrupted})"
        metrics = "".join(
            f", {name} {values[-1]:.4g}" for name, values in self.metrics.items() if values
        )
        done = f"{counted(len(self), 'step')}, {counted(self.epochs, 'epoch')}"
        engine = f"; {self.engine}" if self.engine else ""
        warning = f"; {self.warning}" if self.warning else ""
        return (
            f"History({done} in {self.seconds[-1]:.3g} s: "
            f"loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}{metrics}{interrupted}{engine}"
            f"{warning})"
        )

    def to_json(self) -> str:
        """Returns the history as JSON.

        The numbers inf and nan, which JSON lacks, are strings in it.
        """
        content = {
            "format": FORMAT,
            "version": VERSION,
            "engine": self.engine,
            "epoch_ends": self.epoch_ends,
            "interrupted": self.interrupted,
            "warning": self.warning,
            "finding": self.finding,
            **{name: getattr(self, name) for name in OF_EVERY_STEP},
            "metrics": self.metrics,
        }
        return json.dumps(each_number(content, float, to_json))

    @classmethod
    def from_json(cls, text: str) -> History:
        """Returns the history that `to_json` wrote.

        Raises:
            TypeError: ``text`` is not text.
            DataError: the text is any other one.
        """
        check_text(text, "History.from_json: text", "pass what to_json returned")
        try:
            content = json.loads(text)
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(
                    f"it says format {content['format']!r}, version {content['version']!r}"
                )
            history = cls()
            history.epoch_ends = content["epoch_ends"]
            history.interrupted = content["interrupted"]
            history.warning = content.get("warning", "")
            history.finding = content.get("finding")
            history._read_engine = content.get("engine", "")
            for name in OF_EVERY_STEP:
                setattr(history, name, _decoded(content[name]))
            history.metrics = {
                name: _decoded(values) for name, values in content["metrics"].items()
            }
            if not history._is_consistent():
                raise ValueError("its parts do not fit together")
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"not a history of tinygrad_edu, version {VERSION}, or damaged: {error}; give what "
                "History.save wrote"
            ) from error
        return history

    def _is_consistent(self) -> bool:
        """Returns whether the parts, read from a file, have the right types and lengths."""
        ends = [n for n in self.epoch_ends if type(n) is int and 0 < n <= len(self)]
        return (
            len(self.loss) == len(self.seconds) == len(self.learning_rates)
            and self.epoch_ends == sorted(ends)
            and isinstance(self.interrupted, bool)
            and isinstance(self.engine, str)
            and isinstance(self.warning, str)
            and self.finding in (None, "", *KINDS)
        )

    def save(self, path: FilePath) -> Path:
        """Writes `to_json` to a file and returns its path.

        Raises:
            OSError: the file cannot be written.
        """
        check_path(path, "History.save", "history.json")
        return write_atomically(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: FilePath) -> History:
        """Returns the history that `save` wrote to a file.

        Raises:
            DataError: the file has any other content.
            OSError: the file cannot be read.
        """
        remedy = "give a file that History.save wrote"
        text = read_text(path, "History.load", "history.json", remedy)
        try:
            return cls.from_json(text)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def _decoded(entries: Any) -> list[float]:
    if not isinstance(entries, list):
        raise ValueError(f"{short_repr(entries)} is not a list")
    return [from_json(entry) for entry in entries]
