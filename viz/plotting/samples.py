"""Samples as a table of floats, and a model's outputs and classes for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import no_grad
from tinygrad_edu.diagnosis.inspection import check_model, entries, output_of
from tinygrad_edu.errors import counted, number, wrong_type
from tinygrad_edu.nn.module import mode


@dataclass(frozen=True, slots=True)
class Samples:
    """A table of inputs as floats.

    rows: one tuple for each sample, all of the same length.
    scalar: whether the samples were numbers instead of rows; the model then gets numbers too.
    """

    rows: tuple[tuple[float, ...], ...]
    scalar: bool

    @property
    def features(self) -> int:
        """The number of features of a sample."""
        return len(self.rows[0])

    def input(self, row: Sequence[float]) -> Any:
        """Returns ``row`` as the model takes it: a list, or a number if `scalar`."""
        return row[0] if self.scalar else list(row)


Model = Callable[[Any], Any]  # called with a sample
Table = Samples | Iterable[Any]  # what `samples` takes


def samples(X: Table) -> Samples:
    """Returns ``X``, rows of numbers or numbers from any iterable, as `Samples`.

    Raises:
        TypeError: ``X`` is not iterable, or an entry is not a number.
        ValueError: there are no samples, or their lengths differ.
    """
    if isinstance(X, Samples):
        return X
    given = entries(X, "X", "samples: rows of numbers, or numbers")
    if not given:
        raise ValueError("X must not be empty; pass at least one row of numbers")
    scalar = _is_entry(given[0])
    rows = []
    for i, row in enumerate(given):
        if _is_entry(row) and not scalar:
            raise wrong_type(f"X[{i}]", "a row of numbers, as X[0] is", row)
        rows.append(tuple([number(x, f"X[{i}]") for x in ([row] if scalar else row)]))
    if not rows[0]:
        raise ValueError("X[0] must not be empty; pass rows of at least one number")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"X[{i}] must have {len(rows[0])} features, as X[0] has, not {len(row)}; pass rows "
                "of the same length"
            )
    return Samples(tuple(rows), scalar)


def _is_entry(x: Any) -> bool:
    """Returns whether ``x`` is no row."""
    is_row = hasattr(x, "__len__") and not isinstance(x, (str, bytes, Mapping))
    return not is_row or getattr(x, "shape", None) == ()


def outputs(model: Model, X: Table) -> list[tuple[float, ...]]:
    """Returns the outputs of ``model`` for each sample, as a tuple of floats.

    Nothing is recorded.

    Raises:
        TypeError: the model returns something else than numbers, Values or a list of them.
        ValueError: the model returns an empty list, or lists of different lengths.
    """
    table = samples(X)
    found = predict(model, map(table.input, table.rows))
    counts = sorted(set(map(len, found)))
    if len(counts) > 1 or not counts[0]:
        raise ValueError(
            "the model must return equally many outputs for every sample, at least one, not "
            f"{' or '.join(map(str, counts))}"
        )
    return found


def predict(model: Model, inputs: Iterable[Any]) -> list[tuple[float, ...]]:
    """Returns the outputs of ``model`` for inputs of any kind.

    Their number may vary.  An error of the model says for which sample (see `output_of`).

    Raises:
        TypeError: ``model`` cannot be called.
        NoNumbersError: an output is not a number.
    """
    check_model(model)
    with mode(model, training=False), no_grad():
        return [
            floats(output_of(model, x, i), "an output of the model") for i, x in enumerate(inputs)
        ]


class NoNumbersError(TypeError):
    """Something is neither a number that fits a float nor a list of numbers that do."""


def floats(given: Any, what: str) -> tuple[float, ...]:
    """Returns a number, or a list of numbers, as a tuple of floats.

    what: the name of ``given`` in an error message.

    Raises:
        NoNumbersError: ``given`` is something else.
    """
    is_row = hasattr(given, "__len__") and not isinstance(given, (str, dict))
    several = is_row and getattr(given, "shape", None) != ()
    try:
        return tuple([number(entry, what) for entry in (given if several else [given])])
    except (TypeError, OverflowError) as error:
        raise NoNumbersError(str(error)) from None


def predicted_class(scores: Sequence[float]) -> int:
    """Returns the class that a model chooses, as `nn.accuracy` does.

    Of one score: 1 if it is positive, else 0.  Of several: the index of the largest.  If a score
    is nan: -1.
    """
    if any(map(math.isnan, scores)):
        return -1
    return int(scores[0] > 0) if len(scores) == 1 else scores.index(max(scores))


def class_labels(labels: Sequence[float], outputs: int) -> list[float]:
    """Returns the label of each class of a model with so many outputs.

    A model of one output takes labels -1 and 1, or 0 and 1; a model of several takes 0, 1, 2, ...
    """
    if outputs == 1:
        return [-1 if -1 in labels else 0, 1]
    return [*range(outputs)]


def class_indices(labels: Sequence[float], outputs: int) -> list[int]:
    """Returns the class of each label, comparable with `predicted_class`.

    Raises:
        ValueError: a label is not one of the `class_labels`.
    """
    classes = class_labels(labels, outputs)
    for i, label in enumerate(labels):
        if label not in classes:
            wanted = f"a class from 0 to {outputs - 1}"
            if outputs == 1:
                wanted = "one of two classes, -1 and 1 or 0 and 1"
            raise ValueError(
                f"y[{i}] must be {wanted}, not {label!r}, for a model of "
                f"{counted(outputs, 'output')}"
            )
    return list(map(classes.index, labels))
