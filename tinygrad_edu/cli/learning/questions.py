"""The commands quiz and cards, and practice with questions."""

from __future__ import annotations

import argparse
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...errors import check_int, check_name, counted
from ..arguments import Command, argument, natural, option, positive
from .choosing import lesson_option, lessons_of
from .conversation import KEYS, LeftError, Outcome, ask, say
from .lessons import PROFILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...learn.progress import KindState, Progress, State

LEVEL = 2  # of a question with a seed, as in `learn.question`
ROW = 2  # answers that are right at once lead to the next level


def practise(kind: str, options: argparse.Namespace) -> int:
    """Asks questions of a kind until the learner leaves; each has new numbers.

    With a seed it asks this question alone.
    """
    from ...learn.progress import Progress
    from ...learn.questions import question

    progress = Progress(options.profile)
    say(f"{KEYS}\n")
    status = 0
    try:
        while True:
            with progress.change() as state:
                known = state.kind(kind)
                seed = known.asked if options.seed is None else options.seed
                level = _level(options, known)
            outcome = ask(question(kind, seed, level))
            status = int(not outcome.right)
            with progress.change() as state:
                said = _note(state.kind(kind), outcome)
            if options.seed is not None:
                say(f"Another one: tinygrad-edu practice {kind}")
                break
            say(said if options.level is None else "")
            say()
    except LeftError as left:
        say("Left; what you did is kept.")
        return 1 if left.is_wrong else status
    return status


def _level(options: argparse.Namespace, known: KindState) -> int:
    """Returns the level of a question: with a seed it does not depend on what was done before."""
    if options.level is not None:
        return int(options.level)
    return known.level if options.seed is None else LEVEL


def _note(known: KindState, outcome: Outcome) -> str:
    """Notes how a question was answered, and returns what to say about the level."""
    from ...learn.questions import LEVELS

    known.asked += 1
    known.right += outcome.at_once
    known.row = known.row + 1 if outcome.at_once else 0
    if known.row == ROW and known.level < LEVELS:
        known.row = 0
        known.level += 1
        return f"{ROW} in a row: the next question is of level {known.level}."
    if not outcome.right and known.level > 1:
        known.level -= 1
        return f"The next question is of level {known.level}."
    return ""


def run_quiz(options: argparse.Namespace) -> int:
    """Asks the questions of a bank once each, and says how many were right."""
    from ...learn.handouts import MOST_IN_BANK, bank
    from ...learn.progress import Progress

    check_int(options.questions, "--questions", 1, most=MOST_IN_BANK)
    progress = Progress(options.profile)
    seed = random.randrange(10_000) if options.seed is None else options.seed
    with progress.change() as state:  # so that it fails before the first question, if it must
        lessons = _lessons(options.lesson, state)
        asked = [item.question for item in bank(seed, options.questions, lessons=lessons)]
    right = 0
    missed: dict[str, None] = {}
    say(f"{counted(len(asked), 'question')}, of seed {seed}. ({KEYS})\n")
    try:
        for i, each in enumerate(asked, 1):
            say(f"{i} of {len(asked)}")
            outcome = ask(each, tries=1)
            right += outcome.at_once
            if not outcome.at_once:
                missed[each.kind] = None
            with progress.change() as state:
                _note(state.kind(each.kind), outcome)
            say()
    except LeftError:
        say("Left before the end.")
    say(f"{right} of {len(asked)} right at once.")
    if right == len(asked):
        return 0
    for kind in missed:
        say(f"More questions of this kind: tinygrad-edu practice {kind}")
    return 1


def _lessons(names: Sequence[str] | None, state: State) -> list[str]:
    """Returns the lessons that a quiz is about: by default those that were begun, or else all."""
    from ...learn.lessons import LESSONS

    chosen = lessons_of(names, "all") or [name for name in LESSONS if name in state.lessons]
    return list(LESSONS) if "all" in chosen or not chosen else chosen


def run_cards(options: argparse.Namespace) -> int:
    """Asks the cards that are due today, or adds the cards of a lesson."""
    from ...learn import cards
    from ...learn.lessons import LESSONS
    from ...learn.progress import Progress

    progress = Progress(options.profile)
    now = datetime.now(UTC)
    if options.add is not None:
        check_name(options.add, "--add", [*LESSONS, "all"])
        names = list(cards.CARDS)
        if options.add != "all":
            names = list(LESSONS[options.add].cards)
        with progress.change() as state:
            new = cards.add(state, names, now, days=0)
        say(f"{counted(len(new), 'card')} added, due today: tinygrad-edu cards")
        return 0
    return _review(progress, now)


def _review(progress: Progress, now: datetime) -> int:
    from ...learn import cards

    state = progress.read()
    names = cards.due(state, now)
    if not names:
        _say_when(progress, now)
        return 0
    say(f"{counted(len(names), 'card')} due today. ({KEYS})\n")
    forgotten = 0
    try:
        for name in names:
            say(f"{name}:")
            outcome = ask(cards.ask(state, name), tries=2)
            say(f"To remember: {cards.CARDS[name].back}")
            rating = _rating(outcome)
            forgotten += rating == "again"
            with progress.change() as state:
                days = (cards.review(state, name, rating, now) - now).days
            say(f"It comes back in {counted(days, 'day')}.\n")
    except LeftError:
        say("Left; the cards that you answered are kept.")
        return 1 if forgotten else 0
    _say_when(progress, now)
    return 1 if forgotten else 0


def _rating(outcome: Outcome) -> str:
    if not outcome.right:
        return "again"
    return "good" if outcome.at_once else "hard"


def _say_when(progress: Progress, now: datetime) -> None:
    from ...learn import cards

    state = progress.read()
    if not cards.dates(state):
        say("There are no cards yet: a lesson adds its own at its end, and tinygrad-edu cards "
            "--add all adds those of all lessons.")
        return
    day, count = cards.next_day(state)
    say(f"Nothing more is due today. The next: {counted(count, 'card')} on {day:%A, %d %B}.")


QUIZ = Command(
    "quiz",
    run_quiz,
    "answer a few mixed questions, once each",
    (
        lesson_option("those that you have begun", ", or of all"),
        option("--questions", 8, "how many", positive),
        argument("--seed", type=natural, help="which questions: those that export writes "
                 "for it (default: others each time)"),
        PROFILE,
    ),
)
CARDS = Command(
    "cards",
    run_cards,
    "review the flashcards that are due today",
    (
        argument("--add", metavar="LESSON", help="add the cards of a lesson, or all; due today"),
        PROFILE,
    ),
)
