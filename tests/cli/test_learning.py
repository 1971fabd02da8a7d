"""The commands of the course: a conversation over a pipe, what it says, notes and returns."""

import io
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from helpers import ROOT

from tinygrad_edu import cli, learn
from tinygrad_edu.learn import cards
from tinygrad_edu.learn.progress import Progress
from tinygrad_edu.learn.questions import KINDS


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder of the user, and a working folder, for one test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(monkeypatch, capsys):
    """Runs a command with lines of input; returns the exit status, the output and the errors."""

    def run(command, *lines):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join([f"{line}\n" for line in lines])))
        try:
            status = cli.main(command.split())
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, " ".join(out.split()), err

    return run


def answer_of(question):
    """Returns the letter or the number that answers a question."""
    if question.choices:
        return "abcdefgh"[question.choices.index(question.answer)]
    return str(question.answer)


def test_the_first_minutes_of_a_learner(say):
    status, out, err = say("learn", "-3", "6", "2", "h", "2", "4")
    assert (status, err) == (0, "")
    assert "What is dL/da" in out
    assert "-3 is what comes out if the gradient is the local derivative alone" in out
    assert "explore --example lecture-expression" in out
    assert "Yes: 4." in out
    assert out.endswith("3 cards will be asked from tomorrow: tinygrad-edu cards "
                        "Begin with: tinygrad-edu learn forward")
    state = Progress().read()
    assert set(state.lessons) == {"chain", "backward"}
    assert len(state.cards) == 3
    assert "Next" not in say("learn", "q")[1]
    assert "All that a gets, done right: dc/da += dc/db · ∂b/∂a = 2 × 1 = 2 (first a" in out


@pytest.mark.parametrize("name", learn.lessons.LESSONS)
def test_every_lesson_is_taken_over_a_pipe(name, say):
    lesson = learn.lesson(name)
    kind, level = lesson.question
    last = answer_of(learn.question(kind, 0, level))
    status, out, err = say(f"learn {name}", *["a"] * len(lesson.parts), last)
    assert (status, err) == (0, "")
    assert lesson.title in out
    assert "{" not in out.replace("{0", "")
    for part in lesson.parts:
        assert " ".join(part.claim.run().sentence.split()) in out
    assert f"{len(lesson.cards)} card" in out
    state = Progress().read()
    assert state.lessons[name].done
    assert set(state.cards) == set(lesson.cards)
    assert "Next: tinygrad-edu " in out


def test_the_opening_goes_on_where_it_was_left(say):
    assert say("learn", "6", "q")[0] == 0
    status, out, _ = say("learn", "s")
    assert status == 1
    assert "dL/da, the gradient of L" not in out
    assert "What is dc/da" in out
    assert "The forward pass" in say("learn", "q")[1]


@pytest.mark.parametrize("name", ["5", "Descent", "descent"])
def test_a_lesson_has_a_name_in_any_case_and_a_number(name, say):
    assert learn.lesson("descent").title in say(f"learn {name}", "q")[1]


def test_a_lesson_goes_on_where_it_was_left(say):
    status, out, _ = say("learn rate", "a", "q")
    assert (status, Progress().read().lessons["rate"].part) == (0, 1)
    assert "Left. What you did is kept" in out
    _, out, _ = say("learn rate", "a")
    assert "You have made 1 of" in out
    _, out, _ = say("learn rate --again", "q")
    assert "You have made" not in out


def test_a_wrong_answer_at_the_end_of_the_input_is_status_1(say):
    assert say("practice gradient --seed 3 --level 2", "99999")[0] == 1
    assert say("practice gradient --seed 3 --level 2", "nonsense")[0] == 0
    assert say("practice gradient --seed 3 --level 2", "s")[0] == 1
    right = answer_of(learn.question("gradient", 3, 2))
    assert say("practice gradient --seed 3 --level 2", "99999", right)[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_practised(kind, say):
    right = answer_of(learn.question(kind, 5, 3))
    status, out, err = say(f"practice {kind} --seed 5 --level 3", "h", "h", "h", "h", "", right)
    assert (status, err) == (0, "")
    assert "Yes: " in out
    assert "There are no more hints" in out
    assert Progress().read().kinds[kind].right == 0  # it was right after help


def test_answers_that_are_right_at_once_lead_to_the_next_level(say):
    answers = [answer_of(learn.question("gradient", seed, 1)) for seed in range(2)]
    _, out, _ = say("practice gradient", *answers, "q")
    assert "the next question is of level 2" in out
    assert Progress().read().kinds["gradient"].level == 2
    _, out, _ = say("practice gradient", "s", "q")
    assert "The next question is of level 1" in out


def test_a_quiz_is_the_same_for_the_same_seed_and_counts(say):
    status, out, _ = say("quiz --questions 4 --seed 3", *["zzz", "s"] * 4)
    assert status == 1
    assert "0 of 4 right at once" in out
    assert say("quiz --questions 4 --seed 3", *["zzz", "s"] * 4)[1] == out
    assert say("quiz --questions 4 --seed 4", *["zzz", "s"] * 4)[1] != out
    for name in learn.lessons.LESSONS:
        assert say(f"quiz --lesson {name} --questions 2 --seed 1", "q")[0] == 1


@pytest.mark.parametrize("lesson", ["all", "chain", "rate --lesson optimisers"])
def test_a_quiz_asks_the_questions_that_export_writes(say, lesson):
    _, asked, _ = say(f"quiz --lesson {lesson} --questions 6 --seed 7", *["s"] * 6)
    of_lesson = "" if lesson == "all" else f"--lesson {lesson}"
    _, written, _ = say(f"export {of_lesson} --questions 6 --seed 7 --to text -o -")
    names = [] if lesson == "all" else lesson.split(" --lesson ")
    items = learn.handouts.bank(7, 6, lessons=names)
    for i, item in enumerate(items, 1):
        assert f"{i} of 6 {' '.join(item.question.text.split())}" in asked
        assert f"{i}. {' '.join(item.text.split())}" in written


def test_a_quiz_with_too_many_questions_says_so(say):
    status, out, err = say("quiz --lesson cost --questions 200 --seed 7")
    assert (status, out) == (2, "")
    assert "there are not 200 different questions" in err
    assert not Progress().path.exists()


def test_cards_are_asked_when_they_are_due(say):
    assert "There are no cards yet" in say("cards")[1]
    assert "added, due today" in say("cards --add rate")[1]
    progress = Progress()
    with progress.change() as state:
        for card in state.cards.values():
            card.schedule["due"] = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert "Nothing more is due today" in say("cards")[1]
    now = datetime.now(UTC)
    with progress.change() as state:
        for card in state.cards.values():
            card.schedule["due"] = (now - timedelta(days=1)).isoformat()
        names = cards.due(state, now)
        right = [answer_of(cards.ask(state, name)) for name in names]
    status, out, err = say("cards", *right)
    assert (status, err) == (0, "")
    assert all(cards.CARDS[name].back in out for name in names)
    assert "It comes back in" in out
    state = progress.read()
    assert all(state.cards[name].reviews == 1 for name in names)
    assert not cards.due(state, now)


def test_progress_and_map_say_what_is_done_and_next(say):
    assert "Begin with: tinygrad-edu learn" in say("progress")[1]
    say("learn rate", "a", "q")
    for command in ("progress", "learn --map"):
        out = say(command)[1]
        assert "> 6 rate" in out
        assert f"(1/{len(learn.lesson('rate').parts)})" in out
    assert "Next: tinygrad-edu learn forward" in say("progress")[1]
    assert str(Progress().path) in say("progress")[1].replace(" ", "")


def test_an_exercise_that_is_right_is_noted(say, home):
    assert say("practice update-rule")[0] == 0
    assert say("practice update-rule")[0] == 0  # another one: no file is overwritten
    files = sorted(path.name for path in home.glob("*.py"))
    assert files == ["update-rule-0.py", "update-rule-1.py"]
    assert say(f"practice check {files[0]}")[0] == 1
    solution = learn.exercise("update-rule", 0).solution
    (home / files[0]).write_text(solution, encoding="utf-8")
    assert say(f"practice check --hint 1 {files[0]}")[0] == 0
    assert "Exercises in code that were right: update-rule" in say("progress")[1]


def test_profiles_are_kept_apart(say):
    say("learn rate --profile anna", "a", "q")
    assert "rate" in Progress("anna").read().lessons
    assert not Progress().read().lessons


@pytest.mark.parametrize("command", [
    "learn nowhere", "learn rate --profile a/b", "practice nothing", "practice gradient --level 9",
    "practice gradient --seed -1", "quiz --lesson nowhere", "quiz --questions 0",
    "cards --add nowhere", "practice check", "practice watch a.py b.py", "practice gradient a.py",
])
def test_wrong_use_is_one_line_and_status_2(command, say):
    status, out, err = say(command)
    assert status == 2
    assert len((out + err).strip().splitlines()) == 1
    assert not Progress().path.exists()


def test_a_damaged_file_of_progress_is_one_line_and_stays(say):
    progress = Progress()
    progress.path.parent.mkdir(parents=True)
    progress.path.write_text("nonsense", encoding="utf-8")
    for command in ("learn", "progress", "cards", "practice gradient", "quiz"):
        status, _, err = say(command, "1")
        assert status == 2
        assert "is damaged" in err
        assert len(err.splitlines()) == 1
    assert progress.path.read_text(encoding="utf-8") == "nonsense"


def test_ctrl_c_keeps_what_was_done(home):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "tinygrad_edu", "learn", "rate"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:
        process.stdin.write("a\n")
        process.stdin.flush()
        seen = ""
        while "2 of " not in seen:
            seen += process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "tinygrad-edu learn: interrupted\n")
    assert Progress().read().lessons["rate"].part == 1


def test_a_terminal_without_unicode_gets_other_signs(home):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", "practice", "gradient", "--seed", "1"],
        input="s\n", capture_output=True, text=True, env=environment, check=False, timeout=60,
    )
    assert done.stderr == ""
    assert "The answer: " in done.stdout
    assert "?" not in done.stdout.partition("The solution:")[2]
