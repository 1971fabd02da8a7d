"""Options that choose questions: their random seed, their lessons and their level."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...errors import check_name, short_repr
from ..arguments import Argument, argument, natural, option

SEED = option("--seed", 0, kind=natural)


def lesson_option(default: str = "of all lessons", more: str = "") -> Argument:
    """Returns the option for lessons, which may be repeated (see `lessons_of`).

    more: what else it may be.
    """
    return argument(
        "--lesson", action="append", metavar="LESSON",
        help=f"questions of this lesson{more}; may be repeated (default: {default})",
    )


def lessons_of(names: Sequence[str] | None, *others: str) -> list[str]:
    """Returns the lessons that were named; [] if there are none.

    others: what else may be named.

    Raises ValueError for an unknown lesson, and for several in one.
    """
    from ...learn.lessons import LESSONS

    for name in names or ():
        parts = [part.strip() for part in name.split(",") if part.strip()]
        if "," in name and parts:
            repeated = " ".join([f"--lesson {part}" for part in parts])
            raise ValueError(
                f"--lesson takes one lesson, not {short_repr(name)}; repeat it, as in {repeated}"
            )
        check_name(name, "--lesson", [*LESSONS, *others], "tinygrad-edu learn --map lists them")
    return list(names or ())


def level(text: str) -> int:
    """Parses the level of a question."""
    from ...learn.questions import LEVELS

    if text in map(str, range(1, LEVELS + 1)):
        return int(text)
    raise argparse.ArgumentTypeError(f"{short_repr(text)} is not a level from 1 to {LEVELS}")
