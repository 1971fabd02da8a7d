"""The records of a training run that a page or an animation plays: `RunRecords` and its parts.

All numbers are rounded to a few digits, and None where there is no finite one: JSON can hold them
as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.errors import check_list, counted

Number = float | None


@dataclass(frozen=True)
class Axis:
    """An axis of the picture: its label and its range."""

    label: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """A sample in the picture.

    sample: its index in ``X`` and ``y``
    at: its features on the axes: two in a boundary, one in a fit, () in a regression
    target: its target, one number for each output, or the one number of its class
    label: its class as an index in `RunRecords.classes`; -1 if the targets are not classes
    """

    sample: int
    at: tuple[Number, ...]
    target: tuple[Number, ...]
    label: int


@dataclass(frozen=True)
class Frame:
    """The model before the update of one step, with the loss and the gradients of that step.

    step: counted from 1
    loss, learning_rate: of the step
    gradients: the root mean square of the gradients, after clipping, for each of
        `RunRecords.layers`
    scores: of a boundary, ``scores[j][i]`` at ``(xs[i], ys[j])``: of one output, the output minus
        the score of the boundary (see `frames`); of several, the largest output minus the next one
    winners: of a boundary with several outputs, the class of the largest output at the same points;
        -1 for nan
    curves: of a fit, one curve for each output: ``curves[k][i]`` at ``xs[i]``
    predictions: of a regression, the outputs for each point
    """

    step: int
    loss: Number
    learning_rate: Number
    gradients: tuple[Number, ...]
    scores: tuple[tuple[Number, ...], ...] = ()
    winners: tuple[tuple[int, ...], ...] = ()
    curves: tuple[tuple[Number, ...], ...] = ()
    predictions: tuple[tuple[Number, ...], ...] = ()


@dataclass(frozen=True)
class RunRecords:
    """What pages and animations of a training run show, except the graphs of single samples.

    kind: "boundary", "fit", "regression" or "none"; see `frames`
    names: the names of the features
    axes: the horizontal and the vertical axis; () for "none"
    points: the samples in the picture
    classes: the names of the classes by index; () if the targets are not classes
    outputs: the number of outputs of the model
    xs, ys: the points at which the model was run: the grid of a boundary; of a fit, ``xs`` only
    fixed: ``(feature, value)`` for the features that stay at their means
    loss: ``(step, loss)`` for all steps, counted from 1; for a long training run, of the smallest
        and the largest loss of every interval
    steps: the number of steps
    layers: the names of the layers, in the order of the parameters; "parameters" for parameters
        outside of modules
    frames: the frames, in order, including the first and the last snapshot
    notes: what is not shown, and why
    """

    kind: str
    names: tuple[str, ...]
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    classes: tuple[str, ...]
    outputs: int
    xs: tuple[Number, ...]
    ys: tuple[Number, ...]
    fixed: tuple[tuple[int, Number], ...]
    loss: tuple[tuple[int, Number], ...]
    steps: int
    layers: tuple[str, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]


def names_of_features(
    X: Sequence[Any], given: Sequence[str] | None = None, who: str = "explore"
) -> list[str]:
    """Returns the given names of the features of ``X``, or "feature 0" and so on."""
    size = len(X[0]) if hasattr(X[0], "__len__") and not isinstance(X[0], (str, dict)) else 1
    if given is None:
        return [f"feature {i}" for i in range(size)] if size > 1 else ["input"]
    wanted = f"{counted(size, 'name')}, one for each feature of a sample"
    names = check_list(given, f"{who}: feature_names", f"a list of {wanted}")
    if len(names) != size:
        raise ValueError(f"{who}: feature_names must have {wanted}, not {len(names)}")
    return list(map(str, names))
