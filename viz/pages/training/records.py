"""The records of a training run that its page plays: `RunRecords` and its parts.

All numbers are rounded to a few digits, and None where there is no finite one: JSON can hold them
as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

Number = float | None


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis of the picture shows, and its range."""

    label: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """A sample in the picture.

    sample   its index in ``X`` and ``y``
    at       its features on the axes: two of a boundary, one of a fit, none of a regression
    target   its target, one number for each output; of a class the one number that stands for it
    label    its class as an index in `RunRecords.classes`; -1 if the targets are no classes
    """

    sample: int
    at: tuple[Number, ...]
    target: tuple[Number, ...]
    label: int


@dataclass(frozen=True, slots=True)
class Line:
    """A number at some of the steps: all of them, or, of a long training, the least and the largest
    of every stretch.

    steps    counted from 1, in order; the first and the last step of the training are among them
    values   at each of them
    """

    steps: tuple[int, ...]
    values: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """The model before the update of one step, which is the model that the step's loss and
    gradients are of.

    step             counted from 1
    loss, learning_rate   of the step
    gradients        how large the gradients of the step were, clipped if they were: the root of
                     their mean square, for each of `RunRecords.layers`
    scores           of a boundary, ``scores[j][i]`` at ``(xs[i], ys[j])``: of one output, how far
                     it is above the border of the two classes (see `frames`), so that they meet at
                     0; of several, how far the largest is ahead of the next
    winners          of a boundary with several outputs, the class of the largest output at the same
                     points; -1 for nan
    curves           of a fit, one curve for each output: ``curves[k][i]`` at ``xs[i]``
    predictions      of a regression, the outputs for each of the points
    """

    step: int
    loss: Number
    learning_rate: Number
    gradients: tuple[Number, ...]
    scores: tuple[tuple[Number, ...], ...] = ()
    winners: tuple[tuple[int, ...], ...] = ()
    curves: tuple[tuple[Number, ...], ...] = ()
    predictions: tuple[tuple[Number, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecords:
    """Everything that a page of a training shows, but for the graphs of single samples.

    kind            "boundary", "fit", "regression", or "none" if there is no picture for this
                    model: see `frames`
    axes            the horizontal and the vertical axis; none for "none"
    points          the samples in the picture
    classes         the names of the classes, in the order of their indices; none if the targets are
                    no classes
    outputs         how many numbers the model returns
    xs, ys          where it was asked: of a boundary, the grid; of a fit, ``xs`` alone
    fixed           ``(feature, value)`` for the features that do not vary in the picture, which
                    stay at their means
    loss            over all steps
    steps           how many the training had
    layers          the names of the layers, in the order of the parameters; "parameters" for those
                    outside of modules
    frames          of some of the snapshots, in order, the first and the last included
    notes           what is not shown, and why
    """

    kind: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    classes: tuple[str, ...]
    outputs: int
    xs: tuple[Number, ...]
    ys: tuple[Number, ...]
    fixed: tuple[tuple[int, Number], ...]
    loss: Line
    steps: int
    layers: tuple[str, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...]
