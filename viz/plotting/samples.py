"""Samples as a table of floats, and what a model gives for them: outputs and classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import no_grad
from tinygrad_edu.diagnosis.inspection import check_model, entries
from tinygrad_edu.engine.primitives import number
from tinygrad_edu.errors import counted
from tinygrad_edu.nn.module import mode


@dataclass(frozen=True, slots=True)
class Samples:
    """A table of inputs as floats.

    rows      one tuple a sample, all of the same length
    scalar    whether the samples were numbers instead of rows; the model then gets numbers, too
    """

    rows: tuple[tuple[float, ...], ...]
    scalar: bool

    @property
    def features(self) -> int:
        """How many numbers a sample has."""
        return len(self.rows[0])

    def input(self, row: Sequence[float]) -> Any:
        """``row`` in the form in which the model takes it."""
        return row[0] if self.scalar else list(row)


def samples(X: Samples | Iterable[Any]) -> Samples:
    """``X`` as `Samples`: rows of numbers, or numbers, from any iterable; `Samples` as they are.

    Raises ValueError if there are none or their lengths differ, TypeError if ``X`` is no iterable,
    or an entry no number.
    """
    if isinstance(X, Samples):
        return X
    given = entries(X, "X", "samples: rows of numbers, or numbers")
    if not given:
        raise ValueError("X has no samples; give at least one row of numbers")
    scalar = not hasattr(given[0], "__len__")
    rows = []
    for i, row in enumerate(given):
        numbers = [row] if scalar else row
        rows.append(tuple([number(entry, f"X[{i}]") for entry in numbers]))
    if not rows[0]:
        raise ValueError("X[0] has no features; give rows of at least one number")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"X[{i}] has {len(row)} features, but X[0] has {len(rows[0])}; give rows of the "
                "same length"
            )
    return Samples(tuple(rows), scalar)


def outputs(model: Callable[[Any], Any], X: Samples | Iterable[Any]) -> list[tuple[float, ...]]:
    """What ``model`` gives for each sample, as floats, without recording; a model of one output
    gives tuples of one.

    Raises TypeError if the model returns anything but a number, a Value or a list of them,
    ValueError if it returns none, or not as many for every sample.
    """
    table = samples(X)
    return equally_many(predict(model, map(table.input, table.rows)))


def predict(model: Callable[[Any], Any], inputs: Iterable[Any]) -> list[tuple[float, ...]]:
    """What ``model`` gives for inputs of any kind, as `outputs` does for tables of numbers, but
    however many numbers it is.

    Raises NoNumbersError if that is no number.  What the model itself raises passes through.
    """
    check_model(model)
    with mode(model, training=False), no_grad():
        return [floats(model(x), "an output of the model") for x in inputs]


def equally_many(given: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    counts = sorted(set(map(len, given)))
    if len(counts) > 1 or not counts[0]:
        raise ValueError(
            f"the model returned {' or '.join(map(str, counts))} outputs; it must return as many, "
            "and at least one, for every sample"
        )
    return given


class NoNumbersError(TypeError):
    """Something is neither a number that fits a float nor a list of such numbers."""


def floats(given: Any, what: str) -> tuple[float, ...]:
    """A number, or a list of them, as floats.  Raises NoNumbersError, which says ``what`` it is,
    for anything else."""
    is_row = hasattr(given, "__len__") and not isinstance(given, (str, dict))
    several = is_row and getattr(given, "shape", None) != ()
    try:
        return tuple([number(entry, what) for entry in (given if several else [given])])
    except (TypeError, OverflowError) as error:
        raise NoNumbersError(str(error)) from None


def predicted_class(scores: Sequence[float]) -> int:
    """The class that a model chooses: of one score, 1 if it is positive, else 0; of several, the
    index of the largest.

    As `nn.accuracy` has it.  -1 if a score is nan.
    """
    if any(map(math.isnan, scores)):
        return -1
    return int(scores[0] > 0) if len(scores) == 1 else scores.index(max(scores))


def class_indices(labels: Sequence[float], outputs: int) -> list[int]:
    """The class of each label, as `predicted_class` has it, for a model with that many outputs.

    One output separates labels -1 and 1, or 0 and 1; several are for the labels 0, 1, 2, ...
    Raises ValueError for others.
    """
    allowed = {-1.0, 0.0, 1.0} if outputs == 1 else set(map(float, range(outputs)))
    for i, label in enumerate(labels):
        if label not in allowed or (label == 0 and outputs == 1 and -1.0 in labels):
            wanted = f"classes labelled 0 to {outputs - 1}"
            if outputs == 1:
                wanted = "two classes, labelled -1 and 1, or 0 and 1"
            raise ValueError(
                f"y[{i}] is {label!r}, but a model of {counted(outputs, 'output')} "
                f"separates {wanted}"
            )
    if outputs == 1:
        return [int(label > 0) for label in labels]
    return [int(label) for label in labels]
