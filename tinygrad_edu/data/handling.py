"""Between a data set and a training loop: mini-batches, a test set put aside, columns brought to
one scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

from ..engine.primitives import number, short_repr
from ..errors import check_int
from ..randomness import Rng, generator
from .checks import finite, matched

Sample = TypeVar("Sample")
Target = TypeVar("Target")


def batches(
    X: Sequence[Sample],
    y: Sequence[Target],
    size: int | None = None,
    *,
    shuffle: bool = True,
    rng: Rng = None,
) -> Iterator[tuple[list[Sample], list[Target]]]:
    """Goes once through the data: yields ``(X_batch, y_batch)`` with ``size`` samples each, the
    last with what is left.

    Each call shuffles anew (a seed for ``rng`` gives the same order every time, a `random.Random` a
    new one).  ``size=None`` is one batch of all samples, in the order given: there is nothing to
    shuffle, and ``rng`` is not used.

    Raises ValueError at the call if X and y differ in length or are empty, or if size < 1.
    """
    n = matched(X, y)
    if size is not None:
        size = check_int(size, "batches: size", 1, "for one batch of all samples, pass None")
    order = list(range(n))
    if shuffle and size is not None:
        generator(rng).shuffle(order)
    return _in_batches(X, y, order, n if size is None else size)


def _in_batches(
    X: Sequence[Sample], y: Sequence[Target], order: list[int], size: int
) -> Iterator[tuple[list[Sample], list[Target]]]:
    for start in range(0, len(order), size):
        chosen = order[start:start + size]
        yield [X[i] for i in chosen], [y[i] for i in chosen]


def split(
    X: Sequence[Sample],
    y: Sequence[Target],
    test: float = 0.2,
    *,
    stratify: bool = True,
    rng: Rng = None,
) -> tuple[list[Sample], list[Target], list[Sample], list[Target]]:
    """``(X_train, y_train, X_test, y_test)``: a random part of the samples is put aside, the
    fraction ``test`` of them.

    The test set has round(test * n) samples, but at least one, and leaves at least one.
    ``stratify`` gives both parts the same share of each label, as far as whole numbers allow
    (largest remainders, ties broken at random); where all targets differ, as in a regression, it
    makes no difference.  Both parts are in random order.

    Raises ValueError if X and y differ in length, if there are fewer than 2 samples, or if test is
    not between 0 and 1; TypeError if labels cannot be compared with each other.
    """
    n = matched(X, y)
    test = number(test, "test")
    if not 0 < test < 1:
        raise ValueError(
            f"test is the fraction of samples put aside and must be > 0 and < 1, not {test!r}; "
            "usual: 0.2"
        )
    if n < 2:
        raise ValueError(f"there is {n} sample, which cannot be split; give at least 2")
    order = list(range(n))
    generator(rng).shuffle(order)
    count = min(max(round(test * n), 1), n - 1)
    held_out = _stratified(order, y, count) if stratify else set(order[:count])
    train = [i for i in order if i not in held_out]
    tested = [i for i in order if i in held_out]
    return (
        [X[i] for i in train], [y[i] for i in train],
        [X[i] for i in tested], [y[i] for i in tested],
    )


def _stratified(order: list[int], y: Sequence[Target], count: int) -> set[int]:
    """``count`` of the indices in ``order``, from each label in proportion (largest remainders)."""
    groups: dict[Target, list[int]] = {}
    # ``order`` is shuffled, so the groups, and the members of each, are in random order
    for i in order:
        try:
            groups.setdefault(y[i], []).append(i)
        except TypeError:
            raise TypeError(
                f"target {i} ({short_repr(y[i])}) cannot be compared with others as a label; "
                "use numbers or text, or stratify=False"
            ) from None
    # Whole numbers throughout: a class of m samples is due count * m / n of them.
    due = [divmod(count * len(group), len(order)) for group in groups.values()]
    shares = [quotient for quotient, _ in due]
    by_remainder = sorted(range(len(due)), key=lambda k: -due[k][1])
    for k in by_remainder[:count - sum(shares)]:
        shares[k] += 1
    chosen: set[int] = set()
    for share, group in zip(shares, groups.values(), strict=True):
        chosen.update(group[:share])
    return chosen


class Standardiser:
    """Brings every column to mean 0 and standard deviation 1: ``(x - mean) / sd``.

    It is fitted to the rows that it is made with, usually the training data, and then applied to
    any::

        scale = Standardiser(X_train)
        X_train, X_test = scale(X_train), scale(X_test)

    mean, sd    of each column, as lists.  ``sd`` is that of the population (divided by n), and 0
                for a constant column, which is only shifted, to 0.

    Raises ValueError for no rows, rows of different lengths, or a number that is not finite.
    """

    def __init__(self, X: Sequence[Sequence[float]]) -> None:
        rows = _table(X)
        if not rows:
            raise ValueError(
                "X is empty; give at least one row to take mean and standard deviation from"
            )
        columns = list(zip(*rows, strict=True))
        # A constant column is recognised before rounding can give it a mean beside its value.
        self.mean = [
            column[0] if min(column) == max(column) else math.fsum(column) / len(rows)
            for column in columns
        ]
        self.sd = [
            math.hypot(*[x - mean for x in column]) / math.sqrt(len(rows))
            for column, mean in zip(columns, self.mean, strict=True)
        ]

    def __call__(self, X: Sequence[Sequence[float]]) -> list[list[float]]:
        """The rows ``X``, standardised.  Raises ValueError if they do not have the columns of the
        fit."""
        return [
            [(x - mean) / (sd or 1.0) for x, mean, sd in zip(row, self.mean, self.sd, strict=True)]
            for row in _table(X, len(self.mean))
        ]

    def inverse(self, X: Sequence[Sequence[float]]) -> list[list[float]]:
        """Standardised rows in their first scale again."""
        return [
            [x * (sd or 1.0) + mean for x, mean, sd in zip(row, self.mean, self.sd, strict=True)]
            for row in _table(X, len(self.mean))
        ]

    def __repr__(self) -> str:
        return f"<Standardiser of {len(self.mean)} columns: mean={self.mean}, sd={self.sd}>"


def _table(X: Sequence[Sequence[float]], width: int | None = None) -> list[list[float]]:
    rows = []
    for i, row in enumerate(X):
        if not hasattr(row, "__len__"):
            raise TypeError(
                f"row {i} of X must be a list of numbers, not {type(row).__name__} "
                f"({short_repr(row)}); a single column is [[x] for x in xs]"
            )
        if width is None:
            width = len(row)
        if len(row) != width:
            raise ValueError(
                f"row {i} of X has {len(row)} columns, not {width}; all rows need the same columns"
            )
        rows.append([finite(x, f"column {j} of row {i} of X") for j, x in enumerate(row)])
    return rows
