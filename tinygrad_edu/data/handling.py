"""Prepares data for training: mini-batches, a held-out test set, standardised columns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, overload

from ..engine.arrays import array_of, is_array
from ..errors import check_bool, check_int, check_list, check_number, short_repr, wrong_type
from ..randomness import Rng, generator
from .checks import Table, by_position, chosen, matched

Sample = TypeVar("Sample")
Target = TypeVar("Target")


@overload
def batches(
    X: Sequence[Sample],
    y: Sequence[Target],
    size: int | None = None,
    *,
    shuffle: bool = True,
    rng: Rng = None,
) -> Iterator[tuple[list[Sample], list[Target]]]: ...
@overload
def batches(
    X: Sequence[Any] | Table,
    y: Sequence[Any] | Table,
    size: int | None = None,
    *,
    shuffle: bool = True,
    rng: Rng = None,
) -> Iterator[tuple[Any, Any]]: ...


def batches(
    X: Any,
    y: Any,
    size: int | None = None,
    *,
    shuffle: bool = True,
    rng: Rng = None,
) -> Iterator[tuple[Any, Any]]:
    """Yields the data once, as batches ``(X_batch, y_batch)`` of ``size`` samples.

    Samples and targets are taken by position.  A batch of an array, or of a table such as a
    DataFrame or a Series, is an array, without labels; any other is a list.  The last batch may be
    smaller.  Each call shuffles the samples again: in the same order if ``rng`` is a random seed,
    in a new order if it is a `random.Random`.  ``size=None`` is one batch of all samples, in the
    order given; ``rng`` is then not used.

    Raises:
        TypeError: X or y is a mapping, a set, text or not a sequence, or is a table or an array
            with missing numbers, dates, records or complex numbers.
        ValueError: X and y differ in length or are empty, or size < 1.

    Errors are raised by the call, before the first batch is asked for.
    """
    X, y = matched(X, y, "batches")
    n = len(X)
    if size is not None:
        size = check_int(
            size, "batches: size", 1, "for one batch of all samples, pass None", most=math.inf
        )
    parts = batches_of_indices(n, size, check_bool(shuffle, "batches: shuffle"), rng)
    return ((chosen(X, part), chosen(y, part)) for part in parts)


def batches_of_indices(n: int, size: int | None, shuffle: bool, rng: Rng) -> list[list[int]]:
    """Returns the indices 0 to n - 1 in batches (see `batches`)."""
    order = list(range(n))
    if size is None:
        return [order]
    if shuffle:
        generator(rng).shuffle(order)
    return [order[start:start + size] for start in range(0, n, size)]


@overload
def split(
    X: Sequence[Sample],
    y: Sequence[Target],
    test: float = 0.2,
    *,
    stratify: bool = True,
    rng: Rng = None,
) -> tuple[list[Sample], list[Target], list[Sample], list[Target]]: ...
@overload
def split(
    X: Sequence[Any] | Table,
    y: Sequence[Any] | Table,
    test: float = 0.2,
    *,
    stratify: bool = True,
    rng: Rng = None,
) -> tuple[Any, Any, Any, Any]: ...


def split(
    X: Any,
    y: Any,
    test: float = 0.2,
    *,
    stratify: bool = True,
    rng: Rng = None,
) -> tuple[Any, Any, Any, Any]:
    """Splits data at random into training and test data: ``(X_train, y_train, X_test, y_test)``.

    The test set has round(test * n) samples, but at least 1 and at most n - 1.  ``stratify`` gives
    both parts the same share of each label, up to rounding (largest remainders, ties broken at
    random); it has no effect if all targets differ, as in a regression.  Both parts are in random
    order.  Samples and targets are taken by position, and parts of arrays and tables are arrays, as
    in `batches`.

    Raises:
        TypeError: labels cannot be compared with each other; otherwise see `batches`.
        ValueError: X and y differ in length, there are fewer than 2 samples, or ``test`` is not
            between 0 and 1.
    """
    X, y = matched(X, y, "split")
    n = len(X)
    wanted = "a fraction of the samples, > 0 and < 1"
    test = check_number(
        test, "split: test", remedy="usual: 0.2", above=0, below=1, wanted=wanted
    )
    if n < 2:
        raise ValueError(f"split: X must have at least 2 samples, not {n}")
    order = list(range(n))
    generator(rng).shuffle(order)
    count = min(max(round(test * n), 1), n - 1)
    is_stratified = check_bool(stratify, "split: stratify")
    held_out = _stratified(order, y, count) if is_stratified else set(order[:count])
    train = [i for i in order if i not in held_out]
    tested = [i for i in order if i in held_out]
    return chosen(X, train), chosen(y, train), chosen(X, tested), chosen(y, tested)


def _stratified(order: list[int], y: Sequence[Any], count: int) -> set[int]:
    """Returns ``count`` of the indices in ``order``, in proportion from each label."""
    groups: dict[Any, list[int]] = {}
    # ``order`` is shuffled, so the groups, and the members of each, are in random order
    for i in order:
        label = y[i]
        if getattr(label, "shape", None) == (1,):  # of a table with one column
            label = label[0]
        try:
            groups.setdefault(label, []).append(i)
        except TypeError:
            raise TypeError(
                f"split: target {i} must be a label that can be compared, not {short_repr(y[i])}; "
                "use numbers or text, or pass stratify=False"
            ) from None
    # A class of m samples is due count * m / n of them: quotient and remainder, without rounding.
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

    `Standardizer` is the same class.

    Mean and standard deviation are computed from the rows that it is made with, usually the
    training data::

        scale = Standardiser(X_train)
        X_train, X_test = scale(X_train), scale(X_test)

    mean: the mean of each column.
    sd: the standard deviation of each column, as of a population (divided by n).  It is 0 for a
        constant column, which is only shifted, to 0.

    Raises:
        ValueError: there are no rows, rows differ in length, or a number is not finite.
    """

    def __init__(self, X: Sequence[Sequence[float]] | Table) -> None:
        rows = _rows(by_position(X, "Standardiser: X"))
        if not rows:
            raise ValueError(
                f"Standardiser: X must have at least one row, not {short_repr(X)}; pass the "
                "training data"
            )
        columns = list(zip(*rows, strict=True))
        # A constant column is recognised first: rounding could make its mean differ from its value.
        self.mean = [
            column[0] if min(column) == max(column) else statistics.fmean(column)
            for column in columns
        ]
        self.sd = [
            math.hypot(*[x - mean for x in column]) / math.sqrt(len(rows))
            for column, mean in zip(columns, self.mean, strict=True)
        ]

    @overload
    def __call__(self, X: Sequence[Sequence[float]]) -> list[list[float]]: ...
    @overload
    def __call__(self, X: Table) -> Any: ...

    def __call__(self, X: Any) -> Any:
        """Returns the rows ``X``, standardised: an array of an array or a table, or else a list.

        Raises:
            ValueError: the number of columns differs from the training data's.
        """
        return self._mapped(X, lambda x, mean, sd: (x - mean) / sd)

    @overload
    def inverse(self, X: Sequence[Sequence[float]]) -> list[list[float]]: ...
    @overload
    def inverse(self, X: Table) -> Any: ...

    def inverse(self, X: Any) -> Any:
        """Returns standardised rows in their original scale, in the type of `__call__`.

        Raises:
            ValueError: the number of columns differs from the training data's.
        """
        return self._mapped(X, lambda x, mean, sd: x * sd + mean)

    def _mapped(self, X: Any, f: Callable[[float, float, float], float]) -> Any:
        """Returns f(x, mean, sd), with 1 for an sd of 0, for the numbers of a table."""
        given = by_position(X, "Standardiser: X")
        scale = [sd or 1.0 for sd in self.sd]
        rows = [list(map(f, row, self.mean, scale)) for row in _rows(given, len(scale))]
        if not is_array(given):
            return rows
        return array_of([*chain(*rows)], (len(rows), len(scale)))

    def __repr__(self) -> str:
        return f"<Standardiser of {len(self.mean)} columns: mean={self.mean}, sd={self.sd}>"


Standardizer = Standardiser  # the American spelling, as in the names of other libraries


def _rows(X: Any, width: int | None = None) -> list[list[float]]:
    """Returns samples as rows of floats, of that width or all of one width."""
    rows = []
    samples = X.tolist() if is_array(X) else check_list(X, "Standardiser: X", "a list of rows")
    for i, row in enumerate(samples):
        if not hasattr(row, "__len__") or isinstance(row, (str, bytes)):
            raise wrong_type(f"Standardiser: row {i} of X", "a list of numbers", row,
                             "write a single column as [[x] for x in xs]")
        if width is None:
            width = len(row)
        if len(row) != width:
            raise ValueError(
                f"Standardiser: row {i} of X must have {width} columns, not {len(row)}; "
                "give all rows the same columns"
            )
        if {*map(type, row)} == {float} and all(map(math.isfinite, row)):
            rows.append(list(row))
            continue
        where = f"of row {i} of X"
        rows.append([
            check_number(x, f"Standardiser: column {j} {where}") for j, x in enumerate(row)
        ])
    return rows
