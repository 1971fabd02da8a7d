"""Progress: what was noted stays, however a program ends."""

import json
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from helpers import ROOT, run_python, scaled

from tinygrad_edu.errors import DataError
from tinygrad_edu.learn import cards
from tinygrad_edu.learn.progress import VERSION, Progress, State

COUNT = """
from tinygrad_edu.learn.progress import Progress
progress = Progress()
while True:
    with progress.change() as state:
        state.kind("gradient").asked += 1
        state.cards  # a file of some size
        asked = state.kind("gradient").asked
    print(asked, flush=True)
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder of the user for one test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def noted(**lessons):
    progress = Progress()
    with progress.change() as state:
        for name, part in lessons.items():
            state.lesson(name).part = part
    return progress


def test_what_was_noted_is_read_by_the_next_program():
    noted(rate=2)
    assert Progress().read().lessons["rate"].part == 2
    assert Progress("anna").read() == State()


def test_a_profile_is_a_name():
    for name in ("", "a/b", "../x", "a b", "x" * 61):
        with pytest.raises(ValueError, match="--profile must be a name"):
            Progress(name)
    with pytest.raises(TypeError, match="--profile must be text"):
        Progress(3)


def test_nothing_is_written_if_the_block_raises():
    progress = noted(rate=1)
    before = progress.path.read_bytes()

    def interrupted():
        with progress.change() as state:
            state.lesson("rate").part = 9
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert progress.path.read_bytes() == before


@pytest.mark.parametrize("content", [
    '{"version": 1, "opening": 0, "exercises": {}, "lessons": [], "kinds": {}, "cards": {}}',
    '{"version": true, "opening": 0, "exercises": {}, "lessons": {}, "kinds": {}, "cards": {}}',
    '{"version": 0, "opening": 0, "exercises": {}, "lessons": {}, "kinds": {}, "cards": {}}',
    '{"version": 1, "opening": 0, "exercises": {}, "lessons": {}, "kinds": {}, "cards": {},'
    ' "more": 1}',
    '{"version": 1, "opening": 0, "exercises": {"rate": "x"}, "lessons": {}, "kinds": {},'
    ' "cards": {}}',
    '{"version": 1, "opening": 0, "exercises": {}, "lessons": {}, "kinds":'
    ' {"gradient": {"level": 9}}, "cards": {}}',
    '{"version": 1, "opening": 0, "exercises": {}, "lessons": {}, "kinds": {}, "cards":'
    ' {"a unit": {"schedule": {}}}}',
    "", "[]", "{}", "null", '{"version": 1}', "nonsense", "\0", "[" * 100_000,
    '{"version": 1, "lessons": {"rate": {"part": -1}}, "kinds": {}, "cards": {}}',
    '{"version": 1, "lessons": {"rate": {"part": "two"}}, "kinds": {}, "cards": {}}',
    '{"version": 1, "lessons": {"rate": {"other": 1}}, "kinds": {}, "cards": {}}',
    '{"version": 1, "lessons": {"rate": 7}, "kinds": [], "cards": {}}',
])
def test_a_damaged_file_is_refused_and_stays(content):
    progress = noted(rate=1)
    progress.path.write_text(content, encoding="utf-8")
    for use in (progress.read, lambda: noted(rate=2)):
        with pytest.raises(DataError, match="use --profile with another name, or move the file"):
            use()
    assert progress.path.read_text(encoding="utf-8") == content


def test_a_file_of_a_newer_version_is_refused_and_stays():
    progress = noted(rate=1)
    content = json.dumps({"version": VERSION + 1, "all": "different"})
    progress.path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="newer version of this program"):
        noted(rate=2)
    assert progress.path.read_text(encoding="utf-8") == content


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"cannot be written to: .*XDG_DATA_HOME"):
        noted(rate=1)


def test_two_programs_at_once_lose_nothing():
    def count():
        for _ in range(20):
            with Progress().change() as state:
                state.kind("gradient").asked += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Progress().read().kinds["gradient"].asked == 80


def test_a_full_disk_leaves_the_old_file():
    progress = noted(rate=1)
    before = progress.path.read_bytes()
    done = run_python("""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
from tinygrad_edu.learn.progress import Progress
with Progress().change() as state:
    state.lesson("rate").part = 2
""")
    assert "cannot write" in done.stderr
    assert progress.path.read_bytes() == before
    assert [path.name for path in progress.path.parent.iterdir() if path.suffix == ".tmp"] == []


def test_progress_survives_a_kill_while_a_write_is_in_flight():
    draw = random.Random(0)
    progress = Progress()
    with progress.change() as state:
        cards.add(state, [f"card {i}" for i in range(300)], datetime.now(UTC))
    last = 0
    for _ in range(scaled(ci=8, thorough=200)):
        with subprocess.Popen(
            [sys.executable, "-c", COUNT], stdout=subprocess.PIPE, cwd=ROOT, text=True
        ) as process:
            seen = int(process.stdout.readline())
            time.sleep(draw.uniform(0, 0.05))
            process.kill()
            seen = max([seen, *map(int, process.stdout.read().split())])
        state = progress.read()
        assert state.kinds["gradient"].asked in (seen, seen + 1)  # the write after the last word
        assert seen > last
        assert len(state.cards) == 300
        last = seen
    noted(rate=1)  # removes what the kills left behind
    assert [path.name for path in progress.path.parent.iterdir() if path.suffix == ".tmp"] == []
