"""The commands learn and progress: the lessons one after the other, and what was done so far."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...errors import check_name, counted
from ..arguments import Command, argument, option
from .conversation import KEYS, LeftError, ask, choose, say

if TYPE_CHECKING:
    from ...learn.lessons import Lesson, Part
    from ...learn.progress import Progress, State

MOST_BYTES = 1_000_000  # of what a page saved
PROFILE = option("--profile", "default", "the name under which progress is kept")
# the graphs of the opening, and the lessons that go on from them
OPENING = (("lecture-expression", "chain"), ("shared-node", "backward"))
OPENING_CARDS = ("chain rule", "several paths", "backpropagation")


def run_learn(options: argparse.Namespace) -> int:
    """Teaches one lesson, the one that is named or the next one, or shows the map."""
    from ...learn.lessons import LESSONS
    from ...learn.progress import Progress

    progress = Progress(options.profile)
    state = progress.read()
    if options.map and options.lesson is not None:
        raise ValueError(f"--map shows all lessons; leave out {options.lesson!r} or --map")
    if options.map:
        _print_map(state)
        return 0
    if options.lesson is not None:
        named = _named(options.lesson)
        return _keeping(lambda: _teach(named, progress, options.again))
    is_new = not any(known.part or known.done for known in state.lessons.values())
    if is_new and state.opening < len(OPENING):
        return _keeping(lambda: _open(progress, state.opening))
    name = next_lesson(state)
    if name is None:
        say("You have done all lessons. tinygrad-edu cards asks what is due today, tinygrad-edu "
            "practice has questions without end, tinygrad-edu quiz mixes them. To read a lesson "
            "again: tinygrad-edu learn NAME --again.")
        return 0
    return _keeping(lambda: _teach(LESSONS[name], progress, False))


def run_progress(options: argparse.Namespace) -> int:
    """Prints what was done, and what is next."""
    from ...learn.cards import due
    from ...learn.exercises import EXERCISES
    from ...learn.progress import Progress, State

    progress = Progress(options.profile)
    if options.imported is not None:
        from ...files import read_text
        from ...learn.progress import add_course

        text = read_text(options.imported, "--import", "course-progress.json",
                         "save it from index.html of the course", most=MOST_BYTES)
        with progress.change() as changed:
            count = add_course(changed, text, options.imported)
        say(f"Added what was done on the pages of {counted(count, 'lesson')}.\n")
    state = progress.read()
    if state == State():
        say(f"Nothing is noted for the profile {options.profile} yet. Begin with: "
            "tinygrad-edu learn")
        return 0
    _print_map(state)
    if state.kinds:
        say("\nQuestions, and how many of them were right at once:")
        for name, kind in state.kinds.items():
            say(f"  {name:11} {kind.right} of {kind.asked}, level {kind.level}")
    if state.exercises:
        done = [name for name in EXERCISES if name in state.exercises]
        say(f"\nExercises in code that were right: {', '.join(done)}")
    today = len(due(state, datetime.now(UTC)))
    say(f"\nCards: {len(state.cards)}, of which {today} are due today.")
    say(f"Kept in {progress.path}")
    _say_next(state)
    return 0


def _named(name: str) -> Lesson:
    """Returns a lesson by its name, in any case, or by its number on the map."""
    from ...learn.lessons import LESSONS

    names = list(LESSONS)
    if name.isdecimal() and 1 <= int(name) <= len(names):
        return LESSONS[names[int(name) - 1]]
    remedy = "tinygrad-edu learn --map lists them"
    return LESSONS[check_name(name.lower(), "lesson", LESSONS, remedy)]


def next_lesson(state: State) -> str | None:
    """Returns the first lesson that is not done, None if all are."""
    from ...learn.lessons import LESSONS

    return next((name for name in LESSONS if not _is_done(state, name)), None)


def _is_done(state: State, name: str) -> bool:
    return name in state.lessons and state.lessons[name].done


def _keeping(conversation: Callable[[], int]) -> int:
    """Runs a conversation; what was done so far is kept however it ends."""
    try:
        return conversation()
    except LeftError as left:
        say("Left. What you did is kept; to go on: tinygrad-edu learn")
        return int(left.is_wrong)
    except KeyboardInterrupt:
        say("\nWhat you did is kept; to go on: tinygrad-edu learn")
        raise


def _print_map(state: State) -> None:
    from ...learn.lessons import LESSONS

    done = sum(_is_done(state, name) for name in LESSONS)
    say(f"{counted(len(LESSONS), 'lesson')}, of which {done} are done:")
    for number, lesson in enumerate(LESSONS.values(), 1):
        sign = " "
        note = ""
        if lesson.name in state.lessons:
            sign = "x" if state.lessons[lesson.name].done else ">"
            if sign == ">":
                note = f" ({state.lessons[lesson.name].part}/{len(lesson.parts)})"
        say(f" {sign} {number:2} {lesson.name:11} {lesson.title}{note}")
    say("x is done, > is begun (with the number of predictions made).")
    say("To take one: tinygrad-edu learn NAME")


def _say_next(state: State) -> None:
    name = next_lesson(state)
    say(f"Next: tinygrad-edu learn {name}" if name else "Next: tinygrad-edu cards")


def _open(progress: Progress, first: int) -> int:
    """Asks the two questions before the first lesson, whose wrong answers are the best known."""
    from ...examples import EXAMPLES
    from ...learn.cards import add
    from ...learn.questions.kinds.gradient import about

    say("Backpropagation computes how much a result changes with each number that it was computed "
        "from. Two questions to begin with; pencil and paper help, and a guess is fine: the "
        "lessons start from the beginning. A gradient is a derivative: dL/da is how much L grows "
        f"for each unit that a grows, if a grows a little. ({KEYS})\n")
    right = 0
    for example, lesson in OPENING[first:]:
        right += ask(about(EXAMPLES[example](), "a")).right
        with progress.change() as state:
            state.opening += 1
            state.lesson(lesson)
        say("To see every step of this graph:")
        say(f"  tinygrad-edu step --example {example}")
        say("To change its numbers in a browser, and watch the gradients follow:")
        say(f"  tinygrad-edu explore --example {example}\n")
    with progress.change() as state:
        new = add(state, OPENING_CARDS, datetime.now(UTC))
    say("These were the chain rule, and the sum over all uses of a number: the two rules of "
        "backpropagation. The lessons chain and backward go on from them.")
    if new:
        say(f"{counted(len(new), 'card')} will be asked from tomorrow: tinygrad-edu cards")
    say("Begin with: tinygrad-edu learn forward")
    return 0 if right == len(OPENING) - first else 1


def _teach(lesson: Lesson, progress: Progress, again: bool) -> int:
    say(f"{lesson.title}\n{'=' * len(lesson.title)}")
    with progress.change() as state:
        first = 0 if again or _is_done(state, lesson.name) else state.lesson(lesson.name).part
    if first:
        say(f"You have made {first} of {len(lesson.parts)} predictions; we go on from there. "
            f"tinygrad-edu learn {lesson.name} --again begins at the start.")
    else:
        say(f"\n{lesson.intro}\n\nPredict with a letter, and see; q leaves.")
    for i, part in enumerate(lesson.parts[first:], first + 1):
        _predict(part, f"\n{i} of {len(lesson.parts)}. ")
        with progress.change() as state:
            known = state.lesson(lesson.name)
            known.part = max(known.part, i)
    say(f"\nTo remember: {lesson.remember}")
    return _last_question(lesson, progress)


def _predict(part: Part, number: str) -> None:
    from ...learn.evidence import FAILED
    from ...learn.lessons import explained

    say(f"{number}{part.ask}")
    order = random.Random(part.ask).sample(range(len(part.choices)), len(part.choices))
    taken = choose(
        [part.choices[i] for i in order],
        "This is a prediction: take what you expect, and the experiment will show. q leaves.",
    )
    evidence = part.claim.run()
    say()
    say("The experiment:")
    for line in str(evidence).split("\n"):
        say(line if line in (FAILED, evidence.sentence) else f"  {line}")
    say()
    at = part.choices.index(taken)
    say(f"{'As you expected.' if at == 0 else 'It came out otherwise.'} {part.meant[at]}")
    say(explained(part, evidence))


def _last_question(lesson: Lesson, progress: Progress) -> int:
    from ...learn.cards import add
    from ...learn.questions import question

    kind, level = lesson.question
    with progress.change() as state:
        known = state.lesson(lesson.name)
        seed = known.asked
        known.asked += 1
    say(f"\nOne question. ({KEYS})\n")
    outcome = ask(question(kind, seed, level))
    now = datetime.now(UTC)
    with progress.change() as state:
        state.lesson(lesson.name).done = True
        new = add(state, lesson.cards, now)
    say()
    if new:
        say(f"{counted(len(new), 'card')} of this lesson will be asked from tomorrow: "
            "tinygrad-edu cards")
    if lesson.exercise:
        say(f"An exercise in code goes with it: tinygrad-edu practice {lesson.exercise}")
    say(f"More questions like the last one: tinygrad-edu practice {kind}")
    _say_next(progress.read())
    return 0 if outcome.right else 1


LEARN = Command(
    "learn",
    run_learn,
    "take a lesson: predict, see the experiment, answer",
    (
        argument("lesson", nargs="?", help="which lesson; without a name the next one"),
        argument("--map", action="store_true", help="list the lessons, and what was done"),
        argument("--again", action="store_true", help="begin the lesson at its start"),
        PROFILE,
    ),
)
PROGRESS = Command(
    "progress",
    run_progress,
    "show what you have learned, and what is next",
    (
        argument("--import", dest="imported", metavar="FILE",
                 help="first add what was done on the pages of the course, saved from index.html"),
        PROFILE,
    ),
)
