"""The command practice: questions of a kind, and exercises in code."""

from __future__ import annotations

import argparse
import os
from itertools import count

from ...errors import check_name
from ..arguments import Command, argument, natural, positive
from .checking import NO_SANDBOX, SECONDS, run_check, run_watch, write_starter
from .choosing import level
from .conversation import say
from .lessons import PROFILE
from .questions import practise


def run_practice(options: argparse.Namespace) -> int:
    """Asks questions of a kind, writes the file of an exercise, or checks files."""
    from ...learn.exercises import EXERCISES
    from ...learn.questions import KINDS

    what = options.what
    if what is None:
        return _list()
    if what == "check":
        if not options.files:
            raise ValueError("name the files to check: tinygrad-edu practice check rate-0.py")
        status = run_check(options)
        if status == 0 and len(options.files) == 1 and os.path.isfile(options.files[0]):
            _note(options)
        return status
    if what == "watch":
        if len(options.files) != 1:
            raise ValueError("name one file to watch: tinygrad-edu practice watch rate-0.py")
        status = run_watch(options)
        if status == 0:
            _note(options)
        return status
    if options.files:
        raise ValueError(f"{what} takes no files; to check one: tinygrad-edu practice check FILE")
    check_name(what, "the question or exercise", ["check", "watch", *KINDS, *EXERCISES],
               "tinygrad-edu practice lists them")
    if what in KINDS:
        return practise(what, options)
    return write_starter(what, _free_seed(what) if options.seed is None else options.seed,
                         options.out)


def _note(options: argparse.Namespace) -> None:
    """Notes in the progress that the exercise of a file is right; teachers check several files."""
    from ...learn.exercises.exercise import name_in, text_of
    from ...learn.progress import Progress

    if (found := name_in(text_of(options.files[0]))) is not None:
        with Progress(options.profile).change() as state:
            state.exercises[found[0]] = state.exercises.get(found[0], 0) + 1


def _free_seed(name: str) -> int:
    """Returns the first seed of an exercise whose file is not in this folder yet."""
    return next(seed for seed in count() if not os.path.exists(f"{name}-{seed}.py"))


def _list() -> int:
    from ...learn.exercises import EXERCISES
    from ...learn.questions import KINDS

    say("Questions, with new numbers each time:")
    for name, kind in KINDS.items():
        say(f"  practice {name:17} {kind.what}")
    say("\nExercises in code, each a file to be completed:")
    for name, exercise in EXERCISES.items():
        say(f"  practice {name:17} {exercise.title}")
    say("  practice check FILE...    says what is not right in your files")
    say("  practice watch FILE       checks it whenever you save it")
    return 0


PRACTICE = Command(
    "practice",
    run_practice,
    "answer questions of one kind, or do an exercise in code",
    (
        argument("what", nargs="?", help="a kind of question, an exercise, check or watch; without "
                 "it they are listed"),
        argument("files", nargs="*", metavar="FILE", help="files to check or to watch"),
        argument("--seed", type=natural, help="which question or exercise (default: a new one)"),
        argument("--level", type=level, help="how hard questions are, from 1 to 5 (default: it "
                 "rises as you answer)"),
        argument("-o", "--out", help="the file of an exercise, which must not exist "
                 "(default: such as rate-0.py)"),
        argument("--csv", metavar="OUT", help="check: also write the marks to a CSV file, which "
                 "replaces the marks from before; - is standard output"),
        argument("--hint", metavar="N", type=positive, help="check: show this hint"),
        SECONDS,
        PROFILE,
    ),
    f"About check and watch: {NO_SANDBOX}  Exit status: 0 if all is right, 1 if something is not "
    "yet right, 2 for wrong use.",
)
