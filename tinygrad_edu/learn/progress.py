"""What a learner has done: one JSON file for each profile, in the user's data folder.

    progress = Progress("default")
    with progress.change() as state:
        state.lesson("rate").part = 2

The file is written completely or not at all, and two programs that change it wait for each other.
A file that is damaged, or was written by a newer version, is never overwritten.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

from ..errors import DataError, check_text, short_repr
from ..files import read_text, write_atomically
from .questions import LEVELS

VERSION = 1  # of the file's format
# what `fsrs.Card.to_dict` writes
SCHEDULE = {"card_id", "state", "step", "stability", "difficulty", "due", "last_review"}
SECONDS = 10.0  # how long a program waits for another one that is writing


@dataclass
class LessonState:
    """What was done of a lesson.

    part: the number of predictions that were made.
    asked: how often its last question was asked.
    done: whether its last question was answered.
    """

    part: int = 0
    asked: int = 0
    done: bool = False


@dataclass
class KindState:
    """How questions of one kind were answered.

    asked: the number of questions.
    right: how many of them were right at once, without a hint.
    level: the level of the next question.
    row: how many were right at once since the level changed.
    """

    asked: int = 0
    right: int = 0
    level: int = 1
    row: int = 0


@dataclass
class CardState:
    """The reviews of a card.

    reviews: the number of reviews.
    schedule: the state of the scheduler, as `fsrs.Card.to_dict` writes it.
    """

    reviews: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)


@dataclass
class State:
    """Everything that is known of a learner.

    opening: how many of the two questions before the first lesson were asked.
    exercises: how many exercises in code were right, by name.
    """

    opening: int = 0
    exercises: dict[str, int] = field(default_factory=dict)
    lessons: dict[str, LessonState] = field(default_factory=dict)
    kinds: dict[str, KindState] = field(default_factory=dict)
    cards: dict[str, CardState] = field(default_factory=dict)

    def lesson(self, name: str) -> LessonState:
        """Returns what was done of a lesson, and notes that it was begun."""
        return self.lessons.setdefault(name, LessonState())

    def kind(self, name: str) -> KindState:
        """Returns how questions of a kind were answered."""
        return self.kinds.setdefault(name, KindState())


class Progress:
    """The file of a profile.

    path: where it is.
    """

    def __init__(self, profile: str = "default") -> None:
        """Names a profile; its file is made by the first change.

        Raises:
            TypeError: ``profile`` is not text.
            ValueError: ``profile`` has other signs than letters, digits, - and _.
        """
        from platformdirs import user_data_path

        check_text(profile, "--profile")
        if not re.fullmatch(r"[\w-]{1,60}", profile):
            raise ValueError(
                f"--profile must be a name of letters, digits, - and _, such as anna, not "
                f"{short_repr(profile)}"
            )
        folder = user_data_path("tinygrad_edu", appauthor=False) / "progress"
        self.path: Path = folder / f"{profile}.json"

    def read(self) -> State:
        """Returns what was done, as the file says now.

        Raises:
            DataError: the file is damaged, or was written by a newer version.
            OSError: it cannot be read.
        """
        if not self.path.exists():
            return State()
        text = read_text(self.path, "progress", "default.json", self._remedy())
        try:
            return _state_of(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"progress: {self.path} {_mistake(error)}; {self._remedy()}") from error

    @contextmanager
    def change(self) -> Iterator[State]:
        """Yields what was done, to be changed; afterwards it is written.

        Nothing is written if the block raises, or changes nothing.

        Raises:
            DataError, OSError: the file cannot be read or written; an old file is unchanged.
        """
        from filelock import FileLock, Timeout

        self._make_folder()
        try:
            lock = FileLock(self.path.parent / "lock", timeout=SECONDS)
            with lock:
                self._remove_leftovers()
                state = self.read()
                before = _text_of(state)
                yield state
                if _text_of(state) != before or not self.path.exists():
                    write_atomically(self.path, _text_of(state))
        except Timeout as error:
            raise OSError(
                f"progress: another program has been writing {self.path} for {SECONDS:g} seconds; "
                "end it, and try again"
            ) from error

    def _make_folder(self) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            # Windows has its own folder for the data of a program, and no variable for it
            other = ", or name another folder in the variable XDG_DATA_HOME"
            raise type(error)(
                f"progress: {folder} cannot be written to: {error.strerror or error}; make it "
                f"writable{other if sys.platform != 'win32' else ''}"
            ) from error

    def _remove_leftovers(self) -> None:
        """Removes what a program left that was ended while it wrote; only we write here now."""
        for leftover in self.path.parent.glob(".*.tmp"):
            with suppress(OSError):
                leftover.unlink()

    def _remedy(self) -> str:
        return "use --profile with another name, or move the file away to start from nothing"


class _NewerVersionError(ValueError):
    """The file has a version that this program does not know."""


Part = TypeVar("Part")


def _state_of(content: Any) -> State:
    if not isinstance(content, dict) or type(content.get("version")) is not int:
        raise TypeError("no version")
    if content["version"] > VERSION:
        raise _NewerVersionError(content["version"])
    if content.keys() != {"version", *[entry.name for entry in fields(State)]}:
        raise TypeError(f"its keys are {short_repr(list(content))}")
    counts = [content["version"] - 1, content["opening"], *content["exercises"].values()]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise TypeError(f"counts are {short_repr(counts)}")
    state = State(
        content["opening"],
        content["exercises"],
        _parts(content["lessons"], LessonState),
        _parts(content["kinds"], KindState),
        _parts(content["cards"], CardState),
    )
    for kind in state.kinds.values():
        if not 1 <= kind.level <= LEVELS:
            raise TypeError(f"level is {kind.level}")
    for card in state.cards.values():
        if card.schedule.keys() != SCHEDULE:
            raise TypeError(f"a schedule has the keys {short_repr(list(card.schedule))}")
        datetime.fromisoformat(card.schedule["due"])
    return state


def _parts(content: Mapping[str, Any], kind: type[Part]) -> dict[str, Part]:
    parts = {name: kind(**entry) for name, entry in content.items()}
    for part in parts.values():
        for entry in fields(part):  # type: ignore[arg-type]
            value = getattr(part, entry.name)
            usual = getattr(kind(), entry.name)
            if type(value) is not type(usual) or (isinstance(value, int) and value < 0):
                raise TypeError(f"{entry.name} is {short_repr(value)}")
    return parts


def _text_of(state: State) -> str:
    return json.dumps({"version": VERSION, **asdict(state)}, indent=1, sort_keys=True) + "\n"


def _mistake(error: Exception) -> str:
    if isinstance(error, _NewerVersionError):
        return f"was written by a newer version of this program (format {error})"
    return f"is damaged ({short_repr(str(error))})"


def add_course(state: State, text: str, source: str) -> int:
    """Adds what was done on the pages of the course, and returns how many lessons it was.

    Adding it again changes nothing.

    text: the JSON that the index page saves.
    source: the name of the file, for messages.

    Raises DataError if the text is something else.
    """
    from .lessons import LESSONS
    from .questions import KINDS

    try:
        found = json.loads(text)
        if found["tinygrad_edu"] != "course":
            raise ValueError("is no progress of a course")
        lessons = {name: done for name, done in found["lessons"].items() if name in LESSONS}
        for name, done in lessons.items():
            known = state.lesson(name)
            known.part = max(known.part, min(int(done["parts"]), len(LESSONS[name].parts)))
        for kind in KINDS.keys() - {"idea"}:
            counts = [
                sum(str(asked).startswith(f"{kind}-") for done in lessons.values()
                    for asked in done[which])
                for which in ("asked", "right")
            ]
            if counts[0]:
                noted = state.kind(kind)
                noted.asked = max(noted.asked, counts[0])
                noted.right = max(noted.right, min(counts[1], noted.asked))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{source} is not what a page of the course saves; open index.html of the course, and "
            "press the button below the lessons"
        ) from error
    return len(lessons)
