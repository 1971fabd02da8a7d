"""Claims: sentences of a lesson that an experiment checks each time they are read.

    >>> from tinygrad_edu import learn
    >>> learn.claims["too large a rate diverges"].run(seed=3).holds
    True

A claim is a function of a random seed.  It runs its experiment and returns `Evidence`: whether the
claim holds, the numbers that were measured, and a sentence with these numbers in it.  No number in
a lesson is typed by hand, so a sentence that stopped being true fails the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import check_int


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an experiment showed.

    holds: whether the claim is true in this experiment.
    numbers: what was measured, by name; the prose of lessons has fields of these names.
    sentence: what was seen, in one or two sentences with these numbers.
    table: rows of texts that show more of the experiment, the first of them its head; often ().
    """

    holds: bool
    numbers: Mapping[str, Any]
    sentence: str
    table: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.sentence, *aligned(self.table)])


@dataclass(frozen=True, eq=False)
class Claim:
    """A sentence about backpropagation or gradient descent, with the experiment that checks it.

    name: the sentence, short, without numbers; its key in `CLAIMS`.
    lesson: the name of the lesson that makes the claim.
    experiment: called as ``experiment(random_seed, **settings)``; returns `Evidence`.
    negation: settings of the experiment with which the claim must fail, such as another rate.  A
        test runs them: an experiment that cannot fail shows nothing.
    """

    name: str
    lesson: str
    experiment: Callable[..., Evidence]
    negation: Mapping[str, Any]

    def run(self, seed: int = 0, **settings: Any) -> Evidence:
        """Runs the experiment, in less than two seconds.

        seed: the random seed of the data, starts and orders of the experiment.
        settings: arguments of the experiment other than the usual ones.

        Raises:
            TypeError: ``seed`` is not an int, or the experiment has no such setting.
            ValueError: ``seed`` is negative.
        """
        return self.experiment(check_int(seed, "run: seed", 0), **settings)

    def __repr__(self) -> str:
        return f"<Claim of lesson {self.lesson}: {self.name}>"


CLAIMS: dict[str, Claim] = {}


def claim(
    name: str, *, lesson: str, negation: Mapping[str, Any]
) -> Callable[[Callable[..., Evidence]], Claim]:
    """Makes a claim of the function below it, and adds it to `CLAIMS`.

        @claim("too large a rate diverges", lesson="rate", negation={"factor": 1.9})
        def diverges(seed, factor=2.1):
            ...
            return Evidence(last > first, {"first": first, "last": last}, f"...")

    name, lesson, negation: see `Claim`.

    Raises:
        ValueError: there is a claim of this name.
    """

    def made(experiment: Callable[..., Evidence]) -> Claim:
        if name in CLAIMS:
            raise ValueError(f"claim: name must be new, not {name!r}")
        CLAIMS[name] = Claim(name, lesson, experiment, negation)
        return CLAIMS[name]

    return made


def aligned(table: tuple[tuple[str, ...], ...]) -> list[str]:
    """Returns the rows of a table as lines of text; columns after the first end at the right."""
    widths = [max(map(len, column)) for column in zip(*table)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in table
    ]
