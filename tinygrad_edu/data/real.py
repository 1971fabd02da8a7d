"""Two real data sets, which are part of the package: iris flowers and first names."""

from __future__ import annotations

from binascii import crc32
from typing import Any

from ..errors import DataError, check_texts
from .checks import matched

# CRC-32 of the text with "\n" for line ends, because a checkout may rewrite line ends.
CHECKSUMS = {"iris.csv": 0x2028DF6F, "names.txt": 0xFEDECB58}


class Dataset(tuple[list[list[float]], list[int]]):
    """A table of samples: the pair ``(X, y)``, with names.

    X: rows of floats, one row for each sample.
    y: class indices, one for each sample.
    feature_names: a name, with its unit, for each column of X.
    class_names: a name for each class index.
    """

    feature_names: list[str]
    class_names: list[str]

    def __new__(
        cls, X: list[list[float]], y: list[int], feature_names: list[str], class_names: list[str]
    ) -> Dataset:
        matched(X, y, "Dataset")
        dataset = super().__new__(cls, (X, y))
        dataset.feature_names = check_texts(feature_names, "Dataset: feature_names")
        dataset.class_names = check_texts(class_names, "Dataset: class_names")
        return dataset

    @property
    def X(self) -> list[list[float]]:
        """The rows of floats."""
        return self[0]

    @property
    def y(self) -> list[int]:
        """The class indices."""
        return self[1]

    def __getnewargs__(self) -> tuple[Any, ...]:  # for copy and pickle
        return self.X, self.y, self.feature_names, self.class_names

    def __repr__(self) -> str:
        return (
            f"<Dataset of {len(self.X)} samples: features {self.feature_names}, "
            f"classes {self.class_names}>"
        )


def iris() -> Dataset:
    """Returns 150 iris flowers: length and width of sepal and petal in cm, and the species 0, 1, 2.

    There are 50 flowers of each species.  A plane separates the first species from the other two;
    none separates the other two from each other.

    Source: R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics
    7 (1936), with the measurements as published there.

    Raises:
        DataError: the packaged file is missing or damaged.
    """
    header, *rows = [line.split(",") for line in _text("iris.csv").splitlines()]
    class_names = list(dict.fromkeys(row[-1] for row in rows))
    return Dataset(
        [[float(cell) for cell in row[:-1]] for row in rows],
        [class_names.index(row[-1]) for row in rows],
        header[:-1],
        class_names,
    )


def names() -> list[str]:
    """Returns 32,033 first names, in lower-case letters a to z.

    Girls' names come first, then boys' names, each by falling frequency.  A name given to both
    occurs twice; 29,494 names are different.

    Source: the names of the year 2018 published by the US Social Security Administration, as
    collected for Andrej Karpathy's makemore, under the MIT licence.

    Raises:
        DataError: the packaged file is missing or damaged.
    """
    return _text("names.txt").split()


def _text(name: str) -> str:
    # imported here, because it takes longer to import than all of this package
    from importlib.resources import files

    remedy = "install tinygrad_edu again"
    try:
        content = files(__package__).joinpath(name).read_bytes()
    except OSError as error:
        raise DataError(f"the data set {name} cannot be read ({error}); {remedy}") from error
    content = content.replace(b"\r\n", b"\n")
    found = crc32(content)
    expected = CHECKSUMS[name]
    if found != expected:
        raise DataError(
            f"the data set {name} is damaged: its checksum is {found:08x}, not {expected:08x}; "
            f"{remedy}"
        )
    return content.decode()
