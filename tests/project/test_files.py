"""Destinations of files, files that are never half written, and numbers that every JSON reader
understands."""

import json
import math
import os
from pathlib import Path

import pytest
from helpers import SPECIAL, bits

from tinygrad_edu.files import check_folder_of, destination, from_json, to_json, write_atomically


def place(path):
    return destination(path, "a page", (".html", ".svg"), "graph.html")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_a_destination_gets_the_suffix_of_the_example_unless_it_has_one(home):
    assert place(home / "page") == place("~/page") == home / "page.html"
    assert place(str(home / "page.SVG")) == home / "page.SVG"


@pytest.mark.parametrize(("path", "error", "message"), [
    (3, TypeError, "cannot save a page: path must be text or a Path, not int .3.; write"),
    ("", ValueError, "cannot save a page: path must name a file, such as 'graph.html', not ''"),
    ("a\0b.html", ValueError, "name a file"),
    ("~/page.gif", ValueError, "'.gif' is not a format it can have; use one of .html, .svg"),
    ("~/page.v1", ValueError, "'.v1' is not a format"),
    ("~", IsADirectoryError, "it is a folder; name a file in it, such as '.*graph.html'"),
    ("~/missing/page.html", FileNotFoundError, "missing' is not a folder; create it first"),
    ("~/file/page.html", NotADirectoryError, "file' is not a folder; create it first"),
    (
        "~no_such_user_of_this/page.html",
        FileNotFoundError,
        "'~no_such_user_of_this' is not a folder",
    ),
])
def test_invalid_destination_is_rejected_before_anything_is_computed(
    path, error, message, home
):
    (home / "file").write_text("")
    with pytest.raises(error, match=message):
        place(path)
    assert [file.name for file in home.iterdir()] == ["file"]


def test_a_file_is_replaced_in_one_piece_and_keeps_its_mode(tmp_path):
    path = tmp_path / "text"
    assert write_atomically(str(path), "первый") == path
    path.chmod(0o640)
    assert write_atomically(path, b"\xff\x00") == path
    assert path.read_bytes() == b"\xff\x00"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize(("path", "error", "message"), [
    (
        ".",
        IsADirectoryError,
        "cannot write '.*': it is a folder; choose a place where you may write",
    ),
    (os.devnull, OSError, "it is a device, not a file"),
    ("n" * 300, OSError, "File name too long|name too long"),
    ("missing/file", FileNotFoundError, "is not a folder; create it first"),
])
def test_failed_write_is_reported_with_a_remedy_and_leaves_no_file(
    path, error, message, tmp_path
):
    with pytest.raises(error, match=message):
        write_atomically(tmp_path / path, "content")
    assert list(tmp_path.iterdir()) == []


def test_older_file_is_kept_until_the_new_one_is_complete(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "text", "old")

    def refuse(source, target):
        assert Path(source).read_text() == "new"
        assert path.read_text() == "old"
        raise PermissionError(13, "not now")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(
        PermissionError, match=r"cannot write '.*text': not now; choose a place where you may write"
    ):
        write_atomically(path, "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("text", "old")]


def test_the_folder_of_a_path_is_checked(tmp_path):
    check_folder_of(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_folder_of(tmp_path / "missing" / "file")


@pytest.mark.parametrize("x", [*SPECIAL, 0.1, 1 / 3])
def test_every_float_survives_json(x):
    text = json.dumps(to_json(x), allow_nan=False)
    assert bits(from_json(json.loads(text))) == bits(x)


@pytest.mark.parametrize("entry", [True, None, "1", "Infinity", [1.0], {}, "NaN"])
def test_entry_that_is_not_a_number_is_rejected(entry):
    with pytest.raises(ValueError, match="is not a number"):
        from_json(entry)


def test_whole_number_too_large_for_a_float_is_rejected():
    assert from_json(10**308) == 1e308
    with pytest.raises(ValueError, match="a number of 401 digits is too large"):
        from_json(10**400)
    assert math.isinf(from_json("inf"))
