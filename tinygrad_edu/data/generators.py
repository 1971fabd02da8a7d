"""Generated data sets: two moons, circles, XOR, spirals, blobs, and a line.

All points lie within a few units of the origin.  ``noise`` is the standard deviation of the
Gaussian noise added to each coordinate (for `line`, to y).  Samples are in random order (for
`line`, from left to right).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from ..engine.arrays import listed
from ..errors import check_int, check_number, is_list_like, is_number, number, short_repr
from ..randomness import Rng, generator

Label = TypeVar("Label")
Points = list[list[float]]


def moons(
    n: int = 100, noise: float = 0.1, *, labels: Sequence[int] = (-1, 1), rng: Rng = None
) -> tuple[Points, list[int]]:
    """Returns two interleaving half circles of radius 1: ``(X, y)``, n rows of 2 floats, n labels.

    The upper moon, (cos t, sin t), has n // 2 samples and the first label.  The lower moon,
    (1 - cos t, 1/2 - sin t), has the other samples and the second label.  t is evenly spaced from
    0 to pi.  ``labels=(0, 1)`` gives class indices.

    Source: the definition of scikit-learn's make_moons.

    Raises:
        ValueError: n < 2, the noise is negative, or there are not two labels.
    """
    n = check_int(n, "moons: n", 2, "each moon needs a sample")
    first, second = _two_labels("moons", labels)
    upper = [([math.cos(t), math.sin(t)], first) for t in _evenly(n // 2, 0.0, math.pi)]
    lower = [
        ([1 - math.cos(t), 0.5 - math.sin(t)], second) for t in _evenly(n - n // 2, 0.0, math.pi)
    ]
    return _noisy("moons", upper + lower, noise, rng)


def circles(
    n: int = 100,
    noise: float = 0.1,
    *,
    factor: float = 0.5,
    labels: Sequence[int] = (-1, 1),
    rng: Rng = None,
) -> tuple[Points, list[int]]:
    """Returns a circle inside another: ``(X, y)``, n rows of 2 floats and n labels.

    The outer circle, of radius 1, has n // 2 samples and the first label.  The inner circle, of
    radius ``factor``, has the other samples and the second label.  Points are evenly spaced.

    Source: the definition of scikit-learn's make_circles.

    Raises:
        ValueError: n < 2, the noise is negative, the factor is outside [0, 1), or there are not two
            labels.
    """
    n = check_int(n, "circles: n", 2, "each circle needs a sample")
    first, second = _two_labels("circles", labels)
    wanted = "an inner radius >= 0 and < 1"
    remedy = "write a fraction of the outer radius, such as 0.5"
    factor = check_number(factor, "circles: factor", 0, remedy, below=1, wanted=wanted)
    outer = [(_on_circle(i / (n // 2)), first) for i in range(n // 2)]
    inner = [(_on_circle(i / (n - n // 2), factor), second) for i in range(n - n // 2)]
    return _noisy("circles", outer + inner, noise, rng)


def xor(
    n: int = 100, noise: float = 0.1, *, labels: Sequence[int] = (-1, 1), rng: Rng = None
) -> tuple[Points, list[int]]:
    """Returns exclusive or: ``(X, y)``, n rows of 2 floats and n labels.

    No straight line separates the labels.  Points are scattered around the corners (-1, -1), (-1,
    1), (1, 1), (1, -1), in equal numbers.  They have the second label if the signs of the corner
    differ, else the first.  ``xor(4, noise=0)`` is the truth table.

    Raises:
        ValueError: n < 4, the noise is negative, or there are not two labels.
    """
    n = check_int(n, "xor: n", 4, "each corner needs a sample")
    first, second = _two_labels("xor", labels)
    corners = [
        ([-1.0, -1.0], first), ([-1.0, 1.0], second), ([1.0, 1.0], first), ([1.0, -1.0], second),
    ]
    return _noisy("xor", [corners[i % 4] for i in range(n)], noise, rng)


def spirals(
    n: int = 100, noise: float = 0.05, *, classes: int = 2, turns: float = 1.0, rng: Rng = None
) -> tuple[Points, list[int]]:
    """Returns spiral arms around the origin: ``(X, y)``, n rows of 2 floats and n class indices.

    Point i of an arm, i = 1, ..., m, has the radius r = i / m and the angle
    2 pi (turns r + class / classes).

    Raises:
        ValueError: n < classes, classes < 2, the noise is negative, or ``turns`` is not finite.
    """
    classes = check_int(classes, "spirals: classes", 2)
    n = check_int(n, "spirals: n", classes, "each class needs a sample")
    turns = check_number(turns, "spirals: turns")
    samples = []
    for k, m in enumerate(_shares(n, classes)):
        samples += [(_on_circle(turns * i / m + k / classes, i / m), k) for i in range(1, m + 1)]
    return _noisy("spirals", samples, noise, rng)


def blobs(
    n: int = 100,
    noise: float = 0.2,
    *,
    centers: int | Sequence[Sequence[float]] = 3,
    rng: Rng = None,
) -> tuple[Points, list[int]]:
    """Returns Gaussian clouds around centres: ``(X, y)``, n rows of floats and n class indices.

    ``centers`` is a list of points of any dimension, or their number; they are then evenly spaced
    on the unit circle.

    Raises:
        ValueError: there are fewer samples than centres, the centres have different dimensions, or
            the noise is negative.
    """
    points = _centers(centers)
    n = check_int(n, "blobs: n", len(points), "each center needs a sample")
    samples = []
    for k, m in enumerate(_shares(n, len(points))):
        samples += [(points[k], k)] * m
    return _noisy("blobs", samples, noise, rng)


def line(
    n: int = 100,
    slope: float = 2.0,
    intercept: float = 1.0,
    noise: float = 0.1,
    *,
    rng: Rng = None,
) -> tuple[Points, list[float]]:
    """Returns a straight line: ``(X, y)``, n rows of one float x and n targets y.

    y is slope x + intercept + noise, and x is evenly spaced from -1 to 1.

    Raises:
        ValueError: n < 2, the noise is negative, or slope or intercept is not finite.
    """
    n = check_int(n, "line: n", 2, "a line needs two points")
    noise = _spread(noise, "line: noise")
    slope = check_number(slope, "line: slope")
    intercept = check_number(intercept, "line: intercept")
    source = generator(rng)
    xs = _evenly(n, -1.0, 1.0)
    return [[x] for x in xs], [slope * x + intercept + source.gauss(0.0, noise) for x in xs]


def _noisy(
    user: str, samples: list[tuple[list[float], Label]], noise: float, rng: Rng
) -> tuple[Points, list[Label]]:
    """Shuffles the samples in place and returns them with noise added to every coordinate."""
    noise = _spread(noise, f"{user}: noise")
    source = generator(rng)
    source.shuffle(samples)
    X = [[x + source.gauss(0.0, noise) for x in point] for point, _ in samples]
    return X, [label for _, label in samples]


def _evenly(count: int, start: float, stop: float) -> list[float]:
    """Returns ``count`` numbers from ``start`` to ``stop``, both included if ``count`` > 1."""
    if count == 1:
        return [start]
    return [start + (stop - start) * i / (count - 1) for i in range(count)]


def _on_circle(turn: float, radius: float = 1.0) -> list[float]:
    angle = math.tau * turn
    return [radius * math.cos(angle), radius * math.sin(angle)]


def _shares(n: int, classes: int) -> list[int]:
    """Divides n samples among classes, of which the first get one more if there is a remainder."""
    each, remainder = divmod(n, classes)
    return [each + 1] * remainder + [each] * (classes - remainder)


def _two_labels(user: str, labels: Sequence[int]) -> tuple[int, int]:
    pair = listed(labels) or list(labels) if is_list_like(labels) else []
    if len(pair) != 2 or not all(map(is_number, pair)) or number(pair[0]) == number(pair[1]):
        raise ValueError(
            f"{user}: labels must be two different numbers, such as (-1, 1) or (0, 1), "
            f"not {short_repr(labels)}"
        )
    return pair[0], pair[1]


def _centers(centers: int | Sequence[Sequence[float]]) -> Points:
    if not is_list_like(centers):
        remedy = "write how many there are, or a list of points"
        count = check_int(centers, "blobs: centers", 1, remedy)
        return [_on_circle(k / count) for k in range(count)]
    points: Any = centers
    rows = [list(point) if is_list_like(point) else [] for point in points]
    if not rows or not rows[0] or len({len(row) for row in rows}) != 1:
        raise ValueError(
            "blobs: centers must be points of the same dimension, such as [(0, 0), (2, 1)], "
            f"not {short_repr(centers)}"
        )
    return [
        [check_number(x, f"blobs: coordinate {j} of center {i}") for j, x in enumerate(row)]
        for i, row in enumerate(rows)
    ]


def _spread(noise: float, what: str) -> float:
    """Returns a standard deviation as a float."""
    wanted = "a standard deviation, a finite number >= 0"
    return check_number(noise, what, 0, "for no noise pass 0", wanted=wanted)
