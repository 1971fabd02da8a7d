"""Data sets and their preparation: generators, two real data sets, batches, splits and scaling.

    >>> from tinygrad_edu import data
    >>> X, y = data.moons(100, noise=0.1, rng=0)
    >>> X_train, y_train, X_test, y_test = data.split(X, y, test=0.2, rng=0)
    >>> len(X_train), len(X_test)
    (80, 20)

Samples ``X`` are a list of rows of floats, one row for each sample.  Targets ``y`` are a list with
one entry for each sample:

* -1 and +1 for the two-class sets `moons`, `circles` and `xor`, for `nn.hinge`;
* class indices 0, 1, 2, ... for `spirals`, `blobs` and `iris`, for `nn.cross_entropy`;
* real numbers for `line`.

``rng`` is a `random.Random`, a random seed (an int), or None for the standard module `random`.  The
same seed gives the same data in every process.
"""

from .generators import blobs, circles, line, moons, spirals, xor
from .handling import Standardiser, Standardizer, batches, split
from .real import Dataset, iris, names

__all__ = [
    "Dataset",
    "Standardiser",
    "Standardizer",
    "batches",
    "blobs",
    "circles",
    "iris",
    "line",
    "moons",
    "names",
    "spirals",
    "split",
    "xor",
]
