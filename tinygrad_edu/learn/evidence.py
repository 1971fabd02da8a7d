"""Claims: sentences of a lesson that an experiment checks each time they are read.

    >>> from tinygrad_edu import learn
    >>> learn.claims["too large a rate diverges"].run(seed=3).holds
    True

A claim is a function of a random seed.  It runs its experiment and returns `Evidence`: whether the
claim holds, the numbers that were measured, and a sentence with these numbers in it.  No number in
a lesson is typed by hand, so a sentence that stopped being true fails the tests.  An experiment has
settings, and with other ones a claim may fail: the sentence then says what was measured instead.

    >>> claim = learn.claims["too large a rate diverges"]
    >>> dict(claim.settings)
    {'factor': 2.1}
    >>> claim.descriptions["factor"]
    'the learning rate, in units of 1/L'
    >>> claim.run(factor=1.9).holds
    False
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import check_int
from .names import Named
from .settings import checked, descriptions_of, settings_of

FAILED = "This does not hold here."  # the first line of the evidence against a claim


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
        first = [] if self.holds else [FAILED]
        return "\n".join([*first, self.sentence, *aligned(self.table)])


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

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the experiment with their usual values, by name."""
        return settings_of(self.experiment)

    @cached_property
    def descriptions(self) -> Mapping[str, str]:
        """What each of `settings` means, by name: clauses of plain words, without a full stop.

        They are read from the docstring of the experiment.

        Raises:
            ValueError: the docstring does not describe a setting, or describes one that does not
                exist.
        """
        return descriptions_of(self.experiment)

    def run(self, seed: int = 0, **settings: Any) -> Evidence:
        """Runs the experiment, with the usual settings in less than two seconds.

        seed: the random seed of the data, starts and orders of the experiment.
        settings: values for some of `settings`, instead of the usual ones.

        Raises:
            TypeError: ``seed`` is not an int, the experiment has no such setting, or a value is of
                another type than the usual one.
            ValueError: ``seed`` is negative, or the experiment is not made for a value.
        """
        seed = check_int(seed, "run: seed", 0)
        name = f"claim {self.name!r}"
        return self.experiment(seed, **checked(settings, self.experiment, self.negation, name))

    def __repr__(self) -> str:
        return f"<Claim of lesson {self.lesson}: {self.name}>"


class Claims(Named[Claim]):
    """Claims by their names; shown with a claim a line, after the name of its lesson."""

    def arrange(self, lessons: Iterable[str]) -> None:
        """Puts the claims in the order of the lessons, which must include those of all claims."""
        order = {lesson: i for i, lesson in enumerate(lessons)}
        arranged = sorted(self.items(), key=lambda item: order[item[1].lesson])
        self.clear()
        self.update(arranged)

    def __repr__(self) -> str:
        return "\n".join([f"{claim.lesson:12}{name}" for name, claim in self.items()])


CLAIMS = Claims("learn.claims")


def claim(
    name: str, *, lesson: str, negation: Mapping[str, Any]
) -> Callable[[Callable[..., Evidence]], Claim]:
    """Makes a claim of the function below it, and adds it to `CLAIMS`.

        @claim("too large a rate diverges", lesson="rate", negation={"factor": 1.9})
        def diverges(seed: int, factor: float = 2.1) -> Evidence:
            ...
            return Evidence(last > first, {"first": first, "last": last}, f"...")

    name, lesson, negation: see `Claim`.  The annotations of the function say which values its
        settings may have, and its docstring says what they mean (see the module `settings`).

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
