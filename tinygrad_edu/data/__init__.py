"""Data to learn from: seeded generators, two real data sets, and what lies between a data set and a
training loop.

    >>> from tinygrad_edu import data
    >>> X, y = data.moons(100, noise=0.1, rng=0)
    >>> X_train, y_train, X_test, y_test = data.split(X, y, test=0.2, rng=0)
    >>> len(X_train), len(X_test)
    (80, 20)

Inputs ``X`` are lists of rows of floats, one row a sample; targets ``y`` are a list with one entry
a sample:

* -1 and +1 for the two-class sets `moons`, `circles` and `xor`, as `nn.hinge` takes them;
* class indices 0, 1, 2, ... for `spirals`, `blobs` and `iris`, as `nn.cross_entropy` takes them;
* real numbers for `line`.

``rng`` is a `random.Random`, or a seed (an int), or None for the standard `random` module, so that
`random.seed` works.  The same seed gives the same data in every process.
"""

from .generators import blobs, circles, line, moons, spirals, xor
from .handling import Standardiser, batches, split
from .real import Dataset, iris, names

__all__ = [
    "Dataset",
    "Standardiser",
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
